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
COMMENT ON COLUMN integration.credential.name IS 'What endpoint.credential, endpoint.signing and endpoint.certificate refer to.';
COMMENT ON COLUMN integration.credential.kind IS
    'basic, bearer, header, oauth2_client_credentials, aws_sigv4, client_certificate or signing.';
COMMENT ON COLUMN integration.credential.settings IS 'JSON object of what is not secret, such as a user name or a token URL; which members there are depends on the kind.';

CREATE TABLE integration.secret (
    credential text NOT NULL REFERENCES integration.credential ON UPDATE CASCADE ON DELETE CASCADE,
    version integer NOT NULL,
    sealed bytea NOT NULL,
    not_before timestamptz NOT NULL DEFAULT now(),
    not_after timestamptz,
    PRIMARY KEY (credential, version)
);
COMMENT ON TABLE integration.secret IS
    'Sealed secret values of credentials by version; opened by the worker only, written by integration.set_secret().';
COMMENT ON COLUMN integration.secret.credential IS 'The credential it belongs to.';
COMMENT ON COLUMN integration.secret.version IS 'Counts up with each new value.';
COMMENT ON COLUMN integration.secret.sealed IS 'The value, encrypted with AES-256-GCM.';
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
    certificate text REFERENCES integration.credential ON UPDATE CASCADE,
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
    remote_id_path jsonpath,
    mask text[],
    status text NOT NULL DEFAULT 'active',
    api_version text,
    objective numeric NOT NULL DEFAULT 0.9999,
    escalation text,
    refusals_alike integer,
    idempotency_key_style text
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
COMMENT ON COLUMN integration.connector.certificate IS 'Default for endpoint.certificate.';
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
COMMENT ON COLUMN integration.connector.refusals_alike IS 'Default for endpoint.refusals_alike.';
COMMENT ON COLUMN integration.connector.idempotency_key_style IS 'Default for endpoint.idempotency_key_style.';
COMMENT ON COLUMN integration.connector.mask IS 'Default for endpoint.mask.';
COMMENT ON COLUMN integration.connector.status IS
    'active, deprecated (whoever enqueues is warned, once a session) or retired (nothing is enqueued any more; what was is still sent).';
COMMENT ON COLUMN integration.connector.api_version IS 'The version of the other side''s API that its endpoints are written for; each attempt records it.';
COMMENT ON COLUMN integration.connector.objective IS
    'The share of syncs that should be delivered in time, above 0 and below 1; what may be missed by it is the error budget of integration.sla_report.';
COMMENT ON COLUMN integration.connector.escalation IS 'Default for endpoint.escalation.';

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
    certificate text REFERENCES integration.credential ON UPDATE CASCADE,
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
    remote_id_path jsonpath,
    mask text[],
    expected_every interval,
    expected_at_least integer,
    expected_since timestamptz,
    escalation text,
    refusals_alike integer,
    idempotency_key_style text
);
-- Serves the join of a connector's endpoints when the connector changes.
CREATE INDEX endpoint_connector ON integration.endpoint (connector);
-- Serves watch_expected().
CREATE INDEX endpoint_expected ON integration.endpoint (id) WHERE expected_every IS NOT NULL;

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
COMMENT ON COLUMN integration.endpoint.format IS 'json, cloudevents (attributes in headers), cloudevents-structured or cloudevents-batched (a JSON array with one event a request, for receivers that ask for it); default json. Of the endpoints that telemetry goes to otlp-gzip or otlp.';
COMMENT ON COLUMN integration.endpoint.credential IS 'What requests authenticate with.';
COMMENT ON COLUMN integration.endpoint.signing IS 'What requests are signed with.';
COMMENT ON COLUMN integration.endpoint.certificate IS
    'A credential of kind client_certificate: what connections show, whom they trust, beside what requests authenticate with.';
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
COMMENT ON VIEW integration.endpoint_config IS
    'Each endpoint as the sender sees it, every setting resolved; sources says which of endpoint, connector or extension each value came from.';

-- A resolved setting means what the endpoint's own column means; these few it has not or not alone.
COMMENT ON COLUMN integration.endpoint_config.severity IS 'How much a failure hurts: 1 (worst) to 4; default 3.';
COMMENT ON COLUMN integration.endpoint_config.sla IS 'A sync should be delivered within this time after it became due; NULL: no promise.';
COMMENT ON COLUMN integration.endpoint_config.status IS 'Where its connector is in its life: active, deprecated or retired.';
COMMENT ON COLUMN integration.endpoint_config.api_version IS 'The version of the other side''s API; NULL: nobody has said.';
COMMENT ON COLUMN integration.endpoint_config.objective IS 'The share of syncs that should be delivered in time.';
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
