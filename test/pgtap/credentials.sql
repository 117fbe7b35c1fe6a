-- Credentials in SQL: what their settings may be, secrets by version, what people are told.
\getenv tmp TMPDIR
\! (umask 077; mkdir -p "$TMPDIR/pgtap.secrets"; printf 'whsec_short\n' > "$TMPDIR/pgtap.secrets/short"; printf 'from the file\n' > "$TMPDIR/pgtap.secrets/good")
SELECT format('ALTER SYSTEM SET integration.secret_directory = %L', :'tmp' || '/pgtap.secrets') \gexec
\ir ../lib/secret_key.sql

BEGIN;
\ir ../lib/refusal.sql
SELECT plan(95);
SELECT is(current_setting('integration.secret_key_file'), :'tmp' || '/pgtap.key', 'there is a key');

-- Settings: each kind has its own, and says which.
CREATE TEMP TABLE wrong (kind text, settings text, problem text);
INSERT INTO wrong VALUES
    ('basic', '{}', 'username is missing\..*A credential of kind basic has these settings: username \(required\)\.'),
    ('basic', '{"username": ""}', 'username is missing\.'),
    ('basic', '{"username": "a:b"}', 'username holds a colon\.'),
    ('basic', '{"username": "a\nb"}', 'username holds a control character\.'),
    ('basic', '{"username": 7}', 'username is not a string\.'),
    ('basic', '{"username": "a", "password": "b"}', 'password is unknown\..*What is secret goes to integration\.set_secret\(\)'),
    ('bearer', '{"token": "a"}', 'token is unknown\..*A credential of kind bearer has no settings; its secret goes to integration\.set_secret\(\)'),
    ('header', '{}', 'name is missing\.'),
    ('header', '{"name": "a b"}', '"a b"'),
    ('header', '{"name": "Content-Length"}', 'Content-Length'),
    ('oauth2_client_credentials', '{"token_url": "https://example.com"}', 'client_id is missing\.'),
    ('oauth2_client_credentials', '{"token_url": "ftp://example.com", "client_id": "a"}', 'https://'),
    ('oauth2_client_credentials', '{"token_url": "https://example.com", "client_id": "a", "auth": "jwt"}', 'auth is none of basic, body\.'),
    ('aws_sigv4', '{"region": "eu", "service": "s3"}', 'access_key_id is missing\.'),
    ('aws_sigv4', '{"region": "eu west", "service": "s3", "access_key_id": "a"}', 'region holds a blank'),
    ('aws_sigv4', '{"region": "eu", "service": "s3", "access_key_id": "a/b"}', 'access_key_id holds a blank, a comma, a slash'),
    ('client_certificate', '{"cert": "a"}', 'cert is unknown\..*these settings: ca\.'),
    ('client_certificate', '{"ca": "a"}', 'ca holds no certificate in PEM'),
    ('signing', '{"scheme": "md5"}', 'scheme is none of standard_webhooks, rfc9421\.'),
    ('signing', '{"overlap": "-1 h"}', 'overlap is negative'),
    ('signing', '{"overlap": "1 month"}', 'has months or years'),
    ('signing', '{"overlap": "soon"}', 'overlap is not a length of time');
SELECT matches(pg_temp.refusal(format('INSERT INTO integration.credential VALUES (%L, %L, %L)', 'x', w.kind, w.settings)),
               '^23514 settings of credential "x" cannot be used \| .*' || w.problem, w.kind || ' ' || w.settings)
  FROM wrong w;
SELECT is(pg_temp.refusal(format('INSERT INTO integration.credential VALUES (%L, %L, %L)', g.kind || g.n, g.kind, g.settings)), 'accepted',
          g.kind || ' ' || g.settings)
  FROM (VALUES
    (1, 'basic', '{"username": "ann"}'), (1, 'bearer', '{}'), (1, 'header', '{"name": "X-Api-Key"}'),
    (1, 'oauth2_client_credentials', '{"token_url": "https://example.com/t", "client_id": "a", "scope": "b", "auth": "body"}'),
    (1, 'aws_sigv4', '{"region": "eu-west-1", "service": "s3", "access_key_id": "test:tester"}'),
    (1, 'client_certificate', '{}'), (1, 'signing', '{}'), (2, 'signing', '{"scheme": "rfc9421", "key_id": "k", "overlap": "2 h"}')
  ) g (n, kind, settings);
