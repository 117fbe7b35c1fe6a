# What nobody announces is seen at the next safety look, however much else is announced meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

use constant LOOK_EVERY_S => 10;

my $receiver = Receiver->start;
my $node = integration_node('main');
add_endpoint($node, name => 'busy', url => $receiver->url('/ok/busy'));
add_endpoint($node, name => 'careful', url => $receiver->url('/ok/careful'), idempotent => 'false', max_concurrency => 1);

# A row that somebody holds can't be marked: it is passed over, and read again.
{
	value($node, q{SELECT integration.pause('endpoint', 'careful', 'test')});
	my ($held, @others) = map { add_sync($node, endpoint => 'careful') } 1 .. 3;
	my $holder = $node->background_psql('postgres');
	$holder->query_safe("BEGIN; SELECT FROM integration.queue WHERE outbox_id = $held FOR UPDATE");
	value($node, q{SELECT integration.resume('endpoint', 'careful')});
	wait_until($node, state_is('delivered', @others), 'it holds up nothing else', deadline_s => LOOK_EVERY_S / 2);
	$holder->query_safe('COMMIT');
	$holder->quit;
	my $is_sent = sub {
		add_sync($node, endpoint => 'busy');
		return value($node, state_is('delivered', $held)) eq 't';
	};
	ok(wait_for($is_sent, LOOK_EVERY_S * 2), 'nor does the load of others hold it up');
}

done_testing();
