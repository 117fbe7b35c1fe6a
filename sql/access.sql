-- What a customer's role sees of the customer's own objects, what it may do.

-- By role, not by name: one that is dropped leaves nothing to a later one of its name.
CREATE TABLE integration.customer_grant (
    role regrole NOT NULL,
    customer text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    granted_by name NOT NULL DEFAULT session_user,
    PRIMARY KEY (role, customer)
);
COMMENT ON TABLE integration.customer_grant IS
    'Which role sees which customer''s objects. Written by integration.grant_customer(), revoke_customer() and revoke().';
COMMENT ON COLUMN integration.customer_grant.role IS 'The role; in force as long as it has SELECT on integration.customer_sync.';
COMMENT ON COLUMN integration.customer_grant.customer IS 'The customer, as in outbox.customer and endpoint.customer.';
COMMENT ON COLUMN integration.customer_grant.granted_at IS 'When.';
COMMENT ON COLUMN integration.customer_grant.granted_by IS 'The database user of the session.';

INSERT INTO integration.phrase (key, words) VALUES
    ('grant.sees_all', 'role {role} sees the syncs of all customers already'),
    ('grant.no_customer', 'nothing belongs to customer "{customer}" yet: is the name right?'),
    ('revoke.not_granted', 'role {role} was not granted customer "{customer}"');

-- What REVOKE or DROP OWNED took from the role stays taken, whatever stands in the table.
-- In a view, where the user is the one who asks: a function with its owner's rights couldn't tell.  The array is made
-- once, however many roles there are.
CREATE VIEW integration_worker.own_customer AS
SELECT DISTINCT g.customer
  FROM integration.customer_grant g
 WHERE pg_has_role(g.role, 'USAGE')
   AND g.role = ANY (ARRAY(
       SELECT a.grantee
         FROM pg_catalog.pg_class c
        CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.relname = 'customer_sync'
          AND c.relnamespace = 'integration'::regnamespace
          AND a.privilege_type = 'SELECT'));
COMMENT ON VIEW integration_worker.own_customer IS 'The customers whose objects the current user may see.';

-- In branches, so that each finds its rows by an index: by outbox.customer; by what an endpoint of the customer's
-- has in the queue or has tried; by what was given up before it was tried.  What gave way to a newer sync is nobody's concern.
CREATE VIEW integration_worker.customer_outbox AS
SELECT o.id, o.customer, o.endpoint, o.object_type, o.object_id, o.operation, o.created_at
  FROM integration_worker.own_customer w
  JOIN integration_worker.asked o ON o.customer = w.customer
UNION ALL
SELECT o.id, e.customer, o.endpoint, o.object_type, o.object_id, o.operation, o.created_at
  FROM integration_worker.own_customer w
  JOIN integration.endpoint e ON e.customer = w.customer
 CROSS JOIN LATERAL (
       SELECT q.outbox_id AS id FROM integration.queue q WHERE q.endpoint_id = e.id AND q.state <> 'failed'
       UNION ALL
       SELECT q.outbox_id FROM integration.queue q WHERE q.endpoint_id = e.id AND q.state = 'failed'
       UNION ALL
       SELECT a.outbox_id
         FROM integration.attempt a
        WHERE a.endpoint_id = e.id
          AND a.attempt_no = 1
          AND NOT EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = a.outbox_id)) t
  JOIN integration_worker.asked o ON o.id = t.id
 WHERE o.customer IS NULL
UNION ALL
SELECT o.id, e.customer, o.endpoint, o.object_type, o.object_id, o.operation, o.created_at
  FROM integration.closing c
  JOIN integration_worker.asked o ON o.id = c.outbox_id
  JOIN integration.endpoint e ON e.name = o.endpoint
 WHERE c.state <> 'superseded'
   AND o.customer IS NULL
   AND e.customer IN (SELECT w.customer FROM integration_worker.own_customer w)
   AND NOT EXISTS (SELECT FROM integration.attempt a WHERE a.outbox_id = o.id AND a.attempt_no = 1);
