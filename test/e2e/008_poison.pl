# A result that can't be recorded holds up nothing else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Integration;
use Receiver;
use Test::More;

my $receiver = Receiver->start;
my $node = integration_node('main');

add_endpoint($node, name => 'shop', url => $receiver->url('/ok/{object_id}'));
value($node, q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			RAISE EXCEPTION 'this attempt is not recorded';
		END $$;
	CREATE TRIGGER poison BEFORE INSERT ON integration.attempt_default
		FOR EACH ROW WHEN (NEW.request_url LIKE '%/poison') EXECUTE FUNCTION refuse()});

value($node, q{INSERT INTO integration.outbox (endpoint, object_type, object_id, payload)
               SELECT 'shop', 'order', CASE n WHEN 7 THEN 'poison' ELSE 'good' || n END, '{}'
                 FROM generate_series(1, 40) AS n});
wait_until($node, q{SELECT count(*) = 39 FROM integration.sync WHERE state = 'delivered'},
	'the others are recorded');
is(value($node, q{SELECT state || ' ' || attempts FROM integration.sync WHERE object_id = 'poison'}),
	'pending 0', 'that one is not');

my $later = add_sync($node, endpoint => 'shop', object_type => 'order', object_id => 'later');
wait_until($node, state_is('delivered', $later), 'what comes after it is');

value($node, q{DROP TRIGGER poison ON integration.attempt_default});
my $id = value($node, q{SELECT id FROM integration.sync WHERE object_id = 'poison'});
wait_until($node, state_is('delivered', $id), 'once it can be recorded it is');
is($receiver->count('/ok/poison')->{requests}, 1, 'without being sent again');

done_testing();
