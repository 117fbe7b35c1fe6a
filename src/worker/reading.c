/*-------------------------------------------------------------------------
 * reading.c
 *		When the worker reads, what for.
 *
 * A turn reads what has been announced, or what a safety look may find; one
 * with nothing to do costs no statement.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "store/session.h"
#include "worker/feeding.h"
#include "worker/hand.h"
#include "worker/places.h"
#include "worker/reading.h"
#include "worker/registry.h"
#include "worker/sender.h"
#include "worker/taking.h"

#define LOOK_EVERY_MS 10000
#define AGAIN_AFTER_ERROR_MS 1000

/*
 * Where an application commits row by row, ten thousand a second, a look for
 * each would take the processor that the application wants.  A few commits that
 * happen to come together are looked at at once all the same.
 */
#define FEEDS_PER_S 1000
#define FEEDS_AT_ONCE 5

/* The same where nothing of what was read may be sent: it is paused, closed, or later. */
#define HELD_FEEDS_PER_S 200

/* ---- people's changes */

/* What was cancelled must not leave any more; what was retried is another row now. */
static void
check_ready(Sender *sender)
{
	int			count = 0;
	int64	   *ids = palloc(sizeof(int64) * (sender->ready_count + 1));
	FullTransactionId *change_xids = palloc(sizeof(FullTransactionId) * (sender->ready_count + 1));
	int64	   *changed;
	HASH_SEQ_STATUS scan;
	Lease	   *lease;

	sender->agenda.must_check = false;
	hash_seq_init(&scan, sender->leases);
	while ((lease = sender_next_lease(&scan)) != NULL)
	{
		if (lease->state != LEASE_READY)
			continue;
		ids[count] = lease->outbox_id;
		change_xids[count++] = lease->change_xid;
	}
	if (count == 0)
		return;
	changed = statements_find_changed(sender->scratch, ids, change_xids, &count);
	for (int i = 0; i < count; i++)
	{
		sender_free_lease(sender, sender_lease(sender, changed[i]));
		places_read_id(sender, changed[i]);
	}
}

/* ---- the turn */

void
reading_init(Sender *sender)
{
	sender->agenda.feeds = bucket_make(FEEDS_PER_S, FEEDS_AT_ONCE, sender->now);
	sender->agenda.held_feeds = bucket_make(HELD_FEEDS_PER_S, FEEDS_AT_ONCE, sender->now);
}

static ExpireResult
expire(Sender *sender)
{
	ExpireResult result =
		statements_expire(sender->scratch, sender->shards, sender->agenda.expired_until);

	sender->agenda.expired_until = result.done_until;
	sender->agenda.expire_at = result.next_at == 0 ? DT_NOEND
		: Max(result.next_at, sender->now + USECS_PER_SEC);
	return result;
}

static bool
may_feed(const Sender *sender)
{
	return sender->agenda.must_feed && sender->agenda.feed_at <= sender->now;
}

/* One look more: the next one when the bucket has room again. */
static void
limit_feeds(Sender *sender, Bucket *bucket)
{
	(void) bucket_take(bucket, sender->now);
	sender->agenda.feed_at = Max(sender->agenda.feed_at, bucket_free_at_us(bucket, sender->now));
}

/* What is new, then what is due. */
static void
read_rows(Sender *sender)
{
	bool		feeds = may_feed(sender);

	if (feeds)
	{
		feeding_step(sender);
		sender->agenda.feed_at = sender->now;
		limit_feeds(sender, &sender->agenda.feeds);
	}
	/* the feed met a new endpoint */
	if (sender->agenda.must_load)
		registry_load(sender);
	if (sender->loading.memory != NULL)
		return;
	if (sender->agenda.must_rewind)
		places_rewind(sender);
	sender->agenda.must_rewind = false;
	taking_step(sender);
	if (feeds && sender->ready_count + sender->in_flight_count + sender->answered_count == 0)
		limit_feeds(sender, &sender->agenda.held_feeds);
}

/*
 * What changed while it was read is read at once, or changes without end would
 * keep rows from being read.
 */
static void
load_registry(Sender *sender)
{
	registry_load(sender);
	if (sender->loading.memory != NULL || !sender->agenda.must_load)
		return;
	do
		registry_load(sender);
	while (sender->loading.memory != NULL);
}

static void
read_step(void *arg)
{
	Sender	   *sender = arg;
	ExpireResult expired = {0};

	if (registry_must_load(sender))
		load_registry(sender);
	else if (sender->agenda.must_look)
		registry_look(sender);
	if (sender->agenda.expire_at <= sender->now)
		expired = expire(sender);
	if (sender->agenda.must_check)
		check_ready(sender);

	/*
	 * what was enqueued after a pause must not be read before the pause is,
	 * which may have come while the registry was read
	 */
	if (!registry_must_load(sender))
		read_rows(sender);

	/*
	 * in the next turn: this one's statements don't see that their heads have
	 * gone
	 */
	for (int i = 0; i < expired.successor_count; i++)
		places_read_id(sender, expired.successors[i]);
}

