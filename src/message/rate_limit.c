/*-------------------------------------------------------------------------
 * rate_limit.c
 *		What the other side says is left of its rate limit.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "message/rate_limit.h"

#define DIGITS "0123456789"
#define BLANKS " \t"
#define KEY_BYTES "abcdefghijklmnopqrstuvwxyz0123456789_-.*"
#define INTEGER_DIGITS 15		/* RFC 8941 §3.3.1 */
#define EPOCH_S 1e9
#define EPOCH_MS 1e12

/* One named item of a list. */
typedef struct Item
{
	const char *name;
	size_t		name_bytes;
	int64_t		quota;			/* -1: not said */
	int64_t		remaining;
	int64_t		reset_s;
} Item;

static const RateLimit SAYS_NOTHING = {.quota = -1,.remaining = -1,.reset_s = -1};

/* Where each name goes. */
static const struct
{
	const char *name;
	size_t		offset;
	size_t		size;
}			places[] =

{
	{"RateLimit", offsetof(RateLimitFields, list), RATE_LIMIT_LIST_BYTES},
	{"RateLimit-Policy", offsetof(RateLimitFields, policy), RATE_LIMIT_LIST_BYTES},
	{"RateLimit-Limit", offsetof(RateLimitFields, quota), RATE_LIMIT_NUMBER_BYTES},
	{"RateLimit-Remaining", offsetof(RateLimitFields, remaining), RATE_LIMIT_NUMBER_BYTES},
	{"RateLimit-Reset", offsetof(RateLimitFields, reset), RATE_LIMIT_NUMBER_BYTES},
	{"RateLimit-Reset-After", offsetof(RateLimitFields, reset_after), RATE_LIMIT_NUMBER_BYTES},
};

static void keep(char *place, size_t size, const char *value);
static RateLimit read_list(const RateLimitFields *fields);
static bool next_item(const char **at, Item *item);
static const char *read_parameter(const char *at, Item *item);
static const char *read_string(const char *at);
static const char *skip_value(const char *at);
static bool read_integer(const char **at, int64_t *value);
static int64_t quota_of(const char *policy, const Item *item);
static bool is_tighter(const Item *item, const RateLimit *limit);
static RateLimit read_dictionary(const char *at);
static RateLimit read_numbers(const RateLimitFields *fields, int64_t now_s);
static int64_t whole_number(const char *text);
static int	reset_seconds(const RateLimitFields *fields, int64_t now_s);
static int	capped(double seconds);

void
rate_limit_note(RateLimitFields *fields, const char *name, const char *value)
{
	if (strncasecmp(name, "X-", 2) == 0)
	{
		name += 2;
		if (strchr(name, '-') == NULL)
			return;
	}
	if (strncasecmp(name, "RateLimit", 9) != 0)
		return;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
	{
		if (strcasecmp(name, places[i].name) != 0)
			continue;
		fields->has_any = true;
		keep((char *) fields + places[i].offset, places[i].size, value);
		return;
	}
}

RateLimit
rate_limit_read(const RateLimitFields *fields, int64_t now_s)
{
	RateLimit	limit = SAYS_NOTHING;
	RateLimit	numbers;

	if (!fields->has_any)
		return limit;
	limit = fields->list[0] == '"' ? read_list(fields) : read_dictionary(fields->list);
	numbers = read_numbers(fields, now_s);
	if (limit.remaining < 0 || (limit.reset_s < 0 && numbers.reset_s >= 0))
	{
		numbers.is_exhausted = numbers.is_exhausted || limit.is_exhausted;
		return numbers;
	}
	limit.is_exhausted = limit.is_exhausted || numbers.is_exhausted;
	return limit;
}

/* A repeated field is a longer list (RFC 9110 §5.3); what does not fit says nothing. */
static void
keep(char *place, size_t size, const char *value)
{
	size_t		length = strlen(place);
	size_t		added;

	value += strspn(value, BLANKS);
	added = strlen(value);
	if (length + added + 2 > size || (length > 0 && size == RATE_LIMIT_NUMBER_BYTES))
		return;
	if (length > 0)
		place[length++] = ',';
	memcpy(place + length, value, added + 1);
}

/* The draft's newest form: "name";r=50;t=30, "other";r=5 */
static RateLimit
read_list(const RateLimitFields *fields)
{
	const char *at = fields->list;
	RateLimit	limit = SAYS_NOTHING;
	bool		is_exhausted = false;
	Item		item;

	while (*at)
	{
		/* a malformed list is ignored as a whole (RFC 8941 §4.2) */
		if (!next_item(&at, &item))
			return SAYS_NOTHING;
		is_exhausted = is_exhausted || item.remaining == 0;
		if (item.remaining < 0 || !is_tighter(&item, &limit))
			continue;
		limit.remaining = item.remaining;
		limit.reset_s = item.reset_s < 0 ? -1 : capped((double) item.reset_s);
		limit.quota = quota_of(fields->policy, &item);
	}
	limit.is_exhausted = is_exhausted;
	return limit;
}

