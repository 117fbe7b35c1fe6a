/*-------------------------------------------------------------------------
 * port_test.c
 *		Lists of TCP ports.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "base/port.h"
#include "tap.h"

static const struct
{
	const char *text;
	int			count;			/* -1: can't be read */
}			readings[] =

{
	{"", 0},
	{"443", 1},
	{" 80 , 443, 8000-8999 ", 3},
	{"1-65535", 1},
	{"443-443", 1},
	{"0", -1},
	{"65536", -1},
	{"443-", -1},
	{"-443", -1},
	{"8999-8000", -1},
	{"80-90-100", -1},
	{"+80", -1},
	{"https", -1},
	{"4294967739", -1},
	{"443,", -1},
};

static const struct
{
	const char *list;
	int			port;
	bool		is_inside;
}			memberships[] =

{
	{"", 443, false},
	{"443", 443, true},
	{"443", 444, false},
	{"80, 8000-8999", 7999, false},
	{"80, 8000-8999", 8000, true},
	{"80, 8000-8999", 8999, true},
	{"80, 8000-8999", 9000, false},
};

int
main(void)
{
	PortList	list;
	char		problem[200] = "";

	for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++)
	{
		int			count = readings[i].count;

		tap_ok(port_list_parse(readings[i].text, &list, problem, sizeof(problem)) == (count >= 0) &&
			   (count < 0 || list.count == count), readings[i].text);
	}
	for (size_t i = 0; i < sizeof(memberships) / sizeof(memberships[0]); i++)
	{
		char		name[100];

		snprintf(name, sizeof(name), "%d %s \"%s\"", memberships[i].port,
				 memberships[i].is_inside ? "in" : "not in", memberships[i].list);
		tap_ok(port_list_parse(memberships[i].list, &list, problem, sizeof(problem)) &&
			   port_list_contains(&list, memberships[i].port) == memberships[i].is_inside, name);
	}
	port_list_parse("443, x", &list, problem, sizeof(problem));
	tap_text(problem, "\"x\" is neither a port from 1 to 65535 nor a range of ports",
			 "it is said what is wrong");
	return tap_done();
}
