/*-------------------------------------------------------------------------
 * answered.c
 *		How long an answered lease waits to be recorded.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "worker/answered.h"
#include "worker/sender.h"

#define VAIN_MS 1000			/* that a probe in vain waits for others */

static bool
is_bad(const Lease *lease)
{
	return lease->answer == NULL ||
		lease->answer->http_status < 200 || lease->answer->http_status > 299;
}

/* Whether its endpoint may turn out to work again: one that refuses a sync does. */
static bool
shows_life(const Lease *lease)
{
	return lease->answer != NULL &&
		lease->answer->http_status >= 200 && lease->answer->http_status <= 499;
}

/* Whether something can't go on before the lease is settled. */
static bool
is_verdict_awaited(const Lease *lease)
{
	const Endpoint *endpoint = lease->endpoint;

	if (!endpoint->row.idempotent || lease->priority == PRIORITY_PING ||
		lease->keys[KEY_ORDERING] != 0 || lease->keys[KEY_OBJECT] != 0)
		return true;
	/* after a probe in vain nothing leaves for a while in any case */
	if (endpoint->is_probing)
		return shows_life(lease);
	/* the slot of a bad answer is wanted where more is ready */
	return is_bad(lease) && endpoint->ready_count > 0;
}

static void
begin_vain_wait(Sender *sender, Lease *lease)
{
	TimestampTz until = TimestampTzPlusMilliseconds(sender->now, VAIN_MS);

	lease->is_vain = true;
	sender->batches.vain_count++;
	sender->batches.vain_until = Min(sender->batches.vain_until, until);
}

void
answered_end_vain_wait(Sender *sender, Lease *lease)
{
	sender->batches.vain_count -= lease->is_vain ? 1 : 0;
	lease->is_vain = false;
}

void
answered_leave(Sender *sender, Lease *lease)
{
	sender->answered_count--;
	answered_end_vain_wait(sender, lease);
}

void
answered_hurry(Sender *sender)
{
	if (sender->batches.vain_count > 0)
		sender->batches.vain_until = sender->now;
}

void
answered_add(Sender *sender, Lease *lease)
{
	Endpoint   *endpoint = lease->endpoint;
	bool		is_waited_for = is_verdict_awaited(lease);

	lease->state = LEASE_ANSWERED;
	lease->is_unjudged = is_bad(lease);
	if (lease->is_unjudged)
		endpoint->unjudged++;
	dlist_push_tail(&sender->answered, &lease->node);
	sender->answered_count++;
	if (endpoint->is_probing && !is_waited_for)
		begin_vain_wait(sender, lease);
	else
		patience_add(&sender->batches.patience, is_waited_for, sender->now);
}
