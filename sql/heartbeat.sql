-- Heartbeat: a sync each minute to whoever notices when none comes.

CREATE TABLE integration.heartbeat (
    endpoint text PRIMARY KEY REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    every interval NOT NULL DEFAULT '1 min',
    last_at timestamptz,
    CONSTRAINT every_is_ten_seconds_to_a_day CHECK (every BETWEEN '10 s' AND '1 day')
);
COMMENT ON TABLE integration.heartbeat IS
    'Endpoints that get a small sync all the time, so that whoever listens there notices when this database is silent. What health() says stands in it.';
COMMENT ON COLUMN integration.heartbeat.endpoint IS 'The endpoint.';
COMMENT ON COLUMN integration.heartbeat.every IS 'How often; a beat that was not sent by the time of the next one expires.';
COMMENT ON COLUMN integration.heartbeat.last_at IS 'When the last one was enqueued.';

CREATE FUNCTION integration_worker.beat_words(now timestamptz) RETURNS jsonb
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('at', beat_words.now, 'installation', (SELECT n.name FROM integration.installation n),
                              'database', current_database(), 'status', h.status, 'why', h.why)
      FROM integration.health() h
$$;
COMMENT ON FUNCTION integration_worker.beat_words(timestamptz) IS 'What stands in a heartbeat.';

-- What an endpoint's own settings refuse must not keep the others' beats back: they would be missed, and raise an alarm.
CREATE FUNCTION integration_worker.try_beat(due integration.heartbeat, now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO integration.outbox (endpoint, operation, payload, priority, expires_at, triggered_by)
    VALUES (due.endpoint, 'heartbeat', integration_worker.beat_words(try_beat.now), 'high', try_beat.now + due.every, 'integration');
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING USING
        ERRCODE = SQLSTATE,
        MESSAGE = format('integration cannot send a heartbeat to endpoint "%s": %s', due.endpoint, SQLERRM),
        HINT = 'It tries again when the next one is due. Correct the endpoint or its connector, or delete it from integration.heartbeat.';
END
$$;
COMMENT ON FUNCTION integration_worker.try_beat(integration.heartbeat, timestamptz) IS
    'Enqueues one heartbeat; an error is reported, and nothing of it stays.';

-- One that is ahead of its time was enqueued before the clock was set back.
CREATE FUNCTION integration_worker.beat(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due integration.heartbeat;
BEGIN
    FOR due IN
        UPDATE integration.heartbeat h
           SET last_at = beat.now
          FROM (SELECT x.endpoint
                  FROM integration.heartbeat x
                 WHERE x.last_at IS NULL OR x.last_at + x.every <= beat.now OR x.last_at > beat.now
                   FOR NO KEY UPDATE SKIP LOCKED) held
         WHERE h.endpoint = held.endpoint
        RETURNING h.* LOOP
        PERFORM integration_worker.try_beat(due, beat.now);
    END LOOP;
    RETURN (SELECT min(h.last_at + h.every) FROM integration.heartbeat h);
END
$$;
COMMENT ON FUNCTION integration_worker.beat(timestamptz) IS
    'Watchdog: enqueues the heartbeats that are due; returns when the next one is.';

CREATE FUNCTION integration_worker.wake_watchdogs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.wake_for_incident();
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.wake_watchdogs() IS
    'Statement trigger: has the watchdogs look when this transaction commits.';

CREATE TRIGGER wake AFTER INSERT OR UPDATE OF endpoint, every ON integration.heartbeat
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake_watchdogs();
