/*-------------------------------------------------------------------------
 * reading.c
 *		What the worker reads: the registry, what is new, what is due.
 *
 * Reads go forward only.  What is new is found by comparing snapshots; what
 * is due, by a cursor for each endpoint and priority.  A row that turns up
 * below its cursor is read by its id, or, when there are too many, the cursor
 * goes back to it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "store/session.h"
#include "worker/sender.h"

#define LOOK_EVERY_MS 10000
#define AGAIN_AFTER_ERROR_MS 1000
#define TAKE_CURSORS 256		/* in one statement */
#define PROBE_READY 2			/* a probe has one to choose from */
#define READY_AT_LEAST 64		/* rows held for an endpoint, so that a take
								 * is worth its while */

/* ---- registry */

static void
apply_endpoint(Sender *sender, const EndpointRow *row)
{
	Endpoint   *endpoint;
	bool		is_new;

	if (!sender_owns(sender, row->id))
		return;
	endpoint = sender_endpoint(sender, row->id);
	is_new = endpoint->row.name == NULL;
	endpoint->row = *row;
	endpoint->is_listed = true;
	endpoint->format = request_format_of(row->format);
	endpoint->options = (TransferOptions)
	{
		.connect_timeout_ms = row->connect_timeout_ms,
			.timeout_ms = row->timeout_ms,
			.allow_http = row->allow_http,
			.idempotent = row->idempotent,
			.isolation = (uint64_t) row->id,
	};
	endpoint->not_before = row->not_before;
	endpoint->is_probing = strcmp(row->state, "closed") != 0;
	if (row->tripped_by != 0)
		endpoint->last_retried = row->tripped_by;
	/* somebody resumed it */
	if (row->since > endpoint->paced_at)
		pace_forget(&endpoint->pace);
	/* it may have been closed when it was left out of the busy ones */
	sender_mark_busy(sender, endpoint);
	if (is_new)
	{
		endpoint->window = window_make(row->max_concurrency);
		endpoint->bucket = bucket_make(row->rate_limit, row->rate_burst, sender->now);
		endpoint->counter.failures = row->failures;
		endpoint->counter.minute_at = sender->now;
		if (row->since != 0)
			endpoint->trust = row->failures == 0 ? TRUST_ANSWERS : TRUST_SILENT;
		return;
	}
	window_resize(&endpoint->window, row->max_concurrency);
	bucket_resize(&endpoint->bucket, row->rate_limit, row->rate_burst, sender->now);
}

static void
load_registry(Sender *sender)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "integration registry",
												 ALLOCSET_DEFAULT_SIZES);
	HASH_SEQ_STATUS scan;
	Endpoint   *endpoint;
	int			count;
	EndpointRow *rows = statements_endpoints(memory, &count);
	TimestampTz resume_at = statements_next_resume();

	/* after an error above it would have gone with the transaction */
	MemoryContextSetParent(memory, sender->memory);
	hash_seq_init(&scan, sender->endpoints);
	while ((endpoint = hash_seq_search(&scan)) != NULL)
		endpoint->is_listed = false;
	for (int i = 0; i < count; i++)
		apply_endpoint(sender, &rows[i]);
	sender->resume_at = resume_at == 0 ? DT_NOEND : resume_at;
	MemoryContextDelete(sender->registry_memory);
	sender->registry_memory = memory;
	if (sender->must_load)
	{
		/* requests that were made under the old settings are made again */
		sender_drop_ready(sender);
		sender->must_rewind = true;
	}
	sender->must_load = false;
	sender->must_refresh = false;
}

/* ---- room */

/* What a row may take at most, with what the request is made of. */
static size_t
row_bytes(const Endpoint *endpoint)
{
	return (size_t) endpoint->row.max_payload_bytes + 4096;
}

/* Rows that still fit into the worker's memory beside what is about to be read. */
static int
affordable_rows(const Sender *sender, const Endpoint *endpoint, size_t planned_bytes)
{
	size_t		budget = settings_worker_memory_bytes() / 2;
	size_t		held = sender->held_bytes + planned_bytes;
	size_t		rows = held < budget ? (budget - held) / row_bytes(endpoint) : 0;

	if (rows == 0)
		return sender->ready_count + sender->in_flight_count == 0 && planned_bytes == 0 ? 1 : 0;
	return rows > SENDER_BATCH ? SENDER_BATCH : (int) rows;
}

/* ---- feed */

static void
apply_feed_row(Sender *sender, const FeedRow *row)
{
	Endpoint   *endpoint;
	Cursor	   *cursor;

	if (!sender_owns(sender, row->endpoint_id))
		return;
	endpoint = sender_endpoint(sender, row->endpoint_id);
	cursor = &endpoint->cursors[row->priority];
	if (!endpoint->is_listed)
		sender->must_load = true;
	sender->expire_at = Min(sender->expire_at, row->expires_at);
	keys_outdate(sender, row->object_key, row->outbox_id);
	if (sender_lies_ahead(cursor, row->due_at, row->outbox_id) ||
		sender->id_count >= affordable_rows(sender, endpoint, 0) ||
		sender_closed_until(sender, endpoint) != 0)
		sender_expect(sender, endpoint, row->priority, row->due_at, row->outbox_id);
	else if (sender_lease(sender, row->outbox_id) == NULL)
		sender->ids[sender->id_count++] = row->outbox_id;
}

