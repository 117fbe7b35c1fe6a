-- What a customer's role sees, may do: its own, in plain words, by whatever way it has the role.
BEGIN;
\ir ../lib/refusal.sql

INSERT INTO integration.connector (name, title) VALUES ('erp', 'Order API'), ('crm', NULL);
INSERT INTO integration.endpoint (name, connector, url, idempotent) VALUES
    ('access-shared', 'erp', 'https://a.example.com/', true), ('access-once', 'crm', 'https://a.example.com/', false);
INSERT INTO integration.endpoint (name, connector, customer, url) VALUES ('access-acme', 'erp', 'acme', 'https://a.example.com/');

-- object, endpoint, customer of the row, what became of it
CREATE TEMP TABLE made (object_id text, endpoint text, customer text, state text, reason text, error_class text, id bigint);
INSERT INTO made VALUES
    ('waits', 'access-shared', 'acme', 'pending', NULL, NULL), ('refused', 'access-shared', 'acme', 'failed', 'http:422', 'validation'),
    ('down', 'access-shared', 'acme', 'failed', 'curl:7', 'connect'), ('again', 'access-shared', 'acme', 'retrying', 'curl:7', 'connect'),
    ('arrived', 'access-shared', 'acme', 'delivered', 'http:200', NULL), ('withdrawn', 'access-shared', 'acme', 'cancelled', NULL, NULL),
    ('late', 'access-shared', 'acme', 'expired', NULL, NULL), ('replaced', 'access-shared', 'acme', 'superseded', NULL, NULL),
    ('unknown', 'access-once', 'acme', 'failed', 'curl:28:response', 'timeout_response'),
    ('own waits', 'access-acme', NULL, 'pending', NULL, NULL), ('own down', 'access-acme', NULL, 'failed', 'curl:7', 'connect'),
    ('own arrived', 'access-acme', NULL, 'delivered', 'http:200', NULL), ('own withdrawn', 'access-acme', NULL, 'cancelled', NULL, NULL),
    ('ours', 'access-shared', NULL, 'failed', 'curl:7', 'connect'), ('bolt''s', 'access-shared', 'bolt', 'failed', 'curl:7', 'connect'),
    ('bolt''s at acme', 'access-acme', 'bolt', 'delivered', 'http:200', NULL);
WITH new AS (
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer)
    SELECT m.endpoint, 'order', m.object_id, '{}', m.customer FROM made m RETURNING id, object_id)
UPDATE made m SET id = n.id FROM new n WHERE n.object_id = m.object_id;
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class)
SELECT m.id, 1, q.endpoint_id, '2026-01-01', 1000, CASE WHEN m.state = 'delivered' THEN 'delivered' ELSE 'failed' END, m.reason, m.error_class
  FROM made m JOIN integration.queue q ON q.outbox_id = m.id WHERE m.reason IS NOT NULL;
INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at, delivered_outbox_id, delivered_at, error_class, remote_id)
SELECT q.endpoint_id, 'order', m.object_id, CASE m.state WHEN 'delivered' THEN 'in_sync' WHEN 'failed' THEN 'failed' ELSE 'failing' END, m.id, now(),
       CASE m.state WHEN 'delivered' THEN m.id END, CASE m.state WHEN 'delivered' THEN now() END, m.error_class, CASE m.state WHEN 'delivered' THEN 'R-' || m.object_id END
  FROM made m JOIN integration.queue q ON q.outbox_id = m.id WHERE m.reason IS NOT NULL;
UPDATE integration.queue q SET state = m.state, attempts = 1, error_class = m.error_class
  FROM made m WHERE m.id = q.outbox_id AND m.state IN ('failed', 'retrying');
DELETE FROM integration.queue q USING made m WHERE m.id = q.outbox_id AND m.state NOT IN ('pending', 'failed', 'retrying');
INSERT INTO integration.closing (outbox_id, state) SELECT m.id, m.state FROM made m WHERE m.state IN ('cancelled', 'expired', 'superseded');
GRANT SELECT ON made TO PUBLIC;

CREATE ROLE access_portal;
CREATE ROLE access_member IN ROLE access_portal;
CREATE ROLE access_apart NOINHERIT IN ROLE access_portal;
CREATE ROLE access_two;
SELECT integration.grant_customer('access_portal', 'acme'), integration.grant_customer('access_two', 'acme'), integration.grant_customer('access_two', 'bolt') \g /dev/null

SELECT plan(43);

