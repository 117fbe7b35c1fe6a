/*-------------------------------------------------------------------------
 * host.h
 *		Lists of host names.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_HOST_H
#define INTEGRATION_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

typedef struct HostList
{
	int			count;
	char		items[LIST_ENTRIES_MAX][LIST_ENTRY_BYTES];
} HostList;

/*
 * Read a comma-separated list such as "api.example.com, *.example.org, 192.0.2.7"; "*." stands
 * for one label or more.  On bad text returns false and writes a sentence fragment for the
 * detail of an error to problem.  Does not throw.
 */
extern bool host_list_parse(const char *text, HostList *list, char *problem, size_t problem_size);

/*
 * Whether the list names the host: a name in ASCII, or an IPv4 or IPv6 address in its usual
 * form, without brackets.  A final dot and the case of letters don't matter.  Does not throw.
 */
extern bool host_list_contains(const HostList *list, const char *host);

#endif							/* INTEGRATION_HOST_H */
