/*-------------------------------------------------------------------------
 * pace.h
 *		How fast an endpoint may be called by what it says is left of its limit.
 *
 * While plenty is left nothing is held back.  From the last quarter of the
 * quota on, what is left is spread over the time until it is filled up; when
 * nothing is left, nothing leaves before that.  A quota that is not told is the
 * most that was ever left.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PACE_H
#define INTEGRATION_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "message/rate_limit.h"

/* A zeroed one holds nothing back. */
typedef struct Pace
{
	int64_t		quota;
	int64_t		interval_us;	/* from one request to the next; 0: none */
	int64_t		reset_at_us;	/* after it nothing is held back */
	int64_t		started_at_us;	/* last request */
} Pace;

/*
 * Take over what an answer says, while so many other requests are in flight
 * that it may not have counted.  Does not throw.
 */
extern void pace_learn(Pace *pace, const RateLimit *limit, int in_flight, int64_t now_us);

/* A request leaves.  Does not throw. */
extern void pace_start(Pace *pace, int64_t now_us);

/* When the next may leave: now_us or later.  Does not throw. */
extern int64_t pace_free_at_us(const Pace *pace, int64_t now_us);

/* Forget what holds it back: somebody knows better.  Does not throw. */
extern void pace_forget(Pace *pace);

#endif							/* INTEGRATION_PACE_H */
