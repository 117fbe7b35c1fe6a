-- The status page of a customer: their own objects in plain words, nothing of how we work.

CREATE TYPE integration_worker.customer_line AS (
    id bigint, system text, object_type text, object_id text, state text, explanation text, can_retry boolean,
    created_at timestamptz, next_attempt_at timestamptz, finished_at timestamptz);

-- The latest by the indexes of what belongs to them; what failed however old, of the first 20,000 that failed at all.
CREATE FUNCTION integration_worker.ids_of_customer(customer text, most integer) RETURNS SETOF bigint
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    (SELECT o.id FROM integration.outbox o WHERE o.customer = ids_of_customer.customer ORDER BY o.id DESC LIMIT most)
    UNION
    (SELECT a.outbox_id
       FROM integration.endpoint e
      CROSS JOIN LATERAL (
            SELECT x.outbox_id, x.started_at
              FROM integration.attempt x
             WHERE x.endpoint_id = e.id
             ORDER BY x.started_at DESC LIMIT most) a
      WHERE e.customer = ids_of_customer.customer
      ORDER BY a.started_at DESC LIMIT most)
    UNION
    (SELECT q.outbox_id
       FROM integration.endpoint e
       JOIN integration.queue q ON q.endpoint_id = e.id
      WHERE e.customer = ids_of_customer.customer AND q.state <> 'failed'
      LIMIT most)
    UNION
    (SELECT f.outbox_id
       FROM (SELECT q.outbox_id, q.endpoint_id FROM integration.queue q WHERE q.state = 'failed' LIMIT 20000) f
       JOIN integration.outbox o ON o.id = f.outbox_id
       JOIN integration.endpoint e ON e.id = f.endpoint_id
      WHERE coalesce(o.customer, e.customer) = ids_of_customer.customer
      LIMIT most)
$$;
COMMENT ON FUNCTION integration_worker.ids_of_customer(text, integer) IS
    'Syncs that a customer''s page is about: the latest, what failed; most of each kind.';

-- The columns of integration.customer_sync, for one customer whoever asks.
CREATE FUNCTION integration_worker.lines_of_customer(customer text, most integer) RETURNS integration_worker.customer_line[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg((o.id, coalesce(c.title, c.name), o.object_type, o.object_id, s.state,
                      concat_ws(' ', v.texts ->> ('cause.' || integration_worker.customer_class(w.status, coalesce(h.held_class, a.error_class))),
                                v.texts ->> ('next.' || w.status)),
                      coalesce(q.state = 'failed' AND (q.expires_at > statement_timestamp()) IS NOT FALSE
                               AND NOT (r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true)), false),
                      o.created_at, CASE WHEN q.state = 'retrying' THEN q.due_at END,
                      CASE WHEN q.outbox_id IS NULL
                           THEN coalesce(g.closed_at, a.started_at + coalesce(a.duration_ms, 0) * interval '1 ms') END
                     )::integration_worker.customer_line ORDER BY o.id DESC)
      FROM integration_worker.ids_of_customer(lines_of_customer.customer, most) AS i (id)
      JOIN integration.outbox o ON o.id = i.id
      LEFT JOIN integration.endpoint e ON e.name = o.endpoint
      LEFT JOIN integration.connector c ON c.name = e.connector
      LEFT JOIN integration.queue q ON q.outbox_id = o.id
      LEFT JOIN integration.closing g ON g.outbox_id = o.id
      LEFT JOIN LATERAL (
           SELECT x.started_at, x.duration_ms, x.reason, x.error_class
             FROM integration.attempt x
            WHERE x.outbox_id = o.id
            ORDER BY x.attempt_no DESC
            LIMIT 1) a ON true
     CROSS JOIN (SELECT integration_worker.customer_vocabulary(lines_of_customer.customer) OFFSET 0) AS v (texts)
     CROSS JOIN LATERAL (SELECT coalesce(q.state, g.state, 'delivered')) AS s (state)
      LEFT JOIN integration.error_reason r ON r.reason = a.reason
      LEFT JOIN LATERAL (
           SELECT integration_worker.held_class(e.id, lines_of_customer.customer) AS held_class
            WHERE q.state <> 'failed') h ON true
     CROSS JOIN LATERAL (
           SELECT integration_worker.customer_status_of(
                      s.state, r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true),
                      r.responsible, h.held_class IS NOT NULL)) AS w (status)
     WHERE coalesce(o.customer, e.customer) = lines_of_customer.customer
       AND o.operation <> 'ping'
       AND s.state <> 'superseded'
