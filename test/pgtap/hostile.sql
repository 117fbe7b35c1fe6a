-- Roles of the lower levels try what they can think of: they see nothing of others, change nothing, have nobody run their code.
--
-- Whatever they must not see has the word canary in it.  What the worker writes meanwhile is nobody's doing: it is not seen.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL client_min_messages = error;

INSERT INTO integration.connector (name, title, contact, runbook_url) VALUES ('erp', 'Order API', 'canary-contact', 'https://canary-runbook.example.com/');
INSERT INTO integration.credential (name, kind) VALUES ('canary-credential', 'bearer');
INSERT INTO integration.secret (credential, version, sealed) VALUES ('canary-credential', 1, 'canary-sealed');
INSERT INTO integration.endpoint (name, connector, url, headers, credential, mask) VALUES
    ('canary-shared', 'erp', 'https://canary-host.example.com/', '{"X-Key": "canary-header"}', 'canary-credential', '{$.iban}');
INSERT INTO integration.endpoint (name, connector, customer, url) VALUES
    ('canary-acme', 'erp', 'acme', 'https://canary-acme.example.com/'), ('canary-bolt', 'erp', 'bolt-canary', 'https://canary-bolt.example.com/');
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, headers, customer, triggered_by) VALUES
    ('canary-shared', 'order', 'ACME-1', '{"iban": "canary-iban", "qty": 1}', '{"X-A": "canary-header"}', 'acme', 'canary-cause'),
    ('canary-shared', 'order', 'ACME-2', '{"iban": "canary-iban", "qty": 1}', NULL, 'acme', NULL),
    ('canary-shared', 'order', 'BOLT-canary-1', '{"iban": "canary-iban"}', NULL, 'bolt-canary', NULL),
    ('canary-shared', 'order', 'BOLT-canary-2', '{"iban": "canary-iban"}', NULL, NULL, NULL),
    ('canary-acme', 'order', 'ACME-3', '{}', NULL, NULL, NULL),
    ('canary-acme', 'order', 'BOLT-canary-3', '{}', NULL, 'bolt-canary', NULL),
    ('canary-bolt', 'order', 'BOLT-canary-4', '{}', NULL, NULL, NULL),
    ('canary-bolt', 'order', 'ACME-4', '{}', NULL, 'acme', NULL);
CREATE TEMP TABLE made AS SELECT o.object_id, o.id FROM integration.outbox o WHERE o.endpoint LIKE 'canary-%';
GRANT SELECT ON made TO PUBLIC;
UPDATE integration.queue q SET state = 'failed', attempts = 1, error_class = 'connect'
  FROM made m WHERE m.id = q.outbox_id AND m.object_id NOT IN ('ACME-2');
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class, error, request_url, response_headers, response_body)
SELECT q.outbox_id, 1, q.endpoint_id, now(), 'failed', 'curl:7', 'connect', 'canary-error', 'https://canary-url.example.com/', '{"x": "canary-answer"}', 'canary-answer'
  FROM integration.queue q WHERE q.state = 'failed';
INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at, error_class, error, remote_id)
SELECT q.endpoint_id, 'order', m.object_id, 'failed', q.outbox_id, now(), 'connect', 'canary-error',
       CASE WHEN m.object_id LIKE 'ACME%' THEN 'R-1' ELSE 'canary-remote' END
  FROM integration.queue q JOIN made m ON m.id = q.outbox_id WHERE q.state = 'failed';
INSERT INTO integration.incident (endpoint, error_class, remedy, note) VALUES ('canary-shared', 'connect', 'x', 'canary-note');
INSERT INTO integration.pause (scope, name, reason) VALUES ('endpoint', 'canary-shared', 'canary-reason');
INSERT INTO integration.action (verb, outbox_id, reason) SELECT 'retry', m.id, 'canary-reason' FROM made m;

