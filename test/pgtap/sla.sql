-- The clock of each sync: its deadline, where its time went; who is warned before it is too late.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(38);
SET LOCAL TimeZone = 'UTC';

\set t0 '''2026-03-02 02:00:00+00'''
INSERT INTO integration.connector (name, owner, severity, sla) VALUES ('erp', 'erp team', 2, '1 hour'), ('crm', 'crm team', 3, NULL);
INSERT INTO integration.customer (name, sla) VALUES ('gold', '10 min');
INSERT INTO integration.endpoint (name, connector, url) VALUES
    ('shop', 'erp', 'https://shop.example.com/'), ('mail', 'crm', 'https://mail.example.com/');

CREATE FUNCTION pg_temp.enqueue_at(at timestamptz, endpoint text DEFAULT 'shop', customer text DEFAULT NULL, send_after timestamptz DEFAULT NULL,
                                   impact numeric DEFAULT NULL) RETURNS bigint
    LANGUAGE sql
AS $$
    INSERT INTO integration.outbox (endpoint, customer, payload, created_at, send_after, impact)
    VALUES (enqueue_at.endpoint, enqueue_at.customer, '{}', enqueue_at.at, enqueue_at.send_after, enqueue_at.impact)
    RETURNING id
$$;

-- What happened: minutes after the sync was enqueued.
CREATE FUNCTION pg_temp.try(sync bigint, minute numeric, reason text, next_minute numeric DEFAULT NULL, seconds numeric DEFAULT 60) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    asked integration.outbox;
BEGIN
    SELECT o.* INTO asked FROM integration.outbox o WHERE o.id = try.sync;
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class, next_attempt_at)
    SELECT asked.id, 1 + (SELECT count(*) FROM integration.attempt a WHERE a.outbox_id = asked.id), e.id,
           asked.created_at + try.minute * interval '1 min', try.seconds * 1000,
           CASE WHEN try.reason = 'http:200' THEN 'delivered' ELSE 'failed' END, try.reason, nullif(r.error_class, 'success'),
           asked.created_at + try.next_minute * interval '1 min'
      FROM integration.endpoint e, integration.error_reason r
     WHERE e.name = asked.endpoint AND r.reason = try.reason;
    IF try.reason = 'http:200' THEN
        DELETE FROM integration.queue q WHERE q.outbox_id = asked.id;
    ELSE
        UPDATE integration.queue q
           SET attempts = q.attempts + 1, state = CASE WHEN try.next_minute IS NULL THEN 'failed' ELSE 'retrying' END
         WHERE q.outbox_id = asked.id;
    END IF;
END
$$;

CREATE FUNCTION pg_temp.switch(verb text, at timestamptz, scope text, name text, until timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO integration.action (at, verb, details)
    VALUES (switch.at, switch.verb,
            jsonb_strip_nulls(jsonb_build_object('scope', switch.scope, 'name', switch.name, 'until', switch.until)))
$$;

CREATE FUNCTION pg_temp.m(length interval) RETURNS numeric
    LANGUAGE sql IMMUTABLE AS $$ SELECT round(extract(epoch FROM length) / 60, 1)::float::numeric $$;
-- The parts in minutes.
CREATE FUNCTION pg_temp.parts(sync bigint, at timestamptz) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', c.standing, 'waiting', pg_temp.m(c.waiting), 'throttled', pg_temp.m(c.throttled), 'paused', pg_temp.m(c.paused),
                     'retrying', pg_temp.m(c.retrying), 'in flight', pg_temp.m(c.in_flight), 'of', pg_temp.m(c.total))
      FROM integration.sla_clock(parts.sync, parts.at) c
$$;

-- A clock that runs
SELECT pg_temp.enqueue_at(:t0) AS sync \gset
SELECT results_eq(format('SELECT c.standing, c.started_at, c.at_risk_from, c.due_by, c.time_left FROM integration.sla_clock(%s, %L) c', :sync, :t0::timestamptz + '10 min'),
    format('VALUES (''running'', %1$L::timestamptz, %1$L::timestamptz + interval ''48 min'', %1$L::timestamptz + interval ''1 h'', interval ''50 min'')', :t0::timestamptz),
    'what is promised, until when');
