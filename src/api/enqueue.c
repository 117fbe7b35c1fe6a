/*-------------------------------------------------------------------------
 * enqueue.c
 *		The trigger that turns inserted outbox rows into queue rows.
 *
 * What an application pays for: a plain row is checked and queued without a
 * statement of SQL, whose start alone would cost more than its own insert.
 * SQL comes in where it is rare: for rows with a dedup_key, for a refusal.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/request.h"
#include "base/compat.h"
#include "base/jsonb_text.h"
#include "store/layout.h"
#include "store/lookup.h"
#include "store/queue.h"
#include "store/session.h"
#include "store/target.h"
#include "worker/wake.h"

SQL_FUNCTION(integration_enqueue);

enum
{
	COLUMN_ID,
	COLUMN_ENDPOINT,
	COLUMN_OBJECT_TYPE,
	COLUMN_OBJECT_ID,
	COLUMN_OPERATION,
	COLUMN_PAYLOAD,
	COLUMN_HEADERS,
	COLUMN_ORDERING_KEY,
	COLUMN_DEDUP_KEY,
	COLUMN_PRIORITY,
	COLUMN_SEND_AFTER,
	COLUMN_EXPIRES_AT,
	COLUMN_COUNT
};

static const char *const column_names[] = {
	[COLUMN_ID] = "id",
	[COLUMN_ENDPOINT] = "endpoint",
	[COLUMN_OBJECT_TYPE] = "object_type",
	[COLUMN_OBJECT_ID] = "object_id",
	[COLUMN_OPERATION] = "operation",
	[COLUMN_PAYLOAD] = "payload",
	[COLUMN_HEADERS] = "headers",
	[COLUMN_ORDERING_KEY] = "ordering_key",
	[COLUMN_DEDUP_KEY] = "dedup_key",
	[COLUMN_PRIORITY] = "priority",
	[COLUMN_SEND_AFTER] = "send_after",
	[COLUMN_EXPIRES_AT] = "expires_at",
};

/* NOT NULL in the table, which may be of another version than the library. */
static const int required_columns[] = {
	COLUMN_ID, COLUMN_ENDPOINT, COLUMN_OPERATION, COLUMN_PAYLOAD, COLUMN_PRIORITY,
};

/*
 * The first row of a key is the one to send, in key order, so that two
 * sessions with the same keys wait for each other and never in a circle.  A key
 * whose sync is in force is not even locked; one that is held by an open
 * transaction is waited for, and what became of its sync is looked at then.
 * What belongs to a row is looked up for it alone (LIMIT keeps it from being
 * joined): the plan may have been made for more rows than there are now.
 */
static const char claim_text[] =
"INSERT INTO integration.dedup AS d (endpoint_id, dedup_key, outbox_id, expires_at)"
" SELECT DISTINCT ON (e.id, n.dedup_key COLLATE \"C\") e.id, n.dedup_key, n.id,"
" clock_timestamp() + coalesce(e.dedup_window,"
" (SELECT c.dedup_window FROM integration.connector c WHERE c.name = e.connector), '24 h')"
" FROM new_rows n"
" CROSS JOIN LATERAL (SELECT x.id, x.connector, x.dedup_window FROM integration.endpoint x"
" WHERE x.name = n.endpoint LIMIT 1) e"
" WHERE n.dedup_key IS NOT NULL"
" AND NOT EXISTS (SELECT FROM integration.dedup k"
" WHERE k.endpoint_id = e.id AND k.dedup_key = n.dedup_key COLLATE \"C\""
" AND k.expires_at > clock_timestamp() AND integration_worker.in_force(k.outbox_id) IS NOT NULL)"
" ORDER BY e.id, n.dedup_key COLLATE \"C\", n.id"
" ON CONFLICT (endpoint_id, dedup_key) DO UPDATE"
" SET outbox_id = excluded.outbox_id, expires_at = excluded.expires_at"
" WHERE d.expires_at <= clock_timestamp() OR integration_worker.in_force(d.outbox_id) IS NULL";

