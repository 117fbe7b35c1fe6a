-- What no result says is looked for: incidents that a watchdog opens, ends; one that fails.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(25);

INSERT INTO integration.connector (name, owner, severity) VALUES ('crm', 'sales-it', 2);
INSERT INTO integration.endpoint (name, url, connector, customer) VALUES ('shop', 'https://api.example.com/', 'crm', 'acme');

CREATE FUNCTION pg_temp.incident(endpoint text, error_class text) RETURNS integration.incident
    LANGUAGE sql
AS $$
    SELECT i.* FROM integration.incident i
     WHERE i.endpoint = incident.endpoint AND i.error_class = incident.error_class ORDER BY i.id DESC LIMIT 1
$$;

-- Opened and ended
SELECT integration_worker.open_incident('shop', 'queue_growing', now(), 'twice as many as an hour ago') AS grown \gset
SELECT is((SELECT ROW (i.id, i.state, i.severity, i.owner, i.responsible, i.customers, i.note, i.opened_at = now())::text FROM pg_temp.incident('shop', 'queue_growing') i),
          format('(%s,open,2,sales-it,operations,1,"twice as many as an hour ago",t)', :grown), 'with what the registry says');
SELECT is((SELECT i.remedy FROM pg_temp.incident('shop', 'queue_growing') i),
          (SELECT k.remedy FROM integration.error_class k WHERE k.name = 'queue_growing'), 'and the class');
SELECT is(integration_worker.open_incident('shop', 'queue_growing', now()), NULL, 'one at a time');
SELECT is((SELECT array_agg(c.change) FROM integration_worker.distribute_changes() c WHERE c.incident = :grown), '{opened}', 'people are told once');
SELECT pg_temp.bring(pg_temp.enqueue('shop'), 'http:422');
SELECT pg_temp.bring(s.sync, 'http:200', at => now() + interval '1 min')
  FROM pg_temp.enqueue('shop') AS s (sync);
SELECT integration.cancel(q.outbox_id, 'wrong data') FROM integration.queue q;
SELECT pg_temp.bring(pg_temp.enqueue('shop'), 'http:200', at => now() + interval '2 min');
SELECT is((pg_temp.incident('shop', 'validation')).state, 'resolved', 'a delivery ends what results have opened');
SELECT is((pg_temp.incident('shop', 'queue_growing')).state, 'open', 'not what a watchdog has');
SELECT is((integration_worker.plain_endpoints(ARRAY[(SELECT e.id FROM integration.endpoint e)], now() + interval '2 min')).ids,
          ARRAY[(SELECT e.id FROM integration.endpoint e)], 'whose incident keeps deliveries on the straight way');
SELECT is(integration_worker.end_incident('shop', 'queue_growing', now() + interval '3 min'), :grown::bigint, 'the watchdog ends it');
SELECT is((SELECT ROW (i.state, i.resolved_at = now() + interval '3 min', i.resolution, i.worked)::text FROM pg_temp.incident('shop', 'queue_growing') i),
          format('(resolved,t,"cancel by %s: ""wrong data""",t)', session_user), 'when, what was done meanwhile');
SELECT is(integration_worker.end_incident('shop', 'queue_growing', now()), NULL, 'once');
SELECT is(integration_worker.open_incident('shop', 'queue_growing', now() + interval '20 h', 'again'), :grown::bigint, 'back within a day: the same');
SELECT is((SELECT ROW (i.state, i.reopened, i.note, i.resolution)::text FROM pg_temp.incident('shop', 'queue_growing') i), '(open,1,again,)', 'open again');
SELECT is((SELECT array_agg(c.change ORDER BY c.id) FROM integration_worker.distribute_changes() c WHERE c.incident = :grown), '{resolved,reopened}', 'people are told');
SELECT integration.ignore(:grown, 'we know');
SELECT is(integration_worker.end_incident('shop', 'queue_growing', now()), NULL, 'who ignores it ends it');
SELECT integration_worker.open_incident('', 'worker_silent', now());
SELECT is((SELECT ROW (i.severity, i.owner, i.customers)::text FROM pg_temp.incident('', 'worker_silent') i), '(1,,0)', 'of the whole database: the worst');
SELECT is(integration_worker.open_incident('shop', 'no_such_class', now()), NULL, 'no such class: no incident, no error');

-- Looking
CREATE FUNCTION integration_worker.good(now timestamptz) RETURNS timestamptz
    LANGUAGE sql AS $$ SELECT now + interval '10 s' $$;
CREATE FUNCTION integration_worker.bad(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'out of order'; END $$;
CREATE FUNCTION integration_worker.slow(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql AS $$ BEGIN RAISE query_canceled USING MESSAGE = 'too slow'; END $$;
CREATE FUNCTION integration_worker.locked(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql AS $$ BEGIN RAISE lock_not_available; END $$;
SET client_min_messages = error;
SELECT is(integration_worker.watch('good', now()), now() + interval '10 s', 'a watchdog says when it looks again');
SELECT is(ARRAY(SELECT integration_worker.watch(w, now()) FROM unnest('{bad,slow}'::text[]) AS w),
          ARRAY[now() + interval '1 min', now() + interval '1 min'], 'one that fails looks in a minute');
SELECT is(ARRAY(SELECT ROW (f.name, f.since = now(), f.error)::text FROM integration_worker.failing_watchdog f ORDER BY f.name),
          '{"(bad,t,\"out of order\")","(slow,t,\"too slow\")"}', 'and is remembered');
SELECT integration_worker.watch(w, now() + interval '1 min') FROM unnest('{bad,slow}'::text[]) AS w;
SELECT is((SELECT array_agg(DISTINCT f.since) FROM integration_worker.failing_watchdog f), ARRAY[now()], 'since when');
CREATE OR REPLACE FUNCTION integration_worker.bad(now timestamptz) RETURNS timestamptz LANGUAGE sql AS $$ SELECT NULL::timestamptz $$;
SELECT is(integration_worker.watch('bad', now()), now() + interval '1 min', 'one that has no wish looks in a minute');
SELECT is(ARRAY(SELECT f.name FROM integration_worker.failing_watchdog f), '{slow}', 'one that works again is forgotten');
SELECT is(integration_worker.watch('locked', now()), now() + interval '1 s', 'a lock was not to be had: soon');
SELECT is((SELECT count(*) FROM integration_worker.failing_watchdog f WHERE f.name = 'locked'), 0::bigint, 'which is no fault');
SELECT ok(integration_worker.hurried_watchdogs() <@ integration_worker.watchdogs(), 'those that hurry are among all');

SELECT * FROM finish();
ROLLBACK;
