-- One sync in words: why it is where it is, what happened to it.

CREATE FUNCTION integration_worker.duration_words(length interval) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN s.s < 60 THEN format('%s s', s.s)
                WHEN s.s < 3600 THEN concat(s.s / 60, ' min', ' ' || nullif(s.s % 60, 0) || ' s')
                WHEN s.s < 86400 THEN concat(s.s / 3600, ' h', ' ' || nullif(s.s / 60 % 60, 0) || ' min')
                ELSE concat(s.s / 86400, ' d', ' ' || nullif(s.s / 3600 % 24, 0) || ' h') END
      FROM (SELECT ceil(extract(epoch FROM length))::bigint AS s) s
$$;
COMMENT ON FUNCTION integration_worker.duration_words(interval) IS 'A length of time for people, to two units.';

CREATE FUNCTION integration_worker.time_words(at timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(to_char(at, 'YYYY-MM-DD HH24:MI:SS TZ'), at::text)
           || CASE WHEN isfinite(at) AND at > statement_timestamp() THEN format(' (in %s)', integration_worker.duration_words(at - statement_timestamp())) ELSE '' END
$$;
COMMENT ON FUNCTION integration_worker.time_words(timestamptz) IS
    'A moment for people, in the time zone of the session; with its distance when it is to come.';

CREATE FUNCTION integration_worker.failure_words(reason text, error_class text, error text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(coalesce(error_class, 'an error'), ' (', concat_ws(': ', reason, rtrim(left(error, 300), '. ')), ')')
$$;
COMMENT ON FUNCTION integration_worker.failure_words(text, text, text) IS
    'What an attempt failed with, as a part of a sentence.';

CREATE FUNCTION integration_worker.last_failure_words(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN sync.attempt_no IS NULL THEN 'no attempt had been made'
                WHEN sync.outcome = 'delivered' THEN format('attempt %s was delivered', sync.attempt_no)
                ELSE format('attempt %s failed with %s', sync.attempt_no,
                            integration_worker.failure_words(sync.reason, sync.error_class, sync.error)) END
$$;
COMMENT ON FUNCTION integration_worker.last_failure_words(integration_worker.sync_facts) IS
    'How the last attempt of a sync ended, as a part of a sentence.';

CREATE FUNCTION integration_worker.why_finished(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended integration.closing;
    at text;
    who text;
    instead text;
BEGIN
    SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = sync.id;
    IF NOT FOUND THEN
        RETURN format('Sync %s was delivered at %s by attempt %s (%s).', sync.id,
                      integration_worker.time_words(sync.last_answer_at), sync.attempt_no, sync.reason);
    END IF;
    at := integration_worker.time_words(ended.closed_at);
    instead := format('sync %s, which is %s', ended.superseded_by, integration_worker.state_of(ended.superseded_by));
    IF ended.state = 'superseded' AND ended.reason = 'duplicate' THEN
        RETURN format('Sync %s was not sent: it is a duplicate of %s%s.', sync.id, instead,
                      CASE WHEN integration_worker.state_of(ended.superseded_by) IN ('failed', 'cancelled', 'expired') THEN
                           format(' and still stands for it (SELECT integration.why(%s))', ended.superseded_by) END);
    ELSIF ended.state = 'superseded' AND ended.reason = 'coalesced' THEN
        RETURN format('Sync %s was not sent after %s: a newer state of its object took its place, %s.', sync.id, at, instead);
    ELSIF ended.state = 'superseded' THEN
        RETURN format('Sync %s was superseded at %s (%s) by %s.', sync.id, at, ended.reason, instead);
    ELSIF ended.state = 'expired' THEN
        RETURN format('Sync %s expired at %s: it was not to be sent after %s, and %s; %s.', sync.id, at,
                      integration_worker.time_words(sync.expires_at), integration_worker.last_failure_words(sync),
                      CASE WHEN ended.superseded_by IS NOT NULL THEN 'in its place went ' || instead
                           ELSE format('SELECT integration.amend(%s, NULL, ''why'') sends it all the same', sync.id) END);
    END IF;
    SELECT a.actor INTO who
      FROM integration.action a
     WHERE a.outbox_id = sync.id AND a.verb = 'cancel'
     ORDER BY a.id DESC LIMIT 1;
    RETURN format('Sync %s was cancelled at %s%s%s; %s.', sync.id, at,
                  ' by ' || who, ' ("' || ended.reason || '")',
                  CASE WHEN ended.superseded_by IS NOT NULL THEN 'in its place went ' || instead
                       ELSE format('SELECT integration.retry(%s, ''why'') brings it back', sync.id) END);
END
$$;
COMMENT ON FUNCTION integration_worker.why_finished(integration_worker.sync_facts) IS
    'One sentence about a sync that is finished.';

CREATE FUNCTION integration_worker.why_failed(sync integration_worker.sync_facts) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Sync %s waits for a person since %s: %s; %s%sSELECT integration.amend(%s, ''{…}'', ''why'') '
                  'sends corrected data, SELECT integration.retry(%s, ''why'') the same again.',
                  sync.id, integration_worker.time_words(sync.last_answer_at),
                  integration_worker.last_failure_words(sync),
                  'remedy: ' || rtrim(integration_worker.remedy_when_failed(sync.remedy, sync.is_unknown), '. ') || ' ',
                  '(responsible: ' || sync.responsible || '); ',
                  sync.id, sync.id)
$$;
COMMENT ON FUNCTION integration_worker.why_failed(integration_worker.sync_facts) IS
    'One sentence about a sync that is failed: what happened, what helps, who can do it, what to run then.';

CREATE FUNCTION integration_worker.why_paused(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p.scope = 'all' AND p.name <> '' THEN
                concat('Sync ', sync.id, ' is not sent. ', (SELECT i.remedy FROM integration.incident i WHERE i.id = 0))
           ELSE
           format('Sync %s waits because %s is paused by %s since %s ("%s"), until %s.', sync.id,
                  CASE p.scope WHEN 'all' THEN 'everything' ELSE format('%s "%s"', p.scope, p.name) END,
                  p.actor, integration_worker.time_words(p.since), p.reason,
                  coalesce(integration_worker.time_words(p.until),
                           format('somebody runs SELECT integration.resume(%L%s)', p.scope,
                                  CASE WHEN p.scope <> 'all' THEN format(', %L', p.name) END))) END
      FROM integration_worker.pause_in_force p
     WHERE p.scope = 'all'
        OR (p.scope = 'connector' AND p.name = sync.connector)
        OR (p.scope = 'endpoint' AND p.name = sync.endpoint)
        OR (p.scope = 'customer' AND p.name IN (sync.customer, sync.endpoint_customer))
     ORDER BY p.until DESC NULLS FIRST, p.scope, p.name DESC
     LIMIT 1
$$;
COMMENT ON FUNCTION integration_worker.why_paused(integration_worker.waiting) IS
    'One sentence about a sync that a pause holds back: the one that ends last.';

CREATE FUNCTION integration_worker.why_endpoint_waits(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN h.state = 'stopped' THEN
            format('Sync %s waits because endpoint "%s" is stopped since %s: %s; %s%sit is tried again %s, '
                   'at once after a change of endpoint, connector or credential, or by SELECT integration.resume(''endpoint'', %L).',
                   sync.id, sync.endpoint, integration_worker.time_words(h.since),
                   coalesce('sync ' || h.tripped_by || ' failed with ', 'it failed with ')
                   || integration_worker.failure_words(h.last_reason, r.error_class, h.last_error),
                   'remedy: ' || rtrim(r.remedy, '. ') || ' ',
                   '(responsible: ' || r.responsible || '); ',
                   CASE WHEN h.open_until > statement_timestamp() THEN 'at ' || integration_worker.time_words(h.open_until) ELSE 'now' END,
                   sync.endpoint)
        WHEN h.state IN ('open', 'half_open') THEN
            format('Sync %s waits because endpoint "%s" fails too often since %s, last with %s; %s, '
                   'and the rest follows as soon as it is delivered.',
                   sync.id, sync.endpoint, integration_worker.time_words(h.since),
                   integration_worker.failure_words(h.last_reason, r.error_class, h.last_error),
                   CASE WHEN h.open_until > statement_timestamp() THEN 'one sync is tried at ' || integration_worker.time_words(h.open_until)
                        ELSE 'one sync is tried now' END)
        ELSE
            format('Sync %s waits because endpoint "%s" asked to be left alone until %s.',
                   sync.id, sync.endpoint, integration_worker.time_words(h.retry_after_until))
        END
      FROM integration.endpoint_health h
      LEFT JOIN integration.error_reason r ON r.reason = h.last_reason
     WHERE h.endpoint_id = sync.endpoint_id
$$;
COMMENT ON FUNCTION integration_worker.why_endpoint_waits(integration_worker.waiting) IS
    'One sentence about a sync whose endpoint is stopped, open or asked to be left alone.';

CREATE FUNCTION integration_worker.why_scheduled(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN sync.state = 'retrying' THEN
                    format('Sync %s waits for attempt %s at %s: attempt %s failed with %s.', sync.id, sync.attempts + 1,
                           integration_worker.time_words(sync.due_at), sync.attempt_no,
                           integration_worker.failure_words(sync.reason, sync.error_class, sync.error))
                ELSE format('Sync %s is not to be sent before %s, as the application asked.', sync.id,
                            integration_worker.time_words(sync.due_at)) END
$$;
COMMENT ON FUNCTION integration_worker.why_scheduled(integration_worker.waiting) IS
    'One sentence about a sync that waits for its own time.';

CREATE FUNCTION integration_worker.why_ordered(sync integration_worker.waiting) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Sync %s waits because sync %s comes before it under ordering key "%s" and is %s; it goes when that one is %s '
                  '(SELECT integration.why(%s)).', sync.id, sync.earlier, sync.ordering_key, head.state,
                  CASE head.state WHEN 'failed' THEN 'retried and delivered, amended or cancelled' ELSE 'finished' END,
                  sync.earlier)
      FROM integration_worker.state_of(sync.earlier) AS head (state)
$$;
COMMENT ON FUNCTION integration_worker.why_ordered(integration_worker.waiting) IS
    'One sentence about a sync that waits for an earlier one of its ordering key.';

-- An agreed rate lets the next one go within a token's time; what is later, the other side has announced.
CREATE FUNCTION integration_worker.why_rated(sync integration_worker.waiting, rate_free_at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    agreed double precision := (SELECT c.rate_limit FROM integration.endpoint_config c WHERE c.id = sync.endpoint_id);
BEGIN
    IF rate_free_at <= statement_timestamp() + interval '1 s' / agreed THEN
        RETURN format('Sync %s waits because endpoint "%s" gets %s requests a second at most; the next may leave at %s.',
                      sync.id, sync.endpoint, agreed, integration_worker.time_words(rate_free_at));
    END IF;
    RETURN format('Sync %s waits because endpoint "%s" said how much is left of its rate limit: the next may leave at %s. '
                  'If that is not true any more, SELECT integration.resume(''endpoint'', %L) sends it at once.',
                  sync.id, sync.endpoint, integration_worker.time_words(rate_free_at), sync.endpoint);
END
$$;
COMMENT ON FUNCTION integration_worker.why_rated(integration_worker.waiting, timestamptz) IS
    'One sentence about a sync that an agreed or announced rate limit holds back.';

-- What only shared memory knows comes as arguments, so that a test can say it.
CREATE FUNCTION integration_worker.why_waiting(
        id bigint, started_at timestamptz, rate_free_at timestamptz, in_flight integer, "window" integer,
        has_worker boolean)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync integration_worker.waiting;
    due_since text;
BEGIN
    SELECT w.* INTO sync FROM integration_worker.waiting w WHERE w.id = why_waiting.id;
    -- The guard of the endpoint could not see what was not committed yet.
    IF NOT EXISTS (SELECT FROM integration.queue q
                     JOIN integration.endpoint e ON e.id = q.endpoint_id
                    WHERE q.outbox_id = why_waiting.id) THEN
        RETURN format('Sync %s is not sent because endpoint "%s" was deleted while it was being enqueued: '
                      'SELECT integration.cancel(%s, ''why'') gives it up; once there is an endpoint of that name again, '
                      'SELECT integration.amend(%s, NULL, ''why'') sends it there.', id, sync.endpoint, id, id);
    END IF;
    CASE integration_worker.held_by(sync.state, started_at, sync.is_paused, sync.health, sync.retry_after_until,
                                    sync.due_at, sync.earlier, rate_free_at, in_flight, "window")
        WHEN 'paused' THEN RETURN integration_worker.why_paused(sync);
        WHEN 'stopped', 'open', 'retry_after' THEN RETURN integration_worker.why_endpoint_waits(sync);
        WHEN 'schedule' THEN RETURN integration_worker.why_scheduled(sync);
        WHEN 'ordering_key' THEN RETURN integration_worker.why_ordered(sync);
        WHEN 'rate' THEN
            RETURN integration_worker.why_rated(sync, rate_free_at);
        WHEN 'window' THEN
            RETURN format('Sync %s waits because endpoint "%s" has %s requests under way and gets no more than %s '
                          'at once just now; it goes when one of them ends.', id, sync.endpoint, in_flight, "window");
        ELSE
            NULL;
    END CASE;
    IF started_at IS NOT NULL THEN
        RETURN format('Sync %s is being sent right now: attempt %s began at %s.', id, sync.attempts + 1,
                      integration_worker.time_words(started_at));
    END IF;
    due_since := integration_worker.time_words(sync.due_at);
    IF has_worker THEN
        RETURN format('Sync %s is due since %s and leaves within moments.', id, due_since);
    END IF;
    RETURN format('Sync %s is due since %s, but no worker runs in this database, so nothing is sent: look for '
                  '"integration" in the server''s log, and for shared_preload_libraries = ''integration'' '
                  'in postgresql.conf.', id, due_since);
END
$$;
COMMENT ON FUNCTION integration_worker.why_waiting(bigint, timestamptz, timestamptz, integer, integer, boolean) IS
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
        RETURN format('There is no sync %s: it was never committed, or retention has removed it.',
                      coalesce(why.id::text, 'NULL'));
    END IF;
    IF state IN ('pending', 'retrying') THEN
        RETURN (SELECT integration_worker.why_waiting(
                           w.id, l.started_at, e.rate_free_at, e.in_flight, e."window",
                           EXISTS (SELECT FROM integration_worker.live_workers()))
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

CREATE FUNCTION integration_worker.action_words(verb text, details jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ', 'was ' || (details ->> 'state'),
                     'by role ' || (details ->> 'role'),
                     'as sync ' || (details ->> 'copy'),
                     'together with ' || nullif(details ->> 'together_with', '0') || ' others')
$$;
COMMENT ON FUNCTION integration_worker.action_words(text, jsonb) IS
    'What else there is to say about an action on a sync.';

CREATE FUNCTION integration.timeline(id bigint)
    RETURNS TABLE (at timestamptz, what text, who text, details text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_sync(timeline.id);
    RETURN QUERY
    SELECT t.at, t.what, t.who, nullif(t.details, '')
      FROM (SELECT o.created_at AS at, 0 AS rank, 'enqueued' AS what, concat(o.enqueued_by, ' (' || o.enqueued_from || ')') AS who,
                   concat_ws('; ', format('%s to %s', o.operation, o.endpoint),
                             'for ' || nullif(concat_ws(' ', o.object_type, o.object_id), ''),
                             'a copy of sync ' || o.replay_of,
                             'not before ' || integration_worker.time_words(o.send_after),
                             'not after ' || integration_worker.time_words(o.expires_at),
                             'triggered by ' || nullif(concat_ws(' ', o.triggered_by, o.trigger_ref), '')) AS details
              FROM integration.outbox o
             WHERE o.id = timeline.id
            UNION ALL
            SELECT a.started_at, 1, format('attempt %s %s', a.attempt_no, a.outcome), 'worker',
                   concat_ws('; ', CASE a.outcome WHEN 'failed' THEN
                                        integration_worker.failure_words(a.reason, a.error_class, a.error)
                                        ELSE a.reason END,
                             'took ' || a.duration_ms || ' ms',
                             'next attempt at ' || integration_worker.time_words(a.next_attempt_at))
              FROM integration.attempt a
             WHERE a.outbox_id = timeline.id
            UNION ALL
            SELECT x.at, 2, x.verb, x.actor,
                   concat_ws('; ', '"' || x.reason || '"', nullif(integration_worker.action_words(x.verb, x.details), ''))
              FROM integration.action x
             WHERE x.outbox_id = timeline.id
            UNION ALL
            SELECT c.closed_at, 3, c.state, NULL,
                   concat_ws('; ', c.reason, 'in its place sync ' || c.superseded_by)
              FROM integration.closing c
             WHERE c.outbox_id = timeline.id) t
     ORDER BY t.at, t.rank, t.what;
END
$$;
COMMENT ON FUNCTION integration.timeline(bigint) IS
    'Everything that happened to one sync, oldest first.';
