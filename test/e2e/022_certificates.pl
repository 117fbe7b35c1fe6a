# What our connections show and whom they trust: client certificates, an authority of one's own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Nginx;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

use constant TURNS => 60;

plan skip_all => 'nginx is not installed' unless Nginx->is_installed;

my $certificates = make_certificates();
my $receiver = Receiver->start(certificates => $certificates);
my $behind = $receiver->url('/ok/');
my %port = map { $_ => Nginx->free_port } qw(mutual mutual2 internal);

sub server
{
	my ($listen, $certificate, $more) = @_;
	return <<"END";
server {
	listen 127.0.0.1:$listen;
	ssl_certificate $certificates/$certificate.crt;
	ssl_certificate_key $certificates/$certificate.key;
	keepalive_requests 7;
	ssl_session_cache shared:tests:1m;
	$more
	location / { proxy_pass $behind; }
}
END
}

my $verify = "ssl_client_certificate $certificates/ca.crt; ssl_verify_client on;";
my $nginx = Nginx->start('$connection $uri $status "$ssl_client_s_dn" $ssl_session_reused "$http_authorization"',
	server("$port{mutual} ssl", 'server', $verify) . server("$port{mutual2} ssl http2", 'server', $verify)
	  . server("$port{internal} ssl", 'internal', ''));

my $node = integration_node('main', conf => "integration.ca_file = '$certificates/ca.crt'\n");
my $key_file = $node->basedir . '/integration.key';

sub text_of
{
	return join('', map { slurp_file("$certificates/$_") } @_);
}

sub pair
{
	my ($name) = @_;
	return text_of("$name.crt", "$name.key");
}

