/*-------------------------------------------------------------------------
 * keys.c
 *		Which ordering keys, which objects have a lease.
 *
 * Syncs of one ordering key, and those of one object of an endpoint that
 * coalesces, are at the receiver one at a time.  The queue alone can't tell:
 * what a person closes is gone from it while its request is still under way.
 * So a key belongs to a lease from reading to settling, and what is read
 * meanwhile waits here.  Two keys with the same hash take turns, no more.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/keys.h"
#include "worker/places.h"
#include "worker/sender.h"

typedef struct KeyEntry
{
	int64		key;			/* hash key */
	Lease	   *lease;			/* NULL: a turn is kept */
	int64		waiting;		/* outbox id to be read next; 0: none */
} KeyEntry;

void
keys_create(Sender *sender)
{
	HASHCTL		control = {
		.keysize = sizeof(int64),
		.entrysize = sizeof(KeyEntry),
		.hcxt = sender->memory,
	};

	sender->keys = hash_create("integration keys", 256, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* NULL: no lease has it. */
static KeyEntry *
find_held(Sender *sender, int64 key)
{
	KeyEntry   *entry = key == 0 ? NULL : hash_search(sender->keys, &key, HASH_FIND, NULL);

	return entry == NULL || entry->lease == NULL ? NULL : entry;
}

bool
keys_wait(Sender *sender, int64 key, int64 outbox_id)
{
	KeyEntry   *entry = find_held(sender, key);

	if (entry == NULL)
		return false;
	entry->waiting = outbox_id;
	return true;
}

/*
 * The queue names one head of a key at a time, so the one read last is the one
 * to go next.  The one before it was closed, or comes again behind it.
 */
static void
wait_for_turn(Sender *sender, KeyEntry *entry, int64 outbox_id)
{
	if (entry->waiting != 0 && entry->waiting != outbox_id)
		places_read_id_later(sender, entry->waiting);
	entry->waiting = outbox_id;
}

bool
keys_are_free(Sender *sender, const TakenRow *row)
{
	bool		is_free = true;

	for (int k = 0; k < KEY_COUNT; k++)
	{
		KeyEntry   *entry = find_held(sender, row->keys[k]);

		if (entry == NULL)
			continue;
		wait_for_turn(sender, entry, row->outbox_id);
		is_free = false;
	}
	return is_free;
}

bool
keys_hold(Sender *sender, Lease *lease)
{
	KeyEntry   *entries[KEY_COUNT] = {NULL};
	bool		has_turn = false;

	for (int k = 0; k < KEY_COUNT; k++)
	{
		bool		is_kept = false;

		if (lease->keys[k] == 0)
			continue;
		entries[k] = hash_search(sender->keys, &lease->keys[k], HASH_ENTER, &is_kept);
		entries[k]->lease = NULL;
		entries[k]->waiting = 0;
		has_turn = has_turn || is_kept;
	}
	/* nothing throws from here on */
	for (int k = 0; k < KEY_COUNT; k++)
	{
		if (entries[k] != NULL)
			entries[k]->lease = lease;
	}
	return has_turn;
}

void
keys_keep_turn(Sender *sender, int64 key)
{
	bool		found;
	KeyEntry   *entry = hash_search(sender->keys, &key, HASH_ENTER, &found);

	if (found)
		return;
	entry->lease = NULL;
	entry->waiting = 0;
}

void
keys_forget_turns(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	KeyEntry   *entry;

	hash_seq_init(&scan, sender->keys);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->lease == NULL)
			hash_search(sender->keys, &entry->key, HASH_REMOVE, NULL);
	}
}

void
keys_release(Sender *sender, const Lease *lease)
{
	for (int k = 0; k < KEY_COUNT; k++)
	{
		KeyEntry   *entry = find_held(sender, lease->keys[k]);
		int64		waiting;

		if (entry == NULL || entry->lease != lease)
			continue;
		waiting = entry->waiting;
		hash_search(sender->keys, &lease->keys[k], HASH_REMOVE, NULL);
		if (waiting == 0)
			continue;
		places_read_id(sender, waiting);
	}
}

Lease *
keys_lease(Sender *sender, int64 key)
{
	KeyEntry   *entry = find_held(sender, key);

	return entry == NULL ? NULL : entry->lease;
}

void
keys_outdate(Sender *sender, int64 object_key, int64 newer_id)
{
	KeyEntry   *entry = find_held(sender, object_key);

	if (entry == NULL || entry->lease->outbox_id == newer_id)
		return;
	entry->lease->must_reread = entry->lease->state == LEASE_READY;
	if (entry->waiting == 0)
		entry->waiting = newer_id;
}

void
keys_outdate_all(Sender *sender)
{
	HASH_SEQ_STATUS scan;
	KeyEntry   *entry;

	hash_seq_init(&scan, sender->keys);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->lease != NULL && entry->lease->keys[KEY_OBJECT] == entry->key)
			entry->lease->must_reread = entry->lease->state == LEASE_READY;
	}
}
