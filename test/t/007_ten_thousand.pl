# Ten thousand syncs to a healthy receiver: each received once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

use constant BATCHES => 10;
use constant BATCH => 1000;

my $receiver = Receiver->start;
my $node = integration_node('main');
add_endpoint($node, name => 'many', url => $receiver->url('/ok/many'), max_concurrency => 32);

add_syncs($node, 'many', BATCH) for 1 .. BATCHES;
wait_until($node, queue_is_empty(), 'the queue is empty');

is_deeply(row($node, q{SELECT count(*) AS attempts, count(DISTINCT outbox_id) AS syncs,
                              count(*) FILTER (WHERE outcome = 'delivered') AS delivered
                         FROM integration.attempt}),
	{ attempts => BATCHES * BATCH, syncs => BATCHES * BATCH, delivered => BATCHES * BATCH },
	'each took one attempt');
is(value($node, q{SELECT count(*) FROM integration.sync WHERE state = 'delivered'}), BATCHES * BATCH,
	'each is delivered');

my $count = $receiver->count('/ok/many');
is($count->{requests}, BATCHES * BATCH, 'each was received');
is($count->{keys}, BATCHES * BATCH, 'none twice');
cmp_ok($count->{connections}, '<=', 64, 'over few connections');

my %sent = map { $_ => 1 } split(/\n/, value($node, q{
	SELECT i.name || '-' || o.id FROM integration.outbox o, integration.installation i}));
my %received = $receiver->keys_of('/ok/many');
is(scalar(grep { !$sent{$_} } keys %received), 0, 'and nothing else');

done_testing();
