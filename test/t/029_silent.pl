# A worker that hangs is reported by the launcher, seen by monitors, missed by those outside, on record afterwards.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

use constant SILENT_S => 2;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => 'integration.silent_after = ' . SILENT_S . "s\n");
wait_until($node, worker_runs('postgres'), 'there is a worker');
add_endpoint($node, name => 'outside', url => $receiver->url('/ok/outside'));
my @stopped;

sub hang
{
	my ($pid) = @_;
	push @stopped, $pid;
	kill 'STOP', $pid;
	return;
}

sub go_on
{
	kill 'CONT', @stopped;
	@stopped = ();
	return;
}

# A server that is to stop waits for it.
END { go_on() }

sub logged
{
	my ($pattern, $from) = @_;
	return wait_for(sub { return $node->log_contains($pattern, $from) });
}

sub incident_is
{
	my ($state) = @_;
	return "SELECT state = '$state' FROM integration.incident WHERE error_class = 'worker_silent' ORDER BY id DESC LIMIT 1";
}

# Who listens outside hears how it is
value($node, q{INSERT INTO integration.heartbeat (endpoint) VALUES ('outside')});
ok(wait_for(sub { return $receiver->count('/ok/outside')->{requests} }), 'a heartbeat leaves');
my ($beat) = $receiver->arrived('/ok/outside');
like($beat->{body}, qr/"status": "ok"/, 'and says that all is well');

# A worker that just took over knows that it did
value($node, q{WITH due AS (UPDATE integration.heartbeat SET last_at = NULL RETURNING 1)
               SELECT pg_terminate_backend(pid) FROM integration.worker_status, due});
ok(wait_for(sub { return $receiver->count('/ok/outside')->{requests} > 1 }), 'a new worker begins with a heartbeat');
(undef, $beat) = $receiver->arrived('/ok/outside');
like($beat->{body}, qr/"status": "ok"/, 'and says that all is well');
value($node, 'DELETE FROM integration.heartbeat');

# One that has nothing to do is not silent
value($node, 'CREATE TABLE began AS SELECT clock_timestamp() AS at');
wait_until($node, 'SELECT w.last_turn_at > b.at + interval \'' . 2 * SILENT_S . q{ s' FROM integration.worker_status w, began b},
	'a worker without work comes round');
ok(!$node->log_contains(qr/has not come round/), 'nobody is reported');
wait_until($node, q{SELECT status = 'ok' AND worker_alive FROM integration.health()}, 'monitors find all in order');

# It hangs, and goes on
my $pid = worker_pid($node);
hang($pid);
ok(logged(qr/WARNING:  integration worker of database "postgres" with PID $pid has not come round for 2 s/), 'the launcher reports it');
ok($node->log_contains(qr/HINT:  .*SELECT pg_terminate_backend\($pid\) has another one take over/), 'with what to do');
my $id = add_sync($node, endpoint => 'outside');
wait_until($node, q{SELECT status = 'critical' AND code = 2 AND NOT worker_alive AND why ~ '^A worker has not come round since'
                      FROM integration.health()}, 'monitors find it critical');
go_on();
wait_until($node, incident_is('resolved'), 'what was is on record');
wait_until($node, state_is('delivered', $id), 'it goes on where it was');
wait_until($node, q{SELECT status = 'ok' FROM integration.health()}, 'monitors find all in order again');
my $reports = () = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /has not come round for/g;
is($reports, 1, 'one report');

# Another worker says so while it lasts; a new one takes over
set_workers($node, 2);
wait_until($node, shards_are_shared_by(2), 'there are two workers');
$pid = value($node, 'SELECT pid FROM integration.worker_status WHERE shards @> \'{1}\'');
hang($pid);
wait_until($node, incident_is('open'), 'the other worker opens an incident');
value($node, "SELECT pg_terminate_backend($pid)");
go_on();
wait_until($node, incident_is('resolved'), 'over when it has ended');
wait_until($node, shards_are_shared_by(2), 'another one has taken its place');

done_testing();
