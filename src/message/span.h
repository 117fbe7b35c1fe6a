/*-------------------------------------------------------------------------
 * span.h
 *		An attempt as OpenTelemetry's spans, in OTLP's JSON.
 *
 * The shape of the conventions' example of retries: the application's span,
 * send, process, below that each request.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SPAN_H
#define INTEGRATION_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "message/text.h"

/* What the spans of an attempt say; strings are UTF-8, NULL where there is nothing to say. */
typedef struct SpanFacts
{
	int64_t		sync;
	int			attempt_no;		/* of the first, send is told as well */
	bool		is_ended;		/* the sync is: process is told as well */
	bool		is_failed;
	const char *endpoint;
	const char *object_type;
	const char *object_id;
	const char *customer;
	const char *method;
	const char *url;			/* without anything that opens anything */
	int			status;			/* -1: there was no answer */
	const char *error_type;
	const char *error;
	const char *peer;			/* address */
	int64_t		created_at_us;	/* since 1970, as all others */
	int64_t		began_at_us;	/* the first attempt */
	int64_t		started_at_us;
	int64_t		ended_at_us;
	unsigned	flags;			/* of the application's traceparent */
	const char *trace_id;		/* of the attempt */
	const char *span_id;
	const char *sync_trace_id;	/* another one where the sync is old */
	const char *parent_id;		/* the application's span */
	const char *send_id;
	const char *process_id;
} SpanFacts;

/* Append the spans of an attempt, separated by commas.  Does not throw. */
extern void span_append(Text *text, const SpanFacts *facts);

#endif							/* INTEGRATION_SPAN_H */
