/*-------------------------------------------------------------------------
 * objects.c
 *		What is queued for business objects.
 *
 * The first objects are looked for one at a time: their syncs by an index of
 * each partition of the outbox, each sync then in the queue.  That is a dozen
 * and more pages an object, so after many of them all that is in the queue is
 * read at once, provided it is little.
 *-------------------------------------------------------------------------
 */
#include "store/objects.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/layout.h"

/*
 * To read a sync with all others takes a third of the time of a look-up.  How
 * many will be wanted nobody knows: begun after a look-up for eleven syncs,
 * reading all pays for lists of four or five times as many, and costs those in
 * between 35 ms at worst.
 */
#define SYNCS_A_LOOKUP 11
#define FEWEST_LOOKUPS 100
#define MOST_SYNCS 20000		/* read together: 35 ms, 4 MB */

enum
{
	QUEUE_OUTBOX_ID,
	QUEUE_ENDPOINT_ID,
	QUEUE_STATE,
	QUEUE_DUE_AT,
	QUEUE_COLUMNS
};

static const char *const queue_columns[] = {
	[QUEUE_OUTBOX_ID] = "outbox_id",
	[QUEUE_ENDPOINT_ID] = "endpoint_id",
	[QUEUE_STATE] = "state",
	[QUEUE_DUE_AT] = "due_at",
};

enum
{
	OUTBOX_ID,
	OUTBOX_OBJECT_TYPE,
	OUTBOX_OBJECT_ID,
	OUTBOX_COLUMNS
};

static const char *const outbox_columns[] = {
	[OUTBOX_ID] = "id",
	[OUTBOX_OBJECT_TYPE] = "object_type",
	[OUTBOX_OBJECT_ID] = "object_id",
};

/* A table that is read by one of its indexes. */
typedef struct Table
{
	Relation	relation;
	Relation	index;			/* NULL: it has none of that kind */
	IndexScanDesc scan;
	TupleTableSlot *row;
	Layout		layout;
} Table;

/* Ids from the first to the last, of which some may be unfinished. */
typedef struct Partition
{
	int64		first;
	int64		last;
	Table		objects;		/* by object */
} Partition;

typedef struct ObjectKey
{
	int32		endpoint_id;
	const text *type;
	const text *id;
} ObjectKey;

typedef struct ObjectEntry
{
	ObjectKey	key;			/* hash key */
	Queued		queued;
} ObjectEntry;

struct ObjectReader
{
	MemoryContext memory;
	Table		queue;			/* by sync */
	Partition  *partitions;		/* by id, the default one at the end */
	int			count;
	int64		asked;
	int64		lookups;		/* so many before all is read at once; 0:
								 * there is no other way */
	HTAB	   *all;			/* NULL: that is not done yet */
	const text *no_type;
};

/* ---- tables */

static void
open_table(Table *table, Oid relation, const char *const *columns, int count)
{
	table->relation = table_open(relation, AccessShareLock);
	layout_resolve(&table->layout, table->relation, columns, count);
	table->row = table_slot_create(table->relation, NULL);
}

static void
open_index(Table *table, Oid index)
{
	table->index = index_open(index, AccessShareLock);
	table->scan = compat_index_beginscan(table->relation, table->index, GetActiveSnapshot(), 1);
}

static void
close_table(Table *table)
{
	ExecDropSingleTupleTableSlot(table->row);
	if (table->index != NULL)
	{
		index_endscan(table->scan);
		index_close(table->index, NoLock);
	}
	table_close(table->relation, NoLock);
}

/* What a scan allocates while it reads must live as long as itself. */
static void
rescan(Table *table, ScanKey condition)
{
	MemoryContext caller = MemoryContextSwitchTo(table->row->tts_mcxt);

	/* the snapshot of the last call may be gone */
	table->scan->xs_snapshot = GetActiveSnapshot();
	index_rescan(table->scan, condition, 1, NULL, 0);
	MemoryContextSwitchTo(caller);
}

static bool
next_row(Table *table)
{
	MemoryContext caller = MemoryContextSwitchTo(table->row->tts_mcxt);
	bool		is_there = index_getnext_slot(table->scan, ForwardScanDirection, table->row);

	MemoryContextSwitchTo(caller);
	return is_there;
}

