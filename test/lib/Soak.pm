# What the soak programs share: a load that never ends, what the worker takes, a table by the minute.
package Soak;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use IPC::Open3 ();
use List::Util qw(max);
use Test::More;
use Time::HiRes ();

use Integration;

our @EXPORT = qw(minutes fast_receiver start_load worker_figures watch largest_in);

use constant DEPTH => 4000;

sub minutes
{
	my $minutes = $ENV{MINUTES} // 10;
	die "MINUTES=$minutes: what grows shows in 3 at least\n" if $minutes < 3;
	return $minutes;
}

# The benchmark's receiver, which is good to everybody as fast as it can; returns its port.
sub fast_receiver
{
	my $pid = IPC::Open3::open3(my $input, my $output, '>&STDERR',
		"$FindBin::RealBin/../bench/build/receiver", 0);
	my ($port) = (readline($output) // die 'the receiver did not start') =~ /(\d+)/;
	push @Soak::held, [ $pid, $input, $output ];
	return $port;
}

END
{
	my $status = $?;
	for my $process (@Soak::held)
	{
		kill('TERM', $process->[0]);
		waitpid($process->[0], 0);
	}
	$? = $status;
}

# Commits batches of $query for so long, whenever less than DEPTH syncs wait.
sub start_load
{
	my ($node, $seconds, $query) = @_;
	my $load = $node->background_psql('postgres');
	$load->query_safe('SET client_min_messages = warning');
	$load->{stdin} .= sprintf(<<'SQL', $seconds, DEPTH, $query);
DO $load$
DECLARE
	until timestamptz := clock_timestamp() + make_interval(secs => %d);
BEGIN
	WHILE clock_timestamp() < until LOOP
		IF (SELECT count(*) FROM (SELECT FROM integration.queue WHERE state = 'pending' LIMIT %d) q) < 2000 THEN
			%s;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.005);
	END LOOP;
END $load$;
SQL
	$load->{run}->pump_nb;
	return $load;
}

# Anonymous memory in kB, open descriptors; files of the data directory are the server's, which bounds them itself.
sub worker_figures
{
	my ($node) = @_;
	my $pid = worker_pid($node);
	open(my $status, '<', "/proc/$pid/status") or die "worker $pid: $!";
	my ($anonymous) = map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$status>;
	my $files = $node->data_dir;
	my $count = grep { defined && !/^\Q$files\E/ } map { readlink } glob("/proc/$pid/fd/*");
	return (pid => $pid, memory_kb => $anonymous, descriptors => $count);
}

# Each minute a line of what $look gives, as columns; returns all of them.
sub watch
{
	my ($node, $columns, $look) = @_;
	my @table;
	note(sprintf('%6s' . ' %14s' x @$columns, 'minute', @$columns));
	for my $minute (1 .. minutes())
	{
		my $until = Time::HiRes::time() + 60;
		while ((my $left = $until - Time::HiRes::time()) > 0)
		{
			$look->(0);
			Time::HiRes::sleep($left < 1 ? $left : 1);
		}
		my %line = (worker_figures($node), $look->(1));
		note(sprintf('%6d' . ' %14s' x @$columns, $minute, map { $line{$_} } @$columns));
		push @table, \%line;
	}
	return @table;
}

# The largest figure of a column in the nth third of the table.
sub largest_in
{
	my ($third, $column, @table) = @_;
	my $size = int(@table / 3) || 1;
	my @part = splice(@{ [@table] }, ($third - 1) * $size, $third == 3 ? @table : $size);
	return max(map { $_->{$column} } @part);
}

1;
