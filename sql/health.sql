-- How endpoints do: health, incidents, pauses, what people did.

CREATE TABLE integration.endpoint_health (
    endpoint_id integer PRIMARY KEY,
    state text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open', 'stopped')),
    since timestamptz NOT NULL DEFAULT now(),
    open_until timestamptz,
    openings integer NOT NULL DEFAULT 0,
    retry_after_until timestamptz,
    "window" integer,
    failures integer NOT NULL DEFAULT 0,
    tripped_by bigint,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_reason text,
    last_error text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    failing_since timestamptz,
    stopped_for text
) WITH (fillfactor = 50);
COMMENT ON TABLE integration.endpoint_health IS
    'One row for each endpoint that was called: its breaker. Written on a change of state, otherwise at most every ten seconds; use integration.endpoint_status.';
COMMENT ON COLUMN integration.endpoint_health.endpoint_id IS 'endpoint.id.';
COMMENT ON COLUMN integration.endpoint_health.state IS
    'closed (calls flow), open (too many failures, waits until open_until), stopped (cannot work until somebody acts; probed seldom). That one probe of an open one is out, half_open, says endpoint_status alone.';
COMMENT ON COLUMN integration.endpoint_health.since IS 'Since when it is in this state.';
COMMENT ON COLUMN integration.endpoint_health.open_until IS 'When the next probe may leave, while open or stopped.';
COMMENT ON COLUMN integration.endpoint_health.openings IS 'Probes that failed in a row since it opened or stopped, plus one; 0 when closed.';
COMMENT ON COLUMN integration.endpoint_health.retry_after_until IS 'The other side asked to be left alone until then.';
COMMENT ON COLUMN integration.endpoint_health."window" IS 'How many at once, when this row was written.';
COMMENT ON COLUMN integration.endpoint_health.failures IS 'Countable failures in a row, when this row was written.';
COMMENT ON COLUMN integration.endpoint_health.tripped_by IS 'The sync whose attempt stopped the endpoint.';
COMMENT ON COLUMN integration.endpoint_health.last_success_at IS 'Last delivery, to ten seconds.';
COMMENT ON COLUMN integration.endpoint_health.last_failure_at IS 'Last failure, to ten seconds.';
COMMENT ON COLUMN integration.endpoint_health.last_reason IS 'Reason of the last failure.';
COMMENT ON COLUMN integration.endpoint_health.last_error IS 'Details of the last failure.';
COMMENT ON COLUMN integration.endpoint_health.updated_at IS 'When this row was written.';
COMMENT ON COLUMN integration.endpoint_health.failing_since IS
    'The first failure since the last delivery, to ten seconds, without times of pause; NULL: none.';
COMMENT ON COLUMN integration.endpoint_health.stopped_for IS
    'The error class that it is stopped for where no single failure is the cause, such as design_fault; NULL: last_reason says it.';

CREATE TABLE integration.incident (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint text NOT NULL,
    error_class text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'snoozed', 'resolved', 'ignored')),
    severity smallint NOT NULL DEFAULT 3,
    owner text,
    responsible text,
    remedy text,
    opened_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    resolved_at timestamptz,
    assignee text,
    syncs bigint NOT NULL DEFAULT 0,
    objects bigint NOT NULL DEFAULT 0,
    customers bigint NOT NULL DEFAULT 0,
    impact numeric,
    example bigint,
    note text,
    snoozed_until timestamptz,
    reopened integer NOT NULL DEFAULT 0,
    resolved_by name,
    resolution text,
    worked boolean,
    fingerprint text GENERATED ALWAYS AS (endpoint || ':' || error_class) STORED,
    level integer NOT NULL DEFAULT 0,
    escalated_at timestamptz,
    open_since timestamptz,
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK (state <> 'snoozed' OR snoozed_until IS NOT NULL)
);
-- One open problem for each endpoint and error class.
CREATE UNIQUE INDEX incident_open ON integration.incident (endpoint, error_class) WHERE resolved_at IS NULL;
-- Serves the look for one that comes back, and what helped before.
CREATE INDEX incident_resolved ON integration.incident (error_class, endpoint, resolved_at) WHERE resolved_at IS NOT NULL;

