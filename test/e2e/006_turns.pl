# Whose turn it is: under an ordering key, among priorities, beside retries.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use JSON::PP ();
use Receiver;
use Test::More;

my $node = integration_node('main');
my $receiver = Receiver->start;

sub numbers_at
{
	my ($path) = @_;
	return [ map { JSON::PP->new->decode($_->{body})->{n} } $receiver->arrived($path) ];
}

sub add_ordered
{
	my ($endpoint, $key, @numbers) = @_;
	return map { add_sync($node, endpoint => $endpoint, ordering_key => $key, payload => qq({"n": $_})) } @numbers;
}

# A failed head holds its key across a restart; its corrected copy takes its place; other keys go on.
{
	$receiver->switch('/ok/ordered', '/status/422');
	add_endpoint($node, name => 'ordered', url => $receiver->url('/ok/ordered'));
	my ($head, @rest) = add_ordered('ordered', 'k', 1 .. 3);
	wait_until($node, state_is('failed', $head), 'the head of an ordering key fails');
	$receiver->switch('/ok/ordered');
	my $pid = worker_pid($node);
	value($node, "SELECT pg_terminate_backend($pid)");
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity
	                    WHERE backend_type = 'integration worker' AND pid <> $pid", 'a new worker comes');
	my ($other) = add_ordered('ordered', 'another', 100);
	wait_until($node, state_is('delivered', $other), 'another key goes on');
	is(value($node, state_is('pending', @rest)), 't', 'its own waits, after a restart as well');
	like(value($node, "SELECT integration.why($rest[0])"), qr/\b$head\b/, 'why() names the head');
	value($node, "SELECT integration.amend($head, '{\"n\": 10}', 'typing error')");
	wait_until($node, state_is('delivered', @rest), 'the amended head lets the others go');
	is_deeply(numbers_at('/ok/ordered'), [ 1, 100, 10, 2, 3 ], 'in their order, the copy first');
}

# On record whatever becomes of it.
sub was_tried
{
	my ($id) = @_;
	return "SELECT count(*) = 1 FROM integration.attempt WHERE outbox_id = $id";
}

# What ends a head hands over.
for my $end ('cancelled', 'expired')
{
	$receiver->switch("/ok/$end", '/status/503?retry_after=3600');
	add_endpoint($node, name => $end, url => $receiver->url("/ok/$end"));
	my %late = $end eq 'expired' ? (expires_at => value($node, q{SELECT clock_timestamp() + interval '5 s'})) : ();
	my $head = add_sync($node, endpoint => $end, ordering_key => 'k', %late);
	my $next = add_sync($node, endpoint => $end, ordering_key => 'k');
	wait_until($node, was_tried($head),
		"a head that will be $end was tried");
	$receiver->switch("/ok/$end");
	value($node, "SELECT integration.cancel($head)") if $end eq 'cancelled';
	wait_until($node, state_is($end, $head), "the head is $end");
	is(value($node, state_is('pending', $next)), 't', 'its successor waits for the endpoint');
	value($node, "SELECT integration.resume('endpoint', '$end')");
	wait_until($node, state_is('delivered', $next), "the successor of a head that is $end goes");
}

# Also where somebody holds its successor just then, and changes nothing.
{
	$receiver->switch('/ok/passed', '/status/503');
	add_retry_policy($node, undef, 'late', '{1 h}');
	add_endpoint($node, name => 'passed', url => $receiver->url('/ok/passed'), retry_policy => 'late');
	my $head = add_sync($node, endpoint => 'passed', ordering_key => 'k',
		expires_at => value($node, q{SELECT clock_timestamp() + interval '5 s'}));
	my $next = add_sync($node, endpoint => 'passed', ordering_key => 'k');
	my $holder = $node->background_psql('postgres');
	$holder->query_safe("BEGIN; SELECT FROM integration.queue WHERE outbox_id = $next FOR UPDATE");
	wait_until($node, was_tried($head), "a head waits for its retry");
	$receiver->switch('/ok/passed');
	wait_until($node, state_is('expired', $head), 'it expires while somebody holds the next one');
	$holder->query_safe('ROLLBACK');
	$holder->quit;
	wait_until($node, state_is('delivered', $next), 'which goes all the same');
}

