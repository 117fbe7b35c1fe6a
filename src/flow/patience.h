/*-------------------------------------------------------------------------
 * patience.h
 *		How long results wait for company before they are recorded.
 *
 * A plain delivery can wait: in a batch of 200 it costs a third of what it
 * costs in one of 20.  A crash loses more than this already, since such batches
 * are committed asynchronously.  Where a slot, a probe or a successor waits for
 * the verdict, or a crash would leave an unknown outcome, there is less
 * patience; and a batch that is big enough doesn't wait for what no longer comes.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PATIENCE_H
#define INTEGRATION_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_FOREVER INT64_MAX

typedef struct Patience
{
	int64_t		until_us;		/* PATIENCE_FOREVER: nothing waits */
	int64_t		last_at_us;		/* when the last result came */
	bool		is_waited_for;	/* somebody waits for one of the verdicts */
} Patience;

/* Nothing waits.  Does not throw. */
extern void patience_begin(Patience *patience);

/* One more result came.  Does not throw. */
extern void patience_add(Patience *patience, bool is_waited_for, int64_t now_us);

/* What there is has waited long enough.  Does not throw. */
extern void patience_end(Patience *patience, int64_t now_us);

/* When so many results are due; PATIENCE_FOREVER: there are none.  Does not throw. */
extern int64_t patience_ends_at(const Patience *patience, int count);

#endif							/* INTEGRATION_PATIENCE_H */
