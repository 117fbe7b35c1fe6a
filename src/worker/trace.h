/*-------------------------------------------------------------------------
 * trace.h
 *		W3C trace context of one attempt.
 *
 * W3C Trace Context, §3.2.  All attempts of a sync share a trace: the one the
 * application gave, else one that follows from the sync's own id.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TRACE_H
#define INTEGRATION_TRACE_H

#define TRACE_PARENT_BYTES 56	/* with the zero byte */

/*
 * Write 32 and 16 hex digits: the trace of traceparent where that is valid,
 * else one made of message_id; a new random span.
 */
extern void trace_start(const char *traceparent, const char *message_id,
						char trace_id[33], char span_id[17]);

/* Write the header's value: what is to be continued by the receiver. */
extern void trace_write_parent(const char trace_id[33], const char span_id[17],
							   char traceparent[TRACE_PARENT_BYTES]);

#endif							/* INTEGRATION_TRACE_H */
