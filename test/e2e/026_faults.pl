# Ten faults as people meet them: two queries say what is wrong, what to do; docs/when-something-is-red.md says it alike.

use strict;
use utf8;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use MIME::Base64 ();
use Nginx;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;
use Walkthrough;

plan skip_all => 'nginx is not installed' unless Nginx->is_installed;

my $certificates = make_certificates();
my $receiver = Receiver->start;
my %port = map { $_ => Nginx->free_port } qw(parcels invoices);
my $nginx;

# The other side as it is just now: the certificate that it shows, the password that it wants.
sub serve
{
	my ($certificate, $password) = @_;
	my $login = 'Basic ' . MIME::Base64::encode_base64("acme:$password", '');
	$nginx->stop if defined $nginx;
	$nginx = Nginx->start('$uri $status', <<"END");
server {
	listen 127.0.0.1:$port{parcels} ssl;
	ssl_certificate $certificates/$certificate.crt;
	ssl_certificate_key $certificates/$certificate.key;
	location / { proxy_pass ${\ $receiver->url('/ok/')}; }
}
server {
	listen 127.0.0.1:$port{invoices};
	default_type application/json;
	if (\$http_authorization != "$login") { return 401 '{"message": "unknown user or wrong password"}'; }
	location / { proxy_pass ${\ $receiver->url('/ok/')}; }
}
END
	return;
}

serve('server', 'then');
my $node = integration_node('main', conf => "integration.ca_file = '$certificates/ca.crt'\n");
my $key_file = $node->basedir . '/integration.key';
my $page = Walkthrough->read("$FindBin::RealBin/../../docs/when-something-is-red.md");
$page->name($receiver->url('/ok'), 'https://api.vendor.example');
$page->name("https://localhost:$port{parcels}", 'https://parcels.vendor.example');
$page->name("http://127.0.0.1:$port{invoices}", 'https://invoices.vendor.example');
$page->name($key_file, '/etc/integration.key');
$page->spell(qr/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?( [A-Z]{3,4}|[+-]\d\d(:\d\d)?)?/, '2026-11-21 14:05:03 UTC');
$page->spell(qr/\(in \d+ [a-z]+( \d+ [a-z]+)?\)/, '(in 1 min)');
# Newer libcurls word it otherwise.
$page->spell(qr/SSL certificate OpenSSL verify result: certificate has expired \(10\)/, 'SSL certificate problem: certificate has expired');
my $user = value($node, 'SELECT session_user');
$page->spell(qr/\b\Q$user\E\b/, 'ann');

sub write_key
{
	my ($path) = @_;
	open(my $out, '>', $path) or die "$path: $!";
	print $out 'k' x 32;
	close $out or die "$path: $!";
	chmod 0600, $path;
	return;
}

