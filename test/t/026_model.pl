# What test/model says of feed, take, settle and of people's actions is what the tables do.
#
# Each trace of the model is carried out by sessions of their own: three applications, a person,
# two that stand for workers and call what workers call.  What the model expects of each step is
# in the lines that follow it.  The real worker is kept from sending by a pause.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Test::More;

use constant STATES => qw(absent pending failed delivered cancelled);
use constant SYNCS => 0 .. 2;
# What the model calls an answer.
use constant GOOD => 3;

my $node = integration_node('main');
value($node, q{SELECT integration.pause('all', '', 'the test is the sender')});

# The traces' own words for one step and for what is expected of it.
my %carry_out = (
	BEGIN   => \&begin,
	COMMIT  => \&commit,
	ACT     => \&act,
	ACTED   => \&acted,
	OWN     => \&own,
	LEAVE   => \&leave,
	FEED    => \&feed,
	CHECK   => \&check,
	TAKE    => \&take,
	SETTLE  => \&settle,
	SETTLED => \&settled,
	ROWS    => \&compare_rows);

# Of the trace that runs: its sessions, ids of syncs, times by the model's clock, what workers remember.
my (%session, @id, @at, $endpoint, @snapshot, @taken, @lease_xid, @verdicts);

sub session
{
	my ($name) = @_;
	return $session{$name} //= $node->background_psql('postgres');
}

sub rows_in
{
	my ($name, $query) = @_;
	return map { [ split(/\|/, $_, -1) ] } split(/\n/, session($name)->query_safe($query));
}

