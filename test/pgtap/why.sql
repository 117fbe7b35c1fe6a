-- why() is true: the cause and the time it gives are those of the tables, for each state and each thing that holds back.
BEGIN;
\ir ../lib/refusal.sql
SET LOCAL TimeZone = 'Europe/Berlin';
SET LOCAL DateStyle = 'ISO, YMD';
SELECT plan(43);

INSERT INTO integration.connector (name, owner) VALUES ('erp', 'sales team');
INSERT INTO integration.endpoint (name, connector, url, customer, rate_limit) VALUES ('shop', 'erp', 'https://shop.example.com/', 'acme', 10);
CREATE TEMP TABLE made (name text PRIMARY KEY, id bigint);

-- A sync of the name, not tried yet.
CREATE FUNCTION pg_temp.make(name text, ordering_key text DEFAULT NULL, send_after timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
    RETURNS void
    LANGUAGE sql
AS $$
    WITH sync AS (
        INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, ordering_key, send_after, expires_at)
        VALUES ('shop', 'order', make.name, '{}', make.ordering_key, make.send_after, make.expires_at)
        RETURNING id)
    INSERT INTO made SELECT make.name, id FROM sync
$$;
CREATE FUNCTION pg_temp.attempt(name text, attempt_no integer, reason text, error_class text DEFAULT NULL, error text DEFAULT NULL)
    RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, error_class, error)
    SELECT m.id, attempt.attempt_no, e.id, now() - interval '5 min', 2000,
           CASE WHEN attempt.error_class IS NULL THEN 'delivered' ELSE 'failed' END, attempt.reason, attempt.error_class, attempt.error
      FROM made m, integration.endpoint e WHERE m.name = attempt.name AND e.name = 'shop';
    SELECT integration_worker.recall_attempts(ARRAY[m.id]) FROM made m WHERE m.name = attempt.name
$$;
-- The sentence, with N for the number of the sync it is about.
CREATE FUNCTION pg_temp.why(name text) RETURNS text
    LANGUAGE sql
AS $$
    SELECT regexp_replace(integration.why(m.id), '([Ss]ync |\()' || m.id || '\M', '\1N', 'g') FROM made m WHERE m.name = why.name
$$;
-- A time as the sentence has to give it.
CREATE FUNCTION pg_temp.at(moment timestamptz) RETURNS text LANGUAGE sql AS $$SELECT to_char(moment, 'YYYY-MM-DD HH24:MI:SS TZ')$$;
CREATE FUNCTION pg_temp.id(name text) RETURNS bigint LANGUAGE sql AS $$SELECT m.id FROM made m WHERE m.name = id.name$$;

-- unknown
SELECT is(integration.why(9999999), 'There is no sync 9999999: it was never committed, or retention has removed it.', 'an unknown id');
SELECT is(integration.why(NULL), 'There is no sync NULL: it was never committed, or retention has removed it.', 'NULL');

-- delivered
SELECT pg_temp.make('delivered') \g /dev/null
SELECT pg_temp.attempt('delivered', 1, 'http:503', 'remote_unavailable'), pg_temp.attempt('delivered', 2, 'http:201') \g /dev/null
DELETE FROM integration.queue WHERE outbox_id = pg_temp.id('delivered');
SELECT is(pg_temp.why('delivered'), format('Sync N was delivered at %s by attempt 2 (http:201).', pg_temp.at(now() - interval '5 min' + interval '2 s')), 'delivered');

-- failed
SELECT pg_temp.make('failed') \g /dev/null
SELECT pg_temp.attempt('failed', 1, 'http:422', 'validation', 'line 3 has no sku.') \g /dev/null
UPDATE integration.queue SET state = 'failed' WHERE outbox_id = pg_temp.id('failed');
SELECT is(pg_temp.why('failed'),
          format('Sync N waits for a person since %s: attempt 1 failed with validation (http:422: line 3 has no sku); remedy: %s (responsible: %s); '
                 'SELECT integration.amend(N, ''{…}'', ''why'') sends corrected data, SELECT integration.retry(N, ''why'') the same again.',
                 pg_temp.at(now() - interval '5 min' + interval '2 s'), rtrim(r.remedy, '.'), r.responsible), 'failed')
  FROM integration.error_reason r WHERE r.reason = 'http:422';

