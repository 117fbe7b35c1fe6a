-- Incidents as people see them: a list of work, the steps of each.

INSERT INTO integration.phrase (key, words) VALUES
    ('runbook.over', 'It is over since {how}.'),
    ('runbook.resolved_by', 'resolved by {who}'),
    ('held.open', 'open'),
    ('held.half_open', 'open'),
    ('held.stopped', 'stopped'),
    ('incident.open', 'open'),
    ('place.endpoint', 'endpoint "{endpoint}"'),
    ('place.database', 'this database');

CREATE FUNCTION integration_worker.failed_count(endpoint text, error_class text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT count(*)
              FROM integration.endpoint e
              JOIN integration.queue q ON q.endpoint_id = e.id
             WHERE e.name = failed_count.endpoint AND q.state = 'failed' AND q.error_class = failed_count.error_class);
END
$$;
COMMENT ON FUNCTION integration_worker.failed_count(text, text) IS
    'How many syncs of an endpoint wait for a person with this class; by the index of failed ones.';

-- What is said of all of them is asked for once.
CREATE VIEW integration_worker.incident_facts AS
WITH said AS MATERIALIZED (
    SELECT integration_worker.remedies('support') AS remedies, integration_worker.what_worked() AS worked
)
SELECT i.id,
       integration_worker.incident_state(i.state, i.snoozed_until, statement_timestamp()) AS state,
       i.severity, i.endpoint, e.connector, integration_worker.translated('class.' || i.error_class, coalesce(k.title, i.error_class)) AS title, i.error_class,
       i.owner, i.responsible, i.assignee,
       CASE WHEN i.id = 0 THEN i.remedy
            ELSE coalesce(s.remedies ->> CASE x.error_class WHEN i.error_class THEN x.reason END,
                          s.remedies ->> (':' || i.error_class), i.remedy) END AS remedy,
       coalesce(s.worked ->> ('endpoint ' || i.endpoint || ':' || i.error_class),
                s.worked ->> ('connector ' || e.connector || ':' || i.error_class),
                s.worked ->> (':' || i.error_class)) AS worked_before,
       i.syncs, integration_worker.failed_count(i.endpoint, i.error_class) AS waiting,
       i.objects, i.customers, i.impact,
       i.example, x.object_type, x.object_id, x.error, CASE x.error_class WHEN i.error_class THEN x.reason END AS reason,
       i.opened_at, i.last_seen_at, statement_timestamp() - i.opened_at AS age,
       i.acknowledged_at, i.snoozed_until, i.reopened, c.contact, c.runbook_url, i.note,
       format('SELECT * FROM integration.runbook(%s);', i.id) AS next_step,
       i.resolved_at, i.level, i.escalated_at
  FROM integration.incident i
 CROSS JOIN said s
  LEFT JOIN integration.endpoint e ON e.name = i.endpoint
  LEFT JOIN integration.connector c ON c.name = e.connector
  LEFT JOIN integration.error_class k ON k.name = i.error_class
  LEFT JOIN LATERAL (
       SELECT o.object_type, o.object_id, l.error, l.error_class, l.reason
         FROM integration_worker.asked o
         LEFT JOIN LATERAL (
              SELECT a.error, a.error_class, a.reason
                FROM integration.attempt a
               WHERE a.outbox_id = o.id
               ORDER BY a.attempt_no DESC
               LIMIT 1) l ON true
        WHERE o.id = i.example) x ON true;
COMMENT ON VIEW integration_worker.incident_facts IS
    'All incidents with what their registry, their example say.';

