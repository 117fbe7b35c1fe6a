/*-------------------------------------------------------------------------
 * waiting_test.c
 *		Which attempts are told, in which order, when there are too many.
 *-------------------------------------------------------------------------
 */
#include "flow/waiting.h"
#include "tap.h"

#define BATCH 512

static Waiting waiting;

/* The id of a trace whose low 56 bits are this share of all of them. */
static TraceContext
trace_at(double share)
{
	TraceContext trace = {.flags = TRACE_SAMPLED};

	snprintf(trace.trace_id, sizeof(trace.trace_id), "4bf92f3577b34da6a3%014llx",
			 (unsigned long long) (share * (double) (1ULL << 56)));
	return trace;
}

static bool
add(int64_t sync, bool had_failures, double share)
{
	WaitingAttempt attempt = {.outbox_id = sync,.span_id = "00f067aa0ba902b7",.is_ended = true};
	TraceContext trace = trace_at(share);

	return waiting_add(&waiting, &attempt, had_failures, &trace);
}

static void
fill_delivered(int until)
{
	for (int i = waiting_count(&waiting); i < until; i++)
		if (!add(i, false, 0))
			tap_bail_out("no room where there should be some");
}

static void
forget_all(void)
{
	waiting_forget(&waiting, waiting_count(&waiting));
}

static void
test_order(void)
{
	WaitingAttempt batch[BATCH];

	tap_number(waiting_next(&waiting, batch, BATCH), 0, "nothing waits at first");
	add(1, false, 0.9);
	add(2, true, 0.9);
	add(3, false, 0.9);
	tap_number(waiting_next(&waiting, batch, BATCH), 3, "all that wait fit into a batch");
	tap_number(batch[0].outbox_id, 2, "what failed is told first");
	tap_number(batch[1].outbox_id, 1, "then deliveries in their order");
	tap_text(batch[1].span_id, "00f067aa0ba902b7", "by their spans");
	tap_number(waiting_next(&waiting, batch, 2), 2, "a batch has an end");
	waiting_forget(&waiting, 2);
	tap_number(waiting_next(&waiting, batch, BATCH), 1, "what left is gone");
	tap_number(batch[0].outbox_id, 3, "the rest waits on");
	forget_all();
}

static void
test_shares(void)
{
	fill_delivered(WAITING_DELIVERED_MOST / 2);
	tap_ok(add(1, false, 0.999999), "no trace is left out until the room is half full");
	fill_delivered(WAITING_DELIVERED_MOST * 3 / 4);
	tap_ok(add(1, false, 0.49), "at three quarters the lower half of all traces is told");
	tap_ok(!add(1, false, 0.51), "the upper half is left out");
	tap_ok(add(1, true, 0.51), "but for syncs that failed");
	forget_all();
	tap_ok(add(1, false, 0.51), "it comes back when there is room again");
	forget_all();
}

/* With ids as they come the room never fills up; whatever is taken out is one of those put in. */
static void
test_flood(void)
{
	int			kept = 0;

	for (int i = 0; i < 4 * WAITING_DELIVERED_MOST; i++)
		kept += add(i, false, (double) (i * 7919LL % 10007) / 10007);
	tap_number(waiting_count(&waiting), kept, "each one that was taken waits");
	tap_ok(kept > WAITING_DELIVERED_MOST * 9 / 10 && kept <= WAITING_DELIVERED_MOST,
		   "a flood fills nearly all of the room");
	for (int i = 0; i < WAITING_FAILED_MOST; i++)
		if (!add(i, true, 1))
			tap_bail_out("no room for what failed");
	tap_ok(!add(1, true, 0), "the room for what failed has an end too");
	forget_all();
	tap_number(waiting_count(&waiting), 0, "nothing waits at the end");
}

int
main(void)
{
	test_order();
	test_shares();
	test_flood();
	return tap_done();
}
