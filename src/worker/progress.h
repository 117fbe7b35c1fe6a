/*-------------------------------------------------------------------------
 * progress.h
 *		How far statements that touch many syncs have come, in shared memory.
 *
 * What a transaction does is seen by others when it commits; how far it has come
 * is wanted before.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PROGRESS_H
#define INTEGRATION_PROGRESS_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define PROGRESS_VERB_BYTES 16
#define PROGRESS_SUBJECT_BYTES 256

typedef struct Progress
{
	Oid			database;
	int			pid;			/* 0: free */
	Oid			role;
	TimestampTz started_at;
	TimestampTz updated_at;
	int64		total;			/* syncs */
	int64		done;
	char		verb[PROGRESS_VERB_BYTES];
	char		subject[PROGRESS_SUBJECT_BYTES];	/* cut on a character */
} Progress;

/* Called by shared.c while it sizes, attaches the memory. */
extern void progress_request_memory(void);
extern void progress_attach_memory(void);

/*
 * Shows how far this process has come, until its transaction ends.  Nothing is
 * shown where all places are taken, or the library was not preloaded.
 */
extern void progress_note(const char *verb, const char *subject, int64 total, int64 done);

/* A copy of the next place of this database that is in use, *number on; false: there is none. */
extern bool progress_copy(Progress *copy, int *number);

#endif							/* INTEGRATION_PROGRESS_H */
