-- Batches of telemetry, as the worker has them made.

CREATE FUNCTION integration_worker.otlp_time(at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (extract(epoch FROM otlp_time.at) * 1000000)::bigint || '000'
$$;
COMMENT ON FUNCTION integration_worker.otlp_time(timestamptz) IS 'A moment in nanoseconds since 1970, as OTLP writes it.';

CREATE FUNCTION integration_worker.otlp_record(at timestamptz, severity integer, name text, body text, attributes jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'timeUnixNano', integration_worker.otlp_time(otlp_record.at), 'observedTimeUnixNano', integration_worker.otlp_time(otlp_record.at),
               'severityNumber', severity, 'severityText', CASE severity WHEN 9 THEN 'INFO' WHEN 13 THEN 'WARN' ELSE 'ERROR' END,
               'eventName', name, 'body', jsonb_build_object('stringValue', coalesce(body, name)),
               'attributes', integration_worker.otlp_attributes(attributes))
$$;
COMMENT ON FUNCTION integration_worker.otlp_record(timestamptz, integer, text, text, jsonb) IS
    'A log record without a trace.';

CREATE FUNCTION integration_worker.failure_records(syncs bigint[], failures text[]) RETURNS jsonb[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
    SELECT array_agg(integration_worker.otlp_record(
               a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms', CASE WHEN q.state = 'failed' THEN 17 ELSE 13 END,
               CASE WHEN q.state = 'failed' THEN 'integration.sync.failed' ELSE 'integration.sync.attempt_failed' END,
               concat_ws(': ', a.reason, a.error),
               jsonb_build_object('integration.endpoint.name', o.endpoint, 'messaging.message.id', o.id::text, 'error.type', a.error_class,
                                  'http.response.status_code', a.http_status, 'integration.object.type', o.object_type,
                                  'integration.object.id', o.object_id, 'integration.customer', o.customer))
           || jsonb_build_object('traceId', a.trace_id, 'spanId', a.span_id, 'flags', 1) ORDER BY a.started_at)
      FROM integration.attempt a
      JOIN integration.outbox o ON o.id = a.outbox_id
      LEFT JOIN integration.queue q ON q.outbox_id = a.outbox_id
     WHERE a.outbox_id = ANY (syncs) AND a.span_id = ANY (failures)
$$;
COMMENT ON FUNCTION integration_worker.failure_records(bigint[], text[]) IS
    'Log records of the attempts with these spans, in whose traces they are.';

CREATE FUNCTION integration_worker.export_logs(syncs bigint[], failures text[], worker integer, now timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due integration_worker.log_due[] := ARRAY(
        SELECT d FROM integration_worker.log_due d ORDER BY d.id LIMIT 500 FOR UPDATE SKIP LOCKED);
    records jsonb[] := ARRAY(SELECT integration_worker.otlp_record(d.at, d.severity, d.name, d.body, d.attributes) FROM unnest(due) d);
    is_taken boolean;
BEGIN
    IF failures <> '{}' THEN
        records := records || integration_worker.failure_records(export_logs.syncs, export_logs.failures);
    END IF;
    IF records = '{}' THEN
        RETURN false;
    END IF;
    is_taken := integration_worker.send_telemetry('logs', jsonb_build_object('resourceLogs', jsonb_build_array(jsonb_build_object(
        'resource', integration_worker.otlp_resource(export_logs.worker),
        'scopeLogs', jsonb_build_array(jsonb_build_object('scope', integration_worker.otlp_scope(), 'logRecords', to_jsonb(records)))))),
        cardinality(records), export_logs.now);
    IF NOT is_taken THEN
        PERFORM integration_worker.drop_telemetry('logs', cardinality(records));
    END IF;
    DELETE FROM integration_worker.log_due d WHERE d.id = ANY (ARRAY(SELECT x.id FROM unnest(due) x));
    RETURN cardinality(due) = 500;
END
$$;
COMMENT ON FUNCTION integration_worker.export_logs(bigint[], text[], integer, timestamptz) IS
    'Has failures of these syncs and what is due leave as logs; whether there may be more.';

-- Which attempts, not what they were: the request is made of the tables when it leaves, so nothing stands there twice.
-- Lists as text, which is taken apart ten times as fast as a JSON array.
CREATE FUNCTION integration_worker.export_attempts(
        syncs bigint[], spans text[], ended boolean[], failures text[], dropped bigint, worker integer,
        now timestamptz DEFAULT clock_timestamp())
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
BEGIN
    PERFORM integration_worker.drop_telemetry('traces', export_attempts.dropped);
    PERFORM integration_worker.tend_telemetry(export_attempts.now);
    IF syncs <> '{}' AND NOT integration_worker.send_telemetry('traces', jsonb_build_object(
               'worker', export_attempts.worker, 'syncs', syncs::text, 'spans', spans::text, 'ended', ended::text),
               cardinality(syncs), export_attempts.now) THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM integration.telemetry t WHERE t.signal = 'logs' AND t.is_on) THEN
        PERFORM integration_worker.export_logs(export_attempts.syncs, export_attempts.failures, export_attempts.worker, export_attempts.now);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION integration_worker.export_attempts(bigint[], text[], boolean[], text[], bigint, integer, timestamptz) IS
    'Has the worker''s attempts leave as spans (ended: and their syncs''), failures and what else is due as logs; false: not now.';

-- Of the stable conventions, OpenTelemetry semantic conventions 1.44.0.
CREATE FUNCTION integration_worker.duration_metric(
        endpoint_ids integer[], statuses integer[], reasons text[], buckets bigint[], sums double precision[],
        since timestamptz, now timestamptz, is_delta boolean)
    RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('name', 'http.client.request.duration', 'unit', 's',
               'description', 'Duration of requests to endpoints.', 'histogram', jsonb_build_object(
               'aggregationTemporality', CASE WHEN is_delta THEN 1 ELSE 2 END,
               'dataPoints', jsonb_agg(jsonb_build_object(
                   'startTimeUnixNano', integration_worker.otlp_time(duration_metric.since),
                   'timeUnixNano', integration_worker.otlp_time(duration_metric.now),
                   'count', b.total::text, 'sum', h.sum, 'bucketCounts', b.counts,
                   'explicitBounds', (SELECT jsonb_agg(x.ms / 1000::double precision ORDER BY x.ms)
                                        FROM unnest(integration_worker.request_bounds()) AS x (ms)),
                   'attributes', integration_worker.otlp_attributes(jsonb_build_object(
                       'http.request.method', c.method, 'integration.endpoint.name', c.name,
                       'server.address', substring(c.url FROM '^https?://(?:[^/?#@]*@)?\[?([^]/:?#]+)'),
                       'server.port', coalesce(substring(c.url FROM '^https?://[^/?#]*:(\d+)(?:[/?#]|$)'),
                                               CASE WHEN c.url LIKE 'https:%' THEN '443' ELSE '80' END)::integer,
                       'http.response.status_code', nullif(h.status, 0),
                       'error.type', CASE WHEN h.status >= 400 THEN h.status::text
                                          WHEN h.status = 0 THEN coalesce(r.error_class, '_OTHER') END))))))
      FROM unnest(endpoint_ids, statuses, reasons, sums) WITH ORDINALITY AS h (endpoint_id, status, reason, sum, n)
      JOIN integration.endpoint_config c ON c.id = h.endpoint_id
      LEFT JOIN integration.error_reason r ON r.reason = h.reason
     CROSS JOIN LATERAL (SELECT sum(x.count) AS total, jsonb_agg(x.count::text ORDER BY x.k) AS counts
                           FROM unnest(buckets[15 * h.n - 14 : 15 * h.n]) WITH ORDINALITY AS x (count, k)) b
$$;
COMMENT ON FUNCTION integration_worker.duration_metric(integer[], integer[], text[], bigint[], double precision[], timestamptz, timestamptz, boolean) IS
    'The durations of requests since a worker began (is_delta: since it told them last), by endpoint and outcome; 15 buckets each.';

-- Counted up to a bound, by the index queue_due: a look at the figures must not take as long as a backlog is large.
CREATE FUNCTION integration_worker.backlog_metrics(now timestamptz) RETURNS SETOF jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH backlog AS MATERIALIZED (
        SELECT integration_worker.otlp_attributes(jsonb_build_object('integration.endpoint.name', e.name)) AS attributes,
               w.count AS waiting, f.count AS failed,
               greatest(extract(epoch FROM backlog_metrics.now - o.due_at), 0) AS age, h.state, l."window"
          FROM integration.endpoint_health h
          JOIN integration.endpoint_config e ON e.id = h.endpoint_id AND e.format NOT LIKE 'otlp%'
          LEFT JOIN integration_worker.live_endpoints() l ON l.endpoint_id = h.endpoint_id
         CROSS JOIN LATERAL (SELECT count(*) FROM (SELECT FROM integration.queue q
                              WHERE q.endpoint_id = h.endpoint_id AND q.state <> 'failed' LIMIT 10000) x) w
         CROSS JOIN LATERAL (SELECT count(*) FROM (SELECT FROM integration.queue q
                              WHERE q.endpoint_id = h.endpoint_id AND q.state = 'failed' LIMIT 10000) x) f
         CROSS JOIN LATERAL (SELECT min(x.due_at) AS due_at
                               FROM unnest('{1,2,3}'::smallint[]) AS p (priority)
                              CROSS JOIN LATERAL (SELECT q.due_at FROM integration.queue q
                                                   WHERE q.endpoint_id = h.endpoint_id AND q.priority = p.priority AND q.state <> 'failed'
                                                   ORDER BY q.due_at LIMIT 1) x) o
         ORDER BY h.endpoint_id
         LIMIT 2000)
    SELECT jsonb_build_object('name', m.name, 'unit', m.unit, 'description', m.description, 'gauge', jsonb_build_object('dataPoints', m.points))
      FROM (SELECT integration_worker.otlp_time(backlog_metrics.now) AS at) t
     CROSS JOIN LATERAL (
           SELECT 'integration.queue.syncs' AS name, '{sync}' AS unit, 'Syncs that wait to be sent; 10000 stands for that many or more.' AS description,
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'asInt', b.waiting::text, 'attributes', b.attributes)) AS points
             FROM backlog b
            UNION ALL
           SELECT 'integration.queue.failed', '{sync}', 'Syncs that wait for a person; 10000 stands for that many or more.',
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'asInt', b.failed::text, 'attributes', b.attributes))
             FROM backlog b
            UNION ALL
           SELECT 'integration.queue.oldest_age', 's', 'How long the sync that is due the longest has been due.',
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'asDouble', coalesce(b.age, 0), 'attributes', b.attributes))
             FROM backlog b
            UNION ALL
           SELECT 'integration.endpoint.concurrency_limit', '{request}', 'How many requests at once the endpoint gets just now.',
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'asInt', b."window"::text, 'attributes', b.attributes))
             FROM backlog b WHERE b."window" IS NOT NULL
            UNION ALL
           SELECT 'integration.endpoint.state', '1', '0 closed: calls flow; 1 half open, 2 open, 3 stopped.',
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'attributes', b.attributes,
                      'asInt', CASE b.state WHEN 'closed' THEN '0' WHEN 'half_open' THEN '1' WHEN 'open' THEN '2' ELSE '3' END))
             FROM backlog b
            UNION ALL
           SELECT 'integration.incidents', '{incident}', 'Incidents that are not over.',
                  jsonb_build_array(jsonb_build_object('timeUnixNano', t.at, 'asInt', count(*)::text))
             FROM integration.incident i WHERE i.resolved_at IS NULL) m
     WHERE m.points IS NOT NULL
