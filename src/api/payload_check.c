/*-------------------------------------------------------------------------
 * payload_check.c
 *		Whether a payload fulfils the check of its endpoint.
 *-------------------------------------------------------------------------
 */
#include "api/payload_check.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"

/* What is neither true nor false is not true. */
static bool
matches(JsonPath *check, Datum payload)
{
	LOCAL_FCINFO(call, 2);
	FmgrInfo	function;
	Datum		answer;

	fmgr_info(F_JSONB_PATH_MATCH_OPR, &function);
	InitFunctionCallInfoData(*call, &function, 2, InvalidOid, NULL, NULL);
	call->args[0] = (NullableDatum)
	{
		.value = payload
	};
	call->args[1] = (NullableDatum)
	{
		.value = PointerGetDatum(check)
	};
	answer = FunctionCallInvoke(call);
	return !call->isnull && DatumGetBool(answer);
}

/* Only what @@ says about the check itself; a cancelled statement stays one. */
static void
name_the_check(MemoryContext memory, JsonPath *check, Datum endpoint_name)
{
	ErrorData  *error;
	char	   *text_of_check;

	MemoryContextSwitchTo(memory);
	error = CopyErrorData();
	if (error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
		return;
	FlushErrorState();
	text_of_check = DatumGetCString(DirectFunctionCall1(jsonpath_out, PointerGetDatum(check)));
	ereport(ERROR,
			errcode(ERRCODE_CHECK_VIOLATION),
			errmsg("payload_check of endpoint \"%s\" cannot judge this payload",
				   TextDatumGetCString(endpoint_name)),
			errdetail("The check is %s: %s.", text_of_check, error->message),
			errhint("Correct the payload, or the payload_check of the endpoint or its connector: times that are compared must all have a time zone, or none of them."));
}

bool
payload_check_holds(JsonPath *check, Datum payload, Datum endpoint_name)
{
	MemoryContext memory = CurrentMemoryContext;
	volatile bool holds = false;

	PG_TRY();
	{
		holds = matches(check, payload);
	}
	PG_CATCH();
	{
		name_the_check(memory, check, endpoint_name);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return holds;
}
