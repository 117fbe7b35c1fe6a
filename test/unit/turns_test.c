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
	tap_ok(turns_is_empty(&turns) && turns_next(&turns) == NULL, "nobody's turn where nobody takes part");
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
	bool		sits_out = true;

	turns_init(&turns);
	turns_add(&turns, &one);
	turns_add(&turns, &other);
	turns_remove(&turns, &one);
	turns_remove(&turns, &one);
	tap_ok(!turns_has(&one) && turns_next(&turns) == &other, "who has left has no turn");
	turns_charge(&turns, &other, 100000000);
	tap_ok(turns_next(&turns) == &other, "alone its debts hold up nothing");
	turns_remove(&turns, &other);
	tap_ok(turns_is_empty(&turns) && turns_next(&turns) == NULL, "nobody takes part again");
	turns_add(&turns, &one);
	turns_add(&turns, &other);
	turns_charge(&turns, &other, 100000000);
	turns_remove(&turns, &other);
	turns_add(&turns, &other);
	for (int i = 0; i < TURNS_MOST_QUANTA; i++)
	{
		sits_out = sits_out && turns_next(&turns) == &one;
		turns_charge(&turns, &one, 100);
	}
	tap_ok(sits_out && turns_next(&turns) == &other, "beside another it sits out, also where it was away");
}

/* Who comes and goes has as many turns as who stays. */
static void
test_coming(void)
{
	Turns		turns;
	Turn		three[3] = {{0}};
	Turn		guest = {0};
	int			guest_turns = 0;
	int			in_a_row = 0;

	turns_init(&turns);
	for (int i = 0; i < 3; i++)
		turns_add(&turns, &three[i]);
	for (int i = 0; i < 400; i++)
	{
		Turn	   *turn;

		turns_add(&turns, &guest);
		turn = turns_next(&turns);
		guest_turns += turn == &guest;
		turns_charge(&turns, turn, 100);
		turns_remove(&turns, &guest);
	}
	tap_ok(guest_turns >= 100 && guest_turns <= 100 + TURNS_AHEAD,
		   "one of four is hardly served more often for coming anew each time");
	for (int i = 0; i < 4 * TURNS_AHEAD; i++)
		turns_charge(&turns, turns_next(&turns), 100);
	turns_add(&turns, &guest);
	tap_ok(turns_next(&turns) == &guest, "who was away comes before those that stayed");
	while (turns_next(&turns) == &guest)
	{
		in_a_row++;
		turns_charge(&turns, &guest, 100);
		turns_remove(&turns, &guest);
		turns_add(&turns, &guest);
	}
	tap_number(in_a_row, TURNS_AHEAD, "who was away has saved nothing up");
}

/* One of those that come in has much to send, another one little. */
static void
test_staying(void)
{
	Turns		turns;
	Turn		host = {0};
	Turn		much = {0};
	Turn		little = {0};

	turns_init(&turns);
	turns_add(&turns, &host);
	turns_charge(&turns, turns_next(&turns), 100);
	turns_add(&turns, &much);
	turns_stay(&turns, &much);
	turns_go_on(&turns, &host);
	turns_add(&turns, &little);
	tap_ok(turns_next(&turns) == &little, "who comes in with little is before all others");
	turns_charge(&turns, &little, 100);
	tap_ok(turns_next(&turns) == &host, "who comes in with much is not before who goes on");
	turns_charge(&turns, &host, 100);
	tap_ok(turns_next(&turns) == &much, "but no round is without it");
	turns_remove(&turns, &much);
	turns_stay(&turns, &much);
	tap_ok(!turns_has(&much), "who has left stays away");
}

/* One that is answered at once, beside one that stays: ahead, but not for ever. */
static void
test_going_on(void)
{
	Turns		turns;
	Turn		warm = {0};
	Turn		cold = {0};
	int			in_a_row = 0;
	int			served = 0;

	turns_init(&turns);
	turns_add(&turns, &warm);
	turns_add(&turns, &cold);
	turns_stay(&turns, &cold);
	turns_go_on(&turns, &warm);
	while (turns_next(&turns) == &warm)
	{
		in_a_row++;
		turns_charge(&turns, &warm, 100);
		turns_go_on(&turns, &warm);
		turns_go_on(&turns, &warm);
	}
	tap_number(in_a_row, TURNS_AHEAD, "who is answered goes on for some requests");
	for (int i = 0; i < 160; i++)
	{
		Turn	   *turn = turns_next(&turns);

		served += turn == &warm;
		turns_charge(&turns, turn, 100);
		if (turn == &warm)
			turns_go_on(&turns, &warm);
	}
	tap_ok(served >= 80 - TURNS_AHEAD && served <= 80, "the other catches up");
	turns_charge(&turns, &warm, 100000000);
	turns_go_on(&turns, &warm);
	tap_ok(turns_next(&turns) == &cold, "nobody goes on with large ones");
	turns_remove(&turns, &warm);
	turns_go_on(&turns, &warm);
	tap_ok(!turns_has(&warm), "who has left does not go on");
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
	test_coming();
	test_staying();
	test_going_on();
	test_many();
	test_retries();
	return tap_done();
}
