-- Figures for monitoring: as rows, as Prometheus' text.
-- With their owner's rights, so that a role for monitoring needs nothing but EXECUTE of them.

CREATE FUNCTION integration.endpoint_metrics()
    RETURNS TABLE (endpoint text, backlog bigint, failed bigint, oldest_due_seconds double precision, in_flight integer,
                   "window" integer, paused integer, stopped integer, open integer)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.name, s.backlog, s.failed, coalesce(extract(epoch FROM statement_timestamp() - s.oldest_due_at), 0)::double precision,
           s.in_flight, coalesce(s."window", 0), (s.blocked_by IS NOT DISTINCT FROM 'paused')::integer, (s.state = 'stopped')::integer,
           (s.state IN ('open', 'half_open'))::integer
      FROM integration.endpoint_status s
     ORDER BY 1
$$;
COMMENT ON FUNCTION integration.endpoint_metrics() IS
    'How each endpoint stands, for monitoring: integration_endpoint_… of prometheus().';

-- Buckets as Prometheus has them: each counts what the ones before it count.
CREATE FUNCTION integration.attempt_metrics()
    RETURNS TABLE (endpoint text, delivered_total bigint, failed_total bigint, duration_seconds double precision[],
                   duration_seconds_bucket bigint[], duration_seconds_sum double precision, duration_seconds_count bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH counted AS (
        SELECT x.endpoint_id, x.up_to_ms, sum(x.delivered) AS delivered, sum(x.failed) AS failed, sum(x.duration_ms) AS duration_ms
          FROM (SELECT t.endpoint_id, t.up_to_ms, t.delivered, t.failed, t.duration_ms
                  FROM integration_worker.traffic_total t
                UNION ALL
                SELECT c.endpoint_id, c.up_to_ms, c.delivered, c.failed, c.duration_ms
                  FROM integration.endpoint e
                  LEFT JOIN integration_worker.traffic_mark m ON m.endpoint_id = e.id
                 CROSS JOIN LATERAL integration_worker.count_attempts(e.id, coalesce(m.counted_until, '-infinity'), 'infinity') c) x
         GROUP BY 1, 2
    )
    SELECT b.name, coalesce(sum(b.delivered), 0)::bigint, coalesce(sum(b.failed), 0)::bigint,
           array_agg(b.bound / 1000.0 ORDER BY b.bound) FILTER (WHERE b.bound < 2147483647),
           array_agg(b.count ORDER BY b.bound), (coalesce(sum(b.duration_ms), 0) / 1000.0)::double precision, max(b.count)
      FROM (SELECT e.name, u.bound, c.delivered, c.failed, c.duration_ms,
                   coalesce(sum(c.delivered + c.failed) OVER (PARTITION BY e.id ORDER BY u.bound), 0)::bigint AS count
              FROM integration.endpoint e
             CROSS JOIN unnest(integration_worker.duration_bounds()) AS u (bound)
              LEFT JOIN counted c ON c.endpoint_id = e.id AND c.up_to_ms = u.bound) b
     GROUP BY b.name
     ORDER BY 1
$$;
COMMENT ON FUNCTION integration.attempt_metrics() IS
    'Attempts at each endpoint since it was made and how long they took, for monitoring: integration_attempts_… of prometheus(). The last bucket is that of all.';

CREATE FUNCTION integration.incident_metrics() RETURNS TABLE (severity text, open bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.severity::text, c.open
      FROM unnest(integration_worker.count_incidents('{open,acknowledged}', statement_timestamp()))
           WITH ORDINALITY AS c (open, severity)
     ORDER BY c.severity
$$;
COMMENT ON FUNCTION integration.incident_metrics() IS
    'Open incidents by severity, without those that are ignored or snoozed: integration_incidents_… of prometheus().';

CREATE FUNCTION integration.worker_metrics()
    RETURNS TABLE (running bigint, last_turn_seconds double precision, in_flight bigint, memory_bytes bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - w.last_turn_at)), 0)::double precision,
           coalesce(sum(w.in_flight), 0)::bigint, coalesce(sum(w.memory_bytes), 0)::bigint
      FROM integration_worker.live_workers() w
$$;
COMMENT ON FUNCTION integration.worker_metrics() IS
    'What the workers of this database do together: integration_worker_… of prometheus().';

CREATE FUNCTION integration.health_metrics() RETURNS TABLE (code integer)
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.code FROM integration.health() h
$$;
COMMENT ON FUNCTION integration.health_metrics() IS
    'The code of integration.health(), for monitoring: integration_health_code of prometheus().';

