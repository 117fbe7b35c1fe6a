-- Promises: what is at risk, how the month went.

INSERT INTO integration.phrase (key, words) VALUES
    ('sla.at_risk', 'Not delivered though four fifths of their time are over: {syncs}; already late: {late}; due first: sync {example} by {due}.'),
    ('sla.many', 'at least {syncs}');

-- The oldest of what is not finished, so many at most.  What was enqueued since the counting came by is in the queue alone.
CREATE FUNCTION integration_worker.clocks_at_risk(now timestamptz, most integer DEFAULT 1000)
    RETURNS TABLE (endpoint_id integer, outbox_id bigint, due_by timestamptz, is_open boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT u.endpoint_id, u.outbox_id, u.due_by, EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = u.outbox_id)
      FROM integration.endpoint e
     CROSS JOIN LATERAL (
           SELECT x.*
             FROM integration_worker.uncounted x
            WHERE x.endpoint_id = e.id AND x.at_risk_from <= clocks_at_risk.now
            ORDER BY x.at_risk_from
            LIMIT most) u
    UNION ALL
    SELECT c.endpoint_id, c.id, c.due_by, true
      FROM (SELECT q.outbox_id
              FROM integration.queue q
             WHERE q.outbox_id > coalesce((SELECT p.counted_to FROM integration_worker.count_progress p), 0)
             ORDER BY q.outbox_id
             LIMIT most) f
     CROSS JOIN LATERAL (SELECT x.* FROM integration_worker.countable x WHERE x.id = f.outbox_id OFFSET 0) c
     WHERE c.at_risk_from <= clocks_at_risk.now;
END
$$;
COMMENT ON FUNCTION integration_worker.clocks_at_risk(timestamptz, integer) IS
    'The syncs whose time is four fifths over, so many of each endpoint, by the index uncounted_at_risk; is_open: it is not finished yet.';

CREATE FUNCTION integration_worker.warn_of_promises(now timestamptz, most integer DEFAULT 1000) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT e.name, count(*) AS looked_at, count(*) FILTER (WHERE r.is_open) AS syncs, sum(o.impact) AS impact,
               count(DISTINCT coalesce(o.customer, e.customer)) FILTER (WHERE r.is_open) AS customers,
               (array_agg(r.outbox_id ORDER BY r.due_by) FILTER (WHERE r.is_open))[1] AS example,
               integration_worker.say('sla.at_risk', jsonb_build_object(
                   'syncs', CASE WHEN count(*) < most THEN (count(*) FILTER (WHERE r.is_open))::text
                                 ELSE integration_worker.say('sla.many', jsonb_build_object('syncs', count(*) FILTER (WHERE r.is_open))) END,
                   'late', count(*) FILTER (WHERE r.is_open AND r.due_by < warn_of_promises.now),
                   'example', (array_agg(r.outbox_id ORDER BY r.due_by) FILTER (WHERE r.is_open))[1],
                   'due', integration_worker.time_words(min(r.due_by) FILTER (WHERE r.is_open)))) AS note
          FROM (SELECT x.* FROM integration_worker.clocks_at_risk(warn_of_promises.now, most) x
                UNION ALL
                SELECT n.id, NULL, NULL, false
                  FROM integration.incident i
                  JOIN integration.endpoint n ON n.name = i.endpoint
                 WHERE i.error_class = 'sla_at_risk' AND i.resolved_at IS NULL) r
          JOIN integration.endpoint e ON e.id = r.endpoint_id
          LEFT JOIN integration.outbox o ON o.id = r.outbox_id AND r.is_open
         GROUP BY e.name
    LOOP
        IF found.syncs > 0 THEN
            PERFORM integration_worker.open_incident(found.name, 'sla_at_risk', warn_of_promises.now, found.note, found.example);
            UPDATE integration.incident i
               SET (syncs, objects, customers, impact, example, note, last_seen_at)
                   = (found.syncs, found.syncs, found.customers, found.impact, found.example, found.note, warn_of_promises.now)
             WHERE i.endpoint = found.name AND i.error_class = 'sla_at_risk' AND i.resolved_at IS NULL
               AND (i.syncs, i.note) IS DISTINCT FROM (found.syncs, found.note);
        -- Where all that were looked at are finished there may be more that are not.
        ELSIF found.looked_at < most THEN
            PERFORM integration_worker.end_incident(found.name, 'sla_at_risk', warn_of_promises.now);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION integration_worker.warn_of_promises(timestamptz, integer) IS
    'Opens, keeps up to date, ends the incidents sla_at_risk.';

