-- Notices: who is told of an incident, over which endpoints.

-- What happened to incidents that nobody was told of yet.  Written in the transaction that changed the incident;
-- the worker takes it from there in transactions of its own.
CREATE TABLE integration_worker.incident_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident bigint NOT NULL,
    change text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_distributed boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE integration_worker.incident_change IS
    'What happened to incidents: until it stands in notice_due, and until those who listen were notified.';

CREATE TABLE integration.notice_endpoint (
    endpoint text PRIMARY KEY REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    format text NOT NULL DEFAULT 'json' CHECK (format IN ('json', 'slack', 'pagerduty', 'teams')),
    severity smallint NOT NULL DEFAULT 4 CHECK (severity BETWEEN 1 AND 4),
    owner text,
    customer text,
    changes text[] NOT NULL DEFAULT '{opened,reopened,updated,escalated,acknowledged,resolved}'
        CHECK (changes <@ '{opened,reopened,updated,escalated,acknowledged,resolved}' AND changes <> '{}'),
    routing_key text CONSTRAINT pagerduty_alone_needs_a_routing_key CHECK ((format = 'pagerduty') = (routing_key IS NOT NULL)),
    locale text NOT NULL DEFAULT 'en',
    at_once integer NOT NULL DEFAULT 5 CHECK (at_once > 0),
    digest_every interval NOT NULL DEFAULT '1 min' CHECK (digest_every > '0'),
    audience text CHECK (audience IN ('customer', 'support', 'engineer')),
    CONSTRAINT a_customer_hears_of_its_own_alone CHECK (audience <> 'customer' OR customer IS NOT NULL),
    CONSTRAINT pagerduty_is_not_for_customers CHECK (audience <> 'customer' OR format <> 'pagerduty')
);
COMMENT ON TABLE integration.notice_endpoint IS
    'Endpoints that are told of incidents. A notice is a sync like any other: it is retried, paused, looked at in the same ways.';
COMMENT ON COLUMN integration.notice_endpoint.endpoint IS 'The endpoint; of its own incidents it is told nothing.';
COMMENT ON COLUMN integration.notice_endpoint.format IS
    'json (ours), slack (incoming webhook), pagerduty (Events API v2) or teams (a workflow''s webhook).';
COMMENT ON COLUMN integration.notice_endpoint.severity IS 'Told of incidents of this severity or worse: 1 the worst only, 4 all.';
COMMENT ON COLUMN integration.notice_endpoint.owner IS 'Told of this team''s incidents only; NULL: of all teams''.';
COMMENT ON COLUMN integration.notice_endpoint.customer IS 'Told of incidents of this customer''s endpoints only; NULL: of all.';
COMMENT ON COLUMN integration.notice_endpoint.changes IS 'Which changes: opened, reopened, updated, escalated, acknowledged, resolved.';
COMMENT ON COLUMN integration.notice_endpoint.routing_key IS 'PagerDuty''s integration key; it stands in the body of each notice, hidden from support by endpoint.mask.';
COMMENT ON COLUMN integration.notice_endpoint.locale IS 'Language of the texts.';
COMMENT ON COLUMN integration.notice_endpoint.at_once IS
    'So many notices within digest_every leave singly; the last of them is a digest where there are more. PagerDuty is told of each.';
COMMENT ON COLUMN integration.notice_endpoint.digest_every IS 'And then no other for so long.';
COMMENT ON COLUMN integration.notice_endpoint.audience IS
    'customer, support or engineer: told of an incident from the level of escalation_level on that is theirs, a customer in words that hold nothing internal. NULL: told of all from the beginning.';

CREATE FUNCTION integration_worker.mask_routing_key() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.endpoint e
       SET mask = coalesce(e.mask, '{}') || '$.routing_key'::text
     WHERE e.name = NEW.endpoint AND '$.routing_key' <> ALL (coalesce(e.mask, '{}'));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.mask_routing_key() IS
    'Row trigger: hides the key that stands in PagerDuty''s notices from all but administrators.';

CREATE TRIGGER mask_routing_key AFTER INSERT OR UPDATE ON integration.notice_endpoint
    FOR EACH ROW WHEN (NEW.routing_key IS NOT NULL) EXECUTE FUNCTION integration_worker.mask_routing_key();

CREATE TABLE integration.notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    endpoint text NOT NULL,
    incident bigint NOT NULL,
    change text NOT NULL,
    outbox_id bigint NOT NULL
);
-- Serves the count of what left lately.
CREATE INDEX notice_endpoint_at ON integration.notice (endpoint, at);
-- Serves the story of an incident, and its end.
CREATE INDEX notice_incident ON integration.notice (incident);
COMMENT ON TABLE integration.notice IS 'Who was told what about which incident: a row for each, those of a digest with the same sync.';
COMMENT ON COLUMN integration.notice.id IS 'Its number.';
COMMENT ON COLUMN integration.notice.at IS 'When it was put into the outbox.';
COMMENT ON COLUMN integration.notice.endpoint IS 'Who.';
COMMENT ON COLUMN integration.notice.incident IS 'Which incident.';
COMMENT ON COLUMN integration.notice.change IS 'opened, reopened, updated, escalated, acknowledged or resolved.';
COMMENT ON COLUMN integration.notice.outbox_id IS 'The sync that carries it.';

