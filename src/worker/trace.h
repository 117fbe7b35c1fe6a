/*-------------------------------------------------------------------------
 * trace.h
 *		W3C trace context of one attempt.
 *
 * All attempts of a sync share a trace: the one the application gave, else one
 * that follows from the sync's own id.  Those of an old sync have one of their
 * own each, since whoever keeps traces has closed the first one by then.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TRACE_H
#define INTEGRATION_TRACE_H

#include "datatype/timestamp.h"

#include "message/trace_context.h"

#define TRACE_OLD_AFTER_S 3600

/* What the trace of an attempt follows from. */
typedef struct TraceSource
{
	const char *traceparent;	/* as the application gave it; NULL: it did
								 * not */
	const char *message_id;
	bool		is_old;
} TraceSource;

/*
 * The trace of an attempt, its new random span.  Sampled as the application
 * says, else by integration.otlp_sample_ratio.  Returns whether the
 * application's traceparent is valid.
 */
extern bool trace_start(const TraceSource *source, TraceContext *trace);

#endif							/* INTEGRATION_TRACE_H */
