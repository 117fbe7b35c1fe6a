/*-------------------------------------------------------------------------
 * live.c
 *		What the worker does right now, from shared memory into rows.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "worker/shared.h"

SQL_FUNCTION(integration_live_endpoints);
SQL_FUNCTION(integration_live_syncs);
SQL_FUNCTION(integration_live_workers);

/* A copy of this database's figures, to make rows without the lock; false: no worker runs. */
static bool
copy_live(LiveWorker *live, int *pid)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_SHARED);
	slot = shared_find(MyDatabaseId);
	*pid = slot == NULL ? 0 : slot->pid;
	if (*pid != 0)
		memcpy(live, &slot->live, sizeof(*live));
	LWLockRelease(shared->lock);
	return *pid != 0;
}

Datum
integration_live_endpoints(PG_FUNCTION_ARGS)
{
	TupleDesc	columns;
	Tuplestorestate *rows = compat_begin_set(fcinfo, &columns);
	LiveWorker *live = palloc(sizeof(LiveWorker));
	int			pid;

	if (!copy_live(live, &pid))
		PG_RETURN_NULL();
	for (int i = 0; i < live->live_endpoint_count; i++)
	{
		LiveEndpoint *endpoint = &live->live_endpoints[i];
		Datum		values[] = {
			Int32GetDatum(endpoint->endpoint_id),
			Int32GetDatum(endpoint->window),
			Int32GetDatum(endpoint->in_flight),
			Int32GetDatum(endpoint->waiting),
			TimestampTzGetDatum(endpoint->rate_free_at),
		};
		bool		nulls[] = {false, false, false, false, endpoint->rate_free_at == 0};

		tuplestore_putvalues(rows, columns, values, nulls);
	}
	PG_RETURN_NULL();
}

Datum
integration_live_syncs(PG_FUNCTION_ARGS)
{
	TupleDesc	columns;
	Tuplestorestate *rows = compat_begin_set(fcinfo, &columns);
	LiveWorker *live = palloc(sizeof(LiveWorker));
	int			pid;

	if (!copy_live(live, &pid))
		PG_RETURN_NULL();
	for (int i = 0; i < live->live_sync_count; i++)
	{
		Datum		values[] = {
			Int64GetDatum(live->live_syncs[i].outbox_id),
			TimestampTzGetDatum(live->live_syncs[i].started_at),
		};
		bool		nulls[] = {false, false};

		tuplestore_putvalues(rows, columns, values, nulls);
	}
	PG_RETURN_NULL();
}

Datum
integration_live_workers(PG_FUNCTION_ARGS)
{
	TupleDesc	columns;
	Tuplestorestate *rows = compat_begin_set(fcinfo, &columns);
	LiveWorker *live = palloc(sizeof(LiveWorker));
	int			pid;

	if (copy_live(live, &pid))
	{
		Datum		values[] = {
			Int32GetDatum(pid),
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
		bool		nulls[11] = {false};

		tuplestore_putvalues(rows, columns, values, nulls);
	}
	PG_RETURN_NULL();
}
