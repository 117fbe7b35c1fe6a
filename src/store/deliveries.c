/*-------------------------------------------------------------------------
 * deliveries.c
 *		Plain deliveries: out of the queue, into attempt.
 *-------------------------------------------------------------------------
 */
#include "store/deliveries.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "store/layout.h"
#include "store/queue.h"

/* So many attempts go into their table at once: it is some pages full. */
#define HELD_MOST 64

enum
{
	QUEUE_OUTBOX_ID,
	QUEUE_ATTEMPTS,
	QUEUE_PRIORITY,
	QUEUE_ORDERING_KEY,
	QUEUE_CHANGE_XID,
	QUEUE_COLUMNS
};

static const char *const queue_columns[] = {
	[QUEUE_OUTBOX_ID] = "outbox_id",
	[QUEUE_ATTEMPTS] = "attempts",
	[QUEUE_PRIORITY] = "priority",
	[QUEUE_ORDERING_KEY] = "ordering_key",
	[QUEUE_CHANGE_XID] = "change_xid",
};

/* These columns of an attempt are what the result says, under the same name. */
static const int copied[] = {
	RESULT_OUTBOX_ID, RESULT_ENDPOINT_ID, RESULT_STARTED_AT, RESULT_REASON, RESULT_HTTP_STATUS,
	RESULT_DURATION_MS, RESULT_DNS_MS, RESULT_CONNECT_MS, RESULT_TLS_MS, RESULT_FIRST_BYTE_MS,
	RESULT_REQUEST_URL, RESULT_REMOTE_ADDRESS, RESULT_RESPONSE_BODY, RESULT_TRACE_ID,
	RESULT_SPAN_ID
};

/* After the copied ones, in their order. */
enum
{
	ATTEMPT_NO = lengthof(copied),
	ATTEMPT_OUTCOME,
	ATTEMPT_RESPONSE_HEADERS,
	ATTEMPT_API_VERSION,
	ATTEMPT_COLUMNS
};

static const char *const attempt_columns[] = {
	"outbox_id", "endpoint_id", "started_at", "reason", "http_status",
	"duration_ms", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms",
	"request_url", "remote_address", "response_body", "trace_id",
	"span_id",
	[ATTEMPT_NO] = "attempt_no",
	[ATTEMPT_OUTCOME] = "outcome",
	[ATTEMPT_RESPONSE_HEADERS] = "response_headers",
	[ATTEMPT_API_VERSION] = "api_version",
};

static Layout queue_layout;
static Layout attempt_layout;

struct DeliveryWriter
{
	Relation	queue;
	Relation	queue_key;
	IndexScanDesc scan;
	TupleTableSlot *found;		/* the queue's row */
	Relation	attempts;		/* the partitioned table */
	EState	   *estate;
	ResultRelInfo *range;		/* the partition that was written last, or
								 * NULL */
	TupleTableSlot *held[HELD_MOST];	/* of that partition */
	int			slot_count;
	int			held_count;
	bool		is_watched;		/* a trigger must see what happens */
	Datum		outcome;
	text	   *headers_text;	/* what headers was read from, or NULL */
	Datum		headers;
};

static bool
watches_deletes(const TriggerDesc *triggers)
{
	return triggers != NULL &&
		(triggers->trig_delete_before_row || triggers->trig_delete_after_row ||
		 triggers->trig_delete_before_statement || triggers->trig_delete_after_statement);
}

static bool
watches_inserts(const TriggerDesc *triggers)
{
	return triggers != NULL &&
		(triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
		 triggers->trig_insert_before_statement || triggers->trig_insert_after_statement);
}

DeliveryWriter *
deliveries_open(Oid schema)
{
	DeliveryWriter *writer = palloc0(sizeof(DeliveryWriter));

	writer->queue = table_open(get_relname_relid("queue", schema), RowExclusiveLock);
	layout_resolve(&queue_layout, writer->queue, queue_columns, QUEUE_COLUMNS);
	writer->queue_key = index_open(compat_primary_key_index(writer->queue), RowExclusiveLock);
	writer->scan = compat_index_beginscan(writer->queue, writer->queue_key,
										  GetActiveSnapshot(), 1);
	writer->found = table_slot_create(writer->queue, NULL);
	writer->attempts = table_open(get_relname_relid("attempt", schema), RowExclusiveLock);
	writer->is_watched = watches_deletes(writer->queue->trigdesc) ||
		watches_inserts(writer->attempts->trigdesc);
	writer->estate = CreateExecutorState();
	writer->outcome = CStringGetTextDatum("delivered");
	return writer;
}

static void
write_held(DeliveryWriter *writer)
{
	if (writer->held_count == 0)
		return;
	table_multi_insert(writer->range->ri_RelationDesc, writer->held, writer->held_count,
					   GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < writer->held_count; i++)
	{
		ResetPerTupleExprContext(writer->estate);
		compat_insert_index_tuples(writer->range, writer->held[i], writer->estate);
		ExecClearTuple(writer->held[i]);
	}
	writer->held_count = 0;
}

static void
leave_range(DeliveryWriter *writer)
{
	if (writer->range == NULL)
		return;
	write_held(writer);
	for (int i = 0; i < writer->slot_count; i++)
		ExecDropSingleTupleTableSlot(writer->held[i]);
	writer->slot_count = 0;
	ExecCloseIndices(writer->range);
	table_close(writer->range->ri_RelationDesc, NoLock);
	writer->range = NULL;
}

