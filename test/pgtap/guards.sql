-- What was asked and what happened stays; what is in use stays; a change of the registry has a stopped endpoint probed.
BEGIN;
\ir ../lib/refusal.sql
SELECT plan(32);

INSERT INTO integration.credential (name, kind) VALUES ('key', 'bearer'), ('seal', 'signing'), ('other', 'bearer');
INSERT INTO integration.connector (name, signing) VALUES ('erp', 'seal');
INSERT INTO integration.endpoint (name, connector, url, credential) VALUES
    ('shop', 'erp', 'https://shop.example.com/', 'key'),
    ('unused', NULL, 'https://unused.example.com/', NULL);
INSERT INTO integration.outbox (endpoint, object_type, object_id, payload) VALUES ('shop', 'order', 'PO-1', '{}');
CREATE TEMP VIEW only_sync AS SELECT id FROM integration.outbox WHERE endpoint = 'shop';
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason)
SELECT o.id, 1, e.id, now(), 'failed', 'http:503'
  FROM only_sync o, integration.endpoint e WHERE e.name = 'shop';

-- immutable
SELECT matches(pg_temp.refusal($$UPDATE integration.outbox SET payload = '{"a": 1}' WHERE endpoint = 'shop'$$),
               format('^55000 sync %1$s cannot be changed: the outbox keeps what was asked \| To send other data in its place: '
                      'SELECT integration\.amend\(%1$s, .*SELECT integration\.retry\(%1$s,', (SELECT id FROM only_sync)),
               'an outbox row can''t be changed');
SELECT matches(pg_temp.refusal($$DELETE FROM integration.outbox WHERE endpoint = 'shop'$$),
               '^55000 sync \d+ cannot be deleted: it is not finished \| Cancel it: SELECT integration\.cancel\(',
               'an unfinished sync can''t be deleted');
SELECT matches(pg_temp.refusal($$UPDATE integration.attempt SET error = 'nothing' WHERE reason = 'http:503'$$),
               '^55000 attempt 1 of sync \d+ cannot be changed: attempts say what happened \| .*SELECT integration\.retry\(',
               'an attempt can''t be changed');

-- an endpoint in use
SELECT matches(pg_temp.refusal($$DELETE FROM integration.endpoint WHERE name = 'shop'$$),
               '^2BP01 endpoint "shop" cannot be deleted: it has unfinished syncs \| Unfinished syncs: 1\. \| Wait until they are delivered, or cancel them: '
               'UPDATE integration\.sync SET state = ''cancelled'' WHERE endpoint = ''shop''',
               'an endpoint with unfinished syncs can''t be deleted');
SELECT matches(pg_temp.refusal($$UPDATE integration.endpoint SET name = 'store' WHERE name = 'shop'$$),
               '^2BP01 endpoint "shop" cannot be renamed: there are syncs to it \| .* \| Insert an endpoint "store" beside it',
               'an endpoint with syncs can''t be renamed');
SELECT matches(pg_temp.refusal($$UPDATE integration.endpoint SET id = DEFAULT WHERE name = 'shop'$$),
               '^428C9 the id of endpoint "shop" cannot be changed', 'nor get another number');
SELECT is(pg_temp.refusal($$UPDATE integration.endpoint SET name = 'used' WHERE name = 'unused'$$), 'accepted',
          'an endpoint without syncs can be renamed');
SELECT is(pg_temp.refusal($$DELETE FROM integration.endpoint WHERE name = 'used'$$), 'accepted', 'and deleted');

-- a stopped endpoint is probed at once
CREATE FUNCTION pg_temp.probed_by(statement text) RETURNS boolean
    LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE integration.endpoint_health SET open_until = now() + interval '1 hour';
    EXECUTE statement;
    RETURN (SELECT h.open_until <= clock_timestamp() FROM integration.endpoint_health h JOIN integration.endpoint e ON e.id = h.endpoint_id
             WHERE e.name = 'shop');
