-- An endpoint that pauses itself: closed for good, or without one success for days.

INSERT INTO integration.phrase (key, words) VALUES
    ('pause.gone', 'The other side says that this address is closed for good ({reason}).'),
    ('pause.long_failure', 'It has failed for five days without one success, last with {reason}.'),
    ('pause.ended_by_change', 'what the endpoint is called with was changed ({table})'),
    ('long_failure.warning', 'It has failed since {since} without one success, last with {reason}. If that goes on, it pauses itself at {until}.'),
    ('long_failure.paused', 'It has failed since {since} without one success, last with {reason}, and has paused itself.');

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('', 505, 'The endpoint is paused: "{paused}" Nothing leaves, no probe either. See what waits behind it.',
     'SELECT * FROM integration.pause_status;', NULL),
    ('', 515, 'Once the cause is gone, have the paused endpoint called again ("{paused}").',
     'SELECT integration.resume(''endpoint'', {endpoint}, ''why'');', NULL),
    ('gone', 450, 'It is called at {url}. If there is a new address, write it into the endpoint: what waits is then sent there by itself.',
     'UPDATE integration.endpoint SET url = ''https://…'' WHERE name = {endpoint};', '{owner}'),
    ('gone', 460, 'If the connection is not wanted any more, give up what waits for it.',
     'UPDATE integration.sync SET state = ''cancelled'' WHERE endpoint = {endpoint} AND state IN (''pending'', ''retrying'', ''failed'');', '{owner}'),
    ('long_failure', 460, 'If the connection is not wanted any more, give up what waits for it.',
     'UPDATE integration.sync SET state = ''cancelled'' WHERE endpoint = {endpoint} AND state IN (''pending'', ''retrying'', ''failed'');', '{owner}');

