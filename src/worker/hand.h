/*-------------------------------------------------------------------------
 * hand.h
 *		Which syncs a worker has in hand, written where its own end leaves it.
 *
 * Shared memory is lost when a worker crashes, and a durable mark before each
 * request would cost more than the request.  So the worker maps a file of its
 * own into its memory: to note a sync is to store a number, and the file is
 * there when the process is not.  A clean end removes it; so a file of a process
 * that is not there any more tells of a crash, and of what was in hand.  It
 * need not outlive the machine, since no sync takes that down.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_HAND_H
#define INTEGRATION_HAND_H

#include "postgres.h"

#include "store/crash_log.h"
#include "worker/shared.h"

/*
 * Make the file, to be removed at a clean end.  Where that fails the log says
 * so, and nothing is noted.  May throw for want of memory.
 */
extern void hand_open(void);

/* Note a sync that is about to leave; returns its place, 0: there is none.  Does not throw. */
extern int	hand_take(int64 outbox_id);

/* It is settled.  Does not throw. */
extern void hand_leave(int place);

/* The one whose request is being made, 0: none.  It alone is to blame then.  Does not throw. */
extern void hand_set_making(int64 outbox_id);

/* A worker of this database that crashed, and its file. */
typedef struct Remnant
{
	char		path[MAXPGPATH];
	Crash		crash;
	bool		is_crash;		/* false: it was ended by somebody else's
								 * crash, or by a stop of the server */
} Remnant;

/*
 * What workers of the slot left behind that are not there any more, in the
 * present memory.  May throw.
 */
extern Remnant *hand_find_remnants(DatabaseSlot *slot, int *count);

#endif							/* INTEGRATION_HAND_H */
