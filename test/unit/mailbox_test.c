/*-------------------------------------------------------------------------
 * mailbox_test.c
 *		Finished answers in their order, with memory or without.
 *-------------------------------------------------------------------------
 */
#include "tap.h"
#include "transport/mailbox.h"

#define RESERVE 3

static bool memory_is_out;

extern void *__real_calloc(size_t count, size_t size);
extern void *__wrap_calloc(size_t count, size_t size);

void *
__wrap_calloc(size_t count, size_t size)
{
	return memory_is_out ? NULL : __real_calloc(count, size);
}

static void
check_order(Mailbox *mailbox)
{
	AnswerNode *nodes[3];

	tap_ok(mailbox_take(mailbox) == NULL, "nothing in it at first");
	for (int i = 0; i < 3; i++)
	{
		nodes[i] = mailbox_obtain(mailbox);
		mailbox_push(mailbox, nodes[i]);
	}
	for (int i = 0; i < 3; i++)
	{
		Answer	   *answer = mailbox_take(mailbox);

		tap_ok(answer == &nodes[i]->answer, "the oldest comes first");
		answer_free(answer);
	}
	tap_ok(mailbox_take(mailbox) == NULL, "nothing is left");
	tap_number(mailbox->reserve_count, RESERVE, "the reserve is untouched");
}

static void
check_shortage(Mailbox *mailbox)
{
	memory_is_out = true;
	for (int i = 0; i < RESERVE; i++)
	{
		AnswerNode *node = mailbox_obtain(mailbox);

		tap_ok(node && node->answer.dns_ms == -1 && !node->next, "the reserve gives a blank one");
		mailbox_push(mailbox, node);
	}
	tap_ok(mailbox_obtain(mailbox) == NULL, "as many as it had");
	mailbox_refill(mailbox);
	tap_number(mailbox->reserve_count, 0, "no memory, no reserve");
	memory_is_out = false;
	mailbox_refill(mailbox);
	tap_number(mailbox->reserve_count, RESERVE, "memory is back, so is the reserve");
}

int
main(void)
{
	Mailbox		mailbox;

	tap_ok(mailbox_create(&mailbox, RESERVE), "a mailbox");
	check_order(&mailbox);
	check_shortage(&mailbox);
	mailbox_clear(&mailbox);
	tap_ok(mailbox_take(&mailbox) == NULL && !mailbox.reserve, "a cleared one is empty");

	memory_is_out = true;
	tap_ok(!mailbox_create(&mailbox, RESERVE), "without memory there is none");
	return tap_done();
}
