/*-------------------------------------------------------------------------
 * settling.c
 *		Results into tables, verdicts back into memory.
 *
 * A batch goes when 200 results are there, when the first can't wait any more,
 * or when somebody waits for a verdict and nothing else is to be done.  Plain
 * deliveries are recorded at once; the rest of the batch is judged later, a few
 * bad answers at a time with a turn of the loop before, since they cost much
 * more.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/session.h"
#include "store/settle.h"
#include "worker/answered.h"
#include "worker/exporting.h"
#include "worker/places.h"
#include "worker/registry.h"
#include "worker/sender.h"
#include "worker/sending.h"
#include "worker/settling.h"

#define JUDGED_FEW 25			/* bad answers at a time: each costs as much
								 * as 20 deliveries */
#define JUDGED_MOST 50			/* where many wait: together they cost less */
#define STUCK_AGAIN_MS 1000		/* its row is held by somebody */
#define NARROW_AGAIN_MS 200		/* a statement failed */
#define BATCH_BYTES (4 << 20)	/* of answers in one settle: an array of all
								 * of them is copied more than once */
#define REFUSED_AGAIN_MS 10000	/* the statement failed with this result alone */

typedef struct SettleStep
{
	Sender	   *sender;
	Settlement	batch;			/* what deliver() leaves over, for settle() */
	bool		is_rest;		/* a part of the rest, for settle() */
	int			fact_count;		/* of the whole batch */
	int			bad_count;		/* of these, what doesn't look delivered */
	int			delivered_count;
	int64	   *delivered;		/* outbox ids */
} SettleStep;

static const char *
text_or_null(const char *value)
{
	return value == NULL || value[0] == '\0' ? NULL : value;
}

static Fact
fact_of(const Lease *lease)
{
	const Answer *answer = lease->answer;
	Fact		fact = {
		.outbox_id = lease->outbox_id,
		.endpoint_id = lease->endpoint->id,
		.change_xid = lease->change_xid,
		.reason = lease->reason,
		.error = text_or_null(lease->problem),
		.request_url = lease->request.url,
		.started_at = lease->started_at,
		.http_status = -1,
		.dns_ms = -1,
		.connect_ms = -1,
		.tls_ms = -1,
		.first_byte_ms = -1,
		.retry_after_s = lease->retry_after_s,
		.object_type = lease->object_type,
		.object_id = lease->object_id,
		.trace_id = lease->trace.trace_id,
		.span_id = lease->trace.span_id,
	};

	if (answer == NULL)
		return fact;
	fact.reason = answer->reason;
	fact.error = text_or_null(answer->error);
	fact.duration_ms = answer->duration_ms;
	fact.http_status = answer->http_status == 0 ? -1 : answer->http_status;
	fact.dns_ms = answer->dns_ms;
	fact.connect_ms = answer->connect_ms;
	fact.tls_ms = answer->tls_ms;
	fact.first_byte_ms = answer->first_byte_ms;
	fact.retry_after_s = answer->retry_after_s;
	fact.remote_address = text_or_null(answer->remote_address);
	fact.redirect_url = answer->redirect_url;
	fact.response_headers = answer->headers;
	fact.response_body = answer->body;
	return fact;
}

/* The running figures of an endpoint, once for each batch. */
static void
add_counter(SettleStep *step, Endpoint *endpoint)
{
	if (endpoint->counted_in == step->sender->batches.count)
		return;
	endpoint->counted_in = step->sender->batches.count;
	endpoint->counter.window = (int32) endpoint->window.size;
	endpoint->counter.changed_at = endpoint->changed_at;
	if (!step->is_rest)
		endpoint->row_after = 0;
	endpoint->counter.row_after = Max(endpoint->row_after - step->sender->batches.judged_count, 0);
	step->batch.counters[step->batch.counter_count++] = endpoint->counter;
}

/* Not whether it is one: only what it will probably cost. */
static bool
looks_delivered(const Fact *fact)
{
	return fact->http_status >= 200 && fact->http_status <= 299;
}

static size_t
answer_bytes(const Answer *answer)
{
	if (answer == NULL)
		return 0;
	return answer->body_bytes + (answer->headers == NULL ? 0 : strlen(answer->headers));
}

/* Bad ones, that is: others cost little more than deliveries. */
static bool
is_enough_to_judge(const SettleStep *step)
{
	int			quarter = step->sender->batches.rest_count / 4;

	return step->is_rest && step->bad_count == Min(Max(quarter, JUDGED_FEW), JUDGED_MOST);
}

