/*-------------------------------------------------------------------------
 * statements.c
 *		What the worker asks of SQL, as typed values.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"
#include "store/statements.h"

/*
 * Commits older than this many transactions have long been flushed by the WAL
 * writer.  Rows of a dump can carry ids that this server has not given out yet.
 */
#define RECENT_XIDS 1000000

/* "IG"; advisory locks that SQL takes have class 1 or 2. */
#define LOCK_CLASS 0x4947

Oid
statements_extension(void)
{
	return get_extension_oid("integration", true);
}

/*
 * Advisory locks of a class that no SQL function can name, so that nobody
 * keeps the workers out by taking them.
 */
static LOCKTAG
tag_of(int shard)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, (uint32) shard, LOCK_CLASS);
	return tag;
}

bool
statements_take_lock(int shard)
{
	LOCKTAG		tag = tag_of(shard);

	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
statements_leave_lock(int shard)
{
	LOCKTAG		tag = tag_of(shard);

	(void) LockRelease(&tag, ExclusiveLock, true);
}

EndpointRow *
statements_endpoints(MemoryContext memory, int *count)
{
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.endpoints()",
		.read_only = true,
	};
	uint64		rows = session_execute(&statement, NULL, NULL);
	EndpointRow *endpoints = MemoryContextAllocZero(memory, sizeof(EndpointRow) * (rows + 1));

	for (uint64 i = 0; i < rows; i++)
	{
		endpoints[i] = (EndpointRow)
		{
			.id = column_int32(i, 1, 0),
				.name = column_text(i, 2, memory),
				.url = column_text(i, 3, memory),
				.method = column_text(i, 4, memory),
				.headers = column_text(i, 5, memory),
				.format = column_text(i, 6, memory),
				.connect_timeout_ms = column_int32(i, 7, 0),
				.timeout_ms = column_int32(i, 8, 0),
				.max_concurrency = column_int32(i, 9, 0),
				.rate_limit = column_double(i, 10, 0),
				.rate_burst = column_int32(i, 11, 0),
				.max_payload_bytes = column_int32(i, 12, 0),
				.idempotent = column_bool(i, 13),
				.allow_http = column_bool(i, 14),
				.problem = column_text(i, 15, memory),
				.paused_until = column_time(i, 16, 0),
				.not_before = column_time(i, 17, 0),
				.state = column_text(i, 18, memory),
				.failures = column_int32(i, 19, 0),
				.tripped_by = column_int64(i, 20, 0),
				.since = column_time(i, 21, 0),
		};
	}
	*count = (int) rows;
	return endpoints;
}

TimestampTz
statements_next_resume(void)
{
	static Statement statement = {
		.text = "SELECT integration_worker.next_resume()",
		.read_only = true,
	};

	session_execute(&statement, NULL, NULL);
	return column_time(0, 1, 0);
}

/* A hash as a key: odd, since 0 means none. */
static int64
read_key(uint64 i, int column)
{
	return column_is_null(i, column) ? 0 : column_int64(i, column, 0) | 1;
}

Feed
statements_feed(MemoryContext memory, char **snapshot, int most)
{
	static const Oid types[] = {TEXTOID, INT4OID};
	static Statement statement = {
		.text = "SELECT snapshot, outbox_id, endpoint_id, priority, due_at, expires_at, object_hash"
		" FROM integration_worker.feed($1::pg_snapshot, $2)",
		.arg_count = 2,
		.arg_types = types,
		.read_only = true,
	};
	bool		first = *snapshot == NULL;
	Datum		values[] = {CStringGetTextDatum(first ? "1:1:" : *snapshot),
	Int32GetDatum(first ? 0 : most)};
	uint64		rows = session_execute(&statement, values, NULL);
	Feed		feed = {
		.rows = MemoryContextAlloc(memory, sizeof(FeedRow) * (rows + 1)),
		.overflow = first || rows > (uint64) most,
	};

	for (uint64 i = 0; i < rows; i++)
	{
		if (!column_is_null(i, 1))
		{
			*snapshot = column_output(i, 1, memory);
			continue;
		}
		feed.rows[feed.count++] = (FeedRow)
		{
			.outbox_id = column_int64(i, 2, 0),
				.endpoint_id = column_int32(i, 3, 0),
				.priority = DatumGetInt16(column_int32(i, 4, 0)),
				.due_at = column_time(i, 5, 0),
				.expires_at = column_time(i, 6, DT_NOEND),
				.object_key = read_key(i, 7),
		};
	}
	return feed;
}

