/*-------------------------------------------------------------------------
 * publishing.c
 *		Figures into shared memory, words into pg_stat_activity.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgstat.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/session.h"
#include "worker/choosing.h"
#include "worker/publishing.h"
#include "worker/sender.h"

#define PUBLISH_EVERY_MS 50

static void
forget_idle(Sender *sender)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &sender->busy)
	{
		Endpoint   *endpoint = dlist_container(Endpoint, busy_node, iter.cur);

		if (endpoint->ready_count + endpoint->in_flight > 0)
			continue;
		endpoint->is_busy = false;
		dlist_delete(iter.cur);
	}
}

static void
publish_endpoints(Sender *sender, LiveWorker *live)
{
	dlist_iter	iter;
	int			count = 0;

	dlist_foreach(iter, &sender->busy)
	{
		Endpoint   *endpoint = dlist_container(Endpoint, busy_node, iter.cur);
		TimestampTz free_at = choosing_rate_free_at(endpoint, sender->now);

		if (count == SHARED_LIVE_ENDPOINTS)
			break;
		live->live_endpoints[count++] = (LiveEndpoint)
		{
			.endpoint_id = endpoint->id,
				.window = endpoint->is_probing ? 1 : (int32) endpoint->window.size,
				.in_flight = endpoint->in_flight,
				.waiting = endpoint->ready_count,
				.rate_free_at = free_at > sender->now ? free_at : 0,
				.awaits_token = endpoint->awaits_token,
		};
	}
	live->live_endpoint_count = count;
}

static void
publish_syncs(Sender *sender, LiveWorker *live)
{
	dlist_iter	iter;
	int			count = 0;

	dlist_foreach(iter, &sender->in_flight)
	{
		Lease	   *lease = dlist_container(Lease, node, iter.cur);

		if (count == SHARED_LIVE_SYNCS)
			break;
		live->live_syncs[count++] = (LiveSync)
		{
			.outbox_id = lease->outbox_id,
				.started_at = lease->started_at,
		};
	}
	live->live_sync_count = count;
}

static int
unsettled_count(const Sender *sender)
{
	return sender->answered_count + sender->batches.stuck_count;
}

static bool
is_at_rest(const Sender *sender)
{
	return sender->in_flight_count + sender->ready_count + unsettled_count(sender) == 0;
}

static void
describe(const Sender *sender, char *activity, size_t activity_bytes)
{
	if (is_at_rest(sender))
		snprintf(activity, activity_bytes, "waiting for syncs");
	else
		snprintf(activity, activity_bytes, "sending: %d in flight, %d waiting, %d to settle",
				 sender->in_flight_count, sender->ready_count, unsettled_count(sender));
}

TimestampTz
publishing_deadline(const Sender *sender)
{
	TimestampTz next = TimestampTzPlusMilliseconds(sender->published_at, PUBLISH_EVERY_MS);

	return next > sender->now ? next : DT_NOEND;
}

void
publishing_now(Sender *sender)
{
	LiveWorker *live;

	sender->published_at = sender->now;
	forget_idle(sender);
	LWLockAcquire(shared_state()->lock, LW_EXCLUSIVE);
	live = shared_live(&sender->slot->workers[sender->number]);
	describe(sender, live->activity, sizeof(live->activity));
	live->shards = sender->locks.held;
	live->started_at = sender->started_at;
	live->last_turn_at = sender->now;
	live->endpoints = (int32) hash_get_num_entries(sender->endpoints);
	live->in_flight = sender->in_flight_count;
	live->waiting = sender->ready_count;
	live->unsettled = unsettled_count(sender);
	live->delivered = sender->delivered;
	live->failed = sender->failed;
	live->memory_bytes = (int64) sender->held_bytes;
	publish_endpoints(sender, live);
	publish_syncs(sender, live);
	LWLockRelease(shared_state()->lock);
	pgstat_report_activity(sender->in_flight_count > 0 ? STATE_RUNNING : STATE_IDLE,
						   live->activity);
}

/* The last result is in: whoever waits for it need not wait for the next publication. */
static bool
has_come_to_rest(const Sender *sender)
{
	const LiveWorker *live = shared_live(&sender->slot->workers[sender->number]);

	return is_at_rest(sender) &&
		live->in_flight + live->waiting + live->unsettled > 0;
}

void
publishing_turn(Sender *sender, bool is_idle)
{
	if (publishing_deadline(sender) != DT_NOEND && !(is_idle && has_come_to_rest(sender)))
		return;
	publishing_now(sender);
	if (is_idle)
		session_report();
}

void
publishing_end(Sender *sender)
{
	LiveWorker *live;

	LWLockAcquire(shared_state()->lock, LW_EXCLUSIVE);
	live = shared_live(&sender->slot->workers[sender->number]);
	live->shards = 0;
	live->live_endpoint_count = 0;
	live->live_sync_count = 0;
	LWLockRelease(shared_state()->lock);
}
