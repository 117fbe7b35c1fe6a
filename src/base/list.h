/*-------------------------------------------------------------------------
 * list.h
 *		Comma-separated lists, entry by entry.
 *
 * Free of PostgreSQL headers, as are the lists that are read with it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_LIST_H
#define INTEGRATION_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A host name of 253 bytes with "*." before it fits. */
#define LIST_ENTRY_BYTES 256

#define LIST_ENTRIES_MAX 64

typedef struct ListReader
{
	const char *rest;
	bool		has_more;
	int			count;			/* entries read so far */
	char		entry[LIST_ENTRY_BYTES];	/* the last one, without blanks
											 * around it */
} ListReader;

/* A reader at the beginning of entries, which must stay.  Does not throw. */
extern ListReader list_begin(const char *entries);

/*
 * Read the next entry; the reader must have one.  On bad text returns false and writes a
 * sentence fragment for the detail of an error to problem.  Does not throw.
 */
extern bool list_next(ListReader *reader, char *problem, size_t problem_size);

#endif							/* INTEGRATION_LIST_H */
