-- The views name the state, the cause, what helps, what holds a sync back.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(69);

INSERT INTO integration.connector (name, owner, severity, sla) VALUES ('erp', 'sales team', 1, '1 hour'), ('crm', 'crm team', 2, NULL);
INSERT INTO integration.endpoint (name, connector, url, customer, owner, rate_limit) VALUES
    ('shop', 'erp', 'https://shop.example.com/', 'acme', NULL, 10),
    ('mail', 'crm', 'https://mail.example.com/', NULL, 'mail team', NULL),
    ('bare', NULL, 'https://bare.example.com/', NULL, NULL, NULL);
CREATE TEMP TABLE made (name text PRIMARY KEY, id bigint, endpoint_id integer);

-- Brings a new sync into a state and remembers it by name.
CREATE FUNCTION pg_temp.make(name text, state text, endpoint text DEFAULT 'shop', impact numeric DEFAULT NULL, customer text DEFAULT NULL,
                             ordering_key text DEFAULT NULL, send_after timestamptz DEFAULT NULL, created_at timestamptz DEFAULT now())
    RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint;
    target integer := (SELECT e.id FROM integration.endpoint e WHERE e.name = make.endpoint);
BEGIN
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, impact, customer, ordering_key, send_after, created_at)
    VALUES (make.endpoint, 'order', make.name, '{}', make.impact, make.customer, make.ordering_key, make.send_after, make.created_at)
    RETURNING id INTO sync;
    INSERT INTO made VALUES (make.name, sync, target);
    IF make.state NOT IN ('pending', 'cancelled', 'expired', 'superseded') THEN
        INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class, http_status, error)
        SELECT sync, n, target, now() - interval '1 min' * (3 - n), 500,
               CASE WHEN make.state = 'delivered' AND n = 2 THEN 'delivered' ELSE 'failed' END,
               CASE WHEN make.state = 'delivered' AND n = 2 THEN 'http:201' WHEN make.state = 'failed' THEN 'http:422' ELSE 'http:503' END,
               CASE WHEN make.state = 'delivered' AND n = 2 THEN NULL WHEN make.state = 'failed' THEN 'validation' ELSE 'remote_unavailable' END,
               CASE WHEN make.state = 'delivered' AND n = 2 THEN 201 WHEN make.state = 'failed' THEN 422 ELSE 503 END,
               CASE WHEN make.state = 'delivered' AND n = 2 THEN NULL ELSE 'said no' END
          FROM generate_series(1, 2) n;
    END IF;
    IF make.state IN ('failed', 'retrying') THEN
        UPDATE integration.queue SET state = make.state, due_at = now() + interval '10 min' WHERE outbox_id = sync;
        PERFORM integration_worker.recall_attempts(ARRAY[sync]);
    ELSIF make.state <> 'pending' THEN
        DELETE FROM integration.queue WHERE outbox_id = sync;
    END IF;
    IF make.state IN ('cancelled', 'expired', 'superseded') THEN
        INSERT INTO integration.closing (outbox_id, state, superseded_by) VALUES (sync, make.state, CASE make.state WHEN 'superseded' THEN 1 END);
    END IF;
END
$$;
SELECT pg_temp.make(s, s) FROM unnest('{pending,retrying,failed,delivered,cancelled,expired,superseded}'::text[]) s \g /dev/null

CREATE TEMP VIEW mine AS SELECT m.name, s.* FROM integration.sync s JOIN made m ON m.id = s.id;

-- sync: one row for each, in its state
SELECT results_eq('SELECT name FROM mine WHERE state = name ORDER BY id', 'SELECT name FROM made ORDER BY id', 'each sync is there once, in its state');
SELECT results_eq('SELECT name, attempts, reason, error_class, http_status, error FROM mine ORDER BY name',
    $$VALUES ('cancelled', 0, NULL, NULL, NULL::integer, NULL), ('delivered', 2, 'http:201', NULL, 201, NULL), ('expired', 0, NULL, NULL, NULL, NULL),
             ('failed', 2, 'http:422', 'validation', 422, 'said no'), ('pending', 0, NULL, NULL, NULL, NULL),
             ('retrying', 2, 'http:503', 'remote_unavailable', 503, 'said no'), ('superseded', 0, NULL, NULL, NULL, NULL)$$,
    'the last attempt speaks');
