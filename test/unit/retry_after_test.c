/*-------------------------------------------------------------------------
 * retry_after_test.c
 *		When the other side wants to be asked again.
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "message/retry_after.h"
#include "tap.h"

#define NOW INT64_C(1787313600) /* 2026-08-21T12:00:00Z */
#define DATE "Fri, 21 Aug 2026 12:00:00 GMT"

static const struct
{
	const char *value;
	const char *date;
	int			seconds;
}			waits[] =

{
	{"120", DATE, 120},
	{"0", DATE, 0},
	{"Fri, 21 Aug 2026 12:01:30 GMT", DATE, 90},
	{"Friday, 21-Aug-26 12:01:30 GMT", DATE, 90},
	{"Fri Aug 21 12:01:30 2026", DATE, 90},
	{"Fri, 21 Aug 2026 11:00:00 GMT", DATE, 0},
	{"  120  ", DATE, 120},
	{"120.5", DATE, 121},
	{"120.0", DATE, 120},
	{"0.001", DATE, 1},
	{"-5", DATE, -1},
	{"soon", DATE, -1},
	{"", DATE, -1},
	{"99999999999999999999", DATE, RETRY_AFTER_MAX_S},
	{"86400", DATE, 86400},
	{"86401", DATE, 86400},
	{"86399.5", DATE, 86400},
	{NULL, DATE, -1},
	{"12x", DATE, -1},
	{"1,2", DATE, -1},
	{"0x10", DATE, -1},
	{"+5", DATE, -1},

	/* the clock of the other side is an hour behind, so is its date */
	{"Fri, 21 Aug 2026 11:01:30 GMT", "Fri, 21 Aug 2026 11:00:00 GMT", 90},
	{"Fri, 21 Aug 2026 12:01:30 GMT", NULL, 90},
	{"Fri, 21 Aug 2026 12:01:30 GMT", "", 90},
	{"Fri, 21 Aug 2026 12:01:30 GMT", "yesterday", 90},
	{"Sat, 21 Aug 2027 12:00:00 GMT", DATE, RETRY_AFTER_MAX_S},
	{"Fri, 21 Aug 2026 25:00:00 GMT", DATE, -1},
	{"Fri, 21 Foo 2026 12:00:00 GMT", DATE, -1},
	{"Fri, 21 Aug 2026 12:00:00 CET", DATE, -1},
	{"Fri, 21 Aug 2026 12:00:00 GMT now", DATE, -1},
	{"Fri, 21 Aug 2026", DATE, -1},
};

static const struct
{
	const char *text;
	int64_t		seconds;
}			dates[] =

{
	{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
	{"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
	{"Sun Nov  6 08:49:37 1994", 784111777},
	{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
	{"Tue, 29 Feb 2028 00:00:00 GMT", 1835395200},
	{"Wed, 01 Mar 2028 00:00:00 GMT", 1835481600},
	{"Fri, 01 Jan 2100 00:00:00 GMT", 4102444800},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		tap_number(retry_after_seconds(waits[i].value, waits[i].date, NOW), waits[i].seconds,
				   waits[i].value ? waits[i].value : "no header");
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
	{
		int64_t		seconds = -1;

		tap_ok(retry_after_read_date(dates[i].text, NOW, &seconds), dates[i].text);
		tap_number(seconds, dates[i].seconds, "is that second");
	}
	return tap_done();
}
