/*-------------------------------------------------------------------------
 * enqueue.c
 *		The trigger that turns inserted outbox rows into queue rows.
 *
 * One insert for each statement of the application, and a mark that wakes the
 * worker at commit.  Rows that it leaves out are refused in the words of
 * integration_worker.refusal().
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "worker/wake.h"

SQL_FUNCTION(integration_enqueue);

static const char enqueue_text[] =
"INSERT INTO integration.queue (outbox_id, endpoint_id, due_at, payload_bytes, priority, expires_at,"
" ordering_key, object_type, object_id, change_xid)"
" SELECT n.id, e.id, greatest(n.send_after, now()), octet_length(n.payload::text),"
" CASE WHEN n.operation = 'ping' THEN 0 WHEN n.priority = 'high' THEN 1"
" WHEN n.priority = 'normal' THEN 2 ELSE 3 END,"
" n.expires_at, n.ordering_key,"
" CASE WHEN coalesce(e.\"coalesce\", c.\"coalesce\") THEN coalesce(n.object_type, '') END,"
" CASE WHEN coalesce(e.\"coalesce\", c.\"coalesce\") THEN n.object_id END,"
" pg_current_xact_id()"
" FROM new_rows n"
" JOIN integration.endpoint e ON e.name = n.endpoint"
" LEFT JOIN integration.connector c ON c.name = e.connector"
" WHERE n.id <= (SELECT pg_sequence_last_value(pg_get_serial_sequence('integration.outbox', 'id')::regclass))"
" AND n.priority IN ('high', 'normal', 'low')"
" AND octet_length(n.payload::text) <= coalesce(e.max_payload_bytes, c.max_payload_bytes, 1048576)"
" AND (n.headers IS NULL OR integration_worker.header_problem(n.headers) IS NULL)"
" AND (n.operation = 'ping' OR coalesce(e.payload_check, c.payload_check) IS NULL"
" OR (n.payload @@ coalesce(e.payload_check, c.payload_check)) IS TRUE)"
" AND (n.send_after IS NULL OR isfinite(n.send_after))"
" AND (n.expires_at IS NULL OR n.expires_at > greatest(n.send_after, now()))";

static const char refusal_text[] =
"SELECT r.code, r.message, r.detail, r.hint"
" FROM new_rows n, integration_worker.refusal(n.id, n.endpoint, n.payload, n.headers, n.priority,"
" n.send_after, n.expires_at) r"
" WHERE NOT EXISTS (SELECT FROM integration.queue q WHERE q.outbox_id = n.id)"
" ORDER BY n.id LIMIT 1";

static uint64
execute(SPIPlanPtr *plan, const char *statement)
{
	int			code;

	if (*plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare(statement, 0, NULL);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the enqueue statement: %s",
				 SPI_result_code_string(SPI_result));
		*plan = made;
	}
	code = SPI_execute_plan(*plan, NULL, NULL, false, 0);
	if (code < 0)
		elog(ERROR, "could not run the enqueue statement: %s", SPI_result_code_string(code));
	return SPI_processed;
}

static char *
result_text(MemoryContext memory, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return value == NULL ? NULL : MemoryContextStrdup(memory, value);
}

/* Leaves SPI first: the application should see its own statement, none of ours. */
static void
refuse(MemoryContext memory)
{
	static SPIPlanPtr plan = NULL;
	char	   *code;
	char	   *message;
	char	   *detail;
	char	   *hint;

	if (execute(&plan, refusal_text) == 0)
		elog(ERROR, "the queue did not take a row that nothing speaks against");
	code = result_text(memory, 1);
	message = result_text(memory, 2);
	detail = result_text(memory, 3);
	hint = result_text(memory, 4);
	SPI_finish();
	ereport(ERROR,
			errcode(MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4])),
			errmsg_internal("%s", message),
			detail == NULL ? 0 : errdetail_internal("%s", detail),
			errhint("%s", hint));
}

Datum
integration_enqueue(PG_FUNCTION_ARGS)
{
	static SPIPlanPtr enqueue_plan = NULL;
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	MemoryContext caller = CurrentMemoryContext;
	int64		inserted;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigger->tg_newtable == NULL)
		ereport(ERROR,
				errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				errmsg("integration_worker.enqueue() is a trigger of integration.outbox"));
	inserted = tuplestore_tuple_count(trigger->tg_newtable);
	if (inserted == 0)
		return PointerGetDatum(NULL);

	SPI_connect();
	if (SPI_register_trigger_data(trigger) != SPI_OK_TD_REGISTER)
		elog(ERROR, "could not register the inserted rows");
	if (execute(&enqueue_plan, enqueue_text) != (uint64) inserted)
		refuse(caller);
	SPI_finish();
	wake_at_commit(WAKE_ROWS);
	return PointerGetDatum(NULL);
}