static const char close_text[] =
"INSERT INTO integration.closing (outbox_id, state, reason, superseded_by)"
" SELECT n.id, 'superseded', 'duplicate', coalesce(integration_worker.in_force(d.outbox_id), d.outbox_id)"
" FROM new_rows n"
" CROSS JOIN LATERAL (SELECT k.outbox_id FROM integration.dedup k"
" WHERE k.endpoint_id = (SELECT e.id FROM integration.endpoint e WHERE e.name = n.endpoint)"
" AND k.dedup_key = n.dedup_key COLLATE \"C\" LIMIT 1) d"
" WHERE d.outbox_id <> n.id";

static const char refusal_text[] =
"SELECT r.code, r.message, r.detail, r.hint"
" FROM new_rows n, integration_worker.refusal(n.id, n.endpoint, n.operation, n.payload, n.headers,"
" n.priority, n.send_after, n.expires_at) r"
" WHERE n.id = $1";

/* One statement of the application on its way through the door. */
typedef struct Passage
{
	TriggerData *trigger;
	Oid			schema;
	MemoryContext caller;
	TimestampTz now;
	int64		last_id;		/* of the outbox's sequence */
	QueueWriter *writer;
	const Target *target;		/* of the present row, NULL: there is none */
	bool		is_deduplicated;
} Passage;

/* A row of the outbox. */
typedef struct Row
{
	NullableDatum columns[COLUMN_COUNT];
	int64		id;
	int			payload_bytes;
	TimestampTz due_at;
	int			priority;		/* -1: not known */
	bool		is_ping;
} Row;

static Layout layout;

static bool
text_is(Datum value, const char *word)
{
	const text *given = DatumGetTextPP(value);
	size_t		length = strlen(word);

	return VARSIZE_ANY_EXHDR(given) == length && memcmp(VARDATA_ANY(given), word, length) == 0;
}

static int
priority_of(const Row *row)
{
	Datum		priority = row->columns[COLUMN_PRIORITY].value;

	if (!text_is(priority, "normal") && !text_is(priority, "high") && !text_is(priority, "low"))
		return -1;
	if (row->is_ping)
		return PRIORITY_PING;
	if (text_is(priority, "normal"))
		return PRIORITY_NORMAL;
	return text_is(priority, "high") ? PRIORITY_HIGH : PRIORITY_LOW;
}

static void
require_columns(const Row *row)
{
	for (int i = 0; i < lengthof(required_columns); i++)
	{
		if (row->columns[required_columns[i]].isnull)
			ereport(ERROR,
					errcode(ERRCODE_NOT_NULL_VIOLATION),
					errmsg("a sync needs a value in column \"%s\"",
						   column_names[required_columns[i]]));
	}
}

static void
read_row(Passage *passage, TupleTableSlot *slot, Row *row)
{
	Jsonb	   *payload;
	NullableDatum send_after;

	slot_getallattrs(slot);
	for (int i = 0; i < COLUMN_COUNT; i++)
	{
		int			at = layout.numbers[i] - 1;

		row->columns[i].value = slot->tts_values[at];
		row->columns[i].isnull = slot->tts_isnull[at];
	}
	require_columns(row);
	row->id = DatumGetInt64(row->columns[COLUMN_ID].value);
	row->is_ping = text_is(row->columns[COLUMN_OPERATION].value, "ping");
	row->priority = priority_of(row);
	payload = DatumGetJsonbP(row->columns[COLUMN_PAYLOAD].value);
	row->columns[COLUMN_PAYLOAD].value = JsonbPGetDatum(payload);
	row->payload_bytes = jsonb_text_bytes(payload);
	send_after = row->columns[COLUMN_SEND_AFTER];
	row->due_at = passage->now;
	if (!send_after.isnull)
		row->due_at = Max(row->due_at, DatumGetTimestampTz(send_after.value));
}

