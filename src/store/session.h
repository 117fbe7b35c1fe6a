/*-------------------------------------------------------------------------
 * session.h
 *		The one way in which the worker runs a transaction.
 *
 * A transaction is begun, does its statements, commits, and is over before the
 * network is used: no snapshot is held while the worker waits.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SESSION_H
#define INTEGRATION_SESSION_H

#include "postgres.h"

#include "executor/spi.h"

/* One statement, prepared at its first use and kept. */
typedef struct Statement
{
	const char *text;
	int			arg_count;
	const Oid  *arg_types;
	bool		read_only;		/* runs under the transaction's one snapshot */
	SPIPlanPtr	plan;
} Statement;

typedef void (*SessionStep) (void *arg);

/* Settings that a session of ours has, whatever its role, its database or the server is set to. */
extern void session_pin_settings(const char *process);

/* From then on a lock is waited for however long somebody holds it. */
extern void session_await_locks(void);

/*
 * Run step(arg) in a transaction of its own; what the step allocates without
 * naming a memory context goes with the transaction.  Returns false after an
 * error, which was logged, the transaction rolled back.
 * This is where errors of the server end: the step may throw, this does not.
 */
extern bool session_run(SessionStep step, void *arg);

/* The same; a step that takes longer than most_ms ends with an error. */
extern bool session_run_within(SessionStep step, void *arg, int most_ms);

/* Run a statement within a step; rows are in SPI_tuptable.  May throw. */
extern uint64 session_execute(Statement *statement, Datum *values, const char *nulls);

/* What a session was before it became an owner. */
typedef struct SessionCaller
{
	Oid			role;
	int			security;
	int			nesting;
} SessionCaller;

/*
 * For statements of ours within an application's statement: they run with this
 * owner's rights, under names and plans that no setting of the application
 * changes.  Connects SPI.  An error undoes it with its transaction.  May throw.
 */
extern SessionCaller session_become(Oid owner);

/* Back to what the session was; ends SPI. */
extern void session_return(SessionCaller caller);

/* Make what the last step committed durable, however it was committed. */
extern void session_flush(void);

/* Within a step: make durable all that was committed by anybody before the step is. */
extern void session_flush_all(void);

/* Tell the statistics system about what was done, at once. */
extern void session_report(void);

#endif							/* INTEGRATION_SESSION_H */
