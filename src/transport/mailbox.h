/*-------------------------------------------------------------------------
 * mailbox.h
 *		Finished answers, oldest first.
 *
 * Keeps blank answers in reserve, since each start must be answered when
 * memory is out too.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_MAILBOX_H
#define INTEGRATION_MAILBOX_H

#include <stdbool.h>

#include "transport/answer.h"

typedef struct Mailbox
{
	AnswerNode *first;
	AnswerNode *last;
	AnswerNode *reserve;
	int			reserve_count;
	int			reserve_wanted;
} Mailbox;

/* Begin with so many blank answers in reserve; false when memory is out.  Does not throw. */
extern bool mailbox_create(Mailbox *mailbox, int reserve);

/* Frees all answers that are in it.  Does not throw. */
extern void mailbox_clear(Mailbox *mailbox);

/* Fill up the reserve as far as memory allows.  Does not throw. */
extern void mailbox_refill(Mailbox *mailbox);

/* A blank answer; NULL only when memory is out with the reserve used up.  Does not throw. */
extern AnswerNode *mailbox_obtain(Mailbox *mailbox);

/* Add a finished answer.  Does not throw. */
extern void mailbox_push(Mailbox *mailbox, AnswerNode *node);

/* Hand over the oldest one, NULL when there is none.  Does not throw. */
extern Answer *mailbox_take(Mailbox *mailbox);

#endif							/* INTEGRATION_MAILBOX_H */
