# What is read without a statement of SQL is what feed() and take() say, in queues of all kinds.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Test::More;

use constant ROUNDS => 12;

my $source = "$FindBin::RealBin/../../src";
my $library = build_server_library('peek', PostgreSQL::Test::Utils::tempdir(),
	'-std=gnu11', '-fvisibility=hidden', "-I$source", map { "$source/$_" } qw(store/peek.c store/layout.c base/compat.c));
my $node = integration_node('main', conf => <<'CONF');
max_prepared_transactions = 5
integration.max_databases = 1
autovacuum = off
jit = off
fsync = off
CONF

# It has no worker, which would change what is compared.
value($node, 'CREATE DATABASE quiet');
value($node, 'CREATE EXTENSION integration', 'quiet');
value($node, <<"SQL", 'quiet');
CREATE FUNCTION peek_feed_lines(text, integer, integer) RETURNS text[] STABLE STRICT LANGUAGE c AS '$library';
CREATE FUNCTION peek_take_lines(bigint[]) RETURNS text[] STABLE STRICT LANGUAGE c AS '$library';

CREATE FUNCTION feed_lines(previous text, most integer, shards integer) RETURNS text[] STABLE LANGUAGE sql AS \$\$
    WITH fed AS MATERIALIZED (
        SELECT f.* FROM integration_worker.feed(previous::pg_snapshot, most + 1, shards) WITH ORDINALITY AS
               f (snapshot, id, endpoint_id, priority, due_at, expires_at, change_xid, object_hash, n))
    SELECT ARRAY(SELECT concat_ws(' ', f.id, f.endpoint_id, f.priority, f.due_at, coalesce(f.expires_at, 'infinity'),
                                  f.change_xid, coalesce(f.object_hash | 1, 0))
                   FROM fed f WHERE f.id IS NOT NULL AND f.n <= most + 1 ORDER BY f.n)
           || (SELECT CASE WHEN count(*) > most + 1 THEN 'more ' ELSE 'all ' END || max(f.snapshot::text) FROM fed f)
\$\$;

CREATE FUNCTION has_company(q integration.queue) RETURNS boolean STABLE LANGUAGE sql AS \$\$
    SELECT EXISTS (SELECT FROM integration.queue x
                    WHERE x.endpoint_id = q.endpoint_id AND x.outbox_id <> q.outbox_id
                      AND (x.ordering_key = q.ordering_key OR (x.object_id = q.object_id AND x.object_type = q.object_type)))
\$\$;

CREATE FUNCTION take_lines(ids bigint[]) RETURNS text[] STABLE LANGUAGE sql AS \$\$
    WITH taken AS MATERIALIZED (
        SELECT t.*, has_company(q) AS has_company
          FROM integration_worker.take('{}', '{}', '{}', '{}', '{}', '{}', ids) t
          JOIN integration.queue q ON q.outbox_id = t.outbox_id)
    SELECT ARRAY(SELECT concat_ws(' ', t.source, t.outbox_id, t.endpoint_id, t.priority, t.due_at, t.change_xid, t.attempts,
                                  coalesce(t.expires_at, 'infinity'), t.payload_bytes, t.held::integer, t.crowded::integer,
                                  coalesce(t.ordering_hash | 1, 0), coalesce(t.object_hash | 1, 0))
                   FROM taken t WHERE NOT t.has_company ORDER BY t.outbox_id)
           || ARRAY(SELECT 'left ' || t.outbox_id FROM taken t WHERE t.has_company ORDER BY t.outbox_id)
\$\$;

-- With one of so many transactions of before, or with its own.
CREATE PROCEDURE add_rows(first bigint, before integer DEFAULT 0) LANGUAGE sql AS \$\$
    INSERT INTO integration.queue (outbox_id, endpoint_id, state, due_at, attempts, payload_bytes, priority, expires_at,
                                   ordering_key, place, object_type, object_id, claimed_at, change_xid)
    SELECT n, 1 + random() * 20, (ARRAY['pending', 'pending', 'retrying', 'failed'])[1 + floor(random() * 4)],
           now() + (random() - 0.5) * interval '1 min', random() * 3, random() * 100, random() * 3,
           CASE WHEN random() < 0.3 THEN now() + (random() - 0.5) * interval '1 h' WHEN random() < 0.1 THEN 'infinity' END,
           CASE WHEN random() < 0.4 THEN 'k' || floor(random() * 9) END, CASE WHEN random() < 0.1 THEN floor(random() * 90) END,
           (ARRAY['', 'a', 'b', NULL])[1 + floor(random() * 4)], CASE WHEN random() < 0.4 THEN 'o' || floor(random() * 9) END,
           CASE WHEN random() < 0.1 THEN now() END,
           CASE before WHEN 0 THEN pg_current_xact_id()
                       ELSE (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - ceil(random() * before))::text::xid8 END
      FROM generate_series(first, first + 29) AS n
\$\$;