static void
begin_look(Sender *sender)
{
	sender->agenda.look_at = TimestampTzPlusMilliseconds(sender->now, LOOK_EVERY_MS);
	sender->agenda.must_feed = true;
	sender->agenda.must_look = true;
	sender->agenda.must_check = true;
	for (int i = 0; i < sender->wanted_later.count; i++)
		places_read_id(sender, sender->wanted_later.ids[i]);
	sender->wanted_later.count = 0;
}

/*
 * A head that a person closed, and a successor that committed while the person's
 * transaction ran: neither saw the other, so nothing has announced that the
 * successor may go.  A failed head can have a million behind it, so not at once
 * for each of a thousand statements.
 */
static void
look_back(Sender *sender)
{
	sender->agenda.must_look_back = false;
	sender->agenda.look_back_at = TimestampTzPlusMilliseconds(sender->now, LOOK_EVERY_MS);
	places_rewind_held(sender, HOLD_KEY);
}

static Endpoint *
first_sleeper(Sender *sender)
{
	return pairingheap_container(Endpoint, sleep_node, pairingheap_first(sender->sleepers));
}

static void
wake_sleepers(Sender *sender)
{
	while (!pairingheap_is_empty(sender->sleepers))
	{
		Endpoint   *first = first_sleeper(sender);

		if (first->wake_at > sender->now)
			return;
		sender_mark_hungry(sender, first);
	}
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

	if (rows != rows_seen || people != people_seen)
		sender->agenda.must_feed = true;
	if (people != people_seen)
		sender->agenda.must_check = sender->agenda.must_look_back = true;
	if (registry != registry_seen || sender->registry.resume_at <= sender->now)
		sender->agenda.must_load = true;
	rows_seen = rows;
	people_seen = people;
	registry_seen = registry;
	if (sender->now < sender->agenda.noticed_at - USECS_PER_SEC)
		sender_turn_back(sender);
	sender->agenda.noticed_at = sender->now;
	if (sender->agenda.look_at <= sender->now)
		begin_look(sender);
	if (sender->agenda.must_look_back && sender->agenda.look_back_at <= sender->now)
		look_back(sender);
	wake_sleepers(sender);
}

bool
reading_may_stop_ready(const Sender *sender)
{
	return registry_must_load(sender) || sender->agenda.must_look || sender->agenda.must_check ||
		sender->agenda.must_feed;
}

static bool
has_statement(const Sender *sender)
{
	return registry_must_load(sender) || sender->agenda.must_look || sender->agenda.must_check ||
		may_feed(sender) || sender->agenda.must_rewind || sender->wanted.count > 0 ||
		sender->agenda.expire_at <= sender->now;
}

static pg_atomic_uint32 *
looks_anyway(Sender *sender)
{
	return &sender->slot->workers[sender->number].looks_anyway;
}

void
reading_rest(Sender *sender)
{
	pg_atomic_write_u32(looks_anyway(sender), sender->agenda.must_feed ? 1 : 0);
}

/* Before the snapshot: who commits behind it wakes the worker again. */
static void
end_rest(Sender *sender)
{
	pg_atomic_write_u32(looks_anyway(sender), 0);
	pg_memory_barrier();
}

bool
reading_is_due(Sender *sender)
{
	notice_changes(sender);
	return sender->sql_again_at <= sender->now &&
		(has_statement(sender) || taking_next(sender, NULL) != NULL);
}

void
reading_now(Sender *sender)
{
	MemoryContext caller = MemoryContextSwitchTo(sender->scratch);

	end_rest(sender);
	if (!session_run(read_step, sender))
	{
		/* what was read is uncertain: begin anew, a little later */
		hand_set_making(0);
		sender->agenda.must_load = true;
		sender->agenda.must_check = true;
		sender->agenda.must_rewind = true;
		sender->agenda.must_feed = true;
		sender->agenda.expire_at = sender->now;
		sender->agenda.expired_until = DT_NOBEGIN;
		sender->sql_again_at = TimestampTzPlusMilliseconds(sender->now, AGAIN_AFTER_ERROR_MS);
	}
	MemoryContextSwitchTo(caller);
}

TimestampTz
reading_deadline(Sender *sender)
{
	TimestampTz deadline = Min(sender->agenda.look_at,
							   Min(sender->agenda.expire_at, sender->registry.resume_at));

	if (registry_must_load(sender) || taking_next(sender, NULL) != NULL)
		return Max(sender->now, sender->sql_again_at);
	if (sender->agenda.must_feed)
		deadline = Min(deadline, sender->agenda.feed_at);
	if (!pairingheap_is_empty(sender->sleepers))
		deadline = Min(deadline, first_sleeper(sender)->wake_at);
	return Max(deadline, sender->sql_again_at);
}
