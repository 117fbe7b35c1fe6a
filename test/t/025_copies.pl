# A copied database doesn't send until somebody takes over; what is no copy goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main', init => { allows_streaming => 1, has_archiving => 1 });

# A database with one endpoint, whose one sync waits behind a pause of the endpoint.
sub make_original
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	add_extension($node, $name);
	add_endpoint($node, database => $name, name => 'there', url => $receiver->url("/ok/$name"));
	value($node, q{SELECT integration.pause('endpoint', 'there', 'so that a copy has something to send')}, $name);
	return add_sync($node, database => $name, endpoint => 'there', object_type => 'order', object_id => 'O-1');
}

sub waits_for_adoption
{
	return q{SELECT count(*) = 1 FROM integration.worker_status WHERE activity LIKE '%integration.adopt()%'};
}

# What holds of every copy; its sync is due and nothing else holds it.  Ends with a sync of its own delivered.
sub check_copy
{
	my ($copy, $database, $id, $because) = @_;
	wait_until($copy, waits_for_adoption(), "$because: the worker waits", database => $database);
	wait_until($copy, q{SELECT bool_and(last_turn_at < clock_timestamp() - interval '0.5 s') FROM integration.worker_status},
		'and costs nothing', database => $database);
	is(value($copy, q{SELECT count(*) FROM pg_stat_activity
	                   WHERE backend_type = 'integration worker' AND query LIKE 'waits for %adopt()%' AND backend_xmin IS NULL}
			. " AND datname = '$database'"), 1, 'it shows in pg_stat_activity, without a transaction');
	value($copy, q{SELECT integration.resume('endpoint', 'there')}, $database);
	my $before = $receiver->count('/ok')->{requests};
	my $new = add_sync($copy, database => $database, endpoint => 'there');
	is(value($copy, "SELECT string_agg(DISTINCT blocked_by, ' ') FROM integration.sync WHERE id IN ($id, $new)", $database),
		'paused', 'its syncs are paused, new ones too');
	is_deeply(
		row($copy, 'SELECT blocked_by, paused_reason FROM integration.endpoint_status', $database),
		{ blocked_by => 'paused', paused_reason => 'copied_database' }, 'its endpoints say so');
	like(value($copy, "SELECT integration.why($id)", $database),
		qr/is a copy: .*$because.*SELECT integration\.adopt\(\)/, 'why() says it in words');
	is(value($copy, q{SELECT count(*) FROM integration.incident WHERE error_class = 'copied_database' AND resolved_at IS NULL},
		$database), 1, 'there is an incident');
	is($receiver->count('/ok')->{requests}, $before, 'nothing was sent');
	is(value($copy, q{SELECT integration.adopt('the original is gone')}, $database), 2, 'adopt() says what waits');
	wait_until($copy, state_is('delivered', $id, $new), 'both leave', database => $database);
	is(value($copy, q{SELECT count(*) FROM integration.pause}, $database)
		  . value($copy, q{SELECT count(*) FROM integration.incident WHERE resolved_at IS NULL}, $database),
		'00', 'pause and incident are over');
	is(value($copy, q{SELECT count(*) FROM integration.action WHERE verb = 'adopt' AND reason = 'the original is gone'},
		$database), 1, 'it is recorded');
	return;
}

# CREATE DATABASE … TEMPLATE.
my $id = make_original('shop');
$node->safe_psql('postgres', 'CREATE DATABASE cloned TEMPLATE shop');
wait_until($node, waits_for_adoption(), 'a clone waits', database => 'cloned');
ok($node->log_contains(qr/WARNING: .*"cloned": it is a copy\n.*DETAIL: .*SELECT integration\.adopt\(\).*\n.*HINT: .*administrator/),
	'a WARNING says what to do');
my $error;
$node->psql('cloned', q{SELECT integration.resume('all')}, stderr => \$error);
like($error, qr/this database is a copy.*SELECT integration\.adopt\(\)/s, 'resume() is not enough');
check_copy($node, 'cloned', $id, 'template');
is(value($node, 'SELECT integration.adopt()', 'cloned'), 0, 'a second adopt() changes nothing');

