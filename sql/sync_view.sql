-- Every sync as people see it: the views sync, failed.

-- As a set, so that it is inlined where a view asks for each row; the texts are fetched once a query.
CREATE FUNCTION integration_worker.advice(endpoint text, connector text, error_class text, reason integration.error_reason)
    RETURNS TABLE (remedy text, worked_before text)
    LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT CASE WHEN (advice.reason).error_class = advice.error_class
                THEN coalesce((SELECT integration_worker.remedies('support')) ->> (advice.reason).reason, (advice.reason).remedy)
                ELSE coalesce((SELECT integration_worker.remedies('support')) ->> (':' || advice.error_class),
                              (SELECT k.remedy FROM integration.error_class k WHERE k.name = advice.error_class)) END,
           replace((SELECT integration_worker.translated('remedy.worked_before', '')), '{worked_before}', coalesce(
                   (SELECT integration_worker.what_worked()) ->> ('endpoint ' || advice.endpoint || ':' || advice.error_class),
                   (SELECT integration_worker.what_worked()) ->> ('connector ' || advice.connector || ':' || advice.error_class),
                   (SELECT integration_worker.what_worked()) ->> (':' || advice.error_class)));
END;
COMMENT ON FUNCTION integration_worker.advice(text, text, text, integration.error_reason) IS
    'What helps support against a failure of this class, for this reason; what helped the last time, of this endpoint first.';

-- Few joins, here and in the views below: beyond join_collapse_limit they are made as written.
CREATE VIEW integration_worker.asked_facts AS
SELECT o.id, o.endpoint, e.id AS endpoint_id, e.connector, coalesce(o.customer, e.customer) AS customer,
       e.customer AS endpoint_customer,
       o.object_type, o.object_id, o.operation, o.priority, o.ordering_key, o.impact,
       o.triggered_by, o.trigger_ref, o.replay_of, o.created_at, o.expires_at,
       coalesce(e.owner, c.owner, u.owner) AS standing_owner,
       coalesce(c.severity, 3::smallint) AS severity,
       greatest(o.send_after, o.created_at) AS clock_from,
       greatest(o.send_after, o.created_at) + coalesce(u.sla, c.sla) AS due_by,
       greatest(o.send_after, o.created_at) + coalesce(u.sla, c.sla) * 0.8 AS at_risk_from,
       coalesce(e.idempotent, c.idempotent, true) AS is_idempotent
  FROM integration_worker.asked o
  LEFT JOIN integration.endpoint e ON e.name = o.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, e.customer);
COMMENT ON VIEW integration_worker.asked_facts IS
    'What was asked for, of which endpoint, what was promised: without what came of it.';

