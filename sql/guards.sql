-- What may not be changed or removed; what a change of the registry sets off.

CREATE FUNCTION integration_worker.keep_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unfinished bigint := (SELECT count(*) FROM integration.queue q WHERE q.endpoint_id = OLD.id);
BEGIN
    IF unfinished > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('endpoint "%s" cannot be deleted: it has unfinished syncs', OLD.name),
            DETAIL = format('Unfinished syncs: %s.', unfinished),
            HINT = format('Wait until they are delivered, or cancel them: '
                          'UPDATE integration.sync SET state = ''cancelled'' '
                          'WHERE endpoint = %L AND state IN (''pending'', ''retrying'', ''failed'').', OLD.name);
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_endpoint() IS
    'Row trigger: an endpoint with unfinished syncs stays.';

-- The immutable outbox rows say the name, so a new name would leave them without their endpoint.
CREATE FUNCTION integration_worker.keep_endpoint_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.id <> OLD.id THEN
        RAISE EXCEPTION USING
            ERRCODE = 'generated_always',
            MESSAGE = format('the id of endpoint "%s" cannot be changed', OLD.name),
            DETAIL = 'Queue and attempts refer to it.',
            HINT = 'Change other columns only.';
    END IF;
    IF EXISTS (SELECT FROM integration.queue q WHERE q.endpoint_id = OLD.id)
       OR EXISTS (SELECT FROM integration.attempt a WHERE a.endpoint_id = OLD.id)
       OR EXISTS (SELECT FROM integration.outbox o WHERE o.endpoint = OLD.name) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('endpoint "%s" cannot be renamed: there are syncs to it', OLD.name),
            DETAIL = 'What was asked is kept as it was asked, with the endpoint''s name.',
            HINT = format('Insert an endpoint "%s" beside it, and delete "%s" when its syncs are finished.',
                          NEW.name, OLD.name);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_endpoint_name() IS
    'Row trigger: an endpoint that syncs refer to keeps its name and id.';

CREATE TRIGGER keep_endpoint BEFORE DELETE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.keep_endpoint();
CREATE TRIGGER keep_name BEFORE UPDATE ON integration.endpoint
    FOR EACH ROW WHEN (NEW.name <> OLD.name OR NEW.id <> OLD.id)
    EXECUTE FUNCTION integration_worker.keep_endpoint_name();

