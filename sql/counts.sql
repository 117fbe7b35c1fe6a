-- What became of syncs, counted by day: for reports that outlive them.
--
-- Delivered syncs leave after a week, promises are reported by the month; and a report that read a million attempts
-- each time would be read by nobody.  So the process of retention counts what has come to its end before it removes
-- anything, behind the application and the sender, which know nothing of it.

CREATE TABLE integration.sync_count (
    day date NOT NULL,
    endpoint text NOT NULL,
    customer text NOT NULL,
    connector text,
    syncs bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    in_time bigint NOT NULL DEFAULT 0,
    missed bigint NOT NULL DEFAULT 0,
    missed_by_customer bigint NOT NULL DEFAULT 0,
    missed_by_vendor bigint NOT NULL DEFAULT 0,
    impact_missed numeric,
    PRIMARY KEY (day, endpoint, customer)
);
COMMENT ON TABLE integration.sync_count IS
    'What became of the syncs that were due on a day, by endpoint and customer; written by the worker, kept for 25 months. Use integration.sla_report and integration.usage.';
COMMENT ON COLUMN integration.sync_count.day IS 'The day they were due, in UTC.';
COMMENT ON COLUMN integration.sync_count.endpoint IS 'The endpoint.';
COMMENT ON COLUMN integration.sync_count.customer IS 'The customer; empty: nobody''s.';
COMMENT ON COLUMN integration.sync_count.connector IS 'The endpoint''s connector at that time.';
COMMENT ON COLUMN integration.sync_count.syncs IS 'Those that came to an end.';
COMMENT ON COLUMN integration.sync_count.delivered IS 'Those of them that arrived.';
COMMENT ON COLUMN integration.sync_count.failures IS 'Their failed attempts.';
COMMENT ON COLUMN integration.sync_count.in_time IS 'Delivered within their SLA.';
COMMENT ON COLUMN integration.sync_count.missed IS 'Not delivered within their SLA, finished or not.';
COMMENT ON COLUMN integration.sync_count.missed_by_customer IS 'Those of them that failed for, or waited behind, what is the customer''s to mend.';
COMMENT ON COLUMN integration.sync_count.missed_by_vendor IS 'Those of them that failed for, or waited behind, what is the other system''s to mend.';
COMMENT ON COLUMN integration.sync_count.impact_missed IS 'Sum of the impact of those that were missed.';

-- Far fewer than there are syncs: what is delivered before it is looked at never gets here.
CREATE TABLE integration_worker.uncounted (
    outbox_id bigint PRIMARY KEY,
    endpoint_id integer NOT NULL,
    due_by timestamptz,
    at_risk_from timestamptz,
    is_missed boolean NOT NULL DEFAULT false
);
-- Serves missed_now(): promises that have just been broken.
CREATE INDEX uncounted_due ON integration_worker.uncounted (due_by) WHERE NOT is_missed;
-- Serves promises_at_risk(): the oldest of each endpoint.
CREATE INDEX uncounted_at_risk ON integration_worker.uncounted (endpoint_id, at_risk_from) WHERE at_risk_from IS NOT NULL;
COMMENT ON TABLE integration_worker.uncounted IS
    'Syncs that were not finished when they were looked at: the clocks that run. is_missed: counted as missed already.';

CREATE TABLE integration_worker.count_progress (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    counted_to bigint NOT NULL DEFAULT 0,
    checked_to bigint NOT NULL DEFAULT 0,
    countable_to bigint NOT NULL DEFAULT 0,
    waiting_id bigint NOT NULL DEFAULT 0,
    noted_id bigint NOT NULL DEFAULT 0,
    noted_at timestamptz NOT NULL DEFAULT '-infinity',
    horizon xid8
);
COMMENT ON TABLE integration_worker.count_progress IS
    'How far the counting came: every sync up to counted_to has been looked at, those up to countable_to can be; checked_to goes round in uncounted. Once no transaction before horizon runs, none can add an id up to waiting_id.';

