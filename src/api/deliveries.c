/*-------------------------------------------------------------------------
 * deliveries.c
 *		Results as an array of rows, for the plain ones among them to be recorded.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "store/deliveries.h"
#include "store/parameters.h"

SQL_FUNCTION(integration_record_deliveries);

/* Elements of an array. */
typedef struct Elements
{
	int			count;
	Datum	   *values;
	bool	   *nulls;
} Elements;

typedef struct PlainEndpoint
{
	int32		id;
	NullableDatum api_version;
} PlainEndpoint;

/* Which results are plain deliveries if their syncs are. */
typedef struct Plain
{
	PlainEndpoint *endpoints;	/* by id */
	int			endpoint_count;
	Elements	reasons;
} Plain;

/* Places in the array of results, from 1. */
typedef struct Places
{
	int			count;
	Datum	   *values;
} Places;

static Elements
take_apart(ArrayType *array)
{
	Elements	elements;
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &alignment);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment,
					  &elements.values, &elements.nulls, &elements.count);
	return elements;
}

static int
compare_ids(const void *left, const void *right)
{
	int32		a = ((const PlainEndpoint *) left)->id;
	int32		b = ((const PlainEndpoint *) right)->id;

	return (a > b) - (a < b);
}

/* There are as many versions as ids, or none at all. */
static void
pair_endpoints(const Elements *ids, const Elements *versions, Plain *plain)
{
	plain->endpoints = palloc0(sizeof(PlainEndpoint) * (ids->count + 1));
	plain->endpoint_count = ids->count;
	for (int i = 0; i < ids->count; i++)
	{
		plain->endpoints[i].id = DatumGetInt32(ids->values[i]);
		plain->endpoints[i].api_version.isnull = i >= versions->count || versions->nulls[i];
		if (!plain->endpoints[i].api_version.isnull)
			plain->endpoints[i].api_version.value = versions->values[i];
	}
	qsort(plain->endpoints, plain->endpoint_count, sizeof(PlainEndpoint), compare_ids);
}

static bool
is_among(const Elements *texts, Datum given)
{
	const text *wanted = DatumGetTextPP(given);
	size_t		length = VARSIZE_ANY_EXHDR(wanted);

	for (int i = 0; i < texts->count; i++)
	{
		const text *one = DatumGetTextPP(texts->values[i]);

		if (VARSIZE_ANY_EXHDR(one) == length &&
			memcmp(VARDATA_ANY(one), VARDATA_ANY(wanted), length) == 0)
			return true;
	}
	return false;
}

/* NULL: the result is no plain delivery. */
static const PlainEndpoint *
plain_endpoint(const Plain *plain, const ResultRow *result)
{
	PlainEndpoint wanted = {.api_version.isnull = true};

	if (result->nulls[RESULT_OUTBOX_ID] || result->nulls[RESULT_ENDPOINT_ID] ||
		result->nulls[RESULT_STARTED_AT] || result->nulls[RESULT_REASON] ||
		!is_among(&plain->reasons, result->values[RESULT_REASON]))
		return NULL;
	wanted.id = DatumGetInt32(result->values[RESULT_ENDPOINT_ID]);
	return bsearch(&wanted, plain->endpoints, plain->endpoint_count, sizeof(PlainEndpoint),
				   compare_ids);
}

static void
take_row_apart(Datum value, TupleDesc columns, ResultRow *result)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData row = {.t_len = HeapTupleHeaderGetDatumLength(header),.t_data = header};

	heap_deform_tuple(&row, columns, result->values, result->nulls);
}

static void
add_place(Places *places, int place)
{
	places->values[places->count++] = Int32GetDatum(place);
}

static void
record(const Elements *results, TupleDesc columns, const Plain *plain, Places written[2])
{
	DeliveryWriter *writer = deliveries_open(get_namespace_oid("integration", false));
	const PlainEndpoint *endpoint;
	ResultRow	result;

	for (int i = 0; i < results->count; i++)
	{
		take_row_apart(results->values[i], columns, &result);
		endpoint = plain_endpoint(plain, &result);
		if (endpoint == NULL || !deliveries_record(writer, &result, endpoint->api_version))
			continue;
		add_place(&written[0], i + 1);
		if (!result.nulls[RESULT_OBJECT_ID])
			add_place(&written[1], i + 1);
	}
	deliveries_close(writer);
}

Datum
integration_record_deliveries(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Elements	results = take_apart(array);
	Elements	ids = take_apart(PG_GETARG_ARRAYTYPE_P(1));
	Elements	versions = take_apart(PG_GETARG_ARRAYTYPE_P(3));
	Plain		plain = {.reasons = take_apart(PG_GETARG_ARRAYTYPE_P(2))};
	TupleDesc	columns = lookup_rowtype_tupdesc_copy(ARR_ELEMTYPE(array), -1);
	Places		written[2];
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (columns->natts != RESULT_COLUMNS)
		elog(ERROR, "results have %d columns instead of %d", columns->natts, RESULT_COLUMNS);
	for (int i = 0; i < lengthof(written); i++)
		written[i] = (Places)
	{
		.values = palloc(sizeof(Datum) * (results.count + 1))
	};
	pair_endpoints(&ids, &versions, &plain);
	record(&results, columns, &plain, written);
	for (int i = 0; i < lengthof(written); i++)
		values[i] = parameters_array(INT4OID, written[i].values, NULL, written[i].count);
	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(columns, values, nulls)));
}