SELECT is(pg_temp.parts(:sync, :t0::timestamptz + interval '48 min'), 'at_risk waiting 48 throttled 0 paused 0 retrying 0 in flight 0 of 48', 'at risk from four fifths on');
SELECT is(pg_temp.parts(:sync, :t0::timestamptz + interval '61 min'), 'late waiting 61 throttled 0 paused 0 retrying 0 in flight 0 of 61', 'then late');
SELECT is((SELECT c.time_left FROM integration.sla_clock(:sync, :t0::timestamptz + interval '61 min') c), '-1 min', 'by how much');
SELECT pg_temp.try(:sync, 5, 'http:503', 10);
SELECT is(pg_temp.parts(:sync, :t0::timestamptz + interval '8 min'), 'running waiting 5 throttled 0 paused 0 retrying 2 in flight 1 of 8', 'it is to be tried again');
SELECT pg_temp.try(:sync, 10, 'http:429', 30);
SELECT is(pg_temp.parts(:sync, :t0::timestamptz + interval '20 min'), 'running waiting 5 throttled 9 paused 0 retrying 4 in flight 2 of 20', 'the other side asks us to wait');
SELECT is(pg_temp.parts(:sync, :t0::timestamptz + interval '40 min'), 'running waiting 5 throttled 19 paused 0 retrying 14 in flight 2 of 40', 'so long, no longer');
SELECT pg_temp.switch('pause', :t0::timestamptz + interval '20 min', 'connector', 'erp');
SELECT pg_temp.switch('resume', :t0::timestamptz + interval '35 min', 'connector', 'erp');
SELECT is(pg_temp.parts(:sync, :t0::timestamptz + interval '40 min'), 'running waiting 5 throttled 9 paused 15 retrying 9 in flight 2 of 40', 'a pause goes before what happens meanwhile');
SELECT pg_temp.try(:sync, 45, 'http:200');
SELECT is(pg_temp.parts(:sync, now()), 'kept waiting 5 throttled 9 paused 15 retrying 14 in flight 3 of 46', 'delivered: the clock stands');
SELECT is((SELECT ROW (c.time_left, c.finished_at)::text FROM integration.sla_clock(:sync) c), format('(,"%s")', :t0::timestamptz + interval '46 min'), 'nothing is left to wait for');

-- Pauses
SELECT pg_temp.enqueue_at(:t0, 'mail', 'gold') AS paused \gset
SELECT pg_temp.switch('pause', :t0::timestamptz - interval '1 h', 'customer', 'gold', :t0::timestamptz + interval '5 min');
SELECT is(pg_temp.parts(:paused, :t0::timestamptz + interval '7 min'), 'running waiting 2 throttled 0 paused 5 retrying 0 in flight 0 of 7', 'one that ends by itself');
SELECT pg_temp.switch('pause', :t0::timestamptz + interval '2 min', 'all', NULL);
SELECT pg_temp.switch('pause', :t0::timestamptz + interval '4 min', 'all', NULL, :t0::timestamptz + interval '6 min');
SELECT is(pg_temp.parts(:paused, :t0::timestamptz + interval '7 min'), 'running waiting 1 throttled 0 paused 6 retrying 0 in flight 0 of 7', 'two at a time count once');
SELECT pg_temp.switch('pause', :t0::timestamptz, 'endpoint', 'shop');
SELECT is(pg_temp.parts(:paused, :t0::timestamptz + interval '7 min'), 'running waiting 1 throttled 0 paused 6 retrying 0 in flight 0 of 7', 'others'' don''t count');
INSERT INTO integration.pause (scope, name, reason, since) VALUES ('endpoint', 'mail', 'x', :t0::timestamptz + interval '7 min');
SELECT is(pg_temp.parts(:paused, :t0::timestamptz + interval '9 min'), 'at_risk waiting 1 throttled 0 paused 8 retrying 0 in flight 0 of 9', 'one that is in force, whoever began it');
DELETE FROM integration.pause;

-- Failed, later, without a promise, withdrawn, expired
SELECT pg_temp.enqueue_at(:t0) AS refused, pg_temp.enqueue_at(:t0, send_after => :t0::timestamptz + interval '1 day') AS later, pg_temp.enqueue_at(:t0, 'mail') AS free \gset
DELETE FROM integration.action;
SELECT pg_temp.try(:refused, 2, 'http:422');
SELECT is(pg_temp.parts(:refused, :t0::timestamptz + interval '10 min'), 'running waiting 9 throttled 0 paused 0 retrying 0 in flight 1 of 10', 'what nobody tries again waits');
SELECT is((SELECT c.due_by FROM integration.sla_clock(:later) c), :t0::timestamptz + interval '25 h', 'the clock begins at send_after');
SELECT is((SELECT ROW (c.standing, c.due_by)::text FROM integration.sla_clock(:free) c), '(no_promise,)', 'no promise');
SELECT is(pg_temp.parts(:later, :t0::timestamptz), 'running waiting 0 throttled 0 paused 0 retrying 0 in flight 0 of 0', 'before it begins: nothing');
SELECT is(integration_worker.standing_of(state, due, due - interval '12 min', finished, :t0::timestamptz), standing, standing || ': ' || state)
  FROM (VALUES ('cancelled', :t0::timestamptz + interval '1 h', :t0::timestamptz, 'withdrawn'), ('expired', :t0::timestamptz + interval '1 h', :t0::timestamptz, 'missed'),
               ('cancelled', :t0::timestamptz - interval '1 h', :t0::timestamptz, 'missed'), ('superseded', :t0::timestamptz, :t0::timestamptz, 'withdrawn')
       ) AS x (state, due, finished, standing);
