-- How much went where, how fast: attempts counted by hour.

CREATE TABLE integration.traffic (
    endpoint_id integer NOT NULL REFERENCES integration.endpoint (id) ON DELETE CASCADE,
    hour timestamptz NOT NULL,
    up_to_ms integer NOT NULL,
    delivered bigint NOT NULL,
    failed bigint NOT NULL,
    duration_ms bigint NOT NULL,
    PRIMARY KEY (endpoint_id, hour, up_to_ms)
) WITH (fillfactor = 70);
COMMENT ON TABLE integration.traffic IS
    'Attempts counted by endpoint, hour and duration, so that nobody has to read a million of them. Written by the worker, minutes behind; use integration.endpoint_traffic.';
COMMENT ON COLUMN integration.traffic.endpoint_id IS 'endpoint.id.';
COMMENT ON COLUMN integration.traffic.hour IS 'When the hour began in which they began.';
COMMENT ON COLUMN integration.traffic.up_to_ms IS
    'They took no longer than so many milliseconds, and longer than the next smaller bound; 2147483647: longer than a minute.';
COMMENT ON COLUMN integration.traffic.delivered IS 'How many delivered.';
COMMENT ON COLUMN integration.traffic.failed IS 'How many failed.';
COMMENT ON COLUMN integration.traffic.duration_ms IS 'Milliseconds that they took together.';

-- A counter that fell would read as one that began anew, so these outlive the hours that retention removes.
CREATE TABLE integration_worker.traffic_total (
    endpoint_id integer NOT NULL REFERENCES integration.endpoint (id) ON DELETE CASCADE,
    up_to_ms integer NOT NULL,
    delivered bigint NOT NULL,
    failed bigint NOT NULL,
    duration_ms bigint NOT NULL,
    PRIMARY KEY (endpoint_id, up_to_ms)
) WITH (fillfactor = 70);
COMMENT ON TABLE integration_worker.traffic_total IS 'The sums of integration.traffic since the endpoint was made.';

