# A receiver that misbehaves in every way beside healthy ones at full load: nothing grows, nobody else is harmed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Soak;
use Test::More;

use constant HEALTHY => 8;
use constant MEMORY_MARGIN_KB => 8192;

my $receiver = Receiver->start;
# Nothing there keeps a connection: on a kept one these would be something else.
my $fresh = Receiver->start;
my $port = fast_receiver();
my $node = integration_node('main', conf => "max_wal_size = 4GB\nfsync = off\n");

# What each does, which reasons its attempts may have.
my %ways = (
	'/stall-before'            => 'curl:28:response',
	'/hints-only'              => 'curl:28:response',
	'/garbage'                 => 'curl:1:http09',
	'/early-hints'             => 'http:200',
	'/drip'                    => 'curl:28:complete',
	'/drip-body/500'           => 'curl:28:body',
	'/stall-after-headers/200' => 'curl:28:complete',
	'/stall-after-headers/500' => 'curl:28:body',
	'/truncate/200'            => 'curl:18:complete',
	'/truncate/500'            => 'curl:18',
	'/reset-mid-body/200'      => 'curl:18:complete',
	'/reset-mid-body/500'      => 'curl:56',
	'/huge-headers'            => 'curl:56:headers',
	'/endless/200'             => 'http:200',
	'/endless/500'             => 'http:500',
	'/not-utf8/500'            => 'http:500',
	'/problem'                 => 'http:422',
	'/status/401'              => 'http:401',
	'/status/404'              => 'http:404',
	'/status/429?retry_after=1' => 'http:429',
	'/status/503'              => 'http:503',
	'/status/302?location=/x'  => 'http:302',
	'/status/700'              => 'http:invalid');

my %expected;
for my $path (sort keys %ways)
{
	# Short where a time-out is what is wanted; elsewhere a busy machine must not make one.
	my $timeout = $ways{$path} =~ /^curl:28:/ ? '1 s' : '20 s';
	add_endpoint($node, name => "bad $path", url => $receiver->url($path), timeout => $timeout,
		connect_timeout => '1 s');
	$expected{"bad $path"} = $ways{$path};
}
for my $way ([ '/close' => 'curl:52' ], [ '/reset-before' => 'curl:56' ])
{
	add_endpoint($node, name => "bad $way->[0]", url => $fresh->url($way->[0]), timeout => '20 s');
	$expected{"bad $way->[0]"} = $way->[1];
}
for my $listener ([ refused => 'curl:7:refused' ], [ hole => 'curl:28:connect' ], [ hangup => 'curl:56' ])
{
	add_endpoint($node, name => "bad $listener->[0]", url => $receiver->url('/', $listener->[0]),
		timeout => '2 s', connect_timeout => '1 s');
	$expected{"bad $listener->[0]"} = $listener->[1];
}
add_endpoint($node, name => "good $_", url => "http://127.0.0.1:$port/$_", max_concurrency => 32) for 1 .. HEALTHY;

my $seconds = 60 * minutes() + 5;
my $load = start_load($node, $seconds, sprintf(q{
	INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
	SELECT 'good ' || 1 + n %% %d, 'order', n, jsonb_build_object('n', n) FROM generate_series(1, 1000) AS n}, HEALTHY));

my $before = 0;
my @table = watch(
	$node,
	[qw(delivered bad_attempts wrong_reasons memory_kb descriptors)],
	sub {
		my ($is_minute) = @_;
		value($node, q{INSERT INTO integration.outbox (endpoint, payload)
			SELECT e.name, '{}' FROM integration.endpoint e
			 WHERE e.name LIKE 'bad %'
			   AND (SELECT count(*) FROM integration.queue q WHERE q.endpoint_id = e.id) < 20});
		return unless $is_minute;
		my $all = row($node, q{SELECT count(*) FILTER (WHERE e.name LIKE 'good %' AND a.outcome = 'delivered') AS delivered,
			count(*) FILTER (WHERE e.name LIKE 'bad %') AS bad,
			count(*) FILTER (WHERE e.name LIKE 'good %' AND a.outcome <> 'delivered') AS harmed
			FROM integration.attempt a JOIN integration.endpoint e ON e.id = a.endpoint_id});
		my $wrong = wrong_reasons();
		my $delivered = $all->{delivered} - $before;
		$before = $all->{delivered};
		return (delivered => $delivered, bad_attempts => $all->{bad}, wrong_reasons => $wrong, harmed => $all->{harmed});
	});

# Attempts whose reason is not what the receiver did.
sub wrong_reasons
{
	my $count = 0;
	for my $found (rows($node, q{SELECT e.name, a.reason, count(*) AS attempts
		FROM integration.attempt a JOIN integration.endpoint e ON e.id = a.endpoint_id
		WHERE e.name LIKE 'bad %' GROUP BY 1, 2}))
	{
		next if $found->{reason} eq $expected{ $found->{name} };
		note("$found->{name}: $found->{reason}, $found->{attempts} times");
		$count += $found->{attempts};
	}
	return $count;
}

my ($first, $last) = @table[ 0, -1 ];
is($last->{wrong_reasons}, 0, 'each attempt has the reason of what was done to it');
is($last->{harmed}, 0, 'no attempt at a healthy endpoint failed');
is((grep { $_->{pid} != $first->{pid} } @table) + 0, 0, 'the worker is the same all the time');
cmp_ok($last->{memory_kb}, '<=', 1.1 * largest_in(1, 'memory_kb', @table) + MEMORY_MARGIN_KB, 'its memory is flat');
cmp_ok($last->{descriptors}, '<=', 1.2 * largest_in(1, 'descriptors', @table) + 16, 'so are its descriptors');
my @delivered = sort { $a <=> $b } map { $_->{delivered} } @table;
cmp_ok($delivered[0], '>', 0.5 * $delivered[ @delivered / 2 ], 'healthy endpoints get no less in the worst minute');
wait_until($node, q{SELECT count(*) = 0 FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id
	WHERE e.name LIKE 'good %'}, 'all of theirs is delivered in the end');

done_testing();
