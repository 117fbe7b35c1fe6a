-- The status page of those who run this: what is wrong now, what to do, how it went.

CREATE FUNCTION integration_worker.page_tiles(
        endpoints integration.endpoint_status[], hours integration_worker.hour_figures[], incidents bigint)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<dl class="tiles">%s</dl>', concat(
               integration_worker.html_tile('delivered', 'Delivered, 24 h', integration_worker.html_number(h.delivered)),
               integration_worker.html_tile('attempts_failed', 'Attempts failed, 24 h', integration_worker.html_number(h.failed),
                                            CASE WHEN h.failed > h.delivered THEN 'warning' ELSE '' END),
               integration_worker.html_tile('backlog', 'Waiting to be sent', integration_worker.html_number(e.backlog)),
               integration_worker.html_tile('oldest', 'Oldest is due for',
                                            integration_worker.html_age(statement_timestamp() - e.oldest_due_at)),
               integration_worker.html_tile('failed', 'Waiting for a person', integration_worker.html_number(e.failed),
                                            CASE WHEN e.failed > 0 THEN 'critical' ELSE 'ok' END),
               integration_worker.html_tile('incidents', 'Open incidents', integration_worker.html_number(incidents),
                                            CASE WHEN incidents > 0 THEN 'critical' ELSE 'ok' END)))
      FROM (SELECT coalesce(sum(x.backlog), 0) AS backlog, coalesce(sum(x.failed), 0) AS failed, min(x.oldest_due_at) AS oldest_due_at
              FROM unnest(endpoints) x) e
     CROSS JOIN (SELECT sum(x.delivered) AS delivered, sum(x.failed) AS failed FROM unnest(hours) x) h
$$;
COMMENT ON FUNCTION integration_worker.page_tiles(integration.endpoint_status[], integration_worker.hour_figures[], bigint) IS
    'The most important figures.';

CREATE FUNCTION integration_worker.page_fact(label text, content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<dt>%s</dt><dd>%s</dd>', label, content)
$$;
COMMENT ON FUNCTION integration_worker.page_fact(text, text) IS 'A line of a list of facts; its content is HTML already.';

CREATE FUNCTION integration_worker.page_incident(incident integration.incident_status) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<article class="problem %s"><h3>%s %s</h3><p class="soft">Incident %s, %s since %s (%s); failures: %s, objects: %s%s%s</p>'
                  '<p><strong>What to do:</strong> %s</p><dl class="facts">%s</dl></article>',
        CASE WHEN incident.severity <= 2 THEN 'critical' ELSE 'warning' END,
        concat_ws(' at ', integration_worker.html_name(incident.title), integration_worker.html_name(nullif(incident.endpoint, ''))),
        format('<span class="badge %s">severity %s</span>', CASE WHEN incident.severity <= 2 THEN 'critical' ELSE 'warning' END, incident.severity),
        incident.id, incident.state, integration_worker.html_time(incident.opened_at), integration_worker.html_age(incident.age),
        integration_worker.html_number(incident.syncs), integration_worker.html_number(incident.objects),
        CASE WHEN incident.waiting > 0 THEN format(', waiting for a person: %s', integration_worker.html_number(incident.waiting)) END,
        CASE WHEN incident.level > 0 THEN format('; nobody looks after it, level %s since %s', incident.level, integration_worker.html_time(incident.escalated_at)) END,
        coalesce(integration_worker.html(incident.remedy), 'nothing is known to help yet.'),
        concat(integration_worker.page_fact('Helped before', integration_worker.html(incident.worked_before)),
               integration_worker.page_fact('Responsible', integration_worker.html_name(replace(incident.responsible, '_', ' '))),
               integration_worker.page_fact('Owner', coalesce(integration_worker.html_name(coalesce(incident.assignee, incident.owner)),
                                                              'nobody: set owner of its endpoint or connector')),
               integration_worker.page_fact('At stake', integration_worker.html_number(incident.impact)),
               integration_worker.page_fact('Example', format('sync %s %s: %s', incident.example,
                   integration_worker.html_name(concat_ws(' ', incident.object_type, incident.object_id)),
                   integration_worker.html(left(coalesce(incident.error, 'no details'), 300)))),
               integration_worker.page_fact('Contact', integration_worker.html_name(incident.contact)),
               integration_worker.page_fact('Runbook', integration_worker.html_link(incident.runbook_url)),
               integration_worker.page_fact('Note', integration_worker.html(left(incident.note, 300))),
               integration_worker.page_fact('Step by step', format('<code>%s</code>', integration_worker.html(incident.next_step)))))
