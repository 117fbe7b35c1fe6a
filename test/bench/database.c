/*-------------------------------------------------------------------------
 * database.c
 *		libpq for the measuring programs: what fails ends the program.
 *-------------------------------------------------------------------------
 */
#include "database.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"

#define LOOK_EVERY_MS 2

static PGresult *checked(PGconn *connection, PGresult *result);

PGconn *
database_connect(void)
{
	PGconn	   *connection = PQconnectdb("");

	if (PQstatus(connection) != CONNECTION_OK)
		measure_fail("cannot connect", PQerrorMessage(connection));
	return connection;
}

static PGresult *
checked(PGconn *connection, PGresult *result)
{
	const ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		measure_fail("statement failed", PQerrorMessage(connection));
	return result;
}

void
database_run(PGconn *connection, const char *statement)
{
	PQclear(checked(connection, PQexec(connection, statement)));
}

long
database_number(PGconn *connection, const char *query)
{
	PGresult   *result = checked(connection, PQexec(connection, query));
	long		number;

	if (PQntuples(result) == 0)
		measure_fail("no row", query);
	number = strtol(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return number;
}

void
database_enqueue(PGconn *connection, const char *endpoint, const char *payload, long rows)
{
	static const char statement[] =
		"INSERT INTO integration.outbox (endpoint, payload)"
		" SELECT $1, $2::jsonb FROM generate_series(1, $3::integer)";
	char		count[24];
	const char *values[] = {endpoint, payload, count};

	snprintf(count, sizeof(count), "%ld", rows);
	PQclear(checked(connection,
					PQexecParams(connection, statement, 3, NULL, values, NULL, NULL, 0)));
}

void
database_wait_empty(PGconn *connection, int deadline_s)
{
	static const char unfinished[] =
		"SELECT count(*) FROM (SELECT FROM integration.queue LIMIT 1) AS q";
	const int64_t deadline_us = measure_now_us() + (int64_t) deadline_s * 1000000;

	while (database_number(connection, unfinished) > 0)
	{
		if (measure_now_us() > deadline_us)
			measure_fail("syncs are still unfinished", "the deadline has passed");
		poll(NULL, 0, LOOK_EVERY_MS);
	}
}
