/*-------------------------------------------------------------------------
 * host_test.c
 *		Lists of host names.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "base/host.h"
#include "tap.h"

static const struct
{
	const char *text;
	int			count;			/* -1: can't be read */
	const char *problem;
}			readings[] =

{
	{"", 0, NULL},
	{" api.example.com , *.example.org ", 2, NULL},
	{"localhost, 192.0.2.7, 2001:DB8::1, a_b.example.", 4, NULL},
	{"api.example.com,", -1, "an entry of the list is empty"},
	{"a b", -1, "a comma is missing after \"a\""},
	{"*", -1, "\"*\" is no host name"},
	{"*.", -1, "\"*.\" is no host name"},
	{".", -1, "\".\" is no host name"},
	{"*.*.example.com", -1, "\"*.*.example.com\" is no host name"},
	{"api*.example.com", -1, "\"api*.example.com\" is no host name"},
	{".example.com", -1, "\".example.com\" is no host name"},
	{"a..example.com", -1, "\"a..example.com\" is no host name"},
	{"https://api.example.com", -1, "\"https://api.example.com\" is no host name"},
	{"api.example.com:443", -1, "\"api.example.com:443\" is no host name"},
	{"[::1]", -1, "\"[::1]\" is no host name"},
	{"10.0.0.0/8", -1, "\"10.0.0.0/8\" is no host name"},
	{"b\xc3\xbc" "cher.example", -1, "\"b\xc3\xbc" "cher.example\" is no host name"},
};

static const struct
{
	const char *list;
	const char *host;
	bool		is_inside;
}			memberships[] =

{
	{"", "api.example.com", false},
	{"api.example.com", "api.example.com", true},
	{"api.example.com", "API.EXAMPLE.COM", true},
	{"API.example.com", "api.example.com.", true},
	{"api.example.com.", "api.example.com", true},
	{"api.example.com", "api.example.com..", false},
	{"api.example.com", "xapi.example.com", false},
	{"api.example.com", "api.example.co", false},
	{"api.example.com", "api.example.com.evil.example", false},
	{"*.example.com", "api.example.com", true},
	{"*.example.com", "a.b.example.com", true},
	{"*.example.com", "example.com", false},
	{"*.example.com", ".example.com", false},
	{"*.example.com", "badexample.com", false},
	{"*.example.com", "", false},
	{"a.example, b.example", "b.example", true},
	{"2001:DB8:0::1", "2001:db8::1", true},
	{"192.0.2.7", "192.0.2.7", true},
	{"192.0.2.7", "192.0.2.70", false},
};

static void
check_reading(const char *text, int count, const char *problem)
{
	HostList	list;
	char		found[200] = "";
	bool		is_good = host_list_parse(text, &list, found, sizeof(found));

	tap_ok(is_good == (count >= 0) && (count < 0 || list.count == count), text);
	if (problem)
		tap_text(found, problem, problem);
}

/* A name of 253 bytes has room, with "*." before it; a longer entry is refused. */
static void
check_length(void)
{
	char		text[LIST_ENTRY_BYTES + 1];
	char		problem[200] = "";
	HostList	list;

	memset(text, 'a', LIST_ENTRY_BYTES);
	text[0] = '*';
	text[1] = '.';
	text[LIST_ENTRY_BYTES - 1] = '\0';
	tap_ok(host_list_parse(text, &list, problem, sizeof(problem)), "the longest name");
	text[LIST_ENTRY_BYTES - 1] = 'a';
	text[LIST_ENTRY_BYTES] = '\0';
	tap_ok(!host_list_parse(text, &list, problem, sizeof(problem)), "one byte more");
	tap_text(problem, "an entry of the list is too long", "it is said why");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++)
		check_reading(readings[i].text, readings[i].count, readings[i].problem);
	for (size_t i = 0; i < sizeof(memberships) / sizeof(memberships[0]); i++)
	{
		HostList	list;
		char		name[200];

		snprintf(name, sizeof(name), "%s %s \"%s\"", memberships[i].host,
				 memberships[i].is_inside ? "in" : "not in", memberships[i].list);
		tap_ok(host_list_parse(memberships[i].list, &list, name, 0) &&
			   host_list_contains(&list, memberships[i].host) == memberships[i].is_inside, name);
	}
	check_length();
	return tap_done();
}
