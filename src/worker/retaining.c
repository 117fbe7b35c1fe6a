/*-------------------------------------------------------------------------
 * retaining.c
 *		The process that removes what is old, once it is counted.
 *
 * To unlink a range of a million syncs takes the kernel a third of a second, to
 * count a few thousand a tenth, and so long the sender must not wait.  The worker
 * that has the first shard starts this process each minute; it ends as soon as
 * nothing more is to be done soon.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/counts.h"
#include "store/session.h"
#include "store/statements.h"
#include "worker/extension.h"
#include "worker/retaining.h"

#define SOON_MS 10000

typedef struct Retention
{
	char	   *progress;		/* how far it came; NULL: begins */
	TimestampTz next_at;
} Retention;

/* ---- in the worker */

static bool
is_running(BackgroundWorkerHandle *handle)
{
	pid_t		pid;

	return handle != NULL && GetBackgroundWorkerPid(handle, &pid) != BGWH_STOPPED;
}

void
retaining_start(const DatabaseSlot *slot)
{
	static BackgroundWorkerHandle *handle = NULL;
	static bool was_refused = false;
	BackgroundWorker upkeep = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_name = "integration upkeep",
		.bgw_type = "integration upkeep",
		.bgw_library_name = "integration",
		.bgw_function_name = "integration_upkeep_main",
		.bgw_main_arg = ObjectIdGetDatum(slot->database),
	};
	MemoryContext caller;
	bool		is_refused;

	if (is_running(handle))
		return;
	if (handle != NULL)
		pfree(handle);
	handle = NULL;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	is_refused = !RegisterDynamicBackgroundWorker(&upkeep, &handle);
	MemoryContextSwitchTo(caller);
	if (is_refused && !was_refused)
		ereport(WARNING,
				errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("no background worker is free to remove what is old in database \"%s\"",
					   extension_database()),
				errhint("Increase max_worker_processes in postgresql.conf and restart the server."));
	was_refused = is_refused;
}

/* ---- in the process */

static void
leave(int code, Datum database)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = shared_find(DatumGetObjectId(database));
	if (slot != NULL && slot->upkeep_pid == MyProcPid)
		slot->upkeep_pid = 0;
	LWLockRelease(shared->lock);
}

/* Ends the process where the database must be empty, or another one is still at work. */
static DatabaseSlot *
attach(Oid database)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;
	bool		is_welcome;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = shared_find(database);
	is_welcome = slot != NULL && slot->holds == 0 && slot->upkeep_pid == 0;
	if (is_welcome)
		slot->upkeep_pid = MyProcPid;
	LWLockRelease(shared->lock);
	if (!is_welcome)
		proc_exit(0);
	on_shmem_exit(leave, ObjectIdGetDatum(database));
	return slot;
}

static void
start_up(Oid database)
{
	DatabaseSlot *slot = attach(database);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	session_pin_settings("integration upkeep");
	pgstat_report_activity(STATE_RUNNING, "counts what is over, removes what is old");
	if (!extension_look(slot) || !extension_exists() || !extension_fits())
		proc_exit(0);
}

static void
rest(long wait_ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait_ms,
					 compat_wait_event());
	ResetLatch(MyLatch);
}

static void
retain_step(void *arg)
{
	Retention  *retention = arg;
	char	   *before = retention->progress;

	retention->next_at = statements_retain(TopMemoryContext, &retention->progress);
	if (before != NULL)
		pfree(before);
}

static void
count_step(void *arg)
{
	bool	   *has_more = arg;

	*has_more = counts_go_on();
}

/* As long as a step takes, a core is left to others: the sender may be behind, too. */
static void
count(void)
{
	bool		has_more = true;

	while (has_more && !ShutdownRequestPending)
	{
		TimestampTz began = GetCurrentTimestamp();

		CHECK_FOR_INTERRUPTS();
		if (!session_run(count_step, &has_more))
			return;
		if (has_more)
			rest(TimestampDifferenceMilliseconds(began, GetCurrentTimestamp()) + 1);
	}
}

/* What is kept for longer or shorter counts at once. */
static void
reload_settings(Retention *retention)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	retention->next_at = GetCurrentTimestamp();
}

/* A step that fails begins anew with the next process. */
static void
retain(void)
{
	Retention	retention = {.next_at = GetCurrentTimestamp()};

	while (!ShutdownRequestPending)
	{
		long		wait_ms;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			reload_settings(&retention);
		if (retention.next_at <= GetCurrentTimestamp() && !session_run(retain_step, &retention))
			return;
		wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), retention.next_at);
		if (wait_ms > SOON_MS)
			return;
		rest(wait_ms);
	}
}

void
integration_upkeep_main(Datum arg)
{
	start_up(DatumGetObjectId(arg));
	count();
	retain();
	proc_exit(0);
}
