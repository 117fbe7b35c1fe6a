/*-------------------------------------------------------------------------
 * objects.c
 *		What is queued for an object, for views that list many.
 *
 * What the reader holds is kept for all calls of a query.  Only a function
 * that returns a set is sure to be called by an executor, whose memory goes
 * when the query ends, or when it is given up.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "api/fit.h"
#include "base/compat.h"
#include "store/objects.h"

SQL_FUNCTION(integration_queued_of);

#define ARGUMENTS 3
#define COLUMNS 3

typedef struct Kept
{
	ObjectReader *reader;
	TupleDesc	columns;
	ResourceOwner owner;		/* of what the reader holds */
	bool		is_released;	/* the owner has let go of it: an error */
	MemoryContextCallback at_end;
} Kept;

static void
note_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	Kept	   *kept = arg;

	if (CurrentResourceOwner == kept->owner)
		kept->is_released = true;
}

/* While a transaction is being given up, its owners let go of everything by themselves. */
static void
end_query(void *arg)
{
	Kept	   *kept = arg;
	ResourceOwner owner = CurrentResourceOwner;

	UnregisterResourceReleaseCallback(note_release, kept);
	if (kept->is_released || !IsTransactionState())
		return;
	CurrentResourceOwner = kept->owner;
	objects_close(kept->reader);
	CurrentResourceOwner = owner;
}

static Kept *
begin_query(FunctionCallInfo fcinfo)
{
	MemoryContext memory = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "integration objects",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	Kept	   *kept = palloc0(sizeof(Kept));

	if (get_call_result_type(fcinfo, NULL, &kept->columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	fit_require(fcinfo, ARGUMENTS, kept->columns, COLUMNS);
	kept->columns = BlessTupleDesc(kept->columns);
	kept->owner = CurrentResourceOwner;
	kept->reader = objects_open(get_namespace_oid("integration", false));
	RegisterResourceReleaseCallback(note_release, kept);
	kept->at_end.func = end_query;
	kept->at_end.arg = kept;
	MemoryContextRegisterResetCallback(memory, &kept->at_end);
	MemoryContextSwitchTo(caller);
	return kept;
}

Datum
integration_queued_of(PG_FUNCTION_ARGS)
{
	Kept	   *kept = fcinfo->flinfo->fn_extra;
	Queued		queued;
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};

	if (fcinfo->resultinfo == NULL || !IsA(fcinfo->resultinfo, ReturnSetInfo))
		elog(ERROR, "set-valued function called in a place that cannot take a set");
	if (kept == NULL)
		fcinfo->flinfo->fn_extra = kept = begin_query(fcinfo);
	queued = objects_read(kept->reader, PG_GETARG_INT32(0), PG_GETARG_TEXT_PP(1),
						  PG_GETARG_TEXT_PP(2));
	values[0] = Int64GetDatum(queued.count);
	values[1] = Int64GetDatum(queued.next_sync);
	values[2] = TimestampTzGetDatum(queued.next_attempt_at);
	nulls[1] = queued.count == 0;
	nulls[2] = !queued.is_scheduled;
	/* one row: executors take the call for the only one */
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(kept->columns, values, nulls)));
}
