-- The stream of what happened says what, when, who, for whom, in which trace.
BEGIN;
\ir ../lib/settle.sql
SELECT plan(10);

INSERT INTO integration.connector (name, owner, severity) VALUES ('crm', 'sales-it', 2);
INSERT INTO integration.endpoint (name, url, connector, customer) VALUES ('shop', 'https://api.example.com/', 'crm', 'acme');
SET LOCAL integration.triggered_by = 'order.close';
SET LOCAL integration.trigger_ref = 'ui-77';

CREATE FUNCTION pg_temp.names(sync bigint) RETURNS text[]
    LANGUAGE sql
AS $$
    SELECT array_agg(e.component || ' ' || e.name ORDER BY e.at, e.attempt_no NULLS FIRST, e.name)
      FROM integration.event e WHERE e.outbox_id = sync
$$;

CREATE TEMP TABLE sync AS SELECT pg_temp.enqueue('shop', 'PO-1') AS good, pg_temp.enqueue('shop', 'PO-2') AS bad,
                                 pg_temp.enqueue('shop', 'PO-3') AS given_up;
SELECT pg_temp.bring(s.good, 'http:200') FROM sync s;
SELECT pg_temp.bring(s.bad, 'http:422', body => '{"message": "no"}') FROM sync s;
SELECT integration.cancel(s.given_up, 'sold out') FROM sync s;

SELECT bag_eq(format('SELECT unnest(pg_temp.names(%s))', s.good), '{sync enqueued,sync attempted,sync delivered}'::text[], 'a delivery')
  FROM sync s;
SELECT bag_eq(format('SELECT unnest(pg_temp.names(%s))', s.bad),
              '{sync enqueued,sync attempted,sync failed,incident opened}'::text[], 'a failure')
  FROM sync s;
SELECT is((SELECT concat_ws(' ', e.name, e.actor, e.reason) FROM integration.event e
            WHERE e.outbox_id = s.given_up AND e.name <> 'enqueued'), 'cancelled ' || session_user || ' sold out', 'who gave it up, why')
  FROM sync s;
SELECT is((SELECT concat_ws(' ', e.connector, e.customer, e.object_id, e.triggered_by, e.trigger_ref, e.error_class)
             FROM integration.event e WHERE e.outbox_id = s.bad AND e.name = 'failed'),
          'crm acme PO-2 order.close ui-77 validation', 'what it was about, what caused it')
  FROM sync s;
SELECT is(count(*), count(DISTINCT e.id), 'each has an id of its own') FROM integration.event e;

SELECT is(integration_worker.ids_for_log(ARRAY[s.good, NULL, s.bad]),
          (SELECT string_agg(format('outbox_id=%s trace_id=%s', t.outbox_id, t.trace_id), ', ' ORDER BY t.outbox_id = s.bad)
             FROM integration_worker.sync_trace t WHERE t.outbox_id IN (s.good, s.bad)), 'a line of the log names syncs with their traces')
  FROM sync s;
SELECT is(integration_worker.ids_for_log(ARRAY(SELECT -n FROM generate_series(1, 12) n)),
          (SELECT string_agg('outbox_id=-' || n, ', ') FROM generate_series(1, 10) n) || ', and 2 more', 'ten at most, gone ones without');
SELECT is(integration_worker.ids_for_log('{}'), NULL, 'or nothing');

SELECT integration.retry(s.bad, 'corrected there') FROM sync s;
SELECT ok('sync retried' = ANY (pg_temp.names(s.bad)), 'a person retried it') FROM sync s;

INSERT INTO integration.outbox (endpoint, payload, traceparent)
VALUES ('shop', '{}', 'cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x');
SELECT is((SELECT concat_ws(' ', t.is_given, t.trace_id, t.parent_id) FROM integration_worker.sync_trace t
            WHERE t.outbox_id = (SELECT max(o.id) FROM integration.outbox o)),
          't 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7', 'the application''s trace');

SELECT * FROM finish();
ROLLBACK;
