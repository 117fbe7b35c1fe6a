/*-------------------------------------------------------------------------
 * gzip.h
 *		Compressed request bodies.
 *
 * RFC 1952, by zlib: libcurl reads compressed answers but doesn't compress.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_GZIP_H
#define INTEGRATION_GZIP_H

#include "message/text.h"

/* Append the bytes compressed; text->failed where memory ran out.  Does not throw. */
extern void gzip_append(Text *text, const char *bytes, size_t length);

#endif							/* INTEGRATION_GZIP_H */
