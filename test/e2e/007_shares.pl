# Where connections are short, endpoints take turns; what a dump brought along is sent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "integration.max_connections = 2\n");

{
	my @names = qw(one two three four);
	add_endpoint($node, name => $_, url => $receiver->url("/slow/$_?seconds=0.02")) for @names;
	value($node, q{INSERT INTO integration.outbox (endpoint, payload)
	               SELECT e, jsonb_build_object('n', n)
	                 FROM unnest('{one,two,three,four}'::text[]) AS e, generate_series(1, 20) AS n});
	wait_until($node, queue_is_empty(), 'two connections serve four endpoints');
	is(value($node, q{SELECT min(count) >= 5
	                    FROM (SELECT count(a.outbox_id)
	                            FROM integration.endpoint e
	                            LEFT JOIN (SELECT * FROM integration.attempt ORDER BY started_at LIMIT 24) a
	                                   ON a.endpoint_id = e.id
	                           GROUP BY e.id) c}),
		't', 'none waits until another is done');
}

# A dump carries ids of transactions that this server has not had yet.
{
	add_endpoint($node, name => 'foreign', url => $receiver->url('/ok/foreign'));
	value($node, q{SELECT integration.pause('endpoint', 'foreign', 'restoring')});
	my $id = add_sync($node, endpoint => 'foreign');
	value($node, "UPDATE integration.queue SET change_xid = '1000000000' WHERE outbox_id = $id");
	value($node, q{SELECT integration.resume('endpoint', 'foreign')});
	wait_until($node, state_is('delivered', $id), 'what carries a foreign transaction id is sent');
}

done_testing();
