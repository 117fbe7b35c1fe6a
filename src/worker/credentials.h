/*-------------------------------------------------------------------------
 * credentials.h
 *		Secrets in the worker's memory: opened for use, wiped afterwards.
 *
 * A secret is opened when the first attempt needs it, from the sealed row that
 * the registry brought.  What it refers to is read at use, at most every ten
 * seconds.  An attempt holds on to what it was made with until it has ended.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WORKER_CREDENTIALS_H
#define INTEGRATION_WORKER_CREDENTIALS_H

#include "message/certificate.h"
#include "message/credential.h"
#include "worker/sender.h"

#define CREDENTIAL_NAME_BYTES 512	/* 100 characters:
									 * integration_worker.name_problem() */

/* Who asks for access tokens; good until the next call of this file. */
typedef struct OAuthClient
{
	const Credential *credential;
	int64		opening;		/* another one: the credential may be, too */
} OAuthClient;

/* Called once for a worker. */
extern void credentials_init(Sender *sender);

/*
 * Read what these endpoints authenticate with, as part of the load that goes
 * on.  Within session_run(); may throw.
 */
extern void credentials_load(Sender *sender, const EndpointRow *rows, int count);

/* The load has ended: what it did not read is gone. */
extern void credentials_end_load(Sender *sender);

/* The key or what is referred to may be another one: open all anew. */
extern void credentials_reopen(Sender *sender);

/*
 * Add to the lease's request what its endpoint authenticates with, signs with.
 * False: lease->reason and lease->problem say why it must not leave.  Runs a
 * transaction of its own where a view is referred to.
 */
extern bool credentials_apply(Sender *sender, Lease *lease);

/*
 * The OAuth 2.0 client of that name.  False: it is of another kind, or can't be
 * used, which credentials_apply() will say.  May run a transaction like that.
 */
extern bool credentials_client(Sender *sender, const char *name, OAuthClient *client);

/*
 * What the connection of the attempt shows and trusts, until credentials_remove();
 * NULL: nothing of its own.
 */
extern const Certificate *credentials_certificate(const Lease *lease);

/* Take it out of the request again, wiped, and out of the answer that echoes it. */
extern void credentials_remove(Sender *sender, Lease *lease);

/* Wipe all; nothing may be in flight. */
extern void credentials_wipe(Sender *sender);

#endif							/* INTEGRATION_WORKER_CREDENTIALS_H */
