# One at a time: the syncs of an ordering key, the states of an object.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use JSON::PP ();
use List::Util qw(min);
use Receiver;
use Test::More;

my $node = integration_node('main');
my $receiver = Receiver->start;

sub number_of
{
	my ($request) = @_;
	return JSON::PP->new->decode($request->{body})->{n};
}

sub numbers_at
{
	my ($path) = @_;
	return [ map { number_of($_) } $receiver->arrived($path) ];
}

# Once this has arrived, the worker has seen whatever was committed before.
add_endpoint($node, name => 'after', url => $receiver->url('/ok/after'));

sub worker_has_seen_it
{
	my $id = add_sync($node, endpoint => 'after');
	wait_until($node, state_is('delivered', $id), 'the worker has seen what was committed');
	return;
}

# An endpoint whose answers the test holds back; returns its path.
sub add_held
{
	my ($name, %columns) = @_;
	add_endpoint($node, name => $name, url => $receiver->url("/held/$name"), timeout => '5 min', %columns);
	return "/held/$name";
}

sub is_under_way
{
	my ($path, $what) = @_;
	ok(wait_for(sub { $receiver->count($path)->{requests} == 1 }), $what);
	return;
}

# A head that is taken away while it is under way: the queue doesn't know it any more, the receiver does.
for my $way ('cancel', 'amend')
{
	my $path = add_held($way);
	my ($head, $next) = map {
		add_sync($node, endpoint => $way, ordering_key => 'k', payload => qq({"n": $_}))
	} 1, 2;
	is_under_way($path, 'the head is under way');
	value($node, $way eq 'cancel' ? "SELECT integration.cancel($head)" : "SELECT integration.amend($head, '{\"n\": 10}')");
	worker_has_seen_it();
	$receiver->let_go($path);
	wait_until($node, state_is('delivered', $head, $next), "$way() of the head lets the next one go");
	is_deeply(numbers_at($path), [ 1, $way eq 'amend' ? 10 : (), 2 ], 'in their order');
	is($receiver->count($path)->{most_at_once}, 1, 'one after the other');
}

