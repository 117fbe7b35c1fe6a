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

-- Of what many endpoints show one incident is enough, at the first of them.  A version that begins later is the next one.
CREATE FUNCTION integration_worker.ending_certificates(now timestamptz, within interval DEFAULT '14 days')
    RETURNS TABLE (endpoint text, credential text, ends_at timestamptz, shown_by bigint)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT u.endpoint, l.credential, l.ends_at, u.shown_by
      FROM (SELECT c.name AS credential, max(r.expires_at) AS ends_at
              FROM integration.credential c
              JOIN integration.secret s ON s.credential = c.name AND (s.not_after > ending_certificates.now) IS NOT FALSE
             CROSS JOIN LATERAL integration_worker.sealed(integration_worker.secret_place(c.name, s.version), c.kind, s.sealed) r
             WHERE c.kind = 'client_certificate'
             GROUP BY c.name) l
     CROSS JOIN LATERAL (SELECT min(e.name) AS endpoint, count(*) AS shown_by
                           FROM integration.endpoint_config e
                          WHERE l.credential IN (e.certificate, e.credential)) u
     WHERE l.ends_at <= ending_certificates.now + within AND u.shown_by > 0
$$;
COMMENT ON FUNCTION integration_worker.ending_certificates(timestamptz, interval) IS
    'Credentials whose last client certificate ends soon or has ended, the first of the endpoints that show it, how many there are.';

CREATE FUNCTION integration_worker.watch_certificates(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ending record;
    found_at text[] := '{}';
BEGIN
    FOR ending IN SELECT * FROM integration_worker.ending_certificates(watch_certificates.now) LOOP
        found_at := found_at || ending.endpoint;
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
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.watch_certificates(timestamptz) IS
    'Watchdog: an incident for each client certificate that ends within 14 days; over once a later one is set, or no endpoint shows it.';
