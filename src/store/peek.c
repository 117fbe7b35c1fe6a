/*-------------------------------------------------------------------------
 * peek.c
 *		Queue rows without a statement of SQL, where that says the same.
 *-------------------------------------------------------------------------
 */
#include "store/peek.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "executor/tuptable.h"
#include "lib/qunique.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "flow/ownership.h"
#include "store/layout.h"

enum
{
	COLUMN_OUTBOX_ID,
	COLUMN_ENDPOINT_ID,
	COLUMN_STATE,
	COLUMN_DUE_AT,
	COLUMN_ATTEMPTS,
	COLUMN_PAYLOAD_BYTES,
	COLUMN_PRIORITY,
	COLUMN_EXPIRES_AT,
	COLUMN_ORDERING_KEY,
	COLUMN_OBJECT_TYPE,
	COLUMN_OBJECT_ID,
	COLUMN_CLAIMED_AT,
	COLUMN_CHANGE_XID,
	COLUMN_COUNT
};

static const char *const column_names[] = {
	[COLUMN_OUTBOX_ID] = "outbox_id",
	[COLUMN_ENDPOINT_ID] = "endpoint_id",
	[COLUMN_STATE] = "state",
	[COLUMN_DUE_AT] = "due_at",
	[COLUMN_ATTEMPTS] = "attempts",
	[COLUMN_PAYLOAD_BYTES] = "payload_bytes",
	[COLUMN_PRIORITY] = "priority",
	[COLUMN_EXPIRES_AT] = "expires_at",
	[COLUMN_ORDERING_KEY] = "ordering_key",
	[COLUMN_OBJECT_TYPE] = "object_type",
	[COLUMN_OBJECT_ID] = "object_id",
	[COLUMN_CLAIMED_AT] = "claimed_at",
	[COLUMN_CHANGE_XID] = "change_xid",
};

#define FEW_ROWS 32				/* that are new at once, mostly */

static Layout layout;

/* The queue, read through one index. */
typedef struct QueueScan
{
	Relation	queue;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *found;		/* the row of next_row() */
} QueueScan;

static Relation
open_queue(Oid *schema)
{
	Relation	queue;

	*schema = get_namespace_oid("integration", false);
	queue = table_open(get_relname_relid("queue", *schema), AccessShareLock);
	layout_resolve(&layout, queue, column_names, COLUMN_COUNT);
	return queue;
}

/* As the planner sees it: one built past older versions of rows is not for those who see them. */
static bool
is_usable(Relation index)
{
	TransactionId made = HeapTupleHeaderGetXmin(index->rd_indextuple->t_data);

	return index->rd_index->indisvalid &&
		(!index->rd_index->indcheckxmin || TransactionIdPrecedes(made, TransactionXmin));
}

/* false: the planner would not use this index either. */
static bool
begin_scan(QueueScan *scan, Relation queue, Oid index, int conditions)
{
	if (!OidIsValid(index))
		return false;
	scan->queue = queue;
	scan->index = index_open(index, AccessShareLock);
	if (!is_usable(scan->index))
	{
		index_close(scan->index, NoLock);
		return false;
	}
	scan->scan = compat_index_beginscan(queue, scan->index, GetActiveSnapshot(), conditions);
	scan->found = table_slot_create(queue, NULL);
	return true;
}

static bool
next_row(QueueScan *scan)
{
	return index_getnext_slot(scan->scan, ForwardScanDirection, scan->found);
}

static void
end_scan(QueueScan *scan)
{
	ExecDropSingleTupleTableSlot(scan->found);
	index_endscan(scan->scan);
	index_close(scan->index, NoLock);
}

static NullableDatum
value_of(const QueueScan *scan, int column)
{
	NullableDatum value;

	value.value = slot_getattr(scan->found, layout.numbers[column], &value.isnull);
	return value;
}

static bool
has_failed(const QueueScan *scan)
{
	const text *state = DatumGetTextPP(value_of(scan, COLUMN_STATE).value);

	return VARSIZE_ANY_EXHDR(state) == strlen("failed") &&
		memcmp(VARDATA_ANY(state), "failed", strlen("failed")) == 0;
}

static TimestampTz
expiry_of(const QueueScan *scan)
{
	NullableDatum value = value_of(scan, COLUMN_EXPIRES_AT);

	return value.isnull ? DT_NOEND : DatumGetTimestampTz(value.value);
}

static int64
hash_text(Datum given, int64 seed)
{
	return DatumGetInt64(DirectFunctionCall2Coll(hashtextextended, DEFAULT_COLLATION_OID, given,
												 Int64GetDatum(seed)));
}

/* Keys are odd, since 0 means none. */
static int64
ordering_key_of(const QueueScan *scan)
{
	NullableDatum key = value_of(scan, COLUMN_ORDERING_KEY);
	int32		endpoint_id = DatumGetInt32(value_of(scan, COLUMN_ENDPOINT_ID).value);

	return key.isnull ? 0 : hash_text(key.value, endpoint_id) | 1;
}

