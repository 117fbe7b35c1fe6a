/*-------------------------------------------------------------------------
 * http_signature.h
 *		HTTP Message Signatures (RFC 9421) over Content-Digest (RFC 9530).
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_HTTP_SIGNATURE_H
#define INTEGRATION_HTTP_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "message/credential.h"

/*
 * Set Content-Digest, Signature-Input and Signature, with a signature by each value,
 * newest first, labelled "sig1", "sig2", ...: "hmac-sha256" by a shared secret,
 * "ed25519" by a secret key, over "@method" "@authority" "@path", "@query" where
 * there is one, and "content-digest".  settings.key_id is the keyid; without one it
 * is a fingerprint of the key.  Normalises the URL.  Fails as
 * webhook_signature_apply() does.  Does not throw.
 */
extern bool http_signature_apply(const Credential *credential, Request *request,
								 int64_t now_s, CredentialProblem *problem);

#endif							/* INTEGRATION_HTTP_SIGNATURE_H */
