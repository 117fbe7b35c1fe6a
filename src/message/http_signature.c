/*-------------------------------------------------------------------------
 * http_signature.c
 *		HTTP Message Signatures (RFC 9421) over Content-Digest (RFC 9530).
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "message/http_signature.h"
#include "message/json.h"
#include "message/signing_key.h"
#include "message/wire_url.h"

#define FINGERPRINT_DIGITS 16
#define FINGERPRINT_LABEL "integration key id"

/* A request's signatures in the making; problem is NULL while all is well. */
typedef struct Draft
{
	Request    *request;
	int64_t		now_s;
	WireUrl		url;
	Text		digest;			/* Content-Digest */
	Text		key_id;			/* as set, or empty */
	Text		inputs;			/* Signature-Input */
	Text		signatures;		/* Signature */
	const char *problem;
	bool		lacks_memory;
} Draft;

static void read_key_id(Draft *draft, const char *settings);
static void write_digest(Draft *draft);
static void add_signature(Draft *draft, const char *value, int number);
static bool sign(Draft *draft, const SigningKey *key, const Text *parameters,
				 Signature *signature);
static void append_parameters(const Draft *draft, const SigningKey *key, Text *parameters);
static void append_key_id(const Draft *draft, const SigningKey *key, Text *parameters);
static void append_line(Text *base, const char *name, const Text *value);
static void set_headers(Draft *draft);
static void free_draft(Draft *draft);

bool
http_signature_apply(const Credential *credential, Request *request, int64_t now_s,
					 CredentialProblem *problem)
{
	Draft		draft = {.request = request,.now_s = now_s};

	draft.problem = wire_url_read(request->url, &draft.url);
	if (!draft.problem && credential->value_count == 0)
		draft.problem = "There is no key to sign with.";
	if (!draft.problem)
		read_key_id(&draft, credential->settings);
	if (!draft.problem)
		write_digest(&draft);
	for (int i = 0; i < credential->value_count && !draft.problem; i++)
		add_signature(&draft, credential->values[i], i + 1);
	if (!draft.problem)
		set_headers(&draft);
	if (draft.problem)
	{
		problem->reason = draft.lacks_memory ? "curl:27" : "signing_failed";
		snprintf(problem->text, sizeof(problem->text), "%s", draft.problem);
	}
	free_draft(&draft);
	return !draft.problem;
}

/* RFC 8941 §3.3.3: what a string may hold */
static void
read_key_id(Draft *draft, const char *settings)
{
	text_append(&draft->key_id, "", 0);
	if (settings)
		json_find(settings, "key_id", &draft->key_id);
	for (size_t i = 0; i < draft->key_id.length; i++)
		if (draft->key_id.data[i] < 0x20 || draft->key_id.data[i] > 0x7e)
			draft->problem = "The setting key_id holds something other than printable ASCII.";
}

static void
write_digest(Draft *draft)
{
	unsigned char digest[DIGEST_BYTES];
	Bytes		body = {draft->request->body, draft->request->body_bytes};

	if (!digest_sha256(body, digest))
		draft->problem = "The body's digest was refused by OpenSSL.";
	text_append_string(&draft->digest, "sha-256=:");
	digest_append_base64(&draft->digest, bytes_at(digest, sizeof(digest)));
	text_append_char(&draft->digest, ':');
}

static void
add_signature(Draft *draft, const char *value, int number)
{
	SigningKey	key;
	Signature	signature;
	Text		parameters = {0};
	char		label[24];

	snprintf(label, sizeof(label), "%ssig%d=", number > 1 ? ", " : "", number);
	draft->problem = signing_key_read(value, &key);
	if (!draft->problem && key.kind == SIGNING_PUBLIC)
		draft->problem = "The signing key is a public key, which cannot sign.";
	if (!draft->problem)
		append_parameters(draft, &key, &parameters);
	if (!draft->problem && !parameters.failed && sign(draft, &key, &parameters, &signature))
	{
		text_append_string(&draft->inputs, label);
		text_append(&draft->inputs, parameters.data, parameters.length);
		text_append_string(&draft->signatures, label);
		text_append_char(&draft->signatures, ':');
		digest_append_base64(&draft->signatures, bytes_at(signature.bytes, signature.length));
		text_append_char(&draft->signatures, ':');
	}
	if (parameters.failed)
		draft->inputs.failed = true;
	text_free(&parameters);
	signing_key_wipe(&key);
}