# Six of ten turns are for high, three for normal, one for low.
{
	add_endpoint($node, name => 'shared', url => $receiver->url('/ok/shared'), max_concurrency => 1);
	value($node, q{SELECT integration.pause('endpoint', 'shared', 'until all are there')});
	value($node, q{
		INSERT INTO integration.outbox (endpoint, priority, payload)
		SELECT 'shared', p, jsonb_build_object('p', p)
		  FROM unnest('{low,normal,high}'::text[]) AS p, generate_series(1, 40)});
	value($node, q{SELECT integration.resume('endpoint', 'shared')});
	wait_until($node, q{SELECT count(*) = 120 FROM integration.sync
	                     WHERE endpoint = 'shared' AND state = 'delivered'}, 'all priorities are served');
	my %turns = (high => 0, normal => 0, low => 0);
	$turns{ JSON::PP->new->decode($_->{body})->{p} }++ for ($receiver->arrived('/ok/shared'))[ 0 .. 39 ];
	# A take in between may find one of them empty for a moment.
	for my $share ([ 'high', 24 ], [ 'normal', 12 ], [ 'low', 4 ])
	{
		my ($priority, $turns) = @$share;
		cmp_ok(abs($turns{$priority} - $turns), '<=', 3,
			"$turns{$priority} of the first forty are $priority, where $turns are its share");
	}
}

# Where memory has room for one payload at a time, neither an endpoint nor a priority takes it for itself.
{
	my @names = ('memory_flooded', 'memory_beside');
	add_endpoint($node, name => $_, url => $receiver->url("/ok/$_"), max_payload_bytes => 100 * 1024 * 1024) for @names;
	value($node, "SELECT integration.pause('endpoint', '$_', 'until all are there')") for @names;
	value($node, q{
		INSERT INTO integration.outbox (endpoint, priority, payload)
		SELECT 'memory_flooded', 'high', jsonb '{"n": 1}' FROM generate_series(1, 300)
		 UNION ALL VALUES ('memory_flooded', 'low', jsonb '{"n": 2}'), ('memory_beside', 'normal', '{"n": 3}')});
	value($node, "SELECT integration.resume('endpoint', '$_')") for reverse @names;
	wait_until($node, queue_is_empty(), 'all of them are sent');
	my $numbers = numbers_at('/ok/memory');
	for my $number (2, 3)
	{
		my ($before) = grep { $numbers->[$_] == $number } 0 .. $#$numbers;
		cmp_ok($before, '<', 150, "$before of the flood went before number $number");
	}
}

# What came by COPY is sent; what was delivered can be sent again, under a key of its own.
{
	add_endpoint($node, name => 'copied', url => $receiver->url('/ok/copied'));
	value($node, qq(COPY integration.outbox (endpoint, payload) FROM STDIN;\ncopied\t{"n": 1}\ncopied\t{"n": 2}\n\\.\n));
	my $delivered = q{SELECT count(*) = %d FROM integration.sync WHERE endpoint = 'copied' AND state = 'delivered'};
	wait_until($node, sprintf($delivered, 2), 'COPY enqueues');
	is(value($node, q{SELECT integration.replay('copied', since => '-infinity')}), 2, 'replay() finds what was delivered');
	wait_until($node, sprintf($delivered, 4), 'and delivers it again');
	is_deeply([ sort(@{ numbers_at('/ok/copied') }) ], [ 1, 1, 2, 2 ], 'as it was');
	is($receiver->count('/ok/copied')->{keys}, 4, 'under keys that the receiver has not seen');
	is(value($node, q{SELECT count(*) FROM integration.sync s JOIN integration.outbox o ON o.id = s.id
	                   WHERE s.endpoint = 'copied' AND o.replay_of IS NOT NULL}), 2, 'marked as replay');
}

# Whatever waits to be tried again, a quarter of the window is left to what was never tried.
{
	my $eight = q{INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
		SELECT 'quarters', 'order', '%s', '{}' FROM generate_series(1, 8)};
	add_endpoint($node, name => 'quarters', url => $receiver->url('/ok/{object_id}'), max_concurrency => 4);
	$receiver->switch('/ok/again', '/status/422');
	value($node, sprintf($eight, 'again'));
	wait_until($node, q{SELECT count(*) = 8 FROM integration.sync WHERE endpoint = 'quarters' AND state = 'failed'}, 'eight fail');
	$receiver->switch("/ok/$_", "/held/$_") for 'again', 'never';
	$node->safe_psql('postgres', "BEGIN; SELECT integration.retry_where(endpoint => 'quarters', reason => 'once more'); "
		  . sprintf($eight, 'never') . '; COMMIT');
	my $held = sub { return $receiver->count("/ok/$_[0]")->{requests} };
	ok(wait_for(sub { $held->('again') - 8 + $held->('never') == 4 }), 'the window is full');
	is($held->('again') - 8, 3, 'retries have three quarters of it');
	$receiver->let_go("/ok/$_") for 'again', 'never';
	wait_until($node, q{SELECT count(*) = 16 FROM integration.sync WHERE endpoint = 'quarters' AND state = 'delivered'}, 'all arrive');
}

done_testing();
