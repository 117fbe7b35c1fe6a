-- What leaves by itself, what is counted, when: one small step at a time.

-- Everything it remembers is in what it returns; a worker that begins anew loses a copy, nothing else.
CREATE FUNCTION integration_worker.retain(
        so_far jsonb DEFAULT '{}',
        delivered_before timestamptz DEFAULT integration_worker.keep_limit('integration.keep_delivered'),
        failed_before timestamptz DEFAULT integration_worker.keep_limit('integration.keep_failed'),
        OUT next jsonb, OUT next_at timestamptz)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    -- By index and in its order, whatever the statistics say: a step reads as much as it removes.
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_hashagg = off
    SET plan_cache_mode = force_generic_plan
    SET jit = off
AS $$
DECLARE
    began timestamptz := clock_timestamp();
    part text := coalesce(so_far ->> 'part', 'ranges');
    parts text[] := '{ranges,syncs,closings,actions,statuses,incidents,traffic,ranges}';
    after_id bigint := coalesce((so_far ->> 'after')::bigint, 0);
BEGIN
    -- A lost record is removed once more.
    PERFORM set_config('synchronous_commit', 'off', true);
    CASE part
        WHEN 'ranges' THEN next := integration_worker.thin(so_far, delivered_before, failed_before);
        WHEN 'syncs' THEN after_id := integration_worker.sweep_syncs(after_id, delivered_before, failed_before);
        WHEN 'closings' THEN after_id := integration_worker.sweep_closings(after_id);
        WHEN 'actions' THEN after_id := integration_worker.sweep_actions(after_id, failed_before);
        WHEN 'statuses' THEN after_id := integration_worker.sweep_statuses(after_id);
        WHEN 'incidents' THEN after_id := integration_worker.sweep_incidents(after_id, failed_before);
        WHEN 'traffic' THEN after_id := integration_worker.count_traffic(after_id, delivered_before);
    END CASE;
    IF part <> 'ranges' THEN
        next := so_far || jsonb_build_object(
            'part', CASE WHEN after_id IS NULL THEN parts[array_position(parts, part) + 1] ELSE part END,
            'after', coalesce(after_id, 0));
    END IF;
    next_at := clock_timestamp() + CASE
        WHEN part = 'traffic' AND after_id IS NULL
            THEN greatest((began - greatest(delivered_before, failed_before, began - interval '100 min')) / 100, '1 s')
        -- So nine tenths of the worker's time are left for sending.
        ELSE 9 * (clock_timestamp() - began) END;
END
$$;
COMMENT ON FUNCTION integration_worker.retain(jsonb, timestamptz, timestamptz) IS
    'One small step of removing what is old, of counting what is new; returns what the next one is to be told, and when it is due.';
