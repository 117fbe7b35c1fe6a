-- Expected but missing: endpoints to which less was delivered than they say.

CREATE FUNCTION integration_worker.check_expectation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.expected_every IS NOT NULL
       AND (NOT integration_worker.is_exact(NEW.expected_every) OR NEW.expected_every NOT BETWEEN '1 min' AND '366 days') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'expected_every',
            MESSAGE = format('expected_every of endpoint "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', NEW.expected_every),
            HINT = 'Write 1 min to 366 days in days, hours, minutes, such as ''1 day''; NULL where nothing is expected.';
    END IF;
    IF NEW.expected_at_least IS NOT NULL AND (NEW.expected_every IS NULL OR NEW.expected_at_least NOT BETWEEN 1 AND 100000) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'expected_at_least',
            MESSAGE = format('expected_at_least of endpoint "%s" cannot be used', NEW.name),
            DETAIL = CASE WHEN NEW.expected_every IS NULL THEN 'There is no expected_every.'
                          ELSE format('It is %s.', NEW.expected_at_least) END,
            HINT = 'Write 1 to 100000 deliveries, with expected_every as the time within which they are expected.';
    END IF;
    IF NEW.expected_since IS NULL OR (TG_OP = 'UPDATE' AND NEW.expected_since IS NOT DISTINCT FROM OLD.expected_since) THEN
        NEW.expected_since := CASE WHEN NEW.expected_every IS NOT NULL THEN now() END;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_expectation() IS
    'Row trigger: refuses expectations that mean nothing, has a new one begin now.';

CREATE TRIGGER expect BEFORE INSERT ON integration.endpoint
    FOR EACH ROW WHEN (NEW.expected_every IS NOT NULL OR NEW.expected_at_least IS NOT NULL)
    EXECUTE FUNCTION integration_worker.check_expectation();
CREATE TRIGGER expect_changed BEFORE UPDATE ON integration.endpoint
    FOR EACH ROW WHEN ((NEW.expected_every, NEW.expected_at_least) IS DISTINCT FROM (OLD.expected_every, OLD.expected_at_least))
    EXECUTE FUNCTION integration_worker.check_expectation();

-- What was held back may arrive for a while after it was let go.
CREATE FUNCTION integration_worker.paused_endpoints(since timestamptz) RETURNS SETOF integer
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.id
      FROM integration.pause p
      JOIN integration.endpoint e ON integration_worker.pause_holds(p.scope, p.name, e.connector, e.name, ARRAY[e.customer])
     WHERE p.until IS NULL OR p.until > paused_endpoints.since
     UNION
    SELECT e.id
      FROM integration.endpoint e
     WHERE EXISTS (SELECT FROM integration.action a WHERE a.at > paused_endpoints.since AND a.verb = 'resume')
$$;
COMMENT ON FUNCTION integration_worker.paused_endpoints(timestamptz) IS
    'The endpoints that a pause holds or held since then; all, where somebody resumed anything since.';

CREATE FUNCTION integration_worker.delivered_since(endpoint_id integer, since timestamptz, most integer) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- To ten seconds.
    IF (SELECT h.last_success_at FROM integration.endpoint_health h WHERE h.endpoint_id = delivered_since.endpoint_id)
       > delivered_since.since - interval '10 s' IS NOT TRUE THEN
        RETURN 0;
    END IF;
    IF most = 1 THEN
        RETURN 1;
    END IF;
    RETURN (SELECT count(*)
              FROM (SELECT
                      FROM integration.attempt a
                     WHERE a.endpoint_id = delivered_since.endpoint_id AND a.started_at > delivered_since.since
                       AND a.outcome = 'delivered'
                     LIMIT most) d);
END
$$;
COMMENT ON FUNCTION integration_worker.delivered_since(integer, timestamptz, integer) IS
    'How many deliveries there were, up to a number; by the index of recent attempts.';

INSERT INTO integration.phrase (key, words) VALUES
    ('expected_missing', 'Expected: at least {at_least} every {every}; delivered since {since}: {count}.'),
    ('expected_last', 'The last delivery was at {last}.'),
    ('expected_never', 'There has never been one.'),
    ('expected_waiting', 'Waiting to be sent: {waiting}, the first since {oldest}: SELECT integration.why({example}) says what holds it back.'),
    ('expected_none_waits', 'Nothing waits to be sent: the application has enqueued nothing.');

CREATE FUNCTION integration_worker.waiting_words(example integration.queue) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT bigint := 1000;
    waiting bigint := (SELECT count(*)
                         FROM (SELECT
                                 FROM integration.queue q
                                WHERE q.endpoint_id = example.endpoint_id AND q.state <> 'failed'
                                LIMIT most + 1) w);
