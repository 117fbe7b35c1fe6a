-- What each integration brought, what it cost, within 30 days.
BEGIN;
SELECT plan(18);

INSERT INTO integration.connector (name, owner, status) VALUES ('erp', 'erp team', 'active'), ('crm', NULL, 'deprecated'), ('old', NULL, 'retired'), ('bare', 'bare team', 'active');
INSERT INTO integration.endpoint (name, connector, url) VALUES
    ('shop', 'erp', 'https://shop.example.com/'), ('bill', 'erp', 'https://bill.example.com/'), ('mail', 'crm', 'https://mail.example.com/'),
    ('fax', 'old', 'https://fax.example.com/'), ('alone', NULL, 'https://alone.example.com/');
INSERT INTO integration.sync_count (day, endpoint, customer, syncs, delivered, failures)
SELECT (now() AT TIME ZONE 'UTC')::date - x.age, x.endpoint, x.customer, x.syncs, x.delivered, x.failures
  FROM (VALUES (0, 'shop', 'acme', 10, 8, 5), (29, 'shop', 'bolt', 10, 10, 0), (31, 'shop', 'corn', 99, 99, 99), (1, 'bill', 'acme', 20, 20, 1),
               (1, 'bill', '', 5, 5, 0), (2, 'mail', 'acme', 4, 0, 40)) AS x (age, endpoint, customer, syncs, delivered, failures);

CREATE FUNCTION pg_temp.usage(subject text, of text DEFAULT 'endpoint') RETURNS integration.usage
    LANGUAGE sql
AS $$
    SELECT u.* FROM integration.usage u WHERE u.scope = usage.of AND coalesce(u.endpoint, u.connector) = usage.subject
$$;

SELECT results_eq('SELECT u.scope, u.connector, u.endpoint FROM integration.usage u ORDER BY 1, 2, 3',
    $$VALUES ('connector', 'bare', NULL), ('connector', 'crm', NULL), ('connector', 'erp', NULL), ('connector', 'old', NULL), ('endpoint', 'crm', 'mail'),
             ('endpoint', 'erp', 'bill'), ('endpoint', 'erp', 'shop'), ('endpoint', 'old', 'fax'), ('endpoint', NULL, 'alone')$$,
    'each connector and each endpoint has a row');
SELECT is((SELECT ROW (u.owner, u.syncs, u.delivered, u.delivered_share, u.failures, u.customers)::text FROM pg_temp.usage('shop') u),
          '("erp team",20,18,0.9000,5,2)', 'what it brought, for whom; what is older doesn''t count');
SELECT is((SELECT ROW (u.syncs, u.delivered, u.failures, u.customers)::text FROM pg_temp.usage('erp', 'connector') u), '(45,43,6,2)',
          'together, each customer once');
SELECT is((SELECT u.owner FROM pg_temp.usage('erp', 'connector') u), 'erp team', 'a connector''s owner');

-- Time of trouble
INSERT INTO integration.incident (endpoint, error_class, state, opened_at, resolved_at) VALUES
    ('shop', 'auth', 'resolved', now() - interval '40 days', now() - interval '29 days'),
    ('shop', 'tls', 'resolved', now() - interval '5 h', now() - interval '3 h'),
    ('shop', 'dns', 'resolved', now() - interval '4 h', now() - interval '2 h'),
    ('bill', 'tls', 'open', now() - interval '3 h', NULL),
    ('mail', 'tls', 'resolved', now() - interval '40 days', now() - interval '35 days');
SELECT is((SELECT ROW (u.incidents, date_trunc('hour', u.time_failing + interval '5 min'))::text FROM pg_temp.usage('shop') u), '(3,27:00:00)', 'what overlaps counts once, what is older not at all');
SELECT is((SELECT ROW (u.incidents, date_trunc('hour', u.time_failing + interval '5 min'))::text FROM pg_temp.usage('erp', 'connector') u), '(4,29:00:00)', 'of endpoints together as well');
SELECT is((SELECT u.incidents FROM pg_temp.usage('mail') u), 0::bigint, 'an old one is forgotten');

-- People's work, what waits, the last success
INSERT INTO integration.outbox (endpoint, payload) VALUES ('bill', '{}') RETURNING id AS sync \gset
INSERT INTO integration.action (at, verb, endpoint, outbox_id, actor) VALUES
    (now(), 'retry', NULL, :sync, 'ann'), (now(), 'pause', 'bill', NULL, 'ann'), (now(), 'escalate', 'bill', NULL, 'integration'),
    (now() - interval '31 days', 'pause', 'bill', NULL, 'ann'), (now(), 'pause', NULL, NULL, 'ann');
INSERT INTO integration.endpoint_health (endpoint_id, last_success_at) SELECT e.id, '2026-01-02 03:04:05+00' FROM integration.endpoint e WHERE e.name = 'shop';
SELECT is((SELECT ROW (u.actions, u.waiting)::text FROM pg_temp.usage('bill') u), '(2,t)', 'what people did, about it or a sync of it; it waits');
SELECT is((SELECT ROW (u.actions, u.waiting, u.last_success_at = '2026-01-02 03:04:05+00')::text FROM pg_temp.usage('erp', 'connector') u), '(2,t,t)', 'of a connector: any of its endpoints');

-- What stands out
SELECT is(u.finding, x.finding, coalesce(x.finding, 'nothing stands out'))
  FROM (VALUES ('bill', NULL), ('mail', 'It is deprecated, and still in use.'), ('fax', 'It is retired, and nobody uses it any more: it can go.'),
               ('alone', 'Nobody has asked for anything.')) AS x (endpoint, finding)
  JOIN integration.usage u ON u.scope = 'endpoint' AND u.endpoint = x.endpoint;
SAVEPOINT before;
INSERT INTO integration.endpoint_health (endpoint_id, last_success_at) SELECT e.id, now() FROM integration.endpoint e WHERE e.name = 'alone';
SELECT is((pg_temp.usage('alone')).finding, NULL, 'what was delivered and is not counted yet was asked for');
ROLLBACK TO before;
UPDATE integration.connector SET status = 'active';
SELECT is((pg_temp.usage('mail')).finding, 'Nothing of what was asked has arrived.', 'failures only');
UPDATE integration.incident SET opened_at = now() - interval '4 days' WHERE resolved_at IS NULL;
SELECT is((pg_temp.usage('bill')).finding, 'It was failing for more than a tenth of the time.', 'trouble');

INSERT INTO integration.outbox (endpoint, payload) VALUES ('alone', '{}');
SELECT is((pg_temp.usage('alone')).finding, NULL, 'what is not counted yet stands out by nothing');
INSERT INTO integration.endpoint_health (endpoint_id, last_success_at) SELECT e.id, now() FROM integration.endpoint e WHERE e.name = 'mail';
SELECT is((pg_temp.usage('mail')).finding, NULL, 'nor does what has delivered since');

SELECT * FROM finish();
ROLLBACK;
