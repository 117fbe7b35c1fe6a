-- Whose turn it is: among the states of an object, under an ordering key.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(35);

INSERT INTO integration.endpoint (name, url, "coalesce") VALUES
    ('newest', 'https://api.example.com/', true), ('other', 'https://api.example.com/', true), ('each', 'https://api.example.com/', false);

CREATE FUNCTION pg_temp.make(sync bigint, kind text) RETURNS void
    LANGUAGE sql
AS $$
    UPDATE integration.queue q
       SET state = CASE WHEN kind IN ('retrying', 'failed') THEN kind ELSE q.state END,
           due_at = CASE WHEN kind IN ('later', 'retrying') THEN now() + interval '1 h' ELSE q.due_at END,
           expires_at = CASE WHEN kind = 'expired' THEN now() - interval '1 s' END,
           claimed_at = CASE WHEN kind = 'claimed' THEN now() END
     WHERE q.outbox_id = sync
$$;

CREATE FUNCTION pg_temp.places(ids bigint[], found bigint[]) RETURNS text
    LANGUAGE sql
AS $$
    SELECT coalesce(string_agg(i.n::text, ' ' ORDER BY i.n), '-')
      FROM unnest(ids) WITH ORDINALITY AS i (id, n)
     WHERE i.id = ANY (found)
$$;

-- What is made of syncs of one object, oldest first: which are closed and by which, who is named and how.
CREATE FUNCTION pg_temp.outcome(ids bigint[], busy bigint[] DEFAULT '{}', most integer DEFAULT 1000) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    named text;
BEGIN
    SELECT string_agg(DISTINCT format('%s %s', pg_temp.places(ids, ARRAY[s.outbox_id]), s.standing), ', ') INTO named
      FROM integration_worker.supersede(ids, ids, busy, most) s;
    RETURN format('%s closed by %s; %s',
                  pg_temp.places(ids, ARRAY(SELECT c.outbox_id FROM integration.closing c
                                             WHERE c.outbox_id = ANY (ids) AND (c.state, c.reason) = ('superseded', 'coalesced'))),
                  pg_temp.places(ids, ARRAY(SELECT c.superseded_by FROM integration.closing c WHERE c.outbox_id = ANY (ids))),
                  named);
END
$$;

CREATE FUNCTION pg_temp.states(VARIADIC kinds text[]) RETURNS bigint[]
    LANGUAGE plpgsql
AS $$
DECLARE
    object text := gen_random_uuid();
    ids bigint[];
BEGIN
    ids := ARRAY(SELECT pg_temp.enqueue('newest', object) FROM unnest(kinds));
    PERFORM pg_temp.make(i.id, i.kind) FROM unnest(ids, kinds) AS i (id, kind);
    RETURN ids;
END
$$;

-- What take() says of syncs that are named to it: crowded, held or free.
CREATE FUNCTION pg_temp.taken(ids bigint[]) RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(CASE WHEN t.crowded THEN 'crowded' WHEN t.held THEN 'held' ELSE 'free' END, ' ' ORDER BY t.outbox_id)
      FROM integration_worker.take('{}', '{}', '{}', '{}', '{}', '{}', ids) t
     WHERE t.due_at <= statement_timestamp()
$$;

SELECT is(pg_temp.outcome(pg_temp.states(VARIADIC c.kinds)), c.expected, c.what)
  FROM (VALUES
    ('{pending}'::text[], '- closed by -; 1 next', 'one is the newest'),
    ('{pending,pending,pending}', '1 2 closed by 3; 3 next', 'of three the newest is left'),
    ('{retrying,failed,pending}', '1 2 closed by 3; 3 next', 'what was tried and what failed is closed by a newer state'),
    ('{pending,retrying}', '1 closed by 2; 2 next', 'one that is tried again later counts now'),
    ('{pending,failed}', '- closed by -; 1 next', 'one that a person must look at doesn''t count'),
    ('{pending,later}', '- closed by -; 1 next', 'nor does one that is not due'),
    ('{later,pending}', '1 closed by 2; 2 next', 'which is itself outdated by a newer one'),
    ('{pending,expired}', '- closed by -; 1 next', 'nor does one that has expired'),
    ('{expired,pending}', '1 closed by 2; 2 next', 'which is closed all the same'),
    ('{claimed,pending}', '- closed by -; 2 held', 'one that may be at the receiver is waited for'),
    ('{claimed,pending,pending}', '2 closed by 3; 3 held', 'and what is between is closed'),
    ('{later,failed}', '- closed by -; ', 'where none may be sent nothing is closed')) AS c (kinds, expected, what);

SELECT is(pg_temp.taken(pg_temp.states(VARIADIC c.kinds)), c.expected, c.what)
  FROM (VALUES
    ('{pending}'::text[], 'free', 'take() gives the only one'),
    ('{pending,pending}', 'crowded crowded', 'of two neither'),
    ('{failed,pending}', 'crowded', 'nor one with an older one that failed'),
    ('{pending,failed}', 'free', 'but one whose newer one failed'),
    ('{pending,later}', 'free', 'or is not due'),
    ('{later,pending}', 'crowded', 'not one with an older one that is not due'),
    ('{pending,expired}', 'free crowded', 'or has expired')) AS c (kinds, expected, what);

