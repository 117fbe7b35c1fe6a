-- Functions in C: checks that the sender itself applies, what shared memory knows.

CREATE FUNCTION integration_worker.wake_at_commit(registry boolean) RETURNS void
    LANGUAGE c STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_wake_at_commit';
COMMENT ON FUNCTION integration_worker.wake_at_commit(boolean) IS
    'Has the worker look for work when this transaction commits; true: it reads endpoints, pauses and health again first.';

CREATE FUNCTION integration_worker.wake_for_incident() RETURNS void
    LANGUAGE c STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_wake_for_incident';
COMMENT ON FUNCTION integration_worker.wake_for_incident() IS
    'Has the worker tell people of what this transaction did to incidents when it commits.';

CREATE FUNCTION integration_worker.start() RETURNS void
    LANGUAGE c STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_start';
COMMENT ON FUNCTION integration_worker.start() IS
    'Has the launcher start this database''s worker when this transaction commits.';

CREATE FUNCTION integration_worker.place(
        OUT machine text, OUT directory text, OUT inode bigint, OUT born text, OUT was_standby boolean)
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_place';
COMMENT ON FUNCTION integration_worker.place() IS
    'Where the server''s data lies, and whether it was started as a standby; NULL: not known.';

CREATE FUNCTION integration_worker.request_bounds() RETURNS integer[]
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_request_bounds';
COMMENT ON FUNCTION integration_worker.request_bounds() IS
    'The bounds, in milliseconds, by which the worker counts durations: OpenTelemetry''s for http.client.request.duration.';

CREATE FUNCTION integration_worker.url_problem(url text, allow_http boolean) RETURNS text
    LANGUAGE c STRICT STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_url_problem';
COMMENT ON FUNCTION integration_worker.url_problem(text, boolean) IS
    'May this URL be called, an endpoint''s or a token''s? What is wrong with it as a sentence, which names the setting if it is policy; NULL: nothing.';

CREATE FUNCTION integration_worker.header_problem(headers jsonb) RETURNS text
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_header_problem';
COMMENT ON FUNCTION integration_worker.header_problem(jsonb) IS
    'What is wrong with a JSON object of HTTP headers, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.render_request(
        endpoint_method text, endpoint_url text, endpoint_headers jsonb, sync_headers jsonb, format text,
        message_id text, object_type text, object_id text, operation text, remote_id text, payload jsonb,
        created_at timestamptz, source text, traceparent text, quotes_key boolean,
        OUT method text, OUT url text, OUT headers text[], OUT body text, OUT problem text)
    RETURNS record
    LANGUAGE c STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_render_request';
COMMENT ON FUNCTION integration_worker.render_request(text, text, jsonb, jsonb, text, text, text, text, text, text, jsonb, timestamptz, text, text, boolean) IS
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

CREATE FUNCTION integration_worker.awaits_token(endpoint_id integer) RETURNS boolean
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_awaits_token';
COMMENT ON FUNCTION integration_worker.awaits_token(integer) IS
    'Whether what is due at an endpoint can''t leave just now for lack of an access token, from shared memory.';

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

CREATE FUNCTION integration_worker.silent_since() RETURNS timestamptz
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_silent_since';
COMMENT ON FUNCTION integration_worker.silent_since() IS
    'When a worker of this database that does not come round any more last did, as the launcher found; NULL: all do.';

CREATE FUNCTION integration_worker.note_progress(verb text, subject text, total bigint, done bigint) RETURNS void
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_note_progress';
COMMENT ON FUNCTION integration_worker.note_progress(text, text, bigint, bigint) IS
    'Shows other sessions how far this one has come, until its transaction ends; begins with done = 0.';

CREATE FUNCTION integration_worker.live_progress(
        OUT pid integer, OUT role oid, OUT verb text, OUT subject text, OUT total bigint, OUT done bigint,
        OUT started_at timestamptz, OUT updated_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE ROWS 3
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_live_progress';
COMMENT ON FUNCTION integration_worker.live_progress() IS
    'How far statements that touch many syncs have come, from shared memory.';

-- Called for each object of a list, so it pins no path, which would cost more than the look-up: it calls nothing by name.
CREATE FUNCTION integration_worker.queued_of(
        endpoint_id integer, object_type text, object_id text,
        OUT queued bigint, OUT next_sync bigint, OUT next_attempt_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c STRICT STABLE PARALLEL SAFE COST 1000 ROWS 1
    AS 'MODULE_PATHNAME', 'integration_queued_of';
COMMENT ON FUNCTION integration_worker.queued_of(integer, text, text) IS
    'One row: how many syncs of an object are not finished at an endpoint, the first of them, when the next one is due.';
