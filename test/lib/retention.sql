-- Helpers of the tests of retention: old syncs, whole rounds.

-- Enqueues a sync so many days ago and ends it then, in the way that is named.
CREATE FUNCTION pg_temp.old_sync(how text, days integer) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint;
    ended timestamptz := now() - days * interval '1 day';
BEGIN
    INSERT INTO integration.outbox (endpoint, payload, created_at) VALUES ('shop', '{}', ended) RETURNING id INTO sync;
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason)
    SELECT sync, t.n, e.id, CASE WHEN how = 'delivered late' THEN now() ELSE ended END, t.outcome, 'http:200'
      FROM integration.endpoint e,
           unnest(CASE how WHEN 'delivered' THEN '{delivered}' WHEN 'delivered late' THEN '{delivered}'
                           WHEN 'retried' THEN '{failed,delivered}' WHEN 'failed' THEN '{failed}' ELSE '{}' END::text[])
           WITH ORDINALITY AS t (outcome, n)
     WHERE e.name = 'shop';
    IF how IN ('pending', 'failed') THEN
        UPDATE integration.queue q SET state = how WHERE q.outbox_id = sync;
        RETURN sync;
    END IF;
    DELETE FROM integration.queue q WHERE q.outbox_id = sync;
    IF how IN ('cancelled', 'superseded') THEN
        INSERT INTO integration.closing (outbox_id, state, closed_at) VALUES (sync, how, ended);
    ELSIF how = 'replayed' THEN
        INSERT INTO integration.action (verb, outbox_id, at) VALUES ('replay', sync, ended);
    END IF;
    RETURN sync;
END
$$;

-- One of each kind, just younger and just older than it is kept.
CREATE FUNCTION pg_temp.old_syncs() RETURNS TABLE (how text, days integer, id bigint)
    LANGUAGE sql
AS $$
    SELECT k.how, k.days, pg_temp.old_sync(k.how, k.days)
      FROM (VALUES ('delivered', 8), ('superseded', 8), ('retried', 89), ('retried', 91), ('cancelled', 89),
                   ('cancelled', 91), ('replayed', 89), ('replayed', 91), ('pending', 400), ('failed', 400)) AS k (how, days)
$$;

-- Steps until a round is over; returns how many they were.
CREATE FUNCTION pg_temp.retain(keep_delivered interval DEFAULT '7 d', keep_failed interval DEFAULT '90 d') RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    before jsonb;
    progress jsonb := '{}';
    steps integer := 0;
BEGIN
    LOOP
        before := progress;
        SELECT r.next INTO progress
          FROM integration_worker.retain(before, now() - keep_delivered, now() - keep_failed) r;
        steps := steps + 1;
        EXIT WHEN before ->> 'part' = 'traffic' AND progress ->> 'part' = 'ranges';
    END LOOP;
    RETURN steps;
END
$$;

-- Makes a range above all others, and the next syncs go there.
CREATE FUNCTION pg_temp.begin_range(size bigint) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    low bigint := (SELECT greatest(max(r.high), integration_worker.last_id()) + 1 FROM integration_worker.ranges() r);
    kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['outbox', 'attempt'] LOOP
        PERFORM integration_worker.create_range(kind, kind || '_' || low, low, low + size);
        PERFORM integration_worker.attach_range('integration.' || kind, kind || '_' || low, low, low + size);
    END LOOP;
    PERFORM setval('integration.outbox_id_seq', low - 1);
    RETURN low;
END
$$;

-- No more syncs will go there.
CREATE FUNCTION pg_temp.end_range() RETURNS void
    LANGUAGE sql
AS $$
    SELECT setval('integration.outbox_id_seq', (SELECT max(r.high) FROM integration_worker.ranges() r));
    SELECT integration_worker.make_partitions(1000, 10)
$$;

-- What a test has made, and what of it is left in a partition.
CREATE TEMP TABLE made (how text, days integer, id bigint);

CREATE FUNCTION pg_temp.left_in(range text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(m.how || ' ' || m.days, ', ' ORDER BY m.id)
      FROM made m JOIN integration.outbox o ON o.id = m.id
     WHERE o.tableoid = ('integration.outbox_' || range)::regclass
$$;
