-- What comes next for a sync that was not delivered.

-- What is decided by, read once for a batch: a query for each result would cost more than all the rest.
CREATE TYPE integration_worker.ground AS (
    fact integration.error_reason,
    idempotent boolean,
    schedule interval[],
    jitter double precision,
    deadline interval,
    mask text[]
);
COMMENT ON TYPE integration_worker.ground IS
    'What is known of a failure: its reason as an error_rule makes it, whether its endpoint is idempotent, the retry policy, and what is hidden of its payloads.';

-- The next attempt of a sync that may be sent again, or the end of its patience.
CREATE FUNCTION integration_worker.schedule_next(
        verdict integration_worker.verdict, ground integration_worker.ground, retry_after_s integer, settled_at timestamptz)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fact integration.error_reason := ground.fact;
    limited boolean := integration_worker.is_limit(fact, retry_after_s);
    trips boolean := fact.breaker = 'trip';
    free boolean := trips OR fact.scope = 'worker' OR fact.retryable = 'n/a'
        OR (limited AND verdict.attempts - 1 - verdict.charged < 50);
BEGIN
    verdict.charged := verdict.charged + CASE WHEN free THEN 0 ELSE 1 END;
    -- How long this sync alone would wait by now is no measure for its whole endpoint.
    IF limited AND verdict.pause_until IS NULL THEN
        verdict.pause_until := settled_at
            + integration_worker.retry_wait(ground.schedule, ground.jitter, 1, fact.retry_hint);
    END IF;
    verdict.due_at := CASE
        WHEN trips THEN settled_at
        WHEN limited AND (free OR retry_after_s IS NOT NULL) THEN verdict.pause_until
        ELSE greatest(settled_at + integration_worker.retry_wait(
                          ground.schedule, ground.jitter, verdict.charged + CASE WHEN free THEN 1 ELSE 0 END, fact.retry_hint),
                      settled_at + make_interval(secs => retry_after_s)) END;
    IF NOT free AND verdict.charged > coalesce(cardinality(ground.schedule), 0)
       OR NOT trips AND verdict.due_at > verdict.wanted_at + ground.deadline THEN
        verdict.state := 'failed';
        verdict.due_at := NULL;
        RETURN verdict;
    END IF;
    verdict.state := 'retrying';
    -- expire() closes it then.
    verdict.due_at := least(verdict.due_at, verdict.expires_at);
    RETURN verdict;
END
$$;
COMMENT ON FUNCTION integration_worker.schedule_next(
        integration_worker.verdict, integration_worker.ground, integer, timestamptz) IS
    'When a sync is tried again by its retry policy, Retry-After and deadline; failed when those are used up.';

CREATE FUNCTION integration_worker.decide(
        verdict integration_worker.verdict, ground integration_worker.ground, retry_after_s integer, settled_at timestamptz)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fact integration.error_reason := ground.fact;
    pause_s integer := CASE WHEN retry_after_s >= 0 THEN least(greatest(retry_after_s, 1), 86400) END;
BEGIN
    verdict.reason := fact.reason;
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
           fact, ground.idempotent, fact.retryable = 'once' AND integration_worker.repeats(verdict)) THEN
        verdict.state := 'failed';
        RETURN verdict;
    END IF;
    RETURN integration_worker.schedule_next(verdict, ground, pause_s, settled_at);
END
$$;
COMMENT ON FUNCTION integration_worker.decide(
        integration_worker.verdict, integration_worker.ground, integer, timestamptz) IS
    'What becomes of a sync that was not delivered.';

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
CREATE FUNCTION integration_worker.unknown_outcome(
        verdict integration_worker.verdict, ground integration_worker.ground)
    RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN verdict.state = 'failed' AND NOT verdict.ping AND verdict.rule_retries IS NULL
       AND (ground.fact).remote_state = 'unknown' AND NOT ground.idempotent;
END
$$;
COMMENT ON FUNCTION integration_worker.unknown_outcome(integration_worker.verdict, integration_worker.ground) IS
    'Is a failed sync one of which nobody knows whether the other system did the work?';

CREATE FUNCTION integration_worker.error_text(
        verdict integration_worker.verdict, fact integration.error_reason, said text, headers jsonb, body text)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(CASE WHEN verdict.http_status IS NOT NULL
                         THEN integration_worker.clue_of(body, headers ->> 'content-type') END,
                    nullif(said, ''),
                    CASE WHEN verdict.rule_retries IS NOT NULL AND body <> ''
                         THEN format('an error rule takes this answer for a failure: %s', left(body, 200)) END,
                    coalesce(verdict.http_status || ' ', '')
                    || CASE WHEN fact.kind LIKE 'http%' THEN fact.name ELSE coalesce(fact.condition, fact.name) END);
END
$$;
COMMENT ON FUNCTION integration_worker.error_text(
        integration_worker.verdict, integration.error_reason, text, jsonb, text) IS
    'Details of a failure: what the answer says, else what the sender says, else what the reason is called.';

CREATE FUNCTION integration_worker.explain(
        verdict integration_worker.verdict, ground integration_worker.ground, said text, headers jsonb, body text,
        redirect_url text)
    RETURNS integration_worker.verdict
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    verdict.error := concat_ws('; ', integration_worker.error_text(verdict, ground.fact, said, headers, body),
                               'the new place is ' || nullif(redirect_url, ''));
    IF cardinality(ground.mask) > 0 THEN
        verdict.error := integration_worker.masked_error(verdict.outbox_id, ground.mask, verdict.error);
    END IF;
    IF integration_worker.unknown_outcome(verdict, ground) THEN
        verdict.error := verdict.error
            || '; nobody knows whether it was done: look it up in the other system before sending it again';
    END IF;
    RETURN verdict;
END
$$;
COMMENT ON FUNCTION integration_worker.explain(
        integration_worker.verdict, integration_worker.ground, text, jsonb, text, text) IS
    'The failure with its details in words.';

-- An endpoint that has answered well of late is the right place: a 404 is then about the object.
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
                             integration_worker.decide(f, g.ground, r.retry_after_s, settled_at),
                             g.ground, r.error, headers[f.n], r.response_body, r.redirect_url) END
          FROM unnest(facts) f
          JOIN unnest(results) WITH ORDINALITY AS r ON r.ordinality = f.n
          LEFT JOIN LATERAL (
               SELECT c.idempotent, p.schedule, p.jitter, p.deadline, c.mask,
                      c.id = ANY (proven) OR h.last_success_at > settled_at - interval '1 h' AS is_proven
                 FROM integration.endpoint_config c
                 LEFT JOIN integration.retry_policy p ON p.name = c.retry_policy
                 LEFT JOIN integration.endpoint_health h ON h.endpoint_id = c.id
                WHERE f.state IS NULL AND c.id = f.endpoint_id
               OFFSET 0) e ON true
          LEFT JOIN LATERAL (
               SELECT ROW (CASE WHEN f.rule_retries IS NULL THEN x ELSE integration_worker.ruled(x, f) END,
                           coalesce(e.idempotent, true), e.schedule, e.jitter, e.deadline, e.mask)::integration_worker.ground AS ground
                 FROM integration.error_reason x
                WHERE f.state IS NULL
                  AND x.reason = CASE WHEN f.reason = 'http:404' AND e.is_proven THEN 'http:404:item' ELSE f.reason END
               OFFSET 0) g ON true
         ORDER BY f.n);
END
$$;
COMMENT ON FUNCTION integration_worker.judge(integration_worker.verdict[], integration_worker.result[], jsonb[], timestamptz) IS
    'What becomes of each result that is not a delivery, and why in words.';
