/*-------------------------------------------------------------------------
 * window.h
 *		How many requests one endpoint gets at once.
 *
 * Additive increase, multiplicative decrease, as TCP does it: starts at 4,
 * grows by one a good answer until the first sign of overload, then by
 * 1/window; times 0.7 on overload, once for what was in flight together.
 * Where answers become slow it stops growing, and loses a tenth a round.
 * test/bench/simulate shows what that does; a fixed 100 has 95 % errors against
 * a receiver whose capacity falls from 20 to 5 and back.
 *-------------------------------------------------------------------------
 */
#ifndef INTEGRATION_WINDOW_H
#define INTEGRATION_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/brake.h"

typedef struct Window
{
	double		size;
	int			largest;		/* max_concurrency */
	bool		is_slow_start;
	int64_t		shrunk_at_us;	/* requests started before don't shrink it
								 * again */
	Brake		brake;
} Window;

/* A good answer. */
typedef struct WindowAnswer
{
	int			in_flight;		/* with it */
	double		latency_ms;		/* -1: not known */
	int64_t		started_at_us;
	int64_t		now_us;
} WindowAnswer;

/* A window at its start.  Does not throw. */
extern Window window_make(int largest);

/* Take over a changed max_concurrency.  Does not throw. */
extern void window_resize(Window *window, int largest);

/* Grow, or brake, by a good answer.  Does not throw. */
extern void window_answer(Window *window, const WindowAnswer *answer);

/* A sign of overload on a request that was started then.  Does not throw. */
extern void window_shrink(Window *window, int64_t started_at_us, int64_t now_us);

/* Begin again carefully after the endpoint was closed to us.  Does not throw. */
extern void window_restart(Window *window);

/* How many more may be started.  Does not throw. */
extern int	window_room(const Window *window, int in_flight);

#endif							/* INTEGRATION_WINDOW_H */
