/*-------------------------------------------------------------------------
 * trace_context.c
 *		W3C trace context as it stands in headers.
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/trace_context.h"

#define PARENT_LENGTH (TRACE_PARENT_BYTES - 1)
#define STATE_MEMBERS 32
#define STATE_KEY_LENGTH 256
#define STATE_VALUE_LENGTH 256
#define STATE_LONG_MEMBER 128	/* such go first */

#define KEY_FIRST "abcdefghijklmnopqrstuvwxyz0123456789"
#define KEY_OTHERS KEY_FIRST "_-*/@"

typedef struct Member
{
	const char *text;
	size_t		length;
} Member;

static bool is_lower_hex(const char *digits, int length);
static bool is_id(const char *digits, int length);
static unsigned hex_value(char digit);
static int	split_state(const char *tracestate, Member *members);
static bool is_member(const char *text, size_t length);
static size_t joined_length(const Member *members, int count);
static int	shorten_state(Member *members, int count);

/* A higher version may go on after the flags; version ff is invalid. */
bool
trace_context_read(const char *traceparent, TraceContext *context)
{
	size_t		length = strlen(traceparent);

	if (length < PARENT_LENGTH || !is_lower_hex(traceparent, 2) ||
		strncmp(traceparent, "ff", 2) == 0)
		return false;
	if (length > PARENT_LENGTH &&
		(strncmp(traceparent, "00", 2) == 0 || traceparent[PARENT_LENGTH] != '-'))
		return false;
	if (traceparent[2] != '-' || !is_id(traceparent + 3, 32) || traceparent[35] != '-' ||
		!is_id(traceparent + 36, 16) || traceparent[52] != '-' ||
		!is_lower_hex(traceparent + 53, 2))
		return false;
	memcpy(context->trace_id, traceparent + 3, 32);
	context->trace_id[32] = '\0';
	memcpy(context->span_id, traceparent + 36, 16);
	context->span_id[16] = '\0';
	context->flags = hex_value(traceparent[54]) & (TRACE_SAMPLED | TRACE_RANDOM);
	return true;
}

void
trace_context_write(const TraceContext *context, char traceparent[TRACE_PARENT_BYTES])
{
	snprintf(traceparent, TRACE_PARENT_BYTES, "00-%.32s-%.16s-%02x",
			 context->trace_id, context->span_id,
			 context->flags & (TRACE_SAMPLED | TRACE_RANDOM));
}

bool
trace_context_is_in_share(const TraceContext *context, double share)
{
	uint64_t	low = strtoull(context->trace_id + 18, NULL, 16);

	return (double) low < share * (double) (UINT64_C(1) << 56);
}

bool
trace_context_pass_state(const char *tracestate, char passed[TRACE_STATE_BYTES])
{
	Member		members[STATE_MEMBERS];
	int			count = split_state(tracestate, members);
	size_t		length = 0;

	count = shorten_state(members, count);
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			passed[length++] = ',';
		memcpy(passed + length, members[i].text, members[i].length);
		length += members[i].length;
	}
	passed[length] = '\0';
	return count > 0;
}

static bool
is_lower_hex(const char *digits, int length)
{
	return strspn(digits, "0123456789abcdef") >= (size_t) length;
}

static bool
is_id(const char *digits, int length)
{
	return is_lower_hex(digits, length) && strspn(digits, "0") < (size_t) length;
}

static unsigned
hex_value(char digit)
{
	return (unsigned) (digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* How many members there are; 0 where one of them is not valid or there are too many. */
static int
split_state(const char *tracestate, Member *members)
{
	const char *at = tracestate;
	int			count = 0;

	for (;;)
	{
		size_t		length;

		at += strspn(at, " \t");
		length = strcspn(at, ",");
		for (size_t end = length; end > 0 && (at[end - 1] == ' ' || at[end - 1] == '\t'); end--)
			length = end - 1;
		if (length > 0)
		{
			if (count == STATE_MEMBERS || !is_member(at, length))
				return 0;
			members[count++] = (Member)
			{
				.text = at,.length = length
			};
		}
		at += strcspn(at, ",");
		if (*at == '\0')
			return count;
		at++;
	}
}

static bool
is_member(const char *text, size_t length)
{
	size_t		key = strspn(text, KEY_OTHERS);
	size_t		value = length - key - 1;

	if (strspn(text, KEY_FIRST) == 0 || key > STATE_KEY_LENGTH || key + 1 >= length ||
		text[key] != '=' || value > STATE_VALUE_LENGTH)
		return false;
	for (size_t i = key + 1; i < length; i++)
		if (text[i] < 0x20 || text[i] > 0x7E || text[i] == '=')
			return false;
	return true;
}

static size_t
joined_length(const Member *members, int count)
{
	size_t		length = count > 0 ? (size_t) count - 1 : 0;

	for (int i = 0; i < count; i++)
		length += members[i].length;
	return length;
}

/* How many are left. */
static int
shorten_state(Member *members, int count)
{
	for (int i = count - 1; i >= 0 && joined_length(members, count) >= TRACE_STATE_BYTES; i--)
	{
		if (members[i].length <= STATE_LONG_MEMBER)
			continue;
		memmove(&members[i], &members[i + 1], sizeof(Member) * (size_t) (count - i - 1));
		count--;
	}
	while (joined_length(members, count) >= TRACE_STATE_BYTES)
		count--;
	return count;
}
