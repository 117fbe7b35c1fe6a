-- Who may do what: the only part that grants anything.

-- The matrix; each level of people holds what the level above it in this list holds; producers, customers stand alone.
-- What the views call has to be granted too, but without USAGE of its schema nobody calls it by name.
CREATE FUNCTION integration_worker.privileges()
    RETURNS TABLE (level text, privilege text, object text)
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
        ('producer', 'USAGE', 'SCHEMA integration'),
        ('producer', 'INSERT (endpoint, object_type, object_id, operation, payload, headers, customer, ordering_key, '
                     'dedup_key, priority, impact, send_after, expires_at, traceparent, triggered_by, trigger_ref, '
                     'created_at, enqueued_by, enqueued_from, replay_of, tracestate)', 'integration.outbox'),
        ('producer', 'SELECT (id)', 'integration.outbox'),
        ('producer', 'EXECUTE', 'FUNCTION integration.verify_signature(bytea, jsonb, text, interval)'),
        ('producer', 'EXECUTE', 'FUNCTION integration.verify_signature(text, jsonb, text, interval)'),

        ('customer', 'USAGE', 'SCHEMA integration'),
        ('customer', 'SELECT', 'integration.customer_sync'),
        ('customer', 'SELECT', 'integration.customer_object'),
        ('customer', 'SELECT', 'integration_worker.own_customer'),
        ('customer', 'EXECUTE', 'FUNCTION integration.retry(bigint, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.retry_as(bigint, text, name, text[])'),
        ('customer', 'EXECUTE', 'FUNCTION integration.fields_to_correct(bigint)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.fields_for(bigint, boolean, text[])'),
        ('customer', 'EXECUTE', 'FUNCTION integration.status_page(text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.page_for(text, boolean, text[])'),
        ('customer', 'EXECUTE', 'FUNCTION integration.customer_status(text, text, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_told(text[], text, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_vocabulary(text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_status_of(text, boolean, text, boolean)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.customer_class(text, text)'),
        ('customer', 'EXECUTE', 'FUNCTION integration_worker.held_class(integer, text)'),

        ('support', 'USAGE', 'SCHEMA integration'),
        -- By column: who may update a whole view may lock all that is below it, and stop the sender so.
        ('support', 'SELECT, UPDATE (state)', 'integration.sync'),
        ('support', 'SELECT, UPDATE (state)', 'integration.failed'),
        ('support', 'SELECT', 'integration.object_status'),
        ('support', 'SELECT', 'integration.endpoint_status'),
        ('support', 'SELECT', 'integration.worker_status'),
        ('support', 'SELECT', 'integration.endpoint_config'),
        ('support', 'SELECT', 'integration.enqueue_limit'),
        ('support', 'SELECT', 'integration.enqueue_limit_status'),
        ('support', 'SELECT', 'integration.connector'),
        ('support', 'SELECT', 'integration.endpoint'),
        ('support', 'SELECT', 'integration.customer'),
        ('support', 'SELECT', 'integration.owner_rule'),
        ('support', 'SELECT', 'integration.sync_count'),
        ('support', 'SELECT', 'integration.sla_report'),
        ('support', 'SELECT', 'integration.usage'),
        ('support', 'SELECT', 'integration.retry_policy'),
        ('support', 'SELECT', 'integration.error_class'),
        ('support', 'SELECT', 'integration.error_reason'),
        ('support', 'SELECT', 'integration.error_rule'),
        ('support', 'SELECT', 'integration.sync_payload'),
        ('support', 'SELECT', 'integration.sync_attempt'),
        ('support', 'SELECT', 'integration.customer_grant'),
        ('support', 'SELECT', 'integration_worker.own_customer'),
        -- All but what endpoint.mask may hide a part of: sync_payload and sync_attempt show that.
        ('support', 'SELECT (id, endpoint, object_type, object_id, operation, headers, customer, ordering_key, dedup_key, '
                    'priority, impact, send_after, expires_at, traceparent, triggered_by, trigger_ref, created_at, '
                    'enqueued_by, enqueued_from, replay_of, tracestate)', 'integration.outbox'),
        ('support', 'SELECT', 'integration.queue'),
        ('support', 'SELECT', 'integration.closing'),
        ('support', 'SELECT (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, dns_ms, connect_ms, tls_ms, '
                    'first_byte_ms, outcome, reason, error_class, http_status, error, request_url, remote_address, '
                    'trace_id, span_id, next_attempt_at, api_version)', 'integration.attempt'),
        ('support', 'SELECT', 'integration.sync_status'),
        ('support', 'SELECT', 'integration.endpoint_health'),
        ('support', 'SELECT', 'integration.event'),
        ('support', 'SELECT', 'integration.incident'),
        ('support', 'SELECT', 'integration.incident_status'),
        ('support', 'SELECT', 'integration.phrase'),
        ('support', 'SELECT', 'integration.remedy'),
        ('support', 'SELECT', 'integration.what_helps'),
        ('support', 'SELECT', 'integration.runbook_step'),
        ('support', 'SELECT (endpoint, format, severity, owner, customer, changes, locale, at_once, digest_every, audience)',
                    'integration.notice_endpoint'),
        ('support', 'SELECT', 'integration.notice_text'),
        ('support', 'SELECT', 'integration.escalation_level'),
        ('support', 'SELECT', 'integration.heartbeat'),
        ('support', 'EXECUTE', 'FUNCTION integration.health()'),
        ('support', 'SELECT', 'integration.notice'),
        ('support', 'SELECT', 'integration.telemetry'),
        ('support', 'SELECT', 'integration.pause'),
        ('support', 'SELECT', 'integration.pause_status'),
        ('support', 'SELECT', 'integration.interface_status'),
        ('support', 'SELECT', 'integration.version_header'),
        ('support', 'SELECT', 'integration.action'),
        ('support', 'SELECT', 'integration.action_log'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.state_after(text)'),
        ('support', 'SELECT', 'integration.bulk_progress'),
        ('support', 'EXECUTE', 'FUNCTION integration.verify_signature(bytea, jsonb, text, interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration.verify_signature(text, jsonb, text, interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration.why(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.customer_status(text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.customer_told(text[], text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.sla_clock(bigint, timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration.timeline(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.preview(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.as_curl(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.fields_to_correct(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.fields_for(bigint, boolean, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.curl_of(text, text, text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.request_of(bigint, boolean)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.masked(jsonb, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.masked_answer(text, text[], jsonb)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.as_json(text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.retry(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.retry_as(bigint, text, name, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration.cancel(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.amend(bigint, jsonb, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.runbook(bigint)'),
        ('support', 'EXECUTE', 'FUNCTION integration.acknowledge(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.assign(bigint, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.snooze(bigint, timestamptz, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.reopen(bigint, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration.resolve(bigint, text, boolean)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.what_worked()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.translated(text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.remedies(text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.remedies_when_failed()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.failed_count(text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.say(text, jsonb, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.usage_since()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.usage_finding(text, bigint, boolean, boolean, interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.length_of(tstzmultirange)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.period(timestamptz, timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.ruled_owner(text, text, text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.advice(text, text, text, integration.error_reason)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.owner_of(integer, text, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.owner_of_scope(text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.time_words(timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.duration_words(interval)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.held_by(text, timestamptz, boolean, text, timestamptz, '
                               'timestamptz, bigint, timestamptz, integer, integer)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.incident_state(text, timestamptz, timestamptz)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.pause_holds(text, text, text, text, text[])'),
        ('support', 'SELECT', 'integration.traffic'),
        ('support', 'SELECT', 'integration.endpoint_traffic'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.traffic_since(timestamptz, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.durations_at(double precision[], integer[], bigint[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.sparkline(integer[], bigint[], bigint[])'),
        ('support', 'EXECUTE', 'FUNCTION integration.endpoint_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.attempt_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.incident_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.health_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.worker_metrics()'),
        ('support', 'EXECUTE', 'FUNCTION integration.prometheus()'),
        ('support', 'EXECUTE', 'FUNCTION integration.status_page(text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.page_for(text, boolean, text[])'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.queued_of(integer, text, text)'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_syncs()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_endpoints()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_workers()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.live_progress()'),
        ('support', 'EXECUTE', 'FUNCTION integration_worker.enqueue_usage()'),

        ('operator', 'EXECUTE', 'FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text, boolean)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.cancel_where(text, text, timestamptz, timestamptz, text, text, boolean, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.amend_where(jsonb, text, text, timestamptz, timestamptz, text, text, boolean)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.replay(bigint, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.replay(text, timestamptz, timestamptz, text, boolean)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.pause(text, text, text, timestamptz)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.resume(text, text, text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.ping(text)'),
        ('operator', 'EXECUTE', 'FUNCTION integration.ignore(bigint, text)'),
        -- How fast and how patient; not where to, nor with which credential.
        ('operator', 'UPDATE (max_concurrency, rate_limit, rate_burst, connect_timeout, timeout, retry_policy)',
                     'integration.endpoint'),
        ('operator', 'UPDATE (max_concurrency, rate_limit, rate_burst, connect_timeout, timeout, retry_policy)',
                     'integration.connector'),

        ('administrator', 'SELECT', 'integration.outbox'),
        ('administrator', 'SELECT', 'integration.attempt'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.connector'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.endpoint'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.customer'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.owner_rule'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.enqueue_limit'),
        ('administrator', 'SELECT, INSERT, UPDATE, DELETE', 'integration.credential'),
        ('administrator', 'SELECT', 'integration.secret_status'),
        ('administrator', 'EXECUTE', 'FUNCTION integration_worker.secret_states()'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.set_secret(text, text, timestamptz)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.forget_secret(text, integer)'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.retry_policy'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.error_rule'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.phrase'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.remedy'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.runbook_step'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.version_header'),
        ('administrator', 'SELECT, INSERT, UPDATE, DELETE', 'integration.notice_endpoint'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.notice_text'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.escalation_level'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.heartbeat'),
        ('administrator', 'INSERT, UPDATE, DELETE', 'integration.error_class'),
        ('administrator', 'UPDATE', 'integration.error_reason'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.new_signing_key(text)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.public_signing_key(text)'),
        ('administrator', 'EXECUTE', 'FUNCTION integration.adopt(text)')
$$;
COMMENT ON FUNCTION integration_worker.privileges() IS
    'What each level of people needs; secret values are in no level.';

CREATE FUNCTION integration_worker.grant_levels(levels text[], grantee regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    granted record;
BEGIN
    FOR granted IN SELECT p.privilege, p.object FROM integration_worker.privileges() p WHERE p.level = ANY (levels) LOOP
        EXECUTE format('GRANT %s ON %s TO %I', granted.privilege, granted.object,
                       (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid = grantee));
    END LOOP;
    INSERT INTO integration.action (verb, details)
    VALUES ('grant', jsonb_build_object('role', grantee, 'levels', levels));
END
$$;
COMMENT ON FUNCTION integration_worker.grant_levels(text[], regrole) IS
    'Grants a role what the named levels need.';

CREATE FUNCTION integration.grant_producer(role regrole) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.grant_levels('{producer}', role)
$$;
COMMENT ON FUNCTION integration.grant_producer(regrole) IS
    'Lets a role of an application insert into the outbox, learn the ids, verify signatures, nothing else.';

CREATE FUNCTION integration.grant_support(role regrole) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.grant_levels('{support}', role)
$$;
COMMENT ON FUNCTION integration.grant_support(regrole) IS
    'Lets a role see every sync with its payload and answers but for what endpoint.mask hides, retry, cancel or amend single ones.';

CREATE FUNCTION integration.grant_operator(role regrole) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.grant_levels('{support,operator}', role)
$$;
COMMENT ON FUNCTION integration.grant_operator(regrole) IS
    'What support may do, and: retry or replay many, pause, resume, ping, change limits and times of endpoints.';

CREATE FUNCTION integration.grant_administrator(role regrole) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.grant_levels('{support,operator,administrator}', role)
$$;
COMMENT ON FUNCTION integration.grant_administrator(regrole) IS
    'What operators may do, and: change connectors, endpoints, credentials, retry policies, the reading of errors, enqueue limits; see what masks hide; let a copy take over.';

CREATE FUNCTION integration.grant_customer(role regrole, customer text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF coalesce(btrim(grant_customer.customer), '') = '' OR octet_length(grant_customer.customer) > 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a grant to a customer''s role needs the customer''s name',
            HINT = 'Write the name as it stands in outbox.customer or endpoint.customer, up to 1000 bytes.';
    END IF;
    -- What a role of old lost by DROP OWNED must not come back with this grant.
    DELETE FROM integration.customer_grant g
     WHERE NOT EXISTS (SELECT
                         FROM pg_catalog.pg_class c
                        CROSS JOIN LATERAL aclexplode(c.relacl) a
                        WHERE c.oid = 'integration.customer_sync'::regclass AND a.grantee = g.role);
    PERFORM integration_worker.grant_levels('{customer}', grant_customer.role);
    INSERT INTO integration.customer_grant (role, customer)
    VALUES (grant_customer.role, grant_customer.customer)
        ON CONFLICT DO NOTHING;
    IF has_table_privilege(grant_customer.role, 'integration.sync', 'SELECT') THEN
        RAISE NOTICE '%', integration_worker.say('grant.sees_all', jsonb_build_object('role', grant_customer.role::text));
    END IF;
    IF NOT EXISTS (SELECT FROM integration.customer c WHERE c.name = grant_customer.customer)
       AND NOT EXISTS (SELECT FROM integration.endpoint e WHERE e.customer = grant_customer.customer)
       AND NOT EXISTS (SELECT FROM integration.outbox o WHERE o.customer = grant_customer.customer) THEN
        RAISE NOTICE '%', integration_worker.say('grant.no_customer', jsonb_build_object('customer', grant_customer.customer));
    END IF;
END
$$;
COMMENT ON FUNCTION integration.grant_customer(regrole, text) IS
    'Lets a role, whose members inherit it, see the syncs and objects of a customer in plain words, retry what failed, nothing else. A role may have several customers.';

CREATE FUNCTION integration.revoke(role regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    kind text;
    grantee name := (SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.oid = revoke.role);
BEGIN
    DELETE FROM integration.customer_grant g WHERE g.role = revoke.role;
    IF grantee IS NULL AND NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('role %s does not exist', revoke.role),
            HINT = 'What a role was granted ends when it is dropped.';
    END IF;
    IF grantee IS NOT NULL THEN
        FOREACH kind IN ARRAY ARRAY['TABLES', 'SEQUENCES', 'FUNCTIONS'] LOOP
            EXECUTE format('REVOKE ALL ON ALL %s IN SCHEMA integration, integration_worker FROM %I', kind, grantee);
        END LOOP;
        EXECUTE format('REVOKE ALL ON SCHEMA integration, integration_worker FROM %I', grantee);
    END IF;
    INSERT INTO integration.action (verb, details) VALUES ('revoke', jsonb_build_object('role', revoke.role));
END
$$;
COMMENT ON FUNCTION integration.revoke(regrole) IS
    'Takes back whatever a role was granted here, by any of the grant functions or by hand; what it inherits from other roles stays.';

CREATE FUNCTION integration.revoke_customer(role regrole, customer text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    DELETE FROM integration.customer_grant g
     WHERE g.role = revoke_customer.role AND g.customer = revoke_customer.customer;
    IF NOT FOUND THEN
        RAISE NOTICE '%', integration_worker.say('revoke.not_granted', jsonb_build_object(
            'role', revoke_customer.role::text, 'customer', revoke_customer.customer));
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM integration.customer_grant g WHERE g.role = revoke_customer.role)
       OR has_table_privilege(revoke_customer.role, 'integration.sync', 'SELECT')
       OR has_any_column_privilege(revoke_customer.role, 'integration.outbox', 'INSERT') THEN
        RETURN;
    END IF;
    PERFORM integration.revoke(revoke_customer.role);
END
$$;
COMMENT ON FUNCTION integration.revoke_customer(regrole, text) IS
    'Takes back what grant_customer() gave; with the last customer also the right to ask.';

-- PostgreSQL lets everybody execute a new function, use a new type, and ALTER DEFAULT PRIVILEGES may have given away more.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        WITH made (object, owner, acl) AS (
            SELECT format('SCHEMA %I', n.nspname), n.nspowner, n.nspacl
              FROM pg_catalog.pg_namespace n
             WHERE n.nspname IN ('integration', 'integration_worker')
            UNION ALL
            SELECT format('FUNCTION %s', p.oid::regprocedure), p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
              FROM pg_catalog.pg_proc p
             WHERE p.pronamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
            UNION ALL
            SELECT format('TYPE %s', t.oid::regtype), t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
              FROM pg_catalog.pg_type t
              JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
             WHERE t.typnamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
            UNION ALL
            SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass),
                   c.relowner, c.relacl
              FROM pg_catalog.pg_class c
             WHERE c.relnamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
               AND c.relkind IN ('r', 'p', 'v', 'S')
        )
        SELECT DISTINCT m.object, coalesce(quote_ident(r.rolname), 'PUBLIC') AS grantee
          FROM made m
         CROSS JOIN LATERAL aclexplode(m.acl) a
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
         WHERE a.grantee <> m.owner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', given.object, given.grantee);
    END LOOP;
END
$$;
