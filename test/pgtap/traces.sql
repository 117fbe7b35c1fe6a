-- Where a sync's trace context comes from.
BEGIN;
SELECT plan(6);

INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://api.example.com/');

CREATE FUNCTION pg_temp.context(sync bigint) RETURNS text
    LANGUAGE sql
AS $$
    SELECT concat_ws(' ', o.traceparent, o.tracestate) FROM integration.outbox o WHERE o.id = sync
$$;

INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}'), ('shop', '{}')
/*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',tracestate='congo%3Dt61rcWkgMzE%2Crojo%3D1'*/;
SELECT is(array_agg(DISTINCT concat_ws(' ', o.traceparent, o.tracestate)),
          '{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 congo=t61rcWkgMzE,rojo=1"}'::text[],
          'the comment behind a statement gives all its rows their context')
  FROM integration.outbox o WHERE o.endpoint = 'shop';

INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}');
SELECT is(pg_temp.context(max(o.id)), '', 'the next statement has none of it') FROM integration.outbox o;

INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}')
/*traceparent='00-00000000000000000000000000000000-00f067aa0ba902b7-01',tracestate='a%3D1'*/;
SELECT is(pg_temp.context(max(o.id)), '', 'an invalid one is none') FROM integration.outbox o;

SET LOCAL integration.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
SET LOCAL integration.tracestate = 'a=1';
INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '{}')
/*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/;
SELECT is(pg_temp.context(max(o.id)), '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00 a=1',
          'the settings of the session go before the comment')
  FROM integration.outbox o;

INSERT INTO integration.outbox (endpoint, payload, traceparent, tracestate)
VALUES ('shop', '{}', '00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00', NULL);
SELECT is(pg_temp.context(max(o.id)), '00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
          'the columns go before both')
  FROM integration.outbox o;

-- The rows of test/unit/trace_context_test.c: SQL has to read them as C does.
WITH given (traceparent, is_valid) AS (
    VALUES ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', true), ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff', true),
           ('cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', true), ('cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what', true),
           ('ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', false), ('00-00000000000000000000000000000000-00f067aa0ba902b7-01', false),
           ('00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01', false), ('00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01', false),
           ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x', false), ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7', false),
           ('0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', false), ('00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01', false),
           ('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7x-01', false), ('cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what', false)
), inserted AS (
    INSERT INTO integration.outbox (endpoint, payload, traceparent, triggered_by)
    SELECT 'shop', '{}', g.traceparent, 'vector ' || g.is_valid FROM given g)
SELECT count(*) FROM given;
SELECT is_empty($$SELECT o.traceparent FROM integration.outbox o JOIN integration_worker.sync_trace t ON t.outbox_id = o.id
                   WHERE o.triggered_by LIKE 'vector %' AND o.triggered_by <> 'vector ' || t.is_given$$, 'SQL reads what C reads');

SELECT * FROM finish();
ROLLBACK;
