/*-------------------------------------------------------------------------
 * objects.c
 *		What is queued for an object, for views that list many.
 *
 * What the reader holds is kept for all calls of a query.  Only a function
 * that returns a set is sure to be called by an executor, which says when the
 * query ends.  Of one that is given up it says nothing: memory, pins, open
 * relations then go by themselves.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
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
} Kept;

static void
end_query(Datum reader)
{
	objects_close((ObjectReader *) DatumGetPointer(reader));
}

static Kept *
begin_query(FunctionCallInfo fcinfo, EState *query)
{
	MemoryContext caller = MemoryContextSwitchTo(query->es_query_cxt);
	Kept	   *kept = palloc0(sizeof(Kept));

	if (get_call_result_type(fcinfo, NULL, &kept->columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	fit_require(fcinfo, ARGUMENTS, kept->columns, COLUMNS);
	kept->columns = BlessTupleDesc(kept->columns);
	kept->reader = objects_open(get_namespace_oid("integration", false));
	/* the node's own context would end with each call */
	RegisterExprContextCallback(GetPerTupleExprContext(query), end_query,
								PointerGetDatum(kept->reader));
	MemoryContextSwitchTo(caller);
	return kept;
}

Datum
integration_queued_of(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Kept	   *kept = fcinfo->flinfo->fn_extra;
	Queued		queued;
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};

	if (result == NULL || !IsA(result, ReturnSetInfo))
		elog(ERROR, "set-valued function called in a place that cannot take a set");
	if (kept == NULL)
		fcinfo->flinfo->fn_extra = kept = begin_query(fcinfo, result->econtext->ecxt_estate);
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
