/*-------------------------------------------------------------------------
 * guard_fuzz.c
 *		Addresses: an IPv4 address is judged alike in each of its forms.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <arpa/inet.h>

#include "transport/guard.h"

static GuardVerdict
judge6(const AddressPolicy *policy, const unsigned char *bytes, int port, bool is_plain)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6,.sin6_port = htons((uint16_t) port)};

	memcpy(&address.sin6_addr, bytes, 16);
	return guard_judge(policy, (struct sockaddr *) &address, is_plain);
}

static GuardVerdict
judge4(const AddressPolicy *policy, const unsigned char *bytes, int port, bool is_plain)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons((uint16_t) port)};

	memcpy(&address.sin_addr, bytes, 4);
	return guard_judge(policy, (struct sockaddr *) &address, is_plain);
}

/* However it is written, no other verdict makes it through. */
static void
check_forms(const unsigned char *bytes, int port, bool is_plain)
{
	const AddressPolicy nothing = {0};
	const AddressPolicy translated = {
		.networks = {.count = 1,.items = {{.address = {0, 0x64, 0xff, 0x9b},.prefix_bits = 96}}}
	};
	unsigned char mapped[16] = {[10] = 0xff,[11] = 0xff};
	unsigned char compatible[16] = {0};
	unsigned char nat64[16] = {0, 0x64, 0xff, 0x9b};
	unsigned char six_to_four[16] = {0x20, 0x02};
	GuardVerdict verdict = judge4(&nothing, bytes, port, is_plain);

	memcpy(mapped + 12, bytes, 4);
	memcpy(compatible + 12, bytes, 4);
	memcpy(nat64 + 12, bytes, 4);
	memcpy(six_to_four + 2, bytes, 4);
	CHECK(judge6(&nothing, mapped, port, is_plain) == verdict);
	CHECK(judge6(&nothing, six_to_four, port, is_plain) == verdict);
	CHECK(judge6(&nothing, compatible, port, is_plain) == GUARD_REFUSES_ADDRESS);
	CHECK(judge6(&nothing, nat64, port, is_plain) == GUARD_REFUSES_ADDRESS);
	CHECK(judge6(&translated, nat64, port, is_plain) == verdict);
	/* 127.0.0.0/8, 10.0.0.0/8, 169.254.0.0/16, 0.0.0.0/8, multicast and above */
	if (bytes[0] == 127 || bytes[0] == 10 || bytes[0] == 0 || bytes[0] >= 224 ||
		(bytes[0] == 169 && bytes[1] == 254))
		CHECK(verdict == GUARD_REFUSES_ADDRESS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const AddressPolicy nothing = {0};
	const AddressPolicy one_port = {.ports = {.count = 1,.items = {{443, 443}}}};
	unsigned char bytes[16] = {0};
	int			port = size > 18 ? data[17] << 8 | data[18] : 443;
	bool		is_plain = size > 16 && data[16] % 2;
	GuardVerdict verdict;

	memcpy(bytes, data, size < 16 ? size : 16);
	check_forms(bytes, port, is_plain);
	verdict = judge6(&nothing, bytes, port, false);
	/* plain http passes nowhere that https doesn't */
	CHECK(judge6(&nothing, bytes, port, true) != GUARD_ALLOWS || verdict == GUARD_ALLOWS);
	/* a list of ports opens nothing but ports */
	CHECK(judge6(&one_port, bytes, port, false) != GUARD_ALLOWS || port == 443);
	CHECK((judge6(&one_port, bytes, port, false) == GUARD_REFUSES_ADDRESS) ==
		  (verdict == GUARD_REFUSES_ADDRESS));
	return 0;
}
