/*-------------------------------------------------------------------------
 * taking.c
 *		Rows that are due, into leases.
 *
 * Reads go forward only: a cursor for each endpoint and priority, ranges for
 * what turned up below it.  First come the narrow rows of the queue; what fits
 * into the worker's memory is then read whole.  Endpoints with nothing to read
 * cost nothing: they sleep in a heap until a known time, or until something
 * happens.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/settings.h"
#include "store/telemetry.h"
#include "worker/coalescing.h"
#include "worker/exporting.h"
#include "worker/keys.h"
#include "worker/places.h"
#include "worker/sender.h"
#include "worker/taking.h"

/*
 * Of the memory that the worker may take, for what it holds of syncs; the rest
 * is for a batch being read, answers, what the allocator can't give back, and
 * the 16 MiB of a process that does nothing.
 */
#define HELD_32NDS 11

#define TAKE_SOURCES 256		/* in one statement */
#define TAKE_ROWS 800
#define PROBE_READY 2			/* a probe has one to choose from */
#define READY_IN_ALL 4096		/* rows held for all endpoints together, so
								 * that a take is worth its while */
#define READY_AT_MOST 256		/* for one of them */
#define READY_AT_LEAST 16

/* Where rows of a take come from. */
typedef struct Source
{
	Endpoint   *endpoint;
	Cursor	   *cursor;			/* NULL: it is a range */
	Range	   *range;
	int			seen;
	bool		is_stopped;		/* what comes next does not fit */
} Source;

typedef struct Take
{
	Sender	   *sender;
	int			source_count;
	int			rows;			/* asked for */
	TakeSource	asked[TAKE_SOURCES];
	Source		sources[TAKE_SOURCES];
	const TakenRow **chosen;
	int			chosen_count;
	const TakenRow **deferred;	/* read by id, and there was no room */
	int			deferred_count;
} Take;

/* ---- room */

int
taking_target(const Sender *sender, const Endpoint *endpoint)
{
	int			share = READY_IN_ALL / Max(sender->leasing_count, 1);
	int			least = Max(READY_AT_LEAST, 2 * (int) endpoint->window.size);

	if (endpoint->is_probing)
		return PROBE_READY;
	return Max(least, Min(share, READY_AT_MOST));
}

bool
taking_affords(const Sender *sender, const Endpoint *endpoint, size_t payload_bytes)
{
	size_t		budget = settings_worker_memory_bytes() / 32 * HELD_32NDS;
	size_t		share = budget / Max(sender->leasing_count + 1, 2);
	size_t		held = sender->held_bytes + sender->planned_bytes;
	size_t		own = endpoint->held_bytes + endpoint->planned_bytes;
	size_t		needed = sender_row_bytes((int32) payload_bytes);

	if (held == 0)
		return true;
	return held + needed <= budget && (own == 0 || own + needed <= share);
}

/* All rows of a take are in memory twice for a moment. */
static bool
fits_batch(const Sender *sender, int32 payload_bytes)
{
	size_t		planned = sender->planned_bytes;

	return planned == 0 ||
		planned + sender_row_bytes(payload_bytes) <= settings_worker_memory_bytes() / 16;
}

/* ---- who has something to read */

static bool
wants_priority(const Sender *sender, Endpoint *endpoint, int16 priority)
{
	return endpoint->ready_count <= taking_target(sender, endpoint) / 2 ||
		(!endpoint->is_probing && dlist_is_empty(&endpoint->ready[priority][LEASE_FIRST]) &&
		 dlist_is_empty(&endpoint->ready[priority][LEASE_RETRY]));
}

/* They hold rows of all priorities. */
static bool
wants_ranges(const Sender *sender, const Endpoint *endpoint)
{
	return !dlist_is_empty((dlist_head *) &endpoint->ranges) &&
		endpoint->ready_count <= taking_target(sender, endpoint) / 2;
}

