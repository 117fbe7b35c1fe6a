# What the worker's statements leave behind: plans that are used again, statistics that autovacuum goes by.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

use constant SYNCS => 60;
# More than autovacuum_vacuum_threshold of the queue.
use constant DEAD => 2000;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => <<'CONF');
shared_preload_libraries = 'integration, pg_stat_statements'
pg_stat_statements.track = all
pg_stat_statements.track_planning = on
autovacuum = off
autovacuum_naptime = 1s
CONF
value($node, 'CREATE EXTENSION pg_stat_statements');
add_retry_policy($node, undef, 'soon', '{0.01 s,0.01 s}');
add_endpoint($node, name => 'good', url => $receiver->url('/ok/good'), max_concurrency => 64);
add_endpoint($node, name => 'flaky', url => $receiver->url('/flaky?fail=1'), retry_policy => 'soon');
my $pid = worker_pid($node);

# Under an ordering key there is a take and a settle for each attempt, good or bad.
{
	value($node, "INSERT INTO integration.outbox (endpoint, object_type, object_id, ordering_key, payload)
	              SELECT e, 'order', n, 'k', '{}'
	                FROM unnest('{good,flaky}'::text[]) AS e, generate_series(1, @{[ SYNCS ]}) AS n");
	wait_until($node, queue_is_empty(), 'syncs go one by one');
	# What else the test asks is at the top level.
	my $of_worker = "calls >= @{[ SYNCS ]} AND (NOT toplevel OR query LIKE '%integration\\_worker.%')";
	cmp_ok(value($node, "SELECT count(*) FROM pg_stat_statements WHERE $of_worker"),
		'>=', 20, 'the worker runs the same statements for each');
	is(value($node, "SELECT string_agg(format('%s plans in %s calls: %s', plans, calls, query), E'\\n')
	                   FROM pg_stat_statements WHERE $of_worker AND plans > 10"),
		'', 'and plans them once');
}

# Autovacuum goes by what is reported, not by what is there.  Until here it would have had plans made anew.
{
	value($node, 'ALTER SYSTEM SET autovacuum = on');
	$node->reload;
	add_syncs($node, 'good', DEAD);
	wait_until($node, queue_is_empty(), 'queue rows come and go');
	wait_until($node, q{SELECT autovacuum_count > 0 FROM pg_stat_all_tables WHERE relid = 'integration.queue'::regclass},
		'autovacuum cleans the queue');
	is(worker_pid($node), $pid, 'while the worker goes on');
}

done_testing();
