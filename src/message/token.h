/*-------------------------------------------------------------------------
 * token.h
 *		Access tokens of OAuth 2.0: how they are asked for, what the answer says.
 *
 * Client credentials (RFC 6749 §4.4) only.  All text is UTF-8.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TOKEN_H
#define INTEGRATION_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "message/credential.h"
#include "message/request.h"

#define TOKEN_REASON_BYTES 48
#define TOKEN_MOST_BYTES 8192	/* that go into a header */

/* What came of a request for one; the caller owns everything. */
typedef struct TokenFacts
{
	int			http_status;	/* 0: no answer arrived */
	const char *reason;			/* an error_reason, as of any request */
	const char *error;			/* what the transport says of it; "" when
								 * nothing */
	const char *body;			/* of the answer; NULL: none */
} TokenFacts;

typedef struct TokenAnswer
{
	char	   *value;			/* the token, malloc'ed; NULL: there is none */
	int64_t		life_s;			/* from the time it was asked for, 1 or more */
	char		reason[TOKEN_REASON_BYTES]; /* without a token: why not, an
											 * error_reason; "" where only
											 * resources of ours were lacking */
	char		problem[256];	/* the same as a sentence */
} TokenAnswer;

/*
 * Build the request for a token; credential is one of OAuth 2.0 that has a
 * value.  The caller frees it with token_request_free().  False: memory ran out,
 * *request is empty.  Does not throw.
 */
extern bool token_request_build(const Credential *credential, Request *request);

/* Wipe and free it; safe on a zeroed one.  Does not throw. */
extern void token_request_free(Request *request);

/* Read the answer; the caller frees value with token_value_free().  Does not throw. */
extern void token_read(const TokenFacts *facts, TokenAnswer *answer);

/* Wipe and free a token; NULL is one, too.  Does not throw. */
extern void token_value_free(char *value);

#endif							/* INTEGRATION_TOKEN_H */