SELECT is(pg_temp.refusal('SELECT * FROM integration.sla_clock(4711)') LIKE '42704 sync 4711 does not exist%', true, 'no such sync');

-- The watchdog
DELETE FROM integration.queue;
CREATE FUNCTION pg_temp.warning(endpoint text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', i.state, i.severity, i.owner, i.syncs, i.customers, i.impact, i.note)
      FROM integration.incident i WHERE i.endpoint = warning.endpoint AND i.error_class = 'sla_at_risk' ORDER BY i.id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.count_to_the_end(at timestamptz) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    WHILE integration_worker.count_more(integration_worker.last_id(), count_to_the_end.at, 3) LOOP
    END LOOP;
END
$$;
SELECT integration_worker.warn_of_promises(now());
SELECT is((SELECT count(*) FROM integration.incident), 0::bigint, 'nothing waits: nobody is told');
SELECT pg_temp.enqueue_at(:t0, impact => 100) AS first, pg_temp.enqueue_at(:t0::timestamptz + interval '5 min', customer => 'acme', impact => 20) AS second,
       pg_temp.enqueue_at(:t0::timestamptz + interval '30 min') AS third, pg_temp.enqueue_at(:t0, 'mail') AS nobodys \gset
SELECT integration_worker.warn_of_promises(:t0::timestamptz + interval '47 min');
SELECT is(pg_temp.warning('shop'), NULL, 'before four fifths are over nobody is told');
SELECT integration_worker.warn_of_promises(:t0::timestamptz + interval '49 min');
SELECT matches(pg_temp.warning('shop'), format('^open 2 erp team 1 0 100 Not delivered .* over: 1; already late: 0; due first: sync %s by 2026-03-02 03:00:00 UTC\.$', :first),
               'at risk before it is late, also what is not counted yet');
SELECT pg_temp.count_to_the_end(:t0::timestamptz + interval '50 min');
SELECT integration_worker.warn_of_promises(:t0::timestamptz + interval '62 min');
SELECT matches(pg_temp.warning('shop'), '^open 2 erp team 2 1 120 .*: 2; already late: 1;', 'the figures are kept up to date, once what is not finished is noted');
SELECT is((SELECT count(*) FROM integration_worker.incident_change c JOIN integration.incident i ON i.id = c.incident WHERE i.error_class = 'sla_at_risk'), 1::bigint,
          'people are told once');
SELECT is(pg_temp.warning('mail'), NULL, 'where nothing was promised nobody is warned');
SELECT integration_worker.warn_of_promises(:t0::timestamptz + interval '62 min', most => 2);
SELECT matches(pg_temp.warning('shop'), ': at least 2; already late: 1;', 'many are not counted');
DELETE FROM integration.queue q WHERE q.outbox_id IN (:first, :second);
SELECT integration_worker.warn_of_promises(:t0::timestamptz + interval '63 min', most => 2);
SELECT matches(pg_temp.warning('shop'), '^open', 'all that were looked at are finished, perhaps not all there are');
SELECT integration_worker.warn_of_promises(:t0::timestamptz + interval '63 min');
SELECT matches(pg_temp.warning('shop'), '^resolved', 'nothing is at risk any more');
SELECT integration_worker.warn_of_promises(:t0::timestamptz + interval '80 min');
SELECT matches(pg_temp.warning('shop'), '^open 2 erp team 1 0', 'the next one: the same incident again');
SELECT is((SELECT i.responsible FROM integration.incident i WHERE i.error_class = 'sla_at_risk'), 'support', 'who can do something');

-- How often it looks
SELECT is(integration_worker.watch_sla(:t0) - :t0::timestamptz, interval '12 s', 'the shortest promise tells how soon to look again');
UPDATE integration.customer SET sla = '1 s';
SELECT is(integration_worker.watch_sla(:t0) - :t0::timestamptz, interval '5 s', 'never more often than every 5 s');
DELETE FROM integration.customer;
UPDATE integration.connector SET sla = NULL;
SELECT is(integration_worker.watch_sla(:t0), NULL, 'no promise: as often as the others look');
SELECT ok('watch_sla' = ANY (integration_worker.watchdogs()), 'the worker has it look');

SELECT * FROM finish();
ROLLBACK;
