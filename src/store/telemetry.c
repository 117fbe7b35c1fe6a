/*-------------------------------------------------------------------------
 * telemetry.c
 *		Statements that export telemetry.
 *-------------------------------------------------------------------------
 */
#include "store/telemetry.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/columns.h"
#include "store/parameters.h"
#include "store/session.h"
#include "store/traces.h"

TelemetrySignals
telemetry_prepare(bool writes)
{
	static const Oid types[] = {BOOLOID};
	static Statement statement = {
		.text = "SELECT 'traces' = ANY (s.on), 'metrics' = ANY (s.on), 'logs' = ANY (s.on), "
		"integration_worker.wants_delta(integration_worker.otel_variable("
		"'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE'))"
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
			.is_delta = column_bool(0, 4),
	};
}

bool
telemetry_send(const TelemetryBatch *batch)
{
	static const Oid types[] = {INT8ARRAYOID, TEXTARRAYOID, BOOLARRAYOID, TEXTARRAYOID,
	INT8OID, INT4OID};
	static Statement statement = {
		.text = "SELECT integration_worker.export_attempts($1, $2, $3, $4, $5, $6)",
		.arg_count = 6,
		.arg_types = types,
	};
	Datum	   *syncs = palloc(sizeof(Datum) * (batch->count + 1));
	Datum	   *spans = palloc(sizeof(Datum) * (batch->count + 1));
	Datum	   *ended = palloc(sizeof(Datum) * (batch->count + 1));
	Datum	   *failures = palloc(sizeof(Datum) * (batch->count + 1));
	int			failure_count = 0;
	Datum		values[6];

	for (int i = 0; i < batch->count; i++)
	{
		syncs[i] = Int64GetDatum(batch->attempts[i].outbox_id);
		spans[i] = CStringGetTextDatum(batch->attempts[i].span_id);
		ended[i] = BoolGetDatum(batch->attempts[i].is_ended);
		if (batch->attempts[i].is_failed)
			failures[failure_count++] = spans[i];
	}
	values[0] = parameters_array(INT8OID, syncs, NULL, batch->count);
	values[1] = parameters_array(TEXTOID, spans, NULL, batch->count);
	values[2] = parameters_array(BOOLOID, ended, NULL, batch->count);
	values[3] = parameters_array(TEXTOID, failures, NULL, failure_count);
	values[4] = Int64GetDatum(batch->dropped);
	values[5] = Int32GetDatum(batch->worker);
	session_execute(&statement, values, NULL);
	return column_bool(0, 1);
}

bool
telemetry_send_metrics(const TelemetryDurations *durations)
{
	static const Oid types[] = {INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT8ARRAYOID,
	FLOAT8ARRAYOID, TIMESTAMPTZOID, BOOLOID, INT4OID, TIMESTAMPTZOID, BOOLOID};
	static Statement statement = {
		.text = "SELECT integration_worker.export_metrics($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		.arg_count = 10,
		.arg_types = types,
	};
	int			count = durations->count;
	Datum	   *columns[4];
	Datum	   *buckets = palloc(sizeof(Datum) * (count * TELEMETRY_BUCKETS + 1));
	Datum		values[10];

	for (int i = 0; i < 4; i++)
		columns[i] = palloc(sizeof(Datum) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		const TelemetryDuration *row = &durations->rows[i];

		columns[0][i] = Int32GetDatum(row->endpoint_id);
		columns[1][i] = Int32GetDatum(row->status);
		columns[2][i] = CStringGetTextDatum(row->reason);
		columns[3][i] = Float8GetDatum(row->sum_s);
		for (int bucket = 0; bucket < TELEMETRY_BUCKETS; bucket++)
			buckets[i * TELEMETRY_BUCKETS + bucket] = Int64GetDatum(row->counts[bucket]);
	}
	values[0] = parameters_array(INT4OID, columns[0], NULL, count);
	values[1] = parameters_array(INT4OID, columns[1], NULL, count);
	values[2] = parameters_array(TEXTOID, columns[2], NULL, count);
	values[3] = parameters_array(INT8OID, buckets, NULL, count * TELEMETRY_BUCKETS);
	values[4] = parameters_array(FLOAT8OID, columns[3], NULL, count);
	values[5] = TimestampTzGetDatum(durations->since);
	values[6] = BoolGetDatum(durations->with_backlog);
	values[7] = Int32GetDatum(durations->worker);
	values[8] = TimestampTzGetDatum(durations->until);
	values[9] = BoolGetDatum(durations->is_delta);
	session_execute(&statement, values, NULL);
	return column_bool(0, 1);
}

void
telemetry_render(MemoryContext memory, Content *content)
{
	Text		body = {0};

	/* metrics and logs stand in the payload as they leave */
	if (content->payload == NULL || strcmp(content->operation, "traces") != 0)
		return;
	traces_write(pnstrdup(content->payload, content->payload_bytes), &body);
	content->payload = memcpy(MemoryContextAllocHuge(memory, body.length), body.data, body.length);
	content->payload_bytes = body.length;
	text_free(&body);
}
