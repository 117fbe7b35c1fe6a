-- What the worker reads: the registry, what is new, what is due.

-- By the index endpoint_id_key, a bite at a time: all of ten thousand endpoints at once would stall the sender.
CREATE FUNCTION integration_worker.endpoints(after_id integer DEFAULT 0, most integer DEFAULT 2147483647)
    RETURNS TABLE (id integer, name text, url text, method text, headers text, format text,
                   connect_timeout_ms integer, timeout_ms integer, max_concurrency integer,
                   rate_limit double precision, rate_burst integer,
                   idempotent boolean, allow_http boolean, credential text, signing text, certificate text,
                   paused_until timestamptz, not_before timestamptz, state text, failures integer, tripped_by bigint,
                   since timestamptz, quotes_key boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_sort = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.id, c.name, c.url, c.method, c.headers::text, c.format,
           ceil(extract(epoch FROM c.connect_timeout) * 1000)::integer,
           ceil(extract(epoch FROM c.timeout) * 1000)::integer,
           c.max_concurrency, c.rate_limit, c.rate_burst, c.idempotent, c.allow_http,
           c.credential, c.signing, c.certificate, p.until,
           integration_worker.not_called_before(h.state, h.open_until, h.retry_after_until, clock_timestamp()),
           coalesce(h.state, 'closed'), coalesce(h.failures, 0), h.tripped_by, h.since,
           c.idempotency_key_style = 'quoted'
      FROM integration.endpoint_config c
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = c.id
      LEFT JOIN LATERAL (
           SELECT max(coalesce(x.until, 'infinity')) AS until
             FROM integration.pause x
            WHERE (x.until IS NULL OR x.until > now())
              AND (x.scope, x.name) IN (('all', ''), ('connector', c.connector), ('endpoint', c.name), ('customer', c.customer))
           ) p ON true
     WHERE c.id > after_id
     ORDER BY c.id
     LIMIT most;
END
$$;
COMMENT ON FUNCTION integration_worker.endpoints(integer, integer) IS
    'The registry as the sender needs it, by id, so many after one: settings resolved, paused until when, not called before when.';

-- By the index (endpoint_id, started_at) of each range.
CREATE FUNCTION integration_worker.recent_attempts(endpoint_ids integer[], since timestamptz[])
    RETURNS TABLE (endpoint_id integer, started_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
    SELECT e.id, a.started_at
      FROM unnest(endpoint_ids, since) WITH ORDINALITY AS e (id, since, n)
     CROSS JOIN LATERAL (SELECT x.started_at FROM integration.attempt x
                          WHERE x.endpoint_id = e.id AND x.started_at > e.since
                          ORDER BY x.started_at DESC
                          LIMIT 10000) a
     ORDER BY e.n, a.started_at
$$;
COMMENT ON FUNCTION integration_worker.recent_attempts(integer[], timestamptz[]) IS
    'When each of the endpoints was called since its time, oldest first: what a worker that takes it over counts towards its rate.';

-- What the commit of a prepared transaction changes is announced by nothing, so the worker looks now and then
-- whether the registry is still the one it has read: cheap, where reading ten thousand endpoints is not.
-- A customer's pause holds single rows of shared endpoints, so its end makes the worker read those again.
CREATE FUNCTION integration_worker.registry_state(
        OUT version bigint, OUT holds bigint, OUT installation text, OUT resume_at timestamptz, OUT is_adopted boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (SELECT bit_xor(hashtextextended(v.row_version, v.seed))
              FROM (SELECT t.xmin::text || t.ctid::text AS row_version, 1 AS seed FROM integration.endpoint t
                    UNION ALL SELECT t.xmin::text || t.ctid::text, 2 FROM integration.connector t
                    UNION ALL SELECT t.xmin::text || t.ctid::text, 3 FROM integration.credential t
                    UNION ALL SELECT t.xmin::text || t.ctid::text, 4 FROM integration.secret t
                    UNION ALL SELECT t.xmin::text || t.ctid::text, 5 FROM integration.pause t
                    UNION ALL SELECT t.name, 6 FROM integration.installation t
                    UNION ALL SELECT h.endpoint_id || h.state || coalesce(h.open_until::text, ''), 7
                      FROM integration.endpoint_health h WHERE h.state <> 'closed') v),
           (SELECT bit_xor(hashtextextended(p.name, 0))
              FROM integration.pause p
             WHERE p.scope = 'customer' AND (p.until IS NULL OR p.until > now())),
           (SELECT i.name FROM integration.installation i),
           (SELECT min(t.at)
              FROM (SELECT p.until AS at FROM integration.pause p
                    UNION ALL SELECT s.not_before FROM integration.secret s) t
             WHERE t.at > now()),
           integration_worker.is_adopted()
$$;
COMMENT ON FUNCTION integration_worker.registry_state() IS
    'What changes with the registry: its version, the customers on hold (both as hashes), the name of the installation, when the next pause ends or secret begins by itself, whether the database is no copy.';

-- Plans are made once, perhaps while the queue is empty and every way to read it looks as good as any other.  So
-- what would walk all of it when it is full is switched off here; a condition written with nullif() keeps the indexes
-- away that are for rows that have not failed (from 19 on the planner sees through coalesce() of what is never NULL).

-- Transactions that ended between two snapshots, as ranges of ids.  What still runs is no part of one, and what was
-- rolled back of those that ran before: their rows are in the index, a million perhaps, and none can be seen.
CREATE FUNCTION integration_worker.ended_between(previous pg_snapshot, present pg_snapshot)
    RETURNS TABLE (first_xid xid8, end_xid xid8)
    LANGUAGE sql STABLE ROWS 4
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.first_xid, s.end_xid
      FROM (SELECT CASE WHEN b.runs THEN (b.xid::text::numeric + 1)::text::xid8 ELSE b.xid END AS first_xid,
                   lead(b.xid) OVER (ORDER BY b.xid, b.runs) AS end_xid
              FROM (SELECT pg_snapshot_xmax(previous) AS xid, false AS runs
                    UNION ALL SELECT pg_snapshot_xmax(present), false
                    UNION ALL SELECT r.xid, true FROM pg_snapshot_xip(present) AS r (xid)
                               WHERE r.xid >= pg_snapshot_xmax(previous)) b
            UNION ALL
            SELECT x.xid, (x.xid::text::numeric + 1)::text::xid8
              FROM pg_snapshot_xip(previous) AS x (xid)
             WHERE pg_visible_in_snapshot(x.xid, present)
               AND pg_xact_status(x.xid) IS DISTINCT FROM 'aborted') s
     WHERE s.first_xid < s.end_xid
     ORDER BY s.first_xid
$$;
COMMENT ON FUNCTION integration_worker.ended_between(pg_snapshot, pg_snapshot) IS
    'What is visible under the second snapshot and was not under the first: ranges of transaction ids, from the first one to below the end.';

-- What is visible now and was not visible under the previous snapshot (PgQ's way), by the index queue_change.
-- The snapshot and the read belong to one statement; a row of its own carries the snapshot to the next call.
-- Rows of other shards count, or a million of them would be walked over at once.
CREATE FUNCTION integration_worker.feed(previous pg_snapshot, most integer, shards integer)
    RETURNS TABLE (snapshot pg_snapshot, outbox_id bigint, endpoint_id integer, priority smallint, due_at timestamptz,
                   expires_at timestamptz, change_xid xid8, object_hash bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
    SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    present pg_snapshot := pg_current_snapshot();
    first_xids xid8[] := ARRAY[pg_snapshot_xmax(previous)];
    end_xids xid8[] := ARRAY[pg_snapshot_xmax(present)];
BEGIN
    -- Nothing ran then or runs now: the rule, and it is quicker.
    IF pg_snapshot_xmin(previous) < pg_snapshot_xmax(previous) OR pg_snapshot_xmin(present) < pg_snapshot_xmax(present) THEN
        SELECT array_agg(e.first_xid), array_agg(e.end_xid) INTO first_xids, end_xids
          FROM integration_worker.ended_between(previous, present) e;
    END IF;
    RETURN QUERY
    SELECT present, NULL::bigint, NULL::integer, NULL::smallint, NULL::timestamptz, NULL::timestamptz, NULL::xid8,
           NULL::bigint
    UNION ALL
    (SELECT NULL, CASE WHEN shards & (1 << q.endpoint_id % 16) <> 0 THEN q.outbox_id END,
            q.endpoint_id, q.priority, q.due_at, q.expires_at, q.change_xid,
            hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id))
       FROM unnest(first_xids, end_xids) AS e (first_xid, end_xid)
      CROSS JOIN LATERAL (
            SELECT x.*
              FROM integration.queue x
             WHERE x.change_xid >= e.first_xid
               AND x.change_xid < e.end_xid
               AND nullif(x.state, 'failed') IS NOT NULL
             ORDER BY x.change_xid, x.endpoint_id, x.due_at, x.outbox_id + 0
             LIMIT most) q
      LIMIT most);
END
$$;
COMMENT ON FUNCTION integration_worker.feed(pg_snapshot, integer, integer) IS
    'Queue rows that became worth looking at since the previous snapshot, at most so many, those of other shards without outbox_id; the first row carries the snapshot for the next call.';

-- The same where feed() found too much: the first rows of each transaction and endpoint, the rest of which is
-- jumped over in the index queue_change.  A group without a row to send comes as one row without outbox_id.
CREATE FUNCTION integration_worker.flood(
        previous pg_snapshot, present pg_snapshot, after_xid xid8, after_endpoint integer,
        groups integer, group_rows integer, shards integer)
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, priority smallint, due_at timestamptz,
                   expires_at timestamptz, change_xid xid8, object_hash bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
    SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    span record;
    last record;
    from_xid xid8;
    from_endpoint integer;
BEGIN
    FOR span IN
        SELECT s.first_xid, s.end_xid
          FROM integration_worker.ended_between(previous, present) s
         WHERE s.end_xid > after_xid
         ORDER BY s.first_xid
    LOOP
        -- In one comparison: a scan with two lower bounds may begin at the lesser one, before all of a flood.
        from_xid := greatest(after_xid, span.first_xid);
        from_endpoint := CASE WHEN after_xid = from_xid THEN after_endpoint ELSE 0 END;
        FOR last IN
            WITH RECURSIVE g AS (
                (SELECT q.change_xid, q.endpoint_id
                   FROM integration.queue q
                  WHERE (q.change_xid, q.endpoint_id) > (from_xid, from_endpoint)
                    AND q.change_xid < span.end_xid
                  ORDER BY q.change_xid, q.endpoint_id
                  LIMIT 1)
                UNION ALL
                SELECT n.change_xid, n.endpoint_id
                  FROM g
                 CROSS JOIN LATERAL (
                       SELECT q.change_xid, q.endpoint_id
                         FROM integration.queue q
                        WHERE (q.change_xid, q.endpoint_id) > (g.change_xid, g.endpoint_id)
                          AND q.change_xid < span.end_xid
                        ORDER BY q.change_xid, q.endpoint_id
                        LIMIT 1) n
            )
            SELECT f.change_xid, f.endpoint_id FROM g f LIMIT groups
        LOOP
            groups := groups - 1;
            RETURN QUERY
            SELECT t.outbox_id, last.endpoint_id, t.priority, t.due_at, t.expires_at, last.change_xid, t.object_hash
              FROM (SELECT) AS one
              LEFT JOIN LATERAL (
                   SELECT q.outbox_id, q.priority, q.due_at, q.expires_at,
                          hashtextextended(q.object_id, hashtextextended(q.object_type, q.endpoint_id)) AS object_hash
                     FROM integration.queue q
                    WHERE q.change_xid = last.change_xid
                      AND q.endpoint_id = last.endpoint_id
                      AND nullif(q.state, 'failed') IS NOT NULL
                      AND shards & (1 << last.endpoint_id % 16) <> 0
                    ORDER BY q.change_xid, q.endpoint_id, q.due_at, q.outbox_id + 0
                    LIMIT group_rows) t ON true;
        END LOOP;
        EXIT WHEN groups <= 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION integration_worker.flood(pg_snapshot, pg_snapshot, xid8, integer, integer, integer, integer) IS
    'What lies between two snapshots, from a transaction and endpoint on: so many groups of one transaction and endpoint, so many rows of each.';

-- Three kinds of sources, numbered as they come: due rows above a cursor in order, by the index queue_due; with
-- a change_xid the rows of that transaction above a position, by queue_change; rows by their ids (source 0).
-- A cursor that comes to its end says when its next row will be due (a row that is not due yet).
CREATE FUNCTION integration_worker.take(
        endpoint_ids integer[], priorities smallint[], change_xids xid8[], after_due timestamptz[], after_id bigint[],
        limits integer[], ids bigint[])
    RETURNS TABLE (source integer, outbox_id bigint, endpoint_id integer, priority smallint, due_at timestamptz, change_xid xid8,
                   attempts integer, expires_at timestamptz, payload_bytes integer, held boolean,
                   crowded boolean, ordering_hash bigint, object_hash bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
    SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := statement_timestamp();
BEGIN
    RETURN QUERY
    SELECT d.source, d.outbox_id, d.endpoint_id, d.priority, d.due_at, d.change_xid, d.attempts, d.expires_at, d.payload_bytes,
           d.claimed_at IS NOT NULL
           OR coalesce(d.expires_at <= at, false)
           OR (d.ordering_key IS NOT NULL
               AND EXISTS (SELECT FROM integration.queue p
                            WHERE p.endpoint_id = d.endpoint_id
                              AND p.ordering_key = d.ordering_key
                              AND coalesce(p.place, p.outbox_id) < coalesce(d.place, d.outbox_id))),
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
                              AND (p.state = 'retrying' OR (p.state = 'pending' AND p.due_at <= at))
                              AND (p.expires_at <= at) IS NOT TRUE)),
           hashtextextended(d.ordering_key, d.endpoint_id),
           hashtextextended(d.object_id, hashtextextended(d.object_type, d.endpoint_id))
      FROM (SELECT c.n::integer AS source, t.*
              FROM unnest(endpoint_ids, priorities, change_xids, after_due, after_id, limits) WITH ORDINALITY
                   AS c (endpoint_id, priority, change_xid, after_due, after_id, most, n)
             CROSS JOIN LATERAL (
                   (SELECT q.*
                      FROM integration.queue q
                     WHERE q.endpoint_id = c.endpoint_id
                       AND q.priority = c.priority
                       AND q.state <> 'failed'
                       AND (q.due_at, q.outbox_id + 0) > (c.after_due, c.after_id)
                       AND q.due_at <= at
                     ORDER BY q.due_at, q.outbox_id + 0
                     LIMIT c.most)
                   UNION ALL
                   (SELECT q.*
                      FROM integration.queue q
                     WHERE q.endpoint_id = c.endpoint_id
                       AND q.priority = c.priority
                       AND q.state <> 'failed'
                       AND (q.due_at, q.outbox_id + 0) > (greatest(c.after_due, at),
                                                      CASE WHEN c.after_due >= at THEN c.after_id ELSE 9223372036854775807 END)
                     ORDER BY q.due_at, q.outbox_id + 0
                     LIMIT 1)
                   LIMIT c.most) t
             WHERE c.change_xid IS NULL
            UNION ALL
            SELECT c.n::integer, t.*
              FROM unnest(endpoint_ids, change_xids, after_due, after_id, limits) WITH ORDINALITY
                   AS c (endpoint_id, change_xid, after_due, after_id, most, n)
             CROSS JOIN LATERAL (
                   SELECT q.*
                     FROM integration.queue q
                    WHERE q.change_xid = c.change_xid
                      AND q.endpoint_id = c.endpoint_id
                      AND nullif(q.state, 'failed') IS NOT NULL
                      AND (q.due_at, q.outbox_id + 0) > (c.after_due, c.after_id)
                    ORDER BY q.change_xid, q.endpoint_id, q.due_at, q.outbox_id + 0
                    LIMIT c.most) t
             WHERE c.change_xid IS NOT NULL
            UNION ALL
            SELECT 0, q.*
              FROM integration.queue q
             WHERE q.outbox_id = ANY (ids)
               AND nullif(q.state, 'failed') IS NOT NULL) d;
END
$$;
COMMENT ON FUNCTION integration_worker.take(integer[], smallint[], xid8[], timestamptz[], bigint[], integer[], bigint[]) IS
    'The next queue rows of each source, in order; held ones (claimed, expired, behind another of their key) are passed over for now.';

CREATE VIEW integration_worker.content AS
SELECT o.id AS outbox_id, o.customer = ANY (p.names) IS TRUE AS held, o.object_type, o.object_id, o.operation,
       CASE WHEN o.customer = ANY (p.names) IS NOT TRUE THEN o.payload::text END AS payload,
       o.headers::text AS headers, o.created_at, o.traceparent, o.tracestate
  FROM integration_worker.asked o
 CROSS JOIN LATERAL (SELECT ARRAY(SELECT x.name
                                    FROM integration.pause x
                                   WHERE x.scope = 'customer' AND (x.until IS NULL OR x.until > statement_timestamp())) AS names) p;
COMMENT ON VIEW integration_worker.content IS
    'What requests are made of; held: the customer is paused.';
