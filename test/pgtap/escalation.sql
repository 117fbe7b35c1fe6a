-- An incident that nobody looks after climbs: when, to whom, in which words.
BEGIN;
\ir ../lib/settle.sql
\ir ../lib/refusal.sql
SELECT plan(66);
SET LOCAL TimeZone = 'UTC';

INSERT INTO integration.connector (name, title, owner, severity) VALUES ('crm', 'CRM', 'sales-it', 2);
INSERT INTO integration.endpoint (name, url, connector, customer)
SELECT e.name, 'https://api.example.com/', e.connector, e.customer
  FROM (VALUES ('shop', 'crm', 'acme'), ('post', NULL, NULL), ('chat', NULL, NULL), ('acme_it', NULL, NULL), ('globex_it', NULL, NULL),
               ('desk', NULL, NULL), ('devs', NULL, NULL), ('boss', NULL, NULL)) AS e (name, connector, customer);
INSERT INTO integration.notice_endpoint (endpoint, audience, customer) VALUES
    ('chat', NULL, NULL), ('acme_it', 'customer', 'acme'), ('globex_it', 'customer', 'globex'),
    ('desk', 'support', NULL), ('devs', 'engineer', NULL), ('boss', NULL, NULL);
INSERT INTO integration.escalation_level (chain, level, audience, notice_endpoint, after) VALUES ('to_boss', 1, 'engineer', 'boss', '1 d');

-- Distributes and sends; who got what since the last time, as "endpoint operation".
CREATE FUNCTION pg_temp.told() RETURNS text[]
    LANGUAGE plpgsql
AS $$
DECLARE
    before bigint := (SELECT coalesce(max(o.id), 0) FROM integration.outbox o);
BEGIN
    PERFORM integration_worker.distribute_changes();
    PERFORM integration_worker.send_notices((SELECT coalesce(max(n.at), now()) + interval '1 h' FROM integration.notice n));
    RETURN ARRAY(SELECT o.endpoint || ' ' || o.operation FROM integration.outbox o WHERE o.id > before ORDER BY o.endpoint, o.id);
END
$$;
CREATE FUNCTION pg_temp.level_of(incident bigint) RETURNS integer
    LANGUAGE sql AS $$ SELECT i.level FROM integration.incident i WHERE i.id = incident $$;

SELECT is(ARRAY(SELECT l.audience FROM integration.escalation_level l WHERE l.chain = 'default' ORDER BY l.level), '{customer,support,engineer}',
          'the one nearest to the customer first');

-- It climbs
SELECT integration_worker.open_incident('shop', 'queue_growing', '2026-01-05 02:00+00', 'twice as many') AS shop \gset
SELECT is(pg_temp.told(), '{chat opened}', 'who belongs to no level is told of all, others wait');
SELECT is(integration_worker.escalate('2026-01-05 02:00+00'), '2026-01-05 02:05+00', 'when to look again');
SELECT is(pg_temp.level_of(:shop), 0, 'too early');
SELECT is(integration_worker.escalate('2026-01-05 02:05+00'), '2026-01-05 02:05:01+00', 'the first step, another one may be due');
SELECT is((SELECT ROW (i.level, i.escalated_at)::text FROM integration.incident i WHERE i.id = :shop), '(1,"2026-01-05 02:05:00+00")', 'the first level');
SELECT is((SELECT ROW (a.actor, a.verb, a.endpoint, a.reason, a.details, a.at)::text FROM integration.action a WHERE a.incident = :shop),
          '(integration,escalate,shop,"Nobody has looked after it for 5 min.","{""chain"": ""default"", ""level"": 1, ""audience"": ""customer""}","2026-01-05 02:05:00+00")',
          'on record');
SELECT is(pg_temp.told(), '{acme_it escalated,chat escalated}', 'its customer is told');
SELECT is(integration_worker.escalate('2026-01-05 02:06+00'), '2026-01-05 02:15+00', 'nothing is due');
SELECT is(pg_temp.told(), '{}', 'once');
SELECT integration_worker.escalate('2026-01-05 02:15+00');
SELECT is(pg_temp.told(), '{chat escalated,desk escalated}', 'support');
SELECT integration_worker.escalate('2026-01-05 03:00+00');
SELECT is(pg_temp.told(), '{chat escalated,devs escalated}', 'engineering');
SELECT is(integration_worker.escalate('2026-01-09 03:00+00'), NULL, 'that is the end of the chain');
SELECT is((SELECT array_agg(a.details ->> 'audience' ORDER BY a.id) FROM integration.action a WHERE a.incident = :shop AND a.verb = 'escalate'),
          '{customer,support,engineer}', 'every step is on record');
