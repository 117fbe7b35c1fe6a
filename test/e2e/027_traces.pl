# Whose trace an attempt belongs to, what is passed on of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $node = integration_node('main');
my $receiver = Receiver->start;
my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
my $given = "$trace-00f067aa0ba902b7";

# The headers of the request of one sync.
sub headers_of
{
	my ($name, %sync) = @_;
	add_endpoint($node, name => $name, url => $receiver->url("/ok/$name"));
	my $id = add_sync($node, endpoint => $name, %sync);
	wait_until($node, state_is('delivered', $id), "$name is delivered");
	my ($request) = $receiver->arrived("/ok/$name");
	return $request->{headers};
}

my $headers = headers_of('sampled', traceparent => "cc-$given-ff-more",
	tracestate => ' rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE');
like($headers->{traceparent}, qr/^00-$trace-[0-9a-f]{16}-03$/, 'a higher version goes on as ours');
is($headers->{tracestate}, 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'with what other systems pass on');

$headers = headers_of('unsampled', traceparent => "00-$given-00", tracestate => 'A=1');
like($headers->{traceparent}, qr/^00-$trace-[0-9a-f]{16}-00$/, 'who samples nothing decides for us');
ok(!exists $headers->{tracestate}, 'a tracestate that is not valid is not passed on');

$headers = headers_of('invalid', traceparent => "00-$given-01-x", tracestate => 'a=1');
like($headers->{traceparent}, qr/^00-(?!$trace)[0-9a-f]{32}-[0-9a-f]{16}-03$/, 'an invalid one is none');
ok(!exists $headers->{tracestate}, 'nor is its tracestate');

$headers = headers_of('old', traceparent => "00-$given-01", created_at => '2020-01-01 00:00:00+00');
like($headers->{traceparent}, qr/^00-(?!$trace)[0-9a-f]{32}-[0-9a-f]{16}-03$/,
	'an attempt at an old sync has a trace of its own');

is(value($node, q{SELECT count(*) FROM integration.attempt a JOIN integration_worker.sync_trace t USING (outbox_id)
	WHERE a.trace_id = t.trace_id AND NOT t.is_given}), 1, 'SQL finds the trace that C has drawn');

done_testing();