static bool
find_row(Table *table, int64 id)
{
	ScanKeyData condition;

	ScanKeyInit(&condition, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	rescan(table, &condition);
	return next_row(table);
}

static NullableDatum
value_of(const Table *table, int column)
{
	NullableDatum value;

	value.value = slot_getattr(table->row, table->layout.numbers[column], &value.isnull);
	return value;
}

static int64
id_of(const Table *table, int column)
{
	return DatumGetInt64(value_of(table, column).value);
}

/* ---- partitions */

/* All rows with an object, by it. */
static bool
is_by_object(Relation index, const Layout *layout)
{
	const Form_pg_index form = index->rd_index;
	List	   *predicate = RelationGetIndexPredicate(index);
	NullTest   *test = predicate == NIL ? NULL : linitial(predicate);

	if (!form->indisvalid || index->rd_rel->relam != BTREE_AM_OID ||
		form->indkey.values[0] != layout->numbers[OUTBOX_OBJECT_ID])
		return false;
	return test == NULL ||
		(list_length(predicate) == 1 && IsA(test, NullTest) && test->nulltesttype == IS_NOT_NULL &&
		 IsA(test->arg, Var) && ((Var *) test->arg)->varattno == form->indkey.values[0]);
}

/*
 * Rows of the outbox never change, so an index made past older versions of rows
 * (indcheckxmin) is for everybody.
 */
static Oid
object_index(Relation relation, const Layout *layout)
{
	List	   *indexes = RelationGetIndexList(relation);
	Oid			found = InvalidOid;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_by_object(index, layout))
			found = lfirst_oid(cell);
		index_close(index, NoLock);
	}
	list_free(indexes);
	return found;
}

static void
add_partition(ObjectReader *reader, Oid relation, int64 first, int64 last)
{
	Partition  *partition = &reader->partitions[reader->count++];
	Oid			index;

	*partition = (Partition)
	{
		.first = first,.last = last
	};
	open_table(&partition->objects, relation, outbox_columns, OUTBOX_COLUMNS);
	index = object_index(partition->objects.relation, &partition->objects.layout);
	if (OidIsValid(index))
		open_index(&partition->objects, index);
	else
		reader->lookups = 0;
}

/* An entry of the queue's primary key from this id on, whether or not its row can be seen. */
static int64
next_entry(Table *queue, int64 from)
{
	IndexScanDesc scan = compat_index_beginscan(queue->relation, queue->index,
												GetActiveSnapshot(), 1);
	int64		found = PG_INT64_MAX;
	ScanKeyData condition;
	bool		is_null;

	ScanKeyInit(&condition, 1, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(from));
	scan->xs_want_itup = true;
	index_rescan(scan, &condition, 1, NULL, 0);
	if (index_getnext_tid(scan, ForwardScanDirection) != NULL)
		found = DatumGetInt64(index_getattr(scan->xs_itup, 1, scan->xs_itupdesc, &is_null));
	index_endscan(scan);
	return found;
}

/* Where a range ends and the next one begins. */
static int64
bound_at(PartitionBoundInfo bounds, int place)
{
	if (place < 0)
		return PG_INT64_MIN;
	if (place >= bounds->ndatums)
		return PG_INT64_MAX;
	switch (bounds->kind[place][0])
	{
		case PARTITION_RANGE_DATUM_MINVALUE:
			return PG_INT64_MIN;
		case PARTITION_RANGE_DATUM_MAXVALUE:
			return PG_INT64_MAX;
		default:
			return DatumGetInt64(bounds->datums[place][0]);
	}
}

/* Only those that can hold an unfinished sync: there may be hundreds. */
static void
add_partitions(ObjectReader *reader, const PartitionDescData *parts)
{
	PartitionBoundInfo bounds = parts->boundinfo;
	int64		next = PG_INT64_MIN;

	for (int place = 0; place < bounds->nindexes; place++)
	{
		int64		first = bound_at(bounds, place - 1);
		int64		end = bound_at(bounds, place);

		if (bounds->indexes[place] < 0)
			continue;
		if (next < first)
			next = next_entry(&reader->queue, first);
		if (next < end)
			add_partition(reader, parts->oids[bounds->indexes[place]], first, end - 1);
	}
	if (partition_bound_has_default(bounds))
		add_partition(reader, parts->oids[bounds->default_index], PG_INT64_MIN, PG_INT64_MAX);
}

