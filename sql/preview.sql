-- The exact request of a sync, before it leaves.

CREATE FUNCTION integration.preview(id bigint)
    RETURNS TABLE (method text, url text, headers text, body text, problem text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_sync(preview.id);
    RETURN QUERY
    SELECT r.method, r.url, array_to_string(r.headers, E'\n'), r.body, r.problem
      FROM integration.outbox o
      JOIN integration.endpoint_config c ON c.name = o.endpoint
      LEFT JOIN integration.sync_status s
        ON s.endpoint_id = c.id
       AND s.object_type = coalesce(o.object_type, '')
       AND s.object_id = o.object_id
     CROSS JOIN LATERAL integration_worker.render_request(
           CASE o.operation WHEN 'ping' THEN 'HEAD' ELSE c.method END, c.url, c.headers, o.headers, c.format,
           coalesce((SELECT i.name FROM integration.installation i), '') || '-' || o.id,
           o.object_type, o.object_id, o.operation, s.remote_id, o.payload, o.created_at,
           '/integration/' || c.name, NULL) r
     WHERE o.id = preview.id;
    IF NOT FOUND THEN
        PERFORM integration_worker.require_endpoint((SELECT o.endpoint FROM integration.outbox o WHERE o.id = preview.id));
    END IF;
END
$$;
COMMENT ON FUNCTION integration.preview(bigint) IS
    'The request of a sync as it would be sent now, secrets masked; nothing is sent. Not shown: what each attempt draws anew (traceparent) and what the connection adds (Host, User-Agent, Content-Length). problem says why it could not be.';
