/*-------------------------------------------------------------------------
 * feeding.c
 *		What became visible since the last look.
 *
 * A row that lies ahead of its cursor needs nothing but a note of when it is
 * due.  One that turns up below is read by its id, or, where the endpoint has
 * no room, through a range.  Of a flood only the first rows of each transaction
 * and endpoint are looked at, some groups a turn: the index has them in the
 * order of their due_at, so the last of these tells where the rest lies.  What
 * others commit meanwhile is looked at before each of these bites, unless it is
 * a flood again: that waits for the end of this one.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

#include "flow/ownership.h"
#include "worker/feeding.h"
#include "worker/keys.h"
#include "worker/places.h"
#include "worker/sender.h"
#include "worker/taking.h"

#define FLOOD_GROUPS 50			/* in one turn */
#define FOLLOWED_GROUPS 200		/* where nothing else is looked at meanwhile */
#define FLOOD_ROWS 8			/* of each group; one more tells of the rest */

/* Nothing is known to be due between the cursor and the row, so the row may be read by its id. */
static bool
follows_cursor(const Sender *sender, const Cursor *cursor, const FeedRow *row)
{
	return !cursor->has_more && row->due_at <= sender->now && cursor->next_due_at > row->due_at;
}

static bool
has_room(const Sender *sender, const Endpoint *endpoint, int16 priority, int most_ids)
{
	TimestampTz closed_until = sender_closed_until(sender, endpoint);

	/* a ping asks whether the endpoint is well again */
	if (priority == PRIORITY_PING && closed_until == endpoint->not_before)
		closed_until = 0;
	return closed_until == 0 && endpoint->is_listed && sender->wanted.count < most_ids &&
		endpoint->ready_count < taking_target(sender, endpoint) &&
		taking_affords(sender, endpoint, 0);
}

/* Replace what was read before somebody changed the row. */
static void
drop_outdated(Sender *sender, const FeedRow *row)
{
	Lease	   *lease = sender_lease(sender, row->outbox_id);

	if (lease != NULL && lease->state == LEASE_READY &&
		!FullTransactionIdEquals(lease->change_xid, row->change_xid))
		sender_free_lease(sender, lease);
}

/*
 * Of a flood no more is read by ids than the next take reads: what others commit
 * would wait behind it.  Nor does what they commit move a cursor past what has
 * not been looked at.
 */
static void
apply_row(Sender *sender, const FeedRow *row, bool is_flood)
{
	Endpoint   *endpoint = sender_endpoint(sender, row->endpoint_id);
	Cursor	   *cursor = &endpoint->cursors[row->priority];
	bool		is_ahead = places_lies_ahead(cursor, row->due_at, row->outbox_id);

	if (!endpoint->is_listed)
		sender->agenda.must_load = true;
	sender_note_expiry(sender, row->expires_at);
	keys_outdate(sender, row->object_key, row->outbox_id);
	drop_outdated(sender, row);
	if (row->due_at > sender->now || (is_ahead && !follows_cursor(sender, cursor, row)))
		places_expect(sender, endpoint, row->priority, row->due_at, row->outbox_id);
	else if (sender_lease(sender, row->outbox_id) != NULL)
		return;
	else if (has_room(sender, endpoint, row->priority, is_flood ? SENDER_BATCH : SENDER_IDS))
	{
		places_read_id(sender, row->outbox_id);
		if (!is_ahead || (!is_flood && sender->feeding.flood.present != NULL))
			return;
		cursor->after_due = row->due_at;
		cursor->after_id = row->outbox_id;
	}
	else if (is_ahead)
		places_expect(sender, endpoint, row->priority, row->due_at, row->outbox_id);
	else
		places_defer(sender, endpoint, row->change_xid, row->due_at, row->outbox_id);
}

static void
keep_snapshot(Sender *sender, char **kept, const char *snapshot)
{
	char	   *copy = snapshot == NULL ? NULL : MemoryContextStrdup(sender->memory, snapshot);

	if (*kept != NULL)
		pfree(*kept);
	*kept = copy;
}

