# Where we may call: what each setting blocks, that it says which, and that a reload heals it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;

# An environment that names a proxy has no say: nothing listens there.
my $nowhere = $receiver->url('', 'refused');
local @ENV{qw(http_proxy https_proxy all_proxy)} = ($nowhere) x 3;
my $node = integration_node('main');

sub set
{
	my ($setting, $value) = @_;
	$node->append_conf('postgresql.conf', "integration.$setting = '$value'\n");
	$node->reload;
	wait_until($node, setting_is("integration.$setting", $value), "$setting is now '$value'");
	return;
}

sub refusal
{
	my ($statement) = @_;
	my $error;
	$node->psql('postgres', $statement, stderr => \$error);
	return $error;
}

my $port = $receiver->port;
add_endpoint($node, name => 'shop', url => "http://localhost:$port/ok/shop", allow_http => 'true');
my $first = add_sync($node, endpoint => 'shop');
wait_until($node, state_is('delivered', $first), 'the endpoint works, without the proxy that the environment names');

# What each setting closes: the connection that is open is not used again, the endpoint stops and
# says what to change; when it is changed the sync that waited goes without anybody's doing.
for my $case (
	[ 'allowed_networks', '10.0.0.0/8', '127.0.0.0/8, ::1', 'blocked_private_address', qr/^address \S+ is in a protected network/ ],
	[ 'allowed_ports', '443, 8443', '', 'blocked_port', qr/^address \S+ may not be called on this port/ ],
	[ 'allowed_hosts', 'api.example.com, *.localhost', '*.example.com, localhost', 'blocked_host', qr/^host localhost is not in/ ])
{
	my ($setting, $closed, $open, $reason, $error) = @$case;
	my $before = $receiver->count('/ok/shop')->{requests};
	set($setting, $closed);
	my $id = add_sync($node, endpoint => 'shop');
	wait_until($node, "SELECT state = 'stopped' FROM integration.endpoint_status WHERE name = 'shop'",
		"$setting: the endpoint is stopped");
	my $sync = row($node, "SELECT state, reason, error_class, error, remedy FROM integration.sync WHERE id = $id");
	is_deeply([ @$sync{qw(state reason error_class)} ], [ 'retrying', $reason, 'blocked_by_policy' ],
		"$setting: the sync waits and says why");
	like($sync->{error}, $error, "$setting: what may not be called is said");
	like($sync->{error}, qr/integration\.$setting/, "$setting: the error names it");
	like($sync->{remedy}, qr/have a superuser .*integration\.$setting/, "$setting: so does the remedy, and who can change it");
	is($receiver->count('/ok/shop')->{requests}, $before, "$setting: nothing was sent");
	set($setting, $open);
	wait_until($node, state_is('delivered', $id), "$setting: it goes when it may");
}
set('allowed_hosts', '');

# A redirect is not followed, wherever it leads; the error says where that is.
add_endpoint($node, name => 'moved',
	url => $receiver->url('/status/302?location=http://169.254.169.254/latest/meta-data/'));
my $moved = add_sync($node, endpoint => 'moved');
wait_until($node, "SELECT reason = 'http:302' FROM integration.sync WHERE id = $moved", 'a redirect is a failure');
like(value($node, "SELECT error FROM integration.sync WHERE id = $moved"), qr{http://169\.254\.169\.254/latest/meta-data/},
	'that names the place');

# What is known when an endpoint is made is refused then, with the way out.
set('allowed_networks', '');
my @refusals = (
	[ 'https://10.0.0.1/', 'allowed_networks' ],
	[ 'https://0251.0376.0251.0376/', 'allowed_networks' ],
	[ 'https://[::ffff:169.254.169.254]/', 'allowed_networks' ],
	[ 'https://127.0.0.1./', 'allowed_networks' ],
	[ 'https://any.localhost/', 'allowed_networks' ],
	[ 'https://api.example.com:25/', 'allowed_ports' ]);
for my $case (@refusals)
{
	my ($url, $setting) = @$case;
	like(refusal("INSERT INTO integration.endpoint (name, url) VALUES ('x', '$url')"),
		qr/ERROR: .*DETAIL: .*integration\.$setting.*HINT: .*superuser.*ALTER SYSTEM SET integration\.$setting/s,
		"$url is refused, which names $setting");
}
like(refusal("INSERT INTO integration.endpoint (name, url) VALUES ('x', 'http://api.example.com/')"),
	qr/ERROR: .*HINT: .*https, or have a superuser set allow_http/s, 'plain http is refused');
set('allowed_hosts', 'api.example.com');
set('allowed_ports', '443');
for my $case ([ 'https://api.example.org/', 'allowed_hosts' ], [ 'https://8.8.8.8/', 'allowed_hosts' ],
	[ 'https://api.example.com:8443/', 'allowed_ports' ])
{
	my ($url, $setting) = @$case;
	like(refusal("INSERT INTO integration.endpoint (name, url) VALUES ('x', '$url')"),
		qr/DETAIL: .*not in integration\.$setting.*HINT: .*superuser/s, "$url is refused, which names $setting");
}
add_endpoint($node, name => 'listed', url => 'https://API.example.com./orders');
ok(1, 'a host and a port that are listed are taken');

# The address that tokens come from is held to the same.
like(refusal(q{INSERT INTO integration.credential (name, kind, settings) VALUES ('crm', 'oauth2_client_credentials',
		'{"token_url": "https://login.example.org/token", "client_id": "me"}')}),
	qr/DETAIL: .*not in integration\.allowed_hosts/, 'a token address is refused likewise');

# Lists that can't be read are refused, and nobody but a superuser writes them.
for my $case ([ 'allowed_ports', 'https', qr/Write ports/ ], [ 'allowed_hosts', 'https://api.example.com', qr/Write names/ ])
{
	my ($setting, $value, $hint) = @$case;
	like(refusal("ALTER SYSTEM SET integration.$setting = '$value'"), qr/ERROR: .*DETAIL: .*is n.*HINT: .*$hint/s,
		"$setting can't be '$value'");
	like(refusal("SET integration.$setting = ''"), qr/cannot be changed now/, "$setting is no session's affair");
	like(refusal("CREATE ROLE clerk; SET ROLE clerk; ALTER SYSTEM SET integration.$setting = ''"),
		qr/must be superuser|permission denied/, "$setting is a superuser's affair");
	$node->psql('postgres', 'DROP ROLE IF EXISTS clerk');
}

# Who enqueues doesn't say where to.
value($node, q{CREATE ROLE shop LOGIN; SELECT integration.grant_producer('shop');
	CREATE ROLE keeper LOGIN; SELECT integration.grant_administrator('keeper')});
for my $statement (q{UPDATE integration.endpoint SET url = 'https://api.example.com/evil'},
	q{INSERT INTO integration.endpoint (name, url) VALUES ('evil', 'https://api.example.com/evil')},
	q{UPDATE integration.connector SET title = 'evil'})
{
	like(refusal("SET ROLE shop; $statement"), qr/permission denied/, "a producer can't: $statement");
}
is($node->psql('postgres', q{SET ROLE keeper; UPDATE integration.endpoint SET url = 'https://api.example.com/' WHERE name = 'listed'}),
	0, 'an administrator can');
like(refusal(q{SET ROLE keeper; UPDATE integration.endpoint SET allow_http = true WHERE name = 'listed'}),
	qr/only a superuser may set allow_http/, 'but not over plain http');

done_testing();
