# HTTP/2 over TLS to a real web server: many requests share few connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

use constant SYNCS => 200;

my ($nginx) = grep { -x $_ } '/usr/sbin/nginx', '/usr/local/sbin/nginx';
plan skip_all => 'nginx is not installed' unless defined $nginx;

my $certificates = make_certificates();
my $directory = PostgreSQL::Test::Utils::tempdir();
my $port = free_port();
# A server that answers before it has read the request resets the stream, and libcurl 7.88 then
# loses the answer: so this one passes requests on.
my $receiver = Receiver->start;
my $behind = $receiver->url('/ok/');
start_nginx();

my $node = integration_node('main', conf => "integration.ca_file = '$certificates/ca.crt'\n");
add_endpoint($node, name => 'web', url => "https://localhost:$port/orders", max_concurrency => 32);
add_syncs($node, 'web', SYNCS);
wait_until($node, queue_is_empty(), 'everything is delivered');
is(value($node, q{SELECT count(*) FROM integration.attempt
                   WHERE attempt_no = 1 AND outcome = 'delivered' AND http_status = 200}),
	SYNCS, 'each at its first attempt');

stop_nginx();
my @lines = split(/\n/, PostgreSQL::Test::Utils::slurp_file("$directory/access.log"));
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

# Between here and nginx's start somebody else could take the port: then nginx fails, and so do we.
sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) // die $!;
	return $socket->sockport;
}

sub start_nginx
{
	mkdir("$directory/temp") || die $!;
	my $temporary = join("\n",
		map { "\t${_}_temp_path $directory/temp/$_;" } qw(client_body proxy fastcgi uwsgi scgi));
	PostgreSQL::Test::Utils::append_to_file("$directory/nginx.conf", <<"END");
pid $directory/nginx.pid;
error_log $directory/error.log;
events { }
http {
	log_format requests '\$connection \$server_protocol \$http_idempotency_key';
	access_log $directory/access.log requests;
$temporary
	server {
		listen 127.0.0.1:$port ssl http2;
		ssl_certificate $certificates/server.crt;
		ssl_certificate_key $certificates/server.key;
		location / { proxy_pass $behind; }
	}
}
END
	PostgreSQL::Test::Utils::system_or_bail($nginx, '-c', "$directory/nginx.conf");
	return;
}

sub stop_nginx
{
	return unless -e "$directory/nginx.pid";
	my ($pid) = PostgreSQL::Test::Utils::slurp_file("$directory/nginx.pid") =~ /(\d+)/;
	kill 'TERM', $pid;
	wait_for(sub { !-e "$directory/nginx.pid" }) or diag('nginx did not end');
	return;
}

END
{
	local $?;
	stop_nginx() if defined $directory;
}
