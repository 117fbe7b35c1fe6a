/*-------------------------------------------------------------------------
 * turns.c
 *		Whose turn it is: deficit round robin.
 *-------------------------------------------------------------------------
 */
#include "flow/turns.h"

static void
unlink_turn(Turn *turn)
{
	turn->previous->next = turn->next;
	turn->next->previous = turn->previous;
	turn->previous = NULL;
	turn->next = NULL;
}

static void
link_last(Turns *turns, Turn *turn)
{
	turn->previous = turns->ends.previous;
	turn->next = &turns->ends;
	turns->ends.previous->next = turn;
	turns->ends.previous = turn;
}

void
turns_init(Turns *turns)
{
	turns->ends.previous = &turns->ends;
	turns->ends.next = &turns->ends;
}

bool
turns_is_empty(const Turns *turns)
{
	return turns->ends.next == &turns->ends;
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
	if (turn->credit_bytes > 0)
		turn->credit_bytes = 0;
	link_last(turns, turn);
}

void
turns_remove(Turn *turn)
{
	if (turns_has(turn))
		unlink_turn(turn);
}

Turn *
turns_next(Turns *turns)
{
	Turn	   *first = turns->ends.next;

	if (turns_is_empty(turns))
		return NULL;
	while (first->credit_bytes <= 0)
	{
		first->credit_bytes += TURNS_QUANTUM_BYTES;
		if (first->credit_bytes > 0)
			break;
		unlink_turn(first);
		link_last(turns, first);
		first = turns->ends.next;
	}
	return first;
}

void
turns_charge(Turns *turns, Turn *turn, size_t body_bytes)
{
	size_t		cost = body_bytes < TURNS_MOST_BYTES ? body_bytes : TURNS_MOST_BYTES;

	turn->credit_bytes -= cost > TURNS_QUANTUM_BYTES ? (int64_t) cost : TURNS_QUANTUM_BYTES;
	if (turn->credit_bytes > 0)
		return;
	unlink_turn(turn);
	link_last(turns, turn);
}

bool
turns_allow_retry(int window, int retries_in_flight, unsigned turn)
{
	if (window <= 1)
		return turn % 4 != 3;
	return retries_in_flight < window * 3 / 4;
}
