-- as_curl() is a command that a shell takes apart into the request of preview(), word for word.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(13);

INSERT INTO integration.credential (name, kind) VALUES ('token', 'bearer');
INSERT INTO integration.endpoint (name, url, method, headers, credential, mask) VALUES
    ('plain', 'https://api.example.com/o/{object_id}?a[]=1&b={operation}', 'PUT', '{"X-Note": "it''s $HOME `id` \\ \"x\""}', NULL, '{$.iban}'),
    ('secret', 'https://api.example.com/', NULL, '{"user-agent": "shop/1"}', 'token', NULL);
CREATE TEMP TABLE made (name text, id bigint);
WITH new AS (
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
    VALUES ('plain', 'order', 'a''b/ü', '{"text": "it''s $(id) `id` \\ \"x\" @file ü", "iban": "DE0210010010"}') RETURNING id)
INSERT INTO made SELECT 'plain', id FROM new;
WITH new AS (INSERT INTO integration.outbox (endpoint, payload) VALUES ('secret', '[1]') RETURNING id)
INSERT INTO made SELECT 'secret', id FROM new;
WITH new AS (INSERT INTO integration.outbox (endpoint, payload, operation) VALUES ('secret', '{}', 'ping') RETURNING id)
INSERT INTO made SELECT 'ping', id FROM new;

-- What a shell makes of it, a word a line.
SELECT integration.as_curl(m.id) AS command FROM made m WHERE m.name = 'plain' \gset
\setenv COMMAND :command
\set words `curl() { printf '%s\n' "$@"; }; eval "$COMMAND"`
CREATE TEMP TABLE word AS SELECT w.word, w.n FROM string_to_table(:'words', E'\n') WITH ORDINALITY AS w (word, n);
CREATE FUNCTION pg_temp.after(option text) RETURNS SETOF text
    LANGUAGE sql
AS $$
    SELECT b.word FROM word a JOIN word b ON b.n = a.n + 1 WHERE a.word = option ORDER BY b.n
$$;
CREATE TEMP TABLE shown AS SELECT p.* FROM made m, integration.preview(m.id) p WHERE m.name = 'plain';
SELECT is(pg_temp.after('--request'), s.method, 'the method') FROM shown s;
SELECT is(pg_temp.after('--url'), s.url, 'the address') FROM shown s;
SELECT matches(s.headers, '^User-Agent: integration/[0-9.]+\n', 'who sends') FROM shown s;
SELECT is((SELECT string_agg(h, E'\n') FROM pg_temp.after('--header') h), s.headers, 'the headers') FROM shown s;
SELECT is(pg_temp.after('--data-raw'), s.body, 'the body') FROM shown s;
SELECT ok('--globoff' IN (SELECT w.word FROM word w) AND '--path-as-is' IN (SELECT w.word FROM word w), 'nothing means more than it says');

SELECT matches(integration.as_curl(m.id), E'^# it would not be sent: .*\n# put in what \\*\\*\\* stands for\ncurl .*Authorization: Bearer \\*\\*\\*', 'a secret is not shown')
  FROM made m WHERE m.name = 'secret';
SELECT matches(integration.as_curl(m.id), '--head(?!er)', 'a ping is a HEAD') FROM made m WHERE m.name = 'ping';
SELECT unalike(integration.as_curl(m.id), '%--data-raw%', 'without a body') FROM made m WHERE m.name = 'ping';
SELECT matches(integration_worker.curl_of('POST', 'https://a/', E'X-Empty: \nX-Full: 1', '1', NULL), E'''X-Empty;''.*''X-Full: 1''.*''Content-Type:''', 'an empty header, no content type');
SELECT is((SELECT string_agg(h.line, ' ' ORDER BY h.n) FROM string_to_table(p.headers, E'\n') WITH ORDINALITY AS h (line, n) WHERE h.line ILIKE 'user-agent%'),
          'user-agent: shop/1', 'or who the endpoint says it is') FROM made m, integration.preview(m.id) p WHERE m.name = 'secret';
SELECT matches(pg_temp.refusal('SELECT integration.as_curl(9999999)'), '^42704 sync 9999999 does not exist', 'an unknown id');

CREATE ROLE curl_support;
SELECT integration.grant_support('curl_support') \g /dev/null
SET LOCAL ROLE curl_support;
SELECT unalike(integration.as_curl(m.id), '%DE0210010010%', 'support sees what the mask leaves') FROM (SELECT max(s.id) AS id FROM integration.sync s WHERE s.object_id = 'a''b/ü') m;
RESET ROLE;
SELECT * FROM finish();
ROLLBACK;