static int64
object_key_of(const QueueScan *scan)
{
	NullableDatum type = value_of(scan, COLUMN_OBJECT_TYPE);
	NullableDatum id = value_of(scan, COLUMN_OBJECT_ID);
	int32		endpoint_id = DatumGetInt32(value_of(scan, COLUMN_ENDPOINT_ID).value);

	if (type.isnull || id.isnull)
		return 0;
	return hash_text(id.value, hash_text(type.value, endpoint_id)) | 1;
}

/* Of syncs or of transactions, which are never as many as to need the sign. */
static int
compare_numbers(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return left < right ? -1 : left > right;
}

/* ---- feed */

/* A snapshot, taken apart. */
typedef struct Seen
{
	uint64		xmax;
	int			count;
	uint64	   *running;		/* transactions below xmax, ascending */
} Seen;

/* Transactions from the first one to below the end. */
typedef struct Span
{
	uint64		first;
	uint64		end;
} Span;

/* "xmin:xmax:xid,xid,..." as pg_snapshot is written. */
static Seen
take_apart(const char *snapshot)
{
	Seen		seen = {.running = palloc(sizeof(uint64) * (strlen(snapshot) / 2 + 1))};
	char	   *place;

	(void) strtoull(snapshot, &place, 10);
	seen.xmax = strtoull(place + 1, &place, 10);
	while (place[0] != '\0' && place[1] != '\0')
		seen.running[seen.count++] = strtoull(place + 1, &place, 10);
	return seen;
}

static bool
runs(const Seen *seen, uint64 xid)
{
	return bsearch(&xid, seen->running, seen->count, sizeof(xid), compare_numbers) != NULL;
}

/* Its rows are in the index, a million perhaps, and none can be seen. */
static bool
was_rolled_back(uint64 full_xid)
{
	TransactionId xid = XidFromFullTransactionId(FullTransactionIdFromU64(full_xid));

	return compat_xid_is_known(xid) && TransactionIdDidAbort(xid);
}

/* What ended_between() says. */
static Span *
list_spans(const Seen *previous, const Seen *present, int *count)
{
	Span	   *spans = palloc(sizeof(Span) * (previous->count + present->count + 1));
	uint64		first = previous->xmax;

	*count = 0;
	for (int i = 0; i < previous->count; i++)
	{
		uint64		xid = previous->running[i];

		if (!runs(present, xid) && !was_rolled_back(xid))
			spans[(*count)++] = (Span)
		{
			.first = xid,.end = xid + 1
		};
	}
	for (int i = 0; i < present->count; i++)
	{
		uint64		xid = present->running[i];

		if (xid < first)
			continue;
		if (first < xid)
			spans[(*count)++] = (Span)
		{
			.first = first,.end = xid
		};
		first = xid + 1;
	}
	if (first < present->xmax)
		spans[(*count)++] = (Span)
	{
		.first = first,.end = present->xmax
	};
	return spans;
}

static FeedRow
feed_row(const QueueScan *scan)
{
	return (FeedRow)
	{
		.outbox_id = DatumGetInt64(value_of(scan, COLUMN_OUTBOX_ID).value),
			.endpoint_id = DatumGetInt32(value_of(scan, COLUMN_ENDPOINT_ID).value),
			.priority = DatumGetInt16(value_of(scan, COLUMN_PRIORITY).value),
			.due_at = DatumGetTimestampTz(value_of(scan, COLUMN_DUE_AT).value),
			.expires_at = expiry_of(scan),
			.change_xid = DatumGetFullTransactionId(value_of(scan, COLUMN_CHANGE_XID).value),
			.object_key = object_key_of(scan),
	};
}

static void
add_row(const QueueScan *scan, MemoryContext memory, Feed *feed)
{
	if (feed->count % FEW_ROWS == 0)
	{
		Size		bytes = sizeof(FeedRow) * (feed->count + FEW_ROWS);

		feed->rows = feed->count == 0 ? MemoryContextAlloc(memory, bytes)
			: repalloc(feed->rows, bytes);
	}
	feed->rows[feed->count++] = feed_row(scan);
}

/* Rows of other shards count: a million of them are not to be walked over at once. */
static void
read_span(QueueScan *scan, const Span *span, const PeekRequest *request, int *met, Feed *feed)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_XID8GE, UInt64GetDatum(span->first));
	ScanKeyInit(&keys[1], 1, BTLessStrategyNumber, F_XID8LT, UInt64GetDatum(span->end));
	index_rescan(scan->scan, keys, lengthof(keys), NULL, 0);
	while (!feed->overflow && next_row(scan))
	{
		int32		endpoint_id = DatumGetInt32(value_of(scan, COLUMN_ENDPOINT_ID).value);
		uint32		shard = 1U << ((uint32) endpoint_id % OWNERSHIP_SHARDS);

		if (has_failed(scan))
			continue;
		if ((*met)++ == request->most)
			feed->overflow = true;
		else if ((request->shards & shard) != 0)
			add_row(scan, request->memory, feed);
	}
}

