/*-------------------------------------------------------------------------
 * plan_filter.c
 *		Plans that read our tables, kept from being compiled.
 *
 * The views join a dozen tables, two of them partitioned, and the planner
 * counts every partition though a look-up by id reads one.  Such costs have
 * just-in-time compilation set in, which takes 100 ms and more for a list that
 * is read in 20.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "jit/jit.h"
#include "nodes/plannodes.h"
#include "utils/lsyscache.h"

#include "api/plan_filter.h"
#include "base/compat.h"

static bool
reads_schema(const PlannedStmt *plan, Oid schema)
{
	ListCell   *cell;

	foreach(cell, plan->relationOids)
	{
		if (get_rel_namespace(lfirst_oid(cell)) == schema)
			return true;
	}
	return false;
}

static void
spare_compiling(PlannedStmt *plan)
{
	Oid			schema;

	if (plan->jitFlags == PGJIT_NONE)
		return;
	schema = get_namespace_oid("integration", true);
	if (OidIsValid(schema) && reads_schema(plan, schema))
		plan->jitFlags = PGJIT_NONE;
}

void
plan_filter_install(void)
{
	compat_on_planned(spare_compiling);
}
