-- How an endpoint stands after a batch: breaker, stop, pause.

-- First how it stood and what the batch showed, then what follows.
CREATE TYPE integration_worker.standing AS (
    endpoint_id integer,
    state text,
    since timestamptz,
    open_until timestamptz,
    openings integer,
    retry_after_until timestamptz,
    "window" integer,
    failures integer,
    tripped_by bigint,
    minute_at timestamptz,
    minute_attempts integer,
    minute_failures integer,
    missing boolean,
    news boolean,
    good boolean,
    alive boolean,
    counted integer,
    idle boolean,
    other_good boolean,
    other_trip boolean,
    first_trip integer,
    last_count integer,
    last_failure integer,
    pause_until timestamptz,
    changed boolean,
    suspect bigint,
    stopped_for text
);
COMMENT ON TYPE integration_worker.standing IS
    'endpoint_health with the running counters; good to pause_until are what the batch showed (first_, last_: places in it); suspect is the sync that turned out to have stopped the endpoint alone.';

-- The worker takes another time than the one it knows for somebody's act, so settle() and endpoints() say the same.
CREATE FUNCTION integration_worker.not_called_before(
        state text, open_until timestamptz, retry_after_until timestamptz, at timestamptz)
    RETURNS timestamptz
    LANGUAGE sql IMMUTABLE
    RETURN greatest(CASE WHEN state <> 'closed' THEN open_until END,
                    CASE WHEN retry_after_until > at THEN retry_after_until END);
COMMENT ON FUNCTION integration_worker.not_called_before(text, timestamptz, timestamptz, timestamptz) IS
    'Until when the health of an endpoint, as it stands at that time, keeps it from being called; NULL: it does not.';

-- Somebody who holds an endpoint's health row is changing its state: its results wait, nobody else''s do.
CREATE FUNCTION integration_worker.hold_health(verdicts integration_worker.verdict[])
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted integer[] := ARRAY(
        SELECT h.endpoint_id
          FROM integration.endpoint_health h
         WHERE h.endpoint_id = ANY (ARRAY(SELECT DISTINCT v.endpoint_id FROM unnest(verdicts) v))
           AND (h.state <> 'closed'
                OR h.endpoint_id = ANY (ARRAY(SELECT v.endpoint_id FROM unnest(verdicts) v
                                               WHERE v.effect IN ('count', 'trip') OR v.pause_until IS NOT NULL))));
    held integer[];
BEGIN
    IF wanted = '{}' THEN
        RETURN verdicts;
    END IF;
    held := ARRAY(SELECT h.endpoint_id
                    FROM integration.endpoint_health h
                   WHERE h.endpoint_id = ANY (wanted)
                     FOR NO KEY UPDATE SKIP LOCKED);
    IF held @> wanted THEN
        RETURN verdicts;
    END IF;
    RETURN ARRAY(
        SELECT integration_worker.let_go(v, v.endpoint_id = ANY (wanted) AND v.endpoint_id <> ALL (held) AND NOT v.ping)
          FROM unnest(verdicts) v
         ORDER BY v.n);
END
$$;
COMMENT ON FUNCTION integration_worker.hold_health(integration_worker.verdict[]) IS
    'Locks the health of endpoints that may change state; results of those somebody else holds become unsettled.';

CREATE FUNCTION integration_worker.let_go(verdict integration_worker.verdict, held boolean)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF held THEN
        verdict.state := 'unsettled';
    END IF;
    RETURN verdict;
END
$$;
COMMENT ON FUNCTION integration_worker.let_go(integration_worker.verdict, boolean) IS
    'The result as unsettled if its endpoint is held by somebody else.';