BEGIN
    IF example.outbox_id IS NULL THEN
        RETURN integration_worker.say('expected_none_waits');
    END IF;
    RETURN integration_worker.say('expected_waiting', jsonb_build_object(
        'example', example.outbox_id, 'oldest', integration_worker.time_words(example.due_at),
        'waiting', CASE WHEN waiting > most THEN '> ' || most ELSE waiting::text END));
END
$$;
COMMENT ON FUNCTION integration_worker.waiting_words(integration.queue) IS
    'What waits at the endpoint of a sync, in a sentence; NULL: that nothing does.';

CREATE FUNCTION integration_worker.expectation_note(
        endpoint integration.endpoint, count bigint, since timestamptz, example integration.queue)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_at timestamptz := (SELECT h.last_success_at FROM integration.endpoint_health h WHERE h.endpoint_id = endpoint.id);
BEGIN
    RETURN concat_ws(' ',
        integration_worker.say('expected_missing', jsonb_build_object(
            'at_least', coalesce(endpoint.expected_at_least, 1), 'count', expectation_note.count,
            'every', integration_worker.duration_words(endpoint.expected_every),
            'since', integration_worker.time_words(expectation_note.since))),
        CASE WHEN last_at IS NULL THEN integration_worker.say('expected_never')
             ELSE integration_worker.say('expected_last', jsonb_build_object('last', integration_worker.time_words(last_at))) END,
        integration_worker.waiting_words(example));
END
$$;
COMMENT ON FUNCTION integration_worker.expectation_note(integration.endpoint, bigint, timestamptz, integration.queue) IS
    'What is missing at an endpoint, and on whose side.';

CREATE FUNCTION integration_worker.report_missing(endpoint integration.endpoint, count bigint, now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    example integration.queue := integration_worker.first_waiting(endpoint.id);
BEGIN
    PERFORM integration_worker.open_incident(
        endpoint.name, 'nothing_delivered', report_missing.now,
        integration_worker.expectation_note(endpoint, report_missing.count, report_missing.now - endpoint.expected_every, example),
        example.outbox_id);
END
$$;
COMMENT ON FUNCTION integration_worker.report_missing(integration.endpoint, bigint, timestamptz) IS
    'Opens the incident of an endpoint that got less than it expects.';

CREATE FUNCTION integration_worker.has_own_incident(endpoint_id integer) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM integration.endpoint_health h
                    WHERE h.endpoint_id = has_own_incident.endpoint_id AND h.state <> 'closed');
END
$$;
COMMENT ON FUNCTION integration_worker.has_own_incident(integer) IS
    'Whether an endpoint is open or stopped: then people know why nothing arrives there.';

CREATE FUNCTION integration_worker.watch_expected(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paused integer[] := ARRAY(SELECT p.id FROM integration_worker.paused_endpoints(watch_expected.now - interval '5 min') AS p (id));
    endpoint integration.endpoint;
    at_least integer;
    delivered bigint;
    is_open boolean;
    opened integer := 0;
BEGIN
    FOR endpoint IN SELECT e.* FROM integration.endpoint e WHERE e.expected_every IS NOT NULL LOOP
        is_open := integration_worker.has_incident(endpoint.name, 'nothing_delivered');
        at_least := coalesce(endpoint.expected_at_least, 1);
        delivered := integration_worker.delivered_since(endpoint.id, watch_expected.now - endpoint.expected_every, at_least);
        IF delivered >= at_least OR endpoint.expected_since > watch_expected.now - endpoint.expected_every THEN
            PERFORM integration_worker.end_incident(endpoint.name, 'nothing_delivered', watch_expected.now) WHERE is_open;
        ELSIF NOT is_open AND endpoint.id <> ALL (paused) AND NOT integration_worker.has_own_incident(endpoint.id) THEN
            PERFORM integration_worker.report_missing(endpoint, delivered, watch_expected.now);
            opened := opened + 1;
        END IF;
        -- Not too many in one transaction.
        IF opened = 100 THEN
            RETURN watch_expected.now + interval '1 s';
        END IF;
    END LOOP;
    PERFORM integration_worker.end_incident(i.endpoint, i.error_class, watch_expected.now)
       FROM integration.incident i
       JOIN integration.endpoint e ON e.name = i.endpoint
      WHERE i.error_class = 'nothing_delivered' AND i.resolved_at IS NULL AND e.expected_every IS NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.watch_expected(timestamptz) IS
    'Watchdog: opens an incident for each endpoint that expects more than was delivered, ends it when enough was or nothing is expected any more.';
