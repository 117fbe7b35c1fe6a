/*-------------------------------------------------------------------------
 * queue.c
 *		New rows of the queue.
 *-------------------------------------------------------------------------
 */
#include "store/queue.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "store/layout.h"

enum
{
	COLUMN_OUTBOX_ID,
	COLUMN_ENDPOINT_ID,
	COLUMN_STATE,
	COLUMN_DUE_AT,
	COLUMN_ATTEMPTS,
	COLUMN_CHARGED,
	COLUMN_PAYLOAD_BYTES,
	COLUMN_PRIORITY,
	COLUMN_EXPIRES_AT,
	COLUMN_ORDERING_KEY,
	COLUMN_OBJECT_TYPE,
	COLUMN_OBJECT_ID,
	COLUMN_CHANGE_XID,
	COLUMN_REQUIRED,
	/* an extension that is to be updated yet has neither limits nor these */
	COLUMN_LIMITED_CUSTOMER = COLUMN_REQUIRED,
	COLUMN_LIMITED_ROLE,
	COLUMN_COUNT
};

static const char *const column_names[] = {
	[COLUMN_OUTBOX_ID] = "outbox_id",
	[COLUMN_ENDPOINT_ID] = "endpoint_id",
	[COLUMN_STATE] = "state",
	[COLUMN_DUE_AT] = "due_at",
	[COLUMN_ATTEMPTS] = "attempts",
	[COLUMN_CHARGED] = "charged",
	[COLUMN_PAYLOAD_BYTES] = "payload_bytes",
	[COLUMN_PRIORITY] = "priority",
	[COLUMN_EXPIRES_AT] = "expires_at",
	[COLUMN_ORDERING_KEY] = "ordering_key",
	[COLUMN_OBJECT_TYPE] = "object_type",
	[COLUMN_OBJECT_ID] = "object_id",
	[COLUMN_CHANGE_XID] = "change_xid",
	[COLUMN_LIMITED_CUSTOMER] = "limited_customer",
	[COLUMN_LIMITED_ROLE] = "limited_role",
};

#define MAX_INDEXES 16

/* One index of the queue, as an insert needs to know it. */
typedef struct KnownIndex
{
	Oid			id;
	bool		is_unique;
	IndexInfo  *info;
	ExprState  *condition;		/* of a partial index, NULL: it holds all rows */
} KnownIndex;

/*
 * The queue's indexes, made ready once for the session: for one row that is
 * more work than writing it.  Read anew when one of them changes.
 */
typedef struct KnownQueue
{
	uint64		changes;		/* that had been seen when this was read */
	Oid			relation;
	EState	   *estate;			/* owns all of it */
	int			count;
	KnownIndex	indexes[MAX_INDEXES];
	bool		is_plain;		/* nothing but B-trees, checked at once */
} KnownQueue;

static Layout layout;
static KnownQueue known;
static uint64 changes = 0;

struct QueueWriter
{
	Relation	relation;
	Relation	indexes[MAX_INDEXES];	/* NULL: no row went there yet */
	ResultRelInfo *result;		/* of a queue that is not plain, or NULL */
	EState	   *estate;			/* the writer's own if the queue is not plain */
	TupleTableSlot *slot;
	Datum		state;
	Datum		change_xid;
};

/* Only counts: the indexes may be in use just now. */
static void
note_change(Datum arg, Oid relation)
{
	bool		is_ours = !OidIsValid(relation) || relation == known.relation;

	for (int i = 0; i < known.count && !is_ours; i++)
		is_ours = relation == known.indexes[i].id;
	if (is_ours)
		changes++;
}

static bool
is_plain(Relation index, const IndexInfo *info)
{
	return index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indimmediate &&
		info->ii_ExclusionOps == NULL;
}

static void
learn_index(Oid id)
{
	KnownIndex *entry = &known.indexes[known.count++];
	Relation	index = index_open(id, RowExclusiveLock);

	entry->id = id;
	entry->is_unique = index->rd_index->indisunique;
	entry->info = BuildIndexInfo(index);
	entry->condition = NULL;
	if (entry->info->ii_Predicate != NIL)
		entry->condition = ExecPrepareQual(entry->info->ii_Predicate, known.estate);
	known.is_plain = known.is_plain && is_plain(index, entry->info);
	index_close(index, RowExclusiveLock);
}

/* What changes meanwhile makes the next statement read them again. */
static void
learn_indexes(Relation queue)
{
	uint64		seen = changes;
	MemoryContext caller;
	List	   *ids = RelationGetIndexList(queue);
	ListCell   *id;

	if (known.estate != NULL)
		FreeExecutorState(known.estate);
	known.estate = NULL;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	known = (KnownQueue)
	{
		.relation = RelationGetRelid(queue),
			.estate = CreateExecutorState(),
			.is_plain = list_length(ids) <= MAX_INDEXES,
	};
	MemoryContextSwitchTo(known.estate->es_query_cxt);
	foreach(id, ids)
		if (known.is_plain)
		learn_index(lfirst_oid(id));
	MemoryContextSwitchTo(caller);
	known.changes = seen;
}

