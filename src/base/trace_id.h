/*-------------------------------------------------------------------------
 * trace_id.h
 *		Ids of traces that whoever has a sync's id can find.
 *
 * They are hashes of its message id; sql/events.sql has the same ones.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TRACE_ID_H
#define INTEGRATION_TRACE_ID_H

#include "postgres.h"

#define TRACE_ID_BYTES 33		/* with the zero byte */
#define SPAN_ID_BYTES 17

typedef enum TraceSpan
{
	TRACE_SPAN_SEND = 3,		/* the seeds before it are the trace's */
	TRACE_SPAN_PROCESS
} TraceSpan;

/* Sixteen hex digits and no zero byte.  Does not throw. */
extern void trace_id_write_hex(char *target, uint64 number);

/* The trace of a sync that began here.  Does not throw. */
extern void trace_id_of_sync(const char *message_id, char trace_id[TRACE_ID_BYTES]);

/* A span of the sync itself.  Does not throw. */
extern void trace_id_of_span(const char *message_id, TraceSpan span, char span_id[SPAN_ID_BYTES]);

#endif							/* INTEGRATION_TRACE_ID_H */