-- https://prometheus.io/docs/instrumenting/exposition_formats: these three are escaped in the value of a label.
CREATE FUNCTION integration_worker.prometheus_label(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '"' || replace(replace(replace(value, '\', '\\'), '"', '\"'), E'\n', '\n') || '"'
$$;
COMMENT ON FUNCTION integration_worker.prometheus_label(text) IS 'The value of a label in Prometheus'' text.';

-- One row a line, in the order of the families.
CREATE FUNCTION integration_worker.prometheus_samples() RETURNS TABLE (name text, suffix text, labels text, value double precision)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'integration_health_code', '', '', h.code::double precision
      FROM integration.health_metrics() h
    UNION ALL
    SELECT 'integration_worker_' || v.name, '', '', v.value
      FROM integration.worker_metrics() m
     CROSS JOIN LATERAL (VALUES ('running', m.running::double precision), ('last_turn_seconds', m.last_turn_seconds),
                                ('in_flight', m.in_flight), ('memory_bytes', m.memory_bytes)) AS v (name, value)
    UNION ALL
    SELECT 'integration_incidents_open', '', format('{severity="%s"}', m.severity), m.open
      FROM integration.incident_metrics() m
    UNION ALL
    SELECT 'integration_endpoint_' || v.name, '', format('{endpoint=%s}', integration_worker.prometheus_label(m.endpoint)), v.value
      FROM integration.endpoint_metrics() m
     CROSS JOIN LATERAL (VALUES ('backlog', m.backlog::double precision), ('failed', m.failed), ('oldest_due_seconds', m.oldest_due_seconds),
                                ('in_flight', m.in_flight), ('window', m."window"), ('paused', m.paused), ('stopped', m.stopped),
                                ('open', m.open)) AS v (name, value)
    UNION ALL
    SELECT 'integration_attempts_' || v.name, v.suffix,
           format('{endpoint=%s%s}', integration_worker.prometheus_label(m.endpoint), v.label), v.value
      FROM integration.attempt_metrics() m
     CROSS JOIN LATERAL (
           SELECT 'delivered_total', '', '', m.delivered_total::double precision
           UNION ALL
           SELECT 'failed_total', '', '', m.failed_total
           UNION ALL
           SELECT 'duration_seconds', '_bucket', format(',le="%s"', coalesce(b.bound::text, '+Inf')), b.count
             FROM unnest(m.duration_seconds, m.duration_seconds_bucket) AS b (bound, count)
           UNION ALL
           SELECT 'duration_seconds', '_sum', '', m.duration_seconds_sum
           UNION ALL
           SELECT 'duration_seconds', '_count', '', m.duration_seconds_count) AS v (name, suffix, label, value)
$$;
COMMENT ON FUNCTION integration_worker.prometheus_samples() IS 'The lines of Prometheus'' text that hold a value.';

CREATE FUNCTION integration.prometheus() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(concat(
               CASE WHEN s.is_first THEN format(E'# HELP %1$s %2$s\n# TYPE %1$s %3$s\n', f.name, f.help, f.type) END,
               s.name, s.suffix, s.labels, ' ', s.value, E'\n'), '' ORDER BY f.n, s.n)
      FROM (VALUES
        (0, 'integration_health_code', 'gauge', '0 ok, 1 warning, 2 critical.'),
        (1, 'integration_worker_running', 'gauge', 'Workers of this database.'),
        (2, 'integration_worker_last_turn_seconds', 'gauge', 'How long ago the slowest of them last came round.'),
        (3, 'integration_worker_in_flight', 'gauge', 'Requests under way.'),
        (4, 'integration_worker_memory_bytes', 'gauge', 'Memory that they hold for requests and answers.'),
        (5, 'integration_incidents_open', 'gauge', 'Open incidents by severity, 1 the worst.'),
        (6, 'integration_endpoint_backlog', 'gauge', 'Syncs that wait to be sent.'),
        (7, 'integration_endpoint_failed', 'gauge', 'Syncs that wait for a person.'),
        (8, 'integration_endpoint_oldest_due_seconds', 'gauge', 'How long the oldest due sync waits.'),
        (9, 'integration_endpoint_in_flight', 'gauge', 'Requests under way.'),
        (10, 'integration_endpoint_window', 'gauge', 'Requests that may be under way at once just now.'),
        (11, 'integration_endpoint_paused', 'gauge', '1 while somebody has paused it.'),
        (12, 'integration_endpoint_stopped', 'gauge', '1 while it cannot work until somebody acts.'),
        (13, 'integration_endpoint_open', 'gauge', '1 while it is left alone after too many failures.'),
        (14, 'integration_attempts_delivered_total', 'counter', 'Attempts that delivered.'),
        (15, 'integration_attempts_failed_total', 'counter', 'Attempts that failed.'),
        (16, 'integration_attempts_duration_seconds', 'histogram', 'How long attempts took.')
      ) AS f (n, name, type, help)
      JOIN (SELECT x.*, row_number() OVER (PARTITION BY x.name ORDER BY x.n) = 1 AS is_first
              FROM (SELECT p.*, row_number() OVER () AS n FROM integration_worker.prometheus_samples() p) x) s ON s.name = f.name
$$;
COMMENT ON FUNCTION integration.prometheus() IS
    'All figures for monitoring in Prometheus'' text format 0.0.4; no label grows with customers or objects.';
