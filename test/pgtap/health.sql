-- One row for monitors, heartbeats for those outside, the record of a worker that hung.
BEGIN;
\ir ../lib/settle.sql
\ir ../lib/refusal.sql
SELECT plan(52);
SET LOCAL TimeZone = 'UTC';

INSERT INTO integration.connector (name, severity) VALUES ('worst', 1), ('bad', 2), ('minor', 4);
INSERT INTO integration.endpoint (name, url, connector) SELECT c.name, 'https://api.example.com/', c.name FROM integration.connector c;
INSERT INTO integration.endpoint (name, url) VALUES ('outside', 'https://api.example.com/');

-- In order, but for what is written over it.
CREATE FUNCTION pg_temp.facts(changes jsonb DEFAULT '{}') RETURNS integration_worker.health_facts
    LANGUAGE sql
AS $$
    SELECT jsonb_populate_record(
               ROW ('2026-01-05 12:00+00', 2, 2, 'waiting for syncs', '2026-01-05 11:59:50+00', NULL, NULL, 0, '{0,0,0,0}', '{0,0,0,0}',
                    '{}', false, false)::integration_worker.health_facts, changes)
$$;
CREATE FUNCTION pg_temp.findings(changes jsonb DEFAULT '{}') RETURNS text[]
    LANGUAGE sql
AS $$
    SELECT ARRAY(SELECT f.code || ' ' || f.sentence FROM integration_worker.health_findings(pg_temp.facts(changes)) f)
$$;

SELECT is(pg_temp.findings(), '{}', 'in order');
SELECT is(pg_temp.findings('{"workers": 0, "sending": 0}'), '{"2 No worker runs, so nothing is sent: see the server''s log, and shared_preload_libraries in postgresql.conf."}', 'no worker');
SELECT is(pg_temp.findings('{"sending": 0, "activity": "waits for ALTER EXTENSION integration UPDATE"}'), '{"2 Nothing is sent: waits for ALTER EXTENSION integration UPDATE."}', 'none that sends');
SELECT is(pg_temp.findings('{"sending": 0, "is_copy": true, "is_paused": true}'), '{"1 The database is a copy, so nothing is sent: SELECT integration.adopt() has it take over."}', 'a copy: no more than that');
SELECT is(pg_temp.findings('{"last_turn_at": "2026-01-05 11:59:00+00"}'), '{}', 'a minute ago is soon enough');
SELECT is(pg_temp.findings('{"last_turn_at": "2026-01-05 11:58:59+00"}'),
          '{"2 A worker has not come round since 2026-01-05 11:58:59 UTC: the server''s log says what to do."}', 'one that hangs');
SELECT is(pg_temp.findings('{"silent_since": "2026-01-05 11:50:00+00"}'),
          '{"2 A worker has not come round since 2026-01-05 11:50:00 UTC: the server''s log says what to do."}', 'one of several, as the launcher says');
SELECT is(pg_temp.findings('{"severities": [2,0,0,0], "unattended": [1,0,0,0]}'),
          '{"2 Incidents of severity 1 that nobody looks after: 1; see integration.incident_status.","1 Open incidents: 1; see integration.incident_status."}', 'the worst incidents');
SELECT is(pg_temp.findings('{"severities": [0,1,2,4], "unattended": [0,1,2,4]}'), '{"1 Open incidents: 3; see integration.incident_status."}', 'others, not the least');
SELECT is(pg_temp.findings('{"is_paused": true}'), '{"1 Everything is paused: SELECT * FROM integration.pause says why."}', 'everything paused');
SELECT is(pg_temp.findings('{"oldest_due_at": "2026-01-05 11:45:00+00"}'), '{}', 'a quarter of an hour is soon enough');
SELECT is(pg_temp.findings('{"oldest_due_at": "2026-01-05 11:44:59+00"}'),
          '{"1 A sync is due since 2026-01-05 11:44:59 UTC although its endpoint works: see integration.endpoint_status."}', 'one that is not sent');
SELECT is(pg_temp.findings('{"watchdogs": ["escalate", "watch_growth"]}'), '{"1 Can''t be looked for: escalate, watch_growth; the server''s log says why."}', 'watchdogs that fail');
SET LOCAL integration.locale = 'de';
INSERT INTO integration.phrase (locale, key, words) VALUES ('de', 'health_no_worker', 'Kein Worker läuft.');
SELECT is(pg_temp.findings('{"workers": 0, "sending": 0}'), '{"2 Kein Worker läuft."}', 'in another language');
RESET integration.locale;

