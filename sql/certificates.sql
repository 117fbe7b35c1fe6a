-- Client certificates that are about to end.

INSERT INTO integration.phrase (key, words) VALUES
    ('certificate_ends', 'The certificate of credential "{credential}" ends at {at}.'),
    ('certificate_ended', 'The certificate of credential "{credential}" ended at {at}.'),
    ('certificate_shown', 'Endpoints that show it: {count}.');

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('certificate_ending', 300, 'See which version of the secret ends when.',
     'SELECT * FROM integration.secret_status WHERE credential = {credential};', 'administrator'),
    ('certificate_ending', 450, 'Order the next certificate from whoever issued this one, and have the other side know of it; then set it, with its key, in PEM. That ends this.',
     'SELECT integration.set_secret({credential}, ''…'');', 'administrator');

CREATE TABLE integration_worker.certificate (
    credential text NOT NULL,
    version integer NOT NULL,
    looked_at timestamptz NOT NULL,
    ends_at timestamptz,
    PRIMARY KEY (credential, version),
    FOREIGN KEY (credential, version) REFERENCES integration.secret ON UPDATE CASCADE ON DELETE CASCADE
);
COMMENT ON TABLE integration_worker.certificate IS
    'When the client certificate in a version of a secret ends, NULL: that can''t be told, as of when it was looked at.';

-- A file may hold another one by now, so each is opened once a day, more often while somebody waits for its successor;
-- a few at a time, since to open one takes milliseconds.
CREATE FUNCTION integration_worker.look_at_certificates(now timestamptz, within interval, most integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    looked integer;
BEGIN
    INSERT INTO integration_worker.certificate AS k (credential, version, looked_at, ends_at)
    SELECT s.credential, s.version, look_at_certificates.now, r.expires_at
      FROM (SELECT s.credential, s.version, c.kind, s.sealed
              FROM integration.credential c
              JOIN integration.secret s ON s.credential = c.name AND (s.not_after > look_at_certificates.now) IS NOT FALSE
              LEFT JOIN integration_worker.certificate x ON x.credential = s.credential AND x.version = s.version
             WHERE c.kind = 'client_certificate'
               AND (x.looked_at > look_at_certificates.now
                                  - CASE WHEN x.ends_at <= look_at_certificates.now + within THEN interval '10 min' ELSE '1 day' END) IS NOT TRUE
             ORDER BY x.looked_at NULLS FIRST
             LIMIT most) s
     CROSS JOIN LATERAL integration_worker.sealed(integration_worker.secret_place(s.credential, s.version), s.kind, s.sealed) r
        ON CONFLICT ON CONSTRAINT certificate_pkey DO UPDATE SET looked_at = EXCLUDED.looked_at, ends_at = EXCLUDED.ends_at;
    GET DIAGNOSTICS looked = ROW_COUNT;
    RETURN looked;
END
$$;
COMMENT ON FUNCTION integration_worker.look_at_certificates(timestamptz, interval, integer) IS
    'Opens so many certificates at most whose turn it is, and notes when they end; returns how many.';

-- Of what many endpoints show one incident is enough, at the first of them.  A version that begins later is the next one.
CREATE FUNCTION integration_worker.ending_certificates(now timestamptz, within interval)
    RETURNS TABLE (endpoint text, credential text, ends_at timestamptz, shown_by bigint)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(e.name), l.credential, l.ends_at, count(*)
      FROM (SELECT k.credential, max(k.ends_at) AS ends_at
              FROM integration_worker.certificate k
              JOIN integration.secret s ON s.credential = k.credential AND s.version = k.version
                                       AND (s.not_after > ending_certificates.now) IS NOT FALSE
             GROUP BY k.credential
            HAVING max(k.ends_at) <= ending_certificates.now + within) l
      JOIN (SELECT c.name, x.credential
              FROM integration.endpoint_config c
             CROSS JOIN LATERAL unnest(ARRAY[c.certificate, c.credential]) AS x (credential)) e ON e.credential = l.credential
     GROUP BY l.credential, l.ends_at
$$;
COMMENT ON FUNCTION integration_worker.ending_certificates(timestamptz, interval) IS
    'Credentials whose last client certificate ends soon or has ended, the first of the endpoints that show it, how many there are.';

CREATE FUNCTION integration_worker.watch_certificates(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    within CONSTANT interval := '14 days';
    most CONSTANT integer := 10;
    looked integer := integration_worker.look_at_certificates(watch_certificates.now, within, most);
    ending record;
    found_at text[] := '{}';
BEGIN
    FOR ending IN SELECT * FROM integration_worker.ending_certificates(watch_certificates.now, within) LOOP
        found_at := found_at || ending.endpoint;
        CONTINUE WHEN integration_worker.has_incident(ending.endpoint, 'certificate_ending');
        PERFORM integration_worker.open_incident(
            ending.endpoint, 'certificate_ending', watch_certificates.now,
            concat_ws(' ',
                integration_worker.say(CASE WHEN ending.ends_at > watch_certificates.now THEN 'certificate_ends' ELSE 'certificate_ended' END,
                    jsonb_build_object('credential', ending.credential, 'at', integration_worker.time_words(ending.ends_at))),
                integration_worker.say('certificate_shown', jsonb_build_object('count', ending.shown_by))));
    END LOOP;
    -- By the index incident_open.
    PERFORM integration_worker.end_incident(i.endpoint, i.error_class, watch_certificates.now)
       FROM integration.incident i
      WHERE i.error_class = 'certificate_ending' AND i.resolved_at IS NULL AND i.endpoint <> ALL (found_at);
    RETURN CASE WHEN looked = most THEN watch_certificates.now + interval '1 s' END;
END
$$;
COMMENT ON FUNCTION integration_worker.watch_certificates(timestamptz) IS
    'Watchdog: an incident for each client certificate that ends within 14 days; over once a later one is set, or no endpoint shows it.';