/* Whether what was gathered is as much as leaves the loop time for other endpoints' requests. */
static bool
is_enough(const SettleStep *step, size_t bytes)
{
	int			count = step->batch.fact_count;

	return count == step->sender->batches.most || is_enough_to_judge(step) ||
		(count > 0 && bytes > BATCH_BYTES);
}

/* Whether it is the turn of this result, which waits with others. */
static bool
is_wanted(const SettleStep *step, const Lease *lease)
{
	const Batches *batches = &step->sender->batches;

	if (step->is_rest)
		return lease->settled_in == batches->rest_of;
	return !lease->is_vain || batches->vain_until <= step->sender->now;
}

static void
add_fact(SettleStep *step, Lease *lease)
{
	Fact	   *fact = &step->batch.facts[step->batch.fact_count++];

	*fact = fact_of(lease);
	lease->settled_in = step->sender->batches.count;
	answered_end_vain_wait(step->sender, lease);
	step->bad_count += looks_delivered(fact) ? 0 : 1;
	add_counter(step, lease->endpoint);
}

/* Results in the order in which they came. */
static void
gather(SettleStep *step)
{
	size_t		bytes = 0;
	dlist_iter	iter;

	step->sender->batches.count++;
	step->batch.facts = palloc(sizeof(Fact) * SENDER_BATCH);
	step->batch.counters = palloc(sizeof(Counter) * SENDER_BATCH);
	step->delivered = palloc(sizeof(int64) * SENDER_BATCH);
	dlist_foreach(iter, &step->sender->answered)
	{
		Lease	   *lease = dlist_container(Lease, node, iter.cur);

		if (!is_wanted(step, lease))
			continue;
		bytes += answer_bytes(lease->answer);
		if (is_enough(step, bytes))
			break;
		add_fact(step, lease);
	}
	step->fact_count = step->batch.fact_count;
}

/*
 * A delivery ends a row of failures, also of those that came before it in the
 * batch and are left; the minute goes on, or begins anew.
 */
static void
count_delivery(SettleStep *step, int32 endpoint_id, int left_before)
{
	for (int i = 0; i < step->batch.counter_count; i++)
	{
		Counter    *counter = &step->batch.counters[i];

		if (counter->endpoint_id != endpoint_id)
			continue;
		if (counter->minute_at + USECS_PER_MINUTE <= step->sender->now)
		{
			counter->minute_at = step->sender->now;
			counter->minute_attempts = 0;
			counter->minute_failures = 0;
		}
		counter->minute_attempts++;
		counter->failures = 0;
		counter->row_after = left_before;
		return;
	}
}

/* Plain deliveries first; what they are not is left in the batch. */
static void
deliver(SettleStep *step)
{
	Settlement *batch = &step->batch;
	int		   *places = palloc(sizeof(int) * SENDER_BATCH);
	bool	   *is_done = palloc0(sizeof(bool) * SENDER_BATCH);
	int			left = 0;

	step->delivered_count = settle_plain(batch, places);
	for (int i = 0; i < step->delivered_count; i++)
	{
		is_done[places[i]] = true;
		step->delivered[i] = batch->facts[places[i]].outbox_id;
	}
	for (int i = 0; i < batch->fact_count; i++)
	{
		if (is_done[i])
			count_delivery(step, batch->facts[i].endpoint_id, left);
		else
			batch->facts[left++] = batch->facts[i];
	}
	batch->fact_count = left;
}

static void
settle_step(void *arg)
{
	SettleStep *step = arg;

	if (step->is_rest)
		settle_by_rules(step->sender->scratch, &step->batch);
	else
		deliver(step);
}

static void
grow_window(const Sender *sender, const Lease *lease)
{
	Endpoint   *endpoint = lease->endpoint;
	WindowAnswer answer = {
		.in_flight = lease->at_once,
		.latency_ms = lease->answer == NULL ? -1 : lease->answer->first_byte_ms,
		.started_at_us = lease->started_at,
		.now_us = sender->now,
	};

	/* what was in flight when it was paused says nothing about afterwards */
	if (endpoint->row.paused_until > sender->now)
		return;
	window_answer(&endpoint->window, &answer);
}

