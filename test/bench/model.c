/*-------------------------------------------------------------------------
 * model.c
 *		A receiver of limited capacity, called through the sender's own windows.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/window.h"
#include "model.h"

#define US_PER_S INT64_C(1000000)
#define END_S 120
#define WAY_US 10000			/* each of two ways */
#define WORK_US 100000.0
#define LARGEST 200
#define SLICES_PER_S 10
#define SLICES (END_S * SLICES_PER_S)
#define MOST_REQUESTS 4096		/* at once */
#define MOST_DONE 100000
#define MINUTE_US (60 * US_PER_S)

typedef enum StepKind
{
	STEP_ARRIVE,				/* a request at the receiver */
	STEP_FINISH,				/* the receiver is done with it */
	STEP_DONE,					/* its answer at the sender: good */
	STEP_REFUSED,				/* its answer at the sender: bad */
	STEP_WAKE					/* the breaker lets a probe go */
} StepKind;

typedef struct Step
{
	int64_t		at_us;
	int64_t		started_at_us;	/* of the request */
	StepKind	kind;
} Step;

typedef struct Model
{
	const ModelReceiver *receiver;
	const ModelSender *sender;
	ModelResult result;
	uint64_t	random;
	int64_t		now_us;
	int			step_count;		/* heap, earliest first */
	Step		steps[MOST_REQUESTS];

	int			working;		/* at the receiver */
	int			waiting_first;	/* ring of requests that wait there */
	int			waiting;
	int64_t		waiting_since[MOST_REQUESTS];

	Window		window;
	int			in_flight;
	bool		is_open;
	bool		is_probing;
	int64_t		open_until_us;
	int64_t		opened_at_us;
	int			openings_in_a_row;
	int			failures;
	int64_t		minute_at_us;
	int			minute_attempts;
	int			minute_failures;

	int			done_in[SLICES];
	double		latency_s[MOST_DONE];
} Model;

/* Above 0, up to 1 (xorshift64*). */
static double
chance(Model *model)
{
	model->random ^= model->random >> 12;
	model->random ^= model->random << 25;
	model->random ^= model->random >> 27;
	return ldexp((double) ((model->random * UINT64_C(2685821657736338717)) >> 11) + 1, -53);
}

static bool
is_within(const Model *model, int from_s, int to_s)
{
	return model->now_us >= from_s * US_PER_S && model->now_us < to_s * US_PER_S;
}

/* ---- steps in the order of time */

static void
push(Model *model, StepKind kind, int64_t at_us, int64_t started_at_us)
{
	int			place = model->step_count++;

	if (model->step_count >= MOST_REQUESTS)
	{
		fprintf(stderr, "the model has room for %d requests only\n", MOST_REQUESTS);
		exit(1);
	}
	while (place > 0 && model->steps[(place - 1) / 2].at_us > at_us)
	{
		model->steps[place] = model->steps[(place - 1) / 2];
		place = (place - 1) / 2;
	}
	model->steps[place] = (Step)
	{
		.at_us = at_us,.started_at_us = started_at_us,.kind = kind
	};
}

static Step
pop(Model *model)
{
	Step		first = model->steps[0];
	Step		last = model->steps[--model->step_count];
	int			place = 0;

	for (int child = 1; child < model->step_count; child = 2 * place + 1)
	{
		if (child + 1 < model->step_count &&
			model->steps[child + 1].at_us < model->steps[child].at_us)
			child++;
		if (model->steps[child].at_us >= last.at_us)
			break;
		model->steps[place] = model->steps[child];
		place = child;
	}
	model->steps[place] = last;
	return first;
}

/* ---- the receiver */

static int
capacity_now(const Model *model)
{
	const ModelReceiver *receiver = model->receiver;

	return is_within(model, receiver->reduced_from_s, receiver->reduced_to_s)
		? receiver->reduced_capacity : receiver->capacity;
}

