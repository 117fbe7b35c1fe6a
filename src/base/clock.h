/*-------------------------------------------------------------------------
 * clock.h
 *		Instants as text for other systems.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_CLOCK_H
#define INTEGRATION_CLOCK_H

#include "postgres.h"

#include "datatype/timestamp.h"

#define CLOCK_RFC3339_BYTES 40

/* "2026-08-21T12:00:00.000000Z" in buffer, or NULL for what no calendar holds.  Does not throw. */
extern const char *clock_rfc3339(TimestampTz at, char buffer[CLOCK_RFC3339_BYTES]);

#endif							/* INTEGRATION_CLOCK_H */
