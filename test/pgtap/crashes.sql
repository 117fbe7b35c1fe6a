-- Crashes of the worker: who is suspected, who is set aside, how long the next one waits.
BEGIN;
SELECT plan(20);

INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://shop.example.com/');
INSERT INTO integration.outbox (endpoint, payload) SELECT 'shop', '{}' FROM generate_series(1, 3);
SELECT min(id) AS bad, min(id) + 1 AS near, max(id) AS other FROM integration.outbox \gset

-- A worker that crashed so long ago.
CREATE FUNCTION pg_temp.crash(ago interval, VARIADIC ids bigint[]) RETURNS void
    LANGUAGE sql
AS $$
    SELECT integration_worker.note_crash(now() - ago - interval '1 s', 7, ids);
    UPDATE integration_worker.crash c SET at = now() - ago WHERE c.started_at = now() - ago - interval '1 s'
$$;
CREATE FUNCTION pg_temp.suspects() RETURNS text
    LANGUAGE sql
AS $$
    SELECT coalesce(string_agg(s.outbox_id || ':' || s.crashes, ' ' ORDER BY s.outbox_id), '') FROM integration_worker.suspects() s
$$;
CREATE FUNCTION pg_temp.recover() RETURNS bigint
    LANGUAGE sql
AS $$
    SELECT count(*) FROM integration_worker.recover(array_fill('infinity'::timestamptz, ARRAY[16])) r WHERE r.outbox_id IS NOT NULL
$$;
CREATE FUNCTION pg_temp.pause() RETURNS text
    LANGUAGE sql
AS $$
    SELECT r.crashes || ' ' || coalesce((r.resume_at - c.last_at)::text, '-')
      FROM integration_worker.resume_at() r, (SELECT max(x.at) AS last_at FROM integration_worker.crash x) c
$$;

-- Who is suspected
SELECT is(pg_temp.pause(), '0 -', 'without a crash nothing waits');
SELECT pg_temp.crash('5 min', :bad, :near);
SELECT is(pg_temp.suspects(), :'bad' || ':1 ' || :'near' || ':1', 'what was in hand is suspected');
SELECT integration_worker.note_crash(now() - interval '5 min 1 s', 7, ARRAY[:bad, :near]);
SELECT is(pg_temp.suspects(), :'bad' || ':1 ' || :'near' || ':1', 'a crash that is noted again counts once');
SELECT is(pg_temp.pause(), '1 00:00:00', 'after the first the worker goes on at once');
SELECT pg_temp.crash('4 min', :bad, :near);
SELECT is(pg_temp.pause(), '2 00:00:01', 'after the second a second later');
SELECT is(pg_temp.recover(), 0::bigint, 'two crashes are not enough');

-- Who is set aside
SELECT pg_temp.crash('3 min', :bad, :other);
SELECT is(pg_temp.pause(), '3 00:00:05', 'after the third five seconds later');
SELECT is(pg_temp.suspects(), :'bad' || ':3 ' || :'near' || ':2 ' || :'other' || ':1', 'each crash counts for what was in hand');
SELECT is(pg_temp.recover(), 1::bigint, 'what was in hand at three is settled');
SELECT is((SELECT string_agg(q.state, ' ' ORDER BY q.outbox_id) FROM integration.queue q), 'failed pending pending', 'as failed, nothing else is');
SELECT is((SELECT ROW (a.reason, a.error, a.started_at - now())::text FROM integration.attempt a WHERE a.outbox_id = :bad),
          '(worker_crash,"The worker crashed 3 times while it had this sync in hand.",-00:03:00)', 'its attempt says why');
SELECT is((SELECT i.error_class FROM integration.incident i WHERE i.endpoint = 'shop' AND i.resolved_at IS NULL), 'reset', 'an incident is open');
SELECT is(pg_temp.suspects(), '', 'that explains the crashes: nothing is suspected any more');
SELECT is(pg_temp.pause(), '1 00:00:00', 'three that are explained count as one');

-- Tried again by a person
SELECT is(integration.retry(:bad, 'test'), 'pending', 'a person can retry it');
SELECT is(pg_temp.suspects(), '', 'it begins anew');

-- Whatever came of an attempt, it was not a crash.
SELECT pg_temp.crash('2 min', :near);
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class)
SELECT :near, 1, q.endpoint_id, now() - interval '1 min', 'failed', 'http:503', 'remote_unavailable' FROM integration.queue q WHERE q.outbox_id = :near;
SELECT is(pg_temp.suspects(), '', 'an attempt that came to an end ends the suspicion');

-- Ever longer
SELECT pg_temp.crash(n * interval '1 s', :near) FROM generate_series(10, 13) AS n;
SELECT is(pg_temp.pause(), '6 00:05:00', 'five minutes at most');

-- How long it is remembered
UPDATE integration_worker.crash SET at = at - interval '10 min';
SELECT is(pg_temp.pause(), '0 -', 'ten minutes without a crash end the row');
UPDATE integration_worker.crash SET at = at - interval '1 day';
SELECT pg_temp.crash('0 min', :near);
SELECT is((SELECT count(*) FROM integration_worker.crash), 1::bigint, 'after a day it is forgotten');

SELECT * FROM finish();
ROLLBACK;
