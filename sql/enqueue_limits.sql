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
