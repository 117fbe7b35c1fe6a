/*-------------------------------------------------------------------------
 * trace.c
 *		W3C trace context of one attempt.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "worker/trace.h"

#define TRACEPARENT_LENGTH (TRACE_PARENT_BYTES - 1)

static bool
is_lower_hex(const char *digits, int length)
{
	bool		is_zero = true;

	for (int i = 0; i < length; i++)
	{
		if (!(digits[i] >= '0' && digits[i] <= '9') && !(digits[i] >= 'a' && digits[i] <= 'f'))
			return false;
		is_zero = is_zero && digits[i] == '0';
	}
	return !is_zero;
}

/* A higher version may go on after the flags; version ff is invalid. */
static bool
is_valid(const char *traceparent)
{
	size_t		length = strlen(traceparent);

	if (length < TRACEPARENT_LENGTH || strncmp(traceparent, "ff", 2) == 0)
		return false;
	if (strncmp(traceparent, "00", 2) == 0 ? length != TRACEPARENT_LENGTH
		: !is_lower_hex(traceparent, 2))
		return false;
	if (length > TRACEPARENT_LENGTH && traceparent[TRACEPARENT_LENGTH] != '-')
		return false;
	return traceparent[2] == '-' && is_lower_hex(traceparent + 3, 32) &&
		traceparent[35] == '-' && is_lower_hex(traceparent + 36, 16) && traceparent[52] == '-';
}

/*
 * A span id has to be unlike others, not unguessable: one strong seed for the
 * process, then splitmix64, which never repeats within its 2^64 steps.
 */
static uint64
next_span(void)
{
	static uint64 seed = 0;
	uint64		mixed;

	if (seed == 0 && !pg_strong_random(&seed, sizeof(seed)))
		elog(ERROR, "could not generate a random seed for spans");
	seed += UINT64CONST(0x9E3779B97F4A7C15);
	mixed = (seed ^ (seed >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	mixed = (mixed ^ (mixed >> 27)) * UINT64CONST(0x94D049BB133111EB);
	mixed ^= mixed >> 31;
	return mixed != 0 ? mixed : 1;
}

static void
write_hex(char *target, uint64 number)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 15; i >= 0; i--, number >>= 4)
		target[i] = digits[number & 15];
}

void
trace_start(const char *traceparent, const char *message_id,
			char trace_id[33], char span_id[17])
{
	if (traceparent != NULL && is_valid(traceparent))
		strlcpy(trace_id, traceparent + 3, 33);
	else
	{
		const unsigned char *bytes = (const unsigned char *) message_id;
		int			length = (int) strlen(message_id);

		write_hex(trace_id, hash_bytes_extended(bytes, length, 1));
		write_hex(trace_id + 16, hash_bytes_extended(bytes, length, 2));
		trace_id[32] = '\0';
	}
	write_hex(span_id, next_span());
	span_id[16] = '\0';
}

void
trace_write_parent(const char trace_id[33], const char span_id[17],
				   char traceparent[TRACE_PARENT_BYTES])
{
	memcpy(traceparent, "00-", 3);
	memcpy(traceparent + 3, trace_id, 32);
	traceparent[35] = '-';
	memcpy(traceparent + 36, span_id, 16);
	memcpy(traceparent + 52, "-01", 4);
}
