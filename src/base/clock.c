/*-------------------------------------------------------------------------
 * clock.c
 *		Instants as text for other systems.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgtime.h"
#include "utils/timestamp.h"

#include "base/clock.h"

const char *
clock_rfc3339(TimestampTz at, char buffer[CLOCK_RFC3339_BYTES])
{
	struct pg_tm tm;
	fsec_t		microseconds;

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &microseconds, NULL, NULL) != 0)
		return NULL;
	snprintf(buffer, CLOCK_RFC3339_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
			 tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, microseconds);
	return buffer;
}
