/*-------------------------------------------------------------------------
 * retry_after.h
 *		When the other side wants to be asked again.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_RETRY_AFTER_H
#define INTEGRATION_RETRY_AFTER_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_AFTER_MAX_S 86400

/*
 * Seconds to wait by a Retry-After header, from 0 to RETRY_AFTER_MAX_S; -1
 * when there is none or it makes no sense.  date is the answer's own Date
 * header or NULL, now_s the Unix time to use in its place.  Does not throw.
 */
extern int	retry_after_seconds(const char *retry_after, const char *date, int64_t now_s);

/* Read an HTTP date in any of its three forms (RFC 9110 §5.6.7).  Does not throw. */
extern bool retry_after_read_date(const char *text, int64_t now_s, int64_t *unix_s);

#endif							/* INTEGRATION_RETRY_AFTER_H */
