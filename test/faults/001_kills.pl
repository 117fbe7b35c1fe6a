# kill -9 of the worker at every step of its loop: nothing is lost, what is sent twice was in hand or just settled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use List::Util qw(any sum);
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;
use Time::HiRes ();

my ($syncs, $kills, $deadline_s) = is_long_form() ? (200_000, 1000, 1500) : (6000, 20, 120);
my @steps = qw(before_send in_flight answered in_settle after_settle);

use constant AT_ONCE => 2000;
use constant BACKLOG => 4000;
use constant LINE => qr/^(\w+) +(\d+) +(\d+) +(\d+) +(\d+) +([\d.]+) *$/;

# What was sent just before a kill reaches the receiver's clock a little later.
use constant LATE_S => 2;

my $receiver = Receiver->start;
my $place = PostgreSQL::Test::Utils::tempdir();
my $library = build_server_library('kills', $place);
my $log = "$place/kills.log";
my $node = integration_node('main', conf => <<"CONF");
restart_after_crash = on
fsync = off
wal_writer_delay = 10ms
log_min_messages = error
shared_preload_libraries = 'integration, $library'
CONF
add_endpoint($node, name => 'many', url => $receiver->url('/brief/many'), max_concurrency => 64);

# Where a worker crashes again and again it is to wait; here each crash is kept aside as if it were the first.
value($node, q{
	CREATE TABLE kill (at timestamptz, pid integer, syncs bigint[]);
	CREATE FUNCTION keep_kill() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.kill SELECT clock_timestamp(), NEW.pid, NEW.syncs;
		RETURN NULL;
	END $$;
	CREATE TRIGGER keep_kill BEFORE INSERT ON integration_worker.crash
	FOR EACH ROW EXECUTE FUNCTION keep_kill()});

$node->stop;
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{KILLS_LOG} = $log;
	local $ENV{KILLS_MOST} = $kills;
	$node->start;
}

sub kill_lines
{
	my @lines = -e $log ? split(/\n/, slurp_file($log)) : ();
	return grep { $_ =~ LINE } @lines;
}

my $until = Time::HiRes::time() + $deadline_s;
my $enqueue = qq{
	INSERT INTO integration.outbox (endpoint, payload)
	SELECT 'many', '{"n": 1}'
	  FROM generate_series(1, least(@{[AT_ONCE]}, $syncs - (SELECT count(*) FROM integration.outbox)))
	 WHERE (SELECT count(*) FROM integration.queue) < @{[BACKLOG]}};
my ($is_there, $killed) = (0, 0);
# The server restarts all the time: a statement that fails has done nothing.
while (Time::HiRes::time() < $until && ($killed < $kills || !$is_there))
{
	try_value($node, $enqueue);
	my $count = try_value($node, 'SELECT count(*) FROM integration.outbox');
	$is_there = defined $count && $count == $syncs;
	$killed = () = kill_lines();
	last if $is_there && $killed < $kills && (try_value($node, queue_is_empty()) // '') eq 't';
	Time::HiRes::sleep(0.02);
}
wait_until($node, queue_is_empty(), 'the queue becomes empty', deadline_s => 120);

# What was killed where.
my (@kills, %at);
for (kill_lines())
{
	my %kill;
	@kill{qw(step pid in_flight unsettled forgotten at)} = $_ =~ LINE;
	push @kills, \%kill;
	push @{ $at{ $kill{step} } }, \%kill;
}
my @columns = qw(in_flight unsettled forgotten);
diag(sprintf('%-12s %6s' . ' %14s' x @columns, 'killed at', 'times', map { "mean $_" } @columns));
for my $step (@steps)
{
	my @there = @{ $at{$step} // [] };
	my @means = map { my $column = $_; @there ? sum(map { $_->{$column} } @there) / @there : 0 } @columns;
	diag(sprintf('%-12s %6d' . ' %14.1f' x @columns, $step, scalar(@there), @means));
}
is((grep { $_->{step} !~ /settle/ && $_->{in_flight} + $_->{unsettled} == 0 } @kills), 0,
	'each came while something was on its way, or within a settle');
is(scalar(@kills), $kills, "there were $kills kills");
is((grep { @{ $at{$_} // [] } < int($kills / @steps) } @steps), 0, 'each step had its share');

# What became of the syncs.
my %received = $receiver->keys_of('/brief/many');
my $installation = value($node, 'SELECT name FROM integration.installation');
my @delivered = split(/\n/, value($node, q{SELECT id FROM integration.sync WHERE state = 'delivered'}));
is(scalar(@delivered), $syncs, 'every sync is delivered');
is(scalar(grep { !$received{"$installation-$_"} } @delivered), 0, 'every sync was received: lost 0');
is(scalar(keys %received), $syncs, 'under no other key');

# What was sent twice: what the worker had in hand when it was killed, or what it had settled in transactions of which
# the server had not written the WAL yet.  The worker itself noted the one, the killer counted the other.
my @known = rows($node, 'SELECT pid, syncs FROM kill ORDER BY at');
is(join(' ', map { $_->{pid} } @known), join(' ', map { $_->{pid} } @kills), 'the next worker knew of each');
my %in_hand_at;
for my $n (0 .. $#kills)
{
	push @{ $in_hand_at{$_} }, $kills[$n]{at} for @{ $known[$n]{syncs} };
}
my ($by_hand, @by_tail) = (0);
for my $key (keys %received)
{
	my @at = sort { $a <=> $b } @{ $received{$key} };
	my ($id) = $key =~ /-(\d+)$/;
	for my $n (1 .. $#at)
	{
		my ($first, $second) = ($at[ $n - 1 ] - LATE_S, $at[$n]);
		if (any { $_ > $first && $_ < $second } @{ $in_hand_at{$id} // [] })
		{
			$by_hand++;
			next;
		}
		push @by_tail, { id => $id, from => $first, to => $second };
	}
}
# Each kill accounts for as many as it made the server forget; those go first that no later one can account for.
my @unexplained = sort { $a->{to} <=> $b->{to} } @by_tail;
for my $kill (sort { $a->{at} <=> $b->{at} } @kills)
{
	my $left = $kill->{forgotten};
	@unexplained = grep { !($_->{from} < $kill->{at} && $kill->{at} < $_->{to} && $left-- > 0) } @unexplained;
}
diag(sprintf('%d of %d requests were duplicates: %d of what was in hand, %d of what was just settled',
	$by_hand + @by_tail, sum(map { scalar @$_ } values %received), $by_hand, scalar(@by_tail)));
is(scalar(@unexplained), 0, 'only what was in hand or just settled was sent twice')
  or diag(map { "sync $_->{id}, sent again at $_->{to}\n" } @unexplained);
cmp_ok($by_hand, '>', 0, 'the kills came while something was on its way');

done_testing();