static void
work(Model *model, int64_t started_at_us)
{
	model->working++;
	push(model, STEP_FINISH, model->now_us + (int64_t) (-log(chance(model)) * WORK_US),
		 started_at_us);
}

static void
arrive(Model *model, int64_t started_at_us)
{
	const ModelReceiver *receiver = model->receiver;

	if (is_within(model, receiver->outage_from_s, receiver->outage_to_s) ||
		(model->working >= capacity_now(model) && model->waiting >= receiver->queue))
		push(model, STEP_REFUSED, model->now_us + WAY_US, started_at_us);
	else if (model->working < capacity_now(model))
		work(model, started_at_us);
	else
		model->waiting_since[(model->waiting_first + model->waiting++) % MOST_REQUESTS] =
			started_at_us;
}

static void
finish(Model *model, int64_t started_at_us)
{
	model->working--;
	push(model, STEP_DONE, model->now_us + WAY_US, started_at_us);
	while (model->waiting > 0 && model->working < capacity_now(model))
	{
		work(model, model->waiting_since[model->waiting_first]);
		model->waiting_first = (model->waiting_first + 1) % MOST_REQUESTS;
		model->waiting--;
	}
}

/* ---- the breaker */

static void
count_attempt(Model *model, bool is_good)
{
	if (model->now_us - model->minute_at_us > MINUTE_US)
	{
		model->minute_at_us = model->now_us;
		model->minute_attempts = 0;
		model->minute_failures = 0;
	}
	model->minute_attempts++;
	model->minute_failures += !is_good;
	model->failures = is_good ? 0 : model->failures + 1;
}

static void
open_breaker(Model *model)
{
	double		wait_s = fmin(ldexp(1, model->openings_in_a_row), model->sender->longest_open_s);

	if (!model->is_open)
		model->opened_at_us = model->now_us;
	model->is_open = true;
	model->is_probing = false;
	model->openings_in_a_row++;
	model->result.openings++;
	wait_s *= 1 + 0.2 * chance(model);
	model->open_until_us = model->now_us + (int64_t) (wait_s * (double) US_PER_S);
	push(model, STEP_WAKE, model->open_until_us, 0);
}

static void
close_breaker(Model *model)
{
	model->is_open = false;
	model->is_probing = false;
	model->openings_in_a_row = 0;
	model->failures = 0;
	model->minute_at_us = model->now_us;
	model->minute_attempts = 0;
	model->minute_failures = 0;
	window_restart(&model->window);
}

static bool
has_failed_enough(const Model *model)
{
	return model->failures >= 10 ||
		(model->minute_attempts >= 10 && model->minute_failures * 2 >= model->minute_attempts);
}

static void
judge(Model *model, bool is_good, int64_t started_at_us)
{
	if (model->sender->longest_open_s == 0)
		return;
	/* what left before it opened is no probe */
	if (model->is_open && started_at_us < model->opened_at_us)
		return;
	count_attempt(model, is_good);
	if (model->is_open && is_good)
		close_breaker(model);
	else if (model->is_open || (!is_good && has_failed_enough(model)))
		open_breaker(model);
}

/* ---- the sender */

static bool
may_send(const Model *model)
{
	if (model->is_open)
		return !model->is_probing && model->now_us >= model->open_until_us && model->in_flight == 0;
	if (model->sender->fixed > 0)
		return model->in_flight < model->sender->fixed;
	return window_room(&model->window, model->in_flight) > 0;
}

static void
send_all(Model *model)
{
	while (may_send(model))
	{
		model->is_probing = model->is_open;
		model->in_flight++;
		if (is_within(model, model->receiver->outage_from_s, model->receiver->outage_to_s))
			model->result.wasted++;
		push(model, STEP_ARRIVE, model->now_us + WAY_US, model->now_us);
	}
}

