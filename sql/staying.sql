-- Which old syncs must stay.

-- Settings read like '7d', '90min'; one below zero keeps for ever.
CREATE FUNCTION integration_worker.keep_limit(setting text) RETURNS timestamptz
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN s.value LIKE '-%' THEN '-infinity'::timestamptz ELSE clock_timestamp() - s.value::interval END
      FROM (SELECT current_setting(keep_limit.setting)) AS s (value)
$$;
COMMENT ON FUNCTION integration_worker.keep_limit(text) IS
    'What ended before this moment may leave, by one of the settings of retention.';

-- Syncs for which keep_failed counts, or that are not finished; by one index each, never by those that
-- were simply delivered.
CREATE FUNCTION integration_worker.marked_syncs(after_id bigint, below bigint, most integer) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE ROWS 200
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT m.outbox_id
      FROM ((SELECT q.outbox_id
               FROM integration.queue q
              WHERE q.outbox_id > after_id AND q.outbox_id < below
              ORDER BY q.outbox_id LIMIT most)
            UNION
            (SELECT a.outbox_id
               FROM integration.attempt a
              WHERE a.outbox_id > after_id AND a.outbox_id < below AND a.outcome = 'failed'
              GROUP BY a.outbox_id
              ORDER BY a.outbox_id LIMIT most)
            UNION
            (SELECT c.outbox_id
               FROM integration.closing c
              WHERE c.outbox_id > after_id AND c.outbox_id < below AND c.state <> 'superseded'
              ORDER BY c.outbox_id LIMIT most)
            UNION
            (SELECT x.outbox_id
               FROM integration.action x
              WHERE x.outbox_id > after_id AND x.outbox_id < below
              GROUP BY x.outbox_id
              ORDER BY x.outbox_id LIMIT most)) m
     ORDER BY m.outbox_id
     LIMIT most;
END
$$;
COMMENT ON FUNCTION integration_worker.marked_syncs(bigint, bigint, integer) IS
    'The next syncs above an id that are not finished, failed at least once, were given up or touched by a person.';

CREATE FUNCTION integration_worker.must_stay(ids bigint[], delivered_before timestamptz, failed_before timestamptz)
    RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE ROWS 200
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT i.id
      FROM unnest(ids) AS i (id)
      JOIN integration.outbox o ON o.id = i.id
      LEFT JOIN integration.queue q ON q.outbox_id = i.id
      LEFT JOIN integration.closing c ON c.outbox_id = i.id
     CROSS JOIN LATERAL (
           SELECT max(a.started_at) AS at, bool_or(a.outcome = 'failed') AS failed
             FROM integration.attempt a
            WHERE a.outbox_id = i.id) tried
     CROSS JOIN LATERAL (
           SELECT max(x.at) AS at
             FROM integration.action x
            WHERE x.outbox_id = i.id) touched
     WHERE q.outbox_id IS NOT NULL
        -- What gave way to a newer sync counts from the day it was asked for.
        OR greatest(o.created_at, tried.at, CASE WHEN c.state <> 'superseded' THEN c.closed_at END, touched.at)
           >= CASE WHEN tried.failed OR touched.at IS NOT NULL OR c.state <> 'superseded'
                   THEN least(failed_before, delivered_before) ELSE delivered_before END
     ORDER BY i.id;
END
$$;
COMMENT ON FUNCTION integration_worker.must_stay(bigint[], timestamptz, timestamptz) IS
    'Those of the syncs that are not finished, or ended too recently to leave.';
