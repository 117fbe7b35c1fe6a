/*-------------------------------------------------------------------------
 * comment.c
 *		Trace context from the comment of the statement that inserts.
 *
 * Many ORMs write it there (sqlcommenter).  Looked for once a statement: an
 * insert of many rows has a long text.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "api/comment.h"
#include "message/sqlcomment.h"
#include "message/trace_context.h"
#include "store/layout.h"

#define GIVEN_PARENT_BYTES 256	/* a higher version's may be longer than ours */

enum
{
	COLUMN_TRACEPARENT,
	COLUMN_TRACESTATE,
	COLUMN_COUNT
};

static const char *const column_names[] = {
	[COLUMN_TRACEPARENT] = "traceparent",
	[COLUMN_TRACESTATE] = "tracestate",
};

/* What the comment of a statement says; texts are empty where it doesn't. */
static struct
{
	const char *statement;
	TimestampTz began_at;
	char		traceparent[TRACE_PARENT_BYTES];
	char		tracestate[TRACE_STATE_BYTES];
}			said;

static void
read_comment(const char *statement)
{
	char		given[Max(GIVEN_PARENT_BYTES, 2 * TRACE_STATE_BYTES)];
	TraceContext context;

	said.statement = statement;
	said.began_at = GetCurrentStatementStartTimestamp();
	said.traceparent[0] = '\0';
	said.tracestate[0] = '\0';
	if (!sqlcomment_value(statement, "traceparent", given, GIVEN_PARENT_BYTES) ||
		!trace_context_read(given, &context))
		return;
	trace_context_write(&context, said.traceparent);
	if (!sqlcomment_value(statement, "tracestate", given, sizeof(given)) ||
		!trace_context_pass_state(given, said.tracestate))
		said.tracestate[0] = '\0';
}

HeapTuple
comment_continue_trace(const TriggerData *trigger)
{
	static Layout layout;
	const char *statement = debug_query_string;
	Datum		values[COLUMN_COUNT];
	bool		nulls[COLUMN_COUNT] = {false};
	int			columns[COLUMN_COUNT];

	if (statement == NULL)
		return trigger->tg_trigtuple;
	if (statement != said.statement || said.began_at != GetCurrentStatementStartTimestamp())
		read_comment(statement);
	if (said.traceparent[0] == '\0')
		return trigger->tg_trigtuple;
	layout_resolve_known(&layout, trigger->tg_relation, column_names,
						 COLUMN_TRACESTATE, COLUMN_COUNT);
	columns[COLUMN_TRACEPARENT] = layout.numbers[COLUMN_TRACEPARENT];
	columns[COLUMN_TRACESTATE] = layout.numbers[COLUMN_TRACESTATE];
	if (columns[COLUMN_TRACESTATE] == InvalidAttrNumber ||
		!slot_attisnull(trigger->tg_trigslot, columns[COLUMN_TRACEPARENT]))
		return trigger->tg_trigtuple;
	nulls[COLUMN_TRACESTATE] = said.tracestate[0] == '\0';
	values[COLUMN_TRACEPARENT] = CStringGetTextDatum(said.traceparent);
	values[COLUMN_TRACESTATE] = CStringGetTextDatum(said.tracestate);
	return heap_modify_tuple_by_cols(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation),
									 COLUMN_COUNT, columns, values, nulls);
}
