/*-------------------------------------------------------------------------
 * exporting.c
 *		What happens is told to an OpenTelemetry collector.
 *
 * The batches are syncs to an endpoint like any other, so their retries, their
 * breaker and their end are those of every sync.  Their own attempts are not
 * told, else each batch would lead to another one.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "utils/timestamp.h"

#include "flow/rest.h"
#include "flow/waiting.h"
#include "store/session.h"
#include "store/telemetry.h"
#include "worker/exporting.h"
#include "worker/measuring.h"

#define BATCH 512				/* attempts, as the SDKs have it; they keep
								 * the worker for some 8 ms */
#define GATHER_MS 1000			/* for a batch that doesn't fill up */
#define IDLE_AFTER_MS 200
#define BEHIND_AFTER_MS 100		/* with something to send all the time */
#define LOOK_EVERY_MS 5000		/* for what people did */
#define METRICS_EVERY_MS 60000
#define PREPARE_EVERY_MS 60000	/* another worker may have switched a signal */
#define AGAIN_MS 1000			/* a statement failed, or too many batches
								 * wait */

static struct
{
	bool		is_reloaded;	/* the settings were, since it was prepared */
	uint32		seen_back;		/* of the times that the clock went back */
	TimestampTz prepare_at;		/* the signals are looked at next */
	TelemetrySignals signals;
	Waiting		waiting;
	int64		dropped;
	TimestampTz noted_at;		/* the newest of what waits */
	TimestampTz kept_up_at;		/* nothing was left to send */
	TimestampTz first_at;		/* when the oldest of them came */
	Rest		rest;
	TimestampTz look_at;		/* a batch leaves even if it is empty */
	TimestampTz metrics_at;
	TimestampTz told_at;		/* figures are of what came since; 0: since
								 * the worker began */
}			state = {.is_reloaded = true,.look_at = DT_NOEND,.metrics_at = DT_NOEND};

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

typedef struct MetricsStep
{
	TelemetryDurations durations;
	bool		is_taken;
} MetricsStep;

void
exporting_reload(void)
{
	state.is_reloaded = true;
	state.prepare_at = 0;
}

bool
exporting_goes_to(const Endpoint *endpoint)
{
	return endpoint->format == REQUEST_FORMAT_OTLP || endpoint->format == REQUEST_FORMAT_OTLP_GZIP;
}

RestClock
exporting_clock(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (RestClock)
	{
		.at_us = GetCurrentTimestamp(),
			.used_us = used.tv_sec * USECS_PER_SEC + used.tv_nsec / 1000,
	};
}

void
exporting_spend(RestClock start)
{
	rest_spend(&state.rest, start, exporting_clock());
}

