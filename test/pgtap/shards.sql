-- What a worker does to syncs that it did not send itself: its shards' only.
BEGIN;
SELECT plan(6);

INSERT INTO integration.endpoint (name, url, idempotent)
SELECT 'e' || n, 'https://shop.example.com/', false FROM generate_series(1, 3) AS n;

-- The endpoints' ids follow each other, so their shards are three different ones.
CREATE FUNCTION pg_temp.shard(endpoint text) RETURNS integer
    LANGUAGE sql
AS $$
    SELECT e.id % 16 FROM integration.endpoint e WHERE e.name = endpoint
$$;

CREATE FUNCTION pg_temp.times(endpoint text, at timestamptz) RETURNS timestamptz[]
    LANGUAGE sql
AS $$
    SELECT array_agg(CASE WHEN n = pg_temp.shard(endpoint) THEN at ELSE '-infinity' END ORDER BY n)
      FROM generate_series(0, 15) AS n
$$;

CREATE FUNCTION pg_temp.left_of() RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(e.name || ':' || q.state || CASE WHEN q.claimed_at IS NULL THEN '' ELSE '!' END, ' ' ORDER BY e.name)
      FROM integration.queue q
      JOIN integration.endpoint e ON e.id = q.endpoint_id
$$;

-- Marks
INSERT INTO integration.outbox (endpoint, payload) SELECT 'e' || n, '{}' FROM generate_series(1, 3) AS n;
UPDATE integration.queue SET claimed_at = now();
SELECT integration_worker.recover(pg_temp.times('e2', now()));
SELECT is(pg_temp.left_of(), 'e1:pending! e2:pending! e3:pending!', 'a mark that is not older than the time given stays');
SELECT integration_worker.recover(pg_temp.times('e2', now() + interval '1 s'));
SELECT is(pg_temp.left_of(), 'e1:pending! e2:failed e3:pending!', 'one that is is settled, those of other shards stay');
SELECT integration_worker.recover(pg_temp.times('e3', 'infinity'));
SELECT is(pg_temp.left_of(), 'e1:pending! e2:failed e3:failed', 'whatever the clock said, where none can be the worker''s own');

-- Expiry
DELETE FROM integration.queue;
INSERT INTO integration.outbox (endpoint, payload, expires_at)
SELECT 'e' || n, '{}', clock_timestamp() + interval '1 min' FROM generate_series(1, 3) AS n;
UPDATE integration.queue q SET expires_at = clock_timestamp() - interval '1 min';
SELECT is((SELECT e.next_at FROM integration_worker.expire(1 << pg_temp.shard('e1')) e), NULL, 'what is overdue elsewhere is not waited for');
SELECT is(pg_temp.left_of(), 'e2:pending e3:pending', 'what expires in other shards is left to them');
SELECT is((SELECT e.next_at FROM integration_worker.expire() e), NULL, 'all shards, where none is named');

SELECT * FROM finish();
ROLLBACK;
