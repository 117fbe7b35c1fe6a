# The worker's session: what it shows, what it leaves alone, that nobody's settings reach it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "integration.worker_memory = 16MB\n");
add_endpoint($node, name => 'good', url => $receiver->url('/ok/good'));
add_endpoint($node, name => 'bad', url => $receiver->url('/status/422'));
add_endpoint($node, name => 'stalled', url => $receiver->url('/stall-before/it'), timeout => '5 min',
	max_concurrency => 3);
wait_until($node, worker_runs('postgres'), 'the worker runs');

sub renew_worker
{
	# One that ends as soon as it begins comes back later and later.
	wait_until($node, q{SELECT started_at < clock_timestamp() - interval '2 s' FROM integration.worker_status},
		'the worker has been there a while');
	my $pid = worker_pid($node);
	value($node, "SELECT pg_terminate_backend($pid)");
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity
	                    WHERE backend_type = 'integration worker' AND pid <> $pid", 'a new worker comes');
	return;
}

# What stands behind SET name =.
sub setting_list
{
	my ($name, $value) = @_;
	return quoted($value) unless $name eq 'search_path';
	return join(', ', map { quoted($_) } split(/, /, $value));
}

# worker_status tells what it does; requests under way hold no transaction open.
{
	my $good = add_sync($node, endpoint => 'good');
	my $bad = add_sync($node, endpoint => 'bad');
	wait_until($node, "SELECT count(*) = 0 FROM integration.queue WHERE state <> 'failed'", 'two syncs end');
	add_syncs($node, 'stalled', 5);
	wait_until($node, 'SELECT in_flight = 3 AND waiting = 2 FROM integration.worker_status',
		'worker_status counts what is under way, what waits');
	is_deeply(row($node, q{
			SELECT w.pid = a.pid AS same_pid, w.delivered, w.failed, w.endpoints, w.unsettled,
			       w.memory_bytes > 0 AS holds_memory,
			       w.last_turn_at >= w.started_at AS has_turned
			  FROM integration.worker_status w, pg_stat_activity a
			 WHERE a.backend_type = 'integration worker' AND a.datname = 'postgres'}),
		{ same_pid => JSON::PP::true, delivered => 1, failed => 1, endpoints => 3, unsettled => 0,
			holds_memory => JSON::PP::true, has_turned => JSON::PP::true },
		'worker_status says who it is, what it did');
	# What it looks for now and then takes a moment.
	wait_until($node, q{SELECT w.activity = a.query FROM integration.worker_status w, pg_stat_activity a WHERE a.pid = w.pid},
		'pg_stat_activity shows the same');
	wait_until($node, q{SELECT backend_xmin IS NULL AND backend_xid IS NULL AND xact_start IS NULL
	                      FROM pg_stat_activity WHERE backend_type = 'integration worker'},
		'no transaction is open while requests are under way');
	wait_until($node, q{SELECT pg_stat_get_tuples_inserted('integration.attempt_default'::regclass) >= 2
	                       AND pg_stat_get_tuples_deleted('integration.queue'::regclass) >= 1},
		'what it wrote is in the statistics');
	value($node, q{SET client_min_messages = warning;
		SELECT integration.cancel(id) FROM integration.sync WHERE endpoint = 'stalled'});
	renew_worker();
}

# Its memory is bounded, whatever waits: 32 MB of payloads here.
{
	value($node, q{
		INSERT INTO integration.outbox (endpoint, payload)
		SELECT 'stalled', jsonb_build_object('n', n, 'text', repeat('x', 500000)) FROM generate_series(1, 64) AS n});
	wait_until($node, 'SELECT in_flight = 3 AND waiting > 0 FROM integration.worker_status', 'large syncs wait');
	cmp_ok(value($node, 'SELECT memory_bytes FROM integration.worker_status'), '<', 16 * 1024 * 1024,
		'most of them in their table');
	value($node, q{SET client_min_messages = warning;
		SELECT integration.cancel(id) FROM integration.sync WHERE endpoint = 'stalled' AND state <> 'cancelled'});
	renew_worker();
}

