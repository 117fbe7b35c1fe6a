-- Figures for monitoring: Prometheus' text, the names that alerts and the dashboard use.
BEGIN;
SELECT plan(19);

\set alerts `cat docs/prometheus/alerts.yaml`
\set dashboard `cat docs/prometheus/grafana.json`
\set queries `cat docs/prometheus/postgres_exporter.yaml`

INSERT INTO integration.endpoint (name, url) VALUES ('we"ird\name', 'https://one.example.com/'), ('two', 'https://two.example.com/');
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason)
SELECT -n, 1, e.id, now() - n * interval '1 min', 40 * n, CASE n % 4 WHEN 0 THEN 'failed' ELSE 'delivered' END, 'http:200'
  FROM generate_series(1, 20) n, integration.endpoint e
 WHERE e.name = 'two';
INSERT INTO integration.endpoint_health (endpoint_id, state, last_success_at) SELECT e.id, 'stopped', now() FROM integration.endpoint e WHERE e.name = 'two';
INSERT INTO integration.outbox (endpoint, payload, created_at) SELECT 'two', '{}', now() - interval '1 h' FROM generate_series(1, 3);
UPDATE integration.queue q SET due_at = now() - interval '1 h' FROM integration.endpoint e WHERE e.id = q.endpoint_id AND e.name = 'two';
INSERT INTO integration.incident (endpoint, error_class, severity) VALUES ('two', 'auth', 1), ('two', 'dns', 4);
UPDATE integration.incident i SET state = 'ignored' WHERE i.error_class = 'dns';

CREATE TEMP TABLE line AS SELECT l.line, l.n FROM string_to_table(integration.prometheus(), E'\n') WITH ORDINALITY AS l (line, n);
CREATE FUNCTION pg_temp.value(series text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT substr(l.line, length(series) + 2) FROM line l WHERE starts_with(l.line, series || ' ')
$$;

SELECT is_empty($$SELECT l.line FROM line l
                   WHERE l.line !~ '^integration_[a-z_]+(\{([a-z]+="([^"\\]|\\["n\\])*",?)+\})? [0-9.e+]+$'
                     AND l.line !~ '^# (HELP|TYPE) integration_[a-z_]+ .+$' AND l.line <> ''$$, 'each line is one of the format');
SELECT is_empty($$SELECT substring(l.line FROM '^# TYPE (\S+)') FROM line l WHERE l.line LIKE '# TYPE%' GROUP BY 1 HAVING count(*) > 1$$, 'a family stands in one place');
SELECT is(pg_temp.value('integration_endpoint_backlog{endpoint="we\"ird\\name"}'), '0', 'a name is escaped');
SELECT is(pg_temp.value('integration_endpoint_backlog{endpoint="two"}'), (SELECT s.backlog::text FROM integration.endpoint_status s WHERE s.name = 'two'), 'backlog');
SELECT cmp_ok(pg_temp.value('integration_endpoint_oldest_due_seconds{endpoint="two"}')::numeric, '>=', 3600::numeric, 'age');
SELECT is(pg_temp.value('integration_endpoint_stopped{endpoint="two"}'), '1', 'stopped');
SELECT is(pg_temp.value('integration_incidents_open{severity="1"}'), (SELECT count(*)::text FROM integration.incident_status i WHERE i.severity = 1), 'open incidents');
SELECT is(pg_temp.value('integration_incidents_open{severity="4"}'), (SELECT count(*)::text FROM integration.incident_status i WHERE i.severity = 4 AND i.state <> 'ignored'), 'none that is ignored');
SELECT is(pg_temp.value('integration_attempts_delivered_total{endpoint="two"}'), '15', 'delivered');
SELECT is(pg_temp.value('integration_attempts_failed_total{endpoint="two"}'), '5', 'failed');
SELECT is(pg_temp.value('integration_attempts_duration_seconds_bucket{endpoint="two",le="0.25"}'), '6', 'a bucket counts the smaller ones too');
SELECT is(pg_temp.value('integration_attempts_duration_seconds_bucket{endpoint="two",le="+Inf"}'), '20', 'the last one all');
SELECT is(pg_temp.value('integration_attempts_duration_seconds_sum{endpoint="two"}'), '8.4', 'the sum in seconds');

-- what is counted ahead changes nothing, nor does retention
SELECT integration_worker.count_traffic(e.id - 1, '-infinity', 100, now()) FROM integration.endpoint e WHERE e.name = 'two' \g /dev/null
SELECT is((SELECT string_agg(l.line, E'\n' ORDER BY l.n) FROM string_to_table(integration.prometheus(), E'\n') WITH ORDINALITY AS l (line, n) WHERE l.line LIKE 'integration_attempts%'),
          (SELECT string_agg(l.line, E'\n' ORDER BY l.n) FROM line l WHERE l.line LIKE 'integration_attempts%'), 'the same, counted or not');
DELETE FROM integration.traffic;
DELETE FROM integration.attempt a WHERE a.started_at < now() - interval '11 min';
SELECT is((SELECT m.delivered_total FROM integration.attempt_metrics() m WHERE m.endpoint = 'two'), 15::bigint, 'a counter never falls');

-- the files beside
CREATE FUNCTION pg_temp.unknown_in(said text) RETURNS SETOF text
    LANGUAGE sql
AS $$
    SELECT DISTINCT f.name[1]
      FROM regexp_matches(said, 'integration_[a-z_]+', 'g') AS f (name)
    EXCEPT
    SELECT DISTINCT substring(l.line FROM '^integration_[a-z_]+') FROM line l
$$;
CREATE TEMP TABLE unknown AS
SELECT 'alerts' AS file, u FROM pg_temp.unknown_in(:'alerts') u UNION ALL SELECT 'dashboard', u FROM pg_temp.unknown_in(:'dashboard') u;
SELECT is_empty('SELECT * FROM unknown', 'alerts and the dashboard name figures that are there');
SELECT cmp_ok((SELECT count(*) FROM jsonb_path_query(:'dashboard', '$.panels[*].targets[*].expr')), '>=', 15::bigint, 'the dashboard is JSON with panels');
SELECT set_eq(format($$SELECT m[1] FROM regexp_matches(%L, '- (\w+):', 'g') m$$, :'queries'),
              $$SELECT DISTINCT a.name
                  FROM pg_catalog.pg_proc p
                 CROSS JOIN LATERAL unnest(p.proargnames) AS a (name)
                 WHERE p.pronamespace = 'integration'::regnamespace AND p.proname LIKE '%\_metrics' AND a.name !~ '_(bucket|sum|count)$'$$,
              'the exporter''s queries name each column');

-- who may
CREATE ROLE metrics_exporter;
GRANT USAGE ON SCHEMA integration TO metrics_exporter;
GRANT EXECUTE ON FUNCTION integration.prometheus() TO metrics_exporter;
SET LOCAL ROLE metrics_exporter;
SELECT lives_ok('SELECT integration.prometheus()', 'a role for monitoring needs no other right');
RESET ROLE;
SELECT * FROM finish();
ROLLBACK;
