# A sync that takes the worker down with it is set aside after three times; everything else goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;
use Time::HiRes ();

use constant SYNCS => 300;

my $receiver = Receiver->start;
my $library = build_preload('poison', PostgreSQL::Test::Utils::tempdir());
my $node = integration_node('main', conf => "restart_after_crash = on\n");
$node->stop;
{
	local $ENV{LD_PRELOAD} = $library;
	$node->start;
}
wait_until($node, worker_runs('postgres'), 'the worker runs');

sub crashes
{
	return scalar(() = slurp_file($node->logfile) =~ /\(PID \d+\) was terminated by signal 11/g);
}

sub is_failed
{
	my ($id) = @_;
	return state_is('failed', $id);
}

add_endpoint($node, name => 'many', url => $receiver->url('/slow/many?seconds=0.02'), max_concurrency => 64);
add_endpoint($node, name => 'hangs', url => $receiver->url('/stall-before/hangs'), timeout => '2 min');

# One among many: what was in hand with it is not blamed for it.
{
	value($node, q{SELECT integration.pause('endpoint', 'many', 'until all are there')});
	add_syncs($node, 'many', SYNCS);
	my $id = add_sync($node, endpoint => 'many', payload => '{"name": "crash-the-worker"}', priority => 'high');
	add_sync($node, endpoint => 'hangs') for 1 .. 4;
	value($node, q{SELECT integration.resume('endpoint', 'many')});
	wait_until($node, is_failed($id), 'it is set aside');
	is(crashes(), 3, 'after three crashes');
	is_deeply(
		row($node, "SELECT reason, error, remedy LIKE '%retry if it did not%' AS says FROM integration.failed WHERE id = $id"),
		{   reason => 'worker_crash',
			error => 'The worker crashed 3 times while it had this sync in hand.',
			says => JSON::PP::true },
		'with a reason, an error, a remedy');
	wait_until($node, "SELECT count(*) = @{[SYNCS]} FROM integration.sync WHERE endpoint = 'many' AND state = 'delivered'",
		'all others are delivered');
	is(value($node, q{SELECT count(*) FROM integration.sync WHERE state = 'failed'}), 1, 'nothing else is set aside');
	like(slurp_file($node->logfile), qr/crashed; sending goes on in 5 s.*\n.*Crash 3 in a row\. .*\boutbox_id=$id trace_id=[0-9a-f]{32}\b/,
		'the log names it, its trace, and how long the next worker waits');

	# A person tries it again: it has three more times.
	value($node, 'DELETE FROM integration_worker.crash');
	# the crash may come before the answer
	$node->psql('postgres', "SELECT integration.retry($id, 'test')", stderr => \my $end);
	wait_until($node, is_failed($id), 'retried, it is set aside again');
	is(crashes(), 6, 'after three more crashes');
}

# Suspects that hang hold up each other until they time out, nobody else.
{
	value($node, 'DELETE FROM integration_worker.crash');
	value($node, q{SELECT integration.pause('all', NULL, 'until all are suspected')});
	add_endpoint($node, name => $_, url => $receiver->url("/stall-before/$_"), timeout => '1 s') for 'first', 'second';
	my @suspects = map { add_sync($node, endpoint => $_) } 'first', 'second';
	my $list = join(', ', @suspects);
	value($node, "SELECT integration_worker.note_crash(now(), n, ARRAY[$list]) FROM generate_series(1, 2) AS n");
	$node->restart;
	wait_until($node, worker_runs('postgres'), 'a worker that suspects two');
	my $other = add_sync($node, endpoint => 'many');
	value($node, q{SELECT integration.resume('all')});
	wait_until($node, "SELECT count(*) = 2 FROM integration.attempt WHERE outbox_id IN ($list) AND attempt_no = 1", 'both have timed out');
	is_deeply(
		row($node, qq{
			SELECT max(started_at) - min(started_at) > '0.95 s' AS one_by_one,
			       (SELECT started_at FROM integration.attempt WHERE outbox_id = $other) < max(started_at) AS others_go_on
			  FROM integration.attempt WHERE outbox_id IN ($list) AND attempt_no = 1}),
		{ one_by_one => JSON::PP::true, others_go_on => JSON::PP::true },
		'one after the other, while others are sent');
}

# Many in a row: a long wait, which a person can end.
{
	value($node, q{SELECT integration_worker.note_crash(now(), n, '{}') FROM generate_series(1, 5) AS n});
	$node->restart;
	wait_until($node, q{SELECT activity LIKE 'waits after % crashes in a row' FROM integration.worker_status},
		'after more in a row the worker waits, and says so');
	my $id = add_sync($node, endpoint => 'many');
	value($node, 'DELETE FROM integration_worker.crash');
	wait_until($node, state_is('delivered', $id), 'until somebody has it forget them');
}

# An end that is nobody's fault: back within a second, nothing is counted.
{
	value($node, 'DELETE FROM integration_worker.crash');
	my $before = value($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
	kill 'KILL', $before;
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'checkpointer' AND pid <> $before",
		'another process is killed');
	wait_until($node, worker_runs('postgres'), 'the worker is back');
	$node->stop('immediate');
	$node->start;
	wait_until($node, worker_runs('postgres'), 'so it is after an immediate stop');
	is(value($node, 'SELECT count(*) FROM integration_worker.crash'), 0, 'neither counts as a crash of the worker');
	$node->restart;
	ok(wait_for(sub { scalar(() = glob($node->data_dir . '/pg_stat_tmp/integration.*')) == 1 }),
		'of what was noted only the present is there');
}
$node->stop;
is(scalar(() = glob($node->data_dir . '/pg_stat_tmp/integration.*')), 0, 'and nothing after a clean stop');

done_testing();
