/*-------------------------------------------------------------------------
 * crash_log.c
 *		What is written down of workers that took the server down.
 *-------------------------------------------------------------------------
 */
#include "store/crash_log.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"

void
crash_log_note(const Crash *crash)
{
	static const Oid types[] = {TIMESTAMPTZOID, INT4OID, INT8ARRAYOID};
	static Statement statement = {
		.text = "SELECT integration_worker.note_crash($1, $2, $3)",
		.arg_count = 3,
		.arg_types = types,
	};
	Datum		values[] = {
		TimestampTzGetDatum(crash->started_at), Int32GetDatum(crash->pid),
		parameters_ids(crash->syncs, crash->count)
	};

	session_execute(&statement, values, NULL);
}

char *
crash_log_names(const Crash *crash, MemoryContext memory)
{
	static const Oid types[] = {INT8ARRAYOID};
	static Statement statement = {
		.text = "SELECT integration_worker.ids_for_log($1)",
		.arg_count = 1,
		.arg_types = types,
		.read_only = true,
	};
	Datum		values[] = {parameters_ids(crash->syncs, crash->count)};

	session_execute(&statement, values, NULL);
	return column_text(0, 1, memory);
}

TimestampTz
crash_log_resume_at(int *crashes)
{
	static Statement statement = {
		.text = "SELECT crashes, resume_at FROM integration_worker.resume_at()",
		.read_only = true,
	};

	session_execute(&statement, NULL, NULL);
	*crashes = column_int32(0, 1, 0);
	return column_time(0, 2, 0);
}

Suspect *
crash_log_suspects(MemoryContext memory, int *count)
{
	/*
	 * not read-only: what was set aside in this transaction is suspected no
	 * more
	 */
	static Statement statement = {
		.text = "SELECT outbox_id, crashes FROM integration_worker.suspects()",
	};
	uint64		rows = session_execute(&statement, NULL, NULL);
	Suspect    *suspects = MemoryContextAlloc(memory, sizeof(Suspect) * (rows + 1));

	for (uint64 i = 0; i < rows; i++)
	{
		suspects[i].outbox_id = column_int64(i, 1, 0);
		suspects[i].crashes = column_int32(i, 2, 0);
	}
	*count = (int) rows;
	return suspects;
}