SELECT results_eq('SELECT name, remedy, responsible FROM mine WHERE remedy IS NOT NULL ORDER BY name',
    $$SELECT m.name, r.remedy, r.responsible FROM (VALUES ('failed', 'http:422'), ('retrying', 'http:503')) AS m (name, reason)
        JOIN integration.error_reason r USING (reason) ORDER BY 1$$,
    'a failure names its remedy and who can do it');
SELECT results_eq('SELECT DISTINCT connector, customer, owner, severity::int, object_type FROM mine',
    $$VALUES ('erp', 'acme', 'sales team', 1, 'order')$$, 'the registry is resolved');
SELECT results_eq('SELECT name, next_attempt_at FROM mine WHERE next_attempt_at IS NOT NULL ORDER BY name',
    $$SELECT m.name, q.due_at FROM made m JOIN integration.queue q ON q.outbox_id = m.id WHERE q.state <> 'failed' ORDER BY 1$$,
    'what waits says when it goes');
SELECT results_eq('SELECT name, blocked_by FROM mine WHERE blocked_by IS NOT NULL', $$VALUES ('retrying', 'schedule')$$, 'and what it waits for');
SELECT results_eq('SELECT name, finished_at FROM mine WHERE finished_at IS NOT NULL ORDER BY name',
    $$VALUES ('cancelled', now()), ('delivered', now() - interval '1 min' + interval '500 ms'), ('expired', now()), ('superseded', now())$$,
    'what is finished says when');
SELECT is((SELECT age FROM mine WHERE name = 'cancelled'), interval '0', 'the age of what is finished stands still');
SELECT ok((SELECT age BETWEEN '0' AND '1 min' FROM mine WHERE name = 'pending'), 'the age of what waits grows');
SELECT is((SELECT superseded_by FROM mine WHERE name = 'superseded'), 1::bigint, 'what took its place');

INSERT INTO integration.error_class (name, title, remedy, customer_message) VALUES ('sold_out', 'Sold out', 'Order more.', 'Sold out.');
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class)
SELECT id, 3, endpoint_id, now(), 'failed', 'http:422', 'sold_out' FROM made WHERE name = 'failed';
SELECT integration_worker.recall_attempts(ARRAY[id]) FROM made WHERE name = 'failed' \g /dev/null
SELECT is((SELECT remedy FROM mine WHERE name = 'failed'), 'Order more.', 'a class given by a rule brings its own remedy');

-- SLA
SELECT is((SELECT due_by FROM mine WHERE name = 'pending'), now() + interval '1 hour', 'due_by is the SLA from the beginning');
SELECT pg_temp.make('later', 'pending', send_after => now() + interval '1 day') \g /dev/null
SELECT is((SELECT due_by FROM mine WHERE name = 'later'), now() + interval '1 day' + interval '1 hour', 'or from send_after');
SELECT pg_temp.make('early', 'pending', created_at => now() - interval '47 min') \g /dev/null
SELECT pg_temp.make('late', 'pending', created_at => now() - interval '49 min') \g /dev/null
SELECT pg_temp.make('no promise', 'failed', 'mail') \g /dev/null
SELECT pg_temp.make('too late', 'retrying') \g /dev/null
UPDATE integration.queue q SET due_at = now() + interval '2 hours' FROM made m WHERE m.id = q.outbox_id AND m.name = 'too late';
SELECT results_eq('SELECT name FROM mine WHERE sla_at_risk ORDER BY name', $$VALUES ('failed'), ('late'), ('too late')$$,
                  'at risk is what is failed, late, or scheduled too late');

-- failed: worst first
SELECT pg_temp.make(n, 'failed', e, i) FROM (VALUES ('a little', 'shop', 5), ('a lot', 'shop', 500), ('less severe', 'mail', 9000)) AS x (n, e, i) \g /dev/null
SELECT results_eq('SELECT object_id FROM integration.failed',
    $$VALUES ('a lot'), ('a little'), ('failed'), ('less severe'), ('no promise')$$, 'failed has the worst first');
SELECT is((SELECT count(*)::int FROM integration.failed WHERE state <> 'failed'), 0, 'and nothing else');
SELECT bag_eq('SELECT * FROM integration.failed', $$SELECT * FROM integration.sync WHERE state = 'failed'$$,
    'both views say the same of what is failed');
