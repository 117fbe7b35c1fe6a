/*-------------------------------------------------------------------------
 * exporting.c
 *		Attempts are told to an OpenTelemetry collector.
 *
 * The batches are syncs to an endpoint like any other, so their retries, their
 * breaker and their end are those of every sync.  Their own attempts are not
 * told, else each batch would lead to another one.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "store/session.h"
#include "store/telemetry.h"
#include "worker/exporting.h"

#define BATCH 170				/* attempts: about 512 spans, as SDKs have it */
#define WAITING_MOST 2048
#define KEPT_FOR_FAILED 512		/* of these, once deliveries fill the rest */
#define GATHER_MS 1000			/* for a batch that doesn't fill up */
#define APART_MS 100			/* two batches, so that they take a small part
								 * of the worker's time */
#define AGAIN_MS 1000			/* a statement failed, or too many batches
								 * wait */

static struct
{
	bool		must_prepare;
	TimestampTz prepare_at;		/* not before */
	TelemetrySignals signals;
	TelemetryAttempt waiting[WAITING_MOST];
	int			count;
	int64		dropped;
	TimestampTz first_at;		/* when the oldest of them came */
	TimestampTz send_at;		/* not before */
}			state = {.must_prepare = true};

typedef struct PrepareStep
{
	bool		writes;
	TelemetrySignals signals;
} PrepareStep;

typedef struct SendStep
{
	TelemetryBatch batch;
	bool		is_taken;
} SendStep;

void
exporting_reload(void)
{
	state.must_prepare = true;
	state.prepare_at = 0;
}

bool
exporting_renders(const Endpoint *endpoint)
{
	return endpoint->format == REQUEST_FORMAT_OTLP || endpoint->format == REQUEST_FORMAT_OTLP_GZIP;
}

void
exporting_note(const Lease *lease, const char *sync_state)
{
	bool		is_failed = strcmp(sync_state, "delivered") != 0;
	int			room = is_failed ? WAITING_MOST : WAITING_MOST - KEPT_FOR_FAILED;
	TelemetryAttempt *attempt;

	if (!state.signals.traces || exporting_renders(lease->endpoint) ||
		(!is_failed && (lease->trace.flags & TRACE_SAMPLED) == 0))
		return;
	if (state.count >= room)
	{
		state.dropped++;
		return;
	}
	if (state.count == 0)
		state.first_at = GetCurrentTimestamp();
	attempt = &state.waiting[state.count++];
	attempt->outbox_id = lease->outbox_id;
	strlcpy(attempt->span_id, lease->trace.span_id, sizeof(attempt->span_id));
	attempt->is_failed = is_failed;
	attempt->is_ended = strcmp(sync_state, "retrying") != 0 && strcmp(sync_state, "pending") != 0;
}

static void
prepare_step(void *arg)
{
	PrepareStep *step = arg;

	step->signals = telemetry_prepare(step->writes);
}

static void
send_step(void *arg)
{
	SendStep   *step = arg;

	step->is_taken = telemetry_send(&step->batch);
}

static void
prepare(const Sender *sender)
{
	PrepareStep step = {.writes = sender_owns(sender, 0)};

	state.prepare_at = TimestampTzPlusMilliseconds(sender->now, AGAIN_MS);
	if (!session_run(prepare_step, &step))
		return;
	state.signals = step.signals;
	state.must_prepare = false;
}

static TimestampTz
due_at(void)
{
	if (state.count == 0)
		return DT_NOEND;
	if (state.count >= BATCH)
		return state.send_at;
	return Max(state.send_at, TimestampTzPlusMilliseconds(state.first_at, GATHER_MS));
}

static void
send_batch(const Sender *sender)
{
	SendStep	step = {
		.batch = {
			.attempts = state.waiting,
			.count = Min(state.count, BATCH),
			.dropped = state.dropped,
			.worker = sender->number,
		},
	};

	state.send_at = TimestampTzPlusMilliseconds(sender->now, AGAIN_MS);
	if (!session_run(send_step, &step))
		return;
	state.dropped = 0;
	if (!step.is_taken)
		return;
	state.send_at = TimestampTzPlusMilliseconds(sender->now, APART_MS);
	state.count -= step.batch.count;
	memmove(state.waiting, state.waiting + step.batch.count,
			sizeof(TelemetryAttempt) * state.count);
	state.first_at = sender->now;
}

void
exporting_turn(const Sender *sender)
{
	if (sender->sql_again_at > sender->now)
		return;
	if (state.must_prepare && state.prepare_at <= sender->now)
		prepare(sender);
	if (due_at() <= sender->now)
		send_batch(sender);
}

TimestampTz
exporting_deadline(const Sender *sender)
{
	TimestampTz deadline = due_at();

	if (state.must_prepare)
		deadline = Min(deadline, state.prepare_at);
	return Max(deadline, sender->sql_again_at);
}