$$;
COMMENT ON FUNCTION integration_worker.page_incident(integration.incident_status) IS 'An open incident with what to do, who does it.';

-- Pauses, a missing worker: what holds syncs back and is no failure.
CREATE FUNCTION integration_worker.page_holds(endpoints integration.endpoint_status[], is_whole boolean, has_worker boolean) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(
        CASE WHEN NOT has_worker THEN
             '<article class="problem critical"><h3>No worker sends</h3><p><strong>What to do:</strong> '
             '<code>SELECT why FROM integration.health();</code></p></article>' END,
        (SELECT string_agg(format(
                    '<article class="problem warning"><h3>%s paused</h3><p>%s, by %s since %s, until %s.</p></article>',
                    CASE p.scope WHEN 'all' THEN 'Everything is' ELSE format('%s %s is', initcap(p.scope), integration_worker.html_name(p.name)) END,
                    integration_worker.html(p.reason), integration_worker.html_name(p.actor), integration_worker.html_time(p.since),
                    coalesce(integration_worker.html_time(p.until), format('somebody runs <code>%s</code>', integration_worker.html(
                        format('SELECT integration.resume(%L%s);', p.scope, ', ' || quote_literal(nullif(p.name, ''))))))), '' ORDER BY p.since)
           FROM integration_worker.pause_in_force p
          WHERE (p.scope = 'all' AND p.name = '')
             OR (is_whole AND p.scope <> 'all')
             OR EXISTS (SELECT FROM unnest(endpoints) e
                         WHERE (p.scope, p.name) IN (('endpoint', e.name), ('connector', e.connector), ('customer', e.customer)))))
$$;
COMMENT ON FUNCTION integration_worker.page_holds(integration.endpoint_status[], boolean, boolean) IS
    'What holds syncs back and is nobody''s failure: pauses, no worker.';

-- Worst first, as the view lists them; a page is no place for hundreds.
CREATE FUNCTION integration_worker.page_problems(names text[], holds text, count_of bigint) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<section id="problems"><h2>What is wrong now</h2>',
                  coalesce(nullif(concat(holds, string_agg(integration_worker.page_incident(i.incident), '')), ''),
                           '<p class="ok">Nothing. No incident is open, nothing is paused.</p>'),
                  CASE WHEN count_of > 30 THEN
                       format('<p>And %s more: <code>SELECT * FROM integration.incident_status;</code></p>', count_of - 30) END,
                  '</section>')
      FROM (SELECT s AS incident
              FROM integration.incident_status s
             WHERE names IS NULL OR s.endpoint = ANY (names)
             LIMIT 30) i
$$;
COMMENT ON FUNCTION integration_worker.page_problems(text[], text, bigint) IS 'The section about what is wrong.';

