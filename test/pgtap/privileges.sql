-- Each level of people may do what its line in the matrix says, nothing else; nobody else may do anything.
BEGIN;
\ir ../lib/refusal.sql

INSERT INTO integration.connector (name) VALUES ('erp');
INSERT INTO integration.endpoint (name, connector, url) VALUES ('shop', 'erp', 'https://shop.example.com/'), ('mail', NULL, 'https://mail.example.com/');
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer) SELECT 'shop', 'order', 'PO-' || n, '{"a": 1}', 'acme' FROM generate_series(1, 9) n;
CREATE TEMP TABLE made AS SELECT object_id, id FROM integration.outbox WHERE endpoint = 'shop';
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason)
SELECT m.id, 1, e.id, now(), 'delivered', 'http:200' FROM made m, integration.endpoint e WHERE e.name = 'shop' AND m.object_id = 'PO-9';
DELETE FROM integration.queue q USING made m WHERE m.id = q.outbox_id AND m.object_id = 'PO-9';
UPDATE integration.queue q SET state = 'failed' FROM made m WHERE m.id = q.outbox_id AND m.object_id = 'PO-1';

CREATE ROLE "privileges Nobody";
CREATE ROLE privileges_producer;
CREATE ROLE "privileges Support";
CREATE ROLE privileges_operator;
CREATE ROLE privileges_administrator;
CREATE ROLE "privileges Customer";
SELECT integration.grant_producer('privileges_producer') \g /dev/null
SELECT integration.grant_support('"privileges Support"') \g /dev/null
SELECT integration.grant_operator('privileges_operator') \g /dev/null
SELECT integration.grant_administrator('privileges_administrator') \g /dev/null
SELECT integration.grant_customer('"privileges Customer"', 'acme') \g /dev/null

-- N stands for the id of the sync of this object; levels: who may do it.
CREATE TEMP TABLE deed (statement text, levels text[]);
INSERT INTO deed VALUES
    ($$INSERT INTO integration.outbox (endpoint, object_type, object_id, operation, payload, headers, customer, ordering_key, dedup_key, priority, impact,
           send_after, expires_at, traceparent, triggered_by, trigger_ref) VALUES ('shop', 'a', 'b', 'c', '{}', '{}', 'd', 'e', 'f', 'low', 1,
           now(), now() + interval '1 h', NULL, 'g', 'h') RETURNING id$$, '{producer}'),
    ($$INSERT INTO integration.outbox (id, endpoint, payload) VALUES (1, 'shop', '{}')$$, '{}'),
    ($$INSERT INTO integration.outbox (endpoint, payload, created_at, enqueued_by, enqueued_from, replay_of)
       VALUES ('shop', '{}', now(), session_user, 'j', NULL)$$, '{producer}'),
    ($$SELECT id FROM integration.outbox$$, '{producer,support,operator,administrator}'),
    ($$SELECT payload FROM integration.outbox$$, '{administrator}'),
    ($$SELECT response_body FROM integration.attempt$$, '{administrator}'),
    ($$SELECT * FROM integration.sync_payload, integration.sync_attempt$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.customer_sync, integration.customer_object$$, '{customer}'),
    ($$SELECT * FROM integration.customer_grant$$, '{support,operator,administrator}'),
    ($$SELECT integration.grant_customer('privileges_producer', 'acme')$$, '{}'),
    ($$SELECT integration.revoke_customer('privileges_producer', 'acme')$$, '{}'),
    ($$SELECT integration.revoke('privileges_producer')$$, '{}'),
    ($$UPDATE integration.outbox SET payload = '{}'$$, '{}'),
    ($$DELETE FROM integration.outbox$$, '{}'),
    ($$SELECT * FROM integration.sync$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.failed$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.object_status$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.endpoint_status$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.worker_status$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.endpoint_config$$, '{support,operator,administrator}'),
    ($$SELECT outbox_id, error FROM integration.attempt$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.closing, integration.sync_status, integration.action$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.queue, integration.pause, integration.incident, integration.endpoint_health$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.error_class, integration.error_reason, integration.error_rule, integration.retry_policy$$, '{support,operator,administrator}'),
    ($$SELECT integration.why(N)$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.timeline(N)$$, '{support,operator,administrator}'),
    ($$SELECT * FROM integration.preview(N)$$, '{support,operator,administrator}'),
    ($$SELECT integration.retry(N)$$, '{customer,support,operator,administrator}'),
    ($$SELECT integration.cancel(N)$$, '{support,operator,administrator}'),
    ($$UPDATE integration.sync SET state = 'pending' WHERE id = N$$, '{support,operator,administrator}'),
    ($$UPDATE integration.failed SET state = 'cancelled' WHERE id = N$$, '{support,operator,administrator}'),
    ($$SELECT integration.amend(N, '{}')$$, '{support,operator,administrator}'),
    ($$SELECT integration.retry_where('shop')$$, '{operator,administrator}'),
    ($$SELECT integration.replay(D)$$, '{operator,administrator}'),
    ($$SELECT integration.replay('shop', now())$$, '{operator,administrator}'),
    ($$SELECT integration.pause('endpoint', 'shop', 'why')$$, '{operator,administrator}'),
    ($$SELECT integration.resume('endpoint', 'shop')$$, '{operator,administrator}'),
    ($$SELECT integration.ping('shop')$$, '{operator,administrator}'),
    ($$UPDATE integration.endpoint SET max_concurrency = 2, rate_limit = 5, rate_burst = 5, connect_timeout = '1 s', timeout = '5 s', retry_policy = 'none' WHERE name = 'mail'$$,
     '{operator,administrator}'),
    ($$UPDATE integration.connector SET max_concurrency = 2 WHERE name = 'erp'$$, '{operator,administrator}'),
    ($$UPDATE integration.endpoint SET url = 'https://evil.example.com/' WHERE name = 'mail'$$, '{administrator}'),
    ($$INSERT INTO integration.connector (name) VALUES ('new')$$, '{administrator}'),
    ($$INSERT INTO integration.endpoint (name, url) VALUES ('new', 'https://new.example.com/')$$, '{administrator}'),
    ($$DELETE FROM integration.endpoint WHERE name = 'mail'$$, '{administrator}'),
    ($$INSERT INTO integration.credential (name, kind) VALUES ('new', 'bearer')$$, '{administrator}'),
    ($$SELECT * FROM integration.credential$$, '{administrator}'),
    ($$INSERT INTO integration.retry_policy (name, schedule) VALUES ('new', '{1 s}')$$, '{administrator}'),
    ($$INSERT INTO integration.error_rule (status_from, error_class) VALUES (409, 'delivered')$$, '{administrator}'),
    ($$INSERT INTO integration.error_class (name, title, remedy, customer_message) VALUES ('new', 'a', 'b', 'c')$$, '{administrator}'),
    ($$UPDATE integration.error_reason SET remedy = 'Ask Eve.' WHERE reason = 'http:503'$$, '{administrator}'),
    ($$SELECT integration.verify_signature('', '{}', 'whsec_aGk=')$$, '{producer,support,operator,administrator}'),
    ($$SELECT integration.verify_signature(''::bytea, '{}', 'whsec_aGk=')$$, '{producer,support,operator,administrator}'),
    ($$SELECT integration.public_signing_key(integration.new_signing_key('v1a'))$$, '{administrator}'),
    ($$SELECT * FROM integration.enqueue_limit, integration.enqueue_limit_status$$, '{support,operator,administrator}'),
    ($$INSERT INTO integration.enqueue_limit (scope, name, rows_per_minute) VALUES ('customer', '*', 100)$$, '{administrator}'),
    ($$SELECT * FROM integration.secret$$, '{}'),
    ($$INSERT INTO integration.secret (credential, version, sealed) VALUES ('x', 1, '')$$, '{}'),
    ($$UPDATE integration.queue SET due_at = now()$$, '{}'),
    ($$INSERT INTO integration.pause (scope, reason) VALUES ('all', 'why')$$, '{}'),
    ($$DELETE FROM integration.action$$, '{}'),
    ($$SELECT * FROM integration.installation$$, '{}'),
    ($$SELECT integration_worker.wake_at_commit(true)$$, '{}'),
    ($$SELECT integration_worker.live_syncs()$$, '{}'),
    ($$SELECT integration_worker.grant_levels('{administrator}', 'privileges_producer')$$, '{}');

