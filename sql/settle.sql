-- A batch of results is recorded with everything that follows from it.

CREATE FUNCTION integration_worker.finish(verdicts integration_worker.verdict[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.queue q
     WHERE q.outbox_id = ANY (ARRAY(
           SELECT v.outbox_id FROM unnest(verdicts) v
            WHERE v.queued AND v.state IN ('delivered', 'cancelled', 'expired')));
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE NOT v.queued AND v.delivered) THEN
        -- It was closed while it was in flight, yet it arrived: the state tells the truth.
        DELETE FROM integration.closing c
         WHERE c.outbox_id = ANY (ARRAY(
               SELECT v.outbox_id FROM unnest(verdicts) v
                WHERE NOT v.queued AND v.delivered AND v.state = 'delivered'));
    END IF;
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE v.queued AND v.state IN ('cancelled', 'expired')) THEN
        INSERT INTO integration.closing (outbox_id, state, closed_at, reason)
        SELECT v.outbox_id, v.state, settled_at, v.reason
          FROM unnest(verdicts) v
         WHERE v.queued AND v.state IN ('cancelled', 'expired');
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.finish(integration_worker.verdict[], timestamptz) IS
    'Ends the syncs that were delivered, were stopped or have expired.';

CREATE FUNCTION integration_worker.reschedule(verdicts integration_worker.verdict[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.queue q
       SET attempts = v.attempts,
           charged = v.charged,
           state = v.state,
           due_at = coalesce(v.due_at, q.due_at),
           error_class = v.error_class,
           reason = v.reason,
           http_status = v.http_status,
           error = v.error,
           last_attempt_at = v.started_at,
           claimed_at = NULL
      FROM unnest(verdicts) v
     WHERE q.outbox_id = ANY (ARRAY(
           SELECT x.outbox_id FROM unnest(verdicts) x
            WHERE x.queued AND x.state IN ('pending', 'retrying', 'failed')))
       AND v.outbox_id = q.outbox_id
       AND v.state <> 'unsettled';
END
$$;
COMMENT ON FUNCTION integration_worker.reschedule(integration_worker.verdict[]) IS
    'Writes what came of the attempts, and what was decided, for syncs that are not finished; a schedule that a person made was kept by decide().';

-- Everything but the attempts; returns the syncs that failed because another one went through.
CREATE FUNCTION integration_worker.follow_up(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    suspects integration_worker.verdict[] := '{}';
    resolved boolean := false;
BEGIN
    PERFORM integration_worker.finish(verdicts, settled_at);
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE NOT v.delivered) THEN
        PERFORM integration_worker.reschedule(verdicts);
        PERFORM integration_worker.raise_incidents(verdicts, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.first_trip IS NOT NULL) THEN
        PERFORM integration_worker.pause_gone(verdicts, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE v.object_id IS NOT NULL) THEN
        PERFORM integration_worker.write_status(verdicts, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.changed OR s.news) THEN
        PERFORM integration_worker.write_health(verdicts, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.suspect IS NOT NULL) THEN
        suspects := integration_worker.fail_suspects(standings);
        PERFORM integration_worker.raise_incidents(suspects, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM integration.incident i WHERE i.resolved_at IS NULL) THEN
        resolved := integration_worker.resolve_incidents(standings, settled_at);
    END IF;
    PERFORM integration_worker.choose_durability(
        resolved
        OR EXISTS (SELECT FROM unnest(verdicts) v WHERE v.state = 'failed')
        -- One more probe in vain is nothing that anybody waits for.
        OR EXISTS (SELECT FROM unnest(standings) s WHERE s.changed AND s.openings < 2)
        OR EXISTS (SELECT FROM integration.endpoint_config c
                    WHERE c.id = ANY (ARRAY(SELECT DISTINCT v.endpoint_id FROM unnest(verdicts) v))
                      AND NOT c.idempotent));
    RETURN suspects;
END
$$;
COMMENT ON FUNCTION integration_worker.follow_up(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Finishes, reschedules, keeps sync_status, endpoint_health, incidents; returns the suspects it failed.';

CREATE FUNCTION integration_worker.read_headers(headers text[]) RETURNS jsonb[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN headers::jsonb[];
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY(SELECT integration_worker.as_json(h.value)
                   FROM unnest(headers) WITH ORDINALITY AS h (value, n) ORDER BY h.n);
END
$$;
COMMENT ON FUNCTION integration_worker.read_headers(text[]) IS
    'Headers of answers as JSON; NULL for what is none.';

-- Called by the worker with what deliver() did not finish; counters are those it keeps between two writes of
-- endpoint_health.  Three kinds of rows come back: one for each result, one for each sync that became due
-- or failed because of it, one without outbox_id for each endpoint (due_at: not called before).
CREATE FUNCTION integration_worker.settle(
        results integration_worker.result[], counters integration_worker.counter[] DEFAULT '{}',
        settled_at timestamptz DEFAULT clock_timestamp())
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, state text, due_at timestamptz, signal text,
                   failures integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    headers jsonb[] := integration_worker.read_headers(ARRAY(SELECT r.response_headers FROM unnest(results) r));
    verdicts integration_worker.verdict[];
    standings integration_worker.standing[];
    suspects integration_worker.verdict[];
BEGIN
    verdicts := integration_worker.gather(results, settled_at);
    verdicts := integration_worker.judge(verdicts, results, headers, settled_at);
    verdicts := integration_worker.hold_health(verdicts);
    INSERT INTO integration.attempt (
           outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class, error, http_status,
           next_attempt_at, duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, request_url, remote_address,
           response_headers, response_body, trace_id, span_id, api_version)
    SELECT v.outbox_id, v.attempts, v.endpoint_id, v.started_at, CASE WHEN v.delivered THEN 'delivered' ELSE 'failed' END,
           v.reason, v.error_class, v.error, v.http_status, CASE WHEN v.state = 'retrying' AND v.effect <> 'trip' THEN v.due_at END,
           r.duration_ms, r.dns_ms, r.connect_ms, r.tls_ms, r.first_byte_ms, r.request_url, r.remote_address,
           headers[v.n], r.response_body, r.trace_id, r.span_id,
           (SELECT c.api_version
              FROM integration.endpoint e
              JOIN integration.connector c ON c.name = e.connector
             WHERE e.id = v.endpoint_id)
      FROM unnest(verdicts) v
      JOIN unnest(results) WITH ORDINALITY AS r ON r.ordinality = v.n
     WHERE v.state <> 'unsettled';
    standings := integration_worker.stand(verdicts, counters, settled_at);
    suspects := integration_worker.follow_up(verdicts, standings, settled_at);
    RETURN QUERY
    SELECT v.outbox_id, v.endpoint_id, v.state,
           CASE WHEN v.state IN ('pending', 'retrying') THEN v.due_at END, v.signal,
           NULL::integer, NULL::timestamptz, NULL::integer, NULL::integer
      FROM unnest(verdicts || suspects) v
    UNION ALL
    SELECT n.outbox_id, n.endpoint_id, 'pending', n.due_at, 'neutral', NULL, NULL, NULL, NULL
      FROM (SELECT array_agg(v.endpoint_id) AS endpoint_ids, array_agg(v.ordering_key) AS ordering_keys
              FROM unnest(verdicts) v
             WHERE v.ordering_key IS NOT NULL
               AND v.queued AND v.state IN ('delivered', 'cancelled', 'expired')) f
     CROSS JOIN LATERAL integration_worker.heads(f.endpoint_ids, f.ordering_keys) n
    UNION ALL
    SELECT NULL, s.endpoint_id, s.state,
           integration_worker.not_called_before(s.state, s.open_until, s.retry_after_until, settled_at),
           NULL, s.failures, s.minute_at, s.minute_attempts, s.minute_failures
      FROM unnest(standings) s;
END
$$;
COMMENT ON FUNCTION integration_worker.settle(integration_worker.result[], integration_worker.counter[], timestamptz) IS
    'Records a batch of attempts and everything that follows; never waits for a lock, never throws on what an answer holds.';
