/*-------------------------------------------------------------------------
 * turns.h
 *		Whose turn it is: deficit round robin.
 *
 * Only endpoints that may be able to send take part; one that can't is taken
 * out and put back by what changes that, so that a turn costs the same however
 * many are busy.  In each round everybody has one turn.  Whose request was
 * large sits out the rounds that it has used up: a request counts one for each
 * quantum of its body, at least one (a small one costs us work rather than
 * bandwidth) and at most sixteen.
 *
 * Up to seven rounds ahead of the others somebody may have a turn out of this
 * order: first who comes in with little to send; then who was just answered,
 * since what its next request needs is still in the processor's caches.  So
 * nobody gets more than its share, and who sends little waits neither for those
 * that have much to send, however many they are, nor for what they go on with.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TURNS_H
#define INTEGRATION_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TURNS_QUANTUM_BYTES 4096
#define TURNS_MOST_QUANTA 16
#define TURNS_AHEAD 8			/* rounds, from the present one on */

/* More than somebody can be ahead: seven rounds and a request of sixteen. */
#define TURNS_ROUNDS 32

/* One endpoint's place, part of the caller's struct; zeroed: it takes no part. */
typedef struct Turn
{
	struct Turn *previous;		/* NULL: it takes no part */
	struct Turn *next;
	int64_t		round;			/* of its next turn */
	bool		is_coming;		/* among the comers: in, but not served yet */
} Turn;

/* Each list points to itself when empty: it may not be moved. */
typedef struct Turns
{
	Turn		comers;
	Turn		going_on;
	Turn		rounds[TURNS_ROUNDS];	/* the rest of the present one, those
										 * to come */
	int64_t		round;			/* the present one */
	int			count;			/* of those that take part */
} Turns;

/* Does not throw. */
extern void turns_init(Turns *turns);

/* Does not throw. */
extern bool turns_is_empty(const Turns *turns);

/* Does not throw. */
extern bool turns_has(const Turn *turn);

/*
 * It comes in before all others, unless it is too far ahead.  Nothing happens
 * where it takes part already.  Does not throw.
 */
extern void turns_add(Turns *turns, Turn *turn);

/*
 * It came in with much to send: it has its turn when its round comes.  Nothing
 * happens where it did not come in, or has had a turn since.  Does not throw.
 */
extern void turns_stay(Turns *turns, Turn *turn);

/* Nothing happens where it takes no part.  Debts are kept.  Does not throw. */
extern void turns_remove(Turns *turns, Turn *turn);

/*
 * It was answered: its next turn is at once, unless it is too far ahead.
 * Nothing happens where it takes no part, or is coming.  Does not throw.
 */
extern void turns_go_on(Turns *turns, Turn *turn);

/* The one whose turn it is, which stays; NULL: nobody takes part.  Does not throw. */
extern Turn *turns_next(Turns *turns);

/* The one whose turn it was has sent so much.  Does not throw. */
extern void turns_charge(Turns *turns, Turn *turn, size_t body_bytes);

/*
 * Whether a retry may leave an endpoint where first attempts wait, too: retries
 * hold three quarters of its window at most; of a window of one, three of four
 * turns.  Does not throw.
 */
extern bool turns_allow_retry(int window, int retries_in_flight, unsigned turn);

#endif							/* INTEGRATION_TURNS_H */
