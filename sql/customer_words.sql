-- What customers are told: a fixed vocabulary, in their language.

INSERT INTO integration.phrase (key, words) VALUES
    ('customer.standing.arrived', 'Arrived'),
    ('customer.standing.waiting', 'On its way'),
    ('customer.standing.delayed', 'Delayed'),
    ('customer.standing.held', 'Held back'),
    ('customer.standing.needs_you', 'Needs you'),
    ('customer.standing.needs_us', 'Needs us'),
    ('customer.standing.checking', 'Being checked'),
    ('customer.standing.withdrawn', 'Withdrawn'),
    ('customer.standing.too_late', 'Not sent in time'),
    ('customer.standing.unknown', 'Not known'),
    ('customer.next.waiting', 'It is sent automatically.'),
    ('customer.next.delayed', 'We keep trying.'),
    ('customer.next.held', 'We look after it; it is sent automatically as soon as that is over.'),
    ('customer.next.needs_you', 'It is not tried again by itself.'),
    ('customer.next.needs_us', 'It is not tried again by itself; we look after it.'),
    ('customer.next.checking', 'Nothing is sent again before we know that.'),
    ('customer.next.withdrawn', 'It is not sent.'),
    ('customer.next.too_late', 'It is not sent any more.'),
    ('customer.cause.unknown', 'We know of nothing that was to be sent under this name.'),
    ('customer.advice.unknown', 'Please check the name; what was sent long ago is not kept.'),
    ('customer.advice.can_retry', 'You can have it sent again.');

-- Both are inlined where a view asks for each row.
CREATE FUNCTION integration_worker.customer_status_of(
        state text, is_unknown boolean, responsible text, is_held boolean)
    RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN state IN ('delivered', 'in_sync') THEN 'arrived'
                WHEN state = 'cancelled' THEN 'withdrawn'
                WHEN state = 'expired' THEN 'too_late'
                WHEN state = 'failed' AND is_unknown THEN 'checking'
                WHEN state = 'failed' AND responsible = 'customer' THEN 'needs_you'
                WHEN state = 'failed' THEN 'needs_us'
                WHEN is_held THEN 'held'
                WHEN state IN ('retrying', 'failing') THEN 'delayed'
                ELSE 'waiting' END;
COMMENT ON FUNCTION integration_worker.customer_status_of(text, boolean, text, boolean) IS
    'The word of the customers'' vocabulary for a sync or an object in this state; is_unknown: it may have arrived and must not be sent twice.';

CREATE FUNCTION integration_worker.customer_class(status text, error_class text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE status WHEN 'arrived' THEN 'success'
                       WHEN 'withdrawn' THEN 'cancelled'
                       WHEN 'too_late' THEN 'expired'
                       WHEN 'waiting' THEN 'deferred'
                       ELSE coalesce(error_class, 'internal') END;
COMMENT ON FUNCTION integration_worker.customer_class(text, text) IS
    'The error class whose words explain a status to a customer.';

-- In one piece, so that a view asks once for each customer.
CREATE FUNCTION integration_worker.customer_vocabulary(customer text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (SELECT jsonb_object_agg('cause.' || k.name, k.customer_message) FROM integration.error_class k)
           || coalesce((SELECT jsonb_object_agg('advice.' || a.key, a.value)
                          FROM jsonb_each_text(integration_worker.remedies('customer', r.locale)) a), '{}')
           || (SELECT jsonb_object_agg(substr(p.key, length('customer.') + 1), p.value)
                 FROM jsonb_each_text(integration_worker.phrases('{customer.}', r.locale)) p)
      FROM (SELECT (SELECT c.locale FROM integration.customer c WHERE c.name = customer_vocabulary.customer) AS locale) r
$$;
COMMENT ON FUNCTION integration_worker.customer_vocabulary(text) IS
    'All that a customer can be told, in the language of integration.customer: by standing.STATUS, next.STATUS, cause.CLASS, advice.REASON, advice.:CLASS.';
