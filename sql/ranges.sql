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
                   'INCLUDING STORAGE INCLUDING INDEXES, CONSTRAINT bounds CHECK (%I >= %s AND %3$I < %5$s))',
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

-- Of a new range only: each insert would read and plan the constraint again, though its partition says the same.
CREATE FUNCTION integration_worker.drop_bounds(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE integration.%I DROP CONSTRAINT bounds', name);
END
$$;
COMMENT ON FUNCTION integration_worker.drop_bounds(text) IS
    'Removes from a range that is attached the constraint for its attaching.';

-- A statement that was begun before a range was attached goes on without it: a row of that range would go to the
-- default partition, and be refused there.  So nothing may be inserting meanwhile; a range is made long before it is
-- needed, and when it can't be had in 20 ms the next minute will do.
CREATE FUNCTION integration_worker.keep_inserts_out() RETURNS boolean
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
COMMENT ON FUNCTION integration_worker.make_partitions(bigint, bigint, bigint) IS
    'Makes a range of outbox and attempt unless one and a half lie ahead of the sequence; returns the id at which it is to be called next.';
