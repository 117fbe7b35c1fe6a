/*-------------------------------------------------------------------------
 * json.c
 *		The little JSON that headers need: quoted strings out, flat objects in.
 *
 * Strict by RFC 8259: what PostgreSQL would refuse is refused here too.
 *-------------------------------------------------------------------------
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "message/json.h"

#define DIGITS "0123456789"

/* of the eight bytes of a word */
#define LOWEST_BITS UINT64_C(0x0101010101010101)
#define HIGHEST_BITS UINT64_C(0x8080808080808080)

static size_t plain_run(const char *bytes, size_t length);
static bool holds_special(uint64_t word);
static void append_escaped(Text *text, char byte);
static bool read_member(JsonReader *reader);
static bool read_string(JsonReader *reader, Text *text);
static bool read_escape(JsonReader *reader, Text *text);
static bool read_unicode(JsonReader *reader, Text *text);
static bool read_hex(const char *digits, uint32_t *unit);
static void append_code_point(Text *text, uint32_t code);
static bool read_scalar(JsonReader *reader);
static bool skip_other(JsonReader *reader);
static size_t number_bytes(const char *text);
static bool finish(JsonReader *reader);
static bool fail(JsonReader *reader, const char *problem);
static void skip_blanks(JsonReader *reader);

void
json_append_string(Text *text, const char *bytes, size_t length)
{
	text_append_char(text, '"');
	while (length > 0)
	{
		size_t		step = plain_run(bytes, length);

		if (step > 0)
			text_append(text, bytes, step);
		else if (text_ascii_run(bytes, 1) == 1)
			append_escaped(text, bytes[step++]);
		else
		{
			step = text_character_bytes(bytes, length);
			step = step ? step : 1;
			text_append_clean(text, bytes, step, SIZE_MAX);
		}
		bytes += step;
		length -= step;
	}
	text_append_char(text, '"');
}

void
json_reader_begin(JsonReader *reader, const char *text)
{
	memset(reader, 0, sizeof(*reader));
	reader->position = text;
}

bool
json_reader_next(JsonReader *reader)
{
	if (reader->problem)
		return false;
	skip_blanks(reader);
	if (!reader->has_started)
	{
		reader->has_started = true;
		if (*reader->position != '{')
			return fail(reader, "is not a JSON object");
		reader->position++;
		skip_blanks(reader);
		if (*reader->position == '}')
			return finish(reader);
		return read_member(reader);
	}
	if (*reader->position == '}')
		return finish(reader);
	if (*reader->position != ',')
		return fail(reader, "lacks a comma between two members");
	reader->position++;
	skip_blanks(reader);
	return read_member(reader);
}

bool
json_find(const char *object, const char *name, Text *value)
{
	JsonReader	reader;
	bool		is_found = false;

	json_reader_begin(&reader, object);
	reader.skips_others = true;

	/*
	 * what is read may be secret: no copy stays behind where the buffer would
	 * have grown
	 */
	text_reserve(&reader.value, strlen(object));
	while (!is_found && json_reader_next(&reader))
		is_found = strcmp(reader.name.data, name) == 0;
	if (is_found)
		text_append(value, reader.value.data, reader.value.length);
	text_wipe(&reader.value);
	json_reader_end(&reader);
	return is_found;
}

void
json_reader_end(JsonReader *reader)
{
	text_free(&reader->name);
	text_free(&reader->value);
}

/* Bytes that stand in a JSON string as they are; others may do so too. */
static size_t
plain_run(const char *bytes, size_t length)
{
	size_t		run = 0;
	uint64_t	word;

	for (; run + sizeof(word) <= length; run += sizeof(word))
	{
		memcpy(&word, bytes + run, sizeof(word));
		if (holds_special(word))
			break;
	}
	while (run < length && (signed char) bytes[run] >= ' ' &&
		   bytes[run] != '"' && bytes[run] != '\\')
		run++;
	return run;
}

/*
 * Whether one of eight bytes is a quote, a backslash, a control or no ASCII: then one of the
 * differences borrows into its highest bit, or it was set before.
 */
static bool
holds_special(uint64_t word)
{
	uint64_t	quotes = (word ^ (LOWEST_BITS * '"')) - LOWEST_BITS;
	uint64_t	backslashes = (word ^ (LOWEST_BITS * '\\')) - LOWEST_BITS;
	uint64_t	controls = word - LOWEST_BITS * ' ';

	return ((quotes | backslashes | controls | word) & HIGHEST_BITS) != 0;
}

static void
append_escaped(Text *text, char byte)
{
	char		escape[8];

	if (byte == '"' || byte == '\\')
		snprintf(escape, sizeof(escape), "\\%c", byte);
	else
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned) (unsigned char) byte);
	text_append_string(text, escape);
}

static bool
read_member(JsonReader *reader)
{
	if (!read_string(reader, &reader->name))
		return false;
	skip_blanks(reader);
	if (*reader->position != ':')
		return fail(reader, "lacks a colon after a name");
	reader->position++;
	skip_blanks(reader);
	if (*reader->position == '"')
		return read_string(reader, &reader->value);
	if (reader->skips_others && strchr("{[n", *reader->position) && *reader->position)
		return skip_other(reader);
	return read_scalar(reader);
}

