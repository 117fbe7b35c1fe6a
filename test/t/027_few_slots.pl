# A database that can't have a worker now has one as soon as it can, and is in nobody's way until then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Test::More;

use constant FAILURES => 7;    # the next try is 12 s away then
use constant SOON_S => 8;

sub extend
{
	my ($node, $database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	return $node->psql($database, 'CREATE EXTENSION integration', on_error_stop => 1);
}

# One slot for two databases.
{
	my $node = integration_node('narrow', conf => "integration.max_databases = 1\n");
	wait_until($node, worker_runs('postgres'), 'the first database has a worker');
	is(extend($node, 'second'), 0, 'a second one may have the extension');
	is(value($node, worker_runs('second')), 'f', 'but has no worker');
	$node->safe_psql('postgres', 'DROP EXTENSION integration');
	wait_until($node, worker_runs('second'), 'it has one when the slot is free');
	$node->stop;
}

# A database that lets nobody in.
{
	my $node = integration_node('shut', conf => "max_worker_processes = 12\n");
	is(extend($node, 'closed'), 0, 'a database has the extension');
	wait_until($node, worker_runs('closed'), 'and a worker');
	$node->safe_psql('postgres', q{UPDATE pg_database SET datallowconn = false WHERE datname = 'closed'});
	value($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'closed'});
	my $failures = sub {
		my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
		return scalar(() = $log =~ /database "closed" is not currently accepting connections/g);
	};
	ok(wait_for(sub { $failures->() >= FAILURES }), 'its worker fails again and again');
	$node->safe_psql('postgres', 'ALTER SYSTEM SET integration.workers = 2');
	$node->reload;
	wait_until($node, q{SELECT count(*) = 2 FROM integration.worker_status}, 'another database has a second worker meanwhile',
		deadline_s => SOON_S);
}

done_testing();
