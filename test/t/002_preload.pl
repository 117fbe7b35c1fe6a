# Without shared_preload_libraries CREATE EXTENSION says which line to add, as does what is asked later.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->start;

my $error;
my $result = $node->psql('postgres', 'CREATE EXTENSION integration', stderr => \$error);
is($result, 3, 'CREATE EXTENSION fails');
like($error, qr/ERROR:  integration must be loaded at server start/, 'it says why');
like($error, qr/^HINT:  .*shared_preload_libraries = 'integration'/m, 'it says the exact line');
like($error, qr/^HINT:  .*restart/mi, 'it says that the server must be restarted');
is(value($node, q{SELECT count(*) FROM pg_extension WHERE extname = 'integration'}),
	0, 'nothing is left behind');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'integration'\n");
$node->restart;
add_extension($node);
wait_until($node, worker_runs('postgres'), 'with the line it works');
add_endpoint($node, name => 'api', url => 'https://localhost:1/');
value($node, q{INSERT INTO integration.enqueue_limit (scope, name, rows_per_minute, max_backlog) VALUES ('customer', 'acme', 10, 10)});

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
like(value($node, q{SELECT status || ' ' || why FROM integration.health()}),
	qr/^critical .*shared_preload_libraries/, 'once the line is lost health() says so');
like(value($node, 'SELECT integration.prometheus()'),
	qr/^integration_health_code 2$/m, 'prometheus() too');
like(value($node, 'SELECT integration.status_page()'), qr/shared_preload_libraries/, 'so does the page');
$node->psql('postgres', q{UPDATE integration.endpoint SET url = 'https://localhost:2/'}, stderr => \$error);
like($error, qr/protected network/, 'an address is looked at all the same');
for my $customer ("NULL", "'acme'")
{
	$node->psql('postgres', "INSERT INTO integration.outbox (endpoint, customer, payload) VALUES ('api', $customer, '{}')", stderr => \$error);
	like($error, qr/^HINT:  .*shared_preload_libraries = 'integration'/m, "an insert of customer $customer says which line is missing");
}

done_testing();
