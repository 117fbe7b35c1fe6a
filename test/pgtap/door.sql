-- The door: what becomes a queue row, what is refused.
BEGIN;
SELECT plan(2);

INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://shop.example.com/');

INSERT INTO integration.outbox (endpoint, object_id, payload) VALUES ('shop', 'tea', '{"name": "Grüner Tee"}');
SELECT is(q.payload_bytes, octet_length('{"name": "Grüner Tee"}'), 'the queue knows how many bytes are to be sent')
  FROM integration.queue q;

SELECT integration.cancel(o.id), integration.retry(o.id) FROM integration.outbox o;
SELECT is(q.payload_bytes, octet_length('{"name": "Grüner Tee"}'), 'also of a sync that comes back')
  FROM integration.queue q;

SELECT * FROM finish();
ROLLBACK;
