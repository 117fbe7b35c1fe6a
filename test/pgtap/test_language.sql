-- A language made by this test, in which each text is in ⟦brackets⟧: what is shown without them was left in code.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(26);

-- Every text there is, in the test language
INSERT INTO integration.phrase (locale, key, words)
SELECT 'qps', p.key, '⟦' || p.words || '⟧' FROM integration.phrase p WHERE p.locale = 'en'
UNION ALL
SELECT 'qps', 'class.' || k.name, '⟦' || k.title || '⟧' FROM integration.error_class k
UNION ALL
SELECT 'qps', 'customer.cause.' || k.name, '⟦' || k.customer_message || '⟧' FROM integration.error_class k;
INSERT INTO integration.remedy (locale, audience, error_class, reason, words)
SELECT 'qps', r.audience, r.error_class, r.reason, '⟦' || r.words || '⟧' FROM integration.remedy r WHERE r.locale = 'en'
UNION ALL
SELECT 'qps', 'support', '', r.reason, '⟦' || r.remedy || '⟧' FROM integration.error_reason r
UNION ALL
SELECT 'qps', 'support', k.name, '', '⟦' || k.remedy || '⟧' FROM integration.error_class k;
INSERT INTO integration.runbook_step (locale, error_class, "position", what, statement, who)
SELECT 'qps', s.error_class, s."position", '⟦' || s.what || '⟧', s.statement, '⟦' || s.who || '⟧' FROM integration.runbook_step s WHERE s.locale = 'en';
INSERT INTO integration.notice_text (locale, change, title, body)
SELECT 'qps', t.change, '⟦' || t.title || '⟧', regexp_replace(t.body, '^(.+)$', '⟦\1⟧', 'gn') FROM integration.notice_text t WHERE t.locale = 'en';
SET LOCAL integration.locale = 'qps';

-- What stands outside the brackets; three words in a row make a sentence, names and statements don't.
CREATE FUNCTION pg_temp.outside(said text) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    less text := regexp_replace(said, '⟦[^⟦⟧]*⟧', '', 'g');
BEGIN
    WHILE less <> said LOOP
        said := less;
        less := regexp_replace(said, '⟦[^⟦⟧]*⟧', '', 'g');
    END LOOP;
    RETURN less;
END
$$;
CREATE FUNCTION pg_temp.in_code(said text) RETURNS boolean LANGUAGE sql AS $$SELECT pg_temp.outside(said) ~ '[a-z]{2,},? [a-z]{2,},? [a-z]{2,}'$$;
SELECT is(pg_temp.in_code('⟦a ⟦whole sentence⟧ in brackets⟧ SELECT integration.why(1)'), false, 'what is in brackets is a row');
SELECT is(pg_temp.in_code('⟦a⟧ whole sentence without'), true, 'what is not is left in code');

-- A sync in every state, held back by all there is
INSERT INTO integration.connector (name, title, owner, contact, sla) VALUES ('erp', 'ERP', 'team', 'hotline', '1 h');
INSERT INTO integration.customer (name, locale) VALUES ('acme', 'qps');
INSERT INTO integration.endpoint (name, connector, url, idempotent, rate_limit)
SELECT n, 'erp', 'https://a.example.com/', n <> 'once', 10 FROM unnest('{shop,once,stopped,open,asked,paused,gone}'::text[]) AS n;
CREATE TEMP TABLE made (name text, id bigint);
CREATE FUNCTION pg_temp.make(name text, endpoint text DEFAULT 'shop', ordering_key text DEFAULT NULL, send_after timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    made_id bigint;
BEGIN
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer, ordering_key, send_after, expires_at, triggered_by)
    VALUES (make.endpoint, 'order', make.name, '{}', 'acme', make.ordering_key, make.send_after, make.expires_at, 'Ann')
    RETURNING id INTO made_id;
    INSERT INTO made VALUES (make.name, made_id);
    RETURN made_id;
END
$$;
SELECT pg_temp.bring(pg_temp.make('arrived'), 'http:200'), pg_temp.bring(pg_temp.make('refused'), 'http:422'), pg_temp.bring(pg_temp.make('again'), 'http:503'),
       pg_temp.bring(pg_temp.make('refused too'), 'http:422'), pg_temp.bring(pg_temp.make('unknown', 'once'), 'curl:28:response') \g /dev/null
