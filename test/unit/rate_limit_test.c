/*-------------------------------------------------------------------------
 * rate_limit_test.c
 *		What the other side says is left of its rate limit.
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "message/rate_limit.h"
#include "tap.h"

#define NOW INT64_C(1787313600) /* 2026-08-21T12:00:00Z */

static const struct
{
	const char *headers[6];		/* names with values */
	int			remaining;
	int			reset_s;
	int			quota;
	bool		is_exhausted;
}			cases[] =

{
	{{"RateLimit-Policy", "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400",
	"RateLimit", "\"burst\";r=0;t=12, \"daily\";r=400;t=30000"}, 0, 12, 100, true},
	{{"RateLimit", "\"burst\";r=10;t=12, \"daily\";r=0;t=30000"}, 0, 30000, -1, true},
	{{"RateLimit", "\"default\";r=50;t=30"}, 50, 30, -1, false},
	{{"RateLimit", "\"default\";r=50;t=30", "RateLimit-Policy", "\"default\";q=200;w=60"},
	50, 30, 200, false},
	{{"RateLimit", "\"a\";r=50;t=30,\"b\";r=9;t=3600", "RateLimit-Policy", "\"a\";q=5,\"b\";q=7"},
	9, 3600, 7, false},
	{{"RateLimit", "\"a\";r=50;t=30", "RateLimit", "\"b\";r=9;t=3600"}, 9, 3600, -1, false},
	{{"RateLimit", "\"a\";r=0;t=30,\"b\";r=0;t=20"}, 0, 30, -1, true},
	{{"RateLimit", "\"a\";r=7,\"b\";r=90;t=20"}, 90, 20, -1, false},
	{{"RateLimit", "\"a\";r=0,\"b\";r=90;t=20"}, 90, 20, -1, true},
	{{"RateLimit", "\"default\";r=999;pk=:dHJpYWwxMjEzMjM=:"}, 999, -1, -1, false},
	{{"RateLimit", "\"default\";r=5;x;y=\"a;r=0\";t=3"}, 5, 3, -1, false},
	{{"RateLimit", "\"default\";r=0"}, 0, -1, -1, true},
	{{"RateLimit", "\"default\"; r=0"}, 0, -1, -1, true},
	{{"RateLimit", "\";r=0\";r=5"}, 5, -1, -1, false},
	{{"RateLimit", "\"a\\\";r=0\";r=5"}, 5, -1, -1, false},
	{{"RateLimit", "\"default\";pr=0;r=1"}, 1, -1, -1, false},
	{{"RateLimit", "\"default\";r=0;t=90000000"}, 0, 86400, -1, true},

	/* malformed as a whole */
	{{"RateLimit", "default;r=1"}, -1, -1, -1, false},
	{{"RateLimit", "\"open;r=0"}, -1, -1, -1, false},
	{{"RateLimit", "\"a\";r=-1;t=3"}, -1, -1, -1, false},
	{{"RateLimit", "\"a\";r=1.5;t=3"}, -1, -1, -1, false},
	{{"RateLimit", "\"a\";r=;t=3"}, -1, -1, -1, false},
	{{"RateLimit", "\"a\";r=0;t=3,"}, -1, -1, -1, false},
	{{"RateLimit", "\"a\";r=0;t=3 \"b\";r=1"}, -1, -1, -1, false},
	{{"RateLimit", "\"a\";r=0000000000000000;t=3"}, -1, -1, -1, false},
	{{"RateLimit", ""}, -1, -1, -1, false},
	{{"RateLimit", "remaining"}, -1, -1, -1, false},

	/* older forms */
	{{"RateLimit", "limit=100, remaining=0, reset=5"}, 0, 5, 100, true},
	{{"RateLimit", "limit=100, remaining=10, reset=5"}, 10, 5, 100, false},
	{{"RateLimit-Limit", "100", "RateLimit-Remaining", "0", "RateLimit-Reset", "5"},
	0, 5, 100, true},
	{{"ratelimit-limit", "100, 100;w=60", "ratelimit-remaining", "9", "ratelimit-reset", "5"},
	9, 5, 100, false},
	{{"X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1787313660"},
	0, 60, 5000, true},
	{{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "60"}, 0, 60, -1, true},
	{{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1787313660000"}, 0, 60, -1, true},
	{{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1787310000"}, 0, 0, -1, true},
	{{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset-After", "1.5"}, 0, 2, -1, true},
	{{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1.5.5"}, 0, -1, -1, true},
	{{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "-5"}, 0, -1, -1, true},
	{{"X-RateLimit-Remaining", "3", "X-RateLimit-Reset", "0x10"}, 3, -1, -1, false},
	{{"X-RATELIMIT-REMAINING", " 0"}, 0, -1, -1, true},
	{{"X-RateLimit-Remaining", "00"}, 0, -1, -1, true},
	{{"X-RateLimit-Remaining", "0.5"}, -1, -1, -1, false},
	{{"X-RateLimit-Remaining", "0", "X-RateLimit-Remaining", "7"}, 0, -1, -1, true},
	{{"X-RateLimit-Remaining", ""}, -1, -1, -1, false},
	{{"X-RateLimit-Limit", "0"}, -1, -1, 0, false},
	{{"X-RateLimit", "\"a\";r=0;t=3"}, -1, -1, -1, false},

	/* the newest form wins where it says when */
	{{"RateLimit", "\"a\";r=7;t=20", "X-RateLimit-Remaining", "5", "X-RateLimit-Reset", "60"},
	7, 20, -1, false},
	{{"RateLimit", "\"a\";r=7", "X-RateLimit-Remaining", "5", "X-RateLimit-Reset", "60"},
	5, 60, -1, false},
	{{"RateLimit", "default;r=1", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "60"},
	0, 60, -1, true},
	{{"RateLimit-Policy", "\"burst\";r=0"}, -1, -1, -1, false},
	{{"Content-Type", "text/plain"}, -1, -1, -1, false},
};

static void
test_case(size_t i)
{
	RateLimitFields fields = {0};
	RateLimit	limit;
	char		name[256];

	for (int h = 0; h < 6 && cases[i].headers[h]; h += 2)
		rate_limit_note(&fields, cases[i].headers[h], cases[i].headers[h + 1]);
	limit = rate_limit_read(&fields, NOW);
	snprintf(name, sizeof(name), "%s: %s", cases[i].headers[0], cases[i].headers[1]);
	tap_number(limit.remaining, cases[i].remaining, name);
	tap_number(limit.reset_s, cases[i].reset_s, "until it is filled up");
	tap_number(limit.quota, cases[i].quota, "of so many");
	tap_number(limit.is_exhausted, cases[i].is_exhausted, "exhausted or not");
}

/* What does not fit is left out, not cut: "t=300" must not become "t=3". */
static void
test_long_field(void)
{
	RateLimitFields fields = {0};
	char		value[RATE_LIMIT_LIST_BYTES + 40];

	memset(value, 'x', sizeof(value));
	memcpy(value, "\"", 1);
	snprintf(value + sizeof(value) - 20, 20, "\";r=0;t=300");
	rate_limit_note(&fields, "RateLimit", value);
	tap_number(rate_limit_read(&fields, NOW).remaining, -1, "a field that is too long says nothing");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(i);
	test_long_field();
	return tap_done();
}
