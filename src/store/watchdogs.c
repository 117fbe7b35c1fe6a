/*-------------------------------------------------------------------------
 * watchdogs.c
 *		Statements of the watchdogs.
 *-------------------------------------------------------------------------
 */
#include "store/watchdogs.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"

Watchdog *
watchdogs_list(MemoryContext memory, int *count)
{
	static Statement statement = {
		.text = "SELECT w, w = ANY (integration_worker.hurried_watchdogs()) "
		"FROM unnest(integration_worker.watchdogs()) AS w",
	};
	Watchdog   *watchdogs;

	*count = (int) session_execute(&statement, NULL, NULL);
	watchdogs = MemoryContextAllocZero(memory, sizeof(Watchdog) * (*count + 1));
	for (int i = 0; i < *count; i++)
	{
		watchdogs[i].name = column_text(i, 1, memory);
		watchdogs[i].is_hurried = column_bool(i, 2);
	}
	return watchdogs;
}

TimestampTz
watchdogs_look(const char *name)
{
	static const Oid types[] = {TEXTOID};
	static Statement statement = {
		.text = "SELECT integration_worker.watch($1)",
		.arg_count = 1,
		.arg_types = types,
	};
	Datum		values[] = {parameters_text(name)};

	session_execute(&statement, values, NULL);
	return column_time(0, 1, DT_NOEND);
}

void
watchdogs_note_silence(TimestampTz since, TimestampTz until)
{
	static const Oid types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
	static Statement statement = {
		.text = "SELECT integration_worker.note_silence($1, $2)",
		.arg_count = 2,
		.arg_types = types,
	};
	Datum		values[] = {TimestampTzGetDatum(since), TimestampTzGetDatum(until)};

	session_execute(&statement, values, until == 0 ? " n" : "  ");
}
