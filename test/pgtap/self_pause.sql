-- Endpoints that pause themselves: closed for good at once, without one success for five days after two warnings.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(47);

INSERT INTO integration.connector (name, owner) VALUES ('crm', 'sales-it'), ('erp', 'finance-it');
INSERT INTO integration.endpoint (name, url, connector)
SELECT n, CASE n WHEN 'object' THEN 'https://api.example.com/orders/{object_id}' ELSE 'https://api.example.com/' || n END,
       CASE n WHEN 'other' THEN 'erp' ELSE 'crm' END
  FROM unnest('{gone,object,ruled,held,over,changed,other}'::text[]) n;

CREATE FUNCTION pg_temp.pause_of(endpoint text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', p.actor, p.error_class, p.until) FROM integration.pause p
     WHERE p.scope = 'endpoint' AND p.name = pause_of.endpoint
$$;

-- 410
SELECT is(pg_temp.bring(pg_temp.enqueue('gone'), 'http:410', now() + interval '1 min'), 'retrying', 'a sync that is told 410 waits');
SELECT is((pg_temp.health('gone')).state, 'stopped', 'its endpoint is stopped');
SELECT is(pg_temp.pause_of('gone'), 'integration gone', 'and has paused itself');
SELECT results_eq($$SELECT since, reason FROM integration.pause WHERE name = 'gone'$$,
    $$VALUES (now() + interval '1 min', 'The other side says that this address is closed for good (http:410).')$$, 'the pause says why');
SELECT results_eq($$SELECT actor = 'integration', verb, reason LIKE '%closed for good%', details ->> 'error_class' FROM integration.action WHERE endpoint = 'gone' AND verb = 'pause'$$,
    $$VALUES (true, 'pause', true, 'gone')$$, 'it is on record');
SELECT is((SELECT string_agg(i.error_class || ' ' || i.state, ', ') FROM integration.incident i WHERE i.endpoint = 'gone'), 'gone open',
          'an incident is open');
SELECT bag_has($$SELECT r.statement FROM integration.incident i, integration.runbook(i.id) r WHERE i.endpoint = 'gone'$$,
    $$VALUES ('UPDATE integration.endpoint SET url = ''https://…'' WHERE name = ''gone'';'),
             ('SELECT integration.resume(''endpoint'', ''gone'', ''why'');')$$, 'whose steps say what ends it');
SELECT is_empty($$SELECT FROM integration.incident i, integration.runbook(i.id) r WHERE i.endpoint = 'gone' AND r.statement LIKE '%ping%'$$,
    'not to ping what is paused');
SELECT pg_temp.bring(pg_temp.enqueue('gone'), 'http:410', now() + interval '2 min') AS again \gset
SELECT is((SELECT count(*) FROM integration.action WHERE endpoint = 'gone' AND verb = 'pause'), 1::bigint, 'one that was under way pauses nothing anew');

SELECT is((SELECT string_agg(pg_temp.bring(pg_temp.enqueue('object', 'A'), 'http:410'), '') || coalesce(pg_temp.pause_of('object'), ' -')), 'retrying -',
          '410 for an address made of the object''s id is no end of the endpoint');
INSERT INTO integration.error_rule (position, endpoint, status_from, error_class) VALUES (1, 'ruled', 410, 'delivered');
SELECT is(pg_temp.bring(pg_temp.enqueue('ruled'), 'http:410') || coalesce(pg_temp.pause_of('ruled'), ' -'), 'delivered -',
          'nor where a rule says that 410 is no failure');
SELECT integration.pause('endpoint', 'held', 'we move', now() + interval '1 h');
SELECT pg_temp.bring(pg_temp.enqueue('held'), 'http:410') AS late \gset
SELECT matches((SELECT reason FROM integration.pause WHERE name = 'held'), '^we move$', 'somebody''s own pause stays as it is');
INSERT INTO integration.pause (scope, name, reason, until) VALUES ('endpoint', 'over', 'last week', now() - interval '1 h');
SELECT pg_temp.bring(pg_temp.enqueue('over'), 'http:410') AS late \gset
SELECT is(pg_temp.pause_of('over'), 'integration gone', 'one that is over gives way');

-- What ends it
SELECT is(integration.resume('endpoint', 'over', 'it was a slip of theirs'), true, 'somebody resumes it');
SELECT is((SELECT ROW (h.state, pg_temp.pause_of('over'))::text FROM pg_temp.health('over') h), '(closed,)', 'which ends pause and stop');
SELECT pg_temp.bring(pg_temp.enqueue('changed'), 'http:410'), pg_temp.bring(pg_temp.enqueue('other'), 'http:410') \gset late_
UPDATE integration.endpoint SET url = 'https://new.example.com/' WHERE name = 'changed';
SELECT is(ROW (pg_temp.pause_of('changed'), (pg_temp.health('changed')).open_until <= clock_timestamp())::text, '(,t)',
          'a new url ends it, and has the endpoint probed at once');
SELECT pg_temp.bring(pg_temp.enqueue('changed'), 'http:410', now() + interval '1 s', started => now() - interval '1 s') AS late \gset
SELECT is(ROW (pg_temp.pause_of('changed'), (pg_temp.health('changed')).open_until <= clock_timestamp())::text, '(,t)',
          'an answer of the old one pauses nothing anew');
SELECT results_eq($$SELECT verb, actor, details ->> 'paused_by' FROM integration.action WHERE endpoint = 'changed' AND verb = 'resume'$$,
    $$VALUES ('resume', session_user, 'integration')$$, 'it is on record who did that');
SELECT is(pg_temp.pause_of('other'), 'integration gone', 'others stay paused');
UPDATE integration.connector SET owner = 'somebody' WHERE name = 'crm';
SELECT is(ROW (pg_temp.pause_of('gone'), pg_temp.pause_of('other'), (SELECT reason FROM integration.pause WHERE name = 'held'))::text,
          '(,"integration gone","we move")', 'a change of the connector ends those of its endpoints, never somebody''s own');
SELECT is((SELECT pauses FROM integration.error_reason WHERE reason = 'http:404'), false, 'other reasons pause nothing');

-- Five days
INSERT INTO integration.endpoint (name, url, connector, customer)
SELECT n, 'https://api.example.com/', 'crm', 'customer of ' || n FROM unnest('{long,quiet,weekly,well,stayed,byhand,again}'::text[]) n;
CREATE TEMP TABLE start AS SELECT now() + interval '30 days' AS at;
CREATE FUNCTION pg_temp.after(wait interval) RETURNS timestamptz LANGUAGE sql AS $$ SELECT at + wait FROM start $$;
CREATE FUNCTION pg_temp.fail(endpoint text, wait interval, reason text DEFAULT 'http:503') RETURNS text
    LANGUAGE sql
AS $$
    SELECT pg_temp.bring(pg_temp.enqueue(fail.endpoint), fail.reason, pg_temp.after(fail.wait))
$$;
-- The incident, what was told of it, the pause.
CREATE FUNCTION pg_temp.life(endpoint text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', (SELECT string_agg(i.state, ',' ORDER BY i.id) FROM integration.incident i
                            WHERE i.endpoint = life.endpoint AND i.error_class = 'long_failure'),
                     (SELECT string_agg(c.change, ',' ORDER BY c.id) FROM integration_worker.incident_change c
                        JOIN integration.incident i ON i.id = c.incident
                       WHERE i.endpoint = life.endpoint AND i.error_class = 'long_failure'),
                     pg_temp.pause_of(life.endpoint))
