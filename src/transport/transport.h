/*-------------------------------------------------------------------------
 * transport.h
 *		Many HTTP requests at once behind one descriptor.
 *
 * The caller waits until transport_descriptor() is readable or the deadline of
 * transport_timeout_ms() has come, calls transport_advance(), and collects the
 * finished ones with transport_collect().  Nothing here throws, and nothing
 * calls back into the caller.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TRANSPORT_H
#define INTEGRATION_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/policy.h"
#include "message/certificate.h"
#include "message/rate_limit.h"
#include "message/request.h"

#define TRANSPORT_REASON_BYTES 48
#define TRANSPORT_ERROR_BYTES 512

typedef struct Transport Transport;

typedef struct TransportOptions
{
	int			max_connections;	/* kept open at most, in use or idle */
	const char *user_agent;
	const char *ca_file;		/* certificates to trust; NULL: the system's */
	AddressPolicy policy;		/* what may be called */
} TransportOptions;

typedef struct TransferOptions
{
	int			connect_timeout_ms;
	int			timeout_ms;		/* of the whole attempt */
	bool		allow_http;		/* plain http beyond allowed_networks */
	bool		idempotent;		/* false: no connection that idled for 10 s is
								 * used again */
	bool		over_new_connection;	/* none that was kept is used */
	uint64_t	isolation;		/* what libcurl keeps in a handle is shared
								 * only between equal values */
	const Certificate *certificate; /* NULL: none shown, the system's
									 * authorities */
} TransferOptions;

/* What came of one request: facts only.  Strings belong to the Answer. */
typedef struct Answer
{
	void	   *owner;			/* as given to transport_start() */
	char		reason[TRANSPORT_REASON_BYTES]; /* an error_reason:
												 * "http:200",
												 * "curl:28:response" */
	char		error[TRANSPORT_ERROR_BYTES];	/* what libcurl or we say; ""
												 * when nothing */
	int			http_status;	/* 0 when none arrived */
	bool		was_lost;		/* a kept connection was closed before an
								 * answer came; nobody knows who was first */
	int			duration_ms;
	int			dns_ms;			/* phases, one after the other; -1: not
								 * reached, or reused */
	int			connect_ms;
	int			tls_ms;
	int			first_byte_ms;	/* from the request to the first byte of its
								 * answer */
	int			retry_after_s;	/* -1: none; capped at 24 h */
	RateLimit	rate_limit;		/* says nothing beside a Retry-After, which
								 * counts alone */
	char		remote_address[64]; /* numeric, "" when none */
	char	   *headers;		/* JSON object, names in lower case; NULL when
								 * none */
	char	   *body;			/* valid UTF-8, at most 64 KiB, cut on a
								 * character; NULL when none */
	size_t		body_bytes;
	char	   *redirect_url;	/* where a 3xx points to, or NULL */
} Answer;

/*
 * Make one in this process (after fork), which must ignore SIGPIPE.  Calls
 * curl_global_init().  Copies the options.  Returns NULL and a sentence in
 * problem when libcurl can't serve (no asynchronous name resolution, out of
 * memory).  Does not throw.
 */
extern Transport *transport_create(const TransportOptions *options,
								   char *problem, size_t problem_size);

/* Abandon what is in flight, close all connections, free.  Does not throw. */
extern void transport_destroy(Transport *transport);

/* "libcurl/7.88.1 OpenSSL/3.0.19 ..." for the log.  Does not throw. */
extern const char *transport_description(void);

/*
 * Take over a new policy.  It holds at once: a connection kept open to an
 * address that is no longer allowed is refused when it would be used again.
 * Does not throw.
 */
extern void transport_set_policy(Transport *transport, const AddressPolicy *policy);

/* The descriptor to wait on; the same for the whole life.  Does not throw. */
extern int	transport_descriptor(const Transport *transport);

/* Milliseconds until transport_advance() must be called anyway; -1: none.  Does not throw. */
extern int	transport_timeout_ms(const Transport *transport);

/*
 * Begin a request.  *request and options->certificate must stay as they are until its
 * answer was collected; its header lines are sent from where they stand, and one with an
 * empty value is rewritten to libcurl's form of it.  Leads to exactly one
 * answer, also when it could not be begun.
 * Returns false, with nothing to come, only when memory ran out for more than
 * max_connections requests at once.  Does not throw.
 */
extern bool transport_start(Transport *transport, const Request *request,
							const TransferOptions *options, void *owner);

/* Serve ready sockets and timers without waiting.  Does not throw. */
extern void transport_advance(Transport *transport);

/*
 * Hand over one finished answer, oldest first; NULL when there is none.  The
 * caller frees it with answer_free().  Does not throw.
 */
extern Answer *transport_collect(Transport *transport);

extern void answer_free(Answer *answer);

/* How many were started and not yet collected.  Does not throw. */
extern int	transport_in_flight(const Transport *transport);

/*
 * What is wrong with an endpoint's URL as a sentence for a hint, or NULL
 * (static or in buffer).  Placeholders in braces are allowed in path and query
 * only.  Applies what of the policy needs no look-up of a name; what that refuses
 * names the setting.  Does not throw.
 */
extern const char *transport_url_problem(const char *url, const AddressPolicy *policy,
										 bool allow_http, char *buffer, size_t buffer_size);

#endif							/* INTEGRATION_TRANSPORT_H */
