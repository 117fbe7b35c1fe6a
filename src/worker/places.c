/*-------------------------------------------------------------------------
 * places.c
 *		Where reading goes on.
 *
 * Each endpoint has a cursor for each priority, which goes forward only, and
 * ranges for what turned up below; single rows are read by their ids.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/places.h"
#include "worker/sender.h"

#define RANGES_AT_MOST 64		/* of an endpoint */

static void
add_id(Sender *sender, Wanted *wanted, int64 outbox_id)
{
	if (wanted->count == wanted->room)
	{
		int			room = Max(SENDER_IDS, wanted->room * 2);

		wanted->ids = wanted->ids == NULL
			? MemoryContextAlloc(sender->memory, sizeof(int64) * room)
			: repalloc(wanted->ids, sizeof(int64) * room);
		wanted->room = room;
	}
	wanted->ids[wanted->count++] = outbox_id;
}

void
places_read_id(Sender *sender, int64 outbox_id)
{
	add_id(sender, &sender->wanted, outbox_id);
}

void
places_read_id_later(Sender *sender, int64 outbox_id)
{
	add_id(sender, &sender->wanted_later, outbox_id);
}

static void
rewind_cursor(Cursor *cursor, TimestampTz after_due)
{
	*cursor = (Cursor)
	{
		.after_due = after_due,
			.has_more = true,
			.next_due_at = DT_NOEND,
			.held_due =
		{
			DT_NOEND, DT_NOEND
		},
	};
}

static void
go_back(Endpoint *endpoint, int16 priority, TimestampTz after_due)
{
	Cursor	   *cursor = &endpoint->cursors[priority];
	Cursor		before = *cursor;

	if (after_due >= cursor->after_due)
		return;
	rewind_cursor(cursor, after_due);
	memcpy(cursor->held_due, before.held_due, sizeof(before.held_due));
}

void
places_free_range(Endpoint *endpoint, Range *range)
{
	dlist_delete(&range->node);
	endpoint->range_count--;
	pfree(range);
}

void
places_free_ranges(Endpoint *endpoint)
{
	while (!dlist_is_empty(&endpoint->ranges))
		places_free_range(endpoint, dlist_head_element(Range, node, &endpoint->ranges));
}

/* More ranges than are kept: the cursors go back to the first of their rows instead. */
static void
give_ranges_up(Endpoint *endpoint)
{
	TimestampTz first = DT_NOEND;

	while (!dlist_is_empty(&endpoint->ranges))
	{
		Range	   *range = dlist_head_element(Range, node, &endpoint->ranges);

		first = Min(first, range->after_due);
		places_free_range(endpoint, range);
	}
	for (int16 p = 0; p < PRIORITY_COUNT; p++)
		go_back(endpoint, p, first);
}

/* Whether reading on in the range comes to the row. */
static bool
leads_to(const Range *range, FullTransactionId change_xid, TimestampTz due_at, int64 outbox_id)
{
	return FullTransactionIdEquals(range->change_xid, change_xid) &&
		(range->after_due < due_at ||
		 (range->after_due == due_at && range->after_id < outbox_id));
}

void
places_defer(Sender *sender, Endpoint *endpoint, FullTransactionId change_xid,
			 TimestampTz due_at, int64 outbox_id)
{
	Range	   *added;

	sender_mark_hungry(sender, endpoint);
	if (!dlist_is_empty(&endpoint->ranges) &&
		leads_to(dlist_tail_element(Range, node, &endpoint->ranges),
				 change_xid, due_at, outbox_id))
		return;
	added = MemoryContextAlloc(sender->memory, sizeof(Range));
	*added = (Range)
	{
		.change_xid = change_xid,
			.after_due = due_at,
			.after_id = outbox_id - 1,
	};
	dlist_push_tail(&endpoint->ranges, &added->node);
	if (++endpoint->range_count > RANGES_AT_MOST)
		give_ranges_up(endpoint);
}

void
places_rewind_endpoint(Sender *sender, Endpoint *endpoint)
{
	places_free_ranges(endpoint);
	for (int p = 0; p < PRIORITY_COUNT; p++)
		rewind_cursor(&endpoint->cursors[p], DT_NOBEGIN);
	sender_mark_hungry(sender, endpoint);
}

void
places_rewind(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	Endpoint   *endpoint;

	hash_seq_init(&scan, sender->endpoints);
	while ((endpoint = hash_seq_search(&scan)) != NULL)
	{
		endpoint->planned_bytes = 0;
		places_rewind_endpoint(sender, endpoint);
	}
	sender->planned_bytes = 0;
	sender->wanted.count = 0;
	sender->wanted_later.count = 0;
}

void
places_pass_over(Endpoint *endpoint, int16 priority, TimestampTz due_at, Hold hold)
{
	TimestampTz *held_due = &endpoint->cursors[priority].held_due[hold];

	*held_due = Min(*held_due, due_at);
}

void
places_rewind_held(Sender *sender, Hold hold)
{
	HASH_SEQ_STATUS scan;
	Endpoint   *endpoint;

	hash_seq_init(&scan, sender->endpoints);
	while ((endpoint = hash_seq_search(&scan)) != NULL)
	{
		for (int16 p = 0; p < PRIORITY_COUNT; p++)
		{
			TimestampTz held_due = endpoint->cursors[p].held_due[hold];

			if (held_due == DT_NOEND)
				continue;
			endpoint->cursors[p].held_due[hold] = DT_NOEND;
			go_back(endpoint, p, held_due - 1);
			sender_mark_hungry(sender, endpoint);
		}
	}
}

bool
places_lies_ahead(const Cursor *cursor, TimestampTz due_at, int64 outbox_id)
{
	return due_at > cursor->after_due ||
		(due_at == cursor->after_due && outbox_id > cursor->after_id);
}

void
places_expect(Sender *sender, Endpoint *endpoint, int16 priority,
			  TimestampTz due_at, int64 outbox_id)
{
	Cursor	   *cursor = &endpoint->cursors[priority];

	if (places_lies_ahead(cursor, due_at, outbox_id))
		cursor->next_due_at = Min(cursor->next_due_at, due_at);
	else if (due_at <= sender->now)
	{
		places_read_id(sender, outbox_id);
		return;
	}
	else
		go_back(endpoint, priority, due_at - 1);
	sender_mark_hungry(sender, endpoint);
}
