/*-------------------------------------------------------------------------
 * seal_test.c
 *		Secrets sealed, opened only as they were sealed.
 *
 * Compared with HMAC by hand (RFC 5869), with OpenSSL alone, with a test case
 * of the GCM specification.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/seal.h"
#include "tap.h"

#define TEXT_SPAN(text) (bytes_at(text, sizeof(text) - 1))

static const char place[] = "installation\ncredential\n1";
static const char value[] = "a value that is secret";

enum
{
	SEALED_BYTES = sizeof(value) - 1 + SEAL_ADDED_BYTES
};

/* RFC 5869 with a salt of zeros, one block: the same by hand. */
static void
check_derivation(void)
{
	static const char material[] = "0123456789abcdef0123456789abcdef and more";
	static const unsigned char info[] = "integration secrets 1\x01";
	unsigned char salt[32] = {0};
	unsigned char extracted[32];
	unsigned char expanded[32];
	unsigned int length;
	SealKey		key;

	HMAC(EVP_sha256(), salt, sizeof(salt), (const unsigned char *) material,
		 sizeof(material) - 1, extracted, &length);
	HMAC(EVP_sha256(), extracted, sizeof(extracted), info, sizeof(info) - 1, expanded, &length);
	tap_ok(seal_derive(TEXT_SPAN(material), &key), "a key is derived");
	tap_ok(memcmp(key.bytes, expanded, sizeof(expanded)) == 0, "as RFC 5869 says");
	tap_ok(!seal_derive(bytes_at(material, SEAL_KEY_BYTES - 1), &key), "31 bytes are too few");
}

/* What is sealed is AES-256-GCM and nothing of our own. */
static void
check_cipher(const SealKey *key, const unsigned char *sealed)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	unsigned char opened[sizeof(value) - 1];
	int			length;

	EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key->bytes, sealed + 1);
	EVP_DecryptUpdate(context, NULL, &length, (const unsigned char *) place, sizeof(place) - 1);
	EVP_DecryptUpdate(context, opened, &length, sealed + 1 + SEAL_NONCE_BYTES, sizeof(opened));
	EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, SEAL_TAG_BYTES,
						(void *) (sealed + 1 + SEAL_NONCE_BYTES + sizeof(opened)));
	tap_ok(EVP_DecryptFinal_ex(context, opened + length, &length) == 1, "OpenSSL alone opens it");
	tap_ok(memcmp(opened, value, sizeof(opened)) == 0, "with the same value");
	EVP_CIPHER_CTX_free(context);
}

/* Test case 13 of the GCM specification: a key and nonce of zeros. */
static void
check_vector(void)
{
	static const unsigned char tag[SEAL_TAG_BYTES] = {
		0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9,
		0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b
	};
	unsigned char sealed[SEAL_ADDED_BYTES] = {1};
	unsigned char opened[1];
	SealKey		key = {{0}};
	Bytes		nothing = {"", 0};

	memcpy(sealed + 1 + SEAL_NONCE_BYTES, tag, sizeof(tag));
	tap_ok(seal_open(&key, nothing, bytes_at(sealed, sizeof(sealed)), opened),
		   "test case 13 of the GCM specification opens");
}

static void
check_refusals(const SealKey *key, const unsigned char *sealed)
{
	unsigned char changed[SEALED_BYTES];
	unsigned char opened[SEALED_BYTES];
	SealKey		other = *key;
	int			refused = 0;

	for (int bit = 0; bit < SEALED_BYTES * 8; bit++)
	{
		memcpy(changed, sealed, sizeof(changed));
		changed[bit / 8] ^= (unsigned char) (1 << bit % 8);
		refused += !seal_open(key, TEXT_SPAN(place), bytes_at(changed, sizeof(changed)), opened);
	}
	tap_ok(refused == SEALED_BYTES * 8, "any changed bit is noticed");
	for (size_t length = 0; length < SEALED_BYTES; length++)
		refused += !seal_open(key, TEXT_SPAN(place), bytes_at(sealed, length), opened);
	tap_ok(refused == SEALED_BYTES * 9, "any cut is noticed");
	tap_ok(!seal_open(key, TEXT_SPAN("installation\ncredential\n2"),
					  bytes_at(sealed, SEALED_BYTES), opened), "another place is noticed");
	other.bytes[31] ^= 1;
	memset(opened, 'x', sizeof(opened));
	tap_ok(!seal_open(&other, TEXT_SPAN(place), bytes_at(sealed, SEALED_BYTES), opened),
		   "another key is noticed");
	tap_ok(opened[0] == 0 && opened[sizeof(value) - 2] == 0, "nothing is left of the value");
}

int
main(void)
{
	SealKey		key;
	unsigned char sealed[SEALED_BYTES];
	unsigned char again[SEALED_BYTES];
	unsigned char opened[sizeof(value) - 1];

	check_derivation();
	check_vector();
	seal_derive(TEXT_SPAN("0123456789abcdef0123456789abcdef"), &key);
	tap_ok(seal_close(&key, TEXT_SPAN(place), TEXT_SPAN(value), sealed), "a value is sealed");
	tap_ok(seal_close(&key, TEXT_SPAN(place), TEXT_SPAN(value), again) &&
		   memcmp(sealed, again, sizeof(sealed)) != 0, "never twice the same");
	tap_ok(seal_open(&key, TEXT_SPAN(place), bytes_at(sealed, sizeof(sealed)), opened) &&
		   memcmp(opened, value, sizeof(opened)) == 0, "it opens");
	check_cipher(&key, sealed);
	check_refusals(&key, sealed);
	return tap_done();
}
