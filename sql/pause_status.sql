-- What waits behind each kill switch.

-- In branches, so that each finds its syncs by an index: by endpoint, or by what the sync itself says of its customer.
CREATE VIEW integration_worker.behind_pause AS
SELECT p.scope, p.name, q.outbox_id
  FROM integration_worker.pause_in_force p
  JOIN integration.endpoint e ON integration_worker.pause_holds(p.scope, p.name, e.connector, e.name, ARRAY[e.customer])
  JOIN integration.queue q ON q.endpoint_id = e.id AND q.state <> 'failed'
UNION ALL
SELECT p.scope, p.name, q.outbox_id
  FROM integration_worker.pause_in_force p
  JOIN integration_worker.asked o ON o.customer = p.name
  JOIN integration.queue q ON q.outbox_id = o.id AND q.state <> 'failed'
  JOIN integration.endpoint e ON e.id = q.endpoint_id AND e.customer IS DISTINCT FROM p.name
 WHERE p.scope = 'customer';
COMMENT ON VIEW integration_worker.behind_pause IS
    'Which syncs each pause in force holds; those that wait for a person anyway are not among them.';

CREATE VIEW integration.pause_status AS
SELECT p.scope, CASE WHEN p.scope <> 'all' THEN p.name END AS name, p.reason, p.actor, p.error_class,
       p.since, p.until, statement_timestamp() - p.since AS lasts,
       coalesce(w.waiting, 0) AS waiting, coalesce(w.endpoints, 0) AS endpoints, coalesce(w.objects, 0) AS objects,
       coalesce(w.customers, 0) AS customers, w.impact, w.oldest, w.oldest_at,
       CASE WHEN p.scope = 'all' AND p.name <> '' THEN 'SELECT integration.adopt(''why'');'
            WHEN p.scope = 'all' THEN 'SELECT integration.resume(''all'', NULL, ''why'');'
            ELSE format('SELECT integration.resume(%L, %L, ''why'');', p.scope, p.name) END AS next_step,
       integration_worker.owner_of_scope(p.scope, p.name) AS owner
  FROM integration_worker.pause_in_force p
  LEFT JOIN (SELECT b.scope, b.name, count(*) AS waiting, count(DISTINCT o.endpoint) AS endpoints,
                    count(DISTINCT (o.object_type, o.object_id)) FILTER (WHERE o.object_id IS NOT NULL) AS objects,
                    count(DISTINCT coalesce(o.customer, e.customer)) AS customers,
                    sum(o.impact) AS impact, min(o.id) AS oldest, min(o.created_at) AS oldest_at
               FROM integration_worker.behind_pause b
               JOIN integration_worker.asked o ON o.id = b.outbox_id
               JOIN integration.endpoint e ON e.name = o.endpoint
              GROUP BY b.scope, b.name) w USING (scope, name)
 ORDER BY w.impact DESC NULLS LAST, w.waiting DESC NULLS LAST, p.since;
COMMENT ON VIEW integration.pause_status IS
    'The pauses in force with what waits behind each, most at stake first; next_step ends one. Of a pause whose time is over nothing is left here.';
COMMENT ON COLUMN integration.pause_status.scope IS 'What is held: all, connector, endpoint or customer.';
COMMENT ON COLUMN integration.pause_status.name IS 'Which one; NULL: everything.';
COMMENT ON COLUMN integration.pause_status.reason IS 'Why, in the words of who did it.';
COMMENT ON COLUMN integration.pause_status.actor IS 'Who did it; integration: the endpoint has paused itself.';
COMMENT ON COLUMN integration.pause_status.error_class IS 'For what it has paused itself; NULL: somebody has paused it.';
COMMENT ON COLUMN integration.pause_status.since IS 'Since when.';
COMMENT ON COLUMN integration.pause_status.until IS 'Until when; NULL: until somebody resumes.';
COMMENT ON COLUMN integration.pause_status.lasts IS 'How long so far.';
COMMENT ON COLUMN integration.pause_status.waiting IS 'Syncs that wait to be sent.';
COMMENT ON COLUMN integration.pause_status.endpoints IS 'Different endpoints among them.';
COMMENT ON COLUMN integration.pause_status.objects IS 'Different business objects among them.';
COMMENT ON COLUMN integration.pause_status.customers IS 'Different customers among them.';
COMMENT ON COLUMN integration.pause_status.owner IS 'The team that looks after what is held; NULL: everything is, or nobody does.';
COMMENT ON COLUMN integration.pause_status.impact IS 'What is at stake, in the application''s unit; NULL: none was given.';
COMMENT ON COLUMN integration.pause_status.oldest IS 'The first of them.';
COMMENT ON COLUMN integration.pause_status.oldest_at IS 'When the oldest of them was asked for.';
COMMENT ON COLUMN integration.pause_status.next_step IS 'The statement that ends it.';
