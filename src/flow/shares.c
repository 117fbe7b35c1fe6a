/*-------------------------------------------------------------------------
 * shares.c
 *		Who may use one more of the worker's connections.
 *-------------------------------------------------------------------------
 */
#include "flow/shares.h"

#define OVERDUE_US 1000000
#define OVERDUE_FACTOR 4.0
#define US_PER_MS 1000.0

static int
at_least_one(int count)
{
	return count > 1 ? count : 1;
}

bool
shares_allow(const Shares *shares, int held, Trust trust)
{
	int			free = shares->connections - shares->used;
	int			others = at_least_one(shares->claimants) - 1;
	int			reserve = shares->connections / 4;

	if (free <= 0)
		return false;
	if (trust == TRUST_SILENT && shares->used_by_doubtful >= at_least_one(shares->connections / 2))
		return false;
	if (trust == TRUST_UNKNOWN &&
		shares->used_by_doubtful >= at_least_one(shares->connections * 3 / 4))
		return false;
	if (held < at_least_one(shares->connections / (others + 1)))
		return true;
	return free > (others < reserve ? others : reserve);
}

bool
shares_is_overdue(double usual_ms, int64_t waited_us)
{
	return waited_us > OVERDUE_US && (double) waited_us > usual_ms * OVERDUE_FACTOR * US_PER_MS;
}
