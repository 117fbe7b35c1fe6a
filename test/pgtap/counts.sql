-- What became of syncs, counted by day; promises by month, by whose fault.
BEGIN;
SELECT plan(37);

INSERT INTO integration.connector (name, owner, sla, objective) VALUES ('erp', 'erp team', '1 hour', 0.9), ('crm', NULL, NULL, 0.99), ('pos', 'pos team', '1 hour', 0.5);
INSERT INTO integration.customer (name, tier, owner) VALUES ('acme', 'gold', 'key accounts');
INSERT INTO integration.endpoint (name, connector, url) VALUES
    ('shop', 'erp', 'https://shop.example.com/'), ('mail', 'crm', 'https://mail.example.com/'), ('till', 'pos', 'https://till.example.com/');
\set t0 '''2026-03-31 23:00:00+00'''

CREATE FUNCTION pg_temp.enqueue(endpoint text DEFAULT 'shop', customer text DEFAULT NULL, at timestamptz DEFAULT '2026-03-31 23:00:00+00', impact numeric DEFAULT NULL)
    RETURNS bigint
    LANGUAGE sql
AS $$
    INSERT INTO integration.outbox (endpoint, customer, payload, created_at, impact)
    VALUES (enqueue.endpoint, enqueue.customer, '{}', enqueue.at, enqueue.impact)
    RETURNING id
$$;

CREATE FUNCTION pg_temp.try(sync bigint, minute numeric, reason text) RETURNS bigint
    LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class)
    SELECT o.id, 1 + (SELECT count(*) FROM integration.attempt a WHERE a.outbox_id = o.id), e.id, o.created_at + try.minute * interval '1 min', 1000,
           CASE WHEN try.reason = 'http:200' THEN 'delivered' ELSE 'failed' END, try.reason, nullif(r.error_class, 'success')
      FROM integration.outbox o
      JOIN integration.endpoint e ON e.name = o.endpoint
      JOIN integration.error_reason r ON r.reason = try.reason
     WHERE o.id = try.sync;
    IF try.reason = 'http:200' THEN
        DELETE FROM integration.queue q WHERE q.outbox_id = try.sync;
    END IF;
    RETURN try.sync;
END
$$;

CREATE FUNCTION pg_temp.close_at(sync bigint, state text, minute numeric) RETURNS void
    LANGUAGE sql
AS $$
    DELETE FROM integration.queue q WHERE q.outbox_id = close_at.sync;
    INSERT INTO integration.closing (outbox_id, state, closed_at)
    SELECT o.id, close_at.state, o.created_at + close_at.minute * interval '1 min' FROM integration.outbox o WHERE o.id = close_at.sync
$$;

-- In small bites, so that nothing depends on their size.
CREATE FUNCTION pg_temp.count_at(minute numeric) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    WHILE integration_worker.count_more(integration_worker.last_id(), timestamptz '2026-03-31 23:00:00+00' + minute * interval '1 min', 2) LOOP
    END LOOP;
END
$$;

-- A day's figures, without zeros.
CREATE FUNCTION pg_temp.counts(endpoint text, customer text DEFAULT '') RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(c.day || ' ' || (SELECT string_agg(f.key || ' ' || f.value, ', ' ORDER BY f.n)
                                         FROM jsonb_each_text(to_jsonb(c)) WITH ORDINALITY AS f (key, value, n)
                                        WHERE f.value <> '0' AND f.key NOT IN ('day', 'endpoint', 'customer', 'connector')), '; ' ORDER BY c.day)
      FROM integration.sync_count c
     WHERE c.endpoint = counts.endpoint AND c.customer = counts.customer
$$;

-- Each way to end
SELECT pg_temp.try(pg_temp.enqueue(), 10, 'http:200');
SELECT pg_temp.count_at(11);
SELECT is(pg_temp.counts('shop'), '2026-03-31 syncs 1, in_time 1, delivered 1', 'delivered in time');
SELECT pg_temp.count_at(12);
SELECT is(pg_temp.counts('shop'), '2026-03-31 syncs 1, in_time 1, delivered 1', 'counted once');
SELECT pg_temp.try(pg_temp.try(pg_temp.enqueue(impact => 7), 1, 'http:503'), 61, 'http:200');
SELECT pg_temp.count_at(62);
SELECT is(pg_temp.counts('shop'), '2026-03-31 syncs 2, missed 1, in_time 1, failures 1, delivered 2, impact_missed 7, missed_by_vendor 1', 'late: what the other side''s failure cost');
SELECT is((SELECT count(*) FROM integration_worker.uncounted), 0::bigint, 'nothing is left to look at');

