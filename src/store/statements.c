/*-------------------------------------------------------------------------
 * statements.c
 *		What the worker asks of SQL, as typed values.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "store/columns.h"
#include "store/parameters.h"
#include "store/peek.h"
#include "store/session.h"
#include "store/statements.h"

/*
 * Commits older than this many transactions have long been flushed by the WAL
 * writer.  Rows of a dump can carry ids that this server has not given out yet.
 */
#define RECENT_XIDS 1000000

Adoption
statements_look_for_copy(MemoryContext memory)
{
	static Statement statement = {.text = "SELECT * FROM integration_worker.look_for_copy()"};

	session_execute(&statement, NULL, NULL);
	return (Adoption)
	{
		.problem = column_text(0, 1, memory),
			.renewed = column_text(0, 2, memory),
	};
}

EndpointRow *
statements_endpoints(MemoryContext memory, int32 after_id, int *count)
{
	static const Oid types[] = {INT4OID, INT4OID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.endpoints($1, $2)",
		.arg_count = 2,
		.arg_types = types,
		.read_only = true,
	};
	Datum		values[] = {Int32GetDatum(after_id), Int32GetDatum(*count)};
	uint64		rows = session_execute(&statement, values, NULL);
	EndpointRow *endpoints = palloc(sizeof(EndpointRow) * (rows + 1));

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
				.idempotent = column_bool(i, 12),
				.allow_http = column_bool(i, 13),
				.credential = column_text(i, 14, memory),
				.signing = column_text(i, 15, memory),
				.certificate = column_text(i, 16, memory),
				.paused_until = column_time(i, 17, 0),
				.not_before = column_time(i, 18, 0),
				.state = column_text(i, 19, memory),
				.failures = column_int32(i, 20, 0),
				.tripped_by = column_int64(i, 21, 0),
				.since = column_time(i, 22, 0),
				.quotes_key = column_bool(i, 23),
		};
	}
	*count = (int) rows;
	return endpoints;
}

RegistryState
statements_registry_state(void)
{
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.registry_state()",
		.read_only = true,
	};
	RegistryState state;
	char	   *installation;

	session_execute(&statement, NULL, NULL);
	installation = column_text(0, 3, CurrentMemoryContext);
	state = (RegistryState)
	{
		.version = column_int64(0, 1, 0),
			.holds = column_int64(0, 2, 0),
			.resume_at = column_time(0, 4, DT_NOEND),
			.is_adopted = column_bool(0, 5),
	};
	strlcpy(state.installation, installation == NULL ? "" : installation,
			sizeof(state.installation));
	return state;
}

static FeedRow
read_feed_row(uint64 i, int first_column)
{
	return (FeedRow)
	{
		.outbox_id = column_int64(i, first_column, 0),
			.endpoint_id = column_int32(i, first_column + 1, 0),
			.priority = (int16) column_int32(i, first_column + 2, 0),
			.due_at = column_time(i, first_column + 3, 0),
			.expires_at = column_time(i, first_column + 4, DT_NOEND),
			.change_xid = column_xid8(i, first_column + 5),
			.object_key = column_key(i, first_column + 6),
	};
}

static Feed
execute_feed(MemoryContext memory, char **snapshot, int most, uint32 shards)
{
	static const Oid types[] = {TEXTOID, INT4OID, INT4OID};
	static Statement statement = {
		.text = "SELECT snapshot, outbox_id, endpoint_id, priority, due_at, expires_at, change_xid,"
		" object_hash"
		" FROM integration_worker.feed($1::pg_snapshot, $2, $3)",
		.arg_count = 3,
		.arg_types = types,
		.read_only = true,
	};
	bool		first = *snapshot == NULL;
	Datum		values[] = {CStringGetTextDatum(first ? "1:1:" : *snapshot),
	Int32GetDatum(first ? 0 : most), Int32GetDatum((int32) shards)};
	uint64		rows = session_execute(&statement, values, NULL);
	Feed		feed = {
		.rows = MemoryContextAlloc(memory, sizeof(FeedRow) * (rows + 1)),
		.overflow = first || rows > (uint64) most,
	};

	for (uint64 i = 0; i < rows; i++)
	{
		if (!column_is_null(i, 1))
			*snapshot = column_output(i, 1, memory);
		else if (!column_is_null(i, 2))
			feed.rows[feed.count++] = read_feed_row(i, 2);
	}
	return feed;
}

Feed
statements_feed(MemoryContext memory, char **snapshot, int most, uint32 shards)
{
	PeekRequest request = {.memory = memory,.most = most,.shards = shards};
	Feed		feed;

	if (*snapshot != NULL && peek_feed(&request, snapshot, &feed))
		return feed;
	return execute_feed(memory, snapshot, most, shards);
}