CREATE VIEW integration.incident_status AS
SELECT f.id, f.state, f.severity, f.endpoint, f.connector, f.title, f.error_class, f.owner, f.responsible, f.assignee,
       concat_ws(' ', replace((SELECT integration_worker.translated('remedy.worked_before', '')), '{worked_before}', f.worked_before),
                 f.remedy) AS remedy,
       f.worked_before, f.syncs, f.waiting, f.objects, f.customers, f.impact, f.example, f.object_type,
       f.object_id, f.error, f.opened_at, f.last_seen_at, f.age, f.acknowledged_at, f.snoozed_until, f.reopened,
       f.contact, f.runbook_url, f.note, f.next_step, f.level, f.escalated_at
  FROM integration_worker.incident_facts f
 WHERE f.resolved_at IS NULL
 ORDER BY f.state = 'ignored', f.state = 'snoozed', f.severity, f.impact DESC NULLS LAST, f.customers DESC, f.opened_at;
COMMENT ON VIEW integration.incident_status IS
    'The problems that are not over, worst first: severity, impact, customers, age; snoozed and ignored ones last. integration.runbook(id) says what to do.';
COMMENT ON COLUMN integration.incident_status.id IS 'Its number, for acknowledge(), assign(), snooze(), ignore(), resolve(), runbook(); 0: the database is a copy.';
COMMENT ON COLUMN integration.incident_status.state IS 'open (nobody has taken it), acknowledged, snoozed or ignored.';
COMMENT ON COLUMN integration.incident_status.severity IS '1 (worst) to 4, from the connector.';
COMMENT ON COLUMN integration.incident_status.endpoint IS 'Where to; empty: everywhere.';
COMMENT ON COLUMN integration.incident_status.connector IS 'The product behind it.';
COMMENT ON COLUMN integration.incident_status.title IS 'What it is, in a few words.';
COMMENT ON COLUMN integration.incident_status.error_class IS 'The error class.';
COMMENT ON COLUMN integration.incident_status.owner IS 'The team whose work it is, by integration.owner_rule, else the endpoint''s, its connector''s, the customer''s.';
COMMENT ON COLUMN integration.incident_status.responsible IS 'Who can do something about it: customer, support, engineering, operations or remote_vendor.';
COMMENT ON COLUMN integration.incident_status.assignee IS 'Who has taken it.';
COMMENT ON COLUMN integration.incident_status.remedy IS 'What to do, in plain words; what helped the last time goes first.';
COMMENT ON COLUMN integration.incident_status.worked_before IS 'What helped the last time; NULL: nobody has said so.';
COMMENT ON COLUMN integration.incident_status.syncs IS 'Failures counted into it.';
COMMENT ON COLUMN integration.incident_status.waiting IS 'Failed syncs of it that wait for a person right now.';
COMMENT ON COLUMN integration.incident_status.objects IS 'Different business objects among the failures.';
COMMENT ON COLUMN integration.incident_status.customers IS 'Different customers among them.';
COMMENT ON COLUMN integration.incident_status.impact IS 'What is at stake, in the application''s unit; NULL: none was given.';
COMMENT ON COLUMN integration.incident_status.example IS 'A sync that shows it.';
COMMENT ON COLUMN integration.incident_status.object_type IS 'The kind of its business object.';
COMMENT ON COLUMN integration.incident_status.object_id IS 'Its business reference.';
COMMENT ON COLUMN integration.incident_status.error IS 'Details of its last failure in words.';
COMMENT ON COLUMN integration.incident_status.opened_at IS 'When it began.';
COMMENT ON COLUMN integration.incident_status.last_seen_at IS 'When a failure was last added, to ten seconds.';
COMMENT ON COLUMN integration.incident_status.age IS 'How long it lasts.';
COMMENT ON COLUMN integration.incident_status.acknowledged_at IS 'When somebody took it.';
COMMENT ON COLUMN integration.incident_status.snoozed_until IS 'Nobody is bothered until then.';
COMMENT ON COLUMN integration.incident_status.reopened IS 'How often it came back.';
COMMENT ON COLUMN integration.incident_status.contact IS 'Whom to ask about the other system, from the connector.';
COMMENT ON COLUMN integration.incident_status.runbook_url IS 'The team''s own notes, from the connector.';
COMMENT ON COLUMN integration.incident_status.note IS 'What people wrote.';
COMMENT ON COLUMN integration.incident_status.next_step IS 'The statement that says what to do.';
COMMENT ON COLUMN integration.incident_status.level IS 'How far it has climbed because nobody looks after it (integration.escalation_level); 0: not at all.';
COMMENT ON COLUMN integration.incident_status.escalated_at IS 'When it climbed last.';

