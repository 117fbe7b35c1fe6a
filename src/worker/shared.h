/*-------------------------------------------------------------------------
 * shared.h
 *		What launcher, workers and backends know of each other.
 *
 * One slot for each database that has (or may have) the extension, in it a place
 * for each of its workers.  Shared memory holds plain values only: a latch is
 * found through the number of its process, never through a pointer.
 *
 *		ABSENT --wanted--> WANTED --a worker finds the extension--> SERVED
 *		   ^                  ^                                        |
 *		   |                  +--------- the last worker ends ---------+
 *		   +------------ a worker finds no extension -----------------+
 *
 *		FREE --start--> STARTING --attach--> ATTACHED --ready--> SERVING
 *		  ^                 |                    |                  |
 *		  +-----------------+--------end---------+------------------+
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SHARED_H
#define INTEGRATION_SHARED_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

#include "flow/ownership.h"

#define SHARED_LIVE_ENDPOINTS 1024
#define SHARED_LIVE_SYNCS 1024
#define SHARED_NO_PROCESS UINT32_MAX
#define SHARED_WORKERS OWNERSHIP_SHARDS /* of one database, at most */

typedef enum SlotState
{
	SLOT_ABSENT,				/* free, or the database has no extension */
	SLOT_WANTED,				/* a worker should look whether it has */
	SLOT_SERVED					/* it has: as many workers as are set */
} SlotState;

typedef enum WorkerState
{
	WORKER_FREE,
	WORKER_STARTING,			/* registered with the postmaster */
	WORKER_ATTACHED,			/* not ready to send, or about to leave */
	WORKER_SERVING				/* shards are shared out to it */
} WorkerState;

/* What a worker does at one endpoint right now. */
typedef struct LiveEndpoint
{
	int32		endpoint_id;
	int32		window;
	int32		in_flight;
	int32		waiting;
	TimestampTz rate_free_at;	/* 0: no rate limit holds it */
	bool		awaits_token;	/* of OAuth */
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
	int			pid;			/* 0: nobody's */
	uint32		shards;			/* those that it has, bit by bit */
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

/* The place of one worker; its number is its index. */
typedef struct WorkerSlot
{
	WorkerState state;
	int			pid;			/* 0: not attached */
	int			live;			/* index for shared_live(), while attached */
	pg_atomic_uint32 proc_number;	/* or SHARED_NO_PROCESS */
	pg_atomic_uint32 looks_anyway;	/* 1: at new rows within milliseconds,
									 * woken or not */
} WorkerSlot;

typedef struct DatabaseSlot
{
	Oid			database;		/* InvalidOid: free */
	SlotState	state;
	int			holds;			/* statements under way that need the database
								 * empty */
	WorkerSlot	workers[SHARED_WORKERS];
	int			upkeep_pid;		/* of retaining.c's process; 0: there is none */
	pg_atomic_uint32 extension_changes; /* commits that may have dropped or
										 * updated the extension */
	pg_atomic_uint32 rows_changes;	/* commits that enqueued */
	pg_atomic_uint32 people_changes;	/* commits by which people changed the
										 * queue */
	pg_atomic_uint32 registry_changes;	/* commits that changed endpoints,
										 * pauses or health */
	pg_atomic_uint32 incident_changes;	/* commits that changed incidents */
	pg_atomic_uint32 silence_changes;	/* of the two below */
	TimestampTz silent_since;	/* a worker did not come round; 0: all do, or
								 * what was is on record */
	TimestampTz silent_until;	/* 0: it still doesn't */
} DatabaseSlot;

typedef struct SharedState
{
	LWLock	   *lock;			/* guards everything but the atomics */
	pg_atomic_uint32 launcher_proc_number;
	pg_atomic_uint32 goal;		/* workers that each database should have */
	pg_atomic_uint32 share_changes; /* workers that came, went, or gave a
									 * shard up; changes of goal */
	pg_atomic_uint32 is_short;	/* 1: a database found no slot */
	pg_atomic_uint64 async_xid; /* the newest transaction that changed a queue
								 * and didn't wait for its flush, of any
								 * database */
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

/* Take the place that was made for a worker of this process.  Caller holds the lock; may throw. */
extern void shared_attach(WorkerSlot *worker);

/* Give the place back.  Caller holds the lock. */
extern void shared_detach(WorkerSlot *worker);

/* The figures of an attached worker.  Caller holds the lock. */
extern LiveWorker *shared_live(const WorkerSlot *worker);

/* What an attached worker does, for people, before it publishes figures.  Caller has no lock. */
extern void shared_say(WorkerSlot *worker, const char *activity);

/* Places that are not free.  Caller holds the lock or tolerates a stale answer. */
extern int	shared_count_workers(const DatabaseSlot *slot);

/* The workers at work, bit by bit.  Caller holds the lock. */
extern uint32 shared_serving(const DatabaseSlot *slot);

/* Set the latch of the process whose number stands there, if any.  Does not throw. */
extern void shared_wake(pg_atomic_uint32 *proc_number);

/* Set the latches of all workers of the database.  Does not throw. */
extern void shared_wake_workers(DatabaseSlot *slot);

/* The same for new rows, which can be seen already.  Does not throw. */
extern void shared_wake_for_rows(DatabaseSlot *slot);

/* Have all workers of the database look again which shards are theirs.  Does not throw. */
extern void shared_announce_share(DatabaseSlot *slot);

#endif							/* INTEGRATION_SHARED_H */
