/*-------------------------------------------------------------------------
 * wire_url.h
 *		A URL in the parts that a signature covers, as they go over the wire.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WIRE_URL_H
#define INTEGRATION_WIRE_URL_H

#include <stdbool.h>

#include "message/request.h"
#include "message/text.h"

/* A zeroed one is empty. */
typedef struct WireUrl
{
	Text		scheme;			/* in lower case */
	Text		authority;		/* the Host header: in lower case, without the
								 * scheme's own port */
	Text		path;			/* "/" at least, without dot segments */
	Text		query;			/* without its question mark */
} WireUrl;

/*
 * Take an absolute URL apart into *parts, which was empty, and normalise it
 * (RFC 3986 §6.2.2.1, §6.2.2.3, §6.2.3), so that it and what is signed can't differ.
 * Returns NULL, or what is wrong as a static sentence.  Does not throw.
 */
extern const char *wire_url_read(const char *url, WireUrl *parts);

/* Make them the request's URL.  Returns false when memory ran out.  Does not throw. */
extern bool wire_url_put(const WireUrl *parts, Request *request);

/* Append so that only unreserved characters, and slashes where kept, stand for themselves. */
extern void wire_url_append_encoded(Text *text, const char *bytes, size_t length,
									bool keeps_slashes);

/* The byte that is written at *at, percent-encoded or not; steps over it. */
extern char wire_url_next_byte(const char **at);

/* Does not throw. */
extern void wire_url_free(WireUrl *parts);

#endif							/* INTEGRATION_WIRE_URL_H */
