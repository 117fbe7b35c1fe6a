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
COMMENT ON FUNCTION integration_worker.changed_since(jsonb, integer) IS
    'Syncs of a range that may have changed since a copy of it was begun; so many of each kind at most.';

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
    RETURN NOT integration_worker.has_late_delivery(range.attempt, delivered_before);
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
