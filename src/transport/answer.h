/*-------------------------------------------------------------------------
 * answer.h
 *		Answers in the making.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_ANSWER_H
#define INTEGRATION_ANSWER_H

#include <stddef.h>

#include "transport/capture.h"
#include "transport/transport.h"

/* Begins with the Answer, so that answer_free() can free the whole. */
typedef struct AnswerNode
{
	Answer		answer;
	struct AnswerNode *next;
} AnswerNode;

/* A blank answer, or NULL when memory is out.  Does not throw. */
extern AnswerNode *answer_create(void);

/* An answer to a request that never left.  Does not throw. */
extern void answer_fail(Answer *answer, const char *reason, const char *error);

/*
 * Write what a handle that ended with code and its capture say: status, phases, address,
 * headers, body, redirect, Retry-After.  Reason and error are left to the
 * caller.  Does not throw.
 */
extern void answer_fill(Answer *answer, CURL *easy, CURLcode code,
						const Capture *capture);

/*
 * The kept header lines as a JSON object: names in lower case, repeated ones
 * joined by comma, those of the connection left out.  NULL when there are none
 * or memory is out; the caller frees it.  Does not throw.
 */
extern char *answer_headers_json(const char *lines, size_t length);

#endif							/* INTEGRATION_ANSWER_H */
