# Ends of every kind: of the worker, of the server, while requests are on their way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;
use Time::HiRes ();

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "restart_after_crash = on\n");
add_endpoint($node, name => 'good', url => $receiver->url('/ok/good'));
add_endpoint($node, name => 'slow', url => $receiver->url('/held/slow'), max_concurrency => 20, timeout => '60 s');
add_endpoint($node, name => 'dead', url => $receiver->url('/stall-before/dead'), max_concurrency => 20,
	timeout => '60 s');
wait_until($node, worker_runs('postgres'), 'the worker runs');

sub comes_back
{
	my ($what, $old) = @_;
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity
	                    WHERE backend_type = 'integration worker' AND pid <> $old",
		"$what: a new worker comes");
	my $id = add_sync($node, endpoint => 'good');
	wait_until($node, state_is('delivered', $id), "$what: it works");
	return;
}

# Somebody ends the worker.
{
	my $pid = worker_pid($node);
	value($node, "SELECT pg_terminate_backend($pid)");
	comes_back('pg_terminate_backend', $pid);
}
{
	my $pid = worker_pid($node);
	kill 'KILL', $pid;
	comes_back('kill -9 of the worker', $pid);
}
{
	my $pid = value($node, q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'integration launcher'});
	value($node, "SELECT pg_terminate_backend($pid)");
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity
	                    WHERE backend_type = 'integration launcher' AND pid <> $pid",
		'a launcher that was ended comes back');
	wait_until($node, worker_runs('postgres'), 'with one worker');
}

# The server is stopped while requests hang.
for my $mode ('fast', 'immediate')
{
	add_syncs($node, 'dead', 4);
	wait_until($node, q{SELECT count(*) >= 4 FROM integration.sync
	                     WHERE endpoint = 'dead' AND in_flight_since IS NOT NULL},
		"stop -m $mode: requests hang");
	my $began = Time::HiRes::time();
	$node->stop($mode);
	cmp_ok(Time::HiRes::time() - $began, '<', 30, "stop -m $mode: waits for none of them");
	$node->start;
	my $id = add_sync($node, endpoint => 'good');
	wait_until($node, state_is('delivered', $id), "stop -m $mode: others work after the restart");
	is(value($node, q{SELECT count(*) FROM integration.sync WHERE endpoint = 'dead' AND state = 'failed'}),
		0, "stop -m $mode: nothing is charged to the endpoint");
}

# Whatever was on its way is sent again, with the key it had.
{
	add_syncs($node, 'slow', 8);
	wait_for(sub { $receiver->count('/held/slow')->{requests} >= 4 });
	$node->stop('immediate');
	$receiver->let_go('/held/slow');
	$node->start;
	wait_until($node, q{SELECT count(*) = 8 FROM integration.sync
	                     WHERE endpoint = 'slow' AND state = 'delivered'},
		'what was in flight at an immediate stop is delivered');
	my $count = $receiver->count('/held/slow');
	is($count->{keys}, 8, 'under the keys it had');
	cmp_ok($count->{requests}, '>', 8, 'and was on its way, really');
	cmp_ok($count->{most_per_key}, '<=', 2, 'once more, not more often');
}

# What is answered while the worker leaves is recorded, whatever else hangs.
{
	add_endpoint($node, name => 'prompt', url => $receiver->url('/held/prompt'));
	add_endpoint($node, name => 'hanging', url => $receiver->url('/stall-before/hanging'), timeout => '60 s');
	add_sync($node, endpoint => 'hanging');
	my $id = add_sync($node, endpoint => 'prompt');
	wait_for(sub { $receiver->count('/stall-before/hanging')->{requests} == 1
			&& $receiver->count('/held/prompt')->{requests} == 1 });
	my $pid = worker_pid($node);
	kill 'TERM', $pid;
	$receiver->let_go('/held/prompt');
	wait_until($node, state_is('delivered', $id), 'an answer that came during the stop counts');
	comes_back('after that', $pid);
	is($receiver->count('/held/prompt')->{requests}, 1, 'it was not sent again');
}

# There is no statement to cancel between two turns.
{
	my $pid = worker_pid($node);
	value($node, "SELECT pg_cancel_backend($pid)");
	my $id = add_sync($node, endpoint => 'good');
	wait_until($node, state_is('delivered', $id), 'pg_cancel_backend: it goes on');
	is(worker_pid($node), $pid, 'pg_cancel_backend: the worker stays');
}

unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/,
	'nothing else broke');

done_testing();
