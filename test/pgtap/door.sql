-- The door: what becomes a queue row, what is refused, what the session remembers of the registry.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(48);

INSERT INTO integration.connector (name, max_payload_bytes, payload_check) VALUES ('orders', 100, '$.total > 0');
INSERT INTO integration.endpoint (name, connector, url) VALUES
    ('shop', NULL, 'https://shop.example.com/'), ('bill', 'orders', 'https://bill.example.com/');
INSERT INTO integration.endpoint (name, url, "coalesce") VALUES ('stock', 'https://stock.example.com/', true);

CREATE FUNCTION pg_temp.offer(columns jsonb) RETURNS text
    LANGUAGE sql
AS $$
    SELECT pg_temp.refusal(format('INSERT INTO integration.outbox (%s) VALUES (%s)',
                                  string_agg(quote_ident(c.key), ', '), string_agg(quote_literal(c.value), ', ')))
      FROM jsonb_each_text('{"endpoint": "shop", "payload": "{}"}'::jsonb || columns) c
$$;

-- What becomes of a row.
INSERT INTO integration.outbox (endpoint, object_id, payload) VALUES ('shop', 'tea', '{"name": "Grüner Tee"}');
SELECT is(q.payload_bytes, octet_length('{"name": "Grüner Tee"}'), 'the queue knows how many bytes are to be sent')
  FROM integration.queue q;
SAVEPOINT sized;
INSERT INTO integration.outbox (endpoint, payload)
SELECT 'shop', j.payload
  FROM (VALUES ('null'), ('false'), ('-0.00'), ('1e300'), ('""'), ('[]'), ('{}'), ('[[]]'), ('[{}]'), ('[1, [2, 3], {"a": {}}, 4]'),
               ('{"a": [], "b": {"c": null, "d": [true, false]}, "e\"": "f"}'), ('"\u0001\b\f\n\r\t\u001f\u007f\"\\/ü€"'),
               ('{"1234567": "12345678", "12345678\"": "1234567\"12345678\n12345678", "Grüner Tee, schön": "\u0002"}')) AS p (payload)
 CROSS JOIN LATERAL (SELECT p.payload::jsonb) AS j (payload);
SELECT is(q.payload_bytes, octet_length(o.payload::text), 'as many as its text has: ' || left(o.payload::text, 60))
  FROM integration.queue q JOIN integration.outbox o ON o.id = q.outbox_id WHERE o.object_id IS NULL ORDER BY o.id;
ROLLBACK TO sized;
SELECT is(to_jsonb(q) - 'outbox_id' - 'endpoint_id' - 'payload_bytes' - 'change_xid' - 'due_at',
          '{"state": "pending", "attempts": 0, "charged": 0, "priority": 2, "expires_at": null, "ordering_key": null, "place": null,
            "object_type": null, "object_id": null, "claimed_at": null, "error_class": null, "limited_customer": null, "limited_role": null,
            "reason": null, "http_status": null, "error": null, "last_attempt_at": null}'::jsonb, 'what is not given has its default')
  FROM integration.queue q;
SELECT ok(q.due_at = now() AND q.change_xid = pg_current_xact_id(), 'it is due at once, new by this transaction')
  FROM integration.queue q;
SELECT integration.cancel(o.id), integration.retry(o.id) FROM integration.outbox o \g /dev/null
SELECT is(q.payload_bytes, octet_length('{"name": "Grüner Tee"}'), 'a sync that comes back has its size too')
  FROM integration.queue q;

INSERT INTO integration.outbox (endpoint, operation, priority, payload, ordering_key, send_after, expires_at, object_type, object_id)
VALUES ('stock', 'upsert', 'high', '{}', 'k', now() + interval '1 h', now() + interval '2 h', 'order', 'O-1'),
       ('stock', 'upsert', 'low', '{}', NULL, now() - interval '1 h', 'infinity', NULL, 'O-2'),
       ('stock', 'ping', 'low', '{}', NULL, NULL, NULL, NULL, NULL);
SELECT results_eq(
    $$ SELECT q.priority::integer, q.due_at - now(), isfinite(q.expires_at), q.ordering_key, q.object_type, q.object_id
         FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id WHERE e.name = 'stock' ORDER BY 1 $$,
    $$ VALUES (0, interval '0', NULL::boolean, NULL, '', NULL), (1, '1 h', true, 'k', 'order', 'O-1'),
              (3, '0', false, NULL, '', 'O-2') $$,
    'what is given is in the queue, the object where the endpoint coalesces');

