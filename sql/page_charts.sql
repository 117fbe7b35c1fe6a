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

CREATE FUNCTION integration_worker.chart_axis(hours integration_worker.hour_figures[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<div class="axis x" aria-hidden="true">'
           || string_agg(format('<span>%s</span>', to_char(h.hour, 'HH24:MI')), '' ORDER BY h.n) || '<span>now</span></div>'
      FROM unnest(hours) WITH ORDINALITY AS h (hour, delivered, failed, p50, p95, p99, n)
     WHERE h.n IN (1, 7, 13, 19)
$$;
COMMENT ON FUNCTION integration_worker.chart_axis(integration_worker.hour_figures[]) IS 'The times below a chart of 24 hours.';

CREATE FUNCTION integration_worker.traffic_table(hours integration_worker.hour_figures[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<details><summary>As a table</summary>'
           || integration_worker.html_table('hours', 'Attempts by the hour in which they began', '{Hour,>Delivered,>Failed,>p50,>p95,>p99}',
                  string_agg(concat('<tr>', integration_worker.html_cell('Hour', integration_worker.html_time(h.hour)),
                                    integration_worker.html_cell('Delivered', integration_worker.html_number(h.delivered), 'n'),
                                    integration_worker.html_cell('Failed', integration_worker.html_number(h.failed), 'n'),
                                    integration_worker.html_cell('p50', integration_worker.html_duration(h.p50_ms), 'n'),
                                    integration_worker.html_cell('p95', integration_worker.html_duration(h.p95_ms), 'n'),
                                    integration_worker.html_cell('p99', integration_worker.html_duration(h.p99_ms), 'n'), '</tr>'),
                             '' ORDER BY h.hour))
           || '</details>'
      FROM unnest(hours) h
$$;
COMMENT ON FUNCTION integration_worker.traffic_table(integration_worker.hour_figures[]) IS 'What the charts show, in figures.';

CREATE FUNCTION integration_worker.traffic_chart(hours integration_worker.hour_figures[]) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most bigint;
    said text;
    bars text;
BEGIN
    SELECT greatest(max(h.delivered + h.failed), 1),
           format('Attempts in 24 hours: %s delivered, %s failed', integration_worker.html_number(sum(h.delivered)),
                  integration_worker.html_number(sum(h.failed)))
      INTO most, said
      FROM unnest(hours) h;
    SELECT string_agg(format(
               '<g><title>%s: %s delivered, %s failed</title><rect class="good" x="%s" y="%s" width="8" height="%s"/>'
               '<rect class="bad" x="%4$s" y="%7$s" width="8" height="%8$s"/></g>',
               to_char(h.hour, 'HH24:MI'), integration_worker.html_number(h.delivered), integration_worker.html_number(h.failed),
               10 * h.n - 9, round(100 - 100.0 * h.delivered / most, 2), round(100.0 * h.delivered / most, 2),
               round(100 - 100.0 * (h.delivered + h.failed) / most, 2), round(100.0 * h.failed / most, 2)), '' ORDER BY h.n)
      INTO bars
      FROM unnest(hours) WITH ORDINALITY AS h (hour, delivered, failed, p50, p95, p99, n);
    RETURN format(
        '<figure><div class="top">%s an hour at most</div><svg class="chart" viewBox="0 0 240 100" preserveAspectRatio="none" role="img" aria-label="%s">'
        '<path class="grid" d="M0 .5H240M0 50H240M0 99.5H240"/>%s</svg>%s<ul class="legend">'
        '<li><svg class="spark" viewBox="0 0 16 7" aria-hidden="true"><rect class="good" width="16" height="7"/></svg>delivered</li>'
        '<li><svg class="spark" viewBox="0 0 16 7" aria-hidden="true"><rect class="bad" width="16" height="7"/></svg>failed, on top</li></ul>'
        '<figcaption>%2$s.</figcaption></figure>',
        integration_worker.html_number(most), said, bars, integration_worker.chart_axis(hours));
END
$$;
COMMENT ON FUNCTION integration_worker.traffic_chart(integration_worker.hour_figures[]) IS 'Bars of what was delivered and what failed by hour.';

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

CREATE FUNCTION integration_worker.duration_chart(hours integration_worker.hour_figures[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        '<figure><div class="scaled"><div class="axis y" aria-hidden="true"><span>100 s</span><span>10 s</span><span>1 s</span>'
        '<span>100 ms</span><span>10 ms</span><span>1 ms</span></div>'
        '<svg class="chart" viewBox="0 0 240 100" preserveAspectRatio="none" role="img" aria-label="%s">'
        '<path class="grid" d="M0 .5H240M0 20H240M0 40H240M0 60H240M0 80H240M0 99.5H240"/>%s%s%s</svg>%s</div><ul class="legend">%s</ul>'
        '<figcaption>How long attempts took; the scale is logarithmic.</figcaption></figure>',
        'How long attempts took by hour: half of them, nineteen of twenty, ninety-nine of a hundred; the figures are in the table below',
        integration_worker.duration_line(array_agg(h.p99_ms ORDER BY h.hour), 'p99'),
        integration_worker.duration_line(array_agg(h.p95_ms ORDER BY h.hour), 'p95'),
        integration_worker.duration_line(array_agg(h.p50_ms ORDER BY h.hour), 'p50'),
        integration_worker.chart_axis(hours),
        (SELECT string_agg(format('<li><svg viewBox="0 0 32 14" aria-hidden="true"><path class="%s" d="M2 7H30"/></svg>%s</li>', l.class, l.label), '')
           FROM (VALUES ('p50', 'half (p50)'), ('p95', '19 of 20 (p95)'), ('p99', '99 of 100 (p99)')) AS l (class, label)))
      FROM unnest(hours) h
$$;
COMMENT ON FUNCTION integration_worker.duration_chart(integration_worker.hour_figures[]) IS 'Lines of the durations that 50, 95 and 99 of a hundred attempts did not exceed.';

CREATE FUNCTION integration_worker.spark(delivered bigint[], failed bigint[], said text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<svg class="spark" viewBox="0 0 %s 20" preserveAspectRatio="none" role="img" aria-label="%s">%s</svg>',
                  5 * count(*), said,
                  string_agg(concat(
                      format('<rect class="good" x="%s" y="%s" width="4" height="%s"/>',
                             5 * b.n - 5, round(20 - 20.0 * b.d / m.most, 1), round(20.0 * b.d / m.most, 1)),
                      CASE WHEN b.f > 0 THEN
                           format('<rect class="bad" x="%s" y="%s" width="4" height="%s"/>',
                                  5 * b.n - 5, round(20 - 20.0 * (b.d + b.f) / m.most, 1), round(20.0 * b.f / m.most, 1)) END), '' ORDER BY b.n)
                      FILTER (WHERE b.d + b.f > 0))
      FROM unnest(delivered, failed) WITH ORDINALITY AS b (d, f, n)
     CROSS JOIN (SELECT greatest(max(x.d + x.f), 1) AS most FROM unnest(delivered, failed) AS x (d, f)) m
$$;
COMMENT ON FUNCTION integration_worker.spark(bigint[], bigint[], text) IS 'Bars of what was delivered and what failed, as small as a word.';
