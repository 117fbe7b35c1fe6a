-- Credentials: what may stand in their settings, secrets sealed, read by the worker only.

CREATE FUNCTION integration_worker.credential_settings()
    RETURNS TABLE (kind text, name text, required boolean, choices text[])
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
        ('basic', 'username', true, NULL::text[]),
        ('header', 'name', true, NULL),
        ('oauth2_client_credentials', 'token_url', true, NULL),
        ('oauth2_client_credentials', 'client_id', true, NULL),
        ('oauth2_client_credentials', 'scope', false, NULL),
        ('oauth2_client_credentials', 'audience', false, NULL),
        ('oauth2_client_credentials', 'resource', false, NULL),
        ('oauth2_client_credentials', 'auth', false, '{basic,body}'),
        ('aws_sigv4', 'access_key_id', true, NULL),
        ('aws_sigv4', 'region', true, NULL),
        ('aws_sigv4', 'service', true, NULL),
        ('client_certificate', 'ca', false, NULL),
        ('signing', 'scheme', false, '{standard_webhooks,rfc9421}'),
        ('signing', 'key_id', false, NULL),
        ('signing', 'overlap', false, NULL)
$$;
COMMENT ON FUNCTION integration_worker.credential_settings() IS
    'The members that credential.settings may have by kind, all of them strings; choices: the only values.';

