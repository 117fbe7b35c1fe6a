-- Kill switches: what they hold, what they refuse, what they leave on record.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(36);

INSERT INTO integration.connector (name) VALUES ('erp');
INSERT INTO integration.endpoint (name, connector, url) VALUES ('shop', 'erp', 'https://shop.example.com/');

-- refused
SELECT matches(pg_temp.refusal(format('SELECT integration.pause(%s)', arguments)), refusal, 'pause of ' || what)
  FROM (VALUES
    ('an unknown scope', $$'team', 'sales', 'why'$$, '^22023 there is no scope "team" \| Write ''all'', ''connector'', ''endpoint'' or ''customer'', then the name'),
    ('no scope', $$NULL, 'sales', 'why'$$, '^22023 there is no scope ""'),
    ('everything with a name', $$'all', 'shop', 'why'$$, '^22023 scope "all" has no name \| Write NULL for the name\.'),
    ('an endpoint without a name', $$'endpoint', NULL, 'why'$$, '^22023 scope "endpoint" needs a name \| Write the endpoint''s name after the scope\.'),
    ('a customer without a name', $$'customer', '', 'why'$$, '^22023 scope "customer" needs a name'),
    ('an unknown endpoint', $$'endpoint', 'nope', 'why'$$, '^42704 endpoint "nope" does not exist \| Names are in'),
    ('an unknown connector', $$'connector', 'nope', 'why'$$, '^42704 connector "nope" does not exist \| Names are in SELECT name FROM integration\.connector\.'),
    ('no reason', $$'endpoint', 'shop', NULL$$, '^22023 a pause needs a reason \| Write it for the people who will ask why nothing leaves'),
    ('a blank reason', $$'endpoint', 'shop', ' '$$, '^22023 a pause needs a reason'),
    ('the past', $$'endpoint', 'shop', 'why', now() - interval '1 min'$$, '^22023 .* is over already \| Write a time to come, such as now\(\) \+ interval ''1 hour''; NULL pauses until somebody resumes\.'))
    AS c (what, arguments, refusal);
SELECT is_empty('SELECT FROM integration.pause', 'what was refused holds nothing');
SELECT is_empty($$SELECT FROM integration.action WHERE verb <> 'insert'$$, 'and is not on record');
SELECT matches(pg_temp.refusal($$SELECT integration.resume('endpoint', 'nope')$$), '^42704 endpoint "nope" does not exist', 'resume of an unknown endpoint');
SELECT matches(pg_temp.refusal($$SELECT integration.resume('endpoint')$$), '^22023 scope "endpoint" needs a name', 'resume without a name');

-- in force
SELECT lives_ok($$SELECT integration.pause('endpoint', 'shop', ' moving ', now() + interval '1 hour')$$, 'pause of an endpoint');
SELECT lives_ok($$SELECT integration.pause('connector', 'erp', 'new version')$$, 'of a connector');
SELECT lives_ok($$SELECT integration.pause('customer', 'acme', 'unpaid')$$, 'of a customer');
SELECT lives_ok($$SELECT integration.pause('all', NULL, 'fire')$$, 'of everything');
SELECT results_eq('SELECT scope, name, reason, actor, since, until FROM integration.pause ORDER BY scope',
    $$VALUES ('all', '', 'fire', session_user, now(), NULL::timestamptz), ('connector', 'erp', 'new version', session_user, now(), NULL),
             ('customer', 'acme', 'unpaid', session_user, now(), NULL), ('endpoint', 'shop', 'moving', session_user, now(), now() + interval '1 hour')$$,
    'they are in force');
SELECT results_eq($$SELECT verb, endpoint, reason, details ->> 'scope' FROM integration.action WHERE verb <> 'insert' ORDER BY id$$,
    $$VALUES ('pause', 'shop', 'moving', 'endpoint'), ('pause', NULL, 'new version', 'connector'), ('pause', NULL, 'unpaid', 'customer'), ('pause', NULL, 'fire', 'all')$$,
    'and on record');