static void
take_good(Model *model, int64_t started_at_us)
{
	double		latency_s = (double) (model->now_us - started_at_us) / (double) US_PER_S;
	WindowAnswer answer = {
		.in_flight = model->in_flight--,
		.latency_ms = model->sender->has_brake ? latency_s * 1000 : -1,
		.started_at_us = started_at_us,
		.now_us = model->now_us,
	};

	if (model->result.done < MOST_DONE)
		model->latency_s[model->result.done] = latency_s;
	model->result.done++;
	model->done_in[model->now_us * SLICES_PER_S / US_PER_S]++;
	window_answer(&model->window, &answer);
	judge(model, true, started_at_us);
}

static void
take_bad(Model *model, int64_t started_at_us)
{
	int			outage_to_s = model->receiver->outage_to_s;

	model->in_flight--;
	model->result.errors++;
	if (outage_to_s > 0 && is_within(model, outage_to_s, outage_to_s + 15))
		model->result.errors_after++;
	window_shrink(&model->window, started_at_us, model->now_us);
	judge(model, false, started_at_us);
}

static void
advance(Model *model, const Step *step)
{
	switch (step->kind)
	{
		case STEP_ARRIVE:
			arrive(model, step->started_at_us);
			break;
		case STEP_FINISH:
			finish(model, step->started_at_us);
			break;
		case STEP_DONE:
			take_good(model, step->started_at_us);
			break;
		case STEP_REFUSED:
			take_bad(model, step->started_at_us);
			break;
		case STEP_WAKE:
			break;
	}
}

/* ---- what came of it */

static int
compare_latency(const void *a, const void *b)
{
	double		one = *(const double *) a;
	double		other = *(const double *) b;

	return one < other ? -1 : one > other;
}

static int
possible(const ModelReceiver *receiver)
{
	double		per_s = receiver->capacity * (double) US_PER_S / WORK_US;
	double		reduced_s = receiver->reduced_to_s - receiver->reduced_from_s;
	double		reduced_share = (double) receiver->reduced_capacity / receiver->capacity;
	double		outage_s = receiver->outage_to_s - receiver->outage_from_s;

	return (int) ((END_S - outage_s - reduced_s * (1 - reduced_share)) * per_s);
}

static double
recovered_s(const Model *model)
{
	double		wanted = 0.8 * model->receiver->capacity * (double) US_PER_S / WORK_US;
	int			from = model->receiver->outage_to_s * SLICES_PER_S;

	for (int i = from; i <= SLICES - SLICES_PER_S; i++)
	{
		int			done = 0;

		for (int j = 0; j < SLICES_PER_S; j++)
			done += model->done_in[i + j];
		if (done >= wanted)
			return (double) (i - from) / SLICES_PER_S;
	}
	return 99;
}

static void
sum_up(Model *model)
{
	ModelResult *result = &model->result;
	int			count = result->done < MOST_DONE ? result->done : MOST_DONE;

	qsort(model->latency_s, (size_t) count, sizeof(double), compare_latency);
	result->p50_s = count > 0 ? model->latency_s[count / 2] : 0;
	result->p99_s = count > 0 ? model->latency_s[count * 99 / 100] : 0;
	result->possible = possible(model->receiver);
	result->size = model->sender->fixed > 0 ? model->sender->fixed : model->window.size;
	if (model->receiver->outage_to_s > 0)
		result->recovered_s = recovered_s(model);
}

ModelResult
model_run(const ModelReceiver *receiver, const ModelSender *sender)
{
	Model	   *model = calloc(1, sizeof(Model));
	ModelResult result;

	if (!model)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	model->receiver = receiver;
	model->sender = sender;
	model->random = 1;
	model->now_us = 1;
	model->window = window_make(LARGEST);
	send_all(model);
	while (model->step_count > 0 && model->steps[0].at_us < END_S * US_PER_S)
	{
		Step		step = pop(model);

		model->now_us = step.at_us;
		advance(model, &step);
		send_all(model);
	}
	sum_up(model);
	result = model->result;
	free(model);
	return result;
}
