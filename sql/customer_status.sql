-- How one business object of a customer stands, in the customer's own words.

-- Of what was asked for the object at each endpoint the newest counts; what gave way to a newer one doesn't.
CREATE FUNCTION integration_worker.object_standing(
        customers text[], object text, object_type text)
    RETURNS TABLE (customer text, sync bigint, status text, error_class text, reason text, can_retry boolean,
                   since timestamptz, next_attempt_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH newest AS (
        SELECT DISTINCT ON (o.endpoint, o.object_type) o.id, o.expires_at
          FROM integration.outbox o
          LEFT JOIN integration.endpoint e ON e.name = o.endpoint
         WHERE o.object_id = object_standing.object
           AND (object_standing.object_type IS NULL OR o.object_type = object_standing.object_type)
           AND coalesce(o.customer, e.customer) = ANY (customers)
           AND o.operation <> 'ping'
           AND NOT EXISTS (SELECT FROM integration.closing c WHERE c.outbox_id = o.id AND c.state = 'superseded')
         ORDER BY o.endpoint, o.object_type, o.id DESC
    )
    SELECT f.customer, f.id,
           integration_worker.customer_status_of(coalesce(q.state, c.state, 'delivered'), f.is_unknown, f.responsible, h.held_class IS NOT NULL),
           coalesce(h.held_class, f.error_class), CASE WHEN h.held_class IS NULL THEN f.reason END,
           q.state = 'failed' AND (n.expires_at > statement_timestamp()) IS NOT FALSE AND NOT coalesce(f.is_unknown, false),
           coalesce(c.closed_at, f.last_answer_at, f.created_at), CASE WHEN q.state = 'retrying' THEN q.due_at END
      FROM newest n
      JOIN integration_worker.sync_facts f ON f.id = n.id
      LEFT JOIN integration.queue q ON q.outbox_id = n.id
      LEFT JOIN integration.closing c ON c.outbox_id = n.id
     CROSS JOIN LATERAL (
           SELECT CASE WHEN q.state <> 'failed' THEN integration_worker.held_class(f.endpoint_id, f.customer) END AS held_class) h
$$;
COMMENT ON FUNCTION integration_worker.object_standing(text[], text, text) IS
    'How an object of one of these customers stands at each endpoint, in codes.';

CREATE FUNCTION integration_worker.customer_told(customers text[], object text, object_type text)
    RETURNS TABLE (customer text, system text, object_type text, object_id text, status text, standing text, cause text,
                   next text, advice text, can_retry boolean, sync bigint, since timestamptz, next_attempt_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH stands AS (
        SELECT s.*, integration_worker.customer_class(s.status, s.error_class) AS class
          FROM integration_worker.object_standing(customers, object, object_type) s
        UNION ALL
        SELECT customers[1], NULL, 'unknown', NULL, NULL, false, NULL, NULL, 'unknown'
         WHERE NOT EXISTS (SELECT FROM integration_worker.object_standing(customers, object, object_type))
    )
    SELECT s.customer, coalesce(c.title, c.name), coalesce(o.object_type, customer_told.object_type), customer_told.object, s.status,
           v.texts ->> ('standing.' || s.status), v.texts ->> ('cause.' || s.class), v.texts ->> ('next.' || s.status),
           concat_ws(' ', coalesce(v.texts ->> ('advice.' || s.reason), v.texts ->> ('advice.:' || s.class), v.texts ->> ('advice.' || s.class)),
                     CASE WHEN s.can_retry THEN v.texts ->> 'advice.can_retry' END),
           coalesce(s.can_retry, false), s.sync, s.since, s.next_attempt_at
      FROM stands s
      LEFT JOIN integration.outbox o ON o.id = s.sync
      LEFT JOIN integration.endpoint e ON e.name = o.endpoint
      LEFT JOIN integration.connector c ON c.name = e.connector
     CROSS JOIN LATERAL integration_worker.customer_vocabulary(s.customer) AS v (texts)
     ORDER BY 2, 3, s.sync
$$;
COMMENT ON FUNCTION integration_worker.customer_told(text[], text, text) IS
    'What integration.customer_status() says of an object of these customers.';

-- With the caller's rights, as integration.retry() has: only so it is known who asks.
CREATE FUNCTION integration.customer_status(customer text, object text, object_type text DEFAULT NULL)
    RETURNS TABLE (customer text, system text, object_type text, object_id text, status text, standing text, cause text,
                   next text, advice text, can_retry boolean, sync bigint, since timestamptz, next_attempt_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.customer, t.system, t.object_type, t.object_id, t.status, t.standing, t.cause, t.next, t.advice, t.can_retry,
           t.sync, t.since, t.next_attempt_at
      FROM integration_worker.customer_told(
               CASE WHEN has_table_privilege('integration.sync'::regclass, 'SELECT') THEN ARRAY[$1]
                    ELSE ARRAY(SELECT w.customer FROM integration_worker.own_customer w WHERE w.customer = $1) END,
               $2, $3) t;
END;
COMMENT ON FUNCTION integration.customer_status(text, text, text) IS
    'How a business object of a customer stands at each system, for the customer to read: status is one of arrived, waiting, delayed, held, needs_you, needs_us, checking, withdrawn, too_late, unknown; standing, cause, next (by itself) and advice are told in the language of integration.customer. A customer''s role asks of its own, support of all.';
