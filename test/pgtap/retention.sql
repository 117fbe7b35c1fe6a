-- What is old leaves, by the time it was over; what is not finished stays.
BEGIN;
\ir ../lib/no_ranges.sql
\ir ../lib/retention.sql
SELECT plan(42);

INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://shop.example.com/');

-- without ranges
INSERT INTO made SELECT * FROM pg_temp.old_syncs();
INSERT INTO made SELECT 'delivered', 6, pg_temp.old_sync('delivered', 6);
INSERT INTO made SELECT 'delivered late', 400, pg_temp.old_sync('delivered late', 400);
SELECT is((SELECT count(*) FROM integration_worker.retain('{"part": "syncs"}', '-infinity', '-infinity')), 1::bigint, 'nothing is old where everything is kept');
SELECT is((SELECT count(*) FROM made JOIN integration.outbox USING (id)), 12::bigint, 'and nothing leaves');
SELECT pg_temp.retain() \g /dev/null
SELECT is(pg_temp.left_in('default'),
          'retried 89, cancelled 89, replayed 89, pending 400, failed 400, delivered 6, delivered late 400',
          'what failed, was given up or touched stays longer; what is not finished stays');
SELECT results_eq('SELECT count(*) FROM integration.attempt', 'VALUES (5::bigint)', 'attempts leave with their sync');
SELECT results_eq('SELECT state FROM integration.closing', $$VALUES ('cancelled')$$, 'so do closings');
SELECT results_eq('SELECT verb, outbox_id FROM integration.action WHERE outbox_id IS NOT NULL', $$SELECT 'replay', id FROM made WHERE how = 'replayed' AND days = 89$$,
                  'what people did stays with its sync, and no longer');
SELECT is(integration.why(id), format('There is no sync %s: it was never committed, or retention has removed it.', id), 'why() says so')
  FROM made WHERE how = 'delivered' AND days = 8;
SELECT is((SELECT count(*)::integer FROM integration.sync s JOIN made USING (id)), 7, 'the views go on');

-- in small steps, each further on
CREATE TEMP TABLE many AS SELECT pg_temp.old_sync('delivered', 8) AS id FROM generate_series(1, 500);
SELECT is((SELECT integration_worker.sweep_syncs((SELECT min(id) - 1 FROM many), now(), now()) - min(id) FROM many), 199::bigint, 'a step ends after 200 syncs');
SELECT is((SELECT count(*) FROM many JOIN integration.outbox USING (id)), 300::bigint, 'it removed those');
SELECT cmp_ok(pg_temp.retain(), '<=', 8, 'a round takes as many steps as there is work');
SELECT is((SELECT count(*) FROM many JOIN integration.outbox USING (id)), 0::bigint, 'and leaves nothing behind');

-- what a step reads depends on nothing before it: 40 leave behind 2,000 and 8,000 that left in this transaction,
-- so that no vacuum could take them away
CREATE FUNCTION pg_temp.pages_of_last_step(others integer) RETURNS numeric
    LANGUAGE plpgsql
    SET enable_seqscan = off
AS $$
DECLARE
    before bigint := (SELECT max(o.id) FROM integration.outbox o);
    after_id bigint;
    plan json;
BEGIN
    INSERT INTO integration.outbox (endpoint, payload, created_at) SELECT 'shop', '{}', now() - interval '8 d' FROM generate_series(1, others);
    DELETE FROM integration.queue q WHERE q.outbox_id > before;
    after_id := (SELECT max(o.id) - 80 FROM integration.outbox_default o);
    DELETE FROM integration.outbox_default o WHERE o.id > before AND o.id <= after_id;
    EXECUTE format('EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT integration_worker.sweep_syncs(%s, now(), now(), 40)', after_id) INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::numeric + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::numeric;
END
$$;
SELECT pg_temp.pages_of_last_step(100) \g /dev/null
SELECT cmp_ok(pg_temp.pages_of_last_step(8000), '<=', 1.5 * pg_temp.pages_of_last_step(2000), 'a step reads as much as it removes');

-- incidents
INSERT INTO integration.incident (endpoint, error_class, state, resolved_at, note) VALUES
    ('shop', 'validation', 'resolved', now() - interval '89 d', 'young'), ('shop', 'validation', 'resolved', now() - interval '91 d', 'old'),
    ('shop', 'remote_unavailable', 'open', NULL, 'open');
