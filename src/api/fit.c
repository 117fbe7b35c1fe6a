/*-------------------------------------------------------------------------
 * fit.c
 *		Whether a function is declared as this library has it.
 *-------------------------------------------------------------------------
 */
#include "api/fit.h"

#include "utils/lsyscache.h"

void
fit_require(FunctionCallInfo fcinfo, int arguments, TupleDesc columns, int count)
{
	if (PG_NARGS() == arguments && columns->natts == count)
		return;
	ereport(ERROR,
			errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
			errmsg("function \"%s\" is declared otherwise than the library of integration has it",
				   get_func_name(fcinfo->flinfo->fn_oid)),
			errhint("The library and the extension are of different versions: run ALTER EXTENSION integration UPDATE in this database."));
}