CREATE FUNCTION integration_worker.page_endpoint(
        endpoint integration.endpoint_status, traffic integration.traffic[], since timestamptz)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<tr>',
        integration_worker.html_cell('Endpoint', concat(integration_worker.html_name(endpoint.name),
            '<div class="soft">' || integration_worker.html_name(concat_ws(', ', endpoint.connector, endpoint.customer)) || '</div>')),
        integration_worker.html_cell('State', CASE
            WHEN endpoint.blocked_by IN ('paused', 'stopped') THEN format('<span class="badge critical">%s</span>', endpoint.blocked_by)
            WHEN endpoint.blocked_by IN ('open', 'retry_after') THEN
                 format('<span class="badge warning">%s</span>', replace(endpoint.blocked_by, '_', ' '))
            ELSE '<span class="badge ok">sending</span>' END),
        integration_worker.html_cell('24 hours', integration_worker.spark(
            array_agg(h.delivered ORDER BY h.hour), array_agg(h.failed ORDER BY h.hour),
            format('%s delivered, %s failed', integration_worker.html_number(sum(h.delivered)), integration_worker.html_number(sum(h.failed))))),
        integration_worker.html_cell('Success, last hour', round(100 * endpoint.success_share_last_hour, 1) || ' %', 'n'),
        integration_worker.html_cell('p95', integration_worker.html_duration((integration_worker.percentile_of(traffic, 0.95))), 'n'),
        integration_worker.html_cell('Waiting', integration_worker.html_number(endpoint.backlog), 'n'),
        integration_worker.html_cell('Oldest due', integration_worker.html_age(statement_timestamp() - endpoint.oldest_due_at), 'n'),
        integration_worker.html_cell('Failed', CASE WHEN endpoint.failed > 0 THEN
            format('<strong class="critical">%s</strong>', integration_worker.html_number(endpoint.failed)) ELSE '0' END, 'n'),
        integration_worker.html_cell('Owner', integration_worker.html_name(endpoint.owner)), '</tr>')
      FROM (SELECT g.hour, coalesce(sum(t.delivered), 0)::bigint AS delivered, coalesce(sum(t.failed), 0)::bigint AS failed
              FROM generate_series(since, since + interval '23 hours', interval '1 hour') AS g (hour)
              LEFT JOIN unnest(traffic) t ON t.hour = g.hour
             GROUP BY 1) h
$$;
COMMENT ON FUNCTION integration_worker.page_endpoint(integration.endpoint_status, integration.traffic[], timestamptz) IS
    'A row of the table of endpoints; traffic: its own.';

CREATE FUNCTION integration_worker.page_endpoints(
        endpoints integration.endpoint_status[], traffic integration.traffic[], since timestamptz)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<section id="endpoints"><h2>Endpoints</h2>', integration_worker.html_table('endpoint_table',
               'What needs somebody first; the bars are attempts by hour.',
               '{Endpoint,State,24 hours,">Success, last hour",>p95,>Waiting,>Oldest due,>Failed,Owner}',
               string_agg(integration_worker.page_endpoint(e.endpoint, e.traffic, since), '' ORDER BY e.n)
                   FILTER (WHERE e.n <= 100)),
               CASE WHEN count(*) > 100 THEN
                    format('<p>And %s more: <code>SELECT * FROM integration.endpoint_status;</code></p>', count(*) - 100) END,
               '</section>')
      FROM (SELECT x AS endpoint, t.traffic,
                   row_number() OVER (ORDER BY x.failed DESC, x.blocked_by IN ('paused', 'stopped', 'open') DESC NULLS LAST,
                                               x.oldest_due_at, x.attempts_last_hour DESC, x.name) AS n
              FROM unnest(endpoints) x
              JOIN integration.endpoint e ON e.name = x.name
              LEFT JOIN (SELECT u.endpoint_id, array_agg(u) AS traffic
                           FROM unnest(traffic) u
                          GROUP BY 1) t ON t.endpoint_id = e.id) e
$$;
COMMENT ON FUNCTION integration_worker.page_endpoints(integration.endpoint_status[], integration.traffic[], timestamptz) IS
    'The section about endpoints, worst first.';

