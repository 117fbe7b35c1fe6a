-- What people do to many syncs at once: in steps, with a dry run, showing how far it has come.

-- Which syncs; what is NULL fits any.
CREATE TYPE integration_worker.choice AS (
    states text[],
    endpoint text,
    error_class text,
    since timestamptz,
    until timestamptz,
    customer text
);
COMMENT ON TYPE integration_worker.choice IS
    'Which unfinished syncs somebody means: since and until are of the last attempt, or of the enqueueing where there was none.';

-- What to do to them.
CREATE TYPE integration_worker.bulk AS (
    verb text,
    subject text,
    reason text,
    details jsonb,
    patch jsonb,
    dry_run boolean
);
COMMENT ON TYPE integration_worker.bulk IS
    'What somebody does to many syncs: the verb of its actions, which syncs in words, why; for amend what changes in the payloads.';

CREATE FUNCTION integration_worker.require_choice(verb text, choice integration_worker.choice) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF choice.endpoint IS NOT NULL THEN
        PERFORM integration_worker.require_endpoint(choice.endpoint);
    END IF;
    PERFORM integration_worker.require_error_class(choice.error_class);
    IF num_nonnulls(choice.endpoint, choice.error_class, choice.since, choice.until, choice.customer) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('%s_where needs to know which syncs', verb),
            HINT = format('Name an endpoint, error_class, since, until or customer; since => ''-infinity'' means all that %s.',
                          CASE choice.states WHEN '{failed}' THEN 'failed' ELSE 'are not finished' END);
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.require_choice(text, integration_worker.choice) IS
    'Raises an error unless the choice means something, and not everything by accident.';

-- Of an endpoint by queue_failed; what is not failed of one by queue_due.
CREATE FUNCTION integration_worker.chosen(choice integration_worker.choice) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT q.outbox_id
          FROM integration.queue q
          JOIN integration.outbox o ON o.id = q.outbox_id
          LEFT JOIN integration.endpoint e ON e.id = q.endpoint_id
         WHERE q.state = ANY (choice.states)
           AND o.operation <> 'ping'
           AND (choice.endpoint IS NULL OR e.name = choice.endpoint)
           AND (choice.error_class IS NULL OR q.error_class = choice.error_class)
           AND (choice.since IS NULL OR coalesce(q.last_attempt_at, o.created_at) >= choice.since)
           AND (choice.until IS NULL OR coalesce(q.last_attempt_at, o.created_at) < choice.until)
           AND (choice.customer IS NULL OR coalesce(o.customer, e.customer) = choice.customer)
         ORDER BY q.outbox_id);
END
$$;
COMMENT ON FUNCTION integration_worker.chosen(integration_worker.choice) IS 'The syncs that fit, oldest first.';

-- What the actions of each say about the whole.
CREATE FUNCTION integration_worker.choice_details(choice integration_worker.choice) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('error_class', choice.error_class, 'since', choice.since,
                                                'until', choice.until, 'customer', choice.customer))
$$;
COMMENT ON FUNCTION integration_worker.choice_details(integration_worker.choice) IS
    'The conditions of a choice but for the endpoint, as they stand in the record of it.';

CREATE FUNCTION integration_worker.choice_words(choice integration_worker.choice) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(', ', 'endpoint ' || choice.endpoint, 'error class ' || choice.error_class, 'customer ' || choice.customer,
                     'since ' || choice.since, 'until ' || choice.until)
$$;
COMMENT ON FUNCTION integration_worker.choice_words(integration_worker.choice) IS 'Which syncs, for those who watch.';

CREATE FUNCTION integration_worker.record_bulk(bulk integration_worker.bulk, ids bigint[], details jsonb[]) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO integration.action (verb, outbox_id, endpoint, reason, details)
    SELECT bulk.verb, d.id, o.endpoint, bulk.reason, bulk.details || d.details
      FROM unnest(ids, details) AS d (id, details)
      JOIN integration.outbox o ON o.id = d.id
     ORDER BY d.id
$$;
COMMENT ON FUNCTION integration_worker.record_bulk(integration_worker.bulk, bigint[], jsonb[]) IS
    'Writes down what was done to each of these syncs.';

-- What is no longer failed by now, or too late, is left alone.
CREATE FUNCTION integration_worker.retry_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held bigint[] := ARRAY(SELECT q.outbox_id
                             FROM integration.queue q
                            WHERE q.outbox_id = ANY (ids) AND q.state = 'failed'
                              AND (q.expires_at > clock_timestamp()) IS NOT FALSE
                            ORDER BY q.outbox_id
                              FOR UPDATE);
