/*-------------------------------------------------------------------------
 * sender.c
 *		What one worker holds in memory: endpoints, leases.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "worker/answered.h"
#include "worker/credentials.h"
#include "worker/hand.h"
#include "worker/keys.h"
#include "worker/places.h"
#include "worker/reading.h"
#include "worker/sender.h"
#include "worker/sending.h"
#include "worker/suspects.h"
#include "worker/tokens.h"
#include "worker/trace.h"

#define FRESH_US 1000000		/* what keeps its turn is not read again */

static HTAB *
create_table(Sender *sender, const char *name, Size key_bytes, Size entry_bytes)
{
	HASHCTL		control = {
		.keysize = key_bytes,
		.entrysize = entry_bytes,
		.hcxt = sender->memory,
	};

	return hash_create(name, 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

#define ROW_OVERHEAD_BYTES 4096

/* Leases are big and linked into lists, so the table holds pointers. */
typedef struct LeaseEntry
{
	int64		outbox_id;
	Lease	   *lease;
} LeaseEntry;

/* A pairing heap has its greatest first. */
static int
compare_sleepers(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	TimestampTz left = pairingheap_const_container(Endpoint, sleep_node, a)->wake_at;
	TimestampTz right = pairingheap_const_container(Endpoint, sleep_node, b)->wake_at;

	return left < right ? 1 : left > right ? -1 : 0;
}

static pairingheap *
create_heap(Sender *sender)
{
	MemoryContext caller = MemoryContextSwitchTo(sender->memory);
	pairingheap *heap = pairingheap_allocate(compare_sleepers, NULL);

	MemoryContextSwitchTo(caller);
	return heap;
}

Sender *
sender_create(DatabaseSlot *slot, int number, int max_connections)
{
	MemoryContext memory = AllocSetContextCreate(TopMemoryContext, "integration sender",
												 ALLOCSET_DEFAULT_SIZES);
	Sender	   *sender = MemoryContextAllocZero(memory, sizeof(Sender));

	sender->slot = slot;
	sender->number = number;
	sender->memory = memory;
	sender->registry_memory = AllocSetContextCreate(memory, "integration registry",
													ALLOCSET_DEFAULT_SIZES);
	sender->scratch = AllocSetContextCreate(memory, "integration scratch",
											ALLOCSET_DEFAULT_SIZES);
	sender->max_connections = max_connections;
	sender->endpoints = create_table(sender, "integration endpoints",
									 sizeof(int32), sizeof(Endpoint));
	sender->leases = create_table(sender, "integration leases", sizeof(int64), sizeof(LeaseEntry));
	credentials_init(sender);
	tokens_init(sender);
	keys_create(sender);
	sender->sleepers = create_heap(sender);
	dlist_init(&sender->busy);
	dlist_init(&sender->hungry);
	sending_init(sender);
	dlist_init(&sender->in_flight);
	dlist_init(&sender->answered);
	dlist_init(&sender->stuck);
	dlist_init(&sender->suspects.waiting);
	sender->now = GetCurrentTimestamp();
	sender->started_at = sender->now;
	reading_init(sender);
	sender->agenda.must_load = true;
	sender->agenda.must_feed = true;
	sender->agenda.expire_at = sender->now;
	sender->agenda.expired_until = DT_NOBEGIN;
	sender->registry.resume_at = DT_NOEND;
	sender->batches.most = SENDER_BATCH;
	patience_begin(&sender->batches.patience);
	sender->batches.stuck_until = DT_NOEND;
	sender->batches.vain_until = DT_NOEND;
	return sender;
}

static void
init_endpoint(Sender *sender, Endpoint *endpoint, int32 id)
{
	memset(endpoint, 0, sizeof(*endpoint));
	endpoint->id = id;
	endpoint->counter.endpoint_id = id;
	for (int p = 0; p < PRIORITY_COUNT; p++)
	{
		dlist_init(&endpoint->ready[p][LEASE_FIRST]);
		dlist_init(&endpoint->ready[p][LEASE_RETRY]);
	}
	dlist_init(&endpoint->ranges);
	places_rewind_endpoint(sender, endpoint);
}

Endpoint *
sender_endpoint(Sender *sender, int32 id)
{
	bool		found;
	Endpoint   *endpoint = hash_search(sender->endpoints, &id, HASH_ENTER, &found);

	if (!found)
		init_endpoint(sender, endpoint, id);
	return endpoint;
}

uint32
sender_shard(int32 endpoint_id)
{
	return 1U << ((uint32) endpoint_id % OWNERSHIP_SHARDS);
}

bool
sender_owns(const Sender *sender, int32 endpoint_id)
{
	return (sender->shards & sender_shard(endpoint_id)) != 0;
}

void
sender_mark_busy(Sender *sender, Endpoint *endpoint)
{
	sending_reconsider(sender, endpoint);
	if (endpoint->is_busy)
		return;
	endpoint->is_busy = true;
	dlist_push_tail(&sender->busy, &endpoint->busy_node);
}

static void
end_sleep(Sender *sender, Endpoint *endpoint)
{
	if (endpoint->wake_at != 0)
		pairingheap_remove(sender->sleepers, &endpoint->sleep_node);
	endpoint->wake_at = 0;
}

void
sender_mark_hungry(Sender *sender, Endpoint *endpoint)
{
	end_sleep(sender, endpoint);
	if (endpoint->is_hungry)
		return;
	endpoint->is_hungry = true;
	dlist_push_tail(&sender->hungry, &endpoint->hungry_node);
}

void
sender_sleep_until(Sender *sender, Endpoint *endpoint, TimestampTz at)
{
	end_sleep(sender, endpoint);
	if (endpoint->is_hungry)
		dlist_delete(&endpoint->hungry_node);
	endpoint->is_hungry = false;
	if (at == DT_NOEND)
		return;
	endpoint->wake_at = at;
	pairingheap_add(sender->sleepers, &endpoint->sleep_node);
}

Lease *
sender_lease(Sender *sender, int64 outbox_id)
{
	LeaseEntry *entry = hash_search(sender->leases, &outbox_id, HASH_FIND, NULL);

	return entry == NULL ? NULL : entry->lease;
}

size_t
sender_row_bytes(int32 payload_bytes)
{
	return (size_t) payload_bytes + ROW_OVERHEAD_BYTES;
}

static void
write_message_id(const Sender *sender, int64 outbox_id, char *message_id)
{
	size_t		length = strlen(sender->registry.installation);

	memcpy(message_id, sender->registry.installation, length);
	message_id[length] = '-';
	pg_lltoa(outbox_id, message_id + length + 1);
}

/* The request is made at once, so that nothing of the row needs to be kept. */
static void
build_request(const Sender *sender, Lease *lease, const Content *content)
{
	const Endpoint *endpoint = lease->endpoint;
	char		created_at[CLOCK_RFC3339_BYTES];
	char		traceparent[TRACE_PARENT_BYTES];
	char		tracestate[TRACE_STATE_BYTES];
	char		source_name[NAMEDATALEN + 32];
	char		message_id[sizeof(sender->registry.installation) + 24];
	const char *reason;
	TraceSource trace = {.message_id = message_id};
	RequestSource source = {
		.method = lease->priority == PRIORITY_PING ? "HEAD" : endpoint->row.method,
		.url = endpoint->row.url,
		.endpoint_headers = endpoint->row.headers,
		.sync_headers = content->headers,
		.format = endpoint->format,
		.message_id = message_id,
		.quotes_key = endpoint->row.quotes_key,
		.object_type = content->object_type,
		.object_id = content->object_id,
		.operation = content->operation,
		.remote_id = content->remote_id,
		.payload = content->payload,
		.payload_bytes = content->payload_bytes,
		.traceparent = traceparent,
	};

	write_message_id(sender, lease->outbox_id, message_id);
	if (endpoint->format != REQUEST_FORMAT_JSON)
	{
		snprintf(source_name, sizeof(source_name), "/integration/%s", endpoint->row.name);
		source.source = source_name;
		source.created_at = clock_rfc3339(content->created_at, created_at);
	}
	trace.traceparent = content->traceparent;
	trace.is_old = content->created_at + TRACE_OLD_AFTER_S * USECS_PER_SEC < sender->now;
	if (trace_start(&trace, &lease->trace) && content->tracestate != NULL &&
		trace_context_pass_state(content->tracestate, tracestate))
		source.tracestate = tracestate;
	trace_context_write(&lease->trace, traceparent);
	if (!request_build(&source, &lease->request, &reason,
					   lease->problem, sizeof(lease->problem)))
		strlcpy(lease->reason, reason, sizeof(lease->reason));
}

static char *
copy_text(Sender *sender, const char *value)
{
	return value == NULL ? NULL : MemoryContextStrdup(sender->memory, value);
}

static void
count_lease(Sender *sender, Endpoint *endpoint, const Lease *lease)
{
	sender->held_bytes += lease->bytes;
	endpoint->held_bytes += lease->bytes;
	if (endpoint->lease_count++ == 0)
		sender->leasing_count++;
}

static void
discount_lease(Sender *sender, Endpoint *endpoint, const Lease *lease)
{
	sender->held_bytes -= lease->bytes;
	endpoint->held_bytes -= lease->bytes;
	if (--endpoint->lease_count == 0)
		sender->leasing_count--;
}

void
sender_add_lease(Sender *sender, Endpoint *endpoint, const TakenRow *row, const Content *content)
{
	LeaseEntry *entry;
	Lease	   *lease;
	bool		has_turn;

	lease = sender_lease(sender, row->outbox_id);
	if (lease != NULL)
	{
		lease->must_reread = false;
		return;
	}
	if (!keys_are_free(sender, row))
		return;
	lease = MemoryContextAllocZero(sender->memory, sizeof(Lease));
	lease->outbox_id = row->outbox_id;
	lease->endpoint = endpoint;
	lease->change_xid = row->change_xid;
	lease->priority = row->priority;
	lease->kind = row->attempts == 0 ? LEASE_FIRST : LEASE_RETRY;
	lease->due_at = row->due_at;
	lease->expires_at = row->expires_at;
	lease->retry_after_s = -1;
	lease->object_type = copy_text(sender, content->object_type);
	lease->object_id = copy_text(sender, content->object_id);
	memcpy(lease->keys, row->keys, sizeof(lease->keys));
	lease->crashes = suspects_crashes(sender, row->outbox_id);
	hand_set_making(row->outbox_id);
	build_request(sender, lease, content);
	hand_set_making(0);
	has_turn = keys_hold(sender, lease);
	/* nothing throws from here on: the table has no half-made leases */
	entry = hash_search(sender->leases, &row->outbox_id, HASH_ENTER, NULL);
	entry->lease = lease;
	lease->bytes = sender_row_bytes(row->payload_bytes);
	sender->upkeep.highest_id = Max(sender->upkeep.highest_id, row->outbox_id);
	count_lease(sender, endpoint, lease);
	/* else an object that changes all the time would never be sent */
	if (has_turn)
	{
		lease->fresh_until = sender->now + FRESH_US;
		dlist_push_head(&endpoint->ready[row->priority][lease->kind], &lease->node);
	}
	else
		dlist_push_tail(&endpoint->ready[row->priority][lease->kind], &lease->node);
	endpoint->ready_count++;
	sender->ready_count++;
	sender_mark_busy(sender, endpoint);
}

void
sender_free_lease(Sender *sender, Lease *lease)
{
	dlist_delete(&lease->node);
	if (lease->state == LEASE_READY)
	{
		lease->endpoint->ready_count--;
		sender->ready_count--;
	}
	else if (lease->state == LEASE_ANSWERED)
		answered_leave(sender, lease);
	else if (lease->state == LEASE_STUCK)
		sender->batches.stuck_count--;
	if (lease->is_unjudged)
	{
		lease->endpoint->unjudged--;
		sending_offer(sender, lease->endpoint);
	}
	suspects_end(sender, lease);
	keys_release(sender, lease);
	discount_lease(sender, lease->endpoint, lease);
	/* there is room for another one */
	sender_mark_hungry(sender, lease->endpoint);
	credentials_remove(sender, lease);
	request_free(&lease->request);
	if (lease->answer != NULL)
		answer_free(lease->answer);
	hash_search(sender->leases, &lease->outbox_id, HASH_REMOVE, NULL);
	if (lease->object_type != NULL)
		pfree(lease->object_type);
	if (lease->object_id != NULL)
		pfree(lease->object_id);
	pfree(lease);
}

bool
sender_rereads(Sender *sender, Lease *lease)
{
	int64		outbox_id = lease->outbox_id;
	int64		object_key = lease->keys[KEY_OBJECT];

	if (!lease->must_reread || lease->fresh_until > sender->now)
		return false;
	sender_free_lease(sender, lease);
	places_read_id(sender, outbox_id);
	keys_keep_turn(sender, object_key);
	return true;
}

Lease *
sender_next_lease(HASH_SEQ_STATUS *scan)
{
	LeaseEntry *entry = hash_seq_search(scan);

	return entry == NULL ? NULL : entry->lease;
}

void
sender_drop_ready(Sender *sender, Endpoint *endpoint)
{
	for (int i = 0; i < PRIORITY_COUNT * LEASE_KINDS; i++)
	{
		dlist_head *ready = &endpoint->ready[i / LEASE_KINDS][i % LEASE_KINDS];

		while (!dlist_is_empty(ready))
		{
			Lease	   *lease = dlist_container(Lease, node, dlist_head_node(ready));

			places_read_id(sender, lease->outbox_id);
			sender_free_lease(sender, lease);
		}
	}
	suspects_drop(sender, endpoint);
}

void
sender_drop_all_ready(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	Endpoint   *endpoint;

	hash_seq_init(&scan, sender->endpoints);
	while ((endpoint = hash_seq_search(&scan)) != NULL)
		sender_drop_ready(sender, endpoint);
	keys_forget_turns(sender);
}

void
sender_close_shards(Sender *sender, uint32 shards)
{
	HASH_SEQ_STATUS scan;
	Endpoint   *endpoint;
	LeaseEntry *entry;

	hash_seq_init(&scan, sender->endpoints);
	while ((endpoint = hash_seq_search(&scan)) != NULL)
	{
		if (shards & sender_shard(endpoint->id))
			endpoint->is_listed = false;
	}
	hash_seq_init(&scan, sender->leases);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->lease->state == LEASE_READY &&
			(shards & sender_shard(entry->lease->endpoint->id)))
			sender_free_lease(sender, entry->lease);
	}
	/* nobody may close what another worker sends; the others are found again */
	for (int i = 0; i < sender->crowd.count; i++)
		places_read_id_later(sender, sender->crowd.ids[i]);
	sender->crowd.count = 0;
	/* the next worker waits for what is not recorded yet */
	answered_hurry(sender);
}

