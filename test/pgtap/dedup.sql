-- Duplicates: of the syncs with one dedup_key only the first is sent.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(35);

INSERT INTO integration.connector (name, dedup_window) VALUES ('orders', '1 h');
INSERT INTO integration.endpoint (name, connector, url) VALUES
    ('shop', NULL, 'https://shop.example.com/'), ('bill', 'orders', 'https://bill.example.com/');

CREATE TEMP TABLE named (name text PRIMARY KEY, id bigint NOT NULL);

-- Enqueues a sync under a name of the test's own.
CREATE FUNCTION pg_temp.click(name text, dedup_key text, endpoint text DEFAULT 'shop') RETURNS void
    LANGUAGE sql
AS $$
    WITH made AS (
        INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, dedup_key)
        VALUES (click.endpoint, 'order', 'O-1', '{}', click.dedup_key)
        RETURNING id)
    INSERT INTO named SELECT click.name, m.id FROM made m
$$;

CREATE FUNCTION pg_temp.id(name text) RETURNS bigint
    LANGUAGE sql
AS $$
    SELECT n.id FROM named n WHERE n.name = $1
$$;

-- Its state, of which it is a duplicate, whether it is in the queue.
CREATE FUNCTION pg_temp.state(name text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat(s.state, ' by ' || n.name,
                  CASE WHEN EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = s.id) THEN ', queued' END)
      FROM integration.sync s
      LEFT JOIN named n ON n.id = s.superseded_by
     WHERE s.id = pg_temp.id($1)
$$;

CREATE FUNCTION pg_temp.fail(name text) RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class)
    SELECT q.outbox_id, 1, q.endpoint_id, now(), 'failed', 'http:422', 'validation'
      FROM integration.queue q WHERE q.outbox_id = pg_temp.id($1);
    UPDATE integration.queue SET state = 'failed', attempts = 1, error_class = 'validation' WHERE outbox_id = pg_temp.id($1);
$$;

-- Who is one.
SELECT pg_temp.click('a1', 'a'), pg_temp.click('a2', 'a'), pg_temp.click('a3', 'a') \g /dev/null
SELECT is(pg_temp.state('a1'), 'pending, queued', 'the first is sent');
SELECT is(pg_temp.state('a2'), 'superseded by a1', 'the second is a duplicate');
SELECT is(pg_temp.state('a3'), 'superseded by a1', 'so is the third, of the first');
SELECT is((SELECT count(DISTINCT n.id) FROM named n), 3::bigint, 'each has an id of its own');
SELECT is((SELECT c.reason || ' ' || (c.closed_at = now()) FROM integration.closing c WHERE c.outbox_id = pg_temp.id('a2')),
          'duplicate true', 'it is closed at once, with the reason');
SELECT is(integration.why(pg_temp.id('a2')),
          format('Sync %s was not sent: it is a duplicate of sync %s, which is pending.', pg_temp.id('a2'), pg_temp.id('a1')), 'why');
SELECT pg_temp.click('bill', 'a', 'bill') \g /dev/null
SELECT is(pg_temp.state('bill'), 'pending, queued', 'at another endpoint the key is another');
SELECT pg_temp.click('none1', NULL), pg_temp.click('none2', NULL) \g /dev/null
SELECT is(pg_temp.state('none2'), 'pending, queued', 'without a key there are no duplicates');

INSERT INTO integration.outbox (endpoint, payload, dedup_key)
SELECT 'shop', to_jsonb(n), CASE WHEN n <= 90 THEN 'many' || n % 30 END FROM generate_series(1, 100) n ORDER BY n DESC;
SELECT is((SELECT count(*) FROM integration.queue q JOIN integration.outbox o ON o.id = q.outbox_id WHERE jsonb_typeof(o.payload) = 'number'),
          40::bigint, 'of one statement too only the first of each key is sent');
SELECT is((SELECT count(*) FROM integration.closing c
             JOIN integration.outbox o ON o.id = c.outbox_id
             JOIN integration.outbox f ON f.id = c.superseded_by AND f.dedup_key = o.dedup_key AND f.endpoint = o.endpoint
             JOIN integration.queue q ON q.outbox_id = f.id
            WHERE o.dedup_key LIKE 'many%' AND f.id < o.id), 60::bigint, 'each other one is a duplicate of it');
