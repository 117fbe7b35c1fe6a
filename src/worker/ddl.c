/*-------------------------------------------------------------------------
 * ddl.c
 *		Steps aside for statements that a connected worker would block.
 *
 * DROP DATABASE, ALTER DATABASE … RENAME or SET TABLESPACE, and CREATE
 * DATABASE … TEMPLATE refuse to run while anybody is connected; DROP EXTENSION
 * and ALTER EXTENSION … UPDATE lock tables of ours, DROP OWNED may.  The workers leave before
 * and come back after, whatever became of the statement.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "worker/ddl.h"
#include "worker/shared.h"
#include "worker/wake.h"

#define LEAVE_WITHIN_MS 5000
#define LOOK_EVERY_MS 10

static ProcessUtility_hook_type previous_utility = NULL;

static const char *
template_of(CreatedbStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return "template1";
}

static bool
moves_tablespace(AlterDatabaseStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->options)
	{
		if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
			return true;
	}
	return false;
}

/* The database that nobody may be connected to for this statement, or NULL. */
static const char *
database_to_empty(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			if (moves_tablespace((AlterDatabaseStmt *) statement))
				return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
		case T_CreatedbStmt:
			return template_of((CreatedbStmt *) statement);
		default:
			return NULL;
	}
}

/* The workers leave only for who may do it; everybody else gets the server's own error. */
static bool
may_run(Node *statement, Oid database)
{
	HeapTuple	role;
	bool		creates;

	if (superuser() || compat_owns_database(GetUserId(), database))
		return true;
	if (!IsA(statement, CreatedbStmt))
		return false;
	role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(role))
		return false;
	creates = ((Form_pg_authid) GETSTRUCT(role))->rolcreatedb;
	ReleaseSysCache(role);
	return creates;
}

/* Keep the workers out, with change 1; returns how many are still there. */
static int
hold(Oid database, int change)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;
	int			attached = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = shared_find(database);
	if (slot != NULL)
	{
		/* the slot held before may have been given up, and this be another */
		slot->holds = Max(slot->holds + change, 0);
		for (int i = 0; i < SHARED_WORKERS; i++)
			attached += slot->workers[i].pid != 0 ? 1 : 0;
		attached += slot->upkeep_pid != 0 ? 1 : 0;
	}
	LWLockRelease(shared->lock);
	return attached;
}

static void
ask_to_leave(Oid database)
{
	SharedState *shared = shared_state();
	DatabaseSlot *slot;

	LWLockAcquire(shared->lock, LW_SHARED);
	slot = shared_find(database);
	for (int i = 0; slot != NULL && i < SHARED_WORKERS; i++)
	{
		if (slot->workers[i].pid != 0)
			kill(slot->workers[i].pid, SIGTERM);
	}
	if (slot != NULL && slot->upkeep_pid != 0)
		kill(slot->upkeep_pid, SIGTERM);
	LWLockRelease(shared->lock);
}

static void
wait_until_left(Oid database)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_WITHIN_MS);

	if (hold(database, 1) > 0)
		ask_to_leave(database);
	while (hold(database, 0) > 0 && GetCurrentTimestamp() < end)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_EVERY_MS, compat_wait_event());
		ResetLatch(MyLatch);
	}
}

static void
let_back(int code, Datum database)
{
	(void) hold(DatumGetObjectId(database), -1);
	shared_wake(&shared_state()->launcher_proc_number);
}

static bool
changes_extension(Node *statement)
{
	DropStmt   *drop = (DropStmt *) statement;
	ListCell   *cell;

	/* the extension may be among what the role owns */
	if (IsA(statement, DropOwnedStmt))
		return true;
	if (IsA(statement, AlterExtensionStmt))
		return strcmp(((AlterExtensionStmt *) statement)->extname, "integration") == 0;
	if (!IsA(statement, DropStmt) || drop->removeType != OBJECT_EXTENSION)
		return false;
	foreach(cell, drop->objects)
	{
		if (strcmp(strVal(lfirst(cell)), "integration") == 0)
			return true;
	}
	return false;
}

static bool
commits_prepared(Node *statement)
{
	return IsA(statement, TransactionStmt) &&
		((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

/*
 * A prepared transaction has no commit of its own that could say so: it may
 * have been CREATE EXTENSION, in a database without a worker until then.
 */
static void
want_worker_if_created(void)
{
	DatabaseSlot *slot = shared_find(MyDatabaseId);

	if (slot != NULL && slot->state != SLOT_ABSENT)
		return;
	if (OidIsValid(get_extension_oid("integration", true)))
		wake_at_commit(WAKE_LAUNCHER);
}

/* What the server hands from one watcher of utility statements to the next. */
typedef struct Utility
{
	PlannedStmt *planned;
	const char *query;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *receiver;
	QueryCompletion *completion;
} Utility;

static void
pass_on(const Utility *u)
{
	ProcessUtility_hook_type next = previous_utility ? previous_utility : standard_ProcessUtility;

	next(u->planned, u->query, u->read_only_tree, u->context, u->params, u->environment,
		 u->receiver, u->completion);
}

/* A database that comes with the extension from its template is to be looked into. */
static void
note_created(Node *statement)
{
	if (!IsA(statement, CreatedbStmt))
		return;
	CommandCounterIncrement();
	wake_for_database(get_database_oid(((CreatedbStmt *) statement)->dbname, true));
}

/* A session that is terminated lets the workers back too: PG_TRY would not see its end. */
static void
run_without_workers(const Utility *utility, Oid database)
{
	PG_ENSURE_ERROR_CLEANUP(let_back, ObjectIdGetDatum(database));
	{
		wait_until_left(database);
		pass_on(utility);
	}
	PG_END_ENSURE_ERROR_CLEANUP(let_back, ObjectIdGetDatum(database));
	let_back(0, ObjectIdGetDatum(database));
}

static void
watch_utility(PlannedStmt *planned, const char *query, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *receiver,
			  QueryCompletion *completion)
{
	Utility		utility = {planned, query, read_only_tree, context, params, environment,
		receiver, completion
	};
	const char *name = database_to_empty(planned->utilityStmt);
	Oid			database = name == NULL ? InvalidOid : get_database_oid(name, true);

	if (OidIsValid(database) && shared_find(database) != NULL &&
		may_run(planned->utilityStmt, database))
	{
		run_without_workers(&utility, database);
		note_created(planned->utilityStmt);
		return;
	}
	if (!changes_extension(planned->utilityStmt))
	{
		pass_on(&utility);
		if (commits_prepared(planned->utilityStmt))
			want_worker_if_created();
		note_created(planned->utilityStmt);
		return;
	}

	/*
	 * it takes lock after lock, the workers too: one at a time, or they may
	 * wait for each other
	 */
	if (superuser() && shared_find(MyDatabaseId) != NULL)
		run_without_workers(&utility, MyDatabaseId);
	else
		pass_on(&utility);
	wake_at_commit(WAKE_EXTENSION);
}

void
ddl_install(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
}
