-- Escalation: an incident that nobody looks after climbs from the one nearest to the customer.

CREATE TABLE integration.escalation_level (
    chain text NOT NULL DEFAULT 'default',
    level integer NOT NULL CHECK (level > 0),
    audience text NOT NULL CHECK (audience IN ('customer', 'support', 'engineer')),
    notice_endpoint text REFERENCES integration.notice_endpoint ON UPDATE CASCADE ON DELETE SET NULL,
    after interval NOT NULL CHECK (after >= '0'),
    severity smallint NOT NULL DEFAULT 4 CHECK (severity BETWEEN 0 AND 4),
    hours_from time,
    hours_to time,
    weekdays integer[] CHECK (weekdays <@ '{1,2,3,4,5,6,7}' AND weekdays <> '{}'),
    time_zone text NOT NULL DEFAULT 'UTC',
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (chain, level),
    CONSTRAINT hours_have_both_ends CHECK ((hours_from IS NULL) = (hours_to IS NULL))
);
-- Serves distribute_changes(): the levels that name a notice endpoint.
CREATE INDEX escalation_level_endpoint ON integration.escalation_level (notice_endpoint) WHERE notice_endpoint IS NOT NULL;

COMMENT ON TABLE integration.escalation_level IS
    'Who is told of an incident that nobody looks after, and when: level by level of a chain. Endpoints and connectors name theirs in escalation; the others have the chain default.';
COMMENT ON COLUMN integration.escalation_level.chain IS 'The chain that the level belongs to.';
COMMENT ON COLUMN integration.escalation_level.level IS 'Its place in the chain: 1 is the first.';
COMMENT ON COLUMN integration.escalation_level.audience IS
    'Whose turn it is: customer, support or engineer. The notice endpoints of this audience are told.';
COMMENT ON COLUMN integration.escalation_level.notice_endpoint IS 'Told instead of the audience''s endpoints; NULL: those.';
COMMENT ON COLUMN integration.escalation_level.after IS
    'Taken when an incident was open for so long and nobody acknowledged, snoozed or ignored it; counted anew when it comes back.';
COMMENT ON COLUMN integration.escalation_level.severity IS 'For incidents of this severity or worse: 1 the worst only, 4 all, 0 none.';
COMMENT ON COLUMN integration.escalation_level.hours_from IS
    'They can be reached from here on; NULL: all day. At other times the level is passed over when a later one is due, and waited for when none is.';
COMMENT ON COLUMN integration.escalation_level.hours_to IS 'Until here; earlier than hours_from: over midnight, which belongs to the day before.';
COMMENT ON COLUMN integration.escalation_level.weekdays IS 'On these days, 1 Monday to 7 Sunday; NULL: every day.';
COMMENT ON COLUMN integration.escalation_level.time_zone IS 'Where hours and days are counted, such as Europe/Vienna.';
COMMENT ON COLUMN integration.escalation_level.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.escalation_level (level, audience, after) VALUES
    (1, 'customer', '5 min'),
    (2, 'support', '15 min'),
    (3, 'engineer', '1 h');

ALTER TABLE integration.escalation_level ALTER COLUMN shipped SET DEFAULT false;

CREATE TRIGGER own_level BEFORE INSERT OR UPDATE ON integration.escalation_level
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('chain', 'level');

CREATE FUNCTION integration_worker.check_time_zone() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM now() AT TIME ZONE NEW.time_zone;
    RETURN NEW;
EXCEPTION WHEN invalid_parameter_value THEN
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'time_zone',
        MESSAGE = format('time zone "%s" is not known', NEW.time_zone),
        HINT = 'Names are in SELECT name FROM pg_timezone_names, such as Europe/Vienna.';
END
$$;
COMMENT ON FUNCTION integration_worker.check_time_zone() IS 'Row trigger: refuses a time zone that is none.';

CREATE TRIGGER check_time_zone BEFORE INSERT OR UPDATE OF time_zone ON integration.escalation_level
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_time_zone();

-- A dump may bring the registry back before the chains.
CREATE FUNCTION integration_worker.check_escalation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF integration_worker.is_restoring()
       OR EXISTS (SELECT FROM integration.escalation_level l WHERE l.chain = NEW.escalation) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'foreign_key_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'escalation',
        MESSAGE = format('escalation chain "%s" does not exist', NEW.escalation),
        HINT = 'Insert its levels into integration.escalation_level first.';
END
$$;
COMMENT ON FUNCTION integration_worker.check_escalation() IS
    'Row trigger: refuses a chain that has no level.';

CREATE TRIGGER check_escalation BEFORE INSERT OR UPDATE OF escalation ON integration.connector
    FOR EACH ROW WHEN (NEW.escalation IS NOT NULL) EXECUTE FUNCTION integration_worker.check_escalation();
