-- The stream of what happened is read by time without reading what is older.
BEGIN;
\ir ../lib/no_ranges.sql
SELECT plan(5);

-- Files of its own: rows in the places of others' would not come in the order of their times, and others would find theirs full of dead ones.
TRUNCATE integration.outbox_default, integration.attempt_default, integration.queue;
INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://api.example.com/');
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, created_at)
SELECT 'shop', 'order', 'O-' || n, '{}', now() - (20000 - n) * interval '1 min' FROM generate_series(1, 20000) n;
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason)
SELECT o.id, 1, e.id, o.created_at, 1500, 'delivered', 'http:200'
  FROM integration.outbox o JOIN integration.endpoint e ON e.name = o.endpoint WHERE o.endpoint = 'shop' ORDER BY o.id;
DELETE FROM integration.queue;
-- What autovacuum does, in each range.
SELECT brin_summarize_new_values(c.oid)
  FROM pg_class c JOIN pg_am m ON m.oid = c.relam AND m.amname = 'brin'
 WHERE c.relnamespace = 'integration'::regnamespace AND c.relkind = 'i' \g /dev/null
ANALYZE integration.outbox, integration.attempt, integration.queue;

SELECT is((SELECT string_agg(DISTINCT e.name, ' ' ORDER BY e.name) FROM integration.event e WHERE e.at > now() - interval '10 min 1 s' AND e.component = 'sync'),
          'attempted delivered enqueued', 'what happened of late');
SELECT is((SELECT count(*) FROM integration.event e WHERE e.at > now() - interval '10 min 1 s' AND e.name = 'enqueued'), 11::bigint, 'all of it');
SELECT is((SELECT max(e.at) - now() FROM integration.event e WHERE e.at > now() - interval '10 min 1 s'), interval '1.5 s', 'an end is later than its beginning');

-- The rows that each scan threw away show how much it read.
CREATE FUNCTION pg_temp.read_rows(condition text) RETURNS numeric
    LANGUAGE plpgsql
AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, TIMING off, FORMAT json) SELECT * FROM integration.event WHERE ' || condition INTO plan;
    RETURN (SELECT max(((n ->> 'Actual Rows')::numeric + coalesce((n ->> 'Rows Removed by Index Recheck')::numeric, 0)
                        + coalesce((n ->> 'Rows Removed by Filter')::numeric, 0)) * (n ->> 'Actual Loops')::numeric)
              FROM jsonb_path_query(plan, 'strict $.**') n
             WHERE jsonb_typeof(n) = 'object' AND n ->> 'Relation Name' ~ '^(outbox|attempt)_');
END
$$;
SELECT cmp_ok(pg_temp.read_rows('at >= now() - interval ''10 min'''), '<', 5000::numeric, 'ten minutes of two weeks are read by time');
SELECT cmp_ok(pg_temp.read_rows('at >= now() - interval ''1 year'''), '>=', 20000::numeric, 'where all of it is asked for, all is');

SELECT * FROM finish();
ROLLBACK;
