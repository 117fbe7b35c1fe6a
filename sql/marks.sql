-- Marks that go before requests to endpoints that are not idempotent; what a worker that died has left of them.

-- A durable mark before a request that must not be repeated leaves: after a crash it says "unknown outcome".
CREATE FUNCTION integration_worker.mark(ids bigint[], change_xids xid8[], leaves boolean DEFAULT true) RETURNS SETOF bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    RETURN QUERY
    WITH mine AS (
        SELECT q.outbox_id
          FROM unnest(ids, change_xids) AS m (outbox_id, change_xid)
          JOIN integration.queue q
            ON q.outbox_id = m.outbox_id
           AND q.outbox_id = ANY (ids)
           AND q.change_xid IS NOT DISTINCT FROM m.change_xid
           AND nullif(q.state, 'failed') IS NOT NULL
           FOR UPDATE OF q SKIP LOCKED)
    UPDATE integration.queue q
       SET claimed_at = CASE WHEN leaves THEN clock_timestamp() END
     WHERE q.outbox_id = ANY (ARRAY(SELECT m.outbox_id FROM mine m))
    RETURNING q.outbox_id;
END
$$;
COMMENT ON FUNCTION integration_worker.mark(bigint[], xid8[], boolean) IS
    'Marks syncs of endpoints that are not idempotent as about to leave; only the ids it returns may be sent. False: takes the mark off those that were refused and wait again.';

-- Marks that a worker left behind, by the index queue_claimed: the requests were about to leave when it died.
-- What took workers down three times is set aside, too.
CREATE FUNCTION integration_worker.recover(marked_before timestamptz[])
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, state text, due_at timestamptz, signal text,
                   failures integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    left_behind integration_worker.result[] := ARRAY(
        SELECT jsonb_populate_record(NULL::integration_worker.result, jsonb_build_object(
                   'outbox_id', q.outbox_id, 'endpoint_id', q.endpoint_id, 'change_xid', q.change_xid::text,
                   'reason', 'worker_crash', 'started_at', q.claimed_at))
          FROM integration.queue q
         WHERE q.claimed_at < marked_before[1 + q.endpoint_id % cardinality(marked_before)]
        UNION ALL
        SELECT jsonb_populate_record(NULL::integration_worker.result, jsonb_build_object(
                   'outbox_id', q.outbox_id, 'endpoint_id', q.endpoint_id, 'change_xid', q.change_xid::text,
                   'reason', 'worker_crash', 'started_at', s.last_at,
                   'error', format('The worker crashed %s times while it had this sync in hand.', s.crashes)))
          FROM integration_worker.suspects() s
          JOIN integration.queue q ON q.outbox_id = s.outbox_id
         WHERE s.crashes >= 3
           AND q.claimed_at IS NULL
           AND s.last_at < marked_before[1 + s.endpoint_id % cardinality(marked_before)]);
BEGIN
    IF left_behind = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT s.* FROM integration_worker.settle(left_behind) s;
    PERFORM integration_worker.blame(ARRAY(SELECT r.outbox_id FROM unnest(left_behind) r));
END
$$;
COMMENT ON FUNCTION integration_worker.recover(timestamptz[]) IS
    'Settles requests that were in flight when a worker died, and syncs that are to blame for its end, as worker_crash; called with a time for each shard before anything of it is sent, and again for those whose rows somebody held. Returns what settle() returns.';
