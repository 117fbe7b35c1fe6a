# A standby sends nothing until it is promoted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Cluster;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
$receiver->switch('/ok/there', '/status/503');
my $primary = integration_node('primary', init => { allows_streaming => 1 });
add_retry_policy($primary, undef, 'steady', '{1 s,1 s,1 s,1 s,1 s,1 s,1 s,1 s}');
add_endpoint($primary, name => 'there', url => $receiver->url('/ok/there'), retry_policy => 'steady');

$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
wait_until($primary, q{SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'}, 'the standby follows');

# The primary goes when its sync waits for the second attempt.
my $id = add_sync($primary, endpoint => 'there');
wait_until($primary, "SELECT attempts >= 1 FROM integration.queue WHERE outbox_id = $id",
	'a first attempt fails');
$primary->stop('fast');
my $requests = $receiver->count('/ok/there')->{requests};
cmp_ok($requests, '>=', 1, 'the primary sent it');

wait_until($standby, "SELECT clock_timestamp() > due_at + interval '1 s'
                        FROM integration.queue WHERE outbox_id = $id",
	'on the standby it is due, and overdue');
is(value($standby, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'integration worker'}),
	0, 'a standby has no worker');
is($receiver->count('/ok/there')->{requests}, $requests, 'a standby sends nothing');

$receiver->switch('/ok/there');
$standby->promote;
my $promoted = value($standby, 'SELECT clock_timestamp()');
wait_until($standby, worker_runs('postgres'), 'a promoted standby has a worker');
is(value($standby, "SELECT backend_start < '$promoted'::timestamptz + interval '1 s'
                      FROM pg_stat_activity WHERE backend_type = 'integration worker'"), 't', 'within a second');
wait_until($standby, state_is('delivered', $id), 'a promoted standby goes on');
is($receiver->count('/ok/there')->{keys}, 1, 'with the same key');
my $next = add_sync($standby, endpoint => 'there');
wait_until($standby, state_is('delivered', $next), 'and takes new ones');
ok($standby->log_contains(qr/integration goes on in database "postgres": this server was promoted/), 'it is no copy');

# Once it has gone on, it needs not be known any more how it came about.
$standby->stop('immediate');
$standby->start;
$next = add_sync($standby, endpoint => 'there');
wait_until($standby, state_is('delivered', $next), 'also after a crash');

done_testing();
