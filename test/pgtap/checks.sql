-- The registry refuses what can't work, with a hint that says what to write.
BEGIN;
\ir ../lib/refusal.sql

INSERT INTO integration.credential (name, kind) VALUES ('key', 'bearer'), ('seal', 'signing'), ('ours', 'client_certificate');
INSERT INTO integration.connector (name) VALUES ('erp');
INSERT INTO integration.endpoint (name, connector, url) VALUES ('shop', 'erp', 'https://shop.example.com/orders/{object_id}');
CREATE ROLE checks_clerk;
GRANT USAGE ON SCHEMA integration TO checks_clerk;
GRANT SELECT, INSERT, UPDATE, DELETE ON integration.endpoint, integration.connector TO checks_clerk;

-- One line for each rule: a column, a value that breaks it, what the refusal has to say.
CREATE TEMP TABLE broken_setting (col text, value text, refusal text);
INSERT INTO broken_setting VALUES
    ('method', $$'post'$$, $$^23514 method of \w+ "x" cannot be used \| It is post\. \| Write GET, POST, PUT$$),
    ('method', $$'TRACE'$$, $$^23514 method of .* It is TRACE\.$$),
    ('format', $$'xml'$$, $$^23514 format of .* \| Write json, cloudevents, cloudevents-structured or cloudevents-batched\.$$),
    ('connect_timeout', $$'0'$$, $$^23514 connect_timeout of .* \| It is 00:00:00\. \| Write 1 ms to 10 min$$),
    ('connect_timeout', $$'11 min'$$, $$^23514 connect_timeout of .* Write 1 ms to 10 min, such as '5 s'\.$$),
    ('timeout', $$'-5 s'$$, $$^23514 timeout of .* Write 1 ms to 10 min, such as '15 s'\.$$),
    ('timeout', $$'1 month'$$, $$^23514 timeout of$$),
    ('max_concurrency', '0', $$^23514 max_concurrency of .* Write 1 to 1000; to send nothing .* integration\.pause\(\)\.$$),
    ('max_concurrency', '1001', $$^23514 max_concurrency of$$),
    ('rate_limit', '0', $$^23514 rate_limit of .* It is 0\. \| Write requests a second, such as 10 or 0\.5$$),
    ('rate_limit', '0.000009', $$^23514 rate_limit of .* from 0\.00001 \(about one a day\) to 1000000; NULL for no limit\.$$),
    ('rate_limit', '1000001', $$^23514 rate_limit of$$),
    ('rate_limit', $$'NaN'$$, $$^23514 rate_limit of .* It is NaN\.$$),
    ('rate_limit', $$'Infinity'$$, $$^23514 rate_limit of$$),
    ('rate_burst', '1000001', $$^23514 rate_burst of$$),
    ('rate_burst', '0', $$^23514 rate_burst of .* Write 1 to 1000000; NULL$$),
    ('idempotency_key_style', $$'none'$$, $$^23514 idempotency_key_style of .* It is none\. \| Write bare or quoted\.$$),
    ('refusals_alike', '1', $$^23514 refusals_alike of .* Write 2 to 1000; 0 to let any number pass\.$$),
    ('max_payload_bytes', '0', $$^23514 max_payload_bytes of .* Write 1 to 104857600 \(100 MiB\)\.$$),
    ('max_payload_bytes', '104857601', $$^23514 max_payload_bytes of$$),
    ('dedup_window', $$'0'$$, $$^23514 dedup_window of .* Write a time above zero, at most 3660 days, such as '24 h'\.$$),
    ('dedup_window', $$'3661 days'$$, $$^23514 dedup_window of .* It is 3661 days\.$$),
    ('headers', $$(SELECT jsonb_object_agg('X-' || n, '') FROM generate_series(1, 101) AS n)$$, $$^23514 headers of .* There are 101 headers; 100 are allowed\.$$),
    ('headers', $$'["X-A"]'$$, $$^23514 headers of .* Write a JSON object of names and values$$),
    ('headers', $$'{"X-A": "a\r\nX-B: b"}'$$, $$^23514 headers of$$),
    ('credential', $$'nobody'$$, $$^23503 credential of .* Credential "nobody" does not exist\. \| Insert it into integration\.credential first$$),
    ('signing', $$'nobody'$$, $$^23503 signing of .* Credential "nobody" does not exist\.$$),
    ('certificate', $$'nobody'$$, $$^23503 certificate of .* Credential "nobody" does not exist\.$$),
    ('payload_check', $$'$.id'$$, $$^23514 payload_check of .* is a value, not something that is true or false\. \| Write a jsonpath predicate, such as \$\.id > 0$$),
    ('payload_check', $$'$.id > $least'$$, $$^23514 payload_check of .* uses a variable, which nobody fills in\.$$),
    ('remote_id_path', $$'$.a ? (@ > $least)'$$, $$^23514 remote_id_path of .* uses a variable$$),
    ('credential', $$'seal'$$, $$^23514 credential of .* Credential "seal" is for signing\. \| Name it in the column signing$$),
    ('signing', $$'key'$$, $$^23514 signing of .* Credential "key" is of kind bearer\. \| Name a credential of kind signing\.$$),
    ('certificate', $$'key'$$, $$^23514 certificate of .* Credential "key" is of kind bearer\. \| Name a credential of kind client_certificate\.$$),
    ('credential', $$'none'$$, $$^23503 credential of .* Credential "none" does not exist\. \| Insert it into integration\.credential first$$),
    ('signing', $$'none'$$, $$^23503 signing of .* Credential "none" does not exist\.$$),
    ('certificate', $$'none'$$, $$^23503 certificate of .* Credential "none" does not exist\.$$);

