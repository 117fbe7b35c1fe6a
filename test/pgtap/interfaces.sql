-- What answers say of the end of their interface, of its version, becomes an incident with the date, once for a connector.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(43);

-- Dates
SELECT is(integration_worker.http_date(value), wanted::timestamptz, 'a date: ' || coalesce(value, 'none'))
  FROM (VALUES
    ('Sun, 06 Nov 1994 08:49:37 GMT', '1994-11-06 08:49:37+00'),
    ('Sunday, 06-Nov-94 08:49:37 GMT', '1994-11-06 08:49:37+00'),
    ('Sun Nov  6 08:49:37 1994', '1994-11-06 08:49:37+00'),
    ('Sat, 31 Dec 2050 23:59:59 GMT', '2050-12-31 23:59:59+00'),
    ('Thu, 31 Feb 2050 23:59:59 GMT', NULL),
    ('Sun, 06 Nov 1994 08:49:37 +0200', NULL),
    ('infinity', NULL), ('tomorrow', NULL), ('2050-12-31', NULL), ('', NULL), (NULL, NULL))
    AS d (value, wanted);

-- Headers
CREATE FUNCTION pg_temp.read(headers jsonb) RETURNS text
    LANGUAGE sql
    SET timezone = 'UTC'
AS $$
    SELECT concat_ws(' ', r.is_deprecated, coalesce(r.deprecated_at::date::text, '-'), coalesce(r.ends_at::date::text, '-'), r.link, r.version)
      FROM integration_worker.read_interface(headers, '{api-version,x-api-version}') r
$$;
SELECT is(pg_temp.read(headers::jsonb), wanted, 'headers: ' || headers)
  FROM (VALUES
    ('{}', 'f - -'),
    ('{"deprecation": "@1688169599"}', 't 2023-06-30 -'),
    ('{"deprecation": "true", "sunset": "Sat, 31 Dec 2050 23:59:59 GMT"}', 't - 2050-12-31'),
    ('{"deprecation": "Sun, 11 Nov 2018 23:59:59 GMT"}', 't 2018-11-11 -'),
    ('{"deprecation": "false"}', 'f - -'),
    ('{"deprecation": "@99999999999999999999"}', 't - -'),
    ('{"sunset": "soon", "deprecation": " "}', 'f - -'),
    ('{"sunset": "Sat, 31 Dec 2050 23:59:59 GMT", "link": "<https://a.example/x>; rel=\"next\", <https://a.example/end>; rel=\"sunset\"; type=\"text/html\""}',
     'f - 2050-12-31 https://a.example/end'),
    ('{"deprecation": "true", "link": "<javascript:alert(1)>; rel=\"deprecation\""}', 't - -'),
    ('{"link": "<https://a.example/v3>; rel=\"successor-version\"", "x-api-version": " 2.1 "}', 'f - - 2.1'),
    ('{"x-api-version": "2.1", "api-version": "3"}', 'f - - 3'),
    ('{"sunset": null, "deprecation": 7, "api-version": ["x"]}', 't - - ["x"]'))
    AS h (headers, wanted);
SELECT is(pg_temp.read('null'), 'f - -', 'no object, nothing said');

-- What is done about it
INSERT INTO integration.connector (name, owner, severity) VALUES ('crm', 'sales-it', 2), ('erp', 'finance-it', 3);
INSERT INTO integration.endpoint (name, url, connector)
SELECT n, 'https://api.example.com/', CASE WHEN n LIKE 'crm%' THEN 'crm' WHEN n LIKE 'erp%' THEN 'erp' END
  FROM unnest('{crm1,crm2,erp1,lone,calm}'::text[]) n;

-- Deliveries, so many minutes from now, with these headers.
CREATE FUNCTION pg_temp.answer(endpoint text, minutes integer, headers jsonb DEFAULT '{}', reason text DEFAULT 'http:200') RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    at timestamptz := now() + minutes * interval '1 min';
BEGIN
    PERFORM s.* FROM pg_temp.settle(ARRAY[pg_temp.result(pg_temp.enqueue(endpoint), reason,
        jsonb_build_object('started_at', at, 'response_headers', headers::text))], at) s;
END
$$;
CREATE FUNCTION pg_temp.look(minutes integer) RETURNS timestamptz
    LANGUAGE sql
AS $$
    SELECT integration_worker.watch_interfaces(now() + minutes * interval '1 min')
$$;
CREATE FUNCTION pg_temp.told() RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(concat_ws(' ', i.endpoint, c.change), ', ' ORDER BY c.id)
      FROM integration_worker.incident_change c JOIN integration.incident i ON i.id = c.incident
$$;

SET timezone = 'UTC';
SELECT pg_temp.answer(n, 0, '{"api-version": "1"}') FROM unnest('{crm1,crm2,erp1,lone,calm}'::text[]) n \g /dev/null
SELECT is(pg_temp.look(1), NULL, 'it looks with the others');
SELECT is(pg_temp.told(), NULL, 'nothing is announced');
SELECT is((SELECT string_agg(concat_ws(' ', s.endpoint, s.version), ', ' ORDER BY s.endpoint) FROM integration.interface_status s),
          'calm 1, crm1 1, crm2 1, erp1 1, lone 1', 'the versions are known');

