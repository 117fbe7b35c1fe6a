-- Who is told of which incident, when, in which words, in which form.
BEGIN;
\ir ../lib/settle.sql
\ir ../lib/refusal.sql
SELECT plan(65);

INSERT INTO integration.connector (name, owner, severity, runbook_url)
VALUES ('crm', 'sales-it', 2, 'https://wiki.example.com/crm'), ('mail', 'office', 4, NULL);
INSERT INTO integration.endpoint (name, url, connector, customer)
SELECT e.name, 'https://api.example.com/', e.connector, e.customer
  FROM (VALUES ('shop', 'crm', 'acme'), ('post', 'mail', NULL), ('all', NULL, NULL), ('worst', NULL, NULL), ('sales', NULL, NULL),
               ('acme', NULL, NULL), ('ends', NULL, NULL)) AS e (name, connector, customer);
INSERT INTO integration.notice_endpoint (endpoint, severity, owner, customer, changes) VALUES
    ('all', 4, NULL, NULL, DEFAULT), ('worst', 2, NULL, NULL, DEFAULT), ('sales', 4, 'sales-it', NULL, DEFAULT),
    ('acme', 4, NULL, 'acme', DEFAULT), ('ends', 4, NULL, NULL, '{resolved}');

CREATE FUNCTION pg_temp.refuse_one(endpoint text, reason text DEFAULT 'http:422') RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint := pg_temp.enqueue(refuse_one.endpoint, 'PO-1001');
BEGIN
    PERFORM pg_temp.bring(sync, refuse_one.reason, body => '{"message": "no <b> & c"}');
    RETURN (SELECT max(i.id) FROM integration.incident i WHERE i.endpoint = refuse_one.endpoint);
END
$$;

-- Distributes and sends; who got what since the last time, as "endpoint operation".
CREATE FUNCTION pg_temp.told(at timestamptz DEFAULT now()) RETURNS text[]
    LANGUAGE plpgsql
AS $$
DECLARE
    before bigint := (SELECT coalesce(max(o.id), 0) FROM integration.outbox o);
BEGIN
    PERFORM integration_worker.distribute_changes();
    PERFORM integration_worker.send_notices(told.at);
    RETURN ARRAY(SELECT o.endpoint || ' ' || o.operation FROM integration.outbox o WHERE o.id > before ORDER BY o.endpoint, o.id);
END
$$;

-- Who
SELECT pg_temp.refuse_one('shop') AS shop \gset
SELECT is(pg_temp.told(), '{acme opened,all opened,sales opened,worst opened}', 'by severity, owner, customer');
SELECT is(pg_temp.told(), '{}', 'once');
SELECT pg_temp.refuse_one('shop');
SELECT is(pg_temp.told(), '{}', 'another failure of the same problem is no news');
SELECT pg_temp.refuse_one('post') AS post \gset
SELECT is(pg_temp.told(), '{all opened}', 'severity 4, another team: to those who want all');
SELECT integration.acknowledge(:shop);
SELECT is(pg_temp.told(), '{acme acknowledged,all acknowledged,sales acknowledged,worst acknowledged}', 'somebody looks after it');
SELECT integration.resolve(:shop, 'corrected');
SELECT is(pg_temp.told(), '{acme resolved,all resolved,ends resolved,sales resolved,worst resolved}', 'it is over: also whoever wants only that');
SELECT pg_temp.refuse_one('shop');
SELECT is(pg_temp.told(now() + interval '2 min'), '{acme reopened,all reopened,sales reopened,worst reopened}', 'it is back');
SELECT integration.snooze(:shop, now() + interval '1 h');
SELECT integration.assign(:shop, 'Ann');
SELECT is(pg_temp.told(now() + interval '2 min'), '{}', 'who has it, until when: no news');
SELECT pg_temp.refuse_one('all');
SELECT is(pg_temp.told(now() + interval '2 min'), '{}', 'nobody is told of his own failure; severity 3 is not for the others');
SELECT is((SELECT count(*) FROM integration.notice n WHERE n.incident = :shop), 17::bigint, 'who was told of an incident is kept');

-- How
SELECT is((SELECT ROW (o.object_type, o.object_id, o.ordering_key, o.priority, o.triggered_by, o.expires_at - o.created_at > '23 h')::text
             FROM integration.outbox o JOIN integration.notice n ON n.outbox_id = o.id WHERE n.incident = :shop ORDER BY o.id LIMIT 1),
          format('(incident,%s,incident-%s,high,integration,t)', :shop, :shop), 'a sync of its own, in the order of its incident, before others, not for ever');

