-- A copied database doesn't send: what tells it from its original, how it takes over.

-- What tells this database here from every copy of it: another cluster (a restore, pg_upgrade), another database of
-- the same cluster (a template), another history (a restore to a point in time), another place (a copy of the files),
-- another environment (what the others can't tell: a promoted clone, a snapshot of the machine).  What can't be known
-- here is left out.
CREATE FUNCTION integration_worker.fingerprint() RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
               'system', (SELECT s.system_identifier::text FROM pg_control_system() s),
               'database', (SELECT d.oid::text FROM pg_database d WHERE d.datname = current_database()),
               'timeline', substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
               'machine', left(encode(sha256(convert_to('integration' || p.machine, 'UTF8')), 'hex'), 16),
               'directory', p.directory,
               'file', concat_ws(' ', p.inode, p.born),
               'environment', current_setting('integration.environment')))
      FROM integration_worker.place() p
$$;
COMMENT ON FUNCTION integration_worker.fingerprint() IS
    'What this database is recognised by, by kind; not to be called on a standby.';

-- Nothing was recorded for a row that came out of a dump.
CREATE FUNCTION integration_worker.differences(adopted jsonb, present jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN adopted IS NULL THEN ARRAY['dump']
                ELSE ARRAY(SELECT a.key
                             FROM jsonb_each_text(adopted) a
                             JOIN jsonb_each_text(present) p ON p.key = a.key
                            WHERE p.value <> a.value
                            ORDER BY a.key) END
$$;
COMMENT ON FUNCTION integration_worker.differences(jsonb, jsonb) IS
    'In which kinds two fingerprints differ, as far as both know them.';

INSERT INTO integration.phrase (key, words) VALUES
    ('adopt.no_copy', 'this database is no copy: it sends already'),
    ('copied_database.remedy', 'This database is a copy: {difference}. If it takes over from the original, run SELECT integration.adopt(); '
                               'if the original still sends, leave it as it is.'),
    ('copied_database.dump', 'it was restored from a dump'),
    ('copied_database.system', 'it came from another cluster, by a dump or pg_upgrade'),
    ('copied_database.database', 'it was made from another database as its template'),
    ('copied_database.environment', 'it sent in environment "{environment}", and this is "{present}" (integration.environment)'),
    ('copied_database.timeline', 'it was restored to an earlier point in time'),
    ('copied_database.directory', 'its data directory is a copy, or was moved'),
    ('copied_database.machine', 'its data directory is a copy, or was moved to another machine');

CREATE FUNCTION integration_worker.copy_words(adopted jsonb, present jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.say('copied_database.' || k.kind, coalesce(adopted, '{}') || jsonb_build_object('present', present -> 'environment'))
      FROM (SELECT integration_worker.differences(adopted, present) AS kinds) d
     CROSS JOIN LATERAL (
           SELECT CASE WHEN 'dump' = ANY (d.kinds) THEN 'dump'
                       WHEN 'system' = ANY (d.kinds) THEN 'system'
                       WHEN 'database' = ANY (d.kinds) THEN 'database'
                       WHEN 'environment' = ANY (d.kinds) THEN 'environment'
                       WHEN d.kinds = '{timeline}' THEN 'timeline'
                       WHEN 'machine' = ANY (d.kinds) THEN 'machine'
                       WHEN d.kinds <> '{}' THEN 'directory' END AS kind) k
$$;
COMMENT ON FUNCTION integration_worker.copy_words(jsonb, jsonb) IS
    'Why a database is taken for a copy, as a part of a sentence; NULL: it is none.';

CREATE FUNCTION integration_worker.is_adopted() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT integration_worker.differences(i.fingerprint, integration_worker.fingerprint()) = '{}'
                       FROM integration.installation i), false)
$$;
COMMENT ON FUNCTION integration_worker.is_adopted() IS
    'Whether this database may send, or is a copy that nobody has let take over.';

-- A name of its own keeps its pause apart from one that somebody made, and both out of each other's way.
CREATE FUNCTION integration_worker.is_held_as_copy() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM integration.pause p WHERE p.scope = 'all' AND p.name = 'copied_database')
$$;
COMMENT ON FUNCTION integration_worker.is_held_as_copy() IS
    'Whether the pause of a copied database is in force.';

