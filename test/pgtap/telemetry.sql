-- Which telemetry leaves, where to, how much of it; what stands in it.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(32);

UPDATE integration.telemetry SET is_on = false;
DELETE FROM integration.telemetry;

-- Settings.
SELECT is(integration_worker.otel_list('a=1, b = x%20y%3D ,c,=2,d='), '{"a": "1", "b": "x y=", "d": ""}', 'a list of OTEL_*');
SELECT is(integration_worker.otel_list('a=%ff'), '{}', 'one that is not UTF-8 counts for nothing');
SELECT is(integration_worker.otel_list(NULL), '{}', 'nor does none');
SELECT is(integration_worker.otel_variable('PATH'), NULL, 'other variables of the server are nobody''s business');
SELECT throws_ok($$SET integration.otlp_endpoint = 'x'$$, '55P02', NULL, 'only the configuration says where to');
SELECT is(integration_worker.redacted_url('https://u:p@api.example.com/a?x=1&Sig=abc&X-Amz-Signature=d#f'),
          'https://REDACTED:REDACTED@api.example.com/a?x=1&Sig=REDACTED&X-Amz-Signature=REDACTED#f', 'nothing in an address opens anything');

SELECT integration_worker.register_telemetry(s.signal, 'https://collector.example.com/v1/' || s.signal)
  FROM unnest('{traces,metrics,logs}'::text[]) AS s (signal);
SELECT bag_eq($$SELECT c.name || ' ' || c.url || ' ' || c.format FROM integration.endpoint_config c WHERE c.connector = 'otlp'$$,
              ARRAY['otlp-traces https://collector.example.com/v1/traces otlp-gzip', 'otlp-metrics https://collector.example.com/v1/metrics otlp-gzip',
                    'otlp-logs https://collector.example.com/v1/logs otlp-gzip'], 'endpoints are made');
UPDATE integration.endpoint SET timeout = '3 s' WHERE name = 'otlp-traces';
SELECT integration_worker.register_telemetry('traces', 'https://other.example.com/v1/traces');
SELECT is((SELECT (e.url, e.timeout)::text FROM integration.endpoint e WHERE e.name = 'otlp-traces'),
          '(https://other.example.com/v1/traces,00:00:03)', 'the address follows the setting, what people changed stays');
SELECT integration_worker.register_telemetry('traces', 'no address');
SELECT ok(NOT t.is_on AND t.problem LIKE '%: The URL must begin with https:// or http://.', 'an address that can''t be called switches off, and says why') FROM integration.telemetry t WHERE t.signal = 'traces';
CREATE TEMP TABLE said AS SELECT t.ctid AS row_at FROM integration.telemetry t WHERE t.signal = 'traces';
SELECT integration_worker.register_telemetry('traces', 'no address');
SELECT is((SELECT t.ctid FROM integration.telemetry t WHERE t.signal = 'traces'), (SELECT row_at FROM said), 'which is said once');
DELETE FROM integration.telemetry WHERE signal = 'logs';
SELECT integration_worker.register_telemetry('logs', 'no address');
SELECT integration_worker.register_telemetry('metrics', 'https://collector.example.com/v1/metrics');
SELECT is((SELECT string_agg(concat_ws(' ', t.signal, t.endpoint, t.is_on::text), ', ' ORDER BY t.signal) FROM integration.telemetry t WHERE t.signal <> 'traces'),
          'logs false, metrics otlp-metrics true', 'also of one that never had another');
ALTER FUNCTION integration_worker.otlp_variable(text, text) RENAME TO otlp_variable_as_it_was;
CREATE FUNCTION integration_worker.otlp_variable(signal text, name text) RETURNS text LANGUAGE sql
AS $$ SELECT CASE otlp_variable.name WHEN 'TIMEOUT' THEN '10 s' END $$;
SELECT lives_ok($$SELECT integration_worker.register_telemetry('metrics', 'https://collector.example.com/v1/metrics')$$,
                'a variable of the server that can''t be read ends nothing');
