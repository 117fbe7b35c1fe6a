# HTTP/2 over TLS to a real web server: many requests share few connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Nginx;
use Receiver;
use Test::More;

use constant SYNCS => 200;

plan skip_all => 'nginx is not installed' unless Nginx->is_installed;

my $certificates = make_certificates();
my $port = Nginx->free_port;
# A server that answers before it has read the request resets the stream, and libcurl 7.88 then
# loses the answer: so this one passes requests on.
my $receiver = Receiver->start;
my $behind = $receiver->url('/ok/');
my $nginx = Nginx->start('$connection $server_protocol $http_idempotency_key', <<"END");
server {
	listen 127.0.0.1:$port ssl http2;
	ssl_certificate $certificates/server.crt;
	ssl_certificate_key $certificates/server.key;
	location / { proxy_pass $behind; }
}
END

my $node = integration_node('main', conf => "integration.ca_file = '$certificates/ca.crt'\n");
add_endpoint($node, name => 'web', url => "https://localhost:$port/orders", max_concurrency => 32);
add_syncs($node, 'web', SYNCS);
wait_until($node, queue_is_empty(), 'everything is delivered');
is(value($node, q{SELECT count(*) FROM integration.attempt
                   WHERE attempt_no = 1 AND outcome = 'delivered' AND http_status = 200}),
	SYNCS, 'each at its first attempt');

$nginx->stop;
my @lines = $nginx->log_lines;
is(@lines, SYNCS, 'the web server saw each request');
my (%connections, %keys, %protocols);
for my $line (@lines)
{
	my ($connection, $protocol, $key) = split(' ', $line);
	$connections{$connection}++;
	$protocols{$protocol}++;
	$keys{$key}++;
}
is_deeply(\%protocols, { 'HTTP/2.0' => SYNCS }, 'all of them over HTTP/2');
is(keys %keys, SYNCS, 'each with a key of its own');
cmp_ok(keys %connections, '<=', 32, 'over few connections');

done_testing();