Feed
statements_flood(MemoryContext memory, const FloodRequest *request)
{
	static const Oid types[] = {TEXTOID, TEXTOID, XID8OID, INT4OID, INT4OID, INT4OID, INT4OID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.flood($1::pg_snapshot, $2::pg_snapshot,"
		" $3, $4, $5, $6, $7)",
		.arg_count = 7,
		.arg_types = types,
		.read_only = true,
	};
	Datum		values[] = {
		CStringGetTextDatum(request->previous), CStringGetTextDatum(request->present),
		FullTransactionIdGetDatum(request->after_xid), Int32GetDatum(request->after_endpoint),
		Int32GetDatum(request->groups), Int32GetDatum(request->group_rows),
		Int32GetDatum((int32) request->shards),
	};
	uint64		rows = session_execute(&statement, values, NULL);
	Feed		feed = {.rows = MemoryContextAlloc(memory, sizeof(FeedRow) * (rows + 1))};
	int			groups = 0;

	for (uint64 i = 0; i < rows; i++)
	{
		FeedRow    *row = &feed.rows[feed.count++];

		*row = read_feed_row(i, 1);
		if (i == 0 || row->endpoint_id != row[-1].endpoint_id ||
			!FullTransactionIdEquals(row->change_xid, row[-1].change_xid))
			groups++;
	}
	feed.overflow = groups >= request->groups;
	return feed;
}

/*
 * Make durable what the rows depend on, where it may not be yet: the commits they
 * came with, and what ended the one before them under their ordering key.  After a
 * crash that one would be sent again behind them.
 *
 * The server keeps how far to flush for 32 transactions together, and among these
 * are batches that this session has just committed asynchronously: so only where
 * the application did so, too.
 */
static void
flush_commits(const TakenRow *rows, int count, uint64 async_xid)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	XLogRecPtr	newest = InvalidXLogRecPtr;
	bool		follows = false;

	for (int i = 0; i < count; i++)
	{
		uint64		full_xid = U64FromFullTransactionId(rows[i].change_xid);
		TransactionId xid = XidFromFullTransactionId(rows[i].change_xid);
		XLogRecPtr	commit;

		follows = follows || (!rows[i].held && rows[i].keys[KEY_ORDERING] != 0);
		if (full_xid > async_xid || full_xid >= next || full_xid + RECENT_XIDS < next ||
			!compat_xid_is_known(xid))
			continue;
		commit = TransactionIdGetCommitLSN(xid);
		if (commit > newest)
			newest = commit;
	}
	if (newest != InvalidXLogRecPtr)
		XLogFlush(newest);
	if (follows)
		session_flush();
}

static TakenRow
read_taken(uint64 i)
{
	return (TakenRow)
	{
		.source = column_int32(i, 1, 0),
			.outbox_id = column_int64(i, 2, 0),
			.endpoint_id = column_int32(i, 3, 0),
			.priority = (int16) column_int32(i, 4, 0),
			.due_at = column_time(i, 5, 0),
			.change_xid = column_xid8(i, 6),
			.attempts = column_int32(i, 7, 0),
			.expires_at = column_time(i, 8, DT_NOEND),
			.payload_bytes = column_int32(i, 9, 0),
			.held = column_bool(i, 10),
			.crowded = column_bool(i, 11),
			.keys[KEY_ORDERING] = column_key(i, 12),
			.keys[KEY_OBJECT] = column_key(i, 13),
	};
}

static Datum
xid_array(const FullTransactionId *xids, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		values[i] = FullTransactionIdGetDatum(xids[i]);
	return parameters_array(XID8OID, values, NULL, count);
}

static void
take_arguments(Datum values[7], const TakeRequest *request)
{
	int			count = request->source_count;
	bool	   *nulls = palloc0(sizeof(bool) * (count + 1));
	Datum	   *columns[6];

	for (int c = 0; c < lengthof(columns); c++)
		columns[c] = palloc(sizeof(Datum) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		const TakeSource *source = &request->sources[i];

		columns[0][i] = Int32GetDatum(source->endpoint_id);
		columns[1][i] = Int16GetDatum(source->priority);
		columns[2][i] = FullTransactionIdGetDatum(source->change_xid);
		nulls[i] = !FullTransactionIdIsValid(source->change_xid);
		columns[3][i] = TimestampTzGetDatum(source->after_due);
		columns[4][i] = Int64GetDatum(source->after_id);
		columns[5][i] = Int32GetDatum(source->limit);
	}
	values[0] = parameters_array(INT4OID, columns[0], NULL, count);
	values[1] = parameters_array(INT2OID, columns[1], NULL, count);
	values[2] = parameters_array(XID8OID, columns[2], nulls, count);
	values[3] = parameters_array(TIMESTAMPTZOID, columns[3], NULL, count);
	values[4] = parameters_array(INT8OID, columns[4], NULL, count);
	values[5] = parameters_array(INT4OID, columns[5], NULL, count);
	values[6] = parameters_ids(request->ids, request->id_count);
}

