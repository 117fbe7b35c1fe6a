-- The straight way: plain deliveries to endpoints that are well.
--
-- Nearly every result is one, so a batch of them is recorded in one statement; whatever is special in any
-- way is left to the rules of settle().

CREATE TYPE integration_worker.plain_batch AS (
    ids integer[],
    unwritten integer[],
    name_objects boolean,
    reasons text[],
    api_versions text[]
);
COMMENT ON TYPE integration_worker.plain_batch IS
    'Endpoints whose deliveries go the straight way; those whose last delivery was noted ten seconds ago or earlier; has one of them a remote_id_path?; what a good answer is called; the api_version of each one''s connector, NULL: none has one.';

CREATE TYPE integration_worker.written AS (
    done integer[],
    told integer[]
);
COMMENT ON TYPE integration_worker.written IS
    'Places in an array of results: those that are recorded; those of them that name an object.';

CREATE FUNCTION integration_worker.record_deliveries(
        results integration_worker.result[], endpoint_ids integer[], reasons text[], api_versions text[])
    RETURNS integration_worker.written
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_record_deliveries';
COMMENT ON FUNCTION integration_worker.record_deliveries(integration_worker.result[], integer[], text[], text[]) IS
    'Moves syncs from queue to attempt whose result has one of these reasons at one of these endpoints; leaves those that a person changed, holds or closed, that have an ordering key or are a ping.';

CREATE FUNCTION integration_worker.well_endpoints(endpoint_ids integer[], settled_at timestamptz)
    RETURNS integration_worker.plain_batch
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_well_endpoints';
COMMENT ON FUNCTION integration_worker.well_endpoints(integer[], timestamptz) IS
    'Which of these endpoints are closed, idempotent, not to be left alone, and have answered before; without reasons.';

-- A delivery to such an endpoint changes nothing but its own sync: it is well and no rule or incident waits
-- for the answer.  Rules and incidents are rare, so that there are none at all is asked first.
CREATE FUNCTION integration_worker.plain_endpoints(endpoint_ids integer[], settled_at timestamptz)
    RETURNS integration_worker.plain_batch
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plain integration_worker.plain_batch := integration_worker.well_endpoints(endpoint_ids, settled_at);
BEGIN
    -- By the index error_reason_class.
    plain.reasons := ARRAY(SELECT r.reason FROM integration.error_reason r WHERE r.error_class = 'success' AND r.remote_state = 'done');
    IF EXISTS (SELECT FROM integration.error_rule)
       OR EXISTS (SELECT FROM integration.incident i WHERE i.resolved_at IS NULL) THEN
        SELECT array_agg(e.id), array_agg(b.api_version)
          INTO plain.ids, plain.api_versions
          FROM unnest(plain.ids, plain.api_versions) AS b (endpoint_id, api_version)
         -- Looked up one by one: a join could come to read all endpoints.
         CROSS JOIN LATERAL (SELECT x.* FROM integration.endpoint x WHERE x.id = b.endpoint_id OFFSET 0) e
         WHERE NOT EXISTS (SELECT FROM integration.error_rule r
                            WHERE (r.endpoint IS NULL OR r.endpoint = e.name)
                              AND (r.connector IS NULL OR r.connector = e.connector))
           -- Not EXISTS, which could come to read all incidents for each batch: by the index incident_open.
           AND (SELECT true FROM integration.incident i
                 WHERE i.endpoint = e.name AND i.resolved_at IS NULL
                   AND NOT integration_worker.is_watched(i.error_class)
                 LIMIT 1) IS NULL;
    END IF;
    RETURN plain;
END
$$;
COMMENT ON FUNCTION integration_worker.plain_endpoints(integer[], timestamptz) IS
    'Which of these endpoints can have their deliveries recorded the straight way.';

CREATE FUNCTION integration_worker.remote_id_of(endpoint_id integer, body text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT integration_worker.body_value(body, c.remote_id_path)
              FROM integration.endpoint_config c
             WHERE c.id = remote_id_of.endpoint_id AND c.remote_id_path IS NOT NULL);
END
$$;
COMMENT ON FUNCTION integration_worker.remote_id_of(integer, text) IS
    'The other system''s id in a good answer, by the remote_id_path of the endpoint; NULL: none.';

