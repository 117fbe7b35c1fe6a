/*-------------------------------------------------------------------------
 * backlog.c
 *		How many syncs of a customer or a role are unfinished.
 *
 * Read from the indexes queue_customer and queue_role, which hold only rows that
 * a max_backlog applies to.
 *-------------------------------------------------------------------------
 */
#include "store/backlog.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"

int64
backlog_count(Oid schema, LimitScope scope, Datum name, int64 most)
{
	const char *index_name = scope == LIMIT_CUSTOMER ? "queue_customer" : "queue_role";
	Relation	queue = table_open(get_relname_relid("queue", schema), AccessShareLock);
	Relation	index = index_open(get_relname_relid(index_name, schema), AccessShareLock);
	TupleTableSlot *row = table_slot_create(queue, NULL);
	int64		count = 0;
	SnapshotData snapshot;
	ScanKeyData condition;
	IndexScanDesc scan;

	InitDirtySnapshot(snapshot);
	ScanKeyEntryInitialize(&condition, 0, 1, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, name);
	scan = compat_index_beginscan(queue, index, &snapshot, 1);
	index_rescan(scan, &condition, 1, NULL, 0);
	while (count < most && index_getnext_slot(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		count++;
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	index_close(index, AccessShareLock);
	table_close(queue, AccessShareLock);
	return count;
}
