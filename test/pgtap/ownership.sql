-- Whose work a failure is: the first rule that fits, else endpoint, connector, customer.
BEGIN;
\ir ../lib/settle.sql
\ir ../lib/refusal.sql
SELECT plan(40);

INSERT INTO integration.customer (name, owner) VALUES ('acme', 'key accounts'), ('bare', NULL);
INSERT INTO integration.connector (name, owner) VALUES ('erp', 'erp team'), ('crm', NULL);
INSERT INTO integration.endpoint (name, connector, url, customer, owner) VALUES
    ('shop', 'erp', 'https://shop.example.com/', NULL, NULL),
    ('own', 'erp', 'https://own.example.com/', 'acme', 'own team'),
    ('mail', 'crm', 'https://mail.example.com/', NULL, NULL),
    ('acme mail', 'crm', 'https://acme.example.com/', 'acme', NULL);

CREATE FUNCTION pg_temp.owner(endpoint text, error_class text DEFAULT NULL, customer text DEFAULT NULL, responsible text DEFAULT NULL)
    RETURNS text
    LANGUAGE sql
AS $$
    SELECT integration_worker.owner_of((SELECT e.id FROM integration.endpoint e WHERE e.name = owner.endpoint),
                                       error_class, customer, responsible)
$$;

-- Without rules: who is nearest to the wire
SELECT is(pg_temp.owner(endpoint, customer => customer), expected, concat_ws(' ', endpoint, 'for', customer))
  FROM (VALUES ('own', 'acme', 'own team'), ('shop', NULL, 'erp team'), ('shop', 'acme', 'erp team'), ('mail', 'acme', 'key accounts'),
               ('mail', NULL, NULL), ('mail', 'bare', NULL), ('mail', 'unheard of', NULL), ('acme mail', NULL, 'key accounts'),
               ('no such', 'acme', 'key accounts'), ('no such', NULL, NULL)) AS x (endpoint, customer, expected);

-- Rules: all of their conditions, the lowest position first
INSERT INTO integration.owner_rule (position, error_class, responsible, connector, endpoint, customer, owner) VALUES
    (10, 'tls', NULL, NULL, NULL, NULL, 'network team'),
    (20, NULL, 'customer', NULL, NULL, NULL, 'customer care'),
    (30, NULL, NULL, 'erp', NULL, 'acme', 'acme on erp'),
    (40, NULL, NULL, NULL, 'mail', NULL, 'postmasters'),
    (40, NULL, NULL, NULL, 'mail', NULL, 'postmasters too late'),
    (45, NULL, 'operations', 'crm', NULL, NULL, 'operators'),
    (50, 'auth', NULL, NULL, 'acme mail', NULL, 'acme post');
SELECT is(pg_temp.owner(endpoint, error_class, customer, responsible), expected, what)
  FROM (VALUES ('own', 'tls', 'acme', 'customer', 'network team', 'by class, which comes first'),
               ('own', 'validation', 'acme', 'customer', 'customer care', 'by the party that can do something'),
               ('own', 'validation', 'acme', 'engineering', 'acme on erp', 'by connector and customer'),
               ('own', NULL, NULL, NULL, 'acme on erp', 'the endpoint''s customer counts'),
               ('own', NULL, 'bare', NULL, 'own team', 'a rule of two conditions needs both'),
               ('mail', 'timeout', NULL, NULL, 'postmasters', 'by endpoint; of equals the older one'),
               ('acme mail', 'timeout', NULL, NULL, 'key accounts', 'no rule fits: as without')
       ) AS x (endpoint, error_class, customer, responsible, expected, what);

