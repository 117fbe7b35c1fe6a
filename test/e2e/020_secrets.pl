# Secrets reach the other side, nothing else: neither disk nor log nor dump nor what people may see.

use strict;
use warnings;

use File::Find ();
use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use MIME::Base64 ();
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

# How a statement that sets one may be run, and what each credential holds.
my %secrets = (
	basic => 'canary-basic "quoted" / 7f3a',
	bearer => 'canary-bearer-91c2d4',
	header => 'canary header+plus%percent 55e1',
	late => 'canary-late-version-2b7d',
	file => 'canary-file-c0ffee',
	view => 'canary-view-d00d1e',
	literal => 'canary-literal-a1b2c3',
	executed => 'canary-executed-d4e5f6',
	refused => 'canary-refused-778899',
	mistyped => 'canary-mistyped-5e6f70',
	sigv4 => 'canary-sigv4-key-31415926',
	signing => 'whsec_' . MIME::Base64::encode_base64('canary-signing-key-2718281828', ''),
	signing_raw => 'canary-signing-key-2718281828',
);

my $node = integration_node('main',
	conf => q{
		shared_preload_libraries = 'integration, pg_stat_statements'
		pg_stat_statements.track = all
		log_statement = all
		log_duration = on
		log_min_messages = debug1
		log_error_verbosity = verbose
		log_parameter_max_length_on_error = 1000
		log_min_error_statement = debug1
	});
my $certificates = make_certificates();
my $receiver = Receiver->start(certificates => $certificates);
my $key_file = $node->basedir . '/integration.key';
my $directory = $node->basedir . '/secrets';

sub write_file
{
	my ($path, $content) = @_;
	open(my $out, '>', $path) or die "$path: $!";
	print $out $content;
	close $out or die "$path: $!";
	chmod 0600, $path;
	return;
}

sub reload_with
{
	my (%settings) = @_;
	value($node, "ALTER SYSTEM SET $_ = '$settings{$_}'") for sort keys %settings;
	$node->reload;
	wait_until($node, setting_is($_, $settings{$_}), "$_ is set") for sort keys %settings;
	return;
}

