-- What people do about incidents: acknowledge, assign, snooze, ignore, reopen, resolve.

CREATE FUNCTION integration_worker.require_incident(id bigint, locked boolean DEFAULT true) RETURNS integration.incident
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found integration.incident;
BEGIN
    IF require_incident.locked THEN
        SELECT i.* INTO found FROM integration.incident i WHERE i.id = require_incident.id FOR NO KEY UPDATE;
    ELSE
        SELECT i.* INTO found FROM integration.incident i WHERE i.id = require_incident.id;
    END IF;
    IF found.id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('incident %s does not exist', coalesce(require_incident.id::text, 'NULL')),
            HINT = 'Numbers are in SELECT id, endpoint, title FROM integration.incident_status.';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION integration_worker.require_incident(bigint, boolean) IS
    'The incident, locked unless that is not wanted; raises an error unless it exists.';

CREATE FUNCTION integration_worker.require_unresolved(id bigint, verb text) RETURNS integration.incident
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found integration.incident := integration_worker.require_incident(require_unresolved.id);
BEGIN
    IF found.state = 'resolved' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('incident %s is resolved and cannot be %s', found.id, require_unresolved.verb),
            DETAIL = format('It was over at %s.', integration_worker.time_words(found.resolved_at)),
            HINT = format('To take it up once more: SELECT integration.reopen(%s, ''why'').', found.id);
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION integration_worker.require_unresolved(bigint, text) IS
    'The incident, locked; raises an error unless there is one that is not over.';