sub add_credential
{
	my ($name, $kind, $value, $settings) = @_;
	value($node, 'INSERT INTO integration.credential VALUES ('
		  . join(', ', quoted($name), quoted($kind), quoted($settings // '{}')) . ')');
	set_secret($name, $value) if defined $value;
	return;
}

sub set_secret
{
	my ($name, $value) = @_;
	return value($node, 'SELECT integration.set_secret(' . quoted($name) . ', ' . quoted($value) . ')');
}

sub all_are_delivered
{
	my ($name) = @_;
	wait_until($node, queue_is_empty() =~ s/$/ WHERE state <> 'retrying'/r, $name)
	  or diag(value($node, q{SELECT string_agg(concat_ws(' ', s.id, s.endpoint, s.state, s.blocked_by, a.attempt_no, a.reason, a.error), E'\n')
	                           FROM integration.sync s JOIN integration.attempt a ON a.outbox_id = s.id
	                          WHERE s.finished_at IS NULL AND s.endpoint ~ '^mutual|rotated'}));
	return;
}

# What nginx logged of requests to a path.
sub logged
{
	my ($path) = @_;
	my @found;
	for my $line ($nginx->log_lines)
	{
		my ($connection, $uri, $status, $subject, $reused, $authorization) =
		  $line =~ /^(\d+) (\S+) (\d+) "(.*?)" (\S+) "(.*)"$/;
		push @found, { connection => $connection, status => $status, subject => $subject,
			is_resumed => $reused eq 'r', authorization => $authorization } if $uri eq $path;
	}
	return @found;
}

sub subjects
{
	my %found = map { $_->{subject} => 1 } logged(@_);
	return [ sort keys %found ];
}

{
	open(my $out, '>', $key_file) or die "$key_file: $!";
	print $out 'k' x 32;
	close $out or die "$key_file: $!";
	chmod 0600, $key_file;
	value($node, "ALTER SYSTEM SET integration.secret_key_file = '$key_file'");
	$node->reload;
	wait_until($node, setting_is('integration.secret_key_file', $key_file), 'secrets have a key');
}

# What can't work is refused when it is set.
{
	add_credential('refused', 'client_certificate');
	my @cases = (
		[ 'an expired one', pair('expired'), qr/certificate expired at 2020-02-01/ ],
		[ 'the key of another', text_of('client.crt', 'second.key'), qr/not that of the first certificate/ ],
		[ 'an encrypted key', text_of('client.crt', 'encrypted.key'), qr/encrypted; take its passphrase off with "openssl pkey"/ ],
		[ 'no key', text_of('client.crt'), qr/no private key/ ],
		[ 'no certificate', text_of('client.key'), qr/no certificate/ ],
		[ 'lost line breaks', pair('client') =~ s/\n/ /gr, qr/neither a certificate .* with their line breaks/ ],
		[ 'one cut off', substr(pair('client'), 0, -40), qr/ends too early/ ],
		[ 'no PEM', 'secret', qr/neither a certificate nor a private key/ ]);
	for my $case (@cases)
	{
		my (undef, undef, $error) = $node->psql('postgres',
			q{SELECT integration.set_secret('refused', } . quoted($case->[1]) . ')');
		like($error, qr/^psql:.*ERROR:  value cannot be the secret.*\nDETAIL:  .*$case->[2]/, "refused: $case->[0]");
	}
	my @authorities = ([ 'a key', text_of('client.key'), qr/private key; what is secret goes to set_secret/ ], [ 'no PEM', 'x', qr/no certificate/ ]);
	for my $case (@authorities)
	{
		my (undef, undef, $error) = $node->psql('postgres', 'UPDATE integration.credential SET settings = '
			  . 'jsonb_build_object(\'ca\', ' . quoted($case->[1]) . q{) WHERE name = 'refused'});
		like($error, $case->[2], "refused as an authority: $case->[0]");
	}
}

my %stopped = (state => 'retrying', health => 'stopped', class => 'tls', attempts => 1);
my %delivered = (state => 'delivered', health => 'closed', class => undef, attempts => 1, reason => 'http:200', status => 200);

sub scenario
{
	my ($name, $listener, $endpoint, $expect) = @_;
	my $url = defined $port{$listener} ? "https://localhost:$port{$listener}" : $receiver->url('', $listener, 'https');
	return { name => $name, endpoint => { url => "$url/$name", %$endpoint }, expect => $expect };
}

# Each credential's name says what it is.
{
	add_credential('client', 'client_certificate', pair('client'));
	add_credential('second', 'client_certificate', text_of('second.key', 'second.crt'));
	add_credential('stranger', 'client_certificate', pair('unknown'));
	add_credential('token', 'bearer', 'abc');
	add_credential('late', 'client_certificate');
	my $own = JSON::PP->new->encode({ ca => text_of('own.crt') });
	my $both = JSON::PP->new->encode({ ca => text_of('own.crt', 'ca.crt') });
	add_credential('own', 'client_certificate', undef, $own);
	add_credential('both', 'client_certificate', pair('client'), $both);
	my %missing = (%stopped, reason => 'http:400:certificate', status => 400);
	run_scenarios($node,
		scenario('accepted', 'mutual', { credential => 'client' }, \%delivered),
		scenario('beside', 'mutual', { credential => 'token', certificate => 'client' }, \%delivered),
		scenario('absent', 'mutual', { credential => 'token' }, \%missing),
		scenario('wrong', 'mutual', { certificate => 'stranger' }, \%missing),
		scenario('alert', 'client', { certificate => 'stranger' },
			{ %stopped, reason => 'curl:56:certificate', error_like => qr/unknown ca/ }),
		scenario('alert12', 'client12', { certificate => 'stranger' },
			{ %stopped, reason => 'curl:35:certificate', error_like => qr/unknown ca/ }),
		scenario('unset', 'mutual', { certificate => 'late' },
			{ %stopped, class => 'config', reason => 'secret_missing', error_like => qr/No certificate is valid/ }),
		scenario('own', 'internal', { certificate => 'own' }, \%delivered),
		scenario('own-as-credential', 'internal', { credential => 'own' }, \%delivered),
		scenario('not-own', 'internal', {}, { %stopped, reason => 'curl:60' }),
		scenario('others-than-own', 'tls', { certificate => 'own' }, { %stopped, reason => 'curl:60' }),
		scenario('both-authorities', 'mutual', { certificate => 'both' }, \%delivered));
	# nginx writes its line once it has answered
	wait_for(sub { logged('/accepted') && logged('/beside') });
	is_deeply(subjects('/accepted'), ['CN=client'], 'the certificate is shown');
	is_deeply([ map { [ $_->{subject}, $_->{authorization} ] } logged('/beside') ], [ [ 'CN=client', 'Bearer abc' ] ],
		'beside a token');
	is($receiver->count('/ok/absent')->{requests} + $receiver->count('/ok/unset')->{requests}, 0, 'nothing passed without one');
}

# What people see of it.
{
	chomp(my $ends = `openssl x509 -noout -enddate -in $certificates/client.crt`);
	is(value($node, "SELECT certificate_expires_at = timestamptz '" . $ends =~ s/notAfter=//r
		  . "' FROM integration.secret_status WHERE credential = 'client'"), 't', 'secret_status says when it ends');
	is(value($node, "SELECT certificate_expires_at IS NULL FROM integration.secret_status WHERE credential = 'token'"), 't',
		'of certificates only');
	my (undef, undef, $error) = $node->psql('postgres',
		"UPDATE integration.endpoint SET certificate = 'token' WHERE name = 'absent'");
	like($error, qr/is of kind bearer.*\nHINT:  Name a credential of kind client_certificate/, 'another kind is refused');
	(undef, undef, $error) = $node->psql('postgres',
		"UPDATE integration.endpoint SET credential = 'client' WHERE name = 'wrong'");
	like($error, qr/The column credential names a certificate, too/, 'two at once, too');
	is(value($node, "SELECT problem FROM integration.preview((SELECT id FROM integration.outbox WHERE endpoint = 'own'))"), '',
		'an authority alone is enough');
	like(value($node, "SELECT problem FROM integration.preview((SELECT id FROM integration.outbox WHERE endpoint = 'unset'))"),
		qr/"late" has no secret/, 'neither is not');
}

# What is put right goes on by itself.
{
	set_secret('late', pair('client'));
	set_secret('stranger', pair('client'));
	wait_until($node, q{SELECT count(*) = 2 FROM integration.sync WHERE endpoint IN ('unset', 'wrong') AND state = 'delivered'},
		'once the certificate is set what waited is sent');
}

# Two at one host, over connections that end and are resumed again: each shows its own.
my $resumed = 0;
for my $server (qw(mutual mutual2))
{
	my @names = map { "$server-$_" } qw(client second);
	add_endpoint($node, name => "$server-$_", certificate => $_, url => "https://localhost:$port{$server}/$server-$_",
		max_concurrency => 4) for qw(client second);
	for my $turn (1 .. 3)
	{
		value($node, "INSERT INTO integration.outbox (endpoint, payload)
		              SELECT e, '{}' FROM generate_series(1, " . TURNS / 3 . ") n, unnest('{" . join(',', @names) . "}'::text[]) e");
		all_are_delivered('all are delivered');
	}
	my %shown;
	for my $name (qw(client second))
	{
		wait_for(sub { logged("/$server-$name") >= TURNS });
		my @requests = logged("/$server-$name");
		is(@requests, TURNS, "$server: requests of $name");
		is_deeply(subjects("/$server-$name"), ["CN=$name"], "$server: each with its own certificate");
		$resumed += grep { $_->{is_resumed} } @requests;
		$shown{ $_->{connection} }{$name} = 1 for @requests;
	}
	is(scalar(grep { keys %$_ > 1 } values %shown), 0, "$server: no connection is shared");
}

SKIP: {
	my ($major, $minor) = slurp_file($node->logfile) =~ /libcurl\/(\d+)\.(\d+)/;
	skip 'a libcurl this new resumes no session that showed a certificate (seen of 8.22)', 1
	  if !$resumed && $major * 1000 + $minor > 8014;
	cmp_ok($resumed, '>', 0, 'sessions were resumed at that');
}

# A rotation in full flow: nothing fails, and from some request on all show the new one.
{
	add_endpoint($node, name => 'rotated', certificate => 'client', url => "https://localhost:$port{mutual}/rotated",
		max_concurrency => 1);
	add_syncs($node, 'rotated', 200);
	wait_for(sub { scalar logged('/rotated') > 20 });
	set_secret('client', pair('second'));
	add_syncs($node, 'rotated', 100);
	all_are_delivered('all are delivered');
	is(value($node, q{SELECT count(*) FROM integration.attempt a JOIN integration.endpoint e ON e.id = a.endpoint_id
	                   WHERE e.name = 'rotated' AND a.outcome = 'delivered' AND a.attempt_no = 1}), 300, 'each at its first attempt');
	my @requests = logged('/rotated');
	my $order = join(' ', map { substr($_->{subject}, 3, 1) } @requests);
	like($order, qr/^(c )+(s )+s$/, 'first with the old certificate, then with the new one alone');
	my %before = map { $_->{connection} => 1 } grep { $_->{subject} eq 'CN=client' } @requests;
	is(scalar(grep { $before{ $_->{connection} } } grep { $_->{subject} eq 'CN=second' } @requests), 0,
		'over connections of its own');
	set_secret('client', pair('client'));
	add_sync($node, endpoint => 'rotated');
	all_are_delivered('and back');
}

$nginx->stop;
done_testing();
