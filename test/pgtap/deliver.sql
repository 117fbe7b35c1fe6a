-- What deliver() writes past the executor: attempts of a batch across ranges, every column, every index.
BEGIN;
\ir ../lib/no_ranges.sql
\ir ../lib/settle.sql
SELECT plan(11);

CREATE EXTENSION amcheck;
INSERT INTO integration.endpoint (name, url) VALUES ('well', 'https://api.example.com/'), ('new', 'https://api.example.com/');
INSERT INTO integration.endpoint_health (endpoint_id, last_success_at)
SELECT e.id, now() FROM integration.endpoint e WHERE e.name = 'well';
SELECT pg_temp.enqueue('well') \g /dev/null
SELECT integration_worker.make_partitions(100, 10, 1) FROM generate_series(1, 2) \g /dev/null
SELECT pg_temp.enqueue(CASE WHEN n % 50 = 0 THEN 'new' ELSE 'well' END) FROM generate_series(1, 250) n \g /dev/null
SELECT cmp_ok(count(DISTINCT o.tableoid), '>=', 3::bigint, 'the batch lies in several ranges') FROM integration.outbox o;
-- A range whose columns are in another order.
SELECT r.attempt, r.low, r.high FROM integration_worker.ranges() r LIMIT 1 \gset
ALTER TABLE integration.attempt DETACH PARTITION integration.:attempt;
ALTER TABLE integration.:attempt DROP COLUMN duration_ms;
ALTER TABLE integration.:attempt ADD COLUMN duration_ms integer;
ALTER TABLE integration.attempt ATTACH PARTITION integration.:attempt FOR VALUES FROM (:low) TO (:high);

CREATE FUNCTION pg_temp.deliver_all() RETURNS integer[]
    LANGUAGE sql
AS $$
    SELECT integration_worker.deliver(
               array_agg(pg_temp.result(q.outbox_id, 'http:' || 200 + q.outbox_id % 3, jsonb_build_object(
                             'duration_ms', 7, 'dns_ms', 1, 'connect_ms', 2, 'tls_ms', 3, 'first_byte_ms', 4,
                             'request_url', 'https://api.example.com/' || q.outbox_id, 'remote_address', '192.0.2.7',
                             'response_headers', jsonb_build_object('n', q.outbox_id / 3)::text,
                             'response_body', repeat(md5(q.outbox_id::text), CASE WHEN q.outbox_id % 10 = 0 THEN 2000 ELSE 10 END),
                             'trace_id', md5('t' || q.outbox_id), 'span_id', left(md5('s' || q.outbox_id), 16)))
                         ORDER BY q.outbox_id % 4, q.outbox_id),
               ARRAY(SELECT pg_temp.uncounted(e.id) FROM integration.endpoint e))
      FROM integration.queue q
$$;
CREATE TABLE pg_temp.asked AS SELECT q.* FROM integration.queue q;
SELECT is(cardinality(pg_temp.deliver_all()), 246, 'all but those of the endpoint that nothing is known of');
SELECT is(count(*), 5::bigint, 'those are left in the queue') FROM integration.queue q;
SELECT is((SELECT count(*) FROM integration.attempt a JOIN integration.outbox o ON o.id = a.outbox_id
            WHERE replace(a.tableoid::regclass::text, 'attempt', 'outbox') = o.tableoid::regclass::text),
          246::bigint, 'each attempt is in the range of its sync');
SELECT is(count(*), 246::bigint, 'with all that the result said')
  FROM integration.attempt a
  JOIN pg_temp.asked q ON (q.outbox_id, q.endpoint_id) = (a.outbox_id, a.endpoint_id)
 WHERE a.attempt_no = 1 AND a.started_at = now() AND a.outcome = 'delivered' AND a.reason = 'http:' || a.http_status
   AND a.http_status = 200 + a.outbox_id % 3 AND (a.duration_ms, a.dns_ms, a.connect_ms, a.tls_ms, a.first_byte_ms) = (7, 1, 2, 3, 4)
   AND a.request_url = 'https://api.example.com/' || a.outbox_id AND a.remote_address = '192.0.2.7'
   AND a.response_headers = jsonb_build_object('n', a.outbox_id / 3)
   AND a.response_body = repeat(md5(a.outbox_id::text), CASE WHEN a.outbox_id % 10 = 0 THEN 2000 ELSE 10 END)
   AND a.trace_id = md5('t' || a.outbox_id) AND a.span_id = left(md5('s' || a.outbox_id), 16)
   AND a.error_class IS NULL AND a.next_attempt_at IS NULL;
SELECT bt_index_check(i.indexrelid, true)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
 WHERE i.indrelid IN (SELECT DISTINCT a.tableoid FROM integration.attempt a) \g /dev/null
SELECT cmp_ok(count(*), '>=', 9::bigint, 'every index of every range holds every row that it should')
  FROM pg_index i WHERE i.indrelid IN (SELECT DISTINCT a.tableoid FROM integration.attempt a);

-- One and the same result twice, one of a sync that is gone.
SELECT pg_temp.enqueue('well') AS sync \gset
SELECT is(integration_worker.deliver(
              ARRAY[pg_temp.result(:sync, 'http:200'), pg_temp.result(:sync, 'http:200'),
                    jsonb_populate_record(pg_temp.result(:sync, 'http:200'), '{"outbox_id": 1}')],
              ARRAY[pg_temp.uncounted(pg_temp.endpoint_of(:sync))]),
          '{1}', 'a sync is delivered once');
SELECT is((SELECT count(*) FROM integration.attempt a WHERE a.outbox_id = :sync), 1::bigint, 'and has one attempt');
SELECT pg_temp.enqueue('well') AS sync \gset
SELECT is(integration_worker.deliver(
              ARRAY[pg_temp.result(:sync, 'http:200', '{"response_headers": "{"}')],
              ARRAY[pg_temp.uncounted(pg_temp.endpoint_of(:sync))]),
          '{}', 'headers that are no JSON are left to settle()');

-- Somebody's triggers are called by settle().
CREATE FUNCTION pg_temp.watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION pg_temp.deliver_one(sync bigint) RETURNS integer[]
    LANGUAGE sql
AS $$
    SELECT integration_worker.deliver(
               ARRAY[pg_temp.result(sync, 'http:200')],
               ARRAY[pg_temp.uncounted(pg_temp.endpoint_of(sync))])
$$;
CREATE TRIGGER watch AFTER INSERT ON integration.attempt FOR EACH ROW EXECUTE FUNCTION pg_temp.watch();
SELECT is(pg_temp.deliver_one(:sync), '{}', 'a trigger of attempt');
DROP TRIGGER watch ON integration.attempt;
CREATE TRIGGER watch AFTER DELETE ON integration.queue EXECUTE FUNCTION pg_temp.watch();
SELECT is(pg_temp.deliver_one(:sync), '{}', 'or of queue leaves all to settle()');

SELECT * FROM finish();
ROLLBACK;