bool
peek_feed(const PeekRequest *request, char **snapshot, Feed *feed)
{
	char	   *now = DatumGetCString(DirectFunctionCall1(pg_snapshot_out,
														  OidFunctionCall0(F_PG_CURRENT_SNAPSHOT)));
	Seen		previous = take_apart(*snapshot);
	Seen		present = take_apart(now);
	int			count;
	Span	   *spans = list_spans(&previous, &present, &count);
	Oid			schema;
	Relation	queue = open_queue(&schema);
	QueueScan	scan;
	int			met = 0;
	bool		is_read;

	is_read = begin_scan(&scan, queue, get_relname_relid("queue_change", schema), 2);
	*feed = (Feed)
	{
		.count = 0
	};
	if (is_read)
	{
		for (int i = 0; i < count; i++)
			read_span(&scan, &spans[i], request, &met, feed);
		end_scan(&scan);
		*snapshot = MemoryContextStrdup(request->memory, now);
	}
	table_close(queue, NoLock);
	return is_read;
}

/* ---- take */

/* No other row of the queue has the same in these columns, which the index begins with. */
static bool
is_alone(const QueueScan *row, Oid index, const int *columns, int count)
{
	int64		outbox_id = DatumGetInt64(value_of(row, COLUMN_OUTBOX_ID).value);
	ScanKeyData keys[3];
	QueueScan	others;
	bool		is_alone = true;

	Assert(count <= lengthof(keys));
	if (!begin_scan(&others, row->queue, index, count))
		return false;
	for (int i = 0; i < count; i++)
		ScanKeyEntryInitialize(&keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   others.index->rd_indcollation[i],
							   columns[i] == COLUMN_ENDPOINT_ID ? F_INT4EQ : F_TEXTEQ,
							   value_of(row, columns[i]).value);
	index_rescan(others.scan, keys, count, NULL, 0);
	while (is_alone && next_row(&others))
		is_alone = DatumGetInt64(value_of(&others, COLUMN_OUTBOX_ID).value) == outbox_id;
	end_scan(&others);
	return is_alone;
}

/* Nothing of its ordering key or its object may be before it, or after. */
static bool
stands_alone(const QueueScan *row, Oid schema)
{
	static const int ordering[] = {COLUMN_ENDPOINT_ID, COLUMN_ORDERING_KEY};
	static const int object[] = {COLUMN_ENDPOINT_ID, COLUMN_OBJECT_ID, COLUMN_OBJECT_TYPE};

	if (!value_of(row, COLUMN_ORDERING_KEY).isnull &&
		!is_alone(row, get_relname_relid("queue_ordering", schema), ordering, lengthof(ordering)))
		return false;
	return value_of(row, COLUMN_OBJECT_ID).isnull || value_of(row, COLUMN_OBJECT_TYPE).isnull ||
		is_alone(row, get_relname_relid("queue_object", schema), object, lengthof(object));
}

static TakenRow
taken_row(const QueueScan *scan)
{
	TimestampTz expires_at = expiry_of(scan);

	return (TakenRow)
	{
		.outbox_id = DatumGetInt64(value_of(scan, COLUMN_OUTBOX_ID).value),
			.endpoint_id = DatumGetInt32(value_of(scan, COLUMN_ENDPOINT_ID).value),
			.priority = DatumGetInt16(value_of(scan, COLUMN_PRIORITY).value),
			.due_at = DatumGetTimestampTz(value_of(scan, COLUMN_DUE_AT).value),
			.change_xid = DatumGetFullTransactionId(value_of(scan, COLUMN_CHANGE_XID).value),
			.attempts = DatumGetInt32(value_of(scan, COLUMN_ATTEMPTS).value),
			.expires_at = expires_at,
			.payload_bytes = DatumGetInt32(value_of(scan, COLUMN_PAYLOAD_BYTES).value),
			.held = !value_of(scan, COLUMN_CLAIMED_AT).isnull ||
			expires_at <= GetCurrentStatementStartTimestamp(),
			.keys[KEY_ORDERING] = ordering_key_of(scan),
			.keys[KEY_OBJECT] = object_key_of(scan),
	};
}

static bool
find_row(QueueScan *scan, int64 outbox_id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(outbox_id));
	index_rescan(scan->scan, &key, 1, NULL, 0);
	return next_row(scan) && !has_failed(scan);
}

int
peek_take(int64 *ids, int *count, TakenRow *rows)
{
	Oid			schema;
	Relation	queue;
	QueueScan	scan;
	int			given;
	int			found = 0;
	int			left = 0;

	if (*count == 0)
		return 0;
	queue = open_queue(&schema);
	if (!begin_scan(&scan, queue, compat_primary_key_index(queue), 1))
	{
		table_close(queue, NoLock);
		return 0;
	}
	qsort(ids, *count, sizeof(int64), compare_numbers);
	given = (int) qunique(ids, *count, sizeof(int64), compare_numbers);
	for (int i = 0; i < given; i++)
	{
		if (!find_row(&scan, ids[i]))
			continue;
		if (stands_alone(&scan, schema))
			rows[found++] = taken_row(&scan);
		else
			ids[left++] = ids[i];
	}
	end_scan(&scan);
	table_close(queue, NoLock);
	*count = left;
	return found;
}