-- Everywhere the same owner
CREATE FUNCTION pg_temp.fail(endpoint text, reason text, customer text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint;
BEGIN
    INSERT INTO integration.outbox (endpoint, customer, object_type, object_id, payload)
    VALUES (fail.endpoint, fail.customer, 'order', fail.endpoint, '{}')
    RETURNING id INTO sync;
    PERFORM pg_temp.bring(sync, fail.reason);
    RETURN sync;
END
$$;
SELECT pg_temp.fail('own', 'http:422') AS refused, pg_temp.fail('shop', 'curl:60', 'acme') AS untrusted, pg_temp.fail('mail', 'http:422', 'bare') AS bare \gset
SELECT is((SELECT s.owner FROM integration.sync s WHERE s.id = :refused), 'customer care', 'sync');
SELECT is((SELECT s.owner FROM integration.failed s WHERE s.id = :refused), 'customer care', 'failed');
SELECT is((SELECT i.owner FROM integration.incident_status i WHERE i.endpoint = 'own'), 'customer care', 'incident_status');
SELECT is((SELECT s.owner FROM integration.sync s WHERE s.id = :untrusted), 'network team', 'a sync that waits');
SELECT is((SELECT i.owner FROM integration.incident_status i WHERE i.endpoint = 'shop'), 'network team', 'its incident');
SELECT integration_worker.open_incident('acme mail', 'queue_growing', now()) \g /dev/null
SELECT is((SELECT i.owner FROM integration.incident_status i WHERE i.error_class = 'queue_growing'), 'operators', 'what a watchdog finds, by the party of its class');
SELECT is((SELECT s.owner FROM integration.endpoint_status s WHERE s.name = 'mail'), 'postmasters', 'endpoint_status: what fits without a failure');
SELECT is((SELECT s.owner FROM integration.endpoint_status s WHERE s.name = 'shop'), 'erp team', 'endpoint_status: no rule by class');
SELECT is((SELECT s.owner FROM integration.object_status s WHERE s.object_id = 'own'), 'customer care', 'object_status');
SELECT is((SELECT a.owner FROM integration.sync_attempt a WHERE a.outbox_id = :refused), 'customer care', 'sync_attempt');
INSERT INTO integration.pause (scope, name, reason)
VALUES ('endpoint', 'mail', 'x'), ('connector', 'erp', 'x'), ('connector', 'crm', 'x'), ('customer', 'acme', 'x'), ('all', '', 'x');
SELECT results_eq('SELECT p.name, p.owner FROM integration.pause_status p ORDER BY 1',
    $$VALUES ('acme', 'key accounts'), ('crm', NULL), ('erp', 'erp team'), ('mail', 'postmasters'), (NULL, NULL)$$, 'pause_status');
INSERT INTO integration.enqueue_limit (scope, name, rows_per_minute) VALUES ('customer', 'acme', 10), ('role', 'acme', 10);
SELECT results_eq('SELECT l.scope, l.owner FROM integration.enqueue_limit_status l ORDER BY 1', $$VALUES ('customer', 'key accounts'), ('role', NULL)$$,
                  'enqueue_limit_status');
INSERT INTO integration.credential (name, kind) VALUES ('key', 'bearer');
INSERT INTO integration.secret (credential, version, sealed) VALUES ('key', 1, '\x00');
UPDATE integration.endpoint SET credential = 'key' WHERE name IN ('own', 'shop', 'mail');
SELECT is((SELECT s.owner FROM integration.secret_status s), 'acme on erp, erp team, postmasters', 'secret_status: of all endpoints that use it');

-- Rules that mean something
SELECT is(pg_temp.refusal('INSERT INTO integration.owner_rule ' || rest), expected, what)
  FROM (VALUES
    ($$(owner) VALUES ('all of us')$$,
     '23514 a rule without a condition would give everything to one owner | Write at least one of error_class, responsible, connector, endpoint and customer.',
     'no condition'),
    ($$(customer, owner) VALUES ('acme', ' ')$$, '23514 an owner rule needs an owner | Write the name of a team.', 'no owner'),
    ($$(error_class, owner) VALUES ('timeouts', 'x')$$,
     '23503 error class "timeouts" does not exist | Write a name from integration.error_class; an own class is added by a row there.', 'no such class'),
    ($$(responsible, owner) VALUES ('them', 'x')$$,
     '23514 responsible "them" is not known | Write customer, support, engineering, operations or remote_vendor.', 'no such party'),
    ($$(connector, owner) VALUES ('sap', 'x')$$,
     '23503 connector "sap" does not exist | Write the name of a row in integration.connector, or leave it out for all endpoints.', 'no such connector'),
    ($$(endpoint, owner) VALUES ('sap', 'x')$$,
     '23503 endpoint "sap" does not exist | Write the name of a row in integration.endpoint, or leave it out for all endpoints.', 'no such endpoint')
  ) AS x (rest, expected, what);
SELECT lives_ok($$INSERT INTO integration.owner_rule (customer, owner) VALUES ('not known yet', 'x')$$, 'a customer needs no row');
UPDATE integration.endpoint SET name = 'post' WHERE name = 'acme mail';
SELECT is((SELECT r.endpoint FROM integration.owner_rule r WHERE r.owner = 'acme post'), 'post', 'a rule follows the name of its endpoint');
DELETE FROM integration.owner_rule;
SELECT is((SELECT s.owner FROM integration.sync s WHERE s.id = :refused), 'own team', 'without rules: the endpoint''s');
SELECT is((SELECT s.owner FROM integration.sync s WHERE s.id = :bare), NULL, 'nobody''s');

SELECT * FROM finish();
ROLLBACK;
