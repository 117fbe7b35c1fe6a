/*-------------------------------------------------------------------------
 * retaining.h
 *		The process that removes what is old, once it is counted.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_RETAINING_H
#define INTEGRATION_RETAINING_H

#include "worker/shared.h"

/*
 * Have it begin in the worker's database, unless it is still at work.  Where no
 * background worker is free for it that is logged, once.
 */
extern void retaining_start(const DatabaseSlot *slot);

extern PGDLLEXPORT void integration_upkeep_main(Datum arg);

#endif							/* INTEGRATION_RETAINING_H */
