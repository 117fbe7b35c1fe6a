/*-------------------------------------------------------------------------
 * keys.h
 *		Which Idempotency-Keys a receiver has seen, how often, since when.
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KEY_BYTES 80

typedef struct SeenKey
{
	char		text[KEY_BYTES];	/* "" where the table has a free place */
	int64_t		first_at_us;
	long		count;
} SeenKey;

typedef struct KeyTable
{
	SeenKey    *places;
	size_t		size;
	size_t		used;
	long		requests;
} KeyTable;

/* Counts one more request with that key; what is longer than KEY_BYTES is cut. */
extern void keys_note(KeyTable *table, const char *text, size_t length, int64_t now_us);

/* Writes "<key> <microseconds of the first> <count>" for each. */
extern void keys_print(const KeyTable *table, FILE *out);

/* Forgets everything. */
extern void keys_reset(KeyTable *table);

#endif							/* BENCH_KEYS_H */
