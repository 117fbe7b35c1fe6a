/*-------------------------------------------------------------------------
 * choosing.c
 *		Which sync of an endpoint may leave next.
 *
 * The priorities share by weight, so that none starves.  Within a priority the
 * oldest is first, but retries leave a quarter of the window to first attempts
 * that wait.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "worker/choosing.h"
#include "worker/sender.h"

#define PING_ROOM 1				/* pings beyond the window */

/* Of ten turns six are for high, three for normal, one for low; an empty one falls to the next. */
static const int16 weights[] = {
	PRIORITY_HIGH, PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_HIGH,
	PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW,
};

static Lease *
first_of(Endpoint *endpoint, int16 priority, LeaseKind kind)
{
	dlist_head *ready = &endpoint->ready[priority][kind];

	return dlist_is_empty(ready) ? NULL : dlist_container(Lease, node, dlist_head_node(ready));
}

static bool
first_attempts_wait(Endpoint *endpoint)
{
	for (int16 p = PRIORITY_HIGH; p < PRIORITY_COUNT; p++)
	{
		if (first_of(endpoint, p, LEASE_FIRST) != NULL)
			return true;
	}
	return false;
}

static Lease *
oldest_of(Endpoint *endpoint, int16 priority, bool may_retry)
{
	Lease	   *first = first_of(endpoint, priority, LEASE_FIRST);
	Lease	   *retry = may_retry ? first_of(endpoint, priority, LEASE_RETRY) : NULL;

	if (first == NULL || retry == NULL)
		return first == NULL ? retry : first;
	return retry->due_at <= first->due_at ? retry : first;
}

static Lease *
next_ready(Endpoint *endpoint)
{
	bool		may_retry = !first_attempts_wait(endpoint) ||
		turns_allow_retry((int) endpoint->window.size, endpoint->retries_in_flight, endpoint->turn);
	Lease	   *lease = oldest_of(endpoint, weights[endpoint->turn % lengthof(weights)], may_retry);

	for (int16 p = PRIORITY_HIGH; lease == NULL && p < PRIORITY_COUNT; p++)
		lease = oldest_of(endpoint, p, may_retry);
	return lease;
}

/* Each probe is a different sync where there is one: it may be the sync that is at fault. */
static Lease *
next_probe(Endpoint *endpoint)
{
	Lease	   *same = NULL;

	for (int i = PRIORITY_HIGH * LEASE_KINDS; i < PRIORITY_COUNT * LEASE_KINDS; i++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &endpoint->ready[i / LEASE_KINDS][i % LEASE_KINDS])
		{
			Lease	   *lease = dlist_container(Lease, node, iter.cur);

			if (lease->outbox_id != endpoint->last_retried)
				return lease;
			same = lease;
		}
	}
	return same;
}

static bool
has_room(const Endpoint *endpoint)
{
	int			occupied = endpoint->in_flight + endpoint->unjudged;

	if (endpoint->is_probing)
		return occupied == 0;
	return window_room(&endpoint->window, occupied) > 0;
}

static bool
has_connection(const Sender *sender, const Endpoint *endpoint)
{
	Shares		shares = {
		.connections = sender->max_connections,
		.used = sender->in_flight_count,
		.used_by_doubtful = sender->line.doubtful_in_flight_count,
		.claimants = sender->line.claimant_count,
	};

	return shares_allow(&shares, endpoint->in_flight, endpoint->trust);
}

/* Pings wait for nothing but a pause. */
static Lease *
next_ping(const Sender *sender, Endpoint *endpoint)
{
	Lease	   *ping = first_of(endpoint, PRIORITY_PING, LEASE_FIRST);

	if (ping == NULL)
		ping = first_of(endpoint, PRIORITY_PING, LEASE_RETRY);
	if (ping == NULL || !endpoint->is_listed || endpoint->row.paused_until > sender->now ||
		endpoint->in_flight >= endpoint->window.largest + PING_ROOM)
		return NULL;
	return ping;
}

TimestampTz
choosing_rate_free_at(const Endpoint *endpoint, TimestampTz now)
{
	return Max(bucket_free_at_us(&endpoint->bucket, now), pace_free_at_us(&endpoint->pace, now));
}

Choice
choosing_next(const Sender *sender, Endpoint *endpoint)
{
	Choice		choice = {.again_at = DT_NOEND};
	TimestampTz free_at = sender_closed_until(sender, endpoint);

	if (endpoint->ready_count == 0)
		return choice;
	choice.lease = next_ping(sender, endpoint);
	if (choice.lease != NULL)
		return choice;
	if (free_at == 0)
		free_at = choosing_rate_free_at(endpoint, sender->now);
	if (free_at > sender->now)
	{
		choice.again_at = free_at;
		return choice;
	}
	if (!has_room(endpoint))
		return choice;
	if (!has_connection(sender, endpoint))
	{
		choice.is_short = true;
		return choice;
	}
	choice.lease = endpoint->is_probing ? next_probe(endpoint) : next_ready(endpoint);
	return choice;
}
