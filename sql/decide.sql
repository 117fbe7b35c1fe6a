-- What comes next for a sync that was not delivered.

-- The next attempt of a sync that may be sent again, or the end of its patience.
CREATE FUNCTION integration_worker.schedule_next(
        verdict integration_worker.verdict, fact integration.error_reason, retry_after_s integer, settled_at timestamptz)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plan record;
    limited boolean := integration_worker.is_limit(fact, retry_after_s);
    trips boolean := fact.breaker = 'trip';
    free boolean := trips OR fact.scope = 'worker' OR fact.retryable = 'n/a'
        OR (limited AND verdict.attempts - 1 - verdict.charged < 50);
BEGIN
    SELECT p.schedule, p.jitter, o.expires_at, coalesce(o.send_after, o.created_at) + p.deadline AS deadline INTO plan
      FROM integration.endpoint_config c
      LEFT JOIN integration.retry_policy p ON p.name = c.retry_policy
      LEFT JOIN integration.outbox o ON o.id = verdict.outbox_id
     WHERE c.id = verdict.endpoint_id;
    verdict.charged := verdict.charged + CASE WHEN free THEN 0 ELSE 1 END;
    -- How long this sync alone would wait by now is no measure for its whole endpoint.
    IF limited AND verdict.pause_until IS NULL THEN
        verdict.pause_until := settled_at
            + integration_worker.retry_wait(plan.schedule, plan.jitter, 1, fact.retry_hint);
    END IF;
    verdict.due_at := CASE
        WHEN trips THEN settled_at
        WHEN limited AND (free OR retry_after_s IS NOT NULL) THEN verdict.pause_until
        ELSE greatest(settled_at + integration_worker.retry_wait(
                          plan.schedule, plan.jitter, verdict.charged + CASE WHEN free THEN 1 ELSE 0 END, fact.retry_hint),
                      settled_at + make_interval(secs => retry_after_s)) END;
    IF NOT free AND verdict.charged > coalesce(cardinality(plan.schedule), 0)
       OR NOT trips AND verdict.due_at > plan.deadline THEN
        verdict.state := 'failed';
        verdict.due_at := NULL;
        RETURN verdict;
    END IF;
    verdict.state := 'retrying';
    -- expire() closes it then.
    verdict.due_at := least(verdict.due_at, plan.expires_at);
    RETURN verdict;
END
$$;
COMMENT ON FUNCTION integration_worker.schedule_next(integration_worker.verdict, integration.error_reason, integer, timestamptz) IS
    'When a sync is tried again by its retry policy, Retry-After and deadline; failed when those are used up.';

CREATE FUNCTION integration_worker.decide(
        verdict integration_worker.verdict, proven boolean, retry_after_s integer, settled_at timestamptz)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fact integration.error_reason;
    idempotent boolean := coalesce((SELECT c.idempotent FROM integration.endpoint_config c
                                     WHERE c.id = verdict.endpoint_id), true);
    pause_s integer := least(greatest(retry_after_s, 1), 86400);
BEGIN
    IF verdict.reason = 'http:404'
       AND (proven OR EXISTS (SELECT FROM integration.endpoint_health h
                               WHERE h.endpoint_id = verdict.endpoint_id
                                 AND h.last_success_at > settled_at - interval '1 h')) THEN
        verdict.reason := 'http:404:item';
    END IF;
    IF retry_after_s IS NULL OR retry_after_s < 0 THEN
        pause_s := NULL;
    END IF;
    fact := integration_worker.fact_of(verdict);
    verdict.error_class := fact.error_class;
    verdict.effect := integration_worker.effect_of(fact, verdict, pause_s);
    verdict.signal := CASE WHEN fact.concurrency = 'decrease' AND NOT verdict.ping THEN 'decrease' ELSE 'neutral' END;
    IF NOT verdict.ping
       AND (integration_worker.is_limit(fact, pause_s) OR (fact.scope = 'endpoint' AND fact.breaker <> 'trip')) THEN
        verdict.pause_until := settled_at + make_interval(secs => pause_s);
    END IF;
    IF verdict.kept_state IS NOT NULL THEN
        verdict.state := verdict.kept_state;
        RETURN verdict;
    END IF;
    verdict.due_at := NULL;
    IF fact.error_class = 'cancelled' OR verdict.reason = 'expired' THEN
        verdict.state := fact.error_class;
        RETURN verdict;
    END IF;
    -- A ping is a question to the endpoint; no answer is an answer.
    IF verdict.ping
       OR (verdict.reason = 'worker_crash' AND integration_worker.is_crasher(verdict.outbox_id))
       OR NOT integration_worker.may_retry(
           fact, idempotent, fact.retryable = 'once' AND integration_worker.repeats(verdict)) THEN
        verdict.state := 'failed';
        RETURN verdict;
    END IF;
    RETURN integration_worker.schedule_next(verdict, fact, pause_s, settled_at);
