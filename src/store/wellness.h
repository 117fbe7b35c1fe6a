/*-------------------------------------------------------------------------
 * wellness.h
 *		Which endpoints are well, by what is written about them.
 *
 * Asked for each batch of results, so it goes without a statement of SQL.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WELLNESS_H
#define INTEGRATION_WELLNESS_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct WellnessReader WellnessReader;

typedef struct Wellness
{
	bool		is_well;		/* closed, answered before, not to be left
								 * alone, idempotent */
	bool		names_objects;	/* it has a remote_id_path */
	TimestampTz last_success_at;	/* of one that is well */
	NullableDatum api_version;	/* of its connector, a text */
} Wellness;

/* Opens the tables in the extension's schema under the active snapshot; palloc'd.  May throw. */
extern WellnessReader *wellness_open(Oid schema);

/* Of this endpoint at that time; one that is not there is not well.  May throw. */
extern Wellness wellness_read(WellnessReader *reader, Datum endpoint_id, TimestampTz at);

extern void wellness_close(WellnessReader *reader);

#endif							/* INTEGRATION_WELLNESS_H */