/* The rest of a group, from this row on: all is due at or after it, whatever the priority. */
static void
apply_rest(Sender *sender, const FeedRow *row)
{
	Endpoint   *endpoint = sender_endpoint(sender, row->endpoint_id);
	bool		is_below = false;

	for (int16 p = 0; p < PRIORITY_COUNT; p++)
	{
		if (places_lies_ahead(&endpoint->cursors[p], row->due_at, row->outbox_id))
			places_expect(sender, endpoint, p, row->due_at, row->outbox_id);
		else
			is_below = true;
	}
	if (is_below)
		places_defer(sender, endpoint, row->change_xid, row->due_at, row->outbox_id);
}

static bool
is_same_group(const FeedRow *a, const FeedRow *b)
{
	return a->endpoint_id == b->endpoint_id &&
		FullTransactionIdEquals(a->change_xid, b->change_xid);
}

static void
begin_flood(Sender *sender, const char *present)
{
	Flood	   *flood = &sender->feeding.flood;

	keep_snapshot(sender, &flood->previous, sender->feeding.snapshot);
	keep_snapshot(sender, &flood->present, present);
	flood->after_xid = InvalidFullTransactionId;
	flood->after_endpoint = 0;

	/*
	 * rows that are jumped over may expire, or have already, or be newer than
	 * others; all of them can be seen from now on
	 */
	sender_note_expiry(sender, DT_NOBEGIN + 1);
	keys_outdate_all(sender);
}

static void
end_flood(Sender *sender)
{
	keep_snapshot(sender, &sender->feeding.flood.previous, NULL);
	keep_snapshot(sender, &sender->feeding.flood.present, NULL);
}

static void
apply_flood(Sender *sender, const Feed *feed)
{
	Flood	   *flood = &sender->feeding.flood;
	int			place = 0;

	for (int i = 0; i < feed->count; i++)
	{
		const FeedRow *row = &feed->rows[i];

		place = i > 0 && is_same_group(row, row - 1) ? place + 1 : 0;
		flood->after_xid = row->change_xid;
		flood->after_endpoint = row->endpoint_id;
		if (row->outbox_id == 0)
			continue;
		if (place == FLOOD_ROWS)
			apply_rest(sender, row);
		else
			apply_row(sender, row, true);
	}
}

/* Those of other workers' shards are stepped over, and count. */
static int
groups_in_bite(const Sender *sender)
{
	int			groups = sender->feeding.flood.is_followed ? FOLLOWED_GROUPS : FLOOD_GROUPS;

	return groups * OWNERSHIP_SHARDS / Max(pg_popcount32(sender->shards), 1);
}

static void
read_flood(Sender *sender)
{
	const Flood *flood = &sender->feeding.flood;
	FloodRequest request = {
		.previous = flood->previous,
		.present = flood->present,
		.after_xid = flood->after_xid,
		.after_endpoint = flood->after_endpoint,
		.groups = groups_in_bite(sender),
		.group_rows = FLOOD_ROWS + 1,
		.shards = sender->shards,
	};
	Feed		feed = statements_flood(sender->scratch, &request);

	apply_flood(sender, &feed);
	if (!feed.overflow)
		end_flood(sender);
}

/* Whether it was looked at, or is the flood now; a second flood stays where it is. */
static bool
read_feed(Sender *sender)
{
	char	   *snapshot = sender->feeding.snapshot;
	bool		is_first = snapshot == NULL;
	Feed		feed = statements_feed(sender->scratch, &snapshot, SENDER_IDS, sender->shards);

	if (feed.overflow && !is_first)
	{
		if (sender->feeding.flood.present != NULL)
			return false;
		begin_flood(sender, snapshot);
	}
	else
	{
		if (is_first)
			sender->agenda.must_rewind = true;
		for (int i = 0; i < feed.count; i++)
			apply_row(sender, &feed.rows[i], false);
	}
	keep_snapshot(sender, &sender->feeding.snapshot, snapshot);
	return true;
}

void
feeding_step(Sender *sender)
{
	Flood	   *flood = &sender->feeding.flood;

	if (flood->present == NULL || !flood->is_followed)
		flood->is_followed = !read_feed(sender);
	if (flood->present != NULL)
		read_flood(sender);
	sender->agenda.must_feed = flood->present != NULL || flood->is_followed;
}
