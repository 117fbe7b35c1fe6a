/*-------------------------------------------------------------------------
 * guard_fuzz.c
 *		Addresses: an IPv4 address is judged alike in each of its forms.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <arpa/inet.h>

#include "transport/guard.h"

static GuardVerdict
judge6(const unsigned char *bytes, int port, bool is_plain)
{
	const AddressPolicy nothing = {0};
	struct sockaddr_in6 address = {.sin6_family = AF_INET6,.sin6_port = htons((uint16_t) port)};

	memcpy(&address.sin6_addr, bytes, 16);
	return guard_judge(&nothing, (struct sockaddr *) &address, is_plain);
}

static GuardVerdict
judge4(const unsigned char *bytes, int port, bool is_plain)
{
	const AddressPolicy nothing = {0};
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons((uint16_t) port)};

	memcpy(&address.sin_addr, bytes, 4);
	return guard_judge(&nothing, (struct sockaddr *) &address, is_plain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char bytes[16] = {0};
	unsigned char mapped[16] = {[10] = 0xff,[11] = 0xff};
	int			port = size > 18 ? data[17] << 8 | data[18] : 443;
	bool		is_plain = size > 16 && data[16] % 2;
	GuardVerdict verdict;

	memcpy(bytes, data, size < 16 ? size : 16);
	memcpy(mapped + 12, bytes, 4);
	verdict = judge4(bytes, port, is_plain);
	CHECK(judge6(mapped, port, is_plain) == verdict);
	/* 127.0.0.0/8, 10.0.0.0/8, 169.254.0.0/16, 0.0.0.0/8, multicast and above */
	if (bytes[0] == 127 || bytes[0] == 10 || bytes[0] == 0 || bytes[0] >= 224 ||
		(bytes[0] == 169 && bytes[1] == 254))
		CHECK(verdict != GUARD_ALLOWS);
	/* plain http passes nowhere that https doesn't */
	CHECK(judge6(bytes, port, true) != GUARD_ALLOWS || judge6(bytes, port, false) == GUARD_ALLOWS);
	return 0;
}
