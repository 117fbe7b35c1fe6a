/*-------------------------------------------------------------------------
 * announcing.c
 *		People are told of incidents.
 *
 * What changed an incident has left a row behind in its own transaction.  From
 * there the worker that has the first shard goes in three transactions: who is
 * told, the notices into the outbox, NOTIFY.  So what fails of one holds up
 * neither the others nor the sender.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "store/notices.h"
#include "store/session.h"
#include "worker/announcing.h"

#define LOOK_EVERY_MS 10000
#define DISTRIBUTED_MOST 10		/* the loop turns between two lots */
#define COMPANY_MS 200			/* that notices wait for the next lot */
#define AGAIN_MS 1000			/* the lock of NOTIFY was not to be had, or a
								 * statement failed */

static struct
{
	bool		is_ours;		/* since it was last looked, by having the
								 * first shard */
	uint32		seen;			/* of the slot's incident_changes */
	uint32		seen_back;		/* of the times that the clock went back */
	bool		must_notify;
	TimestampTz look_at;		/* 0: it has not looked yet */
	TimestampTz send_at;		/* a digest is due; DT_NOEND: none is */
	TimestampTz notify_at;		/* not before */
}			state = {.send_at = DT_NOEND};

static void
distribute_step(void *arg)
{
	int		   *count = arg;

	*count = notices_distribute(DISTRIBUTED_MOST);
}

static void
send_step(void *arg)
{
	TimestampTz *again_at = arg;

	*again_at = notices_send();
}

static void
notify_step(void *arg)
{
	bool	   *is_left = arg;

	*is_left = notices_notify();
}

/* What another worker has left that had the first shard, or a clock that ran ahead, is done now. */
static void
take_over(const Sender *sender)
{
	state.is_ours = true;
	state.seen_back = sender->agenda.turns_back;
	state.must_notify = true;
	state.look_at = sender->now;
	state.send_at = sender->now;
	state.notify_at = sender->now;
}

static void
distribute(TimestampTz now)
{
	int			count = 0;

	state.look_at = TimestampTzPlusMilliseconds(now, LOOK_EVERY_MS);
	if (!session_run(distribute_step, &count))
	{
		state.look_at = TimestampTzPlusMilliseconds(now, AGAIN_MS);
		return;
	}
	if (count == 0)
		return;
	state.must_notify = true;
	if (count < DISTRIBUTED_MOST)
	{
		state.send_at = now;
		return;
	}
	/* there may be more, which belongs into the same digest */
	state.look_at = now;
	state.send_at = Min(state.send_at, TimestampTzPlusMilliseconds(now, COMPANY_MS));
}

static void
send_due(TimestampTz now)
{
	if (!session_run(send_step, &state.send_at))
		state.send_at = TimestampTzPlusMilliseconds(now, AGAIN_MS);
}

static void
notify_all(TimestampTz now)
{
	if (session_run(notify_step, &state.must_notify))
		return;
	state.notify_at = TimestampTzPlusMilliseconds(now, AGAIN_MS);
}

void
announcing_turn(const Sender *sender)
{
	uint32		changes = pg_atomic_read_u32(&sender->slot->incident_changes);

	state.is_ours = state.is_ours && sender_owns(sender, 0);
	if (!sender_owns(sender, 0) || sender->sql_again_at > sender->now)
		return;
	if (!state.is_ours || state.seen_back != sender->agenda.turns_back)
		take_over(sender);
	if (changes != state.seen || state.look_at <= sender->now)
	{
		state.seen = changes;
		distribute(sender->now);
	}
	if (state.send_at <= sender->now)
		send_due(sender->now);
	if (state.must_notify && state.notify_at <= sender->now)
		notify_all(sender->now);
}

TimestampTz
announcing_deadline(const Sender *sender)
{
	TimestampTz deadline = Min(state.look_at, state.send_at);

	if (!sender_owns(sender, 0))
		return DT_NOEND;
	if (state.must_notify)
		deadline = Min(deadline, state.notify_at);
	return Max(deadline, sender->sql_again_at);
}
