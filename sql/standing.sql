-- The health of the endpoints of a batch.

CREATE FUNCTION integration_worker.stand(
        verdicts integration_worker.verdict[], counters integration_worker.counter[], settled_at timestamptz)
    RETURNS integration_worker.standing[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    standings integration_worker.standing[];
BEGIN
    standings := ARRAY(
        SELECT CASE WHEN (s.now).state = 'closed' AND (s.now).first_trip IS NULL AND (s.now).counted = 0
                         AND (s.now).pause_until IS NULL
                    THEN s.now
                    ELSE integration_worker.next_standing(
                             s.now, verdicts[(s.now).first_trip].outbox_id, settled_at) END
          FROM (SELECT ROW (t.endpoint_id, coalesce(h.state, 'closed'), coalesce(h.since, t.first_at), h.open_until,
                            coalesce(h.openings, 0), h.retry_after_until, coalesce(c."window", h."window"),
                            CASE WHEN t.alive THEN 0 ELSE coalesce(c.failures, h.failures, 0) END + t.run,
                            h.tripped_by,
                            CASE WHEN m.lasts THEN c.minute_at ELSE settled_at END,
                            CASE WHEN m.lasts THEN coalesce(c.minute_attempts, 0) ELSE 0 END + t.attempts,
                            CASE WHEN m.lasts THEN coalesce(c.minute_failures, 0) ELSE 0 END + t.counted,
                            h.endpoint_id IS NULL,
                            coalesce(h.updated_at < settled_at - interval '10 s', true)
                            OR (t.good AND h.last_success_at IS NULL)
                            OR (t.last_failure IS NOT NULL AND h.last_failure_at IS NULL),
                            t.good, t.alive, t.counted, t.idle, t.other_good, t.other_trip,
                            t.first_trip, t.last_count, t.last_failure, t.pause_until, false, NULL, h.stopped_for
                       )::integration_worker.standing AS now
                  FROM integration_worker.tally(verdicts, counters, settled_at) t
                  LEFT JOIN unnest(counters) c ON c.endpoint_id = t.endpoint_id
                  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = t.endpoint_id
                 CROSS JOIN LATERAL (
                       SELECT coalesce(c.minute_at > settled_at - interval '1 min', false) AS lasts) m
                OFFSET 0) s);
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE v.state = 'failed' AND v.effect = 'alive' AND v.object_id IS NOT NULL) THEN
        RETURN integration_worker.find_design_faults(verdicts, standings, settled_at);
    END IF;
    RETURN standings;
END
$$;
COMMENT ON FUNCTION integration_worker.stand(integration_worker.verdict[], integration_worker.counter[], timestamptz) IS
    'How each endpoint stands after a batch whose attempts are recorded.';

-- Written on a change of state, otherwise at most every ten seconds: one row updated at every batch
-- under an old snapshot becomes forty times as dear.
CREATE FUNCTION integration_worker.write_health(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.missing) THEN
        INSERT INTO integration.endpoint_health (endpoint_id)
        SELECT s.endpoint_id
          FROM unnest(standings) s
          JOIN integration.endpoint e ON e.id = s.endpoint_id
         WHERE s.missing
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE integration.endpoint_health h
       SET state = s.state, since = s.since, open_until = s.open_until, openings = s.openings,
           retry_after_until = s.retry_after_until, "window" = s."window", failures = s.failures,
           tripped_by = s.tripped_by, stopped_for = s.stopped_for, updated_at = settled_at,
           last_success_at = CASE WHEN s.good THEN settled_at ELSE h.last_success_at END,
           last_failure_at = CASE WHEN s.last_failure IS NOT NULL THEN settled_at ELSE h.last_failure_at END,
           failing_since = CASE WHEN s.good THEN NULL
                                WHEN s.last_failure IS NOT NULL THEN coalesce(h.failing_since, settled_at)
                                ELSE h.failing_since END,
           last_reason = CASE WHEN s.last_failure IS NOT NULL
                              THEN verdicts[s.last_failure].reason ELSE h.last_reason END,
           last_error = CASE WHEN s.last_failure IS NOT NULL
                             THEN verdicts[s.last_failure].error ELSE h.last_error END
      FROM unnest(standings) s
     CROSS JOIN LATERAL (
           SELECT x.endpoint_id
             FROM integration.endpoint_health x
            WHERE (s.changed OR s.news) AND x.endpoint_id = s.endpoint_id
              FOR NO KEY UPDATE SKIP LOCKED) held
     WHERE h.endpoint_id = held.endpoint_id;
END
$$;
COMMENT ON FUNCTION integration_worker.write_health(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Writes endpoint_health where the state changed, or ten seconds after the last time.';

-- It stopped the endpoint, and another sync went through: the fault is its own.
CREATE FUNCTION integration_worker.fail_suspects(standings integration_worker.standing[])
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    suspects integration_worker.verdict[];
    ids bigint[];
BEGIN
    -- A person who took it up since has set it to pending.
    SELECT array_agg(ROW (NULL, h.outbox_id, h.endpoint_id, h.attempts, h.charged, true, NULL, h.ordering_key,
                          h.object_type, h.object_id, false, NULL, a.http_status, a.reason, NULL, a.error_class,
                          a.error, false, 'failed', NULL, NULL, 'neutral', 'trip', NULL, NULL, NULL)::integration_worker.verdict),
           array_agg(h.outbox_id)
      INTO suspects, ids
      FROM integration_worker.hold(
               ARRAY(SELECT s.suspect FROM unnest(standings) s WHERE s.suspect IS NOT NULL),
               ARRAY(SELECT s.endpoint_id FROM unnest(standings) s WHERE s.suspect IS NOT NULL)) h
      JOIN integration.attempt a ON a.outbox_id = h.outbox_id AND a.attempt_no = h.attempts
     WHERE h.free AND h.queued AND h.state = 'retrying';
    UPDATE integration.queue q
       SET state = 'failed', claimed_at = NULL, change_xid = pg_current_xact_id()
     WHERE q.outbox_id = ANY (ids);
    UPDATE integration.sync_status s
       SET state = 'failed'
      FROM unnest(suspects) v
     WHERE (s.endpoint_id, s.object_type, s.object_id) = (v.endpoint_id, v.object_type, v.object_id)
       AND s.last_outbox_id = v.outbox_id;
    RETURN coalesce(suspects, '{}');
END
$$;
COMMENT ON FUNCTION integration_worker.fail_suspects(integration_worker.standing[]) IS
    'Fails the sync that alone had stopped an endpoint which works for others; returns those it failed.';