SELECT results_eq($$SELECT a.attname, a.atttypid FROM pg_attribute a WHERE a.attrelid = 'integration.failed'::regclass AND a.attnum > 0$$,
                  $$SELECT a.attname, a.atttypid FROM pg_attribute a WHERE a.attrelid = 'integration.sync'::regclass AND a.attnum > 0$$,
                  'both views have the same columns');

-- what holds back: the rule
SELECT is(integration_worker.held_by(state, in_flight, paused, health, retry_after, due, earlier, rate_free, in_flight_count, "window"), expected,
          coalesce(expected, 'nothing') || ' holds back: ' || what)
  FROM (VALUES
    ('all at once', 'pending', NULL::timestamptz, true, 'stopped', now() + interval '1 h', now() + interval '1 h', 1::bigint, now() + interval '1 h', 4, 4, 'paused'),
    ('no pause', 'pending', NULL, false, 'stopped', now() + interval '1 h', now() + interval '1 h', 1, now() + interval '1 h', 4, 4, 'stopped'),
    ('breaker', 'retrying', NULL, false, 'open', now() + interval '1 h', now() + interval '1 h', 1, now() + interval '1 h', 4, 4, 'open'),
    ('a probe is out', 'retrying', NULL, false, 'half_open', now() + interval '1 h', now() + interval '1 h', 1, now() + interval '1 h', 4, 4, 'open'),
    ('asked to wait', 'retrying', NULL, false, 'closed', now() + interval '1 h', now() + interval '1 h', 1, now() + interval '1 h', 4, 4, 'retry_after'),
    ('its own wait', 'retrying', NULL, false, 'closed', now() - interval '1 h', now() + interval '1 h', 1, now() + interval '1 h', 4, 4, 'schedule'),
    ('an earlier one', 'retrying', NULL, false, 'closed', NULL, now(), 1, now() + interval '1 h', 4, 4, 'ordering_key'),
    ('too fast', 'pending', NULL, false, NULL, NULL, now(), NULL, now() + interval '1 h', 4, 4, 'rate'),
    ('too many', 'pending', NULL, false, NULL, NULL, now(), NULL, now() - interval '1 s', 4, 4, 'window'),
    ('room', 'pending', NULL, false, NULL, NULL, now(), NULL, NULL, 3, 4, NULL),
    ('nothing known', 'pending', NULL, false, NULL, NULL, now(), NULL, NULL, NULL, NULL, NULL),
    ('failed', 'failed', NULL, true, 'stopped', now() + interval '1 h', now() + interval '1 h', 1, now() + interval '1 h', 4, 4, NULL),
    ('in flight', 'pending', now(), true, 'stopped', now() + interval '1 h', now() + interval '1 h', 1, now() + interval '1 h', 4, 4, NULL))
    AS c (what, state, in_flight, paused, health, retry_after, due, earlier, rate_free, in_flight_count, "window", expected);

