/*-------------------------------------------------------------------------
 * port.h
 *		Lists of TCP ports.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PORT_H
#define INTEGRATION_PORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

typedef struct PortRange
{
	int			first;
	int			last;
} PortRange;

typedef struct PortList
{
	int			count;
	PortRange	items[LIST_ENTRIES_MAX];
} PortList;

/*
 * Read a comma-separated list such as "443, 8000-8999".  On bad text returns false and writes
 * a sentence fragment for the detail of an error to problem.  Does not throw.
 */
extern bool port_list_parse(const char *text, PortList *list, char *problem, size_t problem_size);

/* Does not throw. */
extern bool port_list_contains(const PortList *list, int port);

#endif							/* INTEGRATION_PORT_H */