# Twenty round trips, whatever else is in flight.
{
	my $busy = add_held('busy');
	add_sync($node, endpoint => 'busy');
	is_under_way($busy, 'another endpoint is in flight');
	add_endpoint($node, name => 'trips', url => $receiver->url('/slow/trips?seconds=0.05'));
	value($node, q{
		INSERT INTO integration.outbox (endpoint, ordering_key, payload)
		SELECT 'trips', 'k', jsonb_build_object('n', n) FROM generate_series(1, 20) AS n});
	wait_until($node, q{SELECT count(*) = 20 FROM integration.sync WHERE endpoint = 'trips' AND state = 'delivered'},
		'twenty syncs of one key arrive');
	is_deeply(numbers_at('/slow/trips'), [ 1 .. 20 ], 'in their order');
	my @at = map { $_->{at} } $receiver->arrived('/slow/trips');
	# A poll of any kind would add its period to each of them, a busy machine only to some.
	my $trip_s = min(map { $at[$_] - $at[ $_ - 1 ] } 1 .. $#at);
	cmp_ok($trip_s, '<', 0.05 + 0.1, 'each leaves when the one before it is settled');
	diag(sprintf('%.0f ms beside a round trip of 50 ms', 1000 * $trip_s - 50));
	value($node, q{SELECT integration.cancel(id) FROM integration.sync WHERE endpoint = 'busy'});
}

sub add_states
{
	my ($endpoint, $object, @numbers) = @_;
	return value($node, sprintf(q{
		INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
		SELECT '%s', 'order', '%s', jsonb_build_object('n', n) FROM unnest('{%s}'::integer[]) AS n},
		$endpoint, $object, join(',', @numbers)));
}

sub states_of
{
	my ($endpoint) = @_;
	return { map { $_->{state} => $_->{count} } rows($node,
		"SELECT state, count(*) FROM integration.sync WHERE endpoint = '$endpoint' GROUP BY state") };
}

# An outage: however often an object changes meanwhile, its newest state is what is sent.
{
	$receiver->switch('/ok/outage', '/status/503');
	add_retry_policy($node, 'postgres', 'patient', '{' . join(',', ('0.2 s') x 100) . '}');
	add_endpoint($node, name => 'outage', url => $receiver->url('/ok/outage'), coalesce => 'true', retry_policy => 'patient');
	add_states('outage', 'PO-1', 1);
	add_states('outage', "X-$_", 0) for 1 .. 12;
	wait_until($node, q{SELECT state <> 'closed' FROM integration.endpoint_health h
	                      JOIN integration.endpoint e ON e.id = h.endpoint_id WHERE e.name = 'outage'}, 'the breaker opens');
	add_states('outage', 'PO-1', $_ * 100 + 1 .. $_ * 100 + 100) for 1 .. 5;
	add_states('outage', 'PO-1', 601 .. 1098);
	add_states('outage', 'PO-1', 2000);
	$receiver->switch('/ok/outage');
	wait_until($node, q{SELECT NOT EXISTS (SELECT FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id
	                                        WHERE e.name = 'outage')}, 'everything is finished after the outage');
	my @taken = grep { $_->{behaviour} eq 'ok' } $receiver->arrived('/ok/outage');
	is_deeply([ grep { $_ > 0 } map { number_of($_) } @taken ], [2000], 'of a thousand states the newest is sent, once');
	is_deeply(states_of('outage'), { delivered => 13, superseded => 999 }, 'the others are superseded');
	is(value($node, q{SELECT count(*) FROM integration.sync s
	                   WHERE s.endpoint = 'outage' AND s.state = 'superseded'
	                     AND s.superseded_by <= s.id}), 0, 'by newer ones');
}

# What is under way is not overtaken; what is between is not sent; the newest goes as soon as it ends.
{
	my $path = add_held('state', coalesce => 'true');
	add_states('state', 'PO-2', 1);
	is_under_way($path, 'the first state is under way');
	add_states('state', 'PO-2', $_) for 2 .. 10;
	wait_until($node, q{SELECT count(*) = 8 FROM integration.sync WHERE endpoint = 'state' AND state = 'superseded'},
		'what comes meanwhile is superseded at once');
	$receiver->let_go($path);
	wait_until($node, q{SELECT count(*) = 2 FROM integration.sync WHERE endpoint = 'state' AND state = 'delivered'},
		'the newest waits, then goes');
	is_deeply(numbers_at($path), [ 1, 10 ], 'nothing else');
	is($receiver->count($path)->{most_at_once}, 1, 'one after the other');
}

# What waits for a slot or for a token is looked at again before it leaves.
for my $limit ([ 'full', max_concurrency => 1 ], [ 'paced', rate_limit => 0.001, rate_burst => 1 ])
{
	my ($name, @columns) = @$limit;
	my $path = add_held($name, coalesce => 'true', @columns);
	add_states($name, 'A', 1);
	is_under_way($path, 'one is under way');
	add_states($name, 'B', 1 .. 3);
	add_states($name, 'C', 10);
	wait_until($node, qq{SELECT count(*) = 2 FROM integration.sync WHERE endpoint = '$name' AND state = 'superseded'},
		'the newest of the next object is ready');
	add_states($name, 'B', 4);
	worker_has_seen_it();
	$receiver->let_go($path);
	value($node, qq{UPDATE integration.endpoint SET rate_limit = 1000 WHERE name = '$name'}) if $name eq 'paced';
	wait_until($node, qq{SELECT count(*) = 3 FROM integration.sync WHERE endpoint = '$name' AND state = 'delivered'},
		'all objects are in sync');
	is_deeply([ sort { $a <=> $b } @{ numbers_at($path) } ], [ 1, 4, 10 ], "with their newest states ($name)");
}

# A failed state is healed by a newer one.
{
	$receiver->switch('/ok/healed', '/status/422');
	add_endpoint($node, name => 'healed', url => $receiver->url('/ok/healed'), coalesce => 'true');
	my $bad = add_sync($node, endpoint => 'healed', object_type => 'order', object_id => 'PO-3');
	wait_until($node, state_is('failed', $bad), 'a state is refused for good');
	$receiver->switch('/ok/healed');
	my $good = add_sync($node, endpoint => 'healed', object_type => 'order', object_id => 'PO-3');
	wait_until($node, state_is('delivered', $good), 'the next one is delivered');
	wait_until($node, state_is('superseded', $bad), 'and takes its place');
	wait_until($node, q{SELECT count(*) = 0 FROM integration.incident WHERE endpoint = 'healed' AND resolved_at IS NULL},
		'the incident is over');
	is(value($node, q{SELECT state FROM integration.object_status WHERE object_id = 'PO-3'}), 'in_sync', 'the object is in sync');
}

done_testing();
