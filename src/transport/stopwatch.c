/*-------------------------------------------------------------------------
 * stopwatch.c
 *		A clock that never jumps.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <time.h>

#include "transport/stopwatch.h"

int64_t
stopwatch_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int
stopwatch_ms(int64_t from_us, int64_t to_us)
{
	int64_t		ms = (to_us - from_us + 500) / 1000;

	if (ms < 0)
		return 0;
	return ms > INT_MAX ? INT_MAX : (int) ms;
}