COMMENT ON TABLE integration.incident IS 'An open problem that groups failures: one endpoint and one error class.';
COMMENT ON COLUMN integration.incident.id IS 'Its number; 0: the database is a copy.';
COMMENT ON COLUMN integration.incident.endpoint IS 'The endpoint''s name; empty: all of them (a copied database).';
COMMENT ON COLUMN integration.incident.error_class IS 'The error class.';
COMMENT ON COLUMN integration.incident.state IS 'open, acknowledged, snoozed, resolved or ignored.';
COMMENT ON COLUMN integration.incident.severity IS '1 (worst) to 4, from the connector.';
COMMENT ON COLUMN integration.incident.owner IS 'The team.';
COMMENT ON COLUMN integration.incident.responsible IS 'The party: customer, support, engineering, operations or remote_vendor.';
COMMENT ON COLUMN integration.incident.remedy IS 'What to do, in plain words.';
COMMENT ON COLUMN integration.incident.opened_at IS 'When it was opened.';
COMMENT ON COLUMN integration.incident.last_seen_at IS 'When a failure was last added, to ten seconds.';
COMMENT ON COLUMN integration.incident.acknowledged_at IS 'When somebody took it.';
COMMENT ON COLUMN integration.incident.resolved_at IS 'When it ended.';
COMMENT ON COLUMN integration.incident.assignee IS 'Who took it.';
COMMENT ON COLUMN integration.incident.syncs IS 'Failures counted into it.';
COMMENT ON COLUMN integration.incident.objects IS 'Different business objects among them.';
COMMENT ON COLUMN integration.incident.customers IS 'Different customers among them.';
COMMENT ON COLUMN integration.incident.impact IS 'Sum of the syncs'' impact.';
COMMENT ON COLUMN integration.incident.example IS 'A sync that shows it.';
COMMENT ON COLUMN integration.incident.note IS 'What people wrote.';
COMMENT ON COLUMN integration.incident.snoozed_until IS 'Nobody is bothered until then; NULL: it is not snoozed.';
COMMENT ON COLUMN integration.incident.reopened IS 'How often it came back within a day of its end.';
COMMENT ON COLUMN integration.incident.resolved_by IS 'The database user who resolved it; NULL: it ended by itself.';
COMMENT ON COLUMN integration.incident.resolution IS 'What was done about it, in the words of those who did.';
COMMENT ON COLUMN integration.incident.worked IS 'Whether that helped; NULL: nobody did or said anything.';
COMMENT ON COLUMN integration.incident.fingerprint IS 'What makes two failures the same problem: endpoint:error_class.';
COMMENT ON COLUMN integration.incident.level IS 'How far it has climbed because nobody looks after it: a level of integration.escalation_level; 0: not at all.';
COMMENT ON COLUMN integration.incident.escalated_at IS 'When it climbed last.';
COMMENT ON COLUMN integration.incident.open_since IS 'Since when it is open, where it was not all the time since opened_at.';

CREATE TABLE integration.pause (
    scope text NOT NULL CHECK (scope IN ('all', 'connector', 'endpoint', 'customer')),
    name text NOT NULL DEFAULT '',
    reason text NOT NULL,
    actor name NOT NULL DEFAULT session_user,
    since timestamptz NOT NULL DEFAULT now(),
    until timestamptz,
    error_class text,
    PRIMARY KEY (scope, name)
);
COMMENT ON TABLE integration.pause IS
    'Kill switches in force: they hold sending, never enqueueing. Written by integration.pause() and integration.resume().';
COMMENT ON COLUMN integration.pause.scope IS 'all, connector, endpoint or customer.';
COMMENT ON COLUMN integration.pause.name IS 'Which one; empty for all, unless the database is a copy (copied_database).';
COMMENT ON COLUMN integration.pause.reason IS 'Why.';
COMMENT ON COLUMN integration.pause.actor IS 'Who.';
COMMENT ON COLUMN integration.pause.since IS 'Since when.';
COMMENT ON COLUMN integration.pause.until IS 'Until when; NULL: until resume().';
COMMENT ON COLUMN integration.pause.error_class IS
    'For what the endpoint has paused itself, such as gone; NULL: somebody has paused it.';

CREATE TABLE integration.action (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor name NOT NULL DEFAULT session_user,
    verb text NOT NULL,
    outbox_id bigint,
    endpoint text,
    incident bigint,
    reason text,
    details jsonb
);
-- Serves timeline(), and retention, which asks what was touched since.
CREATE INDEX action_outbox ON integration.action (outbox_id, at) WHERE outbox_id IS NOT NULL;
-- Serves the end of an incident, which asks what people did while it was open.
CREATE INDEX action_at ON integration.action (at);
-- Serves integration.sla_clock(): when what was paused.
CREATE INDEX action_switch ON integration.action (at) WHERE verb IN ('pause', 'resume');

COMMENT ON TABLE integration.action IS 'What people did, with who and why.';
COMMENT ON COLUMN integration.action.id IS 'Its number.';
COMMENT ON COLUMN integration.action.at IS 'When.';
COMMENT ON COLUMN integration.action.actor IS 'The database user of the session.';
COMMENT ON COLUMN integration.action.verb IS 'retry, cancel, amend, pause, resume, replay, ping, adopt; of incidents acknowledge, assign, snooze, ignore, reopen, resolve, escalate; of tables insert, update, delete; of roles grant, revoke.';
COMMENT ON COLUMN integration.action.outbox_id IS 'The sync it touched.';
COMMENT ON COLUMN integration.action.endpoint IS 'The endpoint it touched.';
COMMENT ON COLUMN integration.action.incident IS 'The incident it touched.';
COMMENT ON COLUMN integration.action.reason IS 'Why, in the actor''s words.';
COMMENT ON COLUMN integration.action.details IS 'What else there is to know: how many, before and after.';
