# What the worker signs, verified by code that shares nothing with ours: Perl's Digest::SHA, the program openssl.

use strict;
use warnings;

use Digest::SHA ();
use Encode ();
use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use MIME::Base64 ();
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');
my $directory = PostgreSQL::Test::Utils::tempdir();

sub write_file
{
	my ($name, $content) = @_;
	open(my $out, '>:raw', "$directory/$name") or die "$name: $!";
	print $out $content;
	close $out or die "$name: $!";
	chmod 0600, "$directory/$name";
	return "$directory/$name";
}

sub add_credential
{
	my ($name, $kind, $settings) = @_;
	value($node, 'INSERT INTO integration.credential VALUES (' . join(', ', map { quoted($_) } $name, $kind, $settings // '{}') . ')');
	return;
}

sub set_secret
{
	my ($name, $value) = @_;
	value($node, 'SELECT integration.set_secret(' . quoted($name) . ', ' . quoted($value) . ')');
	return $value;
}

sub new_key
{
	my ($kind) = @_;
	return value($node, 'SELECT integration.new_signing_key(' . quoted($kind) . ')');
}

# Sends one sync to an endpoint; returns the requests that came of it, with the bytes of their bodies.
sub send_one
{
	my ($endpoint, %columns) = @_;
	my $before = $receiver->count("/$endpoint")->{requests};
	my $id = add_sync($node, endpoint => $endpoint, payload => '{"name": "Zoë", "n": 1}', %columns);
	wait_until($node, "SELECT state IN ('delivered', 'failed') FROM integration.sync WHERE id = $id", "$endpoint: it is sent");
	my @all = $receiver->arrived("/$endpoint");
	$_->{bytes} = Encode::encode('UTF-8', $_->{body}) for @all;
	return @all[ $before .. $#all ];
}

sub add_receiving
{
	my ($name, %columns) = @_;
	$receiver->switch("/$name", delete $columns{as} // '/ok');
	add_endpoint($node, name => $name, url => $receiver->url("/$name"), %columns);
	return;
}

sub hmac
{
	my ($secret, $content) = @_;
	return MIME::Base64::encode_base64(
		Digest::SHA::hmac_sha256($content, MIME::Base64::decode_base64($secret =~ s/^whsec_//r)), '');
}

# RFC 8410 §4: the key as openssl reads it.
sub is_ed25519
{
	my ($secret, $content, $signature) = @_;
	my $public = value($node, 'SELECT integration.public_signing_key(' . quoted($secret) . ')') =~ s/^whpk_//r;
	my @files = (write_file('key.der', pack('H*', '302a300506032b6570032100') . MIME::Base64::decode_base64($public)),
		write_file('signature', MIME::Base64::decode_base64($signature)), write_file('content', $content));
	my $said = `openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey $files[0] -sigfile $files[1] -in $files[2] 2>&1`;
	return $said =~ /Verified Successfully/;
}

sub is_right
{
	my ($secret, $content, $signature) = @_;
	return is_ed25519($secret, $content, $signature) if $secret =~ /^whsk_/;
	return hmac($secret, $content) eq $signature;
}

# Which of the keys verify a request of Standard Webhooks, in the order of its signatures.
sub signers
{
	my ($request, %keys) = @_;
	my $headers = $request->{headers};
	my $content = "$headers->{'webhook-id'}.$headers->{'webhook-timestamp'}.$request->{bytes}";
	my @found;
	for my $signature (split(' ', $headers->{'webhook-signature'} // ''))
	{
		my ($version, $value) = split(/,/, $signature, 2);
		my ($name) = grep { ($keys{$_} =~ /^whsk_/) == ($version eq 'v1a') && is_right($keys{$_}, $content, $value) } sort keys %keys;
		push @found, $name // "nobody's $version";
	}
	return join(' ', @found);
}

my $key_file = write_file('integration.key', 'k' x 32);
value($node, "ALTER SYSTEM SET integration.secret_key_file = '$key_file'");
$node->reload;
wait_until($node, setting_is('integration.secret_key_file', $key_file), 'secrets have a key');

# Standard Webhooks, through a rotation from v1 to v1a and its end.
my %keys;
{
	add_credential('hooks', 'signing', '{"overlap": "3 s"}');
	add_credential('token', 'bearer');
	set_secret('token', 'abcdefgh');
	$keys{old} = set_secret('hooks', new_key('v1'));
	$keys{other} = new_key('v1');
	add_receiving('hooks', signing => 'hooks', credential => 'token');
	my ($request) = send_one('hooks');
	is(signers($request, %keys), 'old', 'v1 is right');
	is($request->{headers}{authorization}, 'Bearer abcdefgh', 'beside a token');
	cmp_ok(abs($request->{headers}{'webhook-timestamp'} - $request->{at}), '<', 30, 'its time is that of the attempt');
	is(signers({ %$request, bytes => "$request->{bytes} " }, %keys), "nobody's v1", 'another body is not');

	$keys{new} = set_secret('hooks', new_key('v1a'));
	my @seen;
	wait_for(sub {
		push @seen, map { signers($_, %keys) } send_one('hooks');
		return $seen[-1] eq 'new';
	});
	my %seen = map { $_ => 1 } @seen;
	ok($seen{'new old'}, 'during a rotation both sign, the newest first');
	is(join(', ', grep { !/^(old|new old|new)$/ } @seen), '', 'each signature is somebody\'s');
	is($seen[-1], 'new', 'after the overlap the new one alone');
}

# Each attempt is signed anew, under the same id.
{
	add_receiving('again', signing => 'hooks', as => '/status/503');
	my @requests = send_one('again');
	is(scalar @requests, 3, 'three attempts');
	is(join(', ', map { signers($_, %keys) } @requests), 'new, new, new', 'each is signed');
	my %ids = map { $_->{headers}{'webhook-id'} => 1 } @requests;
	is(keys %ids, 1, 'under one id');
	for my $request (@requests)
	{
		cmp_ok(abs($request->{headers}{'webhook-timestamp'} - $request->{at}), '<=', 2, 'at its own time');
	}
}

# RFC 9421: what the request names, put together here from what arrived.
sub rfc9421_signers
{
	my ($request, %given) = @_;
	my $headers = $request->{headers};
	my ($path, $query) = $request->{target} =~ /^([^?]*)(\?.*)?$/;
	my %known = ('@method' => $request->{method}, '@authority' => $headers->{host}, '@path' => $path, '@query' => $query,
		'content-digest' => $headers->{'content-digest'});
	my @found;
	while ($headers->{'signature-input'} =~ /(sig\d+)=(\(([^)]*)\)[^,]*)/g)
	{
		my ($label, $parameters, $names) = ($1, $2, $3);
		my $base = join('', map { qq("$_": $known{$_}\n) } $names =~ /"([^"]+)"/g) . qq("\@signature-params": $parameters);
		my ($signature) = $headers->{signature} =~ /$label=:([^:]*):/;
		my ($name) = grep { ($given{$_} =~ /^whsk_/) == ($parameters =~ /alg="ed25519"/) && is_right($given{$_}, $base, $signature) } sort keys %given;
		push @found, $name // "nobody's $label";
	}
	return join(' ', @found);
}

{
	add_credential('messages', 'signing', '{"scheme": "rfc9421", "key_id": "us"}');
	my %signing = (shared => set_secret('messages', new_key('v1')));
	$receiver->switch('/messages/O%201', '/ok');
	add_endpoint($node, name => 'messages', signing => 'messages', url => $receiver->url('/messages/{object_id}?a=1&b'));
	my ($request) = send_one('messages', object_type => 'order', object_id => 'O 1');
	is(rfc9421_signers($request, %signing), 'shared', 'RFC 9421, hmac-sha256');
	is($request->{headers}{'content-digest'},
		'sha-256=:' . MIME::Base64::encode_base64(Digest::SHA::sha256($request->{bytes}), '') . ':', 'with the digest of the body');
	like($request->{headers}{'signature-input'}, qr/^sig1=\("\@method" "\@authority" "\@path" "\@query" "content-digest"\);created=\d+;keyid="us"/,
		'of all that counts');
	$signing{pair} = set_secret('messages', new_key('v1a'));
	my $wanted = wait_for(sub {
		($request) = send_one('messages', object_type => 'order', object_id => 'O 1');
		return rfc9421_signers($request, %signing) eq 'pair shared';
	});
	ok($wanted, 'during a rotation both sign') or diag(rfc9421_signers($request, %signing));
	is(rfc9421_signers({ %$request, target => '/messages/O%202?a=1&b' }, %signing), "nobody's sig1 nobody's sig2", 'another path is not right');
}

# AWS Signature Version 4 as its documents say, computed again from what arrived.
sub is_sigv4
{
	my ($request, $secret) = @_;
	my $headers = $request->{headers};
	my ($scope, $names, $signature) = $headers->{authorization} =~
	  m{^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/(\S+), ?SignedHeaders=(\S+), ?Signature=([0-9a-f]{64})$} or return 0;
	my ($path, $query) = $request->{target} =~ /^([^?]*)\??(.*)$/;
	my $canonical = join("\n", $request->{method}, $path, join('&', sort split(/&/, $query)),
		(map { "$_:$headers->{$_}" } split(/;/, $names)), '', $names, Digest::SHA::sha256_hex($request->{bytes}));
	my $key = "AWS4$secret";
	$key = Digest::SHA::hmac_sha256($_, $key) for split('/', $scope);
	my $content = join("\n", 'AWS4-HMAC-SHA256', $headers->{'x-amz-date'}, $scope, Digest::SHA::sha256_hex($canonical));
	return Digest::SHA::hmac_sha256_hex($content, $key) eq $signature;
}

{
	add_credential('aws', 'aws_sigv4', '{"region": "eu-west-1", "service": "s3", "access_key_id": "AKIDEXAMPLE"}');
	my $secret = set_secret('aws', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY');
	$receiver->switch('/bucket/a%20b', '/ok');
	add_endpoint($node, name => 'bucket', credential => 'aws', method => 'PUT', url => $receiver->url('/bucket/{object_id}?x=1&a=2'));
	my ($request) = send_one('bucket', object_type => 'file', object_id => 'a b');
	ok(is_sigv4($request, $secret), 'SigV4 is right') or diag(explain($request));
	ok(!is_sigv4({ %$request, bytes => 'another' }, $secret), 'of another body it is not');
	set_secret('aws', '{"secret_access_key": "temporary-secret-key", "session_token": "token/of+session"}');
	my $is_renewed = wait_for(sub {
		($request) = send_one('bucket', object_type => 'file', object_id => 'a b');
		return is_sigv4($request, 'temporary-secret-key');
	});
	ok($is_renewed, 'a temporary key takes its place');
	is($request->{headers}{'x-amz-security-token'}, 'token/of+session', 'with its token');
}

is(value($node, q{SELECT count(*) FROM integration.sync WHERE state = 'failed' AND endpoint <> 'again'}), 0, 'nothing failed');
done_testing();