-- Transactions one after the other, some of them in vain.
CREATE PROCEDURE spend(count integer) LANGUAGE plpgsql AS \$\$
BEGIN
    FOR i IN 1..count LOOP
        PERFORM pg_current_xact_id();
        IF random() < 0.3 THEN ROLLBACK; ELSE COMMIT; END IF;
    END LOOP;
END
\$\$;

CREATE TABLE seen (snapshot text);
CREATE PROCEDURE look() LANGUAGE sql AS \$\$ INSERT INTO seen VALUES (pg_current_snapshot()) \$\$;

-- What was seen, and what could have been by somebody else.
CREATE FUNCTION possible() RETURNS SETOF text STABLE LANGUAGE sql AS \$\$
    SELECT s.snapshot FROM seen s
    UNION ALL
    SELECT format('%s:%s:%s', b.low, b.high,
                  (SELECT string_agg(x::text, ',') FROM generate_series(b.low, b.high - 1) x WHERE random() < 0.3))
      FROM (SELECT l.low, l.low + floor(random() * (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - l.low + 1))::bigint AS high
              FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint - floor(random() * 90)::bigint AS low
                      FROM generate_series(1, 40)) l) b
\$\$;

CREATE VIEW feed_compared AS
SELECT feed_lines(p, m, s) AS expected, peek_feed_lines(p, m, s) AS peeked
  FROM (SELECT x FROM possible() x OFFSET 0) AS p (p),
       (VALUES (1, 65535), (7, 21845), (1000, 65535), (1000, 8)) AS a (m, s);
CREATE VIEW take_compared AS
SELECT take_lines(i.ids) AS expected, peek_take_lines(i.ids) AS peeked
  FROM (SELECT ARRAY(SELECT floor(random() * 200)::bigint FROM generate_series(0, n % 60)) AS ids
          FROM generate_series(1, 40) n OFFSET 0) i;
SQL

# Prints how many comparisons had something to compare, then what is different.
my $compare = <<'SQL';
SELECT count(*) FILTER (WHERE cardinality(expected) > 1) FROM feed_compared;
SELECT count(*) FILTER (WHERE cardinality(expected) > 1) FROM take_compared;
SELECT 'feed', expected, peeked FROM feed_compared WHERE expected IS DISTINCT FROM peeked LIMIT 1;
SELECT 'take', expected, peeked FROM take_compared WHERE expected IS DISTINCT FROM peeked LIMIT 1;
SQL

sub is_the_same
{
	my ($script, $name) = @_;
	my ($fed, $taken, @different) = split /\n/, value($node, $script . $compare, 'quiet');
	cmp_ok($fed, '>', 20, "$name: something is new") && cmp_ok($taken, '>', 20, "$name: something is asked for");
	is("@different", '', "$name: it is the same");
	return;
}

for my $round (1 .. ROUNDS)
{
	my $seed = "SELECT setseed($round / 100.0) \\g /dev/null\n";
	is_the_same($seed . <<'SQL', "round $round, with open transactions");
DELETE FROM integration.queue;
DELETE FROM seen;
CALL spend(60);
CALL add_rows(1, 70);
CALL look();
BEGIN; CALL add_rows(31); UPDATE integration.queue SET state = 'pending', change_xid = pg_current_xact_id() WHERE outbox_id % 9 = 1; PREPARE TRANSACTION 'kept';
BEGIN; CALL add_rows(61); UPDATE integration.queue SET state = 'failed' WHERE outbox_id % 9 = 2; PREPARE TRANSACTION 'lost';
CALL spend(5);
BEGIN; CALL add_rows(91); SAVEPOINT s; CALL add_rows(151); ROLLBACK TO s; PREPARE TRANSACTION 'open';
CALL look();
BEGIN; CALL add_rows(121); ROLLBACK;
CALL add_rows(121);
CALL add_rows(151, 20);
DELETE FROM integration.queue WHERE outbox_id % 9 = 3;
CALL look();
COMMIT PREPARED 'kept';
ROLLBACK PREPARED 'lost';
SQL
	is_the_same($seed . "COMMIT PREPARED 'open'; UPDATE integration.queue SET state = 'retrying', change_xid = pg_current_xact_id() WHERE outbox_id % 9 = 4;",
		"round $round, when they have ended");
}

# As CREATE INDEX leaves one behind where older versions of rows can still be seen: it is not for whoever sees them.
value($node, q{BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'old'}, 'quiet');
value($node, q{UPDATE pg_index SET indcheckxmin = true WHERE indexrelid IN ('integration.queue_pkey'::regclass, 'integration.queue_change'::regclass)}, 'quiet');
is(value($node, q{SELECT peek_feed_lines('3:3:', 9, 65535) IS NULL, peek_take_lines('{1, 2}')}, 'quiet'), 't|{"left 1","left 2"}',
	'an index that cannot be used leaves it all to feed() and take()');
value($node, q{COMMIT PREPARED 'old'}, 'quiet');
is_the_same('', 'an index that can be used again');

done_testing();
