# What is sent, what is read from the answers, in which order and how many at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use JSON::PP ();
use Receiver;
use Test::More;
use Time::HiRes ();

my $node = integration_node('main');
my $receiver = Receiver->start;

sub deliver
{
	my ($what, @syncs) = @_;
	my @ids = map { add_sync($node, %$_) } @syncs;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($node, state_is('delivered', @ids), $what);
	return @ids;
}

# The exact request.
{
	value($node, q{
		INSERT INTO integration.connector (name, method, headers, retry_policy)
		VALUES ('erp', 'PUT', '{"X-Connector": "erp", "X-Both": "connector"}', 'fast')});
	add_endpoint($node, connector => 'erp', name => 'exact', headers => '{"x-both": "endpoint"}',
		url => $receiver->url('/ok/exact/{object_type}/{object_id}?o={operation}'));
	my ($id) = deliver('a sync with everything',
		{   endpoint => 'exact', object_type => 'order', object_id => 'a/b ?#+%&',
			operation => 'close', headers => '{"X-Sync": "yes"}',
			traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
			payload => '{"price": 1.10, "big": 12345678901234567890.12, "text": "“good”"}' });
	my ($request) = $receiver->arrived('/ok/exact');
	is($request->{method}, 'PUT', 'the method is inherited from the connector');
	is($request->{target}, '/ok/exact/order/a%2Fb%20%3F%23%2B%25%26?o=close', 'placeholders are encoded');
	my $asked = row($node, "SELECT payload::text FROM integration.outbox WHERE id = $id");
	is($request->{body}, $asked->{payload}, 'the body is the payload');
	my %header = %{ $request->{headers} };
	is($header{'x-connector'}, 'erp', 'a header is inherited from the connector');
	is($header{'x-both'}, 'endpoint', 'the endpoint overrides it, whatever its case');
	is($header{'x-sync'}, 'yes', 'a sync adds its own');
	is(scalar(grep { $_ eq 'x-both' } @{ $request->{header_names} }),
		1, 'an overridden header is sent once');
	like($header{'content-type'}, qr{^application/json}, 'the body is said to be JSON');
	like($header{'traceparent'}, qr/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/,
		'the trace goes on');
	unlike($header{'traceparent'}, qr/b7ad6b7169203331/, 'with a span of its own');
	ok(!exists $header{'expect'}, 'nothing waits for 100 Continue');
	my $attempt = row($node, "SELECT request_url, host(remote_address) AS address, trace_id, span_id,
	                                 first_byte_ms IS NOT NULL AS timed, duration_ms < 10000 AS sane,
	                                 response_headers ->> 'content-type' AS type, response_body
	                            FROM integration.attempt WHERE outbox_id = $id");
	is($attempt->{request_url}, $receiver->url($request->{target}), 'the attempt knows the address');
	is($attempt->{address}, '127.0.0.1', 'and where it led');
	is($header{'traceparent'}, "00-$attempt->{trace_id}-$attempt->{span_id}-01", 'and the trace');
	is($attempt->{type}, 'application/json', 'and the headers of the answer');
	is($attempt->{response_body}, '{"ok": true}', 'and its body');
	ok($attempt->{timed} && $attempt->{sane}, 'and how long it took');
}

# What preview() shows is what is sent.
{
	add_endpoint($node, name => 'previewed', url => $receiver->url('/ok/previewed/{object_id}'));
	value($node, q{SELECT integration.pause('endpoint', 'previewed', 'to look first')});
	my $id = add_sync($node, endpoint => 'previewed', object_type => 'order', object_id => 'P 1');
	value($node, q{UPDATE integration.endpoint SET idempotency_key_style = 'quoted' WHERE name = 'previewed'});
	my $preview = row($node, "SELECT * FROM integration.preview($id)");
	value($node, q{SELECT integration.resume('endpoint', 'previewed')});
	wait_until($node, state_is('delivered', $id), 'a previewed sync is sent');
	my ($request) = $receiver->arrived('/ok/previewed');
	is($preview->{method}, $request->{method}, 'preview() knows the method');
	is($preview->{url}, $receiver->url($request->{target}), 'preview() knows the address');
	is($preview->{body}, $request->{body}, 'preview() knows the body');
	my %told = map { /^([^:]+): (.*)/ ? (lc $1 => $2) : () } split /\n/, $preview->{headers};
	my %sent = %{ $request->{headers} };
	delete @sent{qw(host content-length traceparent)};
	is_deeply(\%told, \%sent, 'preview() knows the headers');
	is($sent{'idempotency-key'}, qq("$sent{'webhook-id'}"), 'a key is quoted from the change on');
}

# CloudEvents.
{
	add_endpoint($node, name => 'binary', url => $receiver->url('/ok/binary'), format => 'cloudevents');
	add_endpoint($node, name => 'structured', url => $receiver->url('/ok/structured'),
		format => 'cloudevents-structured');
	deliver('both forms of CloudEvents',
		map { { endpoint => $_, object_type => 'order', object_id => '7' } } 'binary', 'structured');
	my ($binary) = $receiver->arrived('/ok/binary');
	is($binary->{headers}{'ce-specversion'}, '1.0', 'the binary form says so in headers');
	is($binary->{headers}{'ce-id'}, $binary->{key}, 'its id is the key');
	is($binary->{body}, '{"n": 1}', 'its body is the payload');
	my ($structured) = $receiver->arrived('/ok/structured');
	my $envelope = JSON::PP->new->decode($structured->{body});
	is($envelope->{specversion}, '1.0', 'the structured form says so in the body');
	is($envelope->{id}, $structured->{key}, 'its id is the key');
	is_deeply($envelope->{data}, { n => 1 }, 'its data is the payload');
	like($structured->{headers}{'content-type'}, qr{^application/cloudevents\+json}, 'its type says so');
}

# The other system's own id.
{
	add_endpoint($node, name => 'orders', url => $receiver->url('/create/{object_id}'),
		remote_id_path => '$.id');
	deliver('an order is created', { endpoint => 'orders', object_type => 'order', object_id => 'O1' });
	is(value($node, q{SELECT remote_id FROM integration.object_status WHERE object_id = 'O1'}),
		'R-O1', 'its id at the other side is kept');
	my $address = $receiver->url('/ok/orders/{remote_id}');
	value($node, "UPDATE integration.endpoint SET url = '$address', method = 'PATCH' WHERE name = 'orders'");
	deliver('the order is changed', { endpoint => 'orders', object_type => 'order', object_id => 'O1' });
	my ($request) = $receiver->arrived('/ok/orders');
	is("$request->{method} $request->{path}", 'PATCH /ok/orders/R-O1', 'under the id of the other side');
	my $unknown = add_sync($node, endpoint => 'orders', object_type => 'order', object_id => 'O2');
	wait_until($node, state_is('failed', $unknown), 'an order without such an id fails');
	is(value($node, "SELECT reason FROM integration.attempt WHERE outbox_id = $unknown"),
		'template_data_error', 'the attempt says that a value is missing');
}

# The user's own reading of an answer.
{
	value($node, q{
		INSERT INTO integration.error_rule (position, endpoint, status_from, status_to, match, error_class)
		VALUES (10, NULL, 200, 299, '$.success == false', 'validation'),
		       (20, NULL, 409, 409, '$.code == "already_exists"', 'delivered')});
	add_endpoint($node, name => 'says no', url => $receiver->url('/success-false'));
	add_endpoint($node, name => 'has it', url => $receiver->url('/conflict-exists'));
	my $refused = add_sync($node, endpoint => 'says no');
	deliver('409 "already exists" can mean delivered', { endpoint => 'has it' });
	wait_until($node, state_is('failed', $refused), '200 with success: false can mean failed');
	my $attempt = row($node, "SELECT reason, error_class, http_status, error FROM integration.attempt
	                           WHERE outbox_id = $refused");
	is_deeply($attempt,
		{ reason => 'response_rejected', error_class => 'validation', http_status => 200,
			error => 'the order is locked' }, 'the attempt says what the body said');
}

# An object that isn't there, at an endpoint that works.
{
	add_endpoint($node, name => 'items', url => $receiver->url('/ok/items/{object_id}'));
	$receiver->switch('/ok/items/gone', '/status/404');
	deliver('one object is there', { endpoint => 'items', object_type => 'order', object_id => 'here' });
	my $gone = add_sync($node, endpoint => 'items', object_type => 'order', object_id => 'gone');
	wait_until($node, state_is('failed', $gone), 'another one is not');
	is(value($node, "SELECT reason FROM integration.attempt WHERE outbox_id = $gone"),
		'http:404:item', 'which is the fault of that object');
	is(value($node, q{SELECT state FROM integration.endpoint_status WHERE name = 'items'}),
		'closed', 'and stops nothing');
}

# One connection serves many; several at once never more than allowed.
{
	add_endpoint($node, name => 'single', url => $receiver->url('/ok/single'), max_concurrency => 1);
	add_syncs($node, 'single', 50);
	wait_until($node, queue_of('single'), 'fifty syncs, one at a time');
	is_deeply($receiver->count('/ok/single'),
		{ requests => 50, keys => 50, most_per_key => 1, most_at_once => 1, connections => 1 }, 'over one connection');

	add_endpoint($node, name => 'pair', url => $receiver->url('/slow/pair?seconds=0.3'),
		max_concurrency => 2);
	add_syncs($node, 'pair', 8);
	wait_until($node, queue_of('pair'), 'eight slow syncs, two at a time');
	my @at = map { $_->{at} } $receiver->arrived('/slow/pair');
	is(scalar(grep { $at[ $_ + 2 ] - $at[$_] < 0.29 } 0 .. $#at - 2), 0, 'never a third one');

	add_endpoint($node, name => 'rated', url => $receiver->url('/ok/rated'), rate_limit => 10,
		rate_burst => 1);
	# The receiver may have been late for the first of them.
	my $began = Time::HiRes::time();
	add_syncs($node, 'rated', 6);
	wait_until($node, queue_of('rated'), 'six syncs, ten a second');
	@at = map { $_->{at} } $receiver->arrived('/ok/rated');
	cmp_ok($at[5] - $began, '>=', 0.49, 'not faster than that');
}

# Order, time.
{
	add_endpoint($node, name => 'ordered', url => $receiver->url('/flaky/ordered?fail=1'));
	my @ids = deliver('three syncs of one ordering key',
		map { { endpoint => 'ordered', ordering_key => 'k', payload => qq({"n": $_}) } } 1 .. 3);
	is_deeply([ map { JSON::PP->new->decode($_->{body})->{n} } $receiver->arrived('/flaky/ordered') ],
		[ 1, 1, 2, 2, 3, 3 ], 'go one after the other, failures included');

	add_endpoint($node, name => 'later', url => $receiver->url('/ok/later'));
	my $due = value($node, q{SELECT extract(epoch FROM clock_timestamp()) + 1});
	deliver('a sync for later',
		{ endpoint => 'later', send_after => value($node, "SELECT to_timestamp($due)") });
	my ($request) = $receiver->arrived('/ok/later');
	cmp_ok($request->{at}, '>=', $due, 'does not leave before');

	value($node, q{SELECT integration.pause('endpoint', 'later', 'until it is too late')});
	my $late = add_sync($node, endpoint => 'later',
		expires_at => value($node, q{SELECT clock_timestamp() + interval '1 s'}));
	wait_until($node, state_is('expired', $late), 'a sync that waited too long expires');
	is($receiver->count('/ok/later')->{requests}, 1, 'and is not sent');
}

# An answer to a ping, whatever it says, means that somebody is there.
{
	add_endpoint($node, name => 'pinged', url => $receiver->url('/status/405'));
	my $id = value($node, q{SELECT integration.ping('pinged')});
	wait_until($node, state_is('delivered', $id), 'a ping is answered');
	is(($receiver->arrived('/status/405'))[0]{method}, 'HEAD', 'and asks for nothing');
}

sub queue_of
{
	my ($endpoint) = @_;
	return "SELECT count(*) = 0 FROM integration.queue q
	          JOIN integration.endpoint e ON e.id = q.endpoint_id WHERE e.name = '$endpoint'";
}

done_testing();
