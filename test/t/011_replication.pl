# Rows that arrive by logical replication start nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $publisher = integration_node('publisher', init => { allows_streaming => 'logical' });
my $subscriber = integration_node('subscriber');
add_endpoint($_, name => 'shop', url => $receiver->url('/ok/shop')) for $publisher, $subscriber;
value($publisher, q{SELECT integration.pause('endpoint', 'shop', 'so that the queue keeps its rows')});
wait_until($subscriber, worker_runs('postgres'), 'the subscriber has a worker');

# One that is copied, one that is streamed.
add_sync($publisher, endpoint => 'shop', object_type => 'order', object_id => 'copied');
value($publisher, 'CREATE PUBLICATION p FOR TABLE integration.outbox, integration.queue');
my $connection = quoted($publisher->connstr('postgres'));
value($subscriber, "CREATE SUBSCRIPTION s CONNECTION $connection PUBLICATION p");
wait_until($subscriber, "SELECT count(*) > 0 AND bool_and(srsubstate IN ('r', 's')) FROM pg_subscription_rel",
	'the tables are copied');
add_sync($publisher, endpoint => 'shop', object_type => 'order', object_id => 'streamed');
$publisher->wait_for_catchup('s');

is(value($publisher, 'SELECT count(*) FROM integration.queue'), 2, 'the publisher has two to send');
is(value($subscriber, q{SELECT string_agg(object_id, ' ' ORDER BY id) FROM integration.outbox}),
	'copied streamed', 'both arrived in the outbox of the subscriber');
is(value($subscriber, 'SELECT count(*) FROM integration.queue'), 0, 'none is in its queue');

value($subscriber, q{SELECT setval(pg_get_serial_sequence('integration.outbox', 'id'), 100)});
my $own = add_sync($subscriber, endpoint => 'shop', object_type => 'order', object_id => 'own');
wait_until($subscriber, state_is('delivered', $own), 'its own sync is delivered');
is($receiver->count('/ok/shop')->{requests}, 1, 'and nothing else was sent');

value($subscriber, 'DROP SUBSCRIPTION s');
value($publisher, q{SELECT integration.resume('endpoint', 'shop')});
wait_until($publisher, queue_is_empty(), 'the publisher sends what it has');
is($receiver->count('/ok/shop')->{requests}, 3, 'once');

done_testing();
