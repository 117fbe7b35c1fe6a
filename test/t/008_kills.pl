# Kills in the middle of ten thousand syncs: none is lost, few are sent twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use List::Util qw(any);
use Receiver;
use Test::More;
use Time::HiRes ();

use constant SYNCS => 10000;
use constant CAREFUL => 1000;
use constant KILLS => 5;
use constant AT_ONCE => 8;

# What was settled at most three times wal_writer_delay before a crash may be sent again; the rest
# is for a busy machine.
use constant FORGOTTEN_S => 0.6 + 0.4;
# What the worker had sent may reach the receiver after the worker's end.
use constant LATE_S => 0.5;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "restart_after_crash = on\n");
add_endpoint($node, name => 'many', url => $receiver->url('/slow/many?seconds=0.01'), max_concurrency => 64);
add_endpoint($node, name => 'careful', url => $receiver->url('/slow/careful?seconds=0.05'),
	max_concurrency => AT_ONCE, idempotent => 'false');

add_syncs($node, 'many', SYNCS / 10) for 1 .. 10;
add_syncs($node, 'careful', CAREFUL);

my @killed_at;
for my $n (1 .. KILLS)
{
	my $wanted = $n * SYNCS / (KILLS + 2);
	wait_for(sub { $receiver->count('/slow/many')->{keys} >= $wanted });
	push @killed_at, Time::HiRes::time();
	$n % 2 ? kill_worker() : kill_server();
	wait_until($node, worker_runs('postgres'), "the worker is back after kill $n");
}

sub kill_worker
{
	my $pid = worker_pid($node);
	$killed_at[-1] = Time::HiRes::time();
	kill 'KILL', $pid;
	wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", 'the worker was killed');
	return;
}

sub kill_server
{
	$node->stop('immediate');
	$node->start;
	return;
}

sub left_of
{
	my ($endpoint) = @_;
	return "SELECT count(*) = 0 FROM integration.queue q
	          JOIN integration.endpoint e ON e.id = q.endpoint_id
	         WHERE e.name = '$endpoint' AND q.state <> 'failed'";
}

sub keys_sent_to
{
	my ($endpoint, $state) = @_;
	return split(/\n/, value($node, qq{
		SELECT i.name || '-' || s.id FROM integration.sync s, integration.installation i
		 WHERE s.endpoint = '$endpoint' AND s.state = '$state'}));
}

wait_until($node, left_of($_), "all syncs to $_ end", deadline_s => 120) for 'many', 'careful';

# Idempotent: at least once, duplicates only of what a crash can forget.
{
	my %received = $receiver->keys_of('/slow/many');
	my @delivered = keys_sent_to('many', 'delivered');
	is(@delivered, SYNCS, 'every sync is delivered');
	is(scalar(grep { !$received{$_} } @delivered), 0, 'every sync was received');
	is(keys %received, SYNCS, 'under no other key');
	my ($duplicates, @unexplained) = (0);
	for my $key (keys %received)
	{
		my @at = sort { $a <=> $b } @{ $received{$key} };
		$duplicates += $#at;
		push @unexplained, grep { !is_explained($_) } @at[ 0 .. $#at - 1 ];
	}
	note("$duplicates of " . SYNCS . ' were received twice');
	is(@unexplained, 0, 'only what was in flight or just settled at a kill was sent again');
	cmp_ok($duplicates, '>', 0, 'the kills came while something was on its way');
}

sub is_explained
{
	my ($at) = @_;
	return any { $at > $_ - FORGOTTEN_S && $at < $_ + LATE_S } @killed_at;
}

# Not idempotent: never twice; what was in flight is a person's to look up.
{
	my %received = $receiver->keys_of('/slow/careful');
	my @delivered = keys_sent_to('careful', 'delivered');
	my @failed = keys_sent_to('careful', 'failed');
	is(scalar(grep { @$_ > 1 } values %received), 0, 'no sync that is not idempotent was received twice');
	is(@delivered + @failed, CAREFUL, 'each is delivered, or failed');
	is(scalar(grep { !$received{$_} } @delivered), 0, 'each delivered one was received');
	note(scalar(@failed) . ' of ' . CAREFUL . ' have an unknown outcome');
	is(value($node, q{SELECT count(*) FROM integration.failed
	                   WHERE endpoint = 'careful' AND reason <> 'worker_crash'}),
		0, 'each failed one says that its outcome is unknown');
	# As many again may have been answered and not yet written down.
	cmp_ok(scalar(@failed), '<=', KILLS * 2 * AT_ONCE, 'no more than were in flight');
}

done_testing();
