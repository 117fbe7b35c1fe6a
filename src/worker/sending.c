/*-------------------------------------------------------------------------
 * sending.c
 *		Whose turn it is to send.
 *
 * Endpoints that may be able to send take turns (flow/turns.h).  One that turns
 * out not to be able stands aside until what it waits for has come: an answer,
 * rows, a time, a connection.  So an endpoint that is slow or dead fills its own
 * window and costs the others nothing, and a turn costs the same beside ten
 * thousand that wait.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/answered.h"
#include "worker/choosing.h"
#include "worker/credentials.h"
#include "worker/marking.h"
#include "worker/places.h"
#include "worker/sender.h"
#include "worker/sending.h"
#include "worker/suspects.h"
#include "worker/tokens.h"

#define AT_ONCE 16				/* before answers are taken: what has answered
								 * is still in the processor's caches */
#define CHECK_EVERY_US 50000
#define LOSING_US 60000000		/* after a request was lost on a kept
								 * connection */
#define LITTLE 4				/* rows: who has more comes in with much */
#define SHORT_AT_ONCE 2			/* let in again for each connection that is
								 * free again */

/* The earliest is the root. */
static int
compare_again_at(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	TimestampTz one = pairingheap_const_container(Endpoint, timed_node, a)->again_at;
	TimestampTz other = pairingheap_const_container(Endpoint, timed_node, b)->again_at;

	return one < other ? 1 : one > other ? -1 : 0;
}

void
sending_init(Sender *sender)
{
	turns_init(&sender->line.turns);
	sender->line.timed.ph_compare = compare_again_at;
	dlist_init(&sender->line.short_of_connections);
}

/* ---- where endpoints stand */

static void
count_claimant(Sender *sender, Endpoint *endpoint)
{
	bool		is_claimant = endpoint->in_flight > 0 ||
		endpoint->stand == STAND_IN_TURN || endpoint->stand == STAND_SHORT;

	if (is_claimant == endpoint->is_claimant)
		return;
	endpoint->is_claimant = is_claimant;
	sender->line.claimant_count += is_claimant ? 1 : -1;
}

static void
leave_stand(Sender *sender, Endpoint *endpoint)
{
	switch (endpoint->stand)
	{
		case STAND_ASIDE:
			return;
		case STAND_IN_TURN:
			turns_remove(&sender->line.turns, &endpoint->turn_node);
			break;
		case STAND_TIMED:
			pairingheap_remove(&sender->line.timed, &endpoint->timed_node);
			break;
		case STAND_SHORT:
			dlist_delete(&endpoint->short_node);
			break;
		case STAND_TOKEN:
			dlist_delete(&endpoint->token_node);
			break;
	}
	endpoint->stand = STAND_ASIDE;
}

/* Who comes in with much to send waits for its round. */
static void
queue_up(Sender *sender, Endpoint *endpoint)
{
	if (endpoint->ready_count > LITTLE)
		turns_stay(&sender->line.turns, &endpoint->turn_node);
}

static void
take_stand(Sender *sender, Endpoint *endpoint, EndpointStand stand)
{
	leave_stand(sender, endpoint);
	endpoint->stand = stand;
	if (stand == STAND_IN_TURN)
	{
		turns_add(&sender->line.turns, &endpoint->turn_node);
		queue_up(sender, endpoint);
	}
	else if (stand == STAND_TIMED)
		pairingheap_add(&sender->line.timed, &endpoint->timed_node);
	else if (stand == STAND_SHORT)
		dlist_push_tail(&sender->line.short_of_connections, &endpoint->short_node);
	else if (stand == STAND_TOKEN)
		dlist_push_tail(&sender->line.waiting_for_tokens, &endpoint->token_node);
	count_claimant(sender, endpoint);
}

void
sending_offer(Sender *sender, Endpoint *endpoint)
{
	if (endpoint->stand == STAND_ASIDE && endpoint->ready_count > 0)
		take_stand(sender, endpoint, STAND_IN_TURN);
	else
		queue_up(sender, endpoint);
}

void
sending_reconsider(Sender *sender, Endpoint *endpoint)
{
	if (endpoint->stand != STAND_IN_TURN && endpoint->ready_count > 0)
		take_stand(sender, endpoint, STAND_IN_TURN);
	else
		queue_up(sender, endpoint);
}

void
sending_forget(Sender *sender, Endpoint *endpoint)
{
	take_stand(sender, endpoint, STAND_ASIDE);
}

