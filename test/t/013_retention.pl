# The worker drops a range of old syncs: nobody waits for it, what is not finished stays.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "track_functions = pl\n");

sub set_keep
{
	my ($value, $shown) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET integration.keep_delivered = '$value'");
	$node->reload;
	wait_until($node, setting_is('integration.keep_delivered', $shown), "keep_delivered is $shown");
	return;
}

sub range_is_there
{
	my ($low) = @_;
	return "SELECT to_regclass('integration.outbox_$low') IS NOT NULL";
}

add_endpoint($node, name => 'good', url => $receiver->url('/ok/good'));
add_endpoint($node, name => 'bad', url => $receiver->url('/status/422'));
make_ranges($node, 2, 1000);
my $low = value($node, 'SELECT min(low) FROM integration_worker.ranges()');
value($node, "SELECT setval('integration.outbox_id_seq', $low - 1)");
my $bad = add_sync($node, endpoint => 'bad');
add_syncs($node, 'good', 999);
wait_until($node, state_is('failed', $bad), 'one sync of the range failed');
wait_until($node, 'SELECT count(*) = 1 FROM integration.queue', 'the others are delivered');
add_sync($node, endpoint => 'good');

# Somebody reads and does not end his transaction.
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM integration.outbox');
set_keep('1s', '1s');
my $tries = q{(SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname = 'swap_range')};
my $inserts = 0;
my $tried = wait_for(
	sub {
		$inserts++;
		return 1 if $node->psql('postgres',
			"SET lock_timeout = '1s'; INSERT INTO integration.outbox (endpoint, payload) VALUES ('good', '{}')") != 0;
		return value($node, "SELECT $tries >= 3") eq 't';
	});
ok($tried, 'the worker tries to drop the range again and again');
wait_until($node, 'SELECT count(*) = 1 FROM integration.queue', 'meanwhile syncs are delivered');
is(value($node, 'SELECT count(*) FROM integration.outbox'), 1001 + $inserts, 'and no insert waits for it');
ok(value($node, range_is_there($low)), 'the range is there as long as somebody reads it');
my $upkeep = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'integration upkeep'};
wait_until($node, "SELECT ($upkeep) = 1", 'it is not the sender that tries');
$reader->quit;
wait_until($node, 'SELECT NOT (' . range_is_there($low) . ')', 'then it leaves');
is(value($node, 'SELECT count(*) FROM integration.sync'), 2 + $inserts, 'with all that was delivered');
ok(value($node, state_is('failed', $bad)), 'what is not finished stays');
value($node, "SELECT integration.cancel($bad, 'no use')");
ok(value($node, state_is('cancelled', $bad)), 'and can be acted on');

# Whoever needs the database empty has it.
$node->safe_psql('template1', 'ALTER DATABASE postgres RENAME TO elsewhere');
$node->safe_psql('template1', 'ALTER DATABASE elsewhere RENAME TO postgres');
wait_until($node, "SELECT ($upkeep) = 1", 'what is old is looked for again');

# A copy that is under way is in nobody's way.
set_keep('-1', '-1');
wait_until($node, "SELECT ($upkeep) = 0", 'but not where everything is kept');
value($node, q{SELECT setval('integration.outbox_id_seq', (SELECT max(high) FROM integration_worker.ranges()))});
wait_until($node, q{SELECT integration_worker.stage(0, 'infinity', 'infinity') IS NOT NULL}, 'a copy is begun');
SKIP:
{
	skip 'pg_dump 14 crashes on partitions of an extension', 3 unless can_dump($node);
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'postgres' ], 'pg_dump');
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', $dump ], 'pg_restore');
	is(value($node, q{SELECT integration_worker.stage(0, 'infinity', 'infinity') ->> 'low'}, 'restored'),
		value($node, 'SELECT min(low) FROM integration_worker.ranges()'), 'the copy of the database begins anew');
}
is($node->psql('postgres', 'DROP EXTENSION integration'), 0, 'DROP EXTENSION');
is(value($node, q{SELECT count(*) FROM pg_class WHERE relname ~ '^(outbox|attempt)_'}), 0, 'takes ranges and copies along');

done_testing();
