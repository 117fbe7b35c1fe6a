-- What may stand in the tables that say who is told.

CREATE FUNCTION integration_worker.check_notice_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changes constant text[] := '{opened,reopened,updated,escalated,acknowledged,resolved}';
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('format', NEW.format NOT IN ('json', 'slack', 'pagerduty', 'teams'),
         NEW.format, 'Write json, slack, pagerduty or teams.'),
        ('severity', NEW.severity NOT BETWEEN 1 AND 4,
         NEW.severity::text, 'Write 1 (told of the worst only), 2, 3 or 4 (told of all).'),
        ('changes', NEW.changes = '{}' OR NOT NEW.changes <@ changes,
         NEW.changes::text, format('Write one or more of %s.', array_to_string(changes, ', '))),
        ('routing_key', NEW.format = 'pagerduty' AND NEW.routing_key IS NULL,
         NULL, 'Write the integration key of the service in PagerDuty.'),
        ('routing_key', NEW.format <> 'pagerduty' AND NEW.routing_key IS NOT NULL,
         '***', 'Leave it out: the format pagerduty alone has one.'),
        ('at_once', NEW.at_once <= 0, NEW.at_once::text, 'Write 1 or more.'),
        ('digest_every', NEW.digest_every <= '0', NEW.digest_every::text, 'Write a time above zero, such as ''1 min''.'),
        ('audience', NEW.audience NOT IN ('customer', 'support', 'engineer'),
         NEW.audience, 'Write customer, support or engineer; NULL: told of everything from the beginning.'),
        ('customer', NEW.audience = 'customer' AND NEW.customer IS NULL,
         NULL, 'Write the customer of whose endpoints it is told, since its audience is customer.'),
        ('format', NEW.audience = 'customer' AND NEW.format = 'pagerduty',
         NEW.format, 'Write json, slack or teams where the audience is customer: an alert in PagerDuty holds what is internal.')
      ) AS r (col, is_broken, given, hint)
     WHERE r.is_broken
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of notice endpoint "%s" cannot be used', broken.col, NEW.endpoint),
            DETAIL = format('It is %s.', coalesce(broken.given, 'NULL')),
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_notice_endpoint() IS
    'Row trigger: refuses notices that could not be written.';

CREATE TRIGGER check_notice_endpoint BEFORE INSERT OR UPDATE ON integration.notice_endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_notice_endpoint();

CREATE FUNCTION integration_worker.check_escalation_level() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('level', NEW.level <= 0, NEW.level::text, 'Write 1 for the first, then 2, 3, ….'),
        ('audience', (NEW.audience IN ('customer', 'support', 'engineer')) IS NOT TRUE,
         NEW.audience, 'Write customer, support or engineer.'),
        ('after', (NEW.after >= '0') IS NOT TRUE, NEW.after::text, 'Write how long the incident is open by then, such as ''15 min''.'),
        ('severity', NEW.severity NOT BETWEEN 0 AND 4,
         NEW.severity::text, 'Write 1 (for the worst only), 2, 3 or 4 (for all); 0: for none.'),
        ('weekdays', NEW.weekdays = '{}' OR NOT NEW.weekdays <@ '{1,2,3,4,5,6,7}',
         NEW.weekdays::text, 'Write days from 1 (Monday) to 7 (Sunday), such as {1,2,3,4,5}; NULL: every day.'),
        ('hours_to', NEW.hours_from IS NOT NULL AND NEW.hours_to IS NULL, NULL, 'Write until when, since hours_from is given.'),
        ('hours_from', NEW.hours_from IS NULL AND NEW.hours_to IS NOT NULL, NULL, 'Write from when, since hours_to is given.')
      ) AS r (col, is_broken, given, hint)
     WHERE r.is_broken
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of level %s of escalation chain "%s" cannot be used', broken.col, NEW.level, NEW.chain),
            DETAIL = format('It is %s.', coalesce(broken.given, 'NULL')),
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_escalation_level() IS
    'Row trigger: refuses levels that say nobody or no time.';

CREATE TRIGGER check_escalation_level BEFORE INSERT OR UPDATE ON integration.escalation_level
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_escalation_level();

CREATE FUNCTION integration_worker.check_heartbeat() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.every NOT BETWEEN '10 s' AND '1 day' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'every',
            MESSAGE = format('every of heartbeat "%s" cannot be used', NEW.endpoint),
            DETAIL = format('It is %s.', NEW.every),
            HINT = 'Write 10 s to 1 day, such as ''1 min''.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_heartbeat() IS
    'Row trigger: refuses beats too close to each other or too far apart.';

CREATE TRIGGER check_heartbeat BEFORE INSERT OR UPDATE OF every ON integration.heartbeat
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_heartbeat();
