/*-------------------------------------------------------------------------
 * guard.h
 *		Which addresses may be called.
 *
 * Judges addresses, never names: what a name resolves to may change between
 * a check and its use, and the same address can be written in many ways.  The
 * list of hosts, which can only narrow that, is url.c's.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_GUARD_H
#define INTEGRATION_GUARD_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/policy.h"

typedef enum GuardVerdict
{
	GUARD_ALLOWS,
	GUARD_REFUSES_ADDRESS,
	GUARD_REFUSES_SCHEME,		/* plain http */
	GUARD_REFUSES_PORT,
	GUARD_REFUSES_HOST,
	GUARD_REFUSES_FAMILY		/* neither IPv4 nor IPv6 */
} GuardVerdict;

/*
 * Judge a connection to an address with its port.  Inside the policy's networks
 * everything goes but what its list of ports leaves out.  is_plain: http without
 * a permission of its own.  Does not throw.
 */
extern GuardVerdict guard_judge(const AddressPolicy *policy, const struct sockaddr *address,
								bool is_plain);

/* Whether a port is refused whatever the address, or at each public one.  Does not throw. */
extern bool guard_refuses_port(const AddressPolicy *policy, int port, bool is_public);

/* The error_reason of a refusal, NULL where there is none of its own.  Does not throw. */
extern const char *guard_reason(GuardVerdict verdict);

/* What a refusal means, to follow the address: "is in a protected ...".  Does not throw. */
extern const char *guard_explanation(GuardVerdict verdict);

#endif							/* INTEGRATION_GUARD_H */
