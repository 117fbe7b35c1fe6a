-- A night on a virtual clock: the other system is out of service from 02:00 to 04:10, and nobody touches anything.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(28);
SET LOCAL TimeZone = 'UTC';

INSERT INTO integration.connector (name, title, owner, severity, sla) VALUES ('crm', 'CRM of Vendor Inc.', 'sales-it', 2, '1 hour');
INSERT INTO integration.endpoint (name, url, connector, customer)
VALUES ('shop', 'https://api.example.com/', 'crm', 'acme'), ('chat', 'https://chat.example.com/', NULL, NULL),
       ('acme_it', 'https://acme.example.com/', NULL, NULL), ('desk', 'https://desk.example.com/', NULL, NULL),
       ('devs', 'https://devs.example.com/', NULL, NULL);
INSERT INTO integration.notice_endpoint (endpoint, audience, customer)
VALUES ('chat', NULL, NULL), ('acme_it', 'customer', 'acme'), ('desk', 'support', NULL), ('devs', 'engineer', NULL);

-- The night, in another month: nothing of it may go by the real clock.  It is to come, since what has expired is refused.
CREATE FUNCTION pg_temp.at(clock time) RETURNS timestamptz
    LANGUAGE sql STABLE AS $$ SELECT date_trunc('month', now()) + interval '1 month 2 days' + clock $$;

-- What came of each request, in their order.
CREATE TEMPORARY TABLE request (n integer GENERATED ALWAYS AS IDENTITY, at timestamptz, sync bigint, reason text, health text);
-- What the worker knows between two batches.
CREATE TEMPORARY TABLE memory (counters integration_worker.counter[] DEFAULT '{}', "window" integer DEFAULT 8, watch_at timestamptz);
INSERT INTO memory DEFAULT VALUES;

CREATE FUNCTION pg_temp.answer(at timestamptz) RETURNS text
    LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN at >= pg_temp.at('02:00') AND at < pg_temp.at('04:10') THEN 'http:503' ELSE 'http:200' END
$$;

-- What would leave now: a probe while the endpoint is open, else what is due, as much as the window holds.
CREATE FUNCTION pg_temp.leaving(at timestamptz) RETURNS bigint[]
    LANGUAGE sql
AS $$
    SELECT ARRAY(
        SELECT q.outbox_id
          FROM integration.queue q
          JOIN integration.outbox o ON o.id = q.outbox_id AND o.endpoint = 'shop'
          LEFT JOIN integration.endpoint_health h ON h.endpoint_id = q.endpoint_id
         WHERE (q.state = 'pending' OR (q.state = 'retrying' AND q.due_at <= leaving.at))
           AND (h.state IS NULL OR h.state = 'closed' OR h.open_until <= leaving.at)
         ORDER BY CASE q.state WHEN 'pending' THEN o.created_at ELSE q.due_at END, q.outbox_id
         LIMIT CASE WHEN (pg_temp.health('shop')).state = 'open' THEN 1 ELSE (SELECT m."window" FROM memory m) END)
$$;

-- Sends once, settles; how many left.
CREATE FUNCTION pg_temp.send(at timestamptz) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    syncs bigint[] := pg_temp.leaving(send.at);
    before text := coalesce((pg_temp.health('shop')).state, 'closed');
    counted integration_worker.counter;
BEGIN
    IF syncs = '{}' THEN
        RETURN 0;
    END IF;
    SELECT s.endpoint_id, s.failures, s.minute_at, s.minute_attempts, s.minute_failures, NULL, NULL INTO counted
      FROM pg_temp.settle(ARRAY(SELECT pg_temp.result(i.id, pg_temp.answer(send.at), jsonb_build_object('started_at', send.at, 'duration_ms', 80))
                                  FROM unnest(syncs) AS i (id)),
                          send.at, (SELECT m.counters FROM memory m)) s
     WHERE s.outbox_id IS NULL AND s.endpoint_id = pg_temp.endpoint_of(syncs[1]);
    INSERT INTO request (at, sync, reason, health)
    SELECT send.at, i.id, pg_temp.answer(send.at), before FROM unnest(syncs) AS i (id);
    -- How many may leave at once is the sender's to find out: from 4 on after an outage (src/flow/window.c).
    UPDATE memory m
       SET counters = ARRAY[counted],
           "window" = CASE WHEN before = 'open' THEN 4 ELSE least(8, 2 * m."window") END;
    RETURN cardinality(syncs);
END
$$;

-- People are told as the worker does it; their endpoints take every notice.
CREATE FUNCTION pg_temp.tell_people(at timestamptz) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM integration_worker.distribute_changes();
    PERFORM integration_worker.send_notices(tell_people.at);
    PERFORM integration_worker.notify_listeners();
    PERFORM pg_temp.bring(q.outbox_id, 'http:200', at => tell_people.at)
       FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id WHERE e.name <> 'shop';
