/*-------------------------------------------------------------------------
 * crash_log.h
 *		What is written down of workers that took the server down.
 *
 * Each function is to be run within session_run().  All may throw.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_CRASH_LOG_H
#define INTEGRATION_CRASH_LOG_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* A worker that came to such an end. */
typedef struct Crash
{
	TimestampTz started_at;
	int32		pid;
	int64	   *syncs;			/* what it had in hand */
	int			count;
} Crash;

/* An unfinished sync that was in hand then. */
typedef struct Suspect
{
	int64		outbox_id;
	int32		crashes;		/* since its last attempt */
} Suspect;

/* May be called again for the same one. */
extern void crash_log_note(const Crash *crash);

/* Its syncs as the server's log names them, in memory; NULL: it had none in hand. */
extern char *crash_log_names(const Crash *crash, MemoryContext memory);

/* Before when nothing is to be sent, 0: now; how often workers crashed in a row. */
extern TimestampTz crash_log_resume_at(int *crashes);

extern Suspect *crash_log_suspects(MemoryContext memory, int *count);

#endif							/* INTEGRATION_CRASH_LOG_H */
