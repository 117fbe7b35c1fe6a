/*-------------------------------------------------------------------------
 * target.c
 *		What the door must know of an endpoint.
 *-------------------------------------------------------------------------
 */
#include "store/target.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "store/layout.h"
#include "store/lookup.h"

#define DEFAULT_MAX_PAYLOAD_BYTES 1048576

/* What endpoint and connector share comes first: all before the id. */
enum
{
	COLUMN_NAME,
	COLUMN_MAX_PAYLOAD_BYTES,
	COLUMN_PAYLOAD_CHECK,
	COLUMN_COALESCE,
	COLUMN_ID,
	COLUMN_CONNECTOR,
	COLUMN_CUSTOMER,
	COLUMN_COUNT,
	/* of connectors only */
	COLUMN_STATUS = COLUMN_ID,
	CONNECTOR_COLUMN_COUNT
};

static const char *const column_names[] = {
	[COLUMN_NAME] = "name",
	[COLUMN_MAX_PAYLOAD_BYTES] = "max_payload_bytes",
	[COLUMN_PAYLOAD_CHECK] = "payload_check",
	[COLUMN_COALESCE] = "coalesce",
	[COLUMN_ID] = "id",
	[COLUMN_CONNECTOR] = "connector",
	[COLUMN_CUSTOMER] = "customer",
};

static const char *const connector_column_names[] = {
	[COLUMN_NAME] = "name",
	[COLUMN_MAX_PAYLOAD_BYTES] = "max_payload_bytes",
	[COLUMN_PAYLOAD_CHECK] = "payload_check",
	[COLUMN_COALESCE] = "coalesce",
	[COLUMN_STATUS] = "status",
};

/* How many endpoints a session remembers; a power of two. */
#define REMEMBERED 1024

typedef struct Memory
{
	text	   *name;			/* NULL: the place is free */
	Target		target;
} Memory;

static MemoryContext memory = NULL;
static Memory memories[REMEMBERED];
static uint64 memory_changes = 0;	/* that had happened when it was last
									 * emptied */
static uint64 changes = 0;
static Layout endpoint_layout;
static Layout connector_layout;

/* A row of the registry, taken apart. */
typedef struct Entry
{
	const AttrNumber *numbers;
	Datum	   *values;
	bool	   *nulls;
	bool		is_ours;		/* written by this transaction */
} Entry;

static NullableDatum
entry_value(const Entry *entry, int column)
{
	int			at = entry->numbers[column] - 1;

	return (NullableDatum)
	{
		.value = entry->values[at],.isnull = entry->nulls[at]
	};
}

static bool
read_entry(Relation table, const Layout *layout, Datum name, Entry *entry)
{
	int			width = RelationGetNumberOfAttributes(table);
	HeapTuple	tuple = lookup_row(table, layout->numbers[COLUMN_NAME], name);

	if (!HeapTupleIsValid(tuple))
		return false;
	entry->numbers = layout->numbers;
	entry->values = palloc(width * sizeof(Datum));
	entry->nulls = palloc(width * sizeof(bool));
	entry->is_ours = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	heap_deform_tuple(tuple, RelationGetDescr(table), entry->values, entry->nulls);
	return true;
}

static bool
read_endpoint(Oid schema, Datum name, Entry *entry)
{
	Relation	table = table_open(get_relname_relid("endpoint", schema), AccessShareLock);
	bool		is_found;

	layout_resolve(&endpoint_layout, table, column_names, COLUMN_COUNT);
	is_found = read_entry(table, &endpoint_layout, name, entry);
	table_close(table, AccessShareLock);
	return is_found;
}

/* Its status came with 0.2.0: applications go on enqueueing before the extension is updated. */
static bool
read_connector(Oid schema, Datum name, Entry *entry)
{
	Relation	table = table_open(get_relname_relid("connector", schema), AccessShareLock);
	bool		is_found;

	layout_resolve_known(&connector_layout, table, connector_column_names,
						 COLUMN_STATUS, CONNECTOR_COLUMN_COUNT);
	is_found = read_entry(table, &connector_layout, name, entry);
	table_close(table, AccessShareLock);
	return is_found;
}

/* What this row sets wins over what is there. */
static void
apply(const Entry *entry, Target *target)
{
	NullableDatum most = entry_value(entry, COLUMN_MAX_PAYLOAD_BYTES);
	NullableDatum check = entry_value(entry, COLUMN_PAYLOAD_CHECK);
	NullableDatum coalesces = entry_value(entry, COLUMN_COALESCE);

	if (!most.isnull)
		target->max_payload_bytes = DatumGetInt32(most.value);
	if (!check.isnull)
		target->payload_check = DatumGetJsonPathPCopy(check.value);
	if (!coalesces.isnull)
		target->coalesces = DatumGetBool(coalesces.value);
}

