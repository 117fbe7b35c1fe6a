/*-------------------------------------------------------------------------
 * charges.h
 *		What a statement enqueues, counted against the limits of those it is for.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_API_CHARGES_H
#define INTEGRATION_API_CHARGES_H

#include "postgres.h"

typedef struct Charges Charges;

/* A row on its way into the queue. */
typedef struct ChargedRow
{
	NullableDatum customer;		/* text */
	int			payload_bytes;
	bool		is_queued;		/* not closed as a duplicate */
} ChargedRow;

/* Whose max_backlog a queue row counts for: text, or null. */
typedef struct Backlogs
{
	NullableDatum customer;
	NullableDatum role;
} Backlogs;

/* For one statement of this role; palloc'd.  NULL: nobody is limited.  May throw. */
extern Charges *charges_open(Oid schema, const char *role);

/*
 * Adds a row to the sums and fills in those whose backlog it is in; the names
 * live as long as charges.  May throw.
 */
extern void charges_add(Charges *charges, const ChargedRow *row, Backlogs *backlogs);

/*
 * Takes the sums from what is left to each customer and to the role; called once, when
 * the queue rows are written.  Throws where one of them has a limit that does not allow it.
 */
extern void charges_settle(Charges *charges);

#endif							/* INTEGRATION_API_CHARGES_H */
