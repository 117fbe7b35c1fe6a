/*-------------------------------------------------------------------------
 * trace_id.c
 *		Ids of traces that whoever has a sync's id can find.
 *-------------------------------------------------------------------------
 */
#include "base/trace_id.h"

#include "common/hashfn.h"

#define TRACE_SEED 1			/* and the one behind it */

void
trace_id_write_hex(char *target, uint64 number)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 15; i >= 0; i--, number >>= 4)
		target[i] = digits[number & 15];
}

static void
write_hash(char *target, const char *message_id, uint64 seed)
{
	const unsigned char *bytes = (const unsigned char *) message_id;

	trace_id_write_hex(target, hash_bytes_extended(bytes, (int) strlen(message_id), seed));
}

void
trace_id_of_sync(const char *message_id, char trace_id[TRACE_ID_BYTES])
{
	write_hash(trace_id, message_id, TRACE_SEED);
	write_hash(trace_id + 16, message_id, TRACE_SEED + 1);
	trace_id[TRACE_ID_BYTES - 1] = '\0';
}

void
trace_id_of_span(const char *message_id, TraceSpan span, char span_id[SPAN_ID_BYTES])
{
	write_hash(span_id, message_id, span);
	span_id[SPAN_ID_BYTES - 1] = '\0';
}