-- cancelled
SELECT pg_temp.make('cancelled'), pg_temp.make('cancelled silently') \g /dev/null
SELECT integration.cancel(pg_temp.id('cancelled'), 'ordered twice') \g /dev/null
SELECT integration.cancel(pg_temp.id('cancelled silently')) \g /dev/null
SELECT is(pg_temp.why('cancelled'), format('Sync N was cancelled at %s by %s ("ordered twice"); SELECT integration.retry(N, ''why'') brings it back.',
                                           pg_temp.at(c.closed_at), session_user), 'cancelled')
  FROM integration.closing c WHERE c.outbox_id = pg_temp.id('cancelled');
SELECT matches(pg_temp.why('cancelled silently'), format('^Sync N was cancelled at [^"]* by %s; SELECT', session_user), 'cancelled without a reason');
INSERT INTO made SELECT 'instead of cancelled', integration.amend(pg_temp.id('cancelled'), '{"a": 1}');
SELECT matches(pg_temp.why('cancelled'), format('; in its place went sync %s, which is pending\.$', pg_temp.id('instead of cancelled')), 'cancelled, then amended');

-- expired
SELECT pg_temp.make('expired', expires_at => now() + interval '1 min') \g /dev/null
DELETE FROM integration.queue WHERE outbox_id = pg_temp.id('expired');
INSERT INTO integration.closing (outbox_id, state, closed_at, reason) VALUES (pg_temp.id('expired'), 'expired', now(), 'expired');
SELECT matches(pg_temp.why('expired'), format('^Sync N expired at %s: it was not to be sent after %s.*, and no attempt had been made; SELECT integration\.amend\(N, NULL, ''why''\) sends it all the same\.$',
                                         pg_temp.at(now()), pg_temp.at(now() + interval '1 min')), 'expired');
SELECT pg_temp.attempt('expired', 1, 'http:503', 'remote_unavailable', 'Down') \g /dev/null
SELECT matches(pg_temp.why('expired'), 'and attempt 1 failed with remote_unavailable \(http:503: Down\);', 'expired after an attempt');

-- superseded
SELECT pg_temp.make('amended') \g /dev/null
INSERT INTO made SELECT 'correction', integration.amend(pg_temp.id('amended'), '{"a": 1}', 'typing error');
SELECT is(pg_temp.why('amended'), format('Sync N was superseded at %s (typing error) by sync %s, which is pending.', pg_temp.at(c.closed_at), pg_temp.id('correction')), 'superseded')
  FROM integration.closing c WHERE c.outbox_id = pg_temp.id('amended');
SELECT pg_temp.make('duplicate') \g /dev/null
DELETE FROM integration.queue WHERE outbox_id = pg_temp.id('duplicate');
INSERT INTO integration.closing (outbox_id, state, reason, superseded_by) VALUES (pg_temp.id('duplicate'), 'superseded', 'duplicate', pg_temp.id('delivered'));
SELECT is(pg_temp.why('duplicate'), format('Sync N was not sent: it is a duplicate of sync %s, which is delivered.', pg_temp.id('delivered')), 'a duplicate');

-- its own schedule
SELECT pg_temp.make('retrying'), pg_temp.make('later', send_after => now() + interval '51 hours') \g /dev/null
SELECT pg_temp.attempt('retrying', 1, 'http:503', 'remote_unavailable', 'Down for maintenance') \g /dev/null
UPDATE integration.queue SET state = 'retrying', due_at = now() + interval '2 min 10 s' WHERE outbox_id = pg_temp.id('retrying');
SELECT matches(pg_temp.why('retrying'), format('^Sync N waits for attempt 2 at %s \(in 2 min( \d+ s)?\): attempt 1 failed with remote_unavailable \(http:503: Down for maintenance\)\.$',
                                               pg_temp.at(now() + interval '2 min 10 s')), 'its own schedule');
SELECT matches(pg_temp.why('later'), format('^Sync N is not to be sent before %s \(in 2 d [23] h\), as the application asked\.$', pg_temp.at(now() + interval '51 hours')), 'send_after');