-- Too many: singly as long as there is room, then a digest
DELETE FROM integration_worker.notice_due;
UPDATE integration.notice_endpoint SET changes = '{opened}' WHERE endpoint = 'all';
DELETE FROM integration.notice_endpoint WHERE endpoint <> 'all';
INSERT INTO integration.endpoint (name, url, connector) SELECT 'e' || n, 'https://api.example.com/', 'mail' FROM generate_series(1, 21) n;
SELECT count(pg_temp.refuse_one('e' || n)) FROM generate_series(1, 12) n;
SELECT is(pg_temp.told(now() + interval '1 h'), '{all opened,all opened,all opened,all opened,all digest}', 'twelve at once: four and a digest');
SELECT is((SELECT ROW (o.payload ->> 'title', jsonb_array_length(o.payload -> 'changes'), array_length(string_to_array(o.payload ->> 'body', E'\n'), 1))::text
             FROM integration.outbox o WHERE o.operation = 'digest' ORDER BY o.id DESC LIMIT 1), '("8 changes of incidents",8,8)', 'the digest names each');
SELECT is((SELECT count(*) FROM integration.notice n JOIN integration.outbox o ON o.id = n.outbox_id WHERE o.operation = 'digest'), 8::bigint,
          'each of them is kept');
SELECT count(pg_temp.refuse_one('e' || n)) FROM generate_series(13, 14) n;
SELECT is(pg_temp.told(now() + interval '1 h 10 s'), '{}', 'two more within the minute wait');
SELECT is(integration_worker.send_notices(now() + interval '1 h 10 s'), now() + interval '1 h 1 min 1 us', 'until there is room for one');
SELECT is(pg_temp.told(now() + interval '1 h 1 min 1 us'), '{all digest}', 'then together');
SELECT is(integration_worker.send_notices(now() + interval '1 h 2 min'), 'infinity', 'nothing is left');
SELECT pg_temp.refuse_one('e21');
SELECT is(pg_temp.told(now()), '{all opened}', 'what was told while the clock ran an hour ahead is in nobody''s way');

SELECT is((SELECT array_agg(DISTINCT o.ordering_key) FROM integration.outbox o WHERE o.operation = 'digest'), '{digest}', 'digests go in order');
SELECT is((SELECT count(DISTINCT o.ordering_key) FROM integration.outbox o WHERE o.operation = 'opened'),
          (SELECT count(DISTINCT o.object_id) FROM integration.outbox o WHERE o.operation = 'opened'), 'no incident waits for another one');

-- JSON
SELECT is((SELECT ROW (p ->> 'title', p -> 'changes' -> 0 ->> 'change', p -> 'changes' -> 0 -> 'incident' ->> 'error_class',
                       p -> 'changes' -> 0 -> 'incident' ->> 'object', p ->> 'body' ~ ('runbook\(' || :post || '\)'))::text
             FROM (SELECT o.payload AS p FROM integration.outbox o JOIN integration.notice n ON n.outbox_id = o.id WHERE n.incident = :post) x),
          format('("%s at endpoint ""post"" (incident %s)",opened,validation,"order PO-1001",t)',
                 (SELECT k.title FROM integration.error_class k WHERE k.name = 'validation'), :post), 'json: in words, and as data');
SELECT is((SELECT count(*) FROM integration.outbox o WHERE o.object_type = 'incident' AND o.payload::text ~ '\{[a-z_]+\}'), 0::bigint,
          'no word is left open');

-- The others
CREATE FUNCTION pg_temp.payload(format text, change text, incident bigint, locale text DEFAULT 'en') RETURNS jsonb
    LANGUAGE sql
AS $$
    SELECT integration_worker.notice_payload(
               ROW ('all', format, 4, NULL, NULL, '{}', CASE format WHEN 'pagerduty' THEN 'K' END, locale, 5, '1 min', NULL)::integration.notice_endpoint,
               ARRAY[ROW ('all', 1, incident, change, '2026-11-22 04:05:06.789+00')::integration_worker.notice_due])
