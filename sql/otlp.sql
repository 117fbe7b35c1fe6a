-- Telemetry: which signals leave, where to; batches of them in the outbox.

CREATE TABLE integration.telemetry (
    signal text PRIMARY KEY CHECK (signal IN ('traces', 'metrics', 'logs')),
    endpoint text UNIQUE REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    is_on boolean NOT NULL DEFAULT true,
    exported bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    problem text,
    looked_at timestamptz NOT NULL DEFAULT now(),
    certificates text
);
COMMENT ON TABLE integration.telemetry IS
    'Signals that are exported over OTLP: a row each, written by the worker from integration.otlp_endpoint. Its endpoints are like any other: see endpoint_status.';
COMMENT ON COLUMN integration.telemetry.signal IS 'traces, metrics or logs.';
COMMENT ON COLUMN integration.telemetry.endpoint IS 'The endpoint its batches go to; NULL: its address can''t be one.';
COMMENT ON COLUMN integration.telemetry.is_on IS 'Whether it is exported now.';
COMMENT ON COLUMN integration.telemetry.exported IS 'Attempts, log records or looks at the metrics that were put into batches.';
COMMENT ON COLUMN integration.telemetry.dropped IS 'What was left out: there was more than may be exported, or the collector did not take it in time.';
COMMENT ON COLUMN integration.telemetry.rejected IS 'What the collector took apart and refused (partialSuccess).';
COMMENT ON COLUMN integration.telemetry.problem IS 'What the collector said of that last, or why the signal can''t be exported.';
COMMENT ON COLUMN integration.telemetry.looked_at IS 'Answers until then were looked at.';

COMMENT ON COLUMN integration.telemetry.certificates IS
    'A hash of what the files of OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY held when they became the credential of its endpoint; NULL: none are named.';

CREATE FUNCTION integration_worker.otel_variable(name text) RETURNS text
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_otel_variable';
COMMENT ON FUNCTION integration_worker.otel_variable(text) IS
    'A variable OTEL_* of the server''s environment; NULL: empty or not set.';

