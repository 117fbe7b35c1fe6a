/*-------------------------------------------------------------------------
 * transfer.h
 *		One libcurl handle with everything that belongs to it.
 *
 * A handle is used again only for the same isolation value: libcurl has sent
 * remembered credentials to the wrong place before.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TRANSFER_H
#define INTEGRATION_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "transport/answer.h"
#include "transport/capture.h"
#include "transport/poller.h"
#include "transport/transport.h"

typedef struct Transfer
{
	CURL	   *easy;
	TransferOptions applied;	/* what the handle is set to already */
	char	   *applied_url;
	CURLU	   *url_parts;		/* of applied_url once it came twice, or NULL */
	char	   *applied_method;
	bool		applied_body;
	struct curl_slist *headers; /* an array; its lines are the request's */
	int			header_room;
	const Request *request;
	AnswerNode *node;			/* what will be handed over */
	Capture		capture;
	uint64_t	isolation;
	bool		is_https;
	bool		takes_new;		/* connections, none that was kept */
	bool		has_certificate;	/* the handle holds what belongs to the
									 * options */
	bool		may_wait;		/* for a connection that another one is making */
	bool		may_have_queued;
	char		error[CURL_ERROR_SIZE];
	struct Transfer *next;		/* in flight, or idle in the pool */
	struct Transfer *previous;
} Transfer;

/* What is the same for all transfers. */
typedef struct TransferSettings
{
	char	   *user_agent_line;
	char	   *ca_file;		/* NULL: the system's certificates */
	AddressPolicy policy;
	Poller	   *poller;			/* learns of sockets that come and go */
} TransferSettings;

/* A new handle with the options that never change; NULL when it can't be made.  Does not throw. */
extern Transfer *transfer_create(const TransferSettings *settings);

/* Does not throw. */
extern void transfer_free(Transfer *transfer);

/* Set what this request needs; the handle may then be started.  Does not throw. */
extern CURLcode transfer_prepare(Transfer *transfer, const TransferSettings *settings,
								 const Request *request, const TransferOptions *options);

/* Wait for a connection that is being made rather than open another.  Does not throw. */
extern void transfer_wait_for_connection(Transfer *transfer, bool is_wanted);

/*
 * Whether it ended before anything was sent, because the kept connection it got was closed; it may
 * then be renewed.  Does not throw.
 */
extern bool transfer_found_closed(const Transfer *transfer);

/* Make it ready to be started once more, over a connection of its own.  Does not throw. */
extern void transfer_renew(Transfer *transfer);

/* Write the answer of a transfer that ended with code.  Does not throw. */
extern void transfer_finish(Transfer *transfer, CURLcode code);

/* Let go of request and options, so that the handle can rest.  Does not throw. */
extern void transfer_release(Transfer *transfer, const TransferSettings *settings);

#endif							/* INTEGRATION_TRANSFER_H */
