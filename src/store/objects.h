/*-------------------------------------------------------------------------
 * objects.h
 *		What is queued for business objects.
 *
 * Asked for each object of a list, so it goes without a statement of SQL.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_OBJECTS_H
#define INTEGRATION_OBJECTS_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct ObjectReader ObjectReader;

typedef struct Queued
{
	int64		count;			/* syncs that are not finished */
	int64		next_sync;		/* the first of them, if there is one */
	bool		is_scheduled;	/* one of them has not failed */
	TimestampTz next_attempt_at;	/* of one that has not, the earliest */
} Queued;

/*
 * Opens the tables in the extension's schema; what it holds belongs to the
 * current resource owner until objects_close(), memory to the current context.
 * May throw.
 */
extern ObjectReader *objects_open(Oid schema);

/*
 * What the active snapshot, the same at each call, shows of an object at an
 * endpoint; an empty type is none.  May throw.
 */
extern Queued objects_read(ObjectReader *reader, int32 endpoint_id, const text *type,
						   const text *id);

/* Not after an error, which may have stopped a scan halfway: its owner lets go then. */
extern void objects_close(ObjectReader *reader);

#endif							/* INTEGRATION_OBJECTS_H */
