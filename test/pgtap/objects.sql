-- What is queued for an object: the same as SQL says, however many are asked for; nothing is left open.
BEGIN;
\ir ../lib/no_ranges.sql
SELECT plan(22);

INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://shop.example.com/'), ('mail', 'https://mail.example.com/');
CREATE FUNCTION pg_temp.ask(prefix text) RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
    SELECT CASE WHEN n % 7 = 0 THEN 'mail' ELSE 'shop' END, CASE n % 3 WHEN 0 THEN 'order' WHEN 1 THEN '' END, prefix || n, '{}'
      FROM generate_series(1, 150) n
$$;
-- In the default partition, in two ranges; a range in between of which everything is finished.
SELECT pg_temp.ask('P-') \g /dev/null
SELECT integration_worker.make_partitions(100, 10, 1) FROM generate_series(1, 2) \g /dev/null
SELECT pg_temp.ask('P-') \g /dev/null
SELECT integration_worker.make_partitions(100, 10, 1) FROM generate_series(1, 4) \g /dev/null
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload) SELECT 'shop', 'order', 'P-3', '{}' FROM generate_series(1, 300);
SELECT r.low, r.high, r.outbox FROM integration_worker.ranges() r ORDER BY r.low OFFSET 2 LIMIT 1 \gset
DELETE FROM integration.queue q WHERE q.outbox_id >= :low AND q.outbox_id < :high;
SELECT is_empty(format('SELECT FROM integration.queue q WHERE q.outbox_id >= %s AND q.outbox_id < %s', :low, :high), 'a range is finished');
SELECT isnt_empty(format('SELECT FROM integration.%I', :'outbox'), 'and not empty');
DELETE FROM integration.queue q WHERE q.outbox_id % 11 = 0;
UPDATE integration.queue SET state = CASE WHEN outbox_id % 5 = 0 THEN 'retrying' ELSE 'failed' END, due_at = now() + outbox_id * interval '1 min'
 WHERE outbox_id % 4 <> 0;
INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at)
SELECT e.id, t.type, 'P-' || n, CASE WHEN n % 2 = 0 THEN 'failed' ELSE 'failing' END, n, now()
  FROM integration.endpoint e
 CROSS JOIN (VALUES (''), ('order')) AS t (type)
 CROSS JOIN generate_series(1, 151) AS n;

CREATE TEMP VIEW listed AS
SELECT s.endpoint, s.object_type, s.object_id, s.queued, s.next_sync, s.next_attempt_at
  FROM integration.object_status s
 WHERE s.state IN ('failed', 'failing');
CREATE TEMP VIEW by_sql AS
SELECT e.name AS endpoint, s.object_type, s.object_id, w.*
  FROM integration.sync_status s
  JOIN integration.endpoint e ON e.id = s.endpoint_id
 CROSS JOIN LATERAL (
       SELECT count(*) AS queued, min(q.outbox_id) AS next_sync,
              min(q.due_at) FILTER (WHERE q.state <> 'failed') AS next_attempt_at
         FROM integration.outbox o
         JOIN integration.queue q ON q.outbox_id = o.id
        WHERE o.object_id = s.object_id
          AND coalesce(o.object_type, '') = s.object_type
          AND q.endpoint_id = s.endpoint_id) w;
CREATE FUNCTION pg_temp.one_by_one() RETURNS SETOF listed
    LANGUAGE plpgsql
AS $$
BEGIN
    FOR n IN 1 .. 151 LOOP
        RETURN QUERY SELECT l.* FROM listed l WHERE l.object_id = 'P-' || n;
    END LOOP;
END
$$;

-- A list as long as this one is worth reading all of so small a queue.
ANALYZE integration.queue;
SELECT is(count(*), 604::bigint, 'so many objects don''t work') FROM listed;
SELECT set_eq('SELECT * FROM listed', 'SELECT * FROM by_sql', 'a list says what SQL says');
SELECT set_eq('SELECT * FROM pg_temp.one_by_one()', 'SELECT * FROM by_sql', 'one object says what SQL says');
SELECT isnt_empty('SELECT FROM by_sql WHERE queued = 0', 'there are objects with nothing queued');
SELECT isnt_empty('SELECT FROM by_sql WHERE queued = 2 AND next_attempt_at IS NULL', 'with failed syncs alone');
SELECT isnt_empty($$SELECT FROM by_sql b JOIN integration.queue q ON q.outbox_id > b.next_sync JOIN integration.outbox o ON o.id = q.outbox_id
                     WHERE o.object_id = b.object_id AND b.queued > 100 AND b.next_attempt_at IS NOT NULL$$, 'with hundreds in several ranges');
SELECT isnt_empty($$SELECT FROM by_sql b JOIN integration.outbox o ON o.id = b.next_sync WHERE o.object_type IS NULL$$, 'without a type');
SELECT results_eq($$SELECT count(*) FROM listed a JOIN listed b USING (endpoint, object_type, object_id, queued)$$, 'VALUES (604::bigint)',
                  'twice in a statement');

