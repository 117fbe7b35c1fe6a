/*-------------------------------------------------------------------------
 * turns_test.c
 *		Whose turn it is: deficit round robin.
 *-------------------------------------------------------------------------
 */
#include "flow/turns.h"
#include "tap.h"

#define MANY 10000

/* Give so many turns to three, whose requests have so many bytes; count who got how many. */
static void
serve(Turns *turns, Turn *three, const size_t *bytes, int requests, int *served)
{
	for (int i = 0; i < requests; i++)
	{
		Turn	   *turn = turns_next(turns);

		served[turn - three]++;
		turns_charge(turns, turn, bytes[turn - three]);
	}
}

static void
test_shares(void)
{
	Turns		turns;
	static const size_t small_bytes[] = {100, 500, TURNS_QUANTUM_BYTES};
	static const size_t mixed_bytes[] = {100, 8 * TURNS_QUANTUM_BYTES, 100000000};
	Turn		three[3] = {{0}};
	int			small[3] = {0};
	int			mixed[3] = {0};

	turns_init(&turns);
	tap_ok(turns_next(&turns) == NULL, "nobody's turn in an empty ring");
	for (int i = 0; i < 3; i++)
		turns_add(&turns, &three[i]);
	turns_add(&turns, &three[1]);
	serve(&turns, three, small_bytes, 30, small);
	tap_ok(small[0] == 10 && small[1] == 10 && small[2] == 10, "small requests go one by one");
	serve(&turns, three, mixed_bytes, 230, mixed);
	tap_ok(mixed[0] >= 190 && mixed[0] <= 196, "a large one takes as many turns as it has quanta");
	tap_ok(mixed[1] >= 24 && mixed[1] <= 26, "one of eight");
	tap_ok(mixed[2] >= 12 && mixed[2] <= 14, "at most sixteen");
}

static void
test_leaving(void)
{
	Turns		turns;
	Turn		one = {0};
	Turn		other = {0};

	turns_init(&turns);
	turns_add(&turns, &one);
	turns_add(&turns, &other);
	turns_remove(&one);
	turns_remove(&one);
	tap_ok(!turns_has(&one) && turns_next(&turns) == &other, "who has left has no turn");
	turns_charge(&turns, &other, 100000000);
	tap_ok(turns_next(&turns) == &other, "alone in the ring its debts hold up nothing");
	turns_remove(&other);
	tap_ok(turns_next(&turns) == NULL, "the ring is empty again");
	one.credit_bytes = 100 * TURNS_QUANTUM_BYTES;
	turns_add(&turns, &one);
	turns_add(&turns, &other);
	(void) turns_next(&turns);
	turns_charge(&turns, &one, 1);
	tap_ok(turns_next(&turns) == &other, "who was away has saved nothing up");
}

/* Each is served once before any is served again, whatever their number. */
static void
test_many(void)
{
	static Turn many[MANY];
	Turns		turns;
	bool		in_order = true;

	turns_init(&turns);
	for (int i = 0; i < MANY; i++)
		turns_add(&turns, &many[i]);
	for (int i = 0; i < 3 * MANY; i++)
	{
		Turn	   *turn = turns_next(&turns);

		in_order = in_order && turn == &many[i % MANY];
		turns_charge(&turns, turn, 500);
	}
	tap_ok(in_order, "ten thousand take turns");
}

static void
test_retries(void)
{
	int			allowed = 0;

	tap_ok(turns_allow_retry(8, 5, 0), "retries may hold six of a window of eight");
	tap_ok(!turns_allow_retry(8, 6, 0), "but no more");
	tap_ok(turns_allow_retry(2, 0, 0) && !turns_allow_retry(2, 1, 0), "one of two");
	tap_ok(turns_allow_retry(3, 1, 0) && !turns_allow_retry(3, 2, 0), "two of three");
	for (unsigned turn = 0; turn < 100; turn++)
		allowed += turns_allow_retry(1, 0, turn);
	tap_number(allowed, 75, "of a window of one, three turns of four");
}

int
main(void)
{
	test_shares();
	test_leaving();
	test_many();
	test_retries();
	return tap_done();
}