CREATE FUNCTION integration_worker.pause_itself(
        endpoint text, error_class text, reason text, at timestamptz, outbox_id bigint DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO integration.pause AS p (scope, name, reason, actor, since, error_class)
    VALUES ('endpoint', pause_itself.endpoint, pause_itself.reason, 'integration', pause_itself.at, pause_itself.error_class)
        ON CONFLICT (scope, name) DO UPDATE
        SET reason = excluded.reason, actor = excluded.actor, since = excluded.since, until = NULL,
            error_class = excluded.error_class
      WHERE p.until <= pause_itself.at;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO integration.action (at, actor, verb, outbox_id, endpoint, reason, details)
    VALUES (pause_itself.at, 'integration', 'pause', pause_itself.outbox_id, pause_itself.endpoint, pause_itself.reason,
            jsonb_build_object('scope', 'endpoint', 'name', pause_itself.endpoint, 'error_class', pause_itself.error_class));
    RETURN true;
END
$$;
COMMENT ON FUNCTION integration_worker.pause_itself(text, text, text, timestamptz, bigint) IS
    'Pauses an endpoint until somebody resumes it, unless somebody has paused it; says whether it did.';

-- An address that is made of the object's own id says something about that object: the endpoint is stopped
-- then, and its next probe is another one.  Answers that come too late to stop it are of an address that somebody
-- may have changed.  Should somebody hold the pause, the next probe pauses it.
CREATE FUNCTION integration_worker.pause_gone(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10ms'
AS $$
BEGIN
    PERFORM integration_worker.pause_itself(
                g.name, g.error_class, integration_worker.say('pause.gone', jsonb_build_object('reason', g.reason)),
                settled_at, g.outbox_id)
       FROM (SELECT DISTINCT ON (e.name) e.name, r.error_class, r.reason, v.outbox_id
               FROM unnest(standings) s
               JOIN unnest(verdicts) v ON v.endpoint_id = s.endpoint_id AND v.n >= s.first_trip
               JOIN integration.error_reason r ON r.reason = v.reason AND r.pauses
               JOIN integration.endpoint e ON e.id = v.endpoint_id
              WHERE v.effect = 'trip' AND v.state <> 'unsettled' AND e.url !~ '\{(object_id|remote_id)\}'
              ORDER BY e.name, v.n) g;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.pause_gone(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Pauses endpoints that say they are closed for good; never waits for a lock.';

CREATE FUNCTION integration_worker.end_own_pauses(endpoints text[], cause text) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH ended AS (
        DELETE FROM integration.pause p
         WHERE p.scope = 'endpoint' AND p.name = ANY (endpoints) AND p.error_class IS NOT NULL
        RETURNING p.name, p.reason, p.actor
    )
    INSERT INTO integration.action (verb, endpoint, reason, details)
    SELECT 'resume', e.name, integration_worker.say('pause.ended_by_change', jsonb_build_object('table', cause)),
           jsonb_build_object('scope', 'endpoint', 'name', e.name, 'paused_because', e.reason, 'paused_by', e.actor)
      FROM ended e
$$;
COMMENT ON FUNCTION integration_worker.end_own_pauses(text[], text) IS
    'Ends the pauses that these endpoints have made themselves; cause: the table in which what they are called with was changed.';

-- The time begins anew after a pause: nothing fails while nothing is sent.
CREATE FUNCTION integration_worker.forget_paused_failures(now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.endpoint_health h
       SET failing_since = NULL
     WHERE h.endpoint_id IN (
           SELECT x.endpoint_id
             FROM integration.endpoint_health x
             JOIN integration.endpoint e ON e.id = x.endpoint_id
            WHERE x.failing_since IS NOT NULL
              AND EXISTS (SELECT FROM integration.pause p
                           WHERE (p.until IS NULL OR p.until > forget_paused_failures.now)
                             AND integration_worker.pause_holds(p.scope, p.name, e.connector, e.name, ARRAY[e.customer]))
              FOR NO KEY UPDATE OF x SKIP LOCKED)
$$;
COMMENT ON FUNCTION integration_worker.forget_paused_failures(timestamptz) IS
    'Has the time of failing begin anew for endpoints that are paused.';

-- By the first and the last failure, so that one failure and then nothing to send is no long one; and never without
-- a warning a day before, so that what is called once a week has one, too.
CREATE FUNCTION integration_worker.long_failures(most integer)
    RETURNS TABLE (endpoint text, failing_since timestamptz, days integer, reason text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.name, h.failing_since, d.days, h.last_reason
      FROM integration.endpoint_health h
      JOIN integration.endpoint e ON e.id = h.endpoint_id
      LEFT JOIN (SELECT i.endpoint, max(i.last_seen_at) AS at
                   FROM integration.incident i
                  WHERE i.error_class = 'long_failure'
                  GROUP BY i.endpoint) warned ON warned.endpoint = e.name AND warned.at >= h.failing_since
     CROSS JOIN LATERAL (
           SELECT CASE WHEN h.last_failure_at >= h.failing_since + interval '5 days'
                            AND h.last_failure_at >= warned.at + interval '1 day' THEN 5
                       WHEN h.last_failure_at >= h.failing_since + interval '3 days' THEN 3
                       ELSE 1 END AS days) d
     WHERE h.last_failure_at >= h.failing_since + interval '1 day'
       AND (d.days = 5 OR warned.at IS NULL OR warned.at < h.failing_since + make_interval(days => d.days))
     ORDER BY h.failing_since
     LIMIT most
$$;
COMMENT ON FUNCTION integration_worker.long_failures(integer) IS
    'So many endpoints that have failed for one, three or five days without one success, and of which nobody has been told that yet.';

CREATE FUNCTION integration_worker.watch_long_failure(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100;
    count integer := 0;
    failing record;
    words jsonb;
BEGIN
    PERFORM integration_worker.forget_paused_failures(watch_long_failure.now);
    FOR failing IN SELECT * FROM integration_worker.long_failures(most) LOOP
        count := count + 1;
        words := jsonb_build_object(
            'since', integration_worker.moment_words(failing.failing_since), 'reason', failing.reason,
            'until', integration_worker.moment_words(failing.failing_since + interval '5 days'));
        PERFORM integration_worker.tell_more(
            failing.endpoint, 'long_failure', watch_long_failure.now,
            integration_worker.say(CASE failing.days WHEN 5 THEN 'long_failure.paused' ELSE 'long_failure.warning' END, words));
        IF failing.days = 5 THEN
            PERFORM integration_worker.pause_itself(failing.endpoint, 'long_failure',
                                                    integration_worker.say('pause.long_failure', words), watch_long_failure.now);
        END IF;
    END LOOP;
    PERFORM integration_worker.end_incident(i.endpoint, i.error_class, watch_long_failure.now)
       FROM integration.incident i
       LEFT JOIN integration.endpoint e ON e.name = i.endpoint
       LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
      WHERE i.error_class = 'long_failure' AND i.resolved_at IS NULL
        AND (e.id IS NULL OR h.last_success_at > i.last_seen_at);
    RETURN CASE WHEN count = most THEN watch_long_failure.now + interval '1 s' END;
END
$$;
COMMENT ON FUNCTION integration_worker.watch_long_failure(timestamptz) IS
    'Tells people of endpoints that fail for one day, for three; pauses them after five. Ends that with the first delivery.';
