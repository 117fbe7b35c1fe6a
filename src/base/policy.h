/*-------------------------------------------------------------------------
 * policy.h
 *		What may be called, as the server's administrators decided.
 *
 * Free of PostgreSQL headers: the guard in transport/ reads what the settings
 * integration.allowed_* hold.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_POLICY_H
#define INTEGRATION_POLICY_H

#include "base/host.h"
#include "base/network.h"
#include "base/port.h"

typedef struct AddressPolicy
{
	NetworkList networks;		/* opened beyond public addresses */
	PortList	ports;			/* all there are; empty: all but those of
								 * other protocols */
	HostList	hosts;			/* all there are; empty: any */
} AddressPolicy;

#endif							/* INTEGRATION_POLICY_H */
