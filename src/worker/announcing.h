/*-------------------------------------------------------------------------
 * announcing.h
 *		People are told of incidents.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_ANNOUNCING_H
#define INTEGRATION_ANNOUNCING_H

#include "worker/sender.h"

/* Tell of what has happened since the last turn; nothing where another worker does it. */
extern void announcing_turn(const Sender *sender);

/* When there is something to tell without anything happening. */
extern TimestampTz announcing_deadline(const Sender *sender);

#endif							/* INTEGRATION_ANNOUNCING_H */
