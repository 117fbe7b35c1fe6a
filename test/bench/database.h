/*-------------------------------------------------------------------------
 * database.h
 *		libpq for the measuring programs: what fails ends the program.
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_DATABASE_H
#define BENCH_DATABASE_H

#include <libpq-fe.h>

#include "measure.h"

/* A connection as the environment (PGHOST, PGPORT, ...) says; the caller's to finish. */
extern PGconn *database_connect(void);

/* Runs a statement that gives nothing back. */
extern void database_run(PGconn *connection, const char *statement);

/* Runs a statement with that many parameters; its rows are the caller's to clear. */
extern PGresult *database_rows(PGconn *connection, const char *statement, int count,
							   const char *const *values);

/* The first value of the first row as a number. */
extern long database_number(PGconn *connection, const char *query);

/* What the workers of the database have done since they were started, in sum. */
typedef struct WorkerFigures
{
	long		delivered;
	ProcessorTime processor;
} WorkerFigures;

extern WorkerFigures database_workers(PGconn *connection);

/* Waits until no sync is unfinished; ends the program after that many seconds. */
extern void database_wait_empty(PGconn *connection, int deadline_s);

#endif							/* BENCH_DATABASE_H */
