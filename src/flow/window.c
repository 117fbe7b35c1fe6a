/*-------------------------------------------------------------------------
 * window.c
 *		How many requests one endpoint gets at once.
 *-------------------------------------------------------------------------
 */
#include "flow/window.h"

#include <math.h>

#define START_SIZE 4.0
#define RESTART_SIZE 2.0
#define SHRINK_FACTOR 0.7
#define BRAKE_FACTOR 0.9
#define BRAKE_LEAST 4.0			/* latency alone never shrinks it further */

static double
clamp(double size, int largest)
{
	if (size > largest)
		return largest;
	return size < 1.0 ? 1.0 : size;
}

Window
window_make(int largest)
{
	return (Window)
	{
		.size = clamp(START_SIZE, largest),
			.largest = largest,
			.is_slow_start = true,
	};
}

void
window_resize(Window *window, int largest)
{
	window->largest = largest;
	window->size = clamp(window->size, largest);
}

static void
grow(Window *window, int in_flight)
{
	/* a window that isn't used says nothing about what the endpoint can take */
	if (in_flight * 2 < (int) window->size)
		return;
	window->size = clamp(window->size + (window->is_slow_start ? 1.0 : 1.0 / window->size),
						 window->largest);
}

void
window_answer(Window *window, const WindowAnswer *answer)
{
	bool		has_slowed = answer->latency_ms >= 0 &&
		brake_take(&window->brake, answer->latency_ms, answer->started_at_us, answer->now_us);

	if (has_slowed && window->size > BRAKE_LEAST)
	{
		window->is_slow_start = false;
		window->size = fmax(window->size * BRAKE_FACTOR, BRAKE_LEAST);
	}
	if (!window->brake.is_slow)
		grow(window, answer->in_flight);
}

void
window_shrink(Window *window, int64_t started_at_us, int64_t now_us)
{
	window->is_slow_start = false;
	if (started_at_us < window->shrunk_at_us)
		return;
	window->shrunk_at_us = now_us;
	window->size = clamp(window->size * SHRINK_FACTOR, window->largest);
}

void
window_restart(Window *window)
{
	window->size = clamp(RESTART_SIZE, window->largest);
	window->is_slow_start = true;
}

int
window_room(const Window *window, int in_flight)
{
	int			room = (int) window->size - in_flight;

	return room > 0 ? room : 0;
}
