-- The door, walked through: what an insert needs, what it is refused for, what people do afterwards.
\set SHOW_CONTEXT never
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT setval(pg_get_serial_sequence('integration.outbox', 'id'), 5000);

INSERT INTO integration.endpoint (name, url, max_payload_bytes, payload_check)
VALUES ('shop', 'https://shop.example.com/orders', 200, 'exists($.total)');

INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
VALUES ('shop', 'order', 'PO-1001', '{"total": 12.5}') RETURNING id;
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, ordering_key)
VALUES ('shop', 'order', 'PO-1002', '{"total": 1}', 'PO-1002'),
       ('shop', 'order', 'PO-1002', '{"total": 2}', 'PO-1002') RETURNING id;

-- refused
INSERT INTO integration.outbox (endpoint, payload) VALUES ('shoop', '{"total": 1}');
INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}');
INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', jsonb_build_object('total', repeat('9', 300)));
INSERT INTO integration.outbox (endpoint, payload, headers) VALUES ('shop', '{"total": 1}', '{"X-A": "a\r\nX-B: b"}');
INSERT INTO integration.outbox (endpoint, payload, headers) VALUES ('shop', '{"total": 1}', '{"X A": "a"}');
INSERT INTO integration.outbox (endpoint, payload, priority) VALUES ('shop', '{"total": 1}', 'urgent');
INSERT INTO integration.outbox (id, endpoint, payload) VALUES (9000, 'shop', '{"total": 1}');

-- what stands in the queue, how it looks from outside
SELECT id, state, object_id, attempts, blocked_by FROM integration.sync ORDER BY id;
SELECT object_id, state, queued, next_sync FROM integration.object_status ORDER BY object_id;

-- what was asked stays
UPDATE integration.outbox SET payload = '{"total": 13}' WHERE id = 5001;
DELETE FROM integration.outbox WHERE id = 5001;
DELETE FROM integration.endpoint WHERE name = 'shop';
UPDATE integration.endpoint SET name = 'store' WHERE name = 'shop';

-- what people do
SELECT integration.amend(5002, '{"total": 3}', 'wrong total');
SELECT integration.cancel(5001, 'ordered twice');
SELECT integration.cancel(5001);
SELECT integration.retry(5002);
SELECT integration.retry(9999);
UPDATE integration.sync SET state = 'delivered' WHERE id = 5003;
UPDATE integration.sync SET state = 'pending' WHERE id = 5001 RETURNING id, state;
SELECT id, state, superseded_by, replay_of, blocked_by FROM integration.sync ORDER BY id;
SELECT what, details FROM integration.timeline(5002);
SELECT integration.why(5003);
SELECT verb, outbox_id, reason, details FROM integration.action WHERE outbox_id IS NOT NULL ORDER BY id;

-- a connector at the end of its life
INSERT INTO integration.connector (name, status) VALUES ('old_shop', 'deprecated');
UPDATE integration.endpoint SET connector = 'old_shop' WHERE name = 'shop';
INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{"total": 1}');
UPDATE integration.connector SET status = 'retired' WHERE name = 'old_shop';
INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{"total": 1}');
SELECT integration.amend(5003, '{"total": 4}', 'wrong total');

ROLLBACK;
