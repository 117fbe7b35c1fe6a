/*-------------------------------------------------------------------------
 * shares_test.c
 *		Who may use one more of the worker's connections.
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "flow/shares.h"
#include "tap.h"

static const struct
{
	Shares		shares;
	int			held;
	Trust		trust;
	bool		may;
	const char *name;
}			cases[] =

{
	{{128, 127, 0, 1}, 127, TRUST_ANSWERS, true, "alone: the last connection, too"},
	{{128, 128, 0, 1}, 127, TRUST_ANSWERS, false, "but none that is not there"},
	{{128, 100, 0, 2}, 63, TRUST_ANSWERS, true, "of two each may have half"},
	{{128, 126, 0, 2}, 64, TRUST_ANSWERS, true, "and more while one is left for the other"},
	{{128, 127, 0, 2}, 64, TRUST_ANSWERS, false, "but not the last one"},
	{{128, 127, 0, 2}, 10, TRUST_ANSWERS, true, "which is for the other"},
	{{128, 60, 0, 100}, 5, TRUST_ANSWERS, true, "of a hundred: more while many are free"},
	{{128, 96, 0, 100}, 1, TRUST_ANSWERS, false, "a quarter is kept for who has none"},
	{{128, 127, 0, 100}, 0, TRUST_ANSWERS, true, "such as this one"},
	{{128, 20, 0, 10000}, 3, TRUST_ANSWERS, true, "ten thousand that take what they need"},
	{{128, 64, 64, 100}, 0, TRUST_SILENT, false, "silent ones together get half"},
	{{128, 63, 63, 100}, 0, TRUST_SILENT, true, "and no less"},
	{{128, 64, 64, 100}, 0, TRUST_ANSWERS, true, "the other half is for those that answer"},
	{{128, 95, 95, 100}, 0, TRUST_UNKNOWN, true, "one never called may be more"},
	{{128, 96, 96, 100}, 0, TRUST_UNKNOWN, false, "but not all"},
	{{1, 0, 0, 5}, 0, TRUST_UNKNOWN, true, "one serves who was never called"},
	{{1, 0, 0, 5}, 0, TRUST_SILENT, true, "one connection serves a silent endpoint"},
	{{2, 1, 1, 5}, 0, TRUST_SILENT, false, "of two the second is for one that answers"},
	{{2, 1, 1, 5}, 0, TRUST_ANSWERS, true, "and there it is"},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_number(shares_allow(&cases[i].shares, cases[i].held, cases[i].trust),
				   cases[i].may, cases[i].name);
	tap_ok(!shares_is_overdue(1, 900000), "an answer within a second is not overdue");
	tap_ok(shares_is_overdue(1, 1100000), "a quick endpoint's is, later");
	tap_ok(!shares_is_overdue(5000, 19000000), "one that takes five seconds is given time");
	tap_ok(shares_is_overdue(5000, 21000000), "up to four times that");
	return tap_done();
}
