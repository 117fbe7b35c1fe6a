/*-------------------------------------------------------------------------
 * backlog.h
 *		How many syncs of a customer or a role are unfinished.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_BACKLOG_H
#define INTEGRATION_BACKLOG_H

#include "postgres.h"

#include "store/limits.h"

/*
 * Queue rows that count for this name (text), at most so many, those of open
 * transactions included: whoever wrote its rows before it asks is counted by
 * all who ask later.  May throw.
 */
extern int64 backlog_count(Oid schema, LimitScope scope, Datum name, int64 most);

#endif							/* INTEGRATION_BACKLOG_H */
