-- What people do about incidents, what they are told to do.
BEGIN;
\ir ../lib/settle.sql
\ir ../lib/refusal.sql
SELECT plan(60);

INSERT INTO integration.connector (name, title, owner, contact, runbook_url, severity)
VALUES ('crm', 'CRM', 'sales-it', 'hotline 555', 'https://wiki.example.com/crm', 2), ('mail', 'Mail', NULL, NULL, NULL, 1);
INSERT INTO integration.endpoint (name, url, connector)
SELECT e.name, 'https://api.example.com/', e.connector
  FROM (VALUES ('shop', 'crm'), ('bill', 'crm'), ('post', 'mail')) AS e (name, connector);

CREATE FUNCTION pg_temp.refuse_one(endpoint text, reason text DEFAULT 'http:422', at timestamptz DEFAULT now()) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint := pg_temp.enqueue(refuse_one.endpoint, 'PO-1001');
BEGIN
    PERFORM pg_temp.bring(sync, refuse_one.reason, at => refuse_one.at);
    RETURN sync;
END
$$;

CREATE FUNCTION pg_temp.incident(endpoint text) RETURNS integration.incident
    LANGUAGE sql
AS $$
    SELECT i.* FROM integration.incident i WHERE i.endpoint = incident.endpoint ORDER BY i.id DESC LIMIT 1
$$;

-- The last action, as a line.
CREATE FUNCTION pg_temp.last_action() RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', a.verb, a.endpoint, a.incident = (pg_temp.incident('shop')).id, a.reason, a.details)
      FROM integration.action a ORDER BY a.id DESC LIMIT 1
$$;

SELECT pg_temp.refuse_one('shop') AS sync \gset
SELECT (pg_temp.incident('shop')).id AS incident \gset
SELECT is((pg_temp.incident('shop')).fingerprint, 'shop:validation', 'the fingerprint: endpoint and class');

-- Acknowledge, assign
SELECT is(integration.acknowledge(:incident, 'on it'), 'acknowledged', 'acknowledged');
SELECT is((SELECT ROW (i.state, i.assignee, i.acknowledged_at IS NOT NULL)::text FROM pg_temp.incident('shop') i),
          format('(acknowledged,%s,t)', session_user), 'by whom');
SELECT is(pg_temp.last_action(), 'acknowledge shop t on it {"state": "open"}', 'on record');
SELECT is(integration.assign(:incident, ' Ann '), 'acknowledged', 'assigned: its state stays');
SELECT is((pg_temp.incident('shop')).assignee, 'Ann', 'to whom, without blanks');
SELECT is(pg_temp.last_action(), format('assign shop t {"state": "acknowledged", "assignee": "%s", "assigned_to": "Ann"}', session_user),
          'on record with before and after');
SELECT is(integration.acknowledge(:incident), 'acknowledged', 'acknowledged once more');
SELECT is((pg_temp.incident('shop')).assignee, 'Ann', 'whoever was assigned stays');
SELECT is(integration.assign(:incident, NULL), 'acknowledged', 'assigned to nobody');
SELECT is((pg_temp.incident('shop')).assignee, NULL, 'nobody');

-- Snooze
SELECT is(integration.snooze(:incident, clock_timestamp() + interval '1 h', 'vendor is on it'), 'snoozed', 'snoozed');
SELECT is((SELECT s.state FROM integration.incident_status s WHERE s.id = :incident), 'snoozed', 'is shown as that');
UPDATE integration.incident SET snoozed_until = now() - interval '1 min' WHERE id = :incident;
SELECT is((SELECT s.state FROM integration.incident_status s WHERE s.id = :incident), 'open', 'when the time is over: open');
SELECT pg_temp.refuse_one('shop');
SELECT is((pg_temp.incident('shop')).state, 'open', 'the next failure writes it down');
SELECT is((pg_temp.incident('shop')).syncs, 2::bigint, 'and is counted');
SELECT is(pg_temp.refusal(format('SELECT integration.snooze(%s, now() - interval ''1 h'')', :incident)) ~
          '^22023 an incident cannot be snoozed until .* \| Write a time to come', true, 'not into the past');
SELECT is(pg_temp.refusal(format('SELECT integration.snooze(%s, ''infinity'')', :incident)) ~ '^22023', true, 'not for ever');

-- Ignore
SELECT is(pg_temp.refusal(format('SELECT integration.ignore(%s, '' '')', :incident)),
          '22023 to ignore an incident takes a reason | Write it for the people who will ask, such as ''the vendor has confirmed an outage until 14:00''.',
          'not without a reason');
SELECT is(integration.ignore(:incident, 'a test customer'), 'ignored', 'ignored');
SELECT pg_temp.refuse_one('shop');
SELECT is((SELECT ROW (i.state, i.syncs)::text FROM pg_temp.incident('shop') i), '(ignored,3)', 'further failures are counted, no more');