BEGIN
    PERFORM integration_worker.revive_status(held);
    UPDATE integration.queue q
       SET state = 'pending', due_at = now(), charged = 0, claimed_at = NULL, change_xid = pg_current_xact_id()
     WHERE q.outbox_id = ANY (held);
    PERFORM integration_worker.record_bulk(bulk, held, array_fill('{"state": "failed"}'::jsonb, ARRAY[cardinality(held)]));
    RETURN cardinality(held);
END
$$;
COMMENT ON FUNCTION integration_worker.retry_step(integration_worker.bulk, bigint[]) IS
    'Has these syncs sent again, those that are failed; returns how many.';

CREATE FUNCTION integration_worker.cancel_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed integration.queue[];
BEGIN
    WITH gone AS (
        DELETE FROM integration.queue q
         WHERE q.outbox_id = ANY (ids) AND bulk.details -> 'states' ? q.state
        RETURNING q
    )
    SELECT coalesce(array_agg(g.q), '{}') INTO removed FROM gone g;
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason)
    SELECT r.outbox_id, 'cancelled', clock_timestamp(), bulk.reason FROM unnest(removed) r;
    PERFORM integration_worker.record_bulk(bulk, array_agg(r.outbox_id), array_agg(jsonb_build_object('state', r.state)))
       FROM unnest(removed) r;
    PERFORM integration_worker.hand_over(k.endpoint_id, k.ordering_key)
       FROM (SELECT DISTINCT r.endpoint_id, r.ordering_key FROM unnest(removed) r WHERE r.ordering_key IS NOT NULL) k;
    RETURN cardinality(removed);
END
$$;
COMMENT ON FUNCTION integration_worker.cancel_step(integration_worker.bulk, bigint[]) IS
    'Gives these syncs up, those that are still in one of the states; returns how many.';

