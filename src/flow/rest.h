/*-------------------------------------------------------------------------
 * rest.h
 *		How long something beside the sending rests after it has worked.
 *
 * Until everything else has had eight times the processor time that it took: it
 * gets a ninth of what the process uses.  Or until so many times the time that
 * it took is over that it can slow nothing down.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_REST_H
#define INTEGRATION_REST_H

#include <stdbool.h>
#include <stdint.h>

/* An instant, in microseconds: by any clock, by the processor time that the process has used. */
typedef struct RestClock
{
	int64_t		at_us;
	int64_t		used_us;
} RestClock;

/* How the process does, and so how many times the time that was spent is a rest. */
typedef enum RestPace
{
	REST_WHILE_BEHIND = 48,		/* work waits, for others or for a processor */
	REST_WHILE_KEEPING_UP = 8,
	REST_WHILE_IDLE = 1			/* nothing else is done */
} RestPace;

/* Zeroed it is over, with nothing spent. */
typedef struct Rest
{
	RestClock	spent;			/* since the last rest began */
	RestClock	until;			/* one of them is reached */
} Rest;

/* What was done between two instants belongs to it.  Does not throw. */
extern void rest_spend(Rest *rest, RestClock start, RestClock end);

/* Begin to rest for what was spent.  Does not throw. */
extern void rest_begin(Rest *rest, RestClock now, RestPace pace);

/* Rest until then, whatever was spent.  Does not throw. */
extern void rest_at_least(Rest *rest, int64_t until_us);

/* Does not throw. */
extern bool rest_is_over(const Rest *rest, RestClock now);

#endif							/* INTEGRATION_REST_H */
