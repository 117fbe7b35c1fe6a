/*-------------------------------------------------------------------------
 * place.c
 *		Where the server's data lies, as a row.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "base/place.h"

SQL_FUNCTION(integration_place);

static Datum
known_text(const char *words, bool *is_null)
{
	*is_null = words[0] == '\0';
	return *is_null ? (Datum) 0 : CStringGetTextDatum(words);
}

Datum
integration_place(PG_FUNCTION_ARGS)
{
	const Place *place = place_get();
	TupleDesc	columns;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "integration_worker.place() returns a row");
	values[0] = known_text(place->machine, &nulls[0]);
	values[1] = known_text(place->directory, &nulls[1]);
	values[2] = Int64GetDatum((int64) place->inode);
	nulls[2] = place->inode == 0;
	values[3] = known_text(place->born, &nulls[3]);
	values[4] = BoolGetDatum(place->was_standby);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(columns), values, nulls)));
}
