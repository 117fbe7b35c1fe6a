/*-------------------------------------------------------------------------
 * compat.h
 *		Differences between PostgreSQL 14 and 19.
 *
 * Wrappers carry the newest server's meaning and older ones adapt; no other
 * file tests the server's version.  They throw where the server's functions do.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_COMPAT_H
#define INTEGRATION_COMPAT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/plannodes.h"
#include "storage/latch.h"
#include "utils/relcache.h"
#include "utils/tuplestore.h"
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif

#if PG_VERSION_NUM < 140000
#error "integration needs PostgreSQL 14 or newer"
#endif

/* Only what PostgreSQL looks up by name is visible outside of the library. */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* Declares one function that SQL calls. */
#define SQL_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/* A wait event set that lives as long as the process. */
extern WaitEventSet *compat_create_wait_event_set(int events);

/* The wait event shown while a process of ours waits for work. */
extern uint32 compat_wait_event(void);

/* This process's place in the array of processes. */
extern int	compat_my_proc_number(void);

/* The latch of the process at that place; valid memory for the server's life. */
extern Latch *compat_proc_latch(int proc_number);

/* Have request called when shared memory is being sized. */
extern void compat_on_shmem_request(void (*request) (void));

/* Have adjust called with each plan that the server makes. */
extern void compat_on_planned(void (*adjust) (PlannedStmt *plan));

/* No other module may define settings below this prefix. */
extern void compat_reserve_prefix(const char *prefix);

/* Whether the commit status of this transaction can still be looked up. */
extern bool compat_xid_is_known(TransactionId xid);

/* Whether the role owns the database. */
extern bool compat_owns_database(Oid role, Oid database);

/* The index of the table's primary key, which is not deferrable. */
extern Oid	compat_primary_key_index(Relation table);

/* A tuplestore that becomes the result of the set-returning function. */
extern Tuplestorestate *compat_begin_set(FunctionCallInfo fcinfo, TupleDesc *columns);

/* A scan of an index that has still to be given its conditions, by index_rescan(). */
extern IndexScanDesc compat_index_beginscan(Relation table, Relation index, Snapshot snapshot,
											int conditions);

/* Delete the tuple that the active snapshot sees there; waits for nobody: TM_Ok, or it stays. */
extern TM_Result compat_delete_tuple(Relation table, ItemPointer tuple);

/* Index entries of a tuple that was just inserted. */
extern void compat_insert_index_tuples(ResultRelInfo *result, TupleTableSlot *slot, EState *estate);

#endif							/* INTEGRATION_COMPAT_H */
