-- The record of what people did: changes of the tables that they may write, one list of everything.

-- A row for each row that was inserted, changed or deleted: before and after, of a change only what differs.
-- The first argument names the columns of the key, the second those whose values nobody may read here.
CREATE FUNCTION integration_worker.record_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text[] := TG_ARGV[0];
    hidden text[] := TG_ARGV[1];
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    present jsonb := coalesce(after, before);
    differs text[] := ARRAY(SELECT m.key FROM jsonb_each(present) m
                             WHERE coalesce(before -> m.key, 'null') <> coalesce(after -> m.key, 'null'));
BEGIN
    IF differs = '{}' OR integration_worker.is_restoring() THEN
        RETURN NULL;
    END IF;
    INSERT INTO integration.action (verb, endpoint, details)
    VALUES (lower(TG_OP), CASE TG_TABLE_NAME WHEN 'endpoint' THEN present ->> 'name' ELSE present ->> 'endpoint' END,
            jsonb_build_object('table', TG_TABLE_NAME, 'key', ARRAY(SELECT present ->> k.name FROM unnest(key) AS k (name)))
            || CASE WHEN before IS NULL THEN '{}'
                    ELSE jsonb_build_object('before', integration_worker.members(before, differs, hidden)) END
            || CASE WHEN after IS NULL THEN '{}'
                    ELSE jsonb_build_object('after', integration_worker.members(after, differs, hidden)) END);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.record_change() IS
    'Row trigger: writes down what somebody changed in a table, before and after.';

CREATE FUNCTION integration_worker.members(document jsonb, names text[], hidden text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(m.key, CASE WHEN m.key = ANY (hidden) AND m.value <> 'null' THEN '"***"' ELSE m.value END)
      FROM jsonb_each(document) m
     WHERE m.key = ANY (names)
$$;
COMMENT ON FUNCTION integration_worker.members(jsonb, text[], text[]) IS
    'The members of these names, *** in place of hidden values; NULL: there is none.';

CREATE FUNCTION integration_worker.state_after(verb text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE verb WHEN 'retry' THEN 'pending' WHEN 'cancel' THEN 'cancelled' WHEN 'amend' THEN 'superseded'
                     WHEN 'acknowledge' THEN 'acknowledged' WHEN 'snooze' THEN 'snoozed' WHEN 'ignore' THEN 'ignored'
                     WHEN 'reopen' THEN 'open' WHEN 'resolve' THEN 'resolved' WHEN 'pause' THEN 'paused' WHEN 'resume' THEN 'closed' END;
COMMENT ON FUNCTION integration_worker.state_after(text) IS
    'The state into which an action brings a sync, an incident, an endpoint; NULL: into no other.';

CREATE VIEW integration.action_log AS
SELECT x.id, x.at, x.actor, x.verb,
       CASE WHEN x.details ? 'table' THEN concat_ws(' ', x.details ->> 'table',
                                                    (SELECT string_agg(k.value, ', ') FROM jsonb_array_elements_text(x.details -> 'key') k))
            WHEN x.outbox_id IS NOT NULL THEN 'sync ' || x.outbox_id
            WHEN x.incident IS NOT NULL THEN 'incident ' || x.incident
            WHEN x.details ? 'scope' THEN concat_ws(' ', x.details ->> 'scope', x.details ->> 'name')
            WHEN x.details ? 'role' THEN 'role ' || (x.details ->> 'role')
            WHEN x.endpoint IS NOT NULL THEN 'endpoint ' || x.endpoint END AS subject,
       x.reason,
       CASE WHEN x.details ? 'table' THEN x.details -> 'before'
            ELSE nullif(jsonb_strip_nulls(jsonb_build_object(
                'state', x.details -> 'state', 'assignee', x.details -> 'assignee', 'resolution', x.details -> 'resolution',
                'paused_because', x.details -> 'paused_because', 'paused_by', x.details -> 'paused_by',
                'open_until', x.details -> 'open_until', 'retry_after_until', x.details -> 'retry_after_until')), '{}') END AS before,
       CASE WHEN x.details ? 'table' THEN x.details -> 'after'
            ELSE nullif(jsonb_strip_nulls(jsonb_build_object('state', integration_worker.state_after(x.verb))
                        || coalesce(x.details, '{}')
                           - '{state,assignee,resolution,paused_because,paused_by,open_until,retry_after_until,scope,name,role}'::text[]
                        || jsonb_strip_nulls(jsonb_build_object('state', integration_worker.state_after(x.verb)))), '{}') END AS after,
       x.outbox_id, x.endpoint, x.incident
  FROM integration.action x;
COMMENT ON VIEW integration.action_log IS
    'Everything that people did, changes of tables too: who, what, why, before and after. Secrets are *** in it.';
COMMENT ON COLUMN integration.action_log.id IS 'Its number: action.id.';
COMMENT ON COLUMN integration.action_log.at IS 'When.';
COMMENT ON COLUMN integration.action_log.actor IS 'The database user of the session.';
COMMENT ON COLUMN integration.action_log.verb IS 'What was done: see action.verb.';
COMMENT ON COLUMN integration.action_log.subject IS 'To what: a sync, an incident, an endpoint, a row of a table.';
COMMENT ON COLUMN integration.action_log.reason IS 'Why, in the actor''s words.';
COMMENT ON COLUMN integration.action_log.before IS 'How it was; of a row that was changed, what was changed of it.';
COMMENT ON COLUMN integration.action_log.after IS 'What became of it, and with which conditions.';
COMMENT ON COLUMN integration.action_log.outbox_id IS 'The sync it touched.';
COMMENT ON COLUMN integration.action_log.endpoint IS 'The endpoint it touched.';
COMMENT ON COLUMN integration.action_log.incident IS 'The incident it touched.';
