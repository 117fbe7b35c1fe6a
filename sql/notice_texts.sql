-- Notices in words: what stands in them, in which form.

CREATE TABLE integration.notice_text (
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    change text NOT NULL CHECK (change IN ('opened', 'reopened', 'updated', 'escalated', 'acknowledged', 'resolved', 'digest',
                                           'customer_escalated', 'customer_acknowledged', 'customer_resolved')),
    title text NOT NULL,
    body text NOT NULL,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, change)
);
COMMENT ON TABLE integration.notice_text IS
    'What notices say; lines that lack one of their {words} are left out. The words are those of integration.runbook_step.';
COMMENT ON COLUMN integration.notice_text.locale IS 'The language, as in integration.phrase.';
COMMENT ON COLUMN integration.notice_text.change IS
    'opened, reopened, updated, escalated, acknowledged, resolved; digest: of several, {count}; customer_escalated, customer_acknowledged, customer_resolved: for endpoints whose audience is the customer, with {incident}, {product}, {message}, {advice}, {since}, {duration} alone.';
COMMENT ON COLUMN integration.notice_text.title IS 'The first line.';
COMMENT ON COLUMN integration.notice_text.body IS 'The lines below.';
COMMENT ON COLUMN integration.notice_text.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.notice_text (change, title, body) VALUES
    ('opened', '{title} at {place} (incident {incident})',
     '{note}' || E'\n' || 'Last: {error}' || E'\n' || 'This helped before: {worked_before}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'At stake: {impact}' || E'\n' || 'What to do: SELECT * FROM integration.runbook({incident});'
     || E'\n' || '{runbook_url}'),
    ('reopened', 'Back again: {title} at {place} (incident {incident})',
     '{note}' || E'\n' || 'Last: {error}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'What to do: SELECT * FROM integration.runbook({incident});' || E'\n' || '{runbook_url}'),
    ('updated', 'News of: {title} at {place} (incident {incident})',
     '{note}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'What to do: SELECT * FROM integration.runbook({incident});' || E'\n' || '{runbook_url}'),
    ('escalated', 'Nobody looks after: {title} at {place} (incident {incident}), for {duration}; it is the turn of {audience}',
     '{note}' || E'\n' || 'Last: {error}' || E'\n' || 'Remedy: {remedy}' || E'\n' || 'Responsible: {responsible}' || E'\n' || 'Owner: {owner}' || E'\n'
     || 'At stake: {impact}' || E'\n' || 'Say that you look after it: SELECT integration.acknowledge({incident});'
     || E'\n' || 'What to do: SELECT * FROM integration.runbook({incident});' || E'\n' || '{runbook_url}'),
    ('acknowledged', '{owner} looks after: {title} at {place} (incident {incident})', ''),
    ('resolved', 'Over: {title} at {place} (incident {incident})', 'It took {duration}; failures: {syncs}.' || E'\n' || 'What helped: {resolution}'),
    ('digest', '{count} changes of incidents', ''),
    ('customer_escalated', 'Disturbed since {since}: {product}', '{message}' || E'\n' || '{advice}' || E'\n' || 'If you ask us about it, please name number {incident}.'),
    ('customer_acknowledged', 'Somebody is looking into it: {product}', 'If you ask us about it, please name number {incident}.'),
    ('customer_resolved', 'It works again: {product}', 'It took {duration}.');

CREATE FUNCTION integration_worker.notice_words(incident integration.incident) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.runbook_words(incident) || jsonb_build_object(
               'place', integration_worker.say(CASE incident.endpoint WHEN '' THEN 'place.database' ELSE 'place.endpoint' END,
                                             jsonb_build_object('endpoint', incident.endpoint)),
               'severity', incident.severity, 'syncs', incident.syncs, 'impact', incident.impact,
               'duration', integration_worker.duration_words(coalesce(incident.resolved_at, statement_timestamp()) - incident.opened_at),
               'resolution', incident.resolution,
               'level', nullif(incident.level, 0),
               'audience', (SELECT integration_worker.say('audience_' || l.audience)
                              FROM integration.escalation_level l
                             WHERE l.chain = integration_worker.chain_of(incident.endpoint) AND l.level = incident.level))
$$;
COMMENT ON FUNCTION integration_worker.notice_words(integration.incident) IS
    'What the texts of a notice are filled in with.';

CREATE FUNCTION integration_worker.customer_notice_words(incident integration.incident, locale text) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'incident', incident.id,
               'message', integration_worker.translated('customer.cause.' || k.name, k.customer_message, customer_notice_words.locale),
               'advice', integration_worker.remedies('customer', customer_notice_words.locale) ->> (':' || k.name),
               'product', coalesce(c.title, c.name, integration_worker.say('other_system', '{}', customer_notice_words.locale)),
               'since', integration_worker.time_words(incident.opened_at),
               'duration', integration_worker.duration_words(coalesce(incident.resolved_at, statement_timestamp()) - incident.opened_at))
      FROM (VALUES (incident.endpoint, incident.error_class)) AS i (endpoint, error_class)
      LEFT JOIN integration.endpoint e ON e.name = i.endpoint
      LEFT JOIN integration.connector c ON c.name = e.connector
      LEFT JOIN integration.error_class k ON k.name = i.error_class
$$;
COMMENT ON FUNCTION integration_worker.customer_notice_words(integration.incident, text) IS
    'What the texts of a notice to a customer are filled in with: nothing internal.';

CREATE FUNCTION integration_worker.notice_text_of(change text, words jsonb, locale text, OUT title text, OUT body text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.fill_in(t.title, words),
           (SELECT coalesce(string_agg(f.filled, E'\n' ORDER BY f.n), '')
              FROM (SELECT l.n, integration_worker.fill_in(l.line, words) AS filled
                      FROM string_to_table(t.body, E'\n') WITH ORDINALITY AS l (line, n)) f
             WHERE f.filled <> '')
      FROM integration.notice_text t
      JOIN integration_worker.languages(notice_text_of.locale) AS l (languages) ON t.locale = ANY (l.languages)
     WHERE t.change = notice_text_of.change
     ORDER BY array_position(l.languages, t.locale)
     LIMIT 1
$$;
COMMENT ON FUNCTION integration_worker.notice_text_of(text, jsonb, text) IS
    'What a notice of this change says in a language.';

-- https://docs.slack.dev/messaging/formatting-message-text: these three are escaped, nothing else.
CREATE FUNCTION integration_worker.slack_text(value text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')
$$;
COMMENT ON FUNCTION integration_worker.slack_text(text) IS 'A text as Slack shows it unchanged.';

-- A section holds 3,000 characters; "text" is what a notification shows.
CREATE FUNCTION integration_worker.slack_notice(title text, body text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'text', integration_worker.slack_text(title),
               'blocks', jsonb_build_array(
                   jsonb_build_object('type', 'section', 'text', jsonb_build_object(
                       'type', 'mrkdwn', 'verbatim', true,
                       'text', left(concat_ws(E'\n', '*' || integration_worker.slack_text(title) || '*',
                                              nullif(integration_worker.slack_text(body), '')), 3000)))))
$$;
COMMENT ON FUNCTION integration_worker.slack_notice(text, text) IS 'A notice for an incoming webhook of Slack.';

-- https://developer.pagerduty.com/docs/send-alert-event: summary up to 1,024 characters, dedup_key up to 255.
CREATE FUNCTION integration_worker.pagerduty_notice(receiver integration.notice_endpoint, due integration_worker.notice_due, title text, words jsonb)
    RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
               'routing_key', receiver.routing_key,
               'event_action', CASE due.change WHEN 'acknowledged' THEN 'acknowledge' WHEN 'resolved' THEN 'resolve' ELSE 'trigger' END,
               'dedup_key', format('integration-%s-%s', (SELECT n.name FROM integration.installation n), due.incident),
               'client', 'integration',
               'links', CASE WHEN words ->> 'runbook_url' IS NOT NULL THEN
                             jsonb_build_array(jsonb_build_object('href', words ->> 'runbook_url', 'text', 'runbook')) END,
               'payload', jsonb_build_object(
                   'summary', left(title, 1024),
                   'source', coalesce(words ->> 'endpoint', current_database()),
                   'severity', (ARRAY['critical', 'error', 'warning', 'info'])[(words ->> 'severity')::integer],
                   'timestamp', to_char(due.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                   'component', words ->> 'endpoint', 'group', words ->> 'connector', 'class', words ->> 'error_class',
                   'custom_details', words)))
$$;
COMMENT ON FUNCTION integration_worker.pagerduty_notice(integration.notice_endpoint, integration_worker.notice_due, text, jsonb) IS
    'A notice for PagerDuty (Events API v2): trigger, acknowledge or resolve of one alert an incident.';

-- https://adaptivecards.io/explorer: texts of a card are Markdown, so each line is a block of its own.
CREATE FUNCTION integration_worker.teams_notice(title text, body text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
               'type', 'message',
               'attachments', jsonb_build_array(jsonb_build_object(
                   'contentType', 'application/vnd.microsoft.card.adaptive',
                   'content', jsonb_build_object(
                       '$schema', 'http://adaptivecards.io/schemas/adaptive-card.json', 'type', 'AdaptiveCard', 'version', '1.2',
                       'body', jsonb_build_array(jsonb_build_object('type', 'TextBlock', 'weight', 'Bolder', 'wrap', true, 'text', title))
                               || (SELECT coalesce(jsonb_agg(jsonb_build_object('type', 'TextBlock', 'wrap', true, 'text', l.line) ORDER BY l.n), '[]')
                                     FROM string_to_table(body, E'\n') WITH ORDINALITY AS l (line, n)
                                    WHERE l.line <> '')))))
$$;
COMMENT ON FUNCTION integration_worker.teams_notice(text, text) IS 'A notice for a webhook of a workflow in Microsoft Teams: an adaptive card.';

CREATE FUNCTION integration_worker.words_for(receiver integration.notice_endpoint, incident integration.incident) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    words jsonb;
BEGIN
    IF receiver.audience = 'customer' THEN
        RETURN integration_worker.customer_notice_words(incident, receiver.locale);
    END IF;
    words := integration_worker.notice_words(incident);
    IF receiver.audience = 'engineer' AND words ->> 'engineer' IS NOT NULL THEN
        words := words || jsonb_build_object('remedy', words -> 'engineer');
    END IF;
    RETURN words;
END
$$;
COMMENT ON FUNCTION integration_worker.words_for(integration.notice_endpoint, integration.incident) IS
    'What the texts of a notice are filled in with for the audience of an endpoint.';

CREATE FUNCTION integration_worker.notice_payload(receiver integration.notice_endpoint, due integration_worker.notice_due[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    for_customer boolean := receiver.audience IS NOT DISTINCT FROM 'customer';
    told record;
    items jsonb := '[]';
    lines text;
    title text;
    body text;
BEGIN
    FOR told IN
        SELECT d.n, d.change, d.at, w.words, t.title, t.body
          FROM unnest(due) WITH ORDINALITY AS d (endpoint, change_id, incident, change, at, n)
          JOIN integration.incident i ON i.id = d.incident
         CROSS JOIN LATERAL integration_worker.words_for(receiver, i) AS w (words)
         CROSS JOIN LATERAL integration_worker.notice_text_of(CASE WHEN for_customer THEN 'customer_' ELSE '' END || d.change,
                                                              w.words, receiver.locale) t
         ORDER BY d.n LOOP
        items := items || jsonb_build_object('change', told.change, 'at', told.at, 'incident', told.words,
                                             'title', told.title, 'body', told.body);
        lines := concat_ws(E'\n', lines, told.title);
        title := told.title;
        body := told.body;
    END LOOP;
    IF cardinality(due) > 1 THEN
        title := (integration_worker.notice_text_of('digest', jsonb_build_object('count', cardinality(due)), receiver.locale)).title;
        body := lines;
    END IF;
    RETURN CASE receiver.format
        WHEN 'slack' THEN integration_worker.slack_notice(title, body)
        WHEN 'teams' THEN integration_worker.teams_notice(title, body)
        WHEN 'pagerduty' THEN integration_worker.pagerduty_notice(receiver, due[1], title, items -> 0 -> 'incident')
        ELSE jsonb_build_object('title', title, 'body', body, 'changes', items) END;
END
$$;
COMMENT ON FUNCTION integration_worker.notice_payload(integration.notice_endpoint, integration_worker.notice_due[]) IS
    'The body of a notice in the form that its receiver reads.';
