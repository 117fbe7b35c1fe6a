/*-------------------------------------------------------------------------
 * guard.c
 *		Which addresses may be called.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "transport/guard.h"

typedef struct Range4
{
	uint32_t	address;
	int			bits;
} Range4;

typedef struct Range6
{
	unsigned char address[16];
	int			bits;
} Range6;

/*
 * The IPv4 Special-Purpose Address Registry (RFC 6890 §2.2.2 and its updates) but for what it
 * calls globally reachable as a whole (192.31.196.0/24, 192.52.193.0/24, 192.175.48.0/24),
 * with multicast.
 */
static const Range4 blocked4[] = {
	{0x00000000, 8},			/* this network: RFC 791 §3.2 */
	{0x0A000000, 8},			/* private: RFC 1918 */
	{0x64400000, 10},			/* carrier-grade NAT: RFC 6598 */
	{0x7F000000, 8},			/* loopback: RFC 1122 §3.2.1.3 */
	{0xA9FE0000, 16},			/* link-local, cloud metadata: RFC 3927 */
	{0xAC100000, 12},			/* private: RFC 1918 */
	{0xC0000000, 24},			/* protocol assignments: RFC 6890 §2.1 */
	{0xC0000200, 24},			/* documentation: RFC 5737 */
	{0xC0586300, 24},			/* 6to4 relays, 6a44: RFC 7526, RFC 6751 */
	{0xC0A80000, 16},			/* private: RFC 1918 */
	{0xC6120000, 15},			/* benchmarks: RFC 2544 */
	{0xC6336400, 24},			/* documentation: RFC 5737 */
	{0xCB007100, 24},			/* documentation: RFC 5737 */
	{0xE0000000, 4},			/* multicast: RFC 5771 */
	{0xF0000000, 4}				/* reserved, broadcast: RFC 1112 §4, RFC 8190 */
};

/*
 * The IPv6 Special-Purpose Address Registry likewise, but for 2620:4f:8000::/48, with what
 * RFC 4291 reserves.  Mapped addresses, NAT64 and 6to4 are judged by the address inside.
 */
static const Range6 blocked6[] = {
	{{0}, 96},					/* unspecified, loopback, IPv4-compatible: RFC
								 * 4291 §2.5 */
	{{0, 0x64, 0xff, 0x9b}, 96},	/* NAT64: RFC 6052 */
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48},	/* local NAT64: RFC 8215 */
	{{1}, 63},					/* discard, dummy: RFC 6666, RFC 9780 */
	{{0x20, 1}, 23},			/* protocol assignments, Teredo: RFC 2928, RFC
								 * 4380 */
	{{0x20, 1, 0x0d, 0xb8}, 32},	/* documentation: RFC 3849 */
	{{0x3f, 0xff}, 20},			/* documentation: RFC 9637 */
	{{0x5f}, 16},				/* segment routing: RFC 9602 */
	{{0xfc}, 7},				/* unique local: RFC 4193 */
	{{0xfe, 0x80}, 10},			/* link-local: RFC 4291 §2.5.6 */
	{{0xfe, 0xc0}, 10},			/* site-local: RFC 3879 */
	{{0xff}, 8}					/* multicast: RFC 4291 §2.7 */
};

static const unsigned char mapped_prefix[12] = {[10] = 0xff,[11] = 0xff};
static const unsigned char nat64_prefix[12] = {0, 0x64, 0xff, 0x9b};
static const unsigned char six_to_four[2] = {0x20, 0x02};

/*
 * What answers there is no web server, while a crafted request could still harm it: the ports
 * that browsers refuse (Fetch §2.9, "bad port"), then databases, queues and what commands
 * machines.
 */
static const int refused_ports[] = {
	1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95,
	101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179,
	389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601,
	636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566,
	6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
	138, 162, 445, 873, 1433, 1521, 2375, 2379, 2380, 3306, 3389, 5432, 5433, 5672, 5900, 6379,
	6432, 9042, 9092, 11211, 27017
};

static GuardVerdict judge_at_port(const AddressPolicy *policy, const struct sockaddr *address,
								  int port, bool is_plain);
static bool is_nat64(const struct sockaddr *address);
static struct sockaddr_in inner_address(const unsigned char *bytes, in_port_t port);
static bool address_is_blocked(const AddressPolicy *policy, const struct sockaddr *address);
static bool is_blocked4(const unsigned char *bytes);
static bool is_blocked6(const AddressPolicy *policy, const unsigned char *bytes);
static bool inner_is_blocked(const AddressPolicy *policy, const unsigned char *bytes);
static bool begins_with(const unsigned char *bytes, const unsigned char *prefix, int bits);

