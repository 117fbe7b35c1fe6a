/*-------------------------------------------------------------------------
 * aftermath.c
 *		What a worker does about crashes of those before it.
 *
 * A worker that crashes has the whole server restarted.  After the first time
 * the next one goes on at once; where it happens again and again they wait ever
 * longer, so that the server does something else, too.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/crash_log.h"
#include "store/session.h"
#include "worker/aftermath.h"
#include "worker/extension.h"
#include "worker/hand.h"

#define LOOK_AGAIN_MS 2000

typedef struct NoteStep
{
	DatabaseSlot *slot;
	Remnant    *remnants;
	int			count;
	MemoryContext memory;
} NoteStep;

typedef struct NamesStep
{
	const Crash *crash;
	char	   *names;			/* NULL: none */
	MemoryContext memory;
} NamesStep;

typedef struct ResumeStep
{
	int			crashes;
	TimestampTz resume_at;
} ResumeStep;

static void
find_step(void *arg)
{
	NoteStep   *step = arg;
	MemoryContext caller = MemoryContextSwitchTo(step->memory);

	step->remnants = hand_find_remnants(step->slot, &step->count);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < step->count; i++)
	{
		if (step->remnants[i].is_crash)
			crash_log_note(&step->remnants[i].crash);
	}
}

static void
resume_step(void *arg)
{
	ResumeStep *step = arg;

	step->resume_at = crash_log_resume_at(&step->crashes);
}

static void
names_step(void *arg)
{
	NamesStep  *step = arg;

	step->names = crash_log_names(step->crash, step->memory);
}

static const char *
list_syncs(const Crash *crash)
{
	NamesStep	step = {.crash = crash,.memory = CurrentMemoryContext};

	if (!session_run(names_step, &step))
		return "syncs that cannot be read";
	return step.names == NULL ? "nothing" : step.names;
}

static void
report(const Crash *crash, const ResumeStep *resume)
{
	const char *syncs = list_syncs(crash);
	long		wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), resume->resume_at);

	ereport(WARNING,
			errcode(ERRCODE_CRASH_SHUTDOWN),
			errmsg("integration worker of database \"%s\" crashed; sending goes on in %ld s",
				   extension_database(), (wait_ms + 999) / 1000),
			errdetail("Crash %d in a row. Process %d had in hand: %s.",
					  resume->crashes, crash->pid, syncs),
			errhint("The lines above say what ended that process. A sync that is in hand at three crashes is set aside as failed, with the reason worker_crash."));
}

/* The files go once what they say is durable: the worker's commits are flushed, by its settings. */
static void
note(NoteStep *step, ResumeStep *resume)
{
	if (!session_run(find_step, step) || !session_run(resume_step, resume))
		return;
	for (int i = 0; i < step->count; i++)
	{
		if (step->remnants[i].is_crash)
			report(&step->remnants[i].crash, resume);
		(void) unlink(step->remnants[i].path);
	}
}

static void
wait_until(DatabaseSlot *slot, int number, ResumeStep *resume)
{
	char		activity[sizeof(((LiveWorker *) NULL)->activity)];
	long		wait_ms;

	snprintf(activity, sizeof(activity), "waits after %d crashes in a row", resume->crashes);
	shared_say(&slot->workers[number], activity);
	while (!ShutdownRequestPending &&
		   (wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  resume->resume_at)) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(wait_ms, LOOK_AGAIN_MS), compat_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		/* somebody may have had it forget */
		(void) session_run(resume_step, resume);
	}
}

void
aftermath_await(DatabaseSlot *slot, int number)
{
	NoteStep	step = {.slot = slot,.memory = CurrentMemoryContext};
	ResumeStep	resume = {0};

	note(&step, &resume);
	if (resume.resume_at > GetCurrentTimestamp())
		wait_until(slot, number, &resume);
}