CREATE TEMP TABLE good_setting (col text, value text);
INSERT INTO good_setting VALUES
    ('method', $$'PATCH'$$), ('format', $$'cloudevents-structured'$$), ('format', $$'cloudevents-batched'$$), ('connect_timeout', $$'1 ms'$$),
    ('timeout', $$'10 min'$$), ('max_concurrency', '1000'), ('rate_limit', '0.00001'), ('rate_limit', '1000000'), ('rate_burst', '1'),
    ('rate_burst', '1000000'), ('refusals_alike', '0'), ('refusals_alike', '1000'),
    ('idempotency_key_style', $$'bare'$$), ('idempotency_key_style', $$'quoted'$$),
    ('dedup_window', $$'3660 days'$$), ('headers', $$(SELECT jsonb_object_agg('X-' || n, '') FROM generate_series(1, 100) AS n)$$),
    ('max_payload_bytes', '104857600'), ('headers', $$'{"X-A": "a"}'$$), ('payload_check', $$'$.id > 0'$$),
    ('payload_check', $$'strict $.lines[0].sku like_regex "^[A-Z]"'$$), ('payload_check', $$'exists($.lines[*])'$$),
    ('remote_id_path', $$'$.data.id'$$), ('credential', $$'key'$$), ('signing', $$'seal'$$), ('certificate', $$'ours'$$);

