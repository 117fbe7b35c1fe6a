-- The registry, walked through: what is good, what is refused with which words.
\set SHOW_CONTEXT never
\set ON_ERROR_ROLLBACK on
BEGIN;

INSERT INTO integration.retry_policy (name, schedule, jitter, deadline)
VALUES ('stubborn', ARRAY['1 s', '1 min', '1 h']::interval[], 0.1, '1 day');
INSERT INTO integration.connector (name, title, owner, severity, sla, method, timeout, headers)
VALUES ('erp', 'The ERP', 'sales team', 1, '1 hour', 'PUT', '20 s', '{"X-Client": "shop", "X-Version": "1"}');
INSERT INTO integration.endpoint (name, connector, customer, url, headers, retry_policy)
VALUES ('erp-acme', 'erp', 'acme', 'https://erp.acme.example/orders/{object_id}', '{"X-Version": "2"}', 'stubborn');

-- what the endpoint sets, what comes from the connector, what from the extension
SELECT method, timeout, connect_timeout, retry_policy, headers, owner, severity, sla FROM integration.endpoint_config WHERE name = 'erp-acme';
SELECT key AS setting, value AS comes_from
  FROM integration.endpoint_config, jsonb_each_text(sources)
 WHERE name = 'erp-acme' AND key IN ('method', 'timeout', 'connect_timeout', 'retry_policy', 'headers', 'owner')
 ORDER BY key;

-- addresses
INSERT INTO integration.endpoint (name, url) VALUES ('x', '');
INSERT INTO integration.endpoint (name, url) VALUES ('x', 'shop.example.com/orders');
INSERT INTO integration.endpoint (name, url) VALUES ('x', 'ftp://shop.example.com/orders');
INSERT INTO integration.endpoint (name, url) VALUES ('x', 'http://shop.example.com/orders');
INSERT INTO integration.endpoint (name, url) VALUES ('x', 'https://user:secret@shop.example.com/orders');
INSERT INTO integration.endpoint (name, url) VALUES ('x', 'https://10.0.0.1/orders');
INSERT INTO integration.endpoint (name, url) VALUES ('x', 'https://shop.example.com/orders/{order}');

-- headers
UPDATE integration.endpoint SET headers = '{"X Version": "1"}' WHERE name = 'erp-acme';
UPDATE integration.endpoint SET headers = '{"X-Version": "1\r\nX-Evil: yes"}' WHERE name = 'erp-acme';
UPDATE integration.endpoint SET headers = '{"X-Version": 1}' WHERE name = 'erp-acme';
UPDATE integration.connector SET headers = '["X-Version"]' WHERE name = 'erp';

-- schedules
INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', '{5 s,-1 min}');
INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', '{1 mon}');
INSERT INTO integration.retry_policy (name, schedule, deadline) VALUES ('x', '{1 h}', '5 min');
INSERT INTO integration.retry_policy (name, schedule, jitter) VALUES ('x', '{1 h}', 20);
DELETE FROM integration.retry_policy WHERE name = 'standard';
DELETE FROM integration.retry_policy WHERE name = 'stubborn';

-- names, limits, times
INSERT INTO integration.connector (name) VALUES ('');
UPDATE integration.endpoint SET method = 'post' WHERE name = 'erp-acme';
UPDATE integration.endpoint SET timeout = '1 hour' WHERE name = 'erp-acme';
UPDATE integration.endpoint SET max_concurrency = 0 WHERE name = 'erp-acme';
UPDATE integration.endpoint SET rate_limit = -1 WHERE name = 'erp-acme';
UPDATE integration.endpoint SET payload_check = '$.total' WHERE name = 'erp-acme';
UPDATE integration.connector SET severity = 9 WHERE name = 'erp';

ROLLBACK;
