/*-------------------------------------------------------------------------
 * lookup.c
 *		One row of a table of ours by its primary key, without a statement of SQL.
 *-------------------------------------------------------------------------
 */
#include "store/lookup.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "store/layout.h"

static void
set_condition(Relation table, AttrNumber column, Datum key, ScanKey condition)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), column - 1);

	ScanKeyEntryInitialize(condition, 0, column, BTEqualStrategyNumber, InvalidOid,
						   attribute->attcollation,
						   attribute->atttypid == TEXTOID ? F_TEXTEQ : F_INT8EQ, key);
}

HeapTuple
lookup_row(Relation table, AttrNumber column, Datum key)
{
	return lookup_row_by(table, &column, &key, 1);
}

HeapTuple
lookup_row_by(Relation table, const AttrNumber *columns, const Datum *keys, int count)
{
	ScanKeyData conditions[LOOKUP_MOST_KEYS];
	SysScanDesc scan;
	HeapTuple	row;

	Assert(count <= LOOKUP_MOST_KEYS);
	for (int i = 0; i < count; i++)
		set_condition(table, columns[i], keys[i], &conditions[i]);
	scan = systable_beginscan(table, compat_primary_key_index(table), true,
							  GetActiveSnapshot(), count, conditions);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
		row = heap_copytuple(row);
	systable_endscan(scan);
	return row;
}

bool
lookup_is_closed(Oid schema, int64 outbox_id)
{
	static const char *const names[] = {"outbox_id"};
	static Layout layout;
	Relation	table = table_open(get_relname_relid("closing", schema), AccessShareLock);
	HeapTuple	row;

	layout_resolve(&layout, table, names, lengthof(names));
	row = lookup_row(table, layout.numbers[0], Int64GetDatum(outbox_id));
	table_close(table, AccessShareLock);
	return HeapTupleIsValid(row);
}
