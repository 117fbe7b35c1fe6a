/*-------------------------------------------------------------------------
 * telemetry.c
 *		Statements that export telemetry.
 *-------------------------------------------------------------------------
 */
#include "store/telemetry.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"

TelemetrySignals
telemetry_prepare(bool writes)
{
	static const Oid types[] = {BOOLOID};
	static Statement statement = {
		.text = "SELECT 'traces' = ANY (s.on), 'metrics' = ANY (s.on), 'logs' = ANY (s.on)"
		" FROM (SELECT integration_worker.prepare_telemetry($1) AS on) s",
		.arg_count = 1,
		.arg_types = types,
	};
	Datum		values[] = {BoolGetDatum(writes)};

	session_execute(&statement, values, NULL);
	return (TelemetrySignals)
	{
		.traces = column_bool(0, 1),
			.metrics = column_bool(0, 2),
			.logs = column_bool(0, 3),
	};
}

bool
telemetry_send(const TelemetryBatch *batch)
{
	static const Oid types[] = {INT8ARRAYOID, TEXTARRAYOID, BOOLARRAYOID, INT8OID, INT4OID};
	static Statement statement = {
		.text = "SELECT integration_worker.export_attempts($1, $2, $3, $4, $5)",
		.arg_count = 5,
		.arg_types = types,
	};
	Datum	   *syncs = palloc(sizeof(Datum) * (batch->count + 1));
	Datum	   *spans = palloc(sizeof(Datum) * (batch->count + 1));
	Datum	   *ended = palloc(sizeof(Datum) * (batch->count + 1));
	Datum		values[5];

	for (int i = 0; i < batch->count; i++)
	{
		syncs[i] = Int64GetDatum(batch->attempts[i].outbox_id);
		spans[i] = CStringGetTextDatum(batch->attempts[i].span_id);
		ended[i] = BoolGetDatum(batch->attempts[i].is_ended);
	}
	values[0] = parameters_array(INT8OID, syncs, NULL, batch->count);
	values[1] = parameters_array(TEXTOID, spans, NULL, batch->count);
	values[2] = parameters_array(BOOLOID, ended, NULL, batch->count);
	values[3] = Int64GetDatum(batch->dropped);
	values[4] = Int32GetDatum(batch->worker);
	session_execute(&statement, values, NULL);
	return column_bool(0, 1);
}

void
telemetry_render(MemoryContext memory, Content *content)
{
	static const Oid types[] = {TEXTOID, TEXTOID};
	static Statement statement = {
		.text = "SELECT integration_worker.otlp_body($1, $2::jsonb)",
		.arg_count = 2,
		.arg_types = types,
		.read_only = true,
	};
	Datum		values[2];

	if (content->payload == NULL)
		return;
	values[0] = parameters_text(content->operation);
	values[1] = parameters_text(pnstrdup(content->payload, content->payload_bytes));
	session_execute(&statement, values, NULL);
	content->payload = column_bytes(0, 1, memory, &content->payload_bytes);
}