UPDATE integration.pause SET since = now() - interval '1 day' WHERE scope = 'endpoint';
SELECT lives_ok($$SELECT integration.pause('endpoint', 'shop', 'still moving')$$, 'a pause can be prolonged');
SELECT results_eq($$SELECT reason, since, until FROM integration.pause WHERE scope = 'endpoint'$$,
    $$VALUES ('still moving', now() - interval '1 day', NULL::timestamptz)$$, 'it is in force since it began');
UPDATE integration.pause SET until = now() - interval '1 hour' WHERE scope = 'endpoint';
SELECT lives_ok($$SELECT integration.pause('endpoint', 'shop', 'again')$$, 'one that was over begins anew');
SELECT is((SELECT since FROM integration.pause WHERE scope = 'endpoint'), now(), 'now');

-- resumed
SELECT is(integration.resume('connector', 'erp', 'done'), true, 'resume of a connector');
SELECT is(integration.resume('connector', 'erp'), false, 'nothing was held any more');
SELECT is(integration.resume('all'), true, 'resume of everything');
SELECT results_eq('SELECT scope FROM integration.pause ORDER BY 1', $$VALUES ('customer'), ('endpoint')$$, 'ends that pause only');
SELECT results_eq($$SELECT verb, reason, details ->> 'paused_because' FROM integration.action WHERE verb = 'resume' ORDER BY id$$,
    $$VALUES ('resume', 'done', 'new version'), ('resume', NULL, 'fire')$$, 'it is on record what ended');

-- resume also ends what the breaker holds
INSERT INTO integration.endpoint_health (endpoint_id, state, open_until, openings, failures, retry_after_until, tripped_by)
SELECT id, 'stopped', now() + interval '1 hour', 3, 12, now() + interval '1 hour', 1 FROM integration.endpoint WHERE name = 'shop';
SELECT is(integration.resume('endpoint', 'shop', 'password renewed'), true, 'resume of a stopped and paused endpoint');
SELECT results_eq('SELECT state, open_until, openings, failures, retry_after_until, tripped_by FROM integration.endpoint_health',
    $$VALUES ('closed', NULL::timestamptz, 0, 0, NULL::timestamptz, NULL::bigint)$$, 'ends the stop');
SELECT is_empty($$SELECT FROM integration.pause WHERE scope = 'endpoint'$$, 'and the pause');
SELECT results_eq($$SELECT endpoint, reason, details ->> 'state', details ->> 'paused_because' FROM integration.action ORDER BY id DESC LIMIT 1$$,
    $$VALUES ('shop', 'password renewed', 'stopped', 'again')$$, 'both are on record');
SELECT is(integration.resume('endpoint', 'shop'), false, 'a healthy endpoint has nothing to resume');

-- what the other side put off goes at once, what waits for its own schedule doesn't
UPDATE integration.endpoint_health SET retry_after_until = now() + interval '7 min';
CREATE TEMP TABLE waiting AS
WITH o AS (INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '1'), ('shop', '2') RETURNING id) SELECT id FROM o;
UPDATE integration.queue SET state = 'retrying', attempts = 1, due_at = now() + interval '7 min' WHERE outbox_id = (SELECT min(id) FROM waiting);
UPDATE integration.queue SET state = 'retrying', attempts = 1, due_at = now() + interval '8 min' WHERE outbox_id = (SELECT max(id) FROM waiting);
SELECT is(integration.resume('endpoint', 'shop'), true, 'resume of an endpoint that asked to be left alone');
SELECT results_eq('SELECT q.due_at - now() FROM integration.queue q JOIN waiting w ON w.id = q.outbox_id ORDER BY q.outbox_id',
    $$VALUES (interval '0'), (interval '8 min')$$, 'ends what its Retry-After put off');

SELECT * FROM finish();
ROLLBACK;
