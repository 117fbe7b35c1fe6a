/*-------------------------------------------------------------------------
 * lock.h
 *		Which session has a shard.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_LOCK_H
#define INTEGRATION_LOCK_H

#include "postgres.h"

/*
 * Try to become the only sender to a shard's endpoints, within session_run();
 * the lock lasts as long as the session, or until it is left.  May throw.
 */
extern bool lock_take(int shard);
extern void lock_leave(int shard);

#endif							/* INTEGRATION_LOCK_H */
