/*-------------------------------------------------------------------------
 * charges.c
 *		What a statement enqueues, counted against the limits of those it is for.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "api/charges.h"
#include "store/backlog.h"
#include "store/limits.h"
#include "worker/shared.h"
#include "worker/usage.h"

/* What one name has to answer for. */
typedef struct Account
{
	uint64		name_hash;		/* the key */
	bool		is_limited;
	text	   *name;
	UsageClaim	claim;
} Account;

struct Charges
{
	Oid			schema;
	MemoryContext memory;
	HTAB	   *customers;		/* NULL: no customer is limited */
	Account    *role;			/* NULL: the role is not */
};

/* The column of enqueue_limit that says no, in words. */
typedef struct Words
{
	const char *column;
	const char *unit;
	const char *what;			/* of the statement */
	const char *one;			/* of these */
} Words;

static const Words words[] = {
	[USAGE_NO_ROWS] = {"rows_per_minute", "syncs a minute", "syncs", "sync"},
	[USAGE_NO_BYTES] = {"bytes_per_minute", "bytes of payload a minute", "bytes of payload",
	"byte of payload"},
	[USAGE_NO_ROOM] = {"max_backlog", "unfinished syncs", "syncs", "sync"},
};

static void
open_account(const Charges *charges, Account *account, LimitScope scope, Datum name)
{
	const EnqueueLimit *limit = limits_find(charges->schema, scope, name);
	MemoryContext caller;

	account->is_limited = limit != NULL;
	if (limit == NULL)
		return;
	caller = MemoryContextSwitchTo(charges->memory);
	account->name = DatumGetTextPCopy(name);
	account->claim = (UsageClaim)
	{
		.scope = scope,
			.name_hash = account->name_hash,
			.name = TextDatumGetCString(name),
			.limit = *limit,
	};
	MemoryContextSwitchTo(caller);
}

