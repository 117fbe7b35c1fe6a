/*-------------------------------------------------------------------------
 * adoption.h
 *		A copied database waits until somebody takes over.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_ADOPTION_H
#define INTEGRATION_ADOPTION_H

#include "postgres.h"

#include "worker/shared.h"

/*
 * Returns when this database may send, at once where it is no copy; does not
 * return where the worker is to end.  Called before anything is read.
 */
extern void adoption_await(DatabaseSlot *slot, int number);

#endif							/* INTEGRATION_ADOPTION_H */
