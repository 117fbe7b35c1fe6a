/*-------------------------------------------------------------------------
 * wellness.c
 *		The endpoints of a batch that are well.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/parameters.h"
#include "store/wellness.h"

SQL_FUNCTION(integration_well_endpoints);

/* Deliveries to it are noted in endpoint_health so often. */
#define NOTED_EVERY_US (10 * USECS_PER_SEC)

/* The columns of integration_worker.plain_batch. */
enum
{
	BATCH_IDS,
	BATCH_UNWRITTEN,
	BATCH_NAME_OBJECTS,
	BATCH_REASONS,
	BATCH_API_VERSIONS,
	BATCH_COLUMNS
};

static Datum
array_or_null(Datum *values, int count, bool *is_null)
{
	*is_null = count == 0;
	return count == 0 ? (Datum) 0 : parameters_array(INT4OID, values, NULL, count);
}

/* NULL where no connector has one, so that nobody pays for what is not used. */
static Datum
versions_or_null(Datum *values, bool *nulls, int count, bool *is_null)
{
	*is_null = true;
	for (int i = 0; i < count; i++)
		*is_null = *is_null && nulls[i];
	return *is_null ? (Datum) 0 : parameters_array(TEXTOID, values, nulls, count);
}

Datum
integration_well_endpoints(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	WellnessReader *reader = wellness_open(get_namespace_oid("integration", false));
	Datum	   *asked;
	int			asked_count;
	Datum	   *ids;
	int			id_count = 0;
	Datum	   *versions;
	bool	   *versionless;
	Datum	   *unwritten;
	int			unwritten_count = 0;
	bool		names_objects = false;
	TupleDesc	columns;
	Datum		values[BATCH_COLUMNS] = {0};
	bool		nulls[BATCH_COLUMNS] = {[BATCH_REASONS] = true};

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &asked, NULL, &asked_count);
	ids = palloc(sizeof(Datum) * (asked_count + 1));
	unwritten = palloc(sizeof(Datum) * (asked_count + 1));
	versions = palloc(sizeof(Datum) * (asked_count + 1));
	versionless = palloc(sizeof(bool) * (asked_count + 1));
	for (int i = 0; i < asked_count; i++)
	{
		Wellness	wellness = wellness_read(reader, asked[i], at);

		if (!wellness.is_well)
			continue;
		versions[id_count] = wellness.api_version.value;
		versionless[id_count] = wellness.api_version.isnull;
		ids[id_count++] = asked[i];
		if (wellness.last_success_at <= at - NOTED_EVERY_US)
			unwritten[unwritten_count++] = asked[i];
		names_objects = names_objects || wellness.names_objects;
	}
	wellness_close(reader);
	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[BATCH_IDS] = array_or_null(ids, id_count, &nulls[BATCH_IDS]);
	values[BATCH_UNWRITTEN] = array_or_null(unwritten, unwritten_count, &nulls[BATCH_UNWRITTEN]);
	values[BATCH_NAME_OBJECTS] = BoolGetDatum(names_objects);
	values[BATCH_API_VERSIONS] = versions_or_null(versions, versionless, id_count,
												  &nulls[BATCH_API_VERSIONS]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
}
