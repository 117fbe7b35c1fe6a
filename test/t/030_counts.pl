# What is over is counted by the process of retention, from real deliveries.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');

value($node, q{INSERT INTO integration.connector (name, sla, objective) VALUES ('shop', '1 h', 0.9)});
add_endpoint($node, name => 'good', url => $receiver->url('/ok/good'), connector => 'shop');
add_endpoint($node, name => 'bad', url => $receiver->url('/status/422'), connector => 'shop');
add_syncs($node, 'good', 20);
my $bad = add_sync($node, endpoint => 'bad');
wait_until($node, 'SELECT count(*) = 1 FROM integration.queue', 'all but one are delivered');

# Two looks at the ids that the worker would take its time for; the next process comes with the next worker.
value($node, 'SELECT integration_worker.count_state()');
value($node, "SELECT integration_worker.note_ids(clock_timestamp() + $_ * interval '1 min')") for 1 .. 3;
value($node, 'SELECT pg_terminate_backend(pid) FROM integration.worker_status');
wait_until($node, 'SELECT sum(syncs) = 20 FROM integration.sync_count', 'what is over is counted');
is(value($node, q{SELECT concat_ws(' ', promised, in_time, missed) FROM integration.sla_report WHERE scope = 'all'}),
	'20 20 0', 'and reported: all in time');
is(value($node, "SELECT outbox_id FROM integration_worker.uncounted"), $bad, 'what is not is noted');
is(value($node, q{SELECT concat_ws(' ', syncs, delivered_share, finding) FROM integration.usage WHERE endpoint = 'good'}),
	'20 1.0000', 'nothing stands out');

done_testing();
