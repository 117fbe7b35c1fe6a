/*-------------------------------------------------------------------------
 * settle.c
 *		A batch of facts into settle(), verdicts out of it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"
#include "store/statements.h"

#define SETTLE_ARGS 28

static const Oid settle_types[SETTLE_ARGS] = {
	INT8ARRAYOID, INT4ARRAYOID, XID8ARRAYOID, TEXTARRAYOID,
	TIMESTAMPTZARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID,
	INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID,
	TEXTARRAYOID, TEXTARRAYOID
};

/* The arrays of one call while they are being filled, column by column. */
typedef struct Columns
{
	int			count;
	Datum	   *values;
	bool	   *nulls;
} Columns;

static Columns
columns_of(int count)
{
	return (Columns)
	{
		.count = count,
			.values = palloc(sizeof(Datum) * (count + 1)),
			.nulls = palloc0(sizeof(bool) * (count + 1)),
	};
}

static Datum
text_column(Columns *columns, const char *const *first, Size stride)
{
	for (int i = 0; i < columns->count; i++)
	{
		const char *value = *(const char *const *) ((const char *) first + i * stride);

		columns->nulls[i] = value == NULL;
		if (value != NULL)
			columns->values[i] = parameters_text(value);
	}
	return parameters_array(TEXTOID, columns->values, columns->nulls, columns->count);
}

/* Negative numbers stand for "not known". */
static Datum
int_column(Columns *columns, const int32 *first, Size stride)
{
	for (int i = 0; i < columns->count; i++)
	{
		int32		number = *(const int32 *) ((const char *) first + i * stride);

		columns->nulls[i] = number < 0;
		columns->values[i] = Int32GetDatum(number);
	}
	return parameters_array(INT4OID, columns->values, columns->nulls, columns->count);
}

static Datum
wide_column(Columns *columns, Oid type, const int64 *first, Size stride)
{
	for (int i = 0; i < columns->count; i++)
		columns->values[i] = Int64GetDatum(*(const int64 *) ((const char *) first + i * stride));
	return parameters_array(type, columns->values, NULL, columns->count);
}

static void
fact_arguments(Datum *values, const Fact *facts, int count)
{
	Columns		columns = columns_of(count);
	Size		stride = sizeof(Fact);

	values[0] = wide_column(&columns, INT8OID, &facts->outbox_id, stride);
	values[1] = int_column(&columns, &facts->endpoint_id, stride);
	values[2] = wide_column(&columns, XID8OID, (const int64 *) &facts->change_xid, stride);
	values[3] = text_column(&columns, &facts->reason, stride);
	values[4] = wide_column(&columns, TIMESTAMPTZOID, &facts->started_at, stride);
	values[5] = int_column(&columns, &facts->duration_ms, stride);
	values[6] = int_column(&columns, &facts->http_status, stride);
	values[7] = text_column(&columns, &facts->error, stride);
	values[8] = text_column(&columns, &facts->request_url, stride);
	values[9] = text_column(&columns, &facts->remote_address, stride);
	values[10] = int_column(&columns, &facts->dns_ms, stride);
	values[11] = int_column(&columns, &facts->connect_ms, stride);
	values[12] = int_column(&columns, &facts->tls_ms, stride);
	values[13] = int_column(&columns, &facts->first_byte_ms, stride);
	values[14] = int_column(&columns, &facts->retry_after_s, stride);
	values[15] = text_column(&columns, &facts->redirect_url, stride);
	values[16] = text_column(&columns, &facts->response_headers, stride);
	values[17] = text_column(&columns, &facts->response_body, stride);
	values[18] = text_column(&columns, &facts->trace_id, stride);
	values[19] = text_column(&columns, &facts->span_id, stride);
	values[26] = text_column(&columns, &facts->object_type, stride);
	values[27] = text_column(&columns, &facts->object_id, stride);
}

static void
counter_arguments(Datum *values, const Counter *counters, int count)
{
	Columns		columns = columns_of(count);
	Size		stride = sizeof(Counter);

	values[20] = int_column(&columns, &counters->endpoint_id, stride);
	values[21] = int_column(&columns, &counters->failures, stride);
	values[22] = wide_column(&columns, TIMESTAMPTZOID, &counters->minute_at, stride);
	values[23] = int_column(&columns, &counters->minute_attempts, stride);
	values[24] = int_column(&columns, &counters->minute_failures, stride);
	values[25] = int_column(&columns, &counters->window, stride);
}

static Verdict
read_verdict(uint64 i)
{
	Verdict		verdict = {
		.outbox_id = column_int64(i, 1, 0),
		.endpoint_id = column_int32(i, 2, 0),
		.due_at = column_time(i, 4, 0),
		.counter = {
			.endpoint_id = column_int32(i, 2, 0),
			.failures = column_int32(i, 6, 0),
			.minute_at = column_time(i, 7, 0),
			.minute_attempts = column_int32(i, 8, 0),
			.minute_failures = column_int32(i, 9, 0),
		},
	};
	char	   *state = column_output(i, 3, CurrentMemoryContext);
	char	   *signal = column_output(i, 5, CurrentMemoryContext);

	strlcpy(verdict.state, state ? state : "", sizeof(verdict.state));
	strlcpy(verdict.signal, signal ? signal : "", sizeof(verdict.signal));
	return verdict;
}

void
statements_settle(MemoryContext memory, Settlement *settlement)
{
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
		" $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,"
		" counter_endpoint_ids => $21, counter_failures => $22, counter_minute_at => $23,"
		" counter_minute_attempts => $24, counter_minute_failures => $25, counter_window => $26,"
		" object_types => $27, object_ids => $28)",
		.arg_count = SETTLE_ARGS,
		.arg_types = settle_types,
	};
	Datum		values[SETTLE_ARGS];
	uint64		rows;

	fact_arguments(values, settlement->facts, settlement->fact_count);
	counter_arguments(values, settlement->counters, settlement->counter_count);
	rows = session_execute(&statement, values, NULL);
	settlement->verdicts = MemoryContextAlloc(memory, sizeof(Verdict) * (rows + 1));
	settlement->verdict_count = (int) rows;
	for (uint64 i = 0; i < rows; i++)
		settlement->verdicts[i] = read_verdict(i);
}
