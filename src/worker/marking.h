/*-------------------------------------------------------------------------
 * marking.h
 *		Durable marks of syncs whose requests must not be repeated.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_MARKING_H
#define INTEGRATION_MARKING_H

#include "worker/sender.h"

typedef struct Marking
{
	Sender	   *sender;
	bool		leaves;			/* about to leave; false: they wait again */
	int			count;
	Lease	  **leases;
	int			marked_count;
	int64	   *marked;			/* in the sender's scratch memory */
} Marking;

/* Set the marks, or take them off.  False: the statement failed, none was. */
extern bool marking_run(Marking *marking);

/* Whether that sync's was; it is not where the sync was changed or locked by somebody. */
extern bool marking_has(const Marking *marking, const Lease *lease);

#endif							/* INTEGRATION_MARKING_H */