COMMENT ON VIEW integration_worker.customer_outbox IS 'What was asked for the customers of the current user.';

-- With its owner's rights: a customer's role may ask how its own stand, not look at the pauses.
CREATE FUNCTION integration_worker.held_class(endpoint_id integer, customer text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM integration_worker.pause_in_force p
                              WHERE integration_worker.pause_holds(p.scope, p.name, e.connector, e.name,
                                                                   ARRAY[held_class.customer, e.customer])) THEN 'deferred'
                WHEN h.state = 'stopped' THEN coalesce(r.error_class, 'config') END
      FROM integration.endpoint e
      LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
      LEFT JOIN integration.error_reason r ON r.reason = h.last_reason
     WHERE e.id = held_class.endpoint_id
$$;
COMMENT ON FUNCTION integration_worker.held_class(integer, text) IS
    'The error class that explains why what waits for an endpoint is held back until somebody acts; NULL: it is not.';

-- Once for each customer, not for each row.
CREATE VIEW integration_worker.own_vocabulary AS
SELECT w.customer, integration_worker.customer_vocabulary(w.customer) AS texts
  FROM integration_worker.own_customer w
OFFSET 0;
COMMENT ON VIEW integration_worker.own_vocabulary IS 'What the customers of the current user can be told.';

CREATE VIEW integration_worker.customer_fact AS
SELECT f.*, coalesce(c.title, c.name) AS system, coalesce(q.state, g.state, 'delivered') AS state,
       CASE WHEN q.state = 'retrying' THEN q.due_at END AS next_attempt_at,
       CASE WHEN q.outbox_id IS NULL
            THEN coalesce(g.closed_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms') END AS finished_at,
       CASE WHEN p.held_class IS NOT NULL THEN p.held_class ELSE a.error_class END AS error_class,
       CASE WHEN p.held_class IS NULL AND r.error_class = a.error_class THEN a.reason END AS reason,
       q.state = 'failed'
       AND (q.expires_at > statement_timestamp()) IS NOT FALSE
       AND NOT (r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true)) AS can_retry,
       integration_worker.customer_status_of(
           coalesce(q.state, g.state, 'delivered'),
           r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true),
           r.responsible, p.held_class IS NOT NULL) AS status
  FROM integration_worker.customer_outbox f
  LEFT JOIN integration.endpoint e ON e.name = f.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.queue q ON q.outbox_id = f.id
  LEFT JOIN integration.closing g ON g.outbox_id = f.id
  LEFT JOIN LATERAL (
       SELECT x.started_at, x.duration_ms, x.reason, x.error_class
         FROM integration.attempt x
        WHERE x.outbox_id = f.id
        ORDER BY x.attempt_no DESC
        LIMIT 1) a ON true
  LEFT JOIN integration.error_reason r ON r.reason = a.reason
 CROSS JOIN LATERAL (
       SELECT CASE WHEN q.state <> 'failed' THEN integration_worker.held_class(e.id, f.customer) END AS held_class
       OFFSET 0) p
 WHERE f.operation <> 'ping'
   AND g.state IS DISTINCT FROM 'superseded';
COMMENT ON VIEW integration_worker.customer_fact IS 'The syncs of the customers of the current user, with their states.';

-- Sorted here, with all joins from the left: so the last attempt is looked up for those lines alone that somebody reads.
CREATE VIEW integration.customer_sync WITH (security_barrier) AS
SELECT f.id, f.customer, f.system, f.object_type, f.object_id, f.operation, f.state,
       concat_ws(' ', v.texts ->> ('cause.' || k.class), v.texts ->> ('next.' || f.status)) AS explanation,
       coalesce(f.can_retry, false) AS can_retry, f.created_at, f.next_attempt_at, f.finished_at, f.status,
       coalesce(v.texts ->> ('advice.' || f.reason), v.texts ->> ('advice.:' || k.class)) AS advice
  FROM integration_worker.customer_fact f
  LEFT JOIN integration_worker.own_vocabulary v ON v.customer = f.customer
 CROSS JOIN LATERAL (SELECT integration_worker.customer_class(f.status, f.error_class) AS class) k
 ORDER BY f.id DESC;
