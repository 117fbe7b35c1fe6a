# Limits hold for all sessions together: at once, under load, across a restart.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use IPC::Run ();
use Receiver;
use Test::More;
use Time::HiRes ();

use constant SESSIONS => 4;
use constant TRIES => 400;
use constant ROWS_PER_MINUTE => 600;
use constant BACKLOG => 50;
use constant ROUNDS => 100;

my $receiver = Receiver->start;
my $node = integration_node('main');
add_endpoint($node, name => 'open', url => $receiver->url('/ok/open'));
add_endpoint($node, name => 'held', url => $receiver->url('/ok/held'));
value($node, "SELECT integration.pause('endpoint', 'held', 'so that a backlog builds up')");

sub set_limit
{
	my ($name, $column, $figure) = @_;
	value($node, "INSERT INTO integration.enqueue_limit (scope, name, $column) VALUES ('customer', '$name', $figure)");
	return;
}

sub insert
{
	my ($customer, $endpoint, $count) = @_;
	return "INSERT INTO integration.outbox (endpoint, customer, payload)
	        SELECT '$endpoint', '$customer', '{}' FROM generate_series(1, $count)";
}

# Sessions that insert all at the same time, a row a transaction, and go on when they are refused.
sub insert_from_many
{
	my ($customer, $endpoint, $until) = @_;
	my $statement = insert($customer, $endpoint, 1);
	my $block = "DO \$\$ DECLARE tried integer := 0; accepted integer := 0; BEGIN
		LOOP
			tried := tried + 1;
			BEGIN
				$statement;
				accepted := accepted + 1;
			EXCEPTION WHEN configuration_limit_exceeded THEN NULL;
			END;
			COMMIT;
			EXIT WHEN $until;
		END LOOP; END \$\$";
	my @sessions = map {
		IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $block ])
	} 1 .. SESSIONS;
	return @sessions;
}

sub enqueued
{
	my ($customer) = @_;
	return value($node, "SELECT count(*) FROM integration.outbox WHERE customer = '$customer'");
}

sub is_refused
{
	my ($sql, $expected, $what) = @_;
	my ($output, $error);
	$node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stdout => \$output, stderr => \$error);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($error, qr/ERROR:  53400: $expected/, $what);
	return;
}

# A session that was there before the limit learns of it.
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query(insert('early', 'held', 3));
	set_limit('early', 'rows_per_minute', 2);
	$session->query(insert('early', 'held', 3));
	$session->quit;
	is(enqueued('early'), 3, 'a limit holds for sessions that were there before it');
}

# Rates.
{
	set_limit('fast', 'rows_per_minute', ROWS_PER_MINUTE);
	my $began = Time::HiRes::time();
	my $finished = map { $_->finish } insert_from_many('fast', 'held', 'tried = ' . TRIES);
	my $took_s = Time::HiRes::time() - $began;
	my $count = enqueued('fast');
	is($finished, SESSIONS, 'sessions insert at the same time');
	cmp_ok($count, '>=', ROWS_PER_MINUTE, 'a minute\'s worth is accepted');
	cmp_ok($count, '<=', ROWS_PER_MINUTE * (1 + $took_s / 60), 'no more than was filled in since');
}

# Backlogs that nothing is taken from.
{
	set_limit('waiting', 'max_backlog', BACKLOG);
	$_->finish for insert_from_many('waiting', 'held', 'tried = ' . TRIES);
	cmp_ok(enqueued('waiting'), '<=', BACKLOG, 'a backlog is never larger than its limit');
	ok(wait_for(sub { $node->psql('postgres', insert('waiting', 'held', 1)); enqueued('waiting') == BACKLOG }),
		'it is filled up');
	is_refused(insert('waiting', 'held', 1), 'customer "waiting" has reached its limit of 50 unfinished syncs', 'not beyond it');
	is_refused("COPY integration.outbox (endpoint, customer, payload) FROM stdin;\nheld\twaiting\t{}\nheld\tother\t{}\n\\.\n",
		'customer "waiting"', 'COPY is refused');
	is(enqueued('other'), 0, 'as a whole');
}

# Rows of an open transaction are waiting too; those that roll back are not.
{
	set_limit('open', 'max_backlog', BACKLOG);
	my $session = $node->background_psql('postgres');
	$session->query_safe('BEGIN');
	$session->query_safe(insert('open', 'held', BACKLOG));
	is_refused(insert('open', 'held', 1), 'customer "open"', 'what is not committed yet has its room');
	$session->query_safe('ROLLBACK');
	$session->quit;
	ok(wait_for(sub { $node->psql('postgres', insert('open', 'held', BACKLOG)) == 0 }), 'a rollback gives it back');
}

# A backlog that is delivered all the time.
{
	my $largest = 0;
	set_limit('moving', 'max_backlog', BACKLOG);
	my @sessions = insert_from_many('moving', 'open', 'accepted = ' . ROUNDS);
	my $is_done = sub {
		my $count = value($node, "SELECT count(*) FROM integration.queue WHERE limited_customer = 'moving'");
		$largest = $count if $count > $largest;
		return enqueued('moving') >= SESSIONS * ROUNDS;
	};
	ok(wait_for($is_done, 120), 'what was delivered makes room for more');
	cmp_ok($largest, '<=', BACKLOG, 'never more at a time');
	$_->finish for @sessions;
	wait_until($node, "SELECT count(*) = 0 FROM integration.queue WHERE limited_customer = 'moving'", 'all of it arrives');
}

# The worker tells of an incident although nobody may enqueue.
{
	add_endpoint($node, name => 'bad', url => $receiver->url('/status/422'));
	add_endpoint($node, name => 'told', url => $receiver->url('/ok/told'));
	value($node, "INSERT INTO integration.notice_endpoint (endpoint, severity) VALUES ('told', 4)");
	value($node, "SELECT integration.pause('endpoint', 'bad', 'until nobody may enqueue')");
	add_sync($node, endpoint => 'bad');
	value($node, "INSERT INTO integration.enqueue_limit (scope, name, rows_per_minute) VALUES ('role', '*', 0)");
	is_refused(insert('anybody', 'held', 1), 'role', 'nobody may enqueue');
	value($node, "SELECT integration.resume('endpoint', 'bad')");
	wait_until($node, "SELECT count(*) > 0 FROM integration.outbox WHERE endpoint = 'told'", 'but the worker does');
	value($node, "DELETE FROM integration.enqueue_limit WHERE scope = 'role'");
}

# Across a restart.
{
	set_limit('restarted', 'rows_per_minute', 5);
	value($node, insert('restarted', 'held', 5));
	is_refused(insert('restarted', 'held', 5), 'customer "restarted"', 'before a restart');
	$node->restart;
	value($node, insert('restarted', 'held', 5));
	is(enqueued('restarted'), 10, 'a restart makes rates start anew');
	is_refused(insert('waiting', 'held', 1), 'customer "waiting"', 'backlogs stay');
}

done_testing();
