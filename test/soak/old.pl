# ROWS=10000000 old syncs leave, half of them alone, half while others are sent: how long it takes, what it costs them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use List::Util qw(max min sum);
use Soak;
use Test::More;
use Time::HiRes ();

use constant RANGE => 1_000_000;
use constant PROBLEMS_EVERY => 20_000;
use constant RATE_S => 30;
use constant PATIENCE_S => 600;

my $rows = $ENV{ROWS} // 10_000_000;
my $ranges = int($rows / RANGE);
die "ROWS=$rows: two ranges of @{[RANGE]} at least\n" if $ranges < 2;
my $port = fast_receiver();
my $node = integration_node('main', conf => <<'CONF');
integration.keep_delivered = -1
max_wal_size = 16GB
fsync = off
CONF
add_endpoint($node, name => 'old', url => "http://127.0.0.1:$port/old");
add_endpoint($node, name => 'new', url => "http://127.0.0.1:$port/new", max_concurrency => 64);

sub ranges_below
{
	my ($high) = @_;
	return value($node, "SELECT count(*) FROM integration_worker.ranges() WHERE high <= $high AND NOT is_kept");
}

# Rows of a leaf start nothing, as when a dump is restored; one in many was tried twice and is kept.
sub fill
{
	my ($low, $days) = @_;
	value($node, sprintf(q{
		INSERT INTO integration.outbox_%1$d (id, endpoint, object_type, object_id, payload, created_at)
		SELECT n, 'old', 'order', 'O-' || n, jsonb_build_object('n', n, 'text', repeat('x', 100)), now() - interval '%2$d d'
		  FROM generate_series(%1$d, %1$d + %3$d - 1) AS n;
		INSERT INTO integration.attempt_%1$d (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, http_status)
		SELECT n, 1, 1, now() - interval '%2$d d', 3, CASE WHEN n %% %4$d = 0 THEN 'failed' ELSE 'delivered' END, 'http:200', 200
		  FROM generate_series(%1$d, %1$d + %3$d - 1) AS n;
		INSERT INTO integration.attempt_%1$d (outbox_id, attempt_no, endpoint_id, started_at, duration_ms, outcome, reason, http_status)
		SELECT n, 2, 1, now() - interval '%2$d d', 3, 'delivered', 'http:200', 200
		  FROM generate_series(%1$d, %1$d + %3$d - 1) AS n WHERE n %% %4$d = 0},
		$low, $days, RANGE, PROBLEMS_EVERY));
	return;
}

# What the ranges below and what is kept of them take, with indexes.
sub bytes_below
{
	my ($high) = @_;
	return value($node, qq{
		SELECT sum(pg_total_relation_size(format('integration.%I', t)::regclass))
		  FROM integration_worker.ranges() r, unnest(ARRAY[r.outbox, r.attempt]) AS t
		 WHERE r.high <= $high});
}

# Deliveries a second, over a while.
sub rate
{
	my $delivered = 'SELECT sum(delivered) FROM integration.worker_status';
	my $before = value($node, $delivered);
	Time::HiRes::sleep(RATE_S);
	return (value($node, $delivered) - $before) / RATE_S;
}

# Processor time of a process, in seconds; nothing when it is gone.
sub cpu_s
{
	my ($pid) = @_;
	open(my $stat, '<', "/proc/$pid/stat") or return;
	my @fields = split(/ /, (<$stat> // '') =~ s/^.*\) //r);
	return @fields < 13 ? () : ($fields[11] + $fields[12]) / 100;
}

# Waits until no more ranges are left below; sees how long nothing was delivered, what the upkeep's processes took.
sub watch_leaving
{
	my ($high, $keep) = @_;
	my ($gap_s, $delivered, $began, %cpu) = (0, -1, Time::HiRes::time());
	my $moved_at = $began;
	my $wal = value($node, 'SELECT pg_current_wal_lsn()');
	my $at_first = value($node, 'SELECT sum(delivered) FROM integration.worker_status');
	$node->safe_psql('postgres', "ALTER SYSTEM SET integration.keep_delivered = '$keep'");
	$node->reload;
	while (ranges_below($high) > 0 && Time::HiRes::time() - $began < PATIENCE_S)
	{
		my $now = row($node, q{SELECT sum(delivered) AS delivered,
			(SELECT pid FROM pg_stat_activity WHERE backend_type = 'integration upkeep') AS upkeep FROM integration.worker_status});
		$gap_s = max($gap_s, Time::HiRes::time() - $moved_at);
		$moved_at = Time::HiRes::time() if $now->{delivered} != $delivered;
		$delivered = $now->{delivered};
		my ($cpu_s) = $now->{upkeep} ? cpu_s($now->{upkeep}) : ();
		$cpu{ $now->{upkeep} } = $cpu_s if defined $cpu_s;
	}
	my $s = Time::HiRes::time() - $began;
	return (
		s => $s, gap_s => $gap_s, rate => ($delivered - $at_first) / $s, cpu_s => sum(0, values %cpu),
		wal_bytes => value($node, "SELECT pg_current_wal_lsn() - '$wal'::pg_lsn"));
}

value($node, sprintf(q{
	DO $$ BEGIN
		FOR n IN 1 .. %d LOOP
			PERFORM integration_worker.make_partitions(%d, 10, 0);
			PERFORM setval('integration.outbox_id_seq', (SELECT max(high) FROM integration_worker.ranges()) - 100);
		END LOOP;
	END $$}, $ranges + 1, RANGE));
my @low = split(/\n/, value($node, "SELECT low FROM integration_worker.ranges() ORDER BY 1 LIMIT $ranges"));
my $high = $low[-1] + RANGE;
my $half = int($ranges / 2);
fill($low[$_], $_ < $half ? 30 : 10) for 0 .. $#low;
my $full = bytes_below($high);
note(sprintf('%d rows, %.1f GB', $ranges * RANGE, $full / 1e9));

my %alone = watch_leaving($low[$half], '20 d');
is(ranges_below($low[$half]), 0, 'what is old leaves');
is(ranges_below($high), $ranges - $half, 'and only that');
note(sprintf('%d rows alone: %.1f s, %.2f s processor, %.2f MB WAL', $half * RANGE, @alone{qw(s cpu_s)}, $alone{wal_bytes} / 1e6));

my $load = start_load($node, 1200, q{
	INSERT INTO integration.outbox (endpoint, payload) SELECT 'new', '{}' FROM generate_series(1, 1000)});
my @rate = rate();
my %beside = watch_leaving($high, '5 d');
push @rate, rate();
is(ranges_below($high), 0, 'the rest leaves while others are sent');
note(sprintf('%d rows beside others: %.1f s, %.2f s processor; %.0f deliveries a second, %.0f before, %.0f after; longest gap %.2f s',
	($ranges - $half) * RANGE, @beside{qw(s cpu_s rate)}, @rate, $beside{gap_s}));
cmp_ok($beside{rate}, '>', 0.7 * min(@rate), 'which costs them little');
cmp_ok(bytes_below($high), '<', $full / 10, 'its room is free again');
my $kept = int(max(1, $ranges * RANGE / PROBLEMS_EVERY));
is(value($node, q{SELECT count(*) FROM integration.outbox WHERE endpoint = 'old'}), $kept, 'what once failed is kept for longer');

done_testing();
