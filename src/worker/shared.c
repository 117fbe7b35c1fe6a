/*-------------------------------------------------------------------------
 * shared.c
 *		What launcher, workers and backends know of each other.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/settings.h"
#include "worker/progress.h"
#include "worker/shared.h"
#include "worker/usage.h"

StaticAssertDecl(SETTINGS_MOST_WORKERS <= SHARED_WORKERS, "each worker has a place");

static SharedState *state = NULL;
static LiveWorker *lives = NULL;	/* too big to keep one for each place */
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
shared_bytes(void)
{
	return add_size(offsetof(SharedState, slots),
					mul_size(settings_max_databases(), sizeof(DatabaseSlot)));
}

/* No more workers can be attached at the same time than the server has places for. */
static int
live_count(void)
{
	return max_worker_processes;
}

static Size
live_bytes(void)
{
	return mul_size(live_count(), sizeof(LiveWorker));
}

static void
request_memory(void)
{
	RequestAddinShmemSpace(add_size(shared_bytes(), live_bytes()));
	RequestNamedLWLockTranche("integration", 1);
	usage_request_memory();
	progress_request_memory();
}

static void
init_slot(DatabaseSlot *slot)
{
	memset(slot, 0, sizeof(*slot));
	for (int i = 0; i < SHARED_WORKERS; i++)
	{
		pg_atomic_init_u32(&slot->workers[i].proc_number, SHARED_NO_PROCESS);
		pg_atomic_init_u32(&slot->workers[i].looks_anyway, 0);
	}
	pg_atomic_init_u32(&slot->extension_changes, 0);
	pg_atomic_init_u32(&slot->rows_changes, 0);
	pg_atomic_init_u32(&slot->people_changes, 0);
	pg_atomic_init_u32(&slot->registry_changes, 0);
	pg_atomic_init_u32(&slot->incident_changes, 0);
	pg_atomic_init_u32(&slot->silence_changes, 0);
}

static void
init_state(void)
{
	state->lock = &GetNamedLWLockTranche("integration")->lock;
	state->slot_count = settings_max_databases();
	pg_atomic_init_u32(&state->launcher_proc_number, SHARED_NO_PROCESS);
	pg_atomic_init_u32(&state->goal, (uint32) settings_workers());
	pg_atomic_init_u32(&state->share_changes, 0);
	pg_atomic_init_u32(&state->is_short, 0);
	pg_atomic_init_u64(&state->async_xid, 0);
	for (int i = 0; i < state->slot_count; i++)
		init_slot(&state->slots[i]);
}

static void
attach_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	state = ShmemInitStruct("integration", shared_bytes(), &found);
	if (!found)
		init_state();
	lives = ShmemInitStruct("integration figures", live_bytes(), &found);
	if (!found)
		memset(lives, 0, live_bytes());
	usage_attach_memory();
	progress_attach_memory();
	LWLockRelease(AddinShmemInitLock);
}

void
shared_install(void)
{
	compat_on_shmem_request(request_memory);
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_memory;
}

SharedState *
shared_state(void)
{
	return state;
}

DatabaseSlot *
shared_find(Oid database)
{
	for (int i = 0; state != NULL && i < state->slot_count; i++)
	{
		if (state->slots[i].database == database)
			return &state->slots[i];
	}
	return NULL;
}

DatabaseSlot *
shared_claim(Oid database)
{
	DatabaseSlot *slot = shared_find(database);

	if (slot == NULL)
		slot = shared_find(InvalidOid);
	if (slot != NULL && slot->database == InvalidOid)
	{
		init_slot(slot);
		slot->database = database;
	}
	return slot;
}

void
shared_release(DatabaseSlot *slot)
{
	init_slot(slot);
}

void
shared_attach(WorkerSlot *worker)
{
	int			live = 0;

	while (live < live_count() && lives[live].pid != 0)
		live++;
	if (live == live_count())
		elog(ERROR, "more integration workers than max_worker_processes");
	memset(&lives[live], 0, sizeof(lives[live]));
	lives[live].pid = MyProcPid;
	strlcpy(lives[live].activity, "starting", sizeof(lives[live].activity));
	worker->state = WORKER_ATTACHED;
	worker->pid = MyProcPid;
	worker->live = live;
	pg_atomic_write_u32(&worker->looks_anyway, 0);
	pg_atomic_write_u32(&worker->proc_number, (uint32) compat_my_proc_number());
}

void
shared_detach(WorkerSlot *worker)
{
	pg_atomic_write_u32(&worker->proc_number, SHARED_NO_PROCESS);
	lives[worker->live].pid = 0;
	worker->pid = 0;
	worker->state = WORKER_FREE;
}

LiveWorker *
shared_live(const WorkerSlot *worker)
{
	return &lives[worker->live];
}

void
shared_say(WorkerSlot *worker, const char *activity)
{
	LiveWorker *live;

	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	live = shared_live(worker);
	strlcpy(live->activity, activity, sizeof(live->activity));
	live->started_at = live->last_turn_at = GetCurrentTimestamp();
	LWLockRelease(state->lock);
	pgstat_report_activity(STATE_IDLE, activity);
}

int
shared_count_workers(const DatabaseSlot *slot)
{
	int			count = 0;

	for (int i = 0; i < SHARED_WORKERS; i++)
		count += slot->workers[i].state != WORKER_FREE ? 1 : 0;
	return count;
}

uint32
shared_serving(const DatabaseSlot *slot)
{
	uint32		serving = 0;

	for (int i = 0; i < SHARED_WORKERS; i++)
	{
		if (slot->workers[i].state == WORKER_SERVING)
			serving |= 1U << i;
	}
	return serving;
}

void
shared_wake(pg_atomic_uint32 *proc_number)
{
	uint32		number = pg_atomic_read_u32(proc_number);

	if (number != SHARED_NO_PROCESS)
		SetLatch(compat_proc_latch((int) number));
}

void
shared_wake_workers(DatabaseSlot *slot)
{
	for (int i = 0; i < SHARED_WORKERS; i++)
		shared_wake(&slot->workers[i].proc_number);
}

/* To be woken for nothing takes the processor from a busy application. */
void
shared_wake_for_rows(DatabaseSlot *slot)
{
	for (int i = 0; i < SHARED_WORKERS; i++)
		if (pg_atomic_read_u32(&slot->workers[i].looks_anyway) == 0)
			shared_wake(&slot->workers[i].proc_number);
}

void
shared_announce_share(DatabaseSlot *slot)
{
	pg_atomic_fetch_add_u32(&state->share_changes, 1);
	shared_wake_workers(slot);
}
