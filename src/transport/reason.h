/*-------------------------------------------------------------------------
 * reason.h
 *		The name of the exact thing that happened to a transfer.
 *
 * Decided by what our own callbacks saw.  libcurl's texts count only where
 * two causes differ in nothing else.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_REASON_H
#define INTEGRATION_REASON_H

#include <stdbool.h>
#include <stddef.h>

#include "transport/guard.h"

typedef struct ReasonFacts
{
	int			curl_code;
	int			http_status;	/* of the final answer, 0 when none arrived */
	int			system_error;	/* errno of a failed connect, else 0 */
	int			proxy_status;	/* what a proxy answered to CONNECT, else 0 */
	const char *error;			/* libcurl's text, "" when none */
	GuardVerdict refusal;		/* of the address policy */
	bool		is_https;
	bool		is_conditional; /* the request had If-... headers */
	bool		url_has_values; /* the URL was built from values of the sync */
	bool		may_have_queued;	/* others of its kind were being connected */
	bool		socket_was_opened;
	bool		has_connected;
	bool		request_has_started;
	bool		request_was_sent;
	bool		would_resend;	/* libcurl wanted to send a second time */
	bool		answer_has_started;
	bool		answer_was_cut; /* our limit for bodies */
	bool		headers_were_cut;	/* our limit for headers */
	bool		has_retry_after;
	bool		is_exhausted;	/* a rate limit header says nothing is left */
	bool		misses_certificate; /* the answer says so, whatever its status */
	bool		lacks_resources;	/* no descriptor or memory of our own */
} ReasonFacts;

/* Write the error_reason.  Does not throw. */
extern void reason_write(const ReasonFacts *facts, char *reason, size_t size);

#endif							/* INTEGRATION_REASON_H */
