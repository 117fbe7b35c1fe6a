/*-------------------------------------------------------------------------
 * coalescing.h
 *		Of each object of an endpoint that coalesces, the newest state alone is sent.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_COALESCING_H
#define INTEGRATION_COALESCING_H

#include "worker/sender.h"

/* A row was read that is crowded. */
extern void coalescing_note(Sender *sender, const TakenRow *row);

/* Close what the newest states have made pointless, have those read. */
extern void coalescing_turn(Sender *sender);

#endif							/* INTEGRATION_COALESCING_H */
