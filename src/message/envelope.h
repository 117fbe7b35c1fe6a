/*-------------------------------------------------------------------------
 * envelope.h
 *		CloudEvents 1.0 around a payload.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_ENVELOPE_H
#define INTEGRATION_ENVELOPE_H

#include "message/header.h"
#include "message/request.h"
#include "message/text.h"

#define ENVELOPE_STRUCTURED_TYPE "application/cloudevents+json; charset=utf-8"
#define ENVELOPE_BATCHED_TYPE "application/cloudevents-batch+json; charset=utf-8"

/*
 * Set the ce- headers of binary mode.  Does not throw.
 *
 * The attempt's traceparent stays a plain header: as an attribute it would
 * mean the context in which the sync began.
 */
extern void envelope_set_headers(const RequestSource *source, HeaderList *headers);

/* Append the JSON object of structured mode.  Does not throw. */
extern void envelope_append(const RequestSource *source, Text *body);

/* Append the JSON array of batched mode, which holds this one.  Does not throw. */
extern void envelope_append_batch(const RequestSource *source, Text *body);

/* Append a header value as the HTTP binding §3.1.3.2 encodes it.  Does not throw. */
extern void envelope_append_header_value(Text *text, const char *value);

#endif							/* INTEGRATION_ENVELOPE_H */
