# Several workers share out the endpoints of a database: nothing is sent by two, nothing is stuck.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use List::Util qw(any sum0);
use Receiver;
use Test::More;
use Time::HiRes ();

use constant ENDPOINTS => 24;
use constant KEYS => 5;
use constant ROUND => 30;
use constant TERMINATIONS => 6;

# What a worker that is terminated waits for before it leaves (0.5 s), and for a busy machine.
use constant LEAVING_S => 0.5 + 1.5;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "max_worker_processes = 12\n");

# "careful" ones are never sent twice, whatever happens; a third of them.
sub name_of
{
	my ($n) = @_;
	return ($n % 3 ? 'plain' : 'careful') . "_$n";
}

for my $n (1 .. ENDPOINTS)
{
	my $name = name_of($n);
	add_endpoint($node, name => $name, url => $receiver->url("/slow/$name?seconds=0.05"),
		max_concurrency => 4, idempotent => $n % 3 ? 'true' : 'false');
}

my $enqueued = 0;

# So many for each endpoint, under a few ordering keys; more, should all be sent before anybody looks.
sub make_load
{
	my $is_busy = sub {
		value($node, "INSERT INTO integration.outbox (endpoint, ordering_key, payload)
		              SELECT e.name, 'K' || n % @{[KEYS]}, jsonb_build_object('n', n)
		                FROM integration.endpoint e, generate_series(1, @{[ROUND]}) AS n
		               WHERE e.name LIKE 'plain%' OR e.name LIKE 'careful%'
		               ORDER BY n");
		$enqueued += ENDPOINTS * ROUND;
		return value($node, 'SELECT sum(in_flight) > 10 FROM integration.worker_status') eq 't';
	};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_for($is_busy), 'requests are under way');
	return;
}

sub finished
{
	return q{SELECT count(*) = 0 FROM integration.queue WHERE state <> 'failed'};
}

# The requests that reached the endpoints of a kind, by their idempotency keys.
sub received_by
{
	my ($kind) = @_;
	my %at = $receiver->keys_of("/slow/$kind");
	return %at;
}

sub duplicates_in
{
	my (%at) = @_;
	return sum0(map { $#{ $at{$_} } } keys %at);
}

# The key's syncs arrived one after the other: the first times of arrival are in the order of ids.
sub disorder_in
{
	my (%at) = @_;
	my %key_of = map { $_->{message} => "$_->{endpoint} $_->{ordering_key}" } rows($node, q{
		SELECT i.name || '-' || o.id AS message, o.endpoint, o.ordering_key
		  FROM integration.outbox o, integration.installation i
		 WHERE o.ordering_key IS NOT NULL});
	my (%last, $disorder);
	for my $message (sort { ($a =~ /(\d+)$/)[0] <=> ($b =~ /(\d+)$/)[0] } keys %at)
	{
		my $key = $key_of{$message} // next;
		my $at = (sort { $a <=> $b } @{ $at{$message} })[0];
		$disorder++ if defined $last{$key} && $at < $last{$key};
		$last{$key} = $at;
	}
	return $disorder // 0;
}

wait_until($node, shards_are_shared_by(1), 'one worker has all shards');

# From one to three to two to five to one while a load flows: not one request too many.
{
	for my $count (3, 2, 5, 1)
	{
		make_load();
		set_workers($node, $count);
		wait_until($node, shards_are_shared_by($count), "$count share them");
	}
	wait_until($node, finished(), 'everything is sent');
	my %plain = received_by('plain');
	my %careful = received_by('careful');
	is(keys(%plain) + keys(%careful), $enqueued, 'each sync was received');
	is(duplicates_in(%plain) + duplicates_in(%careful), 0, 'and none of them twice');
	is(disorder_in(%plain, %careful), 0, 'ordering keys kept their order');
	is(value($node, q{SELECT count(*) FROM integration.attempt}), $enqueued, 'by one attempt each');
}

# One of three is terminated again and again: the others take over what it had.
{
	set_workers($node, 3);
	wait_until($node, shards_are_shared_by(3), 'three share them');
	my @ended_at;
	for my $n (1 .. TERMINATIONS)
	{
		make_load();
		my $pid = value($node, q{SELECT pid FROM integration.worker_status ORDER BY in_flight DESC LIMIT 1});
		push @ended_at, Time::HiRes::time();
		value($node, "SELECT pg_terminate_backend($pid)");
		wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", "worker $n leaves");
		wait_until($node, shards_are_shared_by(3), 'and is replaced');
	}
	wait_until($node, finished(), 'everything is sent');
	my %plain = received_by('plain');
	my %careful = received_by('careful');
	is(keys(%plain) + keys(%careful), $enqueued, 'each sync was received');
	is(duplicates_in(%careful), 0, 'none that is not idempotent twice');
	is(disorder_in(%plain, %careful), 0, 'ordering keys kept their order');
	my @unexplained;
	for my $at (values %plain)
	{
		my @times = sort { $a <=> $b } @$at;
		push @unexplained, grep { !was_in_flight($_, @ended_at) } @times[ 0 .. $#times - 1 ];
	}
	note(duplicates_in(%plain) . ' were received twice');
	is(@unexplained, 0, 'of the others only what was in flight at an end');
}

sub was_in_flight
{
	my ($at, @ended_at) = @_;
	return any { $at > $_ - LEAVING_S && $at < $_ + LEAVING_S } @ended_at;
}

done_testing();
