/*-------------------------------------------------------------------------
 * exporting.h
 *		What happens is told to an OpenTelemetry collector.
 *
 * What is told waits in memory, which is bounded: where more happens than may
 * be told, the rest is dropped and counted, so that it slows no sync.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_EXPORTING_H
#define INTEGRATION_EXPORTING_H

#include "flow/rest.h"
#include "worker/sender.h"

/* The settings may have changed: look at them again. */
extern void exporting_reload(void);

/* An attempt was settled, the sync is in this state now. */
extern void exporting_note(const Sender *sender, const Lease *lease, const char *state);

/* Whether what goes to the endpoint is telemetry itself. */
extern bool exporting_goes_to(const Endpoint *endpoint);

/* The time, the worker's processor time. */
extern RestClock exporting_clock(void);

/* What the worker has done since belongs to telemetry's share. */
extern void exporting_spend(RestClock start);

/* Enqueue what waits, when there is enough of it or it has waited long enough. */
extern void exporting_turn(const Sender *sender);

extern TimestampTz exporting_deadline(const Sender *sender);

#endif							/* INTEGRATION_EXPORTING_H */
