-- What people do to syncs: each verb in each state, on record.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(84);

INSERT INTO integration.endpoint (name, url, customer) VALUES
    ('shop', 'https://shop.example.com/', 'acme'), ('bill', 'https://bill.example.com/', NULL);

-- Brings a new sync into a state and returns its id.
CREATE FUNCTION pg_temp.make(state text, ordering_key text DEFAULT NULL, endpoint text DEFAULT 'shop') RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint;
BEGIN
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, ordering_key, dedup_key, headers, priority,
                                    impact, triggered_by)
    VALUES (make.endpoint, 'order', 'PO-' || clock_timestamp(), '{"v": 1}', make.ordering_key, clock_timestamp()::text,
            '{"X-A": "a"}', 'high', 12.5, 'clerk')
    RETURNING id INTO sync;
    UPDATE integration.queue SET due_at = due_at - interval '1 min' WHERE outbox_id = sync;
    IF make.state = 'pending' THEN
        RETURN sync;
    END IF;
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class)
    SELECT sync, 1, e.id, now() - interval '30 s', 20,
           CASE make.state WHEN 'delivered' THEN 'delivered' ELSE 'failed' END,
           CASE make.state WHEN 'delivered' THEN 'http:200' ELSE 'http:422' END,
           CASE make.state WHEN 'delivered' THEN NULL ELSE 'validation' END
      FROM integration.endpoint e WHERE e.name = make.endpoint;
    IF make.state IN ('failed', 'retrying') THEN
        UPDATE integration.queue
           SET state = make.state, charged = 1, claimed_at = NULL,
               due_at = CASE make.state WHEN 'retrying' THEN now() + interval '1 hour' ELSE due_at END, change_xid = '3'
         WHERE outbox_id = sync;
        PERFORM integration_worker.recall_attempts(ARRAY[sync]);
        INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at)
        SELECT e.id, o.object_type, o.object_id, CASE make.state WHEN 'failed' THEN 'failed' ELSE 'failing' END, o.id, now()
          FROM integration.outbox o JOIN integration.endpoint e ON e.name = o.endpoint WHERE o.id = sync;
        RETURN sync;
    END IF;
    DELETE FROM integration.queue WHERE outbox_id = sync;
    IF make.state <> 'delivered' THEN
        INSERT INTO integration.closing (outbox_id, state, superseded_by)
        VALUES (sync, make.state, CASE make.state WHEN 'superseded' THEN sync + 1000 END);
    END IF;
    RETURN sync;
END
$$;

-- What one call makes of a sync: the answer, the state before in the record of it, the state after.
CREATE FUNCTION pg_temp.outcome(call text, state text) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint := pg_temp.make(state);
    said text := pg_temp.refusal(format(call, sync));
BEGIN
    RETURN regexp_replace(said, '\m' || sync || '\M', 'N', 'g') || ', ' || (SELECT s.state FROM integration.sync s WHERE s.id = sync)
           || coalesce(', on record as ' || (SELECT a.verb || ' of ' || (a.details ->> 'state') || ' by ' || a.actor || ' because ' || a.reason
                                               FROM integration.action a WHERE a.outbox_id = sync), '');
END
$$;

-- retry
SELECT is(pg_temp.outcome($$SELECT integration.retry(%s, 'fixed')$$, state), expected, 'retry of ' || state)
  FROM (VALUES
    ('pending', 'accepted, pending, on record as retry of pending by ' || session_user || ' because fixed'),
    ('retrying', 'accepted, pending, on record as retry of retrying by ' || session_user || ' because fixed'),
    ('failed', 'accepted, pending, on record as retry of failed by ' || session_user || ' because fixed'),
    ('cancelled', 'accepted, pending, on record as retry of cancelled by ' || session_user || ' because fixed'),
    ('delivered', '55000 sync N is delivered and cannot be retried | To send it once more: SELECT integration.replay(N)., delivered'),
    ('expired', '55000 sync N is expired and cannot be retried | Its expires_at has passed. To send it all the same: '
                'SELECT integration.amend(N, NULL, ''why'')., expired')) AS c (state, expected);
SELECT matches(pg_temp.outcome($$SELECT integration.retry(%s)$$, 'superseded'),
               '^55000 sync N is superseded and cannot be retried \| Sync \d+ took its place: look at SELECT integration\.why\(\d+\)\., superseded$',
               'retry of superseded');
SELECT matches(pg_temp.refusal('SELECT integration.retry(9999999)'),
               '^42704 sync 9999999 does not exist \| Ids are what INSERT INTO integration\.outbox … RETURNING id gave', 'retry of an unknown id');
