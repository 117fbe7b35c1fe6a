-- The user's own reading of answers.

CREATE TABLE integration.error_rule (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position integer NOT NULL DEFAULT 100,
    endpoint text REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    connector text REFERENCES integration.connector ON UPDATE CASCADE ON DELETE CASCADE,
    reason text,
    status_from integer,
    status_to integer,
    match jsonpath,
    error_class text NOT NULL,
    retryable boolean NOT NULL DEFAULT false,
    note text
);
-- Serves settle(): the rules in the order they are tried.
CREATE INDEX error_rule_position ON integration.error_rule (position, id);

COMMENT ON TABLE integration.error_rule IS
    'The user''s own reading of answers: what fits becomes an error class, or delivered. Of several rules that fit the one with the lowest position holds.';
COMMENT ON COLUMN integration.error_rule.id IS 'Its number.';
COMMENT ON COLUMN integration.error_rule.position IS 'Rules are tried from the lowest to the highest.';
COMMENT ON COLUMN integration.error_rule.endpoint IS 'Only for this endpoint; endpoint and connector NULL: for all.';
COMMENT ON COLUMN integration.error_rule.connector IS 'Only for this connector''s endpoints.';
COMMENT ON COLUMN integration.error_rule.reason IS
    'Only for this error_reason, or for all that begin like it when it ends with *; NULL: any.';
COMMENT ON COLUMN integration.error_rule.status_from IS 'Only from this HTTP status on; alone: exactly this one.';
COMMENT ON COLUMN integration.error_rule.status_to IS 'Only up to this HTTP status.';
COMMENT ON COLUMN integration.error_rule.match IS
    'Only when this jsonpath over the answer''s JSON body is true or finds something, such as $.success == false.';
COMMENT ON COLUMN integration.error_rule.error_class IS 'What it means: an error class, or delivered.';
COMMENT ON COLUMN integration.error_rule.retryable IS
    'true: tried again by the retry policy; false: failed at once, for a person.';
COMMENT ON COLUMN integration.error_rule.note IS 'Why the rule is there.';

CREATE FUNCTION integration_worker.check_error_rule() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A row may be restored before the one it refers to.
    restoring boolean := integration_worker.is_restoring();
    class_known boolean := restoring OR NEW.error_class = 'delivered'
        OR EXISTS (SELECT FROM integration.error_class c WHERE c.name = NEW.error_class);
BEGIN
    IF NEW.status_to IS NULL THEN
        NEW.status_to := NEW.status_from;
    END IF;
    IF class_known IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('error class "%s" does not exist', NEW.error_class),
            HINT = 'Write delivered, or a name from integration.error_class; an own class is added by a row there.';
    END IF;
    IF NEW.error_class IN ('success', 'delivered') AND NEW.retryable THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule that says delivered cannot be retryable',
            HINT = 'Leave retryable out, or write an error class.';
    END IF;
    IF NEW.error_class IN ('success', 'cancelled', 'expired', 'deferred') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('error class "%s" cannot be the result of a rule', NEW.error_class),
            HINT = 'Write delivered for a success, or the class of a failure.';
    END IF;
    IF NEW.endpoint IS NOT NULL AND NEW.connector IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule is either for an endpoint or for a connector',
            HINT = 'Leave one of the two out; leave both out for all endpoints.';
    END IF;
    IF NOT restoring THEN
        PERFORM integration_worker.check_rule_target(NEW.endpoint, NEW.connector);
    END IF;
    PERFORM integration_worker.check_rule_condition(NEW);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_error_rule() IS
    'Row trigger that refuses error rules which mean nothing.';

CREATE FUNCTION integration_worker.check_rule_target(endpoint text, connector text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF check_rule_target.endpoint IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.name = check_rule_target.endpoint) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('endpoint "%s" does not exist', check_rule_target.endpoint),
            HINT = 'Write the name of a row in integration.endpoint, or leave it out for all endpoints.';
    END IF;
    IF check_rule_target.connector IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.connector c WHERE c.name = check_rule_target.connector) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('connector "%s" does not exist', check_rule_target.connector),
            HINT = 'Write the name of a row in integration.connector, or leave it out for all endpoints.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.check_rule_target(text, text) IS
    'Refuses a rule for an endpoint or connector that does not exist; NULL: for any.';

CREATE FUNCTION integration_worker.check_rule_condition(rule integration.error_rule) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF num_nonnulls(rule.reason, rule.status_from, rule.status_to, rule.match) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule without a condition would fit every answer',
            HINT = 'Write at least one of status_from, reason and match, such as match => ''$.success == false''.';
    END IF;
    IF rule.status_from NOT BETWEEN 100 AND 999 OR rule.status_to NOT BETWEEN 100 AND 999
       OR rule.status_from > rule.status_to THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('%s to %s is no range of HTTP statuses',
                             coalesce(rule.status_from::text, 'NULL'), coalesce(rule.status_to::text, 'NULL')),
            HINT = 'Write three digits, the lower one in status_from, such as 400 and 499.';
    END IF;
    IF NOT integration_worker.is_restoring() AND NOT EXISTS (SELECT FROM integration.error_reason r
        WHERE rule.reason IS NULL OR r.reason = rule.reason
           OR (right(rule.reason, 1) = '*' AND starts_with(r.reason, left(rule.reason, -1)))) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('reason "%s" fits no row of integration.error_reason', rule.reason),
            HINT = 'Write a reason such as http:409, or the beginning of several followed by *, such as http:5*.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.check_rule_condition(integration.error_rule) IS
    'Refuses an error rule that fits nothing or everything.';

CREATE TRIGGER check_rule BEFORE INSERT OR UPDATE ON integration.error_rule
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_error_rule();

-- A class in use by a rule must not vanish under it; "delivered" is why this is no foreign key.
CREATE FUNCTION integration_worker.keep_used_class() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM integration.error_rule r WHERE r.error_class = OLD.name) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('error class "%s" is used by a rule', OLD.name),
            HINT = 'Change or delete the rows of integration.error_rule that name it first.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_used_class() IS
    'Row trigger that keeps error classes which a rule names.';

CREATE TRIGGER keep_used BEFORE DELETE OR UPDATE OF name ON integration.error_class
    FOR EACH ROW EXECUTE FUNCTION integration_worker.keep_used_class();
