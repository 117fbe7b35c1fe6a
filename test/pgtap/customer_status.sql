-- What a customer is told of an object: a fixed vocabulary, in its own language, nothing internal.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(33);

INSERT INTO integration.connector (name, title) VALUES ('told-erp', 'Order API');
INSERT INTO integration.endpoint (name, connector, url, idempotent) VALUES
    ('told-shared', 'told-erp', 'https://a.example.com/', true), ('told-once', 'told-erp', 'https://a.example.com/', false),
    ('told-stopped', 'told-erp', 'https://a.example.com/', true), ('told-paused', 'told-erp', 'https://a.example.com/', true);
INSERT INTO integration.customer (name, locale) VALUES ('told-acme', NULL), ('told-bolt', 'de_AT');

-- object, endpoint, what became of it; the status, the cause's class that it must be told as
CREATE TEMP TABLE made (object_id text, endpoint text, state text, reason text, error_class text, status text, class text, advice text);
INSERT INTO made VALUES
    ('waits', 'told-shared', 'pending', NULL, NULL, 'waiting', 'deferred', ':deferred'),
    ('again', 'told-shared', 'retrying', 'http:503', 'remote_unavailable', 'delayed', 'remote_unavailable', 'http:503'),
    ('stopped', 'told-stopped', 'pending', NULL, NULL, 'held', 'auth', ':auth'),
    ('paused', 'told-paused', 'retrying', 'http:503', 'remote_unavailable', 'held', 'deferred', ':deferred'),
    ('refused', 'told-shared', 'failed', 'http:422', 'validation', 'needs_you', 'validation', 'http:422'),
    ('down', 'told-shared', 'failed', 'http:500', 'remote_error', 'needs_us', 'remote_error', 'http:500'),
    ('unknown', 'told-once', 'failed', 'curl:28:response', 'timeout_response', 'checking', 'timeout_response', 'curl:28:response'),
    ('arrived', 'told-shared', 'delivered', 'http:200', NULL, 'arrived', 'success', 'http:200'),
    ('withdrawn', 'told-shared', 'cancelled', NULL, NULL, 'withdrawn', 'cancelled', ':cancelled'),
    ('late', 'told-shared', 'expired', NULL, NULL, 'too_late', 'expired', ':expired');
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer)
SELECT m.endpoint, 'order', m.object_id, '{}', 'told-acme' FROM made m;
CREATE TEMP VIEW facts AS SELECT m.*, o.id, e.id AS endpoint_id FROM made m JOIN integration.outbox o USING (object_id, endpoint) JOIN integration.endpoint e ON e.name = m.endpoint;
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class, error)
SELECT f.id, 1, f.endpoint_id, now() - interval '1 min', 1000, CASE f.state WHEN 'delivered' THEN 'delivered' ELSE 'failed' END, f.reason, f.error_class, 'secret detail'
  FROM facts f WHERE f.reason IS NOT NULL;
UPDATE integration.queue q SET state = f.state, attempts = 1, error_class = f.error_class, due_at = now() + interval '1 h'
  FROM facts f WHERE f.id = q.outbox_id AND f.state IN ('failed', 'retrying');
INSERT INTO integration.closing (outbox_id, state) SELECT f.id, f.state FROM facts f WHERE f.state IN ('cancelled', 'expired');
DELETE FROM integration.queue q USING facts f WHERE f.id = q.outbox_id AND f.state IN ('delivered', 'cancelled', 'expired');
INSERT INTO integration.endpoint_health (endpoint_id, state, last_reason, last_error) SELECT e.id, 'stopped', 'http:498', 'secret detail' FROM integration.endpoint e WHERE e.name = 'told-stopped';
SELECT integration.pause('endpoint', 'told-paused', 'secret reason') \g /dev/null

CREATE ROLE told_acme;
CREATE ROLE told_support;
SELECT integration.grant_customer('told_acme', 'told-acme'), integration.grant_support('told_support') \g /dev/null
GRANT SELECT ON made TO told_acme, told_support;


SET ROLE told_acme;
SELECT is((SELECT s.status FROM integration.customer_status('told-acme', m.object_id) s), m.status, format('%s: %s', m.object_id, m.status)) FROM made m;
SELECT is_empty($$SELECT m.object_id FROM made m CROSS JOIN LATERAL integration.customer_status('told-acme', m.object_id) s
                   WHERE s.standing IS NULL OR s.cause IS NULL OR s.advice = '' OR s.next IS NULL AND s.status <> 'arrived'$$, 'each with where it stands, why, what comes next, what to do');
