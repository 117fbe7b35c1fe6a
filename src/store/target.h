/*-------------------------------------------------------------------------
 * target.h
 *		What the door must know of an endpoint.
 *
 * Remembered by the session, since looking it up anew would cost an
 * application's insert a good part of the insert itself.  Whoever changes
 * endpoint or connector has that forgotten everywhere (CacheInvalidateRelcache
 * in the tables' triggers).
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_TARGET_H
#define INTEGRATION_TARGET_H

#include "postgres.h"

#include "utils/jsonpath.h"

/* Where a connector is in its life. */
typedef enum TargetLife
{
	LIFE_ACTIVE,
	LIFE_DEPRECATED,
	LIFE_RETIRED
} TargetLife;

/* An endpoint's settings as endpoint_config resolves them. */
typedef struct Target
{
	int32		id;
	int32		max_payload_bytes;
	JsonPath   *payload_check;	/* NULL: none */
	bool		coalesces;
	text	   *customer;		/* whom it serves, NULL: all */
	TargetLife	life;			/* of its connector */
} Target;

/*
 * The endpoint of this name in the extension's schema as it is now, whatever
 * the transaction's snapshot; NULL: there is none.  Valid until the next call.
 * Warns of a deprecated one, once until it is forgotten.  May throw.
 */
extern const Target *target_find(Oid schema, Datum name);

#endif							/* INTEGRATION_TARGET_H */
