# Ends, stops, a worker that stands still, while syncs flow: nothing is lost, the worker is back within a second.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $rounds = is_long_form() ? 20 : 2;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "restart_after_crash = on\nfsync = off\n");
add_endpoint($node, name => 'many', url => $receiver->url('/brief/many'), max_concurrency => 64);
add_endpoint($node, name => 'hangs', url => $receiver->url('/stall-before/hangs'), timeout => '2 min');
my $enqueued = 0;

sub enqueue
{
	my ($count) = @_;
	add_syncs($node, 'many', $count);
	$enqueued += $count;
	return;
}

sub is_flowing
{
	my $before = $receiver->count('/brief/many')->{requests};
	return wait_for(sub { $receiver->count('/brief/many')->{requests} > $before + 50 });
}

# How long a stop took by the server's own log, from there on: what pg_ctl waits besides is nobody's doing.
sub stop_s
{
	my ($from) = @_;
	my $log = slurp_file($node->logfile, $from);
	my @at = map { $log =~ /^\S+ (\d+):(\d+):([\d.]+) .*LOG:  \Q$_\E/m ? $1 * 3600 + $2 * 60 + $3 : die "not logged: $_" }
	  'received fast shutdown request', 'database system is shut down';
	return $at[1] - $at[0] + ($at[1] < $at[0] ? 24 * 3600 : 0);
}

# Something happened to the server after that time.  The autovacuum launcher comes with the end of recovery.
sub worker_returns
{
	my ($what, $pid, $began) = @_;
	my $back = "SELECT backend_start FROM pg_stat_activity WHERE backend_type = 'integration worker' AND pid <> $pid";
	wait_until($node, "SELECT EXISTS ($back)", "$what: the worker is back");
	my $accepts = "SELECT greatest(backend_start, '$began') FROM pg_stat_activity WHERE backend_type = 'autovacuum launcher'";
	cmp_ok(value($node, "SELECT extract(epoch FROM ($back) - ($accepts))"), '<', 1 + 0.5,
		"$what: within a second of the end of recovery");
	return;
}

for my $round (1 .. $rounds)
{
	my %ends = (
		'kill -9 of a backend' => sub {
			my $victim = $node->background_psql('postgres');
			kill 'KILL', $victim->query_safe('SELECT pg_backend_pid()');
			eval { $victim->quit };
		},
		'immediate stop' => sub { $node->stop('immediate'); $node->start },
		'pg_terminate_backend' =>
		  sub { value($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'integration worker'") },
		'fast stop' => sub {
			my $from = -s $node->logfile;
			$node->stop('fast');
			cmp_ok(stop_s($from), '<', 1 + 0.5, 'a fast stop, with requests that hang, takes a second');
			$node->start;
		});
	for my $what (sort keys %ends)
	{
		enqueue(3000);
		add_sync($node, endpoint => 'hangs');
		is_flowing();
		my $pid = worker_pid($node);
		my $began = value($node, 'SELECT clock_timestamp()');
		$ends{$what}->();
		worker_returns("$what, round $round", $pid, $began);
	}
}

# A worker that stands still keeps its shards, since nobody can know what it has sent.  Others can see that.
{
	add_endpoint($node, name => 'short', url => $receiver->url('/slow/short?seconds=0.5'), timeout => '1 s');
	my $pid = worker_pid($node);
	add_syncs($node, 'short', 8);
	wait_for(sub { $receiver->count('/slow/short')->{requests} >= 4 });
	kill 'STOP', $pid;
	enqueue(100);
	wait_until($node, q{SELECT last_turn_at < now() - interval '3 s' AND in_flight > 0 FROM integration.worker_status},
		'a worker that stands still longer than every timeout: its last turn shows it');
	is(value($node, "SELECT count(*) FROM integration.worker_status WHERE pid = $pid AND cardinality(shards) = 16"),
		1, 'it keeps its shards');
	kill 'CONT', $pid;
	wait_until($node, q{SELECT count(*) = 8 FROM integration.sync WHERE endpoint = 'short' AND state = 'delivered'},
		'it goes on where it was');
	is(worker_pid($node), $pid, 'and stays');
}

wait_until($node, "SELECT count(*) = $enqueued FROM integration.sync WHERE endpoint = 'many' AND state = 'delivered'",
	'every sync is delivered', deadline_s => 120);
is($receiver->count('/brief/many')->{keys}, $enqueued, 'every sync was received');
is(value($node, 'SELECT count(*) FROM integration_worker.crash'), 0, 'none of it was the worker\'s fault');

done_testing();
