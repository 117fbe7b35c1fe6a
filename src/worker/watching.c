/*-------------------------------------------------------------------------
 * watching.c
 *		The watchdogs look, now and then.
 *
 * The worker that has the first shard runs them in a transaction of its own: an
 * error of it holds up nothing else, nor does one that takes long, for long.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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
	TimestampTz look_at;		/* 0: at once */
}			state;

static void
look_step(void *arg)
{
	TimestampTz *again_at = arg;

	*again_at = watchdogs_look();
}

/* Not at each of many changes. */
static void
note_changes(const Sender *sender)
{
	uint32		changes = pg_atomic_read_u32(&sender->slot->incident_changes);

	if (changes == state.seen)
		return;
	state.seen = changes;
	state.look_at = Min(state.look_at, TimestampTzPlusMilliseconds(sender->now, SOON_MS));
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

void
watching_turn(const Sender *sender)
{
	if (!sender_owns(sender, 0) || sender->sql_again_at > sender->now)
		return;
	note_silence(sender);
	note_changes(sender);
	/* a clock that was set back must not keep them from looking */
	state.look_at = Min(state.look_at, TimestampTzPlusMilliseconds(sender->now, LOOK_EVERY_MS));
	if (state.look_at > sender->now)
		return;
	state.look_at = TimestampTzPlusMilliseconds(sender->now, LOOK_EVERY_MS);
	(void) session_run_within(look_step, &state.look_at, MOST_MS);
}

TimestampTz
watching_deadline(const Sender *sender)
{
	if (!sender_owns(sender, 0))
		return DT_NOEND;
	return Max(state.look_at, sender->sql_again_at);
}