# What ALTER DATABASE … SET and ALTER ROLE … SET do to every session, they do not do to the worker; nor does
# what others define.
{
	# the test's own sessions are spared
	local $ENV{PGOPTIONS} = '-c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off'
	  . ' -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0'
	  . ($node->pg_version >= 17 ? ' -c transaction_timeout=0' : '')
	  . ' -c search_path=public -c session_replication_role=origin -c DateStyle=ISO -c IntervalStyle=postgres';
	value($node, q{
		CREATE SCHEMA evil;
		CREATE TABLE evil.trace (at timestamptz DEFAULT pg_catalog.now());
		CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
			'BEGIN INSERT INTO evil.trace DEFAULT VALUES; RETURN pg_catalog.clock_timestamp(); END';
		CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS
			'BEGIN INSERT INTO evil.trace DEFAULT VALUES; RETURN pg_catalog.now(); END';
		CREATE FUNCTION evil.pg_try_advisory_lock(integer, integer) RETURNS boolean LANGUAGE plpgsql AS
			'BEGIN INSERT INTO evil.trace DEFAULT VALUES; RETURN false; END';
		CREATE FUNCTION evil.unequal(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
			'BEGIN INSERT INTO evil.trace DEFAULT VALUES; RETURN pg_catalog.int8eq($1, $2); END';
		CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.unequal)});
	my %setting = (
		search_path => 'evil, pg_catalog', statement_timeout => '1ms', lock_timeout => '1ms',
		default_transaction_isolation => 'serializable', default_transaction_read_only => 'on',
		session_replication_role => 'replica', row_security => 'on', DateStyle => 'German, DMY',
		idle_in_transaction_session_timeout => '1ms', idle_session_timeout => '1ms',
		IntervalStyle => 'sql_standard', jit => 'on', jit_above_cost => '0', enable_indexscan => 'off');
	$setting{transaction_timeout} = '1ms' if $node->pg_version >= 17;
	# the role as which a worker without one runs
	my $owner = value($node, 'SELECT quote_ident(rolname) FROM pg_roles WHERE oid = 10');
	for my $whose ('DATABASE postgres', "ROLE $owner", "ROLE $owner IN DATABASE postgres")
	{
		value($node, join(';', map { "ALTER $whose SET $_ = " . setting_list($_, $setting{$_}) } sort keys %setting));
		renew_worker();
		my @good = map { add_sync($node, endpoint => 'good', object_type => 'order', object_id => $_) } 1 .. 3;
		my $bad = add_sync($node, endpoint => 'bad');
		wait_until($node, state_is('delivered', @good), "whatever is set by ALTER $whose, syncs are delivered");
		wait_until($node, state_is('failed', $bad), 'and judged');
		is(value($node, "SELECT count(*) FROM integration.attempt WHERE outbox_id = $good[0] AND http_status = 200"),
			1, 'and recorded');
		value($node, "ALTER $whose RESET ALL");
	}
	is(value($node, 'SELECT count(*) FROM evil.trace'), 0, 'nothing of others runs in the worker');

	SKIP:
	{
		my $maps = '/proc/' . worker_pid($node) . '/maps';
		skip 'no /proc', 1 unless -r $maps;
		unlike(PostgreSQL::Test::Utils::slurp_file($maps), qr/llvmjit/, 'nothing is compiled just in time');
	}
	renew_worker();
}

# Nor does what the whole server is set to reach the launcher: it waits for who locks the list of databases.
{
	my %setting = (lock_timeout => '10ms', default_transaction_isolation => 'serializable');
	$setting{transaction_timeout} = '500ms' if $node->pg_version >= 17;
	local $ENV{PGOPTIONS} = join(' ', '-c default_transaction_isolation=read\ committed',
		map { "-c $_=0" } grep { /timeout/ } keys %setting);
	my $launcher = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'integration launcher'";
	my $holder = $node->background_psql('postgres');
	my $pid = $holder->query_safe($launcher);
	value($node, "ALTER SYSTEM SET $_ = '$setting{$_}'") for sort keys %setting;
	$node->reload;
	$holder->query_safe("BEGIN; LOCK TABLE pg_database IN ACCESS EXCLUSIVE MODE; SELECT pg_terminate_backend($pid)");
	my $waits = "SELECT count(*) = 1 FROM pg_locks
	              WHERE pid = ($launcher AND pid <> $pid) AND NOT granted AND waitstart < clock_timestamp() - interval '1 s'";
	# A transaction sees other backends as they were at its first look.
	my $is_seen = sub {
		$holder->query_safe('SELECT pg_stat_clear_snapshot()');
		return $holder->query_safe($waits) eq 't';
	};
	ok(wait_for($is_seen), 'a new launcher waits for a lock');
	$holder->query_safe('SELECT pg_stat_clear_snapshot()');
	$pid = $holder->query_safe($launcher);
	$holder->query_safe('COMMIT');
	$holder->quit;
	value($node, "ALTER SYSTEM RESET $_") for sort keys %setting;
	$node->reload;
	renew_worker();
	is(value($node, $launcher), $pid, 'and keeps workers when it has it');
}

# Ranges are made ahead by the worker, used when ids come there, dropped as any table.
{
	value($node, q{SELECT setval(pg_get_serial_sequence('integration.outbox', 'id'), 1000)});
	renew_worker();
	wait_until($node, q{SELECT count(*) > 1 FROM pg_inherits WHERE inhparent = 'integration.outbox'::regclass},
		'the first range is made when the outbox is in use');
	my $top = value($node, q{
		SELECT max(substring(c.relname FROM '^outbox_(\d+)$')::bigint) + 1000000
		  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		 WHERE i.inhparent = 'integration.outbox'::regclass});
	like($top, qr/^\d+$/, 'the worker has made a range');
	my $half = $top - 400000;
	value($node, "SELECT setval(pg_get_serial_sequence('integration.outbox', 'id'), $half)");
	renew_worker();
	for my $parent ('outbox', 'attempt')
	{
		wait_until($node, "SELECT to_regclass('integration.${parent}_$top') IS NOT NULL",
			"the next range of $parent is made before it is needed");
	}
	value($node, "SELECT setval(pg_get_serial_sequence('integration.outbox', 'id'), $top - 2)");
	my ($last, $first) = map { add_sync($node, endpoint => 'good') } 1, 2;
	is($first, $top, 'ids go on in the next range');
	wait_until($node, state_is('delivered', $last, $first), 'syncs on both sides of the border are delivered');
	for my $row ([ 'outbox', 'id' ], [ 'attempt', 'outbox_id' ])
	{
		my ($parent, $key) = @$row;
		is(value($node, "SELECT tableoid::regclass FROM integration.$parent WHERE $key = $first"),
			"integration.${parent}_$top", "$parent keeps them in its ranges");
		is(value($node, "SELECT tableoid::regclass FROM integration.$parent WHERE $key = $last") eq
				"integration.${parent}_$top", '', "$parent keeps the others apart");
		value($node, "DROP TABLE integration.${parent}_$top");
	}
	is(value($node, "SELECT count(*) FROM integration.sync WHERE id IN ($last, $first)"),
		1, 'a range can be dropped');
}

done_testing();