COPY integration.outbox (endpoint, payload, dedup_key) FROM STDIN;
shop	"copied"	copy
shop	"copied"	copy
shop	"copied"	a
\.
SELECT is((SELECT count(*) FROM integration.queue q JOIN integration.outbox o ON o.id = q.outbox_id WHERE o.payload = '"copied"'),
          1::bigint, 'COPY goes through the same door');

-- ANALYZE has the statements planned anew, here for many rows.
INSERT INTO integration.dedup SELECT -1, 'k' || n, 0, now() FROM generate_series(1, 3000) n;
ANALYZE integration.dedup;
INSERT INTO integration.outbox (endpoint, payload, dedup_key) SELECT 'bill', '{}', 'bulk' || n FROM generate_series(1, 200) n;
SELECT pg_stat_get_xact_tuples_fetched('integration.dedup_pkey'::regclass) AS before \gset
SELECT pg_temp.click('bulk', 'bulk1') \g /dev/null
SELECT cmp_ok(pg_stat_get_xact_tuples_fetched('integration.dedup_pkey'::regclass) - :before, '<', 10::bigint,
              'after a statement with many rows one row still looks at its own key alone');
DELETE FROM integration.dedup WHERE endpoint_id = -1 OR dedup_key LIKE 'bulk%';

-- For how long.
SELECT is((SELECT string_agg(e.name || ' ' || (extract(epoch FROM d.expires_at - now()) / 3600)::numeric(10, 1), ', ' ORDER BY e.name)
             FROM integration.dedup d JOIN integration.endpoint e ON e.id = d.endpoint_id WHERE d.dedup_key = 'a'),
          'bill 1.0, shop 24.0', 'the window is the endpoint''s, else the connector''s, else 24 h');
UPDATE integration.dedup SET expires_at = now() WHERE dedup_key = 'a';
SELECT pg_temp.click('a4', 'a'), pg_temp.click('a5', 'a') \g /dev/null
SELECT is(pg_temp.state('a4'), 'pending, queued', 'after the window the next is sent');
SELECT is(pg_temp.state('a5'), 'superseded by a4', 'and begins a new window');

-- What a first stands for.
SELECT pg_temp.click('b1', 'b'), pg_temp.fail('b1'), pg_temp.click('b2', 'b') \g /dev/null
SELECT is(pg_temp.state('b2'), 'superseded by b1', 'a failed first still counts');
SELECT is(integration.why(pg_temp.id('b2')),
          replace(replace('Sync X was not sent: it is a duplicate of sync Y, which is failed and still stands for it (SELECT integration.why(Y)).',
                          'X', pg_temp.id('b2')::text), 'Y', pg_temp.id('b1')::text), 'why says that it is');
SELECT is((SELECT s.remedy FROM integration.sync s WHERE s.id = pg_temp.id('b2')),
          format('It is a duplicate of sync %s, which is failed: retry or amend that one.', pg_temp.id('b1')), 'the view says what helps');
SELECT is((SELECT count(*) FROM integration.sync s WHERE s.remedy LIKE 'It is a duplicate%'), 1::bigint, 'of no other duplicate');

SELECT pg_temp.click('c1', 'c'), pg_temp.fail('c1') \g /dev/null
INSERT INTO named SELECT 'c2', integration.amend(pg_temp.id('c1'), '{"v": 2}');
SELECT is(pg_temp.state('c2'), 'pending, queued', 'an amended copy is no duplicate');
INSERT INTO named SELECT 'c3', integration.amend(pg_temp.id('c2'), '{"v": 3}');
SELECT pg_temp.click('c4', 'c') \g /dev/null
SELECT is(pg_temp.state('c4'), 'superseded by c3', 'what took the place of the first stands for it');
SELECT integration.cancel(pg_temp.id('c3')) \g /dev/null
SELECT pg_temp.click('c5', 'c'), pg_temp.click('c6', 'c') \g /dev/null
SELECT is(pg_temp.state('c5'), 'pending, queued', 'when that is cancelled the next is sent');
SELECT is(pg_temp.state('c6'), 'superseded by c5', 'and is the first from then on');
SELECT is(integration.why(pg_temp.id('c4')) LIKE '%which is cancelled and still stands for it%', true, 'why says that its first was given up');