END
$$;
COMMENT ON FUNCTION integration_worker.decide(integration_worker.verdict, boolean, integer, timestamptz) IS
    'What becomes of a sync that was not delivered; proven: the same batch delivered something to its endpoint.';

CREATE FUNCTION integration_worker.repeats(verdict integration_worker.verdict) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM integration.attempt a
                    WHERE a.outbox_id = verdict.outbox_id
                      AND a.attempt_no = verdict.attempts - 1
                      AND a.reason = verdict.reason);
END
$$;
COMMENT ON FUNCTION integration_worker.repeats(integration_worker.verdict) IS
    'Did the attempt before fail for the same reason?';

-- An unknown outcome must be looked up by a person before anything is sent again.
CREATE FUNCTION integration_worker.unknown_outcome(verdict integration_worker.verdict) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN verdict.state = 'failed' AND NOT verdict.ping AND verdict.rule_retries IS NULL
       AND EXISTS (SELECT FROM integration.error_reason r
                    WHERE r.reason = verdict.reason AND r.remote_state = 'unknown')
       AND EXISTS (SELECT FROM integration.endpoint_config c
                    WHERE c.id = verdict.endpoint_id AND NOT c.idempotent);
END
$$;
COMMENT ON FUNCTION integration_worker.unknown_outcome(integration_worker.verdict) IS
    'Is a failed sync one of which nobody knows whether the other system did the work?';

CREATE FUNCTION integration_worker.error_text(
        verdict integration_worker.verdict, said text, headers jsonb, body text, redirect_url text)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat_ws('; ',
               coalesce(CASE WHEN verdict.http_status IS NOT NULL
                             THEN integration_worker.clue_of(body, headers ->> 'content-type') END,
                        nullif(said, ''),
                        CASE WHEN verdict.rule_retries IS NOT NULL AND body <> ''
                             THEN format('an error rule takes this answer for a failure: %s', left(body, 200)) END,
                        (SELECT coalesce(verdict.http_status || ' ', '') || CASE WHEN r.kind LIKE 'http%' THEN r.name ELSE coalesce(r.condition, r.name) END
                           FROM integration.error_reason r WHERE r.reason = verdict.reason)),
               'the new place is ' || nullif(redirect_url, ''));
END
$$;
COMMENT ON FUNCTION integration_worker.error_text(integration_worker.verdict, text, jsonb, text, text) IS
    'Details of a failure: what the answer says, else what the sender says, else what the reason is called.';

CREATE FUNCTION integration_worker.explain(
        verdict integration_worker.verdict, said text, headers jsonb, body text, redirect_url text)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    verdict.error := integration_worker.error_text(verdict, said, headers, body, redirect_url);
    IF integration_worker.unknown_outcome(verdict) THEN
        verdict.error := verdict.error
            || '; nobody knows whether it was done: look it up in the other system before sending it again';
    END IF;
    RETURN verdict;
END
$$;
COMMENT ON FUNCTION integration_worker.explain(integration_worker.verdict, text, jsonb, text, text) IS
    'The failure with its details in words.';

CREATE FUNCTION integration_worker.judge(
        facts integration_worker.verdict[], results integration_worker.result[], headers jsonb[], settled_at timestamptz)
    RETURNS integration_worker.verdict[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    proven integer[] := ARRAY(SELECT DISTINCT f.endpoint_id FROM unnest(facts) f WHERE f.state = 'delivered' AND NOT f.ping);
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(facts) f WHERE f.state IS NULL) THEN
        RETURN facts;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN f.state IS NOT NULL THEN f
                    ELSE integration_worker.explain(
                             integration_worker.decide(f, f.endpoint_id = ANY (proven), r.retry_after_s, settled_at),
                             r.error, headers[f.n], r.response_body, r.redirect_url) END
          FROM unnest(facts) f
          JOIN unnest(results) WITH ORDINALITY AS r ON r.ordinality = f.n
         ORDER BY f.n);
END
$$;
COMMENT ON FUNCTION integration_worker.judge(integration_worker.verdict[], integration_worker.result[], jsonb[], timestamptz) IS
    'What becomes of each result that is not a delivery, and why in words.';
