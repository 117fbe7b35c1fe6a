-- Whose work a failure is: rules, then what endpoint, connector, customer say.

CREATE TABLE integration.owner_rule (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position integer NOT NULL DEFAULT 100,
    error_class text REFERENCES integration.error_class ON UPDATE CASCADE ON DELETE CASCADE,
    responsible text,
    connector text REFERENCES integration.connector ON UPDATE CASCADE ON DELETE CASCADE,
    endpoint text REFERENCES integration.endpoint ON UPDATE CASCADE ON DELETE CASCADE,
    customer text,
    owner text NOT NULL,
    note text
);
-- Serves ruled_owner(): the rules in the order they are tried.
CREATE INDEX owner_rule_position ON integration.owner_rule (position, id);

COMMENT ON TABLE integration.owner_rule IS
    'Which team a failure belongs to. Of several rules that fit the one with the lowest position holds; where none fits, the owner of the endpoint, of its connector, of the customer.';
COMMENT ON COLUMN integration.owner_rule.id IS 'Its number.';
COMMENT ON COLUMN integration.owner_rule.position IS 'Rules are tried from the lowest to the highest.';
COMMENT ON COLUMN integration.owner_rule.error_class IS 'Only for failures of this error class; NULL: any, and what has not failed.';
COMMENT ON COLUMN integration.owner_rule.responsible IS
    'Only where this party can do something about it: customer, support, engineering, operations or remote_vendor; NULL: any, and what has not failed.';
COMMENT ON COLUMN integration.owner_rule.connector IS 'Only for this connector''s endpoints; NULL: any.';
COMMENT ON COLUMN integration.owner_rule.endpoint IS 'Only for this endpoint; NULL: any.';
COMMENT ON COLUMN integration.owner_rule.customer IS 'Only for this customer; NULL: any.';
COMMENT ON COLUMN integration.owner_rule.owner IS 'The team.';
COMMENT ON COLUMN integration.owner_rule.note IS 'Why the rule is there.';

CREATE FUNCTION integration_worker.check_owner_rule() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF btrim(NEW.owner) = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'owner',
            MESSAGE = 'an owner rule needs an owner',
            HINT = 'Write the name of a team.';
    END IF;
    IF num_nonnulls(NEW.error_class, NEW.responsible, NEW.connector, NEW.endpoint, NEW.customer) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a rule without a condition would give everything to one owner',
            HINT = 'Write at least one of error_class, responsible, connector, endpoint and customer.';
    END IF;
    IF NEW.responsible NOT IN ('customer', 'support', 'engineering', 'operations', 'remote_vendor') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'responsible',
            MESSAGE = format('responsible "%s" is not known', NEW.responsible),
            HINT = 'Write customer, support, engineering, operations or remote_vendor.';
    END IF;
    IF integration_worker.is_restoring() THEN
        RETURN NEW;
    END IF;
    PERFORM integration_worker.check_rule_target(NEW.endpoint, NEW.connector);
    IF NEW.error_class IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.error_class k WHERE k.name = NEW.error_class) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = format('error class "%s" does not exist', NEW.error_class),
            HINT = 'Write a name from integration.error_class; an own class is added by a row there.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_owner_rule() IS
    'Row trigger that refuses owner rules which mean nothing.';

CREATE TRIGGER check_rule BEFORE INSERT OR UPDATE ON integration.owner_rule
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_owner_rule();

-- As a set, so that it is inlined where a view asks for each row; whether there are any rules is asked once.
CREATE FUNCTION integration_worker.ruled_owner(
        connector text, endpoint text, customer text, error_class text, responsible text)
    RETURNS TABLE (owner text)
    LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT CASE WHEN (SELECT EXISTS (SELECT FROM integration.owner_rule)) THEN
           (SELECT r.owner
              FROM integration.owner_rule r
             WHERE (r.error_class IS NULL OR r.error_class = ruled_owner.error_class)
               AND (r.responsible IS NULL OR r.responsible = ruled_owner.responsible)
               AND (r.connector IS NULL OR r.connector = ruled_owner.connector)
               AND (r.endpoint IS NULL OR r.endpoint = ruled_owner.endpoint)
               AND (r.customer IS NULL OR r.customer = ruled_owner.customer)
             ORDER BY r.position, r.id
             LIMIT 1) END;
END;
COMMENT ON FUNCTION integration_worker.ruled_owner(text, text, text, text, text) IS
    'The owner by the first owner_rule that fits, one row; NULL: none does.';

CREATE FUNCTION integration_worker.owner_of(
        endpoint_id integer, error_class text, customer text, responsible text DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(w.owner, e.owner, c.owner, u.owner)
              FROM (SELECT owner_of.endpoint_id AS id,
                           coalesce(owner_of.responsible,
                                    (SELECT k.responsible FROM integration.error_class k WHERE k.name = owner_of.error_class)) AS party) x
              LEFT JOIN integration.endpoint e ON e.id = x.id
              LEFT JOIN integration.connector c ON c.name = e.connector
              LEFT JOIN integration.customer u ON u.name = coalesce(owner_of.customer, e.customer)
             CROSS JOIN LATERAL integration_worker.ruled_owner(
                            c.name, e.name, coalesce(owner_of.customer, e.customer), owner_of.error_class, x.party) w);
END
$$;
COMMENT ON FUNCTION integration_worker.owner_of(integer, text, text, text) IS
    'The team that looks after a failure of this class at this endpoint for this customer: by owner_rule, else the endpoint''s, its connector''s, the customer''s. Whatever is not known may be NULL; responsible is then the class''s.';

CREATE FUNCTION integration_worker.owner_of_scope(scope text, name text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE scope
        WHEN 'endpoint' THEN integration_worker.owner_of(
            (SELECT e.id FROM integration.endpoint e WHERE e.name = owner_of_scope.name), NULL, NULL)
        WHEN 'customer' THEN integration_worker.owner_of(NULL, NULL, owner_of_scope.name)
        WHEN 'connector' THEN coalesce(
            (SELECT r.owner FROM integration_worker.ruled_owner(owner_of_scope.name, NULL, NULL, NULL, NULL) r),
            (SELECT c.owner FROM integration.connector c WHERE c.name = owner_of_scope.name)) END;
END
$$;
COMMENT ON FUNCTION integration_worker.owner_of_scope(text, text) IS
    'The team that looks after an endpoint, connector or customer as a whole; NULL: nobody does, or the scope is another.';