CREATE TEMP TABLE told (object_id text, state text, explanation text, can_retry boolean);
INSERT INTO told VALUES
    ('waits', 'pending', 'Your data is waiting for its turn. It is sent automatically.', false),
    ('refused', 'failed', 'The other system does not accept the data of this record. It is not tried again by itself.', true),
    ('down', 'failed', 'The other system cannot be reached at the moment. It is not tried again by itself; we look after it.', true),
    ('again', 'retrying', 'The other system cannot be reached at the moment. We keep trying.', false),
    ('arrived', 'delivered', 'Your data has arrived.', false),
    ('withdrawn', 'cancelled', 'This was withdrawn. It is not sent.', false),
    ('late', 'expired', 'Your data could not be sent in time. It is not sent any more.', false),
    ('unknown', 'failed', 'The other system took too long to answer, so it is not certain yet whether your data arrived. Nothing is sent again before we know that.', false),
    ('own waits', 'pending', 'Your data is waiting for its turn. It is sent automatically.', false),
    ('own down', 'failed', 'The other system cannot be reached at the moment. It is not tried again by itself; we look after it.', true),
    ('own arrived', 'delivered', 'Your data has arrived.', false),
    ('own withdrawn', 'cancelled', 'This was withdrawn. It is not sent.', false);
GRANT SELECT ON told TO PUBLIC;

-- pgTAP asks as the current user.
SET ROLE access_portal;
SELECT is_empty('SELECT s.object_id, s.state, s.explanation, s.can_retry FROM integration.customer_sync s EXCEPT SELECT t.* FROM told t', 'a customer sees no more than its own');
SELECT is_empty('SELECT t.* FROM told t EXCEPT SELECT s.object_id, s.state, s.explanation, s.can_retry FROM integration.customer_sync s', 'and all of it but what was replaced, in plain words');
SELECT is((SELECT count(*) FROM integration.customer_sync), 12::bigint, 'each once');
SELECT is((SELECT count(*) FROM integration.customer_sync s JOIN made m ON s.id = m.id), 12::bigint, 'by ids too');
SELECT is((SELECT string_agg(DISTINCT s.system COLLATE "C", ' ' ORDER BY s.system COLLATE "C") FROM integration.customer_sync s), 'Order API crm', 'where to is the product''s title, or its name');
SELECT is((SELECT s.finished_at FROM integration.customer_sync s WHERE s.object_id = 'arrived'), '2026-01-01 00:00:01'::timestamptz, 'when it arrived');
SELECT is((SELECT string_agg(format('%s=%s', o.object_id, o.state), ', ' ORDER BY o.object_id COLLATE "C") FROM integration.customer_object o),
          'again=failing, arrived=in_sync, down=failed, own arrived=in_sync, own down=failed, own waits=pending, refused=failed, unknown=failed, waits=pending',
          'its objects: what was tried, what waits');
SELECT is((SELECT o.remote_id FROM integration.customer_object o WHERE o.object_id = 'own arrived'), 'R-own arrived', 'with the other system''s ids');
SELECT is(integration.retry(m.id, 'please'), 'pending', format('it may retry what failed: %s', m.object_id)) FROM made m WHERE m.object_id IN ('refused', 'own down');
SELECT matches(pg_temp.refusal(format('SELECT integration.retry(%s)', m.id), 'access_portal'), '^' || r.said, format('not %s', m.object_id))
  FROM (VALUES ('waits', '55000 sync \d+ is pending'), ('again', '55000 sync \d+ is retrying'), ('arrived', '55000 sync \d+ is delivered'),
               ('withdrawn', '55000 sync \d+ is cancelled'), ('unknown', '55000 sync \d+ may have arrived and must not be sent twice'),
               ('ours', '42704 sync \d+ does not exist'), ('bolt''s', '42704 sync \d+ does not exist'), ('bolt''s at acme', '42704 sync \d+ does not exist')) AS r (object_id, said)
  JOIN made m ON m.object_id = r.object_id;
RESET ROLE;
SELECT is((SELECT count(*) FROM integration.action a JOIN made m ON m.id = a.outbox_id
            WHERE a.verb = 'retry' AND a.actor = session_user AND a.reason = 'please' AND a.details ->> 'role' = 'access_portal'), 2::bigint, 'with a record of who did');
SELECT matches((SELECT string_agg(t.details, '') FROM made m, integration.timeline(m.id) t WHERE m.object_id = 'refused'), 'was failed; by role access_portal', 'which support reads');

UPDATE integration.queue q SET expires_at = now() - interval '1 s' FROM made m WHERE m.id = q.outbox_id AND m.object_id = 'down';
SET ROLE access_portal;
SELECT matches(pg_temp.refusal(format('SELECT integration.retry(%s)', m.id), 'access_portal'), '^55000 sync \d+ is too late', 'nor what has expired') FROM made m WHERE m.object_id = 'down';
SELECT is((SELECT s.can_retry FROM integration.customer_sync s WHERE s.object_id = 'down'), false, 'and the view says so');
RESET ROLE;