CREATE FUNCTION integration_worker.stop(standing integration_worker.standing, tripped_by bigint, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF standing.state <> 'stopped' THEN
        standing.state := 'stopped';
        standing.since := settled_at;
        standing.openings := 0;
        standing.tripped_by := tripped_by;
        standing.stopped_for := NULL;
    ELSIF standing.other_trip THEN
        -- Two different syncs: it is the endpoint, not one of them.
        standing.tripped_by := NULL;
    END IF;
    standing.openings := standing.openings + 1;
    standing.open_until := settled_at + integration_worker.stop_wait(standing.openings);
    standing.changed := true;
    RETURN standing;
END
$$;
COMMENT ON FUNCTION integration_worker.stop(integration_worker.standing, bigint, timestamptz) IS
    'A stopped endpoint, or one whose probe was refused again.';

CREATE FUNCTION integration_worker.close(standing integration_worker.standing, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF standing.state = 'stopped' AND standing.other_good THEN
        standing.suspect := standing.tripped_by;
    END IF;
    standing.state := 'closed';
    standing.since := settled_at;
    standing.open_until := NULL;
    standing.openings := 0;
    standing.tripped_by := NULL;
    standing.stopped_for := NULL;
    standing.failures := 0;
    standing.minute_at := settled_at;
    standing.minute_attempts := 0;
    standing.minute_failures := 0;
    standing.changed := true;
    RETURN standing;
END
$$;
COMMENT ON FUNCTION integration_worker.close(integration_worker.standing, timestamptz) IS
    'An endpoint that works again; if only one sync had stopped it, that one is the suspect.';

CREATE FUNCTION integration_worker.open(standing integration_worker.standing, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF standing.state = 'closed' THEN
        standing.state := 'open';
        standing.since := settled_at;
        standing.openings := 0;
    END IF;
    standing.openings := standing.openings + 1;
    standing.open_until := settled_at + integration_worker.open_wait(standing.openings);
    standing.changed := true;
    RETURN standing;
END
$$;
COMMENT ON FUNCTION integration_worker.open(integration_worker.standing, timestamptz) IS
    'An endpoint whose breaker opens, or whose probe failed.';

CREATE FUNCTION integration_worker.next_standing(
        standing integration_worker.standing, tripped_by bigint, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF standing.pause_until > coalesce(standing.retry_after_until, '-infinity') THEN
        standing.retry_after_until := standing.pause_until;
        standing.changed := true;
    END IF;
    IF tripped_by IS NOT NULL THEN
        RETURN integration_worker.stop(standing, tripped_by, settled_at);
    END IF;
    IF standing.state = 'closed' THEN
        IF standing.counted > 0
           AND (standing.failures >= 10
                OR (standing.minute_attempts >= 10 AND 2 * standing.minute_failures >= standing.minute_attempts)) THEN
            RETURN integration_worker.open(standing, settled_at);
        END IF;
        RETURN standing;
    END IF;
    -- One that refuses whatever it is sent works when it accepts something, not when it answers.
    IF standing.good OR (standing.alive AND standing.stopped_for IS NULL) THEN
        RETURN integration_worker.close(standing, settled_at);
    END IF;
    IF (standing.counted > 0 OR standing.alive) AND standing.state = 'stopped' THEN
        RETURN integration_worker.stop(standing, NULL, settled_at);
    END IF;
    IF standing.counted > 0 THEN
        RETURN integration_worker.open(standing, settled_at);
    END IF;
    -- A probe that said nothing about the endpoint: ask again, but not at once.
    IF standing.idle THEN
        standing.open_until := settled_at + CASE standing.state
            WHEN 'stopped' THEN integration_worker.stop_wait(standing.openings)
            ELSE integration_worker.open_wait(standing.openings) END;
        standing.changed := true;
    END IF;
    RETURN standing;
END
$$;
COMMENT ON FUNCTION integration_worker.next_standing(integration_worker.standing, bigint, timestamptz) IS
    'How an endpoint stands after what the batch showed; tripped_by: the first sync that stops it.';

-- What the batch showed of each endpoint.  Requests that left before a probe was to leave are no probes that failed,
-- not even those that left while the stop was written down; but a stop is news to an open breaker.  What would stop it
-- is no news from before it closed, nor is any failure from before somebody changed what it is called with.  A state of
-- the future is one of a clock that ran ahead.
CREATE FUNCTION integration_worker.tally(
        verdicts integration_worker.verdict[], counters integration_worker.counter[], settled_at timestamptz)
    RETURNS TABLE (endpoint_id integer, attempts integer, counted integer, run integer, good boolean, alive boolean,
                   idle boolean, other_good boolean, other_trip boolean, first_trip integer, last_count integer,
                   last_failure integer, pause_until timestamptz, first_at timestamptz)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT f.endpoint_id,
           (count(*) FILTER (WHERE f.effect IN ('success', 'alive', 'count')))::integer,
           (count(*) FILTER (WHERE f.effect = 'count'))::integer,
           (count(*) FILTER (WHERE f.effect = 'count' AND f.n > f.last_good))::integer,
           coalesce(bool_or(f.effect = 'success'), false),
           coalesce(bool_or(f.effect IN ('success', 'alive')), false),
           coalesce(bool_or(f.effect = 'none'), false),
           coalesce(bool_or(f.effect = 'success' AND f.outbox_id <> f.tripped_by), false),
           coalesce(bool_or(f.effect = 'trip' AND f.outbox_id <> f.tripped_by), false),
           min(f.n) FILTER (WHERE f.effect = 'trip'),
           max(f.n) FILTER (WHERE f.effect = 'count'),
           max(f.n) FILTER (WHERE NOT f.delivered),
           max(f.pause_until),
           min(f.started_at)
      FROM (SELECT e.*,
                   greatest(max(e.n) FILTER (WHERE e.effect IN ('success', 'alive'))
                                OVER (PARTITION BY e.endpoint_id), e.row_after, 0) AS last_good
              FROM (SELECT v.endpoint_id, v.n, v.outbox_id, v.started_at, v.delivered, v.pause_until, h.tripped_by, c.row_after,
                           CASE WHEN v.effect <> 'success' AND v.started_at < c.changed_at THEN 'late'
                                WHEN h.state IS NULL OR h.since > settled_at
                                     OR v.started_at >= CASE v.effect WHEN 'success' THEN h.since
                                                                      ELSE coalesce(h.open_until, h.since) END
                                     OR (h.state = 'closed' AND v.effect <> 'trip')
                                     OR (h.state = 'open' AND v.effect = 'trip')
                                THEN v.effect ELSE 'late' END AS effect
                      FROM unnest(verdicts) v
                      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = v.endpoint_id
                      LEFT JOIN unnest(counters) c ON c.endpoint_id = v.endpoint_id
                     WHERE v.state <> 'unsettled' AND NOT v.ping) e) f
     GROUP BY f.endpoint_id;
END
$$;
COMMENT ON FUNCTION integration_worker.tally(integration_worker.verdict[], integration_worker.counter[], timestamptz) IS
    'What a batch showed of each endpoint: counts, firsts and lasts.';
