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

/* IANA's special-purpose registries, with multicast */
static const Range4 blocked4[] = {
	{0x00000000, 8},			/* this network */
	{0x0A000000, 8},			/* private */
	{0x64400000, 10},			/* carrier-grade NAT */
	{0x7F000000, 8},			/* loopback */
	{0xA9FE0000, 16},			/* link-local, cloud metadata */
	{0xAC100000, 12},			/* private */
	{0xC0000000, 24},			/* protocol assignments */
	{0xC0000200, 24},			/* documentation */
	{0xC0586300, 24},			/* 6to4 relays */
	{0xC0A80000, 16},			/* private */
	{0xC6120000, 15},			/* benchmarks */
	{0xC6336400, 24},			/* documentation */
	{0xCB007100, 24},			/* documentation */
	{0xE0000000, 4},			/* multicast */
	{0xF0000000, 4}				/* reserved, broadcast */
};

static const Range6 blocked6[] = {
	{{0}, 128},					/* unspecified */
	{{[15] = 1}, 128},			/* loopback */
	{{0, 0x64, 0xff, 0x9b}, 96},	/* NAT64 */
	{{0, 0x64, 0xff, 0x9b, 0, 1}, 48},	/* local NAT64 */
	{{1}, 64},					/* discard */
	{{0x20, 1}, 23},			/* protocol assignments, Teredo */
	{{0x20, 1, 0x0d, 0xb8}, 32},	/* documentation */
	{{0x3f, 0xff}, 20},			/* documentation */
	{{0x5f}, 16},				/* segment routing */
	{{0xfc}, 7},				/* unique local */
	{{0xfe, 0x80}, 10},			/* link-local */
	{{0xfe, 0xc0}, 10},			/* site-local */
	{{0xff}, 8}					/* multicast */
};

static const unsigned char mapped_prefix[12] = {[10] = 0xff,[11] = 0xff};

/* What answers there is no web server, while a crafted request could still harm it. */
static const int refused_ports[] = {
	1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95,
	101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143,
	161, 162, 179, 389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548,
	554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995, 1433, 1521, 1719, 1720, 1723,
	2049, 2375, 2379, 2380, 3306, 3389, 3659, 4045, 5060, 5061, 5432, 5433, 5672, 6000,
	6379, 6432, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 9042, 9092, 10080, 11211, 27017
};

static bool address_is_blocked(const NetworkList *allowed, const struct sockaddr *address);
static bool is_blocked4(const unsigned char *bytes);
static bool is_blocked6(const NetworkList *allowed, const unsigned char *bytes);
static bool inner_is_blocked(const NetworkList *allowed, const unsigned char *bytes);
static bool begins_with(const unsigned char *bytes, const unsigned char *prefix, int bits);

GuardVerdict
guard_judge(const NetworkList *allowed, const struct sockaddr *address, bool is_plain)
{
	int			port;

	if (address->sa_family == AF_INET)
		port = ntohs(((const struct sockaddr_in *) address)->sin_port);
	else if (address->sa_family == AF_INET6)
		port = ntohs(((const struct sockaddr_in6 *) address)->sin6_port);
	else
		return GUARD_REFUSES_FAMILY;

	if (network_list_contains(allowed, address))
		return GUARD_ALLOWS;
	if (address_is_blocked(allowed, address))
		return GUARD_REFUSES_ADDRESS;
	if (is_plain)
		return GUARD_REFUSES_SCHEME;
	return guard_refuses_port(port) ? GUARD_REFUSES_PORT : GUARD_ALLOWS;
}

bool
guard_refuses_port(int port)
{
	for (size_t i = 0; i < sizeof(refused_ports) / sizeof(refused_ports[0]); i++)
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
			return "may not be called over plain http";
		case GUARD_REFUSES_PORT:
			return "may not be called on this port";
		case GUARD_REFUSES_FAMILY:
			return "is neither IPv4 nor IPv6";
		default:
			return "may be called";
	}
}

static bool
address_is_blocked(const NetworkList *allowed, const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return is_blocked4((const unsigned char *)
						   &((const struct sockaddr_in *) address)->sin_addr);
	return is_blocked6(allowed, (const unsigned char *)
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
is_blocked6(const NetworkList *allowed, const unsigned char *bytes)
{
	static const unsigned char six_to_four[2] = {0x20, 0x02};

	if (begins_with(bytes, mapped_prefix, 96))
		return is_blocked4(bytes + 12);
	if (begins_with(bytes, six_to_four, 16))
		return inner_is_blocked(allowed, bytes + 2);
	for (size_t i = 0; i < sizeof(blocked6) / sizeof(blocked6[0]); i++)
		if (begins_with(bytes, blocked6[i].address, blocked6[i].bits))
			return true;
	return false;
}

/* An IPv4 address wrapped by 6to4 is judged as if it were called itself. */
static bool
inner_is_blocked(const NetworkList *allowed, const unsigned char *bytes)
{
	struct sockaddr_in inner = {.sin_family = AF_INET};

	memcpy(&inner.sin_addr, bytes, 4);
	return is_blocked4(bytes) &&
		!network_list_contains(allowed, (const struct sockaddr *) &inner);
}

static bool
begins_with(const unsigned char *bytes, const unsigned char *prefix, int bits)
{
	int			rest = bits % 8;

	if (memcmp(bytes, prefix, (size_t) (bits / 8)) != 0)
		return false;
	return rest == 0 || (bytes[bits / 8] ^ prefix[bits / 8]) >> (8 - rest) == 0;
}