-- Resolve, reopen
SELECT is(integration.reopen(:incident, 'not a test after all'), 'open', 'reopened');
SELECT is((pg_temp.incident('shop')).reopened, 0, 'it had not been over');
SELECT is(integration.resolve(:incident, 'corrected the mapping'), 'resolved', 'resolved by hand');
SELECT is((SELECT ROW (i.state, i.resolved_by, i.resolution, i.worked)::text FROM pg_temp.incident('shop') i),
          format('(resolved,%s,"corrected the mapping",t)', session_user), 'by whom, what was done, that it helped');
SELECT is(pg_temp.last_action(), 'resolve shop t corrected the mapping {"state": "open", "worked": true}', 'on record');
SELECT is_empty(format('SELECT FROM integration.incident_status WHERE id = %s', :incident), 'it is no work any more');
SELECT is(pg_temp.refusal(format('SELECT integration.acknowledge(%s)', :incident)) ~
          format('^55000 incident %s is resolved and cannot be acknowledged \| It was over at .* \| To take it up once more: SELECT integration.reopen\(%s, ''why''\)', :incident, :incident),
          true, 'what is over takes no more');
SELECT is(integration.reopen(:incident), 'open', 'it may be taken up once more');
SELECT is((SELECT ROW (i.state, i.reopened, i.resolution, i.worked)::text FROM pg_temp.incident('shop') i), '(open,1,,)', 'that is counted');
SELECT is(pg_temp.refusal('SELECT integration.acknowledge(4711)'),
          '42704 incident 4711 does not exist | Numbers are in SELECT id, endpoint, title FROM integration.incident_status.', 'no such incident');
SELECT is(pg_temp.refusal('SELECT integration.acknowledge(NULL)') ~ '^42704 incident NULL', true, 'NULL is none');

-- It comes back
SELECT integration.resolve(:incident, 'corrected it again', worked => false);
UPDATE integration.incident SET resolved_at = now() - interval '22 h' WHERE id = :incident;
SELECT pg_temp.refuse_one('shop');
SELECT is((SELECT ROW (i.id, i.state, i.reopened, i.syncs, i.resolution)::text FROM pg_temp.incident('shop') i),
          format('(%s,open,2,4,)', :incident), 'within a day: the same one is open again');
SELECT integration.resolve(:incident, 'corrected it again', worked => false);
UPDATE integration.incident SET resolved_at = now() - interval '25 h' WHERE id = :incident;
SELECT pg_temp.refuse_one('shop');
SELECT is((SELECT ROW (i.id > :incident, i.state, i.syncs)::text FROM pg_temp.incident('shop') i), '(t,open,1)', 'later: a new one');
SELECT (pg_temp.incident('shop')).id AS newer \gset
SELECT is(pg_temp.refusal(format('SELECT integration.reopen(%s)', :incident)) ~
          format('^55000 incident %s cannot be reopened \| Incident %s is the same problem since .* \| Work on that one: SELECT \* FROM integration.runbook\(%s\)', :incident, :newer, :newer),
          true, 'the old one gives way to it');

-- It ends by itself: what people did is written down
UPDATE integration.queue q SET state = 'pending' FROM integration.endpoint e WHERE e.id = q.endpoint_id AND e.name = 'shop' AND q.outbox_id <> :sync;
SELECT integration.retry(:sync, 'the field is optional by now');
SELECT pg_temp.bring(pg_temp.enqueue('shop'), 'http:200', at => clock_timestamp());
SELECT is((SELECT ROW (i.state, i.resolved_by, i.resolution, i.worked)::text FROM pg_temp.incident('shop') i),
          format('(resolved,,"retry by %s: ""the field is optional by now""",t)', session_user), 'resolved by itself, after a retry');
SELECT pg_temp.refuse_one('post', 'http:401');
SELECT pg_temp.bring(pg_temp.enqueue('post'), 'http:200', at => clock_timestamp() + interval '2 min');
UPDATE integration.queue q SET state = 'pending' FROM integration.endpoint e WHERE e.id = q.endpoint_id AND e.name = 'post';
SELECT pg_temp.bring(pg_temp.enqueue('post'), 'http:200', at => clock_timestamp() + interval '3 min');
SELECT is((SELECT ROW (i.state, i.resolution, i.worked)::text FROM pg_temp.incident('post') i), '(resolved,,)', 'nobody did anything: it healed');

-- What worked before comes first
SELECT pg_temp.refuse_one('bill');
SELECT is((SELECT s.worked_before FROM integration.incident_status s WHERE s.endpoint = 'bill') ~
          format('^retry by %s: "the field is optional by now" \(incident %s, ', session_user, :newer), true,
          'what helped at another endpoint of the product is shown');
CREATE ROLE "incidents support";
SELECT integration.grant_support('"incidents support"');
SET ROLE "incidents support";
SELECT s.worked_before IS NOT NULL AS supporter_sees FROM integration.incident_status s WHERE s.endpoint = 'bill' \gset
RESET ROLE;
SELECT ok(:'supporter_sees', 'to support, too');
SELECT is((SELECT s.waiting FROM integration.incident_status s WHERE s.endpoint = 'bill'), 1::bigint, 'how many wait');

