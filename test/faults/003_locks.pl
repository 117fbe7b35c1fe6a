# Tables of the extension that somebody locks or rewrites: the worker waits, nothing is lost, nothing else is stopped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
# Whoever sets this means their own sessions.
my $node = integration_node('main', conf => "exit_on_error = on\n");
add_endpoint($node, name => 'many', url => $receiver->url('/brief/many'), max_concurrency => 32);
add_endpoint($node, name => 'other', url => $receiver->url('/ok/other'));
my $pid = worker_pid($node);
my $enqueued = 0;

sub enqueue
{
	my ($count) = @_;
	add_syncs($node, 'many', $count);
	$enqueued += $count;
	return;
}

my $is_delivered = q{SELECT count(*) = %d FROM integration.sync WHERE endpoint = 'many' AND state = 'delivered'};
my @tables = split(/\n/, value($node, q{
	SELECT c.oid::regclass FROM pg_class c, pg_namespace n
	 WHERE n.oid = c.relnamespace AND n.nspname = 'integration' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	 ORDER BY c.relname}));
cmp_ok(scalar(@tables), '>', 10, 'there are tables to lock');

# LOCK TABLE, held until the worker has run into it where it needs the table.
my $holder = $node->background_psql('postgres');
for my $table (@tables)
{
	enqueue(200);
	$holder->query_safe("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.2)");
	$holder->query_safe('COMMIT');
}
wait_until($node, sprintf($is_delivered, $enqueued), 'locks that end are waited for');
$holder->query_safe('BEGIN; LOCK TABLE integration.attempt IN ACCESS EXCLUSIVE MODE');
enqueue(200);
ok(wait_for(sub { slurp_file($node->logfile) =~ /canceling statement due to lock timeout/ }),
	'the worker waits for a table, and not for ever');
$holder->query_safe('COMMIT');
wait_until($node, sprintf($is_delivered, $enqueued), 'and records what it has when it can');

# Rewrites while syncs flow.
for my $statement ((map { "VACUUM FULL $_" } @tables), (map { "REINDEX TABLE $_" } 'integration.queue', 'integration.outbox'),
	'ALTER TABLE integration.outbox ADD COLUMN note text', 'ALTER TABLE integration.queue SET (fillfactor = 70)',
	'ALTER TABLE integration.queue ALTER COLUMN error_class SET STATISTICS 200', 'ANALYZE integration.queue')
{
	enqueue(50);
	$node->safe_psql('postgres', $statement);
}
wait_until($node, sprintf($is_delivered, $enqueued), 'rewrites stop nothing');

# Rows that somebody holds: those of an endpoint, of the queue.
$holder->query_safe(q{BEGIN;
	UPDATE integration.endpoint SET timeout = '20 s' WHERE name = 'many';
	SELECT FROM integration.endpoint_health FOR UPDATE});
my $id = add_sync($node, endpoint => 'other');
enqueue(100);
wait_until($node, state_is('delivered', $id), 'an endpoint that somebody changes stops no other');
wait_until($node, sprintf($is_delivered, $enqueued), 'nor itself');
$holder->query_safe('COMMIT');
value($node, q{SELECT integration.pause('endpoint', 'many', 'test')});
enqueue(100);
$holder->query_safe(q{BEGIN; SELECT FROM integration.queue ORDER BY outbox_id LIMIT 50 FOR UPDATE});
value($node, q{SELECT integration.resume('endpoint', 'many')});
wait_until($node, sprintf($is_delivered, $enqueued - 50), 'rows of the queue that somebody holds stop no others');
$holder->query_safe('COMMIT');
$holder->quit;
wait_until($node, sprintf($is_delivered, $enqueued), 'they are delivered when they are free');

my $count = $receiver->count('/brief/many');
is("$count->{requests} $count->{keys} $count->{most_per_key}", "$enqueued $enqueued 1", 'each sync was sent once');
is(worker_pid($node), $pid, 'by one worker');

done_testing();
