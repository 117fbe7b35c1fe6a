/*-------------------------------------------------------------------------
 * network_test.c
 *		Lists of address ranges: what is read, what is inside.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/network.h"
#include "tap.h"

static const struct
{
	const char *list;
	int			count;			/* -1: refused */
	const char *problem;
}			readings[] =

{
	{"", 0, NULL},
	{"  ", 0, NULL},
	{"127.0.0.0/8", 1, NULL},
	{" 127.0.0.0/8 , ::1 ", 2, NULL},
	{"10.1.2.3", 1, NULL},
	{"0.0.0.0/0,::/0", 2, NULL},
	{"::ffff:10.0.0.0/104", 1, NULL},
	{"10.0.0.0/33", -1, "the length in \"10.0.0.0/33\" is not a number from 0 to 32"},
	{"::1/129", -1, "the length in \"::1/129\" is not a number from 0 to 128"},
	{"10.0.0.0/", -1, "the length in \"10.0.0.0/\" is not a number from 0 to 32"},
	{"10.0.0.0/-1", -1, "the length in \"10.0.0.0/-1\" is not a number from 0 to 32"},
	{"10.0.0.0/8x", -1, "the length in \"10.0.0.0/8x\" is not a number from 0 to 32"},
	{"10.1.0.0/8", -1, "\"10.1.0.0/8\" has bits set to the right of its length"},
	{"localhost", -1, "\"localhost\" is not an IPv4 or IPv6 address"},
	{"010.0.0.1x", -1, "\"010.0.0.1x\" is not an IPv4 or IPv6 address"},
	{"10.0.0.1,,10.0.0.2", -1, "an entry of the list is empty"},
	{"10.0.0.1,", -1, "an entry of the list is empty"},
	{"10.0.0.1 10.0.0.2", -1, "a comma is missing after \"10.0.0.1\""},
	{"11111111111111111111111111111111111111111111111111111111111111111", -1,
		"\"11111111111111111111111111111111111111111111111111111111111111111\" is not an IPv4 or"
	" IPv6 address"},
};

static const struct
{
	const char *list;
	const char *address;
	bool		is_inside;
}			memberships[] =

{
	{"", "127.0.0.1", false},
	{"127.0.0.0/8", "127.0.0.1", true},
	{"127.0.0.0/8", "127.255.255.255", true},
	{"127.0.0.0/8", "128.0.0.0", false},
	{"127.0.0.0/8", "126.255.255.255", false},
	{"127.0.0.0/8", "::1", false},
	{"127.0.0.0/8", "::ffff:127.0.0.1", true},
	{"::ffff:10.0.0.0/104", "10.9.9.9", true},
	{"10.1.2.3", "10.1.2.3", true},
	{"10.1.2.3", "10.1.2.4", false},
	{"192.168.4.0/22", "192.168.7.255", true},
	{"192.168.4.0/22", "192.168.8.0", false},
	{"0.0.0.0/0", "8.8.8.8", true},
	{"0.0.0.0/0", "2001:db8::1", false},
	{"::/0", "8.8.8.8", true},
	{"fd00::/8", "fd12::1", true},
	{"fd00::/8", "fe00::1", false},
	{"10.0.0.0/8, fd00::/8", "fd12::1", true},
};

static void
check_reading(const char *text, int count, const char *problem)
{
	NetworkList list;
	char		found[200] = "";
	bool		is_good = network_list_parse(text, &list, found, sizeof(found));

	tap_ok(is_good == (count >= 0) && (count < 0 || list.count == count), text);
	if (problem)
		tap_text(found, problem, problem);
}

static void
check_membership(const char *text, const char *address, bool is_inside)
{
	NetworkList list;
	struct sockaddr_in address4 = {.sin_family = AF_INET};
	struct sockaddr_in6 address6 = {.sin6_family = AF_INET6};
	const struct sockaddr *socket_address = (struct sockaddr *) &address4;
	char		name[200];

	if (inet_pton(AF_INET, address, &address4.sin_addr) != 1)
	{
		inet_pton(AF_INET6, address, &address6.sin6_addr);
		socket_address = (struct sockaddr *) &address6;
	}
	snprintf(name, sizeof(name), "%s %s \"%s\"", address, is_inside ? "in" : "not in", text);
	tap_ok(network_list_parse(text, &list, name, 0) &&
		   network_list_contains(&list, socket_address) == is_inside, name);
}

static void
check_limit(void)
{
	char		text[LIST_ENTRIES_MAX * 10 + 20] = "";
	char		problem[200] = "";
	NetworkList list;

	for (int i = 0; i < LIST_ENTRIES_MAX; i++)
		strcat(text, i ? ",10.0.0.1" : "10.0.0.1");
	tap_ok(network_list_parse(text, &list, problem, sizeof(problem)), "a full list");
	strcat(text, ",10.0.0.1");
	tap_ok(!network_list_parse(text, &list, problem, sizeof(problem)), "one more");
	tap_text(problem, "the list has more than 64 entries", "it is said why");
}

int
main(void)
{
	struct sockaddr local = {.sa_family = AF_UNIX};
	NetworkList everything;
	char		problem[100];

	for (size_t i = 0; i < sizeof(readings) / sizeof(readings[0]); i++)
		check_reading(readings[i].list, readings[i].count, readings[i].problem);
	for (size_t i = 0; i < sizeof(memberships) / sizeof(memberships[0]); i++)
		check_membership(memberships[i].list, memberships[i].address, memberships[i].is_inside);
	check_limit();
	network_list_parse("::/0", &everything, problem, sizeof(problem));
	tap_ok(!network_list_contains(&everything, &local), "a unix socket is in no list");
	return tap_done();
}