void
exporting_note(const Sender *sender, const Lease *lease, const char *sync_state)
{
	bool		is_failed = strcmp(sync_state, "delivered") != 0;
	WaitingAttempt attempt = {
		.outbox_id = lease->outbox_id,
		.is_failed = is_failed,
		.is_ended = strcmp(sync_state, "retrying") != 0 && strcmp(sync_state, "pending") != 0,
	};

	if (exporting_goes_to(lease->endpoint))
		return;
	if (state.signals.metrics)
		measuring_note(sender, lease);
	if (is_failed ? !state.signals.traces && !state.signals.logs :
		!state.signals.traces || (lease->trace.flags & TRACE_SAMPLED) == 0)
		return;
	strlcpy(attempt.span_id, lease->trace.span_id, sizeof(attempt.span_id));
	if (waiting_count(&state.waiting) == 0)
		state.first_at = sender->now;
	state.noted_at = sender->now;
	if (!waiting_add(&state.waiting, &attempt, is_failed || lease->kind == LEASE_RETRY,
					 &lease->trace))
		state.dropped++;
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
metrics_step(void *arg)
{
	MetricsStep *step = arg;

	step->is_taken = telemetry_send_metrics(&step->durations);
}

static void
prepare(const Sender *sender)
{
	PrepareStep step = {.writes = sender_owns(sender, 0)};

	state.prepare_at = TimestampTzPlusMilliseconds(sender->now, AGAIN_MS);
	if (!session_run(prepare_step, &step))
		return;
	state.prepare_at = TimestampTzPlusMilliseconds(sender->now, PREPARE_EVERY_MS);
	if (!state.is_reloaded && memcmp(&step.signals, &state.signals, sizeof(step.signals)) == 0)
		return;
	state.is_reloaded = false;
	state.signals = step.signals;
	state.look_at = step.signals.logs ? sender->now : DT_NOEND;
	state.metrics_at = step.signals.metrics ? sender->now : DT_NOEND;
}

/* When the next batch leaves if there is no rest. */
static TimestampTz
wanted_at(void)
{
	int			count = waiting_count(&state.waiting);

	if (count >= BATCH)
		return state.noted_at;
	if (count == 0)
		return state.look_at;
	return Min(TimestampTzPlusMilliseconds(state.first_at, GATHER_MS), state.look_at);
}

static bool
is_due(const Sender *sender)
{
	return wanted_at() <= sender->now && rest_is_over(&state.rest, exporting_clock());
}

static RestPace
pace(const Sender *sender)
{
	if (TimestampDifferenceExceeds(state.noted_at, sender->now, IDLE_AFTER_MS))
		return REST_WHILE_IDLE;
	if (TimestampDifferenceExceeds(state.kept_up_at, sender->now, BEHIND_AFTER_MS))
		return REST_WHILE_BEHIND;
	return REST_WHILE_KEEPING_UP;
}

static void
send_batch(const Sender *sender)
{
	static WaitingAttempt attempts[BATCH];
	RestClock	start = exporting_clock();
	SendStep	step = {
		.batch = {
			.attempts = attempts,
			.count = waiting_next(&state.waiting, attempts, BATCH),
			.dropped = state.dropped,
			.worker = sender->number,
		},
	};

	rest_at_least(&state.rest, start.at_us + AGAIN_MS * INT64CONST(1000));
	if (state.signals.logs)
		state.look_at = TimestampTzPlusMilliseconds(sender->now, LOOK_EVERY_MS);
	if (!session_run(send_step, &step))
		return;
	state.dropped = 0;
	if (!step.is_taken)
		return;
	exporting_spend(start);
	rest_begin(&state.rest, exporting_clock(), pace(sender));
	waiting_forget(&state.waiting, step.batch.count);
	state.first_at = sender->now;
}

static void
send_metrics(const Sender *sender)
{
	MemoryContext caller = MemoryContextSwitchTo(sender->scratch);
	MetricsStep step = {.durations = measuring_figures()};

	step.durations.since = Max(state.told_at, sender->started_at);
	step.durations.until = sender->now;
	step.durations.is_delta = state.signals.is_delta;
	step.durations.with_backlog = sender_owns(sender, 0);
	step.durations.worker = sender->number;
	state.metrics_at = TimestampTzPlusMilliseconds(sender->now, METRICS_EVERY_MS);
	if (session_run(metrics_step, &step) && step.is_taken && state.signals.is_delta)
	{
		measuring_forget();
		state.told_at = sender->now;
	}
	MemoryContextSwitchTo(caller);
}

/* What was to come while the clock ran ahead comes now. */
static void
turn_back(const Sender *sender)
{
	if (state.seen_back == sender->agenda.turns_back)
		return;
	state.seen_back = sender->agenda.turns_back;
	state.first_at = Min(state.first_at, sender->now);
	state.noted_at = Min(state.noted_at, sender->now);
	state.kept_up_at = Min(state.kept_up_at, sender->now);
	state.rest = (Rest)
	{
		0
	};
	/* has all else begin anew */
	exporting_reload();
}

void
exporting_turn(const Sender *sender)
{
	if (sender->ready_count == 0)
		state.kept_up_at = sender->now;
	if (sender->sql_again_at > sender->now)
		return;
	turn_back(sender);
	if (state.prepare_at <= sender->now)
		prepare(sender);
	if (is_due(sender))
		send_batch(sender);
	if (state.metrics_at <= sender->now)
		send_metrics(sender);
}

TimestampTz
exporting_deadline(const Sender *sender)
{
	TimestampTz due_at = Max(wanted_at(), state.rest.until.at_us);
	TimestampTz deadline = Min(Min(due_at, state.metrics_at), state.prepare_at);

	return Max(deadline, sender->sql_again_at);
}
