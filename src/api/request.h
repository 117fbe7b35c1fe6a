/*-------------------------------------------------------------------------
 * request.h
 *		The sender's own check of headers, for the door.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_API_REQUEST_H
#define INTEGRATION_API_REQUEST_H

#include "postgres.h"

#include "utils/jsonb.h"

/* What is wrong with a JSON object of headers, a palloc'd sentence; NULL: nothing.  May throw. */
extern text *request_header_problem(Jsonb *headers);

#endif							/* INTEGRATION_API_REQUEST_H */
