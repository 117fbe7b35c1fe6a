-- What is taken for a copy; how it takes over.
BEGIN;
\ir ../lib/refusal.sql

SELECT plan(27);

-- pure rules
CREATE TEMPORARY TABLE home ON COMMIT DROP AS
SELECT '{"system": "7", "database": "5", "timeline": "00000001", "machine": "m", "directory": "/d", "file": "11 2.5",
         "environment": ""}'::jsonb AS fingerprint;

SELECT is(integration_worker.copy_words(h.fingerprint, h.fingerprint || c.here), c.words, c.name)
  FROM home h,
       (VALUES ('{}'::jsonb, NULL, 'the same database'),
               ('{"system": "8", "database": "6"}', 'it came from another cluster, by a dump or pg_upgrade', 'another cluster'),
               ('{"database": "6"}', 'it was made from another database as its template', 'a template'),
               ('{"timeline": "00000002"}', 'it was restored to an earlier point in time', 'another history in the same place'),
               ('{"file": "12 3.5"}', 'its data directory is a copy, or was moved', 'files made anew'),
               ('{"directory": "/e"}', 'its data directory is a copy, or was moved', 'a snapshot mounted elsewhere'),
               ('{"machine": "n"}', 'its data directory is a copy, or was moved to another machine', 'a snapshot on another machine'),
               ('{"environment": "test"}', 'it sent in environment "", and this is "test" (integration.environment)',
                'another environment')) AS c (here, words, name);
SELECT is(integration_worker.copy_words(h.fingerprint - ARRAY['machine', 'file'], h.fingerprint - 'directory'), NULL,
          'what one of both does not know makes no difference')
  FROM home h;
SELECT is(integration_worker.copy_words(NULL, h.fingerprint), 'it was restored from a dump', 'a row from a dump') FROM home h;
SELECT is(integration_worker.copy_words('{}', h.fingerprint), NULL, 'nothing was set up yet') FROM home h;
SELECT is(integration_worker.is_promoted('{timeline,file}'), false, 'a server that was no standby was not promoted');

-- an installation begins with its first endpoint
UPDATE integration.installation SET name = 'of a template', fingerprint = '{}';
SELECT is(integration_worker.is_adopted(), true, 'an installation without endpoints sends anywhere');
INSERT INTO integration.endpoint (name, url) VALUES ('shop', 'https://shop.example.com/');
SELECT results_eq('SELECT fingerprint = integration_worker.fingerprint(), name ~ ''^[0-9a-f]{12}$'' FROM integration.installation',
                  'VALUES (true, true)', 'its first endpoint gives it a name and a place');
CREATE TEMPORARY TABLE named ON COMMIT DROP AS SELECT name FROM integration.installation;
INSERT INTO integration.endpoint (name, url) VALUES ('second', 'https://shop.example.com/');
SELECT is((SELECT name FROM integration.installation), (SELECT name FROM named), 'the second leaves both');

-- a copy with ids of another cluster
INSERT INTO integration.outbox (endpoint, payload) VALUES ('shop', '1'), ('shop', '2');
UPDATE integration.queue SET change_xid = '9000000000000' WHERE outbox_id = (SELECT max(outbox_id) FROM integration.queue);
INSERT INTO integration.attempt (outbox_id, attempt_no, endpoint_id, started_at, outcome, reason, error_class)
SELECT q.outbox_id, 1, q.endpoint_id, now(), 'failed', 'http:503', 'remote_unavailable' FROM integration.queue q ORDER BY 1 LIMIT 1;
UPDATE integration.queue q SET attempts = 1 FROM integration.attempt a WHERE a.outbox_id = q.outbox_id;
UPDATE integration.installation SET fingerprint = fingerprint || '{"database": "1"}';
SELECT alike((SELECT problem FROM integration_worker.look_for_copy()), 'This database is a copy: it was made from%', 'it is found');
SELECT is((SELECT renewed FROM integration_worker.look_for_copy()), NULL, 'and is none for the second time');
SELECT results_eq($$SELECT id, endpoint, severity, state FROM integration.incident WHERE error_class = 'copied_database'$$,
                  $$VALUES (0::bigint, '', 1::smallint, 'open')$$, 'one incident, with an id that no dump has');
SELECT is(pg_temp.refusal($$SELECT integration.resume('all')$$) LIKE '%adopt()%', true, 'resume() refers to adopt()');
SELECT integration.pause('all', NULL, 'somebody''s own');
SELECT is(integration.resume('all'), true, 'a pause that somebody made ends as ever');
SELECT is(integration.adopt('moved'), 2::bigint, 'adopt() says how many wait');
SELECT is_empty('SELECT FROM integration.pause', 'nothing is paused any more');
SELECT is((SELECT state FROM integration.incident WHERE id = 0), 'resolved', 'the incident is over');
SELECT is_empty('SELECT FROM integration.queue WHERE change_xid > pg_current_xact_id()',
                'ids that this cluster has not given out are renewed');
SELECT results_eq('SELECT q.reason FROM integration.queue q ORDER BY q.outbox_id', $$VALUES ('http:503'), (NULL)$$,
                  'what came from a version that looked attempts up is told them');
SELECT results_eq($$SELECT verb, reason, details FROM integration.action WHERE verb = 'adopt'$$,
                  $$VALUES ('adopt', 'moved', '{"copied": "it was made from another database as its template"}'::jsonb)$$,
                  'who took over is recorded');
SELECT is(integration.adopt(), 0::bigint, 'a second time does nothing');

SELECT * FROM finish();
ROLLBACK;