GuardVerdict
guard_judge(const AddressPolicy *policy, const struct sockaddr *address, bool is_plain)
{
	const struct sockaddr_in6 *address6 = (const struct sockaddr_in6 *) address;
	struct sockaddr_in inner;

	if (address->sa_family == AF_INET)
		return judge_at_port(policy, address,
							 ntohs(((const struct sockaddr_in *) address)->sin_port), is_plain);
	if (address->sa_family != AF_INET6)
		return GUARD_REFUSES_FAMILY;
	if (!is_nat64(address) || !network_list_contains(&policy->networks, address))
		return judge_at_port(policy, address, ntohs(address6->sin6_port), is_plain);

	/*
	 * not every translator keeps to RFC 6052 §3.1, so its range opens no
	 * more than what may be called over IPv4
	 */
	inner = inner_address((const unsigned char *) &address6->sin6_addr + 12, address6->sin6_port);
	return judge_at_port(policy, (const struct sockaddr *) &inner, ntohs(inner.sin_port), is_plain);
}

bool
guard_refuses_port(const AddressPolicy *policy, int port, bool is_public)
{
	if (policy->ports.count > 0)
		return !port_list_contains(&policy->ports, port);
	for (size_t i = 0; is_public && i < sizeof(refused_ports) / sizeof(refused_ports[0]); i++)
		if (refused_ports[i] == port)
			return true;
	return false;
}

const char *
guard_reason(GuardVerdict verdict)
{
	switch (verdict)
	{
		case GUARD_REFUSES_ADDRESS:
			return "blocked_private_address";
		case GUARD_REFUSES_SCHEME:
			return "blocked_scheme";
		case GUARD_REFUSES_PORT:
			return "blocked_port";
		case GUARD_REFUSES_HOST:
			return "blocked_host";
		default:
			return NULL;
	}
}

const char *
guard_explanation(GuardVerdict verdict)
{
	switch (verdict)
	{
		case GUARD_REFUSES_ADDRESS:
			return "is in a protected network that integration.allowed_networks does not open";
		case GUARD_REFUSES_SCHEME:
			return "may not be called over plain http, being outside of integration.allowed_networks";
		case GUARD_REFUSES_PORT:
			return "may not be called on this port; integration.allowed_ports can open it";
		case GUARD_REFUSES_HOST:
			return "is not in integration.allowed_hosts";
		case GUARD_REFUSES_FAMILY:
			return "is neither IPv4 nor IPv6";
		default:
			return "may be called";
	}
}

static GuardVerdict
judge_at_port(const AddressPolicy *policy, const struct sockaddr *address, int port, bool is_plain)
{
	bool		is_public = !network_list_contains(&policy->networks, address);

	if (is_public && address_is_blocked(policy, address))
		return GUARD_REFUSES_ADDRESS;
	if (is_public && is_plain)
		return GUARD_REFUSES_SCHEME;
	return guard_refuses_port(policy, port, is_public) ? GUARD_REFUSES_PORT : GUARD_ALLOWS;
}

static bool
is_nat64(const struct sockaddr *address)
{
	return address->sa_family == AF_INET6 &&
		begins_with((const unsigned char *)
					&((const struct sockaddr_in6 *) address)->sin6_addr, nat64_prefix, 96);
}

static struct sockaddr_in
inner_address(const unsigned char *bytes, in_port_t port)
{
	struct sockaddr_in inner = {.sin_family = AF_INET,.sin_port = port};

	memcpy(&inner.sin_addr, bytes, 4);
	return inner;
}

static bool
address_is_blocked(const AddressPolicy *policy, const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return is_blocked4((const unsigned char *)
						   &((const struct sockaddr_in *) address)->sin_addr);
	return is_blocked6(policy, (const unsigned char *)
					   &((const struct sockaddr_in6 *) address)->sin6_addr);
}

static bool
is_blocked4(const unsigned char *bytes)
{
	uint32_t	address = (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 |
		(uint32_t) bytes[2] << 8 | bytes[3];

	for (size_t i = 0; i < sizeof(blocked4) / sizeof(blocked4[0]); i++)
		if ((address ^ blocked4[i].address) >> (32 - blocked4[i].bits) == 0)
			return true;
	return false;
}

static bool
is_blocked6(const AddressPolicy *policy, const unsigned char *bytes)
{
	if (begins_with(bytes, mapped_prefix, 96))
		return is_blocked4(bytes + 12);
	if (begins_with(bytes, six_to_four, 16))
		return inner_is_blocked(policy, bytes + 2);
	for (size_t i = 0; i < sizeof(blocked6) / sizeof(blocked6[0]); i++)
		if (begins_with(bytes, blocked6[i].address, blocked6[i].bits))
			return true;
	return false;
}

/* An IPv4 address inside an IPv6 one is judged as if it were called itself. */
static bool
inner_is_blocked(const AddressPolicy *policy, const unsigned char *bytes)
{
	struct sockaddr_in inner = inner_address(bytes, 0);

	return is_blocked4(bytes) &&
		!network_list_contains(&policy->networks, (const struct sockaddr *) &inner);
}

static bool
begins_with(const unsigned char *bytes, const unsigned char *prefix, int bits)
{
	int			rest = bits % 8;

	if (memcmp(bytes, prefix, (size_t) (bits / 8)) != 0)
		return false;
	return rest == 0 || (bytes[bits / 8] ^ prefix[bits / 8]) >> (8 - rest) == 0;
}
