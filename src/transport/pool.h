/*-------------------------------------------------------------------------
 * pool.h
 *		What is remembered between transfers of one isolation value.
 *
 * A direct-mapped cache: bounded, found in one step.  Losing an entry costs a
 * few microseconds, never correctness.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_POOL_H
#define INTEGRATION_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/transfer.h"

typedef struct Pool Pool;

/* Keeps at most max_idle handles; NULL when memory is out.  Does not throw. */
extern Pool *pool_create(int max_idle);

/* Frees the idle handles too.  Does not throw. */
extern void pool_destroy(Pool *pool);

/* An idle handle of this isolation value, which the caller then owns, or NULL.  Does not throw. */
extern Transfer *pool_take(Pool *pool, uint64_t isolation);

/* Give a released handle away.  Does not throw. */
extern void pool_give(Pool *pool, Transfer *transfer);

/* Remember over TLS whether HTTP/1.1 was spoken there.  Does not throw. */
extern void pool_note_version(Pool *pool, uint64_t isolation, bool is_http1);

/* Does not throw. */
extern bool pool_speaks_http1(const Pool *pool, uint64_t isolation);

#endif							/* INTEGRATION_POOL_H */
