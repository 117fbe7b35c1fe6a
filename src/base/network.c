/*-------------------------------------------------------------------------
 * network.c
 *		Lists of address ranges in CIDR notation.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/network.h"

static bool parse_entry(const char *entry, Network *network, char *problem, size_t problem_size);
static bool parse_length(const char *digits, int limit, int *bits);
static bool read_address(const char *text, Network *network);
static void mask_address(const unsigned char *address, int prefix_bits, unsigned char *masked);

bool
network_list_parse(const char *text, NetworkList *list, char *problem, size_t problem_size)
{
	ListReader	reader = list_begin(text);

	list->count = 0;
	while (reader.has_more)
	{
		if (!list_next(&reader, problem, problem_size) ||
			!parse_entry(reader.entry, &list->items[list->count], problem, problem_size))
			return false;
		list->count++;
	}
	return true;
}

bool
network_list_contains(const NetworkList *list, const struct sockaddr *address)
{
	unsigned char bytes[16] = {[10] = 0xff,[11] = 0xff};

	if (address->sa_family == AF_INET)
		memcpy(bytes + 12, &((const struct sockaddr_in *) address)->sin_addr, 4);
	else if (address->sa_family == AF_INET6)
		memcpy(bytes, &((const struct sockaddr_in6 *) address)->sin6_addr, 16);
	else
		return false;

	for (int i = 0; i < list->count; i++)
	{
		unsigned char masked[16];

		mask_address(bytes, list->items[i].prefix_bits, masked);
		if (memcmp(masked, list->items[i].address, 16) == 0)
			return true;
	}
	return false;
}

static bool
parse_entry(const char *entry, Network *network, char *problem, size_t problem_size)
{
	char		address[LIST_ENTRY_BYTES];
	unsigned char masked[16];
	const char *slash = strchr(entry, '/');
	size_t		length = slash ? (size_t) (slash - entry) : strlen(entry);
	int			first_bit;
	int			bits;

	memcpy(address, entry, length);
	address[length] = '\0';
	if (!read_address(address, network))
	{
		snprintf(problem, problem_size, "\"%s\" is not an IPv4 or IPv6 address", address);
		return false;
	}

	first_bit = strchr(address, ':') ? 0 : 96;
	bits = 128 - first_bit;
	if (slash && !parse_length(slash + 1, 128 - first_bit, &bits))
	{
		snprintf(problem, problem_size, "the length in \"%s\" is not a number from 0 to %d",
				 entry, 128 - first_bit);
		return false;
	}

	network->prefix_bits = first_bit + bits;
	mask_address(network->address, network->prefix_bits, masked);
	if (memcmp(masked, network->address, sizeof(masked)) != 0)
	{
		snprintf(problem, problem_size, "\"%s\" has bits set to the right of its length", entry);
		return false;
	}
	return true;
}

static bool
parse_length(const char *digits, int limit, int *bits)
{
	size_t		count = strspn(digits, "0123456789");

	if (count == 0 || count > 3 || digits[count] != '\0')
		return false;
	*bits = atoi(digits);
	return *bits <= limit;
}

static bool
read_address(const char *text, Network *network)
{
	static const unsigned char mapped[12] = {[10] = 0xff,[11] = 0xff};

	if (inet_pton(AF_INET6, text, network->address) == 1)
		return true;
	memcpy(network->address, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, network->address + sizeof(mapped)) == 1;
}

static void
mask_address(const unsigned char *address, int prefix_bits, unsigned char *masked)
{
	for (int i = 0; i < 16; i++)
	{
		int			kept = prefix_bits - i * 8;

		if (kept >= 8)
			masked[i] = address[i];
		else if (kept <= 0)
			masked[i] = 0;
		else
			masked[i] = (unsigned char) (address[i] & (0xff << (8 - kept)));
	}
}
