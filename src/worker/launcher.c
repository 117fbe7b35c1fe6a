/*-------------------------------------------------------------------------
 * launcher.c
 *		The process that keeps one worker for each database.
 *
 * At server start it has a worker look into each database; one that finds no
 * extension there goes again and frees its slot.  From then on it acts on
 * requests in shared memory: CREATE EXTENSION wants a worker, and a worker that
 * ends leaves its slot as WANTED or free.  On a standby the postmaster starts
 * the launcher at promotion.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "worker/launcher.h"
#include "worker/shared.h"

#define RESTART_AFTER_MS 200
#define RESTART_AFTER_MOST_MS 30000
#define AT_ONCE_MS 2000			/* a worker that ends within it can't work
								 * here */
#define RETRY_AFTER_MS 5000

/* What the launcher alone knows of a slot. */
typedef struct Child
{
	BackgroundWorkerHandle *handle;
	TimestampTz start_at;		/* not before */
	TimestampTz started_at;
	int			ends_at_once;	/* in a row */
} Child;

static Child *children;
static List *databases_to_probe = NIL;

void
launcher_register(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 1,
		.bgw_name = "integration launcher",
		.bgw_type = "integration launcher",
		.bgw_library_name = "integration",
		.bgw_function_name = "integration_launcher_main",
	};

	RegisterBackgroundWorker(&worker);
}

static void
leave_launcher(int code, Datum arg)
{
	pg_atomic_write_u32(&shared_state()->launcher_proc_number, SHARED_NO_PROCESS);
}

/* Every database that people can connect to, once after server start. */
static List *
list_databases(void)
{
	List	   *found = NIL;
	MemoryContext caller = CurrentMemoryContext;
	Relation	catalog;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old = MemoryContextSwitchTo(caller);

		if (database->datallowconn && !database->datistemplate)
			found = lappend_oid(found, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return found;
}

/* Its name in buffer; false: it is gone. */
static bool
name_database(Oid database, char buffer[NAMEDATALEN])
{
	char	   *name;

	StartTransactionCommand();
	name = get_database_name(database);
	if (name != NULL)
		strlcpy(buffer, name, NAMEDATALEN);
	CommitTransactionCommand();
	return name != NULL;
}

/*
 * STARTING to WANTED: nobody is told of the end of a worker that an earlier
 * launcher registered.  One that attaches late finds the slot not STARTING, or
 * takes it in place of the one registered next.
 */
static void
forget_starts(void)
{
	SharedState *shared = shared_state();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->slot_count; i++)
	{
		if (shared->slots[i].state == SLOT_STARTING)
			shared->slots[i].state = SLOT_WANTED;
	}
	LWLockRelease(shared->lock);
}

/* Give slots to databases that were not looked into yet, as far as there are any. */
static void
probe_databases(void)
{
	SharedState *shared = shared_state();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	while (databases_to_probe != NIL)
	{
		DatabaseSlot *slot = shared_claim(linitial_oid(databases_to_probe));

		if (slot == NULL)
			break;
		if (slot->state == SLOT_ABSENT)
			slot->state = SLOT_WANTED;
		databases_to_probe = list_delete_first(databases_to_probe);
	}
	LWLockRelease(shared->lock);
}

static bool
register_worker(Oid database, Child *child)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_name = "integration worker",
		.bgw_type = "integration worker",
		.bgw_library_name = "integration",
		.bgw_function_name = "integration_worker_main",
		.bgw_main_arg = ObjectIdGetDatum(database),
		.bgw_notify_pid = MyProcPid,
	};

	return RegisterDynamicBackgroundWorker(&worker, &child->handle);
}

