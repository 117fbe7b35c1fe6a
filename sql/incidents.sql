-- Incidents: opened, counted, reopened, resolved by what settle() finds.

INSERT INTO integration.phrase (key, words) VALUES
    ('action.done_by', '{verb} by {who}'),
    ('verb.retry', 'retry'),
    ('verb.cancel', 'cancel'),
    ('verb.amend', 'amend'),
    ('verb.resume', 'resume');

-- What comes back so soon was never over.
CREATE FUNCTION integration_worker.reopens_within() RETURNS interval
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT interval '1 day'
$$;
COMMENT ON FUNCTION integration_worker.reopens_within() IS
    'How long after its end an incident is opened again rather than a new one.';

CREATE FUNCTION integration_worker.reopen_incident() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.resolved_at := NULL;
    NEW.resolved_by := NULL;
    NEW.resolution := NULL;
    NEW.worked := NULL;
    NEW.acknowledged_at := NULL;
    NEW.snoozed_until := NULL;
    NEW.reopened := OLD.reopened + 1;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.reopen_incident() IS
    'Row trigger: an incident that comes back is as if it had not ended, and counts how often that was so.';

CREATE TRIGGER reopen BEFORE UPDATE OF state ON integration.incident
    FOR EACH ROW WHEN (OLD.state = 'resolved' AND NEW.state = 'open')
    EXECUTE FUNCTION integration_worker.reopen_incident();

