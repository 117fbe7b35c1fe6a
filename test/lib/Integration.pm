# Nodes that have the extension, with the receiver they send to, for TAP programs.
#
#     my $node = integration_node('main');
#     my $receiver = Receiver->start;
#     add_endpoint($node, name => 'shop', url => $receiver->url('/ok'));
#     my $id = add_sync($node, endpoint => 'shop');
#     wait_until($node, state_is('delivered', $id), 'the sync is delivered');
package Integration;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use IPC::Run ();
use JSON::PP ();
use List::Util ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

use Receiver;

our @EXPORT = qw(
  integration_node add_extension add_retry_policy add_endpoint add_sync add_syncs
  state_is queue_is_empty ranges_are_made make_ranges wait_until wait_for rows row value try_value quoted make_certificates
  build_preload build_server_library is_long_form
  run_scenarios worker_pid worker_runs setting_is set_workers shards_are_shared_by
  can_dump
);

use constant DEADLINE_S => $ENV{WAIT_S} // 60;
use constant POLL_S => 0.05;

# A running node whose database postgres has the extension and the policy "fast".
sub integration_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%{ $options{init} // {} });
	$node->append_conf('postgresql.conf', "log_statement = none\n");
	$node->append_conf('postgresql.conf', $options{conf}) if defined $options{conf};
	$node->start;
	add_extension($node);
	return $node;
}

