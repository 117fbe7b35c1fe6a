-- The status page of those who run this: what is wrong now, what to do, how it went.

INSERT INTO integration.phrase (key, words) VALUES
    ('page.title', 'Integration status'),
    ('page.title_of', 'Integration status: {scope}'),
    ('page.as_of', '{database} at {time}, times in {zone}'),
    ('page.made_by', 'Made by {statement} from the views integration.endpoint_status, endpoint_traffic and incident_status.'),
    ('page.more', 'And {count} more: {statement}'),
    ('page.verdict_ok', 'Everything is delivered as it should be.'),
    ('page.verdict_quiet', 'Nothing was sent in 24 hours.'),
    ('page.verdict_empty', 'There is no endpoint yet.'),
    ('page.verdict_not_sent', 'Nothing is sent'),
    ('page.verdict_incident', '{count} open incident'),
    ('page.verdict_incidents', '{count} open incidents'),
    ('page.verdict_failed_one', '{count} sync waits for a person'),
    ('page.verdict_failed', '{count} syncs wait for a person'),
    ('page.verdict_held_one', '{count} endpoint is held back'),
    ('page.verdict_held', '{count} endpoints are held back'),
    ('page.delivered_today', 'Delivered, 24 h'),
    ('page.attempts_failed', 'Attempts failed, 24 h'),
    ('page.backlog', 'Waiting to be sent'),
    ('page.oldest', 'Oldest is due for'),
    ('page.waiting_failed', 'Waiting for a person'),
    ('page.incidents', 'Open incidents'),
    ('page.problems', 'What is wrong now'),
    ('page.no_problems', 'Nothing. No incident is open, nothing is paused.'),
    ('page.what_to_do', 'What to do:'),
    ('page.no_remedy', 'Nothing is known to help yet.'),
    ('page.severity', 'severity {severity}'),
    ('page.title_at', '{title} at {endpoint}'),
    ('page.incident', 'Incident {incident}, {state} since {since} ({age}); failures: {failures}, objects: {objects}.'),
    ('page.incident_waiting', 'Waiting for a person: {count}.'),
    ('page.incident_climbed', 'Nobody looks after it: level {level} since {since}.'),
    ('page.responsible', 'Responsible'),
    ('page.owner', 'Owner'),
    ('page.no_owner', 'nobody: set owner of its endpoint or connector'),
    ('page.at_stake', 'At stake'),
    ('page.example', 'Example'),
    ('page.example_of', 'sync {sync} {object}: {error}'),
    ('page.no_details', 'no details'),
    ('page.contact', 'Contact'),
    ('page.runbook', 'Runbook'),
    ('page.note', 'Note'),
    ('page.next_step', 'Step by step'),
    -- Titles of what health() finds.
    ('page.health_no_worker', 'No worker sends'),
    ('page.health_silent', 'A worker hangs'),
    ('page.health_waiting', 'No worker sends'),
    ('page.health_overdue', 'A sync is overdue'),
    ('page.health_watchdogs', 'Watchdogs cannot look'),
    ('page.paused_all', 'Everything is paused'),
    ('page.paused_connector', 'Connector {name} is paused'),
    ('page.paused_endpoint', 'Endpoint {name} is paused'),
    ('page.paused_customer', 'Customer {name} is paused'),
    ('page.pause', '{reason}, by {actor} since {since}.'),
    ('page.pause_until', 'It ends by itself: {until}.'),
    ('page.pause_forever', 'It lasts until somebody resumes it.'),
    ('page.resume', 'To end it'),
    ('page.endpoints', 'Endpoints'),
    ('page.about_endpoints', 'What needs somebody first; the bars are attempts by hour.'),
    ('page.endpoint', 'Endpoint'),
    ('page.state', 'State'),
    ('page.day', '24 hours'),
    ('page.day_in_words', '{delivered} delivered, {failed} failed'),
    ('page.success', 'Success, last hour'),
    ('page.waiting', 'Waiting'),
    ('page.oldest_due', 'Oldest due'),
    ('page.state_paused', 'paused'),
    ('page.state_stopped', 'stopped'),
    ('page.state_open', 'breaker open'),
    ('page.state_retry_after', 'asked to wait'),
    ('page.state_sending', 'sending'),
    ('page.state_idle', 'idle'),
    ('page.promises', 'Promises'),
    ('page.about_promises',
     'Syncs that are not delivered yet, against the time that their customer or connector is promised, and this month so far.'),
    ('page.connector', 'Connector'),
    ('page.promise', 'Promise'),
    ('page.within', 'within {length}'),
    ('page.or_more', '{count} or more'),
    ('page.not_delivered', 'Not delivered'),
    ('page.at_risk', 'At risk'),
    ('page.too_late', 'Too late'),
    ('page.longest_over', 'Longest over'),
    ('page.in_time', 'In time this month'),
    ('page.misses_left', 'Misses left'),
    ('page.ended_incidents', 'What was wrong in the last seven days'),
    ('page.about_ended', 'The latest twenty incidents that are over.'),
    ('page.none_ended', 'Nothing that is over by now.'),
    ('page.incident_title', 'Incident'),
    ('page.from', 'From'),
    ('page.lasted', 'Lasted'),
    ('page.failures', 'Failures'),
    ('page.ended', 'Ended'),
    ('page.ended_by', 'by {who}'),
    ('page.ended_by_itself', 'by itself'),
    ('incident.acknowledged', 'acknowledged'),
    ('incident.snoozed', 'snoozed'),
    ('incident.ignored', 'ignored');

