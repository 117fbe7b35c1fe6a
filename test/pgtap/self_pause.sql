-- Endpoints that pause themselves: closed for good at once, without one success for five days after two warnings.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(20);

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
SELECT results_eq($$SELECT actor = 'integration', verb, reason LIKE '%closed for good%', details ->> 'error_class' FROM integration.action WHERE endpoint = 'gone'$$,
    $$VALUES (true, 'pause', true, 'gone')$$, 'it is on record');
SELECT is((SELECT string_agg(i.error_class || ' ' || i.state, ', ') FROM integration.incident i WHERE i.endpoint = 'gone'), 'gone open',
          'an incident is open');
SELECT bag_has($$SELECT r.statement FROM integration.incident i, integration.runbook(i.id) r WHERE i.endpoint = 'gone'$$,
    $$VALUES ('UPDATE integration.endpoint SET url = ''https://…'' WHERE name = ''gone'';'),
             ('SELECT integration.resume(''endpoint'', ''gone'', ''why'');')$$, 'whose steps say what ends it');
SELECT is_empty($$SELECT FROM integration.incident i, integration.runbook(i.id) r WHERE i.endpoint = 'gone' AND r.statement LIKE '%ping%'$$,
    'not to ping what is paused');
SELECT pg_temp.bring(pg_temp.enqueue('gone'), 'http:410', now() + interval '2 min') AS again \gset
SELECT is((SELECT count(*) FROM integration.action WHERE endpoint = 'gone'), 1::bigint, 'one that was under way pauses nothing anew');

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
SELECT is(ROW (pg_temp.pause_of('changed'), (pg_temp.health('changed')).open_until <= now())::text, '(,t)',
          'a new url ends it, and has the endpoint probed at once');
SELECT results_eq($$SELECT verb, actor, details ->> 'paused_by' FROM integration.action WHERE endpoint = 'changed' ORDER BY id DESC LIMIT 1$$,
    $$VALUES ('resume', session_user, 'integration')$$, 'it is on record who did that');
SELECT is(pg_temp.pause_of('other'), 'integration gone', 'others stay paused');
UPDATE integration.connector SET owner = 'somebody' WHERE name = 'crm';
SELECT is(ROW (pg_temp.pause_of('gone'), pg_temp.pause_of('other'), (SELECT reason FROM integration.pause WHERE name = 'held'))::text,
          '(,"integration gone","we move")', 'a change of the connector ends those of its endpoints, never somebody''s own');
SELECT is((SELECT pauses FROM integration.error_reason WHERE reason = 'http:404'), false, 'other reasons pause nothing');

SELECT * FROM finish();
ROLLBACK;
