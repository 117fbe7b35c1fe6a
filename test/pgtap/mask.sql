-- What endpoint.mask names is shown to administrators alone, wherever support sees a payload or an answer.
BEGIN;
\ir ../lib/refusal.sql

SELECT plan(42);

-- path, what becomes of the document
CREATE TEMP TABLE path (path text, result jsonb);
INSERT INTO path VALUES
    ('$.iban', '{"iban": "***", "card": {"no": "4111", "cvc": 123}, "lines": [{"sku": "a", "price": 1}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$.card', '{"iban": "DE02", "card": "***", "lines": [{"sku": "a", "price": 1}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$.card.cvc', '{"iban": "DE02", "card": {"no": "4111", "cvc": "***"}, "lines": [{"sku": "a", "price": 1}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$.card.*', '{"iban": "DE02", "card": {"no": "***", "cvc": "***"}, "lines": [{"sku": "a", "price": 1}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$.lines[*].price', '{"iban": "DE02", "card": {"no": "4111", "cvc": 123}, "lines": [{"sku": "a", "price": "***"}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$.lines.price', '{"iban": "DE02", "card": {"no": "4111", "cvc": 123}, "lines": [{"sku": "a", "price": "***"}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$.lines[*]', '{"iban": "DE02", "card": {"no": "4111", "cvc": 123}, "lines": ["***", "***"], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$.iban[*]', '{"iban": "***", "card": {"no": "4111", "cvc": 123}, "lines": [{"sku": "a", "price": 1}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$.**.no', '{"iban": "DE02", "card": {"no": "***", "cvc": 123}, "lines": [{"sku": "a", "price": 1}, {"sku": "b"}], "list": [[{"no": "***"}], 5], "a b": {"*": 1}}'),
    ('$."a b"."*"', '{"iban": "DE02", "card": {"no": "4111", "cvc": 123}, "lines": [{"sku": "a", "price": 1}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": "***"}}'),
    ('$.none.such', '{"iban": "DE02", "card": {"no": "4111", "cvc": 123}, "lines": [{"sku": "a", "price": 1}, {"sku": "b"}], "list": [[{"no": 7}], 5], "a b": {"*": 1}}'),
    ('$', '"***"'),
    ('$.**', '"***"');
SELECT is(integration_worker.masked((SELECT p.result FROM path p WHERE p.path = '$.none.such'), ARRAY[p.path]), p.result, p.path)
  FROM path p;
SELECT is(integration_worker.masked('{"a": 1, "b": [2], "c": {}}', '{$.a,$.b,$.c}'), '{"a": "***", "b": "***", "c": "***"}', 'several paths');
SELECT is(integration_worker.masked('{"a": {}, "b": []}', '{$.**.x}'), '{"a": {}, "b": []}', 'what is empty stays');
SELECT is(integration_worker.masked('{"a": 1}', '{}'), '{"a": 1}', 'no path');
SELECT is(integration_worker.masked((repeat('[', 3000) || repeat(']', 3000))::jsonb, '{$.**.x}'), '"***"', 'nested too deeply: nothing is shown');

