/*-------------------------------------------------------------------------
 * registry.c
 *		Endpoints as the tables say.
 *
 * A change reaches what was read before it: requests that were made under
 * other settings are made again, and nothing else is.  All endpoints are read
 * again, some of them a turn, so that ten thousand don't stall the sender.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/credentials.h"
#include "store/earlier.h"
#include "worker/answered.h"
#include "worker/credentials.h"
#include "worker/places.h"
#include "worker/registry.h"
#include "worker/sender.h"
#include "worker/sending.h"

#define BITE 200				/* endpoints that a turn reads */

static bool
is_same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Whether requests made for the one are good for the other. */
static bool
makes_same_requests(const EndpointRow *a, const EndpointRow *b)
{
	return is_same(a->name, b->name) && is_same(a->url, b->url) &&
		is_same(a->method, b->method) && is_same(a->headers, b->headers) &&
		is_same(a->format, b->format) && a->quotes_key == b->quotes_key;
}

static void
apply_settings(Endpoint *endpoint, const EndpointRow *row)
{
	endpoint->row = *row;
	endpoint->is_listed = true;
	endpoint->format = request_format_of(row->format);
	endpoint->needs_remote_id = strstr(row->url, "{remote_id}") != NULL;
	endpoint->options = (TransferOptions)
	{
		.connect_timeout_ms = row->connect_timeout_ms,
			.timeout_ms = row->timeout_ms,
			.allow_http = row->allow_http,
			.idempotent = row->idempotent,
			.isolation = (uint64_t) row->id,
	};
	endpoint->not_before = row->not_before;
	endpoint->is_probing = strcmp(row->state, "closed") != 0;
	if (row->tripped_by != 0)
		endpoint->last_retried = row->tripped_by;
	/* somebody resumed it */
	if (row->since > endpoint->paced_at)
		pace_forget(&endpoint->pace);
}

static void
begin_flow(Sender *sender, Endpoint *endpoint)
{
	const EndpointRow *row = &endpoint->row;

	endpoint->window = window_make(row->max_concurrency);
	endpoint->bucket = bucket_make(row->rate_limit, row->rate_burst, sender->now);
	endpoint->is_taken_over = row->rate_limit > 0 && row->since != 0;
	endpoint->counter.failures = row->failures;
	endpoint->counter.minute_at = sender->now;
	if (row->since != 0)
		endpoint->trust = row->failures == 0 ? TRUST_ANSWERS : TRUST_SILENT;
}

/* What has waited leaves at a ramp; settling.c keeps the window of a paused one as it is. */
static void
restart_window(const Sender *sender, Endpoint *endpoint, bool was_probing)
{
	if (endpoint->row.paused_until > sender->now)
		endpoint->window = window_make(endpoint->row.max_concurrency);
	else if (was_probing && !endpoint->is_probing)
		window_restart(&endpoint->window);
}

bool
registry_is_made_due(const Endpoint *endpoint, TimestampTz due_at)
{
	return due_at != endpoint->not_before && due_at <= GetCurrentTimestamp();
}

/*
 * Whether a change can be behind this that none of its columns shows: a new
 * secret has it probed, settings bring a key, or allow an address.
 */
static bool
is_mended(const Sender *sender, const Endpoint *endpoint, const EndpointRow *row)
{
	return endpoint->is_probing &&
		(sender->loading.is_for_settings || registry_is_made_due(endpoint, row->not_before));
}

/* What has failed before says nothing any more, and nothing waits until it is recorded. */
static void
note_change(Sender *sender, Endpoint *endpoint)
{
	endpoint->changed_at = sender->now;
	answered_hurry(sender);
}

static void
apply_endpoint(Sender *sender, const EndpointRow *row)
{
	Endpoint   *endpoint;
	bool		was_listed;
	bool		was_probing;
	bool		makes_others;

	if (!sender_owns(sender, row->id))
		return;
	endpoint = sender_endpoint(sender, row->id);
	was_listed = endpoint->is_listed;
	was_probing = endpoint->is_probing;
	endpoint->listed_in = sender->loading.count;
	makes_others = was_listed && !makes_same_requests(&endpoint->row, row);
	if (makes_others || (was_listed && is_mended(sender, endpoint, row)))
		note_change(sender, endpoint);
	if (makes_others)
		sender_drop_ready(sender, endpoint);
	apply_settings(endpoint, row);
	/* what was dropped when it was to be given up is read again */
	if (!was_listed)
		places_rewind_endpoint(sender, endpoint);
	/* it may have been closed when it was last looked at */
	sender_mark_hungry(sender, endpoint);
	sending_reconsider(sender, endpoint);
	if (endpoint->window.largest == 0)
		begin_flow(sender, endpoint);
	window_resize(&endpoint->window, row->max_concurrency);
	restart_window(sender, endpoint, was_probing);
	bucket_resize(&endpoint->bucket, row->rate_limit, row->rate_burst, sender->now);
}

