/*-------------------------------------------------------------------------
 * capture.h
 *		What libcurl's callbacks see of one transfer.
 *
 * They only write into memory that is there: an answer of any size costs the
 * same.  Phases are taken from here because libcurl's own times are wrong on
 * failures in several versions.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_CAPTURE_H
#define INTEGRATION_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/policy.h"
#include "message/rate_limit.h"
#include "transport/guard.h"
#include "transport/poller.h"

#define CAPTURE_BODY_READ_BYTES (1024 * 1024)
#define CAPTURE_BODY_KEPT_BYTES (64 * 1024)
#define CAPTURE_HEADERS_READ_BYTES (256 * 1024)
#define CAPTURE_HEADERS_KEPT_BYTES (32 * 1024)
#define CAPTURE_FIELD_BYTES 128
#define CAPTURE_ADDRESS_BYTES 64

/* What a transfer fills while it is under way; idle handles have none. */
typedef struct CaptureBuffers
{
	struct CaptureBuffers *next;	/* spare ones */
	char		body[CAPTURE_BODY_KEPT_BYTES];
	char		headers[CAPTURE_HEADERS_KEPT_BYTES];
} CaptureBuffers;

typedef struct Capture
{
	CURL	   *easy;			/* NULL where libcurl asks each kept
								 * connection itself */
	Poller	   *poller;			/* learns of sockets that come and go */
	const AddressPolicy *policy;
	bool		is_plain;		/* http without a permission of its own */

	int64_t		started_at_us;	/* instants: 0 when not reached */
	int64_t		socket_at_us;
	int64_t		request_at_us;
	int64_t		answer_at_us;

	int			socket_error;	/* errno of a socket() that failed */
	GuardVerdict refusal;		/* the last one, of a socket or of the request */
	bool		request_was_refused;
	bool		would_resend;
	bool		found_closed;	/* a kept connection; nothing was sent over it */
	bool		answer_was_cut;
	bool		headers_were_cut;
	char		address[CAPTURE_ADDRESS_BYTES]; /* the last one tried */

	size_t		body_read_bytes;
	size_t		body_kept_bytes;
	size_t		headers_read_bytes;
	size_t		headers_kept_bytes;
	CaptureBuffers *buffers;	/* NULL: not under way; of the headers, whole
								 * lines of the last block */

	bool		has_retry_after;
	char		retry_after[CAPTURE_FIELD_BYTES];
	char		date[CAPTURE_FIELD_BYTES];
	RateLimitFields rate_limit;
} Capture;

/* Take buffers, spare ones if there are any; false when memory is out.  Does not throw. */
extern bool capture_open(Capture *capture, CaptureBuffers **spare);

/* Give the buffers back, with the body wiped, which may hold a secret.  Does not throw. */
extern void capture_close(Capture *capture, CaptureBuffers **spare);

/* Does not throw. */
extern void capture_free_spare(CaptureBuffers *spare);

/* Forget the last transfer; the clock starts.  Does not throw. */
extern void capture_begin(Capture *capture, const AddressPolicy *policy, bool is_plain);

/* Forget what happened but not when it began: the transfer starts anew.  Does not throw. */
extern void capture_renew(Capture *capture);

/*
 * Install the callbacks; *capture must outlive the handle, *poller the connections.
 * Does not throw.
 */
extern CURLcode capture_attach(Capture *capture, CURL *easy, Poller *poller);

/* The refusal that ended the transfer; one address of several does not.  Does not throw. */
extern GuardVerdict capture_final_refusal(const Capture *capture);

#endif							/* INTEGRATION_CAPTURE_H */
