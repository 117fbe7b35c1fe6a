/*-------------------------------------------------------------------------
 * aftermath.h
 *		What a worker does about crashes of those before it.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_AFTERMATH_H
#define INTEGRATION_AFTERMATH_H

#include "worker/shared.h"

/*
 * Write down crashes that are not yet; where there were several in a row, say so
 * and return only when it is time to go on, or when the worker is to end.
 * Does not throw.
 */
extern void aftermath_await(DatabaseSlot *slot, int number);

#endif							/* INTEGRATION_AFTERMATH_H */
