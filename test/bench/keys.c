/*-------------------------------------------------------------------------
 * keys.c
 *		Which Idempotency-Keys a receiver has seen, how often, since when.
 *
 * An open hash table that doubles before it is half full.
 *-------------------------------------------------------------------------
 */
#include "keys.h"

#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define FIRST_SIZE 4096

/* FNV-1a */
static uint64_t
hash_text(const char *text)
{
	uint64_t	hash = 14695981039346656037u;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char) *text) * 1099511628211u;
	return hash;
}

/* The key's place, or the free one where it belongs. */
static SeenKey *
find_place(const KeyTable *table, const char *text)
{
	size_t		index = hash_text(text) & (table->size - 1);

	while (table->places[index].text[0] != '\0' && strcmp(table->places[index].text, text) != 0)
		index = (index + 1) & (table->size - 1);
	return &table->places[index];
}

static void
grow(KeyTable *table)
{
	KeyTable	bigger = *table;

	bigger.size = table->size == 0 ? FIRST_SIZE : table->size * 2;
	bigger.places = calloc(bigger.size, sizeof(SeenKey));
	if (bigger.places == NULL)
		measure_fail("no memory", "keys");
	for (size_t i = 0; i < table->size; i++)
	{
		if (table->places[i].text[0] != '\0')
			*find_place(&bigger, table->places[i].text) = table->places[i];
	}
	free(table->places);
	*table = bigger;
}

void
keys_note(KeyTable *table, const char *text, size_t length, int64_t now_us)
{
	char		key[KEY_BYTES];
	SeenKey    *place;

	table->requests++;
	if (length == 0)
		return;
	if (table->used * 2 >= table->size)
		grow(table);
	if (length >= sizeof(key))
		length = sizeof(key) - 1;
	memcpy(key, text, length);
	key[length] = '\0';

	place = find_place(table, key);
	if (place->count++ > 0)
		return;
	memcpy(place->text, key, sizeof(key));
	place->first_at_us = now_us;
	table->used++;
}

void
keys_print(const KeyTable *table, FILE *out)
{
	for (size_t i = 0; i < table->size; i++)
	{
		const SeenKey *key = &table->places[i];

		if (key->text[0] != '\0')
			fprintf(out, "%s %lld %ld\n", key->text, (long long) key->first_at_us, key->count);
	}
}

void
keys_reset(KeyTable *table)
{
	free(table->places);
	*table = (KeyTable)
	{
		0
	};
}