-- What is known about a sync whatever its state; the views below add how far it came.
-- The owner is integration_worker.owner_of()'s.
CREATE VIEW integration_worker.sync_facts AS
SELECT f.*, coalesce(w.owner, f.standing_owner) AS owner,
       a.attempt_no, a.outcome, a.reason, a.error_class, a.http_status, a.error,
       a.started_at AS last_attempt_at,
       a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' AS last_answer_at,
       v.remedy, v.worked_before,
       CASE WHEN a.outcome = 'failed' THEN r.responsible END AS responsible,
       a.outcome = 'failed' AND r.remote_state = 'unknown' AND NOT f.is_idempotent AS is_unknown
  FROM integration_worker.asked_facts f
  LEFT JOIN LATERAL (
       SELECT x.*
         FROM integration.attempt x
        WHERE x.outbox_id = f.id
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
  LEFT JOIN integration.error_reason r ON r.reason = a.reason
 CROSS JOIN LATERAL integration_worker.ruled_owner(
                f.connector, f.endpoint, f.customer, a.error_class, CASE WHEN a.outcome = 'failed' THEN r.responsible END) w
 CROSS JOIN LATERAL integration_worker.advice(f.endpoint, f.connector, CASE WHEN a.outcome = 'failed' THEN a.error_class END, r) v;
COMMENT ON VIEW integration_worker.sync_facts IS
    'Outbox, endpoint and last attempt of each sync, without its state.';

-- A pause that is over stands in the table until somebody resumes.
CREATE VIEW integration_worker.pause_in_force AS
SELECT p.*
  FROM integration.pause p
 WHERE p.until IS NULL OR p.until > statement_timestamp();
COMMENT ON VIEW integration_worker.pause_in_force IS 'The kill switches that hold something right now.';

-- Without a search_path, so that it becomes a part of the query around it.
CREATE FUNCTION integration_worker.pause_holds(scope text, name text, connector text, endpoint text, customers text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    RETURN scope = 'all'
        OR (scope = 'connector' AND name = connector)
        OR (scope = 'endpoint' AND name = endpoint)
        OR (scope = 'customer' AND name = ANY (customers));
COMMENT ON FUNCTION integration_worker.pause_holds(text, text, text, text, text[]) IS
    'Whether a pause with this scope and name is one of this connector, this endpoint or any of these customers (a sync''s, its endpoint''s).';

-- The order of the lines is the order of strength: the first that applies is the one to name.
CREATE FUNCTION integration_worker.held_by(
        state text, started_at timestamptz, is_paused boolean, health text, retry_after_until timestamptz,
        due_at timestamptz, earlier bigint, rate_free_at timestamptz, in_flight integer, "window" integer)
    RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE WHEN state = 'failed' OR started_at IS NOT NULL THEN NULL
                WHEN is_paused THEN 'paused'
                WHEN health = 'stopped' THEN 'stopped'
                WHEN health IN ('open', 'half_open') THEN 'open'
                WHEN retry_after_until > statement_timestamp() THEN 'retry_after'
                WHEN due_at > statement_timestamp() THEN 'schedule'
                WHEN earlier IS NOT NULL THEN 'ordering_key'
                WHEN rate_free_at > statement_timestamp() THEN 'rate'
                WHEN in_flight >= "window" THEN 'window' END;
COMMENT ON FUNCTION integration_worker.held_by(text, timestamptz, boolean, text, timestamptz, timestamptz, bigint, timestamptz, integer, integer) IS
    'What holds an unfinished sync back, the strongest of all that apply; NULL: nothing does.';

-- Plain rows of one table each: so a condition on state reads the queue or the closings and not the whole outbox,
-- and the newest are found from the end.  What is not certain is delivered unless one of the other two has it.
CREATE VIEW integration_worker.sync_state AS
SELECT q.outbox_id AS id, true AS is_certain, q.state, q.endpoint_id, q.attempts, q.due_at, q.ordering_key AS queued_key, coalesce(q.place, q.outbox_id) AS place,
       q.reason, q.error_class, q.http_status, q.error, q.last_attempt_at,
       NULL::timestamptz AS closed_at, NULL::text AS closed_because, NULL::bigint AS superseded_by
  FROM integration.queue q
UNION ALL
SELECT c.outbox_id, true, c.state, NULL::integer, NULL::integer, NULL::timestamptz, NULL::text, NULL::bigint,
       NULL::text, NULL::text, NULL::integer, NULL::text, NULL::timestamptz,
       c.closed_at, c.reason, c.superseded_by
  FROM integration.closing c
UNION ALL
SELECT o.id, false, 'delivered'::text, NULL::integer, NULL::integer, NULL::timestamptz, NULL::text, NULL::bigint,
       NULL::text, NULL::text, NULL::integer, NULL::text, NULL::timestamptz,
       NULL::timestamptz, NULL::text, NULL::bigint
  FROM integration_worker.asked o;
COMMENT ON VIEW integration_worker.sync_state IS
    'Every sync in the queue, every closing, then all syncs once more as if they were delivered.';

-- What the tables know about how far a sync came; what only shared memory knows is added by the reader.
-- While a sync is in the queue, its row there tells what its last attempt came to: of ten thousand a look-up each counts.
CREATE VIEW integration_worker.course AS
SELECT f.*, coalesce(w.owner, f.standing_owner) AS owner,
       t.outcome, t.reason, t.error_class, t.http_status, t.error, t.last_attempt_at,
       a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms' AS last_answer_at,
       v.remedy, v.worked_before,
       CASE WHEN t.outcome = 'failed' THEN r.responsible END AS responsible,
       t.outcome = 'failed' AND r.remote_state = 'unknown' AND NOT f.is_idempotent AS is_unknown,
       s.state, coalesce(s.attempts, a.attempt_no, 0) AS attempts, s.due_at,
       h.state AS health, h.open_until, h.retry_after_until,
       EXISTS (SELECT FROM integration_worker.pause_in_force p
                WHERE integration_worker.pause_holds(p.scope, p.name, f.connector, f.endpoint,
                                                     ARRAY[f.customer, f.endpoint_customer])) AS is_paused,
       (SELECT b.outbox_id
          FROM integration.queue b
         WHERE b.endpoint_id = s.endpoint_id
           AND b.ordering_key = s.queued_key
           AND coalesce(b.place, b.outbox_id) < s.place
         ORDER BY coalesce(b.place, b.outbox_id)
         LIMIT 1) AS earlier,
       s.endpoint_id AS queued_at, s.closed_at, s.closed_because, s.superseded_by
  FROM integration_worker.sync_state s
  JOIN integration_worker.asked_facts f ON f.id = s.id
  LEFT JOIN LATERAL (
       SELECT x.*
         FROM integration.attempt x
        WHERE x.outbox_id = CASE WHEN s.endpoint_id IS NULL THEN s.id END
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
 CROSS JOIN LATERAL (
       SELECT CASE WHEN s.reason IS NOT NULL THEN 'failed' ELSE a.outcome END AS outcome,
              coalesce(s.reason, a.reason) AS reason, coalesce(s.error_class, a.error_class) AS error_class,
              coalesce(s.http_status, a.http_status) AS http_status, coalesce(s.error, a.error) AS error,
              coalesce(s.last_attempt_at, a.started_at) AS last_attempt_at) t
  LEFT JOIN integration.error_reason r ON r.reason = t.reason
 CROSS JOIN LATERAL integration_worker.ruled_owner(
                f.connector, f.endpoint, f.customer, t.error_class, CASE WHEN t.outcome = 'failed' THEN r.responsible END) w
 CROSS JOIN LATERAL integration_worker.advice(f.endpoint, f.connector, CASE WHEN t.outcome = 'failed' THEN t.error_class END, r) v
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = s.endpoint_id
 WHERE s.is_certain
    OR (NOT EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = s.id)
        AND NOT EXISTS (SELECT FROM integration.closing c WHERE c.outbox_id = s.id));
COMMENT ON VIEW integration_worker.course IS
    'Every sync with its state and what the tables know about what holds it back. queued_at: the endpoint in whose queue it is.';

CREATE VIEW integration_worker.waiting AS
SELECT c.*
  FROM integration_worker.course c
 WHERE c.state IN ('pending', 'retrying', 'failed');
COMMENT ON VIEW integration_worker.waiting IS
    'The syncs in the queue with what the tables know about what holds them back.';

CREATE VIEW integration.sync AS
SELECT f.id, f.state, f.endpoint, f.connector, f.customer, f.object_type, f.object_id, f.operation, f.attempts,
       f.reason, f.error_class, f.http_status, f.error,
       CASE WHEN f.state = 'superseded' AND f.closed_because = 'duplicate' THEN
            (SELECT integration_worker.say('remedy.of_duplicate', jsonb_build_object('other', q.outbox_id))
               FROM integration.queue q
              WHERE q.outbox_id = f.superseded_by AND q.state = 'failed')
            ELSE nullif(concat_ws(' ', CASE WHEN f.queued_at IS NOT NULL THEN f.worked_before END,
                 CASE WHEN f.state = 'failed' AND f.is_unknown THEN (SELECT integration_worker.say('remedy.unknown_outcome'))
                      ELSE coalesce(CASE WHEN f.state = 'failed' THEN (SELECT integration_worker.remedies_when_failed()) END
                                    ->> f.remedy, f.remedy) END), '') END AS remedy,
       f.responsible, f.owner,
       CASE WHEN f.state IN ('pending', 'retrying') AND l.started_at IS NULL THEN
            greatest(f.due_at, f.retry_after_until, CASE WHEN f.health <> 'closed' THEN f.open_until END) END AS next_attempt_at,
       CASE WHEN f.state IN ('pending', 'retrying') THEN integration_worker.held_by(
           f.state, l.started_at, f.is_paused, f.health, f.retry_after_until, f.due_at, f.earlier,
           w.rate_free_at, w.in_flight, w."window") END AS blocked_by,
       l.started_at AS in_flight_since,
       f.last_attempt_at, f.created_at, t.finished_at,
       coalesce(t.finished_at, CASE WHEN f.queued_at IS NOT NULL THEN statement_timestamp() END) - f.created_at AS age,
       f.due_by,
       f.queued_at IS NOT NULL
       AND coalesce(statement_timestamp() >= f.at_risk_from OR f.due_at > f.due_by
                    OR (f.state = 'failed' AND f.due_by IS NOT NULL), false) AS sla_at_risk,
       f.severity, f.impact, f.priority, f.ordering_key, f.expires_at,
       f.triggered_by, f.trigger_ref, f.replay_of, f.superseded_by
  FROM integration_worker.course f
  LEFT JOIN integration_worker.live_syncs() l ON l.outbox_id = f.id AND f.queued_at IS NOT NULL
  LEFT JOIN integration_worker.live_endpoints() w ON w.endpoint_id = f.queued_at
 CROSS JOIN LATERAL (
       SELECT CASE f.state WHEN 'delivered' THEN f.last_answer_at ELSE f.closed_at END AS finished_at) t;
COMMENT ON VIEW integration.sync IS
    'Every sync with its state, what happened last, what helps, what holds it back. UPDATE … SET state = ''pending'' retries, ''cancelled'' cancels.';

-- The ten thousandth of a bad night is looked up in the outbox like the first, so each look-up counts: by the
-- endpoint of the queue, in the order of the ids; what the last attempt came to stands in the queue.  What the
-- planner knows to be sorted below isn't sorted again.  + 0: not by walking through the whole queue in its order.
CREATE VIEW integration_worker.worst_first AS
SELECT q.severity, o.created_at, o.id, o.impact, q.endpoint, q.connector, coalesce(o.customer, q.customer) AS customer,
       o.object_type, o.object_id, o.operation, q.attempts, o.priority, o.ordering_key, o.expires_at,
       o.triggered_by, o.trigger_ref, o.replay_of, q.is_idempotent, coalesce(q.owner, u.owner) AS owner,
       greatest(o.send_after, o.created_at) + coalesce(u.sla, q.sla) AS due_by,
       q.reason, q.error_class, q.http_status, q.error, q.last_attempt_at
  FROM (SELECT f.outbox_id, f.attempts, f.reason, f.error_class, f.http_status, f.error, f.last_attempt_at,
               e.name AS endpoint, e.connector, e.customer, c.sla,
               coalesce(e.owner, c.owner) AS owner, coalesce(c.severity, 3::smallint) AS severity,
               coalesce(e.idempotent, c.idempotent, true) AS is_idempotent
          FROM integration.queue f
          JOIN integration.endpoint e ON e.id = f.endpoint_id
          LEFT JOIN integration.connector c ON c.name = e.connector
         WHERE f.state = 'failed'
         ORDER BY f.outbox_id + 0) q
 CROSS JOIN LATERAL (
       SELECT x.*
         FROM integration_worker.asked x
        WHERE x.id = q.outbox_id
       OFFSET 0) o
  LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, q.customer)
 ORDER BY q.severity, o.impact DESC NULLS LAST, o.created_at, o.id;
COMMENT ON VIEW integration_worker.worst_first IS
    'What was asked by the failed syncs, and what came of it, in the order of integration.failed.';

CREATE VIEW integration.failed AS
SELECT s.id, 'failed'::text AS state, s.endpoint, s.connector, s.customer, s.object_type, s.object_id, s.operation, s.attempts,
       s.reason, s.error_class, s.http_status, s.error,
       nullif(concat_ws(' ', v.worked_before,
              CASE WHEN r.remote_state = 'unknown' AND NOT s.is_idempotent
                   THEN (SELECT integration_worker.say('remedy.unknown_outcome'))
                   ELSE coalesce((SELECT integration_worker.remedies_when_failed()) ->> v.remedy, v.remedy) END), '') AS remedy,
       r.responsible,
       coalesce(w.owner, s.owner) AS owner,
       NULL::timestamptz AS next_attempt_at, NULL::text AS blocked_by, NULL::timestamptz AS in_flight_since,
       s.last_attempt_at, s.created_at, NULL::timestamptz AS finished_at,
       statement_timestamp() - s.created_at AS age, s.due_by, s.due_by IS NOT NULL AS sla_at_risk,
       s.severity, s.impact, s.priority, s.ordering_key, s.expires_at,
       s.triggered_by, s.trigger_ref, s.replay_of, NULL::bigint AS superseded_by
  FROM integration_worker.worst_first s
  LEFT JOIN integration.error_reason r ON r.reason = s.reason
 CROSS JOIN LATERAL integration_worker.ruled_owner(s.connector, s.endpoint, s.customer, s.error_class, r.responsible) w
 CROSS JOIN LATERAL integration_worker.advice(s.endpoint, s.connector, s.error_class, r) v
 ORDER BY s.severity, s.impact DESC NULLS LAST, s.created_at, s.id;
COMMENT ON VIEW integration.failed IS
    'The syncs that wait for a person, worst first: severity, impact, age. Updatable like integration.sync.';

-- Both views have the same columns with the same meaning.
DO $$
DECLARE
    col record;
    view_name text;
BEGIN
    FOR col IN
        SELECT c.name, c.meaning
          FROM (VALUES
            ('id', 'The number of the sync: outbox.id.'),
            ('state', 'pending, retrying, failed (a person must act), delivered, cancelled, expired or superseded.'),
            ('endpoint', 'Where to.'),
            ('connector', 'The product behind the endpoint.'),
            ('customer', 'Whose object it is.'),
            ('object_type', 'The kind of business object.'),
            ('object_id', 'The business reference.'),
            ('operation', 'What happened to the object.'),
            ('attempts', 'Attempts made so far.'),
            ('reason', 'What exactly happened at the last attempt: see integration.error_reason.'),
            ('error_class', 'What that means: see integration.error_class.'),
            ('http_status', 'HTTP status of the last attempt; NULL when no answer arrived.'),
            ('error', 'Details of the last failure in words.'),
            ('remedy', 'What to do about it; NULL unless the last attempt failed, or a duplicate''s first sync did.'),
            ('responsible', 'Who can do it: customer, support, engineering, operations or remote_vendor.'),
            ('owner', 'The team whose work it is: by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.'),
            ('next_attempt_at', 'Not sent before, by its own schedule and by what the endpoint waits for; NULL when finished, failed or in flight.'),
            ('blocked_by', 'The strongest that holds it back: paused, stopped, open, retry_after, schedule, ordering_key, rate or window; NULL: nothing does. integration.why() says it in words.'),
            ('in_flight_since', 'When the request that is under way began; NULL: none is.'),
            ('last_attempt_at', 'When the last attempt began.'),
            ('created_at', 'When it was asked for.'),
            ('finished_at', 'When it was delivered or closed.'),
            ('age', 'From created_at to finished_at, or to now.'),
            ('due_by', 'When it should be delivered by the SLA of the customer, else of the connector; NULL: no promise.'),
            ('sla_at_risk', 'It is not finished, and four fifths of the time to due_by are over, or it is failed or scheduled for later than due_by.'),
            ('severity', 'How much a failure hurts: 1 (worst) to 4, from the connector.'),
            ('impact', 'What is at stake, in the application''s unit.'),
            ('priority', 'high, normal or low.'),
            ('ordering_key', 'Syncs of one endpoint and key go one at a time.'),
            ('expires_at', 'Not sent from here on.'),
            ('triggered_by', 'Who or what in the application caused it.'),
            ('trigger_ref', 'The application''s own reference for the cause.'),
            ('replay_of', 'The sync that this one sends again.'),
            ('superseded_by', 'The sync that took its place.')
          ) AS c (name, meaning)
    LOOP
        FOREACH view_name IN ARRAY ARRAY['sync', 'failed'] LOOP
            EXECUTE format('COMMENT ON COLUMN integration.%I.%I IS %L', view_name, col.name, col.meaning);
        END LOOP;
    END LOOP;
END
$$;

-- With the caller's rights, so that whoever may not retry can't do it through the view either.
CREATE FUNCTION integration_worker.update_sync() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked text := NEW.state;
    changed text := (SELECT string_agg(n.key, ', ' ORDER BY n.key)
                       FROM jsonb_each(to_jsonb(NEW)) n
                       JOIN jsonb_each(to_jsonb(OLD)) o ON o.key = n.key
                      WHERE n.value <> o.value AND n.key <> 'state');
BEGIN
    IF changed IS NOT NULL OR asked IS NULL OR asked NOT IN ('pending', 'cancelled') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = CASE WHEN changed IS NOT NULL THEN format('column %s of sync %s cannot be set', changed, OLD.id)
                           ELSE format('the state of sync %s cannot be set to %s', OLD.id, coalesce(asked, 'NULL')) END,
            DETAIL = 'What was asked and what happened stays as it is.',
            HINT = 'SET state = ''pending'' retries a sync, SET state = ''cancelled'' cancels it; '
                   'other data is sent by integration.amend().';
    END IF;
    IF asked = 'pending' THEN
        PERFORM integration.retry(OLD.id);
    ELSE
        PERFORM integration.cancel(OLD.id);
    END IF;
    SELECT s.* INTO NEW FROM integration.sync s WHERE s.id = OLD.id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.update_sync() IS
    'Makes an update of the views sync and failed a retry or a cancel.';

CREATE FUNCTION integration_worker.refuse_sync_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'feature_not_supported',
        MESSAGE = CASE TG_OP WHEN 'INSERT' THEN format('syncs are not inserted into integration.%s', TG_TABLE_NAME)
                             ELSE format('syncs are not deleted from integration.%s', TG_TABLE_NAME) END,
        HINT = CASE TG_OP WHEN 'INSERT' THEN 'Insert into integration.outbox (endpoint, payload, …).'
                          ELSE 'To give a sync up set its state to cancelled; retention removes it later.' END;
END
$$;
COMMENT ON FUNCTION integration_worker.refuse_sync_change() IS
    'Says what to do instead of an insert into or a delete from the views of syncs.';

CREATE TRIGGER update_sync INSTEAD OF UPDATE ON integration.sync
    FOR EACH ROW EXECUTE FUNCTION integration_worker.update_sync();
CREATE TRIGGER update_sync INSTEAD OF UPDATE ON integration.failed
    FOR EACH ROW EXECUTE FUNCTION integration_worker.update_sync();
CREATE TRIGGER refuse_change INSTEAD OF INSERT OR DELETE ON integration.sync
    FOR EACH ROW EXECUTE FUNCTION integration_worker.refuse_sync_change();
CREATE TRIGGER refuse_change INSTEAD OF INSERT OR DELETE ON integration.failed
    FOR EACH ROW EXECUTE FUNCTION integration_worker.refuse_sync_change();