SELECT pg_temp.retain() \g /dev/null
SELECT results_eq('SELECT note FROM integration.incident ORDER BY note', $$VALUES ('open'), ('young')$$, 'incidents leave when they are long resolved');
DELETE FROM integration.action;

-- a range of which little stays: that goes to the default partition
TRUNCATE made;
SELECT pg_temp.begin_range(1000) AS low \gset
INSERT INTO made SELECT * FROM pg_temp.old_syncs();
SELECT pg_temp.retain() \g /dev/null
SELECT is(pg_temp.left_in(:'low'), (SELECT string_agg(how || ' ' || days, ', ' ORDER BY id) FROM made), 'a range that still fills stays whole');
SELECT pg_temp.end_range() \g /dev/null
SELECT pg_temp.retain('9 d') \g /dev/null
SELECT isnt(to_regclass('integration.outbox_' || :'low'), NULL, 'so does one whose newest sync is too young');
SELECT pg_temp.retain() \g /dev/null
SELECT is(to_regclass('integration.outbox_' || :'low'), NULL, 'an old one leaves');
SELECT is(to_regclass('integration.attempt_' || :'low'), NULL, 'with its attempts');
SELECT is(pg_temp.left_in('default'), 'retried 89, cancelled 89, replayed 89, pending 400, failed 400', 'without what must stay');
SELECT results_eq('SELECT outbox_id, attempt_no, outcome FROM integration.attempt JOIN made ON made.id = outbox_id ORDER BY 1, 2',
    $$SELECT m.id, n, o FROM made m JOIN (VALUES ('retried', 1, 'failed'), ('retried', 2, 'delivered'), ('failed', 1, 'failed')) AS a (how, n, o) USING (how)
       WHERE m.days IN (89, 400) ORDER BY 1, 2$$, 'which keeps its attempts');
SELECT is((SELECT string_agg(s.state, ' ' ORDER BY s.id) FROM integration.sync s JOIN made USING (id)),
          'delivered cancelled delivered pending failed', 'and its state');
SELECT is((SELECT count(*)::integer FROM integration.closing JOIN made ON made.id = outbox_id), 1, 'closings of what has left are swept up');

-- a sync that was delivered late keeps its range as long as itself
SELECT pg_temp.begin_range(1000) AS low \gset
SELECT pg_temp.old_sync('delivered late', 400), pg_temp.old_sync('delivered', 8), pg_temp.end_range(), pg_temp.retain() \g /dev/null
SELECT isnt(to_regclass('integration.outbox_' || :'low'), NULL, 'a late delivery keeps its range');

-- a range of which much stays is thinned out
TRUNCATE made;
SELECT pg_temp.begin_range(1000) AS low \gset
INSERT INTO made SELECT h, 8, pg_temp.old_sync(h, 8) FROM generate_series(1, 250), unnest('{delivered,retried}'::text[]) h;
SELECT pg_temp.end_range(), pg_temp.retain() \g /dev/null
SELECT is(to_regclass('integration.outbox_' || :'low'), NULL, 'it leaves');
SELECT results_eq(format('SELECT how, count(*) FROM made JOIN integration.outbox_%s_kept USING (id) GROUP BY 1', :'low'), $$VALUES ('retried', 250::bigint)$$,
                  'what must stay is in its place');
SELECT results_eq(format('SELECT count(*) FROM integration.attempt_%s_kept', :'low'), $$VALUES (500::bigint)$$, 'with all attempts');
SELECT results_eq('SELECT count(*) FROM integration.sync JOIN made USING (id)', $$VALUES (250::bigint)$$, 'and is found');
SELECT pg_temp.retain() \g /dev/null
SELECT isnt(to_regclass(format('integration.outbox_%s_kept', :'low')), NULL, 'it is not thinned out again');
SELECT pg_temp.retain('7 d', '7 d') \g /dev/null
SELECT is(to_regclass(format('integration.outbox_%s_kept', :'low')), NULL, 'until it leaves altogether');
SELECT is((SELECT count(*)::integer FROM integration_worker.ranges() r WHERE r.is_kept), 0, 'and leaves nothing behind');