/* RFC 9421 §2.5 */
static bool
sign(Draft *draft, const SigningKey *key, const Text *parameters, Signature *signature)
{
	Text		base = {0};
	bool		is_signed = false;

	text_append_string(&base, "\"@method\": ");
	text_append_string(&base, draft->request->method);
	text_append_char(&base, '\n');
	append_line(&base, "@authority", &draft->url.authority);
	append_line(&base, "@path", &draft->url.path);
	if (draft->url.query.length > 0)
	{
		text_append_string(&base, "\"@query\": ?");
		text_append(&base, draft->url.query.data, draft->url.query.length);
		text_append_char(&base, '\n');
	}
	append_line(&base, "content-digest", &draft->digest);
	text_append_string(&base, "\"@signature-params\": ");
	text_append(&base, parameters->data, parameters->length);
	if (base.failed)
		draft->inputs.failed = true;
	else if (signing_key_sign(key, bytes_at(base.data, base.length), signature))
		is_signed = true;
	else
		draft->problem = "The signing key was refused by OpenSSL.";
	text_free(&base);
	return is_signed;
}

/* RFC 9421 §2.3 */
static void
append_parameters(const Draft *draft, const SigningKey *key, Text *parameters)
{
	char		created[48];

	text_append_string(parameters, "(\"@method\" \"@authority\" \"@path\"");
	if (draft->url.query.length > 0)
		text_append_string(parameters, " \"@query\"");
	snprintf(created, sizeof(created), " \"content-digest\");created=%" PRId64, draft->now_s);
	text_append_string(parameters, created);
	text_append_string(parameters, ";keyid=");
	append_key_id(draft, key, parameters);
	text_append_string(parameters, ";alg=\"");
	text_append_string(parameters, key->kind == SIGNING_SHARED ? "hmac-sha256" : "ed25519");
	text_append_char(parameters, '"');
}

/* A fingerprint of a shared secret is keyed by it, so that it helps nobody to guess. */
static void
append_key_id(const Draft *draft, const SigningKey *key, Text *parameters)
{
	SigningKey	public_key = {0};
	unsigned char digest[DIGEST_BYTES] = {0};
	char		hex[DIGEST_HEX_BYTES];
	bool		is_made;

	if (draft->key_id.length > 0)
	{
		text_append_quoted(parameters, draft->key_id.data);
		return;
	}
	if (key->kind == SIGNING_SHARED)
		is_made = digest_hmac(bytes_at(key->bytes, key->length),
							  bytes_at(FINGERPRINT_LABEL, strlen(FINGERPRINT_LABEL)), digest);
	else
		is_made = signing_key_public(key, &public_key) &&
			digest_sha256(bytes_at(public_key.bytes, public_key.length), digest);
	digest_hex(digest, hex);
	hex[is_made ? FINGERPRINT_DIGITS : 0] = '\0';
	text_append_quoted(parameters, hex);
}

static void
append_line(Text *base, const char *name, const Text *value)
{
	text_append_char(base, '"');
	text_append_string(base, name);
	text_append_string(base, "\": ");
	text_append(base, value->data, value->length);
	text_append_char(base, '\n');
	base->failed |= value->failed;
}

static void
set_headers(Draft *draft)
{
	draft->lacks_memory = draft->digest.failed || draft->key_id.failed ||
		draft->inputs.failed || draft->signatures.failed ||
		!wire_url_put(&draft->url, draft->request) ||
		!request_set_secret(draft->request, "Content-Digest", draft->digest.data) ||
		!request_set_secret(draft->request, "Signature-Input", draft->inputs.data) ||
		!request_set_secret(draft->request, "Signature", draft->signatures.data);
	if (draft->lacks_memory)
		draft->problem = "The signature needs more memory than there is.";
}

static void
free_draft(Draft *draft)
{
	wire_url_free(&draft->url);
	text_free(&draft->digest);
	text_free(&draft->key_id);
	text_free(&draft->inputs);
	text_free(&draft->signatures);
}
