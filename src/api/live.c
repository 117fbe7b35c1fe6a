/*-------------------------------------------------------------------------
 * live.c
 *		What the workers do right now, from shared memory into rows.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/fit.h"
#include "base/compat.h"
#include "worker/shared.h"

SQL_FUNCTION(integration_live_endpoints);
SQL_FUNCTION(integration_awaits_token);
SQL_FUNCTION(integration_live_syncs);
SQL_FUNCTION(integration_live_workers);
SQL_FUNCTION(integration_silent_since);

#define ENDPOINT_COLUMNS 5
#define SYNC_COLUMNS 2
#define WORKER_COLUMNS 12

/*
 * A copy of the figures of this database's next worker, *number on, to make
 * rows without the lock; false: there is none.
 */
static bool
copy_live(LiveWorker *live, int *number)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;
	bool		found = false;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_SHARED);
	slot = shared_find(MyDatabaseId);
	while (slot != NULL && !found && *number < SHARED_WORKERS)
	{
		WorkerSlot *worker = &slot->workers[(*number)++];

		found = worker->pid != 0;
		if (found)
			memcpy(live, shared_live(worker), sizeof(*live));
	}
	LWLockRelease(shared->lock);
	return found;
}

static void
put_endpoints(const LiveWorker *live, Tuplestorestate *rows, TupleDesc columns)
{
	for (int i = 0; i < live->live_endpoint_count; i++)
	{
		const LiveEndpoint *endpoint = &live->live_endpoints[i];
		Datum		values[ENDPOINT_COLUMNS] = {
			Int32GetDatum(endpoint->endpoint_id),
			Int32GetDatum(endpoint->window),
			Int32GetDatum(endpoint->in_flight),
			Int32GetDatum(endpoint->waiting),
			TimestampTzGetDatum(endpoint->rate_free_at),
		};
		bool		nulls[] = {false, false, false, false, endpoint->rate_free_at == 0};

		tuplestore_putvalues(rows, columns, values, nulls);
	}
}

Datum
integration_live_endpoints(PG_FUNCTION_ARGS)
{
	TupleDesc	columns;
	Tuplestorestate *rows = compat_begin_set(fcinfo, &columns);
	LiveWorker *live = palloc(sizeof(LiveWorker));
	int			number = 0;

	fit_require(fcinfo, 0, columns, ENDPOINT_COLUMNS);
	while (copy_live(live, &number))
		put_endpoints(live, rows, columns);
	PG_RETURN_NULL();
}

static bool
shows_awaiting(const LiveWorker *live, int32 endpoint_id)
{
	for (int i = 0; i < live->live_endpoint_count; i++)
		if (live->live_endpoints[i].endpoint_id == endpoint_id)
			return live->live_endpoints[i].awaits_token;
	return false;
}

Datum
integration_awaits_token(PG_FUNCTION_ARGS)
{
	LiveWorker *live = palloc(sizeof(LiveWorker));
	bool		awaits = false;
	int			number = 0;

	while (!awaits && copy_live(live, &number))
		awaits = shows_awaiting(live, PG_GETARG_INT32(0));
	PG_RETURN_BOOL(awaits);
}

static void
put_syncs(const LiveWorker *live, Tuplestorestate *rows, TupleDesc columns)
{
	for (int i = 0; i < live->live_sync_count; i++)
	{
		Datum		values[SYNC_COLUMNS] = {
			Int64GetDatum(live->live_syncs[i].outbox_id),
			TimestampTzGetDatum(live->live_syncs[i].started_at),
		};
		bool		nulls[] = {false, false};

		tuplestore_putvalues(rows, columns, values, nulls);
	}
}

Datum
integration_live_syncs(PG_FUNCTION_ARGS)
{
	TupleDesc	columns;
	Tuplestorestate *rows = compat_begin_set(fcinfo, &columns);
	LiveWorker *live = palloc(sizeof(LiveWorker));
	int			number = 0;

	fit_require(fcinfo, 0, columns, SYNC_COLUMNS);
	while (copy_live(live, &number))
		put_syncs(live, rows, columns);
	PG_RETURN_NULL();
}

/* The bits of a mask as an array of their numbers. */
static Datum
shards_array(uint32 shards)
{
	Datum		numbers[OWNERSHIP_SHARDS];
	int			count = 0;

	for (int shard = 0; shard < OWNERSHIP_SHARDS; shard++)
	{
		if (shards & (1U << shard))
			numbers[count++] = Int32GetDatum(shard);
	}
	return PointerGetDatum(construct_array(numbers, count, INT4OID, sizeof(int32), true,
										   TYPALIGN_INT));
}

Datum
integration_live_workers(PG_FUNCTION_ARGS)
{
	TupleDesc	columns;
	Tuplestorestate *rows = compat_begin_set(fcinfo, &columns);
	LiveWorker *live = palloc(sizeof(LiveWorker));
	int			number = 0;

	fit_require(fcinfo, 0, columns, WORKER_COLUMNS);
	while (copy_live(live, &number))
	{
		Datum		values[WORKER_COLUMNS] = {
			Int32GetDatum(live->pid),
			shards_array(live->shards),
			CStringGetTextDatum(live->activity),
			TimestampTzGetDatum(live->started_at),
			TimestampTzGetDatum(live->last_turn_at),
			Int32GetDatum(live->endpoints),
			Int32GetDatum(live->in_flight),
			Int32GetDatum(live->waiting),
			Int32GetDatum(live->unsettled),
			Int64GetDatum(live->delivered),
			Int64GetDatum(live->failed),
			Int64GetDatum(live->memory_bytes),
		};
		bool		nulls[lengthof(values)] = {false};

		tuplestore_putvalues(rows, columns, values, nulls);
	}
	PG_RETURN_NULL();
}

Datum
integration_silent_since(PG_FUNCTION_ARGS)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;
	TimestampTz since = 0;

	if (shared == NULL)
		PG_RETURN_NULL();
	LWLockAcquire(shared->lock, LW_SHARED);
	slot = shared_find(MyDatabaseId);
	if (slot != NULL && slot->silent_until == 0)
		since = slot->silent_since;
	LWLockRelease(shared->lock);
	if (since == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(since);
}