CREATE ROLE hostile_nobody;
CREATE ROLE hostile_producer;
CREATE ROLE hostile_support;
CREATE ROLE hostile_customer;
CREATE ROLE hostile_other;
SELECT integration.grant_producer('hostile_producer'), integration.grant_support('hostile_support'),
       integration.grant_customer('hostile_customer', 'acme'), integration.grant_customer('hostile_other', 'bolt-canary') \g /dev/null
GRANT CREATE ON SCHEMA public TO hostile_nobody, hostile_producer, hostile_support, hostile_customer;

-- What it got: each row, else the whole of the error.
CREATE FUNCTION pg_temp.loot(role name, statement text) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    got text := '';
    line record;
    state text;
    message text;
    detail text;
    hint text;
    context text;
BEGIN
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', role);
    IF statement ~* '^\s*(SELECT|WITH|EXPLAIN|TABLE|VALUES)' THEN
        FOR line IN EXECUTE statement LOOP
            got := got || line::text || E'\n';
        END LOOP;
    ELSE
        EXECUTE statement;
    END IF;
    RESET SESSION AUTHORIZATION;
    RETURN concat('accepted ', got);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                            hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    -- The context quotes the statement, in which the attacker may have written anything.
    RETURN concat_ws(' | ', state, message, detail, hint, replace(context, statement, ''));
END
$$;

-- Everything that stands in our tables but what the attacker may add.
CREATE FUNCTION pg_temp.treasure() RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sum text := '';
    counted text;
    name text;
BEGIN
    FOR name IN SELECT c.oid::regclass FROM pg_class c
                 WHERE c.relnamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
                   AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1 LOOP
        EXECUTE format('SELECT md5(string_agg(t::text, ''|'' ORDER BY t::text)) FROM %s t', name) INTO counted;
        sum := concat(sum, name, ' ', counted, E'\n');
    END LOOP;
    RETURN sum;
END
$$;

-- Code of theirs writes down who ran it, and what it was shown.
CREATE TABLE public.hostile_found (as_user name, seen text);
GRANT INSERT ON public.hostile_found TO PUBLIC;
SET ROLE hostile_nobody;
CREATE FUNCTION public.peek(seen anyelement) RETURNS boolean
    LANGUAGE plpgsql COST 0.0000001
AS $$ BEGIN INSERT INTO public.hostile_found VALUES (current_user, seen::text); RETURN true; END $$;
CREATE FUNCTION public.peek2(a text, b text) RETURNS boolean
    LANGUAGE plpgsql COST 0.0000001
AS $$ BEGIN INSERT INTO public.hostile_found VALUES (current_user, a || b); RETURN true; END $$;
CREATE FUNCTION public.peek2(a bigint, b bigint) RETURNS boolean
    LANGUAGE plpgsql COST 0.0000001
AS $$ BEGIN INSERT INTO public.hostile_found VALUES (current_user, concat(a, b)); RETURN a OPERATOR(pg_catalog.=) b; END $$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.peek2);
CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.peek2);
CREATE OPERATOR public.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = public.peek2);
CREATE FUNCTION public.now() RETURNS timestamptz
    LANGUAGE plpgsql
AS $$ BEGIN INSERT INTO public.hostile_found VALUES (current_user, 'now'); RETURN pg_catalog.now(); END $$;
CREATE FUNCTION public.pg_has_role(role oid, privilege text) RETURNS boolean
    LANGUAGE plpgsql
AS $$ BEGIN INSERT INTO public.hostile_found VALUES (current_user, 'pg_has_role'); RETURN true; END $$;
CREATE FUNCTION public.has_column_privilege(object oid, name text, privilege text) RETURNS boolean
    LANGUAGE plpgsql
AS $$ BEGIN INSERT INTO public.hostile_found VALUES (current_user, 'has_column_privilege'); RETURN true; END $$;
CREATE FUNCTION public.format(said text, VARIADIC others text[]) RETURNS text
    LANGUAGE plpgsql
AS $$ BEGIN INSERT INTO public.hostile_found VALUES (current_user, said); RETURN said; END $$;
CREATE FUNCTION public.btrim(said text) RETURNS text
    LANGUAGE plpgsql
