-- What may stand in the registry: each refusal says what to write instead.

-- Months and years have no fixed length, so they are no measure for a wait.
CREATE FUNCTION integration_worker.is_exact(length interval) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(extract(year FROM length) = 0 AND extract(month FROM length) = 0, false)
$$;
COMMENT ON FUNCTION integration_worker.is_exact(interval) IS
    'Is the interval finite, without months and years?';

CREATE FUNCTION integration_worker.name_problem(name text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN coalesce(name, '') = '' THEN 'It is empty.'
                WHEN length(name) > 100 THEN format('It has %s characters.', length(name))
                WHEN name ~ '[[:cntrl:]]' THEN 'It contains a line break or another control character.'
                WHEN name ~ '^\s|\s$' THEN 'It begins or ends with a blank.' END
$$;
COMMENT ON FUNCTION integration_worker.name_problem(text) IS
    'What is wrong with a name in the registry, as a sentence; NULL: nothing.';

-- A path that is no predicate has no truth to check a payload by; evaluating it tells.
-- A variable is printed as $"name", and a quoted string follows a $ nowhere else.
CREATE FUNCTION integration_worker.path_problem(path jsonpath, is_predicate boolean) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF regexp_replace(path::text, '"(\\.|[^"\\])*"', '""', 'g') LIKE '%$""%' THEN
        RETURN format('%s uses a variable, which nobody fills in.', path);
    END IF;
    IF is_predicate THEN
        PERFORM jsonb_path_match('{}', path, '{}', false);
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN singleton_sql_json_item_required THEN
        RETURN format('%s is a value, not something that is true or false.', path);
    WHEN data_exception THEN
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.path_problem(jsonpath, boolean) IS
    'What is wrong with a jsonpath of the registry, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.check_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text := integration_worker.name_problem(NEW.name);
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'name',
            MESSAGE = format('name "%s" cannot be used', left(NEW.name, 100)),
            DETAIL = problem,
            HINT = 'Write a name of 1 to 100 characters without blanks at its ends, such as ''shop-orders''.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_name() IS 'Row trigger: refuses a name that can''t be used.';

-- One table of rules for connectors and endpoints, which share the calling settings.
CREATE FUNCTION integration_worker.check_calling_settings() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('method', NEW.method NOT IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'),
         NEW.method, 'Write GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS, in upper case.'),
        ('format', NEW.format NOT IN ('json', 'cloudevents', 'cloudevents-structured', 'cloudevents-batched', 'otlp', 'otlp-gzip'),
         NEW.format, 'Write json, cloudevents, cloudevents-structured or cloudevents-batched.'),
        ('connect_timeout', NEW.connect_timeout NOT BETWEEN '1 ms' AND '10 min',
         NEW.connect_timeout::text, 'Write 1 ms to 10 min, such as ''5 s''.'),
        ('timeout', NEW.timeout NOT BETWEEN '1 ms' AND '10 min',
         NEW.timeout::text, 'Write 1 ms to 10 min, such as ''15 s''.'),
        ('connect_timeout', NEW.connect_timeout > NEW.timeout,
         format('%s, with a timeout of %s', NEW.connect_timeout, NEW.timeout),
         'Connecting is a part of the attempt: write a connect_timeout no longer than timeout.'),
        ('max_concurrency', NEW.max_concurrency NOT BETWEEN 1 AND 1000,
         NEW.max_concurrency::text, 'Write 1 to 1000; to send nothing for a while call integration.pause().'),
        ('rate_limit', NEW.rate_limit NOT BETWEEN 0.00001 AND 1000000,
         NEW.rate_limit::text, 'Write requests a second, such as 10 or 0.5, from 0.00001 (about one a day) to 1000000; NULL for no limit.'),
        ('rate_burst', NEW.rate_burst NOT BETWEEN 1 AND 1000000,
         NEW.rate_burst::text, 'Write 1 to 1000000; NULL for one second''s worth of rate_limit.'),
        ('idempotency_key_style', NEW.idempotency_key_style NOT IN ('bare', 'quoted'),
         NEW.idempotency_key_style, 'Write bare or quoted.'),
        ('refusals_alike', NEW.refusals_alike NOT BETWEEN 0 AND 1000 OR NEW.refusals_alike = 1,
         NEW.refusals_alike::text, 'Write 2 to 1000; 0 to let any number pass.'),
        ('max_payload_bytes', NEW.max_payload_bytes NOT BETWEEN 1 AND 104857600,
         NEW.max_payload_bytes::text, 'Write 1 to 104857600 (100 MiB).'),
        ('dedup_window', NEW.dedup_window <= '0' OR NEW.dedup_window > '3660 days',
         NEW.dedup_window::text, 'Write a time above zero, at most 3660 days, such as ''24 h''.')
      ) AS r (col, is_broken, given, hint)
     WHERE r.is_broken
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of %s "%s" cannot be used', broken.col, TG_TABLE_NAME, NEW.name),
            DETAIL = format('It is %s.', broken.given),
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_calling_settings() IS
    'Row trigger: refuses limits and times that can''t work.';

