-- How objects, endpoints, workers stand.

CREATE VIEW integration_worker.queued_object AS
SELECT q.endpoint_id, coalesce(o.object_type, '') AS object_type, o.object_id,
       count(*) AS queued, min(q.outbox_id) AS next_sync,
       min(q.due_at) FILTER (WHERE q.state <> 'failed') AS next_attempt_at, min(o.customer) AS customer
  FROM integration_worker.asked o
  JOIN integration.queue q ON q.outbox_id = o.id
 WHERE o.object_id IS NOT NULL
 GROUP BY q.endpoint_id, coalesce(o.object_type, ''), o.object_id;
COMMENT ON VIEW integration_worker.queued_object IS 'The objects for which something is queued, with how much.';

-- In branches by state, so that a list of what is failed reads nothing of what is well: what does not work, by the index
-- of those; what works or was never tried, while something is queued for it; all the rest.
-- The owner is the last sync's, which has to be looked up only where there are rules; retention may have taken it away.
-- What is queued for what does not work a function finds: no plan is good for one object and for ten thousand.
CREATE VIEW integration.object_status AS
SELECT e.name AS endpoint, s.object_type, s.object_id, s.state,
       s.remote_id, s.last_outbox_id AS last_sync, s.last_attempt_at,
       s.delivered_outbox_id AS delivered_sync, s.delivered_at,
       s.error_class, s.error, CASE WHEN s.error_class IS NOT NULL THEN
            coalesce((SELECT integration_worker.remedies('support')) ->> (':' || s.error_class), k.remedy) END AS remedy, s.failures,
       w.queued, w.next_sync, w.next_attempt_at,
       coalesce(CASE WHEN EXISTS (SELECT FROM integration.owner_rule) THEN
                     (SELECT f.owner FROM integration_worker.sync_facts f WHERE f.id = s.last_outbox_id) END,
                e.owner, c.owner,
                integration_worker.owner_of(s.endpoint_id, s.error_class,
                                            (SELECT o.customer FROM integration_worker.asked o WHERE o.id = s.last_outbox_id))) AS owner
  FROM integration.sync_status s
  JOIN integration.endpoint e ON e.id = s.endpoint_id
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.error_class k ON k.name = s.error_class
 CROSS JOIN LATERAL integration_worker.queued_of(s.endpoint_id, s.object_type, s.object_id) w
 WHERE s.state <> 'in_sync'
UNION ALL
SELECT e.name, w.object_type, w.object_id, 'pending',
       s.remote_id, s.last_outbox_id, s.last_attempt_at, s.delivered_outbox_id, s.delivered_at,
       NULL, NULL, NULL, coalesce(s.failures, 0),
       w.queued, w.next_sync, w.next_attempt_at,
       integration_worker.owner_of(e.id, NULL, w.customer)
  FROM integration_worker.queued_object w
  JOIN integration.endpoint e ON e.id = w.endpoint_id
  LEFT JOIN integration.sync_status s
    ON (s.endpoint_id, s.object_type, s.object_id) = (w.endpoint_id, w.object_type, w.object_id)
 WHERE s.state IS NULL OR s.state = 'in_sync'
UNION ALL
SELECT e.name, s.object_type, s.object_id, 'in_sync',
       s.remote_id, s.last_outbox_id, s.last_attempt_at, s.delivered_outbox_id, s.delivered_at,
       NULL, NULL, NULL, s.failures,
       0, NULL, NULL,
       integration_worker.owner_of(s.endpoint_id, NULL,
                                   (SELECT o.customer FROM integration_worker.asked o WHERE o.id = s.last_outbox_id))
  FROM integration.sync_status s
  JOIN integration.endpoint e ON e.id = s.endpoint_id
 WHERE s.state = 'in_sync'
   AND NOT EXISTS (SELECT
                     FROM integration_worker.asked o
                     JOIN integration.queue q ON q.outbox_id = o.id
                    WHERE o.object_id = s.object_id
                      AND coalesce(o.object_type, '') = s.object_type
                      AND q.endpoint_id = s.endpoint_id);
COMMENT ON VIEW integration.object_status IS
    'How each business object stands at each endpoint, with what is still queued for it.';
COMMENT ON COLUMN integration.object_status.endpoint IS 'The endpoint.';
COMMENT ON COLUMN integration.object_status.object_type IS 'The kind of business object; empty where none was given.';
COMMENT ON COLUMN integration.object_status.object_id IS 'The business reference.';
COMMENT ON COLUMN integration.object_status.state IS
    'in_sync, pending (something newer, or the first, waits to be sent), failing (will be tried again) or failed (a person must act).';