SELECT pg_temp.make('waits'), pg_temp.make('later', send_after => now() + interval '1 day'), pg_temp.make('stopped', 'stopped'), pg_temp.make('open', 'open'),
       pg_temp.make('asked', 'asked'), pg_temp.make('paused', 'paused'), pg_temp.make('gone', 'gone'), pg_temp.make('head', ordering_key => 'k'),
       pg_temp.make('behind', ordering_key => 'k'), pg_temp.make('late', expires_at => now() + interval '1 min') \g /dev/null
INSERT INTO integration.endpoint_health (endpoint_id, state, open_until, retry_after_until, last_reason, tripped_by)
SELECT e.id, h.state, now() + interval '1 h', CASE WHEN e.name = 'asked' THEN now() + interval '1 h' END, 'http:401', 1
  FROM (VALUES ('stopped', 'stopped'), ('open', 'open'), ('asked', 'closed')) AS h (name, state) JOIN integration.endpoint e USING (name);
SELECT integration.cancel(pg_temp.make('withdrawn'), 'Bob said'), integration.amend(pg_temp.make('amended'), '{"a": 1}', 'typo') \g /dev/null
DELETE FROM integration.queue q USING made m WHERE m.id = q.outbox_id AND m.name = 'late';
INSERT INTO integration.closing (outbox_id, state, reason) SELECT m.id, 'expired', 'expired' FROM made m WHERE m.name = 'late';
INSERT INTO integration.closing (outbox_id, state, reason, superseded_by)
SELECT pg_temp.make('duplicate'), 'superseded', 'duplicate', m.id FROM made m WHERE m.name = 'refused';
DELETE FROM integration.queue q USING made m WHERE m.id = q.outbox_id AND m.name = 'duplicate';
SELECT integration.pause('endpoint', 'paused', 'maintenance', now() + interval '1 h') \g /dev/null
UPDATE integration.queue q SET endpoint_id = -1 FROM made m WHERE m.id = q.outbox_id AND m.name = 'gone';
SELECT integration.resolve(i.id, 'restarted') FROM integration.incident i WHERE i.endpoint = 'once' \g /dev/null
SELECT integration.retry(m.id, 'again') FROM made m WHERE m.name = 'refused too' \g /dev/null

-- The functions
SELECT is_empty($$SELECT m.name, w.said FROM made m CROSS JOIN LATERAL integration.why(m.id) AS w (said) WHERE w.said NOT LIKE '⟦%⟧' OR w.said IS NULL$$, 'why()');
SELECT is((SELECT count(DISTINCT regexp_replace(pg_temp.outside(substr(w.said, 2, length(w.said) - 2)), '[0-9]+', '', 'g')) >= 12
             FROM made m CROSS JOIN LATERAL integration.why(m.id) AS w (said)), true, 'a different sentence for each of them');
SELECT is_empty($$SELECT w.said FROM (VALUES (now(), NULL::timestamptz, 0, 9, true), (NULL, now() + interval '1 ms', 0, 9, true), (NULL, now() + interval '1 h', 0, 9, true),
                                             (NULL, NULL, 9, 9, true), (NULL, NULL, 0, 9, true), (NULL, NULL, 0, 9, false)) AS l (started, rate, flight, win, alive)
                   CROSS JOIN made m CROSS JOIN LATERAL integration_worker.why_waiting(m.id, l.started, l.rate, l.flight, l.win, l.alive) AS w (said)
                   WHERE m.name = 'waits' AND w.said NOT LIKE '⟦%⟧'$$, 'what only shared memory knows');
SELECT alike(integration.why(0), '⟦%⟧', 'a sync that there is not');
SELECT is_empty($$SELECT t.* FROM made m CROSS JOIN LATERAL integration.timeline(m.id) t
                   WHERE t.what NOT LIKE '⟦%⟧' OR pg_temp.in_code(t.details)$$, 'timeline()');
SELECT is((SELECT count(*) FROM made m CROSS JOIN LATERAL integration.timeline(m.id) t) > 20, true, 'of many lines');
SELECT is_empty($$SELECT r.* FROM integration.incident i CROSS JOIN LATERAL integration.runbook(i.id) r
                   WHERE r.what NOT LIKE '⟦%⟧' OR pg_temp.in_code(r.who)$$, 'runbook(), also of what is over');