SELECT matches(pg_temp.refusal('SELECT integration.retry(NULL)'), '^42704 sync NULL does not exist', 'retry of NULL');

SELECT results_eq(
    'SELECT q.outbox_id, q.attempts, q.reason, q.error_class, q.http_status, q.error, q.last_attempt_at FROM integration.queue q WHERE q.last_attempt_at IS NOT NULL ORDER BY 1',
    'SELECT DISTINCT ON (a.outbox_id) a.outbox_id, a.attempt_no, a.reason, a.error_class, a.http_status, a.error, a.started_at
       FROM integration.attempt a JOIN integration.queue q ON q.outbox_id = a.outbox_id ORDER BY 1, a.attempt_no DESC', 'what is brought back knows what its last attempt came to');

CREATE TEMP TABLE made (name text PRIMARY KEY, id bigint);
INSERT INTO made SELECT s, pg_temp.make(s) FROM unnest('{failed,retrying,cancelled,pending}'::text[]) s;
UPDATE integration.queue SET claimed_at = now() WHERE outbox_id = (SELECT id FROM made WHERE name = 'failed');
SELECT is((SELECT integration.retry(id) FROM made WHERE name = m.name), 'pending', 'retry says what follows: ' || m.name) FROM made m;
SELECT results_eq(
    $$SELECT m.name, q.state, q.due_at <= now(), q.attempts, q.charged, q.claimed_at IS NULL, q.change_xid = pg_current_xact_id(), q.priority::int
        FROM made m JOIN integration.queue q ON q.outbox_id = m.id ORDER BY 1$$,
    $$VALUES ('cancelled', 'pending', true, 1, 0, true, true, 1), ('failed', 'pending', true, 1, 0, true, true, 1),
             ('pending', 'pending', true, 0, 0, true, true, 1), ('retrying', 'pending', true, 1, 1, true, true, 1)$$,
    'retried syncs are due, failed ones from the start of their schedule');
SELECT is_empty($$SELECT FROM integration.closing c JOIN made m ON m.id = c.outbox_id$$, 'a retried sync is not closed any more');
SELECT is((SELECT s.state FROM integration.sync_status s JOIN made m ON m.id = s.last_outbox_id WHERE m.name = 'failed'),
          'failing', 'the object of a retried sync is not failed any more');
SELECT is((SELECT due_at FROM integration.queue q JOIN made m ON m.id = q.outbox_id WHERE m.name = 'pending'),
          now() - interval '1 min', 'a sync that was due keeps its turn');

UPDATE integration.queue SET claimed_at = now(), change_xid = '3' WHERE outbox_id = (SELECT id FROM made WHERE name = 'pending');
SELECT is((SELECT integration.retry(id) FROM made WHERE name = 'pending'), 'pending', 'retry of what is being sent');
SELECT is((SELECT q.claimed_at = now() AND q.change_xid = '3' FROM integration.queue q JOIN made m ON m.id = q.outbox_id WHERE m.name = 'pending'),
          true, 'leaves the mark against a second request');

UPDATE integration.queue SET expires_at = now() - interval '1 s' WHERE outbox_id = (SELECT id FROM made WHERE name = 'failed');
SELECT matches(pg_temp.refusal((SELECT format('SELECT integration.retry(%s)', id) FROM made WHERE name = 'failed')),
               '^55000 sync \d+ is expired and cannot be retried \| Its expires_at has passed\.', 'a sync that has expired meanwhile is not retried');

-- cancel
SELECT is(pg_temp.outcome($$SELECT integration.cancel(%s, 'not needed')$$, state), expected, 'cancel of ' || state)
  FROM (VALUES
    ('pending', 'accepted, cancelled, on record as cancel of pending by ' || session_user || ' because not needed'),
    ('retrying', 'accepted, cancelled, on record as cancel of retrying by ' || session_user || ' because not needed'),
    ('failed', 'accepted, cancelled, on record as cancel of failed by ' || session_user || ' because not needed'),
    ('delivered', '55000 sync N is delivered and cannot be cancelled | What arrived cannot be taken back; insert a sync that corrects it., delivered'),
    ('cancelled', '55000 sync N is cancelled and cannot be cancelled | It will not be sent any more; there is nothing to cancel., cancelled'),
    ('expired', '55000 sync N is expired and cannot be cancelled | It will not be sent any more; there is nothing to cancel., expired'),
    ('superseded', '55000 sync N is superseded and cannot be cancelled | It will not be sent any more; there is nothing to cancel., superseded'))
    AS c (state, expected);
SELECT matches(pg_temp.refusal('SELECT integration.cancel(9999999)'), '^42704 sync 9999999 does not exist', 'cancel of an unknown id');
SELECT is((SELECT integration.cancel(pg_temp.make('pending'), ' ')), 'cancelled', 'a blank reason is none');
SELECT is((SELECT c.reason FROM integration.closing c ORDER BY c.outbox_id DESC LIMIT 1), NULL, 'in the record, too');

-- cancel under an ordering key
INSERT INTO made VALUES ('head', pg_temp.make('failed', 'k')), ('second', pg_temp.make('pending', 'k')), ('third', pg_temp.make('pending', 'k'));
UPDATE integration.queue SET change_xid = '3' WHERE ordering_key = 'k';
SELECT lives_ok($$SELECT integration.cancel(id) FROM made WHERE name = 'head'$$, 'the head of an ordering key is cancelled');
SELECT results_eq(
    $$SELECT m.name, q.change_xid = pg_current_xact_id() FROM made m JOIN integration.queue q ON q.outbox_id = m.id WHERE q.ordering_key = 'k' ORDER BY m.id$$,
    $$VALUES ('second', true), ('third', false)$$, 'the next one turns up in the feed');
SELECT lives_ok($$SELECT integration.retry(id) FROM made WHERE name = 'head'$$, 'the cancelled head is brought back');
SELECT is((SELECT s.blocked_by FROM integration.sync s JOIN made USING (id) WHERE made.name = 'second'), 'ordering_key', 'at its old place');

-- amend
SELECT matches(pg_temp.outcome($$SELECT integration.amend(%s, '{"v": 2}', 'typing error')$$, state), expected, 'amend of ' || state)
  FROM (VALUES
    ('pending', '^accepted, superseded, on record as amend of pending by .* because typing error$'),
    ('retrying', '^accepted, superseded, on record as amend of retrying'),
    ('failed', '^accepted, superseded, on record as amend of failed'),
    ('cancelled', '^accepted, cancelled, on record as amend of cancelled'),
    ('expired', '^accepted, expired, on record as amend of expired'),
    ('delivered', '^55000 sync N is delivered and cannot be amended \| Insert a new row with the corrected payload into integration\.outbox\., delivered$'),
    ('superseded', '^55000 sync N is superseded and cannot be amended \| Sync \d+ took its place: amend that one\., superseded$')) AS c (state, expected);
INSERT INTO made VALUES ('wrong', pg_temp.make('failed'));
INSERT INTO made SELECT 'right', integration.amend(id, '{"v": 2}', 'typing error') FROM made WHERE name = 'wrong';
SELECT results_eq(
    $$SELECT c.payload, c.replay_of = m.id, c.headers = o.headers, c.object_id = o.object_id, c.priority = o.priority, c.impact = o.impact,
             c.triggered_by = o.triggered_by, c.dedup_key
        FROM made m JOIN integration.outbox o ON o.id = m.id, made r JOIN integration.outbox c ON c.id = r.id
       WHERE m.name = 'wrong' AND r.name = 'right'$$,
    $$VALUES ('{"v": 2}'::jsonb, true, true, true, true, true, true, NULL::text)$$, 'the copy has everything but the payload, and no dedup_key');
SELECT results_eq($$SELECT s.state, s.superseded_by FROM integration.sync s JOIN made USING (id) WHERE made.name = 'wrong'$$,
                  $$SELECT 'superseded', id FROM made WHERE name = 'right'$$, 'the old one says what took its place');
SELECT is((SELECT s.state FROM integration.sync s JOIN made USING (id) WHERE made.name = 'right'), 'pending', 'the copy is to be sent');
INSERT INTO made SELECT 'sent all the same', integration.amend(pg_temp.make('expired'), NULL);
SELECT is((SELECT payload FROM integration.outbox JOIN made USING (id) WHERE made.name = 'sent all the same'), '{"v": 1}',
          'without a payload the copy has the old one');
SELECT is((SELECT count(*)::int FROM integration.outbox WHERE expires_at < now()), 0, 'a copy does not expire because its original did');
SELECT matches(pg_temp.refusal($$SELECT integration.amend(9999999, '{}')$$), '^42704 sync 9999999 does not exist', 'amend of an unknown id');

INSERT INTO made VALUES ('first of o', pg_temp.make('failed', 'o')), ('second of o', pg_temp.make('pending', 'o'));
INSERT INTO made SELECT 'copy of o', integration.amend(id, '{"v": 2}') FROM made WHERE name = 'first of o';
INSERT INTO made SELECT 'copy of the copy', integration.amend(id, '{"v": 3}') FROM made WHERE name = 'copy of o';
SELECT results_eq(
    $$SELECT m.name, s.blocked_by FROM made m JOIN integration.sync s USING (id)
       WHERE m.name IN ('second of o', 'copy of the copy') ORDER BY 1$$,
    $$VALUES ('copy of the copy', NULL), ('second of o', 'ordering_key')$$, 'a copy has the place of its original under an ordering key');

SELECT integration.cancel(id) FROM made WHERE name = 'copy of the copy' \g /dev/null
SELECT integration.retry(id) FROM made WHERE name = 'copy of the copy' \g /dev/null
SELECT is((SELECT q.place FROM integration.queue q JOIN made ON made.id = q.outbox_id WHERE made.name = 'copy of the copy'),
          (SELECT id FROM made WHERE name = 'first of o'), 'also when it was cancelled and brought back');
SELECT integration.cancel(id) FROM made WHERE name = 'copy of the copy' \g /dev/null
SELECT integration.amend(id, '{"v": 4}') AS amended FROM made WHERE name = 'copy of the copy' \gset
SELECT is((SELECT q.place FROM integration.queue q WHERE q.outbox_id = :amended),
          (SELECT id FROM made WHERE name = 'first of o'), 'or cancelled and amended');

INSERT INTO made VALUES ('given up', pg_temp.make('cancelled'));
SELECT lives_ok($$SELECT integration.amend(id, '{"v": 2}') FROM made WHERE name = 'given up'$$, 'a cancelled sync is amended');
SELECT matches(pg_temp.refusal((SELECT format('SELECT integration.retry(%s)', id) FROM made WHERE name = 'given up')),
               '^55000 sync \d+ is cancelled and cannot be retried \| Sync \d+ took its place', 'and not sent beside its copy');

-- replay
SELECT matches(pg_temp.outcome($$SELECT integration.replay(%s, 'lost there')$$, state), expected, 'replay of ' || state)
  FROM (VALUES
    ('delivered', '^accepted, delivered$'),
    ('pending', '^55000 sync N is pending and cannot be replayed \| It is not delivered yet and will be sent'),
    ('retrying', '^55000 sync N is retrying and cannot be replayed \| It is not delivered yet and will be sent'),
    ('failed', '^55000 sync N is failed and cannot be replayed \| It was never delivered: SELECT integration\.retry\(N, ''why''\)\.'),
    ('cancelled', '^55000 sync N is cancelled and cannot be replayed \| It was never delivered: SELECT integration\.retry'),
    ('expired', '^55000 sync N is expired and cannot be replayed \| It was never delivered: SELECT integration\.amend\(N, NULL'),
    ('superseded', '^55000 sync N is superseded and cannot be replayed')) AS c (state, expected);
SELECT results_eq(
    $$SELECT a.verb, a.reason, (a.details ->> 'copy')::bigint = o.id, s.state
        FROM integration.outbox o JOIN integration.action a ON a.outbox_id = o.replay_of JOIN integration.sync s ON s.id = o.id
       WHERE a.verb = 'replay'$$,
    $$VALUES ('replay', 'lost there', true, 'pending')$$, 'the copy is marked, on record and to be sent');
INSERT INTO made VALUES ('b1', pg_temp.make('delivered', 'r', 'bill')), ('b2', pg_temp.make('delivered', 'r', 'bill')), ('b3', pg_temp.make('failed', NULL, 'bill'));
SELECT is(integration.replay('bill', now() - interval '1 min'), 2::bigint, 'replay of an endpoint says how many');
SELECT results_eq($$SELECT m.name FROM integration.outbox o JOIN made m ON m.id = o.replay_of WHERE o.endpoint = 'bill' ORDER BY o.id$$,
                  $$VALUES ('b1'), ('b2')$$, 'in their old order');
SELECT is(integration.replay('bill', now() - interval '2 min', now() - interval '1 min'), 0::bigint, 'only what was delivered in that time');
SELECT matches(pg_temp.refusal($$SELECT integration.replay('nope', now())$$),
               '^42704 endpoint "nope" does not exist \| Names are in SELECT name FROM integration\.endpoint_status\.', 'replay of an unknown endpoint');
SELECT matches(pg_temp.refusal($$SELECT integration.replay('bill', NULL::timestamptz)$$), '^22004 replay needs to know since when \| Write SELECT', 'replay without a time');

-- retry_where
INSERT INTO made VALUES ('w1', pg_temp.make('failed', NULL, 'bill')), ('w2', pg_temp.make('retrying', NULL, 'bill'));
SELECT is(integration.retry_where('bill', 'auth'), 0::bigint, 'nothing of that class');
SELECT is(integration.retry_where('bill', since => now()), 0::bigint, 'nothing that late');
SELECT is(integration.retry_where('bill', until => now() - interval '1 hour'), 0::bigint, 'nothing that early');
SELECT is(integration.retry_where('bill', customer => 'acme'), 0::bigint, 'nothing of that customer');
SELECT is(integration.retry_where('bill', 'validation', now() - interval '1 min', now(), reason => 'fixed there'), 2::bigint, 'those that fit, failed ones only');
SELECT results_eq(
    $$SELECT m.name, q.state, q.charged, q.change_xid = pg_current_xact_id() FROM made m JOIN integration.queue q ON q.outbox_id = m.id
       WHERE m.name IN ('b3', 'w1', 'w2') ORDER BY 1$$,
    $$VALUES ('b3', 'pending', 0, true), ('w1', 'pending', 0, true), ('w2', 'retrying', 1, false)$$, 'are due');
SELECT is((SELECT count(*)::int FROM integration.action a JOIN made m ON m.id = a.outbox_id WHERE a.reason = 'fixed there' AND m.name IN ('b3', 'w1')),
          2, 'each is on record');
SELECT ok(integration.retry_where(customer => 'acme') > 0, 'the endpoint''s customer counts where the sync names none');
SELECT is((SELECT count(*)::int FROM integration.failed WHERE customer = 'acme' AND expires_at IS NULL), 0, 'all of them');
SELECT matches(pg_temp.refusal($$SELECT integration.retry_where('nope')$$), '^42704 endpoint "nope" does not exist', 'an unknown endpoint is an error');
SELECT matches(pg_temp.refusal($$SELECT integration.retry_where(error_class => 'nope')$$),
               '^42704 error class "nope" does not exist \| Classes are in SELECT name, title FROM integration\.error_class\.', 'so is an unknown class');
SELECT matches(pg_temp.refusal($$SELECT integration.retry_where(reason => 'why')$$),
               '^22023 retry_where needs to know which syncs \| Name an endpoint', 'everything is not retried by accident');

-- A replay that was delivered is not replayed beside what it repeats.
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason)
SELECT o.id, 99, e.id, now(), 'delivered', 'http:200'
  FROM integration.outbox o JOIN integration.endpoint e ON e.name = o.endpoint
 WHERE o.endpoint = 'bill' AND o.replay_of IN (SELECT outbox_id FROM integration.attempt WHERE outcome = 'delivered');
