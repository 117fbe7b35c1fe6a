/*-------------------------------------------------------------------------
 * usage.c
 *		What each customer, each role has enqueued lately, in shared memory.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "flow/bucket.h"
#include "worker/usage.h"

#define CUSTOMER_PLACES 4096
#define ROLE_PLACES 256
#define PLACES (CUSTOMER_PLACES + ROLE_PLACES)
#define ROW_PLACES 8			/* a name has one of these, by its hash */
#define LOCKS 32				/* each guards every so manieth row of places */
#define TRANCHE "integration usage"

#define SECS_OF_LIMIT 60.0
#define COUNT_PAUSE 10			/* times what the count took */
#define MIN_COUNT_PAUSE_US 1000
#define MAX_COUNT_PAUSE_US 10000000

typedef struct Place
{
	Oid			database;		/* InvalidOid: free */
	LimitScope	scope;
	uint64		name_hash;
	uint64		tenancy;		/* how often it has changed hands */
	Bucket		rows;
	Bucket		bytes;
	int64		used_at_us;
	int64		admitted;		/* to the backlog, ever */
	int64		counted;		/* backlog */
	int64		counted_from;	/* admitted when that count began */
	int64		count_again_us; /* 0: not counted yet */
	int64		refused;
	TimestampTz refused_at;
	char		name[USAGE_NAME_BYTES];
	bool		is_whole;
} Place;

static Place *places = NULL;
static LWLockPadded *locks = NULL;

void
usage_request_memory(void)
{
	RequestAddinShmemSpace(mul_size(PLACES, sizeof(Place)));
	RequestNamedLWLockTranche(TRANCHE, LOCKS);
}

void
usage_attach_memory(void)
{
	bool		found;

	locks = GetNamedLWLockTranche(TRANCHE);
	places = ShmemInitStruct(TRANCHE, mul_size(PLACES, sizeof(Place)), &found);
	if (!found)
		memset(places, 0, mul_size(PLACES, sizeof(Place)));
}

