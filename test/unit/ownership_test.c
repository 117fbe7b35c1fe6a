/*-------------------------------------------------------------------------
 * ownership_test.c
 *		Which shards belong to which of several workers.
 *-------------------------------------------------------------------------
 */
#include "flow/ownership.h"
#include "tap.h"

#define ALL ((UINT32_C(1) << OWNERSHIP_SHARDS) - 1)

static int
count(uint32_t mask)
{
	int			bits = 0;

	for (; mask != 0; mask &= mask - 1)
		bits++;
	return bits;
}

/* Whatever is live: each shard belongs to exactly one, as long as there is one. */
static void
test_disjoint(void)
{
	int			gaps = 0;
	int			overlaps = 0;
	int			idle_shares = 0;

	for (int goal = 1; goal <= OWNERSHIP_SHARDS; goal++)
	{
		for (uint32_t live = 1; live <= ALL; live++)
		{
			uint32_t	taken = 0;

			for (int number = 0; number < OWNERSHIP_SHARDS; number++)
			{
				uint32_t	share = ownership_of(number, goal, live);

				overlaps += (taken & share) != 0;
				idle_shares += share != 0 && (live & (1U << number)) == 0;
				taken |= share;
			}
			gaps += taken != ((live & ((1U << goal) - 1)) != 0 ? ALL : 0);
		}
	}
	tap_number(overlaps, 0, "no shard belongs to two");
	tap_number(gaps, 0, "no shard belongs to nobody");
	tap_number(idle_shares, 0, "none belongs to a worker that is not there");
}

static void
test_even(void)
{
	int			uneven = 0;

	for (int goal = 1; goal <= OWNERSHIP_SHARDS; goal++)
	{
		for (int number = 0; number < goal; number++)
		{
			int			size = count(ownership_of(number, goal, ALL));

			uneven += size != OWNERSHIP_SHARDS / goal && size != OWNERSHIP_SHARDS / goal + 1;
		}
	}
	tap_number(uneven, 0, "all have the same number, or one more");
	tap_number(ownership_of(0, 1, 1), ALL, "a single worker has them all");
	tap_number(ownership_of(3, 3, ALL), 0, "one beyond the goal has none");
}

/* One of them goes: what the others have stays theirs, what it had is spread. */
static void
test_one_goes(void)
{
	int			lost = 0;
	int			heaped = 0;

	for (int goal = 2; goal <= OWNERSHIP_SHARDS; goal++)
	{
		for (int gone = 0; gone < goal; gone++)
		{
			uint32_t	left = ALL & ~(1U << gone);
			int			orphans = count(ownership_of(gone, goal, ALL));

			for (int number = 0; number < goal; number++)
			{
				uint32_t	before = ownership_of(number, goal, ALL);
				uint32_t	after = ownership_of(number, goal, left);

				if (number == gone)
					continue;
				lost += (before & ~after) != 0;
				heaped += count(after & ~before) > orphans / (goal - 1) + 1;
			}
		}
	}
	tap_number(lost, 0, "nobody gives anything up");
	tap_number(heaped, 0, "nobody gets more than an even part of it");
}

int
main(void)
{
	test_disjoint();
	test_even();
	test_one_goes();
	return tap_done();
}