static void
read_feed(Sender *sender)
{
	char	   *snapshot = sender->snapshot;
	Feed		feed = statements_feed(sender->scratch, &snapshot, SENDER_IDS);

	if (feed.overflow)
	{
		sender->must_rewind = true;
		sender->expire_at = sender->now;
		keys_outdate_all(sender);
	}
	else
	{
		for (int i = 0; i < feed.count; i++)
			apply_feed_row(sender, &feed.rows[i]);
	}
	snapshot = MemoryContextStrdup(sender->memory, snapshot);
	if (sender->snapshot != NULL)
		pfree(sender->snapshot);
	sender->snapshot = snapshot;
	sender->must_feed = false;
	sender->look_at = TimestampTzPlusMilliseconds(sender->now, LOOK_EVERY_MS);
}

/* ---- take */

/* Rows to hold for an endpoint: enough to keep its window full between two takes. */
static int
ready_target(const Endpoint *endpoint)
{
	int			windows = 4 * (int) endpoint->window.size;

	if (endpoint->is_probing)
		return PROBE_READY;
	return windows > READY_AT_LEAST ? windows : READY_AT_LEAST;
}

static bool
has_due_rows(const Sender *sender, const Endpoint *endpoint)
{
	for (int p = 0; p < PRIORITY_COUNT; p++)
	{
		if (endpoint->cursors[p].has_more || endpoint->cursors[p].next_due_at <= sender->now)
			return true;
	}
	return false;
}

/* How many rows to read for the endpoint now; 0: none. */
static int
rows_wanted(const Sender *sender, const Endpoint *endpoint, size_t planned_bytes)
{
	int			target = ready_target(endpoint);

	if (!has_due_rows(sender, endpoint) || sender_closed_until(sender, endpoint) != 0 ||
		endpoint->ready_count > target / 2)
		return 0;
	return Min(target - endpoint->ready_count, affordable_rows(sender, endpoint, planned_bytes));
}

static int
list_cursors(Sender *sender, TakeCursor *cursors)
{
	dlist_iter	iter;
	int			count = 0;
	int			rows = 0;
	size_t		planned_bytes = 0;

	dlist_foreach(iter, &sender->busy)
	{
		Endpoint   *endpoint = dlist_container(Endpoint, busy_node, iter.cur);
		int			wanted = rows_wanted(sender, endpoint, planned_bytes);

		for (int p = 0; wanted > 0 && p < PRIORITY_COUNT; p++)
		{
			Cursor	   *cursor = &endpoint->cursors[p];

			if (!cursor->has_more && cursor->next_due_at > sender->now)
				continue;
			cursors[count++] = (TakeCursor)
			{
				.endpoint_id = endpoint->id,
					.priority = p,
					.after_due = cursor->after_due,
					.after_id = cursor->after_id,
					.limit = wanted,
			};
			rows += wanted;
			planned_bytes += wanted * row_bytes(endpoint);
			wanted = rows_wanted(sender, endpoint, planned_bytes);
		}
		if (count > TAKE_CURSORS - PRIORITY_COUNT || rows >= SENDER_BATCH)
			break;
	}
	return count;
}

static void
apply_taken_row(Sender *sender, const TakenRow *row)
{
	Endpoint   *endpoint;
	Cursor	   *cursor;

	/* read by its id, its shard was given up meanwhile */
	if (!sender_owns(sender, row->endpoint_id))
		return;
	endpoint = sender_endpoint(sender, row->endpoint_id);
	cursor = &endpoint->cursors[row->priority];
	if (row->outbox_id == 0)
	{
		cursor->next_due_at = row->due_at;
		return;
	}
	if (!row->by_id)
	{
		cursor->taken++;
		cursor->after_due = row->due_at;
		cursor->after_id = row->outbox_id;
	}
	if (row->expires_at <= sender->now)
		sender->expire_at = sender->now;
	if (row->crowded)
		coalescing_note(sender, row);
	else if (!row->held)
		sender_add_lease(sender, endpoint, row);
}

static Cursor *
taken_cursor(Sender *sender, const TakeCursor *asked)
{
	return &sender_endpoint(sender, asked->endpoint_id)->cursors[asked->priority];
}

static void
begin_cursor(Cursor *cursor)
{
	cursor->next_due_at = DT_NOEND;
	cursor->taken = 0;
}