-- By membership.
SET ROLE access_member;
SELECT is((SELECT count(*) FROM integration.customer_sync), 12::bigint, 'a member that inherits sees the same');
RESET ROLE;
SELECT matches(pg_temp.refusal('SELECT count(*) FROM integration.customer_sync', 'access_apart'), '^42501 ', 'one that does not inherit must SET ROLE');
SET ROLE access_two;
SELECT is((SELECT string_agg(DISTINCT s.customer, ' ') FROM integration.customer_sync s), 'acme bolt', 'a role may have several customers');
SELECT is((SELECT count(*) FROM integration.customer_sync s WHERE s.customer = 'bolt'), 2::bigint, 'also what was sent through another''s endpoint');
RESET ROLE;
GRANT access_portal TO access_two;
SET ROLE access_two;
SELECT is((SELECT count(*) FROM integration.customer_sync s WHERE s.customer = 'acme'), 12::bigint, 'the same customer twice shows nothing twice');
RESET ROLE;
SELECT integration.grant_support('access_two') \g /dev/null
SET ROLE access_two;
SELECT is(integration.retry(m.id), 'pending', 'whoever is support too retries as support') FROM made m WHERE m.object_id = 'ours';
RESET ROLE;

-- What was given and taken.
SELECT integration.revoke_customer('access_two', 'bolt') \g /dev/null
SET ROLE access_two;
SELECT is((SELECT string_agg(DISTINCT s.customer, ' ') FROM integration.customer_sync s), 'acme', 'one customer is taken back');
RESET ROLE;
REVOKE access_portal FROM access_two;
SELECT integration.revoke_customer('access_two', 'acme') \g /dev/null
SET ROLE access_two;
SELECT is((SELECT count(*) FROM integration.customer_sync), 0::bigint, 'the last one: nothing is seen');
SELECT ok((SELECT count(*) FROM integration.failed) > 0, 'support is not touched by that');
RESET ROLE;
DROP OWNED BY access_portal;
SELECT matches(pg_temp.refusal('SELECT count(*) FROM integration.customer_sync', 'access_portal'), '^42501 ', 'DROP OWNED takes it');
SELECT integration.grant_customer('access_portal', 'other') \g /dev/null
SET ROLE access_portal;
SELECT is((SELECT count(*) FROM integration.customer_sync), 0::bigint, 'and a later grant of another customer does not bring it back');
RESET ROLE;
SELECT integration.grant_customer('access_portal', 'acme') \g /dev/null
REVOKE ALL ON integration.customer_sync FROM access_portal;
SET ROLE access_portal;
SELECT is((SELECT count(*) FROM integration.customer_object), 0::bigint, 'REVOKE by hand on the one view empties the other');
SELECT matches(pg_temp.refusal(format('SELECT integration.retry(%s)', m.id), 'access_portal'), '^42704 ', 'and ends retries') FROM made m WHERE m.object_id = 'own down';
RESET ROLE;
SELECT integration.grant_customer('access_portal', 'acme') \g /dev/null
SELECT matches(pg_temp.refusal('DROP ROLE access_portal'), '^2BP01 ', 'a role that still sees a customer can''t be dropped by mistake');
DROP OWNED BY access_portal;
DROP ROLE access_portal;
CREATE ROLE access_portal;
SELECT integration.grant_customer('access_portal', 'other') \g /dev/null
SET ROLE access_portal;
SELECT is((SELECT count(*) FROM integration.customer_sync), 0::bigint, 'a new role of the same name is another');
RESET ROLE;
SELECT is((SELECT string_agg(g.role || ' ' || g.customer, ', ') FROM integration.customer_grant g WHERE g.role::text LIKE 'access%'), 'access_portal other', 'what lapsed is cleared away');

-- What can't be meant.
SELECT is(pg_temp.refusal($$SELECT integration.grant_customer('access_portal', ' ')$$),
          '22023 a grant to a customer''s role needs the customer''s name | Write the name as it stands in outbox.customer or endpoint.customer, up to 1000 bytes.', 'an empty name');
SELECT matches(pg_temp.refusal($$SELECT integration.grant_customer('access_portal', NULL)$$), '^22023 a grant to a customer''s role needs', 'none');
SELECT matches(pg_temp.refusal($$SELECT integration.grant_customer('nobody_of_that_name', 'acme')$$), '^42704 role', 'no such role');

-- A role that is gone
INSERT INTO integration.customer_grant (role, customer) VALUES ('4294967294', 'acme');
SELECT integration.revoke('4294967294') \g /dev/null
SELECT is_empty($$SELECT FROM integration.customer_grant g WHERE g.role = 4294967294$$, 'what is left of it can be cleared away');
SELECT is(pg_temp.refusal($$SELECT integration.revoke('4294967294')$$),
          '42704 role 4294967294 does not exist | What a role was granted ends when it is dropped.', 'nothing is left of it');

SELECT * FROM finish();
ROLLBACK;
