-- Charts of pages, drawn in SVG.

CREATE TYPE integration_worker.hour_figures AS (
    hour timestamptz, delivered bigint, failed bigint, p50_ms integer, p95_ms integer, p99_ms integer);

CREATE FUNCTION integration_worker.hours_of(traffic integration.traffic[], since timestamptz)
    RETURNS integration_worker.hour_figures[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg((h.hour, coalesce(c.delivered, 0), coalesce(c.failed, 0),
                      d.durations[1], d.durations[2], d.durations[3])::integration_worker.hour_figures ORDER BY h.hour)
      FROM generate_series(since, since + interval '23 hours', interval '1 hour') AS h (hour)
      LEFT JOIN (SELECT b.hour, sum(b.delivered)::bigint AS delivered, sum(b.failed)::bigint AS failed,
                        array_agg(b.up_to_ms ORDER BY b.up_to_ms) AS bounds,
                        array_agg((b.delivered + b.failed)::bigint ORDER BY b.up_to_ms) AS counts
                   FROM (SELECT t.hour, t.up_to_ms, sum(t.delivered) AS delivered, sum(t.failed) AS failed
                           FROM unnest(traffic) t
                          GROUP BY 1, 2) b
                  GROUP BY 1) c ON c.hour = h.hour
     CROSS JOIN LATERAL integration_worker.durations_at('{0.5,0.95,0.99}', c.bounds, c.counts) AS d (durations)
$$;
COMMENT ON FUNCTION integration_worker.hours_of(integration.traffic[], timestamptz) IS
    'The figures of all endpoints together for each of 24 hours.';

INSERT INTO integration.phrase (key, words) VALUES
    ('page.attempts', 'Attempts'),
    ('page.durations', 'Durations'),
    ('page.now', 'now'),
    ('page.as_table', 'As a table'),
    ('page.about_hours', 'Attempts by the hour in which they began'),
    ('page.hour', 'Hour'),
    ('page.delivered', 'Delivered'),
    ('page.failed', 'Failed'),
    ('page.p50', 'p50'),
    ('page.p95', 'p95'),
    ('page.p99', 'p99'),
    ('page.no_attempts', 'No attempt in 24 hours.'),
    ('page.day_of_attempts', '{delivered} attempts delivered, {failed} failed in 24 hours'),
    ('page.hour_of_attempts', '{hour}: {delivered} delivered, {failed} failed'),
    ('page.hour_at_most', '{count} an hour at most'),
    ('page.legend_delivered', 'delivered'),
    ('page.legend_failed', 'failed, on top'),
    ('page.legend_p50', 'half (p50)'),
    ('page.legend_p95', '19 of 20 (p95)'),
    ('page.legend_p99', '99 of 100 (p99)'),
    ('page.about_durations', 'How long attempts took; the scale is logarithmic.'),
    ('page.durations_in_words',
     'How long attempts took by hour: half of them, nineteen of twenty, ninety-nine of a hundred; the figures are in the table of attempts');

CREATE FUNCTION integration_worker.chart_axis(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<div class="axis x" aria-hidden="true">'
           || string_agg(format('<span>%s</span>', integration_worker.html(to_char(h.hour, texts ->> 'time.hour'))), '' ORDER BY h.n)
           || format('<span>%s</span></div>', texts ->> 'now')
      FROM unnest(hours) WITH ORDINALITY AS h (hour, delivered, failed, p50, p95, p99, n)
     WHERE h.n IN (1, 7, 13, 19)
$$;
COMMENT ON FUNCTION integration_worker.chart_axis(integration_worker.hour_figures[], jsonb) IS 'The times below a chart of 24 hours.';

CREATE FUNCTION integration_worker.traffic_table(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<details><summary>%s</summary>%s</details>', texts ->> 'as_table',
               integration_worker.html_table('hours', texts ->> 'about_hours',
                   integration_worker.page_heads(texts, '{hour,>delivered,>failed,>p50,>p95,>p99}'),
                   string_agg(concat('<tr>',
                       integration_worker.html_cell(texts ->> 'hour', integration_worker.html_time(h.hour, texts)),
                       integration_worker.html_cell(texts ->> 'delivered', integration_worker.html_number(h.delivered, texts), 'n'),
                       integration_worker.html_cell(texts ->> 'failed', integration_worker.html_number(h.failed, texts), 'n'),
                       integration_worker.html_cell(texts ->> 'p50', integration_worker.html_duration(h.p50_ms, texts), 'n'),
                       integration_worker.html_cell(texts ->> 'p95', integration_worker.html_duration(h.p95_ms, texts), 'n'),
                       integration_worker.html_cell(texts ->> 'p99', integration_worker.html_duration(h.p99_ms, texts), 'n'), '</tr>'),
                       '' ORDER BY h.hour)))
      FROM unnest(hours) h
$$;
COMMENT ON FUNCTION integration_worker.traffic_table(integration_worker.hour_figures[], jsonb) IS 'What the charts show, in figures.';

CREATE FUNCTION integration_worker.traffic_bars(hours integration_worker.hour_figures[], most bigint, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(format(
               '<g><title>%s</title><rect class="good" x="%s" y="%s" width="8" height="%s"/>'
               '<rect class="bad" x="%2$s" y="%5$s" width="8" height="%6$s"/></g>',
               integration_worker.page_text(texts, 'hour_of_attempts', jsonb_build_object(
                   'hour', integration_worker.html(to_char(h.hour, texts ->> 'time.hour')),
                   'delivered', integration_worker.html_number(h.delivered, texts),
                   'failed', integration_worker.html_number(h.failed, texts))),
               10 * h.n - 9, round(100 - 100.0 * h.delivered / most, 2), round(100.0 * h.delivered / most, 2),
               round(100 - 100.0 * (h.delivered + h.failed) / most, 2), round(100.0 * h.failed / most, 2)), '' ORDER BY h.n)
      FROM unnest(hours) WITH ORDINALITY AS h (hour, delivered, failed, p50, p95, p99, n)
$$;
COMMENT ON FUNCTION integration_worker.traffic_bars(integration_worker.hour_figures[], bigint, jsonb) IS
    'A bar for each hour; most: what the highest may stand for.';

CREATE FUNCTION integration_worker.traffic_chart(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        '<figure><div class="top">%s</div><svg class="chart" viewBox="0 0 240 100" preserveAspectRatio="none" role="img" aria-label="%s">'
        '<path class="grid" d="M0 .5H240M0 50H240M0 99.5H240"/>%s</svg>%s<ul class="legend">'
        '<li><svg class="spark" viewBox="0 0 16 7" aria-hidden="true"><rect class="good" width="16" height="7"/></svg>%s</li>'
        '<li><svg class="spark" viewBox="0 0 16 7" aria-hidden="true"><rect class="bad" width="16" height="7"/></svg>%s</li></ul>'
        '<figcaption>%2$s.</figcaption></figure>',
        integration_worker.page_text(texts, 'hour_at_most', jsonb_build_object('count', integration_worker.html_number(d.most, texts))),
        integration_worker.page_text(texts, 'day_of_attempts', jsonb_build_object(
            'delivered', integration_worker.html_number(d.delivered, texts), 'failed', integration_worker.html_number(d.failed, texts))),
        integration_worker.traffic_bars(hours, d.most, texts), integration_worker.chart_axis(hours, texts),
        texts ->> 'legend_delivered', texts ->> 'legend_failed')
      FROM (SELECT max(h.delivered + h.failed) AS most, sum(h.delivered) AS delivered, sum(h.failed) AS failed FROM unnest(hours) h) d
$$;
COMMENT ON FUNCTION integration_worker.traffic_chart(integration_worker.hour_figures[], jsonb) IS
    'Bars of what was delivered and what failed by hour, where there was any.';

-- An hour without attempts breaks the line; one alone is a dot.
CREATE FUNCTION integration_worker.duration_line(values_ms integer[], class text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<path class="%s" d="%s"/>', class,
                  string_agg(format('%s%s %s%s', CASE WHEN p.before IS NULL THEN 'M' ELSE 'L' END, 10 * p.n - 5,
                                    round((100 - 20 * log(greatest(least(p.ms, 100000), 1)::numeric)), 1),
                                    CASE WHEN p.before IS NULL THEN 'h.1' END), '' ORDER BY p.n))
      FROM (SELECT v.n, v.ms, lag(v.ms) OVER (ORDER BY v.n) AS before
              FROM unnest(values_ms) WITH ORDINALITY AS v (ms, n)) p
     WHERE p.ms IS NOT NULL
$$;
COMMENT ON FUNCTION integration_worker.duration_line(integer[], text) IS 'A line of durations by hour, from 1 ms to 100 s in five decades.';

CREATE FUNCTION integration_worker.duration_chart(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        '<figure><div class="scaled"><div class="axis y" aria-hidden="true">%s</div>'
        '<svg class="chart" viewBox="0 0 240 100" preserveAspectRatio="none" role="img" aria-label="%s">'
        '<path class="grid" d="M0 .5H240M0 20H240M0 40H240M0 60H240M0 80H240M0 99.5H240"/>%s%s%s</svg>%s</div><ul class="legend">%s</ul>'
        '<figcaption>%s</figcaption></figure>',
        (SELECT string_agg(format('<span>%s</span>', replace(texts ->> ('duration.' || d.unit), '{n}', d.n)), '' ORDER BY d.place)
           FROM (VALUES (1, '100', 'seconds'), (2, '10', 'seconds'), (3, '1', 'seconds'), (4, '100', 'milliseconds'),
                        (5, '10', 'milliseconds'), (6, '1', 'milliseconds')) AS d (place, n, unit)),
        texts ->> 'durations_in_words',
        integration_worker.duration_line(array_agg(h.p99_ms ORDER BY h.hour), 'p99'),
        integration_worker.duration_line(array_agg(h.p95_ms ORDER BY h.hour), 'p95'),
        integration_worker.duration_line(array_agg(h.p50_ms ORDER BY h.hour), 'p50'),
        integration_worker.chart_axis(hours, texts),
        (SELECT string_agg(format('<li><svg viewBox="0 0 32 14" aria-hidden="true"><path class="%s" d="M2 7H30"/></svg>%s</li>',
                                  l.class, texts ->> ('legend_' || l.class)), '' ORDER BY l.class)
           FROM unnest('{p50,p95,p99}'::text[]) AS l (class)),
        texts ->> 'about_durations')
      FROM unnest(hours) h
$$;
COMMENT ON FUNCTION integration_worker.duration_chart(integration_worker.hour_figures[], jsonb) IS
    'Lines of the durations that 50, 95 and 99 of a hundred attempts did not exceed.';

-- Charts of nothing would look like a failure to draw them.
CREATE FUNCTION integration_worker.page_charts(hours integration_worker.hour_figures[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN sum(h.delivered + h.failed) > 0
                THEN format('<div class="two"><section><h2>%s</h2>%s%s</section><section><h2>%s</h2>%s</section></div>',
                            texts ->> 'attempts', integration_worker.traffic_chart(hours, texts), integration_worker.traffic_table(hours, texts),
                            texts ->> 'durations', integration_worker.duration_chart(hours, texts))
                ELSE format('<section><h2>%s</h2><p>%s</p></section>', texts ->> 'attempts', texts ->> 'no_attempts') END
      FROM unnest(hours) h
$$;
COMMENT ON FUNCTION integration_worker.page_charts(integration_worker.hour_figures[], jsonb) IS 'The sections about the traffic of 24 hours.';

CREATE FUNCTION integration_worker.spark(delivered bigint[], failed bigint[], said text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('<svg class="spark" viewBox="0 0 %s 20" preserveAspectRatio="none" role="img" aria-label="%s">%s</svg>',
                          5 * count(*), said,
                          string_agg(concat(
                              format('<rect class="good" x="%s" y="%s" width="4" height="%s"/>',
                                     5 * b.n - 5, round(20 - 20.0 * b.d / m.most, 1), round(20.0 * b.d / m.most, 1)),
                              CASE WHEN b.f > 0 THEN
                                   format('<rect class="bad" x="%s" y="%s" width="4" height="%s"/>',
                                          5 * b.n - 5, round(20 - 20.0 * (b.d + b.f) / m.most, 1), round(20.0 * b.f / m.most, 1)) END), '' ORDER BY b.n)
                              FILTER (WHERE b.d + b.f > 0))
              FROM unnest(delivered, failed) WITH ORDINALITY AS b (d, f, n)
             CROSS JOIN (SELECT greatest(max(x.d + x.f), 1) AS most FROM unnest(delivered, failed) AS x (d, f)) m);
END
$$;
COMMENT ON FUNCTION integration_worker.spark(bigint[], bigint[], text) IS 'Bars of what was delivered and what failed, as small as a word.';
