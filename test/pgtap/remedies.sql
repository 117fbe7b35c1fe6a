-- What helps: told to three audiences, in the reader's language, what worked before first.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(22);

-- Every reason, every class has a text for each
SELECT is_empty($$SELECT w.reason FROM integration.what_helps w WHERE nullif(w.support, '') IS NULL OR nullif(w.engineer, '') IS NULL OR nullif(w.customer, '') IS NULL$$,
                'every reason yields a text for each audience');
SELECT is((SELECT count(*) FROM integration.what_helps), (SELECT count(*) FROM integration.error_reason), 'no reason is left out');
SELECT is_empty($$SELECT k.name FROM integration.error_class k
                   WHERE NOT integration_worker.remedies('engineer') ? (':' || k.name) OR NOT integration_worker.remedies('customer') ? (':' || k.name)$$,
                'every class has one for engineers, one for customers');
SELECT is_empty($$SELECT r.reason FROM integration.remedy r WHERE r.reason <> '' AND r.reason NOT IN (SELECT e.reason FROM integration.error_reason e)$$,
                'there is no text for what can''t happen');
SELECT is_empty($$SELECT w.reason FROM integration.what_helps w WHERE w.engineer = w.support$$, 'engineers are told more than support is');
-- Words, statements of ours, names of settings, codes
SELECT is_empty($$SELECT w.reason, w.customer FROM integration.what_helps w
                   WHERE w.customer ~* '\m(endpoint|sync|queue|breaker|retry|credential|url|http|curl|select|integration|postgres\w*|worker|operations|engineering|support|[0-9]{3})\M|_'$$,
                'customers are told nothing internal');
SELECT is_empty($$SELECT w.reason, m[1] FROM integration.what_helps w, regexp_matches(w.engineer, 'integration\.([a-z_]+)', 'g') AS m
                   WHERE m[1] NOT IN (SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'integration'::regnamespace)
                     AND m[1] NOT IN (SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'integration'::regnamespace)
                     AND current_setting('integration.' || m[1], true) IS NULL$$,
                'what engineers are pointed at exists');

-- The more exact one; the reader's language before that
CREATE FUNCTION pg_temp.told(reason text, audience text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT to_jsonb(w) ->> told.audience FROM integration.what_helps w WHERE w.reason = told.reason
$$;
SELECT is(pg_temp.told('http:503', 'support'), r.remedy, 'support: as the reason says') FROM integration.error_reason r WHERE r.reason = 'http:503';
INSERT INTO integration.remedy (audience, error_class, words) VALUES ('support', 'remote_unavailable', 'Call Bob.');
SELECT is(pg_temp.told('http:503', 'support'), 'Call Bob.', 'the user''s own for the class');
INSERT INTO integration.remedy (audience, reason, words) VALUES ('support', 'http:503', 'Call Ann.');
SELECT is(pg_temp.told('http:503', 'support'), 'Call Ann.', 'for the reason');
SELECT is(pg_temp.told('http:502', 'support'), 'Call Bob.', 'for that alone');
INSERT INTO integration.remedy (locale, audience, error_class, words) VALUES ('de', 'support', 'remote_unavailable', 'Bob anrufen.');
SET LOCAL integration.locale = 'de-AT';
SELECT is(pg_temp.told('http:503', 'support'), 'Bob anrufen.', 'a text for the class in the reader''s language goes before an exact one in English');
RESET integration.locale;
SELECT is((SELECT count(*) FROM integration.remedy r WHERE NOT r.shipped), 3::bigint, 'what was written is the user''s');
SELECT throws_ok($$INSERT INTO integration.remedy (audience, words) VALUES ('support', 'x')$$, '23514', NULL, 'a remedy is for a class or a reason');
SELECT throws_ok($$INSERT INTO integration.remedy (audience, error_class, reason, words) VALUES ('support', 'auth', 'http:401', 'x')$$, '23514', NULL, 'not for both');

-- In the views, with what worked before first
INSERT INTO integration.connector (name) VALUES ('crm');
INSERT INTO integration.endpoint (name, url, connector)
SELECT e.name, 'https://api.example.com/', e.connector FROM (VALUES ('shop', 'crm'), ('bill', 'crm'), ('post', NULL)) AS e (name, connector);
CREATE FUNCTION pg_temp.refused(endpoint text) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint := pg_temp.enqueue(refused.endpoint, 'PO-1001');
BEGIN
    PERFORM pg_temp.bring(sync, 'http:422');
    RETURN sync;
END
$$;
CREATE FUNCTION pg_temp.remedy(sync bigint) RETURNS text LANGUAGE sql AS $$SELECT f.remedy FROM integration.failed f WHERE f.id = remedy.sync$$;
SELECT pg_temp.refused('shop') AS shop, pg_temp.refused('bill') AS bill, pg_temp.refused('post') AS post \gset
SELECT is(pg_temp.remedy(:shop), r.remedy, 'nothing worked yet: the remedy') FROM integration.error_reason r WHERE r.reason = 'http:422';
SELECT integration.resolve(i.id, 'asked the customer.') FROM integration.incident i WHERE i.endpoint = 'post' \g /dev/null
SELECT alike(pg_temp.remedy(:shop), 'This helped before: asked the customer (incident %). The other system%', 'what helped somebody goes first');
SELECT integration.resolve(i.id, 'mapped the field') FROM integration.incident i WHERE i.endpoint = 'bill' \g /dev/null
SELECT alike(pg_temp.remedy(:shop), 'This helped before: mapped the field (incident %', 'before that what helped at the same product');
SELECT alike(pg_temp.remedy(:post), 'This helped before: asked the customer (incident %', 'and at the endpoint itself');
SELECT alike(integration.why(:shop), '%; remedy: This helped before: mapped the field (incident %', 'why() says so');
SELECT alike((SELECT s.remedy FROM integration.incident_status s WHERE s.endpoint = 'shop'), 'This helped before: mapped the field (incident %). The other system%', 'so does the list of incidents');
SELECT ok((SELECT b.n < a.n FROM integration.runbook((SELECT s.id FROM integration.incident_status s WHERE s.endpoint = 'shop')) WITH ORDINALITY AS b (step, what, statement, who, n),
                               integration.runbook((SELECT s.id FROM integration.incident_status s WHERE s.endpoint = 'shop')) WITH ORDINALITY AS a (step, what, statement, who, n)
            WHERE b.what LIKE 'This helped before: %' AND a.what LIKE 'The other system%'), 'so does the runbook');

SELECT * FROM finish();
ROLLBACK;
