# A clock that is set back by an hour stops nothing that has been read, breaks off nothing that is under way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

use constant HOUR_S => 3600;

my $receiver = Receiver->start;
my $place = PostgreSQL::Test::Utils::tempdir();
my $offset = "$place/offset";

# At once, or not at all: the server reads it at any time.
sub set_clock
{
	my ($seconds) = @_;
	append_to_file("$offset.new", $seconds);
	rename("$offset.new", $offset) or die "$offset: $!";
	return;
}

system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', "$place/clock.so", "$FindBin::RealBin/../lib/clock.c");
my $node = integration_node('main');
$node->stop;
set_clock(0);
{
	local $ENV{LD_PRELOAD} = "$place/clock.so";
	local $ENV{CLOCK_OFFSET} = $offset;
	$node->start;
}

add_endpoint($node, name => 'paced', url => $receiver->url('/ok/paced'), rate_limit => 5, rate_burst => 1);
add_syncs($node, 'paced', 20);
my $is_left = 'SELECT count(*) BETWEEN 1 AND %d FROM integration.queue';
wait_until($node, sprintf($is_left, 19), 'the endpoint is sent to at its rate');
my $before = value($node, 'SELECT now()');
set_clock(-HOUR_S);
is(value($node, "SELECT now() < '$before'"), 't', 'the clock is set back');
wait_until($node, queue_is_empty(), 'the rest is sent at its rate, too');
wait_until($node, q{SELECT last_turn_at < now() + interval '1 min' FROM integration.worker_status},
	'and the worker shows its figures');

# A mark that is younger than the lock by its order, but older by the clock, is the worker's own.
{
	add_endpoint($node, name => 'careful', url => $receiver->url('/slow/careful?seconds=2'), idempotent => 'false');
	my $id = add_sync($node, endpoint => 'careful');
	wait_for(sub { $receiver->count('/slow/careful')->{requests} == 1 });
	set_clock(-HOUR_S - 10);
	wait_until($node, state_is('delivered', $id), 'a request under way is not taken for one that was left behind');
	is(value($node, "SELECT string_agg(reason, ',') FROM integration.attempt WHERE outbox_id = $id"),
		'http:200', 'and has the one attempt');
}

done_testing();
