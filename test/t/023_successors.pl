# What commits while the head of its ordering key is being ended, unseen by whoever ends it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
# The WAL writer is too slow to make anything durable.
my $node = integration_node('main', conf => "wal_writer_delay = 10s\n");
add_endpoint($node, name => 'ordered', url => $receiver->url('/{operation}/{object_type}'), timeout => '5 min');
add_endpoint($node, name => 'raced', url => $receiver->url('/{operation}/raced'), timeout => '5 min');
wait_until($node, worker_runs('postgres'), 'the worker runs');

sub add_ordered
{
	my ($endpoint, $key, $operation, $status) = @_;
	return add_sync($node, endpoint => $endpoint, ordering_key => $key, operation => $operation,
		object_type => $status // 200);
}

sub arrives
{
	my ($path, $requests) = @_;
	ok(wait_for(sub { $receiver->count($path)->{requests} >= $requests }), "a request arrives at $path");
	return;
}

# A person cancels the head and does not commit; its successor comes meanwhile.
for my $isolation ('READ COMMITTED', 'REPEATABLE READ')
{
	my $head = add_ordered('ordered', $isolation, 'status', 400);
	wait_until($node, state_is('failed', $head), 'the head of a key has failed');
	my $person = $node->background_psql('postgres');
	$person->query_safe("BEGIN ISOLATION LEVEL $isolation; SELECT integration.cancel($head)");
	my $next = add_ordered('ordered', $isolation, 'ok');
	my $later = add_ordered('ordered', "behind $isolation", 'ok');
	wait_until($node, state_is('delivered', $later), 'its successor was looked at and passed over');
	$person->query_safe('COMMIT');
	$person->quit;
	wait_until($node, state_is('delivered', $next), "the successor leaves once the cancel is committed ($isolation)",
		deadline_s => 20);
}

# The worker records the head, and stops just before it commits; its successor comes meanwhile.
{
	my $known = add_ordered('raced', 'well', 'ok');
	wait_until($node, state_is('delivered', $known), 'the endpoint is known to be well');
	value($node, q{
		CREATE FUNCTION wait_for_successor() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
			RETURN NULL;
		END $$;
		CREATE CONSTRAINT TRIGGER wait_for_successor AFTER DELETE ON integration.queue
			DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
			WHEN (OLD.ordering_key = 'race') EXECUTE FUNCTION wait_for_successor()});
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock(1)');
	my $head = add_ordered('raced', 'race', 'ok');
	wait_until($node, q{SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE backend_type = 'integration worker'},
		'the worker is about to commit');
	# The server keeps the places of commits by groups of 32 transactions: the successor is in another one.
	value($node, 'DO $$ BEGIN FOR n IN 1 .. 64 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
	add_ordered('raced', 'race', 'stall-before');
	$holder->query_safe('SELECT pg_advisory_unlock(1)');
	arrives('/stall-before/raced', 1);
	$node->stop('immediate');
	$node->start;
	arrives('/stall-before/raced', 2);
	is($receiver->count('/ok/raced')->{requests}, 2, 'the head is not sent again behind its successor');
	is(value($node, state_is('delivered', $head)), 't', 'it is delivered');
}

done_testing();
