/*-------------------------------------------------------------------------
 * place.h
 *		Where the server's data lies, as far as a copy of it lies elsewhere.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PLACE_H
#define INTEGRATION_PLACE_H

#include "postgres.h"

typedef struct Place
{
	char		machine[64];	/* "" where the system has no machine-id */
	char		directory[MAXPGPATH];	/* "" where it can't be resolved */
	uint64		inode;			/* of a file as old as the directory; 0: not
								 * known */
	char		born[32];		/* the same file's birth; "" where the file
								 * system keeps none */
	bool		was_standby;	/* this server was started as a standby */
} Place;

/* Look once, from _PG_init(): a promotion removes what says that it was a standby. */
extern void place_note(void);

/* As noted; valid for the life of the process.  Does not throw. */
extern const Place *place_get(void);

#endif							/* INTEGRATION_PLACE_H */