static void
step_aside(Sender *sender, Endpoint *endpoint, const Choice *choice)
{
	endpoint->again_at = choice->again_at;
	if (choice->is_short)
		take_stand(sender, endpoint, STAND_SHORT);
	else
		take_stand(sender, endpoint, choice->again_at == DT_NOEND ? STAND_ASIDE : STAND_TIMED);
}

static void
wake_timed(Sender *sender)
{
	while (!pairingheap_is_empty(&sender->line.timed))
	{
		Endpoint   *endpoint = pairingheap_container(Endpoint, timed_node,
													 pairingheap_first(&sender->line.timed));

		if (endpoint->again_at > sender->now)
			return;
		take_stand(sender, endpoint, STAND_IN_TURN);
	}
}

void
sending_tokens_changed(Sender *sender)
{
	while (!dlist_is_empty(&sender->line.waiting_for_tokens))
	{
		dlist_node *head = dlist_head_node(&sender->line.waiting_for_tokens);

		take_stand(sender, dlist_container(Endpoint, token_node, head), STAND_IN_TURN);
	}
}

/* Up to so many of those that lack connections try again. */
static void
wake_short(Sender *sender, int most)
{
	for (int i = 0; i < most && !dlist_is_empty(&sender->line.short_of_connections); i++)
	{
		dlist_node *head = dlist_head_node(&sender->line.short_of_connections);

		take_stand(sender, dlist_container(Endpoint, short_node, head), STAND_IN_TURN);
	}
}

/* ---- who uses the connections */

static void
count_in_flight(Sender *sender, Lease *lease, int change)
{
	Endpoint   *endpoint = lease->endpoint;

	sender->in_flight_count += change;
	endpoint->in_flight += change;
	if (lease->kind == LEASE_RETRY)
		endpoint->retries_in_flight += change;
	if (endpoint->trust != TRUST_ANSWERS)
		sender->line.doubtful_in_flight_count += change;
	count_claimant(sender, endpoint);
}

static void
set_trust(Sender *sender, Endpoint *endpoint, Trust trust)
{
	if (endpoint->trust != TRUST_ANSWERS)
		sender->line.doubtful_in_flight_count -= endpoint->in_flight;
	endpoint->trust = trust;
	if (trust != TRUST_ANSWERS)
		sender->line.doubtful_in_flight_count += endpoint->in_flight;
}

/* Now and then: who owes an answer; those that lack connections all get a try. */
static void
check_connections(Sender *sender)
{
	dlist_iter	iter;

	if (sender->line.checked_at + CHECK_EVERY_US > sender->now)
		return;
	sender->line.checked_at = sender->now;
	dlist_foreach(iter, &sender->in_flight)
	{
		Lease	   *lease = dlist_container(Lease, node, iter.cur);
		double		usual_ms = lease->endpoint->window.brake.baseline_ms;

		if (!shares_is_overdue(0, sender->now - lease->started_at))
			break;
		if (shares_is_overdue(usual_ms, sender->now - lease->started_at))
			set_trust(sender, lease->endpoint, TRUST_SILENT);
	}
	wake_short(sender, INT_MAX);
}

/* ---- what a lease goes through */

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
	if (lease->state == LEASE_READY)
		suspects_begin(sender, lease);
	answered_add(sender, lease);
}

/* READY to IN_FLIGHT. */
static void
occupy(Sender *sender, Lease *lease)
{
	leave_ready(sender, lease);
	lease->state = LEASE_IN_FLIGHT;
	suspects_begin(sender, lease);
	lease->started_at = sender->now;
	count_in_flight(sender, lease, 1);
	lease->endpoint->turn++;
	dlist_push_tail(&sender->in_flight, &lease->node);
}

static void
leave_in_flight(Sender *sender, Lease *lease)
{
	dlist_delete(&lease->node);
	count_in_flight(sender, lease, -1);
	sending_offer(sender, lease->endpoint);
	wake_short(sender, SHORT_AT_ONCE);
}

/* All kept connections may have been closed: a retry must not be lost on the next of them. */
static bool
is_losing(const Sender *sender, const Endpoint *endpoint)
{
	return endpoint->lost_at + LOSING_US > sender->now;
}

