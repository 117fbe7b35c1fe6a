/*-------------------------------------------------------------------------
 * turns.c
 *		Whose turn it is: deficit round robin.
 *-------------------------------------------------------------------------
 */
#include "flow/turns.h"

static void
init_end(Turn *end)
{
	end->previous = end;
	end->next = end;
}

static bool
is_empty(const Turn *end)
{
	return end->next == end;
}

static void
unlink_turn(Turn *turn)
{
	turn->previous->next = turn->next;
	turn->next->previous = turn->previous;
	turn->previous = NULL;
	turn->next = NULL;
	turn->is_coming = false;
}

static void
link_last(Turn *end, Turn *turn)
{
	turn->previous = end->previous;
	turn->next = end;
	end->previous->next = turn;
	end->previous = turn;
}

static Turn *
round_at(Turns *turns, int64_t number)
{
	return &turns->rounds[number % TURNS_ROUNDS];
}

/* Out of its order, that is. */
static bool
may_be_next(const Turns *turns, const Turn *turn)
{
	return turn->round < turns->round + TURNS_AHEAD;
}

void
turns_init(Turns *turns)
{
	init_end(&turns->comers);
	init_end(&turns->going_on);
	for (int i = 0; i < TURNS_ROUNDS; i++)
		init_end(&turns->rounds[i]);
	turns->round = 1;
	turns->count = 0;
}

bool
turns_is_empty(const Turns *turns)
{
	return turns->count == 0;
}

bool
turns_has(const Turn *turn)
{
	return turn->previous != NULL;
}

void
turns_add(Turns *turns, Turn *turn)
{
	if (turns_has(turn))
		return;
	/* who was away has saved nothing up */
	if (turn->round < turns->round)
		turn->round = turns->round;
	turn->is_coming = may_be_next(turns, turn);
	link_last(turn->is_coming ? &turns->comers : round_at(turns, turn->round), turn);
	turns->count++;
}

void
turns_stay(Turns *turns, Turn *turn)
{
	if (!turn->is_coming)
		return;
	unlink_turn(turn);
	link_last(round_at(turns, turn->round), turn);
}

void
turns_remove(Turns *turns, Turn *turn)
{
	if (!turns_has(turn))
		return;
	unlink_turn(turn);
	turns->count--;
}

void
turns_go_on(Turns *turns, Turn *turn)
{
	if (!turns_has(turn) || turn->is_coming || !may_be_next(turns, turn))
		return;
	unlink_turn(turn);
	link_last(&turns->going_on, turn);
}

Turn *
turns_next(Turns *turns)
{
	if (turns_is_empty(turns))
		return NULL;
	if (!is_empty(&turns->comers))
		return turns->comers.next;
	if (!is_empty(&turns->going_on))
		return turns->going_on.next;
	while (is_empty(round_at(turns, turns->round)))
		turns->round++;
	return round_at(turns, turns->round)->next;
}

void
turns_charge(Turns *turns, Turn *turn, size_t body_bytes)
{
	size_t		quanta = (body_bytes + TURNS_QUANTUM_BYTES - 1) / TURNS_QUANTUM_BYTES;

	if (quanta < 1)
		quanta = 1;
	if (quanta > TURNS_MOST_QUANTA)
		quanta = TURNS_MOST_QUANTA;
	turn->round += (int64_t) quanta;
	unlink_turn(turn);
	link_last(round_at(turns, turn->round), turn);
}

bool
turns_allow_retry(int window, int retries_in_flight, unsigned turn)
{
	if (window <= 1)
		return turn % 4 != 3;
	return retries_in_flight < window * 3 / 4;
}