$$;
COMMENT ON FUNCTION integration_worker.backlog_metrics(timestamptz) IS
    'How much waits at each endpoint that was ever called, how it stands: one OTLP metric a row.';

CREATE FUNCTION integration_worker.export_metrics(
        endpoint_ids integer[], statuses integer[], reasons text[], buckets bigint[], sums double precision[],
        since timestamptz, with_backlog boolean, worker integer, now timestamptz DEFAULT clock_timestamp(), is_delta boolean DEFAULT false)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    metrics jsonb := '[]';
BEGIN
    IF endpoint_ids <> '{}' THEN
        metrics := metrics || integration_worker.duration_metric(
            export_metrics.endpoint_ids, export_metrics.statuses, export_metrics.reasons, export_metrics.buckets,
            export_metrics.sums, export_metrics.since, export_metrics.now, is_delta);
    END IF;
    IF with_backlog THEN
        metrics := metrics || coalesce((SELECT jsonb_agg(m) FROM integration_worker.backlog_metrics(export_metrics.now) m), '[]');
    END IF;
    IF metrics = '[]' THEN
        RETURN true;
    END IF;
    RETURN integration_worker.send_telemetry('metrics', jsonb_build_object('resourceMetrics', jsonb_build_array(jsonb_build_object(
        'resource', integration_worker.otlp_resource(export_metrics.worker),
        'scopeMetrics', jsonb_build_array(jsonb_build_object('scope', integration_worker.otlp_scope(), 'metrics', metrics))))),
        1, export_metrics.now);
END
$$;
COMMENT ON FUNCTION integration_worker.export_metrics(integer[], integer[], text[], bigint[], double precision[], timestamptz, boolean, integer, timestamptz, boolean) IS
    'Has a worker''s figures leave, with_backlog: those of the whole database too; false: not now.';
