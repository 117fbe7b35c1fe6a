-- Ranges of ids made ahead of the sequence.
BEGIN;
SELECT plan(6);

CREATE FUNCTION pg_temp.ranges() RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(c.relname, ' ' ORDER BY c.relname)
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent IN ('integration.outbox'::regclass, 'integration.attempt'::regclass)
$$;

INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://shop.example.com/');

-- Whatever other tests have used.
SELECT setval('integration.outbox_id_seq', 1);
SELECT integration_worker.make_partitions();
SELECT is(pg_temp.ranges(), 'attempt_default outbox_default', 'an outbox that is hardly used needs none: a restore may bring its own');

SELECT setval('integration.outbox_id_seq', 1000);
SELECT is(integration_worker.make_partitions(), 511001::bigint, 'the first ranges begin well above the sequence');
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

SELECT * FROM finish();
ROLLBACK;
