/*-------------------------------------------------------------------------
 * tokens.h
 *		Access tokens in the worker's memory: asked for once, for all that wait.
 *
 * A token is asked for when the first sync needs it, by one request whoever else
 * waits, and again in the background when an attempt finds that most of its life
 * is over.  It stands nowhere but here and in requests in flight.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TOKENS_H
#define INTEGRATION_TOKENS_H

#include "message/credential.h"
#include "worker/sender.h"

/* Called once for a worker. */
extern void tokens_init(Sender *sender);

/*
 * Whether the lease need not wait for an access token: its endpoint needs none,
 * there is one, or lease->reason and lease->problem say that it can't be had.
 * Otherwise it is asked for, and to be looked for again at *again_at; DT_NOEND:
 * when sending_tokens_changed() is called.
 */
extern bool tokens_are_there(Sender *sender, Lease *lease, TimestampTz *again_at);

/* Add the token of the credential to the lease's request.  False: *problem says why not. */
extern bool tokens_apply(Sender *sender, Lease *lease, const char *credential,
						 CredentialProblem *problem);

/* Take over what is the answer to a request for a token, free it; false: it is not one. */
extern bool tokens_collect(Sender *sender, Answer *answer);

/*
 * Whether lease->answer is none to judge: the other side refused the access
 * token, and the lease is to be sent again with another one.
 */
extern bool tokens_are_refused(Sender *sender, Lease *lease);

/* The credential is gone. */
extern void tokens_forget(Sender *sender, const char *credential);

/* Wipe all; nothing may be in flight. */
extern void tokens_wipe(Sender *sender);

#endif							/* INTEGRATION_TOKENS_H */
