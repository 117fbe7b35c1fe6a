/*-------------------------------------------------------------------------
 * marking.c
 *		Durable marks of syncs whose requests must not be repeated.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/session.h"
#include "worker/marking.h"

static void
mark_step(void *arg)
{
	Marking    *marking = arg;
	int64	   *ids = palloc(sizeof(int64) * marking->count);
	FullTransactionId *change_xids = palloc(sizeof(FullTransactionId) * marking->count);

	for (int i = 0; i < marking->count; i++)
	{
		ids[i] = marking->leases[i]->outbox_id;
		change_xids[i] = marking->leases[i]->change_xid;
	}
	marking->marked_count = marking->count;
	marking->marked = statements_mark(marking->sender->scratch, ids, change_xids,
									  marking->leaves, &marking->marked_count);
}

bool
marking_run(Marking *marking)
{
	if (session_run(mark_step, marking))
		return true;
	marking->marked_count = 0;
	return false;
}

bool
marking_has(const Marking *marking, const Lease *lease)
{
	for (int i = 0; i < marking->marked_count; i++)
	{
		if (marking->marked[i] == lease->outbox_id)
			return true;
	}
	return false;
}