DELETE FROM integration.sync_count;
SELECT pg_temp.enqueue() AS open \gset
SELECT pg_temp.count_at(59);
SELECT is(pg_temp.counts('shop'), NULL, 'not finished, not late: nothing to count');
SELECT is((SELECT ROW (u.due_by, u.is_missed)::text FROM integration_worker.uncounted u), format('("%s",f)', :t0::timestamptz + interval '1 h'), 'its clock runs');
SELECT pg_temp.try(:open, 59, 'http:422');
SELECT pg_temp.count_at(61);
SELECT is(pg_temp.counts('shop'), '2026-03-31 missed 1, missed_by_customer 1', 'a broken promise counts when its time is over');
SELECT pg_temp.count_at(62);
SELECT pg_temp.try(:open, 90, 'http:200');
SELECT pg_temp.count_at(91);
SELECT is(pg_temp.counts('shop'), '2026-03-31 syncs 1, missed 1, failures 1, delivered 1, missed_by_customer 1', 'delivered after all: missed once');

-- What never failed itself
DELETE FROM integration.sync_count;
INSERT INTO integration.incident (endpoint, error_class, responsible, state, opened_at, resolved_at) VALUES
    ('shop', 'remote_unavailable', 'remote_vendor', 'resolved', :t0::timestamptz + '30 min', :t0::timestamptz + '2 h'),
    ('shop', 'sla_at_risk', 'support', 'open', :t0::timestamptz + '48 min', NULL),
    ('till', 'auth', 'operations', 'resolved', :t0::timestamptz - interval '1 h', :t0::timestamptz - interval '1 min');
SELECT pg_temp.try(pg_temp.enqueue(), 130, 'http:200'), pg_temp.try(pg_temp.enqueue('till'), 130, 'http:200'),
       pg_temp.try(pg_temp.enqueue(customer => 'acme'), 130, 'http:200') \g /dev/null
INSERT INTO integration.action (at, verb, details) VALUES (:t0::timestamptz + '10 min', 'pause', '{"scope": "customer", "name": "acme"}');
SELECT pg_temp.count_at(131);
SELECT is(pg_temp.counts('shop'), '2026-03-31 syncs 1, missed 1, delivered 1, missed_by_vendor 1', 'it waited behind an outage of the other side');
SELECT is(pg_temp.counts('till'), '2026-03-31 syncs 1, missed 1, delivered 1', 'it waited for its turn: what was over before is not to blame');
SELECT is(pg_temp.counts('shop', 'acme'), '2026-03-31 syncs 1, missed 1, delivered 1', 'it was paused: that is ours');
DELETE FROM integration.incident;
DELETE FROM integration.action;

DELETE FROM integration.sync_count;
SELECT pg_temp.close_at(pg_temp.enqueue(), s, m) FROM (VALUES ('cancelled', 10), ('superseded', 10), ('superseded', 0)) AS x (s, m);
SELECT pg_temp.count_at(61);
SELECT is(pg_temp.counts('shop'), '2026-03-31 syncs 3', 'withdrawn in time, gave way to a newer state: no promise is broken');
SELECT pg_temp.close_at(pg_temp.enqueue(), s, m) FROM (VALUES ('cancelled', 61), ('expired', 10)) AS x (s, m);
SELECT pg_temp.count_at(62);
SELECT is(pg_temp.counts('shop'), '2026-03-31 syncs 5, missed 2', 'given up too late, or not sent in time: broken');