END
$$;

-- When the next order comes, a watchdog looks, something may leave.
CREATE FUNCTION pg_temp.next_moment(next_order timestamptz) RETURNS timestamptz
    LANGUAGE sql
AS $$
    SELECT least(next_order, (SELECT m.watch_at FROM memory m), greatest(
               (SELECT min(CASE q.state WHEN 'retrying' THEN q.due_at ELSE '-infinity' END)
                  FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id WHERE e.name = 'shop'),
               (SELECT h.open_until FROM pg_temp.health('shop') h WHERE h.state = 'open')))
$$;

-- An order every three minutes until the morning; the clock jumps to where something is to be done next.
CREATE FUNCTION pg_temp.live_through(began timestamptz, ends timestamptz) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    at timestamptz := began;
    next_order timestamptz := began;
BEGIN
    WHILE at < ends LOOP
        IF next_order <= least(at, pg_temp.at('05:57')) THEN
            INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, impact, created_at)
            VALUES ('shop', 'order', 'PO-' || to_char(at, 'HH24MI'), '{}', 100, at);
            next_order := next_order + interval '3 min';
        END IF;
        WHILE pg_temp.send(at) > 0 LOOP
            at := at + interval '80 ms';
        END LOOP;
        IF at >= coalesce((SELECT m.watch_at FROM memory m), at) THEN
            UPDATE memory SET watch_at = (SELECT min(integration_worker.watch(w, at)) FROM unnest(integration_worker.watchdogs()) AS w);
        END IF;
        IF EXISTS (SELECT FROM integration_worker.incident_change) OR EXISTS (SELECT FROM integration_worker.notice_due) THEN
            PERFORM pg_temp.tell_people(at);
        END IF;
        at := pg_temp.next_moment(CASE WHEN next_order < pg_temp.at('06:00') THEN next_order ELSE ends END);
    END LOOP;
END
$$;

SELECT pg_temp.live_through(pg_temp.at('01:30'), pg_temp.at('08:00'));

CREATE FUNCTION pg_temp.incident(class text) RETURNS integration.incident
    LANGUAGE sql AS $$ SELECT i.* FROM integration.incident i WHERE i.endpoint = 'shop' AND i.error_class = class $$;
