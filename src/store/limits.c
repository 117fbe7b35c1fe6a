/*-------------------------------------------------------------------------
 * limits.c
 *		How much a customer or a role may enqueue.
 *-------------------------------------------------------------------------
 */
#include "store/limits.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "store/layout.h"
#include "store/lookup.h"

enum
{
	COLUMN_SCOPE,
	COLUMN_NAME,
	COLUMN_ROWS_PER_MINUTE,
	COLUMN_BYTES_PER_MINUTE,
	COLUMN_MAX_BACKLOG,
	COLUMN_COUNT
};

static const char *const column_names[] = {
	[COLUMN_SCOPE] = "scope",
	[COLUMN_NAME] = "name",
	[COLUMN_ROWS_PER_MINUTE] = "rows_per_minute",
	[COLUMN_BYTES_PER_MINUTE] = "bytes_per_minute",
	[COLUMN_MAX_BACKLOG] = "max_backlog",
};

/* How many names a session remembers, with a limit or without. */
#define REMEMBERED 4096

typedef struct NameKey
{
	uint64		name_hash;
	uint64		scope;			/* as wide, so that no byte is left unset */
} NameKey;

typedef struct KnownLimit
{
	NameKey		key;
	bool		is_limited;
	EnqueueLimit limit;
} KnownLimit;

static HTAB *known = NULL;
static Oid	table_id = InvalidOid;	/* InvalidOid: the extension has none */
static bool exist[LIMIT_SCOPES];
static uint64 changes = 1;
static uint64 known_changes = 0;	/* that had happened when it was last read */
static Layout layout;

const char *
limits_scope_name(LimitScope scope)
{
	return scope == LIMIT_CUSTOMER ? "customer" : "role";
}

uint64
limits_name_hash(Datum name)
{
	const text *given = DatumGetTextPP(name);

	return hash_bytes_extended((const unsigned char *) VARDATA_ANY(given),
							   VARSIZE_ANY_EXHDR(given), 0);
}

/* Only counts: what is remembered may be in use just now. */
static void
note_change(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || relation == table_id)
		changes++;
}

/* A row that this transaction may take back is looked at again by the next call. */
static void
distrust(HeapTuple row)
{
	if (TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data)))
		changes++;
}

static HeapTuple
look_up(Relation table, LimitScope scope, Datum name, int key_count)
{
	const AttrNumber columns[] = {layout.numbers[COLUMN_SCOPE], layout.numbers[COLUMN_NAME]};
	const Datum keys[] = {CStringGetTextDatum(limits_scope_name(scope)), name};
	HeapTuple	row;

	PushActiveSnapshot(GetLatestSnapshot());
	row = lookup_row_by(table, columns, keys, key_count);
	PopActiveSnapshot();
	if (HeapTupleIsValid(row))
		distrust(row);
	return row;
}

static void
read_again(Oid schema)
{
	uint64		seen = changes;
	Relation	table;

	memset(exist, 0, sizeof(exist));
	table_id = get_relname_relid("enqueue_limit", schema);
	if (!OidIsValid(table_id))
		return;
	table = table_open(table_id, AccessShareLock);
	layout_resolve(&layout, table, column_names, COLUMN_COUNT);
	for (int scope = 0; scope < LIMIT_SCOPES; scope++)
		exist[scope] = HeapTupleIsValid(look_up(table, scope, (Datum) 0, 1));
	table_close(table, AccessShareLock);
	known_changes = seen;
}

static void
start_memory(void)
{
	HASHCTL		control = {.keysize = sizeof(NameKey),.entrysize = sizeof(KnownLimit)};

	if (known != NULL)
		hash_destroy(known);
	control.hcxt = TopMemoryContext;
	known = hash_create("integration limits", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

bool
limits_exist(Oid schema, LimitScope scope)
{
	/* learns of what others committed */
	AcceptInvalidationMessages();
	if (known_changes == changes)
		return exist[scope];
	if (known == NULL)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	start_memory();
	read_again(schema);
	return exist[scope];
}

static int64
number(HeapTuple row, Relation table, int column)
{
	bool		is_null;
	Datum		value = heap_getattr(row, layout.numbers[column], RelationGetDescr(table),
									 &is_null);

	return is_null ? LIMITS_NONE : DatumGetInt64(value);
}

static void
read_limit(LimitScope scope, Datum name, KnownLimit *entry)
{
	Relation	table = table_open(table_id, AccessShareLock);
	HeapTuple	row = look_up(table, scope, name, 2);

	if (!HeapTupleIsValid(row))
		row = look_up(table, scope, CStringGetTextDatum("*"), 2);
	entry->is_limited = HeapTupleIsValid(row);
	if (entry->is_limited)
		entry->limit = (EnqueueLimit)
	{
		.rows_per_minute = number(row, table, COLUMN_ROWS_PER_MINUTE),
			.bytes_per_minute = number(row, table, COLUMN_BYTES_PER_MINUTE),
			.max_backlog = number(row, table, COLUMN_MAX_BACKLOG),
	};
	table_close(table, AccessShareLock);
}

const EnqueueLimit *
limits_find(Oid schema, LimitScope scope, Datum name)
{
	KnownLimit	read = {.key = {.scope = scope,.name_hash = limits_name_hash(name)}};
	KnownLimit *entry;

	if (!limits_exist(schema, scope))
		return NULL;
	entry = hash_search(known, &read.key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		read_limit(scope, name, &read);
		if (hash_get_num_entries(known) >= REMEMBERED)
			start_memory();
		entry = hash_search(known, &read.key, HASH_ENTER, NULL);
		*entry = read;
	}
	return entry->is_limited ? &entry->limit : NULL;
}
