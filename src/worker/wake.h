/*-------------------------------------------------------------------------
 * wake.h
 *		From a commit to the workers' latches.
 *
 * A backend only marks its transaction; at commit the latches of the database's
 * workers are set, once, through shared memory.  No NOTIFY: it takes a lock over all databases
 * at commit (32 sessions: 8,800 inserts/s without, 700 with it).  COMMIT
 * PREPARED has no such moment and is found by a worker's safety look.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WAKE_H
#define INTEGRATION_WAKE_H

#include "postgres.h"

typedef enum WakeReason
{
	WAKE_ROWS = 1,				/* rows were enqueued */
	WAKE_PEOPLE = 2,			/* somebody retried, cancelled or amended */
	WAKE_REGISTRY = 4,			/* endpoints, pauses or health changed */
	WAKE_LAUNCHER = 8,			/* the database needs a worker */
	WAKE_EXTENSION = 16,		/* the extension may be gone, or another one */
	WAKE_INCIDENT = 32			/* people are to be told of an incident */
} WakeReason;

/* Wake the workers (or launcher) for this reason when the transaction commits.  May throw. */
extern void wake_at_commit(WakeReason reason);

/* Have a worker look into a database that this transaction makes, when it commits.  May throw. */
extern void wake_for_database(Oid database);

#endif							/* INTEGRATION_WAKE_H */
