-- Signatures of Standard Webhooks as a receiver in SQL verifies them.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(40);

-- RFC 2104, independent of the library's
CREATE FUNCTION pg_temp.hmac(key bytea, content bytea) RETURNS bytea
    LANGUAGE plpgsql
AS $$
DECLARE
    inner_pad bytea := decode(repeat('36', 64), 'hex');
    outer_pad bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    FOR i IN 0 .. length(key) - 1 LOOP
        inner_pad := set_byte(inner_pad, i, get_byte(inner_pad, i) # get_byte(key, i));
        outer_pad := set_byte(outer_pad, i, get_byte(outer_pad, i) # get_byte(key, i));
    END LOOP;
    RETURN sha256(outer_pad || sha256(inner_pad || content));
END
$$;

-- The headers of a request that was signed so many seconds ago.
CREATE FUNCTION pg_temp.signed(body text, age_s integer) RETURNS jsonb
    LANGUAGE sql
AS $$
    SELECT jsonb_build_object('webhook-id', 'm1', 'webhook-timestamp', t.at::text, 'webhook-signature',
               'v1,' || encode(pg_temp.hmac(decode('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64'),
                                            convert_to('m1.' || t.at || '.' || body, 'UTF8')), 'base64'))
      FROM (SELECT extract(epoch FROM clock_timestamp())::bigint - age_s) t (at)
$$;

CREATE TEMP TABLE known AS
SELECT '{"test": 2432232314}' AS body, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' AS secret, 'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=' AS public_key,
       '{"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330"}'::jsonb AS headers,
       'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=' AS v1,
       'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==' AS v1a;

-- of any age: the published examples
SELECT is(integration.verify_signature(coalesce(c.body, k.body), k.headers || jsonb_build_object('webhook-signature', c.signature), c.secret, NULL), c.verdict, c.what)
  FROM known k
 CROSS JOIN LATERAL (VALUES
    ('v1', NULL, k.v1, k.secret, true),
    ('v1 without a prefix', NULL, k.v1, substr(k.secret, 7), true),
    ('v1a by the public key', NULL, k.v1a, k.public_key, true),
    ('v1 beside v1a', NULL, k.v1a || ' ' || k.v1, k.secret, true),
    ('v1a beside v1', NULL, k.v1 || ' ' || k.v1a, k.public_key, true),
    ('unknown versions are skipped', NULL, 'v3,abc ' || k.v1, k.secret, true),
    ('only unknown ones', NULL, 'v3,abc', k.secret, false),
    ('another secret', NULL, k.v1, 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD', false),
    ('another body', '{"test":2432232314}', k.v1, k.secret, false),
    ('an empty body', '', k.v1, k.secret, false),
    ('an empty signature', NULL, '', k.secret, false),
    ('no signature', NULL, NULL, k.secret, false)) c (what, body, signature, secret, verdict);
SELECT ok(integration.verify_signature(convert_to(k.body, 'UTF8'), k.headers || jsonb_build_object('webhook-signature', k.v1), k.secret, NULL), 'a body as bytea')
  FROM known k;
SELECT ok(integration.verify_signature(k.body,
              jsonb_build_object('Webhook-Id', k.headers ->> 'webhook-id', 'WEBHOOK-TIMESTAMP', 1614265330, 'Webhook-Signature', k.v1), k.secret, NULL),
          'names in any case, the timestamp as a number')
  FROM known k;

-- what is missing is false, so that "IF NOT verify_signature(...)" refuses it
SELECT is(integration.verify_signature(k.body, c.headers, k.secret, NULL), false, 'headers ' || c.what)
  FROM known k
 CROSS JOIN LATERAL (VALUES
    ('without an id', k.headers || jsonb_build_object('webhook-signature', k.v1) #- '{webhook-id}'),
    ('without a timestamp', k.headers || jsonb_build_object('webhook-signature', k.v1) #- '{webhook-timestamp}'),
    ('with a timestamp that is none', k.headers || jsonb_build_object('webhook-signature', k.v1, 'webhook-timestamp', 'now')),
    ('with a list as signature', k.headers || jsonb_build_object('webhook-signature', jsonb_build_array(k.v1))),
    ('that are empty', '{}'), ('that are no object', '[]'), ('that are a string', '"a"'), ('that are NULL', NULL)) c (what, headers);
SELECT is(integration.verify_signature(NULL::text, '{}', 'whsec_aGk='), false, 'no body as text');
SELECT is(integration.verify_signature(NULL::bytea, '{}', 'whsec_aGk='), false, 'no body');

-- how old it may be
SELECT is(integration.verify_signature('{}', pg_temp.signed('{}', c.age_s), k.secret), c.age_s BETWEEN -300 AND 300, format('%s s old', c.age_s))
  FROM known k, (VALUES (0), (240), (-240), (360), (-360)) c (age_s);
SELECT ok(integration.verify_signature('{}', pg_temp.signed('{}', 3000), k.secret, '1 hour'), 'another tolerance') FROM known k;
SELECT ok(NOT integration.verify_signature('{}', pg_temp.signed('{}', 60), k.secret, '10 s'), 'a smaller one') FROM known k;

-- a bad secret is the receiver's own mistake
SELECT matches(pg_temp.refusal(format('SELECT integration.verify_signature(''{}'', ''{}'', %L)', c.secret)), c.refusal, 'secret ' || c.what)
  FROM (VALUES
    ('that is empty', '', '^22023 this is no signing key \| The signing key is empty\. \| Pass a key such as whsec_'),
    ('that is no base64', 'whsec_?', '^22023 this is no signing key \| The signing key is not in base64'),
    ('that is NULL', NULL, '^22004 there is no secret to verify with')) c (what, secret, refusal);
SELECT matches(pg_temp.refusal($$SELECT integration.verify_signature('{}', '{}', 'whsec_aGk=', '-1 s')$$),
               '^22023 tolerance must be a finite interval that is not negative \| Pass NULL', 'a negative tolerance');

-- keys
SELECT matches(integration.new_signing_key(), '^whsec_[A-Za-z0-9+/]{43}=$', 'a new shared secret has 32 bytes');
SELECT matches(integration.new_signing_key('v1a'), '^whsk_[A-Za-z0-9+/]{86}==$', 'a new secret key has 64');
SELECT is(integration.public_signing_key('whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc='), k.public_key, 'the public half of a key') FROM known k;
SELECT matches(pg_temp.refusal($$SELECT integration.new_signing_key('v2')$$), '^22023 there is no kind of signing key "v2" \| Use v1 for', 'an unknown kind');
SELECT matches(pg_temp.refusal($$SELECT integration.public_signing_key('whsec_aGk=')$$), '^22023 a shared secret has no public half \| Hand out', 'of a shared secret');

SELECT * FROM finish();
ROLLBACK;
