-- Which integrations earn their keep: what each brought, what it cost.

INSERT INTO integration.phrase (key, words) VALUES
    ('usage.useless', 'Nothing of what was asked has arrived.'),
    ('usage.unused', 'Nobody has asked for anything.'),
    ('usage.ending', 'It is {status}, and still in use.'),
    ('usage.ended', 'It is {status}, and nobody uses it any more: it can go.'),
    ('usage.troubled', 'It was failing for more than a tenth of the time.');

CREATE FUNCTION integration_worker.usage_since() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN statement_timestamp() - interval '30 days';
COMMENT ON FUNCTION integration_worker.usage_since() IS
    'Where the time begins that integration.usage looks back on.';

CREATE VIEW integration_worker.usage_member AS
SELECT 'endpoint' AS scope, e.name AS subject, e.name AS endpoint, e.id AS endpoint_id, e.connector
  FROM integration.endpoint e
UNION ALL
SELECT 'connector', c.name, e.name, e.id, c.name
  FROM integration.connector c
  LEFT JOIN integration.endpoint e ON e.connector = c.name;
COMMENT ON VIEW integration_worker.usage_member IS
    'Which endpoints each row of integration.usage is about.';

CREATE VIEW integration_worker.usage_volume AS
SELECT m.scope, m.subject, sum(c.syncs) AS syncs, sum(c.delivered) AS delivered, sum(c.failures) AS failures,
       count(DISTINCT nullif(c.customer, '')) AS customers
  FROM integration.sync_count c
  JOIN integration_worker.usage_member m ON m.endpoint = c.endpoint
 WHERE c.day >= (integration_worker.usage_since() AT TIME ZONE 'UTC')::date
 GROUP BY m.scope, m.subject;
COMMENT ON VIEW integration_worker.usage_volume IS
    'What each endpoint and connector sent lately, for how many.';

-- A deed is about an endpoint, or about a sync of it.  By the index action_at.
CREATE VIEW integration_worker.usage_deeds AS
SELECT m.scope, m.subject, count(*) AS actions
  FROM integration.action a
  LEFT JOIN integration_worker.asked o ON o.id = a.outbox_id AND a.endpoint IS NULL
  JOIN integration_worker.usage_member m ON m.endpoint = coalesce(a.endpoint, o.endpoint)
 WHERE a.at >= integration_worker.usage_since() AND a.actor <> 'integration' AND (a.details ? 'table') IS NOT TRUE
 GROUP BY m.scope, m.subject;
COMMENT ON VIEW integration_worker.usage_deeds IS
    'How often people had to do something about each endpoint and connector lately.';

-- Several problems at a time are one time of trouble.
CREATE VIEW integration_worker.usage_trouble AS
SELECT m.scope, m.subject, count(*) AS incidents,
       integration_worker.length_of(range_agg(integration_worker.period(
           greatest(i.opened_at, integration_worker.usage_since()), coalesce(i.resolved_at, statement_timestamp())))) AS time_failing
  FROM integration.incident i
  JOIN integration_worker.usage_member m ON m.endpoint = i.endpoint
 WHERE i.resolved_at IS NULL OR i.resolved_at >= integration_worker.usage_since()
 GROUP BY m.scope, m.subject;
COMMENT ON VIEW integration_worker.usage_trouble IS
    'How often and how long each endpoint and connector had an incident lately.';

CREATE VIEW integration_worker.usage_state AS
SELECT m.scope, m.subject, m.connector, max(h.last_success_at) AS last_success_at,
       bool_or(EXISTS (SELECT FROM integration.queue q WHERE q.endpoint_id = m.endpoint_id AND q.state <> 'failed')
               OR EXISTS (SELECT FROM integration.queue q WHERE q.endpoint_id = m.endpoint_id AND q.state = 'failed')) AS waiting
  FROM integration_worker.usage_member m
  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = m.endpoint_id
 GROUP BY m.scope, m.subject, m.connector;
COMMENT ON VIEW integration_worker.usage_state IS
    'When each endpoint and connector delivered last, whether something waits.';

