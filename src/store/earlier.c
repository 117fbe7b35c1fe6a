/*-------------------------------------------------------------------------
 * earlier.c
 *		What the time before a worker left behind.
 *-------------------------------------------------------------------------
 */
#include "store/earlier.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"

bool
earlier_clock_was_ahead(void)
{
	static Statement statement = {.text = "SELECT integration_worker.was_set_back()"};

	session_execute(&statement, NULL, NULL);
	return column_bool(0, 1);
}

int
earlier_turn_back(uint32 shards, int64 *after)
{
	static const Oid types[] = {INT4OID, INT8OID};
	static Statement statement = {
		.text = "SELECT after, turned FROM integration_worker.turn_back($1, $2)",
		.arg_count = 2,
		.arg_types = types,
	};
	Datum		values[] = {Int32GetDatum((int32) shards), Int64GetDatum(*after)};

	session_execute(&statement, values, NULL);
	*after = column_int64(0, 1, 0);
	return column_int32(0, 2, 0);
}

Call *
earlier_calls(MemoryContext memory, const int32 *endpoint_ids,
			  const TimestampTz *since, int *count)
{
	static const Oid types[] = {INT4ARRAYOID, TIMESTAMPTZARRAYOID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.recent_attempts($1, $2)",
		.arg_count = 2,
		.arg_types = types,
		.read_only = true,
	};
	Datum	   *ids = palloc(sizeof(Datum) * *count);
	Datum	   *times = palloc(sizeof(Datum) * *count);
	Datum		values[2];
	uint64		rows;
	Call	   *calls;

	for (int i = 0; i < *count; i++)
	{
		ids[i] = Int32GetDatum(endpoint_ids[i]);
		times[i] = TimestampTzGetDatum(since[i]);
	}
	values[0] = parameters_array(INT4OID, ids, NULL, *count);
	values[1] = parameters_array(TIMESTAMPTZOID, times, NULL, *count);
	rows = session_execute(&statement, values, NULL);
	calls = MemoryContextAlloc(memory, sizeof(Call) * (rows + 1));
	for (uint64 i = 0; i < rows; i++)
	{
		calls[i].endpoint_id = column_int32(i, 1, 0);
		calls[i].started_at = column_time(i, 2, 0);
	}
	*count = (int) rows;
	return calls;
}
