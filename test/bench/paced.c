/*-------------------------------------------------------------------------
 * paced.c
 *		Commits rows at an even pace.
 *
 *	paced NAME COUNT ROWS SECONDS PAYLOAD_BYTES
 *
 * Spreads the rows over that time, over the endpoints NAME0, NAME1, ... in turn: a
 * transaction every 10 ms with what is due by then.  Prints "<outbox id>
 * <microseconds when the commit was asked for> <microseconds when it was answered>"
 * for each row.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#include "database.h"
#include "measure.h"

#define TICK_US 10000

static void
commit_rows(PGconn *connection, char **arguments, long first, long last)
{
	static const char statement[] =
		"INSERT INTO integration.outbox (endpoint, payload)"
		" SELECT $1 || g % $2::bigint, $3::jsonb FROM generate_series($4::bigint, $5::bigint) AS g"
		" RETURNING id";
	char		from[24];
	char		to[24];
	const char *values[] = {arguments[1], arguments[2], arguments[5], from, to};
	const int64_t asked_us = measure_now_us();
	PGresult   *result;
	int64_t		answered_us;

	snprintf(from, sizeof(from), "%ld", first);
	snprintf(to, sizeof(to), "%ld", last);
	result = database_rows(connection, statement, 5, values);
	answered_us = measure_now_us();
	for (int i = 0; i < PQntuples(result); i++)
		printf("%s %lld %lld\n", PQgetvalue(result, i, 0), (long long) asked_us,
			   (long long) answered_us);
	PQclear(result);
}

int
main(int argc, char **argv)
{
	PGconn	   *connection;
	char	   *payload;
	long		rows;
	long		committed = 0;
	int64_t		duration_us;
	int64_t		start_us;

	if (argc != 6)
		measure_fail("usage", "paced NAME COUNT ROWS SECONDS PAYLOAD_BYTES");
	rows = measure_number(argv[3]);
	duration_us = measure_number(argv[4]) * 1000000;
	payload = measure_payload((size_t) measure_number(argv[5]));
	argv[5] = payload;

	connection = database_connect();
	start_us = measure_now_us();
	while (committed < rows)
	{
		const int64_t elapsed_us = measure_now_us() - start_us;
		long		due = rows;

		if (elapsed_us < duration_us)
			due = (long) ((double) rows * (double) elapsed_us / (double) duration_us);
		if (due > committed)
			commit_rows(connection, argv, committed, due - 1);
		committed = due;
		measure_sleep_us(TICK_US);
	}
	PQfinish(connection);
	free(payload);
	return 0;
}
