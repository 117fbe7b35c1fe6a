/*-------------------------------------------------------------------------
 * digest.h
 *		Hashes, keyed hashes, their spellings.
 *
 * By OpenSSL.  What may be key material is compared in constant time and wiped
 * by the caller, who has it in buffers of a known size.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_DIGEST_H
#define INTEGRATION_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "message/text.h"

#define DIGEST_BYTES 32			/* of SHA-256 */
#define DIGEST_HEX_BYTES (2 * DIGEST_BYTES + 1)

/* SHA-256.  Returns false when OpenSSL refuses or has no memory.  Does not throw. */
extern bool digest_sha256(Bytes content, unsigned char digest[DIGEST_BYTES]);

/* HMAC-SHA256 (RFC 2104), the same way.  digest may be the key's own buffer.  Does not throw. */
extern bool digest_hmac(Bytes key, Bytes content, unsigned char digest[DIGEST_BYTES]);

/* Write in lower-case hexadecimal digits and a zero byte.  Does not throw. */
extern void digest_hex(const unsigned char digest[DIGEST_BYTES], char hex[DIGEST_HEX_BYTES]);

/* Append in base64 with padding (RFC 4648 §4).  Does not throw. */
extern void digest_append_base64(Text *text, Bytes content);

/*
 * Read base64, padded or not, into a buffer; *written says how much it is.
 * Returns false when it is none, or longer than the buffer, which may have been
 * written to then.  Does not throw.
 */
extern bool digest_read_base64(Bytes base64, unsigned char *buffer, size_t buffer_size,
							   size_t *written);

#endif							/* INTEGRATION_DIGEST_H */
