/*-------------------------------------------------------------------------
 * rest_test.c
 *		Which part of the time something beside the sending gets.
 *-------------------------------------------------------------------------
 */
#include "flow/rest.h"
#include "tap.h"

static const RestClock start = {.at_us = 1000000,.used_us = 700000};

/* After 10 ms, of which 6 on a processor. */
static RestClock
begin(Rest *rest, RestPace pace)
{
	RestClock	end = {.at_us = start.at_us + 10000,.used_us = start.used_us + 6000};

	rest_spend(rest, start, end);
	rest_begin(rest, end, pace);
	return end;
}

static bool
is_over(const Rest *rest, RestClock end, int64_t elapsed_us, int64_t used_us)
{
	RestClock	now = {.at_us = end.at_us + elapsed_us,.used_us = end.used_us + used_us};

	return rest_is_over(rest, now);
}

static void
test_shares(void)
{
	Rest		rest = {{0}, {0}};
	RestClock	end;

	tap_ok(rest_is_over(&rest, start), "nothing is waited for at first");
	end = begin(&rest, REST_WHILE_BEHIND);
	tap_ok(!is_over(&rest, end, 100000, 47999), "everything else has its share of the processor");
	tap_ok(is_over(&rest, end, 100000, 48000), "eight times as much");
	tap_ok(!is_over(&rest, end, 479999, 0), "one that waits for others");
	tap_ok(is_over(&rest, end, 480000, 0), "rests 48 times as long");
	end = begin(&rest, REST_WHILE_KEEPING_UP);
	tap_ok(!is_over(&rest, end, 79999, 0), "where nothing waits it rests");
	tap_ok(is_over(&rest, end, 80000, 0), "eight times as long, however little is done");
	end = begin(&rest, REST_WHILE_IDLE);
	tap_ok(!is_over(&rest, end, 9999, 0), "where nothing else is done it rests");
	tap_ok(is_over(&rest, end, 10000, 0), "as long as it worked");
}

static void
test_bounds(void)
{
	Rest		rest = {{0}, {0}};
	RestClock	late = {.at_us = start.at_us + 3600000000,.used_us = start.used_us};

	rest_begin(&rest, start, REST_WHILE_IDLE);
	tap_ok(!is_over(&rest, start, 4999, -1), "there is some rest after nothing");
	tap_ok(is_over(&rest, start, 5000, -1), "not for long");
	rest_spend(&rest, start, late);
	rest_begin(&rest, start, REST_WHILE_BEHIND);
	tap_ok(is_over(&rest, start, 5000000, -1), "none is longer than five seconds");
	rest_at_least(&rest, start.at_us + 10);
	tap_ok(!is_over(&rest, start, 9, 1000000000), "however much is done, it can be told to wait");
	tap_ok(is_over(&rest, start, 10, 0), "until then");
}

int
main(void)
{
	test_shares();
	test_bounds();
	return tap_done();
}
