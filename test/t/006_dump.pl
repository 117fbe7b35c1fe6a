# A dump carries endpoints, syncs, what was tried and what is left to do.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');
plan skip_all => 'pg_dump 14 crashes on partitions of an extension' unless can_dump($node);

value($node, q{INSERT INTO integration.connector (name, owner, severity) VALUES ('erp', 'sales', 1)});
value($node, q{INSERT INTO integration.credential (name, kind, settings) VALUES ('key', 'bearer', '{}')});
add_retry_policy($node, undef, 'mine', '{1 s}');
add_endpoint($node, name => 'good', connector => 'erp', url => $receiver->url('/ok/good'), retry_policy => 'mine');
add_endpoint($node, name => 'locked', connector => 'erp', credential => 'key', url => $receiver->url('/ok/locked'));
add_endpoint($node, name => 'bad', connector => 'erp', url => $receiver->url('/status/422'));
add_endpoint($node, name => 'held', connector => 'erp', url => $receiver->url('/ok/held'));
value($node, q{INSERT INTO integration.error_rule (position, endpoint, status_from, status_to, error_class)
               VALUES (1, 'good', 599, 599, 'validation')});
value($node, q{SELECT integration.pause('endpoint', 'held', 'kept for the copy')});
# What a dropped role left must not become another role's where numbers mean others.
value($node, "CREATE ROLE $_") for 'portal', 'dropped';
value($node, "SELECT integration.grant_customer('$_', 'acme')") for 'portal', 'dropped';
value($node, $_) for 'DROP OWNED BY dropped', 'DROP ROLE dropped', 'ALTER ROLE portal RENAME TO renamed';
# Syncs in the default partitions first, then in ranges.
add_sync($node, endpoint => 'good', dedup_key => 'once') for 1 .. 3;
value($node, 'SELECT integration_worker.make_partitions(100, 1, 0)');
my %id = map { $_ => add_sync($node, endpoint => $_, object_type => 'order', object_id => "of $_") }
  'good', 'bad', 'held';
wait_until($node, state_is('delivered', $id{good}), 'one sync is delivered');
wait_until($node, state_is('failed', $id{bad}), 'one sync failed');
wait_until($node, 'SELECT count(*) = 2 FROM integration.queue', 'no other is under way');

wait_until($node, ranges_are_made(), 'there are ranges');

my %questions = (
	ranges => q{SELECT inhparent::regclass::text, count(*) FROM pg_inherits
	             WHERE inhparent IN ('integration.outbox'::regclass, 'integration.attempt'::regclass) GROUP BY 1 ORDER BY 1},
	places => 'SELECT tableoid::regclass::text, id FROM integration.outbox ORDER BY id',
	queue => 'SELECT * FROM integration.queue ORDER BY outbox_id',
	grants => q{SELECT role, customer FROM integration.customer_grant WHERE role::text = 'renamed'},
	rights => q{SELECT has_table_privilege('renamed', 'integration.customer_sync', 'SELECT')},
	closings => 'SELECT * FROM integration.closing ORDER BY outbox_id',
	duplicates => 'SELECT * FROM integration.dedup',
	incidents => 'SELECT * FROM integration.incident WHERE id > 0 ORDER BY id',
	actions => 'SELECT * FROM integration.action ORDER BY id',
	health => 'SELECT * FROM integration.endpoint_health ORDER BY endpoint_id',
	syncs => 'SELECT id, state, endpoint, reason, attempts FROM integration.sync ORDER BY id',
	outbox => 'SELECT * FROM integration.outbox ORDER BY id',
	attempts => 'SELECT * FROM integration.attempt ORDER BY outbox_id, attempt_no',
	objects => 'SELECT object_id, state FROM integration.sync_status ORDER BY object_id',
	endpoints => 'SELECT * FROM integration.endpoint ORDER BY name',
	connectors => 'SELECT * FROM integration.connector',
	credentials => 'SELECT * FROM integration.credential',
	classes => 'SELECT * FROM integration.error_class ORDER BY name',
	policies => 'SELECT * FROM integration.retry_policy ORDER BY name',
	rules => 'SELECT * FROM integration.error_rule',
	reasons => 'SELECT count(*) FROM integration.error_reason',
	pauses => q{SELECT scope, name, reason FROM integration.pause WHERE name <> 'copied_database'},
	installation => 'SELECT name FROM integration.installation');

# What refers to others is what takes longest: pg_restore -j begins with it.
my $long = 'x' x 2_000_000;
value($node, "UPDATE integration.error_rule SET note = '$long'");
value($node, q{INSERT INTO integration.error_class (name, title, remedy, customer_message)
               VALUES ('own', 'Ours', 'Ask us.', 'We look at it.')});
value($node, q{UPDATE integration.error_rule SET error_class = 'own'});

# The answers to all questions, asked at once.
sub answers
{
	my ($database) = @_;
	my $list = join(', ', map { "'$_', (SELECT json_agg(r) FROM ($questions{$_}) AS r)" } sort keys %questions);
	return JSON::PP->new->utf8->decode(value($node, "SELECT json_build_object($list)", $database));
}

my $place = PostgreSQL::Test::Utils::tempdir();
$node->command_ok([ 'pg_dump', "-F$_", '-f', "$place/$_", 'postgres' ], "pg_dump -F$_") for qw(p c d t);
my %restore = (
	plain => [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$place/p" ],
	custom => [ 'pg_restore', '--exit-on-error', "$place/c" ],
	tar => [ 'pg_restore', '--exit-on-error', "$place/t" ],
	at_once => [ 'pg_restore', '--single-transaction', "$place/c" ],
	parallel => [ 'pg_restore', '--exit-on-error', '-j', '4', "$place/d" ]);
my $original = answers('postgres');
for my $way (sort keys %restore)
{
	$node->safe_psql('postgres', "CREATE DATABASE $way");
	$node->command_ok([ @{ $restore{$way} }, '-d', $way ], "$way: restore");
	my $copy = answers($way);
	is_deeply($copy->{$_}, $original->{$_}, "$way: the copy has the same $_") for sort keys %questions;
}

# Until somebody takes over, a copy doesn't look at what its rows refer to.
{
	my $error;
	value($node, q{SET row_security = off; UPDATE integration.endpoint SET connector = 'lost' WHERE name = 'bad'}, 'parallel');
	isnt($node->psql('parallel', 'SELECT integration.adopt()', stderr => \$error), 0, 'adopt() looks at all of it');
	like($error, qr/endpoint refers to .*connector "lost", which does not exist.*HINT: .*change column connector/s, 'says what is missing');
	value($node, q{UPDATE integration.endpoint SET connector = 'erp' WHERE name = 'bad'}, 'parallel');
}
my $sent = 2;
for my $way ('custom', 'parallel')
{
	is(value($node, 'SELECT count(*) FROM integration.customer_grant', $way), 1, "$way: what a dropped role left stays behind");
	wait_until($node, worker_runs($way), "$way: the copy has a worker");
	value($node, 'SELECT integration.adopt()', $way);
	is(value($node, q{SELECT count(*) FROM pg_trigger t WHERE t.tgenabled = 'D'}, $way), 0, 'all is looked at from then on');
	is($receiver->count('/ok')->{requests}, $sent++, 'restoring sends nothing that was sent or held');
	my $new = add_sync($node, database => $way, endpoint => 'good');
	cmp_ok($new, '>', $id{held}, 'ids go on where they were');
	wait_until($node, state_is('delivered', $new), 'the copy works', database => $way);
}

done_testing();
