/*-------------------------------------------------------------------------
 * taking.h
 *		Rows that are due, into leases.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TAKING_H
#define INTEGRATION_TAKING_H

#include "worker/sender.h"

/* Read the next rows that are due, or asked for by their ids.  Within session_run(); may throw. */
extern void taking_step(Sender *sender);

/* The first endpoint after one (NULL: of all) to read for; others before it are put to sleep. */
extern Endpoint *taking_next(Sender *sender, Endpoint *after);

/* Rows to hold for an endpoint. */
extern int	taking_target(const Sender *sender, const Endpoint *endpoint);

/* Whether the worker's memory has room for one more row of the endpoint. */
extern bool taking_affords(const Sender *sender, const Endpoint *endpoint, size_t payload_bytes);

#endif							/* INTEGRATION_TAKING_H */