SELECT matches(pg_temp.refusal($$UPDATE integration.credential SET kind = 'basic' WHERE name = 'bearer1'$$),
               '^23514 kind of credential "bearer1" cannot be changed \|.*\| Insert another credential', 'the kind stays');
SELECT matches(pg_temp.refusal($$UPDATE integration.credential SET settings = '{}' WHERE name = 'basic1'$$),
               'username is missing', 'an update is looked at, too');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.credential VALUES ('x', 'password', '{}')$$), '^23514 kind of credential "x" cannot be used \| It is password\. \| Write basic, bearer, ', 'an unknown kind');

-- Values that a credential of the kind can't use are refused when they are set.
SELECT matches(pg_temp.refusal(format('SELECT integration.set_secret(%L, %L)', v.credential, v.value)), v.problem, v.what)
  FROM (VALUES
    ('an unknown credential', 'none', 'x', '^P0002 credential "none" does not exist \| Insert it into integration\.credential first'),
    ('nothing', 'bearer1', '', '^22023 value cannot be the secret of a credential of kind bearer \| The value is empty\.'),
    ('NULL', 'bearer1', NULL, 'The value is empty\.'),
    ('a line break', 'bearer1', E'a\nb', 'The value holds a line break'),
    ('one too long for a header', 'header1', repeat('x', 8193), 'longer than 8192 bytes'),
    ('a short signing key', 'signing1', 'whsec_c2hvcnQ=', 'less than 24 bytes; integration\.new_signing_key\(\) makes'),
    ('a public key', 'signing1', 'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=', 'a public key, which cannot sign'),
    ('a temporary key without one', 'aws_sigv41', '{"session_token": "a"}', 'The secret access key is empty'),
    ('a session token with a line break', 'aws_sigv41', '{"secret_access_key": "a", "session_token": "b\nc"}', 'session token cannot be sent'),
    ('no PEM', 'client_certificate1', 'x', 'neither a certificate nor a private key'),
    ('a file that isn''t there', 'bearer1', 'file:none', '^22023 .*"none"'),
    ('a file that leads out', 'bearer1', 'file:../pgtap.key', '^22023 '),
    ('a file of no use', 'signing1', 'file:short', '"short": '),
    ('no view', 'bearer1', 'view:nothing', '^22023 value cannot be the reference .*is not of the form schema\.view/name\. \| Write view:schema\.view/name'),
    ('a view that isn''t there', 'bearer1', 'view:public.none/x', 'View public\.none does not exist\.')
  ) v (what, credential, value, problem);
SELECT is((SELECT count(*) FROM integration.secret), 0::bigint, 'nothing of it was kept');