static void
start(Sender *sender, Lease *lease)
{
	TransferOptions options = lease->endpoint->options;

	lease->started_at = GetCurrentTimestamp();
	options.certificate = credentials_certificate(lease);
	options.over_new_connection = lease->kind == LEASE_RETRY && is_losing(sender, lease->endpoint);
	if (transport_start(sender->transport, &lease->request, &options, lease))
		return;
	strlcpy(lease->reason, "curl:27", sizeof(lease->reason));
	leave_in_flight(sender, lease);
	answer_at_once(sender, lease);
}

/* IN_FLIGHT and not started: give the sync up for this worker until it is read again. */
static void
withdraw(Sender *sender, Lease *lease)
{
	/*
	 * freeing takes it off its list; what it did to a former worker is not
	 * known better
	 */
	count_in_flight(sender, lease, -1);
	lease->crashes = 0;
	sender_free_lease(sender, lease);
}

/* Only what is durably marked may leave: after a crash it is unknown, never repeated. */
static void
start_marked(Marking *marking)
{
	Sender	   *sender = marking->sender;
	bool		has_run;

	if (marking->count == 0)
		return;
	has_run = marking_run(marking);
	for (int i = 0; i < marking->count; i++)
	{
		Lease	   *lease = marking->leases[i];
		Endpoint   *endpoint = lease->endpoint;

		if (marking_has(marking, lease))
			start(sender, lease);
		else
		{
			/*
			 * changed or locked by somebody: it is seen again at the next
			 * safety look
			 */
			places_read_id_later(sender, lease->outbox_id);
			withdraw(sender, lease);
			/* after an error the others wait for that look, too */
			if (has_run)
				sending_offer(sender, endpoint);
		}
	}
}

/* It waits for an access token, and with it all of its endpoint; nobody is charged. */
static void
await_token(Sender *sender, Endpoint *endpoint, TimestampTz again_at)
{
	endpoint->again_at = again_at;
	take_stand(sender, endpoint, again_at == DT_NOEND ? STAND_TOKEN : STAND_TIMED);
}

/* Whether more of it waits in the table, as far as is known. */
static bool
has_more(const Sender *sender, const Endpoint *endpoint)
{
	for (int p = 0; p < PRIORITY_COUNT; p++)
	{
		const Cursor *cursor = &endpoint->cursors[p];

		if (cursor->has_more || cursor->next_due_at <= sender->now)
			return true;
	}
	return !dlist_is_empty((dlist_head *) &endpoint->ranges);
}

/*
 * Who has little left comes in anew, with what is left or with what follows: it
 * is not behind those that have much.
 */
static void
end_turn(Sender *sender, Endpoint *endpoint)
{
	if (endpoint->ready_count > LITTLE || has_more(sender, endpoint))
		return;
	take_stand(sender, endpoint, STAND_ASIDE);
	sending_offer(sender, endpoint);
}

/* What was chosen leaves, or is found not to. */
static void
serve(Sender *sender, Lease *lease, Marking *marking)
{
	TimestampTz again_at;

	if (lease->expires_at <= sender->now)
	{
		sender_note_expiry(sender, lease->expires_at);
		sender_free_lease(sender, lease);
		return;
	}
	if (sender_rereads(sender, lease))
		return;
	if (lease->reason[0] == '\0' && !tokens_are_there(sender, lease, &again_at))
	{
		await_token(sender, lease->endpoint, again_at);
		return;
	}
	if (!suspects_may_leave(sender, lease))
		return;
	if (lease->reason[0] != '\0' || !credentials_apply(sender, lease))
	{
		leave_ready(sender, lease);
		answer_at_once(sender, lease);
		return;
	}
	if (lease->priority != PRIORITY_PING)
	{
		(void) bucket_take(&lease->endpoint->bucket, sender->now);
		pace_start(&lease->endpoint->pace, sender->now);
	}
	turns_charge(&sender->line.turns, &lease->endpoint->turn_node, lease->request.body_bytes);
	occupy(sender, lease);
	end_turn(sender, lease->endpoint);
	if (lease->endpoint->row.idempotent)
		start(sender, lease);
	else
		marking->leases[marking->count++] = lease;
}

void
sending_turn(Sender *sender)
{
	MemoryContext caller = MemoryContextSwitchTo(sender->scratch);
	Marking		marking = {
		.sender = sender,
		.leaves = true,
		.leases = palloc(sizeof(Lease *) * sender->max_connections),
	};
	Turn	   *turn;
	int			left = AT_ONCE;

	wake_timed(sender);
	check_connections(sender);
	while (left-- > 0 && sender->in_flight_count < sender->max_connections &&
		   (turn = turns_next(&sender->line.turns)) != NULL)
	{
		Endpoint   *endpoint = (Endpoint *) ((char *) turn - offsetof(Endpoint, turn_node));
		Choice		choice = choosing_next(sender, endpoint);

		if (choice.lease == NULL)
			step_aside(sender, endpoint, &choice);
		else
			serve(sender, choice.lease, &marking);
	}
	start_marked(&marking);
	MemoryContextSwitchTo(caller);
}

