# What a collector is told over OTLP, compared with the attempts; a collector that misbehaves holds up nothing.

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
my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';

sub export_to
{
	my ($url) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET integration.otlp_endpoint = '$url'");
	$node->reload;
	return;
}

# The spans that have arrived so far, by their ids.
sub spans
{
	my %spans;
	for my $request ($receiver->arrived('/ok/otlp/v1/traces'))
	{
		my $body = JSON::PP->new->decode($request->{body});
		for my $span (@{ $body->{resourceSpans}[0]{scopeSpans}[0]{spans} })
		{
			my %attributes = map { $_->{key} => (values %{ $_->{value} })[0] } @{ $span->{attributes} };
			$spans{ $span->{spanId} } = { %$span, attributes => \%attributes };
		}
	}
	return \%spans;
}

# What the tables say of each attempt, in the words of its spans.
sub attempts
{
	return rows($node, q{
		SELECT a.*, t.trace_id AS sync_trace_id, t.parent_id, t.send_id, t.process_id, o.endpoint, o.object_id,
		       ((extract(epoch FROM o.created_at) * 1000000)::bigint || '000') AS created,
		       ((extract(epoch FROM a.started_at) * 1000000)::bigint || '000') AS started,
		       (((extract(epoch FROM a.started_at) * 1000000)::bigint + a.duration_ms * 1000) || '000') AS ended,
		       (a.trace_id <> t.trace_id)::integer AS is_old
		  FROM integration.attempt a
		  JOIN integration.outbox o ON o.id = a.outbox_id
		  JOIN integration_worker.sync_trace t ON t.outbox_id = a.outbox_id
		 WHERE o.endpoint NOT LIKE 'otlp-%'
		 ORDER BY a.outbox_id, a.attempt_no});
}

