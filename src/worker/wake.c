/*-------------------------------------------------------------------------
 * wake.c
 *		From a commit to the workers' latches.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "worker/shared.h"
#include "worker/wake.h"

static unsigned marked = 0;
static Oid	created = InvalidOid;

/* Returns false where no slot is left. */
static bool
want_worker(Oid database)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = shared_claim(database);
	if (slot != NULL)
	{
		/*
		 * a worker that is just about to leave for want of an extension sees
		 * this
		 */
		pg_atomic_fetch_add_u32(&slot->registry_changes, 1);
		if (slot->state == SLOT_ABSENT)
			slot->state = SLOT_WANTED;
	}
	else
		pg_atomic_write_u32(&shared->is_short, 1);
	LWLockRelease(shared->lock);
	shared_wake(&shared->launcher_proc_number);
	return slot != NULL;
}

static void
wake_workers(unsigned reasons)
{
	DatabaseSlot *slot = shared_find(MyDatabaseId);

	if (slot == NULL)
		return;
	if (reasons & WAKE_ROWS)
		pg_atomic_fetch_add_u32(&slot->rows_changes, 1);
	if (reasons & WAKE_PEOPLE)
		pg_atomic_fetch_add_u32(&slot->people_changes, 1);
	if (reasons & WAKE_REGISTRY)
		pg_atomic_fetch_add_u32(&slot->registry_changes, 1);
	if (reasons & WAKE_EXTENSION)
		pg_atomic_fetch_add_u32(&slot->extension_changes, 1);
	if (reasons & WAKE_INCIDENT)
		pg_atomic_fetch_add_u32(&slot->incident_changes, 1);
	if (reasons == WAKE_ROWS)
		shared_wake_for_rows(slot);
	else
		shared_wake_workers(slot);
}

/* Before its rows can be seen by anybody. */
static void
announce_async_commit(void)
{
	SharedState *shared = shared_state();
	uint64		own = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	uint64		seen = pg_atomic_read_u64(&shared->async_xid);

	while (seen < own && !pg_atomic_compare_exchange_u64(&shared->async_xid, &seen, own))
		;
}

static void
serve_marks(XactEvent event, void *arg)
{
	unsigned	reasons = marked;
	Oid			made = created;

	if (reasons == 0 && made == InvalidOid)
		return;
	if (event == XACT_EVENT_PRE_COMMIT && synchronous_commit == SYNCHRONOUS_COMMIT_OFF &&
		(reasons & (WAKE_ROWS | WAKE_PEOPLE)))
		announce_async_commit();
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	marked = 0;
	created = InvalidOid;
	if (event != XACT_EVENT_COMMIT)
		return;
	if ((reasons & WAKE_LAUNCHER) && !want_worker(MyDatabaseId))
		ereport(WARNING,
				errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("no integration worker is left for this database"),
				errhint("Increase integration.max_databases in postgresql.conf and restart the server."));
	/* whether it has the extension nobody knows yet */
	if (OidIsValid(made))
		(void) want_worker(made);
	wake_workers(reasons);
}

static void
register_once(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(serve_marks, NULL);
	registered = true;
}

void
wake_for_database(Oid database)
{
	register_once();
	created = database;
}

void
wake_at_commit(WakeReason reason)
{
	if (shared_state() == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("integration was not loaded at server start"),
				errhint("Add shared_preload_libraries = 'integration' to postgresql.conf and restart the server."));
	register_once();
	marked |= reason;
}
