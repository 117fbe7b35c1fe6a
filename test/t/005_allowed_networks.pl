# What may be called: refused when it is known, blocked when it turns out, reloaded on SIGHUP.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');
my $port = $receiver->port;

sub allow
{
	my ($networks) = @_;
	$node->append_conf('postgresql.conf', "integration.allowed_networks = '$networks'\n");
	$node->reload;
	wait_until($node, setting_is('integration.allowed_networks', $networks), "allowed are now: '$networks'");
	return;
}

sub refusal
{
	my ($url) = @_;
	my $error;
	$node->psql('postgres', "INSERT INTO integration.endpoint (name, url) VALUES ('refused', '$url')",
		stderr => \$error);
	return $error;
}

add_endpoint($node, name => 'named', url => "http://localhost:$port/ok/named", allow_http => 'true');
add_endpoint($node, name => 'secure', url => "https://localhost:$port/ok/secure");
allow('');

# What is known beforehand is refused beforehand.
for my $url ("http://127.0.0.1:$port/ok", 'https://10.0.0.1/', 'https://[::1]/', 'https://localhost/',
	'https://169.254.169.254/', 'https://2130706433/', 'ftp://example.com/', 'file:///etc/passwd',
	'https://user:secret@example.com/', 'https://example.com:22/', 'example.com', '')
{
	like(refusal($url), qr/ERROR: .*HINT: /s, "an endpoint can't have the address '$url'");
}

# What turns out when the name is looked up is blocked: the endpoint stops, its sync is not lost.
my %id = map { $_ => add_sync($node, endpoint => $_) } 'named', 'secure';
for my $name (sort keys %id)
{
	wait_until($node, "SELECT state = 'stopped' FROM integration.endpoint_status WHERE name = '$name'",
		"$name: the endpoint is stopped");
	is_deeply(row($node, "SELECT reason, error_class FROM integration.attempt WHERE outbox_id = $id{$name}"),
		{ reason => 'blocked_private_address', error_class => 'blocked_by_policy' },
		"$name: the attempt says why");
	is_deeply(row($node, "SELECT state, attempts FROM integration.sync WHERE id = $id{$name}"),
		{ state => 'retrying', attempts => 1 }, "$name: the sync waits");
}
is($receiver->count('/')->{requests}, 0, 'nothing was sent');

# Plain http, to a public address, by somebody whose permission was withdrawn.
value($node, q{
	SET session_replication_role = replica;
	INSERT INTO integration.endpoint (name, url) VALUES ('plain', 'http://192.31.196.1/');
	SET session_replication_role = origin;
	UPDATE integration.connector SET title = title});
my $plain = add_sync($node, endpoint => 'plain');
wait_until($node, "SELECT reason = 'blocked_scheme' FROM integration.sync WHERE id = $plain",
	'plain http is blocked outside of allowed networks');

# The list is read again on SIGHUP.
allow('127.0.0.0/8, ::1');
value($node, q{SELECT integration.resume('endpoint', 'named')});
wait_until($node, state_is('delivered', $id{named}), 'an allowed address works without a restart');

# … also when it becomes shorter, and also for a connection that is open.
allow('10.0.0.0/8');
my $late = add_sync($node, endpoint => 'named');
wait_until($node, "SELECT reason = 'blocked_private_address' FROM integration.sync WHERE id = $late",
	'what is not on it any more is blocked');
is($receiver->count('/ok/named')->{requests}, 1, 'nothing was sent there');

# A list that can't be read changes nothing, and the log says so.
my $before = -s $node->logfile;
$node->append_conf('postgresql.conf', "integration.allowed_networks = 'localhost'\n");
$node->reload;
ok(wait_for(sub {
	PostgreSQL::Test::Utils::slurp_file($node->logfile, $before) =~ /integration\.allowed_networks/;
}), 'a bad list is refused in the log');
is(value($node, 'SHOW integration.allowed_networks'), '10.0.0.0/8', 'a bad list changes nothing');

done_testing();
