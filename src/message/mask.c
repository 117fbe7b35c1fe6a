/*-------------------------------------------------------------------------
 * mask.c
 *		Secrets out of texts that echo them.
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "message/mask.h"

#define MASK "***"
#define MASK_BYTES 3

/* Whether so many hexadecimal digits stand for the byte. */
static bool
is_hex_of(const char *digits, int count, unsigned char byte)
{
	char		number[5] = "";

	for (int i = 0; i < count; i++)
	{
		if (!isxdigit((unsigned char) digits[i]))
			return false;
		number[i] = digits[i];
	}
	return strtoul(number, NULL, 16) == byte;
}

/* How many bytes of text are an escape of the byte; 0: they are none. */
static size_t
match_escape(const char *text, unsigned char byte)
{
	if (text[0] == '%')
		return is_hex_of(text + 1, 2, byte) ? 3 : 0;
	if (text[0] == '+')
		return byte == ' ' ? 1 : 0;
	if (text[0] != '\\')
		return 0;
	if (text[1] == 'u' && is_hex_of(text + 2, 4, byte))
		return 6;
	return (unsigned char) text[1] == byte ? 2 : 0;
}

/* How many bytes of text stand for the byte; 0: they stand for something else. */
static size_t
match_byte(const char *text, unsigned char byte, bool is_escaped)
{
	size_t		bytes = is_escaped ? match_escape(text, byte) : 0;

	return bytes == 0 && (unsigned char) *text == byte ? 1 : bytes;
}

/* The same for the secret, or for what is left of it at the end of the text. */
static size_t
match(const char *text, const char *secret, bool is_escaped)
{
	const char *at = text;
	size_t		matched = 0;

	while (secret[matched] != '\0' && *at != '\0')
	{
		size_t		bytes = match_byte(at, (unsigned char) secret[matched],
									   is_escaped);

		if (bytes == 0)
			return 0;
		at += bytes;
		matched++;
	}
	return secret[matched] == '\0' || matched >= MASK_LEAST_BYTES ? (size_t) (at - text) : 0;
}

static size_t
mask_form(char *text, const char *secret, bool is_escaped)
{
	char	   *from = text;
	char	   *to = text;

	while (*from != '\0')
	{
		size_t		bytes = match(from, secret, is_escaped);

		if (bytes == 0)
		{
			*to++ = *from++;
			continue;
		}
		memcpy(to, MASK, MASK_BYTES);
		to += MASK_BYTES;
		from += bytes;
	}
	*to = '\0';
	return (size_t) (to - text);
}

/* One that holds what escapes begin with may look like its own escaped form: twice. */
size_t
mask_secret(char *text, const char *secret)
{
	if (strlen(secret) < MASK_LEAST_BYTES)
		return strlen(text);
	(void) mask_form(text, secret, false);
	return mask_form(text, secret, true);
}
