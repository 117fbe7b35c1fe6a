-- Refuses to run outside CREATE EXTENSION, creates the two schemas.

\echo Use "CREATE EXTENSION integration" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA integration;
COMMENT ON SCHEMA integration IS
    'Delivers committed rows to other systems'' APIs; everything here is for people and applications.';

CREATE SCHEMA integration_worker;
COMMENT ON SCHEMA integration_worker IS
    'What only the integration worker calls; granted to nobody.';

-- The worker's commit reaches it through shared memory, so without the preload nothing would ever be sent.
CREATE FUNCTION integration_worker.require_preload() RETURNS void
    LANGUAGE c STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_require_preload';
COMMENT ON FUNCTION integration_worker.require_preload() IS
    'Raises an error unless shared_preload_libraries names the extension.';

SELECT integration_worker.require_preload();

-- A word that no other installation shares: the first half of every Idempotency-Key.
CREATE TABLE integration.installation (
    name text PRIMARY KEY
);
COMMENT ON TABLE integration.installation IS
    'One row: the name of this installation; Idempotency-Key is <name>-<outbox id>, the same for every attempt of a sync.';

COMMENT ON COLUMN integration.installation.name IS 'Twelve hex digits, drawn when the extension was created.';

INSERT INTO integration.installation (name)
VALUES (substr(replace(gen_random_uuid()::text, '-', ''), 1, 12));

-- A mark that the registry changed: read again by the worker as soon as the transaction commits.
CREATE FUNCTION integration_worker.wake() RETURNS trigger
    LANGUAGE c
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_wake';
COMMENT ON FUNCTION integration_worker.wake() IS
    'Statement trigger: has the worker look again when this transaction commits.';
-- Who we call: connectors, credentials, retry policies, endpoints.

CREATE TABLE integration.retry_policy (
    name text PRIMARY KEY,
    schedule interval[] NOT NULL,
    jitter double precision NOT NULL DEFAULT 0.2,
    deadline interval,
    shipped boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE integration.retry_policy IS
    'When a sync that failed is tried again.';
COMMENT ON COLUMN integration.retry_policy.name IS
    'What endpoint.retry_policy and connector.retry_policy refer to.';
COMMENT ON COLUMN integration.retry_policy.schedule IS
    'Waits before attempt 2, 3, …; when they are used up the sync is failed. An empty array means one attempt.';
COMMENT ON COLUMN integration.retry_policy.jitter IS
    'Fraction of the wait, 0 to 1, of which a random part is added (at least 1 s, at most 15 min); never subtracted. 0 adds nothing.';
COMMENT ON COLUMN integration.retry_policy.deadline IS
    'No attempt is scheduled later than this after the sync became due first; NULL: only the schedule counts.';
COMMENT ON COLUMN integration.retry_policy.shipped IS
    'Unchanged since it came with the extension; other rows are carried by a dump.';

CREATE TABLE integration.credential (
    name text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('basic', 'bearer', 'header', 'oauth2_client_credentials',
                                       'aws_sigv4', 'client_certificate', 'signing')),
    settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object')
);
COMMENT ON TABLE integration.credential IS
    'What endpoints authenticate and sign with, shared between them; secret values stand in integration.secret.';
COMMENT ON COLUMN integration.credential.name IS 'What endpoint.credential and endpoint.signing refer to.';
COMMENT ON COLUMN integration.credential.kind IS
    'basic, bearer, header, oauth2_client_credentials, aws_sigv4, client_certificate or signing.';
COMMENT ON COLUMN integration.credential.settings IS 'JSON object of what is not secret, such as a user name or a token URL.';

CREATE TABLE integration.secret (
    credential text NOT NULL REFERENCES integration.credential ON UPDATE CASCADE ON DELETE CASCADE,
    version integer NOT NULL,
    sealed bytea NOT NULL,
    not_before timestamptz NOT NULL DEFAULT now(),
    not_after timestamptz,
    PRIMARY KEY (credential, version)
);
COMMENT ON TABLE integration.secret IS
    'Sealed secret values of credentials by version; read by the worker only.';
COMMENT ON COLUMN integration.secret.credential IS 'The credential it belongs to.';
COMMENT ON COLUMN integration.secret.version IS 'Counts up with each new value.';
COMMENT ON COLUMN integration.secret.sealed IS 'The encrypted value.';
COMMENT ON COLUMN integration.secret.not_before IS 'Used from here on.';
COMMENT ON COLUMN integration.secret.not_after IS 'Not used from here on; NULL: no end.';

CREATE TABLE integration.connector (
    name text PRIMARY KEY,
    title text,
    owner text,
    contact text,
    runbook_url text,
    severity smallint NOT NULL DEFAULT 3,
    sla interval,
    method text,
    headers jsonb,
    format text,
    credential text REFERENCES integration.credential ON UPDATE CASCADE,
    signing text REFERENCES integration.credential ON UPDATE CASCADE,
    retry_policy text REFERENCES integration.retry_policy ON UPDATE CASCADE,
    connect_timeout interval,
    timeout interval,
    max_concurrency integer,
    rate_limit double precision,
    rate_burst integer,
    max_payload_bytes integer,
    payload_check jsonpath,
    idempotent boolean,
    dedup_window interval,
    "coalesce" boolean,
    remote_id_path jsonpath
);
COMMENT ON TABLE integration.connector IS
    'An external product we integrate with. What a connector sets, its endpoints inherit.';
COMMENT ON COLUMN integration.connector.name IS 'What endpoint.connector refers to.';
COMMENT ON COLUMN integration.connector.title IS 'The product''s name for people.';
COMMENT ON COLUMN integration.connector.owner IS 'The team that looks after it.';
COMMENT ON COLUMN integration.connector.contact IS 'How to reach the other side or the team.';
COMMENT ON COLUMN integration.connector.runbook_url IS 'Where the instructions for this product are.';
COMMENT ON COLUMN integration.connector.severity IS 'How much a failure hurts: 1 (worst) to 4.';
COMMENT ON COLUMN integration.connector.sla IS 'A sync should be delivered within this time after it became due; NULL: no promise.';
COMMENT ON COLUMN integration.connector.method IS 'Default for endpoint.method.';
COMMENT ON COLUMN integration.connector.headers IS 'Merged into endpoint.headers; the endpoint wins by name.';
COMMENT ON COLUMN integration.connector.format IS 'Default for endpoint.format.';
COMMENT ON COLUMN integration.connector.credential IS 'Default for endpoint.credential.';
COMMENT ON COLUMN integration.connector.signing IS 'Default for endpoint.signing.';
COMMENT ON COLUMN integration.connector.retry_policy IS 'Default for endpoint.retry_policy.';
COMMENT ON COLUMN integration.connector.connect_timeout IS 'Default for endpoint.connect_timeout.';
COMMENT ON COLUMN integration.connector.timeout IS 'Default for endpoint.timeout.';
COMMENT ON COLUMN integration.connector.max_concurrency IS 'Default for endpoint.max_concurrency.';
COMMENT ON COLUMN integration.connector.rate_limit IS 'Default for endpoint.rate_limit.';
COMMENT ON COLUMN integration.connector.rate_burst IS 'Default for endpoint.rate_burst.';
COMMENT ON COLUMN integration.connector.max_payload_bytes IS 'Default for endpoint.max_payload_bytes.';
COMMENT ON COLUMN integration.connector.payload_check IS 'Default for endpoint.payload_check.';
COMMENT ON COLUMN integration.connector.idempotent IS 'Default for endpoint.idempotent.';
COMMENT ON COLUMN integration.connector.dedup_window IS 'Default for endpoint.dedup_window.';
COMMENT ON COLUMN integration.connector."coalesce" IS 'Default for endpoint.coalesce.';
COMMENT ON COLUMN integration.connector.remote_id_path IS 'Default for endpoint.remote_id_path.';

CREATE TABLE integration.endpoint (
    name text PRIMARY KEY,
    id integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    connector text REFERENCES integration.connector ON UPDATE CASCADE,
    customer text,
    url text NOT NULL,
    owner text,
    allow_http boolean NOT NULL DEFAULT false,
    method text,
    headers jsonb,
    format text,
    credential text REFERENCES integration.credential ON UPDATE CASCADE,
    signing text REFERENCES integration.credential ON UPDATE CASCADE,
    retry_policy text REFERENCES integration.retry_policy ON UPDATE CASCADE,
    connect_timeout interval,
    timeout interval,
    max_concurrency integer,
    rate_limit double precision,
    rate_burst integer,
    max_payload_bytes integer,
    payload_check jsonpath,
    idempotent boolean,
    dedup_window interval,
    "coalesce" boolean,
    remote_id_path jsonpath
);
-- Serves the join of a connector's endpoints when the connector changes.
CREATE INDEX endpoint_connector ON integration.endpoint (connector);

COMMENT ON TABLE integration.endpoint IS
    'One address of a connector, for one customer or for all. What is NULL comes from the connector, then from the extension: see integration.endpoint_config.';
COMMENT ON COLUMN integration.endpoint.name IS 'What outbox.endpoint refers to.';
COMMENT ON COLUMN integration.endpoint.id IS 'The short number that queue and attempt point at.';
COMMENT ON COLUMN integration.endpoint.connector IS 'The product it belongs to; may be NULL.';
COMMENT ON COLUMN integration.endpoint.customer IS 'The customer it serves; NULL: all.';
COMMENT ON COLUMN integration.endpoint.url IS
    'Where requests go. May hold {object_type}, {object_id}, {operation} and {remote_id}, percent-encoded when filled in.';
COMMENT ON COLUMN integration.endpoint.owner IS 'The team that looks after it; overrides the connector''s.';
COMMENT ON COLUMN integration.endpoint.allow_http IS
    'Plain http also outside integration.allowed_networks; only a superuser may set it.';
COMMENT ON COLUMN integration.endpoint.method IS 'HTTP method; default POST.';
COMMENT ON COLUMN integration.endpoint.headers IS 'JSON object of header names and values sent with each request.';
COMMENT ON COLUMN integration.endpoint.format IS 'json, cloudevents or cloudevents-structured; default json.';
COMMENT ON COLUMN integration.endpoint.credential IS 'What requests authenticate with.';
COMMENT ON COLUMN integration.endpoint.signing IS 'What requests are signed with.';
COMMENT ON COLUMN integration.endpoint.retry_policy IS 'When failed syncs are tried again; default standard.';
COMMENT ON COLUMN integration.endpoint.connect_timeout IS 'Time for name look-up, connection and TLS; default 5 s.';
COMMENT ON COLUMN integration.endpoint.timeout IS 'Time for the whole attempt; default 15 s.';
COMMENT ON COLUMN integration.endpoint.max_concurrency IS 'Requests at the same time, at most; default 8.';
COMMENT ON COLUMN integration.endpoint.rate_limit IS 'Requests a second, at most; NULL: no limit.';
COMMENT ON COLUMN integration.endpoint.rate_burst IS 'Requests that may leave at once under rate_limit; default: one second''s worth.';
COMMENT ON COLUMN integration.endpoint.max_payload_bytes IS 'A larger payload is refused at the insert; default 1 MiB.';
COMMENT ON COLUMN integration.endpoint.payload_check IS 'A jsonpath predicate that a payload must fulfil to be inserted, such as $.id > 0.';
COMMENT ON COLUMN integration.endpoint.idempotent IS
    'May a request with unknown outcome be sent again? Default true. If false such a sync is failed for a person to look up.';
COMMENT ON COLUMN integration.endpoint.dedup_window IS 'How long a dedup_key makes a later sync a duplicate; default 24 h.';
COMMENT ON COLUMN integration.endpoint."coalesce" IS 'Only the newest pending state of an object is sent; default false.';
COMMENT ON COLUMN integration.endpoint.remote_id_path IS 'A jsonpath to the other system''s id in a good answer, such as $.id.';

INSERT INTO integration.retry_policy (name, schedule, jitter, deadline) VALUES
    ('standard', ARRAY['5 s', '30 s', '2 min', '10 min', '30 min', '2 h', '5 h', '10 h', '14 h', '20 h', '24 h']::interval[], 0.2, NULL),
    ('interactive', ARRAY['1 s', '3 s', '10 s', '30 s']::interval[], 0.2, '2 min'),
    ('nightly', ARRAY['10 min', '30 min', '1 h', '2 h', '4 h']::interval[], 0.2, '12 h'),
    ('none', ARRAY[]::interval[], 0, NULL);

CREATE VIEW integration.endpoint_config AS
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
                       ('remote_id_path', e.remote_id_path IS NOT NULL, c.remote_id_path IS NOT NULL)
               ) AS s (setting, own, inherited)) AS sources
  FROM integration.endpoint e
  LEFT JOIN integration.connector c ON c.name = e.connector;
COMMENT ON VIEW integration.endpoint_config IS
    'Each endpoint as the sender sees it, every setting resolved; sources says which of endpoint, connector or extension each value came from.';

-- A resolved setting means what the endpoint's own column means; these few it has not or not alone.
COMMENT ON COLUMN integration.endpoint_config.severity IS 'How much a failure hurts: 1 (worst) to 4; default 3.';
COMMENT ON COLUMN integration.endpoint_config.sla IS 'A sync should be delivered within this time after it became due; NULL: no promise.';
COMMENT ON COLUMN integration.endpoint_config.sources IS
    'JSON object: for each setting whether its value comes from the endpoint, the connector or the extension.';
DO $$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT a.attname AS name, col_description('integration.endpoint'::regclass, e.attnum) AS meaning
          FROM pg_catalog.pg_attribute a
          JOIN pg_catalog.pg_attribute e ON e.attrelid = 'integration.endpoint'::regclass AND e.attname = a.attname
         WHERE a.attrelid = 'integration.endpoint_config'::regclass
           AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN integration.endpoint_config.%I IS %L', col.name, col.meaning);
    END LOOP;
END
$$;
-- What a failure means: error classes, reasons.

CREATE TABLE integration.error_class (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]*$' AND name <> 'delivered'),
    title text NOT NULL,
    remedy text NOT NULL,
    customer_message text NOT NULL,
    shipped boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE integration.error_class IS
    'What a reason means: a label to group failures by; it decides nothing. Own classes may be added for integration.error_rule.';
COMMENT ON COLUMN integration.error_class.name IS 'What error_reason, error_rule, attempt and incident refer to.';
COMMENT ON COLUMN integration.error_class.title IS 'The class in a few words, for headings.';
COMMENT ON COLUMN integration.error_class.remedy IS 'What helps in general; the remedy of the reason is more exact.';
COMMENT ON COLUMN integration.error_class.customer_message IS 'What may be shown to the customer.';
COMMENT ON COLUMN integration.error_class.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

CREATE TABLE integration.error_reason (
    reason text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('curl', 'curl_multi', 'http', 'http_unofficial', 'http_range', 'internal')),
    code text NOT NULL,
    name text NOT NULL,
    since text,
    condition text,
    error_class text NOT NULL REFERENCES integration.error_class ON UPDATE CASCADE,
    remote_state text NOT NULL CHECK (remote_state IN ('not_reached', 'refused', 'unknown', 'done')),
    retryable text NOT NULL CHECK (retryable IN ('yes', 'if_idempotent', 'once', 'no', 'n/a')),
    retry_hint text NOT NULL
        CHECK (retry_hint IN ('backoff', 'retry_after', 'refresh_token', 'reconnect', 'slow', 'none')),
    scope text NOT NULL CHECK (scope IN ('sync', 'endpoint', 'worker', 'none')),
    breaker text NOT NULL CHECK (breaker IN ('count', 'trip', 'ignore')),
    concurrency text NOT NULL CHECK (concurrency IN ('decrease', 'neutral')),
    category text CHECK (category IN ('user_data', 'unsupported_data', 'integration_design',
                                      'application_failure', 'infrastructure_failure')),
    responsible text CHECK (responsible IN ('customer', 'support', 'engineering', 'operations', 'remote_vendor')),
    span_error_type text,
    remedy text NOT NULL,
    notes text,
    shipped boolean NOT NULL DEFAULT true,
    -- What may have been done must not be done again without asking whether that is harmless.
    CHECK (retryable NOT IN ('yes', 'once') OR remote_state NOT IN ('unknown', 'done'))
);
-- Serves the foreign key when a class is renamed or deleted.
CREATE INDEX error_reason_class ON integration.error_reason (error_class);

COMMENT ON TABLE integration.error_reason IS
    'Everything that can happen to an attempt: each code of libcurl, each HTTP status, our own conditions. These columns decide what comes next.';
COMMENT ON COLUMN integration.error_reason.reason IS 'What attempt.reason says, such as http:503 or curl:28:response.';
COMMENT ON COLUMN integration.error_reason.kind IS
    'curl, curl_multi, http (registered status), http_unofficial, http_range (any other status of that hundred) or internal.';
COMMENT ON COLUMN integration.error_reason.code IS 'The number or name in its kind.';
COMMENT ON COLUMN integration.error_reason.name IS 'Its official name.';
COMMENT ON COLUMN integration.error_reason.since IS 'Version or document that defines it.';
COMMENT ON COLUMN integration.error_reason.condition IS 'What tells it from other reasons of the same code; NULL: the code is enough.';
COMMENT ON COLUMN integration.error_reason.error_class IS 'The error class it belongs to.';
COMMENT ON COLUMN integration.error_reason.remote_state IS
    'What the other system did with the request: not_reached, refused, unknown or done.';
COMMENT ON COLUMN integration.error_reason.retryable IS
    'yes, if_idempotent (only where endpoint.idempotent), once (not if it happens twice in a row), no, n/a.';
COMMENT ON COLUMN integration.error_reason.retry_hint IS
    'backoff (the retry policy), retry_after (when the other side says so), slow (not before 10 min), refresh_token, reconnect or none.';
COMMENT ON COLUMN integration.error_reason.scope IS
    'Whose problem it is: sync, endpoint, worker (ours; never counted against the sync) or none.';
COMMENT ON COLUMN integration.error_reason.breaker IS
    'count (opens the breaker when there are many), trip (stops the endpoint at once) or ignore.';
COMMENT ON COLUMN integration.error_reason.concurrency IS 'decrease (send less at once) or neutral.';
COMMENT ON COLUMN integration.error_reason.category IS
    'user_data, unsupported_data, integration_design, application_failure or infrastructure_failure; NULL: no failure.';
COMMENT ON COLUMN integration.error_reason.responsible IS
    'Who can do something about it: customer, support, engineering, operations or remote_vendor; NULL: nobody has to.';
COMMENT ON COLUMN integration.error_reason.span_error_type IS
    'OpenTelemetry error.type of the span; <code>: the HTTP status.';
COMMENT ON COLUMN integration.error_reason.remedy IS 'What to do, in plain words.';
COMMENT ON COLUMN integration.error_reason.notes IS 'What engineering should know.';
COMMENT ON COLUMN integration.error_reason.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

CREATE FUNCTION integration_worker.own_error_text() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    NEW.shipped := false;
    -- A restored dump brings changed rows that CREATE EXTENSION has just made anew.
    IF TG_OP = 'INSERT' AND TG_TABLE_NAME = 'error_class' THEN
        UPDATE integration.error_class c
           SET (title, remedy, customer_message) = (NEW.title, NEW.remedy, NEW.customer_message)
         WHERE c.name = NEW.name AND c.shipped;
        RETURN CASE WHEN FOUND THEN NULL ELSE NEW END;
    END IF;
    IF TG_OP = 'INSERT' THEN
        DELETE FROM integration.error_reason r WHERE r.reason = NEW.reason AND r.shipped;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.own_error_text() IS
    'Marks rows that the user made or changed; an inserted row takes the place of the shipped one.';
-- The user's own reading of answers.

CREATE TABLE integration.error_rule (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position integer NOT NULL DEFAULT 100,
    endpoint text REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    connector text REFERENCES integration.connector ON UPDATE CASCADE ON DELETE CASCADE,
    reason text,
    status_from integer,
    status_to integer,
    match jsonpath,
    error_class text NOT NULL,
    retryable boolean NOT NULL DEFAULT false,
    note text
);
-- Serves settle(): the rules in the order they are tried.
CREATE INDEX error_rule_position ON integration.error_rule (position, id);

COMMENT ON TABLE integration.error_rule IS
    'The user''s own reading of answers: what fits becomes an error class, or delivered. Of several rules that fit the one with the lowest position holds.';
COMMENT ON COLUMN integration.error_rule.id IS 'Its number.';
COMMENT ON COLUMN integration.error_rule.position IS 'Rules are tried from the lowest to the highest.';
COMMENT ON COLUMN integration.error_rule.endpoint IS 'Only for this endpoint; endpoint and connector NULL: for all.';
COMMENT ON COLUMN integration.error_rule.connector IS 'Only for this connector''s endpoints.';
COMMENT ON COLUMN integration.error_rule.reason IS
    'Only for this error_reason, or for all that begin like it when it ends with *; NULL: any.';
COMMENT ON COLUMN integration.error_rule.status_from IS 'Only from this HTTP status on; alone: exactly this one.';
COMMENT ON COLUMN integration.error_rule.status_to IS 'Only up to this HTTP status.';
COMMENT ON COLUMN integration.error_rule.match IS
    'Only when this jsonpath over the answer''s JSON body is true or finds something, such as $.success == false.';
COMMENT ON COLUMN integration.error_rule.error_class IS 'What it means: an error class, or delivered.';
COMMENT ON COLUMN integration.error_rule.retryable IS
    'true: tried again by the retry policy; false: failed at once, for a person.';
COMMENT ON COLUMN integration.error_rule.note IS 'Why the rule is there.';

CREATE FUNCTION integration_worker.check_error_rule() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class_known boolean := NEW.error_class = 'delivered'
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
    PERFORM integration_worker.check_rule_target(NEW);
    PERFORM integration_worker.check_rule_condition(NEW);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_error_rule() IS
    'Row trigger that refuses error rules which mean nothing.';

CREATE FUNCTION integration_worker.check_rule_target(rule integration.error_rule) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF rule.endpoint IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.name = rule.endpoint) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('endpoint "%s" does not exist', rule.endpoint),
            HINT = 'Write the name of a row in integration.endpoint, or leave it out for all endpoints.';
    END IF;
    IF rule.connector IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.connector c WHERE c.name = rule.connector) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('connector "%s" does not exist', rule.connector),
            HINT = 'Write the name of a row in integration.connector, or leave it out for all endpoints.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.check_rule_target(integration.error_rule) IS
    'Refuses an error rule for an endpoint or connector that does not exist.';

CREATE FUNCTION integration_worker.check_rule_condition(rule integration.error_rule) RETURNS void
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
    IF NOT EXISTS (SELECT FROM integration.error_reason r
                    WHERE rule.reason IS NULL OR r.reason = rule.reason
                       OR (right(rule.reason, 1) = '*' AND starts_with(r.reason, left(rule.reason, -1)))) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('reason "%s" fits no row of integration.error_reason', rule.reason),
            HINT = 'Write a reason such as http:409, or the beginning of several followed by *, such as http:5*.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.check_rule_condition(integration.error_rule) IS
    'Refuses an error rule that fits nothing or everything.';

CREATE TRIGGER check_rule BEFORE INSERT OR UPDATE ON integration.error_rule
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_error_rule();

-- A class in use by a rule must not vanish under it; "delivered" is why this is no foreign key.
CREATE FUNCTION integration_worker.keep_used_class() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration.error_rule r WHERE r.error_class = OLD.name) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('error class "%s" is used by a rule', OLD.name),
            HINT = 'Change or delete the rows of integration.error_rule that name it first.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_used_class() IS
    'Row trigger that keeps error classes which a rule names.';

CREATE TRIGGER keep_used BEFORE DELETE OR UPDATE OF name ON integration.error_class
    FOR EACH ROW EXECUTE FUNCTION integration_worker.keep_used_class();
-- What we know: the error classes, one row for each reason.

INSERT INTO integration.error_class (name, title, remedy, customer_message) VALUES
    ('success', 'Delivered',
     'Nothing to do.',
     'Your data has arrived.'),
    ('deferred', 'Not sent yet',
     'Nothing to do: it is sent as soon as what holds it back is over.',
     'Your data is waiting for its turn and is sent automatically.'),
    ('dns', 'Address not found',
     'Check the host name in the endpoint''s url; if it is right, ask the other side whether their address changed.',
     'The other system cannot be found at the moment. We keep trying.'),
    ('connect', 'No connection',
     'Wait for the other system to come back; if it lasts, ask its operator and check the network path.',
     'The other system cannot be reached at the moment. We keep trying.'),
    ('tls', 'No secure connection',
     'Check the certificates of both sides: expired, for another name, from an unknown issuer, or ours is missing.',
     'A secure connection to the other system is not possible at the moment. Nothing was sent.'),
    ('proxy', 'Gateway problem',
     'Check the outgoing gateway of our network: its address, its login, its rules.',
     'Our network does not let the data out at the moment. We are looking into it.'),
    ('timeout_dns', 'Name look-up too slow',
     'Check the name service of our network.',
     'The other system cannot be found at the moment. We keep trying.'),
    ('timeout_connect', 'Connection too slow',
     'Wait for the other system to come back; if it lasts, check the network path or a firewall that drops the call.',
     'The other system does not react at the moment. We keep trying.'),
    ('timeout_tls', 'Secure connection too slow',
     'Wait; if it lasts, ask the operator of the other system.',
     'The other system does not react at the moment. We keep trying.'),
    ('timeout_queue', 'Waited too long on our side',
     'Allow more requests at the same time or a longer time-out for this endpoint.',
     'Your data is waiting for its turn and is sent automatically.'),
    ('timeout_send', 'Sending too slow',
     'Check the size of the data and the line; a longer time-out for this endpoint may help.',
     'Handing over your data took too long. We keep trying.'),
    ('timeout_response', 'No answer in time',
     'Look in the other system whether the work was done; ask its operator why it is slow, or allow a longer time-out.',
     'The other system took too long to answer. It is being checked whether your data arrived.'),
    ('timeout_body', 'Answer too slow',
     'Ask the operator of the other system why it is slow, or allow a longer time-out.',
     'The other system took too long to answer. We keep trying.'),
    ('reset', 'Connection broke',
     'Look in the other system whether the work was done, if it may not be done twice; otherwise it is tried again.',
     'The connection to the other system broke. It is being checked whether your data arrived.'),
    ('protocol', 'Answer breaks the rules',
     'Check that the address really leads to the other system''s API; if it does, its operator must repair it.',
     'The other system gave an answer that cannot be understood. We are looking into it.'),
    ('redirect', 'Address has moved',
     'Ask the other side for the final address and put it into the endpoint''s url; redirects are never followed.',
     'The other system has moved. We are changing the address.'),
    ('rate_limited', 'Sent too much',
     'Nothing to do: sending goes on at the pace the other side allows; if it lasts, agree on a higher limit.',
     'The other system asks us to slow down. Your data is sent a little later.'),
    ('auth', 'Login refused',
     'Renew the login data in the endpoint''s credential; everything that waits is then sent by itself.',
     'The other system does not accept our login. Please check the access you gave us, or contact us.'),
    ('permission', 'Not allowed',
     'Have the right granted at the other system, or the account put in order; everything that waits is then sent by itself.',
     'The other system does not allow this. Please check the rights of the access you gave us.'),
    ('not_found', 'Not found over there',
     'Check whether the record exists at the other system, and whether the endpoint''s url is right.',
     'The other system does not know this record. Please check whether it was deleted there.'),
    ('gone', 'Closed for good',
     'Remove the endpoint or ask the other side for a new address.',
     'The address you gave us has been shut down. Please tell us the new one.'),
    ('conflict', 'Conflict over there',
     'Compare the record here and there, decide which one holds, then retry, amend or cancel.',
     'The record was changed or exists already in the other system. Please compare both.'),
    ('validation', 'Data refused',
     'Correct the data that the answer names and amend the sync.',
     'The other system does not accept the data of this record. Please correct it.'),
    ('unsupported_data', 'Data cannot be represented',
     'Have the format or the characters changed so that the other system can take them.',
     'The other system cannot take this kind of data. We are looking into it.'),
    ('payload_too_large', 'Too large',
     'Make the record smaller or have it split.',
     'This record is too large for the other system. Please shorten it or leave out attachments.'),
    ('response_too_large', 'Answer too large',
     'Look in the other system whether the work was done; then ask for less data in the answer.',
     'The other system answered with too much data. It is being checked whether your data arrived.'),
    ('response_invalid', 'Answer unusable',
     'The work was probably done: look in the other system; its operator should check the answer.',
     'The other system gave an answer that cannot be read. It is being checked whether your data arrived.'),
    ('remote_error', 'Error over there',
     'Show the answer to the operator of the other system; it is usually a fault on their side.',
     'The other system reported an error. Its operator is being informed.'),
    ('remote_unavailable', 'Out of service',
     'Wait until the other system is back; everything that waits is then sent by itself.',
     'The other system is out of service at the moment. We keep trying.'),
    ('config', 'Set up wrongly',
     'Correct the settings of the endpoint, its credential or the server; everything that waits is then sent by itself.',
     'Your data cannot be sent because of a setting on our side. We are looking into it.'),
    ('local_resource', 'Out of resources here',
     'Check memory, disk and open files of our server.',
     'Our system is short of resources at the moment. We keep trying.'),
    ('internal', 'Fault in the sender',
     'Show the details to engineering.',
     'Something went wrong on our side. We are looking into it.'),
    ('cancelled', 'Stopped on purpose',
     'Nothing to do, unless it was in flight: then look in the other system.',
     'The transfer was stopped on purpose.'),
    ('expired', 'Too late',
     'Decide whether it is still needed; if so, amend it with a later expires_at or retry it.',
     'Your data could not be sent in time. Please contact us if it is still needed.'),
    ('blocked_by_policy', 'Blocked by our own policy',
     'Use an address, port and scheme that are allowed, or ask operations for an exception in integration.allowed_networks.',
     'The address you gave us may not be called for security reasons. Please tell us another one.');

