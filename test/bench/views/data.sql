-- A database as its people find it after a bad day: :attempts attempts, :failed failures that wait for somebody.
--
-- Written beside the doors, so that it takes a minute: nothing of it is ever sent.
SET synchronous_commit = off;
SELECT integration.pause('all', NULL, 'a database to look at');

INSERT INTO integration.connector (name, title, owner, contact, severity, sla, runbook_url)
SELECT 'product' || g, 'Product ' || g, 'team' || g % 4, 'vendor' || g || '@example.com', 1 + g % 4, '1 hour',
       'https://example.com/product' || g
  FROM generate_series(0, 9) AS g;
INSERT INTO integration.endpoint (name, url, connector, customer)
SELECT 'endpoint' || g, 'https://vendor' || g || '.example.com/', 'product' || g % 10,
       CASE WHEN g % 2 = 0 THEN 'customer' || g % 50 END
  FROM generate_series(0, 99) AS g;

SELECT setval('integration.outbox_id_seq', 1);
SELECT integration_worker.make_partitions();

-- Every tenth sync belongs to the endpoint's customer, every twentieth to an ordering key, every hundredth failed
-- or waits; two of three objects were sent more than once.
CREATE TEMPORARY TABLE made AS
SELECT g AS id, e.id AS endpoint_id, e.name AS endpoint,
       'order' AS object_type, 'PO-' || g / 3 AS object_id,
       CASE WHEN g % 10 <> 0 THEN 'customer' || g % 50 END AS customer,
       CASE WHEN g % 20 = 0 THEN 'key' || g % 1000 END AS ordering_key,
       g % 1000 AS impact,
       now() - (:syncs - g) * (interval '24 hours' / :syncs) AS created_at,
       CASE WHEN g % (:syncs / :failed) = 7 THEN 'failed'
            WHEN g % 1000 = 11 THEN 'retrying'
            WHEN g > :syncs - 2000 THEN 'pending'
            WHEN g % 500 = 13 THEN 'cancelled'
            WHEN g % 500 = 14 THEN 'superseded' END AS state,
       CASE g % 5 WHEN 0 THEN 'http:503' WHEN 1 THEN 'http:422' WHEN 2 THEN 'http:400' ELSE 'http:429' END AS reason
  FROM generate_series(1, :syncs) AS g
  JOIN integration.endpoint e ON e.name = 'endpoint' || g % 997 % 100;

-- As a dump is restored: the triggers of the door stay away.
SET session_replication_role = replica;
INSERT INTO integration.outbox (id, endpoint, object_type, object_id, payload, customer, ordering_key, impact, created_at)
SELECT m.id, m.endpoint, m.object_type, m.object_id, jsonb_build_object('text', repeat('x', 200)), m.customer, m.ordering_key,
       m.impact, m.created_at
  FROM made m
 ORDER BY m.id;
RESET session_replication_role;
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, first_byte_ms, outcome, reason,
                                 error_class, http_status, error, request_url, response_headers, trace_id, span_id)
SELECT m.id, n, m.endpoint_id, m.created_at + n * interval '20 s', 20 + m.id % 200, 15 + m.id % 200,
       CASE WHEN t.failed THEN 'failed' ELSE 'delivered' END,
       CASE WHEN t.failed THEN m.reason ELSE 'http:200' END,
       CASE WHEN t.failed THEN r.error_class END,
       CASE WHEN t.failed THEN substr(m.reason, 6)::integer ELSE 200 END,
       CASE WHEN t.failed THEN 'The answer said: field number ' || m.id % 100 || ' is wrong.' END,
       'https://vendor.example.com/', '{"content-type": "application/json"}', md5(m.id::text), left(md5(m.id::text), 16)
  FROM made m
  JOIN integration.error_reason r ON r.reason = m.reason
 CROSS JOIN LATERAL generate_series(1, CASE m.state WHEN 'failed' THEN 3 WHEN 'retrying' THEN 2 WHEN 'pending' THEN 0
                                                    WHEN 'cancelled' THEN 1 WHEN 'superseded' THEN 0 ELSE 1 END) AS n
 CROSS JOIN LATERAL (SELECT m.state IS NOT NULL AS failed) t
 ORDER BY m.id;