CREATE FUNCTION integration_worker.require_reason(reason text, verb text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(btrim(reason), '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('to %s an incident takes a reason', verb),
            HINT = 'Write it for the people who will ask, such as ''the vendor has confirmed an outage until 14:00''.';
    END IF;
    RETURN btrim(reason);
END
$$;
COMMENT ON FUNCTION integration_worker.require_reason(text, text) IS
    'The reason without blanks around it; raises an error where there is none.';

CREATE FUNCTION integration_worker.record_incident_action(before integration.incident, verb text, reason text, details jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO integration.action (verb, endpoint, incident, reason, details)
    VALUES (verb, nullif(before.endpoint, ''), before.id, nullif(btrim(reason), ''),
            jsonb_strip_nulls(jsonb_build_object('state', before.state, 'assignee', before.assignee) || details))
$$;
COMMENT ON FUNCTION integration_worker.record_incident_action(integration.incident, text, text, jsonb) IS
    'Writes down what somebody did about an incident: how it was before, what became of it.';

CREATE FUNCTION integration.acknowledge(incident bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(acknowledge.incident, 'acknowledged');
BEGIN
    UPDATE integration.incident i
       SET state = 'acknowledged', acknowledged_at = clock_timestamp(), snoozed_until = NULL,
           assignee = coalesce(i.assignee, session_user)
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'acknowledge', acknowledge.reason);
    PERFORM integration_worker.tell(ARRAY[before.id], 'acknowledged');
    RETURN 'acknowledged';
END
$$;
COMMENT ON FUNCTION integration.acknowledge(bigint, text) IS
    'Says that somebody looks after an incident: whoever was assigned, else the session''s user. Returns its state.';

CREATE FUNCTION integration.assign(incident bigint, assignee text, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(assign.incident, 'assigned');
    whom text := nullif(btrim(assign.assignee), '');
BEGIN
    UPDATE integration.incident i SET assignee = whom WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'assign', assign.reason,
                                                      jsonb_build_object('assigned_to', whom));
    RETURN before.state;
END
$$;
COMMENT ON FUNCTION integration.assign(bigint, text, text) IS
    'Says who looks after an incident, a person or a team; NULL: nobody. Returns its state.';

CREATE FUNCTION integration.snooze(incident bigint, until timestamptz, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(snooze.incident, 'snoozed');
BEGIN
    IF snooze.until IS NULL OR snooze.until <= clock_timestamp() OR snooze.until = 'infinity' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('an incident cannot be snoozed until %s', coalesce(snooze.until::text, 'NULL')),
            HINT = 'Write a time to come, such as now() + interval ''2 hours''; integration.ignore() has no end.';
    END IF;
    UPDATE integration.incident i
       SET state = 'snoozed', snoozed_until = snooze.until
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'snooze', snooze.reason,
                                                      jsonb_build_object('until', snooze.until));
    RETURN 'snoozed';
END
$$;
COMMENT ON FUNCTION integration.snooze(bigint, timestamptz, text) IS
    'Puts an incident off: it stands last in the list until then, and is open again afterwards. Returns its state.';

CREATE FUNCTION integration.ignore(incident bigint, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(ignore.incident, 'ignored');
    why text := integration_worker.require_reason(ignore.reason, 'ignore');
BEGIN
    UPDATE integration.incident i
       SET state = 'ignored', snoozed_until = NULL
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'ignore', why);
    RETURN 'ignored';
END
$$;
COMMENT ON FUNCTION integration.ignore(bigint, text) IS
    'Counts further failures of this endpoint and class without bothering anybody, until somebody reopens it. Returns its state.';

CREATE FUNCTION integration.reopen(incident bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_incident(reopen.incident);
    newer bigint := (SELECT i.id
                       FROM integration.incident i
                      WHERE i.endpoint = before.endpoint AND i.error_class = before.error_class
                        AND i.resolved_at IS NULL AND i.id <> before.id);
BEGIN
    IF newer IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('incident %s cannot be reopened', before.id),
            DETAIL = format('Incident %s is the same problem since %s.', newer,
                            (SELECT integration_worker.time_words(i.opened_at) FROM integration.incident i WHERE i.id = newer)),
            HINT = format('Work on that one: SELECT * FROM integration.runbook(%s).', newer);
    END IF;
    UPDATE integration.incident i
       SET state = 'open', snoozed_until = NULL, acknowledged_at = NULL
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'reopen', reopen.reason,
                                                      jsonb_build_object('resolution', before.resolution));
    PERFORM integration_worker.tell(ARRAY[before.id], 'reopened');
    RETURN 'open';
END
$$;
COMMENT ON FUNCTION integration.reopen(bigint, text) IS
    'Takes up an incident again that is resolved, ignored, snoozed or acknowledged. Returns its state.';

INSERT INTO integration.phrase (key, words) VALUES
    ('resolve.left', 'failed syncs of this incident that are left: {count}'),
    ('resolve.retry_left', '{statement} sends them again.');

-- Those that are left would open it again only when one of them fails once more.
CREATE FUNCTION integration_worker.warn_of_waiting(incident integration.incident) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting bigint := integration_worker.failed_count(incident.endpoint, incident.error_class);
BEGIN
    IF waiting > 0 THEN
        RAISE NOTICE USING
            MESSAGE = integration_worker.say('resolve.left', jsonb_build_object('count', waiting)),
            HINT = integration_worker.say('resolve.retry_left', jsonb_build_object('statement', format(
                'SELECT integration.retry_where(endpoint => %L, error_class => %L, reason => ''why'')',
                incident.endpoint, incident.error_class)));
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.warn_of_waiting(integration.incident) IS
    'Says so where an incident is resolved whose syncs still wait for a person.';

CREATE FUNCTION integration.resolve(incident bigint, reason text, worked boolean DEFAULT true) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before integration.incident := integration_worker.require_unresolved(resolve.incident, 'resolved');
    done text := integration_worker.require_reason(resolve.reason, 'resolve');
BEGIN
    IF before.id = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'a copy stays one until it takes over',
            DETAIL = before.remedy,
            HINT = 'SELECT integration.adopt() has it take over from the original.';
    END IF;
    UPDATE integration.incident i
       SET state = 'resolved', resolved_at = clock_timestamp(), resolved_by = session_user,
           resolution = done, worked = resolve.worked
     WHERE i.id = before.id;
    PERFORM integration_worker.record_incident_action(before, 'resolve', done, jsonb_build_object('worked', resolve.worked));
    PERFORM integration_worker.tell(ARRAY[before.id], 'resolved');
    PERFORM integration_worker.warn_of_waiting(before);
    RETURN 'resolved';
END
$$;
COMMENT ON FUNCTION integration.resolve(bigint, text, boolean) IS
    'Ends an incident by hand with what was done about it, and whether that helped: the next one of its kind shows it. Returns its state.';