$$;
COMMENT ON FUNCTION integration_worker.lines_of_customer(text, integer) IS
    'What a customer''s page is about, the latest first.';

CREATE FUNCTION integration_worker.customer_fields(id bigint) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<ul class="fields">' || string_agg(format('<li>%s</li>', concat_ws(': ', integration_worker.html_name(f.field),
                                                                               integration_worker.html(f.detail))), '') || '</ul>'
      FROM integration_worker.fields_of_sync(customer_fields.id, false, true) f
$$;
COMMENT ON FUNCTION integration_worker.customer_fields(bigint) IS 'What the customer can correct; NULL: nothing is known.';

INSERT INTO integration.phrase (key, words) VALUES
    -- As HTML names it.
    ('customer.page.language', 'en'),
    ('customer.page.title', 'Your data on its way: {customer}'),
    ('customer.page.as_of', 'As of {time}, times in {zone}'),
    ('customer.page.latest', 'About your latest 1,000 records, and all that did not arrive.'),
    ('customer.page.all', 'About all your records that are kept.'),
    ('customer.page.some_failed', '{count} of your records did not arrive.'),
    ('customer.page.some_retried', '{count} of your records are tried again; everything else has arrived.'),
    ('customer.page.some_wait', 'Some of your records are on their way; everything else has arrived.'),
    ('customer.page.all_arrived', 'Everything has arrived.'),
    ('customer.page.arrived_today', 'Arrived, 24 h'),
    ('customer.page.arrived', 'Arrived'),
    ('customer.page.under_way', 'On the way'),
    ('customer.page.retried', 'Being tried again'),
    ('customer.page.failed', 'Did not arrive'),
    ('customer.page.usual', 'Usually arrives within'),
    ('customer.page.last_arrival', 'Last arrival'),
    ('customer.page.failed_heading', 'What did not arrive'),
    ('customer.page.failed_caption', 'The latest first. They are not tried again by themselves.'),
    ('customer.page.retried_heading', 'What is tried again'),
    ('customer.page.retried_caption', 'The latest first. You need not do anything.'),
    ('customer.page.systems_heading', 'Where your records go'),
    ('customer.page.systems_caption', 'Of your latest records, by the system that they go to.'),
    ('customer.page.record', 'Record'),
    ('customer.page.system', 'System'),
    ('customer.page.happened', 'What happened'),
    ('customer.page.next', 'What comes next'),
    ('customer.page.since', 'Since'),
    ('customer.page.can_retry', 'You can have it sent again: {statement}'),
    ('customer.page.contact_us', 'Please contact us.'),
    ('customer.page.again_in', 'It is tried again in {length}.'),
    ('customer.page.again_now', 'It is tried again within moments.'),
    ('customer.page.more', 'And {count} more.');

CREATE FUNCTION integration_worker.customer_says(texts jsonb, key text, words jsonb DEFAULT '{}') RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT integration_worker.fill_in(integration_worker.html(texts ->> ('page.' || key)), words)
$$;
COMMENT ON FUNCTION integration_worker.customer_says(jsonb, text, jsonb) IS
    'A text of a customer''s page as HTML, out of its vocabulary; the words are HTML already.';

