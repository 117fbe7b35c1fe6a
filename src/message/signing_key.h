/*-------------------------------------------------------------------------
 * signing_key.h
 *		Keys that sign or verify what is sent.
 *
 * In the forms of Standard Webhooks: "whsec_..." is a shared secret, "whsk_..."
 * an Ed25519 secret key, "whpk_..." its public half.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SIGNING_KEY_H
#define INTEGRATION_SIGNING_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "message/digest.h"

#define SIGNING_KEY_MAX_BYTES 512
#define SIGNING_PUBLIC_BYTES 32
#define SIGNING_MAX_BYTES 64	/* of a signature */

typedef enum SigningKind
{
	SIGNING_SHARED,				/* HMAC-SHA256 */
	SIGNING_SECRET,				/* Ed25519, signs */
	SIGNING_PUBLIC				/* Ed25519, only verifies */
} SigningKind;

/* Key material: the caller wipes it with signing_key_wipe(). */
typedef struct SigningKey
{
	SigningKind kind;
	unsigned char bytes[SIGNING_KEY_MAX_BYTES];
	size_t		length;			/* Ed25519: 32, the seed or the public key */
} SigningKey;

typedef struct Signature
{
	unsigned char bytes[SIGNING_MAX_BYTES];
	size_t		length;
} Signature;

/*
 * Read a key.  A shared secret may come without its prefix, all without
 * padding; a secret key may hold its public half, which must match.  Returns NULL, or
 * what is wrong as a static sentence, with the key empty.  Does not throw.
 */
extern const char *signing_key_read(const char *text, SigningKey *key);

/* Make a new one of 32 random bytes.  False when there is no randomness.  Does not throw. */
extern bool signing_key_make(SigningKind kind, SigningKey *key);

/* Append as signing_key_read() takes it; a secret key with its public half.  Does not throw. */
extern bool signing_key_append(Text *text, const SigningKey *key);

/* The public half of a secret or public key; false for others.  Does not throw. */
extern bool signing_key_public(const SigningKey *key, SigningKey *public_key);

/* Sign; false for a public key, or when OpenSSL refuses.  Does not throw. */
extern bool signing_key_sign(const SigningKey *key, Bytes content, Signature *signature);

/* Whether it is the signature of the content, in constant time for a length.  Does not throw. */
extern bool signing_key_verify(const SigningKey *key, Bytes content, const Signature *signature);

/* Does not throw. */
extern void signing_key_wipe(SigningKey *key);

#endif							/* INTEGRATION_SIGNING_KEY_H */
