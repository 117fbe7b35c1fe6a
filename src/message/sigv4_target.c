/*-------------------------------------------------------------------------
 * sigv4_target.c
 *		The target of a request as AWS Signature Version 4 signs it.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "message/sigv4_target.h"

/* One "name=value", encoded: name and value stand in a buffer of all of them. */
typedef struct Pair
{
	const char *name;			/* "name=value" */
	size_t		name_bytes;
	size_t		length;			/* of both, with the equals sign */
} Pair;

static void append_s3_path(WireUrl *url, Text *canonical);
static bool has_dot_segment(const Text *path);
static void append_collapsed(const Text *path, Text *canonical);
static void append_pair(Text *pairs, const char *pair, size_t length);
static void append_sorted(const Text *pairs, Text *canonical);
static size_t split(const Text *pairs, Pair *found);
static int	compare_pairs(const void *a, const void *b);
static int	compare_bytes(const char *a, size_t a_bytes, const char *b, size_t b_bytes);

void
sigv4_target_path(WireUrl *url, bool is_s3, Text *canonical)
{
	if (url->path.failed)
		canonical->failed = true;
	else if (is_s3)
		append_s3_path(url, canonical);
	else
		append_collapsed(&url->path, canonical);
}

void
sigv4_target_query(WireUrl *url, Text *canonical)
{
	Text		pairs = {0};
	const char *at = url->query.failed ? "" : url->query.data;

	text_append(&pairs, "", 0);
	while (*at)
	{
		size_t		length = strcspn(at, "&");

		if (length > 0 && pairs.length > 0)
			text_append_char(&pairs, '&');
		if (length > 0)
			append_pair(&pairs, at, length);
		at += length;
		at += *at == '&';
	}
	if (pairs.failed)
		canonical->failed = true;
	else
		append_sorted(&pairs, canonical);
	text_free(&url->query);
	url->query = pairs;
}

/* A key like "a/../b" must keep its encoded slashes: libcurl would resolve the dots. */
static void
append_s3_path(WireUrl *url, Text *canonical)
{
	Text		path = {0};
	const char *at = url->path.data;

	while (*at)
	{
		char		byte = wire_url_next_byte(&at);

		wire_url_append_encoded(&path, &byte, 1, true);
	}
	if (path.failed)
		canonical->failed = true;
	else
		text_append(canonical, path.data, path.length);
	if (path.failed || has_dot_segment(&path))
	{
		text_free(&path);
		return;
	}
	text_free(&url->path);
	url->path = path;
}

static bool
has_dot_segment(const Text *path)
{
	for (const char *at = path->data; at; at = strchr(at + 1, '/'))
	{
		size_t		length = strcspn(at + 1, "/");

		if ((length == 1 || length == 2) && strncmp(at + 1, "..", length) == 0)
			return true;
	}
	return false;
}

/* Slashes in a row count as one. */
static void
append_collapsed(const Text *path, Text *canonical)
{
	for (size_t i = 0; i < path->length; i++)
		if (i == 0 || path->data[i] != '/' || path->data[i - 1] != '/')
			wire_url_append_encoded(canonical, path->data + i, 1, true);
}

/* A plus is read as a blank, as in forms: written so that nobody reads it otherwise. */
static void
append_pair(Text *pairs, const char *pair, size_t length)
{
	const char *end = pair + length;
	bool		has_value = false;

	while (pair < end)
	{
		char		letter = *pair;
		char		byte = wire_url_next_byte(&pair);

		if (letter == '=' && !has_value)
		{
			has_value = true;
			text_append_char(pairs, '=');
			continue;
		}
		if (letter == '+')
			byte = ' ';
		wire_url_append_encoded(pairs, &byte, 1, false);
	}
	if (!has_value)
		text_append_char(pairs, '=');
}

static void
append_sorted(const Text *pairs, Text *canonical)
{
	size_t		count = split(pairs, NULL);
	Pair	   *found = malloc((count + 1) * sizeof(Pair));

	if (!found)
	{
		canonical->failed = true;
		return;
	}
	split(pairs, found);
	qsort(found, count, sizeof(Pair), compare_pairs);
	for (size_t i = 0; i < count; i++)
	{
		if (i > 0)
			text_append_char(canonical, '&');
		text_append(canonical, found[i].name, found[i].length);
	}
	free(found);
}

/* Returns how many there are; writes them where found is given. */
static size_t
split(const Text *pairs, Pair *found)
{
	size_t		count = 0;

	for (const char *at = pairs->data; *at; at += *at == '&')
	{
		Pair		pair = {at, strcspn(at, "="), strcspn(at, "&")};

		if (found)
			found[count] = pair;
		count++;
		at += pair.length;
	}
	return count;
}

static int
compare_pairs(const void *a, const void *b)
{
	const Pair *one = a;
	const Pair *other = b;
	int			order = compare_bytes(one->name, one->name_bytes,
									  other->name, other->name_bytes);

	return order ? order : compare_bytes(one->name, one->length, other->name, other->length);
}

static int
compare_bytes(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	int			order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);

	if (order)
		return order;
	return (a_bytes > b_bytes) - (a_bytes < b_bytes);
}
