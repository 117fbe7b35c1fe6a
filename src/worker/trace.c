/*-------------------------------------------------------------------------
 * trace.c
 *		W3C trace context of one attempt.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "worker/trace.h"

#define TRACEPARENT_LENGTH 55

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

void
trace_start(const char *traceparent, const char *message_id,
			char trace_id[33], char span_id[17])
{
	uint64		span;

	if (traceparent != NULL && is_valid(traceparent))
		strlcpy(trace_id, traceparent + 3, 33);
	else
	{
		const unsigned char *bytes = (const unsigned char *) message_id;
		int			length = (int) strlen(message_id);

		snprintf(trace_id, 33, "%016llx%016llx",
				 (unsigned long long) hash_bytes_extended(bytes, length, 1),
				 (unsigned long long) hash_bytes_extended(bytes, length, 2));
	}
	do
	{
		if (!pg_strong_random(&span, sizeof(span)))
			elog(ERROR, "could not generate random bytes for a span");
	} while (span == 0);
	snprintf(span_id, 17, "%016llx", (unsigned long long) span);
}