-- The worker may find a copy while it is being restored, so that the incident must not take an id that is about to
-- come out of the dump: its id is 0, and a dump leaves it out.
CREATE FUNCTION integration_worker.hold_copy(words text) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    advice text := integration_worker.say('copied_database.remedy', jsonb_build_object('difference', words));
BEGIN
    -- Also a statement that inserts nothing would wake the worker, which would look again.
    IF NOT integration_worker.is_held_as_copy() THEN
        INSERT INTO integration.pause (scope, name, reason, actor)
        VALUES ('all', 'copied_database', 'copied_database', 'integration worker')
            ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO integration.incident AS i (id, endpoint, error_class, severity, owner, responsible, remedy)
    OVERRIDING SYSTEM VALUE
    VALUES (0, '', 'copied_database', 1, integration_worker.owner_of(NULL, 'copied_database', NULL, 'operations'), 'operations', advice)
        ON CONFLICT (id) DO UPDATE
        SET state = CASE WHEN i.resolved_at IS NULL THEN i.state ELSE 'open' END,
            opened_at = CASE WHEN i.resolved_at IS NULL THEN i.opened_at ELSE now() END,
            remedy = excluded.remedy, last_seen_at = now(), resolved_at = NULL
      WHERE i.resolved_at IS NOT NULL OR i.remedy <> excluded.remedy;
    RETURN advice;
END
$$;
COMMENT ON FUNCTION integration_worker.hold_copy(text) IS
    'Pauses a copy, opens its incident; returns what is to be said about it.';

CREATE FUNCTION integration_worker.release_copy() RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM integration.pause p WHERE p.scope = 'all' AND p.name = 'copied_database';
    UPDATE integration.incident i
       SET state = 'resolved', resolved_at = now()
     WHERE i.id = 0 AND i.resolved_at IS NULL
$$;
COMMENT ON FUNCTION integration_worker.release_copy() IS
    'Ends the pause of a copy and its incident.';

-- A promoted standby is no copy: it is elsewhere, and its history has a new branch.  Unless it followed a copy.
CREATE FUNCTION integration_worker.is_promoted(kinds text[]) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT kinds <@ '{timeline,machine,directory,file}'
           AND (SELECT p.was_standby FROM integration_worker.place() p)
           AND NOT integration_worker.is_held_as_copy()
$$;
COMMENT ON FUNCTION integration_worker.is_promoted(text[]) IS
    'Whether a promotion explains all these differences.';

