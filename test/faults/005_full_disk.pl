# A tablespace on a disk that is really full: what was sent waits to be recorded, nothing is lost or sent twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use constant DISK_MB => 64;

BEGIN
{
	exec("$FindBin::RealBin/../lib/small_disk", DISK_MB, $^X, $0) unless $ENV{DISK};
}

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;

use constant SYNCS => 3000;

my $receiver = Receiver->start;
my $node = integration_node('main');
value($node, "CREATE TABLESPACE small LOCATION '$ENV{DISK}'");
value($node, 'CREATE DATABASE app TABLESPACE small');
add_extension($node, 'app');
add_endpoint($node, database => 'app', name => 'many', url => $receiver->url('/brief/many'), max_concurrency => 32);
value($node, q{SELECT integration.pause('endpoint', 'many', 'until the disk is full')}, 'app');
add_syncs($node, 'many', SYNCS, 'app');
wait_until($node, worker_runs('app'), 'the worker runs');
my $pid = worker_pid($node, 'app');

# Page by page until there is none left; rows that are dead keep their pages.
sub fill_disk
{
	value($node, 'CREATE TABLE ballast (text text) WITH (autovacuum_enabled = off)', 'app');
	my $result = $node->psql('app', q{
		DO $$ BEGIN
			LOOP
				INSERT INTO public.ballast VALUES (repeat('x', 1900));
			END LOOP;
		END $$}, stderr => \my $error);
	isnt($result, 0, 'the disk is filled');
	like($error, qr/could not extend file.*No space left on device/, 'to its end');
	return;
}

fill_disk();
isnt($node->psql('app', q{INSERT INTO integration.outbox (endpoint, payload)
	SELECT 'many', jsonb_build_object('text', repeat('x', 1000)) FROM generate_series(1, 1000)}, stderr => \my $refused),
	0, 'an application that enqueues more is told');
like($refused, qr/No space left on device/, 'why');

value($node, q{SELECT integration.resume('endpoint', 'many')}, 'app');
ok(wait_for(sub { $receiver->count('/brief/many')->{requests} > 0 }), 'what waited is sent');
ok(wait_for(sub { slurp_file($node->logfile) =~ /\[$pid\] .*could not extend file.*No space left on device/ }),
	'until its results have no room');

value($node, 'DROP TABLE ballast', 'app');
wait_until($node, sprintf(q{SELECT count(*) = %d FROM integration.sync WHERE state = 'delivered'}, SYNCS),
	'with room again all are recorded', database => 'app', deadline_s => 90);
my $count = $receiver->count('/brief/many');
is("$count->{requests} $count->{keys} $count->{most_per_key}", SYNCS . ' ' . SYNCS . ' 1', 'each was sent once');
is(worker_pid($node, 'app'), $pid, 'by one worker');

done_testing();
