-- What an answer means: the rules behind settle(), each a function of its own.

-- One result on its way through settle(): first the facts, then what was decided.
CREATE TYPE integration_worker.verdict AS (
    n integer,
    outbox_id bigint,
    endpoint_id integer,
    attempts integer,
    charged integer,
    queued boolean,
    kept_state text,
    ordering_key text,
    object_type text,
    object_id text,
    ping boolean,
    started_at timestamptz,
    http_status integer,
    reason text,
    rule_retries boolean,
    error_class text,
    error text,
    delivered boolean,
    state text,
    due_at timestamptz,
    remote_id text,
    signal text,
    effect text,
    pause_until timestamptz,
    wanted_at timestamptz,
    expires_at timestamptz
);
COMMENT ON TYPE integration_worker.verdict IS
    'One result: n is its place in the arrays; attempts counts this one; kept_state is set when a person changed the sync meanwhile; effect says what it shows about the endpoint: success, alive (answered, refused this one), count, trip or none; wanted_at is when it was enqueued or was to be sent.';

-- The other side may send anything; a cast that fails must not fail the batch.
CREATE FUNCTION integration_worker.as_json(answer text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF answer IS NULL OR answer !~ '^\s*[{[]' THEN
        RETURN NULL;
    END IF;
    RETURN answer::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.as_json(text) IS
    'A JSON object or array; NULL for everything else.';

CREATE FUNCTION integration_worker.body_matches(body text, match jsonpath) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A predicate yields true, false or null, a path yields what it found.
    RETURN coalesce((SELECT bool_or(hit NOT IN ('false', 'null'))
                       FROM jsonb_path_query(integration_worker.as_json(body), match, silent => true) AS hit), false);
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION integration_worker.body_matches(text, jsonpath) IS
    'Is the jsonpath true for the JSON body, or does it find something in it?';

CREATE FUNCTION integration_worker.body_value(body text, path jsonpath) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hit jsonb;
BEGIN
    hit := jsonb_path_query_first(integration_worker.as_json(body), path, silent => true);
    IF jsonb_typeof(hit) IN ('string', 'number') THEN
        RETURN nullif(hit #>> '{}', '');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.body_value(text, jsonpath) IS
    'The first text or number that the jsonpath finds in the JSON body; otherwise NULL.';

CREATE FUNCTION integration_worker.member_text(answer jsonb, path text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE jsonb_typeof(answer #> path) WHEN 'string' THEN nullif(answer #>> path, '') END;
END
$$;
COMMENT ON FUNCTION integration_worker.member_text(jsonb, text[]) IS
    'A member that is a text; NULL for members of another type (RFC 9457 §3.1).';

-- RFC 9457: the pointers of errors[] name the fields, the best clue for who must correct the data.
CREATE FUNCTION integration_worker.problem_clue(answer jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat_ws('; ',
               nullif(concat_ws(': ', integration_worker.member_text(answer, '{title}'),
                                integration_worker.member_text(answer, '{detail}')), ''),
               (SELECT string_agg(concat_ws(' ', integration_worker.member_text(e.error, '{pointer}'),
                                            integration_worker.member_text(e.error, '{detail}')), '; ' ORDER BY e.n)
                  FROM jsonb_array_elements(CASE jsonb_typeof(answer -> 'errors') WHEN 'array' THEN answer -> 'errors' END)
                       WITH ORDINALITY AS e (error, n)
                 WHERE jsonb_typeof(e.error) = 'object' AND e.n <= 20));
END
$$;
COMMENT ON FUNCTION integration_worker.problem_clue(jsonb) IS
    'Title, detail and the named fields of a problem (RFC 9457).';

CREATE FUNCTION integration_worker.clue_of(body text, content_type text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer jsonb := integration_worker.as_json(body);
    clue text;
BEGIN
    IF jsonb_typeof(answer) = 'array' THEN
        answer := answer -> 0;
    END IF;
    IF content_type LIKE 'application/problem+json%' THEN
        clue := nullif(integration_worker.problem_clue(answer), '');
    END IF;
    IF answer IS NOT NULL AND clue IS NULL THEN
        clue := coalesce(integration_worker.member_text(answer, '{error_description}'),
                         integration_worker.member_text(answer, '{error,message}'),
                         integration_worker.member_text(answer, '{message}'),
                         integration_worker.member_text(answer, '{errors,0,message}'),
                         integration_worker.member_text(answer, '{detail}'),
                         integration_worker.member_text(answer, '{title}'),
                         integration_worker.member_text(answer, '{error}'));
    ELSIF clue IS NULL AND body ~ '^\s*<' THEN
        clue := substring(left(body, 8192) FROM '(?i)<title[^>]*>([^<]*)</title');
    ELSIF clue IS NULL AND content_type LIKE 'text/plain%' THEN
        clue := left(body, 2000);
    END IF;
    RETURN nullif(left(btrim(regexp_replace(clue, '\s+', ' ', 'g')), 2000), '');
END
$$;
COMMENT ON FUNCTION integration_worker.clue_of(text, text) IS
    'What an answer says about its failure, in one line of at most 2,000 characters; NULL: nothing.';

-- RFC 9110 §15: a status nobody knows is treated as the x00 of its hundred.
CREATE FUNCTION integration_worker.known_reason(reason text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT r.reason FROM integration.error_reason r WHERE r.reason = known_reason.reason),
                    CASE WHEN known_reason.reason ~ '^http:[1-5]\d\d(?!\d)'
                         THEN 'http:' || substr(known_reason.reason, 6, 1) || 'xx'
                         WHEN known_reason.reason LIKE 'http:%' THEN 'http:invalid'
                         WHEN known_reason.reason ~ '^curl:\d' THEN 'curl:other'
                         ELSE 'unknown' END);
END
$$;
COMMENT ON FUNCTION integration_worker.known_reason(text) IS
    'The row of error_reason that stands for a reason.';

CREATE FUNCTION integration_worker.jittered(wait interval, jitter double precision) RETURNS interval
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN wait + CASE WHEN jitter > 0
                       THEN make_interval(secs => least(greatest(random() * jitter * extract(epoch FROM wait)::double precision, 1), 900))
                       ELSE '0 s' END;
END
$$;
COMMENT ON FUNCTION integration_worker.jittered(interval, double precision) IS
    'The wait and a random part of it, at least 1 s, at most 15 min; nothing is ever subtracted.';

CREATE FUNCTION integration_worker.retry_wait(
        schedule interval[], jitter double precision, charged integer, hint text)
    RETURNS interval
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN greatest(integration_worker.jittered(
                        coalesce(schedule[least(greatest(charged, 1), cardinality(schedule))], '5 s'), coalesce(jitter, 0)),
                    CASE hint WHEN 'slow' THEN interval '10 min' END);
END
$$;
COMMENT ON FUNCTION integration_worker.retry_wait(interval[], double precision, integer, text) IS
    'The wait after so many attempts that count; what does not count waits like the next one that does.';

CREATE FUNCTION integration_worker.open_wait(openings integer) RETURNS interval
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN least(interval '1 s' * power(2, least(openings, 10) - 1), '60 s') * (1 + 0.2 * random());
END
$$;
COMMENT ON FUNCTION integration_worker.open_wait(integer) IS
    'How long a breaker stays open before its next probe: 1 s, doubling to 60 s, with up to a fifth added.';

CREATE FUNCTION integration_worker.stop_wait(openings integer) RETURNS interval
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE openings WHEN 1 THEN interval '1 min' WHEN 2 THEN '10 min' ELSE '1 h' END;
END
$$;
COMMENT ON FUNCTION integration_worker.stop_wait(integer) IS
    'How long a stopped endpoint waits before its next probe.';

CREATE FUNCTION integration_worker.ruled(fact integration.error_reason, verdict integration_worker.verdict)
    RETURNS integration.error_reason
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    fact.error_class := verdict.error_class;
    fact.remote_state := 'refused';
    fact.retryable := CASE WHEN verdict.rule_retries THEN 'yes' ELSE 'no' END;
    fact.retry_hint := 'backoff';
    fact.scope := 'sync';
    fact.breaker := 'ignore';
    fact.concurrency := 'neutral';
    RETURN fact;
END
$$;
COMMENT ON FUNCTION integration_worker.ruled(integration.error_reason, integration_worker.verdict) IS
    'What is known of a reason, as the error_rule that fits the answer makes it.';

-- May it be sent again?  What was perhaps done is only repeated where that is harmless.
CREATE FUNCTION integration_worker.may_retry(
        fact integration.error_reason, idempotent boolean, repeated boolean)
    RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN fact.breaker = 'trip' OR fact.retryable = 'n/a'
                THEN idempotent OR fact.remote_state IN ('not_reached', 'refused')
                WHEN fact.retryable = 'if_idempotent' THEN idempotent
                WHEN fact.retryable = 'once' THEN NOT repeated
                ELSE fact.retryable = 'yes' END;
END
$$;
COMMENT ON FUNCTION integration_worker.may_retry(integration.error_reason, boolean, boolean) IS
    'May a sync that failed for this reason be sent again without asking a person?';

CREATE FUNCTION integration_worker.is_limit(fact integration.error_reason, retry_after_s integer) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN fact.error_class = 'rate_limited' OR (fact.retry_hint = 'retry_after' AND retry_after_s IS NOT NULL);
END
$$;
COMMENT ON FUNCTION integration_worker.is_limit(integration.error_reason, integer) IS
    'Did the other side only ask to be left alone for a while? A limit is no failure.';

CREATE FUNCTION integration_worker.effect_of(
        fact integration.error_reason, verdict integration_worker.verdict, retry_after_s integer)
    RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN verdict.ping THEN 'none'
                WHEN fact.breaker = 'trip' THEN 'trip'
                WHEN fact.scope = 'worker' OR integration_worker.is_limit(fact, retry_after_s) THEN 'none'
                WHEN fact.breaker = 'count' THEN 'count'
                WHEN fact.scope = 'sync' AND verdict.http_status IS NOT NULL THEN 'alive'
                ELSE 'none' END;
END
$$;
COMMENT ON FUNCTION integration_worker.effect_of(integration.error_reason, integration_worker.verdict, integer) IS
    'What a failure shows about its endpoint: alive, count, trip or none.';
