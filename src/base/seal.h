/*-------------------------------------------------------------------------
 * seal.h
 *		Values sealed with AES-256-GCM.
 *
 * What is sealed opens only under the same key in the same place (the name of
 * where it stands, authenticated beside it), so that it can't be moved.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_SEAL_H
#define INTEGRATION_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define SEAL_KEY_BYTES 32
#define SEAL_NONCE_BYTES 12
#define SEAL_TAG_BYTES 16

/* What sealing adds to a value: its version, nonce, tag. */
#define SEAL_ADDED_BYTES (1 + SEAL_NONCE_BYTES + SEAL_TAG_BYTES)

typedef struct SealKey
{
	unsigned char bytes[SEAL_KEY_BYTES];
} SealKey;

/*
 * The key that follows from at least SEAL_KEY_BYTES of anything (HKDF-SHA256,
 * RFC 5869).  The caller wipes both.  False: OpenSSL can't.  Does not throw.
 */
extern bool seal_derive(Bytes material, SealKey *key);

/*
 * Write value.length + SEAL_ADDED_BYTES bytes to sealed, under a random nonce.
 * False: OpenSSL can't.  Does not throw.
 */
extern bool seal_close(const SealKey *key, Bytes place, Bytes value, unsigned char *sealed);

/*
 * Write sealed.length - SEAL_ADDED_BYTES bytes to value, which the caller
 * wipes.  False, with value wiped: it was sealed under another key or for
 * another place, was changed, or is too short to be anything.  Does not throw.
 */
extern bool seal_open(const SealKey *key, Bytes place, Bytes sealed, unsigned char *value);

#endif							/* INTEGRATION_SEAL_H */
