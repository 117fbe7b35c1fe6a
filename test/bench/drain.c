/*-------------------------------------------------------------------------
 * drain.c
 *		Deliveries per second of the extension.
 *
 *	drain resume ROWS	ends the pause of everything, then waits for that many deliveries
 *	drain follow ROWS	waits for that many deliveries of what others commit meanwhile
 *
 * Prints deliveries a second, then microseconds of the worker's processor time for
 * each: all, user, system.  The worker publishes its figures every 50 ms and when it
 * has nothing left, so a number of rows short of the backlog is measured to the next
 * publication.  It is asked seldom: on a small machine each look takes from it.
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "database.h"
#include "measure.h"

#define LOOK_LEAST_US 1000
#define LOOK_MOST_US 200000
#define STALLED_S 120

/* Half of the time that the rest will take at the rate so far. */
static int64_t
time_to_look_again(long done, long rows, int64_t elapsed_us)
{
	int64_t		wait_us = LOOK_MOST_US / 10;

	if (done > 0)
		wait_us = (int64_t) ((double) elapsed_us * (double) (rows - done) / (double) done / 2);
	if (wait_us < LOOK_LEAST_US)
		return LOOK_LEAST_US;
	return wait_us > LOOK_MOST_US ? LOOK_MOST_US : wait_us;
}

/* The first figures with that many deliveries more; fails when nothing moves any more. */
static WorkerFigures
wait_for(PGconn *connection, long before, long rows, int64_t start_us)
{
	WorkerFigures now = database_workers(connection);
	int64_t		moved_us = start_us;

	while (now.delivered - before < rows)
	{
		const long	last = now.delivered;

		measure_sleep_us(time_to_look_again(last - before, rows, measure_now_us() - start_us));
		now = database_workers(connection);
		if (now.delivered != last)
			moved_us = measure_now_us();
		if (measure_now_us() - moved_us > (int64_t) STALLED_S * 1000000)
			measure_fail("deliveries have stopped", "nothing was delivered for two minutes");
	}
	return now;
}

static void
print_figures(WorkerFigures before, WorkerFigures after, int64_t elapsed_us)
{
	const double count = (double) (after.delivered - before.delivered);
	const double user_us = after.processor.user_us - before.processor.user_us;
	const double system_us = after.processor.system_us - before.processor.system_us;

	printf("%.0f %.2f %.2f %.2f\n", count * 1e6 / (double) elapsed_us,
		   (user_us + system_us) / count, user_us / count, system_us / count);
}

int
main(int argc, char **argv)
{
	PGconn	   *connection;
	WorkerFigures before;
	WorkerFigures after;
	int64_t		start_us;

	if (argc != 3 || (strcmp(argv[1], "resume") != 0 && strcmp(argv[1], "follow") != 0))
		measure_fail("usage", "drain resume|follow ROWS");
	connection = database_connect();
	before = database_workers(connection);
	start_us = measure_now_us();
	if (strcmp(argv[1], "resume") == 0)
		database_run(connection, "SELECT integration.resume('all')");
	after = wait_for(connection, before.delivered, measure_number(argv[2]), start_us);
	print_figures(before, after, measure_now_us() - start_us);
	PQfinish(connection);
	return 0;
}
