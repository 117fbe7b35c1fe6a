/*-------------------------------------------------------------------------
 * database.c
 *		libpq for the measuring programs: what fails ends the program.
 *-------------------------------------------------------------------------
 */
#include "database.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_EVERY_US 2000

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

PGresult *
database_rows(PGconn *connection, const char *statement, int count, const char *const *values)
{
	return checked(connection,
				   PQexecParams(connection, statement, count, NULL, values, NULL, NULL, 0));
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

WorkerFigures
database_workers(PGconn *connection)
{
	PGresult   *result = checked(connection, PQexec(connection,
													"SELECT pid, delivered FROM integration.worker_status"));
	WorkerFigures sum = {0};

	for (int i = 0; i < PQntuples(result); i++)
	{
		const ProcessorTime used = measure_process(measure_number(PQgetvalue(result, i, 0)));

		sum.delivered += measure_number(PQgetvalue(result, i, 1));
		sum.processor.user_us += used.user_us;
		sum.processor.system_us += used.system_us;
	}
	if (PQntuples(result) == 0)
		measure_fail("no worker", "worker_status is empty");
	PQclear(result);
	return sum;
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
		measure_sleep_us(LOOK_EVERY_US);
	}
}
