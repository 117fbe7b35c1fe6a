/*-------------------------------------------------------------------------
 * wellness.c
 *		Which endpoints are well, by what is written about them.
 *-------------------------------------------------------------------------
 */
#include "store/wellness.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "store/layout.h"
#include "store/lookup.h"

enum
{
	HEALTH_STATE,
	HEALTH_LAST_SUCCESS_AT,
	HEALTH_RETRY_AFTER_UNTIL,
	HEALTH_COLUMNS
};

static const char *const health_columns[] = {
	[HEALTH_STATE] = "state",
	[HEALTH_LAST_SUCCESS_AT] = "last_success_at",
	[HEALTH_RETRY_AFTER_UNTIL] = "retry_after_until",
};

/* A connector has those of an endpoint that come before its own name. */
enum
{
	REGISTRY_IDEMPOTENT,
	REGISTRY_REMOTE_ID_PATH,
	REGISTRY_SHARED_COLUMNS,
	ENDPOINT_CONNECTOR = REGISTRY_SHARED_COLUMNS,
	ENDPOINT_COLUMNS,
	CONNECTOR_NAME = REGISTRY_SHARED_COLUMNS,
	CONNECTOR_API_VERSION,
	CONNECTOR_COLUMNS
};

static const char *const endpoint_columns[] = {
	[REGISTRY_IDEMPOTENT] = "idempotent",
	[REGISTRY_REMOTE_ID_PATH] = "remote_id_path",
	[ENDPOINT_CONNECTOR] = "connector",
};

static const char *const connector_columns[] = {
	[REGISTRY_IDEMPOTENT] = "idempotent",
	[REGISTRY_REMOTE_ID_PATH] = "remote_id_path",
	[CONNECTOR_NAME] = "name",
	[CONNECTOR_API_VERSION] = "api_version",
};

static Layout health_layout;
static Layout endpoint_layout;
static Layout connector_layout;

/* A table whose rows are looked up by an integer. */
typedef struct Table
{
	Relation	relation;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *row;
} Table;

struct WellnessReader
{
	Table		health;
	Table		endpoint;
	Relation	connector;
};

static Table
open_table(Oid schema, const char *name, const char *index_name)
{
	Table		table = {
		.relation = table_open(get_relname_relid(name, schema), AccessShareLock),
		.index = index_open(get_relname_relid(index_name, schema), AccessShareLock),
	};

	table.scan = compat_index_beginscan(table.relation, table.index, GetActiveSnapshot(), 1);
	table.row = table_slot_create(table.relation, NULL);
	return table;
}

static bool
find(Table *table, Datum id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ, id);
	index_rescan(table->scan, &key, 1, NULL, 0);
	return index_getnext_slot(table->scan, ForwardScanDirection, table->row);
}

static void
close_table(Table *table)
{
	index_endscan(table->scan);
	ExecDropSingleTupleTableSlot(table->row);
	index_close(table->index, NoLock);
	table_close(table->relation, NoLock);
}

WellnessReader *
wellness_open(Oid schema)
{
	WellnessReader *reader = palloc(sizeof(WellnessReader));

	reader->health = open_table(schema, "endpoint_health", "endpoint_health_pkey");
	reader->endpoint = open_table(schema, "endpoint", "endpoint_id_key");
	reader->connector = table_open(get_relname_relid("connector", schema), AccessShareLock);
	layout_resolve(&health_layout, reader->health.relation, health_columns, HEALTH_COLUMNS);
	layout_resolve(&endpoint_layout, reader->endpoint.relation, endpoint_columns,
				   ENDPOINT_COLUMNS);
	layout_resolve(&connector_layout, reader->connector, connector_columns, CONNECTOR_COLUMNS);
	return reader;
}

static Datum
health_value(const WellnessReader *reader, int column, bool *is_null)
{
	return slot_getattr(reader->health.row, health_layout.numbers[column], is_null);
}

/* By its breaker alone. */
static bool
is_healthy(const WellnessReader *reader, TimestampTz at, TimestampTz *last_success_at)
{
	bool		is_null;
	char	   *state = TextDatumGetCString(health_value(reader, HEALTH_STATE, &is_null));
	TimestampTz until;

	if (strcmp(state, "closed") != 0)
		return false;
	*last_success_at = DatumGetTimestampTz(health_value(reader, HEALTH_LAST_SUCCESS_AT, &is_null));
	if (is_null)
		return false;
	until = DatumGetTimestampTz(health_value(reader, HEALTH_RETRY_AFTER_UNTIL, &is_null));
	return is_null || until <= at;
}

/* What the endpoint leaves open its connector says. */
static NullableDatum
setting(const WellnessReader *reader, int column, HeapTuple connector)
{
	NullableDatum value;

	value.value = slot_getattr(reader->endpoint.row, endpoint_layout.numbers[column],
							   &value.isnull);
	if (value.isnull && HeapTupleIsValid(connector))
		value.value = heap_getattr(connector, connector_layout.numbers[column],
								   RelationGetDescr(reader->connector), &value.isnull);
	return value;
}

static HeapTuple
find_connector(const WellnessReader *reader)
{
	bool		is_null;
	Datum		name = slot_getattr(reader->endpoint.row,
									endpoint_layout.numbers[ENDPOINT_CONNECTOR], &is_null);

	if (is_null)
		return NULL;
	return lookup_row(reader->connector, connector_layout.numbers[CONNECTOR_NAME], name);
}

static NullableDatum
api_version(const WellnessReader *reader, HeapTuple connector)
{
	NullableDatum version = {.isnull = true};

	if (HeapTupleIsValid(connector))
		version.value = heap_getattr(connector, connector_layout.numbers[CONNECTOR_API_VERSION],
									 RelationGetDescr(reader->connector), &version.isnull);
	return version;
}

Wellness
wellness_read(WellnessReader *reader, Datum endpoint_id, TimestampTz at)
{
	Wellness	wellness = {.is_well = false};
	HeapTuple	connector;
	NullableDatum is_idempotent;

	if (!find(&reader->health, endpoint_id) ||
		!is_healthy(reader, at, &wellness.last_success_at) ||
		!find(&reader->endpoint, endpoint_id))
		return wellness;
	connector = find_connector(reader);
	is_idempotent = setting(reader, REGISTRY_IDEMPOTENT, connector);
	wellness.is_well = is_idempotent.isnull || DatumGetBool(is_idempotent.value);
	wellness.api_version = api_version(reader, connector);
	wellness.names_objects = !setting(reader, REGISTRY_REMOTE_ID_PATH, connector).isnull;
	return wellness;
}

void
wellness_close(WellnessReader *reader)
{
	close_table(&reader->health);
	close_table(&reader->endpoint);
	table_close(reader->connector, NoLock);
	pfree(reader);
}