/* Make durable what the rows depend on, where their commits may not be yet. */
static void
flush_commits(const TakenRow *rows, int count)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	XLogRecPtr	newest = InvalidXLogRecPtr;

	for (int i = 0; i < count; i++)
	{
		uint64		full_xid = U64FromFullTransactionId(rows[i].change_xid);
		TransactionId xid = XidFromFullTransactionId(rows[i].change_xid);
		XLogRecPtr	commit;

		if (full_xid >= next || full_xid + RECENT_XIDS < next ||
			!compat_xid_is_known(xid))
			continue;
		commit = TransactionIdGetCommitLSN(xid);
		if (commit > newest)
			newest = commit;
	}
	if (newest != InvalidXLogRecPtr)
		XLogFlush(newest);
}

static TakenRow
read_taken(uint64 i, MemoryContext memory)
{
	TakenRow	row = {
		.outbox_id = column_int64(i, 1, 0),
		.endpoint_id = column_int32(i, 2, 0),
		.priority = (int16) column_int32(i, 3, 0),
		.due_at = column_time(i, 4, 0),
	};

	if (row.outbox_id == 0)
		return row;
	row.change_xid = column_xid8(i, 5);
	row.attempts = column_int32(i, 6, 0);
	row.expires_at = column_time(i, 7, DT_NOEND);
	row.by_id = column_bool(i, 8);
	row.held = column_bool(i, 9);
	row.crowded = column_bool(i, 19);
	row.keys[KEY_ORDERING] = read_key(i, 20);
	row.keys[KEY_OBJECT] = read_key(i, 21);
	if (row.held)
		return row;
	row.message_id = column_text(i, 10, memory);
	row.object_type = column_text(i, 11, memory);
	row.object_id = column_text(i, 12, memory);
	row.operation = column_text(i, 13, memory);
	row.remote_id = column_text(i, 14, memory);
	row.payload = column_text(i, 15, memory);
	row.payload_bytes = row.payload == NULL ? 0 : strlen(row.payload);
	row.headers = column_text(i, 16, memory);
	row.created_at = column_time(i, 17, 0);
	row.traceparent = column_text(i, 18, memory);
	return row;
}

static void
take_arguments(Datum values[6], const TakeRequest *request)
{
	int			count = request->cursor_count;
	Datum	   *columns[5];
	Datum	   *ids = palloc(sizeof(Datum) * (request->id_count + 1));

	for (int c = 0; c < lengthof(columns); c++)
		columns[c] = palloc(sizeof(Datum) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		columns[0][i] = Int32GetDatum(request->cursors[i].endpoint_id);
		columns[1][i] = Int16GetDatum(request->cursors[i].priority);
		columns[2][i] = TimestampTzGetDatum(request->cursors[i].after_due);
		columns[3][i] = Int64GetDatum(request->cursors[i].after_id);
		columns[4][i] = Int32GetDatum(request->cursors[i].limit);
	}
	for (int i = 0; i < request->id_count; i++)
		ids[i] = Int64GetDatum(request->ids[i]);
	values[0] = parameters_array(INT4OID, columns[0], NULL, count);
	values[1] = parameters_array(INT2OID, columns[1], NULL, count);
	values[2] = parameters_array(TIMESTAMPTZOID, columns[2], NULL, count);
	values[3] = parameters_array(INT8OID, columns[3], NULL, count);
	values[4] = parameters_array(INT4OID, columns[4], NULL, count);
	values[5] = parameters_array(INT8OID, ids, NULL, request->id_count);
}

TakenRow *
statements_take(MemoryContext memory, const TakeRequest *request, int *count)
{
	static const Oid types[] = {INT4ARRAYOID, INT2ARRAYOID, TIMESTAMPTZARRAYOID,
	INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.take($1, $2, $3, $4, $5, $6)",
		.arg_count = 6,
		.arg_types = types,
		.read_only = true,
	};
	Datum		values[6];
	uint64		rows;
	TakenRow   *taken;

	take_arguments(values, request);
	rows = session_execute(&statement, values, NULL);
	taken = MemoryContextAlloc(memory, sizeof(TakenRow) * (rows + 1));
	for (uint64 i = 0; i < rows; i++)
		taken[i] = read_taken(i, memory);
	*count = (int) rows;
	flush_commits(taken, *count);
	return taken;
}

