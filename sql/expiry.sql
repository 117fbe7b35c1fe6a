-- Syncs whose time has passed are closed.

-- Closes what expired, by the index queue_expires; what was claimed is left to settle().  It reads forward only:
-- entries of syncs that were delivered in time may stay in the index for long.  Rows that somebody holds are
-- come back to.  Rows are named by an array: a join that is planned with what was known of an empty queue may walk
-- the whole of a full one.  The next time is that of anybody's next: to ask for a shard's would walk over the others'.
CREATE FUNCTION integration_worker.expire(
        shards integer DEFAULT 65535, done_before timestamptz DEFAULT '-infinity',
        OUT done_until timestamptz, OUT next_at timestamptz, OUT successors bigint[])
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A volatile function in the condition would keep it out of the index.
    at timestamptz := clock_timestamp();
    found bigint[];
    endpoint_ids integer[];
    ordering_keys text[];
BEGIN
    -- Others may expire at the same time as the last one.
    SELECT array_agg(e.outbox_id), max(e.expires_at) - interval '1 microsecond' INTO found, done_until
      FROM (SELECT q.outbox_id, q.expires_at
              FROM integration.queue q
             WHERE q.expires_at > done_before
               AND q.expires_at <= at
               AND q.state <> 'failed'
               AND q.claimed_at IS NULL
               AND shards & (1 << q.endpoint_id % 16) <> 0
             ORDER BY q.expires_at
             LIMIT 1000) e;
    IF coalesce(cardinality(found), 0) < 1000 THEN
        done_until := at;
    END IF;
    WITH gone AS (
        SELECT q.outbox_id
          FROM integration.queue q
         WHERE q.outbox_id = ANY (found)
           AND coalesce(q.expires_at <= at AND q.state <> 'failed', false)
           AND q.claimed_at IS NULL
           FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM integration.queue q
         WHERE q.outbox_id = ANY (ARRAY(SELECT g.outbox_id FROM gone g))
        RETURNING q.outbox_id, q.endpoint_id, q.ordering_key
    ), closed AS (
        INSERT INTO integration.closing (outbox_id, state, reason)
        SELECT d.outbox_id, 'expired', 'expired' FROM deleted d
        ON CONFLICT DO NOTHING
    )
    SELECT array_agg(d.endpoint_id), array_agg(d.ordering_key) INTO endpoint_ids, ordering_keys
      FROM deleted d
     WHERE d.ordering_key IS NOT NULL;
    IF endpoint_ids IS NOT NULL THEN
        successors := ARRAY(SELECT h.outbox_id FROM integration_worker.heads(endpoint_ids, ordering_keys) h);
    END IF;
    SELECT min(q.expires_at) INTO next_at
      FROM integration.queue q
     WHERE q.outbox_id = ANY (found) AND nullif(q.state, 'failed') IS NOT NULL AND q.claimed_at IS NULL;
    done_until := least(done_until, next_at - interval '1 microsecond');
    SELECT least(next_at, min(q.expires_at)) INTO next_at
      FROM integration.queue q
     WHERE q.expires_at > done_until AND q.state <> 'failed' AND q.claimed_at IS NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.expire(integer, timestamptz) IS
    'Closes syncs of these shards (bit by bit) whose expires_at has passed and is later than done_before; returns up to when that is done, when it is to be called next, and who is next under the ordering keys.';
