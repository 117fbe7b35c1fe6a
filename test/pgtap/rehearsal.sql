-- What the worker goes through before there is a failure leaves nothing behind.
BEGIN;
SELECT plan(4);

CREATE FUNCTION pg_temp.traces() RETURNS bigint[]
    LANGUAGE sql AS $$
    SELECT ARRAY[(SELECT count(*) FROM integration.attempt), (SELECT count(*) FROM integration.incident),
                 (SELECT count(*) FROM integration.endpoint_health), (SELECT count(*) FROM integration_worker.incident_change)]
$$;
CREATE FUNCTION pg_temp.last(table_name text) RETURNS bigint
    LANGUAGE sql AS $$ SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(table_name, 'id')::regclass), 0) $$;

SELECT pg_temp.traces()::text AS traces, pg_temp.last('integration.incident') AS incident,
       pg_temp.last('integration_worker.incident_change') AS change \gset
-- A test beside this one may have a table locked.
CREATE FUNCTION pg_temp.rehearse() RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 300 LOOP
        IF integration_worker.rehearse() THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RETURN false;
END
$$;
SELECT ok(pg_temp.rehearse(), 'a rehearsal comes to its end');
SELECT is(pg_temp.traces(), :'traces', 'all of it is taken back');
SELECT is(pg_temp.last('integration.incident'), :incident::bigint, 'no number that people see is used up');
SELECT cmp_ok(pg_temp.last('integration_worker.incident_change'), '>', :change::bigint, 'it goes as far as what people are told');

SELECT * FROM finish();
ROLLBACK;