int64 *
statements_mark(MemoryContext memory, const int64 *ids,
				const FullTransactionId *change_xids, int *count)
{
	static const Oid types[] = {INT8ARRAYOID, XID8ARRAYOID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.mark($1, $2)",
		.arg_count = 2,
		.arg_types = types,
	};
	Datum	   *id_values = palloc(sizeof(Datum) * *count);
	Datum	   *xid_values = palloc(sizeof(Datum) * *count);
	Datum		values[2];
	uint64		rows;
	int64	   *marked;

	for (int i = 0; i < *count; i++)
	{
		id_values[i] = Int64GetDatum(ids[i]);
		xid_values[i] = FullTransactionIdGetDatum(change_xids[i]);
	}
	values[0] = parameters_array(INT8OID, id_values, NULL, *count);
	values[1] = parameters_array(XID8OID, xid_values, NULL, *count);
	rows = session_execute(&statement, values, NULL);
	marked = MemoryContextAlloc(memory, sizeof(int64) * (rows + 1));
	for (uint64 i = 0; i < rows; i++)
		marked[i] = column_int64(i, 1, 0);
	*count = (int) rows;
	return marked;
}

static Datum
id_array(const int64 *ids, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(ids[i]);
	return parameters_array(INT8OID, values, NULL, count);
}

static Standing
read_standing(uint64 i, int column)
{
	const char *word = column_output(i, column, CurrentMemoryContext);

	if (strcmp(word, "next") == 0)
		return STANDING_NEXT;
	return strcmp(word, "again") == 0 ? STANDING_AGAIN : STANDING_HELD;
}

SupersedeRow *
statements_supersede(MemoryContext memory, const SupersedeRequest *request, int *count)
{
	static const Oid types[] = {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.supersede($1, $2, $3)",
		.arg_count = 3,
		.arg_types = types,
	};
	Datum		values[] = {
		id_array(request->ids, request->count),
		id_array(request->object_keys, request->count),
		id_array(request->busy, request->busy_count),
	};
	uint64		rows = session_execute(&statement, values, NULL);
	SupersedeRow *result = MemoryContextAlloc(memory, sizeof(SupersedeRow) * (rows + 1));

	for (uint64 i = 0; i < rows; i++)
	{
		result[i] = (SupersedeRow)
		{
			.outbox_id = column_int64(i, 1, 0),
				.object_key = column_int64(i, 2, 0),
				.standing = read_standing(i, 3),
		};
	}
	*count = (int) rows;
	return result;
}

int64
statements_recover(const TimestampTz *marked_before, int shard_count)
{
	static const Oid types[] = {TIMESTAMPTZARRAYOID};
	static Statement statement = {
		.text = "SELECT count(*) FROM integration_worker.recover($1)",
		.arg_count = 1,
		.arg_types = types,
	};
	Datum	   *times = palloc(sizeof(Datum) * shard_count);
	Datum		values[1];

	for (int i = 0; i < shard_count; i++)
		times[i] = TimestampTzGetDatum(marked_before[i]);
	values[0] = parameters_array(TIMESTAMPTZOID, times, NULL, shard_count);
	session_execute(&statement, values, NULL);
	return column_int64(0, 1, 0);
}

TimestampTz
statements_expire(uint32 shards)
{
	static const Oid types[] = {INT4OID};
	static Statement statement = {
		.text = "SELECT integration_worker.expire($1)",
		.arg_count = 1,
		.arg_types = types,
	};
	Datum		values[] = {Int32GetDatum((int32) shards)};

	session_execute(&statement, values, NULL);
	return column_time(0, 1, 0);
}

bool
statements_forget_duplicates(void)
{
	static Statement statement = {.text = "SELECT integration_worker.forget_duplicates()"};

	session_execute(&statement, NULL, NULL);
	return column_bool(0, 1);
}

void
statements_make_partitions(void)
{
	static Statement statement = {.text = "SELECT integration_worker.make_partitions()"};

	session_execute(&statement, NULL, NULL);
}

TimestampTz
statements_retain(MemoryContext memory, char **progress)
{
	static const Oid types[] = {TEXTOID};
	static Statement statement = {
		.text = "SELECT r.next::text, r.next_at FROM integration_worker.retain($1::jsonb) r",
		.arg_count = 1,
		.arg_types = types,
	};
	Datum		values[] = {CStringGetTextDatum(*progress == NULL ? "{}" : *progress)};

	session_execute(&statement, values, NULL);
	*progress = column_text(0, 1, memory);
	return column_time(0, 2, 0);
}
