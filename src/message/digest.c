/*-------------------------------------------------------------------------
 * digest.c
 *		Hashes, keyed hashes, their spellings.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "message/digest.h"

static const char alphabet[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t unpadded_length(Bytes base64);
static int	value_of(char letter);

bool
digest_sha256(Bytes content, unsigned char digest[DIGEST_BYTES])
{
	return EVP_Digest(content.data, content.length, digest, NULL, EVP_sha256(), NULL) == 1;
}

bool
digest_hmac(Bytes key, Bytes content, unsigned char digest[DIGEST_BYTES])
{
	return key.length <= INT_MAX &&
		HMAC(EVP_sha256(), key.data, (int) key.length, content.data, content.length,
			 digest, NULL) != NULL;
}

void
digest_hex(const unsigned char digest[DIGEST_BYTES], char hex[DIGEST_HEX_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < DIGEST_BYTES; i++)
	{
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[2 * DIGEST_BYTES] = '\0';
}

void
digest_append_base64(Text *text, Bytes content)
{
	size_t		encoded = (content.length + 2) / 3 * 4;
	unsigned char *end;

	text_reserve(text, encoded + 1);
	if (content.length > INT_MAX)
		text->failed = true;
	if (text->failed)
		return;
	end = (unsigned char *) text->data + text->length;
	EVP_EncodeBlock(end, content.data, (int) content.length);
	text->length += encoded;
}

bool
digest_read_base64(Bytes base64, unsigned char *buffer, size_t buffer_size, size_t *written)
{
	const char *letters = base64.data;
	size_t		length = unpadded_length(base64);
	unsigned	group = 0;

	*written = 0;
	if (length % 4 == 1 || length / 4 * 3 + (length % 4 ? length % 4 - 1 : 0) > buffer_size)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		int			value = value_of(letters[i]);

		if (value < 0)
			return false;
		group = (group << 6 | (unsigned) value) & 0xFFFFFF;
		if (i % 4 > 0)
			buffer[(*written)++] = (unsigned char) (group >> (6 - 2 * (i % 4)));
	}
	return true;
}

/* Without the padding, where there is all of it; the rest is refused letter by letter. */
static size_t
unpadded_length(Bytes base64)
{
	const char *letters = base64.data;
	size_t		length = base64.length;

	if (length % 4 != 0)
		return length;
	for (int i = 0; i < 2 && length > 0 && letters[length - 1] == '='; i++)
		length--;
	return length;
}

static int
value_of(char letter)
{
	const char *found = letter ? strchr(alphabet, letter) : NULL;

	return found ? (int) (found - alphabet) : -1;
}
