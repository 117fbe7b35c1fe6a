/*-------------------------------------------------------------------------
 * upkeep.h
 *		What a worker does beside sending, a small step at a time.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_UPKEEP_H
#define INTEGRATION_UPKEEP_H

#include "worker/sender.h"

/* One step of what is due. */
extern void upkeep_turn(Sender *sender);
extern TimestampTz upkeep_deadline(const Sender *sender);

#endif							/* INTEGRATION_UPKEEP_H */