CREATE TEMP TABLE refused (what text, statement text, refusal text);
INSERT INTO refused VALUES
    ('no name', $$INSERT INTO integration.connector (name) VALUES ('')$$,
     $$^23514 name "" cannot be used \| It is empty\. \| Write a name of 1 to 100 characters .* such as 'shop-orders'\.$$),
    ('a name too long', $$INSERT INTO integration.credential (name, kind) VALUES (repeat('x', 101), 'basic')$$,
     $$^23514 name "x+" cannot be used \| It has 101 characters\.$$),
    ('a line break in a name', $$INSERT INTO integration.connector (name) VALUES (E'a\nb')$$,
     $$It contains a line break or another control character\.$$),
    ('a blank at the end of a name', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x ', '{}')$$,
     $$It begins or ends with a blank\.$$),
    ('no url', $$INSERT INTO integration.endpoint (name, url) VALUES ('x', ' ')$$,
     $$^23514 url of endpoint "x" cannot be called \| It is empty\. \| Write an address such as 'https://api\.example\.com/orders/\{object_id\}'\.$$),
    ('a url too long', $$INSERT INTO integration.endpoint (name, url) VALUES ('x', 'https://x.example.com/' || repeat('x', 7979))$$,
     $$^23514 url of endpoint "x" cannot be called \| It has 8001 bytes; 8000 are allowed\.$$),
    ('NULL as url', $$INSERT INTO integration.endpoint (name, url) VALUES ('x', NULL)$$, $$^23514 url of endpoint "x"$$),
    ('another scheme', $$INSERT INTO integration.endpoint (name, url) VALUES ('x', 'ftp://example.com/')$$,
     $$^23514 url of endpoint "x" cannot be called \| .+ \| Write an address such as 'https://$$),
    ('a private address', $$UPDATE integration.endpoint SET url = 'https://10.0.0.1/' WHERE name = 'shop'$$,
     $$^23514 url of endpoint "shop" cannot be called \| .+ protected network .+ \| .+ have a superuser .+ integration\.allowed_networks$$),
    ('a port of another protocol', $$UPDATE integration.endpoint SET url = 'https://8.8.8.8:25/' WHERE name = 'shop'$$,
     $$^23514 url of endpoint "shop" cannot be called \| .+ \| .+ have a superuser .+ integration\.allowed_ports$$),
    ('a name that is written in Unicode', $$UPDATE integration.endpoint SET url = 'https://bücher.example/' WHERE name = 'shop'$$,
     $$^23514 url of endpoint "shop" cannot be called \| .+ such as xn--$$),
    ('a token address that is private', $$INSERT INTO integration.credential (name, kind, settings)
     VALUES ('x', 'oauth2_client_credentials', '{"token_url": "https://169.254.169.254/", "client_id": "me"}')$$,
     $$^23514 settings of credential "x" cannot be used \| .+ protected network .+ \| .+ have a superuser .+ integration\.allowed_networks$$),
    ('an address with a password in it', $$UPDATE integration.endpoint SET url = 'https://a:b@shop.example.com/' WHERE name = 'shop'$$,
     $$^23514 url of endpoint "shop" cannot be called$$),
    ('connecting longer than the attempt', $$UPDATE integration.endpoint SET timeout = '2 s', connect_timeout = '3 s' WHERE name = 'shop'$$,
     $$^23514 connect_timeout of endpoint "shop" .* It is 00:00:03, with a timeout of 00:00:02\. \| Connecting is a part of the attempt$$),
    ('severity 0', $$INSERT INTO integration.connector (name, severity) VALUES ('x', 0)$$,
     $$^23514 severity of connector "x" cannot be used \| It is 0\. \| Write 1 \(worst\), 2, 3 or 4\.$$),
    ('severity 5', $$INSERT INTO integration.connector (name, severity) VALUES ('x', 5)$$, $$^23514 severity$$),
    ('an SLA of nothing', $$INSERT INTO integration.connector (name, sla) VALUES ('x', '0')$$,
     $$^23514 sla of connector "x" .* Write a time above zero, at most 3660 days, such as '15 min'; NULL for no promise of its own\.$$),
    ('an SLA of thousands of years', $$INSERT INTO integration.connector (name, sla) VALUES ('x', '3661 days')$$,
     $$^23514 sla of connector "x" .* It is 3661 days\.$$),
    ('no schedule', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', NULL)$$,
     $$^23514 the schedule of retry policy "x" is impossible \| It is NULL\. \| Write the waits before attempt 2, 3, …, such as ARRAY\['5 s', '1 min', '10 min', '1 h'\]::interval\[\]$$),
    ('a hole in the schedule', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', '{5 s,NULL,1 min}')$$,
     $$is impossible \| Wait 2 is NULL\.$$),
    ('a negative wait', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', '{5 s,-1 min}')$$,
     $$Wait 2 is -00:01:00, which is no wait\.$$),
    ('a wait of nothing', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', '{0}')$$,
     $$Wait 1 is 00:00:00, which is no wait\.$$),
    ('a month', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', '{1 mon}')$$,
     $$Wait 1 is 1 mon, which has no fixed length\.$$),
    ('a wait too long', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', '{31 days}')$$,
     $$Wait 1 is 31 days, longer than 30 days\.$$),
    ('too many waits', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', array_fill('1 s'::interval, '{101}'))$$,
     $$The schedule has 101 waits; 100 are allowed\.$$),
    ('arrays of arrays', $$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', '{{1 s},{2 s}}')$$,
     $$The schedule is an array of arrays\.$$),
    ('a deadline before the first wait', $$INSERT INTO integration.retry_policy (name, schedule, deadline) VALUES ('x', '{1 h}', '5 min')$$,
     $$The deadline of 00:05:00 is over before the first wait of 01:00:00\. \| .* a deadline of NULL or longer than the first$$),
    ('a negative deadline', $$INSERT INTO integration.retry_policy (name, schedule, deadline) VALUES ('x', '{}', '-1 s')$$,
     $$The deadline is -00:00:01, which is no time\.$$),
    ('a deadline in months', $$INSERT INTO integration.retry_policy (name, schedule, deadline) VALUES ('x', '{}', '2 mons')$$,
     $$The deadline is 2 mons\.$$),
    ('a deadline of thousands of years', $$INSERT INTO integration.retry_policy (name, schedule, deadline) VALUES ('x', '{}', '3661 days')$$,
     $$The deadline is 3661 days, longer than 3660 days\.$$),
    ('too much jitter', $$INSERT INTO integration.retry_policy (name, schedule, jitter) VALUES ('x', '{}', 1.5)$$,
     $$^23514 jitter of retry policy "x" cannot be used \| It is 1\.5\. \| Write a fraction of the wait, 0 to 1, such as 0\.2\.$$),
    ('jitter that is no number', $$INSERT INTO integration.retry_policy (name, schedule, jitter) VALUES ('x', '{}', 'NaN')$$, $$It is NaN\.$$),
    ('removing the default policy', $$DELETE FROM integration.retry_policy WHERE name = 'standard'$$,
     $$^55000 retry policy "standard" cannot be removed or renamed \| Every endpoint without a retry_policy uses it\. \| Change its schedule$$),
    ('renaming the default policy', $$UPDATE integration.retry_policy SET name = 'x' WHERE name = 'standard'$$, $$^55000 retry policy "standard"$$),
    ('an unknown policy', $$UPDATE integration.endpoint SET retry_policy = 'nope' WHERE name = 'shop'$$,
     $$^23503 .*Policies are in SELECT name$$),
    ('an unknown connector', $$INSERT INTO integration.endpoint (name, connector, url) VALUES ('x', 'nope', 'https://api.example.com')$$,
     $$^23503 .*Insert it into integration.connector first$$);

SELECT plan((SELECT count(*)::integer * 2 FROM broken_setting) + (SELECT count(*)::integer * 2 FROM good_setting)
            + (SELECT count(*)::integer FROM refused) + 12);

SELECT matches(pg_temp.refusal(format($$INSERT INTO integration.connector (name, %I) VALUES ('x', %s)$$, col, value)),
               refusal, format('connector: %s = %s is refused', col, value))
  FROM broken_setting;
SELECT matches(pg_temp.refusal(format($$INSERT INTO integration.endpoint (name, url, %I) VALUES ('x', 'https://x.example.com/', %s)$$, col, value)),
               refusal, format('endpoint: %s = %s is refused', col, value))
  FROM broken_setting;
SELECT is(pg_temp.refusal(format($$UPDATE integration.connector SET %I = %s WHERE name = 'erp'$$, col, value)),
          'accepted', format('connector: %s = %s is good', col, value))
  FROM good_setting;
SELECT is(pg_temp.refusal(format($$UPDATE integration.endpoint SET %I = %s WHERE name = 'shop'$$, col, value)),
          'accepted', format('endpoint: %s = %s is good', col, value))
  FROM good_setting;
SELECT matches(pg_temp.refusal(statement), refusal, what || ' is refused') FROM refused;

SELECT is(pg_temp.refusal($$INSERT INTO integration.retry_policy (name, schedule, jitter, deadline)
                            VALUES ('once', '{}', 0, NULL), ('quick', '{10 ms,1 s}', 1, '1 min')$$),
          'accepted', 'no wait at all, short waits, full jitter are good');
SELECT is(pg_temp.refusal($$UPDATE integration.retry_policy SET schedule = '{1 s}' WHERE name = 'standard'$$),
          'accepted', 'the default policy can be changed');
SELECT results_eq($$SELECT name, shipped FROM integration.retry_policy WHERE name IN ('standard', 'nightly', 'once') ORDER BY 1$$,
                  $$VALUES ('nightly', true), ('once', false), ('standard', false)$$,
                  'what the user made or changed is marked');
SELECT is(pg_temp.refusal($$INSERT INTO integration.retry_policy (name, schedule) VALUES ('nightly', '{2 h}')$$),
          'accepted', 'a restored policy takes the place of the shipped one');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.retry_policy (name, schedule) VALUES ('nightly', '{3 h}')$$),
               '^23505 ', 'but not the place of the user''s own');