SELECT is_empty($$SELECT m.object_id FROM made m CROSS JOIN LATERAL integration.customer_status('told-acme', m.object_id) s WHERE to_jsonb(s)::text ~ 'secret|told-(shared|once|stopped|paused)|http|curl'$$, 'nothing internal');
SELECT is_empty($$SELECT m.object_id, s.status, m.status FROM made m JOIN integration.customer_sync s USING (object_id) WHERE s.status <> m.status$$, 'customer_sync has the same words');
SELECT is((SELECT count(*) FROM integration.customer_sync s), 10::bigint, 'for each sync');
SELECT is((SELECT o.status FROM integration.customer_object o WHERE o.object_id = 'stopped'), 'held', 'so has customer_object');
SELECT is((SELECT ROW (s.system, s.object_type, s.can_retry, s.sync IS NOT NULL, s.since < now(), s.next_attempt_at)::text FROM integration.customer_status('told-acme', 'down') s), '("Order API",order,t,t,t,)', 'where to, since when, whether it may be sent again');
SELECT is((SELECT s.advice FROM integration.customer_status('told-acme', 'refused') s), 'Please correct the data of this record and save it again. You can have it sent again.', 'what they can do');
SELECT is((SELECT s.can_retry FROM integration.customer_status('told-acme', 'unknown') s), false, 'not what may have arrived');
SELECT is((SELECT s.next_attempt_at FROM integration.customer_status('told-acme', 'again') s), now() + interval '1 h', 'when it is tried again');
SELECT is((SELECT s.cause FROM integration.customer_status('told-acme', 'stopped') s), 'The other system does not accept our login.', 'why it is held back');
SELECT is((SELECT s.cause FROM integration.customer_status('told-acme', 'paused') s), 'Your data is waiting for its turn.', 'a pause is nobody else''s business');
SELECT is((SELECT s.status || ': ' || s.cause FROM integration.customer_status('told-acme', 'never') s), 'unknown: We know of nothing that was to be sent under this name.', 'what there is not');
SELECT is((SELECT count(*) FROM integration.customer_status('told-acme', 'waits', 'invoice') s WHERE s.status = 'unknown'), 1::bigint, 'nor is there an object of another kind');
SELECT is(integration.retry(s.sync), 'pending', 'the number is what retry takes') FROM integration.customer_status('told-acme', 'refused') s;
SELECT is((SELECT s.status FROM integration.customer_status('told-acme', 'refused') s), 'waiting', 'then it is on its way again');
RESET ROLE;

-- Of others' objects nothing, for support of all
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer) VALUES ('told-shared', 'order', 'bolted', '{}', 'told-bolt');
SET ROLE told_acme;
SELECT is((SELECT s.status FROM integration.customer_status('told-bolt', 'bolted') s), 'unknown', 'others'' objects are not there');
SELECT is((SELECT s.status FROM integration.customer_status('told-acme', 'bolted') s), 'unknown', 'by no name');
SELECT matches(pg_temp.refusal('SELECT integration_worker.customer_told(''{told-bolt}'', ''bolted'', NULL)', 'told_acme'), '^42501', 'nor by another way');
SET ROLE told_support;
SELECT is((SELECT s.status FROM integration.customer_status('told-bolt', 'bolted') s), 'waiting', 'support may look for everybody');
RESET ROLE;

-- Each in its own language
INSERT INTO integration.phrase (locale, key, words) VALUES ('de', 'customer.standing.waiting', 'Unterwegs'), ('de', 'customer.cause.deferred', 'Ihre Daten sind an der Reihe, sobald es geht.');
INSERT INTO integration.remedy (locale, audience, error_class, words) VALUES ('de-AT', 'customer', 'deferred', 'Sie brauchen nichts zu tun.');
SELECT is((SELECT concat_ws('|', s.standing, s.cause, s.next, s.advice) FROM integration.customer_status('told-bolt', 'bolted') s),
          'Unterwegs|Ihre Daten sind an der Reihe, sobald es geht.|It is sent automatically.|Sie brauchen nichts zu tun.', 'in the customer''s language, what it lacks in English');
SELECT is((SELECT s.standing FROM integration.customer_status('told-acme', 'waits') s), 'On its way', 'not the others''');

-- The newest state counts, at each system
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer) VALUES ('told-shared', 'order', 'late', '{}', 'told-acme');
SELECT is((SELECT s.status FROM integration.customer_status('told-acme', 'late') s), 'waiting', 'what is newer counts');
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer) VALUES ('told-once', 'order', 'late', '{}', 'told-acme');
SELECT is((SELECT count(*) FROM integration.customer_status('told-acme', 'late') s), 2::bigint, 'a line for each way it takes');

SELECT * FROM finish();
ROLLBACK;
