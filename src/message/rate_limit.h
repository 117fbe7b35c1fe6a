/*-------------------------------------------------------------------------
 * rate_limit.h
 *		What the other side says is left of its rate limit.
 *
 * draft-ietf-httpapi-ratelimit-headers: RateLimit as a list of named items,
 * with RateLimit-Policy (draft 10), and as a dictionary (draft 7); the triple
 * RateLimit-Limit, -Remaining, -Reset (drafts to 6); X-RateLimit-*, where Reset
 * is seconds, or a Unix time in seconds or milliseconds.  Fields are collected
 * as they come and read when all are there.  Malformed ones say nothing.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_RATE_LIMIT_H
#define INTEGRATION_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_LIMIT_LIST_BYTES 256
#define RATE_LIMIT_NUMBER_BYTES 24
#define RATE_LIMIT_RESET_MAX_S 86400

/* The fields of one answer as they came; zeroed: none. */
typedef struct RateLimitFields
{
	bool		has_any;
	char		list[RATE_LIMIT_LIST_BYTES];
	char		policy[RATE_LIMIT_LIST_BYTES];
	char		quota[RATE_LIMIT_NUMBER_BYTES];
	char		remaining[RATE_LIMIT_NUMBER_BYTES];
	char		reset[RATE_LIMIT_NUMBER_BYTES];
	char		reset_after[RATE_LIMIT_NUMBER_BYTES];
} RateLimitFields;

/* What they come to: the tightest limit.  -1: not said. */
typedef struct RateLimit
{
	int64_t		quota;
	int64_t		remaining;
	int			reset_s;		/* until it is filled up; at most
								 * RATE_LIMIT_RESET_MAX_S */
	bool		is_exhausted;	/* nothing is left of some limit, whenever it
								 * is filled up */
} RateLimit;

/* Keep a field if it is one of these; the name may be in any case.  Does not throw. */
extern void rate_limit_note(RateLimitFields *fields, const char *name, const char *value);

/* now_s: the time by which the other side means a Unix time.  Does not throw. */
extern RateLimit rate_limit_read(const RateLimitFields *fields, int64_t now_s);

#endif							/* INTEGRATION_RATE_LIMIT_H */
