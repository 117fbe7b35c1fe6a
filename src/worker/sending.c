/*-------------------------------------------------------------------------
 * sending.c
 *		Whose turn it is to send.
 *
 * Round robin over the endpoints that have something ready, one request each:
 * an endpoint that is slow or dead fills its own window and costs the others
 * nothing.  Within an endpoint the priorities share by weight, so that none
 * starves.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/session.h"
#include "worker/sender.h"

#define PING_PRIORITY_ROOM 1	/* pings beyond the window */

/* Of ten turns six are for high, three for normal, one for low; an empty one falls to the next. */
static const int16 turns[] = {1, 1, 2, 1, 1, 2, 1, 1, 2, 3};

/* Syncs of endpoints that are not idempotent, waiting for their durable marks. */
typedef struct MarkStep
{
	Sender	   *sender;
	int			count;
	Lease	  **leases;
	int			marked_count;
	int64	   *marked;
} MarkStep;

static Lease *
first_ready(Endpoint *endpoint, int16 priority)
{
	if (dlist_is_empty(&endpoint->ready[priority]))
		return NULL;
	return dlist_container(Lease, node, dlist_head_node(&endpoint->ready[priority]));
}

static Lease *
next_ready(Endpoint *endpoint)
{
	Lease	   *lease = first_ready(endpoint, turns[endpoint->turn++ % lengthof(turns)]);

	for (int16 p = 1; lease == NULL && p < PRIORITY_COUNT; p++)
		lease = first_ready(endpoint, p);
	return lease;
}

/* Each probe is a different sync where there is one: it may be the sync that is at fault. */
static Lease *
next_probe(Endpoint *endpoint)
{
	Lease	   *same = NULL;

	for (int p = 1; p < PRIORITY_COUNT; p++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &endpoint->ready[p])
		{
			Lease	   *lease = dlist_container(Lease, node, iter.cur);

			if (lease->outbox_id != endpoint->last_retried)
				return lease;
			same = lease;
		}
	}
	return same;
}

static int
room_of(const Endpoint *endpoint)
{
	int			occupied = endpoint->in_flight + endpoint->unjudged;

	if (endpoint->is_probing)
		return occupied == 0 ? 1 : 0;
	return window_room(&endpoint->window, occupied);
}

/* The lease that may leave for this endpoint now, or NULL. */
static Lease *
choose(Sender *sender, Endpoint *endpoint)
{
	Lease	   *ping = first_ready(endpoint, PRIORITY_PING);

	if (endpoint->ready_count == 0)
		return NULL;
	if (ping != NULL && endpoint->is_listed && endpoint->row.paused_until <= sender->now &&
		endpoint->in_flight < endpoint->window.largest + PING_PRIORITY_ROOM)
		return ping;
	if (sender_closed_until(sender, endpoint) != 0 || room_of(endpoint) == 0)
		return NULL;
	if (ping != NULL && endpoint->ready_count == 1)
		return NULL;
	if (!bucket_take(&endpoint->bucket, sender->now))
		return NULL;
	return endpoint->is_probing ? next_probe(endpoint) : next_ready(endpoint);
}

static void
leave_ready(Sender *sender, Lease *lease)
{
	dlist_delete(&lease->node);
	lease->endpoint->ready_count--;
	sender->ready_count--;
}

/* To ANSWERED without an answer: lease->reason says why nothing left. */
static void
answer_at_once(Sender *sender, Lease *lease)
{
	lease->started_at = sender->now;
	sender_await_settle(sender, lease);
}

/* READY to IN_FLIGHT. */
static void
occupy(Sender *sender, Lease *lease)
{
	leave_ready(sender, lease);
	lease->state = LEASE_IN_FLIGHT;
	lease->endpoint->in_flight++;
	sender->in_flight_count++;
	dlist_push_tail(&sender->in_flight, &lease->node);
}

static void
leave_in_flight(Sender *sender, Lease *lease)
{
	dlist_delete(&lease->node);
	lease->endpoint->in_flight--;
	sender->in_flight_count--;
}

static void
start(Sender *sender, Lease *lease)
{
	lease->started_at = GetCurrentTimestamp();
	if (transport_start(sender->transport, &lease->request, &lease->endpoint->options, lease))
		return;
	strlcpy(lease->reason, "curl:27", sizeof(lease->reason));
	leave_in_flight(sender, lease);
	answer_at_once(sender, lease);
}