/* As the operator @@ does: what is neither true nor false is not true. */
static bool
fulfils(Datum payload, JsonPath *check)
{
	LOCAL_FCINFO(call, 2);
	FmgrInfo	function;
	Datum		answer;

	fmgr_info(F_JSONB_PATH_MATCH_OPR, &function);
	InitFunctionCallInfoData(*call, &function, 2, InvalidOid, NULL, NULL);
	call->args[0] = (NullableDatum)
	{
		.value = payload
	};
	call->args[1] = (NullableDatum)
	{
		.value = PointerGetDatum(check)
	};
	answer = FunctionCallInvoke(call);
	return !call->isnull && DatumGetBool(answer);
}

/* Every no has its words in integration_worker.refusal(). */
static bool
may_pass(Passage *passage, const Row *row)
{
	const NullableDatum *columns = row->columns;
	const Target *target = target_find(passage->schema, columns[COLUMN_ENDPOINT].value);

	passage->target = target;
	if (target == NULL ||
		row->id > passage->last_id ||
		row->priority < 0 ||
		row->payload_bytes > target->max_payload_bytes)
		return false;
	if (!columns[COLUMN_HEADERS].isnull &&
		request_header_problem(DatumGetJsonbP(columns[COLUMN_HEADERS].value)) != NULL)
		return false;
	if (!row->is_ping && target->payload_check != NULL &&
		!fulfils(columns[COLUMN_PAYLOAD].value, target->payload_check))
		return false;
	if (!columns[COLUMN_SEND_AFTER].isnull &&
		TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(columns[COLUMN_SEND_AFTER].value)))
		return false;
	return columns[COLUMN_EXPIRES_AT].isnull ||
		DatumGetTimestampTz(columns[COLUMN_EXPIRES_AT].value) > row->due_at;
}

static void
put_into_queue(Passage *passage, const Row *row)
{
	QueueRow	queued = {
		.outbox_id = row->id,
		.endpoint_id = passage->target->id,
		.due_at = row->due_at,
		.payload_bytes = row->payload_bytes,
		.priority = row->priority,
		.expires_at = row->columns[COLUMN_EXPIRES_AT],
		.ordering_key = row->columns[COLUMN_ORDERING_KEY],
		.object_type = {.isnull = true},
		.object_id = {.isnull = true},
	};

	if (passage->target->coalesces)
	{
		queued.object_type = row->columns[COLUMN_OBJECT_TYPE];
		if (queued.object_type.isnull)
			queued.object_type = (NullableDatum)
		{
			.value = PointerGetDatum(cstring_to_text(""))
		};
		queued.object_id = row->columns[COLUMN_OBJECT_ID];
	}
	queue_insert(passage->writer, &queued);
}

static SessionCaller
enter_sql(Passage *passage)
{
	SessionCaller caller = session_become(passage->trigger->tg_relation->rd_rel->relowner);

	if (SPI_register_trigger_data(passage->trigger) != SPI_OK_TD_REGISTER)
		elog(ERROR, "could not register the inserted rows");
	return caller;
}

/* All rows of the statement at once, so that its keys are claimed in order. */
static void
deduplicate(Passage *passage)
{
	static Statement claim = {.text = claim_text};
	static Statement close = {.text = close_text};
	SessionCaller caller = enter_sql(passage);

	session_execute(&claim, NULL, NULL);
	session_execute(&close, NULL, NULL);
	session_return(caller);
	passage->is_deduplicated = true;
}

