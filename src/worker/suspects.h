/*-------------------------------------------------------------------------
 * suspects.h
 *		Syncs that were in hand when workers crashed leave one at a time.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SUSPECTS_H
#define INTEGRATION_SUSPECTS_H

#include "worker/sender.h"

/* Read who is suspected; to be run before anything of a shard is read.  May throw. */
extern void suspects_load(Sender *sender);

/* How many crashes a sync was in hand at since its last attempt. */
extern int	suspects_crashes(const Sender *sender, int64 outbox_id);

/*
 * Whether the lease may leave now.  Else it is put aside until the one before
 * it is settled, or freed where it is to be left alone.
 */
extern bool suspects_may_leave(Sender *sender, Lease *lease);

/* Forget those of the endpoint that wait; they are read again by id. */
extern void suspects_drop(Sender *sender, const Endpoint *endpoint);

/* It leaves, or is to be recorded. */
extern void suspects_begin(Sender *sender, Lease *lease);

/* It is about to be freed: whoever waits for it is ready again. */
extern void suspects_end(Sender *sender, Lease *lease);

#endif							/* INTEGRATION_SUSPECTS_H */