SELECT is((SELECT ROW (s.level, s.escalated_at)::text FROM integration.incident_status s WHERE s.id = :shop), '(3,"2026-01-05 03:00:00+00")', 'the list of work says so');

-- In words
SELECT is((SELECT o.payload ->> 'title' FROM integration.outbox o WHERE o.endpoint = 'devs'),
          format('Nobody looks after: More comes in than gets out at endpoint "shop" (incident %s), for %s; it is the turn of engineering', :shop,
                 (SELECT o.payload #>> '{changes,0,incident,duration}' FROM integration.outbox o WHERE o.endpoint = 'devs')), 'for the team');
SELECT matches((SELECT o.payload ->> 'body' FROM integration.outbox o WHERE o.endpoint = 'devs'), '^twice as many\nRemedy: .*acknowledge\(\d+\);\nWhat to do: ', 'what to do');
SELECT is((SELECT ROW (o.payload ->> 'title', o.payload ->> 'body')::text FROM integration.outbox o WHERE o.endpoint = 'acme_it'),
          format('("Disturbed since 2026-01-05 02:00:00 UTC: CRM","%s' || E'\n' || 'You need not do anything.' || E'\n' || 'If you ask us about it, please name number %s.")',
                 (SELECT k.customer_message FROM integration.error_class k WHERE k.name = 'queue_growing'), :shop), 'for the customer');
SELECT is((SELECT array_agg(k ORDER BY k) FROM integration.outbox o CROSS JOIN jsonb_object_keys(o.payload #> '{changes,0,incident}') k WHERE o.endpoint = 'acme_it'),
          '{advice,duration,incident,message,product,since}', 'nothing internal');
SELECT is(integration_worker.customer_notice_words((SELECT i FROM integration.incident i WHERE i.id = :shop), 'en') ->> 'product', 'CRM', 'the product by its title');
SELECT is(integration_worker.notice_payload(
              (SELECT n FROM integration.notice_endpoint n WHERE n.endpoint = 'boss'),
              ARRAY[ROW ('boss', 1, :shop, 'escalated', now())::integration_worker.notice_due]) #>> '{changes,0,incident,audience}', 'engineering', 'json: whose turn it is');

-- In the words of who reads it
SELECT is((SELECT o.payload #>> '{changes,0,incident,remedy}' FROM integration.outbox o WHERE o.endpoint = 'devs'),
          (SELECT r.words FROM integration.remedy r WHERE r.audience = 'engineer' AND r.error_class = 'queue_growing' AND r.locale = 'en'), 'engineers are told what to look at');
SELECT is((SELECT o.payload #>> '{changes,0,incident,remedy}' FROM integration.outbox o WHERE o.endpoint = 'desk'),
          (SELECT s.remedy FROM integration.incident_status s WHERE s.id = :shop), 'support is told in plain words');
INSERT INTO integration.phrase (locale, key, words) VALUES ('de', 'audience_customer', 'dem Kunden'), ('de', 'customer.cause.queue_growing', 'Es staut sich.');
INSERT INTO integration.notice_text (locale, change, title, body) VALUES ('de', 'escalated', '{title}, jetzt bei {audience}', ''), ('de', 'customer_escalated', 'Gestört: {product}', '{message}');
UPDATE integration.notice_endpoint SET locale = 'de';
UPDATE integration.incident SET level = 0 WHERE id = :shop;
SELECT integration_worker.escalate('2026-01-05 03:00+00');
SELECT pg_temp.told();
SELECT is(ARRAY(SELECT concat_ws(': ', o.payload ->> 'title', nullif(o.payload ->> 'body', ''))
                  FROM integration.outbox o WHERE o.endpoint IN ('acme_it', 'chat') ORDER BY o.id DESC LIMIT 2),
          '{"Gestört: CRM: Es staut sich.","More comes in than gets out, jetzt bei dem Kunden"}', 'in their language');
SELECT is(current_setting('integration.locale'), 'en', 'which is not the session''s');
UPDATE integration.notice_endpoint SET locale = 'en';
UPDATE integration.incident SET level = 3 WHERE id = :shop;

-- Somebody looks after it
SELECT integration.acknowledge(:shop);
SELECT is(pg_temp.told(), '{acme_it acknowledged,chat acknowledged,desk acknowledged,devs acknowledged}', 'who was told hears what becomes of it');
SELECT integration_worker.end_incident('shop', 'queue_growing', '2026-01-09 03:00+00');
SELECT is(pg_temp.told(), '{acme_it resolved,chat resolved,desk resolved,devs resolved}', 'and its end');
SELECT is((SELECT o.payload ->> 'title' FROM integration.outbox o WHERE o.endpoint = 'acme_it' ORDER BY o.id DESC LIMIT 1), 'It works again: CRM', 'in the customer''s words');
SELECT integration_worker.open_incident('shop', 'queue_growing', '2026-01-09 12:00+00');
SELECT is((SELECT ROW (i.level, i.escalated_at, i.open_since)::text FROM integration.incident i WHERE i.id = :shop), '(0,,"2026-01-09 12:00:00+00")', 'back again: from the beginning');
SELECT is(integration_worker.escalate('2026-01-09 12:01+00'), '2026-01-09 12:05+00', 'with its time');
SELECT is(pg_temp.told(), '{chat reopened}', 'the levels wait');
SELECT integration.acknowledge(:shop);
SELECT is(integration_worker.escalate('2026-01-10 12:00+00'), NULL, 'acknowledged: it stays');
SELECT integration.reopen(:shop);
SELECT ok((SELECT i.open_since > now() - interval '1 min' FROM integration.incident i WHERE i.id = :shop), 'reopened by hand: now');
SELECT is(integration.snooze(:shop, now() + interval '2 h'), 'snoozed', 'put off');
SELECT is(integration_worker.escalate(now() + interval '1 h'), NULL, 'until then nobody is bothered');
SELECT is(integration_worker.escalate(now() + interval '2 h'), now() + interval '2 h 5 min', 'then it is open, its time begins');
SELECT is((SELECT ROW (i.state, i.snoozed_until)::text FROM integration.incident i WHERE i.id = :shop), '(open,)', 'for everybody');
SELECT integration.ignore(:shop, 'known');
SELECT is(integration_worker.escalate(now() + interval '9 h'), NULL, 'ignored: it stays');

-- Results that bring it back
SELECT pg_temp.bring(pg_temp.enqueue('shop'), 'http:422', at => '2026-01-11 00:00+00');
SELECT i.id AS refused FROM integration.incident i WHERE i.error_class = 'validation' \gset
SELECT integration_worker.escalate('2026-01-11 00:05+00');
SELECT is(pg_temp.level_of(:refused), 1, 'an incident that results have opened climbs, too');
UPDATE integration.incident SET state = 'resolved', resolved_at = '2026-01-11 01:00+00' WHERE id = :refused;
SELECT pg_temp.bring(pg_temp.enqueue('shop'), 'http:422', at => '2026-01-11 02:00+00');
SELECT is((SELECT ROW (i.level, i.open_since)::text FROM integration.incident i WHERE i.id = :refused), '(0,"2026-01-11 02:00:00+00")', 'back: from the beginning');

-- Hours
CREATE FUNCTION pg_temp.reachable(at timestamptz, from_time time, to_time time, days integer[] DEFAULT NULL, zone text DEFAULT 'UTC') RETURNS boolean
    LANGUAGE sql
AS $$
    SELECT integration_worker.is_reachable(ROW ('c', 1, 'support', NULL, '0', 4, from_time, to_time, days, zone, false)::integration.escalation_level, at)
$$;
SELECT is(ARRAY(SELECT pg_temp.reachable(t, '08:00', '18:00') FROM unnest('{2026-01-05 07:59+00,2026-01-05 08:00+00,2026-01-05 18:00+00}'::timestamptz[]) t),
          '{f,t,f}', 'from, to');
SELECT is(ARRAY(SELECT pg_temp.reachable(t, '22:00', '06:00') FROM unnest('{2026-01-05 21:59+00,2026-01-05 22:00+00,2026-01-06 05:59+00,2026-01-06 06:00+00}'::timestamptz[]) t),
          '{f,t,t,f}', 'over midnight');
SELECT is(ARRAY(SELECT pg_temp.reachable(t, '22:00', '06:00', '{1}') FROM unnest('{2026-01-05 05:00+00,2026-01-05 23:00+00,2026-01-06 05:00+00,2026-01-06 23:00+00}'::timestamptz[]) t),
          '{f,t,t,f}', 'the night of a Monday');
SELECT is(ARRAY(SELECT pg_temp.reachable(t, NULL, NULL, '{6,7}') FROM unnest('{2026-01-09 23:59+00,2026-01-10 00:00+00,2026-01-11 23:59+00}'::timestamptz[]) t),
          '{f,t,t}', 'weekends');
SELECT is(pg_temp.reachable('2026-07-06 06:30+00', '08:00', '18:00', '{1}', 'Europe/Vienna'), true, 'where they live');

DELETE FROM integration.incident;
UPDATE integration.escalation_level SET hours_from = '08:00', hours_to = '18:00', weekdays = '{1,2,3,4,5}' WHERE chain = 'default' AND level = 1;
SELECT is((SELECT l.shipped FROM integration.escalation_level l WHERE l.chain = 'default' AND l.level = 1), false, 'a changed level is the user''s');
SELECT integration_worker.open_incident('shop', 'queue_growing', '2026-01-05 02:00+00') AS night \gset
SELECT is(integration_worker.escalate('2026-01-05 02:05+00'), '2026-01-05 02:15+00', 'at night the first is not woken');
SELECT integration_worker.escalate('2026-01-05 02:15+00');
SELECT is(pg_temp.level_of(:night), 2, 'but passed over');
UPDATE integration.escalation_level SET hours_from = '08:00', hours_to = '18:00' WHERE chain = 'default';
SELECT integration_worker.escalate('2026-01-05 03:00+00');
SELECT is(pg_temp.level_of(:night), 2, 'where nobody can be reached it waits');
SELECT integration_worker.escalate('2026-01-05 08:00+00');
SELECT is(pg_temp.level_of(:night), 3, 'for the morning');

-- Chains, severities
UPDATE integration.connector SET escalation = 'to_boss' WHERE name = 'crm';
SELECT is(integration_worker.chain_of('shop'), 'to_boss', 'the connector''s');
UPDATE integration.endpoint SET escalation = 'default' WHERE name = 'shop';
SELECT is(integration_worker.chain_of('shop'), 'default', 'the endpoint''s own');
UPDATE integration.endpoint SET escalation = 'to_boss' WHERE name = 'post';
SELECT integration_worker.open_incident('post', 'queue_growing', '2026-01-05 00:00+00') AS post \gset
SELECT pg_temp.told();
SELECT integration_worker.escalate('2026-01-06 00:00+00');
SELECT is(pg_temp.told(), '{boss escalated,chat escalated}', 'whom a level names is told of that one, its audience is not');
UPDATE integration.escalation_level SET severity = 2 WHERE chain = 'to_boss';
UPDATE integration.incident SET level = 0 WHERE id = :post;
SELECT is(integration_worker.escalate('2026-01-06 00:00+00'), NULL, 'not bad enough');

-- Bad input
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET escalation = 'nobody' WHERE name = 'post'$$) ~
          '^23503 escalation chain "nobody" does not exist \|.* Insert its levels into integration.escalation_level first\.', true, 'no such chain');
SELECT is(pg_temp.refusal($$INSERT INTO integration.escalation_level (chain, level, audience, after, time_zone) VALUES ('x', 1, 'support', '1 h', 'Mars/Olympus')$$) ~
          '^23514 time zone "Mars/Olympus" is not known', true, 'no such time zone');
SELECT matches(pg_temp.refusal(format('UPDATE integration.escalation_level SET %s = %s WHERE chain = ''default'' AND level = 2', w.col, w.given)),
               '^23514 ' || w.col || ' of level -?\d of escalation chain "default" cannot be used \| .* \| Write ' || w.hint, w.col || ' ' || w.given)
  FROM (VALUES ('level', '-1', '1 for the first'), ('audience', $$'boss'$$, 'customer, support or engineer'), ('audience', 'NULL', 'customer, support'),
               ('after', $$'-1 s'$$, 'how long'), ('after', 'NULL', 'how long'), ('severity', '5', '1 \('), ('weekdays', $$'{0}'$$, 'days from 1'),
               ('hours_to', $$NULL, hours_from = '08:00'$$, 'until when'), ('hours_from', $$NULL, hours_to = '18:00'$$, 'from when')) w (col, given, hint);
DELETE FROM integration.notice_endpoint WHERE endpoint = 'boss';
SELECT is((SELECT l.notice_endpoint FROM integration.escalation_level l WHERE l.chain = 'to_boss'), NULL, 'who is gone leaves the level to its audience');

SELECT * FROM finish();
ROLLBACK;