-- Bounded, since notices are filled in with it, too, by the worker.
CREATE FUNCTION integration_worker.queued_words(endpoint_id integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN count(*) > 10000 THEN '10000+' ELSE nullif(count(*), 0)::text END
      FROM (SELECT FROM integration.queue q
             WHERE q.endpoint_id = queued_words.endpoint_id AND q.state <> 'failed'
             LIMIT 10001) q
$$;
COMMENT ON FUNCTION integration_worker.queued_words(integer) IS
    'How many syncs of an endpoint wait to be sent; NULL: none does.';

CREATE FUNCTION integration_worker.behind_words(endpoint_id integer, error_class text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN count(*) > 10000 THEN '10000+' ELSE nullif(count(*), 0)::text END
      FROM (SELECT FROM integration.queue head
              JOIN integration.queue q ON q.endpoint_id = head.endpoint_id AND q.ordering_key = head.ordering_key
             WHERE head.endpoint_id = behind_words.endpoint_id AND head.state = 'failed'
               AND head.error_class = behind_words.error_class AND q.state <> 'failed'
             LIMIT 10001) q
$$;
COMMENT ON FUNCTION integration_worker.behind_words(integer, text) IS
    'How many syncs of an endpoint wait behind failed ones of this class under an ordering key; NULL: none does.';

CREATE FUNCTION integration_worker.reason_of(sync bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT a.reason FROM integration.attempt a WHERE a.outbox_id = sync ORDER BY a.attempt_no DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION integration_worker.reason_of(bigint) IS 'What happened at the last attempt of a sync; NULL: there was none.';

CREATE FUNCTION integration_worker.whose(sync bigint) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT nullif(concat_ws(', ', coalesce(c.title, f.customer), c.contact), '')
              FROM integration_worker.sync_facts f
              LEFT JOIN integration.customer c ON c.name = f.customer
             WHERE f.id = sync);
END
$$;
COMMENT ON FUNCTION integration_worker.whose(bigint) IS
    'Whose sync it is, with the contact where that is known; NULL: nobody''s in particular.';

CREATE FUNCTION integration_worker.endpoint_words(incident integration.incident) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_build_object(
                       'url', e.url, 'held', CASE WHEN p.reason IS NULL THEN integration_worker.say('held.' || h.held) END,
                       'paused', p.reason, 'retry_after', integration_worker.time_words(h.retry_after_until),
                       'queued', CASE WHEN h.held IS NOT NULL OR h.retry_after_until IS NOT NULL
                                      THEN integration_worker.queued_words(e.id) END,
                       'behind', integration_worker.behind_words(e.id, incident.error_class),
                       'credential', c.credential,
                       'without_credential', CASE WHEN c.credential IS NULL THEN e.name END)
              FROM integration.endpoint_config e
             CROSS JOIN LATERAL (
                   SELECT CASE WHEN integration_worker.reason_of(incident.example) LIKE '%:certificate' OR incident.error_class = 'certificate_ending'
                               THEN coalesce(e.certificate, e.credential)
                               ELSE coalesce(e.credential, e.certificate, e.signing) END AS credential) c
              LEFT JOIN LATERAL (
                   SELECT nullif(x.state, 'closed') AS held,
                          CASE WHEN x.retry_after_until > statement_timestamp() THEN x.retry_after_until END AS retry_after_until
                     FROM integration.endpoint_health x
                    WHERE x.endpoint_id = e.id) h ON true
              LEFT JOIN integration_worker.pause_in_force p ON p.scope = 'endpoint' AND p.name = e.name
             WHERE e.name = incident.endpoint);
END
$$;
COMMENT ON FUNCTION integration_worker.endpoint_words(integration.incident) IS
    'What texts about an incident say of its endpoint; NULL: it has none.';

CREATE FUNCTION integration_worker.runbook_words(incident integration.incident) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_build_object(
                       'incident', s.id, 'title', s.title, 'endpoint', nullif(s.endpoint, ''), 'connector', s.connector,
                       'error_class', s.error_class, 'remedy', s.remedy, 'responsible', integration_worker.say('responsible.' || s.responsible),
                       'owner', coalesce(s.assignee, s.owner), 'contact', s.contact, 'runbook_url', s.runbook_url,
                       'worked_before', s.worked_before, 'example', s.example, 'error', rtrim(left(s.error, 300), '. '),
                       'object', nullif(concat_ws(' ', s.object_type, s.object_id), ''),
                       'customer', integration_worker.whose(s.example),
                       'waiting', nullif(s.waiting, 0),
                       'engineer', coalesce(n.remedies ->> s.reason, n.remedies ->> (':' || s.error_class)),
                       'open', CASE WHEN s.state = 'open' THEN integration_worker.say('incident.open') END, 'note', s.note,
                       'delivering', CASE WHEN NOT integration_worker.is_watched(s.error_class) THEN nullif(s.endpoint, '') END,
                       'watched', CASE WHEN integration_worker.is_watched(s.error_class) THEN s.title END)
                   || coalesce(integration_worker.endpoint_words(incident),
                               '{"url": null, "held": null, "paused": null, "retry_after": null, "queued": null, "behind": null, "credential": null, "without_credential": null}')
              FROM integration_worker.incident_facts s
             CROSS JOIN (SELECT integration_worker.remedies('engineer') AS remedies OFFSET 0) n
             WHERE s.id = incident.id);