/* A clock that nobody sets. */
static int64
now_us(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

static int
row_of(LimitScope scope, uint64 name_hash)
{
	uint64		mixed = name_hash ^ ((uint64) MyDatabaseId * UINT64CONST(0x9E3779B97F4A7C15));

	if (scope == LIMIT_CUSTOMER)
		return (int) (mixed % (CUSTOMER_PLACES / ROW_PLACES));
	return CUSTOMER_PLACES / ROW_PLACES + (int) (mixed % (ROLE_PLACES / ROW_PLACES));
}

static LWLock *
lock_of(int row)
{
	return &locks[row % LOCKS].lock;
}

static double
share_left(const Bucket *bucket, int64 now)
{
	return bucket->rate <= 0 ? 1 : bucket_left(bucket, now) / bucket->burst;
}

static double
unused(const Place *place, int64 now)
{
	return fmin(share_left(&place->rows, now), share_left(&place->bytes, now));
}

static bool
belongs_to(const Place *place, const UsageClaim *claim)
{
	return place->database == MyDatabaseId && place->scope == claim->scope &&
		place->name_hash == claim->name_hash;
}

/* One that is free, else the least used, the longest idle among those. */
static Place *
choose_place(Place *row, int64 now)
{
	Place	   *best = row;

	for (int i = 0; i < ROW_PLACES; i++)
	{
		double		more = unused(&row[i], now) - unused(best, now);

		if (row[i].database == InvalidOid)
			return &row[i];
		if (more > 0 || (more == 0 && row[i].used_at_us < best->used_at_us))
			best = &row[i];
	}
	return best;
}

static void
move_in(Place *place, const UsageClaim *claim, int64 now)
{
	int			bytes = (int) strlen(claim->name);
	int			kept = pg_mbcliplen(claim->name, bytes, USAGE_NAME_BYTES - 1);
	double		share = place->database == InvalidOid ? 1 : unused(place, now);
	double		most_rows = Max(claim->limit.rows_per_minute, 0);
	double		most_bytes = Max(claim->limit.bytes_per_minute, 0);
	uint64		tenancy = place->tenancy + 1;

	*place = (Place)
	{
		.database = MyDatabaseId,
			.scope = claim->scope,
			.name_hash = claim->name_hash,
			.tenancy = tenancy,
			.rows = bucket_make(most_rows / SECS_OF_LIMIT, most_rows, now),
			.bytes = bucket_make(most_bytes / SECS_OF_LIMIT, most_bytes, now),
			.is_whole = kept == bytes,
	};
	place->rows.tokens *= share;
	place->bytes.tokens *= share;
	memcpy(place->name, claim->name, kept);
}

/* A limit that was changed holds from now on; what it was raised by may be taken at once. */
static void
adjust(Bucket *bucket, int64 limit, int64 now)
{
	double		most = Max(limit, 0);
	double		before = bucket->burst;

	if (bucket->rate == most / SECS_OF_LIMIT)
		return;
	bucket_resize(bucket, most / SECS_OF_LIMIT, most, now);
	bucket_give(bucket, Max(most - before, 0));
}

/* The caller holds the lock of the row. */
static Place *
find_place(const UsageClaim *claim, int64 now)
{
	Place	   *row = &places[row_of(claim->scope, claim->name_hash) * ROW_PLACES];
	Place	   *place = NULL;

	for (int i = 0; i < ROW_PLACES && place == NULL; i++)
		place = belongs_to(&row[i], claim) ? &row[i] : NULL;
	if (place == NULL)
	{
		place = choose_place(row, now);
		move_in(place, claim, now);
	}
	adjust(&place->rows, claim->limit.rows_per_minute, now);
	adjust(&place->bytes, claim->limit.bytes_per_minute, now);
	place->used_at_us = now;
	return place;
}

static UsageVerdict
refused(Place *place, UsageAnswer answer, int64 left, int64 wait_us)
{
	UsageVerdict verdict = {0};

	place->refused++;
	place->refused_at = GetCurrentTimestamp();
	verdict.answer = answer;
	verdict.left = left;
	verdict.wait_s = (wait_us + USECS_PER_SEC - 1) / USECS_PER_SEC;
	return verdict;
}

/* A limit of 0 has no bucket: nothing passes. */
static bool
may_take(Bucket *bucket, int64 limit, int64 count, int64 now)
{
	return limit < 0 || count == 0 || (limit > 0 && bucket_take_many(bucket, count, now));
}

static UsageVerdict
too_many(Place *place, UsageAnswer answer, int64 wanted, int64 now)
{
	const Bucket *bucket = answer == USAGE_NO_ROWS ? &place->rows : &place->bytes;
	int64		left = bucket->rate > 0 ? (int64) bucket_left(bucket, now) : 0;

	return refused(place, answer, left, bucket_filled_to_us(bucket, wanted, now) - now);
}

/* Whether the backlog has room, as far as the last count tells. */
static UsageVerdict
ask_for_room(Place *place, const UsageClaim *claim, int64 now)
{
	UsageVerdict verdict = {.answer = USAGE_TAKEN};
	int64		waiting = place->counted + place->admitted - place->counted_from;
	bool		fits = waiting + claim->queued <= claim->limit.max_backlog;

	if (claim->limit.max_backlog < 0 || claim->queued == 0)
		return verdict;
	if (!fits && place->count_again_us > now)
		return refused(place, USAGE_NO_ROOM, waiting, 0);
	/* never taken back: others may have counted from there already */
	place->admitted += claim->queued;
	if (fits && place->count_again_us != 0)
		return verdict;
	verdict.answer = USAGE_COUNT;
	verdict.admitted = place->admitted;
	verdict.began_at_us = now;
	verdict.tenancy = place->tenancy;
	return verdict;
}

static UsageVerdict
take(Place *place, const UsageClaim *claim, int64 now)
{
	UsageVerdict verdict;

	if (!may_take(&place->rows, claim->limit.rows_per_minute, claim->rows, now))
		return too_many(place, USAGE_NO_ROWS, claim->rows, now);
	if (!may_take(&place->bytes, claim->limit.bytes_per_minute, claim->bytes, now))
	{
		bucket_give(&place->rows, claim->rows);
		return too_many(place, USAGE_NO_BYTES, claim->bytes, now);
	}
	verdict = ask_for_room(place, claim, now);
	if (verdict.answer == USAGE_NO_ROOM)
	{
		bucket_give(&place->rows, claim->rows);
		bucket_give(&place->bytes, claim->bytes);
	}
	return verdict;
}

UsageVerdict
usage_take(const UsageClaim *claim)
{
	LWLock	   *lock = lock_of(row_of(claim->scope, claim->name_hash));
	int64		now = now_us();
	UsageVerdict verdict;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	verdict = take(find_place(claim, now), claim, now);
	LWLockRelease(lock);
	return verdict;
}

static int64
count_pause_us(int64 took_us)
{
	return Min(Max(took_us * COUNT_PAUSE, MIN_COUNT_PAUSE_US), MAX_COUNT_PAUSE_US);
}

UsageVerdict
usage_counted(const UsageClaim *claim, const UsageVerdict *asked, int64 counted)
{
	LWLock	   *lock = lock_of(row_of(claim->scope, claim->name_hash));
	bool		fits = counted <= claim->limit.max_backlog;
	int64		others = Max(counted - claim->queued, 0);
	int64		now = now_us();
	UsageVerdict verdict = {.answer = USAGE_TAKEN};
	Place	   *place;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	place = find_place(claim, now);
	if (place->tenancy == asked->tenancy)
	{
		/* rows that are refused go with their transaction */
		place->counted = fits ? counted : others;
		place->counted_from = asked->admitted;
		place->count_again_us = now + count_pause_us(now - asked->began_at_us);
	}
	if (!fits)
	{
		bucket_give(&place->rows, claim->rows);
		bucket_give(&place->bytes, claim->bytes);
		verdict = refused(place, USAGE_NO_ROOM, others, 0);
	}
	LWLockRelease(lock);
	return verdict;
}

void
usage_give_back(const UsageClaim *claim)
{
	LWLock	   *lock = lock_of(row_of(claim->scope, claim->name_hash));
	Place	   *place;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	place = find_place(claim, now_us());
	bucket_give(&place->rows, claim->rows);
	bucket_give(&place->bytes, claim->bytes);
	LWLockRelease(lock);
}

static int64
left_in(const Bucket *bucket, int64 now)
{
	return bucket->rate > 0 ? (int64) bucket_left(bucket, now) : LIMITS_NONE;
}

bool
usage_next(int *place, UsageView *view)
{
	int64		now = now_us();
	bool		is_found = false;

	while (places != NULL && !is_found && *place < PLACES)
	{
		const Place *at = &places[*place];
		LWLock	   *lock = lock_of((*place)++ / ROW_PLACES);

		LWLockAcquire(lock, LW_SHARED);
		is_found = at->database == MyDatabaseId;
		if (is_found)
			*view = (UsageView)
		{
			.scope = at->scope,
				.name_hash = at->name_hash,
				.is_whole = at->is_whole,
				.rows_left = left_in(&at->rows, now),
				.bytes_left = left_in(&at->bytes, now),
				.refused = at->refused,
				.refused_at = at->refused_at,
		};
		if (is_found)
			memcpy(view->name, at->name, sizeof(view->name));
		LWLockRelease(lock);
	}
	return is_found;
}
