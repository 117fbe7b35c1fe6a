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
	value($node, "SELECT integration.pause('$kind', $name, 'for a while')");
	my $held = add_sync($node, endpoint => 'timed', customer => 'acme');
	is(value($node, "SELECT blocked_by FROM integration.sync WHERE id = $held"), 'paused', "$kind: held");
	is(value($node, "SELECT waiting FROM integration.pause_status WHERE scope = '$kind'"), 1, "$kind: what waits is counted");
	value($node, "SELECT integration.pause('$kind', $name, 'for a moment', clock_timestamp() + interval '1 s')");
	wait_until($node, state_is('delivered', $held), "$kind: goes by itself when the time is over");
	ok(value($node, "SELECT a.started_at >= p.until FROM integration.attempt a, integration.pause p WHERE a.outbox_id = $held AND p.scope = '$kind'") eq 't',
		"$kind: not before");
	is(value($node, 'SELECT count(*) FROM integration.pause_status'), 0, "$kind: nothing is left of it");
}

# Closed for good: paused at once, by itself; a new address ends it.
{
	$receiver->switch('/ok/gone', '/status/410');
	add_endpoint($node, name => 'gone', url => $receiver->url('/ok/gone'));
	add_syncs($node, 'gone', 100);
	wait_until($node, q{SELECT blocked_by = 'paused' FROM integration.endpoint_status WHERE name = 'gone'}, '410 pauses its endpoint');
	wait_until($node, q{SELECT in_flight = 0 FROM integration.endpoint_status WHERE name = 'gone'}, 'what was under way is let finish');
	is_deeply(row($node, q{SELECT actor, error_class, waiting FROM integration.pause_status WHERE name = 'gone'}),
		{ actor => 'integration', error_class => 'gone', waiting => 100 }, 'nothing is lost or used up');
	my $sent = $receiver->count('/ok/gone')->{requests};
	# As if the minute to the first probe were over: it is paused, so none leaves.
	value($node, q{
		UPDATE integration.endpoint_health SET open_until = now()
		 WHERE endpoint_id = (SELECT id FROM integration.endpoint WHERE name = 'gone');
		SELECT integration_worker.wake_at_commit(true)});
	my $other = add_sync($node, endpoint => 'timed');
	wait_until($node, state_is('delivered', $other), 'others are served');
	is($receiver->count('/ok/gone')->{requests}, $sent, 'nobody is sent there any more');
	like(value($node, q{SELECT integration.why(min(outbox_id)) FROM integration.queue}), qr/paused by integration .*closed for good \(http:410\)/,
		'why() says so');
	my $address = $receiver->url('/ok/moved');
	value($node, "UPDATE integration.endpoint SET url = '$address' WHERE name = 'gone'");
	wait_until($node, queue_is_empty(), 'the new address gets all that waited');
}

# Five days without one success.
{
	$receiver->switch('/ok/long', '/status/503');
	add_endpoint($node, name => 'long', url => $receiver->url('/ok/long'));
	my $id = add_sync($node, endpoint => 'long');
	wait_until($node, q{SELECT failing_since IS NOT NULL FROM integration.endpoint_status WHERE name = 'long'}, 'its first failure is remembered');
	value($node, q{
		UPDATE integration.endpoint_health h SET failing_since = h.last_failure_at - interval '5 days'
		  FROM integration.endpoint e WHERE e.id = h.endpoint_id AND e.name = 'long';
		SELECT integration_worker.tell_more('long', 'long_failure', now() - interval '2 days', 'warned before');
		SELECT integration_worker.watch_long_failure(clock_timestamp())});
	is(value($node, q{SELECT error_class FROM integration.pause_status WHERE name = 'long'}), 'long_failure', 'five days of failures pause it');
	$receiver->switch('/ok/long');
	value($node, q{SELECT integration.retry_where(endpoint => 'long'); SELECT integration.resume('endpoint', 'long', 'they are back')});
	wait_until($node, state_is('delivered', $id), 'somebody resumes it');
}

# Everything is refused: stopped before the rest is, too.
{
	$receiver->switch('/ok/mapping', '/problem');
	add_endpoint($node, name => 'mapping', url => $receiver->url('/ok/mapping'), max_concurrency => 4);
	add_syncs($node, 'mapping', 500);
	wait_until($node, q{SELECT state = 'stopped' FROM integration.endpoint_status WHERE name = 'mapping'}, 'a design fault stops its endpoint');
	cmp_ok($receiver->count('/ok/mapping')->{requests}, '<=', 40, 'a few more than twenty were refused');
	is(value($node, q{SELECT string_agg(error_class, ' ' ORDER BY error_class) FROM integration.incident WHERE endpoint = 'mapping'}),
		'design_fault validation', 'with an incident of its own');
	$receiver->switch('/ok/mapping');
	value($node, q{SELECT integration.resume('endpoint', 'mapping', 'they have mended it')});
	wait_until($node, q{SELECT count(*) = 0 FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id
	                     WHERE e.name = 'mapping' AND q.state <> 'failed'}, 'the rest is delivered once it is mended');
}

# An end that is announced with good answers holds nothing up.
{
	add_endpoint($node, name => 'ending',
		url => $receiver->url('/status/200?deprecation=@1688169599&sunset=Sat,%2031%20Dec%202050%2023:59:59%20GMT&version=2'));
	my $id = add_sync($node, endpoint => 'ending');
	wait_until($node, state_is('delivered', $id), 'an answer announces its end');
	value($node, 'SELECT integration_worker.watch_interfaces(clock_timestamp())');
	is(value($node, q{SELECT note FROM integration.incident WHERE endpoint = 'ending'}), 'The other side has deprecated this interface as of 2023-06-30 23:59:59 UTC. It ends at 2050-12-31 23:59:59 UTC.',
		'which is an incident with the dates');
	is(value($node, q{SELECT concat_ws(' ', ends_at, version) FROM integration.interface_status WHERE endpoint = 'ending'}),
		'2050-12-31 23:59:59+00 2', 'and stands in the view');
	add_syncs($node, 'ending', 50);
	wait_until($node, q{SELECT count(*) = 51 FROM integration.sync WHERE endpoint = 'ending' AND state = 'delivered'}, 'deliveries go on');
}

done_testing();