DELETE FROM integration.sync_count;
SELECT pg_temp.try(pg_temp.enqueue('mail', 'acme'), 500, 'http:200'), pg_temp.enqueue('mail', 'acme') AS waits \gset
SELECT pg_temp.count_at(600);
SELECT is(pg_temp.counts('mail', 'acme'), '2026-03-31 syncs 1, delivered 1', 'without a promise none is broken');
SELECT is((SELECT ROW (u.outbox_id, u.due_by)::text FROM integration_worker.uncounted u), format('(%s,)', :waits), 'what is not finished is noted all the same');
SELECT pg_temp.try(:waits, 700, 'http:200');
SELECT pg_temp.count_at(701);
SELECT is(pg_temp.counts('mail', 'acme'), '2026-03-31 syncs 2, delivered 2', 'and counted when it is');
INSERT INTO integration.outbox (endpoint, operation, payload) VALUES ('mail', 'ping', '{}');
INSERT INTO integration.outbox (endpoint, payload, send_after, created_at) VALUES ('mail', '{}', :t0::timestamptz + interval '2 h', :t0) RETURNING id AS later \gset
SELECT pg_temp.try(:later, 130, 'http:200');
SELECT pg_temp.count_at(702);
SELECT is(pg_temp.counts('mail'), '2026-04-01 syncs 1, delivered 1', 'the day it was due; pings don''t count');
SELECT pg_temp.enqueue('mail') AS gone \gset
SELECT pg_temp.count_at(703);
DELETE FROM integration.queue; DELETE FROM integration.outbox WHERE id = :gone;
SELECT pg_temp.count_at(704);
SELECT is((SELECT count(*) FROM integration_worker.uncounted), 0::bigint, 'what is gone is forgotten');

-- The report
DELETE FROM integration.sync_count;
INSERT INTO integration.sync_count (day, endpoint, customer, connector, in_time, missed, missed_by_customer, missed_by_vendor, impact_missed) VALUES
    ('2026-02-03', 'shop', 'acme', 'erp', 80, 20, 5, 9, 12.5), ('2026-02-28', 'shop', '', 'erp', 97, 3, 0, 0, NULL), ('2026-02-28', 'till', 'acme', 'pos', 6, 4, 0, 0, NULL),
    ('2026-03-01', 'shop', 'acme', 'erp', 10, 0, 0, 0, NULL), ('2026-03-01', 'mail', 'acme', 'crm', 0, 0, 0, 0, NULL);
SELECT results_eq($$SELECT r.scope, r.month, r.connector, r.customer, r.promised, r.in_time, r.missed, r.missed_by_customer, r.missed_by_vendor, r.missed_by_us
                      FROM integration.sla_report r WHERE r.month = '2026-02-01' ORDER BY r.scope, r.connector, r.customer$$,
    $$VALUES ('all', date '2026-02-01', NULL, NULL, 210::numeric, 183::numeric, 27::numeric, 5::numeric, 9::numeric, 13::numeric),
             ('connector', '2026-02-01', 'erp', NULL, 200, 177, 23, 5, 9, 9),
             ('connector', '2026-02-01', 'pos', NULL, 10, 6, 4, 0, 0, 4),
             ('connector and customer', '2026-02-01', 'erp', 'acme', 100, 80, 20, 5, 9, 6),
             ('connector and customer', '2026-02-01', 'erp', NULL, 100, 97, 3, 0, 0, 3),
             ('connector and customer', '2026-02-01', 'pos', 'acme', 10, 6, 4, 0, 0, 4),
             ('customer', '2026-02-01', NULL, 'acme', 110, 86, 24, 5, 9, 10),
             ('customer', '2026-02-01', NULL, NULL, 100, 97, 3, 0, 0, 3)$$, 'by whose fault, in each scope');
SELECT is((SELECT count(*) FROM integration.sla_report r WHERE r.month = '2026-03-01'), 4::bigint, 'months by themselves; where nothing was promised there is nothing to report');
SELECT is((SELECT ROW (r.in_time_share, r.objective, r.budget, r.budget_left, r.budget_used, r.burn_rate, r.owner, r.impact_missed)::text
             FROM integration.sla_report r WHERE r.scope = 'connector' AND r.connector = 'erp' AND r.month = '2026-02-01'),
          '(0.88500,0.90000,20.00,2.00,0.900,,"erp team",12.5)', 'of 20 that may be missed 18 are ours or theirs');
