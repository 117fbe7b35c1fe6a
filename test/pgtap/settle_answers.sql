-- What an answer says: rules of the user's, remote ids, clues.
BEGIN;
\ir ../lib/settle.sql
\ir ../lib/refusal.sql
SELECT plan(87);

INSERT INTO integration.connector (name) VALUES ('shop'), ('erp');
INSERT INTO integration.endpoint (name, url, connector, remote_id_path) VALUES
    ('a', 'https://api.example.com/', 'shop', '$.id'), ('b', 'https://api.example.com/', 'shop', NULL),
    ('c', 'https://api.example.com/', 'erp', NULL);
INSERT INTO integration.error_class (name, title, remedy, customer_message)
VALUES ('stock_empty', 'Nothing in stock', 'Order more.', 'Sold out.');

-- Rules
INSERT INTO integration.error_rule (position, endpoint, connector, reason, status_from, status_to, match, error_class, retryable)
VALUES (10, 'a', NULL, NULL, 200, 299, '$.success == false', 'validation', false),
       (20, NULL, 'shop', NULL, 409, NULL, '$.code ? (@ == "exists")', 'delivered', false),
       (30, NULL, 'shop', 'http:4*', NULL, NULL, '$.code == "out_of_stock"', 'stock_empty', true),
       (40, NULL, NULL, NULL, 418, NULL, NULL, 'remote_unavailable', true),
       (50, 'a', NULL, 'http:418', NULL, NULL, NULL, 'config', false),
       (60, 'c', NULL, NULL, NULL, NULL, '$.errors[*]', 'remote_error', false);

