/*-------------------------------------------------------------------------
 * ownership.c
 *		Which shards belong to which of several workers.
 *-------------------------------------------------------------------------
 */
#include "flow/ownership.h"

#include <stdbool.h>

static bool
is_in(int number, uint32_t live)
{
	return (live & (UINT32_C(1) << number)) != 0;
}

/* The nth worker that is live. */
static int
nth_live(int n, uint32_t live)
{
	int			number = 0;

	while (!is_in(number, live) || n-- > 0)
		number++;
	return number;
}

static int
count_live(uint32_t live)
{
	int			count = 0;

	for (int number = 0; number < OWNERSHIP_SHARDS; number++)
		count += is_in(number, live) ? 1 : 0;
	return count;
}

uint32_t
ownership_of(int number, int goal, uint32_t live)
{
	uint32_t	wanted = live & ((UINT32_C(1) << goal) - 1);
	uint32_t	share = 0;

	if (!is_in(number, wanted))
		return 0;
	for (int shard = 0; shard < OWNERSHIP_SHARDS; shard++)
	{
		int			home = shard % goal;

		if (!is_in(home, wanted))
			home = nth_live(shard / goal % count_live(wanted), wanted);
		if (home == number)
			share |= UINT32_C(1) << shard;
	}
	return share;
}
