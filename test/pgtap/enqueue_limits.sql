-- How much a customer or a role may enqueue: what is refused, in which words, what a limit doesn't hold.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(43);

INSERT INTO integration.endpoint (name, url, customer) VALUES
    ('shared', 'https://shop.example.com/', NULL), ('own', 'https://shop.example.com/', 'owner');
CREATE ROLE limited_producer;
SELECT integration.grant_producer('limited_producer') \g /dev/null

CREATE FUNCTION pg_temp.limit(scope text, name text, rows bigint DEFAULT NULL, bytes bigint DEFAULT NULL, backlog bigint DEFAULT NULL)
    RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO integration.enqueue_limit (scope, name, rows_per_minute, bytes_per_minute, max_backlog)
    VALUES ($1, $2, rows, bytes, backlog) ON CONFLICT (scope, name) DO UPDATE
       SET rows_per_minute = excluded.rows_per_minute, bytes_per_minute = excluded.bytes_per_minute, max_backlog = excluded.max_backlog
$$;

-- So many rows of a customer in one statement.
CREATE FUNCTION pg_temp.offer(customer text, count integer, payload text DEFAULT '{}', endpoint text DEFAULT 'shared') RETURNS text
    LANGUAGE sql
AS $$
    SELECT pg_temp.refusal(format('INSERT INTO integration.outbox (endpoint, customer, payload, object_id)
                                   SELECT %L, %L, %L, %L FROM generate_series(1, %s)', endpoint, customer, payload, customer, count))
$$;

-- The same as soon as room is seen.
CREATE FUNCTION pg_temp.offer_until_accepted(customer text, count integer) RETURNS text
    LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + interval '30 s';
    said text;
BEGIN
    LOOP
        said := pg_temp.offer(customer, count);
        EXIT WHEN said = 'accepted' OR clock_timestamp() > deadline;
        PERFORM pg_sleep(0.001);
    END LOOP;
    RETURN said;
END
$$;

CREATE FUNCTION pg_temp.enqueued(customer text) RETURNS bigint
    LANGUAGE sql
AS $$
    SELECT count(*) FROM integration.outbox o WHERE o.customer = $1
$$;

-- Syncs a minute.
SELECT is(pg_temp.offer('anybody', 1000), 'accepted', 'without a limit there is none');
SELECT pg_temp.limit('customer', 'tea', rows => 5) \g /dev/null
SELECT is(pg_temp.offer('anybody', 1000), 'accepted', 'nor for a customer without one');
SELECT is(pg_temp.offer('tea', 3), 'accepted', 'within the limit');
SELECT matches(pg_temp.offer('tea', 3),
               '^53400 customer "tea" has reached its limit of 5 syncs a minute \| This statement enqueues 3 syncs, 2 are left. \| '
               'Try again in \d+ s, or have an administrator raise rows_per_minute in integration.enqueue_limit.$', 'beyond it');
SELECT is(pg_temp.enqueued('tea'), 3::bigint, 'a statement is refused as a whole');
SELECT is(pg_temp.offer('tea', 6),
          '53400 customer "tea" has reached its limit of 5 syncs a minute | This statement enqueues 6 syncs, 2 are left. | '
          'Enqueue less in one statement, or have an administrator raise rows_per_minute in integration.enqueue_limit.',
          'more than can ever pass');
SELECT is(pg_temp.offer('tea', 2), 'accepted', 'what was refused is not counted');
SELECT is(pg_temp.offer(NULL, 1000), 'accepted', 'a sync of no customer has no customer''s limit');

-- Whose limit it is.
SELECT pg_temp.limit('customer', 'owner', rows => 2) \g /dev/null
SELECT is(pg_temp.offer('anybody', 3, endpoint => 'own'), 'accepted', 'the customer of a row wins over its endpoint''s');
SELECT matches(pg_temp.offer(NULL, 3, endpoint => 'own'), '^53400 customer "owner" ', 'which counts where a row has none');
SELECT pg_temp.limit('customer', '*', rows => 4) \g /dev/null
SELECT is(pg_temp.offer('first', 4), 'accepted', 'each customer has the limit of *');
SELECT is(pg_temp.offer('second', 4), 'accepted', 'for itself');
SELECT matches(pg_temp.offer('second', 4), '^53400 customer "second" has reached its limit of 4 syncs', 'and not more');
SELECT pg_temp.limit('customer', 'favoured') \g /dev/null
SELECT is(pg_temp.offer('favoured', 100), 'accepted', 'a row of its own takes the place of * as a whole');
SELECT pg_temp.limit('customer', 'barred', rows => 0) \g /dev/null
SELECT is(pg_temp.offer('barred', 1),
          '53400 customer "barred" has reached its limit of 0 syncs a minute | This statement enqueues 1 sync, 0 are left. | '
          'An administrator can raise rows_per_minute in integration.enqueue_limit.', '0 lets nothing pass');

-- A change holds at once, and is forgotten with its transaction.
SAVEPOINT raised;
SELECT pg_temp.limit('customer', 'barred', rows => 10) \g /dev/null
SELECT is(pg_temp.offer('barred', 10), 'accepted', 'a limit that was raised');
ROLLBACK TO raised;
SELECT matches(pg_temp.offer('barred', 1), '^53400 ', 'is the former one after a rollback');
DELETE FROM integration.enqueue_limit WHERE name = '*';
SELECT is(pg_temp.offer('second', 100), 'accepted', 'a limit that was deleted');

-- Bytes.
SELECT pg_temp.limit('customer', 'bulky', bytes => 100) \g /dev/null
SELECT is(pg_temp.offer('bulky', 1, '"' || repeat('x', 58) || '"'), 'accepted', 'bytes as they are sent');
SELECT matches(pg_temp.offer('bulky', 1, '"' || repeat('x', 58) || '"'),
               '^53400 customer "bulky" has reached its limit of 100 bytes of payload a minute \| This statement enqueues 60 bytes of payload, '
               '4\d are left. \| Try again in \d+ s, or have an administrator raise bytes_per_minute in', 'beyond the limit');

-- Roles: the user of the session, whatever role it has taken on.
SELECT pg_temp.limit('role', session_user, rows => 10) \g /dev/null
SELECT is(pg_temp.offer('anybody', 10), 'accepted', 'a role within its limit');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload) VALUES ('shared', '{}')$$, 'limited_producer'),
               format('^53400 role "%s" has reached its limit of 10 syncs a minute', session_user), 'beyond it, under another role');