-- The list of work: worst first
SELECT pg_temp.refuse_one('post');
SELECT is(ARRAY(SELECT s.endpoint FROM integration.incident_status s), '{post,bill}', 'by severity');
SELECT integration.ignore((pg_temp.incident('post')).id, 'known');
SELECT is(ARRAY(SELECT s.endpoint FROM integration.incident_status s), '{bill,post}', 'ignored ones last');
SELECT is((SELECT ROW (s.title, s.owner, s.responsible, s.contact, s.runbook_url, s.object_id)::text
             FROM integration.incident_status s WHERE s.endpoint = 'bill'),
          (SELECT ROW (k.title, 'sales-it', 'customer', 'hotline 555', 'https://wiki.example.com/crm', 'PO-1001')::text
             FROM integration.error_class k WHERE k.name = 'validation'), 'whose it is, whom to ask, an example');

-- The runbook
SELECT (pg_temp.incident('bill')).id AS bill \gset
SELECT is((SELECT ROW (r.what, r.statement, r.who)::text FROM integration.runbook(:bill) r WHERE r.step = 1),
          format('("Say that you look after it, so that nobody else starts too. It is open.","SELECT integration.acknowledge(%s);",sales-it)', :bill),
          'first: take it');
SELECT is((SELECT count(*) FROM integration.runbook(:bill) r WHERE r.what ~ '[{}]'), 0::bigint, 'all words are filled in');
SELECT is((SELECT r.statement FROM integration.runbook(:bill) r WHERE r.statement ~ 'retry_where'),
          'SELECT integration.retry_where(endpoint => ''bill'', error_class => ''validation'', reason => ''why'');', 'send again, with literals');
SELECT is((SELECT r.statement FROM integration.runbook(:bill) r WHERE r.statement ~ 'amend'),
          format('SELECT integration.amend(%s, ''{…}'', ''why'');', (pg_temp.incident('bill')).example), 'what only this class has');
SELECT is((SELECT count(*) FROM integration.runbook(:bill) r WHERE r.statement ~ 'resume'), 0::bigint, 'nothing about an endpoint that works');
SELECT pg_temp.refuse_one('bill', 'http:401');
SELECT is((SELECT r.what FROM integration.runbook((SELECT i.id FROM integration.incident i WHERE i.endpoint = 'bill' AND i.error_class = 'auth')) r
            WHERE r.statement ~ 'resume'),
          'Once the cause is gone, have the stopped endpoint called at once instead of at the next probe.', 'about one that is stopped');
SELECT integration.acknowledge(:bill);
SELECT is((SELECT count(*) FROM integration.runbook(:bill) r WHERE r.statement ~ 'acknowledge'), 0::bigint, 'taken: that step is gone');
SELECT is((SELECT r.who FROM integration.runbook(:bill) r ORDER BY r.step DESC LIMIT 1), session_user::text, 'whoever has taken it ends it');
SELECT matches((SELECT r.what FROM integration.runbook(:newer) r),
               '^It is over since .*: retry by .*: "the field is optional by now"\.$', 'of one that is over: how it ended');
SELECT is(pg_temp.refusal('SELECT * FROM integration.runbook(4711)') ~ '^42704 incident 4711 does not exist', true, 'no such incident');

-- The texts are rows
UPDATE integration.runbook_step SET what = 'Tell {owner}.' WHERE error_class = '' AND "position" = 400;
SELECT is((SELECT r.what FROM integration.runbook(:bill) r WHERE r.what ~ '^Tell'), format('Tell %s.', session_user), 'a changed step');
SELECT is((SELECT s.shipped FROM integration.runbook_step s WHERE s.error_class = '' AND s."position" = 400 AND s.locale = 'en'), false, 'is the user''s');
INSERT INTO integration.runbook_step (error_class, "position", what) VALUES ('', 310, 'Once more.'), ('', 300, 'Restored.');
SELECT results_eq($$SELECT s.what, s.shipped FROM integration.runbook_step s WHERE s.error_class = '' AND s."position" = 300$$,
                  $$VALUES ('Restored.', false)$$, 'an inserted one takes the place of what was shipped');
INSERT INTO integration.runbook_step (locale, error_class, "position", what, statement)
VALUES ('de', '', 100, 'Sag, dass du dich kümmerst.', NULL), ('de', '', 420, 'Notizen zu {connector}: {runbook_url}', NULL);
SET LOCAL integration.locale = 'de';
SELECT is(ARRAY(SELECT r.what FROM integration.runbook(:bill) r WHERE r.what ~ '^(Sag|Notizen|Restored)' ORDER BY r.step),
          '{"Sag, dass du dich kümmerst.",Restored.,"Notizen zu crm: https://wiki.example.com/crm"}',
          'another language, with what it lacks in English');
RESET integration.locale;
SELECT is(integration_worker.fill_in('a {b} {c} {', '{"b": "{c}", "c": "x''y"}'), 'a {c} x''y {', 'one pass: what is filled in is no template');
SELECT is(integration_worker.fill_in('a {b} {c}', '{"b": 1, "c": "x''y"}', true), 'a 1 ''x''''y''', 'in statements literals');
SELECT is(integration_worker.fill_in('a {b}', '{"b": null}'), NULL, 'a word that is missing: no step');

SELECT * FROM finish();
ROLLBACK;
