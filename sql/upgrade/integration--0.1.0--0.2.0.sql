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
ALTER TABLE integration.endpoint_health
    ADD COLUMN failing_since timestamptz,
    ADD COLUMN stopped_for text;
ALTER TYPE integration_worker.standing ADD ATTRIBUTE stopped_for text;
ALTER TABLE integration.error_reason ADD COLUMN pauses boolean NOT NULL DEFAULT false;

ALTER TABLE integration.connector
    ADD COLUMN certificate text REFERENCES integration.credential ON UPDATE CASCADE,
    ADD COLUMN mask text[],
    ADD COLUMN status text NOT NULL DEFAULT 'active',
    ADD COLUMN api_version text,
    ADD COLUMN objective numeric NOT NULL DEFAULT 0.9999,
    ADD COLUMN escalation text,
    ADD COLUMN refusals_alike integer;
ALTER TABLE integration.endpoint
    ADD COLUMN certificate text REFERENCES integration.credential ON UPDATE CASCADE,
    ADD COLUMN mask text[],
    ADD COLUMN expected_every interval,
    ADD COLUMN expected_at_least integer,
    ADD COLUMN expected_since timestamptz,
    ADD COLUMN escalation text,
    ADD COLUMN refusals_alike integer;

ALTER TABLE integration.attempt ADD COLUMN api_version text;

ALTER TABLE integration.outbox ADD COLUMN tracestate text DEFAULT nullif(current_setting('integration.tracestate', true), '');
CREATE INDEX action_switch ON integration.action (at) WHERE verb IN ('pause', 'resume');

ALTER TABLE integration.queue
    ADD COLUMN limited_customer text COLLATE "C",
    ADD COLUMN limited_role text COLLATE "C";

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
    ('interface_ending', 'The interface is about to end',
     'Read what the other side has announced, plan the change to what replaces it, and finish before the date.',
     'The other system is changing its interface. We are preparing for it.', 'engineering', true, true),
    ('design_fault', 'Refused whatever is sent',
     'Many different records were refused alike and none was accepted: correct the mapping, not the records, then resume the endpoint.',
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
    ('blocked_private_address', 'internal', 'blocked_private_address', 'address policy', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'The address leads to a protected internal network and was blocked on purpose; use another address, or have a superuser add its range to integration.allowed_networks.', NULL, true),
    ('blocked_scheme', 'internal', 'blocked_scheme', 'plain http not allowed', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'Only secure addresses are allowed; use an address that starts with https, or have a superuser set allow_http of the endpoint.', NULL, true),
    ('blocked_port', 'internal', 'blocked_port', 'port not allowed', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'blocked_by_policy', 'The connection uses a port that is not allowed; use another one, or have a superuser add it to integration.allowed_ports.', NULL, true),
    ('blocked_host', 'internal', 'blocked_host', 'host not on the allow list', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'blocked_by_policy', 'The receiver is not on the list of allowed hosts; use another one, or have a superuser add it to integration.allowed_hosts.', NULL, true)
    ON CONFLICT (reason) DO UPDATE SET remedy = excluded.remedy WHERE error_reason.shipped;
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

DROP FUNCTION integration_worker.mark(bigint[], xid8[]);

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

COMMENT ON COLUMN integration.connector.mask IS 'Default for endpoint.mask.';

-- By hand: TABLE integration.endpoint

COMMENT ON COLUMN integration.endpoint.certificate IS
    'A credential of kind client_certificate: what connections show, whom they trust, beside what requests authenticate with.';

COMMENT ON COLUMN integration.endpoint.mask IS
    'Paths to members of payloads, such as {$.iban,$.lines[*].price,$.**.password}, that only administrators see; support and operators see ***. {}: none.';

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
                       ('mask', e.mask IS NOT NULL, c.mask IS NOT NULL)
               ) AS s (setting, own, inherited)) AS sources,
       coalesce(e.mask, c.mask, '{}') AS mask,
       coalesce(e.certificate, c.certificate) AS certificate
  FROM integration.endpoint e
  LEFT JOIN integration.connector c ON c.name = e.connector;

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
       SET (title, remedy, customer_message) = (NEW.title, NEW.remedy, NEW.customer_message)
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
            MESSAGE = 'a rule that says delivered can''t be retryable',
            HINT = 'Leave retryable out, or write an error class.';
    END IF;
    IF NEW.error_class IN ('success', 'cancelled', 'expired', 'deferred') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('error class "%s" can''t be the result of a rule', NEW.error_class),
            HINT = 'Write delivered for a success, or the class of a failure.';
    END IF;
    IF NEW.endpoint IS NOT NULL AND NEW.connector IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule is either for an endpoint or for a connector',
            HINT = 'Leave one of the two out; leave both out for all endpoints.';
    END IF;
    IF NOT restoring THEN
        PERFORM integration_worker.check_rule_target(NEW);
    END IF;
    PERFORM integration_worker.check_rule_condition(NEW);
    RETURN NEW;
END
$$;

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

-- By hand: INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,

-- By hand: INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,

-- By hand: INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,

CREATE OR REPLACE TRIGGER own_text BEFORE INSERT ON integration.error_class
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_error_class();

CREATE TRIGGER own_text_changed BEFORE UPDATE ON integration.error_class
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row();

CREATE OR REPLACE TRIGGER own_text BEFORE INSERT OR UPDATE ON integration.error_reason
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('reason');

-- Serves customer_sync, customer_object: what belongs to a customer.
CREATE INDEX outbox_default_customer ON integration.outbox_default (customer, id) WHERE customer IS NOT NULL;

-- By hand: TABLE integration.queue

-- Serve backlog_count() in C and the view enqueue_limit_status: the backlogs that have a limit.
CREATE INDEX queue_customer ON integration.queue (limited_customer) WHERE limited_customer IS NOT NULL;

CREATE INDEX queue_role ON integration.queue (limited_role) WHERE limited_role IS NOT NULL;

COMMENT ON COLUMN integration.queue.limited_customer IS
    'The customer to whose max_backlog it counts; NULL: there was no such limit when it was enqueued.';

COMMENT ON COLUMN integration.queue.limited_role IS
    'The role to whose max_backlog it counts; NULL: there was no such limit when it was enqueued.';

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

COMMENT ON COLUMN integration.pause.name IS 'Which one; empty for all, unless the database is a copy (copied_database).';

DROP INDEX integration.action_outbox;

-- Serves timeline(), and retention, which asks what was touched since.
CREATE INDEX action_outbox ON integration.action (outbox_id, at) WHERE outbox_id IS NOT NULL;

-- Serves the end of an incident, which asks what people did while it was open.
CREATE INDEX action_at ON integration.action (at);

COMMENT ON COLUMN integration.action.verb IS 'retry, cancel, amend, pause, resume, replay, ping, adopt; of incidents acknowledge, assign, snooze, ignore, reopen, resolve.';

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

COMMENT ON FUNCTION integration_worker.url_problem(text, boolean) IS
    'May this URL be called, an endpoint''s or a token''s? What is wrong with it as a sentence, which names the setting if it is policy; NULL: nothing.';

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

