/*-------------------------------------------------------------------------
 * log_filter.c
 *		Statements that set a secret, kept out of the server's log.
 *
 * log_statement and its like write a statement with its parameters.  Whatever
 * names set_secret() is written without both; that it ran is still told.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <string.h>

#include "tcop/tcopprot.h"
#include "utils/elog.h"
#include "utils/memutils.h"

#include "api/log_filter.h"

static emit_log_hook_type next_hook = NULL;

static bool
sets_secret(const char *words)
{
	return words != NULL && strcasestr(words, "set_secret") != NULL;
}

/* A statement in the log, a duration with it, a plan. */
static void
shorten(ErrorData *report)
{
	report->message = MemoryContextStrdup(report->assoc_context,
										  "statement: one that calls set_secret(), which is not shown");
	report->detail = NULL;
	report->detail_log = NULL;
}

static void
filter(ErrorData *report)
{
	bool		is_named = sets_secret(report->message) || sets_secret(report->detail) ||
		sets_secret(report->detail_log);

	if (report->elevel == LOG && is_named)
		shorten(report);
	if (is_named || sets_secret(debug_query_string))
	{
		report->hide_stmt = true;
		/* log_parameter_max_length_on_error puts them there */
		if (report->context != NULL && strstr(report->context, "parameters:") != NULL)
			report->context = NULL;
	}
	if (next_hook != NULL)
		next_hook(report);
}

void
log_filter_install(void)
{
	next_hook = emit_log_hook;
	emit_log_hook = filter;
}
