/*-------------------------------------------------------------------------
 * port.c
 *		Lists of TCP ports.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/port.h"

#define PORT_MAX 65535
#define DIGITS "0123456789"
#define DIGITS_MAX 5

static bool parse_range(const char *entry, PortRange *range);
static const char *parse_port(const char *digits, int *port);

bool
port_list_parse(const char *text, PortList *list, char *problem, size_t problem_size)
{
	ListReader	reader = list_begin(text);

	list->count = 0;
	while (reader.has_more)
	{
		if (!list_next(&reader, problem, problem_size))
			return false;
		if (!parse_range(reader.entry, &list->items[list->count]))
		{
			snprintf(problem, problem_size, "\"%s\" is neither a port from 1 to %d nor a range of"
					 " ports", reader.entry, PORT_MAX);
			return false;
		}
		list->count++;
	}
	return true;
}

bool
port_list_contains(const PortList *list, int port)
{
	for (int i = 0; i < list->count; i++)
		if (port >= list->items[i].first && port <= list->items[i].last)
			return true;
	return false;
}

static bool
parse_range(const char *entry, PortRange *range)
{
	const char *end = parse_port(entry, &range->first);

	range->last = range->first;
	if (end && *end == '-')
		end = parse_port(end + 1, &range->last);
	return end && *end == '\0' && range->first <= range->last;
}

/* Returns where the digits end, or NULL. */
static const char *
parse_port(const char *digits, int *port)
{
	size_t		count = strspn(digits, DIGITS);

	if (count == 0 || count > DIGITS_MAX)
		return NULL;
	*port = atoi(digits);
	return *port >= 1 && *port <= PORT_MAX ? digits + count : NULL;
}
