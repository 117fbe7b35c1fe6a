-- Every sentence that people are shown: texts by language.

-- Languages as RFC 5646 §2.1.1 writes them: de, de-AT, zh-Hant.
CREATE TABLE integration.phrase (
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    key text NOT NULL,
    words text NOT NULL,
    shipped boolean NOT NULL DEFAULT true,
    PRIMARY KEY (locale, key)
);
COMMENT ON TABLE integration.phrase IS
    'Every sentence that views, why(), timeline() show. A translation is a row of the same key in another language; {words} in braces are filled in, in any order.';
COMMENT ON COLUMN integration.phrase.locale IS
    'The language, as in integration.locale or customer.locale: de-AT, else de, else en is taken, phrase by phrase.';
COMMENT ON COLUMN integration.phrase.key IS 'What it is for.';
COMMENT ON COLUMN integration.phrase.words IS 'The text; the {words} of the English one are all there are.';
COMMENT ON COLUMN integration.phrase.shipped IS 'Unchanged since it came with the extension; other rows are carried by a dump.';

CREATE FUNCTION integration_worker.languages(locale text DEFAULT NULL) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (WITH part AS (
                SELECT p.n, CASE WHEN p.n > 1 AND length(p.subtag) = 2 THEN upper(p.subtag)
                                 WHEN p.n > 1 AND length(p.subtag) = 4 THEN initcap(p.subtag)
                                 ELSE lower(p.subtag) END AS subtag
                  FROM regexp_split_to_table(left(coalesce(locale, current_setting('integration.locale', true), ''), 40), '[-_]')
                       WITH ORDINALITY AS p (subtag, n)
            )
            SELECT array_remove(array_agg(l.language ORDER BY l.n DESC), 'en') || 'en'::text
              FROM (SELECT p.n, string_agg(p.subtag, '-') OVER (ORDER BY p.n) AS language FROM part p) l
             WHERE l.language <> '');
END
$$;
COMMENT ON FUNCTION integration_worker.languages(text) IS
    'Which languages a text is looked for in, the best first: {de-AT,de,en}, also for de_at. NULL: of integration.locale.';

-- In one pass, since what is filled in may hold braces, too.
CREATE FUNCTION integration_worker.fill_in(template text, words jsonb, as_literals boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT CASE WHEN bool_and(f.piece IS NOT NULL) THEN string_agg(f.piece, '' ORDER BY f.n) END
              FROM (SELECT m.n,
                           CASE WHEN words ? m.found[2] IS NOT TRUE THEN m.found[1]
                                WHEN as_literals AND jsonb_typeof(words -> m.found[2]) = 'string'
                                THEN quote_literal(words ->> m.found[2])
                                ELSE words ->> m.found[2] END AS piece
                      FROM regexp_matches(template, '([^{]+|\{([a-z_]+)\}|\{)', 'g') WITH ORDINALITY AS m (found, n)) f);
END
$$;
COMMENT ON FUNCTION integration_worker.fill_in(text, jsonb, boolean) IS
    'A template with the {words} in it replaced, in statements by literals; NULL where it lacks one of them.';

