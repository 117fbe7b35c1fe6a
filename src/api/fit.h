/*-------------------------------------------------------------------------
 * fit.h
 *		Whether a function is declared as this library has it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_FIT_H
#define INTEGRATION_FIT_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"

/*
 * Throws where SQL declares another number of arguments, or of result columns:
 * its objects are of another version, and values would be taken for what they are not.
 */
extern void fit_require(FunctionCallInfo fcinfo, int arguments, TupleDesc columns, int count);

#endif							/* INTEGRATION_FIT_H */