INSERT INTO integration.queue (outbox_id, endpoint_id, state, due_at, attempts, charged, payload_bytes, ordering_key,
                               change_xid)
SELECT m.id, m.endpoint_id, m.state, CASE m.state WHEN 'retrying' THEN now() + interval '1 hour' ELSE m.created_at END,
       CASE m.state WHEN 'failed' THEN 3 WHEN 'retrying' THEN 2 ELSE 0 END, 1, 220, m.ordering_key, '3'
  FROM made m
 WHERE m.state IN ('failed', 'retrying', 'pending')
 ORDER BY m.id;
SELECT integration_worker.recall_attempts(ARRAY(SELECT q.outbox_id FROM integration.queue q WHERE q.attempts > 0));
INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
SELECT m.id, m.state, m.created_at + interval '1 min', 'not needed', CASE m.state WHEN 'superseded' THEN m.id + 1 END
  FROM made m
 WHERE m.state IN ('cancelled', 'superseded');
INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at,
                                     delivered_outbox_id, delivered_at, error_class, error, failures)
SELECT DISTINCT ON (m.endpoint_id, m.object_id)
       m.endpoint_id, m.object_type, m.object_id,
       CASE m.state WHEN 'failed' THEN 'failed' WHEN 'retrying' THEN 'failing' ELSE 'in_sync' END, m.id, m.created_at,
       CASE WHEN m.state IS NULL THEN m.id END, m.created_at,
       CASE WHEN m.state IS NOT NULL THEN 'validation' END, CASE WHEN m.state IS NOT NULL THEN 'a field is wrong' END, 1
  FROM made m
 WHERE m.state IS DISTINCT FROM 'pending'
 ORDER BY m.endpoint_id, m.object_id, m.id DESC;
INSERT INTO integration.endpoint_health (endpoint_id, state, last_success_at, last_failure_at, last_reason)
SELECT e.id, CASE e.id % 20 WHEN 0 THEN 'open' WHEN 1 THEN 'stopped' ELSE 'closed' END, now(), now(), 'http:503'
  FROM integration.endpoint e;

-- What is open now, and what was over before: three of each that came to an end.
INSERT INTO integration.incident (endpoint, error_class, state, severity, owner, responsible, remedy, opened_at, last_seen_at,
                                  resolved_at, resolution, worked, syncs, objects, customers, impact, example)
SELECT e.name, k.error_class, CASE WHEN n = 0 THEN 'open' ELSE 'resolved' END, 1 + e.id % 4, 'team' || e.id % 4, 'support',
       'Look at it.', now() - n * interval '10 hours' - interval '2 hours', now(),
       CASE WHEN n > 0 THEN now() - n * interval '10 hours' END, CASE WHEN n > 0 THEN 'it was mended' END,
       CASE WHEN n > 0 THEN true END, k.syncs, k.syncs, 5, k.impact, k.example
  FROM (SELECT q.endpoint_id, q.error_class, count(*) AS syncs, sum(o.impact) AS impact, max(q.outbox_id) AS example
          FROM integration.queue q
          JOIN integration.outbox o ON o.id = q.outbox_id
         WHERE q.state = 'failed'
         GROUP BY q.endpoint_id, q.error_class) k
  JOIN integration.endpoint e ON e.id = k.endpoint_id
 CROSS JOIN generate_series(0, 3) AS n;
INSERT INTO integration.action (at, verb, outbox_id, reason, details)
SELECT m.created_at, 'retry', m.id, 'it was mended', '{"state": "failed"}'
  FROM made m
 WHERE m.id % 100 = 1;

-- The worker counts attempts within minutes.
DO $$
DECLARE
    at bigint := 0;
BEGIN
    WHILE at IS NOT NULL LOOP
        at := integration_worker.count_traffic(at, '-infinity', 100000);
    END LOOP;
END
$$;

SELECT setval('integration.outbox_id_seq', :syncs);
CREATE ROLE desk;
SELECT integration.grant_support('desk');
CREATE ROLE chief;
SELECT integration.grant_administrator('chief');
CREATE ROLE acme;
SELECT integration.grant_customer('acme', 'customer7');
VACUUM (ANALYZE);
