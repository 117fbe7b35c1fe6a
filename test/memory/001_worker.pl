# The worker's ways in few sessions, since each costs seconds under valgrind: good and bad answers, retries, keys, a stop.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');
my %url = map { $_ => $receiver->url($_) } qw(/ok/many /status/422 /status/503 /stall-before/hangs);

# Returns when nothing moves any more: what waits is retried later, or hangs.
my $story = qq{
	INSERT INTO integration.endpoint (name, url, retry_policy, timeout, coalesce) VALUES
		('many', '$url{'/ok/many'}', 'fast', '60 s', false), ('new', '$url{'/ok/many'}', 'fast', '60 s', true),
		('bad', '$url{'/status/422'}', 'fast', '60 s', false), ('down', '$url{'/status/503'}', 'fast', '60 s', false),
		('hangs', '$url{'/stall-before/hangs'}', 'fast', '1 s', false);
	INSERT INTO integration.outbox (endpoint, object_type, object_id, payload, ordering_key, headers)
	SELECT (ARRAY['many', 'many', 'many', 'many', 'new', 'bad', 'down', 'hangs'])[1 + n % 8], 'order', n / 20, to_jsonb(repeat('é', n)),
	       CASE n % 3 WHEN 0 THEN 'key ' || n % 7 END, '{"X-Number": "1"}'
	  FROM generate_series(1, 240) AS n;
	INSERT INTO integration.outbox (endpoint, payload, dedup_key, expires_at)
	SELECT 'many', '1', 'twice', CASE n WHEN 1 THEN now() + interval '1 h' END FROM generate_series(1, 4) AS n;
	CREATE PROCEDURE wait_for_rest() LANGUAGE plpgsql AS \$\$
	BEGIN
		WHILE EXISTS (SELECT FROM integration.queue q JOIN integration.endpoint e ON e.id = q.endpoint_id
		               WHERE e.name IN ('many', 'new')) OR (SELECT count(*) < 30 FROM integration.attempt a
		              JOIN integration.endpoint e ON e.id = a.endpoint_id WHERE e.name NOT IN ('many', 'new'))
		LOOP
			COMMIT;
			PERFORM pg_sleep(0.2);
		END LOOP;
	END \$\$;
	SELECT integration.ping('many');
	CALL wait_for_rest();
	SELECT integration.retry_where(endpoint => 'bad', reason => 'once more');
	UPDATE integration.endpoint SET max_concurrency = 2 WHERE name = 'many';
	INSERT INTO integration.outbox (endpoint, payload) SELECT 'many', '2' FROM generate_series(1, 20);
	CALL wait_for_rest();
	SELECT count(*) FROM integration.sync WHERE state = 'delivered' AND endpoint IN ('many', 'new');
	SELECT count(*) FROM integration.worker_status;
	DROP EXTENSION integration;
	CREATE EXTENSION integration;};
my ($result, $output, $error) = $node->psql('postgres', $story, timeout => 280);
is($result, 0, 'all is sent, refused, retried, dropped') or diag($error);
cmp_ok((split /\n/, $output)[-2], '>', 100, 'most of it is delivered');
$node->stop('fast');

done_testing();
