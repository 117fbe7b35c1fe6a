/*-------------------------------------------------------------------------
 * usage.c
 *		What each customer, each role has enqueued lately, from shared memory into rows.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/fit.h"
#include "base/compat.h"
#include "worker/usage.h"

SQL_FUNCTION(integration_enqueue_usage);

#define COLUMNS 8

static void
put(const UsageView *view, Tuplestorestate *rows, TupleDesc columns)
{
	Datum		values[COLUMNS] = {
		CStringGetTextDatum(limits_scope_name(view->scope)),
		Int64GetDatum((int64) view->name_hash),
		CStringGetTextDatum(view->name),
		BoolGetDatum(view->is_whole),
		Int64GetDatum(view->rows_left),
		Int64GetDatum(view->bytes_left),
		Int64GetDatum(view->refused),
		TimestampTzGetDatum(view->refused_at),
	};
	bool		nulls[COLUMNS] = {
		[4] = view->rows_left == LIMITS_NONE,
		[5] = view->bytes_left == LIMITS_NONE,
		[7] = view->refused_at == 0,
	};

	tuplestore_putvalues(rows, columns, values, nulls);
}

Datum
integration_enqueue_usage(PG_FUNCTION_ARGS)
{
	TupleDesc	columns;
	Tuplestorestate *rows = compat_begin_set(fcinfo, &columns);
	UsageView	view;
	int			place = 0;

	fit_require(fcinfo, 0, columns, COLUMNS);
	while (usage_next(&place, &view))
		put(&view, rows, columns);
	PG_RETURN_NULL();
}
