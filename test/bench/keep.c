/*-------------------------------------------------------------------------
 * keep.c
 *		Keeps the worker busy for a while.
 *
 *	keep NAME SECONDS PAYLOAD_BYTES
 *
 * Commits rows for the endpoint whenever fewer than DEPTH are undelivered, so that
 * the worker always has some and the backlog never grows.  Prints for each second
 * how many were delivered, then microseconds of the worker's processor time for each.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#include "database.h"
#include "measure.h"

#define DEPTH 4000
#define BATCH "500"
#define LOOK_US 10000

static void
commit_batch(PGconn *connection, const char *endpoint, const char *payload)
{
	static const char statement[] =
		"INSERT INTO integration.outbox (endpoint, payload)"
		" SELECT $1, $2::jsonb FROM generate_series(1, " BATCH ")";
	const char *values[] = {endpoint, payload};

	PQclear(database_rows(connection, statement, 2, values));
}

static void
print_second(const WorkerFigures *before, const WorkerFigures *now)
{
	const long	delivered = now->delivered - before->delivered;
	const double used_us = now->processor.user_us + now->processor.system_us -
		before->processor.user_us - before->processor.system_us;

	printf("%ld %.2f\n", delivered, delivered > 0 ? used_us / (double) delivered : 0);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	PGconn	   *connection;
	char	   *payload;
	WorkerFigures now;
	WorkerFigures printed;
	long		committed;
	int64_t		end_us;
	int64_t		print_us;

	if (argc != 4)
		measure_fail("usage", "keep NAME SECONDS PAYLOAD_BYTES");
	payload = measure_payload((size_t) measure_number(argv[3]));
	connection = database_connect();
	printed = now = database_workers(connection);
	committed = now.delivered;
	print_us = measure_now_us() + 1000000;
	end_us = print_us + measure_number(argv[2]) * 1000000;
	while (print_us < end_us)
	{
		if (committed - now.delivered < DEPTH)
		{
			commit_batch(connection, argv[1], payload);
			committed += atol(BATCH);
		}
		else
			measure_sleep_us(LOOK_US);
		now = database_workers(connection);
		if (measure_now_us() < print_us)
			continue;
		print_second(&printed, &now);
		printed = now;
		print_us += 1000000;
	}
	PQfinish(connection);
	free(payload);
	return 0;
}