void
sender_forget_shards(Sender *sender, uint32 shards)
{
	HASH_SEQ_STATUS scan;
	Endpoint   *endpoint;

	hash_seq_init(&scan, sender->endpoints);
	while ((endpoint = hash_seq_search(&scan)) != NULL)
	{
		if ((shards & sender_shard(endpoint->id)) == 0)
			continue;
		if (endpoint->is_busy)
			dlist_delete(&endpoint->busy_node);
		places_free_ranges(endpoint);
		sender_sleep_until(sender, endpoint, DT_NOEND);
		sending_forget(sender, endpoint);
		hash_search(sender->endpoints, &endpoint->id, HASH_REMOVE, NULL);
	}
}

void
sender_turn_back(Sender *sender)
{
	places_rewind(sender);
	sender->upkeep.is_turning_back = true;
	sender->upkeep.turned_back_to = 0;
	/* has rates counted from now on */
	sender->agenda.must_load = true;
	sender->agenda.must_feed = true;
	sender->agenda.feed_at = sender->now;
	sender->agenda.turns_back++;
	sender->agenda.look_at = sender->now;
	sender->agenda.look_back_at = sender->now;
	sender->agenda.expire_at = sender->now;
	sender->upkeep.maintain_at = sender->now;
	sender->upkeep.ranges_at = sender->now;
	sender->upkeep.retain_at = sender->now;
	sender->upkeep.forget_at = sender->now;
	sender->line.checked_at = Min(sender->line.checked_at, sender->now);
	sender->locks.again_at = Min(sender->locks.again_at, sender->now);
	/* else marks of ours would look older than our locks: left behind */
	for (int shard = 0; shard < OWNERSHIP_SHARDS; shard++)
		sender->locks.held_since[shard] = Min(sender->locks.held_since[shard], sender->now);
	sender->sql_again_at = Min(sender->sql_again_at, sender->now);
	sender->published_at = Min(sender->published_at, sender->now);
	if (sender->answered_count > 0)
		patience_end(&sender->batches.patience, sender->now);
	if (sender->batches.stuck_until != DT_NOEND)
		sender->batches.stuck_until = sender->now;
	answered_hurry(sender);
}

void
sender_note_expiry(Sender *sender, TimestampTz expires_at)
{
	sender->agenda.expire_at = Min(sender->agenda.expire_at, expires_at);
	if (expires_at <= sender->agenda.expired_until)
		sender->agenda.expired_until = expires_at - 1;
}

TimestampTz
sender_closed_until(const Sender *sender, const Endpoint *endpoint)
{
	TimestampTz until = 0;

	if (!endpoint->is_listed)
		return DT_NOEND;
	if (endpoint->row.paused_until > sender->now)
		until = endpoint->row.paused_until;
	if (endpoint->not_before > sender->now && endpoint->not_before > until)
		until = endpoint->not_before;
	return until;
}
