-- The straight way: plain deliveries to endpoints that are well.
--
-- Nearly every result is one, so it is recorded in one statement; whatever is special in any way is
-- left to the rules of settle().

-- Endpoints of a batch for which a delivery changes nothing but its own sync: every result of the batch
-- is a success, nothing is to be written about the endpoint, no rule or incident waits for the answer.
CREATE FUNCTION integration_worker.plain_endpoints(endpoint_ids integer[], reasons text[], settled_at timestamptz)
    RETURNS integer[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other_reasons text[] := ARRAY(
        SELECT s.reason
          FROM (SELECT DISTINCT unnest(reasons)) AS s (reason)
          LEFT JOIN integration.error_reason r ON r.reason = s.reason
         WHERE (r.error_class = 'success' AND r.remote_state = 'done') IS NOT TRUE);
BEGIN
    RETURN ARRAY(
        SELECT b.endpoint_id
          FROM (SELECT DISTINCT unnest(endpoint_ids)) AS b (endpoint_id)
          JOIN integration.endpoint_health h ON h.endpoint_id = b.endpoint_id
          JOIN integration.endpoint_config e ON e.id = b.endpoint_id
         WHERE h.state = 'closed'
           AND e.idempotent
           AND h.updated_at > settled_at - interval '10 s'
           AND h.last_success_at IS NOT NULL
           AND (h.retry_after_until IS NULL OR h.retry_after_until <= settled_at)
           AND (other_reasons = '{}'
                OR NOT EXISTS (SELECT FROM unnest(endpoint_ids, reasons) AS f (endpoint_id, reason)
                                WHERE f.endpoint_id = b.endpoint_id
                                  AND coalesce(f.reason = ANY (other_reasons), true)))
           AND NOT EXISTS (SELECT FROM integration.error_rule r
                            WHERE (r.endpoint IS NULL OR r.endpoint = e.name)
                              AND (r.connector IS NULL OR r.connector = e.connector))
           AND NOT EXISTS (SELECT FROM integration.incident i
                            WHERE i.endpoint = e.name AND i.resolved_at IS NULL));
END
$$;
COMMENT ON FUNCTION integration_worker.plain_endpoints(integer[], text[], timestamptz) IS
    'Endpoints of a batch all of whose results can go the straight way.';

-- Takes no lock beforehand, which would cost as much as the work itself: should somebody hold a row, the
-- short lock_timeout ends the attempt, and the rules, which lock row by row, find out whose it is.  A sync
-- that a person changed or closed, that has an ordering key or is a ping, is left out.
CREATE FUNCTION integration_worker.deliver(
        plain integer[], outbox_ids bigint[], endpoint_ids integer[], change_xids xid8[], reasons text[],
        started_at timestamptz[], duration_ms integer[], http_status integer[], request_url text[], remote_address text[],
        dns_ms integer[], connect_ms integer[], tls_ms integer[], first_byte_ms integer[],
        response_headers jsonb[], response_body text[], trace_id text[], span_id text[],
        object_types text[], object_ids text[], settled_at timestamptz)
    RETURNS integer[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10ms'
AS $$
#variable_conflict use_column
DECLARE
    done integer[];
BEGIN
    WITH removed AS (
        DELETE FROM integration.queue q
         USING unnest(outbox_ids, endpoint_ids, change_xids, reasons, started_at, duration_ms, http_status, request_url,
                      remote_address, dns_ms, connect_ms, tls_ms, first_byte_ms, response_headers, response_body,
                      trace_id, span_id, object_types, object_ids) WITH ORDINALITY
               AS f (outbox_id, endpoint_id, change_xid, reason, started_at, duration_ms, http_status, request_url,
                     remote_address, dns_ms, connect_ms, tls_ms, first_byte_ms, response_headers, response_body,
                     trace_id, span_id, object_type, object_id, n)
         WHERE q.outbox_id = f.outbox_id
           AND q.change_xid = f.change_xid
           AND q.ordering_key IS NULL
           AND q.priority <> 0
           AND f.endpoint_id = ANY (plain)
        RETURNING f.*, q.attempts + 1 AS attempt_no
    ), held AS MATERIALIZED (
        SELECT r.outbox_id, r.endpoint_id, r.reason, r.started_at, r.duration_ms, r.http_status, r.request_url,
               r.remote_address, r.dns_ms, r.connect_ms, r.tls_ms, r.first_byte_ms, r.response_headers, r.response_body,
               r.trace_id, r.span_id, r.n, r.attempt_no,
               coalesce(r.object_type, o.object_type, '') AS object_type, coalesce(r.object_id, o.object_id) AS object_id
          FROM removed r
          -- Looked up only for a caller that doesn't say.
          LEFT JOIN LATERAL (
               SELECT x.object_type, x.object_id
                 FROM integration.outbox x
                WHERE object_ids IS NULL AND x.id = r.outbox_id
               OFFSET 0) o ON true
    ), told AS (
        INSERT INTO integration.sync_status AS s (
               endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at,
               delivered_outbox_id, delivered_at, remote_id, failures)
        SELECT DISTINCT ON (h.endpoint_id, h.object_type, h.object_id)
               h.endpoint_id, h.object_type, h.object_id, 'in_sync', h.outbox_id, coalesce(h.started_at, settled_at),
               h.outbox_id, settled_at,
               CASE WHEN c.remote_id_path IS NOT NULL
                    THEN integration_worker.body_value(h.response_body, c.remote_id_path) END, 0
          FROM held h
          JOIN integration.endpoint_config c ON c.id = h.endpoint_id
         WHERE h.object_id IS NOT NULL
         ORDER BY h.endpoint_id, h.object_type, h.object_id, h.outbox_id DESC
        ON CONFLICT (endpoint_id, object_type, object_id) DO UPDATE
           SET state = CASE WHEN excluded.last_outbox_id >= s.last_outbox_id THEN 'in_sync' ELSE s.state END,
               last_outbox_id = greatest(excluded.last_outbox_id, s.last_outbox_id),
               last_attempt_at = CASE WHEN excluded.last_outbox_id >= s.last_outbox_id THEN excluded.last_attempt_at ELSE s.last_attempt_at END,
               error_class = CASE WHEN excluded.last_outbox_id >= s.last_outbox_id THEN NULL ELSE s.error_class END,
               error = CASE WHEN excluded.last_outbox_id >= s.last_outbox_id THEN NULL ELSE s.error END,
               failures = CASE WHEN excluded.last_outbox_id >= s.last_outbox_id THEN 0 ELSE s.failures END,
               delivered_outbox_id = greatest(excluded.delivered_outbox_id, s.delivered_outbox_id),
               delivered_at = CASE WHEN excluded.delivered_outbox_id >= coalesce(s.delivered_outbox_id, 0)
                                   THEN excluded.delivered_at ELSE s.delivered_at END,
               remote_id = CASE WHEN excluded.delivered_outbox_id >= coalesce(s.delivered_outbox_id, 0)
                                THEN coalesce(excluded.remote_id, s.remote_id) ELSE coalesce(s.remote_id, excluded.remote_id) END
    ), recorded AS (
        INSERT INTO integration.attempt (
               outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, http_status, duration_ms,
               dns_ms, connect_ms, tls_ms, first_byte_ms, request_url, remote_address,
               response_headers, response_body, trace_id, span_id)
        SELECT h.outbox_id, h.attempt_no, h.endpoint_id, coalesce(h.started_at, settled_at), 'delivered', h.reason, h.http_status, h.duration_ms,
               h.dns_ms, h.connect_ms, h.tls_ms, h.first_byte_ms, h.request_url,
               nullif(split_part(h.remote_address, '%', 1), '')::inet,
               h.response_headers, h.response_body, h.trace_id, h.span_id
          FROM held h
    )
    SELECT coalesce(array_agg(h.n::integer), '{}') INTO done FROM held h;
    RETURN done;
EXCEPTION WHEN lock_not_available THEN
    RETURN '{}';
END
$$;
COMMENT ON FUNCTION integration_worker.deliver(
        integer[], bigint[], integer[], xid8[], text[], timestamptz[], integer[], integer[], text[], text[], integer[],
        integer[], integer[], integer[], jsonb[], text[], text[], text[], text[], text[], timestamptz) IS
    'Finishes the syncs that were plainly delivered to these endpoints, with their attempts and sync_status; returns their places in the arrays.';