static void
apply_delivery(Sender *sender, int64 outbox_id)
{
	Lease	   *lease = sender_lease(sender, outbox_id);

	sender->delivered++;
	exporting_note(sender, lease, "delivered");
	grow_window(sender, lease);
	sender_mark_busy(sender, lease->endpoint);
	sender_free_lease(sender, lease);
}

static void
apply_endpoint_verdict(Sender *sender, const Verdict *verdict)
{
	Endpoint   *endpoint = sender_endpoint(sender, verdict->endpoint_id);
	bool		was_probing = endpoint->is_probing;

	endpoint->counter = verdict->counter;
	endpoint->is_probing = strcmp(verdict->state, "closed") != 0;
	if (endpoint->is_probing && registry_is_made_due(endpoint, verdict->due_at))
	{
		/* its address may be another one: that is read first */
		sender->agenda.must_load = true;
		return;
	}
	endpoint->not_before = verdict->due_at;
	if (was_probing && !endpoint->is_probing)
		window_restart(&endpoint->window);
	sender_mark_hungry(sender, endpoint);
	sending_reconsider(sender, endpoint);
}

static void
apply_signal(Sender *sender, const Lease *lease, const char *signal)
{
	if (strcmp(signal, "good") == 0)
		grow_window(sender, lease);
	else if (strcmp(signal, "decrease") == 0)
		window_shrink(&lease->endpoint->window, lease->started_at, sender->now);
}

/* Its row is held by somebody: the result is put aside and brought again a little later. */
static void
put_aside(Sender *sender, Lease *lease)
{
	dlist_delete(&lease->node);
	answered_leave(sender, lease);
	dlist_push_tail(&sender->stuck, &lease->node);
	lease->state = LEASE_STUCK;
	lease->is_stuck = true;
	sender->batches.stuck_count++;
	sender->batches.stuck_until = TimestampTzPlusMilliseconds(sender->now, STUCK_AGAIN_MS);
}

static void
bring_again(Sender *sender)
{
	if (sender->batches.stuck_until > sender->now)
		return;
	sender->batches.stuck_until = DT_NOEND;
	while (!dlist_is_empty(&sender->stuck))
	{
		Lease	   *lease = dlist_container(Lease, node, dlist_pop_head_node(&sender->stuck));

		lease->state = LEASE_ANSWERED;
		dlist_push_tail(&sender->answered, &lease->node);
		sender->answered_count++;
		sender->batches.stuck_count--;
	}
	patience_end(&sender->batches.patience, sender->now);
}

static void
apply_sync_verdict(Sender *sender, const Verdict *verdict)
{
	Lease	   *lease = sender_lease(sender, verdict->outbox_id);
	Endpoint   *endpoint = sender_endpoint(sender, verdict->endpoint_id);

	/* of another batch: what decided over it says nothing of its own result */
	if (lease != NULL && lease->state == LEASE_ANSWERED &&
		lease->settled_in == sender->batches.count)
	{
		int16		priority = lease->priority;

		if (strcmp(verdict->state, "unsettled") == 0)
		{
			put_aside(sender, lease);
			return;
		}
		if (strcmp(verdict->state, "delivered") == 0)
			sender->delivered++;
		else
			sender->failed++;
		exporting_note(sender, lease, verdict->state);
		apply_signal(sender, lease, verdict->signal);
		if (verdict->due_at != 0)
			endpoint->last_retried = verdict->outbox_id;
		sender_free_lease(sender, lease);
		if (verdict->due_at != 0)
			places_expect(sender, endpoint, priority, verdict->due_at, verdict->outbox_id);
		return;
	}
	/* another result has decided over it before it left */
	if (lease != NULL && lease->state == LEASE_READY && strcmp(verdict->state, "failed") == 0)
	{
		sender_free_lease(sender, lease);
		return;
	}
	/* the successor of an ordering key that may go now */
	if (lease != NULL)
		return;
	places_read_id(sender, verdict->outbox_id);
}

static void
apply(Sender *sender, const SettleStep *step)
{
	for (int i = 0; i < step->batch.counter_count; i++)
	{
		const Counter *counter = &step->batch.counters[i];
		Endpoint   *endpoint = sender_endpoint(sender, counter->endpoint_id);

		endpoint->counter = *counter;
		if (!step->is_rest)
			endpoint->row_after = counter->row_after;
	}
	for (int i = 0; i < step->delivered_count; i++)
		apply_delivery(sender, step->delivered[i]);
	for (int i = 0; i < step->batch.verdict_count; i++)
	{
		if (step->batch.verdicts[i].outbox_id == 0)
			apply_endpoint_verdict(sender, &step->batch.verdicts[i]);
		else
			apply_sync_verdict(sender, &step->batch.verdicts[i]);
	}
}

