/*-------------------------------------------------------------------------
 * load.c
 *		Deliveries per second of the extension.
 *
 *	load ENDPOINT ROWS PAYLOAD_BYTES CONNECTIONS BATCH
 *
 * Commits the rows over several connections, a batch a transaction, then waits
 * until the queue is empty.  Prints two rates: from the first insert to the empty
 * queue; and, with as many rows again that were committed behind a pause, from
 * its end to the empty queue: the sender alone.
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

/* Returns when all rows are committed. */
static void
enqueue_rows(const Writer *load, long connections)
{
	static Writer writers[MAX_CONNECTIONS];

	for (long i = 0; i < connections; i++)
	{
		writers[i] = *load;
		writers[i].rows = load->rows / connections + (i < load->rows % connections);
		if (pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]) != 0)
			measure_fail("cannot start a thread", load->endpoint);
	}
	for (long i = 0; i < connections; i++)
		pthread_join(writers[i].thread, NULL);
}

static double
rate_since(int64_t start_us, long rows)
{
	return (double) rows * 1e6 / (double) (measure_now_us() - start_us);
}

static double
rate_while_rows_come(PGconn *connection, const Writer *load, long connections)
{
	const int64_t start_us = measure_now_us();

	enqueue_rows(load, connections);
	database_wait_empty(connection, DEADLINE_S);
	return rate_since(start_us, load->rows);
}

static double
rate_of_backlog(PGconn *connection, const Writer *load, long connections)
{
	int64_t		start_us;

	database_run(connection, "SELECT integration.pause('all', '', 'bench')");
	enqueue_rows(load, connections);
	start_us = measure_now_us();
	database_run(connection, "SELECT integration.resume('all')");
	database_wait_empty(connection, DEADLINE_S);
	return rate_since(start_us, load->rows);
}

int
main(int argc, char **argv)
{
	Writer		load;
	PGconn	   *connection;
	char	   *payload;
	long		connections;
	double		arriving;

	if (argc != 6)
		measure_fail("usage", "load ENDPOINT ROWS PAYLOAD_BYTES CONNECTIONS BATCH");
	payload = measure_payload((size_t) measure_number(argv[3]));
	load = (Writer)
	{
		.endpoint = argv[1],
			.payload = payload,
			.rows = measure_number(argv[2]),
			.batch = measure_number(argv[5]),
	};
	connections = measure_number(argv[4]);
	if (connections < 1 || connections > MAX_CONNECTIONS || load.batch < 1)
		measure_fail("out of range", "CONNECTIONS or BATCH");

	connection = database_connect();
	arriving = rate_while_rows_come(connection, &load, connections);
	printf("%.0f %.0f\n", arriving, rate_of_backlog(connection, &load, connections));
	PQfinish(connection);
	free(payload);
	return 0;
}
