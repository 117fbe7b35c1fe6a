-- What should have been delivered by now, backlogs that grow.
BEGIN;
\ir ../lib/settle.sql
\ir ../lib/refusal.sql
SELECT plan(48);

INSERT INTO integration.endpoint (name, url, expected_every, expected_at_least, expected_since)
VALUES ('shop', 'https://api.example.com/', '1 day', NULL, '2026-01-05 08:00+00'),
       ('bill', 'https://api.example.com/', '1 h', 3, '2026-01-05 08:00+00'),
       ('post', 'https://api.example.com/', NULL, NULL, NULL);
SET LOCAL TimeZone = 'UTC';

CREATE FUNCTION pg_temp.state_of(endpoint text, error_class text DEFAULT 'nothing_delivered') RETURNS text
    LANGUAGE sql
AS $$
    SELECT i.state FROM integration.incident i
     WHERE i.endpoint = state_of.endpoint AND i.error_class = state_of.error_class ORDER BY i.id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.note_of(endpoint text, error_class text DEFAULT 'nothing_delivered') RETURNS text
    LANGUAGE sql
AS $$
    SELECT i.note FROM integration.incident i
     WHERE i.endpoint = note_of.endpoint AND i.error_class = note_of.error_class ORDER BY i.id DESC LIMIT 1
$$;

-- One at least
SELECT is(integration_worker.watch_expected('2026-01-05 20:00+00'), NULL, 'in its own time');
SELECT is(pg_temp.state_of('shop'), NULL, 'the first day is not over');
SELECT integration_worker.watch_expected('2026-01-06 08:01+00');
SELECT is(pg_temp.state_of('shop'), 'open', 'a day without anything');
SELECT is(pg_temp.note_of('shop'), 'Expected: at least 1 every 1 d; delivered since 2026-01-05 08:01:00 UTC: 0. There has never been one. Nothing waits to be sent: the application has enqueued nothing.',
          'what is missing, on whose side');
SELECT is(pg_temp.state_of('post'), NULL, 'who expects nothing misses nothing');
SELECT pg_temp.bring(pg_temp.enqueue('shop'), 'http:200', at => '2026-01-06 09:00+00');
SELECT is(pg_temp.state_of('shop'), 'open', 'the delivery alone does not end it');
SELECT integration_worker.watch_expected('2026-01-06 09:01+00');
SELECT is(pg_temp.state_of('shop'), 'resolved', 'but the next look');
SELECT pg_temp.enqueue('shop') AS waiting \gset
SELECT pg_temp.bring(:waiting, 'http:503', at => '2026-01-07 08:30+00');
SELECT integration_worker.watch_expected('2026-01-07 09:01+00');
SELECT is(pg_temp.state_of('shop'), 'open', 'only failures since');
SELECT matches(pg_temp.note_of('shop'), format('The last delivery was at 2026-01-06 09:00:00 UTC. Waiting to be sent: 1, the first since .*: SELECT integration.why\(%s\) says what holds it back.$', :waiting),
               'what waits');
SELECT is((SELECT max(i.example) FROM integration.incident i WHERE i.endpoint = 'shop'), :waiting::bigint, 'as an example');
SELECT integration.resolve(i.id, 'known') FROM integration.incident i WHERE i.resolved_at IS NULL;

-- Pauses
SELECT integration.pause('endpoint', 'shop', 'maintenance', '2126-01-01');
SELECT integration_worker.watch_expected('2026-01-07 09:02+00');
SELECT is(pg_temp.state_of('shop'), 'resolved', 'what is paused on purpose is not missed');
UPDATE integration.pause SET until = '2026-01-07 10:00+00';
SELECT integration_worker.watch_expected('2026-01-07 10:04+00');
SELECT is(pg_temp.state_of('shop'), 'resolved', 'nor right after');
SELECT integration_worker.watch_expected('2026-01-07 10:06+00');
SELECT is(pg_temp.state_of('shop'), 'open', 'but some minutes later');
SELECT integration.resolve(i.id, 'known') FROM integration.incident i WHERE i.resolved_at IS NULL;
UPDATE integration.endpoint_health h SET state = 'stopped' FROM integration.endpoint e WHERE e.id = h.endpoint_id AND e.name = 'shop';
SELECT integration_worker.watch_expected('2026-01-07 10:06+00');
SELECT is(pg_temp.state_of('shop'), 'resolved', 'one that is stopped has an incident that says why nothing arrives');
UPDATE integration.endpoint_health h SET state = 'closed';
SELECT integration_worker.watch_expected('2026-01-07 10:06+00');
UPDATE integration.endpoint SET expected_every = NULL WHERE name = 'shop';
SELECT integration_worker.watch_expected('2026-01-07 10:07+00');
SELECT is(pg_temp.state_of('shop'), 'resolved', 'nobody expects anything any more');
SELECT is((SELECT e.expected_since FROM integration.endpoint e WHERE e.name = 'shop'), NULL, 'nor since when');

