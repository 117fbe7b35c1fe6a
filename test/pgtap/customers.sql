-- What is known of a customer; its SLA goes before the connector's.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(17);

INSERT INTO integration.customer (name, title, tier, sla, owner, contact, locale)
VALUES ('acme', 'Acme Ltd', 'gold', '10 min', 'key accounts', 'Ann, 555', 'de-AT');
INSERT INTO integration.customer (name) VALUES ('bare');
INSERT INTO integration.connector (name, sla) VALUES ('erp', '1 hour'), ('crm', NULL);
INSERT INTO integration.endpoint (name, connector, url, customer) VALUES
    ('shop', 'erp', 'https://shop.example.com/', NULL),
    ('acme shop', 'erp', 'https://acme.example.com/', 'acme'),
    ('mail', 'crm', 'https://mail.example.com/', NULL);

-- Rows that mean something
SELECT is(pg_temp.refusal(statement), expected, what)
  FROM (VALUES
    ($$INSERT INTO integration.customer (name) VALUES (' acme')$$,
     '23514 name " acme" cannot be used | It begins or ends with a blank. | Write a name of 1 to 100 characters without blanks at its ends, such as ''shop-orders''.',
     'a name with a blank'),
    ($$UPDATE integration.customer SET sla = '0' WHERE name = 'acme'$$,
     '23514 sla of customer "acme" cannot be used | It is 00:00:00. | Write a time above zero, at most 3660 days, such as ''15 min''; NULL for no promise of its own.',
     'an SLA of nothing'),
    ($$UPDATE integration.connector SET sla = '4000 days' WHERE name = 'erp'$$,
     '23514 sla of connector "erp" cannot be used | It is 4000 days. | Write a time above zero, at most 3660 days, such as ''15 min''; NULL for no promise of its own.',
     'the same rule for connectors'),
    ($$UPDATE integration.customer SET locale = 'Deutsch (DE)' WHERE name = 'acme'$$,
     '23514 locale of customer "acme" cannot be used | It is "Deutsch (DE)". | Write a language such as en, de or de-AT; NULL for that of integration.locale.',
     'a locale that names no language')
  ) AS x (statement, expected, what);
SELECT lives_ok(format('UPDATE integration.customer SET locale = %L WHERE name = ''bare''', l), 'locale ' || l)
  FROM unnest('{en,pt-BR,zh-Hant-TW,de_AT}'::text[]) l;

-- The promise: the customer's, else the connector's
CREATE FUNCTION pg_temp.promise(endpoint text, customer text DEFAULT NULL) RETURNS interval
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint;
BEGIN
    INSERT INTO integration.outbox (endpoint, customer, payload) VALUES (promise.endpoint, promise.customer, '{}') RETURNING id INTO sync;
    RETURN (SELECT s.due_by - s.created_at FROM integration.sync s WHERE s.id = sync);
END
$$;
SELECT is(pg_temp.promise('shop'), '1 hour', 'nobody''s: the connector''s');
SELECT is(pg_temp.promise('shop', 'acme'), '10 min', 'the customer''s goes before the connector''s');
SELECT is(pg_temp.promise('acme shop'), '10 min', 'the customer of the endpoint counts');
SELECT is(pg_temp.promise('acme shop', 'bare'), '1 hour', 'the sync''s own customer before the endpoint''s');
SELECT is(pg_temp.promise('shop', 'unheard of'), '1 hour', 'a customer without a row is served as before');
SELECT is(pg_temp.promise('mail', 'acme'), '10 min', 'a promise where the connector has none');
SELECT is(pg_temp.promise('mail'), NULL, 'no promise at all');

-- A customer that is only written down here is no slip of the pen
CREATE ROLE customer_known;
CREATE FUNCTION pg_temp.notices(customer text) RETURNS boolean
    LANGUAGE plpgsql
AS $$
BEGIN
    SET LOCAL client_min_messages = error;
    PERFORM integration.grant_customer('customer_known', notices.customer);
    RETURN EXISTS (SELECT FROM integration.customer_grant g WHERE g.customer = notices.customer);
END
$$;
SELECT ok(pg_temp.notices('bare'), 'a customer is granted before anything was sent for it');
SELECT lives_ok($$DELETE FROM integration.customer WHERE name = 'acme'$$, 'a row may go: what is sent doesn''t depend on it');

SELECT * FROM finish();
ROLLBACK;
