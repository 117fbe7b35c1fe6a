# A registry of many endpoints is read in parts; each change of it arrives, wherever it stands.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

use constant ENDPOINTS => 1000;
use constant PARTS => 5;

my $receiver = Receiver->start;
my $node = integration_node('main', conf => "track_functions = pl\n");
my $good = $receiver->url('/ok/good');
value($node, "INSERT INTO integration.endpoint (name, url) SELECT 'e' || g, '$good' FROM generate_series(1, @{[ENDPOINTS]}) g");

my $parts = q{SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions
               WHERE schemaname = 'integration_worker' AND funcname = 'endpoints'};

# One of the first, one of the last part.
my @both = ('e1', 'e' . ENDPOINTS);
wait_until($node, state_is('delivered', map { add_sync($node, endpoint => $_) } @both), 'both ends of the registry are served');
wait_until($node, "SELECT ($parts) >= @{[PARTS]}", 'it is read a part at a time');

my @held = split /\n/, $node->safe_psql('postgres', qq{
	BEGIN;
	DO \$\$ BEGIN PERFORM integration.pause('endpoint', e, 'test') FROM unnest('{$both[0],$both[1]}'::text[]) AS e; END \$\$;
	INSERT INTO integration.outbox (endpoint, payload) VALUES ('$both[0]', '{}'), ('$both[1]', '{}') RETURNING id;
	COMMIT;
});
wait_until($node, state_is('delivered', add_sync($node, endpoint => 'e500')), 'what is not paused is sent');
is($receiver->count('/ok/good')->{requests}, 3, 'what came with the pause is not');
my $moved = $receiver->url('/ok/moved');
value($node, "UPDATE integration.endpoint SET url = '$moved'");
value($node, "SELECT integration.resume('endpoint', '$_')") for @both;
wait_until($node, state_is('delivered', @held), 'both go on');
is($receiver->count('/ok/moved')->{requests}, 2, 'to their new address');

# A new one is at the end; one that has gone leaves no trace.
value($node, "DELETE FROM integration.endpoint WHERE name = 'e2'");
value($node, "INSERT INTO integration.endpoint (name, url) VALUES ('late', '$moved')");
wait_until($node, state_is('delivered', add_sync($node, endpoint => 'late')), 'a new endpoint is served');

# A pause that is committed while the registry is being read, of an endpoint that has been read already
# and is not the first to be read again.
{
	my $raced = $receiver->url('/ok/raced');
	value($node, "UPDATE integration.endpoint SET url = '$raced' WHERE name = 'e300'");
	wait_until($node, state_is('delivered', add_sync($node, endpoint => 'e300')), 'an endpoint of the second part is served');
	value($node, q{
		CREATE SEQUENCE later_parts;
		ALTER FUNCTION integration_worker.endpoints(integer, integer) RENAME TO endpoints_at_once;
		DO $$
		BEGIN
			EXECUTE replace(replace(
				pg_get_functiondef('integration_worker.endpoints_at_once(integer,integer)'::regprocedure),
				'endpoints_at_once', 'endpoints'), 'RETURN QUERY',
				'IF after_id > 500 THEN
					PERFORM nextval(''public.later_parts'');
					WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP
						PERFORM pg_sleep(0.01);
					END LOOP;
				END IF;
				RETURN QUERY');
		END $$});
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock(1)');
	value($node, q{UPDATE integration.endpoint SET timeout = '14 s' WHERE name = 'e1'});
	wait_until($node, 'SELECT is_called FROM later_parts', 'it is read half, a later part is begun');
	my $held = value($node, q{
		BEGIN;
		DO $$ BEGIN PERFORM integration.pause('endpoint', 'e300', 'test'); END $$;
		INSERT INTO integration.outbox (endpoint, payload) VALUES ('e300', '{}') RETURNING id;
		COMMIT;
	});
	$holder->quit;
	wait_until($node, state_is('delivered', add_sync($node, endpoint => 'e900')), 'what is not paused is sent');
	is($receiver->count('/ok/raced')->{requests}, 1, 'what came with a pause meanwhile is not');
	value($node, q{SELECT integration.resume('endpoint', 'e300')});
	wait_until($node, state_is('delivered', $held), 'it goes on');
}

done_testing();