CREATE FUNCTION integration_worker.customer_rows(
        texts jsonb, lines integration_worker.customer_line[], state text, caption text)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH label AS MATERIALIZED (
        SELECT ARRAY(SELECT integration_worker.customer_says(texts, h.key)
                       FROM unnest('{record,system,happened,next,since}'::text[]) WITH ORDINALITY AS h (key, n) ORDER BY h.n) AS heads
    )
    SELECT concat(integration_worker.html_table(customer_rows.state, caption, (SELECT b.heads FROM label b),
               string_agg(concat('<tr>',
                   integration_worker.html_cell(b.heads[1], integration_worker.html_name(concat_ws(' ', l.object_type, coalesce(l.object_id, l.id::text)))),
                   integration_worker.html_cell(b.heads[2], integration_worker.html_name(l.system)),
                   integration_worker.html_cell(b.heads[3], concat(
                       integration_worker.html(l.explanation), CASE WHEN l.n <= 50 THEN integration_worker.customer_fields(l.id) END)),
                   integration_worker.html_cell(b.heads[4], CASE
                       WHEN l.can_retry THEN integration_worker.customer_says(texts, 'can_retry', jsonb_build_object(
                            'statement', format('<code>SELECT integration.retry(%s);</code>', l.id)))
                       WHEN l.state = 'failed' THEN integration_worker.customer_says(texts, 'contact_us')
                       WHEN l.next_attempt_at > statement_timestamp() THEN
                            integration_worker.customer_says(texts, 'again_in', jsonb_build_object(
                                'length', integration_worker.duration_words(l.next_attempt_at - statement_timestamp())))
                       ELSE integration_worker.customer_says(texts, 'again_now') END),
                   integration_worker.html_cell(b.heads[5], integration_worker.html_time(l.created_at)), '</tr>'), '' ORDER BY l.id DESC)
                   FILTER (WHERE l.n <= 50)),
               CASE WHEN count(*) > 50 THEN
                    format('<p>%s</p>', integration_worker.customer_says(texts, 'more', jsonb_build_object('count', count(*) - 50))) END)
      FROM (SELECT x.*, row_number() OVER (ORDER BY x.id DESC) AS n
              FROM unnest(lines) x
             WHERE x.state = customer_rows.state) l
     CROSS JOIN label b
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION integration_worker.customer_rows(jsonb, integration_worker.customer_line[], text, text) IS
    'A customer''s syncs of one state, the latest first; NULL: there are none.';

