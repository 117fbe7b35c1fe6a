# The server's OTEL_* variables: certificates for the collector, deltas of metrics.

use strict;
use warnings;

use File::Copy qw(copy);
use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use JSON::PP ();
use Nginx;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

plan skip_all => 'nginx is not installed' unless Nginx->is_installed;

my $certificates = make_certificates();
my $place = PostgreSQL::Test::Utils::tempdir();
my $receiver = Receiver->start;
my $port = Nginx->free_port;
my $nginx = Nginx->start('$uri "$ssl_client_s_dn"', <<"END");
server {
	listen 127.0.0.1:$port ssl;
	ssl_certificate $certificates/internal.crt;
	ssl_certificate_key $certificates/internal.key;
	ssl_client_certificate $certificates/ca.crt;
	ssl_verify_client on;
	location / { proxy_pass @{[$receiver->url('/ok/otlp/')]}; }
}
END

sub show_certificate
{
	my ($name) = @_;
	copy("$certificates/$name.$_", "$place/client.$_") or die "$name.$_: $!" for qw(crt key);
	return;
}

# The subjects of the certificates that were shown for a signal.
sub shown
{
	my ($signal) = @_;
	my %shown = map { m{^/v1/$signal "(.*)"$} ? ($1 => 1) : () } $nginx->log_lines;
	return join(' ', sort keys %shown);
}

# The data points of an endpoint's durations, oldest first.
sub points
{
	my ($endpoint) = @_;
	my @points;
	for my $request ($receiver->arrived('/ok/otlp/v1/metrics'))
	{
		my $metrics = JSON::PP->new->decode($request->{body})->{resourceMetrics}[0]{scopeMetrics}[0]{metrics};
		for my $histogram (map { $_->{histogram} // () } @$metrics)
		{
			push @points, map { { %$_, temporality => $histogram->{aggregationTemporality} } }
			  grep { grep { ($_->{value}{stringValue} // '') eq $endpoint } @{ $_->{attributes} } } @{ $histogram->{dataPoints} };
		}
	}
	@points = sort { $a->{timeUnixNano} <=> $b->{timeUnixNano} } @points;
	return @points;
}

show_certificate('client');
{
	open(my $out, '>', "$place/seal") or die "$place/seal: $!";
	print $out 'k' x 32;
	close $out or die "$place/seal: $!";
	chmod 0600, "$place/seal";
}
$ENV{OTEL_EXPORTER_OTLP_ENDPOINT} = "https://localhost:$port";
$ENV{OTEL_EXPORTER_OTLP_CERTIFICATE} = "$certificates/own.crt";
$ENV{OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE} = "$place/client.crt";
$ENV{OTEL_EXPORTER_OTLP_CLIENT_KEY} = "$place/client.key";
$ENV{OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE} = "$place/none";
$ENV{OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE} = 'delta';
my $node = integration_node('main', conf => "integration.secret_key_file = '$place/seal'\n");

# The files are read again when the settings are, figures leave then.
sub wait_reloading
{
	my ($is_reached, $name) = @_;
	ok(wait_for(sub { $node->reload; return $is_reached->() }), $name);
	return;
}

# Certificates
wait_until($node, q{SELECT string_agg(signal, ' ' ORDER BY signal) = 'metrics traces' FROM integration.telemetry WHERE is_on}, 'two signals are on');
like(value($node, q{SELECT problem FROM integration.telemetry WHERE signal = 'logs'}), qr{could not open file ".*/none"}, 'the third lacks a file');
ok($node->log_contains(qr/logs cannot be exported with the certificates of the server's environment\n.*DETAIL:  could not open file/), 'which the log says, too');
add_endpoint($node, name => 'shop', url => $receiver->url('/ok/shop'));
add_syncs($node, 'shop', 3);
ok(wait_for(sub { return shown('traces') eq 'CN=client' }), 'the collector sees our certificate');
wait_reloading(sub { return points('shop') }, 'the collector is told figures');

show_certificate('second');
wait_until($node, q{SELECT bool_and(state = 'delivered') FROM integration.sync WHERE endpoint = 'shop'}, 'all is delivered');
wait_reloading(sub { add_syncs($node, 'shop', 1); return shown('traces') eq 'CN=client CN=second' }, 'a new certificate is taken over');
is(value($node, q{SELECT string_agg(version::text, ' ') FROM integration.secret WHERE credential = 'otlp-traces'}), 1, 'in place of the former one');

# Deltas
wait_until($node, q{SELECT bool_and(state = 'delivered') FROM integration.sync WHERE endpoint = 'shop'}, 'all is delivered again');
my $delivered = value($node, q{SELECT count(*) FROM integration.sync WHERE endpoint = 'shop'});
wait_reloading(
	sub {
		my $told = 0;
		$told += $_->{count} for points('shop');
		return $told == $delivered;
	},
	'each request is told once');
my @points = points('shop');
cmp_ok(scalar(@points), '>', 1, 'in several parts');
is_deeply([ grep { $_->{temporality} != 1 } @points ], [], 'as deltas');
is_deeply([ grep { $points[ $_ - 1 ]{timeUnixNano} > $points[$_]{startTimeUnixNano} } 1 .. $#points ], [], 'no part begins before the last one ended');

# A file that is gone
unlink("$place/client.key") or die "$place/client.key: $!";
wait_reloading(sub { return value($node, 'SELECT count(*) FROM integration.telemetry WHERE is_on') eq '0' }, 'without its key nothing is exported');
like(value($node, q{SELECT problem FROM integration.telemetry WHERE signal = 'traces'}), qr{client\.key}, 'which is said');

done_testing();