-- RFC 7396 §2
CREATE FUNCTION integration_worker.merge_patch(target jsonb, patch jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    merged jsonb := CASE WHEN jsonb_typeof(target) = 'object' THEN target ELSE '{}' END;
    member record;
BEGIN
    IF jsonb_typeof(patch) <> 'object' THEN
        RETURN patch;
    END IF;
    FOR member IN SELECT m.key, m.value FROM jsonb_each(patch) m LOOP
        merged := CASE WHEN member.value = 'null' THEN merged - member.key
                       ELSE merged || jsonb_build_object(
                           member.key, integration_worker.merge_patch(merged -> member.key, member.value)) END;
    END LOOP;
    RETURN merged;
END
$$;
COMMENT ON FUNCTION integration_worker.merge_patch(jsonb, jsonb) IS 'A document with a JSON Merge Patch (RFC 7396) applied.';

CREATE FUNCTION integration_worker.amend_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed bigint[];
    copies bigint[];
BEGIN
    WITH gone AS (
        DELETE FROM integration.queue q
         WHERE q.outbox_id = ANY (ids) AND q.state = 'failed'
        RETURNING q.outbox_id
    )
    SELECT coalesce(array_agg(g.outbox_id ORDER BY g.outbox_id), '{}') INTO removed FROM gone g;
    copies := integration_worker.copy_syncs(removed, patch => bulk.patch);
    INSERT INTO integration.closing (outbox_id, state, closed_at, reason, superseded_by)
    SELECT d.id, 'superseded', clock_timestamp(), integration_worker.amend_reason(bulk.reason), d.copy
      FROM unnest(removed, copies) AS d (id, copy);
    PERFORM integration_worker.record_bulk(
                bulk, removed, array_agg(jsonb_build_object('state', 'failed', 'copy', d.copy) ORDER BY d.id))
       FROM unnest(removed, copies) AS d (id, copy);
    PERFORM integration_worker.place_copies(copies);
    RETURN cardinality(removed);
END
$$;
COMMENT ON FUNCTION integration_worker.amend_step(integration_worker.bulk, bigint[]) IS
    'Enqueues corrected copies in the places of these syncs, those that are failed; returns how many.';

CREATE FUNCTION integration_worker.replay_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    copies bigint[] := integration_worker.copy_syncs(ids);
BEGIN
    PERFORM integration_worker.place_copies(copies);
    PERFORM integration_worker.record_bulk(bulk, ids, array_agg(jsonb_build_object('copy', c.id) ORDER BY c.n))
       FROM unnest(copies) WITH ORDINALITY AS c (id, n);
    RETURN cardinality(copies);
END
$$;
COMMENT ON FUNCTION integration_worker.replay_step(integration_worker.bulk, bigint[]) IS
    'Sends these syncs once more, as copies; returns how many.';

CREATE FUNCTION integration_worker.do_step(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE bulk.verb
        WHEN 'retry' THEN RETURN integration_worker.retry_step(bulk, ids);
        WHEN 'cancel' THEN RETURN integration_worker.cancel_step(bulk, ids);
        WHEN 'amend' THEN RETURN integration_worker.amend_step(bulk, ids);
        WHEN 'replay' THEN RETURN integration_worker.replay_step(bulk, ids);
    END CASE;
END
$$;
COMMENT ON FUNCTION integration_worker.do_step(integration_worker.bulk, bigint[]) IS
    'Does to these syncs what was asked; returns to how many.';

INSERT INTO integration.phrase (key, words) VALUES
    ('bulk.would_retry', 'syncs that would be retried: {count}'),
    ('bulk.would_cancel', 'syncs that would be cancelled: {count}'),
    ('bulk.would_amend', 'syncs that would be amended: {count}'),
    ('bulk.would_replay', 'syncs that would be replayed: {count}'),
    ('bulk.so_far_retry', 'syncs retried: {done} of {count}'),
    ('bulk.so_far_cancel', 'syncs cancelled: {done} of {count}'),
    ('bulk.so_far_amend', 'syncs amended: {done} of {count}'),
    ('bulk.so_far_replay', 'syncs replayed: {done} of {count}'),
    ('bulk.sample', 'Sync {sync} to {endpoint}:'),
    ('bulk.none', 'None fits.'),
    ('bulk.look', 'Look at {statement}.'),
    ('bulk.unchanged', 'Nothing was changed: leave dry_run out to do it.');

CREATE FUNCTION integration_worker.show_choice(bulk integration_worker.bulk, ids bigint[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sample text := (SELECT string_agg(concat_ws(' ', integration_worker.say('bulk.sample', jsonb_build_object('sync', f.id, 'endpoint', f.endpoint)),
                                                f.object_type, f.object_id, '(' || nullif(concat_ws(': ', f.error_class, f.error), '') || ')'), E'\n' ORDER BY f.id)
                      FROM integration_worker.sync_facts f
                     WHERE f.id = ANY (ids[1:5]));
BEGIN
    RAISE NOTICE USING
        MESSAGE = integration_worker.say('bulk.would_' || bulk.verb, jsonb_build_object('count', cardinality(ids))),
        DETAIL = coalesce(sample, integration_worker.say('bulk.none')),
        HINT = CASE WHEN ids = '{}' THEN integration_worker.say('bulk.look', jsonb_build_object(
                        'statement', 'SELECT endpoint, error_class, count(*) FROM integration.failed GROUP BY 1, 2'))
                    ELSE integration_worker.say('bulk.unchanged') END;
END
$$;
COMMENT ON FUNCTION integration_worker.show_choice(integration_worker.bulk, bigint[]) IS
    'Says how many syncs a dry run has found, with the first five.';

-- Whoever works all the time takes a processor and the disk from the sender; what waits for one retry more can wait.
CREATE FUNCTION integration_worker.rest_after(step interval) RETURNS interval
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN sum(w.in_flight + w.waiting + w.unsettled) > 0 THEN 7 * step ELSE interval '0' END
      FROM integration_worker.live_workers() w
$$;
COMMENT ON FUNCTION integration_worker.rest_after(interval) IS
    'How long to rest after a step that took so long: an eighth of the time is worked while syncs are sent, all of it while none is.';

-- All of it is one transaction, seen by the worker when it commits.
CREATE FUNCTION integration_worker.do_bulk(bulk integration_worker.bulk, ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step constant integer := 1000;
    told_each constant integer := 10000;
    total integer := cardinality(ids);
    seen integer;
    done bigint := 0;
    began timestamptz;
BEGIN
    IF bulk.dry_run THEN
        PERFORM integration_worker.show_choice(bulk, ids);
        RETURN total;
    END IF;
    bulk.details := bulk.details || jsonb_build_object('together_with', total - 1);
    PERFORM integration_worker.note_progress(bulk.verb, bulk.subject, total, 0);
    FOR low IN 1 .. total BY step LOOP
        began := clock_timestamp();
        done := done + integration_worker.do_step(bulk, ids[low:low + step - 1]);
        seen := least(low + step - 1, total);
        PERFORM integration_worker.note_progress(bulk.verb, bulk.subject, total, seen);
        CONTINUE WHEN seen = total;
        IF seen % told_each = 0 THEN
            RAISE NOTICE '%', integration_worker.say('bulk.so_far_' || bulk.verb, jsonb_build_object('done', seen, 'count', total));
        END IF;
        PERFORM pg_sleep(extract(epoch FROM integration_worker.rest_after(clock_timestamp() - began)));
    END LOOP;
    PERFORM integration_worker.wake_at_commit(false);
    RETURN done;
END
$$;
COMMENT ON FUNCTION integration_worker.do_bulk(integration_worker.bulk, bigint[]) IS
    'Does to the syncs what was asked, or says to how many it would; returns how many. What has changed meanwhile is left alone.';

CREATE FUNCTION integration.retry_where(
        endpoint text DEFAULT NULL, error_class text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, customer text DEFAULT NULL, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    choice integration_worker.choice := ROW ('{failed}', endpoint, error_class, since, until, customer);
BEGIN
    PERFORM integration_worker.require_choice('retry', choice);
    RETURN integration_worker.do_bulk(
        ROW ('retry', integration_worker.choice_words(choice), nullif(btrim(reason), ''),
             integration_worker.choice_details(choice), NULL, dry_run),
        integration_worker.chosen(choice));
END
$$;
COMMENT ON FUNCTION integration.retry_where(text, text, timestamptz, timestamptz, text, text, boolean) IS
    'Has all failed syncs sent again that fit: of an endpoint, with an error class, whose last attempt was since and before until, of a customer; NULL: any. dry_run: only says which. Returns how many.';

CREATE FUNCTION integration_worker.states_to_cancel(state text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF state IS NULL THEN
        RETURN '{pending,retrying,failed}';
    ELSIF state IN ('pending', 'retrying', 'failed') THEN
        RETURN ARRAY[state];
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = format('syncs that are %s cannot be cancelled', state),
        HINT = 'Write pending, retrying or failed; NULL: whatever is not finished.';
END
$$;
COMMENT ON FUNCTION integration_worker.states_to_cancel(text) IS
    'The states of syncs that cancel_where() is about; NULL: all that can be cancelled.';

CREATE FUNCTION integration.cancel_where(
        endpoint text DEFAULT NULL, error_class text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, customer text DEFAULT NULL, reason text DEFAULT NULL, dry_run boolean DEFAULT false,
        state text DEFAULT 'failed')
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    choice integration_worker.choice := ROW (integration_worker.states_to_cancel(state), endpoint, error_class, since, until, customer);
BEGIN
    PERFORM integration_worker.require_choice('cancel', choice);
    RETURN integration_worker.do_bulk(
        ROW ('cancel', integration_worker.choice_words(choice), nullif(btrim(reason), ''),
             integration_worker.choice_details(choice) || jsonb_build_object('states', choice.states), NULL, dry_run),
        integration_worker.chosen(choice));
END
$$;
COMMENT ON FUNCTION integration.cancel_where(text, text, timestamptz, timestamptz, text, text, boolean, text) IS
    'Gives up all syncs that fit, as retry_where() chooses them; state: failed ones, or pending, or retrying, NULL: whatever is not finished. dry_run: only says which. Returns how many.';

CREATE FUNCTION integration.amend_where(
        patch jsonb, endpoint text DEFAULT NULL, error_class text DEFAULT NULL, since timestamptz DEFAULT NULL,
        until timestamptz DEFAULT NULL, customer text DEFAULT NULL, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    choice integration_worker.choice := ROW ('{failed}', endpoint, error_class, since, until, customer);
BEGIN
    IF coalesce(jsonb_typeof(patch), 'null') <> 'object' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'amend_where needs an object of what changes in each payload',
            HINT = 'Write a JSON Merge Patch, such as {"currency": "EUR", "discount": null}: members are set, those that are null taken out.';
    END IF;
    PERFORM integration_worker.require_choice('amend', choice);
    RETURN integration_worker.do_bulk(
        ROW ('amend', integration_worker.choice_words(choice), nullif(btrim(reason), ''),
             integration_worker.choice_details(choice) || jsonb_build_object('patched', ARRAY(SELECT jsonb_object_keys(patch))),
             patch, dry_run),
        integration_worker.chosen(choice));
END
$$;
COMMENT ON FUNCTION integration.amend_where(jsonb, text, text, timestamptz, timestamptz, text, text, boolean) IS
    'Enqueues corrected copies in the place of all failed syncs that fit, as retry_where() chooses them: payloads with the JSON Merge Patch (RFC 7396) applied. dry_run: only says which. Returns how many.';

-- A replay of something in the period is not replayed beside it.
CREATE FUNCTION integration_worker.delivered_in(endpoint text, since timestamptz, until timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT a.outbox_id
          FROM integration.attempt a
          JOIN integration.endpoint e ON e.id = a.endpoint_id
          JOIN integration.outbox o ON o.id = a.outbox_id
         WHERE e.name = delivered_in.endpoint
           AND a.started_at >= delivered_in.since
           AND a.started_at < coalesce(delivered_in.until, 'infinity')
           AND a.outcome = 'delivered'
           AND o.operation <> 'ping'
           AND NOT EXISTS (SELECT FROM integration.attempt x
                            WHERE x.outbox_id = o.replay_of AND x.outcome = 'delivered')
         ORDER BY a.outbox_id);
END
$$;
COMMENT ON FUNCTION integration_worker.delivered_in(text, timestamptz, timestamptz) IS
    'What an endpoint was delivered in a period, oldest first; by the index of its attempts.';

CREATE FUNCTION integration.replay(
        endpoint text, since timestamptz, until timestamptz DEFAULT NULL, reason text DEFAULT NULL, dry_run boolean DEFAULT false)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.require_endpoint(endpoint);
    IF since IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed',
            MESSAGE = 'replay needs to know since when',
            HINT = 'Write SELECT integration.replay(''shop'', now() - interval ''1 hour''); since => ''-infinity'' means all.';
    END IF;
    RETURN integration_worker.do_bulk(
        ROW ('replay', concat_ws(', ', 'endpoint ' || endpoint, 'since ' || since, 'until ' || until), nullif(btrim(reason), ''),
             jsonb_strip_nulls(jsonb_build_object('since', since, 'until', until)), NULL, dry_run),
        integration_worker.delivered_in(endpoint, since, until));
END
$$;
COMMENT ON FUNCTION integration.replay(text, timestamptz, timestamptz, text, boolean) IS
    'Sends again, in their old order, what an endpoint was delivered since one time and before another (NULL: until now), as copies with ids of their own. dry_run: only says which. Returns how many.';

CREATE VIEW integration.bulk_progress AS
SELECT p.pid, r.rolname AS actor, p.verb, p.subject, p.total AS syncs, p.done,
       round(100.0 * p.done / nullif(p.total, 0), 1) AS percent, p.started_at, p.updated_at,
       CASE WHEN p.done > 0 THEN (p.updated_at - p.started_at) * ((p.total - p.done) / p.done::double precision) END AS time_left
  FROM integration_worker.live_progress() p
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = p.role;
COMMENT ON VIEW integration.bulk_progress IS
    'How far retry_where(), cancel_where(), amend_where() and replay() of a period have come in other sessions, until they commit. SELECT pg_cancel_backend(pid) stops one, and nothing of it is done.';
COMMENT ON COLUMN integration.bulk_progress.pid IS 'The process, as in pg_stat_activity.';
COMMENT ON COLUMN integration.bulk_progress.actor IS 'The database user of the session.';
COMMENT ON COLUMN integration.bulk_progress.verb IS 'retry, cancel, amend or replay.';
COMMENT ON COLUMN integration.bulk_progress.subject IS 'Which syncs.';
COMMENT ON COLUMN integration.bulk_progress.syncs IS 'How many there are to do.';
COMMENT ON COLUMN integration.bulk_progress.done IS 'How many are done.';
COMMENT ON COLUMN integration.bulk_progress.percent IS 'The same in percent.';
COMMENT ON COLUMN integration.bulk_progress.started_at IS 'When it began.';
COMMENT ON COLUMN integration.bulk_progress.updated_at IS 'When it came so far.';
COMMENT ON COLUMN integration.bulk_progress.time_left IS 'How long the rest takes at this pace; NULL: not known yet.';