CREATE TABLE integration_worker.deleted_endpoint (
    id integer PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    is_swept boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE integration_worker.deleted_endpoint IS
    'Endpoints that were deleted lately: what answers on their way leave behind is still to be removed.';
COMMENT ON COLUMN integration_worker.deleted_endpoint.id IS 'endpoint.id.';
COMMENT ON COLUMN integration_worker.deleted_endpoint.at IS 'When it was deleted.';
COMMENT ON COLUMN integration_worker.deleted_endpoint.is_swept IS 'Retention is at it.';

-- An endpoint of the same name later has another id, so what was known about this one is of no use.
CREATE FUNCTION integration_worker.forget_endpoint() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids bigint[];
BEGIN
    DELETE FROM integration.endpoint_health h WHERE h.endpoint_id = OLD.id;
    DELETE FROM integration.sync_status s WHERE s.endpoint_id = OLD.id;
    DELETE FROM integration.pause p WHERE p.scope = 'endpoint' AND p.name = OLD.name;
    WITH ended AS (
        UPDATE integration.incident i
           SET state = 'resolved', resolved_at = now()
         WHERE i.endpoint = OLD.name AND i.resolved_at IS NULL
        RETURNING i.id
    )
    SELECT ARRAY(SELECT e.id FROM ended e) INTO ids;
    PERFORM integration_worker.tell(ids, 'resolved');
    INSERT INTO integration_worker.deleted_endpoint (id) VALUES (OLD.id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.forget_endpoint() IS
    'Row trigger: removes what a deleted endpoint leaves behind but its history.';

CREATE TRIGGER forget_endpoint AFTER DELETE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.forget_endpoint();

-- Else a new name would let go what a pause holds.
CREATE FUNCTION integration_worker.carry_pause() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.pause p WHERE p.scope = TG_TABLE_NAME AND p.name = NEW.name;
    UPDATE integration.pause p SET name = NEW.name WHERE p.scope = TG_TABLE_NAME AND p.name = OLD.name;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.carry_pause() IS
    'Row trigger: a pause follows its connector or endpoint to a new name.';

CREATE TRIGGER carry_pause AFTER UPDATE ON integration.connector
    FOR EACH ROW WHEN (NEW.name <> OLD.name)
    EXECUTE FUNCTION integration_worker.carry_pause();
CREATE TRIGGER carry_pause AFTER UPDATE ON integration.endpoint
    FOR EACH ROW WHEN (NEW.name <> OLD.name)
    EXECUTE FUNCTION integration_worker.carry_pause();

CREATE FUNCTION integration_worker.keep_outbox() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s cannot be changed: the outbox keeps what was asked', OLD.id),
            HINT = format('To send other data in its place: SELECT integration.amend(%s, ''{…}'', ''why''); '
                          'to send the same again: SELECT integration.retry(%s, ''why'').', OLD.id, OLD.id);
    END IF;
    IF EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = OLD.id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('sync %s cannot be deleted: it is not finished', OLD.id),
            HINT = format('Cancel it: SELECT integration.cancel(%s, ''why''); retention removes it later.', OLD.id);
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION integration_worker.keep_outbox() IS
    'Row trigger: the outbox is immutable but for retention.';

CREATE TRIGGER keep_outbox BEFORE UPDATE OR DELETE ON integration.outbox
    FOR EACH ROW EXECUTE FUNCTION integration_worker.keep_outbox();

CREATE FUNCTION integration_worker.keep_attempt() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('attempt %s of sync %s cannot be changed: attempts say what happened',
                         OLD.attempt_no, OLD.outbox_id),
        HINT = format('To have the sync tried again: SELECT integration.retry(%s, ''why'').', OLD.outbox_id);
END
$$;
COMMENT ON FUNCTION integration_worker.keep_attempt() IS
    'Row trigger: attempts are immutable but for retention.';

CREATE TRIGGER keep_attempt BEFORE UPDATE ON integration.attempt
    FOR EACH ROW EXECUTE FUNCTION integration_worker.keep_attempt();

CREATE FUNCTION integration_worker.called_with(table_name text, changed jsonb) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text := changed ->> CASE table_name WHEN 'secret' THEN 'credential' WHEN 'error_rule' THEN 'endpoint' ELSE 'name' END;
    product text := CASE table_name WHEN 'connector' THEN key WHEN 'error_rule' THEN changed ->> 'connector' END;
BEGIN
    IF table_name IN ('endpoint', 'error_rule') AND key IS NOT NULL THEN
        RETURN ARRAY[key];
    ELSIF product IS NOT NULL THEN
        RETURN ARRAY(SELECT e.name FROM integration.endpoint e WHERE e.connector = product);
    ELSIF table_name = 'error_rule' THEN
        RETURN ARRAY(SELECT e.name FROM integration.endpoint e);
    END IF;
    RETURN ARRAY(SELECT c.name FROM integration.endpoint_config c WHERE key IN (c.credential, c.signing, c.certificate));
END
$$;
COMMENT ON FUNCTION integration_worker.called_with(text, jsonb) IS
    'The endpoints that are called with this row of a table of the registry.';

-- A stopped endpoint waits for somebody to act; a change of what it is called with is such an act.
CREATE FUNCTION integration_worker.probe_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    -- By key, however few rows there were when the plan was made: a statement may change ten thousand endpoints.
    SET enable_seqscan = off
AS $$
DECLARE
    endpoints text[] := integration_worker.called_with(TG_TABLE_NAME, to_jsonb(NEW));
BEGIN
    -- What tripped it is no suspect any more: it may well have been what was changed.  A probe that is out already is
    -- none of the new settings.
    UPDATE integration.endpoint_health h
       SET open_until = clock_timestamp(), tripped_by = NULL
      FROM integration.endpoint e
     WHERE e.name = ANY (endpoints)
       AND h.endpoint_id = e.id
       AND h.state = 'stopped';
    IF EXISTS (SELECT FROM integration.pause p
                WHERE p.scope = 'endpoint' AND p.name = ANY (endpoints) AND p.error_class IS NOT NULL) THEN
        PERFORM integration_worker.end_own_pauses(endpoints, TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.probe_changed() IS
    'Row trigger: has endpoints that are stopped, or have paused themselves, called at once when they, their connector, their credential or an error rule for them changed.';

CREATE TRIGGER probe_changed AFTER UPDATE ON integration.endpoint
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();
CREATE TRIGGER probe_changed AFTER UPDATE ON integration.connector
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();
CREATE TRIGGER probe_changed AFTER UPDATE ON integration.credential
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();
CREATE TRIGGER probe_changed AFTER INSERT OR UPDATE ON integration.secret
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();

CREATE TRIGGER probe_changed AFTER INSERT OR UPDATE ON integration.error_rule
    FOR EACH ROW EXECUTE FUNCTION integration_worker.probe_changed();

CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.error_rule
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.endpoint
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.connector
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.credential
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.secret
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON integration.pause
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();
