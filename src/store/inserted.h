/*-------------------------------------------------------------------------
 * inserted.h
 *		SQL over the rows that a statement has inserted into the outbox.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_INSERTED_H
#define INTEGRATION_INSERTED_H

#include "postgres.h"

#include "commands/trigger.h"

/* Why a row can't be queued; texts are palloc'd where the caller is. */
typedef struct Refusal
{
	int			code;			/* an SQLSTATE */
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;
} Refusal;

/*
 * Claim the keys of the rows that have a dedup_key, close those whose key stands for
 * another sync.  May wait for another transaction that claims the same; may throw.
 */
extern void inserted_close_duplicates(TriggerData *trigger);

/* What there is to say about this row that is refused.  Throws if it is not among the inserted. */
extern void inserted_refusal(TriggerData *trigger, int64 id, Refusal *refusal);

#endif							/* INTEGRATION_INSERTED_H */