sub add_extension
{
	my ($node, $database) = @_;
	$node->safe_psql($database // 'postgres', 'CREATE EXTENSION integration');
	add_retry_policy($node, $database, 'fast', '{0.2 s,0.2 s}');
	return;
}

# Without jitter, so that a test can say how many attempts there will be.
sub add_retry_policy
{
	my ($node, $database, $name, $schedule) = @_;
	$node->safe_psql($database // 'postgres',
		"INSERT INTO integration.retry_policy (name, schedule, jitter) VALUES ('$name', '$schedule', 0)");
	return;
}

sub quoted
{
	my ($text) = @_;
	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub insert_statement
{
	my ($table, $columns) = @_;
	my @names = sort keys %$columns;
	my $names = join(', ', map { qq("$_") } @names);
	my $values = join(', ', map { quoted($columns->{$_}) } @names);
	return "INSERT INTO integration.$table ($names) VALUES ($values)";
}

sub add_endpoint
{
	my ($node, %columns) = @_;
	my $database = delete $columns{database} // 'postgres';
	$columns{retry_policy} //= 'fast' unless exists $columns{connector};
	$node->safe_psql($database, insert_statement('endpoint', \%columns));
	return;
}

# Enqueues one sync, returns its id.
sub add_sync
{
	my ($node, %columns) = @_;
	my $database = delete $columns{database} // 'postgres';
	$columns{payload} //= '{"n": 1}';
	return $node->safe_psql($database, insert_statement('outbox', \%columns) . ' RETURNING id');
}

# Enqueues syncs with payloads {"n": 1}, {"n": 2}, … in one transaction.
sub add_syncs
{
	my ($node, $endpoint, $count, $database) = @_;
	$node->safe_psql($database // 'postgres',
		"INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
		 SELECT '$endpoint', 'order', 'O-' || n, jsonb_build_object('n', n)
		   FROM generate_series(1, $count) AS n");
	return;
}

sub value
{
	my ($node, $query, $database) = @_;
	return $node->safe_psql($database // 'postgres', $query);
}

# The same; undef where the query fails.  Where the server is not there psql may leave before it has read the query, and
# running it throws then.
sub try_value
{
	my ($node, $query, %options) = @_;
	my ($output, $error);
	my $result = eval {
		$node->psql($options{database} // 'postgres', $query, stdout => \$output, stderr => $options{error} // \$error);
	};
	return defined $result && $result == 0 ? $output : undef;
}

# The rows of a query as hashes.
sub rows
{
	my ($node, $query, $database) = @_;
	my $text = value($node, "SELECT coalesce(json_agg(to_json(r)), '[]') FROM ($query) AS r", $database);
	return @{ JSON::PP->new->utf8->decode($text) };
}

sub row
{
	return (rows(@_))[0];
}

# Of 14 pg_dump itself crashes on a partition that an extension owns; that of a later one dumps a 14 as well.
sub can_dump
{
	my ($node) = @_;
	return $node->pg_version >= 15;
}

sub state_is
{
	my ($state, @ids) = @_;
	my $list = join(', ', @ids);
	my $count = @ids;
	return "SELECT count(*) = $count FROM integration.sync WHERE id IN ($list) AND state = '$state'";
}

sub queue_is_empty
{
	return 'SELECT count(*) = 0 FROM integration.queue';
}

# Until then the worker may make a range at any moment.
sub ranges_are_made
{
	return 'SELECT max(r.high) >= integration_worker.last_id() + 1500000 FROM integration_worker.ranges() r';
}

# So many ranges of so many ids before there is any sync, in one transaction: once there is one, the worker may make
# the next.  Whoever holds a lock for a moment puts them off.
sub make_ranges
{
	my ($node, $count, $size, $database) = @_;
	my $are_made = sub {
		value($node,
			"SELECT integration_worker.make_partitions($size, 10, 0) FROM generate_series(1, $count)", $database);
		return value($node,
			"SELECT count(*) FILTER (WHERE high - low = $size) = $count FROM integration_worker.ranges()",
			$database) eq 't';
	};
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_for($are_made), "ranges of $size ids: $count");
	return;
}

sub worker_runs
{
	my ($database) = @_;
	return "SELECT count(*) = 1 FROM pg_stat_activity
	         WHERE backend_type = 'integration worker' AND datname = '$database'";
}

sub worker_pid
{
	my ($node, $database) = @_;
	$database //= 'postgres';
	return value($node,
		"SELECT pid FROM pg_stat_activity
		  WHERE backend_type = 'integration worker' AND datname = '$database'");
}

sub set_workers
{
	my ($node, $count) = @_;
	value($node, "ALTER SYSTEM SET integration.workers = $count");
	$node->reload;
	return;
}

# Each shard has one worker, and so many workers have some.
sub shards_are_shared_by
{
	my ($count) = @_;
	return "SELECT array_agg(s ORDER BY s) = ARRAY(SELECT generate_series(0, 15)) AND count(DISTINCT pid) = $count
	          FROM integration.worker_status, unnest(shards) AS s";
}

sub setting_is
{
	my ($name, $value) = @_;
	return "SELECT current_setting('$name') = " . quoted($value);
}

# Waits until the code returns true; false when the deadline has come.
sub wait_for
{
	my ($code, $deadline_s) = @_;
	my $until = Time::HiRes::time() + ($deadline_s // DEADLINE_S);
	while (Time::HiRes::time() < $until)
	{
		return 1 if $code->();
		Time::HiRes::sleep(POLL_S);
	}
	return $code->() ? 1 : 0;
}

# Waits until the query says true, as one assertion.  A server that is not there yet says nothing.
sub wait_until
{
	my ($node, $query, $what, %options) = @_;
	my ($output, $error);
	my $is_true = sub {
		$output = try_value($node, $query, database => $options{database}, error => \$error);
		return ($output // '') eq 't';
	};
	my $came = wait_for($is_true, $options{deadline_s});
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($came, $what) or diag("still not true: $query\nlast: ", $output // 'nothing', ' ', $error // '');
	return $came;
}

# Whether there is time (make test-faults), or a taste must do (make test).
sub is_long_form
{
	return ($ENV{FORM} // '') eq 'long';
}

# A library of this directory, for LD_PRELOAD; returns its path.
sub build_preload
{
	my ($name, $directory, @options) = @_;
	my $library = "$directory/$name.so";
	PostgreSQL::Test::Utils::system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', @options, '-o', $library,
		"$FindBin::RealBin/../lib/$name.c", '-ldl');
	return $library;
}

# The same for one that the server loads, too.  Programs that are not the server lack what it refers to.
sub build_server_library
{
	my ($name, $directory, @options) = @_;
	chomp(my $headers = `\${PG_CONFIG:-pg_config} --includedir-server`);
	return build_preload($name, $directory, "-I$headers", '-Wl,-z,lazy', @options);
}

# A directory of certificates, see mkca.
sub make_certificates
{
	my $directory = PostgreSQL::Test::Utils::tempdir();
	PostgreSQL::Test::Utils::system_or_bail('bash', "$FindBin::RealBin/../lib/mkca", $directory);
	return $directory;
}

# What the tables say about each scenario's sync, by the scenario's name.
sub scenario_outcomes
{
	my ($node) = @_;
	my @found = rows(
		$node, q{
		SELECT o.endpoint AS name, s.state, s.attempts, a.reason, a.error_class AS class,
		       a.http_status AS status, a.error, a.response_body AS body, a.outcome,
		       coalesce(h.state, 'closed') AS health,
		       extract(epoch FROM a.next_attempt_at - a.started_at) AS wait_s
		  FROM integration.outbox o
		  JOIN integration.sync s ON s.id = o.id
		  JOIN integration.endpoint e ON e.name = o.endpoint
		  LEFT JOIN integration.endpoint_health h ON h.endpoint_id = e.id
		  LEFT JOIN LATERAL (SELECT * FROM integration.attempt x
		                      WHERE x.outbox_id = o.id
		                      ORDER BY x.attempt_no DESC LIMIT 1) AS a ON true});
	return map { $_->{name} => $_ } @found;
}

# Each scenario is one endpoint and one sync; all go at once, as in life.  A scenario has the
# endpoint's columns in "endpoint", the outbox row's in "sync" and what must come of it in "expect"
# (columns of scenario_outcomes(); "error_like" is matched against the attempt's error).
sub run_scenarios
{
	my ($node, @scenarios) = @_;
	for my $scenario (@scenarios)
	{
		add_endpoint($node, name => $scenario->{name}, %{ $scenario->{endpoint} });
	}
	for my $scenario (@scenarios)
	{
		add_sync($node, endpoint => $scenario->{name}, %{ $scenario->{sync} // {} });
	}
	my %outcome;
	my $is_settled = sub {
		%outcome = scenario_outcomes($node);
		return List::Util::all {
			my $found = $outcome{ $_->{name} };
			$found->{state} eq $_->{expect}{state} && $found->{attempts} >= $_->{expect}{attempts};
		} @scenarios;
	};
	wait_for($is_settled);
	check_scenario($_, $outcome{ $_->{name} }) for @scenarios;
	return %outcome;
}

sub check_scenario
{
	my ($scenario, $found) = @_;
	my %expect = %{ $scenario->{expect} };
	my $error_like = delete $expect{error_like};
	my %got = map { $_ => $found->{$_} } keys %expect;
	is_deeply(\%got, \%expect, $scenario->{name})
	  or diag("error: " . ($found->{error} // 'none'));
	return unless defined $error_like;
	like($found->{error}, $error_like, "$scenario->{name}: the error gives a clue");
	return;
}

1;
