-- Ranges of ids made ahead of the sequence.
BEGIN;
\ir ../lib/no_ranges.sql
SELECT plan(9);

CREATE FUNCTION pg_temp.ranges() RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(c.relname, ' ' ORDER BY c.relname)
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent IN ('integration.outbox'::regclass, 'integration.attempt'::regclass)
$$;

INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://shop.example.com/');

-- Whatever other tests have used; a sequence is not undone with the transaction.
SELECT last_value AS before FROM integration.outbox_id_seq \gset
SELECT setval('integration.outbox_id_seq', 1, false);
SELECT is(integration_worker.make_partitions(), 1::bigint, 'an outbox that was never used waits for its first row');
SELECT is(pg_temp.ranges(), 'attempt_default outbox_default', 'and needs no range: a restore may bring its own');

SELECT setval('integration.outbox_id_seq', 1000);
SELECT cmp_ok(integration_worker.make_partitions(), '<', 1000::bigint, 'one range is made a call');
SELECT is(integration_worker.make_partitions(), 511001::bigint, 'the first begin well above the sequence');
SELECT is_empty($$ SELECT c.conname FROM pg_constraint c WHERE c.conrelid = 'integration.outbox_11000'::regclass AND c.contype = 'c' $$,
                'inserts have nothing to check');
SELECT is(pg_temp.ranges(), 'attempt_1011000 attempt_11000 attempt_default outbox_1011000 outbox_11000 outbox_default',
          'for syncs and their attempts alike, enough for a million');

SELECT setval('integration.outbox_id_seq', 511000);
SELECT integration_worker.make_partitions();
SELECT is(pg_temp.ranges(), 'attempt_1011000 attempt_11000 attempt_default outbox_1011000 outbox_11000 outbox_default',
          'one and a half ahead suffice');

SELECT setval('integration.outbox_id_seq', 511001);
SELECT integration_worker.make_partitions();
SELECT is(pg_temp.ranges(), 'attempt_1011000 attempt_11000 attempt_2011000 attempt_default '
                            'outbox_1011000 outbox_11000 outbox_2011000 outbox_default', 'the next one begins where they end');

INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}');
SELECT is((SELECT o.tableoid::regclass::text FROM integration.outbox o WHERE o.id = 511002), 'integration.outbox_11000', 'rows go there');

SELECT setval('integration.outbox_id_seq', :before) \g /dev/null
SELECT * FROM finish();
ROLLBACK;
