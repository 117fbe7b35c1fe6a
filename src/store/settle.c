/*-------------------------------------------------------------------------
 * settle.c
 *		A batch of facts into deliver() or settle(), verdicts out of it.
 *
 * Facts and counters go as arrays of composite values: one array is read once,
 * where an array for each of twenty columns would be copied and read twenty
 * times.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/xid8.h"

#include "store/columns.h"
#include "store/parameters.h"
#include "store/result.h"
#include "store/session.h"
#include "store/settle.h"

#define COUNTER_COLUMNS 8
#define SETTLE_ARGS 2

/* integration_worker.result, integration_worker.counter. */
typedef struct RowType
{
	const char *name;
	Oid			row;
	Oid			array;
} RowType;

static RowType result_type = {.name = "result"};
static RowType counter_type = {.name = "counter"};

/* One value of a composite type while it is being filled, column by column. */
typedef struct Row
{
	int			count;
	Datum		values[RESULT_COLUMNS];
	bool		nulls[RESULT_COLUMNS];
} Row;

/* They live as long as the extension, which the worker doesn't outlive. */
static void
look_up(RowType *type)
{
	if (OidIsValid(type->array))
		return;
	type->row = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(type->name),
								ObjectIdGetDatum(get_namespace_oid("integration_worker", false)));
	type->array = get_array_type(type->row);
	if (!OidIsValid(type->array))
		elog(ERROR, "type integration_worker.%s does not exist", type->name);
}

static void
add_value(Row *row, Datum value, bool is_null)
{
	row->values[row->count] = value;
	row->nulls[row->count++] = is_null;
}

static void
add_text(Row *row, const char *value)
{
	add_value(row, value == NULL ? (Datum) 0 : parameters_text(value), value == NULL);
}

/* Negative numbers stand for "not known". */
static void
add_int(Row *row, int32 number)
{
	add_value(row, Int32GetDatum(number), number < 0);
}

/* Without the zone of a link-local address, which inet doesn't know. */
static void
add_address(Row *row, const char *address)
{
	char		bare[64];

	if (address == NULL)
	{
		add_value(row, (Datum) 0, true);
		return;
	}
	strlcpy(bare, address, sizeof(bare));
	bare[strcspn(bare, "%")] = '\0';
	add_value(row, DirectFunctionCall1(inet_in, CStringGetDatum(bare)), false);
}

static Datum
result_value(TupleDesc columns, const Fact *fact)
{
	Row			row = {.count = 0};

	add_value(&row, Int64GetDatum(fact->outbox_id), false);
	add_int(&row, fact->endpoint_id);
	add_value(&row, FullTransactionIdGetDatum(fact->change_xid), false);
	add_text(&row, fact->reason);
	add_value(&row, TimestampTzGetDatum(fact->started_at), false);
	add_int(&row, fact->duration_ms);
	add_int(&row, fact->http_status);
	add_text(&row, fact->error);
	add_text(&row, fact->request_url);
	add_address(&row, fact->remote_address);
	add_int(&row, fact->dns_ms);
	add_int(&row, fact->connect_ms);
	add_int(&row, fact->tls_ms);
	add_int(&row, fact->first_byte_ms);
	add_int(&row, fact->retry_after_s);
	add_text(&row, fact->redirect_url);
	add_text(&row, fact->response_headers);
	add_text(&row, fact->response_body);
	add_text(&row, fact->trace_id);
	add_text(&row, fact->span_id);
	add_text(&row, fact->object_type);
	add_text(&row, fact->object_id);
	Assert(row.count == RESULT_COLUMNS);
	return HeapTupleGetDatum(heap_form_tuple(columns, row.values, row.nulls));
}

static Datum
counter_value(TupleDesc columns, const Counter *counter)
{
	Row			row = {.count = 0};

	add_int(&row, counter->endpoint_id);
	add_int(&row, counter->failures);
	add_value(&row, TimestampTzGetDatum(counter->minute_at), false);
	add_int(&row, counter->minute_attempts);
	add_int(&row, counter->minute_failures);
	add_int(&row, counter->window);
	add_int(&row, counter->row_after);
	add_value(&row, TimestampTzGetDatum(counter->changed_at), false);
	Assert(row.count == COUNTER_COLUMNS);
	return HeapTupleGetDatum(heap_form_tuple(columns, row.values, row.nulls));
}

static Datum
results_argument(const Settlement *settlement)
{
	TupleDesc	columns = lookup_rowtype_tupdesc(result_type.row, -1);
	Datum	   *values = palloc(sizeof(Datum) * (settlement->fact_count + 1));

	for (int i = 0; i < settlement->fact_count; i++)
		values[i] = result_value(columns, &settlement->facts[i]);
	ReleaseTupleDesc(columns);
	return parameters_array(result_type.row, values, NULL, settlement->fact_count);
}

static Datum
counters_argument(const Settlement *settlement)
{
	TupleDesc	columns = lookup_rowtype_tupdesc(counter_type.row, -1);
	Datum	   *values = palloc(sizeof(Datum) * (settlement->counter_count + 1));

	for (int i = 0; i < settlement->counter_count; i++)
		values[i] = counter_value(columns, &settlement->counters[i]);
	ReleaseTupleDesc(columns);
	return parameters_array(counter_type.row, values, NULL, settlement->counter_count);
}

/* Runs a statement whose arguments are the batch's results and counters. */
static uint64
execute(Statement *statement, const Settlement *settlement)
{
	static Oid	types[SETTLE_ARGS];
	Datum		values[SETTLE_ARGS];

	look_up(&result_type);
	look_up(&counter_type);
	types[0] = result_type.array;
	types[1] = counter_type.array;
	statement->arg_count = SETTLE_ARGS;
	statement->arg_types = types;
	values[0] = results_argument(settlement);
	values[1] = counters_argument(settlement);
	return session_execute(statement, values, NULL);
}

int
settle_plain(const Settlement *settlement, int *places)
{
	static Statement statement = {
		.text = "SELECT * FROM unnest(integration_worker.deliver($1, $2))",
	};
	uint64		rows = execute(&statement, settlement);

	for (uint64 i = 0; i < rows; i++)
		places[i] = column_int32(i, 1, 1) - 1;
	return (int) rows;
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
settle_by_rules(MemoryContext memory, Settlement *settlement)
{
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.settle($1, $2)",
	};
	uint64		rows = execute(&statement, settlement);

	settlement->verdicts = MemoryContextAlloc(memory, sizeof(Verdict) * (rows + 1));
	settlement->verdict_count = (int) rows;
	for (uint64 i = 0; i < rows; i++)
		settlement->verdicts[i] = read_verdict(i);
}

void
settle_rehearse(void)
{
	static Statement statement = {.text = "SELECT integration_worker.rehearse()"};

	session_execute(&statement, NULL, NULL);
}