/* When to read for the endpoint; DT_NOEND: not before something happens. */
static TimestampTz
next_read_at(const Sender *sender, Endpoint *endpoint)
{
	TimestampTz at = DT_NOEND;

	if (endpoint->lease_count > 0 && !taking_affords(sender, endpoint, endpoint->needed_bytes))
		return DT_NOEND;
	for (int16 p = 0; p < PRIORITY_COUNT; p++)
	{
		const Cursor *cursor = &endpoint->cursors[p];

		if (wants_priority(sender, endpoint, p))
			at = Min(at, cursor->has_more ? sender->now : cursor->next_due_at);
	}
	if (wants_ranges(sender, endpoint))
		at = sender->now;
	return at == DT_NOEND ? at : Max(at, sender_closed_until(sender, endpoint));
}

Endpoint *
taking_next(Sender *sender, Endpoint *after)
{
	dlist_head *hungry = &sender->hungry;

	while (after == NULL ? !dlist_is_empty(hungry) : dlist_has_next(hungry, &after->hungry_node))
	{
		dlist_node *node = after == NULL ? dlist_head_node(hungry)
			: dlist_next_node(hungry, &after->hungry_node);
		Endpoint   *endpoint = dlist_container(Endpoint, hungry_node, node);
		TimestampTz at = next_read_at(sender, endpoint);

		if (at > sender->now)
			sender_sleep_until(sender, endpoint, at);
		/* no memory is left: its turn comes first when there is */
		else if (!taking_affords(sender, endpoint, endpoint->needed_bytes))
			return NULL;
		else
			return endpoint;
	}
	return NULL;
}

/* ---- take */

static void
plan_source(Take *take, const Source *source, const TakeSource *asked)
{
	take->sources[take->source_count] = *source;
	take->asked[take->source_count++] = *asked;
	take->rows += asked->limit;
}

static void
plan_ranges(Take *take, Endpoint *endpoint, int wanted)
{
	dlist_iter	iter;

	dlist_foreach(iter, &endpoint->ranges)
	{
		Range	   *range = dlist_container(Range, node, iter.cur);
		Source		source = {.endpoint = endpoint,.range = range};
		TakeSource	asked = {
			.endpoint_id = endpoint->id,
			.change_xid = range->change_xid,
			.after_due = range->after_due,
			.after_id = range->after_id,
			.limit = wanted,
		};

		if (take->rows >= TAKE_ROWS || take->source_count == TAKE_SOURCES)
			return;
		plan_source(take, &source, &asked);
	}
}

static void
plan_endpoint(Take *take, Endpoint *endpoint, int most)
{
	Sender	   *sender = take->sender;
	int			wanted = taking_target(sender, endpoint) - endpoint->ready_count;
	int			least = endpoint->is_probing ? PROBE_READY : READY_AT_LEAST;
	TakeSource	asked = {
		.endpoint_id = endpoint->id,
		.limit = Max(Min(wanted, most), least),
	};
	Source		source = {.endpoint = endpoint};

	for (int16 p = 0; p < PRIORITY_COUNT; p++)
	{
		Cursor	   *cursor = &endpoint->cursors[p];

		if (!wants_priority(sender, endpoint, p) ||
			(!cursor->has_more && cursor->next_due_at > sender->now))
			continue;
		source.cursor = cursor;
		asked.priority = p;
		asked.after_due = cursor->after_due;
		asked.after_id = cursor->after_id;
		plan_source(take, &source, &asked);
		cursor->next_due_at = DT_NOEND;
	}
	if (wants_ranges(sender, endpoint))
		plan_ranges(take, endpoint, asked.limit);
}

/* As many endpoints as there are share a statement: each one costs more than the rows it has. */
static void
plan_take(Take *take)
{
	Endpoint   *endpoints[TAKE_ROWS / READY_AT_LEAST];
	Endpoint   *endpoint = NULL;
	int			count = 0;

	while (count < lengthof(endpoints) &&
		   (endpoint = taking_next(take->sender, endpoint)) != NULL)
		endpoints[count++] = endpoint;
	for (int i = 0; i < count && take->rows < TAKE_ROWS &&
		 take->source_count < TAKE_SOURCES - PRIORITY_COUNT; i++)
		plan_endpoint(take, endpoints[i], TAKE_ROWS / count);
}

