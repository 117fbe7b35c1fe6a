/*-------------------------------------------------------------------------
 * pool.c
 *		What is remembered between transfers of one isolation value.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "transport/pool.h"

#define ENTRY_BITS 12			/* of a thousand consecutive numbers none meet */
#define ENTRY_COUNT (1 << ENTRY_BITS)

typedef struct PoolEntry
{
	uint64_t	isolation;
	bool		speaks_http1;
	Transfer   *idle;
} PoolEntry;

struct Pool
{
	int			max_idle;
	int			idle_count;
	unsigned	next_victim;
	PoolEntry	entries[ENTRY_COUNT];
};

static unsigned entry_number(uint64_t isolation);
static PoolEntry *claim_entry(Pool *pool, uint64_t isolation);
static void empty_entry(Pool *pool, PoolEntry *entry);

Pool *
pool_create(int max_idle)
{
	Pool	   *pool = calloc(1, sizeof(Pool));

	if (pool)
		pool->max_idle = max_idle;
	return pool;
}

void
pool_destroy(Pool *pool)
{
	for (int i = 0; i < ENTRY_COUNT; i++)
		empty_entry(pool, &pool->entries[i]);
	free(pool);
}

Transfer *
pool_take(Pool *pool, uint64_t isolation)
{
	PoolEntry  *entry = &pool->entries[entry_number(isolation)];
	Transfer   *transfer = entry->isolation == isolation ? entry->idle : NULL;

	if (!transfer)
		return NULL;
	entry->idle = transfer->next;
	transfer->next = NULL;
	pool->idle_count--;
	return transfer;
}

void
pool_give(Pool *pool, Transfer *transfer)
{
	PoolEntry  *entry = claim_entry(pool, transfer->isolation);

	/*
	 * make room by dropping the next entry in turn, so that old ones go some
	 * day
	 */
	if (pool->idle_count >= pool->max_idle)
		empty_entry(pool, &pool->entries[pool->next_victim++ % ENTRY_COUNT]);
	if (pool->idle_count >= pool->max_idle)
	{
		transfer_free(transfer);
		return;
	}
	transfer->next = entry->idle;
	transfer->previous = NULL;
	entry->idle = transfer;
	pool->idle_count++;
}

void
pool_note_version(Pool *pool, uint64_t isolation, bool is_http1)
{
	claim_entry(pool, isolation)->speaks_http1 = is_http1;
}

bool
pool_speaks_http1(const Pool *pool, uint64_t isolation)
{
	const PoolEntry *entry = &pool->entries[entry_number(isolation)];

	return entry->isolation == isolation && entry->speaks_http1;
}

/* Fibonacci hashing spreads the small consecutive numbers that ids are. */
static unsigned
entry_number(uint64_t isolation)
{
	return (unsigned) ((isolation * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - ENTRY_BITS));
}

static PoolEntry *
claim_entry(Pool *pool, uint64_t isolation)
{
	PoolEntry  *entry = &pool->entries[entry_number(isolation)];

	if (entry->isolation == isolation)
		return entry;
	empty_entry(pool, entry);
	entry->isolation = isolation;
	entry->speaks_http1 = false;
	return entry;
}

static void
empty_entry(Pool *pool, PoolEntry *entry)
{
	while (entry->idle)
	{
		Transfer   *transfer = entry->idle;

		entry->idle = transfer->next;
		transfer_free(transfer);
		pool->idle_count--;
	}
}
