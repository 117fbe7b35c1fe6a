-- The status page: its figures are the views', whatever stands in the tables is shown as text, everybody gets their own.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(76);

INSERT INTO integration.connector (name, title, owner, contact, runbook_url, severity, sla) VALUES
    ('erp', 'ERP & Co', 'team <b>', 'erp@example.com', 'javascript:alert(1)', 1, '1 hour'),
    ('crm', NULL, NULL, NULL, 'https://wiki.example.com/?a=1&b=2', 4, NULL);
INSERT INTO integration.endpoint (name, connector, customer, url) VALUES
    (E'shop<script>alert(1)</script>"''&\u202e', 'erp', NULL, 'https://internal.example.com/'),
    ('mail', 'crm', 'acme', 'https://internal.example.com/mail'),
    ('globex', 'crm', 'globex', 'https://internal.example.com/globex');
CREATE TEMP TABLE made (name text, id bigint);
CREATE FUNCTION pg_temp.make(name text, endpoint text, state text, customer text DEFAULT NULL, error text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint;
BEGIN
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer, created_at)
    VALUES (make.endpoint, 'order', make.name, '{}', make.customer, now() - interval '2 h')
    RETURNING id INTO sync;
    INSERT INTO made VALUES (make.name, sync);
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class, http_status, error)
    SELECT sync, 1, e.id, now() - interval '1 h 50 min' + sync * interval '1 us', 90, CASE make.state WHEN 'delivered' THEN 'delivered' ELSE 'failed' END,
           CASE make.state WHEN 'delivered' THEN 'http:200' ELSE 'http:422' END,
           CASE make.state WHEN 'delivered' THEN NULL ELSE 'validation' END, 422, make.error
      FROM integration.endpoint e
     WHERE e.name = make.endpoint AND make.state <> 'pending';
    IF make.state = 'delivered' THEN
        DELETE FROM integration.queue q WHERE q.outbox_id = sync;
    ELSE
        UPDATE integration.queue q SET state = make.state, attempts = (make.state <> 'pending')::integer, error_class = 'validation'
         WHERE q.outbox_id = sync;
    END IF;
END
$$;
SELECT pg_temp.make('D' || n, 'mail', 'delivered') FROM generate_series(1, 1234) n \g /dev/null
SELECT pg_temp.make('<img src=x onerror=alert(1)>', e.name, 'failed', 'acme', '<b>down</b> https://internal.example.com/')
  FROM integration.endpoint e WHERE e.name LIKE 'shop%' \g /dev/null
SELECT pg_temp.make('R1', 'mail', 'retrying', NULL, 'refused') \g /dev/null
SELECT pg_temp.make('P1', 'globex', 'pending') \g /dev/null
SELECT pg_temp.make('secret of globex', 'globex', 'failed') \g /dev/null
INSERT INTO integration.incident (endpoint, error_class, severity, owner, remedy, responsible, syncs, objects, example, note)
SELECT e.name, 'validation', 1, 'team <b>', 'Correct <the> data.', 'customer', 7, 5, (SELECT min(m.id) FROM made m WHERE m.name LIKE '<img%'), 'note <i>'
  FROM integration.endpoint e WHERE e.name LIKE 'shop%';
INSERT INTO integration.pause (scope, name, reason, actor) VALUES ('connector', 'crm', 'upgrade <u>', 'ada');

