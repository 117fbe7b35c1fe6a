/*-------------------------------------------------------------------------
 * window_test.c
 *		How many requests one endpoint gets at once.
 *-------------------------------------------------------------------------
 */
#include "flow/window.h"
#include "tap.h"

/* An answer while the window is full. */
static void
grow(Window *window, int times)
{
	for (int i = 0; i < times; i++)
		window_grow(window, (int) window->size);
}

static void
test_growth(void)
{
	Window		window = window_make(16);
	Window		small = window_make(2);

	tap_number(window_room(&window, 0), 4, "a window starts at 4");
	tap_number(window_room(&small, 0), 2, "but not above max_concurrency");
	grow(&window, 3);
	tap_number(window_room(&window, 0), 7, "in slow start each good answer adds one");
	grow(&window, 100);
	tap_number(window_room(&window, 0), 16, "it grows up to max_concurrency");
	tap_number(window_room(&window, 10), 6, "what is in flight takes room");
	tap_number(window_room(&window, 20), 0, "room is never negative");
}

static void
test_idle_window_does_not_grow(void)
{
	Window		window = window_make(16);

	window_grow(&window, 1);
	tap_number(window_room(&window, 0), 4, "an answer to a window that is hardly used adds nothing");
	window_grow(&window, 2);
	tap_number(window_room(&window, 0), 5, "half full is used");
}

static void
test_shrinking(void)
{
	Window		window = window_make(100);

	grow(&window, 36);
	tap_number(window_room(&window, 0), 40, "grown to 40");
	window_shrink(&window, 900, 1000);
	tap_number(window_room(&window, 0), 28, "overload takes three tenths");
	window_shrink(&window, 950, 1100);
	tap_number(window_room(&window, 0), 28, "what was in flight then takes no more");
	window_shrink(&window, 1000, 1200);
	tap_number(window_room(&window, 0), 19, "a request started after the cut does");
	grow(&window, 19);
	tap_number(window_room(&window, 0), 20, "after that a whole window of good answers adds one");
	for (int i = 0; i < 50; i++)
		window_shrink(&window, 2000 + i, 2001 + i);
	tap_number(window_room(&window, 0), 1, "one is always left");
}

static void
test_restart_and_resize(void)
{
	Window		window = window_make(32);

	grow(&window, 28);
	window_shrink(&window, 1, 2);
	window_restart(&window);
	tap_number(window_room(&window, 0), 2, "after the endpoint was closed it begins with 2");
	grow(&window, 2);
	tap_number(window_room(&window, 0), 4, "in slow start again");
	grow(&window, 28);
	window_resize(&window, 5);
	tap_number(window_room(&window, 0), 5, "a lower max_concurrency holds at once");
	window_resize(&window, 50);
	tap_number(window_room(&window, 0), 5, "a higher one is grown into");
}

int
main(void)
{
	test_growth();
	test_idle_window_does_not_grow();
	test_shrinking();
	test_restart_and_resize();
	return tap_done();
}
