/*-------------------------------------------------------------------------
 * upkeep.c
 *		What a worker does beside sending, a small step at a time.
 *
 * Each step is a transaction of its own: what can't be done now waits a minute,
 * and nothing else does.  What is for all endpoints is done by the worker that
 * has the first shard.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "store/earlier.h"
#include "store/session.h"
#include "worker/retaining.h"
#include "worker/sender.h"
#include "worker/shards.h"
#include "worker/upkeep.h"

#define EVERY_MS 60000
#define FORGET_AGAIN_MS 100
#define AGAIN_AFTER_ERROR_MS 1000
#define RANGES_AGAIN_MS 5000

static bool
serves_all(const Sender *sender)
{
	return sender_owns(sender, 0);
}

static void
look_back_step(void *arg)
{
	Sender	   *sender = arg;

	sender->upkeep.is_turning_back = earlier_clock_was_ahead();
	sender->upkeep.turned_back_to = 0;
	sender->upkeep.has_looked_back = true;
}

static void
turn_back_step(void *arg)
{
	Sender	   *sender = arg;

	if (earlier_turn_back(sender->shards, &sender->upkeep.turned_back_to) > 0)
		sender->agenda.must_rewind = true;
	sender->upkeep.is_turning_back = sender->upkeep.turned_back_to != 0;
}

/* The clock may have been set back while no worker was there to see it. */
static void
turn_back(Sender *sender)
{
	if (sender->shards == 0 || sender->sql_again_at > sender->now)
		return;
	if ((!sender->upkeep.has_looked_back && !session_run(look_back_step, sender)) ||
		(sender->upkeep.is_turning_back && !session_run(turn_back_step, sender)))
		sender->sql_again_at = TimestampTzPlusMilliseconds(sender->now, AGAIN_AFTER_ERROR_MS);
}

static void
recover_step(void *arg)
{
	shards_recover(arg);
}

static void
partitions_step(void *arg)
{
	Sender	   *sender = arg;

	sender->upkeep.ranges_from = statements_make_partitions();
}

static bool
wants_range(const Sender *sender)
{
	return serves_all(sender) && sender->upkeep.highest_id >= sender->upkeep.ranges_from;
}

/* In time for a bulk: what finds no range is in the way of the next one's attaching. */
static void
make_ranges(Sender *sender)
{
	if (!wants_range(sender) || sender->upkeep.ranges_at > sender->now)
		return;
	sender->upkeep.ranges_at = TimestampTzPlusMilliseconds(sender->now, RANGES_AGAIN_MS);
	(void) session_run(partitions_step, sender);
}

static void
maintain(Sender *sender)
{
	if (sender->upkeep.maintain_at > sender->now)
		return;
	sender->upkeep.maintain_at = TimestampTzPlusMilliseconds(sender->now, EVERY_MS);
	/* whatever was read: a pause may hold what is inserted */
	sender->upkeep.ranges_from = 0;
	(void) session_run(recover_step, sender);
}

static void
retain(Sender *sender)
{
	if (sender->upkeep.retain_at > sender->now)
		return;
	sender->upkeep.retain_at = TimestampTzPlusMilliseconds(sender->now, EVERY_MS);
	retaining_start(sender->slot);
}

static void
forget_step(void *arg)
{
	Sender	   *sender = arg;

	if (statements_forget_duplicates())
		sender->upkeep.forget_at = TimestampTzPlusMilliseconds(sender->now, FORGET_AGAIN_MS);
}

static void
forget(Sender *sender)
{
	if (sender->upkeep.forget_at > sender->now)
		return;
	sender->upkeep.forget_at = TimestampTzPlusMilliseconds(sender->now, EVERY_MS);
	(void) session_run(forget_step, sender);
}

void
upkeep_turn(Sender *sender)
{
	turn_back(sender);
	maintain(sender);
	make_ranges(sender);
	if (!serves_all(sender))
		return;
	retain(sender);
	forget(sender);
}

TimestampTz
upkeep_deadline(const Sender *sender)
{
	TimestampTz deadline = sender->upkeep.maintain_at;

	if (sender->upkeep.is_turning_back && sender->shards != 0)
		return Max(sender->now, sender->sql_again_at);
	if (wants_range(sender))
		deadline = Min(deadline, sender->upkeep.ranges_at);
	if (!serves_all(sender))
		return deadline;
	return Min(deadline, Min(sender->upkeep.retain_at, sender->upkeep.forget_at));
}
