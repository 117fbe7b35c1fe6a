-- What the worker reads: floods, positions, what expires.

BEGIN;
SELECT plan(16);

INSERT INTO integration.endpoint (name, url) VALUES ('first', 'https://first.example/'), ('second', 'https://second.example/');
CREATE FUNCTION pg_temp.endpoint_id(name text) RETURNS integer LANGUAGE sql AS
    $$ SELECT e.id FROM integration.endpoint e WHERE e.name = endpoint_id.name $$;
INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, change_xid)
SELECT n, pg_temp.endpoint_id('first'), now() + n * interval '1 ms' - interval '1 h', 2, '5' FROM generate_series(1001, 1050) AS n;
INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, change_xid)
VALUES (2001, pg_temp.endpoint_id('second'), now() - interval '1 h', 2, '5'),
       (2002, pg_temp.endpoint_id('first'), now() - interval '1 h', 2, '6'),
       (2003, pg_temp.endpoint_id('first'), now() - interval '1 h', 2, '8');
INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, change_xid, state)
VALUES (2004, pg_temp.endpoint_id('second'), now(), 2, '6', 'failed');

SELECT results_eq(
    $$ SELECT outbox_id FROM integration_worker.flood('5:5:', '7:7:', '0', 0, 100, 3, 65535) $$,
    ARRAY[1001, 1002, 1003, 2001, 2002, NULL]::bigint[], 'a flood gives the first rows of each group, oldest first');
SELECT results_eq(
    $$ SELECT outbox_id FROM integration_worker.flood('5:5:', '7:7:', '0', 0, 1, 3, 65535) $$,
    ARRAY[1001, 1002, 1003]::bigint[], 'so many groups');
SELECT results_eq(
    format($$ SELECT outbox_id FROM integration_worker.flood('5:5:', '7:7:', '5', %s, 2, 3, 65535) $$, pg_temp.endpoint_id('first')),
    ARRAY[2001, 2002]::bigint[], 'from a position on');
SELECT results_eq(
    $$ SELECT outbox_id FROM integration_worker.flood('5:9:5,6', '9:9:', '0', 0, 100, 1, 65535) $$,
    ARRAY[1001, 2001, 2002, NULL]::bigint[], 'what ran before and ended since');
SELECT results_eq(
    $$ SELECT outbox_id FROM integration_worker.flood('5:9:5,6', '5:9:5', '0', 0, 100, 1, 65535) $$,
    ARRAY[2002, NULL]::bigint[], 'not what still runs');
SELECT results_eq(
    format($$ SELECT outbox_id FROM integration_worker.flood('5:5:', '7:7:', '0', 0, 100, 1, %s) WHERE outbox_id IS NOT NULL $$,
           1 << pg_temp.endpoint_id('second') % 16),
    ARRAY[2001]::bigint[], 'of the shards that are asked for');
SELECT results_eq(
    $$ SELECT first_xid::text, end_xid::text FROM integration_worker.ended_between('5:7:5,6', '6:20:6,7,9,10') $$,
    $$ VALUES ('5', '6'), ('8', '9'), ('11', '20') $$, 'what runs is no part of what ended');
SELECT is_empty($$ SELECT FROM integration_worker.ended_between('5:7:5', '5:7:5') $$, 'nothing ended');
SELECT is((SELECT count(*) FROM integration_worker.feed('5:5:', 10, 65535) WHERE outbox_id IS NOT NULL), 10::bigint,
          'a feed gives no more than so many');

SELECT results_eq(
    format($$ SELECT source, outbox_id FROM integration_worker.take(ARRAY[%1$s, %1$s], ARRAY[2, 2]::smallint[], ARRAY[NULL, '5']::xid8[],
                  ARRAY[now() - interval '1 h', now() - interval '1 h' + interval '1.048 s'], ARRAY[2002, 0], ARRAY[2, 10], ARRAY[2001, 2004]) $$,
           pg_temp.endpoint_id('first')),
    $$ VALUES (1, 2003::bigint), (1, 1001), (2, 1048), (2, 1049), (2, 1050), (0, 2001) $$,
    'from a cursor, from a range, by ids');
UPDATE integration.queue SET due_at = now() + interval '1 h' WHERE outbox_id = 1050;
SELECT results_eq(
    format($$ SELECT outbox_id FROM integration_worker.take(ARRAY[%s], ARRAY[2]::smallint[], ARRAY[NULL]::xid8[],
                  ARRAY[now() - interval '30 min'], ARRAY[0], ARRAY[10], '{}') $$, pg_temp.endpoint_id('first')),
    ARRAY[1050]::bigint[], 'a cursor that comes to its end says what is due next');
SELECT results_eq(
    format($$ SELECT outbox_id FROM integration_worker.take(ARRAY[%s], ARRAY[2]::smallint[], ARRAY[NULL]::xid8[],
                  ARRAY[now() + interval '1 h'], ARRAY[1049], ARRAY[10], '{}') $$, pg_temp.endpoint_id('first')),
    ARRAY[1050]::bigint[], 'also from a cursor ahead of the clock');

UPDATE integration.queue SET expires_at = now() - interval '1 min' WHERE outbox_id = 1001;
UPDATE integration.queue SET expires_at = now() - interval '3 min' WHERE outbox_id = 1002;
UPDATE integration.queue SET expires_at = now() + interval '1 h' WHERE outbox_id = 1003;
SELECT is((SELECT next_at FROM integration_worker.expire(done_before => now() - interval '2 min')), now() + interval '1 h',
          'expire says when it is to be called next');
SELECT results_eq($$ SELECT outbox_id FROM integration.closing WHERE state = 'expired' $$, ARRAY[1001]::bigint[],
          'it reads forward only');
SELECT is((SELECT done_until >= now() FROM integration_worker.expire()), true, 'and says how far it came');
SELECT results_eq($$ SELECT outbox_id FROM integration.closing WHERE state = 'expired' ORDER BY 1 $$,
                  ARRAY[1001, 1002]::bigint[], 'from the beginning it finds the rest');

SELECT * FROM finish();
ROLLBACK;
