-- What runbooks say beyond what is the same for every incident: what waits, what mends the cause.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(15);

INSERT INTO integration.credential (name, kind, settings) VALUES ('login', 'basic', '{"username": "ann"}'), ('shown', 'client_certificate', '{}');
INSERT INTO integration.endpoint (name, url, credential, certificate)
VALUES ('shop', 'https://api.example.com/orders', 'login', 'shown'), ('bare', 'https://api.example.com/bare', NULL, NULL);
INSERT INTO integration.customer (name, title, contact) VALUES ('acme', 'Acme Inc.', 'ann@acme.example');

CREATE FUNCTION pg_temp.refuse(endpoint text, reason text, facts jsonb DEFAULT '{}', ordering_key text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint := pg_temp.enqueue(refuse.endpoint, 'PO-1', refuse.ordering_key);
BEGIN
    PERFORM pg_temp.settle(ARRAY[pg_temp.result(sync, refuse.reason, refuse.facts)]);
    RETURN sync;
END
$$;

-- The statements of a runbook that match, each with who runs it.
CREATE FUNCTION pg_temp.said(endpoint text, error_class text, pattern text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(concat_ws(' by ', r.statement, r.who), '; ' ORDER BY r.step)
      FROM integration.incident i
     CROSS JOIN LATERAL integration.runbook(i.id) r
     WHERE i.endpoint = said.endpoint AND i.error_class = said.error_class AND r.statement IS NOT NULL AND concat(r.what, r.statement) ~ said.pattern
$$;

-- A refused login: the credential's new secret; none: one is named
SELECT pg_temp.refuse('shop', 'http:401') AS refused \gset
SELECT is(pg_temp.said('shop', 'auth', 'set_secret'), 'SELECT integration.set_secret(''login'', ''…''); by administrator', 'a new secret');
SELECT is(pg_temp.said('shop', 'auth', 'SET credential'), NULL, 'it has a credential');
SELECT pg_temp.refuse('bare', 'http:401');
SELECT is(pg_temp.said('bare', 'auth', 'set_secret'), NULL, 'none has no secret');
SELECT is(pg_temp.said('bare', 'auth', 'SET credential'),
          'UPDATE integration.endpoint SET credential = ''…'' WHERE name = ''bare''; by administrator', 'one is named');

-- What waits while it is held
SELECT matches((SELECT r.what FROM integration.runbook((SELECT i.id FROM integration.incident i WHERE i.endpoint = 'shop')) r
                 WHERE r.what ~ 'meanwhile'), '^See what waits meanwhile \(1\)', 'how many wait');
SELECT is((SELECT count(*) FROM integration.runbook((SELECT i.id FROM integration.incident i WHERE i.endpoint = 'shop')) r
            WHERE concat(r.what, r.statement, r.who) ~ '\{[a-z_]+\}'), 0::bigint, 'all words are filled in');

-- By the reason, where the class says too little
SELECT integration.resume('endpoint', 'shop');
SELECT pg_temp.refuse('shop', 'secret_unreadable');
SELECT is(pg_temp.said('shop', 'config', 'reload|set_secret'),
          'SELECT pg_reload_conf(); by operations; SELECT integration.set_secret(''login'', ''…''); by administrator', 'a lost key');
SELECT pg_temp.refuse('bare', 'http:405');
SELECT is(pg_temp.said('bare', 'config', 'reload|set_secret'), NULL, 'another reason of that class');
SELECT pg_temp.refuse('shop', 'curl:35:certificate');
SELECT is(pg_temp.said('shop', 'tls', 'anew'), 'SELECT integration.set_secret(''shown'', ''…''); by administrator', 'the certificate that was refused');
SELECT pg_temp.refuse('shop', 'curl:60');
SELECT is(pg_temp.said('shop', 'tls', 'anew'), NULL, 'theirs is for the vendor to mend');

-- An address
SELECT integration.resume('endpoint', 'bare');
SELECT pg_temp.refuse('bare', 'http:308');
SELECT is(pg_temp.said('bare', 'redirect', 'https://api.example.com/bare'),
          'UPDATE integration.endpoint SET url = ''…'' WHERE name = ''bare''; by administrator', 'another place');

-- Data: whose they are, what waits behind
SELECT integration.resume('endpoint', 'bare');
SELECT pg_temp.refuse('bare', 'http:422', ordering_key => 'A-5') AS head \gset
SELECT pg_temp.enqueue('bare', 'PO-2', 'A-5');
SELECT is(pg_temp.said('bare', 'validation', 'wait 1 more'), format('SELECT integration.cancel(%s, ''why'');', :head), 'what waits behind it');
SELECT is(pg_temp.said('bare', 'validation', 'belongs to'), NULL, 'nobody''s in particular');
INSERT INTO integration.outbox (endpoint, payload, customer, object_type, object_id) VALUES ('shop', '{}', 'acme', 'order', 'PO-3') RETURNING id AS acmes \gset
SELECT pg_temp.bring(:acmes, 'http:422');
SELECT is((SELECT r.what FROM integration.runbook((SELECT i.id FROM integration.incident i WHERE i.example = :acmes)) r WHERE r.what ~ 'belongs'),
          'order PO-3 belongs to Acme Inc., ann@acme.example.', 'whose record it is');

-- Left alone
SELECT pg_temp.settle(ARRAY[pg_temp.result(pg_temp.enqueue('shop'), 'http:429', '{"retry_after_s": 3600}')]);
SELECT is((SELECT count(*) FROM integration.runbook((SELECT i.id FROM integration.incident i WHERE i.example = :acmes)) r
            WHERE r.what ~ 'wants to be left alone until .* \(in' AND r.statement = 'SELECT integration.resume(''endpoint'', ''shop'', ''why'');'), 1::bigint,
          'the other system asked us to wait');

SELECT * FROM finish();
ROLLBACK;