CREATE FUNCTION integration_worker.copy_words(adopted jsonb, present jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN 'dump' = ANY (d.kinds) THEN 'it was restored from a dump'
                WHEN 'system' = ANY (d.kinds) THEN 'it came from another cluster, by a dump or pg_upgrade'
                WHEN 'database' = ANY (d.kinds) THEN 'it was made from another database as its template'
                WHEN 'environment' = ANY (d.kinds) THEN
                     format('it sent in environment "%s", and this is "%s" (integration.environment)',
                            adopted ->> 'environment', present ->> 'environment')
                WHEN d.kinds = '{timeline}' THEN 'it was restored to an earlier point in time'
                WHEN d.kinds <> '{}' THEN
                     'its data directory is a copy, or was moved'
                     || CASE WHEN 'machine' = ANY (d.kinds) THEN ' to another machine' ELSE '' END END
      FROM (SELECT integration_worker.differences(adopted, present) AS kinds) d
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
    advice text := format('This database is a copy: %s. If it takes over from the original, run SELECT integration.adopt(); '
                          'if the original still sends, leave it as it is.', words);
BEGIN
    -- Also a statement that inserts nothing would wake the worker, which would look again.
    IF NOT integration_worker.is_held_as_copy() THEN
        INSERT INTO integration.pause (scope, name, reason, actor)
        VALUES ('all', 'copied_database', 'copied_database', 'integration worker')
            ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO integration.incident AS i (id, endpoint, error_class, severity, responsible, remedy)
    OVERRIDING SYSTEM VALUE
    VALUES (0, '', 'copied_database', 1, 'operations', advice)
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
        RAISE NOTICE 'this database is no copy: it sends already';
        RETURN 0;
    END IF;
    PERFORM integration_worker.check_references(true);
    PERFORM pg_current_xact_id();
    PERFORM integration_worker.renew_foreign_ids();
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
     UNION ALL
    SELECT n.col, format('Credential "%s" does not exist.', n.name),
           'Insert it into integration.credential first, or correct the name.'
      FROM (VALUES ('credential', NEW.credential), ('signing', NEW.signing), ('certificate', NEW.certificate)) AS n (col, name)
     WHERE n.name IS NOT NULL AND NOT restoring
       AND NOT EXISTS (SELECT FROM integration.credential c WHERE c.name = n.name)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = CASE WHEN broken.problem LIKE '% does not exist.' THEN 'foreign_key_violation' ELSE 'check_violation' END,
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of %s "%s" can''t be used', broken.col, TG_TABLE_NAME, NEW.name),
            DETAIL = broken.problem,
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;

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
            MESSAGE = format('url of endpoint "%s" can''t be called', NEW.name),
            DETAIL = problem,
            HINT = CASE WHEN problem LIKE 'Plain http%'
                        THEN 'Write an address with https, or have a superuser set allow_http.'
                        ELSE integration_worker.url_hint(
                            problem, 'Write an address such as ''https://api.example.com/orders/{object_id}''.') END;
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
        MESSAGE = 'retry policy "standard" can''t be removed or renamed',
        DETAIL = 'Every endpoint without a retry_policy uses it.',
        HINT = 'Change its schedule, or add a policy of your own and name it in endpoint.retry_policy.';
END
$$;

-- Last by name: only a row that passed the checks replaces another.
CREATE OR REPLACE TRIGGER own_policy BEFORE INSERT OR UPDATE ON integration.retry_policy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('name');

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

-- A stopped endpoint waits for somebody to act; a change of what it is called with is such an act.
CREATE OR REPLACE FUNCTION integration_worker.probe_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given jsonb := to_jsonb(NEW);
    changed text := CASE TG_TABLE_NAME WHEN 'secret' THEN given ->> 'credential' ELSE given ->> 'name' END;
BEGIN
    -- What tripped it is no suspect any more: it may well have been what was changed.
    UPDATE integration.endpoint_health h
       SET open_until = least(h.open_until, now()), tripped_by = NULL
      FROM integration.endpoint_config c
     WHERE h.endpoint_id = c.id
       AND h.state = 'stopped'
       AND CASE TG_TABLE_NAME
           WHEN 'endpoint' THEN c.name = changed
           WHEN 'connector' THEN c.connector = changed
           WHEN 'error_rule' THEN coalesce(given ->> 'endpoint', c.name) = c.name
                                  AND (given ->> 'connector' IS NULL OR given ->> 'connector' = c.connector)
           ELSE changed IN (c.credential, c.signing, c.certificate) END;
    RETURN NULL;
END
$$;

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
            MESSAGE = format('kind of credential "%s" can''t be changed', NEW.name),
            DETAIL = 'Its secrets, and what refers to it, are of the kind that it has.',
            HINT = 'Insert another credential, refer to that one.';
    END IF;
    IF NEW.kind <> ALL ('{basic,bearer,header,oauth2_client_credentials,aws_sigv4,client_certificate,signing}') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'kind',
            MESSAGE = format('kind of credential "%s" can''t be used', NEW.name),
            DETAIL = format('It is %s.', NEW.kind),
            HINT = 'Write basic, bearer, header, oauth2_client_credentials, aws_sigv4, client_certificate or signing.';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'settings',
            MESSAGE = format('settings of credential "%s" can''t be used', NEW.name),
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
        MESSAGE = format('secret of credential "%s" can''t be changed', OLD.credential),
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
            MESSAGE = 'value can''t be the reference of a secret',
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
       s.certificate_expires_at
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
        SELECT 'Endpoints are: ' || string_agg(format('"%s"', e.name), ', ' ORDER BY e.name) || '.' INTO detail
          FROM (SELECT x.name FROM integration.endpoint x ORDER BY x.name LIMIT 10) e;
        detail := coalesce(detail, 'There is no endpoint yet.');
        hint := 'Insert a row into integration.endpoint first, or correct the name.';
    ELSIF refusal.id > integration_worker.last_id() THEN
        code := '428C9';
        message := format('the id of a sync is given by the outbox, not by the insert (id %s)', refusal.id);
        hint := 'Leave the column id out and read it with RETURNING id. A dump is restored without --load-via-partition-root.';
    ELSIF refusal.enqueued_by <> session_user THEN
        code := '428C9';
        message := format('enqueued_by of a sync to endpoint "%s" can''t be "%s"', target.name, refusal.enqueued_by);
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
        message := format('headers of a sync to endpoint "%s" can''t be sent', target.name);
        detail := integration_worker.header_problem(refusal.headers);
        hint := 'Write a JSON object of names and values, such as {"X-Request-Source": "shop"}.';
    ELSIF refusal.operation <> 'ping' AND target.payload_check IS NOT NULL AND (refusal.payload @@ target.payload_check) IS NOT TRUE THEN
        code := '23514';
        message := format('payload is refused by the payload_check of endpoint "%s"', target.name);
        detail := format('The check is %s.', target.payload_check);
        hint := 'Correct the payload, or the payload_check of the endpoint or its connector.';
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
            MESSAGE = format('%s of an enqueue limit can''t be used', broken.col),
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
       coalesce(k.refused, 0) AS refused, k.refused_at AS last_refused_at
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

-- What the worker reads: the registry, what is new, what is due.

-- By the index endpoint_id_key, a bite at a time: all of ten thousand endpoints at once would stall the sender.
CREATE FUNCTION integration_worker.endpoints(after_id integer DEFAULT 0, most integer DEFAULT 2147483647)
    RETURNS TABLE (id integer, name text, url text, method text, headers text, format text,
                   connect_timeout_ms integer, timeout_ms integer, max_concurrency integer,
                   rate_limit double precision, rate_burst integer,
                   idempotent boolean, allow_http boolean, credential text, signing text, certificate text,
                   paused_until timestamptz, not_before timestamptz, state text, failures integer, tripped_by bigint,
                   since timestamptz)
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
           greatest(CASE WHEN h.state <> 'closed' THEN h.open_until END, h.retry_after_until),
           coalesce(h.state, 'closed'), coalesce(h.failures, 0), h.tripped_by, h.since
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
-- what would walk all of it when it is full is switched off here; a condition written as coalesce(state, '') keeps
-- the indexes away that are for rows that have not failed.

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
    (SELECT NULL, q.outbox_id, q.endpoint_id, q.priority, q.due_at, q.expires_at, q.change_xid,
            hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id))
       FROM unnest(first_xids, end_xids) AS e (first_xid, end_xid)
      CROSS JOIN LATERAL (
            SELECT x.*
              FROM integration.queue x
             WHERE x.change_xid >= e.first_xid
               AND x.change_xid < e.end_xid
               AND coalesce(x.state, '') <> 'failed'
               AND shards & (1 << x.endpoint_id % 16) <> 0
             ORDER BY x.change_xid, x.endpoint_id, x.due_at, x.outbox_id + 0
             LIMIT most) q
      LIMIT most);
END
$$;

