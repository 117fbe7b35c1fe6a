/*-------------------------------------------------------------------------
 * ddl.c
 *		Steps aside for statements that a connected worker would block.
 *
 * DROP DATABASE, ALTER DATABASE … RENAME or SET TABLESPACE, and CREATE
 * DATABASE … TEMPLATE refuse to run while anybody is connected.  The worker
 * leaves before and comes back after, whatever became of the statement.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "tcop/utility.h"
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
	return NULL;
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

/* Keep the worker out; returns its process id, 0: none runs. */
static int
hold(DatabaseSlot *slot, int change)
{
	SharedState *shared = shared_state();
	int			pid;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot->holds += change;
	pid = slot->pid;
	LWLockRelease(shared->lock);
	return pid;
}

static void
wait_until_left(DatabaseSlot *slot)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_WITHIN_MS);
	int			pid = hold(slot, 1);

	if (pid != 0)
		kill(pid, SIGTERM);
	while (slot->pid != 0 && GetCurrentTimestamp() < end)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_EVERY_MS, compat_wait_event());
		ResetLatch(MyLatch);
	}
}

static void
let_back(DatabaseSlot *slot)
{
	(void) hold(slot, -1);
	shared_wake(&shared_state()->launcher_proc_number);
}

static bool
drops_extension(Node *statement)
{
	return IsA(statement, DropStmt) && ((DropStmt *) statement)->removeType == OBJECT_EXTENSION;
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

static void
run_without_worker(const Utility *utility, DatabaseSlot *slot)
{
	PG_TRY();
	{
		wait_until_left(slot);
		pass_on(utility);
	}
	PG_CATCH();
	{
		let_back(slot);
		PG_RE_THROW();
	}
	PG_END_TRY();
	let_back(slot);
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
	DatabaseSlot *slot = OidIsValid(database) ? shared_find(database) : NULL;

	if (slot != NULL)
	{
		run_without_worker(&utility, slot);
		return;
	}
	pass_on(&utility);
	if (drops_extension(planned->utilityStmt))
		wake_at_commit(WAKE_DROP);
}

void
ddl_install(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
}
