# Limits that the other side announces; connections that dead endpoints may hold.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "integration.max_connections = 8\n");

sub delivered
{
	my ($endpoint, $count) = @_;
	return "SELECT count(*) = $count FROM integration.sync
	         WHERE endpoint = '$endpoint' AND state = 'delivered'";
}

sub blocked_by
{
	my ($endpoint) = @_;
	return "SELECT blocked_by FROM integration.sync
	         WHERE endpoint = '$endpoint' AND state <> 'delivered' ORDER BY id DESC LIMIT 1";
}

# Nothing is left for an hour: nothing more leaves, until somebody knows better.
{
	$receiver->switch('/ok/used', '/status/200?limit=%22day%22%3Br%3D0%3Bt%3D3600');
	add_endpoint($node, name => 'used', url => $receiver->url('/ok/used'), max_concurrency => 2);
	add_syncs($node, 'used', 20);
	wait_until($node, "SELECT blocked_by = 'rate' FROM (" . blocked_by('used') . ') AS b',
		'an announced limit holds the rest back');
	wait_until($node, q{SELECT in_flight = 0 FROM integration.endpoint_status WHERE name = 'used'}, 'what was in flight is answered');
	my $sent = $receiver->count('/ok/used')->{requests};
	cmp_ok($sent, '<=', 2, 'no more were sent than were in flight when it was announced');
	wait_until($node, delivered('used', $sent), 'those are delivered');
	my $id = value($node, "SELECT max(id) FROM integration.sync WHERE endpoint = 'used'");
	like(value($node, "SELECT integration.why($id)"), qr/said how much is left/, 'why() says so');
	$receiver->switch('/ok/used');
	is(value($node, q{SELECT integration.resume('endpoint', 'used')}), 't', 'resume() ends it');
	wait_until($node, delivered('used', 20), 'then all are sent');
}

# Little is left: it is spread over the time.
{
	$receiver->switch('/ok/scarce',
		'/status/200?limit=%22minute%22%3Br%3D5%3Bt%3D2&policy=%22minute%22%3Bq%3D100%3Bw%3D60');
	add_endpoint($node, name => 'scarce', url => $receiver->url('/ok/scarce'), max_concurrency => 1);
	add_syncs($node, 'scarce', 5);
	wait_until($node, delivered('scarce', 5), 'few that are left are used');
	# By the times at which they left: the receiver may be late for one of them.
	my $waits = q{SELECT a.started_at - lag(a.started_at) OVER (ORDER BY a.started_at) AS wait
	                FROM integration.attempt a JOIN integration.endpoint e ON e.id = a.endpoint_id WHERE e.name = 'scarce'};
	is(value($node, "SELECT count(*) FROM ($waits) w WHERE w.wait >= interval '0.39 s'"), 4,
		'each leaves two fifths of a second after the one before');
}

# Many that hang, each with more than it can ever send: they leave connections to those that answer.
{
	for my $name (qw(alive busy))
	{
		add_endpoint($node, name => $name, url => $receiver->url("/ok/$name"));
		my $id = add_sync($node, endpoint => $name);
		wait_until($node, state_is('delivered', $id), "$name answers");
	}
	value($node, sprintf(
		q{INSERT INTO integration.endpoint (name, url, timeout)
		  SELECT 'dead' || n, %s || n, '5 min' FROM generate_series(1, 20) AS n},
		quoted($receiver->url('/stall-before/dead'))));
	value($node, q{INSERT INTO integration.outbox (endpoint, payload)
	               SELECT 'dead' || e, '{}' FROM generate_series(1, 20) AS e, generate_series(1, 20)});
	wait_until($node, q{SELECT count(*) = 6 FROM integration.sync WHERE in_flight_since IS NOT NULL},
		'six of eight connections hang');
	add_syncs($node, $_, 100) for qw(alive busy);
	wait_until($node, delivered($_, 101), "$_: delivered beside them") for qw(alive busy);
	is($receiver->count('/stall-before')->{requests}, 6, 'no more hang than before');
}

done_testing();
