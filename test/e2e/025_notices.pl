# A failure is noticed at once: NOTIFY, a request to a notice endpoint, a line in the log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use PostgreSQL::Test::Utils;
use Receiver;
use Test::More;
use Time::HiRes;

use constant FAILURES => 2000;

my $receiver = Receiver->start;
my $node = integration_node('main');
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN integration_incident');

# What has come on the channel so far.
my @heard;

sub hears
{
	my ($pattern) = @_;
	return wait_for(sub { push @heard, $listener->query('SELECT') =~ /Asynchronous notification "integration_incident" with payload "(.*?)" received/g;
			return grep { /$pattern/ } @heard; });
}

value($node, q{INSERT INTO integration.connector (name, owner, severity) VALUES ('crm', 'sales-it', 2)});
add_endpoint($node, name => 'shop', url => $receiver->url('/status/422'), connector => 'crm');
add_endpoint($node, name => 'chat', url => $receiver->url('/ok/chat'));
value($node, q{INSERT INTO integration.notice_endpoint (endpoint, format) VALUES ('chat', 'slack')});

my $start = Time::HiRes::time();
# Without objects: twenty different ones that are refused alike would stop the endpoint.
value($node, q{INSERT INTO integration.outbox (endpoint, payload) SELECT 'shop', to_jsonb(n) FROM generate_series(1, } . FAILURES . q{) AS n});
ok(hears('"change": "opened"'), 'who listens is notified');
ok(wait_for(sub { return $receiver->count('/ok/chat')->{requests} }), 'the notice endpoint is told');
wait_until($node, 'SELECT count(*) = ' . FAILURES . q{ FROM integration.failed}, 'all have failed');
my ($told) = $receiver->arrived('/ok/chat');
like($told->{body}, qr/at endpoint \\"shop\\" \(incident/, 'of what, where');
ok(wait_for(sub { return $node->log_contains(qr/integration incident \d+ opened: validation at endpoint "shop", owner sales-it/) }),
	'the log has a line');
my ($sync, $trace) = slurp_file($node->logfile) =~ /incident \d+ opened: validation .*\n.*DETAIL:  An example: outbox_id=(\d+) trace_id=([0-9a-f]{32})\.$/m;
is(value($node, "SELECT a.trace_id FROM integration.attempt a WHERE a.outbox_id = $sync"), $trace, 'and the ids that lead on');

# From the attempt that failed to the notice in the outbox.
cmp_ok(value($node, q{SELECT extract(epoch FROM n.at - (SELECT min(a.started_at) FROM integration.attempt a JOIN integration.endpoint e ON e.id = a.endpoint_id
                                                         WHERE e.name = 'shop' AND a.outcome = 'failed')) FROM integration.notice n}),
	'<', 1, 'within a second');
is(value($node, q{SELECT count(*) FROM integration.incident}), 1, 'one incident');
is($receiver->count('/ok/chat')->{requests}, 1, 'one notice');

# It heals
$receiver->switch('/status/422', '/ok/shop');
value($node, q{SELECT integration.retry_where(endpoint => 'shop', reason => 'the vendor has mended it')});
ok(hears('"change": "resolved"'), 'the end is heard of, too');
ok(wait_for(sub { return $receiver->count('/ok/chat')->{requests} == 2 }), 'and told');
wait_until($node, queue_is_empty(), 'all have arrived');

# A notice endpoint that fails is an incident, of which it is not told itself
$receiver->switch('/ok/chat', '/status/401');
$receiver->switch('/status/422', '/status/422');
add_syncs($node, 'shop', 1);
ok(hears('"change": "(re)?opened".*"endpoint": "chat"'), 'its failure is heard of');
is(value($node, q{SELECT count(*) FROM integration.incident WHERE endpoint = 'chat'}), 1, 'once');
is(value($node, q{SELECT count(*) FROM integration.notice n JOIN integration.incident i ON i.id = n.incident WHERE i.endpoint = 'chat'}), 0,
	'no notice about it');

# What was not told when the server went down is told afterwards
$receiver->switch('/ok/chat', '');
value($node, q{SELECT integration.resume('endpoint', 'chat')});
wait_until($node, q{SELECT count(*) = 0 FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id WHERE e.name = 'chat'}, 'it works again');

# Whom nobody answers climbs: its customer hears of it
add_endpoint($node, name => 'acme_it', url => $receiver->url('/ok/acme'));
value($node, q{UPDATE integration.endpoint SET customer = 'acme' WHERE name = 'shop';
	INSERT INTO integration.notice_endpoint (endpoint, audience, customer) VALUES ('acme_it', 'customer', 'acme');
	UPDATE integration.escalation_level SET after = '0' WHERE audience = 'customer'});
add_syncs($node, 'shop', 1);
ok(hears('"change": "escalated"'), 'who listens hears that nobody looks after it');
ok(wait_for(sub { return $receiver->count('/ok/acme')->{requests} }), 'the customer is told');
my ($for_customer) = $receiver->arrived('/ok/acme');
unlike($for_customer->{body}, qr/shop|422|remedy/, 'nothing internal');
value($node, q{UPDATE integration.escalation_level SET after = '1 h'});
$listener->quit;
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE integration_worker.notice_due IN EXCLUSIVE MODE');
value($node, q{SELECT integration.acknowledge(max(id)) FROM integration.incident WHERE endpoint = 'shop'});
is(scalar(grep { $_->{body} =~ /"(?!Nobody)\w+ looks after/ } $receiver->arrived('/ok/chat')), 0, 'somebody holds the notices up');
$node->stop('immediate');
$node->start;
ok(wait_for(sub { return grep { $_->{body} =~ /"(?!Nobody)\w+ looks after/ } $receiver->arrived('/ok/chat') }), 'told after a crash');

done_testing();