-- These have their owner's rights, as the views that call them do: whoever may see a view need not see the schema below.
CREATE FUNCTION integration_worker.translated(key text, otherwise text, locale text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    languages text[] := integration_worker.languages(translated.locale);
BEGIN
    RETURN coalesce((SELECT p.words
                       FROM integration.phrase p
                      WHERE p.locale = ANY (languages) AND p.key = translated.key
                      ORDER BY array_position(languages, p.locale)
                      LIMIT 1), otherwise);
END
$$;
COMMENT ON FUNCTION integration_worker.translated(text, text, text) IS
    'A phrase as it stands in the table, in the best language there is; otherwise: what another table says in English.';

CREATE FUNCTION integration_worker.say(key text, words jsonb DEFAULT '{}', locale text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.fill_in(
               integration_worker.translated(say.key, regexp_replace(say.key, '^.*[.]', ''), say.locale), say.words);
END
$$;
COMMENT ON FUNCTION integration_worker.say(text, jsonb, text) IS
    'A phrase with its {words} filled in, NULL where one of them is null: a part of a sentence that has nothing to say. What no language has is the last word of the key.';

CREATE FUNCTION integration_worker.phrases(beginnings text[], locale text DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(s.key, s.words), '{}')
              FROM (SELECT DISTINCT ON (p.key) p.key, p.words
                      FROM integration_worker.languages(phrases.locale) AS l (languages)
                      JOIN integration.phrase p ON p.locale = ANY (l.languages)
                     WHERE EXISTS (SELECT FROM unnest(beginnings) AS b (beginning) WHERE starts_with(p.key, b.beginning))
                     ORDER BY p.key, array_position(l.languages, p.locale)) s);
END
$$;
COMMENT ON FUNCTION integration_worker.phrases(text[], text) IS
    'All phrases whose keys begin so, by key, in the best language there is: for what says many in a row.';

INSERT INTO integration.phrase (key, words) VALUES
    ('duration.milliseconds', '{n} ms'),
    ('duration.seconds', '{n} s'),
    ('duration.minutes', '{n} min'),
    ('duration.hours', '{n} h'),
    ('duration.days', '{n} d'),
    -- As to_char() reads it.
    ('time.pattern', 'YYYY-MM-DD HH24:MI:SS TZ'),
    ('time.coming', '{time} (in {distance})'),
    ('state.pending', 'pending'),
    ('state.retrying', 'retrying'),
    ('state.failed', 'failed'),
    ('state.delivered', 'delivered'),
    ('state.cancelled', 'cancelled'),
    ('state.expired', 'expired'),
    ('state.superseded', 'superseded'),
    ('responsible.customer', 'customer'),
    ('responsible.support', 'support'),
    ('responsible.engineering', 'engineering'),
    ('responsible.operations', 'operations'),
    ('responsible.remote_vendor', 'remote_vendor');

CREATE FUNCTION integration_worker.duration_words(length interval, texts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seconds bigint := ceil(extract(epoch FROM length));
    units text[] := CASE WHEN seconds >= 86400 THEN '{days,hours}' WHEN seconds >= 3600 THEN '{hours,minutes}' ELSE '{minutes,seconds}' END;
    unit_s integer := CASE WHEN seconds >= 86400 THEN 86400 WHEN seconds >= 3600 THEN 3600 ELSE 60 END;
    large bigint := seconds / unit_s;
    small bigint := seconds % unit_s / CASE unit_s WHEN 86400 THEN 3600 WHEN 3600 THEN 60 ELSE 1 END;
BEGIN
    IF seconds < 60 THEN
        RETURN replace(texts ->> 'duration.seconds', '{n}', seconds::text);
    END IF;
    RETURN concat_ws(' ', CASE WHEN large > 0 THEN replace(texts ->> ('duration.' || units[1]), '{n}', large::text) END,
                     CASE WHEN small > 0 THEN replace(texts ->> ('duration.' || units[2]), '{n}', small::text) END);
END
$$;
COMMENT ON FUNCTION integration_worker.duration_words(interval, jsonb) IS
    'A length of time for people, to two units; texts: the phrases duration.….';

CREATE FUNCTION integration_worker.duration_words(length interval) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.duration_words(length, integration_worker.phrases('{duration.}'));
END
$$;
COMMENT ON FUNCTION integration_worker.duration_words(interval) IS 'A length of time for people, to two units.';

-- What is written down is read later, when a distance from now would be wrong.
CREATE FUNCTION integration_worker.moment_words(at timestamptz) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(to_char(at, integration_worker.say('time.pattern')), at::text)
$$;
COMMENT ON FUNCTION integration_worker.moment_words(timestamptz) IS
    'A moment for a text that is kept, in the time zone of the session.';

CREATE FUNCTION integration_worker.time_words(at timestamptz) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN isfinite(at) AND at > statement_timestamp()
                THEN integration_worker.say('time.coming', jsonb_build_object('time', t.words,
                         'distance', integration_worker.duration_words(at - statement_timestamp())))
                ELSE t.words END
      FROM integration_worker.moment_words(at) AS t (words)
$$;
COMMENT ON FUNCTION integration_worker.time_words(timestamptz) IS
    'A moment for people, in the time zone of the session; with its distance when it is to come.';