END
$$;
COMMENT ON FUNCTION integration_worker.runbook_words(integration.incident) IS
    'What the steps of a runbook are filled in with; a word without a value is null.';

CREATE FUNCTION integration.runbook(incident bigint)
    RETURNS TABLE (step bigint, what text, statement text, who text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject integration.incident := integration_worker.require_incident(runbook.incident, locked => false);
    words jsonb := integration_worker.runbook_words(subject);
    languages text[] := integration_worker.languages();
    reason text := integration_worker.reason_of(subject.example);
BEGIN
    IF subject.resolved_at IS NOT NULL THEN
        RETURN QUERY
        SELECT 1::bigint,
               integration_worker.say('runbook.over', jsonb_build_object('how', concat_ws(': ', concat_ws(', ',
                   integration_worker.time_words(subject.resolved_at),
                   integration_worker.say('runbook.resolved_by', jsonb_build_object('who', subject.resolved_by))),
                   rtrim(subject.resolution, '.')))),
               format('SELECT integration.reopen(%s, ''why'');', subject.id), subject.owner;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT row_number() OVER (ORDER BY f."position", f.error_class), f.what, f.statement, f.who
      FROM (SELECT DISTINCT ON (s."position", s.error_class)
                   s."position", s.error_class, integration_worker.fill_in(s.what, words) AS what,
                   integration_worker.fill_in(s.statement, words, true) AS statement,
                   integration_worker.fill_in(s.who, words) AS who, s.statement IS NOT NULL AS has_statement
              FROM integration.runbook_step s
             WHERE s.error_class IN ('', subject.error_class, reason)
               AND s.locale = ANY (languages)
             ORDER BY s."position", s.error_class, array_position(languages, s.locale)) f
     WHERE f.what IS NOT NULL AND (f.statement IS NOT NULL OR NOT f.has_statement)
     ORDER BY 1;
END
$$;
COMMENT ON FUNCTION integration.runbook(bigint) IS
    'What to do about an incident, step by step: in words, what to run, who does it. The texts are integration.runbook_step''s.';