CREATE FUNCTION pg_temp.judged(endpoint text, reason text, body text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint := pg_temp.enqueue(endpoint, 'PO-' || clock_timestamp());
    state text := pg_temp.bring(sync, reason, body => body);
BEGIN
    RETURN concat_ws(' ', state, (pg_temp.last_attempt(sync)).outcome, (pg_temp.last_attempt(sync)).reason,
                     (pg_temp.last_attempt(sync)).error_class);
END
$$;

SELECT is(pg_temp.judged('a', 'http:200', '{"success": true}'), 'delivered delivered http:200', 'success: true');
SELECT is(pg_temp.judged('a', 'http:200', '{"success": false}'), 'failed failed response_rejected validation',
          '200 whose body says success: false is a failure');
SELECT is(pg_temp.judged('a', 'http:201', '{"success":  false , "x": 1}'), 'failed failed response_rejected validation',
          'any status of the range');
SELECT is(pg_temp.judged('a', 'http:200', 'success: false'), 'delivered delivered http:200', 'a body that is no JSON fits no jsonpath');
SELECT is(pg_temp.judged('a', 'http:200', '{"success": false'), 'delivered delivered http:200', 'broken JSON fits none');
SELECT is(pg_temp.judged('a', 'http:200'), 'delivered delivered http:200', 'no body fits none');
SELECT is(pg_temp.judged('b', 'http:200', '{"success": false}'), 'delivered delivered http:200', 'another endpoint''s rule');
SELECT is(pg_temp.judged('b', 'http:409', '{"code": "exists"}'), 'delivered delivered http:409', '409 that exists already is a success');
SELECT is(pg_temp.judged('b', 'http:409', '{"code": "locked"}'), 'retrying failed http:409 conflict', 'another 409 is not');
SELECT is(pg_temp.judged('c', 'http:409', '{"code": "exists"}'), 'retrying failed http:409 conflict', 'another connector''s rule');
SELECT is(pg_temp.judged('b', 'http:422', '{"code": "out_of_stock"}'), 'retrying failed http:422 stock_empty',
          'an own class, tried again, for all reasons that begin so');
SELECT is(pg_temp.judged('b', 'http:500', '{"code": "out_of_stock"}'), 'retrying failed http:500 remote_error',
          'other reasons are left alone');
SELECT is(pg_temp.judged('a', 'http:418'), 'retrying failed http:418 remote_unavailable', 'the lowest position holds');
SELECT is((pg_temp.health('a')).state, 'closed', 'what a rule decides never stops the endpoint');
SELECT is(pg_temp.judged('c', 'http:200', '{"errors": [{"code": 1}]}'), 'failed failed response_rejected remote_error',
          'a path that finds something fits');
SELECT is(pg_temp.judged('c', 'http:200', '{"errors": []}'), 'delivered delivered http:200', 'a path that finds nothing does not');
SELECT is(pg_temp.judged('c', 'http:200', '{"errors": [null]}'), 'delivered delivered http:200', 'null is nothing');
SELECT is(pg_temp.judged('c', 'curl:7:refused', '{"errors": [1]}'), 'retrying failed curl:7:refused connect',
          'rules read answers only');
SELECT is((SELECT (pg_temp.queued(q.outbox_id)).charged FROM integration.queue q WHERE q.error_class = 'stock_empty'), 1,
          'a retryable rule counts towards giving up');
SELECT is((SELECT a.error FROM integration.attempt a WHERE a.reason = 'response_rejected' AND a.response_body = '{"success": false}'),
          'an error rule takes this answer for a failure: {"success": false}', 'the answer that a rule refused is shown');
SELECT is((SELECT i.remedy || ' ' || i.responsible FROM integration.incident i
            WHERE i.endpoint = 'a' AND i.error_class = 'validation'),
          (SELECT c.remedy || ' customer' FROM integration.error_class c WHERE c.name = 'validation'),
          'the incident has the remedy of the rule''s class');

-- Rules that mean nothing are refused
SELECT is(pg_temp.refusal($$INSERT INTO integration.error_rule (status_from, error_class) VALUES (400, 'validaton')$$),
          '23503 error class "validaton" does not exist | Write delivered, or a name from integration.error_class; an own class is added by a row there.',
          'a class that does not exist');
SELECT is(pg_temp.refusal($$INSERT INTO integration.error_rule (status_from, error_class, endpoint) VALUES (400, 'auth', 'x')$$),
          '23503 endpoint "x" does not exist | Write the name of a row in integration.endpoint, or leave it out for all endpoints.',
          'an endpoint that does not exist');
SELECT is(pg_temp.refusal($$INSERT INTO integration.error_rule (status_from, error_class, connector) VALUES (400, 'auth', 'x')$$),
          '23503 connector "x" does not exist | Write the name of a row in integration.connector, or leave it out for all endpoints.',
          'a connector that does not exist');
SELECT is(pg_temp.refusal($$INSERT INTO integration.error_rule (status_from, error_class, connector, endpoint)
                            VALUES (400, 'auth', 'shop', 'a')$$),
          '23514 a rule is either for an endpoint or for a connector | Leave one of the two out; leave both out for all endpoints.',
          'both');
SELECT is(pg_temp.refusal($$INSERT INTO integration.error_rule (error_class) VALUES ('auth')$$),
          '23514 a rule without a condition would fit every answer | Write at least one of status_from, reason and match, such as match => ''$.success == false''.',
          'no condition');
SELECT is(pg_temp.refusal(format('INSERT INTO integration.error_rule (status_from, status_to, error_class) VALUES (%s, ''auth'')', r)),
          format('23514 %s is no range of HTTP statuses | Write three digits, the lower one in status_from, such as 400 and 499.', w),
          'range ' || r)
  FROM (VALUES ('500, 400', '500 to 400'), ('4, NULL', '4 to 4'), ('NULL, 1000', 'NULL to 1000')) AS x (r, w);
SELECT is(pg_temp.refusal($$INSERT INTO integration.error_rule (reason, error_class) VALUES ('http:40x', 'auth')$$),
          '23503 reason "http:40x" fits no row of integration.error_reason | Write a reason such as http:409, or the beginning of several followed by *, such as http:5*.',
          'a reason that does not exist');
SELECT is(pg_temp.refusal($$INSERT INTO integration.error_rule (status_from, error_class, retryable) VALUES (409, 'delivered', true)$$),
          '23514 a rule that says delivered cannot be retryable | Leave retryable out, or write an error class.', 'delivered, yet retryable');
SELECT is(pg_temp.refusal($$INSERT INTO integration.error_rule (status_from, error_class) VALUES (409, 'success')$$),
          '23514 error class "success" cannot be the result of a rule | Write delivered for a success, or the class of a failure.',
          'success as a class');
SELECT is(pg_temp.refusal($$UPDATE integration.error_rule SET error_class = 'x' WHERE position = 10$$),
          '23503 error class "x" does not exist | Write delivered, or a name from integration.error_class; an own class is added by a row there.',
          'an update is checked, too');
SELECT is(pg_temp.refusal($$DELETE FROM integration.error_class WHERE name = 'stock_empty'$$),
          '23503 error class "stock_empty" is used by a rule | Change or delete the rows of integration.error_rule that name it first.',
          'a class in use stays');
SELECT is(pg_temp.refusal($$UPDATE integration.error_reason SET retryable = 'yes' WHERE reason = 'http:500'$$) LIKE '23514%', true,
          'an unknown outcome can''t be made retryable for all');
SELECT is((SELECT r.status_to FROM integration.error_rule r WHERE r.position = 40), 418, 'status_from alone is exactly this one');

-- What the user changes is told from what was shipped
UPDATE integration.error_class SET remedy = 'Ask Anna.' WHERE name = 'auth';
SELECT set_eq($$SELECT name FROM integration.error_class WHERE NOT shipped$$, ARRAY['auth', 'stock_empty'], 'own and changed classes');
INSERT INTO integration.error_class (name, title, remedy, customer_message) VALUES ('dns', 't', 'r', 'm');
SELECT is((SELECT ROW (title, shipped)::text FROM integration.error_class WHERE name = 'dns'), '(t,f)',
          'a restored class takes the place of the shipped one');
INSERT INTO integration.error_reason SELECT r.* FROM integration.error_reason r WHERE r.reason = 'http:402';
SELECT is((SELECT array_agg(r.shipped) FROM integration.error_reason r WHERE r.reason = 'http:402'), '{f}',
          'a restored reason, too');

-- Remote ids
CREATE FUNCTION pg_temp.remote_id(body text, endpoint text DEFAULT 'a', reason text DEFAULT 'http:200') RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    object text := 'PO-' || clock_timestamp();
BEGIN
    PERFORM pg_temp.bring(pg_temp.enqueue(endpoint, object), reason, body => body);
    RETURN (SELECT s.remote_id FROM integration.sync_status s WHERE s.object_id = object);
END
$$;
SELECT is(pg_temp.remote_id('{"id": "c-17"}'), 'c-17', 'remote id: a text');
SELECT is(pg_temp.remote_id('{"id": 4711}'), '4711', 'remote id: a number');
SELECT is(pg_temp.remote_id('{"id": {"x": 1}}'), NULL, 'remote id: an object is none');
SELECT is(pg_temp.remote_id('{"id": ""}'), NULL, 'remote id: nothing is none');
SELECT is(pg_temp.remote_id('{"no": 1}'), NULL, 'remote id: not there');
SELECT is(pg_temp.remote_id('OK'), NULL, 'remote id: no JSON');
SELECT is(pg_temp.remote_id('{"id": 4711}', 'b'), NULL, 'remote id: endpoint without a path');
SELECT is(pg_temp.remote_id('{"id": 4711}', 'a', 'http:422'), NULL, 'remote id: a bad answer has none');
SELECT is(ARRAY[pg_temp.bring(pg_temp.enqueue('a', 'X-1'), 'http:200', body => '{"id": 1}'),
                pg_temp.bring(pg_temp.enqueue('a', 'X-1'), 'http:200', body => '{}')], '{delivered,delivered}', 'twice');
SELECT is((SELECT s.remote_id FROM integration.sync_status s WHERE s.object_id = 'X-1'), '1', 'an answer without an id keeps the known one');

-- Answers may hold anything
SELECT is(integration_worker.as_json(b), NULL, 'no JSON: ' || left(coalesce(b, 'NULL'), 20))
  FROM unnest(ARRAY[NULL, '', 'x', '"text"', '17', '{', '[1,', '{"a": "\u0000"}', repeat('[', 100000), '{"a": "\ud800"}']) b;
SELECT is(integration_worker.body_matches('{"t": "2024-01-01"}', '$.t.datetime() < "2024-01-01T00:00:00+00".datetime()'), false,
          'a jsonpath that can''t be evaluated fits nothing');
SELECT is(integration_worker.body_value('{"t": "2024-01-01"}', 'strict $.a.b'), NULL, 'a strict path that fails finds nothing');
SELECT is(integration_worker.body_value('{"t": "2024-01-01"}', '$.t ? (@.datetime() < "2024-01-01T00:00:00+00".datetime())'), NULL,
          'neither does one that can''t be evaluated');
SELECT is(integration_worker.read_headers(ARRAY['{"a": "b"}', NULL, '{"a": "\u0000"}', 'x']), ARRAY['{"a": "b"}', NULL, NULL, NULL]::jsonb[],
          'headers that are no JSON are left out');

-- Clues
SELECT is(integration_worker.clue_of(body, type), clue, clue)
  FROM (VALUES
    ('{"type": "about:blank", "title": "Invalid", "detail": "See errors",
       "errors": [{"pointer": "#/zip", "detail": "too short"}, {"detail": "no pointer"}, 7]}',
     'application/problem+json; charset=utf-8', 'Invalid: See errors; #/zip too short; no pointer'),
    ('{"title": 17, "detail": "wrong type left out"}', 'application/problem+json', 'wrong type left out'),
    ('{"title": 17, "message": "not much of a problem"}', 'application/problem+json', 'not much of a problem'),
    ('{"error": "invalid_client", "error_description": "unknown client"}', 'application/json', 'unknown client'),
    ('{"error": {"message": "nested", "code": 1}, "message": "outer"}', 'application/json', 'nested'),
    ('{"message": "plain message", "detail": "not this"}', 'application/json', 'plain message'),
    ('{"errors": [{"message": "first"}, {"message": "second"}]}', 'application/json', 'first'),
    ('{"detail": "a detail"}', NULL, 'a detail'),
    ('{"title": "a title"}', NULL, 'a title'),
    ('{"error": "just_a_code"}', NULL, 'just_a_code'),
    ('[{"message": "in an array"}]', NULL, 'in an array'),
    ('<html><head><TITLE lang="en">502 Bad
        Gateway</title></head><body>x</body></html>', 'text/html', '502 Bad Gateway'),
    ('  Customer   unknown ', 'text/plain; charset=utf-8', 'Customer unknown'),
    ('{"detail": "' || repeat('x', 3000) || '"}', 'application/json', repeat('x', 2000))) AS c (body, type, clue);
SELECT is(integration_worker.clue_of(body, 'application/json'), NULL, 'no clue: ' || body)
  FROM unnest(ARRAY['', '{}', '[]', 'OK', '<html></html>']) body;

-- The text of a failure
CREATE FUNCTION pg_temp.text_of(reason text, body text, said text, place text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint := pg_temp.enqueue('b');
BEGIN
    PERFORM pg_temp.settle(ARRAY[pg_temp.result(sync, reason, jsonb_build_object(
                'response_body', body, 'error', said, 'redirect_url', place))]);
    RETURN (pg_temp.last_attempt(sync)).error;
END
$$;
SELECT is(pg_temp.text_of('http:422', '{"detail": "no"}', 'said'), 'no', 'the answer''s own words first');
SELECT is(pg_temp.text_of('http:422', NULL, 'said'), 'said', 'then what the sender says');
SELECT is(pg_temp.text_of('http:422', NULL, ''), '422 Unprocessable Content', 'then the status');
SELECT is(pg_temp.text_of('curl:7:refused', '{"detail": "no"}', 'Connection refused'), 'Connection refused', 'no answer, no words of it');
SELECT is(pg_temp.text_of('http:308', NULL, '', 'https://new.example.com/'),
          '308 Permanent Redirect; the new place is https://new.example.com/', 'a redirect names the new place');

SELECT * FROM finish();
ROLLBACK;
