# Kill switches, and the life of an API: closed for good, announced to end, refusing everything.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $node = integration_node('main');
my $receiver = Receiver->start;

sub window_is
{
	my ($name, $window, $in_flight) = @_;
	return qq{SELECT "window" = $window AND in_flight = $in_flight FROM integration.endpoint_status WHERE name = '$name'};
}

# What waited behind a pause leaves at a ramp, however wide the window was before.
{
	add_endpoint($node, name => 'ramp', url => $receiver->url('/ok/ramp'), max_concurrency => 64);
	$receiver->switch('/ok/ramp', '/slow?seconds=0.05');
	add_syncs($node, 'ramp', 500);
	wait_until($node, q{SELECT "window" > 16 FROM integration.endpoint_status WHERE name = 'ramp'}, 'the window grows while all goes well');
	wait_until($node, queue_is_empty(), 'all is delivered');
	value($node, q{SELECT integration.pause('endpoint', 'ramp', 'the vendor asked for it')});
	wait_until($node, window_is('ramp', 4, 0), 'with a pause it begins anew');
	$receiver->switch('/ok/ramp', '/held/ramp');
	add_syncs($node, 'ramp', 200);
	is(value($node, q{SELECT waiting FROM integration.pause_status WHERE name = 'ramp'}), 200, 'what waits behind it is counted');
	value($node, q{SELECT integration.resume('endpoint', 'ramp')});
	wait_until($node, window_is('ramp', 4, 4), 'four leave first');
	$receiver->let_go('/ok/ramp');
	wait_until($node, queue_is_empty(), 'the rest follows');
}

# An open breaker that somebody ends, too.
{
	$receiver->switch('/ok/ramp', '/status/401');
	my $id = add_sync($node, endpoint => 'ramp');
	wait_until($node, q{SELECT state = 'stopped' FROM integration.endpoint_status WHERE name = 'ramp'}, 'it is stopped');
	$receiver->switch('/ok/ramp', '/held/ramp');
	add_syncs($node, 'ramp', 200);
	value($node, q{SELECT integration.resume('endpoint', 'ramp')});
	wait_until($node, window_is('ramp', 2, 2), 'two leave first where it was stopped');
	$receiver->let_go('/ok/ramp');
	wait_until($node, queue_is_empty(), 'the rest follows');
}

# Each kind of pause ends by itself when its time is over, and not before.
value($node, q{INSERT INTO integration.connector (name) VALUES ('erp')});
add_endpoint($node, name => 'timed', url => $receiver->url('/ok/timed'), connector => 'erp', retry_policy => 'fast');
for my $scope ([ 'endpoint', q{'timed'} ], [ 'connector', q{'erp'} ], [ 'customer', q{'acme'} ], [ 'all', 'NULL' ])
{
	my ($kind, $name) = @$scope;
	value($node, "SELECT integration.pause('$kind', $name, 'for a moment', clock_timestamp() + interval '1.5 s')");
	my $held = add_sync($node, endpoint => 'timed', customer => 'acme');
	is(value($node, "SELECT blocked_by FROM integration.sync WHERE id = $held"), 'paused', "$kind: held");
	is(value($node, "SELECT waiting FROM integration.pause_status WHERE scope = '$kind'"), 1, "$kind: what waits is counted");
	wait_until($node, state_is('delivered', $held), "$kind: goes by itself when the time is over");
	ok(value($node, "SELECT a.started_at >= p.until FROM integration.attempt a, integration.pause p WHERE a.outbox_id = $held AND p.scope = '$kind'") eq 't',
		"$kind: not before");
	is(value($node, 'SELECT count(*) FROM integration.pause_status'), 0, "$kind: nothing is left of it");
}

done_testing();
