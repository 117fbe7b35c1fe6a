/*-------------------------------------------------------------------------
 * peek.c
 *		What src/store/peek.c says, as lines of text for SQL.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/peek.h"

PG_MODULE_MAGIC;

SQL_FUNCTION(peek_feed_lines);
SQL_FUNCTION(peek_take_lines);

static const char *
time_text(TimestampTz at)
{
	return DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(at)));
}

static void
add_line(ArrayBuildState **lines, const char *line)
{
	*lines = accumArrayResult(*lines, CStringGetTextDatum(line), false, TEXTOID,
							  CurrentMemoryContext);
}

/* (previous text, most integer, shards integer): the last line has the snapshot, or NULL. */
Datum
peek_feed_lines(PG_FUNCTION_ARGS)
{
	char	   *snapshot = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PeekRequest request = {
		.memory = CurrentMemoryContext,
		.most = PG_GETARG_INT32(1),
		.shards = (uint32) PG_GETARG_INT32(2),
	};
	ArrayBuildState *lines = NULL;
	Feed		feed;

	if (!peek_feed(&request, &snapshot, &feed))
		PG_RETURN_NULL();
	for (int i = 0; i < feed.count; i++)
	{
		const FeedRow *row = &feed.rows[i];

		add_line(&lines, psprintf(INT64_FORMAT " %d %d %s %s " UINT64_FORMAT " " INT64_FORMAT,
								  row->outbox_id, row->endpoint_id, row->priority,
								  time_text(row->due_at), time_text(row->expires_at),
								  U64FromFullTransactionId(row->change_xid), row->object_key));
	}
	add_line(&lines, psprintf("%s %s", feed.overflow ? "more" : "all", snapshot));
	PG_RETURN_DATUM(makeArrayResult(lines, CurrentMemoryContext));
}

/* (ids bigint[]): what is left to take() comes last. */
Datum
peek_take_lines(PG_FUNCTION_ARGS)
{
	ArrayBuildState *lines = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	Datum	   *values;
	int			count;
	int64	   *ids;
	TakenRow   *rows;
	int			found;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &values, NULL, &count);
	ids = palloc(sizeof(int64) * (count + 1));
	rows = palloc(sizeof(TakenRow) * (count + 1));
	for (int i = 0; i < count; i++)
		ids[i] = DatumGetInt64(values[i]);
	found = peek_take(ids, &count, rows);
	for (int i = 0; i < found; i++)
	{
		const TakenRow *row = &rows[i];

		add_line(&lines, psprintf("%d " INT64_FORMAT " %d %d %s " UINT64_FORMAT " %d %s %d %d %d "
								  INT64_FORMAT " " INT64_FORMAT,
								  row->source, row->outbox_id, row->endpoint_id, row->priority,
								  time_text(row->due_at),
								  U64FromFullTransactionId(row->change_xid), row->attempts,
								  time_text(row->expires_at), row->payload_bytes, row->held,
								  row->crowded, row->keys[KEY_ORDERING], row->keys[KEY_OBJECT]));
	}
	for (int i = 0; i < count; i++)
		add_line(&lines, psprintf("left " INT64_FORMAT, ids[i]));
	PG_RETURN_DATUM(makeArrayResult(lines, CurrentMemoryContext));
}