-- Ten thousand of them are enough to know that there are too many.
CREATE FUNCTION integration_worker.page_sla(names text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<section id="sla"><h2>Promises</h2>', integration_worker.html_table('sla_table',
               'Syncs that are not delivered yet, against the time that their customer or connector is promised, and this month so far.',
               '{Connector,Promise,>Not delivered,>At risk,>Too late,>Longest over,>In time this month,>Misses left}',
               string_agg(concat('<tr>', integration_worker.html_cell('Connector', integration_worker.html_name(c.name)),
                   integration_worker.html_cell('Promise', 'within ' || integration_worker.duration_words(c.sla)),
                   integration_worker.html_cell('Not delivered', integration_worker.html_number(o.unfinished)
                                                                 || CASE WHEN o.unfinished = 10000 THEN ' or more' ELSE '' END, 'n'),
                   integration_worker.html_cell('At risk', integration_worker.html_number(o.at_risk), 'n'),
                   integration_worker.html_cell('Too late', integration_worker.html_number(o.late), 'n'),
                   integration_worker.html_cell('Longest over', integration_worker.html_age(o.longest), 'n'),
                   integration_worker.html_cell('In time this month', round(100 * r.in_time_share, 2) || ' %', 'n'),
                   integration_worker.html_cell('Misses left', trunc(r.budget_left)::text, 'n'), '</tr>'),
                   '' ORDER BY o.late DESC, o.at_risk DESC, c.name)), '</section>')
      FROM integration.connector c
     CROSS JOIN LATERAL (
           SELECT count(*) AS unfinished,
                  count(*) FILTER (WHERE s.due < statement_timestamp()) AS late,
                  count(*) FILTER (WHERE s.due >= statement_timestamp()
                                     AND (s.state = 'failed' OR s.due_at > s.due OR s.due - s.sla * 0.2 <= statement_timestamp())) AS at_risk,
                  statement_timestamp() - min(s.due) FILTER (WHERE s.due < statement_timestamp()) AS longest
             FROM (SELECT greatest(o.send_after, o.created_at) + coalesce(u.sla, c.sla) AS due, coalesce(u.sla, c.sla) AS sla, q.state, q.due_at
                     FROM integration.endpoint e
                     JOIN integration.queue q ON q.endpoint_id = e.id
                     JOIN integration.outbox o ON o.id = q.outbox_id
                     LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, e.customer)
                    WHERE coalesce(u.sla, c.sla) IS NOT NULL
                      AND e.connector = c.name
                      AND (names IS NULL OR e.name = ANY (names))
                    LIMIT 10000) s) o
      LEFT JOIN integration.sla_report r
        ON r.scope = 'connector'
       AND r.month = date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date
       AND r.connector = c.name
     WHERE (c.sla IS NOT NULL OR o.unfinished > 0 OR r.promised > 0)
       AND EXISTS (SELECT FROM integration.endpoint e WHERE e.connector = c.name AND (names IS NULL OR e.name = ANY (names)))
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION integration_worker.page_sla(text[]) IS 'The section about promises; NULL: nobody made any.';

CREATE FUNCTION integration_worker.page_ended(names text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<section id="ended"><h2>What was wrong in the last seven days</h2>',
               CASE WHEN count(*) = 0 THEN '<p>Nothing that is over by now.</p>'
                    ELSE integration_worker.html_table('ended_table', 'The latest twenty incidents that are over.',
               '{Incident,Endpoint,From,Lasted,>Failures,Ended}',
               string_agg(concat('<tr>', integration_worker.html_cell('Incident', integration_worker.html_name(i.title)),
                   integration_worker.html_cell('Endpoint', integration_worker.html_name(i.endpoint)),
                   integration_worker.html_cell('From', integration_worker.html_time(i.opened_at)),
                   integration_worker.html_cell('Lasted', integration_worker.html_age(i.resolved_at - i.opened_at)),
                   integration_worker.html_cell('Failures', integration_worker.html_number(i.syncs), 'n'),
                   integration_worker.html_cell('Ended', coalesce(
                       integration_worker.html(left(i.resolution, 200)), 'by ' || integration_worker.html_name(i.resolved_by), 'by itself')), '</tr>'),
                   '' ORDER BY i.resolved_at DESC)) END, '</section>')
      FROM (SELECT coalesce(k.title, x.error_class) AS title, x.endpoint, x.opened_at, x.resolved_at, x.syncs, x.resolution, x.resolved_by
              FROM integration.incident x
              LEFT JOIN integration.error_class k ON k.name = x.error_class
             WHERE x.resolved_at >= statement_timestamp() - interval '7 days'
               AND (names IS NULL OR x.endpoint = ANY (names))
             ORDER BY x.resolved_at DESC
             LIMIT 20) i
$$;
COMMENT ON FUNCTION integration_worker.page_ended(text[]) IS 'The section about incidents that are over.';

