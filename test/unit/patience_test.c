/*-------------------------------------------------------------------------
 * patience_test.c
 *		How long results wait for company before they are recorded.
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "flow/patience.h"
#include "tap.h"

#define NOW_US 1000000

static Patience
with_one(bool is_waited_for)
{
	Patience	patience;

	patience_begin(&patience);
	patience_add(&patience, is_waited_for, NOW_US);
	return patience;
}

int
main(void)
{
	Patience	patience;

	patience_begin(&patience);
	tap_ok(patience_ends_at(&patience, 0) == PATIENCE_FOREVER, "nothing is due where nothing waits");
	patience = with_one(false);
	tap_ok(patience_ends_at(&patience, 0) == PATIENCE_FOREVER, "nor when all has been put aside");
	tap_number(patience_ends_at(&patience, 1), NOW_US + 50000, "a plain result waits");
	patience_add(&patience, false, NOW_US + 40000);
	tap_number(patience_ends_at(&patience, 2), NOW_US + 50000, "no longer for those that come later");
	patience_add(&patience, true, NOW_US + 40000);
	tap_number(patience_ends_at(&patience, 3), NOW_US + 43000, "one that somebody waits for, less");
	tap_ok(patience.is_waited_for, "which is remembered");
	patience_add(&patience, false, NOW_US + 41000);
	tap_ok(patience.is_waited_for, "until the batch is recorded");

	patience = with_one(false);
	tap_number(patience_ends_at(&patience, 31), NOW_US + 50000, "a small batch waits for company");
	tap_number(patience_ends_at(&patience, 32), NOW_US + 5000, "a big one not where none comes");
	patience_add(&patience, false, NOW_US + 4000);
	tap_number(patience_ends_at(&patience, 33), NOW_US + 9000, "but while some does");
	patience_add(&patience, false, NOW_US + 49000);
	tap_number(patience_ends_at(&patience, 34), NOW_US + 50000, "and not for ever");
	patience_end(&patience, NOW_US + 1);
	tap_number(patience_ends_at(&patience, 34), NOW_US + 1, "what has waited enough is due at once");
	return tap_done();
}
