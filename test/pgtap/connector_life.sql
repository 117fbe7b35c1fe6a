-- A connector's life: active, deprecated, retired; the version of its API on each attempt.
BEGIN;
\ir ../lib/settle.sql
\ir ../lib/refusal.sql
SELECT plan(23);

INSERT INTO integration.connector (name, api_version) VALUES ('erp', 'v1'), ('crm', NULL);
INSERT INTO integration.endpoint (name, connector, url) VALUES
    ('shop', 'erp', 'https://shop.example.com/'), ('mail', 'crm', 'https://mail.example.com/'), ('bare', NULL, 'https://bare.example.com/');

SELECT is((SELECT ROW (c.status, c.api_version, c.objective)::text FROM integration.endpoint_config c WHERE c.name = 'shop'),
          '(active,v1,0.9999)', 'what is not said: active, four nines');
SELECT is((SELECT ROW (c.status, c.api_version, c.objective)::text FROM integration.endpoint_config c WHERE c.name = 'bare'),
          '(active,,0.9999)', 'an endpoint without a connector too');

-- Rows that mean something
SELECT is(pg_temp.refusal('UPDATE integration.connector SET ' || change || ' WHERE name = ''erp'''), expected, change)
  FROM (VALUES
    ($$status = 'dead'$$,
     '23514 status "dead" of connector "erp" is not known | Write active, deprecated (whoever enqueues is warned) or retired (nothing is enqueued any more).'),
    ($$objective = 1$$,
     '23514 objective of connector "erp" cannot be used | It is 1. | Write the share of syncs that should be delivered in time, above 0 and below 1, such as 0.999.'),
    ($$objective = 99.9$$,
     '23514 objective of connector "erp" cannot be used | It is 99.9. | Write the share of syncs that should be delivered in time, above 0 and below 1, such as 0.999.')
  ) AS x (change, expected);

-- Each attempt says which version it was made for
CREATE FUNCTION pg_temp.sent(reason text, endpoint text DEFAULT 'shop', ordering_key text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint := pg_temp.enqueue(sent.endpoint, 'PO-1001', sent.ordering_key);
BEGIN
    PERFORM pg_temp.bring(sync, sent.reason);
    RETURN coalesce((SELECT a.api_version FROM pg_temp.last_attempt(sync) a), 'none');
END
$$;
SELECT is(pg_temp.sent('http:200'), 'v1', 'the first delivery, by the rules');
SELECT is(pg_temp.sent('http:200'), 'v1', 'a plain delivery');
SELECT is(pg_temp.sent('http:200', ordering_key => 'k'), 'v1', 'a delivery that is not plain');
SELECT is(pg_temp.sent('http:422'), 'v1', 'a failure');
SELECT is(pg_temp.sent('http:200', e) || pg_temp.sent('http:200', e), 'nonenone', 'none where none is known: ' || e) FROM unnest('{mail,bare}'::text[]) e;
UPDATE integration.connector SET api_version = 'v2' WHERE name = 'erp';
SELECT is(pg_temp.sent('http:200'), 'v2', 'another version from then on');
SELECT is((SELECT string_agg(coalesce(pg_temp.sent('http:200', e), 'none'), ' ' ORDER BY n)
             FROM unnest('{shop,mail,shop,bare}'::text[]) WITH ORDINALITY AS x (e, n)), 'v2 none v2 none', 'each batch by itself');
-- One batch of several endpoints, none of which is held up by an incident.
UPDATE integration.incident SET state = 'resolved', resolved_at = now() WHERE resolved_at IS NULL;
CREATE TEMP TABLE batch AS SELECT pg_temp.enqueue(e) AS sync, e, n FROM unnest('{bare,shop,mail,shop}'::text[]) WITH ORDINALITY AS x (e, n);
SELECT b.* FROM (SELECT array_agg(b.sync ORDER BY b.n) AS syncs FROM batch b) x
 CROSS JOIN LATERAL pg_temp.bring_all(x.syncs, array_fill('http:200'::text, ARRAY[4])) b \g /dev/null
SELECT results_eq('SELECT a.api_version FROM batch b JOIN integration.sync_attempt a ON a.outbox_id = b.sync ORDER BY b.n',
                  $$VALUES (NULL), ('v2'), (NULL), ('v2')$$, 'several endpoints in a batch: each its own');

-- Deprecated: it is taken, the session is told once
UPDATE integration.connector SET status = 'deprecated' WHERE name = 'erp';
SELECT is(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}')$$), 'accepted', 'deprecated: enqueued');

-- Retired: nothing new, what is there goes on
CREATE ROLE life_producer;
SELECT integration.grant_producer('life_producer') \g /dev/null

SELECT pg_temp.enqueue('shop', 'PO-7') AS waiting \gset
UPDATE integration.connector SET status = 'retired' WHERE name = 'erp';
SELECT is(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}')$$),
          '55000 connector "erp" is retired: endpoint "shop" takes no more syncs | What was enqueued before is still sent, and can be amended. | Send to an endpoint of what took its place, '
          'or have an administrator UPDATE integration.connector SET status = ''active'' WHERE name = ''erp''.', 'retired: refused');
SELECT is(pg_temp.refusal(format('INSERT INTO integration.outbox (endpoint, payload, %s', rest)), expected, what)
  FROM (VALUES ($$priority) VALUES ('shop', '{}', 'urgent')$$, '23514 priority "urgent" is not known | Write high, normal or low.', 'what else is wrong comes first')
       ) AS x (rest, expected, what);
SELECT is(pg_temp.refusal(format('SELECT integration.amend(%s, ''{"total": 1}'')', :waiting)), 'accepted', 'what was enqueued before can be amended');
SELECT is(pg_temp.refusal('SELECT integration.ping(''shop'')'), 'accepted', 'the endpoint can be pinged');
SELECT is(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload, replay_of) VALUES ('shop', '{}', 1)$$, 'life_producer') LIKE '55000%', true,
          'an application can''t pass for a person');
SELECT is(pg_temp.bring(max(o.id), 'http:200'), 'delivered', 'what was enqueued before is sent') FROM integration.outbox o WHERE o.replay_of = :waiting;
SELECT is(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload) VALUES ('mail', '{}')$$), 'accepted', 'other products are as before');
UPDATE integration.connector SET status = 'active' WHERE name = 'erp';
SELECT is(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}')$$), 'accepted', 'active again');

SELECT * FROM finish();
ROLLBACK;
