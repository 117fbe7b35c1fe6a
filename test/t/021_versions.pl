# A library that finds objects of another version sends nothing, says so, breaks nothing, goes on after the update.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');
my $version = value($node, q{SELECT extversion FROM pg_extension WHERE extname = 'integration'});
add_endpoint($node, name => 'good', url => $receiver->url('/ok/good'));
wait_until($node, worker_runs('postgres'), 'the worker runs');

# What lies between two versions is not the question here: one without a difference will do.
my $scripts = value($node, q{
	SELECT d.setting || s.setting || '/extension' FROM pg_settings d, pg_config s
	 WHERE d.name = 'extension_destdir' AND s.name = 'SHAREDIR'
	UNION ALL
	SELECT split_part(d.setting, ':', 1) || '/extension' FROM pg_settings d WHERE d.name = 'extension_control_path'});
my @made = map { "$scripts/integration--0.0.1--$_.sql" } $version, '9.9.9';
append_to_file($_, "SELECT 1;\n") for @made;

END
{
	unlink @made;
}

sub start_with_version
{
	my ($installed) = @_;
	value($node, "UPDATE pg_extension SET extversion = '$installed' WHERE extname = 'integration'");
	$node->restart;
	return;
}

my $waits = q{SELECT activity LIKE 'waits: library %, extension 0.0.1' FROM integration.worker_status};
start_with_version('0.0.1');
wait_until($node, $waits, 'the worker waits, and its status says for what');
my $id = add_sync($node, endpoint => 'good');
is(value($node, 'SELECT count(*) FROM integration.queue'), 1, 'the application goes on enqueueing');
is(value($node, q{SELECT count(*) FROM pg_stat_activity
                   WHERE backend_type = 'integration worker' AND query LIKE 'waits: library %'}),
	1, 'pg_stat_activity says so, too');
my $log = slurp_file($node->logfile);
is(scalar(() = $log =~ /sends nothing: its library is version \Q$version\E, the extension is version 0\.0\.1/g),
	1, 'the log says it once');
like($log, qr/HINT: .*ALTER EXTENSION integration UPDATE/, 'and what to do');

my $pid = worker_pid($node);
value($node, 'ALTER EXTENSION integration UPDATE');
wait_until($node, state_is('delivered', $id), 'after the update what was enqueued is delivered');
is($receiver->count('/ok/good')->{requests}, 1, 'once');

# Updated while a worker runs whose library is older.
value($node, "UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'integration'");
value($node, q{ALTER EXTENSION integration UPDATE TO '9.9.9'});
wait_until($node, q{SELECT activity LIKE 'waits: library %, extension 9.9.9' FROM integration.worker_status},
	'an update under a running worker stops it, too');
add_sync($node, endpoint => 'good');

# A function that is declared otherwise says so in place of reading what is not there.
{
	my $library = value($node, q{SELECT probin FROM pg_proc WHERE proname = 'live_syncs'});
	my ($result, $output, $error) = $node->psql('postgres', qq{
		CREATE FUNCTION live(OUT a bigint, OUT b timestamptz, OUT c bigint) RETURNS SETOF record
		LANGUAGE c AS '$library', 'integration_live_syncs';
		SELECT * FROM live()});
	like($error, qr/function "live" is declared otherwise.*\n.*HINT: .*ALTER EXTENSION integration UPDATE/,
		'a function of another version is refused');
}
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|signal 6/, 'nothing broke');

done_testing();
