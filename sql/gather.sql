-- The facts of a batch of results.

-- Locks what each result will change and never waits: what somebody else holds is not free.
-- The fences (FOR UPDATE or OFFSET 0 below LATERAL) keep one look-up by key for each result, whatever
-- the statistics said when the plan was made.
CREATE FUNCTION integration_worker.hold(outbox_ids bigint[], endpoint_ids integer[])
    RETURNS TABLE (n bigint, outbox_id bigint, endpoint_id integer, object_type text, object_id text, ping boolean,
                   queued boolean, change_xid xid8, attempts integer, charged integer, state text,
                   due_at timestamptz, ordering_key text, free boolean, wanted_at timestamptz, expires_at timestamptz)
    LANGUAGE plpgsql VOLATILE ROWS 200
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.n, r.outbox_id, r.endpoint_id, o.object_type, o.object_id, coalesce(o.ping, false),
           q.outbox_id IS NOT NULL, q.change_xid, q.attempts, q.charged, coalesce(q.state, c.state),
           q.due_at, q.ordering_key,
           -- One attempt at a time: the second result of a sync waits for the first.
           NOT r.again
           AND (q.outbox_id IS NOT NULL
                OR (SELECT true FROM integration.queue x WHERE x.outbox_id = r.outbox_id) IS NULL)
           AND (q.outbox_id IS NOT NULL OR c.outbox_id IS NOT NULL
                OR (SELECT true FROM integration.closing x WHERE x.outbox_id = r.outbox_id) IS NULL)
           AND (o.object_id IS NULL OR s.held IS TRUE
                OR (SELECT true FROM integration.sync_status x
                     WHERE (x.endpoint_id, x.object_type, x.object_id)
                           = (r.endpoint_id, o.object_type, o.object_id)) IS NULL),
           o.wanted_at, o.expires_at
      FROM (SELECT u.*, row_number() OVER (PARTITION BY u.outbox_id ORDER BY u.n) > 1 AS again
              FROM unnest(outbox_ids, endpoint_ids) WITH ORDINALITY AS u (outbox_id, endpoint_id, n)) r
      LEFT JOIN LATERAL (
           SELECT coalesce(x.object_type, '') AS object_type, x.object_id, x.operation = 'ping' AS ping,
                  coalesce(x.send_after, x.created_at) AS wanted_at, x.expires_at
             FROM integration.outbox x
            WHERE x.id = r.outbox_id
           OFFSET 0) o ON true
      LEFT JOIN LATERAL (
           SELECT x.* FROM integration.queue x WHERE x.outbox_id = r.outbox_id FOR UPDATE SKIP LOCKED) q ON true
      LEFT JOIN LATERAL (
           SELECT x.outbox_id, x.state
             FROM integration.closing x
            WHERE q.outbox_id IS NULL AND x.outbox_id = r.outbox_id
              FOR UPDATE SKIP LOCKED) c ON true
      LEFT JOIN LATERAL (
           SELECT true AS held
             FROM integration.sync_status x
            WHERE (x.endpoint_id, x.object_type, x.object_id) = (r.endpoint_id, o.object_type, o.object_id)
              FOR NO KEY UPDATE SKIP LOCKED) s ON true;
END
$$;
COMMENT ON FUNCTION integration_worker.hold(bigint[], integer[]) IS
    'Locks the rows of each sync that is to be settled; free is false where somebody else has one of them.';

CREATE FUNCTION integration_worker.rule_for(
        endpoint text, connector text, reason text, http_status integer, body text)
    RETURNS TABLE (error_class text, retryable boolean)
    LANGUAGE plpgsql STABLE ROWS 1
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.error_class, r.retryable
      FROM integration.error_rule r
     WHERE (r.endpoint IS NULL OR r.endpoint = rule_for.endpoint)
       AND (r.connector IS NULL OR r.connector = rule_for.connector)
       AND (r.status_from IS NULL OR rule_for.http_status >= r.status_from)
       AND (r.status_to IS NULL OR rule_for.http_status <= r.status_to)
       AND (r.reason IS NULL OR rule_for.reason = r.reason
            OR (right(r.reason, 1) = '*' AND starts_with(rule_for.reason, left(r.reason, -1))))
       AND (r.match IS NULL OR integration_worker.body_matches(rule_for.body, r.match))
     ORDER BY r.position, r.id
     LIMIT 1;
