-- A flood that comes while the planner believes the queue to be empty: nothing walks over it.
BEGIN;
SELECT plan(9);

INSERT INTO integration.endpoint (name, url) VALUES ('flooded', 'https://flooded.example.com/'), ('steady', 'https://steady.example.com/');
CREATE FUNCTION pg_temp.endpoint_id(name text) RETURNS integer LANGUAGE sql AS
    $$ SELECT e.id FROM integration.endpoint e WHERE e.name = endpoint_id.name $$;
INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, change_xid)
SELECT n, pg_temp.endpoint_id('flooded'), now() - interval '1 h', 2, '5' FROM generate_series(1001, 21000) AS n;
INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, change_xid, expires_at)
VALUES (21001, pg_temp.endpoint_id('steady'), now() - interval '1 h', 2, '7', now() - interval '1 min');
INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, change_xid, object_type, object_id)
SELECT n, pg_temp.endpoint_id('steady'), now() - interval '1 h', 2, '7', 'order', 'O-1' FROM generate_series(21002, 21005) AS n;
-- What a vacuum of the empty queue leaves behind.
UPDATE pg_class SET reltuples = 0, relpages = 10 WHERE oid = 'integration.queue'::regclass;

-- Blocks that a statement has looked at, with plans that are there.
CREATE FUNCTION pg_temp.blocks(statement text) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    plan jsonb;
BEGIN
    FOR i IN 1 .. 2 LOOP
        EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || statement INTO plan;
    END LOOP;
    RETURN (plan #>> '{0,Plan,Shared Hit Blocks}')::bigint + (plan #>> '{0,Plan,Shared Read Blocks}')::bigint;
END
$$;

SELECT cmp_ok(pg_temp.blocks($$ SELECT * FROM integration_worker.flood('5:6:5', '8:8:', '0', 0, 100, 9, 65535) $$), '<', 150::bigint,
              'a flood is jumped over, one that ran before too');
SELECT cmp_ok(pg_temp.blocks(format($$ SELECT * FROM integration_worker.flood('5:6:5', '8:8:', '0', 0, 100, 9, %s) $$,
                                    1 << pg_temp.endpoint_id('steady') % 16)), '<', 150::bigint,
              'so is one for another worker''s shards');
SELECT cmp_ok(pg_temp.blocks(format($$ SELECT * FROM integration_worker.feed('5:5:', 100, %s) $$,
                                    1 << pg_temp.endpoint_id('steady') % 16)), '<', 150::bigint,
              'and the feed sees that there is one');
SELECT cmp_ok(pg_temp.blocks($$ SELECT * FROM integration_worker.feed('6:6:', 100, 65535) $$), '<', 150::bigint, 'the feed begins behind it');
SELECT cmp_ok(pg_temp.blocks(format($$ SELECT * FROM integration_worker.take(ARRAY[%s], ARRAY[2]::smallint[], ARRAY[NULL]::xid8[],
                  ARRAY[now() - interval '2 h'], ARRAY[0], ARRAY[10], '{}') $$, pg_temp.endpoint_id('steady'))), '<', 150::bigint,
              'others'' rows are taken');
SELECT cmp_ok(pg_temp.blocks($$ SELECT * FROM integration_worker.expire() $$), '<', 150::bigint, 'what expired is closed');

SELECT cmp_ok(pg_temp.blocks($$ SELECT * FROM integration_worker.mark('{21002,21003}', '{7,7}') $$), '<', 150::bigint, 'marks are set');
UPDATE integration.queue SET claimed_at = NULL WHERE claimed_at IS NOT NULL;
SELECT cmp_ok(pg_temp.blocks($$ SELECT * FROM integration_worker.supersede('{21002,21003}', '{1,1}', '{}') $$), '<', 150::bigint,
              'older states of an object are closed');
SELECT is((SELECT count(*) FROM integration.queue q WHERE q.outbox_id BETWEEN 21001 AND 21005), 1::bigint, 'each did its work');

SELECT * FROM finish();
ROLLBACK;
