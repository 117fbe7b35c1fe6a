/*-------------------------------------------------------------------------
 * watchdogs.c
 *		The statement that has the watchdogs look.
 *-------------------------------------------------------------------------
 */
#include "store/watchdogs.h"

#include "store/columns.h"
#include "store/session.h"

TimestampTz
watchdogs_look(void)
{
	static Statement statement = {.text = "SELECT integration_worker.watch()"};

	session_execute(&statement, NULL, NULL);
	return column_time(0, 1, DT_NOEND);
}
