/*-------------------------------------------------------------------------
 * limits.h
 *		How much a customer or a role may enqueue.
 *
 * Remembered by the session like store/target.h: where the table is empty an
 * application's insert pays for a comparison.  Whoever changes the table has
 * that forgotten everywhere.
 *
 * Names are told apart by a hash of 64 bits.  Whoever makes two of them collide
 * gains no more than by writing the other name.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_LIMITS_H
#define INTEGRATION_LIMITS_H

#include "postgres.h"

#define LIMITS_NONE (-1)

typedef enum LimitScope
{
	LIMIT_CUSTOMER,
	LIMIT_ROLE,
	LIMIT_SCOPES
} LimitScope;

/* LIMITS_NONE in place of a number: it may be any. */
typedef struct EnqueueLimit
{
	int64		rows_per_minute;
	int64		bytes_per_minute;
	int64		max_backlog;
} EnqueueLimit;

/* As the column scope says it. */
extern const char *limits_scope_name(LimitScope scope);

/* What stands for a name (text) wherever usage is kept; as hashtextextended(name, 0) in SQL. */
extern uint64 limits_name_hash(Datum name);

/* Whether anybody of this scope may be limited.  May throw. */
extern bool limits_exist(Oid schema, LimitScope scope);

/*
 * The row of this name (text), else the one of '*', as it is now, whatever the
 * transaction's snapshot; NULL: there is none.  Valid until the next call.
 * May throw.
 */
extern const EnqueueLimit *limits_find(Oid schema, LimitScope scope, Datum name);

#endif							/* INTEGRATION_LIMITS_H */
