/*-------------------------------------------------------------------------
 * counts.h
 *		The statement that counts what has come to its end.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_COUNTS_H
#define INTEGRATION_COUNTS_H

#include "postgres.h"

/* One step; returns whether there may be more to count.  In a transaction; may throw. */
extern bool counts_go_on(void);

#endif							/* INTEGRATION_COUNTS_H */