static bool
is_duplicate(Passage *passage, const Row *row)
{
	bool		is_closed;

	if (row->columns[COLUMN_DEDUP_KEY].isnull)
		return false;
	if (!passage->is_deduplicated)
	{
		deduplicate(passage);
		CommandCounterIncrement();
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	is_closed = lookup_is_closed(passage->schema, row->id);
	PopActiveSnapshot();
	return is_closed;
}

static char *
result_text(MemoryContext memory, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return value == NULL ? NULL : MemoryContextStrdup(memory, value);
}

/* Leaves SPI first: the application should see its own statement, none of ours. */
static void
refuse(Passage *passage, int64 id)
{
	static const Oid types[] = {INT8OID};
	static Statement statement = {.text = refusal_text,.arg_count = 1,.arg_types = types};
	Datum		values[] = {Int64GetDatum(id)};
	SessionCaller caller = enter_sql(passage);
	char	   *parts[4];

	if (session_execute(&statement, values, NULL) == 0)
		elog(ERROR, "sync " INT64_FORMAT " is refused and can't be found", id);
	for (int i = 0; i < lengthof(parts); i++)
		parts[i] = result_text(passage->caller, i + 1);
	session_return(caller);
	ereport(ERROR,
			errcode(MAKE_SQLSTATE(parts[0][0], parts[0][1], parts[0][2], parts[0][3], parts[0][4])),
			errmsg_internal("%s", parts[1]),
			parts[2] == NULL ? 0 : errdetail_internal("%s", parts[2]),
			errhint("%s", parts[3]));
}

/* Of the outbox's identity; as the owner, since the application needs no right to the sequence. */
static int64
last_id(Oid outbox, Oid schema, Oid owner)
{
	LOCAL_FCINFO(call, 1);
	Oid			role;
	int			security;
	Datum		last;

	GetUserIdAndSecContext(&role, &security);
	SetUserIdAndSecContext(owner, security | SECURITY_LOCAL_USERID_CHANGE);
	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0] = (NullableDatum)
	{
		.value = ObjectIdGetDatum(get_relname_relid("outbox_id_seq", schema))
	};
	last = pg_sequence_last_value(call);
	SetUserIdAndSecContext(role, security);
	return call->isnull ? 0 : DatumGetInt64(last);
}

/* Not in the memory of a row: one that was read from disk belongs to the slot. */
static bool
next_row(Tuplestorestate *rows, int place, TupleTableSlot *slot)
{
	tuplestore_select_read_pointer(rows, place);
	return tuplestore_gettupleslot(rows, true, false, slot);
}

static void
walk(Passage *passage)
{
	Tuplestorestate *rows = passage->trigger->tg_newtable;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(passage->trigger->tg_relation),
													&TTSOpsMinimalTuple);
	MemoryContext row_memory = AllocSetContextCreate(passage->caller, "integration row",
													 ALLOCSET_DEFAULT_SIZES);
	int			place = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);
	Row			row;

	tuplestore_select_read_pointer(rows, place);
	tuplestore_rescan(rows);
	while (next_row(rows, place, slot))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(row_memory);
		read_row(passage, slot, &row);
		if (!may_pass(passage, &row))
			refuse(passage, row.id);
		if (!is_duplicate(passage, &row))
			put_into_queue(passage, &row);
		MemoryContextSwitchTo(passage->caller);
		MemoryContextReset(row_memory);
	}
	MemoryContextDelete(row_memory);
	ExecDropSingleTupleTableSlot(slot);
}

Datum
integration_enqueue(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Passage		passage = {.trigger = trigger,.caller = CurrentMemoryContext};
	Relation	outbox;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigger->tg_newtable == NULL)
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("integration_worker.enqueue() is a trigger of integration.outbox"));
	if (tuplestore_tuple_count(trigger->tg_newtable) == 0)
		return PointerGetDatum(NULL);

	outbox = trigger->tg_relation;
	layout_resolve(&layout, outbox, column_names, COLUMN_COUNT);
	passage.schema = RelationGetNamespace(outbox);
	passage.now = GetCurrentTransactionStartTimestamp();
	passage.last_id = last_id(RelationGetRelid(outbox), passage.schema, outbox->rd_rel->relowner);
	passage.writer = queue_open(passage.schema);
	walk(&passage);
	queue_close(passage.writer);
	wake_at_commit(WAKE_ROWS);
	return PointerGetDatum(NULL);
}
