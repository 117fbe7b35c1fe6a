/*-------------------------------------------------------------------------
 * statements.h
 *		What the worker asks of SQL, as typed values.
 *
 * Each function is one statement, to be run within session_run().  Rows are
 * copied into the memory context given; strings are UTF-8.  All may throw.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_STATEMENTS_H
#define INTEGRATION_STATEMENTS_H

#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"

#include "store/queue.h"

typedef struct EndpointRow
{
	int32		id;
	char	   *name;
	char	   *url;
	char	   *method;
	char	   *headers;		/* JSON object */
	char	   *format;
	int32		connect_timeout_ms;
	int32		timeout_ms;
	int32		max_concurrency;
	double		rate_limit;		/* 0: none */
	int32		rate_burst;
	bool		idempotent;
	bool		allow_http;
	char	   *credential;		/* what it authenticates with, or NULL */
	char	   *signing;		/* what it signs with, or NULL */
	char	   *certificate;	/* what its connections show and trust, or
								 * NULL */
	TimestampTz paused_until;	/* 0: not paused; DT_NOEND: until resumed */
	TimestampTz not_before;		/* 0: now */
	char	   *state;			/* of endpoint_health */
	int32		failures;
	int64		tripped_by;		/* the sync that stopped it, 0: none */
	TimestampTz since;			/* of that state; 0: never called */
	bool		quotes_key;		/* its Idempotency-Key is a structured field */
} EndpointRow;

/* What syncs go one at a time by, as hashes; 0: by none. */
enum
{
	KEY_ORDERING,				/* of the endpoint and the ordering_key */
	KEY_OBJECT,					/* of the endpoint and the object, where it
								 * coalesces */
	KEY_COUNT
};

/* What changes with the registry, cheap to read. */
typedef struct RegistryState
{
	int64		version;		/* a hash */
	int64		holds;			/* a hash of the customers that are paused */
	char		installation[128];
	TimestampTz resume_at;		/* a pause ends by itself, a secret begins;
								 * DT_NOEND: none does */
	bool		is_adopted;		/* not a copy of another database */
} RegistryState;

/* Whether the database may send. */
typedef struct Adoption
{
	char	   *problem;		/* why it is a copy, as a sentence; NULL: it
								 * is none */
	char	   *renewed;		/* why it is none though it looks like one;
								 * NULL: nothing was noted */
} Adoption;

typedef struct FeedRow
{
	int64		outbox_id;		/* 0: the group has no row to send */
	int32		endpoint_id;
	int16		priority;
	TimestampTz due_at;
	TimestampTz expires_at;		/* DT_NOEND: never */
	FullTransactionId change_xid;
	int64		object_key;		/* KEY_OBJECT */
} FeedRow;

typedef struct Feed
{
	int			count;
	FeedRow    *rows;
	bool		overflow;		/* there are more than were asked for */
} Feed;

/* What lies between two snapshots, where feed() found too much of it. */
typedef struct FloodRequest
{
	const char *previous;
	const char *present;
	FullTransactionId after_xid;
	int32		after_endpoint;
	int			groups;			/* of one transaction and endpoint */
	int			group_rows;		/* of each */
	uint32		shards;
} FloodRequest;

/* Where reading of one endpoint goes on. */
typedef struct TakeSource
{
	int32		endpoint_id;
	int16		priority;
	FullTransactionId change_xid;	/* that transaction's rows of all
									 * priorities; invalid: due rows of one
									 * priority */
	TimestampTz after_due;
	int64		after_id;
	int32		limit;
} TakeSource;

/* What one take() is to read: from sources on, and rows by their ids. */
typedef struct TakeRequest
{
	int			source_count;
	const TakeSource *sources;
	int			id_count;
	const int64 *ids;
	pg_atomic_uint64 *async_xid;	/* the newest transaction that didn't wait
									 * for its flush */
} TakeRequest;

/* A queue row. */
typedef struct TakenRow
{
	int			source;			/* its place among the sources, from 1 on; 0:
								 * by its id */
	int64		outbox_id;
	int32		endpoint_id;
	int16		priority;
	TimestampTz due_at;
	FullTransactionId change_xid;
	int32		attempts;
	TimestampTz expires_at;		/* DT_NOEND: never */
	int32		payload_bytes;
	bool		held;			/* may not go now: expired, claimed, behind
								 * another of its key */
	bool		crowded;		/* other syncs of its object wait, see
								 * supersede() */
	int64		keys[KEY_COUNT];
} TakenRow;

