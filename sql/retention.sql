-- What leaves by itself, when: small steps of the worker.

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