END
$$;
COMMENT ON FUNCTION integration_worker.rule_for(text, text, text, integer, text) IS
    'The first error_rule that fits an answer, if any.';

CREATE FUNCTION integration_worker.gather(results integration_worker.result[], settled_at timestamptz)
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    any_rule boolean := EXISTS (SELECT FROM integration.error_rule);
BEGIN
    RETURN ARRAY(
        WITH target AS MATERIALIZED (
            SELECT c.id, c.name, c.connector, c.remote_id_path
              FROM integration.endpoint_config c
             WHERE c.id = ANY (ARRAY(SELECT r.endpoint_id FROM unnest(results) r))
        ), meaning AS MATERIALIZED (
            SELECT d.reason AS said, x.reason, x.error_class = 'success' AND x.remote_state = 'done' AS success
              FROM (SELECT DISTINCT coalesce(r.reason, 'unknown') AS reason FROM unnest(results) r) d
              JOIN integration.error_reason x ON x.reason = integration_worker.known_reason(d.reason)
        )
        SELECT ROW (h.n, h.outbox_id, h.endpoint_id,
                    CASE WHEN h.change_xid = r.change_xid THEN h.attempts + 1
                         ELSE 1 + greatest(h.attempts, (SELECT max(a.attempt_no) FROM integration.attempt a
                                                         WHERE a.outbox_id = h.outbox_id), 0) END,
                    coalesce(h.charged, 0), h.queued,
                    CASE WHEN h.change_xid = r.change_xid THEN NULL ELSE coalesce(h.state, 'delivered') END,
                    h.ordering_key, h.object_type, h.object_id, h.ping, coalesce(r.started_at, settled_at),
                    r.http_status,
                    CASE WHEN u.error_class <> 'delivered' AND r.http_status BETWEEN 200 AND 299
                         THEN 'response_rejected' ELSE m.reason END,
                    CASE WHEN u.error_class <> 'delivered' THEN u.retryable END,
                    nullif(u.error_class, 'delivered'), NULL, d.delivered,
                    CASE WHEN NOT h.free THEN 'unsettled' WHEN d.delivered THEN 'delivered' END, h.due_at,
                    CASE WHEN d.delivered AND t.remote_id_path IS NOT NULL
                         THEN integration_worker.body_value(r.response_body, t.remote_id_path) END,
                    CASE WHEN d.delivered AND NOT h.ping THEN 'good' ELSE 'neutral' END,
                    CASE WHEN d.delivered AND NOT h.ping THEN 'success' ELSE 'none' END, NULL,
                    h.wanted_at, h.expires_at
               )::integration_worker.verdict
          FROM integration_worker.hold(ARRAY(SELECT r.outbox_id FROM unnest(results) r),
                                       ARRAY(SELECT r.endpoint_id FROM unnest(results) r)) h
          JOIN unnest(results) WITH ORDINALITY AS r ON r.ordinality = h.n
          JOIN meaning m ON m.said = coalesce(r.reason, 'unknown')
          LEFT JOIN target t ON t.id = h.endpoint_id
          LEFT JOIN LATERAL (
               SELECT x.error_class, x.retryable
                 FROM integration_worker.rule_for(t.name, t.connector, m.reason, r.http_status, r.response_body) x
                WHERE any_rule AND r.http_status IS NOT NULL AND NOT h.ping) u ON true
         CROSS JOIN LATERAL (
               SELECT CASE WHEN h.ping THEN r.http_status IS NOT NULL
                           ELSE coalesce(u.error_class = 'delivered', m.success) END AS delivered) d
         ORDER BY h.n);
END
$$;
COMMENT ON FUNCTION integration_worker.gather(integration_worker.result[], timestamptz) IS
    'The facts of each result: its sync, its reason, whether it was delivered; unsettled where the sync is held by somebody else.';
