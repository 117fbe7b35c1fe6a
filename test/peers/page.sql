-- A day at a company, for pages to look at: five endpoints, an outage that is over, one that lasts, names that are hostile.

-- In one transaction, so that the worker sees the open endpoint before what waits for it.
BEGIN;
SELECT setseed(0.42);
INSERT INTO integration.connector (name, title, owner, contact, runbook_url, severity, sla) VALUES
    ('sap', 'SAP ERP', 'erp-team', 'erp@example.com', 'https://wiki.example.com/sap', 1, '15 min'),
    ('shop', 'Web shop', 'web-team', '#web', NULL, 3, '1 h'),
    ('tax', 'Tax office', NULL, NULL, NULL, 2, NULL),
    ('crm', 'CRM <script>alert(1)</script>', 'sales-it', NULL, 'javascript:alert(1)', 4, NULL);
INSERT INTO integration.endpoint (name, connector, customer, url) VALUES
    ('sap-orders', 'sap', NULL, 'https://sap.example.com/o'), ('sap-invoices', 'sap', 'acme', 'https://sap.example.com/i'),
    ('shop-stock', 'shop', NULL, 'https://shop.example.com/'), ('tax-vat', 'tax', NULL, 'https://tax.example.com/'),
    ('crm-' || repeat('very-long-name-', 5) || '<b>"x"</b>', 'crm', 'globex', 'https://crm.example.com/');
CREATE TEMP TABLE target AS SELECT e.name, e.id, row_number() OVER (ORDER BY e.id) AS n FROM integration.endpoint e;

-- Past the door, whose queue rows would be sent.
SET session_replication_role = replica;
INSERT INTO integration.outbox (id, endpoint, object_type, object_id, payload, customer, created_at)
SELECT -g, t.name, 'order', 'PO-' || 100000 - g, '{}', CASE WHEN g % 5 IN (0, 3) THEN 'acme' END,
       now() - interval '23 hours' * (g / 20000.0 + 0.04 * sin(g / 20000.0 * 12.6))
  FROM generate_series(1, 20000) g
  JOIN target t ON t.n = 1 + g % 5;
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class, http_status, error, response_body)
SELECT o.id, 1, t.id, o.created_at + interval '20 ms', 20 + 50 * t.n * exp(2 * random() * random() + sin(o.id / 3000.0)),
       f.outcome, f.reason, f.error_class, substr(f.reason, 6)::integer, f.error,
       CASE f.reason WHEN 'http:422' THEN '{"errors": [{"pointer": "#/lines/0/price", "detail": "must be positive"}]}' END
  FROM integration.outbox o
  JOIN target t ON t.name = o.endpoint
 CROSS JOIN LATERAL (
       SELECT (t.n = 3 AND o.created_at BETWEEN now() - interval '9 h' AND now() - interval '7 h' AND random() < 0.8)
              OR (t.n = 4 AND o.created_at > now() - interval '70 min')) AS d (is_down)
 CROSS JOIN LATERAL (
       SELECT 'failed', 'http:503', 'remote_unavailable', 'down for <i>maintenance</i>' WHERE d.is_down
       UNION ALL
       SELECT 'failed', 'http:422', 'validation', 'Invalid order: /lines/0/price must be positive' WHERE NOT d.is_down AND t.n IN (1, 2) AND o.id % 800 = 0
       UNION ALL
       SELECT 'delivered', 'http:200', NULL, NULL
       LIMIT 1) AS f (outcome, reason, error_class, error)
 WHERE o.id < 0;
SET session_replication_role = origin;
INSERT INTO integration.endpoint_health (endpoint_id, state, last_success_at, last_failure_at, last_reason, open_until)
SELECT t.id, CASE t.n WHEN 4 THEN 'open' ELSE 'closed' END, now(), now(), 'http:503', CASE t.n WHEN 4 THEN now() + interval '1 h' END FROM target t;
INSERT INTO integration.queue (outbox_id, endpoint_id, state, due_at, attempts, payload_bytes, error_class, change_xid)
SELECT a.outbox_id, a.endpoint_id, CASE a.reason WHEN 'http:422' THEN 'failed' ELSE 'retrying' END, now() - interval '3 min', 1, 2, a.error_class,
       pg_current_xact_id()
  FROM integration.attempt a
 WHERE a.outcome = 'failed' AND (a.reason = 'http:422' OR a.started_at > now() - interval '70 min');

INSERT INTO integration.incident (endpoint, error_class, severity, owner, responsible, remedy, opened_at, syncs, objects, customers, impact, example)
SELECT t.name, k.name, c.severity, c.owner, i.responsible, k.remedy, now() - i.ago, i.syncs, i.syncs, 2, i.impact,
       (SELECT max(a.outbox_id) FROM integration.attempt a WHERE a.endpoint_id = t.id AND a.outcome = 'failed')
  FROM (VALUES (4, 'remote_unavailable', 'remote_vendor', interval '66 min', 412, 128000), (1, 'validation', 'customer', '5 h', 25, NULL))
       AS i (n, error_class, responsible, ago, syncs, impact)
  JOIN target t USING (n)
  JOIN integration.endpoint_config c ON c.id = t.id
  JOIN integration.error_class k ON k.name = i.error_class;
INSERT INTO integration.incident (endpoint, error_class, state, severity, owner, remedy, opened_at, resolved_at, resolution, worked, syncs)
VALUES ('shop-stock', 'remote_unavailable', 'resolved', 3, 'web-team', '', now() - interval '9 h', now() - interval '7 h', NULL, NULL, 8123),
       ('tax-vat', 'remote_unavailable', 'resolved', 2, NULL, '', now() - interval '3 d', now() - interval '71 h', 'The tax office restarted its gateway', true, 97);
INSERT INTO integration.pause (scope, name, reason, actor) VALUES ('connector', 'crm', 'moves to the new version this weekend', 'ada');
COMMIT;