static void
apply_state(Sender *sender, const RegistryState *state)
{
	bool		is_renamed = strcmp(state->installation, sender->registry.installation) != 0;
	bool		holds_others = state->holds != sender->registry.holds;

	sender->registry = *state;
	if (is_renamed || holds_others)
		sender_drop_all_ready(sender);
	if (holds_others)
		places_rewind_held(sender, HOLD_PAUSE);
}

/*
 * It became a copy under way, by a restore or in another environment: nothing
 * leaves any more, and the next worker waits.
 */
static void
leave_copy(Sender *sender)
{
	uint32		shards = sender->shards;

	sender->shards = 0;
	sender_close_shards(sender, shards);
	ShutdownRequestPending = true;
	SetLatch(MyLatch);
}

static void
begin_load(Sender *sender)
{
	RegistryState state;

	credentials_probe(sender->loading.is_reloaded);
	sender->loading.is_for_settings = sender->loading.is_reloaded;
	sender->loading.is_reloaded = false;
	/* the state first: what changes in between makes it another one */
	state = statements_registry_state();
	/* an error later on leaves it: the load goes on from where it was */
	sender->loading.memory = AllocSetContextCreate(sender->memory, "integration registry",
												   ALLOCSET_DEFAULT_SIZES);
	sender->loading.until = 0;
	sender->loading.count++;
	sender->agenda.must_load = false;
	sender->agenda.must_look = false;
	apply_state(sender, &state);
	if (!state.is_adopted)
		leave_copy(sender);
}

/* What an endpoint that has gone points at goes with the registry as read before. */
static void
forget_unlisted(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	Endpoint   *endpoint;

	hash_seq_init(&scan, sender->endpoints);
	while ((endpoint = hash_seq_search(&scan)) != NULL)
	{
		endpoint->is_listed = endpoint->is_listed && endpoint->listed_in == sender->loading.count;
		if (!endpoint->is_listed)
			endpoint->row = (EndpointRow)
		{
			0
		};
	}
}

/* What the worker before has sent to it counts towards the rate that was agreed. */
static void
resume_bucket(Sender *sender, const Call *calls, int count)
{
	Endpoint   *endpoint = sender_endpoint(sender, calls[0].endpoint_id);
	int64	   *times = palloc(sizeof(int64) * count);

	for (int i = 0; i < count; i++)
		times[i] = calls[i].started_at;
	endpoint->bucket = bucket_resume(endpoint->row.rate_limit, endpoint->row.rate_burst,
									 times, count, sender->now);
	pfree(times);
}

static void
resume_buckets(Sender *sender, const EndpointRow *rows, int row_count)
{
	int32	   *ids = palloc(sizeof(int32) * (row_count + 1));
	TimestampTz *since = palloc(sizeof(TimestampTz) * (row_count + 1));
	int			count = 0;
	int			call_count;
	int			end;
	Call	   *calls;

	for (int i = 0; i < row_count; i++)
	{
		Endpoint   *endpoint;

		if (!sender_owns(sender, rows[i].id))
			continue;
		endpoint = sender_endpoint(sender, rows[i].id);
		if (!endpoint->is_taken_over || endpoint->bucket.rate <= 0)
			continue;
		ids[count] = rows[i].id;
		since[count++] = sender->now -
			(int64) (endpoint->bucket.burst / endpoint->bucket.rate * USECS_PER_SEC);
	}
	if (count == 0)
		return;
	call_count = count;
	calls = earlier_calls(CurrentMemoryContext, ids, since, &call_count);
	for (int first = 0; first < call_count; first = end)
	{
		end = first + 1;
		while (end < call_count && calls[end].endpoint_id == calls[first].endpoint_id)
			end++;
		resume_bucket(sender, &calls[first], end - first);
	}
	/* not before: an error has them read again */
	for (int i = 0; i < count; i++)
		sender_endpoint(sender, ids[i])->is_taken_over = false;
}

static void
finish_load(Sender *sender)
{
	forget_unlisted(sender);
	credentials_end_load(sender);
	MemoryContextDelete(sender->registry_memory);
	sender->registry_memory = sender->loading.memory;
	sender->loading.memory = NULL;
}

bool
registry_must_load(const Sender *sender)
{
	return sender->agenda.must_load || sender->loading.memory != NULL;
}

void
registry_load(Sender *sender)
{
	EndpointRow *rows;
	int			count = BITE;

	if (sender->loading.memory == NULL)
		begin_load(sender);
	rows = statements_endpoints(sender->loading.memory, sender->loading.until, &count);
	credentials_load(sender, rows, count);
	for (int i = 0; i < count; i++)
		apply_endpoint(sender, &rows[i]);
	resume_buckets(sender, rows, count);
	if (count > 0)
		sender->loading.until = rows[count - 1].id;
	if (count < BITE)
		finish_load(sender);
}

void
registry_look(Sender *sender)
{
	RegistryState state = statements_registry_state();

	sender->agenda.must_look = false;
	if (state.version != sender->registry.version || !state.is_adopted)
		registry_load(sender);
}