CREATE TYPE integration_worker.page_figures AS (
    endpoints bigint, delivered bigint, attempts_failed bigint, backlog bigint, oldest_due_at timestamptz, failed bigint,
    held bigint, stopped bigint, incidents bigint, active bigint, worst smallint, is_sending boolean, is_paused boolean);
COMMENT ON TYPE integration_worker.page_figures IS
    'What the page says in a sentence, in tiles. active: incidents that are neither snoozed nor ignored; worst: the severity of the worst of those.';

CREATE FUNCTION integration_worker.page_figures(
        endpoints integration.endpoint_status[], hours integration_worker.hour_figures[], names text[], facts integration_worker.health_facts)
    RETURNS integration_worker.page_figures
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ROW (e.endpoints, h.delivered, h.failed, e.backlog, e.oldest_due_at, e.failed, e.held, e.stopped,
                i.incidents, i.active, i.worst, facts.sending > 0 AND NOT integration_worker.is_silent(facts), facts.is_paused AND NOT facts.is_copy)::integration_worker.page_figures
      FROM (SELECT count(*) AS endpoints, coalesce(sum(x.backlog), 0) AS backlog, min(x.oldest_due_at) AS oldest_due_at,
                   coalesce(sum(x.failed), 0) AS failed, count(*) FILTER (WHERE x.blocked_by = 'stopped') AS stopped,
                   count(*) FILTER (WHERE x.blocked_by IN ('paused', 'stopped', 'open', 'retry_after')) AS held
              FROM unnest(endpoints) x) e
     CROSS JOIN (SELECT sum(x.delivered) AS delivered, sum(x.failed) AS failed FROM unnest(hours) x) h
     CROSS JOIN (SELECT count(*) AS incidents, count(*) FILTER (WHERE a.active) AS active, min(x.severity) FILTER (WHERE a.active) AS worst
                   FROM integration.incident x
                  CROSS JOIN LATERAL (
                        SELECT integration_worker.incident_state(x.state, x.snoozed_until, statement_timestamp())
                               NOT IN ('ignored', 'snoozed')) AS a (active)
                  WHERE x.resolved_at IS NULL AND (names IS NULL OR x.endpoint = '' OR x.endpoint = ANY (names))) i
$$;
COMMENT ON FUNCTION integration_worker.page_figures(integration.endpoint_status[], integration_worker.hour_figures[], text[], integration_worker.health_facts) IS
    'The most important figures; names NULL: of everything.';

CREATE FUNCTION integration_worker.page_tiles(figures integration_worker.page_figures, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<dl class="tiles">%s</dl>', concat(
               integration_worker.html_tile('delivered', texts ->> 'delivered_today', integration_worker.html_number(figures.delivered, texts)),
               integration_worker.html_tile('attempts_failed', texts ->> 'attempts_failed',
                                            integration_worker.html_number(figures.attempts_failed, texts),
                                            CASE WHEN figures.attempts_failed > figures.delivered THEN 'warning' ELSE '' END),
               integration_worker.html_tile('backlog', texts ->> 'backlog', integration_worker.html_number(figures.backlog, texts)),
               integration_worker.html_tile('oldest', texts ->> 'oldest',
                                            integration_worker.html_age(statement_timestamp() - figures.oldest_due_at, texts)),
               integration_worker.html_tile('failed', texts ->> 'waiting_failed', integration_worker.html_number(figures.failed, texts),
                                            CASE WHEN figures.failed > 0 THEN 'critical' ELSE 'ok' END),
               integration_worker.html_tile('incidents', texts ->> 'incidents', integration_worker.html_number(figures.incidents, texts),
                                            CASE WHEN figures.active > 0 THEN 'critical' ELSE 'ok' END)))
