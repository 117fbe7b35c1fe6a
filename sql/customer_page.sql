-- The status page of a customer: their own objects in plain words, nothing of how we work.

CREATE TYPE integration_worker.customer_line AS (
    id bigint, system text, object_type text, object_id text, state text, explanation text, advice text, can_retry boolean,
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
                      concat_ws(' ', v.texts ->> ('cause.' || k.class), v.texts ->> ('next.' || w.status)),
                      coalesce(v.texts ->> ('advice.' || a.reason), v.texts ->> ('advice.:' || k.class)),
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
     CROSS JOIN LATERAL (
           SELECT CASE WHEN q.state <> 'failed' THEN integration_worker.held_class(e.id, lines_of_customer.customer) END AS held_class
           OFFSET 0) h
     CROSS JOIN LATERAL (
           SELECT integration_worker.customer_status_of(
                      s.state, r.remote_state = 'unknown' AND NOT coalesce(e.idempotent, c.idempotent, true),
                      r.responsible, h.held_class IS NOT NULL)) AS w (status)
     CROSS JOIN LATERAL (SELECT integration_worker.customer_class(w.status, coalesce(h.held_class, a.error_class))) AS k (class)
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
    ('customer.page.title', 'Your data on its way: {customer}'),
    ('customer.page.as_of', 'As of {time}, times in {zone}'),
    ('customer.page.verdict_failed', '{count} of your records did not arrive.'),
    ('customer.page.verdict_retrying', '{count} of your records did not arrive yet and will be tried again; everything else did.'),
    ('customer.page.verdict_pending', 'Some of your records are on their way; everything else has arrived.'),
    ('customer.page.verdict_delivered', 'Everything has arrived.'),
    ('customer.page.verdict_nothing', 'We know of nothing that was to be sent for you.'),
    ('customer.page.arrived_today', 'Arrived, 24 h'),
    ('customer.page.arrived', 'Arrived'),
    ('customer.page.pending', 'On the way'),
    ('customer.page.retrying', 'Being tried again'),
    ('customer.page.failed', 'Did not arrive'),
    ('customer.page.usual', 'Usually arrives within'),
    ('customer.page.list_failed', 'What did not arrive'),
    ('customer.page.about_failed', 'The latest first. They are not tried again by themselves.'),
    ('customer.page.list_retrying', 'What is tried again'),
    ('customer.page.about_retrying', 'The latest first. You need not do anything.'),
    ('customer.page.list_systems', 'Where your records go'),
    ('customer.page.about_systems', 'Of your latest records, by the system that they go to.'),
    ('customer.page.record', 'Record'),
    ('customer.page.system', 'System'),
    ('customer.page.happened', 'What happened'),
    ('customer.page.comes_next', 'What comes next'),
    ('customer.page.since', 'Since'),
    ('customer.page.last_arrival', 'Last arrival'),
    ('customer.page.can_retry', 'You can have it sent again: {statement}'),
    ('customer.page.contact', 'Please contact us.'),
    ('customer.page.tried_in', 'It is tried again in {length}.'),
    ('customer.page.tried_soon', 'It is tried again within moments.'),
    ('customer.page.more', 'And {count} more.'),
    ('customer.page.about_latest', 'About your latest 500 records, and all that did not arrive.'),
    ('customer.page.about_all', 'About all your records that are kept.');

-- Sending refused data again is of use only after what the advice says.
CREATE FUNCTION integration_worker.customer_next(line integration_worker.customer_line, texts jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF line.state = 'failed' THEN
        RETURN concat_ws(' ', integration_worker.html(line.advice), CASE
            WHEN line.can_retry THEN integration_worker.page_text(texts, 'can_retry', jsonb_build_object(
                 'statement', integration_worker.html_statement(format('SELECT integration.retry(%s);', line.id))))
            ELSE texts ->> 'contact' END);
    ELSIF line.next_attempt_at > statement_timestamp() THEN
        RETURN integration_worker.page_text(texts, 'tried_in', jsonb_build_object(
                   'length', integration_worker.duration_words(line.next_attempt_at - statement_timestamp(), texts)));
    END IF;
    RETURN texts ->> 'tried_soon';
END
$$;
COMMENT ON FUNCTION integration_worker.customer_next(integration_worker.customer_line, jsonb) IS 'What comes next for a sync that is not delivered.';

CREATE FUNCTION integration_worker.customer_rows(lines integration_worker.customer_line[], state text, texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<section><h2>', texts ->> ('list_' || customer_rows.state), '</h2>',
               integration_worker.html_table(customer_rows.state, texts ->> ('about_' || customer_rows.state),
               h.heads,
               string_agg(concat('<tr>',
                   integration_worker.html_cell(h.heads[1],
                       integration_worker.html_name(concat_ws(' ', l.object_type, coalesce(l.object_id, l.id::text)))),
                   integration_worker.html_cell(h.heads[2], integration_worker.html_name(l.system)),
                   integration_worker.html_cell(h.heads[3], concat(
                       integration_worker.html(l.explanation), integration_worker.customer_fields(l.id))),
                   integration_worker.html_cell(h.heads[4], integration_worker.customer_next(l, texts)),
                   integration_worker.html_cell(h.heads[5], integration_worker.html_time(l.created_at, texts)),
                   '</tr>'), '' ORDER BY l.id DESC)),
               CASE WHEN max(c.count) > 50 THEN
                    format('<p>%s</p>', integration_worker.page_text(texts, 'more', jsonb_build_object('count', integration_worker.html_number(max(c.count) - 50, texts)))) END,
               '</section>')
      FROM (SELECT x.*
              FROM unnest(lines) x
             WHERE x.state = customer_rows.state
             ORDER BY x.id DESC
             LIMIT 50) l
     CROSS JOIN (SELECT count(*) FROM unnest(lines) x WHERE x.state = customer_rows.state) c
     CROSS JOIN (SELECT integration_worker.page_heads(texts, '{record,system,happened,comes_next,since}')) AS h (heads)
     GROUP BY h.heads
$$;
COMMENT ON FUNCTION integration_worker.customer_rows(integration_worker.customer_line[], text, jsonb) IS
    'The section about a customer''s syncs of one state, the latest first; NULL: there are none.';

CREATE FUNCTION integration_worker.customer_systems(lines integration_worker.customer_line[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat('<section><h2>', texts ->> 'list_systems', '</h2>',
               integration_worker.html_table('systems', texts ->> 'about_systems',
               integration_worker.page_heads(texts, '{system,>arrived,>pending,>failed,>last_arrival}'),
               string_agg(concat('<tr>',
                   integration_worker.html_cell(texts ->> 'system', integration_worker.html_name(s.system)),
                   integration_worker.html_cell(texts ->> 'arrived', integration_worker.html_number(s.arrived, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'pending', integration_worker.html_number(s.under_way, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'failed', integration_worker.html_number(s.failed, texts), 'n'),
                   integration_worker.html_cell(texts ->> 'last_arrival', integration_worker.html_time(s.last_arrival, texts), 'n'),
                   '</tr>'), '' ORDER BY s.system)), '</section>')
      FROM (SELECT l.system, count(*) FILTER (WHERE l.state = 'delivered') AS arrived,
                   count(*) FILTER (WHERE l.state IN ('pending', 'retrying')) AS under_way,
                   count(*) FILTER (WHERE l.state = 'failed') AS failed,
                   max(l.finished_at) FILTER (WHERE l.state = 'delivered') AS last_arrival
              FROM unnest(lines) l
             GROUP BY 1) s
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION integration_worker.customer_systems(integration_worker.customer_line[], jsonb) IS
    'The section about how a customer''s syncs stand by product; NULL: there are none.';

CREATE FUNCTION integration_worker.customer_overview(lines integration_worker.customer_line[], texts jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(
        integration_worker.html_verdict(CASE v.state WHEN 'failed' THEN 'warning' WHEN 'nothing' THEN 'quiet' ELSE 'ok' END, integration_worker.page_text(
            texts, 'verdict_' || v.state,
            jsonb_build_object('count', integration_worker.html_number(CASE v.state WHEN 'failed' THEN s.failed ELSE s.retrying END, texts)))),
        '<dl class="tiles">',
        integration_worker.html_tile('arrived', texts ->> 'arrived_today',
                                     integration_worker.html_number(s.arrived, texts) || CASE WHEN s.is_part THEN '+' ELSE '' END),
        integration_worker.html_tile('pending_count', texts ->> 'pending', integration_worker.html_number(s.pending, texts)),
        integration_worker.html_tile('retrying_count', texts ->> 'retrying', integration_worker.html_number(s.retrying, texts)),
        integration_worker.html_tile('failed_count', texts ->> 'failed', integration_worker.html_number(s.failed, texts),
                                     CASE WHEN s.failed > 0 THEN 'critical' ELSE 'ok' END),
        integration_worker.html_tile('usual', texts ->> 'usual', integration_worker.html_age(s.usual, texts)), '</dl>')
      FROM (SELECT count(*) FILTER (WHERE l.state = 'delivered' AND l.finished_at >= statement_timestamp() - interval '24 hours') AS arrived,
                   count(*) FILTER (WHERE l.state = 'pending') AS pending, count(*) FILTER (WHERE l.state = 'retrying') AS retrying,
                   count(*) FILTER (WHERE l.state = 'failed') AS failed,
                   count(*) >= 500 AS is_part, count(*) = 0 AS is_empty,
                   percentile_disc(0.95) WITHIN GROUP (ORDER BY l.finished_at - l.created_at) FILTER (WHERE l.state = 'delivered') AS usual
              FROM unnest(lines) l) s
     CROSS JOIN LATERAL (SELECT CASE WHEN s.failed > 0 THEN 'failed' WHEN s.retrying > 0 THEN 'retrying'
                                     WHEN s.pending > 0 THEN 'pending' WHEN s.is_empty THEN 'nothing' ELSE 'delivered' END) AS v (state)
$$;
COMMENT ON FUNCTION integration_worker.customer_overview(integration_worker.customer_line[], jsonb) IS
    'The first sentence, the figures of a customer''s page.';

CREATE FUNCTION integration_worker.customer_page(customer text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
DECLARE
    lines integration_worker.customer_line[] := integration_worker.lines_of_customer(customer, 500);
    subject integration.customer;
    texts jsonb;
BEGIN
    SELECT c.* INTO subject FROM integration.customer c WHERE c.name = customer_page.customer;
    texts := integration_worker.page_texts('customer.page.', subject.locale);
    RETURN integration_worker.html_page(
        integration_worker.page_text(texts, 'title', jsonb_build_object('customer', integration_worker.html(coalesce(subject.title, customer)))),
        integration_worker.page_text(texts, 'as_of', jsonb_build_object(
            'time', integration_worker.html(to_char(statement_timestamp(), texts ->> 'time.now')),
            'zone', integration_worker.html(current_setting('TimeZone')))),
        concat(integration_worker.customer_overview(lines, texts), integration_worker.customer_rows(lines, 'failed', texts),
               integration_worker.customer_rows(lines, 'retrying', texts), integration_worker.customer_systems(lines, texts)),
        texts ->> (CASE WHEN cardinality(lines) >= 500 THEN 'about_latest' ELSE 'about_all' END),
        texts ->> 'language');
END
$$;
COMMENT ON FUNCTION integration_worker.customer_page(text) IS 'The page for a customer, in the customer''s language.';
