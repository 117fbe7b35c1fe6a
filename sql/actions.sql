-- What people do to syncs: retry, cancel, amend, replay, ping.

CREATE FUNCTION integration_worker.state_of(id bigint) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(q.state, c.state, 'delivered')
      FROM integration.outbox o
      LEFT JOIN integration.queue q ON q.outbox_id = o.id
      LEFT JOIN integration.closing c ON c.outbox_id = o.id
     WHERE o.id = state_of.id
$$;
COMMENT ON FUNCTION integration_worker.state_of(bigint) IS 'The state of a sync; NULL: there is none of this id.';

CREATE FUNCTION integration_worker.require_sync(id bigint) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration.outbox o WHERE o.id = require_sync.id) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'undefined_object',
        MESSAGE = format('sync %s does not exist', coalesce(require_sync.id::text, 'NULL')),
        HINT = 'Ids are what INSERT INTO integration.outbox … RETURNING id gave, '
               'and what SELECT id FROM integration.sync WHERE object_id = ''…'' finds.';
END
$$;
COMMENT ON FUNCTION integration_worker.require_sync(bigint) IS 'Raises an error unless the sync exists.';

CREATE FUNCTION integration_worker.require_endpoint(name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration.endpoint e WHERE e.name = require_endpoint.name) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'undefined_object',
        MESSAGE = format('endpoint "%s" does not exist', coalesce(require_endpoint.name, 'NULL')),
        HINT = 'Names are in SELECT name FROM integration.endpoint_status.';
END
$$;
COMMENT ON FUNCTION integration_worker.require_endpoint(text) IS 'Raises an error unless the endpoint exists.';

