/*-------------------------------------------------------------------------
 * sigv4.h
 *		AWS Signature Version 4.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SIGV4_H
#define INTEGRATION_SIGV4_H

#include <stdbool.h>
#include <stdint.h>

#include "message/credential.h"

/*
 * Why a value can't be a secret to sign with, as a static sentence; NULL: it can.
 * Does not throw.
 */
extern const char *sigv4_secret_problem(const char *value);

/*
 * Set X-Amz-Date to now_s, Authorization, X-Amz-Security-Token where there is one,
 * for S3 X-Amz-Content-Sha256.  settings: region, service, access_key_id.  The newest
 * value is the secret access key, or a JSON object with secret_access_key,
 * session_token, access_key_id.  Signs all headers but those that change on the way.
 *
 * The URL becomes one that all servers read alike: see sigv4.c.  Fails as
 * webhook_signature_apply() does.  Does not throw.
 */
extern bool sigv4_apply(const Credential *credential, Request *request, int64_t now_s,
						CredentialProblem *problem);

#endif							/* INTEGRATION_SIGV4_H */
