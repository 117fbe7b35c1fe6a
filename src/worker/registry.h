/*-------------------------------------------------------------------------
 * registry.h
 *		Endpoints as the tables say.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_REGISTRY_H
#define INTEGRATION_REGISTRY_H

#include "worker/sender.h"

/*
 * Whether somebody has made an endpoint due: at another time than was known,
 * which has come.
 */
extern bool registry_is_made_due(const Endpoint *endpoint, TimestampTz due_at);

/* Whether it is to be read, or to be read on. */
extern bool registry_must_load(const Sender *sender);

/* Read the next part of it.  Within session_run(); may throw. */
extern void registry_load(Sender *sender);

/* Begin if it is another one than was read last.  Within session_run(); may throw. */
extern void registry_look(Sender *sender);

#endif							/* INTEGRATION_REGISTRY_H */
