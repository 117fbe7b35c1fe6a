-- Attempts are counted once each by hour and duration, whatever step by step the worker has counted by then.
BEGIN;
\ir ../lib/no_ranges.sql
SELECT plan(19);

INSERT INTO integration.endpoint (name, url) VALUES ('one', 'https://one.example.com/'), ('two', 'https://two.example.com/');
CREATE FUNCTION pg_temp.attempt(endpoint text, ago interval, ms integer, outcome text DEFAULT 'delivered') RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason)
    SELECT coalesce((SELECT max(a.outbox_id) FROM integration.attempt a), 0) + 1, 1, e.id, now() - ago, ms, attempt.outcome, 'http:200'
      FROM integration.endpoint e
     WHERE e.name = attempt.endpoint
$$;
CREATE FUNCTION pg_temp.figures() RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(concat_ws(' ', f.endpoint, f.delivered, f.failed), ', ' ORDER BY f.endpoint)
      FROM (SELECT t.endpoint, sum(t.delivered) AS delivered, sum(t.failed) AS failed
              FROM integration.endpoint_traffic t
             WHERE t.endpoint IN ('one', 'two')
             GROUP BY 1) f
$$;
CREATE FUNCTION pg_temp.count_all() RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    after_id bigint := 0;
    steps integer := 0;
BEGIN
    WHILE after_id IS NOT NULL LOOP
        after_id := integration_worker.count_traffic(after_id, now() - interval '7 days', 2, now());
        steps := steps + 1;
    END LOOP;
    RETURN steps;
END
$$;

-- duration, the bound that it is counted under
SELECT pg_temp.attempt('two', '30 h', b.ms) FROM unnest('{0,5,6,10000,10001,60001}'::integer[]) AS b (ms) \g /dev/null
SELECT is(c.attempts, b.attempts, format('up to %s ms', b.up_to_ms))
  FROM (VALUES (5, 2), (10, 1), (10000, 1), (30000, 1), (60000, NULL), (2147483647, 1)) AS b (up_to_ms, attempts)
  LEFT JOIN (SELECT x.up_to_ms, (x.delivered + x.failed)::integer AS attempts
               FROM integration.endpoint e
              CROSS JOIN LATERAL integration_worker.count_attempts(e.id, now() - interval '30 h', 'infinity') x
              WHERE e.name = 'two') c USING (up_to_ms);
DELETE FROM integration.attempt a USING integration.endpoint e WHERE e.id = a.endpoint_id AND e.name IN ('one', 'two');

SELECT is(pg_temp.figures(), NULL, 'an endpoint that was never called has no figures');
SELECT pg_temp.attempt('one', '2 h', 80) FROM generate_series(1, 5) \g /dev/null
SELECT pg_temp.attempt('one', '2 h', 700, 'failed') \g /dev/null
SELECT pg_temp.attempt('two', '12 min', 3) \g /dev/null
SELECT pg_temp.attempt('two', '1 min', 3) FROM generate_series(1, 2) \g /dev/null
SELECT pg_temp.attempt('two', '26 h', 3) \g /dev/null
SELECT is(pg_temp.figures(), 'one 5 1, two 3 0', 'what nobody has counted is read itself, from 24 hours on');
INSERT INTO integration.endpoint_health (endpoint_id, last_success_at)
SELECT e.id, now() FROM integration.endpoint e WHERE e.name IN ('one', 'two');
SELECT cmp_ok(pg_temp.count_all(), '>=', 3, 'small steps count it');
SELECT is(pg_temp.figures(), 'one 5 1, two 3 0', 'and nothing twice');
SELECT is((SELECT string_agg(concat_ws(' ', e.name, t.n), ', ' ORDER BY e.name)
             FROM (SELECT x.endpoint_id, sum(x.delivered + x.failed) AS n FROM integration.traffic x GROUP BY 1) t
             JOIN integration.endpoint e ON e.id = t.endpoint_id
            WHERE e.name IN ('one', 'two')),
          'one 6, two 2', 'what may still be on its way is left for later');
SELECT pg_temp.count_all() \g /dev/null
SELECT is(pg_temp.figures(), 'one 5 1, two 3 0', 'counting again changes nothing');
SELECT is((SELECT concat_ws(' ', t.p50_ms, t.p95_ms, t.p99_ms) FROM integration.endpoint_traffic t WHERE t.endpoint = 'one'),
          '90 675 735', 'percentiles lie between the bounds of their counts');
SELECT is((SELECT sum(t.delivered) FROM integration_worker.traffic_total t JOIN integration.endpoint e ON e.id = t.endpoint_id
            WHERE e.name = 'two'), 2::numeric, 'the sums are kept');
UPDATE integration_worker.traffic_mark m SET counted_until = now() - interval '1 d' FROM integration.endpoint e
 WHERE e.id = m.endpoint_id AND e.name = 'two';
SELECT integration_worker.count_traffic(e.id - 1, now() - interval '1 h', 100, now()) FROM integration.endpoint e WHERE e.name = 'two' \g /dev/null
SELECT is((SELECT count(*) FROM integration.traffic t JOIN integration.endpoint e ON e.id = t.endpoint_id
            WHERE e.name = 'two' AND t.hour < now() - interval '1 h'), 0::bigint, 'old hours leave');

-- the line of characters
SELECT is(integration_worker.sparkline('{1,2,12}', '{1,8,4}', '{1,8,1}'), '▁█·········×', 'bars, nothing, failures');
SELECT is(integration_worker.sparkline(NULL, NULL, NULL), '············', 'nothing at all');
SELECT is((SELECT right(s.trend, 1) FROM integration.endpoint_status s WHERE s.name = 'two'), '█', 'the latest is on the right');
DELETE FROM integration.attempt a USING integration.endpoint e WHERE e.id = a.endpoint_id AND e.name = 'one';
SELECT lives_ok($$DELETE FROM integration.endpoint WHERE name = 'one'$$, 'the counts of an endpoint go with it');

SELECT * FROM finish();
ROLLBACK;
