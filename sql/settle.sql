-- A batch of results is recorded with everything that follows from it.

CREATE FUNCTION integration_worker.finish(verdicts integration_worker.verdict[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.queue q
     WHERE q.outbox_id = ANY (ARRAY(
           SELECT v.outbox_id FROM unnest(verdicts) v
            WHERE v.queued AND v.state IN ('delivered', 'cancelled', 'expired')));
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE NOT v.queued AND v.delivered) THEN
        -- It was closed while it was in flight, yet it arrived: the state tells the truth.
        DELETE FROM integration.closing c
         WHERE c.outbox_id = ANY (ARRAY(
               SELECT v.outbox_id FROM unnest(verdicts) v
                WHERE NOT v.queued AND v.delivered AND v.state = 'delivered'));
    END IF;
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE v.queued AND v.state IN ('cancelled', 'expired')) THEN
        INSERT INTO integration.closing (outbox_id, state, closed_at, reason)
        SELECT v.outbox_id, v.state, settled_at, v.reason
          FROM unnest(verdicts) v
         WHERE v.queued AND v.state IN ('cancelled', 'expired');
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.finish(integration_worker.verdict[], timestamptz) IS
    'Ends the syncs that were delivered, were stopped or have expired.';

CREATE FUNCTION integration_worker.reschedule(verdicts integration_worker.verdict[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.queue q
       SET attempts = v.attempts,
           charged = v.charged,
           state = v.state,
           due_at = coalesce(v.due_at, q.due_at),
           error_class = v.error_class,
           claimed_at = NULL
      FROM unnest(verdicts) v
     WHERE q.outbox_id = ANY (ARRAY(
           SELECT x.outbox_id FROM unnest(verdicts) x
            WHERE x.queued AND x.state IN ('pending', 'retrying', 'failed')))
       AND v.outbox_id = q.outbox_id
       AND v.state <> 'unsettled';
END
$$;
COMMENT ON FUNCTION integration_worker.reschedule(integration_worker.verdict[]) IS
    'Writes what was decided for syncs that are not finished; a schedule that a person made was kept by decide().';

CREATE FUNCTION integration_worker.successors(verdicts integration_worker.verdict[])
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, due_at timestamptz)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT n.outbox_id, f.endpoint_id, n.due_at
      FROM (SELECT DISTINCT v.endpoint_id, v.ordering_key
              FROM unnest(verdicts) v
             WHERE v.ordering_key IS NOT NULL
               AND v.queued AND v.state IN ('delivered', 'cancelled', 'expired')) f
     CROSS JOIN LATERAL (
           SELECT q.outbox_id, q.due_at, q.state
             FROM integration.queue q
            WHERE q.endpoint_id = f.endpoint_id AND q.ordering_key = f.ordering_key
            ORDER BY coalesce(q.place, q.outbox_id)
            LIMIT 1) n
     WHERE n.state <> 'failed';
END
$$;
COMMENT ON FUNCTION integration_worker.successors(integration_worker.verdict[]) IS
    'The next sync of each ordering key whose head a batch has ended.';

-- People act on what failed and on incidents; the rest costs one more request with the same key if it is lost.
CREATE FUNCTION integration_worker.choose_durability(matters boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('synchronous_commit',
                       CASE WHEN matters OR coalesce(nullif(current_setting('integration.synchronous_settle', true), ''), 'off')::boolean
                            THEN 'local' ELSE 'off' END, true);
END
$$;
COMMENT ON FUNCTION integration_worker.choose_durability(boolean) IS
    'Commits at once, on this server, where a lost record would mislead people or send something twice.';

-- Everything but the attempts; returns the syncs that failed because another one went through.
CREATE FUNCTION integration_worker.follow_up(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    suspects integration_worker.verdict[] := '{}';
    resolved boolean := false;
BEGIN
    PERFORM integration_worker.finish(verdicts, settled_at);
    IF EXISTS (SELECT FROM unnest(verdicts) v WHERE NOT v.delivered) THEN
        PERFORM integration_worker.reschedule(verdicts);
        PERFORM integration_worker.raise_incidents(verdicts, standings, settled_at);
    END IF;
    PERFORM integration_worker.write_status(verdicts, settled_at);
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.changed OR s.news) THEN
        PERFORM integration_worker.write_health(verdicts, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(standings) s WHERE s.suspect IS NOT NULL) THEN
        suspects := integration_worker.fail_suspects(standings);
        PERFORM integration_worker.raise_incidents(suspects, standings, settled_at);
    END IF;
    IF EXISTS (SELECT FROM integration.incident i WHERE i.resolved_at IS NULL) THEN
        resolved := integration_worker.resolve_incidents(standings, settled_at);
    END IF;
    PERFORM integration_worker.choose_durability(
        resolved
        OR EXISTS (SELECT FROM unnest(verdicts) v WHERE v.state = 'failed')
        OR EXISTS (SELECT FROM unnest(standings) s WHERE s.changed)
        OR EXISTS (SELECT FROM integration.endpoint_config c
                    WHERE c.id = ANY (ARRAY(SELECT DISTINCT v.endpoint_id FROM unnest(verdicts) v))
                      AND NOT c.idempotent));
    RETURN suspects;
END
$$;
COMMENT ON FUNCTION integration_worker.follow_up(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Finishes, reschedules, keeps sync_status, endpoint_health, incidents; returns the suspects it failed.';

CREATE FUNCTION integration_worker.read_headers(headers text[]) RETURNS jsonb[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN headers::jsonb[];
EXCEPTION WHEN OTHERS THEN
    RETURN ARRAY(SELECT integration_worker.as_json(h.value)
                   FROM unnest(headers) WITH ORDINALITY AS h (value, n) ORDER BY h.n);
END
$$;
COMMENT ON FUNCTION integration_worker.read_headers(text[]) IS
    'Headers of answers as JSON; NULL for what is none.';

-- Everything that can follow from a result: one element each in the arrays.  Three kinds of rows come
-- back: one for each result, one for each sync that became due or failed because of it, one without
-- outbox_id for each endpoint (due_at: not called before).
CREATE FUNCTION integration_worker.settle_by_rules(
        outbox_ids bigint[], endpoint_ids integer[], change_xids xid8[], reasons text[],
        started_at timestamptz[], duration_ms integer[], http_status integer[],
        error text[], request_url text[], remote_address text[],
        dns_ms integer[], connect_ms integer[], tls_ms integer[],
        first_byte_ms integer[], retry_after_s integer[], redirect_url text[],
        headers jsonb[], response_body text[],
        trace_id text[], span_id text[],
        counter_endpoint_ids integer[], counter_failures integer[],
        counter_minute_at timestamptz[], counter_minute_attempts integer[],
        counter_minute_failures integer[], counter_window integer[],
        settled_at timestamptz)
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, state text, due_at timestamptz, signal text,
                   failures integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    verdicts integration_worker.verdict[];
    standings integration_worker.standing[];
    suspects integration_worker.verdict[];
BEGIN
    verdicts := integration_worker.gather(outbox_ids, endpoint_ids, change_xids, reasons,
                                          settle_by_rules.started_at, settle_by_rules.http_status, response_body, settled_at);
    verdicts := integration_worker.judge(verdicts, retry_after_s, settle_by_rules.error, headers, response_body,
                                         redirect_url, settled_at);
    verdicts := integration_worker.hold_health(verdicts);
    standings := integration_worker.stand(verdicts, ARRAY(
        SELECT ROW (c.*)::integration_worker.counter
          FROM unnest(counter_endpoint_ids, counter_failures, counter_minute_at, counter_minute_attempts,
                      counter_minute_failures, counter_window) AS c), settled_at);
    INSERT INTO integration.attempt (
           outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class, error, http_status,
           next_attempt_at, duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, request_url, remote_address,
           response_headers, response_body, trace_id, span_id)
    SELECT v.outbox_id, v.attempts, v.endpoint_id, v.started_at, CASE WHEN v.delivered THEN 'delivered' ELSE 'failed' END,
           v.reason, v.error_class, v.error, v.http_status, CASE WHEN v.state = 'retrying' AND v.effect <> 'trip' THEN v.due_at END,
           duration_ms[v.n], dns_ms[v.n], connect_ms[v.n], tls_ms[v.n], first_byte_ms[v.n],
           request_url[v.n], nullif(split_part(remote_address[v.n], '%', 1), '')::inet,
           headers[v.n], response_body[v.n], trace_id[v.n], span_id[v.n]
      FROM unnest(verdicts) v
     WHERE v.state <> 'unsettled';
    suspects := integration_worker.follow_up(verdicts, standings, settled_at);
    RETURN QUERY
    SELECT v.outbox_id, v.endpoint_id, v.state,
           CASE WHEN v.state IN ('pending', 'retrying') THEN v.due_at END, v.signal,
           NULL::integer, NULL::timestamptz, NULL::integer, NULL::integer
      FROM unnest(verdicts || suspects) v
    UNION ALL
    SELECT n.outbox_id, n.endpoint_id, 'pending', n.due_at, 'neutral', NULL, NULL, NULL, NULL
      FROM integration_worker.successors(verdicts) n
    UNION ALL
    SELECT NULL, s.endpoint_id, s.state,
           greatest(CASE WHEN s.state <> 'closed' THEN s.open_until END,
                    CASE WHEN s.retry_after_until > settled_at THEN s.retry_after_until END),
           NULL, s.failures, s.minute_at, s.minute_attempts, s.minute_failures
      FROM unnest(standings) s;
END
$$;
COMMENT ON FUNCTION integration_worker.settle_by_rules(
        bigint[], integer[], xid8[], text[], timestamptz[], integer[], integer[], text[], text[], text[], integer[],
        integer[], integer[], integer[], integer[], text[], jsonb[], text[], text[], text[], integer[], integer[],
        timestamptz[], integer[], integer[], integer[], timestamptz) IS
    'Records results by all the rules: what is not a plain delivery.';

-- How endpoints stand that only delivered: failures end, the minute goes on.
CREATE FUNCTION integration_worker.delivered_counters(
        plain integer[], endpoint_ids integer[], counter_endpoint_ids integer[], counter_minute_at timestamptz[],
        counter_minute_attempts integer[], counter_minute_failures integer[], settled_at timestamptz)
    RETURNS TABLE (endpoint_id integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT b.endpoint_id,
           CASE WHEN m.lasts THEN c.minute_at ELSE settled_at END,
           (CASE WHEN m.lasts THEN c.attempts ELSE 0 END + b.results)::integer,
           CASE WHEN m.lasts THEN c.failures ELSE 0 END
      FROM (SELECT f.endpoint_id, count(*) AS results
              FROM unnest(endpoint_ids) AS f (endpoint_id)
             WHERE f.endpoint_id = ANY (plain)
             GROUP BY f.endpoint_id) b
      LEFT JOIN unnest(counter_endpoint_ids, counter_minute_at, counter_minute_attempts, counter_minute_failures)
                AS c (endpoint_id, minute_at, attempts, failures) ON c.endpoint_id = b.endpoint_id
     CROSS JOIN LATERAL (
           SELECT coalesce(c.minute_at > settled_at - interval '1 min', false) AS lasts) m;
END
$$;
COMMENT ON FUNCTION integration_worker.delivered_counters(
        integer[], integer[], integer[], timestamptz[], integer[], integer[], timestamptz) IS
    'The running counters of the endpoints that a batch only delivered to.';

-- Called by the worker with one element a result; counters are those it keeps between two writes of
-- endpoint_health.  What comes back is described at settle_by_rules(); of two rows of an endpoint the
-- later one holds.
CREATE FUNCTION integration_worker.settle(
        outbox_ids bigint[], endpoint_ids integer[], change_xids xid8[], reasons text[],
        started_at timestamptz[] DEFAULT NULL, duration_ms integer[] DEFAULT NULL, http_status integer[] DEFAULT NULL,
        error text[] DEFAULT NULL, request_url text[] DEFAULT NULL, remote_address text[] DEFAULT NULL,
        dns_ms integer[] DEFAULT NULL, connect_ms integer[] DEFAULT NULL, tls_ms integer[] DEFAULT NULL,
        first_byte_ms integer[] DEFAULT NULL, retry_after_s integer[] DEFAULT NULL, redirect_url text[] DEFAULT NULL,
        response_headers text[] DEFAULT NULL, response_body text[] DEFAULT NULL,
        trace_id text[] DEFAULT NULL, span_id text[] DEFAULT NULL,
        counter_endpoint_ids integer[] DEFAULT NULL, counter_failures integer[] DEFAULT NULL,
        counter_minute_at timestamptz[] DEFAULT NULL, counter_minute_attempts integer[] DEFAULT NULL,
        counter_minute_failures integer[] DEFAULT NULL, counter_window integer[] DEFAULT NULL,
        object_types text[] DEFAULT NULL, object_ids text[] DEFAULT NULL,
        settled_at timestamptz DEFAULT clock_timestamp())
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, state text, due_at timestamptz, signal text,
                   failures integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    headers jsonb[] := integration_worker.read_headers(response_headers);
    plain integer[] := integration_worker.plain_endpoints(endpoint_ids, reasons, settled_at);
    done integer[] := '{}';
    rest record;
BEGIN
    IF plain <> '{}' THEN
        done := integration_worker.deliver(
            plain, outbox_ids, endpoint_ids, change_xids, reasons, settle.started_at, duration_ms, settle.http_status,
            request_url, remote_address, dns_ms, connect_ms, tls_ms, first_byte_ms, headers, response_body,
            trace_id, span_id, object_types, object_ids, settled_at);
        PERFORM integration_worker.choose_durability(false);
        RETURN QUERY
        SELECT outbox_ids[d.n], endpoint_ids[d.n], 'delivered', NULL::timestamptz, 'good',
               NULL::integer, NULL::timestamptz, NULL::integer, NULL::integer
          FROM unnest(done) AS d (n)
        UNION ALL
        SELECT NULL, c.endpoint_id, 'closed', NULL, NULL, 0, c.minute_at, c.minute_attempts, c.minute_failures
          FROM integration_worker.delivered_counters(
                   plain, endpoint_ids, counter_endpoint_ids, counter_minute_at, counter_minute_attempts,
                   counter_minute_failures, settled_at) c;
    END IF;
    IF cardinality(done) = cardinality(outbox_ids) THEN
        RETURN;
    END IF;
    SELECT array_agg(f.outbox_id ORDER BY f.n) AS outbox_ids, array_agg(f.endpoint_id ORDER BY f.n) AS endpoint_ids,
           array_agg(f.change_xid ORDER BY f.n) AS change_xids, array_agg(f.reason ORDER BY f.n) AS reasons,
           array_agg(f.started_at ORDER BY f.n) AS started_at, array_agg(f.duration_ms ORDER BY f.n) AS duration_ms,
           array_agg(f.http_status ORDER BY f.n) AS http_status, array_agg(f.error ORDER BY f.n) AS error,
           array_agg(f.request_url ORDER BY f.n) AS request_url, array_agg(f.remote_address ORDER BY f.n) AS remote_address,
           array_agg(f.dns_ms ORDER BY f.n) AS dns_ms, array_agg(f.connect_ms ORDER BY f.n) AS connect_ms,
           array_agg(f.tls_ms ORDER BY f.n) AS tls_ms, array_agg(f.first_byte_ms ORDER BY f.n) AS first_byte_ms,
           array_agg(f.retry_after_s ORDER BY f.n) AS retry_after_s, array_agg(f.redirect_url ORDER BY f.n) AS redirect_url,
           array_agg(f.headers ORDER BY f.n) AS headers, array_agg(f.response_body ORDER BY f.n) AS response_body,
           array_agg(f.trace_id ORDER BY f.n) AS trace_id, array_agg(f.span_id ORDER BY f.n) AS span_id
      INTO rest
      FROM unnest(outbox_ids, endpoint_ids, change_xids, reasons, settle.started_at, duration_ms, settle.http_status,
                  settle.error, request_url, remote_address, dns_ms, connect_ms, tls_ms, first_byte_ms, retry_after_s,
                  redirect_url, headers, response_body, trace_id, span_id) WITH ORDINALITY
           AS f (outbox_id, endpoint_id, change_xid, reason, started_at, duration_ms, http_status,
                 error, request_url, remote_address, dns_ms, connect_ms, tls_ms, first_byte_ms, retry_after_s,
                 redirect_url, headers, response_body, trace_id, span_id, n)
     WHERE f.n <> ALL (done);
    RETURN QUERY
    SELECT s.*
      FROM integration_worker.settle_by_rules(
               rest.outbox_ids, rest.endpoint_ids, rest.change_xids, rest.reasons, rest.started_at, rest.duration_ms,
               rest.http_status, rest.error, rest.request_url, rest.remote_address, rest.dns_ms, rest.connect_ms,
               rest.tls_ms, rest.first_byte_ms, rest.retry_after_s, rest.redirect_url, rest.headers, rest.response_body,
               rest.trace_id, rest.span_id, counter_endpoint_ids, counter_failures, counter_minute_at,
               counter_minute_attempts, counter_minute_failures, counter_window, settled_at) s;
END
$$;
COMMENT ON FUNCTION integration_worker.settle(
        bigint[], integer[], xid8[], text[], timestamptz[], integer[], integer[], text[], text[], text[], integer[],
        integer[], integer[], integer[], integer[], text[], text[], text[], text[], text[], integer[], integer[],
        timestamptz[], integer[], integer[], integer[], text[], text[], timestamptz) IS
    'Records a batch of attempts and everything that follows; never waits for a lock, never throws on what an answer holds.';

-- Marks that a worker left behind: the requests were about to leave when it died.
CREATE FUNCTION integration_worker.recover(marked_before timestamptz DEFAULT clock_timestamp())
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, state text, due_at timestamptz, signal text,
                   failures integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    left_behind record;
BEGIN
    SELECT array_agg(q.outbox_id) AS ids, array_agg(q.endpoint_id) AS endpoint_ids,
           array_agg(q.change_xid) AS change_xids, array_agg('worker_crash'::text) AS reasons,
           array_agg(q.claimed_at) AS claimed
      INTO left_behind
      FROM integration.queue q
     WHERE q.claimed_at < marked_before;
    IF left_behind.ids IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT s.*
      FROM integration_worker.settle(left_behind.ids, left_behind.endpoint_ids, left_behind.change_xids,
                                     left_behind.reasons, started_at => left_behind.claimed) s;
END
$$;
COMMENT ON FUNCTION integration_worker.recover(timestamptz) IS
    'Settles requests that were in flight when a worker died, as worker_crash; called before anything is sent, and again for those whose rows somebody held. Returns what settle() returns.';
