/*-------------------------------------------------------------------------
 * pace_test.c
 *		How fast an endpoint may be called by what it says is left of its limit.
 *-------------------------------------------------------------------------
 */
#include "flow/pace.h"
#include "tap.h"

#define S INT64_C(1000000)

static RateLimit
said(int64_t remaining, int reset_s, int64_t quota)
{
	return (RateLimit)
	{
		.remaining = remaining,.reset_s = reset_s,.quota = quota
	};
}

static int64_t
free_after(Pace *pace, RateLimit limit, int in_flight, int64_t now_us)
{
	pace_learn(pace, &limit, in_flight, now_us);
	return pace_free_at_us(pace, now_us) - now_us;
}

static void
test_plenty(void)
{
	Pace		pace = {0};

	tap_number(pace_free_at_us(&pace, 5 * S), 5 * S, "one that was told nothing holds nothing back");
	tap_number(free_after(&pace, said(80, 30, 100), 0, S), 0, "nor does one with plenty left");
	tap_number(free_after(&pace, said(2, -1, 100), 0, S), 0, "nor one that is not told until when");
	tap_number(free_after(&pace, said(-1, 30, 100), 0, S), 0, "nor one that is not told what is left");
}

static void
test_spreading(void)
{
	Pace		pace = {0};

	pace_start(&pace, 100 * S);
	tap_number(free_after(&pace, said(10, 30, 100), 0, 100 * S), 3 * S,
			   "the last ten of a hundred are spread over the thirty seconds");
	tap_number(pace_free_at_us(&pace, 103 * S), 103 * S, "three seconds later the next may go");
	pace_start(&pace, 103 * S);
	tap_number(pace_free_at_us(&pace, 103 * S), 106 * S, "then three seconds pass again");
	tap_number(free_after(&pace, said(10, 30, 100), 4, 103 * S), 5 * S,
			   "what is in flight may not be counted yet");
	tap_number(free_after(&pace, said(3, 30, 100), 8, 103 * S), 30 * S,
			   "more in flight than left: wait for what they say");
	tap_number(free_after(&pace, said(3, 30, 100), 0, 104 * S), 9 * S, "they say that three are left");
	tap_number(pace_free_at_us(&pace, 135 * S), 135 * S, "when it is filled up nothing is held back");
	tap_number(free_after(&pace, said(90, 30, 100), 0, 104 * S), 0, "nor when plenty is left again");
}

static void
test_nothing_left(void)
{
	Pace		pace = {0};

	tap_number(free_after(&pace, said(0, 12, 100), 0, 7 * S), 12 * S, "nothing left: wait until it is filled");
	pace_start(&pace, 8 * S);
	tap_number(pace_free_at_us(&pace, 8 * S), 19 * S, "also after a request that left all the same");
	pace_forget(&pace);
	tap_number(pace_free_at_us(&pace, 8 * S), 8 * S, "unless somebody knows better");
	tap_number(free_after(&pace, said(0, 0, 100), 0, 7 * S), 0, "filled up just now");
}

static void
test_unknown_quota(void)
{
	Pace		pace = {0};

	pace_start(&pace, S);
	tap_number(free_after(&pace, said(50, 30, -1), 0, S), 0, "a quota that is not told is the most that was left");
	tap_number(free_after(&pace, said(13, 26, -1), 0, S), 0, "a quarter of it is not little");
	tap_number(free_after(&pace, said(10, 20, -1), 0, S), 2 * S, "less is");
}

int
main(void)
{
	test_plenty();
	test_spreading();
	test_nothing_left();
	test_unknown_quota();
	return tap_done();
}
