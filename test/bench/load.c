/*-------------------------------------------------------------------------
 * load.c
 *		Deliveries per second of the extension.
 *
 *	load ENDPOINT ROWS PAYLOAD_BYTES CONNECTIONS BATCH
 *
 * Commits the rows over several connections, a batch a transaction, then waits
 * until the queue is empty.  Prints the rate from the first commit's start to the
 * empty queue.
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "database.h"
#include "measure.h"

#define MAX_CONNECTIONS 64
#define DEADLINE_S 300

typedef struct Writer
{
	pthread_t	thread;
	const char *endpoint;
	const char *payload;
	long		rows;
	long		batch;
} Writer;

static void *
write_rows(void *argument)
{
	const Writer *writer = argument;
	PGconn	   *connection = database_connect();
	long		left = writer->rows;

	while (left > 0)
	{
		const long	rows = left < writer->batch ? left : writer->batch;

		database_enqueue(connection, writer->endpoint, writer->payload, rows);
		left -= rows;
	}
	PQfinish(connection);
	return NULL;
}

int
main(int argc, char **argv)
{
	static Writer writers[MAX_CONNECTIONS];
	PGconn	   *connection;
	char	   *payload;
	int64_t		start_us;
	long		rows;
	long		count;

	if (argc != 6)
		measure_fail("usage", "load ENDPOINT ROWS PAYLOAD_BYTES CONNECTIONS BATCH");
	rows = measure_number(argv[2]);
	payload = measure_payload((size_t) measure_number(argv[3]));
	count = measure_number(argv[4]);
	if (count < 1 || count > MAX_CONNECTIONS)
		measure_fail("connections out of range", argv[4]);

	connection = database_connect();
	start_us = measure_now_us();
	for (long i = 0; i < count; i++)
	{
		writers[i] = (Writer)
		{
			.endpoint = argv[1],
				.payload = payload,
				.rows = rows / count + (i < rows % count),
				.batch = measure_number(argv[5]),
		};
		if (pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]) != 0)
			measure_fail("cannot start a thread", argv[4]);
	}
	for (long i = 0; i < count; i++)
		pthread_join(writers[i].thread, NULL);
	database_wait_empty(connection, DEADLINE_S);
	printf("%.0f\n", (double) rows * 1e6 / (double) (measure_now_us() - start_us));
	PQfinish(connection);
	free(payload);
	return 0;
}
