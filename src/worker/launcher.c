/*-------------------------------------------------------------------------
 * launcher.c
 *		The process that keeps the workers of each database.
 *
 * At server start it has a worker look into each database; one that finds no
 * extension there goes again and frees its slot, one that does is joined by as
 * many as integration.workers says.  From then on it acts on requests in shared
 * memory: CREATE EXTENSION wants a worker, and a worker that ends frees its
 * place.  On a standby the postmaster starts the launcher at promotion.
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
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "store/session.h"
#include "worker/beats.h"
#include "worker/launcher.h"
#include "worker/shared.h"

#define RESTART_AFTER_MS 200
#define RESTART_AFTER_MOST_MS 30000
#define AT_ONCE_MS 2000			/* a worker that ends within it can't work
								 * here */
#define AT_ONCE_OFTEN 3
#define RETRY_AFTER_MS 5000

/* What the launcher alone knows of a worker's place. */
typedef struct Child
{
	BackgroundWorkerHandle *handle;
	TimestampTz start_at;		/* not before */
	TimestampTz started_at;
	int			ends_at_once;	/* in a row */
	bool		was_refused;	/* no background worker was free for it */
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

	/*
	 * pg_upgrade has read which transaction ids come next before it starts
	 * the old server: those of a worker would be given out again, and what it
	 * sent would not be carried over.
	 */
	if (IsBinaryUpgrade)
		return;
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

bool
launcher_name_database(Oid database, char buffer[NAMEDATALEN])
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
 * STARTING to FREE: nobody is told of the end of a worker that an earlier
 * launcher registered.  One that attaches late finds its place not STARTING, or
 * takes it in place of the one registered next.
 */
static void
forget_starts(void)
{
	SharedState *shared = shared_state();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->slot_count * SHARED_WORKERS; i++)
	{
		WorkerSlot *worker = &shared->slots[i / SHARED_WORKERS].workers[i % SHARED_WORKERS];

		if (worker->state == WORKER_STARTING)
			worker->state = WORKER_FREE;
	}
	LWLockRelease(shared->lock);
}

/* How many workers there should be; those that run hear of a change. */
static void
set_goal(void)
{
	SharedState *shared = shared_state();
	uint32		goal = (uint32) settings_workers();

	if (pg_atomic_exchange_u32(&shared->goal, goal) == goal)
		return;
	for (int i = 0; i < shared->slot_count; i++)
		shared_announce_share(&shared->slots[i]);
}

/* A database found no slot: whichever it was may find one now. */
static void
list_again(void)
{
	SharedState *shared = shared_state();
	bool		has_room;

	if (databases_to_probe != NIL || pg_atomic_read_u32(&shared->is_short) == 0)
		return;
	LWLockAcquire(shared->lock, LW_SHARED);
	has_room = shared_find(InvalidOid) != NULL;
	LWLockRelease(shared->lock);
	if (!has_room)
		return;
	pg_atomic_write_u32(&shared->is_short, 0);
	databases_to_probe = list_databases();
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

/* Whether the slot should have a worker of that number. */
static bool
wants(const DatabaseSlot *slot, int number)
{
	if (slot->database == InvalidOid || slot->holds > 0)
		return false;
	if (slot->state == SLOT_WANTED)
		return number == 0;
	return slot->state == SLOT_SERVED &&
		number < (int) pg_atomic_read_u32(&shared_state()->goal);
}

static bool
register_worker(int place, Child *child)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_name = "integration worker",
		.bgw_type = "integration worker",
		.bgw_library_name = "integration",
		.bgw_function_name = "integration_worker_main",
		.bgw_main_arg = Int32GetDatum(place),
		.bgw_notify_pid = MyProcPid,
	};

	return RegisterDynamicBackgroundWorker(&worker, &child->handle);
}

/* Once for each database that lacks some, not for each worker, at each try. */
static void
report_refusal(DatabaseSlot *slot, const char *name)
{
	const Child *of_slot = &children[(slot - shared_state()->slots) * SHARED_WORKERS];
	int			running;

	for (int i = 0; i < SHARED_WORKERS; i++)
	{
		if (of_slot[i].was_refused)
			return;
	}
	LWLockAcquire(shared_state()->lock, LW_SHARED);
	running = shared_count_workers(slot);
	LWLockRelease(shared_state()->lock);
	ereport(WARNING,
			errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			errmsg("no background worker is free for the integration of database \"%s\"", name),
			running == 0 ? 0 :
			errdetail_plural("%d worker has all its endpoints meanwhile.",
							 "%d workers share out its endpoints meanwhile.",
							 running, running),
			errhint("Increase max_worker_processes in postgresql.conf and restart the server, or lower integration.workers."));
}

/* A background worker has ended: one that was refused may find its place free. */
static void
try_refused_again(void)
{
	for (int i = 0; i < shared_state()->slot_count * SHARED_WORKERS; i++)
	{
		if (children[i].was_refused)
			children[i].start_at = 0;
	}
}

