/*-------------------------------------------------------------------------
 * pace.c
 *		How fast an endpoint may be called by what it says is left of its limit.
 *-------------------------------------------------------------------------
 */
#include "flow/pace.h"

#define LITTLE_SHARE 4
#define US_PER_S INT64_C(1000000)

void
pace_learn(Pace *pace, const RateLimit *limit, int in_flight, int64_t now_us)
{
	int64_t		left = limit->remaining - in_flight;

	if (limit->remaining < 0 || limit->reset_s < 0)
		return;
	if (limit->quota > 0)
		pace->quota = limit->quota;
	else if (limit->remaining > pace->quota)
		pace->quota = limit->remaining;
	pace->interval_us = 0;
	pace->reset_at_us = now_us + limit->reset_s * US_PER_S;
	if (limit->remaining == 0)
		pace->interval_us = INT64_MAX;
	else if (left < pace->quota / LITTLE_SHARE)
		pace->interval_us = limit->reset_s * US_PER_S / (left > 1 ? left : 1);
}

void
pace_start(Pace *pace, int64_t now_us)
{
	pace->started_at_us = now_us;
}

int64_t
pace_free_at_us(const Pace *pace, int64_t now_us)
{
	int64_t		free_at_us = pace->reset_at_us;

	if (pace->interval_us == 0 || pace->reset_at_us <= now_us)
		return now_us;
	if (pace->interval_us < pace->reset_at_us - pace->started_at_us)
		free_at_us = pace->started_at_us + pace->interval_us;
	return free_at_us > now_us ? free_at_us : now_us;
}

void
pace_forget(Pace *pace)
{
	pace->interval_us = 0;
}
