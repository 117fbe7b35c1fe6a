-- When a sync that failed is tried again, when its patience ends.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(62);

INSERT INTO integration.retry_policy (name, schedule, jitter, deadline) VALUES
    ('exact', '{1 min,2 min,4 min}', 0, NULL),
    ('wide', '{1 h}', 0.5, NULL),
    ('long', '{24 h}', 1, NULL),
    ('brief', '{1 min,2 min,4 min}', 0, '5 min');
INSERT INTO integration.endpoint (name, url, retry_policy) VALUES
    ('standard', 'https://api.example.com/', NULL), ('exact', 'https://api.example.com/', 'exact'),
    ('wide', 'https://api.example.com/', 'wide'), ('long', 'https://api.example.com/', 'long'),
    ('brief', 'https://api.example.com/', 'brief'), ('none', 'https://api.example.com/', 'none'),
    ('risky', 'https://api.example.com/', 'exact');
UPDATE integration.endpoint SET idempotent = false WHERE name = 'risky';

-- A sync whose every attempt fails, each brought when it is due; one row an attempt.
CREATE FUNCTION pg_temp.fail_on(sync bigint, reason text, most integer, retry_after integer DEFAULT NULL)
    RETURNS TABLE (n integer, state text, wait interval, charged integer)
    LANGUAGE plpgsql
AS $$
DECLARE
    clock timestamptz := now();
BEGIN
    FOR i IN 1 .. most LOOP
        n := i;
        state := pg_temp.bring(sync, fail_on.reason, clock, retry_after => fail_on.retry_after);
        wait := (pg_temp.queued(sync)).due_at - clock;
        charged := (pg_temp.queued(sync)).charged;
        RETURN NEXT;
        EXIT WHEN state <> 'retrying';
        clock := clock + wait;
    END LOOP;
END
$$;

-- Schedule
CREATE TEMPORARY TABLE course ON COMMIT DROP AS
SELECT f.* FROM pg_temp.fail_on(pg_temp.enqueue('standard', 'PO-1'), 'http:503', 20) f;
SELECT is((SELECT count(*) FROM course), 12::bigint, 'standard: twelve attempts');
SELECT is((SELECT array_agg(c.state ORDER BY c.n) FROM course c), array_fill('retrying'::text, ARRAY[11]) || 'failed'::text,
          'standard: retrying eleven times, then failed');
SELECT cmp_ok(c.wait, '>=', s.wait, 'attempt ' || c.n || ': never earlier than promised')
  FROM course c
  JOIN integration.retry_policy p ON p.name = 'standard'
 CROSS JOIN LATERAL unnest(p.schedule) WITH ORDINALITY AS s (wait, n)
 WHERE s.n = c.n AND c.state = 'retrying';
SELECT cmp_ok(c.wait, '<=', s.wait + greatest(interval '1 s', least(s.wait * 0.2, interval '15 min')),
              'attempt ' || c.n || ': jitter is at most a fifth, at least 1 s, at most 15 min')
  FROM course c
  JOIN integration.retry_policy p ON p.name = 'standard'
 CROSS JOIN LATERAL unnest(p.schedule) WITH ORDINALITY AS s (wait, n)
 WHERE s.n = c.n AND c.state = 'retrying';
SELECT is((SELECT max(c.charged) FROM course c), 12, 'each of them counted');
SELECT results_eq($$SELECT f.state, f.wait FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:503', 20) f
                     WHERE f.state = 'retrying' ORDER BY f.n$$,
                  $$VALUES ('retrying', interval '1 min'), ('retrying', '2 min'), ('retrying', '4 min')$$,
                  'jitter 0 adds nothing');

-- Jitter
CREATE TEMPORARY TABLE spread ON COMMIT DROP AS
SELECT (pg_temp.queued(b.sync)).due_at - now() AS wait
  FROM pg_temp.bring_all(ARRAY(SELECT pg_temp.enqueue('wide') FROM generate_series(1, 100)),
                         array_fill('http:503'::text, ARRAY[100])) b
 WHERE b.sync IS NOT NULL;
SELECT is((SELECT count(*) FROM spread WHERE wait NOT BETWEEN '1 h' AND '1 h 15 min'), 0::bigint,
          'jitter stays below 15 min where half of the wait would be 30');
SELECT cmp_ok((SELECT max(wait) - min(wait) FROM spread), '>', interval '5 min', 'jitter spreads');
SELECT cmp_ok((SELECT count(DISTINCT wait) FROM spread), '>', 30::bigint, 'jitter is drawn for each sync');
SELECT is(integration_worker.jittered('1 s', 0.01), interval '2 s', 'jitter adds at least 1 s');
SELECT is(integration_worker.jittered('10 s', 0), interval '10 s', 'no jitter, nothing added');
SELECT is(integration_worker.jittered('0 s', 1), interval '1 s', 'nothing to draw from still adds 1 s');

-- One attempt only
SELECT is(pg_temp.bring(pg_temp.enqueue('none'), 'http:503'), 'failed', 'policy none: one attempt');
SELECT is(pg_temp.bring(pg_temp.enqueue('none'), 'http:429', retry_after => 30), 'retrying',
          'policy none: a limit is no attempt');
SELECT is(pg_temp.bring(pg_temp.enqueue('none'), 'db_unavailable'), 'retrying', 'policy none: our own trouble is no attempt');

