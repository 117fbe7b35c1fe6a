-- Twenty different objects refused alike without a success between them stop their endpoint; one poison object doesn't.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(38);

INSERT INTO integration.connector (name, owner) VALUES ('erp', 'finance-it');
INSERT INTO integration.endpoint (name, url, connector)
SELECT n, 'https://api.example.com/', 'erp' FROM unnest('{map,batch,poison,bare,five,own,any,mixed,success,retried,resumed,locked,ping}'::text[]) n;

CREATE FUNCTION pg_temp.refuse(endpoint text, first integer, last integer, at timestamptz DEFAULT now(), reason text DEFAULT 'http:422') RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(DISTINCT pg_temp.bring(pg_temp.enqueue(refuse.endpoint, 'O-' || n), refuse.reason, refuse.at + n * interval '1 s'), ',')
      FROM generate_series(refuse.first, refuse.last) n
$$;
CREATE FUNCTION pg_temp.stand(endpoint text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', h.state, h.stopped_for, h.openings) FROM pg_temp.health(stand.endpoint) h
$$;
CREATE FUNCTION pg_temp.incident(endpoint text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(concat_ws(' ', i.error_class, i.state), ', ' ORDER BY i.id) FROM integration.incident i WHERE i.endpoint = incident.endpoint
$$;

-- Nineteen, twenty
SELECT is(pg_temp.refuse('map', 1, 19), 'failed', 'nineteen objects are refused');
SELECT is(pg_temp.stand('map'), 'closed 0', 'their endpoint goes on');
SELECT is(pg_temp.refuse('map', 20, 20), 'failed', 'one more');
SELECT is(pg_temp.stand('map'), 'stopped design_fault 1', 'twenty stop it');
SELECT is((pg_temp.health('map')).open_until, now() + interval '80 s', 'a probe leaves in a minute');
SELECT is(pg_temp.incident('map'), 'validation open, design_fault open', 'engineering is told, beside whose data it is');
SELECT is((SELECT ROW (i.responsible, i.owner, i.note, o.object_id)::text FROM integration.incident i JOIN integration.outbox o ON o.id = i.example
            WHERE i.error_class = 'design_fault'),
          '(engineering,finance-it,"20 different objects were refused alike (Data refused), the last with http:422, and nothing was accepted between them. '
          || 'The endpoint is stopped, so that there won''t be more.",O-20)', 'of what, with an example');
SELECT isnt_empty($$SELECT FROM integration.incident i, integration.runbook(i.id) r
                     WHERE i.error_class = 'design_fault' AND r.statement LIKE 'SELECT integration.resume(%''map''%'$$, 'and what ends it');

SELECT matches(integration.why(pg_temp.enqueue('map', 'O-99')),
               'endpoint "map" is stopped since .*design_fault \(http:422.*remedy: Many different records were refused alike .*\(responsible: engineering\)',
               'whoever asks for a sync that waits hears of it');

-- Probes: a refusal is no way out, a delivery is
SELECT is(pg_temp.refuse('map', 100, 100), 'failed', 'a probe is refused');
SELECT is(pg_temp.stand('map'), 'stopped design_fault 2', 'it stays stopped');
SELECT is((pg_temp.health('map')).open_until, now() + interval '100 s 10 min', 'for longer');
SELECT is(pg_temp.bring(pg_temp.enqueue('map', 'O-200'), 'http:503', now() + interval '800 s'), 'retrying', 'a probe finds it down');
SELECT is(pg_temp.stand('map'), 'stopped design_fault 3', 'it stays stopped');
SELECT integration_worker.watch_design_faults(now()) \g /dev/null
SELECT is(pg_temp.incident('map'), 'validation open, design_fault open, remote_unavailable open', 'the incident is open');
SELECT is(pg_temp.bring(pg_temp.enqueue('map', 'O-300'), 'http:200', now() + interval '900 s'), 'delivered', 'a probe is accepted');
SELECT is(pg_temp.stand('map'), 'closed 0', 'it goes on');
SELECT integration_worker.watch_design_faults(now() + interval '901 s') \g /dev/null
SELECT is(pg_temp.incident('map'), 'validation open, design_fault resolved, remote_unavailable resolved', 'the design fault is over; those that failed still wait for a person');

-- In one batch
SELECT is((SELECT string_agg(DISTINCT b.state || coalesce(' ' || (b.due_at > now()), ''), ', ' ORDER BY b.state || coalesce(' ' || (b.due_at > now()), ''))
             FROM pg_temp.bring_all(ARRAY(SELECT pg_temp.enqueue('batch', 'O-' || n) FROM generate_series(1, 50) n), array_fill('http:400'::text, '{50}')) b),
          'failed, stopped true', 'fifty in a batch: the worker is told that it is stopped');
SELECT is(pg_temp.stand('batch'), 'stopped design_fault 1', 'and so is the table');

-- What it is not
SELECT pg_temp.bring(pg_temp.enqueue('poison', 'O-1'), 'http:422', now() + n * interval '1 s') FROM generate_series(1, 40) n \g /dev/null
SELECT is(pg_temp.stand('poison'), 'closed 0', 'one object refused forty times');
SELECT pg_temp.bring(pg_temp.enqueue('bare'), 'http:422', now() + n * interval '1 s') FROM generate_series(1, 40) n \g /dev/null
SELECT is(pg_temp.stand('bare'), 'closed 0', 'syncs that name no object');
SELECT pg_temp.refuse('mixed', 1, 19), pg_temp.refuse('mixed', 20, 38, now(), 'http:409') \g /dev/null
SELECT is(pg_temp.stand('mixed'), 'closed 0', 'nineteen refused in one way, nineteen in another');
SELECT is(pg_temp.refuse('success', 1, 19) || pg_temp.bring(pg_temp.enqueue('success', 'O-0'), 'http:200', now() + interval '19.5 s')
          || pg_temp.refuse('success', 20, 38), 'faileddeliveredfailed', 'nineteen, a success, nineteen');
SELECT is(pg_temp.stand('success'), 'closed 0', 'are none');
SELECT is(pg_temp.refuse('success', 39, 39) || pg_temp.stand('success'), 'failedstopped design_fault 1', 'one more is');
SELECT pg_temp.refuse('ping', 1, 10), pg_temp.bring(integration.ping('ping'), 'http:200', now() + interval '10.5 s'), pg_temp.refuse('ping', 11, 20) \g /dev/null
SELECT is(pg_temp.stand('ping'), 'stopped design_fault 1', 'a ping that is answered is no success');

-- Resumed by somebody: it has another twenty
SELECT pg_temp.refuse('resumed', 1, 20, now() - interval '1 h') \g /dev/null
SELECT is(integration.resume('endpoint', 'resumed', 'the mapping is mended'), true, 'somebody resumes it');
SELECT is(pg_temp.stand('resumed'), 'closed 0', 'it is called again');
SELECT is(pg_temp.refuse('resumed', 21, 39, clock_timestamp()) || pg_temp.stand('resumed'), 'failedclosed 0', 'nineteen more are refused');
SELECT is(pg_temp.refuse('resumed', 40, 40, clock_timestamp()) || pg_temp.stand('resumed'), 'failedstopped design_fault 1', 'the twentieth stops it again');
SELECT is((SELECT string_agg(c.change, ',' ORDER BY c.id) FROM integration_worker.incident_change c JOIN integration.incident i ON i.id = c.incident
            WHERE i.endpoint = 'resumed' AND i.error_class = 'design_fault'), 'opened,updated', 'people are told again');

-- How many is a setting
UPDATE integration.connector SET refusals_alike = 5;
UPDATE integration.endpoint SET refusals_alike = 30 WHERE name = 'own';
UPDATE integration.endpoint SET refusals_alike = 0 WHERE name = 'any';
SELECT is(pg_temp.refuse('five', 1, 4) || pg_temp.stand('five'), 'failedclosed 0', 'the connector says five: four');
SELECT is(pg_temp.refuse('five', 5, 5) || pg_temp.stand('five'), 'failedstopped design_fault 1', 'five');
SELECT is(pg_temp.refuse('own', 1, 29) || pg_temp.stand('own') || pg_temp.refuse('own', 30, 30) || pg_temp.stand('own'),
          'failedclosed 0failedstopped design_fault 1', 'the endpoint says thirty');
SELECT is(pg_temp.refuse('any', 1, 60) || pg_temp.stand('any'), 'failedclosed 0', 'the endpoint lets any number pass');

-- Stopped for something else: an answer is enough
SELECT is(pg_temp.bring(pg_temp.enqueue('retried', 'O-1'), 'http:401') || pg_temp.stand('retried'), 'retryingstopped 1', 'a refused login');
SELECT is(pg_temp.bring(pg_temp.enqueue('retried', 'O-2'), 'http:422', now() + interval '1 min') || pg_temp.stand('retried'), 'failedclosed 0',
          'ends when something is answered');

SELECT * FROM finish();
ROLLBACK;
