/*-------------------------------------------------------------------------
 * text.c
 *		A growing byte buffer.
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "message/text.h"

#define FIRST_CAPACITY 128
#define REPLACEMENT "\xEF\xBF\xBD"
#define REPLACEMENT_BYTES 3

/* of the eight bytes of a word */
#define LOWEST_BITS UINT64_C(0x0101010101010101)
#define HIGHEST_BITS UINT64_C(0x8080808080808080)

static bool make_room(Text *text, size_t more);
static size_t next_clean(const char **bytes, size_t *length, const char **piece);
static size_t announced_bytes(unsigned char first);
static bool second_is_legal(unsigned char first, unsigned char second);

void
text_append(Text *text, const char *bytes, size_t length)
{
	if (!make_room(text, length))
		return;
	if (length > 0)
		memcpy(text->data + text->length, bytes, length);
	text->length += length;
	text->data[text->length] = '\0';
}

void
text_append_string(Text *text, const char *string)
{
	text_append(text, string, strlen(string));
}

void
text_append_char(Text *text, char byte)
{
	if (!make_room(text, 1))
		return;
	text->data[text->length++] = byte;
	text->data[text->length] = '\0';
}

void
text_append_quoted(Text *text, const char *string)
{
	text_append_char(text, '"');
	for (; *string; string++)
	{
		if (*string == '"' || *string == '\\')
			text_append_char(text, '\\');
		text_append_char(text, *string);
	}
	text_append_char(text, '"');
}

void
text_reserve(Text *text, size_t more)
{
	(void) make_room(text, more);
}

void
text_append_clean(Text *text, const char *bytes, size_t length, size_t limit_bytes)
{
	size_t		written = 0;

	while (length > 0)
	{
		const char *piece;
		size_t		piece_bytes = next_clean(&bytes, &length, &piece);

		if (written + piece_bytes > limit_bytes)
		{
			/* a run of ASCII may be cut anywhere, a character not */
			if ((signed char) piece[0] > 0)
				text_append(text, piece, limit_bytes - written);
			return;
		}
		text_append(text, piece, piece_bytes);
		written += piece_bytes;
	}
}

char *
text_take(Text *text)
{
	char	   *data;

	text_append(text, "", 0);
	if (text->failed)
	{
		text_free(text);
		return NULL;
	}
	data = text->data;
	memset(text, 0, sizeof(*text));
	return data;
}

void
text_free(Text *text)
{
	free(text->data);
	memset(text, 0, sizeof(*text));
}

void
text_wipe(Text *text)
{
	if (text->data)
		OPENSSL_cleanse(text->data, text->capacity);
	text_free(text);
}

size_t
text_character_bytes(const char *bytes, size_t length)
{
	const unsigned char *at = (const unsigned char *) bytes;
	size_t		announced;

	if (length == 0)
		return 0;
	announced = announced_bytes(at[0]);
	if (announced <= 1)
		return announced;
	if (announced > length || !second_is_legal(at[0], at[1]))
		return 0;
	for (size_t i = 2; i < announced; i++)
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	return announced;
}

size_t
text_ascii_run(const char *bytes, size_t length)
{
	const signed char *at = (const signed char *) bytes;
	size_t		run = 0;
	uint64_t	word;

	for (; run + sizeof(word) <= length; run += sizeof(word))
	{
		memcpy(&word, at + run, sizeof(word));
		/* a zero byte borrows into its highest bit, which others have set */
		if (((word - LOWEST_BITS) | word) & HIGHEST_BITS)
			break;
	}
	while (run < length && at[run] > 0)
		run++;
	return run;
}

bool
text_is_utf8(const char *bytes, size_t length)
{
	while (length > 0)
	{
		size_t		step = text_ascii_run(bytes, length);

		if (step == 0)
			step = text_character_bytes(bytes, length);
		if (step == 0)
			return false;
		bytes += step;
		length -= step;
	}
	return true;
}

void
text_copy_clean(char *target, size_t target_size, const char *source)
{
	size_t		length = strlen(source);
	size_t		written = 0;

	while (length > 0)
	{
		const char *piece;
		size_t		piece_bytes = next_clean(&source, &length, &piece);

		if (written + piece_bytes >= target_size)
		{
			if ((signed char) piece[0] < 0)
				break;
			piece_bytes = target_size - 1 - written;
			length = 0;
		}
		memcpy(target + written, piece, piece_bytes);
		written += piece_bytes;
	}
	target[written] = '\0';
}

static bool
make_room(Text *text, size_t more)
{
	size_t		capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
	char	   *data;

	if (text->failed)
		return false;
	if (text->data && more < text->capacity - text->length)
		return true;
	if (more > SIZE_MAX / 4 || text->length > SIZE_MAX / 4)
	{
		text->failed = true;
		return false;
	}
	while (capacity <= text->length + more)
		capacity *= 2;
	data = realloc(text->data, capacity);
	if (!data)
	{
		text->failed = true;
		return false;
	}
	text->data = data;
	text->capacity = capacity;
	return true;
}

/* Step over a run of ASCII, one other character, or one byte that belongs to none. */
static size_t
next_clean(const char **bytes, size_t *length, const char **piece)
{
	size_t		character = text_ascii_run(*bytes, *length);
	size_t		step;

	if (character == 0)
		character = text_character_bytes(*bytes, *length);
	step = character ? character : 1;
	*piece = character ? *bytes : REPLACEMENT;
	*bytes += step;
	*length -= step;
	return character ? character : REPLACEMENT_BYTES;
}

static size_t
announced_bytes(unsigned char first)
{
	if (first == 0)
		return 0;
	if (first < 0x80)
		return 1;
	if (first >= 0xC2 && first <= 0xDF)
		return 2;
	if (first >= 0xE0 && first <= 0xEF)
		return 3;
	if (first >= 0xF0 && first <= 0xF4)
		return 4;
	return 0;
}

/* RFC 3629 §4: where overlong forms, surrogates, and what is above U+10FFFF begin */
static bool
second_is_legal(unsigned char first, unsigned char second)
{
	switch (first)
	{
		case 0xE0:
			return second >= 0xA0 && second <= 0xBF;
		case 0xED:
			return second >= 0x80 && second <= 0x9F;
		case 0xF0:
			return second >= 0x90 && second <= 0xBF;
		case 0xF4:
			return second >= 0x80 && second <= 0x8F;
		default:
			return second >= 0x80 && second <= 0xBF;
	}
}
