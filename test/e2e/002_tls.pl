# What can be wrong with a certificate, what the endpoint's health makes of it, who is trusted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

# An idle worker sleeps for ten.
use constant SOON_S => 7;

my $certificates = make_certificates();
my $receiver = Receiver->start(certificates => $certificates);
my $node = integration_node('main');

# A worker that has nothing to do makes way at once for one that trusts somebody else.
{
	wait_until($node, q{SELECT last_turn_at < clock_timestamp() - interval '1 s' FROM integration.worker_status},
		'the worker sleeps');
	my $before = worker_pid($node);
	$node->append_conf('postgresql.conf', "integration.ca_file = '$certificates/ca.crt'\n");
	$node->reload;
	wait_until($node, worker_runs('postgres') . " AND pid <> $before", 'a new ca_file wakes it, the next one has it',
		deadline_s => SOON_S);
}

sub scenario
{
	my ($name, $listener, $expect) = @_;
	return {
		name => $name,
		endpoint => { url => $receiver->url('/ok', $listener, 'https') },
		expect => { attempts => 1, status => undef, class => 'tls', %$expect }
	};
}

my %stopped = (reason => 'curl:60', state => 'retrying', health => 'stopped');

my %outcome = run_scenarios($node,
	scenario('trusted', 'tls',
		{ reason => 'http:200', class => undef, status => 200, state => 'delivered', health => 'closed' }),
	scenario('expired', 'expired', { %stopped, error_like => qr/expired/ }),
	scenario('misnamed', 'wronghost', { %stopped, error_like => qr/name/ }),
	scenario('unknown issuer', 'unknown', { %stopped, error_like => qr/issuer/ }),
	scenario('wants a client certificate', 'client',
		{ %stopped, reason => 'curl:56:certificate', error_like => qr/certificate required/ }),
	scenario('no cipher in common', 'nocipher',
		{ reason => 'curl:35:refused', state => 'retrying', health => 'closed' }));

cmp_ok($outcome{'no cipher in common'}{wait_s}, '>=', 600, 'a refused handshake is not tried at once');

my $handshake = row($node, q{
	SELECT a.tls_ms IS NOT NULL AS tls, a.connect_ms IS NOT NULL AS connect,
	       host(a.remote_address) AS address
	  FROM integration.attempt a
	  JOIN integration.endpoint e ON e.id = a.endpoint_id
	 WHERE e.name = 'trusted'});
is_deeply($handshake, { tls => JSON::PP::true, connect => JSON::PP::true, address => '127.0.0.1' },
	'the attempt says how long the handshake took');

# The other side renews its certificate: an endpoint whose address is changed is probed at once.
my $address = $receiver->url('/ok', 'tls', 'https');
value($node, qq{UPDATE integration.endpoint SET url = '$address' WHERE name = 'expired'});
wait_until($node, q{SELECT state = 'delivered' FROM integration.sync WHERE endpoint = 'expired'},
	'a stopped endpoint goes on when it is put right');
is(value($node, q{SELECT h.state FROM integration.endpoint_health h
                    JOIN integration.endpoint e ON e.id = h.endpoint_id WHERE e.name = 'expired'}),
	'closed', 'its health is good again');

# Without ca_file only the system's issuers are trusted.
$node->append_conf('postgresql.conf', "integration.ca_file = ''\n");
$node->reload;
wait_until($node, setting_is('integration.ca_file', ''), 'ca_file can be reset by a reload');
add_endpoint($node, name => 'system', url => $receiver->url('/ok', 'tls', 'https'));
my $id = add_sync($node, endpoint => 'system');
wait_until($node, "SELECT reason = 'curl:60' FROM integration.sync WHERE id = $id",
	'the issuer of the tests is not trusted by default');

done_testing();
