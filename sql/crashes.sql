-- Ends of a worker that took the server down: what it had in hand, which of it is to blame, when it goes on.

CREATE TABLE integration_worker.crash (
    started_at timestamptz NOT NULL,
    pid integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    syncs bigint[] NOT NULL,
    culprit bigint,
    PRIMARY KEY (started_at, pid)
);
COMMENT ON TABLE integration_worker.crash IS
    'Each end of a worker that took the server down, of the last day; deleting rows has the worker forget them.';
COMMENT ON COLUMN integration_worker.crash.started_at IS 'When that worker had started.';
COMMENT ON COLUMN integration_worker.crash.pid IS 'Its process.';
COMMENT ON COLUMN integration_worker.crash.at IS 'When its end was found out, at the next start.';
COMMENT ON COLUMN integration_worker.crash.syncs IS 'What it had in hand: being made into a request, sent, or recorded.';
COMMENT ON COLUMN integration_worker.crash.culprit IS 'The sync that was set aside for it; NULL: none was, all that were in hand are suspected.';

CREATE FUNCTION integration_worker.note_crash(started_at timestamptz, pid integer, syncs bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration_worker.crash c WHERE c.at < now() - interval '1 day';
    INSERT INTO integration_worker.crash (started_at, pid, syncs)
    VALUES (note_crash.started_at, note_crash.pid, note_crash.syncs)
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION integration_worker.note_crash(timestamptz, integer, bigint[]) IS
    'Notes that a worker took the server down with these syncs in hand; once, however often it is called.';

-- The first is no pattern.  More than that in a row, and the whole server would do nothing but restart.
-- Three that are explained are over, and count as one: there may be many such syncs.
CREATE FUNCTION integration_worker.resume_at(OUT crashes integer, OUT resume_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pauses interval[] := '{0,1 s,5 s,30 s,5 min}';
    later timestamptz := now();
    earlier record;
    explained integer := 0;
BEGIN
    crashes := 0;
    FOR earlier IN SELECT c.at, c.culprit IS NOT NULL AS is_explained FROM integration_worker.crash c ORDER BY c.at DESC LOOP
        EXIT WHEN earlier.at < later - interval '10 min';
        crashes := crashes + CASE WHEN earlier.is_explained THEN 0 ELSE 1 END;
        explained := explained + CASE WHEN earlier.is_explained THEN 1 ELSE 0 END;
        resume_at := coalesce(resume_at, earlier.at);
        later := earlier.at;
    END LOOP;
    crashes := crashes + explained / 3;
    resume_at := resume_at + pauses[least(crashes, 5)];
END
$$;
COMMENT ON FUNCTION integration_worker.resume_at() IS
    'How often workers crashed in a row, ten minutes apart at most, and before when the next one sends nothing; NULL: now.';

-- Whatever came of an attempt, it was none that ended in a crash: only crashes after it count.
CREATE FUNCTION integration_worker.suspects()
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, crashes integer, last_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.outbox_id, q.endpoint_id, count(*)::integer, max(c.at)
      FROM integration_worker.crash c
     CROSS JOIN LATERAL unnest(c.syncs) AS s (outbox_id)
     CROSS JOIN LATERAL (SELECT x.endpoint_id FROM integration.queue x
                          WHERE x.outbox_id = s.outbox_id AND nullif(x.state, 'failed') IS NOT NULL OFFSET 0) q
     WHERE c.culprit IS NULL
       AND c.at > coalesce((SELECT max(a.started_at) FROM integration.attempt a WHERE a.outbox_id = s.outbox_id), '-infinity')
     GROUP BY s.outbox_id, q.endpoint_id
$$;
COMMENT ON FUNCTION integration_worker.suspects() IS
    'Unfinished syncs that a worker had in hand when it crashed, since their last attempt: how often, when last.';

CREATE FUNCTION integration_worker.blame(ids bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration_worker.crash c
       SET culprit = b.id
      FROM unnest(ids) AS b (id)
      JOIN integration.queue q ON q.outbox_id = b.id AND q.state = 'failed'
     WHERE c.culprit IS NULL AND c.syncs @> ARRAY[b.id];
END
$$;
COMMENT ON FUNCTION integration_worker.blame(bigint[]) IS
    'Those of the syncs that were set aside explain the crashes at which they were in hand: what else was is suspected no more.';

CREATE FUNCTION integration_worker.is_crasher(id bigint) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration_worker.suspects() s WHERE s.outbox_id = is_crasher.id AND s.crashes >= 3)
$$;
COMMENT ON FUNCTION integration_worker.is_crasher(bigint) IS
    'Is this sync to be left alone, since a worker crashed three times while it had it in hand?';
