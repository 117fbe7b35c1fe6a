# One transaction that enqueues very much: it holds up nobody else, and all of it is sent once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use IPC::Run ();
use Receiver;
use Test::More;

use constant FLOOD => 200_000;
use constant LATE => 3000;
use constant MANY => 1000;
use constant LITTLE => 20;
use constant STEADY => 400;

# Before its rules were there the worker stood still for 5 to 20 s; the rest is for a busy machine.
use constant STALL_S => 1;

my $receiver = Receiver->start;
my $node = integration_node('main');
add_endpoint($node, name => 'flooded', url => $receiver->url('/slow/flooded?seconds=60'), max_concurrency => 1,
	timeout => '120 s');
add_endpoint($node, name => 'steady', url => $receiver->url('/ok/steady'));
add_endpoint($node, name => 'shared', url => $receiver->url('/ok/shared'), max_concurrency => 16);
$node->safe_psql('postgres', q{
	CREATE PROCEDURE trickle(endpoint text, many integer, wait_s double precision, endpoints integer DEFAULT NULL)
	LANGUAGE plpgsql AS $$
	BEGIN
		FOR n IN 1 .. many LOOP
			INSERT INTO integration.outbox (endpoint, payload)
			VALUES (concat(trickle.endpoint, 1 + n % endpoints),
			        jsonb_build_object('at', clock_timestamp()));
			COMMIT;
			PERFORM pg_sleep(wait_s);
		END LOOP;
	END
	$$});

sub start_psql
{
	my ($sql) = @_;
	return IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $sql ]);
}

sub are_attempted
{
	my ($count, $names) = @_;
	return qq{SELECT count(*) >= $count FROM integration.attempt a JOIN integration.endpoint e ON e.id = a.endpoint_id
	           WHERE e.name ~ '$names'};
}

# Plans that were made for an empty queue meet a full one.
$node->safe_psql('postgres', 'VACUUM ANALYZE integration.queue');
my $flood = start_psql(q{INSERT INTO integration.outbox (endpoint, payload)
	SELECT 'flooded', '{}' FROM generate_series(1, } . FLOOD . ')');
my $is_committed = sub {
	$node->safe_psql('postgres', q{CALL trickle('steady', 20, 0.01)});
	return value($node, q{SELECT EXISTS (SELECT FROM integration.outbox WHERE endpoint = 'flooded')}) eq 't';
};
ok(wait_for($is_committed, 120) && $flood->finish, 'a flood is committed');
$node->safe_psql('postgres', q{CALL trickle('steady', } . STEADY . ', 0.005)');
wait_until($node, q{SELECT bool_and(s.state = 'delivered') FROM integration.sync s WHERE s.endpoint = 'steady'},
	'others are delivered');
my $longest = value($node, q{
	SELECT extract(epoch FROM max(a.started_at - o.created_at))
	  FROM integration.outbox o JOIN integration.attempt a ON a.outbox_id = o.id
	 WHERE o.endpoint = 'steady'});
cmp_ok($longest, '<', STALL_S, 'none of them waited long');
cmp_ok(value($node, 'SELECT waiting FROM integration.worker_status'), '<', 1000, 'the flood stays in its table');

# One for a thousand endpoints: who sends little hardly waits for any of it.  How many of its requests leave between a
# commit and the start of what was committed says so on a slow machine, too.
$node->safe_psql('postgres', q{
	INSERT INTO integration.endpoint (name, url)
	SELECT k.name || n, '} . $receiver->url('/ok/') . q{' || k.name
	  FROM (VALUES ('many', } . MANY . '), (\'little\', ' . LITTLE . q{)) AS k (name, count), generate_series(1, k.count) AS n});
$node->safe_psql('postgres', q{INSERT INTO integration.outbox (endpoint, payload)
	SELECT e.name, '{}' FROM integration.endpoint e WHERE e.name ~ '^(many|little)'});
wait_until($node, are_attempted(MANY + LITTLE, '^(many|little)'), 'all of them are known to answer');
my $before = value($node, 'SELECT max(o.id) FROM integration.outbox o');
$node->safe_psql('postgres', q{
	INSERT INTO integration.outbox (endpoint, payload)
	SELECT 'many' || 1 + n % } . MANY . q{, '{}' FROM generate_series(1, } . 12 * MANY . ') AS n');
$node->safe_psql('postgres', q{CALL trickle('little', 200, 0.01, } . LITTLE . ')');
wait_until($node, are_attempted(13 * MANY, '^many'), 'a flood for many is delivered');
is($receiver->count('/ok/many')->{requests}, 13 * MANY, 'nothing of it twice');
my ($met, $waited_for) = split /\|/, $node->safe_psql('postgres', qq{
	WITH many AS MATERIALIZED (
	     SELECT a.started_at FROM integration.attempt a JOIN integration.endpoint e ON e.id = a.endpoint_id
	      WHERE e.name LIKE 'many%' AND a.outbox_id > $before)
	SELECT count(*), percentile_disc(0.9) WITHIN GROUP (ORDER BY c.others)
	  FROM integration.outbox o
	  JOIN integration.attempt a ON a.outbox_id = o.id
	 CROSS JOIN LATERAL (SELECT count(*) AS others FROM many m
	                      WHERE m.started_at BETWEEN (o.payload->>'at')::timestamptz AND a.started_at) c
	 WHERE o.endpoint LIKE 'little%'
	   AND o.created_at BETWEEN (SELECT min(m.started_at) FROM many m) AND (SELECT max(m.started_at) FROM many m)});
cmp_ok($met, '>=', 20, "$met were enqueued meanwhile");
cmp_ok($waited_for, '<', 200, "nine of ten waited for no more than $waited_for of its requests");

# A transaction that began before others went through lies below the cursor, all of it; some of it is
# for later, some in another order.
my $late = start_psql(q{BEGIN;
	SELECT pg_sleep(1);
	INSERT INTO integration.outbox (endpoint, payload, priority, send_after)
	SELECT 'shared', '{}', CASE WHEN n % 3 = 0 THEN 'high' ELSE 'normal' END,
	       CASE WHEN n % 100 = 0 THEN clock_timestamp() + interval '1 s' END
	  FROM generate_series(1, } . LATE . q{) AS n;
	COMMIT});
$node->safe_psql('postgres', q{CALL trickle('shared', 150, 0.01)});
ok($late->finish, 'a long transaction is committed');
wait_until($node, are_attempted(LATE + 150, '^shared'), 'all of it is delivered');
my $count = $receiver->count('/ok/shared');
is($count->{keys}, LATE + 150, 'each was received');
is($count->{requests}, LATE + 150, 'none twice');

done_testing();