-- ranges are looked at one by one
SELECT pg_temp.begin_range(100), pg_temp.old_sync('delivered', 8), pg_temp.old_sync('retried', 91) \g /dev/null
SELECT pg_temp.begin_range(100), pg_temp.old_sync('delivered', 8), pg_temp.end_range() \g /dev/null
SET LOCAL track_functions = 'all';
SELECT next AS staged FROM integration_worker.retain('{}', now() - interval '7 d', now() - interval '90 d') \gset
SELECT is((SELECT f.calls FROM pg_stat_xact_user_functions f WHERE f.funcname = 'is_due'),
          (SELECT count(*) FROM integration_worker.ranges() r WHERE r.low <= (:'staged'::jsonb #>> '{staged,low}')::bigint),
          'those behind one that leaves are not looked at');

-- more is to be kept than when the copy was made
SELECT next AS copied FROM integration_worker.retain(:'staged', now() - interval '7 d', now() - interval '90 d') \gset
SELECT is(:'copied'::jsonb #>> '{staged,is_copied}', 'true', 'a copy is complete');
SELECT integration_worker.retain(:'copied', '-infinity', now() - interval '90 d') \g /dev/null
SELECT isnt(to_regclass('integration.' || (:'copied'::jsonb #>> '{staged,outbox}')), NULL, 'its range stays when delivered syncs are to be kept longer');
SELECT integration_worker.retain(:'copied', now() - interval '7 d', '-infinity') \g /dev/null
SELECT isnt(to_regclass('integration.' || (:'copied'::jsonb #>> '{staged,outbox}')), NULL, 'and when failed ones are');
SELECT is((SELECT count(*)::integer FROM integration_worker.outbox_staged), 0, 'the copy does not');

-- what happens to a range while it is copied
SELECT pg_temp.begin_range(1000) AS low \gset
SELECT pg_temp.old_sync('delivered', 8) AS touched, pg_temp.old_sync('pending', 8) AS waiting, pg_temp.old_sync('delivered', 8) AS plain \gset
SELECT pg_temp.end_range() \g /dev/null
SELECT next AS staged FROM integration_worker.retain(jsonb_build_object('after', :low - 1), now() - interval '1 min', now() - interval '90 d') \gset
SELECT next AS copied FROM integration_worker.retain(:'staged', now() - interval '1 min', now() - interval '90 d') \gset
SELECT is(:'copied'::jsonb #> '{staged,low}', to_jsonb(:low), 'a range is copied');
SELECT integration.replay(:touched, 'asked for once more') \g /dev/null
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason)
SELECT :waiting, 1, e.id, now() - interval '10 min', 'delivered', 'http:200' FROM integration.endpoint e WHERE e.name = 'shop';
DELETE FROM integration.queue WHERE outbox_id = :waiting;
SELECT integration_worker.retain(:'copied', now() - interval '1 min', now() - interval '90 d') \g /dev/null
SELECT is(to_regclass('integration.outbox_' || :low), NULL, 'it leaves');
SELECT set_eq(format('SELECT id FROM integration.outbox WHERE id BETWEEN %s AND %s', :low, :plain), ARRAY[:touched, :waiting]::bigint[],
              'without what was touched or under way meanwhile');
SELECT is((SELECT outcome FROM integration.attempt WHERE outbox_id = :waiting), 'delivered', 'which has the attempt that ended it');

-- an answer was on its way when its endpoint was deleted
DELETE FROM integration.queue;
DELETE FROM integration.endpoint WHERE name = 'shop';
INSERT INTO integration.endpoint (name, url) VALUES ('other', 'https://other.example.com/');
INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at)
SELECT i.id, 'order', 'PO-' || n, 'in_sync', 1, now()
  FROM generate_series(1, 10000) n,
       (SELECT e.id FROM integration.endpoint e UNION ALL SELECT d.id FROM integration_worker.deleted_endpoint d) i;
SELECT is(integration_worker.sweep_statuses(0), NULL, 'for an hour more may come');
UPDATE integration_worker.deleted_endpoint SET at = now() - interval '61 min';
SELECT is(integration_worker.sweep_statuses(0), 100::bigint, 'then it is removed, in small steps');
SELECT pg_temp.retain() \g /dev/null
SELECT results_eq('SELECT count(*), (SELECT count(*) FROM integration_worker.deleted_endpoint) FROM integration.sync_status', 'VALUES (10000::bigint, 0::bigint)',
                  'and nothing is left of it');

SELECT * FROM finish();
ROLLBACK;