/* What its request is made of; strings live until the transaction ends. */
typedef struct Content
{
	int64		outbox_id;
	bool		held;			/* its customer is paused */
	char	   *object_type;
	char	   *object_id;
	char	   *operation;
	char	   *remote_id;
	const char *payload;		/* not ended by a zero byte */
	size_t		payload_bytes;
	char	   *headers;
	TimestampTz created_at;
	char	   *traceparent;
	char	   *tracestate;
} Content;

/* Words in memory; notes in the tables what people should know. */
extern Adoption statements_look_for_copy(MemoryContext memory);

/* At most *count endpoints after this id, in the order of their ids; strings in memory. */
extern EndpointRow *statements_endpoints(MemoryContext memory, int32 after_id, int *count);

extern RegistryState statements_registry_state(void);

/*
 * What became visible since *snapshot, which is replaced by the one that was
 * read under (text in memory).  With *snapshot NULL there is nothing to compare
 * with: no rows, overflow is set.
 */
extern Feed statements_feed(MemoryContext memory, char **snapshot, int most, uint32 shards);

/* The same from a position on, in groups; overflow: there may be more behind the last. */
extern Feed statements_flood(MemoryContext memory, const FloodRequest *request);

/*
 * The next rows.  WAL is flushed up to the commits they came with where these may
 * have been asynchronous, which shows rows before they are durable; where they have
 * ordering keys also up to this session's last one.
 */
extern TakenRow *statements_take(MemoryContext memory, const TakeRequest *request, int *count);

/* What the rows say, in the order of their ids; those without an outbox row are left out. */
extern Content *statements_read(MemoryContext memory, const int64 *ids, int *count);

/* The other system's ids of the objects in these rows of one endpoint, where known. */
extern void statements_read_remote_ids(MemoryContext memory, int32 endpoint_id,
									   Content **contents, int count);

/* Which of the syncs are not waiting any more as they were read. */
extern int64 *statements_find_changed(MemoryContext memory, const int64 *ids,
									  const FullTransactionId *change_xids, int *count);

/*
 * Returns the ids that were marked and may be sent; where leaves is false, those
 * whose mark was taken off.
 */
extern int64 *statements_mark(MemoryContext memory, const int64 *ids,
							  const FullTransactionId *change_xids, bool leaves, int *count);

/* Syncs whose objects have others that wait, with their KEY_OBJECT. */
typedef struct SupersedeRequest
{
	int			count;
	const int64 *ids;
	const int64 *object_keys;
	int			busy_count;
	const int64 *busy;			/* under way */
} SupersedeRequest;

typedef enum
{
	STANDING_NEXT,				/* it may be read */
	STANDING_AGAIN,				/* call again: not all older ones are closed */
	STANDING_HELD				/* an older one is under way, or somebody
								 * holds its row */
} Standing;

typedef struct SupersedeRow
{
	int64		outbox_id;
	int64		object_key;		/* 0: it is next under an ordering key */
	Standing	standing;
} SupersedeRow;

/* Close what newer states of the objects have made pointless; returns the newest of each object. */
extern SupersedeRow *statements_supersede(MemoryContext memory, const SupersedeRequest *request,
										  int *count);

/*
 * Settle what a worker that died had marked before the time given for the
 * shard; DT_NOBEGIN passes over a shard.  Returns how many rows that touched.
 */
extern int64 statements_recover(const TimestampTz *marked_before, int shard_count);

typedef struct ExpireResult
{
	TimestampTz done_until;		/* what expires up to then is closed */
	TimestampTz next_at;		/* when to call next; 0: nothing expires */
	int			successor_count;
	int64	   *successors;		/* next under their ordering keys once this is
								 * committed */
} ExpireResult;

/* Close what expired of these shards, later than after. */
extern ExpireResult statements_expire(MemoryContext memory, uint32 shards, TimestampTz after);

/* Remove some dedup_keys whose window is over; whether there are more. */
extern bool statements_forget_duplicates(void);

/* Make a range of outbox and attempt ahead of the sequence; the id at which to call next. */
extern int64 statements_make_partitions(void);

/*
 * One step of removing what is old.  *progress says where to go on, NULL: from
 * the beginning; it is replaced by what the next step is to be told (text in
 * memory).  Returns when that is due.
 */
extern TimestampTz statements_retain(MemoryContext memory, char **progress);

#endif							/* INTEGRATION_STATEMENTS_H */