COMMENT ON COLUMN integration.object_status.remote_id IS 'The other system''s id for the object.';
COMMENT ON COLUMN integration.object_status.last_sync IS 'The newest sync of the object that was tried.';
COMMENT ON COLUMN integration.object_status.last_attempt_at IS 'When.';
COMMENT ON COLUMN integration.object_status.delivered_sync IS 'The newest sync of the object that was delivered.';
COMMENT ON COLUMN integration.object_status.delivered_at IS 'When.';
COMMENT ON COLUMN integration.object_status.error_class IS 'What the last failure means; NULL when the last attempt was delivered.';
COMMENT ON COLUMN integration.object_status.error IS 'Details of the last failure in words.';
COMMENT ON COLUMN integration.object_status.remedy IS 'What helps against it.';
COMMENT ON COLUMN integration.object_status.failures IS 'Failed attempts in a row.';
COMMENT ON COLUMN integration.object_status.queued IS 'Syncs of the object that are not finished.';
COMMENT ON COLUMN integration.object_status.next_sync IS 'The first of them.';
COMMENT ON COLUMN integration.object_status.next_attempt_at IS 'When the first of them is due; NULL: none is scheduled.';
COMMENT ON COLUMN integration.object_status.owner IS 'The team whose work it is, by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.';

CREATE FUNCTION integration_worker.sparkline(steps integer[], attempts bigint[], delivered bigint[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg(CASE WHEN s.attempts IS NULL THEN '·'
                                   WHEN s.delivered * 2 < s.attempts THEN '×'
                                   ELSE substr('▁▂▃▄▅▆▇█', ceil(8.0 * s.attempts / m.most)::integer, 1) END, '' ORDER BY g.n)
              FROM generate_series(1, 12) AS g (n)
              LEFT JOIN unnest(steps, attempts, delivered) AS s (step, attempts, delivered)
                ON greatest(least(s.step, 12), 1) = g.n
             CROSS JOIN (SELECT max(a) AS most FROM unnest(attempts) a) m);
END
$$;
COMMENT ON FUNCTION integration_worker.sparkline(integer[], bigint[], bigint[]) IS
    'Twelve steps as a line of characters: · nothing, × more than half failed, else a bar; NULL arrays: nothing at all.';

CREATE VIEW integration.endpoint_status AS
SELECT e.name, e.connector, e.customer,
       CASE WHEN h.state = 'open' AND h.open_until <= statement_timestamp() AND w.in_flight > 0 THEN 'half_open'
            ELSE coalesce(h.state, 'closed') END AS state,
       CASE WHEN p.reason IS NOT NULL THEN 'paused'
            WHEN h.state = 'stopped' THEN 'stopped'
            WHEN h.state IN ('open', 'half_open') THEN 'open'
            WHEN h.retry_after_until > statement_timestamp() THEN 'retry_after'
            WHEN w.rate_free_at > statement_timestamp() THEN 'rate'
            WHEN w.in_flight >= w."window" THEN 'window' END AS blocked_by,
       p.reason AS paused_reason, p.until AS paused_until,
       b.backlog, f.failed, b.oldest_due_at,
       coalesce(w.in_flight, 0) AS in_flight,
       coalesce(w."window", h."window") AS "window",
       e.max_concurrency, e.rate_limit,
       t.attempts_last_hour, t.success_share_last_hour,
       h.last_success_at, h.last_failure_at, h.last_reason, h.last_error,
       CASE WHEN h.state <> 'closed' THEN h.open_until END AS next_probe_at,
       h.retry_after_until, h.tripped_by,
       integration_worker.owner_of(e.id, NULL, NULL) AS owner, e.url, h.failing_since, t.trend
  FROM integration.endpoint_config e
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
  LEFT JOIN integration_worker.live_endpoints() w ON w.endpoint_id = e.id
  LEFT JOIN LATERAL (
       SELECT x.reason, x.until
         FROM integration_worker.pause_in_force x
        WHERE integration_worker.pause_holds(x.scope, x.name, e.connector, e.name, ARRAY[e.customer])
        ORDER BY x.until DESC NULLS FIRST, x.scope, x.name DESC
        LIMIT 1) p ON true
 CROSS JOIN LATERAL (
       SELECT count(*) AS backlog, min(q.due_at) FILTER (WHERE q.due_at <= statement_timestamp()) AS oldest_due_at
         FROM integration.queue q
        WHERE q.endpoint_id = e.id AND q.state <> 'failed') b
 CROSS JOIN LATERAL (
       SELECT count(*) AS failed
         FROM integration.queue q
        WHERE q.endpoint_id = e.id AND q.state = 'failed') f
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(s.attempts), 0)::bigint AS attempts_last_hour,
              round(sum(s.delivered) / sum(s.attempts), 3) AS success_share_last_hour,
              integration_worker.sparkline(array_agg(s.step), array_agg(s.attempts), array_agg(s.delivered)) AS trend
         FROM (SELECT 12 - floor(extract(epoch FROM statement_timestamp() - a.started_at) / 300)::integer AS step,
                      count(*) AS attempts, count(*) FILTER (WHERE a.outcome = 'delivered') AS delivered
                 FROM integration.attempt a
                WHERE a.endpoint_id = e.id AND a.started_at >= statement_timestamp() - interval '1 hour'
                GROUP BY 1) s) t;
