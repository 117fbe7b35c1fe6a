-- Telemetry as the OTLP/HTTP protocol has it in JSON.

CREATE FUNCTION integration_worker.otlp_attributes(attributes jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('key', a.key, 'value', CASE jsonb_typeof(a.value)
               WHEN 'number' THEN jsonb_build_object('intValue', a.value #>> '{}')
               WHEN 'boolean' THEN jsonb_build_object('boolValue', a.value)
               ELSE jsonb_build_object('stringValue', a.value #>> '{}') END)), '[]')
      FROM jsonb_each(jsonb_strip_nulls(otlp_attributes.attributes)) AS a
$$;
COMMENT ON FUNCTION integration_worker.otlp_attributes(jsonb) IS
    'A JSON object as a list of OTLP attributes: numbers as integers, what is NULL left out.';

-- service.instance.id has to be stable and unlike others'.
CREATE FUNCTION integration_worker.otlp_resource(worker integer) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('attributes', integration_worker.otlp_attributes(
               jsonb_build_object(
                   'service.name', coalesce(integration_worker.otel_variable('OTEL_SERVICE_NAME'), g.given ->> 'service.name', 'integration'),
                   'service.version', v.version, 'service.namespace', current_database(),
                   'service.instance.id', md5(concat_ws('/', (SELECT i.name FROM integration.installation i), current_database(), worker))::uuid,
                   'deployment.environment.name', nullif(current_setting('integration.environment'), ''),
                   'telemetry.sdk.name', 'integration', 'telemetry.sdk.language', 'c', 'telemetry.sdk.version', v.version)
               || (g.given - 'service.name')))
      FROM (SELECT x.extversion AS version FROM pg_catalog.pg_extension x WHERE x.extname = 'integration') v
     CROSS JOIN (SELECT integration_worker.otel_list(integration_worker.otel_variable('OTEL_RESOURCE_ATTRIBUTES')) AS given) g
$$;
COMMENT ON FUNCTION integration_worker.otlp_resource(integer) IS
    'Who sends telemetry: this installation, this database, this worker; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are taken over.';

CREATE FUNCTION integration_worker.otlp_scope() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('name', 'integration', 'version', x.extversion) FROM pg_catalog.pg_extension x WHERE x.extname = 'integration'
$$;
COMMENT ON FUNCTION integration_worker.otlp_scope() IS 'What makes the telemetry: the extension, in its version.';

-- Of an address in a span nothing may be seen that opens anything.
CREATE FUNCTION integration_worker.redacted_url(url text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT regexp_replace(regexp_replace(url, '://[^/?#@]*@', '://REDACTED:REDACTED@'),
                          '([?&](?:X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|X-Goog-Signature|sig)=)[^&#]*',
                          '\1REDACTED', 'gi')
$$;
COMMENT ON FUNCTION integration_worker.redacted_url(text) IS
    'An address as traces may show it: OpenTelemetry, HTTP conventions, url.full.';

-- The attempts of a batch with what their spans say; text is JSON already.  Looked up one by one: a join could come to
-- read all of a range.  A span's id tells the attempt: the sync may have several.
CREATE FUNCTION integration_worker.span_facts(batch jsonb)
    RETURNS TABLE (sync bigint, attempt_no integer, is_ended boolean, is_failed boolean, endpoint text, object text, method text, url text,
                   status integer, error_type text, message text, peer text, created_at text, started_at text, ended_at text,
                   began_at text, flags integer, trace_id text, span_id text, sync_trace_id text, parent_id text, send_id text, process_id text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan
    SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT a.outbox_id, a.attempt_no, b.is_ended, a.outcome = 'failed', to_json(o.endpoint)::text,
           nullif(concat_ws(',', '{"key":"integration.object.type","value":{"stringValue":' || to_json(o.object_type) || '}}',
                            '{"key":"integration.object.id","value":{"stringValue":' || to_json(o.object_id) || '}}',
                            '{"key":"integration.customer","value":{"stringValue":' || to_json(coalesce(o.customer, c.customer)) || '}}'), ''),
           CASE o.operation WHEN 'ping' THEN 'HEAD' ELSE coalesce(c.method, 'POST') END, CASE WHEN a.request_url ~ '[?@]' THEN integration_worker.redacted_url(a.request_url) ELSE a.request_url END,
           a.http_status,
           CASE WHEN a.outcome = 'failed' THEN CASE WHEN a.http_status >= 400 THEN a.http_status::text ELSE coalesce(a.error_class, '_OTHER') END END,
           CASE WHEN a.outcome = 'failed' AND coalesce(a.http_status, 0) < 400 THEN a.error END, host(a.remote_address),
           (extract(epoch FROM o.created_at) * 1000000)::bigint || '000',
           (extract(epoch FROM a.started_at) * 1000000)::bigint || '000',
           (extract(epoch FROM a.started_at) * 1000000)::bigint + coalesce(a.duration_ms, 0) * 1000 || '000',
           (extract(epoch FROM f.started_at) * 1000000)::bigint || '000',
           CASE WHEN t.is_given THEN ('x0' || substr(o.traceparent, 55, 1))::bit(8)::integer & 3 ELSE 3 END,
           a.trace_id, a.span_id, t.trace_id, t.parent_id, t.send_id, t.process_id
      FROM (SELECT s.sync::bigint, p.span, e.ended::boolean AS is_ended, s.n
              FROM jsonb_array_elements_text(batch -> 'syncs') WITH ORDINALITY AS s (sync, n)
              JOIN jsonb_array_elements_text(batch -> 'spans') WITH ORDINALITY AS p (span, n) ON p.n = s.n
              JOIN jsonb_array_elements_text(batch -> 'ended') WITH ORDINALITY AS e (ended, n) ON e.n = s.n) b
     CROSS JOIN LATERAL (SELECT x.* FROM integration.attempt x WHERE x.outbox_id = b.sync AND x.span_id = b.span OFFSET 0) a
     CROSS JOIN LATERAL (SELECT x.* FROM integration.outbox x WHERE x.id = b.sync OFFSET 0) o
     CROSS JOIN LATERAL (SELECT x.* FROM integration_worker.sync_trace x WHERE x.outbox_id = b.sync OFFSET 0) t
      LEFT JOIN LATERAL (SELECT x.started_at FROM integration.attempt x
                          WHERE x.outbox_id = b.sync AND b.is_ended ORDER BY x.attempt_no LIMIT 1) f ON true
      LEFT JOIN integration.endpoint_config c ON c.id = a.endpoint_id
     ORDER BY b.n;
END
$$;
COMMENT ON FUNCTION integration_worker.span_facts(jsonb) IS
    'What the spans of a batch of attempts are made of; times in nanoseconds.';

-- Text, not jsonb: taken apart and put together again it would cost the worker as much as what it tells of.
-- The shape of the conventions' example of retries: the application's span, send, process, below that each request.
CREATE FUNCTION integration_worker.otlp_spans(batch jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET jit = off
AS $$
BEGIN
    RETURN (
    SELECT string_agg(concat_ws(',',
        CASE WHEN f.attempt_no = 1 THEN concat(
            '{"traceId":"', f.sync_trace_id, '","spanId":"', f.send_id, '"', ',"parentSpanId":"' || f.parent_id || '"',
            ',"flags":', f.flags | CASE WHEN f.parent_id IS NULL THEN 256 ELSE 768 END,
            ',"name":"send ', substr(f.endpoint, 2), ',"kind":4,"startTimeUnixNano":"', f.created_at,
            '","endTimeUnixNano":"', f.created_at, '","attributes":[', m.send, ']}') END,
        CASE WHEN f.is_ended THEN concat(
            '{"traceId":"', f.sync_trace_id, '","spanId":"', f.process_id, '","parentSpanId":"', f.send_id,
            '","flags":', f.flags | 256, ',"name":"process ', substr(f.endpoint, 2), ',"kind":5,"startTimeUnixNano":"', f.began_at,
            '","endTimeUnixNano":"', f.ended_at, '","attributes":[', m.process, m.error,
            '],"links":[{"traceId":"', f.sync_trace_id, '","spanId":"', f.send_id, '"}]', m.status, '}') END,
        concat(
            '{"traceId":"', f.trace_id, '","spanId":"', f.span_id, '"',
            CASE WHEN f.trace_id = f.sync_trace_id THEN ',"parentSpanId":"' || f.process_id || '"' END,
            ',"flags":', f.flags | 256, ',"name":"', f.method, '","kind":3,"startTimeUnixNano":"', f.started_at,
            '","endTimeUnixNano":"', f.ended_at, '","attributes":[', m.request, m.error, ']',
            CASE WHEN f.trace_id <> f.sync_trace_id
                 THEN ',"links":[{"traceId":"' || f.sync_trace_id || '","spanId":"' || f.send_id || '"}]' END,
            m.status, '}')), ',')
      FROM integration_worker.span_facts(otlp_spans.batch) f
     CROSS JOIN LATERAL (SELECT split_part(f.url, ':', 1) AS scheme,
                                split_part(split_part(split_part(split_part(f.url, '/', 3), '?', 1), '#', 1), '@', -1) AS place) p
     CROSS JOIN LATERAL (SELECT CASE WHEN p.place LIKE '[%' THEN split_part(substr(p.place, 2), ']', 1) ELSE split_part(p.place, ':', 1) END AS host,
                                substr(substring(p.place FROM ':[0-9]+$'), 2) AS port) u
     CROSS JOIN LATERAL (
           SELECT concat('{"key":"messaging.system","value":{"stringValue":"integration"}},',
                         '{"key":"messaging.destination.name","value":{"stringValue":', f.endpoint, '}},',
                         '{"key":"messaging.message.id","value":{"stringValue":"', f.sync, '"}}', ',' || f.object) AS message) b
     CROSS JOIN LATERAL (
           SELECT concat(b.message, ',{"key":"messaging.operation.name","value":{"stringValue":"send"}},',
                         '{"key":"messaging.operation.type","value":{"stringValue":"send"}}') AS send,
                  concat(b.message, ',{"key":"messaging.operation.name","value":{"stringValue":"process"}},',
                         '{"key":"messaging.operation.type","value":{"stringValue":"process"}}') AS process,
                  concat('{"key":"integration.endpoint.name","value":{"stringValue":', f.endpoint, '}},',
                         '{"key":"messaging.message.id","value":{"stringValue":"', f.sync, '"}},',
                         '{"key":"http.request.method","value":{"stringValue":"', f.method, '"}}',
                         ',{"key":"url.full","value":{"stringValue":' || to_json(f.url) || '}}',
                         ',{"key":"server.address","value":{"stringValue":' || to_json(u.host) || '}}',
                         ',{"key":"server.port","value":{"intValue":"'
                         || coalesce(u.port, CASE p.scheme WHEN 'http' THEN '80' WHEN 'https' THEN '443' END) || '"}}',
                         ',{"key":"network.peer.address","value":{"stringValue":"' || f.peer || '"}}',
                         ',{"key":"http.response.status_code","value":{"intValue":"' || f.status || '"}}',
                         CASE WHEN f.attempt_no > 1 THEN ',{"key":"http.request.resend_count","value":{"intValue":"'
                                                         || f.attempt_no - 1 || '"}}' END) AS request,
                  ',{"key":"error.type","value":{"stringValue":' || to_json(f.error_type) || '}}' AS error,
                  CASE WHEN f.is_failed THEN concat(',"status":{"code":2', ',"message":' || to_json(f.message), '}') END AS status) m);
END
$$;
COMMENT ON FUNCTION integration_worker.otlp_spans(jsonb) IS
    'The spans of a batch of attempts, separated by commas; NULL: the attempts have gone.';

CREATE FUNCTION integration_worker.otlp_traces(batch jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('{"resourceSpans":[{"resource":%s,"scopeSpans":[{"scope":%s,"spans":[%s]}]}]}',
                  integration_worker.otlp_resource((batch ->> 'worker')::integer), integration_worker.otlp_scope(),
                  integration_worker.otlp_spans(otlp_traces.batch))
$$;
COMMENT ON FUNCTION integration_worker.otlp_traces(jsonb) IS
    'The body of a request that exports a batch of attempts.';

-- Metrics and logs stand in the payload as they leave; a ping has nothing to tell.
CREATE FUNCTION integration_worker.otlp_body(operation text, payload jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF otlp_body.operation = 'traces' THEN
        RETURN integration_worker.otlp_traces(otlp_body.payload);
    END IF;
    RETURN otlp_body.payload::text;
END
$$;
COMMENT ON FUNCTION integration_worker.otlp_body(text, jsonb) IS
    'The body of a request of the format otlp, by the operation and payload of its sync.';