-- Every refusal names what it is about and says what to do.
SELECT is(pg_temp.offer('{"endpoint": "bill", "payload": "{\"total\": 0}"}'),
          '23514 payload is refused by the payload_check of endpoint "bill" | The check is ($."total" > 0). | '
          'Correct the payload, or the payload_check of the endpoint or its connector.', 'payload_check of the connector');
SELECT is(pg_temp.offer('{"endpoint": "bill", "payload": "{\"total\": \"x\"}"}') LIKE '23514 payload is refused%', true,
          'a payload on which the check has no answer');
SELECT is(pg_temp.offer('{"endpoint": "bill", "payload": "{\"total\": 1}"}'), 'accepted', 'a payload that fulfils it');
SELECT is(pg_temp.offer('{"endpoint": "bill", "operation": "ping"}'), 'accepted', 'a ping has no payload to check');
SELECT is(pg_temp.offer('{"endpoint": "bill", "operation": "ping", "expires_at": "2000-01-01"}')
          LIKE '23514 a sync to endpoint "bill" could never be sent%', true, 'nor is one refused for it');
SELECT is(pg_temp.offer(jsonb_build_object('endpoint', 'bill', 'payload', jsonb_build_object('total', 1, 'text', repeat('x', 100))::text)),
          '54000 payload of 124 bytes is larger than endpoint "bill" allows | max_payload_bytes is 100. | '
          'Send less, or raise max_payload_bytes of the endpoint or its connector.', 'max_payload_bytes of the connector');
SELECT is(pg_temp.offer(jsonb_build_object('ordering_key', repeat('x', 1001))),
          '54000 ordering_key of a sync to endpoint "shop" is too long | It has 1001 bytes; 1000 are allowed. | '
          'Write a reference, and put long texts into the payload.', 'a long ordering_key');
SELECT is(pg_temp.offer(jsonb_build_object('ordering_key', repeat('x', 1000))), 'accepted', 'the longest ordering_key');
SELECT is(pg_temp.offer('{"send_after": "infinity"}') LIKE '23514 a sync to endpoint "shop" could never be sent | send_after is infinity%', true,
          'a send_after that never comes');
SELECT is(pg_temp.offer(jsonb_build_object('expires_at', now())) LIKE '23514 a sync to endpoint "shop" could never be sent%', true,
          'an expires_at that is over');
SELECT is((SELECT count(*) FROM integration.queue q JOIN integration.outbox o ON o.id = q.outbox_id),
          (SELECT count(*) FROM integration.outbox), 'what was accepted is in the queue, nothing of what was refused');
SELECT is(pg_temp.refusal($$ INSERT INTO integration.outbox (endpoint, payload) VALUES ('bill', '{"total": 1}'), ('bill', '{"total": -1}'), ('none', '{}') $$)
          LIKE '23514 payload is refused%', true, 'the first bad row of a statement is the one that is named');

SELECT is(pg_temp.offer('{"enqueued_by": "somebody"}'),
          format('428C9 enqueued_by of a sync to endpoint "shop" cannot be "somebody" | It is the user of the session: "%s". | '
                 'Leave the column enqueued_by out; triggered_by is for who in the application caused it.', session_user),
          'nobody enqueues in the name of another');
SELECT is(pg_temp.offer(jsonb_build_object('enqueued_by', session_user)), 'accepted', 'but in their own');
INSERT INTO integration.endpoint (name, url, payload_check)
VALUES ('dated', 'https://dated.example.com/', '$.at.datetime() < "2030-01-01T00:00:00+00:00".datetime()');
SELECT is(pg_temp.offer('{"endpoint": "dated", "payload": "{\"at\": \"2020-01-01\"}"}'),
          '23514 payload_check of endpoint "dated" cannot judge this payload | '
          'The check is ($."at".datetime() < "2030-01-01T00:00:00+00:00".datetime()): '
          'cannot convert value from date to timestamptz without time zone usage. | '
          'Correct the payload, or the payload_check of the endpoint or its connector: '
          'times that are compared must all have a time zone, or none of them.', 'a check that compares a date with an instant');
SELECT is(pg_temp.offer('{"endpoint": "dated", "payload": "{\"at\": \"2020-01-01T00:00:00+00:00\"}"}'), 'accepted', 'two instants');