CREATE TEMP TABLE person (level text, role name);
INSERT INTO person VALUES ('nobody', 'privileges Nobody'), ('producer', 'privileges_producer'), ('support', 'privileges Support'),
                          ('operator', 'privileges_operator'), ('administrator', 'privileges_administrator'), ('customer', 'privileges Customer');

SELECT plan((SELECT count(*)::integer FROM deed, person) + 6);

-- Whether the role may do it; what it did is undone.
CREATE FUNCTION pg_temp.attempted(statement text, role name) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    said text;
BEGIN
    said := pg_temp.refusal(statement, role);
    RAISE EXCEPTION USING ERRCODE = 'XXUND', MESSAGE = said;
EXCEPTION WHEN SQLSTATE 'XXUND' THEN
    RETURN CASE WHEN SQLERRM LIKE '42501 %' THEN 'denied' WHEN SQLERRM = 'accepted' THEN 'allowed' ELSE SQLERRM END;
END
$$;

SELECT is(pg_temp.attempted(replace(replace(d.statement, '(N', '(' || one.id), '= N', '= ' || one.id) , p.role),
          CASE WHEN p.level = ANY (d.levels) THEN 'allowed' ELSE 'denied' END,
          format('%s: %s', p.level, left(regexp_replace(d.statement, '\s+', ' ', 'g'), 90)))
  FROM (SELECT replace(x.statement, '(D', '(' || m.id) AS statement, x.levels FROM deed x, made m WHERE m.object_id = 'PO-9') d, person p, made one
 WHERE one.object_id = 'PO-1'
 ORDER BY d.statement, p.level;

SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p
                   WHERE p.pronamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
                     AND has_function_privilege('privileges Nobody', p.oid, 'EXECUTE')$$, 'PUBLIC may execute nothing');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c
                   WHERE c.relnamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'S')
                     AND (CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('privileges Nobody', c.oid, 'USAGE, SELECT, UPDATE')
                               ELSE has_any_column_privilege('privileges Nobody', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                                    OR has_table_privilege('privileges Nobody', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') END)$$,
                'PUBLIC may read and write nothing');
SELECT is_empty($$SELECT x.p FROM integration_worker.privileges() x (level, p, object)
                   WHERE x.level NOT IN ('producer', 'customer', 'support', 'operator', 'administrator')$$, 'the matrix has five levels');
SELECT matches(pg_temp.refusal($$SELECT integration.grant_support('nobody_of_that_name')$$), '^42704 role "nobody_of_that_name" does not exist', 'an unknown role is an error');
SELECT matches(pg_temp.refusal($$SELECT integration.grant_administrator('privileges_operator')$$, 'privileges_operator'), '^42501 ', 'nobody can raise himself');

DROP EXTENSION integration;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO "privileges Nobody";
CREATE EXTENSION integration;
SELECT ok(NOT has_table_privilege('privileges Nobody', 'integration.secret', 'SELECT')
          AND NOT has_schema_privilege('privileges Nobody', 'integration_worker', 'USAGE'), 'default privileges give nothing away');

SELECT * FROM finish();
ROLLBACK;
