# The worker steps aside for statements that need a database empty, whatever becomes of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use IPC::Run ();
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');

# A session that is ended in the middle of its statement.
{
	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	add_extension($node, 'shop');
	wait_until($node, worker_runs('shop'), 'the worker runs');
	my $guest = $node->background_psql('shop');
	my $copy = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'CREATE DATABASE copied TEMPLATE shop' ],
		'>', \my $output, '2>', \my $error);
	my $copying = q{FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE copied%' AND pid <> pg_backend_pid()};
	wait_until($node, "SELECT (SELECT count(*) = 1 $copying) AND NOT (" . worker_runs('shop') . ')',
		'the worker leaves for a copy that waits for a guest');
	value($node, "SELECT pg_terminate_backend(pid) $copying");
	$copy->finish;
	like($error, qr/terminat/, 'the copying session is ended');
	wait_until($node, worker_runs('shop'), 'the worker comes back all the same');
	$guest->quit;
}

# Who may not do it doesn't stop the worker by trying.
{
	$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN');
	my $pid = worker_pid($node, 'shop');
	for my $statement ('DROP DATABASE shop', 'ALTER DATABASE shop RENAME TO mine',
		'CREATE DATABASE copied TEMPLATE shop')
	{
		my $error;
		$node->psql('postgres', $statement, extra_params => [ '-U', 'stranger' ], stderr => \$error);
		like($error, qr/must be owner|permission denied/, "$statement is refused");
	}
	is(worker_pid($node, 'shop'), $pid, 'and the worker has not left');
}

# The template that nobody names.
{
	$node->safe_psql('template1', 'CREATE EXTENSION integration');
	wait_until($node, worker_runs('template1'), 'the default template has a worker');
	my $error;
	my $result = $node->psql('postgres', 'CREATE DATABASE plain', stderr => \$error);
	is("$result $error", '0 ', 'CREATE DATABASE without a template');
	$node->safe_psql('template1', 'DROP EXTENSION integration');
}

# One that has just come, or is about to.
for my $round (1 .. 5)
{
	$node->safe_psql('postgres', "CREATE DATABASE brief_$round TEMPLATE template0");
	$node->safe_psql("brief_$round", 'CREATE EXTENSION integration');
	my $error;
	my $result = $node->psql('postgres', "DROP DATABASE brief_$round", stderr => \$error);
	is("$result $error", '0 ', "DROP DATABASE right after CREATE EXTENSION ($round)");
}

# An extension made anew in one transaction: ids begin again, what was in flight belongs to the old one.
{
	add_endpoint($node, name => 'slow', url => $receiver->url('/slow/old?seconds=2'));
	my $old = add_sync($node, endpoint => 'slow');
	wait_for(sub { $receiver->count('/slow/old')->{requests} == 1 });
	my $pid = worker_pid($node);
	value($node, 'BEGIN; DROP EXTENSION integration CASCADE; CREATE EXTENSION integration; COMMIT');
	wait_until($node, worker_runs('postgres') . " AND pid <> $pid", 'a worker of its own for the new one');
	add_endpoint($node, name => 'new', url => $receiver->url('/ok/new'), retry_policy => 'standard');
	my $new = add_sync($node, endpoint => 'new');
	is($new, $old, 'the ids begin again');
	wait_until($node, state_is('delivered', $new), 'the new extension works');
	is($receiver->count('/ok/new')->{requests}, 1, 'its sync was sent');
}

done_testing();