-- what holds back: from the tables
CREATE FUNCTION pg_temp.hold(sync text) RETURNS text LANGUAGE sql AS $$SELECT coalesce(blocked_by, 'nothing') FROM mine WHERE name = sync$$;
SELECT is(pg_temp.hold('pending'), 'nothing', 'what is due is held by nothing');
SELECT is(pg_temp.hold('later'), 'schedule', 'send_after');
SELECT integration.pause('connector', 'erp', 'maintenance') \g /dev/null
SELECT is(pg_temp.hold('pending'), 'paused', 'a pause of the connector');
SELECT is(pg_temp.hold('failed'), 'nothing', 'a failed sync waits for a person, not for that');
SELECT integration.resume('connector', 'erp') \g /dev/null
SELECT is(pg_temp.hold('pending'), 'nothing', 'until it is resumed');
SELECT integration.pause('customer', 'acme', 'unpaid') \g /dev/null
SELECT is(pg_temp.hold('pending'), 'paused', 'a pause of the customer');
SELECT pg_temp.make('of another', 'pending', customer => 'umbrella') \g /dev/null
SELECT is(pg_temp.hold('of another'), 'paused', 'it holds the customer''s endpoint, whomever a sync is for');
SELECT pg_temp.make('of another elsewhere', 'pending', 'mail', customer => 'umbrella') \g /dev/null
SELECT is(pg_temp.hold('of another elsewhere'), 'nothing', 'and no other customer');
UPDATE integration.pause SET until = now();
SELECT is(pg_temp.hold('pending'), 'nothing', 'until it is over by itself');
SELECT integration.pause('all', NULL, 'fire') \g /dev/null
SELECT is(pg_temp.hold('of another'), 'paused', 'a pause of everything');
SELECT integration.resume('all') \g /dev/null
INSERT INTO integration.endpoint_health (endpoint_id, state, open_until) SELECT DISTINCT endpoint_id, 'stopped', now() + interval '10 min' FROM made WHERE name = 'pending';
SELECT is(pg_temp.hold('pending'), 'stopped', 'a stopped endpoint');
SELECT is((SELECT next_attempt_at FROM mine WHERE name = 'pending'), now() + interval '10 min', 'its next probe is the time not to be before');
UPDATE integration.endpoint_health SET state = 'open';
SELECT is(pg_temp.hold('pending'), 'open', 'an open breaker');
UPDATE integration.endpoint_health SET state = 'closed', open_until = NULL, retry_after_until = now() + interval '20 min';
SELECT is(pg_temp.hold('pending'), 'retry_after', 'a Retry-After');
SELECT is((SELECT next_attempt_at FROM mine WHERE name = 'pending'), now() + interval '20 min', 'it is the time not to be before');
UPDATE integration.endpoint_health SET retry_after_until = now() - interval '1 s';
SELECT is(pg_temp.hold('pending'), 'nothing', 'until it is over');
SELECT pg_temp.make('first', 'failed', ordering_key => 'k') \g /dev/null
SELECT pg_temp.make('second', 'pending', ordering_key => 'k') \g /dev/null
SELECT pg_temp.make('elsewhere', 'pending', 'mail', ordering_key => 'k') \g /dev/null
SELECT is(pg_temp.hold('second'), 'ordering_key', 'an earlier one of its ordering key');
SELECT is(pg_temp.hold('elsewhere'), 'nothing', 'at the same endpoint only');

-- the updatable views
SELECT is(pg_temp.refusal(format('UPDATE integration.sync SET state = %L WHERE id = %s', 'done', id)),
          format('0A000 the state of sync %s cannot be set to done | What was asked and what happened stays as it is. | SET state = ''pending'' retries a sync, '
                 'SET state = ''cancelled'' cancels it; other data is sent by integration.amend().', id), 'another state is refused')
  FROM made WHERE name = 'failed';
SELECT matches(pg_temp.refusal(format($$UPDATE integration.failed SET state = 'pending', error = 'none', attempts = 0 WHERE id = %s$$, id)),
               '^0A000 column attempts, error of sync \d+ cannot be set', 'another column is refused')
  FROM made WHERE name = 'failed';
SELECT matches(pg_temp.refusal('DELETE FROM integration.sync'), '^0A000 syncs are not deleted from integration\.sync \| To give a sync up set its state to cancelled', 'DELETE is refused');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.failed (endpoint) VALUES ('shop')$$),
               '^0A000 syncs are not inserted into integration\.failed \| Insert into integration\.outbox', 'INSERT is refused');
PREPARE retry_all AS UPDATE integration.failed SET state = 'pending' WHERE endpoint = 'mail' RETURNING object_id, state, blocked_by;
SELECT results_eq('retry_all', $$VALUES ('less severe', 'pending', NULL), ('no promise', 'pending', NULL)$$, 'state = pending retries; RETURNING says what became of it');
PREPARE cancel_one AS UPDATE integration.sync SET state = 'cancelled' WHERE object_id = 'retrying' RETURNING state, finished_at IS NOT NULL;
SELECT results_eq('cancel_one', $$VALUES ('cancelled', true)$$, 'state = cancelled cancels');
SELECT matches(pg_temp.refusal($$UPDATE integration.sync SET state = 'pending' WHERE object_id = 'delivered'$$), '^55000 sync \d+ is delivered and cannot be retried', 'within the same limits');
SELECT is((SELECT string_agg(DISTINCT verb, ', ' ORDER BY verb) FROM integration.action a JOIN made m ON m.id = a.outbox_id), 'cancel, retry', 'and on record');

