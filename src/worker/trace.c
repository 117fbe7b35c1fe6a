/*-------------------------------------------------------------------------
 * trace.c
 *		W3C trace context of one attempt.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "base/settings.h"
#include "worker/trace.h"

#define TRACE_ID_SEED 1			/* and the one behind it; sql/otlp.sql has
								 * those of the other spans */

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

/* A trace that whoever has the sync's id can find. */
static void
make_trace(const char *message_id, TraceContext *trace)
{
	const unsigned char *bytes = (const unsigned char *) message_id;
	int			length = (int) strlen(message_id);

	write_hex(trace->trace_id, hash_bytes_extended(bytes, length, TRACE_ID_SEED));
	write_hex(trace->trace_id + 16, hash_bytes_extended(bytes, length, TRACE_ID_SEED + 1));
	trace->trace_id[32] = '\0';
}

/* By the low 56 bits, which Level 2 has random: whoever samples by them finds whole traces. */
static bool
is_in_sample(const TraceContext *trace)
{
	uint64		low = strtoull(trace->trace_id + 18, NULL, 16);

	return (double) low < settings_otlp_sample_ratio() * (double) (UINT64CONST(1) << 56);
}

bool
trace_start(const TraceSource *source, TraceContext *trace)
{
	bool		is_continued = source->traceparent != NULL &&
		trace_context_read(source->traceparent, trace);

	if (!is_continued)
	{
		make_trace(source->message_id, trace);
		trace->flags = TRACE_RANDOM | (is_in_sample(trace) ? TRACE_SAMPLED : 0);
	}
	if (source->is_old)
	{
		write_hex(trace->trace_id, next_span());
		write_hex(trace->trace_id + 16, next_span());
		trace->flags |= TRACE_RANDOM;
	}
	write_hex(trace->span_id, next_span());
	trace->span_id[16] = '\0';
	return is_continued;
}
