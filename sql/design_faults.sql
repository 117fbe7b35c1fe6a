-- Many different objects refused alike, none accepted: it is the integration, not the data.

INSERT INTO integration.phrase (key, words) VALUES
    ('design_fault.found', '{objects} different objects were refused alike ({title}), the last with {reason}, and nothing was accepted between them. The endpoint is stopped, so that there won''t be more.');

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('design_fault', 300, 'Compare what was refused: what do these have in common that the other system doesn''t take?',
     'SELECT id, object_type, object_id, error FROM integration.failed WHERE endpoint = {endpoint} ORDER BY id DESC LIMIT 20;', '{owner}'),
    ('design_fault', 450, 'Once the mapping is right, give up what waits as the wrong one has made it, and enqueue those objects anew.',
     'UPDATE integration.sync SET state = ''cancelled'' WHERE endpoint = {endpoint} AND state IN (''pending'', ''retrying'', ''failed'');', '{owner}');

-- From the newest attempt back to the last delivery, by the index (endpoint_id, started_at) of each range: where
-- deliveries and refusals mix, a few rows are read.  One object that is refused again and again counts once.
CREATE FUNCTION integration_worker.refuses_alike(endpoint_id integer, error_class text, since timestamptz, many integer)
    RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tried record;
    objects text[] := '{}';
BEGIN
    FOR tried IN
        SELECT a.outcome, ROW (o.object_type, o.object_id)::text AS object,
               a.error_class = refuses_alike.error_class AND a.http_status IS NOT NULL AND o.object_id IS NOT NULL AS is_alike
          FROM (SELECT x.* FROM integration.attempt x
                 WHERE x.endpoint_id = refuses_alike.endpoint_id AND x.started_at >= refuses_alike.since
                 ORDER BY x.started_at DESC
                 LIMIT 10 * many) a
         CROSS JOIN LATERAL (SELECT x.object_type, x.object_id, x.operation
                               FROM integration.outbox x WHERE x.id = a.outbox_id OFFSET 0) o
         WHERE o.operation <> 'ping'
         ORDER BY a.started_at DESC
    LOOP
        EXIT WHEN tried.outcome = 'delivered';
        IF tried.is_alike AND tried.object <> ALL (objects) THEN
            objects := objects || tried.object;
        END IF;
        EXIT WHEN cardinality(objects) >= many;
    END LOOP;
    RETURN cardinality(objects) >= many;
END
$$;
COMMENT ON FUNCTION integration_worker.refuses_alike(integer, text, timestamptz, integer) IS
    'Has an endpoint refused so many different objects with this class since a time, and accepted nothing between them?';

CREATE FUNCTION integration_worker.stop_design_fault(
        standing integration_worker.standing, refused integration_worker.verdict, many integer, settled_at timestamptz)
    RETURNS integration_worker.standing
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place text := (SELECT e.name FROM integration.endpoint e WHERE e.id = standing.endpoint_id);
BEGIN
    PERFORM FROM integration.endpoint_health h WHERE h.endpoint_id = standing.endpoint_id FOR NO KEY UPDATE;
    standing := integration_worker.stop(standing, NULL, settled_at);
    standing.stopped_for := 'design_fault';
    PERFORM integration_worker.tell_more(
        place, 'design_fault', settled_at,
        integration_worker.say('design_fault.found', jsonb_build_object(
            'objects', many, 'reason', refused.reason,
            'title', (SELECT k.title FROM integration.error_class k WHERE k.name = refused.error_class))),
        refused.outbox_id);
    UPDATE integration.incident i
       SET syncs = i.syncs + many, objects = i.objects + many
     WHERE i.endpoint = place AND i.error_class = 'design_fault' AND i.resolved_at IS NULL;
    RETURN standing;
END
$$;
COMMENT ON FUNCTION integration_worker.stop_design_fault(
        integration_worker.standing, integration_worker.verdict, integer, timestamptz) IS
    'The endpoint as stopped for a design fault; engineering is told.';

-- One look for each endpoint of a batch that refused something.  Should somebody hold what is to be written, the
-- next refusal stops the endpoint.
CREATE FUNCTION integration_worker.find_design_faults(
        verdicts integration_worker.verdict[], standings integration_worker.standing[], settled_at timestamptz)
    RETURNS integration_worker.standing[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10ms'
AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN s.state = 'closed' AND r.many > 0
                         AND integration_worker.refuses_alike(s.endpoint_id, (r.refused).error_class, s.since, r.many)
                    THEN integration_worker.stop_design_fault(s, r.refused, r.many, settled_at)
                    ELSE s END
          FROM unnest(standings) s
          LEFT JOIN LATERAL (
               SELECT v::integration_worker.verdict AS refused, c.refusals_alike AS many
                 FROM unnest(verdicts) v
                 JOIN integration.endpoint_config c ON c.id = v.endpoint_id
                WHERE v.endpoint_id = s.endpoint_id AND v.state = 'failed' AND v.effect = 'alive' AND v.object_id IS NOT NULL
                ORDER BY v.n DESC
                LIMIT 1) r ON true);
EXCEPTION WHEN lock_not_available THEN
    RETURN standings;
END
$$;
COMMENT ON FUNCTION integration_worker.find_design_faults(
        integration_worker.verdict[], integration_worker.standing[], timestamptz) IS
    'Stops endpoints that refuse whatever they are sent; never waits for a lock.';

CREATE FUNCTION integration_worker.watch_design_faults(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM integration_worker.end_incident(i.endpoint, i.error_class, watch_design_faults.now)
       FROM integration.incident i
       LEFT JOIN integration.endpoint e ON e.name = i.endpoint
       LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
      WHERE i.error_class = 'design_fault' AND i.resolved_at IS NULL
        AND (e.id IS NULL OR (h.state = 'closed' AND h.last_success_at > i.last_seen_at));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.watch_design_faults(timestamptz) IS
    'Ends incidents of endpoints that accept something again.';
