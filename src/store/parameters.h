/*-------------------------------------------------------------------------
 * parameters.h
 *		Values as parameters of a statement.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_PARAMETERS_H
#define INTEGRATION_PARAMETERS_H

#include "postgres.h"

/* A one-dimensional array of so many elements; nulls may be NULL.  May throw. */
extern Datum parameters_array(Oid type, Datum *values, bool *nulls, int count);

/* An array of bigint.  May throw. */
extern Datum parameters_ids(const int64 *ids, int count);

/* Text in the server's encoding of UTF-8 text; what it can't hold becomes '?'.  May throw. */
extern Datum parameters_text(const char *utf8);

#endif							/* INTEGRATION_PARAMETERS_H */
