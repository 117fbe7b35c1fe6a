-- Kill switches: hold what leaves, let it go again.

CREATE FUNCTION integration_worker.require_scope(scope text, name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(scope, '') NOT IN ('all', 'connector', 'endpoint', 'customer') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('there is no scope "%s"', scope),
            HINT = 'Write ''all'', ''connector'', ''endpoint'' or ''customer'', then the name of which one.';
    END IF;
    IF (scope = 'all') <> (coalesce(name, '') = '') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format(CASE scope WHEN 'all' THEN 'scope "%s" has no name' ELSE 'scope "%s" needs a name' END, scope),
            HINT = CASE scope WHEN 'all' THEN 'Write NULL for the name.'
                              ELSE format('Write the %s''s name after the scope.', scope) END;
    END IF;
    IF octet_length(name) > 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'program_limit_exceeded',
            MESSAGE = format('the name of the %s is too long', scope),
            DETAIL = format('It has %s bytes; 1000 are allowed.', octet_length(name)),
            HINT = format('Write the %s''s name as it stands in its syncs.', scope);
    END IF;
    IF scope = 'endpoint' THEN
        PERFORM integration_worker.require_endpoint(name);
    END IF;
    IF scope = 'connector' AND NOT EXISTS (SELECT FROM integration.connector c WHERE c.name = require_scope.name) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('connector "%s" does not exist', name),
            HINT = 'Names are in SELECT name FROM integration.connector.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.require_scope(text, text) IS
    'Raises an error unless the scope and name of a pause mean something.';

INSERT INTO integration.phrase (key, words) VALUES
    ('pause.replaced', 'this replaces the pause by {actor} ("{reason}"), which was until {until}'),
    ('pause.until_ended', 'somebody resumes'),
    ('pause.nobody', 'nothing waits for customer "{customer}", and no endpoint is theirs: is the name right?'),
    ('resume.not_held', '{name} was not held'),
    ('resume.sending', 'sending');

-- Neither is an error, yet both are seldom meant.
CREATE FUNCTION integration_worker.warn_of_pause(scope text, name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present integration.pause;
BEGIN
    SELECT p.* INTO present
      FROM integration.pause p
     WHERE p.scope = warn_of_pause.scope
       AND p.name = warn_of_pause.name
       AND (p.until IS NULL OR p.until > clock_timestamp());
    IF FOUND THEN
        RAISE NOTICE '%', integration_worker.say('pause.replaced', jsonb_build_object(
            'actor', present.actor, 'reason', present.reason,
            'until', coalesce(present.until::text, integration_worker.say('pause.until_ended'))));
    END IF;
    IF warn_of_pause.scope = 'customer'
       AND NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.customer = warn_of_pause.name)
       AND NOT EXISTS (SELECT FROM integration.queue q
                         JOIN integration.outbox o ON o.id = q.outbox_id
                        WHERE o.customer = warn_of_pause.name) THEN
        RAISE NOTICE '%', integration_worker.say('pause.nobody', jsonb_build_object('customer', warn_of_pause.name));
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.warn_of_pause(text, text) IS
    'Says when a pause replaces another or holds nothing yet.';

CREATE FUNCTION integration.pause(scope text, name text, reason text, until timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM integration_worker.require_scope(pause.scope, pause.name);
    IF coalesce(btrim(pause.reason), '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a pause needs a reason',
            HINT = 'Write it for the people who will ask why nothing leaves, such as ''vendor maintenance until 14:00''.';
    END IF;
    IF pause.until <= clock_timestamp() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('%s is over already', pause.until),
            HINT = 'Write a time to come, such as now() + interval ''1 hour''; NULL pauses until somebody resumes.';
    END IF;
    PERFORM integration_worker.warn_of_pause(pause.scope, coalesce(pause.name, ''));
    INSERT INTO integration.pause AS p (scope, name, reason, until)
    VALUES (pause.scope, coalesce(pause.name, ''), btrim(pause.reason), pause.until)
        ON CONFLICT (scope, name) DO UPDATE
        SET reason = excluded.reason, actor = excluded.actor, until = excluded.until, error_class = NULL,
            since = CASE WHEN p.until <= now() THEN excluded.since ELSE p.since END;
    INSERT INTO integration.action (verb, endpoint, reason, details)
    VALUES ('pause', CASE pause.scope WHEN 'endpoint' THEN pause.name END, btrim(pause.reason),
            jsonb_strip_nulls(jsonb_build_object('scope', pause.scope, 'name', pause.name, 'until', pause.until)));
    PERFORM integration_worker.wake_at_commit(true);
END
$$;
COMMENT ON FUNCTION integration.pause(text, text, text, timestamptz) IS
    'Holds what would be sent: everything (all, NULL), or what belongs to a connector, endpoint or customer; until a time, or until resume().';

CREATE FUNCTION integration.resume(scope text, name text DEFAULT NULL, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ended integration.pause;
    held integration.endpoint_health;
BEGIN
    PERFORM integration_worker.require_scope(resume.scope, resume.name);
    DELETE FROM integration.pause p
     WHERE p.scope = resume.scope AND p.name = coalesce(resume.name, '')
    RETURNING p.* INTO ended;
    IF resume.scope = 'endpoint' THEN
        held := integration_worker.close_breaker(resume.name);
    END IF;
    IF resume.scope = 'all' AND ended.scope IS NULL AND integration_worker.is_held_as_copy() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'this database is a copy, so nothing is sent from it',
            DETAIL = (SELECT i.remedy FROM integration.incident i WHERE i.id = 0),
            HINT = 'SELECT integration.adopt() has it take over from the original.';
    END IF;
    IF ended.scope IS NULL AND held.endpoint_id IS NULL THEN
        RAISE NOTICE '%', integration_worker.say('resume.not_held', jsonb_build_object(
            'name', CASE resume.scope WHEN 'all' THEN integration_worker.say('resume.sending')
                                      ELSE integration_worker.say('pause.' || resume.scope, jsonb_build_object('name', resume.name)) END));
        RETURN false;
    END IF;
    INSERT INTO integration.action (verb, endpoint, reason, details)
    VALUES ('resume', CASE resume.scope WHEN 'endpoint' THEN resume.name END, nullif(btrim(resume.reason), ''),
            jsonb_strip_nulls(jsonb_build_object(
                'scope', resume.scope, 'name', resume.name,
                'paused_because', ended.reason, 'paused_by', ended.actor,
                'state', held.state, 'open_until', held.open_until, 'retry_after_until', held.retry_after_until)));
    PERFORM integration_worker.wake_at_commit(true);
    RETURN true;
END
$$;
COMMENT ON FUNCTION integration.resume(text, text, text) IS
    'Ends a pause; of an endpoint also a stop, an open breaker, a Retry-After or an announced rate limit. False: nothing was held.';

CREATE FUNCTION integration_worker.close_breaker(endpoint text) RETURNS integration.endpoint_health
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held integration.endpoint_health;
BEGIN
    SELECT h.* INTO held
      FROM integration.endpoint_health h
      JOIN integration.endpoint e ON e.id = h.endpoint_id
     WHERE e.name = close_breaker.endpoint
       AND (h.state <> 'closed' OR h.retry_after_until > clock_timestamp()
            OR EXISTS (SELECT FROM integration_worker.live_endpoints() l
                        WHERE l.endpoint_id = h.endpoint_id AND l.rate_free_at > clock_timestamp()))
       FOR UPDATE OF h;
    UPDATE integration.endpoint_health h
       SET state = 'closed', since = clock_timestamp(), open_until = NULL, openings = 0, failures = 0,
           retry_after_until = NULL, tripped_by = NULL, stopped_for = NULL, updated_at = clock_timestamp()
     WHERE h.endpoint_id = held.endpoint_id;
    -- What the other side put off waits for exactly that time.
    UPDATE integration.queue q
       SET due_at = now(), change_xid = pg_current_xact_id()
     WHERE q.endpoint_id = held.endpoint_id
       AND q.state = 'retrying'
       AND q.due_at = held.retry_after_until;
    RETURN held;
END
$$;
COMMENT ON FUNCTION integration_worker.close_breaker(text) IS
    'Ends what holds an endpoint back but a pause; returns its health before, or NULLs when nothing did.';
