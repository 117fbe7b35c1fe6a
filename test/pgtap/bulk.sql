-- What people do to many syncs at once: those that fit, each on record, or only said by a dry run.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(51);

INSERT INTO integration.endpoint (name, url, customer) VALUES
    ('shop', 'https://shop.example.com/', 'acme'), ('bill', 'https://bill.example.com/', NULL);

CREATE FUNCTION pg_temp.make(name text, endpoint text, state text, customer text DEFAULT NULL, key text DEFAULT NULL,
                             payload jsonb DEFAULT '{"v": 1, "kept": true}') RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    sync bigint;
BEGIN
    INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, customer, ordering_key)
    VALUES (make.endpoint, 'order', make.name, make.payload, make.customer, make.key)
    RETURNING id INTO sync;
    IF make.state = 'pending' THEN
        RETURN;
    END IF;
    INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class)
    SELECT sync, 1, e.id, now() - interval '1 min',
           CASE make.state WHEN 'delivered' THEN 'delivered' ELSE 'failed' END,
           CASE make.state WHEN 'delivered' THEN 'http:200' ELSE 'http:422' END,
           CASE WHEN make.state <> 'delivered' THEN 'validation' END
      FROM integration.endpoint e WHERE e.name = make.endpoint;
    IF make.state = 'delivered' THEN
        DELETE FROM integration.queue WHERE outbox_id = sync;
        RETURN;
    END IF;
    UPDATE integration.queue
       SET state = make.state, charged = 1, change_xid = '3'
     WHERE outbox_id = sync;
    PERFORM integration_worker.recall_attempts(ARRAY[sync]);
END
$$;
CREATE FUNCTION pg_temp.states() RETURNS text
    LANGUAGE sql
AS $$
    SELECT string_agg(s.object_id || ' ' || s.state, ', ' ORDER BY s.id) FROM integration.sync s WHERE s.replay_of IS NULL
$$;
SELECT pg_temp.make('a', 'shop', 'failed');
SELECT pg_temp.make('b', 'shop', 'failed', 'other');
SELECT pg_temp.make('c', 'bill', 'failed', key => 'k');
SELECT pg_temp.make('d', 'bill', 'pending', key => 'k');
SELECT pg_temp.make('e', 'bill', 'retrying');
SELECT pg_temp.make('f', 'shop', 'delivered');
SELECT pg_temp.states() AS before \gset
DELETE FROM integration.action;
SAVEPOINT made;

-- A dry run says how many and changes nothing
SELECT is(integration.retry_where('shop', dry_run => true), 2::bigint, 'retry_where: a dry run counts');
SELECT is(integration.cancel_where('bill', dry_run => true, state => NULL), 3::bigint, 'cancel_where does');
SELECT is(integration.amend_where('{"v": 2}', 'shop', dry_run => true), 2::bigint, 'amend_where does');
SELECT is(integration.replay('shop', now() - interval '1 hour', dry_run => true), 1::bigint, 'replay of a period does');
SELECT is(pg_temp.states(), :'before', 'and nothing is changed');
SELECT is_empty('SELECT FROM integration.action', 'nor on record');
SELECT is_empty('SELECT FROM integration.bulk_progress', 'nor under way');

-- retry_where
SELECT is(integration.retry_where('shop', 'validation', customer => 'acme', reason => ' mended '), 1::bigint, 'retry_where: those that fit');
SELECT is(pg_temp.states(), 'a pending, b failed, c failed, d pending, e retrying, f delivered', 'and no other');
SELECT is((SELECT ROW (x.actor, x.verb, x.endpoint, x.reason, x.details)::text FROM integration.action x),
          ROW (session_user, 'retry', 'shop', 'mended',
               '{"state": "failed", "customer": "acme", "error_class": "validation", "together_with": 0}'::jsonb)::text, 'on record with why, with what it was');
SELECT is((SELECT ROW (p.pid, p.actor, p.verb, p.subject, p.syncs, p.done, p.percent)::text FROM integration.bulk_progress p),
          ROW (pg_backend_pid(), session_user, 'retry', 'endpoint shop, error class validation, customer acme', 1, 1, 100.0)::text,
          'shown as long as the transaction is open');
SELECT is(integration.retry_where(since => '-infinity'), 2::bigint, 'all the others');
SELECT is((SELECT count(*) FROM integration.bulk_progress), 1::bigint, 'the statement under way takes the place of the one before');

-- cancel_where
ROLLBACK TO made;
SELECT is(integration.cancel_where('bill', reason => 'not wanted'), 1::bigint, 'cancel_where: failed ones, where no state is named');
SELECT is(pg_temp.states(), 'a failed, b failed, c cancelled, d pending, e retrying, f delivered', 'are cancelled');
SELECT is((SELECT c.reason FROM integration.closing c), 'not wanted', 'with the reason');
SELECT is((SELECT x.details ->> 'state' FROM integration.action x WHERE x.verb = 'cancel'), 'failed', 'on record with the state before');
SELECT is((SELECT q.change_xid FROM integration.queue q JOIN integration.outbox o ON o.id = q.outbox_id WHERE o.object_id = 'd'),
          pg_current_xact_id(), 'the next one of the ordering key may go');