SELECT pg_temp.limit('role', session_user, rows => 1000000) \g /dev/null

-- One statement, several limits: all or nothing.
SELECT pg_temp.limit('customer', 'many', rows => 5) \g /dev/null
SELECT pg_temp.limit('customer', 'few', rows => 1) \g /dev/null
SELECT matches(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, customer, payload)
                                 SELECT 'shared', c.customer, '{}' FROM generate_series(1, 4), (VALUES ('many'), ('few')) c (customer)$$),
               '^53400 customer "few" ', 'the first that has too much is named');
SELECT is(pg_temp.offer('many', 5), 'accepted', 'the others get back what was taken');

-- The backlog: what is unfinished, failed ones too, since there is a limit.
SELECT pg_temp.offer('slow', 2) \g /dev/null
SELECT pg_temp.limit('customer', 'slow', backlog => 3) \g /dev/null
SELECT is(pg_temp.offer('slow', 3), 'accepted', 'what was enqueued before there was a limit does not count');
SELECT is(pg_temp.offer('slow', 1),
          '53400 customer "slow" has reached its limit of 3 unfinished syncs | 3 were unfinished when they were last counted, '
          'this statement adds 1. | Try again when some of them are finished, or have an administrator raise max_backlog in '
          'integration.enqueue_limit.', 'a full backlog');
UPDATE integration.queue SET state = 'failed' WHERE limited_customer = 'slow';
SELECT matches(pg_temp.offer('slow', 1), '^53400 ', 'failed ones are unfinished');
SELECT integration.cancel(max(o.id)) FROM integration.outbox o WHERE o.customer = 'slow' \g /dev/null
SELECT is(pg_temp.offer_until_accepted('slow', 1), 'accepted', 'one that is over makes room');
SELECT is(count(*), 3::bigint, 'the view counts the same')
  FROM integration.queue q JOIN integration.enqueue_limit_status s ON s.name = q.limited_customer AND s.backlog = 3;