/* WANTED to STARTING; a database that is gone frees its slot. */
static void
start_worker(DatabaseSlot *slot, Child *child)
{
	SharedState *shared = shared_state();
	Oid			database = slot->database;
	char		name[NAMEDATALEN];
	bool		exists = name_database(database, name);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (!exists)
		shared_release(slot);
	else if (slot->state == SLOT_WANTED && slot->holds == 0)
		slot->state = SLOT_STARTING;
	else
		exists = false;
	LWLockRelease(shared->lock);
	child->started_at = GetCurrentTimestamp();
	if (!exists || register_worker(database, child))
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot->state = SLOT_WANTED;
	LWLockRelease(shared->lock);
	child->start_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_AFTER_MS);
	ereport(WARNING,
			errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			errmsg("no background worker is free for the integration of database \"%s\"", name),
			errhint("Increase max_worker_processes in postgresql.conf and restart the server."));
}

/* Soon, but ever later for one that ends as soon as it begins: each time is a line in the log. */
static void
plan_restart(Child *child, TimestampTz now)
{
	long		wait_ms = RESTART_AFTER_MS;

	if (now - child->started_at < AT_ONCE_MS * INT64CONST(1000))
		child->ends_at_once++;
	else
		child->ends_at_once = 0;
	for (int i = 1; i < child->ends_at_once && wait_ms < RESTART_AFTER_MOST_MS; i++)
		wait_ms *= 2;
	child->start_at = TimestampTzPlusMilliseconds(now, Min(wait_ms, RESTART_AFTER_MOST_MS));
}

/* STARTING to WANTED: a worker that ended before it attached; the others see to it themselves. */
static void
notice_end(DatabaseSlot *slot, Child *child)
{
	SharedState *shared = shared_state();
	pid_t		pid;
	bool		is_missed;

	if (GetBackgroundWorkerPid(child->handle, &pid) != BGWH_STOPPED)
		return;
	pfree(child->handle);
	child->handle = NULL;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (slot->state == SLOT_STARTING)
		slot->state = SLOT_WANTED;
	is_missed = slot->state == SLOT_WANTED && slot->holds == 0;
	LWLockRelease(shared->lock);
	if (is_missed)
		plan_restart(child, GetCurrentTimestamp());
	else
		memset(child, 0, sizeof(*child));
}

/* Serve each slot once; returns milliseconds until there is more to do, -1: nothing is planned. */
static long
serve_slots(void)
{
	SharedState *shared = shared_state();
	long		timeout_ms = -1;

	for (int i = 0; i < shared->slot_count; i++)
	{
		DatabaseSlot *slot = &shared->slots[i];
		Child	   *child = &children[i];
		long		wait_ms;

		if (child->handle != NULL)
			notice_end(slot, child);
		if (slot->database == InvalidOid || slot->state != SLOT_WANTED ||
			slot->holds > 0 || child->handle != NULL)
			continue;
		wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), child->start_at);
		if (wait_ms <= 0)
		{
			start_worker(slot, child);
			wait_ms = slot->state == SLOT_WANTED ? RETRY_AFTER_MS : -1;
		}
		if (wait_ms > 0 && (timeout_ms < 0 || wait_ms < timeout_ms))
			timeout_ms = wait_ms;
	}
	return timeout_ms;
}

void
integration_launcher_main(Datum arg)
{
	SharedState *shared = shared_state();

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	on_shmem_exit(leave_launcher, (Datum) 0);
	pg_atomic_write_u32(&shared->launcher_proc_number, (uint32) compat_my_proc_number());
	children = MemoryContextAllocZero(TopMemoryContext, sizeof(Child) * shared->slot_count);
	MemoryContextSwitchTo(TopMemoryContext);
	databases_to_probe = list_databases();
	forget_starts();
	pgstat_report_activity(STATE_IDLE, "keeps one integration worker for each database");

	while (!ShutdownRequestPending)
	{
		long		timeout_ms;
		int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		probe_databases();
		timeout_ms = serve_slots();
		if (timeout_ms >= 0)
			events |= WL_TIMEOUT;
		(void) WaitLatch(MyLatch, events, timeout_ms, compat_wait_event());
		ResetLatch(MyLatch);
	}

	/* not 0, which would mean that it is never to be started again */
	proc_exit(1);
}
