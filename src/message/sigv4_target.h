/*-------------------------------------------------------------------------
 * sigv4_target.h
 *		The target of a request as AWS Signature Version 4 signs it.
 *
 * Servers make the normal form again from what they got, and differ in how: some take
 * a path as it came, others decode it and encode it again; to some a plus in the query
 * is a blank.  So the URL is sent in the normal form itself, as far as libcurl
 * leaves that alone.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SIGV4_TARGET_H
#define INTEGRATION_SIGV4_TARGET_H

#include <stdbool.h>

#include "message/text.h"
#include "message/wire_url.h"

/*
 * Append the canonical URI, and put *url's path into the form to be sent: for S3 the
 * path encoded once, for the others what is sent encoded once more.  Does not throw.
 */
extern void sigv4_target_path(WireUrl *url, bool is_s3, Text *canonical);

/* The same with the canonical query: sorted, in the order given in *url.  Does not throw. */
extern void sigv4_target_query(WireUrl *url, Text *canonical);

#endif							/* INTEGRATION_SIGV4_TARGET_H */