SELECT pg_temp.limit('role', session_user, backlog => 2) \g /dev/null
SELECT is(pg_temp.offer('anybody', 2), 'accepted', 'a role has a backlog too');
SELECT matches(pg_temp.offer('anybody', 1), '^53400 role .* limit of 2 unfinished syncs', 'whoever the customers are');
DELETE FROM integration.enqueue_limit WHERE scope = 'role';

-- Duplicates are rows, but wait for nothing.
SELECT pg_temp.limit('customer', 'clicker', rows => 4, backlog => 1) \g /dev/null
SELECT is(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, customer, payload, dedup_key)
                            SELECT 'shared', 'clicker', '{}', 'once' FROM generate_series(1, 3)$$), 'accepted', 'duplicates are in no backlog');
SELECT matches(pg_temp.offer('clicker', 2), '^53400 .* 4 syncs a minute \| This statement enqueues 2 syncs, 1 are left', 'but among the rows');

-- What people send again.
SELECT pg_temp.limit('customer', 'tea', rows => 0, bytes => 0, backlog => 0) \g /dev/null
SELECT pg_temp.limit('customer', 'owner', rows => 0) \g /dev/null
SELECT is(pg_temp.refusal((SELECT format('SELECT integration.amend(%s, ''{"a": 1}'')', max(o.id)) FROM integration.outbox o WHERE o.customer = 'tea')),
          'accepted', 'amend() is held by no limit');
SELECT is(pg_temp.refusal($$SELECT integration.ping('own')$$), 'accepted', 'nor is ping()');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload, replay_of) VALUES ('own', '{}', 1)$$, 'limited_producer'), '^53400 ',
               'an application can''t say that it replays');
SELECT matches(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, payload, operation) VALUES ('own', '{}', 'ping')$$, 'limited_producer'), '^53400 ',
               'nor that it pings');

-- More customers than places: they share, and push no role out.
SELECT pg_temp.limit('role', '*', rows => 100000) \g /dev/null
SELECT pg_temp.limit('customer', '*', rows => 1000) \g /dev/null
SELECT is(pg_temp.refusal($$INSERT INTO integration.outbox (endpoint, customer, payload)
                            SELECT 'shared', 'c' || n, '{}' FROM generate_series(1, 6000) n$$), 'accepted', 'more customers than places');
SELECT is(array_agg(u.scope || ' ' || (u.count <= 4096) ORDER BY u.scope), '{customer true,role true}', 'take no more than there are')
  FROM (SELECT s.scope, count(*) FROM integration_worker.enqueue_usage() s GROUP BY s.scope) u;

-- What people see.
SELECT results_eq($$SELECT s.rows_per_minute, s.rows_left, s.bytes_left, s.refused > 0, s.last_refused_at <= clock_timestamp()
                      FROM integration.enqueue_limit_status s WHERE s.scope = 'customer' AND s.name = 'many'$$,
                  $$VALUES (5::bigint, 0::bigint, NULL::bigint, false, NULL::boolean)$$, 'what is left');
SELECT pg_temp.offer('zebra', 600) \g /dev/null
SELECT results_eq($$SELECT s.scope || ' ' || s.name, s.rows_per_minute, s.rows_left < s.rows_per_minute
                      FROM integration.enqueue_limit_status s
                     WHERE s.name IN ('*', session_user, 'zebra') ORDER BY 1$$,
                  format($$VALUES ('customer *', 1000::bigint, false), ('customer zebra', 1000, true),
                                  ('role *', 100000, false), (%L, 100000, true)$$, 'role ' || session_user),
                  'who used the limit of * is in a row of its own');

-- What may be a limit.
SELECT is(pg_temp.refusal(c.statement), '23514 ' || c.message, c.message)
  FROM (VALUES
    ($$SELECT pg_temp.limit('endpoint', 'x', 1)$$, 'scope of an enqueue limit cannot be used | It is "endpoint". | Write customer or role.'),
    ($$SELECT pg_temp.limit('customer', 'x', backlog => 1000001)$$,
     'max_backlog of an enqueue limit cannot be used | It is "1000001". | Write 0 to 1000000, since those who enqueue count it; NULL for no limit.')
  ) AS c (statement, message);

SELECT * FROM finish();
ROLLBACK;