CREATE FUNCTION integration_worker.page_verdict(
        endpoints integration.endpoint_status[], incidents bigint, worst smallint, has_worker boolean)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN NOT has_worker THEN integration_worker.html_verdict('critical', 'No worker sends.')
        WHEN worst <= 2 OR e.stopped > 0 THEN integration_worker.html_verdict('critical', w.words)
        WHEN incidents > 0 OR e.failed > 0 OR e.held > 0 THEN integration_worker.html_verdict('warning', w.words)
        ELSE integration_worker.html_verdict('ok', 'Everything is delivered as it should be.') END
      FROM (SELECT coalesce(sum(x.failed), 0) AS failed, count(*) FILTER (WHERE x.blocked_by = 'stopped') AS stopped,
                   count(*) FILTER (WHERE x.blocked_by IN ('paused', 'open', 'retry_after')) AS held
              FROM unnest(endpoints) x) e
     CROSS JOIN LATERAL (
           SELECT concat_ws(', ',
                      CASE WHEN incidents > 0 THEN format('%s open %s', incidents, CASE incidents WHEN 1 THEN 'incident' ELSE 'incidents' END) END,
                      CASE WHEN e.failed > 0 THEN format('%s %s for a person', integration_worker.html_number(e.failed),
                                                         CASE e.failed WHEN 1 THEN 'sync waits' ELSE 'syncs wait' END) END,
                      CASE WHEN e.stopped + e.held > 0 THEN format('%s held back', CASE e.stopped + e.held
                           WHEN 1 THEN 'one endpoint is' ELSE format('%s endpoints are', e.stopped + e.held) END) END) || '.' AS words) w
$$;
COMMENT ON FUNCTION integration_worker.page_verdict(integration.endpoint_status[], bigint, smallint, boolean) IS
    'The whole page in a sentence.';

-- names NULL: the page is about everything.
CREATE FUNCTION integration_worker.page_about(subject text, names text[]) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    since timestamptz := date_trunc('hour', statement_timestamp(), 'UTC') - interval '23 hours';
    endpoints integration.endpoint_status[] := ARRAY(
        SELECT s FROM integration.endpoint_status s WHERE names IS NULL OR s.name = ANY (names));
    traffic integration.traffic[] := ARRAY(
        SELECT t FROM integration_worker.traffic_since(since, names) t);
    hours integration_worker.hour_figures[] := integration_worker.hours_of(traffic, since);
    has_worker boolean := EXISTS (SELECT FROM integration_worker.live_workers()) AND integration_worker.silent_since() IS NULL;
    incidents bigint;
    worst smallint;
BEGIN
    SELECT count(*), min(i.severity) FILTER (WHERE i.state NOT IN ('snoozed', 'ignored')) INTO incidents, worst
      FROM integration.incident i
     WHERE i.resolved_at IS NULL AND (names IS NULL OR i.endpoint = ANY (names));
    RETURN integration_worker.html_page(
        subject, format('%s at %s, times in %s', integration_worker.html_name(current_database()),
                        integration_worker.html_time(statement_timestamp()), integration_worker.html(current_setting('TimeZone'))),
        concat(integration_worker.page_verdict(endpoints, incidents, worst, has_worker),
               integration_worker.page_tiles(endpoints, hours, incidents),
               integration_worker.page_problems(names, integration_worker.page_holds(endpoints, names IS NULL, has_worker), incidents),
               '<div class="two"><section><h2>Attempts</h2>', integration_worker.traffic_chart(hours),
               integration_worker.traffic_table(hours), '</section><section><h2>Durations</h2>', integration_worker.duration_chart(hours), '</section></div>',
               integration_worker.page_endpoints(endpoints, traffic, since),
               integration_worker.page_sla(names), integration_worker.page_ended(names)),
        'Made by <code>SELECT integration.status_page();</code> from the views integration.endpoint_status, endpoint_traffic and incident_status.');
END
$$;
COMMENT ON FUNCTION integration_worker.page_about(text, text[]) IS 'The status page about these endpoints.';
