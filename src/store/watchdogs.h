/*-------------------------------------------------------------------------
 * watchdogs.h
 *		Statements of the watchdogs.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WATCHDOGS_H
#define INTEGRATION_WATCHDOGS_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct Watchdog
{
	char	   *name;
	bool		is_hurried;		/* looks soon after incidents changed */
	TimestampTz look_at;		/* 0: it has not looked yet */
} Watchdog;

/* All of them, in that memory.  May throw. */
extern Watchdog *watchdogs_list(MemoryContext memory, int *count);

/*
 * Have one look, within session_run_within().  Returns when it has to look
 * again.  May throw.
 */
extern TimestampTz watchdogs_look(const char *name);

/* Write down that a worker did not come round; until is 0 while it lasts.  May throw. */
extern void watchdogs_note_silence(TimestampTz since, TimestampTz until);

#endif							/* INTEGRATION_WATCHDOGS_H */
