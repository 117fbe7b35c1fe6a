/*-------------------------------------------------------------------------
 * notices.c
 *		Statements that tell people of incidents.
 *-------------------------------------------------------------------------
 */
#include "store/notices.h"

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
notices_distribute(void)
{
	static Statement statement = {
		.text = "SELECT l.line, l.detail, l.hint FROM integration_worker.distribute_changes() c, "
		"integration_worker.log_line(c) l",
	};
	uint64		count = session_execute(&statement, NULL, NULL);

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
