/*-------------------------------------------------------------------------
 * earlier.h
 *		What the time before a worker left behind.
 *
 * Each function is to be run within session_run().  All may throw.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_EARLIER_H
#define INTEGRATION_EARLIER_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Whether the clock was set back since the newest sync was enqueued. */
extern bool earlier_clock_was_ahead(void);

/*
 * Rows above *after that a clock which ran ahead would keep waiting; *after: how
 * far it came, 0 at the end.  Returns how many were changed.
 */
extern int	earlier_turn_back(uint32 shards, int64 *after);

/* When an endpoint was called. */
typedef struct Call
{
	int32		endpoint_id;
	TimestampTz started_at;
} Call;

/* By endpoint in the order given, oldest first. */
extern Call *earlier_calls(MemoryContext memory, const int32 *endpoint_ids,
						   const TimestampTz *since, int *count);

#endif							/* INTEGRATION_EARLIER_H */