static HTAB *
make_customers(void)
{
	HASHCTL		control = {
		.keysize = sizeof(uint64),
		.entrysize = sizeof(Account),
		.hcxt = CurrentMemoryContext,
	};

	return hash_create("integration customers", 16, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static Account *
open_role(const Charges *charges, const char *role)
{
	Account    *account = palloc0(sizeof(Account));
	Datum		name = CStringGetTextDatum(role);

	account->name_hash = limits_name_hash(name);
	open_account(charges, account, LIMIT_ROLE, name);
	return account->is_limited ? account : NULL;
}

Charges *
charges_open(Oid schema, const char *role)
{
	bool		has_customers = limits_exist(schema, LIMIT_CUSTOMER);
	bool		has_roles = limits_exist(schema, LIMIT_ROLE);
	Charges    *charges;

	/*
	 * without the preload nothing is enqueued: wake_at_commit() refuses the
	 * statement
	 */
	if ((!has_customers && !has_roles) || shared_state() == NULL)
		return NULL;
	charges = palloc0(sizeof(Charges));
	charges->schema = schema;
	charges->memory = CurrentMemoryContext;
	charges->customers = has_customers ? make_customers() : NULL;
	charges->role = has_roles ? open_role(charges, role) : NULL;
	return charges;
}

static Account *
find_customer(const Charges *charges, Datum name)
{
	uint64		name_hash = limits_name_hash(name);
	bool		is_found;
	Account    *account = hash_search(charges->customers, &name_hash, HASH_ENTER, &is_found);

	if (!is_found)
		open_account(charges, account, LIMIT_CUSTOMER, name);
	return account;
}

static void
put_on(Account *account, const ChargedRow *row, NullableDatum *backlog)
{
	UsageClaim *claim = &account->claim;

	if (!account->is_limited)
		return;
	claim->rows++;
	claim->bytes += row->payload_bytes;
	if (claim->limit.max_backlog == LIMITS_NONE || !row->is_queued)
		return;
	claim->queued++;
	backlog->value = PointerGetDatum(account->name);
	backlog->isnull = false;
}

void
charges_add(Charges *charges, const ChargedRow *row, Backlogs *backlogs)
{
	if (charges->customers != NULL && !row->customer.isnull)
		put_on(find_customer(charges, row->customer.value), row, &backlogs->customer);
	if (charges->role != NULL)
		put_on(charges->role, row, &backlogs->role);
}

static int64
limit_of(const UsageClaim *claim, UsageAnswer answer)
{
	if (answer == USAGE_NO_ROWS)
		return claim->limit.rows_per_minute;
	return answer == USAGE_NO_BYTES ? claim->limit.bytes_per_minute : claim->limit.max_backlog;
}

static int64
wanted_by(const UsageClaim *claim, UsageAnswer answer)
{
	if (answer == USAGE_NO_ROWS)
		return claim->rows;
	return answer == USAGE_NO_BYTES ? claim->bytes : claim->queued;
}

static char *
detail_of(const UsageClaim *claim, const UsageVerdict *verdict)
{
	const Words *said = &words[verdict->answer];
	int64		wanted = wanted_by(claim, verdict->answer);

	if (verdict->answer == USAGE_NO_ROOM)
		return psprintf(INT64_FORMAT " were unfinished when they were last counted, this statement adds "
						INT64_FORMAT ".", verdict->left, wanted);
	return psprintf("This statement enqueues " INT64_FORMAT " %s, " INT64_FORMAT " are left.",
					wanted, wanted == 1 ? said->one : said->what, verdict->left);
}

static char *
hint_of(const UsageClaim *claim, const UsageVerdict *verdict)
{
	const Words *said = &words[verdict->answer];
	int64		limit = limit_of(claim, verdict->answer);
	const char *when;

	if (limit == 0)
		return psprintf("An administrator can raise %s in integration.enqueue_limit.",
						said->column);
	if (wanted_by(claim, verdict->answer) > limit)
		when = "Enqueue less in one statement";
	else if (verdict->answer == USAGE_NO_ROOM)
		when = "Try again when some of them are finished";
	else
		when = psprintf("Try again in " INT64_FORMAT " s", verdict->wait_s);
	return psprintf("%s, or have an administrator raise %s in integration.enqueue_limit.",
					when, said->column);
}

static void
refuse(const UsageClaim *claim, const UsageVerdict *verdict)
{
	ereport(ERROR,
			errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			errmsg("%s \"%s\" has reached its limit of " INT64_FORMAT " %s",
				   limits_scope_name(claim->scope), claim->name,
				   limit_of(claim, verdict->answer), words[verdict->answer].unit),
			errdetail_internal("%s", detail_of(claim, verdict)),
			errhint("%s", hint_of(claim, verdict)));
}

/* A count goes beyond the limit only as far as this statement's own rows may lie. */
static UsageVerdict
take(const Charges *charges, const UsageClaim *claim)
{
	UsageVerdict asked = usage_take(claim);
	int64		counted;

	if (asked.answer != USAGE_COUNT)
		return asked;
	counted = backlog_count(charges->schema, claim->scope, CStringGetTextDatum(claim->name),
							claim->limit.max_backlog + claim->queued);
	return usage_counted(claim, &asked, counted);
}

static List *
claims_of(const Charges *charges)
{
	List	   *claims = NIL;
	HASH_SEQ_STATUS scan;
	Account    *account;

	if (charges->role != NULL && charges->role->claim.rows > 0)
		claims = list_make1(&charges->role->claim);
	if (charges->customers == NULL)
		return claims;
	hash_seq_init(&scan, charges->customers);
	while ((account = hash_seq_search(&scan)) != NULL)
		if (account->is_limited)
			claims = lappend(claims, &account->claim);
	return claims;
}

void
charges_settle(Charges *charges)
{
	List	   *claims = claims_of(charges);

	for (int i = 0; i < list_length(claims); i++)
	{
		const UsageClaim *claim = list_nth(claims, i);
		UsageVerdict verdict = take(charges, claim);

		if (verdict.answer == USAGE_TAKEN)
			continue;
		for (int taken = 0; taken < i; taken++)
			usage_give_back(list_nth(claims, taken));
		refuse(claim, &verdict);
	}
}
