/*-------------------------------------------------------------------------
 * text_fuzz.c
 *		Any bytes become valid UTF-8 that is cut on a character.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

static void
check_append(const char *bytes, size_t length, size_t limit)
{
	Text		once = {0};
	Text		twice = {0};

	text_append_clean(&once, bytes, length, limit);
	text_append_clean(&twice, once.data ? once.data : "", once.length, SIZE_MAX);
	CHECK(once.length <= limit);
	CHECK(text_is_utf8(once.data ? once.data : "", once.length));
	CHECK(twice.length == once.length);
	CHECK(once.length == 0 || memcmp(once.data, twice.data, once.length) == 0);
	if (text_is_utf8(bytes, length) && length <= limit)
		CHECK(once.length == length && (length == 0 || memcmp(once.data, bytes, length) == 0));
	text_free(&once);
	text_free(&twice);
}

static void
check_copy(const char *string, size_t size)
{
	char	   *copy = malloc(size);
	size_t		length = strlen(string);

	CHECK(copy);
	text_copy_clean(copy, size, string);
	CHECK(strlen(copy) < size);
	CHECK(is_clean(copy));
	/* a character has four bytes at most, and so does what is lost to a cut */
	if (text_is_utf8(string, length))
		CHECK(strncmp(copy, string, strlen(copy)) == 0 &&
			  (strlen(copy) == length || strlen(copy) + 4 >= size));
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	size_t		limit = take_byte(&input);
	char	   *string;

	check_append(input.bytes, input.length, limit);
	check_append(input.bytes, input.length, SIZE_MAX);
	string = take_string(&input);
	check_copy(string, limit + 1);
	free(string);
	return 0;
}
