/*-------------------------------------------------------------------------
 * extension.c
 *		What the worker's database has of the extension, as last looked.
 *
 * A package that is upgraded brings another library at the next restart, while
 * the objects stay as they are until ALTER EXTENSION … UPDATE.  The worker
 * reads rows of theirs by position, so it compares versions before it runs any
 * other statement.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"

#include "base/compat.h"
#include "store/session.h"
#include "store/installed.h"
#include "worker/extension.h"

#define LOOK_AGAIN_MS 10000

static Installed installed = {.id = InvalidOid};
static Oid	id_at_start = InvalidOid;
static uint32 registry_changes_at_look = 0;
static uint32 changes_at_look = 0;

static void
look_step(void *arg)
{
	DatabaseSlot *slot = arg;

	/* before the look: what is announced during it counts for the next */
	registry_changes_at_look = pg_atomic_read_u32(&slot->registry_changes);
	changes_at_look = pg_atomic_read_u32(&slot->extension_changes);
	installed = installed_read();
	if (!OidIsValid(id_at_start))
		id_at_start = installed.id;
}

bool
extension_look(DatabaseSlot *slot)
{
	return session_run(look_step, slot);
}

bool
extension_exists(void)
{
	return OidIsValid(installed.id) && installed.id == id_at_start;
}

bool
extension_fits(void)
{
	return strcmp(installed.version, INTEGRATION_VERSION) == 0;
}

bool
extension_may_have_changed(DatabaseSlot *slot)
{
	return pg_atomic_read_u32(&slot->extension_changes) != changes_at_look;
}

bool
extension_wants_worker(DatabaseSlot *slot)
{
	return OidIsValid(installed.id) || slot->holds > 0 ||
		pg_atomic_read_u32(&slot->registry_changes) != registry_changes_at_look;
}

const char *
extension_database(void)
{
	return installed.database;
}

/* Once for each version, not at each look: an update may have been looked at before its commit. */
static void
report_misfit(DatabaseSlot *slot, int number)
{
	static char reported[sizeof(installed.version)];
	char		activity[sizeof(((LiveWorker *) NULL)->activity)];

	if (strcmp(installed.version, reported) == 0)
		return;
	strlcpy(reported, installed.version, sizeof(reported));
	snprintf(activity, sizeof(activity), "waits: library %s, extension %s",
			 INTEGRATION_VERSION, installed.version);
	shared_say(&slot->workers[number], activity);
	ereport(WARNING,
			errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("integration worker of database \"%s\" sends nothing: its library is version %s, the extension is version %s",
				   installed.database, INTEGRATION_VERSION, installed.version),
			errdetail("What is enqueued meanwhile stays in the queue."),
			errhint("Run ALTER EXTENSION integration UPDATE in this database; where the library is the older one, restart the server."));
}

void
extension_await_fit(DatabaseSlot *slot, int number)
{
	while (!ShutdownRequestPending && extension_exists() && !extension_fits())
	{
		report_misfit(slot, number);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_AGAIN_MS, compat_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		(void) extension_look(slot);
	}
}