CREATE TABLE integration_worker.traffic_mark (
    endpoint_id integer PRIMARY KEY REFERENCES integration.endpoint (id) ON DELETE CASCADE,
    counted_until timestamptz NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE integration_worker.traffic_mark IS
    'Up to which start the attempts of each endpoint are counted in integration.traffic; later ones are read themselves.';

-- Two above those of requests, and one for whatever is longer.
CREATE FUNCTION integration_worker.duration_bounds() RETURNS integer[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.request_bounds() || '{30000,60000,2147483647}'::integer[]
$$;
COMMENT ON FUNCTION integration_worker.duration_bounds() IS 'The bounds, in milliseconds, by which durations are counted.';

CREATE FUNCTION integration_worker.count_attempts(endpoint_id integer, since timestamptz, until timestamptz)
    RETURNS SETOF integration.traffic
    LANGUAGE sql STABLE ROWS 20
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.endpoint_id, date_trunc('hour', a.started_at, 'UTC'), b.bounds[1 + width_bucket(coalesce(a.duration_ms, 0) - 1, b.bounds)],
           count(*) FILTER (WHERE a.outcome = 'delivered'), count(*) FILTER (WHERE a.outcome = 'failed'),
           coalesce(sum(a.duration_ms), 0)
      FROM integration.attempt a
     CROSS JOIN integration_worker.duration_bounds() AS b (bounds)
     WHERE a.endpoint_id = count_attempts.endpoint_id
       AND a.started_at >= since
       AND a.started_at < until
     GROUP BY 1, 2, 3
$$;
COMMENT ON FUNCTION integration_worker.count_attempts(integer, timestamptz, timestamptz) IS
    'Counts the attempts of an endpoint that began from since to before until; by the index of recent ones.';

-- An attempt is recorded when it ends, ten minutes after its start at the latest.
CREATE FUNCTION integration_worker.next_to_count(
        after_id bigint, most integer, now timestamptz,
        OUT endpoint_id integer, OUT since timestamptz, OUT until timestamptz, OUT is_all boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- endpoint_health is up to ten seconds behind.
    SELECT h.endpoint_id, coalesce(m.counted_until, '-infinity'), now - interval '11 min'
      INTO endpoint_id, since, until
      FROM integration.endpoint_health h
      JOIN integration.endpoint e ON e.id = h.endpoint_id
      LEFT JOIN integration_worker.traffic_mark m ON m.endpoint_id = h.endpoint_id
     WHERE h.endpoint_id > after_id
       AND coalesce(m.counted_until < now - interval '12 min'
                    AND m.counted_until < greatest(h.last_success_at, h.last_failure_at) + interval '10 s', true)
     ORDER BY h.endpoint_id
     LIMIT 1;
    SELECT a.started_at + interval '1 us' INTO until
      FROM integration.attempt a
     WHERE a.endpoint_id = next_to_count.endpoint_id
       AND a.started_at >= next_to_count.since
       AND a.started_at < next_to_count.until
     ORDER BY a.started_at
    OFFSET most - 1 LIMIT 1;
    is_all := until IS NULL;
    until := coalesce(until, now - interval '11 min');
END
$$;
COMMENT ON FUNCTION integration_worker.next_to_count(bigint, integer, timestamptz) IS
    'Which attempts are counted next: the oldest of the first endpoint above this id that has any; endpoint_id NULL: none has.';

CREATE FUNCTION integration_worker.count_traffic(
        after_id bigint, keep_from timestamptz, most integer DEFAULT 5000, now timestamptz DEFAULT clock_timestamp())
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    step record := integration_worker.next_to_count(after_id, most, now);
    counted integration.traffic[];
BEGIN
    IF step.endpoint_id IS NULL THEN
        RETURN NULL;
    END IF;
    counted := ARRAY(SELECT c FROM integration_worker.count_attempts(step.endpoint_id, step.since, step.until) c);
    INSERT INTO integration.traffic AS t
    SELECT c.* FROM unnest(counted) c
        ON CONFLICT (endpoint_id, hour, up_to_ms) DO UPDATE
       SET delivered = t.delivered + EXCLUDED.delivered, failed = t.failed + EXCLUDED.failed,
           duration_ms = t.duration_ms + EXCLUDED.duration_ms;
    INSERT INTO integration_worker.traffic_total AS t
    SELECT step.endpoint_id, c.up_to_ms, sum(c.delivered), sum(c.failed), sum(c.duration_ms)
      FROM unnest(counted) c
     GROUP BY c.up_to_ms
        ON CONFLICT (endpoint_id, up_to_ms) DO UPDATE
       SET delivered = t.delivered + EXCLUDED.delivered, failed = t.failed + EXCLUDED.failed,
           duration_ms = t.duration_ms + EXCLUDED.duration_ms;
    INSERT INTO integration_worker.traffic_mark VALUES (step.endpoint_id, step.until)
        ON CONFLICT (endpoint_id) DO UPDATE SET counted_until = EXCLUDED.counted_until;
    DELETE FROM integration.traffic t WHERE t.endpoint_id = step.endpoint_id AND t.hour < keep_from;
    RETURN step.endpoint_id - CASE WHEN step.is_all THEN 0 ELSE 1 END;
EXCEPTION WHEN lock_not_available OR foreign_key_violation THEN
    RETURN step.endpoint_id;
END
$$;
COMMENT ON FUNCTION integration_worker.count_traffic(bigint, timestamptz, integer, timestamptz) IS
    'Counts the next attempts of one endpoint into integration.traffic, forgets its hours before keep_from. Returns where to go on; NULL: at the end.';

-- Whatever is counted, each attempt is in here once.
CREATE FUNCTION integration_worker.traffic_since(since timestamptz, names text[] DEFAULT NULL) RETURNS SETOF integration.traffic
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.*
      FROM integration.endpoint e
      JOIN integration.traffic t ON t.endpoint_id = e.id
     WHERE t.hour >= since AND (names IS NULL OR e.name = ANY (names))
    UNION ALL
    SELECT c.*
      FROM integration.endpoint e
      LEFT JOIN integration_worker.traffic_mark m ON m.endpoint_id = e.id
     CROSS JOIN LATERAL integration_worker.count_attempts(e.id, greatest(m.counted_until, since), 'infinity') c
     WHERE names IS NULL OR e.name = ANY (names)
$$;
COMMENT ON FUNCTION integration_worker.traffic_since(timestamptz, text[]) IS
    'The attempts at these endpoints, or at all, that began since then, a full hour, as integration.traffic counts them; several rows for the same hour add up.';

-- Between the bounds as if they were spread evenly.  With its owner's rights: whoever reads a view that calls it has
-- none to what it calls.
CREATE FUNCTION integration_worker.durations_at(shares double precision[], up_to_ms integer[], counts bigint[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- No attempt lasts longer than ten minutes.
    bounds integer[] := 0 || array_replace(integration_worker.duration_bounds(), 2147483647, 600000);
    total double precision := 0;
    below double precision := 0;
    place integer;
    durations integer[] := '{}';
BEGIN
    FOR n IN 1 .. coalesce(cardinality(counts), 0) LOOP
        total := total + counts[n];
    END LOOP;
    FOR n IN 1 .. coalesce(cardinality(counts), 0) LOOP
        CONTINUE WHEN counts[n] = 0;
        WHILE below + counts[n] >= shares[cardinality(durations) + 1] * total LOOP
            place := coalesce(array_position(bounds, up_to_ms[n]), cardinality(bounds));
            durations := durations || round(bounds[place - 1] + (bounds[place] - bounds[place - 1])
                                            * (shares[cardinality(durations) + 1] * total - below) / counts[n])::integer;
        END LOOP;
        below := below + counts[n];
    END LOOP;
    RETURN durations;
END
$$;
COMMENT ON FUNCTION integration_worker.durations_at(double precision[], integer[], bigint[]) IS
    'The durations that these ascending shares of attempts did not exceed, from their counts by ascending up_to_ms; empty: there were none.';

CREATE FUNCTION integration_worker.percentile_of(traffic integration.traffic[], share double precision) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT (integration_worker.durations_at(ARRAY[share], array_agg(b.up_to_ms ORDER BY b.up_to_ms),
                                                    array_agg(b.attempts ORDER BY b.up_to_ms)))[1]
              FROM (SELECT t.up_to_ms, sum(t.delivered + t.failed)::bigint AS attempts
                      FROM unnest(traffic) t
                     GROUP BY 1) b);
END
$$;
COMMENT ON FUNCTION integration_worker.percentile_of(integration.traffic[], double precision) IS
    'The duration that this share of all these attempts did not exceed.';

CREATE VIEW integration.endpoint_traffic AS
SELECT h.endpoint, h.hour, h.delivered, h.failed, h.durations[1] AS p50_ms, h.durations[2] AS p95_ms, h.durations[3] AS p99_ms
  FROM (SELECT e.name AS endpoint, t.hour, sum(t.delivered)::bigint AS delivered, sum(t.failed)::bigint AS failed,
               integration_worker.durations_at('{0.5,0.95,0.99}', array_agg(t.up_to_ms ORDER BY t.up_to_ms),
                                               array_agg(t.attempts ORDER BY t.up_to_ms)) AS durations
          FROM (SELECT s.endpoint_id, s.hour, s.up_to_ms, sum(s.delivered) AS delivered, sum(s.failed) AS failed,
                       sum(s.delivered + s.failed)::bigint AS attempts
                  FROM integration_worker.traffic_since(date_trunc('hour', statement_timestamp(), 'UTC') - interval '23 hours') s
                 GROUP BY 1, 2, 3) t
          JOIN integration.endpoint e ON e.id = t.endpoint_id
         GROUP BY 1, 2) h;
COMMENT ON VIEW integration.endpoint_traffic IS
    'How many attempts of each endpoint were delivered, how many failed, how long they took, by hour: this hour and the 23 before.';
COMMENT ON COLUMN integration.endpoint_traffic.endpoint IS 'The endpoint.';
COMMENT ON COLUMN integration.endpoint_traffic.hour IS 'When the hour began in which they began; hours without an attempt are left out.';
COMMENT ON COLUMN integration.endpoint_traffic.delivered IS 'Attempts that delivered.';
COMMENT ON COLUMN integration.endpoint_traffic.failed IS 'Attempts that failed.';
COMMENT ON COLUMN integration.endpoint_traffic.p50_ms IS 'Half of the attempts took no longer, in milliseconds; to the bounds of integration.traffic.up_to_ms.';
COMMENT ON COLUMN integration.endpoint_traffic.p95_ms IS 'Nineteen of twenty took no longer.';
COMMENT ON COLUMN integration.endpoint_traffic.p99_ms IS 'Ninety-nine of a hundred took no longer.';
