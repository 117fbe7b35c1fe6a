/*-------------------------------------------------------------------------
 * lookup.h
 *		One row of a table of ours by its primary key, without a statement of SQL.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_LOOKUP_H
#define INTEGRATION_LOOKUP_H

#include "postgres.h"

#include "access/htup.h"
#include "utils/rel.h"

#define LOOKUP_MOST_KEYS 2

/*
 * The row that the active snapshot shows under this key, a palloc'd copy, or
 * NULL.  The primary key is the named column alone, of type text or bigint.
 * May throw.
 */
extern HeapTuple lookup_row(Relation table, AttrNumber column, Datum key);

/*
 * The same for a primary key of several columns, given in its order; by the
 * first of them alone: one of the rows.  May throw.
 */
extern HeapTuple lookup_row_by(Relation table, const AttrNumber *columns, const Datum *keys,
							   int count);

/* Whether a row of closing ends this sync, under the active snapshot.  May throw. */
extern bool lookup_is_closed(Oid schema, int64 outbox_id);

#endif							/* INTEGRATION_LOOKUP_H */