# A template in which nothing was set up.
$node->safe_psql('postgres', 'CREATE DATABASE plain');
add_extension($node, 'plain');
$node->safe_psql('postgres', 'CREATE DATABASE fresh TEMPLATE plain');
add_endpoint($node, database => 'fresh', name => 'there', url => $receiver->url('/ok/fresh'));
my $fresh = add_sync($node, database => 'fresh', endpoint => 'there');
wait_until($node, state_is('delivered', $fresh), 'a database from an untouched template sends', database => 'fresh');
add_endpoint($node, database => 'plain', name => 'there', url => $receiver->url('/ok/plain'));
isnt(value($node, 'SELECT name FROM integration.installation', 'fresh'),
	value($node, 'SELECT name FROM integration.installation', 'plain'), 'under a name of its own');

# pg_dump, pg_restore: ids of another cluster, one of which is far ahead of this one.
if (can_dump($node))
{
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
	value($node, q{UPDATE integration.queue SET change_xid = '4000000000'}, 'shop');
	$node->command_ok([ 'pg_dump', '-Fd', '-j', '2', '-f', $dump, 'shop' ], 'pg_dump');
	my $other = PostgreSQL::Test::Cluster->new('other');
	$other->init;
	$other->start;
	my %ways = (
		at_once => ['--single-transaction'],
		in_parts => [ '--section=pre-data', '--section=data', '--section=post-data -j 3' ]);
	for my $database (sort keys %ways)
	{
		$other->safe_psql('postgres', "CREATE DATABASE $database");
		$other->command_ok([ 'pg_restore', '--exit-on-error', split(/ /, $_), '-d', $database, $dump ], "pg_restore $_")
		  for @{ $ways{$database} };
		check_copy($other, $database, $id, 'restored from a dump');
		is(value($other, q{SELECT count(*) FROM integration.attempt WHERE outbox_id = } . $id, $database), 1, 'once');
	}
}

# Base backups: started as it is, and after a recovery to a point in time.
$node->backup('copy');
value($node, q{SELECT pg_create_restore_point('then')});
my $segment = value($node, 'SELECT pg_walfile_name(pg_switch_wal())');
wait_until($node, "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver", 'the archive has what comes after it');
for my $name ('as_it_is', 'in_time')
{
	my $copy = PostgreSQL::Test::Cluster->new($name);
	$copy->init_from_backup($node, 'copy', $name eq 'in_time' ? (has_restoring => 1, standby => 0) : ());
	$copy->append_conf('postgresql.conf', "archive_mode = off\n");
	$copy->append_conf('postgresql.conf', "recovery_target_name = 'then'\nrecovery_target_action = 'promote'\n")
	  if $name eq 'in_time';
	$copy->start;
	check_copy($copy, 'shop', $id, 'data directory is a copy');
	$copy->stop('fast');
}

# Restarts, a crash, another port: the same database.
for my $mode ('fast', 'immediate')
{
	$node->stop($mode);
	$node->start;
	my $next = add_sync($node, database => 'fresh', endpoint => 'there');
	wait_until($node, state_is('delivered', $next), "it goes on after stop -m $mode", database => 'fresh');
}

# Another environment, told by a reload; the right one again.
$node->append_conf('postgresql.conf', "integration.environment = 'staging'\n");
$node->reload;
wait_until($node, waits_for_adoption(), 'in another environment nothing is sent', database => 'fresh');
my $held = add_sync($node, database => 'fresh', endpoint => 'there');
like(value($node, "SELECT integration.why($held)", 'fresh'), qr/"staging"/, 'why() names it');
$node->append_conf('postgresql.conf', "integration.environment = ''\n");
$node->reload;
wait_until($node, state_is('delivered', $held), 'in the old one it goes on by itself', database => 'fresh');

# As pg_upgrade starts the old server and the new one: nothing of ours runs there.
{
	my $pg_ctl = [ 'pg_ctl', '-w', '-s', '-D', $node->data_dir, '-l', $node->logfile ];
	my $registered = qr/registering background worker "integration launcher"/;
	$node->append_conf('postgresql.conf', "log_min_messages = debug1\n");
	$node->stop('fast');
	for my $options ('', '-b')
	{
		my $from = -s $node->logfile;
		system_or_bail(@$pg_ctl, '-o', $options, 'start');
		my $log = slurp_file($node->logfile, $from);
		$options eq '-b' ? unlike($log, $registered, 'in a binary upgrade there is no launcher')
		  : like($log, $registered, 'otherwise there is one');
		system_or_bail(@$pg_ctl, '-m', 'fast', 'stop');
	}
}

done_testing();