-- OpenTelemetry, OTLP Exporter Configuration: what a variable of a signal says wins over the general one.
CREATE FUNCTION integration_worker.otlp_variable(signal text, name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(integration_worker.otel_variable(format('OTEL_EXPORTER_OTLP_%s_%s', upper(signal), name)),
                    integration_worker.otel_variable('OTEL_EXPORTER_OTLP_' || name))
$$;
COMMENT ON FUNCTION integration_worker.otlp_variable(text, text) IS
    'What the server''s environment says of the export of a signal; NULL: nothing.';

-- A path of the server's environment is its administrator's; nobody else can have a file read by it.
CREATE FUNCTION integration_worker.otlp_file(signal text, name text) RETURNS text
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_read_file(v.path, 0, 65536)
      FROM integration_worker.otlp_variable(otlp_file.signal, otlp_file.name) AS v (path)
     WHERE v.path IS NOT NULL
$$;
COMMENT ON FUNCTION integration_worker.otlp_file(text, text) IS
    'What the file holds that such a variable names; NULL: none does.';

CREATE FUNCTION integration_worker.otlp_files(signal text, OUT ca text, OUT pair text, OUT hash text)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.ca, f.pair, encode(sha256(convert_to(nullif(concat_ws(E'\n', f.ca, f.pair), ''), 'UTF8')), 'hex')
      FROM (SELECT integration_worker.otlp_file(otlp_files.signal, 'CERTIFICATE') AS ca,
                   nullif(concat_ws(E'\n', integration_worker.otlp_file(otlp_files.signal, 'CLIENT_CERTIFICATE'),
                                    integration_worker.otlp_file(otlp_files.signal, 'CLIENT_KEY')), '') AS pair) f
$$;
COMMENT ON FUNCTION integration_worker.otlp_files(text, OUT text, OUT text, OUT text) IS
    'Whom connections of a signal trust, what they show (the certificate before its key), by the files that the server''s environment names.';

CREATE FUNCTION integration_worker.otlp_files_hash(signal text) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (integration_worker.otlp_files(otlp_files_hash.signal)).hash;
EXCEPTION WHEN system_error OR insufficient_privilege OR data_exception THEN
    RETURN SQLERRM;
END
$$;
COMMENT ON FUNCTION integration_worker.otlp_files_hash(text) IS
    'What telemetry.certificates is compared with; why it can''t be told where a file can''t be read.';

-- OpenTelemetry, Environment Variable Specification: an address of a signal is used as it is, to the general one a path is added.
CREATE FUNCTION integration_worker.otlp_url(signal text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN integration_worker.otel_variable('OTEL_SDK_DISABLED') ILIKE 'true'
                  OR integration_worker.otel_variable(format('OTEL_%s_EXPORTER', upper(otlp_url.signal))) = 'none' THEN NULL
                ELSE coalesce(rtrim(nullif(current_setting('integration.otlp_endpoint'), ''), '/') || '/v1/' || otlp_url.signal,
                              integration_worker.otel_variable(format('OTEL_EXPORTER_OTLP_%s_ENDPOINT', upper(otlp_url.signal))),
                              rtrim(integration_worker.otel_variable('OTEL_EXPORTER_OTLP_ENDPOINT'), '/') || '/v1/' || otlp_url.signal) END
$$;
COMMENT ON FUNCTION integration_worker.otlp_url(text) IS
    'Where a signal is to go, by integration.otlp_endpoint, else by the server''s OTEL_*; NULL: nowhere.';

-- OpenTelemetry, Metrics Exporter OTLP: lowmemory means delta for what we have, histograms beside gauges.
CREATE FUNCTION integration_worker.wants_delta(preference text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(lower(preference) IN ('delta', 'lowmemory'), false)
$$;
COMMENT ON FUNCTION integration_worker.wants_delta(text) IS
    'Whether figures are told as what has come since the last time, by OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE.';

CREATE FUNCTION integration_worker.decoded_percents(text text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT convert_from(coalesce(string_agg(CASE WHEN m[1] ~ '^%' THEN decode(substr(m[1], 2), 'hex')
                                                 ELSE convert_to(m[1], 'UTF8') END, ''::bytea), ''::bytea), 'UTF8')
      FROM regexp_matches(decoded_percents.text, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g') AS m
$$;
COMMENT ON FUNCTION integration_worker.decoded_percents(text) IS 'A text without its percent-encoding.';

-- W3C Baggage without properties, as the OTEL_* lists are written.
CREATE FUNCTION integration_worker.otel_list(list text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(btrim(split_part(p.pair, '=', 1)),
                                             integration_worker.decoded_percents(btrim(substr(p.pair, strpos(p.pair, '=') + 1)))), '{}')
              FROM string_to_table(coalesce(otel_list.list, ''), ',') AS p (pair)
             WHERE btrim(split_part(p.pair, '=', 1)) <> '' AND p.pair LIKE '%=%');
EXCEPTION WHEN data_exception THEN
    RETURN '{}';
END
$$;
COMMENT ON FUNCTION integration_worker.otel_list(text) IS
    'The pairs of a list such as OTEL_RESOURCE_ATTRIBUTES; {} where it can''t be read.';

-- A header that may hold a secret would be readable in the registry: it belongs into a credential.
CREATE FUNCTION integration_worker.otlp_headers(signal text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(h.key, h.value), '{}')
      FROM jsonb_each(integration_worker.otel_list(integration_worker.otlp_variable(signal, 'HEADERS'))) AS h
     WHERE h.key !~* 'auth|key|token|secret|password|cookie'
       AND integration_worker.header_problem(jsonb_build_object(h.key, h.value)) IS NULL
$$;
COMMENT ON FUNCTION integration_worker.otlp_headers(text) IS
    'The headers of OTEL_EXPORTER_OTLP_HEADERS, or of the signal''s own, that can stand in an endpoint.';

-- What people put into the column themselves stays.
CREATE FUNCTION integration_worker.take_certificates(signal text, ca text, pair text, hash text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target text := 'otlp-' || take_certificates.signal;
BEGIN
    IF hash IS NOT DISTINCT FROM (SELECT t.certificates FROM integration.telemetry t WHERE t.signal = take_certificates.signal) THEN
        RETURN;
    END IF;
    UPDATE integration.telemetry t SET certificates = hash WHERE t.signal = take_certificates.signal;
    UPDATE integration.endpoint e SET certificate = NULL WHERE e.name = target AND e.certificate = target AND hash IS NULL;
    IF hash IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO integration.credential (name, kind, settings)
    VALUES (target, 'client_certificate', jsonb_strip_nulls(jsonb_build_object('ca', ca)))
        ON CONFLICT (name) DO UPDATE SET settings = EXCLUDED.settings;
    DELETE FROM integration.secret s WHERE s.credential = target;
    IF pair IS NOT NULL THEN
        PERFORM integration.set_secret(target, pair);
    END IF;
    UPDATE integration.endpoint e SET certificate = target WHERE e.name = target AND e.certificate IS NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.take_certificates(text, text, text, text) IS
    'Makes what otlp_files() says the credential of a signal''s endpoint, once.';

-- Tried again each minute, to be said once.
CREATE FUNCTION integration_worker.switch_off_telemetry(signal text, problem text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO integration.telemetry AS t (signal, is_on, problem)
    VALUES (switch_off_telemetry.signal, false, switch_off_telemetry.problem)
        ON CONFLICT ON CONSTRAINT telemetry_pkey DO UPDATE SET is_on = false, problem = EXCLUDED.problem
     WHERE t.is_on OR t.problem IS DISTINCT FROM EXCLUDED.problem;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION integration_worker.switch_off_telemetry(text, text) IS
    'Exports a signal no more and keeps why; returns whether that is news.';

-- Without the authority that was asked for, others could take the collector's place: nothing leaves then.
CREATE FUNCTION integration_worker.trust_collector(signal text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    detail text;
BEGIN
    PERFORM integration_worker.take_certificates(trust_collector.signal, f.ca, f.pair, f.hash)
       FROM integration_worker.otlp_files(trust_collector.signal) f;
    RETURN true;
EXCEPTION
    WHEN lock_not_available THEN
        RAISE;
    WHEN system_error OR insufficient_privilege OR data_exception OR integrity_constraint_violation
      OR object_not_in_prerequisite_state THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        detail := concat_ws(': ', SQLERRM, nullif(detail, ''));
        IF integration_worker.switch_off_telemetry(trust_collector.signal, detail) THEN
            RAISE WARNING '% cannot be exported with the certificates of the server''s environment', trust_collector.signal
                USING DETAIL = detail,
                      HINT = 'Correct the files that OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY name; they are read again each minute.';
        END IF;
        RETURN false;
END
$$;
COMMENT ON FUNCTION integration_worker.trust_collector(text) IS
    'Has a signal''s endpoint show and trust what the server''s environment names; switches the signal off where that can''t be.';

-- What people changed of connector and endpoint stays; the address follows the setting.
CREATE FUNCTION integration_worker.register_telemetry(signal text, url text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target text := 'otlp-' || register_telemetry.signal;
    timeout interval;
    detail text;
BEGIN
    timeout := integration_worker.otlp_variable(register_telemetry.signal, 'TIMEOUT')::numeric * interval '1 ms';
    INSERT INTO integration.connector (name, title, severity, retry_policy, max_concurrency, timeout, max_payload_bytes)
    VALUES ('otlp', 'OpenTelemetry collector', 4, 'interactive', 2, '10 s', 16777216)
        ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO integration.error_rule (connector, status_from, status_to, error_class, note)
        SELECT 'otlp', s.status_from, s.status_to, 'remote_error', 'OTLP: only 429, 502, 503 and 504 are tried again.'
          FROM (VALUES (408, 408), (500, 501), (505, 599)) AS s (status_from, status_to);
    END IF;
    INSERT INTO integration.endpoint (name, connector, url, allow_http, timeout, format, headers)
    VALUES (target, 'otlp', register_telemetry.url, register_telemetry.url LIKE 'http:%', timeout,
            CASE integration_worker.otlp_variable(register_telemetry.signal, 'COMPRESSION') WHEN 'none' THEN 'otlp' ELSE 'otlp-gzip' END,
            nullif(integration_worker.otlp_headers(register_telemetry.signal), '{}'))
        ON CONFLICT (name) DO UPDATE SET url = EXCLUDED.url, allow_http = EXCLUDED.allow_http
     WHERE integration.endpoint.url <> EXCLUDED.url;
    INSERT INTO integration.telemetry AS t (signal, endpoint, is_on) VALUES (register_telemetry.signal, target, false)
        ON CONFLICT ON CONSTRAINT telemetry_pkey DO UPDATE SET endpoint = EXCLUDED.endpoint WHERE t.endpoint IS NULL;
    IF integration_worker.trust_collector(register_telemetry.signal) THEN
        UPDATE integration.telemetry t SET is_on = true, problem = NULL WHERE t.signal = register_telemetry.signal AND NOT t.is_on;
    END IF;
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR invalid_text_representation THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    detail := concat_ws(': ', SQLERRM, nullif(detail, ''));
    IF integration_worker.switch_off_telemetry(register_telemetry.signal, detail) THEN
        RAISE WARNING '% cannot be exported to "%"', register_telemetry.signal, register_telemetry.url
            USING DETAIL = detail,
                  HINT = 'Correct integration.otlp_endpoint, such as ''https://collector.example.com:4318'', or the setting or the OTEL_EXPORTER_OTLP_* variable that the detail names, and reload.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.register_telemetry(text, text) IS
    'Has a signal go to an address: makes its connector and endpoint where they are missing.';

CREATE FUNCTION integration_worker.prepare_telemetry(writes boolean) RETURNS text[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    wanted record;
BEGIN
    IF prepare_telemetry.writes THEN
        FOR wanted IN
            SELECT s.signal, integration_worker.otlp_url(s.signal) AS url, t.is_on, e.url AS present,
                   integration_worker.otlp_files_hash(s.signal) IS DISTINCT FROM t.certificates AS has_new_certificates
              FROM unnest('{traces,metrics,logs}'::text[]) AS s (signal)
              LEFT JOIN integration.telemetry t ON t.signal = s.signal
              LEFT JOIN integration.endpoint e ON e.name = t.endpoint LOOP
            IF wanted.url IS NULL THEN
                UPDATE integration.telemetry t SET is_on = false WHERE t.signal = wanted.signal AND t.is_on;
            ELSIF wanted.present IS DISTINCT FROM wanted.url OR NOT wanted.is_on OR wanted.has_new_certificates THEN
                PERFORM integration_worker.register_telemetry(wanted.signal, wanted.url);
            END IF;
        END LOOP;
    END IF;
    RETURN ARRAY(SELECT t.signal FROM integration.telemetry t WHERE t.is_on);
END
$$;
COMMENT ON FUNCTION integration_worker.prepare_telemetry(boolean) IS
    'Which signals are exported now; writes: after the settings were followed, which the first worker does for all.';

CREATE FUNCTION integration_worker.telemetry_size(operation text, batch jsonb) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE telemetry_size.operation
           WHEN 'traces' THEN cardinality((batch ->> 'syncs')::bigint[])
           WHEN 'logs' THEN jsonb_array_length(batch #> '{resourceLogs,0,scopeLogs,0,logRecords}')
           ELSE 1 END
$$;
COMMENT ON FUNCTION integration_worker.telemetry_size(text, jsonb) IS
    'Of how many attempts or log records a batch tells; figures count as one.';

-- Telemetry that can't be delivered is of no use to anybody later, so nobody is asked to retry it.
CREATE FUNCTION integration_worker.close_failed_telemetry(target integer, now timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    closed bigint[];
BEGIN
    -- By the index queue_failed.
    WITH gone AS (
        DELETE FROM integration.queue q WHERE q.endpoint_id = close_failed_telemetry.target AND q.state = 'failed' RETURNING q.outbox_id
    ), written AS (
        INSERT INTO integration.closing (outbox_id, state, closed_at, reason)
        SELECT g.outbox_id, 'cancelled', close_failed_telemetry.now, 'telemetry_not_kept' FROM gone g
        RETURNING outbox_id
    )
    SELECT array_agg(w.outbox_id) INTO closed FROM written w;
    RETURN (SELECT coalesce(sum(integration_worker.telemetry_size(o.operation, o.payload)), 0)
              FROM integration.outbox o
             WHERE o.id = ANY (closed));
END
$$;
COMMENT ON FUNCTION integration_worker.close_failed_telemetry(integer, timestamptz) IS
    'Closes the batches to an endpoint that were given up; returns of how much they told.';

-- By the index closing_state, up to a bound: others' syncs expire too.
CREATE FUNCTION integration_worker.expired_telemetry(target text, since timestamptz, until timestamptz) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
    SELECT coalesce(sum(integration_worker.telemetry_size(o.operation, o.payload)), 0)
      FROM (SELECT c.outbox_id
              FROM integration.closing c
             WHERE c.state = 'expired' AND c.closed_at > expired_telemetry.since AND c.closed_at <= expired_telemetry.until
             LIMIT 1000) c
     CROSS JOIN LATERAL (SELECT x.* FROM integration.outbox x WHERE x.id = c.outbox_id OFFSET 0) o
     WHERE o.endpoint = expired_telemetry.target
$$;
COMMENT ON FUNCTION integration_worker.expired_telemetry(text, timestamptz, timestamptz) IS
    'Of how much the batches told that waited for an endpoint until their time had passed.';

-- By the index (endpoint_id, started_at) of each range.
CREATE FUNCTION integration_worker.refused_telemetry(target integer, since timestamptz, until timestamptz, OUT rejected bigint, OUT said text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
    SELECT coalesce(sum(CASE WHEN c.count ~ '^[0-9]{1,15}$' THEN c.count::bigint END), 0), max(nullif(p.said ->> 'errorMessage', ''))
      FROM integration.attempt a
     CROSS JOIN LATERAL (SELECT integration_worker.as_json(a.response_body) -> 'partialSuccess' AS said) p
     CROSS JOIN LATERAL (SELECT coalesce(p.said ->> 'rejectedSpans', p.said ->> 'rejectedDataPoints', p.said ->> 'rejectedLogRecords') AS count) c
     WHERE a.endpoint_id = refused_telemetry.target AND a.started_at > refused_telemetry.since - interval '10 min'
       AND a.started_at <= refused_telemetry.until
       AND a.started_at + a.duration_ms * interval '1 ms' > refused_telemetry.since
       AND a.started_at + a.duration_ms * interval '1 ms' <= refused_telemetry.until
       AND a.outcome = 'delivered' AND a.response_body LIKE '%partialSuccess%'
$$;
COMMENT ON FUNCTION integration_worker.refused_telemetry(integer, timestamptz, timestamptz) IS
    'What a collector refused of batches that it took (partialSuccess): how many, what it said last.';

CREATE FUNCTION integration_worker.tend_telemetry(now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What was answered since may not stand there yet.
    until timestamptz := tend_telemetry.now - interval '1 s';
    target record;
    given_up bigint;
BEGIN
    FOR target IN
        SELECT t.signal, e.id, r.rejected, r.said, integration_worker.expired_telemetry(e.name, t.looked_at, until) AS expired
          FROM integration.telemetry t
          JOIN integration.endpoint e ON e.name = t.endpoint
         CROSS JOIN LATERAL integration_worker.refused_telemetry(e.id, t.looked_at, until) r
         WHERE t.looked_at < tend_telemetry.now - interval '3 s' LOOP
        given_up := integration_worker.close_failed_telemetry(target.id, tend_telemetry.now);
        UPDATE integration.telemetry t
           SET looked_at = until, rejected = t.rejected + target.rejected, dropped = t.dropped + given_up + target.expired,
               problem = coalesce(target.said, t.problem)
         WHERE t.signal = target.signal;
        IF target.rejected > 0 OR target.said IS NOT NULL THEN
            RAISE WARNING 'the collector refused a part of the %: % of them', target.signal, target.rejected
                USING DETAIL = coalesce(target.said, 'It said nothing more.'),
                      HINT = 'They are not sent again: see SELECT * FROM integration.telemetry.';
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION integration_worker.tend_telemetry(timestamptz) IS
    'Every few seconds: closes batches that were given up, counts what collectors refused.';

CREATE FUNCTION integration_worker.send_telemetry(signal text, batch jsonb, size bigint, now timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target text := (SELECT t.endpoint FROM integration.telemetry t WHERE t.signal = send_telemetry.signal AND t.is_on);
BEGIN
    IF target IS NULL THEN
        RETURN true;
    END IF;
    -- By the index queue_due; a collector that is slow or away gets no more than these when it is back.
    IF (SELECT count(*) FROM (SELECT FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id
                               WHERE e.name = target AND q.priority = 3 AND q.state <> 'failed' LIMIT 8) w) = 8 THEN
        RETURN false;
    END IF;
    INSERT INTO integration.outbox (endpoint, operation, payload, priority, triggered_by, expires_at)
    VALUES (target, send_telemetry.signal, send_telemetry.batch, 'low', 'integration', send_telemetry.now + interval '5 min');
    UPDATE integration.telemetry t SET exported = t.exported + send_telemetry.size WHERE t.signal = send_telemetry.signal;
    RETURN true;
END
$$;
COMMENT ON FUNCTION integration_worker.send_telemetry(text, jsonb, bigint, timestamptz) IS
    'Puts a batch of a signal into the outbox, unless too many wait there already: false. A signal that is off takes everything.';

-- What people did and what happened to incidents, until it is put into a batch of logs.
CREATE TABLE integration_worker.log_due (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    severity smallint NOT NULL,
    name text NOT NULL,
    body text,
    attributes jsonb NOT NULL
);
COMMENT ON TABLE integration_worker.log_due IS 'Log records that are to be exported.';

CREATE FUNCTION integration_worker.log_action() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration.telemetry t WHERE t.signal = 'logs' AND t.is_on) THEN
        INSERT INTO integration_worker.log_due (at, severity, name, body, attributes)
        SELECT a.at, CASE WHEN a.verb IN ('pause', 'escalate') THEN 13 ELSE 9 END, 'integration.action.' || a.verb,
               format('%s by %s%s', a.verb, a.actor, ': ' || a.reason),
               jsonb_build_object('integration.actor', a.actor, 'messaging.message.id', a.outbox_id::text,
                                  'integration.endpoint.name', a.endpoint, 'integration.incident', a.incident)
          FROM new_rows a
         ORDER BY a.id
         LIMIT 1000;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.log_action() IS
    'Statement trigger: has what people do exported, of one statement a thousand at most.';

CREATE TRIGGER log_action AFTER INSERT ON integration.action
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.log_action();

CREATE FUNCTION integration_worker.log_incident_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration.telemetry t WHERE t.signal = 'logs' AND t.is_on) THEN
        INSERT INTO integration_worker.log_due (at, severity, name, body, attributes)
        SELECT c.at, CASE WHEN c.change NOT IN ('opened', 'reopened', 'updated', 'escalated') THEN 9 WHEN i.severity <= 2 THEN 17 ELSE 13 END,
               'integration.incident.' || c.change, (integration_worker.log_line(c)).line,
               jsonb_build_object('integration.incident', i.id, 'integration.endpoint.name', nullif(i.endpoint, ''),
                                  'error.type', i.error_class, 'messaging.message.id', i.example::text,
                                  'integration.owner', i.owner, 'integration.responsible', i.responsible)
          FROM new_rows n
          JOIN integration_worker.incident_change c ON c.id = n.id
          JOIN integration.incident i ON i.id = n.incident
         ORDER BY n.id;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.log_incident_change() IS
    'Statement trigger: has what happens to incidents exported.';

CREATE TRIGGER log_incident_change AFTER INSERT ON integration_worker.incident_change
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.log_incident_change();

CREATE FUNCTION integration_worker.drop_telemetry(signal text, count bigint) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.telemetry t SET dropped = t.dropped + count WHERE t.signal = drop_telemetry.signal AND count > 0
$$;
COMMENT ON FUNCTION integration_worker.drop_telemetry(text, bigint) IS 'Counts what was left out of a signal.';
