# What is not due costs nothing: no processor time, no reading, no WAL.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

use constant SCHEDULED => 100_000;
use constant HELD => 10_000;
use constant TICKS_A_S => 100;

my $receiver = Receiver->start;
# Nobody else writes WAL or reads the queue.
my $node = integration_node('main', conf => "autovacuum = off\ncheckpoint_timeout = 1h\nmax_wal_size = 8GB\n");
add_endpoint($node, name => 'tomorrow', url => $receiver->url('/ok/tomorrow'));
add_endpoint($node, name => 'open', url => $receiver->url('/ok/open'));

sub cpu_ticks
{
	my ($pid) = @_;
	open(my $file, '<', "/proc/$pid/stat") or return;
	my @fields = split(/ /, (split(/\) /, readline($file)))[-1]);
	return $fields[11] + $fields[12];
}

# Blocks of the queue that were looked at, by whomever.
sub queue_reads
{
	return value($node, q{SELECT coalesce(heap_blks_hit, 0) + coalesce(heap_blks_read, 0)
	                           + coalesce(idx_blks_hit, 0) + coalesce(idx_blks_read, 0)
	                        FROM pg_statio_all_tables WHERE relid = 'integration.queue'::regclass});
}

sub is_quiet
{
	my ($since) = @_;
	return "SELECT activity = 'waiting for syncs' AND last_turn_at > '$since' FROM integration.worker_status";
}

sub last_turn
{
	return value($node, 'SELECT last_turn_at FROM integration.worker_status');
}

value($node, q{
	INSERT INTO integration.endpoint_health (endpoint_id, state, open_until)
	SELECT id, 'open', now() + interval '1 day' FROM integration.endpoint WHERE name = 'open'
	ON CONFLICT (endpoint_id) DO UPDATE SET state = 'open', open_until = excluded.open_until;
	SELECT integration_worker.wake_at_commit(true)});
value($node, "
	INSERT INTO integration.outbox (endpoint, payload, send_after)
	SELECT 'tomorrow', '{}', now() + interval '1 day' FROM generate_series(1, @{[ SCHEDULED ]})");
add_syncs($node, 'open', HELD);
my $first = add_sync($node, endpoint => 'tomorrow');
wait_until($node, state_is('delivered', $first), 'one that is due passes those that are not');
wait_until($node, ranges_are_made(), 'there are ranges');
value($node, 'VACUUM ANALYZE integration.queue');

# From one safety look to the next, which comes every ten seconds.
{
	my $begin = last_turn();
	wait_until($node, is_quiet($begin), 'a safety look finds nothing to do');
	my $pid = worker_pid($node);
	my $next_xid = value($node, 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
	my ($lsn, $reads, $ticks) =
	  (value($node, 'SELECT pg_current_wal_insert_lsn()'), queue_reads(), cpu_ticks($pid));
	my $from = last_turn();
	wait_until($node, is_quiet($from), 'so does the next');
	is(value($node, 'SELECT pg_snapshot_xmax(pg_current_snapshot())'), $next_xid, 'it changes nothing');
	# A page of a catalog that is read here may be pruned.
	cmp_ok(value($node, "SELECT pg_current_wal_insert_lsn() - '$lsn'"), '<=', 500, 'it writes no WAL');
	cmp_ok(queue_reads() - $reads, '<=', 50, 'it reads a few blocks of the queue');
	SKIP:
	{
		skip 'no /proc', 1 unless defined $ticks;
		cmp_ok(cpu_ticks($pid) - $ticks, '<=', TICKS_A_S * 0.05, 'it takes next to no processor time');
	}
	is($receiver->count('/ok/open')->{requests}, 0, 'an open endpoint is left alone');
}

# Nor does what is due pay for it.
{
	my $reads = queue_reads();
	my @ids = map { add_sync($node, endpoint => 'tomorrow') } 1 .. 20;
	# Whoever asked the queue itself would be counted as often as he asks.
	wait_until($node, "SELECT pg_stat_get_tuples_deleted('integration.queue'::regclass) >= 21", 'twenty more are through');
	# Each is inserted, read, deleted, in eight indexes.
	cmp_ok((queue_reads() - $reads) / 20, '<=', 100, 'at a cost that has nothing to do with the others');
	is(value($node, state_is('delivered', @ids)), 't', 'they are delivered');
}

done_testing();
