/*-------------------------------------------------------------------------
 * inserted.c
 *		SQL over the rows that a statement has inserted into the outbox.
 *
 * Only the trigger's own statements see them as a table: new_rows.
 *-------------------------------------------------------------------------
 */
#include "store/inserted.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "store/session.h"

/*
 * The first row of a key is the one to send, in key order, so that two
 * sessions with the same keys wait for each other and never in a circle.  A key
 * whose sync is in force is not even locked; one that is held by an open
 * transaction is waited for, and what became of its sync is looked at then.
 * What belongs to a row is looked up for it alone (LIMIT keeps it from being
 * joined): the plan may have been made for more rows than there are now.
 */
static const char claim_text[] =
"INSERT INTO integration.dedup AS d (endpoint_id, dedup_key, outbox_id, expires_at)"
" SELECT DISTINCT ON (e.id, n.dedup_key COLLATE \"C\") e.id, n.dedup_key, n.id,"
" clock_timestamp() + coalesce(e.dedup_window,"
" (SELECT c.dedup_window FROM integration.connector c WHERE c.name = e.connector), '24 h')"
" FROM new_rows n"
" CROSS JOIN LATERAL (SELECT x.id, x.connector, x.dedup_window FROM integration.endpoint x"
" WHERE x.name = n.endpoint LIMIT 1) e"
" WHERE n.dedup_key IS NOT NULL"
" AND NOT EXISTS (SELECT FROM integration.dedup k"
" WHERE k.endpoint_id = e.id AND k.dedup_key = n.dedup_key COLLATE \"C\""
" AND k.expires_at > clock_timestamp() AND integration_worker.in_force(k.outbox_id) IS NOT NULL)"
" ORDER BY e.id, n.dedup_key COLLATE \"C\", n.id"
" ON CONFLICT (endpoint_id, dedup_key) DO UPDATE"
" SET outbox_id = excluded.outbox_id, expires_at = excluded.expires_at"
" WHERE d.expires_at <= clock_timestamp() OR integration_worker.in_force(d.outbox_id) IS NULL";

static const char close_text[] =
"INSERT INTO integration.closing (outbox_id, state, reason, superseded_by)"
" SELECT n.id, 'superseded', 'duplicate', coalesce(integration_worker.in_force(d.outbox_id), d.outbox_id)"
" FROM new_rows n"
" CROSS JOIN LATERAL (SELECT k.outbox_id FROM integration.dedup k"
" WHERE k.endpoint_id = (SELECT e.id FROM integration.endpoint e WHERE e.name = n.endpoint)"
" AND k.dedup_key = n.dedup_key COLLATE \"C\" LIMIT 1) d"
" WHERE d.outbox_id <> n.id";

static const char refusal_text[] =
"SELECT r.code, r.message, r.detail, r.hint"
" FROM new_rows n, integration_worker.refusal(n.id, n.endpoint, n.operation, n.payload, n.headers,"
" n.priority, n.send_after, n.expires_at, n.enqueued_by) r"
" WHERE n.id = $1";

static SessionCaller
enter_sql(TriggerData *trigger)
{
	SessionCaller caller = session_become(trigger->tg_relation->rd_rel->relowner);

	if (SPI_register_trigger_data(trigger) != SPI_OK_TD_REGISTER)
		elog(ERROR, "could not register the inserted rows");
	return caller;
}

/* Within a statement the order is ours, between statements the application's. */
static void
say_what_helps(void *arg)
{
	if (geterrcode() == ERRCODE_T_R_DEADLOCK_DETECTED)
		errhint("Repeat the transaction; insert its syncs in the order of their dedup_key, or in one statement.");
}

/* All rows of the statement at once, so that its keys are claimed in order. */
void
inserted_close_duplicates(TriggerData *trigger)
{
	static Statement claim = {.text = claim_text};
	static Statement close = {.text = close_text};
	ErrorContextCallback context = {.callback = say_what_helps,.previous = error_context_stack};
	SessionCaller caller = enter_sql(trigger);

	error_context_stack = &context;
	session_execute(&claim, NULL, NULL);
	error_context_stack = context.previous;
	session_execute(&close, NULL, NULL);
	session_return(caller);
}

static char *
result_text(MemoryContext memory, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return value == NULL ? NULL : MemoryContextStrdup(memory, value);
}

/* Leaves SPI before anybody raises it: the application should see no statement of ours. */
void
inserted_refusal(TriggerData *trigger, int64 id, Refusal *refusal)
{
	static const Oid types[] = {INT8OID};
	static Statement statement = {.text = refusal_text,.arg_count = 1,.arg_types = types};
	Datum		values[] = {Int64GetDatum(id)};
	MemoryContext memory = CurrentMemoryContext;
	SessionCaller caller = enter_sql(trigger);
	const char *code;

	if (session_execute(&statement, values, NULL) == 0)
		elog(ERROR, "sync " INT64_FORMAT " is refused and cannot be found", id);
	code = result_text(memory, 1);
	*refusal = (Refusal)
	{
		.code = MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]),
			.message = result_text(memory, 2),
			.detail = result_text(memory, 3),
			.hint = result_text(memory, 4),
	};
	session_return(caller);
}
