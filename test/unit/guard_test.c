/*-------------------------------------------------------------------------
 * guard_test.c
 *		Which addresses may be called: the edges of each range.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "tap.h"
#include "transport/guard.h"

static const struct
{
	const char *first;
	const char *last;
	const char *before;			/* NULL: the neighbour is blocked by another
								 * range */
	const char *after;
}			blocked[] =

{
	{"0.0.0.0", "0.255.255.255", NULL, "1.0.0.0"},
	{"10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
	{"100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"},
	{"127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"},
	{"169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"},
	{"172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
	{"192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"},
	{"192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"},
	{"192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"},
	{"192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"},
	{"198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"},
	{"198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"},
	{"203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"},
	{"224.0.0.0", "239.255.255.255", "223.255.255.255", NULL},
	{"240.0.0.0", "255.255.255.255", NULL, NULL},
	{"::", "::1", NULL, NULL},
	{"::2", "::ffff:ffff", NULL, "::1:0:0"},
	{"::7f00:1", "::a9fe:a9fe", NULL, NULL},
	{"::ffff:0.0.0.0", "::ffff:0.255.255.255", "::fffe:ffff:ffff", "::ffff:1.0.0.0"},
	{"::ffff:10.0.0.0", "::ffff:10.255.255.255", "::ffff:9.255.255.255", "::ffff:11.0.0.0"},
	{"::ffff:127.0.0.0", "::ffff:127.255.255.255", "::ffff:126.255.255.255", "::ffff:128.0.0.0"},
	{"::ffff:169.254.169.254", "::ffff:169.254.169.254", NULL, NULL},
	{"64:ff9b::", "64:ff9b::ffff:ffff", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff",
	"64:ff9b::1:0:0"},
	{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
	"64:ff9b:0:ffff:ffff:ffff:ffff:ffff", "64:ff9b:2::"},
	{"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", NULL, NULL},
	{"100::", "100::ffff:ffff:ffff:ffff", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
	{"100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", NULL, "100:0:0:2::"},
	{"2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
	"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"},
	{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
	"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
	{"2002:a00::", "2002:aff:ffff:ffff:ffff:ffff:ffff:ffff",
	"2002:9ff:ffff:ffff:ffff:ffff:ffff:ffff", "2002:b00::"},
	{"2002:7f00:1::", "2002:7f00:1:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	{"2002:a9fe:a9fe::1", "2002:c0a8:101::1", NULL, NULL},
	{"2001:0:7f00:1::", "2001:0:a9fe:a9fe:0:fbff:80ff:fffe", NULL, NULL},
	{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
	"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
	{"5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	"5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "5f01::"},
	{"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	"fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::"},
	{"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	"fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
	{"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	{"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
};

static const struct
{
	const char *allowed;
	const char *address;
	int			port;
	bool		is_plain;
	GuardVerdict verdict;
}			judgements[] =

{
	{"", "8.8.8.8", 443, false, GUARD_ALLOWS},
	{"", "8.8.8.8", 80, true, GUARD_REFUSES_SCHEME},
	{"", "8.8.8.8", 8443, false, GUARD_ALLOWS},
	{"", "8.8.8.8", 22, false, GUARD_REFUSES_PORT},
	{"", "8.8.8.8", 25, false, GUARD_REFUSES_PORT},
	{"", "8.8.8.8", 5432, false, GUARD_REFUSES_PORT},
	{"", "8.8.8.8", 6379, false, GUARD_REFUSES_PORT},
	{"", "2606:4700::1", 11211, false, GUARD_REFUSES_PORT},
	{"", "10.0.0.1", 22, true, GUARD_REFUSES_ADDRESS},
	{"10.0.0.0/8", "10.0.0.1", 443, false, GUARD_ALLOWS},
	{"10.0.0.0/8", "10.0.0.1", 22, true, GUARD_ALLOWS},
	{"10.0.0.0/8", "::ffff:10.0.0.1", 80, true, GUARD_ALLOWS},
	{"10.0.0.0/8", "2002:a00:1::1", 443, false, GUARD_ALLOWS},
	{"10.0.0.0/8", "2002:a00:1::1", 80, true, GUARD_REFUSES_SCHEME},
	{"2002:a00:1::/48", "2002:a00:1::1", 80, true, GUARD_ALLOWS},
	{"10.0.0.0/8", "64:ff9b::a00:1", 443, false, GUARD_REFUSES_ADDRESS},
	{"64:ff9b::/96", "64:ff9b::808:808", 443, false, GUARD_ALLOWS},
	{"64:ff9b::/96", "64:ff9b::808:808", 80, true, GUARD_REFUSES_SCHEME},
	{"64:ff9b::/96", "64:ff9b::808:808", 25, false, GUARD_REFUSES_PORT},
	{"64:ff9b::/96", "64:ff9b::a00:1", 443, false, GUARD_REFUSES_ADDRESS},
	{"64:ff9b::/96, 10.0.0.0/8", "64:ff9b::a00:1", 80, true, GUARD_ALLOWS},
	{"10.0.0.0/8", "127.0.0.1", 443, false, GUARD_REFUSES_ADDRESS},
	{"::1", "::1", 80, true, GUARD_ALLOWS},
	{"8.8.0.0/16", "8.8.8.8", 25, true, GUARD_ALLOWS},
};

/* Public, however close to what is not: none of it is blocked. */
static const char *const public_addresses[] = {
	"1.1.1.1", "8.8.8.8", "9.9.9.9", "20.76.201.171", "34.117.59.81", "52.94.236.248",
	"93.184.216.34", "104.16.132.229", "140.82.121.4", "151.101.1.69", "172.217.16.206",
	"185.199.108.153", "193.99.144.80", "195.20.224.19", "198.41.0.4", "199.232.1.1",
	"192.0.1.1", "192.1.0.1", "192.31.196.1", "192.52.193.1", "192.88.100.1", "192.175.48.1",
	"192.167.255.254", "192.169.0.1", "198.51.99.1", "203.0.112.1", "223.255.255.254",
	"2001:200::1", "2001:4860:4860::8888", "2001:67c:4e8::1", "2001:db7::1", "2003::1",
	"2400:cb00::1", "2600:1f18::1", "2606:4700::1111", "2620:fe::fe", "2620:4f:8000::1",
	"2800:3f0::1", "2a00:1450:4001::200e", "2a05:d018::1", "2c0f:fb50::1",
	"2002:808:808::1", "::ffff:8.8.8.8", "3ffe::1", "3fff:1000::1"
};

static const struct
{
	const char *networks;
	const char *ports;
	const char *address;
	int			port;
	GuardVerdict verdict;
}			narrowed[] =

{
	{"", "443", "8.8.8.8", 443, GUARD_ALLOWS},
	{"", "443", "8.8.8.8", 8443, GUARD_REFUSES_PORT},
	{"", "443, 8000-8999", "8.8.8.8", 8443, GUARD_ALLOWS},
	{"", "443, 8000-8999", "8.8.8.8", 9000, GUARD_REFUSES_PORT},
	{"", "443, 8000-8999", "2606:4700::1", 7999, GUARD_REFUSES_PORT},
	{"", "25", "8.8.8.8", 25, GUARD_ALLOWS},
	{"", "25", "10.0.0.1", 25, GUARD_REFUSES_ADDRESS},
	{"10.0.0.0/8", "443", "10.0.0.1", 443, GUARD_ALLOWS},
	{"10.0.0.0/8", "443", "10.0.0.1", 22, GUARD_REFUSES_PORT},
	{"64:ff9b::/96", "443", "64:ff9b::808:808", 8443, GUARD_REFUSES_PORT},
};

static GuardVerdict
judge_with(const char *networks, const char *ports, const char *address, int port,
		   bool is_plain)
{
	AddressPolicy policy = {0};
	struct sockaddr_in address4 = {.sin_family = AF_INET,.sin_port = htons((uint16_t) port)};
	struct sockaddr_in6 address6 = {.sin6_family = AF_INET6,.sin6_port = htons((uint16_t) port)};
	char		problem[100];

	network_list_parse(networks, &policy.networks, problem, sizeof(problem));
	port_list_parse(ports, &policy.ports, problem, sizeof(problem));
	if (inet_pton(AF_INET, address, &address4.sin_addr) == 1)
		return guard_judge(&policy, (struct sockaddr *) &address4, is_plain);
	if (inet_pton(AF_INET6, address, &address6.sin6_addr) != 1)
		tap_bail_out(address);
	return guard_judge(&policy, (struct sockaddr *) &address6, is_plain);
}

static GuardVerdict
judge(const char *networks, const char *address, int port, bool is_plain)
{
	return judge_with(networks, "", address, port, is_plain);
}

static void
check_edge(const char *address, GuardVerdict wanted)
{
	if (address)
		tap_number(judge("", address, 443, false), wanted, address);
}

int
main(void)
{
	struct sockaddr local = {.sa_family = AF_UNIX};
	AddressPolicy nothing = {0};

	for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++)
	{
		check_edge(blocked[i].first, GUARD_REFUSES_ADDRESS);
		check_edge(blocked[i].last, GUARD_REFUSES_ADDRESS);
		check_edge(blocked[i].before, GUARD_ALLOWS);
		check_edge(blocked[i].after, GUARD_ALLOWS);
	}
	for (size_t i = 0; i < sizeof(judgements) / sizeof(judgements[0]); i++)
		tap_number(judge(judgements[i].allowed, judgements[i].address, judgements[i].port,
						 judgements[i].is_plain), judgements[i].verdict, judgements[i].address);
	for (size_t i = 0; i < sizeof(narrowed) / sizeof(narrowed[0]); i++)
		tap_number(judge_with(narrowed[i].networks, narrowed[i].ports, narrowed[i].address,
							  narrowed[i].port, false), narrowed[i].verdict, narrowed[i].ports);
	for (size_t i = 0; i < sizeof(public_addresses) / sizeof(public_addresses[0]); i++)
		tap_number(judge("", public_addresses[i], 443, false), GUARD_ALLOWS, public_addresses[i]);
	tap_number(guard_judge(&nothing, &local, false), GUARD_REFUSES_FAMILY, "a unix socket");
	tap_text(guard_reason(GUARD_REFUSES_ADDRESS), "blocked_private_address", "reason: address");
	tap_text(guard_reason(GUARD_REFUSES_SCHEME), "blocked_scheme", "reason: scheme");
	tap_text(guard_reason(GUARD_REFUSES_PORT), "blocked_port", "reason: port");
	tap_text(guard_reason(GUARD_REFUSES_HOST), "blocked_host", "reason: host");
	tap_text(guard_reason(GUARD_ALLOWS), NULL, "no reason");
	return tap_done();
}