-- Several
DELETE FROM integration.pause;
DELETE FROM integration.incident;
SELECT pg_temp.bring(pg_temp.enqueue('bill'), 'http:200', at => '2026-01-05 08:30+00'), pg_temp.bring(pg_temp.enqueue('bill'), 'http:200', at => '2026-01-05 08:50+00');
SELECT integration_worker.watch_expected('2026-01-05 09:01+00');
SELECT is(pg_temp.state_of('bill'), 'open', 'two where three are expected');
SELECT matches(pg_temp.note_of('bill'), '^Expected: at least 3 every 1 h; delivered since 2026-01-05 08:01:00 UTC: 2\. ', 'how many there were');
SELECT pg_temp.bring(pg_temp.enqueue('bill'), 'http:200', at => '2026-01-05 09:02+00');
SELECT integration_worker.watch_expected('2026-01-05 09:03+00');
SELECT is(pg_temp.state_of('bill'), 'resolved', 'three within an hour');
SELECT integration_worker.watch_expected('2026-01-05 09:31+00');
SELECT is(pg_temp.state_of('bill'), 'open', 'an hour later there are fewer');

-- What may be expected
SELECT ok((SELECT e.expected_since = '2026-01-05 08:00+00' FROM integration.endpoint e WHERE e.name = 'bill'), 'since when may be written');
UPDATE integration.endpoint SET max_concurrency = 3 WHERE name = 'bill';
SELECT ok((SELECT e.expected_since = '2026-01-05 08:00+00' FROM integration.endpoint e WHERE e.name = 'bill'), 'and stays');
UPDATE integration.endpoint SET expected_at_least = 2 WHERE name = 'bill';
SELECT is((SELECT e.expected_since FROM integration.endpoint e WHERE e.name = 'bill'), now(), 'until something else is expected');
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET expected_every = '1 month' WHERE name = 'post'$$) ~ '^23514 expected_every of endpoint "post" cannot be used \| It is 1 mon\.', true, 'months differ');
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET expected_every = '10 s' WHERE name = 'post'$$) ~ '^23514', true, 'not within seconds');
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET expected_at_least = 2 WHERE name = 'post'$$) ~ '^23514 expected_at_least of endpoint "post" cannot be used \| There is no expected_every\.', true, 'within which time?');
SELECT is(pg_temp.refusal($$INSERT INTO integration.endpoint (name, url, expected_every, expected_at_least) VALUES ('x', 'https://api.example.com/', '1 h', 0)$$) ~ '^23514', true, 'none are not expected');

-- A backlog that grows
CREATE FUNCTION pg_temp.due_backlogs(at timestamptz) RETURNS TABLE (endpoint_id integer, due bigint)
    LANGUAGE sql
AS $$
    SELECT b.* FROM integration_worker.due_backlogs(ARRAY(SELECT e.id FROM integration.endpoint e), at) b
$$;
CREATE FUNCTION pg_temp.watch_growth(at timestamptz) RETURNS timestamptz
    LANGUAGE sql
AS $$
    SELECT integration_worker.watch_growth(at, ARRAY(SELECT e.id FROM integration.endpoint e))
$$;
DELETE FROM integration.incident;
CREATE FUNCTION pg_temp.enqueue_many(endpoint text, count integer) RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO integration.outbox (endpoint, payload)
    SELECT enqueue_many.endpoint, '{}' FROM generate_series(1, enqueue_many.count);
    UPDATE integration.queue SET due_at = '2026-01-05 07:00+00' WHERE due_at = now()
