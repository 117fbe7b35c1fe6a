/*-------------------------------------------------------------------------
 * peek.h
 *		Queue rows without a statement of SQL, where that says the same.
 *
 * On an idle worker syncs come one at a time, and to start feed() and take() for
 * one row costs ten times what it costs to read it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PEEK_H
#define INTEGRATION_PEEK_H

#include "postgres.h"

#include "store/statements.h"

typedef struct PeekRequest
{
	MemoryContext memory;		/* of what is returned */
	int			most;			/* rows */
	uint32		shards;
} PeekRequest;

/*
 * What feed() says since *snapshot, into *feed, with the snapshot for the next
 * call in its place.  Returns false where only feed() knows: the index can't be
 * used.  May throw.
 */
extern bool peek_feed(const PeekRequest *request, char **snapshot, Feed *feed);

/*
 * What take() says of rows by their ids, into rows, which has room for count;
 * returns how many there are: in the order of their ids, one that was given
 * twice once.  The ids of those of which only take() knows stay in ids, *count
 * says how many: another row of theirs waits, or the index can't be used.
 * May throw.
 */
extern int	peek_take(int64 *ids, int *count, TakenRow *rows);

#endif							/* INTEGRATION_PEEK_H */