COMMENT ON FUNCTION integration_worker.feed(pg_snapshot, integer, integer) IS
    'Queue rows that became worth looking at since the previous snapshot, at most so many; the first row carries the snapshot for the next call.';

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
                      AND coalesce(q.state, '') <> 'failed'
                      AND shards & (1 << q.endpoint_id % 16) <> 0
                    ORDER BY q.change_xid, q.endpoint_id, q.due_at, q.outbox_id + 0
                    LIMIT group_rows) t ON true;
        END LOOP;
        EXIT WHEN groups <= 0;
    END LOOP;
END
$$;

-- What a clock that is set back leaves in the queue.

CREATE FUNCTION integration_worker.was_set_back() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT o.created_at FROM integration.outbox o ORDER BY o.id DESC LIMIT 1)
                    > clock_timestamp() + interval '1 s', false)
$$;
REVOKE ALL ON FUNCTION integration_worker.was_set_back() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.was_set_back() IS
    'Is the newest sync one of the future?';

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
               CASE WHEN q.attempts > 0
                    THEN (SELECT max(a.started_at) FROM integration.attempt a WHERE a.outbox_id = q.outbox_id)
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
    LOCK TABLE ONLY integration.outbox IN SHARE MODE;
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

-- What leaves by itself, when: one small step at a time.

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
    parts text[] := '{ranges,syncs,closings,actions,statuses,incidents,ranges}';
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
    END CASE;
    IF part <> 'ranges' THEN
        next := so_far || jsonb_build_object(
            'part', CASE WHEN after_id IS NULL THEN parts[array_position(parts, part) + 1] ELSE part END,
            'after', coalesce(after_id, 0));
    END IF;
    next_at := clock_timestamp() + CASE
        WHEN part = 'incidents' AND after_id IS NULL
            THEN greatest((began - greatest(delivered_before, failed_before, began - interval '100 min')) / 100, '1 s')
        -- So nine tenths of the worker's time are left for sending.
        ELSE 9 * (clock_timestamp() - began) END;
