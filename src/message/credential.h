/*-------------------------------------------------------------------------
 * credential.h
 *		Who we are, in the headers of a request.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_CREDENTIAL_H
#define INTEGRATION_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/request.h"
#include "message/text.h"

typedef enum CredentialKind
{
	CREDENTIAL_NONE,
	CREDENTIAL_BASIC,
	CREDENTIAL_BEARER,
	CREDENTIAL_HEADER,
	CREDENTIAL_OAUTH2,
	CREDENTIAL_AWS_SIGV4,
	CREDENTIAL_CLIENT_CERTIFICATE,
	CREDENTIAL_SIGNING
} CredentialKind;

/* The caller owns everything; all text is UTF-8. */
typedef struct Credential
{
	CredentialKind kind;
	const char *settings;		/* JSON object of what is not secret */
	const char *const *values;	/* secrets that are valid now, newest first */
	int			value_count;
} Credential;

/* What keeps a credential from being applied. */
typedef struct CredentialProblem
{
	const char *reason;			/* an error_reason, static */
	char		text[256];		/* a sentence */
} CredentialProblem;

/* The kind of that name in credential.kind; CREDENTIAL_NONE for any other.  Does not throw. */
extern CredentialKind credential_kind_of(const char *name);

/*
 * Why a secret of this kind can't have that value, as a static sentence; NULL:
 * it can.  Does not throw.
 */
extern const char *credential_value_problem(CredentialKind kind, const char *value);

/*
 * Add the header lines for an attempt made at now_s (Unix seconds) to *request:
 * secrets of it, see request_set_secret().  Of OAuth 2.0 the value is the access
 * token.  A client certificate adds none: see certificate_open().  False: *problem
 * says why, and the request must not be sent.  Does not throw.
 */
extern bool credential_apply(const Credential *credential, Request *request,
							 int64_t now_s, CredentialProblem *problem);

/*
 * Set Authorization for the scheme Basic, from "user:password".  False: memory
 * ran out.  Does not throw.
 */
extern bool credential_set_basic(Request *request, const Text *pair);

/*
 * The member of that name in a JSON object of strings, malloc'ed; NULL: there
 * is none, or memory ran out.  Does not throw.
 */
extern char *credential_setting(const char *settings, const char *name);

#endif							/* INTEGRATION_CREDENTIAL_H */
