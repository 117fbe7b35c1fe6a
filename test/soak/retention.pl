# A day compressed: the highest rate with retention at its fastest; tables and the worker level off.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Soak;
use Test::More;

use constant ENDPOINTS => 8;
use constant RANGE => 50_000;
use constant RANGES => 200;
use constant MEMORY_MARGIN_KB => 8192;

my $port = fast_receiver();
my $node = integration_node('main', conf => <<'CONF');
integration.keep_delivered = 1s
integration.keep_failed = 1s
max_wal_size = 4GB
fsync = off
autovacuum_naptime = 5s
CONF
add_endpoint($node, name => "good $_", url => "http://127.0.0.1:$port/$_", max_concurrency => 64) for 1 .. ENDPOINTS;

# Small ranges, so that many of them come and go; made beforehand, since the worker makes big ones.
value($node, sprintf(q{
	DO $$ BEGIN
		FOR n IN 1 .. %d LOOP
			PERFORM setval('integration.outbox_id_seq', n * %d);
			PERFORM integration_worker.make_partitions(%d, 10, 0);
		END LOOP;
		PERFORM setval('integration.outbox_id_seq', greatest((SELECT min(low) FROM integration_worker.ranges()), 1));
	END $$}, RANGES, RANGE, RANGE));

my $load = start_load($node, 60 * minutes() + 5, sprintf(q{
	INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
	SELECT 'good ' || 1 + n %% %d, 'order', n %% 500, jsonb_build_object('n', n) FROM generate_series(1, 1000) AS n}, ENDPOINTS));

# With their indexes and, where they have them, their ranges.
my $sizes = q{
	SELECT t.name, (SELECT sum(pg_total_relation_size(p.relid))
	                  FROM (SELECT relid FROM pg_partition_tree('integration.' || t.name)
	                        UNION SELECT to_regclass('integration.' || t.name)) p) / 1024 AS kb
	  FROM unnest('{outbox,attempt,queue,sync_status}'::text[]) AS t (name)};

my $before = 0;
my @table = watch(
	$node,
	[qw(delivered outbox attempt queue sync_status memory_kb descriptors)],
	sub {
		my ($is_minute) = @_;
		return unless $is_minute;
		my $all = value($node, 'SELECT sum(delivered) FROM integration.worker_status');
		my $delivered = $all - $before;
		$before = $all;
		return (delivered => $delivered, map { $_->{name} => int($_->{kb}) } rows($node, $sizes));
	});

my ($first, $last) = @table[ 0, -1 ];
is((grep { $_->{pid} != $first->{pid} } @table) + 0, 0, 'the worker is the same all the time');
cmp_ok(largest_in(3, $_, @table), '<=', 1.3 * largest_in(2, $_, @table) + 1024, "$_ levels off")
  for qw(outbox attempt queue sync_status);
cmp_ok($last->{memory_kb}, '<=', 1.1 * largest_in(1, 'memory_kb', @table) + MEMORY_MARGIN_KB, 'its memory is flat');
cmp_ok($last->{descriptors}, '<=', 1.2 * largest_in(1, 'descriptors', @table) + 16, 'so are its descriptors');
wait_until($node, queue_is_empty(), 'everything is delivered in the end');

done_testing();
