-- The exact request of a sync, before it leaves.

CREATE FUNCTION integration_worker.request_of(id bigint, is_whole boolean)
    RETURNS TABLE (method text, url text, headers text, body text, problem text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_sync(request_of.id);
    RETURN QUERY
    SELECT r.method, r.url,
           (SELECT string_agg(l.line, E'\n' ORDER BY l.n)
              FROM unnest(r.headers || a.masked) WITH ORDINALITY AS l (line, n)
             WHERE l.n > cardinality(r.headers)
                OR NOT EXISTS (SELECT FROM unnest(a.masked) AS x (line)
                                WHERE lower(split_part(x.line, ':', 1)) = lower(split_part(l.line, ':', 1)))),
           r.body,
           coalesce(r.problem, integration_worker.missing_secret(ARRAY[c.credential, c.signing, c.certificate]))
      FROM integration.outbox o
      JOIN integration.endpoint_config c ON c.name = o.endpoint
      LEFT JOIN integration.sync_status s
        ON s.endpoint_id = c.id
       AND s.object_type = coalesce(o.object_type, '')
       AND s.object_id = o.object_id
     CROSS JOIN LATERAL integration_worker.render_request(
           CASE o.operation WHEN 'ping' THEN 'HEAD' ELSE c.method END, c.url, c.headers, o.headers, c.format,
           coalesce((SELECT i.name FROM integration.installation i), '') || '-' || o.id,
           o.object_type, o.object_id, o.operation, s.remote_id,
           CASE WHEN c.format LIKE 'otlp%' THEN integration_worker.otlp_body(o.operation, o.payload)::jsonb
                WHEN is_whole THEN o.payload ELSE integration_worker.masked(o.payload, c.mask) END, o.created_at,
           '/integration/' || c.name, NULL) r
     CROSS JOIN LATERAL (SELECT CASE WHEN r.headers IS NOT NULL
                                     THEN integration_worker.masked_headers(c.credential, c.signing) END AS masked) a
     WHERE o.id = request_of.id;
    IF NOT FOUND THEN
        PERFORM integration_worker.require_endpoint((SELECT o.endpoint FROM integration.outbox o WHERE o.id = request_of.id));
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.request_of(bigint, boolean) IS
    'The request of a sync; is_whole: with what endpoint.mask hides.';

-- With the caller's rights, else nothing would say who asks.  Its body is bound to what it names when it is
-- made, so the caller needs no right to the schema.
CREATE FUNCTION integration.preview(id bigint)
    RETURNS TABLE (method text, url text, headers text, body text, problem text)
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.*
      FROM integration_worker.request_of(
               preview.id, has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT')) r;
END;
COMMENT ON FUNCTION integration.preview(bigint) IS
    'The request of a sync as it would be sent now, secrets of credentials and what endpoint.mask hides shown as ***; nothing is sent. Not shown: what each attempt draws anew (traceparent) and what the connection adds (Host, User-Agent, Content-Length). problem says why it could not be.';
