/*-------------------------------------------------------------------------
 * window_test.c
 *		How many requests one endpoint gets at once.
 *-------------------------------------------------------------------------
 */
#include "flow/window.h"
#include "tap.h"

static void
answer(Window *window, int in_flight)
{
	WindowAnswer good = {.in_flight = in_flight,.latency_ms = -1};

	window_answer(window, &good);
}

/* An answer while the window is full. */
static void
grow(Window *window, int times)
{
	for (int i = 0; i < times; i++)
		answer(window, (int) window->size);
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

	answer(&window, 1);
	tap_number(window_room(&window, 0), 4, "an answer to a window that is hardly used adds nothing");
	answer(&window, 2);
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

/* A window's rounds against an endpoint whose latency is what the window makes of it. */
static double
run_rounds(Window *window, int rounds, double (*latency_ms) (const Window *, int))
{
	static int64_t now_us = 1;
	double		last = 0;

	for (int i = 0; i < rounds; i++)
	{
		int64_t		started_at_us = now_us;
		int			answers = (int) window->size > 5 ? (int) window->size : 5;

		now_us += 250000;
		for (int j = 0; j < answers; j++)
		{
			WindowAnswer good = {
				.in_flight = (int) window->size,
				.latency_ms = last = latency_ms(window, j),
				.started_at_us = started_at_us,
				.now_us = now_us
			};

			window_answer(window, &good);
		}
		now_us++;
	}
	return last;
}

/* A receiver of twenty slots that queues whatever is more. */
static double
queueing(const Window *window, int answer_no)
{
	(void) answer_no;
	return window->size <= 20 ? 100 : 100 * window->size / 20;
}

static double
always_5_s(const Window *window, int answer_no)
{
	(void) window;
	(void) answer_no;
	return 5000;
}

/* One of three takes a hundred times as long, whatever the window. */
static double
uneven(const Window *window, int answer_no)
{
	(void) window;
	return answer_no % 3 == 0 ? 3000 : 30;
}

static double
tiny_noise(const Window *window, int answer_no)
{
	(void) answer_no;
	return window->size > 20 ? 15 : 1;
}

static double
grown_slower(const Window *window, int answer_no)
{
	(void) window;
	(void) answer_no;
	return 900;
}

static void
test_brake(void)
{
	Window		window = window_make(200);
	Window		slow = window_make(100);
	Window		mixed = window_make(100);
	Window		noisy = window_make(100);
	double		latency_ms = run_rounds(&window, 300, queueing);

	tap_ok(window.size > 20 && window.size < 60, "queueing at the receiver ends the growth");
	tap_ok(latency_ms < 300, "and the latency stays near its own");
	run_rounds(&slow, 300, always_5_s);
	tap_number(window_room(&slow, 0), 100, "an endpoint that always takes 5 s gets all it may");
	run_rounds(&mixed, 300, uneven);
	tap_number(window_room(&mixed, 0), 100, "so does one whose answers vary");
	run_rounds(&noisy, 300, tiny_noise);
	tap_number(window_room(&noisy, 0), 100, "milliseconds more are noise");
	run_rounds(&noisy, 3, grown_slower);
	tap_ok(window_room(&noisy, 0) < 100, "an endpoint that has become slower is sent less");
	run_rounds(&noisy, 60, grown_slower);
	tap_number(window_room(&noisy, 0), 100, "until it shows that this does not help");
}

int
main(void)
{
	test_growth();
	test_idle_window_does_not_grow();
	test_shrinking();
	test_restart_and_resize();
	test_brake();
	return tap_done();
}
