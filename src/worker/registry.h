/*-------------------------------------------------------------------------
 * registry.h
 *		Endpoints as the tables say.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_REGISTRY_H
#define INTEGRATION_REGISTRY_H

#include "worker/sender.h"

/* Read all of it.  Both within session_run(); may throw. */
extern void registry_load(Sender *sender);

/* Load it if it is another one than was read last. */
extern void registry_look(Sender *sender);

#endif							/* INTEGRATION_REGISTRY_H */