$$;
SELECT pg_temp.enqueue_many('post', 99);
SELECT pg_temp.watch_growth('2026-01-05 08:00+00');
SELECT is((SELECT count(*) FROM integration_worker.backlog_sample), 0::bigint, 'a few wait: nothing is written');
SELECT pg_temp.enqueue_many('post', 1);
SELECT pg_temp.watch_growth('2026-01-05 08:00+00');
SELECT pg_temp.enqueue_many('post', 1);
SELECT pg_temp.watch_growth('2026-01-05 08:09+00');
SELECT is(pg_temp.state_of('post', 'queue_growing'), NULL, 'more than a moment ago');
SELECT pg_temp.watch_growth('2026-01-05 08:10+00');
SELECT is(pg_temp.state_of('post', 'queue_growing'), 'open', 'more than ten minutes ago');
SELECT is(pg_temp.note_of('post', 'queue_growing'), 'Due and not sent: 101; 100 at 2026-01-05 08:00:00 UTC. The next of them is due since 2026-01-05 07:00:00 UTC.', 'how many');
SELECT pg_temp.watch_growth('2026-01-05 08:20+00');
SELECT is(pg_temp.state_of('post', 'queue_growing'), 'open', 'as many: no better');
SELECT integration.cancel(max(q.outbox_id), 'not needed') FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id WHERE e.name = 'post';
SELECT pg_temp.watch_growth('2026-01-05 08:30+00');
SELECT is(pg_temp.state_of('post', 'queue_growing'), 'resolved', 'fewer');
SELECT pg_temp.enqueue_many('post', 10);
SELECT pg_temp.watch_growth('2026-01-05 08:40+00');
SELECT is(pg_temp.state_of('post', 'queue_growing'), 'open', 'more again');
INSERT INTO integration.endpoint_health (endpoint_id, state, open_until)
SELECT e.id, 'open', '2026-01-05 09:00+00' FROM integration.endpoint e WHERE e.name = 'post';
SELECT pg_temp.watch_growth('2026-01-05 08:41+00');
SELECT is(pg_temp.state_of('post', 'queue_growing'), 'resolved', 'an open endpoint has an incident of its own');
SELECT is((SELECT count(*) FROM integration_worker.backlog_sample), 0::bigint, 'nothing is left');
DELETE FROM integration.endpoint_health;
SELECT is((SELECT b.due FROM pg_temp.due_backlogs('2026-01-05 08:42+00') b WHERE b.due > 1), 110::bigint, 'it counts what is due');
SELECT is((SELECT b.due FROM pg_temp.due_backlogs('2026-01-05 06:59+00') b LIMIT 1), 0::bigint, 'by then');
SELECT integration.pause('endpoint', 'post', 'maintenance', '2126-01-01');
SELECT is((SELECT count(*) FROM pg_temp.due_backlogs('2026-01-05 08:42+00') b WHERE b.due > 1), 0::bigint, 'not what is paused');
SELECT is(pg_temp.watch_growth('2026-01-05 08:42+00'), NULL, 'in its own time');
SELECT is((SELECT count(*) FROM integration_worker.failing_watchdog), 0::bigint, 'none fails');
INSERT INTO integration_worker.backlog_sample VALUES (4711, '2026-01-05 08:00+00', 1000);
SELECT is(integration_worker.busy_endpoints() @> '{4711}', true, 'who had a backlog is looked at');
SELECT integration_worker.watch_growth('2026-01-05 09:00+00');
SELECT is((SELECT count(*) FROM integration_worker.backlog_sample), 0::bigint, 'an endpoint that is gone is forgotten');

-- Very many
DELETE FROM integration.pause;
DELETE FROM integration.incident;
INSERT INTO integration.endpoint (name, url, expected_every, expected_since)
SELECT 'e' || n, 'https://api.example.com/', '1 day', '2026-01-05 08:00+00' FROM generate_series(1, 100) n;
UPDATE integration.endpoint SET expected_every = '1 day', expected_since = '2026-01-05 08:00+00' WHERE name = 'post';
UPDATE integration.endpoint SET expected_since = '2026-01-05 08:00+00' WHERE name = 'bill';
SELECT is(integration_worker.watch_expected('2027-01-07 08:00+00'), '2027-01-07 08:00:01+00', 'not too many at once');
SELECT is((SELECT count(*) FROM integration.incident), 100::bigint, 'a part of them');
SELECT integration_worker.watch_expected('2027-01-07 08:00:01+00');
SELECT is((SELECT count(*) FROM integration.incident i WHERE i.error_class = 'nothing_delivered'), 102::bigint, 'then the others');
SELECT integration_worker.escalate('2027-01-07 08:05+00');
SELECT is((SELECT count(*) FROM integration.incident i WHERE i.level = 1), 100::bigint, 'nor do too many climb');
SELECT integration_worker.escalate('2027-01-07 08:05:01+00');
SELECT is((SELECT count(*) FROM integration.incident i WHERE i.level = 1), 102::bigint, 'at once');

SELECT * FROM finish();
ROLLBACK;