/* IN_FLIGHT and not started: give the sync up for this worker until it is read again. */
static void
withdraw(Sender *sender, Lease *lease)
{
	/* freeing takes it off its list */
	lease->endpoint->in_flight--;
	sender->in_flight_count--;
	sender_free_lease(sender, lease);
}

static void
mark_step(void *arg)
{
	MarkStep   *step = arg;
	int64	   *ids = palloc(sizeof(int64) * step->count);
	FullTransactionId *change_xids = palloc(sizeof(FullTransactionId) * step->count);

	for (int i = 0; i < step->count; i++)
	{
		ids[i] = step->leases[i]->outbox_id;
		change_xids[i] = step->leases[i]->change_xid;
	}
	step->marked_count = step->count;
	step->marked = statements_mark(step->sender->scratch, ids, change_xids, &step->marked_count);
}

static bool
is_marked(const MarkStep *step, int64 outbox_id)
{
	for (int i = 0; i < step->marked_count; i++)
	{
		if (step->marked[i] == outbox_id)
			return true;
	}
	return false;
}

/* Only what is durably marked may leave: after a crash it is unknown, never repeated. */
static void
start_marked(MarkStep *step)
{
	Sender	   *sender = step->sender;

	if (step->count == 0)
		return;
	if (!session_run(mark_step, step))
		step->marked_count = 0;
	for (int i = 0; i < step->count; i++)
	{
		Lease	   *lease = step->leases[i];

		if (is_marked(step, lease->outbox_id))
			start(sender, lease);
		else
		{
			/*
			 * changed or locked by somebody: it is seen again at the next
			 * safety look
			 */
			withdraw(sender, lease);
			sender->rewind_at_look = true;
		}
	}
}

/* Send one for the endpoint if it may; whether it did. */
static bool
serve(Sender *sender, Endpoint *endpoint, MarkStep *step)
{
	Lease	   *lease = choose(sender, endpoint);

	if (lease == NULL)
		return false;
	if (lease->expires_at <= sender->now)
	{
		sender->expire_at = sender->now;
		sender_free_lease(sender, lease);
		return true;
	}
	if (lease->reason[0] != '\0')
	{
		leave_ready(sender, lease);
		answer_at_once(sender, lease);
		return true;
	}
	occupy(sender, lease);
	if (endpoint->row.idempotent)
		start(sender, lease);
	else
		step->leases[step->count++] = lease;
	return true;
}

void
sending_turn(Sender *sender)
{
	MemoryContext caller = MemoryContextSwitchTo(sender->scratch);
	MarkStep	step = {
		.sender = sender,
		.leases = palloc(sizeof(Lease *) * sender->max_connections),
	};
	bool		progress = true;

	while (progress && sender->in_flight_count < sender->max_connections)
	{
		int			endpoints = 0;
		dlist_mutable_iter iter;

		progress = false;
		dlist_foreach_modify(iter, &sender->busy)
		{
			Endpoint   *endpoint = dlist_container(Endpoint, busy_node, iter.cur);

			if (sender->in_flight_count >= sender->max_connections)
				break;
			if (!serve(sender, endpoint, &step))
				continue;
			/* where connections are short, the others are next */
			dlist_delete(&endpoint->busy_node);
			dlist_push_tail(&sender->busy, &endpoint->busy_node);
			progress = true;
			endpoints++;
		}
		if (endpoints == 0)
			break;
	}
	start_marked(&step);
	MemoryContextSwitchTo(caller);
}

TimestampTz
sending_deadline(Sender *sender)
{
	TimestampTz deadline = DT_NOEND;
	dlist_iter	iter;

	if (sender->in_flight_count >= sender->max_connections)
		return DT_NOEND;
	dlist_foreach(iter, &sender->busy)
	{
		Endpoint   *endpoint = dlist_container(Endpoint, busy_node, iter.cur);
		TimestampTz closed_until;

		if (endpoint->ready_count == 0 || room_of(endpoint) == 0)
			continue;
		closed_until = sender_closed_until(sender, endpoint);
		if (closed_until == 0)
			closed_until = bucket_free_at_us(&endpoint->bucket, sender->now);
		deadline = Min(deadline, closed_until);
	}
	return deadline;
}

/* IN_FLIGHT to ANSWERED. */
void
sending_collect(Sender *sender)
{
	Answer	   *answer;

	while ((answer = transport_collect(sender->transport)) != NULL)
	{
		Lease	   *lease = answer->owner;

		lease->at_once = lease->endpoint->in_flight;
		leave_in_flight(sender, lease);
		lease->answer = answer;
		sender_await_settle(sender, lease);
	}
}
