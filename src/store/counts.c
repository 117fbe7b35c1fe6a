/*-------------------------------------------------------------------------
 * counts.c
 *		The statement that counts what has come to its end.
 *-------------------------------------------------------------------------
 */
#include "store/counts.h"

#include "store/columns.h"
#include "store/session.h"

bool
counts_go_on(void)
{
	static Statement statement = {.text = "SELECT integration_worker.count_on()"};

	session_execute(&statement, NULL, NULL);
	return column_bool(0, 1);
}