SELECT matches(pg_temp.refusal($$UPDATE integration.endpoint SET allow_http = true WHERE name = 'shop'$$, 'checks_clerk'),
               $$^42501 only a superuser may set allow_http \(endpoint "shop"\) \| Plain http lets everybody .* \| Use an https address$$,
               'allow_http is refused to others than superusers');
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET timeout = '20 s' WHERE name = 'shop'$$, 'checks_clerk'),
          'accepted', 'whoever may write the registry needs no right on the functions that check it');
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET allow_http = true, url = 'http://shop.example.com/' WHERE name = 'shop'$$),
          'accepted', 'a superuser may allow plain http');
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET max_concurrency = 2 WHERE name = 'shop'$$, 'checks_clerk'),
          'accepted', 'others may change the rest of such an endpoint');
SELECT matches(pg_temp.refusal($$UPDATE integration.endpoint SET url = 'http://other.example.com/' WHERE name = 'shop'$$, 'checks_clerk'),
               '^42501 only a superuser', 'but not its address');
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET allow_http = false, url = 'https://shop.example.com/' WHERE name = 'shop'$$, 'checks_clerk'),
          'accepted', 'unless it is https again');
SELECT is(pg_temp.refusal($$UPDATE integration.connector SET name = 'erp2' WHERE name = 'erp'$$, 'checks_clerk'),
          'accepted', 'a connector can be renamed');

SELECT * FROM finish();
ROLLBACK;
