/*-------------------------------------------------------------------------
 * sqlcomment.c
 *		What a sqlcommenter comment says at the end of a statement.
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <string.h>

#include "message/sqlcomment.h"

#define COMMENT_MAX_BYTES 4096	/* looked at, so that no statement is searched
								 * as a whole */

static const char *find_comment(const char *statement, const char **end);
static const char *skip_blanks(const char *at, const char *end);
static const char *read_value(const char *at, const char *end, char *value, size_t size);
static int	decoded(const char **at, const char *end);
static int	hex_digit(char digit);

bool
sqlcomment_value(const char *statement, const char *key, char *value, size_t size)
{
	size_t		key_length = strlen(key);
	const char *end;
	const char *at = find_comment(statement, &end);

	while (at != NULL)
	{
		const char *name = skip_blanks(at, end);
		const char *equals = memchr(name, '=', (size_t) (end - name));
		bool		is_wanted;

		if (equals == NULL || equals + 1 == end || equals[1] != '\'')
			return false;
		is_wanted = (size_t) (equals - name) == key_length && memcmp(name, key, key_length) == 0;
		at = read_value(equals + 2, end, is_wanted ? value : NULL, size);
		if (is_wanted)
			return at != NULL;
		if (at == NULL)
			return false;
		at = skip_blanks(at, end);
		if (at == end || *at++ != ',')
			return false;
	}
	return false;
}

/* What is between slash and stars; NULL: the statement ends otherwise. */
static const char *
find_comment(const char *statement, const char **end)
{
	const char *last = statement + strlen(statement);
	const char *at;

	while (last > statement && (isspace((unsigned char) last[-1]) || last[-1] == ';'))
		last--;
	if (last - statement < 4 || last[-1] != '/' || last[-2] != '*')
		return NULL;
	*end = last - 2;
	for (at = *end - 2; at >= statement && *end - at <= COMMENT_MAX_BYTES; at--)
		if (at[0] == '/' && at[1] == '*')
			return at + 2;
	return NULL;
}

static const char *
skip_blanks(const char *at, const char *end)
{
	while (at < end && isspace((unsigned char) *at))
		at++;
	return at;
}

/* Up to behind the closing quote; NULL: there is none, or the value doesn't fit. */
static const char *
read_value(const char *at, const char *end, char *value, size_t size)
{
	size_t		length = 0;

	while (at < end && *at != '\'')
	{
		int			byte = decoded(&at, end);

		if (value == NULL)
			continue;
		if (byte <= 0 || length + 1 >= size)
			return NULL;
		value[length++] = (char) byte;
	}
	if (at == end)
		return NULL;
	if (value != NULL)
		value[length] = '\0';
	return at + 1;
}

/* The next byte, and behind it; -1: it is badly encoded. */
static int
decoded(const char **at, const char *end)
{
	const char *byte = *at;

	*at = byte + 1;
	if (*byte == '\\' && byte + 1 < end)
	{
		*at = byte + 2;
		return (unsigned char) byte[1];
	}
	if (*byte != '%')
		return (unsigned char) *byte;
	if (end - byte < 3 || hex_digit(byte[1]) < 0 || hex_digit(byte[2]) < 0)
		return -1;
	*at = byte + 3;
	return hex_digit(byte[1]) * 16 + hex_digit(byte[2]);
}

static int
hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}
