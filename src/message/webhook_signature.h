/*-------------------------------------------------------------------------
 * webhook_signature.h
 *		Signatures of Standard Webhooks 1.0.0.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WEBHOOK_SIGNATURE_H
#define INTEGRATION_WEBHOOK_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "message/credential.h"
#include "message/digest.h"
#include "message/signing_key.h"

/*
 * Set webhook-timestamp to now_s, and webhook-signature to a signature by each
 * value, newest first: "v1" by a shared secret, "v1a" by a secret key.  The
 * request has its webhook-id already.  Returns false with *problem set
 * ("signing_failed", "curl:27" when out of memory).  Does not throw.
 */
extern bool webhook_signature_apply(const Credential *credential, Request *request,
									int64_t now_s, CredentialProblem *problem);

/* What a receiver was sent: the three headers' values. */
typedef struct WebhookHeaders
{
	const char *id;
	const char *timestamp;
	const char *signature;
} WebhookHeaders;

/*
 * Whether one of the signatures is the key's, and the timestamp no more than
 * tolerance_s from now_s, either way; tolerance_s below 0: any.  Versions that
 * are not known, or not this kind of key's, are skipped.  Does not throw.
 */
extern bool webhook_signature_matches(const WebhookHeaders *headers, Bytes body,
									  const SigningKey *key, int64_t now_s, int64_t tolerance_s);

#endif							/* INTEGRATION_WEBHOOK_SIGNATURE_H */
