-- What settle() writes: queue, closing, attempt, sync_status; whom it leaves alone.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(93);

INSERT INTO integration.retry_policy (name, schedule, jitter) VALUES ('exact', '{1 min,2 min}', 0);
INSERT INTO integration.endpoint (name, url, retry_policy, idempotent) VALUES
    ('a', 'https://api.example.com/', 'exact', true), ('b', 'https://api.example.com/', 'exact', true),
    ('once', 'https://api.example.com/', 'exact', false), ('quiet', 'https://api.example.com/', 'exact', true);

-- A result of a request that was made when the queue row had another change_xid.
CREATE FUNCTION pg_temp.bring_stale(sync bigint, reason text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT s.state || coalesce(' ' || (s.due_at - now()), '')
      FROM pg_temp.settle(ARRAY[pg_temp.result(sync, reason, '{"change_xid": "3"}')]) s
     WHERE s.outbox_id = sync
$$;
CREATE FUNCTION pg_temp.attempts(sync bigint) RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(a.attempt_no || ' ' || a.reason, ', ' ORDER BY a.attempt_no) FROM integration.attempt a WHERE a.outbox_id = sync
$$;
CREATE FUNCTION pg_temp.status(object_id text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', s.state, s.last_outbox_id, coalesce(s.delivered_outbox_id::text, '-'), coalesce(s.error_class, '-'), s.failures)
      FROM integration.sync_status s WHERE s.object_id = status.object_id
$$;

-- A delivery ends a sync
SELECT pg_temp.enqueue('a', 'O-1') AS one \gset
SELECT is((SELECT count(*) FROM pg_temp.settle(ARRAY[pg_temp.result(:one, 'http:201', jsonb_build_object(
              'started_at', now() - interval '1 s', 'duration_ms', 31, 'request_url', 'https://api.example.com/orders',
              'remote_address', '192.0.2.7', 'dns_ms', 1, 'connect_ms', 2, 'tls_ms', 3, 'first_byte_ms', 4,
              'response_headers', '{"etag": "x"}', 'response_body', 'ok', 'trace_id', '0af7651916cd43dd8448eb211c80319c',
              'span_id', 'b7ad6b7169203331'))])), 2::bigint, 'one row for the sync, one for the endpoint');
SELECT is((SELECT a::text FROM integration.attempt a WHERE a.outbox_id = :one),
          (SELECT ROW (:one, 1, pg_temp.endpoint_of(:one), now() - interval '1 s', 31, 1, 2, 3, 4, 'delivered', 'http:201', NULL,
                       201, NULL, 'https://api.example.com/orders', inet '192.0.2.7', jsonb '{"etag": "x"}', 'ok',
                       '0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331', NULL, NULL)::text), 'the attempt has every fact');
SELECT is(pg_temp.queued(:one), NULL, 'nothing is left in the queue');
SELECT is_empty(format('SELECT FROM integration.closing WHERE outbox_id = %s', :one), 'delivered is no closing');
SELECT is(pg_temp.status('O-1'), format('in_sync %s %s - 0', :one, :one), 'the object is in sync');

-- Its object
SELECT pg_temp.enqueue('a', 'O-1') AS two, pg_temp.enqueue('a', 'O-1') AS three \gset
SELECT is(pg_temp.bring(:three, 'http:503'), 'retrying', 'a newer one fails');
SELECT is(pg_temp.status('O-1'), format('failing %s %s remote_unavailable 1', :three, :one), 'the object is failing');
SELECT is(pg_temp.bring(:two, 'http:200'), 'delivered', 'an older one arrives');
SELECT is(pg_temp.status('O-1'), format('failing %s %s remote_unavailable 1', :three, :two),
          'it adds what was delivered and overwrites nothing');
SELECT is(pg_temp.bring(:three, 'http:422'), 'failed', 'the newer one fails for good');
SELECT is(pg_temp.status('O-1'), format('failed %s %s validation 2', :three, :two), 'the object is failed, twice in a row');
SELECT pg_temp.enqueue('a', 'O-1') AS four, pg_temp.enqueue('a', 'O-1') AS five, pg_temp.enqueue('a', 'O-1') AS six \gset
SELECT is((SELECT string_agg(b.state, ',' ORDER BY b.sync)
             FROM pg_temp.bring_all(ARRAY[:six, :four, :five]::bigint[], '{http:200,http:503,http:422}') b WHERE b.sync IS NOT NULL),
          'retrying,failed,delivered', 'three results for one object');
SELECT is(pg_temp.status('O-1'), format('in_sync %s %s - 0', :six, :six), 'are merged: the newest holds');
SELECT is(pg_temp.bring(:four, 'http:422', at => now() + interval '1 min'), 'failed', 'an old one fails after a newer was delivered');
SELECT is(pg_temp.status('O-1'), format('in_sync %s %s - 0', :six, :six), 'and changes nothing');
SELECT pg_temp.enqueue('a', 'O-2') AS seven, pg_temp.enqueue('a', 'O-2') AS eight \gset
SELECT is((SELECT string_agg(b.state, ',' ORDER BY b.sync)
             FROM pg_temp.bring_all(ARRAY[:seven, :eight]::bigint[], '{http:200,http:503}') b WHERE b.sync IS NOT NULL),
          'delivered,retrying', 'one delivered, the newer one not');
SELECT is(pg_temp.status('O-2'), format('failing %s %s remote_unavailable 1', :eight, :seven), 'both are told');
SELECT is(pg_temp.bring(pg_temp.enqueue('b', 'O-2'), 'http:200'), 'delivered', 'the same object elsewhere');
SELECT is((SELECT count(*) FROM integration.sync_status s WHERE s.object_id = 'O-2'), 2::bigint, 'stands for itself');
SELECT is(pg_temp.bring(pg_temp.enqueue('a'), 'http:200'), 'delivered', 'a sync without an object');
SELECT is_empty($$SELECT FROM integration.sync_status s WHERE s.object_id IS NULL OR s.object_id = ''$$, 'leaves no status');

-- A person was faster
SELECT pg_temp.enqueue('a', 'P-1') AS retried \gset
SELECT is(pg_temp.bring(:retried, 'http:503'), 'retrying', 'a failure');
UPDATE integration.queue SET state = 'pending', due_at = now() + interval '7 min', charged = 0 WHERE outbox_id = :retried;
SELECT is(pg_temp.bring_stale(:retried, 'http:503'), 'pending 00:07:00', 'a result of before: the person''s schedule stays');
SELECT is((SELECT ROW (q.state, q.due_at - now(), q.attempts, q.charged)::text FROM pg_temp.queued(:retried) q),
          '(pending,00:07:00,2,0)', 'only the attempt is counted');
SELECT is(pg_temp.attempts(:retried), '1 http:503, 2 http:503', 'and recorded');
SELECT is(pg_temp.bring_stale(:retried, 'http:422'), 'pending 00:07:00', 'even where it would have failed');
SELECT is(pg_temp.bring_stale(:retried, 'http:200'), 'delivered', 'what arrived has arrived');
SELECT is(pg_temp.queued(:retried), NULL, 'and is not sent again');

SELECT pg_temp.enqueue('a', 'P-2') AS arrived, pg_temp.enqueue('a', 'P-3') AS stopped, pg_temp.enqueue('a') AS replaced \gset
WITH gone AS (DELETE FROM integration.queue q WHERE q.outbox_id IN (:arrived, :stopped, :replaced) RETURNING q.outbox_id)
INSERT INTO integration.closing (outbox_id, state, superseded_by)
SELECT g.outbox_id, CASE g.outbox_id WHEN :replaced THEN 'superseded' ELSE 'cancelled' END,
       CASE g.outbox_id WHEN :replaced THEN :stopped END
  FROM gone g;
SELECT is(pg_temp.bring_stale(:arrived, 'http:200'), 'delivered', 'cancelled in flight, yet it arrived');
SELECT is_empty(format('SELECT FROM integration.closing WHERE outbox_id = %s', :arrived), 'it is no longer cancelled');
SELECT is(pg_temp.status('P-2'), format('in_sync %s %s - 0', :arrived, :arrived), 'its object is in sync');
SELECT is(pg_temp.bring_stale(:stopped, 'http:422'), 'cancelled', 'cancelled in flight, and it failed');
SELECT is(pg_temp.status('P-3'), NULL, 'it says nothing about its object');
SELECT is(pg_temp.attempts(:stopped), '1 http:422', 'its attempt is recorded');
SELECT is(pg_temp.queued(:stopped), NULL, 'it does not come back');
SELECT is(pg_temp.bring_stale(:replaced, 'http:503'), 'superseded', 'replaced in flight, and it failed');

-- The same sync twice in a batch
SELECT pg_temp.enqueue('a') AS twice \gset
SELECT is((SELECT string_agg(b.state, ',' ORDER BY b.state)
             FROM pg_temp.bring_all(ARRAY[:twice, :twice]::bigint[], '{http:503,http:200}') b WHERE b.sync IS NOT NULL),
          'retrying,unsettled', 'the second result of a sync waits for the first');
SELECT is(pg_temp.attempts(:twice), '1 http:503', 'and was not written');

-- Reasons nobody knows
SELECT is(integration_worker.known_reason(said), meant, coalesce(said, 'NULL') || ' is read as ' || meant)
  FROM (VALUES ('http:299', 'http:2xx'), ('http:199', 'http:1xx'), ('http:399', 'http:3xx'), ('http:499', 'http:499'),
               ('http:498', 'http:498'), ('http:497x', 'http:4xx'), ('http:599', 'http:599'), ('http:555', 'http:5xx'),
               ('http:600', 'http:invalid'), ('http:999', 'http:999'), ('http:99', 'http:invalid'), ('http:4000', 'http:invalid'),
               ('curl:131', 'curl:other'), ('curl:7:new', 'curl:other'), ('', 'unknown'), ('something new', 'unknown'),
               (NULL, 'unknown')) AS r (said, meant);
SELECT pg_temp.enqueue('b') AS odd \gset
SELECT is(pg_temp.bring(:odd, 'http:456'), 'failed', 'an unassigned 4xx');
SELECT is(pg_temp.attempts(:odd), '1 http:4xx', 'is recorded as the row that decided');
SELECT is((pg_temp.last_attempt(:odd)).http_status, 456, 'with its status');
SELECT is(pg_temp.bring(pg_temp.enqueue('b'), NULL), 'retrying', 'no reason at all');

-- Ping
CREATE FUNCTION pg_temp.ping() RETURNS bigint
    LANGUAGE sql
AS $$
    INSERT INTO integration.outbox (endpoint, operation, payload) VALUES ('quiet', 'ping', '{}') RETURNING id
$$;
SELECT is(pg_temp.bring(pg_temp.ping(), r), s, 'ping: ' || r)
  FROM (VALUES ('http:200', 'delivered'), ('http:503', 'delivered'), ('http:401', 'delivered'), ('http:405', 'delivered'),
               ('curl:7:refused', 'failed'), ('blocked_private_address', 'failed')) AS p (r, s);
SELECT is((SELECT count(*) FROM pg_temp.bring_all(ARRAY[pg_temp.ping()], '{http:401}') b WHERE b.sync IS NULL), 0::bigint,
          'ping: says nothing about the endpoint');
SELECT is(pg_temp.health('quiet'), NULL, 'ping: never touches health');
SELECT is_empty($$SELECT FROM integration.incident i WHERE i.endpoint = 'quiet'$$, 'ping: opens no incident');

-- Ordering keys
SELECT pg_temp.enqueue('b', 'K-1', 'k') AS head, pg_temp.enqueue('b', 'K-2', 'k') AS next, pg_temp.enqueue('b', 'K-3', 'k') AS last \gset
SELECT is((SELECT count(*) FROM pg_temp.bring_all(ARRAY[:head]::bigint[], '{http:503}') b WHERE b.sync <> :head), 0::bigint,
          'a head that is tried again keeps its key');
SELECT is((SELECT ROW (b.sync, b.state, b.due_at)::text FROM pg_temp.bring_all(ARRAY[:head]::bigint[], '{http:200}') b WHERE b.sync <> :head),
          ROW (:next, 'pending', now())::text, 'a delivered head hands over');
SELECT is((SELECT count(*) FROM pg_temp.bring_all(ARRAY[:next]::bigint[], '{http:422}') b WHERE b.sync <> :next), 0::bigint,
          'a failed head keeps its key');
SELECT pg_temp.enqueue('b', 'K-4', 'x') AS ended, pg_temp.enqueue('b', 'K-5', 'x') AS heir \gset
SELECT is((SELECT b.sync FROM pg_temp.bring_all(ARRAY[:ended]::bigint[], '{cancelled_by_user}') b WHERE b.state = 'pending'), :heir::bigint,
          'a cancelled head hands over');

SELECT pg_temp.enqueue('b', 'K-6', 'y') AS done, pg_temp.enqueue('b', 'K-7', 'y') AS broken \gset
UPDATE integration.queue SET state = 'failed' WHERE outbox_id = :broken;
SELECT is((SELECT count(*) FROM pg_temp.bring_all(ARRAY[:done]::bigint[], '{http:200}') b WHERE b.sync <> :done), 0::bigint,
          'a failed successor may not go');

-- What a worker left behind
SELECT pg_temp.enqueue('once', 'L-1') AS unknown, pg_temp.enqueue('a', 'L-2') AS harmless \gset
UPDATE integration.queue SET claimed_at = now() - interval '1 min' WHERE outbox_id IN (:unknown, :harmless);
SELECT is((SELECT string_agg(r.state, ',' ORDER BY r.outbox_id) FROM integration_worker.recover(array_fill(clock_timestamp(), ARRAY[16])) r WHERE r.outbox_id IS NOT NULL),
          'failed,retrying', 'recover: unknown outcome fails where it may not be repeated');
SELECT is((SELECT ROW (a.reason, a.started_at - now())::text FROM integration.attempt a WHERE a.outbox_id = :unknown),
          '(worker_crash,-00:01:00)', 'recover: the attempt began when it was marked');
SELECT is((SELECT count(*) FROM integration.queue q WHERE q.claimed_at IS NOT NULL), 0::bigint, 'recover: the marks are gone');
SELECT is((SELECT count(*) FROM integration_worker.recover(array_fill(clock_timestamp(), ARRAY[16]))), 0::bigint, 'recover: nothing more to do');
UPDATE integration.queue SET claimed_at = now(), state = 'pending' WHERE outbox_id = :unknown;
SELECT is(pg_temp.bring(:unknown, 'curl:7:refused'), 'retrying', 'a marked one that never left');
SELECT is((pg_temp.queued(:unknown)).claimed_at, NULL, 'loses its mark');

-- Durability
CREATE FUNCTION pg_temp.durability(endpoint text, reason text, at timestamptz) RETURNS text
    LANGUAGE sql
AS $$
    SELECT pg_temp.bring(pg_temp.enqueue(durability.endpoint), durability.reason, durability.at) || ' '
           || current_setting('synchronous_commit')
$$;
SELECT is(pg_temp.durability('quiet', 'http:200', now()), 'delivered off', 'a delivery need not be flushed');
SELECT is(pg_temp.durability('quiet', 'http:503', now()), 'retrying off', 'a retry neither');
SELECT is(pg_temp.durability('quiet', 'http:422', now()), 'failed local', 'a failure must');
SELECT is(pg_temp.durability('quiet', 'http:429', now()), 'retrying local', 'a pause, too');
SELECT is(pg_temp.durability('once', 'http:200', now()), 'delivered local', 'what must not be repeated, too');
-- Plain deliveries go a straight way; by the rules they would end in the same
INSERT INTO integration.endpoint (name, url, remote_id_path) VALUES
    ('plain', 'https://api.example.com/', '$.id'), ('ruled', 'https://api.example.com/', '$.id');
INSERT INTO integration.error_rule (endpoint, status_from, error_class) VALUES ('ruled', 999, 'internal');
CREATE FUNCTION pg_temp.left_by(endpoint text, base bigint) RETURNS SETOF text
    LANGUAGE sql
AS $$
    SELECT format('sync %s: attempt %s %s %s %s, left %s, closing %s', o.id - base, a.attempt_no, a.outcome, a.reason,
                  a.response_body, q.state, c.state)
      FROM integration.outbox o
      LEFT JOIN integration.attempt a ON a.outbox_id = o.id
      LEFT JOIN integration.queue q ON q.outbox_id = o.id
      LEFT JOIN integration.closing c ON c.outbox_id = o.id
     WHERE o.endpoint = left_by.endpoint
    UNION ALL
    SELECT format('object %s: %s %s %s %s %s %s', s.object_id, s.state, s.last_outbox_id - base, s.delivered_outbox_id - base,
                  s.delivered_at = now(), s.remote_id, s.failures)
      FROM integration.sync_status s JOIN integration.endpoint e ON e.id = s.endpoint_id
     WHERE e.name = left_by.endpoint
     ORDER BY 1
$$;
CREATE FUNCTION pg_temp.play(endpoint text) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    base bigint := pg_temp.enqueue(endpoint, 'first');
    syncs bigint[];
BEGIN
    PERFORM pg_temp.bring(base, 'http:200');
    syncs := ARRAY[pg_temp.enqueue(endpoint, 'new'), pg_temp.enqueue(endpoint, 'first'), pg_temp.enqueue(endpoint),
                   pg_temp.enqueue(endpoint, 'old'), pg_temp.enqueue(endpoint, 'old'), pg_temp.enqueue(endpoint, 'kept', 'k'),
                   pg_temp.enqueue(endpoint, 'next', 'k'), pg_temp.enqueue(endpoint, 'gone')];
    PERFORM pg_temp.bring(syncs[5], 'http:503');
    DELETE FROM integration.queue q WHERE q.outbox_id = syncs[8];
    INSERT INTO integration.closing (outbox_id, state) VALUES (syncs[8], 'cancelled');
    PERFORM pg_temp.bring_all(syncs[1:4] || syncs[6] || syncs[8], array_fill('http:200'::text, ARRAY[6]), body => '{"id": "r"}');
    RETURN base;
END
$$;
SELECT pg_temp.play('plain') AS plain, pg_temp.play('ruled') AS ruled \gset
SELECT isnt((SELECT h.state FROM pg_temp.health('plain') h), NULL, 'the endpoint is known, so its deliveries are plain');
SELECT is((integration_worker.plain_endpoints(ARRAY[e.id], now())).ids, CASE e.name WHEN 'plain' THEN ARRAY[e.id] END,
          e.name || ': the way its deliveries go')
  FROM integration.endpoint e WHERE e.name IN ('plain', 'ruled');
SELECT results_eq(format('SELECT * FROM pg_temp.left_by(%L, %s)', 'plain', :plain),
                  format('SELECT * FROM pg_temp.left_by(%L, %s)', 'ruled', :ruled), 'both ways leave the same');
SELECT is((SELECT count(*) FROM pg_temp.left_by('plain', :plain) l WHERE l LIKE 'sync%delivered%'), 7::bigint, 'seven were delivered');
SELECT is((SELECT l FROM pg_temp.left_by('plain', :plain) l WHERE l LIKE 'object old%'), 'object old: failing 5 4 t r 1',
          'an older delivery overwrites nothing on the straight way either');

SELECT is((SELECT count(*) FROM integration_worker.settle('{}')), 0::bigint, 'an empty batch');

-- What lists of many syncs read
SELECT results_eq(
    'SELECT q.outbox_id, q.attempts, q.reason, q.error_class, q.http_status, q.error, q.last_attempt_at FROM integration.queue q WHERE q.last_attempt_at IS NOT NULL ORDER BY 1',
    'SELECT DISTINCT ON (a.outbox_id) a.outbox_id, a.attempt_no, a.reason, a.error_class, a.http_status, a.error, a.started_at
       FROM integration.attempt a JOIN integration.queue q ON q.outbox_id = a.outbox_id ORDER BY 1, a.attempt_no DESC', 'the queue knows what the last attempt of each sync came to');
SELECT cmp_ok((SELECT count(DISTINCT (q.state, q.reason)) FROM integration.queue q WHERE q.reason IS NOT NULL), '>', 5::bigint, 'of several kinds');

SELECT * FROM finish();
ROLLBACK;
