# No room on the disk, no descriptor, no connection left: syncs wait, none is lost, none is charged for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $place = PostgreSQL::Test::Utils::tempdir();
my $library = build_preload('trouble', $place);
my $node = integration_node('main', init => { extra => ['--wal-segsize=1'] }, conf => <<'CONF');
max_connections = 12
superuser_reserved_connections = 0
restart_after_crash = on
min_wal_size = 2MB
wal_writer_delay = 10s
integration.synchronous_settle = on
CONF
$node->stop;
start_watched();

sub start_watched
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{TROUBLE} = "$place/trouble";
	$node->start;
	return;
}

add_endpoint($node, name => 'many', url => $receiver->url('/brief/many'), max_concurrency => 32);
wait_until($node, worker_runs('postgres'), 'the worker runs');
my $pid = worker_pid($node);
my $enqueued = 0;

sub set_trouble
{
	my ($what) = @_;
	append_to_file("$place/trouble.new", $what);
	rename("$place/trouble.new", "$place/trouble") or die "$place/trouble: $!";
	return;
}

sub is_delivered
{
	return "SELECT count(*) = $enqueued FROM integration.sync WHERE endpoint = 'many' AND state = 'delivered'";
}

sub log_has
{
	my ($pattern) = @_;
	return wait_for(sub { slurp_file($node->logfile) =~ $pattern });
}

# The disk is full: what was sent can't be recorded.
{
	value($node, q{SELECT integration.pause('endpoint', 'many', 'test')});
	add_syncs($node, 'many', 2000);
	$enqueued += 2000;
	set_trouble('disk');
	value($node, q{SELECT integration.resume('endpoint', 'many')});
	ok(log_has(qr/could not extend file.*No space left on device/), 'the disk is full');
	ok(wait_for(sub { $receiver->count('/brief/many')->{requests} > 0 }), 'syncs have been sent');
	set_trouble('nothing');
	wait_until($node, is_delivered(), 'with room again all are recorded', deadline_s => 90);
	my $count = $receiver->count('/brief/many');
	is("$count->{keys} $count->{most_per_key}", "$enqueued 1", 'each was sent once');
}

# No descriptor: no connection can be made.
{
	set_trouble('descriptors');
	value($node, q{UPDATE integration.endpoint SET url = replace(url, '127.0.0.1', '127.0.0.2')});
	my $id = add_sync($node, endpoint => 'many');
	wait_until($node, "SELECT attempts > 0 FROM integration.sync WHERE id = $id", 'a connection fails');
	set_trouble('nothing');
	value($node, q{UPDATE integration.endpoint SET url = replace(url, '127.0.0.2', '127.0.0.1')});
	value($node, q{SELECT integration.resume('endpoint', 'many')});
	wait_until($node, state_is('delivered', $id), 'with descriptors again it is delivered');
	$enqueued++;
}

# No connection is left for anybody: the workers have places of their own.
{
	my @sessions;
	push @sessions, $node->background_psql('postgres') for 1 .. 11;
	my ($first) = @sessions;
	try_value($node, 'SELECT 1') for 1 .. 20;
	add_syncs_in($first, 200);
	$first->query_safe("SELECT pg_terminate_backend($pid)");
	my $done = sub { $first->query_safe(is_delivered()) eq 't' };
	ok(wait_for($done), 'with all connections taken a worker comes back and sends');
	isnt($first->query_safe(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'integration worker'}),
		$pid, 'another one');
	$_->quit for @sessions;
}

sub add_syncs_in
{
	my ($session, $count) = @_;
	$session->query_safe(
		"INSERT INTO integration.outbox (endpoint, payload) SELECT 'many', '{}' FROM generate_series(1, $count)");
	$enqueued += $count;
	return;
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing broke');

# The log has no room: the server can't go on, whoever writes to it first.  No sync is to blame for that.
{
	add_syncs($node, 'many', 6000);
	$enqueued += 6000;
	wait_for(sub { $receiver->count('/brief/many')->{keys} > $enqueued - 5500 });
	set_trouble('wal');
	ok(log_has(qr/PANIC: .*No space left on device/), 'the log has no room, the server ends');
	set_trouble('nothing');
	my $has_ended = sub { !-e $node->data_dir . '/postmaster.pid' };
	wait_for(sub { $has_ended->() || defined try_value($node, 'SELECT 1') });
	if ($has_ended->())
	{
		# The node does not know yet.
		$node->stop('immediate', fail_ok => 1);
		start_watched();
	}
	wait_until($node, is_delivered(), 'with room again all are delivered', deadline_s => 90);
	is($receiver->count('/brief/many')->{keys}, $enqueued, 'and were received');
	is(value($node, 'SELECT count(*) FROM integration_worker.crash'), 0, 'nothing is suspected');
}
is(value($node, q{SELECT count(*) FROM integration.sync WHERE state = 'failed'}), 0, 'nothing failed for good');

done_testing();