CREATE FUNCTION integration_worker.missing_credential(name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Credential "%s" does not exist.', missing_credential.name)
     WHERE missing_credential.name IS NOT NULL
       AND NOT EXISTS (SELECT FROM integration.credential c WHERE c.name = missing_credential.name)
$$;
COMMENT ON FUNCTION integration_worker.missing_credential(text) IS
    'That there is no credential of this name, as a sentence; NULL: there is one, or none is named.';

CREATE FUNCTION integration_worker.check_request_settings() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A row may be restored before the one it refers to.
    restoring boolean := integration_worker.is_restoring();
    broken record;
BEGIN
    SELECT r.* INTO broken
      FROM (VALUES
        ('headers', integration_worker.header_problem(NEW.headers),
         'Write a JSON object of names and values, such as {"X-Request-Source": "shop"}.'),
        ('payload_check', integration_worker.path_problem(NEW.payload_check, true),
         'Write a jsonpath predicate, such as $.id > 0 or exists($.lines[*]).'),
        ('remote_id_path', integration_worker.path_problem(NEW.remote_id_path, false),
         'Write a jsonpath into the answer, such as $.id.'),
        ('mask', integration_worker.mask_problem(NEW.mask),
         'Write paths to members, such as ARRAY[''$.iban'', ''$.lines[*].price'', ''$.**.password''].'),
        ('connector', (SELECT format('Connector "%s" does not exist.', r.name) FROM (SELECT to_jsonb(NEW) ->> 'connector') AS r (name)
                        WHERE r.name IS NOT NULL AND NOT restoring
                          AND NOT EXISTS (SELECT FROM integration.connector c WHERE c.name = r.name)),
         'Insert it into integration.connector first, or correct the name.'),
        ('retry_policy', (SELECT format('Retry policy "%s" does not exist.', NEW.retry_policy)
                           WHERE NEW.retry_policy IS NOT NULL AND NOT restoring
                             AND NOT EXISTS (SELECT FROM integration.retry_policy p WHERE p.name = NEW.retry_policy)),
         'Policies are in SELECT name, schedule FROM integration.retry_policy.'),
        ('credential', CASE WHEN NOT restoring THEN integration_worker.missing_credential(NEW.credential) END,
         'Insert it into integration.credential first, or correct the name.'),
        ('signing', CASE WHEN NOT restoring THEN integration_worker.missing_credential(NEW.signing) END,
         'Insert it into integration.credential first, or correct the name.'),
        ('certificate', CASE WHEN NOT restoring THEN integration_worker.missing_credential(NEW.certificate) END,
         'Insert it into integration.credential first, or correct the name.'),
        ('credential', (SELECT format('Credential "%s" is for signing.', c.name) FROM integration.credential c
                         WHERE c.name = NEW.credential AND c.kind = 'signing'),
         'Name it in the column signing, and here one that authenticates.'),
        ('signing', (SELECT format('Credential "%s" is of kind %s.', c.name, c.kind) FROM integration.credential c
                      WHERE c.name = NEW.signing AND c.kind <> 'signing'),
         'Name a credential of kind signing.'),
        ('certificate', (SELECT format('Credential "%s" is of kind %s.', c.name, c.kind) FROM integration.credential c
                          WHERE c.name = NEW.certificate AND c.kind <> 'client_certificate'),
         'Name a credential of kind client_certificate.'),
        ('certificate', (SELECT format('The column credential names a certificate, too: "%s".', c.name) FROM integration.credential c
                          WHERE c.name = NEW.credential AND c.kind = 'client_certificate' AND NEW.certificate IS NOT NULL),
         'Name it here, and in the column credential one that authenticates in a header, or none.')
      ) AS r (col, problem, hint)
     WHERE r.problem IS NOT NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = CASE WHEN broken.problem LIKE '% does not exist.' THEN 'foreign_key_violation' ELSE 'check_violation' END,
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = broken.col,
            MESSAGE = format('%s of %s "%s" cannot be used', broken.col, TG_TABLE_NAME, NEW.name),
            DETAIL = broken.problem,
            HINT = broken.hint;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_request_settings() IS
    'Row trigger: refuses headers, paths and credentials that can''t work.';

CREATE FUNCTION integration_worker.check_connector() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.severity NOT BETWEEN 1 AND 4 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'severity',
            MESSAGE = format('severity of connector "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', NEW.severity),
            HINT = 'Write 1 (worst), 2, 3 or 4.';
    END IF;
    IF NEW.status NOT IN ('active', 'deprecated', 'retired') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'status',
            MESSAGE = format('status "%s" of connector "%s" is not known', NEW.status, NEW.name),
            HINT = 'Write active, deprecated (whoever enqueues is warned) or retired (nothing is enqueued any more).';
    END IF;
    IF NEW.objective <= 0 OR NEW.objective >= 1 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'objective',
            MESSAGE = format('objective of connector "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', NEW.objective),
            HINT = 'Write the share of syncs that should be delivered in time, above 0 and below 1, such as 0.999.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_connector() IS
    'Row trigger: refuses a severity, status or objective that means nothing.';

CREATE FUNCTION integration_worker.check_sla() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.sla <= '0' OR NEW.sla > '3660 days' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'sla',
            MESSAGE = format('sla of %s "%s" cannot be used', TG_TABLE_NAME, NEW.name),
            DETAIL = format('It is %s.', NEW.sla),
            HINT = 'Write a time above zero, at most 3660 days, such as ''15 min''; NULL for no promise of its own.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_sla() IS
    'Row trigger of connectors and customers: refuses an SLA that means nothing.';

CREATE FUNCTION integration_worker.url_hint(problem text, otherwise text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce('Write another address, or have a superuser change the setting (ALTER SYSTEM SET '
                    || substring(problem FROM 'integration\.allowed_\w+') || ' = …; SELECT pg_reload_conf()).', otherwise)
$$;
COMMENT ON FUNCTION integration_worker.url_hint(text, text) IS
    'The way out of what url_problem() says: by the setting that it names, otherwise what is given.';

CREATE FUNCTION integration_worker.check_endpoint_url() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.url = OLD.url AND NEW.allow_http = OLD.allow_http THEN
        RETURN NEW;
    END IF;
    -- RFC 9110 §4.1: what every recipient should support.
    problem := CASE WHEN coalesce(btrim(NEW.url), '') = '' THEN 'It is empty.'
                    WHEN octet_length(NEW.url) > 8000 THEN format('It has %s bytes; 8000 are allowed.', octet_length(NEW.url))
                    ELSE integration_worker.url_problem(NEW.url, NEW.allow_http) END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'url',
            MESSAGE = format('url of endpoint "%s" cannot be called', NEW.name),
            DETAIL = problem,
            HINT = CASE WHEN problem LIKE 'Plain http%'
                        THEN 'Write an address with https, or have a superuser set allow_http.'
                        ELSE integration_worker.url_hint(
                            problem, 'Write an address such as ''https://api.example.com/orders/{object_id}''.') END;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_endpoint_url() IS
    'Row trigger: refuses an address that can''t be called.';

-- Runs as the caller, not as the owner: only so does current_user say who asks.
CREATE FUNCTION integration_worker.check_allow_http() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT NEW.allow_http OR (TG_OP = 'UPDATE' AND OLD.allow_http AND NEW.url = OLD.url) THEN
        RETURN NEW;
    END IF;
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'insufficient_privilege',
        MESSAGE = format('only a superuser may set allow_http (endpoint "%s")', NEW.name),
        DETAIL = 'Plain http lets everybody on the way read and change what is sent.',
        HINT = 'Use an https address, have a superuser set allow_http for this address, '
               'or add the receiver''s network to integration.allowed_networks.';
END
$$;
COMMENT ON FUNCTION integration_worker.check_allow_http() IS
    'Row trigger: plain http to the world is a superuser''s decision, for one address at a time.';

CREATE FUNCTION integration_worker.schedule_problem(schedule interval[], deadline interval) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN array_ndims(schedule) > 1 THEN 'The schedule is an array of arrays.'
        WHEN cardinality(schedule) > 100 THEN format('The schedule has %s waits; 100 are allowed.', cardinality(schedule))
        WHEN broken.wait_no IS NOT NULL THEN format('Wait %s is %s.', broken.wait_no, broken.what)
        WHEN NOT integration_worker.is_exact(deadline) THEN format('The deadline is %s.', deadline)
        WHEN deadline <= '0' THEN format('The deadline is %s, which is no time.', deadline)
        WHEN deadline > '3660 days' THEN format('The deadline is %s, longer than 3660 days.', deadline)
        WHEN deadline < schedule[array_lower(schedule, 1)] THEN
            format('The deadline of %s is over before the first wait of %s.',
                   deadline, schedule[array_lower(schedule, 1)])
        END
      FROM (SELECT 1) AS one_row
      LEFT JOIN LATERAL (
           SELECT w.wait_no,
                  CASE WHEN w.wait IS NULL THEN 'NULL'
                       WHEN NOT integration_worker.is_exact(w.wait) THEN w.wait || ', which has no fixed length'
                       WHEN w.wait <= '0' THEN w.wait || ', which is no wait'
                       ELSE w.wait || ', longer than 30 days' END AS what
             FROM unnest(schedule) WITH ORDINALITY AS w (wait, wait_no)
            WHERE (w.wait > '0' AND w.wait <= '30 days' AND integration_worker.is_exact(w.wait)) IS NOT TRUE
            ORDER BY w.wait_no
            LIMIT 1) broken ON true
$$;
COMMENT ON FUNCTION integration_worker.schedule_problem(interval[], interval) IS
    'Why a retry schedule is impossible, as a sentence; NULL: it is not.';

CREATE FUNCTION integration_worker.check_retry_policy() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text := integration_worker.schedule_problem(NEW.schedule, NEW.deadline);
BEGIN
    IF NEW.schedule IS NULL OR problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'schedule',
            MESSAGE = format('the schedule of retry policy "%s" is impossible', NEW.name),
            DETAIL = coalesce(problem, 'It is NULL.'),
            HINT = 'Write the waits before attempt 2, 3, …, such as ARRAY[''5 s'', ''1 min'', ''10 min'', ''1 h'']::interval[], '
                   'each above zero and at most 30 days, with a deadline of NULL or longer than the first and at most 3660 days; '
                   '''{}'' means one attempt.';
    END IF;
    IF (NEW.jitter BETWEEN 0 AND 1) IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'jitter',
            MESSAGE = format('jitter of retry policy "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', coalesce(NEW.jitter::text, 'NULL')),
            HINT = 'Write a fraction of the wait, 0 to 1, such as 0.2.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_retry_policy() IS
    'Row trigger: refuses a schedule that can''t be kept.';

-- endpoint_config names it where nobody names another, without a foreign key.
CREATE FUNCTION integration_worker.keep_standard_policy() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.name = OLD.name THEN
        RETURN NEW;
    END IF;
    -- Inside own_row(), which puts another in its place.
    IF pg_trigger_depth() > 1 THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = 'retry policy "standard" cannot be removed or renamed',
        DETAIL = 'Every endpoint without a retry_policy uses it.',
        HINT = 'Change its schedule, or add a policy of your own and name it in endpoint.retry_policy.';
END
$$;
COMMENT ON FUNCTION integration_worker.keep_standard_policy() IS
    'Row trigger: the default policy stays.';

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();
CREATE TRIGGER check_settings BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_calling_settings();
CREATE TRIGGER check_request BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_request_settings();
CREATE TRIGGER check_worth BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_connector();
CREATE TRIGGER check_promise BEFORE INSERT OR UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_sla();

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();
CREATE TRIGGER check_settings BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_calling_settings();
CREATE TRIGGER check_request BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_request_settings();
CREATE TRIGGER check_allow_http BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_allow_http();
CREATE TRIGGER check_url BEFORE INSERT OR UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_endpoint_url();

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.credential
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();

CREATE TRIGGER check_name BEFORE INSERT OR UPDATE ON integration.retry_policy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_name();
CREATE TRIGGER check_schedule BEFORE INSERT OR UPDATE ON integration.retry_policy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.check_retry_policy();
-- Last by name: only a row that passed the checks replaces another.
CREATE TRIGGER own_policy BEFORE INSERT OR UPDATE ON integration.retry_policy
    FOR EACH ROW EXECUTE FUNCTION integration_worker.own_row('name');
CREATE TRIGGER keep_standard BEFORE UPDATE OR DELETE ON integration.retry_policy
    FOR EACH ROW WHEN (OLD.name = 'standard')
    EXECUTE FUNCTION integration_worker.keep_standard_policy();
