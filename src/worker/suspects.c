/*-------------------------------------------------------------------------
 * suspects.c
 *		Syncs that were in hand when workers crashed leave one at a time.
 *
 * What was in hand at one crash leaves as ever: it was one among many, and
 * most crashes are nobody's fault here.  What was in hand at two has at most one
 * of its kind in hand from then on.  So the third crash finds a single one, which
 * is set aside (integration_worker.recover()), and nothing else waits meanwhile.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/crash_log.h"
#include "worker/hand.h"
#include "worker/places.h"
#include "worker/sender.h"
#include "worker/sending.h"
#include "worker/suspects.h"

#define ALONE_FROM 2			/* crashes */
#define NEVER_FROM 3

typedef struct SuspectEntry
{
	int64		outbox_id;
	int			crashes;
} SuspectEntry;

static HTAB *
create_table(Sender *sender)
{
	HASHCTL		control = {
		.keysize = sizeof(int64),
		.entrysize = sizeof(SuspectEntry),
		.hcxt = sender->memory,
	};

	return hash_create("integration suspects", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
suspects_load(Sender *sender)
{
	int			count;
	Suspect    *suspects = crash_log_suspects(CurrentMemoryContext, &count);

	if (count == 0)
		return;
	if (sender->suspects.table == NULL)
		sender->suspects.table = create_table(sender);
	for (int i = 0; i < count; i++)
	{
		SuspectEntry *entry = hash_search(sender->suspects.table, &suspects[i].outbox_id,
										  HASH_ENTER, NULL);

		entry->crashes = suspects[i].crashes;
	}
}

int
suspects_crashes(const Sender *sender, int64 outbox_id)
{
	SuspectEntry *entry;

	if (sender->suspects.table == NULL)
		return 0;
	entry = hash_search(sender->suspects.table, &outbox_id, HASH_FIND, NULL);
	return entry == NULL ? 0 : entry->crashes;
}

bool
suspects_may_leave(Sender *sender, Lease *lease)
{
	if (lease->crashes < ALONE_FROM)
		return true;
	if (lease->crashes >= NEVER_FROM)
	{
		/* somebody held its row when it was to be set aside */
		places_read_id_later(sender, lease->outbox_id);
		sender_free_lease(sender, lease);
		return false;
	}
	if (sender->suspects.in_hand == NULL)
		return true;
	dlist_delete(&lease->node);
	dlist_push_tail(&sender->suspects.waiting, &lease->node);
	return false;
}

void
suspects_drop(Sender *sender, const Endpoint *endpoint)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &sender->suspects.waiting)
	{
		Lease	   *lease = dlist_container(Lease, node, iter.cur);

		if (lease->endpoint != endpoint)
			continue;
		places_read_id(sender, lease->outbox_id);
		sender_free_lease(sender, lease);
	}
}

void
suspects_begin(Sender *sender, Lease *lease)
{
	lease->place_in_hand = hand_take(lease->outbox_id);
	if (lease->crashes >= ALONE_FROM)
		sender->suspects.in_hand = lease;
}

void
suspects_end(Sender *sender, Lease *lease)
{
	hand_leave(lease->place_in_hand);
	if (lease->crashes > 0 && lease->state != LEASE_READY)
		(void) hash_search(sender->suspects.table, &lease->outbox_id, HASH_REMOVE, NULL);
	if (sender->suspects.in_hand != lease)
		return;
	sender->suspects.in_hand = NULL;
	while (!dlist_is_empty(&sender->suspects.waiting))
	{
		Lease	   *next = dlist_container(Lease, node,
										   dlist_pop_head_node(&sender->suspects.waiting));

		dlist_push_head(&next->endpoint->ready[next->priority][next->kind], &next->node);
		sending_reconsider(sender, next->endpoint);
	}
}