-- Made at the first look: a row of the script would be in the way of the one in a dump.
CREATE FUNCTION integration_worker.count_state() RETURNS integration_worker.count_progress
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    progress integration_worker.count_progress;
BEGIN
    INSERT INTO integration_worker.count_progress DEFAULT VALUES ON CONFLICT DO NOTHING;
    SELECT p.* INTO progress FROM integration_worker.count_progress p FOR UPDATE;
    RETURN progress;
END
$$;
COMMENT ON FUNCTION integration_worker.count_state() IS
    'How far the counting came, locked.';

-- Ids are not committed in their order, so what is not there yet may come.  An id that was given away before the one
-- look belongs to a transaction that has a number by the next: once those are over, all of these ids are there.
-- A horizon from another cluster, restored, may lie far ahead.
CREATE FUNCTION integration_worker.note_ids(now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present pg_snapshot := pg_current_snapshot();
BEGIN
    UPDATE integration_worker.count_progress p
       SET countable_to = CASE WHEN p.horizon <= pg_snapshot_xmin(present) THEN p.waiting_id ELSE p.countable_to END,
           waiting_id = p.noted_id, noted_id = integration_worker.last_id(), noted_at = note_ids.now,
           horizon = pg_snapshot_xmax(present)
      FROM (SELECT x.is_one
              FROM integration_worker.count_progress x
             -- or of a clock that ran ahead
             WHERE (x.noted_at <= note_ids.now - interval '1 s' OR x.noted_at > note_ids.now)
               AND (x.horizon <= pg_snapshot_xmin(present) OR x.horizon > pg_snapshot_xmax(present)) IS NOT FALSE
               FOR UPDATE SKIP LOCKED) held
     WHERE p.is_one = held.is_one;
END
$$;
COMMENT ON FUNCTION integration_worker.note_ids(timestamptz) IS
    'Looks up to which id no running transaction can add a sync any more; at most once a second, for nobody who counts.';

CREATE VIEW integration_worker.countable AS
SELECT o.id, (t.started_at AT TIME ZONE 'UTC')::date AS day, o.endpoint, e.id AS endpoint_id, e.connector,
       coalesce(o.customer, e.customer, '') AS customer, o.impact,
       t.started_at + s.sla AS due_by, t.started_at + s.sla * 0.8 AS at_risk_from,
       q.outbox_id IS NULL AS is_over, coalesce(g.state, 'delivered') AS ended_as,
       coalesce(g.closed_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms') AS ended_at,
       coalesce(a.attempt_no, 0) - CASE WHEN a.outcome = 'delivered' THEN 1 ELSE 0 END AS failures
  FROM integration_worker.asked o
  LEFT JOIN integration.endpoint e ON e.name = o.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, e.customer)
  LEFT JOIN integration.queue q ON q.outbox_id = o.id
  LEFT JOIN integration.closing g ON g.outbox_id = o.id
  LEFT JOIN LATERAL (
       SELECT x.attempt_no, x.outcome, x.started_at, x.duration_ms
         FROM integration.attempt x
        WHERE x.outbox_id = o.id
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
 CROSS JOIN LATERAL (SELECT greatest(o.send_after, o.created_at) AS started_at) t
 CROSS JOIN LATERAL (SELECT coalesce(u.sla, c.sla) AS sla) s
 WHERE o.operation <> 'ping';
COMMENT ON VIEW integration_worker.countable IS
    'What counting must know of each sync.';

-- Withdrawn in time is no broken promise, nor is what gave way to a newer state.
CREATE FUNCTION integration_worker.promise_kept(
        due_by timestamptz, is_over boolean, ended_as text, ended_at timestamptz, now timestamptz)
    RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN due_by IS NULL THEN NULL
                WHEN NOT is_over THEN CASE WHEN now > due_by THEN false END
                WHEN ended_as = 'expired' OR ended_at > due_by THEN false
                WHEN ended_as = 'delivered' THEN true END
$$;
COMMENT ON FUNCTION integration_worker.promise_kept(timestamptz, boolean, text, timestamptz, timestamptz) IS
    'Was a sync delivered within its SLA? NULL: that is not decided, there is no promise, or it was withdrawn in time.';

-- Whose the last failure was to mend.  What never failed waited: with us if it was paused, else behind whatever was
-- wrong with its endpoint, such as an outage of the other side that let nothing through.
CREATE FUNCTION integration_worker.fault_of(id bigint, at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fault text := (SELECT r.responsible
                     FROM integration.attempt a
                     JOIN integration.error_reason r ON r.reason = a.reason
                    WHERE a.outbox_id = fault_of.id AND a.outcome = 'failed'
                    ORDER BY a.attempt_no DESC
                    LIMIT 1);
    sync integration_worker.sync_facts;
BEGIN
    IF fault IS NOT NULL THEN
        RETURN fault;
    END IF;
    SELECT f.* INTO sync FROM integration_worker.sync_facts f WHERE f.id = fault_of.id;
    IF fault_of.at <@ integration_worker.pauses_of(sync.connector, sync.endpoint, ARRAY[sync.customer, sync.endpoint_customer]) THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT i.responsible
              FROM integration.incident i
              JOIN integration.error_class k ON k.name = i.error_class AND NOT k.is_watched
             WHERE i.endpoint = sync.endpoint AND i.opened_at < fault_of.at
               AND (i.resolved_at IS NULL OR i.resolved_at > sync.clock_from)
             ORDER BY i.opened_at DESC
             LIMIT 1);
END
$$;
COMMENT ON FUNCTION integration_worker.fault_of(bigint, timestamptz) IS
    'Which party is to blame that a sync was not delivered by this time; NULL: it waited with us for nobody.';

-- Its plan may be made while every table is empty, so what would walk a whole one for each sync is switched off.
CREATE FUNCTION integration_worker.count_syncs(ids bigint[], now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET enable_seqscan = off
AS $$
BEGIN
    IF ids = '{}' THEN
        RETURN;
    END IF;
    WITH looked_at AS MATERIALIZED (
        SELECT c.*, coalesce(u.is_missed, false) AS was_missed,
               CASE WHEN u.is_missed IS NOT TRUE
                    THEN integration_worker.promise_kept(c.due_by, c.is_over, c.ended_as, c.ended_at, count_syncs.now) END AS is_kept
          FROM unnest(ids) AS i (id)
          JOIN integration_worker.countable c ON c.id = i.id
          LEFT JOIN integration_worker.uncounted u ON u.outbox_id = c.id
    ), blamed AS (
        SELECT l.*, CASE WHEN NOT l.is_kept THEN integration_worker.fault_of(l.id, l.due_by) END AS fault FROM looked_at l
    ), counted AS (
        INSERT INTO integration.sync_count AS s (day, endpoint, customer, connector, syncs, delivered, failures, in_time, missed,
                                                 missed_by_customer, missed_by_vendor, impact_missed)
        SELECT b.day, b.endpoint, b.customer, max(b.connector), count(*) FILTER (WHERE b.is_over),
               count(*) FILTER (WHERE b.is_over AND b.ended_as = 'delivered'),
               coalesce(sum(b.failures) FILTER (WHERE b.is_over), 0),
               count(*) FILTER (WHERE b.is_kept), count(*) FILTER (WHERE NOT b.is_kept),
               count(*) FILTER (WHERE b.fault = 'customer'), count(*) FILTER (WHERE b.fault = 'remote_vendor'),
               sum(b.impact) FILTER (WHERE NOT b.is_kept)
          FROM blamed b
         WHERE b.is_over OR b.is_kept IS NOT NULL
         GROUP BY b.day, b.endpoint, b.customer
            ON CONFLICT (day, endpoint, customer) DO UPDATE
           SET (connector, syncs, delivered, failures, in_time, missed, missed_by_customer, missed_by_vendor, impact_missed)
               = (excluded.connector, s.syncs + excluded.syncs, s.delivered + excluded.delivered, s.failures + excluded.failures,
                  s.in_time + excluded.in_time, s.missed + excluded.missed, s.missed_by_customer + excluded.missed_by_customer,
                  s.missed_by_vendor + excluded.missed_by_vendor,
                  coalesce(s.impact_missed + excluded.impact_missed, s.impact_missed, excluded.impact_missed))
    ), ended AS (
        DELETE FROM integration_worker.uncounted u USING looked_at l WHERE u.outbox_id = l.id AND l.is_over
    )
    INSERT INTO integration_worker.uncounted AS u (outbox_id, endpoint_id, due_by, at_risk_from, is_missed)
    SELECT l.id, l.endpoint_id, l.due_by, l.at_risk_from, l.was_missed OR l.is_kept IS NOT NULL
      FROM looked_at l
     WHERE NOT l.is_over AND l.endpoint_id IS NOT NULL
        ON CONFLICT (outbox_id) DO UPDATE
       SET is_missed = true
     WHERE excluded.is_missed AND NOT u.is_missed;
END
$$;
COMMENT ON FUNCTION integration_worker.count_syncs(bigint[], timestamptz) IS
    'Counts what became of these syncs, notes those that are not finished.';

-- Three looks, each at so many at most: what is new, what is not finished yet, which promises are over just now.
CREATE FUNCTION integration_worker.count_more(upto bigint, now timestamptz, most integer DEFAULT 5000) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    progress integration_worker.count_progress := integration_worker.count_state();
    fresh bigint[];
    open_ids bigint[];
BEGIN
    fresh := ARRAY(SELECT o.id FROM integration.outbox o
                    WHERE o.id > progress.counted_to AND o.id <= upto ORDER BY o.id LIMIT most);
    open_ids := ARRAY(SELECT u.outbox_id FROM integration_worker.uncounted u
                       WHERE u.outbox_id > progress.checked_to ORDER BY u.outbox_id LIMIT most);
    PERFORM integration_worker.count_syncs(fresh, now);
    PERFORM integration_worker.count_syncs(
        ARRAY(SELECT i.id FROM unnest(open_ids) AS i (id)
               WHERE NOT EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = i.id)), now);
    PERFORM integration_worker.count_syncs(
        ARRAY(SELECT u.outbox_id FROM integration_worker.uncounted u
               WHERE NOT u.is_missed AND u.due_by < now ORDER BY u.due_by LIMIT most), now);
    -- What retention or a person deleted can't be counted any more.
    DELETE FROM integration_worker.uncounted u
     WHERE u.outbox_id = ANY (open_ids) AND NOT EXISTS (SELECT FROM integration.outbox o WHERE o.id = u.outbox_id);
    UPDATE integration_worker.count_progress p
       SET counted_to = CASE WHEN cardinality(fresh) = most THEN fresh[most] ELSE greatest(p.counted_to, upto) END,
           checked_to = CASE WHEN cardinality(open_ids) = most THEN open_ids[most] ELSE 0 END;
    RETURN cardinality(fresh) = most OR cardinality(open_ids) = most;
END
$$;
COMMENT ON FUNCTION integration_worker.count_more(bigint, timestamptz, integer) IS
    'Counts on, up to this id, so many syncs at most in each of its looks; returns whether there may be more.';

CREATE FUNCTION integration_worker.forget_counts(now timestamptz) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM integration.sync_count c WHERE c.day < (forget_counts.now AT TIME ZONE 'UTC')::date - interval '25 months'
$$;
COMMENT ON FUNCTION integration_worker.forget_counts(timestamptz) IS
    'Removes counts of days more than 25 months ago, by the primary key.';

CREATE FUNCTION integration_worker.count_on(now timestamptz DEFAULT clock_timestamp()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A copy reports nobody's promises, and while it is restored rows are missing.
    IF NOT integration_worker.is_adopted() THEN
        RETURN false;
    END IF;
    -- What is lost is counted again.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM integration_worker.note_ids(count_on.now);
    PERFORM integration_worker.forget_counts(count_on.now);
    RETURN integration_worker.count_more((integration_worker.count_state()).countable_to, count_on.now);
END
$$;
COMMENT ON FUNCTION integration_worker.count_on(timestamptz) IS
    'A step of counting, called by the process of retention before it removes anything; returns whether there may be more.';
