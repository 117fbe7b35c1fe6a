-- What waits behind each kill switch is visible: how much, whose, since when, what ends it.
BEGIN;
SELECT plan(14);

INSERT INTO integration.connector (name) VALUES ('erp'), ('crm');
INSERT INTO integration.endpoint (name, connector, url, customer) VALUES
    ('shop', 'erp', 'https://shop.example.com/', NULL),
    ('till', 'erp', 'https://till.example.com/', 'acme'),
    ('mail', 'crm', 'https://mail.example.com/', NULL);
CREATE TEMP TABLE made AS
WITH o AS (
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer, impact, created_at)
    VALUES ('shop', 'order', 'A', '{}', 'acme', 10, now() - interval '3 h'),
           ('shop', 'order', 'A', '{}', 'acme', 5, now() - interval '2 h'),
           ('shop', 'order', 'B', '{}', 'globex', NULL, now() - interval '1 h'),
           ('till', NULL, NULL, '{}', NULL, 100, now()),
           ('till', NULL, NULL, '{}', 'globex', NULL, now()),
           ('mail', NULL, NULL, '{}', NULL, NULL, now())
    RETURNING id
) SELECT row_number() OVER (ORDER BY id) AS n, id FROM o;
UPDATE integration.queue SET state = 'failed' WHERE outbox_id = (SELECT id FROM made WHERE n = 2);

CREATE FUNCTION pg_temp.behind(scope text, name text DEFAULT NULL) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', s.waiting, s.endpoints, s.objects, s.customers, coalesce(s.impact::text, '-'), coalesce(m.n::text, '-'))
      FROM integration.pause_status s
      LEFT JOIN made m ON m.id = s.oldest
     WHERE s.scope = behind.scope AND s.name IS NOT DISTINCT FROM behind.name
$$;

SELECT is_empty('SELECT FROM integration.pause_status', 'no pause, no row');
DO $$
BEGIN
    PERFORM integration.pause('endpoint', 'shop', 'moving', now() + interval '1 h');
    PERFORM integration.pause('connector', 'erp', 'new version');
    PERFORM integration.pause('customer', 'acme', 'unpaid');
    PERFORM integration.pause('customer', 'nobody', 'a slip');
    PERFORM integration.pause('all', NULL, 'fire');
END
$$;
SELECT is(pg_temp.behind('endpoint', 'shop'), '2 1 2 2 10 1', 'an endpoint: what waits, without what is failed');
SELECT is(pg_temp.behind('connector', 'erp'), '4 2 2 2 110 1', 'a connector: of all its endpoints');
SELECT is(pg_temp.behind('customer', 'acme'), '3 2 1 2 110 1',
          'a customer: its own syncs at any endpoint, and whatever goes to its endpoint, each once');
SELECT is(pg_temp.behind('customer', 'nobody'), '0 0 0 0 - -', 'nothing waits behind it, yet it is in force');
SELECT is(pg_temp.behind('all'), '5 3 2 2 110 1', 'everything');
SELECT results_eq($$SELECT reason, actor, error_class, since, until, oldest_at FROM integration.pause_status WHERE scope = 'endpoint'$$,
    $$VALUES ('moving', session_user, NULL::text, now(), now() + interval '1 h', now() - interval '3 h')$$, 'why, who, since and until when');
SELECT results_eq($$SELECT scope FROM integration.pause_status WHERE impact IS NULL OR impact = 10$$, $$VALUES ('endpoint'), ('customer')$$, 'most at stake first');
SELECT results_eq('SELECT next_step FROM integration.pause_status ORDER BY 1', $$VALUES
    ('SELECT integration.resume(''all'', NULL, ''why'');'),
    ('SELECT integration.resume(''connector'', ''erp'', ''why'');'), ('SELECT integration.resume(''customer'', ''acme'', ''why'');'),
    ('SELECT integration.resume(''customer'', ''nobody'', ''why'');'), ('SELECT integration.resume(''endpoint'', ''shop'', ''why'');')$$,
    'the statement that ends each');

-- each statement does end it
DO $$
DECLARE
    step text;
BEGIN
    FOR step IN SELECT next_step FROM integration.pause_status WHERE scope <> 'endpoint' LOOP
        EXECUTE step;
    END LOOP;
END
$$;
SELECT results_eq('SELECT scope FROM integration.pause_status', $$VALUES ('endpoint')$$, 'which does end it');
UPDATE integration.pause SET until = now() - interval '1 s';
SELECT is_empty('SELECT FROM integration.pause_status', 'when its time is over nothing is held any more');

-- the copy of a database
INSERT INTO integration.pause (scope, name, reason) VALUES ('all', 'copied_database', 'This database is a copy.');
SELECT results_eq('SELECT scope, name, waiting, next_step FROM integration.pause_status',
    $$VALUES ('all', NULL::text, 5::bigint, 'SELECT integration.adopt(''why'');')$$, 'a copy is ended by taking over');

-- one that somebody makes in place of the endpoint's own is theirs
INSERT INTO integration.pause (scope, name, reason, actor, error_class) VALUES ('endpoint', 'mail', 'closed for good', 'integration', 'gone');
SELECT lives_ok($$SELECT integration.pause('endpoint', 'mail', 'we look into it')$$, 'an endpoint that has paused itself can be paused by hand');
SELECT is((SELECT ROW (p.actor = session_user, p.error_class)::text FROM integration.pause_status p WHERE p.name = 'mail'), '(t,)',
          'a pause by hand takes the place of the endpoint''s own');

SELECT * FROM finish();
ROLLBACK;
