-- Endpoints, ordering keys, objects: which sync of several goes next.

CREATE FUNCTION integration_worker.first_waiting(endpoint_id integer) RETURNS integration.queue
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first integration.queue;
BEGIN
    SELECT q.* INTO first
      FROM integration.queue q
     WHERE q.endpoint_id = first_waiting.endpoint_id AND q.state <> 'failed'
     ORDER BY q.priority, q.due_at, (q.outbox_id + 0)
     LIMIT 1;
    RETURN first;
END
$$;
COMMENT ON FUNCTION integration_worker.first_waiting(integer) IS
    'The sync of an endpoint that is the next to be sent, by the index queue_due; NULL: none waits.';

-- The first sync of each of these ordering keys, by the index queue_ordering, unless that one has failed.
CREATE FUNCTION integration_worker.heads(endpoint_ids integer[], ordering_keys text[])
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, due_at timestamptz)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT n.outbox_id, f.endpoint_id, n.due_at
      FROM (SELECT DISTINCT u.endpoint_id, u.ordering_key
              FROM unnest(endpoint_ids, ordering_keys) AS u (endpoint_id, ordering_key)) f
     CROSS JOIN LATERAL (
           SELECT q.outbox_id, q.due_at, q.state
             FROM integration.queue q
            WHERE q.endpoint_id = f.endpoint_id AND q.ordering_key = f.ordering_key
            ORDER BY coalesce(q.place, q.outbox_id)
            LIMIT 1) n
     WHERE n.state <> 'failed';
END
$$;
COMMENT ON FUNCTION integration_worker.heads(integer[], text[]) IS
    'The next sync of each ordering key whose head has ended.';

-- The newest state of each object that may be sent, by the index queue_object.  One that was tried counts
-- whenever it is tried again; one that a person must look at doesn't, nor one that is not to be sent yet.
CREATE FUNCTION integration_worker.newest(endpoint_ids integer[], object_types text[], object_ids text[])
    RETURNS TABLE (n bigint, endpoint_id integer, object_type text, object_id text, place bigint, outbox_id bigint)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.n, o.endpoint_id, o.object_type, o.object_id, x.place, x.outbox_id
      FROM unnest(endpoint_ids, object_types, object_ids) WITH ORDINALITY AS o (endpoint_id, object_type, object_id, n)
     CROSS JOIN LATERAL (
           SELECT coalesce(q.place, q.outbox_id) AS place, q.outbox_id
             FROM integration.queue q
            WHERE q.endpoint_id = o.endpoint_id
              AND q.object_id = o.object_id
              AND q.object_type = o.object_type
              AND (q.state = 'retrying' OR (q.state = 'pending' AND q.due_at <= statement_timestamp()))
              AND (q.expires_at <= statement_timestamp()) IS NOT TRUE
            ORDER BY coalesce(q.place, q.outbox_id) DESC, q.outbox_id DESC
            LIMIT 1) x;
END
$$;
COMMENT ON FUNCTION integration_worker.newest(integer[], text[], text[]) IS
    'The newest sync of each object that may be sent; n is the object''s place in the arrays.';

-- Closes what newer states have made pointless, failed syncs too: a newer state heals them.  Left alone are
-- those that somebody holds, those that are under way (busy; claimed), and all of an object whose newest is
-- being taken away.
CREATE FUNCTION integration_worker.close_older(
        endpoint_ids integer[], object_types text[], object_ids text[], busy bigint[], most integer)
    RETURNS TABLE (endpoint_id integer, ordering_key text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH newest AS MATERIALIZED (
        SELECT x.*
          FROM integration_worker.newest(endpoint_ids, object_types, object_ids) x
         CROSS JOIN LATERAL (
               SELECT true
                 FROM integration.queue q
                WHERE q.outbox_id = x.outbox_id
                  FOR KEY SHARE SKIP LOCKED) held
    ), older AS MATERIALIZED (
        SELECT o.place, x.outbox_id AS newest
          FROM newest x
         CROSS JOIN LATERAL (
               SELECT q.ctid AS place
                 FROM integration.queue q
                WHERE q.endpoint_id = x.endpoint_id
                  AND q.object_id = x.object_id
                  AND q.object_type = x.object_type
                  AND (coalesce(q.place, q.outbox_id), q.outbox_id) < (x.place, x.outbox_id)
                  AND q.claimed_at IS NULL
                  AND q.outbox_id <> ALL (busy)
                  FOR UPDATE SKIP LOCKED) o
         LIMIT most
    ), gone AS (
        DELETE FROM integration.queue q
         USING older o
         WHERE q.ctid = o.place
        RETURNING q.outbox_id, q.endpoint_id, q.ordering_key, o.newest
    ), closed AS (
        INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
        SELECT g.outbox_id, 'superseded', clock_timestamp(), 'coalesced', g.newest FROM gone g
    )
    SELECT g.endpoint_id, g.ordering_key FROM gone g;
END
$$;
COMMENT ON FUNCTION integration_worker.close_older(integer[], text[], text[], bigint[], integer) IS
    'Closes the older syncs of each object as superseded, at most so many; returns the ordering keys they had.';

-- Never waits for a lock.  The keys of the objects are the caller's own and come back with what it asks next.
CREATE FUNCTION integration_worker.supersede(
        ids bigint[], object_keys bigint[], busy bigint[], most integer DEFAULT 1000)
    RETURNS TABLE (outbox_id bigint, object_key bigint, standing text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    crowd record;
    gone record;
BEGIN
    SELECT array_agg(o.endpoint_id) AS endpoint_ids, array_agg(o.object_type) AS object_types,
           array_agg(o.object_id) AS object_ids, array_agg(o.object_key) AS object_keys
      INTO crowd
      FROM (SELECT DISTINCT ON (q.endpoint_id, q.object_type, q.object_id)
                   q.endpoint_id, q.object_type, q.object_id, u.object_key
              FROM unnest(ids, object_keys) AS u (outbox_id, object_key)
              JOIN integration.queue q ON q.outbox_id = u.outbox_id AND q.outbox_id = ANY (ids)
             WHERE q.object_id IS NOT NULL) o;
    SELECT count(*) AS syncs, array_agg(c.endpoint_id) AS endpoint_ids, array_agg(c.ordering_key) AS ordering_keys
      INTO gone
      FROM integration_worker.close_older(crowd.endpoint_ids, crowd.object_types, crowd.object_ids, busy, most) c;
    PERFORM integration_worker.choose_durability(false);
    RETURN QUERY
    SELECT x.outbox_id, crowd.object_keys[x.n],
           CASE WHEN NOT EXISTS (SELECT FROM integration.queue q
                                  WHERE q.endpoint_id = x.endpoint_id
                                    AND q.object_id = x.object_id
                                    AND q.object_type = x.object_type
                                    AND (coalesce(q.place, q.outbox_id), q.outbox_id) < (x.place, x.outbox_id)) THEN 'next'
                WHEN gone.syncs = most THEN 'again'
                ELSE 'held' END
      FROM integration_worker.newest(crowd.endpoint_ids, crowd.object_types, crowd.object_ids) x
    UNION ALL
    SELECT h.outbox_id, NULL, 'next'
      FROM integration_worker.heads(gone.endpoint_ids, gone.ordering_keys) h;
END
$$;
COMMENT ON FUNCTION integration_worker.supersede(bigint[], bigint[], bigint[], integer) IS
    'Closes the older syncs of the objects of these ones; returns the newest of each object: next (nothing is before it), again (there is more to close) or held (something older is held by somebody), and who is next under the ordering keys.';