COMMENT ON VIEW integration.endpoint_status IS
    'One row for each endpoint: health, backlog, what holds it back.';
COMMENT ON COLUMN integration.endpoint_status.name IS 'The endpoint.';
COMMENT ON COLUMN integration.endpoint_status.connector IS 'The product it belongs to.';
COMMENT ON COLUMN integration.endpoint_status.customer IS 'The customer it serves; NULL: all.';
COMMENT ON COLUMN integration.endpoint_status.state IS
    'closed (calls flow), open (too many failures), half_open (one probe is out) or stopped (cannot work until somebody acts).';
COMMENT ON COLUMN integration.endpoint_status.blocked_by IS
    'The strongest that holds it back: paused, stopped, open, retry_after, rate or window; NULL: nothing does.';
COMMENT ON COLUMN integration.endpoint_status.paused_reason IS 'Why it is paused, in the words of who did it.';
COMMENT ON COLUMN integration.endpoint_status.paused_until IS 'Until when; NULL: until somebody resumes it.';
COMMENT ON COLUMN integration.endpoint_status.backlog IS 'Syncs that wait to be sent.';
COMMENT ON COLUMN integration.endpoint_status.failed IS 'Syncs that wait for a person.';
COMMENT ON COLUMN integration.endpoint_status.oldest_due_at IS 'Since when the oldest due sync waits.';
COMMENT ON COLUMN integration.endpoint_status.in_flight IS 'Requests under way right now.';
COMMENT ON COLUMN integration.endpoint_status."window" IS 'Requests that may be under way at once just now.';
COMMENT ON COLUMN integration.endpoint_status.max_concurrency IS 'The most that "window" may become.';
COMMENT ON COLUMN integration.endpoint_status.rate_limit IS 'Requests a second, at most; NULL: no limit.';
COMMENT ON COLUMN integration.endpoint_status.attempts_last_hour IS 'Attempts that began within the last hour.';
COMMENT ON COLUMN integration.endpoint_status.success_share_last_hour IS 'How many of them were delivered, 0 to 1; NULL: there were none.';
COMMENT ON COLUMN integration.endpoint_status.last_success_at IS 'Last delivery, to ten seconds.';
COMMENT ON COLUMN integration.endpoint_status.last_failure_at IS 'Last failure, to ten seconds.';
COMMENT ON COLUMN integration.endpoint_status.last_reason IS 'Reason of the last failure.';
COMMENT ON COLUMN integration.endpoint_status.last_error IS 'Details of the last failure.';
COMMENT ON COLUMN integration.endpoint_status.next_probe_at IS 'While open or stopped: when the next probe may leave.';
COMMENT ON COLUMN integration.endpoint_status.retry_after_until IS 'The other side asked to be left alone until then.';
COMMENT ON COLUMN integration.endpoint_status.tripped_by IS 'The sync whose attempt stopped it.';
COMMENT ON COLUMN integration.endpoint_status.owner IS 'The team that looks after it.';
COMMENT ON COLUMN integration.endpoint_status.url IS 'Where requests go.';
COMMENT ON COLUMN integration.endpoint_status.failing_since IS 'The first failure since the last delivery; NULL: none. After five days it pauses itself.';
COMMENT ON COLUMN integration.endpoint_status.trend IS
    'The attempts of the last hour in steps of five minutes, the latest on the right; · none, × more than half failed.';

CREATE VIEW integration.worker_status AS
SELECT w.pid, w.shards, w.activity, w.started_at, w.last_turn_at, w.endpoints, w.in_flight, w.waiting, w.unsettled,
       w.delivered, w.failed, w.memory_bytes
  FROM integration_worker.live_workers() w;
COMMENT ON VIEW integration.worker_status IS
    'What each worker of this database is doing right now; no row: there is none.';
COMMENT ON COLUMN integration.worker_status.pid IS 'Its process, as in pg_stat_activity.';
COMMENT ON COLUMN integration.worker_status.shards IS
    'Which of the 16 shards it has: it serves the endpoints whose id modulo 16 is among them.';
COMMENT ON COLUMN integration.worker_status.activity IS 'What it does just now.';
COMMENT ON COLUMN integration.worker_status.started_at IS 'When it was started.';
COMMENT ON COLUMN integration.worker_status.last_turn_at IS 'When its loop last came round.';
COMMENT ON COLUMN integration.worker_status.endpoints IS 'Endpoints it serves.';
COMMENT ON COLUMN integration.worker_status.in_flight IS 'Requests under way.';
COMMENT ON COLUMN integration.worker_status.waiting IS 'Syncs in its memory that wait for their turn.';
COMMENT ON COLUMN integration.worker_status.unsettled IS 'Results that are not recorded yet.';
COMMENT ON COLUMN integration.worker_status.delivered IS 'Delivered since it was started.';
COMMENT ON COLUMN integration.worker_status.failed IS 'Failed attempts since it was started.';
COMMENT ON COLUMN integration.worker_status.memory_bytes IS 'Memory it holds for requests and answers.';
