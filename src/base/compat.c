/*-------------------------------------------------------------------------
 * compat.c
 *		Differences between PostgreSQL 14 and 19.
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

/* A header below it declares a function in the old form. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include "optimizer/planner.h"
#pragma GCC diagnostic pop

WaitEventSet *
compat_create_wait_event_set(int events)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, events);
#else
	return CreateWaitEventSet(TopMemoryContext, events);
#endif
}

uint32
compat_wait_event(void)
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;

	if (event == 0)
		event = WaitEventExtensionNew("IntegrationMain");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}

int
compat_my_proc_number(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

Latch *
compat_proc_latch(int proc_number)
{
	return &ProcGlobal->allProcs[proc_number].procLatch;
}

#if PG_VERSION_NUM >= 150000
static void (*request_ours) (void) = NULL;
static shmem_request_hook_type previous_request_hook = NULL;

static void
request_shared_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	request_ours();
}
#endif

void
compat_on_shmem_request(void (*request) (void))
{
#if PG_VERSION_NUM >= 150000
	request_ours = request;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
#else
	request();
#endif
}

/* From 19 on EXPLAIN has a say in planning. */
#if PG_VERSION_NUM >= 190000
#define PLANNER_PARAMETERS \
	Query *query, const char *words, int options, ParamListInfo parameters, ExplainState *explain
#define PLANNER_ARGUMENTS query, words, options, parameters, explain
#else
#define PLANNER_PARAMETERS Query *query, const char *words, int options, ParamListInfo parameters
#define PLANNER_ARGUMENTS query, words, options, parameters
#endif

static void (*adjust_plan) (PlannedStmt *plan) = NULL;
static planner_hook_type previous_planner = NULL;

static PlannedStmt *
plan_adjusted(PLANNER_PARAMETERS)
{
	planner_hook_type plan_it = previous_planner ? previous_planner : standard_planner;
	PlannedStmt *plan = plan_it(PLANNER_ARGUMENTS);

	adjust_plan(plan);
	return plan;
}

void
compat_on_planned(void (*adjust) (PlannedStmt *plan))
{
	adjust_plan = adjust;
	previous_planner = planner_hook;
	planner_hook = plan_adjusted;
}

void
compat_reserve_prefix(const char *prefix)
{
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved(prefix);
#else
	EmitWarningsOnPlaceholders(prefix);
#endif
}

bool
compat_xid_is_known(TransactionId xid)
{
	TransactionId oldest;

	LWLockAcquire(XactTruncationLock, LW_SHARED);
#if PG_VERSION_NUM >= 170000
	oldest = TransamVariables->oldestClogXid;
#else
	oldest = ShmemVariableCache->oldestClogXid;
#endif
	LWLockRelease(XactTruncationLock);
	return TransactionIdIsNormal(xid) && TransactionIdFollowsOrEquals(xid, oldest);
}

bool
compat_owns_database(Oid role, Oid database)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, role);
#else
	return pg_database_ownercheck(database, role);
#endif
}

Oid
compat_primary_key_index(Relation table)
{
#if PG_VERSION_NUM >= 180000
	return RelationGetPrimaryKeyIndex(table, false);
#else
	return RelationGetPrimaryKeyIndex(table);
#endif
}

Tuplestorestate *
compat_begin_set(FunctionCallInfo fcinfo, TupleDesc *columns)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Tuplestorestate *rows;
	MemoryContext caller;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		(result->allowedModes & SFRM_Materialize) == 0)
		elog(ERROR, "set-valued function called in a place that cannot take a set");
	if (get_call_result_type(fcinfo, NULL, columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	caller = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	*columns = CreateTupleDescCopy(*columns);
	rows = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(caller);
	result->returnMode = SFRM_Materialize;
	result->setResult = rows;
	result->setDesc = *columns;
	return rows;
}

IndexScanDesc
compat_index_beginscan(Relation table, Relation index, Snapshot snapshot, int conditions)
{
#if PG_VERSION_NUM >= 190000
	return index_beginscan(table, index, snapshot, NULL, conditions, 0, 0);
#elif PG_VERSION_NUM >= 180000
	return index_beginscan(table, index, snapshot, NULL, conditions, 0);
#else
	return index_beginscan(table, index, snapshot, conditions, 0);
#endif
}

TM_Result
compat_delete_tuple(Relation table, ItemPointer tuple)
{
	TM_FailureData failure;
	CommandId	command = GetCurrentCommandId(true);
	Snapshot	snapshot = GetActiveSnapshot();

#if PG_VERSION_NUM >= 190000
	return table_tuple_delete(table, tuple, command, 0, snapshot, InvalidSnapshot, false, &failure);
#else
	return table_tuple_delete(table, tuple, command, snapshot, InvalidSnapshot, false, &failure,
							  false);
#endif
}

void
compat_insert_index_tuples(ResultRelInfo *result, TupleTableSlot *slot, EState *estate)
{
#if PG_VERSION_NUM >= 190000
	(void) ExecInsertIndexTuples(result, estate, 0, slot, NIL, NULL);
#elif PG_VERSION_NUM >= 160000
	(void) ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false);
#else
	(void) ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL);
#endif
}