-- Of two deliveries of an object in a batch the newer sync tells; an older one never overwrites it.  Only the worker
-- that owns the endpoint writes here, so nobody adds the same object meanwhile, and ON CONFLICT, which writes a
-- record of its own for each new row, can be done without.
CREATE FUNCTION integration_worker.tell_objects(
        results integration_worker.result[], done integer[], named boolean, settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    all_done boolean := cardinality(done) = cardinality(results);
BEGIN
    WITH told AS MATERIALIZED (
        SELECT DISTINCT ON (r.endpoint_id, coalesce(r.object_type, ''), r.object_id)
               r.endpoint_id, coalesce(r.object_type, '') AS object_type, r.object_id, r.outbox_id, r.started_at,
               CASE WHEN named THEN integration_worker.remote_id_of(r.endpoint_id, r.response_body) END AS remote_id
          FROM unnest(results) WITH ORDINALITY AS r
         WHERE r.object_id IS NOT NULL AND (all_done OR r.ordinality = ANY (done))
         ORDER BY r.endpoint_id, coalesce(r.object_type, ''), r.object_id, r.outbox_id DESC
    ), known AS MATERIALIZED (
        SELECT t.*, x.place
          FROM told t
          LEFT JOIN LATERAL (
               SELECT s.ctid AS place
                 FROM integration.sync_status s
                WHERE (s.object_id, s.object_type, s.endpoint_id) = (t.object_id, t.object_type, t.endpoint_id)
               OFFSET 0) x ON true
    ), changed AS (
        UPDATE integration.sync_status s
           SET state = CASE WHEN k.outbox_id >= s.last_outbox_id THEN 'in_sync' ELSE s.state END,
               last_outbox_id = greatest(k.outbox_id, s.last_outbox_id),
               last_attempt_at = CASE WHEN k.outbox_id >= s.last_outbox_id THEN k.started_at ELSE s.last_attempt_at END,
               error_class = CASE WHEN k.outbox_id >= s.last_outbox_id THEN NULL ELSE s.error_class END,
               error = CASE WHEN k.outbox_id >= s.last_outbox_id THEN NULL ELSE s.error END,
               failures = CASE WHEN k.outbox_id >= s.last_outbox_id THEN 0 ELSE s.failures END,
               delivered_outbox_id = greatest(k.outbox_id, s.delivered_outbox_id),
               delivered_at = CASE WHEN k.outbox_id >= coalesce(s.delivered_outbox_id, 0)
                                   THEN settled_at ELSE s.delivered_at END,
               remote_id = CASE WHEN k.outbox_id >= coalesce(s.delivered_outbox_id, 0)
                                THEN coalesce(k.remote_id, s.remote_id) ELSE coalesce(s.remote_id, k.remote_id) END
          FROM known k
         WHERE s.ctid = k.place
           AND (s.object_id || '') = k.object_id
    )
    INSERT INTO integration.sync_status (
           endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at,
           delivered_outbox_id, delivered_at, remote_id, failures)
    SELECT k.endpoint_id, k.object_type, k.object_id, 'in_sync', k.outbox_id, k.started_at,
           k.outbox_id, settled_at, k.remote_id, 0
      FROM known k
     WHERE k.place IS NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.tell_objects(integration_worker.result[], integer[], boolean, timestamptz) IS
    'Writes sync_status for the objects of these plain deliveries; named: one of the endpoints has a remote_id_path.';

-- An object's row is not locked beforehand, which would cost as much as the work itself: should somebody hold it, the
-- short lock_timeout ends the attempt, and the rules, which lock row by row, find out whose it is.
CREATE FUNCTION integration_worker.deliver(
        results integration_worker.result[], counters integration_worker.counter[],
        settled_at timestamptz DEFAULT clock_timestamp())
    RETURNS integer[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10ms'
AS $$
#variable_conflict use_column
DECLARE
    plain integration_worker.plain_batch :=
        integration_worker.plain_endpoints(ARRAY(SELECT c.endpoint_id FROM unnest(counters) c), settled_at);
    written integration_worker.written;
    to_write integer[];
BEGIN
    IF plain.ids IS NULL THEN
        RETURN '{}';
    END IF;
    written := integration_worker.record_deliveries(results, plain.ids, plain.reasons, coalesce(plain.api_versions, '{}'));
    IF written.told <> '{}' THEN
        PERFORM integration_worker.tell_objects(results, written.told, plain.name_objects, settled_at);
    END IF;
    IF plain.unwritten IS NOT NULL THEN
        to_write := ARRAY(
            SELECT DISTINCT d.endpoint_id
              FROM (SELECT (results[n]).endpoint_id FROM unnest(written.done) AS n) d
             WHERE d.endpoint_id = ANY (plain.unwritten));
        UPDATE integration.endpoint_health h
           SET updated_at = settled_at, last_success_at = settled_at, failing_since = NULL, failures = 0, "window" = coalesce(c."window", h."window")
          FROM unnest(to_write) AS t (endpoint_id)
          JOIN unnest(counters) c ON c.endpoint_id = t.endpoint_id
         CROSS JOIN LATERAL (
               SELECT x.endpoint_id
                 FROM integration.endpoint_health x
                WHERE x.endpoint_id = t.endpoint_id
                  FOR NO KEY UPDATE SKIP LOCKED) held
         WHERE h.endpoint_id = held.endpoint_id;
    END IF;
    PERFORM integration_worker.choose_durability(false);
    RETURN written.done;
EXCEPTION WHEN lock_not_available OR data_exception THEN
    RETURN '{}';
END
$$;
COMMENT ON FUNCTION integration_worker.deliver(integration_worker.result[], integration_worker.counter[], timestamptz) IS
    'Finishes the syncs that were plainly delivered, with their attempts and sync_status; returns their places in results. counters has the endpoints of the batch.';