SELECT is((SELECT ROW (r.objective, r.budget, r.tier, r.owner)::text FROM integration.sla_report r WHERE r.scope = 'customer' AND r.customer = 'acme' AND r.month = '2026-02-01'),
          '(0.86364,15.00,gold,"key accounts")', 'of several connectors: each by its own objective');
INSERT INTO integration.sync_count (day, endpoint, customer, connector, in_time, missed, missed_by_customer)
SELECT (statement_timestamp() AT TIME ZONE 'UTC')::date - d, 'shop', 'acme', 'erp', 70, 30, 10 FROM generate_series(0, 2) AS d;
SELECT is((SELECT max(r.burn_rate) FROM integration.sla_report r WHERE r.scope = 'connector' AND r.connector = 'erp'), 2.000, 'twice as fast as the objective allows');
INSERT INTO integration.owner_rule (connector, owner) VALUES ('erp', 'ruled');
SELECT is((SELECT DISTINCT r.owner FROM integration.sla_report r WHERE r.connector = 'erp'), 'ruled', 'owner rules hold here too');
SELECT integration_worker.forget_counts('2028-03-15');
SELECT is((SELECT min(c.day) FROM integration.sync_count c), '2026-02-28'::date, 'kept for 25 months');

-- No id is passed over: what a running transaction may still add is waited for (test/specs/late_commit.spec).
CREATE FUNCTION pg_temp.noted(at timestamptz) RETURNS text
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM integration_worker.note_ids(noted.at);
    RETURN (SELECT concat_ws(' ', p.countable_to, p.waiting_id, p.noted_id = integration_worker.last_id(), p.noted_at = noted.at,
                             p.horizon = pg_snapshot_xmax(pg_current_snapshot()))
              FROM integration_worker.count_progress p);
END
$$;
UPDATE integration_worker.count_progress SET counted_to = 5, countable_to = 5, waiting_id = 6, noted_id = 7, noted_at = now() - interval '1 h', horizon = NULL;
SELECT is(pg_temp.noted(now()), '5 7 t t t', 'the first look notes how far the ids are');
SELECT is(pg_temp.noted(now() + interval '0.9 s'), '5 7 t f t', 'the next one comes a second later at the earliest');
-- As if all of then had ended: this transaction goes on, and younger ones may have come and gone.
UPDATE integration_worker.count_progress SET noted_id = 8, horizon = pg_snapshot_xmin(pg_current_snapshot());
SELECT is(pg_temp.noted(now() + interval '1 s'), '7 8 t t t', 'none of then runs any more: countable is what was noted a look before');
UPDATE integration_worker.count_progress SET horizon = '9223372036854775807', waiting_id = 99;
SELECT is(pg_temp.noted(now() + interval '2 s') ~ '^7 ', true, 'a horizon from another cluster is worth nothing');
SELECT ok((SELECT p.horizon <= pg_snapshot_xmax(pg_current_snapshot()) FROM integration_worker.count_progress p), 'and replaced');

SELECT is(integration_worker.count_more(5, now()), false, 'nothing is countable: nothing to do');
SELECT is((SELECT p.counted_to FROM integration_worker.count_progress p), 5::bigint, 'no further than that');
SELECT integration_worker.count_more(3, now());
SELECT is((SELECT p.counted_to FROM integration_worker.count_progress p), 5::bigint, 'and never back');
UPDATE integration_worker.count_progress SET countable_to = 5;
SELECT is(integration_worker.count_on(now() + interval '2 s'), false, 'all is counted');
UPDATE integration.installation SET fingerprint = NULL;
SELECT pg_temp.enqueue();
UPDATE integration_worker.count_progress SET countable_to = integration_worker.last_id();
SELECT integration_worker.count_on(now());
SELECT is((SELECT p.counted_to FROM integration_worker.count_progress p), 5::bigint, 'a copy of the database counts nothing');
DELETE FROM integration.queue;
SELECT is((SELECT count(*) FROM integration_worker.uncounted u JOIN integration.queue q USING (outbox_id)), 0::bigint, 'all clocks have stopped');
UPDATE integration_worker.count_progress SET horizon = pg_snapshot_xmin(pg_current_snapshot());
SELECT is(pg_temp.noted(now() - interval '1 h') ~ ' t t t$', true, 'a clock that was set back is not waited for');

SELECT * FROM finish();
ROLLBACK;