TimestampTz
sending_deadline(const Sender *sender)
{
	TimestampTz deadline = DT_NOEND;

	if (sender->in_flight_count >= sender->max_connections)
		return DT_NOEND;
	if (!turns_is_empty(&sender->line.turns))
		return sender->now;
	if (!dlist_is_empty((dlist_head *) &sender->line.short_of_connections))
		deadline = sender->line.checked_at + CHECK_EVERY_US;
	if (!pairingheap_is_empty(&sender->line.timed))
	{
		pairingheap_node *first = pairingheap_first((pairingheap *) &sender->line.timed);

		deadline = Min(deadline, pairingheap_container(Endpoint, timed_node, first)->again_at);
	}
	return deadline;
}

/* What an answer says of how its endpoint may be called. */
static void
learn(Sender *sender, Endpoint *endpoint, const Answer *answer)
{
	set_trust(sender, endpoint, answer->http_status == 0 ? TRUST_SILENT : TRUST_ANSWERS);
	if (answer->was_lost)
		endpoint->lost_at = sender->now;
	if (answer->rate_limit.remaining < 0)
		return;
	endpoint->paced_at = sender->now;
	pace_learn(&endpoint->pace, &answer->rate_limit, endpoint->in_flight, sender->now);
	if (endpoint->stand == STAND_TIMED)
		sending_reconsider(sender, endpoint);
}

/* To READY again: it leaves with another access token. */
static void
turn_back(Sender *sender, Lease *lease)
{
	Endpoint   *endpoint = lease->endpoint;

	answer_free(lease->answer);
	lease->answer = NULL;
	lease->state = LEASE_READY;
	suspects_end(sender, lease);
	lease->place_in_hand = 0;
	dlist_push_head(&endpoint->ready[lease->priority][lease->kind], &lease->node);
	endpoint->ready_count++;
	sender->ready_count++;

	/*
	 * nothing more leaves here: whoever sends to it from now on reads it
	 * again
	 */
	if (!endpoint->is_listed)
		sender_free_lease(sender, lease);
	else
		sending_reconsider(sender, endpoint);
}

/* What stays marked can't wait: the refusal is its result. */
static void
turn_back_unmarked(Marking *marking)
{
	if (marking->count == 0)
		return;
	(void) marking_run(marking);
	for (int i = 0; i < marking->count; i++)
	{
		if (marking_has(marking, marking->leases[i]))
			turn_back(marking->sender, marking->leases[i]);
		else
			answered_add(marking->sender, marking->leases[i]);
	}
}

/* IN_FLIGHT to what follows from its answer. */
static void
collect(Sender *sender, Lease *lease, Answer *answer, bool may_go_on, Marking *marking)
{
	lease->at_once = lease->endpoint->in_flight;
	leave_in_flight(sender, lease);
	if (may_go_on && answer->http_status != 0)
		turns_go_on(&sender->line.turns, &lease->endpoint->turn_node);
	learn(sender, lease->endpoint, answer);
	lease->answer = answer;
	credentials_remove(sender, lease);
	if (!tokens_are_refused(sender, lease))
		answered_add(sender, lease);
	else if (lease->endpoint->row.idempotent)
		turn_back(sender, lease);
	else
	{
		if (marking->leases == NULL)
			marking->leases = palloc(sizeof(Lease *) * sender->max_connections);
		marking->leases[marking->count++] = lease;
	}
}

void
sending_collect(Sender *sender)
{
	MemoryContext caller = MemoryContextSwitchTo(sender->scratch);
	Marking		marking = {.sender = sender};
	Answer	   *answer;

	/* else those that wait for a connection would wait for requests in a row */
	bool		may_go_on = sender->in_flight_count <= sender->max_connections / 2;

	while ((answer = transport_collect(sender->transport)) != NULL)
	{
		if (!tokens_collect(sender, answer))
			collect(sender, answer->owner, answer, may_go_on, &marking);
	}
	turn_back_unmarked(&marking);
	MemoryContextSwitchTo(caller);
}
