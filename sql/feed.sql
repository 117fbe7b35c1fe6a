-- What the worker reads: the registry, what is new, what is due.

CREATE FUNCTION integration_worker.endpoints()
    RETURNS TABLE (id integer, name text, url text, method text, headers text, format text,
                   connect_timeout_ms integer, timeout_ms integer, max_concurrency integer,
                   rate_limit double precision, rate_burst integer, max_payload_bytes integer,
                   idempotent boolean, allow_http boolean, problem text,
                   paused_until timestamptz, not_before timestamptz, state text, failures integer, tripped_by bigint,
                   since timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.id, c.name, c.url, c.method, c.headers::text, c.format,
           ceil(extract(epoch FROM c.connect_timeout) * 1000)::integer,
           ceil(extract(epoch FROM c.timeout) * 1000)::integer,
           c.max_concurrency, c.rate_limit, c.rate_burst, c.max_payload_bytes, c.idempotent, c.allow_http,
           CASE WHEN c.credential IS NOT NULL OR c.signing IS NOT NULL THEN 'secret_missing' END,
           p.until,
           greatest(CASE WHEN h.state <> 'closed' THEN h.open_until END, h.retry_after_until),
           coalesce(h.state, 'closed'), coalesce(h.failures, 0), h.tripped_by, h.since
      FROM integration.endpoint_config c
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = c.id
      LEFT JOIN LATERAL (
           SELECT max(coalesce(x.until, 'infinity')) AS until
             FROM integration.pause x
            WHERE (x.until IS NULL OR x.until > now())
              AND (x.scope, x.name) IN (('all', ''), ('connector', c.connector), ('endpoint', c.name), ('customer', c.customer))
           ) p ON true
$$;
COMMENT ON FUNCTION integration_worker.endpoints() IS
    'The registry as the sender needs it: settings resolved, paused until when, not called before when.';

-- A customer's pause holds single rows of shared endpoints, so its end makes the worker read those again.
CREATE FUNCTION integration_worker.next_resume() RETURNS timestamptz
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(p.until) FROM integration.pause p WHERE p.until > now()
$$;
COMMENT ON FUNCTION integration_worker.next_resume() IS
    'When the next pause ends by itself; NULL: none does.';

-- What is visible now and was not visible under the previous snapshot (PgQ's way), by the index queue_change.
-- The snapshot and the read belong to one statement; a row of its own carries the snapshot to the next call.
CREATE FUNCTION integration_worker.feed(previous pg_snapshot, most integer)
    RETURNS TABLE (snapshot pg_snapshot, outbox_id bigint, endpoint_id integer, priority smallint, due_at timestamptz,
                   expires_at timestamptz, object_hash bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT pg_current_snapshot(), NULL::bigint, NULL::integer, NULL::smallint, NULL::timestamptz, NULL::timestamptz, NULL::bigint
    UNION ALL
    (SELECT NULL, q.outbox_id, q.endpoint_id, q.priority, q.due_at, q.expires_at,
           hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id))
       FROM integration.queue q
      WHERE q.change_xid >= pg_snapshot_xmax(previous)
        AND q.change_xid < pg_snapshot_xmax(pg_current_snapshot())
        AND q.state <> 'failed'
      ORDER BY q.change_xid, q.endpoint_id, q.outbox_id
      LIMIT most)
    UNION ALL
    (SELECT NULL, q.outbox_id, q.endpoint_id, q.priority, q.due_at, q.expires_at,
           hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id))
       FROM integration.queue q
      WHERE q.change_xid = ANY (ARRAY(SELECT pg_snapshot_xip(previous)))
        AND q.state <> 'failed'
      LIMIT most);
END
$$;
COMMENT ON FUNCTION integration_worker.feed(pg_snapshot, integer) IS
    'Queue rows that became worth looking at since the previous snapshot, at most so many of each kind; the first row carries the snapshot for the next call.';

