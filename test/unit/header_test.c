/*-------------------------------------------------------------------------
 * header_test.c
 *		Which headers people may set.
 *-------------------------------------------------------------------------
 */
#include "message/header.h"
#include "tap.h"

#define CONNECTION "belongs to the connection, which the sender controls"
#define TOKEN "holds something other than letters, digits and !#$%&'*+-.^_`|~"

static const struct
{
	const char *name;
	const char *problem;
}			names[] =

{
	{"Authorization", NULL},
	{"x-api-key", NULL},
	{"X_Y.Z~1!#$%&'*+^`|", NULL},
	{"Content-Type", NULL},
	{"", "is empty"},
	{"X Y", TOKEN},
	{"X:Y", TOKEN},
	{":path", TOKEN},
	{"X\r\nY", TOKEN},
	{"Gr\xC3\xB6\xC3\x9F" "e", TOKEN},
	{"X;", TOKEN},
	{"Host", "is taken from the URL"},
	{"hOST", "is taken from the URL"},
	{"Content-Length", "is counted by the sender"},
	{"Transfer-Encoding", CONNECTION},
	{"Connection", CONNECTION},
	{"Proxy-Connection", CONNECTION},
	{"Keep-Alive", CONNECTION},
	{"Upgrade", CONNECTION},
	{"HTTP2-Settings", CONNECTION},
	{"TE", CONNECTION},
	{"Trailer", CONNECTION},
	{"Proxy-Authorization", CONNECTION},
	{"Expect", "would make each request wait for an interim answer"},
	{"Accept-Encoding", "would bring compressed answers, which are not read"},
};

static const struct
{
	const char *value;
	const char *problem;
}			values[] =

{
	{"", NULL},
	{"Bearer abc", NULL},
	{"a\tb", NULL},
	{"Gr\xC3\xB6\xC3\x9F" "e", NULL},
	{"a\r\nX-Evil: 1", "holds a line break"},
	{"a\nb", "holds a line break"},
	{"a\rb", "holds a line break"},
	{"a\x01", "holds a control character"},
	{"a\x7f", "holds a control character"},
	{"a\x1b[0m", "holds a control character"},
};

static void
check_lengths(void)
{
	char		text[8194];

	memset(text, 'a', sizeof(text));
	text[8193] = '\0';
	tap_text(header_value_problem(text), "is longer than 8192 bytes", "a long value");
	text[8192] = '\0';
	tap_text(header_value_problem(text), NULL, "the longest value");
	text[129] = '\0';
	tap_text(header_name_problem(text), "is longer than 128 bytes", "a long name");
	text[128] = '\0';
	tap_text(header_name_problem(text), NULL, "the longest name");
}

static void
check_merge(void)
{
	HeaderList	list = {0};

	header_list_set(&list, "Content-Type", "application/json");
	header_list_set(&list, "Accept", "*/*");
	header_list_set(&list, "content-type", "text/plain");
	tap_number(list.count, 2, "a name in another case is the same header");
	tap_text(list.lines[0], "content-type: text/plain", "the last spelling stays, with the last value");
	for (int i = 0; i < 100; i++)
	{
		char		name[20];

		snprintf(name, sizeof(name), "X-%d", i);
		header_list_set(&list, name, "v");
	}
	tap_number(list.count, 102, "many headers");
	tap_text(list.lines[101], "X-99: v", "in the order they came");
	tap_ok(!list.failed, "all of them");
	header_list_free(&list);
	tap_number(list.count, 0, "a freed list is an empty one");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		tap_text(header_name_problem(names[i].name), names[i].problem, names[i].name);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		tap_text(header_value_problem(values[i].value), values[i].problem, values[i].value);
	check_lengths();
	check_merge();
	return tap_done();
}
