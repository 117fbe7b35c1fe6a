-- One sync in words: why it is where it is, what happened to it.

INSERT INTO integration.phrase (key, words) VALUES
    ('failure', '{class} ({details})'),
    ('failure.unclassed', 'an error'),
    ('attempt.none', 'no attempt had been made'),
    ('attempt.delivered', 'attempt {attempt} was delivered'),
    ('attempt.failed', 'attempt {attempt} failed with {failure}'),
    ('why.unknown', 'There is no sync {sync}: it was never committed, or retention has removed it.'),
    ('why.delivered', 'Sync {sync} was delivered at {time} by attempt {attempt} ({reason}).'),
    ('why.other', 'sync {other}, which is {state}'),
    ('why.duplicate', 'Sync {sync} was not sent: it is a duplicate of {other}.'),
    ('why.duplicate_of_unsent',
     'Sync {sync} was not sent: it is a duplicate of {other} and still stands for it (SELECT integration.why({look})).'),
    ('why.coalesced', 'Sync {sync} was not sent after {time}: a newer state of its object took its place, {other}.'),
    ('why.superseded', 'Sync {sync} was superseded at {time} ({reason}) by {other}.'),
    ('why.expired', 'Sync {sync} expired at {time}: it was not to be sent after {expires_at}, and {last}; {then}.'),
    ('why.expired_then', 'SELECT integration.amend({sync}, NULL, ''why'') sends it all the same'),
    ('why.cancelled', 'Sync {sync} was cancelled at {how}; {then}.'),
    ('why.cancelled_by', 'by {who}'),
    ('why.cancelled_then', 'SELECT integration.retry({sync}, ''why'') brings it back'),
    ('why.replaced_then', 'in its place went {other}'),
    ('why.failed', 'Sync {sync} waits for a person since {time}: {clues}; SELECT integration.amend({sync}, ''{…}'', ''why'') '
                   'sends corrected data, SELECT integration.retry({sync}, ''why'') the same again.'),
    ('why.remedy', 'remedy: {remedy}'),
    ('why.responsible', '(responsible: {responsible})'),
    ('why.held_as_copy', 'Sync {sync} is not sent. {remedy}'),
    ('why.paused', 'Sync {sync} waits because {what} is paused by {who} since {since} ("{reason}"), until {until}.'),
    ('pause.all', 'everything'),
    ('pause.connector', 'connector "{name}"'),
    ('pause.endpoint', 'endpoint "{name}"'),
    ('pause.customer', 'customer "{name}"'),
    ('pause.until_resumed', 'somebody runs SELECT integration.resume({which})'),
    ('why.stopped', 'Sync {sync} waits because endpoint "{endpoint}" is stopped since {since}: {clues}; it is tried again {probe}, '
                    'at once after a change of endpoint, connector or credential, or by SELECT integration.resume(''endpoint'', {which}).'),
    ('why.tripped', 'it failed with {failure}'),
    ('why.tripped_by', 'sync {other} failed with {failure}'),
    ('why.open', 'Sync {sync} waits because endpoint "{endpoint}" fails too often since {since}, last with {failure}; '
                 'one sync is tried {probe}, and the rest follows as soon as it is delivered.'),
    ('why.probe_now', 'now'),
    ('why.probe_at', 'at {time}'),
    ('why.retry_after', 'Sync {sync} waits because endpoint "{endpoint}" asked to be left alone until {time}; then it goes by itself. '
     'If that is not true any more, SELECT integration.resume(''endpoint'', {which}) sends it at once.'),
    ('why.retrying', 'Sync {sync} waits for attempt {next} at {time}: attempt {attempt} failed with {failure}.'),
    ('why.send_after', 'Sync {sync} is not to be sent before {time}, as the application asked.'),
    ('why.ordered', 'Sync {sync} waits because sync {other} comes before it under ordering key "{ordering_key}" and is {state}; '
                    'it goes when that one is finished (SELECT integration.why({other})).'),
    ('why.ordered_after_failed',
     'Sync {sync} waits because sync {other} comes before it under ordering key "{ordering_key}" and is {state}; '
     'it goes when that one is retried and delivered, amended or cancelled (SELECT integration.why({other})).'),
    ('why.rate', 'Sync {sync} waits because the rate limit of endpoint "{endpoint}" is {rate} a second; the next may leave at {time}.'),
    ('why.rate_announced',
     'Sync {sync} waits because endpoint "{endpoint}" said how much is left of its rate limit: the next may leave at {time}. '
     'If that is not true any more, SELECT integration.resume(''endpoint'', {which}) sends it at once.'),
    ('why.window', 'Sync {sync} waits because endpoint "{endpoint}" has as many requests under way as it gets at once '
                   'just now ({in_flight} of {window}); it goes when one of them ends.'),
    ('why.in_flight', 'Sync {sync} is being sent right now: attempt {next} began at {time}.'),
    ('why.token', 'Sync {sync} is due since {time} and leaves as soon as there is an access token for endpoint "{endpoint}": '
                  'the token endpoint of its credential is asked for one.'),
    ('why.due', 'Sync {sync} is due since {time} and leaves within moments.'),
    ('why.no_worker', 'Sync {sync} is due since {time}, but no worker runs in this database, so nothing is sent: look for '
                      '"integration" in the server''s log, and for shared_preload_libraries = ''integration'' in postgresql.conf.'),
    ('why.no_endpoint', 'Sync {sync} is not sent because endpoint "{endpoint}" was deleted while it was being enqueued: '
                        'SELECT integration.cancel({sync}, ''why'') gives it up; once there is an endpoint of that name again, '
                        'SELECT integration.amend({sync}, NULL, ''why'') sends it there.'),
    ('timeline.enqueued', 'enqueued'),
    ('timeline.delivered', 'attempt {attempt} delivered'),
    ('timeline.failed', 'attempt {attempt} failed'),
    ('timeline.worker', 'worker'),
    ('timeline.target', '{operation} to {endpoint}'),
    ('timeline.object', 'for {object}'),
    ('timeline.copy', 'a copy of sync {other}'),
    ('timeline.not_before', 'not before {time}'),
    ('timeline.not_after', 'not after {time}'),
    ('timeline.triggered_by', 'triggered by {who}'),
    ('timeline.took', 'took {ms} ms'),
    ('timeline.next_attempt', 'next attempt at {time}'),
    ('timeline.replaced', 'in its place sync {other}'),
    ('action.was', 'was {state}'),
    ('action.role', 'by role {role}'),
    ('action.copied', 'as sync {other}'),
    ('action.together', 'together with others ({count})'),
    ('verb.replay', 'replay'),
    ('verb.pause', 'pause'),
    ('verb.ping', 'ping');