COMMENT ON VIEW integration.customer_sync IS
    'For a customer''s role: the syncs of its own objects, in plain words, the newest first. integration.retry(id) has one sent again where can_retry is true.';
COMMENT ON COLUMN integration.customer_sync.id IS 'The number of the sync.';
COMMENT ON COLUMN integration.customer_sync.customer IS 'Whose object it is.';
COMMENT ON COLUMN integration.customer_sync.system IS 'Where to: the connector''s title, or its name.';
COMMENT ON COLUMN integration.customer_sync.object_type IS 'The kind of business object.';
COMMENT ON COLUMN integration.customer_sync.object_id IS 'The business reference.';
COMMENT ON COLUMN integration.customer_sync.operation IS 'What happened to the object.';
COMMENT ON COLUMN integration.customer_sync.state IS 'pending, retrying, failed, delivered, cancelled or expired; what gave way to a newer sync isn''t listed.';
COMMENT ON COLUMN integration.customer_sync.explanation IS 'What that means, what comes next by itself, in the customer''s language.';
COMMENT ON COLUMN integration.customer_sync.can_retry IS 'It failed, and integration.retry(id) would have it sent again.';
COMMENT ON COLUMN integration.customer_sync.created_at IS 'When it was asked for.';
COMMENT ON COLUMN integration.customer_sync.next_attempt_at IS 'While retrying: not sent again before.';
COMMENT ON COLUMN integration.customer_sync.finished_at IS 'When it arrived or was given up.';
COMMENT ON COLUMN integration.customer_sync.status IS 'arrived, waiting, delayed, held, needs_you, needs_us, checking, withdrawn or too_late: see integration.customer_status().';
COMMENT ON COLUMN integration.customer_sync.advice IS 'What the customer can do.';

-- The status of an object belongs to whom its last sync belongs to; when that one has left, to the endpoint's customer.
CREATE VIEW integration_worker.customer_status AS
SELECT o.customer, s.*
  FROM integration_worker.own_customer w
  JOIN integration_worker.asked o ON o.customer = w.customer
  JOIN integration.endpoint e ON e.name = o.endpoint
  JOIN integration.sync_status s
    ON s.object_id = o.object_id
   AND s.object_type = coalesce(o.object_type, '')
   AND s.endpoint_id = e.id
   AND s.last_outbox_id = o.id
UNION ALL
SELECT e.customer, s.*
  FROM integration_worker.own_customer w
  JOIN integration.endpoint e ON e.customer = w.customer
  JOIN integration.sync_status s ON s.endpoint_id = e.id
 WHERE NOT EXISTS (SELECT FROM integration_worker.asked o WHERE o.id = s.last_outbox_id AND o.customer IS NOT NULL);
COMMENT ON VIEW integration_worker.customer_status IS
    'How the objects of the customers of the current user stand that were tried.';

CREATE VIEW integration_worker.customer_standing AS
SELECT s.*, w.queued,
       coalesce((SELECT coalesce(d.customer, e.customer) FROM integration_worker.asked d WHERE d.id = s.delivered_outbox_id),
                e.customer) = s.customer AS is_own
  FROM integration_worker.customer_status s
  JOIN integration.endpoint e ON e.id = s.endpoint_id
 CROSS JOIN LATERAL (
       SELECT count(*) AS queued
         FROM integration_worker.asked o
         JOIN integration.queue q ON q.outbox_id = o.id
        WHERE o.object_id = s.object_id
          AND coalesce(o.object_type, '') = s.object_type
          AND q.endpoint_id = s.endpoint_id
          AND coalesce(o.customer, e.customer) = s.customer) w;
