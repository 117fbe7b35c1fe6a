/*-------------------------------------------------------------------------
 * json_test.c
 *		Strings out, flat objects in.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "message/json.h"
#include "tap.h"

static const struct
{
	const char *bytes;
	size_t		length;
	const char *wanted;
}			strings[] =

{
	{"", 0, "\"\""},
	{"abc", 3, "\"abc\""},
	{"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
	{"\n\t\x01", 3, "\"\\u000a\\u0009\\u0001\""},
	{"a\0b", 3, "\"a\xEF\xBF\xBD" "b\""},
	{"\xE2\x82\xAC\xFF", 4, "\"\xE2\x82\xAC\xEF\xBF\xBD\""},
	{"\x7f/", 2, "\"\x7f/\""},
};

/* members as name=value; in one line, with what went wrong at its end */
static const struct
{
	const char *text;
	const char *wanted;
}			objects[] =

{
	{"{}", ""},
	{" { } ", ""},
	{"{\"a\":\"b\"}", "a=b;"},
	{" {\"a\" : \"b\" , \"c\":\"\"} ", "a=b;c=;"},
	{"{\"n\":-12.5e+3,\"t\":true,\"f\":false,\"z\":0}", "n=-12.5e+3;t=true;f=false;z=0;"},
	{"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a=\"\\/\b\f\n\r\t;"},
	{"{\"a\":\"\\u00fc\\u20AC\\ud83d\\ude00A\\u0041\"}",
	"a=\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80" "AA;"},
	{"{\"a\":1,\"a\":2}", "a=1;a=2;"},
	{"", "!is not a JSON object"},
	{"[]", "!is not a JSON object"},
	{"\"a\"", "!is not a JSON object"},
	{"{", "!has a name that is not a string"},
	{"{a:1}", "!has a name that is not a string"},
	{"{\"a\"}", "!lacks a colon after a name"},
	{"{\"a\":}", "!has a value that is neither string, number nor boolean"},
	{"{\"a\":null}", "!has a value that is neither string, number nor boolean"},
	{"{\"a\":{}}", "!has a value that is neither string, number nor boolean"},
	{"{\"a\":[1]}", "!has a value that is neither string, number nor boolean"},
	{"{\"a\":01}", "!has a value that is neither string, number nor boolean"},
	{"{\"a\":1.}", "!has a value that is neither string, number nor boolean"},
	{"{\"a\":1e}", "!has a value that is neither string, number nor boolean"},
	{"{\"a\":-}", "!has a value that is neither string, number nor boolean"},
	{"{\"a\":1x}", "a=1;!lacks a comma between two members"},
	{"{\"a\":truex}", "a=true;!lacks a comma between two members"},
	{"{\"a\":1 \"b\":2}", "a=1;!lacks a comma between two members"},
	{"{\"a\":1,}", "a=1;!has a name that is not a string"},
	{"{\"a\":1", "a=1;!lacks a comma between two members"},
	{"{\"a\":1}x", "a=1;!has something after its end"},
	{"{}{}", "!has something after its end"},
	{"{\"a\":\"b", "!has a string with an unescaped control character or no end"},
	{"{\"a\":\"b\n\"}", "!has a string with an unescaped control character or no end"},
	{"{\"a\":\"\\x\"}", "!has an unknown escape in a string"},
	{"{\"a\":\"\\", "!has an unknown escape in a string"},
	{"{\"a\":\"\\u00\"}", "!has a Unicode escape that stands for no character"},
	{"{\"a\":\"\\u0000\"}", "!has a Unicode escape that stands for no character"},
	{"{\"a\":\"\\ud83d\"}", "!has a Unicode escape that stands for no character"},
	{"{\"a\":\"\\ude00\\ud83d\"}", "!has a Unicode escape that stands for no character"},
	{"{\"a\":\"\\ud83d\\u0041\"}", "!has a Unicode escape that stands for no character"},
};

static void
check_string(size_t i)
{
	Text		text = {0};

	json_append_string(&text, strings[i].bytes, strings[i].length);
	tap_text(text.data, strings[i].wanted, strings[i].wanted);
	text_free(&text);
}

static void
check_object(const char *text, const char *wanted)
{
	JsonReader	reader;
	Text		found = {0};
	char	   *result;

	json_reader_begin(&reader, text);
	while (json_reader_next(&reader))
	{
		text_append_string(&found, reader.name.data);
		text_append_char(&found, '=');
		text_append_string(&found, reader.value.data);
		text_append_char(&found, ';');
	}
	if (reader.problem)
	{
		text_append_char(&found, '!');
		text_append_string(&found, reader.problem);
	}
	result = text_take(&found);
	tap_text(result, wanted, text);
	tap_ok(!json_reader_next(&reader), "and nothing follows");
	free(result);
	json_reader_end(&reader);
}

/* Whole words are copied at once: what must be escaped may stand anywhere in one. */
static void
check_escapes(void)
{
	static const char escaped[] = {'"', '\\', '\x1f', '\n'};
	int			wrong = 0;

	for (size_t at = 0; at < 20; at++)
		for (size_t i = 0; i < sizeof(escaped); i++)
		{
			char		bytes[20];
			Text		text = {0};

			memset(bytes, i % 2 ? '~' : '#', sizeof(bytes));
			bytes[at] = escaped[i];
			json_append_string(&text, bytes, sizeof(bytes));
			wrong += memchr(text.data, '\\', text.length) != text.data + 1 + at;
			text_free(&text);
		}
	tap_number(wrong, 0, "each is escaped in its place");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		check_string(i);
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		check_object(objects[i].text, objects[i].wanted);
	check_escapes();
	return tap_done();
}