CREATE TEMPORARY TABLE arrival AS
SELECT r.sync, max(r.n) AS n, max(r.at) AS at, count(*) AS tries FROM request r GROUP BY r.sync HAVING bool_or(r.reason = 'http:200');
-- Who was told what of the outage, with the minutes since it opened.
CREATE FUNCTION pg_temp.told(who text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(format('%s %s', n.change, floor(extract(epoch FROM n.at - i.opened_at) / 60)), ', ' ORDER BY n.id)
      FROM integration.notice n JOIN pg_temp.incident('remote_unavailable') i ON i.id = n.incident WHERE n.endpoint = who
$$;

-- The evening
SELECT is((SELECT count(*) FROM request r WHERE r.at < pg_temp.at('02:00') AND r.reason = 'http:200'), 10::bigint, 'until two all orders arrive');

-- The outage
SELECT ok((pg_temp.incident('remote_unavailable')).opened_at BETWEEN pg_temp.at('02:00') AND pg_temp.at('02:10'), 'the breaker opens within minutes');
SELECT is((SELECT count(*) FROM request r WHERE r.at >= pg_temp.at('02:00') AND r.health = 'closed' AND r.reason = 'http:503'), 10::bigint, 'after ten failures');
SELECT ok((SELECT count(*) FROM request r WHERE r.health = 'open' AND r.reason = 'http:503') BETWEEN 100 AND 140, 'then a probe a minute at most');
SELECT is((SELECT max(c.probes) FROM (SELECT count(*) AS probes FROM request r WHERE r.health = 'open' GROUP BY r.at) c), 1::bigint, 'one at a time');
SELECT is((SELECT count(*) FROM integration.incident i WHERE i.endpoint = 'shop' AND i.error_class <> 'sla_at_risk'), 1::bigint, 'one incident');
SELECT is((SELECT ROW (i.severity, i.owner, i.responsible, i.customers)::text FROM pg_temp.incident('remote_unavailable') i),
          '(2,sales-it,remote_vendor,1)', 'how bad, whose work, who can mend it, whom it hits');
SELECT is((SELECT count(*) FROM integration.incident i WHERE i.endpoint <> 'shop'), 0::bigint, 'nothing else is wrong');

-- Who hears of it, when
SELECT matches(pg_temp.told('chat'), '^opened 0, escalated 5, escalated 15, escalated 60, resolved \d+$', 'who is told of all hears of each step');
SELECT ok((SELECT bool_and(n.at - CASE n.change WHEN 'opened' THEN i.opened_at ELSE i.resolved_at END < '1 s')
             FROM integration.notice n JOIN pg_temp.incident('remote_unavailable') i ON i.id = n.incident
            WHERE n.change IN ('opened', 'resolved')), 'of the first and the last within a second');
SELECT matches(pg_temp.told('acme_it'), '^escalated 5, resolved \d+$', 'the customer after five minutes');
SELECT matches(pg_temp.told('desk'), '^escalated 15, resolved \d+$', 'support after a quarter of an hour');
SELECT matches(pg_temp.told('devs'), '^escalated 60, resolved \d+$', 'engineering after an hour');
SELECT is((SELECT array_agg(a.details ->> 'audience' ORDER BY a.id) FROM integration.action a
            WHERE a.verb = 'escalate' AND a.incident = (pg_temp.incident('remote_unavailable')).id), '{customer,support,engineer}',
          'each step is on record');

-- The promise of an hour
SELECT ok((pg_temp.incident('sla_at_risk')).opened_at BETWEEN pg_temp.at('02:48') AND pg_temp.at('02:50'),
          'people hear of promises at risk before they are broken');
SELECT ok((pg_temp.incident('sla_at_risk')).resolved_at BETWEEN pg_temp.at('04:10') AND pg_temp.at('07:00'), 'and when they are no more');

-- The vendor is back
SELECT ok((SELECT min(r.at) FROM request r WHERE r.at > pg_temp.at('04:00') AND r.reason = 'http:200') - pg_temp.at('04:10') < '75 s',
          'the next probe finds out');
SELECT is((SELECT count(*) FROM arrival x JOIN arrival y ON y.n > x.n AND y.sync < x.sync
            WHERE x.at >= pg_temp.at('04:10') AND x.tries = 1 AND y.tries = 1), 0::bigint, 'what was not tried yet goes oldest first');
SELECT ok((SELECT bool_and(a.at < pg_temp.at('04:12')) FROM arrival a JOIN integration.outbox o ON o.id = a.sync
            WHERE o.created_at BETWEEN pg_temp.at('02:30') AND pg_temp.at('04:10') AND a.tries < 4), 'within moments');
SELECT is((SELECT array_agg(x.left_at_once ORDER BY x.at) FROM (
              SELECT r.at, count(*) AS left_at_once FROM request r WHERE r.at >= pg_temp.at('04:10') AND r.reason = 'http:200'
               GROUP BY r.at ORDER BY r.at LIMIT 3) x), '{1,4,8}', 'a probe, four, eight: at a ramp');
SELECT is((SELECT count(*) FROM integration.queue q), 0::bigint, 'all have arrived');
SELECT is((SELECT count(*) FROM request r WHERE r.reason = 'http:200'), 90::bigint, 'each once');

-- It ends by itself
SELECT is((SELECT ROW (i.state, i.resolved_by, i.resolution, i.worked)::text FROM pg_temp.incident('remote_unavailable') i), '(resolved,,,)', 'it is over, it healed');
SELECT is((pg_temp.incident('remote_unavailable')).resolved_at, (SELECT min(r.at) FROM request r WHERE r.at > pg_temp.at('04:00') AND r.reason = 'http:200'),
          'with the first delivery');
SELECT is((SELECT count(*) FROM integration.action a WHERE a.actor <> 'integration' AND a.verb <> 'insert'), 0::bigint, 'nobody touched it');

-- In the morning: what was promised, what was missed, by whose fault
-- Counting waits for the end of each transaction, and here is one alone.
SELECT integration_worker.count_more(integration_worker.last_id(), pg_temp.at('08:00'));
SELECT is((SELECT ROW (s.promised, s.in_time, s.missed, s.impact_missed)::text FROM integration.sla_report s
            WHERE s.scope = 'connector' AND s.connector = 'crm' AND s.month = date_trunc('month', pg_temp.at('00:00'))::date),
          (SELECT ROW (count(*), count(*) FILTER (WHERE m.length <= '1 h'), count(*) FILTER (WHERE m.length > '1 h'),
                       100 * count(*) FILTER (WHERE m.length > '1 h'))::text
             FROM (SELECT r.at - o.created_at AS length FROM request r JOIN integration.outbox o ON o.id = r.sync WHERE r.reason = 'http:200') m),
          'the report says how many were late');
SELECT is((SELECT ROW (s.missed_by_vendor = s.missed, s.missed_by_customer, s.missed_by_us)::text FROM integration.sla_report s
            WHERE s.scope = 'connector' AND s.connector = 'crm' AND s.month = date_trunc('month', pg_temp.at('00:00'))::date), '(t,0,0)', 'by whose fault: the vendor''s alone');
SELECT is((SELECT s.in_time_share < s.objective AND s.budget_left < 0 FROM integration.sla_report s
            WHERE s.scope = 'connector' AND s.connector = 'crm' AND s.month = date_trunc('month', pg_temp.at('00:00'))::date), true, 'the error budget is spent');

SELECT * FROM finish();
ROLLBACK;
