-- What endpoint.mask hides: the members of a payload that its paths name.
-- Functions that a view calls run with their owner's rights, since its reader has none to what they call.

-- A jsonpath is printed in one form only, so its steps can be read from that: =name, .*, .** or [*].
CREATE FUNCTION integration_worker.mask_steps(path text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    written text := path::jsonpath::text;
BEGIN
    IF written !~ '^\$(\."(\\.|[^"\\])*"|\.\*\*?|\[\*\])*$' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN f.step[1] LIKE '."%' THEN '=' || (substr(f.step[1], 2)::jsonb #>> '{}') ELSE f.step[1] END
          FROM regexp_matches(written, '\."(?:\\.|[^"\\])*"|\.\*\*?|\[\*\]', 'g') WITH ORDINALITY AS f (step, n)
         ORDER BY f.n);
END
$$;
COMMENT ON FUNCTION integration_worker.mask_steps(text) IS
    'The steps of a path of a mask; NULL: it does more than name members.';

CREATE FUNCTION integration_worker.mask_problem(mask text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    path text;
BEGIN
    IF array_ndims(mask) > 1 OR cardinality(mask) > 100 THEN
        RETURN format('It has %s; a list of 100 paths is allowed.',
                      CASE WHEN array_ndims(mask) > 1 THEN 'lists in it' ELSE cardinality(mask) || ' paths' END);
    END IF;
    FOREACH path IN ARRAY mask LOOP
        IF path IS NULL OR octet_length(path) > 1000 THEN
            RETURN CASE WHEN path IS NULL THEN 'One of its paths is NULL.'
                        ELSE format('A path has %s bytes; 1000 are allowed.', octet_length(path)) END;
        ELSIF integration_worker.mask_steps(path) IS NULL THEN
            RETURN format('%s does more than name members.', path);
        END IF;
    END LOOP;
    RETURN NULL;
EXCEPTION WHEN syntax_error OR data_exception THEN
    RETURN format('%s is no jsonpath: %s.', path, SQLERRM);
END
$$;
COMMENT ON FUNCTION integration_worker.mask_problem(text[]) IS
    'What is wrong with a mask, as a sentence; NULL: nothing.';

-- Arrays on the way are looked into, as jsonpath does.
CREATE FUNCTION integration_worker.mask_at(document jsonb, steps text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step text := steps[1];
    rest text[] := steps[2:];
    kind text := jsonb_typeof(document);
    below text[] := CASE WHEN step IN ('.*', '[*]') THEN rest ELSE steps END;
BEGIN
    IF step IS NULL THEN
        RETURN '"***"';
    ELSIF kind = 'array' AND step = '.*' THEN
        below := steps;
    ELSIF step = '[*]' AND kind <> 'array' THEN
        RETURN integration_worker.mask_at(document, rest);
    ELSIF kind = 'object' AND left(step, 1) = '=' THEN
        RETURN CASE WHEN document ? substr(step, 2)
                    THEN document || jsonb_build_object(
                             substr(step, 2), integration_worker.mask_at(document -> substr(step, 2), rest))
                    ELSE document END;
    END IF;
    IF kind = 'array' THEN
        document := (SELECT coalesce(jsonb_agg(integration_worker.mask_at(e.value, below) ORDER BY e.n), '[]')
                       FROM jsonb_array_elements(document) WITH ORDINALITY AS e (value, n));
    ELSIF kind = 'object' THEN
        document := (SELECT coalesce(jsonb_object_agg(e.key, integration_worker.mask_at(e.value, below)), '{}')
                       FROM jsonb_each(document) e);
    END IF;
    RETURN CASE WHEN step = '.**' THEN integration_worker.mask_at(document, rest) ELSE document END;
END
$$;
COMMENT ON FUNCTION integration_worker.mask_at(jsonb, text[]) IS
    'The document with *** in place of what these steps lead to.';

CREATE FUNCTION integration_worker.masked(document jsonb, mask text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    path text;
BEGIN
    FOREACH path IN ARRAY coalesce(mask, '{}') LOOP
        document := integration_worker.mask_at(document, integration_worker.mask_steps(path));
    END LOOP;
    RETURN document;
-- Nested too deeply to be looked into.
EXCEPTION WHEN program_limit_exceeded OR statement_too_complex THEN
    RETURN '"***"';
END
$$;
COMMENT ON FUNCTION integration_worker.masked(jsonb, text[]) IS
    'A payload as it is shown to whoever must not see what the mask names.';

-- What is shorter than four characters would take half of any text with it.  Errors are put into one line.
CREATE FUNCTION integration_worker.masked_words(document jsonb, mask text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(
        SELECT w.word
          FROM (SELECT DISTINCT w.word
                  FROM unnest(mask) AS m (path)
                 CROSS JOIN LATERAL jsonb_path_query(document, m.path::jsonpath, '{}', true) AS h (hidden)
                 CROSS JOIN LATERAL jsonb_path_query(
                       h.hidden, 'strict $.** ? (@.type() == "string" || @.type() == "number")', '{}', true) AS v (value)
                 CROSS JOIN LATERAL (VALUES (v.value #>> '{}'), (btrim(regexp_replace(v.value #>> '{}', '\s+', ' ', 'g')))) AS w (word)) w
         WHERE length(w.word) >= 4
         ORDER BY length(w.word) DESC)
$$;
COMMENT ON FUNCTION integration_worker.masked_words(jsonb, text[]) IS
    'The texts and numbers of a payload that its mask hides, the longest first.';

-- A text that was cut off may end within one of them.  So many that they would stall the worker hide all of it.
CREATE FUNCTION integration_worker.masked_text(said text, words text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    word text;
    cut integer;
BEGIN
    IF cardinality(words) > 1000 THEN
        RETURN '***';
    END IF;
    FOREACH word IN ARRAY words LOOP
        said := replace(replace(said, word, '***'), btrim(to_json(word)::text, '"'), '***');
        CONTINUE WHEN strpos(right(said, length(word)), left(word, 4)) = 0;
        cut := (SELECT max(n) FROM generate_series(4, least(length(word), length(said), 1000)) n
                 WHERE right(said, n) = left(word, n));
        said := CASE WHEN cut IS NULL THEN said ELSE left(said, length(said) - cut) || '***' END;
    END LOOP;
    RETURN said;
END
$$;
COMMENT ON FUNCTION integration_worker.masked_text(text, text[]) IS
    'A text with *** in place of each of these words.';

-- Called for each failure of an endpoint with a mask; what it writes is read by everybody who reads errors, so it may not throw.
CREATE FUNCTION integration_worker.masked_error(outbox_id bigint, mask text[], said text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.masked_text(
        said, integration_worker.masked_words(
            (SELECT o.payload FROM integration.outbox o WHERE o.id = masked_error.outbox_id), masked_error.mask));
EXCEPTION WHEN program_limit_exceeded OR statement_too_complex THEN
    RETURN '***';
END
$$;
COMMENT ON FUNCTION integration_worker.masked_error(bigint, text[], text) IS
    'The details of a failure without what this mask hides of its payload.';