SELECT is(integration.cancel_where('bill', state => 'retrying'), 1::bigint, 'those that are retrying');
SELECT is(integration.cancel_where('bill', state => 'pending'), 1::bigint, 'those that are pending');
SELECT is(integration.cancel_where(since => '-infinity', state => NULL), 2::bigint, 'whatever is left');
SELECT is(pg_temp.states(), 'a cancelled, b cancelled, c cancelled, d cancelled, e cancelled, f delivered', 'what was delivered stays');
SELECT is(integration.cancel_where('bill'), 0::bigint, 'nothing is left to cancel');

-- amend_where
ROLLBACK TO made;
SELECT is(integration.amend_where('{"v": {"w": 2}, "kept": null}', error_class => 'validation', reason => 'coalesced'), 3::bigint, 'amend_where: failed ones');
SELECT is(pg_temp.states(), 'a superseded, b superseded, c superseded, d pending, e retrying, f delivered', 'give way');
SELECT results_eq($$SELECT o.object_id, o.payload, o.customer, o.ordering_key FROM integration.outbox o WHERE o.replay_of IS NOT NULL ORDER BY o.id$$,
    $$VALUES ('a', '{"v": {"w": 2}}'::jsonb, NULL, NULL), ('b', '{"v": {"w": 2}}', 'other', NULL), ('c', '{"v": {"w": 2}}', NULL, 'k')$$,
    'to copies with the changed payload, in the old order');
SELECT is((SELECT q.place FROM integration.queue q JOIN integration.outbox o ON o.id = q.outbox_id WHERE o.replay_of IS NOT NULL AND o.object_id = 'c'),
          (SELECT o.id FROM integration.outbox o WHERE o.replay_of IS NULL AND o.object_id = 'c'), 'in the old place under the ordering key');
SELECT is((SELECT count(*) FROM integration.closing c JOIN integration.outbox o ON o.id = c.superseded_by WHERE o.replay_of = c.outbox_id AND c.reason = 'amended'),
          3::bigint, 'each closed by its copy, with a reason that means nothing else');
SELECT is((SELECT count(*) FROM integration.action x JOIN integration.outbox o ON o.id = (x.details ->> 'copy')::bigint
            WHERE x.verb = 'amend' AND o.replay_of = x.outbox_id AND x.details -> 'patched' @> '["v", "kept"]'), 3::bigint, 'each on record');

-- replay of a period
ROLLBACK TO made;
SELECT is(integration.replay('shop', now() - interval '1 hour', reason => 'lost there'), 1::bigint, 'replay: what was delivered');
SELECT is((SELECT ROW (x.verb, x.endpoint, x.reason, o.replay_of = x.outbox_id)::text
             FROM integration.action x JOIN integration.outbox o ON o.id = (x.details ->> 'copy')::bigint),
          '(replay,shop,"lost there",t)', 'on record');

-- More than a step
ROLLBACK TO made;
INSERT INTO integration.outbox (endpoint, payload) SELECT 'bill', '{}' FROM generate_series(1, 2001);
UPDATE integration.queue SET state = 'failed', error_class = 'validation' WHERE state = 'pending' AND ordering_key IS NULL;
SELECT is(integration.retry_where('bill'), 2002::bigint, 'steps leave nothing out');
SELECT is((SELECT count(DISTINCT x.outbox_id) FROM integration.action x), 2002::bigint, 'nor the record');

-- What means nothing is refused
ROLLBACK TO made;
SELECT is(pg_temp.refusal(statement), expected, 'refused: ' || statement)
  FROM (VALUES
    ($$SELECT integration.cancel_where(reason => 'why')$$,
     '22023 cancel_where needs to know which syncs | Name an endpoint, error_class, since, until or customer; since => ''-infinity'' means all that failed.'),
    ($$SELECT integration.cancel_where(state => NULL)$$,
     '22023 cancel_where needs to know which syncs | Name an endpoint, error_class, since, until or customer; since => ''-infinity'' means all that are not finished.'),
    ($$SELECT integration.cancel_where('shop', state => 'delivered')$$,
     '22023 syncs that are delivered cannot be cancelled | Write pending, retrying or failed; NULL: whatever is not finished.'),
    ($$SELECT integration.amend_where('[1]', 'shop')$$,
     '22023 amend_where needs an object of what changes in each payload | Write a JSON Merge Patch, such as {"currency": "EUR", "discount": null}: members are set, those that are null taken out.'),
    ($$SELECT integration.amend_where(NULL, 'shop')$$,
     '22023 amend_where needs an object of what changes in each payload | Write a JSON Merge Patch, such as {"currency": "EUR", "discount": null}: members are set, those that are null taken out.')
  ) AS c (statement, expected);

-- RFC 7396, appendix A
SELECT is(integration_worker.merge_patch(target, patch), result, format('%s patched with %s', target, patch))
  FROM (VALUES
    ('{"a":"b"}'::jsonb, '{"a":"c"}'::jsonb, '{"a":"c"}'::jsonb),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', '{}'),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ('[1,2]', '{"a":"b","c":null}', '{"a":"b"}'),
    ('{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
    ('{"a":"foo"}', '"bar"', '"bar"')
  ) AS v (target, patch, result);

SELECT * FROM finish();
ROLLBACK;
