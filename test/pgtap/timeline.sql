-- timeline() tells everything that happened to a sync; preview() shows the request without sending it.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(17);

INSERT INTO integration.connector (name, headers) VALUES ('erp', '{"X-Product": "erp"}');
INSERT INTO integration.endpoint (name, connector, url, method, headers) VALUES
    ('shop', 'erp', 'https://shop.example.com/orders/{object_id}', 'PUT', '{"X-Shop": "7"}');
SET LOCAL integration.triggered_by = 'checkout';
SET LOCAL integration.trigger_ref = 'cart 8';
SET LOCAL application_name = 'till';
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, headers) VALUES ('shop', 'order', 'PO 1/2', '{"total": 5}', '{"X-Sync": "s"}');
CREATE TEMP TABLE made AS SELECT 'original' AS name, id FROM integration.outbox WHERE endpoint = 'shop';

INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class, error, next_attempt_at)
SELECT m.id, n, e.id, now() + interval '1 ms' * n, 20, 'failed', 'http:503', 'remote_unavailable', 'Down', CASE n WHEN 1 THEN now() + interval '1 h' END
  FROM made m, integration.endpoint e, generate_series(1, 2) n WHERE e.name = 'shop';
UPDATE integration.queue q SET state = 'failed', attempts = 2 FROM made m WHERE m.id = q.outbox_id;
SELECT integration.retry(id, 'they are back') FROM made \g /dev/null
SELECT integration.cancel(id, 'no, they are not') FROM made \g /dev/null
SELECT integration.retry(id) FROM made \g /dev/null
INSERT INTO made SELECT 'copy', integration.amend(id, '{"total": 6}', 'wrong total') FROM made;

CREATE TEMP TABLE told AS SELECT row_number() OVER () AS line, t.* FROM made m, integration.timeline(m.id) t WHERE m.name = 'original';
SELECT results_eq('SELECT what FROM told ORDER BY line',
    $$VALUES ('enqueued'), ('attempt 1 failed'), ('attempt 2 failed'), ('retry'), ('cancel'), ('retry'), ('amend'), ('superseded')$$, 'in order');
SELECT is((SELECT count(*)::int FROM told a JOIN told b ON b.line = a.line + 1 WHERE b.at < a.at), 0, 'oldest first');
SELECT is((SELECT who || ': ' || details FROM told WHERE line = 1),
          session_user || ' (till): upsert to shop; for order PO 1/2; triggered by checkout cart 8', 'who asked for what, and why');
SELECT is((SELECT who || ': ' || details FROM told WHERE line = 3), 'worker: remote_unavailable (http:503: Down); took 20 ms', 'what an attempt came to');
SELECT matches((SELECT details FROM told WHERE line = 2), '; next attempt at \d{4}-\d\d-\d\d ', 'and when the next was to be');
SELECT is((SELECT string_agg(who || ': ' || details, E'\n' ORDER BY line) FROM told WHERE line IN (4, 5, 6)),
          format(E'%1$s: "they are back"; was failed\n%1$s: "no, they are not"; was pending\n%1$s: was cancelled', session_user), 'what people did');
SELECT is((SELECT details FROM told WHERE line = 7), format('"wrong total"; was pending; as sync %s', id), 'what was sent instead') FROM made WHERE name = 'copy';
SELECT is((SELECT details FROM told WHERE line = 8), format('wrong total; in its place sync %s', id), 'how it ended') FROM made WHERE name = 'copy';
SELECT matches((SELECT t.details FROM made m, integration.timeline(m.id) t WHERE m.name = 'copy' AND t.what = 'enqueued'),
               format('; a copy of sync %s;', id), 'the copy says what it is a copy of') FROM made WHERE name = 'original';
SELECT matches(pg_temp.refusal('SELECT * FROM integration.timeline(9999999)'), '^42704 sync 9999999 does not exist', 'timeline of an unknown id');

-- preview
CREATE TEMP TABLE shown AS SELECT p.* FROM made m, integration.preview(m.id) p WHERE m.name = 'copy';
SELECT results_eq('SELECT method, url FROM shown', $$VALUES ('PUT', 'https://shop.example.com/orders/PO%201%2F2')$$, 'method and address');
SELECT is((SELECT body::jsonb FROM shown), '{"total": 6}', 'body');
SELECT matches((SELECT headers FROM shown), format('(?in)^Idempotency-Key: %s-%s$', i.name, m.id), 'the idempotency key of the installation and the sync')
  FROM integration.installation i, made m WHERE m.name = 'copy';
SELECT ok((SELECT bool_and(headers ~ ('(?in)^' || h || '$') IS TRUE) FROM shown, unnest('{X-Product: erp,X-Shop: 7,X-Sync: s}'::text[]) h), 'headers of connector, endpoint, sync');
SELECT is((SELECT problem FROM shown), NULL, 'no problem');
SELECT is((SELECT attempts FROM integration.sync JOIN made USING (id) WHERE made.name = 'copy'), 0, 'nothing was sent');
SELECT matches(pg_temp.refusal('SELECT * FROM integration.preview(9999999)'), '^42704 sync 9999999 does not exist', 'preview of an unknown id');

SELECT * FROM finish();
ROLLBACK;