-- slow, once
SELECT is((SELECT f.wait FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:507', 1) f), interval '10 min',
          'slow: not before 10 min');
SELECT results_eq($$SELECT f.state FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:419', 5) f ORDER BY f.n$$,
                  $$VALUES ('retrying'), ('failed')$$, 'once: the same reason twice in a row fails');
CREATE TEMPORARY TABLE once ON COMMIT DROP AS SELECT pg_temp.enqueue('exact') AS sync;
SELECT is((SELECT ARRAY[pg_temp.bring(sync, 'http:419'), pg_temp.bring(sync, 'http:503'), pg_temp.bring(sync, 'http:419')]
             FROM once), '{retrying,retrying,retrying}', 'once: another reason in between');

-- Retry-After
CREATE TEMPORARY TABLE limited ON COMMIT DROP AS
SELECT f.* FROM pg_temp.fail_on(pg_temp.enqueue('exact', 'PO-2'), 'http:429', 60, 7) f;
SELECT is((SELECT count(*) FROM limited WHERE n <= 50 AND state = 'retrying' AND charged = 0), 50::bigint,
          '429: fifty times for nothing');
SELECT is((SELECT array_agg(charged ORDER BY n) FROM limited WHERE n > 50), '{1,2,3,4}', '429: from then on each counts');
SELECT is((SELECT array_agg(DISTINCT wait) FROM limited WHERE n <= 50), ARRAY[interval '7 s'], '429: due when Retry-After says');
SELECT is((SELECT state FROM limited WHERE n = 54), 'failed', '429: in the end it fails');
SELECT is((pg_temp.health('exact')).state, 'closed', '429 never opens the breaker');
SELECT is((SELECT f.wait FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:429', 1, 200000) f), interval '24 h',
          'Retry-After is capped at 24 h');
SELECT is((SELECT f.wait FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:429', 1, -5) f), interval '1 min',
          'a negative Retry-After is none: the policy''s next wait');
UPDATE integration.endpoint_health SET retry_after_until = NULL;
CREATE TEMPORARY TABLE patient ON COMMIT DROP AS SELECT pg_temp.enqueue('exact') AS sync;
UPDATE integration.queue SET attempts = 2, charged = 2 WHERE outbox_id = (SELECT sync FROM patient);
SELECT is((SELECT pg_temp.bring(sync, 'http:429') FROM patient), 'retrying', '429 without Retry-After, late in its schedule');
SELECT is((pg_temp.health('exact')).retry_after_until - now(), interval '1 min',
          'the endpoint waits for the first wait only, however long the sync has been failing');
SELECT is((SELECT (pg_temp.queued(sync)).due_at - now() FROM patient), interval '1 min', 'and so does the sync');
SELECT is((SELECT f.wait FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:503:retry_after', 1, 45) f), interval '45 s',
          '503 with Retry-After: due then');
SELECT is((SELECT f.charged FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:503:retry_after', 1, 45) f), 0,
          '503 with Retry-After: for nothing');
SELECT is((SELECT f.wait FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:502', 1, 600) f), interval '10 min',
          'Retry-After is a floor for other failures');
SELECT is((SELECT f.charged FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:502', 1, 600) f), 1,
          'another failure counts, whatever Retry-After it brings');
SELECT is((SELECT f.wait FROM pg_temp.fail_on(pg_temp.enqueue('exact'), 'http:502', 1, 5) f), interval '1 min',
          'a shorter Retry-After shortens nothing');

-- Deadline, expiry
SELECT results_eq($$SELECT f.state FROM pg_temp.fail_on(pg_temp.enqueue('brief'), 'http:503', 9) f ORDER BY f.n$$,
                  $$VALUES ('retrying'), ('retrying'), ('failed')$$, 'deadline: the third wait would end after it');
SELECT is(pg_temp.bring(pg_temp.enqueue('brief'), 'http:429', retry_after => 3600), 'failed',
          'deadline: Retry-After is no way around it');
SELECT is(pg_temp.bring(pg_temp.enqueue('brief'), 'http:401', at => now() + interval '1 h'), 'retrying',
          'deadline: a stopped endpoint uses up nothing');
WITH late AS (
    INSERT INTO integration.outbox (endpoint, payload, send_after) VALUES ('brief', '{}', now() + interval '1 h') RETURNING id)
SELECT id AS late FROM late \gset
SELECT is(pg_temp.bring(:late, 'http:503', at => now() + interval '1 h'), 'retrying', 'deadline: counted from send_after');
WITH soon AS (
    INSERT INTO integration.outbox (endpoint, payload, expires_at) VALUES ('exact', '{}', now() + interval '20 s') RETURNING id)
SELECT id AS soon FROM soon \gset
SELECT is(pg_temp.bring(:soon, 'http:503'), 'retrying', 'expiry: still there until then');
SELECT is((pg_temp.queued(:soon)).due_at, now() + interval '20 s', 'expiry: due no later than it expires');

-- The row keeps what was decided
SELECT is((SELECT ROW (q.attempts, q.charged, q.error_class, a.next_attempt_at = q.due_at)::text
             FROM integration.queue q JOIN integration.attempt a ON a.outbox_id = q.outbox_id WHERE q.outbox_id = :soon),
          '(1,1,remote_unavailable,t)', 'queue and attempt say the same');
SELECT is((SELECT f.state FROM pg_temp.fail_on(pg_temp.enqueue('risky'), 'curl:28:response', 1) f), 'failed',
          'unknown outcome, not idempotent: failed');
SELECT is((SELECT f.state FROM pg_temp.fail_on(pg_temp.enqueue('risky'), 'curl:7:refused', 1) f), 'retrying',
          'not reached, not idempotent: retrying');

SELECT * FROM finish();
ROLLBACK;
