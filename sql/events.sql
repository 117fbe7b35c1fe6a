-- One stream of what happened: the view event.

-- The same ids as in src/base/trace_id.c.
CREATE VIEW integration_worker.sync_trace AS
SELECT o.id AS outbox_id, g.given IS NOT NULL AS is_given,
       coalesce(g.given[1],
                lpad(to_hex(hashtextextended(m.id, 1)), 16, '0') || lpad(to_hex(hashtextextended(m.id, 2)), 16, '0')) AS trace_id,
       g.given[2] AS parent_id,
       lpad(to_hex(hashtextextended(m.id, 3)), 16, '0') AS send_id,
       lpad(to_hex(hashtextextended(m.id, 4)), 16, '0') AS process_id
  FROM integration_worker.asked o
 CROSS JOIN LATERAL (SELECT ((SELECT i.name FROM integration.installation i) || '-' || o.id) COLLATE "C" AS id) m
 CROSS JOIN LATERAL (
       SELECT regexp_match(o.traceparent, '^(?!ff)(?:00(?=.{53}$)|(?!00)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-|$)')
              AS given) g;
COMMENT ON VIEW integration_worker.sync_trace IS
    'The trace of each sync, the application''s where it gave one; the ids of its spans: send, process.';

-- An attempt at an old sync has a trace of its own.  In plpgsql, which keeps its plans: the worker asks for each incident.
CREATE FUNCTION integration_worker.trace_of(sync bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT a.trace_id
                       FROM integration.attempt a
                      WHERE a.outbox_id = trace_of.sync
                      ORDER BY a.attempt_no DESC
                      LIMIT 1),
                    (SELECT t.trace_id FROM integration_worker.sync_trace t WHERE t.outbox_id = trace_of.sync));
END
$$;
COMMENT ON FUNCTION integration_worker.trace_of(bigint) IS
    'The trace of a sync''s last attempt, else its own; NULL: there is no such sync any more.';

CREATE FUNCTION integration_worker.ids_for_log(syncs bigint[]) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT concat_ws(', ', string_agg(concat('outbox_id=', s.id, ' trace_id=' || integration_worker.trace_of(s.id)), ', ' ORDER BY s.n)
                                       FILTER (WHERE s.n <= 10),
                             'and ' || nullif(greatest(count(*) - 10, 0), 0) || ' more')
              FROM unnest(ids_for_log.syncs) WITH ORDINALITY AS s (id, n)
             WHERE s.id IS NOT NULL
            HAVING count(*) > 0);
END
$$;
COMMENT ON FUNCTION integration_worker.ids_for_log(bigint[]) IS
    'How a line of the server''s log names syncs, to be found by either id: ten of them at most; NULL: none.';

CREATE VIEW integration_worker.sync_event AS
SELECT o.id AS outbox_id, o.endpoint, e.connector, coalesce(o.customer, e.customer) AS customer,
       o.object_type, o.object_id, o.operation, o.enqueued_by, o.enqueued_from, o.triggered_by, o.trigger_ref,
       o.created_at, o.replay_of, t.trace_id, t.send_id, t.process_id
  FROM integration_worker.asked o
  JOIN integration_worker.sync_trace t ON t.outbox_id = o.id
  LEFT JOIN integration.endpoint e ON e.name = o.endpoint;
COMMENT ON VIEW integration_worker.sync_event IS 'What every event of a sync says about it.';

-- Each kind in a branch of its own, so that a condition on outbox_id, incident or at reads by an index; the states of a
-- closing are named for the index closing_state.  What a closing or an
-- incident's row tells as well is not told again by the action behind it.
CREATE VIEW integration.event AS
SELECT 'enqueued:' || s.outbox_id AS id, s.created_at AS at, 'sync' AS component, 'enqueued' AS name,
       s.outbox_id, NULL::integer AS attempt_no, NULL::bigint AS incident,
       s.endpoint, s.connector, s.customer, s.object_type, s.object_id, s.operation,
       s.enqueued_by::text AS actor, s.triggered_by, s.trigger_ref,
       NULL::text AS reason, NULL::text AS error_class, s.trace_id, s.send_id AS span_id,
       jsonb_strip_nulls(jsonb_build_object('enqueued_from', s.enqueued_from, 'replay_of', s.replay_of)) AS details,
       1 AS version
  FROM integration_worker.sync_event s
