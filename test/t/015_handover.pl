# A shard changes hands only when nothing of it is under way; workers that do not fit; statements that need none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "max_worker_processes = 12\n");

# A request that hangs in a worker that is one too many: its shard waits for it, nothing is cut short.
{
	set_workers($node, 3);
	wait_until($node, shards_are_shared_by(3), 'three workers share all shards');
	add_endpoint($node, name => 'hangs', url => $receiver->url('/held/hangs'), timeout => '5 min',
		idempotent => 'false');
	is(value($node, q{SELECT id FROM integration.endpoint WHERE name = 'hangs'}), 1, 'an endpoint of the second one');
	my $id = add_sync($node, endpoint => 'hangs');
	wait_for(sub { $receiver->count('/held/hangs')->{requests} == 1 });
	my $pid = value($node, 'SELECT pid FROM integration.worker_status WHERE 1 = ANY (shards)');
	set_workers($node, 1);
	wait_until($node, "SELECT shards = '{1}' FROM integration.worker_status WHERE pid = $pid",
		'a worker that is to go keeps the shard of a request under way');
	$receiver->let_go('/held/hangs');
	wait_until($node, shards_are_shared_by(1), 'and leaves it when the answer is recorded');
	is(value($node, "SELECT string_agg(reason, ',') FROM integration.attempt WHERE outbox_id = $id"),
		'http:200', 'which it is');
	is($receiver->count('/held/hangs')->{requests}, 1, 'and the request was made once');
	wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", 'then the worker ends');
}

# A row that somebody holds keeps its result from being recorded: the shard stays and goes on.
{
	add_endpoint($node, name => 'held', url => $receiver->url('/ok/held'));
	set_workers($node, 3);
	wait_until($node, shards_are_shared_by(3), 'three share them again');
	my $shard = value($node, "SELECT id % 16 FROM integration.endpoint WHERE name = 'held'");
	my $id = add_sync($node, endpoint => 'held', object_type => 'order', object_id => 'H');
	wait_until($node, state_is('delivered', $id), 'an object is known');
	my $holder = $node->background_psql('postgres');
	$holder->query_safe("BEGIN; SELECT FROM integration.sync_status WHERE object_id = 'H' FOR UPDATE");
	add_sync($node, endpoint => 'held', object_type => 'order', object_id => 'H');
	wait_for(sub { $receiver->count('/ok/held')->{requests} == 2 });
	my $pid = value($node, "SELECT pid FROM integration.worker_status WHERE $shard = ANY (shards)");
	set_workers($node, 2);
	wait_until($node, "SELECT shards = '{$shard}' FROM integration.worker_status WHERE pid = $pid",
		'a worker that is to go keeps the shard of a result that is not recorded');
	my $next = add_sync($node, endpoint => 'held');
	wait_until($node, state_is('delivered', $next), 'its endpoint is served all the same');
	$holder->query_safe('COMMIT');
	$holder->quit;
	wait_until($node, shards_are_shared_by(2), 'the shard is left once the row is free');
	wait_until($node, queue_is_empty(), 'with its result recorded');
	is($receiver->count('/ok/held')->{most_per_key}, 1, 'and no second request');
}

# An endpoint that waits for its rate goes to another worker and comes back: nothing is left of the first time.
{
	set_workers($node, 1);
	wait_until($node, shards_are_shared_by(1), 'one has all shards');
	add_endpoint($node, name => "paced_$_", url => $receiver->url('/ok/paced'), rate_limit => 0.01) for 1 .. 4;
	add_syncs($node, "paced_$_", 3) for 1 .. 4;
	wait_until($node, q{SELECT waiting = 8 FROM integration.worker_status}, 'four endpoints wait for their rates');
	for my $count (2, 1)
	{
		set_workers($node, $count);
		wait_until($node, shards_are_shared_by($count), "$count share them");
	}
	is($receiver->count('/ok/paced')->{requests}, 4, 'what was sent before counts towards the rate');
	my $id = add_sync($node, endpoint => 'held');
	wait_until($node, state_is('delivered', $id), 'the worker that has them again goes on sending');
	value($node, q{UPDATE integration.endpoint SET rate_limit = NULL WHERE name LIKE 'paced%'});
	wait_until($node, queue_is_empty(), 'to them, too');
}

# More than max_worker_processes has room for.
{
	set_workers($node, 16);
	wait_until($node, shards_are_shared_by(10), 'as many as fit share all shards');
	like(PostgreSQL::Test::Utils::slurp_file($node->logfile),
		qr/no background worker is free for the integration of database "postgres"\n.*\n?.*Increase max_worker_processes/,
		'the log says what to do');
	$node->safe_psql('postgres', 'CREATE DATABASE late');
	add_extension($node, 'late');
	value($node, 'SELECT pg_terminate_backend(pid) FROM integration.worker_status LIMIT 1');
	wait_until($node, worker_runs('late'), 'what becomes free is for a database that has none');
	$node->safe_psql('postgres', 'DROP DATABASE late');
}

# Statements that need the database empty, with several workers in it.
{
	set_workers($node, 3);
	wait_until($node, shards_are_shared_by(3), 'three are left');
	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	add_extension($node, 'shop');
	my $three = q{SELECT count(*) = 3 FROM pg_stat_activity
	               WHERE backend_type = 'integration worker' AND datname = 'shop'};
	wait_until($node, $three, 'three come to another database');
	for my $statement ('CREATE DATABASE copied TEMPLATE shop', 'DROP DATABASE shop')
	{
		my $error;
		my $result = $node->psql('postgres', $statement, stderr => \$error);
		is("$result $error", '0 ', $statement);
		wait_until($node, $three, 'they come back') if $statement =~ /CREATE/;
	}
	value($node, 'DROP EXTENSION integration CASCADE');
	wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity
	                     WHERE backend_type = 'integration worker' AND datname = 'postgres'},
		'DROP EXTENSION ends all of them');
	add_extension($node);
	wait_until($node, shards_are_shared_by(3), 'CREATE EXTENSION brings all of them');
}

done_testing();