# Who we integrate with, before anything went wrong.
sub set_up
{
	write_key($key_file);
	value($node, "ALTER SYSTEM SET integration.secret_key_file = '$key_file'");
	value($node, q{ALTER SYSTEM SET integration.environment = 'production'});
	$node->reload;
	wait_until($node, setting_is('integration.environment', 'production'), 'the settings are read');
	value($node, q{
		INSERT INTO integration.connector (name, title, owner, contact, severity, sla) VALUES
			('shop', 'Shop of Vendor Inc.', 'sales-it', 'api-help@vendor.example', 2, '10 min'),
			('bank', 'Bank of Vendor Inc.', 'finance-it', 'api-help@vendor.example', 1, '1 h');
		INSERT INTO integration.customer (name, title, contact) VALUES ('initech', 'Initech', 'bill@initech.example');
		INSERT INTO integration.owner_rule (error_class, owner) VALUES ('config', 'platform'), ('copied_database', 'platform');
		INSERT INTO integration.credential (name, kind, settings) VALUES ('invoices-login', 'basic', '{"username": "acme"}');
		SELECT integration.set_secret('invoices-login', 'then')});
	my %url = (
		parcels => "https://localhost:$port{parcels}/parcels",
		invoices => "http://127.0.0.1:$port{invoices}/invoices",
		map { $_ => $receiver->url("/ok/$_") } qw(products bookings orders prices stock ledger));
	my %more = (
		invoices => { connector => 'bank', credential => 'invoices-login' }, ledger => { connector => 'bank' },
		stock => { max_concurrency => 1 });
	add_endpoint($node, name => $_, connector => 'shop', url => $url{$_}, retry_policy => 'standard', %{ $more{$_} // {} })
	  for sort keys %url;
	return;
}

sub answers_with
{
	my ($endpoint, $behaviour) = @_;
	$receiver->switch("/ok/$endpoint", $behaviour);
	return;
}

sub sync
{
	my ($endpoint, %more) = @_;
	return add_sync($node, endpoint => $endpoint, %more);
}

# The first of them is the one that people are shown.
sub several
{
	my ($endpoint, $type, $object) = @_;
	sync($endpoint, object_type => $type, object_id => $object);
	wait_until($node, 'SELECT count(*) = 1 FROM integration.incident_status', "$endpoint: one is refused");
	sync($endpoint, object_type => $type, object_id => $object) for 1 .. 2;
	return;
}

my @faults = (
	{
		title => 'An expired certificate',
		seed => sub { serve('expired', 'then'); sync('parcels', object_type => 'parcel', object_id => 'P-77') },
		mend => sub { serve('server', 'then') },
	},
	{
		title => 'A rotated password',
		seed => sub { serve('server', 'the new password'); several('invoices', 'invoice', 'I-2001') },
	},
	{
		title => 'A moved URL',
		seed => sub {
			answers_with('products', '/status/308?location=' . $receiver->url('/ok/v2/products'));
			sync('products', object_type => 'product', object_id => 'TEA-1');
		},
	},
	{
		title => '200 with an error inside',
		seed => sub { answers_with('bookings', '/success-false'); sync('bookings', object_type => 'booking', object_id => 'B-12') },
		mend => sub { answers_with('bookings', '') },
	},
	{
		title => 'One customer\'s bad field',
		seed => sub {
			my $good = sync('orders', object_type => 'order', object_id => 'PO-1001', customer => 'globex', impact => 120);
			wait_until($node, state_is('delivered', $good), 'another order arrives');
			answers_with('orders', '/problem');
			sync('orders', object_type => 'order', object_id => 'PO-1002', customer => 'initech', impact => 950);
		},
		mend => sub { answers_with('orders', '') },
	},
	{
		title => 'An outage',
		seed => sub {
			answers_with('stock', '/status/503');
			add_syncs($node, 'stock', 20);
			# Which of them is shown depends on the answers that came together.
			my $last = value($node, 'SELECT max(id) FROM integration.outbox');
			my $any = join('|', $last - 19 .. $last);
			$page->spell(qr/(?<=sync |line\(|view\()(?:$any)\b/, 19);
		},
		mend => sub {
			wait_until($node, q{SELECT h.open_until > clock_timestamp() + interval '3 s' FROM integration.endpoint_health h
				JOIN integration.endpoint e ON e.id = h.endpoint_id WHERE e.name = 'stock'}, 'no probe comes first');
			answers_with('stock', '');
		},
	},
	{
		title => 'A failed head of an ordering key',
		seed => sub {
			answers_with('ledger', '/problem');
			sync('ledger', object_type => 'account', object_id => 'A-5', ordering_key => 'A-5');
			wait_until($node, q{SELECT count(*) = 1 FROM integration.failed WHERE endpoint = 'ledger'}, 'the head has failed');
			answers_with('ledger', '');
			sync('ledger', object_type => 'account', object_id => 'A-5', ordering_key => 'A-5') for 1 .. 3;
		},
	},
	{
		title => 'A lost secret key',
		seed => sub { rename $key_file, "$key_file.old"; $node->restart; sync('invoices', object_type => 'invoice', object_id => 'I-2002') },
		mend => sub { rename "$key_file.old", $key_file },
	},
	{
		title => 'A rate limit',
		seed => sub {
			answers_with('prices', '/status/429?retry_after=3600&body={"message":"your+plan+allows+1000+requests+an+hour"}');
			value($node, q{INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, created_at)
				SELECT 'prices', 'price', 'TEA-' || n, '{}', clock_timestamp() - interval '8 min 10 s' + n * interval '1 s'
				  FROM generate_series(1, 3) n});
		},
		mend => sub { answers_with('prices', '') },
	},
	{
		title => 'A copied database',
		seed => sub {
			value($node, q{ALTER SYSTEM SET integration.environment = 'staging'});
			$node->reload;
		},
	});

# Whatever the words: the cause, whose it is, what to do are said, and the statement that mends it.
sub check_words
{
	my ($title, $wrong, $fix, @steps) = @_;
	cmp_ok(length($wrong->{$_} // ''), '>', 0, "$title: its $_ is said") for qw(title owner responsible remedy next_step);
	my @said = map { join("'.*'", map { quotemeta } split(/'(?:\{?…\}?|why)'/, $_->{statement}, -1)) } @steps;
	ok(scalar(grep { $page->stated($fix) =~ /^$_$/ } @said), "$title: the statement that mends it is said")
	  or diag(join("\n", $page->stated($fix), @said));
	return;
}

sub walk
{
	my ($fault) = @_;
	my $title = $fault->{title};
	my @examples = $page->examples($title);
	$page->run($node, shift @examples) while @examples > 3;
	my ($wrong, $steps, $fix) = @examples;
	$fault->{seed}->();
	wait_until($node, 'SELECT count(*) = 1 FROM integration.incident_status', "$title: there is an incident");
	my ($incident) = $page->run($node, $wrong);
	check_words($title, $incident, $fix, $page->run($node, $steps));
	$fault->{mend}->() if $fault->{mend};
	$page->run($node, $fix);
	wait_until($node, 'SELECT count(*) = 0 FROM integration.queue', "$title: all have arrived");
	wait_until($node, 'SELECT count(*) = 0 FROM integration.incident_status', "$title: it is over");
	return;
}

set_up();
walk($_) for @faults;
$page->check;
$nginx->stop;
done_testing();
