/*-------------------------------------------------------------------------
 * telemetry.h
 *		Statements that export telemetry.
 *
 * To be run within session_run(), each in a transaction of its own.  All may throw.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TELEMETRY_H
#define INTEGRATION_TELEMETRY_H

#include "postgres.h"

#include "store/statements.h"

typedef struct TelemetrySignals
{
	bool		traces;
	bool		metrics;
	bool		logs;
} TelemetrySignals;

/* An attempt, as its span is known by. */
typedef struct TelemetryAttempt
{
	int64		outbox_id;
	char		span_id[17];
	bool		is_ended;		/* nothing follows it by itself */
	bool		is_failed;
} TelemetryAttempt;

typedef struct TelemetryBatch
{
	const TelemetryAttempt *attempts;
	int			count;
	int64		dropped;		/* since the last batch */
	int32		worker;
} TelemetryBatch;

/* Which signals are exported now; writes: bring the tables in line with the settings first. */
extern TelemetrySignals telemetry_prepare(bool writes);

/* Enqueue a batch.  False: too many wait already. */
extern bool telemetry_send(const TelemetryBatch *batch);

/* In place of a payload, which names attempts, what is told of these; in memory. */
extern void telemetry_render(MemoryContext memory, Content *content);

#endif							/* INTEGRATION_TELEMETRY_H */
