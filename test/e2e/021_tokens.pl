# Access tokens: asked for once for all that wait, renewed in time, never seen; what their endpoint refuses stops ours.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use MIME::Base64 ();
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;
use Time::HiRes ();

use constant CLIENT => 'the client: 1';

my $secret = 'canary secret+%: 91';
my $node = integration_node('main', conf => "log_min_messages = debug1\n");
my $server = Receiver->start(program => 'token_server.py');
my $receiver = Receiver->start;
my $key_file = $node->basedir . '/integration.key';

open(my $key, '>', $key_file) or die "$key_file: $!";
print $key join('', map { chr(int(rand(256))) } 1 .. 32);
close $key or die "$key_file: $!";
chmod 0600, $key_file;
value($node, "ALTER SYSTEM SET integration.secret_key_file = '$key_file'");
$node->reload;
wait_until($node, setting_is('integration.secret_key_file', $key_file), 'there is a key');

# A client with a secret, and the endpoint of the same name.
sub add_client
{
	my ($name, %options) = @_;
	my %settings = (token_url => $server->url('/token'), client_id => CLIENT, %{ $options{settings} // {} });
	value($node, sprintf(q{INSERT INTO integration.credential VALUES (%s, 'oauth2_client_credentials', %s);
	                       SELECT integration.set_secret(%s, %s)},
		quoted($name), quoted(JSON::PP->new->encode(\%settings)), quoted($name), quoted($options{secret} // $secret)));
	add_endpoint($node, name => $name, credential => $name, url => $server->url($options{path} // "/api/$name"),
		%{ $options{endpoint} // {} });
	return;
}

sub asked
{
	return scalar $server->arrived('/token');
}

sub statuses
{
	my ($path) = @_;
	my %count;
	$count{ $_->{status} }++ for $server->arrived($path);
	return \%count;
}

sub all_are
{
	my ($endpoint, $state, $count) = @_;
	return "SELECT count(*) = $count FROM integration.sync WHERE endpoint = '$endpoint' AND state = '$state'";
}

# How many attempts of the endpoint's syncs stand in the books.
sub attempts
{
	my ($endpoint) = @_;
	return value($node, "SELECT count(*) FROM integration.attempt WHERE endpoint_id =
	                     (SELECT id FROM integration.endpoint WHERE name = '$endpoint')");
}

# One request for all that wait; who needs no token does not.
{
	$server->ask('set', secret => $secret, hold => 1);
	add_client('shop', settings => { scope => 'read write:all', audience => 'https://shop/' });
	add_endpoint($node, name => 'other', credential => 'shop', url => $server->url('/api/other'));
	add_endpoint($node, name => 'plain', url => $receiver->url('/ok'));
	add_syncs($node, 'shop', 20);
	add_syncs($node, 'other', 5);
	my $id = add_sync($node, endpoint => 'plain');
	wait_until($node, state_is('delivered', $id), 'another endpoint is served');
	ok(wait_for(sub { asked() == 1 }), 'a token is asked for');
	is(scalar $server->arrived('/api/'), 0, 'while these wait');
	wait_until($node, q{SELECT bool_and(integration.why(s.id) LIKE '%as soon as there is an access token for endpoint "shop"%')
	                      FROM integration.sync s WHERE s.endpoint = 'shop'}, 'why() says for what');
	$server->ask('set', hold => '');
	wait_until($node, all_are('shop', 'delivered', 20), 'they are delivered');
	wait_until($node, all_are('other', 'delivered', 5), 'so are those of another endpoint with the credential');
	is(attempts('shop'), 20, 'at the first attempt');
	my @requests = $server->arrived('/token');
	is(scalar @requests, 1, 'one token was asked for');
	is($requests[0]{body}, 'grant_type=client_credentials&scope=read+write%3Aall&audience=https%3A%2F%2Fshop%2F', 'in a form');
	is($requests[0]{headers}{authorization},
		'Basic ' . MIME::Base64::encode_base64('the+client%3A+1:canary+secret%2B%25%3A+91', ''), 'by the client');
	my $body = value($node, "SELECT DISTINCT response_body FROM integration.attempt WHERE outbox_id <> $id");
	is($body, '{"shown": "***"}', 'a token that is echoed is masked');
	add_client('body', settings => { auth => 'body' });
	add_syncs($node, 'body', 1);
	wait_until($node, all_are('body', 'delivered', 1), 'a client may stand in the body');
	my $last = ($server->arrived('/token'))[-1];
	is($last->{body}, 'grant_type=client_credentials&client_id=the+client%3A+1&client_secret=canary+secret%2B%25%3A+91', 'as a form has it');
	ok(!exists $last->{headers}{authorization}, 'and there alone');
}

# Renewed before it ends.
{
	my $before = asked();
	my $began = Time::HiRes::time();
	$server->ask('set', life_s => 4, delay_s => 0.2);
	add_client('brief');
	for (my $count = 1; Time::HiRes::time() < $began + 6; $count++)
	{
		add_syncs($node, 'brief', 1);
		Time::HiRes::sleep(0.05);
	}
	wait_until($node, "SELECT count(*) = 0 FROM integration.queue", 'tokens of a short life serve');
	is_deeply([ keys %{ statuses('/api/brief') } ], [200], 'none was shown when its life was over');
	cmp_ok(asked() - $before, '>=', 2, 'several were asked for');
	cmp_ok(asked() - $before, '<=', 1 + (Time::HiRes::time() - $began) / (0.7 * 4), 'each when most of the life of the one before was over');
	$server->ask('set', life_s => 3600, delay_s => 0);
}

# Revoked: each is sent once again, with the one other token.
for my $idempotent ('true', 'false')
{
	my $name = "revoked_$idempotent";
	add_client($name, endpoint => { idempotent => $idempotent });
	add_syncs($node, $name, 1);
	wait_until($node, all_are($name, 'delivered', 1), "a token is there (idempotent $idempotent)");
	my $before = asked();
	$server->ask('revoke');
	add_syncs($node, $name, 20);
	wait_until($node, all_are($name, 'delivered', 21), 'what was refused with it is sent with another one');
	is(asked() - $before, 1, 'which was asked for once');
	is(attempts($name), 21, 'no attempt is charged');
	ok(statuses("/api/$name")->{401}, 'though there were refusals');
	is(value($node, "SELECT count(*) FROM integration.queue WHERE claimed_at IS NOT NULL"), 0, 'no mark is left');
}

# What is refused with another one, too, is refused.
{
	add_client('denied', path => '/denied/x');
	my $before = asked();
	my $id = add_sync($node, endpoint => 'denied');
	wait_until($node, "SELECT count(*) = 1 FROM integration.attempt WHERE outbox_id = $id AND reason = 'http:401'", 'a second refusal stands');
	is(scalar $server->arrived('/denied'), 2, 'after two requests');
	is(asked() - $before, 2, 'with a token each');
	is(value($node, "SELECT state FROM integration.endpoint_status WHERE name = 'denied'"), 'stopped', 'the endpoint is stopped');
	value($node, q{SELECT integration.resume('endpoint', 'denied')});
	wait_until($node, "SELECT count(*) = 2 FROM integration.attempt WHERE outbox_id = $id AND reason = 'http:401'", 'once more');
	is(asked() - $before, 2, 'no third token is asked for so soon');
}

# A new secret: another token, while the old one serves.
{
	my $before = asked();
	my $next = 'canary next secret';
	$server->ask('set', secret => $next, former => $secret);
	value($node, "SELECT integration.set_secret('shop', " . quoted($next) . ')');
	$server->ask('set', former => '', delay_s => 0.3);
	add_syncs($node, 'shop', 20);
	wait_until($node, all_are('shop', 'delivered', 40), 'nothing is missed when the secret changes');
	ok(wait_for(sub {
		add_syncs($node, 'shop', 1);
		return asked() - $before == 1;
	}), 'another token is asked for');
	like(MIME::Base64::decode_base64((($server->arrived('/token'))[-1]{headers}{authorization} =~ /Basic (.*)/)[0]),
		qr/:canary\+next\+secret$/, 'with the new secret');
	wait_until($node, q{SELECT bool_and(state = 'delivered') FROM integration.sync WHERE endpoint = 'shop'}, 'all are delivered');
	is(attempts('shop'), value($node, "SELECT count(*) FROM integration.sync WHERE endpoint = 'shop' AND state = 'delivered'"), 'at the first attempt');
	$server->ask('set', secret => $secret, delay_s => 0);
}

# What the token endpoint says in place of one.
sub refuse_with
{
	my ($name, $status, $body, $reason, $error) = @_;
	my $before = asked();
	$server->ask('set', status => $status, body => $body);
	add_client($name);
	add_syncs($node, $name, 20);
	wait_until($node, "SELECT count(*) >= 1 FROM integration.attempt WHERE reason = '$reason' AND endpoint_id =
	                   (SELECT id FROM integration.endpoint WHERE name = '$name')", "$name is $reason");
	my $attempt = row($node, "SELECT error, http_status FROM integration.attempt WHERE reason = '$reason' AND endpoint_id =
	                          (SELECT id FROM integration.endpoint WHERE name = '$name') ORDER BY started_at LIMIT 1");
	is($attempt->{error}, $error, 'the attempt says why');
	is($attempt->{http_status}, undef, 'it is no answer of the API');
	cmp_ok(attempts($name), '<=', asked() - $before, 'each request fails one sync at most');
	is(scalar $server->arrived("/api/$name"), 0, 'nothing was sent');
	$server->ask('set', status => '', body => '');
	return;
}

sub is_stopped
{
	my ($name) = @_;
	is(value($node, "SELECT state FROM integration.endpoint_status WHERE name = '$name'"), 'stopped', 'the endpoint is stopped');
	is(value($node, "SELECT sum(charged) FROM integration.queue WHERE endpoint_id =
	                 (SELECT id FROM integration.endpoint WHERE name = '$name')"), 0, 'nothing is charged');
	return;
}

{
	my $quoted = '{"error":"invalid_client","error_description":"{secret} is wrong"}';
	refuse_with('client', 401, $quoted, 'oauth_rejected', 'The token endpoint says invalid_client: *** is wrong (401)');
	is_stopped('client');
	value($node, "SELECT integration.set_secret('client', " . quoted($secret) . ')');
	wait_until($node, all_are('client', 'delivered', 20), 'a new secret sets it going');
	refuse_with('scope', 400, '{"error":"invalid_scope"}', 'oauth_rejected', 'The token endpoint says invalid_scope (400)');
	is_stopped('scope');
	value($node, "UPDATE integration.credential SET settings = settings || '{\"scope\": \"all\"}' WHERE name = 'scope'");
	wait_until($node, all_are('scope', 'delivered', 20), 'other settings set it going');
	refuse_with('down', 503, '<html>', 'oauth_unavailable', 'The token endpoint answers 503.');
	wait_until($node, all_are('down', 'delivered', 20), 'once it is back all is delivered');
	refuse_with('page', 200, '<html>', 'oauth_unavailable', 'The token endpoint answers without an access_token, or not in JSON.');
	wait_until($node, all_are('page', 'delivered', 20), 'once it is back all is delivered');
	$server->ask('set', retry_after => 2);
	refuse_with('busy', 429, '', 'oauth_rate_limited', 'The token endpoint answers 429.');
	cmp_ok(value($node, "SELECT extract(epoch FROM retry_after_until - last_failure_at) FROM integration.endpoint_health WHERE endpoint_id =
	                     (SELECT id FROM integration.endpoint WHERE name = 'busy')"), '>=', 1.9, 'for so long the endpoint is left alone');
	wait_until($node, all_are('busy', 'delivered', 20), 'after the wait all is delivered');
	$server->ask('set', retry_after => '');
}

# Not to be reached, not to be called.
{
	add_client('refused', settings => { token_url => $receiver->url('/', 'refused') });
	my $id = add_sync($node, endpoint => 'refused');
	wait_until($node, "SELECT count(*) > 0 FROM integration.attempt WHERE outbox_id = $id AND reason = 'oauth_unavailable'
	                      AND error LIKE 'The token endpoint cannot be reached: %'", 'a token endpoint that is down');
	add_client('blocked', settings => { token_url => 'http://127.0.0.2:' . $server->port . '/token' });
	value($node, "ALTER SYSTEM SET integration.allowed_networks = '127.0.0.1/32'");
	$node->reload;
	wait_until($node, setting_is('integration.allowed_networks', '127.0.0.1/32'), 'fewer networks are allowed');
	$id = add_sync($node, endpoint => 'blocked');
	wait_until($node, "SELECT count(*) > 0 FROM integration.attempt WHERE outbox_id = $id AND reason = 'blocked_private_address'
	                      AND error LIKE 'The token endpoint cannot be called: %'", 'the address policy holds for it, too');
}

# The worker ends while it waits for a token.
{
	my $before = asked();
	$server->ask('set', hold => 1);
	add_client('ended');
	add_syncs($node, 'ended', 5);
	ok(wait_for(sub { asked() > $before }), 'a token is asked for');
	$node->restart;
	$server->ask('set', hold => '');
	wait_until($node, all_are('ended', 'delivered', 5), 'the next worker asks for one of its own');
	is(attempts('ended'), 5, 'nothing is charged');
}

# Nothing of it stands anywhere.
{
	my %seen;
	$seen{ $_->{headers}{authorization} =~ s/^Bearer //r }++ for $server->arrived('/api');
	value($node, 'CHECKPOINT');
	my $patterns = $node->basedir . '/patterns';
	append_to_file($patterns, join('', map { "$_\n" } keys %seen, 'canary secret', 'canary+secret', 'canary next',
		MIME::Base64::encode_base64('the+client%3A+1:canary', '') =~ s/=*$//r));
	cmp_ok(scalar keys %seen, '>', 10, 'there were tokens');
	is(`grep -rlFf '$patterns' '@{[ $node->data_dir ]}' '@{[ $node->logfile ]}'`, '', 'no token stands anywhere, nor a secret');
	append_to_file($patterns, "invalid_scope (400)\n");
	isnt(`grep -rlFf '$patterns' '@{[ $node->data_dir ]}'`, '', 'the search does find things');
}

$node->stop('fast');
done_testing();