static void
know_indexes(Relation queue)
{
	if (changes == 0)
	{
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
		changes = 1;
	}
	if (known.changes != changes || known.relation != RelationGetRelid(queue))
		learn_indexes(queue);
}

QueueWriter *
queue_open(Oid schema)
{
	QueueWriter *writer = palloc0(sizeof(QueueWriter));

	writer->relation = table_open(get_relname_relid("queue", schema), RowExclusiveLock);
	layout_resolve_known(&layout, writer->relation, column_names, COLUMN_REQUIRED, COLUMN_COUNT);
	know_indexes(writer->relation);
	writer->estate = known.estate;
	if (!known.is_plain)
	{
		/* the executor leaves in it what it prepares for these indexes */
		writer->estate = CreateExecutorState();
		writer->result = makeNode(ResultRelInfo);
		InitResultRelInfo(writer->result, writer->relation, 1, NULL, 0);
		ExecOpenIndices(writer->result, false);
	}
	writer->slot = table_slot_create(writer->relation, NULL);
	writer->state = CStringGetTextDatum("pending");
	writer->change_xid = FullTransactionIdGetDatum(GetTopFullTransactionId());
	return writer;
}

static void
put(TupleTableSlot *slot, int column, NullableDatum given)
{
	int			at = layout.numbers[column] - 1;

	if (at < 0)
		return;
	slot->tts_values[at] = given.value;
	slot->tts_isnull[at] = given.isnull;
}

static void
put_value(TupleTableSlot *slot, int column, Datum value)
{
	NullableDatum given = {.value = value};

	put(slot, column, given);
}

static void
fill(QueueWriter *writer, const QueueRow *row)
{
	TupleTableSlot *slot = writer->slot;

	ExecStoreAllNullTuple(slot);
	put_value(slot, COLUMN_OUTBOX_ID, Int64GetDatum(row->outbox_id));
	put_value(slot, COLUMN_ENDPOINT_ID, Int32GetDatum(row->endpoint_id));
	put_value(slot, COLUMN_STATE, writer->state);
	put_value(slot, COLUMN_DUE_AT, TimestampTzGetDatum(row->due_at));
	put_value(slot, COLUMN_ATTEMPTS, Int32GetDatum(0));
	put_value(slot, COLUMN_CHARGED, Int32GetDatum(0));
	put_value(slot, COLUMN_PAYLOAD_BYTES, Int32GetDatum(row->payload_bytes));
	put_value(slot, COLUMN_PRIORITY, Int16GetDatum(row->priority));
	put(slot, COLUMN_EXPIRES_AT, row->expires_at);
	put(slot, COLUMN_ORDERING_KEY, row->ordering_key);
	put(slot, COLUMN_OBJECT_TYPE, row->object_type);
	put(slot, COLUMN_OBJECT_ID, row->object_id);
	put(slot, COLUMN_LIMITED_CUSTOMER, row->limited_customer);
	put(slot, COLUMN_LIMITED_ROLE, row->limited_role);
	put_value(slot, COLUMN_CHANGE_XID, writer->change_xid);
}

static void
insert_index_entries(QueueWriter *writer)
{
	ExprContext *context = GetPerTupleExprContext(writer->estate);
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	context->ecxt_scantuple = writer->slot;
	for (int i = 0; i < known.count; i++)
	{
		KnownIndex *entry = &known.indexes[i];

		if (!entry->info->ii_ReadyForInserts ||
			(entry->condition != NULL && !ExecQual(entry->condition, context)))
			continue;
		if (writer->indexes[i] == NULL)
			writer->indexes[i] = index_open(entry->id, RowExclusiveLock);
		FormIndexDatum(entry->info, writer->slot, writer->estate, values, nulls);
		(void) index_insert(writer->indexes[i], values, nulls, &writer->slot->tts_tid,
							writer->relation,
							entry->is_unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
							false, entry->info);
	}
}

void
queue_insert(QueueWriter *writer, const QueueRow *row)
{
	ResetPerTupleExprContext(writer->estate);
	ExecClearTuple(writer->slot);
	fill(writer, row);
	table_tuple_insert(writer->relation, writer->slot, GetCurrentCommandId(true), 0, NULL);
	if (writer->result != NULL)
		compat_insert_index_tuples(writer->result, writer->slot, writer->estate);
	else
		insert_index_entries(writer);
}

void
queue_close(QueueWriter *writer)
{
	if (writer->result != NULL)
	{
		ExecCloseIndices(writer->result);
		FreeExecutorState(writer->estate);
	}
	for (int i = 0; i < MAX_INDEXES; i++)
		if (writer->indexes[i] != NULL)
			index_close(writer->indexes[i], NoLock);
	ExecDropSingleTupleTableSlot(writer->slot);
	table_close(writer->relation, NoLock);
	pfree(writer);
}