UNION ALL
SELECT 'attempted:' || a.outbox_id || ':' || a.attempt_no, a.started_at, 'sync', 'attempted', a.outbox_id, a.attempt_no, NULL,
       s.endpoint, s.connector, s.customer, s.object_type, s.object_id, s.operation, 'integration', s.triggered_by, s.trigger_ref,
       a.reason, a.error_class, a.trace_id, a.span_id,
       jsonb_strip_nulls(jsonb_build_object('outcome', a.outcome, 'http_status', a.http_status, 'duration_ms', a.duration_ms,
                                            'error', a.error, 'next_attempt_at', a.next_attempt_at)), 1
  FROM integration.attempt a
  JOIN integration_worker.sync_event s ON s.outbox_id = a.outbox_id
UNION ALL
SELECT 'delivered:' || a.outbox_id, (a.started_at AT TIME ZONE 'UTC' + coalesce(a.duration_ms, 0) * interval '1 ms') AT TIME ZONE 'UTC', 'sync', 'delivered',
       a.outbox_id, a.attempt_no, NULL,
       s.endpoint, s.connector, s.customer, s.object_type, s.object_id, s.operation, 'integration', s.triggered_by, s.trigger_ref,
       a.reason, NULL, s.trace_id, s.process_id, '{}', 1
  FROM integration.attempt a
  JOIN integration_worker.sync_event s ON s.outbox_id = a.outbox_id
 WHERE a.outcome = 'delivered'
UNION ALL
SELECT 'failed:' || a.outbox_id || ':' || a.attempt_no, (a.started_at AT TIME ZONE 'UTC' + coalesce(a.duration_ms, 0) * interval '1 ms') AT TIME ZONE 'UTC', 'sync', 'failed',
       a.outbox_id, a.attempt_no, NULL,
       s.endpoint, s.connector, s.customer, s.object_type, s.object_id, s.operation, 'integration', s.triggered_by, s.trigger_ref,
       a.reason, a.error_class, s.trace_id, s.process_id, jsonb_strip_nulls(jsonb_build_object('error', a.error)), 1
  FROM integration.queue q
  JOIN integration.attempt a ON a.outbox_id = q.outbox_id AND a.attempt_no = q.attempts
  JOIN integration_worker.sync_event s ON s.outbox_id = a.outbox_id
 WHERE q.state = 'failed'
UNION ALL
SELECT c.state || ':' || c.outbox_id, c.closed_at, 'sync', c.state, c.outbox_id, NULL, NULL,
       s.endpoint, s.connector, s.customer, s.object_type, s.object_id, s.operation,
       CASE WHEN c.state = 'cancelled' THEN (SELECT a.actor::text
                                               FROM integration.action a
                                              WHERE a.outbox_id = c.outbox_id AND a.verb = 'cancel'
                                              ORDER BY a.at DESC
                                              LIMIT 1)
            ELSE 'integration' END,
       s.triggered_by, s.trigger_ref, c.reason, NULL, s.trace_id, s.process_id,
       jsonb_strip_nulls(jsonb_build_object('superseded_by', c.superseded_by)), 1
  FROM integration.closing c
  JOIN integration_worker.sync_event s ON s.outbox_id = c.outbox_id
 WHERE c.state IN ('cancelled', 'expired', 'superseded')
