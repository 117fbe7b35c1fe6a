/*-------------------------------------------------------------------------
 * credential.c
 *		Who we are, in the headers of a request.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/certificate.h"
#include "message/credential.h"
#include "message/digest.h"
#include "message/header.h"
#include "message/http_signature.h"
#include "message/json.h"
#include "message/sigv4.h"
#include "message/webhook_signature.h"

/* Standard Webhooks 1.0.0, "Symmetric" */
#define SHARED_LEAST_BYTES 24

static const char *const kind_names[] = {
	[CREDENTIAL_BASIC] = "basic",
	[CREDENTIAL_BEARER] = "bearer",
	[CREDENTIAL_HEADER] = "header",
	[CREDENTIAL_OAUTH2] = "oauth2_client_credentials",
	[CREDENTIAL_AWS_SIGV4] = "aws_sigv4",
	[CREDENTIAL_CLIENT_CERTIFICATE] = "client_certificate",
	[CREDENTIAL_SIGNING] = "signing",
};

CredentialKind
credential_kind_of(const char *name)
{
	for (int kind = CREDENTIAL_BASIC; kind <= CREDENTIAL_SIGNING; kind++)
		if (strcmp(name, kind_names[kind]) == 0)
			return (CredentialKind) kind;
	return CREDENTIAL_NONE;
}

char *
credential_setting(const char *settings, const char *name)
{
	Text		value = {0};

	if (json_find(settings, name, &value))
		return text_take(&value);
	text_free(&value);
	return NULL;
}

static const char *
signing_value_problem(const char *value)
{
	SigningKey	key;
	const char *wrong = signing_key_read(value, &key);

	if (!wrong && key.kind == SIGNING_PUBLIC)
		wrong = "The value is a public key, which cannot sign.";
	if (!wrong && key.kind == SIGNING_SHARED && key.length < SHARED_LEAST_BYTES)
		wrong = "The signing key has less than 24 bytes; integration.new_signing_key() makes a good one.";
	signing_key_wipe(&key);
	return wrong;
}

static const char *
certificate_value_problem(const char *value)
{
	Certificate certificate;
	const char *wrong = certificate_read(value, &certificate);

	certificate_wipe(&certificate);
	return wrong;
}

const char *
credential_value_problem(CredentialKind kind, const char *value)
{
	bool		is_line = kind == CREDENTIAL_BASIC || kind == CREDENTIAL_BEARER ||
		kind == CREDENTIAL_HEADER;

	if (value[0] == '\0')
		return "The value is empty.";
	if (is_line && header_value_problem(value))
		return "The value holds a line break or another control character, or is longer than 8192 bytes.";
	if (kind == CREDENTIAL_SIGNING)
		return signing_value_problem(value);
	if (kind == CREDENTIAL_CLIENT_CERTIFICATE)
		return certificate_value_problem(value);
	if (kind == CREDENTIAL_AWS_SIGV4)
		return sigv4_secret_problem(value);
	return NULL;
}

static bool
refuse(CredentialProblem *problem, const char *reason, const char *text)
{
	problem->reason = reason;
	snprintf(problem->text, sizeof(problem->text), "%s", text);
	return false;
}

static bool
refuse_for_memory(CredentialProblem *problem)
{
	return refuse(problem, "curl:27", "The request needs more memory than there is.");
}

static bool
set_authorization(const char *scheme, const char *value, Request *request)
{
	Text		line = {0};
	bool		is_set;

	/* a buffer that never grows: no copy stays behind */
	text_reserve(&line, strlen(scheme) + 1 + strlen(value));
	text_append_string(&line, scheme);
	text_append_char(&line, ' ');
	text_append_string(&line, value);
	is_set = !line.failed && request_set_secret(request, "Authorization", line.data);
	text_wipe(&line);
	return is_set;
}

bool
credential_set_basic(Request *request, const Text *pair)
{
	Text		encoded = {0};
	bool		is_set;

	digest_append_base64(&encoded, bytes_at(pair->data, pair->length));
	is_set = !pair->failed && !encoded.failed &&
		set_authorization("Basic", encoded.data, request);
	text_wipe(&encoded);
	return is_set;
}

static bool
apply_bearer(const Credential *credential, Request *request, CredentialProblem *problem)
{
	return set_authorization("Bearer", credential->values[0], request) ||
		refuse_for_memory(problem);
}

/* RFC 7617 §2: the user name ends at the first colon; §2.1: UTF-8 */
static bool
apply_basic(const Credential *credential, Request *request, CredentialProblem *problem)
{
	char	   *user = credential_setting(credential->settings, "username");
	Text		pair = {0};
	bool		is_set = false;

	if (user)
	{
		text_reserve(&pair, strlen(user) + 1 + strlen(credential->values[0]));
		text_append_string(&pair, user);
		text_append_char(&pair, ':');
		text_append_string(&pair, credential->values[0]);
		is_set = credential_set_basic(request, &pair);
	}
	text_wipe(&pair);
	free(user);
	return is_set || refuse_for_memory(problem);
}

static bool
apply_header(const Credential *credential, Request *request, CredentialProblem *problem)
{
	char	   *name = credential_setting(credential->settings, "name");
	bool		is_set = name && request_set_secret(request, name, credential->values[0]);

	free(name);
	return is_set || refuse_for_memory(problem);
}

static bool
apply_signature(const Credential *credential, Request *request, int64_t now_s,
				CredentialProblem *problem)
{
	char	   *scheme = credential_setting(credential->settings, "scheme");
	bool		is_http = scheme && strcmp(scheme, "rfc9421") == 0;

	free(scheme);
	return is_http ? http_signature_apply(credential, request, now_s, problem) :
		webhook_signature_apply(credential, request, now_s, problem);
}

bool
credential_apply(const Credential *credential, Request *request,
				 int64_t now_s, CredentialProblem *problem)
{
	const char *broken;

	if (credential->kind == CREDENTIAL_CLIENT_CERTIFICATE)
		return true;
	if (credential->value_count == 0)
		return refuse(problem, "secret_missing", "No secret is valid at this time.");
	broken = credential_value_problem(credential->kind, credential->values[0]);
	if (broken)
		return refuse(problem, "secret_unreadable", broken);
	switch (credential->kind)
	{
		case CREDENTIAL_BASIC:
			return apply_basic(credential, request, problem);
		case CREDENTIAL_BEARER:
		case CREDENTIAL_OAUTH2:
			return apply_bearer(credential, request, problem);
		case CREDENTIAL_HEADER:
			return apply_header(credential, request, problem);
		case CREDENTIAL_AWS_SIGV4:
			return sigv4_apply(credential, request, now_s, problem);
		case CREDENTIAL_SIGNING:
			return apply_signature(credential, request, now_s, problem);
		case CREDENTIAL_CLIENT_CERTIFICATE:
		case CREDENTIAL_NONE:
			break;
	}
	return true;
}
