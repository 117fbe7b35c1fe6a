-- The door: what an insert into the outbox must fulfil, how it becomes a queue row.

CREATE FUNCTION integration_worker.last_id() RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('integration.outbox', 'id')::regclass), 0)
$$;
COMMENT ON FUNCTION integration_worker.last_id() IS
    'The last id that the outbox has given away.';

-- How alike two names are is how many pairs of neighbouring letters of the one stand in the other.
CREATE FUNCTION integration_worker.missing_endpoint(name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(CASE WHEN max(e.known) > 10 THEN format('Of %s endpoints these have names most like it: ', max(e.known))
                         ELSE 'Endpoints are: ' END
                    || string_agg(format('"%s"', e.name), ', ' ORDER BY e.alike DESC, e.name) || '.', 'There is no endpoint yet.')
      FROM (SELECT x.name, p.alike, count(*) OVER () AS known
              FROM integration.endpoint x
             CROSS JOIN LATERAL (
                   SELECT count(*) AS alike
                     FROM generate_series(1, least(length(missing_endpoint.name), 101) - 1) n
                    WHERE strpos(lower(x.name), lower(substr(missing_endpoint.name, n, 2))) > 0) p
             ORDER BY p.alike DESC, x.name
             LIMIT 10) e
$$;
COMMENT ON FUNCTION integration_worker.missing_endpoint(text) IS
    'Which endpoints may have been meant by a name that none has, as a sentence.';

-- Why the queue did not take a row, in the parts of an error; the trigger raises it, so that the
-- application sees its own statement and none of this.  The fast path never comes here.
CREATE FUNCTION integration_worker.refusal(
        id bigint, endpoint text, operation text, payload jsonb, headers jsonb, priority text, send_after timestamptz,
        expires_at timestamptz, enqueued_by name, OUT code text, OUT message text, OUT detail text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target integration.endpoint_config;
BEGIN
    SELECT c.* INTO target FROM integration.endpoint_config c WHERE c.name = refusal.endpoint;
    IF target.id IS NULL THEN
        code := '23503';
        message := format('endpoint "%s" does not exist', refusal.endpoint);
        detail := integration_worker.missing_endpoint(refusal.endpoint);
        hint := 'Insert a row into integration.endpoint first, or correct the name.';
    ELSIF refusal.id > integration_worker.last_id() THEN
        code := '428C9';
        message := format('the id of a sync is given by the outbox, not by the insert (id %s)', refusal.id);
        hint := 'Leave the column id out and read it with RETURNING id. A dump is restored without --load-via-partition-root.';
    ELSIF refusal.enqueued_by <> session_user THEN
        code := '428C9';
        message := format('enqueued_by of a sync to endpoint "%s" cannot be "%s"', target.name, refusal.enqueued_by);
        detail := format('It is the user of the session: "%s".', session_user);
        hint := 'Leave the column enqueued_by out; triggered_by is for who in the application caused it.';
    ELSIF refusal.priority NOT IN ('high', 'normal', 'low') THEN
        code := '23514';
        message := format('priority "%s" is not known', refusal.priority);
        hint := 'Write high, normal or low.';
    ELSIF octet_length(refusal.payload::text) > target.max_payload_bytes THEN
        code := '54000';
        message := format('payload of %s bytes is larger than endpoint "%s" allows', octet_length(refusal.payload::text), target.name);
        detail := format('max_payload_bytes is %s.', target.max_payload_bytes);
        hint := 'Send less, or raise max_payload_bytes of the endpoint or its connector.';
    ELSIF integration_worker.header_problem(refusal.headers) IS NOT NULL THEN
        code := '22023';
        message := format('headers of a sync to endpoint "%s" cannot be sent', target.name);
        detail := integration_worker.header_problem(refusal.headers);
        hint := 'Write a JSON object of names and values, such as {"X-Request-Source": "shop"}.';
    ELSIF refusal.operation <> 'ping' AND target.payload_check IS NOT NULL AND (refusal.payload @@ target.payload_check) IS NOT TRUE THEN
        code := '23514';
        message := format('payload is refused by the payload_check of endpoint "%s"', target.name);
        detail := format('The check is %s.', target.payload_check);
        hint := 'Correct the payload, or the payload_check of the endpoint or its connector.';
    ELSIF target.status = 'retired' AND isfinite(coalesce(refusal.send_after, now()))
          AND (refusal.expires_at > greatest(now(), refusal.send_after)) IS NOT FALSE THEN
        code := '55000';
        message := format('connector "%s" is retired: endpoint "%s" takes no more syncs', target.connector, target.name);
        detail := 'What was enqueued before is still sent, and can be amended.';
        hint := format('Send to an endpoint of what took its place, or have an administrator '
                       'UPDATE integration.connector SET status = ''active'' WHERE name = %L.', target.connector);
    ELSE
        code := '23514';
        message := format('a sync to endpoint "%s" could never be sent', target.name);
        detail := format('send_after is %s, expires_at is %s, it is now %s.',
                         coalesce(refusal.send_after::text, 'not given'), coalesce(refusal.expires_at::text, 'not given'), now());
        hint := 'Write an expires_at that is later than both now and send_after, and a finite send_after.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.refusal(bigint, text, text, jsonb, jsonb, text, timestamptz, timestamptz, name) IS
    'The parts of the error for an outbox row that the queue did not take: SQLSTATE, message, detail, hint.';

-- What replaced a sync stands for it.  One that was given up stands for nothing, nor does one whose time is over;
-- a failed one does, since somebody may retry it.  Volatile, so that whoever had to wait for a key sees what became of it.
CREATE FUNCTION integration_worker.in_force(id bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sync bigint := in_force.id;
    ended integration.closing;
BEGIN
    LOOP
        SELECT c.* INTO ended FROM integration.closing c WHERE c.outbox_id = sync;
        EXIT WHEN NOT FOUND;
        IF ended.superseded_by IS NULL THEN
            RETURN NULL;
        END IF;
        sync := ended.superseded_by;
    END LOOP;
    IF EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = sync AND q.expires_at <= clock_timestamp()) THEN
        RETURN NULL;
    END IF;
    RETURN sync;
END
$$;
COMMENT ON FUNCTION integration_worker.in_force(bigint) IS
    'The sync that this one or what took its place brings to the endpoint; NULL: none does, it was cancelled or has expired.';

-- Nobody waits for whoever holds a key, and no call takes long: the worker calls again while there is more.
-- The hour leaves a statement that runs while a window ends the rows that it has already compared with.
CREATE FUNCTION integration_worker.forget_duplicates(most integer DEFAULT 1000) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    forgotten integer;
BEGIN
    DELETE FROM integration.dedup d
     USING (SELECT k.endpoint_id, k.dedup_key
              FROM integration.dedup k
             WHERE k.expires_at < now() - interval '1 h'
             ORDER BY k.expires_at
             LIMIT most
               FOR UPDATE SKIP LOCKED) old
     WHERE d.endpoint_id = old.endpoint_id
       AND d.dedup_key = old.dedup_key;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten = most;
END
$$;
COMMENT ON FUNCTION integration_worker.forget_duplicates(integer) IS
    'Removes some of the keys whose window ended, the oldest first, by the index dedup_expires; returns whether there may be more.';

-- In C: the rows of the statement become queue rows, and the commit wakes the worker.  It takes the owner's rights
-- and a path of its own where it runs SQL; taken for each call, they would cost an insert 4 µs.
CREATE FUNCTION integration_worker.enqueue() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'integration_enqueue';
COMMENT ON FUNCTION integration_worker.enqueue() IS
    'Writes the queue rows of the inserted outbox rows, closes duplicates, or refuses them with a hint.';

CREATE TRIGGER enqueue AFTER INSERT ON integration.outbox
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.enqueue();

-- In C, without a condition of its own: WHEN would cost each insert as much as a third of what it costs by itself.
CREATE FUNCTION integration_worker.refuse_extent() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'integration_refuse_extent';
COMMENT ON FUNCTION integration_worker.refuse_extent() IS
    'Row trigger: refuses keys too long for an index, times too far away to reckon with; takes over the trace context of the statement''s comment.';

CREATE TRIGGER refuse_extent BEFORE INSERT ON integration.outbox
    FOR EACH ROW EXECUTE FUNCTION integration_worker.refuse_extent();

-- A subscriber of logical replication must not send what its publisher sends.
CREATE FUNCTION integration_worker.drop_replicated() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.drop_replicated() IS
    'Row trigger that drops queue rows arriving by logical replication.';

CREATE TRIGGER drop_replicated BEFORE INSERT ON integration.queue
    FOR EACH ROW EXECUTE FUNCTION integration_worker.drop_replicated();
ALTER TABLE integration.queue ENABLE REPLICA TRIGGER drop_replicated;
