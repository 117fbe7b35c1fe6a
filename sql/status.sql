-- How each business object stands after a batch.

-- An older sync never overwrites what is known of a newer one.
CREATE FUNCTION integration_worker.write_status(verdicts integration_worker.verdict[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told integration.sync_status[] := integration_worker.merge_status(verdicts, settled_at);
    written bigint;
BEGIN
    INSERT INTO integration.sync_status AS s
    SELECT t.* FROM unnest(told) t
    ON CONFLICT (endpoint_id, object_type, object_id) DO UPDATE
       SET state = excluded.state,
           last_outbox_id = excluded.last_outbox_id,
           last_attempt_at = excluded.last_attempt_at,
           delivered_outbox_id = greatest(s.delivered_outbox_id, excluded.delivered_outbox_id),
           delivered_at = CASE WHEN excluded.delivered_outbox_id >= coalesce(s.delivered_outbox_id, 0)
                               THEN excluded.delivered_at ELSE s.delivered_at END,
           error_class = excluded.error_class,
           error = excluded.error,
           remote_id = coalesce(excluded.remote_id, s.remote_id),
           failures = CASE WHEN excluded.state = 'in_sync' THEN 0 ELSE s.failures + excluded.failures END
     WHERE excluded.last_outbox_id >= s.last_outbox_id;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written = cardinality(told) THEN
        RETURN;
    END IF;
    UPDATE integration.sync_status s
       SET delivered_outbox_id = t.delivered_outbox_id,
           delivered_at = t.delivered_at,
           remote_id = coalesce(s.remote_id, t.remote_id)
      FROM unnest(told) t
     WHERE (s.endpoint_id, s.object_type, s.object_id) = (t.endpoint_id, t.object_type, t.object_id)
       AND s.last_outbox_id > t.last_outbox_id
       AND t.delivered_outbox_id > coalesce(s.delivered_outbox_id, 0);
END
$$;
COMMENT ON FUNCTION integration_worker.write_status(integration_worker.verdict[], timestamptz) IS
    'Keeps sync_status: in_sync, failing or failed.';

CREATE FUNCTION integration_worker.merge_status(verdicts integration_worker.verdict[], settled_at timestamptz)
    RETURNS integration.sync_status[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        WITH told AS MATERIALIZED (
            SELECT v.*
              FROM unnest(verdicts) v
             WHERE v.object_id IS NOT NULL
               AND (v.delivered AND v.state = 'delivered'
                    OR v.queued AND v.state IN ('pending', 'retrying', 'failed'))
        )
        SELECT ROW (g.endpoint_id, g.object_type, g.object_id,
                    CASE WHEN v.delivered THEN 'in_sync' WHEN v.state = 'failed' THEN 'failed' ELSE 'failing' END,
                    v.outbox_id, v.started_at,
                    d.outbox_id, CASE WHEN d.outbox_id IS NOT NULL THEN settled_at END,
                    v.error_class, v.error, d.remote_id,
                    CASE WHEN v.delivered THEN 0 ELSE g.failures END)::integration.sync_status
          FROM (SELECT t.endpoint_id, t.object_type, t.object_id, max(t.outbox_id) AS newest,
                       max(t.outbox_id) FILTER (WHERE t.delivered) AS delivered,
                       (count(*) FILTER (WHERE NOT t.delivered))::integer AS failures
                  FROM told t
                 GROUP BY t.endpoint_id, t.object_type, t.object_id) g
          JOIN told v ON v.outbox_id = g.newest
          LEFT JOIN told d ON d.outbox_id = g.delivered);
END
$$;
COMMENT ON FUNCTION integration_worker.merge_status(integration_worker.verdict[], timestamptz) IS
    'One row for each object of a batch: of several results the newest sync''s state holds.';