/* Adds what SQL says to the rows. */
static int
execute_take(const TakeRequest *request, TakenRow **rows, int count)
{
	static const Oid types[] = {INT4ARRAYOID, INT2ARRAYOID, XID8ARRAYOID, TIMESTAMPTZARRAYOID,
	INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.take($1, $2, $3, $4, $5, $6, $7)",
		.arg_count = 7,
		.arg_types = types,
		.read_only = true,
	};
	Datum		values[7];
	uint64		more;

	take_arguments(values, request);
	more = session_execute(&statement, values, NULL);
	*rows = repalloc(*rows, sizeof(TakenRow) * (count + more + 1));
	for (uint64 i = 0; i < more; i++)
		(*rows)[count + i] = read_taken(i);
	return count + (int) more;
}

TakenRow *
statements_take(MemoryContext memory, const TakeRequest *request, int *count)
{
	TakeRequest rest = *request;
	int64	   *ids = palloc(sizeof(int64) * (request->id_count + 1));
	TakenRow   *taken = MemoryContextAlloc(memory, sizeof(TakenRow) * (request->id_count + 1));

	for (int i = 0; i < request->id_count; i++)
		ids[i] = request->ids[i];
	rest.ids = ids;
	*count = peek_take(ids, &rest.id_count, taken);
	if (rest.id_count + rest.source_count > 0)
		*count = execute_take(&rest, &taken, *count);
	flush_commits(taken, *count, pg_atomic_read_u64(request->async_xid));
	return taken;
}

static int
compare_contents(const void *a, const void *b)
{
	int64		left = ((const Content *) a)->outbox_id;
	int64		right = ((const Content *) b)->outbox_id;

	return left < right ? -1 : left > right;
}

/* Ids bound from both sides let all other partitions be left out before any is opened. */
Content *
statements_read(MemoryContext memory, const int64 *ids, int *count)
{
	static const Oid types[] = {INT8ARRAYOID, INT8OID, INT8OID};
	static Statement statement = {
		.text = "SELECT outbox_id, held, object_type, object_id, operation, payload, headers,"
		" created_at, traceparent, tracestate"
		" FROM integration_worker.content"
		" WHERE outbox_id = ANY ($1) AND outbox_id BETWEEN $2 AND $3",
		.arg_count = 3,
		.arg_types = types,
		.read_only = true,
	};
	int64		smallest = PG_INT64_MAX;
	int64		largest = 0;
	Datum		values[3];
	uint64		rows;
	Content    *contents;

	for (int i = 0; i < *count; i++)
	{
		smallest = Min(smallest, ids[i]);
		largest = Max(largest, ids[i]);
	}
	values[0] = parameters_ids(ids, *count);
	values[1] = Int64GetDatum(smallest);
	values[2] = Int64GetDatum(largest);
	rows = session_execute(&statement, values, NULL);
	contents = MemoryContextAllocZero(memory, sizeof(Content) * (rows + 1));
	for (uint64 i = 0; i < rows; i++)
	{
		contents[i] = (Content)
		{
			.outbox_id = column_int64(i, 1, 0),
				.held = column_bool(i, 2),
				.object_type = column_text(i, 3, memory),
				.object_id = column_text(i, 4, memory),
				.operation = column_text(i, 5, memory),
				.headers = column_text(i, 7, memory),
				.created_at = column_time(i, 8, 0),
				.traceparent = column_text(i, 9, memory),
				.tracestate = column_text(i, 10, memory),
		};
		contents[i].payload = column_bytes(i, 6, memory, &contents[i].payload_bytes);
	}
	/* several partitions come one after the other */
	qsort(contents, rows, sizeof(Content), compare_contents);
	*count = (int) rows;
	return contents;
}