UNION ALL
SELECT 'action:' || a.id, a.at,
       CASE WHEN a.outbox_id IS NOT NULL THEN 'sync' WHEN a.incident IS NOT NULL THEN 'incident'
            WHEN a.endpoint IS NOT NULL THEN 'endpoint' ELSE 'database' END,
       CASE WHEN a.verb LIKE '%\_%' THEN a.verb WHEN a.verb ~ '[^aeiou]y$' THEN regexp_replace(a.verb, 'y$', 'ied')
            WHEN a.verb LIKE '%e' THEN a.verb || 'd' ELSE a.verb || 'ed' END,
       a.outbox_id, NULL, a.incident, coalesce(a.endpoint, s.endpoint, i.endpoint), coalesce(s.connector, e.connector),
       coalesce(s.customer, e.customer), s.object_type, s.object_id, s.operation,
       a.actor::text, s.triggered_by, s.trigger_ref, a.reason, i.error_class, s.trace_id, s.process_id, coalesce(a.details, '{}'), 1
  FROM integration.action a
  LEFT JOIN integration_worker.sync_event s ON s.outbox_id = a.outbox_id
  LEFT JOIN integration.incident i ON i.id = a.incident
  LEFT JOIN integration.endpoint e ON e.name = coalesce(a.endpoint, i.endpoint)
 WHERE NOT (a.verb = 'cancel' AND a.outbox_id IS NOT NULL) AND NOT (a.verb = 'resolve' AND a.incident IS NOT NULL)
UNION ALL
SELECT x.name || ':' || i.id || ':' || i.reopened, x.at, 'incident', x.name, i.example, NULL, i.id, i.endpoint, e.connector, e.customer,
       NULL, NULL, NULL, x.actor, NULL, NULL, x.reason, i.error_class, NULL, NULL,
       jsonb_build_object('severity', i.severity, 'owner', i.owner, 'responsible', i.responsible, 'syncs', i.syncs), 1
  FROM integration.incident i
  LEFT JOIN integration.endpoint e ON e.name = i.endpoint
 CROSS JOIN LATERAL (
       VALUES ('opened', i.opened_at, 'integration', NULL),
              ('resolved', i.resolved_at, coalesce(i.resolved_by::text, 'integration'), i.resolution)) AS x (name, at, actor, reason)
 WHERE x.at IS NOT NULL;
COMMENT ON VIEW integration.event IS
    'Everything that happened, one row each: what, when, to what, for whom, who caused it. Read it with a condition on outbox_id or at. docs/events.md lists the names.';
COMMENT ON COLUMN integration.event.id IS 'What tells it from all others, the same whenever it is read.';
COMMENT ON COLUMN integration.event.at IS 'When it happened.';
COMMENT ON COLUMN integration.event.component IS 'What it happened to: sync, endpoint, incident or database.';
COMMENT ON COLUMN integration.event.name IS 'What happened: enqueued, attempted, delivered, failed, retried, cancelled, opened and others.';
COMMENT ON COLUMN integration.event.outbox_id IS 'The sync; of an incident, one that shows it.';
COMMENT ON COLUMN integration.event.attempt_no IS 'The attempt.';
COMMENT ON COLUMN integration.event.incident IS 'The incident.';
COMMENT ON COLUMN integration.event.endpoint IS 'The endpoint.';
COMMENT ON COLUMN integration.event.connector IS 'Its connector.';
COMMENT ON COLUMN integration.event.customer IS 'The customer: the sync''s, else the endpoint''s.';
COMMENT ON COLUMN integration.event.object_type IS 'The kind of business object.';
COMMENT ON COLUMN integration.event.object_id IS 'The business reference.';
COMMENT ON COLUMN integration.event.operation IS 'outbox.operation.';
COMMENT ON COLUMN integration.event.actor IS 'The database user who did it; integration: it happened by itself.';
COMMENT ON COLUMN integration.event.triggered_by IS 'Who or what in the application caused the sync.';
COMMENT ON COLUMN integration.event.trigger_ref IS 'The application''s own reference for that.';
COMMENT ON COLUMN integration.event.reason IS 'Why: an error_reason, or words of the person.';
COMMENT ON COLUMN integration.event.error_class IS 'The error class, where something failed.';
COMMENT ON COLUMN integration.event.trace_id IS 'The W3C trace that shows it.';
COMMENT ON COLUMN integration.event.span_id IS 'Its span: of an attempt that of the request, else that of the sync.';
COMMENT ON COLUMN integration.event.details IS 'What else there is to know.';
COMMENT ON COLUMN integration.event.version IS 'Of the names and columns: a meaning that changes raises it; what is added does not.';
