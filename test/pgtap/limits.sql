-- The largest of everything is taken and can be looked at; one more is refused in words.
BEGIN;
\ir ../lib/refusal.sql
\ir ../lib/settle.sql
SELECT plan(28);

INSERT INTO integration.connector (name, sla) VALUES ('erp', '3660 days');
INSERT INTO integration.retry_policy (name, schedule, deadline) VALUES ('long', array_fill('30 days'::interval, ARRAY[100]), '3660 days');
INSERT INTO integration.endpoint (name, connector, url, retry_policy, "coalesce")
VALUES ('shop', 'erp', 'https://shop.example.com/', 'long', true);

-- Random, so that nothing makes it shorter in an index.
CREATE FUNCTION pg_temp.text_of(bytes integer) RETURNS text
    LANGUAGE sql
AS $$
    SELECT left(string_agg(md5(random()::text), ''), bytes) FROM generate_series(0, bytes / 32)
$$;

CREATE TEMP TABLE limited (col text);
INSERT INTO limited VALUES ('object_type'), ('object_id'), ('operation'), ('customer'), ('ordering_key'), ('dedup_key');
SELECT matches(pg_temp.refusal(format($$INSERT INTO integration.outbox (endpoint, payload, %I) VALUES ('shop', '{}', pg_temp.text_of(1001))$$, col)),
               format('^54000 %s of a sync to endpoint "shop" is too long \| It has 1001 bytes; 1000 are allowed\. \| Write a reference', col),
               format('1001 bytes of %s are refused', col))
  FROM limited;
SELECT matches(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload, send_after) VALUES ('shop', '{}', '10000-01-01+00')$$),
               '^23514 a sync to endpoint "shop" could never be sent \| send_after is .* \| Write a send_after before the year 10000\.',
               'the year 10000 is refused');
SELECT matches(pg_temp.refusal(format($$INSERT INTO integration.outbox (endpoint, payload, created_at) VALUES ('shop', '{}', %L)$$, t.at)),
               '^23514 created_at of a sync to endpoint "shop" cannot be used \| It is -?infinity\. \| Leave it out, or write a time between',
               'a created_at with which no view could reckon is refused')
  FROM unnest('{infinity,-infinity}'::text[]) AS t (at);
SELECT matches(pg_temp.refusal($$SELECT integration.pause('customer', pg_temp.text_of(1001), 'why')$$),
               '^54000 the name of the customer is too long \| It has 1001 bytes; 1000 are allowed\.',
               'so is a pause of a customer whom no sync can name');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload, headers)
                                 SELECT 'shop', '{}', jsonb_object_agg('X-' || n, '') FROM generate_series(1, 101) AS n$$),
               '^22023 headers of a sync to endpoint "shop" cannot be sent \| There are 101 headers; 100 are allowed\.',
               'so are 101 headers');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload, headers)
                                 SELECT 'shop', '{}', jsonb_build_object('X-A', pg_temp.text_of(8193))$$),
               '^22023 .* Header "X-A" is longer than 8192 bytes\.', 'and 8193 bytes in one of them');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.retry_policy (name, schedule) VALUES ('x', array_fill('1 s'::interval, ARRAY[101]))$$),
               '^23514 .* The schedule has 101 waits; 100 are allowed\.', 'and 101 waits in a schedule');

CREATE TEMP TABLE made (id bigint);
WITH o AS (
    INSERT INTO integration.outbox (endpoint, payload, object_type, object_id, operation, customer, ordering_key, dedup_key, send_after, headers)
    SELECT 'shop', '{}', pg_temp.text_of(1000), pg_temp.text_of(1000), pg_temp.text_of(1000), pg_temp.text_of(1000), pg_temp.text_of(1000),
           pg_temp.text_of(1000), CASE x WHEN 1 THEN '9999-12-31 00:00:00+00'::timestamptz END,
           (SELECT jsonb_object_agg('X-' || n, repeat('v', 8192)) FROM generate_series(1, 100) AS n)
      FROM generate_series(1, 2) x
    RETURNING id)
INSERT INTO made SELECT id FROM o;
SELECT is((SELECT count(*)::integer FROM made), 2, 'the longest of all are taken together');
SELECT is((SELECT count(*)::integer FROM integration.sync s JOIN made USING (id) WHERE s.due_by > now() + interval '3600 days' AND NOT s.sla_at_risk), 2,
          'they can be looked at');
SELECT isnt_empty('SELECT integration.why(id) FROM made', 'and asked about');
SELECT isnt_empty('SELECT FROM integration.endpoint_status', 'as can their endpoint');

INSERT INTO integration.outbox (endpoint, payload, expires_at) VALUES ('shop', '{}', 'infinity') RETURNING id \gset
SELECT is((SELECT t.details FROM integration.timeline(:id) t), 'upsert to shop; not after infinity', 'a sync that never expires has its timeline');
SELECT integration.pause('endpoint', 'shop', 'why', 'infinity') \g /dev/null
SELECT matches(integration.why(:id), 'until infinity', 'a pause that never ends has words');
SELECT integration.resume('endpoint', 'shop'), integration.cancel(:id) \g /dev/null

-- an outcome
SELECT is(pg_temp.bring(max(id), 'http:503', retry_after => 2147483647), 'retrying', 'a failure is recorded') FROM made;
SELECT is((SELECT h.retry_after_until - now() FROM integration.endpoint_health h), interval '24 h', 'a Retry-After of years holds for a day');
UPDATE integration.queue SET charged = 99, attempts = 99, change_xid = '3' WHERE outbox_id = (SELECT max(id) FROM made);
SELECT is(pg_temp.bring(max(id), 'http:500'), 'retrying', 'there is an attempt after the hundredth') FROM made;
SELECT cmp_ok((pg_temp.queued(max(id))).due_at, '>=', now() + interval '30 days', 'after the hundredth wait') FROM made;
SELECT is(pg_temp.bring(max(id), 'http:500'), 'failed', 'and none after that') FROM made;

-- names
SELECT is(pg_temp.refusal(format($$INSERT INTO integration.endpoint (name, url) VALUES (%L, 'https://x.example.com/')$$, repeat('ü', 100))),
          'accepted', 'a name of a hundred characters is taken');
SELECT is(pg_temp.refusal(format($$INSERT INTO integration.outbox (endpoint, payload) VALUES (%L, '{}')$$, repeat('ü', 100))),
          'accepted', 'and found');
SELECT is(pg_temp.refusal($$INSERT INTO integration.endpoint (name, url) VALUES ('far', 'https://x.example.com/' || repeat('x', 7978))$$),
          'accepted', 'so is a url of 8000 bytes');
SELECT is(pg_temp.refusal(format($$SELECT integration.pause('customer', %L, 'why')$$, pg_temp.text_of(1000))), 'accepted', 'so is the longest customer');

SELECT * FROM finish();
ROLLBACK;