/* By what the last vacuum found; read_all() sees what came since. */
static int64
worthwhile_lookups(const Table *queue)
{
	double		syncs = queue->relation->rd_rel->reltuples;

	/* -1: there was none */
	if (syncs > MOST_SYNCS)
		return PG_INT64_MAX;
	return Max((int64) (syncs < 0 ? MOST_SYNCS : syncs) / SYNCS_A_LOOKUP, FEWEST_LOOKUPS);
}

ObjectReader *
objects_open(Oid schema)
{
	ObjectReader *reader = palloc0(sizeof(ObjectReader));
	Relation	outbox = table_open(get_relname_relid("outbox", schema), AccessShareLock);
	const PartitionDescData *parts = RelationGetPartitionDesc(outbox, true);

	reader->memory = CurrentMemoryContext;
	reader->no_type = cstring_to_text("");
	open_table(&reader->queue, get_relname_relid("queue", schema), queue_columns, QUEUE_COLUMNS);
	open_index(&reader->queue, compat_primary_key_index(reader->queue.relation));
	reader->lookups = worthwhile_lookups(&reader->queue);
	reader->partitions = palloc(sizeof(Partition) * (parts->nparts + 1));
	if (parts->nparts > 0)
		add_partitions(reader, parts);
	table_close(outbox, NoLock);
	return reader;
}

void
objects_close(ObjectReader *reader)
{
	for (int i = 0; i < reader->count; i++)
		close_table(&reader->partitions[i].objects);
	close_table(&reader->queue);
}

/* ---- one object */

static int32
endpoint_of(const Table *queue)
{
	return DatumGetInt32(value_of(queue, QUEUE_ENDPOINT_ID).value);
}

static bool
has_failed(const Table *queue)
{
	const text *state = DatumGetTextPP(value_of(queue, QUEUE_STATE).value);

	return VARSIZE_ANY_EXHDR(state) == strlen("failed") &&
		memcmp(VARDATA_ANY(state), "failed", strlen("failed")) == 0;
}

/* The row that was found in the queue. */
static void
add_sync(const Table *queue, Queued *queued)
{
	int64		id = id_of(queue, QUEUE_OUTBOX_ID);
	TimestampTz due_at = DatumGetTimestampTz(value_of(queue, QUEUE_DUE_AT).value);

	if (queued->count == 0 || id < queued->next_sync)
		queued->next_sync = id;
	queued->count++;
	if (has_failed(queue))
		return;
	if (!queued->is_scheduled || due_at < queued->next_attempt_at)
		queued->next_attempt_at = due_at;
	queued->is_scheduled = true;
}

static bool
is_same_text(const text *left, const text *right)
{
	return VARSIZE_ANY_EXHDR(left) == VARSIZE_ANY_EXHDR(right) &&
		memcmp(VARDATA_ANY(left), VARDATA_ANY(right), VARSIZE_ANY_EXHDR(left)) == 0;
}

/* None is as good as an empty one. */
static bool
is_of_type(const Table *objects, const text *type)
{
	NullableDatum given = value_of(objects, OUTBOX_OBJECT_TYPE);

	return given.isnull ? VARSIZE_ANY_EXHDR(type) == 0
		: is_same_text(DatumGetTextPP(given.value), type);
}

static void
rescan_objects(Table *objects, const text *id)
{
	ScanKeyData condition;

	ScanKeyEntryInitialize(&condition, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   objects->index->rd_indcollation[0], F_TEXTEQ, PointerGetDatum(id));
	rescan(objects, &condition);
}

static Queued
look_up(ObjectReader *reader, const ObjectKey *key)
{
	Queued		queued = {.count = 0};

	for (int i = 0; i < reader->count; i++)
	{
		Table	   *objects = &reader->partitions[i].objects;

		rescan_objects(objects, key->id);
		while (next_row(objects))
		{
			CHECK_FOR_INTERRUPTS();
			if (is_of_type(objects, key->type) &&
				find_row(&reader->queue, id_of(objects, OUTBOX_ID)) &&
				endpoint_of(&reader->queue) == key->endpoint_id)
				add_sync(&reader->queue, &queued);
		}
	}
	return queued;
}

/* ---- all of them at once */

static uint32
hash_text(const text *given)
{
	return hash_bytes((const unsigned char *) VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given));
}

static uint32
hash_object(const void *key, Size size)
{
	const ObjectKey *object = key;

	return hash_combine(hash_combine(hash_text(object->id), hash_text(object->type)),
						hash_bytes_uint32(object->endpoint_id));
}