-- Without a search_path, so that it becomes a part of the query around it.
CREATE FUNCTION integration_worker.incident_state(state text, snoozed_until timestamptz, at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN state = 'snoozed' AND snoozed_until <= at THEN 'open' ELSE state END;
COMMENT ON FUNCTION integration_worker.incident_state(text, timestamptz, timestamptz) IS
    'The state of an incident at a time: one that was put off until then is open.';

CREATE FUNCTION integration_worker.raise_incidents(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_ids bigint[];
    reopened_ids bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM integration_worker.alarming(verdicts, standings)) THEN
        RETURN;
    END IF;
    WITH seen AS MATERIALIZED (
        SELECT p.* FROM integration_worker.problems(verdicts, standings) p
    ), counted AS (
        -- An incident that somebody is editing is not waited for; it misses this batch.
        UPDATE integration.incident i
           SET state = integration_worker.incident_state(i.state, i.snoozed_until, settled_at),
               last_seen_at = settled_at, syncs = i.syncs + g.syncs, objects = i.objects + g.objects,
               customers = greatest(i.customers, g.customers), example = g.example,
               impact = CASE WHEN g.impact IS NULL THEN i.impact ELSE coalesce(i.impact, 0) + g.impact END
          FROM seen g
          JOIN LATERAL (
               SELECT x.id
                 FROM integration.incident x
                WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class AND x.resolved_at IS NULL
                  FOR NO KEY UPDATE SKIP LOCKED) held ON true
         WHERE i.id = held.id
    ), reopened AS (
        UPDATE integration.incident i
           SET state = 'open', last_seen_at = settled_at, syncs = i.syncs + g.syncs, objects = i.objects + g.objects,
               customers = greatest(i.customers, g.customers), example = g.example, remedy = g.remedy,
               impact = CASE WHEN g.impact IS NULL THEN i.impact ELSE coalesce(i.impact, 0) + g.impact END
          FROM seen g
          JOIN LATERAL (
               SELECT x.id
                 FROM integration.incident x
                WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class
                  AND x.resolved_at > settled_at - integration_worker.reopens_within()
                ORDER BY x.resolved_at DESC
                LIMIT 1
                  FOR NO KEY UPDATE SKIP LOCKED) held
            ON NOT EXISTS (SELECT FROM integration.incident x
                            WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class AND x.resolved_at IS NULL)
         WHERE i.id = held.id
        RETURNING i.id
    ), opened AS (
        INSERT INTO integration.incident (endpoint, error_class, severity, owner, responsible, remedy, opened_at,
                                          last_seen_at, syncs, objects, customers, impact, example)
        SELECT g.endpoint, g.error_class, g.severity, g.owner, g.responsible, g.remedy, settled_at,
               settled_at, g.syncs, g.objects, g.customers, g.impact, g.example
          FROM seen g
         WHERE NOT EXISTS (SELECT FROM integration.incident x
                            WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class AND x.resolved_at IS NULL)
           AND NOT EXISTS (SELECT FROM integration.incident x
                            WHERE x.endpoint = g.endpoint AND x.error_class = g.error_class
                              AND x.resolved_at > settled_at - integration_worker.reopens_within())
            ON CONFLICT (endpoint, error_class) WHERE resolved_at IS NULL DO NOTHING
        RETURNING id
    )
    SELECT ARRAY(SELECT o.id FROM opened o), ARRAY(SELECT r.id FROM reopened r) INTO new_ids, reopened_ids;
    PERFORM integration_worker.tell(new_ids, 'opened');
    PERFORM integration_worker.tell(reopened_ids, 'reopened');
END
$$;
COMMENT ON FUNCTION integration_worker.raise_incidents(integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Opens an incident for each endpoint and class that now needs a person, or counts into the open one, or into the one that ended within a day.';

CREATE FUNCTION integration_worker.alarming(
        verdicts integration_worker.verdict[], standings integration_worker.standing[])
    RETURNS SETOF integration_worker.verdict
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT v.*
      FROM unnest(verdicts) v
      LEFT JOIN unnest(standings) s ON s.endpoint_id = v.endpoint_id
     WHERE NOT v.ping AND NOT v.delivered AND v.state <> 'unsettled'
       AND ((v.state = 'failed' AND v.kept_state IS NULL)
            OR (v.effect = 'trip' AND s.state <> 'closed')
            OR (s.changed AND s.state <> 'closed' AND v.n = s.last_count));
END
$$;
COMMENT ON FUNCTION integration_worker.alarming(integration_worker.verdict[], integration_worker.standing[]) IS
    'The results that a person should know of: a failed sync, a stopped endpoint, an opened breaker.';

CREATE FUNCTION integration_worker.problems(
        verdicts integration_worker.verdict[], standings integration_worker.standing[])
    RETURNS TABLE (endpoint text, error_class text, severity smallint, owner text, syncs bigint, objects bigint,
                   customers bigint, impact numeric, example bigint, remedy text, responsible text)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.name AS endpoint, v.error_class, max(c.severity) AS severity,
           integration_worker.owner_of(c.id, v.error_class,
               CASE WHEN count(DISTINCT coalesce(o.customer, c.customer)) = 1 THEN max(coalesce(o.customer, c.customer)) END,
               (array_agg(r.responsible ORDER BY v.n DESC))[1]) AS owner,
           count(*) AS syncs,
           count(DISTINCT (v.object_type, v.object_id)) FILTER (WHERE v.object_id IS NOT NULL AND s.error_class
                                                                IS DISTINCT FROM v.error_class) AS objects,
           count(DISTINCT coalesce(o.customer, c.customer)) AS customers,
           sum(o.impact) AS impact, max(v.outbox_id) AS example,
           (array_agg(CASE WHEN v.rule_retries IS NULL THEN r.remedy ELSE k.remedy END ORDER BY v.n DESC))[1] AS remedy,
           (array_agg(r.responsible ORDER BY v.n DESC))[1] AS responsible
      FROM integration_worker.alarming(verdicts, standings) v
      JOIN integration.endpoint_config c ON c.id = v.endpoint_id
      JOIN integration.error_reason r ON r.reason = v.reason
      JOIN integration.error_class k ON k.name = v.error_class
      LEFT JOIN LATERAL (
           SELECT x.customer, x.impact FROM integration.outbox x WHERE x.id = v.outbox_id OFFSET 0) o ON true
      LEFT JOIN integration.sync_status s
        ON (s.endpoint_id, s.object_type, s.object_id) = (v.endpoint_id, v.object_type, v.object_id)
     GROUP BY c.id, c.name, v.error_class;
END
$$;
COMMENT ON FUNCTION integration_worker.problems(integration_worker.verdict[], integration_worker.standing[]) IS
    'The results that a person should know of, by endpoint and class: how many, of whom, what helps.';

CREATE FUNCTION integration_worker.what_people_did(endpoint text, since timestamptz) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(': ', integration_worker.say('action.done_by', jsonb_build_object(
                         'verb', integration_worker.say('verb.' || a.verb), 'who', a.actor)),
                     '"' || a.reason || '"')
      FROM unnest('{t,f}'::boolean[]) WITH ORDINALITY AS w (has_reason, n)
     CROSS JOIN LATERAL (
           SELECT x.*
             FROM integration.action x
            WHERE x.at >= what_people_did.since
              AND x.verb IN ('retry', 'amend', 'cancel', 'resume')
              AND (x.reason IS NOT NULL) = w.has_reason
              AND what_people_did.endpoint = coalesce(x.endpoint, (SELECT o.endpoint FROM integration.outbox o WHERE o.id = x.outbox_id))
            ORDER BY x.at DESC
            LIMIT 1) a
     ORDER BY w.n
     LIMIT 1
$$;
COMMENT ON FUNCTION integration_worker.what_people_did(text, timestamptz) IS
    'The last thing that somebody did about an endpoint or a sync of it since a time, one with a reason first; NULL: nothing.';

CREATE FUNCTION integration_worker.is_watched(error_class text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration.error_class k WHERE k.name = is_watched.error_class AND k.is_watched)
$$;
COMMENT ON FUNCTION integration_worker.is_watched(text) IS
    'Whether incidents of this class are opened and ended by a watchdog.';

CREATE FUNCTION integration_worker.end_incidents(ids bigint[], at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.incident i
       SET state = 'resolved', resolved_at = end_incidents.at, snoozed_until = NULL,
           (resolution, worked) = (SELECT d.words, CASE WHEN d.words IS NOT NULL THEN true END
                                     FROM integration_worker.what_people_did(i.endpoint, i.opened_at) AS d (words))
     WHERE i.id = ANY (ids);
    PERFORM integration_worker.tell(ids, 'resolved');
END
$$;
COMMENT ON FUNCTION integration_worker.end_incidents(bigint[], timestamptz) IS
    'Ends these incidents, which the caller has locked, with what people did meanwhile.';

-- A problem is over when its endpoint delivers and nothing that failed for it is left.
CREATE FUNCTION integration_worker.resolve_incidents(
        standings integration_worker.standing[], settled_at timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT x.id
                            FROM unnest(standings) s
                            JOIN integration.endpoint e ON e.id = s.endpoint_id
                            JOIN LATERAL (
                                 SELECT y.id, y.error_class
                                   FROM integration.incident y
                                  WHERE y.endpoint = e.name AND y.resolved_at IS NULL AND y.state <> 'ignored'
                                    AND NOT integration_worker.is_watched(y.error_class)
                                    FOR NO KEY UPDATE SKIP LOCKED) x ON true
                           WHERE s.state = 'closed' AND s.alive
                             AND NOT EXISTS (SELECT FROM integration.queue q
                                              WHERE q.endpoint_id = s.endpoint_id AND q.state = 'failed'
                                                AND q.error_class = x.error_class));
BEGIN
    IF ids = '{}' THEN
        RETURN false;
    END IF;
    PERFORM integration_worker.end_incidents(ids, settled_at);
    RETURN true;
END
$$;
COMMENT ON FUNCTION integration_worker.resolve_incidents(integration_worker.standing[], timestamptz) IS
    'Resolves open incidents of endpoints that work, unless a watchdog has to or failed syncs of the class are left; says whether there were any.';
