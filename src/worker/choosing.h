/*-------------------------------------------------------------------------
 * choosing.h
 *		Which sync of an endpoint may leave next.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_CHOOSING_H
#define INTEGRATION_CHOOSING_H

#include "worker/sender.h"

typedef struct Choice
{
	Lease	   *lease;			/* NULL: none */
	bool		is_short;		/* it would have to wait for connections */
	TimestampTz again_at;		/* it would have to wait until then; DT_NOEND:
								 * for something to happen */
} Choice;

extern Choice choosing_next(const Sender *sender, Endpoint *endpoint);

/* When agreed rate and announced limit let something leave: now or later. */
extern TimestampTz choosing_rate_free_at(const Endpoint *endpoint, TimestampTz now);

#endif							/* INTEGRATION_CHOOSING_H */
