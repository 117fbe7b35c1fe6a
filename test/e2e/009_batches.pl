# What one batch of results holds is judged in the order in which it came.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');

sub enqueue
{
	my ($status, $count) = @_;
	value($node, qq{INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
		SELECT 'shop', 'order', '$status', '{}' FROM generate_series(1, $count)});
	return;
}

add_retry_policy($node, undef, 'late', '{1 h}');
add_endpoint($node, name => 'shop', url => $receiver->url('/slow/shop?seconds=0.2'), retry_policy => 'late',
	max_concurrency => 20, timeout => '5 min');
enqueue(200, 100);
wait_until($node, queue_is_empty(), 'many may be in flight at once');

# Whoever holds their rows makes the results come in one batch later.
value($node, sprintf(q{UPDATE integration.endpoint SET url = %s}, quoted($receiver->url('/held/{object_id}?status={object_id}'))));
enqueue(500, 10);
enqueue(200, 5);
my $in_flight = 'SELECT in_flight = %d FROM integration.worker_status';
ok(wait_for(sub { $receiver->count('/held')->{requests} == 15 }), 'all are sent');
wait_until($node, sprintf($in_flight, 15), 'and under way');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT FROM integration.queue FOR UPDATE');
$receiver->let_go("/held/$_") for 500, 200;
wait_until($node, sprintf($in_flight, 0), 'failures, then deliveries are answered');
wait_until($node, 'SELECT unsettled = 15 FROM integration.worker_status', 'what waits for a row that somebody holds is counted');
$holder->quit;
wait_until($node, q{SELECT count(*) = 10 AND bool_and(state = 'retrying') FROM integration.queue}, 'and then recorded');
is(value($node, 'SELECT state FROM integration.endpoint_health'), 'closed',
	'ten failures before a delivery are not ten in a row');

# Big answers are recorded a few at a time.
add_endpoint($node, name => 'big', url => $receiver->url('/slow/big?seconds=0.2'), retry_policy => 'late',
	max_concurrency => 100);
add_syncs($node, 'big', 500);
wait_until($node, q{SELECT count(*) = 10 FROM integration.queue}, 'the window is open');
value($node, q{SELECT integration.pause('endpoint', 'big', 'to be locked')});
$receiver->switch('/slow/big', '/endless');
add_syncs($node, 'big', 100);
$holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT FROM integration.queue FOR UPDATE');
value($node, q{SELECT integration.resume('endpoint', 'big')});
ok(wait_for(sub { $receiver->count('/slow/big')->{requests} >= 580 }), 'eighty of them are answered');
$holder->quit;
my $bytes = q{SELECT sum(octet_length(response_body)) AS b FROM integration.attempt a
                JOIN integration.endpoint e ON e.id = a.endpoint_id WHERE e.name = 'big'};
wait_until($node, "SELECT b > 80 * 65000 FROM ($bytes) AS s", 'and then recorded');
cmp_ok(value($node, "SELECT max(b) FROM ($bytes GROUP BY a.xmin::text) AS s"), '<=', 4 << 20, 'not all in one transaction');

done_testing();
