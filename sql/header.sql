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
    name text PRIMARY KEY,
    fingerprint jsonb,
    adopted_at timestamptz,
    adopted_by name
);
COMMENT ON TABLE integration.installation IS
    'One row: the name of this installation; Idempotency-Key is <name>-<outbox id>, the same for every attempt of a sync.';
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
COMMENT ON FUNCTION integration_worker.new_name() IS 'Draws a name for an installation.';

INSERT INTO integration.installation (name) VALUES (integration_worker.new_name());

-- pg_restore and the scripts of pg_dump switch row security off, and nobody else does.
CREATE FUNCTION integration_worker.is_restoring() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT current_setting('row_security') = 'off'
$$;
COMMENT ON FUNCTION integration_worker.is_restoring() IS
    'Whether this session reads a dump back.';

-- A mark that the registry changed: read again by the worker as soon as the transaction commits.
CREATE FUNCTION integration_worker.wake() RETURNS trigger
    LANGUAGE c
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_wake';
COMMENT ON FUNCTION integration_worker.wake() IS
    'Statement trigger: has the worker look again when this transaction commits.';