CREATE TEMP TABLE page AS SELECT 'all' AS scope, integration.status_page() AS html;
INSERT INTO page SELECT s.scope, integration.status_page(s.scope) FROM (VALUES ('customer:acme'), ('connector:crm'), ('endpoint:mail'), ('customer:nobody')) AS s (scope);
CREATE FUNCTION pg_temp.says(scope text, id text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT substring(p.html FROM format(' id="%s">(.*?)</', id)) FROM page p WHERE p.scope = says.scope
$$;

-- well-formed as XML but for the doctype and elements without an end
SELECT lives_ok(format('SELECT xmlparse(DOCUMENT %L)', regexp_replace(regexp_replace(p.html, '^<!DOCTYPE html>', ''),
                '<meta ([^>]*)>', '<meta \1/>', 'g')), p.scope || ' is well-formed')
  FROM page p;
SELECT unalike(p.html, '%<script%', p.scope || ': no script') FROM page p;
SELECT unalike(p.html, '%<img%', p.scope || ': no element out of a name') FROM page p;
SELECT unalike(p.html, '%src=%', p.scope || ': nothing is loaded') FROM page p WHERE p.scope NOT IN ('all', 'customer:acme');
SELECT unalike(p.html, '%href="javascript:%', p.scope || ': no script behind a link') FROM page p;
SELECT alike(p.html, '%Content-Security-Policy" content="default-src ''none'';%', p.scope || ': nor would one run') FROM page p;

-- figures
SELECT is(pg_temp.says('all', 'delivered')::text, (SELECT to_char(sum(t.delivered), 'FM999,999') FROM integration.endpoint_traffic t), 'delivered');
SELECT is(pg_temp.says('all', 'attempts_failed'), (SELECT sum(t.failed)::text FROM integration.endpoint_traffic t), 'attempts that failed');
SELECT is(pg_temp.says('all', 'backlog'), (SELECT sum(s.backlog)::text FROM integration.endpoint_status s), 'backlog');
SELECT is(pg_temp.says('all', 'failed'), (SELECT count(*)::text FROM integration.failed), 'waiting for a person');
SELECT is(pg_temp.says('all', 'incidents'), (SELECT count(*)::text FROM integration.incident_status), 'open incidents');
SELECT is(pg_temp.says('connector:crm', 'failed'), '1', 'of a connector');
SELECT is(pg_temp.says('endpoint:mail', 'delivered'), '1,234', 'of an endpoint');
SELECT is(pg_temp.says('endpoint:mail', 'failed'), '0', 'of an endpoint, nothing else');
SELECT alike(p.html, '%Correct &lt;the&gt; data.%', 'the remedy') FROM page p WHERE p.scope = 'all';
SELECT alike(p.html, '%team &lt;b&gt;%', 'the owner') FROM page p WHERE p.scope = 'all';
SELECT alike(p.html, '%integration.resume(&#39;connector&#39;, &#39;crm&#39;, &#39;why&#39;);%', 'how a pause ends') FROM page p WHERE p.scope = 'all';

SELECT alike(p.html, '%<title>Integration status: connector:crm</title>%<h1>Integration status: <bdi>connector:crm</bdi></h1>%', 'what it is about')
  FROM page p WHERE p.scope = 'connector:crm';

SELECT alike(p.html, '%<code>SELECT integration.acknowledge(' || i.id || ');</code>%', 'the steps of the worst')
  FROM page p CROSS JOIN integration.incident_status i WHERE p.scope = 'all';
SELECT matches(p.html, 'severity 1.*Connector <bdi>crm</bdi> is paused.*class="tiles"', 'the worst first, figures after it') FROM page p WHERE p.scope = 'all';

-- the first sentence: endpoints, delivered, failed attempts, failed syncs, held back, stopped, incidents, severity of the worst, sending, paused
SELECT matches(integration_worker.page_verdict(
                   ROW (v.f[1], v.f[2], v.f[3], 0, NULL, v.f[4], v.f[5], v.f[6], v.f[7], v.f[7], v.f[8], v.is_sending, v.is_paused)::integration_worker.page_figures,
                   integration_worker.page_texts('page.')), format('class="verdict %s".*<span>%s</span>', v.level, v.words), v.words)
  FROM (VALUES ('{0,0,0,0,0,0,0,NULL}'::bigint[], true, false, 'quiet', 'There is no endpoint yet.'),
               ('{3,0,0,0,0,0,0,NULL}', true, false, 'quiet', 'Nothing was sent in 24 hours.'),
               ('{3,9,1,0,0,0,0,NULL}', true, false, 'ok', 'Everything is delivered as it should be.'),
               ('{3,9,1,0,0,0,0,NULL}', false, false, 'critical', 'Nothing is sent.'),
               ('{3,9,1,0,3,0,0,NULL}', true, true, 'warning', 'Everything is paused.'),
               ('{3,9,1,1,0,0,1,3}', true, false, 'warning', '1 open incident, 1 sync waits for a person.'),
               ('{3,9,1,1200,2,1,2,2}', true, false, 'critical', '2 open incidents, 1,200 syncs wait for a person, 2 endpoints are held back.'),
               ('{3,9,1,0,1,1,0,NULL}', true, false, 'critical', '1 endpoint is held back.')) AS v (f, is_sending, is_paused, level, words);

-- what health() finds that is no incident, no pause
SELECT matches(integration_worker.page_health(
                   ROW (now(), 0, 0, NULL, NULL, NULL, NULL, 0, '{0,0,0,0}', '{0,0,0,0}', '{}', false, true)::integration_worker.health_facts,
                   integration_worker.page_texts('page.')),
               '^<article class="problem critical"><h3>No worker sends</h3>.*see the server&#39;s log.*integration[.]health.*</article>$', 'no worker');
SELECT is(integration_worker.page_health(
              ROW (now(), 1, 1, 'waits', now(), NULL, NULL, 0, '{1,0,0,0}', '{1,0,0,0}', '{}', false, true)::integration_worker.health_facts,
              integration_worker.page_texts('page.')), NULL, 'a worker that sends');

-- what there is not is not drawn
SELECT alike(integration_worker.page_charts(integration_worker.hours_of('{}', now()), integration_worker.page_texts('page.')),
             '<section><h2>Attempts</h2><p>No attempt in 24 hours.</p></section>', 'no charts of nothing');
SELECT is(integration_worker.page_endpoints('{}', '{}', now(), '{}'), NULL, 'no table of no endpoints');
-- figures as a language writes them
SELECT is(integration_worker.html_number(1234567.25, '{"number.marks": ".,"}', 1), '1.234.567,3', 'digits in groups, decimals');

-- a customer
SELECT is(pg_temp.says('customer:acme', 'arrived'), '499+', 'of the latest 500, and there are more');
SELECT is(pg_temp.says('customer:acme', 'failed_count'), '1', 'what did not arrive');
SELECT is(pg_temp.says('customer:acme', 'retrying_count'), '1', 'what is tried again');
SELECT alike(p.html, '%SELECT integration.retry(' || m.id || ');%', 'what they can do') FROM page p, made m WHERE p.scope = 'customer:acme' AND m.name LIKE '<img%';
SELECT unalike(p.html, '%internal.example.com%', 'nothing internal') FROM page p WHERE p.scope = 'customer:acme';
SELECT unalike(p.html, '%globex%', 'nothing of others') FROM page p WHERE p.scope = 'customer:acme';
SELECT alike(p.html, '%Please correct the data of this record and save it again.%', 'first of all') FROM page p WHERE p.scope = 'customer:acme';
SELECT is(pg_temp.says('customer:nobody', 'arrived'), '0', 'a customer without anything');
SELECT alike(p.html, '%class="verdict quiet"%We know of nothing%', 'is not told that everything arrived') FROM page p WHERE p.scope = 'customer:nobody';

-- in the customer's language; the marks show that no text is left in code
INSERT INTO integration.customer (name, title, locale) VALUES ('acme', 'Acme & Söhne', 'xx');
INSERT INTO integration.phrase (locale, key, words) SELECT 'xx', p.key, '⟦' || p.words || '⟧' FROM integration.phrase p WHERE p.locale = 'en' AND p.key LIKE 'customer.%';
INSERT INTO page SELECT 'acme in xx', integration.status_page('customer:acme');
SELECT alike(p.html, '%<html lang="xx">%⟦Your data on its way: Acme &amp; Söhne⟧%', 'in their language, by their name') FROM page p WHERE p.scope = 'acme in xx';
SELECT is_empty($$SELECT w.word[1]
                    FROM page p
                   CROSS JOIN LATERAL regexp_matches(regexp_replace(p.html, '<style>.*</style>', ''), '>([^<>]*[A-Za-z]{3}[^<>]*)<', 'g') AS w (word)
                   WHERE p.scope = 'acme in xx' AND w.word[1] !~ '⟦|⟧' AND w.word[1] !~ '^(order|ERP|crm|SELECT|&lt;)|[0-9] (s|min|h|d)'$$,
                'no other words') ;
SELECT is_empty($$SELECT w.word[1] FROM page p CROSS JOIN LATERAL regexp_matches(p.html, 'data-label="([^"]*)"', 'g') AS w (word)
                   WHERE p.scope = 'acme in xx' AND w.word[1] !~ '^⟦.*⟧$'$$, 'nor labels');
SELECT is(pg_temp.says('acme in xx', 'failed_count'), '1', 'the same figures');

-- who may
CREATE ROLE page_acme;
CREATE ROLE page_support;
CREATE ROLE page_nobody;
SELECT integration.grant_customer('page_acme', 'acme') \g /dev/null
SELECT integration.grant_support('page_support') \g /dev/null
SELECT is(pg_temp.refusal($$SELECT integration.status_page('customer:acme')$$, 'page_acme'), 'accepted', 'a customer''s role sees its own page');
SELECT is(pg_temp.refusal($$SELECT integration.status_page('customer:globex')$$, 'page_acme'),
          '42501 this role may not see the page about "customer:globex" | Yours is SELECT integration.status_page(''customer:acme'').', 'no other''s');
SELECT matches(pg_temp.refusal($$SELECT integration.status_page()$$, 'page_acme'), '^42501 .*Yours is ', 'nor everybody''s');
SELECT is(pg_temp.refusal($$SELECT integration.status_page('customer:globex')$$, 'page_support'), 'accepted', 'support sees what a customer sees');
SELECT matches(pg_temp.refusal($$SELECT integration.status_page()$$, 'page_nobody'), '^42501 ', 'nobody else sees any');
SELECT is(pg_temp.refusal($$SELECT integration.status_page('team:erp')$$), '22023 there is no scope "team:erp" | Write all, connector:NAME, '
          'endpoint:NAME or customer:NAME; names are in SELECT name, connector, customer FROM integration.endpoint_status.', 'a scope of no kind');
SELECT matches(pg_temp.refusal($$SELECT integration.status_page('endpoint:none')$$), '^22023 nothing is in scope "endpoint:none"', 'a scope of nothing');
SELECT matches(pg_temp.refusal($$SELECT integration.status_page(NULL)$$), '^22023 ', 'no scope at all');

SELECT * FROM finish();
ROLLBACK;