# A statement with parameters, as applications run it.
sub set_secret
{
	my ($credential, $value, $more) = @_;
	my ($script, $out) = ($node->basedir . '/set.sql', '');
	write_file($script, "SELECT integration.set_secret('$credential', :value" . ($more // '') . ');');
	return $node->run_log([ 'pgbench', '-n', '-M', 'extended', '-t', '1', '-D', "value=$value",
		'-f', $script, '-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres' ]);
}

sub authorization
{
	my ($path) = @_;
	return map { $_->{headers}{authorization} } $receiver->arrived($path);
}

value($node, 'CREATE EXTENSION pg_stat_statements');

# Without a key nothing is sealed, and the hint says how to make one.
{
	value($node, q{INSERT INTO integration.credential VALUES ('shop-basic', 'basic', '{"username": "ann"}')});
	my ($status, undef, $error) = $node->psql('postgres',
		"SELECT integration.set_secret('shop-basic', '$secrets{refused}')");
	isnt($status, 0, 'without a key a secret is refused');
	like($error, qr{head -c 32 /dev/urandom > .*\nALTER SYSTEM SET integration\.secret_key_file}, 'the hint says how to make one');
	write_file($key_file, join('', map { chr(int(rand(256))) } 1 .. 32));
	mkdir $directory or die "$directory: $!";
	write_file("$directory/shop", "$secrets{file}\n");
	reload_with('integration.secret_key_file' => $key_file, 'integration.secret_directory' => $directory);
}

# Each kind, set in each way.
{
	value($node, q{
		INSERT INTO integration.credential (name, kind, settings) VALUES
			('shop-bearer', 'bearer', '{}'), ('shop-header', 'header', '{"name": "X-Api-Key"}'),
			('shop-file', 'bearer', '{}'), ('shop-view', 'bearer', '{}'), ('shop-literal', 'bearer', '{}'),
			('shop-executed', 'bearer', '{}'), ('shop-late', 'bearer', '{}');
		CREATE SCHEMA vault});
	my $reversed = reverse $secrets{view};
	value($node, "CREATE VIEW vault.opened AS SELECT 'shop'::text AS name, reverse('$reversed') AS decrypted_secret");
	ok(set_secret('shop-basic', $secrets{basic}), 'a password is set');
	ok(set_secret('shop-bearer', $secrets{bearer}), 'a token is set');
	ok(set_secret('shop-header', $secrets{header}), 'a key is set');
	ok(set_secret('shop-file', 'file:shop'), 'a reference to a file is set');
	ok(set_secret('shop-view', 'view:vault.opened/shop'), 'a reference to a view is set');
	value($node, "SELECT integration.set_secret('shop-literal', '$secrets{literal}')");
	value($node, "PREPARE setter AS SELECT integration.set_secret('shop-executed', \$1);
	              EXECUTE setter('$secrets{executed}')");
	ok(!set_secret('shop-none', $secrets{refused}), 'one of no credential is refused');
	for my $mistyped (
		"SELECT integration.set_secret('shop-bearer', '$secrets{mistyped});",
		"SELECT integration.set_secret('shop-bearer' '$secrets{mistyped}');",
		"SELECT integration.set_secret('shop-bearer', '$secrets{mistyped}'::json::text);",
		"DO \$\$ BEGIN PERFORM integration.set_secret('shop-none', '$secrets{mistyped}'); END \$\$;")
	{
		my ($status) = $node->psql('postgres', $mistyped);
		isnt($status, 0, 'one that is mistyped is refused');
	}
	is(value($node, 'SELECT count(*) FROM integration.secret_status WHERE readable'), 7, 'all can be read');
}

# What they are sent as; what is reflected is masked, whether it was delivered or failed.
{
	my %wanted = (
		'shop-basic' => 'Basic ' . MIME::Base64::encode_base64("ann:$secrets{basic}", ''),
		map { ("shop-$_" => "Bearer $secrets{$_}") } qw(bearer file view literal executed));
	my @ids;
	for my $credential (sort keys %wanted, 'shop-header')
	{
		for my $status (200, 422)
		{
			my $name = "$credential-$status";
			add_endpoint($node, name => $name, credential => $credential,
				headers => '{"AUTHORIZATION": "none", "X-Other": "stays"}',
				url => $receiver->url("/reflect/$status?as=$name"));
			push @ids, add_sync($node, endpoint => $name);
		}
	}
	wait_until($node, 'SELECT count(*) = 7 FROM integration.closing RIGHT JOIN integration.attempt USING (outbox_id)
	                    WHERE http_status = 422', 'what was refused has failed');
	wait_until($node, "SELECT count(*) = 7 FROM integration.sync WHERE state = 'delivered'", 'the others are delivered');
	my %sent;
	push @{ $sent{ $_->{target} =~ s/.*as=(.*)-\d+/$1/r } }, $_->{headers} for $receiver->arrived('/reflect');
	is($sent{$_}[0]{authorization}, $wanted{$_}, "$_ is sent") for sort keys %wanted;
	is($sent{'shop-header'}[0]{'x-api-key'}, $secrets{header}, 'a header of its own is sent');
	is($sent{'shop-basic'}[0]{'x-other'}, 'stays', 'beside the headers of the endpoint');
	my $echo = row($node, "SELECT response_headers ->> 'x-echo' AS header, response_body AS body
	                         FROM integration.attempt WHERE outbox_id = $ids[1]");
	like($echo->{header}, qr/^\*\*\*, ann:\*\*\*$/, 'an echo in a header is masked');
	like($echo->{body}, qr/"authorization": "\*\*\*"/, 'an echo in the body is masked');
	like($echo->{body}, qr/"x-other": "stays"/, 'what is no secret is kept');
	my $preview = row($node, "SELECT headers FROM integration.preview($ids[0])");
	like($preview->{headers}, qr/^Authorization: Basic \*\*\*$/m, 'preview() masks it');
	unlike($preview->{headers}, qr/none/, 'and shows what is replaced no more');
}

# What signs and what a connection shows: keys that are never sent at all.
{
	my $pair = slurp_file("$certificates/client.crt") . slurp_file("$certificates/client.key");
	# of a P-256 key the second line begins with what is private
	$secrets{certificate} = (split(/\n/, slurp_file("$certificates/client.key")))[2];
	$secrets{certificate_raw} = MIME::Base64::decode_base64($secrets{certificate});
	value($node, q{
		INSERT INTO integration.credential (name, kind, settings) VALUES
			('shop-signing', 'signing', '{}'),
			('shop-sigv4', 'aws_sigv4', '{"region": "eu", "service": "shop", "access_key_id": "us"}'),
			('shop-certificate', 'client_certificate', jsonb_build_object('ca', } . quoted(slurp_file("$certificates/ca.crt")) . '))');
	ok(set_secret('shop-signing', $secrets{signing}), 'a signing key is set');
	ok(set_secret('shop-sigv4', $secrets{sigv4}), 'an access key is set');
	ok(set_secret('shop-certificate', $pair), 'a certificate is set');
	add_endpoint($node, name => 'keys', credential => 'shop-sigv4', signing => 'shop-signing', certificate => 'shop-certificate',
		url => $receiver->url('/reflect/200?as=keys', 'tls', 'https'));
	add_endpoint($node, name => 'refused-keys', certificate => 'shop-certificate', url => $receiver->url('/', 'nocipher', 'https'));
	my $id = add_sync($node, endpoint => 'keys');
	my $refused = add_sync($node, endpoint => 'refused-keys');
	wait_until($node, state_is('delivered', $id), 'all three are used');
	wait_until($node, "SELECT count(*) > 0 FROM integration.attempt WHERE outbox_id = $refused AND reason LIKE 'curl:35:%'",
		'a handshake is refused');
	my ($sent) = grep { $_->{target} =~ /as=keys/ } $receiver->arrived('/reflect');
	like($sent->{headers}{authorization}, qr/^AWS4-HMAC-SHA256 /, 'one signs for AWS');
	like($sent->{headers}{'webhook-signature'}, qr/^v1,/, 'one for the receiver');
	like(value($node, "SELECT headers FROM integration.preview($id)"), qr/^Authorization: AWS4-HMAC-SHA256 \*\*\*$/m, 'preview() masks them');
}

# A connection that fails says nothing of it either; one version follows the other by the clock.
{
	add_endpoint($node, name => 'late', credential => 'shop-late', url => $receiver->url('/ok/late'));
	ok(set_secret('shop-late', $secrets{late}, ", clock_timestamp() + '5 s'"), 'a version for later is set');
	my $id = add_sync($node, endpoint => 'late');
	wait_until($node, "SELECT count(*) > 0 FROM integration.attempt WHERE outbox_id = $id AND reason = 'secret_missing'",
		'before it begins the endpoint is stopped');
	wait_until($node, state_is('delivered', $id), 'once it has begun the endpoint is tried by itself');
	is_deeply([ authorization('/ok/late') ], ["Bearer $secrets{late}"], 'with it, and nothing was sent before');
	add_endpoint($node, name => 'refused', credential => 'shop-bearer', url => $receiver->url('/', 'refused'));
	$id = add_sync($node, endpoint => 'refused');
	wait_until($node, "SELECT count(*) > 0 FROM integration.attempt WHERE outbox_id = $id", 'a connection is refused');
}

# A view that never ends holds up nobody else.
{
	value($node, q{CREATE VIEW vault.endless AS SELECT 'shop'::text AS name, 'x'::text AS value FROM pg_sleep(3600)});
	value($node, q{INSERT INTO integration.credential (name, kind) VALUES ('shop-endless', 'bearer')});
	ok(set_secret('shop-endless', 'view:vault.endless/shop'), 'a reference to a view that never ends is set');
	add_endpoint($node, name => 'endless', credential => 'shop-endless', url => $receiver->url('/ok/endless'));
	add_endpoint($node, name => 'beside', credential => 'shop-bearer', url => $receiver->url('/ok/beside'));
	my $endless = add_sync($node, endpoint => 'endless');
	my $beside = add_sync($node, endpoint => 'beside');
	wait_until($node, "SELECT count(*) > 0 FROM integration.attempt WHERE outbox_id = $endless AND reason = 'secret_unreadable'",
		'its endpoint is stopped');
	wait_until($node, state_is('delivered', $beside), 'others go on');
	value($node, "SELECT integration.forget_secret('shop-endless', 1)");
}

# A key that is gone sends nothing; once it is back what waited is sent.
{
	rename $key_file, "$key_file.away" or die $!;
	$node->reload;
	add_endpoint($node, name => 'locked', credential => 'shop-bearer', url => $receiver->url('/ok/locked'));
	my $id = add_sync($node, endpoint => 'locked');
	wait_until($node, "SELECT count(*) = 1 FROM integration.endpoint_health h JOIN integration.endpoint e ON e.id = h.endpoint_id
	                    WHERE e.name = 'locked' AND h.state = 'stopped' AND h.last_reason = 'secret_unreadable'",
		'without its key an endpoint is stopped');
	is(value($node, "SELECT count(*) FROM integration.incident WHERE endpoint = 'locked' AND remedy IS NOT NULL"), 1,
		'with an incident');
	is(value($node, 'SELECT count(*) FROM integration.secret_status WHERE readable'), 0, 'secret_status says so');
	is($receiver->count('/ok/locked')->{requests}, 0, 'nothing was sent');
	write_file($key_file, 'another key' x 10);
	$node->reload;
	wait_until($node, "SELECT count(*) > 0 FROM integration.attempt WHERE outbox_id = $id AND reason = 'secret_unreadable'
	                      AND error LIKE '%sealed with another key%'", 'nor with another key');
	is($receiver->count('/ok/locked')->{requests}, 0, 'nothing was sent');
	rename "$key_file.away", $key_file or die $!;
	$node->reload;
	wait_until($node, state_is('delivered', $id), 'once the key is back it is sent');
}

# How a secret could stand somewhere.
sub forms
{
	my ($secret) = @_;
	my $basic = MIME::Base64::encode_base64("ann:$secret", '');
	my $escaped = $secret =~ s/(["\\])/\\$1/gr;
	return ($secret, $escaped, unpack('H*', $secret), uc unpack('H*', $secret), Receiver::encoded($secret),
		$basic, map { substr(MIME::Base64::encode_base64(('x' x $_) . $secret, ''), 4, 16) } 0 .. 2);
}

sub hits
{
	my ($what, @places) = @_;
	my $pattern = join('|', map { quotemeta } map { forms($_) } @$what);
	my @found;
	File::Find::find({ no_chdir => 1, wanted => sub {
		# a running server removes files at any time
		my $content = -f $_ ? eval { slurp_file($_) } : undef;
		return unless defined $content;
		push @found, "$_: " . substr($content, ($-[0] > 60 ? $-[0] - 60 : 0), 160) if $content =~ /($pattern)/;
	} }, @places);
	return @found;
}

sub search
{
	my ($when) = @_;
	my @places = ($node->data_dir, $node->logfile);
	my @found = hits([ values %secrets ], @places);
	is(scalar @found, 0, "no secret $when") or diag(map { "$_\n" } @found);
	ok(scalar hits(['canary of the payload'], $node->data_dir), 'the search does find things');
	ok(scalar hits(['one that calls set_secret(), which is not shown'], $node->logfile), 'also in the log');
	return;
}

add_sync($node, endpoint => 'locked', payload => '{"text": "canary of the payload"}');
value($node, 'CHECKPOINT');
search('in the running cluster');
SKIP:
{
	skip 'pg_dump crashes', 1 unless can_dump($node);
	my $dump = $node->basedir . '/dump.sql';
	$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ], 'a dump is made');
	is_deeply([ hits([ values %secrets ], $dump) ], [], 'no secret is in it');
	ok(scalar hits(['canary of the payload'], $dump), 'the search does find things');
}
$node->stop('immediate');
search('after a crash');
$node->start;
$node->stop('fast');
search('after a stop');

done_testing();