/* Whether there is room for the row; where there is none it is read again. */
static bool
admits(Take *take, Endpoint *endpoint, Source *source, const TakenRow *row)
{
	Sender	   *sender = take->sender;
	bool		is_affordable = taking_affords(sender, endpoint, row->payload_bytes);

	if (is_affordable && fits_batch(sender, row->payload_bytes))
		return true;
	if (!is_affordable)
		endpoint->needed_bytes = row->payload_bytes;
	if (source != NULL)
		source->is_stopped = true;
	else if (is_affordable)
		places_read_id(sender, row->outbox_id);
	else
		take->deferred[take->deferred_count++] = row;
	return false;
}

static void
move_on(Source *source, const TakenRow *row)
{
	if (source == NULL)
		return;
	source->seen++;
	if (source->cursor != NULL)
	{
		source->cursor->after_due = row->due_at;
		source->cursor->after_id = row->outbox_id;
		return;
	}
	source->range->after_due = row->due_at;
	source->range->after_id = row->outbox_id;
}

static void
choose(Take *take, Endpoint *endpoint, const TakenRow *row)
{
	size_t		bytes = sender_row_bytes(row->payload_bytes);

	endpoint->planned_bytes += bytes;
	take->sender->planned_bytes += bytes;
	take->chosen[take->chosen_count++] = row;
}

static bool
may_lease(Sender *sender, const TakenRow *row)
{
	Lease	   *lease = sender_lease(sender, row->outbox_id);

	if (row->held || row->crowded)
		return false;
	if (lease == NULL)
		return keys_are_free(sender, row);
	lease->must_reread = false;
	return false;
}

static void
apply_taken_row(Take *take, const TakenRow *row)
{
	Sender	   *sender = take->sender;
	Source	   *source = row->source == 0 ? NULL : &take->sources[row->source - 1];
	bool		is_wanted;
	Endpoint   *endpoint;

	/* read by its id, its shard was given up meanwhile */
	if (!sender_owns(sender, row->endpoint_id))
		return;
	if (source != NULL && source->is_stopped)
		return;
	endpoint = sender_endpoint(sender, row->endpoint_id);
	if (row->due_at > sender->now ||
		(source != NULL && source->cursor == NULL &&
		 places_lies_ahead(&endpoint->cursors[row->priority], row->due_at, row->outbox_id)))
	{
		/* the cursor comes to it in time */
		places_expect(sender, endpoint, row->priority, row->due_at, row->outbox_id);
		if (source != NULL && source->cursor == NULL)
			move_on(source, row);
		return;
	}
	is_wanted = may_lease(sender, row);
	if (is_wanted && !admits(take, endpoint, source, row))
		return;
	move_on(source, row);
	if (row->crowded)
		coalescing_note(sender, row);
	if (row->held && row->keys[KEY_ORDERING] != 0)
		places_pass_over(endpoint, row->priority, row->due_at, HOLD_KEY);
	if (row->expires_at <= sender->now)
		sender_note_expiry(sender, row->expires_at);
	if (is_wanted)
		choose(take, endpoint, row);
}

/*
 * A cursor that came to its end goes on from the present, not once more over
 * what is finished or not committed yet.
 */
static void
end_read(const Sender *sender, Cursor *cursor, bool has_more)
{
	cursor->has_more = has_more;
	if (has_more || cursor->after_due >= sender->now)
		return;
	cursor->after_due = sender->now;
	cursor->after_id = PG_INT64_MAX;
}

static void
finish_source(Take *take, int place)
{
	Sender	   *sender = take->sender;
	Source	   *source = &take->sources[place];
	Endpoint   *endpoint = source->endpoint;
	bool		has_more = source->is_stopped || source->seen >= take->asked[place].limit;

	if (source->cursor != NULL)
		end_read(sender, source->cursor, has_more);
	else if (!has_more)
		places_free_range(endpoint, source->range);
	/* the others are next */
	if (!endpoint->is_hungry)
		return;
	dlist_delete(&endpoint->hungry_node);
	dlist_push_tail(&sender->hungry, &endpoint->hungry_node);
}

static void
defer_rows(Take *take)
{
	for (int i = 0; i < take->deferred_count; i++)
	{
		const TakenRow *row = take->deferred[i];
		Endpoint   *endpoint = sender_endpoint(take->sender, row->endpoint_id);

		places_defer(take->sender, endpoint, row->change_xid, row->due_at, row->outbox_id);
	}
}

/* ---- what requests are made of */

