/*-------------------------------------------------------------------------
 * adoption.c
 *		A copied database waits until somebody takes over.
 *
 * The original may still be there and send the same.  SQL decides what is a
 * copy (sql/adoption.sql); a worker that finds itself in one does nothing at
 * all: it neither sends nor removes what is old, since the database may be in
 * the middle of a restore, or be there to be looked at.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "store/session.h"
#include "store/statements.h"
#include "worker/adoption.h"
#include "worker/extension.h"

#define LOOK_EVERY_MS 10000		/* COMMIT PREPARED announces nothing */
#define ACTIVITY "waits for SELECT integration.adopt(): this is a copy"

typedef struct LookStep
{
	MemoryContext memory;
	Adoption	adoption;
} LookStep;

static void
look_step(void *arg)
{
	LookStep   *step = arg;

	step->adoption = statements_look_for_copy(step->memory);
}

static void
wait_for_change(DatabaseSlot *slot, uint32 seen)
{
	while (!ShutdownRequestPending && !ConfigReloadPending &&
		   !extension_may_have_changed(slot) &&
		   pg_atomic_read_u32(&slot->registry_changes) == seen)
	{
		int			events;

		CHECK_FOR_INTERRUPTS();
		events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   LOOK_EVERY_MS, compat_wait_event());
		ResetLatch(MyLatch);
		if (events & WL_TIMEOUT)
			return;
	}
}

/* Once for each cause: a worker that waits looks again and again. */
static void
report(const Adoption *adoption)
{
	static char reported[1024] = "";

	if (adoption->renewed != NULL)
		ereport(LOG,
				errmsg("integration goes on in database \"%s\": %s",
					   extension_database(), adoption->renewed));
	if (adoption->problem == NULL || strcmp(reported, adoption->problem) == 0)
		return;
	strlcpy(reported, adoption->problem, sizeof(reported));
	ereport(WARNING,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("integration sends nothing from database \"%s\": it is a copy",
				   extension_database()),
			errdetail("%s", adoption->problem),
			errhint("An administrator runs it in this database; what applications enqueue waits until then."));
}

/* What was there at the start, or the process ends. */
static Adoption
look(DatabaseSlot *slot, MemoryContext memory)
{
	LookStep	step = {.memory = memory};

	if (!extension_look(slot))
		proc_exit(1);
	if (!extension_exists())
		proc_exit(0);
	if (!extension_fits() || !session_run(look_step, &step))
		proc_exit(1);
	return step.adoption;
}

void
adoption_await(DatabaseSlot *slot, int number)
{
	MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "integration adoption",
												 ALLOCSET_SMALL_SIZES);

	while (!ShutdownRequestPending)
	{
		uint32		seen = pg_atomic_read_u32(&slot->registry_changes);
		Adoption	adoption;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		adoption = look(slot, memory);
		report(&adoption);
		if (adoption.problem == NULL)
			break;
		shared_say(&slot->workers[number], ACTIVITY);
		wait_for_change(slot, seen);
		MemoryContextReset(memory);
	}
	if (ShutdownRequestPending)
		proc_exit(0);
	MemoryContextDelete(memory);
}