/* 0: they are the same. */
static int
compare_objects(const void *left, const void *right, Size size)
{
	const ObjectKey *a = left;
	const ObjectKey *b = right;

	return a->endpoint_id == b->endpoint_id && is_same_text(a->id, b->id) &&
		is_same_text(a->type, b->type) ? 0 : 1;
}

static HTAB *
make_table(const ObjectReader *reader)
{
	HASHCTL		control = {
		.keysize = sizeof(ObjectKey),
		.entrysize = sizeof(ObjectEntry),
		.hash = hash_object,
		.match = compare_objects,
		.hcxt = reader->memory,
	};

	return hash_create("integration objects", 8192, &control,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static const text *
keep_text(const ObjectReader *reader, const text *given)
{
	text	   *kept = MemoryContextAlloc(reader->memory, VARSIZE_ANY(given));

	return memcpy(kept, given, VARSIZE_ANY(given));
}

static void
add_object(const ObjectReader *reader, HTAB *all, const ObjectKey *key)
{
	bool		is_there;
	ObjectEntry *entry = hash_search(all, key, HASH_ENTER, &is_there);

	if (!is_there)
	{
		entry->key.type = keep_text(reader, key->type);
		entry->key.id = keep_text(reader, key->id);
		entry->queued.count = 0;
		entry->queued.is_scheduled = false;
	}
	add_sync(&reader->queue, &entry->queued);
}

/* What is in no range is in the default one. */
static Table *
table_of(const ObjectReader *reader, Table *tables, int64 id)
{
	int			at = 0;

	while (at < reader->count - 1 &&
		   (id < reader->partitions[at].first || id > reader->partitions[at].last))
		at++;
	return &tables[at];
}

/* The partitions once more, by id. */
static Table *
open_by_id(const ObjectReader *reader)
{
	Table	   *tables = palloc0(sizeof(Table) * (reader->count + 1));

	for (int i = 0; i < reader->count; i++)
	{
		Relation	partition = reader->partitions[i].objects.relation;

		open_table(&tables[i], RelationGetRelid(partition), outbox_columns, OUTBOX_COLUMNS);
		open_index(&tables[i], compat_primary_key_index(partition));
	}
	return tables;
}

/* The row found in the queue, with that of its partition. */
static void
add_found(const ObjectReader *reader, HTAB *all, const Table *partition)
{
	NullableDatum type = value_of(partition, OUTBOX_OBJECT_TYPE);
	NullableDatum id = value_of(partition, OUTBOX_OBJECT_ID);
	ObjectKey	key = {.endpoint_id = endpoint_of(&reader->queue)};

	if (id.isnull)
		return;
	key.type = type.isnull ? reader->no_type : DatumGetTextPP(type.value);
	key.id = DatumGetTextPP(id.value);
	add_object(reader, all, &key);
}

/* Unless it turns out to be much, and can be looked up. */
static void
read_all(ObjectReader *reader)
{
	HTAB	   *all = make_table(reader);
	Table	   *partitions = open_by_id(reader);
	int64		most = reader->lookups == 0 ? PG_INT64_MAX : MOST_SYNCS;
	ScanKeyData every;

	ScanKeyInit(&every, 1, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(PG_INT64_MIN));
	rescan(&reader->queue, &every);
	while (reader->count > 0 && next_row(&reader->queue) && most-- > 0)
	{
		int64		id = id_of(&reader->queue, QUEUE_OUTBOX_ID);
		Table	   *partition = table_of(reader, partitions, id);

		CHECK_FOR_INTERRUPTS();
		if (find_row(partition, id))
			add_found(reader, all, partition);
	}
	for (int i = 0; i < reader->count; i++)
		close_table(&partitions[i]);
	if (most >= 0)
	{
		reader->all = all;
		return;
	}
	hash_destroy(all);
	reader->lookups = PG_INT64_MAX;
}

Queued
objects_read(ObjectReader *reader, int32 endpoint_id, const text *type, const text *id)
{
	ObjectKey	key = {.endpoint_id = endpoint_id,.type = type,.id = id};
	Queued		none = {.count = 0};
	const ObjectEntry *entry;

	if (reader->all == NULL && reader->asked++ >= reader->lookups)
		read_all(reader);
	if (reader->all == NULL)
		return look_up(reader, &key);
	entry = hash_search(reader->all, &key, HASH_FIND, NULL);
	return entry == NULL ? none : entry->queued;
}
