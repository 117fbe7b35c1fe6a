/*-------------------------------------------------------------------------
 * text.h
 *		A growing byte buffer.
 *
 * Running out of memory is remembered in the buffer, so that a writer checks
 * once at the end.  A zeroed Text is an empty one.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TEXT_H
#define INTEGRATION_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Text
{
	char	   *data;			/* zero-terminated, NULL while nothing was
								 * appended */
	size_t		length;
	size_t		capacity;
	bool		failed;			/* memory ran out: the content is not complete */
} Text;

/* Append bytes, a string or one byte.  Do not throw. */
extern void text_append(Text *text, const char *bytes, size_t length);
extern void text_append_string(Text *text, const char *string);
extern void text_append_char(Text *text, char byte);

/* Append a structured field's string (RFC 8941 §4.1.6) of printable ASCII.  Does not throw. */
extern void text_append_quoted(Text *text, const char *string);

/* Make room for so many bytes, so that appending them costs no more.  Does not throw. */
extern void text_reserve(Text *text, size_t more);

/*
 * Append as valid UTF-8: each byte that belongs to no character, and each zero
 * byte, becomes U+FFFD.  Stops before the character that would make the
 * appended part longer than limit_bytes.  Does not throw.
 */
extern void text_append_clean(Text *text, const char *bytes, size_t length, size_t limit_bytes);

/*
 * Hand the content over to the caller, who frees it; an empty buffer gives "".
 * The buffer is empty afterwards.  Returns NULL when memory ran out.  Does not throw.
 */
extern char *text_take(Text *text);

/* Does not throw. */
extern void text_free(Text *text);

/* The same of a secret.  Does not throw. */
extern void text_wipe(Text *text);

/*
 * Length of the UTF-8 character that begins at bytes, 0 when none does.  Zero
 * bytes, surrogates and overlong forms are none, as PostgreSQL sees it.  Does not throw.
 */
extern size_t text_character_bytes(const char *bytes, size_t length);

/*
 * How many bytes from here on are ASCII and not zero: nearly all of what is
 * read here, so that what is done by character can skip it.  Does not throw.
 */
extern size_t text_ascii_run(const char *bytes, size_t length);

/* Whether all of it is UTF-8 without zero bytes.  Does not throw. */
extern bool text_is_utf8(const char *bytes, size_t length);

/* Copy a string into a fixed buffer as valid UTF-8, cut on a character.  Does not throw. */
extern void text_copy_clean(char *target, size_t target_size, const char *source);

#endif							/* INTEGRATION_TEXT_H */