/* The partition of attempt where this sync's are. */
static Oid
range_of(Relation attempts, Datum outbox_id)
{
	PartitionKey key = RelationGetPartitionKey(attempts);
	PartitionDesc ranges = RelationGetPartitionDesc(attempts, true);
	bool		is_equal;
	int			bound = partition_range_datum_bsearch(key->partsupfunc, key->partcollation,
													  ranges->boundinfo, 1, &outbox_id, &is_equal);
	int			place = ranges->boundinfo->indexes[bound + 1];

	return ranges->oids[place >= 0 ? place : ranges->boundinfo->default_index];
}

static void
enter_range(DeliveryWriter *writer, Datum outbox_id)
{
	Oid			id = range_of(writer->attempts, outbox_id);
	Relation	range;

	if (writer->range != NULL && RelationGetRelid(writer->range->ri_RelationDesc) == id)
		return;
	leave_range(writer);
	range = table_open(id, RowExclusiveLock);
	layout_resolve(&attempt_layout, range, attempt_columns, ATTEMPT_COLUMNS);
	writer->range = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->range, range, 1, NULL, 0);
	ExecOpenIndices(writer->range, false);
}

static TupleTableSlot *
next_slot(DeliveryWriter *writer)
{
	if (writer->held_count == HELD_MOST)
		write_held(writer);
	if (writer->held_count == writer->slot_count)
		writer->held[writer->slot_count++] =
			table_slot_create(writer->range->ri_RelationDesc, NULL);
	return writer->held[writer->held_count++];
}

/* Answers of one receiver mostly have the same headers within a second. */
static Datum
read_headers(DeliveryWriter *writer, text *given)
{
	size_t		length = VARSIZE_ANY_EXHDR(given);

	if (writer->headers_text != NULL && VARSIZE_ANY_EXHDR(writer->headers_text) == length &&
		memcmp(VARDATA_ANY(writer->headers_text), VARDATA_ANY(given), length) == 0)
		return writer->headers;
	writer->headers = OidFunctionCall3(F_JSONB_IN, CStringGetDatum(text_to_cstring(given)),
									   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	writer->headers_text = given;
	return writer->headers;
}

static void
put(TupleTableSlot *slot, int column, Datum value)
{
	int			at = attempt_layout.numbers[column] - 1;

	slot->tts_values[at] = value;
	slot->tts_isnull[at] = false;
}

static void
hold_attempt(DeliveryWriter *writer, const ResultRow *result, int32 attempt_no,
			 NullableDatum api_version)
{
	TupleTableSlot *slot = next_slot(writer);

	ExecStoreAllNullTuple(slot);
	for (int i = 0; i < lengthof(copied); i++)
		if (!result->nulls[copied[i]])
			put(slot, i, result->values[copied[i]]);
	put(slot, ATTEMPT_NO, Int32GetDatum(attempt_no));
	put(slot, ATTEMPT_OUTCOME, writer->outcome);
	if (!api_version.isnull)
		put(slot, ATTEMPT_API_VERSION, api_version.value);
	if (!result->nulls[RESULT_RESPONSE_HEADERS])
		put(slot, ATTEMPT_RESPONSE_HEADERS,
			read_headers(writer, DatumGetTextPP(result->values[RESULT_RESPONSE_HEADERS])));
}

static Datum
queue_value(const DeliveryWriter *writer, int column, bool *is_null)
{
	return slot_getattr(writer->found, queue_layout.numbers[column], is_null);
}

/* Is the sync still queued as it was, with nothing about it that settle() must see to? */
static bool
find_plain(DeliveryWriter *writer, const ResultRow *result)
{
	FullTransactionId taken = DatumGetFullTransactionId(result->values[RESULT_CHANGE_XID]);
	ScanKeyData key;
	bool		is_null;
	Datum		change_xid;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, result->values[RESULT_OUTBOX_ID]);
	index_rescan(writer->scan, &key, 1, NULL, 0);
	if (result->nulls[RESULT_CHANGE_XID] ||
		!index_getnext_slot(writer->scan, ForwardScanDirection, writer->found))
		return false;
	change_xid = queue_value(writer, QUEUE_CHANGE_XID, &is_null);
	if (!FullTransactionIdEquals(DatumGetFullTransactionId(change_xid), taken))
		return false;
	(void) queue_value(writer, QUEUE_ORDERING_KEY, &is_null);
	return is_null &&
		DatumGetInt16(queue_value(writer, QUEUE_PRIORITY, &is_null)) != PRIORITY_PING;
}

bool
deliveries_record(DeliveryWriter *writer, const ResultRow *result, NullableDatum api_version)
{
	bool		is_null;
	int32		attempts;

	if (writer->is_watched || !find_plain(writer, result))
		return false;
	enter_range(writer, result->values[RESULT_OUTBOX_ID]);
	if (watches_inserts(writer->range->ri_TrigDesc))
		return false;
	attempts = DatumGetInt32(queue_value(writer, QUEUE_ATTEMPTS, &is_null));
	if (compat_delete_tuple(writer->queue, &writer->found->tts_tid) != TM_Ok)
		return false;
	hold_attempt(writer, result, attempts + 1, api_version);
	return true;
}

void
deliveries_close(DeliveryWriter *writer)
{
	leave_range(writer);
	table_close(writer->attempts, NoLock);
	FreeExecutorState(writer->estate);
	ExecDropSingleTupleTableSlot(writer->found);
	index_endscan(writer->scan);
	index_close(writer->queue_key, NoLock);
	table_close(writer->queue, NoLock);
	pfree(writer);
}