static TargetLife
life_of(const Entry *connector)
{
	const char *status;

	if (connector->numbers[COLUMN_STATUS] == InvalidAttrNumber)
		return LIFE_ACTIVE;
	status = TextDatumGetCString(entry_value(connector, COLUMN_STATUS).value);
	if (strcmp(status, "retired") == 0)
		return LIFE_RETIRED;
	return strcmp(status, "deprecated") == 0 ? LIFE_DEPRECATED : LIFE_ACTIVE;
}

/* Once a session, else the log of a busy application would hold little else. */
static void
warn_of_end(Datum endpoint, Datum connector)
{
	ereport(WARNING,
			errcode(ERRCODE_WARNING_DEPRECATED_FEATURE),
			errmsg("connector \"%s\" is deprecated: endpoint \"%s\" will take no more syncs one day",
				   TextDatumGetCString(connector), TextDatumGetCString(endpoint)),
			errhint("Send to what takes its place; integration.usage shows operators what still goes there."));
}

static bool
read_target(Oid schema, Datum name, Target *target, bool *is_ours)
{
	Entry		endpoint;
	Entry		connector = {.is_ours = false};
	NullableDatum product;
	NullableDatum customer;

	if (!read_endpoint(schema, name, &endpoint))
		return false;
	*target = (Target)
	{
		.id = DatumGetInt32(entry_value(&endpoint, COLUMN_ID).value),
			.max_payload_bytes = DEFAULT_MAX_PAYLOAD_BYTES,
	};
	customer = entry_value(&endpoint, COLUMN_CUSTOMER);
	if (!customer.isnull)
		target->customer = DatumGetTextPCopy(customer.value);
	product = entry_value(&endpoint, COLUMN_CONNECTOR);
	if (!product.isnull && read_connector(schema, product.value, &connector))
	{
		apply(&connector, target);
		target->life = life_of(&connector);
	}
	if (target->life == LIFE_DEPRECATED)
		warn_of_end(name, product.value);
	apply(&endpoint, target);
	*is_ours = endpoint.is_ours || connector.is_ours;
	return true;
}

/*
 * Only counts: a target may be in use just now.  A layout that is not whole
 * doesn't know its table.
 */
static void
note_change(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || relation == endpoint_layout.relation ||
		relation == connector_layout.relation || !OidIsValid(connector_layout.relation))
		changes++;
}

/* Learns of changes that others committed, then forgets what they may have touched. */
static void
forget_changed(void)
{
	if (memory == NULL)
	{
		memory = AllocSetContextCreate(TopMemoryContext, "integration endpoints",
									   ALLOCSET_DEFAULT_SIZES);
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	}
	AcceptInvalidationMessages();
	if (memory_changes == changes)
		return;
	MemoryContextReset(memory);
	memset(memories, 0, sizeof(memories));
	memory_changes = changes;
}

static Memory *
place_of(const text *name)
{
	uint32		hash = hash_bytes((const unsigned char *) VARDATA_ANY(name),
								  VARSIZE_ANY_EXHDR(name));

	return &memories[hash & (REMEMBERED - 1)];
}

static bool
is_about(const Memory *place, const text *name)
{
	size_t		length = VARSIZE_ANY_EXHDR(name);

	return place->name != NULL && VARSIZE_ANY_EXHDR(place->name) == length &&
		memcmp(VARDATA_ANY(place->name), VARDATA_ANY(name), length) == 0;
}

static void
remember(Memory *place, const text *name, const Target *target)
{
	MemoryContext caller = MemoryContextSwitchTo(memory);

	if (place->name != NULL)
		pfree(place->name);
	if (place->name != NULL && place->target.payload_check != NULL)
		pfree(place->target.payload_check);
	if (place->name != NULL && place->target.customer != NULL)
		pfree(place->target.customer);
	place->name = NULL;
	place->target = *target;
	if (target->payload_check != NULL)
		place->target.payload_check =
			DatumGetJsonPathPCopy(PointerGetDatum(target->payload_check));
	if (target->customer != NULL)
		place->target.customer = DatumGetTextPCopy(PointerGetDatum(target->customer));
	place->name = cstring_to_text_with_len(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	MemoryContextSwitchTo(caller);
}

/* What an older snapshot shows would be remembered after the transaction that has it. */
static bool
read_latest(Oid schema, Datum name, Target *target, bool *is_ours)
{
	bool		is_found;

	PushActiveSnapshot(GetLatestSnapshot());
	is_found = read_target(schema, name, target, is_ours);
	PopActiveSnapshot();
	return is_found;
}

/*
 * A place is used this once and emptied by the next call if this transaction
 * may take back what it holds, or if a change was learned of too late for the
 * snapshot.
 */
const Target *
target_find(Oid schema, Datum name)
{
	const text *given = DatumGetTextPP(name);
	Memory	   *place;
	Target		target;
	bool		is_ours;

	forget_changed();
	place = place_of(given);
	if (is_about(place, given))
		return &place->target;

	if (!read_latest(schema, name, &target, &is_ours))
	{
		/* the same statement may have inserted it */
		CommandCounterIncrement();
		if (!read_latest(schema, name, &target, &is_ours))
			return NULL;
	}
	remember(place, given, &target);
	if (is_ours)
		changes++;
	return &place->target;
}
