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

#include "flow/waiting.h"
#include "store/statements.h"

typedef struct TelemetrySignals
{
	bool		traces;
	bool		metrics;
	bool		logs;
	bool		is_delta;		/* figures are told as what is new in them */
} TelemetrySignals;

typedef struct TelemetryBatch
{
	const WaitingAttempt *attempts;
	int			count;
	int64		dropped;		/* since the last batch */
	int32		worker;
} TelemetryBatch;

#define TELEMETRY_BUCKETS 15

/* How long the requests of an endpoint took that ended in the same way. */
typedef struct TelemetryDuration
{
	int32		endpoint_id;
	int32		status;			/* 0: no answer */
	const char *reason;			/* "" with a status */
	const int64 *counts;		/* of each bucket */
	double		sum_s;
} TelemetryDuration;

typedef struct TelemetryDurations
{
	int			count;
	TelemetryDuration *rows;
	TimestampTz since;
	TimestampTz until;
	bool		is_delta;
	bool		with_backlog;	/* and what waits in the whole database */
	int32		worker;
} TelemetryDurations;

/* Which signals are exported now; writes: bring the tables in line with the settings first. */
extern TelemetrySignals telemetry_prepare(bool writes);

/*
 * Enqueue a batch, which may be empty: what else there is for the logs goes
 * along.  False: too many wait already.
 */
extern bool telemetry_send(const TelemetryBatch *batch);

/* Enqueue the metrics.  False: too many wait already. */
extern bool telemetry_send_metrics(const TelemetryDurations *durations);

/* In place of a payload, which names attempts, what is told of these; in memory. */
extern void telemetry_render(MemoryContext memory, Content *content);

#endif							/* INTEGRATION_TELEMETRY_H */
