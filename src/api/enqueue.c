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
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/charges.h"
#include "api/payload_check.h"
#include "api/request.h"
#include "base/compat.h"
#include "base/jsonb_text.h"
#include "store/inserted.h"
#include "store/layout.h"
#include "store/lookup.h"
#include "store/queue.h"
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
	COLUMN_ENQUEUED_BY,
	COLUMN_CUSTOMER,
	COLUMN_REPLAY_OF,
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
	[COLUMN_ENQUEUED_BY] = "enqueued_by",
	[COLUMN_CUSTOMER] = "customer",
	[COLUMN_REPLAY_OF] = "replay_of",
};

/* NOT NULL in the table, which may be of another version than the library. */
static const int required_columns[] = {
	COLUMN_ID, COLUMN_ENDPOINT, COLUMN_OPERATION, COLUMN_PAYLOAD, COLUMN_PRIORITY,
	COLUMN_ENQUEUED_BY,
};

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
	const char *user;
	bool		is_deduplicated;
	bool		is_owners;		/* run with the rights of the outbox's owner */
	Charges    *charges;		/* NULL: nobody is limited */
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

/* What amend(), replay(), ping() enqueue is a person's deed about what was asked before. */
static bool
is_deed(const Passage *passage, const Row *row)
{
	return passage->is_owners && (row->is_ping || !row->columns[COLUMN_REPLAY_OF].isnull);
}

/* Every no has its words in integration_worker.refusal(). */
static bool
may_pass(Passage *passage, const Row *row)
{
	const NullableDatum *columns = row->columns;
	const Target *target = target_find(passage->schema, columns[COLUMN_ENDPOINT].value);

	passage->target = target;
	if (target == NULL ||
		(target->life == LIFE_RETIRED && !is_deed(passage, row)) ||
		row->id > passage->last_id ||
		row->priority < 0 ||
		row->payload_bytes > target->max_payload_bytes ||
		namestrcmp(DatumGetName(columns[COLUMN_ENQUEUED_BY].value), passage->user) != 0)
		return false;
	if (!columns[COLUMN_HEADERS].isnull &&
		request_header_problem(DatumGetJsonbP(columns[COLUMN_HEADERS].value)) != NULL)
		return false;
	if (!row->is_ping && target->payload_check != NULL &&
		!payload_check_holds(target->payload_check, columns[COLUMN_PAYLOAD].value,
							 columns[COLUMN_ENDPOINT].value))
		return false;
	if (!columns[COLUMN_SEND_AFTER].isnull &&
		TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(columns[COLUMN_SEND_AFTER].value)))
		return false;
	return columns[COLUMN_EXPIRES_AT].isnull ||
		DatumGetTimestampTz(columns[COLUMN_EXPIRES_AT].value) > row->due_at;
}

/* No limit holds it. */
static bool
is_free(const Passage *passage, const Row *row)
{
	return passage->charges == NULL || is_deed(passage, row);
}

/* Says whose backlog the row is in. */
static void
put_on_accounts(const Passage *passage, const Row *row, bool is_queued, Backlogs *backlogs)
{
	const Target *target = passage->target;
	ChargedRow	charged = {
		.customer = row->columns[COLUMN_CUSTOMER],
		.payload_bytes = row->payload_bytes,
		.is_queued = is_queued,
	};
	static const Backlogs nobodys = {.customer.isnull = true,.role.isnull = true};

	*backlogs = nobodys;
	if (is_free(passage, row))
		return;
	if (charged.customer.isnull && target->customer != NULL)
	{
		charged.customer.value = PointerGetDatum(target->customer);
		charged.customer.isnull = false;
	}
	charges_add(passage->charges, &charged, backlogs);
}

static void
put_into_queue(Passage *passage, const Row *row, const Backlogs *backlogs)
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
		.limited_customer = backlogs->customer,
		.limited_role = backlogs->role,
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

static bool
is_duplicate(Passage *passage, const Row *row)
{
	bool		is_closed;

	if (row->columns[COLUMN_DEDUP_KEY].isnull)
		return false;
	if (!passage->is_deduplicated)
	{
		inserted_close_duplicates(passage->trigger);
		CommandCounterIncrement();
		passage->is_deduplicated = true;
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	is_closed = lookup_is_closed(passage->schema, row->id);
	PopActiveSnapshot();
	return is_closed;
}

static void
refuse(const Passage *passage, int64 id)
{
	Refusal		refusal;

	inserted_refusal(passage->trigger, id, &refusal);
	ereport(ERROR,
			errcode(refusal.code),
			errmsg_internal("%s", refusal.message),
			refusal.detail == NULL ? 0 : errdetail_internal("%s", refusal.detail),
			errhint("%s", refusal.hint));
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
	Backlogs	backlogs;
	bool		is_queued;

	tuplestore_select_read_pointer(rows, place);
	tuplestore_rescan(rows);
	while (next_row(rows, place, slot))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(row_memory);
		read_row(passage, slot, &row);
		if (!may_pass(passage, &row))
			refuse(passage, row.id);
		is_queued = !is_duplicate(passage, &row);
		put_on_accounts(passage, &row, is_queued, &backlogs);
		if (is_queued)
			put_into_queue(passage, &row, &backlogs);
		MemoryContextSwitchTo(passage->caller);
		MemoryContextReset(row_memory);
	}
	MemoryContextDelete(row_memory);
	ExecDropSingleTupleTableSlot(slot);
}

/* Its notices of incidents must get through whatever the limits are. */
static bool
is_worker(void)
{
	return MyBgworkerEntry != NULL && strcmp(MyBgworkerEntry->bgw_library_name, "integration") == 0;
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
	passage.user = GetUserNameFromId(GetSessionUserId(), false);
	passage.last_id = last_id(RelationGetRelid(outbox), passage.schema, outbox->rd_rel->relowner);
	passage.is_owners = GetUserId() == outbox->rd_rel->relowner;
	passage.charges = is_worker() ? NULL : charges_open(passage.schema, passage.user);
	passage.writer = queue_open(passage.schema);
	walk(&passage);
	queue_close(passage.writer);
	if (passage.charges != NULL)
		charges_settle(passage.charges);
	wake_at_commit(WAKE_ROWS);
	return PointerGetDatum(NULL);
}
