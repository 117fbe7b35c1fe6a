/*-------------------------------------------------------------------------
 * outage_test.c
 *		What the windows promise for a receiver that gives way, simulated.
 *-------------------------------------------------------------------------
 */
#include <limits.h>

#include "../bench/model.h"
#include "tap.h"

static const ModelSender ours = {.has_brake = true,.longest_open_s = 60};

static void
test_outage(void)
{
	ModelReceiver failing = {.capacity = 20,.queue = 20,.outage_from_s = 30,.outage_to_s = 60};
	ModelResult result = model_run(&failing, &ours);

	tap_ok(result.wasted > 0 && result.wasted <= 100, "an outage of 30 s costs at most 100 requests");
	tap_ok(result.errors_after <= 20, "then hardly one is refused");
	tap_ok(result.recovered_s < 20, "the capacity is used again after a probe or two");
	tap_ok(result.done >= 0.9 * result.possible, "nine tenths of what is possible are done");
}

static void
test_crowd(void)
{
	ModelReceiver refusing = {
		.capacity = 20,.reduced_capacity = 5,.reduced_from_s = 40,.reduced_to_s = 80,.queue = 20
	};
	ModelReceiver queueing = refusing;
	ModelSender window = {.has_brake = true};
	ModelResult result = model_run(&refusing, &window);

	tap_ok(result.done >= 0.9 * result.possible, "a receiver that gives way is used to nine tenths");
	tap_ok(result.errors < 0.01 * result.done, "less than one of a hundred is refused");
	queueing.queue = INT_MAX;
	result = model_run(&queueing, &window);
	tap_ok(result.done >= 0.9 * result.possible, "one that refuses nothing likewise");
	tap_ok(result.p99_s < 1.0, "and its queue stays short");
}

int
main(void)
{
	test_outage();
	test_crowd();
	return tap_done();
}
