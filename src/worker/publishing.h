/*-------------------------------------------------------------------------
 * publishing.h
 *		Figures into shared memory, words into pg_stat_activity.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PUBLISHING_H
#define INTEGRATION_PUBLISHING_H

#include "worker/sender.h"

/* At most every 50 ms; the statistics too where the worker is about to sleep. */
extern void publishing_turn(Sender *sender, bool is_idle);
extern void publishing_now(Sender *sender);

/* Show nothing more. */
extern void publishing_end(Sender *sender);

/* When figures that came too soon after the last ones are due; DT_NOEND: none. */
extern TimestampTz publishing_deadline(const Sender *sender);

#endif							/* INTEGRATION_PUBLISHING_H */
