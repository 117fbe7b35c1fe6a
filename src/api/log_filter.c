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

/*
 * What can't be read as SQL is quoted by the message: the secret, where its quotes
 * are wrong.  Messages in other languages quote by characters that are not ASCII.
 */
static void
cut_quotation(ErrorData *report)
{
	int			before = 0;
	const char *after;

	if (report->message == NULL || (report->cursorpos <= 0 && report->internalpos <= 0))
		return;
	report->detail = NULL;
	report->detail_log = NULL;
	while (report->message[before] != '\0' && report->message[before] != '"' &&
		   !IS_HIGHBIT_SET(report->message[before]))
		before++;
	if (report->message[before] == '\0')
		return;
	after = strrchr(report->message + before, '"');
	report->message = psprintf("%.*s***%s", before, report->message,
							   after > report->message + before ? after + 1 : "");
}

static void
filter(ErrorData *report)
{
	bool		is_named = sets_secret(report->message) || sets_secret(report->detail) ||
		sets_secret(report->detail_log) || sets_secret(report->context);

	if (report->elevel == LOG && is_named)
		shorten(report);
	if (is_named || sets_secret(debug_query_string))
	{
		report->hide_stmt = true;
		/* statements within functions stand there, and parameters */
		report->context = NULL;
		report->internalquery = NULL;
		cut_quotation(report);
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
