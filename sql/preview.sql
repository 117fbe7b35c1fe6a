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
           CASE o.operation WHEN 'ping' THEN 'HEAD' ELSE c.method END, c.url, c.headers, o.headers, regexp_replace(c.format, '^otlp-gzip$', 'otlp'),
           coalesce((SELECT i.name FROM integration.installation i), '') || '-' || o.id,
           o.object_type, o.object_id, o.operation, s.remote_id,
           CASE WHEN c.format LIKE 'otlp%' THEN integration_worker.otlp_body(o.operation, o.payload)::jsonb
                WHEN is_whole THEN o.payload ELSE integration_worker.masked(o.payload, c.mask) END, o.created_at,
           '/integration/' || c.name, NULL, c.idempotency_key_style = 'quoted') r
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
    'The request of a sync as it would be sent now, secrets of credentials and what endpoint.mask hides shown as ***; nothing is sent. Not shown: what each attempt draws anew (traceparent) and what the connection adds (Host, Content-Length). problem says why it could not be.';

-- POSIX 2.2.2: within single quotes everything stands for itself but a single quote.
CREATE FUNCTION integration_worker.shell_word(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '''' || replace(value, '''', '''\''''') || ''''
$$;
COMMENT ON FUNCTION integration_worker.shell_word(text) IS 'A text as one word of a shell''s command.';

-- Nothing of the address or the body has a meaning of its own for curl; a header without a value is written with a semicolon.
-- With its owner's rights, since who asks has none to what it calls.
CREATE FUNCTION integration_worker.curl_of(method text, url text, headers text, body text, problem text) RETURNS text
    LANGUAGE sql IMMUTABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(
        '# it would not be sent: ' || regexp_replace(problem, '\s+', ' ', 'g') || E'\n',
        CASE WHEN headers LIKE '%***%' OR body LIKE '%***%' THEN E'# put in what *** stands for\n' END,
        concat_ws(E' \\\n  ', 'curl --globoff --path-as-is --include',
            CASE method WHEN 'HEAD' THEN '--head' ELSE '--request ' || integration_worker.shell_word(method) END,
            '--url ' || integration_worker.shell_word(url),
            (SELECT string_agg('--header ' || integration_worker.shell_word(
                        CASE WHEN h.line LIKE '%: _%' THEN h.line ELSE rtrim(h.line, ': ') || ';' END), E' \\\n  ' ORDER BY h.n)
               FROM string_to_table(headers, E'\n') WITH ORDINALITY AS h (line, n)),
            CASE WHEN body IS NOT NULL AND headers !~* '(^|\n)content-type:' THEN '--header ''Content-Type:''' END,
            CASE WHEN method <> 'HEAD' THEN '--data-raw ' || integration_worker.shell_word(body) END))
     WHERE url IS NOT NULL OR problem IS NOT NULL
$$;
COMMENT ON FUNCTION integration_worker.curl_of(text, text, text, text, text) IS 'A request as a command for a shell.';

CREATE FUNCTION integration.as_curl(outbox_id bigint) RETURNS text
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT integration_worker.curl_of(r.method, r.url, r.headers, r.body, r.problem)
      FROM integration_worker.request_of(
               as_curl.outbox_id, has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT')) r;
END;
COMMENT ON FUNCTION integration.as_curl(bigint) IS
    'The request of a sync as a command for a shell, with what preview() shows: secrets and what endpoint.mask hides stand as ***. It carries the sync''s own Idempotency-Key, so that a receiver takes it for the same sync.';
