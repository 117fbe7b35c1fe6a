/*-------------------------------------------------------------------------
 * patience.c
 *		How long results wait for company before they are recorded.
 *-------------------------------------------------------------------------
 */
#include "flow/patience.h"

#define PLAIN_US 50000
#define WAITED_FOR_US 3000

/* From here on more company saves little, so its absence for a moment is enough. */
#define COMPANY 32
#define QUIET_US 5000

static int64_t
earlier(int64_t one_us, int64_t other_us)
{
	return one_us < other_us ? one_us : other_us;
}

void
patience_begin(Patience *patience)
{
	*patience = (Patience)
	{
		.until_us = PATIENCE_FOREVER,
	};
}

void
patience_add(Patience *patience, bool is_waited_for, int64_t now_us)
{
	int64_t		until_us = now_us + (is_waited_for ? WAITED_FOR_US : PLAIN_US);

	patience->until_us = earlier(patience->until_us, until_us);
	patience->last_at_us = now_us;
	patience->is_waited_for = patience->is_waited_for || is_waited_for;
}

void
patience_end(Patience *patience, int64_t now_us)
{
	patience->until_us = earlier(patience->until_us, now_us);
}

int64_t
patience_ends_at(const Patience *patience, int count)
{
	if (count == 0)
		return PATIENCE_FOREVER;
	if (count < COMPANY)
		return patience->until_us;
	return earlier(patience->until_us, patience->last_at_us + QUIET_US);
}
