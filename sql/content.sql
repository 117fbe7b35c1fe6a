-- What was sent, what came back: as support may see it.

-- Who may read outbox.payload itself sees all of it; nobody else what went to an endpoint whose mask is gone with it.
CREATE VIEW integration.sync_payload AS
SELECT o.id, o.endpoint, o.object_type, o.object_id,
       CASE WHEN has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT') THEN o.payload
            WHEN e.id IS NULL THEN '"***"'
            ELSE integration_worker.masked(o.payload, coalesce(e.mask, c.mask)) END AS payload
  FROM integration_worker.asked o
  LEFT JOIN integration.endpoint e ON e.name = o.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector;
COMMENT ON VIEW integration.sync_payload IS
    'The payload of each sync, for all but administrators with *** in place of what endpoint.mask names.';
COMMENT ON COLUMN integration.sync_payload.id IS 'The number of the sync: outbox.id.';
COMMENT ON COLUMN integration.sync_payload.endpoint IS 'Where to.';
COMMENT ON COLUMN integration.sync_payload.object_type IS 'The kind of business object.';
COMMENT ON COLUMN integration.sync_payload.object_id IS 'The business reference.';
COMMENT ON COLUMN integration.sync_payload.payload IS 'The body of the request.';

-- An answer may say again what it was sent: in members of the same name, or anywhere in its text.
CREATE FUNCTION integration_worker.masked_answer(said text, mask text[], payload jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.masked_text(
        coalesce(integration_worker.masked(integration_worker.as_json(said), mask)::text, said),
        integration_worker.masked_words(payload, mask));
EXCEPTION WHEN program_limit_exceeded OR statement_too_complex THEN
    RETURN '"***"';
END
$$;
COMMENT ON FUNCTION integration_worker.masked_answer(text, text[], jsonb) IS
    'What came back, without what the mask hides.';

CREATE VIEW integration.sync_attempt AS
SELECT a.outbox_id, a.attempt_no, a.endpoint_id, a.started_at, a.duration_ms, a.dns_ms, a.connect_ms, a.tls_ms,
       a.first_byte_ms, a.outcome, a.reason, a.error_class, a.http_status, a.error, a.request_url, a.remote_address,
       CASE WHEN m.is_whole THEN a.response_headers
            ELSE integration_worker.as_json(
                     integration_worker.masked_answer(a.response_headers::text, m.mask, m.payload)) END AS response_headers,
       CASE WHEN m.is_whole THEN a.response_body
            ELSE integration_worker.masked_answer(a.response_body, m.mask, m.payload) END AS response_body,
       a.trace_id, a.span_id, a.next_attempt_at, a.api_version,
       integration_worker.owner_of(a.endpoint_id, a.error_class, m.customer,
                                   (SELECT r.responsible FROM integration.error_reason r WHERE r.reason = a.reason)) AS owner
  FROM integration.attempt a
  LEFT JOIN LATERAL (
       SELECT CASE WHEN e.id IS NULL THEN '{$}' ELSE coalesce(e.mask, c.mask, '{}') END AS mask, o.payload, o.customer,
              (e.id IS NOT NULL AND coalesce(e.mask, c.mask, '{}') = '{}')
              OR has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT') AS is_whole
         FROM integration_worker.asked o
         LEFT JOIN integration.endpoint e ON e.name = o.endpoint AND e.id = a.endpoint_id
         LEFT JOIN integration.connector c ON c.name = e.connector
        WHERE o.id = a.outbox_id) m ON true;
COMMENT ON VIEW integration.sync_attempt IS
    'The columns of integration.attempt, and the owner; for all but administrators *** stands where an answer says again what endpoint.mask hides.';
COMMENT ON COLUMN integration.sync_attempt.owner IS
    'The team whose work a failure is, by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.';
DO $$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT a.attname AS name, col_description('integration.attempt'::regclass, t.attnum) AS meaning
          FROM pg_catalog.pg_attribute a
          JOIN pg_catalog.pg_attribute t ON t.attrelid = 'integration.attempt'::regclass AND t.attname = a.attname
         WHERE a.attrelid = 'integration.sync_attempt'::regclass
           AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN integration.sync_attempt.%I IS %L', col.name, col.meaning);
    END LOOP;
END
$$;
