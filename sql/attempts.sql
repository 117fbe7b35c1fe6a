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
    next_attempt_at timestamptz,
    api_version text
) PARTITION BY RANGE (outbox_id);

-- As with the outbox, keys and indexes stand on the partitions.
CREATE TABLE integration.attempt_default PARTITION OF integration.attempt (PRIMARY KEY (outbox_id, attempt_no)) DEFAULT;
COMMENT ON TABLE integration.attempt_default IS 'Attempts of syncs whose id is in no range of its own.';

-- Serves endpoint_status: the last hour of each endpoint.
CREATE INDEX attempt_default_recent ON integration.attempt_default (endpoint_id, started_at);
-- Serves retention: the few syncs of a range that are kept longer.
CREATE INDEX attempt_default_failed ON integration.attempt_default (outbox_id) WHERE outcome = 'failed';
-- Serves the view event by time; when an attempt ended is written as the view does, by what is immutable.
CREATE INDEX attempt_default_at ON integration.attempt_default
    USING brin (started_at, ((started_at AT TIME ZONE 'UTC' + coalesce(duration_ms, 0) * interval '1 ms') AT TIME ZONE 'UTC'))
    WITH (pages_per_range = 32, autosummarize = on);

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
COMMENT ON COLUMN integration.attempt.api_version IS 'connector.api_version at that time.';

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
-- Serves object_status, customer_object: what does not work, among the many that do.
CREATE INDEX sync_status_failing ON integration.sync_status (endpoint_id, object_id) WHERE state <> 'in_sync';

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
