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

sub plain_attributes
{
	my ($owner) = @_;
	return { map { $_->{key} => (values %{ $_->{value} })[0] } @{ $owner->{attributes} } };
}

# What has arrived of a signal so far, with its attributes as a hash.
sub told
{
	my ($signal, @way) = @_;
	my @told;
	for my $request ($receiver->arrived("/ok/otlp/v1/$signal"))
	{
		my $body = JSON::PP->new->decode($request->{body});
		push @told, map { { %$_, attributes => plain_attributes($_) } } @{ $body->{ $way[0] }[0]{ $way[1] }[0]{ $way[2] } };
	}
	return @told;
}

# The spans, by their ids.
sub spans
{
	return { map { $_->{spanId} => $_ } told('traces', qw(resourceSpans scopeSpans spans)) };
}

sub records
{
	my ($name) = @_;
	return grep { $_->{eventName} eq $name } told('logs', qw(resourceLogs scopeLogs logRecords));
}

# The newest data points of a metric, by endpoint.
sub points
{
	my ($name) = @_;
	my %points;
	for my $metric (grep { $_->{name} eq $name } told('metrics', qw(resourceMetrics scopeMetrics metrics)))
	{
		my $points = ($metric->{histogram} // $metric->{gauge})->{dataPoints};
		%points = map { plain_attributes($_)->{'integration.endpoint.name'} => { %$_, attributes => plain_attributes($_) } } @$points;
	}
	return \%points;
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

# Failures as logs, what people do, how incidents begin.
value($node, q{SELECT integration.pause('endpoint', 'dead', 'looked after')});
ok(wait_for(sub { return records('integration.action.pause') && records('integration.incident.opened') >= 2
			&& records('integration.sync.failed') >= 2 }),
	'actions, incidents and failures are logged');
my %bad = map { $_->{endpoint} => $_ } @attempts;
my ($record) = grep { $_->{attributes}{'integration.endpoint.name'} eq 'bad' } records('integration.sync.failed');
is("$record->{traceId} $record->{spanId}", "$bad{bad}{trace_id} $bad{bad}{span_id}", 'a failure is logged in its trace');
is($record->{severityNumber}, 17, 'as an error');

# The figures, which leave at a reload too.
$node->reload;
ok(wait_for(sub { return points('http.client.request.duration')->{bad} }), 'durations are exported');
my $durations = points('http.client.request.duration');
is($durations->{bad}{count}, 1, 'of each request');
my $counted = 0;
$counted += $_ for @{ $durations->{'good "one"'}{bucketCounts} };
is("$counted $durations->{'good \"one\"'}{count}", '2 2', 'its buckets add up to it');
is($durations->{bad}{attributes}{'error.type'}, '422', 'by what became of it');
is($durations->{dead}{attributes}{'error.type'}, 'connect', 'also without an answer');
is(points('integration.queue.failed')->{bad}{asInt}, '1', 'and what waits for a person');

# A collector that is away, then back.
$receiver->switch('/ok/otlp/v1/traces', '/status/503?retry_after=1');
my @more = map { add_sync($node, endpoint => 'good "one"') } 1 .. 3;
wait_until($node, state_is('delivered', @more), 'syncs are delivered while the collector is away');
ok(wait_for(sub { return $receiver->count('/ok/otlp/v1/traces')->{requests} > 1 }), 'which is asked');
$receiver->switch('/ok/otlp/v1/traces', undef);
ok(wait_for(sub { return value($node, q{SELECT count(*) FROM integration.sync WHERE endpoint = 'otlp-traces' AND state <> 'delivered'}) == 0 }),
	'what waited arrives when it is back');

# A burst while it is away: all of it waits, and leaves once the collector is back.
my $told = q{SELECT exported - dropped FROM integration.telemetry WHERE signal = 'traces'};
wait_until($node, "SELECT ($told) = 9", 'so far the attempts of before are told');
$receiver->switch('/ok/otlp/v1/traces', '/status/503?retry_after=1');
value($node, q{WITH burst AS (INSERT INTO integration.outbox (endpoint, payload)
	SELECT 'good "one"', '{}' FROM generate_series(1, 3000) RETURNING id) SELECT count(*) FROM burst});
wait_until($node, q{SELECT NOT EXISTS (SELECT FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id
	WHERE e.name = 'good "one"')}, 'a burst is delivered while the collector is away');
$receiver->switch('/ok/otlp/v1/traces', undef);
wait_until($node, "SELECT ($told) = 3009", 'all of it is told afterwards, nothing left out');
wait_until($node, q{SELECT NOT EXISTS (SELECT FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id
	WHERE e.name = 'otlp-traces')}, 'and arrives');

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
