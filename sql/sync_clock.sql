-- The clock of a sync: its deadline, where its time went.

CREATE FUNCTION integration_worker.period(begins timestamptz, ends timestamptz) RETURNS tstzrange
    LANGUAGE sql IMMUTABLE
    RETURN tstzrange(begins, greatest(begins, ends));
COMMENT ON FUNCTION integration_worker.period(timestamptz, timestamptz) IS
    'From one time to the other, empty where a clock that was set back has the end before the beginning.';

CREATE FUNCTION integration_worker.length_of(periods tstzmultirange) RETURNS interval
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(sum(upper(p) - lower(p)), interval '0') FROM unnest(periods) AS p
$$;
COMMENT ON FUNCTION integration_worker.length_of(tstzmultirange) IS
    'How long these periods are together.';

-- By the index action_switch.  What began without an action, such as the pause of a copy, stands in the table.
CREATE VIEW integration_worker.pause_period AS
SELECT s.scope, s.name, integration_worker.period(s.at, least(s.until, s.next_at)) AS period
  FROM (SELECT a.verb, a.at, a.details ->> 'scope' AS scope, coalesce(a.details ->> 'name', '') AS name,
               coalesce((a.details ->> 'until')::timestamptz, 'infinity') AS until,
               lead(a.at) OVER (PARTITION BY a.details ->> 'scope', a.details ->> 'name' ORDER BY a.at, a.id) AS next_at
          FROM integration.action a
         WHERE a.verb IN ('pause', 'resume')) s
 WHERE s.verb = 'pause'
UNION ALL
SELECT p.scope, p.name, integration_worker.period(p.since, coalesce(p.until, 'infinity'))
  FROM integration.pause p;
COMMENT ON VIEW integration_worker.pause_period IS
    'When what was paused: by what people did, and what is in force.';

CREATE FUNCTION integration_worker.pauses_of(connector text, endpoint text, customers text[]) RETURNS tstzmultirange
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg(p.period), '{}')
              FROM integration_worker.pause_period p
             WHERE integration_worker.pause_holds(p.scope, p.name, pauses_of.connector, pauses_of.endpoint, pauses_of.customers));
END
$$;
COMMENT ON FUNCTION integration_worker.pauses_of(text, text, text[]) IS
    'When the syncs of this connector, endpoint, these customers (the sync''s, its endpoint''s) were paused.';

-- An attempt after which none is scheduled leaves the sync to a person or to its endpoint.
CREATE VIEW integration_worker.attempt_period AS
SELECT t.outbox_id, integration_worker.period(t.started_at, t.ended_at) AS flight,
       CASE WHEN t.next_attempt_at IS NOT NULL AND t.error_class = 'rate_limited'
            THEN integration_worker.period(t.ended_at, least(t.next_attempt_at, t.next_at)) END AS throttled,
       CASE WHEN t.next_attempt_at IS NOT NULL
            THEN integration_worker.period(t.ended_at, coalesce(t.next_at, 'infinity')) END AS retrying
  FROM (SELECT a.outbox_id, a.started_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' AS ended_at,
               a.error_class, a.next_attempt_at, lead(a.started_at) OVER (PARTITION BY a.outbox_id ORDER BY a.attempt_no) AS next_at
          FROM integration.attempt a) t;
COMMENT ON VIEW integration_worker.attempt_period IS
    'The attempts of each sync as periods, with what came after each: throttled is a part of retrying.';

CREATE FUNCTION integration_worker.standing_of(
        state text, due_by timestamptz, at_risk_from timestamptz, finished_at timestamptz, now timestamptz)
    RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN due_by IS NULL THEN 'no_promise'
                WHEN coalesce(finished_at, now) > due_by THEN CASE WHEN finished_at IS NULL THEN 'late' ELSE 'missed' END
                WHEN state = 'delivered' THEN 'kept'
                WHEN state = 'expired' THEN 'missed'
                WHEN finished_at IS NOT NULL THEN 'withdrawn'
                WHEN now >= at_risk_from THEN 'at_risk'
                ELSE 'running' END
$$;
COMMENT ON FUNCTION integration_worker.standing_of(text, timestamptz, timestamptz, timestamptz, timestamptz) IS
    'How a promise stands.';

-- What overlaps is told once: a request that is under way is under way, whoever pauses meanwhile.
CREATE FUNCTION integration_worker.split_time(
        life tstzmultirange, flights tstzmultirange, pauses tstzmultirange, throttles tstzmultirange, retries tstzmultirange,
        OUT waiting interval, OUT throttled interval, OUT paused interval, OUT retrying interval, OUT in_flight interval)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    in_flight := integration_worker.length_of(life * flights);
    life := life - flights;
    paused := integration_worker.length_of(life * pauses);
    life := life - pauses;
    throttled := integration_worker.length_of(life * throttles);
    life := life - throttles;
    retrying := integration_worker.length_of(life * retries);
    waiting := integration_worker.length_of(life - retries);
END
$$;
COMMENT ON FUNCTION integration_worker.split_time(tstzmultirange, tstzmultirange, tstzmultirange, tstzmultirange, tstzmultirange) IS
    'Where the time of a life went; the parts add up to it.';

CREATE FUNCTION integration.sla_clock(id bigint, now timestamptz DEFAULT clock_timestamp())
    RETURNS TABLE (standing text, started_at timestamptz, at_risk_from timestamptz, due_by timestamptz, finished_at timestamptz,
                   time_left interval, total interval, waiting interval, throttled interval, paused interval,
                   retrying interval, in_flight interval)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM integration_worker.require_sync(sla_clock.id);
    RETURN QUERY
    SELECT integration_worker.standing_of(s.state, s.due_by, f.at_risk_from, s.finished_at, sla_clock.now),
           f.clock_from, f.at_risk_from, s.due_by, s.finished_at,
           CASE WHEN s.finished_at IS NULL THEN s.due_by - sla_clock.now END,
           integration_worker.length_of(l.life), t.waiting, t.throttled, t.paused, t.retrying, t.in_flight
      FROM integration.sync s
      JOIN integration_worker.sync_facts f ON f.id = s.id
     CROSS JOIN LATERAL (
           SELECT multirange(integration_worker.period(f.clock_from, coalesce(s.finished_at, sla_clock.now))) AS life) l
     CROSS JOIN LATERAL (
           SELECT coalesce(range_agg(x.flight), '{}')
                  + CASE WHEN s.in_flight_since IS NULL THEN '{}'
                         ELSE multirange(integration_worker.period(s.in_flight_since, sla_clock.now)) END AS flights,
                  coalesce(range_agg(x.throttled), '{}') AS throttles, coalesce(range_agg(x.retrying), '{}') AS retries
             FROM integration_worker.attempt_period x
            WHERE x.outbox_id = s.id) a
     CROSS JOIN LATERAL integration_worker.split_time(
               l.life, a.flights, integration_worker.pauses_of(f.connector, f.endpoint, ARRAY[f.customer, f.endpoint_customer]),
               a.throttles, a.retries) t
     WHERE s.id = sla_clock.id;
END
$$;
COMMENT ON FUNCTION integration.sla_clock(bigint, timestamptz) IS
    'The clock of a sync: its standing (no_promise, running, at_risk, late, kept, missed, withdrawn), its deadline, where its time went: waiting with us (its turn, its endpoint, a person), throttled (the other side asked us to wait), paused by somebody, retrying (until the next attempt), in flight.';
