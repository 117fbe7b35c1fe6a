/*-------------------------------------------------------------------------
 * bucket_test.c
 *		A token bucket for an agreed rate.
 *-------------------------------------------------------------------------
 */
#include "flow/bucket.h"
#include "tap.h"

#define S INT64_C(1000000)

static int
take_all(Bucket *bucket, int64_t now_us)
{
	int			taken = 0;

	while (taken < 1000 && bucket_take(bucket, now_us))
		taken++;
	return taken;
}

static void
test_rate(void)
{
	Bucket		bucket = bucket_make(10, 5, 0);

	tap_number(take_all(&bucket, 0), 5, "a full bucket gives its burst");
	tap_number(bucket_free_at_us(&bucket, 0), S / 10, "and says when the next token is there");
	tap_ok(!bucket_take(&bucket, S / 10 - 1), "not a microsecond earlier");
	tap_ok(bucket_take(&bucket, S / 10), "but then");
	tap_number(take_all(&bucket, 100 * S), 5, "what is not taken does not pile up beyond the burst");
}

/* Whatever the steps of the clock, a rate is a rate. */
static void
test_long_run(void)
{
	Bucket		bucket = bucket_make(3.5, 1, 0);
	int			taken = 0;

	for (int64_t now = 0; now <= 100 * S; now += 997)
		taken += bucket_take(&bucket, now) ? 1 : 0;
	tap_ok(taken >= 349 && taken <= 351, "3.5 a second are 350 in 100 s");
}

static void
test_no_limit(void)
{
	Bucket		bucket = bucket_make(0, 0, 0);

	tap_number(take_all(&bucket, 0), 1000, "no rate is no limit");
	tap_number(bucket_free_at_us(&bucket, 42), 42, "and never waits");
}

static void
test_clock_and_change(void)
{
	Bucket		bucket = bucket_make(10, 5, 100 * S);

	tap_number(take_all(&bucket, 100 * S), 5, "emptied");
	tap_ok(!bucket_take(&bucket, 0), "a clock that is set back fills nothing");
	bucket_resize(&bucket, 20, 5, 100 * S);
	tap_number(take_all(&bucket, 100 * S), 0, "a changed rate fills nothing at once");
	tap_number(take_all(&bucket, 101 * S), 5, "it holds from then on");
	bucket_resize(&bucket, 0, 0, 101 * S);
	tap_ok(bucket_take(&bucket, 101 * S), "a limit can be lifted");
	bucket_resize(&bucket, 1, 0, 101 * S);
	tap_number(take_all(&bucket, 101 * S), 1, "a burst is at least one");
}

/* As another worker had left it. */
static void
test_resumed(void)
{
	const int64_t taken[] = {97 * S, 98 * S, 99 * S};
	Bucket		bucket = bucket_resume(0.1, 1, taken, 1, 100 * S);

	tap_number(bucket_free_at_us(&bucket, 100 * S), 107 * S, "what was taken before is counted");
	bucket = bucket_resume(1, 5, taken, 3, 100 * S);
	tap_number(take_all(&bucket, 100 * S), 2, "so is what was filled in since");
	bucket = bucket_resume(1, 2, taken, 3, 100 * S);
	tap_number(take_all(&bucket, 100 * S), 1, "more than the rate allows is no debt");
	bucket = bucket_resume(1, 5, taken, 0, 100 * S);
	tap_number(take_all(&bucket, 100 * S), 5, "nothing taken: it is full");
	bucket = bucket_resume(0, 0, taken, 3, 100 * S);
	tap_number(take_all(&bucket, 100 * S), 1000, "no rate is no limit, whatever was taken");
}

/* A statement's worth: all of it or nothing. */
static void
test_many(void)
{
	Bucket		bucket = bucket_make(1000.0 / 60, 1000, 0);

	tap_ok(!bucket_take_many(&bucket, 1001, 0), "never more than it holds");
	tap_ok(bucket_take_many(&bucket, 400, 0), "many at once");
	tap_number((int64_t) bucket_left(&bucket, 0), 600, "are missing from then on");
	tap_ok(!bucket_take_many(&bucket, 601, 0), "one too many");
	tap_number((int64_t) bucket_left(&bucket, 0), 600, "takes nothing");
	tap_number(bucket_filled_to_us(&bucket, 700, 0), 6 * S, "it says when there will be enough");
	tap_ok(!bucket_take_many(&bucket, 700, 6 * S - 1), "not a microsecond earlier");
	tap_ok(bucket_take_many(&bucket, 700, 6 * S), "but then");
	bucket_give(&bucket, 700);
	tap_number((int64_t) bucket_left(&bucket, 6 * S), 700, "what was taken for nothing comes back");
	bucket_give(&bucket, 700);
	tap_number((int64_t) bucket_left(&bucket, 6 * S), 1000, "never beyond the burst");
	bucket = bucket_make(0, 0, 0);
	tap_ok(bucket_take_many(&bucket, 1e15, 0), "no rate is no limit");
}

/* In any time t at most burst + rate * t, however the takers come. */
static void
test_bound(void)
{
	Bucket		bucket = bucket_make(10, 600, 0);
	int			taken = 0;

	for (int64_t now = 0; now <= 60 * S; now += 137 * 1000)
		for (int count = 64; count > 0; count /= 2)
			while (bucket_take_many(&bucket, count, now))
				taken += count;
	tap_ok(taken >= 1190 && taken <= 1200, "the first minute gives two minutes' worth, no more");
}

int
main(void)
{
	test_rate();
	test_long_run();
	test_no_limit();
	test_clock_and_change();
	test_resumed();
	test_many();
	test_bound();
	return tap_done();
}