SELECT is_empty($$SELECT s.* FROM made m CROSS JOIN LATERAL integration.customer_status('acme', m.name) s
                   WHERE (s.standing || s.cause || coalesce(s.next, '⟦⟧') || s.advice) NOT LIKE '⟦%⟧' OR pg_temp.in_code(concat_ws(' ', s.standing, s.cause, s.next, s.advice))$$, 'customer_status()');
SELECT is_empty($$SELECT p.said FROM integration.incident i
                   CROSS JOIN unnest('{opened,reopened,acknowledged,resolved}'::text[]) AS c (change)
                   CROSS JOIN LATERAL integration_worker.notice_text_of(c.change, integration_worker.notice_words(i), 'qps') t
                   CROSS JOIN LATERAL (VALUES (t.title), (t.body)) AS p (said) WHERE pg_temp.in_code(p.said)$$, 'notices');
SELECT is_empty($$SELECT w.said FROM unnest('{{system},{database},{timeline},{machine},{directory},{environment}}'::text[]) AS k (kind)
                   CROSS JOIN LATERAL integration_worker.copy_words(jsonb_build_object(k.kind, 'a'), jsonb_build_object(k.kind, 'b')) AS w (said)
                   WHERE w.said NOT LIKE '⟦%⟧'$$, 'what is said of a copied database');
SELECT alike(integration_worker.hold_copy(integration_worker.copy_words(NULL, '{}')), '⟦%⟦%⟧%⟧', 'one that was restored');

