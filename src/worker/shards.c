/*-------------------------------------------------------------------------
 * shards.c
 *		Which endpoints are this worker's, when it has them, when it gives them up.
 *
 * A shard belongs to whoever holds its session advisory lock, which the server
 * releases however the session ends.  To take one: lock, settle the marks that
 * a worker before left, read its endpoints from the beginning.  To give one up:
 * start nothing more, settle what is in flight, forget its endpoints, unlock.
 * Where a result can't be settled because somebody holds its row, the shard
 * stays and goes on being served until it can: another worker would send that
 * sync again.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "flow/ownership.h"
#include "store/lock.h"
#include "store/session.h"
#include "worker/publishing.h"
#include "worker/sender.h"
#include "worker/shards.h"
#include "worker/suspects.h"

#define LOCK_AGAIN_MS 500		/* whoever leaves one says so; this is for who
								 * could not */
#define RECOVER_AGAIN_MS 1000

typedef struct LockStep
{
	Sender	   *sender;
	uint32		taken;
} LockStep;

/* Look again where workers came or went. */
static void
notice_changes(Sender *sender)
{
	SharedState *shared = shared_state();
	uint32		changes = pg_atomic_read_u32(&shared->share_changes);

	if (changes == sender->locks.share_seen && sender->locks.again_at != 0)
		return;
	sender->locks.share_seen = changes;
	LWLockAcquire(shared->lock, LW_SHARED);
	sender->locks.share = ownership_of(sender->number, (int) pg_atomic_read_u32(&shared->goal),
									   shared_serving(sender->slot));
	LWLockRelease(shared->lock);
	sender->locks.again_at = sender->now;
}

/* ---- giving up */

static uint32
shards_of(dlist_head *leases, bool only_stuck)
{
	dlist_iter	iter;
	uint32		shards = 0;

	dlist_foreach(iter, leases)
	{
		Lease	   *lease = dlist_container(Lease, node, iter.cur);

		if (lease->is_stuck || !only_stuck)
			shards |= sender_shard(lease->endpoint->id);
	}
	return shards;
}

static uint32
stuck_shards(Sender *sender)
{
	return shards_of(&sender->stuck, true) | shards_of(&sender->answered, true);
}

static uint32
occupied_shards(Sender *sender)
{
	return shards_of(&sender->in_flight, false) | shards_of(&sender->answered, false) |
		shards_of(&sender->stuck, false);
}

/* What may start now: what this worker has and should have, or can't give up yet. */
static void
choose_served(Sender *sender)
{
	uint32		served = sender->locks.held & (sender->locks.share | stuck_shards(sender));
	uint32		ended = sender->shards & ~served;

	if (served & ~sender->shards)
	{
		/* what was dropped when it was to be given up is read again */
		sender->agenda.must_load = true;
		sender_note_expiry(sender, DT_NOBEGIN + 1);
	}
	sender->shards = served;
	if (ended != 0)
		sender_close_shards(sender, ended);
}

static void
leave_step(void *arg)
{
	LockStep   *step = arg;

	for (int shard = 0; shard < OWNERSHIP_SHARDS; shard++)
	{
		if (step->taken & (1U << shard))
			lock_leave(shard);
	}
}

static void
give_up(Sender *sender)
{
	LockStep	step = {
		.sender = sender,
		.taken = sender->locks.held & ~sender->shards & ~occupied_shards(sender),
	};

	if (step.taken == 0)
		return;
	sender_forget_shards(sender, step.taken);
	sender->locks.held &= ~step.taken;
	/* before the next owner shows them as its own */
	publishing_now(sender);
	if (!session_run(leave_step, &step))
		ereport(FATAL, errmsg("integration worker cannot leave shards of its endpoints"));
	ereport(DEBUG1, errmsg_internal("integration worker left shards %04x", step.taken));
	shared_announce_share(sender->slot);
}

/* ---- taking */

static void
lock_step(void *arg)
{
	LockStep   *step = arg;
	uint32		missing = step->sender->locks.share & ~step->sender->locks.held;

	for (int shard = 0; shard < OWNERSHIP_SHARDS; shard++)
	{
		if ((missing & (1U << shard)) != 0 && lock_take(shard))
			step->taken |= 1U << shard;
	}
}

static void
recover_taken_step(void *arg)
{
	LockStep   *step = arg;
	TimestampTz marked_before[OWNERSHIP_SHARDS];

	/* all that is marked there was marked by others, whatever the clock said */
	for (int shard = 0; shard < OWNERSHIP_SHARDS; shard++)
		marked_before[shard] = step->taken & (1U << shard) ? DT_NOEND : DT_NOBEGIN;
	(void) statements_recover(marked_before, OWNERSHIP_SHARDS);
	suspects_load(step->sender);

	/*
	 * what is sent because of another worker's results must not outlive them,
	 * however that worker ended
	 */
	session_flush_all();
}

static void
take(Sender *sender)
{
	LockStep	step = {.sender = sender};

	if ((sender->locks.share & ~sender->locks.held) == 0 || sender->locks.again_at > sender->now)
		return;
	sender->locks.again_at = TimestampTzPlusMilliseconds(sender->now, LOCK_AGAIN_MS);
	if (!session_run(lock_step, &step) && step.taken == 0)
		return;
	if (step.taken == 0)
		return;
	/* nothing may be sent before it is known what a worker before had sent */
	if (!session_run(recover_taken_step, &step))
	{
		sender->locks.again_at = TimestampTzPlusMilliseconds(sender->now, RECOVER_AGAIN_MS);
		if (!session_run(leave_step, &step))
			ereport(FATAL, errmsg("integration worker cannot leave shards of its endpoints"));
		return;
	}
	for (int shard = 0; shard < OWNERSHIP_SHARDS; shard++)
	{
		if (step.taken & (1U << shard))
			sender->locks.held_since[shard] = sender->now;
	}
	sender->locks.held |= step.taken;
	/* or the first look of the watchdogs would find that nobody sends */
	publishing_now(sender);
	ereport(DEBUG1, errmsg_internal("integration worker took shards %04x", step.taken));
}

void
shards_turn(Sender *sender)
{
	notice_changes(sender);
	if (sender->shards == sender->locks.share && sender->locks.held == sender->locks.share)
		return;
	choose_served(sender);
	give_up(sender);
	take(sender);
	choose_served(sender);
}

TimestampTz
shards_deadline(Sender *sender)
{
	uint32		leaving = sender->locks.held & ~sender->shards;

	/*
	 * asked each turn, while the leases are walked only where some are
	 * leaving
	 */
	if (leaving != 0 && (leaving & ~occupied_shards(sender)) != 0)
		return sender->now;
	return (sender->locks.share & ~sender->locks.held) != 0 ? sender->locks.again_at : DT_NOEND;
}

bool
shards_are_left(const Sender *sender)
{
	return sender->locks.share == 0 && sender->locks.held == 0 &&
		sender->number >= (int) pg_atomic_read_u32(&shared_state()->goal);
}

void
shards_recover(Sender *sender)
{
	TimestampTz marked_before[OWNERSHIP_SHARDS];

	for (int shard = 0; shard < OWNERSHIP_SHARDS; shard++)
		marked_before[shard] =
			sender->shards & (1U << shard) ? sender->locks.held_since[shard] : DT_NOBEGIN;
	/* what was given a new time is found again from the beginning */
	if (statements_recover(marked_before, OWNERSHIP_SHARDS) > 0)
		sender->agenda.must_rewind = true;
}