static Lease *
first_of_batch(Sender *sender)
{
	dlist_iter	iter;

	dlist_foreach(iter, &sender->answered)
	{
		Lease	   *lease = dlist_container(Lease, node, iter.cur);

		if (lease->settled_in == sender->batches.count)
			return lease;
	}
	return NULL;
}

/*
 * The batch failed as a whole: halves of it find the result that can't be
 * recorded, which is then put aside, so that it holds up nothing else.
 */
static void
narrow_down(Sender *sender, int fact_count)
{
	sender->batches.most = Max(fact_count / 2, 1);
	patience_end(&sender->batches.patience, sender->now);
	sender->sql_again_at = TimestampTzPlusMilliseconds(sender->now, NARROW_AGAIN_MS);
	if (fact_count > 1)
		return;
	put_aside(sender, first_of_batch(sender));
	sender->batches.stuck_until = TimestampTzPlusMilliseconds(sender->now, REFUSED_AGAIN_MS);
}

/* Those that wait for company, and not for a time of their own. */
static int
waiting_count(const Sender *sender)
{
	return sender->answered_count - sender->batches.rest_count - sender->batches.vain_count;
}

/* So many together wait no longer. */
static TimestampTz
vain_ends_at(const Sender *sender)
{
	return sender->batches.vain_count >= JUDGED_MOST ? sender->now : sender->batches.vain_until;
}

bool
settling_is_due(const Sender *sender)
{
	return (sender->batches.patience.is_waited_for && sender->in_flight_count == 0) ||
		waiting_count(sender) >= SENDER_BATCH || settling_deadline(sender) <= sender->now;
}

/* What is left had its time. */
static void
end_wait(Sender *sender)
{
	Batches    *batches = &sender->batches;

	if (batches->vain_until <= sender->now)
		batches->vain_until = batches->vain_count > 0 ? sender->now : DT_NOEND;
	patience_begin(&batches->patience);
	if (waiting_count(sender) > 0)
		patience_end(&batches->patience, sender->now);
}

static bool
record(SettleStep *step)
{
	Sender	   *sender = step->sender;

	if (!session_run(settle_step, step))
	{
		sender->batches.rest_count = 0;
		narrow_down(sender, step->fact_count);
		return false;
	}
	sender->batches.most = Min(sender->batches.most * 2, SENDER_BATCH);
	apply(sender, step);
	return true;
}

/* A new batch: plain deliveries, if any.  What is no such is the rest. */
static void
begin_batch(Sender *sender)
{
	SettleStep	step = {.sender = sender};
	Batches    *batches = &sender->batches;

	batches->judged_count = 0;
	batches->vain_until = vain_ends_at(sender);
	gather(&step);
	if (step.bad_count == step.fact_count || record(&step))
	{
		batches->rest_of = batches->count;
		batches->rest_count = step.batch.fact_count;
	}
	end_wait(sender);
}

static void
judge_rest(Sender *sender)
{
	SettleStep	step = {.sender = sender,.is_rest = true};
	Batches    *batches = &sender->batches;

	gather(&step);
	if (step.fact_count > 0 && !record(&step))
		return;
	batches->judged_count += step.fact_count;
	batches->rest_count = step.fact_count == 0 ? 0 : batches->rest_count - step.fact_count;
}

void
settling_now(Sender *sender)
{
	MemoryContext caller;

	bring_again(sender);
	if (sender->answered_count == 0 || sender->sql_again_at > sender->now)
		return;
	caller = MemoryContextSwitchTo(sender->scratch);
	if (sender->batches.rest_count > 0)
		judge_rest(sender);
	else
		begin_batch(sender);
	MemoryContextSwitchTo(caller);
}

TimestampTz
settling_deadline(const Sender *sender)
{
	TimestampTz ends_at = patience_ends_at(&sender->batches.patience, waiting_count(sender));
	TimestampTz deadline = Min(ends_at, Min(sender->batches.stuck_until, vain_ends_at(sender)));

	if (sender->batches.rest_count > 0)
		deadline = Min(deadline, sender->now);
	return sender->answered_count == 0 ? deadline : Max(deadline, sender->sql_again_at);
}