-- A path that can't be meant is refused.
CREATE FUNCTION pg_temp.setting(mask text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT pg_temp.refusal(format('INSERT INTO integration.endpoint (name, url, mask) VALUES (''masks'', ''https://a.example.com/'', %s)', mask))
$$;
SELECT is(pg_temp.setting($$'{$.a ? (@ > 1)}'$$),
          '23514 mask of endpoint "masks" cannot be used | $.a ? (@ > 1) does more than name members. | '
          'Write paths to members, such as ARRAY[''$.iban'', ''$.lines[*].price'', ''$.**.password''].', 'a filter is refused');
SELECT matches(pg_temp.setting($$'{$.a[}'$$), '^23514 mask of endpoint "masks" cannot be used \| \$\.a\[ is no jsonpath: ', 'so is what is no path');
SELECT matches(pg_temp.setting(p.mask), '^23514 .*such as ARRAY', p.mask)
  FROM unnest(ARRAY[$$'{iban}'$$, $$'{$.a[0]}'$$, $$'{strict $.a}'$$, $$'{$.a.size()}'$$, $$'{$x}'$$, $$'{{$.a},{$.b}}'$$, $$'{NULL}'$$,
                    $$'{""}'$$, $$array_fill('$.a'::text, '{101}')$$, $$ARRAY['$."' || repeat('a', 1000) || '"']$$]) AS p (mask);

-- An answer, an error that say again what was sent.
INSERT INTO integration.connector (name, mask) VALUES ('masked', '{$.iban,$.person.name}');
INSERT INTO integration.endpoint (name, connector, url) VALUES ('masked', 'masked', 'https://a.example.com/');
INSERT INTO integration.endpoint (name, connector, url, mask) VALUES ('open', 'masked', 'https://a.example.com/', '{}');
CREATE TEMP TABLE made AS SELECT 0::bigint AS id WHERE false;
WITH new AS (
    INSERT INTO integration.outbox (endpoint, payload)
    VALUES ('masked', '{"iban": "DE0210010010", "person": {"name": "Zo\u00eb \"Z\"  Quux"}, "qty": 77}') RETURNING id)
INSERT INTO made SELECT id FROM new;
CREATE FUNCTION pg_temp.told(said text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT integration_worker.masked_error(m.id, c.mask, said) FROM made m, integration.endpoint_config c WHERE c.name = 'masked'
$$;
SELECT is(pg_temp.told('IBAN DE0210010010 of Zoë "Z" Quux (77)'), 'IBAN *** of *** (77)', 'an error does not repeat it');
SELECT is(pg_temp.told('no such IBAN: DE02100'), 'no such IBAN: ***', 'nor its beginning, cut off');
SELECT is(pg_temp.told(NULL), NULL, 'no error');
SELECT is(integration_worker.masked_error(m.id, c.mask, 'DE0210010010'), 'DE0210010010', 'where nothing is masked it does')
  FROM made m, integration.endpoint_config c WHERE c.name = 'open';
SELECT is((SELECT c.mask FROM integration.endpoint_config c WHERE c.name = 'masked'), '{$.iban,$.person.name}', 'a mask comes from the connector');

INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, response_headers, response_body)
SELECT m.id, 1, e.id, now(), 'delivered', 'http:200', '{"x-echo": "DE0210010010"}',
       '{"iban": "DE99", "text": "Zo\u00eb \"Z\"  Quux has DE0210010010"}'
  FROM made m, integration.endpoint e WHERE e.name = 'masked';

CREATE ROLE mask_support;
CREATE ROLE mask_administrator;
SELECT integration.grant_support('mask_support'), integration.grant_administrator('mask_administrator') \g /dev/null
GRANT SELECT ON made TO PUBLIC;
SET ROLE mask_support;
SELECT is((SELECT p.payload FROM integration.sync_payload p JOIN made m ON m.id = p.id), '{"iban": "***", "person": {"name": "***"}, "qty": 77}', 'support sees the payload without');
SELECT is((SELECT p.body::jsonb FROM made m, integration.preview(m.id) p), '{"iban": "***", "person": {"name": "***"}, "qty": 77}', 'so in the preview');
SELECT unalike((SELECT a.response_headers::text || a.response_body FROM integration.sync_attempt a JOIN made m ON m.id = a.outbox_id), '%DE%', 'nor is it in an answer');
SELECT unalike((SELECT a.response_body FROM integration.sync_attempt a JOIN made m ON m.id = a.outbox_id), '%Quux%', 'however the answer escapes it');
SELECT matches(pg_temp.refusal('SELECT payload FROM integration.outbox'), '^42501 ', 'the table does not show it');
RESET ROLE;
SET ROLE mask_administrator;
SELECT matches((SELECT p.payload::text || a.response_body FROM integration.sync_payload p JOIN made m ON m.id = p.id JOIN integration.sync_attempt a ON a.outbox_id = m.id),
               'DE0210010010.*DE99', 'administrators see all');
SELECT matches((SELECT p.body FROM made m, integration.preview(m.id) p), 'DE0210010010', 'in the preview too');
RESET ROLE;
SELECT integration.cancel(m.id) FROM made m \g /dev/null
DELETE FROM integration.endpoint WHERE name = 'masked';
SET ROLE mask_support;
SELECT is((SELECT p.payload FROM integration.sync_payload p JOIN made m ON m.id = p.id), '"***"', 'when the endpoint is gone nothing is shown');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