static Content *
find_content(Content *contents, int count, int64 outbox_id)
{
	int			low = 0;
	int			high = count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (contents[middle].outbox_id < outbox_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && contents[low].outbox_id == outbox_id ? &contents[low] : NULL;
}

/* For all rows of the endpoint of this one. */
static void
add_remote_ids(Take *take, const Endpoint *endpoint, Content **contents)
{
	Content   **own = palloc(sizeof(Content *) * take->chosen_count);
	int			count = 0;

	for (int i = 0; i < take->chosen_count; i++)
	{
		if (take->chosen[i]->endpoint_id == endpoint->id && contents[i] != NULL &&
			contents[i]->object_id != NULL)
			own[count++] = contents[i];
	}
	if (count > 0)
		statements_read_remote_ids(take->sender->scratch, endpoint->id, own, count);
}

static void
lease_row(Take *take, Endpoint *endpoint, const TakenRow *row, const Content *content)
{
	size_t		bytes = sender_row_bytes(row->payload_bytes);

	endpoint->planned_bytes -= bytes;
	endpoint->needed_bytes = 0;
	take->sender->planned_bytes -= bytes;
	if (content == NULL)
		return;
	if (content->held)
		places_pass_over(endpoint, row->priority, row->due_at, HOLD_PAUSE);
	else
		sender_add_lease(take->sender, endpoint, row, content);
}

/* Its payload names what is told: that is put in its place. */
static void
lease_telemetry(Take *take, Endpoint *endpoint, const TakenRow *row, Content *content)
{
	RestClock	start = exporting_clock();

	if (content != NULL)
		telemetry_render(take->sender->scratch, content);
	lease_row(take, endpoint, row, content);
	exporting_spend(start);
}

static void
lease_chosen(Take *take)
{
	int			count = take->chosen_count;
	int64	   *ids = palloc(sizeof(int64) * (count + 1));
	Content   **contents = palloc(sizeof(Content *) * (count + 1));
	Content    *found;
	int32		last_endpoint = 0;

	if (count == 0)
		return;
	for (int i = 0; i < count; i++)
		ids[i] = take->chosen[i]->outbox_id;
	found = statements_read(take->sender->scratch, ids, &count);
	for (int i = 0; i < take->chosen_count; i++)
		contents[i] = find_content(found, count, ids[i]);
	for (int i = 0; i < take->chosen_count; i++)
	{
		Endpoint   *endpoint = sender_endpoint(take->sender, take->chosen[i]->endpoint_id);

		/* rows of one source come together */
		if (endpoint->needs_remote_id && endpoint->id != last_endpoint)
			add_remote_ids(take, endpoint, contents);
		last_endpoint = endpoint->id;
	}
	for (int i = 0; i < take->chosen_count; i++)
	{
		Endpoint   *endpoint = sender_endpoint(take->sender, take->chosen[i]->endpoint_id);

		if (exporting_goes_to(endpoint))
			lease_telemetry(take, endpoint, take->chosen[i], contents[i]);
		else
			lease_row(take, endpoint, take->chosen[i], contents[i]);
	}
}

static void
forget_first(Wanted *wanted, int count)
{
	wanted->count -= count;
	if (wanted->count > 0)
		memmove(wanted->ids, wanted->ids + count, sizeof(int64) * wanted->count);
}

void
taking_step(Sender *sender)
{
	Take	   *take = palloc0(sizeof(Take));
	int			id_count = Min(sender->wanted.count, SENDER_BATCH);
	TakeRequest request = {
		.sources = take->asked,
		.id_count = id_count,
		.ids = sender->wanted.ids,
		.async_xid = &shared_state()->async_xid,
	};
	int			count;
	TakenRow   *rows;

	take->sender = sender;
	plan_take(take);
	if (take->source_count == 0 && id_count == 0)
		return;
	request.source_count = take->source_count;
	rows = statements_take(sender->scratch, &request, &count);
	take->chosen = palloc(sizeof(TakenRow *) * (count + 1));
	take->deferred = palloc(sizeof(TakenRow *) * (count + 1));
	forget_first(&sender->wanted, id_count);
	for (int i = 0; i < count; i++)
		apply_taken_row(take, &rows[i]);
	for (int i = 0; i < take->source_count; i++)
		finish_source(take, i);
	defer_rows(take);
	lease_chosen(take);
}
