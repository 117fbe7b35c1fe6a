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

-- An answer that was on its way when its endpoint was deleted leaves a status for nobody.  An hour later none is on
-- its way any more; then the table is walked once, block by block, since no index leads from an endpoint to its rows.
CREATE FUNCTION integration_worker.sweep_statuses(after_block bigint, most integer DEFAULT 100) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    blocks bigint := pg_relation_size('integration.sync_status') / current_setting('block_size')::bigint;
    ids integer[];
BEGIN
    IF after_block = 0 THEN
        UPDATE integration_worker.deleted_endpoint d SET is_swept = true WHERE d.at < now() - interval '1 hour';
    END IF;
    ids := ARRAY(SELECT d.id FROM integration_worker.deleted_endpoint d WHERE d.is_swept);
    IF ids = '{}' THEN
        RETURN NULL;
    END IF;
    DELETE FROM integration.sync_status s
     WHERE s.ctid >= format('(%s,0)', after_block)::tid
       AND s.ctid < format('(%s,0)', after_block + most)::tid
       AND s.endpoint_id = ANY (ids);
    IF after_block + most < blocks THEN
        RETURN after_block + most;
    END IF;
    DELETE FROM integration.endpoint_health h WHERE h.endpoint_id = ANY (ids);
    DELETE FROM integration_worker.deleted_endpoint d WHERE d.is_swept;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.sweep_statuses(bigint, integer) IS
    'Removes from the next blocks of sync_status what belongs to endpoints that are gone.';

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