$$;
COMMENT ON FUNCTION integration_worker.page_tiles(integration_worker.page_figures, jsonb) IS 'The most important figures, each with its label.';

CREATE FUNCTION integration_worker.page_verdict(figures integration_worker.page_figures, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN NOT figures.is_sending OR figures.worst <= 2 OR figures.stopped > 0 THEN integration_worker.html_verdict('critical', w.words || '.')
        WHEN w.words <> '' THEN integration_worker.html_verdict('warning', w.words || '.')
        WHEN figures.endpoints = 0 THEN integration_worker.html_verdict('quiet', texts ->> 'verdict_empty')
        WHEN figures.delivered + figures.attempts_failed = 0 THEN integration_worker.html_verdict('quiet', texts ->> 'verdict_quiet')
        ELSE integration_worker.html_verdict('ok', texts ->> 'verdict_ok') END
      FROM (SELECT coalesce(string_agg(coalesce(p.words, integration_worker.page_text(
                       texts, CASE p.count WHEN 1 THEN p.one ELSE p.many END,
                       jsonb_build_object('count', integration_worker.html_number(p.count, texts)))), ', ' ORDER BY p.n), '') AS words
              FROM (VALUES (1, NOT figures.is_sending, NULL::bigint, NULL, NULL, texts ->> 'verdict_not_sent'),
                           (2, figures.is_paused, NULL, NULL, NULL, texts ->> 'paused_all'),
                           (3, figures.active > 0, figures.active, 'verdict_incident', 'verdict_incidents', NULL),
                           (4, figures.failed > 0, figures.failed, 'verdict_failed_one', 'verdict_failed', NULL),
                           (5, figures.held > 0 AND NOT figures.is_paused, figures.held, 'verdict_held_one', 'verdict_held', NULL)) AS p (n, is_so, count, one, many, words)
             WHERE p.is_so) w
$$;
COMMENT ON FUNCTION integration_worker.page_verdict(integration_worker.page_figures, jsonb) IS 'The whole page in a sentence.';

CREATE FUNCTION integration_worker.page_fact(label text, content text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<dt>%s</dt><dd>%s</dd>', label, content);
END
$$;
COMMENT ON FUNCTION integration_worker.page_fact(text, text) IS 'A line of a list of facts; both are HTML already.';

CREATE FUNCTION integration_worker.page_facts(lines text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<dl class="facts">%s</dl>', lines);
END
$$;
COMMENT ON FUNCTION integration_worker.page_facts(text) IS 'A list of facts, whose lines are made by page_fact().';

CREATE FUNCTION integration_worker.page_problem(level text, title text, about text, remedy text, rest text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat(format('<article class="problem %s"><h3>%s</h3>', level, title), '<p class="soft">' || about || '</p>',
                  '<p>' || remedy || '</p>', rest, '</article>');
END
$$;
COMMENT ON FUNCTION integration_worker.page_problem(text, text, text, text, text) IS
    'Something that is wrong, with what to do, who does it; all of it HTML already.';

CREATE FUNCTION integration_worker.incident_lines(incident integration.incident_status, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat_ws(' ',
        integration_worker.page_text(texts, 'incident', jsonb_build_object(
            'incident', incident.id, 'state', texts ->> ('incident.' || incident.state),
            'since', integration_worker.html_time(incident.opened_at, texts), 'age', integration_worker.html_age(incident.age, texts),
            'failures', integration_worker.html_number(incident.syncs, texts),
            'objects', integration_worker.html_number(incident.objects, texts))),
        CASE WHEN incident.waiting > 0 THEN integration_worker.page_text(texts, 'incident_waiting', jsonb_build_object(
            'count', integration_worker.html_number(incident.waiting, texts))) END,
        CASE WHEN incident.level > 0 THEN integration_worker.page_text(texts, 'incident_climbed', jsonb_build_object(
            'level', incident.level, 'since', integration_worker.html_time(incident.escalated_at, texts))) END);
END
$$;
COMMENT ON FUNCTION integration_worker.incident_lines(integration.incident_status, jsonb) IS 'Since when an incident is open, how much it hits.';

CREATE FUNCTION integration_worker.incident_page_facts(incident integration.incident_status, with_steps boolean, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat(
        integration_worker.page_fact(texts ->> 'responsible', replace(texts ->> ('responsible.' || incident.responsible), '_', ' ')),
        integration_worker.page_fact(texts ->> 'owner', coalesce(integration_worker.html_name(coalesce(incident.assignee, incident.owner)),
                                                                 format('<strong class="warning">%s</strong>', texts ->> 'no_owner'))),
        integration_worker.page_fact(texts ->> 'at_stake', integration_worker.html_number(incident.impact, texts)),
        integration_worker.page_fact(texts ->> 'example', integration_worker.page_text(texts, 'example_of', jsonb_build_object(
            'sync', incident.example, 'object', integration_worker.html_name(concat_ws(' ', incident.object_type, incident.object_id)),
            'error', coalesce(integration_worker.html(left(incident.error, 300)), texts ->> 'no_details')))),
        integration_worker.page_fact(texts ->> 'contact', integration_worker.html_name(incident.contact)),
        integration_worker.page_fact(texts ->> 'runbook', integration_worker.html_link(incident.runbook_url)),
        integration_worker.page_fact(texts ->> 'note', integration_worker.html(left(incident.note, 300))),
        CASE WHEN NOT with_steps THEN
            integration_worker.page_fact(texts ->> 'next_step', integration_worker.html_statement(incident.next_step)) END);
END
$$;
COMMENT ON FUNCTION integration_worker.incident_page_facts(integration.incident_status, boolean, jsonb) IS
    'Who is to do something about an incident, what it is about.';

-- Closed at first, so that all that is wrong is seen at once.
CREATE FUNCTION integration_worker.incident_steps(incident integration.incident_status, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('<details><summary>%s</summary><ol>%s</ol></details>', texts ->> 'next_step', string_agg(
                       format('<li>%s</li>', concat_ws('<br/>', concat_ws(' ', integration_worker.html(r.what),
                              '(' || integration_worker.html(r.who) || ')'), integration_worker.html_statement(r.statement))), '' ORDER BY r.step))
              FROM integration.runbook(incident.id) r
            HAVING count(*) > 0);
END
$$;
COMMENT ON FUNCTION integration_worker.incident_steps(integration.incident_status, jsonb) IS 'The runbook of an incident.';

CREATE FUNCTION integration_worker.page_incident(incident integration.incident_status, with_steps boolean, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT integration_worker.page_problem(l.level,
                       format('%s <span class="badge %s">%s</span>',
                              CASE incident.endpoint WHEN '' THEN integration_worker.html_name(incident.title)
                                   ELSE integration_worker.page_text(texts, 'title_at', jsonb_build_object(
                                            'title', integration_worker.html_name(incident.title),
                                            'endpoint', integration_worker.html_name(incident.endpoint))) END,
                              l.level, replace(texts ->> 'severity', '{severity}', incident.severity::text)),
                       integration_worker.incident_lines(incident, texts),
                       format('<strong>%s</strong> %s', texts ->> 'what_to_do',
                              coalesce(nullif(integration_worker.html(incident.remedy), ''), texts ->> 'no_remedy')),
                       integration_worker.page_facts(integration_worker.incident_page_facts(incident, with_steps, texts)) || CASE WHEN with_steps
                           THEN coalesce(integration_worker.incident_steps(incident, texts), '') ELSE '' END)
              FROM (SELECT CASE WHEN incident.severity <= 2 THEN 'critical' ELSE 'warning' END AS level) l);
END
$$;
COMMENT ON FUNCTION integration_worker.page_incident(integration.incident_status, boolean, jsonb) IS
    'An open incident with what to do, who does it; with_steps: with its whole runbook.';

-- What keeps the whole from being sent, or from being noticed; the rest that health() finds is in incidents, pauses.
CREATE FUNCTION integration_worker.page_health(facts integration_worker.health_facts, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(integration_worker.page_problem(
               CASE f.code WHEN 2 THEN 'critical' ELSE 'warning' END, texts ->> f.key, NULL,
               format('<strong>%s</strong> %s', texts ->> 'what_to_do', integration_worker.html(f.sentence)),
               integration_worker.page_facts(
                   integration_worker.page_fact(texts ->> 'responsible', texts ->> 'responsible.operations')
                   || integration_worker.page_fact(texts ->> 'next_step', integration_worker.html_statement('SELECT * FROM integration.health();')))), '')
      FROM integration_worker.health_findings(facts) f
     WHERE texts ? f.key
$$;
COMMENT ON FUNCTION integration_worker.page_health(integration_worker.health_facts, jsonb) IS 'What is wrong with the workers; NULL: nothing.';

CREATE FUNCTION integration_worker.page_pauses(
        endpoints integration.endpoint_status[], is_whole boolean, of_all boolean, texts jsonb)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(integration_worker.page_problem('warning',
               integration_worker.page_text(texts, 'paused_' || p.scope, jsonb_build_object('name', integration_worker.html_name(p.name))),
               concat_ws(' ',
                   integration_worker.page_text(texts, 'pause', jsonb_build_object(
                       'reason', integration_worker.html(p.reason), 'actor', integration_worker.html_name(p.actor),
                       'since', integration_worker.html_time(p.since, texts))),
                   coalesce(integration_worker.page_text(texts, 'pause_until', jsonb_build_object(
                       'until', integration_worker.html_time(p.until, texts))), texts ->> 'pause_forever')),
               NULL,
               integration_worker.page_facts(concat(
                   integration_worker.page_fact(texts ->> 'owner', integration_worker.html_name(
                       integration_worker.owner_of_scope(p.scope, p.name))),
                   integration_worker.page_fact(texts ->> 'resume', integration_worker.html_statement(
                       format('SELECT integration.resume(%L, %L, ''why'');', p.scope, nullif(p.name, ''))))))), '' ORDER BY p.since)
      FROM integration_worker.pause_in_force p
     WHERE (p.scope = 'all') = of_all
       AND ((of_all AND p.name = '')
            OR (is_whole AND NOT of_all)
            OR EXISTS (SELECT FROM unnest(endpoints) e
                        WHERE (p.scope, p.name) IN (('endpoint', e.name), ('connector', e.connector), ('customer', e.customer))))
$$;
COMMENT ON FUNCTION integration_worker.page_pauses(integration.endpoint_status[], boolean, boolean, jsonb) IS
    'What somebody holds back, everything or parts; a copied database is an incident.';

CREATE FUNCTION integration_worker.page_more(count bigint, statement text, texts jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<p>%s</p>', integration_worker.page_text(texts, 'more', jsonb_build_object(
               'count', integration_worker.html_number(page_more.count, texts), 'statement', integration_worker.html_statement(statement))))
$$;
COMMENT ON FUNCTION integration_worker.page_more(bigint, text, jsonb) IS 'How many are left out, where they are.';

-- Worst first, as the view lists them; a page is no place for hundreds.
CREATE FUNCTION integration_worker.page_problems(names text[], first text, last text, count_of bigint, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(format('<section id="problems"><h2>%s</h2>', texts ->> 'problems'),
                  coalesce(nullif(concat(first, string_agg(integration_worker.page_incident(i.incident, i.n <= 3, texts), '' ORDER BY i.n), last), ''),
                           format('<p class="ok">%s</p>', texts ->> 'no_problems')),
                  CASE WHEN count_of > 30 THEN integration_worker.page_more(count_of - 30, 'SELECT * FROM integration.incident_status;', texts) END,
                  '</section>')
      FROM (SELECT s AS incident, row_number() OVER () AS n
              FROM integration.incident_status s
             WHERE names IS NULL OR s.endpoint = '' OR s.endpoint = ANY (names)
             LIMIT 30) i
$$;
COMMENT ON FUNCTION integration_worker.page_problems(text[], text, text, bigint, jsonb) IS
    'The section about what is wrong; first, last: what stands before, behind the incidents.';

CREATE FUNCTION integration_worker.endpoint_badge(endpoint integration.endpoint_status, texts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('<span class="badge %s">%s</span>', s.level, texts ->> ('state_' || s.state))
              FROM (SELECT CASE WHEN endpoint.blocked_by = 'stopped' THEN 'critical'
                                WHEN endpoint.blocked_by IN ('paused', 'open', 'retry_after') THEN 'warning'
                                WHEN endpoint.attempts_last_hour > 0 THEN 'ok' ELSE 'quiet' END AS level,
                           CASE WHEN endpoint.blocked_by IN ('paused', 'stopped', 'open', 'retry_after') THEN endpoint.blocked_by
                                WHEN endpoint.attempts_last_hour > 0 THEN 'sending' ELSE 'idle' END AS state) s);
END
$$;
COMMENT ON FUNCTION integration_worker.endpoint_badge(integration.endpoint_status, jsonb) IS
    'What holds an endpoint back, else whether anything was sent to it within the last hour.';

CREATE FUNCTION integration_worker.endpoint_spark(traffic integration.traffic[], since timestamptz, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT integration_worker.spark(
                       array_agg(h.delivered ORDER BY h.hour), array_agg(h.failed ORDER BY h.hour),
                       integration_worker.page_text(texts, 'day_in_words', jsonb_build_object(
                           'delivered', integration_worker.html_number(sum(h.delivered), texts),
                           'failed', integration_worker.html_number(sum(h.failed), texts))))
              FROM (SELECT g.hour, coalesce(sum(t.delivered), 0)::bigint AS delivered, coalesce(sum(t.failed), 0)::bigint AS failed
                      FROM generate_series(since, since + interval '23 hours', interval '1 hour') AS g (hour)
                      LEFT JOIN unnest(traffic) t ON t.hour = g.hour
                     GROUP BY 1) h);
END
$$;
COMMENT ON FUNCTION integration_worker.endpoint_spark(integration.traffic[], timestamptz, jsonb) IS 'The 24 hours of an endpoint.';

CREATE FUNCTION integration_worker.page_endpoint(
        endpoint integration.endpoint_status, traffic integration.traffic[], since timestamptz, texts jsonb)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN concat('<tr>',
        integration_worker.html_cell(texts ->> 'endpoint', concat(integration_worker.html_name(endpoint.name),
            '<div class="soft">' || integration_worker.html_name(concat_ws(', ', endpoint.connector, endpoint.customer)) || '</div>')),
        integration_worker.html_cell(texts ->> 'state', integration_worker.endpoint_badge(endpoint, texts)),
        integration_worker.html_cell(texts ->> 'day', integration_worker.endpoint_spark(traffic, since, texts)),
        integration_worker.html_cell(texts ->> 'success', integration_worker.html_percent(endpoint.success_share_last_hour, texts, 1), 'n'),
        integration_worker.html_cell(texts ->> 'p95', integration_worker.html_duration(integration_worker.percentile_of(traffic, 0.95), texts), 'n'),
        integration_worker.html_cell(texts ->> 'waiting', integration_worker.html_number(endpoint.backlog, texts), 'n'),
        integration_worker.html_cell(texts ->> 'oldest_due',
                                     integration_worker.html_age(statement_timestamp() - endpoint.oldest_due_at, texts), 'n'),
        integration_worker.html_cell(texts ->> 'failed', CASE WHEN endpoint.failed > 0
            THEN format('<strong class="critical">%s</strong>', integration_worker.html_number(endpoint.failed, texts)) ELSE '0' END, 'n'),
        integration_worker.html_cell(texts ->> 'owner', integration_worker.html_name(endpoint.owner)), '</tr>');
END
$$;
COMMENT ON FUNCTION integration_worker.page_endpoint(integration.endpoint_status, integration.traffic[], timestamptz, jsonb) IS
    'A row of the table of endpoints; traffic: its own.';

CREATE FUNCTION integration_worker.page_endpoints(
        endpoints integration.endpoint_status[], traffic integration.traffic[], since timestamptz, texts jsonb)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(format('<section id="endpoints"><h2>%s</h2>', texts ->> 'endpoints'),
               integration_worker.html_table('endpoint_table', texts ->> 'about_endpoints',
                   integration_worker.page_heads(texts, '{endpoint,state,day,>success,>p95,>waiting,>oldest_due,>failed,owner}'),
                   string_agg(integration_worker.page_endpoint(e.endpoint, e.traffic, since, texts), '' ORDER BY e.n)
                       FILTER (WHERE e.n <= 100)),
               CASE WHEN count(*) > 100 THEN integration_worker.page_more(count(*) - 100, 'SELECT * FROM integration.endpoint_status;', texts) END,
               '</section>')
      FROM (SELECT x AS endpoint, t.traffic,
                   row_number() OVER (ORDER BY x.failed DESC, x.blocked_by IN ('paused', 'stopped', 'open') DESC NULLS LAST,
                                               x.oldest_due_at, x.attempts_last_hour DESC, x.name) AS n
              FROM unnest(endpoints) x
              JOIN integration.endpoint e ON e.name = x.name
              LEFT JOIN (SELECT u.endpoint_id, array_agg(u) AS traffic
                           FROM unnest(traffic) u
                          GROUP BY 1) t ON t.endpoint_id = e.id) e
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION integration_worker.page_endpoints(integration.endpoint_status[], integration.traffic[], timestamptz, jsonb) IS
    'The section about endpoints, worst first; NULL: there are none.';

-- The oldest are the ones that are late, in the order of their ids; more than so many of a connector need no exact count.
CREATE FUNCTION integration_worker.page_sla(names text[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(format('<section id="sla"><h2>%s</h2>', texts ->> 'promises'), integration_worker.html_table('sla_table',
               texts ->> 'about_promises', integration_worker.page_heads(
                   texts, '{connector,promise,>not_delivered,>at_risk,>too_late,>longest_over,>in_time,>misses_left}'),
               string_agg(concat('<tr>', integration_worker.html_cell(texts ->> 'connector', integration_worker.html_name(c.name)),
                   integration_worker.html_cell(texts ->> 'promise', replace(texts ->> 'within', '{length}',
                                                                             integration_worker.duration_words(c.sla, texts))),
                   integration_worker.html_cell(texts ->> 'not_delivered', replace(
                       CASE o.unfinished WHEN 2000 THEN texts ->> 'or_more' ELSE '{count}' END, '{count}',
                       integration_worker.html_number(o.unfinished, texts)), 'n'),
                   integration_worker.html_cell(texts ->> 'at_risk', integration_worker.html_number(o.at_risk, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'too_late', integration_worker.html_number(o.late, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'longest_over', integration_worker.html_age(o.longest, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'in_time', integration_worker.html_percent(r.in_time_share, texts, 2), 'n'),
                   integration_worker.html_cell(texts ->> 'misses_left', integration_worker.html_number(trunc(r.budget_left), texts), 'n'), '</tr>'),
                   '' ORDER BY o.late DESC, o.at_risk DESC, c.name)), '</section>')
      FROM integration.connector c
     CROSS JOIN LATERAL (
           SELECT count(*) AS unfinished,
                  count(*) FILTER (WHERE s.due < statement_timestamp()) AS late,
                  count(*) FILTER (WHERE s.due >= statement_timestamp()
                                     AND (s.state = 'failed' OR s.due_at > s.due OR s.due - s.sla * 0.2 <= statement_timestamp())) AS at_risk,
                  statement_timestamp() - min(s.due) FILTER (WHERE s.due < statement_timestamp()) AS longest
             FROM (SELECT greatest(o.send_after, o.created_at) + coalesce(u.sla, c.sla) AS due, coalesce(u.sla, c.sla) AS sla, q.state, q.due_at
                     FROM (SELECT w.*
                             FROM (SELECT n.outbox_id, n.state, n.due_at, e.customer
                                     FROM integration.endpoint e
                                     JOIN integration.queue n ON n.endpoint_id = e.id
                                    WHERE e.connector = c.name
                                      AND (names IS NULL OR e.name = ANY (names))
                                    LIMIT 10000) w
                            ORDER BY w.outbox_id
                            LIMIT 2000) q
                    CROSS JOIN LATERAL (
                          SELECT x.customer, x.created_at, x.send_after
                            FROM integration.outbox x
                           WHERE x.id = q.outbox_id
                          OFFSET 0) o
                     LEFT JOIN integration.customer u ON u.name = coalesce(o.customer, q.customer)
                    WHERE coalesce(u.sla, c.sla) IS NOT NULL) s) o
      LEFT JOIN integration.sla_report r
        ON r.scope = 'connector'
       AND r.month = date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC')::date
       AND r.connector = c.name
     WHERE (c.sla IS NOT NULL OR o.unfinished > 0 OR r.promised > 0)
       AND EXISTS (SELECT FROM integration.endpoint e WHERE e.connector = c.name AND (names IS NULL OR e.name = ANY (names)))
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION integration_worker.page_sla(text[], jsonb) IS 'The section about promises; NULL: nobody made any.';

CREATE FUNCTION integration_worker.page_ended(names text[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(format('<section id="ended"><h2>%s</h2>', texts ->> 'ended_incidents'),
               CASE WHEN count(*) = 0 THEN format('<p>%s</p>', texts ->> 'none_ended')
                    ELSE integration_worker.html_table('ended_table', texts ->> 'about_ended',
               integration_worker.page_heads(texts, '{incident_title,endpoint,from,lasted,>failures,ended}'),
               string_agg(concat('<tr>', integration_worker.html_cell(texts ->> 'incident_title', integration_worker.html_name(i.title)),
                   integration_worker.html_cell(texts ->> 'endpoint', integration_worker.html_name(i.endpoint)),
                   integration_worker.html_cell(texts ->> 'from', integration_worker.html_time(i.opened_at, texts)),
                   integration_worker.html_cell(texts ->> 'lasted', integration_worker.html_age(i.resolved_at - i.opened_at, texts)),
                   integration_worker.html_cell(texts ->> 'failures', integration_worker.html_number(i.syncs, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'ended', coalesce(
                       integration_worker.html(left(i.resolution, 200)),
                       integration_worker.page_text(texts, 'ended_by', jsonb_build_object('who', integration_worker.html_name(i.resolved_by))),
                       texts ->> 'ended_by_itself')), '</tr>'),
                   '' ORDER BY i.resolved_at DESC)) END, '</section>')
      FROM (SELECT integration_worker.translated('class.' || x.error_class, coalesce(k.title, x.error_class)) AS title, x.endpoint, x.opened_at, x.resolved_at, x.syncs, x.resolution, x.resolved_by
              FROM integration.incident x
              LEFT JOIN integration.error_class k ON k.name = x.error_class
             WHERE x.resolved_at >= statement_timestamp() - interval '7 days'
               AND (names IS NULL OR x.endpoint = '' OR x.endpoint = ANY (names))
             ORDER BY x.resolved_at DESC
             LIMIT 20) i
$$;
COMMENT ON FUNCTION integration_worker.page_ended(text[], jsonb) IS 'The section about incidents that are over.';

-- names NULL: the page is about everything.
CREATE FUNCTION integration_worker.page_about(scope text, names text[]) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    texts jsonb := integration_worker.page_texts('page.');
    since timestamptz := date_trunc('hour', statement_timestamp(), 'UTC') - interval '23 hours';
    endpoints integration.endpoint_status[] := ARRAY(
        SELECT s FROM integration.endpoint_status s WHERE names IS NULL OR s.name = ANY (names));
    traffic integration.traffic[] := ARRAY(
        SELECT t FROM integration_worker.traffic_since(since, names) t);
    hours integration_worker.hour_figures[] := integration_worker.hours_of(traffic, since);
    facts integration_worker.health_facts := integration_worker.health_facts(statement_timestamp());
    figures integration_worker.page_figures := integration_worker.page_figures(endpoints, hours, names, facts);
BEGIN
    RETURN integration_worker.html_page(
        CASE WHEN names IS NULL THEN texts ->> 'title'
             ELSE integration_worker.page_text(texts, 'title_of', jsonb_build_object('scope', integration_worker.html_name(scope))) END,
        integration_worker.page_text(texts, 'as_of', jsonb_build_object(
            'database', integration_worker.html_name(current_database()), 'time', integration_worker.html_time(statement_timestamp(), texts),
            'zone', integration_worker.html(current_setting('TimeZone')))),
        concat(integration_worker.page_verdict(figures, texts),
               integration_worker.page_problems(
                   names, concat(integration_worker.page_health(facts, texts), integration_worker.page_pauses(endpoints, names IS NULL, true, texts)),
                   integration_worker.page_pauses(endpoints, names IS NULL, false, texts), figures.incidents, texts),
               integration_worker.page_tiles(figures, texts), integration_worker.page_charts(hours, texts),
               integration_worker.page_endpoints(endpoints, traffic, since, texts),
               integration_worker.page_sla(names, texts), integration_worker.page_ended(names, texts)),
        integration_worker.page_text(texts, 'made_by', jsonb_build_object('statement', integration_worker.html_statement(
            format('SELECT integration.status_page(%s);', CASE WHEN names IS NULL THEN '' ELSE quote_literal(scope) END)))),
        texts ->> 'language');
END
$$;
COMMENT ON FUNCTION integration_worker.page_about(text, text[]) IS
    'The status page about these endpoints, in the language of integration.locale.';
