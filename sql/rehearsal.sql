-- What a failure sets off, gone through once before there is one.

-- What a session does for the first time, it reads functions for, makes plans for: for a failure that takes thirty times
-- as long as for the next one, while all other syncs wait.  Of a sync, an endpoint, an incident that don't exist; all of
-- it is taken back, and no number that people see is used up.
CREATE FUNCTION integration_worker.rehearse(at timestamptz DEFAULT clock_timestamp()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '20ms'
AS $$
DECLARE
    result integration_worker.result;
    counter integration_worker.counter;
    verdict integration_worker.verdict;
    ground integration_worker.ground;
BEGIN
    INSERT INTO integration.incident (id, endpoint, error_class) OVERRIDING SYSTEM VALUE VALUES (-1, '', 'rehearsal');
    result.outbox_id := -1;
    result.endpoint_id := -1;
    result.reason := 'http:503';
    result.http_status := 503;
    -- One more, and the breaker opens.
    counter.endpoint_id := -1;
    counter.failures := 9;
    PERFORM integration_worker.settle(ARRAY[result], ARRAY[counter], rehearse.at);
    PERFORM integration_worker.plain_endpoints('{-1}', rehearse.at);
    verdict.outbox_id := -1;
    verdict.attempts := 1;
    verdict.charged := 0;
    SELECT r, true, p.schedule, p.jitter, p.deadline, '{}'
      INTO ground.fact, ground.idempotent, ground.schedule, ground.jitter, ground.deadline, ground.mask
      FROM integration.error_reason r, integration.retry_policy p
     WHERE r.reason = result.reason AND p.name = 'standard';
    PERFORM integration_worker.decide(verdict, ground, NULL, rehearse.at);
    PERFORM integration_worker.write_status(ARRAY[verdict], rehearse.at);
    PERFORM integration_worker.owner_of(-1, 'remote_unavailable', NULL, NULL);
    PERFORM integration_worker.end_incidents('{-1}', rehearse.at);
    PERFORM l.line FROM integration_worker.distribute_changes(1) c, integration_worker.log_line(c) l;
    PERFORM integration_worker.notify_listeners();
    RAISE EXCEPTION USING ERRCODE = 'transaction_rollback';
EXCEPTION
    WHEN transaction_rollback THEN
        RETURN true;
    WHEN lock_not_available THEN
        RETURN false;
END
$$;
COMMENT ON FUNCTION integration_worker.rehearse(timestamptz) IS
    'Goes through what a failure sets off and takes it back, so that the worker has read its functions and made its plans before it matters. Whether it came to the end; false: somebody has a lock.';