END
$$;
INSERT INTO integration.endpoint (name, url) VALUES ('mail', 'https://mail.example.com/');
INSERT INTO integration.endpoint_health (endpoint_id, state, open_until)
SELECT id, 'stopped', now() + interval '1 hour' FROM integration.endpoint WHERE name = 'shop';
SELECT ok(pg_temp.probed_by($$UPDATE integration.endpoint SET timeout = '9 s' WHERE name = 'shop'$$), 'its own change has it probed');
SELECT ok(pg_temp.probed_by($$UPDATE integration.connector SET timeout = '9 s' WHERE name = 'erp'$$), 'so has its connector''s');
SELECT ok(pg_temp.probed_by($$UPDATE integration.credential SET settings = '{}' WHERE name = 'key'$$), 'its credential''s');
SELECT ok(pg_temp.probed_by($$UPDATE integration.credential SET settings = '{"overlap": "1 h"}' WHERE name = 'seal'$$),
          'its connector''s signing credential''s');
SELECT ok(pg_temp.probed_by($$INSERT INTO integration.secret (credential, version, sealed) VALUES ('key', 1, '')$$), 'a new secret');
SELECT ok(NOT pg_temp.probed_by($$UPDATE integration.credential SET settings = '{}' WHERE name = 'other'$$),
          'another credential''s has not');
SELECT ok(pg_temp.probed_by($$INSERT INTO integration.error_rule (connector, status_from, error_class) VALUES ('erp', 401, 'validation')$$),
          'an error rule for it has');
SELECT ok(NOT pg_temp.probed_by($$INSERT INTO integration.error_rule (endpoint, status_from, error_class) VALUES ('mail', 401, 'validation')$$),
          'one for another has not');
UPDATE integration.endpoint_health SET state = 'open';
SELECT ok(NOT pg_temp.probed_by($$UPDATE integration.endpoint SET timeout = '8 s' WHERE name = 'shop'$$),
          'an open breaker keeps its time');

-- what a deleted endpoint leaves behind
INSERT INTO integration.sync_status (endpoint_id, object_type, object_id, state, last_outbox_id, last_attempt_at)
SELECT e.id, 'order', 'PO-1', 'failing', o.id, now() FROM integration.endpoint e, only_sync o WHERE e.name = 'shop';
INSERT INTO integration.pause (scope, name, reason) VALUES ('endpoint', 'shop', 'why not');
INSERT INTO integration.incident (endpoint, error_class) VALUES ('shop', 'remote_unavailable');
SELECT lives_ok($$SELECT integration.cancel(id) FROM only_sync$$, 'its sync is cancelled');
SELECT is(pg_temp.refusal($$DELETE FROM integration.endpoint WHERE name = 'shop'$$), 'accepted', 'it is deleted');
SELECT is_empty($$SELECT FROM integration.endpoint_health$$, 'its health is gone');
SELECT is_empty($$SELECT FROM integration.sync_status$$, 'the status of its objects is gone');
SELECT is_empty($$SELECT FROM integration.pause$$, 'its pause is gone');
SELECT is((SELECT state FROM integration.incident WHERE endpoint = 'shop'), 'resolved', 'its incident is resolved');
SELECT is((SELECT s.state FROM integration.sync s JOIN only_sync USING (id)), 'cancelled', 'its history stays');
SELECT is(pg_temp.refusal($$DELETE FROM integration.outbox WHERE endpoint = 'shop'$$), 'accepted', 'until retention removes it');

-- one name of the installation
INSERT INTO integration.installation (name) VALUES ('restored');
SELECT results_eq('SELECT name, fingerprint FROM integration.installation', $$VALUES ('restored', NULL::jsonb)$$,
                  'a restored name takes the place of the new one, and is not known here');

-- a pause holds under a new name
INSERT INTO integration.connector (name) VALUES ('crm');
INSERT INTO integration.pause (scope, name, reason) VALUES ('connector', 'crm', 'why not');
UPDATE integration.connector SET name = 'crm 2' WHERE name = 'crm';
SELECT results_eq('SELECT scope, name FROM integration.pause', $$VALUES ('connector', 'crm 2')$$, 'a pause follows its connector');

-- each change of what is called wakes the worker
SELECT has_trigger('integration', t.name, 'wake', t.name || ' wakes the worker')
  FROM (VALUES ('endpoint'), ('connector'), ('credential'), ('pause'), ('error_rule')) AS t (name);

SELECT * FROM finish();
ROLLBACK;
