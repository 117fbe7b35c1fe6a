/*-------------------------------------------------------------------------
 * ownership.h
 *		Which shards belong to which of several workers.
 *
 * Each worker computes the same from the same facts, so nobody hands shards
 * out.  Where a worker is missing only its own shards move, spread over the
 * others; when it is back, only these come back.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_OWNERSHIP_H
#define INTEGRATION_OWNERSHIP_H

#include <stdint.h>

/* Shards, and workers at most: bits of a mask. */
#define OWNERSHIP_SHARDS 16

/*
 * The shards of worker number (from 0) of the number that there should be
 * (goal, at least 1), as a mask; live is the mask of the workers that are at
 * work.  None for a worker that is not live or should not be.  Does not throw.
 */
extern uint32_t ownership_of(int number, int goal, uint32_t live);

#endif							/* INTEGRATION_OWNERSHIP_H */
