/*-------------------------------------------------------------------------
 * measuring.h
 *		How long requests take, for the metrics that are exported.
 *
 * Counted in memory since the worker began: the tables would have to be read
 * again and again.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_MEASURING_H
#define INTEGRATION_MEASURING_H

#include "store/telemetry.h"
#include "worker/sender.h"

/* Up to which a bucket counts, of each but the last.  Does not throw. */
extern int	measuring_bound_ms(int bucket);

/* An attempt was settled.  Does not throw, but for a lack of memory. */
extern void measuring_note(const Sender *sender, const Lease *lease);

/* Begin anew.  Does not throw. */
extern void measuring_forget(void);

/* What was counted so far; arrays in the caller's memory context. */
extern TelemetryDurations measuring_figures(void);

#endif							/* INTEGRATION_MEASURING_H */