static void
read_due(Sender *sender)
{
	TakeCursor	cursors[TAKE_CURSORS];
	int			cursor_count = list_cursors(sender, cursors);
	TakeRequest request = {
		.cursor_count = cursor_count,
		.cursors = cursors,
		.id_count = sender->id_count,
		.ids = sender->ids,
	};
	int			count;
	TakenRow   *rows;

	if (cursor_count == 0 && sender->id_count == 0)
		return;
	rows = statements_take(sender->scratch, &request, &count);
	sender->id_count = 0;
	for (int c = 0; c < cursor_count; c++)
		begin_cursor(taken_cursor(sender, &cursors[c]));
	for (int i = 0; i < count; i++)
		apply_taken_row(sender, &rows[i]);
	for (int c = 0; c < cursor_count; c++)
	{
		Cursor	   *cursor = taken_cursor(sender, &cursors[c]);

		cursor->has_more = cursor->taken >= cursors[c].limit;
	}
}

/* ---- the turn */

static void
read_step(void *arg)
{
	Sender	   *sender = arg;

	if (sender->must_load || sender->must_refresh)
		load_registry(sender);
	if (sender->expire_at <= sender->now)
	{
		TimestampTz next = statements_expire(sender->shards);

		sender->expire_at = next == 0 ? DT_NOEND : Max(next, sender->now + USECS_PER_SEC);
	}
	if (sender->must_feed)
		read_feed(sender);
	if (sender->must_load)
		load_registry(sender);
	if (sender->must_rewind)
		sender_rewind(sender);
	sender->must_rewind = false;
	read_due(sender);
}

/* Take note of what was announced through shared memory. */
static void
notice_changes(Sender *sender)
{
	static uint32 rows_seen = 0;
	static uint32 people_seen = 0;
	static uint32 registry_seen = 0;
	DatabaseSlot *slot = sender->slot;
	uint32		rows = pg_atomic_read_u32(&slot->rows_changes);
	uint32		people = pg_atomic_read_u32(&slot->people_changes);
	uint32		registry = pg_atomic_read_u32(&slot->registry_changes);

	if (rows != rows_seen)
		sender->must_feed = true;
	if (registry != registry_seen || sender->resume_at <= sender->now)
		sender->must_load = true;
	if (people != people_seen)
	{
		/*
		 * what was cancelled must not leave any more; what was retried lies
		 * anywhere
		 */
		sender_drop_ready(sender);
		sender->must_rewind = true;
		sender->must_feed = true;
	}
	if (sender->look_at <= sender->now)
	{
		sender->must_feed = true;
		sender->must_refresh = true;
		sender->must_rewind = sender->must_rewind || sender->rewind_at_look;
		sender->rewind_at_look = false;
	}
	rows_seen = rows;
	people_seen = people;
	registry_seen = registry;
}

static bool
wants_rows(Sender *sender)
{
	dlist_iter	iter;

	dlist_foreach(iter, &sender->busy)
	{
		if (rows_wanted(sender, dlist_container(Endpoint, busy_node, iter.cur), 0) > 0)
			return true;
	}
	return false;
}

void
reading_turn(Sender *sender)
{
	MemoryContext caller;

	notice_changes(sender);
	if (sender->sql_again_at > sender->now)
		return;
	if (!sender->must_load && !sender->must_feed && !sender->must_rewind && sender->id_count == 0 &&
		sender->expire_at > sender->now && !wants_rows(sender))
		return;
	caller = MemoryContextSwitchTo(sender->scratch);
	if (!session_run(read_step, sender))
	{
		/* what was read is uncertain: begin anew, a little later */
		sender->must_load = true;
		sender->must_rewind = true;
		sender->must_feed = true;
		sender->sql_again_at = TimestampTzPlusMilliseconds(sender->now, AGAIN_AFTER_ERROR_MS);
	}
	MemoryContextSwitchTo(caller);
}

/* When the endpoint's next row could be read; DT_NOEND: none is known. */
static TimestampTz
next_read_at(Sender *sender, Endpoint *endpoint)
{
	TimestampTz due = DT_NOEND;

	if (endpoint->ready_count > ready_target(endpoint) / 2)
		return DT_NOEND;
	for (int p = 0; p < PRIORITY_COUNT; p++)
	{
		Cursor	   *cursor = &endpoint->cursors[p];

		due = Min(due, cursor->has_more ? sender->now : cursor->next_due_at);
	}
	return due == DT_NOEND ? due : Max(due, sender_closed_until(sender, endpoint));
}

TimestampTz
reading_deadline(Sender *sender)
{
	TimestampTz deadline = Min(sender->look_at, Min(sender->expire_at, sender->resume_at));
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &sender->busy)
	{
		Endpoint   *endpoint = dlist_container(Endpoint, busy_node, iter.cur);
		TimestampTz next = next_read_at(sender, endpoint);

		/* no memory is left: what frees some wakes the worker by itself */
		if (next <= sender->now && affordable_rows(sender, endpoint, 0) == 0)
			continue;
		deadline = Min(deadline, next);
		if (next == DT_NOEND && endpoint->ready_count + endpoint->in_flight == 0)
		{
			endpoint->is_busy = false;
			dlist_delete(iter.cur);
		}
	}
	return Max(deadline, sender->sql_again_at);
}