CREATE FUNCTION integration_worker.customer_systems(texts jsonb, lines integration_worker.customer_line[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH label AS MATERIALIZED (
        SELECT ARRAY(SELECT integration_worker.customer_says(texts, h.key)
                       FROM unnest('{system,arrived,under_way,failed,last_arrival}'::text[]) WITH ORDINALITY AS h (key, n) ORDER BY h.n) AS heads
    )
    SELECT integration_worker.html_table('systems', integration_worker.customer_says(texts, 'systems_caption'),
               (SELECT ARRAY[b.heads[1], '>' || b.heads[2], '>' || b.heads[3], '>' || b.heads[4], '>' || b.heads[5]] FROM label b),
               string_agg(concat('<tr>', integration_worker.html_cell(b.heads[1], integration_worker.html_name(s.system)),
                   integration_worker.html_cell(b.heads[2], integration_worker.html_number(s.arrived), 'n'),
                   integration_worker.html_cell(b.heads[3], integration_worker.html_number(s.under_way), 'n'),
                   integration_worker.html_cell(b.heads[4], integration_worker.html_number(s.failed), 'n'),
                   integration_worker.html_cell(b.heads[5], integration_worker.html_time(s.last_arrival), 'n'), '</tr>'), '' ORDER BY s.system))
      FROM (SELECT l.system, count(*) FILTER (WHERE l.state = 'delivered') AS arrived,
                   count(*) FILTER (WHERE l.state IN ('pending', 'retrying')) AS under_way,
                   count(*) FILTER (WHERE l.state = 'failed') AS failed,
                   max(l.finished_at) FILTER (WHERE l.state = 'delivered') AS last_arrival
              FROM unnest(lines) l
             GROUP BY 1) s
     CROSS JOIN label b
$$;
COMMENT ON FUNCTION integration_worker.customer_systems(jsonb, integration_worker.customer_line[]) IS
    'How a customer''s syncs stand by product.';

CREATE FUNCTION integration_worker.customer_overview(texts jsonb, lines integration_worker.customer_line[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(
        integration_worker.html_verdict(
            CASE WHEN s.failed > 0 THEN 'warning' ELSE 'ok' END,
            integration_worker.customer_says(
                texts, CASE WHEN s.failed > 0 THEN 'some_failed'
                            WHEN s.retrying > 0 THEN 'some_retried'
                            WHEN s.pending > 0 THEN 'some_wait'
                            ELSE 'all_arrived' END,
                jsonb_build_object('count', integration_worker.html_number(CASE WHEN s.failed > 0 THEN s.failed ELSE s.retrying END)))),
        '<dl class="tiles">',
        integration_worker.html_tile('arrived', integration_worker.customer_says(texts, 'arrived_today'), integration_worker.html_number(s.arrived)),
        integration_worker.html_tile('pending_count', integration_worker.customer_says(texts, 'under_way'), integration_worker.html_number(s.pending)),
        integration_worker.html_tile('retrying_count', integration_worker.customer_says(texts, 'retried'), integration_worker.html_number(s.retrying)),
        integration_worker.html_tile('failed_count', integration_worker.customer_says(texts, 'failed'), integration_worker.html_number(s.failed),
                                     CASE WHEN s.failed > 0 THEN 'critical' ELSE 'ok' END),
        integration_worker.html_tile('usual', integration_worker.customer_says(texts, 'usual'), integration_worker.html_age(s.usual)), '</dl>')
      FROM (SELECT count(*) FILTER (WHERE l.state = 'delivered' AND l.finished_at >= statement_timestamp() - interval '24 hours') AS arrived,
                   count(*) FILTER (WHERE l.state = 'pending') AS pending, count(*) FILTER (WHERE l.state = 'retrying') AS retrying,
                   count(*) FILTER (WHERE l.state = 'failed') AS failed,
                   percentile_disc(0.95) WITHIN GROUP (ORDER BY l.finished_at - l.created_at) FILTER (WHERE l.state = 'delivered') AS usual
              FROM unnest(lines) l) s
$$;
COMMENT ON FUNCTION integration_worker.customer_overview(jsonb, integration_worker.customer_line[]) IS
    'The first sentence, the figures of a customer''s page.';

CREATE FUNCTION integration_worker.customer_section(texts jsonb, heading text, content text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<section><h2>' || integration_worker.customer_says(texts, heading) || '</h2>' || content || '</section>'
$$;
COMMENT ON FUNCTION integration_worker.customer_section(jsonb, text, text) IS
    'A part of a customer''s page under its heading; NULL: there is nothing in it.';

CREATE FUNCTION integration_worker.customer_page(customer text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    texts jsonb := integration_worker.customer_vocabulary(customer);
    lines integration_worker.customer_line[] := integration_worker.lines_of_customer(customer, 1000);
BEGIN
    RETURN integration_worker.html_page(
        integration_worker.customer_says(texts, 'title', jsonb_build_object('customer', integration_worker.html_name(customer))),
        integration_worker.customer_says(texts, 'as_of', jsonb_build_object(
            'time', integration_worker.html_time(statement_timestamp()),
            'zone', integration_worker.html(current_setting('TimeZone')))),
        concat(integration_worker.customer_overview(texts, lines),
               integration_worker.customer_section(texts, 'failed_heading', integration_worker.customer_rows(
                   texts, lines, 'failed', integration_worker.customer_says(texts, 'failed_caption'))),
               integration_worker.customer_section(texts, 'retried_heading', integration_worker.customer_rows(
                   texts, lines, 'retrying', integration_worker.customer_says(texts, 'retried_caption'))),
               integration_worker.customer_section(texts, 'systems_heading', integration_worker.customer_systems(texts, lines))),
        integration_worker.customer_says(texts, CASE WHEN cardinality(lines) >= 1000 THEN 'latest' ELSE 'all' END),
        texts ->> 'page.language');
END
$$;
COMMENT ON FUNCTION integration_worker.customer_page(text) IS 'The page for a customer, in its language.';