-- What has been asked just now and is neither counted nor failing stands out by nothing yet.
CREATE FUNCTION integration_worker.usage_finding(status text, asked bigint, arrived boolean, waiting boolean, time_failing interval)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN status <> 'active' AND asked = 0 AND NOT arrived AND NOT waiting THEN 'usage.ended'
                WHEN status <> 'active' THEN 'usage.ending'
                WHEN asked = 0 AND NOT arrived AND NOT waiting THEN 'usage.unused'
                WHEN NOT arrived AND (asked > 0 OR time_failing > interval '1 h') THEN 'usage.useless'
                WHEN time_failing > interval '3 days' THEN 'usage.troubled' END
$$;
COMMENT ON FUNCTION integration_worker.usage_finding(text, bigint, boolean, boolean, interval) IS
    'The phrase for what stands out about an integration; NULL: nothing does.';

CREATE VIEW integration.usage AS
SELECT s.scope, s.connector, CASE s.scope WHEN 'endpoint' THEN s.subject END AS endpoint,
       coalesce(c.status, 'active') AS status,
       integration_worker.owner_of_scope(s.scope, s.subject) AS owner,
       coalesce(v.syncs, 0)::bigint AS syncs, coalesce(v.delivered, 0)::bigint AS delivered,
       round(v.delivered / nullif(v.syncs, 0), 4) AS delivered_share,
       coalesce(v.failures, 0)::bigint AS failures, coalesce(v.customers, 0) AS customers,
       coalesce(s.waiting, false) AS waiting,
       coalesce(t.incidents, 0) AS incidents, coalesce(t.time_failing, interval '0') AS time_failing,
       coalesce(d.actions, 0) AS actions, s.last_success_at,
       integration_worker.say(
           integration_worker.usage_finding(
               coalesce(c.status, 'active'), coalesce(v.syncs, 0)::bigint,
               coalesce(v.delivered > 0 OR s.last_success_at >= integration_worker.usage_since(), false),
               coalesce(s.waiting, false), t.time_failing),
           jsonb_build_object('status', c.status)) AS finding
  FROM integration_worker.usage_state s
  LEFT JOIN integration_worker.usage_volume v ON v.scope = s.scope AND v.subject = s.subject
  LEFT JOIN integration_worker.usage_trouble t ON t.scope = s.scope AND t.subject = s.subject
  LEFT JOIN integration_worker.usage_deeds d ON d.scope = s.scope AND d.subject = s.subject
  LEFT JOIN integration.connector c ON c.name = s.connector;
COMMENT ON VIEW integration.usage IS
    'What each endpoint and each connector brought within 30 days and what it cost, to keep or drop it on evidence. Counts are a few minutes behind.';
COMMENT ON COLUMN integration.usage.scope IS 'What the row is about: endpoint, or connector (all its endpoints together).';
COMMENT ON COLUMN integration.usage.connector IS 'The product; NULL: the endpoint has none.';
COMMENT ON COLUMN integration.usage.endpoint IS 'The endpoint; NULL: the row is about a connector.';
COMMENT ON COLUMN integration.usage.status IS 'Where the connector is in its life: active, deprecated or retired.';
COMMENT ON COLUMN integration.usage.owner IS 'The team, by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.';
COMMENT ON COLUMN integration.usage.syncs IS 'Syncs that came to an end.';
COMMENT ON COLUMN integration.usage.delivered IS 'Those of them that arrived.';
COMMENT ON COLUMN integration.usage.delivered_share IS 'Which share of them that is, 0 to 1; NULL: there were none.';
COMMENT ON COLUMN integration.usage.failures IS 'Failed attempts at them.';
COMMENT ON COLUMN integration.usage.customers IS 'Different customers among them.';
COMMENT ON COLUMN integration.usage.waiting IS 'Something is not finished right now.';
COMMENT ON COLUMN integration.usage.incidents IS 'Incidents that were open.';
COMMENT ON COLUMN integration.usage.time_failing IS 'How long at least one was.';
COMMENT ON COLUMN integration.usage.actions IS 'How often people did something about it: retry, amend, pause, acknowledge, …; changes of tables aside.';
COMMENT ON COLUMN integration.usage.last_success_at IS 'Its last delivery ever, to ten seconds.';
COMMENT ON COLUMN integration.usage.finding IS 'What stands out, in words; NULL: nothing does.';