-- Versions: the former one ends when the next begins; signing ones overlap.
CREATE FUNCTION pg_temp.validity(credential text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(format('%s: %s to %s', s.version, justify_hours(s.not_before - now()), coalesce(justify_hours(s.not_after - now())::text, 'ever')), ', '
                      ORDER BY s.version)
      FROM integration.secret_status s WHERE s.credential = validity.credential
$$;
SELECT is(integration.set_secret('bearer1', 'one-secret-value'), 1, 'the first version');
SELECT is(integration.set_secret('bearer1', 'two-secret-value', now() + '1 h'), 2, 'the second');
SELECT is(pg_temp.validity('bearer1'), '1: 00:00:00 to 01:00:00, 2: 01:00:00 to ever', 'the first ends when the second begins');
SELECT is(integration.set_secret('bearer1', 'three-secret-value', now() + '30 min'), 3, 'one before that');
SELECT is(pg_temp.validity('bearer1'), '1: 00:00:00 to 00:30:00, 2: 01:00:00 to 00:30:00, 3: 00:30:00 to ever',
          'takes the place of the second, which never begins');
SELECT is(integration.set_secret('signing1', integration.new_signing_key()), 1, 'a key');
SELECT is(integration.set_secret('signing1', integration.new_signing_key('v1a')), 2, 'another');
SELECT is(pg_temp.validity('signing1'), '1: 00:00:00 to 1 day, 2: 00:00:00 to ever', 'both sign for a day');
SELECT integration.set_secret('signing2', integration.new_signing_key()), integration.set_secret('signing2', integration.new_signing_key(), NULL) \gset
SELECT is(pg_temp.validity('signing2'), '1: 00:00:00 to 02:00:00, 2: 00:00:00 to ever', 'or for settings.overlap; no time is now');
SELECT results_eq($$SELECT version FROM integration_worker.credentials('{signing1}')$$, ARRAY[2, 1], 'the worker gets the newest first');
SELECT is(integration.forget_secret('signing1', 1)::text, '', 'a version is forgotten');
SELECT is(pg_temp.validity('signing1'), '2: 00:00:00 to ever', 'it is gone');
SELECT matches(pg_temp.refusal($$SELECT integration.forget_secret('signing1', 1)$$),
               '^P0002 credential "signing1" has no secret of version 1 \| Its versions are in SELECT version FROM integration\.secret_status', 'once only');
SELECT is(integration.set_secret('signing1', integration.new_signing_key()), 3, 'the next number is another one');
SELECT is((SELECT s.version FROM integration_worker.credentials('{basic1}') s), NULL, 'a credential without a secret is there for the worker');

-- What is sealed stays where it is.
SELECT matches(pg_temp.refusal(u.statement), '^55000 secret of credential "bearer1" cannot be changed \| .*\| Forget the secret', u.what)
  FROM (VALUES ('a rename is refused', $$UPDATE integration.credential SET name = 'other' WHERE name = 'bearer1'$$),
               ('another version', $$UPDATE integration.secret SET version = 9 WHERE credential = 'bearer1' AND version = 1$$),
               ('another value', $$UPDATE integration.secret SET sealed = '' WHERE credential = 'bearer1'$$)) u (what, statement);
SELECT is(pg_temp.refusal($$UPDATE integration.credential SET name = 'basic2' WHERE name = 'basic1'$$), 'accepted', 'without a secret it can be renamed');
INSERT INTO integration.secret (credential, version, sealed) SELECT 'basic2', 1, sealed FROM integration.secret WHERE credential = 'bearer1' AND version = 1;
SELECT is((SELECT concat_ws(' ', readable, problem) FROM integration.secret_status WHERE credential = 'basic2'),
          'f It was sealed with another key, or for another place.', 'a row that is copied can''t be read');
SELECT is((SELECT count(*) FROM integration.secret s WHERE position('secret-value' IN encode(s.sealed, 'escape')) > 0), 0::bigint, 'no value stands in its row');

-- References.
CREATE ROLE "credentials Stranger";
CREATE ROLE "credentials Boss" IN ROLE pg_monitor;
SELECT integration.grant_administrator('"credentials Boss"') \gset
CREATE SCHEMA "credentials";
GRANT USAGE ON SCHEMA "credentials" TO "credentials Stranger";
CREATE TABLE "credentials".kept (name text, decrypted_secret text);
INSERT INTO "credentials".kept VALUES ('shop', 'from the vault');
CREATE VIEW "credentials".vault AS SELECT * FROM "credentials".kept;
CREATE VIEW "credentials".lacking AS SELECT name FROM "credentials".kept;
CREATE VIEW "credentials".theirs AS SELECT 'shop'::text AS name, 'x'::text AS value;
ALTER VIEW "credentials".theirs OWNER TO "credentials Stranger";
CREATE SCHEMA "credentials of others" AUTHORIZATION "credentials Stranger";
CREATE VIEW "credentials of others".vault AS SELECT * FROM "credentials".kept;
SELECT matches(pg_temp.refusal(format('SELECT integration.set_secret(%L, %L)', 'bearer1', r.value)), r.problem, r.what)
  FROM (VALUES
    ('a table', 'view:credentials.kept/shop', 'credentials\.kept is no view\.'),
    ('without a value', 'view:credentials.lacking/shop', 'lacks a column name, or one named decrypted_secret or value'),
    ('somebody else''s', 'view:credentials.theirs/shop', 'belongs neither to a superuser nor to the owner of the extension'),
    ('in somebody else''s schema', 'view:credentials of others.vault/shop', 'belongs neither to a superuser nor')
  ) r (what, value, problem);
SELECT is(pg_temp.refusal($$SELECT integration.set_secret('bearer1', 'view:credentials.vault/shop')$$), 'accepted', 'a view of one''s own');
SELECT is((integration_worker.view_secret('credentials.vault/shop')).secret, 'from the vault', 'which the worker reads');
SELECT is((integration_worker.view_secret('credentials.vault/none')).problem, 'credentials.vault has no value under this name.', 'or not');
SELECT is(pg_temp.refusal($$SELECT integration.set_secret('header1', 'file:good')$$), 'accepted', 'a file');
SELECT results_eq($$SELECT credential, source, readable FROM integration.secret_status
                     WHERE credential IN ('bearer1', 'header1') ORDER BY credential, version$$,
                  $$VALUES ('bearer1', 'value', true), ('bearer1', 'value', true), ('bearer1', 'value', true), ('bearer1', 'view', true), ('header1', 'file', true)$$,
                  'secret_status says what was set');
ALTER VIEW "credentials".vault OWNER TO "credentials Stranger";
SELECT matches((SELECT problem FROM integration.secret_status WHERE source = 'view'), 'belongs neither to a superuser', 'a view that went into other hands');
SELECT matches((integration_worker.view_secret('credentials.vault/shop')).problem, 'belongs neither to a superuser', 'is read no more');
\! rm "$TMPDIR/pgtap.secrets/good"
SELECT matches((SELECT problem FROM integration.secret_status WHERE source = 'file'), '"good"', 'nor is a file that is gone');

-- Who may.
SELECT is(pg_temp.refusal($$SELECT count(*) FROM integration.secret_status$$, 'credentials Boss'), 'accepted', 'administrators see how they stand');
SELECT is(pg_temp.refusal($$SELECT integration.set_secret('bearer1', 'x')$$, 'credentials Boss'), 'accepted', 'and set them');
SELECT matches(pg_temp.refusal(s.statement, 'credentials Boss'), '^42501 ', 'but not: ' || s.statement)
  FROM (VALUES ('SELECT sealed FROM integration.secret'),
               ($$SELECT integration_worker.view_secret('a.b/c')$$),
               ($$SELECT integration_worker.sealed('a', 'bearer', '')$$)) s (statement);

-- What an endpoint that uses them is told before anything is sent.
SELECT is(integration_worker.missing_secret(ARRAY['bearer1', 'signing1', NULL]), NULL, 'each has one');
SELECT matches(integration_worker.missing_secret('{client_certificate1}'), '^Credential "client_certificate1" has no secret that is valid now; set one', 'one has none');
SELECT is(integration_worker.masked_headers('header1', 'signing2'),
          ARRAY['X-Api-Key: ***', 'Content-Digest: ***', 'Signature-Input: ***', 'Signature: ***'], 'headers are shown without what is secret');

-- Who was stopped with a former secret is probed when the next one begins.
INSERT INTO integration.endpoint (name, url, credential)
SELECT n, 'https://api.example.com/', 'bearer1' FROM unnest('{refused,missing,broken,before}'::text[]) n;
INSERT INTO integration.endpoint_health (endpoint_id, state, open_until, last_reason, last_failure_at)
SELECT e.id, 'stopped', now() + interval '1 h', r.reason, r.at
  FROM (VALUES ('refused', 'http:401', now() - interval '1 min'), ('missing', 'secret_missing', now() - interval '1 min'),
               ('broken', 'curl:60', now() - interval '1 min'), ('before', 'http:401', now() + interval '1 s')) AS r (name, reason, at)
  JOIN integration.endpoint e ON e.name = r.name;
SELECT integration.set_secret('bearer1', 'the next one') \g /dev/null
UPDATE integration.endpoint_health SET state = 'stopped', open_until = now() + interval '1 h';
SELECT integration_worker.probe_mended(false) \g /dev/null
SELECT is((SELECT h.open_until <= now() FROM integration.endpoint_health h JOIN integration.endpoint e ON e.id = h.endpoint_id WHERE e.name = x.name),
          x.is_probed, x.name)
  FROM (VALUES ('refused', true), ('missing', true), ('broken', false), ('before', false)) AS x (name, is_probed);

SELECT * FROM finish();
ROLLBACK;
ALTER SYSTEM RESET integration.secret_key_file;
ALTER SYSTEM RESET integration.secret_directory;
SELECT pg_reload_conf() \gset
