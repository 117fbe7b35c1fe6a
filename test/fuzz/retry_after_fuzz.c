/*-------------------------------------------------------------------------
 * retry_after_fuzz.c
 *		Retry-After and HTTP dates: within bounds, and back from their own words.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <time.h>

#include "message/retry_after.h"

#define NOW_S 1790000000
#define YEAR_10000_S INT64_C(253402300800)

/* What was read as a date, written in the preferred form, is the same instant. */
static void
check_date(const char *text)
{
	int64_t		unix_s;
	int64_t		again_s;
	time_t		instant;
	struct tm	parts;
	char		written[64];

	if (!retry_after_read_date(text, NOW_S, &unix_s))
		return;
	CHECK(unix_s < YEAR_10000_S);
	instant = (time_t) unix_s;
	CHECK(gmtime_r(&instant, &parts));
	CHECK(strftime(written, sizeof(written), "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0);
	if (parts.tm_year + 1900 < 1000)
		return;
	CHECK(retry_after_read_date(written, NOW_S, &again_s));
	CHECK(again_s == unix_s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	char	   *retry_after = take_string(&input);
	char	   *date = take_string(&input);
	int			alone_s = retry_after_seconds(retry_after, NULL, NOW_S);
	int			beside_s = retry_after_seconds(retry_after, date, NOW_S);

	CHECK(alone_s >= -1 && alone_s <= RETRY_AFTER_MAX_S);
	CHECK(beside_s >= -1 && beside_s <= RETRY_AFTER_MAX_S);
	check_date(retry_after);
	check_date(date);
	free(retry_after);
	free(date);
	return 0;
}