COMMENT ON VIEW integration_worker.customer_standing IS
    'The same with how many syncs of the object wait; is_own: what was delivered last was the customer''s.';

-- In branches by state, so that a list of what is failed reads nothing of what is well: what does not work; what works or
-- was never tried, while something is queued for it; all the rest.  The vocabulary is wide: nothing is joined beside it.
CREATE VIEW integration.customer_object WITH (security_barrier) AS
SELECT t.customer,
       (SELECT coalesce(c.title, c.name)
          FROM integration.endpoint e
          JOIN integration.connector c ON c.name = e.connector
         WHERE e.id = t.endpoint_id) AS system,
       t.object_type, t.object_id, t.state,
       concat_ws(' ', v.texts ->> ('cause.' || k.class), v.texts ->> ('next.' || k.status)) AS explanation,
       CASE WHEN t.is_own THEN t.remote_id END AS remote_id,
       CASE WHEN t.is_own THEN t.delivered_at END AS delivered_at,
       t.last_sync, t.queued, k.status, v.texts ->> ('advice.:' || k.class) AS advice
  FROM (SELECT s.customer, s.endpoint_id, s.object_type, s.object_id, s.state, s.error_class, s.remote_id, s.delivered_at,
               s.last_outbox_id AS last_sync, s.queued, s.is_own
          FROM integration_worker.customer_standing s
         WHERE s.state <> 'in_sync'
        UNION ALL
        SELECT w.customer, w.endpoint_id, w.object_type, w.object_id, 'pending', NULL, s.remote_id, s.delivered_at,
               s.last_outbox_id, w.queued, coalesce(s.is_own, false)
          FROM (SELECT f.customer, q.endpoint_id, coalesce(f.object_type, '') AS object_type, f.object_id, count(*) AS queued
                  FROM integration_worker.customer_outbox f
                  JOIN integration.queue q ON q.outbox_id = f.id
                 WHERE f.object_id IS NOT NULL
                 GROUP BY f.customer, q.endpoint_id, coalesce(f.object_type, ''), f.object_id) w
          LEFT JOIN integration_worker.customer_standing s
            ON (s.customer, s.endpoint_id, s.object_type, s.object_id) = (w.customer, w.endpoint_id, w.object_type, w.object_id)
         WHERE s.state IS NULL OR s.state = 'in_sync'
        UNION ALL
        SELECT s.customer, s.endpoint_id, s.object_type, s.object_id, 'in_sync', NULL, s.remote_id, s.delivered_at,
               s.last_outbox_id, 0, s.is_own
          FROM integration_worker.customer_standing s
         WHERE s.state = 'in_sync' AND s.queued = 0) t
  JOIN integration_worker.own_vocabulary v ON v.customer = t.customer
 CROSS JOIN LATERAL (
       SELECT s.status, integration_worker.customer_class(s.status, coalesce(s.held_class, t.error_class)) AS class
         FROM (SELECT h.held_class,
                      integration_worker.customer_status_of(
                          t.state, false, (SELECT x.responsible FROM integration.error_class x WHERE x.name = t.error_class),
                          h.held_class IS NOT NULL) AS status
                 FROM (SELECT CASE WHEN t.state IN ('pending', 'failing') THEN
                                   integration_worker.held_class(t.endpoint_id, t.customer) END AS held_class) h) s) k;
COMMENT ON VIEW integration.customer_object IS
    'For a customer''s role: how each of its own objects stands, in plain words.';