$$;
SELECT is((SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(pg_temp.payload('slack', 'opened', :shop)) k), '{blocks,text}', 'slack: its members');
SELECT is(pg_temp.payload('slack', 'opened', :shop) ->> 'text', pg_temp.payload('json', 'opened', :shop) ->> 'title', 'slack: the text of a notification');
SELECT is(pg_temp.payload('slack', 'opened', :shop) #>> '{blocks,0,text,text}' ~ 'no &lt;b&gt; &amp; c', true, 'slack: escaped');
SELECT is(pg_temp.payload('slack', 'opened', :shop) #>> '{blocks,0,text,type}', 'mrkdwn', 'slack: a section of mrkdwn');
SELECT is(length(integration_worker.slack_notice('t', repeat('x', 5000)) #>> '{blocks,0,text,text}'), 3000, 'slack: no longer than it may be');
SELECT is((SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(pg_temp.payload('pagerduty', 'opened', :shop)) k),
          '{client,dedup_key,event_action,links,payload,routing_key}', 'pagerduty: its members');
SELECT is(ARRAY(SELECT pg_temp.payload('pagerduty', c, :shop) ->> 'event_action' FROM unnest('{opened,reopened,acknowledged,resolved}'::text[]) c),
          '{trigger,trigger,acknowledge,resolve}', 'pagerduty: what happens to the alert');
SELECT is((SELECT count(DISTINCT pg_temp.payload('pagerduty', c, :shop) ->> 'dedup_key') FROM unnest('{opened,resolved}'::text[]) c), 1::bigint,
          'pagerduty: the same alert');
SELECT is((SELECT ROW (p ->> 'severity', p ->> 'source', p ->> 'component', p ->> 'group', p ->> 'class', p ->> 'timestamp')::text
             FROM (SELECT pg_temp.payload('pagerduty', 'opened', :shop) -> 'payload' AS p) x),
          '(error,shop,shop,crm,validation,2026-11-22T04:05:06.789Z)', 'pagerduty: what it sorts by');
SELECT is(ARRAY(SELECT (integration_worker.pagerduty_notice(NULL, NULL, 't', jsonb_build_object('severity', s)) -> 'payload') ->> 'severity'
                  FROM generate_series(1, 4) s), '{critical,error,warning,info}', 'pagerduty: each severity');
SELECT is(length((integration_worker.pagerduty_notice(NULL, NULL, repeat('x', 2000), '{"severity": 1}') -> 'payload') ->> 'summary'), 1024,
          'pagerduty: no longer than it may be');
SELECT is(pg_temp.payload('pagerduty', 'opened', :shop) #>> '{links,0,href}', 'https://wiki.example.com/crm', 'pagerduty: the runbook');
SELECT is((SELECT ROW (p ->> 'type', p #>> '{attachments,0,contentType}', p #>> '{attachments,0,content,type}')::text
             FROM (SELECT pg_temp.payload('teams', 'opened', :shop) AS p) x),
          '(message,application/vnd.microsoft.card.adaptive,AdaptiveCard)', 'teams: an adaptive card');
SELECT is((SELECT count(*) FROM jsonb_array_elements(pg_temp.payload('teams', 'opened', :shop) #> '{attachments,0,content,body}') b
            WHERE b ->> 'type' = 'TextBlock' AND b ->> 'wrap' = 'true') > 3, true, 'teams: a block for each line');

-- Each alert of PagerDuty is its own
UPDATE integration.notice_endpoint SET format = 'pagerduty', routing_key = 'K' WHERE endpoint = 'all';
SELECT count(pg_temp.refuse_one('e' || n)) FROM generate_series(15, 20) n;
SELECT is((SELECT e.mask FROM integration.endpoint e WHERE e.name = 'all'), '{$.routing_key}', 'pagerduty: its key is hidden from support');
SELECT is(pg_temp.told(now() + interval '2 h'), array_fill('all opened'::text, ARRAY[6]), 'pagerduty: no digest');

-- Words
SELECT is(pg_temp.payload('json', 'acknowledged', :shop) ->> 'title' ~ '^Ann looks after: ', true, 'who looks after it');
SELECT integration.resolve(:shop, 'corrected the field');
SELECT is(pg_temp.payload('json', 'resolved', :shop) ->> 'body' ~ E'^It took .*; failures: 3\\.\nWhat helped: corrected the field$', true,
          'how long it took, what helped');
INSERT INTO integration.notice_text (locale, change, title, body) VALUES ('de', 'resolved', 'Vorbei: {title}', '');
SELECT is(pg_temp.payload('json', 'resolved', :shop, 'de') ->> 'title' ~ '^Vorbei: ', true, 'in another language');
SELECT is(pg_temp.payload('json', 'opened', :shop, 'de') ->> 'title' ~ 'incident', true, 'what it lacks in English');
UPDATE integration.notice_text SET title = 'Ended: {title}' WHERE change = 'resolved' AND locale = 'en';
SELECT is((SELECT t.shipped FROM integration.notice_text t WHERE t.change = 'resolved' AND t.locale = 'en'), false, 'a changed text is the user''s');

-- The log, NOTIFY
SELECT pg_temp.refuse_one('shop') AS back \gset
SELECT is((SELECT l.line FROM integration_worker.distribute_changes() c, integration_worker.log_line(c) l WHERE c.incident = :back AND c.change = 'reopened'),
          format('integration incident %s reopened: validation at endpoint "shop", owner sales-it', :back), 'a line in the log');
SELECT is((SELECT l.hint FROM integration_worker.log_line(ROW (1, :back, 'reopened', now(), true)::integration_worker.incident_change) l) ~
          format('correct the fields.* SELECT \* FROM integration.runbook\(%s\) in database ".*" says what to do\.$', :back), true, 'with what to do');
SELECT is((SELECT l.detail FROM integration_worker.log_line(ROW (1, :back, 'reopened', now(), true)::integration_worker.incident_change) l),
          (SELECT format('An example: outbox_id=%s trace_id=%s.', t.outbox_id, t.trace_id)
             FROM integration.incident i JOIN integration_worker.sync_trace t ON t.outbox_id = i.example WHERE i.id = :back), 'and the ids of a sync');
SELECT is(integration_worker.notify_listeners(), false, 'all are notified');
SELECT is((SELECT count(*) FROM integration_worker.incident_change), 0::bigint, 'nothing is left');

-- A storm; one whose own settings refuse its notices
DELETE FROM integration.notice_endpoint;
INSERT INTO integration.notice_endpoint (endpoint) VALUES ('all'), ('sales');
UPDATE integration.endpoint SET max_payload_bytes = 10 WHERE name = 'sales';
SELECT count(integration_worker.open_incident('e' || n, 'nothing_delivered', now())) FROM generate_series(1, 105) n;
SET LOCAL client_min_messages = error;
SELECT is(pg_temp.told(now() + interval '3 h'), '{all opened,all opened,all opened,all opened,all digest}', 'the other is told');
SELECT is((SELECT jsonb_array_length(o.payload -> 'changes') FROM integration.outbox o WHERE o.operation = 'digest' ORDER BY o.id DESC LIMIT 1), 96,
          'no more than a hundred at a time');
SELECT is(integration_worker.send_notices(now() + interval '3 h'), now() + interval '3 h 1 min', 'it is tried again in a minute');
UPDATE integration.endpoint SET max_payload_bytes = NULL WHERE name = 'sales';
SELECT pg_temp.told(now() + interval '3 h 2 min'), pg_temp.told(now() + interval '3 h 4 min');
RESET client_min_messages;
SELECT is((SELECT array_agg(n.count) FROM (SELECT count(*) FROM integration.notice n WHERE n.change = 'opened' AND n.at > now() + interval '150 min' GROUP BY n.endpoint) n),
          '{105,105}', 'in the end everybody was told of everything');

-- Bad input
SELECT matches(pg_temp.refusal(format('INSERT INTO integration.notice_endpoint (endpoint, %s) VALUES (''shop'', %s)', w.cols, w.given)),
               '^23514 ' || w.col || ' of notice endpoint "shop" cannot be used \| It is ' || w.shown || '\. \| ' || w.hint, w.cols || ' ' || w.given)
  FROM (VALUES
    ('format', 'format', $$'email'$$, 'email', 'Write json, slack, pagerduty or teams\.'),
    ('severity', 'severity', '0', '0', 'Write 1 \('),
    ('changes', 'changes', $$'{closed}'$$, '{closed}', 'Write one or more of opened, '),
    ('routing_key', 'format', $$'pagerduty'$$, 'NULL', 'Write the integration key'),
    ('routing_key', 'routing_key', $$'k'$$, '\*\*\*', 'Leave it out'),
    ('at_once', 'at_once', '0', '0', 'Write 1 or more'),
    ('digest_every', 'digest_every', $$'0'$$, '00:00:00', 'Write a time above zero'),
    ('audience', 'audience', $$'boss'$$, 'boss', 'Write customer, support or engineer'),
    ('customer', 'audience', $$'customer'$$, 'NULL', 'Write the customer'),
    ('format', 'audience, customer, format, routing_key', $$'customer', 'acme', 'pagerduty', 'k'$$, 'pagerduty', 'Write json, slack or teams')
  ) w (col, cols, given, shown, hint);
SELECT is(pg_temp.refusal($$INSERT INTO integration.notice_endpoint (endpoint) VALUES ('nobody')$$) ~ '^23503', true, 'no such endpoint');
DELETE FROM integration.notice_endpoint;
SELECT is((SELECT count(*) FROM integration_worker.notice_due), 0::bigint, 'who is told nothing any more leaves nothing behind');

SELECT * FROM finish();
ROLLBACK;
