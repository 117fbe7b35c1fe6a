/*-------------------------------------------------------------------------
 * certificate.h
 *		What a connection shows to the other side, what it accepts of it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_CERTIFICATE_H
#define INTEGRATION_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "message/credential.h"

/*
 * Texts in PEM, malloc'ed.  The key is apart from the chain, of which libcurl keeps
 * copies with its connections.
 */
typedef struct Certificate
{
	char	   *chain;			/* our own first; NULL: shows none */
	char	   *key;			/* secret; NULL where chain is */
	char	   *authorities;	/* the other side's must come from one of
								 * these; NULL: from one of the system's */
} Certificate;

/*
 * Take apart the value of a secret: a chain and the key of its first certificate, in
 * any order.  A static sentence, with nothing to be wiped, says why it can't be used.
 * Does not throw.
 */
extern const char *certificate_read(const char *pem, Certificate *certificate);

/*
 * What a credential of the kind client_certificate comes to; certificate_wipe() ends
 * it.  False: *problem says why, and there is nothing to be wiped.  Does not throw.
 */
extern bool certificate_open(const Credential *credential, Certificate *certificate,
							 CredentialProblem *problem);

/* Does not throw. */
extern void certificate_wipe(Certificate *certificate);

/*
 * When the first certificate of a text ends, in Unix seconds; false: there is none.
 * Does not throw.
 */
extern bool certificate_expires_at(const char *pem, int64_t *expires_at_s);

/* Why a text can't be settings.ca, as a static sentence; NULL: it can.  Does not throw. */
extern const char *certificate_authorities_problem(const char *pem);

#endif							/* INTEGRATION_CERTIFICATE_H */
