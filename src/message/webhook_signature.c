/*-------------------------------------------------------------------------
 * webhook_signature.c
 *		Signatures of Standard Webhooks 1.0.0.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "message/webhook_signature.h"

#define ID_HEADER "webhook-id"
#define TIMESTAMP_DIGITS 18

static const char *find_header(const Request *request, const char *name);
static void begin_content(Text *content, const char *id, const char *timestamp);
static const char *append_signatures(const Credential *credential, const Text *content,
									 Text *signatures);
static const char *append_signature(const char *value, const Text *content, Text *signatures);
static const char *version_of(const SigningKey *key);
static bool read_timestamp(const char *text, int64_t *timestamp_s);
static bool is_recent(const char *text, int64_t now_s, int64_t tolerance_s);
static bool one_matches(const char *signatures, Bytes content, const SigningKey *key);
static bool matches(Bytes text, Bytes content, const SigningKey *key);

bool
webhook_signature_apply(const Credential *credential, Request *request, int64_t now_s,
						CredentialProblem *problem)
{
	const char *id = find_header(request, ID_HEADER);
	Text		content = {0};
	Text		signatures = {0};
	const char *wrong;
	char		timestamp[24];
	bool		has_memory;

	snprintf(timestamp, sizeof(timestamp), "%" PRId64, now_s);
	if (!id || strchr(id, '.'))
		wrong = "The request has no webhook-id without a dot, which a signature needs.";
	else
	{
		begin_content(&content, id, timestamp);
		text_append(&content, request->body, request->body_bytes);
		wrong = append_signatures(credential, &content, &signatures);
	}
	has_memory = !content.failed && !signatures.failed;
	if (has_memory && !wrong)
		has_memory = request_set_secret(request, "webhook-timestamp", timestamp) &&
			request_set_secret(request, "webhook-signature", signatures.data);
	text_free(&content);
	text_free(&signatures);
	if (has_memory && !wrong)
		return true;

	problem->reason = has_memory ? "signing_failed" : "curl:27";
	snprintf(problem->text, sizeof(problem->text), "%s",
			 has_memory ? wrong : "The signature needs more memory than there is.");
	return false;
}

bool
webhook_signature_matches(const WebhookHeaders *headers, Bytes body, const SigningKey *key,
						  int64_t now_s, int64_t tolerance_s)
{
	Text		content = {0};
	bool		is_right = false;

	if (!headers->id || !headers->timestamp || !headers->signature ||
		!is_recent(headers->timestamp, now_s, tolerance_s))
		return false;
	begin_content(&content, headers->id, headers->timestamp);
	text_append(&content, body.data, body.length);
	if (!content.failed)
		is_right = one_matches(headers->signature, bytes_at(content.data, content.length), key);
	text_free(&content);
	return is_right;
}

static const char *
find_header(const Request *request, const char *name)
{
	size_t		length = strlen(name);

	for (int i = 0; i < request->header_count; i++)
		if (strncasecmp(request->headers[i], name, length) == 0 &&
			strncmp(request->headers[i] + length, ": ", 2) == 0)
			return request->headers[i] + length + 2;
	return NULL;
}

static void
begin_content(Text *content, const char *id, const char *timestamp)
{
	text_append_string(content, id);
	text_append_char(content, '.');
	text_append_string(content, timestamp);
	text_append_char(content, '.');
}

static const char *
append_signatures(const Credential *credential, const Text *content, Text *signatures)
{
	const char *wrong = credential->value_count > 0 ? NULL : "There is no key to sign with.";

	for (int i = 0; i < credential->value_count && !wrong; i++)
		wrong = append_signature(credential->values[i], content, signatures);
	return wrong;
}

static const char *
append_signature(const char *value, const Text *content, Text *signatures)
{
	SigningKey	key;
	Signature	signature;
	const char *wrong = signing_key_read(value, &key);

	if (!wrong && key.kind == SIGNING_PUBLIC)
		wrong = "The signing key is a public key, which cannot sign.";
	if (!wrong && !content->failed &&
		!signing_key_sign(&key, bytes_at(content->data, content->length), &signature))
		wrong = "The signing key was refused by OpenSSL.";
	if (!wrong && !content->failed)
	{
		if (signatures->length > 0)
			text_append_char(signatures, ' ');
		text_append_string(signatures, version_of(&key));
		digest_append_base64(signatures, bytes_at(signature.bytes, signature.length));
	}
	signing_key_wipe(&key);
	return wrong;
}

static const char *
version_of(const SigningKey *key)
{
	return key->kind == SIGNING_SHARED ? "v1," : "v1a,";
}

static bool
is_recent(const char *text, int64_t now_s, int64_t tolerance_s)
{
	int64_t		timestamp_s;

	if (!read_timestamp(text, &timestamp_s))
		return false;
	return tolerance_s < 0 ||
		(timestamp_s >= now_s - tolerance_s && timestamp_s <= now_s + tolerance_s);
}

static bool
read_timestamp(const char *text, int64_t *timestamp_s)
{
	size_t		length = strlen(text);

	if (length == 0 || length > TIMESTAMP_DIGITS || strspn(text, "0123456789") != length)
		return false;
	*timestamp_s = strtoll(text, NULL, 10);
	return true;
}

static bool
one_matches(const char *signatures, Bytes content, const SigningKey *key)
{
	while (*signatures)
	{
		size_t		length = strcspn(signatures, " ");

		if (matches(bytes_at(signatures, length), content, key))
			return true;
		signatures += length;
		signatures += strspn(signatures, " ");
	}
	return false;
}

static bool
matches(Bytes text, Bytes content, const SigningKey *key)
{
	const char *version = version_of(key);
	size_t		length = strlen(version);
	Signature	signature;

	if (text.length < length || memcmp(text.data, version, length) != 0)
		return false;
	text.data = (const char *) text.data + length;
	text.length -= length;
	return digest_read_base64(text, signature.bytes, sizeof(signature.bytes), &signature.length) &&
		signing_key_verify(key, content, &signature);
}
