/*-------------------------------------------------------------------------
 * stopwatch.h
 *		A clock that never jumps.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_STOPWATCH_H
#define INTEGRATION_STOPWATCH_H

#include <stdint.h>

/* Microseconds since an arbitrary instant.  Does not throw. */
extern int64_t stopwatch_now_us(void);

/* Milliseconds between two readings, rounded.  Does not throw. */
extern int	stopwatch_ms(int64_t from_us, int64_t to_us);

#endif							/* INTEGRATION_STOPWATCH_H */
