-- Settings of OAuth 2.0 clients: what can't work is refused, with a sentence that says why.
BEGIN;
\ir ../lib/refusal.sql

CREATE FUNCTION pg_temp.insertion(settings jsonb) RETURNS text
    LANGUAGE sql
AS $$
    SELECT pg_temp.refusal(format('INSERT INTO integration.credential VALUES (%L, ''oauth2_client_credentials'', %L)',
                                  gen_random_uuid(), '{"token_url": "https://login.example.com/token", "client_id": "a"}'::jsonb || settings))
$$;

CREATE TEMP TABLE case_of (settings jsonb, refusal text);
INSERT INTO case_of VALUES
    ('{}', '^accepted$'),
    ('{"auth": "basic", "scope": "read write:all", "audience": "x y", "resource": "https://shop.example.com/a?b"}', '^accepted$'),
    ('{"auth": "body", "resource": "urn:shop"}', '^accepted$'),
    ('{"token_url": ""}', 'token_url is missing\.'),
    ('{"client_id": ""}', 'client_id is missing\.'),
    ('{"client_secret": "x"}', 'client_secret is unknown\. .* has these settings: token_url \(required\), client_id \(required\), scope, audience, resource, auth\. What is secret goes to'),
    ('{"auth": "jwt"}', 'auth is none of basic, body\.'),
    ('{"scope": 1}', 'scope is not a string\.'),
    ('{"scope": "read  write"}', 'scope is not a list of words'),
    ('{"scope": "\"read\""}', 'scope is not a list of words'),
    ('{"resource": "shop"}', 'resource is not an absolute URI'),
    ('{"resource": "https://shop.example.com/#a"}', 'resource is not an absolute URI'),
    ('{"client_id": "a\nb"}', 'client_id holds a control character\.'),
    ('{"token_url": "https://login.example.com/{object_id}"}', 'token_url holds a brace'),
    ('{"token_url": "https://login.example.com/#a"}', 'part after "#"'),
    ('{"token_url": "https://a:b@login.example.com/"}', 'user name or password'),
    ('{"token_url": "http://8.8.8.8/token"}', 'Plain http is allowed only'),
    ('{"token_url": "https://10.0.0.1/token"}', 'protected network'),
    ('{"token_url": "file:///etc/passwd"}', 'must begin with https');

SELECT plan((SELECT count(*)::integer + 2 FROM case_of));

SELECT matches(pg_temp.insertion(c.settings), c.refusal, c.settings::text) FROM case_of c;

INSERT INTO integration.credential VALUES ('shop', 'oauth2_client_credentials', '{"token_url": "https://login.example.com/token", "client_id": "a"}');
INSERT INTO integration.endpoint (name, url, credential) VALUES ('shop', 'https://shop.example.com/', 'shop');
SELECT matches(pg_temp.refusal($$UPDATE integration.credential SET settings = settings || '{"token_url": "https://10.0.0.1/"}' WHERE name = 'shop'$$),
               '^23514 settings of credential "shop" cannot be used', 'so are changes');
SELECT ok('Authorization: Bearer ***' = ANY (integration_worker.masked_headers('shop', NULL)), 'preview() shows what would be there');

SELECT * FROM finish();
ROLLBACK;
