-- What a failure means: error classes, reasons.

CREATE TABLE integration.error_class (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]*$' AND name <> 'delivered'),
    title text NOT NULL,
    remedy text NOT NULL,
    customer_message text NOT NULL,
    shipped boolean NOT NULL DEFAULT true,
    responsible text CHECK (responsible IN ('customer', 'support', 'engineering', 'operations', 'remote_vendor')),
    is_watched boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE integration.error_class IS
    'What a reason means: a label to group failures by; it decides nothing. Own classes may be added for integration.error_rule.';
COMMENT ON COLUMN integration.error_class.name IS 'What error_reason, error_rule, attempt and incident refer to.';
COMMENT ON COLUMN integration.error_class.title IS 'The class in a few words, for headings.';
COMMENT ON COLUMN integration.error_class.remedy IS 'What helps in general; the remedy of the reason is more exact.';
COMMENT ON COLUMN integration.error_class.customer_message IS 'What may be shown to the customer.';
COMMENT ON COLUMN integration.error_class.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';
COMMENT ON COLUMN integration.error_class.responsible IS
    'Who can do something about it in general; the reason says it more exactly. NULL: nobody has to.';
COMMENT ON COLUMN integration.error_class.is_watched IS
    'Its incidents are opened and ended by a watchdog, not by results: a delivery ends none of them.';

CREATE TABLE integration.error_reason (
    reason text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('curl', 'curl_multi', 'http', 'http_unofficial', 'http_range', 'internal')),
    code text NOT NULL,
    name text NOT NULL,
    since text,
    condition text,
    error_class text NOT NULL REFERENCES integration.error_class ON UPDATE CASCADE,
    remote_state text NOT NULL CHECK (remote_state IN ('not_reached', 'refused', 'unknown', 'done')),
    retryable text NOT NULL CHECK (retryable IN ('yes', 'if_idempotent', 'once', 'no', 'n/a')),
    retry_hint text NOT NULL
        CHECK (retry_hint IN ('backoff', 'retry_after', 'refresh_token', 'reconnect', 'slow', 'none')),
    scope text NOT NULL CHECK (scope IN ('sync', 'endpoint', 'worker', 'none')),
    breaker text NOT NULL CHECK (breaker IN ('count', 'trip', 'ignore')),
    concurrency text NOT NULL CHECK (concurrency IN ('decrease', 'neutral')),
    category text CHECK (category IN ('user_data', 'unsupported_data', 'integration_design',
                                      'application_failure', 'infrastructure_failure')),
    responsible text CHECK (responsible IN ('customer', 'support', 'engineering', 'operations', 'remote_vendor')),
    span_error_type text,
    remedy text NOT NULL,
    notes text,
    shipped boolean NOT NULL DEFAULT true,
    pauses boolean NOT NULL DEFAULT false,
    -- What may have been done must not be done again without asking whether that is harmless.
    CHECK (retryable NOT IN ('yes', 'once') OR remote_state NOT IN ('unknown', 'done'))
);
-- Serves the foreign key when a class is renamed or deleted.
CREATE INDEX error_reason_class ON integration.error_reason (error_class);

COMMENT ON TABLE integration.error_reason IS
    'Everything that can happen to an attempt: each code of libcurl, each HTTP status, our own conditions. These columns decide what comes next.';
COMMENT ON COLUMN integration.error_reason.reason IS 'What attempt.reason says, such as http:503 or curl:28:response.';
COMMENT ON COLUMN integration.error_reason.kind IS
    'curl, curl_multi, http (registered status), http_unofficial, http_range (any other status of that hundred) or internal.';
COMMENT ON COLUMN integration.error_reason.code IS 'The number or name in its kind.';
COMMENT ON COLUMN integration.error_reason.name IS 'Its official name.';
COMMENT ON COLUMN integration.error_reason.since IS 'Version or document that defines it.';
COMMENT ON COLUMN integration.error_reason.condition IS 'What tells it from other reasons of the same code; NULL: the code is enough.';
COMMENT ON COLUMN integration.error_reason.error_class IS 'The error class it belongs to.';
COMMENT ON COLUMN integration.error_reason.remote_state IS
    'What the other system did with the request: not_reached, refused, unknown or done.';
COMMENT ON COLUMN integration.error_reason.retryable IS
    'yes, if_idempotent (only where endpoint.idempotent), once (not if it happens twice in a row), no, n/a.';
COMMENT ON COLUMN integration.error_reason.retry_hint IS
    'backoff (the retry policy), retry_after (when the other side says so), slow (not before 10 min), refresh_token, reconnect or none.';
COMMENT ON COLUMN integration.error_reason.scope IS
    'Whose problem it is: sync, endpoint, worker (ours; never counted against the sync) or none.';
COMMENT ON COLUMN integration.error_reason.breaker IS
    'count (opens the breaker when there are many), trip (stops the endpoint at once) or ignore.';
COMMENT ON COLUMN integration.error_reason.concurrency IS 'decrease (send less at once) or neutral.';
COMMENT ON COLUMN integration.error_reason.category IS
    'user_data, unsupported_data, integration_design, application_failure or infrastructure_failure; NULL: no failure.';
COMMENT ON COLUMN integration.error_reason.responsible IS
    'Who can do something about it: customer, support, engineering, operations or remote_vendor; NULL: nobody has to.';
COMMENT ON COLUMN integration.error_reason.span_error_type IS
    'OpenTelemetry error.type of the span; <code>: the HTTP status.';
COMMENT ON COLUMN integration.error_reason.remedy IS 'What to do, in plain words.';
COMMENT ON COLUMN integration.error_reason.notes IS 'What engineering should know.';
COMMENT ON COLUMN integration.error_reason.pauses IS
    'The endpoint pauses itself until somebody resumes it, unless its url holds {object_id} or {remote_id}; only where breaker is trip.';
COMMENT ON COLUMN integration.error_reason.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

-- What the user made or changed is carried by a dump; when that is restored it takes the place of the row that CREATE
-- EXTENSION has just made anew.
CREATE FUNCTION integration_worker.own_row() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    NEW.shipped := false;
    IF TG_OP = 'INSERT' THEN
        EXECUTE format('DELETE FROM %I.%I t WHERE t.shipped AND %s', TG_TABLE_SCHEMA, TG_TABLE_NAME,
                       (SELECT string_agg(format('t.%1$I = $1.%1$I', k.name), ' AND ') FROM unnest(TG_ARGV) AS k (name)))
          USING NEW;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.own_row() IS
    'Row trigger, its arguments the columns of the key: marks rows that the user made or changed; an inserted one takes the place of the shipped one.';

-- Reasons refer to it, so the shipped row stays and takes the texts over.
CREATE FUNCTION integration_worker.own_error_class() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.shipped := false;
    UPDATE integration.error_class c
       SET (title, remedy, customer_message, responsible)
           = (NEW.title, NEW.remedy, NEW.customer_message, coalesce(NEW.responsible, c.responsible))
     WHERE c.name = NEW.name AND c.shipped;
    RETURN CASE WHEN FOUND THEN NULL ELSE NEW END;
END
$$;
COMMENT ON FUNCTION integration_worker.own_error_class() IS
    'Row trigger: a class that is inserted gives its texts to the shipped one of its name.';
