-- Takes away the ranges that the worker may have made since other tests used the sequence; the transaction ends undone.

DO $$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT r.outbox, r.attempt FROM integration_worker.ranges() r LOOP
        EXECUTE format('DROP TABLE integration.%I, integration.%I', made.outbox, made.attempt);
    END LOOP;
END
$$;
