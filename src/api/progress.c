/*-------------------------------------------------------------------------
 * progress.c
 *		How far statements that touch many syncs have come, noted, then as rows.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/fit.h"
#include "base/compat.h"
#include "worker/progress.h"

SQL_FUNCTION(integration_note_progress);
SQL_FUNCTION(integration_live_progress);

#define COLUMNS 8

Datum
integration_note_progress(PG_FUNCTION_ARGS)
{
	progress_note(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)),
				  PG_GETARG_INT64(2), PG_GETARG_INT64(3));
	PG_RETURN_VOID();
}

Datum
integration_live_progress(PG_FUNCTION_ARGS)
{
	TupleDesc	columns;
	Tuplestorestate *rows = compat_begin_set(fcinfo, &columns);
	Progress	progress;
	int			number = 0;

	fit_require(fcinfo, 0, columns, COLUMNS);
	while (progress_copy(&progress, &number))
	{
		Datum		values[COLUMNS] = {
			Int32GetDatum(progress.pid),
			ObjectIdGetDatum(progress.role),
			CStringGetTextDatum(progress.verb),
			CStringGetTextDatum(progress.subject),
			Int64GetDatum(progress.total),
			Int64GetDatum(progress.done),
			TimestampTzGetDatum(progress.started_at),
			TimestampTzGetDatum(progress.updated_at),
		};
		bool		nulls[COLUMNS] = {false};

		tuplestore_putvalues(rows, columns, values, nulls);
	}
	PG_RETURN_NULL();
}
