/*-------------------------------------------------------------------------
 * layout.h
 *		Where the columns of a table of ours are.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_LAYOUT_H
#define INTEGRATION_LAYOUT_H

#include "postgres.h"

#include "access/attnum.h"
#include "utils/rel.h"

#define LAYOUT_COLUMNS 24

/* Starts out as zeros; kept for the session, since a column never changes its number. */
typedef struct Layout
{
	Oid			relation;
	AttrNumber	numbers[LAYOUT_COLUMNS];
} Layout;

/* Fills in the numbers of the named columns, in their order.  Throws if there is none of a name. */
extern void layout_resolve(Layout *layout, Relation relation,
						   const char *const *names, int count);

/*
 * The same where columns from the required ones on may be missing, until the
 * extension is updated: their number is InvalidAttrNumber, and they are looked
 * for again at the next call.
 */
extern void layout_resolve_known(Layout *layout, Relation relation, const char *const *names,
								 int required, int count);

#endif							/* INTEGRATION_LAYOUT_H */
