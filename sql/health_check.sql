-- Health: one row that any monitor can check.

CREATE TYPE integration_worker.health_facts AS (
    at timestamptz,
    workers integer,
    sending integer,
    activity text,
    last_turn_at timestamptz,
    silent_since timestamptz,
    oldest_due_at timestamptz,
    failed bigint,
    severities bigint[],
    unattended bigint[],
    watchdogs text[],
    is_copy boolean,
    is_paused boolean
);
COMMENT ON TYPE integration_worker.health_facts IS
    'What health() judges. severities: open or acknowledged incidents of severity 1 to 4; unattended: those of them that nobody has acknowledged; sending: workers that have endpoints.';

-- By jumping from one endpoint and priority to the next in the index queue_due.
CREATE FUNCTION integration_worker.queue_heads()
    RETURNS TABLE (endpoint_id integer, due_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE head AS (
        (SELECT q.endpoint_id, q.priority, q.due_at
           FROM integration.queue q
          WHERE q.state <> 'failed'
          ORDER BY q.endpoint_id, q.priority, q.due_at
          LIMIT 1)
        UNION ALL
        SELECT n.endpoint_id, n.priority, n.due_at
          FROM head h
         CROSS JOIN LATERAL (
               SELECT q.endpoint_id, q.priority, q.due_at
                 FROM integration.queue q
                WHERE q.state <> 'failed' AND (q.endpoint_id, q.priority) > (h.endpoint_id, h.priority)
                ORDER BY q.endpoint_id, q.priority, q.due_at
                LIMIT 1) n
    )
    SELECT h.endpoint_id, h.due_at FROM head h
$$;
COMMENT ON FUNCTION integration_worker.queue_heads() IS
    'When the next sync of each endpoint, each priority is due.';

CREATE FUNCTION integration_worker.oldest_due_at(now timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(q.due_at)
      FROM integration_worker.queue_heads() q
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = q.endpoint_id
     WHERE q.due_at <= oldest_due_at.now
       AND coalesce(h.state, 'closed') = 'closed'
       AND q.endpoint_id NOT IN (SELECT p.id FROM integration_worker.paused_endpoints(oldest_due_at.now) AS p (id))
$$;
COMMENT ON FUNCTION integration_worker.oldest_due_at(timestamptz) IS
    'Since when the sync waits that is due for longest at an endpoint that works; NULL: none is due.';

CREATE FUNCTION integration_worker.count_incidents(states text[], now timestamptz) RETURNS bigint[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT count(i.id)
                   FROM generate_series(1, 4) AS s (severity)
                   LEFT JOIN integration.incident i
                     ON i.severity = s.severity AND i.resolved_at IS NULL
                    AND integration_worker.incident_state(i.state, i.snoozed_until, count_incidents.now) = ANY (states)
                  GROUP BY s.severity
                  ORDER BY s.severity)
$$;
COMMENT ON FUNCTION integration_worker.count_incidents(text[], timestamptz) IS
    'How many incidents are in one of these states, of severity 1, 2, 3, 4.';

CREATE FUNCTION integration_worker.health_facts(now timestamptz) RETURNS integration_worker.health_facts
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ROW (health_facts.now, w.workers, w.sending, w.activity, w.last_turn_at, integration_worker.silent_since(),
                integration_worker.oldest_due_at(health_facts.now),
                (SELECT count(*) FROM (SELECT FROM integration.queue q WHERE q.state = 'failed' LIMIT 100000) f),
                integration_worker.count_incidents('{open,acknowledged}', health_facts.now),
                integration_worker.count_incidents('{open}', health_facts.now),
                ARRAY(SELECT f.name FROM integration_worker.failing_watchdog f ORDER BY f.name),
                EXISTS (SELECT FROM integration.pause p WHERE (p.scope, p.name) = ('all', 'copied_database')),
                EXISTS (SELECT FROM integration_worker.pause_in_force p WHERE p.scope = 'all'))::integration_worker.health_facts
      FROM (SELECT count(*)::integer AS workers, count(*) FILTER (WHERE l.shards <> '{}')::integer AS sending, min(l.activity) AS activity,
                   min(l.last_turn_at) FILTER (WHERE l.shards <> '{}') AS last_turn_at
              FROM integration_worker.live_workers() l) w
$$;
COMMENT ON FUNCTION integration_worker.health_facts(timestamptz) IS 'What health() judges, as it is now.';

INSERT INTO integration.phrase (key, words) VALUES
    ('health_ok', 'Everything is in order.'),
    ('health_no_worker', 'No worker runs, so nothing is sent: see the server''s log, and shared_preload_libraries in postgresql.conf.'),
    ('health_waiting', 'Nothing is sent: {activity}.'),
    ('health_silent', 'A worker has not come round since {since}: the server''s log says what to do.'),
    ('health_copy', 'The database is a copy, so nothing is sent: SELECT integration.adopt() has it take over.'),
    ('health_paused', 'Everything is paused: SELECT * FROM integration.pause says why.'),
    ('health_overdue', 'A sync is due since {since} although its endpoint works: see integration.endpoint_status.'),
    ('health_worst', 'Incidents of severity 1 that nobody looks after: {count}; see integration.incident_status.'),
    ('health_incidents', 'Open incidents: {count}; see integration.incident_status.'),
    ('health_watchdogs', 'Can''t be looked for: {watchdogs}; the server''s log says why.');

-- One that has nothing to do turns every ten seconds, so less than half a minute says nothing.  A server that
-- doesn't preload the library has no such setting.
CREATE FUNCTION integration_worker.is_silent(facts integration_worker.health_facts) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT facts.silent_since IS NOT NULL
        OR coalesce(facts.last_turn_at < facts.at - greatest(current_setting('integration.silent_after', true)::interval, interval '30 s'), false)
$$;
COMMENT ON FUNCTION integration_worker.is_silent(integration_worker.health_facts) IS
    'Whether a worker does not come round, as the launcher found or its last turn tells.';

CREATE FUNCTION integration_worker.health_findings(facts integration_worker.health_facts)
    RETURNS TABLE (code integer, key text, sentence text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.code, f.key, integration_worker.say(f.key, f.words)
      FROM (VALUES
        (1, 2, 'health_no_worker', facts.workers = 0, '{}'::jsonb),
        (2, 2, 'health_silent', integration_worker.is_silent(facts),
         jsonb_build_object('since', integration_worker.time_words(coalesce(facts.silent_since, facts.last_turn_at)))),
        (3, 1, 'health_copy', facts.is_copy, '{}'),
        (4, 2, 'health_waiting', facts.workers > 0 AND facts.sending = 0 AND NOT facts.is_copy, jsonb_build_object('activity', facts.activity)),
        (5, 2, 'health_worst', facts.unattended[1] > 0, jsonb_build_object('count', facts.unattended[1])),
        (6, 1, 'health_incidents', facts.severities[1] - facts.unattended[1] + facts.severities[2] + facts.severities[3] > 0,
         jsonb_build_object('count', facts.severities[1] - facts.unattended[1] + facts.severities[2] + facts.severities[3])),
        (7, 1, 'health_paused', facts.is_paused AND NOT facts.is_copy, '{}'),
        (8, 1, 'health_overdue', facts.oldest_due_at < facts.at - interval '15 min',
         jsonb_build_object('since', integration_worker.time_words(facts.oldest_due_at))),
        (9, 1, 'health_watchdogs', facts.watchdogs <> '{}', jsonb_build_object('watchdogs', array_to_string(facts.watchdogs, ', ')))
      ) AS f (n, code, key, is_so, words)
     WHERE f.is_so
     ORDER BY f.code DESC, f.n
$$;
COMMENT ON FUNCTION integration_worker.health_findings(integration_worker.health_facts) IS
    'What is wrong, worst first: 2 is critical, 1 a warning.';

CREATE FUNCTION integration.health(
        OUT status text, OUT code integer, OUT why text, OUT worker_alive boolean, OUT workers integer,
        OUT last_turn_at timestamptz, OUT oldest_due_at timestamptz, OUT failed bigint, OUT severity_1 bigint,
        OUT severity_2 bigint, OUT severity_3 bigint, OUT severity_4 bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    facts integration_worker.health_facts := integration_worker.health_facts(clock_timestamp());
BEGIN
    SELECT coalesce(max(f.code), 0), coalesce(string_agg(f.sentence, ' '), integration_worker.say('health_ok'))
      INTO health.code, health.why
      FROM integration_worker.health_findings(facts) f;
    status := (ARRAY['ok', 'warning', 'critical'])[health.code + 1];
    worker_alive := facts.sending > 0 AND NOT integration_worker.is_silent(facts);
    workers := facts.workers;
    last_turn_at := facts.last_turn_at;
    oldest_due_at := facts.oldest_due_at;
    failed := facts.failed;
    severity_1 := facts.severities[1];
    severity_2 := facts.severities[2];
    severity_3 := facts.severities[3];
    severity_4 := facts.severities[4];
END
$$;
COMMENT ON FUNCTION integration.health() IS
    'One row for monitors: status ok, warning or critical and the same as code 0, 1 or 2, why in words; whether workers turn, since when a sync of an endpoint that works is due, failed syncs (up to 100,000), incidents that are not over by severity, without those that are snoozed or ignored.';
