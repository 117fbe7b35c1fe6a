-- An incident says two weeks ahead that a client certificate ends.
\ir ../lib/secret_key.sql
\set first `openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=first -days 30 -keyout "$KEY_FILE.pem" 2>/dev/null && cat "$KEY_FILE.pem"`
\set next `openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=next -days 300 -keyout "$KEY_FILE.pem" 2>/dev/null && cat "$KEY_FILE.pem"`

BEGIN;
\ir ../lib/refusal.sql
SELECT plan(17);

INSERT INTO integration.connector (name, owner) VALUES ('bank', 'payments');
INSERT INTO integration.credential (name, kind) VALUES ('bank', 'client_certificate'), ('spare', 'client_certificate'), ('token', 'bearer');
INSERT INTO integration.endpoint (name, url, connector, credential, certificate) VALUES
    ('transfers', 'https://bank.example.com/t', 'bank', 'token', 'bank'), ('accounts', 'https://bank.example.com/a', 'bank', NULL, 'bank');
SELECT integration.set_secret('bank', :'first'), integration.set_secret('spare', :'first') \g /dev/null
SELECT s.certificate_expires_at AS ends_at FROM integration.secret_status s WHERE s.credential = 'bank' \gset

CREATE FUNCTION pg_temp.look(at timestamptz) RETURNS text
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM integration_worker.watch_certificates(look.at);
    RETURN (SELECT string_agg(i.endpoint || ' ' || i.state, ', ' ORDER BY i.id) FROM integration.incident i WHERE i.error_class = 'certificate_ending');
END
$$;

SELECT ok('watch_certificates' = ANY (integration_worker.watchdogs()), 'somebody looks');
SELECT is(pg_temp.look(:'ends_at'::timestamptz - interval '14 days 1 s'), NULL, 'in time');
SELECT is(pg_temp.look(:'ends_at'::timestamptz - interval '14 days'), 'accounts open', 'two weeks before its end, once for all who show it');
-- "in 30 d", a second later "in 29 d 23 h"
CREATE FUNCTION pg_temp.without_wait(told text) RETURNS text
    LANGUAGE sql
    RETURN regexp_replace(told, ' \(in [^)]*\)', '');
SELECT is((SELECT pg_temp.without_wait(i.note) FROM integration.incident i WHERE i.error_class = 'certificate_ending'),
          pg_temp.without_wait(format('The certificate of credential "bank" ends at %s. Endpoints that show it: 2.', integration_worker.time_words(:'ends_at'))),
          'which one, when');
SELECT is((SELECT (i.owner, i.responsible)::text FROM integration.incident i WHERE i.error_class = 'certificate_ending'), '(payments,operations)', 'whose');
SELECT is(pg_temp.look(:'ends_at'::timestamptz - interval '13 days'), 'accounts open', 'said once');
SELECT is((SELECT string_agg(r.statement, ' ' ORDER BY r.step)
             FROM integration.incident i CROSS JOIN LATERAL integration.runbook(i.id) r
            WHERE i.error_class = 'certificate_ending' AND r.statement LIKE '%secret%'),
          $$SELECT * FROM integration.secret_status WHERE credential = 'bank'; SELECT integration.set_secret('bank', '…');$$, 'the steps name the credential');
SELECT is((SELECT count(DISTINCT r.audience) FROM integration.remedy r WHERE r.error_class = 'certificate_ending' AND r.locale = 'en'), 2::bigint,
          'engineers and customers have words of their own');
SELECT isnt((SELECT k.remedy FROM integration.error_class k WHERE k.name = 'certificate_ending'), '', 'support has those of the class');

UPDATE integration.endpoint SET certificate = NULL WHERE name = 'accounts';
SELECT is(pg_temp.look(:'ends_at'::timestamptz - interval '12 days'), 'accounts resolved, transfers open', 'who shows it no more is left alone');
SELECT integration.set_secret('bank', :'next', :'ends_at'::timestamptz - interval '1 day') \g /dev/null
SELECT is(pg_temp.look(:'ends_at'::timestamptz - interval '12 days'), 'accounts resolved, transfers resolved', 'the next one is set, for later');
SELECT integration.forget_secret('bank', 2) \g /dev/null
UPDATE integration.endpoint SET certificate = 'spare' WHERE name = 'accounts';
UPDATE integration.secret SET not_after = NULL WHERE credential = 'bank';
SELECT matches(pg_temp.look(:'ends_at'::timestamptz + interval '1 h'), 'open.*open', 'each credential has its own');
SELECT matches((SELECT i.note FROM integration.incident i WHERE i.error_class = 'certificate_ending' AND i.resolved_at IS NULL ORDER BY i.id DESC LIMIT 1),
               ' ended at ', 'one that has ended says so');
UPDATE integration.endpoint SET credential = 'spare', certificate = NULL WHERE name = 'accounts';
SELECT matches(pg_temp.look(:'ends_at'::timestamptz + interval '1 h'), 'accounts open', 'in the column credential, too');

-- Each is opened now and then.
DELETE FROM integration_worker.certificate;
SELECT is(ARRAY[integration_worker.look_at_certificates(:'ends_at'::timestamptz - interval '20 days', '14 days', 1),
                integration_worker.look_at_certificates(:'ends_at'::timestamptz - interval '20 days', '14 days', 10),
                integration_worker.look_at_certificates(:'ends_at'::timestamptz - interval '19 days 1 s', '14 days', 10)], '{1,1,0}', 'a few at a time, once a day');
SELECT is(ARRAY[integration_worker.look_at_certificates(:'ends_at'::timestamptz - interval '14 days', '14 days', 10),
                integration_worker.look_at_certificates(:'ends_at'::timestamptz - interval '14 days' + interval '10 min', '14 days', 10)], '{2,2}', 'more often near the end');
SELECT is(integration_worker.watch_certificates(:'ends_at'::timestamptz), NULL, 'when all were looked at it is over for this time');

SELECT * FROM finish();
ROLLBACK;
ALTER SYSTEM RESET integration.secret_key_file;
SELECT pg_reload_conf() \gset