CREATE TRIGGER check_escalation BEFORE INSERT OR UPDATE OF escalation ON integration.endpoint
    FOR EACH ROW WHEN (NEW.escalation IS NOT NULL) EXECUTE FUNCTION integration_worker.check_escalation();

-- Whoever put it off looked at it; who reopens it, or what brings it back, has the chain begin anew.
CREATE FUNCTION integration_worker.begin_escalation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.level := 0;
    NEW.escalated_at := NULL;
    NEW.open_since := CASE WHEN NEW.open_since IS DISTINCT FROM OLD.open_since THEN NEW.open_since
                           WHEN NEW.last_seen_at <> OLD.last_seen_at THEN NEW.last_seen_at
                           ELSE clock_timestamp() END;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.begin_escalation() IS
    'Row trigger: an incident that is open again is at the beginning of its chain.';

CREATE TRIGGER begin_escalation BEFORE UPDATE OF state ON integration.incident
    FOR EACH ROW WHEN (OLD.state <> 'open' AND NEW.state = 'open')
    EXECUTE FUNCTION integration_worker.begin_escalation();

CREATE FUNCTION integration_worker.is_reachable(level integration.escalation_level, at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN level.hours_from IS NULL THEN true
                WHEN level.hours_from < level.hours_to THEN here.at::time >= level.hours_from AND here.at::time < level.hours_to
                ELSE here.at::time >= level.hours_from OR here.at::time < level.hours_to END
           AND (level.weekdays IS NULL
                OR extract(isodow FROM here.at - CASE WHEN level.hours_to <= level.hours_from AND here.at::time < level.hours_to
                                                      THEN interval '1 day' ELSE '0' END)::integer = ANY (level.weekdays))
      FROM (SELECT is_reachable.at AT TIME ZONE level.time_zone AS at) here
$$;
COMMENT ON FUNCTION integration_worker.is_reachable(integration.escalation_level, timestamptz) IS
    'Whether it is within the hours of a level.';

CREATE FUNCTION integration_worker.chain_of(endpoint text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT coalesce(e.escalation, c.escalation)
                       FROM integration.endpoint e
                       LEFT JOIN integration.connector c ON c.name = e.connector
                      WHERE e.name = chain_of.endpoint), 'default')
$$;
COMMENT ON FUNCTION integration_worker.chain_of(text) IS 'The chain by which incidents of an endpoint climb.';