-- The facts
CREATE FUNCTION pg_temp.fact(name text, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE sql AS $$ SELECT to_jsonb(integration_worker.health_facts(fact.at)) ->> fact.name $$;
SELECT is(ARRAY[pg_temp.fact('failed'), pg_temp.fact('severities'), pg_temp.fact('unattended'), pg_temp.fact('watchdogs'), pg_temp.fact('is_paused'),
                coalesce(pg_temp.fact('oldest_due_at'), 'none')], '{0,"[0, 0, 0, 0]","[0, 0, 0, 0]",[],false,none}', 'nothing is wrong');
SELECT pg_temp.bring(pg_temp.enqueue(e.name), 'http:422') FROM integration.endpoint e WHERE e.connector IS NOT NULL;
SELECT is(pg_temp.fact('failed'), '3', 'failed syncs');
SELECT is(pg_temp.fact('severities'), '[1, 1, 0, 1]', 'incidents by severity');
SELECT integration.acknowledge(i.id) FROM integration.incident i WHERE i.severity = 1;
SELECT is(pg_temp.fact('unattended'), '[0, 1, 0, 1]', 'one that somebody looks after');
SELECT is(pg_temp.fact('severities'), '[1, 1, 0, 1]', 'is there still');
SELECT integration.snooze(i.id, now() + interval '1 d') FROM integration.incident i WHERE i.severity = 1;
SELECT is(pg_temp.fact('severities'), '[0, 1, 0, 1]', 'one that is put off is not');
SELECT is(pg_temp.fact('severities', now() + interval '1 d'), '[1, 1, 0, 1]', 'until its time is over');
SELECT is(pg_temp.fact('unattended', now() + interval '1 d'), '[1, 1, 0, 1]', 'then somebody has to look after it again');
SELECT is(ARRAY(SELECT m.open FROM integration.incident_metrics() m), '{0,1,0,1}', 'Prometheus is told the same');
SELECT pg_temp.enqueue('outside'), pg_temp.enqueue('minor');
SELECT is(pg_temp.fact('oldest_due_at', now() + interval '1 min')::timestamptz, now(), 'the oldest due');
SELECT is(pg_temp.fact('oldest_due_at', now() - interval '1 min'), NULL, 'by then');
SELECT integration.pause('all', NULL, 'maintenance', now() + interval '1 d');
SELECT is(pg_temp.fact('oldest_due_at', now() + interval '1 min'), NULL, 'what is paused is not late');
SELECT is(pg_temp.fact('is_paused'), 'true', 'everything');
INSERT INTO integration_worker.failing_watchdog (name, since, error) VALUES ('escalate', now(), 'e');
SELECT is(pg_temp.fact('watchdogs'), '["escalate"]', 'a watchdog that fails');
SELECT is((SELECT count(*) FROM integration.health()), 1::bigint, 'one row');
SELECT is((SELECT ROW (h.failed, h.severity_1, h.severity_2, h.severity_3, h.severity_4)::text FROM integration.health() h), '(3,0,1,0,1)', 'with the figures');
SELECT is((SELECT (h.status, h.code) IN (('warning', 1), ('critical', 2)) FROM integration.health() h), true, 'with a status, and the same as a number');
SELECT matches((SELECT h.why FROM integration.health() h), 'Open incidents: 1; see integration.incident_status\. Everything is paused: .* Can''t be looked for: escalate', 'in words');

-- Heartbeats
SELECT is(integration_worker.beat(now()), NULL, 'nobody listens');
INSERT INTO integration.heartbeat (endpoint) VALUES ('outside');
SELECT is(integration_worker.beat(now()), now() + interval '1 min', 'the next one in a minute');
SELECT is((SELECT ROW (o.operation, o.priority, o.object_type, o.expires_at = now() + interval '1 min')::text FROM integration.outbox o WHERE o.operation = 'heartbeat'),
          '(heartbeat,high,,t)', 'a sync like any other, of no use later');
SELECT is((SELECT array_agg(k ORDER BY k) FROM integration.outbox o CROSS JOIN jsonb_object_keys(o.payload) k WHERE o.operation = 'heartbeat'),
          '{at,database,installation,status,why}', 'what stands in it');
SELECT is(integration_worker.beat(now() + interval '59 s'), now() + interval '1 min', 'not before it is time');
SELECT is(integration_worker.beat(now() + interval '5 min'), now() + interval '6 min', 'late ones are not made up for');
SELECT is((SELECT count(*) FROM integration.outbox o WHERE o.operation = 'heartbeat'), 2::bigint, 'one each time');
UPDATE integration.heartbeat SET last_at = now() + interval '1 d';
SELECT is(integration_worker.beat(now()), now() + interval '1 min', 'a clock that is set back does not stop it');
INSERT INTO integration.endpoint (name, url, payload_check) VALUES ('choosy', 'https://api.example.com/', '$.at == 1');
INSERT INTO integration.heartbeat (endpoint) VALUES ('choosy');
SET LOCAL client_min_messages = error;
SELECT is(integration_worker.beat(now() + interval '1 min'), now() + interval '2 min', 'one that its endpoint refuses');
RESET client_min_messages;
SELECT is((SELECT string_agg(o.endpoint, ',') FROM integration.outbox o WHERE o.operation = 'heartbeat' AND o.expires_at = now() + interval '2 min'),
          'outside', 'holds up no other');
SELECT matches(pg_temp.refusal($$UPDATE integration.heartbeat SET every = '1 s'$$),
               '^23514 every of heartbeat ".*" cannot be used \| It is 00:00:01\. \| Write 10 s to 1 day', 'not all the time');

-- A worker that hung
SELECT integration_worker.note_silence('2026-01-05 12:00+00', NULL);
SELECT is((SELECT ROW (i.state, i.severity, i.opened_at, i.note)::text FROM integration.incident i WHERE i.error_class = 'worker_silent'),
          '(open,1,"2026-01-05 12:00:00+00","A worker has not come round since 2026-01-05 12:00:00 UTC: nothing of its endpoints is sent.")', 'another worker says so at once');
SELECT integration_worker.note_silence('2026-01-05 12:00+00', NULL);
SELECT is((SELECT count(*) FROM integration.incident i WHERE i.error_class = 'worker_silent'), 1::bigint, 'once');
SELECT integration_worker.note_silence('2026-01-05 12:00+00', '2026-01-05 12:10+00');
SELECT is((SELECT ROW (i.state, i.resolved_at, i.note)::text FROM integration.incident i WHERE i.error_class = 'worker_silent'),
          '(resolved,"2026-01-05 12:10:00+00","A worker did not come round from 2026-01-05 12:00:00 UTC to 2026-01-05 12:10:00 UTC: nothing of its endpoints was sent meanwhile.")', 'when it is over');
DELETE FROM integration_worker.incident_change;
SELECT integration_worker.note_silence('2026-02-05 12:00+00', '2026-02-05 12:10+00');
SELECT is((SELECT array_agg(c.change ORDER BY c.id) FROM integration_worker.incident_change c), '{opened,resolved}', 'the only one says so afterwards');

-- Whoever monitors needs nothing else
CREATE ROLE integration_monitor;
GRANT USAGE ON SCHEMA integration TO integration_monitor;
GRANT EXECUTE ON FUNCTION integration.health() TO integration_monitor;
SELECT is(pg_temp.refusal('SELECT * FROM integration.health()', 'integration_monitor'), 'accepted', 'a role with this right alone');
SELECT is(pg_temp.refusal('SELECT * FROM integration.incident_status', 'integration_monitor') ~ '^42501', true, 'sees nothing else');
SELECT is((SELECT k.is_watched FROM integration.error_class k WHERE k.name = 'worker_silent'), true, 'no delivery ends it');
SELECT is(integration_worker.silent_since(), NULL, 'the worker of this database turns');
SELECT is(cardinality(integration_worker.watchdogs()), (SELECT count(*)::integer FROM pg_proc p
            WHERE p.pronamespace = 'integration_worker'::regnamespace AND p.proname = ANY (integration_worker.watchdogs())
              AND p.proargtypes[0] = 'timestamptz'::regtype AND p.pronargs - p.pronargdefaults = 1 AND p.prorettype = 'timestamptz'::regtype), 'every watchdog is there');

SELECT * FROM finish();
ROLLBACK;
