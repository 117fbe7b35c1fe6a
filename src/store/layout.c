/*-------------------------------------------------------------------------
 * layout.c
 *		Where the columns of a table of ours are.
 *-------------------------------------------------------------------------
 */
#include "store/layout.h"

#include "utils/lsyscache.h"

static void
refuse(Relation relation, const char *name)
{
	ereport(ERROR,
			errcode(ERRCODE_UNDEFINED_COLUMN),
			errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(relation), name),
			errhint("The library and the extension are of different versions: run ALTER EXTENSION integration UPDATE in this database."));
}

void
layout_resolve_known(Layout *layout, Relation relation, const char *const *names,
					 int required, int count)
{
	Oid			id = RelationGetRelid(relation);
	bool		is_whole = true;

	if (layout->relation == id)
		return;
	Assert(count <= LAYOUT_COLUMNS);
	for (int i = 0; i < count; i++)
	{
		layout->numbers[i] = get_attnum(id, names[i]);
		if (layout->numbers[i] != InvalidAttrNumber)
			continue;
		if (i < required)
			refuse(relation, names[i]);
		is_whole = false;
	}
	layout->relation = is_whole ? id : InvalidOid;
}

void
layout_resolve(Layout *layout, Relation relation, const char *const *names, int count)
{
	layout_resolve_known(layout, relation, names, count, count);
}
