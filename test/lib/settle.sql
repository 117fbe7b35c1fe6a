-- Helpers of the tests that bring results to settle(): facts in, states out.

CREATE FUNCTION pg_temp.enqueue(endpoint text, object_id text DEFAULT NULL, ordering_key text DEFAULT NULL) RETURNS bigint
    LANGUAGE sql
AS $$
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, ordering_key)
    VALUES (enqueue.endpoint, CASE WHEN enqueue.object_id IS NOT NULL THEN 'order' END, enqueue.object_id, '{}',
            enqueue.ordering_key)
    RETURNING id
$$;

CREATE FUNCTION pg_temp.endpoint_of(sync bigint) RETURNS integer
    LANGUAGE sql
AS $$
    SELECT e.id FROM integration.outbox o JOIN integration.endpoint e ON e.name = o.endpoint WHERE o.id = sync
$$;

-- The result of a sync; the status is the number in the reason.  facts is a JSON object of other columns.
CREATE FUNCTION pg_temp.result(sync bigint, reason text, facts jsonb DEFAULT '{}') RETURNS integration_worker.result
    LANGUAGE sql
AS $$
    SELECT jsonb_populate_record(
               NULL::integration_worker.result,
               jsonb_build_object(
                   'outbox_id', o.id, 'endpoint_id', e.id, 'change_xid', q.change_xid::text, 'reason', result.reason,
                   'started_at', now(), 'http_status', substring(result.reason FROM '^http:(\d+)'),
                   'object_type', o.object_type, 'object_id', o.object_id) || facts)
      FROM integration.outbox o
      JOIN integration.endpoint e ON e.name = o.endpoint
      LEFT JOIN integration.queue q ON q.outbox_id = o.id
     WHERE o.id = sync
$$;

-- Nothing is known of what the endpoint did lately.
CREATE FUNCTION pg_temp.uncounted(endpoint_id integer) RETURNS integration_worker.counter
    LANGUAGE sql
AS $$
    SELECT jsonb_populate_record(NULL::integration_worker.counter, jsonb_build_object('endpoint_id', uncounted.endpoint_id))
$$;

-- As the worker does it: plain deliveries the straight way, what is left by the rules.
CREATE FUNCTION pg_temp.settle(
        results integration_worker.result[], at timestamptz DEFAULT now(), counters integration_worker.counter[] DEFAULT '{}')
    RETURNS TABLE (outbox_id bigint, endpoint_id integer, state text, due_at timestamptz, signal text,
                   failures integer, minute_at timestamptz, minute_attempts integer, minute_failures integer)
    LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    done integer[] := integration_worker.deliver(results, ARRAY(
        SELECT pg_temp.uncounted(r.endpoint_id)
          FROM (SELECT DISTINCT x.endpoint_id FROM unnest(results) x) r), at);
BEGIN
    RETURN QUERY
    SELECT r.outbox_id, r.endpoint_id, 'delivered', NULL::timestamptz, 'good',
           NULL::integer, NULL::timestamptz, NULL::integer, NULL::integer
      FROM unnest(results) WITH ORDINALITY r
     WHERE r.ordinality = ANY (done)
    UNION ALL
    SELECT DISTINCT NULL::bigint, r.endpoint_id, 'closed', NULL::timestamptz, NULL::text, 0, NULL::timestamptz, 0, 0
      FROM unnest(results) WITH ORDINALITY r
     WHERE r.ordinality = ANY (done);
    RETURN QUERY
    SELECT s.*
      FROM integration_worker.settle(
               ARRAY(SELECT results[n] FROM generate_subscripts(results, 1) n WHERE n <> ALL (done) ORDER BY n),
               counters, at) s
     WHERE cardinality(done) < cardinality(results);
END
$$;

-- Brings the results of several syncs in one batch.
CREATE FUNCTION pg_temp.bring_all(
        syncs bigint[], reasons text[], at timestamptz DEFAULT now(), body text DEFAULT NULL,
        content_type text DEFAULT 'application/json', retry_after integer DEFAULT NULL, started timestamptz DEFAULT NULL)
    RETURNS TABLE (sync bigint, state text, due_at timestamptz, signal text)
    LANGUAGE sql
AS $$
    SELECT s.outbox_id, s.state, s.due_at, s.signal
      FROM pg_temp.settle(
               ARRAY(SELECT pg_temp.result(syncs[n], reasons[n], jsonb_build_object(
                                'started_at', coalesce(started, at), 'response_body', body, 'retry_after_s', retry_after,
                                'response_headers', jsonb_build_object('content-type', content_type)::text))
                       FROM generate_subscripts(syncs, 1) n ORDER BY n),
               at) s
$$;

CREATE FUNCTION pg_temp.bring(
        sync bigint, reason text, at timestamptz DEFAULT now(), body text DEFAULT NULL,
        content_type text DEFAULT 'application/json', retry_after integer DEFAULT NULL, started timestamptz DEFAULT NULL)
    RETURNS text
    LANGUAGE sql
AS $$
    SELECT b.state
      FROM pg_temp.bring_all(ARRAY[bring.sync], ARRAY[bring.reason], bring.at, bring.body, bring.content_type,
                             bring.retry_after, bring.started) b
     WHERE b.sync = bring.sync
     LIMIT 1
$$;

CREATE FUNCTION pg_temp.queued(sync bigint) RETURNS integration.queue
    LANGUAGE sql
AS $$
    SELECT q.* FROM integration.queue q WHERE q.outbox_id = sync
$$;

CREATE FUNCTION pg_temp.health(endpoint text) RETURNS integration.endpoint_health
    LANGUAGE sql
AS $$
    SELECT h.*
      FROM integration.endpoint_health h JOIN integration.endpoint e ON e.id = h.endpoint_id
     WHERE e.name = health.endpoint
$$;

CREATE FUNCTION pg_temp.last_attempt(sync bigint) RETURNS integration.attempt
    LANGUAGE sql
AS $$
    SELECT a.* FROM integration.attempt a WHERE a.outbox_id = sync ORDER BY a.attempt_no DESC LIMIT 1
$$;
