/*-------------------------------------------------------------------------
 * notices.c
 *		Statements that tell people of incidents.
 *-------------------------------------------------------------------------
 */
#include "store/notices.h"

#include "catalog/pg_type.h"

#include "store/columns.h"
#include "store/session.h"

/* In the log a line stands for itself: who reads it has nothing else. */
static void
log_change(uint64 i)
{
	char	   *line = column_text(i, 1, CurrentMemoryContext);
	char	   *detail = column_text(i, 2, CurrentMemoryContext);
	char	   *hint = column_text(i, 3, CurrentMemoryContext);

	ereport(LOG,
			errmsg("%s", line),
			detail == NULL ? 0 : errdetail("%s", detail),
			hint == NULL ? 0 : errhint("%s", hint));
}

int
notices_distribute(int most)
{
	static const Oid types[] = {INT4OID};
	static Statement statement = {
		.text = "SELECT l.line, l.detail, l.hint FROM integration_worker.distribute_changes($1) c, "
		"integration_worker.log_line(c) l",
		.arg_count = 1,
		.arg_types = types,
	};
	Datum		values[] = {Int32GetDatum(most)};
	uint64		count = session_execute(&statement, values, NULL);

	for (uint64 i = 0; i < count; i++)
		log_change(i);
	return (int) count;
}

TimestampTz
notices_send(void)
{
	static Statement statement = {.text = "SELECT integration_worker.send_notices()"};

	session_execute(&statement, NULL, NULL);
	return column_time(0, 1, DT_NOEND);
}

bool
notices_notify(void)
{
	static Statement statement = {.text = "SELECT integration_worker.notify_listeners()"};

	session_execute(&statement, NULL, NULL);
	return column_bool(0, 1);
}
