/*-------------------------------------------------------------------------
 * network.h
 *		Lists of address ranges in CIDR notation.
 *
 * Free of PostgreSQL headers: the address guard in transport/ and the check of
 * integration.allowed_networks read the same text with the same parser.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_NETWORK_H
#define INTEGRATION_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/list.h"

/* One range: IPv4 addresses stand in their IPv4-mapped IPv6 form. */
typedef struct Network
{
	unsigned char address[16];
	int			prefix_bits;
} Network;

typedef struct NetworkList
{
	int			count;
	Network		items[LIST_ENTRIES_MAX];
} NetworkList;

/*
 * Read a comma-separated list such as "127.0.0.0/8, ::1".  An address without
 * a length is one host.  On bad text returns false and writes a sentence
 * fragment for the detail of an error to problem.  Does not throw.
 */
extern bool network_list_parse(const char *text, NetworkList *list,
							   char *problem, size_t problem_size);

/* Whether the list holds the address (AF_INET or AF_INET6).  Does not throw. */
extern bool network_list_contains(const NetworkList *list,
								  const struct sockaddr *address);

#endif							/* INTEGRATION_NETWORK_H */