SELECT is(integration.replay('bill', since => '-infinity'),
          (SELECT count(*) FROM integration.outbox o
            WHERE o.endpoint = 'bill' AND o.operation <> 'ping' AND o.replay_of IS NULL
              AND EXISTS (SELECT FROM integration.attempt a WHERE a.outbox_id = o.id AND a.outcome = 'delivered')),
          'a replay is not replayed');

-- ping
INSERT INTO made SELECT 'ping', integration.ping('bill');
SELECT results_eq(
    $$SELECT o.operation, o.payload, q.priority::int, q.expires_at > now() FROM made m JOIN integration.outbox o USING (id) JOIN integration.queue q ON q.outbox_id = o.id
       WHERE m.name = 'ping'$$,
    $$VALUES ('ping', '{}'::jsonb, 0, true)$$, 'a ping goes before everything else and does not wait for long');
SELECT is((SELECT verb || ' ' || endpoint FROM integration.action a JOIN made m ON m.id = a.outbox_id WHERE m.name = 'ping'), 'ping bill', 'it is on record');
UPDATE integration.endpoint SET payload_check = '$.id > 0' WHERE name = 'bill';
SELECT is(pg_temp.refusal($$SELECT integration.ping('bill')$$), 'accepted', 'a payload_check does not concern it');
SELECT matches(pg_temp.refusal($$SELECT integration.ping('nope')$$), '^42704 endpoint "nope" does not exist', 'ping of an unknown endpoint');
SELECT is((SELECT count(*)::int FROM integration.outbox WHERE replay_of IN (SELECT id FROM made WHERE name = 'ping')), 0, 'a ping is not replayed');

SELECT * FROM finish();
ROLLBACK;