CREATE FUNCTION integration_worker.overlap_problem(overlap text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF integration_worker.is_exact(overlap::interval) AND overlap::interval >= '0' THEN
        RETURN NULL;
    END IF;
    RETURN 'overlap is negative, or has months or years.';
EXCEPTION
    WHEN data_exception THEN
        RETURN 'overlap is not a length of time.';
END
$$;
COMMENT ON FUNCTION integration_worker.overlap_problem(text) IS
    'What is wrong with how long two signing secrets overlap, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.client_problem(settings jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN settings ->> 'token_url' ~ '[{}]' THEN 'token_url holds a brace: there is nothing to fill in.'
        -- RFC 6749 §3.3, appendix A.1; RFC 8707 §2
        WHEN settings ->> 'scope' !~ '^[!#-\[\]-~]+( [!#-\[\]-~]+)*$' THEN 'scope is not a list of words with a blank between two.'
        WHEN settings ->> 'client_id' ~ '[[:cntrl:]]' THEN 'client_id holds a control character.'
        WHEN settings ->> 'resource' !~ '^[A-Za-z][A-Za-z0-9+.-]*:[^[:space:]#]+$' THEN 'resource is not an absolute URI without a fragment.'
        ELSE integration_worker.url_problem(settings ->> 'token_url', false) END
$$;
COMMENT ON FUNCTION integration_worker.client_problem(jsonb) IS
    'What is wrong with the settings of an OAuth 2.0 client, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.authorities_problem(pem text) RETURNS text
    LANGUAGE c STRICT STABLE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_authorities_problem';
COMMENT ON FUNCTION integration_worker.authorities_problem(text) IS
    'Why a text can''t be settings.ca, as a sentence; NULL: it can.';

CREATE FUNCTION integration_worker.credential_problem(kind text, settings jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        (SELECT format('%s is missing.', s.name)
           FROM integration_worker.credential_settings() s
          WHERE s.kind = credential_problem.kind AND s.required AND coalesce(settings ->> s.name, '') = ''
          LIMIT 1),
        (SELECT CASE WHEN s.name IS NULL THEN format('%s is unknown.', m.key)
                     WHEN jsonb_typeof(m.value) <> 'string' THEN format('%s is not a string.', m.key)
                     ELSE format('%s is none of %s.', m.key, array_to_string(s.choices, ', ')) END
           FROM jsonb_each(settings) m
           LEFT JOIN integration_worker.credential_settings() s ON s.kind = credential_problem.kind AND s.name = m.key
          WHERE s.name IS NULL OR jsonb_typeof(m.value) <> 'string' OR NOT settings ->> m.key = ANY (s.choices)
          LIMIT 1),
        CASE kind WHEN 'basic' THEN
                      -- RFC 7617 §2
                      CASE WHEN settings ->> 'username' LIKE '%:%' THEN 'username holds a colon.'
                           WHEN settings ->> 'username' ~ '[[:cntrl:]]' THEN 'username holds a control character.' END
                  WHEN 'header' THEN
                      integration_worker.header_problem(jsonb_build_object(settings ->> 'name', 'x'))
                  WHEN 'oauth2_client_credentials' THEN
                      integration_worker.client_problem(settings)
                  WHEN 'aws_sigv4' THEN
                      (SELECT format('%s holds a blank, a comma, a slash or what is not ASCII.', m.key)
                         FROM jsonb_each_text(settings) m WHERE m.value ~ '[^!-~]|[,/]' ORDER BY m.key LIMIT 1)
                  WHEN 'client_certificate' THEN
                      integration_worker.authorities_problem(settings ->> 'ca')
                  WHEN 'signing' THEN
                      integration_worker.overlap_problem(coalesce(settings ->> 'overlap', '24 h')) END)
$$;
COMMENT ON FUNCTION integration_worker.credential_problem(text, jsonb) IS
    'What is wrong with the settings of a credential, as a sentence; NULL: nothing.';

CREATE FUNCTION integration_worker.check_credential() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text := integration_worker.credential_problem(NEW.kind, NEW.settings);
    known text := (SELECT string_agg(s.name || CASE WHEN s.required THEN ' (required)' ELSE '' END, ', ')
                     FROM integration_worker.credential_settings() s WHERE s.kind = NEW.kind);
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.kind <> OLD.kind THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'kind',
            MESSAGE = format('kind of credential "%s" cannot be changed', NEW.name),
            DETAIL = 'Its secrets, and what refers to it, are of the kind that it has.',
            HINT = 'Insert another credential, refer to that one.';
    END IF;
    IF NEW.kind <> ALL ('{basic,bearer,header,oauth2_client_credentials,aws_sigv4,client_certificate,signing}') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'kind',
            MESSAGE = format('kind of credential "%s" cannot be used', NEW.name),
            DETAIL = format('It is %s.', NEW.kind),
            HINT = 'Write basic, bearer, header, oauth2_client_credentials, aws_sigv4, client_certificate or signing.';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'settings',
            MESSAGE = format('settings of credential "%s" cannot be used', NEW.name),
            DETAIL = problem,
            HINT = integration_worker.url_hint(problem,
                   CASE WHEN known IS NULL
                        THEN format('A credential of kind %s has no settings; its secret goes to integration.set_secret().', NEW.kind)
                        ELSE format('A credential of kind %s has these settings: %s. What is secret goes to integration.set_secret().',
                                    NEW.kind, known) END);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.check_credential() IS
    'Row trigger: refuses kinds and settings that can''t work.';

CREATE TRIGGER check_settings BEFORE INSERT OR UPDATE ON integration.credential
    FOR EACH ROW WHEN (jsonb_typeof(NEW.settings) = 'object')
    EXECUTE FUNCTION integration_worker.check_credential();

-- Secrets are sealed for the name of the installation, which must be its own before the first is.
CREATE TRIGGER begin_installation AFTER INSERT ON integration.credential
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.begin_installation();

CREATE FUNCTION integration_worker.keep_secret() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('secret of credential "%s" cannot be changed', OLD.credential),
        DETAIL = 'It is sealed for this name and version.',
        HINT = 'Forget the secret, then set it anew, or insert another credential.';
END
$$;
COMMENT ON FUNCTION integration_worker.keep_secret() IS
    'Row trigger: refuses to move or change what is sealed.';

CREATE TRIGGER keep_secret BEFORE UPDATE OF credential, version, sealed ON integration.secret
    FOR EACH ROW WHEN ((OLD.credential, OLD.version, OLD.sealed) IS DISTINCT FROM (NEW.credential, NEW.version, NEW.sealed))
    EXECUTE FUNCTION integration_worker.keep_secret();

-- None of the three can hold a line break.
CREATE FUNCTION integration_worker.secret_place(credential text, version integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(E'\n', (SELECT i.name FROM integration.installation i), credential, version)
$$;
COMMENT ON FUNCTION integration_worker.secret_place(text, integer) IS
    'What a secret is sealed for beside its key: it opens in this installation, under this credential and version, nowhere else.';

CREATE FUNCTION integration_worker.seal(place text, kind text, value text) RETURNS bytea
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_seal';
COMMENT ON FUNCTION integration_worker.seal(text, text, text) IS
    'A secret as it is stored; refused where a credential of that kind can''t use it, or there is no key.';

CREATE FUNCTION integration_worker.sealed(place text, kind text, value bytea, OUT source text, OUT reference text, OUT problem text,
                                          OUT expires_at timestamptz)
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_sealed';
COMMENT ON FUNCTION integration_worker.sealed(text, text, bytea) IS
    'What a stored secret is (value, file or view), where a view refers to, why it can''t be read, when a certificate in it ends; never a value.';

-- What a view calls runs with the rights of whoever reads it: only those may have made it, or be able to put
-- another one in its place, who could do everything anyway.
CREATE FUNCTION integration_worker.view_problem(reference text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(reference, '^([^./"]+)\.([^./"]+)/(.+)$');
    found record;
BEGIN
    IF parts IS NULL THEN
        RETURN format('"%s" is not of the form schema.view/name.', reference);
    END IF;
    SELECT c.oid, c.relkind, bool_and(r.rolsuper OR r.oid = x.extowner) AS is_trusted INTO found
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_extension x ON x.extname = 'integration'
      JOIN pg_catalog.pg_roles r ON r.oid IN (c.relowner, n.nspowner)
     WHERE n.nspname = parts[1] AND c.relname = parts[2]
     GROUP BY c.oid, c.relkind;
    RETURN CASE
        WHEN found.oid IS NULL THEN format('View %s.%s does not exist.', parts[1], parts[2])
        WHEN found.relkind <> 'v' THEN format('%s.%s is no view.', parts[1], parts[2])
        WHEN NOT found.is_trusted THEN
            format('%s.%s, or its schema, belongs neither to a superuser nor to the owner of the extension: the worker runs no code of others.',
                   parts[1], parts[2])
        WHEN (SELECT count(*) FILTER (WHERE a.attname = 'name') <> 1
                     OR count(*) FILTER (WHERE a.attname IN ('decrypted_secret', 'value')) = 0
                FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = found.oid
                 AND a.attname IN ('name', 'decrypted_secret', 'value')
                 AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'name'::regtype)
                 AND NOT a.attisdropped) THEN
            format('%s.%s lacks a column name, or one named decrypted_secret or value, of type text.', parts[1], parts[2]) END;
END
$$;
COMMENT ON FUNCTION integration_worker.view_problem(text) IS
    'Why a reference to a view can''t be read, as a sentence; NULL: it can.';

CREATE FUNCTION integration_worker.view_secret(reference text, OUT secret text, OUT problem text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(reference, '^([^./"]+)\.([^./"]+)/(.+)$');
    source text;
BEGIN
    problem := integration_worker.view_problem(reference);
    IF problem IS NOT NULL THEN
        RETURN;
    END IF;
    source := (SELECT min(a.attname::text)
                 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = format('%I.%I', parts[1], parts[2])::regclass
                  AND a.attname IN ('decrypted_secret', 'value')
                  AND NOT a.attisdropped);
    EXECUTE format('SELECT min(v.%I::text) FROM %I.%I v WHERE v.name::text = $1', source, parts[1], parts[2])
       INTO secret USING parts[3];
    IF secret IS NULL THEN
        problem := format('%s.%s has no value under this name.', parts[1], parts[2]);
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.view_secret(text) IS
    'The value that a reference to a view leads to, for the worker; or why it can''t be read.';

CREATE FUNCTION integration_worker.credentials(names text[])
    RETURNS TABLE (name text, kind text, settings text, version integer, place text, sealed bytea,
                   not_before timestamptz, not_after timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
    SELECT c.name, c.kind, c.settings::text, s.version, integration_worker.secret_place(c.name, s.version), s.sealed,
           s.not_before, s.not_after
      FROM integration.credential c
      LEFT JOIN integration.secret s ON s.credential = c.name AND (s.not_after > now()) IS NOT FALSE
     WHERE c.name = ANY (names)
     ORDER BY c.name, s.not_before DESC, s.version DESC
$$;
COMMENT ON FUNCTION integration_worker.credentials(text[]) IS
    'Credentials as the worker needs them, a row for each secret that is valid or will be, the newest first; by the primary keys.';

CREATE FUNCTION integration_worker.probe_mended(reloaded boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.endpoint_health h
       SET open_until = now()
     WHERE h.endpoint_id IN (
           SELECT w.endpoint_id
             FROM integration.endpoint_health w
             JOIN integration.endpoint_config c ON c.id = w.endpoint_id
            WHERE w.state = 'stopped'
              AND w.open_until > now()
              AND (reloaded AND (w.last_reason = 'secret_unreadable' OR w.last_reason LIKE 'blocked\_%')
                   OR (w.last_reason = 'secret_missing'
                       OR EXISTS (SELECT FROM integration.error_reason r
                                   WHERE r.reason = w.last_reason AND r.error_class = 'auth'))
                      AND EXISTS (SELECT FROM integration.secret s
                                   WHERE s.credential IN (c.credential, c.signing, c.certificate)
                                     AND s.not_before <= now() AND s.not_before > w.last_failure_at))
              FOR NO KEY UPDATE OF w SKIP LOCKED);
    IF FOUND THEN
        PERFORM integration_worker.wake_at_commit(true);
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.probe_mended(boolean) IS
    'Has endpoints probed at once that were stopped for want of a secret which has become valid, or with a former one; true: also what settings can mend, secrets that could not be read and addresses that might not be called.';

CREATE FUNCTION integration_worker.require_credential(name text) RETURNS integration.credential
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found integration.credential;
BEGIN
    SELECT c.* INTO found FROM integration.credential c WHERE c.name = require_credential.name FOR NO KEY UPDATE;
    IF found.name IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'no_data_found',
            MESSAGE = format('credential "%s" does not exist', require_credential.name),
            HINT = 'Insert it into integration.credential first, or correct the name.';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION integration_worker.require_credential(text) IS
    'The credential of this name, kept from others who would set its secrets.';

-- The view is read by the worker, who may read everything: only what its caller may read can be referred to.
CREATE FUNCTION integration_worker.require_view(value text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reference text := substr(value, length('view:') + 1);
    problem text := integration_worker.view_problem(reference);
BEGIN
    IF problem IS NULL
       AND NOT has_table_privilege(session_user, (SELECT format('%I.%I', p[1], p[2])::regclass
                                                    FROM regexp_match(reference, '^([^./]+)\.([^./]+)/') AS p), 'SELECT') THEN
        problem := format('Role "%s" may not read it.', session_user);
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'value cannot be the reference of a secret',
            DETAIL = problem,
            HINT = 'Write view:schema.view/name, such as view:vault.decrypted_secrets/shop.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.require_view(text) IS
    'Refuses a reference to a view that can''t be read, or that the session''s user may not read.';

CREATE FUNCTION integration.set_secret(credential text, value text, not_before timestamptz DEFAULT now()) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target integration.credential := integration_worker.require_credential(set_secret.credential);
    since timestamptz := coalesce(set_secret.not_before, now());
    overlap interval := CASE WHEN target.kind = 'signing' THEN coalesce(target.settings ->> 'overlap', '24 h') ELSE '0' END;
    new_version integer := (SELECT coalesce(max(s.version), 0) + 1 FROM integration.secret s WHERE s.credential = target.name);
    place text := integration_worker.secret_place(target.name, new_version);
    sealed bytea;
BEGIN
    IF set_secret.value LIKE 'view:%' THEN
        PERFORM integration_worker.require_view(set_secret.value);
    END IF;
    sealed := integration_worker.seal(place, target.kind, coalesce(set_secret.value, ''));
    INSERT INTO integration.secret (credential, version, sealed, not_before)
    VALUES (target.name, new_version, sealed, since);
    UPDATE integration.secret s
       SET not_after = since + overlap
     WHERE s.credential = target.name
       AND s.version < new_version
       AND (s.not_after <= since + overlap) IS NOT TRUE;
    RETURN new_version;
END
$$;
COMMENT ON FUNCTION integration.set_secret(text, text, timestamptz) IS
    'Seals a new value for a credential, to be used from a time on; returns its version. The former value ends then; of signing ones both sign for settings.overlap (24 h). A value file:name or view:schema.view/name says where the secret is.';

CREATE FUNCTION integration.forget_secret(credential text, version integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_credential(forget_secret.credential);
    DELETE FROM integration.secret s
     WHERE s.credential = forget_secret.credential AND s.version = forget_secret.version;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'no_data_found',
            MESSAGE = format('credential "%s" has no secret of version %s', forget_secret.credential, forget_secret.version),
            HINT = 'Its versions are in SELECT version FROM integration.secret_status.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration.forget_secret(text, integer) IS
    'Deletes one version of a credential''s secret; it is not used from then on.';

CREATE FUNCTION integration_worker.secret_states()
    RETURNS TABLE (credential text, version integer, not_before timestamptz, not_after timestamptz, source text, problem text,
                   certificate_expires_at timestamptz)
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.credential, s.version, s.not_before, s.not_after, r.source,
           coalesce(r.problem, CASE WHEN r.source = 'view' THEN integration_worker.view_problem(r.reference) END),
           r.expires_at
      FROM integration.secret s
      JOIN integration.credential c ON c.name = s.credential
     CROSS JOIN LATERAL integration_worker.sealed(integration_worker.secret_place(s.credential, s.version), c.kind, s.sealed) r
$$;
COMMENT ON FUNCTION integration_worker.secret_states() IS
    'What integration.secret_status shows; reads the key, opens each secret, gives none of them away.';

CREATE VIEW integration.secret_status WITH (security_barrier) AS
SELECT s.credential, s.version, s.not_before, s.not_after, s.source, s.problem IS NULL AS readable, s.problem,
       s.certificate_expires_at,
       (SELECT string_agg(DISTINCT integration_worker.owner_of(c.id, 'auth', NULL), ', ')
          FROM integration.endpoint_config c
         WHERE s.credential IN (c.credential, c.signing, c.certificate)) AS owner
  FROM integration_worker.secret_states() s;
COMMENT ON VIEW integration.secret_status IS
    'The secrets of each credential by version: when they are used, whether they can be read; never a value.';
COMMENT ON COLUMN integration.secret_status.credential IS 'The credential it belongs to.';
COMMENT ON COLUMN integration.secret_status.version IS 'Counts up with each set_secret().';
COMMENT ON COLUMN integration.secret_status.not_before IS 'Used from here on.';
COMMENT ON COLUMN integration.secret_status.not_after IS 'Not used from here on; NULL: no end.';
COMMENT ON COLUMN integration.secret_status.source IS
    'value, file or view: what was set; NULL: it can''t be opened.';
COMMENT ON COLUMN integration.secret_status.readable IS 'Whether the server can read it just now.';
COMMENT ON COLUMN integration.secret_status.problem IS 'Why it can''t, as a sentence.';
COMMENT ON COLUMN integration.secret_status.owner IS 'The teams that look after the endpoints that use it.';
COMMENT ON COLUMN integration.secret_status.certificate_expires_at IS
    'When the client certificate itself ends: set the next one before; NULL: it is none, or stands in a view.';

CREATE FUNCTION integration_worker.masked_headers(credential text, signing text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(h.line ORDER BY h.n), '{}')
      FROM integration.credential c
     CROSS JOIN LATERAL (
           SELECT unnest(CASE c.kind
                         WHEN 'basic' THEN ARRAY['Authorization: Basic ***']
                         WHEN 'bearer' THEN ARRAY['Authorization: Bearer ***']
                         WHEN 'oauth2_client_credentials' THEN ARRAY['Authorization: Bearer ***']
                         WHEN 'header' THEN ARRAY[c.settings ->> 'name' || ': ***']
                         WHEN 'aws_sigv4' THEN ARRAY['X-Amz-Date: ***', 'Authorization: AWS4-HMAC-SHA256 ***']
                         WHEN 'signing' THEN CASE c.settings ->> 'scheme'
                             WHEN 'rfc9421' THEN ARRAY['Content-Digest: ***', 'Signature-Input: ***', 'Signature: ***']
                             ELSE ARRAY['webhook-timestamp: ***', 'webhook-signature: ***'] END
                         END), 1) AS h (line, n)
     WHERE c.name IN (masked_headers.credential, masked_headers.signing)
$$;
COMMENT ON FUNCTION integration_worker.masked_headers(text, text) IS
    'The header lines that an endpoint''s credentials add, without what is secret or of the attempt.';

CREATE FUNCTION integration_worker.missing_secret(credentials text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Credential "%s" has no secret that is valid now; set one with integration.set_secret().', c.name)
      FROM integration.credential c
     WHERE c.name = ANY (credentials)
       AND NOT (c.kind = 'client_certificate' AND c.settings ? 'ca')
       AND NOT EXISTS (SELECT FROM integration.secret s
                        WHERE s.credential = c.name
                          AND s.not_before <= now() AND (s.not_after > now()) IS NOT FALSE)
     ORDER BY c.name
     LIMIT 1
$$;
COMMENT ON FUNCTION integration_worker.missing_secret(text[]) IS
    'Which of these credentials has no secret, as a sentence; NULL: each has one.';