AS $$ BEGIN INSERT INTO public.hostile_found VALUES (current_user, said); RETURN said; END $$;
RESET ROLE;

CREATE TEMP TABLE attack (n integer GENERATED ALWAYS AS IDENTITY, role text, statement text, answer text DEFAULT 'no canary');
-- Answers: a pattern, or what must not be in it.  $ACME-1 stands for the id of that sync.
INSERT INTO attack (role, statement, answer) VALUES
    -- tables, columns, sequences, schemas
    ('{producer,customer,nobody}', 'SELECT * FROM integration.sync', '^42501'),
    ('{producer,customer,nobody}', 'SELECT * FROM integration.attempt', '^42501'),
    ('{producer,customer,nobody}', 'SELECT url FROM integration.endpoint', '^42501'),
    ('{producer,customer,nobody}', 'SELECT * FROM integration.customer_grant', '^42501'),
    ('{producer,customer,nobody}', 'SELECT * FROM integration.sync_payload', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT payload FROM integration.outbox', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT o FROM integration.outbox o', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT * FROM integration.outbox_default', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT response_body FROM integration.attempt', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT * FROM integration.secret', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT * FROM integration.credential', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT * FROM integration.secret_status', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT last_value FROM integration.outbox_id_seq', '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT nextval('integration.outbox_id_seq')$$, '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT setval('integration.outbox_id_seq', 1)$$, '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT currval('integration.outbox_id_seq')$$, '^42501'),
    ('{producer,customer,support,nobody}', 'TRUNCATE integration.queue', '^42501'),
    ('{producer,customer,support,nobody}', 'DELETE FROM integration.action', '^42501'),
    ('{producer,customer,support,nobody}', $$UPDATE integration.endpoint SET url = 'https://evil.example.com/'$$, '^42501'),
    ('{producer,customer,support,nobody}', $$INSERT INTO integration.customer_grant (role, customer) VALUES (current_user::regrole, 'bolt-canary')$$, '^42501'),
    ('{producer,customer,support,nobody}', $$INSERT INTO integration_worker.crash DEFAULT VALUES$$, '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE TABLE integration.mine (a integer)', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE FUNCTION integration.mine() RETURNS integer LANGUAGE sql AS $f$ SELECT 1 $f$', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT * FROM integration_worker.sync_facts', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT integration_worker.retry_as($BOLT-canary-1, NULL, current_user, NULL)', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT integration_worker.request_of($BOLT-canary-1, true)', '^42501'),
    ('{producer,customer,support,nobody}', 'SELECT integration_worker.live_syncs()', '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT integration_worker.settle('{}')$$, '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT integration_worker.grant_levels('{administrator}', current_user::regrole)$$, '^42501'),
    ('{producer,customer,support,nobody}', 'SET search_path = integration_worker; SELECT state_of(1)', '^42883'),
    -- raising oneself
    ('{producer,customer,support,nobody}', 'SELECT integration.grant_administrator(current_user::regrole)', '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT integration.grant_customer(current_user::regrole, 'bolt-canary')$$, '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT integration.revoke('hostile_other')$$, '^42501'),
    ('{producer,customer,support,nobody}', 'SET ROLE hostile_other', '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT set_config('role', 'hostile_other', true)$$, '^42501'),
    ('{producer,customer,support,nobody}', 'SET session_replication_role = replica', '^42501'),
    ('{producer,customer,support,nobody}', $$SET integration.allowed_networks = '10.0.0.0/8'$$, '^(42501|55P02)'),
    ('{producer,customer,support,nobody}', $$SET integration.secret_key_file = '/etc/passwd'$$, '^(42501|55P02)'),
    ('{producer,customer,support,nobody}', $$ALTER DATABASE $$ || current_database() || $$ SET integration.secret_directory = '/'$$, '^42501'),
    ('{producer,customer,support,nobody}', 'GRANT hostile_other TO CURRENT_USER', '^42501'),
    ('{producer,support,nobody}', 'GRANT SELECT ON integration.customer_sync TO hostile_producer', '^42501'),
    -- objects of their own on or around ours
    ('{producer,customer,support,nobody}', 'CREATE TRIGGER t BEFORE INSERT ON integration.outbox FOR EACH ROW EXECUTE FUNCTION integration_worker.wake()', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE RULE r AS ON INSERT TO integration.outbox DO ALSO SELECT 1', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE POLICY p ON integration.outbox USING (public.peek(id))', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE INDEX ON integration.queue ((public.peek(outbox_id)))', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE STATISTICS public.s ON (public.peek(customer)), id FROM integration.outbox', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE TABLE public.child () INHERITS (integration.queue)', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE TABLE public.child PARTITION OF integration.outbox FOR VALUES FROM (1) TO (2)', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE TABLE public.child (id bigint REFERENCES integration.queue)', '^42501'),
    ('{producer,customer,support,nobody}', 'ALTER VIEW integration.customer_sync RESET (security_barrier)', '^42501'),
    ('{producer,customer,support,nobody}', 'ALTER FUNCTION integration.retry(bigint, text) RESET search_path', '^42501'),
    ('{producer,customer,support,nobody}', 'DROP EXTENSION integration CASCADE', '^42501'),
    ('{producer,customer,support,nobody}', 'ALTER EXTENSION integration ADD FUNCTION public.now()', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.now()', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE PUBLICATION p FOR TABLE integration.outbox', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE FUNCTION public.quiet(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS $f$ SELECT true $f$', '^42501'),
    ('{producer,customer,support,nobody}', 'CREATE CAST (bigint AS regrole) WITH FUNCTION public.peek(anyelement) AS IMPLICIT', '^42(501|P17)'),
    ('{producer,customer,support,nobody}', 'LOCK TABLE integration.queue IN ACCESS EXCLUSIVE MODE', '^42501'),
    ('{producer,customer,support,nobody}', 'LOCK TABLE integration.sync IN ACCESS EXCLUSIVE MODE', '^42501'),
    ('{producer,customer,support,nobody}', 'LOCK TABLE integration.customer_sync IN SHARE MODE', '^42501'),
    ('{producer,customer,support,nobody}', 'LOCK TABLE integration.outbox IN SHARE MODE', '^42501'),
    ('{producer,customer,support,nobody}', $$COPY (SELECT 1) TO PROGRAM 'true'$$, '^42501'),
    ('{producer,customer,support,nobody}', $$SELECT pg_read_file('postgresql.conf')$$, '^42501'),
    -- statistics, other sessions
    ('{producer,customer,nobody}', 'SELECT * FROM pg_catalog.pg_stats WHERE schemaname ~ ''^integration''', '^accepted $'),
    ('{producer,customer,nobody}', 'SELECT * FROM pg_catalog.pg_statistic', '^42501'),
    ('{producer,customer,nobody}', 'SELECT * FROM pg_catalog.pg_stat_activity', DEFAULT),
    ('{producer,customer,nobody}', 'SELECT * FROM pg_catalog.pg_sequences WHERE schemaname ~ ''^integration'' AND last_value IS NOT NULL', '^accepted $'),
    ('{producer,customer,support,nobody}', $$SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'integration%'$$, '^(42501|accepted $)'),
    -- a customer and others' rows
    ('{customer}', 'SELECT * FROM integration.customer_sync', DEFAULT),
    ('{customer}', 'SELECT * FROM integration.customer_object WHERE object_id <> ''ACME-1'' AND object_id <> ''ACME-3'' AND object_id <> ''ACME-4''', DEFAULT),
    ('{customer}', 'SELECT * FROM integration.customer_sync WHERE public.peek(object_id) AND public.peek(explanation) AND public.peek(customer)', DEFAULT),
    ('{customer}', 'SELECT * FROM integration.customer_object WHERE public.peek(object_id) AND public.peek(customer) AND public.peek(last_sync)', DEFAULT),
    ('{customer}', 'SELECT * FROM integration.customer_sync s WHERE s.object_id OPERATOR(public.<<<) s.customer', DEFAULT),
    ('{customer}', 'SELECT 1 FROM integration.customer_sync s JOIN public.made_up m ON public.peek(s.object_id)', '^42P01'),
    ('{customer}', 'SELECT count(*) FILTER (WHERE public.peek(s.object_id)) FROM integration.customer_sync s GROUP BY public.peek(s.customer)', DEFAULT),
    ('{customer}', 'SELECT * FROM integration.customer_sync ORDER BY public.peek(object_id)', DEFAULT),
    ('{customer}', $$SELECT * FROM integration.customer_sync WHERE 1 / (CASE WHEN object_id LIKE '%canary%' THEN 0 ELSE 1 END) = 1$$, '^accepted \('),
    ('{customer}', $$SELECT * FROM integration.customer_object WHERE 1 / (CASE WHEN object_id LIKE '%canary%' THEN 0 ELSE 1 END) = 1$$, '^accepted \('),
    ('{customer}', $$SELECT * FROM integration.customer_sync WHERE CASE WHEN object_id ~ 'BOLT' THEN object_id::integer ELSE 1 END = 1$$, '^accepted \('),
    ('{customer}', 'SELECT object_id::integer FROM integration.customer_sync', DEFAULT),
    ('{customer}', 'EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT * FROM integration.customer_sync', DEFAULT),
    ('{customer}', $$SELECT * FROM integration.customer_sync WHERE customer = 'bolt-canary' OR true$$, DEFAULT),
    ('{customer}', $$SELECT * FROM integration.customer_sync WHERE id = $BOLT-canary-1$$, '^accepted $'),
    ('{customer}', $$SELECT * FROM integration.customer_sync WHERE object_id = 'BOLT-canary-1'$$, '^accepted $'),
    ('{customer}', $$SELECT * FROM integration.customer_object WHERE object_id = 'BOLT-canary-1'$$, '^accepted $'),
    ('{customer}', 'SELECT * FROM integration.customer_sync FOR UPDATE', '^42501'),
    ('{customer}', $$UPDATE integration.customer_sync SET state = 'pending'$$, '^(42501|55000)'),
    ('{customer}', 'CREATE VIEW public.hole AS SELECT * FROM integration.customer_sync; GRANT SELECT ON public.hole TO hostile_producer', '^accepted'),
    ('{customer}', 'SELECT integration.retry($BOLT-canary-1)', '^42704 \| sync \d+ does not exist \|  \| Yours are in'),
    ('{customer}', 'SELECT integration.retry($BOLT-canary-3)', '^42704 '),
    ('{customer}', 'SELECT integration.retry($BOLT-canary-4)', '^42704 '),
    ('{customer}', 'SELECT integration.retry(999999999999)', '^42704 \| sync 999999999999 does not exist \|  \| Yours are in'),
    ('{customer}', 'SELECT integration.retry(NULL)', '^42704 '),
    ('{customer}', 'SELECT integration.retry(-1)', '^42704 '),
    ('{customer}', 'SELECT integration.retry($ACME-2)', '^55000 \| sync \d+ is pending and cannot be retried'),
    ('{customer}', $$SELECT integration.retry($ACME-1, repeat('x', 1001))$$, '^54000 '),
    ('{customer}', 'SELECT integration.cancel($ACME-1)', '^42501'),
    ('{customer}', $$SELECT integration.amend($ACME-1, '{}')$$, '^42501'),
    ('{customer}', 'SELECT integration.why($ACME-1)', '^42501'),
    ('{customer}', 'SELECT integration.timeline($ACME-1)', '^42501'),
    ('{customer}', 'SELECT integration.preview($ACME-1)', '^42501'),
    ('{customer}', $$INSERT INTO integration.outbox (endpoint, payload) VALUES ('canary-shared', '{}')$$, '^42501'),
    ('{customer}', $$INSERT INTO integration.customer_sync (id) VALUES (1)$$, '^(42501|55000)'),
    -- temporary objects in the place of ours
    ('{customer}', 'CREATE TEMP TABLE outbox (id bigint, customer text, endpoint text, operation text); INSERT INTO pg_temp.outbox VALUES ($BOLT-canary-1, ''acme'', ''canary-acme'', ''upsert'');'
                   'CREATE TEMP TABLE customer_grant AS SELECT ''hostile_customer''::regrole AS role, ''bolt-canary''::text AS customer;'
                   'CREATE FUNCTION pg_temp.has_column_privilege(oid, text, text) RETURNS boolean LANGUAGE sql AS ''SELECT true'';'
                   'CREATE FUNCTION pg_temp.pg_has_role(oid, text) RETURNS boolean LANGUAGE sql AS ''SELECT true'';'
                   'SET search_path = pg_temp, public, pg_catalog, integration;'
                   'SELECT integration.retry($BOLT-canary-1)', '^42704 '),
    ('{customer}', 'SET search_path = public, pg_catalog; SELECT integration.retry($BOLT-canary-1)', '^42704 '),
    -- a producer
    ('{producer}', $$INSERT INTO integration.outbox (endpoint, payload, enqueued_by) VALUES ('canary-shared', '{}', 'hostile_other')$$, '^428C9 \| enqueued_by'),
    ('{producer}', $$INSERT INTO integration.outbox (endpoint, payload) VALUES ('canary-shared', '{}') RETURNING payload$$, '^42501'),
    ('{producer}', $$INSERT INTO integration.outbox (id, endpoint, payload) VALUES (1, 'canary-shared', '{}')$$, '^42501'),
    ('{producer}', $$INSERT INTO integration.outbox (endpoint, payload) VALUES ('canary-shared', '{}') ON CONFLICT DO UPDATE SET payload = '{}'$$, '^42'),
    ('{producer}', $$UPDATE integration.outbox SET payload = '{}'$$, '^42501'),
    ('{producer}', $$INSERT INTO integration.outbox (endpoint, payload) VALUES ('x''; DROP TABLE integration.queue; --', '{}')$$, '^23503 \| endpoint "x''; DROP TABLE'),
    ('{producer}', $$INSERT INTO integration.outbox (endpoint, payload, object_id) VALUES ('canary-shared', '{}', repeat('x', 1001))$$, '^54000 '),
    ('{producer}', $$INSERT INTO integration.outbox (endpoint, payload) VALUES ('canary-shared', to_jsonb(repeat('x', 2000000)))$$, '^54000 '),
    ('{producer}', $$INSERT INTO integration.outbox (endpoint, payload, headers) VALUES ('canary-shared', '{}', '{"X-A": "b\r\nX-Evil: c"}')$$, '^22023 '),
    ('{producer}', $$INSERT INTO integration.outbox (endpoint, payload, send_after) VALUES ('canary-shared', '{}', 'infinity')$$, '^2'),
    ('{producer}', 'SELECT integration.retry($ACME-1)', '^42501'),
    -- support
    ('{support}', 'SELECT * FROM integration.customer_sync', '^42501'),
    ('{support}', $$SELECT p.payload FROM integration.sync_payload p JOIN made m USING (id) WHERE public.peek(p.payload)$$, DEFAULT),
    ('{support}', $$SELECT p.payload FROM integration.sync_payload p WHERE 1 / (CASE WHEN p.payload::text LIKE '%canary-iban%' THEN 0 ELSE 1 END) = 1$$, '^accepted \('),
    ('{support}', 'SELECT p.body FROM integration.preview($ACME-1) p', DEFAULT),
    ('{support}', $$UPDATE integration.sync SET error = 'fine'$$, '^42501'),
    ('{support}', $$SELECT integration.pause('all', NULL, 'why')$$, '^42501'),
    ('{support}', 'SELECT integration.replay($ACME-1)', '^42501'),
    ('{support}', $$SELECT integration.set_secret('canary-credential', 'x')$$, '^42501');

SELECT plan((SELECT sum(cardinality(a.role::text[]))::integer FROM attack a) + 7);

CREATE TEMP TABLE before AS SELECT pg_temp.treasure() AS held;
CREATE TEMP TABLE answered AS
SELECT a.n, r.role, a.statement, a.answer, pg_temp.loot('hostile_' || r.role, s.statement) AS got
  FROM attack a
 CROSS JOIN LATERAL unnest(a.role::text[]) AS r (role)
 CROSS JOIN LATERAL (
       SELECT coalesce((SELECT replace(a.statement, '$' || m.object_id, m.id::text)
                          FROM made m WHERE strpos(a.statement, '$' || m.object_id) > 0), a.statement) AS statement) s
 ORDER BY a.n;
RESET search_path;
SELECT CASE WHEN g.answer = 'no canary' THEN unalike(replace(g.got, 'canary"', ''), '%canary%', g.called)
            ELSE matches(g.got, g.answer, g.called) END
  FROM (SELECT a.*, concat(a.role, ': ', left(a.statement, 100)) AS called FROM answered a) g
 ORDER BY g.n, g.role;
SELECT is(pg_temp.treasure(), (SELECT b.held FROM before b), 'nothing of ours has changed');
SELECT is_empty($$SELECT f.* FROM public.hostile_found f WHERE f.as_user::text NOT LIKE 'hostile%'$$, 'nobody else ran their code');
SELECT is_empty($$SELECT f.* FROM public.hostile_found f WHERE f.seen LIKE '%canary%'$$, 'which saw nothing of others');
SELECT isnt_empty($$SELECT f.* FROM public.hostile_found f WHERE f.seen = 'ACME-1'$$, 'but did run');
TRUNCATE public.hostile_found;

-- Their code in the path of others, who use everything.
SET LOCAL search_path = public, pg_catalog;
SELECT integration.retry(m.id), integration.preview(m.id), integration.why(m.id), integration.timeline(m.id), integration.cancel(m.id, 'why')
  FROM made m WHERE m.object_id OPERATOR(pg_catalog.=) 'ACME-1' \g /dev/null
SELECT integration.amend(m.id, '{}', 'why') FROM made m WHERE m.object_id OPERATOR(pg_catalog.=) 'BOLT-canary-1' \g /dev/null
SELECT integration.pause('customer', 'acme', 'why'), integration.resume('customer', 'acme') \g /dev/null
SELECT integration.grant_customer('hostile_other', 'more'), integration.revoke_customer('hostile_other', 'more') \g /dev/null
SELECT count(*) FROM integration.sync, integration.object_status, integration.endpoint_status, integration.customer_sync, integration.customer_object \g /dev/null
SELECT count(p.payload), count(a.response_body) FROM integration.sync_payload p, integration.sync_attempt a \g /dev/null
INSERT INTO integration.outbox (endpoint, payload) VALUES ('canary-acme', '{}');
SELECT count(*) FROM integration_worker.endpoints(), integration_worker.settle('{}') \g /dev/null
RESET search_path;
SELECT is_empty('SELECT f.* FROM public.hostile_found f', 'a path with their objects first has nobody run them');

-- What a role may see is asked each time, for whoever asks.
PREPARE mine AS SELECT string_agg(s.object_id, ' ' ORDER BY s.object_id) FROM integration.customer_sync s;
SET ROLE hostile_customer;
CREATE TEMP TABLE saw AS EXECUTE mine;
RESET ROLE;
SELECT is((SELECT s.string_agg FROM saw s), 'ACME-1 ACME-2 ACME-3 ACME-4', 'a customer sees its own');
SET ROLE hostile_other;
CREATE TEMP TABLE other_saw AS EXECUTE mine;
RESET ROLE;
SELECT is((SELECT s.string_agg FROM other_saw s), 'BOLT-canary-1 BOLT-canary-3 BOLT-canary-4', 'the same statement shows another customer what is theirs');

SELECT * FROM finish();
ROLLBACK;