-- Types that are stored compressed are read anew by each look-up, which keeps nothing of them.
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, dedup_key, customer)
SELECT 'shop', repeat('x', 1000), 'long', '{}', n || repeat('y', 900), repeat('z', 900) FROM generate_series(1, 400) n;
SELECT isnt_empty($$SELECT FROM integration.outbox o WHERE o.object_id = 'long' AND pg_column_compression(o.object_type) IS NOT NULL$$, 'they are');
INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at)
SELECT e.id, n, 'long', 'failed', n, now() FROM integration.endpoint e CROSS JOIN generate_series(1, 50) n WHERE e.name = 'shop';
DECLARE long CURSOR FOR SELECT FROM integration.object_status s WHERE s.object_id = 'long' AND s.state = 'failed';
MOVE 1 IN long;
SELECT sum(m.total_bytes) AS at_first FROM pg_backend_memory_contexts m \gset
MOVE 48 IN long;
SELECT cmp_ok(sum(m.total_bytes) - :at_first, '<', 4000000::numeric, 'look-ups keep no memory') FROM pg_backend_memory_contexts m;
CLOSE long;
DELETE FROM integration.sync_status s WHERE s.object_id = 'long';

-- A cursor has what it reads in use, reads it as of its beginning, across subtransactions.
CREATE TEMP TABLE at_first AS SELECT b.* FROM by_sql b;
CREATE FUNCTION pg_temp.read_slowly() RETURNS SETOF listed
    LANGUAGE plpgsql
AS $$
DECLARE
    reading CURSOR FOR SELECT l.* FROM listed l;
    found_row record;
    is_refused boolean := false;
BEGIN
    OPEN reading;
    FOR n IN 1 .. 604 LOOP
        BEGIN
            FETCH reading INTO found_row;
            IF n IN (10, 300) THEN
                INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
                SELECT 'shop', 'order', 'P-' || m, '{}' FROM generate_series(1, 150) m;
            ELSIF n IN (11, 301) THEN
                DROP INDEX integration.outbox_default_object;
            END IF;
        EXCEPTION WHEN object_in_use THEN
            is_refused := true;
        END;
        RETURN NEXT found_row;
    END LOOP;
    CLOSE reading;
    IF NOT is_refused THEN
        RAISE EXCEPTION 'the cursor has nothing in use';
    END IF;
END
$$;
SELECT set_eq('SELECT * FROM pg_temp.read_slowly()', 'SELECT * FROM at_first', 'a cursor shows what was there when it was opened');
SELECT set_eq('SELECT * FROM listed', 'SELECT * FROM by_sql', 'the same transaction''s syncs are seen');

-- Its memory outlives the subtransaction that the error ends.
CREATE FUNCTION pg_temp.broken() RETURNS bigint
    LANGUAGE sql
AS $$
    SELECT sum(1 / l.queued) FROM listed l
$$;
DO $$
DECLARE
    found bigint;
BEGIN
    FOR n IN 1 .. 3 LOOP
        BEGIN
            found := pg_temp.broken();
        EXCEPTION WHEN division_by_zero THEN
            found := -1;
        END;
        IF found IS DISTINCT FROM -1 THEN
            RAISE EXCEPTION 'nothing was divided by zero';
        END IF;
    END LOOP;
END
$$;
DECLARE broken CURSOR FOR SELECT 1 / l.queued FROM listed l;
SELECT throws_ok('FETCH ALL FROM broken', '22012', NULL, 'a cursor that fails in a subtransaction');
SELECT lives_ok(format('DROP TABLE integration.%I', :'outbox'), 'an error leaves nothing open: a range can be dropped');
CLOSE broken;
SELECT set_eq('SELECT * FROM listed', 'SELECT * FROM by_sql', 'a list without that range');
SELECT set_eq('SELECT * FROM pg_temp.one_by_one()', 'SELECT * FROM by_sql', 'one object without that range');

-- More than was expected, and than is read at once.
INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, change_xid)
SELECT 1000000 + n, 0, now(), 2, '3' FROM generate_series(1, 20000) n;
SELECT cmp_ok(c.reltuples, '<', 1000::real, 'nobody has counted them') FROM pg_class c WHERE c.oid = 'integration.queue'::regclass;
SELECT set_eq('SELECT * FROM listed', 'SELECT * FROM by_sql', 'a list beside a queue that has become long');

DROP INDEX integration.outbox_default_object;
SELECT set_eq('SELECT * FROM listed', 'SELECT * FROM by_sql', 'a list without an index by object');
SELECT set_eq('SELECT * FROM pg_temp.one_by_one()', 'SELECT * FROM by_sql', 'one object without it');

SELECT * FROM finish();
ROLLBACK;