CREATE FUNCTION integration_worker.look_for_copy(OUT problem text, OUT renewed text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present jsonb := integration_worker.fingerprint();
    adopted jsonb := (SELECT i.fingerprint FROM integration.installation i);
    kinds text[] := integration_worker.differences(adopted, present);
BEGIN
    IF kinds = '{}' THEN
        IF integration_worker.is_held_as_copy() THEN
            PERFORM integration_worker.release_copy();
        END IF;
    ELSIF integration_worker.is_promoted(kinds) THEN
        UPDATE integration.installation SET fingerprint = present;
        renewed := 'this server was promoted from a standby';
    ELSE
        problem := integration_worker.hold_copy(integration_worker.copy_words(adopted, present));
    END IF;
END
$$;
COMMENT ON FUNCTION integration_worker.look_for_copy() IS
    'Whether the database is a copy: why, as a sentence, NULL if not; why its fingerprint was renewed without anybody''s consent.';

-- Ids of another cluster that this one has not given out yet would count as new when it does.
CREATE FUNCTION integration_worker.renew_foreign_ids() RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE integration.queue q
       SET change_xid = pg_current_xact_id()
     WHERE q.change_xid >= pg_snapshot_xmax(pg_current_snapshot())
$$;
COMMENT ON FUNCTION integration_worker.renew_foreign_ids() IS
    'Makes queue rows with transaction ids that this cluster has not given out yet rows of this transaction; by the index queue_change.';

-- No dump says in which order tables of an extension are loaded, and pg_restore -j loads several at once: what a
-- restore makes doesn't look at what its rows refer to, until somebody takes over.
CREATE FUNCTION integration_worker.check_references(are_checked boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reference record;
    missing text;
BEGIN
    FOR reference IN
        SELECT t.tgname AS trigger, c.conname, c.conrelid::regclass AS child, c.confrelid::regclass AS parent,
               a.attname AS child_column, p.attname AS parent_column
          FROM pg_trigger t
          JOIN pg_constraint c ON c.oid = t.tgconstraint AND c.contype = 'f' AND c.conrelid = t.tgrelid
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
          JOIN pg_attribute p ON p.attrelid = c.confrelid AND p.attnum = c.confkey[1]
         WHERE c.connamespace = 'integration'::regnamespace AND (t.tgenabled = 'D') = are_checked
         ORDER BY c.conname, t.tgname
    LOOP
        EXECUTE format('ALTER TABLE %s %s TRIGGER %I', reference.child,
                       CASE WHEN are_checked THEN 'ENABLE' ELSE 'DISABLE' END, reference.trigger);
        CONTINUE WHEN NOT are_checked;
        EXECUTE format('SELECT min(x.%2$I) FROM %1$s x WHERE NOT EXISTS (SELECT FROM %3$s p WHERE p.%4$I = x.%2$I)',
                       reference.child, reference.child_column, reference.parent, reference.parent_column)
           INTO missing;
        IF missing IS NOT NULL THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('%s refers to %s "%s", which does not exist', reference.child, reference.parent, missing),
                DETAIL = 'The dump was not restored as a whole, or the row was changed before adopt().',
                HINT = format('Insert the %s, or change column %s, then run SELECT integration.adopt() again.',
                              reference.parent, reference.child_column);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION integration_worker.check_references(boolean) IS
    'Switches the checks of all foreign keys on, after looking at what is there, or off.';

CREATE FUNCTION integration.adopt(reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present jsonb := integration_worker.fingerprint();
    home integration.installation;
    words text;
BEGIN
    INSERT INTO integration.installation (name)
    SELECT integration_worker.new_name()
     WHERE NOT EXISTS (SELECT FROM integration.installation);
    SELECT i.* INTO home FROM integration.installation i FOR UPDATE;
    words := integration_worker.copy_words(home.fingerprint, present);
    IF words IS NULL AND NOT integration_worker.is_held_as_copy() THEN
        RAISE NOTICE '%', integration_worker.say('adopt.no_copy');
        RETURN 0;
    END IF;
    PERFORM integration_worker.check_references(true);
    PERFORM pg_current_xact_id();
    PERFORM integration_worker.renew_foreign_ids();
    -- A dump of 0.1.0 has no such columns.
    PERFORM integration_worker.recall_attempts(
                ARRAY(SELECT q.outbox_id FROM integration.queue q WHERE q.attempts > 0 AND q.last_attempt_at IS NULL));
    UPDATE integration.installation i SET fingerprint = present, adopted_at = now(), adopted_by = session_user;
    PERFORM integration_worker.release_copy();
    INSERT INTO integration.action (verb, reason, details)
    VALUES ('adopt', nullif(btrim(adopt.reason), ''), jsonb_strip_nulls(jsonb_build_object('copied', words)));
    PERFORM integration_worker.wake_at_commit(true);
    RETURN (SELECT count(*) FROM integration.queue q WHERE q.state <> 'failed');
END
$$;
COMMENT ON FUNCTION integration.adopt(text) IS
    'Has a copied database take over from its original: it sends from now on. Returns how many syncs wait to be sent.';

-- A row that comes out of a dump says nothing about this database.
CREATE FUNCTION integration_worker.one_installation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM integration.installation i WHERE i.name <> NEW.name;
    NEW.fingerprint := NULL;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION integration_worker.one_installation() IS
    'Row trigger: a new name of the installation takes the place of the old one, and is a copy until somebody takes over.';

CREATE TRIGGER one_installation BEFORE INSERT ON integration.installation
    FOR EACH ROW EXECUTE FUNCTION integration_worker.one_installation();
CREATE TRIGGER wake AFTER INSERT OR UPDATE OR DELETE ON integration.installation
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.wake();

-- Without endpoints there is nothing to copy: a template that only has the extension gives each database made from it
-- a beginning of its own.
CREATE FUNCTION integration_worker.begin_installation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE integration.installation i
       SET fingerprint = integration_worker.fingerprint(), name = integration_worker.new_name()
     WHERE i.fingerprint = '{}';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.begin_installation() IS
    'Statement trigger: with its first endpoint the installation gets its fingerprint, and a name that no copy made before has.';

CREATE TRIGGER begin_installation AFTER INSERT ON integration.endpoint
    FOR EACH STATEMENT EXECUTE FUNCTION integration_worker.begin_installation();

-- What a restore makes is a copy from the start, since its syncs may arrive before the row of the installation does.
UPDATE integration.installation
   SET fingerprint = CASE WHEN NOT integration_worker.is_restoring() THEN '{}'::jsonb END;
SELECT integration_worker.check_references(false)
 WHERE integration_worker.is_restoring();
