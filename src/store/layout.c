/*-------------------------------------------------------------------------
 * layout.c
 *		Where the columns of a table of ours are.
 *-------------------------------------------------------------------------
 */
#include "store/layout.h"

#include "utils/lsyscache.h"

void
layout_resolve(Layout *layout, Relation relation, const char *const *names, int count)
{
	Oid			id = RelationGetRelid(relation);

	if (layout->relation == id)
		return;
	Assert(count <= LAYOUT_COLUMNS);
	for (int i = 0; i < count; i++)
	{
		layout->numbers[i] = get_attnum(id, names[i]);
		if (layout->numbers[i] == InvalidAttrNumber)
			ereport(ERROR,
					errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("table \"%s\" has no column \"%s\"",
						   RelationGetRelationName(relation), names[i]),
					errhint("The library and the extension are of different versions: run ALTER EXTENSION integration UPDATE in this database."));
	}
	layout->relation = id;
}
