/*-------------------------------------------------------------------------
 * trace_context.h
 *		W3C trace context as it stands in headers.
 *
 * W3C Trace Context Level 2, §3.2, §3.3.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TRACE_CONTEXT_H
#define INTEGRATION_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TRACE_PARENT_BYTES 56	/* with the zero byte */
#define TRACE_STATE_BYTES 513	/* what is passed on at least, and here at
								 * most; with the zero byte */

/* Bits of TraceContext.flags; all others are written as 0. */
#define TRACE_SAMPLED 1
#define TRACE_RANDOM 2

typedef struct TraceContext
{
	char		trace_id[33];	/* lower case hex */
	char		span_id[17];
	unsigned	flags;
} TraceContext;

/* Read a traceparent; false where it is not valid.  Does not throw. */
extern bool trace_context_read(const char *traceparent, TraceContext *context);

/* Write a traceparent of version 00.  Does not throw. */
extern void trace_context_write(const TraceContext *context, char traceparent[TRACE_PARENT_BYTES]);

/*
 * Whether the trace is in a share (0 to 1) of all: by the low 56 bits of its id,
 * which Level 2 has random, so that whoever samples by them finds whole traces.
 * Does not throw.
 */
extern bool trace_context_is_in_share(const TraceContext *context, double share);

/*
 * Write a tracestate as it is passed on: without blanks, long members left out
 * first, then those at the end where it is too long.  False where it is not
 * valid or nothing is left: the header is then left out.  Does not throw.
 */
extern bool trace_context_pass_state(const char *tracestate, char passed[TRACE_STATE_BYTES]);

#endif							/* INTEGRATION_TRACE_CONTEXT_H */
