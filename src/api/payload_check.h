/*-------------------------------------------------------------------------
 * payload_check.h
 *		Whether a payload fulfils the check of its endpoint.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_API_PAYLOAD_CHECK_H
#define INTEGRATION_API_PAYLOAD_CHECK_H

#include "postgres.h"

#include "utils/jsonpath.h"

/* As the operator @@ does.  Throws where that would: a time with a zone beside one without. */
extern bool payload_check_holds(JsonPath *check, Datum payload, Datum endpoint_name);

#endif							/* INTEGRATION_API_PAYLOAD_CHECK_H */
