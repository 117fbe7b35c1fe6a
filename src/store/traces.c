/*-------------------------------------------------------------------------
 * traces.c
 *		The body of a request that exports a batch of attempts.
 *
 * The tables are read by one statement for the batch; what is said about each
 * attempt is put together here, which in SQL took ten times as long.
 *-------------------------------------------------------------------------
 */
#include "store/traces.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/memutils.h"

#include "base/trace_id.h"
#include "message/span.h"
#include "message/trace_context.h"
#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"

#define BYTES_EACH 3072			/* of most attempts */
#define UNIX_EPOCH ((UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

enum
{
	COLUMN_SYNC = 1,
	COLUMN_ATTEMPT_NO,
	COLUMN_IS_ENDED,
	COLUMN_IS_FAILED,
	COLUMN_ENDPOINT,
	COLUMN_OBJECT_TYPE,
	COLUMN_OBJECT_ID,
	COLUMN_CUSTOMER,
	COLUMN_METHOD,
	COLUMN_URL,
	COLUMN_STATUS,
	COLUMN_ERROR_TYPE,
	COLUMN_ERROR,
	COLUMN_PEER,
	COLUMN_CREATED_AT,
	COLUMN_BEGAN_AT,
	COLUMN_STARTED_AT,
	COLUMN_DURATION_MS,
	COLUMN_TRACE_ID,
	COLUMN_SPAN_ID,
	COLUMN_TRACEPARENT,
	COLUMN_MESSAGE_ID
};

/* The ids of a sync's spans, for as long as they are written. */
typedef struct SpanIds
{
	TraceContext given;			/* by the application */
	char		trace_id[TRACE_ID_BYTES];
	char		send_id[SPAN_ID_BYTES];
	char		process_id[SPAN_ID_BYTES];
} SpanIds;

static int64
unix_us(uint64 row, int column)
{
	return column_time(row, column, UNIX_EPOCH) - UNIX_EPOCH;
}

static void
add_ids(uint64 row, SpanIds *ids, SpanFacts *facts)
{
	char	   *traceparent = column_text(row, COLUMN_TRACEPARENT, CurrentMemoryContext);
	char	   *message_id = column_text(row, COLUMN_MESSAGE_ID, CurrentMemoryContext);

	trace_id_of_span(message_id, TRACE_SPAN_SEND, ids->send_id);
	trace_id_of_span(message_id, TRACE_SPAN_PROCESS, ids->process_id);
	facts->send_id = ids->send_id;
	facts->process_id = ids->process_id;
	if (traceparent != NULL && trace_context_read(traceparent, &ids->given))
	{
		facts->sync_trace_id = ids->given.trace_id;
		facts->parent_id = ids->given.span_id;
		facts->flags = ids->given.flags;
		return;
	}
	trace_id_of_sync(message_id, ids->trace_id);
	facts->sync_trace_id = ids->trace_id;
	facts->flags = TRACE_SAMPLED | TRACE_RANDOM;
}

static SpanFacts
read_facts(uint64 row, SpanIds *ids)
{
	MemoryContext memory = CurrentMemoryContext;
	SpanFacts	facts = {
		.sync = column_int64(row, COLUMN_SYNC, 0),
		.attempt_no = column_int32(row, COLUMN_ATTEMPT_NO, 0),
		.is_ended = column_bool(row, COLUMN_IS_ENDED),
		.is_failed = column_bool(row, COLUMN_IS_FAILED),
		.endpoint = column_text(row, COLUMN_ENDPOINT, memory),
		.object_type = column_text(row, COLUMN_OBJECT_TYPE, memory),
		.object_id = column_text(row, COLUMN_OBJECT_ID, memory),
		.customer = column_text(row, COLUMN_CUSTOMER, memory),
		.method = column_text(row, COLUMN_METHOD, memory),
		.url = column_text(row, COLUMN_URL, memory),
		.status = column_int32(row, COLUMN_STATUS, -1),
		.error_type = column_text(row, COLUMN_ERROR_TYPE, memory),
		.error = column_text(row, COLUMN_ERROR, memory),
		.peer = column_text(row, COLUMN_PEER, memory),
		.created_at_us = unix_us(row, COLUMN_CREATED_AT),
		.began_at_us = unix_us(row, COLUMN_BEGAN_AT),
		.started_at_us = unix_us(row, COLUMN_STARTED_AT),
		.trace_id = column_text(row, COLUMN_TRACE_ID, memory),
		.span_id = column_text(row, COLUMN_SPAN_ID, memory),
	};

	facts.ended_at_us = facts.started_at_us +
		column_int32(row, COLUMN_DURATION_MS, 0) * INT64CONST(1000);
	add_ids(row, ids, &facts);
	return facts;
}

/* What stands around the spans. */
static void
read_frame(Datum *batch, char **head, char **tail)
{
	static const Oid types[] = {TEXTOID};
	static Statement statement = {
		.text = "SELECT head, tail FROM integration_worker.otlp_frame($1::jsonb)",
		.arg_count = 1,
		.arg_types = types,
		.read_only = true,
	};

	session_execute(&statement, batch, NULL);
	*head = column_text(0, 1, CurrentMemoryContext);
	*tail = column_text(0, 2, CurrentMemoryContext);
}

static uint64
read_attempts(Datum *batch)
{
	static const Oid types[] = {TEXTOID};
	static Statement statement = {
		.text = "SELECT sync, attempt_no, is_ended, is_failed, endpoint, object_type, object_id,"
		" customer, method, url, status, error_type, error, peer, created_at, began_at,"
		" started_at, duration_ms, trace_id, span_id, traceparent, message_id"
		" FROM integration_worker.span_facts($1::jsonb)",
		.arg_count = 1,
		.arg_types = types,
		.read_only = true,
	};

	return session_execute(&statement, batch, NULL);
}

static void
append_attempts(Text *body, uint64 count)
{
	MemoryContext row_memory = AllocSetContextCreate(CurrentMemoryContext, "integration span",
													 ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(row_memory);

	for (uint64 row = 0; row < count; row++)
	{
		SpanIds		ids;
		SpanFacts	facts = read_facts(row, &ids);

		if (row > 0)
			text_append_char(body, ',');
		span_append(body, &facts);
		MemoryContextReset(row_memory);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row_memory);
}

void
traces_write(const char *payload, Text *body)
{
	Datum		batch = parameters_text(payload);
	char	   *head;
	char	   *tail;
	uint64		count;

	read_frame(&batch, &head, &tail);
	count = read_attempts(&batch);
	text_reserve(body, count * BYTES_EACH);
	text_append_string(body, head);
	append_attempts(body, count);
	text_append_string(body, tail);
	if (!body->failed)
		return;
	text_free(body);
	ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
}
