-- What people did is on record, before and after: changes of tables too, secrets never.
BEGIN;
SELECT plan(14);

-- Each table that anybody may write
SELECT is_empty($$SELECT DISTINCT p.object
                    FROM integration_worker.privileges() p
                    JOIN pg_class c ON c.oid = to_regclass(p.object) AND c.relkind IN ('r', 'p')
                   WHERE p.privilege ~ 'INSERT|UPDATE|DELETE' AND p.object <> 'integration.outbox'
                     AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'record_change')$$,
                'every table that people may write is on record');

CREATE FUNCTION pg_temp.last() RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' | ', l.verb, l.subject, coalesce(l.before::text, '-'), coalesce(l.after::text, '-'))
      FROM integration.action_log l ORDER BY l.id DESC LIMIT 1
$$;
INSERT INTO integration.endpoint (name, url, headers) VALUES ('shop', 'https://shop.example.com/', '{"x": "1"}');
SELECT matches(pg_temp.last(), '^insert \| endpoint shop \| - \| \{"id": \d+, "url": "https://shop.example.com/", "name": "shop", "headers": \{"x": "1"\}, "allow_http": false\}$',
               'a row that was inserted: all that it holds');
UPDATE integration.endpoint SET rate_limit = 5, headers = NULL WHERE name = 'shop';
SELECT is(pg_temp.last(), 'update | endpoint shop | {"headers": {"x": "1"}, "rate_limit": null} | {"headers": null, "rate_limit": 5}',
          'one that was changed: what differs');
SELECT is((SELECT ROW (l.actor, l.endpoint)::text FROM integration.action_log l ORDER BY l.id DESC LIMIT 1),
          ROW (session_user, 'shop')::text, 'by whom, of which endpoint');
SELECT count(*) AS before FROM integration.action \gset
UPDATE integration.endpoint SET rate_limit = 5 WHERE name = 'shop';
SELECT is((SELECT count(*) FROM integration.action), :before::bigint, 'a change that changes nothing is none');

-- What is hidden
INSERT INTO integration.credential (name, kind, settings) VALUES ('key', 'header', '{"name": "X-Canary"}');
SELECT is(pg_temp.last(), 'insert | credential key | - | {"kind": "header", "name": "key", "settings": "***"}', 'settings, which support may not see');
INSERT INTO integration.secret (credential, version, sealed) VALUES ('key', 1, 'canary');
SELECT matches(pg_temp.last(), '^insert \| secret key, 1 \| - \| \{"sealed": "\*\*\*", "version": 1, "credential": "key", "not_before": "[^"]+"\}$', 'a secret');
DELETE FROM integration.credential;
INSERT INTO integration.notice_endpoint (endpoint, format, routing_key) VALUES ('shop', 'pagerduty', 'canary');
SELECT is_empty($$SELECT FROM integration.action a WHERE a::text ~* 'canary' OR a::text LIKE '%' || encode('canary', 'hex') || '%'$$, 'whatever is secret is nowhere');

-- What is no table
SELECT integration.pause('endpoint', 'shop', 'moving', '2099-01-01 00:00:00+00') \g /dev/null
SELECT matches(pg_temp.last(), '^pause \| endpoint shop \| - \| \{"state": "paused", "until": "2099-01-01', 'a pause');
SELECT integration.resume('endpoint', 'shop') \g /dev/null
SELECT is(pg_temp.last(), format('resume | endpoint shop | {"paused_by": "%s", "paused_because": "moving"} | {"state": "closed"}', session_user), 'its end');
INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}') RETURNING id AS sync \gset
SELECT integration.cancel(:sync, 'not wanted') \g /dev/null
SELECT is(pg_temp.last(), format('cancel | sync %s | {"state": "pending"} | {"state": "cancelled"}', :sync), 'a sync');
CREATE ROLE "action log";
SELECT integration.grant_operator('"action log"') \g /dev/null
SELECT is(pg_temp.last(), 'grant | role "action log" | - | {"levels": ["support", "operator"]}', 'a grant');
SELECT integration.revoke('"action log"') \g /dev/null
SELECT is(pg_temp.last(), 'revoke | role "action log" | - | -', 'its end');

-- A dump brings the record itself along
SET LOCAL row_security = off;
SELECT count(*) AS before FROM integration.action \gset
UPDATE integration.endpoint SET rate_limit = 6 WHERE name = 'shop';
SELECT is((SELECT count(*) FROM integration.action), :before::bigint, 'what is restored is nobody''s deed');

SELECT * FROM finish();
ROLLBACK;