CREATE TABLE integration_worker.notice_due (
    endpoint text NOT NULL REFERENCES integration.notice_endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    change_id bigint NOT NULL,
    incident bigint NOT NULL,
    change text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (endpoint, change_id)
);
COMMENT ON TABLE integration_worker.notice_due IS 'Notices that are to leave, some of them as a digest.';

CREATE FUNCTION integration_worker.tell(incidents bigint[], change text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF cardinality(incidents) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO integration_worker.incident_change (incident, change)
    SELECT i.id, tell.change FROM unnest(incidents) AS i (id);
    PERFORM integration_worker.wake_for_incident();
END
$$;
COMMENT ON FUNCTION integration_worker.tell(bigint[], text) IS
    'Has people told of what this transaction does to incidents, once it commits.';

-- Two failing notice endpoints tell each other of that once each: an incident is opened once, however many of
-- its notices fail.
CREATE FUNCTION integration_worker.distribute_changes(most integer DEFAULT 1000) RETURNS SETOF integration_worker.incident_change
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    changes integration_worker.incident_change[] := ARRAY(
        SELECT c
          FROM integration_worker.incident_change c
         WHERE NOT c.is_distributed
         ORDER BY c.id
         LIMIT most
           FOR UPDATE SKIP LOCKED);
BEGIN
    IF changes = '{}' THEN
        RETURN;
    END IF;
    INSERT INTO integration_worker.notice_due (endpoint, change_id, incident, change, at)
    SELECT n.endpoint, c.id, c.incident, c.change, c.at
      FROM unnest(changes) c
      JOIN integration.incident i ON i.id = c.incident
      JOIN integration.notice_endpoint n ON integration_worker.hears(n, i, c.change);
    UPDATE integration_worker.incident_change c
       SET is_distributed = true
     WHERE c.id = ANY (ARRAY(SELECT x.id FROM unnest(changes) x));
    RETURN QUERY SELECT x.* FROM unnest(changes) x ORDER BY x.id;
END
$$;
COMMENT ON FUNCTION integration_worker.distribute_changes(integer) IS
    'Decides who is told of new changes, the oldest first and not more than that many; returns them.';

CREATE FUNCTION integration_worker.log_line(change integration_worker.incident_change, OUT line text, OUT detail text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT format('integration incident %s %s: %s%s%s', i.id, change.change, i.error_class,
                  ' at endpoint "' || nullif(i.endpoint, '') || '"', ', owner ' || i.owner),
           'An example: ' || integration_worker.ids_for_log(ARRAY[i.example]) || '.',
           CASE WHEN i.resolved_at IS NULL THEN concat_ws(' ', i.remedy, format('SELECT * FROM integration.runbook(%s) in database "%s" says what to do.', i.id, current_database())) END
      INTO line, detail, hint
      FROM integration.incident i
     WHERE i.id = change.incident;
END
$$;
COMMENT ON FUNCTION integration_worker.log_line(integration_worker.incident_change) IS
    'What stands in the server''s log about a change of an incident.';

-- All words of it in the language of who reads it.  With an ordering key, so that nobody hears of the end of an incident before its beginning; of each incident one
-- of its own, so that a notice which is refused keeps nobody from hearing of another incident.
CREATE FUNCTION integration_worker.send_notice(receiver integration.notice_endpoint, due integration_worker.notice_due[], now timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_locale text := current_setting('integration.locale');
    sync bigint;
BEGIN
    PERFORM set_config('integration.locale', receiver.locale, true);
    INSERT INTO integration.outbox (endpoint, object_type, object_id, operation, payload, ordering_key, priority, triggered_by, expires_at)
    VALUES (receiver.endpoint, 'incident', CASE WHEN cardinality(due) = 1 THEN due[1].incident::text END,
            CASE WHEN cardinality(due) = 1 THEN due[1].change ELSE 'digest' END,
            integration_worker.notice_payload(receiver, due),
            CASE WHEN cardinality(due) = 1 THEN 'incident-' || due[1].incident ELSE 'digest' END, 'high', 'integration', now + interval '1 day')
    RETURNING id INTO sync;
    PERFORM set_config('integration.locale', own_locale, true);
    INSERT INTO integration.notice (at, endpoint, incident, change, outbox_id)
    SELECT now, receiver.endpoint, d.incident, d.change, sync FROM unnest(due) d;
    DELETE FROM integration_worker.notice_due d
     WHERE d.endpoint = receiver.endpoint
       AND d.change_id = ANY (ARRAY(SELECT x.change_id FROM unnest(due) x));
END
$$;
COMMENT ON FUNCTION integration_worker.send_notice(integration.notice_endpoint, integration_worker.notice_due[], timestamptz) IS
    'Puts one notice into the outbox, a digest where it is about several changes.';

-- A hundred changes are told in less than a second, for which nothing else is sent, and a digest of them is smaller
-- than endpoints accept.
CREATE FUNCTION integration_worker.send_notices_to(receiver integration.notice_endpoint, now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 100;
    due integration_worker.notice_due[] := ARRAY(
        SELECT d
          FROM integration_worker.notice_due d
         WHERE d.endpoint = receiver.endpoint
         ORDER BY d.change_id
         LIMIT most);
    sent timestamptz[] := ARRAY(
        SELECT DISTINCT n.at
          FROM integration.notice n
         WHERE n.endpoint = receiver.endpoint
           AND n.at > now - receiver.digest_every
           -- not of a clock that ran ahead
           AND n.at < now + interval '1 s'
         ORDER BY n.at);
    room integer := CASE receiver.format WHEN 'pagerduty' THEN cardinality(due) ELSE receiver.at_once - cardinality(sent) END;
BEGIN
    IF room <= 0 AND due <> '{}' THEN
        RETURN sent[1 + cardinality(sent) - receiver.at_once] + receiver.digest_every;
    END IF;
    FOR i IN 1 .. least(room, cardinality(due)) LOOP
        PERFORM integration_worker.send_notice(
            receiver, CASE WHEN i = room THEN due[i:] ELSE due[i:i] END, now + i * interval '1 us');
    END LOOP;
    RETURN CASE WHEN cardinality(due) = most THEN now ELSE 'infinity' END;
END
$$;
COMMENT ON FUNCTION integration_worker.send_notices_to(integration.notice_endpoint, timestamptz) IS
    'Sends what an endpoint is to be told, what is too much for now as one digest; returns when to look again.';

-- What its own settings refuse must not keep the others from hearing of incidents.
CREATE FUNCTION integration_worker.try_notices_to(receiver integration.notice_endpoint, now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.send_notices_to(receiver, try_notices_to.now);
EXCEPTION
    WHEN lock_not_available THEN
        RETURN try_notices_to.now + interval '1 s';
    WHEN OTHERS THEN
        RAISE WARNING USING
            ERRCODE = SQLSTATE,
            MESSAGE = format('integration cannot tell endpoint "%s" of incidents: %s', receiver.endpoint, SQLERRM),
            HINT = 'It tries again every minute. Correct the endpoint or its connector, or delete it from integration.notice_endpoint.';
        RETURN try_notices_to.now + interval '1 min';
END
$$;
COMMENT ON FUNCTION integration_worker.try_notices_to(integration.notice_endpoint, timestamptz) IS
    'The same; an error is reported, nothing of it stays, and it is tried again in a minute.';

CREATE FUNCTION integration_worker.send_notices(now timestamptz DEFAULT clock_timestamp()) RETURNS timestamptz
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
    SELECT coalesce(min(integration_worker.try_notices_to(n, send_notices.now)), 'infinity')
      FROM integration.notice_endpoint n
     WHERE n.endpoint IN (SELECT d.endpoint FROM integration_worker.notice_due d)
$$;
COMMENT ON FUNCTION integration_worker.send_notices(timestamptz) IS
    'Sends what is due; returns when to look again, infinity: when something happens.';

-- In a transaction of its own: NOTIFY takes a lock over all databases at commit, and the sender waits no longer for it
-- than this.
CREATE FUNCTION integration_worker.notify_listeners() RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told record;
BEGIN
    FOR told IN
        WITH gone AS (
            DELETE FROM integration_worker.incident_change c
             WHERE c.id IN (SELECT x.id FROM integration_worker.incident_change x
                             WHERE x.is_distributed ORDER BY x.id LIMIT 1000 FOR UPDATE SKIP LOCKED)
            RETURNING c.*)
        SELECT g.change, i.*, g.id AS change_id FROM gone g JOIN integration.incident i ON i.id = g.incident ORDER BY g.id LOOP
        PERFORM pg_notify('integration_incident', jsonb_build_object(
            'incident', told.id, 'change', told.change, 'endpoint', told.endpoint, 'error_class', told.error_class,
            'severity', told.severity, 'owner', told.owner, 'change_id', told.change_id)::text);
    END LOOP;
    PERFORM set_config('lock_timeout', '20ms', true);
    RETURN EXISTS (SELECT FROM integration_worker.incident_change c WHERE c.is_distributed);
END
$$;
COMMENT ON FUNCTION integration_worker.notify_listeners() IS
    'Notifies who listens on integration_incident of what was distributed; whether something is left.';