-- an ordering key
SELECT pg_temp.make('head', 'PO-7'), pg_temp.make('follower', 'PO-7') \g /dev/null
SELECT is(pg_temp.why('follower'), format('Sync N waits because sync %1$s comes before it under ordering key "PO-7" and is pending; it goes when that one is finished (SELECT integration.why(%1$s)).', pg_temp.id('head')),
          'an earlier one of its ordering key');
UPDATE integration.queue SET state = 'failed' WHERE outbox_id = pg_temp.id('head');
SELECT is(pg_temp.why('follower'), format('Sync N waits because sync %1$s comes before it under ordering key "PO-7" and is failed; it goes when that one is retried and delivered, amended or cancelled (SELECT integration.why(%1$s)).',
                                          pg_temp.id('head')), 'a failed one');
SELECT integration.cancel(pg_temp.id('head')) \g /dev/null
SELECT unalike(pg_temp.why('follower'), '%comes before it%', 'until that is cancelled');

-- what only shared memory knows
SELECT pg_temp.make('due') \g /dev/null
CREATE FUNCTION pg_temp.live(started_at timestamptz, rate_free_at timestamptz, in_flight integer, "window" integer, has_worker boolean) RETURNS text
    LANGUAGE sql
AS $$
    SELECT regexp_replace(integration_worker.why_waiting(m.id, live.started_at, live.rate_free_at, live.in_flight, live."window", live.has_worker), '\m' || m.id || '\M', 'N', 'g')
      FROM made m WHERE m.name = 'due'
$$;
SELECT is(pg_temp.live(NULL, NULL, 1, 4, true), format('Sync N is due since %s and leaves within moments.', pg_temp.at(now())), 'due');
SELECT matches(pg_temp.live(NULL, NULL, NULL, NULL, false), format('^Sync N is due since %s, but no worker runs in this database, so nothing is sent: .*shared_preload_libraries = ''integration''', pg_temp.at(now())), 'no worker');
SELECT is(pg_temp.live(now() + interval '1 s', NULL, 1, 4, true),
          format('Sync N is being sent right now: attempt 1 began at %s.', pg_temp.at(now() + interval '1 s')), 'in flight, later than the statement');
SELECT matches(pg_temp.live(NULL, statement_timestamp() + interval '90 ms', 1, 4, true),
               '^Sync N waits because the rate limit of endpoint "shop" is 10 a second; the next may leave at ', 'its rate');
SELECT matches(pg_temp.live(NULL, now() + interval '1 hour', 1, 4, true),
               format('^Sync N waits because endpoint "shop" said how much is left of its rate limit: the next may leave at %s \(in (1 h|59 min \d+ s)\)\. .*integration\.resume\(''endpoint'', ''shop''\)', pg_temp.at(now() + interval '1 hour')), 'an announced limit');
SELECT is(pg_temp.live(NULL, now(), 4, 4, true), 'Sync N waits because endpoint "shop" has as many requests under way as it gets at once just now (4 of 4); it goes when one of them ends.', 'its window');
SELECT matches(integration_worker.why_waiting(pg_temp.id('due'), NULL, NULL, 0, 4, true, true),
               'leaves as soon as there is an access token for endpoint "shop": the token endpoint of its credential is asked for one\.$', 'its token');
SELECT matches(integration.why(pg_temp.id('due')), format('^Sync %s is due since', pg_temp.id('due')), 'why() asks shared memory');

-- the endpoint
INSERT INTO integration.endpoint_health (endpoint_id, state, since, open_until, tripped_by, last_reason, last_error)
SELECT id, 'stopped', now() - interval '3 min', now() + interval '10 min', 4711, 'http:401', 'bad token' FROM integration.endpoint WHERE name = 'shop';
SELECT matches(pg_temp.why('due'),
               format('^Sync N waits because endpoint "shop" is stopped since %s: sync 4711 failed with %s \(http:401: bad token\); remedy: %s \(responsible: %s\); it is tried again at %s \(in (10 min|9 min \d+ s)\), '
                      'at once after a change of endpoint, connector or credential, or by SELECT integration\.resume\(''endpoint'', ''shop''\)\.$',
                      pg_temp.at(now() - interval '3 min'), r.error_class, regexp_replace(rtrim(r.remedy, '.'), '([()?+*.\\])', '\\\1', 'g'), r.responsible, pg_temp.at(now() + interval '10 min')), 'stopped')
  FROM integration.error_reason r WHERE r.reason = 'http:401';