static bool
read_string(JsonReader *reader, Text *text)
{
	text->length = 0;
	text_append(text, "", 0);
	if (*reader->position != '"')
		return fail(reader, "has a name that is not a string");
	reader->position++;
	while (*reader->position != '"')
	{
		if ((unsigned char) *reader->position < 0x20)
			return fail(reader, "has a string with an unescaped control character or no end");
		if (*reader->position == '\\')
		{
			if (!read_escape(reader, text))
				return false;
			continue;
		}
		text_append_char(text, *reader->position++);
	}
	reader->position++;
	if (text->failed)
		return fail(reader, "needs more memory than there is");
	return true;
}

static bool
read_escape(JsonReader *reader, Text *text)
{
	static const char escapes[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	char		letter = reader->position[1];
	const char *found;

	if (letter == 'u')
		return read_unicode(reader, text);
	found = letter ? strchr(escapes, letter) : NULL;
	if (!found)
		return fail(reader, "has an unknown escape in a string");
	text_append_char(text, meanings[found - escapes]);
	reader->position += 2;
	return true;
}

static bool
read_unicode(JsonReader *reader, Text *text)
{
	uint32_t	code;
	uint32_t	low;

	if (!read_hex(reader->position + 2, &code) || code == 0)
		return fail(reader, "has a Unicode escape that stands for no character");
	reader->position += 6;
	if (code >= 0xD800 && code <= 0xDFFF)
	{
		bool		has_pair = code < 0xDC00 && reader->position[0] == '\\' &&
			reader->position[1] == 'u' && read_hex(reader->position + 2, &low) &&
			low >= 0xDC00 && low <= 0xDFFF;

		if (!has_pair)
			return fail(reader, "has a Unicode escape that stands for no character");
		code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
		reader->position += 6;
	}
	append_code_point(text, code);
	return true;
}

static bool
read_hex(const char *digits, uint32_t *unit)
{
	static const char hex[] = "0123456789abcdef";

	*unit = 0;
	for (int i = 0; i < 4; i++)
	{
		char		lower = digits[i] >= 'A' && digits[i] <= 'F' ? digits[i] + 32 : digits[i];
		const char *found = lower ? strchr(hex, lower) : NULL;

		if (!found)
			return false;
		*unit = *unit * 16 + (uint32_t) (found - hex);
	}
	return true;
}

static void
append_code_point(Text *text, uint32_t code)
{
	if (code < 0x80)
	{
		text_append_char(text, (char) code);
		return;
	}
	if (code < 0x800)
		text_append_char(text, (char) (0xC0 | (code >> 6)));
	else if (code < 0x10000)
	{
		text_append_char(text, (char) (0xE0 | (code >> 12)));
		text_append_char(text, (char) (0x80 | ((code >> 6) & 0x3F)));
	}
	else
	{
		text_append_char(text, (char) (0xF0 | (code >> 18)));
		text_append_char(text, (char) (0x80 | ((code >> 12) & 0x3F)));
		text_append_char(text, (char) (0x80 | ((code >> 6) & 0x3F)));
	}
	text_append_char(text, (char) (0x80 | (code & 0x3F)));
}

static bool
read_scalar(JsonReader *reader)
{
	size_t		length = number_bytes(reader->position);

	if (strncmp(reader->position, "true", 4) == 0)
		length = 4;
	else if (strncmp(reader->position, "false", 5) == 0)
		length = 5;
	if (length == 0)
		return fail(reader, "has a value that is neither string, number nor boolean");
	reader->value.length = 0;
	text_append(&reader->value, reader->position, length);
	reader->position += length;
	if (reader->value.failed)
		return fail(reader, "needs more memory than there is");
	return true;
}

/* Behind an object, an array or null, leaving an empty value. */
static bool
skip_other(JsonReader *reader)
{
	int			depth = 0;

	if (*reader->position == 'n' && strncmp(reader->position, "null", 4) != 0)
		return read_scalar(reader);
	do
	{
		if (*reader->position == '"')
		{
			if (!read_string(reader, &reader->value))
				return false;
			continue;
		}
		if (*reader->position == '\0')
			return fail(reader, "has an object or an array without an end");
		depth += *reader->position == '{' || *reader->position == '[';
		depth -= *reader->position == '}' || *reader->position == ']';
		reader->position += *reader->position == 'n' && depth == 0 ? 4 : 1;
	} while (depth > 0);
	reader->value.length = 0;
	text_append(&reader->value, "", 0);
	return true;
}

/* Length of the JSON number at text, 0 when there is none (RFC 8259 §6). */
static size_t
number_bytes(const char *text)
{
	const char *at = text + (*text == '-');
	size_t		digits = strspn(at, DIGITS);

	if (digits == 0 || (*at == '0' && digits > 1))
		return 0;
	at += digits;
	if (*at == '.')
	{
		digits = strspn(at + 1, DIGITS);
		if (digits == 0)
			return 0;
		at += 1 + digits;
	}
	if (*at == 'e' || *at == 'E')
	{
		at++;
		at += (*at == '+' || *at == '-');
		digits = strspn(at, DIGITS);
		if (digits == 0)
			return 0;
		at += digits;
	}
	return (size_t) (at - text);
}

static bool
finish(JsonReader *reader)
{
	reader->position++;
	skip_blanks(reader);
	if (*reader->position != '\0')
		return fail(reader, "has something after its end");
	reader->position--;
	return false;
}

static bool
fail(JsonReader *reader, const char *problem)
{
	reader->problem = problem;
	return false;
}

static void
skip_blanks(JsonReader *reader)
{
	reader->position += strspn(reader->position, " \t\r\n");
}
