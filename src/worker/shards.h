/*-------------------------------------------------------------------------
 * shards.h
 *		Which endpoints are this worker's.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SHARDS_H
#define INTEGRATION_SHARDS_H

#include "worker/sender.h"

/* Take what this worker should have, give up what it should not. */
extern void shards_turn(Sender *sender);

/* When a shard can be given up or tried again. */
extern TimestampTz shards_deadline(Sender *sender);

/* Whether this worker is one too many and has nothing left. */
extern bool shards_are_left(const Sender *sender);

/* Settle marks that were passed over when the shards were taken.  May throw. */
extern void shards_recover(Sender *sender);

#endif							/* INTEGRATION_SHARDS_H */
