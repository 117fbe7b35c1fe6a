-- Every sentence that people are shown: texts by language.

-- Words that are written as BCP 47 does: de, de-AT, zh-Hant.
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
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_remove(array_agg(array_to_string(w.parts[1:n], '-') ORDER BY n DESC), 'en') || 'en'::text
      FROM (SELECT string_to_array(left(coalesce(locale, current_setting('integration.locale', true), ''), 40), '-') AS parts) w
     CROSS JOIN LATERAL generate_series(1, cardinality(w.parts)) AS n
$$;
COMMENT ON FUNCTION integration_worker.languages(text) IS
    'Which languages a text is looked for in, the best first: {de-AT,de,en}. NULL: of integration.locale.';

-- In one pass, since what is filled in may hold braces, too.
CREATE FUNCTION integration_worker.fill_in(template text, words jsonb, as_literals boolean DEFAULT false) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN bool_and(f.piece IS NOT NULL) THEN string_agg(f.piece, '' ORDER BY f.n) END
      FROM (SELECT m.n,
                   CASE WHEN words ? m.found[2] IS NOT TRUE THEN m.found[1]
                        WHEN as_literals AND jsonb_typeof(words -> m.found[2]) = 'string'
                        THEN quote_literal(words ->> m.found[2])
                        ELSE words ->> m.found[2] END AS piece
              FROM regexp_matches(template, '([^{]+|\{([a-z_]+)\}|\{)', 'g') WITH ORDINALITY AS m (found, n)) f
$$;
COMMENT ON FUNCTION integration_worker.fill_in(text, jsonb, boolean) IS
    'A template with the {words} in it replaced, in statements by literals; NULL where it lacks one of them.';

-- With its owner's rights, as the views that call it have: whoever may see the view need not see the table.
CREATE FUNCTION integration_worker.say(key text, words jsonb DEFAULT '{}', locale text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    languages text[] := integration_worker.languages(say.locale);
    template text := (SELECT p.words
                        FROM integration.phrase p
                       WHERE p.locale = ANY (languages) AND p.key = say.key
                       ORDER BY array_position(languages, p.locale)
                       LIMIT 1);
BEGIN
    IF template IS NULL THEN
        RETURN say.key;
    END IF;
    RETURN integration_worker.fill_in(template, say.words);
END
$$;
COMMENT ON FUNCTION integration_worker.say(text, jsonb, text) IS
    'A phrase with its {words} filled in, NULL where one of them is null: a part of a sentence that has nothing to say. What no language has is the key itself.';
