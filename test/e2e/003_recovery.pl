# What heals by itself, what heals when somebody acts, and that each request carries the same key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use List::Util qw(max min uniq);
use Receiver;
use Test::More;

my $node = integration_node('main');
my $receiver = Receiver->start;
add_retry_policy($node, undef, 'patient', '{0.5 s,1 s,1 s,1 s,1 s,1 s,1 s,1 s,1 s,1 s,1 s,1 s}');

sub add_switched
{
	my ($name, $as, %columns) = @_;
	$receiver->switch("/ok/$name", $as);
	add_endpoint($node, name => $name, url => $receiver->url("/ok/$name"), %columns);
	return;
}

sub health_is
{
	my ($state, $name) = @_;
	return "SELECT state = '$state' FROM integration.endpoint_status WHERE name = '$name'";
}

sub attempted
{
	my ($id, $attempts) = @_;
	return "SELECT attempts >= $attempts FROM integration.queue WHERE outbox_id = $id";
}

# A few failures in passing.
{
	add_endpoint($node, name => 'flaky', url => $receiver->url('/flaky?fail=2'));
	my $id = add_sync($node, endpoint => 'flaky', object_type => 'order', object_id => 'PO-1');
	wait_until($node, state_is('delivered', $id), 'a sync is delivered at its third attempt');
	my @requests = $receiver->arrived('/flaky');
	is(@requests, 3, 'three requests arrived');
	is_deeply([ uniq(map { $_->{headers}{'idempotency-key'} } @requests) ],
		[ value($node, "SELECT name || '-' || $id FROM integration.installation") ],
		'each carries the same Idempotency-Key, made from the id');
	is_deeply([ map { $_->{headers}{'webhook-id'} } @requests ], [ map { $_->{key} } @requests ],
		'webhook-id says the same');
	is((uniq(map { $_->{body_sha256} } @requests)), 1, 'each has the same body');
	cmp_ok($requests[$_]{at} - $requests[ $_ - 1 ]{at}, '>=', 0.19, "the wait before attempt " . ($_ + 1))
	  for 1, 2;
	is_deeply([ rows($node, "SELECT attempt_no, outcome, reason FROM integration.attempt
	                          WHERE outbox_id = $id ORDER BY attempt_no") ],
		[   { attempt_no => 1, outcome => 'failed', reason => 'http:503' },
			{ attempt_no => 2, outcome => 'failed', reason => 'http:503' },
			{ attempt_no => 3, outcome => 'delivered', reason => 'http:200' } ],
		'each attempt is on record');
	is_deeply(row($node, "SELECT state, failures, error FROM integration.object_status
	                       WHERE object_id = 'PO-1'"),
		{ state => 'in_sync', failures => 0, error => undef }, 'the object is in sync');
}

# Retry-After holds the whole endpoint and costs no attempt.  Both wait at the same time.
add_switched("limited$_", "/status/$_?retry_after=5") for 429, 503;
my %limited = map { $_ => add_sync($node, endpoint => "limited$_") } 429, 503;
for my $status (429, 503)
{
	my $name = "limited$status";
	my $first = $limited{$status};
	wait_until($node, attempted($first, 1), "$status with Retry-After: the first attempt is on record");
	my $second = add_sync($node, endpoint => $name);
	is(value($node, "SELECT charged FROM integration.queue WHERE outbox_id = $first"),
		0, "$status with Retry-After uses up nothing");
	is(value($node, "SELECT blocked_by FROM integration.sync WHERE id = $second"),
		'retry_after', "$status with Retry-After: a second sync waits as well");
	$receiver->switch("/ok/$name");
	$limited{$status} = [ $first, $second ];
}
for my $status (429, 503)
{
	wait_until($node, state_is('delivered', @{ $limited{$status} }), "$status with Retry-After: both arrive");
	my @at = map { $_->{at} } $receiver->arrived("/ok/limited$status");
	is(@at, 3, "$status with Retry-After: nothing was sent in between");
	cmp_ok($at[1] - $at[0], '>=', 5, "$status with Retry-After: not before its time");
}

# 403 with an exhausted quota is a limit as well, not a missing right.
{
	add_switched('quota', '/status/403?remaining=0', retry_policy => 'patient');
	my $id = add_sync($node, endpoint => 'quota');
	wait_until($node, attempted($id, 1), 'an exhausted quota: the first attempt is on record');
	is(value($node, "SELECT charged FROM integration.queue WHERE outbox_id = $id"),
		0, 'an exhausted quota uses up nothing');
	$receiver->switch('/ok/quota');
	wait_until($node, state_is('delivered', $id), 'an exhausted quota stops nothing');
	is_deeply(row($node, "SELECT reason, error_class FROM integration.attempt
	                       WHERE outbox_id = $id AND attempt_no = 1"),
		{ reason => 'http:403:limited', error_class => 'rate_limited' },
		'the attempt says that it was a limit');
}

# The breaker: an outage costs a few requests, then everything arrives.
{
	add_switched('outage', '/status/503', retry_policy => 'patient');
	add_syncs($node, 'outage', 500);
	wait_until($node, health_is('open', 'outage'), 'ten failures in a row open the breaker');
	my $wasted = $receiver->count('/ok/outage')->{requests};
	cmp_ok($wasted, '<=', 20, 'few requests were wasted until then');
	is(value($node, q{SELECT count(*) FROM integration.incident
	                   WHERE endpoint = 'outage' AND resolved_at IS NULL}),
		1, 'an incident is open');
	my $requests = $receiver->count('/ok/outage')->{requests};
	$receiver->switch('/ok/outage', '/held/outage');
	wait_until($node, q{SELECT state = 'half_open' FROM integration.endpoint_status WHERE name = 'outage'}, 'a probe is out');
	add_endpoint($node, name => 'beside', url => $receiver->url('/ok/beside'));
	add_syncs($node, 'beside', 20);
	wait_until($node, q{SELECT count(*) = 20 FROM integration.sync
	                     WHERE endpoint = 'beside' AND state = 'delivered'},
		'others go on meanwhile');
	is($receiver->count('/ok/outage')->{requests} - $requests, 1, 'it is the only one');
	$receiver->switch('/ok/outage');
	$receiver->let_go('/ok/outage');
	wait_until($node, q{SELECT count(*) = 500 FROM integration.sync
	                     WHERE endpoint = 'outage' AND state = 'delivered'},
		'everything arrives when it is over');
	cmp_ok($receiver->count('/ok/outage')->{requests} - 500, '<=', $wasted + 5, 'with few requests more');
	is(value($node, q{
			SELECT count(*)
			  FROM (SELECT s.id, lag(s.id) OVER (ORDER BY a.started_at, s.id) AS earlier
			          FROM integration.sync s JOIN integration.attempt a ON a.outbox_id = s.id
			         WHERE s.endpoint = 'outage' AND s.attempts = 1) o
			 WHERE o.id < o.earlier}),
		0, 'what waited leaves oldest first');
	wait_until($node, health_is('closed', 'outage'), 'the breaker is closed');
	is(value($node, q{SELECT count(*) FROM integration.incident
	                   WHERE endpoint = 'outage' AND resolved_at IS NULL}),
		0, 'the incident is resolved');
}

# A stopped endpoint waits for somebody: its address is changed.
{
	add_switched('moved', '/status/410');
	add_syncs($node, 'moved', 500);
	wait_until($node, health_is('stopped', 'moved'), 'an address that is gone stops the endpoint');
	# The first four go at once, others while the first answers are written down.
	cmp_ok($receiver->count('/ok/moved')->{requests}, '<=', 20, 'few others were tried');
	is(value($node, q{SELECT count(*) FROM integration.sync
	                   WHERE endpoint = 'moved' AND state = 'failed'}), 0, 'nothing failed for good');
	my $address = $receiver->url('/ok/elsewhere');
	value($node, "UPDATE integration.endpoint SET url = '$address' WHERE name = 'moved'");
	wait_until($node, q{SELECT count(*) = 500 FROM integration.sync
	                     WHERE endpoint = 'moved' AND state = 'delivered'},
		'the change lets everything go at once')
	  or diag(value($node, q{SELECT state, count(*) FROM integration.sync
	                          WHERE endpoint = 'moved' GROUP BY state}));
}

# An answer can come after the change was committed, before the worker was told of it: the old address is not tried again.
{
	add_endpoint($node, name => 'moving', url => $receiver->url('/ok/{object_id}'));
	$receiver->switch('/ok/late', '/held/late?status=410');
	$receiver->switch('/ok/gone', '/status/410');
	my $late = add_sync($node, endpoint => 'moving', object_type => 'order', object_id => 'late');
	ok(wait_for(sub { $receiver->count('/ok/late')->{requests} == 1 }), 'a request waits for its answer');
	my $gone = add_sync($node, endpoint => 'moving', object_type => 'order', object_id => 'gone');
	wait_until($node, health_is('stopped', 'moving'), 'meanwhile the endpoint is stopped');
	my $address = $receiver->url('/ok/moved-{object_id}');
	# Without triggers nobody tells the worker.
	value($node, qq{
		SET session_replication_role = replica;
		UPDATE integration.endpoint SET url = '$address' WHERE name = 'moving';
		UPDATE integration.endpoint_health SET open_until = now()
		 WHERE endpoint_id = (SELECT id FROM integration.endpoint WHERE name = 'moving')});
	$receiver->let_go('/ok/late');
	wait_until($node, state_is('delivered', $late, $gone), 'all of it goes to the new address');
	is_deeply([ map { $receiver->count("/ok/$_")->{requests} } 'late', 'gone' ], [ 1, 1 ], 'nothing more to the old one');
}

# … or says that it works again.
{
	add_switched('locked', '/status/401');
	my $id = add_sync($node, endpoint => 'locked');
	wait_until($node, health_is('stopped', 'locked'), 'a refused login stops the endpoint');
	like(value($node, "SELECT integration.why($id)"), qr/stopped/, 'why() says so');
	$receiver->switch('/ok/locked');
	value($node, q{SELECT integration.resume('endpoint', 'locked')});
	wait_until($node, state_is('delivered', $id), 'resume() sends it at once');
	is(value($node, q{SELECT count(*) FROM integration.action
	                   WHERE verb = 'resume' AND endpoint = 'locked'}), 1, 'resume() is on record');
}

# The sync was it, not the endpoint: the probe is another one, and it succeeds.
{
	add_endpoint($node, name => 'mixed', url => $receiver->url('/ok/{object_id}'));
	$receiver->switch('/ok/bad', '/status/403');
	my $bad = add_sync($node, endpoint => 'mixed', object_type => 'order', object_id => 'bad');
	wait_until($node, health_is('stopped', 'mixed'), 'one sync stops the endpoint');
	my $good = add_sync($node, endpoint => 'mixed', object_type => 'order', object_id => 'good');
	# As if the minute to the first probe were over.
	value($node, q{
		UPDATE integration.endpoint_health SET open_until = now()
		 WHERE endpoint_id = (SELECT id FROM integration.endpoint WHERE name = 'mixed');
		SELECT integration_worker.wake_at_commit(true)});
	wait_until($node, state_is('delivered', $good), 'another one gets through');
	wait_until($node, state_is('failed', $bad), 'so the first has failed by itself');
	is(value($node, "SELECT error_class FROM integration.failed WHERE id = $bad"),
		'permission', 'for its own reason');
}

# A pause holds sending, never enqueueing.
{
	my ($path, $other) = ('/ok/paused', '/ok/other');
	add_endpoint($node, name => 'paused', url => $receiver->url($path), customer => 'acme');
	add_endpoint($node, name => 'other', url => $receiver->url($other));
	for my $scope ([ 'endpoint', 'paused' ], [ 'customer', 'acme' ])
	{
		my ($kind, $name) = @$scope;
		my $before = $receiver->count($path)->{requests};
		value($node, "SELECT integration.pause('$kind', '$name', 'the test says so')");
		my $held = add_sync($node, endpoint => 'paused');
		my $free = add_sync($node, endpoint => 'other');
		wait_until($node, state_is('delivered', $free), "pause of the $kind: another endpoint works");
		is($receiver->count($path)->{requests}, $before, "pause of the $kind: nothing is sent");
		is(value($node, "SELECT blocked_by FROM integration.sync WHERE id = $held"),
			'paused', "pause of the $kind: the view says so");
		value($node, "SELECT integration.resume('$kind', '$name')");
		wait_until($node, state_is('delivered', $held), "pause of the $kind: resume() sends it");
	}
}

# A connection that was closed while it idled: libcurl would send a second time by itself.
{
	add_endpoint($node, name => 'reused', url => $receiver->url('/ok/reused'), retry_policy => 'none');
	my $first = add_sync($node, endpoint => 'reused');
	wait_until($node, state_is('delivered', $first), 'a first request opens a connection');
	$receiver->switch('/ok/reused', '/close');
	my $second = add_sync($node, endpoint => 'reused');
	wait_until($node, state_is('failed', $second), 'the second finds it closed');
	is(value($node, "SELECT reason FROM integration.attempt WHERE outbox_id = $second"),
		'curl:42:resent', 'the attempt says what happened');
	is_deeply($receiver->count('/ok/reused'),
		{ requests => 2, keys => 2, most_per_key => 1, most_at_once => 1, connections => 1 }, 'each was sent once');
}

# Four connections are kept and none is good any more: the second attempt tries no other of them.
{
	add_switched('kept', '/held');
	add_syncs($node, 'kept', 4);
	ok(wait_for(sub { $receiver->count('/ok/kept')->{connections} == 4 }), 'four requests at once');
	$receiver->let_go('/ok/kept');
	wait_until($node, "SELECT count(*) = 4 FROM integration.sync WHERE endpoint = 'kept' AND state = 'delivered'", 'they are answered');
	$receiver->switch('/ok/kept', '/close-kept');
	my $id = add_sync($node, endpoint => 'kept');
	wait_until($node, state_is('delivered', $id), 'one that is lost on a kept connection');
	is(value($node, "SELECT string_agg(reason, ' ' ORDER BY attempt_no) FROM integration.attempt WHERE outbox_id = $id"),
		'curl:42:resent http:200', 'takes a new one the second time');
}

# What waits for a person is sent again by a person.
{
	add_switched('refusing', '/status/422');
	my ($one, $two) = map { add_sync($node, endpoint => 'refusing') } 1, 2;
	wait_until($node, state_is('failed', $one, $two), 'bad data fails at once');
	$receiver->switch('/ok/refusing');
	value($node, "SELECT integration.retry($one, 'put right')");
	value($node, "UPDATE integration.failed SET state = 'pending' WHERE id = $two");
	wait_until($node, state_is('delivered', $one, $two), 'retry() and the view send it again');
	is($receiver->count('/ok/refusing')->{keys}, 2, 'with the key it had');
}

done_testing();