CREATE FUNCTION integration_worker.failure_words(reason text, error_class text, error text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say('failure', jsonb_build_object(
               'class', coalesce(error_class, integration_worker.say('failure.unclassed')),
               'details', concat_ws(': ', reason, rtrim(left(error, 300), '. '))))
$$;
COMMENT ON FUNCTION integration_worker.failure_words(text, text, text) IS
    'What an attempt failed with, as a part of a sentence.';

CREATE FUNCTION integration_worker.last_failure_words(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE WHEN sync.attempt_no IS NULL THEN 'attempt.none'
                    WHEN sync.outcome = 'delivered' THEN 'attempt.delivered'
                    ELSE 'attempt.failed' END,
               jsonb_build_object('attempt', sync.attempt_no,
                                  'failure', integration_worker.failure_words(sync.reason, sync.error_class, sync.error)))
$$;
COMMENT ON FUNCTION integration_worker.last_failure_words(integration_worker.sync_facts) IS
    'How the last attempt of a sync ended, as a part of a sentence.';

-- What happened, what helps, who can do it.
CREATE FUNCTION integration_worker.clue_words(happened text, remedy text, responsible text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ', happened, nullif(concat_ws(' ',
               integration_worker.say('why.remedy', jsonb_build_object('remedy', rtrim(remedy, '. '))),
               integration_worker.say('why.responsible', jsonb_build_object(
                   'responsible', integration_worker.say('responsible.' || responsible)))), ''))
$$;
COMMENT ON FUNCTION integration_worker.clue_words(text, text, text) IS
    'What happened with what helps, as a part of a sentence.';

