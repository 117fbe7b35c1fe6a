# Twenty clicks at the same moment send one request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

use constant CLICKS => 20;

my $receiver = Receiver->start;
my $node = integration_node('main');

add_endpoint($node, name => 'shop', url => $receiver->url('/ok/{object_id}'));

my $script = $node->basedir . '/click.sql';
append_to_file($script, q{INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, dedup_key)
	VALUES ('shop', 'order', 'O-1', '{}', 'checkout') RETURNING id;});
$node->command_ok(
	[ 'pgbench', '-n', '-c', CLICKS, '-j', 4, '-t', 1, '-f', $script, 'postgres' ],
	'every insert succeeds');
my $after = add_sync($node, endpoint => 'shop', object_type => 'order', object_id => 'after');
wait_until($node, queue_is_empty(), 'all are finished');
is($receiver->count('/ok/O-1')->{requests}, 1, 'one request arrived');
is( value($node, q{SELECT string_agg(n || ' ' || state, ', ' ORDER BY state)
                     FROM (SELECT state, count(*) AS n FROM integration.sync WHERE object_id = 'O-1' GROUP BY state) AS s}),
	'1 delivered, ' . (CLICKS - 1) . ' superseded', 'the others are closed as its duplicates');

value($node, q{UPDATE integration.dedup SET expires_at = now() - interval '1 day'});
$node->restart;
wait_until($node, 'SELECT NOT EXISTS (SELECT FROM integration.dedup)', 'the worker forgets old keys');

done_testing();
