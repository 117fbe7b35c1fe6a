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

-- By the primary keys of attempt and outbox, once for the whole batch: a loop over it would cost three times as much.  A
-- span's id tells the attempt, since the sync may have several.  Bounds of ids on both sides leave all other ranges out.
CREATE FUNCTION integration_worker.span_facts(batch jsonb)
    RETURNS TABLE (sync bigint, attempt_no integer, is_ended boolean, is_failed boolean, endpoint text, object_type text, object_id text,
                   customer text, method text, url text, status integer, error_type text, error text, peer text,
                   created_at timestamptz, began_at timestamptz, started_at timestamptz, duration_ms integer,
                   trace_id text, span_id text, traceparent text, message_id text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_nestloop = off
    SET plan_cache_mode = force_generic_plan
    SET jit = off
AS $$
DECLARE
    syncs bigint[] := batch ->> 'syncs';
    spans text[] := batch ->> 'spans';
    ended boolean[] := batch ->> 'ended';
    lowest bigint;
    highest bigint;
BEGIN
    SELECT min(s.id), max(s.id) INTO lowest, highest FROM unnest(syncs) AS s (id);
    RETURN QUERY
    SELECT a.outbox_id, a.attempt_no, b.ended, a.outcome = 'failed',
           o.endpoint, o.object_type, o.object_id, coalesce(o.customer, c.customer),
           CASE o.operation WHEN 'ping' THEN 'HEAD' ELSE coalesce(c.method, 'POST') END,
           CASE WHEN a.request_url ~ '[?@]' THEN integration_worker.redacted_url(a.request_url) ELSE a.request_url END,
           a.http_status,
           CASE WHEN a.outcome = 'failed'
                THEN CASE WHEN a.http_status >= 400 THEN a.http_status::text ELSE coalesce(a.error_class, '_OTHER') END END,
           CASE WHEN a.outcome = 'failed' AND coalesce(a.http_status, 0) < 400 THEN a.error END, host(a.remote_address),
           o.created_at,
           CASE a.attempt_no WHEN 1 THEN a.started_at
                ELSE (SELECT x.started_at FROM integration.attempt x WHERE x.outbox_id = a.outbox_id ORDER BY x.attempt_no LIMIT 1) END,
           a.started_at, a.duration_ms, a.trace_id, a.span_id, o.traceparent, i.name || '-' || o.id
      FROM unnest(syncs, spans, ended) AS b (sync, span, ended)
      JOIN integration.attempt a ON a.outbox_id = b.sync AND a.span_id = b.span
      JOIN integration.outbox o ON o.id = a.outbox_id
     CROSS JOIN integration.installation i
      LEFT JOIN LATERAL (SELECT x.customer, x.method FROM integration.endpoint_config x WHERE x.id = a.endpoint_id OFFSET 0) c ON true
     WHERE a.outbox_id = ANY (syncs) AND a.outbox_id BETWEEN lowest AND highest
       AND o.id = ANY (syncs) AND o.id BETWEEN lowest AND highest;
END
$$;
COMMENT ON FUNCTION integration_worker.span_facts(jsonb) IS
    'What the spans of a batch of attempts are made of.';

CREATE FUNCTION integration_worker.otlp_frame(batch jsonb, OUT head text, OUT tail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('{"resourceSpans":[{"resource":%s,"scopeSpans":[{"scope":%s,"spans":[',
                  integration_worker.otlp_resource((batch ->> 'worker')::integer), integration_worker.otlp_scope()),
           ']}]}]}'
$$;
COMMENT ON FUNCTION integration_worker.otlp_frame(jsonb) IS
    'What stands around the spans of a batch of attempts.';

-- In C, as the sender writes it: as text that SQL puts together it costs ten times as much.
CREATE FUNCTION integration_worker.otlp_traces(batch jsonb) RETURNS text
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_otlp_traces';
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
