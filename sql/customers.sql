-- Whose objects they are: what is known of a customer.

-- outbox.customer and endpoint.customer are names without a foreign key: what is sent for a customer doesn't depend
-- on somebody having written down who that is.
CREATE TABLE integration.customer (
    name text PRIMARY KEY,
    title text,
    tier text,
    sla interval,
    owner text,
    contact text,
    locale text
);
COMMENT ON TABLE integration.customer IS
    'What is known of a customer. A customer of syncs and endpoints needs no row here.';
COMMENT ON COLUMN integration.customer.name IS 'As it stands in outbox.customer and endpoint.customer.';
COMMENT ON COLUMN integration.customer.title IS 'The customer''s name for people.';
COMMENT ON COLUMN integration.customer.tier IS 'What kind of customer it is, such as gold: a word of your own to group reports by.';
COMMENT ON COLUMN integration.customer.sla IS 'A sync of this customer should be delivered within this time after it became due; overrides connector.sla. NULL: the connector''s.';
COMMENT ON COLUMN integration.customer.owner IS 'The team that looks after this customer, where neither an owner rule nor the endpoint nor its connector names one.';
COMMENT ON COLUMN integration.customer.contact IS 'How to reach the customer.';
COMMENT ON COLUMN integration.customer.locale IS 'The language in which the customer is told how things stand, such as de or de-AT; NULL: integration.locale.';

CREATE FUNCTION integration_worker.check_customer() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What RFC 5646 §2.1 writes with hyphens, systems often write with underscores.
    IF NEW.locale !~ '^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'locale',
            MESSAGE = format('locale of customer "%s" cannot be used', NEW.name),
            DETAIL = format('It is "%s".', NEW.locale),
            HINT = 'Write a language such as en, de or de-AT; NULL for that of integration.locale.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_customer() IS
    'Row trigger: refuses a locale that names no language.';

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.customer
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();
CREATE TRIGGER check_promise BEFORE INSERT OR UPDATE ON integration.customer
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_sla();
CREATE TRIGGER check_customer BEFORE INSERT OR UPDATE ON integration.customer
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_customer();