sub check_attempt
{
	my ($spans, $attempt) = @_;
	my $of = "attempt $attempt->{attempt_no} at $attempt->{endpoint}";
	my $span = $spans->{ $attempt->{span_id} } // {};
	my $status = $attempt->{http_status} // '';
	is($span->{traceId}, $attempt->{trace_id}, "$of: the trace");
	is($span->{parentSpanId}, $attempt->{is_old} ? undef : $attempt->{process_id}, "$of: below the sync's");
	is($span->{kind}, 3, "$of: a client's");
	is("$span->{startTimeUnixNano} $span->{endTimeUnixNano}", "$attempt->{started} $attempt->{ended}", "$of: when");
	is($span->{attributes}{'url.full'}, $attempt->{request_url}, "$of: where to");
	is($span->{attributes}{'http.response.status_code'} // '', $status, "$of: the status");
	is($span->{attributes}{'http.request.resend_count'}, $attempt->{attempt_no} > 1 ? $attempt->{attempt_no} - 1 : undef,
		"$of: the how many-th");
	is($span->{status}{code} // 0, $attempt->{outcome} eq 'failed' ? 2 : 0, "$of: good or not");
	is($span->{attributes}{'error.type'},
		$attempt->{outcome} eq 'failed' ? $status || $attempt->{error_class} : undef, "$of: what went wrong");
	return;
}

sub check_sync
{
	my ($spans, $attempt) = @_;
	my ($send, $process) = @{$spans}{ $attempt->{send_id}, $attempt->{process_id} };
	is("$send->{kind} $send->{name} $send->{startTimeUnixNano}",
		"4 send $attempt->{endpoint} $attempt->{created}", "$attempt->{endpoint}: the sync was asked for");
	is($send->{parentSpanId}, $attempt->{parent_id}, "$attempt->{endpoint}: by the application's span");
	is("$process->{kind} $process->{parentSpanId} $process->{endTimeUnixNano}",
		"5 $attempt->{send_id} $attempt->{ended}", "$attempt->{endpoint}: it ended");
	is_deeply($process->{links}, [ { traceId => $attempt->{sync_trace_id}, spanId => $attempt->{send_id} } ],
		"$attempt->{endpoint}: linked to its beginning");
	return;
}

export_to($receiver->url('/ok/otlp'));
wait_until($node, q{SELECT count(*) = 3 FROM integration.telemetry WHERE is_on}, 'the endpoints are made');
add_endpoint($node, name => 'good "one"', url => $receiver->url('/ok/good'));
add_endpoint($node, name => 'flaky', url => $receiver->url('/flaky'));
add_endpoint($node, name => 'bad', url => $receiver->url('/status/422'));
add_endpoint($node, name => 'dead', url => 'http://127.0.0.1:9/', retry_policy => 'none');
add_endpoint($node, name => 'unsampled', url => $receiver->url('/ok/unsampled'));
my @delivered = (
	add_sync($node, endpoint => 'good "one"', object_type => 'order', object_id => 'PO "1"'),
	add_sync($node, endpoint => 'good "one"', created_at => '2020-01-01 00:00:00+00'),
	add_sync($node, endpoint => 'flaky', traceparent => "00-$trace-00f067aa0ba902b7-01"),
	add_sync($node, endpoint => 'unsampled', traceparent => "00-$trace-00f067aa0ba902b7-00"));
my @failed = (add_sync($node, endpoint => 'bad'), add_sync($node, endpoint => 'dead'));
wait_until($node, state_is('delivered', @delivered), 'what can be delivered is');
wait_until($node, state_is('failed', @failed), 'the rest fails');
# 5 sampled syncs with 6 attempts
ok(wait_for(sub { return scalar(keys %{ spans() }) == 16 }), 'the spans of all that is sampled arrive');
my $spans = spans();
my @attempts = grep { $_->{endpoint} ne 'unsampled' } attempts();
check_attempt($spans, $_) for @attempts;
my %last = map { $_->{outbox_id} => $_ } @attempts;
check_sync($spans, $_) for values %last;
is($spans->{ $last{ $delivered[0] }{send_id} }{attributes}{'integration.object.id'}, 'PO "1"', 'with the business reference');
my ($request) = $receiver->arrived('/ok/otlp/v1/traces');
is($request->{headers}{'content-encoding'}, 'gzip', 'compressed');
like($request->{headers}{'content-type'}, qr{^application/json}, 'as JSON');

# A collector that is away, then back.
$receiver->switch('/ok/otlp/v1/traces', '/status/503?retry_after=1');
my $before = keys %{ spans() };
my @more = map { add_sync($node, endpoint => 'good "one"') } 1 .. 3;
wait_until($node, state_is('delivered', @more), 'syncs are delivered while the collector is away');
ok(wait_for(sub { return $receiver->count('/ok/otlp/v1/traces')->{requests} > 1 }), 'which is asked');
$receiver->switch('/ok/otlp/v1/traces', undef);
ok(wait_for(sub { return value($node, q{SELECT count(*) FROM integration.sync WHERE endpoint = 'otlp-traces' AND state <> 'delivered'}) == 0 }),
	'what waited arrives when it is back');

# One that refuses a part, which is not sent again; one that refuses a whole batch.
$receiver->switch('/ok/otlp/v1/traces', '/status/200?body={"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}');
wait_until($node, state_is('delivered', add_sync($node, endpoint => 'good "one"')), 'a sync is delivered');
wait_until($node, q{SELECT bool_or(response_body LIKE '%too old%') FROM integration.attempt}, 'its spans are refused');
$receiver->switch('/ok/otlp/v1/traces', '/status/400');
wait_until($node, state_is('delivered', add_sync($node, endpoint => 'good "one"')), 'another one');
wait_until($node, q{SELECT count(*) = 1 FROM integration.failed WHERE endpoint = 'otlp-traces'}, 'its batch is refused');
$receiver->switch('/ok/otlp/v1/traces', undef);
wait_until($node, state_is('delivered', add_sync($node, endpoint => 'good "one"')), 'a third one');
wait_until($node, q{SELECT (rejected, dropped, problem) = (2, 1, 'too old') FROM integration.telemetry WHERE signal = 'traces'},
	'what was refused is counted');
wait_until($node, q{SELECT count(*) = 0 FROM integration.failed WHERE endpoint = 'otlp-traces'}, 'nobody is asked to retry it');
ok($node->log_contains(qr/the collector refused a part of the traces: 2 of them/), 'the log says so');

export_to('');
wait_until($node, q{SELECT count(*) = 0 FROM integration.telemetry WHERE is_on}, 'it is switched off');

done_testing();