-- What is under way
SELECT pg_temp.states('pending', 'pending', 'pending') AS ids \gset
SELECT is(pg_temp.outcome(:'ids', ARRAY[(:'ids'::bigint[])[1]]), '2 closed by 3; 3 held', 'what is under way is not closed, the newest waits for it');
SELECT is(pg_temp.outcome(:'ids', ARRAY[(:'ids'::bigint[])[3]]), '1 2 closed by 3; 3 next', 'an older one that turns up meanwhile is closed');

-- No call takes long
SELECT pg_temp.states('pending', 'pending', 'pending', 'pending') AS ids \gset
SELECT is(pg_temp.outcome(:'ids', most => 2), '1 2 closed by 4; 4 again', 'so many in one call');
SELECT is(pg_temp.outcome(:'ids', most => 2), '1 2 3 closed by 4; 4 next', 'the rest in the next');

-- Other objects, other endpoints, pings
SELECT pg_temp.enqueue('newest', 'O-1') AS a, pg_temp.enqueue('newest', 'O-2') AS b, pg_temp.enqueue('other', 'O-1') AS c,
       pg_temp.enqueue('newest') AS d, pg_temp.enqueue('newest') AS e, pg_temp.enqueue('each', 'O-1') AS f,
       pg_temp.enqueue('each', 'O-1') AS g, integration.ping('newest') AS h, integration.ping('newest') AS i \gset
SELECT is(pg_temp.taken(ARRAY[:a, :b, :c, :d, :e, :f, :g, :h, :i]), 'free free free free free free free free free',
          'another object, another endpoint, no object, no coalescing, a ping: nothing is crowded');
SELECT is(pg_temp.outcome(ARRAY[:a, :b, :c, :d, :e, :f, :g, :h, :i]), '- closed by -; 1 next, 2 next, 3 next', 'and nothing closed');

-- Copies are as old as what they copy
SELECT pg_temp.states('failed', 'pending') AS ids \gset
SELECT integration.amend((:'ids'::bigint[])[1], '{"n": 2}', 'typing error') AS copy \gset
SELECT is(pg_temp.outcome(:'ids' || ARRAY[:copy]::bigint[]), '3 closed by 2 3; 2 next', 'an amended state is older than what came after its original');
SELECT pg_temp.states('pending') AS ids \gset
SELECT pg_temp.bring((:'ids'::bigint[])[1], 'http:200') \gset
SELECT integration.replay((:'ids'::bigint[])[1]) AS copy \gset
SELECT pg_temp.bring(:copy, 'http:200') \gset
SELECT pg_temp.enqueue('newest', o.object_id) AS newer FROM integration.outbox o WHERE o.id = :copy \gset
SELECT integration.replay(:copy) AS again \gset
SELECT is(pg_temp.outcome(ARRAY[:newer, :again]), '2 closed by 1; 1 next', 'a copy of a copy is as old as the first');
SELECT is((SELECT q.place FROM integration.queue q WHERE q.outbox_id = :newer), NULL, 'what is no copy has its own place');

-- Under an ordering key
SELECT pg_temp.enqueue('newest', 'K-1', 'k') AS a, pg_temp.enqueue('newest', 'K-2', 'k') AS b, pg_temp.enqueue('newest', 'K-1', 'k') AS c \gset
SELECT is(pg_temp.taken(ARRAY[:a, :b, :c]), 'crowded held crowded', 'a newer state counts even while it waits for its turn');
SELECT is(pg_temp.outcome(ARRAY[:a, :b, :c]), '1 closed by 3; 2 next, 3 next', 'closing the head of a key lets the next one go');
SELECT is(pg_temp.taken(ARRAY[:a, :b, :c]), 'free held', 'and the newest keeps its turn');
SELECT pg_temp.enqueue('newest', 'F-1', 'f') AS a, pg_temp.enqueue('newest', 'F-1', 'f') AS b \gset
SELECT pg_temp.make(:a, 'failed');
SELECT is(pg_temp.outcome(ARRAY[:a, :b]), '1 closed by 2; 2 next', 'a newer state ends the wait behind a head that failed');

-- What people see
SELECT pg_temp.states('pending', 'pending') AS ids \gset
SELECT pg_temp.outcome(:'ids') \gset
SELECT (:'ids'::bigint[])[1] AS older, (:'ids'::bigint[])[2] AS newer \gset
SELECT results_eq(format('SELECT state, superseded_by FROM integration.sync WHERE id = %s', :older),
                  format('SELECT %L, %s::bigint', 'superseded', :newer), 'sync names the newer one');
SELECT matches(integration.why(:older), format('^Sync %s was not sent after .*: a newer state of its object took its place, sync %s, which is pending\.$', :older, :newer), 'so does why()');
SELECT is((SELECT t.details FROM integration.timeline(:older) t WHERE t.what = 'superseded'), format('coalesced; in its place sync %s', :newer), 'so does the timeline');

SELECT finish();
ROLLBACK;
