-- What helps: the same failure for support, for an engineer, for the customer.

CREATE TABLE integration.remedy (
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    audience text NOT NULL CHECK (audience IN ('support', 'engineer', 'customer')),
    error_class text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    words text NOT NULL,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, audience, error_class, reason),
    CONSTRAINT remedy_subject CHECK ((error_class = '') <> (reason = ''))
);
COMMENT ON TABLE integration.remedy IS
    'What helps against a reason, or against a whole error class, told to one audience in one language. Support''s in English are error_reason.remedy and error_class.remedy unless a row here says otherwise. integration.what_helps shows what comes of it.';
COMMENT ON COLUMN integration.remedy.locale IS
    'The language, as in integration.locale or customer.locale: de-AT, else de, else en is taken, remedy by remedy.';
COMMENT ON COLUMN integration.remedy.audience IS
    'support (plain words), engineer (what to look at, which statement) or customer (what they can do themselves, nothing internal).';
COMMENT ON COLUMN integration.remedy.error_class IS 'For each reason of this class that has no text of its own in the language; empty: for one reason.';
COMMENT ON COLUMN integration.remedy.reason IS 'For this error_reason; empty: for a class.';
COMMENT ON COLUMN integration.remedy.words IS 'The text.';
COMMENT ON COLUMN integration.remedy.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

-- In one piece, so that a view that shows ten thousand failures asks once.  The reader's own language goes before the
-- more exact text in another one.
CREATE FUNCTION integration_worker.remedies(audience text, locale text DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (WITH spoken AS (
                SELECT r.error_class, r.reason, r.words, array_position(l.languages, r.locale) AS rank
                  FROM integration_worker.languages(remedies.locale) AS l (languages)
                  JOIN integration.remedy r ON r.locale = ANY (l.languages) AND r.audience = remedies.audience
            )
            SELECT coalesce(jsonb_object_agg(b.subject, b.words), '{}')
              FROM (SELECT DISTINCT ON (t.subject) t.subject, t.words
                      FROM (SELECT s.reason AS subject, s.words, s.rank, 0 AS breadth FROM spoken s WHERE s.reason <> ''
                            UNION ALL
                            SELECT ':' || s.error_class, s.words, s.rank, 1 FROM spoken s WHERE s.error_class <> ''
                            UNION ALL
                            SELECT e.reason, s.words, s.rank, 1
                              FROM spoken s
                              JOIN integration.error_reason e ON e.error_class = s.error_class) t
                     ORDER BY t.subject, t.rank, t.breadth) b);
END
$$;
COMMENT ON FUNCTION integration_worker.remedies(text, text) IS
    'What integration.remedy says to an audience in a language (NULL: integration.locale): an object by reason, and by :error_class for what has no reason. What it lacks stands in error_reason, error_class.';

INSERT INTO integration.phrase (key, words) VALUES
    ('remedy.worked_before', 'This helped before: {worked_before}.'),
    ('remedy.worked', '{resolution} (incident {incident}, {time})'),
    ('remedy.of_duplicate', 'It is a duplicate of sync {other}, which is failed: retry or amend that one.'),
    ('remedy.unknown_outcome',
     'Nobody knows whether the other system did the work: look it up there, then cancel this sync or retry it.'),
    -- A regular expression: what remedies of this language say of further attempts.
    ('remedy.promise', '(it will be|it is) tried again( automatically| later)?'),
    ('remedy.no_promise', 'no further attempt is planned, so retry it when that is over');

-- A remedy speaks of what happens by itself; for a failed sync nothing does.
CREATE FUNCTION integration_worker.remedies_when_failed() RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH spoken AS MATERIALIZED (
        SELECT integration_worker.translated('remedy.promise', '') AS promise, integration_worker.translated('remedy.no_promise', '') AS instead
    )
    SELECT coalesce(jsonb_object_agg(t.remedy, regexp_replace(t.remedy, p.promise, p.instead)), '{}')
      FROM spoken p
      JOIN (SELECT r.remedy FROM integration.error_reason r
            UNION
            SELECT k.remedy FROM integration.error_class k
            UNION
            SELECT s.value FROM jsonb_each_text(integration_worker.remedies('support')) s) t ON t.remedy ~ p.promise
$$;
COMMENT ON FUNCTION integration_worker.remedies_when_failed() IS
    'What to say in the place of remedies that promise another attempt where none is planned: an object by the remedy.';

-- In one piece, too.  The newest that helped, of the endpoint, of the product, of anybody.
CREATE FUNCTION integration_worker.what_worked() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (WITH spoken AS MATERIALIZED (
                SELECT integration_worker.translated('remedy.worked', '') AS template, integration_worker.translated('time.pattern', '') AS pattern
            ), newest AS (
                SELECT DISTINCT ON (s.subject) s.subject, i.id, i.resolved_at, i.resolution
                  FROM integration.incident i
                  LEFT JOIN integration.endpoint e ON e.name = i.endpoint
                 CROSS JOIN LATERAL (VALUES
                       ('endpoint ' || i.endpoint || ':' || i.error_class),
                       ('connector ' || e.connector || ':' || i.error_class),
                       (':' || i.error_class)) AS s (subject)
                 WHERE i.worked AND i.resolved_at IS NOT NULL AND s.subject IS NOT NULL
                 ORDER BY s.subject, i.resolved_at DESC
            )
            SELECT coalesce(jsonb_object_agg(n.subject,
                       replace(replace(replace(s.template, '{incident}', n.id::text), '{time}', to_char(n.resolved_at, s.pattern)),
                               '{resolution}', rtrim(n.resolution, '. '))), '{}')
              FROM newest n
             CROSS JOIN spoken s);
END
$$;
COMMENT ON FUNCTION integration_worker.what_worked() IS
    'What helped the last time against a class of error, in people''s words: an object by "endpoint NAME:CLASS", "connector NAME:CLASS", ":CLASS".';

CREATE VIEW integration.what_helps AS
SELECT r.reason, r.error_class, integration_worker.translated('class.' || r.error_class, k.title) AS title, r.responsible,
       coalesce(s.support, r.remedy) AS support,
       coalesce(s.engineer, s.support, r.remedy) AS engineer,
       concat_ws(' ', integration_worker.translated('customer.cause.' || r.error_class, k.customer_message), s.customer) AS customer
  FROM integration.error_reason r
  JOIN integration.error_class k ON k.name = r.error_class
 CROSS JOIN LATERAL (
       SELECT (SELECT integration_worker.remedies('support')) ->> r.reason AS support,
              (SELECT integration_worker.remedies('engineer')) ->> r.reason AS engineer,
              (SELECT integration_worker.remedies('customer')) ->> r.reason AS customer) s;
COMMENT ON VIEW integration.what_helps IS
    'For each reason what helps, as support, engineers, customers are told, in the language of integration.locale.';
COMMENT ON COLUMN integration.what_helps.reason IS 'What exactly happened, as in integration.error_reason.';
COMMENT ON COLUMN integration.what_helps.error_class IS 'What that means.';
COMMENT ON COLUMN integration.what_helps.title IS 'The class in a few words.';
COMMENT ON COLUMN integration.what_helps.responsible IS 'Who can do something about it; NULL: nobody has to.';
COMMENT ON COLUMN integration.what_helps.support IS 'What to do, in plain words.';
COMMENT ON COLUMN integration.what_helps.engineer IS 'What to look at, which statement.';
COMMENT ON COLUMN integration.what_helps.customer IS 'What may be shown to a customer: what happened, what they can do.';
