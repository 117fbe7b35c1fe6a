/*-------------------------------------------------------------------------
 * coalescing.c
 *		Of each object of an endpoint that coalesces, the newest state alone is sent.
 *
 * Syncs that are read while others of their objects wait are gathered here and
 * brought to supersede() together: it closes the older ones and names the
 * newest, which is then read by its id.  While an older one is under way the
 * newest waits for it, else the older state could arrive last.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/session.h"
#include "worker/coalescing.h"
#include "worker/keys.h"
#include "worker/places.h"
#include "worker/sender.h"

typedef struct SupersedeStep
{
	Sender	   *sender;
	SupersedeRequest request;
	int			row_count;
	SupersedeRow *rows;
} SupersedeStep;

void
coalescing_note(Sender *sender, const TakenRow *row)
{
	int64		key = row->keys[KEY_OBJECT];

	keys_outdate(sender, key, row->outbox_id);
	if (sender->crowd.count == SENDER_IDS)
	{
		places_read_id_later(sender, row->outbox_id);
		return;
	}
	sender->crowd.ids[sender->crowd.count] = row->outbox_id;
	sender->crowd.keys[sender->crowd.count++] = key;
}

/* What is ready may be closed: it is read again before it leaves. */
static void
gather(SupersedeStep *step)
{
	Sender	   *sender = step->sender;
	int64	   *busy = palloc(sizeof(int64) * sender->crowd.count);
	int			busy_count = 0;

	for (int i = 0; i < sender->crowd.count; i++)
	{
		Lease	   *lease = keys_lease(sender, sender->crowd.keys[i]);

		if (lease != NULL && lease->state != LEASE_READY)
			busy[busy_count++] = lease->outbox_id;
	}
	step->request = (SupersedeRequest)
	{
		.count = sender->crowd.count,
			.ids = sender->crowd.ids,
			.object_keys = sender->crowd.keys,
			.busy_count = busy_count,
			.busy = busy,
	};
}

static void
supersede_step(void *arg)
{
	SupersedeStep *step = arg;

	step->rows = statements_supersede(step->sender->scratch, &step->request, &step->row_count);
}

/* Returns whether there is more to close. */
static bool
apply(Sender *sender, const SupersedeStep *step)
{
	bool		has_more = false;

	for (int i = 0; i < step->row_count; i++)
	{
		const SupersedeRow *row = &step->rows[i];

		if (row->standing == STANDING_AGAIN)
			has_more = true;
		else if (row->standing == STANDING_NEXT)
			places_read_id(sender, row->outbox_id);
		/* an older one is under way, or somebody holds its row */
		else if (!keys_wait(sender, row->object_key, row->outbox_id))
			places_read_id_later(sender, row->outbox_id);
	}
	return has_more;
}

void
coalescing_turn(Sender *sender)
{
	SupersedeStep step = {.sender = sender};
	MemoryContext caller;

	if (sender->crowd.count == 0 || sender->sql_again_at > sender->now)
		return;
	caller = MemoryContextSwitchTo(sender->scratch);
	gather(&step);
	if (!session_run(supersede_step, &step))
	{
		for (int i = 0; i < sender->crowd.count; i++)
			places_read_id_later(sender, sender->crowd.ids[i]);
		sender->crowd.count = 0;
	}
	else if (!apply(sender, &step))
		sender->crowd.count = 0;
	MemoryContextSwitchTo(caller);
}