CREATE FUNCTION integration_worker.refuse_action(id bigint, verb text, state text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    successor bigint := (SELECT c.superseded_by FROM integration.closing c WHERE c.outbox_id = refuse_action.id);
    hint text;
BEGIN
    PERFORM integration_worker.require_sync(refuse_action.id);
    SELECT h.hint INTO hint
      FROM (VALUES
        ('retried', '{delivered}'::text[], 'To send it once more: SELECT integration.replay($1).'),
        ('retried', '{expired}', 'Its expires_at has passed. To send it all the same: SELECT integration.amend($1, NULL, ''why'').'),
        ('retried', '{superseded,cancelled}', 'Sync $2 took its place: look at SELECT integration.why($2).'),
        ('cancelled', '{delivered}', 'What arrived cannot be taken back; insert a sync that corrects it.'),
        ('cancelled', '{cancelled,expired,superseded}', 'It will not be sent any more; there is nothing to cancel.'),
        ('amended', '{delivered}', 'Insert a new row with the corrected payload into integration.outbox.'),
        ('amended', '{cancelled,expired,superseded}', 'Sync $2 took its place: amend that one.'),
        ('replayed', '{pending,retrying}', 'It is not delivered yet and will be sent: look at SELECT integration.why($1).'),
        ('replayed', '{failed,cancelled}', 'It was never delivered: SELECT integration.retry($1, ''why'').'),
        ('replayed', '{superseded}', 'Sync $2 took its place: look at SELECT integration.why($2).'),
        ('replayed', '{expired}', 'It was never delivered: SELECT integration.amend($1, NULL, ''why'').')
      ) AS h (verb, states, hint)
     WHERE h.verb = refuse_action.verb
       AND refuse_action.state = ANY (h.states);
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('sync %s is %s and cannot be %s', refuse_action.id, refuse_action.state, refuse_action.verb),
        -- Without a line above: somebody changed the state just now.
        HINT = replace(replace(coalesce(hint, 'Look at SELECT integration.why($1).'), '$1', refuse_action.id::text),
                       '$2', coalesce(successor::text, 'that'));
END
$$;
COMMENT ON FUNCTION integration_worker.refuse_action(bigint, text, text) IS
    'Raises the error for an action that the state of the sync forbids, with what to do instead.';

-- What was failed for good is on its way again, for everybody who asks for the object.
CREATE FUNCTION integration_worker.revive_status(ids bigint[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.sync_status s
       SET state = 'failing'
      FROM integration.queue q
      JOIN integration.outbox o ON o.id = q.outbox_id
     WHERE q.outbox_id = ANY (ids)
       AND s.endpoint_id = q.endpoint_id
       AND s.object_type = coalesce(o.object_type, '')
       AND s.object_id = o.object_id
       AND s.last_outbox_id = q.outbox_id
       AND s.state = 'failed'
$$;
COMMENT ON FUNCTION integration_worker.revive_status(bigint[]) IS
    'Takes the status of objects whose sync is tried again from failed to failing.';

CREATE FUNCTION integration_worker.recall_attempts(ids bigint[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.queue q
       SET attempts = a.attempt_no,
           error_class = a.error_class,
           reason = a.reason,
           http_status = a.http_status,
           error = a.error,
           last_attempt_at = a.started_at
      FROM unnest(ids) AS i (id)
     CROSS JOIN LATERAL (
           SELECT x.*
             FROM integration.attempt x
            WHERE x.outbox_id = i.id
            ORDER BY x.attempt_no DESC
            LIMIT 1) a
     WHERE q.outbox_id = i.id
$$;
COMMENT ON FUNCTION integration_worker.recall_attempts(bigint[]) IS
    'Has these syncs know again how often they were tried, and what came of it the last time.';

-- Brings a cancelled sync back; its attempts so far keep counting as history, not towards giving up.
CREATE FUNCTION integration_worker.reopen(id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    original integration.outbox;
BEGIN
    SELECT o.* INTO original FROM integration.outbox o WHERE o.id = reopen.id;
    PERFORM integration_worker.require_endpoint(original.endpoint);
    DELETE FROM integration.closing c
     WHERE c.outbox_id = reopen.id
       AND c.state = 'cancelled'
       AND c.superseded_by IS NULL;
    IF NOT FOUND OR original.expires_at <= clock_timestamp() THEN
        PERFORM integration_worker.refuse_action(
            reopen.id, 'retried',
            CASE WHEN FOUND THEN 'expired' ELSE integration_worker.state_of(reopen.id) END);
    END IF;
    INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, priority, expires_at,
                                   ordering_key, object_type, object_id, change_xid)
    SELECT original.id, c.id, now(),
           octet_length(original.payload::text),
           CASE WHEN original.operation = 'ping' THEN 0
                WHEN original.priority = 'high' THEN 1 WHEN original.priority = 'low' THEN 3 ELSE 2 END,
           original.expires_at, original.ordering_key,
           CASE WHEN c."coalesce" THEN coalesce(original.object_type, '') END,
           CASE WHEN c."coalesce" THEN original.object_id END,
           pg_current_xact_id()
      FROM integration.endpoint_config c
     WHERE c.name = original.endpoint;
    PERFORM integration_worker.recall_attempts(ARRAY[reopen.id]);
    PERFORM integration_worker.place_copies(ARRAY[reopen.id]);
END
$$;
COMMENT ON FUNCTION integration_worker.reopen(bigint) IS 'Puts a cancelled sync back into the queue.';

CREATE FUNCTION integration_worker.retry_as(id bigint, reason text, actor_role name, customers text[]) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting integration.queue;
    state_before text;
BEGIN
    IF customers IS NULL THEN
        PERFORM integration_worker.require_sync(retry_as.id);
    ELSE
        PERFORM integration_worker.require_own_sync(retry_as.id, retry_as.reason, customers);
    END IF;
    SELECT q.* INTO waiting FROM integration.queue q WHERE q.outbox_id = retry_as.id FOR UPDATE;
    state_before := integration_worker.state_of(retry_as.id);
    IF customers IS NOT NULL THEN
        PERFORM integration_worker.require_known_failure(retry_as.id, state_before);
    END IF;
    IF waiting.expires_at <= clock_timestamp() THEN
        PERFORM integration_worker.refuse_action(retry_as.id, 'retried', 'expired');
    ELSIF waiting.outbox_id IS NULL AND state_before <> 'cancelled' THEN
        PERFORM integration_worker.refuse_action(retry_as.id, 'retried', state_before);
    ELSIF waiting.outbox_id IS NULL THEN
        PERFORM integration_worker.reopen(retry_as.id);
    ELSIF waiting.state <> 'failed' AND waiting.claimed_at IS NOT NULL THEN
        RAISE NOTICE '%', integration_worker.say('retry.in_flight', jsonb_build_object('sync', retry_as.id));
        RETURN waiting.state;
    ELSE
        PERFORM integration_worker.revive_status(ARRAY[retry_as.id]);
        UPDATE integration.queue q
           SET state = 'pending',
               due_at = CASE q.state WHEN 'failed' THEN now() ELSE least(q.due_at, now()) END,
               charged = CASE q.state WHEN 'failed' THEN 0 ELSE q.charged END,
               claimed_at = NULL,
               change_xid = pg_current_xact_id()
         WHERE q.outbox_id = retry_as.id;
    END IF;
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('retry', retry_as.id, nullif(btrim(retry_as.reason), ''), jsonb_strip_nulls(jsonb_build_object(
                'state', state_before, 'role', CASE WHEN customers IS NOT NULL THEN actor_role END)));
    PERFORM integration_worker.wake_at_commit(false);
    RETURN 'pending';
END
$$;
COMMENT ON FUNCTION integration_worker.retry_as(bigint, text, name, text[]) IS
    'Retries a sync; customers: whose failed syncs this role may retry, NULL: any sync of anybody.';

CREATE FUNCTION integration_worker.require_error_class(name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF name IS NULL OR EXISTS (SELECT FROM integration.error_class c WHERE c.name = require_error_class.name) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'undefined_object',
        MESSAGE = format('error class "%s" does not exist', require_error_class.name),
        HINT = 'Classes are in SELECT name, title FROM integration.error_class.';
END
$$;
COMMENT ON FUNCTION integration_worker.require_error_class(text) IS
    'Raises an error unless the error class exists; NULL passes.';

-- The next one under an ordering key was passed over while its head waited, so it has to turn up in the feed.
-- The lock is taken in the search: a head that the worker ends meanwhile gives way to the one after it.
CREATE FUNCTION integration_worker.hand_over(endpoint_id integer, ordering_key text) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.queue q
       SET change_xid = pg_current_xact_id()
     WHERE q.outbox_id = (SELECT n.outbox_id
                            FROM integration.queue n
                           WHERE n.endpoint_id = hand_over.endpoint_id
                             AND n.ordering_key = hand_over.ordering_key
                           ORDER BY coalesce(n.place, n.outbox_id)
                           LIMIT 1
                             FOR UPDATE)
$$;
COMMENT ON FUNCTION integration_worker.hand_over(integer, text) IS
    'Has the worker look at the first sync of an ordering key.';

INSERT INTO integration.phrase (key, words) VALUES
    ('retry.in_flight', 'sync {sync} is being sent right now, to an endpoint that must not get it twice'),
    ('cancel.in_flight', 'sync {sync} is being sent right now and may still arrive'),
    ('cancel.may_arrive', 'If it arrives, its state will be delivered.');

CREATE FUNCTION integration_worker.warn_if_in_flight(id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration_worker.live_syncs() l WHERE l.outbox_id = id) THEN
        RAISE NOTICE USING
            MESSAGE = integration_worker.say('cancel.in_flight', jsonb_build_object('sync', id)),
            HINT = integration_worker.say('cancel.may_arrive');
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.warn_if_in_flight(bigint) IS
    'Says so where a sync that is being closed has already left.';

CREATE FUNCTION integration.cancel(id bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integration.queue;
    why text := nullif(btrim(cancel.reason), '');
BEGIN
    PERFORM integration_worker.require_sync(cancel.id);
    DELETE FROM integration.queue q WHERE q.outbox_id = cancel.id RETURNING q.* INTO removed;
    IF NOT FOUND THEN
        PERFORM integration_worker.refuse_action(cancel.id, 'cancelled', integration_worker.state_of(cancel.id));
    END IF;
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('cancel', cancel.id, why, jsonb_build_object('state', removed.state));
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason)
    VALUES (cancel.id, 'cancelled', clock_timestamp(), why);
    PERFORM integration_worker.hand_over(removed.endpoint_id, removed.ordering_key);
    PERFORM integration_worker.warn_if_in_flight(cancel.id);
    PERFORM integration_worker.wake_at_commit(false);
    RETURN 'cancelled';
END
$$;
COMMENT ON FUNCTION integration.cancel(bigint, text) IS
    'Gives a sync up: it is not sent any more, and the next one under its ordering key may go. Returns its state.';

-- Same object, same cause, same place under the ordering key; what has run out is left out, and a
-- dedup_key would make the copy a duplicate of its original.
CREATE FUNCTION integration_worker.copy_syncs(originals bigint[], payload jsonb DEFAULT NULL, patch jsonb DEFAULT NULL) RETURNS bigint[]
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    copies bigint[];
BEGIN
    WITH copy AS (
        INSERT INTO integration.outbox (endpoint, object_type, object_id, operation, payload, headers, customer,
                                        ordering_key, priority, impact, send_after, expires_at,
                                        traceparent, tracestate, triggered_by, trigger_ref, replay_of)
        SELECT o.endpoint, o.object_type, o.object_id, o.operation,
               CASE WHEN patch IS NOT NULL THEN integration_worker.merge_patch(o.payload, patch)
                    ELSE coalesce(copy_syncs.payload, o.payload) END,
               o.headers, o.customer, o.ordering_key, o.priority, o.impact,
               CASE WHEN o.send_after > now() THEN o.send_after END,
               CASE WHEN o.expires_at > clock_timestamp() THEN o.expires_at END,
               o.traceparent, o.tracestate, o.triggered_by, o.trigger_ref, o.id
          FROM integration.outbox o
         WHERE o.id = ANY (originals)
         ORDER BY o.id
        RETURNING id, replay_of
    )
    SELECT coalesce(array_agg(c.id ORDER BY c.replay_of), '{}') INTO copies FROM copy c;
    RETURN copies;
END
$$;
COMMENT ON FUNCTION integration_worker.copy_syncs(bigint[], jsonb, jsonb) IS
    'Enqueues copies of syncs, with another payload or a JSON Merge Patch applied to theirs, if one is given; returns their ids, both in the order of the originals.';

-- By these two words of its own the extension knows what it closed itself.
CREATE FUNCTION integration_worker.amend_reason(reason text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN reason IN ('duplicate', 'coalesced') THEN 'amended' ELSE coalesce(reason, 'amended') END
$$;
COMMENT ON FUNCTION integration_worker.amend_reason(text) IS 'Why a sync was closed that somebody amended.';

CREATE FUNCTION integration.amend(id bigint, payload jsonb, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integration.queue;
    ended integration.closing;
    copies bigint[];
    why text := nullif(btrim(amend.reason), '');
BEGIN
    PERFORM integration_worker.require_sync(amend.id);
    DELETE FROM integration.queue q WHERE q.outbox_id = amend.id RETURNING q.* INTO removed;
    SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = amend.id FOR UPDATE;
    IF removed.outbox_id IS NULL AND (ended.outbox_id IS NULL OR ended.superseded_by IS NOT NULL) THEN
        PERFORM integration_worker.refuse_action(amend.id, 'amended', integration_worker.state_of(amend.id));
    END IF;
    copies := integration_worker.copy_syncs(ARRAY[amend.id], amend.payload);
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('amend', amend.id, why,
            jsonb_build_object('state', coalesce(removed.state, ended.state), 'copy', copies[1]));
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
    VALUES (amend.id, 'superseded', clock_timestamp(), integration_worker.amend_reason(why), copies[1])
        ON CONFLICT (outbox_id) DO UPDATE SET superseded_by = excluded.superseded_by;
    PERFORM integration_worker.place_copies(copies);
    PERFORM integration_worker.warn_if_in_flight(amend.id);
    PERFORM integration_worker.wake_at_commit(false);
    RETURN copies[1];
END
$$;
COMMENT ON FUNCTION integration.amend(bigint, jsonb, text) IS
    'Enqueues a copy with a corrected payload (NULL: the same) in the place of a sync, which is closed as superseded. Returns the copy''s id.';

CREATE FUNCTION integration_worker.is_amended(original bigint, copy bigint) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration.closing c WHERE c.outbox_id = original AND c.superseded_by = copy)
$$;
COMMENT ON FUNCTION integration_worker.is_amended(bigint, bigint) IS
    'Whether the copy took the place of the original.';

-- What is sent again is as old as what it copies: where the endpoint coalesces, it must not take the place
-- of a newer state.  Under an ordering key a replay comes last, and only an amended copy takes a place over.
CREATE FUNCTION integration_worker.place_copies(copies bigint[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE origin AS (
        SELECT o.id AS copy, o.replay_of AS id, integration_worker.is_amended(o.replay_of, o.id) AS is_amended
          FROM integration.outbox o
         WHERE o.id = ANY (copies)
        UNION ALL
        SELECT r.copy, o.replay_of, r.is_amended AND integration_worker.is_amended(o.replay_of, o.id)
          FROM origin r
          JOIN integration.outbox o ON o.id = r.id
         WHERE o.replay_of IS NOT NULL
    )
    UPDATE integration.queue q
       SET place = (SELECT min(r.id)
                      FROM origin r
                     WHERE r.copy = q.outbox_id AND (q.object_id IS NOT NULL OR r.is_amended))
     WHERE q.outbox_id = ANY (copies)
       AND (q.object_id IS NOT NULL OR q.ordering_key IS NOT NULL)
$$;
COMMENT ON FUNCTION integration_worker.place_copies(bigint[]) IS
    'Gives copies of syncs the places of what they copy, where the endpoint coalesces, and amended ones under an ordering key.';

CREATE FUNCTION integration.replay(id bigint, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := integration_worker.state_of(replay.id);
    copies bigint[];
BEGIN
    IF state IS DISTINCT FROM 'delivered' THEN
        PERFORM integration_worker.refuse_action(replay.id, 'replayed', state);
    END IF;
    copies := integration_worker.copy_syncs(ARRAY[replay.id]);
    PERFORM integration_worker.place_copies(copies);
    INSERT INTO integration.action (verb, outbox_id, reason, details)
    VALUES ('replay', replay.id, nullif(btrim(replay.reason), ''), jsonb_build_object('copy', copies[1]));
    RETURN copies[1];
END
$$;
COMMENT ON FUNCTION integration.replay(bigint, text) IS
    'Sends a delivered sync once more, as a copy with an id of its own (a receiver drops what it has seen). Returns the copy''s id.';

-- A ping asks about now, so one that could not leave soon is not sent later.
CREATE FUNCTION integration.ping(endpoint text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync bigint;
BEGIN
    PERFORM integration_worker.require_endpoint(ping.endpoint);
    INSERT INTO integration.outbox (endpoint, operation, payload, priority, expires_at)
    VALUES (ping.endpoint, 'ping', '{}', 'high', clock_timestamp() + interval '5 min')
    RETURNING id INTO sync;
    INSERT INTO integration.action (verb, outbox_id, endpoint) VALUES ('ping', sync, ping.endpoint);
    RETURN sync;
END
$$;
COMMENT ON FUNCTION integration.ping(text) IS
    'Asks an endpoint whether it answers, with a HEAD request before everything else that waits. Returns the id of the sync that tells.';
