# Each phase in which a request can fail, each status class: reason, class, state, attempts, health.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $node = integration_node('main');
my $receiver = Receiver->start;
# Nothing there keeps a connection, so that each request opens one.
my $fresh = Receiver->start;

# What becomes of a sync under the policy "fast", by what its last attempt means.
my %delivered = (state => 'delivered', attempts => 1, class => undef, health => 'closed');
my %exhausted = (state => 'failed', attempts => 3, health => 'closed');
my %refused = (state => 'failed', attempts => 1, health => 'closed');
my %postponed = (state => 'retrying', attempts => 1, health => 'closed');
my %stopped = (state => 'retrying', attempts => 1, health => 'stopped');

sub scenario
{
	my ($name, $url, $expect, %more) = @_;
	# Short where a time-out is what is wanted; elsewhere a busy machine must not make one.
	my %times = $expect->{reason} =~ /^curl:28:/
	  ? (connect_timeout => '0.4 s', timeout => '0.6 s')
	  : (connect_timeout => '5 s', timeout => '5 s');
	return {
		name => $name,
		endpoint => { url => $url, %times, %{ $more{endpoint} // {} } },
		sync => $more{sync},
		expect => $expect
	};
}

sub at
{
	my ($path, $reason, $class, $status, $expect, %more) = @_;
	my $name = $more{name} // substr($path, 1);
	return scenario($name, $receiver->url($path),
		{ %$expect, reason => $reason, class => $class, status => $status, %{ $more{expect} // {} } },
		%more);
}

# Before anything is answered.
my @connecting = (
	scenario('refused', $receiver->url('/', 'refused'),
		{ %exhausted, reason => 'curl:7:refused', class => 'connect', status => undef }),
	scenario('black hole', $receiver->url('/', 'hole'),
		{ %exhausted, reason => 'curl:28:connect', class => 'timeout_connect', status => undef }),
	scenario('no such name', 'http://nothing.invalid/',
		{ %exhausted, reason => 'curl:6', class => 'dns', status => undef },
		endpoint => { allow_http => 'true' }),
	scenario('TLS that says nothing', $receiver->url('/', 'silent', 'https'),
		{ %exhausted, reason => 'curl:28:tls', class => 'timeout_tls', status => undef }),
	scenario('TLS that hangs up', $receiver->url('/', 'hangup', 'https'),
		{ %exhausted, reason => 'curl:35:reset', class => 'tls', status => undef }),
	at('/stall-send', 'curl:28:send', 'timeout_send', undef, \%refused,
		endpoint => { retry_policy => 'none', max_payload_bytes => 20000000 },
		sync => { payload => '"' . ('x' x 16000000) . '"' }),
	at('/stall-before', 'curl:28:response', 'timeout_response', undef, \%exhausted),
	scenario('closed', $fresh->url('/close'),
		{ %exhausted, reason => 'curl:52', class => 'reset', status => undef }),
	scenario('reset', $fresh->url('/reset-before'),
		{ %exhausted, reason => 'curl:56', class => 'reset', status => undef }),
	at('/garbage', 'curl:1:http09', 'protocol', undef, \%exhausted),
);

# After the answer has begun: a good status counts, whatever becomes of the body.
my @answering = (
	at('/hints-only', 'curl:28:response', 'timeout_response', undef, \%exhausted),
	at('/early-hints', 'http:200', undef, 200, \%delivered),
	at('/drip', 'curl:28:complete', undef, 200, \%delivered),
	at('/drip-body/200', 'curl:28:complete', undef, 200, \%delivered),
	at('/drip-body/500', 'curl:28:body', 'timeout_body', 500, \%exhausted),
	at('/stall-after-headers/200', 'curl:28:complete', undef, 200, \%delivered),
	at('/stall-after-headers/500', 'curl:28:body', 'timeout_body', 500, \%exhausted),
	at('/truncate/200', 'curl:18:complete', undef, 200, \%delivered),
	at('/truncate/500', 'curl:18', 'reset', 500, \%exhausted),
	at('/reset-mid-body/200', 'curl:18:complete', undef, 200, \%delivered),
	at('/reset-mid-body/500', 'curl:56', 'reset', 500, \%exhausted),
	at('/huge-headers', 'curl:56:headers', 'protocol', 200, \%exhausted,
		endpoint => { timeout => '5 s' }),
	at('/endless/200', 'http:200', undef, 200, \%delivered,
		endpoint => { timeout => '5 s' }),
	at('/endless/500', 'http:500', 'remote_error', 500, \%exhausted,
		endpoint => { timeout => '5 s' }),
	at('/not-utf8/500', 'http:500', 'remote_error', 500, \%exhausted),
);

# Each status class, each thing that can come of it.
my @statuses = (
	(map { at("/status/$_", "http:$_", undef, $_, \%delivered) } 200, 201, 202, 204, 206, 207),
	at('/status/299', 'http:2xx', undef, 299, \%delivered),
	at('/status/302?location=/elsewhere', 'http:302', 'redirect', 302, \%stopped,
		name => 'found elsewhere', expect => { error_like => qr{/elsewhere} }),
	at('/status/307?location=/elsewhere', 'http:307', 'redirect', 307, \%postponed,
		name => 'elsewhere for a while', expect => { error_like => qr{/elsewhere} }),
	(map { at("/status/$_", "http:$_", 'validation', $_, \%refused) } 400, 422),
	at('/problem', 'http:422', 'validation', 422, \%refused,
		expect => { error_like => qr{quantity.*must be at least 1}s }),
	(map { at("/status/$_->[0]", "http:$_->[0]", $_->[1], $_->[0], \%stopped) }
		[ 401, 'auth' ], [ 402, 'permission' ], [ 403, 'permission' ], [ 404, 'not_found' ],
		[ 405, 'config' ], [ 410, 'gone' ], [ 415, 'unsupported_data' ], [ 501, 'config' ]),
	at('/status/412', 'http:412', 'conflict', 412, \%refused),
	at('/status/413', 'http:413', 'payload_too_large', 413, \%refused),
	at('/status/499', 'http:499', 'timeout_response', 499, \%exhausted),
	at('/status/480', 'http:4xx', 'validation', 480, \%refused),
	(map { at("/status/$_->[0]", "http:$_->[0]", $_->[1], $_->[0], \%exhausted) }
		[ 408, 'timeout_send' ], [ 409, 'conflict' ], [ 423, 'conflict' ], [ 500, 'remote_error' ],
		[ 502, 'remote_unavailable' ], [ 503, 'remote_unavailable' ], [ 504, 'remote_unavailable' ]),
	at('/status/507', 'http:507', 'remote_unavailable', 507, \%postponed),
	at('/status/555', 'http:5xx', 'remote_error', 555, \%exhausted),
	at('/status/700', 'http:invalid', 'protocol', 700, \%exhausted),
);

# A second request could do the work twice: only what certainly wasn't done is tried again.
sub not_idempotent
{
	my ($name, $url, $expect) = @_;
	return scenario("not idempotent: $name", $url, $expect, endpoint => { idempotent => 'false' });
}

my %unknown_outcome = (%refused, error_like => qr/look/i);
my @unknown = (
	not_idempotent('no answer', $receiver->url('/stall-before/once'),
		{ %unknown_outcome, reason => 'curl:28:response', class => 'timeout_response' }),
	not_idempotent('closed', $fresh->url('/close/once'),
		{ %unknown_outcome, reason => 'curl:52', class => 'reset' }),
	not_idempotent('500', $receiver->url('/status/500/once'),
		{ %unknown_outcome, reason => 'http:500', class => 'remote_error' }),
	not_idempotent('refused', $receiver->url('/', 'refused'),
		{ %exhausted, reason => 'curl:7:refused', class => 'connect' }),
);

my %outcome = run_scenarios($node, @connecting, @answering, @statuses, @unknown);

is($receiver->count($_)->{requests}, 1, "$_ was called once") for '/stall-before/once', '/status/500/once';
is($fresh->count('/close/once')->{requests}, 1, '/close/once was called once');
is($receiver->count('/elsewhere')->{requests}, 0, 'a redirect is not followed');
cmp_ok($outcome{'status/507'}{wait_s}, '>=', 600, 'what needs a person there waits ten minutes');
is(length($outcome{'endless/200'}{body}), 65536, 'the first 64 KiB of an answer are kept');
like($outcome{'not-utf8/500'}{body}, qr/^caf\x{FFFD}/, 'an answer that is no UTF-8 is kept readable');

is(value($node, q{SELECT count(*) FROM integration.attempt a
                   WHERE a.outcome = 'failed' AND a.error IS NULL AND a.http_status IS NULL}),
	0, 'no failed attempt without an answer is without words');
is(value($node, q{SELECT count(*) FROM integration.attempt a
                    JOIN integration.error_reason r ON r.reason = a.reason
                   WHERE a.outcome = 'failed' AND a.error_class IS DISTINCT FROM r.error_class}),
	0, 'each failed attempt has the class of its reason');
is(value($node, q{SELECT count(*) FROM integration.incident i
                   WHERE i.endpoint = 'status/401' AND i.error_class = 'auth' AND i.resolved_at IS NULL}),
	1, 'a stopped endpoint has an incident');

done_testing();