-- The codes of one libcurl transfer (CURLcode).
INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,
    breaker, concurrency, category, responsible, span_error_type, remedy, notes) VALUES
    ('curl:0', 'curl', '0', 'CURLE_OK', '<=7.88', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: an answer arrived, now look at its status number.', 'The HTTP row decides the outcome.'),
    ('curl:1', 'curl', '1', 'CURLE_UNSUPPORTED_PROTOCOL', '<=7.88', 'no connection was made (opensocket callback not called)', 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address starts with something other than http or https; correct the address.', 'Also returned for a redirect to file:// etc.'),
    ('curl:1:http09', 'curl', '1', 'CURLE_UNSUPPORTED_PROTOCOL', '<=7.88', 'connected, error text says HTTP/0.9', 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', 'protocol', 'The other side answered with something that is not a web response; check that address and port are right and that no other device is answering.', 'Measured: reply without a status line gives code 1 on 7.88.1 and 8.21.'),
    ('curl:2', 'curl', '2', 'CURLE_FAILED_INIT', '<=7.88', NULL, 'internal', 'not_reached', 'yes', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'internal', 'The sending service could not start its network component; ask operations to check the server.', NULL),
    ('curl:3', 'curl', '3', 'CURLE_URL_MALFORMAT', '<=7.88', 'address is fixed in the endpoint settings', 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address is not a valid web address; correct it in the endpoint settings.', NULL),
    ('curl:3:data', 'curl', '3', 'CURLE_URL_MALFORMAT', '<=7.88', 'address is built from values of the record', 'validation', 'not_reached', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', 'validation', 'A value in this record makes the web address invalid; correct the value and send again.', NULL),
    ('curl:4', 'curl', '4', 'CURLE_NOT_BUILT_IN', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The server lacks a network feature that this connection needs; ask operations to install a suitable version.', NULL),
    ('curl:5', 'curl', '5', 'CURLE_COULDNT_RESOLVE_PROXY', '<=7.88', NULL, 'proxy', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', 'proxy', 'The outgoing gateway of our network could not be found; ask operations to check its name.', NULL),
    ('curl:6', 'curl', '6', 'CURLE_COULDNT_RESOLVE_HOST', '<=7.88', NULL, 'dns', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', 'dns', 'The name of the other system could not be found; it will be tried again, and if it persists ask them whether their address changed.', 'NXDOMAIN and temporary resolver failure are not distinguishable from the code.'),
    ('curl:7:refused', 'curl', '7', 'CURLE_COULDNT_CONNECT', '<=7.88', 'errno ECONNREFUSED', 'connect', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'connect', 'The other system is not accepting connections; it will be tried again automatically.', 'CURLINFO_OS_ERRNO is only meaningful on failure; since 8.x it may be stale on success.'),
    ('curl:7:unreachable', 'curl', '7', 'CURLE_COULDNT_CONNECT', '<=7.88', 'errno EHOSTUNREACH or ENETUNREACH or other', 'connect', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', 'connect', 'Our network cannot reach the other system; operations should check the network path.', NULL),
    ('curl:7:socket', 'curl', '7', 'CURLE_COULDNT_CONNECT', '<=7.88', 'unix socket with errno ENOENT or EACCES', 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The local connection point does not exist or may not be used; operations should check that the local service is running.', NULL),
    ('curl:7:blocked', 'curl', '7', 'CURLE_COULDNT_CONNECT', '<=7.88', 'our opensocket callback refused the address (own flag set)', 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'The address leads to a protected internal network and was blocked on purpose; use another address or ask operations for an exception.', 'Set an own flag in the callback: libcurl reports only code 7.'),
    ('curl:7:proxy', 'curl', '7', 'CURLE_COULDNT_CONNECT', '8.x', 'CURLINFO_HTTP_CONNECTCODE is not 0', 'proxy', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', 'proxy', 'The outgoing gateway of our network refused the connection; operations should check its rules.', 'Measured: refused CONNECT is 56 on 7.88.1 and 7 on 8.21. 407 there means gateway login.'),
    ('curl:8', 'curl', '8', 'CURLE_WEIRD_SERVER_REPLY', '<=7.88', NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The other system sent an answer that breaks the rules of the web; its operator must repair it.', 'Example: unusable Content-Length.'),
    ('curl:9', 'curl', '9', 'CURLE_REMOTE_ACCESS_DENIED', '<=7.88', NULL, 'permission', 'unknown', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'permission', 'The other system does not allow us in; ask its operator to grant access.', '(cannot occur: only http and https are enabled)'),
    ('curl:10', 'curl', '10', 'CURLE_FTP_ACCEPT_FAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:11', 'curl', '11', 'CURLE_FTP_WEIRD_PASS_REPLY', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:12', 'curl', '12', 'CURLE_FTP_ACCEPT_TIMEOUT', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:13', 'curl', '13', 'CURLE_FTP_WEIRD_PASV_REPLY', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:14', 'curl', '14', 'CURLE_FTP_WEIRD_227_FORMAT', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:15', 'curl', '15', 'CURLE_FTP_CANT_GET_HOST', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:17', 'curl', '17', 'CURLE_FTP_COULDNT_SET_TYPE', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:19', 'curl', '19', 'CURLE_FTP_COULDNT_RETR_FILE', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:21', 'curl', '21', 'CURLE_QUOTE_ERROR', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:25', 'curl', '25', 'CURLE_UPLOAD_FAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:30', 'curl', '30', 'CURLE_FTP_PORT_FAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:31', 'curl', '31', 'CURLE_FTP_COULDNT_USE_REST', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:36', 'curl', '36', 'CURLE_BAD_DOWNLOAD_RESUME', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:38', 'curl', '38', 'CURLE_LDAP_CANNOT_BIND', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:39', 'curl', '39', 'CURLE_LDAP_SEARCH_FAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:64', 'curl', '64', 'CURLE_USE_SSL_FAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:68', 'curl', '68', 'CURLE_TFTP_NOTFOUND', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:69', 'curl', '69', 'CURLE_TFTP_PERM', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:70', 'curl', '70', 'CURLE_REMOTE_DISK_FULL', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:71', 'curl', '71', 'CURLE_TFTP_ILLEGAL', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:72', 'curl', '72', 'CURLE_TFTP_UNKNOWNID', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:73', 'curl', '73', 'CURLE_REMOTE_FILE_EXISTS', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:74', 'curl', '74', 'CURLE_TFTP_NOSUCHUSER', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:78', 'curl', '78', 'CURLE_REMOTE_FILE_NOT_FOUND', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:79', 'curl', '79', 'CURLE_SSH', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:84', 'curl', '84', 'CURLE_FTP_PRET_FAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:85', 'curl', '85', 'CURLE_RTSP_CSEQ_ERROR', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:86', 'curl', '86', 'CURLE_RTSP_SESSION_ERROR', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:87', 'curl', '87', 'CURLE_FTP_BAD_FILE_LIST', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:88', 'curl', '88', 'CURLE_CHUNK_FAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The connection address uses a kind of service we do not support; ask engineering to correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:16', 'curl', '16', 'CURLE_HTTP2', '<=7.88', NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The connection to the other system broke in an unexpected way; it will be tried again, and if it repeats the connection can be switched to the older web standard.', 'Framing error or GOAWAY; if it repeats, fall back to HTTP/1.1 for the endpoint.'),
    ('curl:18:complete', 'curl', '18', 'CURLE_PARTIAL_FILE', '<=7.88', 'status 2xx was received and the body is not needed', 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'The other system confirmed the request although its answer was cut off; nothing to do.', NULL),
    ('curl:18', 'curl', '18', 'CURLE_PARTIAL_FILE', '<=7.88', 'otherwise', 'reset', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'reset', 'The answer was cut off on the way; it will be tried again.', NULL),
    ('curl:20', 'curl', '20', 'CURLE_OBSOLETE20', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:24', 'curl', '24', 'CURLE_OBSOLETE24', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:29', 'curl', '29', 'CURLE_OBSOLETE29', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:32', 'curl', '32', 'CURLE_OBSOLETE32', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:34', 'curl', '34', 'CURLE_HTTP_POST_ERROR', '<=7.88 (later CURLE_OBSOLETE34)', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:40', 'curl', '40', 'CURLE_OBSOLETE40', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:41', 'curl', '41', 'CURLE_FUNCTION_NOT_FOUND', '<=7.88 (later CURLE_OBSOLETE41)', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:44', 'curl', '44', 'CURLE_OBSOLETE44', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:46', 'curl', '46', 'CURLE_OBSOLETE46', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:50', 'curl', '50', 'CURLE_OBSOLETE50', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:51', 'curl', '51', 'CURLE_OBSOLETE51', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:57', 'curl', '57', 'CURLE_OBSOLETE57', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:62', 'curl', '62', 'CURLE_OBSOLETE62', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:75', 'curl', '75', 'CURLE_OBSOLETE75', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:76', 'curl', '76', 'CURLE_OBSOLETE76', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Retired number; libcurl no longer returns it.'),
    ('curl:22', 'curl', '22', 'CURLE_HTTP_RETURNED_ERROR', '<=7.88', NULL, 'internal', 'unknown', 'n/a', 'none', 'sync', 'ignore', 'neutral', NULL, NULL, 'internal', 'Look at the status number of the answer.', 'Only with CURLOPT_FAILONERROR, which must stay off; use the HTTP row.'),
    ('curl:23:limit', 'curl', '23', 'CURLE_WRITE_ERROR', '<=7.88', 'own write callback stopped at the size limit', 'response_too_large', 'unknown', 'no', 'none', 'sync', 'ignore', 'neutral', 'integration_design', 'engineering', 'response_too_large', 'The answer was larger than we accept; the request itself was received, so ask engineering to raise the limit or ask for less data.', NULL),
    ('curl:23:cancelled', 'curl', '23', 'CURLE_WRITE_ERROR', '<=7.88', 'own write callback stopped because of cancellation', 'cancelled', 'unknown', 'no', 'none', 'sync', 'ignore', 'neutral', NULL, NULL, 'cancelled', 'The request was stopped on purpose.', NULL),
    ('curl:23:memory', 'curl', '23', 'CURLE_WRITE_ERROR', '<=7.88', 'own write callback could not allocate', 'local_resource', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'local_resource', 'Our server ran short of memory while reading the answer; operations should check the server.', NULL),
    ('curl:26', 'curl', '26', 'CURLE_READ_ERROR', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our system could not read the data it wanted to send; engineering should look at the details.', NULL),
    ('curl:27', 'curl', '27', 'CURLE_OUT_OF_MEMORY', '<=7.88', 'no response status', 'local_resource', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'local_resource', 'Our server ran short of memory; operations should check the server.', NULL),
    ('curl:27:headers', 'curl', '27', 'CURLE_OUT_OF_MEMORY', '<8.6.0', 'a response status was received', 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'neutral', 'application_failure', 'remote_vendor', 'protocol', 'The other system sent an unreasonably long technical part in its answer; its operator must repair it.', 'Measured: 400 kB header line gives 27 on 7.88.1 and 100 on 8.21.'),
    ('curl:28:queue', 'curl', '28', 'CURLE_OPERATION_TIMEDOUT', '<=7.88', 'opensocket and prereq callbacks were never called and libcurl limits connections', 'timeout_queue', 'not_reached', 'yes', 'backoff', 'worker', 'ignore', 'neutral', 'integration_design', 'engineering', 'timeout_queue', 'The request waited too long in our own queue and was not sent; it will be tried again.', 'Avoid: do not use CURLMOPT_MAX_HOST_CONNECTIONS, the wait counts against CURLOPT_TIMEOUT_MS.'),
    ('curl:28:dns', 'curl', '28', 'CURLE_OPERATION_TIMEDOUT', '<=7.88', 'neither opensocket nor prereq callback was called', 'timeout_dns', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', 'timeout_dns', 'Looking up the name of the other system took too long; operations should check the name service.', NULL),
    ('curl:28:connect', 'curl', '28', 'CURLE_OPERATION_TIMEDOUT', '<=7.88', 'opensocket called, CURLINFO_NUM_CONNECTS is 0', 'timeout_connect', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'timeout_connect', 'The other system did not answer our call in time; it will be tried again.', NULL),
    ('curl:28:tls', 'curl', '28', 'CURLE_OPERATION_TIMEDOUT', '<=7.88', 'https, CURLINFO_NUM_CONNECTS is 1 or more, prereq callback not called', 'timeout_tls', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'timeout_tls', 'Setting up the secure connection took too long; it will be tried again.', 'CURLINFO_CONNECT_TIME_T stays 0 here on 7.88.1 to 8.21, so do not use it.'),
    ('curl:28:send', 'curl', '28', 'CURLE_OPERATION_TIMEDOUT', '<=7.88', 'prereq called, request body not completely sent', 'timeout_send', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'timeout_send', 'The data could not be handed over in time; it will be tried again.', NULL),
    ('curl:28:response', 'curl', '28', 'CURLE_OPERATION_TIMEDOUT', '<=7.88', 'request sent, no response header yet', 'timeout_response', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'timeout_response', 'The other system took too long to answer; it is not known whether it did the work, so check there before repeating by hand.', NULL),
    ('curl:28:complete', 'curl', '28', 'CURLE_OPERATION_TIMEDOUT', '<=7.88', 'status 2xx received, body not needed', 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'The other system confirmed the request although its answer was slow; nothing to do.', NULL),
    ('curl:28:body', 'curl', '28', 'CURLE_OPERATION_TIMEDOUT', '<=7.88', 'response header received, body incomplete', 'timeout_body', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'timeout_body', 'The answer of the other system came too slowly; it will be tried again.', NULL),
    ('curl:33', 'curl', '33', 'CURLE_RANGE_ERROR', '<=7.88', NULL, 'protocol', 'unknown', 'no', 'none', 'sync', 'ignore', 'neutral', 'integration_design', 'engineering', 'protocol', 'The other system cannot deliver parts of a document; engineering should ask for the whole document.', 'Only when a range was asked for.'),
    ('curl:35:refused', 'curl', '35', 'CURLE_SSL_CONNECT_ERROR', '<=7.88', 'handshake refused (alert in error text)', 'tls', 'not_reached', 'yes', 'slow', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'tls', 'No secure connection could be agreed with the other system; its operator or ours must bring the security settings in line.', 'TLS version, cipher, SNI; with TLS 1.2 also a missing client certificate.'),
    ('curl:35:reset', 'curl', '35', 'CURLE_SSL_CONNECT_ERROR', '<=7.88', 'connection closed or reset during handshake', 'tls', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'tls', 'The connection was dropped while it was being secured; it will be tried again.', 'Also when https is used on a plain http port.'),
    ('curl:37', 'curl', '37', 'CURLE_FILE_COULDNT_READ_FILE', '<=7.88', NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'The address points to a local file, which is not allowed; correct the address.', '(cannot occur: only http and https are enabled)'),
    ('curl:42:blocked', 'curl', '42', 'CURLE_ABORTED_BY_CALLBACK', '<=7.88', 'own prereq callback refused', 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'The address leads to a protected internal network and was blocked on purpose; use another address or ask operations for an exception.', NULL),
    ('curl:42:resent', 'curl', '42', 'CURLE_ABORTED_BY_CALLBACK', '<=7.88', 'own resend guard: prereq callback called a second time for one attempt', 'reset', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'reset', 'The connection broke while we waited for the answer; it is not known whether the other system did the work.', 'Stops the silent re-send of libcurl on a stale connection.'),
    ('curl:42:cancelled', 'curl', '42', 'CURLE_ABORTED_BY_CALLBACK', '<=7.88', 'own progress callback stopped it', 'cancelled', 'unknown', 'no', 'none', 'sync', 'ignore', 'neutral', NULL, NULL, 'cancelled', 'The request was stopped on purpose.', NULL),
    ('curl:43', 'curl', '43', 'CURLE_BAD_FUNCTION_ARGUMENT', '<=7.88', NULL, 'internal', 'not_reached', 'no', 'none', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', 'Also: sigv4 together with CURLOPT_PATH_AS_IS on 8.21+.'),
    ('curl:45', 'curl', '45', 'CURLE_INTERFACE_FAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The outgoing network address chosen for this connection is not usable; operations should correct it.', NULL),
    ('curl:47', 'curl', '47', 'CURLE_TOO_MANY_REDIRECTS', '<=7.88', NULL, 'redirect', 'unknown', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'remote_vendor', 'redirect', 'The other system keeps sending us from one address to another; its operator must repair it or give us the final address.', NULL),
    ('curl:48', 'curl', '48', 'CURLE_UNKNOWN_OPTION', '<=7.88', NULL, 'internal', 'not_reached', 'no', 'none', 'worker', 'ignore', 'neutral', 'integration_design', 'operations', 'internal', 'The installed network library is too old for a feature in use; ask operations to update it.', 'At start-up: check curl_version_info and disable the feature instead.'),
    ('curl:49', 'curl', '49', 'CURLE_SETOPT_OPTION_SYNTAX', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'A setting of this connection has the wrong form; correct the setting.', NULL),
    ('curl:52', 'curl', '52', 'CURLE_GOT_NOTHING', '<=7.88', NULL, 'reset', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'reset', 'The other system hung up without answering; it is not known whether it did the work.', 'Also http spoken to a TLS port. On a reused connection libcurl has already re-sent the request once.'),
    ('curl:53', 'curl', '53', 'CURLE_SSL_ENGINE_NOTFOUND', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'A security component is missing on our server; operations should install it.', NULL),
    ('curl:54', 'curl', '54', 'CURLE_SSL_ENGINE_SETFAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'A security component on our server cannot be used; operations should check it.', NULL),
    ('curl:55', 'curl', '55', 'CURLE_SEND_ERROR', '<=7.88', NULL, 'reset', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'reset', 'The connection broke while we were sending; it will be tried again.', NULL),
    ('curl:56', 'curl', '56', 'CURLE_RECV_ERROR', '<=7.88', 'default', 'reset', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'reset', 'The connection broke while we waited for the answer; it is not known whether the other system did the work.', NULL),
    ('curl:56:certificate', 'curl', '56', 'CURLE_RECV_ERROR', '<=7.88', 'error text contains a TLS alert such as certificate required / unknown ca / bad certificate', 'tls', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'tls', 'The other system wants proof of identity that we did not give or that it does not accept; operations should install the right certificate.', 'TLS 1.3 reports a missing client certificate only on the first read.'),
    ('curl:56:proxy', 'curl', '56', 'CURLE_RECV_ERROR', '<=8.20', 'CURLINFO_HTTP_CONNECTCODE is not 0', 'proxy', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', 'proxy', 'The outgoing gateway of our network refused the connection; operations should check its rules.', 'See code 7 for newer versions.'),
    ('curl:56:headers', 'curl', '56', 'CURLE_RECV_ERROR', '7.88.1 with Debian fix, 8.3.0+', 'error text says Too large response headers', 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'neutral', 'application_failure', 'remote_vendor', 'protocol', 'The other system sent an unreasonably long technical part in its answer; its operator must repair it.', NULL),
    ('curl:58', 'curl', '58', 'CURLE_SSL_CERTPROBLEM', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'Our own certificate or its key is unusable; operations should install a valid pair.', NULL),
    ('curl:59', 'curl', '59', 'CURLE_SSL_CIPHER', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The chosen security method is not available; operations should correct the security settings.', NULL),
    ('curl:60', 'curl', '60', 'CURLE_PEER_FAILED_VERIFICATION', '<=7.88', NULL, 'tls', 'not_reached', 'yes', 'slow', 'endpoint', 'trip', 'neutral', 'infrastructure_failure', 'remote_vendor', 'tls', 'The certificate of the other system is expired, unknown or for another name; its operator must renew it.', 'Nothing was sent. Retry slowly so that a renewal heals by itself; alert at once.'),
    ('curl:61', 'curl', '61', 'CURLE_BAD_CONTENT_ENCODING', '<=7.88', NULL, 'response_invalid', 'unknown', 'if_idempotent', 'backoff', 'sync', 'count', 'neutral', 'application_failure', 'remote_vendor', 'response_invalid', 'The answer of the other system was damaged; its operator should check it.', 'If status was 2xx and the body is not needed treat as success.'),
    ('curl:63', 'curl', '63', 'CURLE_FILESIZE_EXCEEDED', '<=7.88', NULL, 'response_too_large', 'unknown', 'no', 'none', 'sync', 'ignore', 'neutral', 'integration_design', 'engineering', 'response_too_large', 'The answer was larger than we accept; the request itself was received, so ask engineering to raise the limit or ask for less data.', '7.88.1 enforces it only with Content-Length; see write callback.'),
    ('curl:65', 'curl', '65', 'CURLE_SEND_FAIL_REWIND', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'reconnect', 'sync', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'The data could not be sent a second time on a new connection; it will be tried again from the start.', 'Cannot happen with CURLOPT_POSTFIELDS.'),
    ('curl:66', 'curl', '66', 'CURLE_SSL_ENGINE_INITFAILED', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'A security component on our server cannot be used; operations should check it.', NULL),
    ('curl:67', 'curl', '67', 'CURLE_LOGIN_DENIED', '<=7.88', NULL, 'auth', 'unknown', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'auth', 'The other system did not accept our login; renew the login data.', '(cannot occur: only http and https are enabled)'),
    ('curl:77', 'curl', '77', 'CURLE_SSL_CACERT_BADFILE', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The list of trusted authorities on our server cannot be read; operations should repair it.', NULL),
    ('curl:80', 'curl', '80', 'CURLE_SSL_SHUTDOWN_FAILED', '<=7.88', NULL, 'tls', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'tls', 'The secure connection could not be closed properly; it will be tried again if no answer had arrived.', NULL),
    ('curl:81', 'curl', '81', 'CURLE_AGAIN', '<=7.88', NULL, 'internal', 'not_reached', 'no', 'none', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', 'Only from curl_easy_send and curl_easy_recv.'),
    ('curl:82', 'curl', '82', 'CURLE_SSL_CRL_BADFILE', '<=7.88', NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The list of withdrawn certificates on our server cannot be read; operations should repair it.', NULL),
    ('curl:83', 'curl', '83', 'CURLE_SSL_ISSUER_ERROR', '<=7.88', NULL, 'tls', 'not_reached', 'yes', 'slow', 'endpoint', 'trip', 'neutral', 'infrastructure_failure', 'remote_vendor', 'tls', 'The certificate of the other system was issued by an unexpected authority; check with its operator before going on.', NULL),
    ('curl:89', 'curl', '89', 'CURLE_NO_CONNECTION_AVAILABLE', '<=7.88', NULL, 'deferred', 'not_reached', 'yes', 'backoff', 'worker', 'ignore', 'neutral', 'integration_design', 'engineering', NULL, 'All connections were busy; the request stays in the queue.', 'Internal to libcurl; normally not reported.'),
    ('curl:90', 'curl', '90', 'CURLE_SSL_PINNEDPUBKEYNOTMATCH', '<=7.88', NULL, 'tls', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'infrastructure_failure', 'operations', 'tls', 'The identity of the other system changed; confirm with its operator that this is intended before going on.', 'Treat as possible attack: stop the endpoint.'),
    ('curl:91', 'curl', '91', 'CURLE_SSL_INVALIDCERTSTATUS', '<=7.88', NULL, 'tls', 'not_reached', 'yes', 'slow', 'endpoint', 'trip', 'neutral', 'infrastructure_failure', 'remote_vendor', 'tls', 'The certificate of the other system was withdrawn or its state is unknown; its operator must renew it.', NULL),
    ('curl:92:refused', 'curl', '92', 'CURLE_HTTP2_STREAM', '<=7.88', 'error text says REFUSED_STREAM', 'reset', 'refused', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'reset', 'The other system was too busy to take the request; it will be tried again.', 'RFC 9113 section 8.7: refused streams were not processed.'),
    ('curl:92', 'curl', '92', 'CURLE_HTTP2_STREAM', '<=7.88', 'otherwise', 'reset', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'reset', 'The other system broke off the request; it is not known whether it did the work.', NULL),
    ('curl:93', 'curl', '93', 'CURLE_RECURSIVE_API_CALL', '<=7.88', NULL, 'internal', 'not_reached', 'no', 'none', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', NULL),
    ('curl:94', 'curl', '94', 'CURLE_AUTH_ERROR', '<=7.88', NULL, 'auth', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'auth', 'Our login could not be prepared; check the login data.', 'GSS/NTLM/Digest helpers; we do not enable them.'),
    ('curl:95', 'curl', '95', 'CURLE_HTTP3', '<=7.88', NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The connection to the other system broke in an unexpected way; it will be tried again with an older web standard.', 'HTTP/3 is not enabled by us.'),
    ('curl:96', 'curl', '96', 'CURLE_QUIC_CONNECT_ERROR', '<=7.88', NULL, 'connect', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'connect', 'The other system could not be reached; it will be tried again.', 'HTTP/3 is not enabled by us.'),
    ('curl:97', 'curl', '97', 'CURLE_PROXY', '<=7.88', NULL, 'proxy', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', 'proxy', 'The outgoing gateway of our network did not cooperate; operations should check it.', 'CURLINFO_PROXY_ERROR gives the SOCKS detail.'),
    ('curl:98', 'curl', '98', 'CURLE_SSL_CLIENTCERT', '<=7.88', NULL, 'tls', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'tls', 'The other system wants proof of identity; operations should install a client certificate for this connection.', NULL),
    ('curl:99', 'curl', '99', 'CURLE_UNRECOVERABLE_POLL', '<=7.88', NULL, 'local_resource', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'local_resource', 'Our server ran out of a system resource; operations should check the server.', 'Restart the worker.'),
    ('curl:100:headers', 'curl', '100', 'CURLE_TOO_LARGE', '8.6.0', 'a response status was received', 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'neutral', 'application_failure', 'remote_vendor', 'protocol', 'The other system sent an unreasonably long technical part in its answer; its operator must repair it.', NULL),
    ('curl:100:request', 'curl', '100', 'CURLE_TOO_LARGE', '8.6.0', 'no response: our address or header is over the limit', 'payload_too_large', 'not_reached', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', 'payload_too_large', 'A value in this record is too long to be sent; shorten it and send again.', NULL),
    ('curl:101', 'curl', '101', 'CURLE_ECH_REQUIRED', '8.8.0', NULL, 'tls', 'not_reached', 'yes', 'slow', 'endpoint', 'count', 'neutral', 'infrastructure_failure', 'remote_vendor', 'tls', 'An extra privacy feature of the connection failed; operations should check the setting.', 'ECH is not enabled by us.'),
    ('curl:other', 'curl', '>101', '(unknown future code)', 'future', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'count', 'neutral', 'infrastructure_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', 'Fallback row: keep curl_easy_strerror text.');

-- The codes of libcurl's multiplexer (CURLMcode).
INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,
    breaker, concurrency, category, responsible, span_error_type, remedy, notes) VALUES
    ('curl_multi:-1', 'curl_multi', '-1', 'CURLM_CALL_MULTI_PERFORM', '<=7.88', NULL, 'success', 'not_reached', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do.', 'Historic; call again.'),
    ('curl_multi:0', 'curl_multi', '0', 'CURLM_OK', '<=7.88', NULL, 'success', 'not_reached', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do.', NULL),
    ('curl_multi:1', 'curl_multi', '1', 'CURLM_BAD_HANDLE', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', 'Restart the worker.'),
    ('curl_multi:2', 'curl_multi', '2', 'CURLM_BAD_EASY_HANDLE', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', NULL),
    ('curl_multi:3', 'curl_multi', '3', 'CURLM_OUT_OF_MEMORY', '<=7.88', NULL, 'local_resource', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'local_resource', 'Our server ran short of memory; operations should check the server.', 'Restart the worker.'),
    ('curl_multi:4', 'curl_multi', '4', 'CURLM_INTERNAL_ERROR', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'The network library failed; engineering should look at the details.', 'Restart the worker.'),
    ('curl_multi:5', 'curl_multi', '5', 'CURLM_BAD_SOCKET', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', NULL),
    ('curl_multi:6', 'curl_multi', '6', 'CURLM_UNKNOWN_OPTION', '<=7.88', NULL, 'config', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'config', 'The installed network library is too old for a feature in use; ask operations to update it.', NULL),
    ('curl_multi:7', 'curl_multi', '7', 'CURLM_ADDED_ALREADY', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', NULL),
    ('curl_multi:8', 'curl_multi', '8', 'CURLM_RECURSIVE_API_CALL', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', NULL),
    ('curl_multi:9', 'curl_multi', '9', 'CURLM_WAKEUP_FAILURE', '<=7.88', NULL, 'local_resource', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'local_resource', 'Our server ran out of a system resource; operations should check the server.', NULL),
    ('curl_multi:10', 'curl_multi', '10', 'CURLM_BAD_FUNCTION_ARGUMENT', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', NULL),
    ('curl_multi:11', 'curl_multi', '11', 'CURLM_ABORTED_BY_CALLBACK', '<=7.88', NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'application_failure', 'engineering', 'internal', 'Our software made a mistake; engineering should look at the details.', 'A socket or timer callback returned an error.'),
    ('curl_multi:12', 'curl_multi', '12', 'CURLM_UNRECOVERABLE_POLL', '<=7.88', NULL, 'local_resource', 'unknown', 'if_idempotent', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'local_resource', 'Our server ran out of a system resource; operations should check the server.', 'Restart the worker.');

-- HTTP statuses, registered or not; the last ones stand for all others of their hundred.
INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,
    breaker, concurrency, category, responsible, span_error_type, remedy, notes) VALUES
    ('http:100', 'http', '100', 'Continue', 'RFC 9110', NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The other system started to answer but never finished; its operator should check it.', 'Interim response; libcurl skips it. Only a failure if it is the last thing seen.'),
    ('http:101', 'http', '101', 'Switching Protocols', 'RFC 9110', NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The other system started to answer but never finished; its operator should check it.', 'Interim response; libcurl skips it. Only a failure if it is the last thing seen.'),
    ('http:102', 'http', '102', 'Processing', 'RFC 2518', NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The other system started to answer but never finished; its operator should check it.', 'Interim response; libcurl skips it. Only a failure if it is the last thing seen.'),
    ('http:103', 'http', '103', 'Early Hints', 'RFC 8297', NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The other system started to answer but never finished; its operator should check it.', 'Interim response; libcurl skips it. Only a failure if it is the last thing seen.'),
    ('http:104', 'http', '104', 'Upload Resumption Supported', 'temporary, draft-ietf-httpbis-resumable-upload', NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The other system started to answer but never finished; its operator should check it.', 'Interim response; libcurl skips it. Only a failure if it is the last thing seen.'),
    ('http:200', 'http', '200', 'OK', 'RFC 9110', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', NULL),
    ('http:201', 'http', '201', 'Created', 'RFC 9110', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', 'Location may name the new resource.'),
    ('http:202', 'http', '202', 'Accepted', 'RFC 9110', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', 'Accepted, not yet done: poll or wait for a callback if the endpoint says so.'),
    ('http:203', 'http', '203', 'Non-Authoritative Information', 'RFC 9110', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', 'A gateway changed the answer.'),
    ('http:204', 'http', '204', 'No Content', 'RFC 9110', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', NULL),
    ('http:205', 'http', '205', 'Reset Content', 'RFC 9110', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', NULL),
    ('http:206', 'http', '206', 'Partial Content', 'RFC 9110', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', 'Unexpected unless a range was asked for.'),
    ('http:208', 'http', '208', 'Already Reported', 'RFC 5842', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', NULL),
    ('http:226', 'http', '226', 'IM Used', 'RFC 3229', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', NULL),
    ('http:207', 'http', '207', 'Multi-Status', 'RFC 4918', NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do if every part succeeded; otherwise look at the parts that failed.', 'Judge each part by its own status.'),
    ('http:300', 'http', '300', 'Multiple Choices', 'RFC 9110', NULL, 'redirect', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '300', 'The other system has moved; ask it for the new address and correct the endpoint settings.', NULL),
    ('http:301', 'http', '301', 'Moved Permanently', 'RFC 9110', NULL, 'redirect', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '301', 'The other system has moved; ask it for the new address and correct the endpoint settings.', 'Never followed: Standard Webhooks and CloudEvents webhook both forbid it. Show CURLINFO_REDIRECT_URL.'),
    ('http:302', 'http', '302', 'Found', 'RFC 9110', NULL, 'redirect', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '302', 'The other system sends us elsewhere, often to a login page; check the address and the login data.', NULL),
    ('http:303', 'http', '303', 'See Other', 'RFC 9110', NULL, 'redirect', 'unknown', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '303', 'The other system took the request and points to another page for the result; engineering should decide whether that counts as done.', 'The work was probably done: never re-send blindly.'),
    ('http:304:conditional', 'http', '304', 'Not Modified', 'RFC 9110', 'the request was conditional', 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: nothing changed since the last time.', NULL),
    ('http:304', 'http', '304', 'Not Modified', 'RFC 9110', 'the request was not conditional', 'protocol', 'unknown', 'no', 'none', 'endpoint', 'count', 'neutral', 'application_failure', 'remote_vendor', '304', 'The other system gave an answer that does not fit the request; its operator should check it.', NULL),
    ('http:305', 'http', '305', 'Use Proxy', 'RFC 9110', NULL, 'redirect', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '305', 'The other system demands an outdated gateway; ask its operator for a direct address.', 'Deprecated.'),
    ('http:306', 'http', '306', '(Unused)', 'RFC 9110', NULL, 'redirect', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'application_failure', 'remote_vendor', '306', 'The other system gave an answer that does not fit the request; its operator should check it.', NULL),
    ('http:307', 'http', '307', 'Temporary Redirect', 'RFC 9110', NULL, 'redirect', 'refused', 'yes', 'slow', 'endpoint', 'count', 'neutral', 'integration_design', 'engineering', '307', 'The other system has moved for a while; it will be tried again later, or use the new address.', NULL),
    ('http:308', 'http', '308', 'Permanent Redirect', 'RFC 9110', NULL, 'redirect', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '308', 'The other system has moved; ask it for the new address and correct the endpoint settings.', NULL),
    ('http:400', 'http', '400', 'Bad Request', 'RFC 9110', NULL, 'validation', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', '400', 'The other system did not accept the data of this record; correct the data it names and send again.', 'If every sync fails with 400 the mapping is wrong: category integration_design, owner engineering.'),
    ('http:401', 'http', '401', 'Unauthorized', 'RFC 9110', NULL, 'auth', 'refused', 'once', 'refresh_token', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '401', 'The other system did not accept our login; renew the login data of this connection.', 'OAuth: drop the cached token, fetch a new one, try once; then stop the endpoint.'),
    ('http:402', 'http', '402', 'Payment Required', 'RFC 9110', NULL, 'permission', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'support', '402', 'The account at the other system has reached its plan limit or has an unpaid bill; the account owner must settle it.', NULL),
    ('http:403:limited', 'http', '403', 'Forbidden', 'RFC 9110', 'Retry-After present, or a RateLimit / X-RateLimit-Remaining header shows 0', 'rate_limited', 'refused', 'yes', 'retry_after', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '403', 'We sent too much in a short time; sending continues automatically at a lower speed.', NULL),
    ('http:403', 'http', '403', 'Forbidden', 'RFC 9110', 'otherwise', 'permission', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '403', 'Our account may not do this at the other system; its administrator must grant the right.', 'If only some records fail: scope sync, category user_data. Error insufficient_scope means the OAuth scope is too small.'),
    ('http:404', 'http', '404', 'Not Found', 'RFC 9110', 'nothing has succeeded on this endpoint address recently', 'not_found', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '404', 'The address does not exist at the other system; correct the address in the endpoint settings.', NULL),
    ('http:404:item', 'http', '404', 'Not Found', 'RFC 9110', 'other syncs of this endpoint succeed', 'not_found', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', '404', 'The record we want to change does not exist at the other system; create or link it there and send again.', 'For DELETE treat as success if the endpoint allows it.'),
    ('http:405', 'http', '405', 'Method Not Allowed', 'RFC 9110', NULL, 'config', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '405', 'The other system does not offer this kind of action at this address; engineering should correct the connection.', 'Allow header lists the methods.'),
    ('http:406', 'http', '406', 'Not Acceptable', 'RFC 9110', NULL, 'config', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '406', 'The other system cannot answer in the form we ask for; engineering should correct the connection.', NULL),
    ('http:407', 'http', '407', 'Proxy Authentication Required', 'RFC 9110', NULL, 'proxy', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'infrastructure_failure', 'operations', '407', 'The outgoing gateway of our network wants a login; operations should provide it.', NULL),
    ('http:408', 'http', '408', 'Request Timeout', 'RFC 9110', NULL, 'timeout_send', 'refused', 'yes', 'reconnect', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '408', 'The other system did not receive the request in time; it will be tried again.', 'RFC 9110: the request may be repeated on a new connection.'),
    ('http:409', 'http', '409', 'Conflict', 'RFC 9110', NULL, 'conflict', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'user_data', 'customer', '409', 'The record was changed at the other system in the meantime or already exists there; compare both and send again.', 'With Idempotency-Key it can mean the first attempt is still running: back off and retry a few times.'),
    ('http:410', 'http', '410', 'Gone', 'RFC 9110', NULL, 'gone', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'customer', '410', 'The receiver has shut this address down for good; remove the connection or ask for a new address.', 'Standard Webhooks: disable the endpoint.'),
    ('http:411', 'http', '411', 'Length Required', 'RFC 9110', NULL, 'protocol', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '411', 'The other system wants to know the size beforehand; engineering should correct the connection.', 'Send with a known size, never chunked.'),
    ('http:412', 'http', '412', 'Precondition Failed', 'RFC 9110', NULL, 'conflict', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', '412', 'The record was changed at the other system since we last read it; read it again and repeat the change.', NULL),
    ('http:413:retry_after', 'http', '413', 'Content Too Large', 'RFC 9110', 'Retry-After present', 'payload_too_large', 'refused', 'yes', 'retry_after', 'sync', 'ignore', 'neutral', 'infrastructure_failure', 'remote_vendor', '413', 'The other system cannot take this amount of data right now; it will be tried again.', NULL),
    ('http:413', 'http', '413', 'Content Too Large', 'RFC 9110', 'otherwise', 'payload_too_large', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'unsupported_data', 'engineering', '413', 'The record is too large for the other system; leave out attachments or ask engineering to split it.', 'Reduce the batch size first when several records were sent together.'),
    ('http:414', 'http', '414', 'URI Too Long', 'RFC 9110', NULL, 'payload_too_large', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'integration_design', 'engineering', '414', 'The web address built from this record is too long; engineering should send the values in another way.', NULL),
    ('http:415', 'http', '415', 'Unsupported Media Type', 'RFC 9110', NULL, 'unsupported_data', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'unsupported_data', 'engineering', '415', 'The other system does not understand the format we send; engineering should choose another format.', 'Check Content-Type and Content-Encoding; Accept-Post / Accept-Encoding may tell.'),
    ('http:416', 'http', '416', 'Range Not Satisfiable', 'RFC 9110', NULL, 'protocol', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'integration_design', 'engineering', '416', 'The part of the document we asked for does not exist; engineering should correct the request.', NULL),
    ('http:417', 'http', '417', 'Expectation Failed', 'RFC 9110', NULL, 'protocol', 'refused', 'once', 'reconnect', 'endpoint', 'count', 'neutral', 'integration_design', 'engineering', '417', 'The other system does not like a technical detail of our request; it is repeated without it.', 'We always remove Expect: so a 417 is rare.'),
    ('http:418', 'http', '418', '(Unused)', 'RFC 9110', NULL, 'permission', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '418', 'The other system takes us for an unwanted robot; ask its operator to allow our system.', 'Reserved; some bot filters use it.'),
    ('http:421', 'http', '421', 'Misdirected Request', 'RFC 9110', NULL, 'protocol', 'refused', 'yes', 'reconnect', 'endpoint', 'count', 'neutral', 'infrastructure_failure', 'remote_vendor', '421', 'The request went to the wrong server of the other company; it is repeated over a fresh connection.', 'Safe for every method; set CURLOPT_FRESH_CONNECT for the repeat.'),
    ('http:422', 'http', '422', 'Unprocessable Content', 'RFC 9110', NULL, 'validation', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', '422', 'The other system understood the record but refuses its content; correct the fields it names and send again.', 'With Idempotency-Key it can mean the key was used with another body: category integration_design.'),
    ('http:423', 'http', '423', 'Locked', 'RFC 4918', NULL, 'conflict', 'refused', 'yes', 'backoff', 'sync', 'ignore', 'neutral', 'user_data', 'customer', '423', 'Somebody is working on this record at the other system; it will be tried again, or close it there.', NULL),
    ('http:424', 'http', '424', 'Failed Dependency', 'RFC 4918', NULL, 'remote_error', 'refused', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'application_failure', 'remote_vendor', '424', 'Another step at the other system failed first; it will be tried again.', NULL),
    ('http:425', 'http', '425', 'Too Early', 'RFC 8470', NULL, 'remote_unavailable', 'refused', 'yes', 'backoff', 'endpoint', 'ignore', 'neutral', 'infrastructure_failure', 'remote_vendor', '425', 'The other system asks us to repeat the request; this happens automatically.', 'Retry without TLS early data; we never send early data.'),
    ('http:426', 'http', '426', 'Upgrade Required', 'RFC 9110', NULL, 'config', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '426', 'The other system wants a newer kind of connection; engineering should change the setting.', 'Upgrade header names it.'),
    ('http:428', 'http', '428', 'Precondition Required', 'RFC 6585', NULL, 'config', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '428', 'The other system wants us to say which version of the record we change; engineering should add that.', 'Send If-Match.'),
    ('http:429', 'http', '429', 'Too Many Requests', 'RFC 6585', NULL, 'rate_limited', 'refused', 'yes', 'retry_after', 'endpoint', 'ignore', 'decrease', 'infrastructure_failure', 'remote_vendor', '429', 'We sent too much in a short time; sending continues automatically at a lower speed.', 'Does not count as an attempt toward giving up and does not open the breaker; pause the endpoint until Retry-After.'),
    ('http:431', 'http', '431', 'Request Header Fields Too Large', 'RFC 6585', NULL, 'payload_too_large', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '431', 'The technical part of our request is too long; engineering should shorten it.', NULL),
    ('http:451', 'http', '451', 'Unavailable For Legal Reasons', 'RFC 7725', NULL, 'permission', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'support', '451', 'The other system may not process this for legal reasons; a person has to decide how to go on.', NULL),
    ('http:500', 'http', '500', 'Internal Server Error', 'RFC 9110', NULL, 'remote_error', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'neutral', 'application_failure', 'remote_vendor', '500', 'The other system had an internal failure; it will be tried again, and its operator should look into it if it lasts.', 'If only one sync fails again and again it is probably poison data: category unsupported_data.'),
    ('http:501', 'http', '501', 'Not Implemented', 'RFC 9110', NULL, 'config', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '501', 'The other system does not offer this function; engineering should use another way.', NULL),
    ('http:502', 'http', '502', 'Bad Gateway', 'RFC 9110', NULL, 'remote_unavailable', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '502', 'A gateway of the other system could not reach its own service; it will be tried again.', NULL),
    ('http:503:retry_after', 'http', '503', 'Service Unavailable', 'RFC 9110', 'Retry-After present', 'remote_unavailable', 'refused', 'yes', 'retry_after', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '503', 'The other system is overloaded or in maintenance; sending continues automatically when it is back.', NULL),
    ('http:503', 'http', '503', 'Service Unavailable', 'RFC 9110', 'no Retry-After', 'remote_unavailable', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '503', 'The other system is overloaded or in maintenance; it will be tried again automatically.', 'Some gateways send it after the request had been passed on.'),
    ('http:504', 'http', '504', 'Gateway Timeout', 'RFC 9110', NULL, 'remote_unavailable', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', '504', 'The other system took too long behind its gateway; it is not known whether it did the work.', NULL),
    ('http:505', 'http', '505', 'HTTP Version Not Supported', 'RFC 9110', NULL, 'protocol', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '505', 'The other system does not speak the web version we use; engineering should change the setting.', NULL),
    ('http:506', 'http', '506', 'Variant Also Negotiates', 'RFC 2295', NULL, 'remote_error', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'application_failure', 'remote_vendor', '506', 'The other system is set up wrongly; its operator must repair it.', NULL),
    ('http:507', 'http', '507', 'Insufficient Storage', 'RFC 4918', NULL, 'remote_unavailable', 'refused', 'yes', 'slow', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '507', 'The other system has run out of space; its operator or account owner must make room.', NULL),
    ('http:508', 'http', '508', 'Loop Detected', 'RFC 5842', NULL, 'remote_error', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'application_failure', 'remote_vendor', '508', 'The other system went round in circles with this record; its operator should check it.', NULL),
    ('http:510', 'http', '510', 'Not Extended', 'RFC 2774 (obsoleted)', NULL, 'config', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '510', 'The other system wants extra information that we do not send; engineering should correct the connection.', NULL),
    ('http:511', 'http', '511', 'Network Authentication Required', 'RFC 6585', NULL, 'proxy', 'refused', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', '511', 'A gateway on the way wants a login before letting us through; operations should clear this.', NULL),
    ('http:1xx', 'http_range', '1xx', 'unassigned 1xx', NULL, NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', 'protocol', 'The other system started to answer but never finished; its operator should check it.', 'RFC 9110 15: treat an unknown code as the x00 of its class.'),
    ('http:2xx', 'http_range', '2xx', 'unassigned 2xx', NULL, NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: the other system confirmed the request.', NULL),
    ('http:3xx', 'http_range', '3xx', 'unassigned 3xx', NULL, NULL, 'redirect', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '<code>', 'The other system has moved; ask it for the new address and correct the endpoint settings.', NULL),
    ('http:4xx', 'http_range', '4xx', 'unassigned 4xx', NULL, NULL, 'validation', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', '<code>', 'The other system did not accept the request; correct the data it names and send again.', NULL),
    ('http:5xx', 'http_range', '5xx', 'unassigned 5xx', NULL, NULL, 'remote_error', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'neutral', 'application_failure', 'remote_vendor', '<code>', 'The other system had a failure; it will be tried again.', NULL),
    ('http:invalid', 'http_range', '0 or <100 or >599', 'invalid status', NULL, NULL, 'protocol', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', '<code>', 'The other system sent an answer that breaks the rules of the web; its operator must repair it.', 'libcurl accepts three digits; treat >=600 as 500 per RFC 9110 section 15.'),
    ('http:419', 'http_unofficial', '419', 'Page Expired (Laravel)', NULL, NULL, 'auth', 'refused', 'once', 'refresh_token', 'endpoint', 'count', 'neutral', 'integration_design', 'engineering', '419', 'The other system expected a browser session; engineering should use its programming interface address.', NULL),
    ('http:420', 'http_unofficial', '420', 'Enhance Your Calm / Method Failure', NULL, NULL, 'rate_limited', 'refused', 'yes', 'retry_after', 'endpoint', 'ignore', 'decrease', 'infrastructure_failure', 'remote_vendor', '420', 'We sent too much in a short time; sending continues automatically at a lower speed.', NULL),
    ('http:430', 'http_unofficial', '430', 'Shopify security rejection / header too large', NULL, NULL, 'permission', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '430', 'The other system takes our request for an attack; ask its operator to allow our system.', NULL),
    ('http:440', 'http_unofficial', '440', 'Login Time-out (Microsoft)', NULL, NULL, 'auth', 'refused', 'once', 'refresh_token', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '440', 'Our login at the other system has run out; renew the login data.', NULL),
    ('http:444', 'http_unofficial', '444', 'No Response (nginx log only)', NULL, NULL, 'reset', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', '444', 'The other system hung up without answering; its operator should check its filters.', NULL),
    ('http:449', 'http_unofficial', '449', 'Retry With (Microsoft)', NULL, NULL, 'validation', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', '449', 'The other system needs more information for this record; complete it and send again.', NULL),
    ('http:460', 'http_unofficial', '460', 'Client closed (AWS load balancer)', NULL, NULL, 'timeout_send', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'integration_design', 'engineering', '460', 'Our side gave up too early; engineering should allow more time.', NULL),
    ('http:463', 'http_unofficial', '463', 'Too many forwarded addresses (AWS)', NULL, NULL, 'config', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '463', 'The request passed too many gateways; operations should check the network path.', NULL),
    ('http:464', 'http_unofficial', '464', 'Incompatible protocol (AWS)', NULL, NULL, 'protocol', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '464', 'The gateway of the other system does not speak the web version we use; engineering should change the setting.', NULL),
    ('http:494', 'http_unofficial', '494', 'Request header too large (nginx)', NULL, NULL, 'payload_too_large', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '494', 'The technical part of our request is too long; engineering should shorten it.', NULL),
    ('http:495', 'http_unofficial', '495', 'SSL certificate error (nginx)', NULL, NULL, 'tls', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '495', 'Our certificate is not accepted by the other system; operations should install a valid one.', NULL),
    ('http:496', 'http_unofficial', '496', 'SSL certificate required (nginx)', NULL, NULL, 'tls', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '496', 'The other system wants proof of identity; operations should install a client certificate.', NULL),
    ('http:497', 'http_unofficial', '497', 'HTTP request sent to HTTPS port (nginx)', NULL, NULL, 'config', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', '497', 'The address must start with https; correct the endpoint settings.', NULL),
    ('http:498', 'http_unofficial', '498', 'Invalid token (Esri)', NULL, NULL, 'auth', 'refused', 'once', 'refresh_token', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '498', 'The other system did not accept our login; renew the login data.', NULL),
    ('http:499', 'http_unofficial', '499', 'Client closed request (nginx) / Token required (Esri)', NULL, NULL, 'timeout_response', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', '499', 'The other system took too long and the connection was closed; it is not known whether it did the work.', NULL),
    ('http:509', 'http_unofficial', '509', 'Bandwidth limit exceeded', NULL, NULL, 'rate_limited', 'refused', 'yes', 'slow', 'endpoint', 'ignore', 'decrease', 'infrastructure_failure', 'remote_vendor', '509', 'The other system has used up its traffic allowance; its account owner must extend it.', NULL),
    ('http:520', 'http_unofficial', '520', 'Unknown error (Cloudflare)', NULL, NULL, 'remote_error', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', '520', 'The service behind the gateway of the other system failed; it will be tried again.', NULL),
    ('http:521', 'http_unofficial', '521', 'Web server is down (Cloudflare)', NULL, NULL, 'remote_unavailable', 'refused', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '521', 'The other system is switched off behind its gateway; it will be tried again.', NULL),
    ('http:522', 'http_unofficial', '522', 'Connection timed out (Cloudflare)', NULL, NULL, 'remote_unavailable', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '522', 'The gateway of the other system could not reach its service; it will be tried again.', NULL),
    ('http:523', 'http_unofficial', '523', 'Origin is unreachable (Cloudflare)', NULL, NULL, 'remote_unavailable', 'refused', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '523', 'The gateway of the other system could not reach its service; it will be tried again.', NULL),
    ('http:524', 'http_unofficial', '524', 'A timeout occurred (Cloudflare)', NULL, NULL, 'remote_unavailable', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'application_failure', 'remote_vendor', '524', 'The other system took too long behind its gateway; it is not known whether it did the work.', NULL),
    ('http:525', 'http_unofficial', '525', 'SSL handshake failed (Cloudflare)', NULL, NULL, 'remote_unavailable', 'refused', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '525', 'The other system has a security fault inside its own network; its operator must repair it.', NULL),
    ('http:526', 'http_unofficial', '526', 'Invalid SSL certificate (Cloudflare)', NULL, NULL, 'remote_unavailable', 'refused', 'yes', 'slow', 'endpoint', 'count', 'neutral', 'infrastructure_failure', 'remote_vendor', '526', 'The other system has an invalid certificate inside its own network; its operator must renew it.', NULL),
    ('http:527', 'http_unofficial', '527', 'Railgun error (Cloudflare, retired)', NULL, NULL, 'remote_unavailable', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '527', 'The gateway of the other system could not reach its service; it will be tried again.', NULL),
    ('http:529', 'http_unofficial', '529', 'Site is overloaded', NULL, NULL, 'remote_unavailable', 'refused', 'yes', 'retry_after', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', '529', 'The other system is overloaded; sending continues automatically when it has recovered.', NULL),
    ('http:530', 'http_unofficial', '530', 'Origin DNS error / site frozen', NULL, NULL, 'remote_unavailable', 'refused', 'yes', 'slow', 'endpoint', 'count', 'neutral', 'infrastructure_failure', 'remote_vendor', '530', 'The other system is set up wrongly or frozen; its operator must repair it.', NULL),
    ('http:540', 'http_unofficial', '540', 'Temporarily disabled (Shopify)', NULL, NULL, 'remote_unavailable', 'refused', 'yes', 'slow', 'endpoint', 'trip', 'neutral', 'infrastructure_failure', 'remote_vendor', '540', 'The other system has been switched off for a while; its account owner should ask why.', NULL),
    ('http:561', 'http_unofficial', '561', 'Identity provider error (AWS load balancer)', NULL, NULL, 'auth', 'refused', 'yes', 'backoff', 'endpoint', 'count', 'neutral', 'infrastructure_failure', 'remote_vendor', '561', 'The login service of the other system failed; it will be tried again.', NULL),
    ('http:598', 'http_unofficial', '598', 'Network read timeout (some proxies)', NULL, NULL, 'timeout_response', 'unknown', 'if_idempotent', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', '598', 'A gateway on the way took too long; it will be tried again.', NULL),
    ('http:599', 'http_unofficial', '599', 'Network connect timeout (some proxies)', NULL, NULL, 'timeout_connect', 'refused', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'operations', '599', 'A gateway on the way could not reach the other system; it will be tried again.', NULL),
    ('http:783', 'http_unofficial', '783', 'Unexpected token (Shopify)', NULL, NULL, 'validation', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'integration_design', 'engineering', '783', 'The other system could not read our data; engineering should check the format.', NULL),
    ('http:999', 'http_unofficial', '999', 'Request denied (LinkedIn)', NULL, NULL, 'permission', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', '999', 'The other system takes us for an unwanted robot; ask its operator to allow our system.', NULL);

-- Our own conditions.
INSERT INTO integration.error_reason (reason, kind, code, name, since, condition, error_class, remote_state, retryable, retry_hint, scope,
    breaker, concurrency, category, responsible, span_error_type, remedy, notes) VALUES
    ('cancelled_by_user', 'internal', 'cancelled_by_user', 'cancelled by a person or program', NULL, NULL, 'cancelled', 'unknown', 'no', 'none', 'sync', 'ignore', 'neutral', NULL, NULL, 'cancelled', 'The request was stopped on purpose.', 'If it was in flight the result is unknown.'),
    ('expired', 'internal', 'expired', 'deadline passed', NULL, NULL, 'expired', 'not_reached', 'no', 'none', 'sync', 'ignore', 'neutral', 'infrastructure_failure', 'support', 'expired', 'The sync became too old to be useful before it could be delivered; decide whether it is still needed.', 'CloudEvents expirytime maps here. Keep the class of the last attempt as the cause.'),
    ('attempts_exhausted', 'internal', 'attempts_exhausted', 'all planned attempts used', NULL, NULL, 'expired', 'unknown', 'no', 'none', 'sync', 'ignore', 'neutral', 'infrastructure_failure', 'support', 'expired', 'All planned attempts failed; look at the last reason and send again when it is solved.', 'Inherit category and owner of the last attempt.'),
    ('blocked_private_address', 'internal', 'blocked_private_address', 'address policy', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'The address leads to a protected internal network and was blocked on purpose; use another address or ask operations for an exception.', NULL),
    ('blocked_scheme', 'internal', 'blocked_scheme', 'plain http not allowed', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'blocked_by_policy', 'Only secure addresses are allowed; use an address that starts with https.', NULL),
    ('blocked_port', 'internal', 'blocked_port', 'port not allowed', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'blocked_by_policy', 'The connection uses a port that is not allowed; operations can allow it if it is needed.', NULL),
    ('blocked_host', 'internal', 'blocked_host', 'host not on the allow list', NULL, NULL, 'blocked_by_policy', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'blocked_by_policy', 'The receiver is not on the list of allowed partners; operations can add it.', NULL),
    ('endpoint_disabled', 'internal', 'endpoint_disabled', 'endpoint switched off', NULL, NULL, 'deferred', 'not_reached', 'yes', 'none', 'endpoint', 'ignore', 'neutral', NULL, 'support', NULL, 'The connection is switched off; switch it on again when the reason is solved.', NULL),
    ('circuit_open', 'internal', 'circuit_open', 'endpoint paused after failures', NULL, NULL, 'deferred', 'not_reached', 'yes', 'backoff', 'endpoint', 'ignore', 'neutral', NULL, NULL, NULL, 'The other system is being given time to recover; sending continues automatically.', 'Not an attempt.'),
    ('throttled', 'internal', 'throttled', 'own rate limit reached', NULL, NULL, 'deferred', 'not_reached', 'yes', 'backoff', 'endpoint', 'ignore', 'neutral', NULL, NULL, NULL, 'The agreed speed is used up; sending continues automatically.', 'Not an attempt.'),
    ('blocked_by_predecessor', 'internal', 'blocked_by_predecessor', 'earlier sync of the same record has not been delivered', NULL, NULL, 'deferred', 'not_reached', 'yes', 'none', 'sync', 'ignore', 'neutral', NULL, 'support', NULL, 'An earlier change of the same record must be delivered first; solve that one.', NULL),
    ('duplicate', 'internal', 'duplicate', 'already delivered', NULL, NULL, 'success', 'done', 'n/a', 'none', 'none', 'ignore', 'neutral', NULL, NULL, NULL, 'Nothing to do: this was delivered before.', NULL),
    ('template_error', 'internal', 'template_error', 'request could not be built', NULL, NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'engineering', 'config', 'The request could not be put together; engineering should correct the mapping.', NULL),
    ('template_data_error', 'internal', 'template_data_error', 'request could not be built from this record', NULL, NULL, 'validation', 'not_reached', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', 'validation', 'A value needed for the request is missing or has the wrong form; correct the record and send again.', NULL),
    ('payload_schema', 'internal', 'payload_schema', 'own check of the payload failed', NULL, NULL, 'validation', 'not_reached', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', 'validation', 'The record does not meet the agreed form; correct the fields named and send again.', NULL),
    ('payload_too_large_local', 'internal', 'payload_too_large_local', 'payload larger than the endpoint limit', NULL, NULL, 'payload_too_large', 'not_reached', 'no', 'none', 'sync', 'ignore', 'neutral', 'unsupported_data', 'engineering', 'payload_too_large', 'The record is too large for this connection; leave out attachments or ask engineering to split it.', NULL),
    ('payload_unencodable', 'internal', 'payload_unencodable', 'characters cannot be represented', NULL, NULL, 'unsupported_data', 'not_reached', 'no', 'none', 'sync', 'ignore', 'neutral', 'unsupported_data', 'engineering', 'unsupported_data', 'The record contains characters the other system cannot take; remove them or ask engineering for a rule.', NULL),
    ('secret_missing', 'internal', 'secret_missing', 'secret not found', NULL, NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The login data of this connection are missing; operations should enter them.', NULL),
    ('secret_unreadable', 'internal', 'secret_unreadable', 'secret could not be read', NULL, NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The login data of this connection cannot be read; operations should check the rights.', NULL),
    ('signing_failed', 'internal', 'signing_failed', 'signature could not be made', NULL, NULL, 'config', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'config', 'The request could not be signed; operations should check the signing key.', NULL),
    ('oauth_rejected', 'internal', 'oauth_rejected', 'token endpoint says invalid_client / unauthorized_client / invalid_scope / unsupported_grant_type', NULL, NULL, 'auth', 'not_reached', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'auth', 'The login service did not accept our login data; renew them or ask for the missing right.', NULL),
    ('oauth_unavailable', 'internal', 'oauth_unavailable', 'token endpoint not reachable or 5xx', NULL, NULL, 'remote_unavailable', 'not_reached', 'yes', 'backoff', 'endpoint', 'count', 'decrease', 'infrastructure_failure', 'remote_vendor', 'remote_unavailable', 'The login service of the other system is not available; it will be tried again.', NULL),
    ('oauth_rate_limited', 'internal', 'oauth_rate_limited', 'token endpoint says 429', NULL, NULL, 'rate_limited', 'not_reached', 'yes', 'retry_after', 'endpoint', 'ignore', 'neutral', 'infrastructure_failure', 'remote_vendor', 'rate_limited', 'The login service asks us to wait; sending continues automatically.', NULL),
    ('insufficient_scope', 'internal', 'insufficient_scope', 'Bearer error insufficient_scope', NULL, NULL, 'permission', 'refused', 'no', 'none', 'endpoint', 'trip', 'neutral', 'integration_design', 'operations', 'permission', 'Our account lacks a right at the other system; its administrator must grant it.', NULL),
    ('clock_skew', 'internal', 'clock_skew', 'signature refused because of the time', NULL, NULL, 'auth', 'not_reached', 'yes', 'slow', 'endpoint', 'count', 'neutral', 'infrastructure_failure', 'operations', 'auth', 'The clock of our server is wrong; operations should correct it.', 'Compare the Date header with our clock; more than 5 minutes is a finding.'),
    ('response_rejected', 'internal', 'response_rejected', '2xx but the body reports an error', NULL, NULL, 'remote_error', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', 'remote_error', 'The other system received the record but reported a problem with it; correct what it names and send again.', 'Needs an endpoint rule.'),
    ('response_invalid', 'internal', 'response_invalid', '2xx but the body cannot be used', NULL, NULL, 'response_invalid', 'done', 'no', 'none', 'sync', 'ignore', 'neutral', 'application_failure', 'remote_vendor', 'response_invalid', 'The other system confirmed the request but its answer cannot be read; its operator should check it.', NULL),
    ('partial_failure', 'internal', 'partial_failure', 'some records of a batch failed', NULL, NULL, 'validation', 'refused', 'no', 'none', 'sync', 'ignore', 'neutral', 'user_data', 'customer', 'validation', 'Some records of a group were refused; correct those and send them again.', 'Re-send only the failed records.'),
    ('ack_callback_missing', 'internal', 'ack_callback_missing', 'accepted but no result arrived in time', NULL, NULL, 'timeout_response', 'unknown', 'if_idempotent', 'slow', 'sync', 'ignore', 'neutral', 'application_failure', 'remote_vendor', 'timeout_response', 'The other system accepted the request but never reported the result; ask its operator.', NULL),
    ('worker_crash', 'internal', 'worker_crash', 'sender stopped while the request was in flight', NULL, NULL, 'reset', 'unknown', 'if_idempotent', 'backoff', 'sync', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'reset', 'Our server stopped in the middle of sending; it is not known whether the other system did the work.', 'Found at restart: attempt row without end.'),
    ('shutdown', 'internal', 'shutdown', 'sender was stopped before sending', NULL, NULL, 'deferred', 'not_reached', 'yes', 'none', 'worker', 'ignore', 'neutral', NULL, NULL, NULL, 'The service was restarted; sending continues automatically.', NULL),
    ('db_unavailable', 'internal', 'db_unavailable', 'own database refused work', NULL, NULL, 'local_resource', 'not_reached', 'yes', 'backoff', 'worker', 'ignore', 'neutral', 'infrastructure_failure', 'operations', 'local_resource', 'Our database was not available; operations should check it.', NULL),
    ('unknown', 'internal', 'unknown', 'not classified', NULL, NULL, 'internal', 'unknown', 'if_idempotent', 'backoff', 'sync', 'count', 'neutral', 'application_failure', 'engineering', 'internal', 'An unknown technical problem occurred; engineering should look at the details.', NULL);

-- From here on rows are the user's own.
ALTER TABLE integration.error_class ALTER COLUMN shipped SET DEFAULT false;
ALTER TABLE integration.error_reason ALTER COLUMN shipped SET DEFAULT false;

CREATE TRIGGER own_text BEFORE INSERT OR UPDATE ON integration.error_class
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_error_text();
CREATE TRIGGER own_text BEFORE INSERT OR UPDATE ON integration.error_reason
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_error_text();
-- What was asked: the outbox.
-- What is left of it: the queue.

CREATE TABLE integration.outbox (
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    endpoint text NOT NULL,
    object_type text,
    object_id text,
    operation text NOT NULL DEFAULT 'upsert',
    payload jsonb NOT NULL,
    headers jsonb,
    customer text,
    ordering_key text,
    dedup_key text,
    priority text NOT NULL DEFAULT 'normal',
    impact numeric,
    send_after timestamptz,
    expires_at timestamptz,
    traceparent text DEFAULT nullif(current_setting('integration.traceparent', true), ''),
    triggered_by text DEFAULT nullif(current_setting('integration.triggered_by', true), ''),
    trigger_ref text DEFAULT nullif(current_setting('integration.trigger_ref', true), ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    enqueued_by name NOT NULL DEFAULT session_user,
    enqueued_from text DEFAULT nullif(current_setting('application_name', true), ''),
    replay_of bigint
) PARTITION BY RANGE (id);

-- Keys and indexes stand on the partitions: had the parent any, ATTACH would make them in a restored range
-- before the dump does.  Ranges are made like the default partition, and their bounds keep the key unique.
CREATE TABLE integration.outbox_default PARTITION OF integration.outbox (PRIMARY KEY (id)) DEFAULT;
COMMENT ON TABLE integration.outbox_default IS 'Syncs whose id is in no range of its own.';

-- Serves "where is PO-1001?": object_status, sync by object.
CREATE INDEX outbox_default_object ON integration.outbox_default (object_id, object_type) WHERE object_id IS NOT NULL;

COMMENT ON TABLE integration.outbox IS
    'What was asked: one row for each sync, immutable, inserted by the application in its own transaction. INSERT … RETURNING id is all it takes.';
COMMENT ON COLUMN integration.outbox.id IS 'The number of the sync, given by the table; never written by hand.';
COMMENT ON COLUMN integration.outbox.endpoint IS 'Where to: the name of an endpoint.';
COMMENT ON COLUMN integration.outbox.object_type IS 'The kind of business object, such as order.';
COMMENT ON COLUMN integration.outbox.object_id IS 'The business reference, such as PO-1001. Without it there is no sync_status.';
COMMENT ON COLUMN integration.outbox.operation IS
    'What happened to the object; default upsert. ping is what integration.ping() enqueues: a HEAD request without the payload.';
COMMENT ON COLUMN integration.outbox.payload IS 'The body of the request, sent as given.';
COMMENT ON COLUMN integration.outbox.headers IS 'JSON object of headers for this sync; wins over the endpoint''s.';
COMMENT ON COLUMN integration.outbox.customer IS 'Whose object it is; NULL: the endpoint''s customer.';
COMMENT ON COLUMN integration.outbox.ordering_key IS 'Syncs of one endpoint and key go one at a time in the order of their ids.';
COMMENT ON COLUMN integration.outbox.dedup_key IS 'A later sync of the same endpoint and key within dedup_window is closed as a duplicate and not sent.';
COMMENT ON COLUMN integration.outbox.priority IS 'high, normal or low.';
COMMENT ON COLUMN integration.outbox.impact IS 'What is at stake, in a unit of your own.';
COMMENT ON COLUMN integration.outbox.send_after IS 'Not sent before; NULL: at once.';
COMMENT ON COLUMN integration.outbox.expires_at IS 'Not sent from here on; the sync is then expired. NULL: never.';
COMMENT ON COLUMN integration.outbox.traceparent IS 'W3C trace context it belongs to; default: the setting integration.traceparent.';
COMMENT ON COLUMN integration.outbox.triggered_by IS 'Who or what in the application caused it; default: the setting integration.triggered_by.';
COMMENT ON COLUMN integration.outbox.trigger_ref IS 'The application''s own reference for the cause; default: the setting integration.trigger_ref.';
COMMENT ON COLUMN integration.outbox.created_at IS 'When the inserting transaction began.';
COMMENT ON COLUMN integration.outbox.enqueued_by IS 'The database user of the session.';
COMMENT ON COLUMN integration.outbox.enqueued_from IS 'The application_name of the session.';
COMMENT ON COLUMN integration.outbox.replay_of IS 'The sync that this one sends again, by replay() or amend().';

CREATE TABLE integration.queue (
    outbox_id bigint PRIMARY KEY,
    endpoint_id integer NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'retrying', 'failed')),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    charged integer NOT NULL DEFAULT 0,
    payload_bytes integer NOT NULL,
    priority smallint NOT NULL DEFAULT 2,
    expires_at timestamptz,
    ordering_key text,
    place bigint,
    object_type text,
    object_id text,
    claimed_at timestamptz,
    error_class text,
    change_xid xid8 NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- The primary key alone serves look-ups by id: a plan made while the queue is empty would take any index that
-- has outbox_id in it, and walk the whole of it when the queue is full.  So the others hold an expression.
-- Serves take(): the next due rows of one endpoint and priority, forward only.
CREATE INDEX queue_due ON integration.queue (endpoint_id, priority, due_at, (outbox_id + 0)) WHERE state <> 'failed';
-- Serves feed(), flood(), take(): what became worth looking at since the last snapshot, one endpoint's flood skipped.
-- By due_at, so that one row tells whether the rest of a flood lies ahead of a cursor.
CREATE INDEX queue_change ON integration.queue (change_xid, endpoint_id, due_at, (outbox_id + 0));
-- Serves take() and settle(): the earlier unfinished sync, and the successor, of an ordering key.
CREATE INDEX queue_ordering ON integration.queue (endpoint_id, ordering_key, coalesce(place, outbox_id))
    WHERE ordering_key IS NOT NULL;
-- Serves expire(): what is to be closed next.
CREATE INDEX queue_expires ON integration.queue (expires_at) WHERE expires_at IS NOT NULL AND state <> 'failed';
-- Serves the view failed, retry_where() and the end of an incident.
CREATE INDEX queue_failed ON integration.queue (endpoint_id, error_class, outbox_id) WHERE state = 'failed';
-- Serves recover(): marks that a worker left behind.
CREATE INDEX queue_claimed ON integration.queue (claimed_at) WHERE claimed_at IS NOT NULL;
-- Serves take() and supersede(): the newer and the older syncs of an object.
CREATE INDEX queue_object ON integration.queue (endpoint_id, object_id, object_type, coalesce(place, outbox_id), outbox_id)
    WHERE object_id IS NOT NULL;

COMMENT ON TABLE integration.queue IS
    'What is left to do: one row for each sync that is not finished. Written by the extension; use the view integration.sync.';
COMMENT ON COLUMN integration.queue.outbox_id IS 'The sync.';
COMMENT ON COLUMN integration.queue.endpoint_id IS 'endpoint.id.';
COMMENT ON COLUMN integration.queue.state IS 'pending (not tried yet, or due), retrying (failed, next attempt is scheduled) or failed (a person must act).';
COMMENT ON COLUMN integration.queue.due_at IS 'Not sent before.';
COMMENT ON COLUMN integration.queue.attempts IS 'Attempts made so far.';
COMMENT ON COLUMN integration.queue.charged IS 'How many of them count towards giving up.';
COMMENT ON COLUMN integration.queue.payload_bytes IS 'Bytes of the payload as sent.';
COMMENT ON COLUMN integration.queue.priority IS '1 high, 2 normal, 3 low; 0 a ping.';
COMMENT ON COLUMN integration.queue.expires_at IS 'outbox.expires_at.';
COMMENT ON COLUMN integration.queue.ordering_key IS 'outbox.ordering_key.';
COMMENT ON COLUMN integration.queue.place IS
    'Where it stands under its ordering key and among the states of its object: the sync whose place amend() or replay() gave it; NULL: its own id.';
COMMENT ON COLUMN integration.queue.object_type IS 'outbox.object_type where the endpoint coalesces.';
COMMENT ON COLUMN integration.queue.object_id IS 'outbox.object_id where the endpoint coalesces.';
COMMENT ON COLUMN integration.queue.claimed_at IS 'When a request to an endpoint that is not idempotent was about to leave; NULL: none has.';
COMMENT ON COLUMN integration.queue.error_class IS 'Error class of the last attempt.';
COMMENT ON COLUMN integration.queue.change_xid IS 'The transaction that last made this row worth looking at for the worker.';

CREATE TABLE integration.closing (
    outbox_id bigint PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('cancelled', 'expired', 'superseded')),
    closed_at timestamptz NOT NULL DEFAULT now(),
    reason text,
    superseded_by bigint
);
COMMENT ON TABLE integration.closing IS 'How a sync ended that was not delivered.';
COMMENT ON COLUMN integration.closing.outbox_id IS 'The sync.';
COMMENT ON COLUMN integration.closing.state IS 'cancelled, expired or superseded.';
COMMENT ON COLUMN integration.closing.closed_at IS 'When.';
COMMENT ON COLUMN integration.closing.reason IS 'Why, in words, or an error_reason.';
COMMENT ON COLUMN integration.closing.superseded_by IS 'The sync that took its place.';

-- Serves integration.sync by state: proves at once that no closing is failed or pending.
CREATE INDEX closing_state ON integration.closing (state, closed_at);
-- Serves retention: what somebody gave up or was too late, among the many that gave way to a newer sync.
CREATE INDEX closing_given_up ON integration.closing (outbox_id) WHERE state <> 'superseded';

CREATE TABLE integration.dedup (
    endpoint_id integer NOT NULL,
    dedup_key text COLLATE "C" NOT NULL,
    outbox_id bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (endpoint_id, dedup_key)
);
COMMENT ON TABLE integration.dedup IS
    'Which sync a dedup_key stands for at each endpoint: one row for each key within its window. Written by the extension.';
COMMENT ON COLUMN integration.dedup.endpoint_id IS 'endpoint.id.';
COMMENT ON COLUMN integration.dedup.dedup_key IS 'outbox.dedup_key.';
COMMENT ON COLUMN integration.dedup.outbox_id IS 'The first sync with this key: later ones are its duplicates.';
COMMENT ON COLUMN integration.dedup.expires_at IS 'From here on the next sync with this key is a first one again.';

-- Serves forget_duplicates(): the oldest keys.
CREATE INDEX dedup_expires ON integration.dedup (expires_at);
-- What happened: attempts, the state of each business object.

CREATE TABLE integration.attempt (
    outbox_id bigint NOT NULL,
    attempt_no integer NOT NULL,
    endpoint_id integer NOT NULL,
    started_at timestamptz NOT NULL,
    duration_ms integer,
    dns_ms integer,
    connect_ms integer,
    tls_ms integer,
    first_byte_ms integer,
    outcome text NOT NULL CHECK (outcome IN ('delivered', 'failed')),
    reason text NOT NULL,
    error_class text,
    http_status integer,
    error text,
    request_url text,
    remote_address inet,
    response_headers jsonb,
    response_body text,
    trace_id text,
    span_id text,
    next_attempt_at timestamptz
) PARTITION BY RANGE (outbox_id);

-- As with the outbox, keys and indexes stand on the partitions.
CREATE TABLE integration.attempt_default PARTITION OF integration.attempt (PRIMARY KEY (outbox_id, attempt_no)) DEFAULT;
COMMENT ON TABLE integration.attempt_default IS 'Attempts of syncs whose id is in no range of its own.';

-- Serves endpoint_status: the last hour of each endpoint.
CREATE INDEX attempt_default_recent ON integration.attempt_default (endpoint_id, started_at);
-- Serves retention: the few syncs of a range that are kept longer.
CREATE INDEX attempt_default_failed ON integration.attempt_default (outbox_id) WHERE outcome = 'failed';

COMMENT ON TABLE integration.attempt IS 'One try at a sync, immutable: what was sent, what came back, what it means.';
COMMENT ON COLUMN integration.attempt.outbox_id IS 'The sync.';
COMMENT ON COLUMN integration.attempt.attempt_no IS 'Counts from 1.';
COMMENT ON COLUMN integration.attempt.endpoint_id IS 'endpoint.id.';
COMMENT ON COLUMN integration.attempt.started_at IS 'When the request was begun.';
COMMENT ON COLUMN integration.attempt.duration_ms IS 'From start to end, in milliseconds.';
COMMENT ON COLUMN integration.attempt.dns_ms IS 'Name look-up, in milliseconds; NULL: not reached or connection reused.';
COMMENT ON COLUMN integration.attempt.connect_ms IS 'TCP connection, in milliseconds; NULL: not reached or connection reused.';
COMMENT ON COLUMN integration.attempt.tls_ms IS 'TLS handshake, in milliseconds; NULL: not reached, not used or connection reused.';
COMMENT ON COLUMN integration.attempt.first_byte_ms IS 'From start to the first byte of the answer, in milliseconds.';
COMMENT ON COLUMN integration.attempt.outcome IS 'delivered or failed.';
COMMENT ON COLUMN integration.attempt.reason IS 'The exact thing that happened: see integration.error_reason.';
COMMENT ON COLUMN integration.attempt.error_class IS 'What the reason means; NULL when delivered.';
COMMENT ON COLUMN integration.attempt.http_status IS 'HTTP status; NULL when no answer arrived.';
COMMENT ON COLUMN integration.attempt.error IS 'Details of the failure in words.';
COMMENT ON COLUMN integration.attempt.request_url IS 'The address with its placeholders filled in.';
COMMENT ON COLUMN integration.attempt.remote_address IS 'The address that was connected to.';
COMMENT ON COLUMN integration.attempt.response_headers IS 'Headers of the answer, names in lower case, without those of the connection (RFC 9110 §7.6.1).';
COMMENT ON COLUMN integration.attempt.response_body IS 'The answer''s first 64 KiB.';
COMMENT ON COLUMN integration.attempt.trace_id IS 'W3C trace id, 32 hex digits.';
COMMENT ON COLUMN integration.attempt.span_id IS 'W3C span id of this attempt, 16 hex digits.';
COMMENT ON COLUMN integration.attempt.next_attempt_at IS
    'When the next attempt was scheduled; NULL: none, or as soon as the endpoint that it stopped is called again.';

CREATE TABLE integration.sync_status (
    endpoint_id integer NOT NULL,
    object_type text NOT NULL,
    object_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('in_sync', 'failing', 'failed')),
    last_outbox_id bigint NOT NULL,
    last_attempt_at timestamptz NOT NULL,
    delivered_outbox_id bigint,
    delivered_at timestamptz,
    error_class text,
    error text,
    remote_id text,
    failures integer NOT NULL DEFAULT 0,
    -- In this order it also serves "where is PO-1001?", which names no endpoint.
    PRIMARY KEY (object_id, object_type, endpoint_id)
) WITH (fillfactor = 80);

COMMENT ON TABLE integration.sync_status IS 'How each business object stands at each endpoint; use the view integration.object_status.';
COMMENT ON COLUMN integration.sync_status.endpoint_id IS 'endpoint.id.';
COMMENT ON COLUMN integration.sync_status.object_type IS 'outbox.object_type; empty where none was given.';
COMMENT ON COLUMN integration.sync_status.object_id IS 'outbox.object_id.';
COMMENT ON COLUMN integration.sync_status.state IS 'in_sync, failing (will be tried again) or failed (a person must act).';
COMMENT ON COLUMN integration.sync_status.last_outbox_id IS 'The newest sync of the object that was tried.';
COMMENT ON COLUMN integration.sync_status.last_attempt_at IS 'When.';
COMMENT ON COLUMN integration.sync_status.delivered_outbox_id IS 'The newest sync of the object that was delivered.';
COMMENT ON COLUMN integration.sync_status.delivered_at IS 'When.';
COMMENT ON COLUMN integration.sync_status.error_class IS 'Error class of the last attempt; NULL when it was delivered.';
COMMENT ON COLUMN integration.sync_status.error IS 'Details of the last failure.';
COMMENT ON COLUMN integration.sync_status.remote_id IS 'The other system''s id for the object; fills {remote_id}.';
COMMENT ON COLUMN integration.sync_status.failures IS 'Failed attempts in a row.';
-- How endpoints do: health, incidents, pauses, what people did.

CREATE TABLE integration.endpoint_health (
    endpoint_id integer PRIMARY KEY,
    state text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open', 'stopped')),
    since timestamptz NOT NULL DEFAULT now(),
    open_until timestamptz,
    openings integer NOT NULL DEFAULT 0,
    retry_after_until timestamptz,
    "window" integer,
    failures integer NOT NULL DEFAULT 0,
    tripped_by bigint,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_reason text,
    last_error text,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE integration.endpoint_health IS
    'One row for each endpoint that was called: its breaker. Written on a change of state, otherwise at most every ten seconds; use integration.endpoint_status.';
COMMENT ON COLUMN integration.endpoint_health.endpoint_id IS 'endpoint.id.';
COMMENT ON COLUMN integration.endpoint_health.state IS
    'closed (calls flow), open (too many failures, waits until open_until), half_open (one probe is out), stopped (cannot work until somebody acts; probed seldom).';
COMMENT ON COLUMN integration.endpoint_health.since IS 'Since when it is in this state.';
COMMENT ON COLUMN integration.endpoint_health.open_until IS 'When the next probe may leave, while open or stopped.';
COMMENT ON COLUMN integration.endpoint_health.openings IS 'Probes that failed in a row since it opened or stopped, plus one; 0 when closed.';
COMMENT ON COLUMN integration.endpoint_health.retry_after_until IS 'The other side asked to be left alone until then.';
COMMENT ON COLUMN integration.endpoint_health."window" IS 'How many at once, when this row was written.';
COMMENT ON COLUMN integration.endpoint_health.failures IS 'Countable failures in a row, when this row was written.';
COMMENT ON COLUMN integration.endpoint_health.tripped_by IS 'The sync whose attempt stopped the endpoint.';
COMMENT ON COLUMN integration.endpoint_health.last_success_at IS 'Last delivery, to ten seconds.';
COMMENT ON COLUMN integration.endpoint_health.last_failure_at IS 'Last failure, to ten seconds.';
COMMENT ON COLUMN integration.endpoint_health.last_reason IS 'Reason of the last failure.';
COMMENT ON COLUMN integration.endpoint_health.last_error IS 'Details of the last failure.';
COMMENT ON COLUMN integration.endpoint_health.updated_at IS 'When this row was written.';

CREATE TABLE integration.incident (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint text NOT NULL,
    error_class text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'snoozed', 'resolved', 'ignored')),
    severity smallint NOT NULL DEFAULT 3,
    owner text,
    responsible text,
    remedy text,
    opened_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    resolved_at timestamptz,
    assignee text,
    syncs bigint NOT NULL DEFAULT 0,
    objects bigint NOT NULL DEFAULT 0,
    customers bigint NOT NULL DEFAULT 0,
    impact numeric,
    example bigint,
    note text
);
-- One open problem for each endpoint and error class.
CREATE UNIQUE INDEX incident_open ON integration.incident (endpoint, error_class) WHERE resolved_at IS NULL;

COMMENT ON TABLE integration.incident IS 'An open problem that groups failures: one endpoint and one error class.';
COMMENT ON COLUMN integration.incident.id IS 'Its number.';
COMMENT ON COLUMN integration.incident.endpoint IS 'The endpoint''s name.';
COMMENT ON COLUMN integration.incident.error_class IS 'The error class.';
COMMENT ON COLUMN integration.incident.state IS 'open, acknowledged, snoozed, resolved or ignored.';
COMMENT ON COLUMN integration.incident.severity IS '1 (worst) to 4, from the connector.';
COMMENT ON COLUMN integration.incident.owner IS 'The team.';
COMMENT ON COLUMN integration.incident.responsible IS 'The party: customer, support, engineering, operations or remote_vendor.';
COMMENT ON COLUMN integration.incident.remedy IS 'What to do, in plain words.';
COMMENT ON COLUMN integration.incident.opened_at IS 'When it was opened.';
COMMENT ON COLUMN integration.incident.last_seen_at IS 'When a failure was last added, to ten seconds.';
COMMENT ON COLUMN integration.incident.acknowledged_at IS 'When somebody took it.';
COMMENT ON COLUMN integration.incident.resolved_at IS 'When it ended.';
COMMENT ON COLUMN integration.incident.assignee IS 'Who took it.';
COMMENT ON COLUMN integration.incident.syncs IS 'Failures counted into it.';
COMMENT ON COLUMN integration.incident.objects IS 'Different business objects among them.';
COMMENT ON COLUMN integration.incident.customers IS 'Different customers among them.';
COMMENT ON COLUMN integration.incident.impact IS 'Sum of the syncs'' impact.';
COMMENT ON COLUMN integration.incident.example IS 'A sync that shows it.';
COMMENT ON COLUMN integration.incident.note IS 'What people wrote.';

CREATE TABLE integration.pause (
    scope text NOT NULL CHECK (scope IN ('all', 'connector', 'endpoint', 'customer')),
    name text NOT NULL DEFAULT '',
    reason text NOT NULL,
    actor name NOT NULL DEFAULT session_user,
    since timestamptz NOT NULL DEFAULT now(),
    until timestamptz,
    PRIMARY KEY (scope, name)
);
COMMENT ON TABLE integration.pause IS
    'Kill switches in force: they hold sending, never enqueueing. Written by integration.pause() and integration.resume().';
COMMENT ON COLUMN integration.pause.scope IS 'all, connector, endpoint or customer.';
COMMENT ON COLUMN integration.pause.name IS 'Which one; empty for all.';
COMMENT ON COLUMN integration.pause.reason IS 'Why.';
COMMENT ON COLUMN integration.pause.actor IS 'Who.';
COMMENT ON COLUMN integration.pause.since IS 'Since when.';
COMMENT ON COLUMN integration.pause.until IS 'Until when; NULL: until resume().';

CREATE TABLE integration.action (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor name NOT NULL DEFAULT session_user,
    verb text NOT NULL,
    outbox_id bigint,
    endpoint text,
    incident bigint,
    reason text,
    details jsonb
);
-- Serves timeline().
CREATE INDEX action_outbox ON integration.action (outbox_id) WHERE outbox_id IS NOT NULL;

COMMENT ON TABLE integration.action IS 'What people did, with who and why.';
COMMENT ON COLUMN integration.action.id IS 'Its number.';
COMMENT ON COLUMN integration.action.at IS 'When.';
COMMENT ON COLUMN integration.action.actor IS 'The database user of the session.';
COMMENT ON COLUMN integration.action.verb IS 'retry, cancel, amend, pause, resume, replay, ping, acknowledge.';
COMMENT ON COLUMN integration.action.outbox_id IS 'The sync it touched.';
COMMENT ON COLUMN integration.action.endpoint IS 'The endpoint it touched.';
COMMENT ON COLUMN integration.action.incident IS 'The incident it touched.';
COMMENT ON COLUMN integration.action.reason IS 'Why, in the actor''s words.';
COMMENT ON COLUMN integration.action.details IS 'What else there is to know: how many, before and after.';
-- Functions in C: checks that the sender itself applies, what shared memory knows.

CREATE FUNCTION integration_worker.wake_at_commit(registry boolean) RETURNS void
    LANGUAGE c STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_wake_at_commit';
COMMENT ON FUNCTION integration_worker.wake_at_commit(boolean) IS
    'Has the worker look for work when this transaction commits; true: it reads endpoints, pauses and health again first.';

CREATE FUNCTION integration_worker.start() RETURNS void
    LANGUAGE c STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_start';
COMMENT ON FUNCTION integration_worker.start() IS
    'Has the launcher start this database''s worker when this transaction commits.';

CREATE FUNCTION integration_worker.url_problem(url text, allow_http boolean) RETURNS text
    LANGUAGE c STRICT STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_url_problem';
COMMENT ON FUNCTION integration_worker.url_problem(text, boolean) IS
    'What is wrong with an endpoint''s URL, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.header_problem(headers jsonb) RETURNS text
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_header_problem';
COMMENT ON FUNCTION integration_worker.header_problem(jsonb) IS
    'What is wrong with a JSON object of HTTP headers, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.render_request(
        endpoint_method text, endpoint_url text, endpoint_headers jsonb, sync_headers jsonb, format text,
        message_id text, object_type text, object_id text, operation text, remote_id text, payload jsonb,
        created_at timestamptz, source text, traceparent text,
        OUT method text, OUT url text, OUT headers text[], OUT body text, OUT problem text)
    RETURNS record
    LANGUAGE c STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_render_request';
COMMENT ON FUNCTION integration_worker.render_request(text, text, jsonb, jsonb, text, text, text, text, text, text, jsonb, timestamptz, text, text) IS
    'The request as the sender builds it; problem says why it could not be built.';

CREATE FUNCTION integration_worker.live_endpoints(
        OUT endpoint_id integer, OUT "window" integer, OUT in_flight integer, OUT waiting integer,
        OUT rate_free_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_live_endpoints';
COMMENT ON FUNCTION integration_worker.live_endpoints() IS
    'What the workers of this database do at each endpoint right now, from shared memory.';

CREATE FUNCTION integration_worker.live_syncs(OUT outbox_id bigint, OUT started_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_live_syncs';
COMMENT ON FUNCTION integration_worker.live_syncs() IS
    'The syncs that are being sent right now, from shared memory.';

CREATE FUNCTION integration_worker.live_workers(
        OUT pid integer, OUT shards integer[], OUT activity text, OUT started_at timestamptz, OUT last_turn_at timestamptz,
        OUT endpoints integer, OUT in_flight integer, OUT waiting integer, OUT unsettled integer,
        OUT delivered bigint, OUT failed bigint, OUT memory_bytes bigint)
    RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE ROWS 3
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_live_workers';
COMMENT ON FUNCTION integration_worker.live_workers() IS
    'What each worker of this database is doing, from shared memory.';
-- What may stand in the registry: each refusal says what to write instead.

-- Months and years have no fixed length, so they are no measure for a wait.
CREATE FUNCTION integration_worker.is_exact(length interval) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(extract(year FROM length) = 0 AND extract(month FROM length) = 0, false)
$$;
COMMENT ON FUNCTION integration_worker.is_exact(interval) IS
    'Is the interval finite, without months and years?';

CREATE FUNCTION integration_worker.name_problem(name text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN coalesce(name, '') = '' THEN 'It is empty.'
                WHEN length(name) > 100 THEN format('It has %s characters.', length(name))
                WHEN name ~ '[[:cntrl:]]' THEN 'It contains a line break or another control character.'
                WHEN name ~ '^\s|\s$' THEN 'It begins or ends with a blank.' END
$$;
COMMENT ON FUNCTION integration_worker.name_problem(text) IS
    'What is wrong with a name in the registry, as a sentence; NULL: nothing.';

-- A path that is no predicate has no truth to check a payload by; evaluating it tells.
-- A variable is printed as $"name", and a quoted string follows a $ nowhere else.
CREATE FUNCTION integration_worker.path_problem(path jsonpath, is_predicate boolean) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF regexp_replace(path::text, '"(\\.|[^"\\])*"', '""', 'g') LIKE '%$""%' THEN
        RETURN format('%s uses a variable, which nobody fills in.', path);
    END IF;
    IF is_predicate THEN
        PERFORM jsonb_path_match('{}', path, '{}', false);
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN singleton_sql_json_item_required THEN
        RETURN format('%s is a value, not something that is true or false.', path);
    WHEN data_exception THEN
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.path_problem(jsonpath, boolean) IS
    'What is wrong with a jsonpath of the registry, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.check_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text := integration_worker.name_problem(NEW.name);
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'name',
            MESSAGE = format('name "%s" can''t be used', left(NEW.name, 100)),
            DETAIL = problem,
            HINT = 'Write a name of 1 to 100 characters without blanks at its ends, such as ''shop-orders''.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_name() IS 'Row trigger: refuses a name that can''t be used.';

-- One table of rules for connectors and endpoints, which share the calling settings.
CREATE FUNCTION integration_worker.check_calling_settings() RETURNS trigger
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
        ('format', NEW.format NOT IN ('json', 'cloudevents', 'cloudevents-structured'),
         NEW.format, 'Write json, cloudevents or cloudevents-structured.'),
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
            MESSAGE = format('%s of %s "%s" can''t be used', broken.col, TG_TABLE_NAME, NEW.name),
            DETAIL = format('It is %s.', broken.given),
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_calling_settings() IS
    'Row trigger: refuses limits and times that can''t work.';

CREATE FUNCTION integration_worker.check_request_settings() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
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
        ('connector', (SELECT format('Connector "%s" does not exist.', r.name) FROM (SELECT to_jsonb(NEW) ->> 'connector') AS r (name)
                        WHERE r.name IS NOT NULL AND NOT EXISTS (SELECT FROM integration.connector c WHERE c.name = r.name)),
         'Insert it into integration.connector first, or correct the name.'),
        ('retry_policy', (SELECT format('Retry policy "%s" does not exist.', NEW.retry_policy)
                           WHERE NEW.retry_policy IS NOT NULL
                             AND NOT EXISTS (SELECT FROM integration.retry_policy p WHERE p.name = NEW.retry_policy)),
         'Policies are in SELECT name, schedule FROM integration.retry_policy.'),
        ('credential', (SELECT format('Credential "%s" is for signing.', c.name) FROM integration.credential c
                         WHERE c.name = NEW.credential AND c.kind = 'signing'),
         'Name it in the column signing, and here one that authenticates.'),
        ('signing', (SELECT format('Credential "%s" is of kind %s.', c.name, c.kind) FROM integration.credential c
                      WHERE c.name = NEW.signing AND c.kind <> 'signing'),
         'Name a credential of kind signing.')
      ) AS r (col, problem, hint)
     WHERE r.problem IS NOT NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = CASE WHEN broken.col IN ('connector', 'retry_policy') THEN 'foreign_key_violation' ELSE 'check_violation' END,
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of %s "%s" can''t be used', broken.col, TG_TABLE_NAME, NEW.name),
            DETAIL = broken.problem,
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_request_settings() IS
    'Row trigger: refuses headers, paths and credentials that can''t work.';

CREATE FUNCTION integration_worker.check_connector() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.severity NOT BETWEEN 1 AND 4 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'severity',
            MESSAGE = format('severity of connector "%s" can''t be used', NEW.name),
            DETAIL = format('It is %s.', NEW.severity),
            HINT = 'Write 1 (worst), 2, 3 or 4.';
    END IF;
    IF NEW.sla <= '0' OR NEW.sla > '3660 days' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'sla',
            MESSAGE = format('sla of connector "%s" can''t be used', NEW.name),
            DETAIL = format('It is %s.', NEW.sla),
            HINT = 'Write a time above zero, at most 3660 days, such as ''15 min''; NULL for no promise.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_connector() IS
    'Row trigger: refuses a severity or an SLA that means nothing.';

CREATE FUNCTION integration_worker.check_endpoint_url() RETURNS trigger
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
            HINT = 'Write an address such as ''https://api.example.com/orders/{object_id}''.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_endpoint_url() IS
    'Row trigger: refuses an address that can''t be called.';

-- Runs as the caller, not as the owner: only so does current_user say who asks.
CREATE FUNCTION integration_worker.check_allow_http() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT NEW.allow_http OR (TG_OP = 'UPDATE' AND OLD.allow_http AND NEW.url = OLD.url) THEN
        RETURN NEW;
    END IF;
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'insufficient_privilege',
        MESSAGE = format('only a superuser may set allow_http (endpoint "%s")', NEW.name),
        DETAIL = 'Plain http lets everybody on the way read and change what is sent.',
        HINT = 'Use an https address, have a superuser set allow_http for this address, '
               'or add the receiver''s network to integration.allowed_networks.';
END
$$;
COMMENT ON FUNCTION integration_worker.check_allow_http() IS
    'Row trigger: plain http to the world is a superuser''s decision, for one address at a time.';

CREATE FUNCTION integration_worker.schedule_problem(schedule interval[], deadline interval) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN array_ndims(schedule) > 1 THEN 'The schedule is an array of arrays.'
        WHEN cardinality(schedule) > 100 THEN format('The schedule has %s waits; 100 are allowed.', cardinality(schedule))
        WHEN broken.wait_no IS NOT NULL THEN format('Wait %s is %s.', broken.wait_no, broken.what)
        WHEN NOT integration_worker.is_exact(deadline) THEN format('The deadline is %s.', deadline)
        WHEN deadline <= '0' THEN format('The deadline is %s, which is no time.', deadline)
        WHEN deadline > '3660 days' THEN format('The deadline is %s, longer than 3660 days.', deadline)
        WHEN deadline < schedule[array_lower(schedule, 1)] THEN
            format('The deadline of %s is over before the first wait of %s.',
                   deadline, schedule[array_lower(schedule, 1)])
        END
      FROM (SELECT 1) AS one_row
      LEFT JOIN LATERAL (
           SELECT w.wait_no,
                  CASE WHEN w.wait IS NULL THEN 'NULL'
                       WHEN NOT integration_worker.is_exact(w.wait) THEN w.wait || ', which has no fixed length'
                       WHEN w.wait <= '0' THEN w.wait || ', which is no wait'
                       ELSE w.wait || ', longer than 30 days' END AS what
             FROM unnest(schedule) WITH ORDINALITY AS w (wait, wait_no)
            WHERE (w.wait > '0' AND w.wait <= '30 days' AND integration_worker.is_exact(w.wait)) IS NOT TRUE
            ORDER BY w.wait_no
            LIMIT 1) broken ON true
$$;
COMMENT ON FUNCTION integration_worker.schedule_problem(interval[], interval) IS
    'Why a retry schedule is impossible, as a sentence; NULL: it is not.';

CREATE FUNCTION integration_worker.check_retry_policy() RETURNS trigger
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
            MESSAGE = format('jitter of retry policy "%s" can''t be used', NEW.name),
            DETAIL = format('It is %s.', coalesce(NEW.jitter::text, 'NULL')),
            HINT = 'Write a fraction of the wait, 0 to 1, such as 0.2.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_retry_policy() IS
    'Row trigger: refuses a schedule that can''t be kept.';

-- As with the taxonomy: what the user made or changed is carried by a dump, and takes the place of the
-- shipped row when the dump is restored.
CREATE FUNCTION integration_worker.own_retry_policy() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    NEW.shipped := false;
    IF TG_OP = 'INSERT' THEN
        DELETE FROM integration.retry_policy p WHERE p.name = NEW.name AND p.shipped;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.own_retry_policy() IS
    'Row trigger: marks policies that the user made or changed; an inserted one takes the place of the shipped one.';

-- endpoint_config names it where nobody names another, without a foreign key.
CREATE FUNCTION integration_worker.keep_standard_policy() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.name = OLD.name THEN
        RETURN NEW;
    END IF;
    -- Inside own_retry_policy(), which puts another in its place.
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
COMMENT ON FUNCTION integration_worker.keep_standard_policy() IS
    'Row trigger: the default policy stays.';

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();
CREATE TRIGGER check_settings BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_calling_settings();
CREATE TRIGGER check_request BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_request_settings();
CREATE TRIGGER check_worth BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_connector();

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();
CREATE TRIGGER check_settings BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_calling_settings();
CREATE TRIGGER check_request BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_request_settings();
CREATE TRIGGER check_allow_http BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_allow_http();
CREATE TRIGGER check_url BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_endpoint_url();

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.credential
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.retry_policy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();
CREATE TRIGGER check_schedule BEFORE INSERT OR UPDATE ON integration.retry_policy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_retry_policy();
-- Last by name: only a row that passed the checks replaces another.
CREATE TRIGGER own_policy BEFORE INSERT OR UPDATE ON integration.retry_policy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_retry_policy();
CREATE TRIGGER keep_standard BEFORE UPDATE OR DELETE ON integration.retry_policy
    FOR EACH ROW WHEN (OLD.name = 'standard')
    EXECUTE FUNCTION integration_worker.keep_standard_policy();
-- What may not be changed or removed; what a change of the registry sets off.

CREATE FUNCTION integration_worker.keep_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unfinished bigint := (SELECT count(*) FROM integration.queue q WHERE q.endpoint_id = OLD.id);
BEGIN
    IF unfinished > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('endpoint "%s" can''t be deleted: it has %s unfinished sync(s)', OLD.name, unfinished),
            HINT = format('Wait until they are delivered, or cancel them: '
                          'UPDATE integration.sync SET state = ''cancelled'' '
                          'WHERE endpoint = %L AND state IN (''pending'', ''retrying'', ''failed'').', OLD.name);
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_endpoint() IS
    'Row trigger: an endpoint with unfinished syncs stays.';

-- The immutable outbox rows say the name, so a new name would leave them without their endpoint.
CREATE FUNCTION integration_worker.keep_endpoint_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.id <> OLD.id THEN
        RAISE EXCEPTION USING
            ERRCODE = 'generated_always',
            MESSAGE = format('the id of endpoint "%s" can''t be changed', OLD.name),
            DETAIL = 'Queue and attempts refer to it.',
            HINT = 'Change other columns only.';
    END IF;
    IF EXISTS (SELECT FROM integration.queue q WHERE q.endpoint_id = OLD.id)
       OR EXISTS (SELECT FROM integration.attempt a WHERE a.endpoint_id = OLD.id)
       OR EXISTS (SELECT FROM integration.outbox o WHERE o.endpoint = OLD.name) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('endpoint "%s" can''t be renamed: there are syncs to it', OLD.name),
            DETAIL = 'What was asked is kept as it was asked, with the endpoint''s name.',
            HINT = format('Insert an endpoint "%s" beside it, and delete "%s" when its syncs are finished.',
                          NEW.name, OLD.name);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_endpoint_name() IS
    'Row trigger: an endpoint that syncs refer to keeps its name and id.';

CREATE TRIGGER keep_endpoint BEFORE DELETE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.keep_endpoint();
CREATE TRIGGER keep_name BEFORE UPDATE ON integration.endpoint
    FOR EACH ROW WHEN (NEW.name <> OLD.name OR NEW.id <> OLD.id)
    EXECUTE FUNCTION integration_worker.keep_endpoint_name();

-- An endpoint of the same name later has another id, so what was known about this one is of no use.
CREATE FUNCTION integration_worker.forget_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.endpoint_health h WHERE h.endpoint_id = OLD.id;
    DELETE FROM integration.sync_status s WHERE s.endpoint_id = OLD.id;
    DELETE FROM integration.pause p WHERE p.scope = 'endpoint' AND p.name = OLD.name;
    UPDATE integration.incident i
       SET state = 'resolved', resolved_at = now()
     WHERE i.endpoint = OLD.name AND i.resolved_at IS NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.forget_endpoint() IS
    'Row trigger: removes what a deleted endpoint leaves behind but its history.';

CREATE TRIGGER forget_endpoint AFTER DELETE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.forget_endpoint();

-- Else a new name would let go what a pause holds.
CREATE FUNCTION integration_worker.carry_pause() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.pause p WHERE p.scope = TG_TABLE_NAME AND p.name = NEW.name;
    UPDATE integration.pause p SET name = NEW.name WHERE p.scope = TG_TABLE_NAME AND p.name = OLD.name;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.carry_pause() IS
    'Row trigger: a pause follows its connector or endpoint to a new name.';

CREATE TRIGGER carry_pause AFTER UPDATE ON integration.connector
    FOR EACH ROW WHEN (NEW.name <> OLD.name)
    EXECUTE FUNCTION integration_worker.carry_pause();
CREATE TRIGGER carry_pause AFTER UPDATE ON integration.endpoint
    FOR EACH ROW WHEN (NEW.name <> OLD.name)
    EXECUTE FUNCTION integration_worker.carry_pause();

CREATE FUNCTION integration_worker.keep_outbox() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s can''t be changed: the outbox keeps what was asked', OLD.id),
            HINT = format('To send other data in its place: SELECT integration.amend(%s, ''{…}'', ''why''); '
                          'to send the same again: SELECT integration.retry(%s, ''why'').', OLD.id, OLD.id);
    END IF;
    IF EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = OLD.id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s can''t be deleted: it is not finished', OLD.id),
            HINT = format('Cancel it: SELECT integration.cancel(%s, ''why''); retention removes it later.', OLD.id);
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_outbox() IS
    'Row trigger: the outbox is immutable but for retention.';

CREATE TRIGGER keep_outbox BEFORE UPDATE OR DELETE ON integration.outbox
    FOR EACH ROW EXECUTE FUNCTION integration_worker.keep_outbox();

CREATE FUNCTION integration_worker.keep_attempt() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('attempt %s of sync %s can''t be changed: attempts say what happened',
                         OLD.attempt_no, OLD.outbox_id),
        HINT = format('To have the sync tried again: SELECT integration.retry(%s, ''why'').', OLD.outbox_id);
END
$$;
COMMENT ON FUNCTION integration_worker.keep_attempt() IS
    'Row trigger: attempts are immutable but for retention.';

CREATE TRIGGER keep_attempt BEFORE UPDATE ON integration.attempt
    FOR EACH ROW EXECUTE FUNCTION integration_worker.keep_attempt();

-- A stopped endpoint waits for somebody to act; a change of what it is called with is such an act.
CREATE FUNCTION integration_worker.probe_changed() RETURNS trigger
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
           ELSE changed IN (c.credential, c.signing) END;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.probe_changed() IS
    'Row trigger: has stopped endpoints probed at once when they, their connector, their credential or an error rule for them changed.';

CREATE TRIGGER probe_changed AFTER UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();
CREATE TRIGGER probe_changed AFTER UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();
CREATE TRIGGER probe_changed AFTER UPDATE ON integration.credential
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();
CREATE TRIGGER probe_changed AFTER INSERT OR UPDATE ON integration.secret
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();

CREATE TRIGGER probe_changed AFTER INSERT OR UPDATE ON integration.error_rule
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();

CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.error_rule
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.endpoint
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.connector
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.credential
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.secret
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.pause
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();

CREATE FUNCTION integration_worker.one_installation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.installation i WHERE i.name <> NEW.name;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.one_installation() IS
    'Row trigger: a new name of the installation takes the place of the old one.';

CREATE TRIGGER one_installation BEFORE INSERT ON integration.installation
    FOR EACH ROW EXECUTE FUNCTION integration_worker.one_installation();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON integration.installation
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
-- The door: what an insert into the outbox must fulfil, how it becomes a queue row.

CREATE FUNCTION integration_worker.last_id() RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('integration.outbox', 'id')::regclass), 0)
$$;
COMMENT ON FUNCTION integration_worker.last_id() IS
    'The last id that the outbox has given away.';

-- Why the queue did not take a row, in the parts of an error; the trigger raises it, so that the
-- application sees its own statement and none of this.  The fast path never comes here.
CREATE FUNCTION integration_worker.refusal(
        id bigint, endpoint text, operation text, payload jsonb, headers jsonb, priority text, send_after timestamptz,
        expires_at timestamptz, OUT code text, OUT message text, OUT detail text, OUT hint text)
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
COMMENT ON FUNCTION integration_worker.refusal(bigint, text, text, jsonb, jsonb, text, timestamptz, timestamptz) IS
    'The parts of the error for an outbox row that the queue did not take: SQLSTATE, message, detail, hint.';

-- What replaced a sync stands for it.  One that was given up stands for nothing, nor does one whose time is over;
-- a failed one does, since somebody may retry it.  Volatile, so that whoever had to wait for a key sees what became of it.
CREATE FUNCTION integration_worker.in_force(id bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync bigint := in_force.id;
    ended integration.closing;
BEGIN
    LOOP
        SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = sync;
        EXIT WHEN NOT FOUND;
        IF ended.superseded_by IS NULL THEN
            RETURN NULL;
        END IF;
        sync := ended.superseded_by;
    END LOOP;
    IF EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = sync AND q.expires_at <= clock_timestamp()) THEN
        RETURN NULL;
    END IF;
    RETURN sync;
END
$$;
COMMENT ON FUNCTION integration_worker.in_force(bigint) IS
    'The sync that this one or what took its place brings to the endpoint; NULL: none does, it was cancelled or has expired.';

-- Nobody waits for whoever holds a key, and no call takes long: the worker calls again while there is more.
-- The hour leaves a statement that runs while a window ends the rows that it has already compared with.
CREATE FUNCTION integration_worker.forget_duplicates(most integer DEFAULT 1000) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    forgotten integer;
BEGIN
    DELETE FROM integration.dedup d
     USING (SELECT k.endpoint_id, k.dedup_key
              FROM integration.dedup k
             WHERE k.expires_at < now() - interval '1 h'
             ORDER BY k.expires_at
             LIMIT most
               FOR UPDATE SKIP LOCKED) old
     WHERE d.endpoint_id = old.endpoint_id
       AND d.dedup_key = old.dedup_key;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten = most;
END
$$;
COMMENT ON FUNCTION integration_worker.forget_duplicates(integer) IS
    'Removes some of the keys whose window ended, the oldest first, by the index dedup_expires; returns whether there may be more.';

-- In C: the rows of the statement become queue rows, and the commit wakes the worker.  It takes the owner's rights
-- and a path of its own where it runs SQL; taken for each call, they would cost an insert 4 µs.
CREATE FUNCTION integration_worker.enqueue() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'integration_enqueue';
COMMENT ON FUNCTION integration_worker.enqueue() IS
    'Writes the queue rows of the inserted outbox rows, closes duplicates, or refuses them with a hint.';

CREATE TRIGGER enqueue AFTER INSERT ON integration.outbox
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.enqueue();

-- Beyond these an index or a sum of times would fail, in words that say nothing, for others too.
CREATE FUNCTION integration_worker.refuse_extent() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    long record;
BEGIN
    SELECT x.* INTO long
      FROM (VALUES ('object_type', NEW.object_type), ('object_id', NEW.object_id), ('operation', NEW.operation),
                   ('customer', NEW.customer), ('ordering_key', NEW.ordering_key), ('dedup_key', NEW.dedup_key))
           AS x (col, content)
     WHERE octet_length(x.content) > 1000
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'program_limit_exceeded', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = long.col,
            MESSAGE = format('%s of a sync to endpoint "%s" is too long', long.col, NEW.endpoint),
            DETAIL = format('It has %s bytes; 1000 are allowed.', octet_length(long.content)),
            HINT = 'Write a reference, and put long texts into the payload.';
    END IF;
    IF (NEW.send_after >= '10000-01-01 00:00:00+00') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'created_at',
            MESSAGE = format('created_at of a sync to endpoint "%s" can''t be used', NEW.endpoint),
            DETAIL = format('It is %s.', NEW.created_at),
            HINT = 'Leave it out, or write a time between the years 1 and 9999.';
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'send_after',
        MESSAGE = format('a sync to endpoint "%s" could never be sent', NEW.endpoint),
        DETAIL = format('send_after is %s.', NEW.send_after),
        HINT = 'Write a send_after before the year 10000.';
END
$$;
COMMENT ON FUNCTION integration_worker.refuse_extent() IS
    'Row trigger: refuses keys too long for an index, times too far away to reckon with.';

CREATE TRIGGER refuse_extent BEFORE INSERT ON integration.outbox
    FOR EACH ROW WHEN (octet_length(NEW.object_type) > 1000 OR octet_length(NEW.object_id) > 1000
                       OR octet_length(NEW.operation) > 1000 OR octet_length(NEW.customer) > 1000
                       OR octet_length(NEW.ordering_key) > 1000 OR octet_length(NEW.dedup_key) > 1000
                       OR NEW.send_after >= '10000-01-01 00:00:00+00'
                       OR NEW.created_at < '0001-01-01 00:00:00+00' OR NEW.created_at >= '10000-01-01 00:00:00+00')
    EXECUTE FUNCTION integration_worker.refuse_extent();

-- A subscriber of logical replication must not send what its publisher sends.
CREATE FUNCTION integration_worker.drop_replicated() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.drop_replicated() IS
    'Row trigger that drops queue rows arriving by logical replication.';

CREATE TRIGGER drop_replicated BEFORE INSERT ON integration.queue
    FOR EACH ROW EXECUTE FUNCTION integration_worker.drop_replicated();
ALTER TABLE integration.queue ENABLE REPLICA TRIGGER drop_replicated;
-- What the worker reads: the registry, what is new, what is due.

CREATE FUNCTION integration_worker.endpoints()
    RETURNS TABLE (id integer, name text, url text, method text, headers text, format text,
                   connect_timeout_ms integer, timeout_ms integer, max_concurrency integer,
                   rate_limit double precision, rate_burst integer,
                   idempotent boolean, allow_http boolean, problem text,
                   paused_until timestamptz, not_before timestamptz, state text, failures integer, tripped_by bigint,
                   since timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.id, c.name, c.url, c.method, c.headers::text, c.format,
           ceil(extract(epoch FROM c.connect_timeout) * 1000)::integer,
           ceil(extract(epoch FROM c.timeout) * 1000)::integer,
           c.max_concurrency, c.rate_limit, c.rate_burst, c.idempotent, c.allow_http,
           CASE WHEN c.credential IS NOT NULL OR c.signing IS NOT NULL THEN 'secret_missing' END,
           p.until,
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
$$;
COMMENT ON FUNCTION integration_worker.endpoints() IS
    'The registry as the sender needs it: settings resolved, paused until when, not called before when.';

-- What the commit of a prepared transaction changes is announced by nothing, so the worker looks now and then
-- whether the registry is still the one it has read: cheap, where reading ten thousand endpoints is not.
-- A customer's pause holds single rows of shared endpoints, so its end makes the worker read those again.
CREATE FUNCTION integration_worker.registry_state(
        OUT version bigint, OUT holds bigint, OUT installation text, OUT resume_at timestamptz)
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
           (SELECT min(p.until) FROM integration.pause p WHERE p.until > now())
$$;
COMMENT ON FUNCTION integration_worker.registry_state() IS
    'What changes with the registry: its version, the customers on hold (both as hashes), the name of the installation, when the next pause ends by itself.';

-- Plans are made once, perhaps while the queue is empty and every way to read it looks as good as any other.  So
-- what would walk all of it when it is full is switched off here; a condition written as coalesce(state, '') keeps
-- the indexes away that are for rows that have not failed.

-- What is visible now and was not visible under the previous snapshot (PgQ's way), by the index queue_change.
-- The snapshot and the read belong to one statement; a row of its own carries the snapshot to the next call.
-- What still runs is left out: its rows are in the index already, a million perhaps, and none can be seen.
CREATE FUNCTION integration_worker.feed(previous pg_snapshot, most integer, shards integer)
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
BEGIN
    RETURN QUERY
    SELECT pg_current_snapshot(), NULL::bigint, NULL::integer, NULL::smallint, NULL::timestamptz, NULL::timestamptz, NULL::xid8,
           NULL::bigint
    UNION ALL
    (SELECT NULL, q.outbox_id, q.endpoint_id, q.priority, q.due_at, q.expires_at, q.change_xid,
            hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id))
       FROM integration.queue q
      WHERE q.change_xid >= pg_snapshot_xmax(previous)
        AND q.change_xid < pg_snapshot_xmax(pg_current_snapshot())
        AND coalesce(q.state, '') <> 'failed'
        AND shards & (1 << q.endpoint_id % 16) <> 0
      ORDER BY q.change_xid, q.endpoint_id, q.due_at, q.outbox_id + 0
      LIMIT most)
    UNION ALL
    (SELECT NULL, q.outbox_id, q.endpoint_id, q.priority, q.due_at, q.expires_at, q.change_xid,
            hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id))
       FROM integration.queue q
      WHERE q.change_xid = ANY (ARRAY(SELECT x.xid
                                        FROM pg_snapshot_xip(previous) AS x (xid)
                                       WHERE pg_visible_in_snapshot(x.xid, pg_current_snapshot())))
        AND coalesce(q.state, '') <> 'failed'
        AND shards & (1 << q.endpoint_id % 16) <> 0
      LIMIT most);
END
$$;
COMMENT ON FUNCTION integration_worker.feed(pg_snapshot, integer, integer) IS
    'Queue rows that became worth looking at since the previous snapshot, at most so many of each kind; the first row carries the snapshot for the next call.';

-- The same where feed() found too much: the first rows of each transaction and endpoint, the rest of which is
-- jumped over in the index queue_change.  A group without a row to send comes as one row without outbox_id.
CREATE FUNCTION integration_worker.flood(
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
BEGIN
    FOR span IN
        SELECT s.first_xid, s.end_xid
          FROM (SELECT x.xid AS first_xid, (x.xid::text::numeric + 1)::text::xid8 AS end_xid
                  FROM pg_snapshot_xip(previous) AS x (xid)
                 WHERE pg_visible_in_snapshot(x.xid, present)
                UNION ALL
                SELECT pg_snapshot_xmax(previous), pg_snapshot_xmax(present)) s
         WHERE s.end_xid > after_xid
         ORDER BY s.first_xid
    LOOP
        FOR last IN
            WITH RECURSIVE g AS (
                (SELECT q.change_xid, q.endpoint_id
                   FROM integration.queue q
                  WHERE (q.change_xid, q.endpoint_id) > (after_xid, after_endpoint)
                    AND q.change_xid >= span.first_xid
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
COMMENT ON FUNCTION integration_worker.flood(pg_snapshot, pg_snapshot, xid8, integer, integer, integer, integer) IS
    'What lies between two snapshots, from a transaction and endpoint on: so many groups of one transaction and endpoint, so many rows of each.';

-- Three kinds of sources, numbered as they come: due rows above a cursor in order, by the index queue_due; with
-- a change_xid the rows of that transaction above a position, by queue_change; rows by their ids (source 0).
-- A cursor that comes to its end says when its next row will be due (a row that is not due yet).
CREATE FUNCTION integration_worker.take(
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
                      AND coalesce(q.state, '') <> 'failed'
                      AND (q.due_at, q.outbox_id + 0) > (c.after_due, c.after_id)
                    ORDER BY q.change_xid, q.endpoint_id, q.due_at, q.outbox_id + 0
                    LIMIT c.most) t
             WHERE c.change_xid IS NOT NULL
            UNION ALL
            SELECT 0, q.*
              FROM integration.queue q
             WHERE q.outbox_id = ANY (ids)
               AND coalesce(q.state, '') <> 'failed') d;
END
$$;
COMMENT ON FUNCTION integration_worker.take(integer[], smallint[], xid8[], timestamptz[], bigint[], integer[], bigint[]) IS
    'The next queue rows of each source, in order; held ones (claimed, expired, behind another of their key) are passed over for now.';

CREATE VIEW integration_worker.content AS
SELECT o.id AS outbox_id, o.customer = ANY (p.names) IS TRUE AS held, o.object_type, o.object_id, o.operation,
       CASE WHEN o.customer = ANY (p.names) IS NOT TRUE THEN o.payload::text END AS payload,
       o.headers::text AS headers, o.created_at, o.traceparent
  FROM integration.outbox o
 CROSS JOIN LATERAL (SELECT ARRAY(SELECT x.name
                                    FROM integration.pause x
                                   WHERE x.scope = 'customer' AND (x.until IS NULL OR x.until > statement_timestamp())) AS names) p;
COMMENT ON VIEW integration_worker.content IS
    'What requests are made of; held: the customer is paused.';
-- Syncs whose time has passed are closed.

-- Closes what expired, by the index queue_expires; what was claimed is left to settle().  It reads forward only:
-- entries of syncs that were delivered in time may stay in the index for long.  Rows that somebody holds are
-- come back to.  The next time is that of anybody's next: to ask for a shard's would walk over the others'.
CREATE FUNCTION integration_worker.expire(
        shards integer DEFAULT 65535, done_before timestamptz DEFAULT '-infinity',
        OUT done_until timestamptz, OUT next_at timestamptz)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A volatile function in the condition would keep it out of the index.
    at timestamptz := clock_timestamp();
    found bigint[];
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
         USING gone
         WHERE q.outbox_id = gone.outbox_id
        RETURNING q.outbox_id, q.endpoint_id, q.ordering_key
    ), closed AS (
        INSERT INTO integration.closing (outbox_id, state, reason)
        SELECT d.outbox_id, 'expired', 'expired' FROM deleted d
        ON CONFLICT DO NOTHING
    -- Whoever holds the next one changes it, and so has it looked at himself.
    ), successor AS (
        SELECT DISTINCT ON (d.endpoint_id, d.ordering_key) n.outbox_id
          FROM deleted d
         CROSS JOIN LATERAL (
               SELECT s.outbox_id
                 FROM integration.queue s
                WHERE s.endpoint_id = d.endpoint_id
                  AND s.ordering_key = d.ordering_key
                  AND s.outbox_id NOT IN (SELECT x.outbox_id FROM deleted x)
                ORDER BY coalesce(s.place, s.outbox_id)
                LIMIT 1
                  FOR UPDATE SKIP LOCKED) n
         WHERE d.ordering_key IS NOT NULL
         ORDER BY d.endpoint_id, d.ordering_key, n.outbox_id
    )
    UPDATE integration.queue q
       SET change_xid = pg_current_xact_id()
      FROM successor
     WHERE q.outbox_id = successor.outbox_id;
    SELECT min(q.expires_at) INTO next_at
      FROM integration.queue q
     WHERE q.outbox_id = ANY (found) AND coalesce(q.state, '') <> 'failed' AND q.claimed_at IS NULL;
    done_until := least(done_until, next_at - interval '1 microsecond');
    SELECT least(next_at, min(q.expires_at)) INTO next_at
      FROM integration.queue q
     WHERE q.expires_at > done_until AND q.state <> 'failed' AND q.claimed_at IS NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.expire(integer, timestamptz) IS
    'Closes syncs of these shards (bit by bit) whose expires_at has passed and is later than done_before; returns up to when that is done, when it is to be called next.';
-- What the worker reports, how durable that has to be.

-- One attempt as the worker reports it: facts only.
CREATE TYPE integration_worker.result AS (
    outbox_id bigint,
    endpoint_id integer,
    change_xid xid8,
    reason text,
    started_at timestamptz,
    duration_ms integer,
    http_status integer,
    error text,
    request_url text,
    remote_address inet,
    dns_ms integer,
    connect_ms integer,
    tls_ms integer,
    first_byte_ms integer,
    retry_after_s integer,
    redirect_url text,
    response_headers text,
    response_body text,
    trace_id text,
    span_id text,
    object_type text,
    object_id text
);
COMMENT ON TYPE integration_worker.result IS
    'One attempt: what was sent, what came back. response_headers is a JSON object; object_type and object_id are the sync''s.';

-- What the worker counts between two writes of endpoint_health.
CREATE TYPE integration_worker.counter AS (
    endpoint_id integer,
    failures integer,
    minute_at timestamptz,
    minute_attempts integer,
    minute_failures integer,
    "window" integer,
    row_after integer
);
COMMENT ON TYPE integration_worker.counter IS
    'Running counters of an endpoint, newer than its endpoint_health. row_after: so many of the results came before a delivery that deliver() has recorded, so failures among them are in no row.';

-- People act on what failed and on incidents; the rest costs one more request with the same key if it is lost.
CREATE FUNCTION integration_worker.choose_durability(matters boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('synchronous_commit',
                       CASE WHEN matters OR coalesce(nullif(current_setting('integration.synchronous_settle', true), ''), 'off')::boolean
                            THEN 'local' ELSE 'off' END, true);
END
$$;
COMMENT ON FUNCTION integration_worker.choose_durability(boolean) IS
    'Commits at once, on this server, where a lost record would mislead people or send something twice.';
-- Ranges of ids, each a partition of outbox beside one of attempt.

-- A range that retention has thinned out carries _kept in its name.
CREATE FUNCTION integration_worker.ranges(
        OUT low bigint, OUT high bigint, OUT is_kept boolean, OUT outbox text, OUT attempt text)
    RETURNS SETOF record
    LANGUAGE sql STABLE ROWS 40
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT b.bound[1]::bigint, b.bound[2]::bigint, c.relname LIKE '%\_kept', c.relname, a.relname
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
     CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                     '^FOR VALUES FROM \(''(\d+)''\) TO \(''(\d+)''\)$') AS b (bound)
      JOIN pg_class a ON a.relnamespace = c.relnamespace AND a.relname = 'attempt_' || substr(c.relname, 8)
     WHERE i.inhparent = 'integration.outbox'::regclass
       AND b.bound IS NOT NULL
     ORDER BY 1
$$;
COMMENT ON FUNCTION integration_worker.ranges() IS
    'The ranges of ids in order, from low to below high, with the partitions of outbox and attempt that hold them.';

-- Made outside CREATE EXTENSION, so that retention may drop them.
CREATE FUNCTION integration_worker.create_range(kind text, name text, low bigint, high bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The constraint spares ATTACH reading the rows.
    EXECUTE format('CREATE TABLE integration.%I (LIKE integration.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                   'INCLUDING STORAGE INCLUDING INDEXES, CHECK (%I >= %s AND %3$I < %5$s))',
                   name, kind || '_default', CASE kind WHEN 'outbox' THEN 'id' ELSE 'outbox_id' END, low, high);
END
$$;
COMMENT ON FUNCTION integration_worker.create_range(text, text, bigint, bigint) IS
    'Makes a table for a range of outbox or attempt, like the default partition.';

CREATE FUNCTION integration_worker.attach_range(parent text, name text, low bigint, high bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION integration.%I FOR VALUES FROM (%s) TO (%s)', parent, name, low, high);
END
$$;
COMMENT ON FUNCTION integration_worker.attach_range(text, text, bigint, bigint) IS
    'Makes such a table a partition.';

-- A statement that was begun before a range was attached goes on without it: a row of that range would go to the
-- default partition, and be refused there.  So nothing may be inserting meanwhile; a range is made long before it is
-- needed, and when it can't be had in 20 ms the next minute will do.
CREATE FUNCTION integration_worker.keep_inserts_out() RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
BEGIN
    LOCK TABLE ONLY integration.outbox IN SHARE MODE;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_inserts_out() IS
    'Locks the outbox against inserts until the transaction ends; false: somebody has inserted and not committed yet.';

-- The first one waits until the outbox is in use: a restore sets the sequence after it has attached the ranges
-- of the dump, and must not find others in their place.  A range and a half ahead of the sequence, so that a bulk
-- of a million rows finds its place.
CREATE FUNCTION integration_worker.make_partitions(
        range_size bigint DEFAULT 1000000, margin bigint DEFAULT 10000, first_at bigint DEFAULT 1000)
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
    WHILE top < last_id + ahead LOOP
        FOREACH kind IN ARRAY ARRAY['outbox', 'attempt'] LOOP
            PERFORM integration_worker.create_range(kind, kind || '_' || top, top, top + range_size);
            PERFORM integration_worker.attach_range('integration.' || kind, kind || '_' || top, top, top + range_size);
        END LOOP;
        top := top + range_size;
    END LOOP;
    RETURN top - ahead + 1;
END
$$;
COMMENT ON FUNCTION integration_worker.make_partitions(bigint, bigint, bigint) IS
    'Makes ranges of outbox and attempt until one and a half lie ahead of the sequence; returns the id at which it is to be called next.';
-- Which old syncs must stay.

-- Settings read like '7d', '90min'; one below zero keeps for ever.
CREATE FUNCTION integration_worker.keep_limit(setting text) RETURNS timestamptz
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN s.value LIKE '-%' THEN '-infinity'::timestamptz ELSE clock_timestamp() - s.value::interval END
      FROM (SELECT current_setting(keep_limit.setting)) AS s (value)
$$;
COMMENT ON FUNCTION integration_worker.keep_limit(text) IS
    'What ended before this moment may leave, by one of the settings of retention.';

-- Syncs for which keep_failed counts, or that are not finished; by one index each, never by those that
-- were simply delivered.
CREATE FUNCTION integration_worker.marked_syncs(after_id bigint, below bigint, most integer) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE ROWS 200
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT m.outbox_id
      FROM ((SELECT q.outbox_id
               FROM integration.queue q
              WHERE q.outbox_id > after_id AND q.outbox_id < below
              ORDER BY q.outbox_id LIMIT most)
            UNION
            (SELECT a.outbox_id
               FROM integration.attempt a
              WHERE a.outbox_id > after_id AND a.outbox_id < below AND a.outcome = 'failed'
              GROUP BY a.outbox_id
              ORDER BY a.outbox_id LIMIT most)
            UNION
            (SELECT c.outbox_id
               FROM integration.closing c
              WHERE c.outbox_id > after_id AND c.outbox_id < below AND c.state <> 'superseded'
              ORDER BY c.outbox_id LIMIT most)
            UNION
            (SELECT x.outbox_id
               FROM integration.action x
              WHERE x.outbox_id > after_id AND x.outbox_id < below
              GROUP BY x.outbox_id
              ORDER BY x.outbox_id LIMIT most)) m
     ORDER BY m.outbox_id
     LIMIT most;
END
$$;
COMMENT ON FUNCTION integration_worker.marked_syncs(bigint, bigint, integer) IS
    'The next syncs above an id that are not finished, failed at least once, were given up or touched by a person.';

CREATE FUNCTION integration_worker.must_stay(ids bigint[], delivered_before timestamptz, failed_before timestamptz)
    RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE ROWS 200
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT i.id
      FROM unnest(ids) AS i (id)
      JOIN integration.outbox o ON o.id = i.id
      LEFT JOIN integration.queue q ON q.outbox_id = i.id
      LEFT JOIN integration.closing c ON c.outbox_id = i.id
     CROSS JOIN LATERAL (
           SELECT max(a.started_at) AS at, bool_or(a.outcome = 'failed') AS failed
             FROM integration.attempt a
            WHERE a.outbox_id = i.id) tried
     CROSS JOIN LATERAL (
           SELECT max(x.at) AS at
             FROM integration.action x
            WHERE x.outbox_id = i.id) touched
     WHERE q.outbox_id IS NOT NULL
        -- What gave way to a newer sync counts from the day it was asked for.
        OR greatest(o.created_at, tried.at, CASE WHEN c.state <> 'superseded' THEN c.closed_at END, touched.at)
           >= CASE WHEN tried.failed OR touched.at IS NOT NULL OR c.state <> 'superseded'
                   THEN least(failed_before, delivered_before) ELSE delivered_before END
     ORDER BY i.id;
END
$$;
COMMENT ON FUNCTION integration_worker.must_stay(bigint[], timestamptz, timestamptz) IS
    'Those of the syncs that are not finished, or ended too recently to leave.';
-- What is in no range leaves by small deletes.

-- A step waits for nobody: what is locked just now leaves another time.  Each returns where the next one
-- goes on, NULL at the end.  They only go forward, past what those before them have removed.
CREATE FUNCTION integration_worker.sweep_syncs(
        after_id bigint, delivered_before timestamptz, failed_before timestamptz, most integer DEFAULT 200)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    ids bigint[];
    any_old boolean;
    gone bigint[];
BEGIN
    SELECT array_agg(o.id ORDER BY o.id), bool_or(o.created_at < greatest(delivered_before, failed_before))
      INTO ids, any_old
      FROM (SELECT x.id, x.created_at FROM integration.outbox_default x WHERE x.id > after_id ORDER BY x.id LIMIT most) o;
    -- What comes after a whole step of young ones is younger.
    IF any_old IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(i.id) INTO gone
      FROM unnest(ids) AS i (id)
     WHERE i.id <> ALL (ARRAY(SELECT integration_worker.must_stay(ids, delivered_before, failed_before)));
    BEGIN
        -- First of all: a cancelled sync is brought back by taking this row away.
        DELETE FROM integration.closing c WHERE c.outbox_id = ANY (gone);
        DELETE FROM integration.attempt a WHERE a.outbox_id = ANY (gone);
        DELETE FROM integration.outbox_default o WHERE o.id = ANY (gone);
    EXCEPTION WHEN lock_not_available OR object_not_in_prerequisite_state THEN
        NULL;
    END;
    RETURN CASE WHEN cardinality(ids) = most THEN ids[most] END;
END
$$;
COMMENT ON FUNCTION integration_worker.sweep_syncs(bigint, timestamptz, timestamptz, integer) IS
    'Removes what may leave among the next syncs that are in no range; the first step without an old one ends it.';

-- Ranges leave without them; up to the first range that is still whole.
CREATE FUNCTION integration_worker.sweep_closings(after_id bigint, most integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    whole_from bigint := (SELECT min(r.low) FROM integration_worker.ranges() r WHERE NOT r.is_kept);
    ids bigint[] := ARRAY(SELECT c.outbox_id
                            FROM integration.closing c
                           WHERE c.outbox_id > after_id AND c.outbox_id < whole_from
                           ORDER BY c.outbox_id LIMIT most);
BEGIN
    BEGIN
        DELETE FROM integration.closing c
         WHERE c.outbox_id = ANY (ARRAY(
               SELECT i.id
                 FROM unnest(ids) AS i (id)
                WHERE (SELECT o.id FROM integration.outbox o WHERE o.id = i.id) IS NULL));
    EXCEPTION WHEN lock_not_available THEN
        NULL;
    END;
    RETURN CASE WHEN cardinality(ids) = most THEN ids[most] END;
END
$$;
COMMENT ON FUNCTION integration_worker.sweep_closings(bigint, integer) IS
    'Removes those of the next closings whose syncs are gone.';

-- What people did to a sync stays as long as the sync.
CREATE FUNCTION integration_worker.sweep_actions(after_id bigint, failed_before timestamptz, most integer DEFAULT 500)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scanned integration.action[] := ARRAY(SELECT x FROM integration.action x WHERE x.id > after_id ORDER BY x.id LIMIT most);
BEGIN
    DELETE FROM integration.action x
     WHERE x.id = ANY (ARRAY(
           SELECT s.id
             FROM unnest(scanned) s
            WHERE s.at < failed_before
              AND (SELECT o.id FROM integration.outbox o WHERE o.id = s.outbox_id) IS NULL));
    RETURN CASE WHEN scanned[most].at < failed_before THEN scanned[most].id END;
END
$$;
COMMENT ON FUNCTION integration_worker.sweep_actions(bigint, timestamptz, integer) IS
    'Removes those of the next actions that are old and have no sync any more; the first young one ends it.';

CREATE FUNCTION integration_worker.sweep_incidents(after_id bigint, failed_before timestamptz, most integer DEFAULT 500)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT i.id FROM integration.incident i WHERE i.id > after_id ORDER BY i.id LIMIT most);
BEGIN
    DELETE FROM integration.incident i
     WHERE i.id = ANY (ARRAY(
           SELECT x.id
             FROM integration.incident x
            WHERE x.id = ANY (ids) AND x.resolved_at < failed_before
              FOR UPDATE SKIP LOCKED));
    RETURN CASE WHEN cardinality(ids) = most THEN ids[most] END;
END
$$;
COMMENT ON FUNCTION integration_worker.sweep_incidents(bigint, timestamptz, integer) IS
    'Removes those of the next incidents that were resolved long ago.';
-- Whole ranges leave; what must stay of them is set aside first.
--
-- What must stay is copied to a staged table in small steps, beside the sender.  Then one short transaction
-- drops the range and puts the copy in its place; a copy of few goes to the default partition.  Should the locks
-- not be had at once, the copy waits and is brought up to date before the next try.

-- Staged tables are partitions of these two until then: DROP EXTENSION takes them along.
CREATE TABLE integration_worker.outbox_staged (LIKE integration.outbox) PARTITION BY RANGE (id);
COMMENT ON TABLE integration_worker.outbox_staged IS 'Copies of syncs that stay when their range leaves.';
CREATE TABLE integration_worker.attempt_staged (LIKE integration.attempt) PARTITION BY RANGE (outbox_id);
COMMENT ON TABLE integration_worker.attempt_staged IS 'Copies of their attempts.';

CREATE FUNCTION integration_worker.copy_name(staged jsonb, kind text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('_', kind, staged ->> 'low', CASE WHEN (staged ->> 'is_kept')::boolean THEN 'rest' ELSE 'kept' END)
$$;
COMMENT ON FUNCTION integration_worker.copy_name(jsonb, text) IS
    'The name of the copy of a range, which becomes the name of the range: outbox_11000_kept.';

-- A copy of so few goes to the default partition.
CREATE FUNCTION integration_worker.few() RETURNS integer
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 200
$$;
COMMENT ON FUNCTION integration_worker.few() IS
    'How many syncs the default partition takes over from a range at most.';

-- Attempts of a range that began lately, one look-up an endpoint in the index for endpoint_status.
CREATE FUNCTION integration_worker.recent_attempts(attempt text, since timestamptz, most integer, only_first boolean)
    RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT r.outbox_id
           FROM integration.endpoint e
          CROSS JOIN LATERAL (
                SELECT a.outbox_id
                  FROM integration.%I a
                 WHERE a.endpoint_id = e.id
                   AND a.started_at >= $1
                   AND (NOT $3 OR a.attempt_no = 1 AND a.outcome = ''delivered'')
                 LIMIT $2) r
          LIMIT $2', attempt) USING since, most, only_first;
END
$$;
COMMENT ON FUNCTION integration_worker.recent_attempts(text, timestamptz, integer, boolean) IS
    'Syncs of a range with attempts since then; only_first: those that were delivered by the first.';

-- A default partition that has caught much makes ATTACH slow, which reads it whole.
CREATE FUNCTION integration_worker.is_due(
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
    RETURN range.is_kept
        OR NOT EXISTS (SELECT FROM integration_worker.recent_attempts(range.attempt, delivered_before, 1, true));
END
$$;
COMMENT ON FUNCTION integration_worker.is_due(record, timestamptz, timestamptz, bigint) IS
    'Is a range so old, and so little of it unfinished, that it may leave but for what must stay?';

CREATE FUNCTION integration_worker.drop_staged() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    leftovers text := (SELECT string_agg(i.inhrelid::regclass::text, ', ')
                         FROM pg_inherits i
                        WHERE i.inhparent IN ('integration_worker.outbox_staged'::regclass,
                                              'integration_worker.attempt_staged'::regclass));
BEGIN
    IF leftovers IS NOT NULL THEN
        EXECUTE 'DROP TABLE ' || leftovers;
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.drop_staged() IS
    'Gives up a copy, such as one of a worker that ended.';

CREATE FUNCTION integration_worker.create_stage(range record) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text;
    copy text;
BEGIN
    PERFORM integration_worker.drop_staged();
    FOREACH kind IN ARRAY ARRAY['outbox', 'attempt'] LOOP
        copy := integration_worker.copy_name(to_jsonb(range), kind);
        PERFORM integration_worker.create_range(kind, copy, range.low, range.high);
        PERFORM integration_worker.attach_range(format('integration_worker.%s_staged', kind), copy, range.low, range.high);
    END LOOP;
END
$$;
COMMENT ON FUNCTION integration_worker.create_stage(record) IS
    'Makes the tables for the copy of a range.';

CREATE FUNCTION integration_worker.stage(
        after_low bigint, delivered_before timestamptz, failed_before timestamptz)
    RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_id bigint := integration_worker.last_id();
    range record;
    is_found boolean := false;
BEGIN
    -- One by one: those behind the first that is due are not looked at.
    FOR range IN SELECT r.* FROM integration_worker.ranges() r WHERE r.low > after_low AND r.high <= last_id LOOP
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
        -- Requests that were under way then began later than this.
        'since', greatest(least(delivered_before, clock_timestamp()), clock_timestamp() - interval '1 day'));
END
$$;
COMMENT ON FUNCTION integration_worker.stage(bigint, timestamptz, timestamptz) IS
    'Begins to copy what must stay of the next range that is due; returns which, NULL: none is.';

CREATE FUNCTION integration_worker.copy_to_stage(staged jsonb, ids bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('INSERT INTO integration.%I SELECT o.* FROM integration.%I o WHERE o.id = ANY ($1)',
                   integration_worker.copy_name(staged, 'outbox'), staged ->> 'outbox') USING ids;
    EXECUTE format('INSERT INTO integration.%I SELECT a.* FROM integration.%I a WHERE a.outbox_id = ANY ($1)',
                   integration_worker.copy_name(staged, 'attempt'), staged ->> 'attempt') USING ids;
END
$$;
COMMENT ON FUNCTION integration_worker.copy_to_stage(jsonb, bigint[]) IS
    'Copies syncs of a range with their attempts.';

CREATE FUNCTION integration_worker.fill_stage(
        staged jsonb, delivered_before timestamptz, failed_before timestamptz, most integer DEFAULT 100)
    RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT integration_worker.marked_syncs((staged ->> 'after')::bigint, (staged ->> 'high')::bigint, most));
BEGIN
    PERFORM integration_worker.copy_to_stage(
        staged, ARRAY(SELECT integration_worker.must_stay(ids, delivered_before, failed_before)));
    RETURN staged || jsonb_build_object('after', coalesce(ids[cardinality(ids)], (staged ->> 'after')::bigint),
                                        'is_copied', cardinality(ids) < most);
END
$$;
COMMENT ON FUNCTION integration_worker.fill_stage(jsonb, timestamptz, timestamptz, integer) IS
    'Copies the next syncs that must stay; returns how far it came.';

-- What was sent meanwhile, or brought back, is copied again; false: there is too much of it.
CREATE FUNCTION integration_worker.refresh_stage(staged jsonb, most integer DEFAULT 1000) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[] := ARRAY(
        SELECT q.outbox_id
          FROM integration.queue q
         WHERE q.outbox_id >= (staged ->> 'low')::bigint AND q.outbox_id < (staged ->> 'high')::bigint
         LIMIT most
    ) || ARRAY(SELECT integration_worker.recent_attempts(staged ->> 'attempt', (staged ->> 'since')::timestamptz, most, false));
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
COMMENT ON FUNCTION integration_worker.refresh_stage(jsonb, integer) IS
    'Brings a copy up to date.';

CREATE FUNCTION integration_worker.place_staged(staged jsonb, is_few boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text;
    copy text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['outbox', 'attempt'] LOOP
        copy := integration_worker.copy_name(staged, kind);
        IF is_few THEN
            EXECUTE format('INSERT INTO integration.%I SELECT s.* FROM integration.%I s', kind || '_default', copy);
            EXECUTE format('DROP TABLE integration.%I', copy);
        ELSE
            PERFORM integration_worker.attach_range('integration.' || kind, copy,
                                                    (staged ->> 'low')::bigint, (staged ->> 'high')::bigint);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION integration_worker.place_staged(jsonb, boolean) IS
    'Puts a copy in the place of its range, which is gone.';

-- Last of all the lock that the application's inserts need: they wait for nothing but it.
CREATE FUNCTION integration_worker.lock_range(staged jsonb) RETURNS void
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
                                     FROM integration.queue q
                                    WHERE q.outbox_id >= $1 AND q.outbox_id < $2
                                      AND NOT EXISTS (SELECT FROM integration.%I o WHERE o.id = q.outbox_id))',
                   integration_worker.copy_name(staged, 'outbox'))
       INTO is_missed USING (staged ->> 'low')::bigint, (staged ->> 'high')::bigint;
    IF is_missed THEN
        RAISE EXCEPTION USING
            ERRCODE = 'lock_not_available',
            MESSAGE = format('a sync of range %s was brought back just now', staged ->> 'low');
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.lock_range(jsonb) IS
    'Locks everything that dropping a range needs; raises an error if that has to wait, or an unfinished sync is not in the copy.';

CREATE FUNCTION integration_worker.swap_range(staged jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    is_few boolean;
    kind text;
BEGIN
    -- From here on nothing is added to the range.
    EXECUTE format('LOCK TABLE ONLY integration.%I, ONLY integration.%I IN SHARE MODE',
                   staged ->> 'attempt', staged ->> 'outbox');
    IF NOT integration_worker.refresh_stage(staged) THEN
        RETURN 'lively';
    END IF;
    is_few := NOT EXISTS (SELECT FROM integration_worker.outbox_staged OFFSET integration_worker.few());
    IF NOT is_few AND (staged ->> 'is_kept')::boolean THEN
        RETURN 'lively';
    END IF;
    FOREACH kind IN ARRAY ARRAY['outbox', 'attempt'] LOOP
        EXECUTE format('ALTER TABLE integration_worker.%I DETACH PARTITION integration.%I',
                       kind || '_staged', integration_worker.copy_name(staged, kind));
    END LOOP;
    PERFORM integration_worker.lock_range(staged);
    EXECUTE format('DROP TABLE integration.%I, integration.%I', staged ->> 'attempt', staged ->> 'outbox');
    PERFORM integration_worker.place_staged(staged, is_few);
    RETURN 'gone';
EXCEPTION WHEN lock_not_available THEN
    RETURN 'locked';
END
$$;
COMMENT ON FUNCTION integration_worker.swap_range(jsonb) IS
    'Drops a range and puts its copy in its place: gone, locked (somebody uses it), lively (too much of it changes).';

CREATE FUNCTION integration_worker.thin(
        so_far jsonb, delivered_before timestamptz, failed_before timestamptz)
    RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    staged jsonb := so_far -> 'staged';
BEGIN
    IF (staged ->> 'delivered_before')::timestamptz > delivered_before
       OR (staged ->> 'failed_before')::timestamptz > failed_before THEN
        -- More is to be kept than when the copy was begun.
        PERFORM integration_worker.drop_staged();
        RETURN '{"part": "ranges"}';
    ELSIF staged IS NULL THEN
        staged := integration_worker.stage(coalesce((so_far ->> 'after')::bigint, 0), delivered_before, failed_before);
        RETURN CASE WHEN staged IS NULL THEN '{"part": "syncs"}'
                    ELSE jsonb_build_object('part', 'ranges', 'staged', staged) END;
    ELSIF NOT (staged ->> 'is_copied')::boolean THEN
        RETURN jsonb_set(so_far, '{staged}', integration_worker.fill_stage(staged, delivered_before, failed_before));
    END IF;
    CASE integration_worker.swap_range(staged)
        WHEN 'locked' THEN
            -- Kept for the next round.
            RETURN so_far || '{"part": "syncs", "after": 0}';
        WHEN 'lively' THEN
            PERFORM integration_worker.drop_staged();
        ELSE
            NULL;
    END CASE;
    RETURN jsonb_build_object('part', 'ranges', 'after', staged -> 'low');
END
$$;
COMMENT ON FUNCTION integration_worker.thin(jsonb, timestamptz, timestamptz) IS
    'One step with the ranges: begin to copy what must stay, copy more of it, or drop the range; returns what is next.';
-- What leaves by itself, when: one small step at a time.

-- Everything it remembers is in what it returns; a worker that begins anew loses a copy, nothing else.
CREATE FUNCTION integration_worker.retain(
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
    parts text[] := '{ranges,syncs,closings,actions,incidents,ranges}';
    after_id bigint := coalesce((so_far ->> 'after')::bigint, 0);
BEGIN
    -- A lost record is removed once more.
    PERFORM set_config('synchronous_commit', 'off', true);
    CASE part
        WHEN 'ranges' THEN next := integration_worker.thin(so_far, delivered_before, failed_before);
        WHEN 'syncs' THEN after_id := integration_worker.sweep_syncs(after_id, delivered_before, failed_before);
        WHEN 'closings' THEN after_id := integration_worker.sweep_closings(after_id);
        WHEN 'actions' THEN after_id := integration_worker.sweep_actions(after_id, failed_before);
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
COMMENT ON FUNCTION integration_worker.retain(jsonb, timestamptz, timestamptz) IS
    'One small step of removing what is old; returns what the next one is to be told, and when it is due.';
-- Ordering keys, objects: which sync of several goes next.

-- The first sync of each of these ordering keys, by the index queue_ordering, unless that one has failed.
CREATE FUNCTION integration_worker.heads(endpoint_ids integer[], ordering_keys text[])
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, due_at timestamptz)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT n.outbox_id, f.endpoint_id, n.due_at
      FROM (SELECT DISTINCT u.endpoint_id, u.ordering_key
              FROM unnest(endpoint_ids, ordering_keys) AS u (endpoint_id, ordering_key)) f
     CROSS JOIN LATERAL (
           SELECT q.outbox_id, q.due_at, q.state
             FROM integration.queue q
            WHERE q.endpoint_id = f.endpoint_id AND q.ordering_key = f.ordering_key
            ORDER BY coalesce(q.place, q.outbox_id)
            LIMIT 1) n
     WHERE n.state <> 'failed';
END
$$;
COMMENT ON FUNCTION integration_worker.heads(integer[], text[]) IS
    'The next sync of each ordering key whose head has ended.';

-- The newest state of each object that may be sent, by the index queue_object.  One that was tried counts
-- whenever it is tried again; one that a person must look at doesn't, nor one that is not to be sent yet.
CREATE FUNCTION integration_worker.newest(endpoint_ids integer[], object_types text[], object_ids text[])
    RETURNS TABLE (n bigint, endpoint_id integer, object_type text, object_id text, place bigint, outbox_id bigint)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.n, o.endpoint_id, o.object_type, o.object_id, x.place, x.outbox_id
      FROM unnest(endpoint_ids, object_types, object_ids) WITH ORDINALITY AS o (endpoint_id, object_type, object_id, n)
     CROSS JOIN LATERAL (
           SELECT coalesce(q.place, q.outbox_id) AS place, q.outbox_id
             FROM integration.queue q
            WHERE q.endpoint_id = o.endpoint_id
              AND q.object_id = o.object_id
              AND q.object_type = o.object_type
              AND (q.state = 'retrying' OR (q.state = 'pending' AND q.due_at <= statement_timestamp()))
              AND (q.expires_at <= statement_timestamp()) IS NOT TRUE
            ORDER BY coalesce(q.place, q.outbox_id) DESC, q.outbox_id DESC
            LIMIT 1) x;
END
$$;
COMMENT ON FUNCTION integration_worker.newest(integer[], text[], text[]) IS
    'The newest sync of each object that may be sent; n is the object''s place in the arrays.';

-- Closes what newer states have made pointless, failed syncs too: a newer state heals them.  Left alone are
-- those that somebody holds, those that are under way (busy; claimed), and all of an object whose newest is
-- being taken away.
CREATE FUNCTION integration_worker.close_older(
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
        SELECT o.outbox_id, x.outbox_id AS newest
          FROM newest x
         CROSS JOIN LATERAL (
               SELECT q.outbox_id
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
         WHERE q.outbox_id = o.outbox_id
        RETURNING q.outbox_id, q.endpoint_id, q.ordering_key, o.newest
    ), closed AS (
        INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
        SELECT g.outbox_id, 'superseded', clock_timestamp(), 'coalesced', g.newest FROM gone g
    )
    SELECT g.endpoint_id, g.ordering_key FROM gone g;
END
$$;
COMMENT ON FUNCTION integration_worker.close_older(integer[], text[], text[], bigint[], integer) IS
    'Closes the older syncs of each object as superseded, at most so many; returns the ordering keys they had.';

-- Never waits for a lock.  The keys of the objects are the caller's own and come back with what it asks next.
CREATE FUNCTION integration_worker.supersede(
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
              JOIN integration.queue q ON q.outbox_id = u.outbox_id
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
COMMENT ON FUNCTION integration_worker.supersede(bigint[], bigint[], bigint[], integer) IS
    'Closes the older syncs of the objects of these ones; returns the newest of each object: next (nothing is before it), again (there is more to close) or held (something older is held by somebody), and who is next under the ordering keys.';
-- What an answer means: the rules behind settle(), each a function of its own.

-- One result on its way through settle(): first the facts, then what was decided.
CREATE TYPE integration_worker.verdict AS (
    n integer,
    outbox_id bigint,
    endpoint_id integer,
    attempts integer,
    charged integer,
    queued boolean,
    kept_state text,
    ordering_key text,
    object_type text,
    object_id text,
    ping boolean,
    started_at timestamptz,
    http_status integer,
    reason text,
    rule_retries boolean,
    error_class text,
    error text,
    delivered boolean,
    state text,
    due_at timestamptz,
    remote_id text,
    signal text,
    effect text,
    pause_until timestamptz
);
COMMENT ON TYPE integration_worker.verdict IS
    'One result: n is its place in the arrays; attempts counts this one; kept_state is set when a person changed the sync meanwhile; effect says what it shows about the endpoint: success, alive (answered, refused this one), count, trip or none.';

-- The other side may send anything; a cast that fails must not fail the batch.
CREATE FUNCTION integration_worker.as_json(answer text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF answer IS NULL OR answer !~ '^\s*[{[]' THEN
        RETURN NULL;
    END IF;
    RETURN answer::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.as_json(text) IS
    'A JSON object or array; NULL for everything else.';

CREATE FUNCTION integration_worker.body_matches(body text, match jsonpath) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A predicate yields true, false or null, a path yields what it found.
    RETURN coalesce((SELECT bool_or(hit NOT IN ('false', 'null'))
                       FROM jsonb_path_query(integration_worker.as_json(body), match, silent => true) AS hit), false);
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION integration_worker.body_matches(text, jsonpath) IS
    'Is the jsonpath true for the JSON body, or does it find something in it?';

CREATE FUNCTION integration_worker.body_value(body text, path jsonpath) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hit jsonb := jsonb_path_query_first(integration_worker.as_json(body), path, silent => true);
BEGIN
    IF jsonb_typeof(hit) IN ('string', 'number') THEN
        RETURN nullif(hit #>> '{}', '');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.body_value(text, jsonpath) IS
    'The first text or number that the jsonpath finds in the JSON body; otherwise NULL.';

CREATE FUNCTION integration_worker.member_text(answer jsonb, path text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE jsonb_typeof(answer #> path) WHEN 'string' THEN nullif(answer #>> path, '') END;
END
$$;
COMMENT ON FUNCTION integration_worker.member_text(jsonb, text[]) IS
    'A member that is a text; NULL for members of another type (RFC 9457 §3.1).';

-- RFC 9457: the pointers of errors[] name the fields, the best clue for who must correct the data.
CREATE FUNCTION integration_worker.problem_clue(answer jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat_ws('; ',
               nullif(concat_ws(': ', integration_worker.member_text(answer, '{title}'),
                                integration_worker.member_text(answer, '{detail}')), ''),
               (SELECT string_agg(concat_ws(' ', integration_worker.member_text(e.error, '{pointer}'),
                                            integration_worker.member_text(e.error, '{detail}')), '; ' ORDER BY e.n)
                  FROM jsonb_array_elements(CASE jsonb_typeof(answer -> 'errors') WHEN 'array' THEN answer -> 'errors' END)
                       WITH ORDINALITY AS e (error, n)
                 WHERE jsonb_typeof(e.error) = 'object' AND e.n <= 20));
END
$$;
COMMENT ON FUNCTION integration_worker.problem_clue(jsonb) IS
    'Title, detail and the named fields of a problem (RFC 9457).';

CREATE FUNCTION integration_worker.clue_of(body text, content_type text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer jsonb := integration_worker.as_json(body);
    clue text;
BEGIN
    IF jsonb_typeof(answer) = 'array' THEN
        answer := answer -> 0;
    END IF;
    IF content_type LIKE 'application/problem+json%' THEN
        clue := nullif(integration_worker.problem_clue(answer), '');
    END IF;
    IF answer IS NOT NULL AND clue IS NULL THEN
        clue := coalesce(integration_worker.member_text(answer, '{error_description}'),
                         integration_worker.member_text(answer, '{error,message}'),
                         integration_worker.member_text(answer, '{message}'),
                         integration_worker.member_text(answer, '{errors,0,message}'),
                         integration_worker.member_text(answer, '{detail}'),
                         integration_worker.member_text(answer, '{title}'),
                         integration_worker.member_text(answer, '{error}'));
    ELSIF clue IS NULL AND body ~ '^\s*<' THEN
        clue := substring(left(body, 8192) FROM '(?i)<title[^>]*>([^<]*)</title');
    ELSIF clue IS NULL AND content_type LIKE 'text/plain%' THEN
        clue := left(body, 2000);
    END IF;
    RETURN nullif(left(btrim(regexp_replace(clue, '\s+', ' ', 'g')), 2000), '');
END
$$;
COMMENT ON FUNCTION integration_worker.clue_of(text, text) IS
    'What an answer says about its failure, in one line of at most 2,000 characters; NULL: nothing.';

-- RFC 9110 §15: a status nobody knows is treated as the x00 of its hundred.
CREATE FUNCTION integration_worker.known_reason(reason text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT r.reason FROM integration.error_reason r WHERE r.reason = known_reason.reason),
                    CASE WHEN known_reason.reason ~ '^http:[1-5]\d\d(?!\d)'
                         THEN 'http:' || substr(known_reason.reason, 6, 1) || 'xx'
                         WHEN known_reason.reason LIKE 'http:%' THEN 'http:invalid'
                         WHEN known_reason.reason ~ '^curl:\d' THEN 'curl:other'
                         ELSE 'unknown' END);
END
$$;
COMMENT ON FUNCTION integration_worker.known_reason(text) IS
    'The row of error_reason that stands for a reason.';

CREATE FUNCTION integration_worker.jittered(wait interval, jitter double precision) RETURNS interval
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN wait + CASE WHEN jitter > 0
                       THEN make_interval(secs => least(greatest(random() * jitter * extract(epoch FROM wait)::double precision, 1), 900))
                       ELSE '0 s' END;
END
$$;
COMMENT ON FUNCTION integration_worker.jittered(interval, double precision) IS
    'The wait and a random part of it, at least 1 s, at most 15 min; nothing is ever subtracted.';

CREATE FUNCTION integration_worker.retry_wait(
        schedule interval[], jitter double precision, charged integer, hint text)
    RETURNS interval
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN greatest(integration_worker.jittered(
                        coalesce(schedule[least(greatest(charged, 1), cardinality(schedule))], '5 s'), coalesce(jitter, 0)),
                    CASE hint WHEN 'slow' THEN interval '10 min' END);
END
$$;
COMMENT ON FUNCTION integration_worker.retry_wait(interval[], double precision, integer, text) IS
    'The wait after so many attempts that count; what does not count waits like the next one that does.';

CREATE FUNCTION integration_worker.open_wait(openings integer) RETURNS interval
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN least(interval '1 s' * power(2, least(openings, 10) - 1), '60 s') * (1 + 0.2 * random());
END
$$;
COMMENT ON FUNCTION integration_worker.open_wait(integer) IS
    'How long a breaker stays open before its next probe: 1 s, doubling to 60 s, with up to a fifth added.';

CREATE FUNCTION integration_worker.stop_wait(openings integer) RETURNS interval
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE openings WHEN 1 THEN interval '1 min' WHEN 2 THEN '10 min' ELSE '1 h' END;
END
$$;
COMMENT ON FUNCTION integration_worker.stop_wait(integer) IS
    'How long a stopped endpoint waits before its next probe.';

-- What we know of a reason, read the way a rule of the user's reads it.
CREATE FUNCTION integration_worker.fact_of(verdict integration_worker.verdict) RETURNS integration.error_reason
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fact integration.error_reason;
BEGIN
    SELECT r.* INTO STRICT fact FROM integration.error_reason r WHERE r.reason = verdict.reason;
    IF verdict.rule_retries IS NULL THEN
        RETURN fact;
    END IF;
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
COMMENT ON FUNCTION integration_worker.fact_of(integration_worker.verdict) IS
    'The row of error_reason for a result, as an error_rule makes it when one fits.';

-- May it be sent again?  What was perhaps done is only repeated where that is harmless.
CREATE FUNCTION integration_worker.may_retry(
        fact integration.error_reason, idempotent boolean, repeated boolean)
    RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN fact.breaker = 'trip' OR fact.retryable = 'n/a'
                THEN idempotent OR fact.remote_state IN ('not_reached', 'refused')
                WHEN fact.retryable = 'if_idempotent' THEN idempotent
                WHEN fact.retryable = 'once' THEN NOT repeated
                ELSE fact.retryable = 'yes' END;
END
$$;
COMMENT ON FUNCTION integration_worker.may_retry(integration.error_reason, boolean, boolean) IS
    'May a sync that failed for this reason be sent again without asking a person?';

CREATE FUNCTION integration_worker.is_limit(fact integration.error_reason, retry_after_s integer) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN fact.error_class = 'rate_limited' OR (fact.retry_hint = 'retry_after' AND retry_after_s IS NOT NULL);
END
$$;
COMMENT ON FUNCTION integration_worker.is_limit(integration.error_reason, integer) IS
    'Did the other side only ask to be left alone for a while? A limit is no failure.';

CREATE FUNCTION integration_worker.effect_of(
        fact integration.error_reason, verdict integration_worker.verdict, retry_after_s integer)
    RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN verdict.ping THEN 'none'
                WHEN fact.breaker = 'trip' THEN 'trip'
                WHEN fact.scope = 'worker' OR integration_worker.is_limit(fact, retry_after_s) THEN 'none'
                WHEN fact.breaker = 'count' THEN 'count'
                WHEN fact.scope = 'sync' AND verdict.http_status IS NOT NULL THEN 'alive'
                ELSE 'none' END;
END
$$;
COMMENT ON FUNCTION integration_worker.effect_of(integration.error_reason, integration_worker.verdict, integer) IS
    'What a failure shows about its endpoint: alive, count, trip or none.';
-- What comes next for a sync that was not delivered.

-- The next attempt of a sync that may be sent again, or the end of its patience.
CREATE FUNCTION integration_worker.schedule_next(
        verdict integration_worker.verdict, fact integration.error_reason, retry_after_s integer, settled_at timestamptz)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plan record;
    limited boolean := integration_worker.is_limit(fact, retry_after_s);
    trips boolean := fact.breaker = 'trip';
    free boolean := trips OR fact.scope = 'worker' OR fact.retryable = 'n/a'
        OR (limited AND verdict.attempts - 1 - verdict.charged < 50);
BEGIN
    SELECT p.schedule, p.jitter, o.expires_at, coalesce(o.send_after, o.created_at) + p.deadline AS deadline INTO plan
      FROM integration.endpoint_config c
      LEFT JOIN integration.retry_policy p ON p.name = c.retry_policy
      LEFT JOIN integration.outbox o ON o.id = verdict.outbox_id
     WHERE c.id = verdict.endpoint_id;
    verdict.charged := verdict.charged + CASE WHEN free THEN 0 ELSE 1 END;
    -- How long this sync alone would wait by now is no measure for its whole endpoint.
    IF limited AND verdict.pause_until IS NULL THEN
        verdict.pause_until := settled_at
            + integration_worker.retry_wait(plan.schedule, plan.jitter, 1, fact.retry_hint);
    END IF;
    verdict.due_at := CASE
        WHEN trips THEN settled_at
        WHEN limited AND (free OR retry_after_s IS NOT NULL) THEN verdict.pause_until
        ELSE greatest(settled_at + integration_worker.retry_wait(
                          plan.schedule, plan.jitter, verdict.charged + CASE WHEN free THEN 1 ELSE 0 END, fact.retry_hint),
                      settled_at + make_interval(secs => retry_after_s)) END;
    IF NOT free AND verdict.charged > coalesce(cardinality(plan.schedule), 0)
       OR NOT trips AND verdict.due_at > plan.deadline THEN
        verdict.state := 'failed';
        verdict.due_at := NULL;
        RETURN verdict;
    END IF;
    verdict.state := 'retrying';
    -- expire() closes it then.
    verdict.due_at := least(verdict.due_at, plan.expires_at);
    RETURN verdict;
END
$$;
COMMENT ON FUNCTION integration_worker.schedule_next(integration_worker.verdict, integration.error_reason, integer, timestamptz) IS
    'When a sync is tried again by its retry policy, Retry-After and deadline; failed when those are used up.';

CREATE FUNCTION integration_worker.decide(
        verdict integration_worker.verdict, proven boolean, retry_after_s integer, settled_at timestamptz)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fact integration.error_reason;
    idempotent boolean := coalesce((SELECT c.idempotent FROM integration.endpoint_config c
                                     WHERE c.id = verdict.endpoint_id), true);
    pause_s integer := least(greatest(retry_after_s, 1), 86400);
BEGIN
    IF verdict.reason = 'http:404'
       AND (proven OR EXISTS (SELECT FROM integration.endpoint_health h
                               WHERE h.endpoint_id = verdict.endpoint_id
                                 AND h.last_success_at > settled_at - interval '1 h')) THEN
        verdict.reason := 'http:404:item';
    END IF;
    IF retry_after_s IS NULL OR retry_after_s < 0 THEN
        pause_s := NULL;
    END IF;
    fact := integration_worker.fact_of(verdict);
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
    IF verdict.ping OR NOT integration_worker.may_retry(
           fact, idempotent, fact.retryable = 'once' AND integration_worker.repeats(verdict)) THEN
        verdict.state := 'failed';
        RETURN verdict;
    END IF;
    RETURN integration_worker.schedule_next(verdict, fact, pause_s, settled_at);
END
$$;
COMMENT ON FUNCTION integration_worker.decide(integration_worker.verdict, boolean, integer, timestamptz) IS
    'What becomes of a sync that was not delivered; proven: the same batch delivered something to its endpoint.';

CREATE FUNCTION integration_worker.repeats(verdict integration_worker.verdict) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM integration.attempt a
                    WHERE a.outbox_id = verdict.outbox_id
                      AND a.attempt_no = verdict.attempts - 1
                      AND a.reason = verdict.reason);
END
$$;
COMMENT ON FUNCTION integration_worker.repeats(integration_worker.verdict) IS
    'Did the attempt before fail for the same reason?';

-- An unknown outcome must be looked up by a person before anything is sent again.
CREATE FUNCTION integration_worker.unknown_outcome(verdict integration_worker.verdict) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN verdict.state = 'failed' AND NOT verdict.ping AND verdict.rule_retries IS NULL
       AND EXISTS (SELECT FROM integration.error_reason r
                    WHERE r.reason = verdict.reason AND r.remote_state = 'unknown')
       AND EXISTS (SELECT FROM integration.endpoint_config c
                    WHERE c.id = verdict.endpoint_id AND NOT c.idempotent);
END
$$;
COMMENT ON FUNCTION integration_worker.unknown_outcome(integration_worker.verdict) IS
    'Is a failed sync one of which nobody knows whether the other system did the work?';

CREATE FUNCTION integration_worker.error_text(
        verdict integration_worker.verdict, said text, headers jsonb, body text, redirect_url text)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat_ws('; ',
               coalesce(CASE WHEN verdict.http_status IS NOT NULL
                             THEN integration_worker.clue_of(body, headers ->> 'content-type') END,
                        nullif(said, ''),
                        CASE WHEN verdict.rule_retries IS NOT NULL AND body <> ''
                             THEN format('an error rule takes this answer for a failure: %s', left(body, 200)) END,
                        (SELECT coalesce(verdict.http_status || ' ', '') || CASE WHEN r.kind LIKE 'http%' THEN r.name ELSE coalesce(r.condition, r.name) END
                           FROM integration.error_reason r WHERE r.reason = verdict.reason)),
               'the new place is ' || nullif(redirect_url, ''));
END
$$;
COMMENT ON FUNCTION integration_worker.error_text(integration_worker.verdict, text, jsonb, text, text) IS
    'Details of a failure: what the answer says, else what the sender says, else what the reason is called.';

CREATE FUNCTION integration_worker.explain(
        verdict integration_worker.verdict, said text, headers jsonb, body text, redirect_url text)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    verdict.error := integration_worker.error_text(verdict, said, headers, body, redirect_url);
    IF integration_worker.unknown_outcome(verdict) THEN
        verdict.error := verdict.error
            || '; nobody knows whether it was done: look it up in the other system before sending it again';
    END IF;
    RETURN verdict;
END
$$;
COMMENT ON FUNCTION integration_worker.explain(integration_worker.verdict, text, jsonb, text, text) IS
    'The failure with its details in words.';

CREATE FUNCTION integration_worker.judge(
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
                             integration_worker.decide(f, f.endpoint_id = ANY (proven), r.retry_after_s, settled_at),
                             r.error, headers[f.n], r.response_body, r.redirect_url) END
          FROM unnest(facts) f
          JOIN unnest(results) WITH ORDINALITY AS r ON r.ordinality = f.n
         ORDER BY f.n);
END
$$;
COMMENT ON FUNCTION integration_worker.judge(integration_worker.verdict[], integration_worker.result[], jsonb[], timestamptz) IS
    'What becomes of each result that is not a delivery, and why in words.';
-- The facts of a batch of results.

-- Locks what each result will change and never waits: what somebody else holds is not free.
-- The fences (FOR UPDATE or OFFSET 0 below LATERAL) keep one look-up by key for each result, whatever
-- the statistics said when the plan was made.
CREATE FUNCTION integration_worker.hold(outbox_ids bigint[], endpoint_ids integer[])
    RETURNS TABLE (n bigint, outbox_id bigint, endpoint_id integer, object_type text, object_id text, ping boolean,
                   queued boolean, change_xid xid8, attempts integer, charged integer, state text,
                   due_at timestamptz, ordering_key text, free boolean)
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
                           = (r.endpoint_id, o.object_type, o.object_id)) IS NULL)
      FROM (SELECT u.*, row_number() OVER (PARTITION BY u.outbox_id ORDER BY u.n) > 1 AS again
              FROM unnest(outbox_ids, endpoint_ids) WITH ORDINALITY AS u (outbox_id, endpoint_id, n)) r
      LEFT JOIN LATERAL (
           SELECT coalesce(x.object_type, '') AS object_type, x.object_id, x.operation = 'ping' AS ping
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
COMMENT ON FUNCTION integration_worker.hold(bigint[], integer[]) IS
    'Locks the rows of each sync that is to be settled; free is false where somebody else has one of them.';

CREATE FUNCTION integration_worker.rule_for(
        endpoint text, connector text, reason text, http_status integer, body text)
    RETURNS TABLE (error_class text, retryable boolean)
    LANGUAGE plpgsql STABLE ROWS 1
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.error_class, r.retryable
      FROM integration.error_rule r
     WHERE (r.endpoint IS NULL OR r.endpoint = rule_for.endpoint)
       AND (r.connector IS NULL OR r.connector = rule_for.connector)
       AND (r.status_from IS NULL OR rule_for.http_status >= r.status_from)
       AND (r.status_to IS NULL OR rule_for.http_status <= r.status_to)
       AND (r.reason IS NULL OR rule_for.reason = r.reason
            OR (right(r.reason, 1) = '*' AND starts_with(rule_for.reason, left(r.reason, -1))))
       AND (r.match IS NULL OR integration_worker.body_matches(rule_for.body, r.match))
     ORDER BY r.position, r.id
     LIMIT 1;
END
$$;
COMMENT ON FUNCTION integration_worker.rule_for(text, text, text, integer, text) IS
    'The first error_rule that fits an answer, if any.';

CREATE FUNCTION integration_worker.gather(results integration_worker.result[], settled_at timestamptz)
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
                    CASE WHEN d.delivered AND NOT h.ping THEN 'success' ELSE 'none' END, NULL
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
COMMENT ON FUNCTION integration_worker.gather(integration_worker.result[], timestamptz) IS
    'The facts of each result: its sync, its reason, whether it was delivered; unsettled where the sync is held by somebody else.';
-- How an endpoint stands after a batch: breaker, stop, pause.

-- First how it stood and what the batch showed, then what follows.
CREATE TYPE integration_worker.standing AS (
    endpoint_id integer,
    state text,
    since timestamptz,
    open_until timestamptz,
    openings integer,
    retry_after_until timestamptz,
    "window" integer,
    failures integer,
    tripped_by bigint,
    minute_at timestamptz,
    minute_attempts integer,
    minute_failures integer,
    missing boolean,
    news boolean,
    good boolean,
    alive boolean,
    counted integer,
    idle boolean,
    other_good boolean,
    other_trip boolean,
    first_trip integer,
    last_count integer,
    last_failure integer,
    pause_until timestamptz,
    changed boolean,
    suspect bigint
);
COMMENT ON TYPE integration_worker.standing IS
    'endpoint_health with the running counters; good to pause_until are what the batch showed (first_, last_: places in it); suspect is the sync that turned out to have stopped the endpoint alone.';

-- Somebody who holds an endpoint's health row is changing its state: its results wait, nobody else''s do.
CREATE FUNCTION integration_worker.hold_health(verdicts integration_worker.verdict[])
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted integer[] := ARRAY(
        SELECT h.endpoint_id
          FROM integration.endpoint_health h
         WHERE h.endpoint_id = ANY (ARRAY(SELECT DISTINCT v.endpoint_id FROM unnest(verdicts) v))
           AND (h.state <> 'closed'
                OR h.endpoint_id = ANY (ARRAY(SELECT v.endpoint_id FROM unnest(verdicts) v
                                               WHERE v.effect IN ('count', 'trip') OR v.pause_until IS NOT NULL))));
    held integer[];
BEGIN
    IF wanted = '{}' THEN
        RETURN verdicts;
    END IF;
    held := ARRAY(SELECT h.endpoint_id
                    FROM integration.endpoint_health h
                   WHERE h.endpoint_id = ANY (wanted)
                     FOR NO KEY UPDATE SKIP LOCKED);
    IF held @> wanted THEN
        RETURN verdicts;
    END IF;
    RETURN ARRAY(
        SELECT integration_worker.let_go(v, v.endpoint_id = ANY (wanted) AND v.endpoint_id <> ALL (held) AND NOT v.ping)
          FROM unnest(verdicts) v
         ORDER BY v.n);
END
$$;
COMMENT ON FUNCTION integration_worker.hold_health(integration_worker.verdict[]) IS
    'Locks the health of endpoints that may change state; results of those somebody else holds become unsettled.';

CREATE FUNCTION integration_worker.let_go(verdict integration_worker.verdict, held boolean)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF held THEN
        verdict.state := 'unsettled';
    END IF;
    RETURN verdict;
END
$$;
COMMENT ON FUNCTION integration_worker.let_go(integration_worker.verdict, boolean) IS
    'The result as unsettled if its endpoint is held by somebody else.';

CREATE FUNCTION integration_worker.stop(standing integration_worker.standing, tripped_by bigint, settled_at timestamptz)
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
COMMENT ON FUNCTION integration_worker.stop(integration_worker.standing, bigint, timestamptz) IS
    'A stopped endpoint, or one whose probe was refused again.';

CREATE FUNCTION integration_worker.close(standing integration_worker.standing, settled_at timestamptz)
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
    standing.failures := 0;
    standing.minute_at := settled_at;
    standing.minute_attempts := 0;
    standing.minute_failures := 0;
    standing.changed := true;
    RETURN standing;
END
$$;
COMMENT ON FUNCTION integration_worker.close(integration_worker.standing, timestamptz) IS
    'An endpoint that works again; if only one sync had stopped it, that one is the suspect.';

CREATE FUNCTION integration_worker.open(standing integration_worker.standing, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF standing.state = 'closed' THEN
        standing.state := 'open';
        standing.since := settled_at;
        standing.openings := 0;
    END IF;
    standing.openings := standing.openings + 1;
    standing.open_until := settled_at + integration_worker.open_wait(standing.openings);
    standing.changed := true;
    RETURN standing;
END
$$;
COMMENT ON FUNCTION integration_worker.open(integration_worker.standing, timestamptz) IS
    'An endpoint whose breaker opens, or whose probe failed.';

CREATE FUNCTION integration_worker.next_standing(
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
    IF standing.alive THEN
        RETURN integration_worker.close(standing, settled_at);
    END IF;
    IF standing.counted > 0 AND standing.state = 'stopped' THEN
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
COMMENT ON FUNCTION integration_worker.next_standing(integration_worker.standing, bigint, timestamptz) IS
    'How an endpoint stands after what the batch showed; tripped_by: the first sync that stops it.';

-- What the batch showed of each endpoint.  Requests that left before it opened or stopped are no probes,
-- except that a stop is news to an open breaker.
CREATE FUNCTION integration_worker.tally(
        verdicts integration_worker.verdict[], counters integration_worker.counter[])
    RETURNS TABLE (endpoint_id integer, attempts integer, counted integer, run integer, good boolean, alive boolean,
                   idle boolean, other_good boolean, other_trip boolean, first_trip integer, last_count integer,
                   last_failure integer, pause_until timestamptz)
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
           max(f.pause_until)
      FROM (SELECT e.*,
                   greatest(max(e.n) FILTER (WHERE e.effect IN ('success', 'alive'))
                                OVER (PARTITION BY e.endpoint_id), e.row_after, 0) AS last_good
              FROM (SELECT v.endpoint_id, v.n, v.outbox_id, v.delivered, v.pause_until, h.tripped_by, c.row_after,
                           CASE WHEN coalesce(h.state, 'closed') = 'closed' OR v.started_at >= h.since
                                     OR (h.state = 'open' AND v.effect = 'trip')
                                THEN v.effect ELSE 'late' END AS effect
                      FROM unnest(verdicts) v
                      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = v.endpoint_id
                      LEFT JOIN unnest(counters) c ON c.endpoint_id = v.endpoint_id
                     WHERE v.state <> 'unsettled' AND NOT v.ping) e) f
     GROUP BY f.endpoint_id;
END
$$;
COMMENT ON FUNCTION integration_worker.tally(integration_worker.verdict[], integration_worker.counter[]) IS
    'What a batch showed of each endpoint: counts, firsts and lasts.';
-- The health of the endpoints of a batch.

CREATE FUNCTION integration_worker.stand(
        verdicts integration_worker.verdict[], counters integration_worker.counter[], settled_at timestamptz)
    RETURNS integration_worker.standing[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN (s.now).state = 'closed' AND (s.now).first_trip IS NULL AND (s.now).counted = 0
                         AND (s.now).pause_until IS NULL
                    THEN s.now
                    ELSE integration_worker.next_standing(
                             s.now, verdicts[(s.now).first_trip].outbox_id, settled_at) END
          FROM (SELECT ROW (t.endpoint_id, coalesce(h.state, 'closed'), coalesce(h.since, settled_at), h.open_until,
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
                            t.first_trip, t.last_count, t.last_failure, t.pause_until, false, NULL
                       )::integration_worker.standing AS now
                  FROM integration_worker.tally(verdicts, counters) t
                  LEFT JOIN unnest(counters) c ON c.endpoint_id = t.endpoint_id
                  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = t.endpoint_id
                 CROSS JOIN LATERAL (
                       SELECT coalesce(c.minute_at > settled_at - interval '1 min', false) AS lasts) m
                OFFSET 0) s);
END
$$;
COMMENT ON FUNCTION integration_worker.stand(integration_worker.verdict[], integration_worker.counter[], timestamptz) IS
    'How each endpoint stands after a batch.';

-- Written on a change of state, otherwise at most every ten seconds: one row updated at every batch
-- under an old snapshot becomes forty times as dear.
CREATE FUNCTION integration_worker.write_health(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO integration.endpoint_health (endpoint_id)
    SELECT s.endpoint_id
      FROM unnest(standings) s
      JOIN integration.endpoint e ON e.id = s.endpoint_id
     WHERE s.missing
    ON CONFLICT DO NOTHING;
    UPDATE integration.endpoint_health h
       SET state = s.state, since = s.since, open_until = s.open_until, openings = s.openings,
           retry_after_until = s.retry_after_until, "window" = s."window", failures = s.failures,
           tripped_by = s.tripped_by, updated_at = settled_at,
           last_success_at = CASE WHEN s.good THEN settled_at ELSE h.last_success_at END,
           last_failure_at = CASE WHEN s.last_failure IS NOT NULL THEN settled_at ELSE h.last_failure_at END,
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
COMMENT ON FUNCTION integration_worker.write_health(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Writes endpoint_health where the state changed, or ten seconds after the last time.';

-- It stopped the endpoint, and another sync went through: the fault is its own.
CREATE FUNCTION integration_worker.fail_suspects(standings integration_worker.standing[])
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
                          a.error, false, 'failed', NULL, NULL, 'neutral', 'trip', NULL)::integration_worker.verdict),
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
COMMENT ON FUNCTION integration_worker.fail_suspects(integration_worker.standing[]) IS
    'Fails the sync that alone had stopped an endpoint which works for others; returns those it failed.';
-- Incidents: opened, counted, resolved by what settle() finds.

CREATE FUNCTION integration_worker.raise_incidents(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH seen AS MATERIALIZED (
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
         GROUP BY c.name, v.error_class
    ), counted AS (
        -- An incident that somebody is editing is not waited for; it misses this batch.
        UPDATE integration.incident i
           SET last_seen_at = settled_at, syncs = i.syncs + g.syncs, objects = i.objects + g.objects,
               customers = greatest(i.customers, g.customers), example = g.example,
               impact = CASE WHEN g.impact IS NULL THEN i.impact ELSE coalesce(i.impact, 0) + g.impact END
          FROM seen g
          JOIN LATERAL (
               SELECT x.id
                 FROM integration.incident x
                WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class AND x.resolved_at IS NULL
                  FOR NO KEY UPDATE SKIP LOCKED) held ON true
         WHERE i.id = held.id
    )
    INSERT INTO integration.incident (endpoint, error_class, severity, owner, responsible, remedy, opened_at,
                                      last_seen_at, syncs, objects, customers, impact, example)
    SELECT g.endpoint, g.error_class, g.severity, g.owner, g.responsible, g.remedy, settled_at,
           settled_at, g.syncs, g.objects, g.customers, g.impact, g.example
      FROM seen g
     WHERE NOT EXISTS (SELECT FROM integration.incident x
                        WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class AND x.resolved_at IS NULL);
END
$$;
COMMENT ON FUNCTION integration_worker.raise_incidents(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Opens an incident for each endpoint and class that now needs a person, or counts into the open one.';

CREATE FUNCTION integration_worker.alarming(
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
            OR v.effect = 'trip'
            OR (s.changed AND s.state <> 'closed' AND v.n = s.last_count));
END
$$;
COMMENT ON FUNCTION integration_worker.alarming(integration_worker.verdict[], integration_worker.standing[]) IS
    'The results that a person should know of: a failed sync, a stopped endpoint, an opened breaker.';

-- A problem is over when its endpoint delivers and nothing that failed for it is left.
CREATE FUNCTION integration_worker.resolve_incidents(
        standings integration_worker.standing[], settled_at timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.incident i
       SET state = 'resolved', resolved_at = settled_at
     WHERE i.id = ANY (ARRAY(
           SELECT x.id
             FROM unnest(standings) s
             JOIN integration.endpoint e ON e.id = s.endpoint_id
             JOIN LATERAL (
                  SELECT y.id, y.error_class
                    FROM integration.incident y
                   WHERE y.endpoint = e.name AND y.resolved_at IS NULL AND y.state <> 'ignored'
                     FOR NO KEY UPDATE SKIP LOCKED) x ON true
            WHERE s.state = 'closed' AND s.alive
              AND NOT EXISTS (SELECT FROM integration.queue q
                               WHERE q.endpoint_id = s.endpoint_id AND q.state = 'failed'
                                 AND q.error_class = x.error_class)));
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION integration_worker.resolve_incidents(integration_worker.standing[], timestamptz) IS
    'Resolves open incidents of endpoints that work, unless failed syncs of the class are left; says whether there were any.';
-- How each business object stands after a batch.

-- An older sync never overwrites what is known of a newer one.
CREATE FUNCTION integration_worker.write_status(verdicts integration_worker.verdict[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told integration.sync_status[] := integration_worker.merge_status(verdicts, settled_at);
    written bigint;
BEGIN
    INSERT INTO integration.sync_status AS s
    SELECT t.* FROM unnest(told) t
    ON CONFLICT (endpoint_id, object_type, object_id) DO UPDATE
       SET state = excluded.state,
           last_outbox_id = excluded.last_outbox_id,
           last_attempt_at = excluded.last_attempt_at,
           delivered_outbox_id = greatest(s.delivered_outbox_id, excluded.delivered_outbox_id),
           delivered_at = CASE WHEN excluded.delivered_outbox_id >= coalesce(s.delivered_outbox_id, 0)
                               THEN excluded.delivered_at ELSE s.delivered_at END,
           error_class = excluded.error_class,
           error = excluded.error,
           remote_id = coalesce(excluded.remote_id, s.remote_id),
           failures = CASE WHEN excluded.state = 'in_sync' THEN 0 ELSE s.failures + excluded.failures END
     WHERE excluded.last_outbox_id >= s.last_outbox_id;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written = cardinality(told) THEN
        RETURN;
    END IF;
    UPDATE integration.sync_status s
       SET delivered_outbox_id = t.delivered_outbox_id,
           delivered_at = t.delivered_at,
           remote_id = coalesce(s.remote_id, t.remote_id)
      FROM unnest(told) t
     WHERE (s.endpoint_id, s.object_type, s.object_id) = (t.endpoint_id, t.object_type, t.object_id)
       AND s.last_outbox_id > t.last_outbox_id
       AND t.delivered_outbox_id > coalesce(s.delivered_outbox_id, 0);
END
$$;
COMMENT ON FUNCTION integration_worker.write_status(integration_worker.verdict[], timestamptz) IS
    'Keeps sync_status: in_sync, failing or failed.';

CREATE FUNCTION integration_worker.merge_status(verdicts integration_worker.verdict[], settled_at timestamptz)
    RETURNS integration.sync_status[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        WITH told AS MATERIALIZED (
            SELECT v.*
              FROM unnest(verdicts) v
             WHERE v.object_id IS NOT NULL
               AND (v.delivered AND v.state = 'delivered'
                    OR v.queued AND v.state IN ('pending', 'retrying', 'failed'))
        )
        SELECT ROW (g.endpoint_id, g.object_type, g.object_id,
                    CASE WHEN v.delivered THEN 'in_sync' WHEN v.state = 'failed' THEN 'failed' ELSE 'failing' END,
                    v.outbox_id, v.started_at,
                    d.outbox_id, CASE WHEN d.outbox_id IS NOT NULL THEN settled_at END,
                    v.error_class, v.error, d.remote_id,
                    CASE WHEN v.delivered THEN 0 ELSE g.failures END)::integration.sync_status
          FROM (SELECT t.endpoint_id, t.object_type, t.object_id, max(t.outbox_id) AS newest,
                       max(t.outbox_id) FILTER (WHERE t.delivered) AS delivered,
                       (count(*) FILTER (WHERE NOT t.delivered))::integer AS failures
                  FROM told t
                 GROUP BY t.endpoint_id, t.object_type, t.object_id) g
          JOIN told v ON v.outbox_id = g.newest
          LEFT JOIN told d ON d.outbox_id = g.delivered);
END
$$;
COMMENT ON FUNCTION integration_worker.merge_status(integration_worker.verdict[], timestamptz) IS
    'One row for each object of a batch: of several results the newest sync''s state holds.';
-- The straight way: plain deliveries to endpoints that are well.
--
-- Nearly every result is one, so a batch of them is recorded in one statement; whatever is special in any
-- way is left to the rules of settle().

CREATE TYPE integration_worker.plain_batch AS (
    ids integer[],
    unwritten integer[],
    name_objects boolean
);
COMMENT ON TYPE integration_worker.plain_batch IS
    'Endpoints whose deliveries go the straight way; those whose last delivery was noted ten seconds ago or earlier; has one of them a remote_id_path?';

-- A delivery to such an endpoint changes nothing but its own sync: it is well and no rule or incident waits
-- for the answer.  Rules and incidents are rare, so that there are none at all is asked first.
CREATE FUNCTION integration_worker.plain_endpoints(endpoint_ids integer[], settled_at timestamptz)
    RETURNS integration_worker.plain_batch
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plain integration_worker.plain_batch;
BEGIN
    SELECT array_agg(h.endpoint_id),
           array_agg(h.endpoint_id) FILTER (WHERE h.last_success_at <= settled_at - interval '10 s'),
           bool_or(e.remote_id_path IS NOT NULL OR c.remote_id_path IS NOT NULL)
      INTO plain
      FROM unnest(endpoint_ids) AS b (endpoint_id)
     -- Looked up one by one: a join could come to read the health of all endpoints.
     CROSS JOIN LATERAL (SELECT x.* FROM integration.endpoint_health x WHERE x.endpoint_id = b.endpoint_id OFFSET 0) h
     CROSS JOIN LATERAL (SELECT x.* FROM integration.endpoint x WHERE x.id = b.endpoint_id OFFSET 0) e
      LEFT JOIN integration.connector c ON c.name = e.connector
     WHERE h.state = 'closed'
       AND h.last_success_at IS NOT NULL
       AND (h.retry_after_until IS NULL OR h.retry_after_until <= settled_at)
       AND coalesce(e.idempotent, c.idempotent, true)
       AND (NOT (SELECT EXISTS (SELECT FROM integration.error_rule))
            OR NOT EXISTS (SELECT FROM integration.error_rule r
                            WHERE (r.endpoint IS NULL OR r.endpoint = e.name)
                              AND (r.connector IS NULL OR r.connector = e.connector)))
       AND (NOT (SELECT EXISTS (SELECT FROM integration.incident i WHERE i.resolved_at IS NULL))
            OR NOT EXISTS (SELECT FROM integration.incident i
                            WHERE i.endpoint = e.name AND i.resolved_at IS NULL));
    RETURN plain;
END
$$;
COMMENT ON FUNCTION integration_worker.plain_endpoints(integer[], timestamptz) IS
    'Which of these endpoints can have their deliveries recorded the straight way.';

CREATE FUNCTION integration_worker.remote_id_of(endpoint_id integer, body text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT integration_worker.body_value(body, c.remote_id_path)
              FROM integration.endpoint_config c
             WHERE c.id = remote_id_of.endpoint_id AND c.remote_id_path IS NOT NULL);
END
$$;
COMMENT ON FUNCTION integration_worker.remote_id_of(integer, text) IS
    'The other system''s id in a good answer, by the remote_id_path of the endpoint; NULL: none.';

-- Of two deliveries of an object in a batch the newer sync tells; an older one never overwrites it.  Only the worker
-- that owns the endpoint writes here, so nobody adds the same object meanwhile, and ON CONFLICT, which writes a
-- record of its own for each new row, can be done without.
CREATE FUNCTION integration_worker.tell_objects(
        results integration_worker.result[], done integer[], named boolean, settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    all_done boolean := cardinality(done) = cardinality(results);
BEGIN
    WITH told AS MATERIALIZED (
        SELECT DISTINCT ON (r.endpoint_id, coalesce(r.object_type, ''), r.object_id)
               r.endpoint_id, coalesce(r.object_type, '') AS object_type, r.object_id, r.outbox_id, r.started_at,
               CASE WHEN named THEN integration_worker.remote_id_of(r.endpoint_id, r.response_body) END AS remote_id
          FROM unnest(results) WITH ORDINALITY AS r
         WHERE r.object_id IS NOT NULL AND (all_done OR r.ordinality = ANY (done))
         ORDER BY r.endpoint_id, coalesce(r.object_type, ''), r.object_id, r.outbox_id DESC
    ), known AS MATERIALIZED (
        SELECT t.*, x.place
          FROM told t
          LEFT JOIN LATERAL (
               SELECT s.ctid AS place
                 FROM integration.sync_status s
                WHERE (s.object_id, s.object_type, s.endpoint_id) = (t.object_id, t.object_type, t.endpoint_id)
               OFFSET 0) x ON true
    ), changed AS (
        UPDATE integration.sync_status s
           SET state = CASE WHEN k.outbox_id >= s.last_outbox_id THEN 'in_sync' ELSE s.state END,
               last_outbox_id = greatest(k.outbox_id, s.last_outbox_id),
               last_attempt_at = CASE WHEN k.outbox_id >= s.last_outbox_id THEN k.started_at ELSE s.last_attempt_at END,
               error_class = CASE WHEN k.outbox_id >= s.last_outbox_id THEN NULL ELSE s.error_class END,
               error = CASE WHEN k.outbox_id >= s.last_outbox_id THEN NULL ELSE s.error END,
               failures = CASE WHEN k.outbox_id >= s.last_outbox_id THEN 0 ELSE s.failures END,
               delivered_outbox_id = greatest(k.outbox_id, s.delivered_outbox_id),
               delivered_at = CASE WHEN k.outbox_id >= coalesce(s.delivered_outbox_id, 0)
                                   THEN settled_at ELSE s.delivered_at END,
               remote_id = CASE WHEN k.outbox_id >= coalesce(s.delivered_outbox_id, 0)
                                THEN coalesce(k.remote_id, s.remote_id) ELSE coalesce(s.remote_id, k.remote_id) END
          FROM known k
         WHERE s.ctid = k.place
           AND (s.object_id || '') = k.object_id
    )
    INSERT INTO integration.sync_status (
           endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at,
           delivered_outbox_id, delivered_at, remote_id, failures)
    SELECT k.endpoint_id, k.object_type, k.object_id, 'in_sync', k.outbox_id, k.started_at,
           k.outbox_id, settled_at, k.remote_id, 0
      FROM known k
     WHERE k.place IS NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.tell_objects(integration_worker.result[], integer[], boolean, timestamptz) IS
    'Writes sync_status for the objects of these plain deliveries; named: one of the endpoints has a remote_id_path.';

-- Takes no lock beforehand, which would cost as much as the work itself: should somebody hold a row, the
-- short lock_timeout ends the attempt, and the rules, which lock row by row, find out whose it is.  A sync
-- that a person changed or closed, that has an ordering key or is a ping, is left out.
CREATE FUNCTION integration_worker.deliver(
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
    done integer[];
    any_object boolean;
BEGIN
    IF plain.ids IS NULL THEN
        RETURN '{}';
    END IF;
    -- Row by row through the key and the place it gives: a join of the two could come to read the whole queue.
    WITH found AS (
        SELECT f.*, q.place
          FROM unnest(results) WITH ORDINALITY AS f
         CROSS JOIN LATERAL (
               SELECT x.ctid AS place
                 FROM integration.queue x
                WHERE x.outbox_id = f.outbox_id
               OFFSET 0) q
         WHERE f.endpoint_id = ANY (plain.ids)
           -- By the index error_reason_class, once.
           AND f.reason = ANY (ARRAY(
               SELECT r.reason FROM integration.error_reason r
                WHERE r.error_class = 'success' AND r.remote_state = 'done'))
    ), removed AS (
        DELETE FROM integration.queue q
         USING found f
         WHERE q.ctid = f.place
           AND q.outbox_id + 0 = f.outbox_id
           AND q.change_xid IS NOT DISTINCT FROM f.change_xid
           AND q.ordering_key IS NULL
           AND q.priority <> 0
        RETURNING f.*, q.attempts + 1 AS attempt_no
    ), recorded AS (
        INSERT INTO integration.attempt (
               outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, http_status, duration_ms,
               dns_ms, connect_ms, tls_ms, first_byte_ms, request_url, remote_address,
               response_headers, response_body, trace_id, span_id)
        SELECT r.outbox_id, r.attempt_no, r.endpoint_id, r.started_at, 'delivered', r.reason, r.http_status, r.duration_ms,
               r.dns_ms, r.connect_ms, r.tls_ms, r.first_byte_ms, r.request_url, r.remote_address,
               r.response_headers::jsonb, r.response_body, r.trace_id, r.span_id
          FROM removed r
    )
    SELECT coalesce(array_agg(r.ordinality::integer), '{}'), coalesce(bool_or(r.object_id IS NOT NULL), false)
      INTO done, any_object
      FROM removed r;
    IF any_object THEN
        PERFORM integration_worker.tell_objects(results, done, plain.name_objects, settled_at);
    END IF;
    IF plain.unwritten IS NOT NULL THEN
        UPDATE integration.endpoint_health h
           SET updated_at = settled_at, last_success_at = settled_at, failures = 0, "window" = coalesce(c."window", h."window")
          FROM unnest(counters) c
         CROSS JOIN LATERAL (
               SELECT x.endpoint_id
                 FROM integration.endpoint_health x
                WHERE x.endpoint_id = c.endpoint_id AND x.endpoint_id = ANY (plain.unwritten)
                  AND x.endpoint_id = ANY (ARRAY(SELECT (results[d]).endpoint_id FROM unnest(done) AS d))
                  FOR NO KEY UPDATE SKIP LOCKED) held
         WHERE h.endpoint_id = held.endpoint_id;
    END IF;
    PERFORM integration_worker.choose_durability(false);
    RETURN done;
EXCEPTION WHEN lock_not_available OR data_exception THEN
    RETURN '{}';
END
$$;
COMMENT ON FUNCTION integration_worker.deliver(integration_worker.result[], integration_worker.counter[], timestamptz) IS
    'Finishes the syncs that were plainly delivered, with their attempts and sync_status; returns their places in results. counters has the endpoints of the batch.';
-- A batch of results is recorded with everything that follows from it.

CREATE FUNCTION integration_worker.finish(verdicts integration_worker.verdict[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.queue q
     WHERE q.outbox_id = ANY (ARRAY(
           SELECT v.outbox_id FROM unnest(verdicts) v
            WHERE v.queued AND v.state IN ('delivered', 'cancelled', 'expired')));
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE NOT v.queued AND v.delivered) THEN
        -- It was closed while it was in flight, yet it arrived: the state tells the truth.
        DELETE FROM integration.closing c
         WHERE c.outbox_id = ANY (ARRAY(
               SELECT v.outbox_id FROM unnest(verdicts) v
                WHERE NOT v.queued AND v.delivered AND v.state = 'delivered'));
    END IF;
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE v.queued AND v.state IN ('cancelled', 'expired')) THEN
        INSERT INTO integration.closing (outbox_id, state, closed_at, reason)
        SELECT v.outbox_id, v.state, settled_at, v.reason
          FROM unnest(verdicts) v
         WHERE v.queued AND v.state IN ('cancelled', 'expired');
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.finish(integration_worker.verdict[], timestamptz) IS
    'Ends the syncs that were delivered, were stopped or have expired.';

CREATE FUNCTION integration_worker.reschedule(verdicts integration_worker.verdict[]) RETURNS void
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
    'Writes what was decided for syncs that are not finished; a schedule that a person made was kept by decide().';

-- Everything but the attempts; returns the syncs that failed because another one went through.
CREATE FUNCTION integration_worker.follow_up(
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
        OR EXISTS (SELECT FROM unnest(standings) s WHERE s.changed)
        OR EXISTS (SELECT FROM integration.endpoint_config c
                    WHERE c.id = ANY (ARRAY(SELECT DISTINCT v.endpoint_id FROM unnest(verdicts) v))
                      AND NOT c.idempotent));
    RETURN suspects;
END
$$;
COMMENT ON FUNCTION integration_worker.follow_up(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Finishes, reschedules, keeps sync_status, endpoint_health, incidents; returns the suspects it failed.';

CREATE FUNCTION integration_worker.read_headers(headers text[]) RETURNS jsonb[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN headers::jsonb[];
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY(SELECT integration_worker.as_json(h.value)
                   FROM unnest(headers) WITH ORDINALITY AS h (value, n) ORDER BY h.n);
END
$$;
COMMENT ON FUNCTION integration_worker.read_headers(text[]) IS
    'Headers of answers as JSON; NULL for what is none.';

-- Called by the worker with what deliver() did not finish; counters are those it keeps between two writes of
-- endpoint_health.  Three kinds of rows come back: one for each result, one for each sync that became due
-- or failed because of it, one without outbox_id for each endpoint (due_at: not called before).
CREATE FUNCTION integration_worker.settle(
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
    standings := integration_worker.stand(verdicts, counters, settled_at);
    INSERT INTO integration.attempt (
           outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class, error, http_status,
           next_attempt_at, duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, request_url, remote_address,
           response_headers, response_body, trace_id, span_id)
    SELECT v.outbox_id, v.attempts, v.endpoint_id, v.started_at, CASE WHEN v.delivered THEN 'delivered' ELSE 'failed' END,
           v.reason, v.error_class, v.error, v.http_status, CASE WHEN v.state = 'retrying' AND v.effect <> 'trip' THEN v.due_at END,
           r.duration_ms, r.dns_ms, r.connect_ms, r.tls_ms, r.first_byte_ms, r.request_url, r.remote_address,
           headers[v.n], r.response_body, r.trace_id, r.span_id
      FROM unnest(verdicts) v
      JOIN unnest(results) WITH ORDINALITY AS r ON r.ordinality = v.n
     WHERE v.state <> 'unsettled';
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
           greatest(CASE WHEN s.state <> 'closed' THEN s.open_until END,
                    CASE WHEN s.retry_after_until > settled_at THEN s.retry_after_until END),
           NULL, s.failures, s.minute_at, s.minute_attempts, s.minute_failures
      FROM unnest(standings) s;
END
$$;
COMMENT ON FUNCTION integration_worker.settle(integration_worker.result[], integration_worker.counter[], timestamptz) IS
    'Records a batch of attempts and everything that follows; never waits for a lock, never throws on what an answer holds.';
-- Marks that go before requests to endpoints that are not idempotent; what a worker that died has left of them.

-- A durable mark before a request that must not be repeated leaves: after a crash it says "unknown outcome".
CREATE FUNCTION integration_worker.mark(ids bigint[], change_xids xid8[]) RETURNS SETOF bigint
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
           AND q.change_xid IS NOT DISTINCT FROM m.change_xid
           AND coalesce(q.state, '') <> 'failed'
           FOR UPDATE OF q SKIP LOCKED)
    UPDATE integration.queue q
       SET claimed_at = clock_timestamp()
      FROM mine
     WHERE q.outbox_id = mine.outbox_id
    RETURNING q.outbox_id;
END
$$;
COMMENT ON FUNCTION integration_worker.mark(bigint[], xid8[]) IS
    'Marks syncs of endpoints that are not idempotent as about to leave; only the ids it returns may be sent.';

-- Marks that a worker left behind, by the index queue_claimed: the requests were about to leave when it died.
CREATE FUNCTION integration_worker.recover(marked_before timestamptz[])
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
         WHERE q.claimed_at < marked_before[1 + q.endpoint_id % cardinality(marked_before)]);
BEGIN
    IF left_behind = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT s.* FROM integration_worker.settle(left_behind) s;
END
$$;
COMMENT ON FUNCTION integration_worker.recover(timestamptz[]) IS
    'Settles requests that were in flight when a worker died, as worker_crash; called with a time for each shard before anything of it is sent, and again for those whose rows somebody held. Returns what settle() returns.';
-- What people do to syncs: retry, cancel, amend, replay, ping.

CREATE FUNCTION integration_worker.state_of(id bigint) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(q.state, c.state, 'delivered')
      FROM integration.outbox o
      LEFT JOIN integration.queue q ON q.outbox_id = o.id
      LEFT JOIN integration.closing c ON c.outbox_id = o.id
     WHERE o.id = state_of.id
$$;
COMMENT ON FUNCTION integration_worker.state_of(bigint) IS 'The state of a sync; NULL: there is none of this id.';

CREATE FUNCTION integration_worker.require_sync(id bigint) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration.outbox o WHERE o.id = require_sync.id) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'undefined_object',
        MESSAGE = format('sync %s does not exist', coalesce(require_sync.id::text, 'NULL')),
        HINT = 'Ids are what INSERT INTO integration.outbox … RETURNING id gave, '
               'and what SELECT id FROM integration.sync WHERE object_id = ''…'' finds.';
END
$$;
COMMENT ON FUNCTION integration_worker.require_sync(bigint) IS 'Raises an error unless the sync exists.';

CREATE FUNCTION integration_worker.require_endpoint(name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration.endpoint e WHERE e.name = require_endpoint.name) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'undefined_object',
        MESSAGE = format('endpoint "%s" does not exist', coalesce(require_endpoint.name, 'NULL')),
        HINT = 'Names are in SELECT name FROM integration.endpoint_status.';
END
$$;
COMMENT ON FUNCTION integration_worker.require_endpoint(text) IS 'Raises an error unless the endpoint exists.';

CREATE FUNCTION integration_worker.refuse_action(id bigint, verb text, state text) RETURNS void
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
        ('cancelled', '{delivered}', 'What arrived can''t be taken back; insert a sync that corrects it.'),
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
        MESSAGE = format('sync %s is %s and can''t be %s', refuse_action.id, refuse_action.state, refuse_action.verb),
        -- Without a line above: somebody changed the state just now.
        HINT = replace(replace(coalesce(hint, 'Look at SELECT integration.why($1).'), '$1', refuse_action.id::text),
                       '$2', coalesce(successor::text, 'that'));
END
$$;
COMMENT ON FUNCTION integration_worker.refuse_action(bigint, text, text) IS
    'Raises the error for an action that the state of the sync forbids, with what to do instead.';

-- What was failed for good is on its way again, for everybody who asks for the object.
CREATE FUNCTION integration_worker.revive_status(ids bigint[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.sync_status s
       SET state = 'failing'
      FROM integration.queue q
      JOIN integration.outbox o ON o.id = q.outbox_id
     WHERE q.outbox_id = ANY (ids)
       AND s.endpoint_id = q.endpoint_id
       AND s.object_type = coalesce(o.object_type, '')
       AND s.object_id = o.object_id
       AND s.last_outbox_id = q.outbox_id
       AND s.state = 'failed'
$$;
COMMENT ON FUNCTION integration_worker.revive_status(bigint[]) IS
    'Takes the status of objects whose sync is tried again from failed to failing.';

-- Brings a cancelled sync back; its attempts so far keep counting as history, not towards giving up.
CREATE FUNCTION integration_worker.reopen(id bigint) RETURNS void
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
    INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, attempts, payload_bytes, priority, expires_at,
                                   ordering_key, object_type, object_id, change_xid)
    SELECT original.id, c.id, now(),
           (SELECT coalesce(max(a.attempt_no), 0) FROM integration.attempt a WHERE a.outbox_id = original.id),
           octet_length(original.payload::text),
           CASE WHEN original.operation = 'ping' THEN 0
                WHEN original.priority = 'high' THEN 1 WHEN original.priority = 'low' THEN 3 ELSE 2 END,
           original.expires_at, original.ordering_key,
           CASE WHEN c."coalesce" THEN coalesce(original.object_type, '') END,
           CASE WHEN c."coalesce" THEN original.object_id END,
           pg_current_xact_id()
      FROM integration.endpoint_config c
     WHERE c.name = original.endpoint;
    PERFORM integration_worker.place_copies(ARRAY[reopen.id]);
END
$$;
COMMENT ON FUNCTION integration_worker.reopen(bigint) IS 'Puts a cancelled sync back into the queue.';

CREATE FUNCTION integration.retry(id bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting integration.queue;
    state_before text;
BEGIN
    PERFORM integration_worker.require_sync(retry.id);
    SELECT q.* INTO waiting FROM integration.queue q WHERE q.outbox_id = retry.id FOR UPDATE;
    state_before := integration_worker.state_of(retry.id);
    IF waiting.expires_at <= clock_timestamp() THEN
        PERFORM integration_worker.refuse_action(retry.id, 'retried', 'expired');
    ELSIF waiting.outbox_id IS NULL AND state_before <> 'cancelled' THEN
        PERFORM integration_worker.refuse_action(retry.id, 'retried', state_before);
    ELSIF waiting.outbox_id IS NULL THEN
        PERFORM integration_worker.reopen(retry.id);
    ELSIF waiting.state <> 'failed' AND waiting.claimed_at IS NOT NULL THEN
        RAISE NOTICE 'sync % is being sent right now, to an endpoint that must not get it twice', retry.id;
        RETURN waiting.state;
    ELSE
        PERFORM integration_worker.revive_status(ARRAY[retry.id]);
        UPDATE integration.queue q
           SET state = 'pending',
               due_at = CASE q.state WHEN 'failed' THEN now() ELSE least(q.due_at, now()) END,
               charged = CASE q.state WHEN 'failed' THEN 0 ELSE q.charged END,
               claimed_at = NULL,
               change_xid = pg_current_xact_id()
         WHERE q.outbox_id = retry.id;
    END IF;
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('retry', retry.id, nullif(btrim(retry.reason), ''), jsonb_build_object('state', state_before));
    PERFORM integration_worker.wake_at_commit(false);
    RETURN 'pending';
END
$$;
COMMENT ON FUNCTION integration.retry(bigint, text) IS
    'Has a sync sent now: one that failed or was cancelled from the start of its retry schedule, one that waits without its wait. Returns its state.';

CREATE FUNCTION integration.retry_where(
        endpoint text DEFAULT NULL, error_class text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, customer text DEFAULT NULL, reason text DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ids bigint[];
BEGIN
    IF retry_where.endpoint IS NOT NULL THEN
        PERFORM integration_worker.require_endpoint(retry_where.endpoint);
    END IF;
    PERFORM integration_worker.require_error_class(retry_where.error_class);
    IF num_nonnulls(retry_where.endpoint, retry_where.error_class, retry_where.since, retry_where.until,
                    retry_where.customer) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'retry_where needs to know which syncs',
            HINT = 'Name an endpoint, error_class, since, until or customer; since => ''-infinity'' means all that failed.';
    END IF;
    SELECT coalesce(array_agg(f.id), '{}') INTO ids
      FROM (SELECT q.outbox_id AS id
              FROM integration.queue q
              JOIN integration.outbox o ON o.id = q.outbox_id
              JOIN integration.endpoint e ON e.id = q.endpoint_id
              LEFT JOIN integration.attempt a ON a.outbox_id = q.outbox_id AND a.attempt_no = q.attempts
             WHERE q.state = 'failed'
               AND (retry_where.endpoint IS NULL OR e.name = retry_where.endpoint)
               AND (retry_where.error_class IS NULL OR q.error_class = retry_where.error_class)
               AND (retry_where.since IS NULL OR coalesce(a.started_at, o.created_at) >= retry_where.since)
               AND (retry_where.until IS NULL OR coalesce(a.started_at, o.created_at) < retry_where.until)
               AND (retry_where.customer IS NULL OR coalesce(o.customer, e.customer) = retry_where.customer)
               AND (q.expires_at > clock_timestamp()) IS NOT FALSE
             ORDER BY q.outbox_id
               FOR UPDATE OF q) f;
    PERFORM integration_worker.revive_status(ids);
    UPDATE integration.queue q
       SET state = 'pending', due_at = now(), charged = 0, claimed_at = NULL, change_xid = pg_current_xact_id()
     WHERE q.outbox_id = ANY (ids);
    INSERT INTO integration.action (verb, outbox_id, endpoint, reason, details)
    SELECT 'retry', i.id, retry_where.endpoint, nullif(btrim(retry_where.reason), ''),
           jsonb_strip_nulls(jsonb_build_object('state', 'failed', 'together_with', cardinality(ids) - 1,
                                                'error_class', retry_where.error_class, 'since', retry_where.since,
                                                'until', retry_where.until, 'customer', retry_where.customer))
      FROM unnest(ids) AS i (id);
    PERFORM integration_worker.wake_at_commit(false);
    RETURN cardinality(ids);
END
$$;
COMMENT ON FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text) IS
    'Has all failed syncs sent again that fit: of an endpoint, with an error class, whose last attempt was since and before until, of a customer; NULL: any. Returns how many.';

CREATE FUNCTION integration_worker.require_error_class(name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF name IS NULL OR EXISTS (SELECT FROM integration.error_class c WHERE c.name = require_error_class.name) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'undefined_object',
        MESSAGE = format('error class "%s" does not exist', require_error_class.name),
        HINT = 'Classes are in SELECT name, title FROM integration.error_class.';
END
$$;
COMMENT ON FUNCTION integration_worker.require_error_class(text) IS
    'Raises an error unless the error class exists; NULL passes.';

-- The next one under an ordering key was passed over while its head waited, so it has to turn up in the feed.
-- The lock is taken in the search: a head that the worker ends meanwhile gives way to the one after it.
CREATE FUNCTION integration_worker.hand_over(endpoint_id integer, ordering_key text) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.queue q
       SET change_xid = pg_current_xact_id()
     WHERE q.outbox_id = (SELECT n.outbox_id
                            FROM integration.queue n
                           WHERE n.endpoint_id = hand_over.endpoint_id
                             AND n.ordering_key = hand_over.ordering_key
                           ORDER BY coalesce(n.place, n.outbox_id)
                           LIMIT 1
                             FOR UPDATE)
$$;
COMMENT ON FUNCTION integration_worker.hand_over(integer, text) IS
    'Has the worker look at the first sync of an ordering key.';

CREATE FUNCTION integration_worker.warn_if_in_flight(id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration_worker.live_syncs() l WHERE l.outbox_id = id) THEN
        RAISE NOTICE USING
            MESSAGE = format('sync %s is being sent right now and may still arrive', id),
            HINT = 'If it arrives, its state will be delivered.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.warn_if_in_flight(bigint) IS
    'Says so where a sync that is being closed has already left.';

CREATE FUNCTION integration.cancel(id bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integration.queue;
    why text := nullif(btrim(cancel.reason), '');
BEGIN
    PERFORM integration_worker.require_sync(cancel.id);
    DELETE FROM integration.queue q WHERE q.outbox_id = cancel.id RETURNING q.* INTO removed;
    IF NOT FOUND THEN
        PERFORM integration_worker.refuse_action(cancel.id, 'cancelled', integration_worker.state_of(cancel.id));
    END IF;
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('cancel', cancel.id, why, jsonb_build_object('state', removed.state));
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason)
    VALUES (cancel.id, 'cancelled', clock_timestamp(), why);
    PERFORM integration_worker.hand_over(removed.endpoint_id, removed.ordering_key);
    PERFORM integration_worker.warn_if_in_flight(cancel.id);
    PERFORM integration_worker.wake_at_commit(false);
    RETURN 'cancelled';
END
$$;
COMMENT ON FUNCTION integration.cancel(bigint, text) IS
    'Gives a sync up: it is not sent any more, and the next one under its ordering key may go. Returns its state.';

-- Same object, same cause, same place under the ordering key; what has run out is left out, and a
-- dedup_key would make the copy a duplicate of its original.
CREATE FUNCTION integration_worker.copy_sync(original integration.outbox, payload jsonb) RETURNS bigint
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO integration.outbox (endpoint, object_type, object_id, operation, payload, headers, customer,
                                    ordering_key, priority, impact, send_after, expires_at,
                                    traceparent, triggered_by, trigger_ref, replay_of)
    VALUES (original.endpoint, original.object_type, original.object_id, original.operation,
            coalesce(payload, original.payload), original.headers, original.customer,
            original.ordering_key, original.priority, original.impact,
            CASE WHEN original.send_after > now() THEN original.send_after END,
            CASE WHEN original.expires_at > clock_timestamp() THEN original.expires_at END,
            original.traceparent, original.triggered_by, original.trigger_ref, original.id)
    RETURNING id
$$;
COMMENT ON FUNCTION integration_worker.copy_sync(integration.outbox, jsonb) IS
    'Enqueues a copy of a sync, with another payload if one is given; returns its id.';

CREATE FUNCTION integration.amend(id bigint, payload jsonb, reason text DEFAULT NULL) RETURNS bigint
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
    UPDATE integration.queue q
       SET place = coalesce(removed.place, amend.id)
     WHERE q.outbox_id = copy
       AND (q.ordering_key IS NOT NULL OR q.object_id IS NOT NULL);
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('amend', amend.id, why,
            jsonb_build_object('state', coalesce(removed.state, ended.state), 'copy', copy));
    -- By these two words of its own the extension knows what it closed itself.
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
    VALUES (amend.id, 'superseded', clock_timestamp(),
            CASE WHEN why IN ('duplicate', 'coalesced') THEN 'amended' ELSE coalesce(why, 'amended') END, copy)
        ON CONFLICT (outbox_id) DO UPDATE SET superseded_by = excluded.superseded_by;
    PERFORM integration_worker.warn_if_in_flight(amend.id);
    PERFORM integration_worker.wake_at_commit(false);
    RETURN copy;
END
$$;
COMMENT ON FUNCTION integration.amend(bigint, jsonb, text) IS
    'Enqueues a copy with a corrected payload (NULL: the same) in the place of a sync, which is closed as superseded. Returns the copy''s id.';

-- What is sent again is as old as what it copies: where the endpoint coalesces, it must not take the place
-- of a newer state.
CREATE FUNCTION integration_worker.place_copies(copies bigint[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE origin AS (
        SELECT o.id AS copy, o.replay_of AS id FROM integration.outbox o WHERE o.id = ANY (copies)
        UNION ALL
        SELECT r.copy, o.replay_of
          FROM origin r
          JOIN integration.outbox o ON o.id = r.id
         WHERE o.replay_of IS NOT NULL
    )
    UPDATE integration.queue q
       SET place = (SELECT min(r.id) FROM origin r WHERE r.copy = q.outbox_id)
     WHERE q.outbox_id = ANY (copies)
       AND q.object_id IS NOT NULL
$$;
COMMENT ON FUNCTION integration_worker.place_copies(bigint[]) IS
    'Gives copies of syncs the places of what they copy, where the endpoint coalesces.';

CREATE FUNCTION integration.replay(id bigint, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    original integration.outbox;
    state text := integration_worker.state_of(replay.id);
    copy bigint;
BEGIN
    IF state IS DISTINCT FROM 'delivered' THEN
        PERFORM integration_worker.refuse_action(replay.id, 'replayed', state);
    END IF;
    SELECT o.* INTO original FROM integration.outbox o WHERE o.id = replay.id;
    copy := integration_worker.copy_sync(original, NULL);
    PERFORM integration_worker.place_copies(ARRAY[copy]);
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('replay', replay.id, nullif(btrim(replay.reason), ''), jsonb_build_object('copy', copy));
    RETURN copy;
END
$$;
COMMENT ON FUNCTION integration.replay(bigint, text) IS
    'Sends a delivered sync once more, as a copy with an id of its own (a receiver drops what it has seen). Returns the copy''s id.';

CREATE FUNCTION integration.replay(
        endpoint text, since timestamptz, until timestamptz DEFAULT NULL, reason text DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    copies bigint[];
BEGIN
    PERFORM integration_worker.require_endpoint(replay.endpoint);
    IF replay.since IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed',
            MESSAGE = 'replay needs to know since when',
            HINT = 'Write SELECT integration.replay(''shop'', now() - interval ''1 hour''); since => ''-infinity'' means all.';
    END IF;
    WITH delivered AS (
        SELECT DISTINCT a.outbox_id
          FROM integration.attempt a
          JOIN integration.endpoint e ON e.id = a.endpoint_id
         WHERE e.name = replay.endpoint
           AND a.started_at >= replay.since
           AND a.started_at < coalesce(replay.until, 'infinity')
           AND a.outcome = 'delivered'
    ), copy AS (
        INSERT INTO integration.outbox (endpoint, object_type, object_id, operation, payload, headers, customer,
                                        ordering_key, priority, impact, traceparent, triggered_by, trigger_ref,
                                        replay_of)
        SELECT o.endpoint, o.object_type, o.object_id, o.operation, o.payload, o.headers, o.customer,
               o.ordering_key, o.priority, o.impact, o.traceparent, o.triggered_by, o.trigger_ref, o.id
          FROM delivered d
          JOIN integration.outbox o ON o.id = d.outbox_id
         WHERE o.operation <> 'ping'
           -- A replay of something in the period is not replayed beside it.
           AND NOT EXISTS (SELECT FROM integration.attempt x
                            WHERE x.outbox_id = o.replay_of AND x.outcome = 'delivered')
         ORDER BY o.id
        RETURNING id, replay_of
    ), recorded AS (
        INSERT INTO integration.action (verb, outbox_id, endpoint, reason, details)
        SELECT 'replay', c.replay_of, replay.endpoint, nullif(btrim(replay.reason), ''),
               jsonb_build_object('copy', c.id)
          FROM copy c
    )
    SELECT coalesce(array_agg(c.id), '{}') INTO copies FROM copy c;
    PERFORM integration_worker.place_copies(copies);
    RETURN cardinality(copies);
END
$$;
COMMENT ON FUNCTION integration.replay(text, timestamptz, timestamptz, text) IS
    'Sends again, in their old order, what an endpoint was delivered since one time and before another (NULL: until now), as copies with ids of their own. Returns how many.';

-- A ping asks about now, so one that could not leave soon is not sent later.
CREATE FUNCTION integration.ping(endpoint text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync bigint;
BEGIN
    PERFORM integration_worker.require_endpoint(ping.endpoint);
    INSERT INTO integration.outbox (endpoint, operation, payload, priority, expires_at)
    VALUES (ping.endpoint, 'ping', '{}', 'high', clock_timestamp() + interval '5 min')
    RETURNING id INTO sync;
    INSERT INTO integration.action (verb, outbox_id, endpoint) VALUES ('ping', sync, ping.endpoint);
    RETURN sync;
END
$$;
COMMENT ON FUNCTION integration.ping(text) IS
    'Asks an endpoint whether it answers, with a HEAD request before everything else that waits. Returns the id of the sync that tells.';
-- Kill switches: hold what leaves, let it go again.

CREATE FUNCTION integration_worker.require_scope(scope text, name text) RETURNS void
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
            MESSAGE = CASE scope WHEN 'all' THEN 'scope "all" has no name' ELSE format('which %s?', scope) END,
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
COMMENT ON FUNCTION integration_worker.require_scope(text, text) IS
    'Raises an error unless the scope and name of a pause mean something.';

-- Neither is an error, yet both are seldom meant.
CREATE FUNCTION integration_worker.warn_of_pause(scope text, name text) RETURNS void
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
        RAISE NOTICE 'this replaces the pause by % ("%"), which was until %', present.actor, present.reason,
            coalesce(present.until::text, 'somebody resumes');
    END IF;
    IF warn_of_pause.scope = 'customer'
       AND NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.customer = warn_of_pause.name)
       AND NOT EXISTS (SELECT FROM integration.queue q
                         JOIN integration.outbox o ON o.id = q.outbox_id
                        WHERE o.customer = warn_of_pause.name) THEN
        RAISE NOTICE 'nothing waits for customer "%", and no endpoint is theirs: is the name right?', warn_of_pause.name;
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.warn_of_pause(text, text) IS
    'Says when a pause replaces another or holds nothing yet.';

CREATE FUNCTION integration.pause(scope text, name text, reason text, until timestamptz DEFAULT NULL) RETURNS void
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
        SET reason = excluded.reason, actor = excluded.actor, until = excluded.until,
            since = CASE WHEN p.until <= now() THEN excluded.since ELSE p.since END;
    INSERT INTO integration.action (verb, endpoint, reason, details)
    VALUES ('pause', CASE pause.scope WHEN 'endpoint' THEN pause.name END, btrim(pause.reason),
            jsonb_strip_nulls(jsonb_build_object('scope', pause.scope, 'name', pause.name, 'until', pause.until)));
    PERFORM integration_worker.wake_at_commit(true);
END
$$;
COMMENT ON FUNCTION integration.pause(text, text, text, timestamptz) IS
    'Holds what would be sent: everything (all, NULL), or what belongs to a connector, endpoint or customer; until a time, or until resume().';

CREATE FUNCTION integration.resume(scope text, name text DEFAULT NULL, reason text DEFAULT NULL) RETURNS boolean
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
COMMENT ON FUNCTION integration.resume(text, text, text) IS
    'Ends a pause; of an endpoint also a stop, an open breaker, a Retry-After or an announced rate limit. False: nothing was held.';

CREATE FUNCTION integration_worker.close_breaker(endpoint text) RETURNS integration.endpoint_health
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
           retry_after_until = NULL, tripped_by = NULL, updated_at = clock_timestamp()
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
COMMENT ON FUNCTION integration_worker.close_breaker(text) IS
    'Ends what holds an endpoint back but a pause; returns its health before, or NULLs when nothing did.';
-- Every sync as people see it: the views sync, failed.

-- A remedy speaks of what happens by itself; for a failed sync nothing does.
CREATE FUNCTION integration_worker.remedy_when_failed(remedy text, is_unknown boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN is_unknown
                THEN 'Nobody knows whether the other system did the work: look it up there, then cancel this sync or retry it.'
                ELSE regexp_replace(remedy, '(it will be|it is) tried again( automatically| later)?',
                                    'no further attempt is planned, so retry it when that is over') END
$$;
COMMENT ON FUNCTION integration_worker.remedy_when_failed(text, boolean) IS
    'What to do about a sync that is failed for good; is_unknown: the request may have been carried out and must not be repeated.';

-- What is known about a sync whatever its state; the views below add how far it came.
CREATE VIEW integration_worker.sync_facts AS
SELECT o.id, o.endpoint, e.id AS endpoint_id, e.connector, coalesce(o.customer, e.customer) AS customer,
       e.customer AS endpoint_customer,
       o.object_type, o.object_id, o.operation, o.priority, o.ordering_key, o.impact,
       o.triggered_by, o.trigger_ref, o.replay_of, o.created_at, o.expires_at,
       coalesce(e.owner, c.owner) AS owner,
       coalesce(c.severity, 3::smallint) AS severity,
       greatest(o.send_after, o.created_at) + c.sla AS due_by,
       greatest(o.send_after, o.created_at) + c.sla * 0.8 AS at_risk_from,
       a.attempt_no, a.outcome, a.reason, a.error_class, a.http_status, a.error,
       a.started_at AS last_attempt_at,
       a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' AS last_answer_at,
       CASE WHEN a.outcome = 'failed' AND r.error_class = a.error_class THEN r.remedy
            WHEN a.outcome = 'failed' THEN k.remedy END AS remedy,
       CASE WHEN a.outcome = 'failed' THEN r.responsible END AS responsible,
       a.outcome = 'failed' AND r.remote_state = 'unknown'
       AND NOT coalesce(e.idempotent, c.idempotent, true) AS is_unknown
  FROM integration.outbox o
  LEFT JOIN integration.endpoint e ON e.name = o.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN LATERAL (
       SELECT x.*
         FROM integration.attempt x
        WHERE x.outbox_id = o.id
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
  LEFT JOIN integration.error_reason r ON r.reason = a.reason
  LEFT JOIN integration.error_class k ON k.name = a.error_class;
COMMENT ON VIEW integration_worker.sync_facts IS
    'Outbox, endpoint and last attempt of each sync, without its state.';

-- A pause that is over stands in the table until somebody resumes.
CREATE VIEW integration_worker.pause_in_force AS
SELECT p.*
  FROM integration.pause p
 WHERE p.until IS NULL OR p.until > statement_timestamp();
COMMENT ON VIEW integration_worker.pause_in_force IS 'The kill switches that hold something right now.';

-- The order of the lines is the order of strength: the first that applies is the one to name.
CREATE FUNCTION integration_worker.held_by(
        state text, started_at timestamptz, is_paused boolean, health text, retry_after_until timestamptz,
        due_at timestamptz, earlier bigint, rate_free_at timestamptz, in_flight integer, "window" integer)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN state = 'failed' OR started_at IS NOT NULL THEN NULL
                WHEN is_paused THEN 'paused'
                WHEN health = 'stopped' THEN 'stopped'
                WHEN health IN ('open', 'half_open') THEN 'open'
                WHEN retry_after_until > statement_timestamp() THEN 'retry_after'
                WHEN due_at > statement_timestamp() THEN 'schedule'
                WHEN earlier IS NOT NULL THEN 'ordering_key'
                WHEN rate_free_at > statement_timestamp() THEN 'rate'
                WHEN in_flight >= "window" THEN 'window' END
$$;
COMMENT ON FUNCTION integration_worker.held_by(text, timestamptz, boolean, text, timestamptz, timestamptz, bigint, timestamptz, integer, integer) IS
    'What holds an unfinished sync back, the strongest of all that apply; NULL: nothing does.';

-- What the tables know about what holds a sync back; what only shared memory knows is added by the reader.
CREATE VIEW integration_worker.waiting AS
SELECT f.*, q.state, q.attempts, q.due_at,
       h.state AS health, h.open_until, h.retry_after_until,
       EXISTS (SELECT FROM integration_worker.pause_in_force p
                WHERE p.scope = 'all'
                   OR (p.scope = 'connector' AND p.name = f.connector)
                   OR (p.scope = 'endpoint' AND p.name = f.endpoint)
                   OR (p.scope = 'customer' AND p.name IN (f.customer, f.endpoint_customer))) AS is_paused,
       (SELECT b.outbox_id
          FROM integration.queue b
         WHERE b.endpoint_id = q.endpoint_id
           AND b.ordering_key = q.ordering_key
           AND coalesce(b.place, b.outbox_id) < coalesce(q.place, q.outbox_id)
         ORDER BY coalesce(b.place, b.outbox_id)
         LIMIT 1) AS earlier
  FROM integration.queue q
  JOIN integration_worker.sync_facts f ON f.id = q.outbox_id
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = q.endpoint_id;
COMMENT ON VIEW integration_worker.waiting IS
    'The syncs in the queue with what the tables know about what holds them back.';

CREATE VIEW integration_worker.unfinished AS
SELECT f.id, f.state, f.endpoint, f.connector, f.customer, f.object_type, f.object_id, f.operation, f.attempts,
       f.reason, f.error_class, f.http_status, f.error,
       CASE WHEN f.state = 'failed' THEN integration_worker.remedy_when_failed(f.remedy, f.is_unknown) ELSE f.remedy END AS remedy,
       f.responsible, f.owner,
       CASE WHEN f.state <> 'failed' AND l.started_at IS NULL THEN
            greatest(f.due_at, f.retry_after_until,
                     CASE WHEN f.health <> 'closed' THEN f.open_until END) END AS next_attempt_at,
       integration_worker.held_by(
           f.state, l.started_at, f.is_paused, f.health, f.retry_after_until, f.due_at, f.earlier,
           w.rate_free_at, w.in_flight, w."window") AS blocked_by,
       l.started_at AS in_flight_since,
       f.last_attempt_at, f.created_at, NULL::timestamptz AS finished_at,
       statement_timestamp() - f.created_at AS age,
       f.due_by,
       coalesce(statement_timestamp() >= f.at_risk_from OR f.due_at > f.due_by OR (f.state = 'failed' AND f.due_by IS NOT NULL),
                false) AS sla_at_risk,
       f.severity, f.impact, f.priority, f.ordering_key, f.expires_at,
       f.triggered_by, f.trigger_ref, f.replay_of, NULL::bigint AS superseded_by
  FROM integration_worker.waiting f
  LEFT JOIN integration_worker.live_syncs() l ON l.outbox_id = f.id
  LEFT JOIN integration_worker.live_endpoints() w ON w.endpoint_id = f.endpoint_id;
COMMENT ON VIEW integration_worker.unfinished IS 'The syncs in the queue, with the columns of integration.sync.';

-- In branches, so that a condition on state reads the queue or the closings and not the whole outbox.
CREATE VIEW integration.sync AS
SELECT u.*
  FROM integration_worker.unfinished u
UNION ALL
SELECT f.id, c.state, f.endpoint, f.connector, f.customer, f.object_type, f.object_id, f.operation,
       coalesce(f.attempt_no, 0), f.reason, f.error_class, f.http_status, f.error,
       CASE WHEN c.state = 'superseded' AND c.reason = 'duplicate' THEN
            (SELECT format('It is a duplicate of sync %s, which is failed: retry or amend that one.', q.outbox_id)
               FROM integration.queue q
              WHERE q.outbox_id = c.superseded_by AND q.state = 'failed')
            ELSE f.remedy END,
       f.responsible, f.owner,
       NULL, NULL, NULL,
       f.last_attempt_at, f.created_at, c.closed_at, c.closed_at - f.created_at, f.due_by, false,
       f.severity, f.impact, f.priority, f.ordering_key, f.expires_at,
       f.triggered_by, f.trigger_ref, f.replay_of, c.superseded_by
  FROM integration.closing c
  JOIN integration_worker.sync_facts f ON f.id = c.outbox_id
UNION ALL
SELECT f.id, 'delivered', f.endpoint, f.connector, f.customer, f.object_type, f.object_id, f.operation,
       coalesce(f.attempt_no, 0), f.reason, f.error_class, f.http_status, f.error, f.remedy, f.responsible, f.owner,
       NULL, NULL, NULL,
       f.last_attempt_at, f.created_at, f.last_answer_at, f.last_answer_at - f.created_at, f.due_by, false,
       f.severity, f.impact, f.priority, f.ordering_key, f.expires_at,
       f.triggered_by, f.trigger_ref, f.replay_of, NULL
  FROM integration_worker.sync_facts f
 WHERE NOT EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = f.id)
   AND NOT EXISTS (SELECT FROM integration.closing c WHERE c.outbox_id = f.id);
COMMENT ON VIEW integration.sync IS
    'Every sync with its state, what happened last, what helps, what holds it back. UPDATE … SET state = ''pending'' retries, ''cancelled'' cancels.';

CREATE VIEW integration.failed AS
SELECT u.*
  FROM integration_worker.unfinished u
 WHERE u.state = 'failed'
 ORDER BY u.severity, u.impact DESC NULLS LAST, u.created_at, u.id;
COMMENT ON VIEW integration.failed IS
    'The syncs that wait for a person, worst first: severity, impact, age. Updatable like integration.sync.';

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
            ('owner', 'The team that looks after the endpoint.'),
            ('next_attempt_at', 'Not sent before, by its own schedule and by what the endpoint waits for; NULL when finished, failed or in flight.'),
            ('blocked_by', 'The strongest that holds it back: paused, stopped, open, retry_after, schedule, ordering_key, rate or window; NULL: nothing does. integration.why() says it in words.'),
            ('in_flight_since', 'When the request that is under way began; NULL: none is.'),
            ('last_attempt_at', 'When the last attempt began.'),
            ('created_at', 'When it was asked for.'),
            ('finished_at', 'When it was delivered or closed.'),
            ('age', 'From created_at to finished_at, or to now.'),
            ('due_by', 'When it should be delivered by the connector''s SLA; NULL: no promise.'),
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
CREATE FUNCTION integration_worker.update_sync() RETURNS trigger
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
            MESSAGE = CASE WHEN changed IS NOT NULL THEN format('column %s of sync %s can''t be set', changed, OLD.id)
                           ELSE format('the state of sync %s can''t be set to %s', OLD.id, coalesce(asked, 'NULL')) END,
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
COMMENT ON FUNCTION integration_worker.update_sync() IS
    'Makes an update of the views sync and failed a retry or a cancel.';

CREATE FUNCTION integration_worker.refuse_sync_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'feature_not_supported',
        MESSAGE = CASE TG_OP WHEN 'INSERT' THEN format('syncs are not inserted into integration.%s', TG_TABLE_NAME)
                             ELSE format('syncs are not deleted from integration.%s', TG_TABLE_NAME) END,
        HINT = CASE TG_OP WHEN 'INSERT' THEN 'Insert into integration.outbox (endpoint, payload, …).'
                          ELSE 'To give a sync up set its state to cancelled; retention removes it later.' END;
END
$$;
COMMENT ON FUNCTION integration_worker.refuse_sync_change() IS
    'Says what to do instead of an insert into or a delete from the views of syncs.';

CREATE TRIGGER update_sync INSTEAD OF UPDATE ON integration.sync
    FOR EACH ROW EXECUTE FUNCTION integration_worker.update_sync();
CREATE TRIGGER update_sync INSTEAD OF UPDATE ON integration.failed
    FOR EACH ROW EXECUTE FUNCTION integration_worker.update_sync();
CREATE TRIGGER refuse_change INSTEAD OF INSERT OR DELETE ON integration.sync
    FOR EACH ROW EXECUTE FUNCTION integration_worker.refuse_sync_change();
CREATE TRIGGER refuse_change INSTEAD OF INSERT OR DELETE ON integration.failed
    FOR EACH ROW EXECUTE FUNCTION integration_worker.refuse_sync_change();
-- How objects, endpoints, workers stand.

-- The second branch: objects that are queued for the first time have no sync_status yet.
CREATE VIEW integration.object_status AS
SELECT e.name AS endpoint, s.object_type, s.object_id,
       CASE WHEN s.state = 'in_sync' AND w.queued > 0 THEN 'pending' ELSE s.state END AS state,
       s.remote_id, s.last_outbox_id AS last_sync, s.last_attempt_at,
       s.delivered_outbox_id AS delivered_sync, s.delivered_at,
       s.error_class, s.error, CASE WHEN s.error_class IS NOT NULL THEN k.remedy END AS remedy, s.failures,
       w.queued, w.next_sync, w.next_attempt_at
  FROM integration.sync_status s
  JOIN integration.endpoint e ON e.id = s.endpoint_id
  LEFT JOIN integration.error_class k ON k.name = s.error_class
 CROSS JOIN LATERAL (
       SELECT count(*) AS queued, min(q.outbox_id) AS next_sync,
              min(q.due_at) FILTER (WHERE q.state <> 'failed') AS next_attempt_at
         FROM integration.outbox o
         JOIN integration.queue q ON q.outbox_id = o.id
        WHERE o.object_id = s.object_id
          AND coalesce(o.object_type, '') = s.object_type
          AND q.endpoint_id = s.endpoint_id) w
UNION ALL
SELECT e.name, coalesce(o.object_type, ''), o.object_id, 'pending',
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0,
       count(*), min(q.outbox_id), min(q.due_at) FILTER (WHERE q.state <> 'failed')
  FROM integration.outbox o
  JOIN integration.queue q ON q.outbox_id = o.id
  JOIN integration.endpoint e ON e.id = q.endpoint_id
 WHERE o.object_id IS NOT NULL
   AND NOT EXISTS (SELECT
                     FROM integration.sync_status s
                    WHERE s.endpoint_id = q.endpoint_id
                      AND s.object_type = coalesce(o.object_type, '')
                      AND s.object_id = o.object_id)
 GROUP BY e.name, coalesce(o.object_type, ''), o.object_id;
COMMENT ON VIEW integration.object_status IS
    'How each business object stands at each endpoint, with what is still queued for it.';
COMMENT ON COLUMN integration.object_status.endpoint IS 'The endpoint.';
COMMENT ON COLUMN integration.object_status.object_type IS 'The kind of business object; empty where none was given.';
COMMENT ON COLUMN integration.object_status.object_id IS 'The business reference.';
COMMENT ON COLUMN integration.object_status.state IS
    'in_sync, pending (something newer, or the first, waits to be sent), failing (will be tried again) or failed (a person must act).';
COMMENT ON COLUMN integration.object_status.remote_id IS 'The other system''s id for the object.';
COMMENT ON COLUMN integration.object_status.last_sync IS 'The newest sync of the object that was tried.';
COMMENT ON COLUMN integration.object_status.last_attempt_at IS 'When.';
COMMENT ON COLUMN integration.object_status.delivered_sync IS 'The newest sync of the object that was delivered.';
COMMENT ON COLUMN integration.object_status.delivered_at IS 'When.';
COMMENT ON COLUMN integration.object_status.error_class IS 'What the last failure means; NULL when the last attempt was delivered.';
COMMENT ON COLUMN integration.object_status.error IS 'Details of the last failure in words.';
COMMENT ON COLUMN integration.object_status.remedy IS 'What helps against it.';
COMMENT ON COLUMN integration.object_status.failures IS 'Failed attempts in a row.';
COMMENT ON COLUMN integration.object_status.queued IS 'Syncs of the object that are not finished.';
COMMENT ON COLUMN integration.object_status.next_sync IS 'The first of them.';
COMMENT ON COLUMN integration.object_status.next_attempt_at IS 'When the first of them is due; NULL: none is scheduled.';

CREATE VIEW integration.endpoint_status AS
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
        ORDER BY x.until DESC NULLS FIRST
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
COMMENT ON VIEW integration.endpoint_status IS
    'One row for each endpoint: health, backlog, what holds it back.';
COMMENT ON COLUMN integration.endpoint_status.name IS 'The endpoint.';
COMMENT ON COLUMN integration.endpoint_status.connector IS 'The product it belongs to.';
COMMENT ON COLUMN integration.endpoint_status.customer IS 'The customer it serves; NULL: all.';
COMMENT ON COLUMN integration.endpoint_status.state IS
    'closed (calls flow), open (too many failures), half_open (one probe is out) or stopped (cannot work until somebody acts).';
COMMENT ON COLUMN integration.endpoint_status.blocked_by IS
    'The strongest that holds it back: paused, stopped, open, retry_after, rate or window; NULL: nothing does.';
COMMENT ON COLUMN integration.endpoint_status.paused_reason IS 'Why it is paused, in the words of who did it.';
COMMENT ON COLUMN integration.endpoint_status.paused_until IS 'Until when; NULL: until somebody resumes it.';
COMMENT ON COLUMN integration.endpoint_status.backlog IS 'Syncs that wait to be sent.';
COMMENT ON COLUMN integration.endpoint_status.failed IS 'Syncs that wait for a person.';
COMMENT ON COLUMN integration.endpoint_status.oldest_due_at IS 'Since when the oldest due sync waits.';
COMMENT ON COLUMN integration.endpoint_status.in_flight IS 'Requests under way right now.';
COMMENT ON COLUMN integration.endpoint_status."window" IS 'Requests that may be under way at once just now.';
COMMENT ON COLUMN integration.endpoint_status.max_concurrency IS 'The most that "window" may become.';
COMMENT ON COLUMN integration.endpoint_status.rate_limit IS 'Requests a second, at most; NULL: no limit.';
COMMENT ON COLUMN integration.endpoint_status.attempts_last_hour IS 'Attempts that began within the last hour.';
COMMENT ON COLUMN integration.endpoint_status.success_share_last_hour IS 'How many of them were delivered, 0 to 1; NULL: there were none.';
COMMENT ON COLUMN integration.endpoint_status.last_success_at IS 'Last delivery, to ten seconds.';
COMMENT ON COLUMN integration.endpoint_status.last_failure_at IS 'Last failure, to ten seconds.';
COMMENT ON COLUMN integration.endpoint_status.last_reason IS 'Reason of the last failure.';
COMMENT ON COLUMN integration.endpoint_status.last_error IS 'Details of the last failure.';
COMMENT ON COLUMN integration.endpoint_status.next_probe_at IS 'While open or stopped: when the next probe may leave.';
COMMENT ON COLUMN integration.endpoint_status.retry_after_until IS 'The other side asked to be left alone until then.';
COMMENT ON COLUMN integration.endpoint_status.tripped_by IS 'The sync whose attempt stopped it.';
COMMENT ON COLUMN integration.endpoint_status.owner IS 'The team that looks after it.';
COMMENT ON COLUMN integration.endpoint_status.url IS 'Where requests go.';

CREATE VIEW integration.worker_status AS
SELECT w.pid, w.shards, w.activity, w.started_at, w.last_turn_at, w.endpoints, w.in_flight, w.waiting, w.unsettled,
       w.delivered, w.failed, w.memory_bytes
  FROM integration_worker.live_workers() w;
COMMENT ON VIEW integration.worker_status IS
    'What each worker of this database is doing right now; no row: there is none.';
COMMENT ON COLUMN integration.worker_status.pid IS 'Its process, as in pg_stat_activity.';
COMMENT ON COLUMN integration.worker_status.shards IS
    'Which of the 16 shards it has: it serves the endpoints whose id modulo 16 is among them.';
COMMENT ON COLUMN integration.worker_status.activity IS 'What it does just now.';
COMMENT ON COLUMN integration.worker_status.started_at IS 'When it was started.';
COMMENT ON COLUMN integration.worker_status.last_turn_at IS 'When its loop last came round.';
COMMENT ON COLUMN integration.worker_status.endpoints IS 'Endpoints it serves.';
COMMENT ON COLUMN integration.worker_status.in_flight IS 'Requests under way.';
COMMENT ON COLUMN integration.worker_status.waiting IS 'Syncs in its memory that wait for their turn.';
COMMENT ON COLUMN integration.worker_status.unsettled IS 'Results that are not recorded yet.';
COMMENT ON COLUMN integration.worker_status.delivered IS 'Delivered since it was started.';
COMMENT ON COLUMN integration.worker_status.failed IS 'Failed attempts since it was started.';
COMMENT ON COLUMN integration.worker_status.memory_bytes IS 'Memory it holds for requests and answers.';
-- One sync in words: why it is where it is, what happened to it.

CREATE FUNCTION integration_worker.duration_words(length interval) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN s.s < 60 THEN format('%s s', s.s)
                WHEN s.s < 3600 THEN concat(s.s / 60, ' min', ' ' || nullif(s.s % 60, 0) || ' s')
                WHEN s.s < 86400 THEN concat(s.s / 3600, ' h', ' ' || nullif(s.s / 60 % 60, 0) || ' min')
                ELSE concat(s.s / 86400, ' d', ' ' || nullif(s.s / 3600 % 24, 0) || ' h') END
      FROM (SELECT ceil(extract(epoch FROM length))::bigint AS s) s
$$;
COMMENT ON FUNCTION integration_worker.duration_words(interval) IS 'A length of time for people, to two units.';

CREATE FUNCTION integration_worker.time_words(at timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(to_char(at, 'YYYY-MM-DD HH24:MI:SS TZ'), at::text)
           || CASE WHEN isfinite(at) AND at > statement_timestamp() THEN format(' (in %s)', integration_worker.duration_words(at - statement_timestamp())) ELSE '' END
$$;
COMMENT ON FUNCTION integration_worker.time_words(timestamptz) IS
    'A moment for people, in the time zone of the session; with its distance when it is to come.';

CREATE FUNCTION integration_worker.failure_words(reason text, error_class text, error text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(coalesce(error_class, 'an error'), ' (', concat_ws(': ', reason, rtrim(left(error, 300), '. ')), ')')
$$;
COMMENT ON FUNCTION integration_worker.failure_words(text, text, text) IS
    'What an attempt failed with, as a part of a sentence.';

CREATE FUNCTION integration_worker.last_failure_words(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN sync.attempt_no IS NULL THEN 'no attempt had been made'
                WHEN sync.outcome = 'delivered' THEN format('attempt %s was delivered', sync.attempt_no)
                ELSE format('attempt %s failed with %s', sync.attempt_no,
                            integration_worker.failure_words(sync.reason, sync.error_class, sync.error)) END
$$;
COMMENT ON FUNCTION integration_worker.last_failure_words(integration_worker.sync_facts) IS
    'How the last attempt of a sync ended, as a part of a sentence.';

CREATE FUNCTION integration_worker.why_finished(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended integration.closing;
    at text;
    who text;
    instead text;
BEGIN
    SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = sync.id;
    IF NOT FOUND THEN
        RETURN format('Sync %s was delivered at %s by attempt %s (%s).', sync.id,
                      integration_worker.time_words(sync.last_answer_at), sync.attempt_no, sync.reason);
    END IF;
    at := integration_worker.time_words(ended.closed_at);
    instead := format('sync %s, which is %s', ended.superseded_by, integration_worker.state_of(ended.superseded_by));
    IF ended.state = 'superseded' AND ended.reason = 'duplicate' THEN
        RETURN format('Sync %s was not sent: it is a duplicate of %s%s.', sync.id, instead,
                      CASE WHEN integration_worker.state_of(ended.superseded_by) IN ('failed', 'cancelled', 'expired') THEN
                           format(' and still stands for it (SELECT integration.why(%s))', ended.superseded_by) END);
    ELSIF ended.state = 'superseded' AND ended.reason = 'coalesced' THEN
        RETURN format('Sync %s was not sent after %s: a newer state of its object took its place, %s.', sync.id, at, instead);
    ELSIF ended.state = 'superseded' THEN
        RETURN format('Sync %s was superseded at %s (%s) by %s.', sync.id, at, ended.reason, instead);
    ELSIF ended.state = 'expired' THEN
        RETURN format('Sync %s expired at %s: it was not to be sent after %s, and %s; %s.', sync.id, at,
                      integration_worker.time_words(sync.expires_at), integration_worker.last_failure_words(sync),
                      CASE WHEN ended.superseded_by IS NOT NULL THEN 'in its place went ' || instead
                           ELSE format('SELECT integration.amend(%s, NULL, ''why'') sends it all the same', sync.id) END);
    END IF;
    SELECT a.actor INTO who
      FROM integration.action a
     WHERE a.outbox_id = sync.id AND a.verb = 'cancel'
     ORDER BY a.id DESC LIMIT 1;
    RETURN format('Sync %s was cancelled at %s%s%s; %s.', sync.id, at,
                  ' by ' || who, ' ("' || ended.reason || '")',
                  CASE WHEN ended.superseded_by IS NOT NULL THEN 'in its place went ' || instead
                       ELSE format('SELECT integration.retry(%s, ''why'') brings it back', sync.id) END);
END
$$;
COMMENT ON FUNCTION integration_worker.why_finished(integration_worker.sync_facts) IS
    'One sentence about a sync that is finished.';

CREATE FUNCTION integration_worker.why_failed(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Sync %s waits for a person since %s: %s; %s%sSELECT integration.amend(%s, ''{…}'', ''why'') '
                  'sends corrected data, SELECT integration.retry(%s, ''why'') the same again.',
                  sync.id, integration_worker.time_words(sync.last_answer_at),
                  integration_worker.last_failure_words(sync),
                  'remedy: ' || rtrim(integration_worker.remedy_when_failed(sync.remedy, sync.is_unknown), '. ') || ' ',
                  '(responsible: ' || sync.responsible || '); ',
                  sync.id, sync.id)
$$;
COMMENT ON FUNCTION integration_worker.why_failed(integration_worker.sync_facts) IS
    'One sentence about a sync that is failed: what happened, what helps, who can do it, what to run then.';

CREATE FUNCTION integration_worker.why_paused(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Sync %s waits because %s is paused by %s since %s ("%s"), until %s.', sync.id,
                  CASE p.scope WHEN 'all' THEN 'everything' ELSE format('%s "%s"', p.scope, p.name) END,
                  p.actor, integration_worker.time_words(p.since), p.reason,
                  coalesce(integration_worker.time_words(p.until),
                           format('somebody runs SELECT integration.resume(%L%s)', p.scope,
                                  CASE WHEN p.scope <> 'all' THEN format(', %L', p.name) END)))
      FROM integration_worker.pause_in_force p
     WHERE p.scope = 'all'
        OR (p.scope = 'connector' AND p.name = sync.connector)
        OR (p.scope = 'endpoint' AND p.name = sync.endpoint)
        OR (p.scope = 'customer' AND p.name IN (sync.customer, sync.endpoint_customer))
     ORDER BY p.until DESC NULLS FIRST, p.scope
     LIMIT 1
$$;
COMMENT ON FUNCTION integration_worker.why_paused(integration_worker.waiting) IS
    'One sentence about a sync that a pause holds back: the one that ends last.';

CREATE FUNCTION integration_worker.why_endpoint_waits(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN h.state = 'stopped' THEN
            format('Sync %s waits because endpoint "%s" is stopped since %s: %s; %s%sit is tried again %s, '
                   'at once after a change of endpoint, connector or credential, or by SELECT integration.resume(''endpoint'', %L).',
                   sync.id, sync.endpoint, integration_worker.time_words(h.since),
                   coalesce('sync ' || h.tripped_by || ' failed with ', 'it failed with ')
                   || integration_worker.failure_words(h.last_reason, r.error_class, h.last_error),
                   'remedy: ' || rtrim(r.remedy, '. ') || ' ',
                   '(responsible: ' || r.responsible || '); ',
                   CASE WHEN h.open_until > statement_timestamp() THEN 'at ' || integration_worker.time_words(h.open_until) ELSE 'now' END,
                   sync.endpoint)
        WHEN h.state IN ('open', 'half_open') THEN
            format('Sync %s waits because endpoint "%s" fails too often since %s, last with %s; %s, '
                   'and the rest follows as soon as it is delivered.',
                   sync.id, sync.endpoint, integration_worker.time_words(h.since),
                   integration_worker.failure_words(h.last_reason, r.error_class, h.last_error),
                   CASE WHEN h.open_until > statement_timestamp() THEN 'one sync is tried at ' || integration_worker.time_words(h.open_until)
                        ELSE 'one sync is tried now' END)
        ELSE
            format('Sync %s waits because endpoint "%s" asked to be left alone until %s.',
                   sync.id, sync.endpoint, integration_worker.time_words(h.retry_after_until))
        END
      FROM integration.endpoint_health h
      LEFT JOIN integration.error_reason r ON r.reason = h.last_reason
     WHERE h.endpoint_id = sync.endpoint_id
$$;
COMMENT ON FUNCTION integration_worker.why_endpoint_waits(integration_worker.waiting) IS
    'One sentence about a sync whose endpoint is stopped, open or asked to be left alone.';

CREATE FUNCTION integration_worker.why_scheduled(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN sync.state = 'retrying' THEN
                    format('Sync %s waits for attempt %s at %s: attempt %s failed with %s.', sync.id, sync.attempts + 1,
                           integration_worker.time_words(sync.due_at), sync.attempt_no,
                           integration_worker.failure_words(sync.reason, sync.error_class, sync.error))
                ELSE format('Sync %s is not to be sent before %s, as the application asked.', sync.id,
                            integration_worker.time_words(sync.due_at)) END
$$;
COMMENT ON FUNCTION integration_worker.why_scheduled(integration_worker.waiting) IS
    'One sentence about a sync that waits for its own time.';

CREATE FUNCTION integration_worker.why_ordered(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Sync %s waits because sync %s comes before it under ordering key "%s" and is %s; it goes when that one is %s '
                  '(SELECT integration.why(%s)).', sync.id, sync.earlier, sync.ordering_key, head.state,
                  CASE head.state WHEN 'failed' THEN 'retried and delivered, amended or cancelled' ELSE 'finished' END,
                  sync.earlier)
      FROM integration_worker.state_of(sync.earlier) AS head (state)
$$;
COMMENT ON FUNCTION integration_worker.why_ordered(integration_worker.waiting) IS
    'One sentence about a sync that waits for an earlier one of its ordering key.';

-- An agreed rate lets the next one go within a token's time; what is later, the other side has announced.
CREATE FUNCTION integration_worker.why_rated(sync integration_worker.waiting, rate_free_at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    agreed double precision := (SELECT c.rate_limit FROM integration.endpoint_config c WHERE c.id = sync.endpoint_id);
BEGIN
    IF rate_free_at <= statement_timestamp() + interval '1 s' / agreed THEN
        RETURN format('Sync %s waits because endpoint "%s" gets %s requests a second at most; the next may leave at %s.',
                      sync.id, sync.endpoint, agreed, integration_worker.time_words(rate_free_at));
    END IF;
    RETURN format('Sync %s waits because endpoint "%s" said how much is left of its rate limit: the next may leave at %s. '
                  'If that is not true any more, SELECT integration.resume(''endpoint'', %L) sends it at once.',
                  sync.id, sync.endpoint, integration_worker.time_words(rate_free_at), sync.endpoint);
END
$$;
COMMENT ON FUNCTION integration_worker.why_rated(integration_worker.waiting, timestamptz) IS
    'One sentence about a sync that an agreed or announced rate limit holds back.';

-- What only shared memory knows comes as arguments, so that a test can say it.
CREATE FUNCTION integration_worker.why_waiting(
        id bigint, started_at timestamptz, rate_free_at timestamptz, in_flight integer, "window" integer,
        has_worker boolean)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync integration_worker.waiting;
    due_since text;
BEGIN
    SELECT w.* INTO sync FROM integration_worker.waiting w WHERE w.id = why_waiting.id;
    -- The guard of the endpoint could not see what was not committed yet.
    IF NOT EXISTS (SELECT FROM integration.queue q
                     JOIN integration.endpoint e ON e.id = q.endpoint_id
                    WHERE q.outbox_id = why_waiting.id) THEN
        RETURN format('Sync %s is not sent because endpoint "%s" was deleted while it was being enqueued: '
                      'SELECT integration.cancel(%s, ''why'') gives it up; once there is an endpoint of that name again, '
                      'SELECT integration.amend(%s, NULL, ''why'') sends it there.', id, sync.endpoint, id, id);
    END IF;
    CASE integration_worker.held_by(sync.state, started_at, sync.is_paused, sync.health, sync.retry_after_until,
                                    sync.due_at, sync.earlier, rate_free_at, in_flight, "window")
        WHEN 'paused' THEN RETURN integration_worker.why_paused(sync);
        WHEN 'stopped', 'open', 'retry_after' THEN RETURN integration_worker.why_endpoint_waits(sync);
        WHEN 'schedule' THEN RETURN integration_worker.why_scheduled(sync);
        WHEN 'ordering_key' THEN RETURN integration_worker.why_ordered(sync);
        WHEN 'rate' THEN
            RETURN integration_worker.why_rated(sync, rate_free_at);
        WHEN 'window' THEN
            RETURN format('Sync %s waits because endpoint "%s" has %s requests under way and gets no more than %s '
                          'at once just now; it goes when one of them ends.', id, sync.endpoint, in_flight, "window");
        ELSE
            NULL;
    END CASE;
    IF started_at IS NOT NULL THEN
        RETURN format('Sync %s is being sent right now: attempt %s began at %s.', id, sync.attempts + 1,
                      integration_worker.time_words(started_at));
    END IF;
    due_since := integration_worker.time_words(sync.due_at);
    IF has_worker THEN
        RETURN format('Sync %s is due since %s and leaves within moments.', id, due_since);
    END IF;
    RETURN format('Sync %s is due since %s, but no worker runs in this database, so nothing is sent: look for '
                  '"integration" in the server''s log, and for shared_preload_libraries = ''integration'' '
                  'in postgresql.conf.', id, due_since);
END
$$;
COMMENT ON FUNCTION integration_worker.why_waiting(bigint, timestamptz, timestamptz, integer, integer, boolean) IS
    'One sentence about a sync that waits to be sent.';

CREATE FUNCTION integration.why(id bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync integration_worker.sync_facts;
    state text := integration_worker.state_of(why.id);
BEGIN
    IF state IS NULL THEN
        RETURN format('There is no sync %s: it was never committed, or retention has removed it.',
                      coalesce(why.id::text, 'NULL'));
    END IF;
    IF state IN ('pending', 'retrying') THEN
        RETURN (SELECT integration_worker.why_waiting(
                           w.id, l.started_at, e.rate_free_at, e.in_flight, e."window",
                           EXISTS (SELECT FROM integration_worker.live_workers()))
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
COMMENT ON FUNCTION integration.why(bigint) IS
    'One sentence: why a sync is not delivered yet and when that changes.';

CREATE FUNCTION integration_worker.action_words(verb text, details jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ', 'was ' || (details ->> 'state'),
                     'as sync ' || (details ->> 'copy'),
                     'together with ' || nullif(details ->> 'together_with', '0') || ' others')
$$;
COMMENT ON FUNCTION integration_worker.action_words(text, jsonb) IS
    'What else there is to say about an action on a sync.';

CREATE FUNCTION integration.timeline(id bigint)
    RETURNS TABLE (at timestamptz, what text, who text, details text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_sync(timeline.id);
    RETURN QUERY
    SELECT t.at, t.what, t.who, nullif(t.details, '')
      FROM (SELECT o.created_at AS at, 0 AS rank, 'enqueued' AS what, concat(o.enqueued_by, ' (' || o.enqueued_from || ')') AS who,
                   concat_ws('; ', format('%s to %s', o.operation, o.endpoint),
                             'for ' || nullif(concat_ws(' ', o.object_type, o.object_id), ''),
                             'a copy of sync ' || o.replay_of,
                             'not before ' || integration_worker.time_words(o.send_after),
                             'not after ' || integration_worker.time_words(o.expires_at),
                             'triggered by ' || nullif(concat_ws(' ', o.triggered_by, o.trigger_ref), '')) AS details
              FROM integration.outbox o
             WHERE o.id = timeline.id
            UNION ALL
            SELECT a.started_at, 1, format('attempt %s %s', a.attempt_no, a.outcome), 'worker',
                   concat_ws('; ', CASE a.outcome WHEN 'failed' THEN
                                        integration_worker.failure_words(a.reason, a.error_class, a.error)
                                        ELSE a.reason END,
                             'took ' || a.duration_ms || ' ms',
                             'next attempt at ' || integration_worker.time_words(a.next_attempt_at))
              FROM integration.attempt a
             WHERE a.outbox_id = timeline.id
            UNION ALL
            SELECT x.at, 2, x.verb, x.actor,
                   concat_ws('; ', '"' || x.reason || '"', nullif(integration_worker.action_words(x.verb, x.details), ''))
              FROM integration.action x
             WHERE x.outbox_id = timeline.id
            UNION ALL
            SELECT c.closed_at, 3, c.state, NULL,
                   concat_ws('; ', c.reason, 'in its place sync ' || c.superseded_by)
              FROM integration.closing c
             WHERE c.outbox_id = timeline.id) t
     ORDER BY t.at, t.rank, t.what;
END
$$;
COMMENT ON FUNCTION integration.timeline(bigint) IS
    'Everything that happened to one sync, oldest first.';
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
-- Who may do what: the only part that grants anything.

-- The matrix; each level of people holds what the level above it in this list holds, producers stand alone.
-- What the views call has to be granted too, but without USAGE of its schema nobody calls it by name.
CREATE FUNCTION integration_worker.privileges()
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

        ('support', 'USAGE', 'SCHEMA integration'),
        ('support', 'SELECT, UPDATE', 'integration.sync'),
        ('support', 'SELECT, UPDATE', 'integration.failed'),
        ('support', 'SELECT', 'integration.object_status'),
        ('support', 'SELECT', 'integration.endpoint_status'),
        ('support', 'SELECT', 'integration.worker_status'),
        ('support', 'SELECT', 'integration.endpoint_config'),
        ('support', 'SELECT', 'integration.connector'),
        ('support', 'SELECT', 'integration.endpoint'),
        ('support', 'SELECT', 'integration.retry_policy'),
        ('support', 'SELECT', 'integration.error_class'),
        ('support', 'SELECT', 'integration.error_reason'),
        ('support', 'SELECT', 'integration.error_rule'),
        ('support', 'SELECT', 'integration.outbox'),
        ('support', 'SELECT', 'integration.queue'),
        ('support', 'SELECT', 'integration.closing'),
        ('support', 'SELECT', 'integration.attempt'),
        ('support', 'SELECT', 'integration.sync_status'),
        ('support', 'SELECT', 'integration.endpoint_health'),
        ('support', 'SELECT', 'integration.incident'),
        ('support', 'SELECT', 'integration.pause'),
        ('support', 'SELECT', 'integration.action'),
        ('support', 'EXECUTE', 'FUNCTION integration.why(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.timeline(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.preview(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.retry(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.cancel(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.amend(bigint, jsonb, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.remedy_when_failed(text, boolean)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.held_by(text, timestamptz, boolean, text, timestamptz, '
                               'timestamptz, bigint, timestamptz, integer, integer)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_syncs()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_endpoints()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_workers()'),

        ('operator', 'EXECUTE', 'FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.replay(bigint, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.replay(text, timestamptz, timestamptz, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.pause(text, text, text, timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.resume(text, text, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.ping(text)'),
        -- How fast and how patient; not where to, nor with which credential.
        ('operator', 'UPDATE (max_concurrency, rate_limit, rate_burst, connect_timeout, timeout, retry_policy)',
                     'integration.endpoint'),
        ('operator', 'UPDATE (max_concurrency, rate_limit, rate_burst, connect_timeout, timeout, retry_policy)',
                     'integration.connector'),

        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.connector'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.endpoint'),
        ('administrator', 'SELECT, INSERT, UPDATE, DELETE', 'integration.credential'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.retry_policy'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.error_rule'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.error_class'),
        ('administrator', 'UPDATE', 'integration.error_reason')
$$;
COMMENT ON FUNCTION integration_worker.privileges() IS
    'What each level of people needs; secret values are in no level.';

CREATE FUNCTION integration_worker.grant_levels(levels text[], grantee regrole) RETURNS void
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
END
$$;
COMMENT ON FUNCTION integration_worker.grant_levels(text[], regrole) IS
    'Grants a role what the named levels need.';

CREATE FUNCTION integration.grant_producer(role regrole) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.grant_levels('{producer}', role)
$$;
COMMENT ON FUNCTION integration.grant_producer(regrole) IS
    'Lets a role of an application insert into the outbox and learn the ids, nothing else.';

CREATE FUNCTION integration.grant_support(role regrole) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.grant_levels('{support}', role)
$$;
COMMENT ON FUNCTION integration.grant_support(regrole) IS
    'Lets a role see every sync with its payload and answers, retry, cancel or amend single ones.';

CREATE FUNCTION integration.grant_operator(role regrole) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.grant_levels('{support,operator}', role)
$$;
COMMENT ON FUNCTION integration.grant_operator(regrole) IS
    'What support may do, and: retry or replay many, pause, resume, ping, change limits and times of endpoints.';

CREATE FUNCTION integration.grant_administrator(role regrole) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.grant_levels('{support,operator,administrator}', role)
$$;
COMMENT ON FUNCTION integration.grant_administrator(regrole) IS
    'What operators may do, and: change connectors, endpoints, credentials, retry policies, the reading of errors.';

-- PostgreSQL lets everybody execute a new function, and ALTER DEFAULT PRIVILEGES may have given away more.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        WITH made (object, owner, acl) AS (
            SELECT format('SCHEMA %I', n.nspname), n.nspowner, n.nspacl
              FROM pg_catalog.pg_namespace n
             WHERE n.nspname IN ('integration', 'integration_worker')
            UNION ALL
            SELECT format('FUNCTION %s', p.oid::regprocedure), p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
              FROM pg_catalog.pg_proc p
             WHERE p.pronamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
            UNION ALL
            SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass),
                   c.relowner, c.relacl
              FROM pg_catalog.pg_class c
             WHERE c.relnamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
               AND c.relkind IN ('r', 'p', 'v', 'S')
        )
        SELECT DISTINCT m.object, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
          FROM made m
         CROSS JOIN LATERAL aclexplode(m.acl) a
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
         WHERE a.grantee <> m.owner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', given.object, given.grantee);
    END LOOP;
END
$$;
-- What a dump of the database carries: the only part that says so.

-- Shipped rows come with CREATE EXTENSION; what the user made or changed takes their place when it is restored.
SELECT pg_extension_config_dump('integration.error_class', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.error_reason', 'WHERE NOT shipped');
SELECT pg_extension_config_dump('integration.retry_policy', 'WHERE NOT shipped');

SELECT pg_extension_config_dump('integration.error_rule', '');
SELECT pg_extension_config_dump('integration.error_rule_id_seq', '');
SELECT pg_extension_config_dump('integration.credential', '');
SELECT pg_extension_config_dump('integration.secret', '');
SELECT pg_extension_config_dump('integration.connector', '');
SELECT pg_extension_config_dump('integration.endpoint', '');
SELECT pg_extension_config_dump('integration.endpoint_id_seq', '');

-- Of the partitioned tables the defaults; the ranges are no members of the extension, so they are dumped as any table.
SELECT pg_extension_config_dump('integration.outbox_default', '');
SELECT pg_extension_config_dump('integration.outbox_id_seq', '');
SELECT pg_extension_config_dump('integration.attempt_default', '');
SELECT pg_extension_config_dump('integration.queue', '');
SELECT pg_extension_config_dump('integration.closing', '');
-- An application that asks once more after the restore is still answered by the first sync.
SELECT pg_extension_config_dump('integration.dedup', '');
SELECT pg_extension_config_dump('integration.sync_status', '');
SELECT pg_extension_config_dump('integration.endpoint_health', '');
SELECT pg_extension_config_dump('integration.incident', '');
SELECT pg_extension_config_dump('integration.incident_id_seq', '');
SELECT pg_extension_config_dump('integration.pause', '');
SELECT pg_extension_config_dump('integration.action', '');
SELECT pg_extension_config_dump('integration.action_id_seq', '');

-- The name is half of every Idempotency-Key, so what was sent before the dump is known by it after the restore:
-- the restored name takes the place of the one that CREATE EXTENSION just made (one_installation()).
SELECT pg_extension_config_dump('integration.installation', '');
-- The last statement of the script: the worker starts when it commits.

SELECT integration_worker.start();
