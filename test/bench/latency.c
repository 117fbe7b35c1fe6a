/*-------------------------------------------------------------------------
 * latency.c
 *		Single commits on an idle system.
 *
 *	latency ENDPOINT COMMITS PAYLOAD_BYTES
 *
 * Prints "<outbox id> <microseconds when COMMIT was asked for> <microseconds when it
 * was answered>" for each; the next commit waits until the queue is empty again, then a
 * moment more, so each finds the worker asleep.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#include "database.h"
#include "measure.h"

#define DEADLINE_S 30

int
main(int argc, char **argv)
{
	char		insert[4096];
	PGconn	   *connection;
	char	   *payload;
	long		commits;

	if (argc != 4)
		measure_fail("usage", "latency ENDPOINT COMMITS PAYLOAD_BYTES");
	commits = measure_number(argv[2]);
	payload = measure_payload((size_t) measure_number(argv[3]));
	if ((size_t) snprintf(insert, sizeof(insert),
						  "INSERT INTO integration.outbox (endpoint, payload) VALUES ('%s', '%s') RETURNING id",
						  argv[1], payload) >= sizeof(insert))
		measure_fail("payload is too long", argv[3]);

	connection = database_connect();
	for (long i = 0; i <= commits; i++)
	{
		int64_t		commit_us;
		int64_t		answered_us;
		long		id;

		database_run(connection, "BEGIN");
		id = database_number(connection, insert);
		commit_us = measure_now_us();
		database_run(connection, "COMMIT");
		answered_us = measure_now_us();
		database_wait_empty(connection, DEADLINE_S);
		measure_sleep_us(MEASURE_IDLE_US);
		/* the first one only opens the connection */
		if (i > 0)
			printf("%ld %lld %lld\n", id, (long long) commit_us,
				   (long long) answered_us);
	}
	PQfinish(connection);
	free(payload);
	return 0;
}