/* FREE to STARTING; a database that is gone frees its slot. */
static void
start_worker(DatabaseSlot *slot, int number, Child *child)
{
	SharedState *shared = shared_state();
	WorkerSlot *worker = &slot->workers[number];
	Oid			database = slot->database;
	char		name[NAMEDATALEN];
	bool		exists = launcher_name_database(database, name);
	bool		is_same;
	bool		starts;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	/* it may have been given up meanwhile, and be another's */
	is_same = slot->database == database;
	if (is_same && !exists && shared_count_workers(slot) == 0)
		shared_release(slot);
	starts = is_same && exists && wants(slot, number) && worker->state == WORKER_FREE;
	if (starts)
		worker->state = WORKER_STARTING;
	LWLockRelease(shared->lock);
	child->started_at = GetCurrentTimestamp();
	if (!starts)
		return;
	if (register_worker((int) (slot - shared->slots) * SHARED_WORKERS + number, child))
	{
		child->was_refused = false;
		return;
	}
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	worker->state = WORKER_FREE;
	LWLockRelease(shared->lock);
	child->start_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RETRY_AFTER_MS);
	report_refusal(slot, name);
	child->was_refused = true;
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

/* STARTING to FREE: a worker that ended before it attached; the others see to it themselves. */
static void
notice_end(DatabaseSlot *slot, int number, Child *child)
{
	SharedState *shared = shared_state();
	pid_t		pid;
	bool		is_missed;

	if (GetBackgroundWorkerPid(child->handle, &pid) != BGWH_STOPPED)
		return;
	pfree(child->handle);
	child->handle = NULL;
	try_refused_again();
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (slot->workers[number].state == WORKER_STARTING)
		slot->workers[number].state = WORKER_FREE;
	is_missed = wants(slot, number);
	LWLockRelease(shared->lock);
	if (is_missed)
		plan_restart(child, GetCurrentTimestamp());
	else
		memset(child, 0, sizeof(*child));
}

/*
 * Whether some database has not even one worker: what is free is for that one.
 * Nobody waits for one whose worker ends as soon as it begins.
 */
static bool
lacks_all_somewhere(void)
{
	SharedState *shared = shared_state();

	for (int i = 0; i < shared->slot_count; i++)
	{
		const Child *first = &children[i * SHARED_WORKERS];

		if (wants(&shared->slots[i], 0) && shared_count_workers(&shared->slots[i]) == 0 &&
			first->ends_at_once < AT_ONCE_OFTEN)
			return true;
	}
	return false;
}

/* Returns milliseconds until there is more to do for this worker, -1: nothing is planned. */
static long
serve_worker(DatabaseSlot *slot, int number, Child *child)
{
	long		wait_ms;

	if (!wants(slot, number))
	{
		child->was_refused = false;
		return -1;
	}
	if (slot->workers[number].state != WORKER_FREE || child->handle != NULL)
		return -1;
	if (shared_count_workers(slot) > 0 && lacks_all_somewhere())
		return RESTART_AFTER_MS;
	wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), child->start_at);
	if (wait_ms > 0)
		return wait_ms;
	start_worker(slot, number, child);
	return wants(slot, number) && child->handle == NULL ? RETRY_AFTER_MS : -1;
}

/* Of two times to wait, -1 being without end. */
static long
sooner(long left_ms, long right_ms)
{
	if (left_ms < 0)
		return right_ms;
	return right_ms < 0 ? left_ms : Min(left_ms, right_ms);
}

/* Serve each worker's place once; returns milliseconds until there is more to do, or -1. */
static long
serve_slots(void)
{
	SharedState *shared = shared_state();
	int			places = shared->slot_count * SHARED_WORKERS;
	long		timeout_ms = -1;

	/* all ends first: what they leave free may be for any place */
	for (int i = 0; i < places; i++)
	{
		if (children[i].handle != NULL)
			notice_end(&shared->slots[i / SHARED_WORKERS], i % SHARED_WORKERS, &children[i]);
	}
	for (int i = 0; i < places; i++)
	{
		long		wait_ms = serve_worker(&shared->slots[i / SHARED_WORKERS],
										   i % SHARED_WORKERS, &children[i]);

		if (wait_ms > 0)
			timeout_ms = sooner(timeout_ms, wait_ms);
	}
	return timeout_ms;
}

void
integration_launcher_main(Datum arg)
{
	SharedState *shared = shared_state();

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	/* a SIGHUP before the line above was ignored */
	ConfigReloadPending = true;
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	session_pin_settings("integration launcher");
	/* until the list of databases is free no worker could begin either */
	session_await_locks();

	on_shmem_exit(leave_launcher, (Datum) 0);
	pg_atomic_write_u32(&shared->launcher_proc_number, (uint32) compat_my_proc_number());
	children = MemoryContextAllocZero(TopMemoryContext,
									  sizeof(Child) * shared->slot_count * SHARED_WORKERS);
	MemoryContextSwitchTo(TopMemoryContext);
	databases_to_probe = list_databases();
	forget_starts();
	beats_begin();
	pgstat_report_activity(STATE_IDLE, "keeps the integration workers of each database");

	while (!ShutdownRequestPending)
	{
		long		timeout_ms;
		int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			set_goal();
		}
		list_again();
		probe_databases();
		timeout_ms = sooner(serve_slots(), beats_look());
		if (timeout_ms >= 0)
			events |= WL_TIMEOUT;
		(void) WaitLatch(MyLatch, events, timeout_ms, compat_wait_event());
		ResetLatch(MyLatch);
	}

	/* not 0, which would mean that it is never to be started again */
	proc_exit(1);
}