SELECT ok(NOT t.is_on AND t.problem LIKE '%"10 s"%', 'but switches off, and is named') FROM integration.telemetry t WHERE t.signal = 'metrics';
DROP FUNCTION integration_worker.otlp_variable(text, text);
ALTER FUNCTION integration_worker.otlp_variable_as_it_was(text, text) RENAME TO otlp_variable;
SELECT integration_worker.register_telemetry('metrics', 'https://collector.example.com/v1/metrics');
SELECT integration_worker.register_telemetry('logs', 'https://collector.example.com/v1/logs');
SELECT integration_worker.register_telemetry('traces', 'https://other.example.com/v1/traces');

-- Batches.
INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://api.example.com:8443/{object_id}');
CREATE TEMP TABLE sync AS SELECT pg_temp.enqueue('shop', 'PO-1') AS good, pg_temp.enqueue('shop', 'PO-2') AS bad;
CREATE FUNCTION pg_temp.told(sync bigint, reason text) RETURNS integration_worker.result
    LANGUAGE sql
AS $$
    SELECT pg_temp.result(sync, reason, jsonb_build_object('trace_id', md5(sync::text), 'span_id', left(md5(sync::text), 16),
                                                           'request_url', 'https://api.example.com:8443/x'))
$$;
SELECT count(r.*) FROM sync s CROSS JOIN LATERAL pg_temp.settle(ARRAY[pg_temp.told(s.good, 'http:200'), pg_temp.told(s.bad, 'http:422')]) r;
CREATE TEMP VIEW batch AS
SELECT array_agg(a.outbox_id ORDER BY a.outbox_id) AS syncs, array_agg(a.span_id ORDER BY a.outbox_id) AS spans,
       array_agg(a.span_id) FILTER (WHERE a.outcome = 'failed') AS failures
  FROM integration.attempt a JOIN sync s ON a.outbox_id IN (s.good, s.bad);
CREATE FUNCTION pg_temp.export(dropped bigint DEFAULT 0) RETURNS boolean
    LANGUAGE sql
AS $$
    SELECT integration_worker.export_attempts(b.syncs, b.spans, '{t,t}', b.failures, dropped, 0) FROM batch b
$$;
CREATE FUNCTION pg_temp.body(operation text) RETURNS jsonb
    LANGUAGE sql
AS $$
    SELECT integration_worker.otlp_body(o.operation, o.payload)::jsonb FROM integration.outbox o WHERE o.operation = body.operation ORDER BY o.id DESC LIMIT 1
