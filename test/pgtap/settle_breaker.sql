-- When an endpoint is left alone: breaker, stop, probes, pauses, incidents.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(106);

INSERT INTO integration.connector (name, owner, severity) VALUES ('crm', 'sales-it', 2);
INSERT INTO integration.endpoint (name, url, connector, customer)
SELECT n, 'https://api.example.com/', 'crm', 'acme'
  FROM unnest('{row,parted,idle,mixed,calm,probe,stop,fix,own,late,moved,cut,pair,limit,data,found,missing,batch,seldom,local}'::text[]) n;

CREATE FUNCTION pg_temp.several(endpoint text, reason text, many integer, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE sql
AS $$
    SELECT (SELECT string_agg(DISTINCT b.state, ',')
              FROM pg_temp.bring_all(ARRAY(SELECT pg_temp.enqueue(several.endpoint) FROM generate_series(1, many)),
                                     array_fill(several.reason, ARRAY[many]), several.at) b
             WHERE b.sync IS NOT NULL)
$$;

-- What the worker has counted since now().
CREATE FUNCTION pg_temp.counted(
        endpoint text, failures integer, attempts integer, failed integer, row_after integer DEFAULT 0,
        changed_at timestamptz DEFAULT NULL)
    RETURNS integration_worker.counter[]
    LANGUAGE sql
AS $$
    SELECT ARRAY[ROW (e.id, failures, now(), attempts, failed, NULL, row_after, changed_at)::integration_worker.counter]
      FROM integration.endpoint e WHERE e.name = counted.endpoint
$$;

CREATE FUNCTION pg_temp.incidents(endpoint text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(i.error_class || ' ' || i.state, ', ' ORDER BY i.id) FROM integration.incident i
     WHERE i.endpoint = incidents.endpoint
$$;

-- Ten in a row
SELECT is(pg_temp.several('row', 'http:503', 9), 'retrying', 'nine failures');
SELECT is((pg_temp.health('row')).state, 'closed', 'nine in a row: closed');
SELECT is((pg_temp.health('row')).failures, 9, 'nine are counted');
SELECT is(pg_temp.incidents('row'), NULL, 'nine in a row: no incident');
SELECT is(pg_temp.several('row', 'http:503', 1, now() + interval '2 min'), 'retrying', 'the tenth, two minutes later');
SELECT is((pg_temp.health('row')).state, 'open', 'ten in a row: open');
SELECT is((pg_temp.health('row')).since, now() + interval '2 min', 'open since the tenth');
SELECT ok((pg_temp.health('row')).open_until - (pg_temp.health('row')).since BETWEEN '1 s' AND '1.2 s', 'open for 1 s first');
SELECT is(pg_temp.incidents('row'), 'remote_unavailable open', 'ten in a row: an incident');
SELECT is((SELECT ROW (i.severity, i.owner, i.responsible, i.remedy = r.remedy)::text
             FROM integration.incident i, integration.error_reason r WHERE i.endpoint = 'row' AND r.reason = 'http:503'),
          '(2,sales-it,remote_vendor,t)', 'the incident says how bad, whose, what to do');

-- Probes
SELECT is(pg_temp.several('row', 'http:503', 3, now() + interval '2 min'), 'retrying', 'requests that left while it opened');
SELECT is((pg_temp.health('row')).openings, 1, 'are no probes');
SELECT is(pg_temp.several('row', 'http:503', 1, now() + interval '122 s'), 'retrying', 'one that left when a probe was due');
SELECT is((pg_temp.health('row')).openings, 2, 'is one');
SELECT is(pg_temp.bring(pg_temp.enqueue('row'), 'http:503', at => now() + interval '3 min', started => now() + interval '1 min'),
          'retrying', 'one that left before the breaker opened');
SELECT is((pg_temp.health('row')).openings, 2, 'late results are no probes');
SELECT is(ARRAY(SELECT (pg_temp.several('row', 'http:503', 1, now() + n * interval '5 min') IS NOT NULL)
                       AND (pg_temp.health('row')).open_until - (now() + n * interval '5 min')
                           BETWEEN least(60, 2 ^ (n + 1)) * interval '1 s' AND least(60, 2 ^ (n + 1)) * interval '1.2 s'
                  FROM generate_series(1, 8) n), array_fill(true, ARRAY[8]), 'each failed probe doubles the wait, up to 60 s');
SELECT is((SELECT i.syncs FROM integration.incident i WHERE i.endpoint = 'row'), 10::bigint,
          'the incident counts the opening and each probe');
SELECT is(pg_temp.several('row', 'http:200', 1, now() + interval '1 h'), 'delivered', 'a probe goes through');
SELECT is((SELECT ROW (h.state, h.open_until, h.openings, h.failures)::text FROM pg_temp.health('row') h), '(closed,,0,0)',
          'closed again');
SELECT is(pg_temp.incidents('row'), 'remote_unavailable resolved', 'the incident is over');
SELECT is((SELECT b.state || ' ' || coalesce(b.due_at::text, '-')
             FROM pg_temp.bring_all(ARRAY[pg_temp.enqueue('row')], ARRAY['http:200'], now() + interval '1 h') b
            WHERE b.sync IS NULL), 'closed -', 'the worker is told: closed, not before nothing');

-- What came before a delivery is in no row, though the delivery went the straight way
SELECT is((SELECT c.state || ' ' || c.failures
             FROM pg_temp.settle(ARRAY(SELECT pg_temp.result(pg_temp.enqueue('parted'), 'http:503') FROM generate_series(1, 12)),
                                 counters => pg_temp.counted('parted', 0, 100, 0, 9)) c
            WHERE c.outbox_id IS NULL), 'closed 3', 'nine failures, a delivery, three failures: closed');

-- Half of ten in a minute
SELECT is(pg_temp.several('mixed', 'http:200', 4), 'delivered', 'four good ones');
SELECT is(pg_temp.several('mixed', 'http:500', 3), 'retrying', 'three bad ones');
SELECT is(pg_temp.several('mixed', 'http:200', 1), 'delivered', 'one good one');
CREATE TEMPORARY TABLE counters AS
SELECT c.*
  FROM pg_temp.settle(ARRAY[pg_temp.result(pg_temp.enqueue('mixed'), 'http:500')], now() + interval '5 s',
                      pg_temp.counted('mixed', 0, 8, 3)) c
 WHERE c.outbox_id IS NULL;
SELECT is((SELECT ROW (c.state, c.failures, c.minute_at = now(), c.minute_attempts, c.minute_failures)::text FROM counters c),
          '(closed,1,t,9,4)', 'the worker''s counters go on counting');
SELECT is((SELECT c.state
             FROM pg_temp.settle(ARRAY[pg_temp.result(pg_temp.enqueue('mixed'), 'http:500')], now() + interval '61 s',
                                 pg_temp.counted('mixed', 1, 9, 4)) c
            WHERE c.outbox_id IS NULL), 'closed', 'a minute later counting begins anew');
SELECT is((SELECT c.state
             FROM pg_temp.settle(ARRAY[pg_temp.result(pg_temp.enqueue('mixed'), 'http:500')], now() + interval '6 s',
                                 pg_temp.counted('mixed', 1, 9, 4)) c
            WHERE c.outbox_id IS NULL), 'open', 'half of ten within a minute: open');
SELECT is(pg_temp.several('calm', 'http:422', 30), 'failed', 'thirty refusals of data');
SELECT is((SELECT ROW (h.state, h.failures)::text FROM pg_temp.health('calm') h), '(closed,0)', 'refused data opens nothing');
SELECT is((SELECT i.syncs FROM integration.incident i WHERE i.endpoint = 'calm'), 30::bigint, 'one incident for all of them');
SELECT is(pg_temp.several('local', 'db_unavailable', 30), 'retrying', 'thirty times our own trouble');
SELECT is((pg_temp.health('local')).state, 'closed', 'our own trouble opens nothing');

-- A refusal of one record shows that the endpoint works
SELECT is(pg_temp.several('probe', 'curl:7:refused', 10), 'retrying', 'nobody there');
SELECT is((pg_temp.health('probe')).state, 'open', 'open');
SELECT is(pg_temp.several('probe', 'http:422', 1, now() + interval '1 min'), 'failed', 'the probe is refused for its data');
SELECT is((pg_temp.health('probe')).state, 'closed', 'who refuses data is there');
SELECT is(pg_temp.incidents('probe'), 'connect resolved, validation open', 'the breaker''s incident is over, the data''s is not');
SELECT is(pg_temp.several('probe', 'http:200', 1, now() + interval '2 min'), 'delivered', 'another one is delivered');
SELECT is(pg_temp.incidents('probe'), 'connect resolved, validation open', 'the refused data still waits for somebody');
UPDATE integration.queue q SET state = 'pending' FROM integration.endpoint e WHERE e.id = q.endpoint_id AND e.name = 'probe';
SELECT is(pg_temp.several('probe', 'http:200', 1, now() + interval '3 min'), 'delivered', 'after somebody took it up');
SELECT is(pg_temp.incidents('probe'), 'connect resolved, validation resolved', 'no failed sync of the class is left');

-- Stop
SELECT pg_temp.enqueue('stop', 'PO-1') AS tripper \gset
SELECT is(pg_temp.bring(:tripper, 'http:401'), 'retrying', '401: goes back');
SELECT is((SELECT ROW (q.attempts, q.charged, q.due_at = now())::text FROM pg_temp.queued(:tripper) q), '(1,0,t)',
          '401: uses up nothing, due at once');
SELECT is((SELECT ROW (h.state, h.open_until - now(), h.openings, h.tripped_by)::text FROM pg_temp.health('stop') h),
          format('(stopped,00:01:00,1,%s)', :tripper), '401: stopped, a probe in a minute');
SELECT is((SELECT a.next_attempt_at FROM integration.attempt a WHERE a.outbox_id = :tripper), NULL,
          'when it is tried again is for the endpoint to say');
SELECT is(pg_temp.incidents('stop'), 'auth open', '401: an incident');
SELECT is(pg_temp.bring(:tripper, 'http:401', at => now() + interval '1 min'), 'retrying', 'the same one as probe');
SELECT is((SELECT ROW (h.open_until - now() - interval '1 min', h.tripped_by)::text FROM pg_temp.health('stop') h),
          format('(00:10:00,%s)', :tripper), 'second wait: 10 min');
SELECT is(pg_temp.bring(:tripper, 'curl:28:response', at => now() + interval '11 min'), 'retrying', 'a probe that times out');
SELECT is((pg_temp.health('stop')).open_until - now() - interval '11 min', interval '1 h', 'third wait: 1 h');
SELECT is(pg_temp.bring(:tripper, 'http:401', at => now() + interval '71 min'), 'retrying', 'the same again');
SELECT is((pg_temp.health('stop')).open_until - now() - interval '71 min', interval '1 h', 'from then on hourly');
SELECT is((SELECT ROW (b.sync, b.state)::text
             FROM pg_temp.bring_all(ARRAY[pg_temp.enqueue('stop')], ARRAY['http:200'], now() + interval '3 h') b
            WHERE b.state = 'failed'), format('(%s,failed)', :tripper), 'another one goes through: it was the sync after all');
SELECT is((pg_temp.health('stop')).state, 'closed', 'and the endpoint is open for all');
SELECT is((SELECT ROW (q.state, s.state)::text FROM pg_temp.queued(:tripper) q
             JOIN integration.sync_status s ON s.endpoint_id = q.endpoint_id AND s.object_id = 'PO-1'), '(failed,failed)',
          'queue and object say so');
SELECT is(pg_temp.incidents('stop'), 'auth open, timeout_response resolved', 'its incident stays for the failed sync');

-- Somebody changes its address while the old one still answers
SELECT is(pg_temp.bring(pg_temp.enqueue('moved'), 'http:410', at => now() - interval '30 s'), 'retrying', '410: goes back');
UPDATE integration.endpoint e SET url = 'https://api.example.com/moved' WHERE e.name = 'moved';
SELECT ok((pg_temp.health('moved')).open_until BETWEEN now() AND clock_timestamp(), 'a probe may leave');
SELECT is(pg_temp.bring(pg_temp.enqueue('moved'), 'http:410', at => now() + interval '9 s', started => now() - interval '10 s'),
          'retrying', 'one that left before, while the stop was written down');
SELECT ok((pg_temp.health('moved')).open_until BETWEEN now() AND clock_timestamp(), 'takes nothing from it');
UPDATE integration.endpoint_health h SET open_until = now() - interval '1 min' WHERE h.endpoint_id = (pg_temp.health('moved')).endpoint_id;
UPDATE integration.endpoint e SET url = 'https://api.example.com/moved/on' WHERE e.name = 'moved';
SELECT is(pg_temp.bring(pg_temp.enqueue('moved'), 'http:410', at => now() + interval '9 s', started => now() - interval '10 s'),
          'retrying', 'a probe of before that was out when somebody changed it once more');
SELECT is((pg_temp.health('moved')).openings, 1, 'is none of what it is called with now');
SELECT is(pg_temp.bring(pg_temp.enqueue('moved'), 'http:200', at => now() + interval '10 s'), 'delivered', 'the new address');
SELECT is(ARRAY(SELECT b.state
                  FROM generate_series(1, 3) n,
                       pg_temp.bring(pg_temp.enqueue('moved'), 'http:410', at => now() + interval '20 s',
                                     started => now() - interval '1 s') b (state)),
          array_fill('retrying'::text, ARRAY[3]), 'what was sent to the old one before');
SELECT is((pg_temp.health('moved')).state, 'closed', 'its answers stop nothing');
SELECT is(pg_temp.incidents('moved'), 'gone resolved', 'nor do they raise anything anew');
SELECT pg_temp.bring(pg_temp.enqueue('moved'), 'http:410', at => now() + interval '5 s', started => now() + interval '4 s');
SELECT is((pg_temp.health('moved')).state, 'stopped', 'with a clock set back to before it closed, each answer counts');

-- The same while nothing is wrong: what was under way when the worker read the change
SELECT is((SELECT b.state
             FROM pg_temp.settle(ARRAY[pg_temp.result(pg_temp.enqueue('cut'), 'http:410', jsonb_build_object('started_at', now() - interval '1 s'))],
                                 now() + interval '1 s', pg_temp.counted('cut', 0, 0, 0, changed_at => now())) b
            WHERE b.outbox_id IS NOT NULL), 'retrying', 'the old address is closed meanwhile: its answer');
SELECT is(ROW ((pg_temp.health('cut')).state, pg_temp.incidents('cut'))::text, '(closed,)', 'says nothing about the new one');
SELECT is((SELECT b.state
             FROM pg_temp.settle(ARRAY[pg_temp.result(pg_temp.enqueue('cut'), 'http:410', jsonb_build_object('started_at', now()))],
                                 now() + interval '2 s', pg_temp.counted('cut', 0, 0, 0, changed_at => now())) b
            WHERE b.outbox_id IS NOT NULL), 'retrying', 'the new one does');
SELECT is((pg_temp.health('cut')).state, 'stopped', 'what it says counts');

SELECT pg_temp.enqueue('own') AS own \gset
SELECT is(pg_temp.bring(:own, 'http:403'), 'retrying', '403');
SELECT is(pg_temp.bring(:own, 'http:200', at => now() + interval '1 min'), 'delivered', 'the probe was the same sync');
SELECT is(pg_temp.incidents('own'), 'permission resolved', 'its own success ends the incident');

SELECT pg_temp.enqueue('pair') AS one, pg_temp.enqueue('pair') AS two \gset
SELECT is(pg_temp.bring(:one, 'http:401'), 'retrying', 'one trips');
SELECT is(pg_temp.bring(:two, 'http:401', at => now() + interval '1 min'), 'retrying', 'the probe, another one, trips too');
SELECT is(pg_temp.several('pair', 'http:200', 1, now() + interval '1 h'), 'delivered', 'the password was renewed');
SELECT is((pg_temp.queued(:one)).state || (pg_temp.queued(:two)).state, 'retryingretrying',
          'two different ones: it was the endpoint, neither is failed');

SELECT pg_temp.enqueue('fix') AS person \gset
SELECT is(pg_temp.bring(:person, 'http:401'), 'retrying', 'one trips');
UPDATE integration.queue SET state = 'pending' WHERE outbox_id = :person;
SELECT is(pg_temp.several('fix', 'http:200', 1, now() + interval '1 h'), 'delivered', 'another goes through');
SELECT is((pg_temp.queued(:person)).state, 'pending', 'a person took the first up meanwhile: it stays as they left it');

SELECT is(pg_temp.bring(pg_temp.enqueue('late'), 'http:401', at => now() + interval '1 min'), 'retrying', 'stopped');
SELECT is(pg_temp.bring(pg_temp.enqueue('late'), 'http:200', at => now() + interval '2 min', started => now()), 'delivered',
          'a success of a request that left before the stop');
SELECT is((pg_temp.health('late')).state, 'stopped', 'is no probe');
SELECT is(pg_temp.bring(pg_temp.enqueue('late'), 'http:401', at => now() + interval '2 min', started => now()), 'retrying',
          'a refusal of one that left before the stop');
SELECT is((pg_temp.health('late')).openings, 1, 'is none either');
SELECT is(pg_temp.bring(pg_temp.enqueue('late'), 'db_unavailable', at => now() + interval '5 min'), 'retrying',
          'a probe that failed for our own trouble');
SELECT is((SELECT ROW (h.openings, h.open_until - now())::text FROM pg_temp.health('late') h), '(1,00:06:00)',
          'is repeated, not at once, and proves nothing');

-- Retry-After
SELECT is((SELECT b.state || ' ' || (b.due_at - now())
             FROM pg_temp.bring_all(ARRAY[pg_temp.enqueue('limit')], ARRAY['http:429'], retry_after => 90) b WHERE b.sync IS NULL),
          'closed 00:01:30', '429: the whole endpoint waits');
SELECT is(pg_temp.bring(pg_temp.enqueue('limit'), 'http:429', retry_after => 30), 'retrying', 'a shorter one after it');
SELECT is((pg_temp.health('limit')).retry_after_until - now(), interval '90 s', 'the longer one holds');

-- 404
SELECT is(pg_temp.bring(pg_temp.enqueue('missing'), 'http:404'), 'retrying', '404 where nothing was ever delivered: goes back');
SELECT is((pg_temp.health('missing')).state, 'stopped', 'and the endpoint is stopped');
SELECT is((SELECT string_agg(b.state, ',' ORDER BY b.sync)
             FROM pg_temp.bring_all(ARRAY[pg_temp.enqueue('batch'), pg_temp.enqueue('batch')], '{http:404,http:200}') b
            WHERE b.sync IS NOT NULL), 'failed,delivered', '404 beside a delivery in one batch: the record is missing');
SELECT is(pg_temp.several('found', 'http:200', 1), 'delivered', 'a delivery');
SELECT is(pg_temp.several('found', 'http:404', 1, now() + interval '59 min'), 'failed', '404 within the hour: the record');
SELECT is(pg_temp.several('found', 'http:404', 1, now() + interval '61 min'), 'retrying', '404 later: the endpoint');
SELECT is((SELECT string_agg(pg_temp.bring(pg_temp.enqueue('idle'), r, now() - w::interval), ',')
             FROM (VALUES ('http:200', '2 h'), ('http:503', '5 s')) AS t (r, w)), 'delivered,retrying', 'idle for hours, then a failure');
SELECT is((SELECT string_agg(b.state, ',' ORDER BY b.sync)
             FROM pg_temp.bring_all(ARRAY[pg_temp.enqueue('idle'), pg_temp.enqueue('idle')], '{http:404,http:200}') b
            WHERE b.sync IS NOT NULL), 'failed,delivered', '404 beside a delivery there: the record, too');

-- Written seldom
SELECT is(pg_temp.several('seldom', 'http:200', 1), 'delivered', 'the first one is written');
SELECT is(pg_temp.several('seldom', 'http:200', 1, now() + interval '9 s'), 'delivered', 'nine seconds later');
SELECT is((pg_temp.health('seldom')).last_success_at, now(), 'nothing is written');
SELECT is(pg_temp.several('seldom', 'http:200', 1, now() + interval '11 s'), 'delivered', 'eleven seconds later');
SELECT is((pg_temp.health('seldom')).last_success_at, now() + interval '11 s', 'it is');

SELECT * FROM finish();
ROLLBACK;