SELECT pg_temp.click('d1', 'd') \g /dev/null
UPDATE integration.queue SET expires_at = now() - interval '1 s' WHERE outbox_id = pg_temp.id('d1');
SELECT pg_temp.click('d2', 'd') \g /dev/null
SELECT is(pg_temp.state('d2'), 'pending, queued', 'a first that is overdue swallows nothing');
SELECT integration_worker.expire() \g /dev/null
SELECT is(pg_temp.state('d1'), 'expired', 'nor is it sent');

SELECT pg_temp.click('e1', 'e') \g /dev/null
DELETE FROM integration.queue WHERE outbox_id = pg_temp.id('e1');
SELECT pg_temp.click('e2', 'e') \g /dev/null
INSERT INTO named SELECT 'e3', integration.replay(pg_temp.id('e1'));
SELECT is(pg_temp.state('e2'), 'superseded by e1', 'a delivered first counts');
SELECT is(pg_temp.state('e3'), 'pending, queued', 'its replay is no duplicate');

SELECT pg_temp.click('g1', NULL) \g /dev/null
INSERT INTO named SELECT 'g2', integration.amend(pg_temp.id('g1'), '{"v": 2}', 'duplicate');
SELECT is(integration.why(pg_temp.id('g1')) LIKE '%was superseded at %', true, 'what somebody amended is no duplicate, whatever the reason');

-- What leaves no trace.
SAVEPOINT before;
SELECT pg_temp.click('f1', 'f') \g /dev/null
ROLLBACK TO before;
SELECT pg_temp.refusal($$ INSERT INTO integration.outbox (endpoint, payload, dedup_key) VALUES ('shop', '{}', 'f'), ('none', '{}', 'f') $$) \g /dev/null
SELECT pg_temp.click('f2', 'f') \g /dev/null
SELECT is(pg_temp.state('f2'), 'pending, queued', 'what was rolled back or refused was no first');
SELECT is(pg_temp.refusal($$ INSERT INTO integration.outbox (endpoint, payload, dedup_key) VALUES ('shop', '{}', repeat('x', 1001)) $$)
          LIKE '54000 dedup_key of a sync to endpoint "shop" is too long | It has 1001 bytes%', true, 'a long key is refused');

-- Whose rights, whose names.
CREATE ROLE dedup_producer;
SELECT integration.grant_producer('dedup_producer') \g /dev/null
CREATE SCHEMA evil;
CREATE FUNCTION evil.trap(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.trap);
GRANT USAGE ON SCHEMA evil TO dedup_producer;
SET LOCAL search_path = evil, pg_catalog;
SET LOCAL enable_seqscan = on;
SET LOCAL ROLE dedup_producer;
INSERT INTO integration.outbox (endpoint, payload, dedup_key) VALUES ('shop', '"produced"', 'g'), ('shop', '"produced"', 'g');
RESET ROLE;
SET LOCAL search_path = public, pg_temp;
SELECT is((SELECT count(*) FROM integration.queue q JOIN integration.outbox o ON o.id = q.outbox_id WHERE o.payload = '"produced"'),
          1::bigint, 'a producer needs no right to the keys, and brings no names of his own');
SELECT is(current_setting('enable_seqscan'), 'on', 'his settings are his again');

-- Forgetting, the oldest first.
UPDATE integration.dedup SET expires_at = now() - interval '2 h' WHERE dedup_key LIKE 'many%';
UPDATE integration.dedup SET expires_at = now() - interval '30 min' WHERE dedup_key = 'a';
SELECT is(ARRAY[integration_worker.forget_duplicates(20), integration_worker.forget_duplicates(20)], '{t,f}',
          'old keys are forgotten in steps');
SELECT is((SELECT string_agg(DISTINCT d.dedup_key, ' ' ORDER BY d.dedup_key) FROM integration.dedup d), 'a b c copy d e f g',
          'those whose window ended within the hour stay');

SELECT * FROM finish();
ROLLBACK;
