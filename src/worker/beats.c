/*-------------------------------------------------------------------------
 * beats.c
 *		Which workers don't come round any more, as the launcher sees it.
 *
 * A worker that hangs can't report itself, and a client sees nothing but a queue
 * that grows.  What the launcher compares is whether the time of the worker's
 * last turn has changed, by a clock that nobody sets; one that sleeps because
 * nothing is due is woken in between, so that it has no reason not to turn.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "worker/beats.h"
#include "worker/launcher.h"
#include "worker/shared.h"

#define LOOKS 4					/* within the time that is allowed */

/* The last turn of the worker of one place, as it was seen. */
typedef struct Beat
{
	Oid			database;
	int			pid;			/* 0: nobody serves there */
	TimestampTz turn_at;
	instr_time	new_at;			/* when it was seen first */
	bool		is_silent;
} Beat;

typedef struct Turn
{
	int			pid;			/* 0: nobody serves there */
	TimestampTz at;
	char		activity[64];
} Turn;

static Beat *beats;

/* Who was silent under an earlier launcher may have gone on since: this one sees for itself. */
void
beats_begin(void)
{
	SharedState *shared = shared_state();

	beats = MemoryContextAllocZero(TopMemoryContext,
								   sizeof(Beat) * shared->slot_count * SHARED_WORKERS);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->slot_count; i++)
	{
		if (shared->slots[i].silent_until == 0)
			shared->slots[i].silent_since = 0;
	}
	LWLockRelease(shared->lock);
}

static Turn
read_turn(const WorkerSlot *worker)
{
	Turn		turn = {0};

	LWLockAcquire(shared_state()->lock, LW_SHARED);
	if (worker->state == WORKER_SERVING)
	{
		const LiveWorker *live = shared_live(worker);

		turn.pid = worker->pid;
		turn.at = live->last_turn_at;
		strlcpy(turn.activity, live->activity, sizeof(turn.activity));
	}
	LWLockRelease(shared_state()->lock);
	return turn;
}

/* Any worker of the database that turns writes it down; until is 0 while it lasts. */
static void
announce(DatabaseSlot *slot, const Beat *beat, TimestampTz until)
{
	LWLockAcquire(shared_state()->lock, LW_EXCLUSIVE);
	if (slot->database == beat->database)
	{
		if (slot->silent_since == 0)
			slot->silent_since = beat->turn_at;
		slot->silent_until = until;
	}
	LWLockRelease(shared_state()->lock);
	pg_atomic_fetch_add_u32(&slot->silence_changes, 1);
	shared_wake_workers(slot);
}

static bool
others_are_silent(const DatabaseSlot *slot)
{
	const Beat *of_slot = &beats[(slot - shared_state()->slots) * SHARED_WORKERS];

	for (int i = 0; i < SHARED_WORKERS; i++)
	{
		if (of_slot[i].is_silent)
			return true;
	}
	return false;
}

static void
end_silence(DatabaseSlot *slot, Beat *beat)
{
	beat->is_silent = false;
	ereport(LOG,
			errmsg("integration worker with PID %d has come round again, or ended", beat->pid));
	if (!others_are_silent(slot))
		announce(slot, beat, GetCurrentTimestamp());
}

static void
begin_silence(DatabaseSlot *slot, Beat *beat, const Turn *turn)
{
	char		name[NAMEDATALEN];

	beat->is_silent = true;
	if (!launcher_name_database(slot->database, name))
		return;
	ereport(WARNING,
			errmsg("integration worker of database \"%s\" with PID %d has not come round for %d s",
				   name, turn->pid, settings_silent_after_ms() / 1000),
			errdetail("Nothing of its endpoints is sent. The last it said: %s.", turn->activity),
			errhint("Look what the process waits for (pg_stat_activity, the state in ps: T is stopped, D waits for a disk). SELECT pg_terminate_backend(%d) has another one take over; nothing is lost.",
					turn->pid));
	announce(slot, beat, 0);
}

static void
look_at(DatabaseSlot *slot, WorkerSlot *worker, Beat *beat)
{
	Turn		turn = read_turn(worker);
	instr_time	now;
	instr_time	age;

	INSTR_TIME_SET_CURRENT(now);
	if (turn.pid != beat->pid || turn.at != beat->turn_at)
	{
		if (beat->is_silent)
			end_silence(slot, beat);
		*beat = (Beat)
		{
			.database = slot->database,
				.pid = turn.pid,
				.turn_at = turn.at,
				.new_at = now,
		};
		return;
	}
	if (turn.pid == 0 || beat->is_silent)
		return;
	age = now;
	INSTR_TIME_SUBTRACT(age, beat->new_at);
	if (INSTR_TIME_GET_MILLISEC(age) >= settings_silent_after_ms())
		begin_silence(slot, beat, &turn);
	else if (INSTR_TIME_GET_MILLISEC(age) >= settings_silent_after_ms() / 2)
		shared_wake(&worker->proc_number);
}

long
beats_look(void)
{
	SharedState *shared = shared_state();
	bool		serves = false;

	for (int i = 0; i < shared->slot_count * SHARED_WORKERS; i++)
	{
		DatabaseSlot *slot = &shared->slots[i / SHARED_WORKERS];

		if (slot->database == InvalidOid && beats[i].pid == 0)
			continue;
		look_at(slot, &slot->workers[i % SHARED_WORKERS], &beats[i]);
		serves = serves || beats[i].pid != 0;
	}
	return serves ? settings_silent_after_ms() / LOOKS : -1;
}
