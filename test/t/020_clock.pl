# A clock that is set back by an hour stops nothing that has been read, breaks off nothing that is under way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

use constant HOUR_S => 3600;

my $receiver = Receiver->start;
my $place = PostgreSQL::Test::Utils::tempdir();
my $offset = "$place/offset";

# At once, or not at all: the server reads it at any time.
sub set_clock
{
	my ($seconds) = @_;
	append_to_file("$offset.new", $seconds);
	rename("$offset.new", $offset) or die "$offset: $!";
	return;
}

my $node = integration_node('main');
$node->append_conf('postgresql.conf', sprintf "integration.otlp_endpoint = '%s'\n", $receiver->url('/ok/otlp'));
$node->stop;
set_clock(0);
{
	local $ENV{LD_PRELOAD} = build_preload('clock', $place);
	local $ENV{CLOCK_OFFSET} = $offset;
	$node->start;
}

add_endpoint($node, name => 'paced', url => $receiver->url('/ok/paced'), rate_limit => 5, rate_burst => 1);
add_syncs($node, 'paced', 20);
my $is_left = 'SELECT count(*) BETWEEN 1 AND %d FROM integration.queue';
wait_until($node, sprintf($is_left, 19), 'the endpoint is sent to at its rate');
my $before = value($node, 'SELECT now()');
# As the commit of a prepared transaction would, in silence.
value($node, q{
	WITH found AS (INSERT INTO integration.incident (endpoint, error_class) VALUES ('', 'dns') RETURNING id)
	INSERT INTO integration_worker.incident_change (incident, change) SELECT f.id, 'opened' FROM found f RETURNING 1});
set_clock(-HOUR_S);
my $batches = $receiver->arrived('/ok/otlp/v1/traces');
is(value($node, "SELECT now() < '$before'"), 't', 'the clock is set back');
wait_until($node, queue_is_empty(), 'the rest is sent at its rate, too');
wait_until($node, q{SELECT last_turn_at < now() + interval '1 min' FROM integration.worker_status},
	'and the worker shows its figures');
wait_until($node, 'SELECT NOT EXISTS (SELECT FROM integration_worker.incident_change)', 'people are told of incidents');
ok(wait_for(sub { my $arrived = $receiver->arrived('/ok/otlp/v1/traces'); $arrived > $batches }), 'collectors of attempts');

# A mark that is younger than the lock by its order, but older by the clock, is the worker's own.
{
	add_endpoint($node, name => 'careful', url => $receiver->url('/slow/careful?seconds=2'), idempotent => 'false');
	my $id = add_sync($node, endpoint => 'careful');
	wait_for(sub { $receiver->count('/slow/careful')->{requests} == 1 });
	set_clock(-HOUR_S - 10);
	wait_until($node, state_is('delivered', $id), 'a request under way is not taken for one that was left behind');
	is(value($node, "SELECT string_agg(reason, ',') FROM integration.attempt WHERE outbox_id = $id"),
		'http:200', 'and has the one attempt');
}

# What was enqueued, or tried, while the clock ran ahead does not wait for that time to come again.
{
	add_endpoint($node, name => 'later', url => $receiver->url('/ok/later'));
	add_retry_policy($node, 'postgres', 'minute', '{1 min}');
	add_endpoint($node, name => 'flaky', url => $receiver->url('/flaky?fail=1'), retry_policy => 'minute');
	value($node, q{SELECT integration.pause('endpoint', 'later', 'test')});
	my $id = add_sync($node, endpoint => 'later');
	my $given = add_sync($node, endpoint => 'later', send_after => value($node, "SELECT now() + interval '30 min'"));
	my $tried = add_sync($node, endpoint => 'flaky');
	wait_until($node, state_is('retrying', $tried), 'one has failed');
	set_clock(-3 * HOUR_S);
	value($node, q{SELECT integration.resume('endpoint', 'later')});
	wait_until($node, state_is('delivered', $id), 'what was never tried is sent');
	wait_until($node, "SELECT due_at < now() + interval '2 min' FROM integration.queue WHERE outbox_id = $tried",
		'what was tried waits as long as it would have');
	is(value($node, "SELECT due_at > now() + interval '1 h' FROM integration.queue WHERE outbox_id = $given"),
		't', 'a time that the application gave stays');
}

# The same when no worker was there to see it.
{
	value($node, q{SELECT integration.pause('endpoint', 'later', 'test')});
	my $id = add_sync($node, endpoint => 'later');
	$node->stop;
	set_clock(-4 * HOUR_S);
	local $ENV{LD_PRELOAD} = "$place/clock.so";
	local $ENV{CLOCK_OFFSET} = $offset;
	$node->start;
	value($node, q{SELECT integration.resume('endpoint', 'later')});
	wait_until($node, state_is('delivered', $id), 'also after a restart');
}

# An hour ahead: nothing is broken off, what is due by then is sent.
{
	my $late = add_sync($node, endpoint => 'later', send_after => value($node, "SELECT now() + interval '30 min'"));
	my $id = add_sync($node, endpoint => 'careful');
	wait_for(sub { $receiver->count('/slow/careful')->{requests} == 2 });
	set_clock(-3 * HOUR_S);
	wait_until($node, state_is('delivered', $late, $id), 'the clock is set ahead: all goes on');
	is($receiver->count('/slow/careful')->{most_per_key}, 1, 'and nothing is sent twice');
}

done_testing();
