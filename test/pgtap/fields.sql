-- Which fields an answer refuses, in the shapes that APIs use, is shown to whoever can correct them.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(27);

-- answer, what it says
SELECT is((SELECT string_agg(concat_ws(' = ', f.field, f.detail), ', ') FROM integration_worker.refused_fields(a.answer::jsonb) f), a.said, left(a.answer, 60))
  FROM (VALUES
    ('{"errors": [{"pointer": "#/age", "detail": "must be positive"}, {"pointer": "#/n"}]}', '#/age = must be positive, #/n'),
    ('{"errors": [{"source": {"pointer": "/data/x"}, "title": "wrong"}]}', '/data/x = wrong'),
    ('{"invalid-params": [{"name": "age", "reason": "too young"}]}', 'age = too young'),
    ('{"errors": {"name": ["is too long", "is odd"], "x": "bad"}}', 'x = bad, name = is too long'),
    ('{"errors": {"name": 1, "x": [2], "y": {}}}', NULL),
    ('{"detail": [{"loc": ["body", "lines", 0], "msg": "field required"}]}', 'body/lines/0 = field required'),
    ('{"error": {"details": [{"fieldViolations": [{"field": "a.b", "description": "no"}]}]}}', 'a.b = no'),
    ('{"violations": [{"propertyPath": "email", "message": "not valid"}]}', 'email = not valid'),
    ('{"errors": [{"field": "a", "message": "x"}, {"field": "a", "message": "x"}]}', 'a = x'),
    ('{"errors": [{"message": "no field"}], "detail": "text"}', NULL),
    ('{"errors": "text"}', NULL), ('{"errors": null}', NULL), ('[1]', NULL), ('"x"', NULL), ('null', NULL),
    ('{"errors": [{"pointer": {"a": 1}, "loc": 5}]}', NULL), ('{"errors": [[{"field": "x"}]]}', NULL)
  ) AS a (answer, said);
SELECT is((SELECT count(*) FROM integration_worker.refused_fields((SELECT jsonb_build_object('errors', jsonb_agg(jsonb_build_object('field', 'f' || n))) FROM generate_series(1, 50) n))),
          20::bigint, 'twenty at most');
SELECT is((SELECT count(*) FROM integration_worker.refused_fields(NULL)), 0::bigint, 'no answer, no field');

INSERT INTO integration.endpoint (name, url, customer, mask) VALUES ('crm', 'https://a.example.com/', 'acme', '{$.iban}');
CREATE TEMP TABLE made (name text, id bigint);
CREATE FUNCTION pg_temp.make(name text, reason text, outcome text DEFAULT 'failed') RETURNS void
    LANGUAGE sql
AS $$
    WITH new AS (
        INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
        VALUES ('crm', 'order', make.name, '{"iban": "DE0210010010"}') RETURNING id),
    kept AS (INSERT INTO made SELECT make.name, n.id FROM new n)
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class, response_body)
    SELECT n.id, 1, e.id, now(), make.outcome, make.reason, 'validation', '{"errors": [{"field": "iban", "message": "DE0210010010 is <b>unknown</b>"}]}'
      FROM new n, integration.endpoint e
     WHERE e.name = 'crm'
$$;
SELECT pg_temp.make('theirs', (SELECT min(r.reason) FROM integration.error_reason r WHERE r.responsible = 'customer' AND r.scope = 'sync')),
       pg_temp.make('ours', (SELECT min(r.reason) FROM integration.error_reason r WHERE r.responsible = 'engineering')),
       pg_temp.make('fine', 'http:200', 'delivered') \g /dev/null
UPDATE integration.queue q SET state = 'failed', error_class = 'validation' WHERE q.outbox_id IN (SELECT m.id FROM made m);
SELECT is((SELECT concat_ws(' ', f.field, f.detail) FROM made m, integration.fields_to_correct(m.id) f WHERE m.name = 'theirs'),
          'iban DE0210010010 is <b>unknown</b>', 'administrators see all of it');
SELECT is((SELECT count(*) FROM made m, integration.fields_to_correct(m.id) f WHERE m.name = 'fine'), 0::bigint, 'nothing of a delivery');
SELECT alike(integration.status_page('customer:acme'), '%<li><bdi>iban</bdi>: *** is &lt;b&gt;unknown&lt;/b&gt;</li>%', 'it stands in the customer''s page, masked');
CREATE ROLE fields_acme;
CREATE ROLE fields_globex;
CREATE ROLE fields_support;
SELECT integration.grant_customer('fields_acme', 'acme'), integration.grant_customer('fields_globex', 'globex'), integration.grant_support('fields_support') \g /dev/null
GRANT SELECT ON made TO fields_acme, fields_globex, fields_support;
SET LOCAL ROLE fields_acme;
SELECT is((SELECT concat_ws(' ', f.field, f.detail) FROM made m, integration.fields_to_correct(m.id) f WHERE m.name = 'theirs'),
          'iban *** is <b>unknown</b>', 'a customer sees its own, masked');
SELECT is((SELECT count(*) FROM made m, integration.fields_to_correct(m.id) f WHERE m.name = 'ours'), 0::bigint, 'nothing that others must correct');
RESET ROLE;
SELECT matches(pg_temp.refusal(format('SELECT * FROM integration.fields_to_correct(%s)', m.id), 'fields_globex'), '^42704 sync \d+ does not exist', 'nor what belongs to others')
  FROM made m WHERE m.name = 'theirs';
SET LOCAL ROLE fields_support;
SELECT is((SELECT concat_ws(' ', f.field, f.detail) FROM made m, integration.fields_to_correct(m.id) f WHERE m.name = 'ours'),
          'iban *** is <b>unknown</b>', 'support sees all, masked');
RESET ROLE;
SELECT matches(pg_temp.refusal('SELECT * FROM integration.fields_to_correct(9999999)'), '^42704 sync 9999999 does not exist', 'an unknown id');
SELECT * FROM finish();
ROLLBACK;
