/*-------------------------------------------------------------------------
 * keys.h
 *		Which ordering keys, which objects have a lease.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_KEYS_H
#define INTEGRATION_KEYS_H

#include "worker/sender.h"

extern void keys_create(Sender *sender);

/*
 * Whether no lease has a key of the row.  If one has, the row is read again
 * when that lease ends, whatever comes of it.
 */
extern bool keys_are_free(Sender *sender, const TakenRow *row);

/*
 * Before anything else knows of the lease: this may throw.  Returns whether the
 * turn of one of its keys was kept.
 */
extern bool keys_hold(Sender *sender, Lease *lease);

/* A key whose lease came to its turn: the next one is to be the first to go.  May throw. */
extern void keys_keep_turn(Sender *sender, int64 key);

/* Nobody has a turn that was kept. */
extern void keys_forget_turns(Sender *sender);

/* The lease ends: what waits for its keys is read. */
extern void keys_release(Sender *sender, const Lease *lease);

/* The lease that has the key, or NULL. */
extern Lease *keys_lease(Sender *sender, int64 key);

/* Have a sync read when the lease that has the key ends; false: none has it. */
extern bool keys_wait(Sender *sender, int64 key, int64 outbox_id);

/* A newer sync of an object has turned up: an older one that is ready is outdated. */
extern void keys_outdate(Sender *sender, int64 object_key, int64 newer_id);

/* Any number of syncs turned up without being looked at. */
extern void keys_outdate_all(Sender *sender);

#endif							/* INTEGRATION_KEYS_H */