$$;
CREATE FUNCTION pg_temp.look(wait interval) RETURNS void LANGUAGE sql AS $$ SELECT integration_worker.watch_long_failure(pg_temp.after(wait)) $$;

SELECT is(pg_temp.fail('long', '0') || pg_temp.fail('quiet', '0') || pg_temp.fail('well', '0'), 'retryingretryingretrying', 'three endpoints fail');
SELECT is((pg_temp.health('long')).failing_since, pg_temp.after('0'), 'since when is remembered');
SELECT is(pg_temp.fail('long', '23 h') || (pg_temp.health('long')).failing_since - pg_temp.after('0'), 'retrying00:00:00', 'and stays');
SELECT is(pg_temp.fail('well', '23 h', 'http:200') || coalesce((pg_temp.health('well')).failing_since::text, ' -'), 'delivered -', 'until a delivery');
SELECT pg_temp.look('23 h') \g /dev/null
SELECT is(pg_temp.life('long'), '', 'after 23 hours nobody is told');
SELECT pg_temp.fail('long', '24 h'), pg_temp.look('24 h'), pg_temp.look('25 h') \g /dev/null
SELECT is(pg_temp.life('long'), 'open opened', 'after a day an incident is open, once');
SELECT is((SELECT ROW (i.responsible, i.owner, i.note LIKE 'It has failed since % without one success, last with http:503. If that goes on, it pauses itself at %.')::text
             FROM integration.incident i WHERE i.endpoint = 'long' AND i.error_class = 'long_failure'), '(support,somebody,t)', 'that says since when, and what comes');
