# One at a time: the syncs of an ordering key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use JSON::PP ();
use Receiver;
use Test::More;

my $node = integration_node('main');
my $receiver = Receiver->start;

sub numbers_at
{
	my ($path) = @_;
	return [ map { JSON::PP->new->decode($_->{body})->{n} } $receiver->arrived($path) ];
}

# The shortest time between two arrivals.
sub closest_s
{
	my ($path) = @_;
	my @at = map { $_->{at} } $receiver->arrived($path);
	my $closest = 1e9;
	for my $n (1 .. $#at)
	{
		$closest = $at[$n] - $at[ $n - 1 ] if $at[$n] - $at[ $n - 1 ] < $closest;
	}
	return $closest;
}

# A head that is taken away while it is under way: the queue doesn't know it any more, the receiver does.
for my $way ('cancel', 'amend')
{
	my $path = "/slow/$way";
	add_endpoint($node, name => $way, url => $receiver->url("$path?seconds=1"));
	my ($head, $next) = map {
		add_sync($node, endpoint => $way, ordering_key => 'k', payload => qq({"n": $_}))
	} 1, 2;
	ok(wait_for(sub { $receiver->count($path)->{requests} > 0 }), 'the head is under way');
	value($node, $way eq 'cancel' ? "SELECT integration.cancel($head)" : "SELECT integration.amend($head, '{\"n\": 10}')");
	wait_until($node, state_is('delivered', $head, $next), "$way() of the head lets the next one go");
	is_deeply(numbers_at($path), [ 1, $way eq 'amend' ? 10 : (), 2 ], 'in their order');
	cmp_ok(closest_s($path), '>=', 1, 'one after the other');
}

# Twenty round trips, whatever else is in flight.
{
	add_endpoint($node, name => 'busy', url => $receiver->url('/stall-before/busy'), timeout => '5 min');
	add_sync($node, endpoint => 'busy');
	ok(wait_for(sub { $receiver->count('/stall-before/busy')->{requests} > 0 }), 'another endpoint is in flight');
	add_endpoint($node, name => 'trips', url => $receiver->url('/slow/trips?seconds=0.05'));
	value($node, q{
		INSERT INTO integration.outbox (endpoint, ordering_key, payload)
		SELECT 'trips', 'k', jsonb_build_object('n', n) FROM generate_series(1, 20) AS n});
	wait_until($node, q{SELECT count(*) = 20 FROM integration.sync WHERE endpoint = 'trips' AND state = 'delivered'},
		'twenty syncs of one key arrive');
	is_deeply(numbers_at('/slow/trips'), [ 1 .. 20 ], 'in their order');
	my @at = map { $_->{at} } $receiver->arrived('/slow/trips');
	# A poll of any kind would add its period twenty times.
	cmp_ok($at[-1] - $at[0], '<', 19 * (0.05 + 0.1), 'each leaves when the one before it is settled');
	diag(sprintf('%.0f ms beside each round trip of 50 ms', 1000 * ($at[-1] - $at[0]) / 19 - 50));
	value($node, q{SELECT integration.cancel(id) FROM integration.sync WHERE endpoint = 'busy'});
}

done_testing();
