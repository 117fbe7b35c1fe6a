-- Growth: backlogs that get longer although their endpoints work.

CREATE TABLE integration_worker.backlog_sample (
    endpoint_id integer PRIMARY KEY,
    at timestamptz NOT NULL,
    due bigint NOT NULL
);
COMMENT ON TABLE integration_worker.backlog_sample IS
    'How many due syncs the endpoints had that could not keep up a while ago; written every ten minutes at most.';

INSERT INTO integration.phrase (key, words) VALUES
    ('queue_growing', 'Due and not sent: {due}; {before} at {at}.'),
    ('queue_oldest', 'The next of them is due since {oldest}.');

-- An endpoint whose syncs wait has some of them in its worker's memory, so that no other has to be looked at.
CREATE FUNCTION integration_worker.busy_endpoints() RETURNS integer[]
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT l.endpoint_id
                   FROM integration_worker.live_endpoints() l
                  WHERE l.waiting > 0
                  UNION
                 SELECT s.endpoint_id FROM integration_worker.backlog_sample s)
$$;
COMMENT ON FUNCTION integration_worker.busy_endpoints() IS
    'The endpoints that may have a backlog: of which the workers hold syncs that wait for their turn, or that had one.';

-- What is counted is bounded: whoever has so many is late anyway.
CREATE FUNCTION integration_worker.due_backlogs(endpoint_ids integer[], now timestamptz)
    RETURNS TABLE (endpoint_id integer, due bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT u.id, c.due
      FROM unnest(endpoint_ids) AS u (id)
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = u.id
     CROSS JOIN LATERAL (
           SELECT count(*) AS due
             FROM (SELECT
                     FROM integration.queue q
                    WHERE q.endpoint_id = u.id AND q.state <> 'failed' AND q.priority = ANY ('{0,1,2,3}')
                      AND q.due_at <= due_backlogs.now
                    LIMIT 100000) x) c
     WHERE coalesce(h.state, 'closed') = 'closed'
       AND u.id NOT IN (SELECT p.id FROM integration_worker.paused_endpoints(due_backlogs.now - interval '5 min') AS p (id));
END
$$;
COMMENT ON FUNCTION integration_worker.due_backlogs(integer[], timestamptz) IS
    'How many due syncs each of these endpoints has, up to 100,000, that nothing holds back but its own pace. By the index queue_due.';

CREATE FUNCTION integration_worker.report_growth(before integration_worker.backlog_sample, due bigint, now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    endpoint text := (SELECT e.name FROM integration.endpoint e WHERE e.id = before.endpoint_id);
    oldest integration.queue := integration_worker.first_waiting(before.endpoint_id);
BEGIN
    PERFORM integration_worker.open_incident(
        endpoint, 'queue_growing', report_growth.now,
        concat_ws(' ',
            integration_worker.say('queue_growing', jsonb_build_object(
                'due', report_growth.due, 'before', before.due, 'at', integration_worker.time_words(before.at))),
            integration_worker.say('queue_oldest', jsonb_build_object('oldest', integration_worker.time_words(oldest.due_at)))),
        oldest.outbox_id);
END
$$;
COMMENT ON FUNCTION integration_worker.report_growth(integration_worker.backlog_sample, bigint, timestamptz) IS
    'Opens the incident of an endpoint whose backlog was shorter a while ago.';

CREATE FUNCTION integration_worker.end_growth(endpoint_id integer, now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.end_incident(e.name, 'queue_growing', end_growth.now)
      FROM integration.endpoint e
     WHERE e.id = end_growth.endpoint_id
$$;
COMMENT ON FUNCTION integration_worker.end_growth(integer, timestamptz) IS
    'Ends the incident of an endpoint that keeps up again, if there is one.';

-- Ten minutes are long enough for a burst to be over, and a hundred syncs are soon sent.
CREATE FUNCTION integration_worker.watch_growth(
        now timestamptz, endpoint_ids integer[] DEFAULT integration_worker.busy_endpoints())
    RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    least_due CONSTANT bigint := 100;
    span CONSTANT interval := '10 min';
    late_ids integer[] := '{}';
    late record;
BEGIN
    FOR late IN
        SELECT b.endpoint_id, b.due, s
          FROM integration_worker.due_backlogs(watch_growth.endpoint_ids, watch_growth.now) b
          LEFT JOIN integration_worker.backlog_sample s ON s.endpoint_id = b.endpoint_id
         WHERE b.due >= least_due LOOP
        late_ids := late_ids || late.endpoint_id;
        CONTINUE WHEN (late.s).at > watch_growth.now - span AND (late.s).at <= watch_growth.now;
        IF late.due > (late.s).due THEN
            PERFORM integration_worker.report_growth(late.s, late.due, watch_growth.now);
        ELSIF late.due < (late.s).due THEN
            PERFORM integration_worker.end_growth(late.endpoint_id, watch_growth.now);
        END IF;
        INSERT INTO integration_worker.backlog_sample (endpoint_id, at, due)
        VALUES (late.endpoint_id, watch_growth.now, late.due)
            ON CONFLICT (endpoint_id) DO UPDATE SET at = excluded.at, due = excluded.due;
    END LOOP;
    PERFORM integration_worker.end_growth(s.endpoint_id, watch_growth.now)
       FROM integration_worker.backlog_sample s
      WHERE s.endpoint_id <> ALL (late_ids);
    DELETE FROM integration_worker.backlog_sample s WHERE s.endpoint_id <> ALL (late_ids);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.watch_growth(timestamptz, integer[]) IS
    'Watchdog: opens an incident for each endpoint that works and has more due syncs than ten minutes ago, ends it when there are fewer or few.';