END
$$;

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
                          WHERE x.outbox_id = s.outbox_id AND coalesce(x.state, '') <> 'failed' OFFSET 0) q
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
     WHERE q.outbox_id = ANY (found) AND coalesce(q.state, '') <> 'failed' AND q.claimed_at IS NULL;
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
    WITH seen AS MATERIALIZED (
        SELECT p.* FROM integration_worker.problems(verdicts, standings) p
    ), counted AS (
        -- An incident that somebody is editing is not waited for; it misses this batch.
        UPDATE integration.incident i
           SET state = CASE WHEN i.state = 'snoozed' AND i.snoozed_until <= settled_at THEN 'open' ELSE i.state END,
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
           SET state = 'open', resolved_at = NULL, resolved_by = NULL, resolution = NULL, worked = NULL,
               acknowledged_at = NULL, snoozed_until = NULL, reopened = i.reopened + 1,
               last_seen_at = settled_at, syncs = i.syncs + g.syncs, objects = i.objects + g.objects,
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
    SELECT c.name AS endpoint, v.error_class, max(c.severity) AS severity, max(c.owner) AS owner,
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
     GROUP BY c.name, v.error_class;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.problems(integration_worker.verdict[], integration_worker.standing[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.problems(integration_worker.verdict[], integration_worker.standing[]) IS
    'The results that a person should know of, by endpoint and class: how many, of whom, what helps.';

CREATE FUNCTION integration_worker.what_people_did(endpoint text, since timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%s by %s%s', a.verb, a.actor, ': "' || a.reason || '"')
      FROM integration.action a
      LEFT JOIN integration.outbox o ON o.id = a.outbox_id
     WHERE a.at >= what_people_did.since
       AND a.verb IN ('retry', 'amend', 'cancel', 'resume')
       AND what_people_did.endpoint IN (a.endpoint, o.endpoint)
     ORDER BY a.reason IS NULL, a.at DESC
     LIMIT 1
$$;
REVOKE ALL ON FUNCTION integration_worker.what_people_did(text, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.what_people_did(text, timestamptz) IS
    'The last thing that somebody did about an endpoint or a sync of it since a time, one with a reason first; NULL: nothing.';

-- A problem is over when its endpoint delivers and nothing that failed for it is left.
CREATE OR REPLACE FUNCTION integration_worker.resolve_incidents(
        standings integration_worker.standing[], settled_at timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
BEGIN
    WITH ended AS (
        UPDATE integration.incident i
           SET state = 'resolved', resolved_at = settled_at, snoozed_until = NULL,
               resolution = over.done, worked = CASE WHEN over.done IS NOT NULL THEN true END
          FROM (SELECT x.id, integration_worker.what_people_did(e.name, x.opened_at) AS done
                  FROM unnest(standings) s
                  JOIN integration.endpoint e ON e.id = s.endpoint_id
                  JOIN LATERAL (
                       SELECT y.id, y.error_class, y.opened_at
                         FROM integration.incident y
                        WHERE y.endpoint = e.name AND y.resolved_at IS NULL AND y.state <> 'ignored'
                          FOR NO KEY UPDATE SKIP LOCKED) x ON true
                 WHERE s.state = 'closed' AND s.alive
                   AND NOT EXISTS (SELECT FROM integration.queue q
                                    WHERE q.endpoint_id = s.endpoint_id AND q.state = 'failed'
                                      AND q.error_class = x.error_class)
                 OFFSET 0) over
         WHERE i.id = over.id
        RETURNING i.id
    )
    SELECT ARRAY(SELECT e.id FROM ended e) INTO ids;
    PERFORM integration_worker.tell(ids, 'resolved');
    RETURN ids <> '{}';
END
$$;

-- By hand: TYPE integration_worker.plain_batch

COMMENT ON TYPE integration_worker.plain_batch IS
    'Endpoints whose deliveries go the straight way; those whose last delivery was noted ten seconds ago or earlier; has one of them a remote_id_path?; what a good answer is called.';

CREATE TYPE integration_worker.written AS (
    done integer[],
    told integer[]
);
REVOKE ALL ON TYPE integration_worker.written FROM PUBLIC;

COMMENT ON TYPE integration_worker.written IS
    'Places in an array of results: those that are recorded; those of them that name an object.';

CREATE FUNCTION integration_worker.record_deliveries(
        results integration_worker.result[], endpoint_ids integer[], reasons text[])
    RETURNS integration_worker.written
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_record_deliveries';
REVOKE ALL ON FUNCTION integration_worker.record_deliveries(integration_worker.result[], integer[], text[]) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.record_deliveries(integration_worker.result[], integer[], text[]) IS
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
        SELECT array_agg(e.id)
          INTO plain.ids
          FROM unnest(plain.ids) AS b (endpoint_id)
         -- Looked up one by one: a join could come to read all endpoints.
         CROSS JOIN LATERAL (SELECT x.* FROM integration.endpoint x WHERE x.id = b.endpoint_id OFFSET 0) e
         WHERE NOT EXISTS (SELECT FROM integration.error_rule r
                            WHERE (r.endpoint IS NULL OR r.endpoint = e.name)
                              AND (r.connector IS NULL OR r.connector = e.connector))
           AND NOT EXISTS (SELECT FROM integration.incident i
                            WHERE i.endpoint = e.name AND i.resolved_at IS NULL);
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
    written := integration_worker.record_deliveries(results, plain.ids, plain.reasons);
    IF written.told <> '{}' THEN
        PERFORM integration_worker.tell_objects(results, written.told, plain.name_objects, settled_at);
    END IF;
    IF plain.unwritten IS NOT NULL THEN
        to_write := ARRAY(
            SELECT DISTINCT d.endpoint_id
              FROM (SELECT (results[n]).endpoint_id FROM unnest(written.done) AS n) d
             WHERE d.endpoint_id = ANY (plain.unwritten));
        UPDATE integration.endpoint_health h
           SET updated_at = settled_at, last_success_at = settled_at, failures = 0, "window" = coalesce(c."window", h."window")
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
    PERFORM integration_worker.write_status(verdicts, settled_at);
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
           AND coalesce(q.state, '') <> 'failed'
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
        RAISE NOTICE 'sync % is being sent right now, to an endpoint that must not get it twice', retry_as.id;
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

CREATE OR REPLACE FUNCTION integration.amend(id bigint, payload jsonb, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    original integration.outbox;
    removed integration.queue;
    ended integration.closing;
    copy bigint;
    why text := nullif(btrim(amend.reason), '');
BEGIN
    PERFORM integration_worker.require_sync(amend.id);
    SELECT o.* INTO original FROM integration.outbox o WHERE o.id = amend.id;
    DELETE FROM integration.queue q WHERE q.outbox_id = amend.id RETURNING q.* INTO removed;
    SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = amend.id FOR UPDATE;
    IF removed.outbox_id IS NULL AND (ended.outbox_id IS NULL OR ended.superseded_by IS NOT NULL) THEN
        PERFORM integration_worker.refuse_action(amend.id, 'amended', integration_worker.state_of(amend.id));
    END IF;
    copy := integration_worker.copy_sync(original, amend.payload);
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('amend', amend.id, why,
            jsonb_build_object('state', coalesce(removed.state, ended.state), 'copy', copy));
    -- By these two words of its own the extension knows what it closed itself.
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
    VALUES (amend.id, 'superseded', clock_timestamp(),
            CASE WHEN why IN ('duplicate', 'coalesced') THEN 'amended' ELSE coalesce(why, 'amended') END, copy)
        ON CONFLICT (outbox_id) DO UPDATE SET superseded_by = excluded.superseded_by;
    PERFORM integration_worker.place_copies(ARRAY[copy]);
    PERFORM integration_worker.warn_if_in_flight(amend.id);
    PERFORM integration_worker.wake_at_commit(false);
    RETURN copy;
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
        RAISE NOTICE '% was not held', CASE resume.scope WHEN 'all' THEN 'sending'
                                       ELSE format('%s "%s"', resume.scope, resume.name) END;
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

CREATE OR REPLACE VIEW integration.endpoint_status AS
SELECT e.name, e.connector, e.customer,
       coalesce(h.state, 'closed') AS state,
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
       e.owner, e.url
  FROM integration.endpoint_config e
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
  LEFT JOIN integration_worker.live_endpoints() w ON w.endpoint_id = e.id
  LEFT JOIN LATERAL (
       SELECT x.reason, x.until
         FROM integration_worker.pause_in_force x
        WHERE x.scope = 'all'
           OR (x.scope = 'connector' AND x.name = e.connector)
           OR (x.scope = 'endpoint' AND x.name = e.name)
           OR (x.scope = 'customer' AND x.name = e.customer)
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
       SELECT count(*) AS attempts_last_hour,
              round(avg((a.outcome = 'delivered')::integer), 3) AS success_share_last_hour
         FROM integration.attempt a
        WHERE a.endpoint_id = e.id AND a.started_at >= statement_timestamp() - interval '1 hour') t;

CREATE OR REPLACE FUNCTION integration_worker.why_paused(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p.scope = 'all' AND p.name <> '' THEN
                concat('Sync ', sync.id, ' is not sent. ', (SELECT i.remedy FROM integration.incident i WHERE i.id = 0))
           ELSE
           format('Sync %s waits because %s is paused by %s since %s ("%s"), until %s.', sync.id,
                  CASE p.scope WHEN 'all' THEN 'everything' ELSE format('%s "%s"', p.scope, p.name) END,
                  p.actor, integration_worker.time_words(p.since), p.reason,
                  coalesce(integration_worker.time_words(p.until),
                           format('somebody runs SELECT integration.resume(%L%s)', p.scope,
                                  CASE WHEN p.scope <> 'all' THEN format(', %L', p.name) END))) END
      FROM integration_worker.pause_in_force p
     WHERE p.scope = 'all'
        OR (p.scope = 'connector' AND p.name = sync.connector)
        OR (p.scope = 'endpoint' AND p.name = sync.endpoint)
        OR (p.scope = 'customer' AND p.name IN (sync.customer, sync.endpoint_customer))
     ORDER BY p.until DESC NULLS FIRST, p.scope, p.name DESC
     LIMIT 1
$$;

CREATE OR REPLACE FUNCTION integration_worker.action_words(verb text, details jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ', 'was ' || (details ->> 'state'),
                     'by role ' || (details ->> 'role'),
                     'as sync ' || (details ->> 'copy'),
                     'together with ' || nullif(details ->> 'together_with', '0') || ' others')
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
    changes text[] NOT NULL DEFAULT '{opened,reopened,acknowledged,resolved}'
        CHECK (changes <@ '{opened,reopened,acknowledged,resolved}' AND changes <> '{}'),
    routing_key text CONSTRAINT pagerduty_alone_needs_a_routing_key CHECK ((format = 'pagerduty') = (routing_key IS NOT NULL)),
    locale text NOT NULL DEFAULT 'en',
    at_once integer NOT NULL DEFAULT 5 CHECK (at_once > 0),
    digest_every interval NOT NULL DEFAULT '1 min' CHECK (digest_every > '0')
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

COMMENT ON COLUMN integration.notice_endpoint.changes IS 'Which changes: opened, reopened, acknowledged, resolved.';

COMMENT ON COLUMN integration.notice_endpoint.routing_key IS 'PagerDuty''s integration key; it stands in the body of each notice, hidden from support by endpoint.mask.';

COMMENT ON COLUMN integration.notice_endpoint.locale IS 'Language of the texts.';

COMMENT ON COLUMN integration.notice_endpoint.at_once IS
    'So many notices within digest_every leave singly; the last of them is a digest where there are more. PagerDuty is told of each.';

COMMENT ON COLUMN integration.notice_endpoint.digest_every IS 'And then no other for so long.';

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

COMMENT ON COLUMN integration.notice.change IS 'opened, reopened, acknowledged or resolved.';

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
CREATE FUNCTION integration_worker.distribute_changes() RETURNS SETOF integration_worker.incident_change
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
         LIMIT 1000
           FOR UPDATE SKIP LOCKED);
BEGIN
    IF changes = '{}' THEN
        RETURN;
    END IF;
    INSERT INTO integration_worker.notice_due (endpoint, change_id, incident, change, at)
    SELECT n.endpoint, c.id, c.incident, c.change, c.at
      FROM unnest(changes) c
      JOIN integration.incident i ON i.id = c.incident
      LEFT JOIN integration.endpoint e ON e.name = i.endpoint
      JOIN integration.notice_endpoint n
        ON i.severity <= n.severity AND c.change = ANY (n.changes) AND n.endpoint <> i.endpoint
       AND (n.owner IS NULL OR n.owner = i.owner)
       AND (n.customer IS NULL OR n.customer = e.customer);
    UPDATE integration_worker.incident_change c
       SET is_distributed = true
     WHERE c.id = ANY (ARRAY(SELECT x.id FROM unnest(changes) x));
    RETURN QUERY SELECT x.* FROM unnest(changes) x ORDER BY x.id;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.distribute_changes() FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.distribute_changes() IS
    'Decides who is told of new changes, and returns them.';

CREATE FUNCTION integration_worker.log_line(change integration_worker.incident_change, OUT line text, OUT hint text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('integration incident %s %s: %s%s%s', i.id, change.change, i.error_class,
                  ' at endpoint "' || nullif(i.endpoint, '') || '"', ', owner ' || i.owner),
           CASE WHEN i.resolved_at IS NULL THEN concat_ws(' ', i.remedy, format('SELECT * FROM integration.runbook(%s) in database "%s" says what to do.', i.id, current_database())) END
      FROM integration.incident i
     WHERE i.id = change.incident
$$;
REVOKE ALL ON FUNCTION integration_worker.log_line(integration_worker.incident_change) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.log_line(integration_worker.incident_change) IS
    'What stands in the server''s log about a change of an incident.';

-- With an ordering key, so that nobody hears of the end of an incident before its beginning; of each incident one
-- of its own, so that a notice which is refused keeps nobody from hearing of another incident.
CREATE FUNCTION integration_worker.send_notice(receiver integration.notice_endpoint, due integration_worker.notice_due[], now timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync bigint;
BEGIN
    INSERT INTO integration.outbox (endpoint, object_type, object_id, operation, payload, ordering_key, priority, triggered_by, expires_at)
    VALUES (receiver.endpoint, 'incident', CASE WHEN cardinality(due) = 1 THEN due[1].incident::text END,
            CASE WHEN cardinality(due) = 1 THEN due[1].change ELSE 'digest' END,
            integration_worker.notice_payload(receiver, due),
            CASE WHEN cardinality(due) = 1 THEN 'incident-' || due[1].incident ELSE 'digest' END, 'high', 'integration', now + interval '1 day')
    RETURNING id INTO sync;
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

CREATE FUNCTION integration_worker.send_notices_to(receiver integration.notice_endpoint, now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due integration_worker.notice_due[] := ARRAY(
        SELECT d
          FROM integration_worker.notice_due d
         WHERE d.endpoint = receiver.endpoint
         ORDER BY d.change_id
         LIMIT 1000);
    sent timestamptz[] := ARRAY(
        SELECT DISTINCT n.at
          FROM integration.notice n
         WHERE n.endpoint = receiver.endpoint
           AND n.at > now - receiver.digest_every
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
    RETURN CASE WHEN cardinality(due) = 1000 THEN now ELSE 'infinity' END;
END
$$;
REVOKE ALL ON FUNCTION integration_worker.send_notices_to(integration.notice_endpoint, timestamptz) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.send_notices_to(integration.notice_endpoint, timestamptz) IS
    'Sends what an endpoint is to be told, what is too much for now as one digest; returns when to look again.';

CREATE FUNCTION integration_worker.send_notices(now timestamptz DEFAULT clock_timestamp()) RETURNS timestamptz
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
    SELECT coalesce(min(integration_worker.send_notices_to(n, send_notices.now)), 'infinity')
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
            MESSAGE = format('incident %s is resolved and can''t be %s', found.id, require_unresolved.verb),
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
            MESSAGE = format('an incident can''t be snoozed until %s', coalesce(snooze.until::text, 'NULL')),
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
            MESSAGE = format('incident %s can''t be reopened', before.id),
            DETAIL = format('Incident %s is the same problem since %s.', newer,
                            (SELECT integration_worker.time_words(i.opened_at) FROM integration.incident i WHERE i.id = newer)),
            HINT = format('Work on that one: SELECT * FROM integration.runbook(%s).', newer);
    END IF;
    UPDATE integration.incident i
       SET state = 'open', resolved_at = NULL, resolved_by = NULL, resolution = NULL, worked = NULL,
           snoozed_until = NULL, acknowledged_at = NULL,
           reopened = i.reopened + CASE WHEN i.state = 'resolved' THEN 1 ELSE 0 END
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
            MESSAGE = format('%s failed syncs of this incident are left', waiting),
            HINT = format('SELECT integration.retry_where(endpoint => %L, error_class => %L, reason => ''why'') sends them again.',
                          incident.endpoint, incident.error_class);
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

COMMENT ON COLUMN integration.runbook_step.locale IS 'The language, as in integration.locale; what a language lacks is taken from en.';

COMMENT ON COLUMN integration.runbook_step.error_class IS 'For incidents of this class only; empty: for all.';

COMMENT ON COLUMN integration.runbook_step."position" IS 'Its place among the steps.';

COMMENT ON COLUMN integration.runbook_step.what IS
    'What to do, in words. {incident}, {title}, {endpoint}, {connector}, {remedy}, {responsible}, {owner}, {contact}, {runbook_url}, {worked_before}, {example}, {object}, {error}, {waiting} (failed syncs, where there are any), {held} (stopped or open, where the endpoint is), {open} (where nobody has acknowledged it).';

COMMENT ON COLUMN integration.runbook_step.statement IS
    'What to run; the same words, written as literals. {…} between quotes that is no word stays.';

COMMENT ON COLUMN integration.runbook_step.who IS 'Who does it; the same words.';

COMMENT ON COLUMN integration.runbook_step.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('', 100, 'Say that you look after it, so that nobody else starts too. It is {open}.',
     'SELECT integration.acknowledge({incident});', '{owner}'),
    ('', 200, 'Look at what happened to one of them, sync {example}: {error}',
     'SELECT * FROM integration.timeline({example});', NULL),
    ('', 210, 'See what exactly was sent, with the secrets left out.',
     'SELECT * FROM integration.preview({example});', NULL),
    ('', 300, 'See what waits for a person: failed syncs of this class ({waiting}).',
     'SELECT id, object_type, object_id, customer, error FROM integration.failed WHERE endpoint = {endpoint} AND error_class = {error_class};', NULL),
    ('', 400, '{remedy}', NULL, '{responsible}'),
    ('', 410, 'This helped before: {worked_before}', NULL, NULL),
    ('', 420, 'The team''s own notes on {connector} are at {runbook_url}.', NULL, NULL),
    ('', 430, 'Who knows the other system: {contact}', NULL, NULL),
    ('', 500, 'The endpoint is {held}: only a probe leaves now and then. Ask whether anybody answers there; what came of it is in the sync whose id this returns.',
     'SELECT integration.ping({endpoint});', NULL),
    ('', 510, 'Once the cause is gone, have the {held} endpoint called at once instead of at the next probe.',
     'SELECT integration.resume(''endpoint'', {endpoint}, ''why'');', NULL),
    ('', 600, 'Send what failed again ({waiting}).',
     'SELECT integration.retry_where(endpoint => {endpoint}, error_class => {error_class}, reason => ''why'');', NULL),
    ('', 900, 'It ends by itself with the next delivery. If it has to be ended by hand, say what helped: the next one of its kind shows it.',
     'SELECT integration.resolve({incident}, ''what was done'');', '{owner}'),
    ('validation', 590, 'Where the data were wrong, send corrected ones in the place of each.',
     'SELECT integration.amend({example}, ''{…}'', ''why'');', '{responsible}'),
    ('copied_database', 600, 'If this database is to send from now on and the original does not any more, let it take over.',
     'SELECT integration.adopt(''why'');', NULL);

-- Later inserts and updates are the user's: a dump takes them along.
CREATE TRIGGER own_runbook_step BEFORE INSERT OR UPDATE ON integration.runbook_step
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'error_class', 'position');

-- In one pass, since what is filled in may hold braces, too.
CREATE FUNCTION integration_worker.fill_in(template text, words jsonb, as_literals boolean DEFAULT false) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN bool_and(f.piece IS NOT NULL) THEN string_agg(f.piece, '' ORDER BY f.n) END
      FROM (SELECT m.n,
                   CASE WHEN words ? m.found[2] IS NOT TRUE THEN m.found[1]
                        WHEN as_literals AND jsonb_typeof(words -> m.found[2]) = 'string'
                        THEN quote_literal(words ->> m.found[2])
                        ELSE words ->> m.found[2] END AS piece
              FROM regexp_matches(template, '([^{]+|\{([a-z_]+)\}|\{)', 'g') WITH ORDINALITY AS m (found, n)) f
$$;
REVOKE ALL ON FUNCTION integration_worker.fill_in(text, jsonb, boolean) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.fill_in(text, jsonb, boolean) IS
    'A template with the {words} in it replaced, in statements by literals; NULL where it lacks one of them.';

-- Incidents as people see them: a list of work, the steps of each.

-- The endpoint's own, then the product's, then anybody's: the newest of what helped.
CREATE FUNCTION integration_worker.what_worked(incident integration.incident) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%s (incident %s, %s)', b.resolution, b.id, integration_worker.time_words(b.resolved_at))
      FROM integration.incident b
      LEFT JOIN integration.endpoint here ON here.name = incident.endpoint
      LEFT JOIN integration.endpoint there ON there.name = b.endpoint
     WHERE b.error_class = incident.error_class AND b.resolved_at IS NOT NULL AND b.worked AND b.id <> incident.id
     ORDER BY b.endpoint = incident.endpoint DESC, here.connector IS NOT DISTINCT FROM there.connector DESC, b.resolved_at DESC
     LIMIT 1
$$;
REVOKE ALL ON FUNCTION integration_worker.what_worked(integration.incident) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.what_worked(integration.incident) IS
    'What helped the last time against the same class of error, here or elsewhere; NULL: nobody has said so.';

CREATE FUNCTION integration_worker.failed_count(endpoint text, error_class text) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*)
      FROM integration.endpoint e
      JOIN integration.queue q ON q.endpoint_id = e.id
     WHERE e.name = failed_count.endpoint AND q.state = 'failed' AND q.error_class = failed_count.error_class
$$;
REVOKE ALL ON FUNCTION integration_worker.failed_count(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.failed_count(text, text) IS
    'How many syncs of an endpoint wait for a person with this class; by the index of failed ones.';

CREATE VIEW integration_worker.incident_facts AS
SELECT i.id,
       CASE WHEN i.state = 'snoozed' AND i.snoozed_until <= statement_timestamp() THEN 'open' ELSE i.state END AS state,
       i.severity, i.endpoint, e.connector, coalesce(k.title, i.error_class) AS title, i.error_class,
       i.owner, i.responsible, i.assignee, i.remedy,
       integration_worker.what_worked(i) AS worked_before,
       i.syncs, integration_worker.failed_count(i.endpoint, i.error_class) AS waiting,
       i.objects, i.customers, i.impact,
       i.example, x.object_type, x.object_id, x.error,
       i.opened_at, i.last_seen_at, statement_timestamp() - i.opened_at AS age,
       i.acknowledged_at, i.snoozed_until, i.reopened, c.contact, c.runbook_url, i.note,
       format('SELECT * FROM integration.runbook(%s);', i.id) AS next_step,
       i.resolved_at
  FROM integration.incident i
  LEFT JOIN integration.endpoint e ON e.name = i.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.error_class k ON k.name = i.error_class
  LEFT JOIN LATERAL (
       SELECT o.object_type, o.object_id,
              (SELECT a.error
                 FROM integration.attempt a
                WHERE a.outbox_id = o.id
                ORDER BY a.attempt_no DESC
                LIMIT 1) AS error
         FROM integration.outbox o
        WHERE o.id = i.example) x ON true;

COMMENT ON VIEW integration_worker.incident_facts IS
    'All incidents with what their registry, their example say.';

CREATE VIEW integration.incident_status AS
SELECT f.id, f.state, f.severity, f.endpoint, f.connector, f.title, f.error_class, f.owner, f.responsible, f.assignee,
       f.remedy, f.worked_before, f.syncs, f.waiting, f.objects, f.customers, f.impact, f.example, f.object_type,
       f.object_id, f.error, f.opened_at, f.last_seen_at, f.age, f.acknowledged_at, f.snoozed_until, f.reopened,
       f.contact, f.runbook_url, f.note, f.next_step
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

COMMENT ON COLUMN integration.incident_status.owner IS 'The team that looks after the endpoint.';

COMMENT ON COLUMN integration.incident_status.responsible IS 'Who can do something about it: customer, support, engineering, operations or remote_vendor.';

COMMENT ON COLUMN integration.incident_status.assignee IS 'Who has taken it.';

COMMENT ON COLUMN integration.incident_status.remedy IS 'What to do, in plain words.';

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

CREATE FUNCTION integration_worker.runbook_words(incident integration.incident) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'incident', s.id, 'title', s.title, 'endpoint', nullif(s.endpoint, ''), 'connector', s.connector,
               'error_class', s.error_class, 'remedy', s.remedy, 'responsible', s.responsible,
               'owner', coalesce(s.assignee, s.owner), 'contact', s.contact, 'runbook_url', s.runbook_url,
               'worked_before', s.worked_before, 'example', s.example, 'error', rtrim(left(s.error, 300), '. '),
               'object', nullif(concat_ws(' ', s.object_type, s.object_id), ''),
               'waiting', nullif(s.waiting, 0),
               'held', (SELECT h.state
                          FROM integration.endpoint_health h
                          JOIN integration.endpoint e ON e.id = h.endpoint_id
                         WHERE e.name = s.endpoint AND h.state <> 'closed'),
               'open', CASE WHEN s.state = 'open' THEN 'open' END)
      FROM integration_worker.incident_facts s
     WHERE s.id = incident.id
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
    wanted text := coalesce(nullif(current_setting('integration.locale', true), ''), 'en');
BEGIN
    IF subject.resolved_at IS NOT NULL THEN
        RETURN QUERY
        SELECT 1::bigint,
               format('It is over since %s%s%s.', integration_worker.time_words(subject.resolved_at),
                      ', resolved by ' || subject.resolved_by, ': ' || rtrim(subject.resolution, '.')),
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
             WHERE s.error_class IN ('', subject.error_class) AND s.locale IN (wanted, 'en')
             ORDER BY s."position", s.error_class, s.locale = wanted DESC) f
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
    change text NOT NULL CHECK (change IN ('opened', 'reopened', 'acknowledged', 'resolved', 'digest')),
    title text NOT NULL,
    body text NOT NULL,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, change)
);
REVOKE ALL ON TABLE integration.notice_text FROM PUBLIC;

COMMENT ON TABLE integration.notice_text IS
    'What notices say; lines that lack one of their {words} are left out. The words are those of integration.runbook_step.';

COMMENT ON COLUMN integration.notice_text.locale IS 'The language; what a language lacks is taken from en.';

COMMENT ON COLUMN integration.notice_text.change IS 'opened, reopened, acknowledged, resolved; digest: of several, {count}.';

COMMENT ON COLUMN integration.notice_text.title IS 'The first line.';

COMMENT ON COLUMN integration.notice_text.body IS 'The lines below.';

COMMENT ON COLUMN integration.notice_text.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.notice_text (change, title, body) VALUES
    ('opened', '{title} at {place} (incident {incident})',
     'Last: {error}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'At stake: {impact}' || E'\n' || 'This helped before: {worked_before}' || E'\n' || 'What to do: SELECT * FROM integration.runbook({incident});'
     || E'\n' || '{runbook_url}'),
    ('reopened', 'Back again: {title} at {place} (incident {incident})',
     'Last: {error}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'What to do: SELECT * FROM integration.runbook({incident});' || E'\n' || '{runbook_url}'),
    ('acknowledged', '{owner} looks after: {title} at {place} (incident {incident})', ''),
    ('resolved', 'Over: {title} at {place} (incident {incident})', 'It took {duration}, {syncs} failures.' || E'\n' || 'What helped: {resolution}'),
    ('digest', '{count} changes of incidents', '');

CREATE TRIGGER own_notice_text BEFORE INSERT OR UPDATE ON integration.notice_text
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('locale', 'change');

CREATE FUNCTION integration_worker.notice_words(incident integration.incident) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.runbook_words(incident) || jsonb_build_object(
               'place', coalesce('endpoint "' || nullif(incident.endpoint, '') || '"', 'this database'),
               'severity', incident.severity, 'syncs', incident.syncs, 'impact', incident.impact,
               'duration', integration_worker.duration_words(coalesce(incident.resolved_at, statement_timestamp()) - incident.opened_at),
               'resolution', incident.resolution)
$$;
REVOKE ALL ON FUNCTION integration_worker.notice_words(integration.incident) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.notice_words(integration.incident) IS
    'What the texts of a notice are filled in with.';

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
     WHERE t.change = notice_text_of.change AND t.locale IN (notice_text_of.locale, 'en')
     ORDER BY t.locale = notice_text_of.locale DESC
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

CREATE FUNCTION integration_worker.notice_payload(receiver integration.notice_endpoint, due integration_worker.notice_due[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
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
         CROSS JOIN LATERAL integration_worker.notice_words(i) AS w (words)
         CROSS JOIN LATERAL integration_worker.notice_text_of(d.change, w.words, receiver.locale) t
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
           CASE WHEN is_whole THEN o.payload ELSE integration_worker.masked(o.payload, c.mask) END, o.created_at,
           '/integration/' || c.name, NULL) r
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
    'The request of a sync as it would be sent now, secrets of credentials and what endpoint.mask hides shown as ***; nothing is sent. Not shown: what each attempt draws anew (traceparent) and what the connection adds (Host, User-Agent, Content-Length). problem says why it could not be.';

-- What was sent, what came back: as support may see it.

-- Who may read outbox.payload itself sees all of it; nobody else what went to an endpoint whose mask is gone with it.
CREATE VIEW integration.sync_payload AS
SELECT o.id, o.endpoint, o.object_type, o.object_id,
       CASE WHEN has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT') THEN o.payload
            WHEN e.id IS NULL THEN '"***"'
            ELSE integration_worker.masked(o.payload, coalesce(e.mask, c.mask)) END AS payload
  FROM integration.outbox o
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
       a.trace_id, a.span_id, a.next_attempt_at
  FROM integration.attempt a
  LEFT JOIN LATERAL (
       SELECT CASE WHEN e.id IS NULL THEN '{$}' ELSE coalesce(e.mask, c.mask, '{}') END AS mask, o.payload,
              (e.id IS NOT NULL AND coalesce(e.mask, c.mask, '{}') = '{}')
              OR has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT') AS is_whole
         FROM integration.outbox o
         LEFT JOIN integration.endpoint e ON e.name = o.endpoint AND e.id = a.endpoint_id
         LEFT JOIN integration.connector c ON c.name = e.connector
        WHERE o.id = a.outbox_id) m ON true;

COMMENT ON VIEW integration.sync_attempt IS
    'The columns of integration.attempt; for all but administrators *** stands where an answer says again what endpoint.mask hides.';

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
  JOIN integration.outbox o ON o.customer = w.customer
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
  JOIN integration.outbox o ON o.id = t.id
 WHERE o.customer IS NULL
UNION ALL
SELECT o.id, e.customer, o.endpoint, o.object_type, o.object_id, o.operation, o.created_at
  FROM integration.closing c
  JOIN integration.outbox o ON o.id = c.outbox_id
  JOIN integration.endpoint e ON e.name = o.endpoint
 WHERE c.state <> 'superseded'
   AND o.customer IS NULL
   AND e.customer IN (SELECT w.customer FROM integration_worker.own_customer w)
   AND NOT EXISTS (SELECT FROM integration.attempt a WHERE a.outbox_id = o.id AND a.attempt_no = 1);

COMMENT ON VIEW integration_worker.customer_outbox IS 'What was asked for the customers of the current user.';

-- A message speaks of what happens by itself; for a failed sync nothing does.
CREATE FUNCTION integration_worker.customer_words(state text, class_message text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE state WHEN 'cancelled' THEN 'This was withdrawn and is not sent.'
                      WHEN 'expired' THEN 'Your data could not be sent in time and is not sent any more.'
                      WHEN 'failed' THEN replace(class_message, 'We keep trying.', 'It is not tried again by itself.')
                      ELSE class_message END
$$;
REVOKE ALL ON FUNCTION integration_worker.customer_words(text, text) FROM PUBLIC;

COMMENT ON FUNCTION integration_worker.customer_words(text, text) IS
    'What a customer is told about a sync in this state; class_message: error_class.customer_message.';

CREATE VIEW integration_worker.customer_fact AS
SELECT f.*, coalesce(c.title, c.name) AS system, coalesce(q.state, g.state, 'delivered') AS state,
       CASE WHEN q.state = 'retrying' THEN q.due_at END AS next_attempt_at,
       CASE WHEN q.outbox_id IS NULL
            THEN coalesce(g.closed_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms') END AS finished_at,
       a.error_class,
       q.state = 'failed'
       AND (q.expires_at > statement_timestamp()) IS NOT FALSE
       AND NOT (r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true)) AS can_retry
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
 WHERE f.operation <> 'ping'
   AND g.state IS DISTINCT FROM 'superseded';

COMMENT ON VIEW integration_worker.customer_fact IS 'The syncs of the customers of the current user, with their states.';

CREATE VIEW integration.customer_sync WITH (security_barrier) AS
SELECT f.id, f.customer, f.system, f.object_type, f.object_id, f.operation, f.state,
       integration_worker.customer_words(f.state, k.customer_message) AS explanation,
       coalesce(f.can_retry, false) AS can_retry, f.created_at, f.next_attempt_at, f.finished_at
  FROM integration_worker.customer_fact f
  LEFT JOIN integration.error_class k
    ON k.name = CASE f.state WHEN 'delivered' THEN 'success'
                             WHEN 'pending' THEN 'deferred'
                             ELSE coalesce(f.error_class, 'internal') END;

COMMENT ON VIEW integration.customer_sync IS
    'For a customer''s role: the syncs of its own objects, in plain words. integration.retry(id) has one sent again where can_retry is true.';

COMMENT ON COLUMN integration.customer_sync.id IS 'The number of the sync.';

COMMENT ON COLUMN integration.customer_sync.customer IS 'Whose object it is.';

COMMENT ON COLUMN integration.customer_sync.system IS 'Where to: the connector''s title, or its name.';

COMMENT ON COLUMN integration.customer_sync.object_type IS 'The kind of business object.';

COMMENT ON COLUMN integration.customer_sync.object_id IS 'The business reference.';

COMMENT ON COLUMN integration.customer_sync.operation IS 'What happened to the object.';

COMMENT ON COLUMN integration.customer_sync.state IS 'pending, retrying, failed, delivered, cancelled or expired; what gave way to a newer sync isn''t listed.';

COMMENT ON COLUMN integration.customer_sync.explanation IS 'What that means, in plain words: error_class.customer_message.';

COMMENT ON COLUMN integration.customer_sync.can_retry IS 'It failed, and integration.retry(id) would have it sent again.';

COMMENT ON COLUMN integration.customer_sync.created_at IS 'When it was asked for.';

COMMENT ON COLUMN integration.customer_sync.next_attempt_at IS 'While retrying: not sent again before.';

COMMENT ON COLUMN integration.customer_sync.finished_at IS 'When it arrived or was given up.';

-- The status of an object belongs to whom its last sync belongs to; when that one has left, to the endpoint's customer.
CREATE VIEW integration_worker.customer_status AS
SELECT o.customer, s.*
  FROM integration_worker.own_customer w
  JOIN integration.outbox o ON o.customer = w.customer
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
 WHERE NOT EXISTS (SELECT FROM integration.outbox o WHERE o.id = s.last_outbox_id AND o.customer IS NOT NULL);

COMMENT ON VIEW integration_worker.customer_status IS
    'How the objects of the customers of the current user stand that were tried.';

CREATE VIEW integration.customer_object WITH (security_barrier) AS
SELECT t.customer, coalesce(c.title, c.name) AS system, t.object_type, t.object_id, t.state,
       integration_worker.customer_words(t.state, k.customer_message) AS explanation,
       CASE WHEN t.is_own THEN t.remote_id END AS remote_id,
       CASE WHEN t.is_own THEN t.delivered_at END AS delivered_at,
       t.last_sync, t.queued
  FROM (SELECT s.customer, s.endpoint_id, s.object_type, s.object_id,
               CASE WHEN s.state = 'in_sync' AND w.queued > 0 THEN 'pending' ELSE s.state END AS state,
               s.error_class, s.remote_id, s.delivered_at, s.last_outbox_id AS last_sync, w.queued,
               coalesce((SELECT coalesce(d.customer, e.customer) FROM integration.outbox d WHERE d.id = s.delivered_outbox_id),
                        e.customer) = s.customer AS is_own
          FROM integration_worker.customer_status s
          JOIN integration.endpoint e ON e.id = s.endpoint_id
         CROSS JOIN LATERAL (
               SELECT count(*) AS queued
                 FROM integration.outbox o
                 JOIN integration.queue q ON q.outbox_id = o.id
                WHERE o.object_id = s.object_id
                  AND coalesce(o.object_type, '') = s.object_type
                  AND q.endpoint_id = s.endpoint_id
                  AND coalesce(o.customer, e.customer) = s.customer) w
        UNION ALL
        SELECT f.customer, q.endpoint_id, coalesce(f.object_type, ''), f.object_id, 'pending', NULL, NULL, NULL, NULL, count(*), false
          FROM integration_worker.customer_outbox f
          JOIN integration.queue q ON q.outbox_id = f.id
         WHERE f.object_id IS NOT NULL
           AND NOT EXISTS (SELECT
                             FROM integration_worker.customer_status s
                            WHERE s.customer = f.customer
                              AND s.endpoint_id = q.endpoint_id
                              AND s.object_type = coalesce(f.object_type, '')
                              AND s.object_id = f.object_id)
         GROUP BY f.customer, q.endpoint_id, coalesce(f.object_type, ''), f.object_id) t
  JOIN integration.endpoint e ON e.id = t.endpoint_id
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.error_class k
    ON k.name = CASE t.state WHEN 'in_sync' THEN 'success'
                             WHEN 'pending' THEN 'deferred'
                             ELSE coalesce(t.error_class, 'internal') END;

COMMENT ON VIEW integration.customer_object IS
    'For a customer''s role: how each of its own objects stands, in plain words.';

COMMENT ON COLUMN integration.customer_object.customer IS 'Whose object it is.';

COMMENT ON COLUMN integration.customer_object.system IS 'Where to: the connector''s title, or its name.';

COMMENT ON COLUMN integration.customer_object.object_type IS 'The kind of business object; empty where none was given.';

COMMENT ON COLUMN integration.customer_object.object_id IS 'The business reference.';

COMMENT ON COLUMN integration.customer_object.state IS 'in_sync, pending, failing (will be tried again) or failed.';

COMMENT ON COLUMN integration.customer_object.explanation IS 'What that means, in plain words: error_class.customer_message.';

COMMENT ON COLUMN integration.customer_object.remote_id IS 'The other system''s id for the object.';

COMMENT ON COLUMN integration.customer_object.delivered_at IS 'When its newest state that arrived did so.';

COMMENT ON COLUMN integration.customer_object.last_sync IS 'The newest sync of the object that was tried: see customer_sync.';

COMMENT ON COLUMN integration.customer_object.queued IS 'Syncs of the object that are not finished.';

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
            MESSAGE = format('sync %s is %s and can''t be retried', require_known_failure.id, state),
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
                     'created_at, enqueued_by, enqueued_from, replay_of)', 'integration.outbox'),
        ('producer', 'SELECT (id)', 'integration.outbox'),
        ('producer', 'EXECUTE', 'FUNCTION integration.verify_signature(bytea, jsonb, text, interval)'),
        ('producer', 'EXECUTE', 'FUNCTION integration.verify_signature(text, jsonb, text, interval)'),

        ('customer', 'USAGE', 'SCHEMA integration'),
        ('customer', 'SELECT', 'integration.customer_sync'),
        ('customer', 'SELECT', 'integration.customer_object'),
        ('customer', 'SELECT', 'integration_worker.own_customer'),
        ('customer', 'EXECUTE', 'FUNCTION integration.retry(bigint, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.retry_as(bigint, text, name, text[])'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_words(text, text)'),

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
                    'enqueued_by, enqueued_from, replay_of)', 'integration.outbox'),
        ('support', 'SELECT', 'integration.queue'),
        ('support', 'SELECT', 'integration.closing'),
        ('support', 'SELECT (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, dns_ms, connect_ms, tls_ms, '
                    'first_byte_ms, outcome, reason, error_class, http_status, error, request_url, remote_address, '
                    'trace_id, span_id, next_attempt_at)', 'integration.attempt'),
        ('support', 'SELECT', 'integration.sync_status'),
        ('support', 'SELECT', 'integration.endpoint_health'),
        ('support', 'SELECT', 'integration.incident'),
        ('support', 'SELECT', 'integration.incident_status'),
        ('support', 'SELECT', 'integration.runbook_step'),
        ('support', 'SELECT (endpoint, format, severity, owner, customer, changes, locale, at_once, digest_every)',
                    'integration.notice_endpoint'),
        ('support', 'SELECT', 'integration.notice_text'),
        ('support', 'SELECT', 'integration.notice'),
        ('support', 'SELECT', 'integration.pause'),
        ('support', 'SELECT', 'integration.action'),
        ('support', 'EXECUTE', 'FUNCTION integration.verify_signature(bytea, jsonb, text, interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration.verify_signature(text, jsonb, text, interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration.why(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.timeline(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.preview(bigint)'),
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
        ('support', 'EXECUTE', 'FUNCTION integration_worker.what_worked(integration.incident)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.failed_count(text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.time_words(timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.duration_words(interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.remedy_when_failed(text, boolean)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.held_by(text, timestamptz, boolean, text, timestamptz, '
                               'timestamptz, bigint, timestamptz, integer, integer)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_syncs()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_endpoints()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_workers()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.enqueue_usage()'),

        ('operator', 'EXECUTE', 'FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.replay(bigint, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.replay(text, timestamptz, timestamptz, text)'),
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
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.enqueue_limit'),
        ('administrator', 'SELECT, INSERT, UPDATE, DELETE', 'integration.credential'),
        ('administrator', 'SELECT', 'integration.secret_status'),
        ('administrator', 'EXECUTE', 'FUNCTION integration_worker.secret_states()'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.set_secret(text, text, timestamptz)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.forget_secret(text, integer)'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.retry_policy'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.error_rule'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.runbook_step'),
        ('administrator', 'SELECT, INSERT, UPDATE, DELETE', 'integration.notice_endpoint'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.notice_text'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.error_class'),
        ('administrator', 'UPDATE', 'integration.error_reason'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.new_signing_key(text)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.public_signing_key(text)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.adopt(text)')
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
            MESSAGE = 'which customer?',
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
        RAISE NOTICE 'role % sees the syncs of all customers already', grant_customer.role;
    END IF;
    IF NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.customer = grant_customer.customer)
       AND NOT EXISTS (SELECT FROM integration.outbox o WHERE o.customer = grant_customer.customer) THEN
        RAISE NOTICE 'nothing belongs to customer "%" yet: is the name right?', grant_customer.customer;
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
    FOREACH kind IN ARRAY ARRAY['TABLES', 'SEQUENCES', 'FUNCTIONS'] LOOP
        EXECUTE format('REVOKE ALL ON ALL %s IN SCHEMA integration, integration_worker FROM %I', kind, grantee);
    END LOOP;
    EXECUTE format('REVOKE ALL ON SCHEMA integration, integration_worker FROM %I', grantee);
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
        RAISE NOTICE 'role % was not granted customer "%"', revoke_customer.role, revoke_customer.customer;
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

SELECT pg_extension_config_dump('integration.runbook_step', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.enqueue_limit', '');

-- By the names that its roles have then, which must exist where it is restored; what a dropped role left is a mere number.
SELECT pg_extension_config_dump('integration.customer_grant', 'WHERE role::oid IN (SELECT r.oid FROM pg_catalog.pg_roles r)');

-- What the worker says about a copy holds for that copy alone; another one is told anew.
SELECT pg_extension_config_dump('integration.incident', 'WHERE id <> 0');

SELECT pg_extension_config_dump('integration.notice_endpoint', '');

SELECT pg_extension_config_dump('integration.notice_text', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.notice', '');

SELECT pg_extension_config_dump('integration.notice_id_seq', '');

SELECT pg_extension_config_dump('integration.pause', $$WHERE (scope, name) <> ('all', 'copied_database')$$);

-- Written by test/upgrade/draft up to here.

COMMENT ON COLUMN integration.endpoint_config.certificate IS
    'A credential of kind client_certificate: what connections show, whom they trust, beside what requests authenticate with.';

-- It sent until now, so it is no copy.
UPDATE integration.installation
   SET fingerprint = CASE WHEN EXISTS (SELECT FROM integration.endpoint) THEN integration_worker.fingerprint()
                          ELSE '{}'::jsonb END;

COMMENT ON COLUMN integration.endpoint_config.mask IS
    'Paths to members of payloads, such as {$.iban,$.lines[*].price,$.**.password}, that only administrators see; support and operators see ***. {}: none.';