-- Due rows above each cursor in order, by the index queue_due, plus the named ones; a row without
-- outbox_id says when the cursor's next row will be due.
CREATE FUNCTION integration_worker.take(
        endpoint_ids integer[], priorities smallint[], after_due timestamptz[], after_id bigint[], limits integer[], ids bigint[])
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, priority smallint, due_at timestamptz, change_xid xid8,
                   attempts integer, expires_at timestamptz, by_id boolean, held boolean,
                   message_id text, object_type text, object_id text, operation text, remote_id text,
                   payload text, headers text, created_at timestamptz, traceparent text,
                   crowded boolean, ordering_hash bigint, object_hash bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT t.*, false AS by_id
          FROM unnest(endpoint_ids, priorities, after_due, after_id, limits) AS c (endpoint_id, priority, after_due, after_id, most)
         CROSS JOIN LATERAL (
               SELECT q.outbox_id, q.endpoint_id, q.priority, q.due_at, q.change_xid, q.attempts, q.expires_at, q.ordering_key, q.place, q.object_type, q.object_id, q.claimed_at
                 FROM integration.queue q
                WHERE q.endpoint_id = c.endpoint_id
                  AND q.priority = c.priority
                  AND q.state <> 'failed'
                  AND (q.due_at, q.outbox_id) > (c.after_due, c.after_id)
                  AND q.due_at <= statement_timestamp()
                ORDER BY q.due_at, q.outbox_id
                LIMIT c.most) t
        UNION ALL
        SELECT q.outbox_id, q.endpoint_id, q.priority, q.due_at, q.change_xid, q.attempts, q.expires_at, q.ordering_key, q.place, q.object_type, q.object_id, q.claimed_at, true
          FROM integration.queue q
         WHERE q.outbox_id = ANY (ids)
           AND q.state <> 'failed'
           AND q.due_at <= statement_timestamp()
    )
    SELECT d.outbox_id, d.endpoint_id, d.priority, d.due_at, d.change_xid, d.attempts, d.expires_at, d.by_id,
           o.id IS NULL
           OR d.claimed_at IS NOT NULL
           OR coalesce(d.expires_at <= statement_timestamp(), false)
           OR coalesce(o.customer = ANY (ARRAY(
                  SELECT p.name
                    FROM integration.pause p
                   WHERE p.scope = 'customer'
                     AND (p.until IS NULL OR p.until > statement_timestamp()))), false),
           (SELECT i.name FROM integration.installation i) || '-' || d.outbox_id,
           o.object_type, o.object_id, o.operation, s.remote_id,
           o.payload::text, o.headers::text, o.created_at, o.traceparent,
           w.crowded, hashtextextended(d.ordering_key, d.endpoint_id),
           hashtextextended(d.object_id, hashtextextended(d.object_type, d.endpoint_id))
      FROM due d
     CROSS JOIN LATERAL (
           SELECT d.ordering_key IS NOT NULL
                  AND EXISTS (SELECT FROM integration.queue p
                               WHERE p.endpoint_id = d.endpoint_id
                                 AND p.ordering_key = d.ordering_key
                                 AND coalesce(p.place, p.outbox_id) < coalesce(d.place, d.outbox_id)) AS behind,
                  -- What supersede() will do something about: an older sync of the object, or a newer one
                  -- that newest() would name.
                  d.object_id IS NOT NULL
                  AND (EXISTS (SELECT FROM integration.queue p
                                WHERE p.endpoint_id = d.endpoint_id
                                  AND p.object_id = d.object_id
                                  AND p.object_type = d.object_type
                                  AND (coalesce(p.place, p.outbox_id), p.outbox_id) < (coalesce(d.place, d.outbox_id), d.outbox_id))
                       OR EXISTS (SELECT FROM integration.queue p
                                   WHERE p.endpoint_id = d.endpoint_id
                                     AND p.object_id = d.object_id
                                     AND p.object_type = d.object_type
                                     AND (coalesce(p.place, p.outbox_id), p.outbox_id) > (coalesce(d.place, d.outbox_id), d.outbox_id)
                                     AND (p.state = 'retrying' OR (p.state = 'pending' AND p.due_at <= statement_timestamp()))
                                     AND (p.expires_at <= statement_timestamp()) IS NOT TRUE)) AS crowded
           OFFSET 0) w
      -- Of a sync that must wait nothing more is read.
      LEFT JOIN integration.outbox o ON o.id = CASE WHEN NOT w.behind AND NOT w.crowded THEN d.outbox_id END
      LEFT JOIN integration.sync_status s
        ON s.endpoint_id = d.endpoint_id
       AND s.object_type = coalesce(o.object_type, '')
       AND s.object_id = o.object_id
    UNION ALL
    SELECT NULL, c.endpoint_id, c.priority, n.due_at, NULL, NULL, NULL, false, false,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
      FROM unnest(endpoint_ids, priorities, after_due, after_id) AS c (endpoint_id, priority, after_due, after_id)
     CROSS JOIN LATERAL (
           SELECT q.due_at
             FROM integration.queue q
            WHERE q.endpoint_id = c.endpoint_id
              AND q.priority = c.priority
              AND q.state <> 'failed'
              AND q.due_at > greatest(statement_timestamp(), c.after_due)
            ORDER BY q.due_at, q.outbox_id
            LIMIT 1) n;
