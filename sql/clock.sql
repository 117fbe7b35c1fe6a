-- What a clock that is set back leaves in the queue.

-- Not by the newest alone: an application, or the worker's own telemetry, may have added one since.
CREATE FUNCTION integration_worker.was_set_back() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(max(n.created_at) > clock_timestamp() + interval '1 s', false)
      FROM (SELECT o.created_at FROM integration.outbox o ORDER BY o.id DESC LIMIT 1000) n
$$;
COMMENT ON FUNCTION integration_worker.was_set_back() IS
    'Is one of the newest syncs one of the future?';

-- A time that an application gave (send_after) stays.  One that was reckoned from a clock that ran ahead is
-- reckoned anew from now: at once for what was never tried, after the same wait for what was.
CREATE FUNCTION integration_worker.turn_back(shards integer, INOUT after bigint, OUT turned integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
DECLARE
    most CONSTANT integer := 2000;
    first bigint := turn_back.after;
    at timestamptz := clock_timestamp();
BEGIN
    SELECT max(x.outbox_id) INTO turn_back.after
      FROM (SELECT q.outbox_id FROM integration.queue q
             WHERE q.outbox_id > first ORDER BY q.outbox_id LIMIT most) x;
    WITH ahead AS (
        SELECT q.outbox_id,
               CASE WHEN q.attempts > 0 THEN q.last_attempt_at
                    ELSE (SELECT o.created_at FROM integration.outbox o WHERE o.id = q.outbox_id AND o.send_after IS NULL)
               END AS reckoned_at
          FROM integration.queue q
         WHERE q.outbox_id > first AND q.outbox_id <= turn_back.after
           AND q.due_at > at
           AND q.state <> 'failed'
           AND 1 << q.endpoint_id % 16 & shards <> 0
           FOR UPDATE OF q SKIP LOCKED)
    UPDATE integration.queue q
       SET due_at = at + greatest(q.due_at - a.reckoned_at, interval '0')
      FROM ahead a
     WHERE q.outbox_id = a.outbox_id AND a.reckoned_at > at;
    GET DIAGNOSTICS turn_back.turned = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION integration_worker.turn_back(integer, bigint) IS
    'Has the rows after this id wait no longer than they would have; returns how far it came (NULL: to the end), how many it changed.';