# A transaction has its id and its now() from its first statement on; the sync's id was given before.
sub begin
{
	my ($sync, $clock) = @_;
	($at[$clock]) = map { $_->[1] }
	  rows_in("application $sync", 'BEGIN; SELECT pg_current_xact_id(), now()');
	session("application $sync")->query_safe("INSERT INTO integration.outbox (id, endpoint, ordering_key, payload)
		VALUES ($id[$sync], '$endpoint->{name}', 'key ' || ($sync = 1), '{}')");
	return;
}

sub commit
{
	my ($sync) = @_;
	session("application $sync")->query_safe('COMMIT');
	return;
}

sub act
{
	my ($sync, $is_cancel, $clock) = @_;
	my $verb = $is_cancel ? 'cancel' : 'retry';
	($at[$clock]) = map { $_->[1] } rows_in('person', 'BEGIN; SELECT pg_current_xact_id(), now()');
	session('person')->query_safe("SELECT integration.$verb($id[$sync])");
	return;
}

sub acted
{
	session('person')->query_safe('COMMIT');
	return;
}

# Stands for the lock of the shard, whose tag SQL can't name.
sub own
{
	my ($worker) = @_;
	is(session("worker $worker")->query_safe('SELECT pg_try_advisory_lock(0)'), 't', "worker $worker has the lock");
	return;
}

sub leave
{
	my ($worker) = @_;
	session("worker $worker")->query_safe('SELECT pg_advisory_unlock(0)');
	return;
}

sub expected_syncs
{
	my ($word, @expected) = @_;
	return sort map { $_->[2] } grep { $_->[0] eq $word } @expected;
}

sub sync_of
{
	my ($outbox_id) = @_;
	my ($sync) = grep { $id[$_] == $outbox_id } SYNCS;
	return $sync;
}

sub feed
{
	my ($worker, $serves, @expected) = @_;
	my $shard = $serves ? 1 << $endpoint->{id} % 16 : 0;
	my $previous = defined $snapshot[$worker] ? "'$snapshot[$worker]'" : 'NULL';
	my @rows = rows_in("worker $worker", "SELECT snapshot, outbox_id FROM integration_worker.feed($previous, 1000, $shard)");
	$snapshot[$worker] = shift(@rows)->[0];
	@rows = grep { $_->[1] ne '' } @rows;
	is_deeply([ sort map { sync_of($_->[1]) } @rows ], [ expected_syncs('NEW', @expected) ], 'what is new');
	return;
}

# Of an endpoint's cursor the model has the clock; a row that began then lies below it.
sub sources
{
	my ($reads_cursor, $after) = @_;
	return "'{}', '{}', '{}', '{}', '{}', '{}'" unless $reads_cursor;
	my ($clock) = grep { defined $at[$_] } reverse 0 .. $after;
	my $due = defined $clock ? $at[$clock] : '-infinity';
	return "'{$endpoint->{id}}', '{2}', '{NULL}', '{\"$due\"}', '{9223372036854775807}', '{100}'";
}

sub take
{
	my ($worker, $reads_cursor, $after, $set, @expected) = @_;
	my $sources = sources($reads_cursor, $after);
	my $ids = join(',', map { $id[$_] } grep { $set >> $_ & 1 } SYNCS);
	my %held;
	for my $row (rows_in("worker $worker",
			"SELECT outbox_id, held::int, change_xid FROM integration_worker.take($sources, '{$ids}')"))
	{
		my $sync = sync_of($row->[0]);
		$held{$sync} = $row->[1];
		$taken[$worker][$sync] = $row->[2];
	}
	my %expected = map { $_->[2] => $_->[3] } grep { $_->[0] eq 'ROW' } @expected;
	is_deeply(\%held, \%expected, 'what is taken, what of it is held');
	return;
}

sub lease
{
	my ($worker, $sync) = @_;
	$lease_xid[$worker][$sync] = $taken[$worker][$sync];
	return;
}

# What people have changed since it was read.
sub check
{
	my ($worker, @expected) = @_;
	for my $sync (map { $_->[2] } grep { $_->[0] eq 'CHANGED' } @expected)
	{
		my $same = value($node, "SELECT count(*) FROM integration.queue
			WHERE outbox_id = $id[$sync] AND state <> 'failed' AND change_xid = '$lease_xid[$worker][$sync]'");
		is($same, 0, 'what was changed is so');
	}
	return;
}

# Up to the commit, which other steps may precede.
sub settle
{
	my ($worker, $sync, $answer, $is_as_read, @expected) = @_;
	my $status = $answer == GOOD ? 200 : 400;
	my $is_held = grep { $_->[0] eq 'UNSETTLED' } @expected;
	$verdicts[$worker] = [ rows_in("worker $worker", "BEGIN; SELECT outbox_id, state
		FROM integration_worker.settle(ARRAY[jsonb_populate_record(NULL::integration_worker.result,
			jsonb_build_object('outbox_id', $id[$sync], 'endpoint_id', $endpoint->{id},
				'change_xid', '$lease_xid[$worker][$sync]', 'reason', 'http:$status', 'http_status', $status,
				'started_at', now()))])
		WHERE outbox_id IS NOT NULL") ];
	my ($own) = grep { $_->[0] == $id[$sync] } @{ $verdicts[$worker] };
	is($own->[1] eq 'unsettled', $is_held != 0, 'a result waits only for a row that somebody holds');
	session("worker $worker")->query_safe('COMMIT') if $is_held;
	return;
}

sub settled
{
	my ($worker, $sync, $state, $successor) = @_;
	session("worker $worker")->query_safe('COMMIT');
	my @named = map { sync_of($_->[0]) } grep { $_->[0] != $id[$sync] } @{ $verdicts[$worker] };
	is_deeply(\@named, [ $successor ? $successor - 1 : () ], 'who is next');
	return;
}

sub compare_rows
{
	my @expected = map { (STATES)[$_] } @_;
	my %found = map { $_->{id} => $_->{state} } rows($node, 'SELECT id, state FROM integration.sync');
	is_deeply([ map { $found{ $id[$_] } // 'absent' } SYNCS ], \@expected, 'the states of all three');
	return;
}

# The words that only say what is expected of the step before.
my %is_expectation = map { $_ => 1 } qw(NEW ROW CHANGED UNSETTLED);

sub read_steps
{
	my ($file) = @_;
	my @steps;
	for my $line (split(/\n/, PostgreSQL::Test::Utils::slurp_file($file)))
	{
		my ($word, @numbers) = split(/ /, $line);
		if ($is_expectation{$word})
		{
			push @{ $steps[-1]{expected} }, [ $word, @numbers ];
			next;
		}
		# a lease is told between the rows of its take
		if ($word eq 'LEASE')
		{
			push @{ $steps[-1]{leases} }, \@numbers;
			next;
		}
		push @steps, { word => $word, numbers => \@numbers, expected => [], leases => [] };
	}
	return @steps;
}

sub begin_trace
{
	my ($name) = @_;
	(%session, @at, @snapshot, @taken, @lease_xid, @verdicts) = ();
	add_endpoint($node, name => $name, url => 'http://127.0.0.1:9/');
	$endpoint = row($node, "SELECT id, name FROM integration.endpoint WHERE name = '$name'");
	@id = map { value($node, q{SELECT nextval(pg_get_serial_sequence('integration.outbox', 'id'))}) } SYNCS;
	return;
}

for my $file (glob("$FindBin::RealBin/../model/traces/*.txt"))
{
	my ($name) = $file =~ /(\d+)\.txt$/;
	subtest "trace $name" => sub {
		begin_trace("trace_$name");
		for my $step (read_steps($file))
		{
			my $code = $carry_out{ $step->{word} } or next;
			$code->(@{ $step->{numbers} }, @{ $step->{expected} });
			lease(@$_) for @{ $step->{leases} };
		}
		$_->quit for values %session;
	};
}

done_testing();
