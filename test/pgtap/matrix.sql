-- The matrix of roles, objects, verbs is what test/lib/matrix/expected.sql says, complete.
--
-- To see what the lines should be now: psql -f test/lib/matrix/print.sql in a database that has the extension.
BEGIN;
SET LOCAL search_path = public, pg_temp;
\ir ../lib/matrix/expected.sql
\ir ../lib/matrix/people.sql
\ir ../lib/matrix/actual.sql

CREATE TEMP VIEW wanted AS
SELECT e.object, l.level, l.verbs
  FROM expected e
 CROSS JOIN LATERAL (VALUES ('nobody', ''), ('producer', e.producer), ('customer', e.customer), ('support', e.support),
                            ('operator', e.operator), ('administrator', e.administrator)) AS l (level, verbs);

SELECT plan(8);

SELECT is_empty($$SELECT a.object FROM actual a WHERE a.is_public EXCEPT SELECT e.object FROM expected e$$,
                'each object of schema integration has a line');
SELECT is_empty($$SELECT e.object FROM expected e EXCEPT SELECT a.object FROM actual a$$, 'each line is about an object');
SELECT is_empty($$SELECT a.object, a.level, a.verbs FROM actual a LEFT JOIN wanted w USING (object, level)
                   WHERE a.verbs <> coalesce(w.verbs, '')$$,
                'nobody may do anything but what the lines say');
SELECT is_empty($$SELECT w.object, w.level, w.verbs FROM wanted w EXCEPT SELECT a.object, a.level, a.verbs FROM actual a$$,
                'everybody may do what the lines say');

-- What was given by hand goes too, and nobody else loses anything.
CREATE TEMP TABLE before AS SELECT a.* FROM actual a;
GRANT INSERT (payload), REFERENCES (id) ON integration.outbox TO matrix_nobody;
GRANT USAGE ON SCHEMA integration_worker TO matrix_nobody;
GRANT EXECUTE ON FUNCTION integration_worker.state_of(bigint) TO matrix_nobody;
GRANT USAGE ON SEQUENCE integration.outbox_id_seq TO matrix_nobody;
SELECT isnt_empty($$SELECT a.object FROM actual a WHERE a.level = 'nobody' AND a.verbs <> ''$$, 'a grant by hand is seen');
SELECT integration.revoke('matrix_nobody') \g /dev/null
SELECT is_empty($$SELECT a.* FROM actual a EXCEPT SELECT b.* FROM before b$$, 'revoke() takes it back, from that role alone');
SELECT integration.revoke(('matrix_' || l.level)::regrole) FROM unnest('{producer,customer,support,operator,administrator}'::text[]) AS l (level) \g /dev/null
SELECT is_empty($$SELECT a.* FROM actual a WHERE a.verbs <> ''$$, 'revoke() takes back what each grant function gave');
SELECT lives_ok('DROP ROLE matrix_producer, matrix_customer, matrix_support, matrix_operator, matrix_administrator', 'and the roles can be dropped');

SELECT * FROM finish();
ROLLBACK;
