-- Which fields the other system refused, for whoever can correct the data.

-- RFC 9457 §3.2 names members of problems as it likes; these are how APIs say it: JSON:API, Google's BadRequest,
-- FastAPI, Symfony, ASP.NET, Rails.
CREATE FUNCTION integration_worker.refused_field(error jsonb, OUT field text, OUT detail text)
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT left(coalesce(
               (SELECT error #>> f.path
                  FROM (VALUES (1, '{pointer}'::text[]), (2, '{source,pointer}'), (3, '{field}'), (4, '{propertyPath}'), (5, '{path}'),
                               (6, '{param}'), (7, '{parameter}'), (8, '{property}'), (9, '{name}')) AS f (n, path)
                 WHERE jsonb_typeof(error #> f.path) = 'string' AND error #>> f.path <> ''
                 ORDER BY f.n LIMIT 1),
               (SELECT string_agg(l.step, '/' ORDER BY l.n)
                  FROM jsonb_array_elements_text(CASE jsonb_typeof(error -> 'loc') WHEN 'array' THEN error -> 'loc' END)
                       WITH ORDINALITY AS l (step, n))), 200),
           left((SELECT error ->> d.name
                   FROM (VALUES (1, 'detail'), (2, 'message'), (3, 'msg'), (4, 'description'), (5, 'reason'), (6, 'title'), (7, 'code')) AS d (n, name)
                  WHERE jsonb_typeof(error -> d.name) = 'string' AND error ->> d.name <> ''
                  ORDER BY d.n LIMIT 1), 300)
$$;
COMMENT ON FUNCTION integration_worker.refused_field(jsonb) IS
    'The field that one member of a list of errors is about, what is wrong with it.';

CREATE FUNCTION integration_worker.refused_fields(answer jsonb) RETURNS TABLE (field text, detail text)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT f.field, f.detail
      FROM (SELECT r.field, r.detail, min(e.n) AS n
              FROM unnest(ARRAY['$.errors[*]', '$."invalid-params"[*]', '$.invalid_params[*]', '$.violations[*]', '$.fieldErrors[*]',
                                '$.field_errors[*]', '$.detail[*]', '$.details[*]', '$.error.errors[*]', '$.error.details[*].fieldViolations[*]',
                                '$.error.details[*]']::jsonpath[]) AS p (path)
             CROSS JOIN LATERAL jsonb_path_query(answer, p.path, '{}', true) WITH ORDINALITY AS e (error, n)
             CROSS JOIN LATERAL integration_worker.refused_field(e.error) r
             WHERE jsonb_typeof(e.error) = 'object' AND r.field IS NOT NULL AND e.n <= 100
             GROUP BY 1, 2
            UNION ALL
            -- {"errors": {"name": ["is too long"]}}
            SELECT left(o.key, 200), left(CASE jsonb_typeof(o.value) WHEN 'array' THEN o.value ->> 0 ELSE o.value #>> '{}' END, 300), o.n
              FROM jsonb_each(CASE jsonb_typeof(answer -> 'errors') WHEN 'object' THEN answer -> 'errors' END) WITH ORDINALITY AS o (key, value, n)
             WHERE jsonb_typeof(o.value) = 'string' OR jsonb_typeof(o.value -> 0) = 'string') f
     ORDER BY f.n
     LIMIT 20;
END
$$;
COMMENT ON FUNCTION integration_worker.refused_fields(jsonb) IS
    'The first twenty fields that an answer names as wrong.';

-- What the mask hides of the payload is hidden here too.
CREATE FUNCTION integration_worker.fields_of_sync(id bigint, is_whole boolean, by_customer boolean)
    RETURNS TABLE (field text, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT f.*
      FROM (SELECT x.*
              FROM integration.attempt x
             WHERE x.outbox_id = fields_of_sync.id
             ORDER BY x.attempt_no DESC
             LIMIT 1) a
      JOIN integration.outbox o ON o.id = a.outbox_id
      JOIN integration.endpoint_config c ON c.id = a.endpoint_id
      LEFT JOIN integration.error_reason r ON r.reason = a.reason
     CROSS JOIN LATERAL integration_worker.refused_fields(integration_worker.as_json(
           CASE WHEN is_whole THEN a.response_body ELSE integration_worker.masked_answer(a.response_body, c.mask, o.payload) END)) f
     WHERE a.outcome = 'failed'
       AND (NOT by_customer OR r.responsible = 'customer');
END
$$;
COMMENT ON FUNCTION integration_worker.fields_of_sync(bigint, boolean, boolean) IS
    'The fields that the last answer to a sync names as wrong; by_customer: only where it is the customer who can correct them.';

-- customers: whose syncs the caller may see; NULL: all.
CREATE FUNCTION integration_worker.fields_for(id bigint, is_whole boolean, customers text[])
    RETURNS TABLE (field text, detail text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF customers IS NULL THEN
        PERFORM integration_worker.require_sync(fields_for.id);
    ELSE
        PERFORM integration_worker.require_own_sync(fields_for.id, NULL, customers);
    END IF;
    RETURN QUERY SELECT f.* FROM integration_worker.fields_of_sync(fields_for.id, is_whole, customers IS NOT NULL) f;
END
$$;
COMMENT ON FUNCTION integration_worker.fields_for(bigint, boolean, text[]) IS
    'The fields that the last answer to a sync names as wrong, for a caller who may see the sync.';

-- With the caller's rights, else nothing would say who asks.  Its body is bound to what it names when it is
-- made, so the caller needs no right to the schema.
CREATE FUNCTION integration.fields_to_correct(id bigint) RETURNS TABLE (field text, detail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT f.*
      FROM integration_worker.fields_for(
               fields_to_correct.id, has_column_privilege('integration.outbox'::regclass, 'payload', 'SELECT'),
               CASE WHEN NOT has_table_privilege('integration.sync'::regclass, 'SELECT')
                    THEN ARRAY(SELECT w.customer FROM integration_worker.own_customer w) END) f;
END;
COMMENT ON FUNCTION integration.fields_to_correct(bigint) IS
    'Which fields of a sync''s data the other system refused at the last attempt, in its words; of the shapes that APIs use for it (RFC 9457 and others). A customer''s role sees those of its own syncs that it can correct.';