void
statements_read_remote_ids(MemoryContext memory, int32 endpoint_id, Content **contents, int count)
{
	static const Oid types[] = {INT4OID, TEXTARRAYOID, TEXTARRAYOID};
	static Statement statement = {
		.text = "SELECT o.n::integer, s.remote_id"
		" FROM unnest($2, $3) WITH ORDINALITY AS o (object_type, object_id, n)"
		" CROSS JOIN LATERAL (SELECT x.remote_id FROM integration.sync_status x"
		" WHERE x.endpoint_id = $1 AND x.object_type = o.object_type"
		" AND x.object_id = o.object_id OFFSET 0) s",
		.arg_count = 3,
		.arg_types = types,
		.read_only = true,
	};
	Datum	   *object_types = palloc(sizeof(Datum) * (count + 1));
	Datum	   *object_ids = palloc(sizeof(Datum) * (count + 1));
	Datum		values[3] = {Int32GetDatum(endpoint_id)};
	uint64		rows;

	for (int i = 0; i < count; i++)
	{
		const Content *content = contents[i];

		object_types[i] = parameters_text(content->object_type ? content->object_type : "");
		object_ids[i] = parameters_text(content->object_id ? content->object_id : "");
	}
	values[1] = parameters_array(TEXTOID, object_types, NULL, count);
	values[2] = parameters_array(TEXTOID, object_ids, NULL, count);
	rows = session_execute(&statement, values, NULL);
	for (uint64 i = 0; i < rows; i++)
		contents[column_int32(i, 1, 1) - 1]->remote_id = column_text(i, 2, memory);
}

/* A scalar subquery and coalesce(): a join or a partial index could come to read all of it. */
int64 *
statements_find_changed(MemoryContext memory, const int64 *ids,
						const FullTransactionId *change_xids, int *count)
{
	static const Oid types[] = {INT8ARRAYOID, XID8ARRAYOID};
	static Statement statement = {
		.text = "SELECT i.outbox_id FROM unnest($1, $2) AS i (outbox_id, change_xid)"
		" WHERE (SELECT q.change_xid FROM integration.queue q"
		" WHERE q.outbox_id = i.outbox_id AND nullif(q.state, 'failed') IS NOT NULL)"
		" IS DISTINCT FROM i.change_xid",
		.arg_count = 2,
		.arg_types = types,
		.read_only = true,
	};
	Datum		values[] = {parameters_ids(ids, *count), xid_array(change_xids, *count)};
	uint64		rows = session_execute(&statement, values, NULL);
	int64	   *changed = MemoryContextAlloc(memory, sizeof(int64) * (rows + 1));

	for (uint64 i = 0; i < rows; i++)
		changed[i] = column_int64(i, 1, 0);
	*count = (int) rows;
	return changed;
}

int64 *
statements_mark(MemoryContext memory, const int64 *ids,
				const FullTransactionId *change_xids, bool leaves, int *count)
{
	static const Oid types[] = {INT8ARRAYOID, XID8ARRAYOID, BOOLOID};
	static Statement statement = {
		.text = "SELECT * FROM integration_worker.mark($1, $2, $3)",
		.arg_count = 3,
		.arg_types = types,
	};
	Datum		values[] = {
		parameters_ids(ids, *count), xid_array(change_xids, *count), BoolGetDatum(leaves)
	};
	uint64		rows = session_execute(&statement, values, NULL);
	int64	   *marked;

	marked = MemoryContextAlloc(memory, sizeof(int64) * (rows + 1));
	for (uint64 i = 0; i < rows; i++)
		marked[i] = column_int64(i, 1, 0);
	*count = (int) rows;
	return marked;
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
		parameters_ids(request->ids, request->count),
		parameters_ids(request->object_keys, request->count),
		parameters_ids(request->busy, request->busy_count),
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

ExpireResult
statements_expire(MemoryContext memory, uint32 shards, TimestampTz after)
{
	static const Oid types[] = {INT4OID, TIMESTAMPTZOID};
	static Statement statement = {
		.text = "SELECT e.done_until, e.next_at, n.outbox_id"
		" FROM integration_worker.expire($1, $2) e LEFT JOIN unnest(e.successors) AS n (outbox_id) ON true",
		.arg_count = 2,
		.arg_types = types,
	};
	Datum		values[] = {Int32GetDatum((int32) shards), TimestampTzGetDatum(after)};
	uint64		rows = session_execute(&statement, values, NULL);
	ExpireResult result = {
		.done_until = column_time(0, 1, after),
		.next_at = column_time(0, 2, 0),
		.successors = MemoryContextAlloc(memory, sizeof(int64) * rows),
	};

	for (uint64 i = 0; i < rows; i++)
	{
		if (!column_is_null(i, 3))
			result.successors[result.successor_count++] = column_int64(i, 3, 0);
	}
	return result;
}

bool
statements_forget_duplicates(void)
{
	static Statement statement = {.text = "SELECT integration_worker.forget_duplicates()"};

	session_execute(&statement, NULL, NULL);
	return column_bool(0, 1);
}

int64
statements_make_partitions(void)
{
	static Statement statement = {.text = "SELECT integration_worker.make_partitions()"};

	session_execute(&statement, NULL, NULL);
	return column_int64(0, 1, 0);
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