-- The views: each text in each row of each of them, but what an attempt left on record
CREATE FUNCTION pg_temp.left_in_code(view_name text) RETURNS SETOF text
    LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT DISTINCT format(''%%s.%%s: %%s'', %1$L, f.key, f.value)
           FROM %1$s v CROSS JOIN LATERAL jsonb_each_text(to_jsonb(v)) f
          WHERE f.key NOT IN (''error'', ''last_error'') AND pg_temp.in_code(regexp_replace(f.value, ''"error": "[^"]*"'', '''', ''g''))', view_name);
END
$$;
CREATE ROLE language_acme;
SELECT integration.grant_customer('language_acme', 'acme') \g /dev/null
GRANT language_acme TO CURRENT_USER;
SELECT set_eq($$SELECT DISTINCT c.relname FROM pg_class c WHERE c.relnamespace = 'integration'::regnamespace AND c.relkind = 'v'
                 AND EXISTS (SELECT FROM pg_temp.left_in_code(c.oid::regclass::text))$$,
              $$VALUES ('worker_status'), ('event'), ('action_log')$$,
              'the views; what a worker says of itself it says to all, what people wrote stays as it is');
SELECT is((SELECT count(*) FROM integration.sync s WHERE s.remedy LIKE '⟦%') >= 5, true, 'among them remedies');
SELECT is((SELECT count(*) FROM integration.customer_sync s WHERE s.explanation LIKE '⟦%') >= 10, true, 'what customers read');
SELECT is((SELECT count(*) FROM integration.incident_status s WHERE s.title LIKE '⟦%' AND s.remedy LIKE '⟦%') >= 2, true, 'titles');
SELECT alike((SELECT s.remedy FROM integration.incident_status s WHERE s.endpoint = 'shop' LIMIT 1), '⟦%⟧', 'also beside what worked before');

-- The pages: what is between their tags but names, moments, statements, and the words in attributes.
INSERT INTO integration.pause (scope, name, reason, actor) VALUES ('connector', 'erp', 'moves', 'Ada'), ('customer', 'acme', 'asked', 'Ada'), ('all', '', 'drill', 'Ada');
UPDATE integration.incident SET level = 2, escalated_at = now(), impact = 1234, owner = CASE WHEN endpoint = 'shop' THEN 'team' END WHERE resolved_at IS NULL;
CREATE TEMP TABLE page AS SELECT s.scope, integration.status_page(s.scope) AS html FROM unnest('{all,connector:erp,endpoint:stopped,customer:acme}'::text[]) AS s (scope);
CREATE FUNCTION pg_temp.texts(html text) RETURNS SETOF text
    LANGUAGE sql
AS $$
    SELECT t.said
      FROM regexp_split_to_table(pg_temp.outside(regexp_replace(regexp_replace(
               html, '(?:<style>.*?</style>|<code>.*?</code>|<bdi>.*?</bdi>|<time .*?</time>){1,1}?', '', 'g'), '<[^>]*>', '|', 'g')), '[|]') AS t (said)
    UNION ALL
    SELECT pg_temp.outside(m[1]) FROM regexp_matches(html, ' (?:data-label|aria-label|alt|title)="([^"]*)"', 'g') m
$$;
SELECT is_empty($$SELECT p.scope, t.said FROM page p CROSS JOIN LATERAL pg_temp.texts(p.html) AS t (said)
                   WHERE t.said ~ '[[:alpha:]]{2}' AND t.said <> 'restarted'$$, 'the pages: no word is left, but what somebody wrote');
SELECT is((SELECT array_agg(m[1] ORDER BY m[1]) FROM page p CROSS JOIN LATERAL regexp_matches(p.html, '<table id="([a-z_]+)"', 'g') m WHERE p.scope = 'all'),
          '{ended_table,endpoint_table,hours,sla_table}', 'with every table');
SELECT is((SELECT count(*) FROM page p CROSS JOIN LATERAL regexp_matches(p.html, '⟦', 'g') m WHERE p.scope = 'all') > 200, true, 'of many texts');
SELECT is((SELECT substring(p.html FROM '<html lang="([^"]*)"') FROM page p WHERE p.scope = 'all'), 'qps', 'their language is said');

-- The functions that have sentences in them: what monitors read, what is wrong with an input, what the server's log gets,
-- what an attempt leaves on record is written once, for all readers.
SELECT is_empty($$SELECT p.proname, m[1]
                    FROM pg_proc p
                   CROSS JOIN LATERAL regexp_matches(regexp_replace(p.prosrc, '--[^\n]*', '', 'g'), '''((?:[^'']|'''')*)''', 'g') m
                   WHERE p.pronamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
                     AND p.prosrc !~ 'RAISE' AND p.proname !~ '(^|_)(problem|refusal|hint|missing|privileges)($|_)|_metrics?$'
                     AND p.proname NOT IN ('log_line', 'look_for_copy', 'explain', 'error_text', 'recover', 'view_secret', 'curl_of', 'prometheus', 'page_style')
                     AND m[1] ~ '[a-z]{2,},? [a-z]{2,},? [a-z]{2,}'$$, 'no other function has a sentence in it');
SELECT is_empty($$SELECT p.proname FROM pg_proc p
                   WHERE p.pronamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace)
                     AND p.prosrc ~ 'RAISE NOTICE (''[^'']*[a-z]{2}|USING\s+MESSAGE = (?!integration_worker[.]say))'$$, 'nor a notice');
SELECT set_eq($$SELECT c.relname, m[1]
                    FROM pg_class c
                   CROSS JOIN LATERAL regexp_matches(pg_get_viewdef(c.oid), '''((?:[^'']|'''')*)''', 'g') m
                   WHERE c.relnamespace IN ('integration'::regnamespace, 'integration_worker'::regnamespace) AND c.relkind = 'v'
                     AND m[1] ~ '[a-z]{2,},? [a-z]{2,},? [a-z]{2,}'$$, $$VALUES ('sla_report', 'connector and customer')$$, 'nor has a view, but a kind of line');

-- Rows are there of every kind, so a view that calls what its reader may not is found out.
CREATE FUNCTION pg_temp.refused(view_name text) RETURNS text
    LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('SELECT count(to_jsonb(v)) FROM %s v', view_name);
    RETURN NULL;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN view_name || ': ' || SQLERRM;
END
$$;
CREATE ROLE language_support;
SELECT integration.grant_support('language_support') \g /dev/null
SET ROLE language_support;
SELECT is_empty($$SELECT r.said FROM pg_class c CROSS JOIN LATERAL pg_temp.refused(c.oid::regclass::text) AS r (said)
                   WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = 'integration') AND c.relkind = 'v'
                     AND has_table_privilege(c.oid, 'SELECT') AND r.said IS NOT NULL$$, 'support reads every view that it may read');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
