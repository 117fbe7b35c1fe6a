# What waits for its turn is charged nothing, and holds up nobody else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

use constant SYNCS => 200;
use constant TIMEOUT_S => 2;
use constant BACKLOG => 5000;

my $receiver = Receiver->start;
# Four for the one endpoint, the rest for the other: one waits for its window, one for connections.
my $node = integration_node('main', conf => "integration.max_connections = 16\n");

# Time-outs start when the request leaves: here it has waited for several of them by then.
{
	my %calling = (timeout => TIMEOUT_S . ' s', connect_timeout => '1 s', retry_policy => 'none');
	my %waits_for = (
		window => { %calling, max_concurrency => 4 },
		connection => { %calling, max_concurrency => 100 });
	for my $what (sort keys %waits_for)
	{
		add_endpoint($node, name => $what, url => $receiver->url("/slow/$what?seconds=0.25"), %{ $waits_for{$what} });
	}
	value($node, "INSERT INTO integration.outbox (endpoint, payload)
	              SELECT e, jsonb_build_object('n', n)
	                FROM unnest('{window,connection}'::text[]) AS e, generate_series(1, @{[ SYNCS ]}) AS n");
	wait_until($node, "SELECT count(*) = 0 FROM integration.queue WHERE state <> 'failed'", 'all are tried');
	for my $what (sort keys %waits_for)
	{
		is_deeply(row($node, "
				SELECT count(*) AS attempts, count(*) FILTER (WHERE a.outcome = 'delivered') AS delivered
				  FROM integration.attempt a JOIN integration.endpoint e ON e.id = a.endpoint_id
				 WHERE e.name = '$what'"),
			{ attempts => SYNCS, delivered => SYNCS }, "waiting for a $what fails nothing");
	}
	cmp_ok(value($node, "
			SELECT max(extract(epoch FROM a.started_at - o.created_at))
			  FROM integration.attempt a JOIN integration.outbox o ON o.id = a.outbox_id
			 WHERE o.endpoint = 'window'"),
		'>', 4 * TIMEOUT_S, 'though the last one waited longer than four time-outs');
}

# Answers that come together leave nobody in flight, yet the window was full.
{
	add_endpoint($node, name => 'together', url => $receiver->url('/slow/together?seconds=1'));
	add_syncs($node, 'together', 60);
	wait_until($node, q{SELECT in_flight = 8 FROM integration.endpoint_status WHERE name = 'together'},
		'the window of a slow endpoint grows to what is allowed');
	value($node, q{SELECT integration.pause('endpoint', 'together', 'enough')});
}

# Twenty behind five thousand that hang.
{
	add_endpoint($node, name => 'hangs', url => $receiver->url('/stall-before/hangs'), timeout => '5 min');
	add_endpoint($node, name => 'quick', url => $receiver->url('/ok/quick'));
	add_syncs($node, 'hangs', BACKLOG);
	wait_until($node, q{SELECT count(*) >= 4 FROM integration.sync
	                     WHERE endpoint = 'hangs' AND in_flight_since IS NOT NULL}, 'requests hang');
	add_syncs($node, 'quick', 20);
	wait_until($node, q{SELECT count(*) = 20 FROM integration.sync
	                     WHERE endpoint = 'quick' AND state = 'delivered'},
		'twenty leave beside them');
	cmp_ok(value($node, q{
			SELECT max(extract(epoch FROM a.started_at - o.created_at))
			  FROM integration.attempt a JOIN integration.outbox o ON o.id = a.outbox_id
			 WHERE o.endpoint = 'quick'}),
		'<', 1, 'at once; the rest is for a busy machine');
	cmp_ok($receiver->count('/stall-before/hangs')->{requests}, '<=', 8, 'no more hang than may at once');
	is(value($node, q{SELECT blocked_by FROM integration.sync
	                   WHERE endpoint = 'hangs' AND in_flight_since IS NULL ORDER BY id DESC LIMIT 1}),
		'window', 'the view says what the rest waits for');
}

# A resume in the middle of an outage: nobody waits for the next probe.
{
	add_endpoint($node, name => 'open', url => $receiver->url('/ok/open'), retry_policy => 'standard');
	$receiver->switch('/ok/open', '/status/503');
	add_syncs($node, 'open', 20);
	wait_until($node, q{SELECT state = 'open' FROM integration.endpoint_status WHERE name = 'open'},
		'failures open the breaker');
	# The longest wait between two probes, so that none of them can end it; again should one be under way just then.
	my $is_put_off = sub {
		my $at = value($node, q{
			UPDATE integration.endpoint_health SET open_until = now() + interval '1 h'
			 WHERE endpoint_id = (SELECT id FROM integration.endpoint WHERE name = 'open')
			RETURNING clock_timestamp();
			SELECT integration_worker.wake_at_commit(true)});
		chomp $at;
		wait_for(sub { value($node, "SELECT last_turn_at > '$at' FROM integration.worker_status") eq 't' });
		return value($node, q{SELECT in_flight = 0 AND next_probe_at > now() + interval '30 min'
		                        FROM integration.endpoint_status WHERE name = 'open'}) eq 't';
	};
	ok(wait_for($is_put_off), 'it is open for an hour');
	$receiver->switch('/ok/open');
	my $held = add_sync($node, endpoint => 'open');
	is(value($node, "SELECT blocked_by FROM integration.sync WHERE id = $held"), 'open', 'an open breaker holds a new sync');
	is(value($node, q{SELECT integration.resume('endpoint', 'open', 'they have rebooted')}), 't', 'resume() ends it');
	wait_until($node, state_is('delivered', $held), 'and what it held leaves');
	is_deeply(row($node, q{SELECT actor, reason, details ->> 'state' AS state FROM integration.action
	                        WHERE verb = 'resume' AND endpoint = 'open'}),
		{ actor => value($node, 'SELECT session_user'), reason => 'they have rebooted', state => 'open' },
		'on record with who, why, what it was');
}

done_testing();