UPDATE integration.endpoint_health SET open_until = now() - interval '1 s';
SELECT matches(pg_temp.why('due'), 'it is tried again now, at once after', 'stopped, the probe is due');
UPDATE integration.endpoint_health SET state = 'open', open_until = now() + interval '30 s', last_reason = 'http:503', last_error = NULL;
SELECT matches(pg_temp.why('due'), format('^Sync N waits because endpoint "shop" fails too often since %s, last with remote_unavailable \(http:503\); one sync is tried at %s \(in \d+ s\), and the rest follows as soon as it is delivered\.$',
                                          pg_temp.at(now() - interval '3 min'), pg_temp.at(now() + interval '30 s')), 'an open breaker');
UPDATE integration.endpoint_health SET state = 'half_open', open_until = now() - interval '1 s';
SELECT matches(pg_temp.why('due'), 'one sync is tried now, and the rest', 'a probe is out');
UPDATE integration.endpoint_health SET state = 'closed', open_until = NULL, retry_after_until = now() + interval '90 min';
SELECT matches(pg_temp.why('due'), format('^Sync N waits because endpoint "shop" asked to be left alone until %s \(in 1 h (30|29) min\); then it goes by itself\. .*integration\.resume\(''endpoint'', ''shop''\)', pg_temp.at(now() + interval '90 min')), 'a Retry-After');
SELECT is(integration.resume('endpoint', 'shop'), true, 'resume ends it');
SELECT matches(pg_temp.why('due'), '^Sync N is due since', 'and why() says so');

-- pauses
SELECT integration.pause('endpoint', 'shop', 'moving house', now() + interval '1 hour') \g /dev/null
SELECT matches(pg_temp.why('due'), format('^Sync N waits because endpoint "shop" is paused by %s since %s \("moving house"\), until %s \(in (1 h|59 min \d+ s)\)\.$',
                                          session_user, pg_temp.at(now()), pg_temp.at(now() + interval '1 hour')), 'a pause of the endpoint');
SELECT integration.pause('customer', 'acme', 'unpaid') \g /dev/null
SELECT is(pg_temp.why('due'), format('Sync N waits because customer "acme" is paused by %s since %s ("unpaid"), until somebody runs SELECT integration.resume(''customer'', ''acme'').', session_user, pg_temp.at(now())),
          'of several pauses the one that ends last');
SELECT integration.pause('all', NULL, 'fire') \g /dev/null
SELECT matches(pg_temp.why('due'), 'everything is paused by .* until somebody runs SELECT integration\.resume\(''all''\)\.$', 'a pause of everything');
SELECT integration.resume('all') \g /dev/null
UPDATE integration.pause SET until = now() - interval '1 s';
SELECT integration.pause('connector', 'erp', 'new version') \g /dev/null
SELECT matches(pg_temp.why('due'), 'connector "erp" is paused by .* \("new version"\), until somebody runs SELECT integration\.resume\(''connector'', ''erp''\)\.$', 'a pause of the connector; one that is over does not count');
SELECT matches(pg_temp.why('failed'), '^Sync N waits for a person', 'a failed sync waits for a person all the same');
SELECT matches(pg_temp.why('retrying'), 'connector "erp" is paused', 'a pause is stronger than its own schedule');
SELECT integration.resume('connector', 'erp') \g /dev/null

-- an insert that was not committed yet when its endpoint was deleted
UPDATE integration.queue SET endpoint_id = -1 WHERE outbox_id = (SELECT id FROM made WHERE name = 'due');
SELECT matches(pg_temp.why('due'), '^Sync N is not sent because endpoint "shop" was deleted while it was being enqueued: SELECT integration\.cancel', 'an endpoint that is gone');

-- the words
SELECT is(integration_worker.duration_words(length), words, words)
  FROM (VALUES ('300 ms'::interval, '1 s'), ('59 s', '59 s'), ('2 min', '2 min'), ('3 h 30 s', '3 h'), ('25 h', '1 d 1 h')) AS d (length, words);

SELECT * FROM finish();
ROLLBACK;
