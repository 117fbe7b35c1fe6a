/*-------------------------------------------------------------------------
 * mailbox.c
 *		Finished answers, oldest first.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "transport/mailbox.h"

bool
mailbox_create(Mailbox *mailbox, int reserve)
{
	memset(mailbox, 0, sizeof(*mailbox));
	mailbox->reserve_wanted = reserve;
	mailbox_refill(mailbox);
	return mailbox->reserve_count == reserve;
}

void
mailbox_clear(Mailbox *mailbox)
{
	Answer	   *answer;

	while ((answer = mailbox_take(mailbox)) != NULL)
		answer_free(answer);
	while (mailbox->reserve)
	{
		AnswerNode *node = mailbox->reserve;

		mailbox->reserve = node->next;
		answer_free(&node->answer);
	}
	mailbox->reserve_count = 0;
}

void
mailbox_refill(Mailbox *mailbox)
{
	while (mailbox->reserve_count < mailbox->reserve_wanted)
	{
		AnswerNode *node = answer_create();

		if (!node)
			return;
		node->next = mailbox->reserve;
		mailbox->reserve = node;
		mailbox->reserve_count++;
	}
}

AnswerNode *
mailbox_obtain(Mailbox *mailbox)
{
	AnswerNode *node = answer_create();

	if (node)
		return node;
	node = mailbox->reserve;
	if (!node)
		return NULL;
	mailbox->reserve = node->next;
	mailbox->reserve_count--;
	node->next = NULL;
	return node;
}

void
mailbox_push(Mailbox *mailbox, AnswerNode *node)
{
	node->next = NULL;
	if (mailbox->last)
		mailbox->last->next = node;
	else
		mailbox->first = node;
	mailbox->last = node;
}

Answer *
mailbox_take(Mailbox *mailbox)
{
	AnswerNode *node = mailbox->first;

	if (!node)
		return NULL;
	mailbox->first = node->next;
	if (!mailbox->first)
		mailbox->last = NULL;
	node->next = NULL;
	return &node->answer;
}
