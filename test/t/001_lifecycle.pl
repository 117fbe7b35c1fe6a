# The worker comes with the extension, goes with it, stands in nobody's way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use List::Util qw(max);
use Receiver;
use Test::More;
use Time::HiRes ();

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "max_prepared_transactions = 2\n");

# CREATE EXTENSION is all it takes.
{
	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	my $created = value($node, 'CREATE EXTENSION integration; SELECT clock_timestamp()', 'shop');
	add_retry_policy($node, 'shop', 'fast', '{0.2 s,0.2 s}');
	wait_until($node, worker_runs('shop'), 'CREATE EXTENSION starts a worker');
	is(value($node, "SELECT backend_start < '$created'::timestamptz + interval '1 s'
	                   FROM pg_stat_activity
	                  WHERE backend_type = 'integration worker' AND datname = 'shop'"),
		't', 'within a second');
	wait_until($node, worker_runs('postgres'), 'beside the one of another database');
	is(value($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'integration launcher'}),
		1, 'under one launcher');
}

# Two databases at once.
for my $database ('postgres', 'shop')
{
	add_endpoint($node, database => $database, name => 'here', url => $receiver->url("/ok/$database"));
	add_sync($node, database => $database, endpoint => 'here');
}
wait_until($node, queue_is_empty(), "a sync of $_ is delivered", database => $_) for 'postgres', 'shop';
is($receiver->count("/ok/$_")->{requests}, 1, "a sync of $_ arrived") for 'postgres', 'shop';

# A transaction is sent when it commits, or not at all.
{
	add_endpoint($node, name => 'rolled', url => $receiver->url('/ok/rolled'));
	value($node, q{BEGIN;
		INSERT INTO integration.outbox (endpoint, payload) VALUES ('rolled', '{"n": 1}');
		ROLLBACK});
	value($node, q{BEGIN;
		SAVEPOINT s;
		INSERT INTO integration.outbox (endpoint, payload) VALUES ('rolled', '{"n": 2}');
		ROLLBACK TO s;
		INSERT INTO integration.outbox (endpoint, payload) VALUES ('rolled', '{"n": 3}');
		COMMIT});
	wait_until($node, queue_is_empty(), 'what was committed is sent');
	is_deeply([ map { $_->{body} } $receiver->arrived('/ok/rolled') ],
		['{"n": 3}'], 'what was rolled back is not');
}

# A prepared transaction has no commit hook to wake the worker: the safety look finds it.
{
	value($node, q{BEGIN;
		INSERT INTO integration.outbox (endpoint, payload) VALUES ('here', '{"n": 4}');
		PREPARE TRANSACTION 'later'});
	value($node, q{COMMIT PREPARED 'later'});
	wait_until($node, queue_is_empty(), 'COMMIT PREPARED is noticed');
}
{
	$node->safe_psql('postgres', 'CREATE DATABASE prepared');
	value($node, q{BEGIN; CREATE EXTENSION integration; PREPARE TRANSACTION 'created'}, 'prepared');
	value($node, q{COMMIT PREPARED 'created'}, 'prepared');
	wait_until($node, worker_runs('prepared'), 'also where it was CREATE EXTENSION');
	$node->safe_psql('postgres', 'DROP DATABASE prepared');
}

# A commit on an idle system: from just before it to the receiver.
{
	add_endpoint($node, name => 'idle', url => $receiver->url('/ok/idle'));
	my @committed;
	for my $n (1 .. 20)
	{
		push @committed, value($node, qq{
			INSERT INTO integration.outbox (endpoint, payload) VALUES ('idle', '{"n": $n}')
			RETURNING extract(epoch FROM clock_timestamp())});
		wait_for(sub { $receiver->count('/ok/idle')->{requests} == $n }) or last;
	}
	my @arrived = map { $_->{at} } $receiver->arrived('/ok/idle');
	is(@arrived, 20, 'each of twenty commits arrives');
	my @took = sort { $a <=> $b } map { $arrived[$_] - $committed[$_] } 0 .. $#arrived;
	# What is not announced takes up to ten seconds; how fast it is on a quiet machine, make bench says.
	cmp_ok($took[9], '<', 1, sprintf('half of them within %.1f ms', $took[9] * 1000));
}