static bool
next_item(const char **at, Item *item)
{
	const char *next = read_string(*at);

	if (!next)
		return false;
	*item = (Item)
	{
		.name = *at,
			.name_bytes = (size_t) (next - *at),
			.quota = -1,
			.remaining = -1,
			.reset_s = -1,
	};
	while (next && *next == ';')
		next = read_parameter(next + 1, item);
	if (!next)
		return false;
	next += strspn(next, BLANKS);
	if (*next != '\0' && *next != ',')
		return false;
	if (*next == ',')
	{
		next++;
		next += strspn(next, BLANKS);
		if (*next == '\0')
			return false;
	}
	*at = next;
	return true;
}

static const char *
read_parameter(const char *at, Item *item)
{
	int64_t    *number;
	size_t		key_bytes;
	char		key;

	at += strspn(at, " ");
	key_bytes = strspn(at, KEY_BYTES);
	key = key_bytes == 1 ? *at : '\0';
	at += key_bytes;
	if (key_bytes == 0 || *at != '=')
		return key_bytes == 0 ? NULL : at;
	at++;
	number = key == 'r' ? &item->remaining : key == 't' ? &item->reset_s : NULL;
	if (key == 'q')
		number = &item->quota;
	if (!number)
		return skip_value(at);
	return read_integer(&at, number) && strspn(at, " \t,;") + (*at == '\0') > 0 ? at : NULL;
}

/* Past the closing quote, or NULL. */
static const char *
read_string(const char *at)
{
	if (*at != '"')
		return NULL;
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && at[1])
			at++;
	return *at ? at + 1 : NULL;
}

static const char *
skip_value(const char *at)
{
	return *at == '"' ? read_string(at) : at + strcspn(at, " \t,;");
}

static bool
read_integer(const char **at, int64_t *value)
{
	size_t		digits = strspn(*at, DIGITS);

	if (digits == 0 || digits > INTEGER_DIGITS)
		return false;
	*value = strtoll(*at, NULL, 10);
	*at += digits;
	return true;
}

/* What RateLimit-Policy says of the item's name; -1: nothing. */
static int64_t
quota_of(const char *policy, const Item *item)
{
	Item		found;

	while (*policy)
	{
		if (!next_item(&policy, &found))
			return -1;
		if (found.name_bytes == item->name_bytes &&
			memcmp(found.name, item->name, item->name_bytes) == 0)
			return found.quota;
	}
	return -1;
}

/* Whether the item leaves less than what was found so far; without a time it says little. */
static bool
is_tighter(const Item *item, const RateLimit *limit)
{
	if (limit->remaining < 0 || limit->reset_s < 0)
		return limit->remaining < 0 || item->reset_s >= 0;
	if (item->reset_s < 0)
		return false;
	if (item->remaining == 0 || limit->remaining == 0)
		return item->remaining == 0 && (limit->remaining > 0 || item->reset_s > limit->reset_s);
	return (double) item->remaining * limit->reset_s < (double) limit->remaining * item->reset_s;
}

/* Draft 7: limit=100, remaining=0, reset=5 */
static RateLimit
read_dictionary(const char *at)
{
	RateLimit	limit = SAYS_NOTHING;
	int64_t		reset_s = -1;

	while (*at)
	{
		const char *key = at;
		size_t		key_bytes = strspn(at, KEY_BYTES);
		int64_t		value;

		at += key_bytes;
		if (key_bytes == 0 || *at++ != '=' || !read_integer(&at, &value))
			return SAYS_NOTHING;
		if (key_bytes == 5 && memcmp(key, "limit", 5) == 0)
			limit.quota = value;
		else if (key_bytes == 9 && memcmp(key, "remaining", 9) == 0)
			limit.remaining = value;
		else if (key_bytes == 5 && memcmp(key, "reset", 5) == 0)
			reset_s = value;
		at += strcspn(at, ",");
		at += strspn(at, ", \t");
	}
	limit.reset_s = reset_s < 0 ? -1 : capped((double) reset_s);
	limit.is_exhausted = limit.remaining == 0;
	return limit;
}

static RateLimit
read_numbers(const RateLimitFields *fields, int64_t now_s)
{
	RateLimit	limit = {
		.quota = whole_number(fields->quota),
		.remaining = whole_number(fields->remaining),
		.reset_s = reset_seconds(fields, now_s),
	};

	limit.is_exhausted = limit.remaining == 0;
	return limit;
}

/* Drafts to 6 let a policy follow the limit: "100, 100;w=60". */
static int64_t
whole_number(const char *text)
{
	int64_t		value;

	if (!read_integer(&text, &value) || (*text != '\0' && strchr(" \t,;", *text) == NULL))
		return -1;
	return value;
}

static int
reset_seconds(const RateLimitFields *fields, int64_t now_s)
{
	const char *text = fields->reset_after[0] ? fields->reset_after : fields->reset;
	char	   *end;
	double		value;

	if (strspn(text, DIGITS) == 0 || text[strspn(text, DIGITS ".")] != '\0')
		return -1;
	value = strtod(text, &end);
	if (*end != '\0')
		return -1;
	if (value > EPOCH_MS)
		return capped(value / 1000 - (double) now_s);
	if (value > EPOCH_S)
		return capped(value - (double) now_s);
	return capped(value);
}

/* A fraction is rounded up: never earlier than asked for. */
static int
capped(double seconds)
{
	return (int) ceil(fmin(fmax(seconds, 0), RATE_LIMIT_RESET_MAX_S));
}
