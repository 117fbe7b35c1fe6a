/*-------------------------------------------------------------------------
 * trace.c
 *		W3C trace context of one attempt.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/settings.h"
#include "base/trace_id.h"
#include "worker/trace.h"

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

bool
trace_start(const TraceSource *source, TraceContext *trace)
{
	bool		is_continued = source->traceparent != NULL &&
		trace_context_read(source->traceparent, trace);

	if (!is_continued)
	{
		trace_id_of_sync(source->message_id, trace->trace_id);
		trace->flags = TRACE_RANDOM;
		if (trace_context_is_in_share(trace, settings_otlp_sample_ratio()))
			trace->flags |= TRACE_SAMPLED;
	}
	if (source->is_old)
	{
		trace_id_write_hex(trace->trace_id, next_span());
		trace_id_write_hex(trace->trace_id + 16, next_span());
		trace->flags |= TRACE_RANDOM;
	}
	trace_id_write_hex(trace->span_id, next_span());
	trace->span_id[16] = '\0';
	return is_continued;
}