COMMENT ON COLUMN integration.customer_object.customer IS 'Whose object it is.';
COMMENT ON COLUMN integration.customer_object.system IS 'Where to: the connector''s title, or its name.';
COMMENT ON COLUMN integration.customer_object.object_type IS 'The kind of business object; empty where none was given.';
COMMENT ON COLUMN integration.customer_object.object_id IS 'The business reference.';
COMMENT ON COLUMN integration.customer_object.state IS 'in_sync, pending, failing (will be tried again) or failed.';
COMMENT ON COLUMN integration.customer_object.explanation IS 'What that means, what comes next by itself, in the customer''s language.';
COMMENT ON COLUMN integration.customer_object.remote_id IS 'The other system''s id for the object.';
COMMENT ON COLUMN integration.customer_object.delivered_at IS 'When its newest state that arrived did so.';
COMMENT ON COLUMN integration.customer_object.last_sync IS 'The newest sync of the object that was tried: see customer_sync.';
COMMENT ON COLUMN integration.customer_object.queued IS 'Syncs of the object that are not finished.';
COMMENT ON COLUMN integration.customer_object.status IS 'arrived, waiting, delayed, held, needs_you or needs_us: see integration.customer_status().';
COMMENT ON COLUMN integration.customer_object.advice IS 'What the customer can do.';

-- What belongs to others is refused in the words for what doesn't exist.
CREATE FUNCTION integration_worker.require_own_sync(id bigint, reason text, customers text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF octet_length(reason) > 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'program_limit_exceeded',
            MESSAGE = 'the reason is too long',
            DETAIL = format('It has %s bytes; 1000 are allowed.', octet_length(reason)),
            HINT = 'Write a sentence.';
    END IF;
    IF EXISTS (SELECT
                 FROM integration.outbox o
                 LEFT JOIN integration.endpoint e ON e.name = o.endpoint
                WHERE o.id = require_own_sync.id
                  AND o.operation <> 'ping'
                  AND coalesce(o.customer, e.customer) = ANY (customers)) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'undefined_object',
        MESSAGE = format('sync %s does not exist', coalesce(require_own_sync.id::text, 'NULL')),
        HINT = 'Yours are in SELECT id, object_id, state FROM integration.customer_sync.';
END
$$;
COMMENT ON FUNCTION integration_worker.require_own_sync(bigint, text, text[]) IS
    'Raises an error unless the sync belongs to one of these customers; the reason is what its customer writes.';

CREATE FUNCTION integration_worker.require_known_failure(id bigint, state text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF state <> 'failed' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s is %s and cannot be retried', require_known_failure.id, state),
            HINT = 'Only what is failed can: look at the column can_retry of integration.customer_sync.';
    END IF;
    IF EXISTS (SELECT FROM integration.queue q
                WHERE q.outbox_id = require_known_failure.id AND q.expires_at <= clock_timestamp()) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s is too late to be retried', require_known_failure.id),
            HINT = 'Ask those who run this service to send it all the same.';
    END IF;
    IF (SELECT f.is_unknown FROM integration_worker.sync_facts f WHERE f.id = require_known_failure.id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s may have arrived and must not be sent twice', require_known_failure.id),
            HINT = 'Look in the other system whether it is there, and tell those who run this service.';
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.require_known_failure(bigint, text) IS
    'Raises an error unless the sync in this state is one that its customer may have sent again.';

-- With the caller's rights, else nothing would say who asks.  Its body is bound to what it names when it is
-- made, so the caller needs no right to the schema.
CREATE FUNCTION integration.retry(id bigint, reason text DEFAULT NULL) RETURNS text
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT integration_worker.retry_as(
               retry.id, retry.reason, current_user,
               CASE WHEN NOT has_column_privilege('integration.sync'::regclass, 'state', 'UPDATE')
                    THEN ARRAY(SELECT w.customer FROM integration_worker.own_customer w) END);
END;
COMMENT ON FUNCTION integration.retry(bigint, text) IS
    'Has a sync sent now: one that failed or was cancelled from the start of its retry schedule, one that waits without its wait. A customer''s role may retry what failed of its own. Returns its state.';
