-- What pages are made of: escaping, figures, charts, style.

-- As text and as the value of an attribute in quotes; what no text holds is taken out (HTML, 13.1.4 and 13.2.3.5).
CREATE FUNCTION integration_worker.html(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN replace(replace(replace(replace(replace(
               regexp_replace(value, '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]', '', 'g'),
               '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
END
$$;
COMMENT ON FUNCTION integration_worker.html(text) IS 'A text as a browser shows it unchanged.';

-- Isolated, so that a name written from right to left turns nothing else around.
CREATE FUNCTION integration_worker.html_name(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN '<bdi>' || integration_worker.html(left(value, 200) || CASE WHEN length(value) > 200 THEN '…' ELSE '' END) || '</bdi>';
END
$$;
COMMENT ON FUNCTION integration_worker.html_name(text) IS 'A name that somebody gave, within a line; its first 200 characters.';

INSERT INTO integration.phrase (key, words) VALUES
    -- What stands between groups of digits, what before decimals.
    ('number.marks', ',.'),
    ('number.percent', '{n} %'),
    -- As to_char() reads them: the moment of a page, one of today, an earlier one, the hour of a bar.
    ('time.now', 'YYYY-MM-DD HH24:MI:SS'),
    ('time.today', 'HH24:MI:SS'),
    ('time.earlier', 'YYYY-MM-DD HH24:MI'),
    ('time.hour', 'HH24:MI');

CREATE FUNCTION integration_worker.page_language(page text, locale text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.language
      FROM unnest(integration_worker.languages(page_language.locale)) WITH ORDINALITY AS l (language, n)
     WHERE EXISTS (SELECT FROM integration.phrase p WHERE p.locale = l.language AND starts_with(p.key, page))
     ORDER BY l.n
     LIMIT 1
$$;
COMMENT ON FUNCTION integration_worker.page_language(text, text) IS 'The best language that has a phrase of a page.';

-- Once for a page, not for each of its labels.  What to_char() reads stays as it is.
CREATE FUNCTION integration_worker.page_texts(page text, locale text DEFAULT NULL) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(CASE WHEN starts_with(p.key, page) THEN substr(p.key, length(page) + 1) ELSE p.key END,
                            CASE WHEN starts_with(p.key, 'time.') THEN p.value ELSE integration_worker.html(p.value) END)
           || jsonb_build_object('language', integration_worker.page_language(page, page_texts.locale))
      FROM jsonb_each_text(integration_worker.phrases(
               page || '{duration.,number.,time.,incident.,responsible.}'::text[], page_texts.locale)) p
$$;
COMMENT ON FUNCTION integration_worker.page_texts(text, text) IS
    'What a page can say, as HTML: its own phrases without the beginning of their keys, those it shares with others.';

CREATE FUNCTION integration_worker.page_text(texts jsonb, key text, words jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.fill_in(texts ->> key, words);
END
$$;
COMMENT ON FUNCTION integration_worker.page_text(jsonb, text, jsonb) IS
    'A sentence of a page; what is filled in is HTML already. NULL where one of its words is.';

CREATE FUNCTION integration_worker.page_heads(texts jsonb, keys text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT CASE WHEN k.key LIKE '>%' THEN '>' ELSE '' END || (texts ->> ltrim(k.key, '>'))
                   FROM unnest(keys) WITH ORDINALITY AS k (key, n)
                  ORDER BY k.n)
$$;
COMMENT ON FUNCTION integration_worker.page_heads(jsonb, text[]) IS
    'The heads of a table by their keys; one that begins with > stands above figures.';

CREATE FUNCTION integration_worker.html_number(value numeric, texts jsonb, digits integer DEFAULT 0) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN translate(to_char(value, rpad('FM999,999,999,999,999,999,990.', 30 + digits, '0')), ',.', texts ->> 'number.marks');
END
$$;
COMMENT ON FUNCTION integration_worker.html_number(numeric, jsonb, integer) IS 'A number in groups of three digits, with so many decimals.';

CREATE FUNCTION integration_worker.html_percent(share numeric, texts jsonb, digits integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN replace(texts ->> 'number.percent', '{n}', integration_worker.html_number(100 * share, texts, digits));
END
$$;
COMMENT ON FUNCTION integration_worker.html_percent(numeric, jsonb, integer) IS 'A share as so much in a hundred.';

CREATE FUNCTION integration_worker.html_time(at timestamptz, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<time datetime="%s">%s</time>', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                  integration_worker.html(to_char(at, texts ->> CASE WHEN at::date = statement_timestamp()::date
                                                                     THEN 'time.today' ELSE 'time.earlier' END)));
END
$$;
COMMENT ON FUNCTION integration_worker.html_time(timestamptz, jsonb) IS 'A moment in the time zone of the session; without its date when that is today''s.';

CREATE FUNCTION integration_worker.html_duration(ms bigint, texts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN ms < 1000 THEN replace(texts ->> 'duration.milliseconds', '{n}', ms::text)
                WHEN ms < 10000 THEN replace(texts ->> 'duration.seconds', '{n}', integration_worker.html_number(ms / 1000.0, texts, 1))
                ELSE integration_worker.duration_words(ms * interval '1 ms', texts) END;
END
$$;
COMMENT ON FUNCTION integration_worker.html_duration(bigint, jsonb) IS 'A duration in the unit that suits it.';

CREATE FUNCTION integration_worker.html_age(length interval, texts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN integration_worker.duration_words(greatest(length, '0'), texts);
END
$$;
COMMENT ON FUNCTION integration_worker.html_age(interval, jsonb) IS 'How long ago; NULL: no time is known.';

-- Whatever else stands there might be a script.
CREATE FUNCTION integration_worker.html_link(url text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN url ~* '^https?://' THEN format('<a rel="noreferrer" href="%1$s">%1$s</a>', integration_worker.html(url))
                ELSE integration_worker.html(url) END;
END
$$;
COMMENT ON FUNCTION integration_worker.html_link(text) IS 'A link, if it leads to a page.';

CREATE FUNCTION integration_worker.html_statement(statement text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<code>%s</code>', integration_worker.html(statement));
END
$$;
COMMENT ON FUNCTION integration_worker.html_statement(text) IS 'A statement that somebody can run.';

-- The label is shown where the screen is too narrow for a table.
CREATE FUNCTION integration_worker.html_cell(label text, content text, class text DEFAULT '') RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('<td data-label="%s"%s><div>%s</div></td>', label, CASE WHEN class <> '' THEN format(' class="%s"', class) END,
                  coalesce(nullif(content, ''), '<span class="none">–</span>'));
END
$$;
COMMENT ON FUNCTION integration_worker.html_cell(text, text, text) IS 'A cell of a table; its content is HTML already.';

CREATE FUNCTION integration_worker.html_table(id text, caption text, heads text[], body text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<table id="%s"><caption>%s</caption><thead><tr>%s</tr></thead><tbody>%s</tbody></table>', id, caption,
                  (SELECT string_agg(format('<th scope="col"%s>%s</th>', CASE WHEN h.head LIKE '>%' THEN ' class="n"' END, ltrim(h.head, '>')),
                                     '' ORDER BY h.n)
                     FROM unnest(heads) WITH ORDINALITY AS h (head, n)), body)
$$;
COMMENT ON FUNCTION integration_worker.html_table(text, text, text[], text) IS
    'A table; caption, heads and body are HTML already. A head that begins with > stands above figures.';

CREATE FUNCTION integration_worker.html_tile(id text, label text, content text, class text DEFAULT '') RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<div class="tile %s"><dt>%s</dt><dd id="%s">%s</dd></div>', class, label, id, coalesce(content, '–'))
$$;
COMMENT ON FUNCTION integration_worker.html_tile(text, text, text, text) IS 'A figure with its label.';

-- What is right or wrong is said by a word and a shape, not by colour alone (WCAG 2.2, 1.4.1).
CREATE FUNCTION integration_worker.html_verdict(level text, words text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<p id="verdict" class="verdict %s"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="%s"/></svg><span>%s</span></p>',
                  level,
                  CASE level WHEN 'ok' THEN 'M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22zm-1.6 16L5.5 12l1.7-1.7 3.2 3.2 6.4-6.4L18.500 8.800z'
                             WHEN 'warning' THEN 'M12 2 0.500 22h23zm-1.200 7h2.400v7h-2.400zm0 8.600h2.400V20h-2.400z'
                             WHEN 'quiet' THEN 'M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22zm-1.200 5h2.400v2.400h-2.400zm0 4.400h2.400V18h-2.400z'
                             ELSE 'M7.500 1h9L23 7.500v9L16.500 23h-9L1 16.500v-9zM10.800 6v8h2.400V6zm0 9.600V18h2.400v-2.400z' END, words)
$$;
COMMENT ON FUNCTION integration_worker.html_verdict(text, text) IS 'The first sentence of a page: ok, quiet, warning or critical, in words that are HTML already.';

-- No script runs in a page, whatever stands in it.
CREATE FUNCTION integration_worker.html_page(title text, subtitle text, content text, footer text, language text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<!DOCTYPE html>%1$s<html lang="%7$s"><head><meta charset="utf-8">'
                  '<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''">'
                  '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
                  '<meta name="robots" content="noindex"><title>%8$s</title><style>%3$s</style></head><body>'
                  '<header><h1>%2$s</h1><p>%4$s</p></header><main>%5$s</main><footer><p>%6$s</p></footer></body></html>',
                  E'\n', title, integration_worker.page_style(), subtitle, content, footer, integration_worker.html(language),
                  regexp_replace(title, '<[^>]*>', '', 'g'))
$$;
COMMENT ON FUNCTION integration_worker.html_page(text, text, text, text, text) IS 'A whole page; its parts are HTML already.';

CREATE FUNCTION integration_worker.page_style() RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT regexp_replace('
:root { color-scheme: light dark; --back: #f4f6f8; --card: #fff; --text: #1b2128; --soft: #555f6b; --line: #d5dbe1;
  --blue: #1f5fd0; --ok: #17693a; --warning: #855200; --critical: #b3261e; --good: #3b7ddd; --bad: #d1580e }
@media (prefers-color-scheme: dark) { :root { --back: #0e1217; --card: #171d24; --text: #e7ecf1; --soft: #a4afba; --line: #333d48;
  --blue: #7fb2ff; --ok: #6bd48c; --warning: #f0bd55; --critical: #ff9a90; --good: #5b9bf5; --bad: #f2914a } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
time { white-space: nowrap } h1 { font-size: 1.5rem; margin: 0; line-height: 1.25 } h2 { font-size: 1.15rem; margin: 0 0 .75rem } h3 { font-size: 1rem; margin: 0 }
header p, footer p, caption, .soft, figcaption, .none { color: var(--soft); font-size: .875rem; margin: .25rem 0 } a { color: var(--blue) }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.1rem 1.25rem; margin: 1rem 0; overflow-x: auto }
.verdict { display: flex; gap: .75rem; align-items: center; font-size: 1.125rem; font-weight: 600; margin: 1.25rem 0 1rem;
  padding: .9rem 1.1rem; border-radius: .75rem; border: 1px solid currentColor; background: var(--card) }
.verdict svg { width: 1.75rem; height: 1.75rem; flex: none; fill: currentColor; fill-rule: evenodd }
.ok { color: var(--ok) } .warning { color: var(--warning) } .critical { color: var(--critical) } .quiet { color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1rem 0 }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .7rem .9rem } .tile dt { font-size: .8125rem; color: var(--soft) }
.tile dd { margin: 0; font-size: 1.25rem; font-weight: 600; line-height: 1.4; overflow-wrap: break-word }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem } .two section { margin: 0 }
.problem { border-left: .3rem solid currentColor; padding: .1rem 0 .1rem .9rem; margin: 0 0 1.25rem } .problem:last-of-type { margin-bottom: 0 }
.problem > * { color: var(--text) } .problem p { margin: .35rem 0 } .problem .soft { color: var(--soft) }
.badge { display: inline-block; font-size: .75rem; font-weight: 600; border: 1px solid currentColor; border-radius: 1rem; padding: 0 .6rem; white-space: nowrap }
.problem .badge.critical { color: var(--critical) } .problem .badge.warning { color: var(--warning) } .problem .badge.ok { color: var(--ok) }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; margin: .35rem 0 } .facts dt { color: var(--soft) } .facts dd { margin: 0 }
code { font: .85em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--back); border-radius: .3rem; padding: .1rem .35rem }
figure { margin: 0 } .chart { display: block; width: 100%; height: 9rem; background: var(--card) }
.chart .good { fill: var(--good) } .chart .bad { fill: var(--bad) } .chart .grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke }
.chart path { fill: none; stroke-width: 2.5; stroke-linecap: round; vector-effect: non-scaling-stroke } .p50 { stroke: var(--good) }
.p95 { stroke: var(--bad); stroke-dasharray: 7 5 } .p99 { stroke: var(--soft); stroke-dasharray: 1 6 }
.axis { display: flex; justify-content: space-between; font-size: .75rem; color: var(--soft) } .top { font-size: .75rem; color: var(--soft) }
.scaled { display: grid; grid-template-columns: 3.4rem 1fr; padding-top: .55rem } .axis span { white-space: nowrap } .scaled .axis.y { flex-direction: column; text-align: right; padding-right: .4rem; margin: -.55rem 0 }
.scaled .axis.x { grid-column: 2 }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; margin: .5rem 0 0; padding: 0; font-size: .8125rem }
.legend svg { display: inline-block; width: 1.6rem; height: .7rem; vertical-align: -.05rem; margin-right: .4rem } .legend path { stroke-width: 2.5; fill: none }
.spark { width: 7.5rem; max-width: 100%; height: 1.6rem; vertical-align: middle } .spark .good { fill: var(--good) } .spark .bad { fill: var(--bad) }
.fields { margin: .25rem 0 0; padding-left: 1.1rem } details { margin-top: .6rem; font-size: .875rem } summary { cursor: pointer; color: var(--blue) } ol { margin: .5rem 0 0; padding-left: 1.3rem } ol li + li { margin-top: .4rem }
table { border-collapse: collapse; width: 100%; font-size: .875rem } caption { text-align: left; margin: 0 0 .5rem } td .soft { font-size: .8125rem; margin: 0 }
th, td { text-align: left; padding: .45rem .6rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top } td { min-width: 4.5rem }
th { overflow-wrap: break-word; color: var(--soft); font-weight: 600 }
td.n, th.n { text-align: right; padding-right: 1rem; white-space: nowrap } tbody tr:last-child td { border-bottom: 0 }
@media (max-width: 58rem) { body { padding: 1rem .75rem 2rem } section { padding: .9rem } thead { display: block; position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  table, tbody, caption { display: block } tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line) } tbody tr:last-child { border-bottom: 0 }
  td, td.n { display: grid; min-width: 0; grid-template-columns: 8.5rem minmax(0, 1fr); gap: .5rem; text-align: left; white-space: normal; border: 0; padding: .15rem 0 }
  td::before { content: attr(data-label); color: var(--soft) } dl.facts { grid-template-columns: 6.25rem minmax(0, 1fr); gap: .15rem .5rem } }
@media print { body { background: none; max-width: none } section { break-inside: avoid } }
', '\s*\n\s*', ' ', 'g')
$$;
COMMENT ON FUNCTION integration_worker.page_style() IS 'How pages look: light or dark as the reader''s machine is set, tables as cards where it is narrow.';
