/*-------------------------------------------------------------------------
 * network_fuzz.c
 *		Lists of networks: each holds its own addresses, and reads back as it was.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <arpa/inet.h>

#include "base/network.h"

static void
check_item(const NetworkList *list, const Network *network)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6};

	CHECK(network->prefix_bits >= 0 && network->prefix_bits <= 128);
	memcpy(&address.sin6_addr, network->address, 16);
	CHECK(network_list_contains(list, (struct sockaddr *) &address));
}

/* Written as IPv6 with its length, which is the other way to say the same. */
static void
check_again(const Network *network)
{
	char		text[INET6_ADDRSTRLEN + 8];
	char		problem[256];
	NetworkList again;

	CHECK(inet_ntop(AF_INET6, network->address, text, INET6_ADDRSTRLEN));
	snprintf(text + strlen(text), 8, "/%d", network->prefix_bits);
	CHECK(network_list_parse(text, &again, problem, sizeof(problem)));
	CHECK(again.count == 1 && again.items[0].prefix_bits == network->prefix_bits);
	CHECK(memcmp(again.items[0].address, network->address, 16) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *text = take_string(&input);
	char		problem[LIST_ENTRY_BYTES + 64] = "";
	NetworkList list;

	if (network_list_parse(text, &list, problem, sizeof(problem)))
	{
		CHECK(list.count >= 0 && list.count <= LIST_ENTRIES_MAX);
		for (int i = 0; i < list.count; i++)
		{
			check_item(&list, &list.items[i]);
			check_again(&list.items[i]);
		}
	}
	else
		CHECK(problem[0] && (is_clean(problem) || !is_clean(text)));
	free(text);
	return 0;
}
