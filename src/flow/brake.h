/*-------------------------------------------------------------------------
 * brake.h
 *		Whether an endpoint answers more slowly than it used to.
 *
 * A receiver that queues instead of refusing shows overload by its latency
 * alone.  Answers are looked at in rounds; a round is slow when its mean is
 * above twice the endpoint's baseline.  Single slow answers are cut off first,
 * so that it takes more than half of a round.  The baseline follows quickly
 * downwards, hardly upwards; where sending less for eight rounds did not help,
 * the latency is the endpoint's own and becomes the baseline.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_BRAKE_H
#define INTEGRATION_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

/* A zeroed one knows nothing yet. */
typedef struct Brake
{
	double		baseline_ms;	/* 0: not known */
	bool		is_slow;		/* the last whole round was */
	int64_t		round_at_us;	/* requests started before it don't count */
	int			answers;		/* of this round */
	double		sum_ms;
	double		cut_sum_ms;		/* without the excess of single answers */
	int			slow_rounds;	/* since braking began, or was last judged */
	double		worst_ms;		/* highest mean of these rounds */
} Brake;

/*
 * A good answer to a request that was started then.  True when it ends a slow
 * round: the window is to shrink once.  Does not throw.
 */
extern bool brake_take(Brake *brake, double latency_ms, int64_t started_at_us, int64_t now_us);

#endif							/* INTEGRATION_BRAKE_H */
