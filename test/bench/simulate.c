/*-------------------------------------------------------------------------
 * simulate.c
 *		What windows, brake, breaker do when a receiver gives way.
 *
 * Prints a table for docs/performance.md: the sender's own windows beside fixed
 * numbers at once, against the receiver of model.c.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdio.h>

#include "model.h"

typedef struct Row
{
	const char *name;
	ModelSender sender;
} Row;

static const Row crowd_rows[] = {
	{"fixed 5", {.fixed = 5}},
	{"fixed 20", {.fixed = 20}},
	{"fixed 100", {.fixed = 100}},
	{"window", {0}},
	{"window with brake", {.has_brake = true}},
};

static const Row outage_rows[] = {
	{"fixed 100", {.fixed = 100}},
	{"fixed 100, breaker to 30 s", {.fixed = 100,.longest_open_s = 30}},
	{"window", {0}},
	{"window with brake, breaker to 5 s", {.has_brake = true,.longest_open_s = 5}},
	{"window with brake, breaker to 10 s", {.has_brake = true,.longest_open_s = 10}},
	{"window with brake, breaker to 30 s", {.has_brake = true,.longest_open_s = 30}},
	{"window with brake, breaker to 60 s (the sender)", {.has_brake = true,.longest_open_s = 60}},
};

static void
print_crowd(const char *title, const ModelReceiver *receiver)
{
	printf("\n%s\n\n", title);
	printf("| at once | done | of possible | errors | p50 | p99 | in the end |\n");
	printf("|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof(crowd_rows) / sizeof(crowd_rows[0]); i++)
	{
		ModelResult result = model_run(receiver, &crowd_rows[i].sender);

		printf("| %s | %d | %.0f %% | %.2f %% | %.3f s | %.3f s | %.0f |\n", crowd_rows[i].name,
			   result.done, 100.0 * result.done / result.possible,
			   100.0 * result.errors / (result.done + result.errors),
			   result.p50_s, result.p99_s, result.size);
	}
}

static void
print_outage(const ModelReceiver *receiver)
{
	printf("\nOutage from 30 s to 60 s, errors at once, capacity 20, the backlog never ends\n\n");
	printf("| at once | done | of possible | requests during the outage | errors in 15 s after it "
		   "| until 80 %% of the capacity | opened |\n");
	printf("|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof(outage_rows) / sizeof(outage_rows[0]); i++)
	{
		ModelResult result = model_run(receiver, &outage_rows[i].sender);
		char		recovered[16];

		snprintf(recovered, sizeof(recovered), "%.1f s", result.recovered_s);
		printf("| %s | %d | %.0f %% | %d | %d | %s | %d |\n", outage_rows[i].name, result.done,
			   100.0 * result.done / result.possible, result.wasted, result.errors_after,
			   result.recovered_s < 99 ? recovered : "never", result.openings);
	}
}

int
main(void)
{
	ModelReceiver refusing = {
		.capacity = 20,.reduced_capacity = 5,.reduced_from_s = 40,.reduced_to_s = 80,.queue = 20
	};
	ModelReceiver queueing = refusing;
	ModelReceiver failing = {.capacity = 20,.queue = 20,.outage_from_s = 30,.outage_to_s = 60};

	queueing.queue = INT_MAX;
	print_crowd("Capacity 20, 5 from 40 s to 80 s; 20 more wait, the rest is refused", &refusing);
	print_crowd("The same, but all that come wait: latency is the only sign", &queueing);
	print_outage(&failing);
	return 0;
}
