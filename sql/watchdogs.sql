-- Watchdogs: what no result says is looked for every minute.

CREATE TABLE integration_worker.failing_watchdog (
    name text PRIMARY KEY,
    since timestamptz NOT NULL,
    error text NOT NULL
);
COMMENT ON TABLE integration_worker.failing_watchdog IS
    'Watchdogs that ended with an error when they last looked; a row leaves when its watchdog works again.';

CREATE FUNCTION integration_worker.has_incident(endpoint text, error_class text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration.incident i
                    WHERE i.endpoint = has_incident.endpoint AND i.error_class = has_incident.error_class
                      AND i.resolved_at IS NULL)
$$;
COMMENT ON FUNCTION integration_worker.has_incident(text, text) IS
    'Whether there is an incident that is not over; by the index incident_open.';

CREATE FUNCTION integration_worker.open_incident(
        endpoint text, error_class text, at timestamptz, note text DEFAULT NULL, example bigint DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    incident bigint;
BEGIN
    IF integration_worker.has_incident(open_incident.endpoint, open_incident.error_class) THEN
        RETURN NULL;
    END IF;
    UPDATE integration.incident i
       SET state = 'open', last_seen_at = open_incident.at, note = open_incident.note,
           example = coalesce(open_incident.example, i.example)
     WHERE i.id = (SELECT x.id
                     FROM integration.incident x
                    WHERE x.endpoint = open_incident.endpoint AND x.error_class = open_incident.error_class
                      AND x.resolved_at > open_incident.at - integration_worker.reopens_within()
                    ORDER BY x.resolved_at DESC
                    LIMIT 1)
    RETURNING i.id INTO incident;
    IF FOUND THEN
        PERFORM integration_worker.tell(ARRAY[incident], 'reopened');
        RETURN incident;
    END IF;
    INSERT INTO integration.incident (endpoint, error_class, severity, owner, responsible, remedy, opened_at, last_seen_at,
                                      customers, example, note)
    SELECT open_incident.endpoint, k.name, coalesce(c.severity, 1),
           integration_worker.owner_of(c.id, k.name, c.customer, k.responsible), k.responsible, k.remedy, open_incident.at,
           open_incident.at, CASE WHEN c.customer IS NULL THEN 0 ELSE 1 END, open_incident.example, open_incident.note
      FROM integration.error_class k
      LEFT JOIN integration.endpoint_config c ON c.name = open_incident.endpoint
     WHERE k.name = open_incident.error_class
        ON CONFLICT (endpoint, error_class) WHERE resolved_at IS NULL DO NOTHING
    RETURNING id INTO incident;
    IF FOUND THEN
        PERFORM integration_worker.tell(ARRAY[incident], 'opened');
    END IF;
    RETURN incident;
END
$$;
COMMENT ON FUNCTION integration_worker.open_incident(text, text, timestamptz, text, bigint) IS
    'Opens an incident that a watchdog has found, or the one again that ended within a day; endpoint empty: the whole database. Returns it; NULL: it is open already.';

CREATE FUNCTION integration_worker.tell_more(
        endpoint text, error_class text, at timestamptz, note text, example bigint DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known bigint;
BEGIN
    IF integration_worker.open_incident(tell_more.endpoint, tell_more.error_class, tell_more.at, tell_more.note,
                                        tell_more.example) IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE integration.incident i
       SET note = tell_more.note, last_seen_at = tell_more.at
     WHERE i.endpoint = tell_more.endpoint AND i.error_class = tell_more.error_class AND i.resolved_at IS NULL
    RETURNING CASE WHEN i.state <> 'ignored' THEN i.id END INTO known;
    IF known IS NOT NULL THEN
        PERFORM integration_worker.tell(ARRAY[known], 'updated');
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.tell_more(text, text, timestamptz, text, bigint) IS
    'Opens an incident that a watchdog has found, or says in the open one what is new; people are told of either, unless somebody ignores it.';

CREATE FUNCTION integration_worker.end_incident(endpoint text, error_class text, at timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    incident bigint := (SELECT i.id
                          FROM integration.incident i
                         WHERE i.endpoint = end_incident.endpoint AND i.error_class = end_incident.error_class
                           AND i.resolved_at IS NULL AND i.state <> 'ignored'
                           FOR NO KEY UPDATE SKIP LOCKED);
BEGIN
    IF incident IS NOT NULL THEN
        PERFORM integration_worker.end_incidents(ARRAY[incident], end_incident.at);
    END IF;
    RETURN incident;
END
$$;
COMMENT ON FUNCTION integration_worker.end_incident(text, text, timestamptz) IS
    'Ends the incident whose watchdog finds nothing any more, with what people did meanwhile. Returns it; NULL: none was open, or somebody ignores or edits it.';

CREATE FUNCTION integration_worker.watchdogs() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY[
        'watch_expected',
        'watch_growth',
        'watch_long_failure',
        'watch_sla',
        'watch_interfaces',
        'watch_design_faults',
        'watch_certificates',
        'escalate',
        'beat'
    ]
$$;
COMMENT ON FUNCTION integration_worker.watchdogs() IS
    'The functions that watch() calls with the time; each returns when it has to look again, NULL: in a minute.';

CREATE FUNCTION integration_worker.hurried_watchdogs() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY['escalate', 'beat']
$$;
COMMENT ON FUNCTION integration_worker.hurried_watchdogs() IS
    'Those of them that look soon after an incident or a heartbeat has changed; the others see nothing new in that.';

-- A watchdog that takes too long is cancelled, which OTHERS leaves out, and it must not keep the others from looking.
CREATE FUNCTION integration_worker.run_watchdog(name text, now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    again_at timestamptz;
BEGIN
    EXECUTE format('SELECT integration_worker.%I($1)', run_watchdog.name) INTO again_at USING run_watchdog.now;
    DELETE FROM integration_worker.failing_watchdog f WHERE f.name = run_watchdog.name;
    RETURN again_at;
EXCEPTION
    WHEN lock_not_available THEN
        RETURN run_watchdog.now + interval '1 s';
    WHEN query_canceled OR OTHERS THEN
        INSERT INTO integration_worker.failing_watchdog (name, since, error)
        VALUES (run_watchdog.name, run_watchdog.now, SQLERRM)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RAISE WARNING USING
                ERRCODE = SQLSTATE,
                MESSAGE = format('integration cannot look for what %s() finds: %s', run_watchdog.name, SQLERRM),
                HINT = format('It tries again every minute, in silence; SELECT integration_worker.%I(now()) shows the error.', run_watchdog.name);
        END IF;
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.run_watchdog(text, timestamptz) IS
    'Has one watchdog look; an error of it is reported once and remembered until it works again.';

CREATE FUNCTION integration_worker.watch(name text, now timestamptz DEFAULT clock_timestamp()) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
BEGIN
    RETURN greatest(least(integration_worker.run_watchdog(watch.name, watch.now), watch.now + interval '1 min'),
                    watch.now + interval '1 s');
END
$$;
COMMENT ON FUNCTION integration_worker.watch(text, timestamptz) IS
    'Has a watchdog look; called by the worker that has the first shard, in a transaction of its own. Returns when it has to look again.';

INSERT INTO integration.phrase (key, words) VALUES
    ('worker_hangs', 'A worker has not come round since {since}: nothing of its endpoints is sent.'),
    ('worker_hung', 'A worker did not come round from {since} to {until}: nothing of its endpoints was sent meanwhile.');

CREATE FUNCTION integration_worker.note_silence(since timestamptz, until timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    words jsonb := jsonb_build_object('since', integration_worker.time_words(note_silence.since),
                                      'until', integration_worker.time_words(note_silence.until));
    sentence text := integration_worker.say(CASE WHEN note_silence.until IS NULL THEN 'worker_hangs' ELSE 'worker_hung' END, words);
BEGIN
    PERFORM integration_worker.open_incident('', 'worker_silent', note_silence.since, sentence);
    IF note_silence.until IS NULL THEN
        RETURN;
    END IF;
    UPDATE integration.incident i
       SET note = sentence
     WHERE i.endpoint = '' AND i.error_class = 'worker_silent' AND i.resolved_at IS NULL;
    PERFORM integration_worker.end_incident('', 'worker_silent', note_silence.until);
END
$$;
COMMENT ON FUNCTION integration_worker.note_silence(timestamptz, timestamptz) IS
    'Writes down that a worker hung; until is NULL while it does. Called by any worker of the database that turns, this one or another.';
