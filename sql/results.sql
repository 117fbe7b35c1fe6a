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
    row_after integer,
    changed_at timestamptz
);
COMMENT ON TYPE integration_worker.counter IS
    'Running counters of an endpoint, newer than its endpoint_health. row_after: so many of the results came before a delivery that deliver() has recorded, so failures among them are in no row. changed_at: when the worker read that what it is called with was changed; failures of what left before say nothing about it.';

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
