/*-------------------------------------------------------------------------
 * usage.h
 *		What each customer, each role has enqueued lately, in shared memory.
 *
 * A place for each of them that a limit applies to: token buckets for rows and
 * bytes, and what is known of its backlog.  No row is locked for it, so sessions
 * wait for each other no longer than the sum takes.  A bucket holds one minute's
 * worth and is filled up within a minute: in any t seconds at most
 * limit * (1 + t / 60) passes, of all sessions together.  What was taken by a transaction that
 * rolls back stays taken; a restart of the server fills all buckets.
 *
 * The backlog is counted by those who enqueue (store/backlog.h), once the room
 * is used up that the last count has left.  Their rows are in the queue
 * before they ask, so each row is in the count or in what was admitted
 * since the count began, or in both: the limit is never exceeded.  A count may come again
 * after ten times what it took, 1 ms to 10 s; until then what has
 * left the queue meanwhile is not known.  Rows that an open transaction is
 * changing are counted twice.
 *
 * Where all places are taken, a newcomer gets the one that is least used and
 * what is left in it, so that those who share a place enqueue no more than one
 * may.  Roles have places of their own, which invented customers can't take.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_USAGE_H
#define INTEGRATION_USAGE_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "store/limits.h"

#define USAGE_NAME_BYTES 100

/* What a statement enqueues for one name. */
typedef struct UsageClaim
{
	LimitScope	scope;
	uint64		name_hash;
	const char *name;
	EnqueueLimit limit;
	int64		rows;
	int64		bytes;
	int64		queued;			/* rows that count for max_backlog */
} UsageClaim;

typedef enum UsageAnswer
{
	USAGE_TAKEN,
	USAGE_NO_ROWS,
	USAGE_NO_BYTES,
	USAGE_NO_ROOM,				/* in the backlog */
	USAGE_COUNT					/* count the backlog, then ask usage_counted() */
} UsageAnswer;

typedef struct UsageVerdict
{
	UsageAnswer answer;
	int64		left;			/* rows or bytes; NO_ROOM: the backlog without
								 * these rows */
	int64		wait_s;			/* NO_ROWS, NO_BYTES: until there are enough */
	int64		admitted;		/* COUNT: for usage_counted() */
	int64		began_at_us;	/* the same */
	uint64		tenancy;		/* the same */
} UsageVerdict;

/* A place as people see it. */
typedef struct UsageView
{
	LimitScope	scope;
	uint64		name_hash;
	char		name[USAGE_NAME_BYTES]; /* cut */
	bool		is_whole;		/* not cut */
	int64		rows_left;		/* LIMITS_NONE: no limit */
	int64		bytes_left;
	int64		refused;		/* statements */
	TimestampTz refused_at;		/* 0: none */
} UsageView;

/* Shared memory, for shared.c: to reserve, to attach with AddinShmemInitLock held. */
extern void usage_request_memory(void);
extern void usage_attach_memory(void);

/* Takes the claim in this database; all of it or, if refused, nothing.  Does not throw. */
extern UsageVerdict usage_take(const UsageClaim *claim);

/* On a claim that was to be counted; counted: its own rows included.  Does not throw. */
extern UsageVerdict usage_counted(const UsageClaim *claim, const UsageVerdict *asked,
								  int64 counted);

/* Rows and bytes of a claim whose statement is refused for another name.  Does not throw. */
extern void usage_give_back(const UsageClaim *claim);

/* The next place of this database that is in use, *place on; false: there is none. */
extern bool usage_next(int *place, UsageView *view);

#endif							/* INTEGRATION_USAGE_H */
