/*-------------------------------------------------------------------------
 * rate_limit_fuzz.c
 *		RateLimit fields: what they come to is within bounds.
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "message/rate_limit.h"

#define NOW_S 1790000000

static const char *const names[] = {
	"RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
	"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Reset-After",
	"x-rate-limit-remaining", "Content-Type",
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {(const char *) data, size};
	RateLimitFields fields = {0};
	RateLimit	limit;

	while (input.length > 0)
	{
		const char *name = names[take_byte(&input) % (sizeof(names) / sizeof(names[0]))];
		char	   *value = take_string(&input);

		rate_limit_note(&fields, name, value);
		free(value);
	}
	limit = rate_limit_read(&fields, NOW_S);
	CHECK(limit.quota >= -1 && limit.remaining >= -1);
	CHECK(limit.reset_s >= -1 && limit.reset_s <= RATE_LIMIT_RESET_MAX_S);
	CHECK(fields.has_any || (limit.quota == -1 && limit.remaining == -1 && !limit.is_exhausted));
	return 0;
}
