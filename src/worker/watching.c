/*-------------------------------------------------------------------------
 * watching.c
 *		The watchdogs look, now and then.
 *
 * The worker that has the first shard runs them, one in a turn of the loop and
 * each in a transaction of its own: an error of it holds up nothing else, nor
 * does one that takes long, for long.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/session.h"
#include "store/watchdogs.h"
#include "worker/watching.h"

#define LOOK_EVERY_MS 60000
#define SOON_MS 1000			/* after incidents changed: they may escalate */
#define MOST_MS 2000

typedef struct Silence
{
	TimestampTz since;
	TimestampTz until;			/* 0: it lasts */
} Silence;

static struct
{
	uint32		seen;			/* of the slot's incident_changes */
	uint32		seen_silence;	/* of its silence_changes */
	Watchdog   *watchdogs;
	int			count;			/* 0: they are not read yet */
	TimestampTz read_at;		/* 0: at once */
}			state;

static void
list_step(void *arg)
{
	int			count;

	state.watchdogs = watchdogs_list(TopMemoryContext, &count);
	/* only now: what was thrown on the way leaves none */
	state.count = count;
}

static void
look_step(void *arg)
{
	Watchdog   *watchdog = arg;

	watchdog->look_at = watchdogs_look(watchdog->name);
}

/* Those that it is for, and not at each of many changes. */
static void
note_changes(const Sender *sender)
{
	uint32		changes = pg_atomic_read_u32(&sender->slot->incident_changes);
	TimestampTz soon = TimestampTzPlusMilliseconds(sender->now, SOON_MS);

	if (changes == state.seen)
		return;
	state.seen = changes;
	for (int i = 0; i < state.count; i++)
	{
		if (state.watchdogs[i].is_hurried)
			state.watchdogs[i].look_at = Min(state.watchdogs[i].look_at, soon);
	}
}

static void
silence_step(void *arg)
{
	const Silence *silence = arg;

	watchdogs_note_silence(silence->since, silence->until);
}

/* What is on record and over is no longer to be said. */
static void
forget_silence(DatabaseSlot *slot, const Silence *silence)
{
	LWLockAcquire(shared_state()->lock, LW_EXCLUSIVE);
	if (slot->silent_until == silence->until)
		slot->silent_since = slot->silent_until = 0;
	LWLockRelease(shared_state()->lock);
}

/* Of this worker or another one of the database, found by the launcher. */
static void
note_silence(const Sender *sender)
{
	uint32		changes = pg_atomic_read_u32(&sender->slot->silence_changes);
	Silence		silence;

	if (changes == state.seen_silence)
		return;
	state.seen_silence = changes;
	LWLockAcquire(shared_state()->lock, LW_SHARED);
	silence.since = sender->slot->silent_since;
	silence.until = sender->slot->silent_until;
	LWLockRelease(shared_state()->lock);
	if (silence.since == 0)
		return;
	if (session_run(silence_step, &silence) && silence.until != 0)
		forget_silence(sender->slot, &silence);
}

static void
read_watchdogs(TimestampTz again_at)
{
	state.read_at = again_at;
	(void) session_run(list_step, NULL);
}

/* The one that has waited longest, or has to look next. */
static Watchdog *
next_watchdog(void)
{
	Watchdog   *next = NULL;

	for (int i = 0; i < state.count; i++)
	{
		if (next == NULL || state.watchdogs[i].look_at < next->look_at)
			next = &state.watchdogs[i];
	}
	return next;
}

/* A clock that was set back must not keep them from looking. */
static void
look_within(TimestampTz at)
{
	for (int i = 0; i < state.count; i++)
		state.watchdogs[i].look_at = Min(state.watchdogs[i].look_at, at);
}

void
watching_turn(const Sender *sender)
{
	TimestampTz latest = TimestampTzPlusMilliseconds(sender->now, LOOK_EVERY_MS);
	Watchdog   *next;

	if (!sender_owns(sender, 0) || sender->sql_again_at > sender->now)
		return;
	note_silence(sender);
	if (state.count == 0 && state.read_at <= sender->now)
		read_watchdogs(latest);
	note_changes(sender);
	look_within(latest);
	next = next_watchdog();
	if (next == NULL || next->look_at > sender->now)
		return;
	next->look_at = latest;
	(void) session_run_within(look_step, next, MOST_MS);
}

TimestampTz
watching_deadline(const Sender *sender)
{
	const Watchdog *next = next_watchdog();

	if (!sender_owns(sender, 0))
		return DT_NOEND;
	return Max(next == NULL ? state.read_at : next->look_at, sender->sql_again_at);
}
