/*-------------------------------------------------------------------------
 * wake.c
 *		Functions by which SQL wakes the worker at commit.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "utils/inval.h"

#include "base/compat.h"
#include "worker/shared.h"
#include "worker/wake.h"

SQL_FUNCTION(integration_require_preload);
SQL_FUNCTION(integration_start);
SQL_FUNCTION(integration_wake);
SQL_FUNCTION(integration_wake_at_commit);
SQL_FUNCTION(integration_wake_for_incident);

Datum
integration_require_preload(PG_FUNCTION_ARGS)
{
	if (shared_state() == NULL)
		ereport(ERROR,
				errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				errmsg("integration must be loaded at server start"),
				errdetail("Its worker sends what applications commit, and only a preloaded library has one."),
				errhint("Add this line to postgresql.conf and restart the server: shared_preload_libraries = 'integration'"));
	PG_RETURN_VOID();
}

Datum
integration_start(PG_FUNCTION_ARGS)
{
	wake_at_commit(WAKE_LAUNCHER);
	PG_RETURN_VOID();
}

Datum
integration_wake(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("integration_worker.wake() is a trigger function"));
	/* what sessions remember of it (store/target.h) is of no use any more */
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	wake_at_commit(WAKE_REGISTRY);
	return PointerGetDatum(NULL);
}

Datum
integration_wake_at_commit(PG_FUNCTION_ARGS)
{
	wake_at_commit(WAKE_PEOPLE);
	if (PG_GETARG_BOOL(0))
		wake_at_commit(WAKE_REGISTRY);
	PG_RETURN_VOID();
}

Datum
integration_wake_for_incident(PG_FUNCTION_ARGS)
{
	wake_at_commit(WAKE_INCIDENT);
	PG_RETURN_VOID();
}