SELECT is(pg_temp.life('quiet') || pg_temp.life('well'), '', 'none where nothing is tried any more, none where something arrives');
SELECT pg_temp.fail('long', '2 days'), pg_temp.look('2 days') \g /dev/null
SELECT is(pg_temp.life('long'), 'open opened', 'after two days nobody is told anew');
SELECT pg_temp.fail('long', '3 days'), pg_temp.look('3 days'), pg_temp.look('3 days 1 h') \g /dev/null
SELECT is(pg_temp.life('long'), 'open opened,updated', 'after three days people are told once more');
SELECT pg_temp.fail('long', '119 h'), pg_temp.look('119 h') \g /dev/null
SELECT is(pg_temp.life('long'), 'open opened,updated', 'an hour before its time it goes on');
SELECT pg_temp.fail('long', '5 days'), pg_temp.look('5 days') \g /dev/null
SELECT is(pg_temp.life('long'), 'open opened,updated,updated integration long_failure', 'after five days it has paused itself');
SELECT is((SELECT ROW (p.reason, i.note LIKE '%and has paused itself.')::text FROM integration.pause p
             JOIN integration.incident i ON i.endpoint = p.name AND i.error_class = p.error_class WHERE p.name = 'long'),
          '("It has failed for five days without one success, last with http:503.",t)', 'pause and incident say so');
SELECT matches((SELECT concat_ws(E'\n', t.title, t.body) FROM integration.incident i, integration_worker.notice_text_of('updated', integration_worker.notice_words(i), 'en') t
                 WHERE i.endpoint = 'long' AND i.error_class = 'long_failure'),
               '^News of: Has failed for days at endpoint "long" \(incident \d+\)\nIt has failed since .* and has paused itself\.\nRemedy: ', 'so does a notice');
SELECT is((SELECT count(*) FROM integration.action WHERE endpoint = 'long' AND verb = 'pause' AND actor = 'integration'), 1::bigint, 'it is on record');
SELECT pg_temp.look('5 days 1 min') \g /dev/null
SELECT is(integration.resume('endpoint', 'long', 'they are back'), true, 'somebody resumes it');
SELECT pg_temp.fail('long', '5 days 1 h'), pg_temp.look('5 days 2 h') \g /dev/null
SELECT is(pg_temp.life('long'), 'open opened,updated,updated', 'it has another five days');
SELECT is(pg_temp.fail('long', '5 days 3 h', 'http:200'), 'delivered', 'it delivers');
SELECT pg_temp.look('5 days 3 h 1 min') \g /dev/null
SELECT is(pg_temp.life('long'), 'resolved opened,updated,updated,resolved', 'so the incident is over');

-- Refusals are failures, too; a pause by somebody is no time of failing
SELECT pg_temp.fail('stayed', n * interval '12 h', 'http:422'), pg_temp.look(n * interval '12 h') FROM generate_series(0, 10) n \g /dev/null
SELECT is(pg_temp.life('stayed'), 'open opened,updated,updated integration long_failure', 'five days of nothing but refusals');
SELECT pg_temp.fail('byhand', '0') \g /dev/null
SELECT integration.pause('customer', 'customer of byhand', 'they move');
SELECT pg_temp.look('4 days'), integration.resume('customer', 'customer of byhand'), pg_temp.fail('byhand', '5 days'), pg_temp.look('5 days') \gset x_
SELECT is(pg_temp.life('byhand'), '', 'what somebody paused for days begins anew');

-- Who has resolved it hears of it again with the next day that counts
SELECT pg_temp.fail('again', n * interval '12 h'), pg_temp.look(n * interval '12 h') FROM generate_series(0, 2) n \g /dev/null
SELECT integration.resolve(i.id, 'we know') FROM integration.incident i WHERE i.endpoint = 'again' AND i.error_class = 'long_failure' \g /dev/null
SELECT pg_temp.fail('again', '36 h'), pg_temp.look('36 h') \g /dev/null
SELECT is(pg_temp.life('again'), 'resolved opened,resolved', 'an incident that somebody has ended stays so');
SELECT pg_temp.fail('again', n * interval '12 h'), pg_temp.look(n * interval '12 h') FROM generate_series(4, 6) n \g /dev/null
SELECT matches(pg_temp.life('again'), '^(resolved,open opened,resolved,opened|open opened,resolved,reopened)$', 'until the next warning is due');
-- What is called once a week is warned, too
SELECT pg_temp.fail('weekly', '0'), pg_temp.fail('weekly', '7 days'), pg_temp.look('7 days') \g /dev/null
SELECT is(pg_temp.life('weekly'), 'open opened', 'a second failure a week later is a warning first');
SELECT pg_temp.fail('weekly', '14 days'), pg_temp.look('14 days') \g /dev/null
SELECT is(pg_temp.life('weekly'), 'open opened,updated integration long_failure', 'the third one pauses');
SELECT is(integration_worker.watch_long_failure(now()), NULL, 'it looks with the others');

SELECT * FROM finish();
ROLLBACK;
