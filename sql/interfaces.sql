-- What answers say of their own end, of their version: deprecation, sunset, a version that changes.

INSERT INTO integration.phrase (key, words) VALUES
    ('interface.deprecated', 'The other side calls this interface deprecated.'),
    ('interface.deprecated_at', 'The other side has deprecated this interface as of {at}.'),
    ('interface.ends_at', 'It ends at {at}.'),
    ('interface.version', 'Since {since} its answers are of version {version}; before, they were of {before}.'),
    ('interface.link', 'More about it: {link}');

INSERT INTO integration.runbook_step (error_class, "position", what, statement, who) VALUES
    ('interface_ending', 300, 'See which endpoints it is about, until when, what each has said.',
     'SELECT * FROM integration.interface_status;', NULL),
    ('interface_ending', 450, 'Once the new version is what we are written for, say so: of a change of version that is the end.',
     'UPDATE integration.connector SET api_version = ''…'' WHERE name = {connector};', '{owner}');

CREATE TABLE integration.version_header (
    name text PRIMARY KEY CHECK (name ~ '^[a-z0-9!#$%&''*+.^_`|~-]+$'),
    shipped boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE integration.version_header IS
    'Headers of answers that say which version of an API has answered. Add those of the APIs you call.';
COMMENT ON COLUMN integration.version_header.name IS 'The header''s name in lower case.';
COMMENT ON COLUMN integration.version_header.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

INSERT INTO integration.version_header (name) VALUES
    ('api-version'), ('x-api-version'), ('stripe-version'), ('x-shopify-api-version'), ('x-github-api-version-selected'),
    ('facebook-api-version');

CREATE TABLE integration_worker.interface (
    endpoint_id integer PRIMARY KEY REFERENCES integration.endpoint (id) ON DELETE CASCADE,
    looked_at timestamptz NOT NULL,
    is_deprecated boolean NOT NULL DEFAULT false,
    deprecated_at timestamptz,
    ends_at timestamptz,
    link text,
    version text,
    version_since timestamptz,
    version_before text,
    example bigint
);
COMMENT ON TABLE integration_worker.interface IS
    'What the answers of each endpoint have said of their interface when they were last looked at.';

-- RFC 9110 §5.6.7: one form to send, two more to understand.
CREATE FUNCTION integration_worker.http_date(value text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO, DMY'
AS $$
BEGIN
    IF value ~ '^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$'
       OR value ~ '^[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT$' THEN
        RETURN substr(value, strpos(value, ',') + 1)::timestamptz;
    ELSIF value ~ '^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$' THEN
        RETURN (substr(value, 5) || ' GMT')::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION integration_worker.http_date(text) IS 'A date of HTTP; NULL: it is none.';

-- RFC 9745 has Deprecation as seconds since 1970 behind an @; drafts of it had true, or a date of HTTP.
CREATE FUNCTION integration_worker.read_interface(
        headers jsonb, version_headers text[],
        OUT is_deprecated boolean, OUT deprecated_at timestamptz, OUT ends_at timestamptz, OUT link text, OUT version text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deprecation text := btrim(headers ->> 'deprecation');
BEGIN
    is_deprecated := coalesce(deprecation NOT IN ('', 'false', '?0'), false);
    deprecated_at := CASE WHEN deprecation ~ '^@\d{1,11}$' THEN to_timestamp(substr(deprecation, 2)::bigint)
                          ELSE integration_worker.http_date(deprecation) END;
    ends_at := integration_worker.http_date(btrim(headers ->> 'sunset'));
    IF is_deprecated OR ends_at IS NOT NULL THEN
        link := substring(headers ->> 'link' FROM '<(https?://[^<>\s]+)>\s*;[^,]*rel="?(?:deprecation|sunset|successor-version)');
    END IF;
    version := (SELECT nullif(left(btrim(headers ->> v.name), 100), '')
                  FROM unnest(version_headers) WITH ORDINALITY AS v (name, n)
                 WHERE headers ? v.name
                 ORDER BY v.n
                 LIMIT 1);
END
$$;
COMMENT ON FUNCTION integration_worker.read_interface(jsonb, text[]) IS
    'What the headers of an answer say of its interface: Deprecation (RFC 9745), Sunset (RFC 8594), where to read more, the version.';

-- Each endpoint at most once an hour, by the index (endpoint_id, started_at) of each range: sending takes no notice.
-- What was announced stays so until something is delivered without it.
CREATE FUNCTION integration_worker.look_at_interfaces(now timestamptz, most integer) RETURNS SETOF integration_worker.interface
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET jit = off
AS $$
    SELECT d.endpoint_id, look_at_interfaces.now,
           s.is_deprecated OR (coalesce(d.is_deprecated, false) AND s.has_delivered IS NOT TRUE),
           CASE WHEN s.announces OR s.has_delivered THEN s.deprecated_at ELSE d.deprecated_at END,
           CASE WHEN s.announces OR s.has_delivered THEN s.ends_at ELSE d.ends_at END,
           CASE WHEN s.announces OR s.has_delivered THEN s.link ELSE d.link END,
           coalesce(s.version, d.version),
           CASE WHEN s.version = d.version OR s.version IS NULL THEN d.version_since ELSE look_at_interfaces.now END,
           CASE WHEN s.version <> d.version THEN d.version ELSE d.version_before END,
           coalesce(s.example, d.example)
      FROM (SELECT h.endpoint_id, i.looked_at, i.is_deprecated, i.deprecated_at, i.ends_at, i.link, i.version, i.version_since,
                   i.version_before, i.example
              FROM integration.endpoint_health h
              LEFT JOIN integration_worker.interface i ON i.endpoint_id = h.endpoint_id
             WHERE greatest(h.last_success_at, h.last_failure_at) > coalesce(i.looked_at, '-infinity')
               AND (i.looked_at <= look_at_interfaces.now - interval '1 h') IS NOT FALSE
             ORDER BY i.looked_at NULLS FIRST
             LIMIT most) d
     CROSS JOIN LATERAL (
           SELECT coalesce(bool_or(r.is_deprecated), false) AS is_deprecated,
                  coalesce(bool_or(r.is_deprecated OR r.ends_at IS NOT NULL), false) AS announces,
                  min(r.deprecated_at) AS deprecated_at, min(r.ends_at) AS ends_at, max(r.link) AS link,
                  bool_or(a.outcome = 'delivered') AS has_delivered, max(a.outbox_id) AS example,
                  (array_agg(r.version ORDER BY a.started_at DESC) FILTER (WHERE r.version IS NOT NULL))[1] AS version
             FROM (SELECT x.outbox_id, x.started_at, x.outcome, x.response_headers
                     FROM integration.attempt x
                    WHERE x.endpoint_id = d.endpoint_id
                      AND x.started_at > coalesce(d.looked_at, look_at_interfaces.now - interval '1 day') - interval '1 min'
                      AND x.http_status IS NOT NULL
                    ORDER BY x.started_at DESC
                    LIMIT 20) a
             -- Most answers say nothing of it, and are not read.
             LEFT JOIN LATERAL (
                  SELECT x.*
                    FROM integration_worker.read_interface(a.response_headers, ARRAY(SELECT v.name FROM integration.version_header v ORDER BY v.name)) x
                   WHERE a.response_headers ?| (ARRAY(SELECT v.name FROM integration.version_header v ORDER BY v.name) || '{deprecation,sunset}'::text[])
                  OFFSET 0) r ON true) s
$$;
COMMENT ON FUNCTION integration_worker.look_at_interfaces(timestamptz, integer) IS
    'What the latest answers of so many endpoints say of their interfaces, beside what was known.';

-- The endpoints of a connector mostly speak to one API: what it announces to a hundred of them is one problem.
CREATE FUNCTION integration_worker.speak_alike(endpoint_id integer) RETURNS SETOF integration.endpoint
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.*
      FROM integration.endpoint own
      JOIN integration.endpoint e ON e.id = own.id OR e.connector = own.connector
     WHERE own.id = speak_alike.endpoint_id
$$;
COMMENT ON FUNCTION integration_worker.speak_alike(integer) IS
    'The endpoint with the others of its connector.';

CREATE FUNCTION integration_worker.is_news(said integration_worker.interface) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ends boolean := said.is_deprecated OR said.ends_at IS NOT NULL;
    changed boolean := said.version_before IS NOT NULL AND said.version_since = said.looked_at;
BEGIN
    IF NOT ends AND NOT changed THEN
        RETURN false;
    END IF;
    RETURN (ends AND NOT EXISTS (
                SELECT FROM integration_worker.speak_alike(said.endpoint_id) e
                  JOIN integration_worker.interface i ON i.endpoint_id = e.id
                 WHERE (i.is_deprecated, i.deprecated_at, i.ends_at)
                       IS NOT DISTINCT FROM (said.is_deprecated, said.deprecated_at, said.ends_at)))
        OR (changed AND NOT EXISTS (
                SELECT FROM integration_worker.speak_alike(said.endpoint_id) e
                  JOIN integration_worker.interface i ON i.endpoint_id = e.id
                 WHERE (i.version, i.version_before) IS NOT DISTINCT FROM (said.version, said.version_before)));
END
$$;
COMMENT ON FUNCTION integration_worker.is_news(integration_worker.interface) IS
    'Does an endpoint say that its interface ends or has changed, and has none of its connector said so before?';

CREATE FUNCTION integration_worker.interface_note(said integration_worker.interface) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(concat_ws(' ',
               CASE WHEN said.deprecated_at IS NOT NULL THEN
                         integration_worker.say('interface.deprecated_at', jsonb_build_object('at', integration_worker.moment_words(said.deprecated_at)))
                    WHEN said.is_deprecated THEN integration_worker.say('interface.deprecated') END,
               integration_worker.say('interface.ends_at', jsonb_build_object('at', integration_worker.moment_words(said.ends_at))),
               integration_worker.say('interface.version', jsonb_build_object(
                   'since', integration_worker.moment_words(said.version_since), 'version', said.version, 'before', said.version_before)),
               integration_worker.say('interface.link', jsonb_build_object('link', said.link))), '')
$$;
COMMENT ON FUNCTION integration_worker.interface_note(integration_worker.interface) IS
    'What an endpoint says of the end or the version of its interface, in words.';

CREATE FUNCTION integration_worker.tell_of_interface(said integration_worker.interface, now timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place text := (SELECT e.name
                     FROM integration_worker.speak_alike(said.endpoint_id) e
                     LEFT JOIN integration.incident i
                       ON i.endpoint = e.name AND i.error_class = 'interface_ending' AND i.resolved_at IS NULL
                    ORDER BY i.id, e.id <> said.endpoint_id
                    LIMIT 1);
BEGIN
    PERFORM integration_worker.tell_more(place, 'interface_ending', tell_of_interface.now,
                                         integration_worker.interface_note(said), said.example);
END
$$;
COMMENT ON FUNCTION integration_worker.tell_of_interface(integration_worker.interface, timestamptz) IS
    'Opens an incident about the interface of an endpoint, or says what is new in the open one of its connector.';

CREATE FUNCTION integration_worker.end_interface_incidents(now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.end_incident(i.endpoint, i.error_class, end_interface_incidents.now)
      FROM integration.incident i
     WHERE i.error_class = 'interface_ending' AND i.resolved_at IS NULL
       AND NOT EXISTS (SELECT FROM integration.endpoint own
                        CROSS JOIN LATERAL integration_worker.speak_alike(own.id) e
                         JOIN integration_worker.interface f ON f.endpoint_id = e.id
                         LEFT JOIN integration.connector c ON c.name = e.connector
                        WHERE own.name = i.endpoint
                          AND (f.is_deprecated OR f.ends_at IS NOT NULL
                               OR (f.version_before IS NOT NULL AND f.version_since >= i.opened_at
                                   AND f.version IS DISTINCT FROM c.api_version)))
$$;
COMMENT ON FUNCTION integration_worker.end_interface_incidents(timestamptz) IS
    'Ends incidents of connectors whose answers announce no end any more, and whose version is the one that connector.api_version says.';

CREATE FUNCTION integration_worker.remind_of_ends(now timestamptz) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.tell_of_interface(f, remind_of_ends.now)
      FROM integration.incident i
      JOIN integration.endpoint e ON e.name = i.endpoint
      JOIN integration_worker.interface f ON f.endpoint_id = e.id
     WHERE i.error_class = 'interface_ending' AND i.resolved_at IS NULL
       AND EXISTS (SELECT FROM unnest('{30,7,1}'::integer[]) AS d (days)
                    WHERE f.ends_at - make_interval(days => d.days) BETWEEN i.last_seen_at AND remind_of_ends.now)
$$;
COMMENT ON FUNCTION integration_worker.remind_of_ends(timestamptz) IS
    'Says once more, 30 days before an interface ends, then 7, then 1, that it will.';

CREATE FUNCTION integration_worker.watch_interfaces(now timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 25;
    said integration_worker.interface;
    count integer := 0;
BEGIN
    FOR said IN SELECT * FROM integration_worker.look_at_interfaces(watch_interfaces.now, most) LOOP
        count := count + 1;
        IF integration_worker.is_news(said) THEN
            PERFORM integration_worker.tell_of_interface(said, watch_interfaces.now);
        END IF;
        INSERT INTO integration_worker.interface AS i
        SELECT said.*
            ON CONFLICT (endpoint_id) DO UPDATE
            SET looked_at = excluded.looked_at, is_deprecated = excluded.is_deprecated, deprecated_at = excluded.deprecated_at,
                ends_at = excluded.ends_at, link = excluded.link, version = excluded.version,
                version_since = excluded.version_since, version_before = excluded.version_before, example = excluded.example;
    END LOOP;
    PERFORM integration_worker.end_interface_incidents(watch_interfaces.now);
    PERFORM integration_worker.remind_of_ends(watch_interfaces.now);
    RETURN CASE WHEN count = most THEN watch_interfaces.now + interval '10 s' END;
END
$$;
COMMENT ON FUNCTION integration_worker.watch_interfaces(timestamptz) IS
    'Reads what answers say of their interfaces, each endpoint once an hour; tells engineering of an end or another version.';

CREATE VIEW integration.interface_status AS
SELECT e.name AS endpoint, e.connector, integration_worker.owner_of(e.id, 'interface_ending', NULL) AS owner,
       f.is_deprecated, f.deprecated_at, f.ends_at, f.ends_at - statement_timestamp() AS ends_in, f.link,
       c.api_version, f.version, f.version_since, f.version_before, f.looked_at
  FROM integration_worker.interface f
  JOIN integration.endpoint e ON e.id = f.endpoint_id
  LEFT JOIN integration.connector c ON c.name = e.connector
 ORDER BY f.ends_at NULLS LAST, f.is_deprecated DESC, e.name;
COMMENT ON VIEW integration.interface_status IS
    'What the other sides'' answers say of their interfaces, the one that ends first on top. Looked at once an hour.';
COMMENT ON COLUMN integration.interface_status.endpoint IS 'The endpoint.';
COMMENT ON COLUMN integration.interface_status.connector IS 'The product behind it.';
COMMENT ON COLUMN integration.interface_status.owner IS 'The team whose work a change of the interface is.';
COMMENT ON COLUMN integration.interface_status.is_deprecated IS 'The last answers had a Deprecation header (RFC 9745).';
COMMENT ON COLUMN integration.interface_status.deprecated_at IS 'As of when, as the header says; NULL: it has no date.';
COMMENT ON COLUMN integration.interface_status.ends_at IS 'When it ends, as a Sunset header says (RFC 8594); NULL: none said so.';
COMMENT ON COLUMN integration.interface_status.ends_in IS 'How long that is from now.';
COMMENT ON COLUMN integration.interface_status.link IS 'Where the other side says more about it.';
COMMENT ON COLUMN integration.interface_status.api_version IS 'connector.api_version: the version that we are written for.';
COMMENT ON COLUMN integration.interface_status.version IS 'The version that has answered, by one of the headers in integration.version_header; NULL: none said so.';
COMMENT ON COLUMN integration.interface_status.version_since IS 'When an answer of this version was first seen.';
COMMENT ON COLUMN integration.interface_status.version_before IS 'The version before it; NULL: it has never changed.';
COMMENT ON COLUMN integration.interface_status.looked_at IS 'When the answers were looked at last.';
