/*-------------------------------------------------------------------------
 * rest.c
 *		How long something beside the sending rests after it has worked.
 *-------------------------------------------------------------------------
 */
#include "flow/rest.h"

#define FACTOR_USED 8
#define LEAST_US 5000			/* or the receivers would never get a turn */
#define MOST_US 5000000

void
rest_spend(Rest *rest, RestClock start, RestClock end)
{
	rest->spent.at_us += end.at_us - start.at_us;
	rest->spent.used_us += end.used_us - start.used_us;
}

void
rest_begin(Rest *rest, RestClock now, RestPace pace)
{
	int64_t		elapsed_us = rest->spent.at_us * pace;

	if (elapsed_us < LEAST_US)
		elapsed_us = LEAST_US;
	if (elapsed_us > MOST_US)
		elapsed_us = MOST_US;
	rest->until.at_us = now.at_us + elapsed_us;
	rest->until.used_us = now.used_us + rest->spent.used_us * FACTOR_USED;
	rest->spent = (RestClock)
	{
		0
	};
}

void
rest_at_least(Rest *rest, int64_t until_us)
{
	rest->until.at_us = until_us;
	rest->until.used_us = INT64_MAX;
}

bool
rest_is_over(const Rest *rest, RestClock now)
{
	return now.at_us >= rest->until.at_us || now.used_us >= rest->until.used_us;
}