$$;
SELECT ok(pg_temp.export(7), 'a batch is taken');
SELECT is((SELECT (t.exported, t.dropped)::text FROM integration.telemetry t WHERE t.signal = 'traces'), '(2,7)', 'counted with what was left out before');
SELECT is(jsonb_array_length(pg_temp.body('traces') #> '{resourceSpans,0,scopeSpans,0,spans}'), 6, 'three spans for each attempt');
SELECT bag_eq($$SELECT a #>> '{value,stringValue}' FROM jsonb_path_query(pg_temp.body('traces'),
                '$.resourceSpans[*].scopeSpans[*].spans[*] ? (@.kind == 3).attributes[*] ? (@.key == "error.type")') a$$,
              ARRAY['422'], 'the failure says what went wrong');
SELECT ok(pg_temp.body('logs') @? '$.resourceLogs[*].scopeLogs[*].logRecords[*] ? (@.eventName == "integration.incident.opened").attributes[*] ? (@.key == "messaging.message.id")',
          'what happened before is logged, with a sync');
SELECT is((SELECT p.body FROM integration.outbox o CROSS JOIN LATERAL integration.preview(o.id) p WHERE o.operation = 'traces')::jsonb,
          pg_temp.body('traces'), 'preview() shows what leaves');
SELECT ok(integration_worker.export_metrics(ARRAY[pg_temp.endpoint_of(s.good)], '{200}', '{""}', array_fill(1, ARRAY[15])::bigint[], '{0.5}',
                                            now() - interval '1 min', true, 0), 'figures are taken') FROM sync s;
SELECT is(jsonb_path_query_first(pg_temp.body('metrics'), '$.resourceMetrics[*].scopeMetrics[*].metrics[*].histogram.dataPoints[0]')
              - '{startTimeUnixNano,timeUnixNano,attributes}'::text[],
          '{"sum": 0.5, "count": "15", "bucketCounts": ["1","1","1","1","1","1","1","1","1","1","1","1","1","1","1"],
            "explicitBounds": [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]}', 'a histogram');
SELECT is(pg_temp.body('metrics') #>> '{resourceMetrics,0,scopeMetrics,0,metrics,0,histogram,aggregationTemporality}', '2', 'cumulative');
SELECT ok(integration_worker.export_metrics(ARRAY[pg_temp.endpoint_of(s.good)], '{200}', '{""}', array_fill(1, ARRAY[15])::bigint[], '{0.5}',
                                            now() - interval '1 min', false, 0, now(), true)
          AND pg_temp.body('metrics') #>> '{resourceMetrics,0,scopeMetrics,0,metrics,0,histogram,aggregationTemporality}' = '1', 'or what is new') FROM sync s;
SELECT is((SELECT string_agg(p, ' ') FROM unnest('{cumulative,Delta,lowmemory,x,NULL}'::text[]) p WHERE integration_worker.wants_delta(p)), 'Delta lowmemory',
          'where it is preferred');

-- A collector that is away, or that refuses.
SELECT is((SELECT array_agg(pg_temp.export() ORDER BY n) FROM generate_series(1, 9) AS n), '{t,t,t,t,t,t,t,f,f}'::boolean[], 'no more than eight batches wait');
UPDATE integration.queue q SET state = 'failed' FROM integration.endpoint e WHERE e.id = q.endpoint_id AND e.name = 'otlp-traces';
SELECT integration_worker.tend_telemetry(clock_timestamp() + interval '10 s');
SELECT is((SELECT t.dropped FROM integration.telemetry t WHERE t.signal = 'traces'), 23::bigint, 'each attempt of what was given up counts as left out');
SELECT is_empty($$SELECT FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id WHERE e.name = 'otlp-traces'$$, 'nobody is asked to retry it');

SELECT ok(pg_temp.export(), 'there is room again');
WITH gone AS (DELETE FROM integration.queue q USING integration.endpoint e WHERE e.id = q.endpoint_id AND e.name = 'otlp-traces' RETURNING q.outbox_id)
INSERT INTO integration.closing (outbox_id, state, closed_at, reason) SELECT g.outbox_id, 'expired', clock_timestamp() + interval '15 s', 'expired' FROM gone g;
SELECT integration_worker.tend_telemetry(clock_timestamp() + interval '20 s');
SELECT is((SELECT t.dropped FROM integration.telemetry t WHERE t.signal = 'traces'), 25::bigint, 'so does what waited until its time had passed');
SELECT integration_worker.tend_telemetry(clock_timestamp() + interval '30 s');
SELECT is((SELECT t.dropped FROM integration.telemetry t WHERE t.signal = 'traces'), 25::bigint, 'once');

SELECT is(integration_worker.otlp_traces('{"worker": 0, "syncs": "{1}", "spans": "{0123456789abcdef}", "ended": "{t}"}')::jsonb
              #> '{resourceSpans,0,scopeSpans,0,spans}', '[]', 'of attempts that have gone nothing is told');

DELETE FROM integration_worker.log_due;
UPDATE integration.telemetry SET is_on = false;
SELECT integration.pause('endpoint', 'shop', 'no');
SELECT is_empty('SELECT FROM integration_worker.log_due', 'nothing is kept for logs that are off');

SELECT * FROM finish();
ROLLBACK;
