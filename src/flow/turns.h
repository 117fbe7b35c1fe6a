/*-------------------------------------------------------------------------
 * turns.h
 *		Whose turn it is: deficit round robin.
 *
 * Only endpoints that may be able to send stand in the ring; one that can't is
 * taken out and put back by what changes that, so that a turn costs the same
 * however many are busy.  The unit is bytes: a request counts what its body
 * has, but at least one quantum (a small one costs us work rather than
 * bandwidth) and at most sixteen.  So small requests are shared out one by one,
 * and an endpoint with large ones takes part in every few rounds only.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TURNS_H
#define INTEGRATION_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TURNS_QUANTUM_BYTES 4096
#define TURNS_MOST_BYTES (16 * TURNS_QUANTUM_BYTES)

/* One endpoint's place, part of the caller's struct; zeroed: not in the ring. */
typedef struct Turn
{
	struct Turn *previous;		/* NULL: not in the ring */
	struct Turn *next;
	int64_t		credit_bytes;
} Turn;

/* Points to itself when empty: it may not be moved. */
typedef struct Turns
{
	Turn		ends;
} Turns;

/* Does not throw. */
extern void turns_init(Turns *turns);

/* Does not throw. */
extern bool turns_is_empty(const Turns *turns);

/* Does not throw. */
extern bool turns_has(const Turn *turn);

/* At the end; nothing happens where it stands in the ring already.  Does not throw. */
extern void turns_add(Turns *turns, Turn *turn);

/* Nothing happens where it is not in the ring.  Debts are kept.  Does not throw. */
extern void turns_remove(Turn *turn);

/* The one whose turn it is, which stays in the ring; NULL: it is empty.  Does not throw. */
extern Turn *turns_next(Turns *turns);

/* The one in the ring whose turn it was has sent so much.  Does not throw. */
extern void turns_charge(Turns *turns, Turn *turn, size_t body_bytes);

/*
 * Whether a retry may leave an endpoint where first attempts wait, too: retries
 * hold three quarters of its window at most; of a window of one, three of four
 * turns.  Does not throw.
 */
extern bool turns_allow_retry(int window, int retries_in_flight, unsigned turn);

#endif							/* INTEGRATION_TURNS_H */
