/*-------------------------------------------------------------------------
 * bounds.c
 *		The bounds by which durations of requests are counted, for SQL.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/compat.h"
#include "store/parameters.h"
#include "worker/measuring.h"

SQL_FUNCTION(integration_request_bounds);

Datum
integration_request_bounds(PG_FUNCTION_ARGS)
{
	Datum		bounds[TELEMETRY_BUCKETS - 1];

	for (int i = 0; i < TELEMETRY_BUCKETS - 1; i++)
		bounds[i] = Int32GetDatum(measuring_bound_ms(i));
	return parameters_array(INT4OID, bounds, NULL, TELEMETRY_BUCKETS - 1);
}