-- The session remembers endpoints, and learns what changed.
UPDATE integration.connector SET payload_check = '$.total >= 0', max_payload_bytes = NULL WHERE name = 'orders';
SELECT is(pg_temp.offer('{"endpoint": "bill", "payload": "{\"total\": 0}"}'), 'accepted', 'a connector changed');
UPDATE integration.endpoint SET payload_check = '$.total > 10' WHERE name = 'bill';
SELECT is(pg_temp.offer('{"endpoint": "bill", "payload": "{\"total\": 1}"}') LIKE '23514 payload is refused%', true, 'an endpoint changed');
SAVEPOINT before;
UPDATE integration.endpoint SET payload_check = '$.total > 20' WHERE name = 'bill';
INSERT INTO integration.endpoint (name, url) VALUES ('short', 'https://short.example.com/');
SELECT is(pg_temp.offer('{"endpoint": "short"}'), 'accepted', 'an endpoint came');
SELECT is(pg_temp.offer('{"endpoint": "bill", "payload": "{\"total\": 11}"}') LIKE '23514 payload is refused%', true, 'another change');
ROLLBACK TO before;
SELECT is(pg_temp.offer('{"endpoint": "short"}') LIKE '23503 endpoint "short" does not exist%', true, 'its coming was rolled back');
SELECT is(pg_temp.offer('{"endpoint": "bill", "payload": "{\"total\": 11}"}'), 'accepted', 'the change was rolled back');
SELECT is(pg_temp.refusal($$ WITH made AS (INSERT INTO integration.endpoint (name, url) VALUES ('both', 'https://both.example.com/') RETURNING name)
                             INSERT INTO integration.outbox (endpoint, payload) SELECT m.name, '{}' FROM made m $$),
          'accepted', 'endpoint and sync in one statement');

-- Who misspells an endpoint is shown the one that was meant, however many there are.
SELECT is(integration_worker.missing_endpoint('Stoc'), 'Endpoints are: "stock", "bill", "both", "dated", "shop".', 'few: all of them, the nearest first');
INSERT INTO integration.endpoint (name, url) SELECT 'a' || n, 'https://many.example.com/' FROM generate_series(1, 10) n;
SELECT is(integration_worker.missing_endpoint('shopp') LIKE 'Of 15 endpoints these have names most like it: "shop", "a1", %', true, 'many: the nearest ten');

-- Rows are written past the executor, so each index is compared with the table.
CREATE EXTENSION amcheck;
CREATE INDEX queue_late ON integration.queue (attempts, outbox_id) WHERE priority = 2;
SET LOCAL work_mem = '64kB';
INSERT INTO integration.outbox (endpoint, payload, ordering_key, object_id, expires_at, priority)
SELECT (ARRAY['shop', 'stock'])[1 + n % 2], to_jsonb(repeat('x', 1000 + n)), CASE WHEN n % 3 = 0 THEN 'k' || n % 5 END, 'O-' || n % 7,
       CASE WHEN n % 4 = 0 THEN now() + interval '1 h' END, (ARRAY['high', 'normal', 'low'])[1 + n % 3]
  FROM generate_series(1, 300) n;
SELECT is(count(*), 300::bigint, 'a statement with more rows than fit into memory')
  FROM integration.queue q JOIN integration.outbox o ON o.id = q.outbox_id AND q.payload_bytes = octet_length(o.payload::text)
 WHERE q.payload_bytes > 1000;
SELECT bt_index_check(i.indexrelid, true) FROM pg_index i WHERE i.indrelid = 'integration.queue'::regclass \g /dev/null
SELECT ok(count(*) >= 9, 'every index holds every row that it should, one made meanwhile too')
  FROM pg_index i WHERE i.indrelid = 'integration.queue'::regclass;
CREATE INDEX queue_odd ON integration.queue USING hash (payload_bytes);
INSERT INTO integration.outbox (endpoint, payload) VALUES ('stock', '{"is_odd": true}');
SELECT bt_index_check(i.indexrelid, true)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
 WHERE i.indrelid = 'integration.queue'::regclass AND a.amname = 'btree' \g /dev/null
SET LOCAL enable_seqscan = off;
SELECT is((SELECT count(*) FROM integration.queue q WHERE q.payload_bytes = octet_length('{"is_odd": true}')), 1::bigint,
          'an index that is no B-tree gets its entries too');
DO $$ BEGIN FOR i IN 1..100 LOOP INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}'); END LOOP; END $$;
SELECT cmp_ok((SELECT sum(m.total_bytes) FROM pg_backend_memory_contexts m WHERE m.name = 'ExecutorState'), '<', 700000::numeric,
              'nor does it leave memory behind');
DROP INDEX integration.queue_odd;
SELECT throws_like($$ INSERT INTO integration.queue SELECT q.* FROM integration.queue q LIMIT 1 $$, '%duplicate key%', 'the table is whole');

SELECT * FROM finish();
ROLLBACK;
