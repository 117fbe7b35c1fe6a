# What must be durable is so before anything depends on it: the WAL writer is too slow to help.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use JSON::PP ();
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => <<'CONF');
wal_writer_delay = 10s
integration.synchronous_settle = on
CONF

add_endpoint($node, name => 'stalled', url => $receiver->url('/stall-before/idempotent'), timeout => '5 min');
add_endpoint($node, name => 'careful', url => $receiver->url('/stall-before/careful'), timeout => '5 min',
	idempotent => 'false');
add_endpoint($node, name => 'good', url => $receiver->url('/ok/good'));
wait_until($node, worker_runs('postgres'), 'the worker runs');

sub arrives
{
	my ($path, $requests) = @_;
	ok(wait_for(sub { $receiver->count($path)->{requests} >= $requests }), "a request arrives at $path");
	return;
}

sub crash
{
	$node->stop('immediate');
	$node->start;
	wait_until($node, worker_runs('postgres'), 'the worker is back');
	return;
}

sub enqueue_asynchronously
{
	my ($endpoint) = @_;
	return value($node, qq{SET synchronous_commit = off;
		INSERT INTO integration.outbox (endpoint, payload) VALUES ('$endpoint', '{}') RETURNING id});
}

# A transaction that the application did not flush is not sent before it is.
{
	my $id = enqueue_asynchronously('stalled');
	arrives('/stall-before/idempotent', 1);
	crash();
	is(value($node, "SELECT count(*) FROM integration.outbox WHERE id = $id"),
		1, 'what was sent is still there after a crash');
	arrives('/stall-before/idempotent', 2);
	is($receiver->count('/stall-before/idempotent')->{keys}, 1, 'and is sent again with its key');
	value($node, "SELECT integration.cancel($id)");
}

# Where a request must not be repeated, the mark is durable before it leaves.
{
	my $id = add_sync($node, endpoint => 'careful');
	arrives('/stall-before/careful', 1);
	is(value($node, "SELECT claimed_at IS NOT NULL FROM integration.queue WHERE outbox_id = $id"),
		't', 'what must not be repeated is marked while it is on its way');
	crash();
	wait_until($node, state_is('failed', $id), 'after a crash it fails');
	is_deeply(row($node, "SELECT reason, remedy IS NOT NULL AS has_remedy FROM integration.failed WHERE id = $id"),
		{ reason => 'worker_crash', has_remedy => JSON::PP::true }, 'as an unknown outcome');
	my $next = add_sync($node, endpoint => 'good');
	wait_until($node, state_is('delivered', $next), 'others are sent');
	is($receiver->count('/stall-before/careful')->{requests}, 1, 'it is not');
}

# integration.synchronous_settle: what is seen as delivered stays so.
{
	my $before = $receiver->count('/ok/good')->{requests};
	my @ids = map { add_sync($node, endpoint => 'good') } 1 .. 5;
	wait_until($node, state_is('delivered', @ids), 'five syncs are delivered');
	crash();
	is(value($node, state_is('delivered', @ids)), 't', 'they are delivered after a crash');
	my $last = add_sync($node, endpoint => 'good');
	wait_until($node, state_is('delivered', $last), 'another one is sent');
	is($receiver->count('/ok/good')->{requests}, $before + 6, 'they are not sent again');
}

# What goes under an ordering key does so only once the end of the one before it is durable.
{
	value($node, 'ALTER SYSTEM SET integration.synchronous_settle = off');
	crash();
	add_endpoint($node, name => 'ordered', url => $receiver->url('/{operation}/ordered'), timeout => '5 min');
	value($node, q{SELECT integration.pause('endpoint', 'ordered', 'until both are there')});
	my ($head, $next) = map { add_sync($node, endpoint => 'ordered', operation => $_, ordering_key => 'k') } 'ok', 'stall-before';
	# The server keeps the places of commits by groups of 32 transactions: these two are in another one.
	value($node, 'DO $$ BEGIN FOR n IN 1 .. 64 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
	value($node, q{SELECT integration.resume('endpoint', 'ordered')});
	arrives('/stall-before/ordered', 1);
	crash();
	arrives('/stall-before/ordered', 2);
	is($receiver->count('/ok/ordered')->{requests}, 1, 'the head is not sent again behind its successor');
	is(value($node, state_is('delivered', $head)), 't', 'it is delivered');
}

done_testing();