-- look-ups by index
CREATE FUNCTION pg_temp.plan_of(query text) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan;
END
$$;
-- Of another test autovacuum may have seen them empty.
ANALYZE integration.queue, integration.outbox, integration.attempt;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT matches(pg_temp.plan_of($$SELECT * FROM integration.sync WHERE state = 'failed'$$), 'queue_failed', 'failed ones are found by the queue');
SELECT matches(pg_temp.plan_of($$SELECT * FROM integration.failed$$), 'queue_failed', 'so they are in the view failed');
SELECT is(places, expected, what)
  FROM (VALUES
    ('', 2, 'all of them are found by the outbox'),
    ($$WHERE state IN ('pending', 'retrying', 'failed')$$, 1, 'unfinished ones without reading all the outbox')) AS c (which, expected, what)
 CROSS JOIN LATERAL (
       SELECT count(*)::integer AS places
         FROM regexp_matches(pg_temp.plan_of('SELECT * FROM integration.sync ' || which), '"Relation Name": "outbox_default"', 'g')) p;
SELECT doesnt_match(pg_temp.plan_of('SELECT * FROM integration.sync ORDER BY id DESC LIMIT 10'), '"Sort"',
                    'the newest are found from the end');

-- object_status
INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at, error_class, error, remote_id, failures)
SELECT endpoint_id, 'order', name, CASE name WHEN 'delivered' THEN 'in_sync' ELSE 'failed' END, id, now(),
       CASE name WHEN 'failed' THEN 'validation' END, CASE name WHEN 'failed' THEN 'said no' END, 'R-1', CASE name WHEN 'failed' THEN 2 ELSE 0 END
  FROM made WHERE name IN ('delivered', 'failed');
SELECT results_eq($$SELECT object_id, state, remote_id, failures, queued FROM integration.object_status WHERE object_id IN ('delivered', 'failed', 'pending') ORDER BY 1$$,
    $$VALUES ('delivered', 'in_sync', 'R-1', 0, 0::bigint), ('failed', 'failed', 'R-1', 2, 1), ('pending', 'pending', NULL, 0, 1)$$,
    'objects: in sync, failed, never tried');
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload) VALUES ('shop', 'order', 'delivered', '{}');
SELECT results_eq($$SELECT state, queued, next_sync > last_sync, next_attempt_at FROM integration.object_status WHERE object_id = 'delivered'$$,
    $$VALUES ('pending', 1::bigint, true, now())$$, 'something newer waits');

-- endpoint_status
UPDATE integration.endpoint_health SET state = 'stopped', open_until = now() + interval '1 min', last_error = 'no', tripped_by = 7;
SELECT results_eq($$SELECT name, state, blocked_by, backlog, failed, attempts_last_hour, success_share_last_hour, next_probe_at, owner FROM integration.endpoint_status WHERE name IN ('shop', 'bare') ORDER BY name$$,
    $$VALUES ('bare', 'closed', NULL, 0::bigint, 0::bigint, 0::bigint, NULL::numeric, NULL::timestamptz, NULL),
             ('shop', 'stopped', 'stopped', 8, 4, 15, 0.067, now() + interval '1 min', 'sales team')$$, 'an endpoint''s health, backlog, last hour');
SELECT integration.pause('endpoint', 'shop', 'moving', now() + interval '1 hour') \g /dev/null
SELECT results_eq($$SELECT blocked_by, paused_reason, paused_until FROM integration.endpoint_status WHERE name = 'shop'$$,
    $$VALUES ('paused', 'moving', now() + interval '1 hour')$$, 'a pause is stronger');
SELECT lives_ok('SELECT * FROM integration.worker_status', 'worker_status can be read');

-- Plans that read our tables are not compiled, however dear they look; those of others are.
SET LOCAL jit = on;
SET LOCAL jit_above_cost = 0;
CREATE FUNCTION pg_temp.is_compiled(query text) RETURNS boolean
    LANGUAGE plpgsql
AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
        IF line LIKE 'JIT:%' THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
SELECT is(pg_temp.is_compiled('SELECT * FROM pg_class WHERE relname <> ''x'''), pg_jit_available(), 'other people''s plans are compiled');
SELECT ok(NOT pg_temp.is_compiled('SELECT * FROM integration.sync'), 'those that read our tables are not');

SELECT * FROM finish();
ROLLBACK;
