-- Signatures of Standard Webhooks: keys to sign with, a check for receivers in SQL.

CREATE FUNCTION integration.verify_signature(
        payload bytea, headers jsonb, secret text, tolerance interval DEFAULT '5 min')
    RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_verify_signature';
COMMENT ON FUNCTION integration.verify_signature(bytea, jsonb, text, interval) IS
    'Whether a received request was signed with this secret (whsec_...) or the key of this public key (whpk_...), by Standard Webhooks; payload is its body as it came, headers its headers by name. False, never NULL or an error, for whatever is missing or wrong in the request; an error for a bad secret. tolerance: how far webhook-timestamp may be from now; NULL: any.';

CREATE FUNCTION integration.verify_signature(
        payload text, headers jsonb, secret text, tolerance interval DEFAULT '5 min')
    RETURNS boolean
    LANGUAGE sql VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration.verify_signature(convert_to(payload, 'UTF8'), headers, secret, tolerance)
$$;
COMMENT ON FUNCTION integration.verify_signature(text, jsonb, text, interval) IS
    'The same for a body that came as text in UTF-8.';

CREATE FUNCTION integration.new_signing_key(kind text DEFAULT 'v1') RETURNS text
    LANGUAGE c STRICT VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_new_signing_key';
COMMENT ON FUNCTION integration.new_signing_key(text) IS
    'A new random key to sign with, stored nowhere: v1 a shared secret (whsec_...), v1a an Ed25519 secret key (whsk_...).';

CREATE FUNCTION integration.public_signing_key(key text) RETURNS text
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'integration_public_signing_key';
COMMENT ON FUNCTION integration.public_signing_key(text) IS
    'The public key (whpk_...) of an Ed25519 secret key (whsk_...), to be handed out to receivers.';