-- An end, announced to two endpoints of a connector
SELECT pg_temp.answer(n, 30, '{"api-version": "1", "deprecation": "@1688169599", "sunset": "Sat, 31 Dec 2050 23:59:59 GMT"}')
  FROM unnest('{crm1,crm2}'::text[]) n \g /dev/null
SELECT pg_temp.look(31) \g /dev/null
SELECT is(pg_temp.told(), NULL, 'each is looked at once an hour');
SELECT pg_temp.look(62) \g /dev/null
SELECT matches(pg_temp.told(), '^crm[12] opened$', 'then an incident is open, one for the connector');
SELECT is((SELECT ROW (i.error_class, i.responsible, i.severity, i.note)::text FROM integration.incident i),
          '(interface_ending,engineering,2,"The other side has deprecated this interface as of 2023-06-30 23:59:59 UTC. It ends at 2050-12-31 23:59:59 UTC.")',
          'engineering''s, with the dates');
SELECT is((SELECT o.endpoint FROM integration.incident i JOIN integration.outbox o ON o.id = i.example), (SELECT endpoint FROM integration.incident),
          'with an example');
SELECT results_eq('SELECT endpoint, is_deprecated, ends_at FROM integration.interface_status LIMIT 3',
    $$VALUES ('crm1', true, '2050-12-31 23:59:59+00'::timestamptz), ('crm2', true, '2050-12-31 23:59:59+00'), ('calm', false, NULL)$$, 'the view has what ends on top');
SELECT ok((integration_worker.plain_endpoints(ARRAY(SELECT e.id FROM integration.endpoint e WHERE e.connector = 'crm'), now() + interval '63 min')).ids IS NOT NULL,
          'its deliveries go the straight way all the same');
SELECT pg_temp.answer('crm1', 70, '{"deprecation": "@1688169599", "sunset": "Sat, 31 Dec 2050 23:59:59 GMT"}'),
       pg_temp.answer('crm2', 70, '{}', 'http:503'), pg_temp.look(130) \g /dev/null
SELECT matches(pg_temp.told(), '^crm[12] opened$', 'what is known is not told anew; a failure without the headers takes nothing back');
SELECT pg_temp.answer('crm2', 140, '{"sunset": "Fri, 31 Dec 2049 23:59:59 GMT"}'), pg_temp.look(200) \g /dev/null
SELECT matches(pg_temp.told(), '^(crm[12]) opened, \1 updated$', 'another date is');
SELECT integration.resolve(i.id, 'it is planned') FROM integration.incident i \g /dev/null
SELECT pg_temp.answer('crm2', 210, '{"sunset": "Fri, 31 Dec 2049 23:59:59 GMT"}'), pg_temp.look(270) \g /dev/null
SELECT matches(pg_temp.told(), '^(crm[12]) opened, \1 updated, \1 resolved$', 'who has resolved it is left alone');

-- A version that changes
SELECT pg_temp.answer('erp1', 300, '{"api-version": "2"}'), pg_temp.look(310) \g /dev/null
SELECT is((SELECT ROW (i.endpoint, i.state, i.note LIKE 'Since % its answers are of version 2; before, they were of 1.')::text FROM integration.incident i ORDER BY i.id DESC LIMIT 1),
          '(erp1,open,t)', 'another version is an incident, too');
SELECT pg_temp.answer('erp1', 370, '{"api-version": "2"}'), pg_temp.look(380) \g /dev/null
SELECT is((SELECT i.state FROM integration.incident i WHERE i.endpoint = 'erp1'), 'open', 'which stays open');
UPDATE integration.connector SET api_version = '2' WHERE name = 'erp';
SELECT pg_temp.look(390) \g /dev/null
SELECT is((SELECT i.state FROM integration.incident i WHERE i.endpoint = 'erp1'), 'resolved', 'until that is the version we are written for');

-- An end that comes nearer, that is called off
SELECT pg_temp.answer('lone', 400, jsonb_build_object('sunset',
           to_char((now() + interval '40 days') AT TIME ZONE 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"'))), pg_temp.look(410) \g /dev/null
SELECT pg_temp.look(9 * 1440), pg_temp.look(11 * 1440), pg_temp.look(12 * 1440), pg_temp.look(34 * 1440), pg_temp.look(41 * 1440) \g /dev/null
SELECT is((SELECT string_agg(c.change, ',' ORDER BY c.id) FROM integration_worker.incident_change c JOIN integration.incident i ON i.id = c.incident
            WHERE i.endpoint = 'lone'), 'opened,updated,updated,updated', 'told again 30 days, 7 days, 1 day before');
SELECT pg_temp.answer('lone', 42 * 1440), pg_temp.look(42 * 1440 + 1) \g /dev/null
SELECT is((SELECT i.state FROM integration.incident i WHERE i.endpoint = 'lone'), 'resolved', 'over when nothing announces it any more');

-- Headers of one's own; endpoints that go
INSERT INTO integration.version_header (name) VALUES ('x-our-vendor');
SELECT pg_temp.answer('calm', 500, '{"x-our-vendor": "7"}'), pg_temp.look(510) \g /dev/null
SELECT is((SELECT s.version FROM integration.interface_status s WHERE s.endpoint = 'calm'), '7', 'a header of one''s own');
DELETE FROM integration.endpoint WHERE name = 'calm';
SELECT is_empty($$SELECT FROM integration.interface_status WHERE endpoint = 'calm'$$, 'what goes is forgotten');

SELECT * FROM finish();
ROLLBACK;
