/*-------------------------------------------------------------------------
 * shared.h
 *		What launcher, workers and backends know of each other.
 *
 * One slot for each database that has (or may have) the extension.  Shared
 * memory holds plain values only: a latch is found through the number of its
 * process, never through a pointer.
 *
 *		ABSENT --wanted--> WANTED --start--> STARTING --attach--> RUNNING
 *		   ^                  ^                   |                  |
 *		   |                  +----crash----------+------------------+
 *		   +-------------------leave-------------+------------------+
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SHARED_H
#define INTEGRATION_SHARED_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

#define SHARED_LIVE_ENDPOINTS 1024
#define SHARED_LIVE_SYNCS 1024
#define SHARED_NO_PROCESS UINT32_MAX

typedef enum SlotState
{
	SLOT_ABSENT,				/* free, or the database has no extension */
	SLOT_WANTED,				/* the launcher should start a worker */
	SLOT_STARTING,				/* registered with the postmaster */
	SLOT_RUNNING				/* attached and at work */
} SlotState;

/* What a worker does at one endpoint right now. */
typedef struct LiveEndpoint
{
	int32		endpoint_id;
	int32		window;
	int32		in_flight;
	int32		waiting;
	TimestampTz rate_free_at;	/* 0: no rate limit holds it */
} LiveEndpoint;

/* A sync that is being sent right now. */
typedef struct LiveSync
{
	int64		outbox_id;
	TimestampTz started_at;
} LiveSync;

/* A worker's figures, as it last published them. */
typedef struct LiveWorker
{
	char		activity[64];
	TimestampTz started_at;
	TimestampTz last_turn_at;
	int32		endpoints;
	int32		in_flight;
	int32		waiting;
	int32		unsettled;
	int64		delivered;
	int64		failed;
	int64		memory_bytes;
	int32		live_endpoint_count;
	int32		live_sync_count;
	LiveEndpoint live_endpoints[SHARED_LIVE_ENDPOINTS];
	LiveSync	live_syncs[SHARED_LIVE_SYNCS];
} LiveWorker;

typedef struct DatabaseSlot
{
	Oid			database;		/* InvalidOid: free */
	SlotState	state;
	int			holds;			/* statements under way that need the database
								 * empty */
	int			pid;			/* of the worker; 0: none */
	bool		check_extension;	/* DROP EXTENSION was run */
	pg_atomic_uint32 proc_number;	/* of the worker, or SHARED_NO_PROCESS */
	pg_atomic_uint32 rows_changes;	/* commits that enqueued */
	pg_atomic_uint32 people_changes;	/* commits by which people changed the
										 * queue */
	pg_atomic_uint32 registry_changes;	/* commits that changed endpoints,
										 * pauses or health */
	LiveWorker	live;
} DatabaseSlot;

typedef struct SharedState
{
	LWLock	   *lock;			/* guards everything but the atomics */
	pg_atomic_uint32 launcher_proc_number;
	int			slot_count;
	DatabaseSlot slots[FLEXIBLE_ARRAY_MEMBER];
} SharedState;

/* Reserve and attach the memory; called once from _PG_init(). */
extern void shared_install(void);

/* The state, or NULL when the library was not preloaded. */
extern SharedState *shared_state(void);

/* The slot of a database, or NULL.  The caller holds the lock or tolerates a stale answer. */
extern DatabaseSlot *shared_find(Oid database);

/* The same, taking a free slot where needed; NULL when all are taken.  Caller holds the lock. */
extern DatabaseSlot *shared_claim(Oid database);

/* Give a slot back.  Caller holds the lock. */
extern void shared_release(DatabaseSlot *slot);

/* Set the latch of the process whose number stands there, if any.  Does not throw. */
extern void shared_wake(pg_atomic_uint32 *proc_number);

#endif							/* INTEGRATION_SHARED_H */
