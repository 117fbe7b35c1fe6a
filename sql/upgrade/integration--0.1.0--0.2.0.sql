-- Brings the objects of 0.1.0 to those of 0.2.0.

\echo Use "ALTER EXTENSION integration UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- In the order in which an insert takes them, so that applications wait instead of meeting a deadlock.
LOCK TABLE integration.outbox IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE integration.connector, integration.endpoint, integration.queue IN ACCESS EXCLUSIVE MODE;

ALTER TABLE integration.installation
    ADD COLUMN fingerprint jsonb,
    ADD COLUMN adopted_at timestamptz,
    ADD COLUMN adopted_by name;

ALTER TABLE integration.incident
    ADD COLUMN snoozed_until timestamptz,
    ADD COLUMN reopened integer NOT NULL DEFAULT 0,
    ADD COLUMN resolved_by name,
    ADD COLUMN resolution text,
    ADD COLUMN worked boolean,
    ADD COLUMN fingerprint text GENERATED ALWAYS AS (endpoint || ':' || error_class) STORED,
    ADD COLUMN level integer NOT NULL DEFAULT 0,
    ADD COLUMN escalated_at timestamptz,
    ADD COLUMN open_since timestamptz,
    ADD CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    ADD CHECK (state <> 'snoozed' OR snoozed_until IS NOT NULL);

ALTER TABLE integration.pause ADD COLUMN error_class text;
CREATE OR REPLACE VIEW integration_worker.pause_in_force AS
SELECT p.*
  FROM integration.pause p
 WHERE p.until IS NULL OR p.until > statement_timestamp();
ALTER TABLE integration.endpoint_health
    ADD COLUMN failing_since timestamptz,
    ADD COLUMN stopped_for text;
ALTER TYPE integration_worker.standing ADD ATTRIBUTE stopped_for text;
ALTER TYPE integration_worker.counter ADD ATTRIBUTE changed_at timestamptz;
ALTER TABLE integration.error_reason ADD COLUMN pauses boolean NOT NULL DEFAULT false;

ALTER TABLE integration.connector
    ADD COLUMN certificate text REFERENCES integration.credential ON UPDATE CASCADE,
    ADD COLUMN mask text[],
    ADD COLUMN status text NOT NULL DEFAULT 'active',
    ADD COLUMN api_version text,
    ADD COLUMN objective numeric NOT NULL DEFAULT 0.9999,
    ADD COLUMN escalation text,
    ADD COLUMN refusals_alike integer,
    ADD COLUMN idempotency_key_style text;
ALTER TABLE integration.endpoint
    ADD COLUMN certificate text REFERENCES integration.credential ON UPDATE CASCADE,
    ADD COLUMN mask text[],
    ADD COLUMN expected_every interval,
    ADD COLUMN expected_at_least integer,
    ADD COLUMN expected_since timestamptz,
    ADD COLUMN escalation text,
    ADD COLUMN refusals_alike integer,
    ADD COLUMN idempotency_key_style text;

ALTER TABLE integration.attempt ADD COLUMN api_version text;
ALTER TABLE integration_worker.attempt_staged ADD COLUMN api_version text;

ALTER TABLE integration.outbox ADD COLUMN tracestate text DEFAULT nullif(current_setting('integration.tracestate', true), '');
ALTER TABLE integration_worker.outbox_staged ADD COLUMN tracestate text;

ALTER TABLE integration.queue
    ADD COLUMN limited_customer text COLLATE "C",
    ADD COLUMN limited_role text COLLATE "C",
    ADD COLUMN reason text,
    ADD COLUMN http_status integer,
    ADD COLUMN error text,
    ADD COLUMN last_attempt_at timestamptz;

ALTER TABLE integration.error_class
    ADD COLUMN responsible text CHECK (responsible IN ('customer', 'support', 'engineering', 'operations', 'remote_vendor')),
    ADD COLUMN is_watched boolean NOT NULL DEFAULT false;

ALTER TYPE integration_worker.verdict
    ADD ATTRIBUTE wanted_at timestamptz,
    ADD ATTRIBUTE expires_at timestamptz;

ALTER TYPE integration_worker.plain_batch ADD ATTRIBUTE reasons text[], ADD ATTRIBUTE api_versions text[];

-- Shipped rows, where nobody has changed them: the triggers would take it for a change of the user's.
ALTER TABLE integration.error_class DISABLE TRIGGER own_text;
ALTER TABLE integration.error_reason DISABLE TRIGGER own_text;
INSERT INTO integration.error_class (name, title, remedy, customer_message, shipped) VALUES
    ('copied_database', 'Copied database',
     'If this database takes over from the original, run SELECT integration.adopt(); if the original still sends, leave it.',
     'Your data is waiting for its turn and is sent automatically.', true)
    ON CONFLICT (name) DO NOTHING;
-- What no result says but a watchdog finds.
INSERT INTO integration.error_class (name, title, remedy, customer_message, responsible, is_watched, shipped) VALUES
    ('sla_at_risk', 'Delivery promise at risk',
     'See what holds the oldest syncs back (SELECT integration.why(id)); remove that, or tell the customers who wait.',
     'Your data may arrive later than agreed. We are looking into it.', 'support', true, true),
    ('nothing_delivered', 'Nothing arrived that was expected',
     'See whether the application enqueued anything; if it did, see what holds it back (SELECT integration.why(id)); if not, ask who runs the application.',
     'No data of yours has left lately although some was expected. We are looking into it.', 'engineering', true, true),
    ('queue_growing', 'More comes in than gets out',
     'See what holds the endpoint back (integration.endpoint_status); if it is its own limits, allow more at once or agree on a higher rate.',
     'More data than usual is waiting. It is sent automatically, a little later.', 'operations', true, true),
    ('worker_silent', 'The sender stood still',
     'Look into the server''s log around that time: a lock, a full disk, memory, a stopped process; what waited has been sent since, or is listed in integration.failed.',
     'Our system was out of order for a while. What waited is being sent.', 'operations', true, true),
    ('interface_ending', 'Interface ends or changes',
     'Read what the other side has announced, plan the change to what replaces it, and finish before the date; of another version, make sure that we are written for it.',
     'The other system is changing its interface. We are preparing for it.', 'engineering', true, true),
    ('certificate_ending', 'Our certificate is about to end',
     'Order the next client certificate and set it with its key (integration.set_secret) before the date; from then on connections fail.',
     'A certificate of ours is being renewed. Your data is sent as usual.', 'operations', true, true),
    ('design_fault', 'Refused whatever is sent',
     'Many different records were refused alike and none was accepted: correct the mapping, cancel or amend what waits with the old one, then resume the endpoint.',
     'Our connection to the other system needs a correction. We are working on it.', 'engineering', true, true),
    ('long_failure', 'Has failed for days',
     'Ask the other side and the customer whether the connection is still wanted; repair it and resume the endpoint, or remove it.',
     'We have not reached the other system for days. Please check it, or tell us whether it is still in use.', 'support', true, true)
    ON CONFLICT (name) DO NOTHING;
UPDATE integration.error_class k
   SET responsible = r.responsible
  FROM (VALUES ('customer', '{not_found,gone,conflict,validation}'::text[]),
               ('support', '{expired}'),
               ('engineering', '{protocol,redirect,unsupported_data,payload_too_large,response_too_large,config,internal,blocked_by_policy,timeout_queue}'),
               ('operations', '{dns,proxy,timeout_dns,auth,permission,tls,local_resource,copied_database}'),
               ('remote_vendor', '{connect,timeout_connect,timeout_tls,timeout_send,timeout_response,timeout_body,reset,rate_limited,response_invalid,remote_error,remote_unavailable}')
       ) AS r (responsible, classes)
 WHERE k.name = ANY (r.classes);
-- What a customer is told of a class is the cause alone: what comes next, what they can do is said beside it.
UPDATE integration.error_class c
   SET customer_message = n.customer_message
  FROM (VALUES
      ('success', 'Your data has arrived.'),
      ('deferred', 'Your data is waiting for its turn.'),
      ('dns', 'The other system cannot be found at the moment.'),
      ('connect', 'The other system cannot be reached at the moment.'),
      ('tls', 'A secure connection to the other system is not possible at the moment, so nothing was sent.'),
      ('proxy', 'Our network does not let the data out at the moment.'),
      ('timeout_dns', 'The other system cannot be found at the moment.'),
      ('timeout_connect', 'The other system does not react at the moment.'),
      ('timeout_tls', 'The other system does not react at the moment.'),
      ('timeout_queue', 'Your data is waiting for its turn.'),
      ('timeout_send', 'Handing over your data took too long.'),
      ('timeout_response', 'The other system took too long to answer, so it is not certain yet whether your data arrived.'),
      ('timeout_body', 'The other system took too long to answer.'),
      ('reset', 'The connection to the other system broke, so it is not certain yet whether your data arrived.'),
      ('protocol', 'The other system gave an answer that cannot be understood.'),
      ('redirect', 'The other system has moved to another address.'),
      ('rate_limited', 'The other system asks us to slow down.'),
      ('auth', 'The other system does not accept our login.'),
      ('permission', 'The other system does not allow this.'),
      ('not_found', 'The other system does not know this record.'),
      ('gone', 'The address you gave us has been shut down.'),
      ('conflict', 'The record was changed or exists already in the other system.'),
      ('validation', 'The other system does not accept the data of this record.'),
      ('unsupported_data', 'The other system cannot take this kind of data.'),
      ('payload_too_large', 'This record is too large for the other system.'),
      ('response_too_large', 'The other system answered with too much data, so it is not certain yet whether your data arrived.'),
      ('response_invalid', 'The other system gave an answer that cannot be read, so it is not certain yet whether your data arrived.'),
      ('remote_error', 'The other system reported an error.'),
      ('remote_unavailable', 'The other system is out of service at the moment.'),
      ('config', 'Your data cannot be sent because of a setting on our side.'),
      ('local_resource', 'Our system is short of resources at the moment.'),
      ('internal', 'Something went wrong on our side.'),
      ('cancelled', 'This was withdrawn.'),
      ('expired', 'Your data could not be sent in time.'),
      ('blocked_by_policy', 'The address you gave us may not be called for security reasons.'),
      ('copied_database', 'Your data is waiting for its turn.')) AS n (name, customer_message)
 WHERE c.name = n.name AND c.shipped;
UPDATE integration.error_reason
   SET remedy = 'Our server stopped in the middle of sending; look up in the other system whether it did the work, and retry if it did not. Where the error says that it happened several times, find the cause in the server''s log first.',
       notes = 'Found at the next start: a mark without a result, or a sync that was in hand at three crashes.'
 WHERE reason = 'worker_crash' AND shipped;
UPDATE integration.error_reason SET pauses = true WHERE reason = 'http:410';
UPDATE integration.error_class
   SET remedy = 'Use a host, address, port and scheme that are allowed, or have a superuser change integration.allowed_hosts, allowed_networks or allowed_ports; after the reload the syncs go on by themselves.'
 WHERE name = 'blocked_by_policy' AND shipped;
INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,
    breaker, concurrency, category, responsible, span_error_type, remedy, notes, shipped) VALUES
    ('curl:7:blocked', 'curl', '7', 'CURLE_COULDNT_CONNECT', '<=7.88', 'our opensocket callback refused the address (own flag set)', 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'The address leads to a protected internal network and was blocked on purpose; use another address, or have a superuser add its range to integration.allowed_networks.', 'Set an own flag in the callback: libcurl reports only code 7.', true),
    ('curl:35:certificate', 'curl', '35', 'CURLE_SSL_CONNECT_ERROR', '<=7.88', 'handshake refused (alert in error text) for a certificate: certificate required / bad certificate / certificate expired / unknown ca', 'tls', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'tls', 'The other system does not accept the certificate that we show; operations should set the right one with set_secret().', 'With TLS 1.3 see code 56.', true),
    ('curl:42:blocked', 'curl', '42', 'CURLE_ABORTED_BY_CALLBACK', '<=7.88', 'own prereq callback refused', 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'The address leads to a protected internal network and was blocked on purpose; use another address, or have a superuser add its range to integration.allowed_networks.', NULL, true),
    ('http:400:certificate', 'http', '400', 'Bad Request', 'RFC 9110', 'the answer is that of nginx about a client certificate', 'tls', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '400', 'The other system wants proof of identity that we did not give or that it does not accept; operations should name the right certificate in the endpoint.', 'nginx (ssl_verify_client) ends the handshake well, then says 400 for its 495 and 496.', true),
    ('oauth_wrong_address', 'internal', 'oauth_wrong_address', 'token endpoint answers 3xx, 404, 405 or 410 without an error of OAuth', NULL, NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'There is no login service at the address that we have; correct token_url in the settings of the credential.', NULL, true),
    ('blocked_private_address', 'internal', 'blocked_private_address', 'address policy', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'The address leads to a protected internal network and was blocked on purpose; use another address, or have a superuser add its range to integration.allowed_networks.', NULL, true),
    ('blocked_scheme', 'internal', 'blocked_scheme', 'plain http not allowed', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'Only secure addresses are allowed; use an address that starts with https, or have a superuser set allow_http of the endpoint.', NULL, true),
    ('blocked_port', 'internal', 'blocked_port', 'port not allowed', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'blocked_by_policy', 'The connection uses a port that is not allowed; use another one, or have a superuser add it to integration.allowed_ports.', NULL, true),
    ('blocked_host', 'internal', 'blocked_host', 'host not on the allow list', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'blocked_by_policy', 'The receiver is not on the list of allowed hosts; use another one, or have a superuser add it to integration.allowed_hosts.', NULL, true)
    ON CONFLICT (reason) DO UPDATE SET remedy = excluded.remedy WHERE error_reason.shipped;
-- The views of syncs are built on others now: people's keep their columns meanwhile, and whoever reads them, too.
DO $$
DECLARE
    kept regclass;
BEGIN
    FOREACH kept IN ARRAY ARRAY['integration.sync', 'integration.failed', 'integration.object_status']::regclass[] LOOP
        EXECUTE (SELECT format('CREATE OR REPLACE VIEW %s AS SELECT %s', kept,
                               string_agg(format('NULL::%s AS %I', format_type(a.atttypid, a.atttypmod), a.attname), ', ' ORDER BY a.attnum))
                   FROM pg_attribute a
                  WHERE a.attrelid = kept AND a.attnum > 0 AND NOT a.attisdropped);
    END LOOP;
END
$$;
DROP VIEW integration_worker.unfinished, integration_worker.waiting, integration_worker.sync_facts CASCADE;

-- One function marks the user's rows now; what is dropped further down must not be needed by then.
DROP TRIGGER own_text ON integration.error_class;
DROP TRIGGER own_text ON integration.error_reason;
DROP TRIGGER own_policy ON integration.retry_policy;

-- Ranges get it as the default partition does; what nobody was granted is nobody's.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT c.relname
          FROM pg_catalog.pg_inherits i
          JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'integration.outbox'::regclass AND c.relname <> 'outbox_default'
    LOOP
        EXECUTE format('CREATE INDEX ON integration.%I (customer, id) WHERE customer IS NOT NULL', made.relname);
        EXECUTE format('CREATE INDEX ON integration.%I USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on)', made.relname);
    END LOOP;
    FOR made IN
        SELECT c.relname
          FROM pg_catalog.pg_inherits i
          JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'integration.attempt'::regclass AND c.relname <> 'attempt_default'
    LOOP
        EXECUTE format('CREATE INDEX ON integration.%I USING brin (started_at, '
                       '((started_at AT TIME ZONE ''UTC'' + coalesce(duration_ms, 0) * interval ''1 ms'') AT TIME ZONE ''UTC'')) '
                       'WITH (pages_per_range = 32, autosummarize = on)', made.relname);
    END LOOP;
    FOR made IN
        SELECT t.oid::regtype AS name
          FROM pg_catalog.pg_type t
          JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
         WHERE t.typnamespace = 'integration_worker'::regnamespace
    LOOP
        EXECUTE format('REVOKE ALL ON TYPE %s FROM PUBLIC', made.name);
    END LOOP;
END
$$;

-- Written by test/upgrade/draft from here on.

DROP FUNCTION integration_worker.own_error_text();

DROP FUNCTION integration_worker.check_rule_target(integration.error_rule);

DROP FUNCTION integration_worker.render_request(text, text, jsonb, jsonb, text, text, text, text, text, text, jsonb, timestamptz, text, text);

DROP FUNCTION integration_worker.own_retry_policy();

DROP FUNCTION integration_worker.refusal(bigint, text, text, jsonb, jsonb, text, timestamptz, timestamptz);

DROP FUNCTION integration_worker.endpoints();

DROP FUNCTION integration_worker.recent_attempts(text, timestamptz, integer, boolean);

DROP FUNCTION integration_worker.fact_of(integration_worker.verdict);

DROP FUNCTION integration_worker.schedule_next(integration_worker.verdict, integration.error_reason, integer, timestamptz);

DROP FUNCTION integration_worker.decide(integration_worker.verdict, boolean, integer, timestamptz);

DROP FUNCTION integration_worker.unknown_outcome(integration_worker.verdict);

DROP FUNCTION integration_worker.error_text(integration_worker.verdict, text, jsonb, text, text);

DROP FUNCTION integration_worker.explain(integration_worker.verdict, text, jsonb, text, text);

DROP FUNCTION integration_worker.tally(integration_worker.verdict[], integration_worker.counter[]);

DROP FUNCTION integration_worker.mark(bigint[], xid8[]);

DROP FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text);

DROP FUNCTION integration_worker.copy_sync(integration.outbox, jsonb);

DROP FUNCTION integration.replay(text, timestamptz, timestamptz, text);

DROP FUNCTION integration_worker.remedy_when_failed(text, boolean);

DROP FUNCTION integration_worker.why_waiting(bigint, timestamptz, timestamptz, integer, "window" integer, boolean);

DROP FUNCTION integration_worker.action_words(text, jsonb);

-- By hand: TABLE integration.installation

COMMENT ON COLUMN integration.installation.name IS 'Twelve hex digits, drawn with the first endpoint.';

COMMENT ON COLUMN integration.installation.fingerprint IS
    'The database that sends: one that differs is a copy, so is one that was restored (NULL); {} before the first endpoint. See integration.adopt().';

COMMENT ON COLUMN integration.installation.adopted_at IS 'When it last took over from another; NULL: never.';

COMMENT ON COLUMN integration.installation.adopted_by IS 'Who had it do so.';

CREATE FUNCTION integration_worker.new_name() RETURNS text
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)
$$;
REVOKE ALL ON FUNCTION integration_worker.new_name() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.new_name() IS 'Draws a name for an installation.';

-- By hand: INSERT INTO integration.installation (name) VALUES (integration_worker.new_name());

-- pg_restore and the scripts of pg_dump switch row security off, and nobody else does.
CREATE FUNCTION integration_worker.is_restoring() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT current_setting('row_security') = 'off'
$$;
REVOKE ALL ON FUNCTION integration_worker.is_restoring() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_restoring() IS
    'Whether this session reads a dump back.';

COMMENT ON COLUMN integration.credential.name IS 'What endpoint.credential, endpoint.signing and endpoint.certificate refer to.';

COMMENT ON COLUMN integration.credential.settings IS 'JSON object of what is not secret, such as a user name or a token URL; which members there are depends on the kind.';

COMMENT ON TABLE integration.secret IS
    'Sealed secret values of credentials by version; opened by the worker only, written by integration.set_secret().';

COMMENT ON COLUMN integration.secret.sealed IS 'The value, encrypted with AES-256-GCM.';

-- By hand: TABLE integration.connector

COMMENT ON COLUMN integration.connector.certificate IS 'Default for endpoint.certificate.';

COMMENT ON COLUMN integration.connector.refusals_alike IS 'Default for endpoint.refusals_alike.';

COMMENT ON COLUMN integration.connector.idempotency_key_style IS 'Default for endpoint.idempotency_key_style.';

COMMENT ON COLUMN integration.connector.mask IS 'Default for endpoint.mask.';

COMMENT ON COLUMN integration.connector.status IS
    'active, deprecated (whoever enqueues is warned, once a session) or retired (nothing is enqueued any more; what was is still sent).';

COMMENT ON COLUMN integration.connector.api_version IS 'The version of the other side''s API that its endpoints are written for; each attempt records it.';

COMMENT ON COLUMN integration.connector.objective IS
    'The share of syncs that should be delivered in time, above 0 and below 1; what may be missed by it is the error budget of integration.sla_report.';

COMMENT ON COLUMN integration.connector.escalation IS 'Default for endpoint.escalation.';

-- By hand: TABLE integration.endpoint

-- Serves watch_expected().
CREATE INDEX endpoint_expected ON integration.endpoint (id) WHERE expected_every IS NOT NULL;

COMMENT ON COLUMN integration.endpoint.format IS 'json, cloudevents (attributes in headers), cloudevents-structured or cloudevents-batched (a JSON array with one event a request, for receivers that ask for it); default json. Of the endpoints that telemetry goes to otlp-gzip or otlp.';

COMMENT ON COLUMN integration.endpoint.certificate IS
    'A credential of kind client_certificate: what connections show, whom they trust, beside what requests authenticate with.';

COMMENT ON COLUMN integration.endpoint.refusals_alike IS
    'So many different objects refused alike, without a delivery between them, stop the endpoint; default 20; 0: any number is let pass.';

COMMENT ON COLUMN integration.endpoint.idempotency_key_style IS
    'How the header Idempotency-Key is written: bare, as most APIs want it, or quoted, the structured field of the IETF''s draft; default bare.';

COMMENT ON COLUMN integration.endpoint.mask IS
    'Paths to members of payloads, such as {$.iban,$.lines[*].price,$.**.password}, that only administrators see; support and operators see ***. {}: none.';

COMMENT ON COLUMN integration.endpoint.expected_every IS
    'Within each such time something must be delivered, else an incident is opened (nothing_delivered); NULL: nothing is expected.';

COMMENT ON COLUMN integration.endpoint.expected_at_least IS
    'So many deliveries within that time; default 1. Of more than one the attempts are counted, as long as they are kept.';

COMMENT ON COLUMN integration.endpoint.expected_since IS
    'The first such time begins here; set to now when the two before it change, unless written along with them.';

COMMENT ON COLUMN integration.endpoint.escalation IS
    'The chain of integration.escalation_level by which its incidents climb; default: the connector''s, then default.';

CREATE OR REPLACE VIEW integration.endpoint_config AS
SELECT e.id, e.name, e.connector, e.customer, e.url, e.allow_http,
       coalesce(e.owner, c.owner) AS owner,
       coalesce(c.severity, 3::smallint) AS severity,
       c.sla,
       coalesce(e.method, c.method, 'POST') AS method,
       coalesce(c.headers, '{}') || coalesce(e.headers, '{}') AS headers,
       coalesce(e.format, c.format, 'json') AS format,
       coalesce(e.credential, c.credential) AS credential,
       coalesce(e.signing, c.signing) AS signing,
       coalesce(e.retry_policy, c.retry_policy, 'standard') AS retry_policy,
       coalesce(e.connect_timeout, c.connect_timeout, '5 s') AS connect_timeout,
       coalesce(e.timeout, c.timeout, '15 s') AS timeout,
       coalesce(e.max_concurrency, c.max_concurrency, 8) AS max_concurrency,
       coalesce(e.rate_limit, c.rate_limit) AS rate_limit,
       coalesce(e.rate_burst, c.rate_burst, ceil(coalesce(e.rate_limit, c.rate_limit))::integer) AS rate_burst,
       coalesce(e.max_payload_bytes, c.max_payload_bytes, 1048576) AS max_payload_bytes,
       coalesce(e.payload_check, c.payload_check) AS payload_check,
       coalesce(e.idempotent, c.idempotent, true) AS idempotent,
       coalesce(e.dedup_window, c.dedup_window, '24 h') AS dedup_window,
       coalesce(e."coalesce", c."coalesce", false) AS "coalesce",
       coalesce(e.remote_id_path, c.remote_id_path) AS remote_id_path,
       (SELECT jsonb_object_agg(s.setting, CASE WHEN s.own THEN 'endpoint' WHEN s.inherited THEN 'connector' ELSE 'extension' END)
          FROM (VALUES ('owner', e.owner IS NOT NULL, c.owner IS NOT NULL),
                       ('method', e.method IS NOT NULL, c.method IS NOT NULL),
                       ('headers', e.headers IS NOT NULL, c.headers IS NOT NULL),
                       ('format', e.format IS NOT NULL, c.format IS NOT NULL),
                       ('credential', e.credential IS NOT NULL, c.credential IS NOT NULL),
                       ('signing', e.signing IS NOT NULL, c.signing IS NOT NULL),
                       ('certificate', e.certificate IS NOT NULL, c.certificate IS NOT NULL),
                       ('retry_policy', e.retry_policy IS NOT NULL, c.retry_policy IS NOT NULL),
                       ('connect_timeout', e.connect_timeout IS NOT NULL, c.connect_timeout IS NOT NULL),
                       ('timeout', e.timeout IS NOT NULL, c.timeout IS NOT NULL),
                       ('max_concurrency', e.max_concurrency IS NOT NULL, c.max_concurrency IS NOT NULL),
                       ('rate_limit', e.rate_limit IS NOT NULL, c.rate_limit IS NOT NULL),
                       ('rate_burst', e.rate_burst IS NOT NULL, c.rate_burst IS NOT NULL),
                       ('max_payload_bytes', e.max_payload_bytes IS NOT NULL, c.max_payload_bytes IS NOT NULL),
                       ('payload_check', e.payload_check IS NOT NULL, c.payload_check IS NOT NULL),
                       ('idempotent', e.idempotent IS NOT NULL, c.idempotent IS NOT NULL),
                       ('dedup_window', e.dedup_window IS NOT NULL, c.dedup_window IS NOT NULL),
                       ('coalesce', e."coalesce" IS NOT NULL, c."coalesce" IS NOT NULL),
                       ('remote_id_path', e.remote_id_path IS NOT NULL, c.remote_id_path IS NOT NULL),
                       ('mask', e.mask IS NOT NULL, c.mask IS NOT NULL),
                       ('refusals_alike', e.refusals_alike IS NOT NULL, c.refusals_alike IS NOT NULL),
                       ('idempotency_key_style', e.idempotency_key_style IS NOT NULL, c.idempotency_key_style IS NOT NULL)
               ) AS s (setting, own, inherited)) AS sources,
       coalesce(e.mask, c.mask, '{}') AS mask,
       coalesce(e.certificate, c.certificate) AS certificate,
       coalesce(c.status, 'active') AS status, c.api_version, coalesce(c.objective, 0.9999) AS objective,
       coalesce(e.refusals_alike, c.refusals_alike, 20) AS refusals_alike,
       coalesce(e.idempotency_key_style, c.idempotency_key_style, 'bare') AS idempotency_key_style
  FROM integration.endpoint e
  LEFT JOIN integration.connector c ON c.name = e.connector;

COMMENT ON COLUMN integration.endpoint_config.status IS 'Where its connector is in its life: active, deprecated or retired.';

COMMENT ON COLUMN integration.endpoint_config.api_version IS 'The version of the other side''s API; NULL: nobody has said.';

COMMENT ON COLUMN integration.endpoint_config.objective IS 'The share of syncs that should be delivered in time.';

-- By hand: TABLE integration.error_class

COMMENT ON COLUMN integration.error_class.responsible IS
    'Who can do something about it in general; the reason says it more exactly. NULL: nobody has to.';

COMMENT ON COLUMN integration.error_class.is_watched IS
    'Its incidents are opened and ended by a watchdog, not by results: a delivery ends none of them.';

-- By hand: TABLE integration.error_reason

COMMENT ON COLUMN integration.error_reason.pauses IS
    'The endpoint pauses itself until somebody resumes it, unless its url holds {object_id} or {remote_id}; only where breaker is trip.';

-- What the user made or changed is carried by a dump; when that is restored it takes the place of the row that CREATE
-- EXTENSION has just made anew.
CREATE FUNCTION integration_worker.own_row() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    NEW.shipped := false;
    IF TG_OP = 'INSERT' THEN
        EXECUTE format('DELETE FROM %I.%I t WHERE t.shipped AND %s', TG_TABLE_SCHEMA, TG_TABLE_NAME,
                       (SELECT string_agg(format('t.%1$I = $1.%1$I', k.name), ' AND ') FROM unnest(TG_ARGV) AS k (name)))
          USING NEW;
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.own_row() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.own_row() IS
    'Row trigger, its arguments the columns of the key: marks rows that the user made or changed; an inserted one takes the place of the shipped one.';

-- Reasons refer to it, so the shipped row stays and takes the texts over.
CREATE FUNCTION integration_worker.own_error_class() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.shipped := false;
    UPDATE integration.error_class c
       SET (title, remedy, customer_message, responsible)
           = (NEW.title, NEW.remedy, NEW.customer_message, coalesce(NEW.responsible, c.responsible))
     WHERE c.name = NEW.name AND c.shipped;
    RETURN CASE WHEN FOUND THEN NULL ELSE NEW END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.own_error_class() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.own_error_class() IS
    'Row trigger: a class that is inserted gives its texts to the shipped one of its name.';

CREATE OR REPLACE FUNCTION integration_worker.check_error_rule() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A row may be restored before the one it refers to.
    restoring boolean := integration_worker.is_restoring();
    class_known boolean := restoring OR NEW.error_class = 'delivered'
        OR EXISTS (SELECT FROM integration.error_class c WHERE c.name = NEW.error_class);
BEGIN
    IF NEW.status_to IS NULL THEN
        NEW.status_to := NEW.status_from;
    END IF;
    IF class_known IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('error class "%s" does not exist', NEW.error_class),
            HINT = 'Write delivered, or a name from integration.error_class; an own class is added by a row there.';
    END IF;
    IF NEW.error_class IN ('success', 'delivered') AND NEW.retryable THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule that says delivered cannot be retryable',
            HINT = 'Leave retryable out, or write an error class.';
    END IF;
    IF NEW.error_class IN ('success', 'cancelled', 'expired', 'deferred') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('error class "%s" cannot be the result of a rule', NEW.error_class),
            HINT = 'Write delivered for a success, or the class of a failure.';
    END IF;
    IF NEW.endpoint IS NOT NULL AND NEW.connector IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule is either for an endpoint or for a connector',
            HINT = 'Leave one of the two out; leave both out for all endpoints.';
    END IF;
    IF NOT restoring THEN
        PERFORM integration_worker.check_rule_target(NEW.endpoint, NEW.connector);
    END IF;
    PERFORM integration_worker.check_rule_condition(NEW);
    RETURN NEW;
END
$$;

CREATE FUNCTION integration_worker.check_rule_target(endpoint text, connector text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF check_rule_target.endpoint IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.name = check_rule_target.endpoint) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('endpoint "%s" does not exist', check_rule_target.endpoint),
            HINT = 'Write the name of a row in integration.endpoint, or leave it out for all endpoints.';
    END IF;
    IF check_rule_target.connector IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.connector c WHERE c.name = check_rule_target.connector) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('connector "%s" does not exist', check_rule_target.connector),
            HINT = 'Write the name of a row in integration.connector, or leave it out for all endpoints.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_rule_target(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_rule_target(text, text) IS
    'Refuses a rule for an endpoint or connector that does not exist; NULL: for any.';

CREATE OR REPLACE FUNCTION integration_worker.check_rule_condition(rule integration.error_rule) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF num_nonnulls(rule.reason, rule.status_from, rule.status_to, rule.match) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule without a condition would fit every answer',
            HINT = 'Write at least one of status_from, reason and match, such as match => ''$.success == false''.';
    END IF;
    IF rule.status_from NOT BETWEEN 100 AND 999 OR rule.status_to NOT BETWEEN 100 AND 999
       OR rule.status_from > rule.status_to THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('%s to %s is no range of HTTP statuses',
                             coalesce(rule.status_from::text, 'NULL'), coalesce(rule.status_to::text, 'NULL')),
            HINT = 'Write three digits, the lower one in status_from, such as 400 and 499.';
    END IF;
    IF NOT integration_worker.is_restoring() AND NOT EXISTS (SELECT FROM integration.error_reason r
        WHERE rule.reason IS NULL OR r.reason = rule.reason
           OR (right(rule.reason, 1) = '*' AND starts_with(r.reason, left(rule.reason, -1)))) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('reason "%s" fits no row of integration.error_reason', rule.reason),
            HINT = 'Write a reason such as http:409, or the beginning of several followed by *, such as http:5*.';
    END IF;
END
$$;

-- By hand: INSERT INTO integration.error_class (name, title, remedy, customer_message) VALUES

-- By hand: INSERT INTO integration.error_class (name, title, remedy, customer_message, responsible, is_watched) VALUES

-- By hand: UPDATE integration.error_class k

-- By hand: INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,

-- By hand: INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,

-- By hand: INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,

-- By hand: UPDATE integration.error_reason SET pauses = true WHERE reason = 'http:410';

CREATE OR REPLACE TRIGGER own_text BEFORE INSERT ON integration.error_class
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_error_class();

CREATE TRIGGER own_text_changed BEFORE UPDATE ON integration.error_class
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row();

CREATE OR REPLACE TRIGGER own_text BEFORE INSERT OR UPDATE ON integration.error_reason
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('reason');

-- Every sentence that people are shown: texts by language.

-- Languages as RFC 5646 §2.1.1 writes them: de, de-AT, zh-Hant.
CREATE TABLE integration.phrase (
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    key text NOT NULL,
    words text NOT NULL,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, key)
);
REVOKE ALL ON TABLE integration.phrase FROM PUBLIC;

COMMENT ON TABLE integration.phrase IS
    'Every sentence that views, why(), timeline() show. A translation is a row of the same key in another language; {words} in braces are filled in, in any order.';

COMMENT ON COLUMN integration.phrase.locale IS
    'The language, as in integration.locale or customer.locale: de-AT, else de, else en is taken, phrase by phrase.';

COMMENT ON COLUMN integration.phrase.key IS 'What it is for.';

COMMENT ON COLUMN integration.phrase.words IS 'The text; the {words} of the English one are all there are.';

COMMENT ON COLUMN integration.phrase.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

CREATE FUNCTION integration_worker.languages(locale text DEFAULT NULL) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (WITH part AS (
                SELECT p.n, CASE WHEN p.n > 1 AND length(p.subtag) = 2 THEN upper(p.subtag)
                                 WHEN p.n > 1 AND length(p.subtag) = 4 THEN initcap(p.subtag)
                                 ELSE lower(p.subtag) END AS subtag
                  FROM regexp_split_to_table(left(coalesce(locale, current_setting('integration.locale', true), ''), 40), '[-_]')
                       WITH ORDINALITY AS p (subtag, n)
            )
            SELECT array_remove(array_agg(l.language ORDER BY l.n DESC), 'en') || 'en'::text
              FROM (SELECT p.n, string_agg(p.subtag, '-') OVER (ORDER BY p.n) AS language FROM part p) l
             WHERE l.language <> '');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.languages(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.languages(text) IS
    'Which languages a text is looked for in, the best first: {de-AT,de,en}, also for de_at. NULL: of integration.locale.';

-- In one pass, since what is filled in may hold braces, too.
CREATE FUNCTION integration_worker.fill_in(template text, words jsonb, as_literals boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT CASE WHEN bool_and(f.piece IS NOT NULL) THEN string_agg(f.piece, '' ORDER BY f.n) END
              FROM (SELECT m.n,
                           CASE WHEN words ? m.found[2] IS NOT TRUE THEN m.found[1]
                                WHEN as_literals AND jsonb_typeof(words -> m.found[2]) = 'string'
                                THEN quote_literal(words ->> m.found[2])
                                ELSE words ->> m.found[2] END AS piece
                      FROM regexp_matches(template, '([^{]+|\{([a-z_]+)\}|\{)', 'g') WITH ORDINALITY AS m (found, n)) f);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.fill_in(text, jsonb, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.fill_in(text, jsonb, boolean) IS
    'A template with the {words} in it replaced, in statements by literals; NULL where it lacks one of them.';

-- These have their owner's rights, as the views that call them do: whoever may see a view need not see the schema below.
CREATE FUNCTION integration_worker.translated(key text, otherwise text, locale text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    languages text[] := integration_worker.languages(translated.locale);
BEGIN
    RETURN coalesce((SELECT p.words
                       FROM integration.phrase p
                      WHERE p.locale = ANY (languages) AND p.key = translated.key
                      ORDER BY array_position(languages, p.locale)
                      LIMIT 1), otherwise);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.translated(text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.translated(text, text, text) IS
    'A phrase as it stands in the table, in the best language there is; otherwise: what another table says in English.';

CREATE FUNCTION integration_worker.say(key text, words jsonb DEFAULT '{}', locale text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.fill_in(
               integration_worker.translated(say.key, regexp_replace(say.key, '^.*[.]', ''), say.locale), say.words);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.say(text, jsonb, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.say(text, jsonb, text) IS
    'A phrase with its {words} filled in, NULL where one of them is null: a part of a sentence that has nothing to say. What no language has is the last word of the key.';

CREATE FUNCTION integration_worker.phrases(beginnings text[], locale text DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(s.key, s.words), '{}')
              FROM (SELECT DISTINCT ON (p.key) p.key, p.words
                      FROM integration_worker.languages(phrases.locale) AS l (languages)
                      JOIN integration.phrase p ON p.locale = ANY (l.languages)
                     WHERE EXISTS (SELECT FROM unnest(beginnings) AS b (beginning) WHERE starts_with(p.key, b.beginning))
                     ORDER BY p.key, array_position(l.languages, p.locale)) s);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.phrases(text[], text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.phrases(text[], text) IS
    'All phrases whose keys begin so, by key, in the best language there is: for what says many in a row.';

INSERT INTO integration.phrase (key, words) VALUES
    ('duration.milliseconds', '{n} ms'),
    ('duration.seconds', '{n} s'),
    ('duration.minutes', '{n} min'),
    ('duration.hours', '{n} h'),
    ('duration.days', '{n} d'),
    -- As to_char() reads it.
    ('time.pattern', 'YYYY-MM-DD HH24:MI:SS TZ'),
    ('time.coming', '{time} (in {distance})'),
    ('state.pending', 'pending'),
    ('state.retrying', 'retrying'),
    ('state.failed', 'failed'),
    ('state.delivered', 'delivered'),
    ('state.cancelled', 'cancelled'),
    ('state.expired', 'expired'),
    ('state.superseded', 'superseded'),
    ('responsible.customer', 'customer'),
    ('responsible.support', 'support'),
    ('responsible.engineering', 'engineering'),
    ('responsible.operations', 'operations'),
    ('responsible.remote_vendor', 'remote_vendor');

CREATE FUNCTION integration_worker.duration_words(length interval, texts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seconds bigint := ceil(extract(epoch FROM length));
    units text[] := CASE WHEN seconds >= 86400 THEN '{days,hours}' WHEN seconds >= 3600 THEN '{hours,minutes}' ELSE '{minutes,seconds}' END;
    unit_s integer := CASE WHEN seconds >= 86400 THEN 86400 WHEN seconds >= 3600 THEN 3600 ELSE 60 END;
    large bigint := seconds / unit_s;
    small bigint := seconds % unit_s / CASE unit_s WHEN 86400 THEN 3600 WHEN 3600 THEN 60 ELSE 1 END;
BEGIN
    IF seconds < 60 THEN
        RETURN replace(texts ->> 'duration.seconds', '{n}', seconds::text);
    END IF;
    RETURN concat_ws(' ', CASE WHEN large > 0 THEN replace(texts ->> ('duration.' || units[1]), '{n}', large::text) END,
                     CASE WHEN small > 0 THEN replace(texts ->> ('duration.' || units[2]), '{n}', small::text) END);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.duration_words(interval, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.duration_words(interval, jsonb) IS
    'A length of time for people, to two units; texts: the phrases duration.….';

CREATE OR REPLACE FUNCTION integration_worker.duration_words(length interval) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.duration_words(length, integration_worker.phrases('{duration.}'));
END
$$;

-- What is written down is read later, when a distance from now would be wrong.
CREATE FUNCTION integration_worker.moment_words(at timestamptz) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(to_char(at, integration_worker.say('time.pattern')), at::text)
$$;
REVOKE ALL ON FUNCTION integration_worker.moment_words(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.moment_words(timestamptz) IS
    'A moment for a text that is kept, in the time zone of the session.';

CREATE OR REPLACE FUNCTION integration_worker.time_words(at timestamptz) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN isfinite(at) AND at > statement_timestamp()
                THEN integration_worker.say('time.coming', jsonb_build_object('time', t.words,
                         'distance', integration_worker.duration_words(at - statement_timestamp())))
                ELSE t.words END
      FROM integration_worker.moment_words(at) AS t (words)
$$;

-- By hand: TABLE integration.outbox

-- Serves customer_sync, customer_object: what belongs to a customer.
CREATE INDEX outbox_default_customer ON integration.outbox_default (customer, id) WHERE customer IS NOT NULL;

-- Serves the view event by time: rows come nearly in that order, so that some bytes for 32 pages are enough.
CREATE INDEX outbox_default_at ON integration.outbox_default USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

COMMENT ON COLUMN integration.outbox.traceparent IS
    'W3C trace context it belongs to; default: the setting integration.traceparent, else the sqlcommenter comment of the statement.';

COMMENT ON COLUMN integration.outbox.tracestate IS 'What other tracing systems pass on with traceparent; default: the setting integration.tracestate, else the comment.';

-- Each insert walks over all that depends on the outbox's id, to find the sequence of its identity: with a view
-- there for each one that reads syncs, that was a quarter of what the extension adds to an insert.
CREATE VIEW integration_worker.asked AS
SELECT o.*
  FROM integration.outbox o;

COMMENT ON VIEW integration_worker.asked IS 'The outbox, for views: none but this one reads it itself.';

-- By hand: TABLE integration.queue

-- Serve backlog_count() in C and the view enqueue_limit_status: the backlogs that have a limit.
CREATE INDEX queue_customer ON integration.queue (limited_customer) WHERE limited_customer IS NOT NULL;

CREATE INDEX queue_role ON integration.queue (limited_role) WHERE limited_role IS NOT NULL;

COMMENT ON COLUMN integration.queue.limited_customer IS
    'The customer to whose max_backlog it counts; NULL: there was no such limit when it was enqueued.';

COMMENT ON COLUMN integration.queue.limited_role IS
    'The role to whose max_backlog it counts; NULL: there was no such limit when it was enqueued.';

COMMENT ON COLUMN integration.queue.reason IS
    'Reason of the last attempt, as in integration.attempt: lists of ten thousand failed syncs look up nothing there.';

COMMENT ON COLUMN integration.queue.http_status IS 'HTTP status of the last attempt; NULL when no answer arrived.';

COMMENT ON COLUMN integration.queue.error IS 'Details of the last attempt in words.';

COMMENT ON COLUMN integration.queue.last_attempt_at IS 'When the last attempt began; NULL: there was none.';

-- By hand: TABLE integration.attempt

-- Serves the view event by time; when an attempt ended is written as the view does, by what is immutable.
CREATE INDEX attempt_default_at ON integration.attempt_default
    USING brin (started_at, ((started_at AT TIME ZONE 'UTC' + coalesce(duration_ms, 0) * interval '1 ms') AT TIME ZONE 'UTC'))
    WITH (pages_per_range = 32, autosummarize = on);

COMMENT ON COLUMN integration.attempt.api_version IS 'connector.api_version at that time.';

-- Serves object_status, customer_object: what does not work, among the many that do.
CREATE INDEX sync_status_failing ON integration.sync_status (endpoint_id, object_id) WHERE state <> 'in_sync';

-- By hand: TABLE integration.endpoint_health

COMMENT ON COLUMN integration.endpoint_health.state IS
    'closed (calls flow), open (too many failures, waits until open_until), stopped (cannot work until somebody acts; probed seldom). That one probe of an open one is out, half_open, says endpoint_status alone.';

COMMENT ON COLUMN integration.endpoint_health.failing_since IS
    'The first failure since the last delivery, to ten seconds, without times of pause; NULL: none.';

COMMENT ON COLUMN integration.endpoint_health.stopped_for IS
    'The error class that it is stopped for where no single failure is the cause, such as design_fault; NULL: last_reason says it.';

-- By hand: TABLE integration.incident

-- Serves the look for one that comes back, and what helped before.
CREATE INDEX incident_resolved ON integration.incident (error_class, endpoint, resolved_at) WHERE resolved_at IS NOT NULL;

COMMENT ON COLUMN integration.incident.id IS 'Its number; 0: the database is a copy.';

COMMENT ON COLUMN integration.incident.endpoint IS 'The endpoint''s name; empty: all of them (a copied database).';

COMMENT ON COLUMN integration.incident.snoozed_until IS 'Nobody is bothered until then; NULL: it is not snoozed.';

COMMENT ON COLUMN integration.incident.reopened IS 'How often it came back within a day of its end.';

COMMENT ON COLUMN integration.incident.resolved_by IS 'The database user who resolved it; NULL: it ended by itself.';

COMMENT ON COLUMN integration.incident.resolution IS 'What was done about it, in the words of those who did.';

COMMENT ON COLUMN integration.incident.worked IS 'Whether that helped; NULL: nobody did or said anything.';

COMMENT ON COLUMN integration.incident.fingerprint IS 'What makes two failures the same problem: endpoint:error_class.';

COMMENT ON COLUMN integration.incident.level IS 'How far it has climbed because nobody looks after it: a level of integration.escalation_level; 0: not at all.';

COMMENT ON COLUMN integration.incident.escalated_at IS 'When it climbed last.';

COMMENT ON COLUMN integration.incident.open_since IS 'Since when it is open, where it was not all the time since opened_at.';

-- By hand: TABLE integration.pause

COMMENT ON COLUMN integration.pause.name IS 'Which one; empty for all, unless the database is a copy (copied_database).';

COMMENT ON COLUMN integration.pause.error_class IS
    'For what the endpoint has paused itself, such as gone; NULL: somebody has paused it.';

DROP INDEX integration.action_outbox;

-- Serves timeline(), and retention, which asks what was touched since.
CREATE INDEX action_outbox ON integration.action (outbox_id, at) WHERE outbox_id IS NOT NULL;

-- Serves the end of an incident, which asks what people did while it was open.
CREATE INDEX action_at ON integration.action (at);

-- Serves integration.sla_clock(): when what was paused.
CREATE INDEX action_switch ON integration.action (at) WHERE verb IN ('pause', 'resume');

COMMENT ON COLUMN integration.action.verb IS 'retry, cancel, amend, pause, resume, replay, ping, adopt; of incidents acknowledge, assign, snooze, ignore, reopen, resolve, escalate; of tables insert, update, delete; of roles grant, revoke.';

-- What helps: the same failure for support, for an engineer, for the customer.

CREATE TABLE integration.remedy (
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    audience text NOT NULL CHECK (audience IN ('support', 'engineer', 'customer')),
    error_class text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    words text NOT NULL,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, audience, error_class, reason),
    CONSTRAINT remedy_subject CHECK ((error_class = '') <> (reason = ''))
);
REVOKE ALL ON TABLE integration.remedy FROM PUBLIC;

COMMENT ON TABLE integration.remedy IS
    'What helps against a reason, or against a whole error class, told to one audience in one language. Support''s in English are error_reason.remedy and error_class.remedy unless a row here says otherwise. integration.what_helps shows what comes of it.';

COMMENT ON COLUMN integration.remedy.locale IS
    'The language, as in integration.locale or customer.locale: de-AT, else de, else en is taken, remedy by remedy.';

COMMENT ON COLUMN integration.remedy.audience IS
    'support (plain words), engineer (what to look at, which statement) or customer (what they can do themselves, nothing internal).';

COMMENT ON COLUMN integration.remedy.error_class IS 'For each reason of this class that has no text of its own in the language; empty: for one reason.';

COMMENT ON COLUMN integration.remedy.reason IS 'For this error_reason; empty: for a class.';

COMMENT ON COLUMN integration.remedy.words IS 'The text.';

COMMENT ON COLUMN integration.remedy.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

-- In one piece, so that a view that shows ten thousand failures asks once.  The reader's own language goes before the
-- more exact text in another one.
CREATE FUNCTION integration_worker.remedies(audience text, locale text DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (WITH spoken AS (
                SELECT r.error_class, r.reason, r.words, array_position(l.languages, r.locale) AS rank
                  FROM integration_worker.languages(remedies.locale) AS l (languages)
                  JOIN integration.remedy r ON r.locale = ANY (l.languages) AND r.audience = remedies.audience
            )
            SELECT coalesce(jsonb_object_agg(b.subject, b.words), '{}')
              FROM (SELECT DISTINCT ON (t.subject) t.subject, t.words
                      FROM (SELECT s.reason AS subject, s.words, s.rank, 0 AS breadth FROM spoken s WHERE s.reason <> ''
                            UNION ALL
                            SELECT ':' || s.error_class, s.words, s.rank, 1 FROM spoken s WHERE s.error_class <> ''
                            UNION ALL
                            SELECT e.reason, s.words, s.rank, 1
                              FROM spoken s
                              JOIN integration.error_reason e ON e.error_class = s.error_class) t
                     ORDER BY t.subject, t.rank, t.breadth) b);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.remedies(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.remedies(text, text) IS
    'What integration.remedy says to an audience in a language (NULL: integration.locale): an object by reason, and by :error_class for what has no reason. What it lacks stands in error_reason, error_class.';

INSERT INTO integration.phrase (key, words) VALUES
    ('remedy.worked_before', 'This helped before: {worked_before}.'),
    ('remedy.worked', '{resolution} (incident {incident}, {time})'),
    ('remedy.of_duplicate', 'It is a duplicate of sync {other}, which is failed: retry or amend that one.'),
    ('remedy.unknown_outcome',
     'Nobody knows whether the other system did the work: look it up there, then cancel this sync or retry it.'),
    -- A regular expression: what remedies of this language say of further attempts.
    ('remedy.promise', '(it will be|it is) tried again( automatically| later)?'),
    ('remedy.no_promise', 'no further attempt is planned, so retry it when that is over');

-- A remedy speaks of what happens by itself; for a failed sync nothing does.
CREATE FUNCTION integration_worker.remedies_when_failed() RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH spoken AS MATERIALIZED (
        SELECT integration_worker.translated('remedy.promise', '') AS promise, integration_worker.translated('remedy.no_promise', '') AS instead
    )
    SELECT coalesce(jsonb_object_agg(t.remedy, regexp_replace(t.remedy, p.promise, p.instead)), '{}')
      FROM spoken p
      JOIN (SELECT r.remedy FROM integration.error_reason r
            UNION
            SELECT k.remedy FROM integration.error_class k
            UNION
            SELECT s.value FROM jsonb_each_text(integration_worker.remedies('support')) s) t ON t.remedy ~ p.promise
$$;
REVOKE ALL ON FUNCTION integration_worker.remedies_when_failed() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.remedies_when_failed() IS
    'What to say in the place of remedies that promise another attempt where none is planned: an object by the remedy.';

-- In one piece, too.  The newest that helped, of the endpoint, of the product, of anybody.
CREATE FUNCTION integration_worker.what_worked() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (WITH spoken AS MATERIALIZED (
                SELECT integration_worker.translated('remedy.worked', '') AS template, integration_worker.translated('time.pattern', '') AS pattern
            ), newest AS (
                SELECT DISTINCT ON (s.subject) s.subject, i.id, i.resolved_at, i.resolution
                  FROM integration.incident i
                  LEFT JOIN integration.endpoint e ON e.name = i.endpoint
                 CROSS JOIN LATERAL (VALUES
                       ('endpoint ' || i.endpoint || ':' || i.error_class),
                       ('connector ' || e.connector || ':' || i.error_class),
                       (':' || i.error_class)) AS s (subject)
                 WHERE i.worked AND i.resolved_at IS NOT NULL AND s.subject IS NOT NULL
                 ORDER BY s.subject, i.resolved_at DESC
            )
            SELECT coalesce(jsonb_object_agg(n.subject,
                       replace(replace(replace(s.template, '{incident}', n.id::text), '{time}', to_char(n.resolved_at, s.pattern)),
                               '{resolution}', rtrim(n.resolution, '. '))), '{}')
              FROM newest n
             CROSS JOIN spoken s);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.what_worked() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.what_worked() IS
    'What helped the last time against a class of error, in people''s words: an object by "endpoint NAME:CLASS", "connector NAME:CLASS", ":CLASS".';

CREATE VIEW integration.what_helps AS
SELECT r.reason, r.error_class, integration_worker.translated('class.' || r.error_class, k.title) AS title, r.responsible,
       coalesce(s.support, r.remedy) AS support,
       coalesce(s.engineer, s.support, r.remedy) AS engineer,
       concat_ws(' ', integration_worker.translated('customer.cause.' || r.error_class, k.customer_message), s.customer) AS customer
  FROM integration.error_reason r
  JOIN integration.error_class k ON k.name = r.error_class
 CROSS JOIN LATERAL (
       SELECT (SELECT integration_worker.remedies('support')) ->> r.reason AS support,
              (SELECT integration_worker.remedies('engineer')) ->> r.reason AS engineer,
              (SELECT integration_worker.remedies('customer')) ->> r.reason AS customer) s;

COMMENT ON VIEW integration.what_helps IS
    'For each reason what helps, as support, engineers, customers are told, in the language of integration.locale.';

COMMENT ON COLUMN integration.what_helps.reason IS 'What exactly happened, as in integration.error_reason.';

COMMENT ON COLUMN integration.what_helps.error_class IS 'What that means.';

COMMENT ON COLUMN integration.what_helps.title IS 'The class in a few words.';

COMMENT ON COLUMN integration.what_helps.responsible IS 'Who can do something about it; NULL: nobody has to.';

COMMENT ON COLUMN integration.what_helps.support IS 'What to do, in plain words.';

COMMENT ON COLUMN integration.what_helps.engineer IS 'What to look at, which statement.';

COMMENT ON COLUMN integration.what_helps.customer IS 'What may be shown to a customer: what happened, what they can do.';

-- What helps, in words: what engineers are told, what customers can do.

INSERT INTO integration.remedy (audience, error_class, words) VALUES
    ('engineer', 'success', 'Nothing to do. What was sent and answered: integration.timeline(id), integration.sync_attempt.'),
    ('engineer', 'deferred', 'Look at blocked_by in integration.sync, at integration.why(id) for the time it ends, at integration.endpoint_status for the window, the rate and the breaker.'),
    ('engineer', 'dns', 'Resolve the host of endpoint.url on the database server itself (getent hosts NAME): it is the server''s resolver that counts. Then integration.ping(endpoint).'),
    ('engineer', 'connect', 'From the database server: curl -v to the host and port of endpoint.url. Refused: nothing listens there; no answer: a firewall or a route. integration.sync_attempt has remote_address and connect_ms of each attempt.'),
    ('engineer', 'tls', 'From the database server: openssl s_client -connect HOST:PORT -servername HOST -showcerts. Compare dates, names and issuer with the error of the attempt; ours comes from the credential in endpoint.certificate.'),
    ('engineer', 'proxy', 'The sender itself uses no proxy, whatever the environment says: one that stands in the way was put there by the network. From the database server curl -v --noproxy ''*'' to endpoint.url shows it; have a rule that lets the server out.'),
    ('engineer', 'timeout_dns', 'Time getent hosts NAME on the database server, several times; look at dns_ms of other attempts in integration.sync_attempt. A slow first server in resolv.conf is the usual cause.'),
    ('engineer', 'timeout_connect', 'Nothing answered the first packet within connect_timeout. Try curl -v from the database server; dropped packets mean a firewall. Compare connect_ms of the attempts that got through before raising endpoint.connect_timeout.'),
    ('engineer', 'timeout_tls', 'The connection stood, the handshake did not end within connect_timeout. Time openssl s_client -connect HOST:PORT; compare tls_ms of the attempts that got through.'),
    ('engineer', 'timeout_queue', 'integration.endpoint_status: in_flight against "window", max_concurrency. Raise max_concurrency if the other side allows it, or timeout.'),
    ('engineer', 'timeout_send', 'Compare the size of the payload (integration.preview(id)) with what the line does in endpoint.timeout; raise the timeout or send less.'),
    ('engineer', 'timeout_response', 'The request arrived, no answer did: compare first_byte_ms in integration.sync_attempt over time with endpoint.timeout. Find out from the other side by Idempotency-Key whether the work was done before retrying where the endpoint is not idempotent.'),
    ('engineer', 'timeout_body', 'Headers came, the body did not end in time. Ask for a smaller answer, or raise endpoint.timeout.'),
    ('engineer', 'reset', 'Look in integration.timeline(id) whether it breaks after the same time each time (a time-out of a proxy between) or at the same size. The Idempotency-Key tells the other side''s log which requests arrived.'),
    ('engineer', 'protocol', 'Repeat the request by hand from integration.preview(id) with curl -v: what answers there, which version of HTTP? A proxy or a web page in the place of an API is the usual cause.'),
    ('engineer', 'redirect', 'Location in response_headers of integration.sync_attempt names the new place: UPDATE integration.endpoint SET url = … once the other side has confirmed it. A login page means wrong credentials or a wrong path.'),
    ('engineer', 'rate_limited', 'Compare Retry-After and RateLimit in response_headers with endpoint.rate_limit, rate_burst and max_concurrency; set them to what is agreed: the sender then stays below by itself.'),
    ('engineer', 'auth', 'integration.preview(id) shows which credential goes out, integration.secret_status which versions are valid. SELECT integration.set_secret(credential, value) puts a new one in; the endpoint is probed at once.'),
    ('engineer', 'permission', 'The login is accepted, the deed is not: the answer in integration.sync_attempt names the missing right or scope. Compare with settings of the credential, have it granted, then SELECT integration.resume(''endpoint'', name).'),
    ('engineer', 'not_found', 'integration.preview(id) has the URL as it was filled in. All fail: endpoint.url is wrong. One fails: its record is missing there, see remote_id in integration.object_status.'),
    ('engineer', 'gone', 'The other side has ended this address. Ask for its successor, UPDATE integration.endpoint SET url = …; integration.retry_where(endpoint) sends what failed.'),
    ('engineer', 'conflict', 'Compare our payload (integration.sync_payload) with the record there: two writers, or a create that was done already. If it exists there, send an update; an ordering_key keeps changes of one object in order.'),
    ('engineer', 'validation', 'The answer in integration.sync_attempt names the field. If many objects fail alike it is our mapping: correct it, then integration.amend() each; endpoint.payload_check can refuse such data at the insert.'),
    ('engineer', 'unsupported_data', 'Compare Content-Type and encoding in integration.preview(id) with the API''s documentation: endpoint.format, endpoint.headers, or the mapping.'),
    ('engineer', 'payload_too_large', 'octet_length of the payload against the API''s limit: split the object, leave parts out, then integration.amend(id, …). endpoint.max_payload_bytes refuses it at the insert next time.'),
    ('engineer', 'response_too_large', 'The work was done; ask for less in the answer (fields, Prefer: return=minimal in endpoint.headers).'),
    ('engineer', 'response_invalid', 'integration.sync_attempt has the first 64 KiB of the answer: is it JSON, is it whole, is remote_id_path right? Mark it with an error_rule (error_class delivered) if it is good after all.'),
    ('engineer', 'remote_error', 'Read response_body in integration.sync_attempt; give the operator of the other system the time, the Idempotency-Key and the request from integration.preview(id). Same object each time: look at its data; all objects: theirs.'),
    ('engineer', 'remote_unavailable', 'integration.endpoint_status: state, next_probe_at, success_share_last_hour. The sender probes by itself and goes on at a ramp; integration.ping(endpoint) asks at once.'),
    ('engineer', 'config', 'Look at integration.endpoint_config (each setting with where it comes from) and integration.preview(id). A change of endpoint, connector or credential has it probed at once.'),
    ('engineer', 'local_resource', 'On the database server: memory, free disk, open files (ulimit -n), then the server''s log around last_attempt_at and integration.worker_status.'),
    ('engineer', 'internal', 'Keep integration.timeline(id), the server''s log around that time and the version of libcurl; one that comes back is a fault in the extension to be reported.'),
    ('engineer', 'cancelled', 'integration.timeline(id) says who stopped it and when; if it was in flight, look it up in the target.'),
    ('engineer', 'expired', 'integration.timeline(id) shows what took the time; compare expires_at, the retry_policy and the incident of the last reason. SELECT integration.amend(id, NULL, reason) sends it without the end.'),
    ('engineer', 'blocked_by_policy', 'SHOW integration.allowed_networks, integration.allowed_hosts, integration.allowed_ports; compare with remote_address in integration.sync_attempt. Widen them only for what you know: they keep requests out of your own network.'),
    ('engineer', 'copied_database', 'SELECT * FROM integration.installation shows which database sent before. Never adopt a copy while the original sends: receivers would get everything twice.'),
    ('engineer', 'sla_at_risk', 'integration.sync, ordered by due_by where sla_at_risk: blocked_by says where the time goes. More max_concurrency or rate_limit if it is the window or the rate; the incident of the endpoint if it is the breaker.'),
    ('engineer', 'nothing_delivered', 'SELECT count(*) FROM integration.outbox for the endpoint since the expected time: none means the application does not enqueue (its trigger, its scheduler); some means the endpoint is held, see integration.endpoint_status.'),
    ('engineer', 'queue_growing', 'integration.endpoint_status: backlog, oldest_due_at, in_flight, "window", rate_limit. What comes in against what goes out per minute decides: more max_concurrency or rate, or coalesce, or less that is sent.'),
    ('engineer', 'worker_silent', 'integration.worker_status and pg_stat_activity (backend_type integration worker): wait_event, state. Then the server''s log. A worker that hangs may be ended with pg_terminate_backend(pid); its launcher starts a new one, nothing is lost.'),
    ('engineer', 'interface_ending', 'Deprecation, Sunset and Link in response_headers of integration.sync_attempt name the date and what follows it. Plan the move before the date; connector.api_version says what we are on.'),
    ('engineer', 'certificate_ending', 'integration.secret_status.certificate_expires_at has the date, integration.endpoint_config.certificate who shows it. A new version by set_secret(credential, pem, not_before) may be set ahead; where the other side knows us by that certificate it must know the next one first.'),
    ('engineer', 'design_fault', 'Different objects are refused alike, so it is the mapping or the settings, not the data: compare integration.preview(id) of the example with the API''s documentation, correct it, then SELECT integration.resume(''endpoint'', name).'),
    ('engineer', 'long_failure', 'Nothing was delivered for days. integration.endpoint_status has the last reason; find out whether anybody still runs the other system. SELECT integration.resume(''endpoint'', name) once it is back, or have the endpoint dropped.');

-- Where the reason says more than its class.
INSERT INTO integration.remedy (audience, reason, words)
SELECT 'engineer', unnest(t.reasons::text[]), t.words
  FROM (VALUES
    ('{curl:1,curl:3,curl:9,curl:10,curl:11,curl:12,curl:13,curl:14,curl:15,curl:17,curl:19,curl:21,curl:25,curl:30,curl:31,curl:36,curl:38,curl:39,curl:64}',
     'endpoint.url is not an http or https address that libcurl takes: UPDATE integration.endpoint SET url = …; integration.preview(id) shows what comes of it.'),
    ('{curl:3:data,template_data_error}',
     'A {placeholder} of endpoint.url has no usable value for this object: object_type, object_id, operation or remote_id. Correct the object and enqueue it anew, or change the template.'),
    ('{template_error}', 'endpoint.url holds a {placeholder} that nobody fills in: object_type, object_id, operation and remote_id are all there are.'),
    ('{curl:4,curl:48,curl_multi:6,curl:53,curl:54,curl:66,curl:59}',
     'The libcurl or OpenSSL that the server loads lacks it: curl --version on the server, then the package of the operating system.'),
    ('{curl:58,curl:77,curl:82}',
     'A certificate, key or list of authorities cannot be read: check it with openssl x509 -noout -text, set the pair anew with integration.set_secret() for the credential in endpoint.certificate; the system''s authorities stand in /etc/ssl/certs.'),
    ('{curl:35:certificate,curl:56:certificate,curl:98,http:400:certificate,http:495,http:496}',
     'The other side wants a client certificate: a credential of kind client_certificate, named in endpoint.certificate, its key and chain set with integration.set_secret(). openssl s_client shows which issuers it accepts.'),
    ('{curl:60,curl:83,curl:91}',
     'Their certificate is expired, for another name or from an unknown issuer: openssl s_client -connect HOST:443 -servername HOST | openssl x509 -noout -dates -subject -issuer. An own authority goes into the credential in endpoint.certificate.'),
    ('{curl:90}', 'The key that was pinned is not theirs any more: compare fingerprints with their operator over another channel before changing the credential.'),
    ('{curl:7:blocked,curl:42:blocked,blocked_private_address}',
     'The name resolves into a private range: getent hosts NAME. If that is meant, a superuser adds exactly this range to integration.allowed_networks; if it is not, somebody points a public name into your network.'),
    ('{blocked_scheme}', 'endpoint.url starts with http://. Use https, or a superuser sets allow_http for this endpoint alone.'),
    ('{blocked_port}', 'SHOW integration.allowed_ports; the port in endpoint.url is not among them.'),
    ('{blocked_host}', 'SHOW integration.allowed_hosts; the host in endpoint.url is not among them.'),
    ('{curl:7:refused}', 'The host answers, nothing listens on the port: check the port in endpoint.url, then ask whether their service runs. It is retried by itself.'),
    ('{curl:28:connect}', 'Packets get no answer: a firewall between (ours or theirs), a wrong address, a host that is down. curl -v from the database server, a second time from elsewhere, tells which.'),
    ('{curl:1:http09,curl:8,http:invalid}', 'What answers does not speak HTTP: check the port, and whether it wants https. curl -v --http0.9 shows the bytes.'),
    ('{curl:16,curl:92,curl:95}', 'HTTP/2 or HTTP/3 broke: repeat with curl -v --http2, then --http1.1; if only the older one works it is a proxy or server of theirs.'),
    ('{curl:92:refused}', 'Their server refused the stream before it did any work (too many at once): lower endpoint.max_concurrency to what they allow.'),
    ('{curl:52,http:444}', 'Connection accepted, then closed without a byte: a filter of theirs, or an idle connection that was closed at that moment. If it repeats, ask whether our address is blocked.'),
    ('{curl:22,curl:26,curl:43,curl:81,curl:93,unknown,curl_multi:1,curl_multi:2,curl_multi:5,curl_multi:7,curl_multi:8,curl_multi:10,curl_multi:11}',
     'This should not happen: keep integration.timeline(id) and the server''s log with the version of extension and libcurl, and report it. What is not idempotent must be looked up in the target before it is retried.'),
    ('{curl:27,curl:23:memory,curl_multi:3}', 'Memory: integration.worker_status has memory_bytes, the server''s log the rest. Lower the memory setting of the sender or max_concurrency of endpoints with large payloads.'),
    ('{curl:99,curl_multi:9,curl_multi:12}', 'Open files or threads ran out: ulimit -n of the postmaster, max_files_per_process, then the connections in integration.worker_status.'),
    ('{curl:23:limit,curl:63}', 'The answer is larger than 1 MiB, so reading stopped; the work is done. Ask for less in the answer.'),
    ('{http:400,http:422,http:4xx}',
     'response_body in integration.sync_attempt names the fields (RFC 9457: errors, pointer). One object: its data; many alike: our mapping. integration.amend(id, payload, reason) sends the corrected one in its place.'),
    ('{http:401,http:440,http:498}',
     'WWW-Authenticate in response_headers says what it wants. Compare with the kind of the credential; a new value: SELECT integration.set_secret(credential, value). All that waits leaves by itself then.'),
    ('{http:402}', 'The account is out of quota or unpaid; no statement helps. Pause it with a reason meanwhile: SELECT integration.pause(''endpoint'', name, reason).'),
    ('{http:403,insufficient_scope}',
     'Read the body for the missing right or scope; compare with the scope in the credential''s settings. A web application firewall answers 403 with HTML: then have our address allowed.'),
    ('{http:404}', 'Compare the path in integration.preview(id) with their documentation, version prefix included. UPDATE integration.endpoint SET url = … has it probed at once.'),
    ('{http:404:item}', 'The record is not there: remote_id in integration.object_status may be that of a deleted one. Send a create for the object, then this change again.'),
    ('{http:405}', 'endpoint.method does not fit the path: compare with Allow in response_headers.'),
    ('{http:406,http:415}', 'Accept and Content-Type in integration.preview(id) against their documentation: endpoint.format, endpoint.headers.'),
    ('{http:408}', 'Their server waited for the rest of our request: a slow line, or a proxy that held it back. Compare with the size of the payload.'),
    ('{http:409,http:412,http:428}', 'They have another version of the record: If-Match or a version field is missing or old. Read it there, merge, integration.amend(id, …); an ordering_key keeps our own changes in order.'),
    ('{http:413,http:414,http:431,http:494,payload_too_large_local}', 'Too long: body, URL or headers. integration.preview(id) has all three; move what is in the URL into the body, or split.'),
    ('{http:419,http:302}', 'A web page for people answers, not an API: wrong path, or a login that was not recognised as one of a program.'),
    ('{http:429,http:420,http:403:limited,http:509}',
     'Set endpoint.rate_limit and max_concurrency to the agreed pace; RateLimit-Policy or X-RateLimit-* in response_headers name it. The whole endpoint waits for Retry-After, nothing is used up.'),
    ('{http:500,http:5xx,http:506,http:508,http:520}',
     'Their fault as a rule, but look whether it is always the same object: then its data trip their code. response_body and their request id (response_headers) are what their operator needs.'),
    ('{http:502,http:504,http:521,http:522,http:523,http:524,http:525,http:526,http:527,http:530}',
     'A gateway of theirs answers, the service behind it does not: their status page, then their operator with the time and the id in response_headers (CF-Ray and the like).'),
    ('{http:503,http:503:retry_after,http:529}', 'Their maintenance or overload. If it comes at the same hour, plan around it; if at our peaks, lower max_concurrency.'),
    ('{secret_missing,secret_unreadable,signing_failed}',
     'integration.secret_status: no valid version, or one sealed with another key. After a restore the key file must be the one it was sealed with; else SELECT integration.set_secret(credential, value) anew.'),
    ('{oauth_rejected}', 'The token endpoint refused: error and error_description stand in the attempt''s error. Check client_id, scope and token_url in the credential''s settings, then set_secret().'),
    ('{oauth_wrong_address}', 'What answers at token_url is no token endpoint: the attempt''s error has the status. Correct token_url in the settings of the credential: UPDATE integration.credential SET settings = settings || ''{"token_url": "https://…"}'' WHERE name = ….'),
    ('{oauth_unavailable,oauth_rate_limited}', 'It is the token endpoint (token_url in the credential''s settings) that fails, not the API: integration.ping(endpoint) asks again.'),
    ('{clock_skew}', 'Compare the Date header of the answer with date -u on the database server; start time synchronisation there (chronyc tracking). Signatures hold again once the clock is right.'),
    ('{response_rejected}', 'An error_rule took this answer for a failure: its note says why, response_body what is wrong. SELECT * FROM integration.error_rule.'),
    ('{partial_failure}', 'Only the parts named in response_body failed: enqueue those anew instead of retrying the whole.'),
    ('{worker_crash}', 'The server''s log has the crash (signal 11, out of memory). A mark said that the request was about to leave, so look it up in the target by Idempotency-Key; the same sync three times is set aside: report it.'),
    ('{attempts_exhausted}', 'integration.timeline(id): the last reason is the cause, its incident has the remedy. Then SELECT integration.retry_where(endpoint => …, error_class => …, reason => …).'),
    ('{blocked_by_predecessor}', 'SELECT integration.why(id) names the earlier sync of the ordering_key: retry, amend or cancel that one.'),
    ('{db_unavailable}', 'The server''s log at last_attempt_at: shutdown, recovery, disk full, too many connections.'),
    ('{http:497,http:426,http:464,http:505}', 'Scheme or version of HTTP: use https in endpoint.url; Upgrade in response_headers names what they want.'),
    ('{http:407,http:511}', 'A gateway of the network wants a login, which the sender never gives: have a rule made that lets the database server out without one.'),
    ('{http:418,http:430,http:451,http:999}', 'A filter of theirs refuses us: give them our address, the User-Agent of integration.preview(id), the time and the id in response_headers.')
  ) AS t (reasons, words);

-- What customers can do; the cause is told by error_class.customer_message, what comes next by the state of their data.
INSERT INTO integration.remedy (audience, error_class, words) VALUES
    ('customer', 'success', 'You need not do anything.'),
    ('customer', 'deferred', 'You need not do anything.'),
    ('customer', 'dns', 'If the address of your system has changed, please tell us the new one.'),
    ('customer', 'connect', 'If the other system is yours, please check that it is running.'),
    ('customer', 'tls', 'If the other system is yours, please have its certificate checked.'),
    ('customer', 'proxy', 'You need not do anything.'),
    ('customer', 'timeout_dns', 'You need not do anything.'),
    ('customer', 'timeout_connect', 'If the other system is yours, please check that it can be reached.'),
    ('customer', 'timeout_tls', 'You need not do anything.'),
    ('customer', 'timeout_queue', 'You need not do anything.'),
    ('customer', 'timeout_send', 'If the record has large attachments, smaller ones arrive sooner.'),
    ('customer', 'timeout_response', 'Please look in the other system whether it is there before you enter it a second time.'),
    ('customer', 'timeout_body', 'You need not do anything.'),
    ('customer', 'reset', 'Please look in the other system whether it is there before you enter it a second time.'),
    ('customer', 'protocol', 'You need not do anything.'),
    ('customer', 'redirect', 'If the address of your system has changed, please tell us the new one.'),
    ('customer', 'rate_limited', 'You need not do anything.'),
    ('customer', 'auth', 'Please check the access that you gave us: has its password been changed, has it run out? Give us the new one.'),
    ('customer', 'permission', 'Please check the rights of the access that you gave us, and whether your account there is in order.'),
    ('customer', 'not_found', 'Please check whether the record was deleted in the other system.'),
    ('customer', 'gone', 'Please tell us the new address.'),
    ('customer', 'conflict', 'Please compare the record here and in the other system, correct the wrong one and save it again.'),
    ('customer', 'validation', 'Please correct the data of this record and save it again.'),
    ('customer', 'unsupported_data', 'If the record holds unusual characters or attachments, try to save it without them.'),
    ('customer', 'payload_too_large', 'Please shorten the record or leave out attachments, then save it again.'),
    ('customer', 'response_too_large', 'Please look in the other system whether it is there before you enter it a second time.'),
    ('customer', 'response_invalid', 'Please look in the other system whether it is there before you enter it a second time.'),
    ('customer', 'remote_error', 'If you know of a problem in the other system, please tell its operator.'),
    ('customer', 'remote_unavailable', 'You need not do anything.'),
    ('customer', 'config', 'You need not do anything.'),
    ('customer', 'local_resource', 'You need not do anything.'),
    ('customer', 'internal', 'You need not do anything.'),
    ('customer', 'cancelled', 'If it is needed after all, save the record again or contact us.'),
    ('customer', 'expired', 'If it is still needed, save the record again or contact us.'),
    ('customer', 'blocked_by_policy', 'Please tell us another address.'),
    ('customer', 'copied_database', 'You need not do anything.'),
    ('customer', 'sla_at_risk', 'You need not do anything.'),
    ('customer', 'nothing_delivered', 'If you expected data, please tell us.'),
    ('customer', 'queue_growing', 'You need not do anything.'),
    ('customer', 'worker_silent', 'You need not do anything.'),
    ('customer', 'interface_ending', 'You need not do anything.'),
    ('customer', 'certificate_ending', 'You need not do anything.'),
    ('customer', 'design_fault', 'You need not do anything.'),
    ('customer', 'long_failure', 'If the other system is no longer used, please tell us.');

INSERT INTO integration.remedy (audience, reason, words)
SELECT 'customer', unnest(t.reasons::text[]), t.words
  FROM (VALUES
    ('{http:402}', 'Please check whether your account with the other system is paid for and within its plan.'),
    ('{http:404}', 'You need not do anything.'),
    ('{http:404:item}', 'Please create or link the record in the other system, then save it again.'),
    ('{http:412,http:409}', 'Please compare the record here and in the other system, correct the wrong one and save it again.'),
    ('{http:423}', 'Please close the record in the other system if somebody has it open there.'),
    ('{http:507}', 'Please make room in your account with the other system.'),
    ('{http:783,http:431,http:494,http:414}', 'You need not do anything.'),
    ('{curl:3:data,template_data_error,payload_schema}', 'Please complete the record: a field is empty or has the wrong form. Then save it again.'),
    ('{response_rejected}', 'Please correct what the other system names and save the record again.'),
    ('{clock_skew,curl:94,oauth_unavailable,http:561,http:419}', 'You need not do anything.'),
    ('{curl:98,curl:35:certificate,curl:56:certificate,http:400:certificate,http:495,http:496}', 'You need not do anything.')
  ) AS t (reasons, words);

CREATE FUNCTION integration_worker.wake_for_incident() RETURNS void
    LANGUAGE c STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_wake_for_incident';
REVOKE ALL ON FUNCTION integration_worker.wake_for_incident() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.wake_for_incident() IS
    'Has the worker tell people of what this transaction did to incidents when it commits.';

CREATE FUNCTION integration_worker.place(
        OUT machine text, OUT directory text, OUT inode bigint, OUT born text, OUT was_standby boolean)
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_place';
REVOKE ALL ON FUNCTION integration_worker.place() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.place() IS
    'Where the server''s data lies, and whether it was started as a standby; NULL: not known.';

CREATE FUNCTION integration_worker.request_bounds() RETURNS integer[]
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_request_bounds';
REVOKE ALL ON FUNCTION integration_worker.request_bounds() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.request_bounds() IS
    'The bounds, in milliseconds, by which the worker counts durations: OpenTelemetry''s for http.client.request.duration.';

COMMENT ON FUNCTION integration_worker.url_problem(text, boolean) IS
    'May this URL be called, an endpoint''s or a token''s? What is wrong with it as a sentence, which names the setting if it is policy; NULL: nothing.';

CREATE FUNCTION integration_worker.render_request(
        endpoint_method text, endpoint_url text, endpoint_headers jsonb, sync_headers jsonb, format text,
        message_id text, object_type text, object_id text, operation text, remote_id text, payload jsonb,
        created_at timestamptz, source text, traceparent text, quotes_key boolean,
        OUT method text, OUT url text, OUT headers text[], OUT body text, OUT problem text)
    RETURNS record
    LANGUAGE c STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_render_request';
REVOKE ALL ON FUNCTION integration_worker.render_request(text, text, jsonb, jsonb, text, text, text, text, text, text, jsonb, timestamptz, text, text, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.render_request(text, text, jsonb, jsonb, text, text, text, text, text, text, jsonb, timestamptz, text, text, boolean) IS
    'The request as the sender builds it; problem says why it could not be built.';

CREATE FUNCTION integration_worker.awaits_token(endpoint_id integer) RETURNS boolean
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_awaits_token';
REVOKE ALL ON FUNCTION integration_worker.awaits_token(integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.awaits_token(integer) IS
    'Whether what is due at an endpoint can''t leave just now for lack of an access token, from shared memory.';

CREATE FUNCTION integration_worker.silent_since() RETURNS timestamptz
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_silent_since';
REVOKE ALL ON FUNCTION integration_worker.silent_since() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.silent_since() IS
    'When a worker of this database that does not come round any more last did, as the launcher found; NULL: all do.';

CREATE FUNCTION integration_worker.note_progress(verb text, subject text, total bigint, done bigint) RETURNS void
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_note_progress';
REVOKE ALL ON FUNCTION integration_worker.note_progress(text, text, bigint, bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.note_progress(text, text, bigint, bigint) IS
    'Shows other sessions how far this one has come, until its transaction ends; begins with done = 0.';

CREATE FUNCTION integration_worker.live_progress(
        OUT pid integer, OUT role oid, OUT verb text, OUT subject text, OUT total bigint, OUT done bigint,
        OUT started_at timestamptz, OUT updated_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE ROWS 3
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_live_progress';
REVOKE ALL ON FUNCTION integration_worker.live_progress() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.live_progress() IS
    'How far statements that touch many syncs have come, from shared memory.';

-- Called for each object of a list, so it pins no path, which would cost more than the look-up: it calls nothing by name.
CREATE FUNCTION integration_worker.queued_of(
        endpoint_id integer, object_type text, object_id text,
        OUT queued bigint, OUT next_sync bigint, OUT next_attempt_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c STRICT STABLE PARALLEL SAFE COST 1000 ROWS 1
    AS 'MODULE_PATHNAME', 'integration_queued_of';
REVOKE ALL ON FUNCTION integration_worker.queued_of(integer, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.queued_of(integer, text, text) IS
    'One row: how many syncs of an object are not finished at an endpoint, the first of them, when the next one is due.';

-- A copied database doesn't send: what tells it from its original, how it takes over.

-- What tells this database here from every copy of it: another cluster (a restore, pg_upgrade), another database of
-- the same cluster (a template), another history (a restore to a point in time), another place (a copy of the files),
-- another environment (what the others can't tell: a promoted clone, a snapshot of the machine).  What can't be known
-- here is left out.
CREATE FUNCTION integration_worker.fingerprint() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
               'system', (SELECT s.system_identifier::text FROM pg_control_system() s),
               'database', (SELECT d.oid::text FROM pg_database d WHERE d.datname = current_database()),
               'timeline', substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
               'machine', left(encode(sha256(convert_to('integration' || p.machine, 'UTF8')), 'hex'), 16),
               'directory', p.directory,
               'file', concat_ws(' ', p.inode, p.born),
               'environment', current_setting('integration.environment')))
      FROM integration_worker.place() p
$$;
REVOKE ALL ON FUNCTION integration_worker.fingerprint() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.fingerprint() IS
    'What this database is recognised by, by kind; not to be called on a standby.';

-- Nothing was recorded for a row that came out of a dump.
CREATE FUNCTION integration_worker.differences(adopted jsonb, present jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN adopted IS NULL THEN ARRAY['dump']
                ELSE ARRAY(SELECT a.key
                             FROM jsonb_each_text(adopted) a
                             JOIN jsonb_each_text(present) p ON p.key = a.key
                            WHERE p.value <> a.value
                            ORDER BY a.key) END
$$;
REVOKE ALL ON FUNCTION integration_worker.differences(jsonb, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.differences(jsonb, jsonb) IS
    'In which kinds two fingerprints differ, as far as both know them.';

INSERT INTO integration.phrase (key, words) VALUES
    ('adopt.no_copy', 'this database is no copy: it sends already'),
    ('copied_database.remedy', 'This database is a copy: {difference}. If it takes over from the original, run SELECT integration.adopt(); '
                               'if the original still sends, leave it as it is.'),
    ('copied_database.dump', 'it was restored from a dump'),
    ('copied_database.system', 'it came from another cluster, by a dump or pg_upgrade'),
    ('copied_database.database', 'it was made from another database as its template'),
    ('copied_database.environment', 'it sent in environment "{environment}", and this is "{present}" (integration.environment)'),
    ('copied_database.timeline', 'it was restored to an earlier point in time'),
    ('copied_database.directory', 'its data directory is a copy, or was moved'),
    ('copied_database.machine', 'its data directory is a copy, or was moved to another machine');

CREATE FUNCTION integration_worker.copy_words(adopted jsonb, present jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say('copied_database.' || k.kind, coalesce(adopted, '{}') || jsonb_build_object('present', present -> 'environment'))
      FROM (SELECT integration_worker.differences(adopted, present) AS kinds) d
     CROSS JOIN LATERAL (
           SELECT CASE WHEN 'dump' = ANY (d.kinds) THEN 'dump'
                       WHEN 'system' = ANY (d.kinds) THEN 'system'
                       WHEN 'database' = ANY (d.kinds) THEN 'database'
                       WHEN 'environment' = ANY (d.kinds) THEN 'environment'
                       WHEN d.kinds = '{timeline}' THEN 'timeline'
                       WHEN 'machine' = ANY (d.kinds) THEN 'machine'
                       WHEN d.kinds <> '{}' THEN 'directory' END AS kind) k
$$;
REVOKE ALL ON FUNCTION integration_worker.copy_words(jsonb, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.copy_words(jsonb, jsonb) IS
    'Why a database is taken for a copy, as a part of a sentence; NULL: it is none.';

CREATE FUNCTION integration_worker.is_adopted() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT integration_worker.differences(i.fingerprint, integration_worker.fingerprint()) = '{}'
                       FROM integration.installation i), false)
$$;
REVOKE ALL ON FUNCTION integration_worker.is_adopted() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_adopted() IS
    'Whether this database may send, or is a copy that nobody has let take over.';

-- A name of its own keeps its pause apart from one that somebody made, and both out of each other's way.
CREATE FUNCTION integration_worker.is_held_as_copy() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration.pause p WHERE p.scope = 'all' AND p.name = 'copied_database')
$$;
REVOKE ALL ON FUNCTION integration_worker.is_held_as_copy() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_held_as_copy() IS
    'Whether the pause of a copied database is in force.';

-- The worker may find a copy while it is being restored, so that the incident must not take an id that is about to
-- come out of the dump: its id is 0, and a dump leaves it out.
CREATE FUNCTION integration_worker.hold_copy(words text) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    advice text := integration_worker.say('copied_database.remedy', jsonb_build_object('difference', words));
BEGIN
    -- Also a statement that inserts nothing would wake the worker, which would look again.
    IF NOT integration_worker.is_held_as_copy() THEN
        INSERT INTO integration.pause (scope, name, reason, actor)
        VALUES ('all', 'copied_database', 'copied_database', 'integration worker')
            ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO integration.incident AS i (id, endpoint, error_class, severity, owner, responsible, remedy)
    OVERRIDING SYSTEM VALUE
    VALUES (0, '', 'copied_database', 1, integration_worker.owner_of(NULL, 'copied_database', NULL, 'operations'), 'operations', advice)
        ON CONFLICT (id) DO UPDATE
        SET state = CASE WHEN i.resolved_at IS NULL THEN i.state ELSE 'open' END,
            opened_at = CASE WHEN i.resolved_at IS NULL THEN i.opened_at ELSE now() END,
            remedy = excluded.remedy, last_seen_at = now(), resolved_at = NULL
      WHERE i.resolved_at IS NOT NULL OR i.remedy <> excluded.remedy;
    RETURN advice;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.hold_copy(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.hold_copy(text) IS
    'Pauses a copy, opens its incident; returns what is to be said about it.';

CREATE FUNCTION integration_worker.release_copy() RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM integration.pause p WHERE p.scope = 'all' AND p.name = 'copied_database';
    UPDATE integration.incident i
       SET state = 'resolved', resolved_at = now()
     WHERE i.id = 0 AND i.resolved_at IS NULL
$$;
REVOKE ALL ON FUNCTION integration_worker.release_copy() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.release_copy() IS
    'Ends the pause of a copy and its incident.';

-- A promoted standby is no copy: it is elsewhere, and its history has a new branch.  Unless it followed a copy.
CREATE FUNCTION integration_worker.is_promoted(kinds text[]) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT kinds <@ '{timeline,machine,directory,file}'
           AND (SELECT p.was_standby FROM integration_worker.place() p)
           AND NOT integration_worker.is_held_as_copy()
$$;
REVOKE ALL ON FUNCTION integration_worker.is_promoted(text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_promoted(text[]) IS
    'Whether a promotion explains all these differences.';

CREATE FUNCTION integration_worker.look_for_copy(OUT problem text, OUT renewed text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present jsonb := integration_worker.fingerprint();
    adopted jsonb := (SELECT i.fingerprint FROM integration.installation i);
    kinds text[] := integration_worker.differences(adopted, present);
BEGIN
    IF kinds = '{}' THEN
        IF integration_worker.is_held_as_copy() THEN
            PERFORM integration_worker.release_copy();
        END IF;
    ELSIF integration_worker.is_promoted(kinds) THEN
        UPDATE integration.installation SET fingerprint = present;
        renewed := 'this server was promoted from a standby';
    ELSE
        problem := integration_worker.hold_copy(integration_worker.copy_words(adopted, present));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.look_for_copy() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.look_for_copy() IS
    'Whether the database is a copy: why, as a sentence, NULL if not; why its fingerprint was renewed without anybody''s consent.';

-- Ids of another cluster that this one has not given out yet would count as new when it does.
CREATE FUNCTION integration_worker.renew_foreign_ids() RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.queue q
       SET change_xid = pg_current_xact_id()
     WHERE q.change_xid >= pg_snapshot_xmax(pg_current_snapshot())
$$;
REVOKE ALL ON FUNCTION integration_worker.renew_foreign_ids() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.renew_foreign_ids() IS
    'Makes queue rows with transaction ids that this cluster has not given out yet rows of this transaction; by the index queue_change.';

-- No dump says in which order tables of an extension are loaded, and pg_restore -j loads several at once: what a
-- restore makes doesn't look at what its rows refer to, until somebody takes over.
CREATE FUNCTION integration_worker.check_references(are_checked boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reference record;
    missing text;
BEGIN
    FOR reference IN
        SELECT t.tgname AS trigger, c.conname, c.conrelid::regclass AS child, c.confrelid::regclass AS parent,
               a.attname AS child_column, p.attname AS parent_column
          FROM pg_trigger t
          JOIN pg_constraint c ON c.oid = t.tgconstraint AND c.contype = 'f' AND c.conrelid = t.tgrelid
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
          JOIN pg_attribute p ON p.attrelid = c.confrelid AND p.attnum = c.confkey[1]
         WHERE c.connamespace = 'integration'::regnamespace AND (t.tgenabled = 'D') = are_checked
         ORDER BY c.conname, t.tgname
    LOOP
        EXECUTE format('ALTER TABLE %s %s TRIGGER %I', reference.child,
                       CASE WHEN are_checked THEN 'ENABLE' ELSE 'DISABLE' END, reference.trigger);
        CONTINUE WHEN NOT are_checked;
        EXECUTE format('SELECT min(x.%2$I) FROM %1$s x WHERE NOT EXISTS (SELECT FROM %3$s p WHERE p.%4$I = x.%2$I)',
                       reference.child, reference.child_column, reference.parent, reference.parent_column)
           INTO missing;
        IF missing IS NOT NULL THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('%s refers to %s "%s", which does not exist', reference.child, reference.parent, missing),
                DETAIL = 'The dump was not restored as a whole, or the row was changed before adopt().',
                HINT = format('Insert the %s, or change column %s, then run SELECT integration.adopt() again.',
                              reference.parent, reference.child_column);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_references(boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_references(boolean) IS
    'Switches the checks of all foreign keys on, after looking at what is there, or off.';

CREATE FUNCTION integration.adopt(reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present jsonb := integration_worker.fingerprint();
    home integration.installation;
    words text;
BEGIN
    INSERT INTO integration.installation (name)
    SELECT integration_worker.new_name()
     WHERE NOT EXISTS (SELECT FROM integration.installation);
    SELECT i.* INTO home FROM integration.installation i FOR UPDATE;
    words := integration_worker.copy_words(home.fingerprint, present);
    IF words IS NULL AND NOT integration_worker.is_held_as_copy() THEN
        RAISE NOTICE '%', integration_worker.say('adopt.no_copy');
        RETURN 0;
    END IF;
    PERFORM integration_worker.check_references(true);
    PERFORM pg_current_xact_id();
    PERFORM integration_worker.renew_foreign_ids();
    -- A dump of 0.1.0 has no such columns.
    PERFORM integration_worker.recall_attempts(
                ARRAY(SELECT q.outbox_id FROM integration.queue q WHERE q.attempts > 0 AND q.last_attempt_at IS NULL));
    UPDATE integration.installation i SET fingerprint = present, adopted_at = now(), adopted_by = session_user;
    PERFORM integration_worker.release_copy();
    INSERT INTO integration.action (verb, reason, details)
    VALUES ('adopt', nullif(btrim(adopt.reason), ''), jsonb_strip_nulls(jsonb_build_object('copied', words)));
    PERFORM integration_worker.wake_at_commit(true);
    RETURN (SELECT count(*) FROM integration.queue q WHERE q.state <> 'failed');
END
$$;
REVOKE ALL ON FUNCTION integration.adopt(text) FROM PUBLIC;

COMMENT ON FUNCTION integration.adopt(text) IS
    'Has a copied database take over from its original: it sends from now on. Returns how many syncs wait to be sent.';

-- A row that comes out of a dump says nothing about this database.
CREATE OR REPLACE FUNCTION integration_worker.one_installation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.installation i WHERE i.name <> NEW.name;
    NEW.fingerprint := NULL;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION integration_worker.one_installation() IS
    'Row trigger: a new name of the installation takes the place of the old one, and is a copy until somebody takes over.';

-- Without endpoints there is nothing to copy: a template that only has the extension gives each database made from it
-- a beginning of its own.
CREATE FUNCTION integration_worker.begin_installation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.installation i
       SET fingerprint = integration_worker.fingerprint(), name = integration_worker.new_name()
     WHERE i.fingerprint = '{}';
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.begin_installation() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.begin_installation() IS
    'Statement trigger: with its first endpoint the installation gets its fingerprint, and a name that no copy made before has.';

CREATE TRIGGER begin_installation AFTER INSERT ON integration.endpoint
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.begin_installation();

-- By hand: UPDATE integration.installation

SELECT integration_worker.check_references(false)
 WHERE integration_worker.is_restoring();

-- What endpoint.mask hides: the members of a payload that its paths name.
-- Functions that a view calls run with their owner's rights, since its reader has none to what they call.

-- A jsonpath is printed in one form only, so its steps can be read from that: =name, .*, .** or [*].
CREATE FUNCTION integration_worker.mask_steps(path text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    written text := path::jsonpath::text;
BEGIN
    IF written !~ '^\$(\."(\\.|[^"\\])*"|\.\*\*?|\[\*\])*$' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN f.step[1] LIKE '."%' THEN '=' || (substr(f.step[1], 2)::jsonb #>> '{}') ELSE f.step[1] END
          FROM regexp_matches(written, '\."(?:\\.|[^"\\])*"|\.\*\*?|\[\*\]', 'g') WITH ORDINALITY AS f (step, n)
         ORDER BY f.n);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.mask_steps(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.mask_steps(text) IS
    'The steps of a path of a mask; NULL: it does more than name members.';

CREATE FUNCTION integration_worker.mask_problem(mask text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    path text;
BEGIN
    IF array_ndims(mask) > 1 OR cardinality(mask) > 100 THEN
        RETURN format('It has %s; a list of 100 paths is allowed.',
                      CASE WHEN array_ndims(mask) > 1 THEN 'lists in it' ELSE cardinality(mask) || ' paths' END);
    END IF;
    FOREACH path IN ARRAY mask LOOP
        IF path IS NULL OR octet_length(path) > 1000 THEN
            RETURN CASE WHEN path IS NULL THEN 'One of its paths is NULL.'
                        ELSE format('A path has %s bytes; 1000 are allowed.', octet_length(path)) END;
        ELSIF integration_worker.mask_steps(path) IS NULL THEN
            RETURN format('%s does more than name members.', path);
        END IF;
    END LOOP;
    RETURN NULL;
EXCEPTION WHEN syntax_error OR data_exception THEN
    RETURN format('%s is no jsonpath: %s.', path, SQLERRM);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.mask_problem(text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.mask_problem(text[]) IS
    'What is wrong with a mask, as a sentence; NULL: nothing.';

-- Arrays on the way are looked into, as jsonpath does.
CREATE FUNCTION integration_worker.mask_at(document jsonb, steps text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step text := steps[1];
    rest text[] := steps[2:];
    kind text := jsonb_typeof(document);
    below text[] := CASE WHEN step IN ('.*', '[*]') THEN rest ELSE steps END;
BEGIN
    IF step IS NULL THEN
        RETURN '"***"';
    ELSIF kind = 'array' AND step = '.*' THEN
        below := steps;
    ELSIF step = '[*]' AND kind <> 'array' THEN
        RETURN integration_worker.mask_at(document, rest);
    ELSIF kind = 'object' AND left(step, 1) = '=' THEN
        RETURN CASE WHEN document ? substr(step, 2)
                    THEN document || jsonb_build_object(
                             substr(step, 2), integration_worker.mask_at(document -> substr(step, 2), rest))
                    ELSE document END;
    END IF;
    IF kind = 'array' THEN
        document := (SELECT coalesce(jsonb_agg(integration_worker.mask_at(e.value, below) ORDER BY e.n), '[]')
                       FROM jsonb_array_elements(document) WITH ORDINALITY AS e (value, n));
    ELSIF kind = 'object' THEN
        document := (SELECT coalesce(jsonb_object_agg(e.key, integration_worker.mask_at(e.value, below)), '{}')
                       FROM jsonb_each(document) e);
    END IF;
    RETURN CASE WHEN step = '.**' THEN integration_worker.mask_at(document, rest) ELSE document END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.mask_at(jsonb, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.mask_at(jsonb, text[]) IS
    'The document with *** in place of what these steps lead to.';

CREATE FUNCTION integration_worker.masked(document jsonb, mask text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    path text;
BEGIN
    FOREACH path IN ARRAY coalesce(mask, '{}') LOOP
        document := integration_worker.mask_at(document, integration_worker.mask_steps(path));
    END LOOP;
    RETURN document;
-- Nested too deeply to be looked into.
EXCEPTION WHEN program_limit_exceeded OR statement_too_complex THEN
    RETURN '"***"';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.masked(jsonb, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.masked(jsonb, text[]) IS
    'A payload as it is shown to whoever must not see what the mask names.';

-- What is shorter than four characters would take half of any text with it.  Errors are put into one line.
CREATE FUNCTION integration_worker.masked_words(document jsonb, mask text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(
        SELECT w.word
          FROM (SELECT DISTINCT w.word
                  FROM unnest(mask) AS m (path)
                 CROSS JOIN LATERAL jsonb_path_query(document, m.path::jsonpath, '{}', true) AS h (hidden)
                 CROSS JOIN LATERAL jsonb_path_query(
                       h.hidden, 'strict $.** ? (@.type() == "string" || @.type() == "number")', '{}', true) AS v (value)
                 CROSS JOIN LATERAL (VALUES (v.value #>> '{}'), (btrim(regexp_replace(v.value #>> '{}', '\s+', ' ', 'g')))) AS w (word)) w
         WHERE length(w.word) >= 4
         ORDER BY length(w.word) DESC)
$$;
REVOKE ALL ON FUNCTION integration_worker.masked_words(jsonb, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.masked_words(jsonb, text[]) IS
    'The texts and numbers of a payload that its mask hides, the longest first.';

-- A text that was cut off may end within one of them.  So many that they would stall the worker hide all of it.
CREATE FUNCTION integration_worker.masked_text(said text, words text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    word text;
    cut integer;
BEGIN
    IF cardinality(words) > 1000 THEN
        RETURN '***';
    END IF;
    FOREACH word IN ARRAY words LOOP
        said := replace(replace(said, word, '***'), btrim(to_json(word)::text, '"'), '***');
        CONTINUE WHEN strpos(right(said, length(word)), left(word, 4)) = 0;
        cut := (SELECT max(n) FROM generate_series(4, least(length(word), length(said), 1000)) n
                 WHERE right(said, n) = left(word, n));
        said := CASE WHEN cut IS NULL THEN said ELSE left(said, length(said) - cut) || '***' END;
    END LOOP;
    RETURN said;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.masked_text(text, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.masked_text(text, text[]) IS
    'A text with *** in place of each of these words.';

-- Called for each failure of an endpoint with a mask; what it writes is read by everybody who reads errors, so it may not throw.
CREATE FUNCTION integration_worker.masked_error(outbox_id bigint, mask text[], said text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.masked_text(
        said, integration_worker.masked_words(
            (SELECT o.payload FROM integration.outbox o WHERE o.id = masked_error.outbox_id), masked_error.mask));
EXCEPTION WHEN program_limit_exceeded OR statement_too_complex THEN
    RETURN '***';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.masked_error(bigint, text[], text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.masked_error(bigint, text[], text) IS
    'The details of a failure without what this mask hides of its payload.';

CREATE OR REPLACE FUNCTION integration_worker.check_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text := integration_worker.name_problem(NEW.name);
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'name',
            MESSAGE = format('name "%s" cannot be used', left(NEW.name, 100)),
            DETAIL = problem,
            HINT = 'Write a name of 1 to 100 characters without blanks at its ends, such as ''shop-orders''.';
    END IF;
    RETURN NEW;
END
$$;

-- One table of rules for connectors and endpoints, which share the calling settings.
CREATE OR REPLACE FUNCTION integration_worker.check_calling_settings() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('method', NEW.method NOT IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'),
         NEW.method, 'Write GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS, in upper case.'),
        ('format', NEW.format NOT IN ('json', 'cloudevents', 'cloudevents-structured', 'cloudevents-batched', 'otlp', 'otlp-gzip'),
         NEW.format, 'Write json, cloudevents, cloudevents-structured or cloudevents-batched.'),
        ('connect_timeout', NEW.connect_timeout NOT BETWEEN '1 ms' AND '10 min',
         NEW.connect_timeout::text, 'Write 1 ms to 10 min, such as ''5 s''.'),
        ('timeout', NEW.timeout NOT BETWEEN '1 ms' AND '10 min',
         NEW.timeout::text, 'Write 1 ms to 10 min, such as ''15 s''.'),
        ('connect_timeout', NEW.connect_timeout > NEW.timeout,
         format('%s, with a timeout of %s', NEW.connect_timeout, NEW.timeout),
         'Connecting is a part of the attempt: write a connect_timeout no longer than timeout.'),
        ('max_concurrency', NEW.max_concurrency NOT BETWEEN 1 AND 1000,
         NEW.max_concurrency::text, 'Write 1 to 1000; to send nothing for a while call integration.pause().'),
        ('rate_limit', NEW.rate_limit NOT BETWEEN 0.00001 AND 1000000,
         NEW.rate_limit::text, 'Write requests a second, such as 10 or 0.5, from 0.00001 (about one a day) to 1000000; NULL for no limit.'),
        ('rate_burst', NEW.rate_burst NOT BETWEEN 1 AND 1000000,
         NEW.rate_burst::text, 'Write 1 to 1000000; NULL for one second''s worth of rate_limit.'),
        ('idempotency_key_style', NEW.idempotency_key_style NOT IN ('bare', 'quoted'),
         NEW.idempotency_key_style, 'Write bare or quoted.'),
        ('refusals_alike', NEW.refusals_alike NOT BETWEEN 0 AND 1000 OR NEW.refusals_alike = 1,
         NEW.refusals_alike::text, 'Write 2 to 1000; 0 to let any number pass.'),
        ('max_payload_bytes', NEW.max_payload_bytes NOT BETWEEN 1 AND 104857600,
         NEW.max_payload_bytes::text, 'Write 1 to 104857600 (100 MiB).'),
        ('dedup_window', NEW.dedup_window <= '0' OR NEW.dedup_window > '3660 days',
         NEW.dedup_window::text, 'Write a time above zero, at most 3660 days, such as ''24 h''.')
      ) AS r (col, is_broken, given, hint)
     WHERE r.is_broken
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of %s "%s" cannot be used', broken.col, TG_TABLE_NAME, NEW.name),
            DETAIL = format('It is %s.', broken.given),
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION integration_worker.missing_credential(name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Credential "%s" does not exist.', missing_credential.name)
     WHERE missing_credential.name IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.credential c WHERE c.name = missing_credential.name)
$$;
REVOKE ALL ON FUNCTION integration_worker.missing_credential(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.missing_credential(text) IS
    'That there is no credential of this name, as a sentence; NULL: there is one, or none is named.';

CREATE OR REPLACE FUNCTION integration_worker.check_request_settings() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A row may be restored before the one it refers to.
    restoring boolean := integration_worker.is_restoring();
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('headers', integration_worker.header_problem(NEW.headers),
         'Write a JSON object of names and values, such as {"X-Request-Source": "shop"}.'),
        ('payload_check', integration_worker.path_problem(NEW.payload_check, true),
         'Write a jsonpath predicate, such as $.id > 0 or exists($.lines[*]).'),
        ('remote_id_path', integration_worker.path_problem(NEW.remote_id_path, false),
         'Write a jsonpath into the answer, such as $.id.'),
        ('mask', integration_worker.mask_problem(NEW.mask),
         'Write paths to members, such as ARRAY[''$.iban'', ''$.lines[*].price'', ''$.**.password''].'),
        ('connector', (SELECT format('Connector "%s" does not exist.', r.name) FROM (SELECT to_jsonb(NEW) ->> 'connector') AS r (name)
                        WHERE r.name IS NOT NULL AND NOT restoring
                          AND NOT EXISTS (SELECT FROM integration.connector c WHERE c.name = r.name)),
         'Insert it into integration.connector first, or correct the name.'),
        ('retry_policy', (SELECT format('Retry policy "%s" does not exist.', NEW.retry_policy)
                           WHERE NEW.retry_policy IS NOT NULL AND NOT restoring
                             AND NOT EXISTS (SELECT FROM integration.retry_policy p WHERE p.name = NEW.retry_policy)),
         'Policies are in SELECT name, schedule FROM integration.retry_policy.'),
        ('credential', CASE WHEN NOT restoring THEN integration_worker.missing_credential(NEW.credential) END,
         'Insert it into integration.credential first, or correct the name.'),
        ('signing', CASE WHEN NOT restoring THEN integration_worker.missing_credential(NEW.signing) END,
         'Insert it into integration.credential first, or correct the name.'),
        ('certificate', CASE WHEN NOT restoring THEN integration_worker.missing_credential(NEW.certificate) END,
         'Insert it into integration.credential first, or correct the name.'),
        ('credential', (SELECT format('Credential "%s" is for signing.', c.name) FROM integration.credential c
                         WHERE c.name = NEW.credential AND c.kind = 'signing'),
         'Name it in the column signing, and here one that authenticates.'),
        ('signing', (SELECT format('Credential "%s" is of kind %s.', c.name, c.kind) FROM integration.credential c
                      WHERE c.name = NEW.signing AND c.kind <> 'signing'),
         'Name a credential of kind signing.'),
        ('certificate', (SELECT format('Credential "%s" is of kind %s.', c.name, c.kind) FROM integration.credential c
                          WHERE c.name = NEW.certificate AND c.kind <> 'client_certificate'),
         'Name a credential of kind client_certificate.'),
        ('certificate', (SELECT format('The column credential names a certificate, too: "%s".', c.name) FROM integration.credential c
                          WHERE c.name = NEW.credential AND c.kind = 'client_certificate' AND NEW.certificate IS NOT NULL),
         'Name it here, and in the column credential one that authenticates in a header, or none.')
      ) AS r (col, problem, hint)
     WHERE r.problem IS NOT NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = CASE WHEN broken.problem LIKE '% does not exist.' THEN 'foreign_key_violation' ELSE 'check_violation' END,
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of %s "%s" cannot be used', broken.col, TG_TABLE_NAME, NEW.name),
            DETAIL = broken.problem,
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.check_connector() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.severity NOT BETWEEN 1 AND 4 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'severity',
            MESSAGE = format('severity of connector "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', NEW.severity),
            HINT = 'Write 1 (worst), 2, 3 or 4.';
    END IF;
    IF NEW.status NOT IN ('active', 'deprecated', 'retired') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'status',
            MESSAGE = format('status "%s" of connector "%s" is not known', NEW.status, NEW.name),
            HINT = 'Write active, deprecated (whoever enqueues is warned) or retired (nothing is enqueued any more).';
    END IF;
    IF NEW.objective <= 0 OR NEW.objective >= 1 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'objective',
            MESSAGE = format('objective of connector "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', NEW.objective),
            HINT = 'Write the share of syncs that should be delivered in time, above 0 and below 1, such as 0.999.';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION integration_worker.check_connector() IS
    'Row trigger: refuses a severity, status or objective that means nothing.';

CREATE FUNCTION integration_worker.check_sla() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.sla <= '0' OR NEW.sla > '3660 days' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'sla',
            MESSAGE = format('sla of %s "%s" cannot be used', TG_TABLE_NAME, NEW.name),
            DETAIL = format('It is %s.', NEW.sla),
            HINT = 'Write a time above zero, at most 3660 days, such as ''15 min''; NULL for no promise of its own.';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_sla() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_sla() IS
    'Row trigger of connectors and customers: refuses an SLA that means nothing.';

CREATE FUNCTION integration_worker.url_hint(problem text, otherwise text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce('Write another address, or have a superuser change the setting (ALTER SYSTEM SET '
                    || substring(problem FROM 'integration\.allowed_\w+') || ' = …; SELECT pg_reload_conf()).', otherwise)
$$;
REVOKE ALL ON FUNCTION integration_worker.url_hint(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.url_hint(text, text) IS
    'The way out of what url_problem() says: by the setting that it names, otherwise what is given.';

CREATE OR REPLACE FUNCTION integration_worker.check_endpoint_url() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.url = OLD.url AND NEW.allow_http = OLD.allow_http THEN
        RETURN NEW;
    END IF;
    -- RFC 9110 §4.1: what every recipient should support.
    problem := CASE WHEN coalesce(btrim(NEW.url), '') = '' THEN 'It is empty.'
                    WHEN octet_length(NEW.url) > 8000 THEN format('It has %s bytes; 8000 are allowed.', octet_length(NEW.url))
                    ELSE integration_worker.url_problem(NEW.url, NEW.allow_http) END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'url',
            MESSAGE = format('url of endpoint "%s" cannot be called', NEW.name),
            DETAIL = problem,
            HINT = CASE WHEN problem LIKE 'Plain http%'
                        THEN 'Write an address with https, or have a superuser set allow_http.'
                        ELSE integration_worker.url_hint(
                            problem, 'Write an address such as ''https://api.example.com/orders/{object_id}''.') END;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.check_retry_policy() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text := integration_worker.schedule_problem(NEW.schedule, NEW.deadline);
BEGIN
    IF NEW.schedule IS NULL OR problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'schedule',
            MESSAGE = format('the schedule of retry policy "%s" is impossible', NEW.name),
            DETAIL = coalesce(problem, 'It is NULL.'),
            HINT = 'Write the waits before attempt 2, 3, …, such as ARRAY[''5 s'', ''1 min'', ''10 min'', ''1 h'']::interval[], '
                   'each above zero and at most 30 days, with a deadline of NULL or longer than the first and at most 3660 days; '
                   '''{}'' means one attempt.';
    END IF;
    IF (NEW.jitter BETWEEN 0 AND 1) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'jitter',
            MESSAGE = format('jitter of retry policy "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', coalesce(NEW.jitter::text, 'NULL')),
            HINT = 'Write a fraction of the wait, 0 to 1, such as 0.2.';
    END IF;
    RETURN NEW;
END
$$;

-- endpoint_config names it where nobody names another, without a foreign key.
CREATE OR REPLACE FUNCTION integration_worker.keep_standard_policy() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.name = OLD.name THEN
        RETURN NEW;
    END IF;
    -- Inside own_row(), which puts another in its place.
    IF pg_trigger_depth() > 1 THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = 'retry policy "standard" cannot be removed or renamed',
        DETAIL = 'Every endpoint without a retry_policy uses it.',
        HINT = 'Change its schedule, or add a policy of your own and name it in endpoint.retry_policy.';
END
$$;

CREATE TRIGGER check_promise BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_sla();

-- Last by name: only a row that passed the checks replaces another.
CREATE OR REPLACE TRIGGER own_policy BEFORE INSERT OR UPDATE ON integration.retry_policy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('name');

-- Whose objects they are: what is known of a customer.

-- outbox.customer and endpoint.customer are names without a foreign key: what is sent for a customer doesn't depend
-- on somebody having written down who that is.
CREATE TABLE integration.customer (
    name text PRIMARY KEY,
    title text,
    tier text,
    sla interval,
    owner text,
    contact text,
    locale text
);
REVOKE ALL ON TABLE integration.customer FROM PUBLIC;

COMMENT ON TABLE integration.customer IS
    'What is known of a customer. A customer of syncs and endpoints needs no row here.';

COMMENT ON COLUMN integration.customer.name IS 'As it stands in outbox.customer and endpoint.customer.';

COMMENT ON COLUMN integration.customer.title IS 'The customer''s name for people.';

COMMENT ON COLUMN integration.customer.tier IS 'What kind of customer it is, such as gold: a word of your own to group reports by.';

COMMENT ON COLUMN integration.customer.sla IS 'A sync of this customer should be delivered within this time after it became due; overrides connector.sla. NULL: the connector''s.';

COMMENT ON COLUMN integration.customer.owner IS 'The team that looks after this customer, where neither an owner rule nor the endpoint nor its connector names one.';

COMMENT ON COLUMN integration.customer.contact IS 'How to reach the customer.';

COMMENT ON COLUMN integration.customer.locale IS 'The language in which the customer is told how things stand, such as de or de-AT; NULL: integration.locale.';

CREATE FUNCTION integration_worker.check_customer() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What RFC 5646 §2.1 writes with hyphens, systems often write with underscores.
    IF NEW.locale !~ '^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'locale',
            MESSAGE = format('locale of customer "%s" cannot be used', NEW.name),
            DETAIL = format('It is "%s".', NEW.locale),
            HINT = 'Write a language such as en, de or de-AT; NULL for that of integration.locale.';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_customer() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_customer() IS
    'Row trigger: refuses a locale that names no language.';

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.customer
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();

CREATE TRIGGER check_promise BEFORE INSERT OR UPDATE ON integration.customer
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_sla();

CREATE TRIGGER check_customer BEFORE INSERT OR UPDATE ON integration.customer
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_customer();

-- Whose work a failure is: rules, then what endpoint, connector, customer say.

CREATE TABLE integration.owner_rule (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position integer NOT NULL DEFAULT 100,
    error_class text REFERENCES integration.error_class ON UPDATE CASCADE ON DELETE CASCADE,
    responsible text,
    connector text REFERENCES integration.connector ON UPDATE CASCADE ON DELETE CASCADE,
    endpoint text REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    customer text,
    owner text NOT NULL,
    note text
);
REVOKE ALL ON TABLE integration.owner_rule FROM PUBLIC;

-- Serves ruled_owner(): the rules in the order they are tried.
CREATE INDEX owner_rule_position ON integration.owner_rule (position, id);

COMMENT ON TABLE integration.owner_rule IS
    'Which team a failure belongs to. Of several rules that fit the one with the lowest position holds; where none fits, the owner of the endpoint, of its connector, of the customer.';

COMMENT ON COLUMN integration.owner_rule.id IS 'Its number.';

COMMENT ON COLUMN integration.owner_rule.position IS 'Rules are tried from the lowest to the highest.';

COMMENT ON COLUMN integration.owner_rule.error_class IS 'Only for failures of this error class; NULL: any, and what has not failed.';

COMMENT ON COLUMN integration.owner_rule.responsible IS
    'Only where this party can do something about it: customer, support, engineering, operations or remote_vendor; NULL: any, and what has not failed.';

COMMENT ON COLUMN integration.owner_rule.connector IS 'Only for this connector''s endpoints; NULL: any.';

COMMENT ON COLUMN integration.owner_rule.endpoint IS 'Only for this endpoint; NULL: any.';

COMMENT ON COLUMN integration.owner_rule.customer IS 'Only for this customer; NULL: any.';

COMMENT ON COLUMN integration.owner_rule.owner IS 'The team.';

COMMENT ON COLUMN integration.owner_rule.note IS 'Why the rule is there.';

CREATE FUNCTION integration_worker.check_owner_rule() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF btrim(NEW.owner) = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'owner',
            MESSAGE = 'an owner rule needs an owner',
            HINT = 'Write the name of a team.';
    END IF;
    IF num_nonnulls(NEW.error_class, NEW.responsible, NEW.connector, NEW.endpoint, NEW.customer) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule without a condition would give everything to one owner',
            HINT = 'Write at least one of error_class, responsible, connector, endpoint and customer.';
    END IF;
    IF NEW.responsible NOT IN ('customer', 'support', 'engineering', 'operations', 'remote_vendor') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'responsible',
            MESSAGE = format('responsible "%s" is not known', NEW.responsible),
            HINT = 'Write customer, support, engineering, operations or remote_vendor.';
    END IF;
    IF integration_worker.is_restoring() THEN
        RETURN NEW;
    END IF;
    PERFORM integration_worker.check_rule_target(NEW.endpoint, NEW.connector);
    IF NEW.error_class IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.error_class k WHERE k.name = NEW.error_class) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('error class "%s" does not exist', NEW.error_class),
            HINT = 'Write a name from integration.error_class; an own class is added by a row there.';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_owner_rule() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_owner_rule() IS
    'Row trigger that refuses owner rules which mean nothing.';

CREATE TRIGGER check_rule BEFORE INSERT OR UPDATE ON integration.owner_rule
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_owner_rule();

-- As a set, so that it is inlined where a view asks for each row; whether there are any rules is asked once.
CREATE FUNCTION integration_worker.ruled_owner(
        connector text, endpoint text, customer text, error_class text, responsible text)
    RETURNS TABLE (owner text)
    LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT CASE WHEN (SELECT EXISTS (SELECT FROM integration.owner_rule)) THEN
           (SELECT r.owner
              FROM integration.owner_rule r
             WHERE (r.error_class IS NULL OR r.error_class = ruled_owner.error_class)
               AND (r.responsible IS NULL OR r.responsible = ruled_owner.responsible)
               AND (r.connector IS NULL OR r.connector = ruled_owner.connector)
               AND (r.endpoint IS NULL OR r.endpoint = ruled_owner.endpoint)
               AND (r.customer IS NULL OR r.customer = ruled_owner.customer)
             ORDER BY r.position, r.id
             LIMIT 1) END;
END;
REVOKE ALL ON FUNCTION integration_worker.ruled_owner(text, text, text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.ruled_owner(text, text, text, text, text) IS
    'The owner by the first owner_rule that fits, one row; NULL: none does.';

CREATE FUNCTION integration_worker.owner_of(
        endpoint_id integer, error_class text, customer text, responsible text DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(w.owner, e.owner, c.owner, u.owner)
              FROM (SELECT owner_of.endpoint_id AS id,
                           coalesce(owner_of.responsible,
                                    (SELECT k.responsible FROM integration.error_class k WHERE k.name = owner_of.error_class)) AS party) x
              LEFT JOIN integration.endpoint e ON e.id = x.id
              LEFT JOIN integration.connector c ON c.name = e.connector
              LEFT JOIN integration.customer u ON u.name = coalesce(owner_of.customer, e.customer)
             CROSS JOIN LATERAL integration_worker.ruled_owner(
                            c.name, e.name, coalesce(owner_of.customer, e.customer), owner_of.error_class, x.party) w);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.owner_of(integer, text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.owner_of(integer, text, text, text) IS
    'The team that looks after a failure of this class at this endpoint for this customer: by owner_rule, else the endpoint''s, its connector''s, the customer''s. Whatever is not known may be NULL; responsible is then the class''s.';

CREATE FUNCTION integration_worker.owner_of_scope(scope text, name text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE scope
        WHEN 'endpoint' THEN integration_worker.owner_of(
            (SELECT e.id FROM integration.endpoint e WHERE e.name = owner_of_scope.name), NULL, NULL)
        WHEN 'customer' THEN integration_worker.owner_of(NULL, NULL, owner_of_scope.name)
        WHEN 'connector' THEN coalesce(
            (SELECT r.owner FROM integration_worker.ruled_owner(owner_of_scope.name, NULL, NULL, NULL, NULL) r),
            (SELECT c.owner FROM integration.connector c WHERE c.name = owner_of_scope.name)) END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.owner_of_scope(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.owner_of_scope(text, text) IS
    'The team that looks after an endpoint, connector or customer as a whole; NULL: nobody does, or the scope is another.';

-- What may not be changed or removed; what a change of the registry sets off.

CREATE OR REPLACE FUNCTION integration_worker.keep_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unfinished bigint := (SELECT count(*) FROM integration.queue q WHERE q.endpoint_id = OLD.id);
BEGIN
    IF unfinished > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('endpoint "%s" cannot be deleted: it has unfinished syncs', OLD.name),
            DETAIL = format('Unfinished syncs: %s.', unfinished),
            HINT = format('Wait until they are delivered, or cancel them: '
                          'UPDATE integration.sync SET state = ''cancelled'' '
                          'WHERE endpoint = %L AND state IN (''pending'', ''retrying'', ''failed'').', OLD.name);
    END IF;
    RETURN OLD;
END
$$;

-- The immutable outbox rows say the name, so a new name would leave them without their endpoint.
CREATE OR REPLACE FUNCTION integration_worker.keep_endpoint_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.id <> OLD.id THEN
        RAISE EXCEPTION USING
            ERRCODE = 'generated_always',
            MESSAGE = format('the id of endpoint "%s" cannot be changed', OLD.name),
            DETAIL = 'Queue and attempts refer to it.',
            HINT = 'Change other columns only.';
    END IF;
    IF EXISTS (SELECT FROM integration.queue q WHERE q.endpoint_id = OLD.id)
       OR EXISTS (SELECT FROM integration.attempt a WHERE a.endpoint_id = OLD.id)
       OR EXISTS (SELECT FROM integration.outbox o WHERE o.endpoint = OLD.name) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('endpoint "%s" cannot be renamed: there are syncs to it', OLD.name),
            DETAIL = 'What was asked is kept as it was asked, with the endpoint''s name.',
            HINT = format('Insert an endpoint "%s" beside it, and delete "%s" when its syncs are finished.',
                          NEW.name, OLD.name);
    END IF;
    RETURN NEW;
END
$$;

CREATE TABLE integration_worker.deleted_endpoint (
    id integer PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    is_swept boolean NOT NULL DEFAULT false
);
REVOKE ALL ON TABLE integration_worker.deleted_endpoint FROM PUBLIC;

COMMENT ON TABLE integration_worker.deleted_endpoint IS
    'Endpoints that were deleted lately: what answers on their way leave behind is still to be removed.';

COMMENT ON COLUMN integration_worker.deleted_endpoint.id IS 'endpoint.id.';

COMMENT ON COLUMN integration_worker.deleted_endpoint.at IS 'When it was deleted.';

COMMENT ON COLUMN integration_worker.deleted_endpoint.is_swept IS 'Retention is at it.';

-- An endpoint of the same name later has another id, so what was known about this one is of no use.
CREATE OR REPLACE FUNCTION integration_worker.forget_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
BEGIN
    DELETE FROM integration.endpoint_health h WHERE h.endpoint_id = OLD.id;
    DELETE FROM integration.sync_status s WHERE s.endpoint_id = OLD.id;
    DELETE FROM integration.pause p WHERE p.scope = 'endpoint' AND p.name = OLD.name;
    WITH ended AS (
        UPDATE integration.incident i
           SET state = 'resolved', resolved_at = now()
         WHERE i.endpoint = OLD.name AND i.resolved_at IS NULL
        RETURNING i.id
    )
    SELECT ARRAY(SELECT e.id FROM ended e) INTO ids;
    PERFORM integration_worker.tell(ids, 'resolved');
    INSERT INTO integration_worker.deleted_endpoint (id) VALUES (OLD.id);
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.keep_outbox() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s cannot be changed: the outbox keeps what was asked', OLD.id),
            HINT = format('To send other data in its place: SELECT integration.amend(%s, ''{…}'', ''why''); '
                          'to send the same again: SELECT integration.retry(%s, ''why'').', OLD.id, OLD.id);
    END IF;
    IF EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = OLD.id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s cannot be deleted: it is not finished', OLD.id),
            HINT = format('Cancel it: SELECT integration.cancel(%s, ''why''); retention removes it later.', OLD.id);
    END IF;
    RETURN OLD;
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.keep_attempt() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('attempt %s of sync %s cannot be changed: attempts say what happened',
                         OLD.attempt_no, OLD.outbox_id),
        HINT = format('To have the sync tried again: SELECT integration.retry(%s, ''why'').', OLD.outbox_id);
END
$$;

CREATE FUNCTION integration_worker.called_with(table_name text, changed jsonb) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text := changed ->> CASE table_name WHEN 'secret' THEN 'credential' WHEN 'error_rule' THEN 'endpoint' ELSE 'name' END;
    product text := CASE table_name WHEN 'connector' THEN key WHEN 'error_rule' THEN changed ->> 'connector' END;
BEGIN
    IF table_name IN ('endpoint', 'error_rule') AND key IS NOT NULL THEN
        RETURN ARRAY[key];
    ELSIF product IS NOT NULL THEN
        RETURN ARRAY(SELECT e.name FROM integration.endpoint e WHERE e.connector = product);
    ELSIF table_name = 'error_rule' THEN
        RETURN ARRAY(SELECT e.name FROM integration.endpoint e);
    END IF;
    RETURN ARRAY(SELECT c.name FROM integration.endpoint_config c WHERE key IN (c.credential, c.signing, c.certificate));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.called_with(text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.called_with(text, jsonb) IS
    'The endpoints that are called with this row of a table of the registry.';

-- A stopped endpoint waits for somebody to act; a change of what it is called with is such an act.
CREATE OR REPLACE FUNCTION integration_worker.probe_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    -- By key, however few rows there were when the plan was made: a statement may change ten thousand endpoints.
    SET enable_seqscan = off
AS $$
DECLARE
    endpoints text[] := integration_worker.called_with(TG_TABLE_NAME, to_jsonb(NEW));
BEGIN
    -- What tripped it is no suspect any more: it may well have been what was changed.  A probe that is out already is
    -- none of the new settings.
    UPDATE integration.endpoint_health h
       SET open_until = clock_timestamp(), tripped_by = NULL
      FROM integration.endpoint e
     WHERE e.name = ANY (endpoints)
       AND h.endpoint_id = e.id
       AND h.state = 'stopped';
    IF EXISTS (SELECT FROM integration.pause p
                WHERE p.scope = 'endpoint' AND p.name = ANY (endpoints) AND p.error_class IS NOT NULL) THEN
        PERFORM integration_worker.end_own_pauses(endpoints, TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION integration_worker.probe_changed() IS
    'Row trigger: has endpoints that are stopped, or have paused themselves, called at once when they, their connector, their credential or an error rule for them changed.';

-- Credentials: what may stand in their settings, secrets sealed, read by the worker only.

CREATE FUNCTION integration_worker.credential_settings()
    RETURNS TABLE (kind text, name text, required boolean, choices text[])
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
        ('basic', 'username', true, NULL::text[]),
        ('header', 'name', true, NULL),
        ('oauth2_client_credentials', 'token_url', true, NULL),
        ('oauth2_client_credentials', 'client_id', true, NULL),
        ('oauth2_client_credentials', 'scope', false, NULL),
        ('oauth2_client_credentials', 'audience', false, NULL),
        ('oauth2_client_credentials', 'resource', false, NULL),
        ('oauth2_client_credentials', 'auth', false, '{basic,body}'),
        ('aws_sigv4', 'access_key_id', true, NULL),
        ('aws_sigv4', 'region', true, NULL),
        ('aws_sigv4', 'service', true, NULL),
        ('client_certificate', 'ca', false, NULL),
        ('signing', 'scheme', false, '{standard_webhooks,rfc9421}'),
        ('signing', 'key_id', false, NULL),
        ('signing', 'overlap', false, NULL)
$$;
REVOKE ALL ON FUNCTION integration_worker.credential_settings() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.credential_settings() IS
    'The members that credential.settings may have by kind, all of them strings; choices: the only values.';

CREATE FUNCTION integration_worker.overlap_problem(overlap text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF integration_worker.is_exact(overlap::interval) AND overlap::interval >= '0' THEN
        RETURN NULL;
    END IF;
    RETURN 'overlap is negative, or has months or years.';
EXCEPTION
    WHEN data_exception THEN
        RETURN 'overlap is not a length of time.';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.overlap_problem(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.overlap_problem(text) IS
    'What is wrong with how long two signing secrets overlap, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.client_problem(settings jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN settings ->> 'token_url' ~ '[{}]' THEN 'token_url holds a brace: there is nothing to fill in.'
        -- RFC 6749 §3.3, appendix A.1; RFC 8707 §2
        WHEN settings ->> 'scope' !~ '^[!#-\[\]-~]+( [!#-\[\]-~]+)*$' THEN 'scope is not a list of words with a blank between two.'
        WHEN settings ->> 'client_id' ~ '[[:cntrl:]]' THEN 'client_id holds a control character.'
        WHEN settings ->> 'resource' !~ '^[A-Za-z][A-Za-z0-9+.-]*:[^[:space:]#]+$' THEN 'resource is not an absolute URI without a fragment.'
        ELSE integration_worker.url_problem(settings ->> 'token_url', false) END
$$;
REVOKE ALL ON FUNCTION integration_worker.client_problem(jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.client_problem(jsonb) IS
    'What is wrong with the settings of an OAuth 2.0 client, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.authorities_problem(pem text) RETURNS text
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_authorities_problem';
REVOKE ALL ON FUNCTION integration_worker.authorities_problem(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.authorities_problem(text) IS
    'Why a text can''t be settings.ca, as a sentence; NULL: it can.';

CREATE FUNCTION integration_worker.credential_problem(kind text, settings jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        (SELECT format('%s is missing.', s.name)
           FROM integration_worker.credential_settings() s
          WHERE s.kind = credential_problem.kind AND s.required AND coalesce(settings ->> s.name, '') = ''
          LIMIT 1),
        (SELECT CASE WHEN s.name IS NULL THEN format('%s is unknown.', m.key)
                     WHEN jsonb_typeof(m.value) <> 'string' THEN format('%s is not a string.', m.key)
                     ELSE format('%s is none of %s.', m.key, array_to_string(s.choices, ', ')) END
           FROM jsonb_each(settings) m
           LEFT JOIN integration_worker.credential_settings() s ON s.kind = credential_problem.kind AND s.name = m.key
          WHERE s.name IS NULL OR jsonb_typeof(m.value) <> 'string' OR NOT settings ->> m.key = ANY (s.choices)
          LIMIT 1),
        CASE kind WHEN 'basic' THEN
                      -- RFC 7617 §2
                      CASE WHEN settings ->> 'username' LIKE '%:%' THEN 'username holds a colon.'
                           WHEN settings ->> 'username' ~ '[[:cntrl:]]' THEN 'username holds a control character.' END
                  WHEN 'header' THEN
                      integration_worker.header_problem(jsonb_build_object(settings ->> 'name', 'x'))
                  WHEN 'oauth2_client_credentials' THEN
                      integration_worker.client_problem(settings)
                  WHEN 'aws_sigv4' THEN
                      (SELECT format('%s holds a blank, a comma, a slash or what is not ASCII.', m.key)
                         FROM jsonb_each_text(settings) m WHERE m.value ~ '[^!-~]|[,/]' ORDER BY m.key LIMIT 1)
                  WHEN 'client_certificate' THEN
                      integration_worker.authorities_problem(settings ->> 'ca')
                  WHEN 'signing' THEN
                      integration_worker.overlap_problem(coalesce(settings ->> 'overlap', '24 h')) END)
$$;
REVOKE ALL ON FUNCTION integration_worker.credential_problem(text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.credential_problem(text, jsonb) IS
    'What is wrong with the settings of a credential, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.check_credential() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text := integration_worker.credential_problem(NEW.kind, NEW.settings);
    known text := (SELECT string_agg(s.name || CASE WHEN s.required THEN ' (required)' ELSE '' END, ', ')
                     FROM integration_worker.credential_settings() s WHERE s.kind = NEW.kind);
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.kind <> OLD.kind THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'kind',
            MESSAGE = format('kind of credential "%s" cannot be changed', NEW.name),
            DETAIL = 'Its secrets, and what refers to it, are of the kind that it has.',
            HINT = 'Insert another credential, refer to that one.';
    END IF;
    IF NEW.kind <> ALL ('{basic,bearer,header,oauth2_client_credentials,aws_sigv4,client_certificate,signing}') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'kind',
            MESSAGE = format('kind of credential "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', NEW.kind),
            HINT = 'Write basic, bearer, header, oauth2_client_credentials, aws_sigv4, client_certificate or signing.';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'settings',
            MESSAGE = format('settings of credential "%s" cannot be used', NEW.name),
            DETAIL = problem,
            HINT = integration_worker.url_hint(problem,
                   CASE WHEN known IS NULL
                        THEN format('A credential of kind %s has no settings; its secret goes to integration.set_secret().', NEW.kind)
                        ELSE format('A credential of kind %s has these settings: %s. What is secret goes to integration.set_secret().',
                                    NEW.kind, known) END);
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_credential() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_credential() IS
    'Row trigger: refuses kinds and settings that can''t work.';

CREATE TRIGGER check_settings BEFORE INSERT OR UPDATE ON integration.credential
    FOR EACH ROW WHEN (jsonb_typeof(NEW.settings) = 'object')
    EXECUTE FUNCTION integration_worker.check_credential();

-- Secrets are sealed for the name of the installation, which must be its own before the first is.
CREATE TRIGGER begin_installation AFTER INSERT ON integration.credential
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.begin_installation();

CREATE FUNCTION integration_worker.keep_secret() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('secret of credential "%s" cannot be changed', OLD.credential),
        DETAIL = 'It is sealed for this name and version.',
        HINT = 'Forget the secret, then set it anew, or insert another credential.';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.keep_secret() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.keep_secret() IS
    'Row trigger: refuses to move or change what is sealed.';

CREATE TRIGGER keep_secret BEFORE UPDATE OF credential, version, sealed ON integration.secret
    FOR EACH ROW WHEN ((OLD.credential, OLD.version, OLD.sealed) IS DISTINCT FROM (NEW.credential, NEW.version, NEW.sealed))
    EXECUTE FUNCTION integration_worker.keep_secret();

-- None of the three can hold a line break.
CREATE FUNCTION integration_worker.secret_place(credential text, version integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(E'\n', (SELECT i.name FROM integration.installation i), credential, version)
$$;
REVOKE ALL ON FUNCTION integration_worker.secret_place(text, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.secret_place(text, integer) IS
    'What a secret is sealed for beside its key: it opens in this installation, under this credential and version, nowhere else.';

CREATE FUNCTION integration_worker.seal(place text, kind text, value text) RETURNS bytea
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_seal';
REVOKE ALL ON FUNCTION integration_worker.seal(text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.seal(text, text, text) IS
    'A secret as it is stored; refused where a credential of that kind can''t use it, or there is no key.';

CREATE FUNCTION integration_worker.sealed(place text, kind text, value bytea, OUT source text, OUT reference text, OUT problem text,
                                          OUT expires_at timestamptz)
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_sealed';
REVOKE ALL ON FUNCTION integration_worker.sealed(text, text, bytea) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.sealed(text, text, bytea) IS
    'What a stored secret is (value, file or view), where a view refers to, why it can''t be read, when a certificate in it ends; never a value.';

-- What a view calls runs with the rights of whoever reads it: only those may have made it, or be able to put
-- another one in its place, who could do everything anyway.
CREATE FUNCTION integration_worker.view_problem(reference text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(reference, '^([^./"]+)\.([^./"]+)/(.+)$');
    found record;
BEGIN
    IF parts IS NULL THEN
        RETURN format('"%s" is not of the form schema.view/name.', reference);
    END IF;
    SELECT c.oid, c.relkind, bool_and(r.rolsuper OR r.oid = x.extowner) AS is_trusted INTO found
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_extension x ON x.extname = 'integration'
      JOIN pg_catalog.pg_roles r ON r.oid IN (c.relowner, n.nspowner)
     WHERE n.nspname = parts[1] AND c.relname = parts[2]
     GROUP BY c.oid, c.relkind;
    RETURN CASE
        WHEN found.oid IS NULL THEN format('View %s.%s does not exist.', parts[1], parts[2])
        WHEN found.relkind <> 'v' THEN format('%s.%s is no view.', parts[1], parts[2])
        WHEN NOT found.is_trusted THEN
            format('%s.%s, or its schema, belongs neither to a superuser nor to the owner of the extension: the worker runs no code of others.',
                   parts[1], parts[2])
        WHEN (SELECT count(*) FILTER (WHERE a.attname = 'name') <> 1
                     OR count(*) FILTER (WHERE a.attname IN ('decrypted_secret', 'value')) = 0
                FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = found.oid
                 AND a.attname IN ('name', 'decrypted_secret', 'value')
                 AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'name'::regtype)
                 AND NOT a.attisdropped) THEN
            format('%s.%s lacks a column name, or one named decrypted_secret or value, of type text.', parts[1], parts[2]) END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.view_problem(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.view_problem(text) IS
    'Why a reference to a view can''t be read, as a sentence; NULL: it can.';

CREATE FUNCTION integration_worker.view_secret(reference text, OUT secret text, OUT problem text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(reference, '^([^./"]+)\.([^./"]+)/(.+)$');
    source text;
BEGIN
    problem := integration_worker.view_problem(reference);
    IF problem IS NOT NULL THEN
        RETURN;
    END IF;
    source := (SELECT min(a.attname::text)
                 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = format('%I.%I', parts[1], parts[2])::regclass
                  AND a.attname IN ('decrypted_secret', 'value')
                  AND NOT a.attisdropped);
    EXECUTE format('SELECT min(v.%I::text) FROM %I.%I v WHERE v.name::text = $1', source, parts[1], parts[2])
       INTO secret USING parts[3];
    IF secret IS NULL THEN
        problem := format('%s.%s has no value under this name.', parts[1], parts[2]);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.view_secret(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.view_secret(text) IS
    'The value that a reference to a view leads to, for the worker; or why it can''t be read.';

CREATE FUNCTION integration_worker.credentials(names text[])
    RETURNS TABLE (name text, kind text, settings text, version integer, place text, sealed bytea,
                   not_before timestamptz, not_after timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
    SELECT c.name, c.kind, c.settings::text, s.version, integration_worker.secret_place(c.name, s.version), s.sealed,
           s.not_before, s.not_after
      FROM integration.credential c
      LEFT JOIN integration.secret s ON s.credential = c.name AND (s.not_after > now()) IS NOT FALSE
     WHERE c.name = ANY (names)
     ORDER BY c.name, s.not_before DESC, s.version DESC
$$;
REVOKE ALL ON FUNCTION integration_worker.credentials(text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.credentials(text[]) IS
    'Credentials as the worker needs them, a row for each secret that is valid or will be, the newest first; by the primary keys.';

CREATE FUNCTION integration_worker.probe_mended(reloaded boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.endpoint_health h
       SET open_until = now()
     WHERE h.endpoint_id IN (
           SELECT w.endpoint_id
             FROM integration.endpoint_health w
             JOIN integration.endpoint_config c ON c.id = w.endpoint_id
            WHERE w.state = 'stopped'
              AND w.open_until > now()
              AND (reloaded AND (w.last_reason = 'secret_unreadable' OR w.last_reason LIKE 'blocked\_%')
                   OR (w.last_reason = 'secret_missing'
                       OR EXISTS (SELECT FROM integration.error_reason r
                                   WHERE r.reason = w.last_reason AND r.error_class = 'auth'))
                      AND EXISTS (SELECT FROM integration.secret s
                                   WHERE s.credential IN (c.credential, c.signing, c.certificate)
                                     AND s.not_before <= now() AND s.not_before > w.last_failure_at))
              FOR NO KEY UPDATE OF w SKIP LOCKED);
    IF FOUND THEN
        PERFORM integration_worker.wake_at_commit(true);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.probe_mended(boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.probe_mended(boolean) IS
    'Has endpoints probed at once that were stopped for want of a secret which has become valid, or with a former one; true: also what settings can mend, secrets that could not be read and addresses that might not be called.';

CREATE FUNCTION integration_worker.require_credential(name text) RETURNS integration.credential
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found integration.credential;
BEGIN
    SELECT c.* INTO found FROM integration.credential c WHERE c.name = require_credential.name FOR NO KEY UPDATE;
    IF found.name IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'no_data_found',
            MESSAGE = format('credential "%s" does not exist', require_credential.name),
            HINT = 'Insert it into integration.credential first, or correct the name.';
    END IF;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.require_credential(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.require_credential(text) IS
    'The credential of this name, kept from others who would set its secrets.';

-- The view is read by the worker, who may read everything: only what its caller may read can be referred to.
CREATE FUNCTION integration_worker.require_view(value text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reference text := substr(value, length('view:') + 1);
    problem text := integration_worker.view_problem(reference);
BEGIN
    IF problem IS NULL
       AND NOT has_table_privilege(session_user, (SELECT format('%I.%I', p[1], p[2])::regclass
                                                    FROM regexp_match(reference, '^([^./]+)\.([^./]+)/') AS p), 'SELECT') THEN
        problem := format('Role "%s" may not read it.', session_user);
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'value cannot be the reference of a secret',
            DETAIL = problem,
            HINT = 'Write view:schema.view/name, such as view:vault.decrypted_secrets/shop.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.require_view(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.require_view(text) IS
    'Refuses a reference to a view that can''t be read, or that the session''s user may not read.';

CREATE FUNCTION integration.set_secret(credential text, value text, not_before timestamptz DEFAULT now()) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target integration.credential := integration_worker.require_credential(set_secret.credential);
    since timestamptz := coalesce(set_secret.not_before, now());
    overlap interval := CASE WHEN target.kind = 'signing' THEN coalesce(target.settings ->> 'overlap', '24 h') ELSE '0' END;
    new_version integer := (SELECT coalesce(max(s.version), 0) + 1 FROM integration.secret s WHERE s.credential = target.name);
    place text := integration_worker.secret_place(target.name, new_version);
    sealed bytea;
BEGIN
    IF set_secret.value LIKE 'view:%' THEN
        PERFORM integration_worker.require_view(set_secret.value);
    END IF;
    sealed := integration_worker.seal(place, target.kind, coalesce(set_secret.value, ''));
    INSERT INTO integration.secret (credential, version, sealed, not_before)
    VALUES (target.name, new_version, sealed, since);
    UPDATE integration.secret s
       SET not_after = since + overlap
     WHERE s.credential = target.name
       AND s.version < new_version
       AND (s.not_after <= since + overlap) IS NOT TRUE;
    RETURN new_version;
END
$$;
REVOKE ALL ON FUNCTION integration.set_secret(text, text, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration.set_secret(text, text, timestamptz) IS
    'Seals a new value for a credential, to be used from a time on; returns its version. The former value ends then; of signing ones both sign for settings.overlap (24 h). A value file:name or view:schema.view/name says where the secret is.';

CREATE FUNCTION integration.forget_secret(credential text, version integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_credential(forget_secret.credential);
    DELETE FROM integration.secret s
     WHERE s.credential = forget_secret.credential AND s.version = forget_secret.version;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'no_data_found',
            MESSAGE = format('credential "%s" has no secret of version %s', forget_secret.credential, forget_secret.version),
            HINT = 'Its versions are in SELECT version FROM integration.secret_status.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration.forget_secret(text, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration.forget_secret(text, integer) IS
    'Deletes one version of a credential''s secret; it is not used from then on.';

CREATE FUNCTION integration_worker.secret_states()
    RETURNS TABLE (credential text, version integer, not_before timestamptz, not_after timestamptz, source text, problem text,
                   certificate_expires_at timestamptz)
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.credential, s.version, s.not_before, s.not_after, r.source,
           coalesce(r.problem, CASE WHEN r.source = 'view' THEN integration_worker.view_problem(r.reference) END),
           r.expires_at
      FROM integration.secret s
      JOIN integration.credential c ON c.name = s.credential
     CROSS JOIN LATERAL integration_worker.sealed(integration_worker.secret_place(s.credential, s.version), c.kind, s.sealed) r
$$;
REVOKE ALL ON FUNCTION integration_worker.secret_states() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.secret_states() IS
    'What integration.secret_status shows; reads the key, opens each secret, gives none of them away.';

CREATE VIEW integration.secret_status WITH (security_barrier) AS
SELECT s.credential, s.version, s.not_before, s.not_after, s.source, s.problem IS NULL AS readable, s.problem,
       s.certificate_expires_at,
       (SELECT string_agg(DISTINCT integration_worker.owner_of(c.id, 'auth', NULL), ', ')
          FROM integration.endpoint_config c
         WHERE s.credential IN (c.credential, c.signing, c.certificate)) AS owner
  FROM integration_worker.secret_states() s;

COMMENT ON VIEW integration.secret_status IS
    'The secrets of each credential by version: when they are used, whether they can be read; never a value.';

COMMENT ON COLUMN integration.secret_status.credential IS 'The credential it belongs to.';

COMMENT ON COLUMN integration.secret_status.version IS 'Counts up with each set_secret().';

COMMENT ON COLUMN integration.secret_status.not_before IS 'Used from here on.';

COMMENT ON COLUMN integration.secret_status.not_after IS 'Not used from here on; NULL: no end.';

COMMENT ON COLUMN integration.secret_status.source IS
    'value, file or view: what was set; NULL: it can''t be opened.';

COMMENT ON COLUMN integration.secret_status.readable IS 'Whether the server can read it just now.';

COMMENT ON COLUMN integration.secret_status.problem IS 'Why it can''t, as a sentence.';

COMMENT ON COLUMN integration.secret_status.owner IS 'The teams that look after the endpoints that use it.';

COMMENT ON COLUMN integration.secret_status.certificate_expires_at IS
    'When the client certificate itself ends: set the next one before; NULL: it is none, or stands in a view.';

CREATE FUNCTION integration_worker.masked_headers(credential text, signing text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(h.line ORDER BY h.n), '{}')
      FROM integration.credential c
     CROSS JOIN LATERAL (
           SELECT unnest(CASE c.kind
                         WHEN 'basic' THEN ARRAY['Authorization: Basic ***']
                         WHEN 'bearer' THEN ARRAY['Authorization: Bearer ***']
                         WHEN 'oauth2_client_credentials' THEN ARRAY['Authorization: Bearer ***']
                         WHEN 'header' THEN ARRAY[c.settings ->> 'name' || ': ***']
                         WHEN 'aws_sigv4' THEN ARRAY['X-Amz-Date: ***', 'Authorization: AWS4-HMAC-SHA256 ***']
                         WHEN 'signing' THEN CASE c.settings ->> 'scheme'
                             WHEN 'rfc9421' THEN ARRAY['Content-Digest: ***', 'Signature-Input: ***', 'Signature: ***']
                             ELSE ARRAY['webhook-timestamp: ***', 'webhook-signature: ***'] END
                         END), 1) AS h (line, n)
     WHERE c.name IN (masked_headers.credential, masked_headers.signing)
$$;
REVOKE ALL ON FUNCTION integration_worker.masked_headers(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.masked_headers(text, text) IS
    'The header lines that an endpoint''s credentials add, without what is secret or of the attempt.';

CREATE FUNCTION integration_worker.missing_secret(credentials text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Credential "%s" has no secret that is valid now; set one with integration.set_secret().', c.name)
      FROM integration.credential c
     WHERE c.name = ANY (credentials)
       AND NOT (c.kind = 'client_certificate' AND c.settings ? 'ca')
       AND NOT EXISTS (SELECT FROM integration.secret s
                        WHERE s.credential = c.name
                          AND s.not_before <= now() AND (s.not_after > now()) IS NOT FALSE)
     ORDER BY c.name
     LIMIT 1
$$;
REVOKE ALL ON FUNCTION integration_worker.missing_secret(text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.missing_secret(text[]) IS
    'Which of these credentials has no secret, as a sentence; NULL: each has one.';

-- How alike two names are is how many pairs of neighbouring letters of the one stand in the other.
CREATE FUNCTION integration_worker.missing_endpoint(name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(CASE WHEN max(e.known) > 10 THEN format('Of %s endpoints these have names most like it: ', max(e.known))
                         ELSE 'Endpoints are: ' END
                    || string_agg(format('"%s"', e.name), ', ' ORDER BY e.alike DESC, e.name) || '.', 'There is no endpoint yet.')
      FROM (SELECT x.name, p.alike, count(*) OVER () AS known
              FROM integration.endpoint x
             CROSS JOIN LATERAL (
                   SELECT count(*) AS alike
                     FROM generate_series(1, least(length(missing_endpoint.name), 101) - 1) n
                    WHERE strpos(lower(x.name), lower(substr(missing_endpoint.name, n, 2))) > 0) p
             ORDER BY p.alike DESC, x.name
             LIMIT 10) e
$$;
REVOKE ALL ON FUNCTION integration_worker.missing_endpoint(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.missing_endpoint(text) IS
    'Which endpoints may have been meant by a name that none has, as a sentence.';

-- Why the queue did not take a row, in the parts of an error; the trigger raises it, so that the
-- application sees its own statement and none of this.  The fast path never comes here.
CREATE FUNCTION integration_worker.refusal(
        id bigint, endpoint text, operation text, payload jsonb, headers jsonb, priority text, send_after timestamptz,
        expires_at timestamptz, enqueued_by name, OUT code text, OUT message text, OUT detail text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target integration.endpoint_config;
BEGIN
    SELECT c.* INTO target FROM integration.endpoint_config c WHERE c.name = refusal.endpoint;
    IF target.id IS NULL THEN
        code := '23503';
        message := format('endpoint "%s" does not exist', refusal.endpoint);
        detail := integration_worker.missing_endpoint(refusal.endpoint);
        hint := 'Insert a row into integration.endpoint first, or correct the name.';
    ELSIF refusal.id > integration_worker.last_id() THEN
        code := '428C9';
        message := format('the id of a sync is given by the outbox, not by the insert (id %s)', refusal.id);
        hint := 'Leave the column id out and read it with RETURNING id. A dump is restored without --load-via-partition-root.';
    ELSIF refusal.enqueued_by <> session_user THEN
        code := '428C9';
        message := format('enqueued_by of a sync to endpoint "%s" cannot be "%s"', target.name, refusal.enqueued_by);
        detail := format('It is the user of the session: "%s".', session_user);
        hint := 'Leave the column enqueued_by out; triggered_by is for who in the application caused it.';
    ELSIF refusal.priority NOT IN ('high', 'normal', 'low') THEN
        code := '23514';
        message := format('priority "%s" is not known', refusal.priority);
        hint := 'Write high, normal or low.';
    ELSIF octet_length(refusal.payload::text) > target.max_payload_bytes THEN
        code := '54000';
        message := format('payload of %s bytes is larger than endpoint "%s" allows', octet_length(refusal.payload::text), target.name);
        detail := format('max_payload_bytes is %s.', target.max_payload_bytes);
        hint := 'Send less, or raise max_payload_bytes of the endpoint or its connector.';
    ELSIF integration_worker.header_problem(refusal.headers) IS NOT NULL THEN
        code := '22023';
        message := format('headers of a sync to endpoint "%s" cannot be sent', target.name);
        detail := integration_worker.header_problem(refusal.headers);
        hint := 'Write a JSON object of names and values, such as {"X-Request-Source": "shop"}.';
    ELSIF refusal.operation <> 'ping' AND target.payload_check IS NOT NULL AND (refusal.payload @@ target.payload_check) IS NOT TRUE THEN
        code := '23514';
        message := format('payload is refused by the payload_check of endpoint "%s"', target.name);
        detail := format('The check is %s.', target.payload_check);
        hint := 'Correct the payload, or the payload_check of the endpoint or its connector.';
    ELSIF target.status = 'retired' AND isfinite(coalesce(refusal.send_after, now()))
          AND (refusal.expires_at > greatest(now(), refusal.send_after)) IS NOT FALSE THEN
        code := '55000';
        message := format('connector "%s" is retired: endpoint "%s" takes no more syncs', target.connector, target.name);
        detail := 'What was enqueued before is still sent, and can be amended.';
        hint := format('Send to an endpoint of what took its place, or have an administrator '
                       'UPDATE integration.connector SET status = ''active'' WHERE name = %L.', target.connector);
    ELSE
        code := '23514';
        message := format('a sync to endpoint "%s" could never be sent', target.name);
        detail := format('send_after is %s, expires_at is %s, it is now %s.',
                         coalesce(refusal.send_after::text, 'not given'), coalesce(refusal.expires_at::text, 'not given'), now());
        hint := 'Write an expires_at that is later than both now and send_after, and a finite send_after.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.refusal(bigint, text, text, jsonb, jsonb, text, timestamptz, timestamptz, name) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.refusal(bigint, text, text, jsonb, jsonb, text, timestamptz, timestamptz, name) IS
    'The parts of the error for an outbox row that the queue did not take: SQLSTATE, message, detail, hint.';

-- In C, without a condition of its own: WHEN would cost each insert as much as a third of what it costs by itself.
CREATE OR REPLACE FUNCTION integration_worker.refuse_extent() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'integration_refuse_extent';

COMMENT ON FUNCTION integration_worker.refuse_extent() IS
    'Row trigger: refuses keys too long for an index, times too far away to reckon with; takes over the trace context of the statement''s comment.';

CREATE OR REPLACE TRIGGER refuse_extent BEFORE INSERT ON integration.outbox
    FOR EACH ROW EXECUTE FUNCTION integration_worker.refuse_extent();

-- How much a customer or a role may enqueue, how much of it is used.
--
-- A limit holds for all sessions together, counted when the statement ends: it is enqueued as a whole or
-- refused as a whole, COPY too.  How it is counted is said in src/worker/usage.h.

CREATE TABLE integration.enqueue_limit (
    scope text NOT NULL,
    name text NOT NULL,
    rows_per_minute bigint,
    bytes_per_minute bigint,
    max_backlog bigint,
    PRIMARY KEY (scope, name)
);
REVOKE ALL ON TABLE integration.enqueue_limit FROM PUBLIC;

COMMENT ON TABLE integration.enqueue_limit IS
    'How much may be inserted into the outbox, for a customer or a role; empty: any amount. The row of a name takes the place of the row ''*'' as a whole.';

COMMENT ON COLUMN integration.enqueue_limit.scope IS
    'customer (outbox.customer, else the endpoint''s) or role (the user of the session, outbox.enqueued_by).';

COMMENT ON COLUMN integration.enqueue_limit.name IS 'Of the customer or role; * for each that has no row of its own.';

COMMENT ON COLUMN integration.enqueue_limit.rows_per_minute IS
    'Syncs a minute: so many at once, then as many a second as fill it up within a minute. 0: none; NULL: no limit.';

COMMENT ON COLUMN integration.enqueue_limit.bytes_per_minute IS
    'Bytes of payload a minute, as sent; counted like rows_per_minute. 0: none; NULL: no limit.';

COMMENT ON COLUMN integration.enqueue_limit.max_backlog IS
    'Unfinished syncs, failed ones too, of those enqueued since there is this limit. 0: none; NULL: no limit.';

CREATE FUNCTION integration_worker.check_enqueue_limit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('scope', NEW.scope NOT IN ('customer', 'role'), NEW.scope, 'Write customer or role.'),
        ('name', NEW.name = '' OR octet_length(NEW.name) > 1000, left(NEW.name, 100),
         'Write the name of a customer or role, at most 1000 bytes, or * for each that has no row of its own.'),
        ('rows_per_minute', NEW.rows_per_minute NOT BETWEEN 0 AND 1000000000,
         NEW.rows_per_minute::text, 'Write 0 to 1000000000; NULL for no limit.'),
        ('bytes_per_minute', NEW.bytes_per_minute NOT BETWEEN 0 AND 1000000000000000,
         NEW.bytes_per_minute::text, 'Write 0 to 1000000000000000; NULL for no limit.'),
        ('max_backlog', NEW.max_backlog NOT BETWEEN 0 AND 1000000,
         NEW.max_backlog::text, 'Write 0 to 1000000, since those who enqueue count it; NULL for no limit.')
      ) AS r (col, is_broken, given, hint)
     WHERE r.is_broken
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of an enqueue limit cannot be used', broken.col),
            DETAIL = format('It is "%s".', broken.given),
            HINT = broken.hint;
    END IF;
    IF NEW.scope = 'role' AND NEW.name <> '*'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = NEW.name) THEN
        RAISE WARNING USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('role "%s" does not exist', NEW.name),
            HINT = 'The limit holds for the user of a session, once there is one of this name; not for members of a role.';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_enqueue_limit() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_enqueue_limit() IS
    'Row trigger: refuses limits that can''t work, warns of a role that there is not.';

CREATE TRIGGER check_limit BEFORE INSERT OR UPDATE ON integration.enqueue_limit
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_enqueue_limit();

-- Sessions forget what they remember of it; the worker has no use for it.
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.enqueue_limit
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();

CREATE FUNCTION integration_worker.enqueue_usage(
        OUT scope text, OUT name_hash bigint, OUT name text, OUT is_whole boolean, OUT rows_left bigint, OUT bytes_left bigint,
        OUT refused bigint, OUT refused_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE ROWS 100
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_enqueue_usage';
REVOKE ALL ON FUNCTION integration_worker.enqueue_usage() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.enqueue_usage() IS
    'Who enqueued under a limit lately and what is left to each, from shared memory; name_hash is hashtextextended(name, 0), is_whole: name is not cut.';

CREATE VIEW integration.enqueue_limit_status AS
WITH usage AS MATERIALIZED (
    SELECT u.* FROM integration_worker.enqueue_usage() u
), known AS (
    SELECT l.scope, l.name, true AS is_whole, l.rows_per_minute, least(u.rows_left, l.rows_per_minute) AS rows_left, l.bytes_per_minute,
           least(u.bytes_left, l.bytes_per_minute) AS bytes_left, l.max_backlog, u.refused, u.refused_at
      FROM integration.enqueue_limit l
      LEFT JOIN usage u ON u.scope = l.scope AND u.name_hash = hashtextextended(l.name, 0)
    UNION ALL
    SELECT u.scope, u.name, u.is_whole, l.rows_per_minute, least(u.rows_left, l.rows_per_minute) AS rows_left, l.bytes_per_minute,
           least(u.bytes_left, l.bytes_per_minute) AS bytes_left, l.max_backlog, u.refused, u.refused_at
      FROM usage u
      JOIN integration.enqueue_limit l ON l.scope = u.scope AND l.name = '*'
     WHERE u.name_hash NOT IN (SELECT hashtextextended(n.name, 0) FROM integration.enqueue_limit n WHERE n.scope = u.scope)
)
SELECT k.scope, k.name, k.rows_per_minute, CASE WHEN k.rows_per_minute IS NOT NULL THEN k.rows_left END AS rows_left,
       k.bytes_per_minute, CASE WHEN k.bytes_per_minute IS NOT NULL THEN k.bytes_left END AS bytes_left, k.max_backlog,
       CASE WHEN k.max_backlog IS NULL OR NOT k.is_whole OR k.name = '*' THEN NULL
            WHEN k.scope = 'customer' THEN
                 (SELECT count(*) FROM integration.queue q WHERE q.limited_customer = k.name COLLATE "C")
            ELSE (SELECT count(*) FROM integration.queue q WHERE q.limited_role = k.name COLLATE "C") END AS backlog,
       coalesce(k.refused, 0) AS refused, k.refused_at AS last_refused_at,
       integration_worker.owner_of_scope(k.scope, k.name) AS owner
  FROM known k;

COMMENT ON VIEW integration.enqueue_limit_status IS
    'Each enqueue limit, each customer and role that used one lately, how much is left to it, how often it was refused.';

COMMENT ON COLUMN integration.enqueue_limit_status.scope IS 'customer or role.';

COMMENT ON COLUMN integration.enqueue_limit_status.name IS 'Whose; * is the limit of each that has none of its own.';

COMMENT ON COLUMN integration.enqueue_limit_status.rows_per_minute IS 'Syncs a minute; NULL: no limit.';

COMMENT ON COLUMN integration.enqueue_limit_status.rows_left IS 'Syncs that may be enqueued right now; NULL: no limit.';

COMMENT ON COLUMN integration.enqueue_limit_status.bytes_per_minute IS 'Bytes of payload a minute; NULL: no limit.';

COMMENT ON COLUMN integration.enqueue_limit_status.bytes_left IS 'Bytes that may be enqueued right now; NULL: no limit.';

COMMENT ON COLUMN integration.enqueue_limit_status.max_backlog IS 'Unfinished syncs, at most; NULL: no limit.';

COMMENT ON COLUMN integration.enqueue_limit_status.backlog IS 'Unfinished syncs that count; NULL: not counted.';

COMMENT ON COLUMN integration.enqueue_limit_status.refused IS 'Statements refused since the server was started, or since it is remembered.';

COMMENT ON COLUMN integration.enqueue_limit_status.last_refused_at IS 'When one was refused last; NULL: none was.';

COMMENT ON COLUMN integration.enqueue_limit_status.owner IS 'The team that looks after the customer; NULL: nobody does, or it is a role''s.';

-- What the worker reads: the registry, what is new, what is due.

-- By the index endpoint_id_key, a bite at a time: all of ten thousand endpoints at once would stall the sender.
CREATE FUNCTION integration_worker.endpoints(after_id integer DEFAULT 0, most integer DEFAULT 2147483647)
    RETURNS TABLE (id integer, name text, url text, method text, headers text, format text,
                   connect_timeout_ms integer, timeout_ms integer, max_concurrency integer,
                   rate_limit double precision, rate_burst integer,
                   idempotent boolean, allow_http boolean, credential text, signing text, certificate text,
                   paused_until timestamptz, not_before timestamptz, state text, failures integer, tripped_by bigint,
                   since timestamptz, quotes_key boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_sort = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.id, c.name, c.url, c.method, c.headers::text, c.format,
           ceil(extract(epoch FROM c.connect_timeout) * 1000)::integer,
           ceil(extract(epoch FROM c.timeout) * 1000)::integer,
           c.max_concurrency, c.rate_limit, c.rate_burst, c.idempotent, c.allow_http,
           c.credential, c.signing, c.certificate, p.until,
           integration_worker.not_called_before(h.state, h.open_until, h.retry_after_until, clock_timestamp()),
           coalesce(h.state, 'closed'), coalesce(h.failures, 0), h.tripped_by, h.since,
           c.idempotency_key_style = 'quoted'
      FROM integration.endpoint_config c
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = c.id
      LEFT JOIN LATERAL (
           SELECT max(coalesce(x.until, 'infinity')) AS until
             FROM integration.pause x
            WHERE (x.until IS NULL OR x.until > now())
              AND (x.scope, x.name) IN (('all', ''), ('connector', c.connector), ('endpoint', c.name), ('customer', c.customer))
           ) p ON true
     WHERE c.id > after_id
     ORDER BY c.id
     LIMIT most;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.endpoints(integer, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.endpoints(integer, integer) IS
    'The registry as the sender needs it, by id, so many after one: settings resolved, paused until when, not called before when.';

-- By the index (endpoint_id, started_at) of each range.
CREATE FUNCTION integration_worker.recent_attempts(endpoint_ids integer[], since timestamptz[])
    RETURNS TABLE (endpoint_id integer, started_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
    SELECT e.id, a.started_at
      FROM unnest(endpoint_ids, since) WITH ORDINALITY AS e (id, since, n)
     CROSS JOIN LATERAL (SELECT x.started_at FROM integration.attempt x
                          WHERE x.endpoint_id = e.id AND x.started_at > e.since
                          ORDER BY x.started_at DESC
                          LIMIT 10000) a
     ORDER BY e.n, a.started_at
$$;
REVOKE ALL ON FUNCTION integration_worker.recent_attempts(integer[], timestamptz[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.recent_attempts(integer[], timestamptz[]) IS
    'When each of the endpoints was called since its time, oldest first: what a worker that takes it over counts towards its rate.';

DROP FUNCTION integration_worker.registry_state();

-- What the commit of a prepared transaction changes is announced by nothing, so the worker looks now and then
-- whether the registry is still the one it has read: cheap, where reading ten thousand endpoints is not.
-- A customer's pause holds single rows of shared endpoints, so its end makes the worker read those again.
CREATE FUNCTION integration_worker.registry_state(
        OUT version bigint, OUT holds bigint, OUT installation text, OUT resume_at timestamptz, OUT is_adopted boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (SELECT bit_xor(hashtextextended(v.row_version, v.seed))
              FROM (SELECT t.xmin::text || t.ctid::text AS row_version, 1 AS seed FROM integration.endpoint t
                    UNION ALL SELECT t.xmin::text || t.ctid::text, 2 FROM integration.connector t
                    UNION ALL SELECT t.xmin::text || t.ctid::text, 3 FROM integration.credential t
                    UNION ALL SELECT t.xmin::text || t.ctid::text, 4 FROM integration.secret t
                    UNION ALL SELECT t.xmin::text || t.ctid::text, 5 FROM integration.pause t
                    UNION ALL SELECT t.name, 6 FROM integration.installation t
                    UNION ALL SELECT h.endpoint_id || h.state || coalesce(h.open_until::text, ''), 7
                      FROM integration.endpoint_health h WHERE h.state <> 'closed') v),
           (SELECT bit_xor(hashtextextended(p.name, 0))
              FROM integration.pause p
             WHERE p.scope = 'customer' AND (p.until IS NULL OR p.until > now())),
           (SELECT i.name FROM integration.installation i),
           (SELECT min(t.at)
              FROM (SELECT p.until AS at FROM integration.pause p
                    UNION ALL SELECT s.not_before FROM integration.secret s) t
             WHERE t.at > now()),
           integration_worker.is_adopted()
$$;
REVOKE ALL ON FUNCTION integration_worker.registry_state() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.registry_state() IS
    'What changes with the registry: its version, the customers on hold (both as hashes), the name of the installation, when the next pause ends or secret begins by itself, whether the database is no copy.';

-- Plans are made once, perhaps while the queue is empty and every way to read it looks as good as any other.  So
-- what would walk all of it when it is full is switched off here; a condition written with nullif() keeps the indexes
-- away that are for rows that have not failed (from 19 on the planner sees through coalesce() of what is never NULL).

-- Transactions that ended between two snapshots, as ranges of ids.  What still runs is no part of one, and what was
-- rolled back of those that ran before: their rows are in the index, a million perhaps, and none can be seen.
CREATE FUNCTION integration_worker.ended_between(previous pg_snapshot, present pg_snapshot)
    RETURNS TABLE (first_xid xid8, end_xid xid8)
    LANGUAGE sql STABLE ROWS 4
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.first_xid, s.end_xid
      FROM (SELECT CASE WHEN b.runs THEN (b.xid::text::numeric + 1)::text::xid8 ELSE b.xid END AS first_xid,
                   lead(b.xid) OVER (ORDER BY b.xid, b.runs) AS end_xid
              FROM (SELECT pg_snapshot_xmax(previous) AS xid, false AS runs
                    UNION ALL SELECT pg_snapshot_xmax(present), false
                    UNION ALL SELECT r.xid, true FROM pg_snapshot_xip(present) AS r (xid)
                               WHERE r.xid >= pg_snapshot_xmax(previous)) b
            UNION ALL
            SELECT x.xid, (x.xid::text::numeric + 1)::text::xid8
              FROM pg_snapshot_xip(previous) AS x (xid)
             WHERE pg_visible_in_snapshot(x.xid, present)
               AND pg_xact_status(x.xid) IS DISTINCT FROM 'aborted') s
     WHERE s.first_xid < s.end_xid
     ORDER BY s.first_xid
$$;
REVOKE ALL ON FUNCTION integration_worker.ended_between(pg_snapshot, pg_snapshot) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.ended_between(pg_snapshot, pg_snapshot) IS
    'What is visible under the second snapshot and was not under the first: ranges of transaction ids, from the first one to below the end.';

-- What is visible now and was not visible under the previous snapshot (PgQ's way), by the index queue_change.
-- The snapshot and the read belong to one statement; a row of its own carries the snapshot to the next call.
-- Rows of other shards count, or a million of them would be walked over at once.
CREATE OR REPLACE FUNCTION integration_worker.feed(previous pg_snapshot, most integer, shards integer)
    RETURNS TABLE (snapshot pg_snapshot, outbox_id bigint, endpoint_id integer, priority smallint, due_at timestamptz,
                   expires_at timestamptz, change_xid xid8, object_hash bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
    SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    present pg_snapshot := pg_current_snapshot();
    first_xids xid8[] := ARRAY[pg_snapshot_xmax(previous)];
    end_xids xid8[] := ARRAY[pg_snapshot_xmax(present)];
BEGIN
    -- Nothing ran then or runs now: the rule, and it is quicker.
    IF pg_snapshot_xmin(previous) < pg_snapshot_xmax(previous) OR pg_snapshot_xmin(present) < pg_snapshot_xmax(present) THEN
        SELECT array_agg(e.first_xid), array_agg(e.end_xid) INTO first_xids, end_xids
          FROM integration_worker.ended_between(previous, present) e;
    END IF;
    RETURN QUERY
    SELECT present, NULL::bigint, NULL::integer, NULL::smallint, NULL::timestamptz, NULL::timestamptz, NULL::xid8,
           NULL::bigint
    UNION ALL
    (SELECT NULL, CASE WHEN shards & (1 << q.endpoint_id % 16) <> 0 THEN q.outbox_id END,
            q.endpoint_id, q.priority, q.due_at, q.expires_at, q.change_xid,
            hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id))
       FROM unnest(first_xids, end_xids) AS e (first_xid, end_xid)
      CROSS JOIN LATERAL (
            SELECT x.*
              FROM integration.queue x
             WHERE x.change_xid >= e.first_xid
               AND x.change_xid < e.end_xid
               AND nullif(x.state, 'failed') IS NOT NULL
             ORDER BY x.change_xid, x.endpoint_id, x.due_at, x.outbox_id + 0
             LIMIT most) q
      LIMIT most);
END
$$;

COMMENT ON FUNCTION integration_worker.feed(pg_snapshot, integer, integer) IS
    'Queue rows that became worth looking at since the previous snapshot, at most so many, those of other shards without outbox_id; the first row carries the snapshot for the next call.';

-- The same where feed() found too much: the first rows of each transaction and endpoint, the rest of which is
-- jumped over in the index queue_change.  A group without a row to send comes as one row without outbox_id.
CREATE OR REPLACE FUNCTION integration_worker.flood(
        previous pg_snapshot, present pg_snapshot, after_xid xid8, after_endpoint integer,
        groups integer, group_rows integer, shards integer)
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, priority smallint, due_at timestamptz,
                   expires_at timestamptz, change_xid xid8, object_hash bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
    SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    span record;
    last record;
    from_xid xid8;
    from_endpoint integer;
BEGIN
    FOR span IN
        SELECT s.first_xid, s.end_xid
          FROM integration_worker.ended_between(previous, present) s
         WHERE s.end_xid > after_xid
         ORDER BY s.first_xid
    LOOP
        -- In one comparison: a scan with two lower bounds may begin at the lesser one, before all of a flood.
        from_xid := greatest(after_xid, span.first_xid);
        from_endpoint := CASE WHEN after_xid = from_xid THEN after_endpoint ELSE 0 END;
        FOR last IN
            WITH RECURSIVE g AS (
                (SELECT q.change_xid, q.endpoint_id
                   FROM integration.queue q
                  WHERE (q.change_xid, q.endpoint_id) > (from_xid, from_endpoint)
                    AND q.change_xid < span.end_xid
                  ORDER BY q.change_xid, q.endpoint_id
                  LIMIT 1)
                UNION ALL
                SELECT n.change_xid, n.endpoint_id
                  FROM g
                 CROSS JOIN LATERAL (
                       SELECT q.change_xid, q.endpoint_id
                         FROM integration.queue q
                        WHERE (q.change_xid, q.endpoint_id) > (g.change_xid, g.endpoint_id)
                          AND q.change_xid < span.end_xid
                        ORDER BY q.change_xid, q.endpoint_id
                        LIMIT 1) n
            )
            SELECT f.change_xid, f.endpoint_id FROM g f LIMIT groups
        LOOP
            groups := groups - 1;
            RETURN QUERY
            SELECT t.outbox_id, last.endpoint_id, t.priority, t.due_at, t.expires_at, last.change_xid, t.object_hash
              FROM (SELECT) AS one
              LEFT JOIN LATERAL (
                   SELECT q.outbox_id, q.priority, q.due_at, q.expires_at,
                          hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id)) AS object_hash
                     FROM integration.queue q
                    WHERE q.change_xid = last.change_xid
                      AND q.endpoint_id = last.endpoint_id
                      AND nullif(q.state, 'failed') IS NOT NULL
                      AND shards & (1 << last.endpoint_id % 16) <> 0
                    ORDER BY q.change_xid, q.endpoint_id, q.due_at, q.outbox_id + 0
                    LIMIT group_rows) t ON true;
        END LOOP;
        EXIT WHEN groups <= 0;
    END LOOP;
END
$$;

-- Three kinds of sources, numbered as they come: due rows above a cursor in order, by the index queue_due; with
-- a change_xid the rows of that transaction above a position, by queue_change; rows by their ids (source 0).
-- A cursor that comes to its end says when its next row will be due (a row that is not due yet).
CREATE OR REPLACE FUNCTION integration_worker.take(
        endpoint_ids integer[], priorities smallint[], change_xids xid8[], after_due timestamptz[], after_id bigint[],
        limits integer[], ids bigint[])
    RETURNS TABLE (source integer, outbox_id bigint, endpoint_id integer, priority smallint, due_at timestamptz, change_xid xid8,
                   attempts integer, expires_at timestamptz, payload_bytes integer, held boolean,
                   crowded boolean, ordering_hash bigint, object_hash bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
    SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := statement_timestamp();
BEGIN
    RETURN QUERY
    SELECT d.source, d.outbox_id, d.endpoint_id, d.priority, d.due_at, d.change_xid, d.attempts, d.expires_at, d.payload_bytes,
           d.claimed_at IS NOT NULL
           OR coalesce(d.expires_at <= at, false)
           OR (d.ordering_key IS NOT NULL
               AND EXISTS (SELECT FROM integration.queue p
                            WHERE p.endpoint_id = d.endpoint_id
                              AND p.ordering_key = d.ordering_key
                              AND coalesce(p.place, p.outbox_id) < coalesce(d.place, d.outbox_id))),
           -- What supersede() will do something about: an older sync of the object, or a newer one
           -- that newest() would name.
           d.object_id IS NOT NULL
           AND (EXISTS (SELECT FROM integration.queue p
                         WHERE p.endpoint_id = d.endpoint_id
                           AND p.object_id = d.object_id
                           AND p.object_type = d.object_type
                           AND (coalesce(p.place, p.outbox_id), p.outbox_id) < (coalesce(d.place, d.outbox_id), d.outbox_id))
                OR EXISTS (SELECT FROM integration.queue p
                            WHERE p.endpoint_id = d.endpoint_id
                              AND p.object_id = d.object_id
                              AND p.object_type = d.object_type
                              AND (coalesce(p.place, p.outbox_id), p.outbox_id) > (coalesce(d.place, d.outbox_id), d.outbox_id)
                              AND (p.state = 'retrying' OR (p.state = 'pending' AND p.due_at <= at))
                              AND (p.expires_at <= at) IS NOT TRUE)),
           hashtextextended(d.ordering_key, d.endpoint_id),
           hashtextextended(d.object_id, hashtextextended(d.object_type, d.endpoint_id))
      FROM (SELECT c.n::integer AS source, t.*
              FROM unnest(endpoint_ids, priorities, change_xids, after_due, after_id, limits) WITH ORDINALITY
                   AS c (endpoint_id, priority, change_xid, after_due, after_id, most, n)
             CROSS JOIN LATERAL (
                   (SELECT q.*
                      FROM integration.queue q
                     WHERE q.endpoint_id = c.endpoint_id
                       AND q.priority = c.priority
                       AND q.state <> 'failed'
                       AND (q.due_at, q.outbox_id + 0) > (c.after_due, c.after_id)
                       AND q.due_at <= at
                     ORDER BY q.due_at, q.outbox_id + 0
                     LIMIT c.most)
                   UNION ALL
                   (SELECT q.*
                      FROM integration.queue q
                     WHERE q.endpoint_id = c.endpoint_id
                       AND q.priority = c.priority
                       AND q.state <> 'failed'
                       AND (q.due_at, q.outbox_id + 0) > (greatest(c.after_due, at),
                                                      CASE WHEN c.after_due >= at THEN c.after_id ELSE 9223372036854775807 END)
                     ORDER BY q.due_at, q.outbox_id + 0
                     LIMIT 1)
                   LIMIT c.most) t
             WHERE c.change_xid IS NULL
            UNION ALL
            SELECT c.n::integer, t.*
              FROM unnest(endpoint_ids, change_xids, after_due, after_id, limits) WITH ORDINALITY
                   AS c (endpoint_id, change_xid, after_due, after_id, most, n)
             CROSS JOIN LATERAL (
                   SELECT q.*
                     FROM integration.queue q
                    WHERE q.change_xid = c.change_xid
                      AND q.endpoint_id = c.endpoint_id
                      AND nullif(q.state, 'failed') IS NOT NULL
                      AND (q.due_at, q.outbox_id + 0) > (c.after_due, c.after_id)
                    ORDER BY q.change_xid, q.endpoint_id, q.due_at, q.outbox_id + 0
                    LIMIT c.most) t
             WHERE c.change_xid IS NOT NULL
            UNION ALL
            SELECT 0, q.*
              FROM integration.queue q
             WHERE q.outbox_id = ANY (ids)
               AND nullif(q.state, 'failed') IS NOT NULL) d;
END
$$;

CREATE OR REPLACE VIEW integration_worker.content AS
SELECT o.id AS outbox_id, o.customer = ANY (p.names) IS TRUE AS held, o.object_type, o.object_id, o.operation,
       CASE WHEN o.customer = ANY (p.names) IS NOT TRUE THEN o.payload::text END AS payload,
       o.headers::text AS headers, o.created_at, o.traceparent, o.tracestate
  FROM integration_worker.asked o
 CROSS JOIN LATERAL (SELECT ARRAY(SELECT x.name
                                    FROM integration.pause x
                                   WHERE x.scope = 'customer' AND (x.until IS NULL OR x.until > statement_timestamp())) AS names) p;

-- What a clock that is set back leaves in the queue.

-- Not by the newest alone: an application, or the worker's own telemetry, may have added one since.
CREATE FUNCTION integration_worker.was_set_back() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(max(n.created_at) > clock_timestamp() + interval '1 s', false)
      FROM (SELECT o.created_at FROM integration.outbox o ORDER BY o.id DESC LIMIT 1000) n
$$;
REVOKE ALL ON FUNCTION integration_worker.was_set_back() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.was_set_back() IS
    'Is one of the newest syncs one of the future?';

-- A time that an application gave (send_after) stays.  One that was reckoned from a clock that ran ahead is
-- reckoned anew from now: at once for what was never tried, after the same wait for what was.
CREATE FUNCTION integration_worker.turn_back(shards integer, INOUT after bigint, OUT turned integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
DECLARE
    most CONSTANT integer := 2000;
    first bigint := turn_back.after;
    at timestamptz := clock_timestamp();
BEGIN
    SELECT max(x.outbox_id) INTO turn_back.after
      FROM (SELECT q.outbox_id FROM integration.queue q
             WHERE q.outbox_id > first ORDER BY q.outbox_id LIMIT most) x;
    WITH ahead AS (
        SELECT q.outbox_id,
               CASE WHEN q.attempts > 0 THEN q.last_attempt_at
                    ELSE (SELECT o.created_at FROM integration.outbox o WHERE o.id = q.outbox_id AND o.send_after IS NULL)
               END AS reckoned_at
          FROM integration.queue q
         WHERE q.outbox_id > first AND q.outbox_id <= turn_back.after
           AND q.due_at > at
           AND q.state <> 'failed'
           AND 1 << q.endpoint_id % 16 & shards <> 0
           FOR UPDATE OF q SKIP LOCKED)
    UPDATE integration.queue q
       SET due_at = at + greatest(q.due_at - a.reckoned_at, interval '0')
      FROM ahead a
     WHERE q.outbox_id = a.outbox_id AND a.reckoned_at > at;
    GET DIAGNOSTICS turn_back.turned = ROW_COUNT;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.turn_back(integer, bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.turn_back(integer, bigint) IS
    'Has the rows after this id wait no longer than they would have; returns how far it came (NULL: to the end), how many it changed.';

-- By hand: TYPE integration_worker.counter

COMMENT ON TYPE integration_worker.counter IS
    'Running counters of an endpoint, newer than its endpoint_health. row_after: so many of the results came before a delivery that deliver() has recorded, so failures among them are in no row. changed_at: when the worker read that what it is called with was changed; failures of what left before say nothing about it.';

-- Made outside CREATE EXTENSION, so that retention may drop them.
CREATE OR REPLACE FUNCTION integration_worker.create_range(kind text, name text, low bigint, high bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The constraint spares ATTACH reading the rows.
    EXECUTE format('CREATE TABLE integration.%I (LIKE integration.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                   'INCLUDING STORAGE INCLUDING INDEXES, CONSTRAINT bounds CHECK (%I >= %s AND %3$I < %5$s))',
                   name, kind || '_default', CASE kind WHEN 'outbox' THEN 'id' ELSE 'outbox_id' END, low, high);
END
$$;

-- Of a new range only: each insert would read and plan the constraint again, though its partition says the same.
CREATE FUNCTION integration_worker.drop_bounds(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE integration.%I DROP CONSTRAINT bounds', name);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.drop_bounds(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.drop_bounds(text) IS
    'Removes from a range that is attached the constraint for its attaching.';

-- A statement that was begun before a range was attached goes on without it: a row of that range would go to the
-- default partition, and be refused there.  So nothing may be inserting meanwhile; a range is made long before it is
-- needed, and when it can't be had in 20 ms the next minute will do.
CREATE OR REPLACE FUNCTION integration_worker.keep_inserts_out() RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
BEGIN
    -- More than keeps inserts out, and the attempts: REINDEX holds SHARE, and would wait for the partitions locked
    -- below while ATTACH waited for it.
    LOCK TABLE ONLY integration.outbox, ONLY integration.attempt IN SHARE ROW EXCLUSIVE MODE;
    -- ATTACH wants these two.
    LOCK TABLE ONLY integration.attempt_default, ONLY integration.outbox_default IN ACCESS EXCLUSIVE MODE;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

COMMENT ON FUNCTION integration_worker.keep_inserts_out() IS
    'Locks what a new range needs until the transaction ends, the outbox against inserts; false: somebody has inserted or read and not ended yet.';

DROP FUNCTION integration_worker.make_partitions(bigint, bigint, bigint);

-- The first one waits until the outbox is in use: a restore sets the sequence after it has attached the ranges
-- of the dump, and must not find others in their place.  A range and a half ahead of the sequence, so that a bulk
-- of a million rows finds its place: ATTACH reads all that the default partition holds.  One a call: each takes a while.
CREATE FUNCTION integration_worker.make_partitions(
        range_size bigint DEFAULT 1000000, margin bigint DEFAULT 10000, first_at bigint DEFAULT 1)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_id bigint := integration_worker.last_id();
    top bigint := (SELECT max(r.high) FROM integration_worker.ranges() r);
    ahead bigint := range_size + range_size / 2;
    kind text;
BEGIN
    IF top >= last_id + ahead THEN
        RETURN top - ahead + 1;
    END IF;
    IF top IS NULL AND last_id < first_at THEN
        RETURN first_at;
    END IF;
    IF NOT integration_worker.keep_inserts_out() THEN
        RETURN last_id;
    END IF;
    last_id := integration_worker.last_id();
    top := greatest(top, last_id + margin);
    FOREACH kind IN ARRAY ARRAY['outbox', 'attempt'] LOOP
        PERFORM integration_worker.create_range(kind, kind || '_' || top, top, top + range_size);
        PERFORM integration_worker.attach_range('integration.' || kind, kind || '_' || top, top, top + range_size);
        PERFORM integration_worker.drop_bounds(kind || '_' || top);
    END LOOP;
    RETURN top + range_size - ahead + 1;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.make_partitions(bigint, bigint, bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.make_partitions(bigint, bigint, bigint) IS
    'Makes a range of outbox and attempt unless one and a half lie ahead of the sequence; returns the id at which it is to be called next.';

-- An answer that was on its way when its endpoint was deleted leaves a status for nobody.  An hour later none is on
-- its way any more; then the table is walked once, block by block, since no index leads from an endpoint to its rows.
CREATE FUNCTION integration_worker.sweep_statuses(after_block bigint, most integer DEFAULT 100) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    blocks bigint := pg_relation_size('integration.sync_status') / current_setting('block_size')::bigint;
    ids integer[];
BEGIN
    IF after_block = 0 THEN
        UPDATE integration_worker.deleted_endpoint d SET is_swept = true WHERE d.at < now() - interval '1 hour';
    END IF;
    ids := ARRAY(SELECT d.id FROM integration_worker.deleted_endpoint d WHERE d.is_swept);
    IF ids = '{}' THEN
        RETURN NULL;
    END IF;
    DELETE FROM integration.sync_status s
     WHERE s.ctid >= format('(%s,0)', after_block)::tid
       AND s.ctid < format('(%s,0)', after_block + most)::tid
       AND s.endpoint_id = ANY (ids);
    IF after_block + most < blocks THEN
        RETURN after_block + most;
    END IF;
    DELETE FROM integration.endpoint_health h WHERE h.endpoint_id = ANY (ids);
    DELETE FROM integration_worker.deleted_endpoint d WHERE d.is_swept;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.sweep_statuses(bigint, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.sweep_statuses(bigint, integer) IS
    'Removes from the next blocks of sync_status what belongs to endpoints that are gone.';

-- One look-up an endpoint in the index for endpoint_status.
CREATE FUNCTION integration_worker.has_late_delivery(attempt text, since timestamptz) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
DECLARE
    is_found boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (
                SELECT
                  FROM integration.endpoint e
                 CROSS JOIN LATERAL (
                       SELECT
                         FROM integration.%I a
                        WHERE a.endpoint_id = e.id
                          AND a.started_at >= $1
                          AND a.attempt_no = 1 AND a.outcome = ''delivered''
                        LIMIT 1) r)', attempt) INTO is_found USING since;
    RETURN is_found;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.has_late_delivery(text, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.has_late_delivery(text, timestamptz) IS
    'Whether a sync of the range was delivered by its first attempt since then.';

-- What was not finished when a copy was begun, what is not finished now, what people touched meanwhile: nothing else
-- of a range changes.  Actions are seen a day back, for transactions that were open when the copy was begun.
CREATE FUNCTION integration_worker.changed_since(staged jsonb, most integer) RETURNS SETOF bigint
    LANGUAGE sql STABLE ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
    (SELECT q.outbox_id
       FROM integration.queue q
      WHERE q.outbox_id >= (staged ->> 'low')::bigint AND q.outbox_id < (staged ->> 'high')::bigint
      LIMIT most)
    UNION
    SELECT u.id::bigint FROM jsonb_array_elements_text(staged -> 'unfinished') AS u (id)
    UNION
    (SELECT x.outbox_id
       FROM integration.action x
      WHERE x.outbox_id >= (staged ->> 'low')::bigint AND x.outbox_id < (staged ->> 'high')::bigint
        AND x.at >= (staged ->> 'began')::timestamptz - interval '1 day'
      GROUP BY x.outbox_id
      LIMIT most)
$$;
REVOKE ALL ON FUNCTION integration_worker.changed_since(jsonb, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.changed_since(jsonb, integer) IS
    'Syncs of a range that may have changed since a copy of it was begun; so many of each kind at most.';

-- A default partition that has caught much makes ATTACH slow, which reads it whole.
CREATE OR REPLACE FUNCTION integration_worker.is_due(
        range record, delivered_before timestamptz, failed_before timestamptz, most_default_bytes bigint DEFAULT 64 << 20)
    RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    newest timestamptz;
    unfinished integer;
BEGIN
    EXECUTE format('SELECT o.created_at FROM integration.%I o ORDER BY o.id DESC LIMIT 1', range.outbox) INTO newest;
    IF newest >= delivered_before OR (range.is_kept AND newest >= failed_before) THEN
        RETURN false;
    END IF;
    SELECT count(*) INTO unfinished
      FROM (SELECT
              FROM integration.queue q
             WHERE q.outbox_id >= range.low AND q.outbox_id < range.high
             LIMIT 501) q;
    IF unfinished > 500 OR (range.is_kept AND unfinished > integration_worker.few()) THEN
        RETURN false;
    END IF;
    IF NOT range.is_kept AND pg_relation_size('integration.outbox_default') + pg_relation_size('integration.attempt_default') > most_default_bytes
       AND (SELECT count(*) FROM integration_worker.marked_syncs(range.low - 1, range.high, integration_worker.few() + 1))
           > integration_worker.few() THEN
        RETURN false;
    END IF;
    RETURN NOT integration_worker.has_late_delivery(range.attempt, delivered_before);
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.stage(
        after_low bigint, delivered_before timestamptz, failed_before timestamptz)
    RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_id bigint := integration_worker.last_id();
    range record;
    unfinished bigint[];
    is_found boolean := false;
BEGIN
    -- One by one: those behind the first that is due are not looked at.
    FOR range IN SELECT r.* FROM integration_worker.ranges() r WHERE r.low > after_low AND r.high <= last_id LOOP
        -- Before the look at deliveries: a sync is in the queue now, or that look sees how it ended.
        unfinished := ARRAY(SELECT q.outbox_id
                              FROM integration.queue q
                             WHERE q.outbox_id >= range.low AND q.outbox_id < range.high
                             LIMIT 501);
        is_found := integration_worker.is_due(range, delivered_before, failed_before);
        EXIT WHEN is_found;
    END LOOP;
    IF NOT is_found THEN
        RETURN NULL;
    END IF;
    PERFORM integration_worker.create_stage(range);
    RETURN to_jsonb(range) || jsonb_build_object(
        'after', range.low - 1, 'is_copied', false,
        'delivered_before', delivered_before, 'failed_before', failed_before,
        'began', clock_timestamp(), 'unfinished', to_jsonb(unfinished));
END
$$;

-- What was sent meanwhile, or brought back, is copied again; false: there is too much of it.
CREATE OR REPLACE FUNCTION integration_worker.refresh_stage(staged jsonb, most integer DEFAULT 1000) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT integration_worker.changed_since(staged, most));
BEGIN
    IF cardinality(ids) >= most THEN
        RETURN false;
    END IF;
    DELETE FROM integration_worker.attempt_staged a WHERE a.outbox_id = ANY (ids);
    DELETE FROM integration_worker.outbox_staged o WHERE o.id = ANY (ids);
    PERFORM integration_worker.copy_to_stage(staged, ids);
    RETURN true;
END
$$;

-- Last of all the lock that the application's inserts need: they wait for nothing but it.
CREATE OR REPLACE FUNCTION integration_worker.lock_range(staged jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_missed boolean;
BEGIN
    EXECUTE format('LOCK TABLE ONLY integration.%I, ONLY integration.%I, ONLY integration.attempt_default, '
                   'ONLY integration.outbox_default, ONLY integration.attempt, ONLY integration.outbox '
                   'IN ACCESS EXCLUSIVE MODE', staged ->> 'attempt', staged ->> 'outbox');
    EXECUTE format('SELECT EXISTS (SELECT
                                     FROM integration_worker.changed_since($1, 1000) AS c (id)
                                     JOIN integration.%I o ON o.id = c.id
                                    WHERE NOT EXISTS (SELECT FROM integration.%I k WHERE k.id = c.id))',
                   staged ->> 'outbox', integration_worker.copy_name(staged, 'outbox'))
       INTO is_missed USING staged;
    IF is_missed THEN
        RAISE EXCEPTION USING
            ERRCODE = 'lock_not_available',
            MESSAGE = format('a sync of range %s was touched just now', staged ->> 'low');
    END IF;
END
$$;

COMMENT ON FUNCTION integration_worker.lock_range(jsonb) IS
    'Locks everything that dropping a range needs; raises an error if that has to wait, or a sync that is not finished, or was touched, is not in the copy.';

-- How much went where, how fast: attempts counted by hour.

CREATE TABLE integration.traffic (
    endpoint_id integer NOT NULL REFERENCES integration.endpoint (id) ON DELETE CASCADE,
    hour timestamptz NOT NULL,
    up_to_ms integer NOT NULL,
    delivered bigint NOT NULL,
    failed bigint NOT NULL,
    duration_ms bigint NOT NULL,
    PRIMARY KEY (endpoint_id, hour, up_to_ms)
) WITH (fillfactor = 70);
REVOKE ALL ON TABLE integration.traffic FROM PUBLIC;

COMMENT ON TABLE integration.traffic IS
    'Attempts counted by endpoint, hour and duration, so that nobody has to read a million of them. Written by the worker, minutes behind; use integration.endpoint_traffic.';

COMMENT ON COLUMN integration.traffic.endpoint_id IS 'endpoint.id.';

COMMENT ON COLUMN integration.traffic.hour IS 'When the hour began in which they began.';

COMMENT ON COLUMN integration.traffic.up_to_ms IS
    'They took no longer than so many milliseconds, and longer than the next smaller bound; 2147483647: longer than a minute.';

COMMENT ON COLUMN integration.traffic.delivered IS 'How many delivered.';

COMMENT ON COLUMN integration.traffic.failed IS 'How many failed.';

COMMENT ON COLUMN integration.traffic.duration_ms IS 'Milliseconds that they took together.';

-- A counter that fell would read as one that began anew, so these outlive the hours that retention removes.
CREATE TABLE integration_worker.traffic_total (
    endpoint_id integer NOT NULL REFERENCES integration.endpoint (id) ON DELETE CASCADE,
    up_to_ms integer NOT NULL,
    delivered bigint NOT NULL,
    failed bigint NOT NULL,
    duration_ms bigint NOT NULL,
    PRIMARY KEY (endpoint_id, up_to_ms)
) WITH (fillfactor = 70);
REVOKE ALL ON TABLE integration_worker.traffic_total FROM PUBLIC;

COMMENT ON TABLE integration_worker.traffic_total IS 'The sums of integration.traffic since the endpoint was made.';

CREATE TABLE integration_worker.traffic_mark (
    endpoint_id integer PRIMARY KEY REFERENCES integration.endpoint (id) ON DELETE CASCADE,
    counted_until timestamptz NOT NULL
) WITH (fillfactor = 70);
REVOKE ALL ON TABLE integration_worker.traffic_mark FROM PUBLIC;

COMMENT ON TABLE integration_worker.traffic_mark IS
    'Up to which start the attempts of each endpoint are counted in integration.traffic; later ones are read themselves.';

-- Two above those of requests, and one for whatever is longer.
CREATE FUNCTION integration_worker.duration_bounds() RETURNS integer[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.request_bounds() || '{30000,60000,2147483647}'::integer[]
$$;
REVOKE ALL ON FUNCTION integration_worker.duration_bounds() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.duration_bounds() IS 'The bounds, in milliseconds, by which durations are counted.';

CREATE FUNCTION integration_worker.count_attempts(endpoint_id integer, since timestamptz, until timestamptz)
    RETURNS SETOF integration.traffic
    LANGUAGE sql STABLE ROWS 20
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.endpoint_id, date_trunc('hour', a.started_at, 'UTC'), b.bounds[1 + width_bucket(coalesce(a.duration_ms, 0) - 1, b.bounds)],
           count(*) FILTER (WHERE a.outcome = 'delivered'), count(*) FILTER (WHERE a.outcome = 'failed'),
           coalesce(sum(a.duration_ms), 0)
      FROM integration.attempt a
     CROSS JOIN integration_worker.duration_bounds() AS b (bounds)
     WHERE a.endpoint_id = count_attempts.endpoint_id
       AND a.started_at >= since
       AND a.started_at < until
     GROUP BY 1, 2, 3
$$;
REVOKE ALL ON FUNCTION integration_worker.count_attempts(integer, timestamptz, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.count_attempts(integer, timestamptz, timestamptz) IS
    'Counts the attempts of an endpoint that began from since to before until; by the index of recent ones.';

-- An attempt is recorded when it ends, ten minutes after its start at the latest.
CREATE FUNCTION integration_worker.next_to_count(
        after_id bigint, most integer, now timestamptz,
        OUT endpoint_id integer, OUT since timestamptz, OUT until timestamptz, OUT is_all boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- endpoint_health is up to ten seconds behind.
    SELECT h.endpoint_id, coalesce(m.counted_until, '-infinity'), now - interval '11 min'
      INTO endpoint_id, since, until
      FROM integration.endpoint_health h
      JOIN integration.endpoint e ON e.id = h.endpoint_id
      LEFT JOIN integration_worker.traffic_mark m ON m.endpoint_id = h.endpoint_id
     WHERE h.endpoint_id > after_id
       AND coalesce(m.counted_until < now - interval '12 min'
                    AND m.counted_until < greatest(h.last_success_at, h.last_failure_at) + interval '10 s', true)
     ORDER BY h.endpoint_id
     LIMIT 1;
    SELECT a.started_at + interval '1 us' INTO until
      FROM integration.attempt a
     WHERE a.endpoint_id = next_to_count.endpoint_id
       AND a.started_at >= next_to_count.since
       AND a.started_at < next_to_count.until
     ORDER BY a.started_at
    OFFSET most - 1 LIMIT 1;
    is_all := until IS NULL;
    until := coalesce(until, now - interval '11 min');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.next_to_count(bigint, integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.next_to_count(bigint, integer, timestamptz) IS
    'Which attempts are counted next: the oldest of the first endpoint above this id that has any; endpoint_id NULL: none has.';

CREATE FUNCTION integration_worker.count_traffic(
        after_id bigint, keep_from timestamptz, most integer DEFAULT 5000, now timestamptz DEFAULT clock_timestamp())
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    step record := integration_worker.next_to_count(after_id, most, now);
    counted integration.traffic[];
BEGIN
    IF step.endpoint_id IS NULL THEN
        RETURN NULL;
    END IF;
    counted := ARRAY(SELECT c FROM integration_worker.count_attempts(step.endpoint_id, step.since, step.until) c);
    INSERT INTO integration.traffic AS t
    SELECT c.* FROM unnest(counted) c
        ON CONFLICT (endpoint_id, hour, up_to_ms) DO UPDATE
       SET delivered = t.delivered + EXCLUDED.delivered, failed = t.failed + EXCLUDED.failed,
           duration_ms = t.duration_ms + EXCLUDED.duration_ms;
    INSERT INTO integration_worker.traffic_total AS t
    SELECT step.endpoint_id, c.up_to_ms, sum(c.delivered), sum(c.failed), sum(c.duration_ms)
      FROM unnest(counted) c
     GROUP BY c.up_to_ms
        ON CONFLICT (endpoint_id, up_to_ms) DO UPDATE
       SET delivered = t.delivered + EXCLUDED.delivered, failed = t.failed + EXCLUDED.failed,
           duration_ms = t.duration_ms + EXCLUDED.duration_ms;
    INSERT INTO integration_worker.traffic_mark VALUES (step.endpoint_id, step.until)
        ON CONFLICT (endpoint_id) DO UPDATE SET counted_until = EXCLUDED.counted_until;
    DELETE FROM integration.traffic t WHERE t.endpoint_id = step.endpoint_id AND t.hour < keep_from;
    RETURN step.endpoint_id - CASE WHEN step.is_all THEN 0 ELSE 1 END;
EXCEPTION WHEN lock_not_available OR foreign_key_violation THEN
    RETURN step.endpoint_id;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.count_traffic(bigint, timestamptz, integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.count_traffic(bigint, timestamptz, integer, timestamptz) IS
    'Counts the next attempts of one endpoint into integration.traffic, forgets its hours before keep_from. Returns where to go on; NULL: at the end.';

-- Whatever is counted, each attempt is in here once.
CREATE FUNCTION integration_worker.traffic_since(since timestamptz, names text[] DEFAULT NULL) RETURNS SETOF integration.traffic
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.*
      FROM integration.endpoint e
      JOIN integration.traffic t ON t.endpoint_id = e.id
     WHERE t.hour >= since AND (names IS NULL OR e.name = ANY (names))
    UNION ALL
    SELECT c.*
      FROM integration.endpoint e
      LEFT JOIN integration_worker.traffic_mark m ON m.endpoint_id = e.id
     CROSS JOIN LATERAL integration_worker.count_attempts(e.id, greatest(m.counted_until, since), 'infinity') c
     WHERE names IS NULL OR e.name = ANY (names)
$$;
REVOKE ALL ON FUNCTION integration_worker.traffic_since(timestamptz, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.traffic_since(timestamptz, text[]) IS
    'The attempts at these endpoints, or at all, that began since then, a full hour, as integration.traffic counts them; several rows for the same hour add up.';

-- Between the bounds as if they were spread evenly.  With its owner's rights: whoever reads a view that calls it has
-- none to what it calls.
CREATE FUNCTION integration_worker.durations_at(shares double precision[], up_to_ms integer[], counts bigint[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- No attempt lasts longer than ten minutes.
    bounds integer[] := 0 || array_replace(integration_worker.duration_bounds(), 2147483647, 600000);
    total double precision := 0;
    below double precision := 0;
    place integer;
    durations integer[] := '{}';
BEGIN
    FOR n IN 1 .. coalesce(cardinality(counts), 0) LOOP
        total := total + counts[n];
    END LOOP;
    FOR n IN 1 .. coalesce(cardinality(counts), 0) LOOP
        CONTINUE WHEN counts[n] = 0;
        WHILE below + counts[n] >= shares[cardinality(durations) + 1] * total LOOP
            place := coalesce(array_position(bounds, up_to_ms[n]), cardinality(bounds));
            durations := durations || round(bounds[place - 1] + (bounds[place] - bounds[place - 1])
                                            * (shares[cardinality(durations) + 1] * total - below) / counts[n])::integer;
        END LOOP;
        below := below + counts[n];
    END LOOP;
    RETURN durations;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.durations_at(double precision[], integer[], bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.durations_at(double precision[], integer[], bigint[]) IS
    'The durations that these ascending shares of attempts did not exceed, from their counts by ascending up_to_ms; empty: there were none.';

CREATE FUNCTION integration_worker.percentile_of(traffic integration.traffic[], share double precision) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT (integration_worker.durations_at(ARRAY[share], array_agg(b.up_to_ms ORDER BY b.up_to_ms),
                                                    array_agg(b.attempts ORDER BY b.up_to_ms)))[1]
              FROM (SELECT t.up_to_ms, sum(t.delivered + t.failed)::bigint AS attempts
                      FROM unnest(traffic) t
                     GROUP BY 1) b);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.percentile_of(integration.traffic[], double precision) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.percentile_of(integration.traffic[], double precision) IS
    'The duration that this share of all these attempts did not exceed.';

CREATE VIEW integration.endpoint_traffic AS
SELECT h.endpoint, h.hour, h.delivered, h.failed, h.durations[1] AS p50_ms, h.durations[2] AS p95_ms, h.durations[3] AS p99_ms
  FROM (SELECT e.name AS endpoint, t.hour, sum(t.delivered)::bigint AS delivered, sum(t.failed)::bigint AS failed,
               integration_worker.durations_at('{0.5,0.95,0.99}', array_agg(t.up_to_ms ORDER BY t.up_to_ms),
                                               array_agg(t.attempts ORDER BY t.up_to_ms)) AS durations
          FROM (SELECT s.endpoint_id, s.hour, s.up_to_ms, sum(s.delivered) AS delivered, sum(s.failed) AS failed,
                       sum(s.delivered + s.failed)::bigint AS attempts
                  FROM integration_worker.traffic_since(date_trunc('hour', statement_timestamp(), 'UTC') - interval '23 hours') s
                 GROUP BY 1, 2, 3) t
          JOIN integration.endpoint e ON e.id = t.endpoint_id
         GROUP BY 1, 2) h;

COMMENT ON VIEW integration.endpoint_traffic IS
    'How many attempts of each endpoint were delivered, how many failed, how long they took, by hour: this hour and the 23 before.';

COMMENT ON COLUMN integration.endpoint_traffic.endpoint IS 'The endpoint.';

COMMENT ON COLUMN integration.endpoint_traffic.hour IS 'When the hour began in which they began; hours without an attempt are left out.';

COMMENT ON COLUMN integration.endpoint_traffic.delivered IS 'Attempts that delivered.';

COMMENT ON COLUMN integration.endpoint_traffic.failed IS 'Attempts that failed.';

COMMENT ON COLUMN integration.endpoint_traffic.p50_ms IS 'Half of the attempts took no longer, in milliseconds; to the bounds of integration.traffic.up_to_ms.';

COMMENT ON COLUMN integration.endpoint_traffic.p95_ms IS 'Nineteen of twenty took no longer.';

COMMENT ON COLUMN integration.endpoint_traffic.p99_ms IS 'Ninety-nine of a hundred took no longer.';

-- What leaves by itself, what is counted, when: one small step at a time.

-- Everything it remembers is in what it returns; a worker that begins anew loses a copy, nothing else.
CREATE OR REPLACE FUNCTION integration_worker.retain(
        so_far jsonb DEFAULT '{}',
        delivered_before timestamptz DEFAULT integration_worker.keep_limit('integration.keep_delivered'),
        failed_before timestamptz DEFAULT integration_worker.keep_limit('integration.keep_failed'),
        OUT next jsonb, OUT next_at timestamptz)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    -- By index and in its order, whatever the statistics say: a step reads as much as it removes.
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_hashagg = off
    SET plan_cache_mode = force_generic_plan
    SET jit = off
AS $$
DECLARE
    began timestamptz := clock_timestamp();
    part text := coalesce(so_far ->> 'part', 'ranges');
    parts text[] := '{ranges,syncs,closings,actions,statuses,incidents,traffic,ranges}';
    after_id bigint := coalesce((so_far ->> 'after')::bigint, 0);
BEGIN
    -- A lost record is removed once more.
    PERFORM set_config('synchronous_commit', 'off', true);
    CASE part
        WHEN 'ranges' THEN next := integration_worker.thin(so_far, delivered_before, failed_before);
        WHEN 'syncs' THEN after_id := integration_worker.sweep_syncs(after_id, delivered_before, failed_before);
        WHEN 'closings' THEN after_id := integration_worker.sweep_closings(after_id);
        WHEN 'actions' THEN after_id := integration_worker.sweep_actions(after_id, failed_before);
        WHEN 'statuses' THEN after_id := integration_worker.sweep_statuses(after_id);
        WHEN 'incidents' THEN after_id := integration_worker.sweep_incidents(after_id, failed_before);
        WHEN 'traffic' THEN after_id := integration_worker.count_traffic(after_id, delivered_before);
    END CASE;
    IF part <> 'ranges' THEN
        next := so_far || jsonb_build_object(
            'part', CASE WHEN after_id IS NULL THEN parts[array_position(parts, part) + 1] ELSE part END,
            'after', coalesce(after_id, 0));
    END IF;
    next_at := clock_timestamp() + CASE
        WHEN part = 'traffic' AND after_id IS NULL
            THEN greatest((began - greatest(delivered_before, failed_before, began - interval '100 min')) / 100, '1 s')
        -- So nine tenths of the worker's time are left for sending.
        ELSE 9 * (clock_timestamp() - began) END;
END
$$;

COMMENT ON FUNCTION integration_worker.retain(jsonb, timestamptz, timestamptz) IS
    'One small step of removing what is old, of counting what is new; returns what the next one is to be told, and when it is due.';

-- Endpoints, ordering keys, objects: which sync of several goes next.

CREATE FUNCTION integration_worker.first_waiting(endpoint_id integer) RETURNS integration.queue
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first integration.queue;
BEGIN
    SELECT q.* INTO first
      FROM integration.queue q
     WHERE q.endpoint_id = first_waiting.endpoint_id AND q.state <> 'failed'
     ORDER BY q.priority, q.due_at, (q.outbox_id + 0)
     LIMIT 1;
    RETURN first;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.first_waiting(integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.first_waiting(integer) IS
    'The sync of an endpoint that is the next to be sent, by the index queue_due; NULL: none waits.';

-- Closes what newer states have made pointless, failed syncs too: a newer state heals them.  Left alone are
-- those that somebody holds, those that are under way (busy; claimed), and all of an object whose newest is
-- being taken away.
CREATE OR REPLACE FUNCTION integration_worker.close_older(
        endpoint_ids integer[], object_types text[], object_ids text[], busy bigint[], most integer)
    RETURNS TABLE (endpoint_id integer, ordering_key text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH newest AS MATERIALIZED (
        SELECT x.*
          FROM integration_worker.newest(endpoint_ids, object_types, object_ids) x
         CROSS JOIN LATERAL (
               SELECT true
                 FROM integration.queue q
                WHERE q.outbox_id = x.outbox_id
                  FOR KEY SHARE SKIP LOCKED) held
    ), older AS MATERIALIZED (
        SELECT o.place, x.outbox_id AS newest
          FROM newest x
         CROSS JOIN LATERAL (
               SELECT q.ctid AS place
                 FROM integration.queue q
                WHERE q.endpoint_id = x.endpoint_id
                  AND q.object_id = x.object_id
                  AND q.object_type = x.object_type
                  AND (coalesce(q.place, q.outbox_id), q.outbox_id) < (x.place, x.outbox_id)
                  AND q.claimed_at IS NULL
                  AND q.outbox_id <> ALL (busy)
                  FOR UPDATE SKIP LOCKED) o
         LIMIT most
    ), gone AS (
        DELETE FROM integration.queue q
         USING older o
         WHERE q.ctid = o.place
        RETURNING q.outbox_id, q.endpoint_id, q.ordering_key, o.newest
    ), closed AS (
        INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
        SELECT g.outbox_id, 'superseded', clock_timestamp(), 'coalesced', g.newest FROM gone g
    )
    SELECT g.endpoint_id, g.ordering_key FROM gone g;
END
$$;

-- Never waits for a lock.  The keys of the objects are the caller's own and come back with what it asks next.
CREATE OR REPLACE FUNCTION integration_worker.supersede(
        ids bigint[], object_keys bigint[], busy bigint[], most integer DEFAULT 1000)
    RETURNS TABLE (outbox_id bigint, object_key bigint, standing text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    crowd record;
    gone record;
BEGIN
    SELECT array_agg(o.endpoint_id) AS endpoint_ids, array_agg(o.object_type) AS object_types,
           array_agg(o.object_id) AS object_ids, array_agg(o.object_key) AS object_keys
      INTO crowd
      FROM (SELECT DISTINCT ON (q.endpoint_id, q.object_type, q.object_id)
                   q.endpoint_id, q.object_type, q.object_id, u.object_key
              FROM unnest(ids, object_keys) AS u (outbox_id, object_key)
              JOIN integration.queue q ON q.outbox_id = u.outbox_id AND q.outbox_id = ANY (ids)
             WHERE q.object_id IS NOT NULL) o;
    SELECT count(*) AS syncs, array_agg(c.endpoint_id) AS endpoint_ids, array_agg(c.ordering_key) AS ordering_keys
      INTO gone
      FROM integration_worker.close_older(crowd.endpoint_ids, crowd.object_types, crowd.object_ids, busy, most) c;
    PERFORM integration_worker.choose_durability(false);
    RETURN QUERY
    SELECT x.outbox_id, crowd.object_keys[x.n],
           CASE WHEN NOT EXISTS (SELECT FROM integration.queue q
                                  WHERE q.endpoint_id = x.endpoint_id
                                    AND q.object_id = x.object_id
                                    AND q.object_type = x.object_type
                                    AND (coalesce(q.place, q.outbox_id), q.outbox_id) < (x.place, x.outbox_id)) THEN 'next'
                WHEN gone.syncs = most THEN 'again'
                ELSE 'held' END
      FROM integration_worker.newest(crowd.endpoint_ids, crowd.object_types, crowd.object_ids) x
    UNION ALL
    SELECT h.outbox_id, NULL, 'next'
      FROM integration_worker.heads(gone.endpoint_ids, gone.ordering_keys) h;
END
$$;

-- Ends of a worker that took the server down: what it had in hand, which of it is to blame, when it goes on.

CREATE TABLE integration_worker.crash (
    started_at timestamptz NOT NULL,
    pid integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    syncs bigint[] NOT NULL,
    culprit bigint,
    PRIMARY KEY (started_at, pid)
);
REVOKE ALL ON TABLE integration_worker.crash FROM PUBLIC;

COMMENT ON TABLE integration_worker.crash IS
    'Each end of a worker that took the server down, of the last day; deleting rows has the worker forget them.';

COMMENT ON COLUMN integration_worker.crash.started_at IS 'When that worker had started.';

COMMENT ON COLUMN integration_worker.crash.pid IS 'Its process.';

COMMENT ON COLUMN integration_worker.crash.at IS 'When its end was found out, at the next start.';

COMMENT ON COLUMN integration_worker.crash.syncs IS 'What it had in hand: being made into a request, sent, or recorded.';

COMMENT ON COLUMN integration_worker.crash.culprit IS 'The sync that was set aside for it; NULL: none was, all that were in hand are suspected.';

CREATE FUNCTION integration_worker.note_crash(started_at timestamptz, pid integer, syncs bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration_worker.crash c WHERE c.at < now() - interval '1 day';
    INSERT INTO integration_worker.crash (started_at, pid, syncs)
    VALUES (note_crash.started_at, note_crash.pid, note_crash.syncs)
    ON CONFLICT DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.note_crash(timestamptz, integer, bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.note_crash(timestamptz, integer, bigint[]) IS
    'Notes that a worker took the server down with these syncs in hand; once, however often it is called.';

-- The first is no pattern.  More than that in a row, and the whole server would do nothing but restart.
-- Three that are explained are over, and count as one: there may be many such syncs.
CREATE FUNCTION integration_worker.resume_at(OUT crashes integer, OUT resume_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pauses interval[] := '{0,1 s,5 s,30 s,5 min}';
    later timestamptz := now();
    earlier record;
    explained integer := 0;
BEGIN
    crashes := 0;
    FOR earlier IN SELECT c.at, c.culprit IS NOT NULL AS is_explained FROM integration_worker.crash c ORDER BY c.at DESC LOOP
        EXIT WHEN earlier.at < later - interval '10 min';
        crashes := crashes + CASE WHEN earlier.is_explained THEN 0 ELSE 1 END;
        explained := explained + CASE WHEN earlier.is_explained THEN 1 ELSE 0 END;
        resume_at := coalesce(resume_at, earlier.at);
        later := earlier.at;
    END LOOP;
    crashes := crashes + explained / 3;
    resume_at := resume_at + pauses[least(crashes, 5)];
END
$$;
REVOKE ALL ON FUNCTION integration_worker.resume_at() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.resume_at() IS
    'How often workers crashed in a row, ten minutes apart at most, and before when the next one sends nothing; NULL: now.';

-- Whatever came of an attempt, it was none that ended in a crash: only crashes after it count.
CREATE FUNCTION integration_worker.suspects()
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, crashes integer, last_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.outbox_id, q.endpoint_id, count(*)::integer, max(c.at)
      FROM integration_worker.crash c
     CROSS JOIN LATERAL unnest(c.syncs) AS s (outbox_id)
     CROSS JOIN LATERAL (SELECT x.endpoint_id FROM integration.queue x
                          WHERE x.outbox_id = s.outbox_id AND nullif(x.state, 'failed') IS NOT NULL OFFSET 0) q
     WHERE c.culprit IS NULL
       AND c.at > coalesce((SELECT max(a.started_at) FROM integration.attempt a WHERE a.outbox_id = s.outbox_id), '-infinity')
     GROUP BY s.outbox_id, q.endpoint_id
$$;
REVOKE ALL ON FUNCTION integration_worker.suspects() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.suspects() IS
    'Unfinished syncs that a worker had in hand when it crashed, since their last attempt: how often, when last.';

CREATE FUNCTION integration_worker.blame(ids bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration_worker.crash c
       SET culprit = b.id
      FROM unnest(ids) AS b (id)
      JOIN integration.queue q ON q.outbox_id = b.id AND q.state = 'failed'
     WHERE c.culprit IS NULL AND c.syncs @> ARRAY[b.id];
END
$$;
REVOKE ALL ON FUNCTION integration_worker.blame(bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.blame(bigint[]) IS
    'Those of the syncs that were set aside explain the crashes at which they were in hand: what else was is suspected no more.';

CREATE FUNCTION integration_worker.is_crasher(id bigint) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration_worker.suspects() s WHERE s.outbox_id = is_crasher.id AND s.crashes >= 3)
$$;
REVOKE ALL ON FUNCTION integration_worker.is_crasher(bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_crasher(bigint) IS
    'Is this sync to be left alone, since a worker crashed three times while it had it in hand?';

DROP FUNCTION integration_worker.expire(integer, timestamptz);

-- Syncs whose time has passed are closed.

-- Closes what expired, by the index queue_expires; what was claimed is left to settle().  It reads forward only:
-- entries of syncs that were delivered in time may stay in the index for long.  Rows that somebody holds are
-- come back to.  Rows are named by an array: a join that is planned with what was known of an empty queue may walk
-- the whole of a full one.  The next time is that of anybody's next: to ask for a shard's would walk over the others'.
CREATE FUNCTION integration_worker.expire(
        shards integer DEFAULT 65535, done_before timestamptz DEFAULT '-infinity',
        OUT done_until timestamptz, OUT next_at timestamptz, OUT successors bigint[])
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A volatile function in the condition would keep it out of the index.
    at timestamptz := clock_timestamp();
    found bigint[];
    endpoint_ids integer[];
    ordering_keys text[];
BEGIN
    -- Others may expire at the same time as the last one.
    SELECT array_agg(e.outbox_id), max(e.expires_at) - interval '1 microsecond' INTO found, done_until
      FROM (SELECT q.outbox_id, q.expires_at
              FROM integration.queue q
             WHERE q.expires_at > done_before
               AND q.expires_at <= at
               AND q.state <> 'failed'
               AND q.claimed_at IS NULL
               AND shards & (1 << q.endpoint_id % 16) <> 0
             ORDER BY q.expires_at
             LIMIT 1000) e;
    IF coalesce(cardinality(found), 0) < 1000 THEN
        done_until := at;
    END IF;
    WITH gone AS (
        SELECT q.outbox_id
          FROM integration.queue q
         WHERE q.outbox_id = ANY (found)
           AND coalesce(q.expires_at <= at AND q.state <> 'failed', false)
           AND q.claimed_at IS NULL
           FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM integration.queue q
         WHERE q.outbox_id = ANY (ARRAY(SELECT g.outbox_id FROM gone g))
        RETURNING q.outbox_id, q.endpoint_id, q.ordering_key
    ), closed AS (
        INSERT INTO integration.closing (outbox_id, state, reason)
        SELECT d.outbox_id, 'expired', 'expired' FROM deleted d
        ON CONFLICT DO NOTHING
    )
    SELECT array_agg(d.endpoint_id), array_agg(d.ordering_key) INTO endpoint_ids, ordering_keys
      FROM deleted d
     WHERE d.ordering_key IS NOT NULL;
    IF endpoint_ids IS NOT NULL THEN
        successors := ARRAY(SELECT h.outbox_id FROM integration_worker.heads(endpoint_ids, ordering_keys) h);
    END IF;
    SELECT min(q.expires_at) INTO next_at
      FROM integration.queue q
     WHERE q.outbox_id = ANY (found) AND nullif(q.state, 'failed') IS NOT NULL AND q.claimed_at IS NULL;
    done_until := least(done_until, next_at - interval '1 microsecond');
    SELECT least(next_at, min(q.expires_at)) INTO next_at
      FROM integration.queue q
     WHERE q.expires_at > done_until AND q.state <> 'failed' AND q.claimed_at IS NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.expire(integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.expire(integer, timestamptz) IS
    'Closes syncs of these shards (bit by bit) whose expires_at has passed and is later than done_before; returns up to when that is done, when it is to be called next, and who is next under the ordering keys.';

-- By hand: TYPE integration_worker.verdict

COMMENT ON TYPE integration_worker.verdict IS
    'One result: n is its place in the arrays; attempts counts this one; kept_state is set when a person changed the sync meanwhile; effect says what it shows about the endpoint: success, alive (answered, refused this one), count, trip or none; wanted_at is when it was enqueued or was to be sent.';

CREATE OR REPLACE FUNCTION integration_worker.body_value(body text, path jsonpath) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hit jsonb;
BEGIN
    hit := jsonb_path_query_first(integration_worker.as_json(body), path, silent => true);
    IF jsonb_typeof(hit) IN ('string', 'number') THEN
        RETURN nullif(hit #>> '{}', '');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION integration_worker.ruled(fact integration.error_reason, verdict integration_worker.verdict)
    RETURNS integration.error_reason
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    fact.error_class := verdict.error_class;
    fact.remote_state := 'refused';
    fact.retryable := CASE WHEN verdict.rule_retries THEN 'yes' ELSE 'no' END;
    fact.retry_hint := 'backoff';
    fact.scope := 'sync';
    fact.breaker := 'ignore';
    fact.concurrency := 'neutral';
    RETURN fact;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.ruled(integration.error_reason, integration_worker.verdict) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.ruled(integration.error_reason, integration_worker.verdict) IS
    'What is known of a reason, as the error_rule that fits the answer makes it.';

-- What comes next for a sync that was not delivered.

-- What is decided by, read once for a batch: a query for each result would cost more than all the rest.
CREATE TYPE integration_worker.ground AS (
    fact integration.error_reason,
    idempotent boolean,
    schedule interval[],
    jitter double precision,
    deadline interval,
    mask text[]
);
REVOKE ALL ON TYPE integration_worker.ground FROM PUBLIC;

COMMENT ON TYPE integration_worker.ground IS
    'What is known of a failure: its reason as an error_rule makes it, whether its endpoint is idempotent, the retry policy, and what is hidden of its payloads.';

-- The next attempt of a sync that may be sent again, or the end of its patience.
CREATE FUNCTION integration_worker.schedule_next(
        verdict integration_worker.verdict, ground integration_worker.ground, retry_after_s integer, settled_at timestamptz)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fact integration.error_reason := ground.fact;
    limited boolean := integration_worker.is_limit(fact, retry_after_s);
    trips boolean := fact.breaker = 'trip';
    free boolean := trips OR fact.scope = 'worker' OR fact.retryable = 'n/a'
        OR (limited AND verdict.attempts - 1 - verdict.charged < 50);
BEGIN
    verdict.charged := verdict.charged + CASE WHEN free THEN 0 ELSE 1 END;
    -- How long this sync alone would wait by now is no measure for its whole endpoint.
    IF limited AND verdict.pause_until IS NULL THEN
        verdict.pause_until := settled_at
            + integration_worker.retry_wait(ground.schedule, ground.jitter, 1, fact.retry_hint);
    END IF;
    verdict.due_at := CASE
        WHEN trips THEN settled_at
        WHEN limited AND (free OR retry_after_s IS NOT NULL) THEN verdict.pause_until
        ELSE greatest(settled_at + integration_worker.retry_wait(
                          ground.schedule, ground.jitter, verdict.charged + CASE WHEN free THEN 1 ELSE 0 END, fact.retry_hint),
                      settled_at + make_interval(secs => retry_after_s)) END;
    IF NOT free AND verdict.charged > coalesce(cardinality(ground.schedule), 0)
       OR NOT trips AND verdict.due_at > verdict.wanted_at + ground.deadline THEN
        verdict.state := 'failed';
        verdict.due_at := NULL;
        RETURN verdict;
    END IF;
    verdict.state := 'retrying';
    -- expire() closes it then.
    verdict.due_at := least(verdict.due_at, verdict.expires_at);
    RETURN verdict;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.schedule_next(integration_worker.verdict, integration_worker.ground, integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.schedule_next(
        integration_worker.verdict, integration_worker.ground, integer, timestamptz) IS
    'When a sync is tried again by its retry policy, Retry-After and deadline; failed when those are used up.';

CREATE FUNCTION integration_worker.decide(
        verdict integration_worker.verdict, ground integration_worker.ground, retry_after_s integer, settled_at timestamptz)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fact integration.error_reason := ground.fact;
    pause_s integer := CASE WHEN retry_after_s >= 0 THEN least(greatest(retry_after_s, 1), 86400) END;
BEGIN
    verdict.reason := fact.reason;
    verdict.error_class := fact.error_class;
    verdict.effect := integration_worker.effect_of(fact, verdict, pause_s);
    verdict.signal := CASE WHEN fact.concurrency = 'decrease' AND NOT verdict.ping THEN 'decrease' ELSE 'neutral' END;
    IF NOT verdict.ping
       AND (integration_worker.is_limit(fact, pause_s) OR (fact.scope = 'endpoint' AND fact.breaker <> 'trip')) THEN
        verdict.pause_until := settled_at + make_interval(secs => pause_s);
    END IF;
    IF verdict.kept_state IS NOT NULL THEN
        verdict.state := verdict.kept_state;
        RETURN verdict;
    END IF;
    verdict.due_at := NULL;
    IF fact.error_class = 'cancelled' OR verdict.reason = 'expired' THEN
        verdict.state := fact.error_class;
        RETURN verdict;
    END IF;
    -- A ping is a question to the endpoint; no answer is an answer.
    IF verdict.ping
       OR (verdict.reason = 'worker_crash' AND integration_worker.is_crasher(verdict.outbox_id))
       OR NOT integration_worker.may_retry(
           fact, ground.idempotent, fact.retryable = 'once' AND integration_worker.repeats(verdict)) THEN
        verdict.state := 'failed';
        RETURN verdict;
    END IF;
    RETURN integration_worker.schedule_next(verdict, ground, pause_s, settled_at);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.decide(integration_worker.verdict, integration_worker.ground, integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.decide(
        integration_worker.verdict, integration_worker.ground, integer, timestamptz) IS
    'What becomes of a sync that was not delivered.';

-- An unknown outcome must be looked up by a person before anything is sent again.
CREATE FUNCTION integration_worker.unknown_outcome(
        verdict integration_worker.verdict, ground integration_worker.ground)
    RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN verdict.state = 'failed' AND NOT verdict.ping AND verdict.rule_retries IS NULL
       AND (ground.fact).remote_state = 'unknown' AND NOT ground.idempotent;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.unknown_outcome(integration_worker.verdict, integration_worker.ground) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.unknown_outcome(integration_worker.verdict, integration_worker.ground) IS
    'Is a failed sync one of which nobody knows whether the other system did the work?';

CREATE FUNCTION integration_worker.error_text(
        verdict integration_worker.verdict, fact integration.error_reason, said text, headers jsonb, body text)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(CASE WHEN verdict.http_status IS NOT NULL
                         THEN integration_worker.clue_of(body, headers ->> 'content-type') END,
                    nullif(said, ''),
                    CASE WHEN verdict.rule_retries IS NOT NULL AND body <> ''
                         THEN format('an error rule takes this answer for a failure: %s', left(body, 200)) END,
                    coalesce(verdict.http_status || ' ', '')
                    || CASE WHEN fact.kind LIKE 'http%' THEN fact.name ELSE coalesce(fact.condition, fact.name) END);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.error_text(integration_worker.verdict, integration.error_reason, text, jsonb, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.error_text(
        integration_worker.verdict, integration.error_reason, text, jsonb, text) IS
    'Details of a failure: what the answer says, else what the sender says, else what the reason is called.';

CREATE FUNCTION integration_worker.explain(
        verdict integration_worker.verdict, ground integration_worker.ground, said text, headers jsonb, body text,
        redirect_url text)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    verdict.error := concat_ws('; ', integration_worker.error_text(verdict, ground.fact, said, headers, body),
                               'the new place is ' || nullif(redirect_url, ''));
    IF cardinality(ground.mask) > 0 THEN
        verdict.error := integration_worker.masked_error(verdict.outbox_id, ground.mask, verdict.error);
    END IF;
    IF integration_worker.unknown_outcome(verdict, ground) THEN
        verdict.error := verdict.error
            || '; nobody knows whether it was done: look it up in the other system before sending it again';
    END IF;
    RETURN verdict;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.explain(integration_worker.verdict, integration_worker.ground, text, jsonb, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.explain(
        integration_worker.verdict, integration_worker.ground, text, jsonb, text, text) IS
    'The failure with its details in words.';

-- An endpoint that has answered well of late is the right place: a 404 is then about the object.
CREATE OR REPLACE FUNCTION integration_worker.judge(
        facts integration_worker.verdict[], results integration_worker.result[], headers jsonb[], settled_at timestamptz)
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    proven integer[] := ARRAY(SELECT DISTINCT f.endpoint_id FROM unnest(facts) f WHERE f.state = 'delivered' AND NOT f.ping);
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(facts) f WHERE f.state IS NULL) THEN
        RETURN facts;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN f.state IS NOT NULL THEN f
                    ELSE integration_worker.explain(
                             integration_worker.decide(f, g.ground, r.retry_after_s, settled_at),
                             g.ground, r.error, headers[f.n], r.response_body, r.redirect_url) END
          FROM unnest(facts) f
          JOIN unnest(results) WITH ORDINALITY AS r ON r.ordinality = f.n
          LEFT JOIN LATERAL (
               SELECT c.idempotent, p.schedule, p.jitter, p.deadline, c.mask,
                      c.id = ANY (proven) OR h.last_success_at > settled_at - interval '1 h' AS is_proven
                 FROM integration.endpoint_config c
                 LEFT JOIN integration.retry_policy p ON p.name = c.retry_policy
                 LEFT JOIN integration.endpoint_health h ON h.endpoint_id = c.id
                WHERE f.state IS NULL AND c.id = f.endpoint_id
               OFFSET 0) e ON true
          LEFT JOIN LATERAL (
               SELECT ROW (CASE WHEN f.rule_retries IS NULL THEN x ELSE integration_worker.ruled(x, f) END,
                           coalesce(e.idempotent, true), e.schedule, e.jitter, e.deadline, e.mask)::integration_worker.ground AS ground
                 FROM integration.error_reason x
                WHERE f.state IS NULL
                  AND x.reason = CASE WHEN f.reason = 'http:404' AND e.is_proven THEN 'http:404:item' ELSE f.reason END
               OFFSET 0) g ON true
         ORDER BY f.n);
END
$$;

DROP FUNCTION integration_worker.hold(bigint[], integer[]);

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
REVOKE ALL ON FUNCTION integration_worker.hold(bigint[], integer[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.hold(bigint[], integer[]) IS
    'Locks the rows of each sync that is to be settled; free is false where somebody else has one of them.';

CREATE OR REPLACE FUNCTION integration_worker.gather(results integration_worker.result[], settled_at timestamptz)
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

-- By hand: TYPE integration_worker.standing

-- The worker takes another time than the one it knows for somebody's act, so settle() and endpoints() say the same.
CREATE FUNCTION integration_worker.not_called_before(
        state text, open_until timestamptz, retry_after_until timestamptz, at timestamptz)
    RETURNS timestamptz
    LANGUAGE sql IMMUTABLE
    RETURN greatest(CASE WHEN state <> 'closed' THEN open_until END,
                    CASE WHEN retry_after_until > at THEN retry_after_until END);
REVOKE ALL ON FUNCTION integration_worker.not_called_before(text, timestamptz, timestamptz, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.not_called_before(text, timestamptz, timestamptz, timestamptz) IS
    'Until when the health of an endpoint, as it stands at that time, keeps it from being called; NULL: it does not.';

CREATE OR REPLACE FUNCTION integration_worker.stop(standing integration_worker.standing, tripped_by bigint, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF standing.state <> 'stopped' THEN
        standing.state := 'stopped';
        standing.since := settled_at;
        standing.openings := 0;
        standing.tripped_by := tripped_by;
        standing.stopped_for := NULL;
    ELSIF standing.other_trip THEN
        -- Two different syncs: it is the endpoint, not one of them.
        standing.tripped_by := NULL;
    END IF;
    standing.openings := standing.openings + 1;
    standing.open_until := settled_at + integration_worker.stop_wait(standing.openings);
    standing.changed := true;
    RETURN standing;
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.close(standing integration_worker.standing, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF standing.state = 'stopped' AND standing.other_good THEN
        standing.suspect := standing.tripped_by;
    END IF;
    standing.state := 'closed';
    standing.since := settled_at;
    standing.open_until := NULL;
    standing.openings := 0;
    standing.tripped_by := NULL;
    standing.stopped_for := NULL;
    standing.failures := 0;
    standing.minute_at := settled_at;
    standing.minute_attempts := 0;
    standing.minute_failures := 0;
    standing.changed := true;
    RETURN standing;
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.next_standing(
        standing integration_worker.standing, tripped_by bigint, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF standing.pause_until > coalesce(standing.retry_after_until, '-infinity') THEN
        standing.retry_after_until := standing.pause_until;
        standing.changed := true;
    END IF;
    IF tripped_by IS NOT NULL THEN
        RETURN integration_worker.stop(standing, tripped_by, settled_at);
    END IF;
    IF standing.state = 'closed' THEN
        IF standing.counted > 0
           AND (standing.failures >= 10
                OR (standing.minute_attempts >= 10 AND 2 * standing.minute_failures >= standing.minute_attempts)) THEN
            RETURN integration_worker.open(standing, settled_at);
        END IF;
        RETURN standing;
    END IF;
    -- One that refuses whatever it is sent works when it accepts something, not when it answers.
    IF standing.good OR (standing.alive AND standing.stopped_for IS NULL) THEN
        RETURN integration_worker.close(standing, settled_at);
    END IF;
    IF (standing.counted > 0 OR standing.alive) AND standing.state = 'stopped' THEN
        RETURN integration_worker.stop(standing, NULL, settled_at);
    END IF;
    IF standing.counted > 0 THEN
        RETURN integration_worker.open(standing, settled_at);
    END IF;
    -- A probe that said nothing about the endpoint: ask again, but not at once.
    IF standing.idle THEN
        standing.open_until := settled_at + CASE standing.state
            WHEN 'stopped' THEN integration_worker.stop_wait(standing.openings)
            ELSE integration_worker.open_wait(standing.openings) END;
        standing.changed := true;
    END IF;
    RETURN standing;
END
$$;

-- What the batch showed of each endpoint.  Requests that left before a probe was to leave are no probes that failed,
-- not even those that left while the stop was written down; but a stop is news to an open breaker.  What would stop it
-- is no news from before it closed, nor is any failure from before somebody changed what it is called with.  A state of
-- the future is one of a clock that ran ahead.
CREATE FUNCTION integration_worker.tally(
        verdicts integration_worker.verdict[], counters integration_worker.counter[], settled_at timestamptz)
    RETURNS TABLE (endpoint_id integer, attempts integer, counted integer, run integer, good boolean, alive boolean,
                   idle boolean, other_good boolean, other_trip boolean, first_trip integer, last_count integer,
                   last_failure integer, pause_until timestamptz, first_at timestamptz)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT f.endpoint_id,
           (count(*) FILTER (WHERE f.effect IN ('success', 'alive', 'count')))::integer,
           (count(*) FILTER (WHERE f.effect = 'count'))::integer,
           (count(*) FILTER (WHERE f.effect = 'count' AND f.n > f.last_good))::integer,
           coalesce(bool_or(f.effect = 'success'), false),
           coalesce(bool_or(f.effect IN ('success', 'alive')), false),
           coalesce(bool_or(f.effect = 'none'), false),
           coalesce(bool_or(f.effect = 'success' AND f.outbox_id <> f.tripped_by), false),
           coalesce(bool_or(f.effect = 'trip' AND f.outbox_id <> f.tripped_by), false),
           min(f.n) FILTER (WHERE f.effect = 'trip'),
           max(f.n) FILTER (WHERE f.effect = 'count'),
           max(f.n) FILTER (WHERE NOT f.delivered),
           max(f.pause_until),
           min(f.started_at)
      FROM (SELECT e.*,
                   greatest(max(e.n) FILTER (WHERE e.effect IN ('success', 'alive'))
                                OVER (PARTITION BY e.endpoint_id), e.row_after, 0) AS last_good
              FROM (SELECT v.endpoint_id, v.n, v.outbox_id, v.started_at, v.delivered, v.pause_until, h.tripped_by, c.row_after,
                           CASE WHEN v.effect <> 'success' AND v.started_at < c.changed_at THEN 'late'
                                WHEN h.state IS NULL OR h.since > settled_at
                                     OR v.started_at >= CASE v.effect WHEN 'success' THEN h.since
                                                                      ELSE coalesce(h.open_until, h.since) END
                                     OR (h.state = 'closed' AND v.effect <> 'trip')
                                     OR (h.state = 'open' AND v.effect = 'trip')
                                THEN v.effect ELSE 'late' END AS effect
                      FROM unnest(verdicts) v
                      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = v.endpoint_id
                      LEFT JOIN unnest(counters) c ON c.endpoint_id = v.endpoint_id
                     WHERE v.state <> 'unsettled' AND NOT v.ping) e) f
     GROUP BY f.endpoint_id;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.tally(integration_worker.verdict[], integration_worker.counter[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.tally(integration_worker.verdict[], integration_worker.counter[], timestamptz) IS
    'What a batch showed of each endpoint: counts, firsts and lasts.';

-- The health of the endpoints of a batch.

CREATE OR REPLACE FUNCTION integration_worker.stand(
        verdicts integration_worker.verdict[], counters integration_worker.counter[], settled_at timestamptz)
    RETURNS integration_worker.standing[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    standings integration_worker.standing[];
BEGIN
    standings := ARRAY(
        SELECT CASE WHEN (s.now).state = 'closed' AND (s.now).first_trip IS NULL AND (s.now).counted = 0
                         AND (s.now).pause_until IS NULL
                    THEN s.now
                    ELSE integration_worker.next_standing(
                             s.now, verdicts[(s.now).first_trip].outbox_id, settled_at) END
          FROM (SELECT ROW (t.endpoint_id, coalesce(h.state, 'closed'), coalesce(h.since, t.first_at), h.open_until,
                            coalesce(h.openings, 0), h.retry_after_until, coalesce(c."window", h."window"),
                            CASE WHEN t.alive THEN 0 ELSE coalesce(c.failures, h.failures, 0) END + t.run,
                            h.tripped_by,
                            CASE WHEN m.lasts THEN c.minute_at ELSE settled_at END,
                            CASE WHEN m.lasts THEN coalesce(c.minute_attempts, 0) ELSE 0 END + t.attempts,
                            CASE WHEN m.lasts THEN coalesce(c.minute_failures, 0) ELSE 0 END + t.counted,
                            h.endpoint_id IS NULL,
                            coalesce(h.updated_at < settled_at - interval '10 s', true)
                            OR (t.good AND h.last_success_at IS NULL)
                            OR (t.last_failure IS NOT NULL AND h.last_failure_at IS NULL),
                            t.good, t.alive, t.counted, t.idle, t.other_good, t.other_trip,
                            t.first_trip, t.last_count, t.last_failure, t.pause_until, false, NULL, h.stopped_for
                       )::integration_worker.standing AS now
                  FROM integration_worker.tally(verdicts, counters, settled_at) t
                  LEFT JOIN unnest(counters) c ON c.endpoint_id = t.endpoint_id
                  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = t.endpoint_id
                 CROSS JOIN LATERAL (
                       SELECT coalesce(c.minute_at > settled_at - interval '1 min', false) AS lasts) m
                OFFSET 0) s);
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE v.state = 'failed' AND v.effect = 'alive' AND v.object_id IS NOT NULL) THEN
        RETURN integration_worker.find_design_faults(verdicts, standings, settled_at);
    END IF;
    RETURN standings;
END
$$;

COMMENT ON FUNCTION integration_worker.stand(integration_worker.verdict[], integration_worker.counter[], timestamptz) IS
    'How each endpoint stands after a batch whose attempts are recorded.';

-- Written on a change of state, otherwise at most every ten seconds: one row updated at every batch
-- under an old snapshot becomes forty times as dear.
CREATE OR REPLACE FUNCTION integration_worker.write_health(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.missing) THEN
        INSERT INTO integration.endpoint_health (endpoint_id)
        SELECT s.endpoint_id
          FROM unnest(standings) s
          JOIN integration.endpoint e ON e.id = s.endpoint_id
         WHERE s.missing
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE integration.endpoint_health h
       SET state = s.state, since = s.since, open_until = s.open_until, openings = s.openings,
           retry_after_until = s.retry_after_until, "window" = s."window", failures = s.failures,
           tripped_by = s.tripped_by, stopped_for = s.stopped_for, updated_at = settled_at,
           last_success_at = CASE WHEN s.good THEN settled_at ELSE h.last_success_at END,
           last_failure_at = CASE WHEN s.last_failure IS NOT NULL THEN settled_at ELSE h.last_failure_at END,
           failing_since = CASE WHEN s.good THEN NULL
                                WHEN s.last_failure IS NOT NULL THEN coalesce(h.failing_since, settled_at)
                                ELSE h.failing_since END,
           last_reason = CASE WHEN s.last_failure IS NOT NULL
                              THEN verdicts[s.last_failure].reason ELSE h.last_reason END,
           last_error = CASE WHEN s.last_failure IS NOT NULL
                             THEN verdicts[s.last_failure].error ELSE h.last_error END
      FROM unnest(standings) s
     CROSS JOIN LATERAL (
           SELECT x.endpoint_id
             FROM integration.endpoint_health x
            WHERE (s.changed OR s.news) AND x.endpoint_id = s.endpoint_id
              FOR NO KEY UPDATE SKIP LOCKED) held
     WHERE h.endpoint_id = held.endpoint_id;
END
$$;

-- It stopped the endpoint, and another sync went through: the fault is its own.
CREATE OR REPLACE FUNCTION integration_worker.fail_suspects(standings integration_worker.standing[])
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    suspects integration_worker.verdict[];
    ids bigint[];
BEGIN
    -- A person who took it up since has set it to pending.
    SELECT array_agg(ROW (NULL, h.outbox_id, h.endpoint_id, h.attempts, h.charged, true, NULL, h.ordering_key,
                          h.object_type, h.object_id, false, NULL, a.http_status, a.reason, NULL, a.error_class,
                          a.error, false, 'failed', NULL, NULL, 'neutral', 'trip', NULL, NULL, NULL)::integration_worker.verdict),
           array_agg(h.outbox_id)
      INTO suspects, ids
      FROM integration_worker.hold(
               ARRAY(SELECT s.suspect FROM unnest(standings) s WHERE s.suspect IS NOT NULL),
               ARRAY(SELECT s.endpoint_id FROM unnest(standings) s WHERE s.suspect IS NOT NULL)) h
      JOIN integration.attempt a ON a.outbox_id = h.outbox_id AND a.attempt_no = h.attempts
     WHERE h.free AND h.queued AND h.state = 'retrying';
    UPDATE integration.queue q
       SET state = 'failed', claimed_at = NULL, change_xid = pg_current_xact_id()
     WHERE q.outbox_id = ANY (ids);
    UPDATE integration.sync_status s
       SET state = 'failed'
      FROM unnest(suspects) v
     WHERE (s.endpoint_id, s.object_type, s.object_id) = (v.endpoint_id, v.object_type, v.object_id)
       AND s.last_outbox_id = v.outbox_id;
    RETURN coalesce(suspects, '{}');
END
$$;

-- Incidents: opened, counted, reopened, resolved by what settle() finds.

INSERT INTO integration.phrase (key, words) VALUES
    ('action.done_by', '{verb} by {who}'),
    ('verb.retry', 'retry'),
    ('verb.cancel', 'cancel'),
    ('verb.amend', 'amend'),
    ('verb.resume', 'resume');

-- What comes back so soon was never over.
CREATE FUNCTION integration_worker.reopens_within() RETURNS interval
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT interval '1 day'
$$;
REVOKE ALL ON FUNCTION integration_worker.reopens_within() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.reopens_within() IS
    'How long after its end an incident is opened again rather than a new one.';

CREATE FUNCTION integration_worker.reopen_incident() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.resolved_at := NULL;
    NEW.resolved_by := NULL;
    NEW.resolution := NULL;
    NEW.worked := NULL;
    NEW.acknowledged_at := NULL;
    NEW.snoozed_until := NULL;
    NEW.reopened := OLD.reopened + 1;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.reopen_incident() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.reopen_incident() IS
    'Row trigger: an incident that comes back is as if it had not ended, and counts how often that was so.';

CREATE TRIGGER reopen BEFORE UPDATE OF state ON integration.incident
    FOR EACH ROW WHEN (OLD.state = 'resolved' AND NEW.state = 'open')
    EXECUTE FUNCTION integration_worker.reopen_incident();

-- Without a search_path, so that it becomes a part of the query around it.
CREATE FUNCTION integration_worker.incident_state(state text, snoozed_until timestamptz, at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN state = 'snoozed' AND snoozed_until <= at THEN 'open' ELSE state END;
REVOKE ALL ON FUNCTION integration_worker.incident_state(text, timestamptz, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.incident_state(text, timestamptz, timestamptz) IS
    'The state of an incident at a time: one that was put off until then is open.';

CREATE OR REPLACE FUNCTION integration_worker.raise_incidents(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_ids bigint[];
    reopened_ids bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM integration_worker.alarming(verdicts, standings)) THEN
        RETURN;
    END IF;
    WITH seen AS MATERIALIZED (
        SELECT p.* FROM integration_worker.problems(verdicts, standings) p
    ), counted AS (
        -- An incident that somebody is editing is not waited for; it misses this batch.
        UPDATE integration.incident i
           SET state = integration_worker.incident_state(i.state, i.snoozed_until, settled_at),
               last_seen_at = settled_at, syncs = i.syncs + g.syncs, objects = i.objects + g.objects,
               customers = greatest(i.customers, g.customers), example = g.example,
               impact = CASE WHEN g.impact IS NULL THEN i.impact ELSE coalesce(i.impact, 0) + g.impact END
          FROM seen g
          JOIN LATERAL (
               SELECT x.id
                 FROM integration.incident x
                WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class AND x.resolved_at IS NULL
                  FOR NO KEY UPDATE SKIP LOCKED) held ON true
         WHERE i.id = held.id
    ), reopened AS (
        UPDATE integration.incident i
           SET state = 'open', last_seen_at = settled_at, syncs = i.syncs + g.syncs, objects = i.objects + g.objects,
               customers = greatest(i.customers, g.customers), example = g.example, remedy = g.remedy,
               impact = CASE WHEN g.impact IS NULL THEN i.impact ELSE coalesce(i.impact, 0) + g.impact END
          FROM seen g
          JOIN LATERAL (
               SELECT x.id
                 FROM integration.incident x
                WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class
                  AND x.resolved_at > settled_at - integration_worker.reopens_within()
                ORDER BY x.resolved_at DESC
                LIMIT 1
                  FOR NO KEY UPDATE SKIP LOCKED) held
            ON NOT EXISTS (SELECT FROM integration.incident x
                            WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class AND x.resolved_at IS NULL)
         WHERE i.id = held.id
        RETURNING i.id
    ), opened AS (
        INSERT INTO integration.incident (endpoint, error_class, severity, owner, responsible, remedy, opened_at,
                                          last_seen_at, syncs, objects, customers, impact, example)
        SELECT g.endpoint, g.error_class, g.severity, g.owner, g.responsible, g.remedy, settled_at,
               settled_at, g.syncs, g.objects, g.customers, g.impact, g.example
          FROM seen g
         WHERE NOT EXISTS (SELECT FROM integration.incident x
                            WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class AND x.resolved_at IS NULL)
           AND NOT EXISTS (SELECT FROM integration.incident x
                            WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class
                              AND x.resolved_at > settled_at - integration_worker.reopens_within())
            ON CONFLICT (endpoint, error_class) WHERE resolved_at IS NULL DO NOTHING
        RETURNING id
    )
    SELECT ARRAY(SELECT o.id FROM opened o), ARRAY(SELECT r.id FROM reopened r) INTO new_ids, reopened_ids;
    PERFORM integration_worker.tell(new_ids, 'opened');
    PERFORM integration_worker.tell(reopened_ids, 'reopened');
END
$$;

COMMENT ON FUNCTION integration_worker.raise_incidents(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Opens an incident for each endpoint and class that now needs a person, or counts into the open one, or into the one that ended within a day.';

CREATE OR REPLACE FUNCTION integration_worker.alarming(
        verdicts integration_worker.verdict[], standings integration_worker.standing[])
    RETURNS SETOF integration_worker.verdict
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT v.*
      FROM unnest(verdicts) v
      LEFT JOIN unnest(standings) s ON s.endpoint_id = v.endpoint_id
     WHERE NOT v.ping AND NOT v.delivered AND v.state <> 'unsettled'
       AND ((v.state = 'failed' AND v.kept_state IS NULL)
            OR (v.effect = 'trip' AND s.state <> 'closed')
            OR (s.changed AND s.state <> 'closed' AND v.n = s.last_count));
END
$$;

CREATE FUNCTION integration_worker.problems(
        verdicts integration_worker.verdict[], standings integration_worker.standing[])
    RETURNS TABLE (endpoint text, error_class text, severity smallint, owner text, syncs bigint, objects bigint,
                   customers bigint, impact numeric, example bigint, remedy text, responsible text)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.name AS endpoint, v.error_class, max(c.severity) AS severity,
           integration_worker.owner_of(c.id, v.error_class,
               CASE WHEN count(DISTINCT coalesce(o.customer, c.customer)) = 1 THEN max(coalesce(o.customer, c.customer)) END,
               (array_agg(r.responsible ORDER BY v.n DESC))[1]) AS owner,
           count(*) AS syncs,
           count(DISTINCT (v.object_type, v.object_id)) FILTER (WHERE v.object_id IS NOT NULL AND s.error_class
                                                                IS DISTINCT FROM v.error_class) AS objects,
           count(DISTINCT coalesce(o.customer, c.customer)) AS customers,
           sum(o.impact) AS impact, max(v.outbox_id) AS example,
           (array_agg(CASE WHEN v.rule_retries IS NULL THEN r.remedy ELSE k.remedy END ORDER BY v.n DESC))[1] AS remedy,
           (array_agg(r.responsible ORDER BY v.n DESC))[1] AS responsible
      FROM integration_worker.alarming(verdicts, standings) v
      JOIN integration.endpoint_config c ON c.id = v.endpoint_id
      JOIN integration.error_reason r ON r.reason = v.reason
      JOIN integration.error_class k ON k.name = v.error_class
      LEFT JOIN LATERAL (
           SELECT x.customer, x.impact FROM integration.outbox x WHERE x.id = v.outbox_id OFFSET 0) o ON true
      LEFT JOIN integration.sync_status s
        ON (s.endpoint_id, s.object_type, s.object_id) = (v.endpoint_id, v.object_type, v.object_id)
     GROUP BY c.id, c.name, v.error_class;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.problems(integration_worker.verdict[], integration_worker.standing[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.problems(integration_worker.verdict[], integration_worker.standing[]) IS
    'The results that a person should know of, by endpoint and class: how many, of whom, what helps.';

CREATE FUNCTION integration_worker.what_people_did(endpoint text, since timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(': ', integration_worker.say('action.done_by', jsonb_build_object(
                         'verb', integration_worker.say('verb.' || a.verb), 'who', a.actor)),
                     '"' || a.reason || '"')
      FROM unnest('{t,f}'::boolean[]) WITH ORDINALITY AS w (has_reason, n)
     CROSS JOIN LATERAL (
           SELECT x.*
             FROM integration.action x
            WHERE x.at >= what_people_did.since
              AND x.verb IN ('retry', 'amend', 'cancel', 'resume')
              AND (x.reason IS NOT NULL) = w.has_reason
              AND what_people_did.endpoint = coalesce(x.endpoint, (SELECT o.endpoint FROM integration.outbox o WHERE o.id = x.outbox_id))
            ORDER BY x.at DESC
            LIMIT 1) a
     ORDER BY w.n
     LIMIT 1
$$;
REVOKE ALL ON FUNCTION integration_worker.what_people_did(text, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.what_people_did(text, timestamptz) IS
    'The last thing that somebody did about an endpoint or a sync of it since a time, one with a reason first; NULL: nothing.';

CREATE FUNCTION integration_worker.is_watched(error_class text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration.error_class k WHERE k.name = is_watched.error_class AND k.is_watched)
$$;
REVOKE ALL ON FUNCTION integration_worker.is_watched(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_watched(text) IS
    'Whether incidents of this class are opened and ended by a watchdog.';

CREATE FUNCTION integration_worker.end_incidents(ids bigint[], at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.incident i
       SET state = 'resolved', resolved_at = end_incidents.at, snoozed_until = NULL,
           (resolution, worked) = (SELECT d.words, CASE WHEN d.words IS NOT NULL THEN true END
                                     FROM integration_worker.what_people_did(i.endpoint, i.opened_at) AS d (words))
     WHERE i.id = ANY (ids);
    PERFORM integration_worker.tell(ids, 'resolved');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.end_incidents(bigint[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.end_incidents(bigint[], timestamptz) IS
    'Ends these incidents, which the caller has locked, with what people did meanwhile.';

-- A problem is over when its endpoint delivers and nothing that failed for it is left.
CREATE OR REPLACE FUNCTION integration_worker.resolve_incidents(
        standings integration_worker.standing[], settled_at timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT x.id
                            FROM unnest(standings) s
                            JOIN integration.endpoint e ON e.id = s.endpoint_id
                            JOIN LATERAL (
                                 SELECT y.id, y.error_class
                                   FROM integration.incident y
                                  WHERE y.endpoint = e.name AND y.resolved_at IS NULL AND y.state <> 'ignored'
                                    AND NOT integration_worker.is_watched(y.error_class)
                                    FOR NO KEY UPDATE SKIP LOCKED) x ON true
                           WHERE s.state = 'closed' AND s.alive
                             AND NOT EXISTS (SELECT FROM integration.queue q
                                              WHERE q.endpoint_id = s.endpoint_id AND q.state = 'failed'
                                                AND q.error_class = x.error_class));
BEGIN
    IF ids = '{}' THEN
        RETURN false;
    END IF;
    PERFORM integration_worker.end_incidents(ids, settled_at);
    RETURN true;
END
$$;

COMMENT ON FUNCTION integration_worker.resolve_incidents(integration_worker.standing[], timestamptz) IS
    'Resolves open incidents of endpoints that work, unless a watchdog has to or failed syncs of the class are left; says whether there were any.';

-- By hand: TYPE integration_worker.plain_batch

COMMENT ON TYPE integration_worker.plain_batch IS
    'Endpoints whose deliveries go the straight way; those whose last delivery was noted ten seconds ago or earlier; has one of them a remote_id_path?; what a good answer is called; the api_version of each one''s connector, NULL: none has one.';

CREATE TYPE integration_worker.written AS (
    done integer[],
    told integer[]
);
REVOKE ALL ON TYPE integration_worker.written FROM PUBLIC;

COMMENT ON TYPE integration_worker.written IS
    'Places in an array of results: those that are recorded; those of them that name an object.';

CREATE FUNCTION integration_worker.record_deliveries(
        results integration_worker.result[], endpoint_ids integer[], reasons text[], api_versions text[])
    RETURNS integration_worker.written
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_record_deliveries';
REVOKE ALL ON FUNCTION integration_worker.record_deliveries(integration_worker.result[], integer[], text[], text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.record_deliveries(integration_worker.result[], integer[], text[], text[]) IS
    'Moves syncs from queue to attempt whose result has one of these reasons at one of these endpoints; leaves those that a person changed, holds or closed, that have an ordering key or are a ping.';

CREATE FUNCTION integration_worker.well_endpoints(endpoint_ids integer[], settled_at timestamptz)
    RETURNS integration_worker.plain_batch
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_well_endpoints';
REVOKE ALL ON FUNCTION integration_worker.well_endpoints(integer[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.well_endpoints(integer[], timestamptz) IS
    'Which of these endpoints are closed, idempotent, not to be left alone, and have answered before; without reasons.';

-- A delivery to such an endpoint changes nothing but its own sync: it is well and no rule or incident waits
-- for the answer.  Rules and incidents are rare, so that there are none at all is asked first.
CREATE OR REPLACE FUNCTION integration_worker.plain_endpoints(endpoint_ids integer[], settled_at timestamptz)
    RETURNS integration_worker.plain_batch
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plain integration_worker.plain_batch := integration_worker.well_endpoints(endpoint_ids, settled_at);
BEGIN
    -- By the index error_reason_class.
    plain.reasons := ARRAY(SELECT r.reason FROM integration.error_reason r WHERE r.error_class = 'success' AND r.remote_state = 'done');
    IF EXISTS (SELECT FROM integration.error_rule)
       OR EXISTS (SELECT FROM integration.incident i WHERE i.resolved_at IS NULL) THEN
        SELECT array_agg(e.id), array_agg(b.api_version)
          INTO plain.ids, plain.api_versions
          FROM unnest(plain.ids, plain.api_versions) AS b (endpoint_id, api_version)
         -- Looked up one by one: a join could come to read all endpoints.
         CROSS JOIN LATERAL (SELECT x.* FROM integration.endpoint x WHERE x.id = b.endpoint_id OFFSET 0) e
         WHERE NOT EXISTS (SELECT FROM integration.error_rule r
                            WHERE (r.endpoint IS NULL OR r.endpoint = e.name)
                              AND (r.connector IS NULL OR r.connector = e.connector))
           -- Not EXISTS, which could come to read all incidents for each batch: by the index incident_open.
           AND (SELECT true FROM integration.incident i
                 WHERE i.endpoint = e.name AND i.resolved_at IS NULL
                   AND NOT integration_worker.is_watched(i.error_class)
                 LIMIT 1) IS NULL;
    END IF;
    RETURN plain;
END
$$;

-- An object's row is not locked beforehand, which would cost as much as the work itself: should somebody hold it, the
-- short lock_timeout ends the attempt, and the rules, which lock row by row, find out whose it is.
CREATE OR REPLACE FUNCTION integration_worker.deliver(
        results integration_worker.result[], counters integration_worker.counter[],
        settled_at timestamptz DEFAULT clock_timestamp())
    RETURNS integer[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10ms'
AS $$
#variable_conflict use_column
DECLARE
    plain integration_worker.plain_batch :=
        integration_worker.plain_endpoints(ARRAY(SELECT c.endpoint_id FROM unnest(counters) c), settled_at);
    written integration_worker.written;
    to_write integer[];
BEGIN
    IF plain.ids IS NULL THEN
        RETURN '{}';
    END IF;
    written := integration_worker.record_deliveries(results, plain.ids, plain.reasons, coalesce(plain.api_versions, '{}'));
    IF written.told <> '{}' THEN
        PERFORM integration_worker.tell_objects(results, written.told, plain.name_objects, settled_at);
    END IF;
    IF plain.unwritten IS NOT NULL THEN
        to_write := ARRAY(
            SELECT DISTINCT d.endpoint_id
              FROM (SELECT (results[n]).endpoint_id FROM unnest(written.done) AS n) d
             WHERE d.endpoint_id = ANY (plain.unwritten));
        UPDATE integration.endpoint_health h
           SET updated_at = settled_at, last_success_at = settled_at, failing_since = NULL, failures = 0, "window" = coalesce(c."window", h."window")
          FROM unnest(to_write) AS t (endpoint_id)
          JOIN unnest(counters) c ON c.endpoint_id = t.endpoint_id
         CROSS JOIN LATERAL (
               SELECT x.endpoint_id
                 FROM integration.endpoint_health x
                WHERE x.endpoint_id = t.endpoint_id
                  FOR NO KEY UPDATE SKIP LOCKED) held
         WHERE h.endpoint_id = held.endpoint_id;
    END IF;
    PERFORM integration_worker.choose_durability(false);
    RETURN written.done;
EXCEPTION WHEN lock_not_available OR data_exception THEN
    RETURN '{}';
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.reschedule(verdicts integration_worker.verdict[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.queue q
       SET attempts = v.attempts,
           charged = v.charged,
           state = v.state,
           due_at = coalesce(v.due_at, q.due_at),
           error_class = v.error_class,
           reason = v.reason,
           http_status = v.http_status,
           error = v.error,
           last_attempt_at = v.started_at,
           claimed_at = NULL
      FROM unnest(verdicts) v
     WHERE q.outbox_id = ANY (ARRAY(
           SELECT x.outbox_id FROM unnest(verdicts) x
            WHERE x.queued AND x.state IN ('pending', 'retrying', 'failed')))
       AND v.outbox_id = q.outbox_id
       AND v.state <> 'unsettled';
END
$$;

COMMENT ON FUNCTION integration_worker.reschedule(integration_worker.verdict[]) IS
    'Writes what came of the attempts, and what was decided, for syncs that are not finished; a schedule that a person made was kept by decide().';

-- Everything but the attempts; returns the syncs that failed because another one went through.
CREATE OR REPLACE FUNCTION integration_worker.follow_up(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    suspects integration_worker.verdict[] := '{}';
    resolved boolean := false;
BEGIN
    PERFORM integration_worker.finish(verdicts, settled_at);
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE NOT v.delivered) THEN
        PERFORM integration_worker.reschedule(verdicts);
        PERFORM integration_worker.raise_incidents(verdicts, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.first_trip IS NOT NULL) THEN
        PERFORM integration_worker.pause_gone(verdicts, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE v.object_id IS NOT NULL) THEN
        PERFORM integration_worker.write_status(verdicts, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.changed OR s.news) THEN
        PERFORM integration_worker.write_health(verdicts, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.suspect IS NOT NULL) THEN
        suspects := integration_worker.fail_suspects(standings);
        PERFORM integration_worker.raise_incidents(suspects, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM integration.incident i WHERE i.resolved_at IS NULL) THEN
        resolved := integration_worker.resolve_incidents(standings, settled_at);
    END IF;
    PERFORM integration_worker.choose_durability(
        resolved
        OR EXISTS (SELECT FROM unnest(verdicts) v WHERE v.state = 'failed')
        -- One more probe in vain is nothing that anybody waits for.
        OR EXISTS (SELECT FROM unnest(standings) s WHERE s.changed AND s.openings < 2)
        OR EXISTS (SELECT FROM integration.endpoint_config c
                    WHERE c.id = ANY (ARRAY(SELECT DISTINCT v.endpoint_id FROM unnest(verdicts) v))
                      AND NOT c.idempotent));
    RETURN suspects;
END
$$;

-- Called by the worker with what deliver() did not finish; counters are those it keeps between two writes of
-- endpoint_health.  Three kinds of rows come back: one for each result, one for each sync that became due
-- or failed because of it, one without outbox_id for each endpoint (due_at: not called before).
CREATE OR REPLACE FUNCTION integration_worker.settle(
        results integration_worker.result[], counters integration_worker.counter[] DEFAULT '{}',
        settled_at timestamptz DEFAULT clock_timestamp())
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, state text, due_at timestamptz, signal text,
                   failures integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    headers jsonb[] := integration_worker.read_headers(ARRAY(SELECT r.response_headers FROM unnest(results) r));
    verdicts integration_worker.verdict[];
    standings integration_worker.standing[];
    suspects integration_worker.verdict[];
BEGIN
    verdicts := integration_worker.gather(results, settled_at);
    verdicts := integration_worker.judge(verdicts, results, headers, settled_at);
    verdicts := integration_worker.hold_health(verdicts);
    INSERT INTO integration.attempt (
           outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class, error, http_status,
           next_attempt_at, duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, request_url, remote_address,
           response_headers, response_body, trace_id, span_id, api_version)
    SELECT v.outbox_id, v.attempts, v.endpoint_id, v.started_at, CASE WHEN v.delivered THEN 'delivered' ELSE 'failed' END,
           v.reason, v.error_class, v.error, v.http_status, CASE WHEN v.state = 'retrying' AND v.effect <> 'trip' THEN v.due_at END,
           r.duration_ms, r.dns_ms, r.connect_ms, r.tls_ms, r.first_byte_ms, r.request_url, r.remote_address,
           headers[v.n], r.response_body, r.trace_id, r.span_id,
           (SELECT c.api_version
              FROM integration.endpoint e
              JOIN integration.connector c ON c.name = e.connector
             WHERE e.id = v.endpoint_id)
      FROM unnest(verdicts) v
      JOIN unnest(results) WITH ORDINALITY AS r ON r.ordinality = v.n
     WHERE v.state <> 'unsettled';
    standings := integration_worker.stand(verdicts, counters, settled_at);
    suspects := integration_worker.follow_up(verdicts, standings, settled_at);
    RETURN QUERY
    SELECT v.outbox_id, v.endpoint_id, v.state,
           CASE WHEN v.state IN ('pending', 'retrying') THEN v.due_at END, v.signal,
           NULL::integer, NULL::timestamptz, NULL::integer, NULL::integer
      FROM unnest(verdicts || suspects) v
    UNION ALL
    SELECT n.outbox_id, n.endpoint_id, 'pending', n.due_at, 'neutral', NULL, NULL, NULL, NULL
      FROM (SELECT array_agg(v.endpoint_id) AS endpoint_ids, array_agg(v.ordering_key) AS ordering_keys
              FROM unnest(verdicts) v
             WHERE v.ordering_key IS NOT NULL
               AND v.queued AND v.state IN ('delivered', 'cancelled', 'expired')) f
     CROSS JOIN LATERAL integration_worker.heads(f.endpoint_ids, f.ordering_keys) n
    UNION ALL
    SELECT NULL, s.endpoint_id, s.state,
           integration_worker.not_called_before(s.state, s.open_until, s.retry_after_until, settled_at),
           NULL, s.failures, s.minute_at, s.minute_attempts, s.minute_failures
      FROM unnest(standings) s;
END
$$;

-- Marks that go before requests to endpoints that are not idempotent; what a worker that died has left of them.

-- A durable mark before a request that must not be repeated leaves: after a crash it says "unknown outcome".
CREATE FUNCTION integration_worker.mark(ids bigint[], change_xids xid8[], leaves boolean DEFAULT true) RETURNS SETOF bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    RETURN QUERY
    WITH mine AS (
        SELECT q.outbox_id
          FROM unnest(ids, change_xids) AS m (outbox_id, change_xid)
          JOIN integration.queue q
            ON q.outbox_id = m.outbox_id
           AND q.outbox_id = ANY (ids)
           AND q.change_xid IS NOT DISTINCT FROM m.change_xid
           AND nullif(q.state, 'failed') IS NOT NULL
           FOR UPDATE OF q SKIP LOCKED)
    UPDATE integration.queue q
       SET claimed_at = CASE WHEN leaves THEN clock_timestamp() END
     WHERE q.outbox_id = ANY (ARRAY(SELECT m.outbox_id FROM mine m))
    RETURNING q.outbox_id;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.mark(bigint[], xid8[], boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.mark(bigint[], xid8[], boolean) IS
    'Marks syncs of endpoints that are not idempotent as about to leave; only the ids it returns may be sent. False: takes the mark off those that were refused and wait again.';

-- Marks that a worker left behind, by the index queue_claimed: the requests were about to leave when it died.
-- What took workers down three times is set aside, too.
CREATE OR REPLACE FUNCTION integration_worker.recover(marked_before timestamptz[])
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, state text, due_at timestamptz, signal text,
                   failures integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    left_behind integration_worker.result[] := ARRAY(
        SELECT jsonb_populate_record(NULL::integration_worker.result, jsonb_build_object(
                   'outbox_id', q.outbox_id, 'endpoint_id', q.endpoint_id, 'change_xid', q.change_xid::text,
                   'reason', 'worker_crash', 'started_at', q.claimed_at))
          FROM integration.queue q
         WHERE q.claimed_at < marked_before[1 + q.endpoint_id % cardinality(marked_before)]
        UNION ALL
        SELECT jsonb_populate_record(NULL::integration_worker.result, jsonb_build_object(
                   'outbox_id', q.outbox_id, 'endpoint_id', q.endpoint_id, 'change_xid', q.change_xid::text,
                   'reason', 'worker_crash', 'started_at', s.last_at,
                   'error', format('The worker crashed %s times while it had this sync in hand.', s.crashes)))
          FROM integration_worker.suspects() s
          JOIN integration.queue q ON q.outbox_id = s.outbox_id
         WHERE s.crashes >= 3
           AND q.claimed_at IS NULL
           AND s.last_at < marked_before[1 + s.endpoint_id % cardinality(marked_before)]);
BEGIN
    IF left_behind = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT s.* FROM integration_worker.settle(left_behind) s;
    PERFORM integration_worker.blame(ARRAY(SELECT r.outbox_id FROM unnest(left_behind) r));
END
$$;

COMMENT ON FUNCTION integration_worker.recover(timestamptz[]) IS
    'Settles requests that were in flight when a worker died, and syncs that are to blame for its end, as worker_crash; called with a time for each shard before anything of it is sent, and again for those whose rows somebody held. Returns what settle() returns.';

CREATE OR REPLACE FUNCTION integration_worker.refuse_action(id bigint, verb text, state text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    successor bigint := (SELECT c.superseded_by FROM integration.closing c WHERE c.outbox_id = refuse_action.id);
    hint text;
BEGIN
    PERFORM integration_worker.require_sync(refuse_action.id);
    SELECT h.hint INTO hint
      FROM (VALUES
        ('retried', '{delivered}'::text[], 'To send it once more: SELECT integration.replay($1).'),
        ('retried', '{expired}', 'Its expires_at has passed. To send it all the same: SELECT integration.amend($1, NULL, ''why'').'),
        ('retried', '{superseded,cancelled}', 'Sync $2 took its place: look at SELECT integration.why($2).'),
        ('cancelled', '{delivered}', 'What arrived cannot be taken back; insert a sync that corrects it.'),
        ('cancelled', '{cancelled,expired,superseded}', 'It will not be sent any more; there is nothing to cancel.'),
        ('amended', '{delivered}', 'Insert a new row with the corrected payload into integration.outbox.'),
        ('amended', '{cancelled,expired,superseded}', 'Sync $2 took its place: amend that one.'),
        ('replayed', '{pending,retrying}', 'It is not delivered yet and will be sent: look at SELECT integration.why($1).'),
        ('replayed', '{failed,cancelled}', 'It was never delivered: SELECT integration.retry($1, ''why'').'),
        ('replayed', '{superseded}', 'Sync $2 took its place: look at SELECT integration.why($2).'),
        ('replayed', '{expired}', 'It was never delivered: SELECT integration.amend($1, NULL, ''why'').')
      ) AS h (verb, states, hint)
     WHERE h.verb = refuse_action.verb
       AND refuse_action.state = ANY (h.states);
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('sync %s is %s and cannot be %s', refuse_action.id, refuse_action.state, refuse_action.verb),
        -- Without a line above: somebody changed the state just now.
        HINT = replace(replace(coalesce(hint, 'Look at SELECT integration.why($1).'), '$1', refuse_action.id::text),
                       '$2', coalesce(successor::text, 'that'));
END
$$;

CREATE FUNCTION integration_worker.recall_attempts(ids bigint[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.queue q
       SET attempts = a.attempt_no,
           error_class = a.error_class,
           reason = a.reason,
           http_status = a.http_status,
           error = a.error,
           last_attempt_at = a.started_at
      FROM unnest(ids) AS i (id)
     CROSS JOIN LATERAL (
           SELECT x.*
             FROM integration.attempt x
            WHERE x.outbox_id = i.id
            ORDER BY x.attempt_no DESC
            LIMIT 1) a
     WHERE q.outbox_id = i.id
$$;
REVOKE ALL ON FUNCTION integration_worker.recall_attempts(bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.recall_attempts(bigint[]) IS
    'Has these syncs know again how often they were tried, and what came of it the last time.';

-- Brings a cancelled sync back; its attempts so far keep counting as history, not towards giving up.
CREATE OR REPLACE FUNCTION integration_worker.reopen(id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    original integration.outbox;
BEGIN
    SELECT o.* INTO original FROM integration.outbox o WHERE o.id = reopen.id;
    PERFORM integration_worker.require_endpoint(original.endpoint);
    DELETE FROM integration.closing c
     WHERE c.outbox_id = reopen.id
       AND c.state = 'cancelled'
       AND c.superseded_by IS NULL;
    IF NOT FOUND OR original.expires_at <= clock_timestamp() THEN
        PERFORM integration_worker.refuse_action(
            reopen.id, 'retried',
            CASE WHEN FOUND THEN 'expired' ELSE integration_worker.state_of(reopen.id) END);
    END IF;
    INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, priority, expires_at,
                                   ordering_key, object_type, object_id, change_xid)
    SELECT original.id, c.id, now(),
           octet_length(original.payload::text),
           CASE WHEN original.operation = 'ping' THEN 0
                WHEN original.priority = 'high' THEN 1 WHEN original.priority = 'low' THEN 3 ELSE 2 END,
           original.expires_at, original.ordering_key,
           CASE WHEN c."coalesce" THEN coalesce(original.object_type, '') END,
           CASE WHEN c."coalesce" THEN original.object_id END,
           pg_current_xact_id()
      FROM integration.endpoint_config c
     WHERE c.name = original.endpoint;
    PERFORM integration_worker.recall_attempts(ARRAY[reopen.id]);
    PERFORM integration_worker.place_copies(ARRAY[reopen.id]);
END
$$;

CREATE FUNCTION integration_worker.retry_as(id bigint, reason text, actor_role name, customers text[]) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting integration.queue;
    state_before text;
BEGIN
    IF customers IS NULL THEN
        PERFORM integration_worker.require_sync(retry_as.id);
    ELSE
        PERFORM integration_worker.require_own_sync(retry_as.id, retry_as.reason, customers);
    END IF;
    SELECT q.* INTO waiting FROM integration.queue q WHERE q.outbox_id = retry_as.id FOR UPDATE;
    state_before := integration_worker.state_of(retry_as.id);
    IF customers IS NOT NULL THEN
        PERFORM integration_worker.require_known_failure(retry_as.id, state_before);
    END IF;
    IF waiting.expires_at <= clock_timestamp() THEN
        PERFORM integration_worker.refuse_action(retry_as.id, 'retried', 'expired');
    ELSIF waiting.outbox_id IS NULL AND state_before <> 'cancelled' THEN
        PERFORM integration_worker.refuse_action(retry_as.id, 'retried', state_before);
    ELSIF waiting.outbox_id IS NULL THEN
        PERFORM integration_worker.reopen(retry_as.id);
    ELSIF waiting.state <> 'failed' AND waiting.claimed_at IS NOT NULL THEN
        RAISE NOTICE '%', integration_worker.say('retry.in_flight', jsonb_build_object('sync', retry_as.id));
        RETURN waiting.state;
    ELSE
        PERFORM integration_worker.revive_status(ARRAY[retry_as.id]);
        UPDATE integration.queue q
           SET state = 'pending',
               due_at = CASE q.state WHEN 'failed' THEN now() ELSE least(q.due_at, now()) END,
               charged = CASE q.state WHEN 'failed' THEN 0 ELSE q.charged END,
               claimed_at = NULL,
               change_xid = pg_current_xact_id()
         WHERE q.outbox_id = retry_as.id;
    END IF;
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('retry', retry_as.id, nullif(btrim(retry_as.reason), ''), jsonb_strip_nulls(jsonb_build_object(
                'state', state_before, 'role', CASE WHEN customers IS NOT NULL THEN actor_role END)));
    PERFORM integration_worker.wake_at_commit(false);
    RETURN 'pending';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.retry_as(bigint, text, name, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.retry_as(bigint, text, name, text[]) IS
    'Retries a sync; customers: whose failed syncs this role may retry, NULL: any sync of anybody.';

INSERT INTO integration.phrase (key, words) VALUES
    ('retry.in_flight', 'sync {sync} is being sent right now, to an endpoint that must not get it twice'),
    ('cancel.in_flight', 'sync {sync} is being sent right now and may still arrive'),
    ('cancel.may_arrive', 'If it arrives, its state will be delivered.');

CREATE OR REPLACE FUNCTION integration_worker.warn_if_in_flight(id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration_worker.live_syncs() l WHERE l.outbox_id = id) THEN
        RAISE NOTICE USING
            MESSAGE = integration_worker.say('cancel.in_flight', jsonb_build_object('sync', id)),
            HINT = integration_worker.say('cancel.may_arrive');
    END IF;
END
$$;

-- Same object, same cause, same place under the ordering key; what has run out is left out, and a
-- dedup_key would make the copy a duplicate of its original.
CREATE FUNCTION integration_worker.copy_syncs(originals bigint[], payload jsonb DEFAULT NULL, patch jsonb DEFAULT NULL) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    copies bigint[];
BEGIN
    WITH copy AS (
        INSERT INTO integration.outbox (endpoint, object_type, object_id, operation, payload, headers, customer,
                                        ordering_key, priority, impact, send_after, expires_at,
                                        traceparent, tracestate, triggered_by, trigger_ref, replay_of)
        SELECT o.endpoint, o.object_type, o.object_id, o.operation,
               CASE WHEN patch IS NOT NULL THEN integration_worker.merge_patch(o.payload, patch)
                    ELSE coalesce(copy_syncs.payload, o.payload) END,
               o.headers, o.customer, o.ordering_key, o.priority, o.impact,
               CASE WHEN o.send_after > now() THEN o.send_after END,
               CASE WHEN o.expires_at > clock_timestamp() THEN o.expires_at END,
               o.traceparent, o.tracestate, o.triggered_by, o.trigger_ref, o.id
          FROM integration.outbox o
         WHERE o.id = ANY (originals)
         ORDER BY o.id
        RETURNING id, replay_of
    )
    SELECT coalesce(array_agg(c.id ORDER BY c.replay_of), '{}') INTO copies FROM copy c;
    RETURN copies;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.copy_syncs(bigint[], jsonb, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.copy_syncs(bigint[], jsonb, jsonb) IS
    'Enqueues copies of syncs, with another payload or a JSON Merge Patch applied to theirs, if one is given; returns their ids, both in the order of the originals.';

-- By these two words of its own the extension knows what it closed itself.
CREATE FUNCTION integration_worker.amend_reason(reason text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN reason IN ('duplicate', 'coalesced') THEN 'amended' ELSE coalesce(reason, 'amended') END
$$;
REVOKE ALL ON FUNCTION integration_worker.amend_reason(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.amend_reason(text) IS 'Why a sync was closed that somebody amended.';

CREATE OR REPLACE FUNCTION integration.amend(id bigint, payload jsonb, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integration.queue;
    ended integration.closing;
    copies bigint[];
    why text := nullif(btrim(amend.reason), '');
BEGIN
    PERFORM integration_worker.require_sync(amend.id);
    DELETE FROM integration.queue q WHERE q.outbox_id = amend.id RETURNING q.* INTO removed;
    SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = amend.id FOR UPDATE;
    IF removed.outbox_id IS NULL AND (ended.outbox_id IS NULL OR ended.superseded_by IS NOT NULL) THEN
        PERFORM integration_worker.refuse_action(amend.id, 'amended', integration_worker.state_of(amend.id));
    END IF;
    copies := integration_worker.copy_syncs(ARRAY[amend.id], amend.payload);
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('amend', amend.id, why,
            jsonb_build_object('state', coalesce(removed.state, ended.state), 'copy', copies[1]));
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
    VALUES (amend.id, 'superseded', clock_timestamp(), integration_worker.amend_reason(why), copies[1])
        ON CONFLICT (outbox_id) DO UPDATE SET superseded_by = excluded.superseded_by;
    PERFORM integration_worker.place_copies(copies);
    PERFORM integration_worker.warn_if_in_flight(amend.id);
    PERFORM integration_worker.wake_at_commit(false);
    RETURN copies[1];
END
$$;

CREATE FUNCTION integration_worker.is_amended(original bigint, copy bigint) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration.closing c WHERE c.outbox_id = original AND c.superseded_by = copy)
$$;
REVOKE ALL ON FUNCTION integration_worker.is_amended(bigint, bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_amended(bigint, bigint) IS
    'Whether the copy took the place of the original.';

-- What is sent again is as old as what it copies: where the endpoint coalesces, it must not take the place
-- of a newer state.  Under an ordering key a replay comes last, and only an amended copy takes a place over.
CREATE OR REPLACE FUNCTION integration_worker.place_copies(copies bigint[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE origin AS (
        SELECT o.id AS copy, o.replay_of AS id, integration_worker.is_amended(o.replay_of, o.id) AS is_amended
          FROM integration.outbox o
         WHERE o.id = ANY (copies)
        UNION ALL
        SELECT r.copy, o.replay_of, r.is_amended AND integration_worker.is_amended(o.replay_of, o.id)
          FROM origin r
          JOIN integration.outbox o ON o.id = r.id
         WHERE o.replay_of IS NOT NULL
    )
    UPDATE integration.queue q
       SET place = (SELECT min(r.id)
                      FROM origin r
                     WHERE r.copy = q.outbox_id AND (q.object_id IS NOT NULL OR r.is_amended))
     WHERE q.outbox_id = ANY (copies)
       AND (q.object_id IS NOT NULL OR q.ordering_key IS NOT NULL)
$$;

COMMENT ON FUNCTION integration_worker.place_copies(bigint[]) IS
    'Gives copies of syncs the places of what they copy, where the endpoint coalesces, and amended ones under an ordering key.';

CREATE OR REPLACE FUNCTION integration.replay(id bigint, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := integration_worker.state_of(replay.id);
    copies bigint[];
BEGIN
    IF state IS DISTINCT FROM 'delivered' THEN
        PERFORM integration_worker.refuse_action(replay.id, 'replayed', state);
    END IF;
    copies := integration_worker.copy_syncs(ARRAY[replay.id]);
    PERFORM integration_worker.place_copies(copies);
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('replay', replay.id, nullif(btrim(replay.reason), ''), jsonb_build_object('copy', copies[1]));
    RETURN copies[1];
END
$$;

-- What people do to many syncs at once: in steps, with a dry run, showing how far it has come.

-- Which syncs; what is NULL fits any.
CREATE TYPE integration_worker.choice AS (
    states text[],
    endpoint text,
    error_class text,
    since timestamptz,
    until timestamptz,
    customer text
);
REVOKE ALL ON TYPE integration_worker.choice FROM PUBLIC;

COMMENT ON TYPE integration_worker.choice IS
    'Which unfinished syncs somebody means: since and until are of the last attempt, or of the enqueueing where there was none.';

-- What to do to them.
CREATE TYPE integration_worker.bulk AS (
    verb text,
    subject text,
    reason text,
    details jsonb,
    patch jsonb,
    dry_run boolean
);
REVOKE ALL ON TYPE integration_worker.bulk FROM PUBLIC;

COMMENT ON TYPE integration_worker.bulk IS
    'What somebody does to many syncs: the verb of its actions, which syncs in words, why; for amend what changes in the payloads.';

CREATE FUNCTION integration_worker.require_choice(verb text, choice integration_worker.choice) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF choice.endpoint IS NOT NULL THEN
        PERFORM integration_worker.require_endpoint(choice.endpoint);
    END IF;
    PERFORM integration_worker.require_error_class(choice.error_class);
    IF num_nonnulls(choice.endpoint, choice.error_class, choice.since, choice.until, choice.customer) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('%s_where needs to know which syncs', verb),
            HINT = format('Name an endpoint, error_class, since, until or customer; since => ''-infinity'' means all that %s.',
                          CASE choice.states WHEN '{failed}' THEN 'failed' ELSE 'are not finished' END);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.require_choice(text, integration_worker.choice) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.require_choice(text, integration_worker.choice) IS
    'Raises an error unless the choice means something, and not everything by accident.';

-- Of an endpoint by queue_failed; what is not failed of one by queue_due.
CREATE FUNCTION integration_worker.chosen(choice integration_worker.choice) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT q.outbox_id
          FROM integration.queue q
          JOIN integration.outbox o ON o.id = q.outbox_id
          LEFT JOIN integration.endpoint e ON e.id = q.endpoint_id
         WHERE q.state = ANY (choice.states)
           AND o.operation <> 'ping'
           AND (choice.endpoint IS NULL OR e.name = choice.endpoint)
           AND (choice.error_class IS NULL OR q.error_class = choice.error_class)
           AND (choice.since IS NULL OR coalesce(q.last_attempt_at, o.created_at) >= choice.since)
           AND (choice.until IS NULL OR coalesce(q.last_attempt_at, o.created_at) < choice.until)
           AND (choice.customer IS NULL OR coalesce(o.customer, e.customer) = choice.customer)
         ORDER BY q.outbox_id);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.chosen(integration_worker.choice) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.chosen(integration_worker.choice) IS 'The syncs that fit, oldest first.';

-- What the actions of each say about the whole.
CREATE FUNCTION integration_worker.choice_details(choice integration_worker.choice) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('error_class', choice.error_class, 'since', choice.since,
                                                'until', choice.until, 'customer', choice.customer))
$$;
REVOKE ALL ON FUNCTION integration_worker.choice_details(integration_worker.choice) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.choice_details(integration_worker.choice) IS
    'The conditions of a choice but for the endpoint, as they stand in the record of it.';

CREATE FUNCTION integration_worker.choice_words(choice integration_worker.choice) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(', ', 'endpoint ' || choice.endpoint, 'error class ' || choice.error_class, 'customer ' || choice.customer,
                     'since ' || choice.since, 'until ' || choice.until)
$$;
REVOKE ALL ON FUNCTION integration_worker.choice_words(integration_worker.choice) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.choice_words(integration_worker.choice) IS 'Which syncs, for those who watch.';

CREATE FUNCTION integration_worker.record_bulk(bulk integration_worker.bulk, ids bigint[], details jsonb[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO integration.action (verb, outbox_id, endpoint, reason, details)
    SELECT bulk.verb, d.id, o.endpoint, bulk.reason, bulk.details || d.details
      FROM unnest(ids, details) AS d (id, details)
      JOIN integration.outbox o ON o.id = d.id
     ORDER BY d.id
$$;
REVOKE ALL ON FUNCTION integration_worker.record_bulk(integration_worker.bulk, bigint[], jsonb[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.record_bulk(integration_worker.bulk, bigint[], jsonb[]) IS
    'Writes down what was done to each of these syncs.';

-- What is no longer failed by now, or too late, is left alone.
CREATE FUNCTION integration_worker.retry_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held bigint[] := ARRAY(SELECT q.outbox_id
                             FROM integration.queue q
                            WHERE q.outbox_id = ANY (ids) AND q.state = 'failed'
                              AND (q.expires_at > clock_timestamp()) IS NOT FALSE
                            ORDER BY q.outbox_id
                              FOR UPDATE);
BEGIN
    PERFORM integration_worker.revive_status(held);
    UPDATE integration.queue q
       SET state = 'pending', due_at = now(), charged = 0, claimed_at = NULL, change_xid = pg_current_xact_id()
     WHERE q.outbox_id = ANY (held);
    PERFORM integration_worker.record_bulk(bulk, held, array_fill('{"state": "failed"}'::jsonb, ARRAY[cardinality(held)]));
    RETURN cardinality(held);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.retry_step(integration_worker.bulk, bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.retry_step(integration_worker.bulk, bigint[]) IS
    'Has these syncs sent again, those that are failed; returns how many.';

CREATE FUNCTION integration_worker.cancel_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integration.queue[];
BEGIN
    WITH gone AS (
        DELETE FROM integration.queue q
         WHERE q.outbox_id = ANY (ids) AND bulk.details -> 'states' ? q.state
        RETURNING q
    )
    SELECT coalesce(array_agg(g.q), '{}') INTO removed FROM gone g;
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason)
    SELECT r.outbox_id, 'cancelled', clock_timestamp(), bulk.reason FROM unnest(removed) r;
    PERFORM integration_worker.record_bulk(bulk, array_agg(r.outbox_id), array_agg(jsonb_build_object('state', r.state)))
       FROM unnest(removed) r;
    PERFORM integration_worker.hand_over(k.endpoint_id, k.ordering_key)
       FROM (SELECT DISTINCT r.endpoint_id, r.ordering_key FROM unnest(removed) r WHERE r.ordering_key IS NOT NULL) k;
    RETURN cardinality(removed);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.cancel_step(integration_worker.bulk, bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.cancel_step(integration_worker.bulk, bigint[]) IS
    'Gives these syncs up, those that are still in one of the states; returns how many.';

-- RFC 7396 §2
CREATE FUNCTION integration_worker.merge_patch(target jsonb, patch jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    merged jsonb := CASE WHEN jsonb_typeof(target) = 'object' THEN target ELSE '{}' END;
    member record;
BEGIN
    IF jsonb_typeof(patch) <> 'object' THEN
        RETURN patch;
    END IF;
    FOR member IN SELECT m.key, m.value FROM jsonb_each(patch) m LOOP
        merged := CASE WHEN member.value = 'null' THEN merged - member.key
                       ELSE merged || jsonb_build_object(
                           member.key, integration_worker.merge_patch(merged -> member.key, member.value)) END;
    END LOOP;
    RETURN merged;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.merge_patch(jsonb, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.merge_patch(jsonb, jsonb) IS 'A document with a JSON Merge Patch (RFC 7396) applied.';

CREATE FUNCTION integration_worker.amend_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed bigint[];
    copies bigint[];
BEGIN
    WITH gone AS (
        DELETE FROM integration.queue q
         WHERE q.outbox_id = ANY (ids) AND q.state = 'failed'
        RETURNING q.outbox_id
    )
    SELECT coalesce(array_agg(g.outbox_id ORDER BY g.outbox_id), '{}') INTO removed FROM gone g;
    copies := integration_worker.copy_syncs(removed, patch => bulk.patch);
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
    SELECT d.id, 'superseded', clock_timestamp(), integration_worker.amend_reason(bulk.reason), d.copy
      FROM unnest(removed, copies) AS d (id, copy);
    PERFORM integration_worker.record_bulk(
                bulk, removed, array_agg(jsonb_build_object('state', 'failed', 'copy', d.copy) ORDER BY d.id))
       FROM unnest(removed, copies) AS d (id, copy);
    PERFORM integration_worker.place_copies(copies);
    RETURN cardinality(removed);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.amend_step(integration_worker.bulk, bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.amend_step(integration_worker.bulk, bigint[]) IS
    'Enqueues corrected copies in the places of these syncs, those that are failed; returns how many.';

CREATE FUNCTION integration_worker.replay_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    copies bigint[] := integration_worker.copy_syncs(ids);
BEGIN
    PERFORM integration_worker.place_copies(copies);
    PERFORM integration_worker.record_bulk(bulk, ids, array_agg(jsonb_build_object('copy', c.id) ORDER BY c.n))
       FROM unnest(copies) WITH ORDINALITY AS c (id, n);
    RETURN cardinality(copies);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.replay_step(integration_worker.bulk, bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.replay_step(integration_worker.bulk, bigint[]) IS
    'Sends these syncs once more, as copies; returns how many.';

CREATE FUNCTION integration_worker.do_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE bulk.verb
        WHEN 'retry' THEN RETURN integration_worker.retry_step(bulk, ids);
        WHEN 'cancel' THEN RETURN integration_worker.cancel_step(bulk, ids);
        WHEN 'amend' THEN RETURN integration_worker.amend_step(bulk, ids);
        WHEN 'replay' THEN RETURN integration_worker.replay_step(bulk, ids);
    END CASE;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.do_step(integration_worker.bulk, bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.do_step(integration_worker.bulk, bigint[]) IS
    'Does to these syncs what was asked; returns to how many.';

INSERT INTO integration.phrase (key, words) VALUES
    ('bulk.would_retry', 'syncs that would be retried: {count}'),
    ('bulk.would_cancel', 'syncs that would be cancelled: {count}'),
    ('bulk.would_amend', 'syncs that would be amended: {count}'),
    ('bulk.would_replay', 'syncs that would be replayed: {count}'),
    ('bulk.so_far_retry', 'syncs retried: {done} of {count}'),
    ('bulk.so_far_cancel', 'syncs cancelled: {done} of {count}'),
    ('bulk.so_far_amend', 'syncs amended: {done} of {count}'),
    ('bulk.so_far_replay', 'syncs replayed: {done} of {count}'),
    ('bulk.sample', 'Sync {sync} to {endpoint}:'),
    ('bulk.none', 'None fits.'),
    ('bulk.look', 'Look at {statement}.'),
    ('bulk.unchanged', 'Nothing was changed: leave dry_run out to do it.');

CREATE FUNCTION integration_worker.show_choice(bulk integration_worker.bulk, ids bigint[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sample text := (SELECT string_agg(concat_ws(' ', integration_worker.say('bulk.sample', jsonb_build_object('sync', f.id, 'endpoint', f.endpoint)),
                                                f.object_type, f.object_id, '(' || nullif(concat_ws(': ', f.error_class, f.error), '') || ')'), E'\n' ORDER BY f.id)
                      FROM integration_worker.sync_facts f
                     WHERE f.id = ANY (ids[1:5]));
BEGIN
    RAISE NOTICE USING
        MESSAGE = integration_worker.say('bulk.would_' || bulk.verb, jsonb_build_object('count', cardinality(ids))),
        DETAIL = coalesce(sample, integration_worker.say('bulk.none')),
        HINT = CASE WHEN ids = '{}' THEN integration_worker.say('bulk.look', jsonb_build_object(
                        'statement', 'SELECT endpoint, error_class, count(*) FROM integration.failed GROUP BY 1, 2'))
                    ELSE integration_worker.say('bulk.unchanged') END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.show_choice(integration_worker.bulk, bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.show_choice(integration_worker.bulk, bigint[]) IS
    'Says how many syncs a dry run has found, with the first five.';

-- Whoever works all the time takes a processor and the disk from the sender; what waits for one retry more can wait.
CREATE FUNCTION integration_worker.rest_after(step interval) RETURNS interval
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN sum(w.in_flight + w.waiting + w.unsettled) > 0 THEN 7 * step ELSE interval '0' END
      FROM integration_worker.live_workers() w
$$;
REVOKE ALL ON FUNCTION integration_worker.rest_after(interval) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.rest_after(interval) IS
    'How long to rest after a step that took so long: an eighth of the time is worked while syncs are sent, all of it while none is.';

-- All of it is one transaction, seen by the worker when it commits.
CREATE FUNCTION integration_worker.do_bulk(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step constant integer := 1000;
    told_each constant integer := 10000;
    total integer := cardinality(ids);
    seen integer;
    done bigint := 0;
    began timestamptz;
BEGIN
    IF bulk.dry_run THEN
        PERFORM integration_worker.show_choice(bulk, ids);
        RETURN total;
    END IF;
    bulk.details := bulk.details || jsonb_build_object('together_with', total - 1);
    PERFORM integration_worker.note_progress(bulk.verb, bulk.subject, total, 0);
    FOR low IN 1 .. total BY step LOOP
        began := clock_timestamp();
        done := done + integration_worker.do_step(bulk, ids[low:low + step - 1]);
        seen := least(low + step - 1, total);
        PERFORM integration_worker.note_progress(bulk.verb, bulk.subject, total, seen);
        CONTINUE WHEN seen = total;
        IF seen % told_each = 0 THEN
            RAISE NOTICE '%', integration_worker.say('bulk.so_far_' || bulk.verb, jsonb_build_object('done', seen, 'count', total));
        END IF;
        PERFORM pg_sleep(extract(epoch FROM integration_worker.rest_after(clock_timestamp() - began)));
    END LOOP;
    PERFORM integration_worker.wake_at_commit(false);
    RETURN done;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.do_bulk(integration_worker.bulk, bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.do_bulk(integration_worker.bulk, bigint[]) IS
    'Does to the syncs what was asked, or says to how many it would; returns how many. What has changed meanwhile is left alone.';

CREATE FUNCTION integration.retry_where(
        endpoint text DEFAULT NULL, error_class text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, customer text DEFAULT NULL, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    choice integration_worker.choice := ROW ('{failed}', endpoint, error_class, since, until, customer);
BEGIN
    PERFORM integration_worker.require_choice('retry', choice);
    RETURN integration_worker.do_bulk(
        ROW ('retry', integration_worker.choice_words(choice), nullif(btrim(reason), ''),
             integration_worker.choice_details(choice), NULL, dry_run),
        integration_worker.chosen(choice));
END
$$;
REVOKE ALL ON FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text, boolean) IS
    'Has all failed syncs sent again that fit: of an endpoint, with an error class, whose last attempt was since and before until, of a customer; NULL: any. dry_run: only says which. Returns how many.';

CREATE FUNCTION integration_worker.states_to_cancel(state text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF state IS NULL THEN
        RETURN '{pending,retrying,failed}';
    ELSIF state IN ('pending', 'retrying', 'failed') THEN
        RETURN ARRAY[state];
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = format('syncs that are %s cannot be cancelled', state),
        HINT = 'Write pending, retrying or failed; NULL: whatever is not finished.';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.states_to_cancel(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.states_to_cancel(text) IS
    'The states of syncs that cancel_where() is about; NULL: all that can be cancelled.';

CREATE FUNCTION integration.cancel_where(
        endpoint text DEFAULT NULL, error_class text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, customer text DEFAULT NULL, reason text DEFAULT NULL, dry_run boolean DEFAULT false,
        state text DEFAULT 'failed')
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    choice integration_worker.choice := ROW (integration_worker.states_to_cancel(state), endpoint, error_class, since, until, customer);
BEGIN
    PERFORM integration_worker.require_choice('cancel', choice);
    RETURN integration_worker.do_bulk(
        ROW ('cancel', integration_worker.choice_words(choice), nullif(btrim(reason), ''),
             integration_worker.choice_details(choice) || jsonb_build_object('states', choice.states), NULL, dry_run),
        integration_worker.chosen(choice));
END
$$;
REVOKE ALL ON FUNCTION integration.cancel_where(text, text, timestamptz, timestamptz, text, text, boolean, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.cancel_where(text, text, timestamptz, timestamptz, text, text, boolean, text) IS
    'Gives up all syncs that fit, as retry_where() chooses them; state: failed ones, or pending, or retrying, NULL: whatever is not finished. dry_run: only says which. Returns how many.';

CREATE FUNCTION integration.amend_where(
        patch jsonb, endpoint text DEFAULT NULL, error_class text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, customer text DEFAULT NULL, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    choice integration_worker.choice := ROW ('{failed}', endpoint, error_class, since, until, customer);
BEGIN
    IF coalesce(jsonb_typeof(patch), 'null') <> 'object' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'amend_where needs an object of what changes in each payload',
            HINT = 'Write a JSON Merge Patch, such as {"currency": "EUR", "discount": null}: members are set, those that are null taken out.';
    END IF;
    PERFORM integration_worker.require_choice('amend', choice);
    RETURN integration_worker.do_bulk(
        ROW ('amend', integration_worker.choice_words(choice), nullif(btrim(reason), ''),
             integration_worker.choice_details(choice) || jsonb_build_object('patched', ARRAY(SELECT jsonb_object_keys(patch))),
             patch, dry_run),
        integration_worker.chosen(choice));
END
$$;
REVOKE ALL ON FUNCTION integration.amend_where(jsonb, text, text, timestamptz, timestamptz, text, text, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration.amend_where(jsonb, text, text, timestamptz, timestamptz, text, text, boolean) IS
    'Enqueues corrected copies in the place of all failed syncs that fit, as retry_where() chooses them: payloads with the JSON Merge Patch (RFC 7396) applied. dry_run: only says which. Returns how many.';

-- A replay of something in the period is not replayed beside it.
CREATE FUNCTION integration_worker.delivered_in(endpoint text, since timestamptz, until timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT a.outbox_id
          FROM integration.attempt a
          JOIN integration.endpoint e ON e.id = a.endpoint_id
          JOIN integration.outbox o ON o.id = a.outbox_id
         WHERE e.name = delivered_in.endpoint
           AND a.started_at >= delivered_in.since
           AND a.started_at < coalesce(delivered_in.until, 'infinity')
           AND a.outcome = 'delivered'
           AND o.operation <> 'ping'
           AND NOT EXISTS (SELECT FROM integration.attempt x
                            WHERE x.outbox_id = o.replay_of AND x.outcome = 'delivered')
         ORDER BY a.outbox_id);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.delivered_in(text, timestamptz, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.delivered_in(text, timestamptz, timestamptz) IS
    'What an endpoint was delivered in a period, oldest first; by the index of its attempts.';

CREATE FUNCTION integration.replay(
        endpoint text, since timestamptz, until timestamptz DEFAULT NULL, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_endpoint(endpoint);
    IF since IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed',
            MESSAGE = 'replay needs to know since when',
            HINT = 'Write SELECT integration.replay(''shop'', now() - interval ''1 hour''); since => ''-infinity'' means all.';
    END IF;
    RETURN integration_worker.do_bulk(
        ROW ('replay', concat_ws(', ', 'endpoint ' || endpoint, 'since ' || since, 'until ' || until), nullif(btrim(reason), ''),
             jsonb_strip_nulls(jsonb_build_object('since', since, 'until', until)), NULL, dry_run),
        integration_worker.delivered_in(endpoint, since, until));
END
$$;
REVOKE ALL ON FUNCTION integration.replay(text, timestamptz, timestamptz, text, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration.replay(text, timestamptz, timestamptz, text, boolean) IS
    'Sends again, in their old order, what an endpoint was delivered since one time and before another (NULL: until now), as copies with ids of their own. dry_run: only says which. Returns how many.';

CREATE VIEW integration.bulk_progress AS
SELECT p.pid, r.rolname AS actor, p.verb, p.subject, p.total AS syncs, p.done,
       round(100.0 * p.done / nullif(p.total, 0), 1) AS percent, p.started_at, p.updated_at,
       CASE WHEN p.done > 0 THEN (p.updated_at - p.started_at) * ((p.total - p.done) / p.done::double precision) END AS time_left
  FROM integration_worker.live_progress() p
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = p.role;

COMMENT ON VIEW integration.bulk_progress IS
    'How far retry_where(), cancel_where(), amend_where() and replay() of a period have come in other sessions, until they commit. SELECT pg_cancel_backend(pid) stops one, and nothing of it is done.';

COMMENT ON COLUMN integration.bulk_progress.pid IS 'The process, as in pg_stat_activity.';

COMMENT ON COLUMN integration.bulk_progress.actor IS 'The database user of the session.';

COMMENT ON COLUMN integration.bulk_progress.verb IS 'retry, cancel, amend or replay.';

COMMENT ON COLUMN integration.bulk_progress.subject IS 'Which syncs.';

COMMENT ON COLUMN integration.bulk_progress.syncs IS 'How many there are to do.';

COMMENT ON COLUMN integration.bulk_progress.done IS 'How many are done.';

COMMENT ON COLUMN integration.bulk_progress.percent IS 'The same in percent.';

COMMENT ON COLUMN integration.bulk_progress.started_at IS 'When it began.';

COMMENT ON COLUMN integration.bulk_progress.updated_at IS 'When it came so far.';

COMMENT ON COLUMN integration.bulk_progress.time_left IS 'How long the rest takes at this pace; NULL: not known yet.';

-- Kill switches: hold what leaves, let it go again.

CREATE OR REPLACE FUNCTION integration_worker.require_scope(scope text, name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(scope, '') NOT IN ('all', 'connector', 'endpoint', 'customer') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('there is no scope "%s"', scope),
            HINT = 'Write ''all'', ''connector'', ''endpoint'' or ''customer'', then the name of which one.';
    END IF;
    IF (scope = 'all') <> (coalesce(name, '') = '') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format(CASE scope WHEN 'all' THEN 'scope "%s" has no name' ELSE 'scope "%s" needs a name' END, scope),
            HINT = CASE scope WHEN 'all' THEN 'Write NULL for the name.'
                              ELSE format('Write the %s''s name after the scope.', scope) END;
    END IF;
    IF octet_length(name) > 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'program_limit_exceeded',
            MESSAGE = format('the name of the %s is too long', scope),
            DETAIL = format('It has %s bytes; 1000 are allowed.', octet_length(name)),
            HINT = format('Write the %s''s name as it stands in its syncs.', scope);
    END IF;
    IF scope = 'endpoint' THEN
        PERFORM integration_worker.require_endpoint(name);
    END IF;
    IF scope = 'connector' AND NOT EXISTS (SELECT FROM integration.connector c WHERE c.name = require_scope.name) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('connector "%s" does not exist', name),
            HINT = 'Names are in SELECT name FROM integration.connector.';
    END IF;
END
$$;

INSERT INTO integration.phrase (key, words) VALUES
    ('pause.replaced', 'this replaces the pause by {actor} ("{reason}"), which was until {until}'),
    ('pause.until_ended', 'somebody resumes'),
    ('pause.nobody', 'nothing waits for customer "{customer}", and no endpoint is theirs: is the name right?'),
    ('resume.not_held', '{name} was not held'),
    ('resume.sending', 'sending');

-- Neither is an error, yet both are seldom meant.
CREATE OR REPLACE FUNCTION integration_worker.warn_of_pause(scope text, name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present integration.pause;
BEGIN
    SELECT p.* INTO present
      FROM integration.pause p
     WHERE p.scope = warn_of_pause.scope
       AND p.name = warn_of_pause.name
       AND (p.until IS NULL OR p.until > clock_timestamp());
    IF FOUND THEN
        RAISE NOTICE '%', integration_worker.say('pause.replaced', jsonb_build_object(
            'actor', present.actor, 'reason', present.reason,
            'until', coalesce(present.until::text, integration_worker.say('pause.until_ended'))));
    END IF;
    IF warn_of_pause.scope = 'customer'
       AND NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.customer = warn_of_pause.name)
       AND NOT EXISTS (SELECT FROM integration.queue q
                         JOIN integration.outbox o ON o.id = q.outbox_id
                        WHERE o.customer = warn_of_pause.name) THEN
        RAISE NOTICE '%', integration_worker.say('pause.nobody', jsonb_build_object('customer', warn_of_pause.name));
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION integration.pause(scope text, name text, reason text, until timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM integration_worker.require_scope(pause.scope, pause.name);
    IF coalesce(btrim(pause.reason), '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a pause needs a reason',
            HINT = 'Write it for the people who will ask why nothing leaves, such as ''vendor maintenance until 14:00''.';
    END IF;
    IF pause.until <= clock_timestamp() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('%s is over already', pause.until),
            HINT = 'Write a time to come, such as now() + interval ''1 hour''; NULL pauses until somebody resumes.';
    END IF;
    PERFORM integration_worker.warn_of_pause(pause.scope, coalesce(pause.name, ''));
    INSERT INTO integration.pause AS p (scope, name, reason, until)
    VALUES (pause.scope, coalesce(pause.name, ''), btrim(pause.reason), pause.until)
        ON CONFLICT (scope, name) DO UPDATE
        SET reason = excluded.reason, actor = excluded.actor, until = excluded.until, error_class = NULL,
            since = CASE WHEN p.until <= now() THEN excluded.since ELSE p.since END;
    INSERT INTO integration.action (verb, endpoint, reason, details)
    VALUES ('pause', CASE pause.scope WHEN 'endpoint' THEN pause.name END, btrim(pause.reason),
            jsonb_strip_nulls(jsonb_build_object('scope', pause.scope, 'name', pause.name, 'until', pause.until)));
    PERFORM integration_worker.wake_at_commit(true);
END
$$;

CREATE OR REPLACE FUNCTION integration.resume(scope text, name text DEFAULT NULL, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ended integration.pause;
    held integration.endpoint_health;
BEGIN
    PERFORM integration_worker.require_scope(resume.scope, resume.name);
    DELETE FROM integration.pause p
     WHERE p.scope = resume.scope AND p.name = coalesce(resume.name, '')
    RETURNING p.* INTO ended;
    IF resume.scope = 'endpoint' THEN
        held := integration_worker.close_breaker(resume.name);
    END IF;
    IF resume.scope = 'all' AND ended.scope IS NULL AND integration_worker.is_held_as_copy() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'this database is a copy, so nothing is sent from it',
            DETAIL = (SELECT i.remedy FROM integration.incident i WHERE i.id = 0),
            HINT = 'SELECT integration.adopt() has it take over from the original.';
    END IF;
    IF ended.scope IS NULL AND held.endpoint_id IS NULL THEN
        RAISE NOTICE '%', integration_worker.say('resume.not_held', jsonb_build_object(
            'name', CASE resume.scope WHEN 'all' THEN integration_worker.say('resume.sending')
                                      ELSE integration_worker.say('pause.' || resume.scope, jsonb_build_object('name', resume.name)) END));
        RETURN false;
    END IF;
    INSERT INTO integration.action (verb, endpoint, reason, details)
    VALUES ('resume', CASE resume.scope WHEN 'endpoint' THEN resume.name END, nullif(btrim(resume.reason), ''),
            jsonb_strip_nulls(jsonb_build_object(
                'scope', resume.scope, 'name', resume.name,
                'paused_because', ended.reason, 'paused_by', ended.actor,
                'state', held.state, 'open_until', held.open_until, 'retry_after_until', held.retry_after_until)));
    PERFORM integration_worker.wake_at_commit(true);
    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION integration_worker.close_breaker(endpoint text) RETURNS integration.endpoint_health
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held integration.endpoint_health;
BEGIN
    SELECT h.* INTO held
      FROM integration.endpoint_health h
      JOIN integration.endpoint e ON e.id = h.endpoint_id
     WHERE e.name = close_breaker.endpoint
       AND (h.state <> 'closed' OR h.retry_after_until > clock_timestamp()
            OR EXISTS (SELECT FROM integration_worker.live_endpoints() l
                        WHERE l.endpoint_id = h.endpoint_id AND l.rate_free_at > clock_timestamp()))
       FOR UPDATE OF h;
    UPDATE integration.endpoint_health h
       SET state = 'closed', since = clock_timestamp(), open_until = NULL, openings = 0, failures = 0,
           retry_after_until = NULL, tripped_by = NULL, stopped_for = NULL, updated_at = clock_timestamp()
     WHERE h.endpoint_id = held.endpoint_id;
    -- What the other side put off waits for exactly that time.
    UPDATE integration.queue q
       SET due_at = now(), change_xid = pg_current_xact_id()
     WHERE q.endpoint_id = held.endpoint_id
       AND q.state = 'retrying'
       AND q.due_at = held.retry_after_until;
    RETURN held;
END
$$;

-- Every sync as people see it: the views sync, failed.

-- As a set, so that it is inlined where a view asks for each row; the texts are fetched once a query.
CREATE FUNCTION integration_worker.advice(endpoint text, connector text, error_class text, reason integration.error_reason)
    RETURNS TABLE (remedy text, worked_before text)
    LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT CASE WHEN (advice.reason).error_class = advice.error_class
                THEN coalesce((SELECT integration_worker.remedies('support')) ->> (advice.reason).reason, (advice.reason).remedy)
                ELSE coalesce((SELECT integration_worker.remedies('support')) ->> (':' || advice.error_class),
                              (SELECT k.remedy FROM integration.error_class k WHERE k.name = advice.error_class)) END,
           replace((SELECT integration_worker.translated('remedy.worked_before', '')), '{worked_before}', coalesce(
                   (SELECT integration_worker.what_worked()) ->> ('endpoint ' || advice.endpoint || ':' || advice.error_class),
                   (SELECT integration_worker.what_worked()) ->> ('connector ' || advice.connector || ':' || advice.error_class),
                   (SELECT integration_worker.what_worked()) ->> (':' || advice.error_class)));
END;
REVOKE ALL ON FUNCTION integration_worker.advice(text, text, text, integration.error_reason) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.advice(text, text, text, integration.error_reason) IS
    'What helps support against a failure of this class, for this reason; what helped the last time, of this endpoint first.';

-- Few joins, here and in the views below: beyond join_collapse_limit they are made as written.
CREATE VIEW integration_worker.asked_facts AS
SELECT o.id, o.endpoint, e.id AS endpoint_id, e.connector, coalesce(o.customer, e.customer) AS customer,
       e.customer AS endpoint_customer,
       o.object_type, o.object_id, o.operation, o.priority, o.ordering_key, o.impact,
       o.triggered_by, o.trigger_ref, o.replay_of, o.created_at, o.expires_at,
       coalesce(e.owner, c.owner, u.owner) AS standing_owner,
       coalesce(c.severity, 3::smallint) AS severity,
       greatest(o.send_after, o.created_at) AS clock_from,
       greatest(o.send_after, o.created_at) + coalesce(u.sla, c.sla) AS due_by,
       greatest(o.send_after, o.created_at) + coalesce(u.sla, c.sla) * 0.8 AS at_risk_from,
       coalesce(e.idempotent, c.idempotent, true) AS is_idempotent
  FROM integration_worker.asked o
  LEFT JOIN integration.endpoint e ON e.name = o.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, e.customer);

COMMENT ON VIEW integration_worker.asked_facts IS
    'What was asked for, of which endpoint, what was promised: without what came of it.';

-- What is known about a sync whatever its state; the views below add how far it came.
-- The owner is integration_worker.owner_of()'s.
CREATE VIEW integration_worker.sync_facts AS
SELECT f.*, coalesce(w.owner, f.standing_owner) AS owner,
       a.attempt_no, a.outcome, a.reason, a.error_class, a.http_status, a.error,
       a.started_at AS last_attempt_at,
       a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' AS last_answer_at,
       v.remedy, v.worked_before,
       CASE WHEN a.outcome = 'failed' THEN r.responsible END AS responsible,
       a.outcome = 'failed' AND r.remote_state = 'unknown' AND NOT f.is_idempotent AS is_unknown
  FROM integration_worker.asked_facts f
  LEFT JOIN LATERAL (
       SELECT x.*
         FROM integration.attempt x
        WHERE x.outbox_id = f.id
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
  LEFT JOIN integration.error_reason r ON r.reason = a.reason
 CROSS JOIN LATERAL integration_worker.ruled_owner(
                f.connector, f.endpoint, f.customer, a.error_class, CASE WHEN a.outcome = 'failed' THEN r.responsible END) w
 CROSS JOIN LATERAL integration_worker.advice(f.endpoint, f.connector, CASE WHEN a.outcome = 'failed' THEN a.error_class END, r) v;

COMMENT ON VIEW integration_worker.sync_facts IS
    'Outbox, endpoint and last attempt of each sync, without its state.';

-- Without a search_path, so that it becomes a part of the query around it.
CREATE FUNCTION integration_worker.pause_holds(scope text, name text, connector text, endpoint text, customers text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    RETURN scope = 'all'
        OR (scope = 'connector' AND name = connector)
        OR (scope = 'endpoint' AND name = endpoint)
        OR (scope = 'customer' AND name = ANY (customers));
REVOKE ALL ON FUNCTION integration_worker.pause_holds(text, text, text, text, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.pause_holds(text, text, text, text, text[]) IS
    'Whether a pause with this scope and name is one of this connector, this endpoint or any of these customers (a sync''s, its endpoint''s).';

-- The order of the lines is the order of strength: the first that applies is the one to name.
CREATE OR REPLACE FUNCTION integration_worker.held_by(
        state text, started_at timestamptz, is_paused boolean, health text, retry_after_until timestamptz,
        due_at timestamptz, earlier bigint, rate_free_at timestamptz, in_flight integer, "window" integer)
    RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE WHEN state = 'failed' OR started_at IS NOT NULL THEN NULL
                WHEN is_paused THEN 'paused'
                WHEN health = 'stopped' THEN 'stopped'
                WHEN health IN ('open', 'half_open') THEN 'open'
                WHEN retry_after_until > statement_timestamp() THEN 'retry_after'
                WHEN due_at > statement_timestamp() THEN 'schedule'
                WHEN earlier IS NOT NULL THEN 'ordering_key'
                WHEN rate_free_at > statement_timestamp() THEN 'rate'
                WHEN in_flight >= "window" THEN 'window' END;

-- Plain rows of one table each: so a condition on state reads the queue or the closings and not the whole outbox,
-- and the newest are found from the end.  What is not certain is delivered unless one of the other two has it.
CREATE VIEW integration_worker.sync_state AS
SELECT q.outbox_id AS id, true AS is_certain, q.state, q.endpoint_id, q.attempts, q.due_at, q.ordering_key AS queued_key, coalesce(q.place, q.outbox_id) AS place,
       q.reason, q.error_class, q.http_status, q.error, q.last_attempt_at,
       NULL::timestamptz AS closed_at, NULL::text AS closed_because, NULL::bigint AS superseded_by
  FROM integration.queue q
UNION ALL
SELECT c.outbox_id, true, c.state, NULL::integer, NULL::integer, NULL::timestamptz, NULL::text, NULL::bigint,
       NULL::text, NULL::text, NULL::integer, NULL::text, NULL::timestamptz,
       c.closed_at, c.reason, c.superseded_by
  FROM integration.closing c
UNION ALL
SELECT o.id, false, 'delivered'::text, NULL::integer, NULL::integer, NULL::timestamptz, NULL::text, NULL::bigint,
       NULL::text, NULL::text, NULL::integer, NULL::text, NULL::timestamptz,
       NULL::timestamptz, NULL::text, NULL::bigint
  FROM integration_worker.asked o;

COMMENT ON VIEW integration_worker.sync_state IS
    'Every sync in the queue, every closing, then all syncs once more as if they were delivered.';

-- What the tables know about how far a sync came; what only shared memory knows is added by the reader.
-- While a sync is in the queue, its row there tells what its last attempt came to: of ten thousand a look-up each counts.
CREATE VIEW integration_worker.course AS
SELECT f.*, coalesce(w.owner, f.standing_owner) AS owner,
       t.outcome, t.reason, t.error_class, t.http_status, t.error, t.last_attempt_at,
       a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' AS last_answer_at,
       v.remedy, v.worked_before,
       CASE WHEN t.outcome = 'failed' THEN r.responsible END AS responsible,
       t.outcome = 'failed' AND r.remote_state = 'unknown' AND NOT f.is_idempotent AS is_unknown,
       s.state, coalesce(s.attempts, a.attempt_no, 0) AS attempts, s.due_at,
       h.state AS health, h.open_until, h.retry_after_until,
       EXISTS (SELECT FROM integration_worker.pause_in_force p
                WHERE integration_worker.pause_holds(p.scope, p.name, f.connector, f.endpoint,
                                                     ARRAY[f.customer, f.endpoint_customer])) AS is_paused,
       (SELECT b.outbox_id
          FROM integration.queue b
         WHERE b.endpoint_id = s.endpoint_id
           AND b.ordering_key = s.queued_key
           AND coalesce(b.place, b.outbox_id) < s.place
         ORDER BY coalesce(b.place, b.outbox_id)
         LIMIT 1) AS earlier,
       s.endpoint_id AS queued_at, s.closed_at, s.closed_because, s.superseded_by
  FROM integration_worker.sync_state s
  JOIN integration_worker.asked_facts f ON f.id = s.id
  LEFT JOIN LATERAL (
       SELECT x.*
         FROM integration.attempt x
        WHERE x.outbox_id = CASE WHEN s.endpoint_id IS NULL THEN s.id END
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
 CROSS JOIN LATERAL (
       SELECT CASE WHEN s.reason IS NOT NULL THEN 'failed' ELSE a.outcome END AS outcome,
              coalesce(s.reason, a.reason) AS reason, coalesce(s.error_class, a.error_class) AS error_class,
              coalesce(s.http_status, a.http_status) AS http_status, coalesce(s.error, a.error) AS error,
              coalesce(s.last_attempt_at, a.started_at) AS last_attempt_at) t
  LEFT JOIN integration.error_reason r ON r.reason = t.reason
 CROSS JOIN LATERAL integration_worker.ruled_owner(
                f.connector, f.endpoint, f.customer, t.error_class, CASE WHEN t.outcome = 'failed' THEN r.responsible END) w
 CROSS JOIN LATERAL integration_worker.advice(f.endpoint, f.connector, CASE WHEN t.outcome = 'failed' THEN t.error_class END, r) v
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = s.endpoint_id
 WHERE s.is_certain
    OR (NOT EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = s.id)
        AND NOT EXISTS (SELECT FROM integration.closing c WHERE c.outbox_id = s.id));

COMMENT ON VIEW integration_worker.course IS
    'Every sync with its state and what the tables know about what holds it back. queued_at: the endpoint in whose queue it is.';

CREATE VIEW integration_worker.waiting AS
SELECT c.*
  FROM integration_worker.course c
 WHERE c.state IN ('pending', 'retrying', 'failed');

COMMENT ON VIEW integration_worker.waiting IS
    'The syncs in the queue with what the tables know about what holds them back.';

CREATE OR REPLACE VIEW integration.sync AS
SELECT f.id, f.state, f.endpoint, f.connector, f.customer, f.object_type, f.object_id, f.operation, f.attempts,
       f.reason, f.error_class, f.http_status, f.error,
       CASE WHEN f.state = 'superseded' AND f.closed_because = 'duplicate' THEN
            (SELECT integration_worker.say('remedy.of_duplicate', jsonb_build_object('other', q.outbox_id))
               FROM integration.queue q
              WHERE q.outbox_id = f.superseded_by AND q.state = 'failed')
            ELSE nullif(concat_ws(' ', CASE WHEN f.queued_at IS NOT NULL THEN f.worked_before END,
                 CASE WHEN f.state = 'failed' AND f.is_unknown THEN (SELECT integration_worker.say('remedy.unknown_outcome'))
                      ELSE coalesce(CASE WHEN f.state = 'failed' THEN (SELECT integration_worker.remedies_when_failed()) END
                                    ->> f.remedy, f.remedy) END), '') END AS remedy,
       f.responsible, f.owner,
       CASE WHEN f.state IN ('pending', 'retrying') AND l.started_at IS NULL THEN
            greatest(f.due_at, f.retry_after_until, CASE WHEN f.health <> 'closed' THEN f.open_until END) END AS next_attempt_at,
       CASE WHEN f.state IN ('pending', 'retrying') THEN integration_worker.held_by(
           f.state, l.started_at, f.is_paused, f.health, f.retry_after_until, f.due_at, f.earlier,
           w.rate_free_at, w.in_flight, w."window") END AS blocked_by,
       l.started_at AS in_flight_since,
       f.last_attempt_at, f.created_at, t.finished_at,
       coalesce(t.finished_at, CASE WHEN f.queued_at IS NOT NULL THEN statement_timestamp() END) - f.created_at AS age,
       f.due_by,
       f.queued_at IS NOT NULL
       AND coalesce(statement_timestamp() >= f.at_risk_from OR f.due_at > f.due_by
                    OR (f.state = 'failed' AND f.due_by IS NOT NULL), false) AS sla_at_risk,
       f.severity, f.impact, f.priority, f.ordering_key, f.expires_at,
       f.triggered_by, f.trigger_ref, f.replay_of, f.superseded_by
  FROM integration_worker.course f
  LEFT JOIN integration_worker.live_syncs() l ON l.outbox_id = f.id AND f.queued_at IS NOT NULL
  LEFT JOIN integration_worker.live_endpoints() w ON w.endpoint_id = f.queued_at
 CROSS JOIN LATERAL (
       SELECT CASE f.state WHEN 'delivered' THEN f.last_answer_at ELSE f.closed_at END AS finished_at) t;

-- The ten thousandth of a bad night is looked up in the outbox like the first, so each look-up counts: by the
-- endpoint of the queue, in the order of the ids; what the last attempt came to stands in the queue.  What the
-- planner knows to be sorted below isn't sorted again.  + 0: not by walking through the whole queue in its order.
CREATE VIEW integration_worker.worst_first AS
SELECT q.severity, o.created_at, o.id, o.impact, q.endpoint, q.connector, coalesce(o.customer, q.customer) AS customer,
       o.object_type, o.object_id, o.operation, q.attempts, o.priority, o.ordering_key, o.expires_at,
       o.triggered_by, o.trigger_ref, o.replay_of, q.is_idempotent, coalesce(q.owner, u.owner) AS owner,
       greatest(o.send_after, o.created_at) + coalesce(u.sla, q.sla) AS due_by,
       q.reason, q.error_class, q.http_status, q.error, q.last_attempt_at
  FROM (SELECT f.outbox_id, f.attempts, f.reason, f.error_class, f.http_status, f.error, f.last_attempt_at,
               e.name AS endpoint, e.connector, e.customer, c.sla,
               coalesce(e.owner, c.owner) AS owner, coalesce(c.severity, 3::smallint) AS severity,
               coalesce(e.idempotent, c.idempotent, true) AS is_idempotent
          FROM integration.queue f
          JOIN integration.endpoint e ON e.id = f.endpoint_id
          LEFT JOIN integration.connector c ON c.name = e.connector
         WHERE f.state = 'failed'
         ORDER BY f.outbox_id + 0) q
 CROSS JOIN LATERAL (
       SELECT x.*
         FROM integration_worker.asked x
        WHERE x.id = q.outbox_id
       OFFSET 0) o
  LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, q.customer)
 ORDER BY q.severity, o.impact DESC NULLS LAST, o.created_at, o.id;

COMMENT ON VIEW integration_worker.worst_first IS
    'What was asked by the failed syncs, and what came of it, in the order of integration.failed.';

CREATE OR REPLACE VIEW integration.failed AS
SELECT s.id, 'failed'::text AS state, s.endpoint, s.connector, s.customer, s.object_type, s.object_id, s.operation, s.attempts,
       s.reason, s.error_class, s.http_status, s.error,
       nullif(concat_ws(' ', v.worked_before,
              CASE WHEN r.remote_state = 'unknown' AND NOT s.is_idempotent
                   THEN (SELECT integration_worker.say('remedy.unknown_outcome'))
                   ELSE coalesce((SELECT integration_worker.remedies_when_failed()) ->> v.remedy, v.remedy) END), '') AS remedy,
       r.responsible,
       coalesce(w.owner, s.owner) AS owner,
       NULL::timestamptz AS next_attempt_at, NULL::text AS blocked_by, NULL::timestamptz AS in_flight_since,
       s.last_attempt_at, s.created_at, NULL::timestamptz AS finished_at,
       statement_timestamp() - s.created_at AS age, s.due_by, s.due_by IS NOT NULL AS sla_at_risk,
       s.severity, s.impact, s.priority, s.ordering_key, s.expires_at,
       s.triggered_by, s.trigger_ref, s.replay_of, NULL::bigint AS superseded_by
  FROM integration_worker.worst_first s
  LEFT JOIN integration.error_reason r ON r.reason = s.reason
 CROSS JOIN LATERAL integration_worker.ruled_owner(s.connector, s.endpoint, s.customer, s.error_class, r.responsible) w
 CROSS JOIN LATERAL integration_worker.advice(s.endpoint, s.connector, s.error_class, r) v
 ORDER BY s.severity, s.impact DESC NULLS LAST, s.created_at, s.id;

-- Both views have the same columns with the same meaning.
DO $$
DECLARE
    col record;
    view_name text;
BEGIN
    FOR col IN
        SELECT c.name, c.meaning
          FROM (VALUES
            ('id', 'The number of the sync: outbox.id.'),
            ('state', 'pending, retrying, failed (a person must act), delivered, cancelled, expired or superseded.'),
            ('endpoint', 'Where to.'),
            ('connector', 'The product behind the endpoint.'),
            ('customer', 'Whose object it is.'),
            ('object_type', 'The kind of business object.'),
            ('object_id', 'The business reference.'),
            ('operation', 'What happened to the object.'),
            ('attempts', 'Attempts made so far.'),
            ('reason', 'What exactly happened at the last attempt: see integration.error_reason.'),
            ('error_class', 'What that means: see integration.error_class.'),
            ('http_status', 'HTTP status of the last attempt; NULL when no answer arrived.'),
            ('error', 'Details of the last failure in words.'),
            ('remedy', 'What to do about it; NULL unless the last attempt failed, or a duplicate''s first sync did.'),
            ('responsible', 'Who can do it: customer, support, engineering, operations or remote_vendor.'),
            ('owner', 'The team whose work it is: by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.'),
            ('next_attempt_at', 'Not sent before, by its own schedule and by what the endpoint waits for; NULL when finished, failed or in flight.'),
            ('blocked_by', 'The strongest that holds it back: paused, stopped, open, retry_after, schedule, ordering_key, rate or window; NULL: nothing does. integration.why() says it in words.'),
            ('in_flight_since', 'When the request that is under way began; NULL: none is.'),
            ('last_attempt_at', 'When the last attempt began.'),
            ('created_at', 'When it was asked for.'),
            ('finished_at', 'When it was delivered or closed.'),
            ('age', 'From created_at to finished_at, or to now.'),
            ('due_by', 'When it should be delivered by the SLA of the customer, else of the connector; NULL: no promise.'),
            ('sla_at_risk', 'It is not finished, and four fifths of the time to due_by are over, or it is failed or scheduled for later than due_by.'),
            ('severity', 'How much a failure hurts: 1 (worst) to 4, from the connector.'),
            ('impact', 'What is at stake, in the application''s unit.'),
            ('priority', 'high, normal or low.'),
            ('ordering_key', 'Syncs of one endpoint and key go one at a time.'),
            ('expires_at', 'Not sent from here on.'),
            ('triggered_by', 'Who or what in the application caused it.'),
            ('trigger_ref', 'The application''s own reference for the cause.'),
            ('replay_of', 'The sync that this one sends again.'),
            ('superseded_by', 'The sync that took its place.')
          ) AS c (name, meaning)
    LOOP
        FOREACH view_name IN ARRAY ARRAY['sync', 'failed'] LOOP
            EXECUTE format('COMMENT ON COLUMN integration.%I.%I IS %L', view_name, col.name, col.meaning);
        END LOOP;
    END LOOP;
END
$$;

-- With the caller's rights, so that whoever may not retry can't do it through the view either.
CREATE OR REPLACE FUNCTION integration_worker.update_sync() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked text := NEW.state;
    changed text := (SELECT string_agg(n.key, ', ' ORDER BY n.key)
                       FROM jsonb_each(to_jsonb(NEW)) n
                       JOIN jsonb_each(to_jsonb(OLD)) o ON o.key = n.key
                      WHERE n.value <> o.value AND n.key <> 'state');
BEGIN
    IF changed IS NOT NULL OR asked IS NULL OR asked NOT IN ('pending', 'cancelled') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = CASE WHEN changed IS NOT NULL THEN format('column %s of sync %s cannot be set', changed, OLD.id)
                           ELSE format('the state of sync %s cannot be set to %s', OLD.id, coalesce(asked, 'NULL')) END,
            DETAIL = 'What was asked and what happened stays as it is.',
            HINT = 'SET state = ''pending'' retries a sync, SET state = ''cancelled'' cancels it; '
                   'other data is sent by integration.amend().';
    END IF;
    IF asked = 'pending' THEN
        PERFORM integration.retry(OLD.id);
    ELSE
        PERFORM integration.cancel(OLD.id);
    END IF;
    SELECT s.* INTO NEW FROM integration.sync s WHERE s.id = OLD.id;
    RETURN NEW;
END
$$;

-- How objects, endpoints, workers stand.

CREATE VIEW integration_worker.queued_object AS
SELECT q.endpoint_id, coalesce(o.object_type, '') AS object_type, o.object_id,
       count(*) AS queued, min(q.outbox_id) AS next_sync,
       min(q.due_at) FILTER (WHERE q.state <> 'failed') AS next_attempt_at, min(o.customer) AS customer
  FROM integration_worker.asked o
  JOIN integration.queue q ON q.outbox_id = o.id
 WHERE o.object_id IS NOT NULL
 GROUP BY q.endpoint_id, coalesce(o.object_type, ''), o.object_id;

COMMENT ON VIEW integration_worker.queued_object IS 'The objects for which something is queued, with how much.';

-- In branches by state, so that a list of what is failed reads nothing of what is well: what does not work, by the index
-- of those; what works or was never tried, while something is queued for it; all the rest.
-- The owner is the last sync's, which has to be looked up only where there are rules; retention may have taken it away.
-- What is queued for what does not work a function finds: no plan is good for one object and for ten thousand.
CREATE OR REPLACE VIEW integration.object_status AS
SELECT e.name AS endpoint, s.object_type, s.object_id, s.state,
       s.remote_id, s.last_outbox_id AS last_sync, s.last_attempt_at,
       s.delivered_outbox_id AS delivered_sync, s.delivered_at,
       s.error_class, s.error, CASE WHEN s.error_class IS NOT NULL THEN
            coalesce((SELECT integration_worker.remedies('support')) ->> (':' || s.error_class), k.remedy) END AS remedy, s.failures,
       w.queued, w.next_sync, w.next_attempt_at,
       coalesce(CASE WHEN EXISTS (SELECT FROM integration.owner_rule) THEN
                     (SELECT f.owner FROM integration_worker.sync_facts f WHERE f.id = s.last_outbox_id) END,
                e.owner, c.owner,
                integration_worker.owner_of(s.endpoint_id, s.error_class,
                                            (SELECT o.customer FROM integration_worker.asked o WHERE o.id = s.last_outbox_id))) AS owner
  FROM integration.sync_status s
  JOIN integration.endpoint e ON e.id = s.endpoint_id
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.error_class k ON k.name = s.error_class
 CROSS JOIN LATERAL integration_worker.queued_of(s.endpoint_id, s.object_type, s.object_id) w
 WHERE s.state <> 'in_sync'
UNION ALL
SELECT e.name, w.object_type, w.object_id, 'pending',
       s.remote_id, s.last_outbox_id, s.last_attempt_at, s.delivered_outbox_id, s.delivered_at,
       NULL, NULL, NULL, coalesce(s.failures, 0),
       w.queued, w.next_sync, w.next_attempt_at,
       integration_worker.owner_of(e.id, NULL, w.customer)
  FROM integration_worker.queued_object w
  JOIN integration.endpoint e ON e.id = w.endpoint_id
  LEFT JOIN integration.sync_status s
    ON (s.endpoint_id, s.object_type, s.object_id) = (w.endpoint_id, w.object_type, w.object_id)
 WHERE s.state IS NULL OR s.state = 'in_sync'
UNION ALL
SELECT e.name, s.object_type, s.object_id, 'in_sync',
       s.remote_id, s.last_outbox_id, s.last_attempt_at, s.delivered_outbox_id, s.delivered_at,
       NULL, NULL, NULL, s.failures,
       0, NULL, NULL,
       integration_worker.owner_of(s.endpoint_id, NULL,
                                   (SELECT o.customer FROM integration_worker.asked o WHERE o.id = s.last_outbox_id))
  FROM integration.sync_status s
  JOIN integration.endpoint e ON e.id = s.endpoint_id
 WHERE s.state = 'in_sync'
   AND NOT EXISTS (SELECT
                     FROM integration_worker.asked o
                     JOIN integration.queue q ON q.outbox_id = o.id
                    WHERE o.object_id = s.object_id
                      AND coalesce(o.object_type, '') = s.object_type
                      AND q.endpoint_id = s.endpoint_id);

COMMENT ON COLUMN integration.object_status.owner IS 'The team whose work it is, by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.';

CREATE FUNCTION integration_worker.sparkline(steps integer[], attempts bigint[], delivered bigint[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg(CASE WHEN s.attempts IS NULL THEN '·'
                                   WHEN s.delivered * 2 < s.attempts THEN '×'
                                   ELSE substr('▁▂▃▄▅▆▇█', ceil(8.0 * s.attempts / m.most)::integer, 1) END, '' ORDER BY g.n)
              FROM generate_series(1, 12) AS g (n)
              LEFT JOIN unnest(steps, attempts, delivered) AS s (step, attempts, delivered)
                ON greatest(least(s.step, 12), 1) = g.n
             CROSS JOIN (SELECT max(a) AS most FROM unnest(attempts) a) m);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.sparkline(integer[], bigint[], bigint[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.sparkline(integer[], bigint[], bigint[]) IS
    'Twelve steps as a line of characters: · nothing, × more than half failed, else a bar; NULL arrays: nothing at all.';

CREATE OR REPLACE VIEW integration.endpoint_status AS
SELECT e.name, e.connector, e.customer,
       CASE WHEN h.state = 'open' AND h.open_until <= statement_timestamp() AND w.in_flight > 0 THEN 'half_open'
            ELSE coalesce(h.state, 'closed') END AS state,
       CASE WHEN p.reason IS NOT NULL THEN 'paused'
            WHEN h.state = 'stopped' THEN 'stopped'
            WHEN h.state IN ('open', 'half_open') THEN 'open'
            WHEN h.retry_after_until > statement_timestamp() THEN 'retry_after'
            WHEN w.rate_free_at > statement_timestamp() THEN 'rate'
            WHEN w.in_flight >= w."window" THEN 'window' END AS blocked_by,
       p.reason AS paused_reason, p.until AS paused_until,
       b.backlog, f.failed, b.oldest_due_at,
       coalesce(w.in_flight, 0) AS in_flight,
       coalesce(w."window", h."window") AS "window",
       e.max_concurrency, e.rate_limit,
       t.attempts_last_hour, t.success_share_last_hour,
       h.last_success_at, h.last_failure_at, h.last_reason, h.last_error,
       CASE WHEN h.state <> 'closed' THEN h.open_until END AS next_probe_at,
       h.retry_after_until, h.tripped_by,
       integration_worker.owner_of(e.id, NULL, NULL) AS owner, e.url, h.failing_since, t.trend
  FROM integration.endpoint_config e
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
  LEFT JOIN integration_worker.live_endpoints() w ON w.endpoint_id = e.id
  LEFT JOIN LATERAL (
       SELECT x.reason, x.until
         FROM integration_worker.pause_in_force x
        WHERE integration_worker.pause_holds(x.scope, x.name, e.connector, e.name, ARRAY[e.customer])
        ORDER BY x.until DESC NULLS FIRST, x.scope, x.name DESC
        LIMIT 1) p ON true
 CROSS JOIN LATERAL (
       SELECT count(*) AS backlog, min(q.due_at) FILTER (WHERE q.due_at <= statement_timestamp()) AS oldest_due_at
         FROM integration.queue q
        WHERE q.endpoint_id = e.id AND q.state <> 'failed') b
 CROSS JOIN LATERAL (
       SELECT count(*) AS failed
         FROM integration.queue q
        WHERE q.endpoint_id = e.id AND q.state = 'failed') f
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(s.attempts), 0)::bigint AS attempts_last_hour,
              round(sum(s.delivered) / sum(s.attempts), 3) AS success_share_last_hour,
              integration_worker.sparkline(array_agg(s.step), array_agg(s.attempts), array_agg(s.delivered)) AS trend
         FROM (SELECT 12 - floor(extract(epoch FROM statement_timestamp() - a.started_at) / 300)::integer AS step,
                      count(*) AS attempts, count(*) FILTER (WHERE a.outcome = 'delivered') AS delivered
                 FROM integration.attempt a
                WHERE a.endpoint_id = e.id AND a.started_at >= statement_timestamp() - interval '1 hour'
                GROUP BY 1) s) t;

COMMENT ON COLUMN integration.endpoint_status.failing_since IS 'The first failure since the last delivery; NULL: none. After five days it pauses itself.';

COMMENT ON COLUMN integration.endpoint_status.trend IS
    'The attempts of the last hour in steps of five minutes, the latest on the right; · none, × more than half failed.';

-- What waits behind each kill switch.

-- In branches, so that each finds its syncs by an index: by endpoint, or by what the sync itself says of its customer.
CREATE VIEW integration_worker.behind_pause AS
SELECT p.scope, p.name, q.outbox_id
  FROM integration_worker.pause_in_force p
  JOIN integration.endpoint e ON integration_worker.pause_holds(p.scope, p.name, e.connector, e.name, ARRAY[e.customer])
  JOIN integration.queue q ON q.endpoint_id = e.id AND q.state <> 'failed'
UNION ALL
SELECT p.scope, p.name, q.outbox_id
  FROM integration_worker.pause_in_force p
  JOIN integration_worker.asked o ON o.customer = p.name
  JOIN integration.queue q ON q.outbox_id = o.id AND q.state <> 'failed'
  JOIN integration.endpoint e ON e.id = q.endpoint_id AND e.customer IS DISTINCT FROM p.name
 WHERE p.scope = 'customer';

COMMENT ON VIEW integration_worker.behind_pause IS
    'Which syncs each pause in force holds; those that wait for a person anyway are not among them.';

CREATE VIEW integration.pause_status AS
SELECT p.scope, CASE WHEN p.scope <> 'all' THEN p.name END AS name, p.reason, p.actor, p.error_class,
       p.since, p.until, statement_timestamp() - p.since AS lasts,
       coalesce(w.waiting, 0) AS waiting, coalesce(w.endpoints, 0) AS endpoints, coalesce(w.objects, 0) AS objects,
       coalesce(w.customers, 0) AS customers, w.impact, w.oldest, w.oldest_at,
       CASE WHEN p.scope = 'all' AND p.name <> '' THEN 'SELECT integration.adopt(''why'');'
            WHEN p.scope = 'all' THEN 'SELECT integration.resume(''all'', NULL, ''why'');'
            ELSE format('SELECT integration.resume(%L, %L, ''why'');', p.scope, p.name) END AS next_step,
       integration_worker.owner_of_scope(p.scope, p.name) AS owner
  FROM integration_worker.pause_in_force p
  LEFT JOIN (SELECT b.scope, b.name, count(*) AS waiting, count(DISTINCT o.endpoint) AS endpoints,
                    count(DISTINCT (o.object_type, o.object_id)) FILTER (WHERE o.object_id IS NOT NULL) AS objects,
                    count(DISTINCT coalesce(o.customer, e.customer)) AS customers,
                    sum(o.impact) AS impact, min(o.id) AS oldest, min(o.created_at) AS oldest_at
               FROM integration_worker.behind_pause b
               JOIN integration_worker.asked o ON o.id = b.outbox_id
               JOIN integration.endpoint e ON e.name = o.endpoint
              GROUP BY b.scope, b.name) w USING (scope, name)
 ORDER BY w.impact DESC NULLS LAST, w.waiting DESC NULLS LAST, p.since;

COMMENT ON VIEW integration.pause_status IS
    'The pauses in force with what waits behind each, most at stake first; next_step ends one. Of a pause whose time is over nothing is left here.';

COMMENT ON COLUMN integration.pause_status.scope IS 'What is held: all, connector, endpoint or customer.';

COMMENT ON COLUMN integration.pause_status.name IS 'Which one; NULL: everything.';

COMMENT ON COLUMN integration.pause_status.reason IS 'Why, in the words of who did it.';

COMMENT ON COLUMN integration.pause_status.actor IS 'Who did it; integration: the endpoint has paused itself.';

COMMENT ON COLUMN integration.pause_status.error_class IS 'For what it has paused itself; NULL: somebody has paused it.';

COMMENT ON COLUMN integration.pause_status.since IS 'Since when.';

COMMENT ON COLUMN integration.pause_status.until IS 'Until when; NULL: until somebody resumes.';

COMMENT ON COLUMN integration.pause_status.lasts IS 'How long so far.';

COMMENT ON COLUMN integration.pause_status.waiting IS 'Syncs that wait to be sent.';

COMMENT ON COLUMN integration.pause_status.endpoints IS 'Different endpoints among them.';

COMMENT ON COLUMN integration.pause_status.objects IS 'Different business objects among them.';

COMMENT ON COLUMN integration.pause_status.customers IS 'Different customers among them.';

COMMENT ON COLUMN integration.pause_status.owner IS 'The team that looks after what is held; NULL: everything is, or nobody does.';

COMMENT ON COLUMN integration.pause_status.impact IS 'What is at stake, in the application''s unit; NULL: none was given.';

COMMENT ON COLUMN integration.pause_status.oldest IS 'The first of them.';

COMMENT ON COLUMN integration.pause_status.oldest_at IS 'When the oldest of them was asked for.';

COMMENT ON COLUMN integration.pause_status.next_step IS 'The statement that ends it.';

-- One sync in words: why it is where it is, what happened to it.

INSERT INTO integration.phrase (key, words) VALUES
    ('failure', '{class} ({details})'),
    ('failure.unclassed', 'an error'),
    ('attempt.none', 'no attempt had been made'),
    ('attempt.delivered', 'attempt {attempt} was delivered'),
    ('attempt.failed', 'attempt {attempt} failed with {failure}'),
    ('why.unknown', 'There is no sync {sync}: it was never committed, or retention has removed it.'),
    ('why.delivered', 'Sync {sync} was delivered at {time} by attempt {attempt} ({reason}).'),
    ('why.other', 'sync {other}, which is {state}'),
    ('why.duplicate', 'Sync {sync} was not sent: it is a duplicate of {other}.'),
    ('why.duplicate_of_unsent',
     'Sync {sync} was not sent: it is a duplicate of {other} and still stands for it (SELECT integration.why({look})).'),
    ('why.coalesced', 'Sync {sync} was not sent after {time}: a newer state of its object took its place, {other}.'),
    ('why.superseded', 'Sync {sync} was superseded at {time} ({reason}) by {other}.'),
    ('why.expired', 'Sync {sync} expired at {time}: it was not to be sent after {expires_at}, and {last}; {then}.'),
    ('why.expired_then', 'SELECT integration.amend({sync}, NULL, ''why'') sends it all the same'),
    ('why.cancelled', 'Sync {sync} was cancelled at {how}; {then}.'),
    ('why.cancelled_by', 'by {who}'),
    ('why.cancelled_then', 'SELECT integration.retry({sync}, ''why'') brings it back'),
    ('why.replaced_then', 'in its place went {other}'),
    ('why.failed', 'Sync {sync} waits for a person since {time}: {clues}; SELECT integration.amend({sync}, ''{…}'', ''why'') '
                   'sends corrected data, SELECT integration.retry({sync}, ''why'') the same again.'),
    ('why.remedy', 'remedy: {remedy}'),
    ('why.responsible', '(responsible: {responsible})'),
    ('why.held_as_copy', 'Sync {sync} is not sent. {remedy}'),
    ('why.paused', 'Sync {sync} waits because {what} is paused by {who} since {since} ("{reason}"), until {until}.'),
    ('pause.all', 'everything'),
    ('pause.connector', 'connector "{name}"'),
    ('pause.endpoint', 'endpoint "{name}"'),
    ('pause.customer', 'customer "{name}"'),
    ('pause.until_resumed', 'somebody runs SELECT integration.resume({which})'),
    ('why.stopped', 'Sync {sync} waits because endpoint "{endpoint}" is stopped since {since}: {clues}; it is tried again {probe}, '
                    'at once after a change of endpoint, connector or credential, or by SELECT integration.resume(''endpoint'', {which}).'),
    ('why.tripped', 'it failed with {failure}'),
    ('why.tripped_by', 'sync {other} failed with {failure}'),
    ('why.open', 'Sync {sync} waits because endpoint "{endpoint}" fails too often since {since}, last with {failure}; '
                 'one sync is tried {probe}, and the rest follows as soon as it is delivered.'),
    ('why.probe_now', 'now'),
    ('why.probe_at', 'at {time}'),
    ('why.retry_after', 'Sync {sync} waits because endpoint "{endpoint}" asked to be left alone until {time}; then it goes by itself. '
     'If that is not true any more, SELECT integration.resume(''endpoint'', {which}) sends it at once.'),
    ('why.retrying', 'Sync {sync} waits for attempt {next} at {time}: attempt {attempt} failed with {failure}.'),
    ('why.send_after', 'Sync {sync} is not to be sent before {time}, as the application asked.'),
    ('why.ordered', 'Sync {sync} waits because sync {other} comes before it under ordering key "{ordering_key}" and is {state}; '
                    'it goes when that one is finished (SELECT integration.why({other})).'),
    ('why.ordered_after_failed',
     'Sync {sync} waits because sync {other} comes before it under ordering key "{ordering_key}" and is {state}; '
     'it goes when that one is retried and delivered, amended or cancelled (SELECT integration.why({other})).'),
    ('why.rate', 'Sync {sync} waits because the rate limit of endpoint "{endpoint}" is {rate} a second; the next may leave at {time}.'),
    ('why.rate_announced',
     'Sync {sync} waits because endpoint "{endpoint}" said how much is left of its rate limit: the next may leave at {time}. '
     'If that is not true any more, SELECT integration.resume(''endpoint'', {which}) sends it at once.'),
    ('why.window', 'Sync {sync} waits because endpoint "{endpoint}" has as many requests under way as it gets at once '
                   'just now ({in_flight} of {window}); it goes when one of them ends.'),
    ('why.in_flight', 'Sync {sync} is being sent right now: attempt {next} began at {time}.'),
    ('why.token', 'Sync {sync} is due since {time} and leaves as soon as there is an access token for endpoint "{endpoint}": '
                  'the token endpoint of its credential is asked for one.'),
    ('why.due', 'Sync {sync} is due since {time} and leaves within moments.'),
    ('why.no_worker', 'Sync {sync} is due since {time}, but no worker runs in this database, so nothing is sent: look for '
                      '"integration" in the server''s log, and for shared_preload_libraries = ''integration'' in postgresql.conf.'),
    ('why.no_endpoint', 'Sync {sync} is not sent because endpoint "{endpoint}" was deleted while it was being enqueued: '
                        'SELECT integration.cancel({sync}, ''why'') gives it up; once there is an endpoint of that name again, '
                        'SELECT integration.amend({sync}, NULL, ''why'') sends it there.'),
    ('timeline.enqueued', 'enqueued'),
    ('timeline.delivered', 'attempt {attempt} delivered'),
    ('timeline.failed', 'attempt {attempt} failed'),
    ('timeline.worker', 'worker'),
    ('timeline.target', '{operation} to {endpoint}'),
    ('timeline.object', 'for {object}'),
    ('timeline.copy', 'a copy of sync {other}'),
    ('timeline.not_before', 'not before {time}'),
    ('timeline.not_after', 'not after {time}'),
    ('timeline.triggered_by', 'triggered by {who}'),
    ('timeline.took', 'took {ms} ms'),
    ('timeline.next_attempt', 'next attempt at {time}'),
    ('timeline.replaced', 'in its place sync {other}'),
    ('action.was', 'was {state}'),
    ('action.role', 'by role {role}'),
    ('action.copied', 'as sync {other}'),
    ('action.together', 'together with others ({count})'),
    ('verb.replay', 'replay'),
    ('verb.pause', 'pause'),
    ('verb.ping', 'ping');

CREATE OR REPLACE FUNCTION integration_worker.failure_words(reason text, error_class text, error text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say('failure', jsonb_build_object(
               'class', coalesce(error_class, integration_worker.say('failure.unclassed')),
               'details', concat_ws(': ', reason, rtrim(left(error, 300), '. '))))
$$;

CREATE FUNCTION integration_worker.last_failure_words(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE WHEN sync.attempt_no IS NULL THEN 'attempt.none'
                    WHEN sync.outcome = 'delivered' THEN 'attempt.delivered'
                    ELSE 'attempt.failed' END,
               jsonb_build_object('attempt', sync.attempt_no,
                                  'failure', integration_worker.failure_words(sync.reason, sync.error_class, sync.error)))
$$;
REVOKE ALL ON FUNCTION integration_worker.last_failure_words(integration_worker.sync_facts) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.last_failure_words(integration_worker.sync_facts) IS
    'How the last attempt of a sync ended, as a part of a sentence.';

-- What happened, what helps, who can do it.
CREATE FUNCTION integration_worker.clue_words(happened text, remedy text, responsible text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ', happened, nullif(concat_ws(' ',
               integration_worker.say('why.remedy', jsonb_build_object('remedy', rtrim(remedy, '. '))),
               integration_worker.say('why.responsible', jsonb_build_object(
                   'responsible', integration_worker.say('responsible.' || responsible)))), ''))
$$;
REVOKE ALL ON FUNCTION integration_worker.clue_words(text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.clue_words(text, text, text) IS
    'What happened with what helps, as a part of a sentence.';

CREATE FUNCTION integration_worker.why_finished(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended integration.closing;
    other_state text;
    other text;
    how text;
    words jsonb;
BEGIN
    SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = sync.id;
    IF NOT FOUND THEN
        RETURN integration_worker.say('why.delivered', jsonb_build_object(
                   'sync', sync.id, 'time', coalesce(integration_worker.time_words(sync.last_answer_at), '?'),
                   'attempt', coalesce(sync.attempt_no, 0), 'reason', coalesce(sync.reason, '?')));
    END IF;
    other_state := integration_worker.state_of(ended.superseded_by);
    other := integration_worker.say('why.other', jsonb_build_object(
                 'other', ended.superseded_by, 'state', integration_worker.say('state.' || other_state)));
    words := jsonb_build_object(
                 'sync', sync.id, 'time', integration_worker.time_words(ended.closed_at), 'reason', coalesce(ended.reason, ''),
                 'other', coalesce(other, ended.superseded_by::text, '?'), 'look', ended.superseded_by);
    IF ended.state = 'superseded' THEN
        RETURN integration_worker.say(
                   CASE WHEN ended.reason = 'coalesced' THEN 'why.coalesced'
                        WHEN ended.reason IS DISTINCT FROM 'duplicate' THEN 'why.superseded'
                        WHEN other_state IN ('failed', 'cancelled', 'expired') THEN 'why.duplicate_of_unsent'
                        ELSE 'why.duplicate' END, words);
    END IF;
    words := words || jsonb_build_object('then', integration_worker.say(
                 CASE WHEN ended.superseded_by IS NOT NULL THEN 'why.replaced_then'
                      ELSE format('why.%s_then', ended.state) END, words));
    IF ended.state = 'expired' THEN
        RETURN integration_worker.say('why.expired', words || jsonb_build_object(
                   'expires_at', coalesce(integration_worker.time_words(sync.expires_at), '?'),
                   'last', integration_worker.last_failure_words(sync)));
    END IF;
    SELECT concat_ws(' ', words ->> 'time', integration_worker.say('why.cancelled_by', jsonb_build_object('who', max(a.actor))),
                     '("' || ended.reason || '")')
      INTO how
      FROM (SELECT x.actor::text
              FROM integration.action x
             WHERE x.outbox_id = sync.id AND x.verb = 'cancel'
             ORDER BY x.id DESC
             LIMIT 1) a;
    RETURN integration_worker.say('why.cancelled', words || jsonb_build_object('how', how));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.why_finished(integration_worker.sync_facts) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.why_finished(integration_worker.sync_facts) IS
    'One sentence about a sync that is finished.';

CREATE FUNCTION integration_worker.why_failed(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say('why.failed', jsonb_build_object(
               'sync', sync.id, 'time', coalesce(integration_worker.time_words(sync.last_answer_at), '?'),
               'clues', integration_worker.clue_words(
                            integration_worker.last_failure_words(sync),
                            (SELECT u.remedy FROM integration.sync u WHERE u.id = sync.id), sync.responsible)))
$$;
REVOKE ALL ON FUNCTION integration_worker.why_failed(integration_worker.sync_facts) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.why_failed(integration_worker.sync_facts) IS
    'One sentence about a sync that is failed: what happened, what helps, who can do it, what to run then.';

CREATE FUNCTION integration_worker.why_paused(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p.scope = 'all' AND p.name <> '' THEN
                integration_worker.say('why.held_as_copy', jsonb_build_object(
                    'sync', sync.id, 'remedy', coalesce((SELECT i.remedy FROM integration.incident i WHERE i.id = 0), '')))
           ELSE
                integration_worker.say('why.paused', jsonb_build_object(
                    'sync', sync.id, 'what', integration_worker.say('pause.' || p.scope, jsonb_build_object('name', p.name)),
                    'who', p.actor, 'since', integration_worker.time_words(p.since), 'reason', p.reason,
                    'until', coalesce(integration_worker.time_words(p.until),
                                      integration_worker.say('pause.until_resumed', jsonb_build_object(
                                          'which', concat_ws(', ', quote_literal(p.scope),
                                                             CASE WHEN p.scope <> 'all' THEN quote_literal(p.name) END)))))) END
      FROM integration_worker.pause_in_force p
     WHERE integration_worker.pause_holds(p.scope, p.name, sync.connector, sync.endpoint,
                                          ARRAY[sync.customer, sync.endpoint_customer])
     ORDER BY p.until DESC NULLS FIRST, p.scope, p.name DESC
     LIMIT 1
$$;
REVOKE ALL ON FUNCTION integration_worker.why_paused(integration_worker.waiting) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.why_paused(integration_worker.waiting) IS
    'One sentence about a sync that a pause holds back: the one that ends last.';

CREATE FUNCTION integration_worker.probe_words(open_until timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN open_until > statement_timestamp()
                THEN integration_worker.say('why.probe_at', jsonb_build_object('time', integration_worker.time_words(open_until)))
                ELSE integration_worker.say('why.probe_now') END
$$;
REVOKE ALL ON FUNCTION integration_worker.probe_words(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.probe_words(timestamptz) IS 'When an endpoint is tried again, as a part of a sentence.';

CREATE FUNCTION integration_worker.why_endpoint_waits(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE WHEN h.state = 'stopped' THEN 'why.stopped'
                    WHEN h.state IN ('open', 'half_open') THEN 'why.open'
                    ELSE 'why.retry_after' END,
               w.words || jsonb_build_object(
                   'clues', CASE WHEN h.state = 'stopped' THEN integration_worker.clue_words(
                                integration_worker.say(CASE WHEN h.tripped_by IS NULL THEN 'why.tripped' ELSE 'why.tripped_by' END, w.words),
                                coalesce(k.remedy, r.remedy), coalesce(k.responsible, r.responsible)) END))
      FROM integration.endpoint_health h
      LEFT JOIN integration.error_reason r ON r.reason = h.last_reason
      LEFT JOIN integration.error_class k ON k.name = h.stopped_for
     CROSS JOIN LATERAL (SELECT jsonb_build_object(
               'sync', sync.id, 'endpoint', sync.endpoint, 'which', quote_literal(sync.endpoint), 'other', h.tripped_by,
               'since', integration_worker.time_words(h.since), 'time', integration_worker.time_words(h.retry_after_until),
               'probe', integration_worker.probe_words(h.open_until),
               'failure', integration_worker.failure_words(h.last_reason, coalesce(h.stopped_for, r.error_class), h.last_error)) AS words) w
     WHERE h.endpoint_id = sync.endpoint_id
$$;
REVOKE ALL ON FUNCTION integration_worker.why_endpoint_waits(integration_worker.waiting) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.why_endpoint_waits(integration_worker.waiting) IS
    'One sentence about a sync whose endpoint is stopped, open or asked to be left alone.';

CREATE FUNCTION integration_worker.why_scheduled(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE WHEN sync.state = 'retrying' THEN 'why.retrying' ELSE 'why.send_after' END,
               jsonb_build_object(
                   'sync', sync.id, 'next', sync.attempts + 1, 'time', integration_worker.time_words(sync.due_at),
                   'attempt', sync.attempts,
                   'failure', integration_worker.failure_words(sync.reason, sync.error_class, sync.error)))
$$;
REVOKE ALL ON FUNCTION integration_worker.why_scheduled(integration_worker.waiting) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.why_scheduled(integration_worker.waiting) IS
    'One sentence about a sync that waits for its own time.';

CREATE FUNCTION integration_worker.why_ordered(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE head.state WHEN 'failed' THEN 'why.ordered_after_failed' ELSE 'why.ordered' END,
               jsonb_build_object('sync', sync.id, 'other', sync.earlier, 'ordering_key', sync.ordering_key,
                                  'state', integration_worker.say('state.' || head.state)))
      FROM integration_worker.state_of(sync.earlier) AS head (state)
$$;
REVOKE ALL ON FUNCTION integration_worker.why_ordered(integration_worker.waiting) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.why_ordered(integration_worker.waiting) IS
    'One sentence about a sync that waits for an earlier one of its ordering key.';

-- An agreed rate lets the next one go within a token's time; what is later, the other side has announced.
CREATE FUNCTION integration_worker.why_rated(sync integration_worker.waiting, rate_free_at timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE WHEN rate_free_at <= statement_timestamp() + interval '1 s' / c.rate_limit THEN 'why.rate' ELSE 'why.rate_announced' END,
               jsonb_build_object('sync', sync.id, 'endpoint', sync.endpoint, 'which', quote_literal(sync.endpoint),
                                  'rate', c.rate_limit, 'time', integration_worker.time_words(rate_free_at)))
      FROM integration.endpoint_config c
     WHERE c.id = sync.endpoint_id
$$;
REVOKE ALL ON FUNCTION integration_worker.why_rated(integration_worker.waiting, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.why_rated(integration_worker.waiting, timestamptz) IS
    'One sentence about a sync that an agreed or announced rate limit holds back.';

-- What only shared memory knows comes as arguments, so that a test can say it.
CREATE FUNCTION integration_worker.why_waiting(
        id bigint, started_at timestamptz, rate_free_at timestamptz, in_flight integer, "window" integer,
        has_worker boolean, awaits_token boolean DEFAULT false)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync integration_worker.waiting;
    words jsonb;
BEGIN
    SELECT w.* INTO sync FROM integration_worker.waiting w WHERE w.id = why_waiting.id;
    words := jsonb_build_object(
                 'sync', id, 'endpoint', sync.endpoint, 'next', sync.attempts + 1, 'in_flight', in_flight, 'window', "window",
                 'time', coalesce(integration_worker.moment_words(started_at), integration_worker.time_words(sync.due_at)));
    -- The guard of the endpoint could not see what was not committed yet.
    IF NOT EXISTS (SELECT FROM integration.queue q
                     JOIN integration.endpoint e ON e.id = q.endpoint_id
                    WHERE q.outbox_id = why_waiting.id) THEN
        RETURN integration_worker.say('why.no_endpoint', words);
    END IF;
    CASE integration_worker.held_by(sync.state, started_at, sync.is_paused, sync.health, sync.retry_after_until,
                                    sync.due_at, sync.earlier, rate_free_at, in_flight, "window")
        WHEN 'paused' THEN RETURN integration_worker.why_paused(sync);
        WHEN 'stopped', 'open', 'retry_after' THEN RETURN integration_worker.why_endpoint_waits(sync);
        WHEN 'schedule' THEN RETURN integration_worker.why_scheduled(sync);
        WHEN 'ordering_key' THEN RETURN integration_worker.why_ordered(sync);
        WHEN 'rate' THEN RETURN integration_worker.why_rated(sync, rate_free_at);
        WHEN 'window' THEN RETURN integration_worker.say('why.window', words);
        ELSE
            RETURN integration_worker.say(CASE WHEN started_at IS NOT NULL THEN 'why.in_flight'
                                               WHEN NOT has_worker THEN 'why.no_worker'
                                               WHEN awaits_token THEN 'why.token'
                                               ELSE 'why.due' END, words);
    END CASE;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.why_waiting(bigint, timestamptz, timestamptz, integer, "window" integer, boolean, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.why_waiting(bigint, timestamptz, timestamptz, integer, integer, boolean, boolean) IS
    'One sentence about a sync that waits to be sent.';

CREATE OR REPLACE FUNCTION integration.why(id bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync integration_worker.sync_facts;
    state text := integration_worker.state_of(why.id);
BEGIN
    IF state IS NULL THEN
        RETURN integration_worker.say('why.unknown', jsonb_build_object('sync', coalesce(why.id::text, 'NULL')));
    END IF;
    IF state IN ('pending', 'retrying') THEN
        RETURN (SELECT integration_worker.why_waiting(
                           w.id, l.started_at, e.rate_free_at, e.in_flight, e."window",
                           EXISTS (SELECT FROM integration_worker.live_workers()),
                           integration_worker.awaits_token(w.endpoint_id))
                  FROM integration_worker.waiting w
                  LEFT JOIN integration_worker.live_syncs() l ON l.outbox_id = w.id
                  LEFT JOIN integration_worker.live_endpoints() e ON e.endpoint_id = w.endpoint_id
                 WHERE w.id = why.id);
    END IF;
    SELECT f.* INTO sync FROM integration_worker.sync_facts f WHERE f.id = why.id;
    RETURN CASE state WHEN 'failed' THEN integration_worker.why_failed(sync)
                      ELSE integration_worker.why_finished(sync) END;
END
$$;

CREATE FUNCTION integration_worker.action_words(details jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(concat_ws('; ',
               integration_worker.say('action.was', jsonb_build_object('state', integration_worker.say('state.' || (details ->> 'state')))),
               integration_worker.say('action.role', jsonb_build_object('role', details -> 'role')),
               integration_worker.say('action.copied', jsonb_build_object('other', details -> 'copy')),
               integration_worker.say('action.together', jsonb_build_object('count', nullif(details ->> 'together_with', '0')))), '')
$$;
REVOKE ALL ON FUNCTION integration_worker.action_words(jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.action_words(jsonb) IS
    'What else there is to say about an action on a sync.';

CREATE FUNCTION integration_worker.enqueued_words(sync integration.outbox) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ',
               integration_worker.say('timeline.target', jsonb_build_object('operation', sync.operation, 'endpoint', sync.endpoint)),
               integration_worker.say('timeline.object', jsonb_build_object(
                   'object', nullif(concat_ws(' ', sync.object_type, sync.object_id), ''))),
               integration_worker.say('timeline.copy', jsonb_build_object('other', sync.replay_of)),
               integration_worker.say('timeline.not_before', jsonb_build_object('time', integration_worker.time_words(sync.send_after))),
               integration_worker.say('timeline.not_after', jsonb_build_object('time', integration_worker.time_words(sync.expires_at))),
               integration_worker.say('timeline.triggered_by', jsonb_build_object(
                   'who', nullif(concat_ws(' ', sync.triggered_by, sync.trigger_ref), ''))))
$$;
REVOKE ALL ON FUNCTION integration_worker.enqueued_words(integration.outbox) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.enqueued_words(integration.outbox) IS
    'What was asked, for the first line of a timeline.';

CREATE FUNCTION integration_worker.attempt_words(attempt integration.attempt) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ',
               CASE attempt.outcome WHEN 'failed'
                    THEN integration_worker.failure_words(attempt.reason, attempt.error_class, attempt.error)
                    ELSE attempt.reason END,
               integration_worker.say('timeline.took', jsonb_build_object('ms', attempt.duration_ms)),
               integration_worker.say('timeline.next_attempt', jsonb_build_object(
                   'time', integration_worker.time_words(attempt.next_attempt_at))))
$$;
REVOKE ALL ON FUNCTION integration_worker.attempt_words(integration.attempt) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.attempt_words(integration.attempt) IS
    'What came of an attempt, for its line of a timeline.';

CREATE OR REPLACE FUNCTION integration.timeline(id bigint)
    RETURNS TABLE (at timestamptz, what text, who text, details text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_sync(timeline.id);
    RETURN QUERY
    SELECT t.at, t.what, t.who, nullif(t.details, '')
      FROM (SELECT o.created_at AS at, 0 AS rank, integration_worker.say('timeline.enqueued') AS what,
                   concat(o.enqueued_by, ' (' || o.enqueued_from || ')') AS who, integration_worker.enqueued_words(o) AS details
              FROM integration.outbox o
             WHERE o.id = timeline.id
            UNION ALL
            SELECT a.started_at, 1, integration_worker.say('timeline.' || a.outcome, jsonb_build_object('attempt', a.attempt_no)),
                   integration_worker.say('timeline.worker'), integration_worker.attempt_words(a)
              FROM integration.attempt a
             WHERE a.outbox_id = timeline.id
            UNION ALL
            SELECT x.at, 2, integration_worker.say('verb.' || x.verb), x.actor,
                   concat_ws('; ', '"' || x.reason || '"', integration_worker.action_words(x.details))
              FROM integration.action x
             WHERE x.outbox_id = timeline.id
            UNION ALL
            SELECT c.closed_at, 3, integration_worker.say('state.' || c.state), NULL,
                   concat_ws('; ', c.reason, integration_worker.say('timeline.replaced', jsonb_build_object('other', c.superseded_by)))
              FROM integration.closing c
             WHERE c.outbox_id = timeline.id) t
     ORDER BY t.at, t.rank, t.what;
END
$$;

-- Notices: who is told of an incident, over which endpoints.

-- What happened to incidents that nobody was told of yet.  Written in the transaction that changed the incident;
-- the worker takes it from there in transactions of its own.
CREATE TABLE integration_worker.incident_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident bigint NOT NULL,
    change text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_distributed boolean NOT NULL DEFAULT false
);
REVOKE ALL ON TABLE integration_worker.incident_change FROM PUBLIC;

COMMENT ON TABLE integration_worker.incident_change IS
    'What happened to incidents: until it stands in notice_due, and until those who listen were notified.';

CREATE TABLE integration.notice_endpoint (
    endpoint text PRIMARY KEY REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    format text NOT NULL DEFAULT 'json' CHECK (format IN ('json', 'slack', 'pagerduty', 'teams')),
    severity smallint NOT NULL DEFAULT 4 CHECK (severity BETWEEN 1 AND 4),
    owner text,
    customer text,
    changes text[] NOT NULL DEFAULT '{opened,reopened,updated,escalated,acknowledged,resolved}'
        CHECK (changes <@ '{opened,reopened,updated,escalated,acknowledged,resolved}' AND changes <> '{}'),
    routing_key text CONSTRAINT pagerduty_alone_needs_a_routing_key CHECK ((format = 'pagerduty') = (routing_key IS NOT NULL)),
    locale text NOT NULL DEFAULT 'en',
    at_once integer NOT NULL DEFAULT 5 CHECK (at_once > 0),
    digest_every interval NOT NULL DEFAULT '1 min' CHECK (digest_every > '0'),
    audience text CHECK (audience IN ('customer', 'support', 'engineer')),
    CONSTRAINT a_customer_hears_of_its_own_alone CHECK (audience <> 'customer' OR customer IS NOT NULL),
    CONSTRAINT pagerduty_is_not_for_customers CHECK (audience <> 'customer' OR format <> 'pagerduty')
);
REVOKE ALL ON TABLE integration.notice_endpoint FROM PUBLIC;

COMMENT ON TABLE integration.notice_endpoint IS
    'Endpoints that are told of incidents. A notice is a sync like any other: it is retried, paused, looked at in the same ways.';

COMMENT ON COLUMN integration.notice_endpoint.endpoint IS 'The endpoint; of its own incidents it is told nothing.';

COMMENT ON COLUMN integration.notice_endpoint.format IS
    'json (ours), slack (incoming webhook), pagerduty (Events API v2) or teams (a workflow''s webhook).';

COMMENT ON COLUMN integration.notice_endpoint.severity IS 'Told of incidents of this severity or worse: 1 the worst only, 4 all.';

COMMENT ON COLUMN integration.notice_endpoint.owner IS 'Told of this team''s incidents only; NULL: of all teams''.';

COMMENT ON COLUMN integration.notice_endpoint.customer IS 'Told of incidents of this customer''s endpoints only; NULL: of all.';

COMMENT ON COLUMN integration.notice_endpoint.changes IS 'Which changes: opened, reopened, updated, escalated, acknowledged, resolved.';

COMMENT ON COLUMN integration.notice_endpoint.routing_key IS 'PagerDuty''s integration key; it stands in the body of each notice, hidden from support by endpoint.mask.';

COMMENT ON COLUMN integration.notice_endpoint.locale IS 'Language of the texts.';

COMMENT ON COLUMN integration.notice_endpoint.at_once IS
    'So many notices within digest_every leave singly; the last of them is a digest where there are more. PagerDuty is told of each.';

COMMENT ON COLUMN integration.notice_endpoint.digest_every IS 'And then no other for so long.';

COMMENT ON COLUMN integration.notice_endpoint.audience IS
    'customer, support or engineer: told of an incident from the level of escalation_level on that is theirs, a customer in words that hold nothing internal. NULL: told of all from the beginning.';

CREATE FUNCTION integration_worker.mask_routing_key() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.endpoint e
       SET mask = coalesce(e.mask, '{}') || '$.routing_key'::text
     WHERE e.name = NEW.endpoint AND '$.routing_key' <> ALL (coalesce(e.mask, '{}'));
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.mask_routing_key() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.mask_routing_key() IS
    'Row trigger: hides the key that stands in PagerDuty''s notices from all but administrators.';

CREATE TRIGGER mask_routing_key AFTER INSERT OR UPDATE ON integration.notice_endpoint
    FOR EACH ROW WHEN (NEW.routing_key IS NOT NULL) EXECUTE FUNCTION integration_worker.mask_routing_key();

CREATE TABLE integration.notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    endpoint text NOT NULL,
    incident bigint NOT NULL,
    change text NOT NULL,
    outbox_id bigint NOT NULL
);
REVOKE ALL ON TABLE integration.notice FROM PUBLIC;

-- Serves the count of what left lately.
CREATE INDEX notice_endpoint_at ON integration.notice (endpoint, at);

-- Serves the story of an incident, and its end.
CREATE INDEX notice_incident ON integration.notice (incident);

COMMENT ON TABLE integration.notice IS 'Who was told what about which incident: a row for each, those of a digest with the same sync.';

COMMENT ON COLUMN integration.notice.id IS 'Its number.';

COMMENT ON COLUMN integration.notice.at IS 'When it was put into the outbox.';

COMMENT ON COLUMN integration.notice.endpoint IS 'Who.';

COMMENT ON COLUMN integration.notice.incident IS 'Which incident.';

COMMENT ON COLUMN integration.notice.change IS 'opened, reopened, updated, escalated, acknowledged or resolved.';

COMMENT ON COLUMN integration.notice.outbox_id IS 'The sync that carries it.';

CREATE TABLE integration_worker.notice_due (
    endpoint text NOT NULL REFERENCES integration.notice_endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    change_id bigint NOT NULL,
    incident bigint NOT NULL,
    change text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (endpoint, change_id)
);
REVOKE ALL ON TABLE integration_worker.notice_due FROM PUBLIC;

COMMENT ON TABLE integration_worker.notice_due IS 'Notices that are to leave, some of them as a digest.';

CREATE FUNCTION integration_worker.tell(incidents bigint[], change text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF cardinality(incidents) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO integration_worker.incident_change (incident, change)
    SELECT i.id, tell.change FROM unnest(incidents) AS i (id);
    PERFORM integration_worker.wake_for_incident();
END
$$;
REVOKE ALL ON FUNCTION integration_worker.tell(bigint[], text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.tell(bigint[], text) IS
    'Has people told of what this transaction does to incidents, once it commits.';

-- Two failing notice endpoints tell each other of that once each: an incident is opened once, however many of
-- its notices fail.
CREATE FUNCTION integration_worker.distribute_changes(most integer DEFAULT 1000) RETURNS SETOF integration_worker.incident_change
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    changes integration_worker.incident_change[] := ARRAY(
        SELECT c
          FROM integration_worker.incident_change c
         WHERE NOT c.is_distributed
         ORDER BY c.id
         LIMIT most
           FOR UPDATE SKIP LOCKED);
BEGIN
    IF changes = '{}' THEN
        RETURN;
    END IF;
    INSERT INTO integration_worker.notice_due (endpoint, change_id, incident, change, at)
    SELECT n.endpoint, c.id, c.incident, c.change, c.at
      FROM unnest(changes) c
      JOIN integration.incident i ON i.id = c.incident
      JOIN integration.notice_endpoint n ON integration_worker.hears(n, i, c.change);
    UPDATE integration_worker.incident_change c
       SET is_distributed = true
     WHERE c.id = ANY (ARRAY(SELECT x.id FROM unnest(changes) x));
    RETURN QUERY SELECT x.* FROM unnest(changes) x ORDER BY x.id;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.distribute_changes(integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.distribute_changes(integer) IS
    'Decides who is told of new changes, the oldest first and not more than that many; returns them.';

CREATE FUNCTION integration_worker.log_line(change integration_worker.incident_change, OUT line text, OUT detail text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT format('integration incident %s %s: %s%s%s', i.id, change.change, i.error_class,
                  ' at endpoint "' || nullif(i.endpoint, '') || '"', ', owner ' || i.owner),
           'An example: ' || integration_worker.ids_for_log(ARRAY[i.example]) || '.',
           CASE WHEN i.resolved_at IS NULL THEN concat_ws(' ', i.remedy, format('SELECT * FROM integration.runbook(%s) in database "%s" says what to do.', i.id, current_database())) END
      INTO line, detail, hint
      FROM integration.incident i
     WHERE i.id = change.incident;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.log_line(integration_worker.incident_change) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.log_line(integration_worker.incident_change) IS
    'What stands in the server''s log about a change of an incident.';

-- All words of it in the language of who reads it.  With an ordering key, so that nobody hears of the end of an incident before its beginning; of each incident one
-- of its own, so that a notice which is refused keeps nobody from hearing of another incident.
CREATE FUNCTION integration_worker.send_notice(receiver integration.notice_endpoint, due integration_worker.notice_due[], now timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_locale text := current_setting('integration.locale');
    sync bigint;
BEGIN
    PERFORM set_config('integration.locale', receiver.locale, true);
    INSERT INTO integration.outbox (endpoint, object_type, object_id, operation, payload, ordering_key, priority, triggered_by, expires_at)
    VALUES (receiver.endpoint, 'incident', CASE WHEN cardinality(due) = 1 THEN due[1].incident::text END,
            CASE WHEN cardinality(due) = 1 THEN due[1].change ELSE 'digest' END,
            integration_worker.notice_payload(receiver, due),
            CASE WHEN cardinality(due) = 1 THEN 'incident-' || due[1].incident ELSE 'digest' END, 'high', 'integration', now + interval '1 day')
    RETURNING id INTO sync;
    PERFORM set_config('integration.locale', own_locale, true);
    INSERT INTO integration.notice (at, endpoint, incident, change, outbox_id)
    SELECT now, receiver.endpoint, d.incident, d.change, sync FROM unnest(due) d;
    DELETE FROM integration_worker.notice_due d
     WHERE d.endpoint = receiver.endpoint
       AND d.change_id = ANY (ARRAY(SELECT x.change_id FROM unnest(due) x));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.send_notice(integration.notice_endpoint, integration_worker.notice_due[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.send_notice(integration.notice_endpoint, integration_worker.notice_due[], timestamptz) IS
    'Puts one notice into the outbox, a digest where it is about several changes.';

-- A hundred changes are told in less than a second, for which nothing else is sent, and a digest of them is smaller
-- than endpoints accept.
CREATE FUNCTION integration_worker.send_notices_to(receiver integration.notice_endpoint, now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100;
    due integration_worker.notice_due[] := ARRAY(
        SELECT d
          FROM integration_worker.notice_due d
         WHERE d.endpoint = receiver.endpoint
         ORDER BY d.change_id
         LIMIT most);
    sent timestamptz[] := ARRAY(
        SELECT DISTINCT n.at
          FROM integration.notice n
         WHERE n.endpoint = receiver.endpoint
           AND n.at > now - receiver.digest_every
           -- not of a clock that ran ahead
           AND n.at < now + interval '1 s'
         ORDER BY n.at);
    room integer := CASE receiver.format WHEN 'pagerduty' THEN cardinality(due) ELSE receiver.at_once - cardinality(sent) END;
BEGIN
    IF room <= 0 AND due <> '{}' THEN
        RETURN sent[1 + cardinality(sent) - receiver.at_once] + receiver.digest_every;
    END IF;
    FOR i IN 1 .. least(room, cardinality(due)) LOOP
        PERFORM integration_worker.send_notice(
            receiver, CASE WHEN i = room THEN due[i:] ELSE due[i:i] END, now + i * interval '1 us');
    END LOOP;
    RETURN CASE WHEN cardinality(due) = most THEN now ELSE 'infinity' END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.send_notices_to(integration.notice_endpoint, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.send_notices_to(integration.notice_endpoint, timestamptz) IS
    'Sends what an endpoint is to be told, what is too much for now as one digest; returns when to look again.';

-- What its own settings refuse must not keep the others from hearing of incidents.
CREATE FUNCTION integration_worker.try_notices_to(receiver integration.notice_endpoint, now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.send_notices_to(receiver, try_notices_to.now);
EXCEPTION
    WHEN lock_not_available THEN
        RETURN try_notices_to.now + interval '1 s';
    WHEN OTHERS THEN
        RAISE WARNING USING
            ERRCODE = SQLSTATE,
            MESSAGE = format('integration cannot tell endpoint "%s" of incidents: %s', receiver.endpoint, SQLERRM),
            HINT = 'It tries again every minute. Correct the endpoint or its connector, or delete it from integration.notice_endpoint.';
        RETURN try_notices_to.now + interval '1 min';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.try_notices_to(integration.notice_endpoint, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.try_notices_to(integration.notice_endpoint, timestamptz) IS
    'The same; an error is reported, nothing of it stays, and it is tried again in a minute.';

CREATE FUNCTION integration_worker.send_notices(now timestamptz DEFAULT clock_timestamp()) RETURNS timestamptz
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
    SELECT coalesce(min(integration_worker.try_notices_to(n, send_notices.now)), 'infinity')
      FROM integration.notice_endpoint n
     WHERE n.endpoint IN (SELECT d.endpoint FROM integration_worker.notice_due d)
$$;
REVOKE ALL ON FUNCTION integration_worker.send_notices(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.send_notices(timestamptz) IS
    'Sends what is due; returns when to look again, infinity: when something happens.';

-- In a transaction of its own: NOTIFY takes a lock over all databases at commit, and the sender waits no longer for it
-- than this.
CREATE FUNCTION integration_worker.notify_listeners() RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told record;
BEGIN
    FOR told IN
        WITH gone AS (
            DELETE FROM integration_worker.incident_change c
             WHERE c.id IN (SELECT x.id FROM integration_worker.incident_change x
                             WHERE x.is_distributed ORDER BY x.id LIMIT 1000 FOR UPDATE SKIP LOCKED)
            RETURNING c.*)
        SELECT g.change, i.*, g.id AS change_id FROM gone g JOIN integration.incident i ON i.id = g.incident ORDER BY g.id LOOP
        PERFORM pg_notify('integration_incident', jsonb_build_object(
            'incident', told.id, 'change', told.change, 'endpoint', told.endpoint, 'error_class', told.error_class,
            'severity', told.severity, 'owner', told.owner, 'change_id', told.change_id)::text);
    END LOOP;
    PERFORM set_config('lock_timeout', '20ms', true);
    RETURN EXISTS (SELECT FROM integration_worker.incident_change c WHERE c.is_distributed);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.notify_listeners() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.notify_listeners() IS
    'Notifies who listens on integration_incident of what was distributed; whether something is left.';

-- What a failure sets off, gone through once before there is one.

-- What a session does for the first time, it reads functions for, makes plans for: for a failure that takes thirty times
-- as long as for the next one, while all other syncs wait.  Of a sync, an endpoint, an incident that don't exist; all of
-- it is taken back, and no number that people see is used up.
CREATE FUNCTION integration_worker.rehearse(at timestamptz DEFAULT clock_timestamp()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    result integration_worker.result;
    counter integration_worker.counter;
    verdict integration_worker.verdict;
    ground integration_worker.ground;
BEGIN
    INSERT INTO integration.incident (id, endpoint, error_class) OVERRIDING SYSTEM VALUE VALUES (-1, '', 'rehearsal');
    result.outbox_id := -1;
    result.endpoint_id := -1;
    result.reason := 'http:503';
    result.http_status := 503;
    -- One more, and the breaker opens.
    counter.endpoint_id := -1;
    counter.failures := 9;
    PERFORM integration_worker.settle(ARRAY[result], ARRAY[counter], rehearse.at);
    PERFORM integration_worker.plain_endpoints('{-1}', rehearse.at);
    verdict.outbox_id := -1;
    verdict.attempts := 1;
    verdict.charged := 0;
    SELECT r, true, p.schedule, p.jitter, p.deadline, '{}'
      INTO ground.fact, ground.idempotent, ground.schedule, ground.jitter, ground.deadline, ground.mask
      FROM integration.error_reason r, integration.retry_policy p
     WHERE r.reason = result.reason AND p.name = 'standard';
    PERFORM integration_worker.decide(verdict, ground, NULL, rehearse.at);
    PERFORM integration_worker.write_status(ARRAY[verdict], rehearse.at);
    PERFORM integration_worker.owner_of(-1, 'remote_unavailable', NULL, NULL);
    PERFORM integration_worker.end_incidents('{-1}', rehearse.at);
    PERFORM l.line FROM integration_worker.distribute_changes(1) c, integration_worker.log_line(c) l;
    PERFORM integration_worker.notify_listeners();
    RAISE EXCEPTION USING ERRCODE = 'transaction_rollback';
EXCEPTION
    WHEN transaction_rollback THEN
        RETURN true;
    WHEN lock_not_available THEN
        RETURN false;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.rehearse(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.rehearse(timestamptz) IS
    'Goes through what a failure sets off and takes it back, so that the worker has read its functions and made its plans before it matters. Whether it came to the end; false: somebody has a lock.';

-- Watchdogs: what no result says is looked for every minute.

CREATE TABLE integration_worker.failing_watchdog (
    name text PRIMARY KEY,
    since timestamptz NOT NULL,
    error text NOT NULL
);
REVOKE ALL ON TABLE integration_worker.failing_watchdog FROM PUBLIC;

COMMENT ON TABLE integration_worker.failing_watchdog IS
    'Watchdogs that ended with an error when they last looked; a row leaves when its watchdog works again.';

CREATE FUNCTION integration_worker.has_incident(endpoint text, error_class text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration.incident i
                    WHERE i.endpoint = has_incident.endpoint AND i.error_class = has_incident.error_class
                      AND i.resolved_at IS NULL)
$$;
REVOKE ALL ON FUNCTION integration_worker.has_incident(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.has_incident(text, text) IS
    'Whether there is an incident that is not over; by the index incident_open.';

CREATE FUNCTION integration_worker.open_incident(
        endpoint text, error_class text, at timestamptz, note text DEFAULT NULL, example bigint DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    incident bigint;
BEGIN
    IF integration_worker.has_incident(open_incident.endpoint, open_incident.error_class) THEN
        RETURN NULL;
    END IF;
    UPDATE integration.incident i
       SET state = 'open', last_seen_at = open_incident.at, note = open_incident.note,
           example = coalesce(open_incident.example, i.example)
     WHERE i.id = (SELECT x.id
                     FROM integration.incident x
                    WHERE x.endpoint = open_incident.endpoint AND x.error_class = open_incident.error_class
                      AND x.resolved_at > open_incident.at - integration_worker.reopens_within()
                    ORDER BY x.resolved_at DESC
                    LIMIT 1)
    RETURNING i.id INTO incident;
    IF FOUND THEN
        PERFORM integration_worker.tell(ARRAY[incident], 'reopened');
        RETURN incident;
    END IF;
    INSERT INTO integration.incident (endpoint, error_class, severity, owner, responsible, remedy, opened_at, last_seen_at,
                                      customers, example, note)
    SELECT open_incident.endpoint, k.name, coalesce(c.severity, 1),
           integration_worker.owner_of(c.id, k.name, c.customer, k.responsible), k.responsible, k.remedy, open_incident.at,
           open_incident.at, CASE WHEN c.customer IS NULL THEN 0 ELSE 1 END, open_incident.example, open_incident.note
      FROM integration.error_class k
      LEFT JOIN integration.endpoint_config c ON c.name = open_incident.endpoint
     WHERE k.name = open_incident.error_class
        ON CONFLICT (endpoint, error_class) WHERE resolved_at IS NULL DO NOTHING
    RETURNING id INTO incident;
    IF FOUND THEN
        PERFORM integration_worker.tell(ARRAY[incident], 'opened');
    END IF;
    RETURN incident;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.open_incident(text, text, timestamptz, text, bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.open_incident(text, text, timestamptz, text, bigint) IS
    'Opens an incident that a watchdog has found, or the one again that ended within a day; endpoint empty: the whole database. Returns it; NULL: it is open already.';

CREATE FUNCTION integration_worker.tell_more(
        endpoint text, error_class text, at timestamptz, note text, example bigint DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known bigint;
BEGIN
    IF integration_worker.open_incident(tell_more.endpoint, tell_more.error_class, tell_more.at, tell_more.note,
                                        tell_more.example) IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE integration.incident i
       SET note = tell_more.note, last_seen_at = tell_more.at
     WHERE i.endpoint = tell_more.endpoint AND i.error_class = tell_more.error_class AND i.resolved_at IS NULL
    RETURNING CASE WHEN i.state <> 'ignored' THEN i.id END INTO known;
    IF known IS NOT NULL THEN
        PERFORM integration_worker.tell(ARRAY[known], 'updated');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.tell_more(text, text, timestamptz, text, bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.tell_more(text, text, timestamptz, text, bigint) IS
    'Opens an incident that a watchdog has found, or says in the open one what is new; people are told of either, unless somebody ignores it.';

CREATE FUNCTION integration_worker.end_incident(endpoint text, error_class text, at timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    incident bigint := (SELECT i.id
                          FROM integration.incident i
                         WHERE i.endpoint = end_incident.endpoint AND i.error_class = end_incident.error_class
                           AND i.resolved_at IS NULL AND i.state <> 'ignored'
                           FOR NO KEY UPDATE SKIP LOCKED);
BEGIN
    IF incident IS NOT NULL THEN
        PERFORM integration_worker.end_incidents(ARRAY[incident], end_incident.at);
    END IF;
    RETURN incident;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.end_incident(text, text, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.end_incident(text, text, timestamptz) IS
    'Ends the incident whose watchdog finds nothing any more, with what people did meanwhile. Returns it; NULL: none was open, or somebody ignores or edits it.';

CREATE FUNCTION integration_worker.watchdogs() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY[
        'watch_expected',
        'watch_growth',
        'watch_long_failure',
        'watch_sla',
        'watch_interfaces',
        'watch_design_faults',
        'watch_certificates',
        'escalate',
        'beat'
    ]
$$;
REVOKE ALL ON FUNCTION integration_worker.watchdogs() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watchdogs() IS
    'The functions that watch() calls with the time; each returns when it has to look again, NULL: in a minute.';

CREATE FUNCTION integration_worker.hurried_watchdogs() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY['escalate', 'beat']
$$;
REVOKE ALL ON FUNCTION integration_worker.hurried_watchdogs() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.hurried_watchdogs() IS
    'Those of them that look soon after an incident or a heartbeat has changed; the others see nothing new in that.';

-- A watchdog that takes too long is cancelled, which OTHERS leaves out, and it must not keep the others from looking.
CREATE FUNCTION integration_worker.run_watchdog(name text, now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    again_at timestamptz;
BEGIN
    EXECUTE format('SELECT integration_worker.%I($1)', run_watchdog.name) INTO again_at USING run_watchdog.now;
    DELETE FROM integration_worker.failing_watchdog f WHERE f.name = run_watchdog.name;
    RETURN again_at;
EXCEPTION
    WHEN lock_not_available THEN
        RETURN run_watchdog.now + interval '1 s';
    WHEN query_canceled OR OTHERS THEN
        INSERT INTO integration_worker.failing_watchdog (name, since, error)
        VALUES (run_watchdog.name, run_watchdog.now, SQLERRM)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RAISE WARNING USING
                ERRCODE = SQLSTATE,
                MESSAGE = format('integration cannot look for what %s() finds: %s', run_watchdog.name, SQLERRM),
                HINT = format('It tries again every minute, in silence; SELECT integration_worker.%I(now()) shows the error.', run_watchdog.name);
        END IF;
        RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.run_watchdog(text, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.run_watchdog(text, timestamptz) IS
    'Has one watchdog look; an error of it is reported once and remembered until it works again.';

CREATE FUNCTION integration_worker.watch(name text, now timestamptz DEFAULT clock_timestamp()) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
BEGIN
    RETURN greatest(least(integration_worker.run_watchdog(watch.name, watch.now), watch.now + interval '1 min'),
                    watch.now + interval '1 s');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.watch(text, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watch(text, timestamptz) IS
    'Has a watchdog look; called by the worker that has the first shard, in a transaction of its own. Returns when it has to look again.';

INSERT INTO integration.phrase (key, words) VALUES
    ('worker_hangs', 'A worker has not come round since {since}: nothing of its endpoints is sent.'),
    ('worker_hung', 'A worker did not come round from {since} to {until}: nothing of its endpoints was sent meanwhile.');

CREATE FUNCTION integration_worker.note_silence(since timestamptz, until timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    words jsonb := jsonb_build_object('since', integration_worker.time_words(note_silence.since),
                                      'until', integration_worker.time_words(note_silence.until));
    sentence text := integration_worker.say(CASE WHEN note_silence.until IS NULL THEN 'worker_hangs' ELSE 'worker_hung' END, words);
BEGIN
    PERFORM integration_worker.open_incident('', 'worker_silent', note_silence.since, sentence);
    IF note_silence.until IS NULL THEN
        RETURN;
    END IF;
    UPDATE integration.incident i
       SET note = sentence
     WHERE i.endpoint = '' AND i.error_class = 'worker_silent' AND i.resolved_at IS NULL;
    PERFORM integration_worker.end_incident('', 'worker_silent', note_silence.until);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.note_silence(timestamptz, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.note_silence(timestamptz, timestamptz) IS
    'Writes down that a worker hung; until is NULL while it does. Called by any worker of the database that turns, this one or another.';

-- Expected but missing: endpoints to which less was delivered than they say.

CREATE FUNCTION integration_worker.check_expectation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.expected_every IS NOT NULL
       AND (NOT integration_worker.is_exact(NEW.expected_every) OR NEW.expected_every NOT BETWEEN '1 min' AND '366 days') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'expected_every',
            MESSAGE = format('expected_every of endpoint "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', NEW.expected_every),
            HINT = 'Write 1 min to 366 days in days, hours, minutes, such as ''1 day''; NULL where nothing is expected.';
    END IF;
    IF NEW.expected_at_least IS NOT NULL AND (NEW.expected_every IS NULL OR NEW.expected_at_least NOT BETWEEN 1 AND 100000) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'expected_at_least',
            MESSAGE = format('expected_at_least of endpoint "%s" cannot be used', NEW.name),
            DETAIL = CASE WHEN NEW.expected_every IS NULL THEN 'There is no expected_every.'
                          ELSE format('It is %s.', NEW.expected_at_least) END,
            HINT = 'Write 1 to 100000 deliveries, with expected_every as the time within which they are expected.';
    END IF;
    IF NEW.expected_since IS NULL OR (TG_OP = 'UPDATE' AND NEW.expected_since IS NOT DISTINCT FROM OLD.expected_since) THEN
        NEW.expected_since := CASE WHEN NEW.expected_every IS NOT NULL THEN now() END;
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_expectation() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_expectation() IS
    'Row trigger: refuses expectations that mean nothing, has a new one begin now.';

CREATE TRIGGER expect BEFORE INSERT ON integration.endpoint
    FOR EACH ROW WHEN (NEW.expected_every IS NOT NULL OR NEW.expected_at_least IS NOT NULL)
    EXECUTE FUNCTION integration_worker.check_expectation();

CREATE TRIGGER expect_changed BEFORE UPDATE ON integration.endpoint
    FOR EACH ROW WHEN ((NEW.expected_every, NEW.expected_at_least) IS DISTINCT FROM (OLD.expected_every, OLD.expected_at_least))
    EXECUTE FUNCTION integration_worker.check_expectation();

-- What was held back may arrive for a while after it was let go.
CREATE FUNCTION integration_worker.paused_endpoints(since timestamptz) RETURNS SETOF integer
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.id
      FROM integration.pause p
      JOIN integration.endpoint e ON integration_worker.pause_holds(p.scope, p.name, e.connector, e.name, ARRAY[e.customer])
     WHERE p.until IS NULL OR p.until > paused_endpoints.since
     UNION
    SELECT e.id
      FROM integration.endpoint e
     WHERE EXISTS (SELECT FROM integration.action a WHERE a.at > paused_endpoints.since AND a.verb = 'resume')
$$;
REVOKE ALL ON FUNCTION integration_worker.paused_endpoints(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.paused_endpoints(timestamptz) IS
    'The endpoints that a pause holds or held since then; all, where somebody resumed anything since.';

CREATE FUNCTION integration_worker.delivered_since(endpoint_id integer, since timestamptz, most integer) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- To ten seconds.
    IF (SELECT h.last_success_at FROM integration.endpoint_health h WHERE h.endpoint_id = delivered_since.endpoint_id)
       > delivered_since.since - interval '10 s' IS NOT TRUE THEN
        RETURN 0;
    END IF;
    IF most = 1 THEN
        RETURN 1;
    END IF;
    RETURN (SELECT count(*)
              FROM (SELECT
                      FROM integration.attempt a
                     WHERE a.endpoint_id = delivered_since.endpoint_id AND a.started_at > delivered_since.since
                       AND a.outcome = 'delivered'
                     LIMIT most) d);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.delivered_since(integer, timestamptz, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.delivered_since(integer, timestamptz, integer) IS
    'How many deliveries there were, up to a number; by the index of recent attempts.';

INSERT INTO integration.phrase (key, words) VALUES
    ('expected_missing', 'Expected: at least {at_least} every {every}; delivered since {since}: {count}.'),
    ('expected_last', 'The last delivery was at {last}.'),
    ('expected_never', 'There has never been one.'),
    ('expected_waiting', 'Waiting to be sent: {waiting}, the first since {oldest}: SELECT integration.why({example}) says what holds it back.'),
    ('expected_none_waits', 'Nothing waits to be sent: the application has enqueued nothing.');

CREATE FUNCTION integration_worker.waiting_words(example integration.queue) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT bigint := 1000;
    waiting bigint := (SELECT count(*)
                         FROM (SELECT
                                 FROM integration.queue q
                                WHERE q.endpoint_id = example.endpoint_id AND q.state <> 'failed'
                                LIMIT most + 1) w);
BEGIN
    IF example.outbox_id IS NULL THEN
        RETURN integration_worker.say('expected_none_waits');
    END IF;
    RETURN integration_worker.say('expected_waiting', jsonb_build_object(
        'example', example.outbox_id, 'oldest', integration_worker.time_words(example.due_at),
        'waiting', CASE WHEN waiting > most THEN '> ' || most ELSE waiting::text END));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.waiting_words(integration.queue) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.waiting_words(integration.queue) IS
    'What waits at the endpoint of a sync, in a sentence; NULL: that nothing does.';

CREATE FUNCTION integration_worker.expectation_note(
        endpoint integration.endpoint, count bigint, since timestamptz, example integration.queue)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_at timestamptz := (SELECT h.last_success_at FROM integration.endpoint_health h WHERE h.endpoint_id = endpoint.id);
BEGIN
    RETURN concat_ws(' ',
        integration_worker.say('expected_missing', jsonb_build_object(
            'at_least', coalesce(endpoint.expected_at_least, 1), 'count', expectation_note.count,
            'every', integration_worker.duration_words(endpoint.expected_every),
            'since', integration_worker.time_words(expectation_note.since))),
        CASE WHEN last_at IS NULL THEN integration_worker.say('expected_never')
             ELSE integration_worker.say('expected_last', jsonb_build_object('last', integration_worker.time_words(last_at))) END,
        integration_worker.waiting_words(example));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.expectation_note(integration.endpoint, bigint, timestamptz, integration.queue) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.expectation_note(integration.endpoint, bigint, timestamptz, integration.queue) IS
    'What is missing at an endpoint, and on whose side.';

CREATE FUNCTION integration_worker.report_missing(endpoint integration.endpoint, count bigint, now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    example integration.queue := integration_worker.first_waiting(endpoint.id);
BEGIN
    PERFORM integration_worker.open_incident(
        endpoint.name, 'nothing_delivered', report_missing.now,
        integration_worker.expectation_note(endpoint, report_missing.count, report_missing.now - endpoint.expected_every, example),
        example.outbox_id);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.report_missing(integration.endpoint, bigint, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.report_missing(integration.endpoint, bigint, timestamptz) IS
    'Opens the incident of an endpoint that got less than it expects.';

CREATE FUNCTION integration_worker.has_own_incident(endpoint_id integer) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM integration.endpoint_health h
                    WHERE h.endpoint_id = has_own_incident.endpoint_id AND h.state <> 'closed');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.has_own_incident(integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.has_own_incident(integer) IS
    'Whether an endpoint is open or stopped: then people know why nothing arrives there.';

CREATE FUNCTION integration_worker.watch_expected(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paused integer[] := ARRAY(SELECT p.id FROM integration_worker.paused_endpoints(watch_expected.now - interval '5 min') AS p (id));
    endpoint integration.endpoint;
    at_least integer;
    delivered bigint;
    is_open boolean;
    opened integer := 0;
BEGIN
    FOR endpoint IN SELECT e.* FROM integration.endpoint e WHERE e.expected_every IS NOT NULL LOOP
        is_open := integration_worker.has_incident(endpoint.name, 'nothing_delivered');
        at_least := coalesce(endpoint.expected_at_least, 1);
        delivered := integration_worker.delivered_since(endpoint.id, watch_expected.now - endpoint.expected_every, at_least);
        IF delivered >= at_least OR endpoint.expected_since > watch_expected.now - endpoint.expected_every THEN
            PERFORM integration_worker.end_incident(endpoint.name, 'nothing_delivered', watch_expected.now) WHERE is_open;
        ELSIF NOT is_open AND endpoint.id <> ALL (paused) AND NOT integration_worker.has_own_incident(endpoint.id) THEN
            PERFORM integration_worker.report_missing(endpoint, delivered, watch_expected.now);
            opened := opened + 1;
        END IF;
        -- Not too many in one transaction.
        IF opened = 100 THEN
            RETURN watch_expected.now + interval '1 s';
        END IF;
    END LOOP;
    PERFORM integration_worker.end_incident(i.endpoint, i.error_class, watch_expected.now)
       FROM integration.incident i
       JOIN integration.endpoint e ON e.name = i.endpoint
      WHERE i.error_class = 'nothing_delivered' AND i.resolved_at IS NULL AND e.expected_every IS NULL;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.watch_expected(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watch_expected(timestamptz) IS
    'Watchdog: opens an incident for each endpoint that expects more than was delivered, ends it when enough was or nothing is expected any more.';

-- Growth: backlogs that get longer although their endpoints work.

CREATE TABLE integration_worker.backlog_sample (
    endpoint_id integer PRIMARY KEY,
    at timestamptz NOT NULL,
    due bigint NOT NULL
);
REVOKE ALL ON TABLE integration_worker.backlog_sample FROM PUBLIC;

COMMENT ON TABLE integration_worker.backlog_sample IS
    'How many due syncs the endpoints had that could not keep up a while ago; written every ten minutes at most.';

INSERT INTO integration.phrase (key, words) VALUES
    ('queue_growing', 'Due and not sent: {due}; {before} at {at}.'),
    ('queue_oldest', 'The next of them is due since {oldest}.');

-- An endpoint whose syncs wait has some of them in its worker's memory, so that no other has to be looked at.
CREATE FUNCTION integration_worker.busy_endpoints() RETURNS integer[]
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT l.endpoint_id
                   FROM integration_worker.live_endpoints() l
                  WHERE l.waiting > 0
                  UNION
                 SELECT s.endpoint_id FROM integration_worker.backlog_sample s)
$$;
REVOKE ALL ON FUNCTION integration_worker.busy_endpoints() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.busy_endpoints() IS
    'The endpoints that may have a backlog: of which the workers hold syncs that wait for their turn, or that had one.';

-- What is counted is bounded: whoever has so many is late anyway.
CREATE FUNCTION integration_worker.due_backlogs(endpoint_ids integer[], now timestamptz)
    RETURNS TABLE (endpoint_id integer, due bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT u.id, c.due
      FROM unnest(endpoint_ids) AS u (id)
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = u.id
     CROSS JOIN LATERAL (
           SELECT count(*) AS due
             FROM (SELECT
                     FROM integration.queue q
                    WHERE q.endpoint_id = u.id AND q.state <> 'failed' AND q.priority = ANY ('{0,1,2,3}')
                      AND q.due_at <= due_backlogs.now
                    LIMIT 100000) x) c
     WHERE coalesce(h.state, 'closed') = 'closed'
       AND u.id NOT IN (SELECT p.id FROM integration_worker.paused_endpoints(due_backlogs.now - interval '5 min') AS p (id));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.due_backlogs(integer[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.due_backlogs(integer[], timestamptz) IS
    'How many due syncs each of these endpoints has, up to 100,000, that nothing holds back but its own pace. By the index queue_due.';

CREATE FUNCTION integration_worker.report_growth(before integration_worker.backlog_sample, due bigint, now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    endpoint text := (SELECT e.name FROM integration.endpoint e WHERE e.id = before.endpoint_id);
    oldest integration.queue := integration_worker.first_waiting(before.endpoint_id);
BEGIN
    PERFORM integration_worker.open_incident(
        endpoint, 'queue_growing', report_growth.now,
        concat_ws(' ',
            integration_worker.say('queue_growing', jsonb_build_object(
                'due', report_growth.due, 'before', before.due, 'at', integration_worker.time_words(before.at))),
            integration_worker.say('queue_oldest', jsonb_build_object('oldest', integration_worker.time_words(oldest.due_at)))),
        oldest.outbox_id);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.report_growth(integration_worker.backlog_sample, bigint, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.report_growth(integration_worker.backlog_sample, bigint, timestamptz) IS
    'Opens the incident of an endpoint whose backlog was shorter a while ago.';

CREATE FUNCTION integration_worker.end_growth(endpoint_id integer, now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.end_incident(e.name, 'queue_growing', end_growth.now)
      FROM integration.endpoint e
     WHERE e.id = end_growth.endpoint_id
$$;
REVOKE ALL ON FUNCTION integration_worker.end_growth(integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.end_growth(integer, timestamptz) IS
    'Ends the incident of an endpoint that keeps up again, if there is one.';

-- Ten minutes are long enough for a burst to be over, and a hundred syncs are soon sent.
CREATE FUNCTION integration_worker.watch_growth(
        now timestamptz, endpoint_ids integer[] DEFAULT integration_worker.busy_endpoints())
    RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    least_due CONSTANT bigint := 100;
    span CONSTANT interval := '10 min';
    late_ids integer[] := '{}';
    late record;
BEGIN
    FOR late IN
        SELECT b.endpoint_id, b.due, s
          FROM integration_worker.due_backlogs(watch_growth.endpoint_ids, watch_growth.now) b
          LEFT JOIN integration_worker.backlog_sample s ON s.endpoint_id = b.endpoint_id
         WHERE b.due >= least_due LOOP
        late_ids := late_ids || late.endpoint_id;
        CONTINUE WHEN (late.s).at > watch_growth.now - span AND (late.s).at <= watch_growth.now;
        IF late.due > (late.s).due THEN
            PERFORM integration_worker.report_growth(late.s, late.due, watch_growth.now);
        ELSIF late.due < (late.s).due THEN
            PERFORM integration_worker.end_growth(late.endpoint_id, watch_growth.now);
        END IF;
        INSERT INTO integration_worker.backlog_sample (endpoint_id, at, due)
        VALUES (late.endpoint_id, watch_growth.now, late.due)
            ON CONFLICT (endpoint_id) DO UPDATE SET at = excluded.at, due = excluded.due;
    END LOOP;
    PERFORM integration_worker.end_growth(s.endpoint_id, watch_growth.now)
       FROM integration_worker.backlog_sample s
      WHERE s.endpoint_id <> ALL (late_ids);
    DELETE FROM integration_worker.backlog_sample s WHERE s.endpoint_id <> ALL (late_ids);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.watch_growth(timestamptz, integer[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watch_growth(timestamptz, integer[]) IS
    'Watchdog: opens an incident for each endpoint that works and has more due syncs than ten minutes ago, ends it when there are fewer or few.';

-- Escalation: an incident that nobody looks after climbs from the one nearest to the customer.

CREATE TABLE integration.escalation_level (
    chain text NOT NULL DEFAULT 'default',
    level integer NOT NULL CHECK (level > 0),
    audience text NOT NULL CHECK (audience IN ('customer', 'support', 'engineer')),
    notice_endpoint text REFERENCES integration.notice_endpoint ON UPDATE CASCADE ON DELETE SET NULL,
    after interval NOT NULL CHECK (after >= '0'),
    severity smallint NOT NULL DEFAULT 4 CHECK (severity BETWEEN 0 AND 4),
    hours_from time,
    hours_to time,
    weekdays integer[] CHECK (weekdays <@ '{1,2,3,4,5,6,7}' AND weekdays <> '{}'),
    time_zone text NOT NULL DEFAULT 'UTC',
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (chain, level),
    CONSTRAINT hours_have_both_ends CHECK ((hours_from IS NULL) = (hours_to IS NULL))
);
REVOKE ALL ON TABLE integration.escalation_level FROM PUBLIC;

-- Serves distribute_changes(): the levels that name a notice endpoint.
CREATE INDEX escalation_level_endpoint ON integration.escalation_level (notice_endpoint) WHERE notice_endpoint IS NOT NULL;

COMMENT ON TABLE integration.escalation_level IS
    'Who is told of an incident that nobody looks after, and when: level by level of a chain. Endpoints and connectors name theirs in escalation; the others have the chain default.';

COMMENT ON COLUMN integration.escalation_level.chain IS 'The chain that the level belongs to.';

COMMENT ON COLUMN integration.escalation_level.level IS 'Its place in the chain: 1 is the first.';

COMMENT ON COLUMN integration.escalation_level.audience IS
    'Whose turn it is: customer, support or engineer. The notice endpoints of this audience are told.';

COMMENT ON COLUMN integration.escalation_level.notice_endpoint IS 'Told instead of the audience''s endpoints; NULL: those.';

COMMENT ON COLUMN integration.escalation_level.after IS
    'Taken when an incident was open for so long and nobody acknowledged, snoozed or ignored it; counted anew when it comes back.';

COMMENT ON COLUMN integration.escalation_level.severity IS 'For incidents of this severity or worse: 1 the worst only, 4 all, 0 none.';

COMMENT ON COLUMN integration.escalation_level.hours_from IS
    'They can be reached from here on; NULL: all day. At other times the level is passed over when a later one is due, and waited for when none is.';

COMMENT ON COLUMN integration.escalation_level.hours_to IS 'Until here; earlier than hours_from: over midnight, which belongs to the day before.';

COMMENT ON COLUMN integration.escalation_level.weekdays IS 'On these days, 1 Monday to 7 Sunday; NULL: every day.';

COMMENT ON COLUMN integration.escalation_level.time_zone IS 'Where hours and days are counted, such as Europe/Vienna.';

COMMENT ON COLUMN integration.escalation_level.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.escalation_level (level, audience, after) VALUES
    (1, 'customer', '5 min'),
    (2, 'support', '15 min'),
    (3, 'engineer', '1 h');

ALTER TABLE integration.escalation_level ALTER COLUMN shipped SET DEFAULT false;

CREATE TRIGGER own_level BEFORE INSERT OR UPDATE ON integration.escalation_level
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('chain', 'level');

CREATE FUNCTION integration_worker.check_time_zone() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM now() AT TIME ZONE NEW.time_zone;
    RETURN NEW;
EXCEPTION WHEN invalid_parameter_value THEN
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'time_zone',
        MESSAGE = format('time zone "%s" is not known', NEW.time_zone),
        HINT = 'Names are in SELECT name FROM pg_timezone_names, such as Europe/Vienna.';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_time_zone() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_time_zone() IS 'Row trigger: refuses a time zone that is none.';

CREATE TRIGGER check_time_zone BEFORE INSERT OR UPDATE OF time_zone ON integration.escalation_level
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_time_zone();

-- A dump may bring the registry back before the chains.
CREATE FUNCTION integration_worker.check_escalation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF integration_worker.is_restoring()
       OR EXISTS (SELECT FROM integration.escalation_level l WHERE l.chain = NEW.escalation) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'foreign_key_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'escalation',
        MESSAGE = format('escalation chain "%s" does not exist', NEW.escalation),
        HINT = 'Insert its levels into integration.escalation_level first.';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_escalation() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_escalation() IS
    'Row trigger: refuses a chain that has no level.';

CREATE TRIGGER check_escalation BEFORE INSERT OR UPDATE OF escalation ON integration.connector
    FOR EACH ROW WHEN (NEW.escalation IS NOT NULL) EXECUTE FUNCTION integration_worker.check_escalation();

CREATE TRIGGER check_escalation BEFORE INSERT OR UPDATE OF escalation ON integration.endpoint
    FOR EACH ROW WHEN (NEW.escalation IS NOT NULL) EXECUTE FUNCTION integration_worker.check_escalation();

-- Whoever put it off looked at it; who reopens it, or what brings it back, has the chain begin anew.
CREATE FUNCTION integration_worker.begin_escalation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.level := 0;
    NEW.escalated_at := NULL;
    NEW.open_since := CASE WHEN NEW.open_since IS DISTINCT FROM OLD.open_since THEN NEW.open_since
                           WHEN NEW.last_seen_at <> OLD.last_seen_at THEN NEW.last_seen_at
                           ELSE clock_timestamp() END;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.begin_escalation() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.begin_escalation() IS
    'Row trigger: an incident that is open again is at the beginning of its chain.';

CREATE TRIGGER begin_escalation BEFORE UPDATE OF state ON integration.incident
    FOR EACH ROW WHEN (OLD.state <> 'open' AND NEW.state = 'open')
    EXECUTE FUNCTION integration_worker.begin_escalation();

CREATE FUNCTION integration_worker.is_reachable(level integration.escalation_level, at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN level.hours_from IS NULL THEN true
                WHEN level.hours_from < level.hours_to THEN here.at::time >= level.hours_from AND here.at::time < level.hours_to
                ELSE here.at::time >= level.hours_from OR here.at::time < level.hours_to END
           AND (level.weekdays IS NULL
                OR extract(isodow FROM here.at - CASE WHEN level.hours_to <= level.hours_from AND here.at::time < level.hours_to
                                                      THEN interval '1 day' ELSE '0' END)::integer = ANY (level.weekdays))
      FROM (SELECT is_reachable.at AT TIME ZONE level.time_zone AS at) here
$$;
REVOKE ALL ON FUNCTION integration_worker.is_reachable(integration.escalation_level, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_reachable(integration.escalation_level, timestamptz) IS
    'Whether it is within the hours of a level.';

CREATE FUNCTION integration_worker.chain_of(endpoint text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT coalesce(e.escalation, c.escalation)
                       FROM integration.endpoint e
                       LEFT JOIN integration.connector c ON c.name = e.connector
                      WHERE e.name = chain_of.endpoint), 'default')
$$;
REVOKE ALL ON FUNCTION integration_worker.chain_of(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.chain_of(text) IS 'The chain by which incidents of an endpoint climb.';

-- The snoozed one whose time is over is open again: everybody sees it so.
CREATE FUNCTION integration_worker.wake_snoozed(now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.incident i
       SET state = 'open', snoozed_until = NULL, open_since = i.snoozed_until
      FROM (SELECT x.id
              FROM integration.incident x
             WHERE x.resolved_at IS NULL AND x.state = 'snoozed' AND x.snoozed_until <= wake_snoozed.now
               FOR NO KEY UPDATE SKIP LOCKED) held
     WHERE i.id = held.id
$$;
REVOKE ALL ON FUNCTION integration_worker.wake_snoozed(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.wake_snoozed(timestamptz) IS 'Opens incidents that were put off until now.';

CREATE VIEW integration_worker.climbing AS
SELECT i.id, i.severity, i.level, coalesce(i.open_since, i.opened_at) AS since,
       coalesce(e.escalation, c.escalation, 'default') AS chain
  FROM integration.incident i
  LEFT JOIN integration.endpoint e ON e.name = i.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
 WHERE i.resolved_at IS NULL AND i.state = 'open';

COMMENT ON VIEW integration_worker.climbing IS 'Incidents that nobody looks after: since when, by which chain they climb.';

-- One level at a time, so that after a time without a worker nobody is left out who can be reached; not too many in
-- one transaction.
CREATE FUNCTION integration_worker.due_levels(now timestamptz)
    RETURNS TABLE (incident bigint, chain text, level integer, audience text, open_for interval)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT i.id, n.chain, n.level, n.audience, due_levels.now - i.since
      FROM integration_worker.climbing i
     CROSS JOIN LATERAL (
           SELECT l.chain, l.level, l.audience
             FROM integration.escalation_level l
            WHERE l.chain = i.chain
              AND l.level > i.level
              AND l.severity >= i.severity
              AND i.since + l.after <= due_levels.now
              AND integration_worker.is_reachable(l, due_levels.now)
            ORDER BY l.level
            LIMIT 1) n
     ORDER BY i.severity, i.since
     LIMIT 100;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.due_levels(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.due_levels(timestamptz) IS
    'The worst incidents that nobody looks after, with the next level of their chain that is due and can be reached.';

CREATE FUNCTION integration_worker.next_level_at(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT min(i.since + l.after)
              FROM integration_worker.climbing i
              JOIN integration.escalation_level l ON l.chain = i.chain
             WHERE l.level > i.level AND l.severity >= i.severity AND i.since + l.after > next_level_at.now);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.next_level_at(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.next_level_at(timestamptz) IS
    'When the next level of an incident that nobody looks after is due.';

CREATE FUNCTION integration_worker.escalate(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
BEGIN
    PERFORM integration_worker.wake_snoozed(escalate.now);
    WITH climbing AS (
        UPDATE integration.incident i
           SET level = held.level, escalated_at = escalate.now
          FROM (SELECT d.*
                  FROM integration_worker.due_levels(escalate.now) d
                 CROSS JOIN LATERAL (
                       SELECT x.id FROM integration.incident x WHERE x.id = d.incident FOR NO KEY UPDATE SKIP LOCKED) locked) held
         WHERE i.id = held.incident AND i.state = 'open'
        RETURNING i.id, i.endpoint, held.chain, held.level, held.audience, held.open_for
    ), recorded AS (
        INSERT INTO integration.action (at, actor, verb, endpoint, incident, reason, details)
        SELECT escalate.now, 'integration', 'escalate', nullif(c.endpoint, ''), c.id,
               integration_worker.say('escalated', jsonb_build_object('duration', integration_worker.duration_words(c.open_for))),
               jsonb_build_object('chain', c.chain, 'level', c.level, 'audience', c.audience)
          FROM climbing c
    )
    SELECT ARRAY(SELECT c.id FROM climbing c ORDER BY c.id) INTO ids;
    PERFORM integration_worker.tell(ids, 'escalated');
    RETURN CASE WHEN ids <> '{}' THEN escalate.now + interval '1 s' ELSE integration_worker.next_level_at(escalate.now) END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.escalate(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.escalate(timestamptz) IS
    'Watchdog: has incidents that nobody looks after climb by one level, each step on record, and people told.';

INSERT INTO integration.phrase (key, words) VALUES
    ('escalated', 'Nobody has looked after it for {duration}.'),
    ('other_system', 'the other system'),
    ('audience_customer', 'the customer'),
    ('audience_support', 'support'),
    ('audience_engineer', 'engineering');

-- Of some changes an endpoint hears only from the level on that is its own.
CREATE FUNCTION integration_worker.hears_level(receiver integration.notice_endpoint, incident integration.incident, change text)
    RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE hears_level.change
           WHEN 'escalated' THEN EXISTS (
                SELECT FROM integration.escalation_level l
                 WHERE l.chain = integration_worker.chain_of(incident.endpoint) AND l.level = incident.level
                   AND receiver.endpoint = coalesce(l.notice_endpoint, receiver.endpoint)
                   AND (l.notice_endpoint IS NOT NULL OR l.audience = receiver.audience))
           WHEN 'opened' THEN false
           WHEN 'reopened' THEN false
           -- What is new about it is nothing for customers.
           ELSE (hears_level.change <> 'updated' OR receiver.audience IS DISTINCT FROM 'customer')
                AND (EXISTS (SELECT FROM integration.notice n WHERE n.incident = incident.id AND n.endpoint = receiver.endpoint)
                     OR EXISTS (SELECT FROM integration_worker.notice_due d WHERE d.endpoint = receiver.endpoint AND d.incident = incident.id)) END
$$;
REVOKE ALL ON FUNCTION integration_worker.hears_level(integration.notice_endpoint, integration.incident, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.hears_level(integration.notice_endpoint, integration.incident, text) IS
    'Whether an endpoint that belongs to a level is told: of the step to its level, afterwards of what becomes of it.';

CREATE FUNCTION integration_worker.hears(receiver integration.notice_endpoint, incident integration.incident, change text)
    RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT receiver.endpoint <> incident.endpoint AND change = ANY (receiver.changes) AND incident.severity <= receiver.severity
           AND (receiver.owner IS NULL OR receiver.owner = incident.owner)
           AND (receiver.customer IS NULL
                OR receiver.customer = (SELECT e.customer FROM integration.endpoint e WHERE e.name = incident.endpoint))
           AND CASE WHEN receiver.audience IS NOT NULL
                      OR EXISTS (SELECT FROM integration.escalation_level l WHERE l.notice_endpoint = receiver.endpoint)
                    THEN integration_worker.hears_level(receiver, incident, change)
                    ELSE true END
$$;
REVOKE ALL ON FUNCTION integration_worker.hears(integration.notice_endpoint, integration.incident, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.hears(integration.notice_endpoint, integration.incident, text) IS
    'Whether a notice endpoint is told of a change of an incident; never of its own.';

-- Health: one row that any monitor can check.

CREATE TYPE integration_worker.health_facts AS (
    at timestamptz,
    workers integer,
    sending integer,
    activity text,
    last_turn_at timestamptz,
    silent_since timestamptz,
    oldest_due_at timestamptz,
    failed bigint,
    severities bigint[],
    unattended bigint[],
    watchdogs text[],
    is_copy boolean,
    is_paused boolean
);
REVOKE ALL ON TYPE integration_worker.health_facts FROM PUBLIC;

COMMENT ON TYPE integration_worker.health_facts IS
    'What health() judges. severities: open or acknowledged incidents of severity 1 to 4; unattended: those of them that nobody has acknowledged; sending: workers that have endpoints.';

-- By jumping from one endpoint and priority to the next in the index queue_due.
CREATE FUNCTION integration_worker.queue_heads()
    RETURNS TABLE (endpoint_id integer, due_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE head AS (
        (SELECT q.endpoint_id, q.priority, q.due_at
           FROM integration.queue q
          WHERE q.state <> 'failed'
          ORDER BY q.endpoint_id, q.priority, q.due_at
          LIMIT 1)
        UNION ALL
        SELECT n.endpoint_id, n.priority, n.due_at
          FROM head h
         CROSS JOIN LATERAL (
               SELECT q.endpoint_id, q.priority, q.due_at
                 FROM integration.queue q
                WHERE q.state <> 'failed' AND (q.endpoint_id, q.priority) > (h.endpoint_id, h.priority)
                ORDER BY q.endpoint_id, q.priority, q.due_at
                LIMIT 1) n
    )
    SELECT h.endpoint_id, h.due_at FROM head h
$$;
REVOKE ALL ON FUNCTION integration_worker.queue_heads() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.queue_heads() IS
    'When the next sync of each endpoint, each priority is due.';

CREATE FUNCTION integration_worker.oldest_due_at(now timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(q.due_at)
      FROM integration_worker.queue_heads() q
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = q.endpoint_id
     WHERE q.due_at <= oldest_due_at.now
       AND coalesce(h.state, 'closed') = 'closed'
       AND q.endpoint_id NOT IN (SELECT p.id FROM integration_worker.paused_endpoints(oldest_due_at.now) AS p (id))
$$;
REVOKE ALL ON FUNCTION integration_worker.oldest_due_at(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.oldest_due_at(timestamptz) IS
    'Since when the sync waits that is due for longest at an endpoint that works; NULL: none is due.';

CREATE FUNCTION integration_worker.count_incidents(states text[], now timestamptz) RETURNS bigint[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT count(i.id)
                   FROM generate_series(1, 4) AS s (severity)
                   LEFT JOIN integration.incident i
                     ON i.severity = s.severity AND i.resolved_at IS NULL
                    AND integration_worker.incident_state(i.state, i.snoozed_until, count_incidents.now) = ANY (states)
                  GROUP BY s.severity
                  ORDER BY s.severity)
$$;
REVOKE ALL ON FUNCTION integration_worker.count_incidents(text[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.count_incidents(text[], timestamptz) IS
    'How many incidents are in one of these states, of severity 1, 2, 3, 4.';

CREATE FUNCTION integration_worker.health_facts(now timestamptz) RETURNS integration_worker.health_facts
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ROW (health_facts.now, w.workers, w.sending, w.activity, w.last_turn_at, integration_worker.silent_since(),
                integration_worker.oldest_due_at(health_facts.now),
                (SELECT count(*) FROM (SELECT FROM integration.queue q WHERE q.state = 'failed' LIMIT 100000) f),
                integration_worker.count_incidents('{open,acknowledged}', health_facts.now),
                integration_worker.count_incidents('{open}', health_facts.now),
                ARRAY(SELECT f.name FROM integration_worker.failing_watchdog f ORDER BY f.name),
                EXISTS (SELECT FROM integration.pause p WHERE (p.scope, p.name) = ('all', 'copied_database')),
                EXISTS (SELECT FROM integration_worker.pause_in_force p WHERE p.scope = 'all'))::integration_worker.health_facts
      FROM (SELECT count(*)::integer AS workers, count(*) FILTER (WHERE l.shards <> '{}')::integer AS sending, min(l.activity) AS activity,
                   min(l.last_turn_at) FILTER (WHERE l.shards <> '{}') AS last_turn_at
              FROM integration_worker.live_workers() l) w
$$;
REVOKE ALL ON FUNCTION integration_worker.health_facts(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.health_facts(timestamptz) IS 'What health() judges, as it is now.';

INSERT INTO integration.phrase (key, words) VALUES
    ('health_ok', 'Everything is in order.'),
    ('health_no_worker', 'No worker runs, so nothing is sent: see the server''s log, and shared_preload_libraries in postgresql.conf.'),
    ('health_waiting', 'Nothing is sent: {activity}.'),
    ('health_silent', 'A worker has not come round since {since}: the server''s log says what to do.'),
    ('health_copy', 'The database is a copy, so nothing is sent: SELECT integration.adopt() has it take over.'),
    ('health_paused', 'Everything is paused: SELECT * FROM integration.pause says why.'),
    ('health_overdue', 'A sync is due since {since} although its endpoint works: see integration.endpoint_status.'),
    ('health_worst', 'Incidents of severity 1 that nobody looks after: {count}; see integration.incident_status.'),
    ('health_incidents', 'Open incidents: {count}; see integration.incident_status.'),
    ('health_watchdogs', 'Can''t be looked for: {watchdogs}; the server''s log says why.');

-- One that has nothing to do turns every ten seconds, so less than half a minute says nothing.  A server that
-- doesn't preload the library has no such setting.
CREATE FUNCTION integration_worker.is_silent(facts integration_worker.health_facts) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT facts.silent_since IS NOT NULL
        OR coalesce(facts.last_turn_at < facts.at - greatest(current_setting('integration.silent_after', true)::interval, interval '30 s'), false)
$$;
REVOKE ALL ON FUNCTION integration_worker.is_silent(integration_worker.health_facts) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_silent(integration_worker.health_facts) IS
    'Whether a worker does not come round, as the launcher found or its last turn tells.';

CREATE FUNCTION integration_worker.health_findings(facts integration_worker.health_facts)
    RETURNS TABLE (code integer, key text, sentence text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.code, f.key, integration_worker.say(f.key, f.words)
      FROM (VALUES
        (1, 2, 'health_no_worker', facts.workers = 0, '{}'::jsonb),
        (2, 2, 'health_silent', integration_worker.is_silent(facts),
         jsonb_build_object('since', integration_worker.time_words(coalesce(facts.silent_since, facts.last_turn_at)))),
        (3, 1, 'health_copy', facts.is_copy, '{}'),
        (4, 2, 'health_waiting', facts.workers > 0 AND facts.sending = 0 AND NOT facts.is_copy, jsonb_build_object('activity', facts.activity)),
        (5, 2, 'health_worst', facts.unattended[1] > 0, jsonb_build_object('count', facts.unattended[1])),
        (6, 1, 'health_incidents', facts.severities[1] - facts.unattended[1] + facts.severities[2] + facts.severities[3] > 0,
         jsonb_build_object('count', facts.severities[1] - facts.unattended[1] + facts.severities[2] + facts.severities[3])),
        (7, 1, 'health_paused', facts.is_paused AND NOT facts.is_copy, '{}'),
        (8, 1, 'health_overdue', facts.oldest_due_at < facts.at - interval '15 min',
         jsonb_build_object('since', integration_worker.time_words(facts.oldest_due_at))),
        (9, 1, 'health_watchdogs', facts.watchdogs <> '{}', jsonb_build_object('watchdogs', array_to_string(facts.watchdogs, ', ')))
      ) AS f (n, code, key, is_so, words)
     WHERE f.is_so
     ORDER BY f.code DESC, f.n
$$;
REVOKE ALL ON FUNCTION integration_worker.health_findings(integration_worker.health_facts) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.health_findings(integration_worker.health_facts) IS
    'What is wrong, worst first: 2 is critical, 1 a warning.';

CREATE FUNCTION integration.health(
        OUT status text, OUT code integer, OUT why text, OUT worker_alive boolean, OUT workers integer,
        OUT last_turn_at timestamptz, OUT oldest_due_at timestamptz, OUT failed bigint, OUT severity_1 bigint,
        OUT severity_2 bigint, OUT severity_3 bigint, OUT severity_4 bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    facts integration_worker.health_facts := integration_worker.health_facts(clock_timestamp());
BEGIN
    SELECT coalesce(max(f.code), 0), coalesce(string_agg(f.sentence, ' '), integration_worker.say('health_ok'))
      INTO health.code, health.why
      FROM integration_worker.health_findings(facts) f;
    status := (ARRAY['ok', 'warning', 'critical'])[health.code + 1];
    worker_alive := facts.sending > 0 AND NOT integration_worker.is_silent(facts);
    workers := facts.workers;
    last_turn_at := facts.last_turn_at;
    oldest_due_at := facts.oldest_due_at;
    failed := facts.failed;
    severity_1 := facts.severities[1];
    severity_2 := facts.severities[2];
    severity_3 := facts.severities[3];
    severity_4 := facts.severities[4];
END
$$;
REVOKE ALL ON FUNCTION integration.health() FROM PUBLIC;

COMMENT ON FUNCTION integration.health() IS
    'One row for monitors: status ok, warning or critical and the same as code 0, 1 or 2, why in words; whether workers turn, since when a sync of an endpoint that works is due, failed syncs (up to 100,000), incidents that are not over by severity, without those that are snoozed or ignored.';

-- Heartbeat: a sync each minute to whoever notices when none comes.

CREATE TABLE integration.heartbeat (
    endpoint text PRIMARY KEY REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    every interval NOT NULL DEFAULT '1 min',
    last_at timestamptz,
    CONSTRAINT every_is_ten_seconds_to_a_day CHECK (every BETWEEN '10 s' AND '1 day')
);
REVOKE ALL ON TABLE integration.heartbeat FROM PUBLIC;

COMMENT ON TABLE integration.heartbeat IS
    'Endpoints that get a small sync all the time, so that whoever listens there notices when this database is silent. What health() says stands in it.';

COMMENT ON COLUMN integration.heartbeat.endpoint IS 'The endpoint.';

COMMENT ON COLUMN integration.heartbeat.every IS 'How often; a beat that was not sent by the time of the next one expires.';

COMMENT ON COLUMN integration.heartbeat.last_at IS 'When the last one was enqueued.';

CREATE FUNCTION integration_worker.beat_words(now timestamptz) RETURNS jsonb
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('at', beat_words.now, 'installation', (SELECT n.name FROM integration.installation n),
                              'database', current_database(), 'status', h.status, 'why', h.why)
      FROM integration.health() h
$$;
REVOKE ALL ON FUNCTION integration_worker.beat_words(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.beat_words(timestamptz) IS 'What stands in a heartbeat.';

-- What an endpoint's own settings refuse must not keep the others' beats back: they would be missed, and raise an alarm.
CREATE FUNCTION integration_worker.try_beat(due integration.heartbeat, now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO integration.outbox (endpoint, operation, payload, priority, expires_at, triggered_by)
    VALUES (due.endpoint, 'heartbeat', integration_worker.beat_words(try_beat.now), 'high', try_beat.now + due.every, 'integration');
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING USING
        ERRCODE = SQLSTATE,
        MESSAGE = format('integration cannot send a heartbeat to endpoint "%s": %s', due.endpoint, SQLERRM),
        HINT = 'It tries again when the next one is due. Correct the endpoint or its connector, or delete it from integration.heartbeat.';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.try_beat(integration.heartbeat, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.try_beat(integration.heartbeat, timestamptz) IS
    'Enqueues one heartbeat; an error is reported, and nothing of it stays.';

-- One that is ahead of its time was enqueued before the clock was set back.
CREATE FUNCTION integration_worker.beat(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due integration.heartbeat;
BEGIN
    FOR due IN
        UPDATE integration.heartbeat h
           SET last_at = beat.now
          FROM (SELECT x.endpoint
                  FROM integration.heartbeat x
                 WHERE x.last_at IS NULL OR x.last_at + x.every <= beat.now OR x.last_at > beat.now
                   FOR NO KEY UPDATE SKIP LOCKED) held
         WHERE h.endpoint = held.endpoint
        RETURNING h.* LOOP
        PERFORM integration_worker.try_beat(due, beat.now);
    END LOOP;
    RETURN (SELECT min(h.last_at + h.every) FROM integration.heartbeat h);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.beat(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.beat(timestamptz) IS
    'Watchdog: enqueues the heartbeats that are due; returns when the next one is.';

CREATE FUNCTION integration_worker.wake_watchdogs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.wake_for_incident();
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.wake_watchdogs() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.wake_watchdogs() IS
    'Statement trigger: has the watchdogs look when this transaction commits.';

CREATE TRIGGER wake AFTER INSERT OR UPDATE OF endpoint, every ON integration.heartbeat
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake_watchdogs();

-- What may stand in the tables that say who is told.

CREATE FUNCTION integration_worker.check_notice_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changes constant text[] := '{opened,reopened,updated,escalated,acknowledged,resolved}';
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('format', NEW.format NOT IN ('json', 'slack', 'pagerduty', 'teams'),
         NEW.format, 'Write json, slack, pagerduty or teams.'),
        ('severity', NEW.severity NOT BETWEEN 1 AND 4,
         NEW.severity::text, 'Write 1 (told of the worst only), 2, 3 or 4 (told of all).'),
        ('changes', NEW.changes = '{}' OR NOT NEW.changes <@ changes,
         NEW.changes::text, format('Write one or more of %s.', array_to_string(changes, ', '))),
        ('routing_key', NEW.format = 'pagerduty' AND NEW.routing_key IS NULL,
         NULL, 'Write the integration key of the service in PagerDuty.'),
        ('routing_key', NEW.format <> 'pagerduty' AND NEW.routing_key IS NOT NULL,
         '***', 'Leave it out: the format pagerduty alone has one.'),
        ('at_once', NEW.at_once <= 0, NEW.at_once::text, 'Write 1 or more.'),
        ('digest_every', NEW.digest_every <= '0', NEW.digest_every::text, 'Write a time above zero, such as ''1 min''.'),
        ('audience', NEW.audience NOT IN ('customer', 'support', 'engineer'),
         NEW.audience, 'Write customer, support or engineer; NULL: told of everything from the beginning.'),
        ('customer', NEW.audience = 'customer' AND NEW.customer IS NULL,
         NULL, 'Write the customer of whose endpoints it is told, since its audience is customer.'),
        ('format', NEW.audience = 'customer' AND NEW.format = 'pagerduty',
         NEW.format, 'Write json, slack or teams where the audience is customer: an alert in PagerDuty holds what is internal.')
      ) AS r (col, is_broken, given, hint)
     WHERE r.is_broken
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of notice endpoint "%s" cannot be used', broken.col, NEW.endpoint),
            DETAIL = format('It is %s.', coalesce(broken.given, 'NULL')),
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_notice_endpoint() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_notice_endpoint() IS
    'Row trigger: refuses notices that could not be written.';

CREATE TRIGGER check_notice_endpoint BEFORE INSERT OR UPDATE ON integration.notice_endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_notice_endpoint();

CREATE FUNCTION integration_worker.check_escalation_level() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('level', NEW.level <= 0, NEW.level::text, 'Write 1 for the first, then 2, 3, ….'),
        ('audience', (NEW.audience IN ('customer', 'support', 'engineer')) IS NOT TRUE,
         NEW.audience, 'Write customer, support or engineer.'),
        ('after', (NEW.after >= '0') IS NOT TRUE, NEW.after::text, 'Write how long the incident is open by then, such as ''15 min''.'),
        ('severity', NEW.severity NOT BETWEEN 0 AND 4,
         NEW.severity::text, 'Write 1 (for the worst only), 2, 3 or 4 (for all); 0: for none.'),
        ('weekdays', NEW.weekdays = '{}' OR NOT NEW.weekdays <@ '{1,2,3,4,5,6,7}',
         NEW.weekdays::text, 'Write days from 1 (Monday) to 7 (Sunday), such as {1,2,3,4,5}; NULL: every day.'),
        ('hours_to', NEW.hours_from IS NOT NULL AND NEW.hours_to IS NULL, NULL, 'Write until when, since hours_from is given.'),
        ('hours_from', NEW.hours_from IS NULL AND NEW.hours_to IS NOT NULL, NULL, 'Write from when, since hours_to is given.')
      ) AS r (col, is_broken, given, hint)
     WHERE r.is_broken
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of level %s of escalation chain "%s" cannot be used', broken.col, NEW.level, NEW.chain),
            DETAIL = format('It is %s.', coalesce(broken.given, 'NULL')),
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_escalation_level() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_escalation_level() IS
    'Row trigger: refuses levels that say nobody or no time.';

CREATE TRIGGER check_escalation_level BEFORE INSERT OR UPDATE ON integration.escalation_level
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_escalation_level();

CREATE FUNCTION integration_worker.check_heartbeat() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.every NOT BETWEEN '10 s' AND '1 day' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'every',
            MESSAGE = format('every of heartbeat "%s" cannot be used', NEW.endpoint),
            DETAIL = format('It is %s.', NEW.every),
            HINT = 'Write 10 s to 1 day, such as ''1 min''.';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.check_heartbeat() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.check_heartbeat() IS
    'Row trigger: refuses beats too close to each other or too far apart.';

CREATE TRIGGER check_heartbeat BEFORE INSERT OR UPDATE OF every ON integration.heartbeat
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_heartbeat();

-- What people do about incidents: acknowledge, assign, snooze, ignore, reopen, resolve.

CREATE FUNCTION integration_worker.require_incident(id bigint, locked boolean DEFAULT true) RETURNS integration.incident
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found integration.incident;
BEGIN
    IF require_incident.locked THEN
        SELECT i.* INTO found FROM integration.incident i WHERE i.id = require_incident.id FOR NO KEY UPDATE;
    ELSE
        SELECT i.* INTO found FROM integration.incident i WHERE i.id = require_incident.id;
    END IF;
    IF found.id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('incident %s does not exist', coalesce(require_incident.id::text, 'NULL')),
            HINT = 'Numbers are in SELECT id, endpoint, title FROM integration.incident_status.';
    END IF;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.require_incident(bigint, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.require_incident(bigint, boolean) IS
    'The incident, locked unless that is not wanted; raises an error unless it exists.';

CREATE FUNCTION integration_worker.require_unresolved(id bigint, verb text) RETURNS integration.incident
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found integration.incident := integration_worker.require_incident(require_unresolved.id);
BEGIN
    IF found.state = 'resolved' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('incident %s is resolved and cannot be %s', found.id, require_unresolved.verb),
            DETAIL = format('It was over at %s.', integration_worker.time_words(found.resolved_at)),
            HINT = format('To take it up once more: SELECT integration.reopen(%s, ''why'').', found.id);
    END IF;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.require_unresolved(bigint, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.require_unresolved(bigint, text) IS
    'The incident, locked; raises an error unless there is one that is not over.';

CREATE FUNCTION integration_worker.require_reason(reason text, verb text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(btrim(reason), '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('to %s an incident takes a reason', verb),
            HINT = 'Write it for the people who will ask, such as ''the vendor has confirmed an outage until 14:00''.';
    END IF;
    RETURN btrim(reason);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.require_reason(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.require_reason(text, text) IS
    'The reason without blanks around it; raises an error where there is none.';

CREATE FUNCTION integration_worker.record_incident_action(before integration.incident, verb text, reason text, details jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO integration.action (verb, endpoint, incident, reason, details)
    VALUES (verb, nullif(before.endpoint, ''), before.id, nullif(btrim(reason), ''),
            jsonb_strip_nulls(jsonb_build_object('state', before.state, 'assignee', before.assignee) || details))
$$;
REVOKE ALL ON FUNCTION integration_worker.record_incident_action(integration.incident, text, text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.record_incident_action(integration.incident, text, text, jsonb) IS
    'Writes down what somebody did about an incident: how it was before, what became of it.';

CREATE FUNCTION integration.acknowledge(incident bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(acknowledge.incident, 'acknowledged');
BEGIN
    UPDATE integration.incident i
       SET state = 'acknowledged', acknowledged_at = clock_timestamp(), snoozed_until = NULL,
           assignee = coalesce(i.assignee, session_user)
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'acknowledge', acknowledge.reason);
    PERFORM integration_worker.tell(ARRAY[before.id], 'acknowledged');
    RETURN 'acknowledged';
END
$$;
REVOKE ALL ON FUNCTION integration.acknowledge(bigint, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.acknowledge(bigint, text) IS
    'Says that somebody looks after an incident: whoever was assigned, else the session''s user. Returns its state.';

CREATE FUNCTION integration.assign(incident bigint, assignee text, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(assign.incident, 'assigned');
    whom text := nullif(btrim(assign.assignee), '');
BEGIN
    UPDATE integration.incident i SET assignee = whom WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'assign', assign.reason,
                                                      jsonb_build_object('assigned_to', whom));
    RETURN before.state;
END
$$;
REVOKE ALL ON FUNCTION integration.assign(bigint, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.assign(bigint, text, text) IS
    'Says who looks after an incident, a person or a team; NULL: nobody. Returns its state.';

CREATE FUNCTION integration.snooze(incident bigint, until timestamptz, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(snooze.incident, 'snoozed');
BEGIN
    IF snooze.until IS NULL OR snooze.until <= clock_timestamp() OR snooze.until = 'infinity' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('an incident cannot be snoozed until %s', coalesce(snooze.until::text, 'NULL')),
            HINT = 'Write a time to come, such as now() + interval ''2 hours''; integration.ignore() has no end.';
    END IF;
    UPDATE integration.incident i
       SET state = 'snoozed', snoozed_until = snooze.until
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'snooze', snooze.reason,
                                                      jsonb_build_object('until', snooze.until));
    RETURN 'snoozed';
END
$$;
REVOKE ALL ON FUNCTION integration.snooze(bigint, timestamptz, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.snooze(bigint, timestamptz, text) IS
    'Puts an incident off: it stands last in the list until then, and is open again afterwards. Returns its state.';

CREATE FUNCTION integration.ignore(incident bigint, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(ignore.incident, 'ignored');
    why text := integration_worker.require_reason(ignore.reason, 'ignore');
BEGIN
    UPDATE integration.incident i
       SET state = 'ignored', snoozed_until = NULL
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'ignore', why);
    RETURN 'ignored';
END
$$;
REVOKE ALL ON FUNCTION integration.ignore(bigint, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.ignore(bigint, text) IS
    'Counts further failures of this endpoint and class without bothering anybody, until somebody reopens it. Returns its state.';

CREATE FUNCTION integration.reopen(incident bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_incident(reopen.incident);
    newer bigint := (SELECT i.id
                       FROM integration.incident i
                      WHERE i.endpoint = before.endpoint AND i.error_class = before.error_class
                        AND i.resolved_at IS NULL AND i.id <> before.id);
BEGIN
    IF newer IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('incident %s cannot be reopened', before.id),
            DETAIL = format('Incident %s is the same problem since %s.', newer,
                            (SELECT integration_worker.time_words(i.opened_at) FROM integration.incident i WHERE i.id = newer)),
            HINT = format('Work on that one: SELECT * FROM integration.runbook(%s).', newer);
    END IF;
    UPDATE integration.incident i
       SET state = 'open', snoozed_until = NULL, acknowledged_at = NULL
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'reopen', reopen.reason,
                                                      jsonb_build_object('resolution', before.resolution));
    PERFORM integration_worker.tell(ARRAY[before.id], 'reopened');
    RETURN 'open';
END
$$;
REVOKE ALL ON FUNCTION integration.reopen(bigint, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.reopen(bigint, text) IS
    'Takes up an incident again that is resolved, ignored, snoozed or acknowledged. Returns its state.';

INSERT INTO integration.phrase (key, words) VALUES
    ('resolve.left', 'failed syncs of this incident that are left: {count}'),
    ('resolve.retry_left', '{statement} sends them again.');

-- Those that are left would open it again only when one of them fails once more.
CREATE FUNCTION integration_worker.warn_of_waiting(incident integration.incident) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting bigint := integration_worker.failed_count(incident.endpoint, incident.error_class);
BEGIN
    IF waiting > 0 THEN
        RAISE NOTICE USING
            MESSAGE = integration_worker.say('resolve.left', jsonb_build_object('count', waiting)),
            HINT = integration_worker.say('resolve.retry_left', jsonb_build_object('statement', format(
                'SELECT integration.retry_where(endpoint => %L, error_class => %L, reason => ''why'')',
                incident.endpoint, incident.error_class)));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.warn_of_waiting(integration.incident) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.warn_of_waiting(integration.incident) IS
    'Says so where an incident is resolved whose syncs still wait for a person.';

CREATE FUNCTION integration.resolve(incident bigint, reason text, worked boolean DEFAULT true) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(resolve.incident, 'resolved');
    done text := integration_worker.require_reason(resolve.reason, 'resolve');
BEGIN
    IF before.id = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'a copy stays one until it takes over',
            DETAIL = before.remedy,
            HINT = 'SELECT integration.adopt() has it take over from the original.';
    END IF;
    UPDATE integration.incident i
       SET state = 'resolved', resolved_at = clock_timestamp(), resolved_by = session_user,
           resolution = done, worked = resolve.worked
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'resolve', done, jsonb_build_object('worked', resolve.worked));
    PERFORM integration_worker.tell(ARRAY[before.id], 'resolved');
    PERFORM integration_worker.warn_of_waiting(before);
    RETURN 'resolved';
END
$$;
REVOKE ALL ON FUNCTION integration.resolve(bigint, text, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration.resolve(bigint, text, boolean) IS
    'Ends an incident by hand with what was done about it, and whether that helped: the next one of its kind shows it. Returns its state.';

-- What to do about an incident, step by step: texts that people can change.

CREATE TABLE integration.runbook_step (
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    error_class text NOT NULL DEFAULT '',
    "position" integer NOT NULL,
    what text NOT NULL,
    statement text,
    who text,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, error_class, "position")
);
REVOKE ALL ON TABLE integration.runbook_step FROM PUBLIC;

COMMENT ON TABLE integration.runbook_step IS
    'The steps of integration.runbook(): those without a class for every incident, those of its class among them by position. {words} in braces are filled in; a step that lacks one of its words is left out.';

COMMENT ON COLUMN integration.runbook_step.locale IS 'The language, as in integration.phrase.';

COMMENT ON COLUMN integration.runbook_step.error_class IS
    'For incidents of this class, or whose example failed for this reason; empty: for all.';

COMMENT ON COLUMN integration.runbook_step."position" IS 'Its place among the steps.';

COMMENT ON COLUMN integration.runbook_step.what IS
    'What to do, in words. {incident}, {title}, {endpoint}, {connector}, {remedy}, {engineer} (the remedy for engineers), {responsible}, {owner}, {contact}, {runbook_url}, {worked_before}, {example}, {object}, {customer} (whose it is), {error}, {waiting} (failed syncs, where there are any), {behind} (syncs behind those under their ordering keys), {held} (stopped or open, where the endpoint is and isn''t paused), {paused} (why, where it is), {retry_after} (until when the other system wants to be left alone), {queued} (syncs that wait for either to end), {url}, {credential} (what the endpoint authenticates with), {without_credential} (the endpoint, where there is nothing), {open} (where nobody has acknowledged it), {note}, {delivering} (the endpoint) or {watched} (the title), by which of the two ends it.';

COMMENT ON COLUMN integration.runbook_step.statement IS
    'What to run; the same words, written as literals. {…} between quotes that is no word stays.';

COMMENT ON COLUMN integration.runbook_step.who IS 'Who does it; the same words.';

COMMENT ON COLUMN integration.runbook_step.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('', 100, 'Say that you look after it, so that nobody else starts too. It is {open}.',
     'SELECT integration.acknowledge({incident});', '{owner}'),
    ('', 150, 'What was found: {note}', NULL, NULL),
    ('', 200, 'Look at what happened to one of them, sync {example}: {error}',
     'SELECT * FROM integration.timeline({example});', NULL),
    ('', 210, 'See what exactly was sent, with the secrets left out.',
     'SELECT * FROM integration.preview({example});', NULL),
    ('', 300, 'See what waits for a person: failed syncs of this class ({waiting}).',
     'SELECT id, object_type, object_id, customer, error FROM integration.failed WHERE endpoint = {endpoint} AND error_class = {error_class};', NULL),
    ('', 390, 'This helped before: {worked_before}', NULL, NULL),
    ('', 310, 'Behind them, under the same ordering keys, wait {behind} more. They go once the failed one before them is delivered, amended or given up.',
     'SELECT integration.cancel({example}, ''why'');', NULL),
    ('', 320, 'See what waits meanwhile ({queued}). None of it is lost, it leaves by itself afterwards.',
     'SELECT id, object_type, object_id, customer, age FROM integration.sync WHERE endpoint = {endpoint} AND state IN (''pending'', ''retrying'');', NULL),
    ('', 400, '{remedy}', NULL, '{responsible}'),
    ('', 410, 'For engineers: {engineer}', NULL, NULL),
    ('', 420, 'The team''s own notes on {connector} are at {runbook_url}.', NULL, NULL),
    ('', 430, 'Who knows the other system: {contact}', NULL, NULL),
    ('', 440, '{object} belongs to {customer}.', NULL, NULL),
    ('', 500, 'The endpoint is {held}: only a probe leaves now and then. Ask whether anybody answers there; what came of it is in the sync whose id this returns.',
     'SELECT integration.ping({endpoint});', NULL),
    ('', 510, 'Once the cause is gone, have the {held} endpoint called at once instead of at the next probe.',
     'SELECT integration.resume(''endpoint'', {endpoint}, ''why'');', NULL),
    ('', 520, 'The other system wants to be left alone until {retry_after}. If it has lifted its limit since, go on at once.',
     'SELECT integration.resume(''endpoint'', {endpoint}, ''why'');', NULL),
    ('', 600, 'Send what failed again ({waiting}).',
     'SELECT integration.retry_where(endpoint => {endpoint}, error_class => {error_class}, reason => ''why'');', NULL),
    ('', 900, 'It ends by itself when {delivering} delivers again and none of its failed syncs is left. If it has to be ended by hand, say what helped: the next one of its kind shows it.',
     'SELECT integration.resolve({incident}, ''what was done'');', '{owner}'),
    ('', 910, 'It ends by itself when this is found no more: {watched}. If nobody is to hear of it until then, ignore it, and say why.',
     'SELECT integration.ignore({incident}, ''why'');', '{owner}'),
    ('auth', 450, 'Give credential {credential} its new secret; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('auth', 460, '{without_credential} has no credential: name what it is to authenticate with.',
     'UPDATE integration.endpoint SET credential = ''…'' WHERE name = {endpoint};', 'administrator'),
    ('secret_missing', 450, 'Set the secret of credential {credential}; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('secret_unreadable', 450, 'Bring back the file that could not be read, then have the server look again; what waits is then sent by itself.',
     'SELECT pg_reload_conf();', '{responsible}'),
    ('secret_unreadable', 460, 'If it is lost for good: make a new key file, then set the secret of each credential anew.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('curl:35:certificate', 450, 'Set the certificate that we show anew, with its key; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('curl:56:certificate', 450, 'Set the certificate that we show anew, with its key; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('http:400:certificate', 450, 'Set the certificate that we show anew, with its key; what waits is then sent by itself.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator'),
    ('redirect', 450, 'It is called at {url}. Put the final address there; what waits is then sent by itself.',
     'UPDATE integration.endpoint SET url = ''…'' WHERE name = {endpoint};', 'administrator'),
    ('not_found', 450, 'The whole endpoint is {held}, so its address is probably wrong: {url}. Correct it; what waits is then sent by itself.',
     'UPDATE integration.endpoint SET url = ''…'' WHERE name = {endpoint};', 'administrator'),
    ('dns', 450, 'It is called at {url}. If the host''s name is wrong, correct it.',
     'UPDATE integration.endpoint SET url = ''…'' WHERE name = {endpoint};', 'administrator'),
    ('validation', 590, 'Where the data were wrong, send corrected ones in the place of each.',
     'SELECT integration.amend({example}, ''{…}'', ''why'');', '{responsible}'),
    ('copied_database', 600, 'If this database is to send from now on and the original does not any more, let it take over.',
     'SELECT integration.adopt(''why'');', 'administrator');

-- An endpoint that pauses itself: closed for good, or without one success for days.

INSERT INTO integration.phrase (key, words) VALUES
    ('pause.gone', 'The other side says that this address is closed for good ({reason}).'),
    ('pause.long_failure', 'It has failed for five days without one success, last with {reason}.'),
    ('pause.ended_by_change', 'what the endpoint is called with was changed ({table})'),
    ('long_failure.warning', 'It has failed since {since} without one success, last with {reason}. If that goes on, it pauses itself at {until}.'),
    ('long_failure.paused', 'It has failed since {since} without one success, last with {reason}, and has paused itself.');

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('', 505, 'The endpoint is paused: "{paused}" Nothing leaves, no probe either. See what waits behind it.',
     'SELECT * FROM integration.pause_status;', NULL),
    ('', 515, 'Once the cause is gone, have the paused endpoint called again ("{paused}").',
     'SELECT integration.resume(''endpoint'', {endpoint}, ''why'');', NULL),
    ('gone', 450, 'It is called at {url}. If there is a new address, write it into the endpoint: what waits is then sent there by itself.',
     'UPDATE integration.endpoint SET url = ''https://…'' WHERE name = {endpoint};', '{owner}'),
    ('gone', 460, 'If the connection is not wanted any more, give up what waits for it.',
     'UPDATE integration.sync SET state = ''cancelled'' WHERE endpoint = {endpoint} AND state IN (''pending'', ''retrying'', ''failed'');', '{owner}'),
    ('long_failure', 460, 'If the connection is not wanted any more, give up what waits for it.',
     'UPDATE integration.sync SET state = ''cancelled'' WHERE endpoint = {endpoint} AND state IN (''pending'', ''retrying'', ''failed'');', '{owner}');

CREATE FUNCTION integration_worker.pause_itself(
        endpoint text, error_class text, reason text, at timestamptz, outbox_id bigint DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO integration.pause AS p (scope, name, reason, actor, since, error_class)
    VALUES ('endpoint', pause_itself.endpoint, pause_itself.reason, 'integration', pause_itself.at, pause_itself.error_class)
        ON CONFLICT (scope, name) DO UPDATE
        SET reason = excluded.reason, actor = excluded.actor, since = excluded.since, until = NULL,
            error_class = excluded.error_class
      WHERE p.until <= pause_itself.at;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO integration.action (at, actor, verb, outbox_id, endpoint, reason, details)
    VALUES (pause_itself.at, 'integration', 'pause', pause_itself.outbox_id, pause_itself.endpoint, pause_itself.reason,
            jsonb_build_object('scope', 'endpoint', 'name', pause_itself.endpoint, 'error_class', pause_itself.error_class));
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.pause_itself(text, text, text, timestamptz, bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.pause_itself(text, text, text, timestamptz, bigint) IS
    'Pauses an endpoint until somebody resumes it, unless somebody has paused it; says whether it did.';

-- An address that is made of the object's own id says something about that object: the endpoint is stopped
-- then, and its next probe is another one.  Answers that come too late to stop it are of an address that somebody
-- may have changed.  Should somebody hold the pause, the next probe pauses it.
CREATE FUNCTION integration_worker.pause_gone(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10ms'
AS $$
BEGIN
    PERFORM integration_worker.pause_itself(
                g.name, g.error_class, integration_worker.say('pause.gone', jsonb_build_object('reason', g.reason)),
                settled_at, g.outbox_id)
       FROM (SELECT DISTINCT ON (e.name) e.name, r.error_class, r.reason, v.outbox_id
               FROM unnest(standings) s
               JOIN unnest(verdicts) v ON v.endpoint_id = s.endpoint_id AND v.n >= s.first_trip
               JOIN integration.error_reason r ON r.reason = v.reason AND r.pauses
               JOIN integration.endpoint e ON e.id = v.endpoint_id
              WHERE v.effect = 'trip' AND v.state <> 'unsettled' AND e.url !~ '\{(object_id|remote_id)\}'
              ORDER BY e.name, v.n) g;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.pause_gone(integration_worker.verdict[], integration_worker.standing[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.pause_gone(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Pauses endpoints that say they are closed for good; never waits for a lock.';

CREATE FUNCTION integration_worker.end_own_pauses(endpoints text[], cause text) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH ended AS (
        DELETE FROM integration.pause p
         WHERE p.scope = 'endpoint' AND p.name = ANY (endpoints) AND p.error_class IS NOT NULL
        RETURNING p.name, p.reason, p.actor
    )
    INSERT INTO integration.action (verb, endpoint, reason, details)
    SELECT 'resume', e.name, integration_worker.say('pause.ended_by_change', jsonb_build_object('table', cause)),
           jsonb_build_object('scope', 'endpoint', 'name', e.name, 'paused_because', e.reason, 'paused_by', e.actor)
      FROM ended e
$$;
REVOKE ALL ON FUNCTION integration_worker.end_own_pauses(text[], text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.end_own_pauses(text[], text) IS
    'Ends the pauses that these endpoints have made themselves; cause: the table in which what they are called with was changed.';

-- The time begins anew after a pause: nothing fails while nothing is sent.
CREATE FUNCTION integration_worker.forget_paused_failures(now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.endpoint_health h
       SET failing_since = NULL
     WHERE h.endpoint_id IN (
           SELECT x.endpoint_id
             FROM integration.endpoint_health x
             JOIN integration.endpoint e ON e.id = x.endpoint_id
            WHERE x.failing_since IS NOT NULL
              AND EXISTS (SELECT FROM integration.pause p
                           WHERE (p.until IS NULL OR p.until > forget_paused_failures.now)
                             AND integration_worker.pause_holds(p.scope, p.name, e.connector, e.name, ARRAY[e.customer]))
              FOR NO KEY UPDATE OF x SKIP LOCKED)
$$;
REVOKE ALL ON FUNCTION integration_worker.forget_paused_failures(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.forget_paused_failures(timestamptz) IS
    'Has the time of failing begin anew for endpoints that are paused.';

-- By the first and the last failure, so that one failure and then nothing to send is no long one; and never without
-- a warning a day before, so that what is called once a week has one, too.
CREATE FUNCTION integration_worker.long_failures(most integer)
    RETURNS TABLE (endpoint text, failing_since timestamptz, days integer, reason text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.name, h.failing_since, d.days, h.last_reason
      FROM integration.endpoint_health h
      JOIN integration.endpoint e ON e.id = h.endpoint_id
      LEFT JOIN (SELECT i.endpoint, max(i.last_seen_at) AS at
                   FROM integration.incident i
                  WHERE i.error_class = 'long_failure'
                  GROUP BY i.endpoint) warned ON warned.endpoint = e.name AND warned.at >= h.failing_since
     CROSS JOIN LATERAL (
           SELECT CASE WHEN h.last_failure_at >= h.failing_since + interval '5 days'
                            AND h.last_failure_at >= warned.at + interval '1 day' THEN 5
                       WHEN h.last_failure_at >= h.failing_since + interval '3 days' THEN 3
                       ELSE 1 END AS days) d
     WHERE h.last_failure_at >= h.failing_since + interval '1 day'
       AND (d.days = 5 OR warned.at IS NULL OR warned.at < h.failing_since + make_interval(days => d.days))
     ORDER BY h.failing_since
     LIMIT most
$$;
REVOKE ALL ON FUNCTION integration_worker.long_failures(integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.long_failures(integer) IS
    'So many endpoints that have failed for one, three or five days without one success, and of which nobody has been told that yet.';

CREATE FUNCTION integration_worker.watch_long_failure(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100;
    count integer := 0;
    failing record;
    words jsonb;
BEGIN
    PERFORM integration_worker.forget_paused_failures(watch_long_failure.now);
    FOR failing IN SELECT * FROM integration_worker.long_failures(most) LOOP
        count := count + 1;
        words := jsonb_build_object(
            'since', integration_worker.moment_words(failing.failing_since), 'reason', failing.reason,
            'until', integration_worker.moment_words(failing.failing_since + interval '5 days'));
        PERFORM integration_worker.tell_more(
            failing.endpoint, 'long_failure', watch_long_failure.now,
            integration_worker.say(CASE failing.days WHEN 5 THEN 'long_failure.paused' ELSE 'long_failure.warning' END, words));
        IF failing.days = 5 THEN
            PERFORM integration_worker.pause_itself(failing.endpoint, 'long_failure',
                                                    integration_worker.say('pause.long_failure', words), watch_long_failure.now);
        END IF;
    END LOOP;
    PERFORM integration_worker.end_incident(i.endpoint, i.error_class, watch_long_failure.now)
       FROM integration.incident i
       LEFT JOIN integration.endpoint e ON e.name = i.endpoint
       LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
      WHERE i.error_class = 'long_failure' AND i.resolved_at IS NULL
        AND (e.id IS NULL OR h.last_success_at > i.last_seen_at);
    RETURN CASE WHEN count = most THEN watch_long_failure.now + interval '1 s' END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.watch_long_failure(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watch_long_failure(timestamptz) IS
    'Tells people of endpoints that fail for one day, for three; pauses them after five. Ends that with the first delivery.';

-- What answers say of their own end, of their version: deprecation, sunset, a version that changes.

INSERT INTO integration.phrase (key, words) VALUES
    ('interface.deprecated', 'The other side calls this interface deprecated.'),
    ('interface.deprecated_at', 'The other side has deprecated this interface as of {at}.'),
    ('interface.ends_at', 'It ends at {at}.'),
    ('interface.version', 'Since {since} its answers are of version {version}; before, they were of {before}.'),
    ('interface.link', 'More about it: {link}');

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('interface_ending', 300, 'See which endpoints it is about, until when, what each has said.',
     'SELECT * FROM integration.interface_status;', NULL),
    ('interface_ending', 450, 'Once the new version is what we are written for, say so: of a change of version that is the end.',
     'UPDATE integration.connector SET api_version = ''…'' WHERE name = {connector};', '{owner}');

CREATE TABLE integration.version_header (
    name text PRIMARY KEY CHECK (name ~ '^[a-z0-9!#$%&''*+.^_`|~-]+$'),
    shipped boolean NOT NULL DEFAULT true
);
REVOKE ALL ON TABLE integration.version_header FROM PUBLIC;

COMMENT ON TABLE integration.version_header IS
    'Headers of answers that say which version of an API has answered. Add those of the APIs you call.';

COMMENT ON COLUMN integration.version_header.name IS 'The header''s name in lower case.';

COMMENT ON COLUMN integration.version_header.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.version_header (name) VALUES
    ('api-version'), ('x-api-version'), ('stripe-version'), ('x-shopify-api-version'), ('x-github-api-version-selected'),
    ('facebook-api-version');

CREATE TABLE integration_worker.interface (
    endpoint_id integer PRIMARY KEY REFERENCES integration.endpoint (id) ON DELETE CASCADE,
    looked_at timestamptz NOT NULL,
    is_deprecated boolean NOT NULL DEFAULT false,
    deprecated_at timestamptz,
    ends_at timestamptz,
    link text,
    version text,
    version_since timestamptz,
    version_before text,
    example bigint
);
REVOKE ALL ON TABLE integration_worker.interface FROM PUBLIC;

COMMENT ON TABLE integration_worker.interface IS
    'What the answers of each endpoint have said of their interface when they were last looked at.';

-- RFC 9110 §5.6.7: one form to send, two more to understand.
CREATE FUNCTION integration_worker.http_date(value text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO, DMY'
AS $$
BEGIN
    IF value ~ '^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$'
       OR value ~ '^[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT$' THEN
        RETURN substr(value, strpos(value, ',') + 1)::timestamptz;
    ELSIF value ~ '^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$' THEN
        RETURN (substr(value, 5) || ' GMT')::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.http_date(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.http_date(text) IS 'A date of HTTP; NULL: it is none.';

-- RFC 9745 has Deprecation as seconds since 1970 behind an @; drafts of it had true, or a date of HTTP.
CREATE FUNCTION integration_worker.read_interface(
        headers jsonb, version_headers text[],
        OUT is_deprecated boolean, OUT deprecated_at timestamptz, OUT ends_at timestamptz, OUT link text, OUT version text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deprecation text := btrim(headers ->> 'deprecation');
BEGIN
    is_deprecated := coalesce(deprecation NOT IN ('', 'false', '?0'), false);
    deprecated_at := CASE WHEN deprecation ~ '^@\d{1,11}$' THEN to_timestamp(substr(deprecation, 2)::bigint)
                          ELSE integration_worker.http_date(deprecation) END;
    ends_at := integration_worker.http_date(btrim(headers ->> 'sunset'));
    IF is_deprecated OR ends_at IS NOT NULL THEN
        link := substring(headers ->> 'link' FROM '<(https?://[^<>\s]+)>\s*;[^,]*rel="?(?:deprecation|sunset|successor-version)');
    END IF;
    version := (SELECT nullif(left(btrim(headers ->> v.name), 100), '')
                  FROM unnest(version_headers) WITH ORDINALITY AS v (name, n)
                 WHERE headers ? v.name
                 ORDER BY v.n
                 LIMIT 1);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.read_interface(jsonb, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.read_interface(jsonb, text[]) IS
    'What the headers of an answer say of its interface: Deprecation (RFC 9745), Sunset (RFC 8594), where to read more, the version.';

-- Each endpoint at most once an hour, by the index (endpoint_id, started_at) of each range: sending takes no notice.
-- What was announced stays so until something is delivered without it.
CREATE FUNCTION integration_worker.look_at_interfaces(now timestamptz, most integer) RETURNS SETOF integration_worker.interface
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET jit = off
AS $$
    SELECT d.endpoint_id, look_at_interfaces.now,
           s.is_deprecated OR (coalesce(d.is_deprecated, false) AND s.has_delivered IS NOT TRUE),
           CASE WHEN s.announces OR s.has_delivered THEN s.deprecated_at ELSE d.deprecated_at END,
           CASE WHEN s.announces OR s.has_delivered THEN s.ends_at ELSE d.ends_at END,
           CASE WHEN s.announces OR s.has_delivered THEN s.link ELSE d.link END,
           coalesce(s.version, d.version),
           CASE WHEN s.version = d.version OR s.version IS NULL THEN d.version_since ELSE look_at_interfaces.now END,
           CASE WHEN s.version <> d.version THEN d.version ELSE d.version_before END,
           coalesce(s.example, d.example)
      FROM (SELECT h.endpoint_id, i.looked_at, i.is_deprecated, i.deprecated_at, i.ends_at, i.link, i.version, i.version_since,
                   i.version_before, i.example
              FROM integration.endpoint_health h
              LEFT JOIN integration_worker.interface i ON i.endpoint_id = h.endpoint_id
             WHERE greatest(h.last_success_at, h.last_failure_at) > coalesce(i.looked_at, '-infinity')
               AND (i.looked_at <= look_at_interfaces.now - interval '1 h') IS NOT FALSE
             ORDER BY i.looked_at NULLS FIRST
             LIMIT most) d
     CROSS JOIN LATERAL (
           SELECT coalesce(bool_or(r.is_deprecated), false) AS is_deprecated,
                  coalesce(bool_or(r.is_deprecated OR r.ends_at IS NOT NULL), false) AS announces,
                  min(r.deprecated_at) AS deprecated_at, min(r.ends_at) AS ends_at, max(r.link) AS link,
                  bool_or(a.outcome = 'delivered') AS has_delivered, max(a.outbox_id) AS example,
                  (array_agg(r.version ORDER BY a.started_at DESC) FILTER (WHERE r.version IS NOT NULL))[1] AS version
             FROM (SELECT x.outbox_id, x.started_at, x.outcome, x.response_headers
                     FROM integration.attempt x
                    WHERE x.endpoint_id = d.endpoint_id
                      AND x.started_at > coalesce(d.looked_at, look_at_interfaces.now - interval '1 day') - interval '1 min'
                      AND x.http_status IS NOT NULL
                    ORDER BY x.started_at DESC
                    LIMIT 20) a
             -- Most answers say nothing of it, and are not read.
             LEFT JOIN LATERAL (
                  SELECT x.*
                    FROM integration_worker.read_interface(a.response_headers, ARRAY(SELECT v.name FROM integration.version_header v ORDER BY v.name)) x
                   WHERE a.response_headers ?| (ARRAY(SELECT v.name FROM integration.version_header v ORDER BY v.name) || '{deprecation,sunset}'::text[])
                  OFFSET 0) r ON true) s
$$;
REVOKE ALL ON FUNCTION integration_worker.look_at_interfaces(timestamptz, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.look_at_interfaces(timestamptz, integer) IS
    'What the latest answers of so many endpoints say of their interfaces, beside what was known.';

-- The endpoints of a connector mostly speak to one API: what it announces to a hundred of them is one problem.
CREATE FUNCTION integration_worker.speak_alike(endpoint_id integer) RETURNS SETOF integration.endpoint
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.*
      FROM integration.endpoint own
      JOIN integration.endpoint e ON e.id = own.id OR e.connector = own.connector
     WHERE own.id = speak_alike.endpoint_id
$$;
REVOKE ALL ON FUNCTION integration_worker.speak_alike(integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.speak_alike(integer) IS
    'The endpoint with the others of its connector.';

CREATE FUNCTION integration_worker.is_news(said integration_worker.interface) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ends boolean := said.is_deprecated OR said.ends_at IS NOT NULL;
    changed boolean := said.version_before IS NOT NULL AND said.version_since = said.looked_at;
BEGIN
    IF NOT ends AND NOT changed THEN
        RETURN false;
    END IF;
    RETURN (ends AND NOT EXISTS (
                SELECT FROM integration_worker.speak_alike(said.endpoint_id) e
                  JOIN integration_worker.interface i ON i.endpoint_id = e.id
                 WHERE (i.is_deprecated, i.deprecated_at, i.ends_at)
                       IS NOT DISTINCT FROM (said.is_deprecated, said.deprecated_at, said.ends_at)))
        OR (changed AND NOT EXISTS (
                SELECT FROM integration_worker.speak_alike(said.endpoint_id) e
                  JOIN integration_worker.interface i ON i.endpoint_id = e.id
                 WHERE (i.version, i.version_before) IS NOT DISTINCT FROM (said.version, said.version_before)));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.is_news(integration_worker.interface) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.is_news(integration_worker.interface) IS
    'Does an endpoint say that its interface ends or has changed, and has none of its connector said so before?';

CREATE FUNCTION integration_worker.interface_note(said integration_worker.interface) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(concat_ws(' ',
               CASE WHEN said.deprecated_at IS NOT NULL THEN
                         integration_worker.say('interface.deprecated_at', jsonb_build_object('at', integration_worker.moment_words(said.deprecated_at)))
                    WHEN said.is_deprecated THEN integration_worker.say('interface.deprecated') END,
               integration_worker.say('interface.ends_at', jsonb_build_object('at', integration_worker.moment_words(said.ends_at))),
               integration_worker.say('interface.version', jsonb_build_object(
                   'since', integration_worker.moment_words(said.version_since), 'version', said.version, 'before', said.version_before)),
               integration_worker.say('interface.link', jsonb_build_object('link', said.link))), '')
$$;
REVOKE ALL ON FUNCTION integration_worker.interface_note(integration_worker.interface) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.interface_note(integration_worker.interface) IS
    'What an endpoint says of the end or the version of its interface, in words.';

CREATE FUNCTION integration_worker.tell_of_interface(said integration_worker.interface, now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place text := (SELECT e.name
                     FROM integration_worker.speak_alike(said.endpoint_id) e
                     LEFT JOIN integration.incident i
                       ON i.endpoint = e.name AND i.error_class = 'interface_ending' AND i.resolved_at IS NULL
                    ORDER BY i.id, e.id <> said.endpoint_id
                    LIMIT 1);
BEGIN
    PERFORM integration_worker.tell_more(place, 'interface_ending', tell_of_interface.now,
                                         integration_worker.interface_note(said), said.example);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.tell_of_interface(integration_worker.interface, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.tell_of_interface(integration_worker.interface, timestamptz) IS
    'Opens an incident about the interface of an endpoint, or says what is new in the open one of its connector.';

CREATE FUNCTION integration_worker.end_interface_incidents(now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.end_incident(i.endpoint, i.error_class, end_interface_incidents.now)
      FROM integration.incident i
     WHERE i.error_class = 'interface_ending' AND i.resolved_at IS NULL
       AND NOT EXISTS (SELECT FROM integration.endpoint own
                        CROSS JOIN LATERAL integration_worker.speak_alike(own.id) e
                         JOIN integration_worker.interface f ON f.endpoint_id = e.id
                         LEFT JOIN integration.connector c ON c.name = e.connector
                        WHERE own.name = i.endpoint
                          AND (f.is_deprecated OR f.ends_at IS NOT NULL
                               OR (f.version_before IS NOT NULL AND f.version_since >= i.opened_at
                                   AND f.version IS DISTINCT FROM c.api_version)))
$$;
REVOKE ALL ON FUNCTION integration_worker.end_interface_incidents(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.end_interface_incidents(timestamptz) IS
    'Ends incidents of connectors whose answers announce no end any more, and whose version is the one that connector.api_version says.';

CREATE FUNCTION integration_worker.remind_of_ends(now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.tell_of_interface(f, remind_of_ends.now)
      FROM integration.incident i
      JOIN integration.endpoint e ON e.name = i.endpoint
      JOIN integration_worker.interface f ON f.endpoint_id = e.id
     WHERE i.error_class = 'interface_ending' AND i.resolved_at IS NULL
       AND EXISTS (SELECT FROM unnest('{30,7,1}'::integer[]) AS d (days)
                    WHERE f.ends_at - make_interval(days => d.days) BETWEEN i.last_seen_at AND remind_of_ends.now)
$$;
REVOKE ALL ON FUNCTION integration_worker.remind_of_ends(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.remind_of_ends(timestamptz) IS
    'Says once more, 30 days before an interface ends, then 7, then 1, that it will.';

CREATE FUNCTION integration_worker.watch_interfaces(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 25;
    said integration_worker.interface;
    count integer := 0;
BEGIN
    FOR said IN SELECT * FROM integration_worker.look_at_interfaces(watch_interfaces.now, most) LOOP
        count := count + 1;
        IF integration_worker.is_news(said) THEN
            PERFORM integration_worker.tell_of_interface(said, watch_interfaces.now);
        END IF;
        INSERT INTO integration_worker.interface AS i
        SELECT said.*
            ON CONFLICT (endpoint_id) DO UPDATE
            SET looked_at = excluded.looked_at, is_deprecated = excluded.is_deprecated, deprecated_at = excluded.deprecated_at,
                ends_at = excluded.ends_at, link = excluded.link, version = excluded.version,
                version_since = excluded.version_since, version_before = excluded.version_before, example = excluded.example;
    END LOOP;
    PERFORM integration_worker.end_interface_incidents(watch_interfaces.now);
    PERFORM integration_worker.remind_of_ends(watch_interfaces.now);
    RETURN CASE WHEN count = most THEN watch_interfaces.now + interval '10 s' END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.watch_interfaces(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watch_interfaces(timestamptz) IS
    'Reads what answers say of their interfaces, each endpoint once an hour; tells engineering of an end or another version.';

CREATE VIEW integration.interface_status AS
SELECT e.name AS endpoint, e.connector, integration_worker.owner_of(e.id, 'interface_ending', NULL) AS owner,
       f.is_deprecated, f.deprecated_at, f.ends_at, f.ends_at - statement_timestamp() AS ends_in, f.link,
       c.api_version, f.version, f.version_since, f.version_before, f.looked_at
  FROM integration_worker.interface f
  JOIN integration.endpoint e ON e.id = f.endpoint_id
  LEFT JOIN integration.connector c ON c.name = e.connector
 ORDER BY f.ends_at NULLS LAST, f.is_deprecated DESC, e.name;

COMMENT ON VIEW integration.interface_status IS
    'What the other sides'' answers say of their interfaces, the one that ends first on top. Looked at once an hour.';

COMMENT ON COLUMN integration.interface_status.endpoint IS 'The endpoint.';

COMMENT ON COLUMN integration.interface_status.connector IS 'The product behind it.';

COMMENT ON COLUMN integration.interface_status.owner IS 'The team whose work a change of the interface is.';

COMMENT ON COLUMN integration.interface_status.is_deprecated IS 'The last answers had a Deprecation header (RFC 9745).';

COMMENT ON COLUMN integration.interface_status.deprecated_at IS 'As of when, as the header says; NULL: it has no date.';

COMMENT ON COLUMN integration.interface_status.ends_at IS 'When it ends, as a Sunset header says (RFC 8594); NULL: none said so.';

COMMENT ON COLUMN integration.interface_status.ends_in IS 'How long that is from now.';

COMMENT ON COLUMN integration.interface_status.link IS 'Where the other side says more about it.';

COMMENT ON COLUMN integration.interface_status.api_version IS 'connector.api_version: the version that we are written for.';

COMMENT ON COLUMN integration.interface_status.version IS 'The version that has answered, by one of the headers in integration.version_header; NULL: none said so.';

COMMENT ON COLUMN integration.interface_status.version_since IS 'When an answer of this version was first seen.';

COMMENT ON COLUMN integration.interface_status.version_before IS 'The version before it; NULL: it has never changed.';

COMMENT ON COLUMN integration.interface_status.looked_at IS 'When the answers were looked at last.';

-- Client certificates that are about to end.

INSERT INTO integration.phrase (key, words) VALUES
    ('certificate_ends', 'The certificate of credential "{credential}" ends at {at}.'),
    ('certificate_ended', 'The certificate of credential "{credential}" ended at {at}.'),
    ('certificate_shown', 'Endpoints that show it: {count}.');

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('certificate_ending', 300, 'See which version of the secret ends when.',
     'SELECT * FROM integration.secret_status WHERE credential = {credential};', 'administrator'),
    ('certificate_ending', 450, 'Order the next certificate from whoever issued this one, and have the other side know of it; then set it, with its key, in PEM. That ends this.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator');

CREATE TABLE integration_worker.certificate (
    credential text NOT NULL,
    version integer NOT NULL,
    looked_at timestamptz NOT NULL,
    ends_at timestamptz,
    PRIMARY KEY (credential, version),
    FOREIGN KEY (credential, version) REFERENCES integration.secret ON UPDATE CASCADE ON DELETE CASCADE
);
REVOKE ALL ON TABLE integration_worker.certificate FROM PUBLIC;

COMMENT ON TABLE integration_worker.certificate IS
    'When the client certificate in a version of a secret ends, NULL: that can''t be told, as of when it was looked at.';

-- A file may hold another one by now, so each is opened once a day, more often while somebody waits for its successor;
-- a few at a time, since to open one takes milliseconds.
CREATE FUNCTION integration_worker.look_at_certificates(now timestamptz, within interval, most integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looked integer;
BEGIN
    INSERT INTO integration_worker.certificate AS k (credential, version, looked_at, ends_at)
    SELECT s.credential, s.version, look_at_certificates.now, r.expires_at
      FROM (SELECT s.credential, s.version, c.kind, s.sealed
              FROM integration.credential c
              JOIN integration.secret s ON s.credential = c.name AND (s.not_after > look_at_certificates.now) IS NOT FALSE
              LEFT JOIN integration_worker.certificate x ON x.credential = s.credential AND x.version = s.version
             WHERE c.kind = 'client_certificate'
               AND (x.looked_at > look_at_certificates.now
                                  - CASE WHEN x.ends_at <= look_at_certificates.now + within THEN interval '10 min' ELSE '1 day' END) IS NOT TRUE
             ORDER BY x.looked_at NULLS FIRST
             LIMIT most) s
     CROSS JOIN LATERAL integration_worker.sealed(integration_worker.secret_place(s.credential, s.version), s.kind, s.sealed) r
        ON CONFLICT ON CONSTRAINT certificate_pkey DO UPDATE SET looked_at = EXCLUDED.looked_at, ends_at = EXCLUDED.ends_at;
    GET DIAGNOSTICS looked = ROW_COUNT;
    RETURN looked;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.look_at_certificates(timestamptz, interval, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.look_at_certificates(timestamptz, interval, integer) IS
    'Opens so many certificates at most whose turn it is, and notes when they end; returns how many.';

-- Of what many endpoints show one incident is enough, at the first of them.  A version that begins later is the next one.
CREATE FUNCTION integration_worker.ending_certificates(now timestamptz, within interval)
    RETURNS TABLE (endpoint text, credential text, ends_at timestamptz, shown_by bigint)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(e.name), l.credential, l.ends_at, count(*)
      FROM (SELECT k.credential, max(k.ends_at) AS ends_at
              FROM integration_worker.certificate k
              JOIN integration.secret s ON s.credential = k.credential AND s.version = k.version
                                       AND (s.not_after > ending_certificates.now) IS NOT FALSE
             GROUP BY k.credential
            HAVING max(k.ends_at) <= ending_certificates.now + within) l
      JOIN (SELECT c.name, x.credential
              FROM integration.endpoint_config c
             CROSS JOIN LATERAL unnest(ARRAY[c.certificate, c.credential]) AS x (credential)) e ON e.credential = l.credential
     GROUP BY l.credential, l.ends_at
$$;
REVOKE ALL ON FUNCTION integration_worker.ending_certificates(timestamptz, interval) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.ending_certificates(timestamptz, interval) IS
    'Credentials whose last client certificate ends soon or has ended, the first of the endpoints that show it, how many there are.';

CREATE FUNCTION integration_worker.watch_certificates(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    within CONSTANT interval := '14 days';
    most CONSTANT integer := 10;
    looked integer := integration_worker.look_at_certificates(watch_certificates.now, within, most);
    ending record;
    found_at text[] := '{}';
BEGIN
    FOR ending IN SELECT * FROM integration_worker.ending_certificates(watch_certificates.now, within) LOOP
        found_at := found_at || ending.endpoint;
        CONTINUE WHEN integration_worker.has_incident(ending.endpoint, 'certificate_ending');
        PERFORM integration_worker.open_incident(
            ending.endpoint, 'certificate_ending', watch_certificates.now,
            concat_ws(' ',
                integration_worker.say(CASE WHEN ending.ends_at > watch_certificates.now THEN 'certificate_ends' ELSE 'certificate_ended' END,
                    jsonb_build_object('credential', ending.credential, 'at', integration_worker.time_words(ending.ends_at))),
                integration_worker.say('certificate_shown', jsonb_build_object('count', ending.shown_by))));
    END LOOP;
    -- By the index incident_open.
    PERFORM integration_worker.end_incident(i.endpoint, i.error_class, watch_certificates.now)
       FROM integration.incident i
      WHERE i.error_class = 'certificate_ending' AND i.resolved_at IS NULL AND i.endpoint <> ALL (found_at);
    RETURN CASE WHEN looked = most THEN watch_certificates.now + interval '1 s' END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.watch_certificates(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watch_certificates(timestamptz) IS
    'Watchdog: an incident for each client certificate that ends within 14 days; over once a later one is set, or no endpoint shows it.';

-- Many different objects refused alike, none accepted: it is the integration, not the data.

INSERT INTO integration.phrase (key, words) VALUES
    ('design_fault.found', '{objects} different objects were refused alike ({title}), the last with {reason}, and nothing was accepted between them. The endpoint is stopped, so that there won''t be more.');

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('design_fault', 300, 'Compare what was refused: what do these have in common that the other system doesn''t take?',
     'SELECT id, object_type, object_id, error FROM integration.failed WHERE endpoint = {endpoint} ORDER BY id DESC LIMIT 20;', '{owner}'),
    ('design_fault', 450, 'Once the mapping is right, give up what waits as the wrong one has made it, and enqueue those objects anew.',
     'UPDATE integration.sync SET state = ''cancelled'' WHERE endpoint = {endpoint} AND state IN (''pending'', ''retrying'', ''failed'');', '{owner}');

-- From the newest attempt back to the last delivery, by the index (endpoint_id, started_at) of each range: where
-- deliveries and refusals mix, a few rows are read.  One object that is refused again and again counts once.
CREATE FUNCTION integration_worker.refuses_alike(endpoint_id integer, error_class text, since timestamptz, many integer)
    RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tried record;
    objects text[] := '{}';
BEGIN
    FOR tried IN
        SELECT a.outcome, ROW (o.object_type, o.object_id)::text AS object,
               a.error_class = refuses_alike.error_class AND a.http_status IS NOT NULL AND o.object_id IS NOT NULL AS is_alike
          FROM (SELECT x.* FROM integration.attempt x
                 WHERE x.endpoint_id = refuses_alike.endpoint_id AND x.started_at >= refuses_alike.since
                 ORDER BY x.started_at DESC
                 LIMIT 10 * many) a
         CROSS JOIN LATERAL (SELECT x.object_type, x.object_id, x.operation
                               FROM integration.outbox x WHERE x.id = a.outbox_id OFFSET 0) o
         WHERE o.operation <> 'ping'
         ORDER BY a.started_at DESC
    LOOP
        EXIT WHEN tried.outcome = 'delivered';
        IF tried.is_alike AND tried.object <> ALL (objects) THEN
            objects := objects || tried.object;
        END IF;
        EXIT WHEN cardinality(objects) >= many;
    END LOOP;
    RETURN cardinality(objects) >= many;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.refuses_alike(integer, text, timestamptz, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.refuses_alike(integer, text, timestamptz, integer) IS
    'Has an endpoint refused so many different objects with this class since a time, and accepted nothing between them?';

CREATE FUNCTION integration_worker.stop_design_fault(
        standing integration_worker.standing, refused integration_worker.verdict, many integer, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place text := (SELECT e.name FROM integration.endpoint e WHERE e.id = standing.endpoint_id);
BEGIN
    PERFORM FROM integration.endpoint_health h WHERE h.endpoint_id = standing.endpoint_id FOR NO KEY UPDATE;
    standing := integration_worker.stop(standing, NULL, settled_at);
    standing.stopped_for := 'design_fault';
    PERFORM integration_worker.tell_more(
        place, 'design_fault', settled_at,
        integration_worker.say('design_fault.found', jsonb_build_object(
            'objects', many, 'reason', refused.reason,
            'title', (SELECT k.title FROM integration.error_class k WHERE k.name = refused.error_class))),
        refused.outbox_id);
    UPDATE integration.incident i
       SET syncs = i.syncs + many, objects = i.objects + many
     WHERE i.endpoint = place AND i.error_class = 'design_fault' AND i.resolved_at IS NULL;
    RETURN standing;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.stop_design_fault(integration_worker.standing, integration_worker.verdict, integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.stop_design_fault(
        integration_worker.standing, integration_worker.verdict, integer, timestamptz) IS
    'The endpoint as stopped for a design fault; engineering is told.';

-- One look for each endpoint of a batch that refused something.  Should somebody hold what is to be written, the
-- next refusal stops the endpoint.
CREATE FUNCTION integration_worker.find_design_faults(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS integration_worker.standing[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10ms'
AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN s.state = 'closed' AND r.many > 0
                         AND integration_worker.refuses_alike(s.endpoint_id, (r.refused).error_class, s.since, r.many)
                    THEN integration_worker.stop_design_fault(s, r.refused, r.many, settled_at)
                    ELSE s END
          FROM unnest(standings) s
          LEFT JOIN LATERAL (
               SELECT v::integration_worker.verdict AS refused, c.refusals_alike AS many
                 FROM unnest(verdicts) v
                 JOIN integration.endpoint_config c ON c.id = v.endpoint_id
                WHERE v.endpoint_id = s.endpoint_id AND v.state = 'failed' AND v.effect = 'alive' AND v.object_id IS NOT NULL
                ORDER BY v.n DESC
                LIMIT 1) r ON true);
EXCEPTION WHEN lock_not_available THEN
    RETURN standings;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.find_design_faults(integration_worker.verdict[], integration_worker.standing[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.find_design_faults(
        integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Stops endpoints that refuse whatever they are sent; never waits for a lock.';

CREATE FUNCTION integration_worker.watch_design_faults(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.end_incident(i.endpoint, i.error_class, watch_design_faults.now)
       FROM integration.incident i
       LEFT JOIN integration.endpoint e ON e.name = i.endpoint
       LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
      WHERE i.error_class = 'design_fault' AND i.resolved_at IS NULL
        AND (e.id IS NULL OR (h.state = 'closed' AND h.last_success_at > i.last_seen_at));
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.watch_design_faults(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watch_design_faults(timestamptz) IS
    'Ends incidents of endpoints that accept something again.';

-- Incidents as people see them: a list of work, the steps of each.

INSERT INTO integration.phrase (key, words) VALUES
    ('runbook.over', 'It is over since {how}.'),
    ('runbook.resolved_by', 'resolved by {who}'),
    ('held.open', 'open'),
    ('held.half_open', 'open'),
    ('held.stopped', 'stopped'),
    ('incident.open', 'open'),
    ('place.endpoint', 'endpoint "{endpoint}"'),
    ('place.database', 'this database');

CREATE FUNCTION integration_worker.failed_count(endpoint text, error_class text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT count(*)
              FROM integration.endpoint e
              JOIN integration.queue q ON q.endpoint_id = e.id
             WHERE e.name = failed_count.endpoint AND q.state = 'failed' AND q.error_class = failed_count.error_class);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.failed_count(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.failed_count(text, text) IS
    'How many syncs of an endpoint wait for a person with this class; by the index of failed ones.';

-- What is said of all of them is asked for once.
CREATE VIEW integration_worker.incident_facts AS
WITH said AS MATERIALIZED (
    SELECT integration_worker.remedies('support') AS remedies, integration_worker.what_worked() AS worked
)
SELECT i.id,
       integration_worker.incident_state(i.state, i.snoozed_until, statement_timestamp()) AS state,
       i.severity, i.endpoint, e.connector, integration_worker.translated('class.' || i.error_class, coalesce(k.title, i.error_class)) AS title, i.error_class,
       i.owner, i.responsible, i.assignee,
       CASE WHEN i.id = 0 THEN i.remedy
            ELSE coalesce(s.remedies ->> CASE x.error_class WHEN i.error_class THEN x.reason END,
                          s.remedies ->> (':' || i.error_class), i.remedy) END AS remedy,
       coalesce(s.worked ->> ('endpoint ' || i.endpoint || ':' || i.error_class),
                s.worked ->> ('connector ' || e.connector || ':' || i.error_class),
                s.worked ->> (':' || i.error_class)) AS worked_before,
       i.syncs, integration_worker.failed_count(i.endpoint, i.error_class) AS waiting,
       i.objects, i.customers, i.impact,
       i.example, x.object_type, x.object_id, x.error, CASE x.error_class WHEN i.error_class THEN x.reason END AS reason,
       i.opened_at, i.last_seen_at, statement_timestamp() - i.opened_at AS age,
       i.acknowledged_at, i.snoozed_until, i.reopened, c.contact, c.runbook_url, i.note,
       format('SELECT * FROM integration.runbook(%s);', i.id) AS next_step,
       i.resolved_at, i.level, i.escalated_at
  FROM integration.incident i
 CROSS JOIN said s
  LEFT JOIN integration.endpoint e ON e.name = i.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.error_class k ON k.name = i.error_class
  LEFT JOIN LATERAL (
       SELECT o.object_type, o.object_id, l.error, l.error_class, l.reason
         FROM integration_worker.asked o
         LEFT JOIN LATERAL (
              SELECT a.error, a.error_class, a.reason
                FROM integration.attempt a
               WHERE a.outbox_id = o.id
               ORDER BY a.attempt_no DESC
               LIMIT 1) l ON true
        WHERE o.id = i.example) x ON true;

COMMENT ON VIEW integration_worker.incident_facts IS
    'All incidents with what their registry, their example say.';

CREATE VIEW integration.incident_status AS
SELECT f.id, f.state, f.severity, f.endpoint, f.connector, f.title, f.error_class, f.owner, f.responsible, f.assignee,
       concat_ws(' ', replace((SELECT integration_worker.translated('remedy.worked_before', '')), '{worked_before}', f.worked_before),
                 f.remedy) AS remedy,
       f.worked_before, f.syncs, f.waiting, f.objects, f.customers, f.impact, f.example, f.object_type,
       f.object_id, f.error, f.opened_at, f.last_seen_at, f.age, f.acknowledged_at, f.snoozed_until, f.reopened,
       f.contact, f.runbook_url, f.note, f.next_step, f.level, f.escalated_at
  FROM integration_worker.incident_facts f
 WHERE f.resolved_at IS NULL
 ORDER BY f.state = 'ignored', f.state = 'snoozed', f.severity, f.impact DESC NULLS LAST, f.customers DESC, f.opened_at;

COMMENT ON VIEW integration.incident_status IS
    'The problems that are not over, worst first: severity, impact, customers, age; snoozed and ignored ones last. integration.runbook(id) says what to do.';

COMMENT ON COLUMN integration.incident_status.id IS 'Its number, for acknowledge(), assign(), snooze(), ignore(), resolve(), runbook(); 0: the database is a copy.';

COMMENT ON COLUMN integration.incident_status.state IS 'open (nobody has taken it), acknowledged, snoozed or ignored.';

COMMENT ON COLUMN integration.incident_status.severity IS '1 (worst) to 4, from the connector.';

COMMENT ON COLUMN integration.incident_status.endpoint IS 'Where to; empty: everywhere.';

COMMENT ON COLUMN integration.incident_status.connector IS 'The product behind it.';

COMMENT ON COLUMN integration.incident_status.title IS 'What it is, in a few words.';

COMMENT ON COLUMN integration.incident_status.error_class IS 'The error class.';

COMMENT ON COLUMN integration.incident_status.owner IS 'The team whose work it is, by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.';

COMMENT ON COLUMN integration.incident_status.responsible IS 'Who can do something about it: customer, support, engineering, operations or remote_vendor.';

COMMENT ON COLUMN integration.incident_status.assignee IS 'Who has taken it.';

COMMENT ON COLUMN integration.incident_status.remedy IS 'What to do, in plain words; what helped the last time goes first.';

COMMENT ON COLUMN integration.incident_status.worked_before IS 'What helped the last time; NULL: nobody has said so.';

COMMENT ON COLUMN integration.incident_status.syncs IS 'Failures counted into it.';

COMMENT ON COLUMN integration.incident_status.waiting IS 'Failed syncs of it that wait for a person right now.';

COMMENT ON COLUMN integration.incident_status.objects IS 'Different business objects among the failures.';

COMMENT ON COLUMN integration.incident_status.customers IS 'Different customers among them.';

COMMENT ON COLUMN integration.incident_status.impact IS 'What is at stake, in the application''s unit; NULL: none was given.';

COMMENT ON COLUMN integration.incident_status.example IS 'A sync that shows it.';

COMMENT ON COLUMN integration.incident_status.object_type IS 'The kind of its business object.';

COMMENT ON COLUMN integration.incident_status.object_id IS 'Its business reference.';

COMMENT ON COLUMN integration.incident_status.error IS 'Details of its last failure in words.';

COMMENT ON COLUMN integration.incident_status.opened_at IS 'When it began.';

COMMENT ON COLUMN integration.incident_status.last_seen_at IS 'When a failure was last added, to ten seconds.';

COMMENT ON COLUMN integration.incident_status.age IS 'How long it lasts.';

COMMENT ON COLUMN integration.incident_status.acknowledged_at IS 'When somebody took it.';

COMMENT ON COLUMN integration.incident_status.snoozed_until IS 'Nobody is bothered until then.';

COMMENT ON COLUMN integration.incident_status.reopened IS 'How often it came back.';

COMMENT ON COLUMN integration.incident_status.contact IS 'Whom to ask about the other system, from the connector.';

COMMENT ON COLUMN integration.incident_status.runbook_url IS 'The team''s own notes, from the connector.';

COMMENT ON COLUMN integration.incident_status.note IS 'What people wrote.';

COMMENT ON COLUMN integration.incident_status.next_step IS 'The statement that says what to do.';

COMMENT ON COLUMN integration.incident_status.level IS 'How far it has climbed because nobody looks after it (integration.escalation_level); 0: not at all.';

COMMENT ON COLUMN integration.incident_status.escalated_at IS 'When it climbed last.';

-- Bounded, since notices are filled in with it, too, by the worker.
CREATE FUNCTION integration_worker.queued_words(endpoint_id integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN count(*) > 10000 THEN '10000+' ELSE nullif(count(*), 0)::text END
      FROM (SELECT FROM integration.queue q
             WHERE q.endpoint_id = queued_words.endpoint_id AND q.state <> 'failed'
             LIMIT 10001) q
$$;
REVOKE ALL ON FUNCTION integration_worker.queued_words(integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.queued_words(integer) IS
    'How many syncs of an endpoint wait to be sent; NULL: none does.';

CREATE FUNCTION integration_worker.behind_words(endpoint_id integer, error_class text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN count(*) > 10000 THEN '10000+' ELSE nullif(count(*), 0)::text END
      FROM (SELECT FROM integration.queue head
              JOIN integration.queue q ON q.endpoint_id = head.endpoint_id AND q.ordering_key = head.ordering_key
             WHERE head.endpoint_id = behind_words.endpoint_id AND head.state = 'failed'
               AND head.error_class = behind_words.error_class AND q.state <> 'failed'
             LIMIT 10001) q
$$;
REVOKE ALL ON FUNCTION integration_worker.behind_words(integer, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.behind_words(integer, text) IS
    'How many syncs of an endpoint wait behind failed ones of this class under an ordering key; NULL: none does.';

CREATE FUNCTION integration_worker.reason_of(sync bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT a.reason FROM integration.attempt a WHERE a.outbox_id = sync ORDER BY a.attempt_no DESC LIMIT 1);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.reason_of(bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.reason_of(bigint) IS 'What happened at the last attempt of a sync; NULL: there was none.';

CREATE FUNCTION integration_worker.whose(sync bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT nullif(concat_ws(', ', coalesce(c.title, f.customer), c.contact), '')
              FROM integration_worker.sync_facts f
              LEFT JOIN integration.customer c ON c.name = f.customer
             WHERE f.id = sync);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.whose(bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.whose(bigint) IS
    'Whose sync it is, with the contact where that is known; NULL: nobody''s in particular.';

CREATE FUNCTION integration_worker.endpoint_words(incident integration.incident) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_build_object(
                       'url', e.url, 'held', CASE WHEN p.reason IS NULL THEN integration_worker.say('held.' || h.held) END,
                       'paused', p.reason, 'retry_after', integration_worker.time_words(h.retry_after_until),
                       'queued', CASE WHEN h.held IS NOT NULL OR h.retry_after_until IS NOT NULL
                                      THEN integration_worker.queued_words(e.id) END,
                       'behind', integration_worker.behind_words(e.id, incident.error_class),
                       'credential', c.credential,
                       'without_credential', CASE WHEN c.credential IS NULL THEN e.name END)
              FROM integration.endpoint_config e
             CROSS JOIN LATERAL (
                   SELECT CASE WHEN integration_worker.reason_of(incident.example) LIKE '%:certificate' OR incident.error_class = 'certificate_ending'
                               THEN coalesce(e.certificate, e.credential)
                               ELSE coalesce(e.credential, e.certificate, e.signing) END AS credential) c
              LEFT JOIN LATERAL (
                   SELECT nullif(x.state, 'closed') AS held,
                          CASE WHEN x.retry_after_until > statement_timestamp() THEN x.retry_after_until END AS retry_after_until
                     FROM integration.endpoint_health x
                    WHERE x.endpoint_id = e.id) h ON true
              LEFT JOIN integration_worker.pause_in_force p ON p.scope = 'endpoint' AND p.name = e.name
             WHERE e.name = incident.endpoint);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.endpoint_words(integration.incident) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.endpoint_words(integration.incident) IS
    'What texts about an incident say of its endpoint; NULL: it has none.';

CREATE FUNCTION integration_worker.runbook_words(incident integration.incident) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_build_object(
                       'incident', s.id, 'title', s.title, 'endpoint', nullif(s.endpoint, ''), 'connector', s.connector,
                       'error_class', s.error_class, 'remedy', s.remedy, 'responsible', integration_worker.say('responsible.' || s.responsible),
                       'owner', coalesce(s.assignee, s.owner), 'contact', s.contact, 'runbook_url', s.runbook_url,
                       'worked_before', s.worked_before, 'example', s.example, 'error', rtrim(left(s.error, 300), '. '),
                       'object', nullif(concat_ws(' ', s.object_type, s.object_id), ''),
                       'customer', integration_worker.whose(s.example),
                       'waiting', nullif(s.waiting, 0),
                       'engineer', coalesce(n.remedies ->> s.reason, n.remedies ->> (':' || s.error_class)),
                       'open', CASE WHEN s.state = 'open' THEN integration_worker.say('incident.open') END, 'note', s.note,
                       'delivering', CASE WHEN NOT integration_worker.is_watched(s.error_class) THEN nullif(s.endpoint, '') END,
                       'watched', CASE WHEN integration_worker.is_watched(s.error_class) THEN s.title END)
                   || coalesce(integration_worker.endpoint_words(incident),
                               '{"url": null, "held": null, "paused": null, "retry_after": null, "queued": null, "behind": null, "credential": null, "without_credential": null}')
              FROM integration_worker.incident_facts s
             CROSS JOIN (SELECT integration_worker.remedies('engineer') AS remedies OFFSET 0) n
             WHERE s.id = incident.id);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.runbook_words(integration.incident) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.runbook_words(integration.incident) IS
    'What the steps of a runbook are filled in with; a word without a value is null.';

CREATE FUNCTION integration.runbook(incident bigint)
    RETURNS TABLE (step bigint, what text, statement text, who text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject integration.incident := integration_worker.require_incident(runbook.incident, locked => false);
    words jsonb := integration_worker.runbook_words(subject);
    languages text[] := integration_worker.languages();
    reason text := integration_worker.reason_of(subject.example);
BEGIN
    IF subject.resolved_at IS NOT NULL THEN
        RETURN QUERY
        SELECT 1::bigint,
               integration_worker.say('runbook.over', jsonb_build_object('how', concat_ws(': ', concat_ws(', ',
                   integration_worker.time_words(subject.resolved_at),
                   integration_worker.say('runbook.resolved_by', jsonb_build_object('who', subject.resolved_by))),
                   rtrim(subject.resolution, '.')))),
               format('SELECT integration.reopen(%s, ''why'');', subject.id), subject.owner;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT row_number() OVER (ORDER BY f."position", f.error_class), f.what, f.statement, f.who
      FROM (SELECT DISTINCT ON (s."position", s.error_class)
                   s."position", s.error_class, integration_worker.fill_in(s.what, words) AS what,
                   integration_worker.fill_in(s.statement, words, true) AS statement,
                   integration_worker.fill_in(s.who, words) AS who, s.statement IS NOT NULL AS has_statement
              FROM integration.runbook_step s
             WHERE s.error_class IN ('', subject.error_class, reason)
               AND s.locale = ANY (languages)
             ORDER BY s."position", s.error_class, array_position(languages, s.locale)) f
     WHERE f.what IS NOT NULL AND (f.statement IS NOT NULL OR NOT f.has_statement)
     ORDER BY 1;
END
$$;
REVOKE ALL ON FUNCTION integration.runbook(bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration.runbook(bigint) IS
    'What to do about an incident, step by step: in words, what to run, who does it. The texts are integration.runbook_step''s.';

-- Notices in words: what stands in them, in which form.

CREATE TABLE integration.notice_text (
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    change text NOT NULL CHECK (change IN ('opened', 'reopened', 'updated', 'escalated', 'acknowledged', 'resolved', 'digest',
                                           'customer_escalated', 'customer_acknowledged', 'customer_resolved')),
    title text NOT NULL,
    body text NOT NULL,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, change)
);
REVOKE ALL ON TABLE integration.notice_text FROM PUBLIC;

COMMENT ON TABLE integration.notice_text IS
    'What notices say; lines that lack one of their {words} are left out. The words are those of integration.runbook_step.';

COMMENT ON COLUMN integration.notice_text.locale IS 'The language, as in integration.phrase.';

COMMENT ON COLUMN integration.notice_text.change IS
    'opened, reopened, updated, escalated, acknowledged, resolved; digest: of several, {count}; customer_escalated, customer_acknowledged, customer_resolved: for endpoints whose audience is the customer, with {incident}, {product}, {message}, {advice}, {since}, {duration} alone.';

COMMENT ON COLUMN integration.notice_text.title IS 'The first line.';

COMMENT ON COLUMN integration.notice_text.body IS 'The lines below.';

COMMENT ON COLUMN integration.notice_text.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.notice_text (change, title, body) VALUES
    ('opened', '{title} at {place} (incident {incident})',
     '{note}' || E'\n' || 'Last: {error}' || E'\n' || 'This helped before: {worked_before}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'At stake: {impact}' || E'\n' || 'What to do: SELECT * FROM integration.runbook({incident});'
     || E'\n' || '{runbook_url}'),
    ('reopened', 'Back again: {title} at {place} (incident {incident})',
     '{note}' || E'\n' || 'Last: {error}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'What to do: SELECT * FROM integration.runbook({incident});' || E'\n' || '{runbook_url}'),
    ('updated', 'News of: {title} at {place} (incident {incident})',
     '{note}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'What to do: SELECT * FROM integration.runbook({incident});' || E'\n' || '{runbook_url}'),
    ('escalated', 'Nobody looks after: {title} at {place} (incident {incident}), for {duration}; it is the turn of {audience}',
     '{note}' || E'\n' || 'Last: {error}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'At stake: {impact}' || E'\n' || 'Say that you look after it: SELECT integration.acknowledge({incident});'
     || E'\n' || 'What to do: SELECT * FROM integration.runbook({incident});' || E'\n' || '{runbook_url}'),
    ('acknowledged', '{owner} looks after: {title} at {place} (incident {incident})', ''),
    ('resolved', 'Over: {title} at {place} (incident {incident})', 'It took {duration}; failures: {syncs}.' || E'\n' || 'What helped: {resolution}'),
    ('digest', '{count} changes of incidents', ''),
    ('customer_escalated', 'Disturbed since {since}: {product}', '{message}' || E'\n' || '{advice}' || E'\n' || 'If you ask us about it, please name number {incident}.'),
    ('customer_acknowledged', 'Somebody is looking into it: {product}', 'If you ask us about it, please name number {incident}.'),
    ('customer_resolved', 'It works again: {product}', 'It took {duration}.');

CREATE FUNCTION integration_worker.notice_words(incident integration.incident) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.runbook_words(incident) || jsonb_build_object(
               'place', integration_worker.say(CASE incident.endpoint WHEN '' THEN 'place.database' ELSE 'place.endpoint' END,
                                             jsonb_build_object('endpoint', incident.endpoint)),
               'severity', incident.severity, 'syncs', incident.syncs, 'impact', incident.impact,
               'duration', integration_worker.duration_words(coalesce(incident.resolved_at, statement_timestamp()) - incident.opened_at),
               'resolution', incident.resolution,
               'level', nullif(incident.level, 0),
               'audience', (SELECT integration_worker.say('audience_' || l.audience)
                              FROM integration.escalation_level l
                             WHERE l.chain = integration_worker.chain_of(incident.endpoint) AND l.level = incident.level))
$$;
REVOKE ALL ON FUNCTION integration_worker.notice_words(integration.incident) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.notice_words(integration.incident) IS
    'What the texts of a notice are filled in with.';

CREATE FUNCTION integration_worker.customer_notice_words(incident integration.incident, locale text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'incident', incident.id,
               'message', integration_worker.translated('customer.cause.' || k.name, k.customer_message, customer_notice_words.locale),
               'advice', integration_worker.remedies('customer', customer_notice_words.locale) ->> (':' || k.name),
               'product', coalesce(c.title, c.name, integration_worker.say('other_system', '{}', customer_notice_words.locale)),
               'since', integration_worker.time_words(incident.opened_at),
               'duration', integration_worker.duration_words(coalesce(incident.resolved_at, statement_timestamp()) - incident.opened_at))
      FROM (VALUES (incident.endpoint, incident.error_class)) AS i (endpoint, error_class)
      LEFT JOIN integration.endpoint e ON e.name = i.endpoint
      LEFT JOIN integration.connector c ON c.name = e.connector
      LEFT JOIN integration.error_class k ON k.name = i.error_class
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_notice_words(integration.incident, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_notice_words(integration.incident, text) IS
    'What the texts of a notice to a customer are filled in with: nothing internal.';

CREATE FUNCTION integration_worker.notice_text_of(change text, words jsonb, locale text, OUT title text, OUT body text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.fill_in(t.title, words),
           (SELECT coalesce(string_agg(f.filled, E'\n' ORDER BY f.n), '')
              FROM (SELECT l.n, integration_worker.fill_in(l.line, words) AS filled
                      FROM string_to_table(t.body, E'\n') WITH ORDINALITY AS l (line, n)) f
             WHERE f.filled <> '')
      FROM integration.notice_text t
      JOIN integration_worker.languages(notice_text_of.locale) AS l (languages) ON t.locale = ANY (l.languages)
     WHERE t.change = notice_text_of.change
     ORDER BY array_position(l.languages, t.locale)
     LIMIT 1
$$;
REVOKE ALL ON FUNCTION integration_worker.notice_text_of(text, jsonb, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.notice_text_of(text, jsonb, text) IS
    'What a notice of this change says in a language.';

-- https://docs.slack.dev/messaging/formatting-message-text: these three are escaped, nothing else.
CREATE FUNCTION integration_worker.slack_text(value text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')
$$;
REVOKE ALL ON FUNCTION integration_worker.slack_text(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.slack_text(text) IS 'A text as Slack shows it unchanged.';

-- A section holds 3,000 characters; "text" is what a notification shows.
CREATE FUNCTION integration_worker.slack_notice(title text, body text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'text', integration_worker.slack_text(title),
               'blocks', jsonb_build_array(
                   jsonb_build_object('type', 'section', 'text', jsonb_build_object(
                       'type', 'mrkdwn', 'verbatim', true,
                       'text', left(concat_ws(E'\n', '*' || integration_worker.slack_text(title) || '*',
                                              nullif(integration_worker.slack_text(body), '')), 3000)))))
$$;
REVOKE ALL ON FUNCTION integration_worker.slack_notice(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.slack_notice(text, text) IS 'A notice for an incoming webhook of Slack.';

-- https://developer.pagerduty.com/docs/send-alert-event: summary up to 1,024 characters, dedup_key up to 255.
CREATE FUNCTION integration_worker.pagerduty_notice(receiver integration.notice_endpoint, due integration_worker.notice_due, title text, words jsonb)
    RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
               'routing_key', receiver.routing_key,
               'event_action', CASE due.change WHEN 'acknowledged' THEN 'acknowledge' WHEN 'resolved' THEN 'resolve' ELSE 'trigger' END,
               'dedup_key', format('integration-%s-%s', (SELECT n.name FROM integration.installation n), due.incident),
               'client', 'integration',
               'links', CASE WHEN words ->> 'runbook_url' IS NOT NULL THEN
                             jsonb_build_array(jsonb_build_object('href', words ->> 'runbook_url', 'text', 'runbook')) END,
               'payload', jsonb_build_object(
                   'summary', left(title, 1024),
                   'source', coalesce(words ->> 'endpoint', current_database()),
                   'severity', (ARRAY['critical', 'error', 'warning', 'info'])[(words ->> 'severity')::integer],
                   'timestamp', to_char(due.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                   'component', words ->> 'endpoint', 'group', words ->> 'connector', 'class', words ->> 'error_class',
                   'custom_details', words)))
$$;
REVOKE ALL ON FUNCTION integration_worker.pagerduty_notice(integration.notice_endpoint, integration_worker.notice_due, text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.pagerduty_notice(integration.notice_endpoint, integration_worker.notice_due, text, jsonb) IS
    'A notice for PagerDuty (Events API v2): trigger, acknowledge or resolve of one alert an incident.';

-- https://adaptivecards.io/explorer: texts of a card are Markdown, so each line is a block of its own.
CREATE FUNCTION integration_worker.teams_notice(title text, body text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'type', 'message',
               'attachments', jsonb_build_array(jsonb_build_object(
                   'contentType', 'application/vnd.microsoft.card.adaptive',
                   'content', jsonb_build_object(
                       '$schema', 'http://adaptivecards.io/schemas/adaptive-card.json', 'type', 'AdaptiveCard', 'version', '1.2',
                       'body', jsonb_build_array(jsonb_build_object('type', 'TextBlock', 'weight', 'Bolder', 'wrap', true, 'text', title))
                               || (SELECT coalesce(jsonb_agg(jsonb_build_object('type', 'TextBlock', 'wrap', true, 'text', l.line) ORDER BY l.n), '[]')
                                     FROM string_to_table(body, E'\n') WITH ORDINALITY AS l (line, n)
                                    WHERE l.line <> '')))))
$$;
REVOKE ALL ON FUNCTION integration_worker.teams_notice(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.teams_notice(text, text) IS 'A notice for a webhook of a workflow in Microsoft Teams: an adaptive card.';

CREATE FUNCTION integration_worker.words_for(receiver integration.notice_endpoint, incident integration.incident) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    words jsonb;
BEGIN
    IF receiver.audience = 'customer' THEN
        RETURN integration_worker.customer_notice_words(incident, receiver.locale);
    END IF;
    words := integration_worker.notice_words(incident);
    IF receiver.audience = 'engineer' AND words ->> 'engineer' IS NOT NULL THEN
        words := words || jsonb_build_object('remedy', words -> 'engineer');
    END IF;
    RETURN words;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.words_for(integration.notice_endpoint, integration.incident) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.words_for(integration.notice_endpoint, integration.incident) IS
    'What the texts of a notice are filled in with for the audience of an endpoint.';

CREATE FUNCTION integration_worker.notice_payload(receiver integration.notice_endpoint, due integration_worker.notice_due[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    for_customer boolean := receiver.audience IS NOT DISTINCT FROM 'customer';
    told record;
    items jsonb := '[]';
    lines text;
    title text;
    body text;
BEGIN
    FOR told IN
        SELECT d.n, d.change, d.at, w.words, t.title, t.body
          FROM unnest(due) WITH ORDINALITY AS d (endpoint, change_id, incident, change, at, n)
          JOIN integration.incident i ON i.id = d.incident
         CROSS JOIN LATERAL integration_worker.words_for(receiver, i) AS w (words)
         CROSS JOIN LATERAL integration_worker.notice_text_of(CASE WHEN for_customer THEN 'customer_' ELSE '' END || d.change,
                                                              w.words, receiver.locale) t
         ORDER BY d.n LOOP
        items := items || jsonb_build_object('change', told.change, 'at', told.at, 'incident', told.words,
                                             'title', told.title, 'body', told.body);
        lines := concat_ws(E'\n', lines, told.title);
        title := told.title;
        body := told.body;
    END LOOP;
    IF cardinality(due) > 1 THEN
        title := (integration_worker.notice_text_of('digest', jsonb_build_object('count', cardinality(due)), receiver.locale)).title;
        body := lines;
    END IF;
    RETURN CASE receiver.format
        WHEN 'slack' THEN integration_worker.slack_notice(title, body)
        WHEN 'teams' THEN integration_worker.teams_notice(title, body)
        WHEN 'pagerduty' THEN integration_worker.pagerduty_notice(receiver, due[1], title, items -> 0 -> 'incident')
        ELSE jsonb_build_object('title', title, 'body', body, 'changes', items) END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.notice_payload(integration.notice_endpoint, integration_worker.notice_due[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.notice_payload(integration.notice_endpoint, integration_worker.notice_due[]) IS
    'The body of a notice in the form that its receiver reads.';

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
REVOKE ALL ON FUNCTION integration_worker.trace_of(bigint) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.ids_for_log(bigint[]) FROM PUBLIC;

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
REVOKE ALL ON TABLE integration.telemetry FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otel_variable(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_variable(text, text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_file(text, text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_files(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_files_hash(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_url(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.otlp_url(text) IS
    'Where a signal is to go, by integration.otlp_endpoint, else by the server''s OTEL_*; NULL: nowhere.';

-- OpenTelemetry, Metrics Exporter OTLP: lowmemory means delta for what we have, histograms beside gauges.
CREATE FUNCTION integration_worker.wants_delta(preference text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(lower(preference) IN ('delta', 'lowmemory'), false)
$$;
REVOKE ALL ON FUNCTION integration_worker.wants_delta(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.decoded_percents(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otel_list(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_headers(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.take_certificates(text, text, text, text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.switch_off_telemetry(text, text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.trust_collector(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.register_telemetry(text, text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.prepare_telemetry(boolean) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.telemetry_size(text, jsonb) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.close_failed_telemetry(integer, timestamptz) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.expired_telemetry(text, timestamptz, timestamptz) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.refused_telemetry(integer, timestamptz, timestamptz) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.tend_telemetry(timestamptz) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.send_telemetry(text, jsonb, bigint, timestamptz) FROM PUBLIC;

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
REVOKE ALL ON TABLE integration_worker.log_due FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.log_action() FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.log_incident_change() FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.drop_telemetry(text, bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.drop_telemetry(text, bigint) IS 'Counts what was left out of a signal.';

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
REVOKE ALL ON FUNCTION integration_worker.otlp_attributes(jsonb) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_resource(integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.otlp_resource(integer) IS
    'Who sends telemetry: this installation, this database, this worker; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are taken over.';

CREATE FUNCTION integration_worker.otlp_scope() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('name', 'integration', 'version', x.extversion) FROM pg_catalog.pg_extension x WHERE x.extname = 'integration'
$$;
REVOKE ALL ON FUNCTION integration_worker.otlp_scope() FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.redacted_url(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.span_facts(jsonb) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_frame(jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.otlp_frame(jsonb) IS
    'What stands around the spans of a batch of attempts.';

-- In C, as the sender writes it: as text that SQL puts together it costs ten times as much.
CREATE FUNCTION integration_worker.otlp_traces(batch jsonb) RETURNS text
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_otlp_traces';
REVOKE ALL ON FUNCTION integration_worker.otlp_traces(jsonb) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.otlp_body(text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.otlp_body(text, jsonb) IS
    'The body of a request of the format otlp, by the operation and payload of its sync.';

-- Batches of telemetry, as the worker has them made.

CREATE FUNCTION integration_worker.otlp_time(at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (extract(epoch FROM otlp_time.at) * 1000000)::bigint || '000'
$$;
REVOKE ALL ON FUNCTION integration_worker.otlp_time(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.otlp_time(timestamptz) IS 'A moment in nanoseconds since 1970, as OTLP writes it.';

CREATE FUNCTION integration_worker.otlp_record(at timestamptz, severity integer, name text, body text, attributes jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'timeUnixNano', integration_worker.otlp_time(otlp_record.at), 'observedTimeUnixNano', integration_worker.otlp_time(otlp_record.at),
               'severityNumber', severity, 'severityText', CASE severity WHEN 9 THEN 'INFO' WHEN 13 THEN 'WARN' ELSE 'ERROR' END,
               'eventName', name, 'body', jsonb_build_object('stringValue', coalesce(body, name)),
               'attributes', integration_worker.otlp_attributes(attributes))
$$;
REVOKE ALL ON FUNCTION integration_worker.otlp_record(timestamptz, integer, text, text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.otlp_record(timestamptz, integer, text, text, jsonb) IS
    'A log record without a trace.';

CREATE FUNCTION integration_worker.failure_records(syncs bigint[], failures text[]) RETURNS jsonb[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
    SELECT array_agg(integration_worker.otlp_record(
               a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms', CASE WHEN q.state = 'failed' THEN 17 ELSE 13 END,
               CASE WHEN q.state = 'failed' THEN 'integration.sync.failed' ELSE 'integration.sync.attempt_failed' END,
               concat_ws(': ', a.reason, a.error),
               jsonb_build_object('integration.endpoint.name', o.endpoint, 'messaging.message.id', o.id::text, 'error.type', a.error_class,
                                  'http.response.status_code', a.http_status, 'integration.object.type', o.object_type,
                                  'integration.object.id', o.object_id, 'integration.customer', o.customer))
           || jsonb_build_object('traceId', a.trace_id, 'spanId', a.span_id, 'flags', 1) ORDER BY a.started_at)
      FROM integration.attempt a
      JOIN integration.outbox o ON o.id = a.outbox_id
      LEFT JOIN integration.queue q ON q.outbox_id = a.outbox_id
     WHERE a.outbox_id = ANY (syncs) AND a.span_id = ANY (failures)
$$;
REVOKE ALL ON FUNCTION integration_worker.failure_records(bigint[], text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.failure_records(bigint[], text[]) IS
    'Log records of the attempts with these spans, in whose traces they are.';

CREATE FUNCTION integration_worker.export_logs(syncs bigint[], failures text[], worker integer, now timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due integration_worker.log_due[] := ARRAY(
        SELECT d FROM integration_worker.log_due d ORDER BY d.id LIMIT 500 FOR UPDATE SKIP LOCKED);
    records jsonb[] := ARRAY(SELECT integration_worker.otlp_record(d.at, d.severity, d.name, d.body, d.attributes) FROM unnest(due) d);
    is_taken boolean;
BEGIN
    IF failures <> '{}' THEN
        records := records || integration_worker.failure_records(export_logs.syncs, export_logs.failures);
    END IF;
    IF records = '{}' THEN
        RETURN false;
    END IF;
    is_taken := integration_worker.send_telemetry('logs', jsonb_build_object('resourceLogs', jsonb_build_array(jsonb_build_object(
        'resource', integration_worker.otlp_resource(export_logs.worker),
        'scopeLogs', jsonb_build_array(jsonb_build_object('scope', integration_worker.otlp_scope(), 'logRecords', to_jsonb(records)))))),
        cardinality(records), export_logs.now);
    IF NOT is_taken THEN
        PERFORM integration_worker.drop_telemetry('logs', cardinality(records));
    END IF;
    DELETE FROM integration_worker.log_due d WHERE d.id = ANY (ARRAY(SELECT x.id FROM unnest(due) x));
    RETURN cardinality(due) = 500;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.export_logs(bigint[], text[], integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.export_logs(bigint[], text[], integer, timestamptz) IS
    'Has failures of these syncs and what is due leave as logs; whether there may be more.';

-- Which attempts, not what they were: the request is made of the tables when it leaves, so nothing stands there twice.
-- Lists as text, which is taken apart ten times as fast as a JSON array.
CREATE FUNCTION integration_worker.export_attempts(
        syncs bigint[], spans text[], ended boolean[], failures text[], dropped bigint, worker integer,
        now timestamptz DEFAULT clock_timestamp())
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
BEGIN
    PERFORM integration_worker.drop_telemetry('traces', export_attempts.dropped);
    PERFORM integration_worker.tend_telemetry(export_attempts.now);
    IF syncs <> '{}' AND NOT integration_worker.send_telemetry('traces', jsonb_build_object(
               'worker', export_attempts.worker, 'syncs', syncs::text, 'spans', spans::text, 'ended', ended::text),
               cardinality(syncs), export_attempts.now) THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM integration.telemetry t WHERE t.signal = 'logs' AND t.is_on) THEN
        PERFORM integration_worker.export_logs(export_attempts.syncs, export_attempts.failures, export_attempts.worker, export_attempts.now);
    END IF;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.export_attempts(bigint[], text[], boolean[], text[], bigint, integer, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.export_attempts(bigint[], text[], boolean[], text[], bigint, integer, timestamptz) IS
    'Has the worker''s attempts leave as spans (ended: and their syncs''), failures and what else is due as logs; false: not now.';

-- Of the stable conventions, OpenTelemetry semantic conventions 1.44.0.
CREATE FUNCTION integration_worker.duration_metric(
        endpoint_ids integer[], statuses integer[], reasons text[], buckets bigint[], sums double precision[],
        since timestamptz, now timestamptz, is_delta boolean)
    RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('name', 'http.client.request.duration', 'unit', 's',
               'description', 'Duration of requests to endpoints.', 'histogram', jsonb_build_object(
               'aggregationTemporality', CASE WHEN is_delta THEN 1 ELSE 2 END,
               'dataPoints', jsonb_agg(jsonb_build_object(
                   'startTimeUnixNano', integration_worker.otlp_time(duration_metric.since),
                   'timeUnixNano', integration_worker.otlp_time(duration_metric.now),
                   'count', b.total::text, 'sum', h.sum, 'bucketCounts', b.counts,
                   'explicitBounds', (SELECT jsonb_agg(x.ms / 1000::double precision ORDER BY x.ms)
                                        FROM unnest(integration_worker.request_bounds()) AS x (ms)),
                   'attributes', integration_worker.otlp_attributes(jsonb_build_object(
                       'http.request.method', c.method, 'integration.endpoint.name', c.name,
                       'server.address', substring(c.url FROM '^https?://(?:[^/?#@]*@)?\[?([^]/:?#]+)'),
                       'server.port', coalesce(substring(c.url FROM '^https?://[^/?#]*:(\d+)(?:[/?#]|$)'),
                                               CASE WHEN c.url LIKE 'https:%' THEN '443' ELSE '80' END)::integer,
                       'http.response.status_code', nullif(h.status, 0),
                       'error.type', CASE WHEN h.status >= 400 THEN h.status::text
                                          WHEN h.status = 0 THEN coalesce(r.error_class, '_OTHER') END))))))
      FROM unnest(endpoint_ids, statuses, reasons, sums) WITH ORDINALITY AS h (endpoint_id, status, reason, sum, n)
      JOIN integration.endpoint_config c ON c.id = h.endpoint_id
      LEFT JOIN integration.error_reason r ON r.reason = h.reason
     CROSS JOIN LATERAL (SELECT sum(x.count) AS total, jsonb_agg(x.count::text ORDER BY x.k) AS counts
                           FROM unnest(buckets[15 * h.n - 14 : 15 * h.n]) WITH ORDINALITY AS x (count, k)) b
$$;
REVOKE ALL ON FUNCTION integration_worker.duration_metric(integer[], integer[], text[], bigint[], double precision[], timestamptz, timestamptz, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.duration_metric(integer[], integer[], text[], bigint[], double precision[], timestamptz, timestamptz, boolean) IS
    'The durations of requests since a worker began (is_delta: since it told them last), by endpoint and outcome; 15 buckets each.';

-- Counted up to a bound, by the index queue_due: a look at the figures must not take as long as a backlog is large.
CREATE FUNCTION integration_worker.backlog_metrics(now timestamptz) RETURNS SETOF jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH backlog AS MATERIALIZED (
        SELECT integration_worker.otlp_attributes(jsonb_build_object('integration.endpoint.name', e.name)) AS attributes,
               w.count AS waiting, f.count AS failed,
               greatest(extract(epoch FROM backlog_metrics.now - o.due_at), 0) AS age, h.state, l."window"
          FROM integration.endpoint_health h
          JOIN integration.endpoint_config e ON e.id = h.endpoint_id AND e.format NOT LIKE 'otlp%'
          LEFT JOIN integration_worker.live_endpoints() l ON l.endpoint_id = h.endpoint_id
         CROSS JOIN LATERAL (SELECT count(*) FROM (SELECT FROM integration.queue q
                              WHERE q.endpoint_id = h.endpoint_id AND q.state <> 'failed' LIMIT 10000) x) w
         CROSS JOIN LATERAL (SELECT count(*) FROM (SELECT FROM integration.queue q
                              WHERE q.endpoint_id = h.endpoint_id AND q.state = 'failed' LIMIT 10000) x) f
         CROSS JOIN LATERAL (SELECT min(x.due_at) AS due_at
                               FROM unnest('{1,2,3}'::smallint[]) AS p (priority)
                              CROSS JOIN LATERAL (SELECT q.due_at FROM integration.queue q
                                                   WHERE q.endpoint_id = h.endpoint_id AND q.priority = p.priority AND q.state <> 'failed'
                                                   ORDER BY q.due_at LIMIT 1) x) o
         ORDER BY h.endpoint_id
         LIMIT 2000)
    SELECT jsonb_build_object('name', m.name, 'unit', m.unit, 'description', m.description, 'gauge', jsonb_build_object('dataPoints', m.points))
      FROM (SELECT integration_worker.otlp_time(backlog_metrics.now) AS at) t
     CROSS JOIN LATERAL (
           SELECT 'integration.queue.syncs' AS name, '{sync}' AS unit, 'Syncs that wait to be sent; 10000 stands for that many or more.' AS description,
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'asInt', b.waiting::text, 'attributes', b.attributes)) AS points
             FROM backlog b
            UNION ALL
           SELECT 'integration.queue.failed', '{sync}', 'Syncs that wait for a person; 10000 stands for that many or more.',
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'asInt', b.failed::text, 'attributes', b.attributes))
             FROM backlog b
            UNION ALL
           SELECT 'integration.queue.oldest_age', 's', 'How long the sync that is due the longest has been due.',
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'asDouble', coalesce(b.age, 0), 'attributes', b.attributes))
             FROM backlog b
            UNION ALL
           SELECT 'integration.endpoint.concurrency_limit', '{request}', 'How many requests at once the endpoint gets just now.',
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'asInt', b."window"::text, 'attributes', b.attributes))
             FROM backlog b WHERE b."window" IS NOT NULL
            UNION ALL
           SELECT 'integration.endpoint.state', '1', '0 closed: calls flow; 1 half open, 2 open, 3 stopped.',
                  jsonb_agg(jsonb_build_object('timeUnixNano', t.at, 'attributes', b.attributes,
                      'asInt', CASE b.state WHEN 'closed' THEN '0' WHEN 'half_open' THEN '1' WHEN 'open' THEN '2' ELSE '3' END))
             FROM backlog b
            UNION ALL
           SELECT 'integration.incidents', '{incident}', 'Incidents that are not over.',
                  jsonb_build_array(jsonb_build_object('timeUnixNano', t.at, 'asInt', count(*)::text))
             FROM integration.incident i WHERE i.resolved_at IS NULL) m
     WHERE m.points IS NOT NULL
$$;
REVOKE ALL ON FUNCTION integration_worker.backlog_metrics(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.backlog_metrics(timestamptz) IS
    'How much waits at each endpoint that was ever called, how it stands: one OTLP metric a row.';

CREATE FUNCTION integration_worker.export_metrics(
        endpoint_ids integer[], statuses integer[], reasons text[], buckets bigint[], sums double precision[],
        since timestamptz, with_backlog boolean, worker integer, now timestamptz DEFAULT clock_timestamp(), is_delta boolean DEFAULT false)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    metrics jsonb := '[]';
BEGIN
    IF endpoint_ids <> '{}' THEN
        metrics := metrics || integration_worker.duration_metric(
            export_metrics.endpoint_ids, export_metrics.statuses, export_metrics.reasons, export_metrics.buckets,
            export_metrics.sums, export_metrics.since, export_metrics.now, is_delta);
    END IF;
    IF with_backlog THEN
        metrics := metrics || coalesce((SELECT jsonb_agg(m) FROM integration_worker.backlog_metrics(export_metrics.now) m), '[]');
    END IF;
    IF metrics = '[]' THEN
        RETURN true;
    END IF;
    RETURN integration_worker.send_telemetry('metrics', jsonb_build_object('resourceMetrics', jsonb_build_array(jsonb_build_object(
        'resource', integration_worker.otlp_resource(export_metrics.worker),
        'scopeMetrics', jsonb_build_array(jsonb_build_object('scope', integration_worker.otlp_scope(), 'metrics', metrics))))),
        1, export_metrics.now);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.export_metrics(integer[], integer[], text[], bigint[], double precision[], timestamptz, boolean, integer, timestamptz, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.export_metrics(integer[], integer[], text[], bigint[], double precision[], timestamptz, boolean, integer, timestamptz, boolean) IS
    'Has a worker''s figures leave, with_backlog: those of the whole database too; false: not now.';

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
REVOKE ALL ON FUNCTION integration_worker.request_of(bigint, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.request_of(bigint, boolean) IS
    'The request of a sync; is_whole: with what endpoint.mask hides.';

-- With the caller's rights, else nothing would say who asks.  Its body is bound to what it names when it is
-- made, so the caller needs no right to the schema.
CREATE OR REPLACE FUNCTION integration.preview(id bigint)
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
REVOKE ALL ON FUNCTION integration_worker.shell_word(text) FROM PUBLIC;

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
REVOKE ALL ON FUNCTION integration_worker.curl_of(text, text, text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.curl_of(text, text, text, text, text) IS 'A request as a command for a shell.';

CREATE FUNCTION integration.as_curl(outbox_id bigint) RETURNS text
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT integration_worker.curl_of(r.method, r.url, r.headers, r.body, r.problem)
      FROM integration_worker.request_of(
               as_curl.outbox_id, has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT')) r;
END;
REVOKE ALL ON FUNCTION integration.as_curl(bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration.as_curl(bigint) IS
    'The request of a sync as a command for a shell, with what preview() shows: secrets and what endpoint.mask hides stand as ***. It carries the sync''s own Idempotency-Key, so that a receiver takes it for the same sync.';

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
REVOKE ALL ON FUNCTION integration_worker.masked_answer(text, text[], jsonb) FROM PUBLIC;

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

-- What customers are told: a fixed vocabulary, in their language.

INSERT INTO integration.phrase (key, words) VALUES
    ('customer.standing.arrived', 'Arrived'),
    ('customer.standing.waiting', 'On its way'),
    ('customer.standing.delayed', 'Delayed'),
    ('customer.standing.held', 'Held back'),
    ('customer.standing.needs_you', 'Needs you'),
    ('customer.standing.needs_us', 'Needs us'),
    ('customer.standing.checking', 'Being checked'),
    ('customer.standing.withdrawn', 'Withdrawn'),
    ('customer.standing.too_late', 'Not sent in time'),
    ('customer.standing.unknown', 'Not known'),
    ('customer.next.waiting', 'It is sent automatically.'),
    ('customer.next.delayed', 'We keep trying.'),
    ('customer.next.held', 'We look after it; it is sent automatically as soon as that is over.'),
    ('customer.next.needs_you', 'It is not tried again by itself.'),
    ('customer.next.needs_us', 'It is not tried again by itself; we look after it.'),
    ('customer.next.checking', 'Nothing is sent again before we know that.'),
    ('customer.next.withdrawn', 'It is not sent.'),
    ('customer.next.too_late', 'It is not sent any more.'),
    ('customer.cause.unknown', 'We know of nothing that was to be sent under this name.'),
    ('customer.advice.unknown', 'Please check the name; what was sent long ago is not kept.'),
    ('customer.advice.can_retry', 'You can have it sent again.');

-- Both are inlined where a view asks for each row.
CREATE FUNCTION integration_worker.customer_status_of(
        state text, is_unknown boolean, responsible text, is_held boolean)
    RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN state IN ('delivered', 'in_sync') THEN 'arrived'
                WHEN state = 'cancelled' THEN 'withdrawn'
                WHEN state = 'expired' THEN 'too_late'
                WHEN state = 'failed' AND is_unknown THEN 'checking'
                WHEN state = 'failed' AND responsible = 'customer' THEN 'needs_you'
                WHEN state = 'failed' THEN 'needs_us'
                WHEN is_held THEN 'held'
                WHEN state IN ('retrying', 'failing') THEN 'delayed'
                ELSE 'waiting' END;
REVOKE ALL ON FUNCTION integration_worker.customer_status_of(text, boolean, text, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_status_of(text, boolean, text, boolean) IS
    'The word of the customers'' vocabulary for a sync or an object in this state; is_unknown: it may have arrived and must not be sent twice.';

CREATE FUNCTION integration_worker.customer_class(status text, error_class text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE status WHEN 'arrived' THEN 'success'
                       WHEN 'withdrawn' THEN 'cancelled'
                       WHEN 'too_late' THEN 'expired'
                       WHEN 'waiting' THEN 'deferred'
                       ELSE coalesce(error_class, 'internal') END;
REVOKE ALL ON FUNCTION integration_worker.customer_class(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_class(text, text) IS
    'The error class whose words explain a status to a customer.';

-- In one piece, so that a view asks once for each customer.
CREATE FUNCTION integration_worker.customer_vocabulary(customer text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (SELECT jsonb_object_agg('cause.' || k.name, k.customer_message) FROM integration.error_class k)
           || coalesce((SELECT jsonb_object_agg('advice.' || a.key, a.value)
                          FROM jsonb_each_text(integration_worker.remedies('customer', r.locale)) a), '{}')
           || (SELECT jsonb_object_agg(substr(p.key, length('customer.') + 1), p.value)
                 FROM jsonb_each_text(integration_worker.phrases('{customer.}', r.locale)) p)
      FROM (SELECT (SELECT c.locale FROM integration.customer c WHERE c.name = customer_vocabulary.customer) AS locale) r
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_vocabulary(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_vocabulary(text) IS
    'All that a customer can be told, in the language of integration.customer: by standing.STATUS, next.STATUS, cause.CLASS, advice.REASON, advice.:CLASS.';

-- What a customer's role sees of the customer's own objects, what it may do.

-- By role, not by name: one that is dropped leaves nothing to a later one of its name.
CREATE TABLE integration.customer_grant (
    role regrole NOT NULL,
    customer text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    granted_by name NOT NULL DEFAULT session_user,
    PRIMARY KEY (role, customer)
);
REVOKE ALL ON TABLE integration.customer_grant FROM PUBLIC;

COMMENT ON TABLE integration.customer_grant IS
    'Which role sees which customer''s objects. Written by integration.grant_customer(), revoke_customer() and revoke().';

COMMENT ON COLUMN integration.customer_grant.role IS 'The role; in force as long as it has SELECT on integration.customer_sync.';

COMMENT ON COLUMN integration.customer_grant.customer IS 'The customer, as in outbox.customer and endpoint.customer.';

COMMENT ON COLUMN integration.customer_grant.granted_at IS 'When.';

COMMENT ON COLUMN integration.customer_grant.granted_by IS 'The database user of the session.';

INSERT INTO integration.phrase (key, words) VALUES
    ('grant.sees_all', 'role {role} sees the syncs of all customers already'),
    ('grant.no_customer', 'nothing belongs to customer "{customer}" yet: is the name right?'),
    ('revoke.not_granted', 'role {role} was not granted customer "{customer}"');

-- What REVOKE or DROP OWNED took from the role stays taken, whatever stands in the table.
-- In a view, where the user is the one who asks: a function with its owner's rights couldn't tell.  The array is made
-- once, however many roles there are.
CREATE VIEW integration_worker.own_customer AS
SELECT DISTINCT g.customer
  FROM integration.customer_grant g
 WHERE pg_has_role(g.role, 'USAGE')
   AND g.role = ANY (ARRAY(
       SELECT a.grantee
         FROM pg_catalog.pg_class c
        CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.relname = 'customer_sync'
          AND c.relnamespace = 'integration'::regnamespace
          AND a.privilege_type = 'SELECT'));

COMMENT ON VIEW integration_worker.own_customer IS 'The customers whose objects the current user may see.';

-- In branches, so that each finds its rows by an index: by outbox.customer; by what an endpoint of the customer's
-- has in the queue or has tried; by what was given up before it was tried.  What gave way to a newer sync is nobody's concern.
CREATE VIEW integration_worker.customer_outbox AS
SELECT o.id, o.customer, o.endpoint, o.object_type, o.object_id, o.operation, o.created_at
  FROM integration_worker.own_customer w
  JOIN integration_worker.asked o ON o.customer = w.customer
UNION ALL
SELECT o.id, e.customer, o.endpoint, o.object_type, o.object_id, o.operation, o.created_at
  FROM integration_worker.own_customer w
  JOIN integration.endpoint e ON e.customer = w.customer
 CROSS JOIN LATERAL (
       SELECT q.outbox_id AS id FROM integration.queue q WHERE q.endpoint_id = e.id AND q.state <> 'failed'
       UNION ALL
       SELECT q.outbox_id FROM integration.queue q WHERE q.endpoint_id = e.id AND q.state = 'failed'
       UNION ALL
       SELECT a.outbox_id
         FROM integration.attempt a
        WHERE a.endpoint_id = e.id
          AND a.attempt_no = 1
          AND NOT EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = a.outbox_id)) t
  JOIN integration_worker.asked o ON o.id = t.id
 WHERE o.customer IS NULL
UNION ALL
SELECT o.id, e.customer, o.endpoint, o.object_type, o.object_id, o.operation, o.created_at
  FROM integration.closing c
  JOIN integration_worker.asked o ON o.id = c.outbox_id
  JOIN integration.endpoint e ON e.name = o.endpoint
 WHERE c.state <> 'superseded'
   AND o.customer IS NULL
   AND e.customer IN (SELECT w.customer FROM integration_worker.own_customer w)
   AND NOT EXISTS (SELECT FROM integration.attempt a WHERE a.outbox_id = o.id AND a.attempt_no = 1);

COMMENT ON VIEW integration_worker.customer_outbox IS 'What was asked for the customers of the current user.';

-- With its owner's rights: a customer's role may ask how its own stand, not look at the pauses.
CREATE FUNCTION integration_worker.held_class(endpoint_id integer, customer text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM integration_worker.pause_in_force p
                              WHERE integration_worker.pause_holds(p.scope, p.name, e.connector, e.name,
                                                                   ARRAY[held_class.customer, e.customer])) THEN 'deferred'
                WHEN h.state = 'stopped' THEN coalesce(r.error_class, 'config') END
      FROM integration.endpoint e
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
      LEFT JOIN integration.error_reason r ON r.reason = h.last_reason
     WHERE e.id = held_class.endpoint_id
$$;
REVOKE ALL ON FUNCTION integration_worker.held_class(integer, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.held_class(integer, text) IS
    'The error class that explains why what waits for an endpoint is held back until somebody acts; NULL: it is not.';

-- Once for each customer, not for each row.
CREATE VIEW integration_worker.own_vocabulary AS
SELECT w.customer, integration_worker.customer_vocabulary(w.customer) AS texts
  FROM integration_worker.own_customer w
OFFSET 0;

COMMENT ON VIEW integration_worker.own_vocabulary IS 'What the customers of the current user can be told.';

CREATE VIEW integration_worker.customer_fact AS
SELECT f.*, coalesce(c.title, c.name) AS system, coalesce(q.state, g.state, 'delivered') AS state,
       CASE WHEN q.state = 'retrying' THEN q.due_at END AS next_attempt_at,
       CASE WHEN q.outbox_id IS NULL
            THEN coalesce(g.closed_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms') END AS finished_at,
       CASE WHEN p.held_class IS NOT NULL THEN p.held_class ELSE a.error_class END AS error_class,
       CASE WHEN p.held_class IS NULL AND r.error_class = a.error_class THEN a.reason END AS reason,
       q.state = 'failed'
       AND (q.expires_at > statement_timestamp()) IS NOT FALSE
       AND NOT (r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true)) AS can_retry,
       integration_worker.customer_status_of(
           coalesce(q.state, g.state, 'delivered'),
           r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true),
           r.responsible, p.held_class IS NOT NULL) AS status
  FROM integration_worker.customer_outbox f
  LEFT JOIN integration.endpoint e ON e.name = f.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.queue q ON q.outbox_id = f.id
  LEFT JOIN integration.closing g ON g.outbox_id = f.id
  LEFT JOIN LATERAL (
       SELECT x.started_at, x.duration_ms, x.reason, x.error_class
         FROM integration.attempt x
        WHERE x.outbox_id = f.id
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
  LEFT JOIN integration.error_reason r ON r.reason = a.reason
 CROSS JOIN LATERAL (
       SELECT CASE WHEN q.state <> 'failed' THEN integration_worker.held_class(e.id, f.customer) END AS held_class
       OFFSET 0) p
 WHERE f.operation <> 'ping'
   AND g.state IS DISTINCT FROM 'superseded';

COMMENT ON VIEW integration_worker.customer_fact IS 'The syncs of the customers of the current user, with their states.';

-- Sorted here, with all joins from the left: so the last attempt is looked up for those lines alone that somebody reads.
CREATE VIEW integration.customer_sync WITH (security_barrier) AS
SELECT f.id, f.customer, f.system, f.object_type, f.object_id, f.operation, f.state,
       concat_ws(' ', v.texts ->> ('cause.' || k.class), v.texts ->> ('next.' || f.status)) AS explanation,
       coalesce(f.can_retry, false) AS can_retry, f.created_at, f.next_attempt_at, f.finished_at, f.status,
       coalesce(v.texts ->> ('advice.' || f.reason), v.texts ->> ('advice.:' || k.class)) AS advice
  FROM integration_worker.customer_fact f
  LEFT JOIN integration_worker.own_vocabulary v ON v.customer = f.customer
 CROSS JOIN LATERAL (SELECT integration_worker.customer_class(f.status, f.error_class) AS class) k
 ORDER BY f.id DESC;

COMMENT ON VIEW integration.customer_sync IS
    'For a customer''s role: the syncs of its own objects, in plain words, the newest first. integration.retry(id) has one sent again where can_retry is true.';

COMMENT ON COLUMN integration.customer_sync.id IS 'The number of the sync.';

COMMENT ON COLUMN integration.customer_sync.customer IS 'Whose object it is.';

COMMENT ON COLUMN integration.customer_sync.system IS 'Where to: the connector''s title, or its name.';

COMMENT ON COLUMN integration.customer_sync.object_type IS 'The kind of business object.';

COMMENT ON COLUMN integration.customer_sync.object_id IS 'The business reference.';

COMMENT ON COLUMN integration.customer_sync.operation IS 'What happened to the object.';

COMMENT ON COLUMN integration.customer_sync.state IS 'pending, retrying, failed, delivered, cancelled or expired; what gave way to a newer sync isn''t listed.';

COMMENT ON COLUMN integration.customer_sync.explanation IS 'What that means, what comes next by itself, in the customer''s language.';

COMMENT ON COLUMN integration.customer_sync.can_retry IS 'It failed, and integration.retry(id) would have it sent again.';

COMMENT ON COLUMN integration.customer_sync.created_at IS 'When it was asked for.';

COMMENT ON COLUMN integration.customer_sync.next_attempt_at IS 'While retrying: not sent again before.';

COMMENT ON COLUMN integration.customer_sync.finished_at IS 'When it arrived or was given up.';

COMMENT ON COLUMN integration.customer_sync.status IS 'arrived, waiting, delayed, held, needs_you, needs_us, checking, withdrawn or too_late: see integration.customer_status().';

COMMENT ON COLUMN integration.customer_sync.advice IS 'What the customer can do.';

-- The status of an object belongs to whom its last sync belongs to; when that one has left, to the endpoint's customer.
CREATE VIEW integration_worker.customer_status AS
SELECT o.customer, s.*
  FROM integration_worker.own_customer w
  JOIN integration_worker.asked o ON o.customer = w.customer
  JOIN integration.endpoint e ON e.name = o.endpoint
  JOIN integration.sync_status s
    ON s.object_id = o.object_id
   AND s.object_type = coalesce(o.object_type, '')
   AND s.endpoint_id = e.id
   AND s.last_outbox_id = o.id
UNION ALL
SELECT e.customer, s.*
  FROM integration_worker.own_customer w
  JOIN integration.endpoint e ON e.customer = w.customer
  JOIN integration.sync_status s ON s.endpoint_id = e.id
 WHERE NOT EXISTS (SELECT FROM integration_worker.asked o WHERE o.id = s.last_outbox_id AND o.customer IS NOT NULL);

COMMENT ON VIEW integration_worker.customer_status IS
    'How the objects of the customers of the current user stand that were tried.';

CREATE VIEW integration_worker.customer_standing AS
SELECT s.*, w.queued,
       coalesce((SELECT coalesce(d.customer, e.customer) FROM integration_worker.asked d WHERE d.id = s.delivered_outbox_id),
                e.customer) = s.customer AS is_own
  FROM integration_worker.customer_status s
  JOIN integration.endpoint e ON e.id = s.endpoint_id
 CROSS JOIN LATERAL (
       SELECT count(*) AS queued
         FROM integration_worker.asked o
         JOIN integration.queue q ON q.outbox_id = o.id
        WHERE o.object_id = s.object_id
          AND coalesce(o.object_type, '') = s.object_type
          AND q.endpoint_id = s.endpoint_id
          AND coalesce(o.customer, e.customer) = s.customer) w;

COMMENT ON VIEW integration_worker.customer_standing IS
    'The same with how many syncs of the object wait; is_own: what was delivered last was the customer''s.';

-- In branches by state, so that a list of what is failed reads nothing of what is well: what does not work; what works or
-- was never tried, while something is queued for it; all the rest.  The vocabulary is wide: nothing is joined beside it.
CREATE VIEW integration.customer_object WITH (security_barrier) AS
SELECT t.customer,
       (SELECT coalesce(c.title, c.name)
          FROM integration.endpoint e
          JOIN integration.connector c ON c.name = e.connector
         WHERE e.id = t.endpoint_id) AS system,
       t.object_type, t.object_id, t.state,
       concat_ws(' ', v.texts ->> ('cause.' || k.class), v.texts ->> ('next.' || k.status)) AS explanation,
       CASE WHEN t.is_own THEN t.remote_id END AS remote_id,
       CASE WHEN t.is_own THEN t.delivered_at END AS delivered_at,
       t.last_sync, t.queued, k.status, v.texts ->> ('advice.:' || k.class) AS advice
  FROM (SELECT s.customer, s.endpoint_id, s.object_type, s.object_id, s.state, s.error_class, s.remote_id, s.delivered_at,
               s.last_outbox_id AS last_sync, s.queued, s.is_own
          FROM integration_worker.customer_standing s
         WHERE s.state <> 'in_sync'
        UNION ALL
        SELECT w.customer, w.endpoint_id, w.object_type, w.object_id, 'pending', NULL, s.remote_id, s.delivered_at,
               s.last_outbox_id, w.queued, coalesce(s.is_own, false)
          FROM (SELECT f.customer, q.endpoint_id, coalesce(f.object_type, '') AS object_type, f.object_id, count(*) AS queued
                  FROM integration_worker.customer_outbox f
                  JOIN integration.queue q ON q.outbox_id = f.id
                 WHERE f.object_id IS NOT NULL
                 GROUP BY f.customer, q.endpoint_id, coalesce(f.object_type, ''), f.object_id) w
          LEFT JOIN integration_worker.customer_standing s
            ON (s.customer, s.endpoint_id, s.object_type, s.object_id) = (w.customer, w.endpoint_id, w.object_type, w.object_id)
         WHERE s.state IS NULL OR s.state = 'in_sync'
        UNION ALL
        SELECT s.customer, s.endpoint_id, s.object_type, s.object_id, 'in_sync', NULL, s.remote_id, s.delivered_at,
               s.last_outbox_id, 0, s.is_own
          FROM integration_worker.customer_standing s
         WHERE s.state = 'in_sync' AND s.queued = 0) t
  JOIN integration_worker.own_vocabulary v ON v.customer = t.customer
 CROSS JOIN LATERAL (
       SELECT s.status, integration_worker.customer_class(s.status, coalesce(s.held_class, t.error_class)) AS class
         FROM (SELECT h.held_class,
                      integration_worker.customer_status_of(
                          t.state, false, (SELECT x.responsible FROM integration.error_class x WHERE x.name = t.error_class),
                          h.held_class IS NOT NULL) AS status
                 FROM (SELECT CASE WHEN t.state IN ('pending', 'failing') THEN
                                   integration_worker.held_class(t.endpoint_id, t.customer) END AS held_class) h) s) k;

COMMENT ON VIEW integration.customer_object IS
    'For a customer''s role: how each of its own objects stands, in plain words.';

COMMENT ON COLUMN integration.customer_object.customer IS 'Whose object it is.';

COMMENT ON COLUMN integration.customer_object.system IS 'Where to: the connector''s title, or its name.';

COMMENT ON COLUMN integration.customer_object.object_type IS 'The kind of business object; empty where none was given.';

COMMENT ON COLUMN integration.customer_object.object_id IS 'The business reference.';

COMMENT ON COLUMN integration.customer_object.state IS 'in_sync, pending, failing (will be tried again) or failed.';

COMMENT ON COLUMN integration.customer_object.explanation IS 'What that means, what comes next by itself, in the customer''s language.';

COMMENT ON COLUMN integration.customer_object.remote_id IS 'The other system''s id for the object.';

COMMENT ON COLUMN integration.customer_object.delivered_at IS 'When its newest state that arrived did so.';

COMMENT ON COLUMN integration.customer_object.last_sync IS 'The newest sync of the object that was tried: see customer_sync.';

COMMENT ON COLUMN integration.customer_object.queued IS 'Syncs of the object that are not finished.';

COMMENT ON COLUMN integration.customer_object.status IS 'arrived, waiting, delayed, held, needs_you or needs_us: see integration.customer_status().';

COMMENT ON COLUMN integration.customer_object.advice IS 'What the customer can do.';

-- What belongs to others is refused in the words for what doesn't exist.
CREATE FUNCTION integration_worker.require_own_sync(id bigint, reason text, customers text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF octet_length(reason) > 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'program_limit_exceeded',
            MESSAGE = 'the reason is too long',
            DETAIL = format('It has %s bytes; 1000 are allowed.', octet_length(reason)),
            HINT = 'Write a sentence.';
    END IF;
    IF EXISTS (SELECT
                 FROM integration.outbox o
                 LEFT JOIN integration.endpoint e ON e.name = o.endpoint
                WHERE o.id = require_own_sync.id
                  AND o.operation <> 'ping'
                  AND coalesce(o.customer, e.customer) = ANY (customers)) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'undefined_object',
        MESSAGE = format('sync %s does not exist', coalesce(require_own_sync.id::text, 'NULL')),
        HINT = 'Yours are in SELECT id, object_id, state FROM integration.customer_sync.';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.require_own_sync(bigint, text, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.require_own_sync(bigint, text, text[]) IS
    'Raises an error unless the sync belongs to one of these customers; the reason is what its customer writes.';

CREATE FUNCTION integration_worker.require_known_failure(id bigint, state text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF state <> 'failed' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s is %s and cannot be retried', require_known_failure.id, state),
            HINT = 'Only what is failed can: look at the column can_retry of integration.customer_sync.';
    END IF;
    IF EXISTS (SELECT FROM integration.queue q
                WHERE q.outbox_id = require_known_failure.id AND q.expires_at <= clock_timestamp()) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s is too late to be retried', require_known_failure.id),
            HINT = 'Ask those who run this service to send it all the same.';
    END IF;
    IF (SELECT f.is_unknown FROM integration_worker.sync_facts f WHERE f.id = require_known_failure.id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s may have arrived and must not be sent twice', require_known_failure.id),
            HINT = 'Look in the other system whether it is there, and tell those who run this service.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.require_known_failure(bigint, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.require_known_failure(bigint, text) IS
    'Raises an error unless the sync in this state is one that its customer may have sent again.';

-- With the caller's rights, else nothing would say who asks.  Its body is bound to what it names when it is
-- made, so the caller needs no right to the schema.
CREATE OR REPLACE FUNCTION integration.retry(id bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT integration_worker.retry_as(
               retry.id, retry.reason, current_user,
               CASE WHEN NOT has_column_privilege('integration.sync'::regclass, 'state', 'UPDATE')
                    THEN ARRAY(SELECT w.customer FROM integration_worker.own_customer w) END);
END;

COMMENT ON FUNCTION integration.retry(bigint, text) IS
    'Has a sync sent now: one that failed or was cancelled from the start of its retry schedule, one that waits without its wait. A customer''s role may retry what failed of its own. Returns its state.';

-- Which fields the other system refused, for whoever can correct the data.

-- RFC 9457 §3.2 names members of problems as it likes; these are how APIs say it: JSON:API, Google's BadRequest,
-- FastAPI, Symfony, ASP.NET, Rails.
CREATE FUNCTION integration_worker.refused_field(error jsonb, OUT field text, OUT detail text)
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT left(coalesce(
               (SELECT error #>> f.path
                  FROM (VALUES (1, '{pointer}'::text[]), (2, '{source,pointer}'), (3, '{field}'), (4, '{propertyPath}'), (5, '{path}'),
                               (6, '{param}'), (7, '{parameter}'), (8, '{property}'), (9, '{name}')) AS f (n, path)
                 WHERE jsonb_typeof(error #> f.path) = 'string' AND error #>> f.path <> ''
                 ORDER BY f.n LIMIT 1),
               (SELECT string_agg(l.step, '/' ORDER BY l.n)
                  FROM jsonb_array_elements_text(CASE jsonb_typeof(error -> 'loc') WHEN 'array' THEN error -> 'loc' END)
                       WITH ORDINALITY AS l (step, n))), 200),
           left((SELECT error ->> d.name
                   FROM (VALUES (1, 'detail'), (2, 'message'), (3, 'msg'), (4, 'description'), (5, 'reason'), (6, 'title'), (7, 'code')) AS d (n, name)
                  WHERE jsonb_typeof(error -> d.name) = 'string' AND error ->> d.name <> ''
                  ORDER BY d.n LIMIT 1), 300)
$$;
REVOKE ALL ON FUNCTION integration_worker.refused_field(jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.refused_field(jsonb) IS
    'The field that one member of a list of errors is about, what is wrong with it.';

CREATE FUNCTION integration_worker.refused_fields(answer jsonb) RETURNS TABLE (field text, detail text)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT f.field, f.detail
      FROM (SELECT r.field, r.detail, min(e.n) AS n
              FROM unnest(ARRAY['$.errors[*]', '$."invalid-params"[*]', '$.invalid_params[*]', '$.violations[*]', '$.fieldErrors[*]',
                                '$.field_errors[*]', '$.detail[*]', '$.details[*]', '$.error.errors[*]', '$.error.details[*].fieldViolations[*]',
                                '$.error.details[*]']::jsonpath[]) AS p (path)
             CROSS JOIN LATERAL jsonb_path_query(answer, p.path, '{}', true) WITH ORDINALITY AS e (error, n)
             CROSS JOIN LATERAL integration_worker.refused_field(e.error) r
             WHERE jsonb_typeof(e.error) = 'object' AND r.field IS NOT NULL AND e.n <= 100
             GROUP BY 1, 2
            UNION ALL
            -- {"errors": {"name": ["is too long"]}}
            SELECT left(o.key, 200), left(CASE jsonb_typeof(o.value) WHEN 'array' THEN o.value ->> 0 ELSE o.value #>> '{}' END, 300), o.n
              FROM jsonb_each(CASE jsonb_typeof(answer -> 'errors') WHEN 'object' THEN answer -> 'errors' END) WITH ORDINALITY AS o (key, value, n)
             WHERE jsonb_typeof(o.value) = 'string' OR jsonb_typeof(o.value -> 0) = 'string') f
     ORDER BY f.n
     LIMIT 20;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.refused_fields(jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.refused_fields(jsonb) IS
    'The first twenty fields that an answer names as wrong.';

-- What the mask hides of the payload is hidden here too.
CREATE FUNCTION integration_worker.fields_of_sync(id bigint, is_whole boolean, by_customer boolean)
    RETURNS TABLE (field text, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT f.*
      FROM (SELECT x.*
              FROM integration.attempt x
             WHERE x.outbox_id = fields_of_sync.id
             ORDER BY x.attempt_no DESC
             LIMIT 1) a
      JOIN integration.outbox o ON o.id = a.outbox_id
      JOIN integration.endpoint_config c ON c.id = a.endpoint_id
      LEFT JOIN integration.error_reason r ON r.reason = a.reason
     CROSS JOIN LATERAL integration_worker.refused_fields(integration_worker.as_json(
           CASE WHEN is_whole THEN a.response_body ELSE integration_worker.masked_answer(a.response_body, c.mask, o.payload) END)) f
     WHERE a.outcome = 'failed'
       AND (NOT by_customer OR r.responsible = 'customer');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.fields_of_sync(bigint, boolean, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.fields_of_sync(bigint, boolean, boolean) IS
    'The fields that the last answer to a sync names as wrong; by_customer: only where it is the customer who can correct them.';

-- customers: whose syncs the caller may see; NULL: all.
CREATE FUNCTION integration_worker.fields_for(id bigint, is_whole boolean, customers text[])
    RETURNS TABLE (field text, detail text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF customers IS NULL THEN
        PERFORM integration_worker.require_sync(fields_for.id);
    ELSE
        PERFORM integration_worker.require_own_sync(fields_for.id, NULL, customers);
    END IF;
    RETURN QUERY SELECT f.* FROM integration_worker.fields_of_sync(fields_for.id, is_whole, customers IS NOT NULL) f;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.fields_for(bigint, boolean, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.fields_for(bigint, boolean, text[]) IS
    'The fields that the last answer to a sync names as wrong, for a caller who may see the sync.';

-- With the caller's rights, else nothing would say who asks.  Its body is bound to what it names when it is
-- made, so the caller needs no right to the schema.
CREATE FUNCTION integration.fields_to_correct(id bigint) RETURNS TABLE (field text, detail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT f.*
      FROM integration_worker.fields_for(
               fields_to_correct.id, has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT'),
               CASE WHEN NOT has_table_privilege('integration.sync'::regclass, 'SELECT')
                    THEN ARRAY(SELECT w.customer FROM integration_worker.own_customer w) END) f;
END;
REVOKE ALL ON FUNCTION integration.fields_to_correct(bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration.fields_to_correct(bigint) IS
    'Which fields of a sync''s data the other system refused at the last attempt, in its words; of the shapes that APIs use for it (RFC 9457 and others). A customer''s role sees those of its own syncs that it can correct.';

-- Figures for monitoring: as rows, as Prometheus' text.
-- With their owner's rights, so that a role for monitoring needs nothing but EXECUTE of them.

CREATE FUNCTION integration.endpoint_metrics()
    RETURNS TABLE (endpoint text, backlog bigint, failed bigint, oldest_due_seconds double precision, in_flight integer,
                   "window" integer, paused integer, stopped integer, open integer)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.name, s.backlog, s.failed, coalesce(extract(epoch FROM statement_timestamp() - s.oldest_due_at), 0)::double precision,
           s.in_flight, coalesce(s."window", 0), (s.blocked_by IS NOT DISTINCT FROM 'paused')::integer, (s.state = 'stopped')::integer,
           (s.state IN ('open', 'half_open'))::integer
      FROM integration.endpoint_status s
     ORDER BY 1
$$;
REVOKE ALL ON FUNCTION integration.endpoint_metrics() FROM PUBLIC;

COMMENT ON FUNCTION integration.endpoint_metrics() IS
    'How each endpoint stands, for monitoring: integration_endpoint_… of prometheus().';

-- Buckets as Prometheus has them: each counts what the ones before it count.
CREATE FUNCTION integration.attempt_metrics()
    RETURNS TABLE (endpoint text, delivered_total bigint, failed_total bigint, duration_seconds double precision[],
                   duration_seconds_bucket bigint[], duration_seconds_sum double precision, duration_seconds_count bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH counted AS (
        SELECT x.endpoint_id, x.up_to_ms, sum(x.delivered) AS delivered, sum(x.failed) AS failed, sum(x.duration_ms) AS duration_ms
          FROM (SELECT t.endpoint_id, t.up_to_ms, t.delivered, t.failed, t.duration_ms
                  FROM integration_worker.traffic_total t
                UNION ALL
                SELECT c.endpoint_id, c.up_to_ms, c.delivered, c.failed, c.duration_ms
                  FROM integration.endpoint e
                  LEFT JOIN integration_worker.traffic_mark m ON m.endpoint_id = e.id
                 CROSS JOIN LATERAL integration_worker.count_attempts(e.id, coalesce(m.counted_until, '-infinity'), 'infinity') c) x
         GROUP BY 1, 2
    )
    SELECT b.name, coalesce(sum(b.delivered), 0)::bigint, coalesce(sum(b.failed), 0)::bigint,
           array_agg(b.bound / 1000.0 ORDER BY b.bound) FILTER (WHERE b.bound < 2147483647),
           array_agg(b.count ORDER BY b.bound), (coalesce(sum(b.duration_ms), 0) / 1000.0)::double precision, max(b.count)
      FROM (SELECT e.name, u.bound, c.delivered, c.failed, c.duration_ms,
                   coalesce(sum(c.delivered + c.failed) OVER (PARTITION BY e.id ORDER BY u.bound), 0)::bigint AS count
              FROM integration.endpoint e
             CROSS JOIN unnest(integration_worker.duration_bounds()) AS u (bound)
              LEFT JOIN counted c ON c.endpoint_id = e.id AND c.up_to_ms = u.bound) b
     GROUP BY b.name
     ORDER BY 1
$$;
REVOKE ALL ON FUNCTION integration.attempt_metrics() FROM PUBLIC;

COMMENT ON FUNCTION integration.attempt_metrics() IS
    'Attempts at each endpoint since it was made and how long they took, for monitoring: integration_attempts_… of prometheus(). The last bucket is that of all.';

CREATE FUNCTION integration.incident_metrics() RETURNS TABLE (severity text, open bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.severity::text, c.open
      FROM unnest(integration_worker.count_incidents('{open,acknowledged}', statement_timestamp()))
           WITH ORDINALITY AS c (open, severity)
     ORDER BY c.severity
$$;
REVOKE ALL ON FUNCTION integration.incident_metrics() FROM PUBLIC;

COMMENT ON FUNCTION integration.incident_metrics() IS
    'Open incidents by severity, without those that are ignored or snoozed: integration_incidents_… of prometheus().';

CREATE FUNCTION integration.worker_metrics()
    RETURNS TABLE (running bigint, last_turn_seconds double precision, in_flight bigint, memory_bytes bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - w.last_turn_at)), 0)::double precision,
           coalesce(sum(w.in_flight), 0)::bigint, coalesce(sum(w.memory_bytes), 0)::bigint
      FROM integration_worker.live_workers() w
$$;
REVOKE ALL ON FUNCTION integration.worker_metrics() FROM PUBLIC;

COMMENT ON FUNCTION integration.worker_metrics() IS
    'What the workers of this database do together: integration_worker_… of prometheus().';

CREATE FUNCTION integration.health_metrics() RETURNS TABLE (code integer)
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.code FROM integration.health() h
$$;
REVOKE ALL ON FUNCTION integration.health_metrics() FROM PUBLIC;

COMMENT ON FUNCTION integration.health_metrics() IS
    'The code of integration.health(), for monitoring: integration_health_code of prometheus().';

-- https://prometheus.io/docs/instrumenting/exposition_formats: these three are escaped in the value of a label.
CREATE FUNCTION integration_worker.prometheus_label(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '"' || replace(replace(replace(value, '\', '\\'), '"', '\"'), E'\n', '\n') || '"'
$$;
REVOKE ALL ON FUNCTION integration_worker.prometheus_label(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.prometheus_label(text) IS 'The value of a label in Prometheus'' text.';

-- One row a line, in the order of the families.
CREATE FUNCTION integration_worker.prometheus_samples() RETURNS TABLE (name text, suffix text, labels text, value double precision)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'integration_health_code', '', '', h.code::double precision
      FROM integration.health_metrics() h
    UNION ALL
    SELECT 'integration_worker_' || v.name, '', '', v.value
      FROM integration.worker_metrics() m
     CROSS JOIN LATERAL (VALUES ('running', m.running::double precision), ('last_turn_seconds', m.last_turn_seconds),
                                ('in_flight', m.in_flight), ('memory_bytes', m.memory_bytes)) AS v (name, value)
    UNION ALL
    SELECT 'integration_incidents_open', '', format('{severity="%s"}', m.severity), m.open
      FROM integration.incident_metrics() m
    UNION ALL
    SELECT 'integration_endpoint_' || v.name, '', format('{endpoint=%s}', integration_worker.prometheus_label(m.endpoint)), v.value
      FROM integration.endpoint_metrics() m
     CROSS JOIN LATERAL (VALUES ('backlog', m.backlog::double precision), ('failed', m.failed), ('oldest_due_seconds', m.oldest_due_seconds),
                                ('in_flight', m.in_flight), ('window', m."window"), ('paused', m.paused), ('stopped', m.stopped),
                                ('open', m.open)) AS v (name, value)
    UNION ALL
    SELECT 'integration_attempts_' || v.name, v.suffix,
           format('{endpoint=%s%s}', integration_worker.prometheus_label(m.endpoint), v.label), v.value
      FROM integration.attempt_metrics() m
     CROSS JOIN LATERAL (
           SELECT 'delivered_total', '', '', m.delivered_total::double precision
           UNION ALL
           SELECT 'failed_total', '', '', m.failed_total
           UNION ALL
           SELECT 'duration_seconds', '_bucket', format(',le="%s"', coalesce(b.bound::text, '+Inf')), b.count
             FROM unnest(m.duration_seconds, m.duration_seconds_bucket) AS b (bound, count)
           UNION ALL
           SELECT 'duration_seconds', '_sum', '', m.duration_seconds_sum
           UNION ALL
           SELECT 'duration_seconds', '_count', '', m.duration_seconds_count) AS v (name, suffix, label, value)
$$;
REVOKE ALL ON FUNCTION integration_worker.prometheus_samples() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.prometheus_samples() IS 'The lines of Prometheus'' text that hold a value.';

CREATE FUNCTION integration.prometheus() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(concat(
               CASE WHEN s.is_first THEN format(E'# HELP %1$s %2$s\n# TYPE %1$s %3$s\n', f.name, f.help, f.type) END,
               s.name, s.suffix, s.labels, ' ', s.value, E'\n'), '' ORDER BY f.n, s.n)
      FROM (VALUES
        (0, 'integration_health_code', 'gauge', '0 ok, 1 warning, 2 critical.'),
        (1, 'integration_worker_running', 'gauge', 'Workers of this database.'),
        (2, 'integration_worker_last_turn_seconds', 'gauge', 'How long ago the slowest of them last came round.'),
        (3, 'integration_worker_in_flight', 'gauge', 'Requests under way.'),
        (4, 'integration_worker_memory_bytes', 'gauge', 'Memory that they hold for requests and answers.'),
        (5, 'integration_incidents_open', 'gauge', 'Open incidents by severity, 1 the worst.'),
        (6, 'integration_endpoint_backlog', 'gauge', 'Syncs that wait to be sent.'),
        (7, 'integration_endpoint_failed', 'gauge', 'Syncs that wait for a person.'),
        (8, 'integration_endpoint_oldest_due_seconds', 'gauge', 'How long the oldest due sync waits.'),
        (9, 'integration_endpoint_in_flight', 'gauge', 'Requests under way.'),
        (10, 'integration_endpoint_window', 'gauge', 'Requests that may be under way at once just now.'),
        (11, 'integration_endpoint_paused', 'gauge', '1 while somebody has paused it.'),
        (12, 'integration_endpoint_stopped', 'gauge', '1 while it cannot work until somebody acts.'),
        (13, 'integration_endpoint_open', 'gauge', '1 while it is left alone after too many failures.'),
        (14, 'integration_attempts_delivered_total', 'counter', 'Attempts that delivered.'),
        (15, 'integration_attempts_failed_total', 'counter', 'Attempts that failed.'),
        (16, 'integration_attempts_duration_seconds', 'histogram', 'How long attempts took.')
      ) AS f (n, name, type, help)
      JOIN (SELECT x.*, row_number() OVER (PARTITION BY x.name ORDER BY x.n) = 1 AS is_first
              FROM (SELECT p.*, row_number() OVER () AS n FROM integration_worker.prometheus_samples() p) x) s ON s.name = f.name
$$;
REVOKE ALL ON FUNCTION integration.prometheus() FROM PUBLIC;

COMMENT ON FUNCTION integration.prometheus() IS
    'All figures for monitoring in Prometheus'' text format 0.0.4; no label grows with customers or objects.';

-- What pages are made of: escaping, figures, charts, style.

-- As text and as the value of an attribute in quotes; what no text holds is taken out (HTML, 13.1.4 and 13.2.3.5).
CREATE FUNCTION integration_worker.html(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN replace(replace(replace(replace(replace(
               regexp_replace(value, '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]', '', 'g'),
               '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html(text) IS 'A text as a browser shows it unchanged.';

-- Isolated, so that a name written from right to left turns nothing else around.
CREATE FUNCTION integration_worker.html_name(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN '<bdi>' || integration_worker.html(left(value, 200) || CASE WHEN length(value) > 200 THEN '…' ELSE '' END) || '</bdi>';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_name(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_name(text) IS 'A name that somebody gave, within a line; its first 200 characters.';

INSERT INTO integration.phrase (key, words) VALUES
    -- What stands between groups of digits, what before decimals.
    ('number.marks', ',.'),
    ('number.percent', '{n} %'),
    -- As to_char() reads them: the moment of a page, one of today, an earlier one, the hour of a bar.
    ('time.now', 'YYYY-MM-DD HH24:MI:SS'),
    ('time.today', 'HH24:MI:SS'),
    ('time.earlier', 'YYYY-MM-DD HH24:MI'),
    ('time.hour', 'HH24:MI');

CREATE FUNCTION integration_worker.page_language(page text, locale text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.language
      FROM unnest(integration_worker.languages(page_language.locale)) WITH ORDINALITY AS l (language, n)
     WHERE EXISTS (SELECT FROM integration.phrase p WHERE p.locale = l.language AND starts_with(p.key, page))
     ORDER BY l.n
     LIMIT 1
$$;
REVOKE ALL ON FUNCTION integration_worker.page_language(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_language(text, text) IS 'The best language that has a phrase of a page.';

-- Once for a page, not for each of its labels.  What to_char() reads stays as it is.
CREATE FUNCTION integration_worker.page_texts(page text, locale text DEFAULT NULL) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(CASE WHEN starts_with(p.key, page) THEN substr(p.key, length(page) + 1) ELSE p.key END,
                            CASE WHEN starts_with(p.key, 'time.') THEN p.value ELSE integration_worker.html(p.value) END)
           || jsonb_build_object('language', integration_worker.page_language(page, page_texts.locale))
      FROM jsonb_each_text(integration_worker.phrases(
               page || '{duration.,number.,time.,incident.,responsible.}'::text[], page_texts.locale)) p
$$;
REVOKE ALL ON FUNCTION integration_worker.page_texts(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_texts(text, text) IS
    'What a page can say, as HTML: its own phrases without the beginning of their keys, those it shares with others.';

CREATE FUNCTION integration_worker.page_text(texts jsonb, key text, words jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.fill_in(texts ->> key, words);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.page_text(jsonb, text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_text(jsonb, text, jsonb) IS
    'A sentence of a page; what is filled in is HTML already. NULL where one of its words is.';

CREATE FUNCTION integration_worker.page_heads(texts jsonb, keys text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT CASE WHEN k.key LIKE '>%' THEN '>' ELSE '' END || (texts ->> ltrim(k.key, '>'))
                   FROM unnest(keys) WITH ORDINALITY AS k (key, n)
                  ORDER BY k.n)
$$;
REVOKE ALL ON FUNCTION integration_worker.page_heads(jsonb, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_heads(jsonb, text[]) IS
    'The heads of a table by their keys; one that begins with > stands above figures.';

CREATE FUNCTION integration_worker.html_number(value numeric, texts jsonb, digits integer DEFAULT 0) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN translate(to_char(value, rpad('FM999,999,999,999,999,999,990.', 30 + digits, '0')), ',.', texts ->> 'number.marks');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_number(numeric, jsonb, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_number(numeric, jsonb, integer) IS 'A number in groups of three digits, with so many decimals.';

CREATE FUNCTION integration_worker.html_percent(share numeric, texts jsonb, digits integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN replace(texts ->> 'number.percent', '{n}', integration_worker.html_number(100 * share, texts, digits));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_percent(numeric, jsonb, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_percent(numeric, jsonb, integer) IS 'A share as so much in a hundred.';

CREATE FUNCTION integration_worker.html_time(at timestamptz, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<time datetime="%s">%s</time>', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                  integration_worker.html(to_char(at, texts ->> CASE WHEN at::date = statement_timestamp()::date
                                                                     THEN 'time.today' ELSE 'time.earlier' END)));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_time(timestamptz, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_time(timestamptz, jsonb) IS 'A moment in the time zone of the session; without its date when that is today''s.';

CREATE FUNCTION integration_worker.html_duration(ms bigint, texts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN ms < 1000 THEN replace(texts ->> 'duration.milliseconds', '{n}', ms::text)
                WHEN ms < 10000 THEN replace(texts ->> 'duration.seconds', '{n}', integration_worker.html_number(ms / 1000.0, texts, 1))
                ELSE integration_worker.duration_words(ms * interval '1 ms', texts) END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_duration(bigint, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_duration(bigint, jsonb) IS 'A duration in the unit that suits it.';

CREATE FUNCTION integration_worker.html_age(length interval, texts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.duration_words(greatest(length, '0'), texts);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_age(interval, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_age(interval, jsonb) IS 'How long ago; NULL: no time is known.';

-- Whatever else stands there might be a script.
CREATE FUNCTION integration_worker.html_link(url text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN url ~* '^https?://' THEN format('<a rel="noreferrer" href="%1$s">%1$s</a>', integration_worker.html(url))
                ELSE integration_worker.html(url) END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_link(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_link(text) IS 'A link, if it leads to a page.';

CREATE FUNCTION integration_worker.html_statement(statement text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<code>%s</code>', integration_worker.html(statement));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_statement(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_statement(text) IS 'A statement that somebody can run.';

-- The label is shown where the screen is too narrow for a table.
CREATE FUNCTION integration_worker.html_cell(label text, content text, class text DEFAULT '') RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<td data-label="%s"%s><div>%s</div></td>', label, CASE WHEN class <> '' THEN format(' class="%s"', class) END,
                  coalesce(nullif(content, ''), '<span class="none">–</span>'));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.html_cell(text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_cell(text, text, text) IS 'A cell of a table; its content is HTML already.';

CREATE FUNCTION integration_worker.html_table(id text, caption text, heads text[], body text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<table id="%s"><caption>%s</caption><thead><tr>%s</tr></thead><tbody>%s</tbody></table>', id, caption,
                  (SELECT string_agg(format('<th scope="col"%s>%s</th>', CASE WHEN h.head LIKE '>%' THEN ' class="n"' END, ltrim(h.head, '>')),
                                     '' ORDER BY h.n)
                     FROM unnest(heads) WITH ORDINALITY AS h (head, n)), body)
$$;
REVOKE ALL ON FUNCTION integration_worker.html_table(text, text, text[], text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_table(text, text, text[], text) IS
    'A table; caption, heads and body are HTML already. A head that begins with > stands above figures.';

CREATE FUNCTION integration_worker.html_tile(id text, label text, content text, class text DEFAULT '') RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<div class="tile %s"><dt>%s</dt><dd id="%s">%s</dd></div>', class, label, id, coalesce(content, '–'))
$$;
REVOKE ALL ON FUNCTION integration_worker.html_tile(text, text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_tile(text, text, text, text) IS 'A figure with its label.';

-- What is right or wrong is said by a word and a shape, not by colour alone (WCAG 2.2, 1.4.1).
CREATE FUNCTION integration_worker.html_verdict(level text, words text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<p id="verdict" class="verdict %s"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="%s"/></svg><span>%s</span></p>',
                  level,
                  CASE level WHEN 'ok' THEN 'M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22zm-1.6 16L5.5 12l1.7-1.7 3.2 3.2 6.4-6.4L18.500 8.800z'
                             WHEN 'warning' THEN 'M12 2 0.500 22h23zm-1.200 7h2.400v7h-2.400zm0 8.600h2.400V20h-2.400z'
                             WHEN 'quiet' THEN 'M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22zm-1.200 5h2.400v2.400h-2.400zm0 4.400h2.400V18h-2.400z'
                             ELSE 'M7.500 1h9L23 7.500v9L16.500 23h-9L1 16.500v-9zM10.800 6v8h2.400V6zm0 9.600V18h2.400v-2.400z' END, words)
$$;
REVOKE ALL ON FUNCTION integration_worker.html_verdict(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_verdict(text, text) IS 'The first sentence of a page: ok, quiet, warning or critical, in words that are HTML already.';

-- No script runs in a page, whatever stands in it.
CREATE FUNCTION integration_worker.html_page(title text, subtitle text, content text, footer text, language text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<!DOCTYPE html>%1$s<html lang="%7$s"><head><meta charset="utf-8">'
                  '<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''">'
                  '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
                  '<meta name="robots" content="noindex"><title>%8$s</title><style>%3$s</style></head><body>'
                  '<header><h1>%2$s</h1><p>%4$s</p></header><main>%5$s</main><footer><p>%6$s</p></footer></body></html>',
                  E'\n', title, integration_worker.page_style(), subtitle, content, footer, integration_worker.html(language),
                  regexp_replace(title, '<[^>]*>', '', 'g'))
$$;
REVOKE ALL ON FUNCTION integration_worker.html_page(text, text, text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.html_page(text, text, text, text, text) IS 'A whole page; its parts are HTML already.';

CREATE FUNCTION integration_worker.page_style() RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT regexp_replace('
:root { color-scheme: light dark; --back: #f4f6f8; --card: #fff; --text: #1b2128; --soft: #555f6b; --line: #d5dbe1;
  --blue: #1f5fd0; --ok: #17693a; --warning: #855200; --critical: #b3261e; --good: #3b7ddd; --bad: #d1580e }
@media (prefers-color-scheme: dark) { :root { --back: #0e1217; --card: #171d24; --text: #e7ecf1; --soft: #a4afba; --line: #333d48;
  --blue: #7fb2ff; --ok: #6bd48c; --warning: #f0bd55; --critical: #ff9a90; --good: #5b9bf5; --bad: #f2914a } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
time { white-space: nowrap } h1 { font-size: 1.5rem; margin: 0; line-height: 1.25 } h2 { font-size: 1.15rem; margin: 0 0 .75rem } h3 { font-size: 1rem; margin: 0 }
header p, footer p, caption, .soft, figcaption, .none { color: var(--soft); font-size: .875rem; margin: .25rem 0 } a { color: var(--blue) }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.1rem 1.25rem; margin: 1rem 0; overflow-x: auto }
.verdict { display: flex; gap: .75rem; align-items: center; font-size: 1.125rem; font-weight: 600; margin: 1.25rem 0 1rem;
  padding: .9rem 1.1rem; border-radius: .75rem; border: 1px solid currentColor; background: var(--card) }
.verdict svg { width: 1.75rem; height: 1.75rem; flex: none; fill: currentColor; fill-rule: evenodd }
.ok { color: var(--ok) } .warning { color: var(--warning) } .critical { color: var(--critical) } .quiet { color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1rem 0 }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .7rem .9rem } .tile dt { font-size: .8125rem; color: var(--soft) }
.tile dd { margin: 0; font-size: 1.25rem; font-weight: 600; line-height: 1.4; overflow-wrap: break-word }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem } .two section { margin: 0 }
.problem { border-left: .3rem solid currentColor; padding: .1rem 0 .1rem .9rem; margin: 0 0 1.25rem } .problem:last-of-type { margin-bottom: 0 }
.problem > * { color: var(--text) } .problem p { margin: .35rem 0 } .problem .soft { color: var(--soft) }
.badge { display: inline-block; font-size: .75rem; font-weight: 600; border: 1px solid currentColor; border-radius: 1rem; padding: 0 .6rem; white-space: nowrap }
.problem .badge.critical { color: var(--critical) } .problem .badge.warning { color: var(--warning) } .problem .badge.ok { color: var(--ok) }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; margin: .35rem 0 } .facts dt { color: var(--soft) } .facts dd { margin: 0 }
code { font: .85em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--back); border-radius: .3rem; padding: .1rem .35rem }
figure { margin: 0 } .chart { display: block; width: 100%; height: 9rem; background: var(--card) }
.chart .good { fill: var(--good) } .chart .bad { fill: var(--bad) } .chart .grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke }
.chart path { fill: none; stroke-width: 2.5; stroke-linecap: round; vector-effect: non-scaling-stroke } .p50 { stroke: var(--good) }
.p95 { stroke: var(--bad); stroke-dasharray: 7 5 } .p99 { stroke: var(--soft); stroke-dasharray: 1 6 }
.axis { display: flex; justify-content: space-between; font-size: .75rem; color: var(--soft) } .top { font-size: .75rem; color: var(--soft) }
.scaled { display: grid; grid-template-columns: 3.4rem 1fr; padding-top: .55rem } .axis span { white-space: nowrap } .scaled .axis.y { flex-direction: column; text-align: right; padding-right: .4rem; margin: -.55rem 0 }
.scaled .axis.x { grid-column: 2 }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; margin: .5rem 0 0; padding: 0; font-size: .8125rem }
.legend svg { display: inline-block; width: 1.6rem; height: .7rem; vertical-align: -.05rem; margin-right: .4rem } .legend path { stroke-width: 2.5; fill: none }
.spark { width: 7.5rem; max-width: 100%; height: 1.6rem; vertical-align: middle } .spark .good { fill: var(--good) } .spark .bad { fill: var(--bad) }
.fields { margin: .25rem 0 0; padding-left: 1.1rem } details { margin-top: .6rem; font-size: .875rem } summary { cursor: pointer; color: var(--blue) } ol { margin: .5rem 0 0; padding-left: 1.3rem } ol li + li { margin-top: .4rem }
table { border-collapse: collapse; width: 100%; font-size: .875rem } caption { text-align: left; margin: 0 0 .5rem } td .soft { font-size: .8125rem; margin: 0 }
th, td { text-align: left; padding: .45rem .6rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top } td { min-width: 4.5rem }
th { overflow-wrap: break-word; color: var(--soft); font-weight: 600 }
td.n, th.n { text-align: right; padding-right: 1rem; white-space: nowrap } tbody tr:last-child td { border-bottom: 0 }
@media (max-width: 58rem) { body { padding: 1rem .75rem 2rem } section { padding: .9rem } thead { display: block; position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  table, tbody, caption { display: block } tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line) } tbody tr:last-child { border-bottom: 0 }
  td, td.n { display: grid; min-width: 0; grid-template-columns: 8.5rem minmax(0, 1fr); gap: .5rem; text-align: left; white-space: normal; border: 0; padding: .15rem 0 }
  td::before { content: attr(data-label); color: var(--soft) } dl.facts { grid-template-columns: 6.25rem minmax(0, 1fr); gap: .15rem .5rem } }
@media print { body { background: none; max-width: none } section { break-inside: avoid } }
', '\s*\n\s*', ' ', 'g')
$$;
REVOKE ALL ON FUNCTION integration_worker.page_style() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_style() IS 'How pages look: light or dark as the reader''s machine is set, tables as cards where it is narrow.';

-- Charts of pages, drawn in SVG.

CREATE TYPE integration_worker.hour_figures AS (
    hour timestamptz, delivered bigint, failed bigint, p50_ms integer, p95_ms integer, p99_ms integer);
REVOKE ALL ON TYPE integration_worker.hour_figures FROM PUBLIC;

CREATE FUNCTION integration_worker.hours_of(traffic integration.traffic[], since timestamptz)
    RETURNS integration_worker.hour_figures[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg((h.hour, coalesce(c.delivered, 0), coalesce(c.failed, 0),
                      d.durations[1], d.durations[2], d.durations[3])::integration_worker.hour_figures ORDER BY h.hour)
      FROM generate_series(since, since + interval '23 hours', interval '1 hour') AS h (hour)
      LEFT JOIN (SELECT b.hour, sum(b.delivered)::bigint AS delivered, sum(b.failed)::bigint AS failed,
                        array_agg(b.up_to_ms ORDER BY b.up_to_ms) AS bounds,
                        array_agg((b.delivered + b.failed)::bigint ORDER BY b.up_to_ms) AS counts
                   FROM (SELECT t.hour, t.up_to_ms, sum(t.delivered) AS delivered, sum(t.failed) AS failed
                           FROM unnest(traffic) t
                          GROUP BY 1, 2) b
                  GROUP BY 1) c ON c.hour = h.hour
     CROSS JOIN LATERAL integration_worker.durations_at('{0.5,0.95,0.99}', c.bounds, c.counts) AS d (durations)
$$;
REVOKE ALL ON FUNCTION integration_worker.hours_of(integration.traffic[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.hours_of(integration.traffic[], timestamptz) IS
    'The figures of all endpoints together for each of 24 hours.';

INSERT INTO integration.phrase (key, words) VALUES
    ('page.attempts', 'Attempts'),
    ('page.durations', 'Durations'),
    ('page.now', 'now'),
    ('page.as_table', 'As a table'),
    ('page.about_hours', 'Attempts by the hour in which they began'),
    ('page.hour', 'Hour'),
    ('page.delivered', 'Delivered'),
    ('page.failed', 'Failed'),
    ('page.p50', 'p50'),
    ('page.p95', 'p95'),
    ('page.p99', 'p99'),
    ('page.no_attempts', 'No attempt in 24 hours.'),
    ('page.day_of_attempts', '{delivered} attempts delivered, {failed} failed in 24 hours'),
    ('page.hour_of_attempts', '{hour}: {delivered} delivered, {failed} failed'),
    ('page.hour_at_most', '{count} an hour at most'),
    ('page.legend_delivered', 'delivered'),
    ('page.legend_failed', 'failed, on top'),
    ('page.legend_p50', 'half (p50)'),
    ('page.legend_p95', '19 of 20 (p95)'),
    ('page.legend_p99', '99 of 100 (p99)'),
    ('page.about_durations', 'How long attempts took; the scale is logarithmic.'),
    ('page.durations_in_words',
     'How long attempts took by hour: half of them, nineteen of twenty, ninety-nine of a hundred; the figures are in the table of attempts');

CREATE FUNCTION integration_worker.chart_axis(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<div class="axis x" aria-hidden="true">'
           || string_agg(format('<span>%s</span>', integration_worker.html(to_char(h.hour, texts ->> 'time.hour'))), '' ORDER BY h.n)
           || format('<span>%s</span></div>', texts ->> 'now')
      FROM unnest(hours) WITH ORDINALITY AS h (hour, delivered, failed, p50, p95, p99, n)
     WHERE h.n IN (1, 7, 13, 19)
$$;
REVOKE ALL ON FUNCTION integration_worker.chart_axis(integration_worker.hour_figures[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.chart_axis(integration_worker.hour_figures[], jsonb) IS 'The times below a chart of 24 hours.';

CREATE FUNCTION integration_worker.traffic_table(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<details><summary>%s</summary>%s</details>', texts ->> 'as_table',
               integration_worker.html_table('hours', texts ->> 'about_hours',
                   integration_worker.page_heads(texts, '{hour,>delivered,>failed,>p50,>p95,>p99}'),
                   string_agg(concat('<tr>',
                       integration_worker.html_cell(texts ->> 'hour', integration_worker.html_time(h.hour, texts)),
                       integration_worker.html_cell(texts ->> 'delivered', integration_worker.html_number(h.delivered, texts), 'n'),
                       integration_worker.html_cell(texts ->> 'failed', integration_worker.html_number(h.failed, texts), 'n'),
                       integration_worker.html_cell(texts ->> 'p50', integration_worker.html_duration(h.p50_ms, texts), 'n'),
                       integration_worker.html_cell(texts ->> 'p95', integration_worker.html_duration(h.p95_ms, texts), 'n'),
                       integration_worker.html_cell(texts ->> 'p99', integration_worker.html_duration(h.p99_ms, texts), 'n'), '</tr>'),
                       '' ORDER BY h.hour)))
      FROM unnest(hours) h
$$;
REVOKE ALL ON FUNCTION integration_worker.traffic_table(integration_worker.hour_figures[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.traffic_table(integration_worker.hour_figures[], jsonb) IS 'What the charts show, in figures.';

CREATE FUNCTION integration_worker.traffic_bars(hours integration_worker.hour_figures[], most bigint, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(format(
               '<g><title>%s</title><rect class="good" x="%s" y="%s" width="8" height="%s"/>'
               '<rect class="bad" x="%2$s" y="%5$s" width="8" height="%6$s"/></g>',
               integration_worker.page_text(texts, 'hour_of_attempts', jsonb_build_object(
                   'hour', integration_worker.html(to_char(h.hour, texts ->> 'time.hour')),
                   'delivered', integration_worker.html_number(h.delivered, texts),
                   'failed', integration_worker.html_number(h.failed, texts))),
               10 * h.n - 9, round(100 - 100.0 * h.delivered / most, 2), round(100.0 * h.delivered / most, 2),
               round(100 - 100.0 * (h.delivered + h.failed) / most, 2), round(100.0 * h.failed / most, 2)), '' ORDER BY h.n)
      FROM unnest(hours) WITH ORDINALITY AS h (hour, delivered, failed, p50, p95, p99, n)
$$;
REVOKE ALL ON FUNCTION integration_worker.traffic_bars(integration_worker.hour_figures[], bigint, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.traffic_bars(integration_worker.hour_figures[], bigint, jsonb) IS
    'A bar for each hour; most: what the highest may stand for.';

CREATE FUNCTION integration_worker.traffic_chart(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        '<figure><div class="top">%s</div><svg class="chart" viewBox="0 0 240 100" preserveAspectRatio="none" role="img" aria-label="%s">'
        '<path class="grid" d="M0 .5H240M0 50H240M0 99.5H240"/>%s</svg>%s<ul class="legend">'
        '<li><svg class="spark" viewBox="0 0 16 7" aria-hidden="true"><rect class="good" width="16" height="7"/></svg>%s</li>'
        '<li><svg class="spark" viewBox="0 0 16 7" aria-hidden="true"><rect class="bad" width="16" height="7"/></svg>%s</li></ul>'
        '<figcaption>%2$s.</figcaption></figure>',
        integration_worker.page_text(texts, 'hour_at_most', jsonb_build_object('count', integration_worker.html_number(d.most, texts))),
        integration_worker.page_text(texts, 'day_of_attempts', jsonb_build_object(
            'delivered', integration_worker.html_number(d.delivered, texts), 'failed', integration_worker.html_number(d.failed, texts))),
        integration_worker.traffic_bars(hours, d.most, texts), integration_worker.chart_axis(hours, texts),
        texts ->> 'legend_delivered', texts ->> 'legend_failed')
      FROM (SELECT max(h.delivered + h.failed) AS most, sum(h.delivered) AS delivered, sum(h.failed) AS failed FROM unnest(hours) h) d
$$;
REVOKE ALL ON FUNCTION integration_worker.traffic_chart(integration_worker.hour_figures[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.traffic_chart(integration_worker.hour_figures[], jsonb) IS
    'Bars of what was delivered and what failed by hour, where there was any.';

-- An hour without attempts breaks the line; one alone is a dot.
CREATE FUNCTION integration_worker.duration_line(values_ms integer[], class text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<path class="%s" d="%s"/>', class,
                  string_agg(format('%s%s %s%s', CASE WHEN p.before IS NULL THEN 'M' ELSE 'L' END, 10 * p.n - 5,
                                    round((100 - 20 * log(greatest(least(p.ms, 100000), 1)::numeric)), 1),
                                    CASE WHEN p.before IS NULL THEN 'h.1' END), '' ORDER BY p.n))
      FROM (SELECT v.n, v.ms, lag(v.ms) OVER (ORDER BY v.n) AS before
              FROM unnest(values_ms) WITH ORDINALITY AS v (ms, n)) p
     WHERE p.ms IS NOT NULL
$$;
REVOKE ALL ON FUNCTION integration_worker.duration_line(integer[], text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.duration_line(integer[], text) IS 'A line of durations by hour, from 1 ms to 100 s in five decades.';

CREATE FUNCTION integration_worker.duration_chart(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        '<figure><div class="scaled"><div class="axis y" aria-hidden="true">%s</div>'
        '<svg class="chart" viewBox="0 0 240 100" preserveAspectRatio="none" role="img" aria-label="%s">'
        '<path class="grid" d="M0 .5H240M0 20H240M0 40H240M0 60H240M0 80H240M0 99.5H240"/>%s%s%s</svg>%s</div><ul class="legend">%s</ul>'
        '<figcaption>%s</figcaption></figure>',
        (SELECT string_agg(format('<span>%s</span>', replace(texts ->> ('duration.' || d.unit), '{n}', d.n)), '' ORDER BY d.place)
           FROM (VALUES (1, '100', 'seconds'), (2, '10', 'seconds'), (3, '1', 'seconds'), (4, '100', 'milliseconds'),
                        (5, '10', 'milliseconds'), (6, '1', 'milliseconds')) AS d (place, n, unit)),
        texts ->> 'durations_in_words',
        integration_worker.duration_line(array_agg(h.p99_ms ORDER BY h.hour), 'p99'),
        integration_worker.duration_line(array_agg(h.p95_ms ORDER BY h.hour), 'p95'),
        integration_worker.duration_line(array_agg(h.p50_ms ORDER BY h.hour), 'p50'),
        integration_worker.chart_axis(hours, texts),
        (SELECT string_agg(format('<li><svg viewBox="0 0 32 14" aria-hidden="true"><path class="%s" d="M2 7H30"/></svg>%s</li>',
                                  l.class, texts ->> ('legend_' || l.class)), '' ORDER BY l.class)
           FROM unnest('{p50,p95,p99}'::text[]) AS l (class)),
        texts ->> 'about_durations')
      FROM unnest(hours) h
$$;
REVOKE ALL ON FUNCTION integration_worker.duration_chart(integration_worker.hour_figures[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.duration_chart(integration_worker.hour_figures[], jsonb) IS
    'Lines of the durations that 50, 95 and 99 of a hundred attempts did not exceed.';

-- Charts of nothing would look like a failure to draw them.
CREATE FUNCTION integration_worker.page_charts(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN sum(h.delivered + h.failed) > 0
                THEN format('<div class="two"><section><h2>%s</h2>%s%s</section><section><h2>%s</h2>%s</section></div>',
                            texts ->> 'attempts', integration_worker.traffic_chart(hours, texts), integration_worker.traffic_table(hours, texts),
                            texts ->> 'durations', integration_worker.duration_chart(hours, texts))
                ELSE format('<section><h2>%s</h2><p>%s</p></section>', texts ->> 'attempts', texts ->> 'no_attempts') END
      FROM unnest(hours) h
$$;
REVOKE ALL ON FUNCTION integration_worker.page_charts(integration_worker.hour_figures[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_charts(integration_worker.hour_figures[], jsonb) IS 'The sections about the traffic of 24 hours.';

CREATE FUNCTION integration_worker.spark(delivered bigint[], failed bigint[], said text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('<svg class="spark" viewBox="0 0 %s 20" preserveAspectRatio="none" role="img" aria-label="%s">%s</svg>',
                          5 * count(*), said,
                          string_agg(concat(
                              format('<rect class="good" x="%s" y="%s" width="4" height="%s"/>',
                                     5 * b.n - 5, round(20 - 20.0 * b.d / m.most, 1), round(20.0 * b.d / m.most, 1)),
                              CASE WHEN b.f > 0 THEN
                                   format('<rect class="bad" x="%s" y="%s" width="4" height="%s"/>',
                                          5 * b.n - 5, round(20 - 20.0 * (b.d + b.f) / m.most, 1), round(20.0 * b.f / m.most, 1)) END), '' ORDER BY b.n)
                              FILTER (WHERE b.d + b.f > 0))
              FROM unnest(delivered, failed) WITH ORDINALITY AS b (d, f, n)
             CROSS JOIN (SELECT greatest(max(x.d + x.f), 1) AS most FROM unnest(delivered, failed) AS x (d, f)) m);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.spark(bigint[], bigint[], text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.spark(bigint[], bigint[], text) IS 'Bars of what was delivered and what failed, as small as a word.';

-- The status page of those who run this: what is wrong now, what to do, how it went.

INSERT INTO integration.phrase (key, words) VALUES
    ('page.title', 'Integration status'),
    ('page.title_of', 'Integration status: {scope}'),
    ('page.as_of', '{database} at {time}, times in {zone}'),
    ('page.made_by', 'Made by {statement} from the views integration.endpoint_status, endpoint_traffic and incident_status.'),
    ('page.more', 'And {count} more: {statement}'),
    ('page.verdict_ok', 'Everything is delivered as it should be.'),
    ('page.verdict_quiet', 'Nothing was sent in 24 hours.'),
    ('page.verdict_empty', 'There is no endpoint yet.'),
    ('page.verdict_not_sent', 'Nothing is sent'),
    ('page.verdict_incident', '{count} open incident'),
    ('page.verdict_incidents', '{count} open incidents'),
    ('page.verdict_failed_one', '{count} sync waits for a person'),
    ('page.verdict_failed', '{count} syncs wait for a person'),
    ('page.verdict_held_one', '{count} endpoint is held back'),
    ('page.verdict_held', '{count} endpoints are held back'),
    ('page.delivered_today', 'Delivered, 24 h'),
    ('page.attempts_failed', 'Attempts failed, 24 h'),
    ('page.backlog', 'Waiting to be sent'),
    ('page.oldest', 'Oldest is due for'),
    ('page.waiting_failed', 'Waiting for a person'),
    ('page.incidents', 'Open incidents'),
    ('page.problems', 'What is wrong now'),
    ('page.no_problems', 'Nothing. No incident is open, nothing is paused.'),
    ('page.what_to_do', 'What to do:'),
    ('page.no_remedy', 'Nothing is known to help yet.'),
    ('page.severity', 'severity {severity}'),
    ('page.title_at', '{title} at {endpoint}'),
    ('page.incident', 'Incident {incident}, {state} since {since} ({age}); failures: {failures}, objects: {objects}.'),
    ('page.incident_waiting', 'Waiting for a person: {count}.'),
    ('page.incident_climbed', 'Nobody looks after it: level {level} since {since}.'),
    ('page.responsible', 'Responsible'),
    ('page.owner', 'Owner'),
    ('page.no_owner', 'nobody: set owner of its endpoint or connector'),
    ('page.at_stake', 'At stake'),
    ('page.example', 'Example'),
    ('page.example_of', 'sync {sync} {object}: {error}'),
    ('page.no_details', 'no details'),
    ('page.contact', 'Contact'),
    ('page.runbook', 'Runbook'),
    ('page.note', 'Note'),
    ('page.next_step', 'Step by step'),
    -- Titles of what health() finds.
    ('page.health_no_worker', 'No worker sends'),
    ('page.health_silent', 'A worker hangs'),
    ('page.health_waiting', 'No worker sends'),
    ('page.health_overdue', 'A sync is overdue'),
    ('page.health_watchdogs', 'Watchdogs cannot look'),
    ('page.paused_all', 'Everything is paused'),
    ('page.paused_connector', 'Connector {name} is paused'),
    ('page.paused_endpoint', 'Endpoint {name} is paused'),
    ('page.paused_customer', 'Customer {name} is paused'),
    ('page.pause', '{reason}, by {actor} since {since}.'),
    ('page.pause_until', 'It ends by itself: {until}.'),
    ('page.pause_forever', 'It lasts until somebody resumes it.'),
    ('page.resume', 'To end it'),
    ('page.endpoints', 'Endpoints'),
    ('page.about_endpoints', 'What needs somebody first; the bars are attempts by hour.'),
    ('page.endpoint', 'Endpoint'),
    ('page.state', 'State'),
    ('page.day', '24 hours'),
    ('page.day_in_words', '{delivered} delivered, {failed} failed'),
    ('page.success', 'Success, last hour'),
    ('page.waiting', 'Waiting'),
    ('page.oldest_due', 'Oldest due'),
    ('page.state_paused', 'paused'),
    ('page.state_stopped', 'stopped'),
    ('page.state_open', 'breaker open'),
    ('page.state_retry_after', 'asked to wait'),
    ('page.state_sending', 'sending'),
    ('page.state_idle', 'idle'),
    ('page.promises', 'Promises'),
    ('page.about_promises',
     'Syncs that are not delivered yet, against the time that their customer or connector is promised, and this month so far.'),
    ('page.connector', 'Connector'),
    ('page.promise', 'Promise'),
    ('page.within', 'within {length}'),
    ('page.or_more', '{count} or more'),
    ('page.not_delivered', 'Not delivered'),
    ('page.at_risk', 'At risk'),
    ('page.too_late', 'Too late'),
    ('page.longest_over', 'Longest over'),
    ('page.in_time', 'In time this month'),
    ('page.misses_left', 'Misses left'),
    ('page.ended_incidents', 'What was wrong in the last seven days'),
    ('page.about_ended', 'The latest twenty incidents that are over.'),
    ('page.none_ended', 'Nothing that is over by now.'),
    ('page.incident_title', 'Incident'),
    ('page.from', 'From'),
    ('page.lasted', 'Lasted'),
    ('page.failures', 'Failures'),
    ('page.ended', 'Ended'),
    ('page.ended_by', 'by {who}'),
    ('page.ended_by_itself', 'by itself'),
    ('incident.acknowledged', 'acknowledged'),
    ('incident.snoozed', 'snoozed'),
    ('incident.ignored', 'ignored');

CREATE TYPE integration_worker.page_figures AS (
    endpoints bigint, delivered bigint, attempts_failed bigint, backlog bigint, oldest_due_at timestamptz, failed bigint,
    held bigint, stopped bigint, incidents bigint, active bigint, worst smallint, is_sending boolean, is_paused boolean);
REVOKE ALL ON TYPE integration_worker.page_figures FROM PUBLIC;

COMMENT ON TYPE integration_worker.page_figures IS
    'What the page says in a sentence, in tiles. active: incidents that are neither snoozed nor ignored; worst: the severity of the worst of those.';

CREATE FUNCTION integration_worker.page_figures(
        endpoints integration.endpoint_status[], hours integration_worker.hour_figures[], names text[], facts integration_worker.health_facts)
    RETURNS integration_worker.page_figures
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ROW (e.endpoints, h.delivered, h.failed, e.backlog, e.oldest_due_at, e.failed, e.held, e.stopped,
                i.incidents, i.active, i.worst, facts.sending > 0 AND NOT integration_worker.is_silent(facts), facts.is_paused AND NOT facts.is_copy)::integration_worker.page_figures
      FROM (SELECT count(*) AS endpoints, coalesce(sum(x.backlog), 0) AS backlog, min(x.oldest_due_at) AS oldest_due_at,
                   coalesce(sum(x.failed), 0) AS failed, count(*) FILTER (WHERE x.blocked_by = 'stopped') AS stopped,
                   count(*) FILTER (WHERE x.blocked_by IN ('paused', 'stopped', 'open', 'retry_after')) AS held
              FROM unnest(endpoints) x) e
     CROSS JOIN (SELECT sum(x.delivered) AS delivered, sum(x.failed) AS failed FROM unnest(hours) x) h
     CROSS JOIN (SELECT count(*) AS incidents, count(*) FILTER (WHERE a.active) AS active, min(x.severity) FILTER (WHERE a.active) AS worst
                   FROM integration.incident x
                  CROSS JOIN LATERAL (
                        SELECT integration_worker.incident_state(x.state, x.snoozed_until, statement_timestamp())
                               NOT IN ('ignored', 'snoozed')) AS a (active)
                  WHERE x.resolved_at IS NULL AND (names IS NULL OR x.endpoint = '' OR x.endpoint = ANY (names))) i
$$;
REVOKE ALL ON FUNCTION integration_worker.page_figures(integration.endpoint_status[], integration_worker.hour_figures[], text[], integration_worker.health_facts) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_figures(integration.endpoint_status[], integration_worker.hour_figures[], text[], integration_worker.health_facts) IS
    'The most important figures; names NULL: of everything.';

CREATE FUNCTION integration_worker.page_tiles(figures integration_worker.page_figures, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<dl class="tiles">%s</dl>', concat(
               integration_worker.html_tile('delivered', texts ->> 'delivered_today', integration_worker.html_number(figures.delivered, texts)),
               integration_worker.html_tile('attempts_failed', texts ->> 'attempts_failed',
                                            integration_worker.html_number(figures.attempts_failed, texts),
                                            CASE WHEN figures.attempts_failed > figures.delivered THEN 'warning' ELSE '' END),
               integration_worker.html_tile('backlog', texts ->> 'backlog', integration_worker.html_number(figures.backlog, texts)),
               integration_worker.html_tile('oldest', texts ->> 'oldest',
                                            integration_worker.html_age(statement_timestamp() - figures.oldest_due_at, texts)),
               integration_worker.html_tile('failed', texts ->> 'waiting_failed', integration_worker.html_number(figures.failed, texts),
                                            CASE WHEN figures.failed > 0 THEN 'critical' ELSE 'ok' END),
               integration_worker.html_tile('incidents', texts ->> 'incidents', integration_worker.html_number(figures.incidents, texts),
                                            CASE WHEN figures.active > 0 THEN 'critical' ELSE 'ok' END)))
$$;
REVOKE ALL ON FUNCTION integration_worker.page_tiles(integration_worker.page_figures, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_tiles(integration_worker.page_figures, jsonb) IS 'The most important figures, each with its label.';

CREATE FUNCTION integration_worker.page_verdict(figures integration_worker.page_figures, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN NOT figures.is_sending OR figures.worst <= 2 OR figures.stopped > 0 THEN integration_worker.html_verdict('critical', w.words || '.')
        WHEN w.words <> '' THEN integration_worker.html_verdict('warning', w.words || '.')
        WHEN figures.endpoints = 0 THEN integration_worker.html_verdict('quiet', texts ->> 'verdict_empty')
        WHEN figures.delivered + figures.attempts_failed = 0 THEN integration_worker.html_verdict('quiet', texts ->> 'verdict_quiet')
        ELSE integration_worker.html_verdict('ok', texts ->> 'verdict_ok') END
      FROM (SELECT coalesce(string_agg(coalesce(p.words, integration_worker.page_text(
                       texts, CASE p.count WHEN 1 THEN p.one ELSE p.many END,
                       jsonb_build_object('count', integration_worker.html_number(p.count, texts)))), ', ' ORDER BY p.n), '') AS words
              FROM (VALUES (1, NOT figures.is_sending, NULL::bigint, NULL, NULL, texts ->> 'verdict_not_sent'),
                           (2, figures.is_paused, NULL, NULL, NULL, texts ->> 'paused_all'),
                           (3, figures.active > 0, figures.active, 'verdict_incident', 'verdict_incidents', NULL),
                           (4, figures.failed > 0, figures.failed, 'verdict_failed_one', 'verdict_failed', NULL),
                           (5, figures.held > 0 AND NOT figures.is_paused, figures.held, 'verdict_held_one', 'verdict_held', NULL)) AS p (n, is_so, count, one, many, words)
             WHERE p.is_so) w
$$;
REVOKE ALL ON FUNCTION integration_worker.page_verdict(integration_worker.page_figures, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_verdict(integration_worker.page_figures, jsonb) IS 'The whole page in a sentence.';

CREATE FUNCTION integration_worker.page_fact(label text, content text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<dt>%s</dt><dd>%s</dd>', label, content);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.page_fact(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_fact(text, text) IS 'A line of a list of facts; both are HTML already.';

CREATE FUNCTION integration_worker.page_facts(lines text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<dl class="facts">%s</dl>', lines);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.page_facts(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_facts(text) IS 'A list of facts, whose lines are made by page_fact().';

CREATE FUNCTION integration_worker.page_problem(level text, title text, about text, remedy text, rest text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat(format('<article class="problem %s"><h3>%s</h3>', level, title), '<p class="soft">' || about || '</p>',
                  '<p>' || remedy || '</p>', rest, '</article>');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.page_problem(text, text, text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_problem(text, text, text, text, text) IS
    'Something that is wrong, with what to do, who does it; all of it HTML already.';

CREATE FUNCTION integration_worker.incident_lines(incident integration.incident_status, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat_ws(' ',
        integration_worker.page_text(texts, 'incident', jsonb_build_object(
            'incident', incident.id, 'state', texts ->> ('incident.' || incident.state),
            'since', integration_worker.html_time(incident.opened_at, texts), 'age', integration_worker.html_age(incident.age, texts),
            'failures', integration_worker.html_number(incident.syncs, texts),
            'objects', integration_worker.html_number(incident.objects, texts))),
        CASE WHEN incident.waiting > 0 THEN integration_worker.page_text(texts, 'incident_waiting', jsonb_build_object(
            'count', integration_worker.html_number(incident.waiting, texts))) END,
        CASE WHEN incident.level > 0 THEN integration_worker.page_text(texts, 'incident_climbed', jsonb_build_object(
            'level', incident.level, 'since', integration_worker.html_time(incident.escalated_at, texts))) END);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.incident_lines(integration.incident_status, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.incident_lines(integration.incident_status, jsonb) IS 'Since when an incident is open, how much it hits.';

CREATE FUNCTION integration_worker.incident_page_facts(incident integration.incident_status, with_steps boolean, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat(
        integration_worker.page_fact(texts ->> 'responsible', replace(texts ->> ('responsible.' || incident.responsible), '_', ' ')),
        integration_worker.page_fact(texts ->> 'owner', coalesce(integration_worker.html_name(coalesce(incident.assignee, incident.owner)),
                                                                 format('<strong class="warning">%s</strong>', texts ->> 'no_owner'))),
        integration_worker.page_fact(texts ->> 'at_stake', integration_worker.html_number(incident.impact, texts)),
        integration_worker.page_fact(texts ->> 'example', integration_worker.page_text(texts, 'example_of', jsonb_build_object(
            'sync', incident.example, 'object', integration_worker.html_name(concat_ws(' ', incident.object_type, incident.object_id)),
            'error', coalesce(integration_worker.html(left(incident.error, 300)), texts ->> 'no_details')))),
        integration_worker.page_fact(texts ->> 'contact', integration_worker.html_name(incident.contact)),
        integration_worker.page_fact(texts ->> 'runbook', integration_worker.html_link(incident.runbook_url)),
        integration_worker.page_fact(texts ->> 'note', integration_worker.html(left(incident.note, 300))),
        CASE WHEN NOT with_steps THEN
            integration_worker.page_fact(texts ->> 'next_step', integration_worker.html_statement(incident.next_step)) END);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.incident_page_facts(integration.incident_status, boolean, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.incident_page_facts(integration.incident_status, boolean, jsonb) IS
    'Who is to do something about an incident, what it is about.';

-- Closed at first, so that all that is wrong is seen at once.
CREATE FUNCTION integration_worker.incident_steps(incident integration.incident_status, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('<details><summary>%s</summary><ol>%s</ol></details>', texts ->> 'next_step', string_agg(
                       format('<li>%s</li>', concat_ws('<br/>', concat_ws(' ', integration_worker.html(r.what),
                              '(' || integration_worker.html(r.who) || ')'), integration_worker.html_statement(r.statement))), '' ORDER BY r.step))
              FROM integration.runbook(incident.id) r
            HAVING count(*) > 0);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.incident_steps(integration.incident_status, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.incident_steps(integration.incident_status, jsonb) IS 'The runbook of an incident.';

CREATE FUNCTION integration_worker.page_incident(incident integration.incident_status, with_steps boolean, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT integration_worker.page_problem(l.level,
                       format('%s <span class="badge %s">%s</span>',
                              CASE incident.endpoint WHEN '' THEN integration_worker.html_name(incident.title)
                                   ELSE integration_worker.page_text(texts, 'title_at', jsonb_build_object(
                                            'title', integration_worker.html_name(incident.title),
                                            'endpoint', integration_worker.html_name(incident.endpoint))) END,
                              l.level, replace(texts ->> 'severity', '{severity}', incident.severity::text)),
                       integration_worker.incident_lines(incident, texts),
                       format('<strong>%s</strong> %s', texts ->> 'what_to_do',
                              coalesce(nullif(integration_worker.html(incident.remedy), ''), texts ->> 'no_remedy')),
                       integration_worker.page_facts(integration_worker.incident_page_facts(incident, with_steps, texts)) || CASE WHEN with_steps
                           THEN coalesce(integration_worker.incident_steps(incident, texts), '') ELSE '' END)
              FROM (SELECT CASE WHEN incident.severity <= 2 THEN 'critical' ELSE 'warning' END AS level) l);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.page_incident(integration.incident_status, boolean, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_incident(integration.incident_status, boolean, jsonb) IS
    'An open incident with what to do, who does it; with_steps: with its whole runbook.';

-- What keeps the whole from being sent, or from being noticed; the rest that health() finds is in incidents, pauses.
CREATE FUNCTION integration_worker.page_health(facts integration_worker.health_facts, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(integration_worker.page_problem(
               CASE f.code WHEN 2 THEN 'critical' ELSE 'warning' END, texts ->> f.key, NULL,
               format('<strong>%s</strong> %s', texts ->> 'what_to_do', integration_worker.html(f.sentence)),
               integration_worker.page_facts(
                   integration_worker.page_fact(texts ->> 'responsible', texts ->> 'responsible.operations')
                   || integration_worker.page_fact(texts ->> 'next_step', integration_worker.html_statement('SELECT * FROM integration.health();')))), '')
      FROM integration_worker.health_findings(facts) f
     WHERE texts ? f.key
$$;
REVOKE ALL ON FUNCTION integration_worker.page_health(integration_worker.health_facts, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_health(integration_worker.health_facts, jsonb) IS 'What is wrong with the workers; NULL: nothing.';

CREATE FUNCTION integration_worker.page_pauses(
        endpoints integration.endpoint_status[], is_whole boolean, of_all boolean, texts jsonb)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(integration_worker.page_problem('warning',
               integration_worker.page_text(texts, 'paused_' || p.scope, jsonb_build_object('name', integration_worker.html_name(p.name))),
               concat_ws(' ',
                   integration_worker.page_text(texts, 'pause', jsonb_build_object(
                       'reason', integration_worker.html(p.reason), 'actor', integration_worker.html_name(p.actor),
                       'since', integration_worker.html_time(p.since, texts))),
                   coalesce(integration_worker.page_text(texts, 'pause_until', jsonb_build_object(
                       'until', integration_worker.html_time(p.until, texts))), texts ->> 'pause_forever')),
               NULL,
               integration_worker.page_facts(concat(
                   integration_worker.page_fact(texts ->> 'owner', integration_worker.html_name(
                       integration_worker.owner_of_scope(p.scope, p.name))),
                   integration_worker.page_fact(texts ->> 'resume', integration_worker.html_statement(
                       format('SELECT integration.resume(%L, %L, ''why'');', p.scope, nullif(p.name, ''))))))), '' ORDER BY p.since)
      FROM integration_worker.pause_in_force p
     WHERE (p.scope = 'all') = of_all
       AND ((of_all AND p.name = '')
            OR (is_whole AND NOT of_all)
            OR EXISTS (SELECT FROM unnest(endpoints) e
                        WHERE (p.scope, p.name) IN (('endpoint', e.name), ('connector', e.connector), ('customer', e.customer))))
$$;
REVOKE ALL ON FUNCTION integration_worker.page_pauses(integration.endpoint_status[], boolean, boolean, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_pauses(integration.endpoint_status[], boolean, boolean, jsonb) IS
    'What somebody holds back, everything or parts; a copied database is an incident.';

CREATE FUNCTION integration_worker.page_more(count bigint, statement text, texts jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<p>%s</p>', integration_worker.page_text(texts, 'more', jsonb_build_object(
               'count', integration_worker.html_number(page_more.count, texts), 'statement', integration_worker.html_statement(statement))))
$$;
REVOKE ALL ON FUNCTION integration_worker.page_more(bigint, text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_more(bigint, text, jsonb) IS 'How many are left out, where they are.';

-- Worst first, as the view lists them; a page is no place for hundreds.
CREATE FUNCTION integration_worker.page_problems(names text[], first text, last text, count_of bigint, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(format('<section id="problems"><h2>%s</h2>', texts ->> 'problems'),
                  coalesce(nullif(concat(first, string_agg(integration_worker.page_incident(i.incident, i.n <= 3, texts), '' ORDER BY i.n), last), ''),
                           format('<p class="ok">%s</p>', texts ->> 'no_problems')),
                  CASE WHEN count_of > 30 THEN integration_worker.page_more(count_of - 30, 'SELECT * FROM integration.incident_status;', texts) END,
                  '</section>')
      FROM (SELECT s AS incident, row_number() OVER () AS n
              FROM integration.incident_status s
             WHERE names IS NULL OR s.endpoint = '' OR s.endpoint = ANY (names)
             LIMIT 30) i
$$;
REVOKE ALL ON FUNCTION integration_worker.page_problems(text[], text, text, bigint, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_problems(text[], text, text, bigint, jsonb) IS
    'The section about what is wrong; first, last: what stands before, behind the incidents.';

CREATE FUNCTION integration_worker.endpoint_badge(endpoint integration.endpoint_status, texts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('<span class="badge %s">%s</span>', s.level, texts ->> ('state_' || s.state))
              FROM (SELECT CASE WHEN endpoint.blocked_by = 'stopped' THEN 'critical'
                                WHEN endpoint.blocked_by IN ('paused', 'open', 'retry_after') THEN 'warning'
                                WHEN endpoint.attempts_last_hour > 0 THEN 'ok' ELSE 'quiet' END AS level,
                           CASE WHEN endpoint.blocked_by IN ('paused', 'stopped', 'open', 'retry_after') THEN endpoint.blocked_by
                                WHEN endpoint.attempts_last_hour > 0 THEN 'sending' ELSE 'idle' END AS state) s);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.endpoint_badge(integration.endpoint_status, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.endpoint_badge(integration.endpoint_status, jsonb) IS
    'What holds an endpoint back, else whether anything was sent to it within the last hour.';

CREATE FUNCTION integration_worker.endpoint_spark(traffic integration.traffic[], since timestamptz, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT integration_worker.spark(
                       array_agg(h.delivered ORDER BY h.hour), array_agg(h.failed ORDER BY h.hour),
                       integration_worker.page_text(texts, 'day_in_words', jsonb_build_object(
                           'delivered', integration_worker.html_number(sum(h.delivered), texts),
                           'failed', integration_worker.html_number(sum(h.failed), texts))))
              FROM (SELECT g.hour, coalesce(sum(t.delivered), 0)::bigint AS delivered, coalesce(sum(t.failed), 0)::bigint AS failed
                      FROM generate_series(since, since + interval '23 hours', interval '1 hour') AS g (hour)
                      LEFT JOIN unnest(traffic) t ON t.hour = g.hour
                     GROUP BY 1) h);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.endpoint_spark(integration.traffic[], timestamptz, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.endpoint_spark(integration.traffic[], timestamptz, jsonb) IS 'The 24 hours of an endpoint.';

CREATE FUNCTION integration_worker.page_endpoint(
        endpoint integration.endpoint_status, traffic integration.traffic[], since timestamptz, texts jsonb)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat('<tr>',
        integration_worker.html_cell(texts ->> 'endpoint', concat(integration_worker.html_name(endpoint.name),
            '<div class="soft">' || integration_worker.html_name(concat_ws(', ', endpoint.connector, endpoint.customer)) || '</div>')),
        integration_worker.html_cell(texts ->> 'state', integration_worker.endpoint_badge(endpoint, texts)),
        integration_worker.html_cell(texts ->> 'day', integration_worker.endpoint_spark(traffic, since, texts)),
        integration_worker.html_cell(texts ->> 'success', integration_worker.html_percent(endpoint.success_share_last_hour, texts, 1), 'n'),
        integration_worker.html_cell(texts ->> 'p95', integration_worker.html_duration(integration_worker.percentile_of(traffic, 0.95), texts), 'n'),
        integration_worker.html_cell(texts ->> 'waiting', integration_worker.html_number(endpoint.backlog, texts), 'n'),
        integration_worker.html_cell(texts ->> 'oldest_due',
                                     integration_worker.html_age(statement_timestamp() - endpoint.oldest_due_at, texts), 'n'),
        integration_worker.html_cell(texts ->> 'failed', CASE WHEN endpoint.failed > 0
            THEN format('<strong class="critical">%s</strong>', integration_worker.html_number(endpoint.failed, texts)) ELSE '0' END, 'n'),
        integration_worker.html_cell(texts ->> 'owner', integration_worker.html_name(endpoint.owner)), '</tr>');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.page_endpoint(integration.endpoint_status, integration.traffic[], timestamptz, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_endpoint(integration.endpoint_status, integration.traffic[], timestamptz, jsonb) IS
    'A row of the table of endpoints; traffic: its own.';

CREATE FUNCTION integration_worker.page_endpoints(
        endpoints integration.endpoint_status[], traffic integration.traffic[], since timestamptz, texts jsonb)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(format('<section id="endpoints"><h2>%s</h2>', texts ->> 'endpoints'),
               integration_worker.html_table('endpoint_table', texts ->> 'about_endpoints',
                   integration_worker.page_heads(texts, '{endpoint,state,day,>success,>p95,>waiting,>oldest_due,>failed,owner}'),
                   string_agg(integration_worker.page_endpoint(e.endpoint, e.traffic, since, texts), '' ORDER BY e.n)
                       FILTER (WHERE e.n <= 100)),
               CASE WHEN count(*) > 100 THEN integration_worker.page_more(count(*) - 100, 'SELECT * FROM integration.endpoint_status;', texts) END,
               '</section>')
      FROM (SELECT x AS endpoint, t.traffic,
                   row_number() OVER (ORDER BY x.failed DESC, x.blocked_by IN ('paused', 'stopped', 'open') DESC NULLS LAST,
                                               x.oldest_due_at, x.attempts_last_hour DESC, x.name) AS n
              FROM unnest(endpoints) x
              JOIN integration.endpoint e ON e.name = x.name
              LEFT JOIN (SELECT u.endpoint_id, array_agg(u) AS traffic
                           FROM unnest(traffic) u
                          GROUP BY 1) t ON t.endpoint_id = e.id) e
    HAVING count(*) > 0
$$;
REVOKE ALL ON FUNCTION integration_worker.page_endpoints(integration.endpoint_status[], integration.traffic[], timestamptz, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_endpoints(integration.endpoint_status[], integration.traffic[], timestamptz, jsonb) IS
    'The section about endpoints, worst first; NULL: there are none.';

-- The oldest are the ones that are late, in the order of their ids; more than so many of a connector need no exact count.
CREATE FUNCTION integration_worker.page_sla(names text[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(format('<section id="sla"><h2>%s</h2>', texts ->> 'promises'), integration_worker.html_table('sla_table',
               texts ->> 'about_promises', integration_worker.page_heads(
                   texts, '{connector,promise,>not_delivered,>at_risk,>too_late,>longest_over,>in_time,>misses_left}'),
               string_agg(concat('<tr>', integration_worker.html_cell(texts ->> 'connector', integration_worker.html_name(c.name)),
                   integration_worker.html_cell(texts ->> 'promise', replace(texts ->> 'within', '{length}',
                                                                             integration_worker.duration_words(c.sla, texts))),
                   integration_worker.html_cell(texts ->> 'not_delivered', replace(
                       CASE o.unfinished WHEN 2000 THEN texts ->> 'or_more' ELSE '{count}' END, '{count}',
                       integration_worker.html_number(o.unfinished, texts)), 'n'),
                   integration_worker.html_cell(texts ->> 'at_risk', integration_worker.html_number(o.at_risk, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'too_late', integration_worker.html_number(o.late, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'longest_over', integration_worker.html_age(o.longest, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'in_time', integration_worker.html_percent(r.in_time_share, texts, 2), 'n'),
                   integration_worker.html_cell(texts ->> 'misses_left', integration_worker.html_number(trunc(r.budget_left), texts), 'n'), '</tr>'),
                   '' ORDER BY o.late DESC, o.at_risk DESC, c.name)), '</section>')
      FROM integration.connector c
     CROSS JOIN LATERAL (
           SELECT count(*) AS unfinished,
                  count(*) FILTER (WHERE s.due < statement_timestamp()) AS late,
                  count(*) FILTER (WHERE s.due >= statement_timestamp()
                                     AND (s.state = 'failed' OR s.due_at > s.due OR s.due - s.sla * 0.2 <= statement_timestamp())) AS at_risk,
                  statement_timestamp() - min(s.due) FILTER (WHERE s.due < statement_timestamp()) AS longest
             FROM (SELECT greatest(o.send_after, o.created_at) + coalesce(u.sla, c.sla) AS due, coalesce(u.sla, c.sla) AS sla, q.state, q.due_at
                     FROM (SELECT w.*
                             FROM (SELECT n.outbox_id, n.state, n.due_at, e.customer
                                     FROM integration.endpoint e
                                     JOIN integration.queue n ON n.endpoint_id = e.id
                                    WHERE e.connector = c.name
                                      AND (names IS NULL OR e.name = ANY (names))
                                    LIMIT 10000) w
                            ORDER BY w.outbox_id
                            LIMIT 2000) q
                    CROSS JOIN LATERAL (
                          SELECT x.customer, x.created_at, x.send_after
                            FROM integration.outbox x
                           WHERE x.id = q.outbox_id
                          OFFSET 0) o
                     LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, q.customer)
                    WHERE coalesce(u.sla, c.sla) IS NOT NULL) s) o
      LEFT JOIN integration.sla_report r
        ON r.scope = 'connector'
       AND r.month = date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date
       AND r.connector = c.name
     WHERE (c.sla IS NOT NULL OR o.unfinished > 0 OR r.promised > 0)
       AND EXISTS (SELECT FROM integration.endpoint e WHERE e.connector = c.name AND (names IS NULL OR e.name = ANY (names)))
    HAVING count(*) > 0
$$;
REVOKE ALL ON FUNCTION integration_worker.page_sla(text[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_sla(text[], jsonb) IS 'The section about promises; NULL: nobody made any.';

CREATE FUNCTION integration_worker.page_ended(names text[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(format('<section id="ended"><h2>%s</h2>', texts ->> 'ended_incidents'),
               CASE WHEN count(*) = 0 THEN format('<p>%s</p>', texts ->> 'none_ended')
                    ELSE integration_worker.html_table('ended_table', texts ->> 'about_ended',
               integration_worker.page_heads(texts, '{incident_title,endpoint,from,lasted,>failures,ended}'),
               string_agg(concat('<tr>', integration_worker.html_cell(texts ->> 'incident_title', integration_worker.html_name(i.title)),
                   integration_worker.html_cell(texts ->> 'endpoint', integration_worker.html_name(i.endpoint)),
                   integration_worker.html_cell(texts ->> 'from', integration_worker.html_time(i.opened_at, texts)),
                   integration_worker.html_cell(texts ->> 'lasted', integration_worker.html_age(i.resolved_at - i.opened_at, texts)),
                   integration_worker.html_cell(texts ->> 'failures', integration_worker.html_number(i.syncs, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'ended', coalesce(
                       integration_worker.html(left(i.resolution, 200)),
                       integration_worker.page_text(texts, 'ended_by', jsonb_build_object('who', integration_worker.html_name(i.resolved_by))),
                       texts ->> 'ended_by_itself')), '</tr>'),
                   '' ORDER BY i.resolved_at DESC)) END, '</section>')
      FROM (SELECT integration_worker.translated('class.' || x.error_class, coalesce(k.title, x.error_class)) AS title, x.endpoint, x.opened_at, x.resolved_at, x.syncs, x.resolution, x.resolved_by
              FROM integration.incident x
              LEFT JOIN integration.error_class k ON k.name = x.error_class
             WHERE x.resolved_at >= statement_timestamp() - interval '7 days'
               AND (names IS NULL OR x.endpoint = '' OR x.endpoint = ANY (names))
             ORDER BY x.resolved_at DESC
             LIMIT 20) i
$$;
REVOKE ALL ON FUNCTION integration_worker.page_ended(text[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_ended(text[], jsonb) IS 'The section about incidents that are over.';

-- names NULL: the page is about everything.
CREATE FUNCTION integration_worker.page_about(scope text, names text[]) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    texts jsonb := integration_worker.page_texts('page.');
    since timestamptz := date_trunc('hour', statement_timestamp(), 'UTC') - interval '23 hours';
    endpoints integration.endpoint_status[] := ARRAY(
        SELECT s FROM integration.endpoint_status s WHERE names IS NULL OR s.name = ANY (names));
    traffic integration.traffic[] := ARRAY(
        SELECT t FROM integration_worker.traffic_since(since, names) t);
    hours integration_worker.hour_figures[] := integration_worker.hours_of(traffic, since);
    facts integration_worker.health_facts := integration_worker.health_facts(statement_timestamp());
    figures integration_worker.page_figures := integration_worker.page_figures(endpoints, hours, names, facts);
BEGIN
    RETURN integration_worker.html_page(
        CASE WHEN names IS NULL THEN texts ->> 'title'
             ELSE integration_worker.page_text(texts, 'title_of', jsonb_build_object('scope', integration_worker.html_name(scope))) END,
        integration_worker.page_text(texts, 'as_of', jsonb_build_object(
            'database', integration_worker.html_name(current_database()), 'time', integration_worker.html_time(statement_timestamp(), texts),
            'zone', integration_worker.html(current_setting('TimeZone')))),
        concat(integration_worker.page_verdict(figures, texts),
               integration_worker.page_problems(
                   names, concat(integration_worker.page_health(facts, texts), integration_worker.page_pauses(endpoints, names IS NULL, true, texts)),
                   integration_worker.page_pauses(endpoints, names IS NULL, false, texts), figures.incidents, texts),
               integration_worker.page_tiles(figures, texts), integration_worker.page_charts(hours, texts),
               integration_worker.page_endpoints(endpoints, traffic, since, texts),
               integration_worker.page_sla(names, texts), integration_worker.page_ended(names, texts)),
        integration_worker.page_text(texts, 'made_by', jsonb_build_object('statement', integration_worker.html_statement(
            format('SELECT integration.status_page(%s);', CASE WHEN names IS NULL THEN '' ELSE quote_literal(scope) END)))),
        texts ->> 'language');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.page_about(text, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_about(text, text[]) IS
    'The status page about these endpoints, in the language of integration.locale.';

-- The status page of a customer: their own objects in plain words, nothing of how we work.

CREATE TYPE integration_worker.customer_line AS (
    id bigint, system text, object_type text, object_id text, state text, explanation text, advice text, can_retry boolean,
    created_at timestamptz, next_attempt_at timestamptz, finished_at timestamptz);
REVOKE ALL ON TYPE integration_worker.customer_line FROM PUBLIC;

-- The latest by the indexes of what belongs to them; what failed however old, of the first 20,000 that failed at all.
CREATE FUNCTION integration_worker.ids_of_customer(customer text, most integer) RETURNS SETOF bigint
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    (SELECT o.id FROM integration.outbox o WHERE o.customer = ids_of_customer.customer ORDER BY o.id DESC LIMIT most)
    UNION
    (SELECT a.outbox_id
       FROM integration.endpoint e
      CROSS JOIN LATERAL (
            SELECT x.outbox_id, x.started_at
              FROM integration.attempt x
             WHERE x.endpoint_id = e.id
             ORDER BY x.started_at DESC LIMIT most) a
      WHERE e.customer = ids_of_customer.customer
      ORDER BY a.started_at DESC LIMIT most)
    UNION
    (SELECT q.outbox_id
       FROM integration.endpoint e
       JOIN integration.queue q ON q.endpoint_id = e.id
      WHERE e.customer = ids_of_customer.customer AND q.state <> 'failed'
      LIMIT most)
    UNION
    (SELECT f.outbox_id
       FROM (SELECT q.outbox_id, q.endpoint_id FROM integration.queue q WHERE q.state = 'failed' LIMIT 20000) f
       JOIN integration.outbox o ON o.id = f.outbox_id
       JOIN integration.endpoint e ON e.id = f.endpoint_id
      WHERE coalesce(o.customer, e.customer) = ids_of_customer.customer
      LIMIT most)
$$;
REVOKE ALL ON FUNCTION integration_worker.ids_of_customer(text, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.ids_of_customer(text, integer) IS
    'Syncs that a customer''s page is about: the latest, what failed; most of each kind.';

-- The columns of integration.customer_sync, for one customer whoever asks.
CREATE FUNCTION integration_worker.lines_of_customer(customer text, most integer) RETURNS integration_worker.customer_line[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg((o.id, coalesce(c.title, c.name), o.object_type, o.object_id, s.state,
                      concat_ws(' ', v.texts ->> ('cause.' || k.class), v.texts ->> ('next.' || w.status)),
                      coalesce(v.texts ->> ('advice.' || a.reason), v.texts ->> ('advice.:' || k.class)),
                      coalesce(q.state = 'failed' AND (q.expires_at > statement_timestamp()) IS NOT FALSE
                               AND NOT (r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true)), false),
                      o.created_at, CASE WHEN q.state = 'retrying' THEN q.due_at END,
                      CASE WHEN q.outbox_id IS NULL
                           THEN coalesce(g.closed_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms') END
                     )::integration_worker.customer_line ORDER BY o.id DESC)
      FROM integration_worker.ids_of_customer(lines_of_customer.customer, most) AS i (id)
      JOIN integration.outbox o ON o.id = i.id
      LEFT JOIN integration.endpoint e ON e.name = o.endpoint
      LEFT JOIN integration.connector c ON c.name = e.connector
      LEFT JOIN integration.queue q ON q.outbox_id = o.id
      LEFT JOIN integration.closing g ON g.outbox_id = o.id
      LEFT JOIN LATERAL (
           SELECT x.started_at, x.duration_ms, x.reason, x.error_class
             FROM integration.attempt x
            WHERE x.outbox_id = o.id
            ORDER BY x.attempt_no DESC
            LIMIT 1) a ON true
     CROSS JOIN (SELECT integration_worker.customer_vocabulary(lines_of_customer.customer) OFFSET 0) AS v (texts)
     CROSS JOIN LATERAL (SELECT coalesce(q.state, g.state, 'delivered')) AS s (state)
      LEFT JOIN integration.error_reason r ON r.reason = a.reason
     CROSS JOIN LATERAL (
           SELECT CASE WHEN q.state <> 'failed' THEN integration_worker.held_class(e.id, lines_of_customer.customer) END AS held_class
           OFFSET 0) h
     CROSS JOIN LATERAL (
           SELECT integration_worker.customer_status_of(
                      s.state, r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true),
                      r.responsible, h.held_class IS NOT NULL)) AS w (status)
     CROSS JOIN LATERAL (SELECT integration_worker.customer_class(w.status, coalesce(h.held_class, a.error_class))) AS k (class)
     WHERE coalesce(o.customer, e.customer) = lines_of_customer.customer
       AND o.operation <> 'ping'
       AND s.state <> 'superseded'
$$;
REVOKE ALL ON FUNCTION integration_worker.lines_of_customer(text, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.lines_of_customer(text, integer) IS
    'What a customer''s page is about, the latest first.';

CREATE FUNCTION integration_worker.customer_fields(id bigint) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<ul class="fields">' || string_agg(format('<li>%s</li>', concat_ws(': ', integration_worker.html_name(f.field),
                                                                               integration_worker.html(f.detail))), '') || '</ul>'
      FROM integration_worker.fields_of_sync(customer_fields.id, false, true) f
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_fields(bigint) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_fields(bigint) IS 'What the customer can correct; NULL: nothing is known.';

INSERT INTO integration.phrase (key, words) VALUES
    ('customer.page.title', 'Your data on its way: {customer}'),
    ('customer.page.as_of', 'As of {time}, times in {zone}'),
    ('customer.page.verdict_failed', '{count} of your records did not arrive.'),
    ('customer.page.verdict_retrying', '{count} of your records did not arrive yet and will be tried again; everything else did.'),
    ('customer.page.verdict_pending', 'Some of your records are on their way; everything else has arrived.'),
    ('customer.page.verdict_delivered', 'Everything has arrived.'),
    ('customer.page.verdict_nothing', 'We know of nothing that was to be sent for you.'),
    ('customer.page.arrived_today', 'Arrived, 24 h'),
    ('customer.page.arrived', 'Arrived'),
    ('customer.page.pending', 'On the way'),
    ('customer.page.retrying', 'Being tried again'),
    ('customer.page.failed', 'Did not arrive'),
    ('customer.page.usual', 'Usually arrives within'),
    ('customer.page.list_failed', 'What did not arrive'),
    ('customer.page.about_failed', 'The latest first. They are not tried again by themselves.'),
    ('customer.page.list_retrying', 'What is tried again'),
    ('customer.page.about_retrying', 'The latest first. You need not do anything.'),
    ('customer.page.list_systems', 'Where your records go'),
    ('customer.page.about_systems', 'Of your latest records, by the system that they go to.'),
    ('customer.page.record', 'Record'),
    ('customer.page.system', 'System'),
    ('customer.page.happened', 'What happened'),
    ('customer.page.comes_next', 'What comes next'),
    ('customer.page.since', 'Since'),
    ('customer.page.last_arrival', 'Last arrival'),
    ('customer.page.can_retry', 'You can have it sent again: {statement}'),
    ('customer.page.contact', 'Please contact us.'),
    ('customer.page.tried_in', 'It is tried again in {length}.'),
    ('customer.page.tried_soon', 'It is tried again within moments.'),
    ('customer.page.more', 'And {count} more.'),
    ('customer.page.about_latest', 'About your latest 500 records, and all that did not arrive.'),
    ('customer.page.about_all', 'About all your records that are kept.');

-- Sending refused data again is of use only after what the advice says.
CREATE FUNCTION integration_worker.customer_next(line integration_worker.customer_line, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF line.state = 'failed' THEN
        RETURN concat_ws(' ', integration_worker.html(line.advice), CASE
            WHEN line.can_retry THEN integration_worker.page_text(texts, 'can_retry', jsonb_build_object(
                 'statement', integration_worker.html_statement(format('SELECT integration.retry(%s);', line.id))))
            ELSE texts ->> 'contact' END);
    ELSIF line.next_attempt_at > statement_timestamp() THEN
        RETURN integration_worker.page_text(texts, 'tried_in', jsonb_build_object(
                   'length', integration_worker.duration_words(line.next_attempt_at - statement_timestamp(), texts)));
    END IF;
    RETURN texts ->> 'tried_soon';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_next(integration_worker.customer_line, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_next(integration_worker.customer_line, jsonb) IS 'What comes next for a sync that is not delivered.';

CREATE FUNCTION integration_worker.customer_rows(lines integration_worker.customer_line[], state text, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<section><h2>', texts ->> ('list_' || customer_rows.state), '</h2>',
               integration_worker.html_table(customer_rows.state, texts ->> ('about_' || customer_rows.state),
               h.heads,
               string_agg(concat('<tr>',
                   integration_worker.html_cell(h.heads[1],
                       integration_worker.html_name(concat_ws(' ', l.object_type, coalesce(l.object_id, l.id::text)))),
                   integration_worker.html_cell(h.heads[2], integration_worker.html_name(l.system)),
                   integration_worker.html_cell(h.heads[3], concat(
                       integration_worker.html(l.explanation), integration_worker.customer_fields(l.id))),
                   integration_worker.html_cell(h.heads[4], integration_worker.customer_next(l, texts)),
                   integration_worker.html_cell(h.heads[5], integration_worker.html_time(l.created_at, texts)),
                   '</tr>'), '' ORDER BY l.id DESC)),
               CASE WHEN max(c.count) > 50 THEN
                    format('<p>%s</p>', integration_worker.page_text(texts, 'more', jsonb_build_object('count', integration_worker.html_number(max(c.count) - 50, texts)))) END,
               '</section>')
      FROM (SELECT x.*
              FROM unnest(lines) x
             WHERE x.state = customer_rows.state
             ORDER BY x.id DESC
             LIMIT 50) l
     CROSS JOIN (SELECT count(*) FROM unnest(lines) x WHERE x.state = customer_rows.state) c
     CROSS JOIN (SELECT integration_worker.page_heads(texts, '{record,system,happened,comes_next,since}')) AS h (heads)
     GROUP BY h.heads
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_rows(integration_worker.customer_line[], text, jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_rows(integration_worker.customer_line[], text, jsonb) IS
    'The section about a customer''s syncs of one state, the latest first; NULL: there are none.';

CREATE FUNCTION integration_worker.customer_systems(lines integration_worker.customer_line[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<section><h2>', texts ->> 'list_systems', '</h2>',
               integration_worker.html_table('systems', texts ->> 'about_systems',
               integration_worker.page_heads(texts, '{system,>arrived,>pending,>failed,>last_arrival}'),
               string_agg(concat('<tr>',
                   integration_worker.html_cell(texts ->> 'system', integration_worker.html_name(s.system)),
                   integration_worker.html_cell(texts ->> 'arrived', integration_worker.html_number(s.arrived, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'pending', integration_worker.html_number(s.under_way, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'failed', integration_worker.html_number(s.failed, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'last_arrival', integration_worker.html_time(s.last_arrival, texts), 'n'),
                   '</tr>'), '' ORDER BY s.system)), '</section>')
      FROM (SELECT l.system, count(*) FILTER (WHERE l.state = 'delivered') AS arrived,
                   count(*) FILTER (WHERE l.state IN ('pending', 'retrying')) AS under_way,
                   count(*) FILTER (WHERE l.state = 'failed') AS failed,
                   max(l.finished_at) FILTER (WHERE l.state = 'delivered') AS last_arrival
              FROM unnest(lines) l
             GROUP BY 1) s
    HAVING count(*) > 0
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_systems(integration_worker.customer_line[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_systems(integration_worker.customer_line[], jsonb) IS
    'The section about how a customer''s syncs stand by product; NULL: there are none.';

CREATE FUNCTION integration_worker.customer_overview(lines integration_worker.customer_line[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(
        integration_worker.html_verdict(CASE v.state WHEN 'failed' THEN 'warning' WHEN 'nothing' THEN 'quiet' ELSE 'ok' END, integration_worker.page_text(
            texts, 'verdict_' || v.state,
            jsonb_build_object('count', integration_worker.html_number(CASE v.state WHEN 'failed' THEN s.failed ELSE s.retrying END, texts)))),
        '<dl class="tiles">',
        integration_worker.html_tile('arrived', texts ->> 'arrived_today',
                                     integration_worker.html_number(s.arrived, texts) || CASE WHEN s.is_part THEN '+' ELSE '' END),
        integration_worker.html_tile('pending_count', texts ->> 'pending', integration_worker.html_number(s.pending, texts)),
        integration_worker.html_tile('retrying_count', texts ->> 'retrying', integration_worker.html_number(s.retrying, texts)),
        integration_worker.html_tile('failed_count', texts ->> 'failed', integration_worker.html_number(s.failed, texts),
                                     CASE WHEN s.failed > 0 THEN 'critical' ELSE 'ok' END),
        integration_worker.html_tile('usual', texts ->> 'usual', integration_worker.html_age(s.usual, texts)), '</dl>')
      FROM (SELECT count(*) FILTER (WHERE l.state = 'delivered' AND l.finished_at >= statement_timestamp() - interval '24 hours') AS arrived,
                   count(*) FILTER (WHERE l.state = 'pending') AS pending, count(*) FILTER (WHERE l.state = 'retrying') AS retrying,
                   count(*) FILTER (WHERE l.state = 'failed') AS failed,
                   count(*) >= 500 AS is_part, count(*) = 0 AS is_empty,
                   percentile_disc(0.95) WITHIN GROUP (ORDER BY l.finished_at - l.created_at) FILTER (WHERE l.state = 'delivered') AS usual
              FROM unnest(lines) l) s
     CROSS JOIN LATERAL (SELECT CASE WHEN s.failed > 0 THEN 'failed' WHEN s.retrying > 0 THEN 'retrying'
                                     WHEN s.pending > 0 THEN 'pending' WHEN s.is_empty THEN 'nothing' ELSE 'delivered' END) AS v (state)
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_overview(integration_worker.customer_line[], jsonb) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_overview(integration_worker.customer_line[], jsonb) IS
    'The first sentence, the figures of a customer''s page.';

CREATE FUNCTION integration_worker.customer_page(customer text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    lines integration_worker.customer_line[] := integration_worker.lines_of_customer(customer, 500);
    subject integration.customer;
    texts jsonb;
BEGIN
    SELECT c.* INTO subject FROM integration.customer c WHERE c.name = customer_page.customer;
    texts := integration_worker.page_texts('customer.page.', subject.locale);
    RETURN integration_worker.html_page(
        integration_worker.page_text(texts, 'title', jsonb_build_object('customer', integration_worker.html(coalesce(subject.title, customer)))),
        integration_worker.page_text(texts, 'as_of', jsonb_build_object(
            'time', integration_worker.html(to_char(statement_timestamp(), texts ->> 'time.now')),
            'zone', integration_worker.html(current_setting('TimeZone')))),
        concat(integration_worker.customer_overview(lines, texts), integration_worker.customer_rows(lines, 'failed', texts),
               integration_worker.customer_rows(lines, 'retrying', texts), integration_worker.customer_systems(lines, texts)),
        texts ->> (CASE WHEN cardinality(lines) >= 500 THEN 'about_latest' ELSE 'about_all' END),
        texts ->> 'language');
END
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_page(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_page(text) IS 'The page for a customer, in the customer''s language.';

-- Who gets which page.

CREATE FUNCTION integration_worker.names_in_scope(scope text) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text := split_part(scope, ':', 1);
    wanted text := substr(scope, length(kind) + 2);
    names text[];
BEGIN
    names := CASE kind WHEN 'endpoint' THEN ARRAY(SELECT e.name FROM integration.endpoint e WHERE e.name = wanted)
                       WHEN 'connector' THEN ARRAY(SELECT e.name FROM integration.endpoint e WHERE e.connector = wanted) END;
    IF cardinality(names) > 0 THEN
        RETURN names;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = CASE WHEN names IS NULL THEN format('there is no scope "%s"', scope) ELSE format('nothing is in scope "%s"', scope) END,
        HINT = 'Write all, connector:NAME, endpoint:NAME or customer:NAME; names are in SELECT name, connector, customer FROM integration.endpoint_status.';
END
$$;
REVOKE ALL ON FUNCTION integration_worker.names_in_scope(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.names_in_scope(text) IS 'The endpoints that a page is about.';

-- is_staff: may see every sync; customers: whose page the caller may see otherwise.
CREATE FUNCTION integration_worker.page_for(scope text, is_staff boolean, customers text[]) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF scope LIKE 'customer:%' AND (is_staff OR substr(scope, 10) = ANY (customers)) THEN
        RETURN integration_worker.customer_page(substr(scope, 10));
    ELSIF NOT is_staff THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = format('this role may not see the page about "%s"', coalesce(scope, 'NULL')),
            HINT = coalesce(format('Yours is SELECT integration.status_page(%L).', 'customer:' || customers[1]),
                            'SELECT integration.grant_support(…) or integration.grant_customer(…) lets a role see pages.');
    ELSIF scope = 'all' THEN
        RETURN integration_worker.page_about(scope, NULL);
    END IF;
    RETURN integration_worker.page_about(scope, integration_worker.names_in_scope(scope));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.page_for(text, boolean, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.page_for(text, boolean, text[]) IS 'The page about a scope, for a caller who may see it.';

-- With the caller's rights, else nothing would say who asks.  Its body is bound to what it names when it is
-- made, so the caller needs no right to the schema.
CREATE FUNCTION integration.status_page(scope text DEFAULT 'all') RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT integration_worker.page_for(
               status_page.scope, has_table_privilege('integration.sync'::regclass, 'SELECT'),
               ARRAY(SELECT w.customer FROM integration_worker.own_customer w ORDER BY 1));
END;
REVOKE ALL ON FUNCTION integration.status_page(text) FROM PUBLIC;

COMMENT ON FUNCTION integration.status_page(text) IS
    'A web page of its own: what is wrong now with remedies and owners, traffic, durations, backlogs, promises. Scope: all, connector:NAME, endpoint:NAME; customer:NAME is the page for that customer, with nothing internal. psql -Atc "SELECT integration.status_page()" > status.html';

-- How one business object of a customer stands, in the customer's own words.

-- Of what was asked for the object at each endpoint the newest counts; what gave way to a newer one doesn't.
CREATE FUNCTION integration_worker.object_standing(
        customers text[], object text, object_type text)
    RETURNS TABLE (customer text, sync bigint, status text, error_class text, reason text, can_retry boolean,
                   since timestamptz, next_attempt_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH newest AS (
        SELECT DISTINCT ON (o.endpoint, o.object_type) o.id, o.expires_at
          FROM integration.outbox o
          LEFT JOIN integration.endpoint e ON e.name = o.endpoint
         WHERE o.object_id = object_standing.object
           AND (object_standing.object_type IS NULL OR o.object_type = object_standing.object_type)
           AND coalesce(o.customer, e.customer) = ANY (customers)
           AND o.operation <> 'ping'
           AND NOT EXISTS (SELECT FROM integration.closing c WHERE c.outbox_id = o.id AND c.state = 'superseded')
         ORDER BY o.endpoint, o.object_type, o.id DESC
    )
    SELECT f.customer, f.id,
           integration_worker.customer_status_of(coalesce(q.state, c.state, 'delivered'), f.is_unknown, f.responsible, h.held_class IS NOT NULL),
           coalesce(h.held_class, f.error_class), CASE WHEN h.held_class IS NULL THEN f.reason END,
           q.state = 'failed' AND (n.expires_at > statement_timestamp()) IS NOT FALSE AND NOT coalesce(f.is_unknown, false),
           coalesce(c.closed_at, f.last_answer_at, f.created_at), CASE WHEN q.state = 'retrying' THEN q.due_at END
      FROM newest n
      JOIN integration_worker.sync_facts f ON f.id = n.id
      LEFT JOIN integration.queue q ON q.outbox_id = n.id
      LEFT JOIN integration.closing c ON c.outbox_id = n.id
     CROSS JOIN LATERAL (
           SELECT CASE WHEN q.state <> 'failed' THEN integration_worker.held_class(f.endpoint_id, f.customer) END AS held_class) h
$$;
REVOKE ALL ON FUNCTION integration_worker.object_standing(text[], text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.object_standing(text[], text, text) IS
    'How an object of one of these customers stands at each endpoint, in codes.';

CREATE FUNCTION integration_worker.customer_told(customers text[], object text, object_type text)
    RETURNS TABLE (customer text, system text, object_type text, object_id text, status text, standing text, cause text,
                   next text, advice text, can_retry boolean, sync bigint, since timestamptz, next_attempt_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH stands AS (
        SELECT s.*, integration_worker.customer_class(s.status, s.error_class) AS class
          FROM integration_worker.object_standing(customers, object, object_type) s
        UNION ALL
        SELECT customers[1], NULL, 'unknown', NULL, NULL, false, NULL, NULL, 'unknown'
         WHERE NOT EXISTS (SELECT FROM integration_worker.object_standing(customers, object, object_type))
    )
    SELECT s.customer, coalesce(c.title, c.name), coalesce(o.object_type, customer_told.object_type), customer_told.object, s.status,
           v.texts ->> ('standing.' || s.status), v.texts ->> ('cause.' || s.class), v.texts ->> ('next.' || s.status),
           concat_ws(' ', coalesce(v.texts ->> ('advice.' || s.reason), v.texts ->> ('advice.:' || s.class), v.texts ->> ('advice.' || s.class)),
                     CASE WHEN s.can_retry THEN v.texts ->> 'advice.can_retry' END),
           coalesce(s.can_retry, false), s.sync, s.since, s.next_attempt_at
      FROM stands s
      LEFT JOIN integration.outbox o ON o.id = s.sync
      LEFT JOIN integration.endpoint e ON e.name = o.endpoint
      LEFT JOIN integration.connector c ON c.name = e.connector
     CROSS JOIN LATERAL integration_worker.customer_vocabulary(s.customer) AS v (texts)
     ORDER BY 2, 3, s.sync
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_told(text[], text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_told(text[], text, text) IS
    'What integration.customer_status() says of an object of these customers.';

-- With the caller's rights, as integration.retry() has: only so it is known who asks.
CREATE FUNCTION integration.customer_status(customer text, object text, object_type text DEFAULT NULL)
    RETURNS TABLE (customer text, system text, object_type text, object_id text, status text, standing text, cause text,
                   next text, advice text, can_retry boolean, sync bigint, since timestamptz, next_attempt_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.customer, t.system, t.object_type, t.object_id, t.status, t.standing, t.cause, t.next, t.advice, t.can_retry,
           t.sync, t.since, t.next_attempt_at
      FROM integration_worker.customer_told(
               CASE WHEN has_table_privilege('integration.sync'::regclass, 'SELECT') THEN ARRAY[$1]
                    ELSE ARRAY(SELECT w.customer FROM integration_worker.own_customer w WHERE w.customer = $1) END,
               $2, $3) t;
END;
REVOKE ALL ON FUNCTION integration.customer_status(text, text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.customer_status(text, text, text) IS
    'How a business object of a customer stands at each system, for the customer to read: status is one of arrived, waiting, delayed, held, needs_you, needs_us, checking, withdrawn, too_late, unknown; standing, cause, next (by itself) and advice are told in the language of integration.customer. A customer''s role asks of its own, support of all.';

-- The record of what people did: changes of the tables that they may write, one list of everything.

-- A row for each row that was inserted, changed or deleted: before and after, of a change only what differs.
-- The first argument names the columns of the key, the second those whose values nobody may read here.
CREATE FUNCTION integration_worker.record_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text[] := TG_ARGV[0];
    hidden text[] := TG_ARGV[1];
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    present jsonb := coalesce(after, before);
    differs text[] := ARRAY(SELECT m.key FROM jsonb_each(present) m
                             WHERE coalesce(before -> m.key, 'null') <> coalesce(after -> m.key, 'null'));
BEGIN
    IF differs = '{}' OR integration_worker.is_restoring() THEN
        RETURN NULL;
    END IF;
    INSERT INTO integration.action (verb, endpoint, details)
    VALUES (lower(TG_OP), CASE TG_TABLE_NAME WHEN 'endpoint' THEN present ->> 'name' ELSE present ->> 'endpoint' END,
            jsonb_build_object('table', TG_TABLE_NAME, 'key', ARRAY(SELECT present ->> k.name FROM unnest(key) AS k (name)))
            || CASE WHEN before IS NULL THEN '{}'
                    ELSE jsonb_build_object('before', integration_worker.members(before, differs, hidden)) END
            || CASE WHEN after IS NULL THEN '{}'
                    ELSE jsonb_build_object('after', integration_worker.members(after, differs, hidden)) END);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.record_change() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.record_change() IS
    'Row trigger: writes down what somebody changed in a table, before and after.';

CREATE FUNCTION integration_worker.members(document jsonb, names text[], hidden text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(m.key, CASE WHEN m.key = ANY (hidden) AND m.value <> 'null' THEN '"***"' ELSE m.value END)
      FROM jsonb_each(document) m
     WHERE m.key = ANY (names)
$$;
REVOKE ALL ON FUNCTION integration_worker.members(jsonb, text[], text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.members(jsonb, text[], text[]) IS
    'The members of these names, *** in place of hidden values; NULL: there is none.';

CREATE FUNCTION integration_worker.state_after(verb text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE verb WHEN 'retry' THEN 'pending' WHEN 'cancel' THEN 'cancelled' WHEN 'amend' THEN 'superseded'
                     WHEN 'acknowledge' THEN 'acknowledged' WHEN 'snooze' THEN 'snoozed' WHEN 'ignore' THEN 'ignored'
                     WHEN 'reopen' THEN 'open' WHEN 'resolve' THEN 'resolved' WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'closed' END;
REVOKE ALL ON FUNCTION integration_worker.state_after(text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.state_after(text) IS
    'The state into which an action brings a sync, an incident, an endpoint; NULL: into no other.';

CREATE VIEW integration.action_log AS
SELECT x.id, x.at, x.actor, x.verb,
       CASE WHEN x.details ? 'table' THEN concat_ws(' ', x.details ->> 'table',
                                                    (SELECT string_agg(k.value, ', ') FROM jsonb_array_elements_text(x.details -> 'key') k))
            WHEN x.outbox_id IS NOT NULL THEN 'sync ' || x.outbox_id
            WHEN x.incident IS NOT NULL THEN 'incident ' || x.incident
            WHEN x.details ? 'scope' THEN concat_ws(' ', x.details ->> 'scope', x.details ->> 'name')
            WHEN x.details ? 'role' THEN 'role ' || (x.details ->> 'role')
            WHEN x.endpoint IS NOT NULL THEN 'endpoint ' || x.endpoint END AS subject,
       x.reason,
       CASE WHEN x.details ? 'table' THEN x.details -> 'before'
            ELSE nullif(jsonb_strip_nulls(jsonb_build_object(
                'state', x.details -> 'state', 'assignee', x.details -> 'assignee', 'resolution', x.details -> 'resolution',
                'paused_because', x.details -> 'paused_because', 'paused_by', x.details -> 'paused_by',
                'open_until', x.details -> 'open_until', 'retry_after_until', x.details -> 'retry_after_until')), '{}') END AS before,
       CASE WHEN x.details ? 'table' THEN x.details -> 'after'
            ELSE nullif(jsonb_strip_nulls(jsonb_build_object('state', integration_worker.state_after(x.verb))
                        || coalesce(x.details, '{}')
                           - '{state,assignee,resolution,paused_because,paused_by,open_until,retry_after_until,scope,name,role}'::text[]
                        || jsonb_strip_nulls(jsonb_build_object('state', integration_worker.state_after(x.verb)))), '{}') END AS after,
       x.outbox_id, x.endpoint, x.incident
  FROM integration.action x;

COMMENT ON VIEW integration.action_log IS
    'Everything that people did, changes of tables too: who, what, why, before and after. Secrets are *** in it.';

COMMENT ON COLUMN integration.action_log.id IS 'Its number: action.id.';

COMMENT ON COLUMN integration.action_log.at IS 'When.';

COMMENT ON COLUMN integration.action_log.actor IS 'The database user of the session.';

COMMENT ON COLUMN integration.action_log.verb IS 'What was done: see action.verb.';

COMMENT ON COLUMN integration.action_log.subject IS 'To what: a sync, an incident, an endpoint, a row of a table.';

COMMENT ON COLUMN integration.action_log.reason IS 'Why, in the actor''s words.';

COMMENT ON COLUMN integration.action_log.before IS 'How it was; of a row that was changed, what was changed of it.';

COMMENT ON COLUMN integration.action_log.after IS 'What became of it, and with which conditions.';

COMMENT ON COLUMN integration.action_log.outbox_id IS 'The sync it touched.';

COMMENT ON COLUMN integration.action_log.endpoint IS 'The endpoint it touched.';

COMMENT ON COLUMN integration.action_log.incident IS 'The incident it touched.';

-- Signatures of Standard Webhooks: keys to sign with, a check for receivers in SQL.

CREATE FUNCTION integration.verify_signature(
        payload bytea, headers jsonb, secret text, tolerance interval DEFAULT '5 min')
    RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_verify_signature';
REVOKE ALL ON FUNCTION integration.verify_signature(bytea, jsonb, text, interval) FROM PUBLIC;

COMMENT ON FUNCTION integration.verify_signature(bytea, jsonb, text, interval) IS
    'Whether a received request was signed with this secret (whsec_...) or the key of this public key (whpk_...), by Standard Webhooks; payload is its body as it came, headers its headers by name. False, never NULL or an error, for whatever is missing or wrong in the request; an error for a bad secret. tolerance: how far webhook-timestamp may be from now; NULL: any.';

CREATE FUNCTION integration.verify_signature(
        payload text, headers jsonb, secret text, tolerance interval DEFAULT '5 min')
    RETURNS boolean
    LANGUAGE sql VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration.verify_signature(convert_to(payload, 'UTF8'), headers, secret, tolerance)
$$;
REVOKE ALL ON FUNCTION integration.verify_signature(text, jsonb, text, interval) FROM PUBLIC;

COMMENT ON FUNCTION integration.verify_signature(text, jsonb, text, interval) IS
    'The same for a body that came as text in UTF-8.';

CREATE FUNCTION integration.new_signing_key(kind text DEFAULT 'v1') RETURNS text
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_new_signing_key';
REVOKE ALL ON FUNCTION integration.new_signing_key(text) FROM PUBLIC;

COMMENT ON FUNCTION integration.new_signing_key(text) IS
    'A new random key to sign with, stored nowhere: v1 a shared secret (whsec_...), v1a an Ed25519 secret key (whsk_...).';

CREATE FUNCTION integration.public_signing_key(key text) RETURNS text
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_public_signing_key';
REVOKE ALL ON FUNCTION integration.public_signing_key(text) FROM PUBLIC;

COMMENT ON FUNCTION integration.public_signing_key(text) IS
    'The public key (whpk_...) of an Ed25519 secret key (whsk_...), to be handed out to receivers.';

-- The clock of a sync: its deadline, where its time went.

CREATE FUNCTION integration_worker.period(begins timestamptz, ends timestamptz) RETURNS tstzrange
    LANGUAGE sql IMMUTABLE
    RETURN tstzrange(begins, greatest(begins, ends));
REVOKE ALL ON FUNCTION integration_worker.period(timestamptz, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.period(timestamptz, timestamptz) IS
    'From one time to the other, empty where a clock that was set back has the end before the beginning.';

CREATE FUNCTION integration_worker.length_of(periods tstzmultirange) RETURNS interval
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(sum(upper(p) - lower(p)), interval '0') FROM unnest(periods) AS p
$$;
REVOKE ALL ON FUNCTION integration_worker.length_of(tstzmultirange) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.length_of(tstzmultirange) IS
    'How long these periods are together.';

-- By the index action_switch.  What began without an action, such as the pause of a copy, stands in the table.
CREATE VIEW integration_worker.pause_period AS
SELECT s.scope, s.name, integration_worker.period(s.at, least(s.until, s.next_at)) AS period
  FROM (SELECT a.verb, a.at, a.details ->> 'scope' AS scope, coalesce(a.details ->> 'name', '') AS name,
               coalesce((a.details ->> 'until')::timestamptz, 'infinity') AS until,
               lead(a.at) OVER (PARTITION BY a.details ->> 'scope', a.details ->> 'name' ORDER BY a.at, a.id) AS next_at
          FROM integration.action a
         WHERE a.verb IN ('pause', 'resume')) s
 WHERE s.verb = 'pause'
UNION ALL
SELECT p.scope, p.name, integration_worker.period(p.since, coalesce(p.until, 'infinity'))
  FROM integration.pause p;

COMMENT ON VIEW integration_worker.pause_period IS
    'When what was paused: by what people did, and what is in force.';

CREATE FUNCTION integration_worker.pauses_of(connector text, endpoint text, customers text[]) RETURNS tstzmultirange
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg(p.period), '{}')
              FROM integration_worker.pause_period p
             WHERE integration_worker.pause_holds(p.scope, p.name, pauses_of.connector, pauses_of.endpoint, pauses_of.customers));
END
$$;
REVOKE ALL ON FUNCTION integration_worker.pauses_of(text, text, text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.pauses_of(text, text, text[]) IS
    'When the syncs of this connector, endpoint, these customers (the sync''s, its endpoint''s) were paused.';

-- An attempt after which none is scheduled leaves the sync to a person or to its endpoint.
CREATE VIEW integration_worker.attempt_period AS
SELECT t.outbox_id, integration_worker.period(t.started_at, t.ended_at) AS flight,
       CASE WHEN t.next_attempt_at IS NOT NULL AND t.error_class = 'rate_limited'
            THEN integration_worker.period(t.ended_at, least(t.next_attempt_at, t.next_at)) END AS throttled,
       CASE WHEN t.next_attempt_at IS NOT NULL
            THEN integration_worker.period(t.ended_at, coalesce(t.next_at, 'infinity')) END AS retrying
  FROM (SELECT a.outbox_id, a.started_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' AS ended_at,
               a.error_class, a.next_attempt_at, lead(a.started_at) OVER (PARTITION BY a.outbox_id ORDER BY a.attempt_no) AS next_at
          FROM integration.attempt a) t;

COMMENT ON VIEW integration_worker.attempt_period IS
    'The attempts of each sync as periods, with what came after each: throttled is a part of retrying.';

CREATE FUNCTION integration_worker.standing_of(
        state text, due_by timestamptz, at_risk_from timestamptz, finished_at timestamptz, now timestamptz)
    RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN due_by IS NULL THEN 'no_promise'
                WHEN coalesce(finished_at, now) > due_by THEN CASE WHEN finished_at IS NULL THEN 'late' ELSE 'missed' END
                WHEN state = 'delivered' THEN 'kept'
                WHEN state = 'expired' THEN 'missed'
                WHEN finished_at IS NOT NULL THEN 'withdrawn'
                WHEN now >= at_risk_from THEN 'at_risk'
                ELSE 'running' END
$$;
REVOKE ALL ON FUNCTION integration_worker.standing_of(text, timestamptz, timestamptz, timestamptz, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.standing_of(text, timestamptz, timestamptz, timestamptz, timestamptz) IS
    'How a promise stands.';

-- What overlaps is told once: a request that is under way is under way, whoever pauses meanwhile.
CREATE FUNCTION integration_worker.split_time(
        life tstzmultirange, flights tstzmultirange, pauses tstzmultirange, throttles tstzmultirange, retries tstzmultirange,
        OUT waiting interval, OUT throttled interval, OUT paused interval, OUT retrying interval, OUT in_flight interval)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    in_flight := integration_worker.length_of(life * flights);
    life := life - flights;
    paused := integration_worker.length_of(life * pauses);
    life := life - pauses;
    throttled := integration_worker.length_of(life * throttles);
    life := life - throttles;
    retrying := integration_worker.length_of(life * retries);
    waiting := integration_worker.length_of(life - retries);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.split_time(tstzmultirange, tstzmultirange, tstzmultirange, tstzmultirange, tstzmultirange) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.split_time(tstzmultirange, tstzmultirange, tstzmultirange, tstzmultirange, tstzmultirange) IS
    'Where the time of a life went; the parts add up to it.';

CREATE FUNCTION integration.sla_clock(id bigint, now timestamptz DEFAULT clock_timestamp())
    RETURNS TABLE (standing text, started_at timestamptz, at_risk_from timestamptz, due_by timestamptz, finished_at timestamptz,
                   time_left interval, total interval, waiting interval, throttled interval, paused interval,
                   retrying interval, in_flight interval)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM integration_worker.require_sync(sla_clock.id);
    RETURN QUERY
    SELECT integration_worker.standing_of(s.state, s.due_by, f.at_risk_from, s.finished_at, sla_clock.now),
           f.clock_from, f.at_risk_from, s.due_by, s.finished_at,
           CASE WHEN s.finished_at IS NULL THEN s.due_by - sla_clock.now END,
           integration_worker.length_of(l.life), t.waiting, t.throttled, t.paused, t.retrying, t.in_flight
      FROM integration.sync s
      JOIN integration_worker.sync_facts f ON f.id = s.id
     CROSS JOIN LATERAL (
           SELECT multirange(integration_worker.period(f.clock_from, coalesce(s.finished_at, sla_clock.now))) AS life) l
     CROSS JOIN LATERAL (
           SELECT coalesce(range_agg(x.flight), '{}')
                  + CASE WHEN s.in_flight_since IS NULL THEN '{}'
                         ELSE multirange(integration_worker.period(s.in_flight_since, sla_clock.now)) END AS flights,
                  coalesce(range_agg(x.throttled), '{}') AS throttles, coalesce(range_agg(x.retrying), '{}') AS retries
             FROM integration_worker.attempt_period x
            WHERE x.outbox_id = s.id) a
     CROSS JOIN LATERAL integration_worker.split_time(
               l.life, a.flights, integration_worker.pauses_of(f.connector, f.endpoint, ARRAY[f.customer, f.endpoint_customer]),
               a.throttles, a.retries) t
     WHERE s.id = sla_clock.id;
END
$$;
REVOKE ALL ON FUNCTION integration.sla_clock(bigint, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration.sla_clock(bigint, timestamptz) IS
    'The clock of a sync: its standing (no_promise, running, at_risk, late, kept, missed, withdrawn), its deadline, where its time went: waiting with us (its turn, its endpoint, a person), throttled (the other side asked us to wait), paused by somebody, retrying (until the next attempt), in flight.';

-- What became of syncs, counted by day: for reports that outlive them.
--
-- Delivered syncs leave after a week, promises are reported by the month; and a report that read a million attempts
-- each time would be read by nobody.  So the process of retention counts what has come to its end before it removes
-- anything, behind the application and the sender, which know nothing of it.

CREATE TABLE integration.sync_count (
    day date NOT NULL,
    endpoint text NOT NULL,
    customer text NOT NULL,
    connector text,
    syncs bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    in_time bigint NOT NULL DEFAULT 0,
    missed bigint NOT NULL DEFAULT 0,
    missed_by_customer bigint NOT NULL DEFAULT 0,
    missed_by_vendor bigint NOT NULL DEFAULT 0,
    impact_missed numeric,
    PRIMARY KEY (day, endpoint, customer)
);
REVOKE ALL ON TABLE integration.sync_count FROM PUBLIC;

COMMENT ON TABLE integration.sync_count IS
    'What became of the syncs that were due on a day, by endpoint and customer; written by the worker, kept for 25 months. Use integration.sla_report and integration.usage.';

COMMENT ON COLUMN integration.sync_count.day IS 'The day they were due, in UTC.';

COMMENT ON COLUMN integration.sync_count.endpoint IS 'The endpoint.';

COMMENT ON COLUMN integration.sync_count.customer IS 'The customer; empty: nobody''s.';

COMMENT ON COLUMN integration.sync_count.connector IS 'The endpoint''s connector at that time.';

COMMENT ON COLUMN integration.sync_count.syncs IS 'Those that came to an end.';

COMMENT ON COLUMN integration.sync_count.delivered IS 'Those of them that arrived.';

COMMENT ON COLUMN integration.sync_count.failures IS 'Their failed attempts.';

COMMENT ON COLUMN integration.sync_count.in_time IS 'Delivered within their SLA.';

COMMENT ON COLUMN integration.sync_count.missed IS 'Not delivered within their SLA, finished or not.';

COMMENT ON COLUMN integration.sync_count.missed_by_customer IS 'Those of them that failed for, or waited behind, what is the customer''s to mend.';

COMMENT ON COLUMN integration.sync_count.missed_by_vendor IS 'Those of them that failed for, or waited behind, what is the other system''s to mend.';

COMMENT ON COLUMN integration.sync_count.impact_missed IS 'Sum of the impact of those that were missed.';

-- Far fewer than there are syncs: what is delivered before it is looked at never gets here.
CREATE TABLE integration_worker.uncounted (
    outbox_id bigint PRIMARY KEY,
    endpoint_id integer NOT NULL,
    due_by timestamptz,
    at_risk_from timestamptz,
    is_missed boolean NOT NULL DEFAULT false
);
REVOKE ALL ON TABLE integration_worker.uncounted FROM PUBLIC;

-- Serves missed_now(): promises that have just been broken.
CREATE INDEX uncounted_due ON integration_worker.uncounted (due_by) WHERE NOT is_missed;

-- Serves promises_at_risk(): the oldest of each endpoint.
CREATE INDEX uncounted_at_risk ON integration_worker.uncounted (endpoint_id, at_risk_from) WHERE at_risk_from IS NOT NULL;

COMMENT ON TABLE integration_worker.uncounted IS
    'Syncs that were not finished when they were looked at: the clocks that run. is_missed: counted as missed already.';

CREATE TABLE integration_worker.count_progress (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    counted_to bigint NOT NULL DEFAULT 0,
    checked_to bigint NOT NULL DEFAULT 0,
    countable_to bigint NOT NULL DEFAULT 0,
    waiting_id bigint NOT NULL DEFAULT 0,
    noted_id bigint NOT NULL DEFAULT 0,
    noted_at timestamptz NOT NULL DEFAULT '-infinity',
    horizon xid8
);
REVOKE ALL ON TABLE integration_worker.count_progress FROM PUBLIC;

COMMENT ON TABLE integration_worker.count_progress IS
    'How far the counting came: every sync up to counted_to has been looked at, those up to countable_to can be; checked_to goes round in uncounted. Once no transaction before horizon runs, none can add an id up to waiting_id.';

-- Made at the first look: a row of the script would be in the way of the one in a dump.
CREATE FUNCTION integration_worker.count_state() RETURNS integration_worker.count_progress
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    progress integration_worker.count_progress;
BEGIN
    INSERT INTO integration_worker.count_progress DEFAULT VALUES ON CONFLICT DO NOTHING;
    SELECT p.* INTO progress FROM integration_worker.count_progress p FOR UPDATE;
    RETURN progress;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.count_state() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.count_state() IS
    'How far the counting came, locked.';

-- Ids are not committed in their order, so what is not there yet may come.  An id that was given away before the one
-- look belongs to a transaction that has a number by the next: once those are over, all of these ids are there.
-- A horizon from another cluster, restored, may lie far ahead.
CREATE FUNCTION integration_worker.note_ids(now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present pg_snapshot := pg_current_snapshot();
BEGIN
    UPDATE integration_worker.count_progress p
       SET countable_to = CASE WHEN p.horizon <= pg_snapshot_xmin(present) THEN p.waiting_id ELSE p.countable_to END,
           waiting_id = p.noted_id, noted_id = integration_worker.last_id(), noted_at = note_ids.now,
           horizon = pg_snapshot_xmax(present)
      FROM (SELECT x.is_one
              FROM integration_worker.count_progress x
             -- or of a clock that ran ahead
             WHERE (x.noted_at <= note_ids.now - interval '1 s' OR x.noted_at > note_ids.now)
               AND (x.horizon <= pg_snapshot_xmin(present) OR x.horizon > pg_snapshot_xmax(present)) IS NOT FALSE
               FOR UPDATE SKIP LOCKED) held
     WHERE p.is_one = held.is_one;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.note_ids(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.note_ids(timestamptz) IS
    'Looks up to which id no running transaction can add a sync any more; at most once a second, for nobody who counts.';

CREATE VIEW integration_worker.countable AS
SELECT o.id, (t.started_at AT TIME ZONE 'UTC')::date AS day, o.endpoint, e.id AS endpoint_id, e.connector,
       coalesce(o.customer, e.customer, '') AS customer, o.impact,
       t.started_at + s.sla AS due_by, t.started_at + s.sla * 0.8 AS at_risk_from,
       q.outbox_id IS NULL AS is_over, coalesce(g.state, 'delivered') AS ended_as,
       coalesce(g.closed_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms') AS ended_at,
       coalesce(a.attempt_no, 0) - CASE WHEN a.outcome = 'delivered' THEN 1 ELSE 0 END AS failures
  FROM integration_worker.asked o
  LEFT JOIN integration.endpoint e ON e.name = o.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, e.customer)
  LEFT JOIN integration.queue q ON q.outbox_id = o.id
  LEFT JOIN integration.closing g ON g.outbox_id = o.id
  LEFT JOIN LATERAL (
       SELECT x.attempt_no, x.outcome, x.started_at, x.duration_ms
         FROM integration.attempt x
        WHERE x.outbox_id = o.id
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
 CROSS JOIN LATERAL (SELECT greatest(o.send_after, o.created_at) AS started_at) t
 CROSS JOIN LATERAL (SELECT coalesce(u.sla, c.sla) AS sla) s
 WHERE o.operation <> 'ping';

COMMENT ON VIEW integration_worker.countable IS
    'What counting must know of each sync.';

-- Withdrawn in time is no broken promise, nor is what gave way to a newer state.
CREATE FUNCTION integration_worker.promise_kept(
        due_by timestamptz, is_over boolean, ended_as text, ended_at timestamptz, now timestamptz)
    RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN due_by IS NULL THEN NULL
                WHEN NOT is_over THEN CASE WHEN now > due_by THEN false END
                WHEN ended_as = 'expired' OR ended_at > due_by THEN false
                WHEN ended_as = 'delivered' THEN true END
$$;
REVOKE ALL ON FUNCTION integration_worker.promise_kept(timestamptz, boolean, text, timestamptz, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.promise_kept(timestamptz, boolean, text, timestamptz, timestamptz) IS
    'Was a sync delivered within its SLA? NULL: that is not decided, there is no promise, or it was withdrawn in time.';

-- Whose the last failure was to mend.  What never failed waited: with us if it was paused, else behind whatever was
-- wrong with its endpoint, such as an outage of the other side that let nothing through.
CREATE FUNCTION integration_worker.fault_of(id bigint, at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fault text := (SELECT r.responsible
                     FROM integration.attempt a
                     JOIN integration.error_reason r ON r.reason = a.reason
                    WHERE a.outbox_id = fault_of.id AND a.outcome = 'failed'
                    ORDER BY a.attempt_no DESC
                    LIMIT 1);
    sync integration_worker.sync_facts;
BEGIN
    IF fault IS NOT NULL THEN
        RETURN fault;
    END IF;
    SELECT f.* INTO sync FROM integration_worker.sync_facts f WHERE f.id = fault_of.id;
    IF fault_of.at <@ integration_worker.pauses_of(sync.connector, sync.endpoint, ARRAY[sync.customer, sync.endpoint_customer]) THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT i.responsible
              FROM integration.incident i
              JOIN integration.error_class k ON k.name = i.error_class AND NOT k.is_watched
             WHERE i.endpoint = sync.endpoint AND i.opened_at < fault_of.at
               AND (i.resolved_at IS NULL OR i.resolved_at > sync.clock_from)
             ORDER BY i.opened_at DESC
             LIMIT 1);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.fault_of(bigint, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.fault_of(bigint, timestamptz) IS
    'Which party is to blame that a sync was not delivered by this time; NULL: it waited with us for nobody.';

-- Its plan may be made while every table is empty, so what would walk a whole one for each sync is switched off.
CREATE FUNCTION integration_worker.count_syncs(ids bigint[], now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    IF ids = '{}' THEN
        RETURN;
    END IF;
    WITH looked_at AS MATERIALIZED (
        SELECT c.*, coalesce(u.is_missed, false) AS was_missed,
               CASE WHEN u.is_missed IS NOT TRUE
                    THEN integration_worker.promise_kept(c.due_by, c.is_over, c.ended_as, c.ended_at, count_syncs.now) END AS is_kept
          FROM unnest(ids) AS i (id)
          JOIN integration_worker.countable c ON c.id = i.id
          LEFT JOIN integration_worker.uncounted u ON u.outbox_id = c.id
    ), blamed AS (
        SELECT l.*, CASE WHEN NOT l.is_kept THEN integration_worker.fault_of(l.id, l.due_by) END AS fault FROM looked_at l
    ), counted AS (
        INSERT INTO integration.sync_count AS s (day, endpoint, customer, connector, syncs, delivered, failures, in_time, missed,
                                                 missed_by_customer, missed_by_vendor, impact_missed)
        SELECT b.day, b.endpoint, b.customer, max(b.connector), count(*) FILTER (WHERE b.is_over),
               count(*) FILTER (WHERE b.is_over AND b.ended_as = 'delivered'),
               coalesce(sum(b.failures) FILTER (WHERE b.is_over), 0),
               count(*) FILTER (WHERE b.is_kept), count(*) FILTER (WHERE NOT b.is_kept),
               count(*) FILTER (WHERE b.fault = 'customer'), count(*) FILTER (WHERE b.fault = 'remote_vendor'),
               sum(b.impact) FILTER (WHERE NOT b.is_kept)
          FROM blamed b
         WHERE b.is_over OR b.is_kept IS NOT NULL
         GROUP BY b.day, b.endpoint, b.customer
            ON CONFLICT (day, endpoint, customer) DO UPDATE
           SET (connector, syncs, delivered, failures, in_time, missed, missed_by_customer, missed_by_vendor, impact_missed)
               = (excluded.connector, s.syncs + excluded.syncs, s.delivered + excluded.delivered, s.failures + excluded.failures,
                  s.in_time + excluded.in_time, s.missed + excluded.missed, s.missed_by_customer + excluded.missed_by_customer,
                  s.missed_by_vendor + excluded.missed_by_vendor,
                  coalesce(s.impact_missed + excluded.impact_missed, s.impact_missed, excluded.impact_missed))
    ), ended AS (
        DELETE FROM integration_worker.uncounted u USING looked_at l WHERE u.outbox_id = l.id AND l.is_over
    )
    INSERT INTO integration_worker.uncounted AS u (outbox_id, endpoint_id, due_by, at_risk_from, is_missed)
    SELECT l.id, l.endpoint_id, l.due_by, l.at_risk_from, l.was_missed OR l.is_kept IS NOT NULL
      FROM looked_at l
     WHERE NOT l.is_over AND l.endpoint_id IS NOT NULL
        ON CONFLICT (outbox_id) DO UPDATE
       SET is_missed = true
     WHERE excluded.is_missed AND NOT u.is_missed;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.count_syncs(bigint[], timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.count_syncs(bigint[], timestamptz) IS
    'Counts what became of these syncs, notes those that are not finished.';

-- Three looks, each at so many at most: what is new, what is not finished yet, which promises are over just now.
CREATE FUNCTION integration_worker.count_more(upto bigint, now timestamptz, most integer DEFAULT 5000) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    progress integration_worker.count_progress := integration_worker.count_state();
    fresh bigint[];
    open_ids bigint[];
BEGIN
    fresh := ARRAY(SELECT o.id FROM integration.outbox o
                    WHERE o.id > progress.counted_to AND o.id <= upto ORDER BY o.id LIMIT most);
    open_ids := ARRAY(SELECT u.outbox_id FROM integration_worker.uncounted u
                       WHERE u.outbox_id > progress.checked_to ORDER BY u.outbox_id LIMIT most);
    PERFORM integration_worker.count_syncs(fresh, now);
    PERFORM integration_worker.count_syncs(
        ARRAY(SELECT i.id FROM unnest(open_ids) AS i (id)
               WHERE NOT EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = i.id)), now);
    PERFORM integration_worker.count_syncs(
        ARRAY(SELECT u.outbox_id FROM integration_worker.uncounted u
               WHERE NOT u.is_missed AND u.due_by < now ORDER BY u.due_by LIMIT most), now);
    -- What retention or a person deleted can't be counted any more.
    DELETE FROM integration_worker.uncounted u
     WHERE u.outbox_id = ANY (open_ids) AND NOT EXISTS (SELECT FROM integration.outbox o WHERE o.id = u.outbox_id);
    UPDATE integration_worker.count_progress p
       SET counted_to = CASE WHEN cardinality(fresh) = most THEN fresh[most] ELSE greatest(p.counted_to, upto) END,
           checked_to = CASE WHEN cardinality(open_ids) = most THEN open_ids[most] ELSE 0 END;
    RETURN cardinality(fresh) = most OR cardinality(open_ids) = most;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.count_more(bigint, timestamptz, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.count_more(bigint, timestamptz, integer) IS
    'Counts on, up to this id, so many syncs at most in each of its looks; returns whether there may be more.';

CREATE FUNCTION integration_worker.forget_counts(now timestamptz) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM integration.sync_count c WHERE c.day < (forget_counts.now AT TIME ZONE 'UTC')::date - interval '25 months'
$$;
REVOKE ALL ON FUNCTION integration_worker.forget_counts(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.forget_counts(timestamptz) IS
    'Removes counts of days more than 25 months ago, by the primary key.';

CREATE FUNCTION integration_worker.count_on(now timestamptz DEFAULT clock_timestamp()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A copy reports nobody's promises, and while it is restored rows are missing.
    IF NOT integration_worker.is_adopted() THEN
        RETURN false;
    END IF;
    -- What is lost is counted again.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM integration_worker.note_ids(count_on.now);
    PERFORM integration_worker.forget_counts(count_on.now);
    RETURN integration_worker.count_more((integration_worker.count_state()).countable_to, count_on.now);
END
$$;
REVOKE ALL ON FUNCTION integration_worker.count_on(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.count_on(timestamptz) IS
    'A step of counting, called by the process of retention before it removes anything; returns whether there may be more.';

-- Promises: what is at risk, how the month went.

INSERT INTO integration.phrase (key, words) VALUES
    ('sla.at_risk', 'Not delivered though four fifths of their time are over: {syncs}; already late: {late}; due first: sync {example} by {due}.'),
    ('sla.many', 'at least {syncs}');

-- The oldest of what is not finished, so many at most.  What was enqueued since the counting came by is in the queue alone.
CREATE FUNCTION integration_worker.clocks_at_risk(now timestamptz, most integer DEFAULT 1000)
    RETURNS TABLE (endpoint_id integer, outbox_id bigint, due_by timestamptz, is_open boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT u.endpoint_id, u.outbox_id, u.due_by, EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = u.outbox_id)
      FROM integration.endpoint e
     CROSS JOIN LATERAL (
           SELECT x.*
             FROM integration_worker.uncounted x
            WHERE x.endpoint_id = e.id AND x.at_risk_from <= clocks_at_risk.now
            ORDER BY x.at_risk_from
            LIMIT most) u
    UNION ALL
    SELECT c.endpoint_id, c.id, c.due_by, true
      FROM (SELECT q.outbox_id
              FROM integration.queue q
             WHERE q.outbox_id > coalesce((SELECT p.counted_to FROM integration_worker.count_progress p), 0)
             ORDER BY q.outbox_id
             LIMIT most) f
     CROSS JOIN LATERAL (SELECT x.* FROM integration_worker.countable x WHERE x.id = f.outbox_id OFFSET 0) c
     WHERE c.at_risk_from <= clocks_at_risk.now;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.clocks_at_risk(timestamptz, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.clocks_at_risk(timestamptz, integer) IS
    'The syncs whose time is four fifths over, so many of each endpoint, by the index uncounted_at_risk; is_open: it is not finished yet.';

CREATE FUNCTION integration_worker.warn_of_promises(now timestamptz, most integer DEFAULT 1000) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT e.name, count(*) AS looked_at, count(*) FILTER (WHERE r.is_open) AS syncs, sum(o.impact) AS impact,
               count(DISTINCT coalesce(o.customer, e.customer)) FILTER (WHERE r.is_open) AS customers,
               (array_agg(r.outbox_id ORDER BY r.due_by) FILTER (WHERE r.is_open))[1] AS example,
               integration_worker.say('sla.at_risk', jsonb_build_object(
                   'syncs', CASE WHEN count(*) < most THEN (count(*) FILTER (WHERE r.is_open))::text
                                 ELSE integration_worker.say('sla.many', jsonb_build_object('syncs', count(*) FILTER (WHERE r.is_open))) END,
                   'late', count(*) FILTER (WHERE r.is_open AND r.due_by < warn_of_promises.now),
                   'example', (array_agg(r.outbox_id ORDER BY r.due_by) FILTER (WHERE r.is_open))[1],
                   'due', integration_worker.time_words(min(r.due_by) FILTER (WHERE r.is_open)))) AS note
          FROM (SELECT x.* FROM integration_worker.clocks_at_risk(warn_of_promises.now, most) x
                UNION ALL
                SELECT n.id, NULL, NULL, false
                  FROM integration.incident i
                  JOIN integration.endpoint n ON n.name = i.endpoint
                 WHERE i.error_class = 'sla_at_risk' AND i.resolved_at IS NULL) r
          JOIN integration.endpoint e ON e.id = r.endpoint_id
          LEFT JOIN integration.outbox o ON o.id = r.outbox_id AND r.is_open
         GROUP BY e.name
    LOOP
        IF found.syncs > 0 THEN
            PERFORM integration_worker.open_incident(found.name, 'sla_at_risk', warn_of_promises.now, found.note, found.example);
            UPDATE integration.incident i
               SET (syncs, objects, customers, impact, example, note, last_seen_at)
                   = (found.syncs, found.syncs, found.customers, found.impact, found.example, found.note, warn_of_promises.now)
             WHERE i.endpoint = found.name AND i.error_class = 'sla_at_risk' AND i.resolved_at IS NULL
               AND (i.syncs, i.note) IS DISTINCT FROM (found.syncs, found.note);
        -- Where all that were looked at are finished there may be more that are not.
        ELSIF found.looked_at < most THEN
            PERFORM integration_worker.end_incident(found.name, 'sla_at_risk', warn_of_promises.now);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.warn_of_promises(timestamptz, integer) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.warn_of_promises(timestamptz, integer) IS
    'Opens, keeps up to date, ends the incidents sla_at_risk.';

CREATE FUNCTION integration_worker.watch_sla(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shortest interval := least((SELECT min(c.sla) FROM integration.connector c), (SELECT min(c.sla) FROM integration.customer c));
BEGIN
    PERFORM integration_worker.note_ids(watch_sla.now);
    PERFORM integration_worker.warn_of_promises(watch_sla.now);
    -- A tenth of the time that is left when a promise comes to be at risk.
    RETURN watch_sla.now + CASE WHEN shortest IS NOT NULL THEN greatest(interval '5 s', shortest * 0.02) END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.watch_sla(timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.watch_sla(timestamptz) IS
    'Warns of promises at risk; returns when to look again, sooner where promises are short.';

-- The report.

CREATE VIEW integration.sla_report AS
SELECT CASE r.level WHEN 0 THEN 'connector and customer' WHEN 1 THEN 'connector' WHEN 2 THEN 'customer' ELSE 'all' END AS scope,
       r.month, r.connector, nullif(r.customer, '') AS customer, u.tier,
       coalesce(w.owner, c.owner, u.owner) AS owner,
       r.promised, r.in_time, r.missed, r.missed_by_customer, r.missed_by_vendor,
       r.missed - r.missed_by_customer - r.missed_by_vendor AS missed_by_us,
       round(r.in_time::numeric / nullif(r.promised, 0), 5) AS in_time_share,
       round(1 - r.budget / nullif(r.promised, 0), 5) AS objective,
       round(r.budget, 2) AS budget,
       round(r.budget - r.charged, 2) AS budget_left,
       round(r.charged / nullif(r.budget, 0), 3) AS budget_used,
       round(r.charged_lately / nullif(r.budget_lately, 0), 3) AS burn_rate,
       r.impact_missed
  FROM (SELECT grouping(s.connector, s.customer) AS level, s.month, s.connector, s.customer,
               sum(s.promised) AS promised, sum(s.in_time) AS in_time, sum(s.missed) AS missed,
               sum(s.missed_by_customer) AS missed_by_customer, sum(s.missed_by_vendor) AS missed_by_vendor,
               sum(s.impact_missed) AS impact_missed,
               sum(s.budget) AS budget, sum(s.charged) AS charged,
               sum(s.budget) FILTER (WHERE s.is_recent) AS budget_lately, sum(s.charged) FILTER (WHERE s.is_recent) AS charged_lately
          FROM (SELECT date_trunc('month', d.day)::date AS month, d.connector, d.customer, d.in_time, d.missed,
                       d.missed_by_customer, d.missed_by_vendor, d.impact_missed, d.in_time + d.missed AS promised,
                       (d.in_time + d.missed) * (1 - coalesce(c.objective, 0.9999)) AS budget,
                       d.missed - d.missed_by_customer AS charged,
                       d.day >= (statement_timestamp() AT TIME ZONE 'UTC')::date - 1 AS is_recent
                  FROM integration.sync_count d
                  LEFT JOIN integration.connector c ON c.name = d.connector
                 WHERE d.in_time + d.missed > 0) s
         GROUP BY GROUPING SETS ((s.month, s.connector, s.customer), (s.month, s.connector), (s.month, s.customer), (s.month))) r
  LEFT JOIN integration.connector c ON c.name = r.connector
  LEFT JOIN integration.customer u ON u.name = r.customer
  LEFT JOIN LATERAL integration_worker.ruled_owner(r.connector, NULL, nullif(r.customer, ''), NULL, NULL) w ON true;

COMMENT ON VIEW integration.sla_report IS
    'Promises by month (UTC): for each connector and customer, each connector, each customer, all. Kept for 25 months, a few minutes behind; what ended without a promise isn''t in it.';

COMMENT ON COLUMN integration.sla_report.scope IS 'What the row is about: "connector and customer", "connector", "customer" or "all".';

COMMENT ON COLUMN integration.sla_report.month IS 'The first day of the month in which the syncs were due to be sent.';

COMMENT ON COLUMN integration.sla_report.connector IS 'The product; NULL: the row is about all, or its endpoint has none.';

COMMENT ON COLUMN integration.sla_report.customer IS 'The customer; NULL: the row is about all, or the syncs were nobody''s.';

COMMENT ON COLUMN integration.sla_report.tier IS 'The customer''s tier.';

COMMENT ON COLUMN integration.sla_report.owner IS 'The team, by integration.owner_rule, else the connector''s, the customer''s.';

COMMENT ON COLUMN integration.sla_report.promised IS 'Syncs with a promise that was kept or broken.';

COMMENT ON COLUMN integration.sla_report.in_time IS 'Those that were delivered in time.';

COMMENT ON COLUMN integration.sla_report.missed IS 'Those that were not, finished or not.';

COMMENT ON COLUMN integration.sla_report.missed_by_customer IS 'Those of them whose last failure, or what was wrong with their endpoint, was the customer''s to mend: error_reason.responsible.';

COMMENT ON COLUMN integration.sla_report.missed_by_vendor IS 'Those of them whose last failure, or what was wrong with their endpoint, was the other system''s to mend.';

COMMENT ON COLUMN integration.sla_report.missed_by_us IS 'The others: our own data, settings, network; those that were paused, or waited for nothing but their turn.';

COMMENT ON COLUMN integration.sla_report.in_time_share IS 'in_time of promised, 0 to 1.';

COMMENT ON COLUMN integration.sla_report.objective IS 'The share that should be delivered in time: connector.objective, of several weighted by what was promised.';

COMMENT ON COLUMN integration.sla_report.budget IS 'The error budget: how many of those promised so far may be missed by the objective.';

COMMENT ON COLUMN integration.sla_report.budget_left IS 'What is left of it; what the customer''s own data caused isn''t charged. Below 0: overspent.';

COMMENT ON COLUMN integration.sla_report.budget_used IS 'The used share of it; above 1: overspent.';

COMMENT ON COLUMN integration.sla_report.burn_rate IS 'How fast it is being used today and yesterday: 1 just uses it up, 10 ten times as much. NULL: nothing was promised in these days.';

COMMENT ON COLUMN integration.sla_report.impact_missed IS 'Sum of the impact of what was missed, in the application''s unit.';

-- Which integrations earn their keep: what each brought, what it cost.

INSERT INTO integration.phrase (key, words) VALUES
    ('usage.useless', 'Nothing of what was asked has arrived.'),
    ('usage.unused', 'Nobody has asked for anything.'),
    ('usage.ending', 'It is {status}, and still in use.'),
    ('usage.ended', 'It is {status}, and nobody uses it any more: it can go.'),
    ('usage.troubled', 'It was failing for more than a tenth of the time.');

CREATE FUNCTION integration_worker.usage_since() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN statement_timestamp() - interval '30 days';
REVOKE ALL ON FUNCTION integration_worker.usage_since() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.usage_since() IS
    'Where the time begins that integration.usage looks back on.';

CREATE VIEW integration_worker.usage_member AS
SELECT 'endpoint' AS scope, e.name AS subject, e.name AS endpoint, e.id AS endpoint_id, e.connector
  FROM integration.endpoint e
UNION ALL
SELECT 'connector', c.name, e.name, e.id, c.name
  FROM integration.connector c
  LEFT JOIN integration.endpoint e ON e.connector = c.name;

COMMENT ON VIEW integration_worker.usage_member IS
    'Which endpoints each row of integration.usage is about.';

CREATE VIEW integration_worker.usage_volume AS
SELECT m.scope, m.subject, sum(c.syncs) AS syncs, sum(c.delivered) AS delivered, sum(c.failures) AS failures,
       count(DISTINCT nullif(c.customer, '')) AS customers
  FROM integration.sync_count c
  JOIN integration_worker.usage_member m ON m.endpoint = c.endpoint
 WHERE c.day >= (integration_worker.usage_since() AT TIME ZONE 'UTC')::date
 GROUP BY m.scope, m.subject;

COMMENT ON VIEW integration_worker.usage_volume IS
    'What each endpoint and connector sent lately, for how many.';

-- A deed is about an endpoint, or about a sync of it.  By the index action_at.
CREATE VIEW integration_worker.usage_deeds AS
SELECT m.scope, m.subject, count(*) AS actions
  FROM integration.action a
  LEFT JOIN integration_worker.asked o ON o.id = a.outbox_id AND a.endpoint IS NULL
  JOIN integration_worker.usage_member m ON m.endpoint = coalesce(a.endpoint, o.endpoint)
 WHERE a.at >= integration_worker.usage_since() AND a.actor <> 'integration' AND (a.details ? 'table') IS NOT TRUE
 GROUP BY m.scope, m.subject;

COMMENT ON VIEW integration_worker.usage_deeds IS
    'How often people had to do something about each endpoint and connector lately.';

-- Several problems at a time are one time of trouble.
CREATE VIEW integration_worker.usage_trouble AS
SELECT m.scope, m.subject, count(*) AS incidents,
       integration_worker.length_of(range_agg(integration_worker.period(
           greatest(i.opened_at, integration_worker.usage_since()), coalesce(i.resolved_at, statement_timestamp())))) AS time_failing
  FROM integration.incident i
  JOIN integration_worker.usage_member m ON m.endpoint = i.endpoint
 WHERE i.resolved_at IS NULL OR i.resolved_at >= integration_worker.usage_since()
 GROUP BY m.scope, m.subject;

COMMENT ON VIEW integration_worker.usage_trouble IS
    'How often and how long each endpoint and connector had an incident lately.';

CREATE VIEW integration_worker.usage_state AS
SELECT m.scope, m.subject, m.connector, max(h.last_success_at) AS last_success_at,
       bool_or(EXISTS (SELECT FROM integration.queue q WHERE q.endpoint_id = m.endpoint_id AND q.state <> 'failed')
               OR EXISTS (SELECT FROM integration.queue q WHERE q.endpoint_id = m.endpoint_id AND q.state = 'failed')) AS waiting
  FROM integration_worker.usage_member m
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = m.endpoint_id
 GROUP BY m.scope, m.subject, m.connector;

COMMENT ON VIEW integration_worker.usage_state IS
    'When each endpoint and connector delivered last, whether something waits.';

-- What has been asked just now and is neither counted nor failing stands out by nothing yet.
CREATE FUNCTION integration_worker.usage_finding(status text, asked bigint, arrived boolean, waiting boolean, time_failing interval)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN status <> 'active' AND asked = 0 AND NOT arrived AND NOT waiting THEN 'usage.ended'
                WHEN status <> 'active' THEN 'usage.ending'
                WHEN asked = 0 AND NOT arrived AND NOT waiting THEN 'usage.unused'
                WHEN NOT arrived AND (asked > 0 OR time_failing > interval '1 h') THEN 'usage.useless'
                WHEN time_failing > interval '3 days' THEN 'usage.troubled' END
$$;
REVOKE ALL ON FUNCTION integration_worker.usage_finding(text, bigint, boolean, boolean, interval) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.usage_finding(text, bigint, boolean, boolean, interval) IS
    'The phrase for what stands out about an integration; NULL: nothing does.';

CREATE VIEW integration.usage AS
SELECT s.scope, s.connector, CASE s.scope WHEN 'endpoint' THEN s.subject END AS endpoint,
       coalesce(c.status, 'active') AS status,
       integration_worker.owner_of_scope(s.scope, s.subject) AS owner,
       coalesce(v.syncs, 0)::bigint AS syncs, coalesce(v.delivered, 0)::bigint AS delivered,
       round(v.delivered / nullif(v.syncs, 0), 4) AS delivered_share,
       coalesce(v.failures, 0)::bigint AS failures, coalesce(v.customers, 0) AS customers,
       coalesce(s.waiting, false) AS waiting,
       coalesce(t.incidents, 0) AS incidents, coalesce(t.time_failing, interval '0') AS time_failing,
       coalesce(d.actions, 0) AS actions, s.last_success_at,
       integration_worker.say(
           integration_worker.usage_finding(
               coalesce(c.status, 'active'), coalesce(v.syncs, 0)::bigint,
               coalesce(v.delivered > 0 OR s.last_success_at >= integration_worker.usage_since(), false),
               coalesce(s.waiting, false), t.time_failing),
           jsonb_build_object('status', c.status)) AS finding
  FROM integration_worker.usage_state s
  LEFT JOIN integration_worker.usage_volume v ON v.scope = s.scope AND v.subject = s.subject
  LEFT JOIN integration_worker.usage_trouble t ON t.scope = s.scope AND t.subject = s.subject
  LEFT JOIN integration_worker.usage_deeds d ON d.scope = s.scope AND d.subject = s.subject
  LEFT JOIN integration.connector c ON c.name = s.connector;

COMMENT ON VIEW integration.usage IS
    'What each endpoint and each connector brought within 30 days and what it cost, to keep or drop it on evidence. Counts are a few minutes behind.';

COMMENT ON COLUMN integration.usage.scope IS 'What the row is about: endpoint, or connector (all its endpoints together).';

COMMENT ON COLUMN integration.usage.connector IS 'The product; NULL: the endpoint has none.';

COMMENT ON COLUMN integration.usage.endpoint IS 'The endpoint; NULL: the row is about a connector.';

COMMENT ON COLUMN integration.usage.status IS 'Where the connector is in its life: active, deprecated or retired.';

COMMENT ON COLUMN integration.usage.owner IS 'The team, by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.';

COMMENT ON COLUMN integration.usage.syncs IS 'Syncs that came to an end.';

COMMENT ON COLUMN integration.usage.delivered IS 'Those of them that arrived.';

COMMENT ON COLUMN integration.usage.delivered_share IS 'Which share of them that is, 0 to 1; NULL: there were none.';

COMMENT ON COLUMN integration.usage.failures IS 'Failed attempts at them.';

COMMENT ON COLUMN integration.usage.customers IS 'Different customers among them.';

COMMENT ON COLUMN integration.usage.waiting IS 'Something is not finished right now.';

COMMENT ON COLUMN integration.usage.incidents IS 'Incidents that were open.';

COMMENT ON COLUMN integration.usage.time_failing IS 'How long at least one was.';

COMMENT ON COLUMN integration.usage.actions IS 'How often people did something about it: retry, amend, pause, acknowledge, …; changes of tables aside.';

COMMENT ON COLUMN integration.usage.last_success_at IS 'Its last delivery ever, to ten seconds.';

COMMENT ON COLUMN integration.usage.finding IS 'What stands out, in words; NULL: nothing does.';

-- From here on texts are the user's own: a dump takes those along.

ALTER TABLE integration.phrase ALTER COLUMN shipped SET DEFAULT false;

ALTER TABLE integration.remedy ALTER COLUMN shipped SET DEFAULT false;

ALTER TABLE integration.runbook_step ALTER COLUMN shipped SET DEFAULT false;

ALTER TABLE integration.notice_text ALTER COLUMN shipped SET DEFAULT false;

ALTER TABLE integration.version_header ALTER COLUMN shipped SET DEFAULT false;

CREATE TRIGGER own_phrase BEFORE INSERT OR UPDATE ON integration.phrase
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'key');

CREATE TRIGGER own_remedy BEFORE INSERT OR UPDATE ON integration.remedy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'audience', 'error_class', 'reason');

CREATE TRIGGER own_runbook_step BEFORE INSERT OR UPDATE ON integration.runbook_step
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'error_class', 'position');

CREATE TRIGGER own_notice_text BEFORE INSERT OR UPDATE ON integration.notice_text
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'change');

CREATE TRIGGER own_version_header BEFORE INSERT OR UPDATE ON integration.version_header
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('name');

-- Who may do what: the only part that grants anything.

-- The matrix; each level of people holds what the level above it in this list holds; producers, customers stand alone.
-- What the views call has to be granted too, but without USAGE of its schema nobody calls it by name.
CREATE OR REPLACE FUNCTION integration_worker.privileges()
    RETURNS TABLE (level text, privilege text, object text)
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
        ('producer', 'USAGE', 'SCHEMA integration'),
        ('producer', 'INSERT (endpoint, object_type, object_id, operation, payload, headers, customer, ordering_key, '
                     'dedup_key, priority, impact, send_after, expires_at, traceparent, triggered_by, trigger_ref, '
                     'created_at, enqueued_by, enqueued_from, replay_of, tracestate)', 'integration.outbox'),
        ('producer', 'SELECT (id)', 'integration.outbox'),
        ('producer', 'EXECUTE', 'FUNCTION integration.verify_signature(bytea, jsonb, text, interval)'),
        ('producer', 'EXECUTE', 'FUNCTION integration.verify_signature(text, jsonb, text, interval)'),

        ('customer', 'USAGE', 'SCHEMA integration'),
        ('customer', 'SELECT', 'integration.customer_sync'),
        ('customer', 'SELECT', 'integration.customer_object'),
        ('customer', 'SELECT', 'integration_worker.own_customer'),
        ('customer', 'EXECUTE', 'FUNCTION integration.retry(bigint, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.retry_as(bigint, text, name, text[])'),
        ('customer', 'EXECUTE', 'FUNCTION integration.fields_to_correct(bigint)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.fields_for(bigint, boolean, text[])'),
        ('customer', 'EXECUTE', 'FUNCTION integration.status_page(text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.page_for(text, boolean, text[])'),
        ('customer', 'EXECUTE', 'FUNCTION integration.customer_status(text, text, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_told(text[], text, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_vocabulary(text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_status_of(text, boolean, text, boolean)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_class(text, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.held_class(integer, text)'),

        ('support', 'USAGE', 'SCHEMA integration'),
        -- By column: who may update a whole view may lock all that is below it, and stop the sender so.
        ('support', 'SELECT, UPDATE (state)', 'integration.sync'),
        ('support', 'SELECT, UPDATE (state)', 'integration.failed'),
        ('support', 'SELECT', 'integration.object_status'),
        ('support', 'SELECT', 'integration.endpoint_status'),
        ('support', 'SELECT', 'integration.worker_status'),
        ('support', 'SELECT', 'integration.endpoint_config'),
        ('support', 'SELECT', 'integration.enqueue_limit'),
        ('support', 'SELECT', 'integration.enqueue_limit_status'),
        ('support', 'SELECT', 'integration.connector'),
        ('support', 'SELECT', 'integration.endpoint'),
        ('support', 'SELECT', 'integration.customer'),
        ('support', 'SELECT', 'integration.owner_rule'),
        ('support', 'SELECT', 'integration.sync_count'),
        ('support', 'SELECT', 'integration.sla_report'),
        ('support', 'SELECT', 'integration.usage'),
        ('support', 'SELECT', 'integration.retry_policy'),
        ('support', 'SELECT', 'integration.error_class'),
        ('support', 'SELECT', 'integration.error_reason'),
        ('support', 'SELECT', 'integration.error_rule'),
        ('support', 'SELECT', 'integration.sync_payload'),
        ('support', 'SELECT', 'integration.sync_attempt'),
        ('support', 'SELECT', 'integration.customer_grant'),
        ('support', 'SELECT', 'integration_worker.own_customer'),
        -- All but what endpoint.mask may hide a part of: sync_payload and sync_attempt show that.
        ('support', 'SELECT (id, endpoint, object_type, object_id, operation, headers, customer, ordering_key, dedup_key, '
                    'priority, impact, send_after, expires_at, traceparent, triggered_by, trigger_ref, created_at, '
                    'enqueued_by, enqueued_from, replay_of, tracestate)', 'integration.outbox'),
        ('support', 'SELECT', 'integration.queue'),
        ('support', 'SELECT', 'integration.closing'),
        ('support', 'SELECT (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, dns_ms, connect_ms, tls_ms, '
                    'first_byte_ms, outcome, reason, error_class, http_status, error, request_url, remote_address, '
                    'trace_id, span_id, next_attempt_at, api_version)', 'integration.attempt'),
        ('support', 'SELECT', 'integration.sync_status'),
        ('support', 'SELECT', 'integration.endpoint_health'),
        ('support', 'SELECT', 'integration.event'),
        ('support', 'SELECT', 'integration.incident'),
        ('support', 'SELECT', 'integration.incident_status'),
        ('support', 'SELECT', 'integration.phrase'),
        ('support', 'SELECT', 'integration.remedy'),
        ('support', 'SELECT', 'integration.what_helps'),
        ('support', 'SELECT', 'integration.runbook_step'),
        ('support', 'SELECT (endpoint, format, severity, owner, customer, changes, locale, at_once, digest_every, audience)',
                    'integration.notice_endpoint'),
        ('support', 'SELECT', 'integration.notice_text'),
        ('support', 'SELECT', 'integration.escalation_level'),
        ('support', 'SELECT', 'integration.heartbeat'),
        ('support', 'EXECUTE', 'FUNCTION integration.health()'),
        ('support', 'SELECT', 'integration.notice'),
        ('support', 'SELECT', 'integration.telemetry'),
        ('support', 'SELECT', 'integration.pause'),
        ('support', 'SELECT', 'integration.pause_status'),
        ('support', 'SELECT', 'integration.interface_status'),
        ('support', 'SELECT', 'integration.version_header'),
        ('support', 'SELECT', 'integration.action'),
        ('support', 'SELECT', 'integration.action_log'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.state_after(text)'),
        ('support', 'SELECT', 'integration.bulk_progress'),
        ('support', 'EXECUTE', 'FUNCTION integration.verify_signature(bytea, jsonb, text, interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration.verify_signature(text, jsonb, text, interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration.why(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.customer_status(text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.customer_told(text[], text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.sla_clock(bigint, timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration.timeline(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.preview(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.as_curl(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.fields_to_correct(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.fields_for(bigint, boolean, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.curl_of(text, text, text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.request_of(bigint, boolean)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.masked(jsonb, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.masked_answer(text, text[], jsonb)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.as_json(text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.retry(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.retry_as(bigint, text, name, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration.cancel(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.amend(bigint, jsonb, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.runbook(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.acknowledge(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.assign(bigint, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.snooze(bigint, timestamptz, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.reopen(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.resolve(bigint, text, boolean)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.what_worked()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.translated(text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.remedies(text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.remedies_when_failed()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.failed_count(text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.say(text, jsonb, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.usage_since()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.usage_finding(text, bigint, boolean, boolean, interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.length_of(tstzmultirange)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.period(timestamptz, timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.ruled_owner(text, text, text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.advice(text, text, text, integration.error_reason)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.owner_of(integer, text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.owner_of_scope(text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.time_words(timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.duration_words(interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.held_by(text, timestamptz, boolean, text, timestamptz, '
                               'timestamptz, bigint, timestamptz, integer, integer)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.incident_state(text, timestamptz, timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.pause_holds(text, text, text, text, text[])'),
        ('support', 'SELECT', 'integration.traffic'),
        ('support', 'SELECT', 'integration.endpoint_traffic'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.traffic_since(timestamptz, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.durations_at(double precision[], integer[], bigint[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.sparkline(integer[], bigint[], bigint[])'),
        ('support', 'EXECUTE', 'FUNCTION integration.endpoint_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.attempt_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.incident_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.health_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.worker_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.prometheus()'),
        ('support', 'EXECUTE', 'FUNCTION integration.status_page(text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.page_for(text, boolean, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.queued_of(integer, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_syncs()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_endpoints()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_workers()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_progress()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.enqueue_usage()'),

        ('operator', 'EXECUTE', 'FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text, boolean)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.cancel_where(text, text, timestamptz, timestamptz, text, text, boolean, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.amend_where(jsonb, text, text, timestamptz, timestamptz, text, text, boolean)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.replay(bigint, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.replay(text, timestamptz, timestamptz, text, boolean)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.pause(text, text, text, timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.resume(text, text, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.ping(text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.ignore(bigint, text)'),
        -- How fast and how patient; not where to, nor with which credential.
        ('operator', 'UPDATE (max_concurrency, rate_limit, rate_burst, connect_timeout, timeout, retry_policy)',
                     'integration.endpoint'),
        ('operator', 'UPDATE (max_concurrency, rate_limit, rate_burst, connect_timeout, timeout, retry_policy)',
                     'integration.connector'),

        ('administrator', 'SELECT', 'integration.outbox'),
        ('administrator', 'SELECT', 'integration.attempt'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.connector'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.endpoint'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.customer'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.owner_rule'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.enqueue_limit'),
        ('administrator', 'SELECT, INSERT, UPDATE, DELETE', 'integration.credential'),
        ('administrator', 'SELECT', 'integration.secret_status'),
        ('administrator', 'EXECUTE', 'FUNCTION integration_worker.secret_states()'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.set_secret(text, text, timestamptz)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.forget_secret(text, integer)'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.retry_policy'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.error_rule'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.phrase'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.remedy'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.runbook_step'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.version_header'),
        ('administrator', 'SELECT, INSERT, UPDATE, DELETE', 'integration.notice_endpoint'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.notice_text'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.escalation_level'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.heartbeat'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.error_class'),
        ('administrator', 'UPDATE', 'integration.error_reason'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.new_signing_key(text)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.public_signing_key(text)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.adopt(text)')
$$;

CREATE OR REPLACE FUNCTION integration_worker.grant_levels(levels text[], grantee regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    granted record;
BEGIN
    FOR granted IN SELECT p.privilege, p.object FROM integration_worker.privileges() p WHERE p.level = ANY (levels) LOOP
        EXECUTE format('GRANT %s ON %s TO %I', granted.privilege, granted.object,
                       (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid = grantee));
    END LOOP;
    INSERT INTO integration.action (verb, details)
    VALUES ('grant', jsonb_build_object('role', grantee, 'levels', levels));
END
$$;

COMMENT ON FUNCTION integration.grant_producer(regrole) IS
    'Lets a role of an application insert into the outbox, learn the ids, verify signatures, nothing else.';

COMMENT ON FUNCTION integration.grant_support(regrole) IS
    'Lets a role see every sync with its payload and answers but for what endpoint.mask hides, retry, cancel or amend single ones.';

COMMENT ON FUNCTION integration.grant_administrator(regrole) IS
    'What operators may do, and: change connectors, endpoints, credentials, retry policies, the reading of errors, enqueue limits; see what masks hide; let a copy take over.';

CREATE FUNCTION integration.grant_customer(role regrole, customer text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF coalesce(btrim(grant_customer.customer), '') = '' OR octet_length(grant_customer.customer) > 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a grant to a customer''s role needs the customer''s name',
            HINT = 'Write the name as it stands in outbox.customer or endpoint.customer, up to 1000 bytes.';
    END IF;
    -- What a role of old lost by DROP OWNED must not come back with this grant.
    DELETE FROM integration.customer_grant g
     WHERE NOT EXISTS (SELECT
                         FROM pg_catalog.pg_class c
                        CROSS JOIN LATERAL aclexplode(c.relacl) a
                        WHERE c.oid = 'integration.customer_sync'::regclass AND a.grantee = g.role);
    PERFORM integration_worker.grant_levels('{customer}', grant_customer.role);
    INSERT INTO integration.customer_grant (role, customer)
    VALUES (grant_customer.role, grant_customer.customer)
        ON CONFLICT DO NOTHING;
    IF has_table_privilege(grant_customer.role, 'integration.sync', 'SELECT') THEN
        RAISE NOTICE '%', integration_worker.say('grant.sees_all', jsonb_build_object('role', grant_customer.role::text));
    END IF;
    IF NOT EXISTS (SELECT FROM integration.customer c WHERE c.name = grant_customer.customer)
       AND NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.customer = grant_customer.customer)
       AND NOT EXISTS (SELECT FROM integration.outbox o WHERE o.customer = grant_customer.customer) THEN
        RAISE NOTICE '%', integration_worker.say('grant.no_customer', jsonb_build_object('customer', grant_customer.customer));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION integration.grant_customer(regrole, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.grant_customer(regrole, text) IS
    'Lets a role, whose members inherit it, see the syncs and objects of a customer in plain words, retry what failed, nothing else. A role may have several customers.';

CREATE FUNCTION integration.revoke(role regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    kind text;
    grantee name := (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid = revoke.role);
BEGIN
    DELETE FROM integration.customer_grant g WHERE g.role = revoke.role;
    IF grantee IS NULL AND NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('role %s does not exist', revoke.role),
            HINT = 'What a role was granted ends when it is dropped.';
    END IF;
    IF grantee IS NOT NULL THEN
        FOREACH kind IN ARRAY ARRAY['TABLES', 'SEQUENCES', 'FUNCTIONS'] LOOP
            EXECUTE format('REVOKE ALL ON ALL %s IN SCHEMA integration, integration_worker FROM %I', kind, grantee);
        END LOOP;
        EXECUTE format('REVOKE ALL ON SCHEMA integration, integration_worker FROM %I', grantee);
    END IF;
    INSERT INTO integration.action (verb, details) VALUES ('revoke', jsonb_build_object('role', revoke.role));
END
$$;
REVOKE ALL ON FUNCTION integration.revoke(regrole) FROM PUBLIC;

COMMENT ON FUNCTION integration.revoke(regrole) IS
    'Takes back whatever a role was granted here, by any of the grant functions or by hand; what it inherits from other roles stays.';

CREATE FUNCTION integration.revoke_customer(role regrole, customer text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    DELETE FROM integration.customer_grant g
     WHERE g.role = revoke_customer.role AND g.customer = revoke_customer.customer;
    IF NOT FOUND THEN
        RAISE NOTICE '%', integration_worker.say('revoke.not_granted', jsonb_build_object(
            'role', revoke_customer.role::text, 'customer', revoke_customer.customer));
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM integration.customer_grant g WHERE g.role = revoke_customer.role)
       OR has_table_privilege(revoke_customer.role, 'integration.sync', 'SELECT')
       OR has_any_column_privilege(revoke_customer.role, 'integration.outbox', 'INSERT') THEN
        RETURN;
    END IF;
    PERFORM integration.revoke(revoke_customer.role);
END
$$;
REVOKE ALL ON FUNCTION integration.revoke_customer(regrole, text) FROM PUBLIC;

COMMENT ON FUNCTION integration.revoke_customer(regrole, text) IS
    'Takes back what grant_customer() gave; with the last customer also the right to ask.';

-- By hand: DO $$

-- Which tables are on record: all that anybody is granted to write, so that a new one is from its first day.

DO $$
DECLARE
    written record;
BEGIN
    FOR written IN
        SELECT c.oid::regclass AS name,
               ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)) AS key,
               -- Values that support, who may read the record, may not read in the table.
               CASE c.relname WHEN 'secret' THEN '{sealed}'
                              WHEN 'credential' THEN '{settings}'
                              WHEN 'notice_endpoint' THEN '{routing_key}'
                              ELSE '{}' END AS hidden
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
         WHERE c.relnamespace = 'integration'::regnamespace
           AND c.relkind = 'r'
           AND (c.relname IN ('secret', 'customer_grant')
                OR c.oid IN (SELECT to_regclass(p.object)
                               FROM integration_worker.privileges() p
                              WHERE p.level <> 'producer' AND p.privilege ~ 'INSERT|UPDATE|DELETE'))
    LOOP
        EXECUTE format('CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION integration_worker.record_change(%L, %L)',
                       written.name, written.key, written.hidden);
    END LOOP;
END
$$;

SELECT pg_extension_config_dump('integration.phrase', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.remedy', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.runbook_step', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.version_header', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.customer', '');

SELECT pg_extension_config_dump('integration.owner_rule', '');

SELECT pg_extension_config_dump('integration.owner_rule_id_seq', '');

SELECT pg_extension_config_dump('integration.enqueue_limit', '');

-- By the names that its roles have then, which must exist where it is restored; what a dropped role left is a mere number.
SELECT pg_extension_config_dump('integration.customer_grant', 'WHERE role::oid IN (SELECT r.oid FROM pg_catalog.pg_roles r)');

SELECT pg_extension_config_dump('integration.sync_count', '');

SELECT pg_extension_config_dump('integration_worker.uncounted', '');

SELECT pg_extension_config_dump('integration_worker.count_progress', '');

-- What the worker says about a copy holds for that copy alone; another one is told anew.
SELECT pg_extension_config_dump('integration.incident', 'WHERE id <> 0');

SELECT pg_extension_config_dump('integration.notice_endpoint', '');

SELECT pg_extension_config_dump('integration.notice_text', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.escalation_level', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.heartbeat', '');

SELECT pg_extension_config_dump('integration.notice', '');

SELECT pg_extension_config_dump('integration.notice_id_seq', '');

SELECT pg_extension_config_dump('integration.pause', $$WHERE (scope, name) <> ('all', 'copied_database')$$);

SELECT pg_extension_config_dump('integration.telemetry', '');

-- Written by test/upgrade/draft up to here.

COMMENT ON COLUMN integration.endpoint_config.certificate IS
    'A credential of kind client_certificate: what connections show, whom they trust, beside what requests authenticate with.';

SELECT integration_worker.recall_attempts(ARRAY(SELECT q.outbox_id FROM integration.queue q WHERE q.attempts > 0));

-- It sent until now, so it is no copy.
UPDATE integration.installation
   SET fingerprint = CASE WHEN EXISTS (SELECT FROM integration.endpoint) THEN integration_worker.fingerprint()
                          ELSE '{}'::jsonb END;

-- The view says of a column what the table says.
DO $$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT a.attname AS name, col_description('integration.endpoint'::regclass, a.attnum) AS meaning
          FROM pg_attribute a
         WHERE a.attrelid = 'integration.endpoint'::regclass
           AND a.attname IN ('format', 'mask', 'refusals_alike', 'idempotency_key_style')
    LOOP
        EXECUTE format('COMMENT ON COLUMN integration.endpoint_config.%I IS %L', col.name, col.meaning);
    END LOOP;
END
$$;