CREATE FUNCTION integration_worker.why_finished(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended integration.closing;
    other_state text;
    other text;
    how text;
    words jsonb;
BEGIN
    SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = sync.id;
    IF NOT FOUND THEN
        RETURN integration_worker.say('why.delivered', jsonb_build_object(
                   'sync', sync.id, 'time', coalesce(integration_worker.time_words(sync.last_answer_at), '?'),
                   'attempt', coalesce(sync.attempt_no, 0), 'reason', coalesce(sync.reason, '?')));
    END IF;
    other_state := integration_worker.state_of(ended.superseded_by);
    other := integration_worker.say('why.other', jsonb_build_object(
                 'other', ended.superseded_by, 'state', integration_worker.say('state.' || other_state)));
    words := jsonb_build_object(
                 'sync', sync.id, 'time', integration_worker.time_words(ended.closed_at), 'reason', coalesce(ended.reason, ''),
                 'other', coalesce(other, ended.superseded_by::text, '?'), 'look', ended.superseded_by);
    IF ended.state = 'superseded' THEN
        RETURN integration_worker.say(
                   CASE WHEN ended.reason = 'coalesced' THEN 'why.coalesced'
                        WHEN ended.reason IS DISTINCT FROM 'duplicate' THEN 'why.superseded'
                        WHEN other_state IN ('failed', 'cancelled', 'expired') THEN 'why.duplicate_of_unsent'
                        ELSE 'why.duplicate' END, words);
    END IF;
    words := words || jsonb_build_object('then', integration_worker.say(
                 CASE WHEN ended.superseded_by IS NOT NULL THEN 'why.replaced_then'
                      ELSE format('why.%s_then', ended.state) END, words));
    IF ended.state = 'expired' THEN
        RETURN integration_worker.say('why.expired', words || jsonb_build_object(
                   'expires_at', coalesce(integration_worker.time_words(sync.expires_at), '?'),
                   'last', integration_worker.last_failure_words(sync)));
    END IF;
    SELECT concat_ws(' ', words ->> 'time', integration_worker.say('why.cancelled_by', jsonb_build_object('who', max(a.actor))),
                     '("' || ended.reason || '")')
      INTO how
      FROM (SELECT x.actor::text
              FROM integration.action x
             WHERE x.outbox_id = sync.id AND x.verb = 'cancel'
             ORDER BY x.id DESC
             LIMIT 1) a;
    RETURN integration_worker.say('why.cancelled', words || jsonb_build_object('how', how));
END
$$;
COMMENT ON FUNCTION integration_worker.why_finished(integration_worker.sync_facts) IS
    'One sentence about a sync that is finished.';

CREATE FUNCTION integration_worker.why_failed(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say('why.failed', jsonb_build_object(
               'sync', sync.id, 'time', coalesce(integration_worker.time_words(sync.last_answer_at), '?'),
               'clues', integration_worker.clue_words(
                            integration_worker.last_failure_words(sync),
                            (SELECT u.remedy FROM integration.sync u WHERE u.id = sync.id), sync.responsible)))
$$;
COMMENT ON FUNCTION integration_worker.why_failed(integration_worker.sync_facts) IS
    'One sentence about a sync that is failed: what happened, what helps, who can do it, what to run then.';

CREATE FUNCTION integration_worker.why_paused(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p.scope = 'all' AND p.name <> '' THEN
                integration_worker.say('why.held_as_copy', jsonb_build_object(
                    'sync', sync.id, 'remedy', coalesce((SELECT i.remedy FROM integration.incident i WHERE i.id = 0), '')))
           ELSE
                integration_worker.say('why.paused', jsonb_build_object(
                    'sync', sync.id, 'what', integration_worker.say('pause.' || p.scope, jsonb_build_object('name', p.name)),
                    'who', p.actor, 'since', integration_worker.time_words(p.since), 'reason', p.reason,
                    'until', coalesce(integration_worker.time_words(p.until),
                                      integration_worker.say('pause.until_resumed', jsonb_build_object(
                                          'which', concat_ws(', ', quote_literal(p.scope),
                                                             CASE WHEN p.scope <> 'all' THEN quote_literal(p.name) END)))))) END
      FROM integration_worker.pause_in_force p
     WHERE integration_worker.pause_holds(p.scope, p.name, sync.connector, sync.endpoint,
                                          ARRAY[sync.customer, sync.endpoint_customer])
     ORDER BY p.until DESC NULLS FIRST, p.scope, p.name DESC
     LIMIT 1
$$;
COMMENT ON FUNCTION integration_worker.why_paused(integration_worker.waiting) IS
    'One sentence about a sync that a pause holds back: the one that ends last.';

CREATE FUNCTION integration_worker.probe_words(open_until timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN open_until > statement_timestamp()
                THEN integration_worker.say('why.probe_at', jsonb_build_object('time', integration_worker.time_words(open_until)))
                ELSE integration_worker.say('why.probe_now') END
$$;
COMMENT ON FUNCTION integration_worker.probe_words(timestamptz) IS 'When an endpoint is tried again, as a part of a sentence.';

CREATE FUNCTION integration_worker.why_endpoint_waits(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE WHEN h.state = 'stopped' THEN 'why.stopped'
                    WHEN h.state IN ('open', 'half_open') THEN 'why.open'
                    ELSE 'why.retry_after' END,
               w.words || jsonb_build_object(
                   'clues', CASE WHEN h.state = 'stopped' THEN integration_worker.clue_words(
                                integration_worker.say(CASE WHEN h.tripped_by IS NULL THEN 'why.tripped' ELSE 'why.tripped_by' END, w.words),
                                coalesce(k.remedy, r.remedy), coalesce(k.responsible, r.responsible)) END))
      FROM integration.endpoint_health h
      LEFT JOIN integration.error_reason r ON r.reason = h.last_reason
      LEFT JOIN integration.error_class k ON k.name = h.stopped_for
     CROSS JOIN LATERAL (SELECT jsonb_build_object(
               'sync', sync.id, 'endpoint', sync.endpoint, 'which', quote_literal(sync.endpoint), 'other', h.tripped_by,
               'since', integration_worker.time_words(h.since), 'time', integration_worker.time_words(h.retry_after_until),
               'probe', integration_worker.probe_words(h.open_until),
               'failure', integration_worker.failure_words(h.last_reason, coalesce(h.stopped_for, r.error_class), h.last_error)) AS words) w
     WHERE h.endpoint_id = sync.endpoint_id
$$;
COMMENT ON FUNCTION integration_worker.why_endpoint_waits(integration_worker.waiting) IS
    'One sentence about a sync whose endpoint is stopped, open or asked to be left alone.';

CREATE FUNCTION integration_worker.why_scheduled(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE WHEN sync.state = 'retrying' THEN 'why.retrying' ELSE 'why.send_after' END,
               jsonb_build_object(
                   'sync', sync.id, 'next', sync.attempts + 1, 'time', integration_worker.time_words(sync.due_at),
                   'attempt', sync.attempts,
                   'failure', integration_worker.failure_words(sync.reason, sync.error_class, sync.error)))
$$;
COMMENT ON FUNCTION integration_worker.why_scheduled(integration_worker.waiting) IS
    'One sentence about a sync that waits for its own time.';

CREATE FUNCTION integration_worker.why_ordered(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE head.state WHEN 'failed' THEN 'why.ordered_after_failed' ELSE 'why.ordered' END,
               jsonb_build_object('sync', sync.id, 'other', sync.earlier, 'ordering_key', sync.ordering_key,
                                  'state', integration_worker.say('state.' || head.state)))
      FROM integration_worker.state_of(sync.earlier) AS head (state)
$$;
COMMENT ON FUNCTION integration_worker.why_ordered(integration_worker.waiting) IS
    'One sentence about a sync that waits for an earlier one of its ordering key.';

-- An agreed rate lets the next one go within a token's time; what is later, the other side has announced.
CREATE FUNCTION integration_worker.why_rated(sync integration_worker.waiting, rate_free_at timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say(
               CASE WHEN rate_free_at <= statement_timestamp() + interval '1 s' / c.rate_limit THEN 'why.rate' ELSE 'why.rate_announced' END,
               jsonb_build_object('sync', sync.id, 'endpoint', sync.endpoint, 'which', quote_literal(sync.endpoint),
                                  'rate', c.rate_limit, 'time', integration_worker.time_words(rate_free_at)))
      FROM integration.endpoint_config c
     WHERE c.id = sync.endpoint_id
$$;
COMMENT ON FUNCTION integration_worker.why_rated(integration_worker.waiting, timestamptz) IS
    'One sentence about a sync that an agreed or announced rate limit holds back.';

-- What only shared memory knows comes as arguments, so that a test can say it.
CREATE FUNCTION integration_worker.why_waiting(
        id bigint, started_at timestamptz, rate_free_at timestamptz, in_flight integer, "window" integer,
        has_worker boolean, awaits_token boolean DEFAULT false)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync integration_worker.waiting;
    words jsonb;
BEGIN
    SELECT w.* INTO sync FROM integration_worker.waiting w WHERE w.id = why_waiting.id;
    words := jsonb_build_object(
                 'sync', id, 'endpoint', sync.endpoint, 'next', sync.attempts + 1, 'in_flight', in_flight, 'window', "window",
                 'time', coalesce(integration_worker.moment_words(started_at), integration_worker.time_words(sync.due_at)));
    -- The guard of the endpoint could not see what was not committed yet.
    IF NOT EXISTS (SELECT FROM integration.queue q
                     JOIN integration.endpoint e ON e.id = q.endpoint_id
                    WHERE q.outbox_id = why_waiting.id) THEN
        RETURN integration_worker.say('why.no_endpoint', words);
    END IF;
    CASE integration_worker.held_by(sync.state, started_at, sync.is_paused, sync.health, sync.retry_after_until,
                                    sync.due_at, sync.earlier, rate_free_at, in_flight, "window")
        WHEN 'paused' THEN RETURN integration_worker.why_paused(sync);
        WHEN 'stopped', 'open', 'retry_after' THEN RETURN integration_worker.why_endpoint_waits(sync);
        WHEN 'schedule' THEN RETURN integration_worker.why_scheduled(sync);
        WHEN 'ordering_key' THEN RETURN integration_worker.why_ordered(sync);
        WHEN 'rate' THEN RETURN integration_worker.why_rated(sync, rate_free_at);
        WHEN 'window' THEN RETURN integration_worker.say('why.window', words);
        ELSE
            RETURN integration_worker.say(CASE WHEN started_at IS NOT NULL THEN 'why.in_flight'
                                               WHEN NOT has_worker THEN 'why.no_worker'
                                               WHEN awaits_token THEN 'why.token'
                                               ELSE 'why.due' END, words);
    END CASE;
END
$$;
COMMENT ON FUNCTION integration_worker.why_waiting(bigint, timestamptz, timestamptz, integer, integer, boolean, boolean) IS
    'One sentence about a sync that waits to be sent.';

CREATE FUNCTION integration.why(id bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync integration_worker.sync_facts;
    state text := integration_worker.state_of(why.id);
BEGIN
    IF state IS NULL THEN
        RETURN integration_worker.say('why.unknown', jsonb_build_object('sync', coalesce(why.id::text, 'NULL')));
    END IF;
    IF state IN ('pending', 'retrying') THEN
        RETURN (SELECT integration_worker.why_waiting(
                           w.id, l.started_at, e.rate_free_at, e.in_flight, e."window",
                           EXISTS (SELECT FROM integration_worker.live_workers()),
                           integration_worker.awaits_token(w.endpoint_id))
                  FROM integration_worker.waiting w
                  LEFT JOIN integration_worker.live_syncs() l ON l.outbox_id = w.id
                  LEFT JOIN integration_worker.live_endpoints() e ON e.endpoint_id = w.endpoint_id
                 WHERE w.id = why.id);
    END IF;
    SELECT f.* INTO sync FROM integration_worker.sync_facts f WHERE f.id = why.id;
    RETURN CASE state WHEN 'failed' THEN integration_worker.why_failed(sync)
                      ELSE integration_worker.why_finished(sync) END;
END
$$;
COMMENT ON FUNCTION integration.why(bigint) IS
    'One sentence: why a sync is not delivered yet and when that changes.';

CREATE FUNCTION integration_worker.action_words(details jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(concat_ws('; ',
               integration_worker.say('action.was', jsonb_build_object('state', integration_worker.say('state.' || (details ->> 'state')))),
               integration_worker.say('action.role', jsonb_build_object('role', details -> 'role')),
               integration_worker.say('action.copied', jsonb_build_object('other', details -> 'copy')),
               integration_worker.say('action.together', jsonb_build_object('count', nullif(details ->> 'together_with', '0')))), '')
$$;
COMMENT ON FUNCTION integration_worker.action_words(jsonb) IS
    'What else there is to say about an action on a sync.';

CREATE FUNCTION integration_worker.enqueued_words(sync integration.outbox) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ',
               integration_worker.say('timeline.target', jsonb_build_object('operation', sync.operation, 'endpoint', sync.endpoint)),
               integration_worker.say('timeline.object', jsonb_build_object(
                   'object', nullif(concat_ws(' ', sync.object_type, sync.object_id), ''))),
               integration_worker.say('timeline.copy', jsonb_build_object('other', sync.replay_of)),
               integration_worker.say('timeline.not_before', jsonb_build_object('time', integration_worker.time_words(sync.send_after))),
               integration_worker.say('timeline.not_after', jsonb_build_object('time', integration_worker.time_words(sync.expires_at))),
               integration_worker.say('timeline.triggered_by', jsonb_build_object(
                   'who', nullif(concat_ws(' ', sync.triggered_by, sync.trigger_ref), ''))))
$$;
COMMENT ON FUNCTION integration_worker.enqueued_words(integration.outbox) IS
    'What was asked, for the first line of a timeline.';

CREATE FUNCTION integration_worker.attempt_words(attempt integration.attempt) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ',
               CASE attempt.outcome WHEN 'failed'
                    THEN integration_worker.failure_words(attempt.reason, attempt.error_class, attempt.error)
                    ELSE attempt.reason END,
               integration_worker.say('timeline.took', jsonb_build_object('ms', attempt.duration_ms)),
               integration_worker.say('timeline.next_attempt', jsonb_build_object(
                   'time', integration_worker.time_words(attempt.next_attempt_at))))
$$;
COMMENT ON FUNCTION integration_worker.attempt_words(integration.attempt) IS
    'What came of an attempt, for its line of a timeline.';

CREATE FUNCTION integration.timeline(id bigint)
    RETURNS TABLE (at timestamptz, what text, who text, details text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_sync(timeline.id);
    RETURN QUERY
    SELECT t.at, t.what, t.who, nullif(t.details, '')
      FROM (SELECT o.created_at AS at, 0 AS rank, integration_worker.say('timeline.enqueued') AS what,
                   concat(o.enqueued_by, ' (' || o.enqueued_from || ')') AS who, integration_worker.enqueued_words(o) AS details
              FROM integration.outbox o
             WHERE o.id = timeline.id
            UNION ALL
            SELECT a.started_at, 1, integration_worker.say('timeline.' || a.outcome, jsonb_build_object('attempt', a.attempt_no)),
                   integration_worker.say('timeline.worker'), integration_worker.attempt_words(a)
              FROM integration.attempt a
             WHERE a.outbox_id = timeline.id
            UNION ALL
            SELECT x.at, 2, integration_worker.say('verb.' || x.verb), x.actor,
                   concat_ws('; ', '"' || x.reason || '"', integration_worker.action_words(x.details))
              FROM integration.action x
             WHERE x.outbox_id = timeline.id
            UNION ALL
            SELECT c.closed_at, 3, integration_worker.say('state.' || c.state), NULL,
                   concat_ws('; ', c.reason, integration_worker.say('timeline.replaced', jsonb_build_object('other', c.superseded_by)))
              FROM integration.closing c
             WHERE c.outbox_id = timeline.id) t
     ORDER BY t.at, t.rank, t.what;
END
$$;
COMMENT ON FUNCTION integration.timeline(bigint) IS
    'Everything that happened to one sync, oldest first.';