END
$$;
COMMENT ON FUNCTION integration_worker.take(integer[], smallint[], timestamptz[], bigint[], integer[], bigint[]) IS
    'The next due rows of each endpoint and priority above its cursor, with what the request is made of; held ones are passed over for now.';

-- A durable mark before a request that must not be repeated leaves: after a crash it says "unknown outcome".
CREATE FUNCTION integration_worker.mark(ids bigint[], change_xids xid8[]) RETURNS SETOF bigint
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
          JOIN integration.queue q ON q.outbox_id = m.outbox_id AND q.change_xid = m.change_xid AND q.state <> 'failed'
           FOR UPDATE OF q SKIP LOCKED)
    UPDATE integration.queue q
       SET claimed_at = clock_timestamp()
      FROM mine
     WHERE q.outbox_id = mine.outbox_id
    RETURNING q.outbox_id;
END
$$;
COMMENT ON FUNCTION integration_worker.mark(bigint[], xid8[]) IS
    'Marks syncs of endpoints that are not idempotent as about to leave; only the ids it returns may be sent.';

-- Closes what expired, by the index queue_expires; what was claimed is left to settle().
-- The time returned is that of anybody's next, which is the index's first: to ask for a shard's would
-- walk over the others'.
CREATE FUNCTION integration_worker.expire(shards integer DEFAULT 65535) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A volatile function in the condition would keep it out of the index.
    at timestamptz := clock_timestamp();
BEGIN
    WITH gone AS (
        SELECT q.outbox_id
          FROM integration.queue q
         WHERE q.expires_at <= at
           AND q.state <> 'failed'
           AND q.claimed_at IS NULL
           AND (shards >> (q.endpoint_id % 16)) % 2 = 1
         ORDER BY q.expires_at
         LIMIT 1000
           FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM integration.queue q
         USING gone
         WHERE q.outbox_id = gone.outbox_id
        RETURNING q.outbox_id, q.endpoint_id, q.ordering_key
    ), closed AS (
        INSERT INTO integration.closing (outbox_id, state, reason)
        SELECT d.outbox_id, 'expired', 'expired' FROM deleted d
        ON CONFLICT DO NOTHING
    -- Whoever holds the next one changes it, and so has it looked at himself.
    ), successor AS (
        SELECT DISTINCT ON (d.endpoint_id, d.ordering_key) n.outbox_id
          FROM deleted d
         CROSS JOIN LATERAL (
               SELECT s.outbox_id
                 FROM integration.queue s
                WHERE s.endpoint_id = d.endpoint_id
                  AND s.ordering_key = d.ordering_key
                  AND s.outbox_id NOT IN (SELECT x.outbox_id FROM deleted x)
                ORDER BY coalesce(s.place, s.outbox_id)
                LIMIT 1
                  FOR UPDATE SKIP LOCKED) n
         WHERE d.ordering_key IS NOT NULL
         ORDER BY d.endpoint_id, d.ordering_key, n.outbox_id
    )
    UPDATE integration.queue q
       SET change_xid = pg_current_xact_id()
      FROM successor
     WHERE q.outbox_id = successor.outbox_id;
    RETURN (SELECT min(q.expires_at)
              FROM integration.queue q
             WHERE q.expires_at IS NOT NULL AND q.state <> 'failed' AND q.claimed_at IS NULL);
END
$$;
COMMENT ON FUNCTION integration_worker.expire(integer) IS
    'Closes syncs of these shards (bit by bit) whose expires_at has passed; returns when it is to be called next.';
