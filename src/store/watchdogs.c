/*-------------------------------------------------------------------------
 * watchdogs.c
 *		Statements of the watchdogs.
 *-------------------------------------------------------------------------
 */
#include "store/watchdogs.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "store/columns.h"
#include "store/session.h"

TimestampTz
watchdogs_look(void)
{
	static Statement statement = {.text = "SELECT integration_worker.watch()"};

	session_execute(&statement, NULL, NULL);
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