-- The snoozed one whose time is over is open again: everybody sees it so.
CREATE FUNCTION integration_worker.wake_snoozed(now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.incident i
       SET state = 'open', snoozed_until = NULL, open_since = i.snoozed_until
      FROM (SELECT x.id
              FROM integration.incident x
             WHERE x.resolved_at IS NULL AND x.state = 'snoozed' AND x.snoozed_until <= wake_snoozed.now
               FOR NO KEY UPDATE SKIP LOCKED) held
     WHERE i.id = held.id
$$;
COMMENT ON FUNCTION integration_worker.wake_snoozed(timestamptz) IS 'Opens incidents that were put off until now.';

CREATE VIEW integration_worker.climbing AS
SELECT i.id, i.severity, i.level, coalesce(i.open_since, i.opened_at) AS since,
       coalesce(e.escalation, c.escalation, 'default') AS chain
  FROM integration.incident i
  LEFT JOIN integration.endpoint e ON e.name = i.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
 WHERE i.resolved_at IS NULL AND i.state = 'open';
COMMENT ON VIEW integration_worker.climbing IS 'Incidents that nobody looks after: since when, by which chain they climb.';

-- One level at a time, so that after a time without a worker nobody is left out who can be reached; not too many in
-- one transaction.
CREATE FUNCTION integration_worker.due_levels(now timestamptz)
    RETURNS TABLE (incident bigint, chain text, level integer, audience text, open_for interval)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT i.id, n.chain, n.level, n.audience, due_levels.now - i.since
      FROM integration_worker.climbing i
     CROSS JOIN LATERAL (
           SELECT l.chain, l.level, l.audience
             FROM integration.escalation_level l
            WHERE l.chain = i.chain
              AND l.level > i.level
              AND l.severity >= i.severity
              AND i.since + l.after <= due_levels.now
              AND integration_worker.is_reachable(l, due_levels.now)
            ORDER BY l.level
            LIMIT 1) n
     ORDER BY i.severity, i.since
     LIMIT 100;
END
$$;
COMMENT ON FUNCTION integration_worker.due_levels(timestamptz) IS
    'The worst incidents that nobody looks after, with the next level of their chain that is due and can be reached.';

CREATE FUNCTION integration_worker.next_level_at(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT min(i.since + l.after)
              FROM integration_worker.climbing i
              JOIN integration.escalation_level l ON l.chain = i.chain
             WHERE l.level > i.level AND l.severity >= i.severity AND i.since + l.after > next_level_at.now);
END
$$;
COMMENT ON FUNCTION integration_worker.next_level_at(timestamptz) IS
    'When the next level of an incident that nobody looks after is due.';

CREATE FUNCTION integration_worker.escalate(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
BEGIN
    PERFORM integration_worker.wake_snoozed(escalate.now);
    WITH climbing AS (
        UPDATE integration.incident i
           SET level = held.level, escalated_at = escalate.now
          FROM (SELECT d.*
                  FROM integration_worker.due_levels(escalate.now) d
                 CROSS JOIN LATERAL (
                       SELECT x.id FROM integration.incident x WHERE x.id = d.incident FOR NO KEY UPDATE SKIP LOCKED) locked) held
         WHERE i.id = held.incident AND i.state = 'open'
        RETURNING i.id, i.endpoint, held.chain, held.level, held.audience, held.open_for
    ), recorded AS (
        INSERT INTO integration.action (at, actor, verb, endpoint, incident, reason, details)
        SELECT escalate.now, 'integration', 'escalate', nullif(c.endpoint, ''), c.id,
               integration_worker.say('escalated', jsonb_build_object('duration', integration_worker.duration_words(c.open_for))),
               jsonb_build_object('chain', c.chain, 'level', c.level, 'audience', c.audience)
          FROM climbing c
    )
    SELECT ARRAY(SELECT c.id FROM climbing c ORDER BY c.id) INTO ids;
    PERFORM integration_worker.tell(ids, 'escalated');
    RETURN CASE WHEN ids <> '{}' THEN escalate.now + interval '1 s' ELSE integration_worker.next_level_at(escalate.now) END;
END
$$;
COMMENT ON FUNCTION integration_worker.escalate(timestamptz) IS
    'Watchdog: has incidents that nobody looks after climb by one level, each step on record, and people told.';

INSERT INTO integration.phrase (key, words) VALUES
    ('escalated', 'Nobody has looked after it for {duration}.'),
    ('other_system', 'the other system'),
    ('audience_customer', 'the customer'),
    ('audience_support', 'support'),
    ('audience_engineer', 'engineering');

-- Of some changes an endpoint hears only from the level on that is its own.
CREATE FUNCTION integration_worker.hears_level(receiver integration.notice_endpoint, incident integration.incident, change text)
    RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE hears_level.change
           WHEN 'escalated' THEN EXISTS (
                SELECT FROM integration.escalation_level l
                 WHERE l.chain = integration_worker.chain_of(incident.endpoint) AND l.level = incident.level
                   AND receiver.endpoint = coalesce(l.notice_endpoint, receiver.endpoint)
                   AND (l.notice_endpoint IS NOT NULL OR l.audience = receiver.audience))
           WHEN 'opened' THEN false
           WHEN 'reopened' THEN false
           -- What is new about it is nothing for customers.
           ELSE (hears_level.change <> 'updated' OR receiver.audience IS DISTINCT FROM 'customer')
                AND (EXISTS (SELECT FROM integration.notice n WHERE n.incident = incident.id AND n.endpoint = receiver.endpoint)
                     OR EXISTS (SELECT FROM integration_worker.notice_due d WHERE d.endpoint = receiver.endpoint AND d.incident = incident.id)) END
$$;
COMMENT ON FUNCTION integration_worker.hears_level(integration.notice_endpoint, integration.incident, text) IS
    'Whether an endpoint that belongs to a level is told: of the step to its level, afterwards of what becomes of it.';

CREATE FUNCTION integration_worker.hears(receiver integration.notice_endpoint, incident integration.incident, change text)
    RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT receiver.endpoint <> incident.endpoint AND change = ANY (receiver.changes) AND incident.severity <= receiver.severity
           AND (receiver.owner IS NULL OR receiver.owner = incident.owner)
           AND (receiver.customer IS NULL
                OR receiver.customer = (SELECT e.customer FROM integration.endpoint e WHERE e.name = incident.endpoint))
           AND CASE WHEN receiver.audience IS NOT NULL
                      OR EXISTS (SELECT FROM integration.escalation_level l WHERE l.notice_endpoint = receiver.endpoint)
                    THEN integration_worker.hears_level(receiver, incident, change)
                    ELSE true END
$$;
COMMENT ON FUNCTION integration_worker.hears(integration.notice_endpoint, integration.incident, text) IS
    'Whether a notice endpoint is told of a change of an incident; never of its own.';
