/*-------------------------------------------------------------------------
 * session.c
 *		The one way in which the worker runs a transaction.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "store/session.h"

#define OUTGROWN 4				/* times as big as when plans were made */
#define LOOK_AGAIN_MS 100		/* at the tables' sizes */

/*
 * ALTER ROLE and ALTER DATABASE … SET reach this session too.  Each of these
 * would change what a statement means, how long it may take or what it runs.
 * Plans are made once for tables whose size changes by orders of magnitude:
 * they must not depend on the size they happened to have at the time.
 */
static const struct
{
	const char *name;
	const char *value;
}			pinned_settings[] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"role", "none"},
	/* a standby that hangs must not stop the sender */
	{"synchronous_commit", "local"},
	{"standard_conforming_strings", "on"},
	{"session_replication_role", "origin"},
	{"row_security", "off"},
	{"lock_timeout", "1s"},
	{"statement_timeout", "0"},
	{"transaction_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	/* an error is to end a step, not the process */
	{"exit_on_error", "off"},
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"},
	{"bytea_output", "hex"},
	{"jit", "off"},
	{"max_parallel_workers_per_gather", "0"},
	{"plan_cache_mode", "force_generic_plan"},
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"},
};

void
session_pin_settings(const char *process)
{
	for (int i = 0; i < lengthof(pinned_settings); i++)
	{
		/* not every version has each of them */
		if (GetConfigOption(pinned_settings[i].name, true, false) != NULL)
			SetConfigOption(pinned_settings[i].name, pinned_settings[i].value,
							PGC_SUSET, PGC_S_OVERRIDE);
	}
	SetConfigOption("application_name", process, PGC_SUSET, PGC_S_OVERRIDE);
}

void
session_await_locks(void)
{
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Tables whose size decides how they are best read, with the size plans were
 * made for: at first one at which walking all of it takes no longer than making
 * the plans anew.
 */
static struct
{
	const char *name;
	BlockNumber small_blocks;
	BlockNumber planned_blocks;
}			planned_tables[] = {
	{"queue", 128, 0},
	{"endpoint", 4, 0},
	{"endpoint_health", 8, 0},
	{"sync_status", 32, 0},
};

static BlockNumber
table_blocks(Oid schema, const char *name)
{
	Oid			table = get_relname_relid(name, schema);
	Relation	relation = OidIsValid(table) ? try_relation_open(table, AccessShareLock) : NULL;
	BlockNumber blocks = 0;

	if (relation == NULL)
		return 0;
	blocks = RelationGetNumberOfBlocks(relation);
	relation_close(relation, AccessShareLock);
	return blocks;
}

/*
 * Plans are made once.  One that was made while a table was small may walk all
 * of it for each row, so they are made anew when it has grown much; one that
 * was made for a big table is good for a small one.  To look costs as much as a
 * small statement, so not every transaction does.
 */
static void
forget_outgrown_plans(void)
{
	static TimestampTz looked_at = 0;
	TimestampTz now = GetCurrentStatementStartTimestamp();
	Oid			schema;

	if (!TimestampDifferenceExceeds(looked_at, now, LOOK_AGAIN_MS) && looked_at <= now)
		return;
	looked_at = now;
	schema = get_namespace_oid("integration", true);
	for (int i = 0; OidIsValid(schema) && i < lengthof(planned_tables); i++)
	{
		BlockNumber planned_blocks = Max(planned_tables[i].planned_blocks,
										 planned_tables[i].small_blocks);
		BlockNumber blocks = table_blocks(schema, planned_tables[i].name);

		if (blocks > planned_blocks * OUTGROWN)
			ResetPlanCache();
		if (blocks > planned_blocks * OUTGROWN || blocks < planned_blocks / OUTGROWN)
			planned_tables[i].planned_blocks = blocks;
	}
}

static void
begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	forget_outgrown_plans();
}

static void
commit(void)
{
	PopActiveSnapshot();
	SPI_finish();
	CommitTransactionCommand();
	pgstat_report_stat(false);
}

bool
session_run(SessionStep step, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool done = true;

	PG_TRY();
	{
		begin();
		step(arg);
		commit();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		done = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return done;
}

/* The setting statement_timeout is looked at in sessions of clients alone. */
bool
session_run_within(SessionStep step, void *arg, int most_ms)
{
	bool		done;

	enable_timeout_after(STATEMENT_TIMEOUT, most_ms);
	done = session_run(step, arg);
	disable_timeout(STATEMENT_TIMEOUT, false);
	QueryCancelPending = false;
	return done;
}

uint64
session_execute(Statement *statement, Datum *values, const char *nulls)
{
	int			code;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->text, statement->arg_count,
									   (Oid *) statement->arg_types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", statement->text,
				 SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}
	code = SPI_execute_plan(statement->plan, values, nulls, statement->read_only, 0);
	if (code < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->text, SPI_result_code_string(code));
	return SPI_processed;
}

SessionCaller
session_become(Oid owner)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},

		/*
		 * a plan made while a table was small would read all of it once it is
		 * not
		 */
		{"enable_seqscan", "off"},
		{"jit", "off"},
	};
	SessionCaller caller = {.nesting = NewGUCNestLevel()};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&caller.role, &caller.security);
	SetUserIdAndSecContext(owner, caller.security | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	return caller;
}

void
session_return(SessionCaller caller)
{
	SPI_finish();
	AtEOXact_GUC(false, caller.nesting);
	SetUserIdAndSecContext(caller.role, caller.security);
}

void
session_flush(void)
{
	if (XactLastCommitEnd != InvalidXLogRecPtr)
		XLogFlush(XactLastCommitEnd);
}

void
session_flush_all(void)
{
	/* the commit of a transaction with an id is a record behind all others */
	(void) GetTopTransactionId();
	ForceSyncCommit();
}

void
session_report(void)
{
	pgstat_report_stat(true);
}