# A producer's rights.
{
	value($node, q{CREATE ROLE app LOGIN; SELECT integration.grant_producer('app')});
	my @as_app = (extra_params => [ '-U', 'app' ]);
	my $insert = q{INSERT INTO integration.outbox (endpoint, payload) VALUES ('idle', '{}') RETURNING id};
	my $id = $node->safe_psql('postgres', $insert, @as_app);
	like($id, qr/^\d+$/, 'a producer can enqueue');
	wait_until($node, state_is('delivered', $id), 'what a producer enqueued is sent');
	for my $forbidden ('SELECT payload FROM integration.outbox', 'DELETE FROM integration.outbox',
		'SELECT * FROM integration.attempt', 'SELECT * FROM integration.queue',
		'SELECT * FROM integration.secret',
		q{INSERT INTO integration.outbox (id, endpoint, payload) VALUES (1, 'idle', '{}')})
	{
		my $error;
		$node->psql('postgres', $forbidden, stderr => \$error, @as_app);
		like($error, qr/permission denied/, "a producer can not: $forbidden");
	}
}

# It shows what it is doing, and holds back no vacuum while it waits.
like(value($node, q{SELECT query FROM pg_stat_activity
                     WHERE backend_type = 'integration worker' AND datname = 'postgres'}),
	qr/\w/, 'the worker says in words what it does');
wait_until($node, q{SELECT backend_xmin IS NULL AND xact_start IS NULL FROM pg_stat_activity
                     WHERE backend_type = 'integration worker' AND datname = 'postgres'},
	'the worker waits outside of transactions');

# Statements that a connected worker would block.
my $elsewhere = PostgreSQL::Test::Utils::tempdir();
value($node, "CREATE TABLESPACE elsewhere LOCATION '$elsewhere'");
for my $statement ('CREATE DATABASE copied TEMPLATE shop', 'ALTER DATABASE shop SET TABLESPACE elsewhere',
	'ALTER DATABASE shop RENAME TO store', 'DROP DATABASE store')
{
	my $error;
	my $result = $node->psql('postgres', $statement, stderr => \$error);
	is("$result $error", '0 ', $statement);
	next unless $statement =~ /RENAME/;
	wait_until($node, worker_runs('store'), 'the worker comes back under the new name');
	add_sync($node, database => 'store', endpoint => 'here');
	wait_until($node, queue_is_empty(), 'and works', database => 'store');
}

# DROP EXTENSION ends it; it can be made again.
for my $round (1, 2)
{
	value($node, 'DROP EXTENSION integration CASCADE');
	wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity
	                     WHERE backend_type = 'integration worker' AND datname = 'postgres'},
		"DROP EXTENSION ends the worker ($round)");
	add_extension($node);
	wait_until($node, worker_runs('postgres'), "CREATE EXTENSION starts it again ($round)");
}

# So do statements about the role that owns it.
{
	$node->safe_psql('postgres', 'CREATE DATABASE owned');
	value($node, 'CREATE ROLE keeper SUPERUSER; CREATE ROLE heir SUPERUSER; SET ROLE keeper; CREATE EXTENSION integration', 'owned');
	add_endpoint($node, database => 'owned', name => 'here', url => $receiver->url('/ok/owned'), retry_policy => 'standard');
	make_ranges($node, 1, 1000, 'owned');
	value($node, 'REASSIGN OWNED BY keeper TO heir', 'owned');
	add_sync($node, database => 'owned', endpoint => 'here') for 1 .. 3;
	wait_until($node, queue_is_empty(), 'it works for its new owner', database => 'owned');
	value($node, 'DROP OWNED BY heir CASCADE', 'owned');
	wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity
	                     WHERE backend_type = 'integration worker' AND datname = 'owned'},
		'DROP OWNED ends it');
	is(value($node, q{SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname LIKE 'integration%'},
		'owned'), 0, 'and leaves nothing');
}

# CREATE EXTENSION that doesn't commit leaves nothing behind.
$node->safe_psql('postgres', 'CREATE DATABASE undecided');
value($node, 'BEGIN; CREATE EXTENSION integration; ROLLBACK', 'undecided');
add_endpoint($node, name => 'again', url => $receiver->url('/ok/again'));
my $again = add_sync($node, endpoint => 'again');
wait_until($node, state_is('delivered', $again), 'the new extension works');
wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity
                     WHERE backend_type = 'integration worker' AND datname = 'undecided'},
	'a CREATE EXTENSION that was rolled back has no worker');

done_testing();