CREATE FUNCTION integration_worker.watch_sla(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shortest interval := least((SELECT min(c.sla) FROM integration.connector c), (SELECT min(c.sla) FROM integration.customer c));
BEGIN
    PERFORM integration_worker.note_ids(watch_sla.now);
    PERFORM integration_worker.warn_of_promises(watch_sla.now);
    -- A tenth of the time that is left when a promise comes to be at risk.
    RETURN watch_sla.now + CASE WHEN shortest IS NOT NULL THEN greatest(interval '5 s', shortest * 0.02) END;
END
$$;
COMMENT ON FUNCTION integration_worker.watch_sla(timestamptz) IS
    'Warns of promises at risk; returns when to look again, sooner where promises are short.';

-- The report.

CREATE VIEW integration.sla_report AS
SELECT CASE r.level WHEN 0 THEN 'connector and customer' WHEN 1 THEN 'connector' WHEN 2 THEN 'customer' ELSE 'all' END AS scope,
       r.month, r.connector, nullif(r.customer, '') AS customer, u.tier,
       coalesce(w.owner, c.owner, u.owner) AS owner,
       r.promised, r.in_time, r.missed, r.missed_by_customer, r.missed_by_vendor,
       r.missed - r.missed_by_customer - r.missed_by_vendor AS missed_by_us,
       round(r.in_time::numeric / nullif(r.promised, 0), 5) AS in_time_share,
       round(1 - r.budget / nullif(r.promised, 0), 5) AS objective,
       round(r.budget, 2) AS budget,
       round(r.budget - r.charged, 2) AS budget_left,
       round(r.charged / nullif(r.budget, 0), 3) AS budget_used,
       round(r.charged_lately / nullif(r.budget_lately, 0), 3) AS burn_rate,
       r.impact_missed
  FROM (SELECT grouping(s.connector, s.customer) AS level, s.month, s.connector, s.customer,
               sum(s.promised) AS promised, sum(s.in_time) AS in_time, sum(s.missed) AS missed,
               sum(s.missed_by_customer) AS missed_by_customer, sum(s.missed_by_vendor) AS missed_by_vendor,
               sum(s.impact_missed) AS impact_missed,
               sum(s.budget) AS budget, sum(s.charged) AS charged,
               sum(s.budget) FILTER (WHERE s.is_recent) AS budget_lately, sum(s.charged) FILTER (WHERE s.is_recent) AS charged_lately
          FROM (SELECT date_trunc('month', d.day)::date AS month, d.connector, d.customer, d.in_time, d.missed,
                       d.missed_by_customer, d.missed_by_vendor, d.impact_missed, d.in_time + d.missed AS promised,
                       (d.in_time + d.missed) * (1 - coalesce(c.objective, 0.9999)) AS budget,
                       d.missed - d.missed_by_customer AS charged,
                       d.day >= (statement_timestamp() AT TIME ZONE 'UTC')::date - 1 AS is_recent
                  FROM integration.sync_count d
                  LEFT JOIN integration.connector c ON c.name = d.connector
                 WHERE d.in_time + d.missed > 0) s
         GROUP BY GROUPING SETS ((s.month, s.connector, s.customer), (s.month, s.connector), (s.month, s.customer), (s.month))) r
  LEFT JOIN integration.connector c ON c.name = r.connector
  LEFT JOIN integration.customer u ON u.name = r.customer
  LEFT JOIN LATERAL integration_worker.ruled_owner(r.connector, NULL, nullif(r.customer, ''), NULL, NULL) w ON true;
COMMENT ON VIEW integration.sla_report IS
    'Promises by month (UTC): for each connector and customer, each connector, each customer, all. Kept for 25 months, a few minutes behind; what ended without a promise isn''t in it.';
COMMENT ON COLUMN integration.sla_report.scope IS 'What the row is about: "connector and customer", "connector", "customer" or "all".';
COMMENT ON COLUMN integration.sla_report.month IS 'The first day of the month in which the syncs were due to be sent.';
COMMENT ON COLUMN integration.sla_report.connector IS 'The product; NULL: the row is about all, or its endpoint has none.';
COMMENT ON COLUMN integration.sla_report.customer IS 'The customer; NULL: the row is about all, or the syncs were nobody''s.';
COMMENT ON COLUMN integration.sla_report.tier IS 'The customer''s tier.';
COMMENT ON COLUMN integration.sla_report.owner IS 'The team, by integration.owner_rule, else the connector''s, the customer''s.';
COMMENT ON COLUMN integration.sla_report.promised IS 'Syncs with a promise that was kept or broken.';
COMMENT ON COLUMN integration.sla_report.in_time IS 'Those that were delivered in time.';
COMMENT ON COLUMN integration.sla_report.missed IS 'Those that were not, finished or not.';
COMMENT ON COLUMN integration.sla_report.missed_by_customer IS 'Those of them whose last failure, or what was wrong with their endpoint, was the customer''s to mend: error_reason.responsible.';
COMMENT ON COLUMN integration.sla_report.missed_by_vendor IS 'Those of them whose last failure, or what was wrong with their endpoint, was the other system''s to mend.';
COMMENT ON COLUMN integration.sla_report.missed_by_us IS 'The others: our own data, settings, network; those that were paused, or waited for nothing but their turn.';
COMMENT ON COLUMN integration.sla_report.in_time_share IS 'in_time of promised, 0 to 1.';
COMMENT ON COLUMN integration.sla_report.objective IS 'The share that should be delivered in time: connector.objective, of several weighted by what was promised.';
COMMENT ON COLUMN integration.sla_report.budget IS 'The error budget: how many of those promised so far may be missed by the objective.';
COMMENT ON COLUMN integration.sla_report.budget_left IS 'What is left of it; what the customer''s own data caused isn''t charged. Below 0: overspent.';
COMMENT ON COLUMN integration.sla_report.budget_used IS 'The used share of it; above 1: overspent.';
COMMENT ON COLUMN integration.sla_report.burn_rate IS 'How fast it is being used today and yesterday: 1 just uses it up, 10 ten times as much. NULL: nothing was promised in these days.';
COMMENT ON COLUMN integration.sla_report.impact_missed IS 'Sum of the impact of what was missed, in the application''s unit.';
