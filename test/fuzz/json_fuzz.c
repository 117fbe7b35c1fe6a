/*-------------------------------------------------------------------------
 * json_fuzz.c
 *		Flat JSON objects: what is read can be written and read again.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/json.h"

/* Any bytes as a string: a reader gets them back, cleaned. */
static void
check_string(const char *bytes, size_t length)
{
	Text		object = {0};
	Text		clean = {0};
	JsonReader	reader;

	text_append_string(&object, "{\"name\": ");
	json_append_string(&object, bytes, length);
	text_append_string(&object, "}");
	text_append_clean(&clean, bytes, length, SIZE_MAX);
	CHECK(is_clean(object.data));
	json_reader_begin(&reader, object.data);
	CHECK(json_reader_next(&reader));
	CHECK(strcmp(reader.value.data, clean.data ? clean.data : "") == 0);
	CHECK(!json_reader_next(&reader) && !reader.problem);
	json_reader_end(&reader);
	text_free(&object);
	text_free(&clean);
}

/* Whatever it makes of a text, it comes to an end, and says the same again. */
static void
check_reader(const char *string)
{
	Text		written = {0};
	JsonReader	reader;
	JsonReader	again;
	int			members = 0;

	text_append_char(&written, '{');
	json_reader_begin(&reader, string);
	while (json_reader_next(&reader))
	{
		CHECK(!is_clean(string) || (is_clean(reader.name.data) && is_clean(reader.value.data)));
		if (members++ > 0)
			text_append_char(&written, ',');
		json_append_string(&written, reader.name.data, reader.name.length);
		text_append_char(&written, ':');
		json_append_string(&written, reader.value.data, reader.value.length);
	}
	CHECK(!json_reader_next(&reader));
	CHECK(!reader.problem || is_clean(reader.problem));
	json_reader_end(&reader);
	text_append_char(&written, '}');
	json_reader_begin(&again, written.data);
	while (json_reader_next(&again))
		members--;
	CHECK(members == 0 && !again.problem);
	json_reader_end(&again);
	text_free(&written);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *string;

	check_string(input.bytes, input.length);
	string = take_string(&input);
	check_reader(string);
	free(string);
	return 0;
}
