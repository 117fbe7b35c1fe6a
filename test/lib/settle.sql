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

-- Brings the results of several syncs in one batch; the status is the number in the reason.
CREATE FUNCTION pg_temp.bring_all(
        syncs bigint[], reasons text[], at timestamptz DEFAULT now(), body text DEFAULT NULL,
        content_type text DEFAULT 'application/json', retry_after integer DEFAULT NULL, started timestamptz DEFAULT NULL)
    RETURNS TABLE (sync bigint, state text, due_at timestamptz, signal text)
    LANGUAGE sql
AS $$
    SELECT s.outbox_id, s.state, s.due_at, s.signal
      FROM integration_worker.settle(
               syncs,
               ARRAY(SELECT pg_temp.endpoint_of(x) FROM unnest(syncs) WITH ORDINALITY AS u (x, n) ORDER BY n),
               ARRAY(SELECT q.change_xid FROM unnest(syncs) WITH ORDINALITY AS u (x, n)
                       LEFT JOIN integration.queue q ON q.outbox_id = u.x ORDER BY n),
               reasons,
               started_at => array_fill(coalesce(started, at), ARRAY[cardinality(syncs)]),
               http_status => ARRAY(SELECT substring(x FROM '^http:(\d+)')::integer
                                      FROM unnest(reasons) WITH ORDINALITY AS u (x, n) ORDER BY n),
               response_body => array_fill(body, ARRAY[cardinality(syncs)]),
               response_headers => array_fill(jsonb_build_object('content-type', content_type)::text,
                                              ARRAY[cardinality(syncs)]),
               retry_after_s => array_fill(retry_after, ARRAY[cardinality(syncs)]),
               settled_at => at) s
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
