/*-------------------------------------------------------------------------
 * seal.c
 *		Values sealed with AES-256-GCM.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "base/seal.h"

#define VERSION 1				/* the first byte of what is sealed */

static const unsigned char purpose[] = "integration secrets 1";

bool
seal_derive(Bytes material, SealKey *key)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	size_t		length = sizeof(key->bytes);
	bool		is_derived = context &&
		material.length >= SEAL_KEY_BYTES && material.length <= INT_MAX &&
		EVP_PKEY_derive_init(context) == 1 &&
		EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1 &&
		EVP_PKEY_CTX_set1_hkdf_key(context, material.data, (int) material.length) == 1 &&
		EVP_PKEY_CTX_add1_hkdf_info(context, purpose, sizeof(purpose) - 1) == 1 &&
		EVP_PKEY_derive(context, key->bytes, &length) == 1;

	EVP_PKEY_CTX_free(context);
	return is_derived;
}

static bool
encrypt(EVP_CIPHER_CTX *context, Bytes place, Bytes value, unsigned char *sealed)
{
	unsigned char *body = sealed + 1 + SEAL_NONCE_BYTES;
	int			length;

	return EVP_EncryptUpdate(context, NULL, &length, place.data, (int) place.length) == 1 &&
		EVP_EncryptUpdate(context, body, &length, value.data, (int) value.length) == 1 &&
		EVP_EncryptFinal_ex(context, body + value.length, &length) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, SEAL_TAG_BYTES,
							body + value.length) == 1;
}

bool
seal_close(const SealKey *key, Bytes place, Bytes value, unsigned char *sealed)
{
	EVP_CIPHER_CTX *context;
	bool		is_sealed;

	if (place.length > INT_MAX || value.length > INT_MAX - SEAL_ADDED_BYTES)
		return false;
	sealed[0] = VERSION;
	if (RAND_bytes(sealed + 1, SEAL_NONCE_BYTES) != 1)
		return false;
	context = EVP_CIPHER_CTX_new();
	is_sealed = context &&
		EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key->bytes, sealed + 1) == 1 &&
		encrypt(context, place, value, sealed);
	EVP_CIPHER_CTX_free(context);
	return is_sealed;
}

static bool
decrypt(EVP_CIPHER_CTX *context, Bytes place, Bytes sealed, unsigned char *value)
{
	const unsigned char *body = (const unsigned char *) sealed.data + 1 + SEAL_NONCE_BYTES;
	size_t		bytes = sealed.length - SEAL_ADDED_BYTES;
	unsigned char tag[SEAL_TAG_BYTES];
	unsigned char rest[SEAL_TAG_BYTES];
	int			length;

	memcpy(tag, body + bytes, sizeof(tag));
	return EVP_DecryptUpdate(context, NULL, &length, place.data, (int) place.length) == 1 &&
		EVP_DecryptUpdate(context, value, &length, body, (int) bytes) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, sizeof(tag), tag) == 1 &&
		EVP_DecryptFinal_ex(context, rest, &length) == 1;
}

bool
seal_open(const SealKey *key, Bytes place, Bytes sealed, unsigned char *value)
{
	const unsigned char *bytes = sealed.data;
	EVP_CIPHER_CTX *context;
	bool		is_open;

	if (sealed.length < SEAL_ADDED_BYTES || sealed.length > INT_MAX || bytes[0] != VERSION)
		return false;
	context = EVP_CIPHER_CTX_new();
	is_open = context &&
		EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key->bytes, bytes + 1) == 1 &&
		decrypt(context, place, sealed, value);
	EVP_CIPHER_CTX_free(context);
	if (!is_open)
		OPENSSL_cleanse(value, sealed.length - SEAL_ADDED_BYTES);
	return is_open;
}
