/*-------------------------------------------------------------------------
 * shared.c
 *		What launcher, workers and backends know of each other.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"

#include "base/compat.h"
#include "base/settings.h"
#include "worker/shared.h"

static SharedState *state = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static Size
shared_bytes(void)
{
	return add_size(offsetof(SharedState, slots),
					mul_size(settings_max_databases(), sizeof(DatabaseSlot)));
}

static void
request_memory(void)
{
	RequestAddinShmemSpace(shared_bytes());
	RequestNamedLWLockTranche("integration", 1);
}

static void
init_slot(DatabaseSlot *slot)
{
	memset(slot, 0, sizeof(*slot));
	pg_atomic_init_u32(&slot->proc_number, SHARED_NO_PROCESS);
	pg_atomic_init_u32(&slot->rows_changes, 0);
	pg_atomic_init_u32(&slot->people_changes, 0);
	pg_atomic_init_u32(&slot->registry_changes, 0);
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
	{
		state->lock = &GetNamedLWLockTranche("integration")->lock;
		state->slot_count = settings_max_databases();
		pg_atomic_init_u32(&state->launcher_proc_number, SHARED_NO_PROCESS);
		for (int i = 0; i < state->slot_count; i++)
			init_slot(&state->slots[i]);
	}
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
shared_wake(pg_atomic_uint32 *proc_number)
{
	uint32		number = pg_atomic_read_u32(proc_number);

	if (number != SHARED_NO_PROCESS)
		SetLatch(compat_proc_latch((int) number));
}
