/*-------------------------------------------------------------------------
 * bucket.c
 *		A token bucket for an agreed rate.
 *-------------------------------------------------------------------------
 */
#include "flow/bucket.h"

#include <math.h>

#define US_PER_S 1000000.0

static double
tokens_at(const Bucket *bucket, int64_t now_us)
{
	double		elapsed_s = (double) (now_us - bucket->filled_at_us) / US_PER_S;

	/* a clock that was set back fills nothing */
	return fmin(bucket->burst, bucket->tokens + fmax(elapsed_s, 0) * bucket->rate);
}

Bucket
bucket_make(double rate, double burst, int64_t now_us)
{
	double		size = burst > 1 ? burst : 1;

	return (Bucket)
	{
		.rate = rate,
			.burst = size,
			.tokens = size,
			.filled_at_us = now_us,
	};
}

Bucket
bucket_resume(double rate, int burst, const int64_t *taken_at_us, int count, int64_t now_us)
{
	Bucket		bucket = bucket_make(rate, burst, now_us);

	if (count == 0 || rate <= 0)
		return bucket;
	bucket.tokens = 0;
	bucket.filled_at_us = now_us - (int64_t) (bucket.burst / rate * US_PER_S);
	for (int i = 0; i < count; i++)
	{
		bucket.tokens = fmax(tokens_at(&bucket, taken_at_us[i]) - 1, 0);
		bucket.filled_at_us = taken_at_us[i];
	}
	return bucket;
}

void
bucket_resize(Bucket *bucket, double rate, double burst, int64_t now_us)
{
	Bucket		changed = bucket_make(rate, burst, now_us);

	if (bucket->rate > 0)
		changed.tokens = fmin(changed.burst, tokens_at(bucket, now_us));
	*bucket = changed;
}

bool
bucket_take(Bucket *bucket, int64_t now_us)
{
	return bucket_take_many(bucket, 1, now_us);
}

bool
bucket_take_many(Bucket *bucket, double count, int64_t now_us)
{
	double		tokens;

	if (bucket->rate <= 0)
		return true;
	tokens = tokens_at(bucket, now_us);
	if (tokens < count)
		return false;
	bucket->tokens = tokens - count;
	bucket->filled_at_us = now_us;
	return true;
}

void
bucket_give(Bucket *bucket, double count)
{
	bucket->tokens = fmin(bucket->burst, bucket->tokens + count);
}

double
bucket_left(const Bucket *bucket, int64_t now_us)
{
	return tokens_at(bucket, now_us);
}

int64_t
bucket_free_at_us(const Bucket *bucket, int64_t now_us)
{
	return bucket_filled_to_us(bucket, 1, now_us);
}

int64_t
bucket_filled_to_us(const Bucket *bucket, double count, int64_t now_us)
{
	double		missing;

	if (bucket->rate <= 0)
		return now_us;
	missing = count - tokens_at(bucket, now_us);
	if (missing <= 0)
		return now_us;
	return now_us + (int64_t) ceil(missing / bucket->rate * US_PER_S);
}
