-- Who gets which page.

CREATE FUNCTION integration_worker.names_in_scope(scope text) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text := split_part(scope, ':', 1);
    wanted text := substr(scope, length(kind) + 2);
    names text[];
BEGIN
    names := CASE kind WHEN 'endpoint' THEN ARRAY(SELECT e.name FROM integration.endpoint e WHERE e.name = wanted)
                       WHEN 'connector' THEN ARRAY(SELECT e.name FROM integration.endpoint e WHERE e.connector = wanted) END;
    IF cardinality(names) > 0 THEN
        RETURN names;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = CASE WHEN names IS NULL THEN format('there is no scope "%s"', scope) ELSE format('nothing is in scope "%s"', scope) END,
        HINT = 'Write all, connector:NAME, endpoint:NAME or customer:NAME; names are in SELECT name, connector, customer FROM integration.endpoint_status.';
END
$$;
COMMENT ON FUNCTION integration_worker.names_in_scope(text) IS 'The endpoints that a page is about.';

-- is_staff: may see every sync; customers: whose page the caller may see otherwise.
CREATE FUNCTION integration_worker.page_for(scope text, is_staff boolean, customers text[]) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF scope LIKE 'customer:%' AND (is_staff OR substr(scope, 10) = ANY (customers)) THEN
        RETURN integration_worker.customer_page(substr(scope, 10));
    ELSIF NOT is_staff THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = format('this role may not see the page about "%s"', coalesce(scope, 'NULL')),
            HINT = coalesce(format('Yours is SELECT integration.status_page(%L).', 'customer:' || customers[1]),
                            'SELECT integration.grant_support(…) or integration.grant_customer(…) lets a role see pages.');
    ELSIF scope = 'all' THEN
        RETURN integration_worker.page_about(scope, NULL);
    END IF;
    RETURN integration_worker.page_about(scope, integration_worker.names_in_scope(scope));
END
$$;
COMMENT ON FUNCTION integration_worker.page_for(text, boolean, text[]) IS 'The page about a scope, for a caller who may see it.';

-- With the caller's rights, else nothing would say who asks.  Its body is bound to what it names when it is
-- made, so the caller needs no right to the schema.
CREATE FUNCTION integration.status_page(scope text DEFAULT 'all') RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT integration_worker.page_for(
               status_page.scope, has_table_privilege('integration.sync'::regclass, 'SELECT'),
               ARRAY(SELECT w.customer FROM integration_worker.own_customer w ORDER BY 1));
END;
COMMENT ON FUNCTION integration.status_page(text) IS
    'A web page of its own: what is wrong now with remedies and owners, traffic, durations, backlogs, promises. Scope: all, connector:NAME, endpoint:NAME; customer:NAME is the page for that customer, with nothing internal. psql -Atc "SELECT integration.status_page()" > status.html';
