/*-------------------------------------------------------------------------
 * signing_key.c
 *		Keys that sign or verify what is sent.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "message/signing_key.h"

#define SEED_BYTES 32
#define BLANKS " \t\r\n"

static const struct
{
	SigningKind kind;
	const char *prefix;
}			prefixes[] =

{
	{SIGNING_SHARED, "whsec_"},
	{SIGNING_SECRET, "whsk_"},
	{SIGNING_PUBLIC, "whpk_"},
};

static const char *prefix_of(SigningKind kind);
static const char *check_length(SigningKey *key);
static bool halves_match(const SigningKey *key);
static EVP_PKEY *open_secret(const SigningKey *key);
static bool sign_with_secret(const SigningKey *key, Bytes content, Signature *signature);
static bool verify_with_public(const SigningKey *key, Bytes content, const Signature *signature);

const char *
signing_key_read(const char *text, SigningKey *key)
{
	const char *problem;
	Bytes		base64;

	memset(key, 0, sizeof(*key));
	text += strspn(text, BLANKS);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
	{
		size_t		length = strlen(prefixes[i].prefix);

		if (strncmp(text, prefixes[i].prefix, length) != 0)
			continue;
		key->kind = prefixes[i].kind;
		text += length;
		break;
	}
	base64 = bytes_at(text, strcspn(text, BLANKS));
	if (text[base64.length + strspn(text + base64.length, BLANKS)] != '\0')
		problem = "The signing key holds a blank.";
	else if (!digest_read_base64(base64, key->bytes, sizeof(key->bytes), &key->length))
		problem = "The signing key is not in base64 of at most 512 bytes.";
	else
		problem = check_length(key);
	if (problem)
		signing_key_wipe(key);
	return problem;
}

bool
signing_key_make(SigningKind kind, SigningKey *key)
{
	memset(key, 0, sizeof(*key));
	key->kind = kind;
	key->length = SEED_BYTES;
	return kind != SIGNING_PUBLIC && RAND_priv_bytes(key->bytes, SEED_BYTES) == 1;
}

bool
signing_key_append(Text *text, const SigningKey *key)
{
	SigningKey	whole = *key;
	SigningKey	public_key = {0};
	bool		is_whole = true;

	if (key->kind == SIGNING_SECRET)
	{
		is_whole = signing_key_public(key, &public_key);
		memcpy(whole.bytes + SEED_BYTES, public_key.bytes, SIGNING_PUBLIC_BYTES);
		whole.length = SEED_BYTES + SIGNING_PUBLIC_BYTES;
	}
	/* so that no copy stays behind where it would have grown */
	text_reserve(text, 2 * SIGNING_KEY_MAX_BYTES);
	text_append_string(text, prefix_of(key->kind));
	digest_append_base64(text, bytes_at(whole.bytes, whole.length));
	signing_key_wipe(&whole);
	return is_whole && !text->failed;
}

bool
signing_key_public(const SigningKey *key, SigningKey *public_key)
{
	EVP_PKEY   *opened;
	size_t		length = SIGNING_PUBLIC_BYTES;
	bool		is_read;

	if (key->kind == SIGNING_SHARED)
		return false;
	memset(public_key, 0, sizeof(*public_key));
	public_key->kind = SIGNING_PUBLIC;
	public_key->length = SIGNING_PUBLIC_BYTES;
	if (key->kind == SIGNING_PUBLIC)
	{
		memcpy(public_key->bytes, key->bytes, SIGNING_PUBLIC_BYTES);
		return true;
	}
	opened = open_secret(key);
	is_read = opened && EVP_PKEY_get_raw_public_key(opened, public_key->bytes, &length) == 1;
	EVP_PKEY_free(opened);
	return is_read;
}

bool
signing_key_sign(const SigningKey *key, Bytes content, Signature *signature)
{
	if (key->kind == SIGNING_SECRET)
		return sign_with_secret(key, content, signature);
	signature->length = DIGEST_BYTES;
	return key->kind == SIGNING_SHARED &&
		digest_hmac(bytes_at(key->bytes, key->length), content, signature->bytes);
}

bool
signing_key_verify(const SigningKey *key, Bytes content, const Signature *signature)
{
	Signature	wanted;

	if (key->kind != SIGNING_SHARED)
		return verify_with_public(key, content, signature);
	return signing_key_sign(key, content, &wanted) && signature->length == wanted.length &&
		CRYPTO_memcmp(signature->bytes, wanted.bytes, wanted.length) == 0;
}

void
signing_key_wipe(SigningKey *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

static const char *
prefix_of(SigningKind kind)
{
	size_t		at = 0;

	while (prefixes[at].kind != kind)
		at++;
	return prefixes[at].prefix;
}

static const char *
check_length(SigningKey *key)
{
	if (key->length == 0)
		return "The signing key is empty.";
	if (key->kind == SIGNING_PUBLIC && key->length != SIGNING_PUBLIC_BYTES)
		return "The public key does not have 32 bytes.";
	if (key->kind != SIGNING_SECRET || key->length == SEED_BYTES)
		return NULL;
	if (key->length != SEED_BYTES + SIGNING_PUBLIC_BYTES)
		return "The secret key has neither 32 nor 64 bytes.";
	if (!halves_match(key))
		return "The secret key holds a public half that is not its own.";
	OPENSSL_cleanse(key->bytes + SEED_BYTES, SIGNING_PUBLIC_BYTES);
	key->length = SEED_BYTES;
	return NULL;
}

static bool
halves_match(const SigningKey *key)
{
	SigningKey	public_key;

	return signing_key_public(key, &public_key) &&
		CRYPTO_memcmp(public_key.bytes, key->bytes + SEED_BYTES, SIGNING_PUBLIC_BYTES) == 0;
}

static EVP_PKEY *
open_secret(const SigningKey *key)
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->bytes, SEED_BYTES);
}

static bool
sign_with_secret(const SigningKey *key, Bytes content, Signature *signature)
{
	EVP_PKEY   *opened = open_secret(key);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		is_signed;

	signature->length = sizeof(signature->bytes);
	is_signed = opened && context &&
		EVP_DigestSignInit(context, NULL, NULL, NULL, opened) == 1 &&
		EVP_DigestSign(context, signature->bytes, &signature->length,
					   content.data, content.length) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(opened);
	return is_signed;
}

static bool
verify_with_public(const SigningKey *key, Bytes content, const Signature *signature)
{
	SigningKey	public_key;
	EVP_PKEY   *opened = NULL;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		is_right;

	if (signing_key_public(key, &public_key))
		opened = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key.bytes,
											 SIGNING_PUBLIC_BYTES);
	is_right = opened && context &&
		EVP_DigestVerifyInit(context, NULL, NULL, NULL, opened) == 1 &&
		EVP_DigestVerify(context, signature->bytes, signature->length,
						 content.data, content.length) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(opened);
	return is_right;
}
